/* sweep: every so often the server has all operations looked over, by dpl-cleanup(1). */
#ifndef DPL_SWEEP_H
#define DPL_SWEEP_H

#include <sys/types.h>

#include "serve.h"

struct sweep {
	const struct serve_options *o;
	pid_t pid;               /* of the one that runs, 0 */
	int64_t next_ms;
};

void sweep_begin(struct sweep *w, const struct serve_options *o);

/* Begin one where it is time.  When to come again, monotonic. */
int64_t sweep_go_on(struct sweep *w, int64_t now_ms);

/* This child of the server has ended.  One that runs needs no server, and is not cut short when that ends: an undo command
 * that it was at would be run once more. */
void sweep_ended(struct sweep *w, pid_t pid);

#endif
