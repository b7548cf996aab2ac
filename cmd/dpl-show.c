/* dpl-show - show operations: their state, calls and history */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bars.h"
#include "cli.h"
#include "clock.h"
#include "entry.h"
#include "explain.h"
#include "fsx.h"
#include "num.h"
#include "overview.h"
#include "picture.h"
#include "render.h"
#include "svg.h"
#include "trail.h"

static const char usage[] =
	"usage: dpl-show [-ajqv] [-C ledger] [-o operation] [-p participant] [--at moment]\n"
	"                [--color when] [--svg file | --timeline | --trail | --tree]\n"
	"                [operation]\n"
	"       dpl-show --why [-jqv] [-C ledger] [-o operation] [-p participant] [--color when]\n"
	"                [operation | call]\n"
	"\n"
	"Show an operation, live or ended; without one, list those that are live.\n"
	"\n"
	"  -a, --all                  list ended operations too\n"
	"  -C, --ledger=LEDGER        the ledger (DPL_LEDGER, else _ai/operation_ledger)\n"
	"  -j, --json                 print one JSON object; with --trail one entry a line\n"
	"  -o, --operation=OPERATION  id, a unique part of it, @ or @@ (DPL_OPERATION)\n"
	"  -p, --participant=NAME     who I am, for @ (DPL_PARTICIPANT, else the user)\n"
	"  -q, --quiet                list ids alone\n"
	"  -v, --verbose              say on stderr which ledger it is\n"
	"      --at=MOMENT            as it was then: the number of an entry, RFC 3339, or a\n"
	"                             duration: that long ago\n"
	"      --color=WHEN           auto, always or never\n"
	"      --svg=FILE             its calls as bars on an axis of time, a picture in this file\n"
	"                             (SVG); - is standard output\n"
	"      --timeline             the same in the terminal\n"
	"      --trail                its history: who did what, when, and how long it took\n"
	"      --tree                 its calls as a tree\n"
	"      --why                  what it, or a call of it, died of or waits for\n"
	"  -h, --help                 print this\n"
	"  -V, --version              print the version\n"
	"\n"
	"Examples:\n"
	"  dpl-show --all\n"
	"  dpl-show --trail @@\n"
	"  dpl-show --why @@\n"
	"  dpl-show --at 10m \"$op\"\n"
	"  dpl-show --timeline \"$op\"\n";

enum { AT = CLI_OWN, COLOUR, SVG, TIMELINE, TRAIL, TREE, WHY };

static bool colours;

static int
member(const struct cli *c, int object, const char *name)
{
	return json_get(&c->answer, object, name);
}

static struct picture
picture_of(struct cli *c, int64_t now_ms)
{
	return (struct picture){.json = &c->answer, .out = &c->out, .colours = colours, .now_ms = now_ms};
}

/* --- all operations --- */

static void
list_rows(struct cli *c, int operations)
{
	struct render_table t = {.columns = 5, .right = {false, false, true, true, false}};
	struct picture p = picture_of(c, 0);
	struct buf b = {0};
	for (int k = json_first(&c->answer, operations); k >= 0; k = json_next(&c->answer, operations, k)) {
		render_cell(&t, BOLD, cli_answer(c, k, "operationId", &b));
		if (member(c, k, "error") >= 0) {
			render_cell(&t, RED, cli_answer(c, k, "code", &b));
			render_cell(&t, PLAIN, "");
			render_cell(&t, PLAIN, "");
			render_cell(&t, PLAIN, cli_answer(c, k, "error", &b));
			continue;
		}
		enum colour colour;
		const char *state = picture_state(&p, k, &b, &colour);
		render_cell(&t, colour, state);
		buf_clear(&b);
		render_duration(&b, cli_answer_int(c, k, "durationMs"));
		render_cell(&t, PLAIN, b.p);
		buf_clear(&b);
		int64_t calls = cli_answer_int(c, member(c, k, "callCounts"), "started");
		buf_fmt(&b, "%lld call%s", (long long)calls, calls == 1 ? "" : "s");
		render_cell(&t, PLAIN, b.p);
		render_cell(&t, PLAIN, cli_answer(c, k, "description", &b));
	}
	render_table(&c->out, &t, 0, colours);
	buf_free(&b);
}

static void
list(struct cli *c, bool all)
{
	if (all)
		json_put_bool(&c->body, "ended", true);
	cli_request(c, "/operation/list");
	int operations = member(c, 0, "operations");
	struct buf id = {0};
	if (c->json)
		cli_out_json(c);
	else if (!c->quiet)
		list_rows(c, operations);
	else
		for (int k = json_first(&c->answer, operations); k >= 0; k = json_next(&c->answer, operations, k))
			buf_fmt(&c->out, "%s\n", cli_answer(c, k, "operationId", &id));
	buf_free(&id);
}

/* --- one operation --- */

/* Put `at` as a time, or return the number of an entry. */
static int64_t
moment(struct cli *c, const char *at, int64_t *ms)
{
	int64_t seq;
	*ms = -1;
	if (!at)
		return 0;
	if (num_int(at, strlen(at), 1, JSON_INT_MAX, &seq) == 0)
		return seq;
	if (clock_parse(at, strlen(at), ms) == 0)
		return 0;
	if (num_duration(at, ms) < 0)
		cli_misuse(c, "--at: '%.100s' is no number of an entry, RFC 3339 time or duration", at);
	*ms = clock_wall_ms() - *ms;
	return 0;
}

/* Ask for the operation; up to when its ages count. */
static int64_t
ask(struct cli *c, const char *at, bool all)
{
	int64_t ms, now_ms, seq = moment(c, at, &ms);
	struct buf b = {0};
	cli_put_operation(c, false);
	if (seq)
		json_put_int(&c->body, "atSeq", seq);
	if (ms >= 0)
		json_put_time(&c->body, "at", ms);
	json_put(&c->body, "calls", all ? "all" : "running");
	cli_request(c, "/operation/show");
	const char *then = cli_answer(c, 0, "shownAt", &b);
	if (clock_parse(then, strlen(then), &now_ms) < 0)
		now_ms = clock_wall_ms();
	buf_free(&b);
	return now_ms;
}

static void
show(struct cli *c, const char *at, int how)
{
	struct picture p = picture_of(c, ask(c, at, how || c->json));
	if (c->json)
		cli_out_json(c);
	else if (c->quiet)
		buf_fmt(&c->out, "%s\n", c->id);
	else if (how == TIMELINE)
		bars_draw(&p, render_width());
	else if (how == TREE)
		picture_tree(&p, 0, 0);
	else
		overview_draw(&p);
}

/* Draw it into a file; then as with the others, where -j or -q asks for that. */
static void
draw(struct cli *c, const char *at, const char *file)
{
	struct why why;
	struct buf svg = {0};
	svg_draw(&svg, &c->answer, ask(c, at, true));
	if (svg.failed) {
		why_set(&why, ERR_IO, "out of memory");
		cli_die(c, &why);
	}
	if (strcmp(file, "-") == 0) {
		buf_add(&c->out, svg.p, svg.n);
	} else if (fsx_put(file, 0666 & ~c->umask, svg.p, svg.n) < 0) {
		int e = errno;
		why_errno(&why, "write %s", file);
		if (e == ENOENT || e == ENOTDIR)
			why.code = ERR_NO_FILE;
		else if (e == EISDIR)
			why.code = ERR_USAGE;
		cli_die(c, &why);
	}
	if (c->json)
		cli_out_json(c);
	else if (c->quiet)
		buf_fmt(&c->out, "%s\n", c->id);
	buf_free(&svg);
}

/* --- the trail --- */

static void
trail(struct cli *c, const char *at)
{
	/* wire_sentence has made its text safe already; what render_cell does again changes nothing. */
	struct render_table t;
	int64_t ms, seq = moment(c, at, &ms), from = 1, pos = 0, start_ms = -1;
	bool more = true;
	trail_begin(&t);
	cli_put_operation(c, false);
	while (more) {
		cli_again(c);
		json_put(&c->body, "operationId", c->id);
		json_put_int(&c->body, "from", from);
		json_put_int(&c->body, "pos", pos);
		if (ms >= 0)
			json_put_time(&c->body, "until", ms);
		cli_request(c, "/operation/events");
		int entries = member(c, 0, "entries");
		for (int k = json_first(&c->answer, entries); k >= 0; k = json_next(&c->answer, entries, k)) {
			struct entry e;
			size_t n;
			const char *raw = json_raw(&c->answer, k, &n);
			if (entry_parse(raw, n, &e) || (seq && (int64_t)e.seq > seq))
				continue;
			if (start_ms < 0)
				start_ms = e.at_ms;
			if (!c->json)
				trail_row(&t, &e, start_ms);
			else {
				buf_add(&c->out, raw, n);
				buf_char(&c->out, '\n');
			}
		}
		if (c->json)
			cli_flush(c);
		from = cli_answer_int(c, 0, "next");
		pos = cli_answer_int(c, 0, "pos");
		more = cli_answer_true(c, "more") && (!seq || from <= seq);
	}
	render_table(&c->out, &t, 0, colours);
}

/* --- why --- */

static void
why(struct cli *c, const char *call)
{
	cli_put_operation(c, false);
	if (call)
		json_put(&c->body, "callId", call);
	cli_request(c, "/operation/why");
	struct buf b = {0};
	if (c->json)
		cli_out_json(c);
	else if (c->quiet)
		buf_fmt(&c->out, "%s\n", cli_answer(c, 0, "verdict", &b));
	else {
		struct picture p = picture_of(c, 0);
		if (call)
			explain_call(&p);
		else
			explain_operation(&p);
	}
	buf_free(&b);
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		CLI_LEDGER, CLI_OPERATION, CLI_PARTICIPANT, CLI_OUTPUT, CLI_HELP,
		{"all", no_argument, NULL, 'a'},
		{"at", required_argument, NULL, AT},
		{"color", required_argument, NULL, COLOUR},
		{"svg", required_argument, NULL, SVG},
		{"timeline", no_argument, NULL, TIMELINE},
		{"trail", no_argument, NULL, TRAIL},
		{"tree", no_argument, NULL, TREE},
		{"why", no_argument, NULL, WHY},
		{0},
	};
	struct cli c;
	const char *at = NULL, *when = NULL, *call = NULL, *file = NULL;
	bool all = false;
	int how = 0;
	cli_begin(&c, argc, argv, usage);
	for (int o; (o = cli_getopt(&c, ":aC:hjo:p:qvV", options)) != -1;)
		switch (o) {
		case 'a': all = true; break;
		case AT: at = optarg; break;
		case COLOUR: when = optarg; break;
		case SVG:
		case TIMELINE:
		case TRAIL:
		case TREE:
		case WHY:
			if (how && how != o)
				cli_misuse(&c, "--svg, --timeline, --trail, --tree and --why exclude each other");
			how = o;
			file = o == SVG ? optarg : NULL;
			break;
		}
	int wanted = render_colour(when);
	if (wanted < 0)
		cli_misuse(&c, "--color: '%.40s' is not auto, always or never", when);
	colours = wanted > 0;
	if (at && how == WHY)
		cli_misuse(&c, "--at goes with no --why");
	if (how == WHY && optind < argc && (c.operation || strncmp(argv[optind], "call_", 5) == 0)) {
		call = argv[optind];
		cli_no_more(&c, optind + 1);
	} else if (optind < argc) {
		if (c.operation)
			cli_misuse(&c, "-o and the operand both name an operation");
		c.operation = argv[optind];
		cli_no_more(&c, optind + 1);
	}
	const char *variable = getenv("DPL_OPERATION");
	if (all && (c.operation || how || at))
		cli_misuse(&c, "--all lists operations: it goes with no operation, and with none of --at, --svg, --timeline, --trail, --tree and --why");
	if (file && strcmp(file, "-") == 0 && (c.json || c.quiet))
		cli_misuse(&c, "--svg - has standard output for itself: it goes with no -j or -q");
	if (all || (!c.operation && !(variable && *variable) && !how && !at))
		list(&c, all);
	else if (how == TRAIL)
		trail(&c, at);
	else if (how == WHY)
		why(&c, call);
	else if (how == SVG)
		draw(&c, at, file);
	else
		show(&c, at, how);
	c.quiet = false; /* -q chose what is printed, it does not silence it */
	cli_finish(&c, EXIT_DONE);
}
