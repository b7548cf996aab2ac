/* outline: what is nested, drawn as a tree. */
#ifndef DPL_OUTLINE_H
#define DPL_OUTLINE_H

#include <stdint.h>

/* Visit n nodes as a tree, depth first, each level in its own order.  parent[i] is the number of i's parent, smaller
 * than i, or -1.  `lead` is what is drawn before node i: "│  └─ ".  0, or -1 when memory runs out. */
int outline_draw(const int32_t *parent, int32_t n, void (*visit)(void *arg, int32_t i, const char *lead), void *arg);

#endif
