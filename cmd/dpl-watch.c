/* dpl-watch - follow an operation, wait for a condition or for files, or show a live table */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "arrive.h"
#include "board.h"
#include "cli.h"
#include "reader.h"
#include "render.h"
#include "until.h"

static const char usage[] =
	"usage: dpl-watch [-jqv] [-C ledger] [-o operation] [-p participant] [-t timeout]\n"
	"                 [--color when] [--from seq] [--lines] [--passive] [--until condition]\n"
	"                 [operation]\n"
	"       dpl-watch --all [-jqv] [-C ledger] [-t timeout] [--color when] [--lines]\n"
	"       dpl-watch --file path [--file path ...] [-jqv] [-C ledger] [-o operation]\n"
	"                 [-p participant] [-t timeout] [--count number] [--empty-ok] [--passive]\n"
	"\n"
	"Print what happens in an operation until it ends, or with --until wait for a condition,\n"
	"with --file for files.  On a terminal show a live table instead.\n"
	"\n"
	"  -C, --ledger=LEDGER        the ledger (DPL_LEDGER, else _ai/operation_ledger)\n"
	"  -j, --json                 print entries as JSON, one a line; with --until one object,\n"
	"                             with --file one a file\n"
	"  -o, --operation=OPERATION  id, a unique part of it, @ or @@ (DPL_OPERATION)\n"
	"  -p, --participant=NAME     who I am, for @ (DPL_PARTICIPANT, else the user)\n"
	"  -q, --quiet                say nothing on stderr but errors\n"
	"  -t, --timeout=DURATION     the longest wait (DPL_TIMEOUT, else none; exit 124)\n"
	"  -v, --verbose              with --until print the entries too\n"
	"      --all                  all live operations, and those that begin, until -t is over\n"
	"      --color=WHEN           auto, always or never\n"
	"      --count=NUMBER         with --file: so many suffice (all)\n"
	"      --empty-ok             with --file: an empty file counts too\n"
	"      --file=PATH            wait for this file, and print it when it is whole; may be\n"
	"                             given again.  An operation (-o, DPL_OPERATION) that ends,\n"
	"                             fails or is aborted ends the wait\n"
	"      --from=SEQ             begin with this entry (the next one)\n"
	"      --lines                print entries on a terminal too, no table\n"
	"      --passive              only read: who has died is found by others alone\n"
	"      --until=CONDITION      completed, failed, aborted, idle (no call runs), call=ID (it\n"
	"                             has ended), participant=NAME (has joined), left=NAME\n"
	"  -h, --help                 print this\n"
	"  -V, --version              print the version\n"
	"\n"
	"Examples:\n"
	"  dpl-watch --until idle -t 30s\n"
	"  dpl-watch --file a.gz --file b.gz -t 30s\n"
	"  dpl-watch --from 1 --json \"$op\"\n";

enum { ALL = CLI_OWN, COLOUR, COUNT, EMPTY_OK, NAMED, FROM, LINES, PASSIVE, UNTIL };

/* An onlooker: when an entry wakes a hundred of them, each runs when a processor is free, not before the one who
 * writes.  musl's own function only says that it is not there. */
static void
stand_back(void)
{
	struct sched_param none = {0};
	(void)syscall(SYS_sched_setscheduler, 0, SCHED_BATCH, &none);
}

static int
follow(struct cli *c, struct place *p, bool colours)
{
	for (;;) {
		reader_entries(c, p, reader_left(c, READER_WAIT_MS));
		reader_print(c, NULL, colours);
		cli_leave_unread();
		if (p->ended)
			return reader_status(c);
		if (!p->more && reader_is_over(c))
			return EXIT_TIMED_OUT;
	}
}

static int
follow_all(struct cli *c, bool colours)
{
	struct reader r = {0};
	while (!reader_is_over(c)) {
		reader_changes(c, &r, reader_left(c, READER_WAIT_MS), 0, true, colours);
		cli_leave_unread();
	}
	reader_free(&r);
	return EXIT_DONE;
}

/* `others`: options were given that do not go with files. */
static _Noreturn void
wait_for_files(struct cli *c, struct arrive *a, bool passive, bool others)
{
	struct place p = {.passive = passive};
	const char *operation = getenv("DPL_OPERATION");
	if (others)
		cli_misuse(c, "--file waits for files: it goes with no --all, --until, --from, --lines or --color");
	if (optind < c->argc)
		cli_misuse(c, "'%.100s': each file is named by a --file of its own, the operation by -o", c->argv[optind]);
	if (a->count > a->n)
		cli_misuse(c, "--count: %zu is more than the %zu files that are named", a->count, a->n);
	if (!a->count)
		a->count = a->n;
	(void)reader_left(c, 0); /* from now on */
	stand_back();
	if (c->operation || (operation && *operation)) {
		cli_put_operation(c, false);
		snprintf(p.id, sizeof p.id, "%s", c->id);
	}
	int status = arrive_wait(c, a, &p);
	c->quiet = false;
	cli_finish(c, status);
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		CLI_LEDGER, CLI_OPERATION, CLI_PARTICIPANT, CLI_TIMEOUT, CLI_OUTPUT, CLI_HELP,
		{"all", no_argument, NULL, ALL},
		{"color", required_argument, NULL, COLOUR},
		{"count", required_argument, NULL, COUNT},
		{"empty-ok", no_argument, NULL, EMPTY_OK},
		{"file", required_argument, NULL, NAMED},
		{"from", required_argument, NULL, FROM},
		{"lines", no_argument, NULL, LINES},
		{"passive", no_argument, NULL, PASSIVE},
		{"until", required_argument, NULL, UNTIL},
		{0},
	};
	struct cli c;
	const char *when = NULL, *until = NULL;
	struct place p = {0};
	struct until u;
	struct arrive a = {0};
	bool all = false, lines = false;
	cli_begin(&c, argc, argv, usage);
	for (int o; (o = cli_getopt(&c, ":C:hjo:p:qt:vV", options)) != -1;)
		switch (o) {
		case ALL: all = true; break;
		case COLOUR: when = optarg; break;
		case COUNT: a.count = (size_t)cli_number(&c, "--count", optarg, 1, INT32_MAX); break;
		case EMPTY_OK: a.empty_ok = true; break;
		case NAMED: arrive_add(&c, &a, optarg); break;
		case FROM:
			p.from = cli_number(&c, "--from", optarg, 1, JSON_INT_MAX);
			lines = true;
			break;
		case LINES: lines = true; break;
		case PASSIVE: p.passive = true; break;
		case UNTIL: until = optarg; break;
		}
	if (a.n)
		wait_for_files(&c, &a, p.passive, all || until || lines || when);
	if (a.count || a.empty_ok)
		cli_misuse(&c, "--count and --empty-ok go with --file");
	int colours = render_colour(when);
	if (colours < 0)
		cli_misuse(&c, "--color: '%.40s' is not auto, always or never", when);
	if (optind < argc) {
		if (c.operation)
			cli_misuse(&c, "-o and the operand both name an operation");
		c.operation = argv[optind];
		cli_no_more(&c, optind + 1);
	}
	if (all && (c.operation || c.participant || until || p.from || p.passive))
		cli_misuse(&c, "--all follows all operations, and only reads: it goes with no operation, -p, --from, --passive or --until");
	if (until)
		until_read(&c, &u, until);
	(void)reader_left(&c, 0); /* from now on */
	stand_back();
	c.passes_on = !until;
	if (!all) {
		cli_put_operation(&c, false);
		snprintf(p.id, sizeof p.id, "%s", c.id);
	}
	int status;
	bool board = !lines && !c.json && board_is_possible();
	if (until)
		status = until_wait(&c, &u, &p, colours);
	else if (all)
		status = board ? board_all(&c, colours) : follow_all(&c, colours);
	else
		status = board ? board_one(&c, &p, colours) : follow(&c, &p, colours);
	c.quiet = false; /* it silences what is said, not what is printed */
	cli_finish(&c, status);
}
