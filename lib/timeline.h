/* timeline: the drawings that are made from calls and entries. */
#ifndef DPL_TIMELINE_H
#define DPL_TIMELINE_H

#include <stdbool.h>
#include <stdint.h>

#include "entry.h"
#include "render.h"

/* Visit n nodes as a tree, depth first, each level in its own order.  parent[i] is the number of i's parent, smaller
 * than i, or -1.  `lead` is what is drawn before node i: "│  └─ ".  0, or -1 when memory runs out. */
int timeline_tree(const int32_t *parent, int32_t n, void (*visit)(void *arg, int32_t i, const char *lead), void *arg);

/* The columns of a trail, and the row of an entry: number, time, time since start_ms, who, what, how long. */
enum { TIMELINE_COLUMNS = 6 };
void timeline_begin(struct render_table *t);
void timeline_row(struct render_table *t, const struct entry *e, int64_t start_ms);

/* Add an entry as a line for people: number, time, who, what. */
void timeline_line(struct buf *b, const struct entry *e, bool colours);

#endif
