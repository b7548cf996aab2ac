/* timeline: the drawings that are made from calls and entries. */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "table.h"
#include "text.h"
#include "timeline.h"
#include "wire.h"

enum { DEPTH_MAX = 200 }; /* deeper levels are drawn at this depth: nobody could read them */

static void
cut(struct buf *b, size_t n)
{
	b->n = n;
	if (b->p)
		b->p[n] = '\0';
}

/* Depth first along child[] and next[], back up along parent[]; no recursion, since calls may nest as deep as they
 * are many.  before[d] is how much of the lead stands before level d. */
static void
draw(const int32_t *parent, const int32_t *child, const int32_t *next, int32_t root, size_t *before, struct buf *lead,
	void (*visit)(void *arg, int32_t i, const char *lead), void *arg)
{
	int depth = 0;
	for (int32_t i = root; i >= 0;) {
		int level = depth < DEPTH_MAX ? depth : DEPTH_MAX;
		before[level] = lead->n;
		if (depth)
			buf_str(lead, next[i] >= 0 ? "├─ " : "└─ ");
		visit(arg, i, lead->p ? lead->p : "");
		cut(lead, before[level]);
		if (child[i] >= 0) {
			if (depth && depth < DEPTH_MAX)
				buf_str(lead, next[i] >= 0 ? "│  " : "   ");
			i = child[i];
			depth++;
			continue;
		}
		for (; i >= 0 && next[i] < 0; i = parent[i])
			if (--depth >= 0 && depth < DEPTH_MAX)
				cut(lead, before[depth]);
		if (i >= 0)
			i = next[i];
	}
}

int
timeline_tree(const int32_t *parent, int32_t n, void (*visit)(void *arg, int32_t i, const char *lead), void *arg)
{
	int32_t *child = malloc((size_t)n * 2 * sizeof *child + 1), *next = child + n, root = -1;
	size_t before[DEPTH_MAX + 1] = {0};
	struct buf lead = {0};
	if (!child)
		return -1;
	for (int32_t i = 0; i < n; i++)
		child[i] = -1;
	/* From the last to the first, so that each goes in front of those that came after it. */
	for (int32_t i = n - 1; i >= 0; i--) {
		int32_t *first = parent[i] >= 0 ? &child[parent[i]] : &root;
		next[i] = *first;
		*first = i;
	}
	draw(parent, child, next, root, before, &lead, visit, arg);
	int rc = lead.failed ? -1 : 0;
	buf_free(&lead);
	free(child);
	return rc;
}

static enum colour
sentence_colour(const struct entry *e)
{
	switch (e->event) {
	case EVENT_CALL_FAILED:
	case EVENT_CALL_CRASHED:
	case EVENT_ABORT_SET:
	case EVENT_FAILED:
	case EVENT_CRASH_DETECTED:
		return RED;
	case EVENT_LOG:
		return DIM;
	default:
		return PLAIN;
	}
}

void
timeline_line(struct buf *b, const struct entry *e, bool colours)
{
	struct buf text = {0};
	char at[CLOCK_TEXT], by[TABLE_NAME];
	buf_int(&text, (int64_t)e->seq);
	render_text(b, colours ? DIM : PLAIN, text.p ? text.p : "");
	clock_format(e->at_ms, at);
	buf_fmt(b, " %s ", at);
	slice_copy(e->by, by, sizeof by);
	buf_clear(&text);
	text_show(&text, by, strlen(by));
	render_text(b, colours ? BOLD : PLAIN, text.n ? text.p : "");
	buf_char(b, ' ');
	buf_clear(&text);
	wire_sentence(&text, e);
	render_text(b, colours ? sentence_colour(e) : PLAIN, text.n ? text.p : "");
	buf_char(b, '\n');
	buf_free(&text);
}

void
timeline_begin(struct render_table *t)
{
	*t = (struct render_table){.columns = TIMELINE_COLUMNS, .right = {true, false, true, false, false, true}};
}

void
timeline_row(struct render_table *t, const struct entry *e, int64_t start_ms)
{
	struct buf b = {0};
	char at[CLOCK_TEXT], by[TABLE_NAME];
	buf_int(&b, (int64_t)e->seq);
	render_cell(t, DIM, b.p);
	clock_format(e->at_ms, at);
	render_cell(t, PLAIN, at);
	buf_clear(&b);
	buf_char(&b, '+');
	render_duration(&b, e->at_ms - start_ms);
	render_cell(t, DIM, b.p);
	slice_copy(e->by, by, sizeof by);
	render_cell(t, BOLD, by);
	buf_clear(&b);
	wire_sentence(&b, e);
	render_cell(t, sentence_colour(e), b.n ? b.p : "");
	buf_clear(&b);
	if (e->duration_ms >= 0)
		render_duration(&b, e->duration_ms);
	render_cell(t, PLAIN, b.n ? b.p : "");
	buf_free(&b);
}
