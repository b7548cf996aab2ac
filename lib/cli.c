/* cli: what all tools do the same way. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "entry.h"
#include "fsx.h"
#include "num.h"
#include "proc.h"
#include "reclaim.h"
#include "text.h"
#include "version.h"
#include "watch.h"

/* --- saying what went wrong --- */

static void
say(void *arg, const char *text)
{
	struct cli *c = arg;
	struct buf b = {0};
	buf_fmt(&b, "%s: ", c->tool);
	text_show(&b, text, strlen(text));
	buf_char(&b, '\n');
	if (!b.failed)
		(void)fsx_write(2, b.p, b.n); /* nowhere left to say it */
	buf_free(&b);
}

void
cli_say(struct cli *c, const char *fmt, ...)
{
	char text[1000];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	say(c, text);
}

/* The command that looks into a failure, for a program that reads --json. */
static void
put_next(struct cli *c, enum err code, struct buf *b)
{
	const char *argv[6] = {NULL};
	int n = 2;
	switch (code) {
	case ERR_NO_OPERATION:
	case ERR_AMBIGUOUS:
		argv[0] = "dpl-show";
		argv[1] = "--all";
		break;
	case ERR_ENDED:
	case ERR_ABORTED:
	case ERR_FAILED:
		argv[0] = "dpl-show";
		argv[1] = *c->id ? c->id : "--all";
		break;
	case ERR_CALLS_RUNNING:
	case ERR_NO_CALL:
	case ERR_CALL_ENDED:
		argv[0] = "dpl-call";
		argv[1] = "list";
		if (code != ERR_CALLS_RUNNING)
			argv[n++] = "--all";
		argv[n++] = "--operation";
		argv[n] = c->id;
		break;
	case ERR_NO_RESOURCE:
	case ERR_REGISTERED:
		argv[0] = "dpl-temp";
		argv[1] = "list";
		argv[2] = "--all";
		argv[3] = "--operation";
		argv[4] = c->id;
		break;
	case ERR_NO_PARTICIPANT:
	case ERR_DEAD:
		argv[0] = "dpl-join";
		argv[1] = *c->id ? "--operation" : NULL;
		argv[2] = c->id;
		break;
	case ERR_NO_LEDGER:
		argv[0] = "dpl-create";
		break;
	case ERR_USAGE:
		argv[0] = c->tool;
		argv[1] = "--help";
		break;
	default:
		break;
	}
	json_open(b, "next", '[');
	for (int i = 0; argv[i]; i++)
		json_put(b, NULL, argv[i]);
	json_close(b, ']');
}

/* Say it, as a JSON object with the operation that it is about, "" for none: the exit status. */
static int
put_failure(struct cli *c, const char *operation, enum err code, const char *text, const char *hint)
{
	const struct err_info *info = err_info(code);
	if (c->json || c->early_json) {
		struct buf *b = &c->out;
		json_open(b, NULL, '{');
		json_put_bool(b, "ok", false);
		if (*operation)
			json_put(b, "operationId", operation);
		json_open(b, "error", '{');
		json_put(b, "code", info->name);
		json_put_message(b, "message", text);
		if (*hint)
			json_put_message(b, "hint", hint);
		else
			json_put(b, "hint", NULL);
		json_put_bool(b, "retryable", info->retryable);
		put_next(c, code, b);
		json_close(b, '}');
		json_close(b, '}');
		buf_char(b, '\n');
	} else {
		cli_say(c, "%s%s%s", text, *hint ? "; " : "", hint);
	}
	return c->failure ? c->failure : info->exit;
}

static _Noreturn void
fail(struct cli *c, enum err code, const char *text, const char *hint)
{
	int status = put_failure(c, "", code, text, hint);
	c->verbose = false;
	cli_finish(c, status);
}

int
cli_failed(struct cli *c, const struct why *why)
{
	return put_failure(c, c->id, why->code, why->text, why->hint);
}

void
cli_die(struct cli *c, const struct why *why)
{
	fail(c, why->code, why->text, why->hint);
}

void
cli_misuse(struct cli *c, const char *fmt, ...)
{
	char text[600], hint[100];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	snprintf(hint, sizeof hint, "'%s --help' shows how it is used", c->tool);
	fail(c, ERR_USAGE, text, hint);
}

/* --- options --- */

/* A descriptor among 0 to 2 that is closed would be given to the next file that is opened. */
static unsigned
hold_standard_descriptors(void)
{
	unsigned closed = 0;
	struct pollfd fds[3] = {{.fd = 0}, {.fd = 1}, {.fd = 2}};
	if (poll(fds, 3, 0) <= 0) /* no POLLNVAL, as good as always */
		return 0;
	for (int fd = 0; fd <= 2; fd++)
		if (fds[fd].revents & POLLNVAL) {
			/* the wrong way round, so that using it fails: nothing is lost in silence */
			(void)open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
			closed |= 1u << fd;
		}
	return closed;
}

void
cli_begin(struct cli *c, int argc, char **argv, const char *usage)
{
	static char tool[40];
	*c = (struct cli){.usage = usage, .argc = argc, .argv = argv, .wait_ms = 10000};
	c->closed = hold_standard_descriptors();
	c->umask = umask(077);
	c->ignore_sigpipe = signal(SIGPIPE, SIG_IGN) == SIG_IGN;
	c->ignore_sigxfsz = signal(SIGXFSZ, SIG_IGN) == SIG_IGN;
	snprintf(tool, sizeof tool, "%.*s", (int)strcspn(usage + 7, " \n"), usage + 7);
	c->tool = tool;
	c->notice = (struct notice){say, c};
	c->answer.tok = c->answer.inline_tok;
	/* Before anything can fail: errors too are one JSON object. */
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "-j") == 0 || strcmp(argv[i], "--json") == 0)
			c->early_json = true;
	if (argc < 1)
		cli_misuse(c, "started without a name");
	cli_again(c);
	opterr = 0;
}

static _Noreturn void
print_and_exit(struct cli *c, const char *text)
{
	buf_str(&c->out, text);
	c->quiet = c->verbose = false;
	cli_finish(c, EXIT_DONE);
}

/* What options say otherwise.  Not in cli_begin: the tool has not said yet what its failures end with. */
static void
heed_environment(struct cli *c)
{
	const char *timeout = getenv("DPL_TIMEOUT");
	c->heeded = true;
	if (!timeout || !*timeout)
		return;
	c->wait_ms = cli_duration(c, "DPL_TIMEOUT", timeout);
	c->timed = true;
}

int
cli_getopt(struct cli *c, const char *letters, const struct option *options)
{
	if (!c->heeded)
		heed_environment(c);
	for (;;) {
		int o = getopt_long(c->argc, c->argv, letters, options, NULL);
		/* musl leaves optind one too far where a value is missing at the end. */
		int at = optind <= c->argc ? optind - 1 : c->argc - 1;
		const char *word = (o == '?' || o == ':') && at >= 0 ? c->argv[at] : "";
		/* The long form of a letter that this tool does not take. */
		if (o > 0 && o < CLI_LONG && o != '?' && o != ':' && !strchr(letters, o))
			cli_misuse(c, "option '-%c' does not go with this", o);
		switch (o) {
		case 'C': c->ledger = optarg; break;
		case 'o': c->operation = optarg; break;
		case 'p': c->participant = optarg; break;
		case 't':
			c->wait_ms = cli_duration(c, "-t", optarg);
			c->timed = true;
			break;
		case 'j': c->json = true; break;
		case 'q': c->quiet = true; break;
		case 'v': c->verbose = true; break;
		case CLI_KEY: c->key = optarg; break;
		case 'h':
			buf_str(&c->out, c->usage);
			print_and_exit(c, c->help ? c->help : "");
		case 'V':
			buf_str(&c->out, c->tool);
			print_and_exit(c, " (dpl) " DPL_VERSION "\n");
		case ':':
			cli_misuse(c, "option '%.100s' needs a value", word);
		case '?':
			if (optopt > 0 && optopt < CLI_LONG && strncmp(word, "--", 2) != 0)
				cli_misuse(c, "unknown option '-%c'", optopt);
			cli_misuse(c, "unknown option '%.100s'", word);
		default:
			if (o == -1)
				c->early_json = false;
			return o;
		}
	}
}

int64_t
cli_duration(struct cli *c, const char *what, const char *text)
{
	int64_t ms;
	if (num_duration(text, &ms) < 0)
		cli_misuse(c, "%s: '%.100s' is no duration (5s, 1m30s, 250ms; at most ten years)", what, text);
	return ms;
}

int64_t
cli_number(struct cli *c, const char *what, const char *text, int64_t least, int64_t most)
{
	int64_t value;
	if (num_int(text, strlen(text), least, most, &value) < 0)
		cli_misuse(c, "%s: '%.100s' is no whole number from %lld to %lld", what, text, (long long)least, (long long)most);
	return value;
}

const char *
cli_text(struct cli *c, const char *what, const char *text)
{
	size_t n = strlen(text);
	if (n >= ENTRY_MAX)
		cli_misuse(c, "%s is longer than %d bytes", what, ENTRY_MAX);
	if (!text_valid(text, n))
		cli_misuse(c, "%s is not UTF-8", what);
	return text;
}

void
cli_stdin(struct cli *c, const char *what, struct buf *b)
{
	ssize_t n = 0;
	do {
		if (buf_reserve(b, 16384) < 0)
			break;
		n = read(0, b->p + b->n, 16384);
		if (n > 0)
			b->n += (size_t)n;
	} while ((n > 0 && b->n <= ENTRY_MAX) || (n < 0 && errno == EINTR));
	if (b->failed || n < 0) {
		struct why why;
		why_errno(&why, "read standard input");
		cli_die(c, &why);
	}
	b->p[b->n] = '\0';
	if (strlen(b->p) != b->n)
		cli_misuse(c, "%s holds a NUL", what);
	cli_text(c, what, b->p);
}

void
cli_no_more(struct cli *c, int first)
{
	if (first < c->argc)
		cli_misuse(c, "unexpected operand '%.100s'", c->argv[first]);
}

/* --- who, and on what --- */

/* An environment variable that is set and not empty. */
static const char *
environment(const char *name)
{
	const char *value = getenv(name);
	return value && *value ? value : NULL;
}

bool
cli_participant_given(const struct cli *c)
{
	return c->participant || environment("DPL_PARTICIPANT");
}

const char *
cli_participant(struct cli *c)
{
	if (*c->name)
		return c->name;
	const char *from = c->participant ? "-p" : "DPL_PARTICIPANT";
	const char *name = c->participant ? c->participant : environment("DPL_PARTICIPANT");
	char uid[32];
	if (!name) {
		struct passwd *pw = getpwuid(geteuid());
		from = "the user's name";
		snprintf(uid, sizeof uid, "uid-%lu", (unsigned long)geteuid());
		name = pw && pw->pw_name && !id_bad_participant(pw->pw_name) ? pw->pw_name : uid;
	}
	const char *bad = id_bad_participant(name);
	if (bad)
		cli_misuse(c, "%s: participant '%.80s' %s", from, name, bad);
	snprintf(c->name, sizeof c->name, "%s", name);
	return c->name;
}

void
cli_open(struct cli *c)
{
	struct why why;
	const char *sync = environment("DPL_SYNC");
	if (c->opened)
		return;
	if (sync && strcmp(sync, "on") != 0 && strcmp(sync, "off") != 0)
		cli_misuse(c, "DPL_SYNC: '%.40s' is neither on nor off", sync);
	if (c->key && id_bad_key(c->key))
		cli_misuse(c, "--key: '%.140s' %s", c->key, id_bad_key(c->key));
	struct store_options o = {
		.sync = !sync || strcmp(sync, "on") == 0,
		.defer = c->defer,
		.timed = c->timed,
		.wait_ms = c->wait_ms,
		.keep = STORE_KEEP,
		.notice = c->quiet ? NULL : &c->notice,
	};
	if (client_open(&c->client, c->ledger ? c->ledger : environment("DPL_LEDGER"), &o, &why) < 0)
		cli_die(c, &why);
	if (c->passes_on)
		c->client.verbs.reader = 1;
	c->opened = true;
}

void
cli_put_participant(struct cli *c)
{
	json_put(&c->body, "participantId", cli_participant(c));
}

const char *
cli_inherited(const struct cli *c, const char *name)
{
	const char *operation = environment("DPL_OPERATION"), *participant = environment("DPL_PARTICIPANT");
	bool same = (!c->operation || !operation || strcmp(c->id, operation) == 0) &&
		(!c->participant || !participant || strcmp(c->participant, participant) == 0);
	return same ? environment(name) : NULL;
}

/* Look up the id that a part of it, @ or @@ stands for. */
static enum err
resolve(struct cli *c, const char *name, bool live, struct why *why)
{
	struct buf body = c->body, reply = c->reply;
	const char *key = c->key;
	enum err err;
	memset(&c->body, 0, sizeof c->body);
	memset(&c->reply, 0, sizeof c->reply);
	c->key = NULL;
	json_open(&c->body, NULL, '{');
	json_put(&c->body, "name", cli_text(c, "the operation", name));
	/* With a key it may have been done before, and have ended the operation. */
	json_put_bool(&c->body, "live", live && !key);
	if (strcmp(name, "@") == 0)
		cli_put_participant(c);
	err = cli_ask(c, "/operation/resolve", why);
	if (!err && json_copy(&c->answer, json_get(&c->answer, 0, "operationId"), c->id, sizeof c->id) < 0) {
		err = ERR_USAGE;
		why_set(why, err, "the ledger gave no operation id");
	}
	json_free(&c->answer);
	buf_free(&c->body);
	buf_free(&c->reply);
	c->body = body;
	c->reply = reply;
	c->key = key;
	return err;
}

enum err
cli_ask_operation(struct cli *c, bool live, struct why *why)
{
	const char *name = c->operation ? c->operation : environment("DPL_OPERATION");
	if (!name)
		cli_misuse(c, "no operation: name one with -o or DPL_OPERATION (@ is the newest that you joined, @@ the newest of all)");
	if (id_is_full(name)) {
		snprintf(c->id, sizeof c->id, "%s", name);
	} else {
		enum err err = resolve(c, name, live, why);
		if (err)
			return err;
	}
	json_put(&c->body, "operationId", c->id);
	return ERR_NONE;
}

void
cli_put_operation(struct cli *c, bool live)
{
	struct why why;
	if (cli_ask_operation(c, live, &why))
		cli_die(c, &why);
}

void
cli_put_origin(struct cli *c, int64_t pid)
{
	char boot[PROC_BOOT_ID], host[256] = "";
	if (pid == 0)
		pid = getppid();
	int64_t start = proc_start(pid);
	json_put_int(&c->body, "participantPid", pid);
	if (start >= 0)
		json_put_int(&c->body, "participantPidStart", start);
	proc_boot_id(boot);
	if (*boot)
		json_put(&c->body, "bootId", boot);
	if (gethostname(host, sizeof host - 1) == 0 && *host && text_valid(host, strlen(host)))
		json_put(&c->body, "host", host);
}

/* --- request and answer --- */

void
cli_again(struct cli *c)
{
	json_free(&c->answer);
	buf_clear(&c->body);
	json_open(&c->body, NULL, '{');
}

/* Send it.  ERR_NONE with the answer, which may be that of a failure (*status is not 200 then), else what failed. */
static enum err
send(struct cli *c, const char *path, int *status, struct why *why)
{
	cli_open(c);
	json_close(&c->body, '}');
	*status = client_call_text(&c->client, path, &c->body, c->key, &c->reply);
	json_free(&c->answer);
	if (c->reply.failed || !c->reply.n)
		why_set(why, ERR_IO, "out of memory");
	else if (json_parse(&c->answer, c->reply.p, c->reply.n, why) == 0)
		return ERR_NONE;
	return why->code;
}

/* A helper in front of another server may give no code of ours. */
static enum err
failed_with(const struct cli *c, int status)
{
	struct buf b = {0};
	const char *name = cli_answer(c, 0, "code", &b);
	enum err err = *name ? err_by_name(name) : status == 404 ? ERR_NO_OPERATION : status < 500 ? ERR_REQUEST : ERR_UNREACHABLE;
	buf_free(&b);
	return err;
}

void
cli_request(struct cli *c, const char *path)
{
	struct why why;
	struct buf text = {0}, hint = {0};
	int status;
	if (send(c, path, &status, &why))
		cli_die(c, &why);
	if (status != 200)
		fail(c, failed_with(c, status), cli_answer(c, 0, "error", &text), cli_answer(c, 0, "hint", &hint));
}

enum err
cli_ask(struct cli *c, const char *path, struct why *why)
{
	struct buf b = {0};
	int status;
	enum err err = send(c, path, &status, why);
	if (err || status == 200)
		return err;
	why_set(why, failed_with(c, status), "%s", cli_answer(c, 0, "error", &b));
	why_hint(why, "%s", cli_answer(c, 0, "hint", &b));
	buf_free(&b);
	return why->code;
}

const char *
cli_answer(const struct cli *c, int object, const char *member, struct buf *b)
{
	return json_text(&c->answer, object, member, b);
}

int64_t
cli_answer_int(const struct cli *c, int object, const char *member)
{
	return json_number(&c->answer, object, member);
}

bool
cli_answer_true(const struct cli *c, const char *member)
{
	return json_true(&c->answer, 0, member);
}

/* --- output --- */

void
cli_out_json(struct cli *c)
{
	buf_str(&c->out, "{\"ok\":true");
	if (c->reply.n > 2) {
		buf_char(&c->out, ',');
		buf_add(&c->out, c->reply.p + 1, c->reply.n - 1);
	} else {
		buf_char(&c->out, '}');
	}
	buf_char(&c->out, '\n');
}

static void
export(struct cli *c, const char *name, const char *value)
{
	buf_fmt(&c->out, "export %s=", name);
	text_quote(&c->out, value);
	buf_char(&c->out, '\n');
}

void
cli_out_exports(struct cli *c)
{
	struct buf b = {0};
	export(c, "DPL_LEDGER", c->client.ledger);
	export(c, "DPL_OPERATION", cli_answer(c, 0, "operationId", &b));
	export(c, "DPL_PARTICIPANT", cli_answer(c, 0, "participantId", &b));
	buf_clear(&b);
	buf_int(&b, cli_answer_int(c, 0, "sessionId"));
	export(c, "DPL_SESSION", b.p);
	buf_free(&b);
}

void
cli_flush(struct cli *c)
{
	struct why why;
	if (c->out.failed) {
		buf_free(&c->out);
		c->json = false;
		why_set(&why, ERR_IO, "out of memory");
		cli_die(c, &why);
	}
	if (!c->out.n)
		return;
	int rc = fsx_write(1, c->out.p, c->out.n), e = errno;
	buf_clear(&c->out);
	if (rc == 0)
		return;
	if (e == EPIPE) /* the reader has seen enough: a quiet end */
		_exit(EXIT_DONE);
	errno = e;
	why_errno(&why, "write standard output");
	if (c->stands)
		why_hint(&why, "%s", c->stands);
	c->json = false;
	why.code = ERR_IO;
	cli_die(c, &why);
}

void
cli_leave_unread(void)
{
	if (watch_is_unread(1))
		_exit(EXIT_DONE);
}

void
cli_end_client(struct cli *c)
{
	reclaim_left(&c->client);
	client_finish(&c->client);
}

void
cli_finish(struct cli *c, int status)
{
	if (c->quiet && status == EXIT_DONE && !c->json)
		buf_clear(&c->out);
	cli_flush(c);
	if (c->verbose && c->opened && !c->quiet) {
		struct buf b = {0}, id = {0};
		const char *operation = cli_answer(c, 0, "operationId", &id);
		int64_t seq = cli_answer_int(c, 0, "seq");
		if (*operation && seq > 0)
			buf_fmt(&b, "entry %lld of %s in %s", (long long)seq, operation, c->client.ledger);
		else
			buf_fmt(&b, "ledger %s", c->client.ledger);
		if (!b.failed)
			say(c, b.p);
		buf_free(&b);
		buf_free(&id);
	}
	/* Memory, descriptors and locks go with the process. */
	if (c->opened)
		cli_end_client(c);
	exit(status);
}
