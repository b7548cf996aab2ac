/* cli_run: run a command as a call, in the foreground or the background. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "capture.h"
#include "cli_call.h"
#include "cli_run.h"
#include "num.h"
#include "detach.h"
#include "supervise.h"

static const struct option options[] = {
	CLI_LEDGER, CLI_OPERATION, CLI_PARTICIPANT, CLI_OUTPUT, CLI_HELP,
	{"description", required_argument, NULL, 'd'},
	{"aborted-ok", no_argument, NULL, CALL_ABORTED_OK},
	{"fallback", required_argument, NULL, CALL_FALLBACK},
	{"fallback-command", required_argument, NULL, CALL_FALLBACK_COMMAND},
	{"grace", required_argument, NULL, CALL_GRACE},
	{"group", required_argument, NULL, CALL_GROUP},
	{"id", required_argument, NULL, CALL_ID},
	{"keep-result", no_argument, NULL, CALL_KEEP_RESULT},
	{"leave-orphans", no_argument, NULL, CALL_LEAVE_ORPHANS},
	{"no-fail-on-crash", no_argument, NULL, CALL_NO_FAIL_ON_CRASH},
	{"on-abort", required_argument, NULL, CALL_ON_ABORT},
	{"on-cleanup", required_argument, NULL, CALL_ON_CLEANUP},
	{"on-completion", required_argument, NULL, CALL_ON_COMPLETION},
	{"on-crash", required_argument, NULL, CALL_ON_CRASH},
	{"on-failure", required_argument, NULL, CALL_ON_FAILURE},
	{"on-lost", required_argument, NULL, CALL_ON_LOST},
	{"output-max", required_argument, NULL, CALL_OUTPUT_MAX},
	{"parent", required_argument, NULL, CALL_PARENT},
	{"result-from", required_argument, NULL, CALL_RESULT_FROM},
	{"result-json", no_argument, NULL, CALL_RESULT_JSON},
	{"session", required_argument, NULL, CALL_SESSION},
	{"slots", required_argument, NULL, CALL_SLOTS},
	{"timeout", required_argument, NULL, CALL_TIMEOUT},
	{"watchdog", required_argument, NULL, CALL_WATCHDOG},
	{0},
};

/* "64k", "16M", "1G", or bytes. */
static int64_t
size_of(struct cli *c, const char *what, const char *text)
{
	static const char letters[] = "kMG";
	char digits[24];
	size_t n = strlen(text);
	const char *letter = n ? strchr(letters, text[n - 1]) : NULL;
	int shift = letter ? 10 * (int)(letter - letters + 1) : 0;
	int64_t value = -1;
	if (n && n < sizeof digits) {
		memcpy(digits, text, n);
		digits[n - (shift != 0)] = '\0';
		if (num_int(digits, strlen(digits), 0, INT64_C(1) << (50 - shift), &value) == 0)
			return value << shift;
	}
	cli_misuse(c, "%s: '%.100s' is no size (65536, 64k, 16M, 1G)", what, text);
}

/* What does not go together. */
static void
check_options(struct cli *c, const struct supervise *s)
{
	struct why why;
	if ((s->result.json || s->result.keep) && !s->result.from)
		cli_misuse(c, "%s goes with --result-from", s->result.json ? "--result-json" : "--keep-result");
	if (s->call.fallback && s->call.fallback_command)
		cli_misuse(c, "--fallback and --fallback-command exclude each other");
	if (s->call.fallback_command && !*s->call.fallback_command)
		cli_misuse(c, "--fallback-command is empty");
	if (s->result.json && s->call.fallback && !result_is_json(s->call.fallback, strlen(s->call.fallback), &why))
		cli_misuse(c, "--fallback: %s", why.text);
}

static void
read_options(struct cli *c, struct supervise *s)
{
	for (int o; (o = cli_getopt(c, "+:C:d:hjo:p:qt:vV", options)) != -1;)
		switch (o) {
		case 'd': s->call.description = cli_text(c, "-d", optarg); break;
		case CALL_ABORTED_OK: s->call.aborted_ok = true; break;
		case CALL_FALLBACK: s->call.fallback = cli_text(c, "--fallback", optarg); break;
		case CALL_FALLBACK_COMMAND: s->call.fallback_command = cli_text(c, "--fallback-command", optarg); break;
		case CALL_GRACE: s->grace_ms = cli_duration(c, "--grace", optarg); break;
		case CALL_GROUP: s->call.group = cli_call_id(c, "--group", optarg); break;
		case CALL_ID: s->call.id = cli_call_id(c, "--id", optarg); break;
		case CALL_KEEP_RESULT: s->result.keep = true; break;
		case CALL_LEAVE_ORPHANS: s->leave_orphans = true; break;
		case CALL_NO_FAIL_ON_CRASH: s->call.fail_on_crash = false; break;
		case CALL_ON_ABORT: s->on_abort = cli_text(c, "--on-abort", optarg); break;
		case CALL_ON_CLEANUP: s->duties.on_cleanup = cli_text(c, "--on-cleanup", optarg); break;
		case CALL_ON_COMPLETION: s->duties.on_completion = cli_text(c, "--on-completion", optarg); break;
		case CALL_ON_CRASH: s->duties.on_crash = cli_text(c, "--on-crash", optarg); break;
		case CALL_ON_FAILURE: s->duties.on_failure = cli_text(c, "--on-failure", optarg); break;
		case CALL_ON_LOST:
			s->stop_when_lost = strcmp(optarg, "stop") == 0;
			if (!s->stop_when_lost && strcmp(optarg, "continue") != 0)
				cli_misuse(c, "--on-lost: '%.40s' is not continue or stop", optarg);
			break;
		case CALL_OUTPUT_MAX:
			if ((s->output_max = size_of(c, "--output-max", optarg)) < CAPTURE_LEAST)
				cli_misuse(c, "--output-max: '%.100s' is less than 64k", optarg);
			break;
		case CALL_PARENT:
			s->call.parent = cli_call_id(c, "--parent", optarg);
			s->call.parent_must_exist = true;
			break;
		case CALL_RESULT_FROM: s->result.from = optarg; break;
		case CALL_RESULT_JSON: s->result.json = s->call.result_json = true; break;
		case CALL_SESSION: s->call.session = optarg; break;
		case CALL_SLOTS: s->call.slots = cli_number(c, "--slots", optarg, 1, INT32_MAX); break;
		case CALL_TIMEOUT:
			if ((s->timeout_ms = cli_duration(c, "--timeout", optarg)) == 0)
				cli_misuse(c, "--timeout: no time is left to run in");
			break;
		case CALL_WATCHDOG:
			if ((s->watchdog_ms = cli_duration(c, "--watchdog", optarg)) == 0)
				cli_misuse(c, "--watchdog: no time is left to beat in");
			break;
		}
	if (optind >= c->argc)
		cli_misuse(c, "a command is missing behind --");
	if (strcmp(c->argv[optind - 1], "--") != 0)
		cli_misuse(c, "'%.100s': -- must stand before the command", c->argv[optind]);
	if (!*c->argv[optind])
		cli_misuse(c, "the command is empty");
	check_options(c, s);
	if (s->call.slots && !s->call.group)
		s->call.group = "slots";
	s->argv = c->argv + optind;
}

/* End as the command did: of its signal, where the caller's shell looks at that. */
static _Noreturn void
end_like(struct cli *c, const struct supervised *end)
{
	int sig = end->signal;
	sigset_t all;
	if (sig == SIGINT || sig == SIGTERM || sig == SIGHUP || sig == SIGQUIT) {
		cli_end_client(c);
		(void)prctl(PR_SET_DUMPABLE, 0); /* the core was the command's to leave */
		signal(sig, SIG_DFL);
		sigfillset(&all);
		raise(sig);
		sigprocmask(SIG_UNBLOCK, &all, NULL);
	}
	cli_finish(c, end->status);
}

/* A supervisor has other things to do than to wait until somebody reads what it says. */
static void
say_if_read(void *arg, const char *text)
{
	struct pollfd room = {.fd = 2, .events = POLLOUT};
	if (poll(&room, 1, 0) != 0)
		cli_say(arg, "%s", text);
}

/* What both have in common, up to where it can be supervised. */
static void
prepare(struct cli *c, struct supervise *s)
{
	cli_put_operation(c, true);
	cli_again(c);
	cli_open(c);
	s->call.watchdog = s->watchdog_ms > 0;
	s->call.operation = c->id;
	s->call.participant = cli_participant(c);
	if (!s->call.parent && (s->call.parent = cli_inherited(c, "DPL_CALL")))
		(void)cli_call_id(c, "DPL_CALL", s->call.parent);
	if (!s->call.session)
		s->call.session = cli_inherited(c, "DPL_SESSION");
	if (s->call.session)
		(void)cli_number(c, "the session", s->call.session, 1, JSON_INT_MAX);
	s->duties.umask = c->umask;
	/* By whoever runs it when the supervisor has died, it is run where it would have been. */
	if (s->call.fallback_command && !(s->call.folder = getcwd(NULL, 0))) {
		struct why why;
		why_errno(&why, "the working folder");
		cli_die(c, &why);
	}
	if (s->call.folder)
		(void)cli_text(c, "the working folder", s->call.folder);
}

static struct supervise
defaults(const struct cli *c)
{
	return (struct supervise){.call.fail_on_crash = true, .grace_ms = 5000, .output_max = CAPTURE_DEFAULT,
		.origin = {.umask = c->umask, .ignore_sigpipe = c->ignore_sigpipe, .ignore_sigxfsz = c->ignore_sigxfsz, .closed = c->closed}};
}

void
cli_run(struct cli *c)
{
	struct supervise s = defaults(c);
	struct supervised end;
	struct why why;
	c->failure = COMMAND_SELF;
	read_options(c, &s);
	c->notice.say = say_if_read;
	prepare(c, &s);
	s.say = c->quiet ? NULL : &c->notice;
	s.verbose = c->verbose ? &c->notice : NULL;
	int rc = supervise(&c->client, &s, &end, &why);
	if (rc < 0) {
		c->failure = end.status;
		cli_die(c, &why);
	}
	if (why.code)
		cli_say(c, "%s", why.text);
	if (c->verbose && !c->quiet)
		cli_say(c, "call %s of %s: status %d after %lld ms", end.call, c->id, end.status, (long long)end.duration_ms);
	c->verbose = false;
	end_like(c, &end);
}

/* --- in the background --- */

struct spawned {
	struct cli *c;
	struct detach spawn;
	bool through;
};

/* What the caller is told. */
struct told {
	char operation[ID_OPERATION_MAX + 1], call[ID_NAME_MAX + 1];
};

/* The call is in the ledger: the caller goes on. */
static void
started(void *arg, const char *call)
{
	struct spawned *s = arg;
	struct cli *c = s->c;
	struct told told = {.call = ""};
	_Static_assert(sizeof told <= DETACH_TOLD_MAX, "it is told at once");
	snprintf(told.operation, sizeof told.operation, "%s", c->id);
	snprintf(told.call, sizeof told.call, "%s", call);
	if (c->verbose)
		cli_say(c, "call %s of %s in %s", call, c->id, c->client.ledger);
	detach_through(&s->spawn, &told, sizeof told);
	s->through = true;
}

/* The caller's process: print the id.  Where that fails the call goes on all the same: what was begun is in the ledger. */
static _Noreturn void
tell(struct cli *c, const void *bytes)
{
	struct told told;
	char stands[sizeof told + 40];
	memcpy(&told, bytes, sizeof told);
	snprintf(stands, sizeof stands, "call %s of %s goes on", told.call, told.operation);
	c->stands = stands;
	if (c->json) {
		json_open(&c->out, NULL, '{');
		json_put_bool(&c->out, "ok", true);
		json_put(&c->out, "operationId", told.operation);
		json_put(&c->out, "callId", told.call);
		json_close(&c->out, '}');
		buf_char(&c->out, '\n');
	} else {
		buf_fmt(&c->out, "%s\n", told.call);
	}
	cli_finish(c, EXIT_DONE);
}

void
cli_spawn(struct cli *c)
{
	struct supervise s = defaults(c);
	struct spawned spawned = {.c = c};
	struct supervised end;
	struct why why;
	c->failure = COMMAND_SELF;
	read_options(c, &s);
	int side = detach_begin(&spawned.spawn);
	if (side < 0) {
		why_errno(&why, "start a process");
		cli_die(c, &why);
	}
	if (side > 0)
		tell(c, spawned.spawn.told);
	prepare(c, &s);
	s.call.spawned = true;
	s.call.captures = !c->client.remote;
	s.origin.closed = 0; /* it finds /dev/null where it is told nothing else */
	s.started = started;
	s.arg = &spawned;
	int rc = supervise(&c->client, &s, &end, &why);
	if (!spawned.through) {
		c->failure = end.status;
		if (why.code)
			cli_die(c, &why);
		cli_finish(c, end.status);
	}
	cli_end_client(c);
	_exit(rc < 0 ? COMMAND_SELF : end.status);
}
