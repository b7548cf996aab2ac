/* dpl-cleanup - clean up after those who died, in one operation or in all */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "cli_left.h"
#include "id.h"
#include "render.h"
#include "text.h"

static const char usage[] =
	"usage: dpl-cleanup [-jnqv] [-C ledger] [-o operation] [-t timeout] [--forget]\n"
	"                   [operation ...]\n"
	"       dpl-cleanup --sweep [-jnqv] [-C ledger] [-t timeout] [--forget]\n"
	"       dpl-cleanup --prune [-jqv] [-C ledger] [--keep number]\n"
	"\n"
	"Look over an operation, with --sweep over all that are live: record who died, end what\n"
	"they left running, remove their temp resources, and end the operation as failed where\n"
	"a death is not contained.  The exit status is 0 only when nothing is left to do.\n"
	"\n"
	"  -C, --ledger=LEDGER        the ledger (DPL_LEDGER, else _ai/operation_ledger)\n"
	"  -j, --json                 print one JSON object an operation\n"
	"  -n, --dry-run              change nothing, and say what would be done and why\n"
	"  -o, --operation=OPERATION  id, a unique part of it, @ or @@ (DPL_OPERATION)\n"
	"  -q, --quiet                print nothing but errors\n"
	"  -t, --timeout=DURATION     the longest wait for others to answer (DPL_TIMEOUT, else\n"
	"                             40s), and for a lock\n"
	"  -v, --verbose              print each resource, and operations that need nothing\n"
	"      --forget               give up what belongs to another host, or cannot be removed\n"
	"      --keep=NUMBER          with --prune: how many ended operations stay (20)\n"
	"      --prune                delete ended operations beyond that number\n"
	"      --sweep                look over all live operations\n"
	"  -h, --help                 print this\n"
	"  -V, --version              print the version\n"
	"\n"
	"Examples:\n"
	"  dpl-cleanup --sweep\n"
	"  dpl-cleanup -n \"$op\"\n";

enum { FORGET = CLI_OWN, KEEP, PRUNE, SWEEP, OUTPUT_MOST = 65536 };

struct wanted {
	bool dry, forget, sweep, prune;
	int64_t keep;            /* -1: the default */
	int status;              /* of what was done so far: the worst */
};

/* --- what is printed --- */

static void
put_text(struct cli *c, int object, const char *member)
{
	struct buf text = {0};
	(void)json_string(&c->answer, json_get(&c->answer, object, member), &text);
	if (text.n)
		text_show(&c->out, text.p, text.n);
	buf_free(&text);
}

/* "  left /tmp/x: another file is there" */
static void
print_resource(struct cli *c, int resource)
{
	struct buf text = {0};
	static const char *const what[] = {"path", "pid", "command"};
	buf_fmt(&c->out, "  %-9s ", cli_answer(c, resource, "decision", &text));
	for (int i = 0; i < 3; i++) {
		int64_t pid = cli_answer_int(c, resource, what[i]);
		if (i == 1 && pid > 0)
			buf_fmt(&c->out, "process %lld", (long long)pid);
		else if (i != 1)
			put_text(c, resource, what[i]);
	}
	if (json_get(&c->answer, resource, "reason") >= 0) {
		buf_str(&c->out, ": ");
		put_text(c, resource, "reason");
	}
	buf_char(&c->out, '\n');
	buf_free(&text);
}

static void
print_dead(struct cli *c, int dead)
{
	buf_str(&c->out, "  died      ");
	put_text(c, dead, "participantId");
	if (json_get(&c->answer, dead, "callId") >= 0) {
		buf_str(&c->out, ", ");
		put_text(c, dead, "callId");
	}
	buf_str(&c->out, ": ");
	put_text(c, dead, "evidence");
	buf_char(&c->out, '\n');
}

static bool
became(struct cli *c, int resource, const char *what)
{
	struct buf text = {0};
	bool is = strcmp(cli_answer(c, resource, "decision", &text), what) == 0;
	buf_free(&text);
	return is;
}

/* Whether a resource is one to be named without -v. */
static bool
stays(struct cli *c, int resource)
{
	return !became(c, resource, "removed") && !became(c, resource, "gone");
}

/* With -q what could not be removed is all there is to be said. */
static void
say_failed(struct cli *c)
{
	int resources = json_get(&c->answer, 0, "resources");
	for (int i = json_first(&c->answer, resources); i >= 0; i = json_next(&c->answer, resources, i))
		if (became(c, i, "failed"))
			cli_say_stays(c, i);
}

static void
print(struct cli *c, const struct wanted *w, bool done)
{
	struct buf state = {0};
	int resources = json_get(&c->answer, 0, "resources"), dead = json_get(&c->answer, 0, "dead"), n = 0;
	for (int i = json_first(&c->answer, resources); i >= 0; i = json_next(&c->answer, resources, i))
		n++;
	bool died = cli_answer_true(c, "crashed") || json_first(&c->answer, dead) >= 0, idle = done && !n && !died;
	int64_t recorded = cli_answer_int(c, 0, "recorded");
	if (idle && recorded <= 0 && !c->verbose && w->sweep)
		return;
	buf_fmt(&c->out, "%s %s", c->id, cli_answer(c, 0, "state", &state));
	if (cli_answer_true(c, "crashed")) {
		buf_str(&c->out, ": ");
		put_text(c, 0, "crashEvidence");
	}
	int64_t waiting = cli_answer_int(c, 0, "waiting"), ending = cli_answer_int(c, 0, "endingProcesses");
	if (waiting > 0)
		buf_fmt(&c->out, "; %lld still to answer", (long long)waiting);
	if (ending > 0)
		buf_fmt(&c->out, "; %lld process%s still to end", (long long)ending, ending == 1 ? "" : "es");
	int64_t unseen = cli_answer_int(c, 0, "unseen");
	if (unseen > 0)
		buf_fmt(&c->out, "; %lld beat file%s cannot be read", (long long)unseen, unseen == 1 ? "" : "s");
	if (cli_answer_true(c, "busy"))
		buf_str(&c->out, "; another cleans up");
	buf_char(&c->out, '\n');
	for (int i = json_first(&c->answer, dead); i >= 0; i = json_next(&c->answer, dead, i))
		print_dead(c, i);
	for (int i = json_first(&c->answer, resources); i >= 0; i = json_next(&c->answer, resources, i))
		if (w->dry || c->verbose || stays(c, i))
			print_resource(c, i);
	buf_free(&state);
}

/* --- one operation --- */

static void
worse(struct wanted *w, int status)
{
	if (w->status == EXIT_DONE || (w->status == EXIT_NO && status != EXIT_DONE))
		w->status = status;
}

/* Part of a call of this operation, or a command of --on-cleanup, it must not wait for the supervisor or keeper, which waits for it.
 * Whether it may become the coordinator. */
static bool
put_outer(struct cli *c)
{
	const char *operation = getenv("DPL_OPERATION"), *call = getenv("DPL_CALL");
	bool part = operation && strcmp(operation, c->id) == 0;
	if (part && call && !id_bad_call(call))
		json_put(&c->body, "parentId", call);
	return !part || !getenv("DPL_REASON");
}

/* What could not be looked at; the rest is looked at all the same. */
static void
skip(struct cli *c, struct wanted *w, const struct why *why)
{
	if (w->sweep && !c->json)
		cli_say(c, "%s", why->text);
	else
		(void)cli_failed(c, why);
	worse(w, err_info(why->code)->exit);
}

/* Have the operation looked over, and what follows done, as far as that is not for another machine.  False where it could not be. */
static bool
request(struct cli *c, struct wanted *w, bool forget)
{
	struct why why;
	bool drives = put_outer(c);
	json_put_bool(&c->body, "drive", drives);
	json_put_bool(&c->body, "look", true);
	if (w->dry)
		json_put_bool(&c->body, "dryRun", true);
	if (forget)
		json_put_bool(&c->body, "forget", true);
	json_put_int(&c->body, "patienceMs", !drives ? 0 : c->timed ? c->wait_ms : CLI_PATIENCE_MS);
	if (cli_ask(c, "/operation/cleanup", &why) == ERR_NONE)
		return true;
	/* In a sweep it may have come to its end meanwhile, by itself or by another sweep. */
	if (!w->sweep || why.code != ERR_NO_OPERATION)
		skip(c, w, &why);
	return false;
}

/* What is for this machine, of a ledger behind a server; how things are afterwards is asked anew.  False where that could not be. */
static bool
do_here(struct cli *c, struct wanted *w)
{
	struct cli_left left = {0};
	struct reclaim here = {.limit_ms = REMOVAL_LIMIT_MS, .retry = true, .look = w->dry,
		.all = w->dry && json_first(&c->answer, json_get(&c->answer, 0, "dead")) >= 0};
	bool some = *c->client.left;
	int done = some ? cli_reclaim(c, &here, &left) : 0;
	/* What could not be tried here is not given up. */
	bool forget = w->forget && done >= 0 && !here.busy, known = true;
	if (c->client.remote && !w->dry && done >= 0 && (some || forget)) {
		cli_again(c);
		json_put(&c->body, "operationId", c->id);
		known = request(c, w, forget);
		left.gone = 0;
		c->client.left[0] = '\0';
	}
	if (known)
		cli_put_left(c, &left);
	return known;
}

/* Where c->id is set already, as in a sweep, it needs no search. */
static void
clean(struct cli *c, struct wanted *w)
{
	struct why why;
	if (w->sweep)
		json_put(&c->body, "operationId", c->id);
	else if (cli_ask_operation(c, false, &why)) {
		skip(c, w, &why);
		return;
	}
	cli_open(c);
	if (!request(c, w, w->forget && !c->client.remote) || !do_here(c, w))
		return;
	bool done = cli_answer_true(c, "done");
	if (c->json)
		cli_out_json(c);
	else if (c->quiet)
		say_failed(c);
	else
		print(c, w, done);
	if (!done)
		worse(w, EXIT_NO);
}

static void
sweep(struct cli *c, struct wanted *w)
{
	struct buf ids = {0}, id = {0};
	json_put_bool(&c->body, "idsOnly", true);
	cli_request(c, "/operation/list");
	int list = json_get(&c->answer, 0, "operationIds");
	for (int i = json_first(&c->answer, list); i >= 0; i = json_next(&c->answer, list, i)) {
		buf_clear(&id);
		if (json_string(&c->answer, i, &id) == 0)
			buf_add(&ids, id.p, id.n + 1);
	}
	for (const char *p = ids.p, *end = ids.p + ids.n; p && p < end; p += strlen(p) + 1) {
		cli_again(c);
		snprintf(c->id, sizeof c->id, "%s", p);
		clean(c, w);
		if (c->out.n > OUTPUT_MOST && !c->quiet)
			cli_flush(c);
	}
	buf_free(&ids);
	buf_free(&id);
}

static void
prune(struct cli *c, const struct wanted *w)
{
	struct buf id = {0};
	if (w->keep >= 0)
		json_put_int(&c->body, "keep", w->keep);
	cli_request(c, "/operation/prune");
	int list = json_get(&c->answer, 0, "pruned");
	if (c->json)
		cli_out_json(c);
	else
		for (int i = json_first(&c->answer, list); i >= 0; i = json_next(&c->answer, list, i)) {
			buf_clear(&id);
			(void)json_string(&c->answer, i, &id);
			buf_fmt(&c->out, "%s\n", id.p ? id.p : "");
		}
	buf_free(&id);
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		CLI_LEDGER, CLI_OPERATION, CLI_TIMEOUT, CLI_OUTPUT, CLI_HELP,
		{"dry-run", no_argument, NULL, 'n'},
		{"forget", no_argument, NULL, FORGET},
		{"keep", required_argument, NULL, KEEP},
		{"prune", no_argument, NULL, PRUNE},
		{"sweep", no_argument, NULL, SWEEP},
		{0},
	};
	struct wanted w = {.keep = -1};
	struct cli c;
	cli_begin(&c, argc, argv, usage);
	for (int o; (o = cli_getopt(&c, ":C:hjno:qt:vV", options)) != -1;)
		switch (o) {
		case 'n': w.dry = true; break;
		case FORGET: w.forget = true; break;
		case KEEP: w.keep = cli_number(&c, "--keep", optarg, 0, INT32_MAX); break;
		case PRUNE: w.prune = true; break;
		case SWEEP: w.sweep = true; break;
		}
	if (w.prune && (w.sweep || w.dry || w.forget))
		cli_misuse(&c, "--prune does not go with --sweep, -n and --forget");
	if (w.keep >= 0 && !w.prune)
		cli_misuse(&c, "--keep goes with --prune");
	if (w.prune || w.sweep)
		cli_no_more(&c, optind);
	if ((w.prune || w.sweep) && c.operation)
		cli_misuse(&c, "-o does not go with %s", w.prune ? "--prune" : "--sweep");
	if (c.operation && optind < argc)
		cli_misuse(&c, "-o does not go with an operand");
	if (w.prune)
		prune(&c, &w);
	else if (w.sweep)
		sweep(&c, &w);
	else if (optind == argc)
		clean(&c, &w);
	for (int i = optind; i < argc && !w.prune && !w.sweep; i++) {
		if (i > optind)
			cli_again(&c);
		c.operation = c.argv[i];
		c.id[0] = '\0'; /* what is said of this one is not of the one before */
		clean(&c, &w);
	}
	c.verbose = false;
	cli_finish(&c, w.status);
}
