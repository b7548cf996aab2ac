/* timeline: when the calls of an operation ran, as bars on an axis. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "outline.h"
#include "table.h"
#include "timeline.h"

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

static const char *const names[TIMELINE_STATES] = {"running", "ended", "failed", "crashed", "cancelled", "queued"};

const char *
timeline_state_name(enum timeline_state state)
{
	return names[state];
}

/* A member that is a time, -1 where it is none. */
static int64_t
time_of(const struct json *json, int object, const char *name)
{
	size_t n;
	int64_t ms;
	const char *text = json_raw(json, json_get(json, object, name), &n);
	return clock_parse(text, n, &ms) == 0 ? ms : -1;
}

/* --- bars --- */

/* A call in the order of the answer. */
struct node {
	struct table_key key;    /* its id */
	int64_t start_ms;
	int32_t call;            /* its object */
	int32_t parent;          /* number of a node, -1 */
	int64_t rank;            /* among all by their start */
};

static int
read_nodes(struct table *nodes, const struct json *json)
{
	struct buf b = {0};
	int calls = json_get(json, 0, "calls"), rc = 0;
	for (int k = json_first(json, calls); k >= 0 && rc == 0; k = json_next(json, calls, k)) {
		/* A parent starts before its children, so it is there already. */
		const char *parent = json_text(json, k, "parentId", &b);
		struct node *up = *parent ? table_find(nodes, parent) : NULL;
		int32_t number = up ? (int32_t)(((char *)up - nodes->rec) / (ptrdiff_t)nodes->size) : -1;
		struct node *n = table_add(nodes, json_text(json, k, "callId", &b));
		rc = n && !b.failed ? 0 : -1;
		if (n) {
			n->call = k;
			n->parent = number;
			n->start_ms = time_of(json, k, "startedAt");
		}
	}
	buf_free(&b);
	return rc;
}

static int
by_start(const void *a, const void *b)
{
	const struct node *x = *(struct node *const *)a, *y = *(struct node *const *)b;
	if (x->start_ms != y->start_ms)
		return x->start_ms < y->start_ms ? -1 : 1;
	return x < y ? -1 : x > y; /* as they came */
}

static enum timeline_state
state_of(const struct json *json, int call, bool open, struct buf *b)
{
	const char *word = json_text(json, call, "state", b);
	for (int i = 0; i < TIMELINE_STATES; i++)
		if (strcmp(word, names[i]) == 0)
			return (enum timeline_state)i;
	return open ? TIMELINE_RUNNING : TIMELINE_ENDED; /* it is being cancelled, or a server knows more states */
}

struct reading {
	struct timeline *t;
	const struct json *json;
	struct node **sorted;
	const int32_t *parent;   /* ranks by rank */
	int32_t *bar;            /* the bar of each rank */
	int64_t until_ms;        /* how long those that have not ended have run */
	struct buf text;
};

/* Add the next bar. */
static void
add_bar(void *arg, int32_t rank, const char *lead)
{
	struct reading *r = arg;
	struct timeline *t = r->t;
	const struct node *node = r->sorted[rank];
	struct timeline_bar *bar = &t->bars[t->n];
	int64_t end_ms = time_of(r->json, node->call, "endedAt");
	(void)lead;
	bar->call = node->call;
	bar->start_ms = node->start_ms;
	bar->open = end_ms < 0;
	bar->end_ms = bar->open ? r->until_ms : end_ms;
	if (bar->end_ms < bar->start_ms) /* a clock was set back */
		bar->end_ms = bar->start_ms;
	bar->state = state_of(r->json, node->call, bar->open, &r->text);
	t->parent[t->n] = r->parent[rank] >= 0 ? r->bar[r->parent[rank]] : -1;
	bar->depth = t->parent[t->n] >= 0 ? t->bars[t->parent[t->n]].depth + 1 : 0;
	t->count[bar->state]++;
	r->bar[rank] = t->n++;
}

/* The nodes as bars, depth first. */
static int
make_bars(struct timeline *t, const struct json *json, struct table *nodes, int64_t until_ms)
{
	size_t n = nodes->n;
	struct node **sorted = malloc((n + 1) * sizeof *sorted);
	int32_t *parent = malloc((2 * n + 1) * sizeof *parent);
	struct reading r = {.t = t, .json = json, .sorted = sorted, .parent = parent, .bar = parent ? parent + n : NULL, .until_ms = until_ms};
	int rc = -1;
	t->bars = malloc((n + 1) * sizeof *t->bars);
	t->parent = malloc((n + 1) * sizeof *t->parent);
	if (sorted && parent && t->bars && t->parent) {
		for (size_t i = 0; i < n; i++)
			sorted[i] = table_at(nodes, (uint32_t)i);
		qsort(sorted, n, sizeof *sorted, by_start);
		for (size_t i = 0; i < n; i++)
			sorted[i]->rank = (int64_t)i;
		for (size_t i = 0; i < n; i++) {
			const struct node *up = sorted[i]->parent >= 0 ? table_at(nodes, (uint32_t)sorted[i]->parent) : NULL;
			parent[i] = up ? (int32_t)up->rank : -1;
		}
		rc = outline_draw(parent, (int32_t)n, add_bar, &r);
	}
	buf_free(&r.text);
	free(sorted);
	free(parent);
	return rc;
}

/* --- the whole --- */

static void
add_mark(struct timeline *t, int64_t at_ms, const char *what, enum timeline_state state, bool end)
{
	int i = t->marks;
	if (at_ms < 0)
		return;
	for (; i > 0 && t->mark[i - 1].at_ms > at_ms; i--)
		t->mark[i] = t->mark[i - 1];
	t->mark[i] = (struct timeline_mark){at_ms, what, state, end};
	t->marks++;
}

static void
stretch(struct timeline *t, int64_t from_ms, int64_t to_ms)
{
	if (from_ms >= 0 && from_ms < t->start_ms)
		t->start_ms = from_ms;
	if (to_ms > t->end_ms)
		t->end_ms = to_ms;
}

int
timeline_read(struct timeline *t, const struct json *json, int64_t now_ms)
{
	struct table nodes = {.size = sizeof(struct node)};
	struct buf b = {0};
	int64_t begin_ms = time_of(json, 0, "startTime"), end_ms = time_of(json, 0, "endTime");
	*t = (struct timeline){.ended = end_ms >= 0};
	int64_t until_ms = t->ended ? end_ms : now_ms;
	int rc = read_nodes(&nodes, json);
	if (rc == 0)
		rc = make_bars(t, json, &nodes, until_ms);
	table_free(&nodes);
	if (json_true(json, 0, "aborted"))
		add_mark(t, time_of(json, 0, "abortedAt"), "aborted", TIMELINE_FAILED, false);
	if (json_true(json, 0, "crashed"))
		add_mark(t, time_of(json, 0, "crashedAt"), "crashed", TIMELINE_CRASHED, false);
	bool failed = strcmp(json_text(json, 0, "state", &b), "failed") == 0;
	add_mark(t, end_ms, failed ? "failed" : "completed", failed ? TIMELINE_FAILED : TIMELINE_ENDED, true);
	buf_free(&b);
	t->start_ms = t->end_ms = begin_ms >= 0 ? begin_ms : until_ms;
	stretch(t, -1, until_ms);
	for (int32_t i = 0; rc == 0 && i < t->n; i++)
		stretch(t, t->bars[i].start_ms, t->bars[i].end_ms);
	for (int i = 0; i < t->marks; i++)
		stretch(t, t->mark[i].at_ms, t->mark[i].at_ms);
	if (t->end_ms <= t->start_ms)
		t->end_ms = t->start_ms + 1;
	return rc;
}

void
timeline_free(struct timeline *t)
{
	free(t->bars);
	free(t->parent);
	*t = (struct timeline){0};
}

double
timeline_at(const struct timeline *t, int64_t ms, double width)
{
	double at = (double)(ms - t->start_ms) / (double)(t->end_ms - t->start_ms) * width;
	return at < 0 ? 0 : at > width ? width : at;
}

/* --- the axis --- */

/* The next of the round times. */
static int64_t
next_step(int64_t step)
{
	static const int64_t round[] = {1, 2, 5, 10, 20, 50, 100, 200, 500, SECOND, 2 * SECOND, 5 * SECOND, 10 * SECOND, 20 * SECOND, 30 * SECOND,
		MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 5 * DAY};
	for (size_t i = 0; i < sizeof round / sizeof *round; i++)
		if (round[i] > step)
			return round[i];
	int64_t ten = DAY;
	while (ten * 10 <= step)
		ten *= 10;
	return step < 2 * ten ? 2 * ten : step < 5 * ten ? 5 * ten : 10 * ten;
}

/* Whether the labels of these ticks have two letters between them. */
static bool
stand_apart(int64_t step, int64_t span_ms, double width, double letter)
{
	char label[TIMELINE_LABEL];
	double apart = (double)step / (double)span_ms * width;
	if (apart < 4 * letter)
		return false; /* and more of them than anybody would look at */
	for (int64_t at = 0; at <= span_ms; at += step) {
		timeline_label(label, at, step, span_ms);
		if (((double)strlen(label) + 2) * letter > apart)
			return false;
	}
	return true;
}

int64_t
timeline_step(int64_t span_ms, double width, double letter)
{
	int64_t step = 1;
	while (step <= span_ms && !stand_apart(step, span_ms, width, letter))
		step = next_step(step);
	return step;
}

void
timeline_label(char label[TIMELINE_LABEL], int64_t at_ms, int64_t step_ms, int64_t span_ms)
{
	static const struct {
		int64_t ms;
		char unit;
	} units[] = {{DAY, 'd'}, {HOUR, 'h'}, {MINUTE, 'm'}};
	int n = 0, digits = step_ms % SECOND == 0 ? 0 : step_ms % 100 == 0 ? 1 : step_ms % 10 == 0 ? 2 : 3;
	if (at_ms == 0) {
		snprintf(label, TIMELINE_LABEL, "0");
		return;
	}
	if (span_ms < SECOND) {
		snprintf(label, TIMELINE_LABEL, "%d ms", (int)at_ms);
		return;
	}
	if (at_ms < MINUTE) {
		snprintf(label, TIMELINE_LABEL, "%.*f s", digits, (double)at_ms / SECOND);
		return;
	}
	for (size_t i = 0; i < 3; at_ms %= units[i].ms, i++)
		if (at_ms >= units[i].ms)
			n += snprintf(label + n, (size_t)(TIMELINE_LABEL - n), "%s%lld%c", n ? " " : "", (long long)(at_ms / units[i].ms), units[i].unit);
	if (at_ms)
		snprintf(label + n, (size_t)(TIMELINE_LABEL - n), " %.*fs", digits, (double)at_ms / SECOND);
}

int
timeline_place(struct timeline_place *places, int n, double width, double gap)
{
	int lanes = 0;
	for (int i = 0; i < n; i++) {
		struct timeline_place *p = &places[i];
		p->from = p->at;
		if (p->at + p->room > width)
			p->from = p->at + p->point >= p->room ? p->at + p->point - p->room : width > p->room ? width - p->room : 0;
		p->lane = 0;
		for (int k = 0; k < i; k++)
			if (places[k].lane == p->lane && p->from < places[k].from + places[k].room + gap && places[k].from < p->from + p->room + gap) {
				p->lane++;
				k = -1; /* anew against all of that line */
			}
		if (p->lane >= lanes)
			lanes = p->lane + 1;
	}
	return lanes;
}
