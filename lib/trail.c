/* trail: the entries of a journal for people. */
#include <string.h>

#include "clock.h"
#include "table.h"
#include "text.h"
#include "trail.h"
#include "wire.h"

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
trail_line(struct buf *b, const struct entry *e, bool colours)
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
trail_begin(struct render_table *t)
{
	*t = (struct render_table){.columns = TRAIL_COLUMNS, .right = {true, false, true, false, false, true}};
}

void
trail_row(struct render_table *t, const struct entry *e, int64_t start_ms)
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
