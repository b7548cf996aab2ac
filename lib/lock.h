/* lock: flock(2) with a time limit.
 *
 * The kernel drops the lock when its holder dies, so nothing is ever stale; the descriptor must be
 * O_CLOEXEC, or a child would keep it.  flock(1) of util-linux excludes us and we it. */
#ifndef DPL_LOCK_H
#define DPL_LOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

/* Wait at most wait_ms for the exclusive lock on `fd`; `name` is for the message "waiting for …"
 * that `n` gets after a second.  0, or -1 with errno (ETIMEDOUT).  While it waits, the calling
 * thread gets SIGALRM from a timer of its own, whose handler is put back after. */
int lock_exclusive(int fd, int64_t wait_ms, const char *name, const struct notice *n);

/* Say why lock_exclusive failed (errno): who holds the lock where the time is over, which is ERR_TIMED_OUT where
 * `timed`, the user set it, else ERR_BUSY.  Returns -1. */
int lock_failed(int fd, const char *name, int64_t wait_ms, bool timed, struct why *why);

void lock_release(int fd);

/* Who holds a flock on the file: "pid 4711 (flock -s f cp f g)", from /proc/locks; "" where nobody
 * is seen (it was released, or the holder is in another PID namespace). */
void lock_holder(int fd, char *text, size_t size);

#endif
