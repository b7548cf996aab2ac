/* watch: wait until a file changes. */
#include <poll.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "watch.h"

enum { LOOK_MS = 2000 };

void
watch_open(struct watch *w, int target)
{
	char path[40];
	/* By descriptor: the folder may be moved to backup/ between two calls. */
	snprintf(path, sizeof path, "/proc/self/fd/%d", target);
	w->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (w->fd >= 0 && inotify_add_watch(w->fd, path, IN_MODIFY | IN_MOVE_SELF | IN_DELETE_SELF) < 0)
		watch_close(w);
}

void
watch_wait(struct watch *w, int64_t wait_ms)
{
	struct pollfd p = {.fd = w->fd, .events = POLLIN};
	char events[4096];
	int ms = wait_ms < 0 ? 0 : wait_ms < LOOK_MS ? (int)wait_ms : LOOK_MS;
	if (poll(&p, 1, ms) > 0)
		while (read(w->fd, events, sizeof events) > 0)
			;
}

void
watch_close(struct watch *w)
{
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
}
