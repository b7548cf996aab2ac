/* watch: wait until a file changes.
 *
 * inotify is the hint, a look every two seconds the truth: it is blind on network filesystems, and
 * a user has 128 instances.  Without an instance the looks alone carry on. */
#ifndef DPL_WATCH_H
#define DPL_WATCH_H

#include <stdint.h>

struct watch {
	int fd; /* -1: no inotify to be had */
};

/* Watch the open file `target` for writes.  Never fails. */
void watch_open(struct watch *w, int target);

/* Return when it may have changed, at the latest after wait_ms or two seconds. */
void watch_wait(struct watch *w, int64_t wait_ms);

void watch_close(struct watch *w);

#endif
