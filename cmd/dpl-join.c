/* dpl-join - take part in an operation */
#include "cli_keeper.h"

static const char usage[] =
	"usage: dpl-join [-ejqv] [-C ledger] [-o operation] [-p participant] [-t timeout]\n"
	"                [--grace duration] [--keep pid] [--key key] [--on-cleanup command]\n"
	"                [--on-failure command] [--pid pid] [--ttl duration]\n"
	"\n"
	"Join an operation, a new session each time, and print the session's number.\n"
	"\n"
	"  -C, --ledger=LEDGER        the ledger (DPL_LEDGER, else _ai/operation_ledger)\n"
	"  -e, --export               print export lines for eval instead; without a name\n"
	"                             given, USER-2 and so on where USER takes part already\n"
	"  -j, --json                 print one JSON object\n"
	"  -o, --operation=OPERATION  id, a unique part of it, @ or @@ (DPL_OPERATION)\n"
	"  -p, --participant=NAME     who I am (DPL_PARTICIPANT, else the user)\n"
	"  -q, --quiet                print nothing\n"
	"  -t, --timeout=DURATION     the longest wait for a lock (DPL_TIMEOUT, else 10s)\n"
	"  -v, --verbose              say on stderr what was written where\n"
	"      --grace=DURATION       with --keep: from SIGTERM to SIGKILL on an abort (5s)\n"
	"      --keep=PID             start a keeper for this process, as dpl-beat --keep does\n"
	"      --key=KEY              the same key gives the same session again\n"
	"      --on-cleanup=COMMAND   with --keep: run this in sh when that process was stopped or has\n"
	"                             died, or somebody else has\n"
	"      --on-failure=COMMAND   with --keep: run this in sh when the operation fails\n"
	"      --pid=PID              the process that takes part (the caller)\n"
	"      --ttl=DURATION         how long this lease lasts without a command\n"
	"  -h, --help                 print this\n"
	"  -V, --version              print the version\n"
	"\n"
	"Examples:\n"
	"  session=$(dpl-join -o \"$op\" -p worker-1)\n"
	"  eval \"$(dpl-join --export -o @@)\"\n";

enum { GRACE = CLI_OWN, KEEP, ON_CLEANUP, ON_FAILURE, PID, TTL };

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		CLI_LEDGER, CLI_OPERATION, CLI_PARTICIPANT, CLI_TIMEOUT, CLI_OUTPUT, CLI_HELP, CLI_KEY_OPTION,
		{"export", no_argument, NULL, 'e'},
		{"grace", required_argument, NULL, GRACE},
		{"keep", required_argument, NULL, KEEP},
		{"on-cleanup", required_argument, NULL, ON_CLEANUP},
		{"on-failure", required_argument, NULL, ON_FAILURE},
		{"pid", required_argument, NULL, PID},
		{"ttl", required_argument, NULL, TTL},
		{0},
	};
	struct cli c;
	bool exports = false;
	int64_t pid = 0, ttl = -1;
	struct cli_kept kept = {0};
	cli_begin(&c, argc, argv, usage);
	for (int o; (o = cli_getopt(&c, ":C:ehjo:p:qt:vV", options)) != -1;)
		switch (o) {
		case 'e': exports = true; break;
		case GRACE: (void)cli_duration(&c, "--grace", kept.grace = optarg); break;
		case KEEP: kept.pid = cli_number(&c, "--keep", optarg, 1, INT32_MAX); break;
		case ON_CLEANUP: kept.on_cleanup = cli_text(&c, "--on-cleanup", optarg); break;
		case ON_FAILURE: kept.on_failure = cli_text(&c, "--on-failure", optarg); break;
		case PID: pid = cli_number(&c, "--pid", optarg, 1, INT32_MAX); break;
		case TTL: ttl = cli_duration(&c, "--ttl", optarg); break;
		}
	cli_no_more(&c, optind);
	cli_check_kept(&c, &kept);
	if (exports && !cli_participant_given(&c))
		json_put_bool(&c.body, "mint", true);
	cli_put_operation(&c, true);
	cli_put_participant(&c);
	cli_put_origin(&c, pid ? pid : kept.pid);
	if (kept.pid)
		json_put_bool(&c.body, "keep", true);
	if (ttl >= 0)
		json_put_int(&c.body, "ttlMs", ttl);
	cli_request(&c, "/operation/join");
	if (kept.pid)
		cli_keep(&c, &kept, "/operation/leave");
	if (c.json)
		cli_out_json(&c);
	else if (exports)
		cli_out_exports(&c);
	else
		buf_fmt(&c.out, "%lld\n", (long long)cli_answer_int(&c, 0, "sessionId"));
	cli_finish(&c, EXIT_DONE);
}
