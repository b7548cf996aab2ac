/* dpl-leave - end a session of a participant */
#include "cli.h"
#include "cli_left.h"

static const char usage[] =
	"usage: dpl-leave [-jqv] [-C ledger] [-o operation] [-p participant] [-t timeout]\n"
	"                 [--cancel] [--key key] [--session number]\n"
	"\n"
	"End a session: the one that --session or DPL_SESSION names, else my newest.\n"
	"\n"
	"  -C, --ledger=LEDGER        the ledger (DPL_LEDGER, else _ai/operation_ledger)\n"
	"  -j, --json                 print one JSON object\n"
	"  -o, --operation=OPERATION  id, a unique part of it, @ or @@ (DPL_OPERATION)\n"
	"  -p, --participant=NAME     who I am (DPL_PARTICIPANT, else the user)\n"
	"  -q, --quiet                say nothing but errors\n"
	"  -t, --timeout=DURATION     the longest wait for a lock (DPL_TIMEOUT, else 10s)\n"
	"  -v, --verbose              say on stderr what was written where\n"
	"      --cancel               cancel the session's running calls\n"
	"      --key=KEY              the same key is carried out once\n"
	"      --session=NUMBER       the session\n"
	"  -h, --help                 print this\n"
	"  -V, --version              print the version\n"
	"\n"
	"Examples:\n"
	"  dpl-leave\n"
	"  dpl-leave -o \"$op\" -p worker-1 --cancel\n";

enum { CANCEL = CLI_OWN, SESSION };

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		CLI_LEDGER, CLI_OPERATION, CLI_PARTICIPANT, CLI_TIMEOUT, CLI_OUTPUT, CLI_HELP, CLI_KEY_OPTION,
		{"cancel", no_argument, NULL, CANCEL},
		{"session", required_argument, NULL, SESSION},
		{0},
	};
	struct cli c;
	const char *session = NULL, *from = "--session";
	cli_begin(&c, argc, argv, usage);
	for (int o; (o = cli_getopt(&c, ":C:hjo:p:qt:vV", options)) != -1;)
		switch (o) {
		case CANCEL: json_put_bool(&c.body, "cancelPendingCalls", true); break;
		case SESSION: session = optarg; break;
		}
	cli_no_more(&c, optind);
	cli_put_operation(&c, true);
	cli_put_participant(&c);
	if (!session && (session = cli_inherited(&c, "DPL_SESSION")))
		from = "DPL_SESSION";
	if (session)
		json_put_int(&c.body, "sessionId", cli_number(&c, from, session, 1, JSON_INT_MAX));
	cli_request(&c, "/operation/leave");
	cli_say_resources(&c, false);
	if (cli_answer_true(&c, "unknownSession")) {
		struct why why;
		if (session)
			why_set(&why, ERR_NO_SESSION, "%s has no live session %s in %s", cli_participant(&c), session, c.id);
		else
			why_set(&why, ERR_NO_PARTICIPANT, "%s has no live session in %s", cli_participant(&c), c.id);
		cli_die(&c, &why);
	}
	if (c.json)
		cli_out_json(&c);
	cli_finish(&c, EXIT_DONE);
}
