/* cli_sync: wait for calls. */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "cli_call.h"
#include "cli_sync.h"
#include "command.h"
#include "entry.h"
#include "reader.h"
#include "render.h"
#include "state.h"
#include "supervised.h"
#include "text.h"

enum { SAY_MS = 1000, NAMED = 3 }; /* after that it is said whom it waits for, naming so many */

static const struct option options[] = {
	CLI_LEDGER, CLI_OPERATION, CLI_PARTICIPANT, CLI_TIMEOUT, CLI_OUTPUT, CLI_HELP,
	{"all", no_argument, NULL, 'a'},
	{"any", no_argument, NULL, CALL_ANY},
	{"count", required_argument, NULL, CALL_COUNT},
	{"first-fail", no_argument, NULL, CALL_FIRST_FAIL},
	{"group", required_argument, NULL, CALL_GROUP},
	{"session", required_argument, NULL, CALL_SESSION},
	{0},
};

/* One that is waited for. */
struct awaited {
	char id[ID_NAME_MAX + 1];
	char state[16];          /* as the ledger has it; "" where there is none of that id */
	enum outcome outcome;
	int64_t status;          /* what dpl-call would have ended with; -1 unknown */
	struct buf text;         /* its result, or what went wrong */
	bool has_result;
};

struct sync {
	struct awaited *call;
	size_t n, cap;
	size_t succeeded, failed, unknown; /* unknown: there never was such a one */
	bool aborted, crashed, ended;
};

static int
compare(const void *a, const void *b)
{
	return strcmp(((const struct awaited *)a)->id, ((const struct awaited *)b)->id);
}

static struct awaited *
find(struct sync *s, const char *id)
{
	for (size_t low = 0, high = s->n; low < high;) {
		size_t mid = low + (high - low) / 2;
		int order = strcmp(s->call[mid].id, id);
		if (order == 0)
			return &s->call[mid];
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

static void
add(struct cli *c, struct sync *s, const char *id)
{
	if (s->n == s->cap) {
		size_t cap = s->cap ? 2 * s->cap : 16;
		struct awaited *more = realloc(s->call, cap * sizeof *more);
		if (!more) {
			struct why why;
			why_set(&why, ERR_IO, "out of memory");
			cli_die(c, &why);
		}
		s->call = more;
		s->cap = cap;
	}
	s->call[s->n] = (struct awaited){.status = -1};
	snprintf(s->call[s->n++].id, sizeof s->call->id, "%s", id);
}

/* Each once, in the order in which they are found. */
static void
sort(struct sync *s)
{
	size_t n = 0;
	if (s->n > 0)
		qsort(s->call, s->n, sizeof *s->call, compare);
	for (size_t i = 0; i < s->n; i++)
		if (n == 0 || strcmp(s->call[n - 1].id, s->call[i].id) != 0)
			s->call[n++] = s->call[i];
	s->n = n;
}

/* What a call of the answer, or an entry of the journal, says of its result or its end. */
static void
take_text(struct cli *c, int k, struct awaited *a)
{
	static const char *const members[] = {"callResult", "result", "error", "reason", "evidence"};
	struct buf b = {0};
	buf_clear(&a->text);
	a->status = cli_answer_int(c, k, "status");
	a->has_result = a->outcome == OUTCOME_SUCCEEDED && (json_get(&c->answer, k, "callResult") >= 0 || json_get(&c->answer, k, "result") >= 0);
	for (size_t i = 0; i < sizeof members / sizeof *members; i++)
		if (json_get(&c->answer, k, members[i]) >= 0 && (i > 1 || a->has_result)) {
			buf_str(&a->text, cli_answer(c, k, members[i], &b));
			break;
		}
	buf_free(&b);
}

static void
set_outcome(struct sync *s, struct awaited *a, enum outcome outcome)
{
	s->succeeded += (outcome == OUTCOME_SUCCEEDED) - (size_t)(a->outcome == OUTCOME_SUCCEEDED);
	s->failed += (outcome == OUTCOME_FAILED) - (size_t)(a->outcome == OUTCOME_FAILED);
	a->outcome = outcome;
}

/* The state of all at the beginning; where none was named, they are those of the answer. */
static void
take_calls(struct cli *c, struct sync *s, bool named)
{
	int list = json_get(&c->answer, 0, "calls");
	struct buf b = {0};
	for (int k = json_first(&c->answer, list); k >= 0 && !named; k = json_next(&c->answer, list, k))
		add(c, s, cli_answer(c, k, "callId", &b));
	sort(s);
	for (int k = json_first(&c->answer, list); k >= 0; k = json_next(&c->answer, list, k)) {
		struct awaited *a = find(s, cli_answer(c, k, "callId", &b));
		if (!a)
			continue;
		snprintf(a->state, sizeof a->state, "%s", cli_answer(c, k, "state", &b));
		set_outcome(s, a, cli_outcome(c, k));
		if (a->outcome != OUTCOME_OPEN)
			take_text(c, k, a);
	}
	buf_free(&b);
	for (size_t i = 0; i < s->n; i++)
		s->unknown += !s->call[i].state[0];
	s->aborted = cli_answer_true(c, "aborted");
	s->crashed = cli_answer_true(c, "crashed");
}

/* What entry `k` of the answer changes. */
static void
take_entry(struct cli *c, struct sync *s, int k)
{
	struct entry e;
	char id[ID_NAME_MAX + 1];
	size_t n;
	const char *raw = json_raw(&c->answer, k, &n);
	if (entry_parse(raw, n, &e))
		return;
	if (e.event == EVENT_ABORT_SET)
		s->aborted = true;
	if (e.event == EVENT_CRASH_DETECTED)
		s->crashed = true;
	bool fallen = e.event == EVENT_RESOURCE_REMOVED && e.is_fallback && resource_result_by_name(e.result.p ? e.result.p : "", e.result.n) != RESOURCE_FAILED;
	if ((e.event < EVENT_CALL_QUEUED || e.event > EVENT_CALL_CANCELLING) && !fallen)
		return;
	slice_copy(e.call_id, id, sizeof id);
	struct awaited *a = find(s, id);
	if (!a)
		return;
	if (fallen) {
		set_outcome(s, a, e.call_result.p ? OUTCOME_SUCCEEDED : OUTCOME_FAILED);
		if (e.call_result.p)
			take_text(c, k, a);
		return;
	}
	if (!a->state[0])
		s->unknown--; /* it has come by now */
	const char *word = event_name(e.event) + strlen("call.");
	snprintf(a->state, sizeof a->state, "%s", e.event == EVENT_CALL_STARTED ? "running" : word);
	if (e.event < EVENT_CALL_ENDED || e.event == EVENT_CALL_CANCELLING || e.fallback_pending) {
		set_outcome(s, a, OUTCOME_OPEN);
		if (e.fallback_pending)
			take_text(c, k, a);
		return;
	}
	bool well = e.event == EVENT_CALL_ENDED || (e.event == EVENT_CALL_CRASHED && e.result.p);
	set_outcome(s, a, well ? OUTCOME_SUCCEEDED : OUTCOME_FAILED);
	take_text(c, k, a);
}

static void
take_entries(struct cli *c, struct sync *s)
{
	int list = json_get(&c->answer, 0, "entries");
	for (int k = json_first(&c->answer, list); k >= 0; k = json_next(&c->answer, list, k))
		take_entry(c, s, k);
}

/* What is asked for. */
struct goal {
	size_t count;            /* so many that succeed; 0: all */
	bool first_fail;         /* it is over with the first that fails */
};

/* Whether waiting has a point; what was asked for is met where enough have succeeded. */
static bool
is_met(const struct sync *s, const struct goal *g)
{
	return g->count ? s->succeeded >= g->count : s->succeeded == s->n;
}

static bool
is_over(const struct sync *s, const struct goal *g)
{
	size_t done = s->succeeded + s->failed;
	if (is_met(s, g) || done == s->n || s->ended)
		return true;
	if (g->first_fail && s->failed)
		return true;
	return g->count && s->n - s->failed < g->count; /* it can no longer come true */
}

static void
say_waiting(struct cli *c, const struct sync *s)
{
	struct buf text = {0};
	size_t open = 0;
	for (size_t i = 0; i < s->n; i++)
		if (s->call[i].outcome == OUTCOME_OPEN && open++ < NAMED)
			buf_fmt(&text, "%s%s (%s)", open > 1 ? ", " : "", s->call[i].id, s->call[i].state);
	if (open > NAMED)
		buf_fmt(&text, " and %zu more", open - NAMED);
	if (text.n && !text.failed)
		cli_say(c, "waiting for %s", text.p);
	buf_free(&text);
}

/* Wait; true where the time of -t was over before. */
static bool
wait_for(struct cli *c, struct sync *s, const struct goal *g, bool to_the_end)
{
	struct place p = {.from = cli_answer_int(c, 0, "seq") + 1};
	int64_t begun = clock_mono_ms();
	bool said = c->quiet;
	snprintf(p.id, sizeof p.id, "%s", c->id);
	while (!is_over(s, g) && (to_the_end || (!s->aborted && !s->crashed))) {
		int64_t quiet_ms = begun + SAY_MS - clock_mono_ms();
		if (!said && quiet_ms <= 0) {
			say_waiting(c, s);
			said = true;
		}
		if (reader_is_over(c))
			return true;
		do {
			reader_entries(c, &p, reader_left(c, said ? READER_WAIT_MS : quiet_ms));
			take_entries(c, s);
		} while (p.more);
		s->ended = p.ended;
	}
	return false;
}

/* --- sync --- */

/* Ask for the calls: those named, or all in the background of the group, or of the session. */
static void
ask(struct cli *c, struct sync *s, const char *group, const char *session)
{
	bool named = optind < c->argc;
	for (int i = optind; i < c->argc; i++)
		add(c, s, cli_call_id(c, "operand", c->argv[i]));
	cli_put_operation(c, false);
	cli_again(c);
	json_put(&c->body, "operationId", c->id);
	json_put_bool(&c->body, "all", true);
	if (!named && !session && !group)
		session = cli_inherited(c, "DPL_SESSION");
	if (!named)
		json_put_bool(&c->body, "spawned", true);
	if (group)
		json_put(&c->body, "group", group);
	if (session)
		json_put_int(&c->body, "sessionId", cli_number(c, "the session", session, 1, JSON_INT_MAX));
	if (!named && !session && !group)
		json_put(&c->body, "participantId", cli_participant(c));
	if (s->n == 1)
		json_put(&c->body, "callId", s->call[0].id);
	cli_request(c, "/call/list");
	take_calls(c, s, named);
}

static const char *
word_of(const struct awaited *a)
{
	return a->outcome == OUTCOME_SUCCEEDED ? "succeeded" : a->outcome == OUTCOME_FAILED ? "failed" : "unknown";
}

static void
put_one(struct cli *c, const struct awaited *a)
{
	json_open(&c->out, NULL, '{');
	json_put(&c->out, "callId", a->id);
	json_put(&c->out, "state", a->state[0] ? a->state : "unknown");
	if (a->status >= 0)
		json_put_int(&c->out, "status", a->status);
	if (a->has_result)
		json_put(&c->out, "result", a->text.p ? a->text.p : "");
	else if (a->text.n)
		json_put(&c->out, "error", a->text.p);
	json_close(&c->out, '}');
}

static void
put_json(struct cli *c, const struct sync *s, bool met, bool late)
{
	static const char *const lists[] = {[OUTCOME_OPEN] = "unknown", [OUTCOME_SUCCEEDED] = "succeeded", [OUTCOME_FAILED] = "failed"};
	static const enum outcome order[] = {OUTCOME_SUCCEEDED, OUTCOME_FAILED, OUTCOME_OPEN};
	json_open(&c->out, NULL, '{');
	json_put_bool(&c->out, "ok", true);
	json_put(&c->out, "operationId", c->id);
	json_put_bool(&c->out, "met", met);
	json_put_bool(&c->out, "timedOut", late);
	json_put_bool(&c->out, "aborted", s->aborted);
	json_put_bool(&c->out, "crashed", s->crashed);
	for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
		json_open(&c->out, lists[order[i]], '[');
		for (size_t k = 0; k < s->n; k++)
			if (s->call[k].outcome == order[i])
				put_one(c, &s->call[k]);
		json_close(&c->out, ']');
	}
	json_close(&c->out, '}');
	buf_char(&c->out, '\n');
}

static void
put_lines(struct cli *c, const struct sync *s)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct awaited *a = &s->call[i];
		const char *text = a->text.p ? a->text.p : a->outcome == OUTCOME_OPEN ? a->state : "";
		buf_fmt(&c->out, "%-9s %s", word_of(a), a->id);
		if (*text) {
			buf_char(&c->out, ' ');
			text_show(&c->out, text, strlen(text));
		}
		buf_char(&c->out, '\n');
	}
}

static int
status_of(const struct sync *s, bool met, bool late)
{
	if (met)
		return EXIT_DONE;
	if (s->unknown) /* for which nobody waits, so that others may still run */
		return EXIT_NONE_SUCH;
	if (s->aborted)
		return EXIT_ABORTED;
	if (late && !s->crashed)
		return EXIT_TIMED_OUT;
	return EXIT_FAILED;
}

static void
release(struct sync *s)
{
	for (size_t i = 0; i < s->n; i++)
		buf_free(&s->call[i].text);
	free(s->call);
}

void
cli_sync(struct cli *c)
{
	const char *group = NULL, *session = NULL;
	struct sync s = {0};
	struct goal g = {0};
	int goals = 0;
	for (int o; (o = cli_getopt(c, ":aC:hjo:p:qt:vV", options)) != -1;)
		switch (o) {
		case 'a': goals++; break;
		case CALL_ANY: g.count = 1, goals++; break;
		case CALL_COUNT: g.count = (size_t)cli_number(c, "--count", optarg, 1, INT32_MAX), goals++; break;
		case CALL_FIRST_FAIL: g.first_fail = true, goals++; break;
		case CALL_GROUP: group = cli_call_id(c, "--group", optarg); break;
		case CALL_SESSION: session = optarg; break;
		default: cli_misuse(c, "that option does not go with sync");
		}
	if (goals > 1)
		cli_misuse(c, "--all, --any, --first-fail and --count exclude each other");
	if ((group || session) && optind < c->argc)
		cli_misuse(c, "%s does not go with operands", group ? "--group" : "--session");
	(void)reader_left(c, 0); /* from now on */
	ask(c, &s, group, session);
	if (!s.n) {
		if (c->json)
			put_json(c, &s, false, false);
		else if (!c->quiet)
			cli_say(c, "there is nothing to wait for: no call %s%s runs in the background, or did", group ? "of group " : "of this session", group ? group : "");
		cli_finish(c, EXIT_NO);
	}
	if (g.count > s.n)
		cli_misuse(c, "--count %zu of %zu call%s", g.count, s.n, s.n == 1 ? "" : "s");
	/* Those that there never were do not come: nobody has their ids. */
	bool late = !s.unknown && wait_for(c, &s, &g, false), met = is_met(&s, &g);
	int status = status_of(&s, met, late);
	if (c->json)
		put_json(c, &s, met, late);
	else if (!c->quiet)
		put_lines(c, &s);
	release(&s);
	c->verbose = false;
	cli_finish(c, status);
}

/* --- wait --- */

/* The status that dpl-call would have ended with in the foreground. */
static int
status_of_one(const struct awaited *a)
{
	if (a->status >= 0)
		return (int)a->status;
	if (strcmp(a->state, "crashed") == 0)
		return SUPERVISE_FAILED;
	if (a->outcome == OUTCOME_SUCCEEDED)
		return EXIT_DONE;
	return strcmp(a->state, "cancelled") == 0 ? SUPERVISE_ABORTED : EXIT_NO;
}

void
cli_wait(struct cli *c)
{
	struct sync s = {0};
	struct goal g = {0};
	struct why why;
	for (int o; (o = cli_getopt(c, ":C:hjo:p:qt:vV", options)) != -1;)
		cli_misuse(c, "that option does not go with wait");
	const char *call = cli_put_call(c);
	cli_put_operation(c, false);
	(void)reader_left(c, 0); /* from now on */
	(void)cli_ask_call(c, call);
	add(c, &s, call);
	take_calls(c, &s, true);
	if (wait_for(c, &s, &g, true)) {
		why_set(&why, ERR_TIMED_OUT, "call %s is %s", call, s.call[0].state);
		cli_die(c, &why);
	}
	int status = status_of_one(&s.call[0]);
	if (c->json) {
		put_one(c, &s.call[0]);
		buf_char(&c->out, '\n');
	} else if (s.call[0].outcome == OUTCOME_FAILED && !c->quiet) {
		cli_say(c, "call %s %s%s%s", call, strcmp(s.call[0].state, "cancelled") == 0 ? "was cancelled" : s.call[0].state, s.call[0].text.n ? ": " : "",
			s.call[0].text.n ? s.call[0].text.p : "");
	}
	release(&s);
	c->verbose = false;
	cli_finish(c, status);
}
