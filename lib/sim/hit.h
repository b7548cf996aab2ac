/* hit: the processes that a failure has hit, and signals to them. */
#ifndef DPL_HIT_H
#define DPL_HIT_H

#include <stdbool.h>
#include <stdint.h>

enum { HIT_MOST = 4096 };

/* One that is hit: stopped, perhaps, and its parent gone. */
struct hit_process {
	int64_t pid, start;      /* start: as of proc_start */
};

struct hit {
	struct hit_process of[HIT_MOST];
	int n;
};

/* Which processes of a tree are meant: all but those of who else takes part, though they may have been started by it; or of these only the supervisors, which beat. */
struct hit_meant {
	const int64_t *others;   /* the first processes of who else takes part: neither they nor what is below them */
	int others_n;
	bool who_beat;
};

/* Add one process; one and all below it that are meant.  What has no room is left out. */
void hit_add(struct hit *h, int64_t pid, int64_t start);
void hit_add_tree(struct hit *h, int64_t pid, const struct hit_meant *meant);

/* Send a signal to a process, if it is still there and the same. */
void hit_signal_one(int64_t pid, int64_t start, int sig);

/* Send it to those with the numbers from `from` to before `to`. */
void hit_signal(const struct hit *h, int from, int to, int sig);

#endif
