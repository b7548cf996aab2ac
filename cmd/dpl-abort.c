/* dpl-abort - set, clear or check the abort flag of an operation */
#include "cli.h"
#include "text.h"

static const char usage[] =
	"usage: dpl-abort [-jqv] [-C ledger] [-m reason] [-o operation] [-p participant]\n"
	"                 [-t timeout] [--key key]\n"
	"       dpl-abort --check [-jqv] [-C ledger] [-o operation] [-p participant]\n"
	"       dpl-abort --clear [-jqv] [-C ledger] [-o operation] [-p participant]\n"
	"                 [-t timeout] [--key key]\n"
	"\n"
	"Set the abort flag of an operation, so that everybody stops; clear it; or check it.\n"
	"--check exits 0 and prints the reason when it is set, 1 when it is not.\n"
	"\n"
	"  -C, --ledger=LEDGER        the ledger (DPL_LEDGER, else _ai/operation_ledger)\n"
	"  -j, --json                 print one JSON object\n"
	"  -m, --message=REASON       why\n"
	"  -o, --operation=OPERATION  id, a unique part of it, @ or @@ (DPL_OPERATION)\n"
	"  -p, --participant=NAME     who I am (DPL_PARTICIPANT, else the user)\n"
	"  -q, --quiet                print nothing\n"
	"  -t, --timeout=DURATION     the longest wait for a lock (DPL_TIMEOUT, else 10s)\n"
	"  -v, --verbose              say on stderr what was written where\n"
	"      --check                only look\n"
	"      --clear                clear the flag; exit 1 when it was not set\n"
	"      --key=KEY              the same key is carried out once\n"
	"  -h, --help                 print this\n"
	"  -V, --version              print the version\n"
	"\n"
	"Examples:\n"
	"  dpl-abort -m 'wrong branch'\n"
	"  if dpl-abort --check -q; then exit 4; fi\n";

enum { CHECK = CLI_OWN, CLEAR };

static _Noreturn void
check(struct cli *c)
{
	cli_put_operation(c, false);
	json_put_bool(&c->body, "brief", !c->json);
	json_put_bool(&c->body, "ended", true);
	if (cli_participant_given(c)) /* looking up the user's name would take longer than the rest */
		cli_put_participant(c);
	cli_request(c, "/operation/state");
	bool aborted = cli_answer_true(c, "aborted");
	if (c->json)
		cli_out_json(c);
	else if (aborted && !c->quiet) {
		struct buf reason = {0};
		cli_answer(c, 0, "abortReason", &reason);
		text_show(&c->out, reason.p ? reason.p : "", reason.n);
		buf_char(&c->out, '\n');
		buf_free(&reason);
	}
	cli_finish(c, aborted ? EXIT_DONE : EXIT_NO);
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		CLI_LEDGER, CLI_OPERATION, CLI_PARTICIPANT, CLI_TIMEOUT, CLI_OUTPUT, CLI_HELP, CLI_KEY_OPTION,
		{"message", required_argument, NULL, 'm'},
		{"check", no_argument, NULL, CHECK},
		{"clear", no_argument, NULL, CLEAR},
		{0},
	};
	struct cli c;
	const char *reason = NULL;
	int what = 0;
	cli_begin(&c, argc, argv, usage);
	for (int o; (o = cli_getopt(&c, ":C:hjm:o:p:qt:vV", options)) != -1;)
		switch (o) {
		case 'm': reason = cli_text(&c, "-m", optarg); break;
		case CHECK:
		case CLEAR:
			if (what && what != o)
				cli_misuse(&c, "--check and --clear exclude each other");
			what = o;
			break;
		}
	cli_no_more(&c, optind);
	if (what && reason)
		cli_misuse(&c, "-m goes with setting the flag");
	if (what == CHECK && c.key)
		cli_misuse(&c, "--key goes with a change");
	if (what == CHECK)
		check(&c);
	cli_put_operation(&c, true);
	cli_put_participant(&c);
	json_put_bool(&c.body, "value", what != CLEAR);
	if (reason)
		json_put(&c.body, "reason", reason);
	cli_request(&c, "/operation/abort");
	if (cli_answer_true(&c, "notSet")) {
		struct why why;
		why_set(&why, ERR_NOT_SET, "operation %s is not aborted", c.id);
		cli_die(&c, &why);
	}
	if (c.json)
		cli_out_json(&c);
	cli_finish(&c, EXIT_DONE);
}
