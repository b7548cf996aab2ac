/* watch: wait until something happens to a file or in a folder.
 *
 * inotify is the hint, a look every WATCH_LOOK_MS the truth: it is blind on network filesystems, and a user has
 * 128 instances.  Without an instance the looks alone carry on.  Closing an instance that had a watch
 * takes the kernel 0.05 to 0.2 ms, and now and then 20: make one only for a wait that lasts. */
#ifndef DPL_WATCH_H
#define DPL_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WATCH_LOOK_MS = 2000 };

enum watch_for {
	WATCH_WRITE,   /* a file is written to, or its mode changes; after that one event it is watched no more */
	WATCH_TOUCHES, /* its times or its mode change */
	WATCH_CLOSES,  /* in a folder: a file that was open for writing is closed, as when its holder dies */
	WATCH_NAMES,   /* in a folder: names come and go */
	WATCH_ARRIVES, /* in a folder: names come, and files that were open for writing are closed */
};

struct watch {
	int fd;          /* -1: no instance, made yet or to be had */
	int refused;     /* errno of making one, 0 */
	size_t used, n;  /* of the events that were read */
	char events[2048] __attribute__((aligned(8)));
};

struct watch_event {
	int what;         /* as watch_add returned it; -1: events were lost, look at everything */
	bool gone;        /* what was watched was moved or deleted */
	bool whole;       /* WATCH_ARRIVES: its writer has closed it, or it was moved here */
	const char *name; /* in a folder: which file; "" else.  Valid until the next watch_next. */
};

/* An empty one; no instance is made before the first watch_add. */
void watch_init(struct watch *w);

/* Watch the open file or folder `target` (it may be moved meanwhile).  A number for it, or -1 with errno: EMFILE
 * where no instance is to be had. */
int watch_add(struct watch *w, int target, enum watch_for what);

/* Stop watching one; also where its only event has come already. */
void watch_drop(struct watch *w, int what);

/* The next event; false behind the last of those that were there at the first call.  Never waits. */
bool watch_next(struct watch *w, struct watch_event *e);

/* Wait until there is an event, at most wait_ms or WATCH_LOOK_MS.  False where a signal ended it, or nobody reads `reader` any
 * more, see watch_is_unread (-1: none). */
bool watch_wait(struct watch *w, int64_t wait_ms, int reader);

/* Whether what is written to `fd`, a pipe, a socket or a terminal, can be read by nobody any more; false for what else it is. */
bool watch_is_unread(int fd);

void watch_close(struct watch *w);

#endif
