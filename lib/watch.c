/* watch: wait until something happens to a file or in a folder. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "watch.h"

void
watch_init(struct watch *w)
{
	w->fd = -1;
	w->refused = 0;
	w->used = w->n = 0;
}

int
watch_add(struct watch *w, int target, enum watch_for what)
{
	static const uint32_t masks[] = {
		[WATCH_WRITE] = IN_MODIFY | IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF | IN_ONESHOT,
		[WATCH_TOUCHES] = IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF,
		/* One that was deleted before it is closed has ended in good order. */
		[WATCH_CLOSES] = IN_CLOSE_WRITE | IN_EXCL_UNLINK | IN_MOVE_SELF | IN_DELETE_SELF | IN_ONLYDIR,
		[WATCH_NAMES] = IN_CREATE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE | IN_ONLYDIR,
		[WATCH_ARRIVES] = IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE | IN_MOVE_SELF | IN_DELETE_SELF | IN_ONLYDIR,
	};
	char path[40];
	if (w->fd < 0 && (w->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) < 0) {
		w->refused = errno;
		return -1;
	}
	/* By descriptor: the folder may be moved to backup/ between two calls. */
	snprintf(path, sizeof path, "/proc/self/fd/%d", target);
	int added = inotify_add_watch(w->fd, path, masks[what]);
	if (added < 0)
		w->refused = errno;
	return added;
}

void
watch_drop(struct watch *w, int what)
{
	if (w->fd >= 0)
		(void)inotify_rm_watch(w->fd, what); /* it may be gone already */
}

bool
watch_next(struct watch *w, struct watch_event *e)
{
	for (;;) {
		if (w->used >= w->n) {
			/* What did not fill the room was all. */
			bool all = w->n && w->n + sizeof(struct inotify_event) + NAME_MAX + 1 <= sizeof w->events;
			w->used = w->n = 0;
			if (all)
				return false;
			ssize_t n = w->fd < 0 ? -1 : read(w->fd, w->events, sizeof w->events);
			if (n < 0 && w->fd >= 0 && errno == EINTR)
				continue;
			w->n = n > 0 ? (size_t)n : 0;
			if (!w->n)
				return false;
		}
		const struct inotify_event *i = (const void *)(w->events + w->used);
		w->used += sizeof *i + i->len;
		if (i->mask & IN_IGNORED)
			continue;
		e->what = i->mask & IN_Q_OVERFLOW ? -1 : i->wd;
		e->gone = i->mask & (IN_MOVE_SELF | IN_DELETE_SELF);
		e->whole = i->mask & (IN_CLOSE_WRITE | IN_MOVED_TO);
		e->name = i->len ? i->name : "";
		return true;
	}
}

static bool
is_unread(const struct pollfd *p)
{
	return p->revents & (POLLERR | POLLHUP); /* a pipe has the one, a socket and a terminal the other */
}

bool
watch_wait(struct watch *w, int64_t wait_ms, int reader)
{
	struct pollfd p[2] = {{.fd = w->fd, .events = POLLIN}, {.fd = reader}};
	int ms = wait_ms < 0 ? 0 : wait_ms < WATCH_LOOK_MS ? (int)wait_ms : WATCH_LOOK_MS;
	if (w->used < w->n)
		return true;
	int n = poll(p, 2, ms);
	return n < 0 ? errno != EINTR : !is_unread(&p[1]);
}

bool
watch_is_unread(int fd)
{
	struct pollfd p = {.fd = fd};
	return poll(&p, 1, 0) > 0 && is_unread(&p);
}

void
watch_close(struct watch *w)
{
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
}
