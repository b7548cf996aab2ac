/* dpl-call - run a command as a call; start, end, fail and list calls */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "clock.h"
#include "cli.h"
#include "render.h"
#include "supervise.h"

static const char usage[] =
	"usage: dpl-call [run] [-jqv] [-C ledger] [-d description] [-o operation]\n"
	"                [-p participant] [-t timeout] [--aborted-ok] [--fallback text]\n"
	"                [--grace duration] [--id call] [--leave-orphans]\n"
	"                [--no-fail-on-crash] [--on-abort command] [--on-cleanup command]\n"
	"                [--on-failure command] [--parent call] [--result-from source]\n"
	"                [--session number] [--timeout duration] [--watchdog duration]\n"
	"                -- command [argument ...]\n"
	"       dpl-call start [-jqv] [-C ledger] [-d description] [-o operation]\n"
	"                [-p participant] [-t timeout] [--aborted-ok] [--fallback text] [--id call]\n"
	"                [--key key] [--no-fail-on-crash] [--parent call] [--pid pid]\n"
	"                [--session number]\n"
	"       dpl-call end [-jqv] [-C ledger] [-o operation] [-p participant] [-t timeout]\n"
	"                [--key key] [--result text] [call]\n"
	"       dpl-call fail [-jqv] [-C ledger] [-o operation] [-p participant] [-t timeout]\n"
	"                [--key key] -m error [call]\n"
	"       dpl-call list [-ajqv] [-C ledger] [-o operation] [--by participant]\n"
	"\n"
	"Run a command as a call, watch it, stop it on an abort, and exit with its status.\n"
	"Or track work that is done elsewhere: start prints the call's id, end and fail end it\n"
	"(the call is DPL_CALL where none is named), list shows those that run.\n"
	"\n"
	"  -a, --all                  list ended calls too\n"
	"  -C, --ledger=LEDGER        the ledger (DPL_LEDGER, else _ai/operation_ledger)\n"
	"  -d, --description=TEXT     what the call does; with run (the command line)\n"
	"  -j, --json                 print one JSON object; with run only where it fails itself\n"
	"  -m, --message=ERROR        why it failed\n"
	"  -o, --operation=OPERATION  id, a unique part of it, @ or @@ (DPL_OPERATION)\n"
	"  -p, --participant=NAME     who I am (DPL_PARTICIPANT, else the user)\n"
	"  -q, --quiet                print nothing; with list ids alone\n"
	"  -t, --timeout=DURATION     the longest wait for a lock (DPL_TIMEOUT, else 10s); with\n"
	"                             run -t alone\n"
	"  -v, --verbose              say on stderr what was written where\n"
	"      --aborted-ok           start it although the operation is aborted\n"
	"      --by=PARTICIPANT       list only this one's calls\n"
	"      --fallback=TEXT        its result when it crashes, and the operation goes on\n"
	"      --grace=DURATION       from SIGTERM to SIGKILL when it is stopped (5s)\n"
	"      --id=CALL              the id, instead of a new one\n"
	"      --key=KEY              the same key is carried out once\n"
	"      --leave-orphans        name the processes that the command leaves running, do not\n"
	"                             end them\n"
	"      --no-fail-on-crash     when it crashes, the operation goes on\n"
	"      --on-abort=COMMAND     run this in sh on an abort, instead of SIGTERM\n"
	"      --on-cleanup=COMMAND   run this in sh when the command did not succeed, before its\n"
	"                             temp resources are removed\n"
	"      --on-failure=COMMAND   run this in sh when the operation fails\n"
	"      --parent=CALL          the call that it is part of (DPL_CALL)\n"
	"      --pid=PID              the process that does the work\n"
	"      --result=TEXT          the result; - reads it from stdin\n"
	"      --result-from=SOURCE   the result is in this file, or with stdout what the command\n"
	"                             prints\n"
	"      --session=NUMBER       the session (DPL_SESSION, else my newest)\n"
	"      --timeout=DURATION     with run: stop the command after this time (exit 124)\n"
	"      --watchdog=DURATION    stop it unless it runs dpl-beat so often (exit 124)\n"
	"  -h, --help                 print this\n"
	"  -V, --version              print the version\n"
	"\n"
	"Examples:\n"
	"  dpl-call -d 'compress a.txt' -- gzip a.txt\n"
	"  dpl-call --timeout 10m -- make check\n"
	"  call=$(dpl-call start -d 'compress a.txt'); gzip a.txt; dpl-call end \"$call\"\n";

enum { ABORTED_OK = CLI_OWN, BY, FALLBACK, GRACE, ID, LEAVE_ORPHANS, NO_FAIL_ON_CRASH, ON_ABORT, ON_CLEANUP, ON_FAILURE, PARENT, PID, RESULT, RESULT_FROM, SESSION, TIMEOUT, WATCHDOG };

static const struct option options[] = {
	CLI_LEDGER, CLI_OPERATION, CLI_PARTICIPANT, CLI_TIMEOUT, CLI_OUTPUT, CLI_HELP, CLI_KEY_OPTION,
	{"all", no_argument, NULL, 'a'},
	{"description", required_argument, NULL, 'd'},
	{"message", required_argument, NULL, 'm'},
	{"aborted-ok", no_argument, NULL, ABORTED_OK},
	{"by", required_argument, NULL, BY},
	{"fallback", required_argument, NULL, FALLBACK},
	{"id", required_argument, NULL, ID},
	{"no-fail-on-crash", no_argument, NULL, NO_FAIL_ON_CRASH},
	{"parent", required_argument, NULL, PARENT},
	{"pid", required_argument, NULL, PID},
	{"result", required_argument, NULL, RESULT},
	{"session", required_argument, NULL, SESSION},
	{0},
};

static const char *
call_id(struct cli *c, const char *what, const char *id)
{
	const char *bad = id_bad_call(id);
	if (bad)
		cli_misuse(c, "%s: call '%.80s' %s", what, id, bad);
	return id;
}

/* The call that an operand or DPL_CALL names. */
static const char *
put_call(struct cli *c)
{
	const char *operand = optind < c->argc ? c->argv[optind] : NULL, *call = operand ? operand : getenv("DPL_CALL");
	cli_no_more(c, optind + 1);
	if (!call || !*call)
		cli_misuse(c, "no call: name one, or set DPL_CALL");
	json_put(&c->body, "callId", call_id(c, operand ? "operand" : "DPL_CALL", call));
	return call;
}

static void
start(struct cli *c)
{
	const char *description = NULL, *fallback = NULL, *id = NULL, *parent = NULL, *session = NULL;
	bool unless_aborted = true, contained = false, parent_given = false;
	int64_t pid = 0;
	for (int o; (o = cli_getopt(c, ":C:d:hjo:p:qt:vV", options)) != -1;)
		switch (o) {
		case 'd': description = cli_text(c, "-d", optarg); break;
		case ABORTED_OK: unless_aborted = false; break;
		case FALLBACK: fallback = cli_text(c, "--fallback", optarg); break;
		case ID: id = call_id(c, "--id", optarg); break;
		case NO_FAIL_ON_CRASH: contained = true; break;
		case PARENT:
			parent = optarg;
			parent_given = true;
			break;
		case PID: pid = cli_number(c, "--pid", optarg, 1, INT32_MAX); break;
		case SESSION: session = optarg; break;
		default: cli_misuse(c, "that option does not go with start");
		}
	cli_no_more(c, optind);
	json_put_bool(&c->body, "unlessAborted", unless_aborted);
	if (description)
		json_put(&c->body, "description", description);
	if (fallback)
		json_put(&c->body, "fallback", fallback);
	if (id)
		json_put(&c->body, "callId", id);
	if (contained)
		json_put_bool(&c->body, "failOnCrash", false);
	if (parent_given)
		json_put_bool(&c->body, "parentMustExist", true);
	if (pid)
		json_put_int(&c->body, "participantPid", pid);
	cli_put_operation(c, true);
	cli_put_participant(c);
	if (!parent)
		parent = cli_inherited(c, "DPL_CALL");
	if (!session)
		session = cli_inherited(c, "DPL_SESSION");
	if (parent)
		json_put(&c->body, "parentId", call_id(c, "the parent", parent));
	if (session)
		json_put_int(&c->body, "sessionId", cli_number(c, "the session", session, 1, JSON_INT_MAX));
	cli_request(c, "/call/start");
	if (c->json)
		cli_out_json(c);
	else {
		struct buf text = {0};
		buf_fmt(&c->out, "%s\n", cli_answer(c, 0, "callId", &text));
		buf_free(&text);
	}
}

/* Both ends; old clients get 200 for a call that does not run, here it is an error. */
static void
send_end(struct cli *c, const char *path, const char *call)
{
	struct why why;
	cli_put_operation(c, true);
	cli_put_participant(c);
	cli_request(c, path);
	if (cli_answer_true(c, "unknownCall")) {
		why_set(&why, ERR_NO_CALL, "no call %s in %s", call, c->id);
		why_hint(&why, "dpl-call list --all -o %s", c->id);
		cli_die(c, &why);
	}
	if (cli_answer_true(c, "alreadyEnded")) {
		why_set(&why, ERR_CALL_ENDED, "call %s has ended before in %s", call, c->id);
		cli_die(c, &why);
	}
	cli_say_resources(c, false);
	if (c->json)
		cli_out_json(c);
}

/* --- run --- */

static const struct option run_options[] = {
	CLI_LEDGER, CLI_OPERATION, CLI_PARTICIPANT, CLI_OUTPUT, CLI_HELP,
	{"description", required_argument, NULL, 'd'},
	{"aborted-ok", no_argument, NULL, ABORTED_OK},
	{"fallback", required_argument, NULL, FALLBACK},
	{"grace", required_argument, NULL, GRACE},
	{"id", required_argument, NULL, ID},
	{"leave-orphans", no_argument, NULL, LEAVE_ORPHANS},
	{"no-fail-on-crash", no_argument, NULL, NO_FAIL_ON_CRASH},
	{"on-abort", required_argument, NULL, ON_ABORT},
	{"on-cleanup", required_argument, NULL, ON_CLEANUP},
	{"on-failure", required_argument, NULL, ON_FAILURE},
	{"parent", required_argument, NULL, PARENT},
	{"result-from", required_argument, NULL, RESULT_FROM},
	{"session", required_argument, NULL, SESSION},
	{"timeout", required_argument, NULL, TIMEOUT},
	{"watchdog", required_argument, NULL, WATCHDOG},
	{0},
};

static void
read_run(struct cli *c, struct supervise *s)
{
	for (int o; (o = cli_getopt(c, "+:C:d:hjo:p:qt:vV", run_options)) != -1;)
		switch (o) {
		case 'd': s->call.description = cli_text(c, "-d", optarg); break;
		case ABORTED_OK: s->call.aborted_ok = true; break;
		case FALLBACK: s->call.fallback = cli_text(c, "--fallback", optarg); break;
		case GRACE: s->grace_ms = cli_duration(c, "--grace", optarg); break;
		case ID: s->call.id = call_id(c, "--id", optarg); break;
		case LEAVE_ORPHANS: s->leave_orphans = true; break;
		case NO_FAIL_ON_CRASH: s->call.fail_on_crash = false; break;
		case ON_ABORT: s->on_abort = cli_text(c, "--on-abort", optarg); break;
		case ON_CLEANUP: s->duties.on_cleanup = cli_text(c, "--on-cleanup", optarg); break;
		case ON_FAILURE: s->duties.on_failure = cli_text(c, "--on-failure", optarg); break;
		case PARENT:
			s->call.parent = call_id(c, "--parent", optarg);
			s->call.parent_must_exist = true;
			break;
		case RESULT_FROM: s->result_from = optarg; break;
		case SESSION: s->call.session = optarg; break;
		case TIMEOUT:
			if ((s->timeout_ms = cli_duration(c, "--timeout", optarg)) == 0)
				cli_misuse(c, "--timeout: no time is left to run in");
			break;
		case WATCHDOG:
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
	s->argv = c->argv + optind;
}

/* End as the command did: of its signal, where the caller's shell looks at that. */
static _Noreturn void
end_like(struct cli *c, const struct supervised *end)
{
	int sig = end->signal;
	sigset_t all;
	if (sig == SIGINT || sig == SIGTERM || sig == SIGHUP || sig == SIGQUIT) {
		client_finish(&c->client);
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

static _Noreturn void
run(struct cli *c)
{
	struct supervise s = {.call.fail_on_crash = true, .grace_ms = 5000,
		.origin = {.umask = c->umask, .ignore_sigpipe = c->ignore_sigpipe, .ignore_sigxfsz = c->ignore_sigxfsz, .closed = c->closed}};
	struct supervised end;
	struct why why;
	/* Without -- this is no command to run but a slip of the pen: an ordinary misuse. */
	for (int i = 1; i < c->argc && !c->failure; i++)
		c->failure = strcmp(c->argv[i], "--") == 0 ? COMMAND_SELF : 0;
	read_run(c, &s);
	c->notice.say = say_if_read;
	cli_put_operation(c, true);
	cli_again(c);
	cli_open(c);
	s.call.watchdog = s.watchdog_ms > 0;
	s.call.operation = c->id;
	s.call.participant = cli_participant(c);
	if (!s.call.parent && (s.call.parent = cli_inherited(c, "DPL_CALL")))
		(void)call_id(c, "DPL_CALL", s.call.parent);
	if (!s.call.session)
		s.call.session = cli_inherited(c, "DPL_SESSION");
	if (s.call.session)
		(void)cli_number(c, "the session", s.call.session, 1, JSON_INT_MAX);
	if (s.watchdog_ms && c->client.remote)
		cli_misuse(c, "--watchdog needs a ledger that is a folder");
	s.duties.umask = c->umask;
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

/* --- end, fail --- */

static void
end(struct cli *c)
{
	const char *result = NULL;
	struct buf input = {0};
	for (int o; (o = cli_getopt(c, ":C:hjo:p:qt:vV", options)) != -1;)
		if (o == RESULT)
			result = cli_text(c, "--result", optarg);
		else
			cli_misuse(c, "that option does not go with end");
	const char *call = put_call(c);
	if (result && strcmp(result, "-") == 0) {
		cli_stdin(c, "the result", &input);
		result = input.p;
	}
	if (result)
		json_put(&c->body, "result", result);
	buf_free(&input);
	send_end(c, "/call/end", call);
}

static void
fail(struct cli *c)
{
	const char *error = NULL;
	for (int o; (o = cli_getopt(c, ":C:hjm:o:p:qt:vV", options)) != -1;)
		if (o == 'm')
			error = cli_text(c, "-m", optarg);
		else
			cli_misuse(c, "that option does not go with fail");
	const char *call = put_call(c);
	if (!error)
		cli_misuse(c, "why did it fail? say so with -m");
	json_put(&c->body, "error", error);
	send_end(c, "/call/fail", call);
}

static enum colour
state_colour(const char *state)
{
	if (strcmp(state, "running") == 0)
		return CYAN;
	return strcmp(state, "ended") == 0 ? GREEN : RED;
}

static void
table(struct cli *c, int calls)
{
	struct render_table t = {.columns = 5, .right = {false, false, false, true, false}};
	struct buf cell = {0};
	for (int k = json_first(&c->answer, calls); k >= 0; k = json_next(&c->answer, calls, k)) {
		render_cell(&t, PLAIN, cli_answer(c, k, "callId", &cell));
		render_cell(&t, PLAIN, cli_answer(c, k, "participantId", &cell));
		const char *state = cli_answer(c, k, "state", &cell);
		render_cell(&t, state_colour(state), state);
		buf_clear(&cell);
		render_duration(&cell, cli_answer_int(c, k, "durationMs"));
		render_cell(&t, PLAIN, cell.p);
		render_cell(&t, PLAIN, cli_answer(c, k, "description", &cell));
	}
	render_table(&c->out, &t, 0, render_colour(NULL));
	buf_free(&cell);
}

static void
list(struct cli *c)
{
	const char *by = NULL;
	bool all = false;
	for (int o; (o = cli_getopt(c, ":aC:hjo:qvV", options)) != -1;)
		switch (o) {
		case 'a': all = true; break;
		case BY:
			by = optarg;
			if (id_bad_participant(by))
				cli_misuse(c, "--by: participant '%.80s' %s", by, id_bad_participant(by));
			break;
		default: cli_misuse(c, "that option does not go with list");
		}
	if (c->key)
		cli_misuse(c, "--key goes with a change");
	cli_no_more(c, optind);
	if (all)
		json_put_bool(&c->body, "all", true);
	if (by)
		json_put(&c->body, "participantId", by);
	cli_put_operation(c, false);
	cli_request(c, "/call/list");
	int calls = json_get(&c->answer, 0, "calls");
	struct buf id = {0};
	if (c->json)
		cli_out_json(c);
	else if (!c->quiet)
		table(c, calls);
	else
		for (int k = json_first(&c->answer, calls); k >= 0; k = json_next(&c->answer, calls, k))
			buf_fmt(&c->out, "%s\n", cli_answer(c, k, "callId", &id));
	buf_free(&id);
	c->quiet = false; /* the ids are the result that was asked for */
}

int
main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(struct cli *c);
	} verbs[] = {{"start", start}, {"end", end}, {"fail", fail}, {"list", list}, {"run", run}};
	struct cli c;
	cli_begin(&c, argc, argv, usage);
	const char *verb = argc > 1 ? argv[1] : "";
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
		if (strcmp(verb, verbs[i].name) == 0) {
			optind = 2;
			verbs[i].run(&c);
			cli_finish(&c, EXIT_DONE);
		}
	if (*verb == '-')
		run(&c);
	if (*verb)
		cli_misuse(&c, "'%.100s' is not one of run, start, end, fail, list, and -- does not stand before a command", verb);
	cli_misuse(&c, "a command behind -- is needed, or one of run, start, end, fail, list");
}
