/* dpl-call - run a command as a call, in the background too; wait for calls, end and list them */
#include <signal.h>
#include <string.h>
#include <strings.h>

#include "cli_call.h"
#include "cli_calls.h"
#include "cli_left.h"
#include "cli_run.h"
#include "cli_sync.h"
#include "num.h"
#include "proc.h"

static const char usage[] =
	"usage: dpl-call [run] [-jqv] [-C ledger] [-d description] [-o operation] [-p participant]\n"
	"                [-t timeout] [--aborted-ok] [--fallback text] [--fallback-command command]\n"
	"                [--grace duration] [--group name] [--id call] [--keep-result]\n"
	"                [--leave-orphans] [--no-fail-on-crash] [--on-abort command]\n"
	"                [--on-cleanup command] [--on-completion command] [--on-crash command]\n"
	"                [--on-failure command] [--on-lost word] [--parent call]\n"
	"                [--result-from source] [--result-json] [--session number]\n"
	"                [--slots number] [--timeout duration] [--watchdog duration]\n"
	"                -- command [argument ...]\n"
	"       dpl-call spawn [--output-max size] [option ...] -- command [argument ...]\n"
	"       dpl-call start [-jqv] [-C ledger] [-d description] [-o operation] [-p participant]\n"
	"                [-t timeout] [--aborted-ok] [--fallback text] [--id call] [--key key]\n"
	"                [--no-fail-on-crash] [--parent call] [--pid pid] [--session number]\n"
	"       dpl-call end [-jqv] [-C ledger] [-o operation] [-p participant] [-t timeout]\n"
	"                [--key key] [--result text] [call]\n"
	"       dpl-call fail [-jqv] [-C ledger] [-o operation] [-p participant] [-t timeout]\n"
	"                [--key key] -m error [call]\n"
	"       dpl-call sync [-jqv] [-C ledger] [-o operation] [-p participant] [-t timeout]\n"
	"                [-a | --any | --first-fail | --count number] [--group name]\n"
	"                [--session number] [call ...]\n"
	"       dpl-call wait [-jqv] [-C ledger] [-o operation] [-p participant] [-t timeout]\n"
	"                [call]\n"
	"       dpl-call result [-jqv] [-C ledger] [-o operation] [-p participant] [-t timeout]\n"
	"                [--or text] [call]\n"
	"       dpl-call output [-fjqv] [-C ledger] [-o operation] [-p participant] [-t timeout]\n"
	"                [--err] [--from offset | --tail bytes] [call]\n"
	"       dpl-call cancel [-jqv] [-C ledger] [-m reason] [-o operation] [-p participant]\n"
	"                [-t timeout] [--key key] [call]\n"
	"       dpl-call cancelled [-jqv] [-C ledger] [-o operation] [-p participant] [-t timeout]\n"
	"                [call]\n"
	"       dpl-call kill [-jqv] [-C ledger] [-o operation] [-p participant] [-s signal]\n"
	"                [-t timeout] [call]\n"
	"       dpl-call list [-ajqv] [-C ledger] [-o operation] [--by participant] [--group name]\n"
	"                [--session number] [--tree]\n"
	"\n"
	"Run a command as a call, watch it, stop it on an abort, and exit with its status; with\n"
	"spawn in the background, with all options of run, and print the call's id at once.\n"
	"sync waits for some or all of those, wait for one, and exits with its status; result and\n"
	"output print what they left; cancel and kill end them; list shows those that run.\n"
	"start tracks work that is done elsewhere, end and fail end that.  Where no call is named\n"
	"it is DPL_CALL.\n"
	"\n"
	"  -a, --all                  list ended calls too; with sync --all: all must succeed\n"
	"  -C, --ledger=LEDGER        the ledger (DPL_LEDGER, else _ai/operation_ledger)\n"
	"  -d, --description=TEXT     what the call does; with run (the command line)\n";

static const char help[] =
	"  -f, --follow               go on with the output until the call is over\n"
	"  -j, --json                 print one JSON object; with run only where it fails itself\n"
	"  -m, --message=TEXT         why it failed, or is cancelled\n"
	"  -o, --operation=OPERATION  id, a unique part of it, @ or @@ (DPL_OPERATION)\n"
	"  -p, --participant=NAME     who I am (DPL_PARTICIPANT, else the user)\n"
	"  -q, --quiet                print nothing; with list ids alone\n"
	"  -s, --signal=SIGNAL        which signal to send (TERM)\n"
	"  -t, --timeout=DURATION     the longest wait of sync and wait (for ever), else for a lock\n"
	"                             (DPL_TIMEOUT, else 10s); with run and spawn -t alone\n"
	"  -v, --verbose              say on stderr what was written where\n"
	"      --aborted-ok           start it although the operation is aborted\n"
	"      --any                  sync: one that succeeds is enough\n"
	"      --by=PARTICIPANT       list only this one's calls\n"
	"      --count=NUMBER         sync: so many that succeed are enough\n"
	"      --err                  the output on stderr, instead of stdout\n"
	"      --fallback=TEXT        its result when it fails or crashes, and the operation goes on\n"
	"      --fallback-command=COMMAND\n"
	"                             what this prints in sh is its result when it fails\n"
	"      --first-fail           sync: over with the first that fails\n"
	"      --from=OFFSET          the output from this byte on\n"
	"      --grace=DURATION       from SIGTERM to SIGKILL when it is stopped (5s)\n"
	"      --group=NAME           the group of calls that it is one of, or to sync or list\n"
	"      --id=CALL              the id, instead of a new one\n"
	"      --keep-result          do not remove the file of --result-from\n"
	"      --key=KEY              the same key is carried out once\n"
	"      --leave-orphans        name the processes that the command leaves running, do not\n"
	"                             end them\n"
	"      --no-fail-on-crash     when it crashes, the operation goes on\n"
	"      --on-abort=COMMAND     run this in sh on an abort, instead of SIGTERM\n"
	"      --on-cleanup=COMMAND   run this in sh when the command did not succeed, before its\n"
	"                             temp resources are removed\n"
	"      --on-completion=COMMAND  run this in sh when the command has succeeded\n"
	"      --on-crash=COMMAND     run this in sh when the command has failed by itself\n"
	"      --on-failure=COMMAND   run this in sh when the operation fails\n"
	"      --on-lost=WORD         where the server is away for too long: continue, which is\n"
	"                             the default, or stop\n"
	"      --or=TEXT              print this where there is no result\n"
	"      --output-max=SIZE      keep so much of the end of stdout, and of stderr (16M)\n"
	"      --parent=CALL          the call that it is part of (DPL_CALL)\n"
	"      --pid=PID              the process that does the work\n"
	"      --result=TEXT          the result; - reads it from stdin\n"
	"      --result-from=SOURCE   the result is in this file, or with stdout what the command\n"
	"                             prints\n"
	"      --result-json          the result must be JSON, else the call fails\n"
	"      --session=NUMBER       the session (DPL_SESSION, else my newest)\n"
	"      --slots=NUMBER         wait until less than so many of its group run\n"
	"      --tail=BYTES           the end of the output, so much of it\n"
	"      --timeout=DURATION     with run and spawn: stop the command after this time (exit\n"
	"                             124)\n"
	"      --tree                 list each call below the one that it is part of\n"
	"      --watchdog=DURATION    stop it unless it runs dpl-beat so often (exit 124)\n"
	"  -h, --help                 print this\n"
	"  -V, --version              print the version\n"
	"\n"
	"Examples:\n"
	"  dpl-call -d 'compress a.txt' -- gzip a.txt\n"
	"  dpl-call --timeout 10m -- make check\n"
	"  for f in *.txt; do dpl-call spawn --slots 4 -- gzip \"$f\"; done; dpl-call sync\n"
	"  call=$(dpl-call start -d 'compress a.txt'); gzip a.txt; dpl-call end \"$call\"\n";

#define VERBS "run, spawn, start, end, fail, sync, wait, result, output, cancel, cancelled, kill, list"

static const struct option options[] = {
	CLI_LEDGER, CLI_OPERATION, CLI_PARTICIPANT, CLI_TIMEOUT, CLI_OUTPUT, CLI_HELP, CLI_KEY_OPTION,
	{"description", required_argument, NULL, 'd'},
	{"message", required_argument, NULL, 'm'},
	{"aborted-ok", no_argument, NULL, CALL_ABORTED_OK},
	{"fallback", required_argument, NULL, CALL_FALLBACK},
	{"id", required_argument, NULL, CALL_ID},
	{"no-fail-on-crash", no_argument, NULL, CALL_NO_FAIL_ON_CRASH},
	{"parent", required_argument, NULL, CALL_PARENT},
	{"pid", required_argument, NULL, CALL_PID},
	{"result", required_argument, NULL, CALL_RESULT},
	{"signal", required_argument, NULL, 's'},
	{"session", required_argument, NULL, CALL_SESSION},
	{0},
};

static void
start(struct cli *c)
{
	const char *description = NULL, *fallback = NULL, *id = NULL, *parent = NULL, *session = NULL;
	bool unless_aborted = true, contained = false, parent_given = false;
	int64_t pid = 0;
	for (int o; (o = cli_getopt(c, ":C:d:hjo:p:qt:vV", options)) != -1;)
		switch (o) {
		case 'd': description = cli_text(c, "-d", optarg); break;
		case CALL_ABORTED_OK: unless_aborted = false; break;
		case CALL_FALLBACK: fallback = cli_text(c, "--fallback", optarg); break;
		case CALL_ID: id = cli_call_id(c, "--id", optarg); break;
		case CALL_NO_FAIL_ON_CRASH: contained = true; break;
		case CALL_PARENT:
			parent = optarg;
			parent_given = true;
			break;
		case CALL_PID: pid = cli_number(c, "--pid", optarg, 1, INT32_MAX); break;
		case CALL_SESSION: session = optarg; break;
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
	if (pid) {
		cli_put_origin(c, pid);
		json_put_int(&c->body, "pidNs", (int64_t)proc_namespace("pid"));
	}
	cli_put_operation(c, true);
	cli_put_participant(c);
	if (!parent)
		parent = cli_inherited(c, "DPL_CALL");
	if (!session)
		session = cli_inherited(c, "DPL_SESSION");
	if (parent)
		json_put(&c->body, "parentId", cli_call_id(c, "the parent", parent));
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

/* --- end, fail --- */

static void
end(struct cli *c)
{
	const char *result = NULL;
	struct buf input = {0};
	for (int o; (o = cli_getopt(c, ":C:hjo:p:qt:vV", options)) != -1;)
		if (o == CALL_RESULT)
			result = cli_text(c, "--result", optarg);
		else
			cli_misuse(c, "that option does not go with end");
	const char *call = cli_put_call(c);
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
	const char *call = cli_put_call(c);
	if (!error)
		cli_misuse(c, "why did it fail? say so with -m");
	json_put(&c->body, "error", error);
	send_end(c, "/call/fail", call);
}

/* --- cancel, kill, cancelled --- */

static void
cancel(struct cli *c)
{
	const char *reason = NULL;
	for (int o; (o = cli_getopt(c, ":C:hjm:o:p:qt:vV", options)) != -1;)
		if (o == 'm')
			reason = cli_text(c, "-m", optarg);
		else
			cli_misuse(c, "that option does not go with cancel");
	const char *call = cli_put_call(c);
	if (reason)
		json_put(&c->body, "reason", reason);
	send_end(c, "/call/cancel", call);
}

/* A signal by its name, with SIG before it or not, or its number. */
static int
signal_of(struct cli *c, const char *text)
{
	static const struct {
		const char *name;
		int number;
	} names[] = {{"HUP", SIGHUP}, {"INT", SIGINT}, {"QUIT", SIGQUIT}, {"ABRT", SIGABRT}, {"KILL", SIGKILL}, {"USR1", SIGUSR1}, {"USR2", SIGUSR2},
		{"PIPE", SIGPIPE}, {"ALRM", SIGALRM}, {"TERM", SIGTERM}, {"CONT", SIGCONT}, {"STOP", SIGSTOP}, {"TSTP", SIGTSTP}, {"WINCH", SIGWINCH}};
	const char *name = strncasecmp(text, "SIG", 3) == 0 ? text + 3 : text;
	int64_t number;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcasecmp(name, names[i].name) == 0)
			return names[i].number;
	if (num_int(text, strlen(text), 0, SIGRTMAX, &number) < 0)
		cli_misuse(c, "-s: '%.40s' is no signal", text);
	return (int)number;
}

static void
send_signal(struct cli *c)
{
	int sig = SIGTERM;
	for (int o; (o = cli_getopt(c, ":C:hjo:p:qs:t:vV", options)) != -1;)
		if (o == 's')
			sig = signal_of(c, optarg);
		else
			cli_misuse(c, "that option does not go with kill");
	if (c->key)
		cli_misuse(c, "--key goes with a change of the ledger");
	const char *call = cli_put_call(c);
	json_put_int(&c->body, "signal", sig);
	send_end(c, "/call/kill", call);
}

static void
cancelled(struct cli *c)
{
	for (int o; (o = cli_getopt(c, ":C:hjo:p:qt:vV", options)) != -1;)
		cli_misuse(c, "that option does not go with cancelled");
	if (c->key)
		cli_misuse(c, "--key goes with a change of the ledger");
	const char *call = cli_put_call(c);
	cli_put_operation(c, false);
	int k = cli_ask_call(c, call);
	struct buf b = {0};
	const char *state = cli_answer(c, k, "state", &b);
	bool is = strcmp(state, "cancelling") == 0 || strcmp(state, "cancelled") == 0 || cli_answer_true(c, "aborted");
	if (c->json) {
		json_open(&c->out, NULL, '{');
		json_put_bool(&c->out, "ok", true);
		json_put_bool(&c->out, "cancelled", is);
		json_put(&c->out, "callId", call);
		json_put(&c->out, "state", state);
		json_put_bool(&c->out, "aborted", cli_answer_true(c, "aborted"));
		json_close(&c->out, '}');
		buf_char(&c->out, '\n');
	}
	buf_free(&b);
	c->verbose = false;
	cli_finish(c, is ? EXIT_DONE : EXIT_NO);
}

int
main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(struct cli *c);
	} verbs[] = {
		{"run", cli_run}, {"spawn", cli_spawn}, {"start", start}, {"end", end}, {"fail", fail}, {"sync", cli_sync}, {"wait", cli_wait},
		{"result", cli_result}, {"output", cli_output}, {"cancel", cancel}, {"cancelled", cancelled}, {"kill", send_signal}, {"list", cli_list},
	};
	struct cli c;
	cli_begin(&c, argc, argv, usage);
	c.help = help;
	const char *verb = argc > 1 ? argv[1] : "";
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
		if (strcmp(verb, verbs[i].name) == 0) {
			optind = 2;
			verbs[i].run(&c);
			cli_finish(&c, EXIT_DONE);
		}
	if (*verb == '-')
		cli_run(&c);
	if (*verb)
		cli_misuse(&c, "'%.100s' is not one of " VERBS ", and -- does not stand before a command", verb);
	cli_misuse(&c, "a command behind -- is needed, or one of " VERBS);
}
