/* detach: leave the caller behind.
 *
 *	struct detach s;
 *	detach_begin(&s);    0: another process, which holds nothing of the caller's, goes on; the caller's waits until that is through
 *	…say on stderr what there is to say, and exit with a status where it cannot be done…
 *	detach_through(&s);   detach_begin returns in the caller's process, too; here the standard descriptors are /dev/null now
 *
 * What there is for stdout is the caller's process to print: a write that fails, or waits for a reader, is no affair of the one
 * that goes on.
 *
 * Called before anything is opened: a lock would be the parent's, too. */
#ifndef DPL_DETACH_H
#define DPL_DETACH_H

#include <stddef.h>

enum { DETACH_TOLD_MAX = 512 }; /* bytes: what any pipe takes whole */

struct detach {
	int through;                /* a pipe: what the caller is told lets it go on */
	char told[DETACH_TOLD_MAX]; /* in the caller's process: what it was told */
};

/* 0 in the process that goes on; 1 in the caller's once that is through, with s->told; where it ended before, the caller exits as
 * it did.  -1 with errno: nothing was done. */
int detach_begin(struct detach *s);

/* Let the caller go on, with the `n` bytes at `told`: 1 to DETACH_TOLD_MAX. */
void detach_through(struct detach *s, const void *told, size_t n);

#endif
