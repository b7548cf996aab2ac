/* dpl-create - begin an operation */
#include "cli_keeper.h"

static const char usage[] =
	"usage: dpl-create [-ejqv] [-C ledger] [-d description] [-p participant] [-t timeout]\n"
	"                  [--beat duration] [--grace duration] [--jitter duration] [--keep pid]\n"
	"                  [--key key] [--on-cleanup command] [--on-failure command] [--pid pid]\n"
	"                  [--stale duration] [--ttl duration] [--window duration]\n"
	"\n"
	"Begin an operation, with the participant as its initiator, and print its id.\n"
	"\n"
	"  -C, --ledger=LEDGER        the ledger (DPL_LEDGER, else _ai/operation_ledger)\n"
	"  -d, --description=TEXT     what it is for\n"
	"  -e, --export               print export lines for eval instead\n"
	"  -j, --json                 print one JSON object\n"
	"  -p, --participant=NAME     who I am (DPL_PARTICIPANT, else the user)\n"
	"  -q, --quiet                print nothing\n"
	"  -t, --timeout=DURATION     the longest wait for a lock (DPL_TIMEOUT, else 10s)\n"
	"  -v, --verbose              say on stderr what was written where\n"
	"      --beat=DURATION        how often the held ones beat (4.5s)\n"
	"      --grace=DURATION       with --keep: from SIGTERM to SIGKILL on an abort (5s)\n"
	"      --jitter=DURATION      what is added at random to that (0.5s)\n"
	"      --keep=PID             start a keeper for this process, as dpl-beat --keep does\n"
	"      --key=KEY              the same key gives the same operation again\n"
	"      --on-cleanup=COMMAND   with --keep: run this in sh when that process was stopped or has\n"
	"                             died, or somebody else has\n"
	"      --on-failure=COMMAND   with --keep: run this in sh when the operation fails\n"
	"      --pid=PID              the process that takes part (the caller)\n"
	"      --stale=DURATION       a beat that is older is stale (10s)\n"
	"      --ttl=DURATION         how long a lease lasts without a command (15m)\n"
	"      --window=DURATION      how long a cleanup waits for the others (two beats)\n"
	"  -h, --help                 print this\n"
	"  -V, --version              print the version\n"
	"\n"
	"Examples:\n"
	"  op=$(dpl-create -d 'nightly build')\n"
	"  eval \"$(dpl-create --export -p builder)\"\n";

enum { BEAT = CLI_OWN, JITTER, STALE, TTL, WINDOW, GRACE, KEEP, ON_CLEANUP, ON_FAILURE, PID };

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		CLI_LEDGER, CLI_PARTICIPANT, CLI_TIMEOUT, CLI_OUTPUT, CLI_HELP, CLI_KEY_OPTION,
		{"description", required_argument, NULL, 'd'},
		{"export", no_argument, NULL, 'e'},
		{"beat", required_argument, NULL, BEAT},
		{"jitter", required_argument, NULL, JITTER},
		{"grace", required_argument, NULL, GRACE},
		{"keep", required_argument, NULL, KEEP},
		{"on-cleanup", required_argument, NULL, ON_CLEANUP},
		{"on-failure", required_argument, NULL, ON_FAILURE},
		{"pid", required_argument, NULL, PID},
		{"stale", required_argument, NULL, STALE},
		{"ttl", required_argument, NULL, TTL},
		{"window", required_argument, NULL, WINDOW},
		{0},
	};
	/* In the order of their options. */
	static const char *const members[] = {"beatMs", "jitterMs", "staleMs", "ttlMs", "windowMs"};
	int64_t times[] = {-1, -1, -1, -1, -1};
	struct cli c;
	const char *description = NULL;
	bool exports = false;
	int64_t pid = 0;
	struct cli_kept kept = {0};
	cli_begin(&c, argc, argv, usage);
	for (int o; (o = cli_getopt(&c, ":C:d:ehjp:qt:vV", options)) != -1;)
		switch (o) {
		case 'd': description = cli_text(&c, "-d", optarg); break;
		case 'e': exports = true; break;
		case BEAT: times[o - BEAT] = cli_duration(&c, "--beat", optarg); break;
		case JITTER: times[o - BEAT] = cli_duration(&c, "--jitter", optarg); break;
		case GRACE: (void)cli_duration(&c, "--grace", kept.grace = optarg); break;
		case KEEP: kept.pid = cli_number(&c, "--keep", optarg, 1, INT32_MAX); break;
		case ON_CLEANUP: kept.on_cleanup = cli_text(&c, "--on-cleanup", optarg); break;
		case ON_FAILURE: kept.on_failure = cli_text(&c, "--on-failure", optarg); break;
		case PID: pid = cli_number(&c, "--pid", optarg, 1, INT32_MAX); break;
		case STALE: times[o - BEAT] = cli_duration(&c, "--stale", optarg); break;
		case TTL: times[o - BEAT] = cli_duration(&c, "--ttl", optarg); break;
		case WINDOW: times[o - BEAT] = cli_duration(&c, "--window", optarg); break;
		}
	cli_no_more(&c, optind);
	cli_check_kept(&c, &kept);
	if (description)
		json_put(&c.body, "description", description);
	for (size_t i = 0; i < sizeof times / sizeof *times; i++)
		if (times[i] >= 0)
			json_put_int(&c.body, members[i], times[i]);
	cli_put_participant(&c);
	cli_put_origin(&c, pid ? pid : kept.pid);
	cli_request(&c, "/operation/create");
	if (kept.pid)
		cli_keep(&c, &kept, "/operation/complete");
	if (c.json)
		cli_out_json(&c);
	else if (exports)
		cli_out_exports(&c);
	else {
		struct buf id = {0};
		buf_fmt(&c.out, "%s\n", cli_answer(&c, 0, "operationId", &id));
		buf_free(&id);
	}
	cli_finish(&c, EXIT_DONE);
}
