/* dpl-complete - end an operation and archive it */
#include "cli.h"
#include "cli_left.h"

static const char usage[] =
	"usage: dpl-complete [-jqv] [-C ledger] [-m reason] [-o operation] [-p participant]\n"
	"                    [-t timeout] [--cancel] [--failed] [--key key]\n"
	"\n"
	"End an operation, as its initiator, move it to backup/, and print the end:\n"
	"completed; completed, aborted; or failed.\n"
	"\n"
	"  -C, --ledger=LEDGER        the ledger (DPL_LEDGER, else _ai/operation_ledger)\n"
	"  -j, --json                 print one JSON object\n"
	"  -m, --message=REASON       why it ends so\n"
	"  -o, --operation=OPERATION  id, a unique part of it, @ or @@ (DPL_OPERATION)\n"
	"  -p, --participant=NAME     who I am (DPL_PARTICIPANT, else the user)\n"
	"  -q, --quiet                print nothing\n"
	"  -t, --timeout=DURATION     the longest wait for a lock (DPL_TIMEOUT, else 10s)\n"
	"  -v, --verbose              say on stderr what was written where\n"
	"      --cancel               cancel the calls that still run\n"
	"      --failed               the operation failed\n"
	"      --key=KEY              the same key is carried out once\n"
	"  -h, --help                 print this\n"
	"  -V, --version              print the version\n"
	"\n"
	"Examples:\n"
	"  dpl-complete\n"
	"  dpl-complete -o \"$op\" --failed -m '3 of 40 files are missing'\n";

enum { CANCEL = CLI_OWN, FAILED };

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		CLI_LEDGER, CLI_OPERATION, CLI_PARTICIPANT, CLI_TIMEOUT, CLI_OUTPUT, CLI_HELP, CLI_KEY_OPTION,
		{"message", required_argument, NULL, 'm'},
		{"cancel", no_argument, NULL, CANCEL},
		{"failed", no_argument, NULL, FAILED},
		{0},
	};
	struct cli c;
	struct buf state = {0};
	const char *reason = NULL;
	bool cancel = false, failed = false;
	cli_begin(&c, argc, argv, usage);
	for (int o; (o = cli_getopt(&c, ":C:hjm:o:p:qt:vV", options)) != -1;)
		switch (o) {
		case 'm': reason = cli_text(&c, "-m", optarg); break;
		case CANCEL: cancel = true; break;
		case FAILED: failed = true; break;
		}
	cli_no_more(&c, optind);
	cli_put_operation(&c, true);
	cli_put_participant(&c);
	if (reason)
		json_put(&c.body, "reason", reason);
	if (cancel)
		json_put_bool(&c.body, "cancelPendingCalls", true);
	if (failed)
		json_put_bool(&c.body, "failed", true);
	cli_request(&c, "/operation/complete");
	cli_say_resources(&c, c.verbose);
	if (c.json)
		cli_out_json(&c);
	else
		buf_fmt(&c.out, "%s%s\n", cli_answer(&c, 0, "state", &state),
			!failed && cli_answer_true(&c, "aborted") ? ", aborted" : "");
	buf_free(&state);
	cli_finish(&c, EXIT_DONE);
}
