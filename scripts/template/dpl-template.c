/* dpl-template - print the state of an operation */
#include "cli.h"

static const char usage[] =
	"usage: dpl-template [-jqv] [-C ledger] [-o operation] [-p participant] [-t timeout]\n"
	"\n"
	"Print the state of an operation: running, completed or failed.\n"
	"\n"
	"  -C, --ledger=LEDGER        the ledger (DPL_LEDGER, else _ai/operation_ledger)\n"
	"  -j, --json                 print one JSON object\n"
	"  -o, --operation=OPERATION  id, a unique part of it, @ or @@ (DPL_OPERATION)\n"
	"  -p, --participant=NAME     who I am, for @ (DPL_PARTICIPANT, else the user)\n"
	"  -q, --quiet                print nothing\n"
	"  -t, --timeout=DURATION     the longest wait for a lock (DPL_TIMEOUT, else 10s)\n"
	"  -v, --verbose              say on stderr what was written where\n"
	"  -h, --help                 print this\n"
	"  -V, --version              print the version\n"
	"\n"
	"Examples:\n"
	"  dpl-template -o @@\n"
	"  dpl-template --json -o \"$op\"\n";

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		CLI_LEDGER, CLI_OPERATION, CLI_PARTICIPANT, CLI_TIMEOUT, CLI_OUTPUT, CLI_HELP, {0},
	};
	struct cli c;
	struct buf state = {0};
	cli_begin(&c, argc, argv, usage);
	/* Options of the tool's own come out of this: a loop and a switch, as in dpl-leave.c. */
	(void)cli_getopt(&c, ":C:hjo:p:qt:vV", options);
	cli_no_more(&c, optind);
	cli_put_operation(&c, false);
	cli_request(&c, "/operation/state");
	if (c.json)
		cli_out_json(&c);
	else if (!c.quiet)
		buf_fmt(&c.out, "%s\n", cli_answer(&c, 0, "state", &state));
	buf_free(&state);
	cli_finish(&c, EXIT_DONE);
}
