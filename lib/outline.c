/* outline: what is nested, drawn as a tree. */
#include <stdlib.h>

#include "buf.h"
#include "outline.h"

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
outline_draw(const int32_t *parent, int32_t n, void (*visit)(void *arg, int32_t i, const char *lead), void *arg)
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
