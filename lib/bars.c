/* bars: a timeline in the terminal. */
#include <stdlib.h>
#include <string.h>

#include "bars.h"
#include "outline.h"
#include "text.h"
#include "timeline.h"

enum {
	NAME_LEAST = 8,
	NAME_FAIR = 14, /* where it would get less, first the participants are left out, then the duration where there is a state */
	WHO_LEAST = 6,
	WHO_MOST = 16,
};

struct chart {
	const struct picture *p;
	struct timeline t;
	int columns;
	int name, who, axis, duration, state; /* columns of each; 0: left out */
	bool narrow;             /* the state stands where the duration does */
	char *grid;              /* of each column of the axis: ' ', '|' at a tick, '!' at a mark, '.' at that of the end */
	struct buf text;         /* for a while */
};

const char *
bars_cell(int from, int to)
{
	static const struct {
		int from, to;
		const char *text;
	} cells[] = {{0, 8, "█"}, {0, 7, "▉"}, {0, 6, "▊"}, {0, 5, "▋"}, {0, 4, "▌"}, {0, 3, "▍"}, {0, 2, "▎"}, {0, 1, "▏"}, {4, 8, "▐"}, {7, 8, "▕"}, {3, 5, "┃"}};
	size_t best = 0;
	for (size_t i = 0, least = 99; i < sizeof cells / sizeof *cells; i++) {
		size_t off = (size_t)(abs(cells[i].from - from) + abs(cells[i].to - to));
		if (off < least) {
			least = off;
			best = i;
		}
	}
	return cells[best].text;
}

/* --- texts --- */

static int
width_of(const char *text)
{
	return (int)text_columns(text, strlen(text));
}

static void
blanks(struct buf *b, int n)
{
	for (; n > 0; n--)
		buf_char(b, ' ');
}

static void
end_line(struct buf *b)
{
	while (b->n && b->p[b->n - 1] == ' ')
		b->p[--b->n] = '\0';
	buf_char(b, '\n');
}

static void
put(const struct chart *c, enum colour colour, const char *text)
{
	render_text(c->p->out, c->p->colours ? colour : PLAIN, text);
}

/* The same, cut to so many columns and filled up to them. */
static void
put_field(const struct chart *c, enum colour colour, const char *text, int columns, bool right)
{
	struct buf cut = {0};
	text_cut(&cut, text, strlen(text), columns > 0 ? (size_t)columns : 0);
	int pad = columns - width_of(cut.n ? cut.p : "");
	blanks(c->p->out, right ? pad : 0);
	if (cut.n)
		put(c, colour, cut.p);
	blanks(c->p->out, right ? 0 : pad);
	c->p->out->failed |= cut.failed;
	buf_free(&cut);
}

/* A member, shown, in c->text. */
static const char *
member(struct chart *c, int object, const char *name)
{
	struct buf raw = {0};
	const char *text = json_text(c->p->json, object, name, &raw);
	buf_clear(&c->text);
	text_show(&c->text, text, strlen(text));
	c->p->out->failed |= raw.failed || c->text.failed;
	buf_free(&raw);
	return c->text.n ? c->text.p : "";
}

static const char *
what_it_is(struct chart *c, const struct timeline_bar *bar)
{
	const char *text = member(c, bar->call, "description");
	return *text ? text : member(c, bar->call, "callId");
}

/* The state where it is not "ended"; of one that runs, what is wrong with that. */
static const char *
state_of(struct chart *c, const struct timeline_bar *bar, enum colour *colour)
{
	if (bar->state == TIMELINE_RUNNING && *picture_trouble(c->p, bar->call, &c->text, colour))
		return c->text.p;
	const char *word = member(c, bar->call, "state");
	*colour = picture_call_colour(word);
	return bar->state == TIMELINE_ENDED ? "" : word;
}

static const char *
duration_of(struct chart *c, const struct timeline_bar *bar)
{
	buf_clear(&c->text);
	render_duration(&c->text, bar->end_ms - bar->start_ms);
	return c->text.p ? c->text.p : "";
}

/* --- who gets how much room --- */

static int
least(int a, int b)
{
	return a < b ? a : b;
}

static int
most(int a, int b)
{
	return a > b ? a : b;
}

static void
widen(int *columns, int wanted)
{
	*columns = most(*columns, wanted);
}

static void
measure(void *arg, int32_t i, const char *lead)
{
	struct chart *c = arg;
	const struct timeline_bar *bar = &c->t.bars[i];
	enum colour ignored;
	widen(&c->name, width_of(lead) + width_of(what_it_is(c, bar)));
	widen(&c->who, width_of(member(c, bar->call, "participantId")));
	widen(&c->duration, width_of(duration_of(c, bar)));
	widen(&c->state, width_of(state_of(c, bar, &ignored)));
}

static int
before_axis(const struct chart *c)
{
	return c->name + 1 + (c->who ? c->who + 1 : 0);
}

/* Behind the axis: a column for what goes on, a blank, the duration, the state. */
static int
behind_axis(const struct chart *c)
{
	return 2 + (!c->narrow ? c->duration + (c->state ? 1 + c->state : 0) : most(c->duration, c->state));
}

/* The axis gets what the texts leave, but half of it all at least. */
static void
share_out(struct chart *c)
{
	c->p->out->failed |= outline_draw(c->t.parent, c->t.n, measure, c) < 0;
	int fair = least(c->name, NAME_FAIR), half = c->columns / 2;
	if (fair + 1 + least(c->who, WHO_LEAST) + 1 + behind_axis(c) > half)
		c->who = 0;
	c->narrow = fair + 1 + behind_axis(c) > half;
	int room = half - behind_axis(c), over = before_axis(c) - room;
	if (over > 0 && c->who > WHO_LEAST) {
		/* The beginning tells who it is; the rest is what is missing for a name. */
		c->who = most(c->who - over, most(least(least(c->who, WHO_MOST), room / 3), WHO_LEAST));
		over = before_axis(c) - room;
	}
	if (over > 0)
		c->name = most(c->name - over, least(c->name, NAME_LEAST));
	c->axis = c->columns - before_axis(c) - behind_axis(c);
}

/* --- heading --- */

static void
heading(struct chart *c)
{
	struct buf lines = {0}, b = {0};
	struct picture p = *c->p;
	enum colour colour;
	p.out = &lines;
	bool described = *member(c, 0, "description") != '\0';
	render_text(&lines, p.colours ? BOLD : PLAIN, described ? c->text.p : member(c, 0, "operationId"));
	buf_char(&lines, '\n');
	const char *state = picture_state(&p, 0, &b, &colour);
	render_text(&lines, p.colours ? colour : PLAIN, state);
	buf_str(&lines, "  ");
	render_duration(&lines, json_number(p.json, 0, "durationMs"));
	buf_fmt(&lines, "  since %s", member(c, 0, "startTime"));
	if (described)
		buf_fmt(&lines, "  %s", member(c, 0, "operationId"));
	buf_char(&lines, '\n');
	picture_alarms(&p, 0, 0);
	if (*member(c, 0, "endReason"))
		buf_fmt(&lines, "%s: %s\n", json_text(p.json, 0, "state", &b), c->text.p);
	for (char *q = lines.p, *newline; q && (newline = strchr(q, '\n')); q = newline + 1) {
		render_cut(c->p->out, q, (size_t)(newline - q), (size_t)c->columns);
		end_line(c->p->out);
	}
	c->p->out->failed |= lines.failed || b.failed;
	buf_free(&lines);
	buf_free(&b);
}

static int
column_of(const struct chart *c, int64_t ms)
{
	int column = (int)timeline_at(&c->t, ms, c->axis);
	return column < c->axis ? column : c->axis - 1;
}

static void
put_mark(const struct chart *c, const struct timeline_mark *m, const struct timeline_place *p)
{
	char text[40];
	bool behind = p->from >= p->at, before = p->from + p->room <= p->at + p->point; /* neither: there is room for the word alone */
	snprintf(text, sizeof text, "%s%s%s", behind ? "▾ " : "", m->what, behind ? "" : before ? " ▾" : "  ");
	put(c, m->state == TIMELINE_ENDED ? GREEN : RED, text);
}

/* Each mark in the first line where there is room for it. */
static void
put_marks(struct chart *c)
{
	struct timeline_place place[TIMELINE_MARKS];
	for (int i = 0; i < c->t.marks; i++) {
		const struct timeline_mark *m = &c->t.mark[i];
		place[i] = (struct timeline_place){.at = column_of(c, m->at_ms), .point = 1, .room = width_of(m->what) + 2};
		char *cell = &c->grid[(int)place[i].at];
		*cell = m->end && *cell != '!' ? '.' : '!';
	}
	int lanes = timeline_place(place, c->t.marks, c->axis, 1);
	for (int lane = 0; lane < lanes; lane++) {
		blanks(c->p->out, before_axis(c));
		for (int column = 0, at = 0; column < c->axis; column++)
			for (int i = 0; i < c->t.marks; i++)
				if (place[i].lane == lane && (int)place[i].from == column) {
					blanks(c->p->out, column - at);
					put_mark(c, &c->t.mark[i], &place[i]);
					at = column + (int)place[i].room;
				}
		end_line(c->p->out);
	}
}

/* The labels, and below them a line with the ticks. */
static void
put_axis(struct chart *c)
{
	char label[TIMELINE_LABEL];
	int64_t span = c->t.end_ms - c->t.start_ms, step = timeline_step(span, c->axis, 1);
	int at = 0;
	blanks(c->p->out, before_axis(c));
	for (int64_t ms = 0; ms <= span; ms += step) {
		int column = column_of(c, c->t.start_ms + ms);
		c->grid[column] = '|';
		timeline_label(label, ms, step, span);
		if (before_axis(c) + column + width_of(label) > c->columns)
			break;
		blanks(c->p->out, column - at);
		put(c, DIM, label);
		at = column + width_of(label);
	}
	end_line(c->p->out);
	blanks(c->p->out, before_axis(c));
	buf_clear(&c->text);
	for (int i = 0; i < c->axis; i++)
		buf_str(&c->text, c->grid[i] == '|' ? "┬" : "─");
	put(c, DIM, c->text.p ? c->text.p : "");
	end_line(c->p->out);
}

/* --- rows --- */

/* What is seen between the bars. */
static void
put_empty(const struct chart *c, int column)
{
	char what = column < c->axis ? c->grid[column] : ' ';
	if (what == ' ')
		buf_char(c->p->out, ' ');
	else
		put(c, what == '!' ? RED : DIM, what == '|' ? "┊" : "╎");
}

static void
put_bar(struct chart *c, const struct timeline_bar *bar)
{
	struct buf cells = {0};
	int eighths = c->axis * 8, from = (int)timeline_at(&c->t, bar->start_ms, eighths), to = (int)(timeline_at(&c->t, bar->end_ms, eighths) + 0.999);
	from = from < eighths ? from : eighths - 1;
	to = to > from ? to : from + 1;
	int first = from / 8, last = (to - 1) / 8;
	enum colour colour = picture_call_colour(member(c, bar->call, "state"));
	for (int i = 0; i < first; i++)
		put_empty(c, i);
	for (int i = first; i <= last; i++)
		buf_str(&cells, bar->state == TIMELINE_QUEUED ? "░" : bars_cell(i == first ? from % 8 : 0, i == last ? to - last * 8 : 8));
	if (bar->open)
		buf_str(&cells, "▸");
	put(c, colour, cells.p ? cells.p : "");
	for (int i = last + 1 + bar->open; i <= c->axis; i++)
		put_empty(c, i);
	c->p->out->failed |= cells.failed;
	buf_free(&cells);
}

/* A lead that takes more than half of the room loses its beginning. */
static void
put_name(struct chart *c, const struct timeline_bar *bar, const char *lead)
{
	int room = c->name / 2, wide = width_of(lead);
	if (wide > room) {
		for (int over = wide - room + 1; over > 0; over--)
			for (lead++; ((unsigned char)*lead & 0xc0) == 0x80; lead++)
				;
		buf_str(c->p->out, "…");
		wide = room;
	}
	buf_str(c->p->out, lead);
	put_field(c, PLAIN, what_it_is(c, bar), c->name - wide, false);
	buf_char(c->p->out, ' ');
}

static void
put_row(void *arg, int32_t i, const char *lead)
{
	struct chart *c = arg;
	const struct timeline_bar *bar = &c->t.bars[i];
	enum colour colour;
	put_name(c, bar, lead);
	if (c->who) {
		put_field(c, PLAIN, member(c, bar->call, "participantId"), c->who, false);
		buf_char(c->p->out, ' ');
	}
	put_bar(c, bar);
	buf_char(c->p->out, ' ');
	bool has_state = *state_of(c, bar, &colour) != '\0';
	if (!c->narrow || !has_state)
		put_field(c, PLAIN, duration_of(c, bar), c->narrow ? behind_axis(c) - 2 : c->duration, true);
	if (has_state) {
		if (!c->narrow)
			buf_char(c->p->out, ' ');
		put_field(c, colour, state_of(c, bar, &colour), c->state, false);
	}
	end_line(c->p->out);
}

void
bars_draw(const struct picture *p, int columns)
{
	struct chart c = {.p = p, .columns = columns};
	if (timeline_read(&c.t, p->json, p->now_ms) < 0) {
		p->out->failed = true;
	} else if (!c.t.n) {
		buf_fmt(p->out, "%s: no calls\n", member(&c, 0, "operationId"));
	} else {
		share_out(&c);
		c.grid = malloc((size_t)c.axis);
		p->out->failed |= !c.grid;
		if (c.grid) {
			memset(c.grid, ' ', (size_t)c.axis);
			heading(&c);
			put_axis(&c);
			put_marks(&c);
			p->out->failed |= outline_draw(c.t.parent, c.t.n, put_row, &c) < 0;
		}
	}
	free(c.grid);
	buf_free(&c.text);
	timeline_free(&c.t);
}
