/* render: what people see — ages, tables, colours. */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "num.h"
#include "render.h"
#include "text.h"

void
render_duration(struct buf *b, int64_t ms)
{
	if (ms < 0)
		ms = 0;
	int64_t s = ms / 1000;
	if (ms < 1000)
		buf_fmt(b, "0.%03d s", (int)ms);
	else if (s < 60)
		buf_fmt(b, "%d.%d s", (int)s, (int)(ms % 1000 / 100));
	else if (s < 3600)
		buf_fmt(b, "%dm %ds", (int)(s / 60), (int)(s % 60));
	else if (s < 86400)
		buf_fmt(b, "%dh %dm", (int)(s / 3600), (int)(s / 60 % 60));
	else
		buf_fmt(b, "%lldd %dh", (long long)(s / 86400), (int)(s / 3600 % 24));
}

int
render_colour(const char *when)
{
	if (when && strcmp(when, "always") == 0)
		return 1;
	if (when && strcmp(when, "never") == 0)
		return 0;
	if (when && strcmp(when, "auto") != 0)
		return -1;
	const char *no = getenv("NO_COLOR"), *force = getenv("CLICOLOR_FORCE"), *term = getenv("TERM");
	if (no && *no)
		return 0;
	if (force && *force && strcmp(force, "0") != 0)
		return 1;
	return isatty(1) && term && strcmp(term, "dumb") != 0;
}

void
render_size(int *columns, int *rows)
{
	struct winsize w = {0};
	(void)ioctl(1, TIOCGWINSZ, &w);
	*columns = w.ws_col;
	*rows = w.ws_row;
}

int
render_width(void)
{
	const char *text = getenv("COLUMNS");
	int64_t wanted = 0;
	int columns, rows;
	if (!text || num_int(text, strlen(text), 1, INT32_MAX, &wanted) < 0) {
		render_size(&columns, &rows);
		wanted = columns ? columns : 100;
	}
	return wanted < 30 ? 30 : wanted > 1000 ? 1000 : (int)wanted;
}

static const char *
sequence(enum colour colour)
{
	static const char *const sgr[] = {"", "\033[1m", "\033[2m", "\033[31m", "\033[32m", "\033[33m", "\033[36m"};
	return sgr[colour];
}

void
render_text(struct buf *b, enum colour colour, const char *text)
{
	buf_str(b, sequence(colour));
	buf_str(b, text);
	if (colour != PLAIN)
		buf_str(b, "\033[0m");
}

void
render_cell(struct render_table *t, enum colour colour, const char *text)
{
	text_show(&t->text, text, strlen(text));
	buf_add(&t->text, "", 1);
	buf_char(&t->colours, (char)colour);
	t->cells++;
}

void
render_table(struct buf *b, struct render_table *t, int indent, bool colours)
{
	size_t width[RENDER_COLUMNS] = {0};
	const char *cell = t->text.p;
	b->failed |= t->text.failed || t->colours.failed;
	if (b->failed)
		t->cells = 0;
	for (int i = 0; i < t->cells; i++, cell += strlen(cell) + 1) {
		size_t w = text_columns(cell, strlen(cell));
		if (w > width[i % t->columns])
			width[i % t->columns] = w;
	}
	cell = t->text.p;
	for (int i = 0; i < t->cells; i++, cell += strlen(cell) + 1) {
		int column = i % t->columns;
		bool last = column == t->columns - 1;
		size_t pad = width[column] - text_columns(cell, strlen(cell));
		for (int k = 0; column == 0 && k < indent; k++)
			buf_char(b, ' ');
		for (; t->right[column] && pad; pad--)
			buf_char(b, ' ');
		render_text(b, colours ? (enum colour)t->colours.p[i] : PLAIN, cell);
		for (; !last && pad; pad--)
			buf_char(b, ' ');
		/* no blanks at the end of a line */
		while (last && b->n && b->p[b->n - 1] == ' ')
			b->p[--b->n] = '\0';
		buf_str(b, last ? "\n" : "  ");
	}
	buf_free(&t->text);
	buf_free(&t->colours);
}

/* The end of the escape sequence at `p`. */
static const char *
behind_sequence(const char *p, const char *end)
{
	while (p < end && *p != 'm')
		p++;
	return p < end ? p + 1 : end;
}

void
render_cut(struct buf *b, const char *p, size_t n, size_t columns)
{
	const char *end = p + n, *cut = end;
	bool coloured = false;
	size_t width = 0;
	for (const char *q = p; q < end;) {
		if (*q == '\033') {
			q = behind_sequence(q, end);
			continue;
		}
		if (width++ == columns - 1)
			cut = q; /* where the last column begins, should it be needed for the mark */
		for (q++; q < end && ((unsigned char)*q & 0xc0) == 0x80; q++)
			;
	}
	if (width <= columns)
		cut = end;
	for (const char *q = p; q < cut; q++)
		if (*q == '\033')
			coloured = q + 2 < cut && q[2] != '0';
	buf_add(b, p, (size_t)(cut - p));
	if (coloured)
		buf_str(b, "\033[0m");
	if (cut < end)
		buf_str(b, "…");
}

void
render_screen(struct buf *b, const struct buf *picture, int columns, int rows)
{
	int lines = 0, fit = rows > 2 ? rows - 1 : 1; /* the cursor takes one */
	const char *p = picture->n ? picture->p : "", *newline;
	for (const char *q = p; (q = strchr(q, '\n')); q++)
		lines++;
	buf_str(b, "\033[?25l\033[?7l\033[H");
	for (int i = 0; i < fit && (newline = strchr(p, '\n')); i++, p = newline + 1) {
		struct buf more = {0};
		if (i == fit - 1 && i > 0 && lines > fit) {
			buf_fmt(&more, "… %d more lines", lines - i);
			render_cut(b, more.p ? more.p : "", more.n, (size_t)columns);
			buf_free(&more);
		} else {
			render_cut(b, p, (size_t)(newline - p), (size_t)columns);
		}
		buf_str(b, "\033[K\r\n");
	}
	buf_str(b, "\033[J\033[?7h");
	b->failed |= picture->failed;
}
