/* picture: an operation as people see it, drawn from the answer of /operation/show. */
#include <string.h>

#include "clock.h"
#include "outline.h"
#include "picture.h"
#include "table.h"
#include "text.h"

enum { BAR = 10 }; /* columns of a progress bar */

static int
member(const struct picture *p, int object, const char *name)
{
	return json_get(p->json, object, name);
}

static const char *
text_of(const struct picture *p, int object, const char *name, struct buf *b)
{
	return json_text(p->json, object, name, b);
}

static enum colour
state_colour(const char *state, bool aborted)
{
	if (aborted || strcmp(state, "failed") == 0 || strcmp(state, "crashed") == 0 || strcmp(state, "cancelled") == 0)
		return RED;
	return strcmp(state, "running") == 0 ? CYAN : strcmp(state, "cleanup") == 0 || strcmp(state, "cancelling") == 0 ? YELLOW : GREEN;
}

enum colour
picture_call_colour(const char *state)
{
	return strcmp(state, "queued") == 0 ? DIM : state_colour(state, false);
}

const char *
picture_state(const struct picture *p, int object, struct buf *b, enum colour *colour)
{
	bool aborted = json_true(p->json, object, "aborted");
	*colour = state_colour(text_of(p, object, "state", b), aborted);
	if (aborted)
		buf_str(b, ", aborted");
	return b->p ? b->p : "";
}

void
picture_ago(const struct picture *p, struct buf *b, const char *time)
{
	int64_t ms;
	if (clock_parse(time, strlen(time), &ms) < 0)
		return;
	render_duration(b, p->now_ms - ms);
	buf_str(b, " ago");
}

void
picture_line(const struct picture *p, const char *label, enum colour colour, const char *text)
{
	struct buf shown = {0};
	if (!*text)
		return;
	text_show(&shown, text, strlen(text));
	buf_fmt(p->out, "%-13s", label);
	render_text(p->out, p->colours ? colour : PLAIN, shown.n ? shown.p : "");
	buf_char(p->out, '\n');
	buf_free(&shown);
}

void
picture_count(struct buf *b, int64_t n, const char *what)
{
	if (n > 0)
		buf_fmt(b, "%s%lld %s", b->n ? ", " : "", (long long)n, what);
}

/* --- participants --- */

const char *
picture_trouble(const struct picture *p, int object, struct buf *b, enum colour *colour)
{
	const char *life = text_of(p, object, "liveness", b);
	if (!*life || strcmp(life, "alive") == 0 || strcmp(life, "left") == 0)
		return "";
	*colour = strcmp(life, "suspect") == 0 || strcmp(life, "suspended") == 0 ? YELLOW : RED;
	return life;
}

void
picture_sign(const struct picture *p, struct buf *b, int person)
{
	struct buf at = {0};
	int64_t beat = json_number(p->json, person, "beatAgeMs");
	if (beat >= 0) {
		buf_str(b, "beat ");
		render_duration(b, beat);
		buf_str(b, " ago");
	} else if (*text_of(p, person, "lastSeenAt", &at)) {
		buf_str(b, "seen ");
		picture_ago(p, b, at.p);
	}
	buf_free(&at);
}

static void
person_row(const struct picture *p, struct render_table *t, int k)
{
	struct buf b = {0}, text = {0};
	int64_t sessions = json_number(p->json, k, "sessions");
	int64_t calls = json_number(p->json, k, "callsStarted");
	enum colour colour = sessions ? GREEN : DIM;
	const char *wrong = picture_trouble(p, k, &b, &colour);
	buf_str(&text, *wrong ? wrong : sessions ? "joined" : "left");
	if (sessions > 1)
		buf_fmt(&text, ", %lld sessions", (long long)sessions);
	render_cell(t, PLAIN, text_of(p, k, "participantId", &b));
	render_cell(t, colour, text.p ? text.p : "");
	buf_clear(&text);
	picture_sign(p, &text, k);
	render_cell(t, PLAIN, text.n ? text.p : "");
	buf_clear(&text);
	buf_fmt(&text, "%lld call%s", (long long)calls, calls == 1 ? "" : "s");
	picture_count(&text, json_number(p->json, k, "callsRunning"), "running");
	render_cell(t, PLAIN, text.p ? text.p : "");
	buf_free(&b);
	buf_free(&text);
}

void
picture_people(const struct picture *p, int object, int indent)
{
	struct render_table t = {.columns = 4};
	struct buf b = {0};
	enum colour ignored;
	int people = member(p, object, "participants");
	for (int k = json_first(p->json, people); k >= 0; k = json_next(p->json, people, k))
		if (!p->live || json_number(p->json, k, "sessions") > 0 || json_number(p->json, k, "callsRunning") > 0 || *picture_trouble(p, k, &b, &ignored))
			person_row(p, &t, k);
	render_table(p->out, &t, indent, p->colours);
	buf_free(&b);
}

/* --- calls --- */

static bool
is_shown(const struct picture *p, int call, struct buf *b)
{
	return !p->live || strcmp(text_of(p, call, "state", b), "running") == 0;
}

/* "[####......] 40/100 half-way"; without a total there is no bar. */
static void
add_progress(const struct picture *p, struct buf *text, int progress, struct buf *b)
{
	int64_t done = json_number(p->json, progress, "done"), total = json_number(p->json, progress, "total");
	const char *message = text_of(p, progress, "message", b);
	if (total > 0 && done >= 0) {
		int full = done >= total ? BAR : (int)(done * (double)BAR / (double)total);
		buf_char(text, '[');
		for (int i = 0; i < BAR; i++)
			buf_char(text, i < full ? '#' : '.');
		buf_str(text, "] ");
	}
	if (done >= 0)
		buf_int(text, done);
	if (total > 0 && done >= 0)
		buf_char(text, '/'), buf_int(text, total);
	if (*message)
		buf_fmt(text, "%s%s", text->n ? " " : "", message);
}

struct rows {
	const struct picture *p;
	struct render_table table;
	bool progress;       /* a column for it */
	struct table nodes;
};

static void
call_row(struct rows *r, int k, const char *lead)
{
	const struct picture *p = r->p;
	struct render_table *t = &r->table;
	struct buf b = {0}, text = {0};
	bool running = strcmp(text_of(p, k, "state", &b), "running") == 0;
	enum colour colour = picture_call_colour(b.p ? b.p : "");
	buf_str(&text, b.p ? b.p : "");
	if (running && *picture_trouble(p, k, &b, &colour))
		buf_fmt(&text, ", %s", b.p);
	struct buf first = {0};
	buf_fmt(&first, "%s%s", lead, text_of(p, k, "callId", &b));
	render_cell(t, PLAIN, first.p ? first.p : "");
	render_cell(t, PLAIN, text_of(p, k, "participantId", &b));
	render_cell(t, colour, text.p ? text.p : "");
	buf_clear(&text);
	render_duration(&text, json_number(p->json, k, "durationMs"));
	render_cell(t, PLAIN, text.p ? text.p : "");
	if (r->progress) {
		buf_clear(&text);
		if (running)
			add_progress(p, &text, member(p, k, "progress"), &b);
		render_cell(t, CYAN, text.n ? text.p : "");
	}
	buf_clear(&text);
	buf_str(&text, text_of(p, k, "description", &b));
	if (*text_of(p, k, "error", &b))
		buf_fmt(&text, "%s%s", text.n ? ": " : "", b.p);
	render_cell(t, PLAIN, text.n ? text.p : "");
	buf_free(&b);
	buf_free(&first);
	buf_free(&text);
}

static void
rows_begin(struct rows *r, const struct picture *p, int calls)
{
	struct buf b = {0};
	*r = (struct rows){.p = p, .table = {.columns = 5, .right = {[3] = true}}};
	for (int k = json_first(p->json, calls); k >= 0 && !r->progress; k = json_next(p->json, calls, k))
		r->progress = json_is_object(p->json, member(p, k, "progress")) && strcmp(text_of(p, k, "state", &b), "running") == 0;
	r->table.columns += r->progress;
	buf_free(&b);
}

void
picture_calls(const struct picture *p, int object, int indent)
{
	struct rows r;
	struct buf b = {0};
	int calls = member(p, object, "calls");
	rows_begin(&r, p, calls);
	for (int k = json_first(p->json, calls); k >= 0; k = json_next(p->json, calls, k))
		if (is_shown(p, k, &b))
			call_row(&r, k, "");
	render_table(p->out, &r.table, indent, p->colours);
	buf_free(&b);
}

struct node {
	struct table_key key; /* the call id */
	int64_t token;        /* its object in the answer */
};

static void
tree_row(void *arg, int32_t i, const char *lead)
{
	struct rows *r = arg;
	const struct node *n = table_at(&r->nodes, (uint32_t)i);
	call_row(r, (int)n->token, lead);
}

void
picture_tree(const struct picture *p, int object, int indent)
{
	struct rows r;
	struct buf b = {0}, parents = {0};
	int calls = member(p, object, "calls");
	rows_begin(&r, p, calls);
	r.nodes.size = sizeof(struct node);
	for (int k = json_first(p->json, calls); k >= 0; k = json_next(p->json, calls, k)) {
		if (!is_shown(p, k, &b))
			continue;
		/* A parent starts before its children, so it is there already. */
		struct node *parent = table_find(&r.nodes, text_of(p, k, "parentId", &b));
		int32_t up = parent ? (int32_t)(((char *)parent - r.nodes.rec) / (ptrdiff_t)r.nodes.size) : -1;
		struct node *n = table_add(&r.nodes, text_of(p, k, "callId", &b));
		p->out->failed |= !n;
		if (!n)
			break;
		n->token = k;
		buf_add(&parents, &up, sizeof up);
	}
	p->out->failed |= parents.failed || outline_draw((const void *)parents.p, (int32_t)r.nodes.n, tree_row, &r) < 0;
	render_table(p->out, &r.table, indent, p->colours);
	table_free(&r.nodes);
	buf_free(&parents);
	buf_free(&b);
}

/* --- temp resources --- */

static void
resource_row(const struct picture *p, struct render_table *t, int k)
{
	struct buf b = {0}, text = {0};
	const char *state = text_of(p, k, "state", &b);
	enum colour colour = strcmp(state, "failed") == 0 || strcmp(state, "left") == 0 || strcmp(state, "forgotten") == 0 ? RED : member(p, k, "result") >= 0 ? DIM : PLAIN;
	buf_int(&text, json_number(p->json, k, "resourceId"));
	render_cell(t, PLAIN, text.p ? text.p : "");
	render_cell(t, colour, state);
	render_cell(t, PLAIN, text_of(p, k, "kind", &b));
	buf_clear(&text);
	buf_str(&text, text_of(p, k, "participantId", &b));
	if (*text_of(p, k, "callId", &b))
		buf_fmt(&text, ", %s", b.p);
	render_cell(t, PLAIN, text.p ? text.p : "");
	buf_clear(&text);
	render_duration(&text, json_number(p->json, k, "ageMs"));
	render_cell(t, PLAIN, text.p ? text.p : "");
	buf_clear(&text);
	if (json_number(p->json, k, "pid") > 0)
		buf_int(&text, json_number(p->json, k, "pid"));
	else
		buf_str(&text, *text_of(p, k, "path", &b) ? b.p : text_of(p, k, "command", &b));
	if (*text_of(p, k, "reason", &b))
		buf_fmt(&text, ": %s", b.p);
	render_cell(t, PLAIN, text.p ? text.p : "");
	buf_free(&b);
	buf_free(&text);
}

void
picture_resources(const struct picture *p, int object, int indent)
{
	struct render_table t = {.columns = 6, .right = {[0] = true, [4] = true}};
	int resources = member(p, object, "resources");
	for (int k = json_first(p->json, resources); k >= 0; k = json_next(p->json, resources, k))
		resource_row(p, &t, k);
	render_table(p->out, &t, indent, p->colours);
}

/* --- the whole --- */

static void
head(const struct picture *p, int object)
{
	static const char *const counts[] = {"running", "ended", "failed", "crashed", "cancelled"};
	struct render_table t = {.columns = 5};
	struct buf b = {0}, text = {0};
	enum colour colour;
	int calls = member(p, object, "callCounts");
	render_cell(&t, BOLD, text_of(p, object, "operationId", &b));
	const char *state = picture_state(p, object, &b, &colour);
	render_cell(&t, colour, state);
	render_duration(&text, json_number(p->json, object, "durationMs"));
	render_cell(&t, PLAIN, text.p ? text.p : "");
	buf_clear(&text);
	for (int i = 0; i < 5; i++)
		picture_count(&text, json_number(p->json, calls, counts[i]), counts[i]);
	render_cell(&t, PLAIN, text.n ? text.p : "no calls");
	render_cell(&t, PLAIN, text_of(p, object, "description", &b));
	render_table(p->out, &t, 0, p->colours);
	buf_free(&b);
	buf_free(&text);
}

void
picture_who(const struct picture *p, struct buf *b, int object, const char *who, const char *when, const char *why)
{
	struct buf text = {0};
	buf_str(b, text_of(p, object, who, &text));
	if (*text_of(p, object, when, &text))
		buf_str(b, ", "), picture_ago(p, b, text.p);
	if (*text_of(p, object, why, &text))
		buf_fmt(b, ": %s", text.p);
	buf_free(&text);
}

/* A line behind WHAT, in red. */
static void
alarm_line(const struct picture *p, int object, int indent, const char *what, const char *who, const char *when, const char *why)
{
	struct buf text = {0}, shown = {0};
	buf_fmt(&text, "%*s%s ", indent, "", what);
	picture_who(p, &text, object, who, when, why);
	text_show(&shown, text.p ? text.p : "", text.n);
	render_text(p->out, p->colours ? RED : PLAIN, shown.p ? shown.p : "");
	buf_char(p->out, '\n');
	buf_free(&text);
	buf_free(&shown);
}

void
picture_alarms(const struct picture *p, int object, int indent)
{
	if (json_true(p->json, object, "aborted"))
		alarm_line(p, object, indent, "aborted by", "abortedBy", "abortedAt", "abortReason");
	if (json_true(p->json, object, "crashed"))
		alarm_line(p, object, indent, "crashed:", "crashedParticipantId", "crashedAt", "crashEvidence");
}

void
picture_operation(const struct picture *p, int object)
{
	head(p, object);
	picture_alarms(p, object, 2);
	picture_people(p, object, 2);
	picture_tree(p, object, 2);
}
