/* outline: what is nested, drawn as a tree. */
#ifndef DPL_OUTLINE_H
#define DPL_OUTLINE_H

#include <stdint.h>

/* Visit n nodes as a tree, depth first, each level in the order of their numbers.  parent[i] is the number of i's parent, or -1; nobody
 * is below itself.  `lead` is what is drawn before node i: "│  └─ ".  0, or -1 when memory runs out. */
int outline_draw(const int32_t *parent, int32_t n, void (*visit)(void *arg, int32_t i, const char *lead), void *arg);

#endif
