/* render: what people see — ages, tables, colours. */
#ifndef DPL_RENDER_H
#define DPL_RENDER_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"

/* A duration in at most two units: "0.123 s", "12.3 s", "4m 5s", "3h 20m", "2d 4h". */
void render_duration(struct buf *b, int64_t ms);

/* Whether colours are wanted on stdout: `when` is auto, always or never (NULL: auto).  auto goes by
 * the terminal, NO_COLOR, CLICOLOR_FORCE and TERM=dumb.  -1 where `when` is none of the three. */
int render_colour(const char *when);

/* The size of the terminal on stdout, 0 where there is none or it does not tell. */
void render_size(int *columns, int *rows);

/* How wide a drawing is made that does not follow the terminal: COLUMNS, else as wide as that, else 100; at least 30, at most 1000. */
int render_width(void);

/* SGR names. */
enum colour { PLAIN, BOLD, DIM, RED, GREEN, YELLOW, CYAN };

/* Add text between the escape sequences of a colour; PLAIN adds it as it is. */
void render_text(struct buf *b, enum colour colour, const char *text);

/* A table: cells are added row by row, and written when all widths are known.  The last column is not
 * padded.  Cells pass text_show: nothing in them reaches the terminal raw. */
enum { RENDER_COLUMNS = 8 };
struct render_table {
	int columns;
	int cells;               /* added so far */
	struct buf text;         /* the cells, NUL-terminated, already shown */
	struct buf colours;      /* one byte a cell */
	bool right[RENDER_COLUMNS]; /* align to the right */
};

void render_cell(struct render_table *t, enum colour colour, const char *text);
/* Write the rows, each behind `indent` blanks, and free the table. */
void render_table(struct buf *b, struct render_table *t, int indent, bool colours);

/* Add a line of n bytes that may hold render_text's colours, at most so many columns of it; one that is cut ends with "…". */
void render_cut(struct buf *b, const char *p, size_t n, size_t columns);

/* Add what draws `picture`, lines that may hold render_text's colours, over the screen of a terminal from its top left
 * corner on: cut to its size, and saying how many lines did not fit.  The cursor ends below it. */
void render_screen(struct buf *b, const struct buf *picture, int columns, int rows);

/* Where a screen is left: long lines wrap, the cursor is seen. */
#define RENDER_LEAVE "\033[?7h\033[?25h"

#endif
