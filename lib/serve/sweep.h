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

/* A child has ended. */
void sweep_reap(struct sweep *w);

/* Wait for the one that runs, which must not be cut short. */
void sweep_end(struct sweep *w);

#endif
