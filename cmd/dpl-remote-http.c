/* dpl-remote-http - serve commands a ledger of another host, over HTTP or a unix socket */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "fsx.h"
#include "num.h"
#include "remote/errand.h"
#include "remote/target.h"

static const char usage[] =
	"usage: dpl-remote-http [-q] [--ca file] [--cert file] [--connect-timeout duration]\n"
	"                       [--key file] [--no-retry] [--timeout duration]\n"
	"                       [--token-file file] url\n"
	"\n"
	"Read one request a line, {\"path\":\"/call/start\",\"body\":{...}}, send it to the server at\n"
	"http://HOST[:19880][/PREFIX], https://HOST or unix:/PATH, and write one reply a line,\n"
	"{\"status\":200,\"body\":{...}}.  Commands start it by themselves for such a ledger.\n"
	"\n"
	"  -q, --quiet                say nothing on stderr about trying again (DPL_QUIET)\n"
	"      --ca=FILE              who may have signed the server's certificate (DPL_TLS_CA)\n"
	"      --cert=FILE            our own certificate (DPL_TLS_CERT)\n"
	"      --connect-timeout=DURATION  the longest wait for a connection (5s)\n"
	"      --key=FILE             the key of our certificate (DPL_TLS_KEY)\n"
	"      --no-retry             try everything once (DPL_NO_RETRY)\n"
	"      --timeout=DURATION     the longest wait for an answer (DPL_HTTP_TIMEOUT, else 30s)\n"
	"      --token-file=FILE      the file with the server's token (DPL_TOKEN_FILE)\n"
	"  -h, --help                 print this\n"
	"  -V, --version              print the version\n"
	"\n"
	"Examples:\n"
	"  echo '{\"path\":\"/operation/list\"}' | dpl-remote-http http://build.example.org\n"
	"  DPL_LEDGER=unix:/run/dpl.sock dpl-show\n";

enum { OPTION_CA = CLI_OWN, OPTION_CERT, OPTION_CONNECT, OPTION_KEY_FILE, OPTION_NO_RETRY, OPTION_TIME, OPTION_TOKEN };
enum { LINE_MAX_BYTES = 64 << 20, CHUNK = 65536 };

/* --- lines of standard input --- */

struct lines {
	struct buf in;
	size_t used; /* of it, by lines that were given out */
	size_t seen; /* there is no newline before that */
	bool ended;
	bool too_long; /* of the line under way something was dropped */
};

/* Read more; false where that fails. */
static bool
read_more(struct lines *l)
{
	ssize_t n;
	if (l->used) {
		memmove(l->in.p, l->in.p + l->used, l->in.n -= l->used);
		l->used = 0;
	}
	l->seen = l->in.n;
	if (l->in.n > LINE_MAX_BYTES) {
		l->too_long = true;
		l->in.n = l->seen = 0;
	}
	if (buf_reserve(&l->in, CHUNK) < 0)
		return false;
	while ((n = read(STDIN_FILENO, l->in.p + l->in.n, CHUNK)) < 0 && errno == EINTR)
		;
	l->ended = n == 0;
	l->in.n += n > 0 ? (size_t)n : 0;
	return n >= 0;
}

/* The next line: 1, with its text, which is NULL where it is too long; 0 at the end; -1 with errno. */
static int
next_line(struct lines *l, char **line, size_t *n)
{
	for (;;) {
		char *from = l->in.p + l->used, *newline = NULL;
		if (l->in.n > l->seen)
			newline = memchr(l->in.p + l->seen, '\n', l->in.n - l->seen);
		if (!newline && !l->ended) {
			if (!read_more(l))
				return -1;
			continue;
		}
		if (!newline && l->used == l->in.n && !l->too_long)
			return 0;
		*n = newline ? (size_t)(newline - from) : l->in.n - l->used;
		*line = l->too_long ? NULL : from;
		l->used += *n + (newline != NULL);
		l->seen = l->used;
		l->too_long = false;
		return 1;
	}
}

/* --- requests and replies --- */

static int
fail(struct buf *reply, enum err code, const char *text)
{
	struct why why;
	why_set(&why, code, "%s", text);
	return verb_failure(&why, reply);
}

/* One request; its reply is in `reply`. */
static int
serve(struct errand *e, const char *line, size_t n, struct buf *reply)
{
	struct json j;
	struct why why;
	char path[100] = "", key[ID_KEY_MAX + 2] = "";
	int status;
	if (!line)
		return fail(reply, ERR_TOO_LARGE, "the request is longer than 64 MiB");
	if (json_parse(&j, line, n, &why) < 0)
		return verb_failure(&why, reply);
	int key_at = json_get(&j, 0, "key"), body = json_get(&j, 0, "body");
	e->most_ms = 0;
	(void)json_integer(&j, json_get(&j, 0, "timeoutMs"), 1, JSON_INT_MAX, &e->most_ms);
	if (json_no_duplicates(&j, &why) < 0)
		status = verb_failure(&why, reply);
	else if (json_copy(&j, json_get(&j, 0, "path"), path, sizeof path) < 0)
		status = fail(reply, ERR_REQUEST, "Missing path");
	else if (key_at >= 0 && !json_is_null(&j, key_at) && json_copy(&j, key_at, key, sizeof key) < 0)
		status = fail(reply, ERR_ID, "key is too long or no string");
	else
		status = errand_do(e, path, &j, json_is_null(&j, body) ? -1 : body, *key ? key : NULL, reply);
	json_free(&j);
	return status;
}

static void
serve_all(struct cli *c, struct errand *e)
{
	struct lines l = {0};
	struct why why;
	char *line;
	size_t n;
	int rc;
	while ((rc = next_line(&l, &line, &n)) > 0) {
		if (line && strspn(line, " \t\r") >= n)
			continue;
		int status = serve(e, line, n, &c->reply);
		if (c->reply.failed || !c->reply.n) {
			buf_free(&c->reply);
			status = fail(&c->reply, ERR_IO, "out of memory");
		}
		json_open(&c->out, NULL, '{');
		json_put_int(&c->out, "status", status);
		json_put_raw(&c->out, "body", c->reply.p, c->reply.n);
		json_close(&c->out, '}');
		buf_char(&c->out, '\n');
		cli_flush(c);
	}
	if (rc < 0) {
		why_errno(&why, "read standard input");
		cli_die(c, &why);
	}
	buf_free(&l.in);
}

/* --- options --- */

/* What a variable says, where no option did; an empty one is none. */
static const char *
either(const char *option, const char *variable)
{
	const char *value = option ? option : getenv(variable);
	return value && *value ? value : NULL;
}

static int64_t
wait_ms(struct cli *c, const char *what, const char *text, int64_t otherwise)
{
	int64_t ms = text ? cli_duration(c, what, text) : otherwise;
	if (ms == 0)
		cli_misuse(c, "%s: no time is too short", what);
	return ms;
}

/* A file that TLS shall use: libcurl would tell of it with the first request. */
static void
can_read(struct cli *c, const char *what, const char *file)
{
	if (file && access(file, R_OK) < 0)
		cli_misuse(c, "%s: %.200s: %s", what, file, strerror(errno));
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {CLI_HELP, {"quiet", no_argument, NULL, 'q'}, {"ca", required_argument, NULL, OPTION_CA},
		{"cert", required_argument, NULL, OPTION_CERT}, {"connect-timeout", required_argument, NULL, OPTION_CONNECT},
		{"key", required_argument, NULL, OPTION_KEY_FILE}, {"no-retry", no_argument, NULL, OPTION_NO_RETRY},
		{"timeout", required_argument, NULL, OPTION_TIME}, {"token-file", required_argument, NULL, OPTION_TOKEN}, {0}};
	struct cli c;
	struct why why;
	struct target target;
	struct exchange_options o = {0};
	struct errand e = {0};
	const char *timeout = NULL, *connect = NULL;
	cli_begin(&c, argc, argv, usage);
	c.early_json = false;
	for (int option; (option = cli_getopt(&c, ":hqV", options)) != -1;)
		switch (option) {
		case OPTION_CA: o.ca = optarg; break;
		case OPTION_CERT: o.cert = optarg; break;
		case OPTION_CONNECT: connect = optarg; break;
		case OPTION_KEY_FILE: o.key = optarg; break;
		case OPTION_NO_RETRY: e.no_retry = true; break;
		case OPTION_TIME: timeout = optarg; break;
		case OPTION_TOKEN: e.token_file = optarg; break;
		}
	if (optind >= argc)
		cli_misuse(&c, "which ledger? a URL is missing");
	cli_no_more(&c, optind + 1);
	const char *from = timeout ? "--timeout" : "DPL_HTTP_TIMEOUT", *retry = either(NULL, "DPL_RETRY_MS");
	o.timeout_ms = wait_ms(&c, from, either(timeout, "DPL_HTTP_TIMEOUT"), 30000);
	o.connect_ms = wait_ms(&c, "--connect-timeout", connect, 5000);
	o.ca = either(o.ca, "DPL_TLS_CA");
	o.cert = either(o.cert, "DPL_TLS_CERT");
	o.key = either(o.key, "DPL_TLS_KEY");
	can_read(&c, "DPL_TLS_CA", o.ca);
	can_read(&c, "DPL_TLS_CERT", o.cert);
	can_read(&c, "DPL_TLS_KEY", o.key);
	if (o.key && !o.cert)
		cli_misuse(&c, "a key (--key, DPL_TLS_KEY) without its certificate (--cert, DPL_TLS_CERT)");
	e.token_file = either(e.token_file, "DPL_TOKEN_FILE");
	e.no_retry = e.no_retry || either(NULL, "DPL_NO_RETRY");
	e.first_ms = retry ? cli_number(&c, "DPL_RETRY_MS", retry, 1, 60000) : 2000;
	e.notice = c.quiet || either(NULL, "DPL_QUIET") ? NULL : &c.notice;
	if (target_parse(&target, argv[optind], &why) < 0 || exchange_open(&e.x, &target, &o, &why) < 0)
		cli_die(&c, &why);
	c.quiet = false; /* a reply is not talk */
	serve_all(&c, &e);
	bool refused = e.refused;
	errand_close(&e);
	target_free(&target);
	cli_finish(&c, refused ? EXIT_REFUSED : EXIT_DONE);
}
