/* trail: the entries of a journal for people, as rows of a table or as lines. */
#ifndef DPL_TRAIL_H
#define DPL_TRAIL_H

#include <stdbool.h>
#include <stdint.h>

#include "entry.h"
#include "render.h"

/* The columns of a trail, and the row of an entry: number, time, time since start_ms, who, what, how long. */
enum { TRAIL_COLUMNS = 6 };
void trail_begin(struct render_table *t);
void trail_row(struct render_table *t, const struct entry *e, int64_t start_ms);

/* Add an entry as a line for people: number, time, who, what. */
void trail_line(struct buf *b, const struct entry *e, bool colours);

#endif
