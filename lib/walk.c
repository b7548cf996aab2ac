/* walk: delete a tree by descriptor. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "clock.h"
#include "fsx.h"
#include "text.h"
#include "walk.h"

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

enum {
	LISTED = 32 * 1024, /* bytes of names that are read at a time */
	LOOK_EVERY = 1024,  /* entries between two looks at the clock */
	PASSES_MAX = 1000,  /* over a folder in which others make or swap things meanwhile */
	SWAPS_MAX = 1000,   /* of an entry between file and folder */
};

/* As getdents64(2) has it. */
struct listed {
	uint64_t inode;
	int64_t next;
	uint16_t size;
	uint8_t type;
	char name[];
};

/* What is known of a folder on the way down. */
struct level {
	int fd;           /* -1: closed, since descriptors ran out */
	dev_t device;
	ino_t inode;
	const char *name; /* as the level above has it in its list */
	size_t at, end;   /* what of the list is still to be done */
	int64_t next;     /* where the list goes on */
	uint64_t deleted; /* in this pass */
	int passes;
	bool failed;      /* something in it stays */
	bool again;       /* something was swapped while we looked */
	bool opened_up;   /* its permissions were looked at */
	alignas(8) char list[LISTED];
};

struct walk {
	const struct walk_order *o;
	struct walk_end *end;
	struct level *level; /* [0] is the folder that the whole stands in */
	int depth;
	uint64_t seen;
};

/* Note the first that stays: `name` in the level that is open, or that level itself. */
static void
fail(struct walk *w, const char *name, int e, const char *words)
{
	w->level[w->depth].failed = true;
	if (w->end->error)
		return;
	w->end->error = e;
	w->end->words = words;
	for (int i = 1; i <= w->depth; i++) {
		if (i > 1)
			buf_char(&w->end->where, '/');
		text_show(&w->end->where, w->level[i].name, strlen(w->level[i].name));
	}
	if (name && w->depth > 0)
		buf_char(&w->end->where, '/');
	if (name)
		text_show(&w->end->where, name, strlen(name));
}

static bool
must_stop(struct walk *w)
{
	const struct walk_order *o = w->o;
	const char **stopped = &w->end->stopped;
	if (!*stopped && o->until_ms && clock_mono_ms() >= o->until_ms)
		*stopped = "the time was over";
	if (!*stopped && o->go_on && !o->go_on(o->arg))
		*stopped = "it was told to stop";
	return *stopped;
}

/* --- folders, by descriptor --- */

static int
open_beneath(int dir, const char *name, uint64_t flags)
{
	struct open_how how = {
		.flags = flags | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
	};
	long fd;
	/* EAGAIN: somebody renamed something meanwhile, openat2(2) */
	do
		fd = syscall(SYS_openat2, dir, name, &how, sizeof how);
	while (fd < 0 && (errno == EAGAIN || errno == EINTR));
	return (int)fd;
}

/* Close the uppermost level that is not needed now; whether there was one. */
static bool
close_one(struct walk *w)
{
	for (int i = 1; i < w->depth; i++)
		if (w->level[i].fd >= 0) {
			fsx_close(&w->level[i].fd);
			return true;
		}
	return false;
}

static int
open_folder(struct walk *w, int dir, const char *name)
{
	int fd;
	do
		fd = open_beneath(dir, name, O_RDONLY);
	while (fd < 0 && (errno == EMFILE || errno == ENFILE) && close_one(w));
	return fd;
}

/* Open the current level again, from the next one above that is open. */
static bool
reopen(struct walk *w)
{
	struct level *l = &w->level[w->depth];
	int from = w->depth, fd;
	if (l->fd >= 0)
		return true;
	while (w->level[from].fd < 0)
		from--;
	fd = w->level[from].fd;
	for (int i = from + 1; i <= w->depth; i++) {
		struct stat st;
		int below = open_beneath(fd, w->level[i].name, O_RDONLY);
		if (below >= 0 && (fstat(below, &st) < 0 || st.st_ino != w->level[i].inode || st.st_dev != w->level[i].device)) {
			fsx_close(&below);
			errno = ESTALE;
		}
		if (i > from + 1)
			close(fd);
		if (below < 0)
			return false;
		fd = below;
	}
	l->fd = fd;
	return l->next == 0 || lseek(fd, l->next, SEEK_SET) >= 0;
}

/* Give ourselves permission in the current level, which is ours to delete; false with EACCES where that changes nothing. */
static bool
open_up(struct walk *w)
{
	struct level *l = &w->level[w->depth];
	struct stat st;
	errno = EACCES;
	if (w->depth == 0 || l->opened_up)
		return false;
	l->opened_up = true;
	if (fstat(l->fd, &st) == 0 && (st.st_mode & S_IRWXU) != S_IRWXU && fchmod(l->fd, (st.st_mode & 07777) | S_IRWXU) == 0)
		return true;
	errno = EACCES;
	return false;
}

/* The same for a folder that cannot be opened yet. */
static bool
open_up_below(int dir, const char *name)
{
	struct stat st;
	char path[40];
	int fd = open_beneath(dir, name, O_PATH);
	bool changed = false;
	if (fd >= 0 && fstat(fd, &st) == 0 && (st.st_mode & S_IRWXU) != S_IRWXU) {
		mode_t mode = (st.st_mode & 07777) | S_IRWXU;
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		/* Before Linux 6.6 only by its name in /proc. */
		changed = syscall(SYS_fchmodat2, fd, "", mode, AT_EMPTY_PATH) == 0 || chmod(path, mode) == 0;
	}
	fsx_close(&fd);
	if (!changed)
		errno = EACCES;
	return changed;
}

/* --- entries --- */

enum entered { IN, NO_FOLDER, DONE_WITH };

static void
deleted(struct walk *w)
{
	w->end->entries++;
	w->level[w->depth].deleted++;
}

/* Delete a name in the current level; 0 also when it was not there. */
static int
delete_name(struct walk *w, const char *name, int flags)
{
	int fd = w->level[w->depth].fd;
	int rc = unlinkat(fd, name, flags);
	if (rc < 0 && errno == EACCES && open_up(w))
		rc = unlinkat(fd, name, flags);
	if (rc == 0)
		deleted(w);
	return rc == 0 || errno == ENOENT ? 0 : -1;
}

static const char *
words_of(struct walk *w, const char *name, int e)
{
	struct statx x, above;
	int fd = w->level[w->depth].fd;
	if (e == EXDEV || e == EBUSY)
		return "a filesystem is mounted there, or it is in use by the system";
	if (e == ENOSYS)
		return "this kernel cannot open folders safely (openat2)";
	if (e != EPERM || fsx_statx(fd, name, STATX_TYPE, &x) < 0 || fsx_statx(fd, ".", STATX_TYPE, &above) < 0)
		return NULL;
	if ((x.stx_attributes | above.stx_attributes) & STATX_ATTR_IMMUTABLE)
		return "it or its folder is immutable (chattr +i)";
	return (x.stx_attributes | above.stx_attributes) & STATX_ATTR_APPEND ? "it or its folder is append-only (chattr +a)" : NULL;
}

static void
fail_entry(struct walk *w, const char *name, int e)
{
	fail(w, name, e, w->end->error ? NULL : words_of(w, name, e));
}

/* What is deeper than we go. */
static enum entered
too_deep(struct walk *w, const char *name)
{
	if (delete_name(w, name, AT_REMOVEDIR) == 0)
		return DONE_WITH;
	if (errno == ENOTDIR)
		return NO_FOLDER;
	if (errno == ENOTEMPTY || errno == EEXIST)
		fail(w, name, ELOOP, "it is deeper than 256 folders");
	else
		fail_entry(w, name, errno);
	return DONE_WITH;
}

/* Go down into a folder of the current level. */
static enum entered
enter(struct walk *w, const char *name)
{
	const struct walk_order *o = w->o;
	struct level *l = &w->level[w->depth], *below = l + 1;
	struct stat st;
	if (w->depth == WALK_DEPTH_MAX)
		return too_deep(w, name);
	if (must_stop(w))
		return DONE_WITH;
	int fd = open_folder(w, l->fd, name);
	if (fd < 0 && errno == EACCES && open_up(w))
		fd = open_folder(w, l->fd, name);
	if (fd < 0 && errno == EACCES && open_up_below(l->fd, name))
		fd = open_folder(w, l->fd, name);
	/* Somebody else's that is empty may go unread. */
	if (fd < 0 && errno == EACCES && (w->depth > 0 || !o->only_it)) {
		if (delete_name(w, name, AT_REMOVEDIR) == 0)
			return DONE_WITH;
		errno = EACCES;
	}
	if (fd < 0 || fstat(fd, &st) < 0) {
		int e = errno;
		fsx_close(&fd);
		bool swapped = e == ENOTDIR || e == ELOOP;
		if (swapped && (w->depth > 0 || !o->only_it))
			return NO_FOLDER;
		if (swapped)
			w->end->swapped = true;
		else if (e != ENOENT)
			fail_entry(w, name, e);
		return DONE_WITH;
	}
	if (w->depth == 0 && (o->file || (o->only_it && (st.st_ino != o->inode || st.st_dev != o->device)))) {
		w->end->swapped = true;
		close(fd);
		return DONE_WITH;
	}
	if (o->spares && st.st_ino == o->spared_inode && st.st_dev == o->spared_device) {
		fail(w, name, EPERM, "it is the ledger");
		close(fd);
		return DONE_WITH;
	}
	w->depth++;
	memset(below, 0, offsetof(struct level, list));
	below->fd = fd;
	below->device = st.st_dev;
	below->inode = st.st_ino;
	below->name = name;
	return IN;
}

/* Delete an entry of the current level, or go down into it. */
static void
remove_entry(struct walk *w, const char *name, bool folder)
{
	int e = EISDIR;
	for (int i = 0; i < SWAPS_MAX; i++) {
		if (folder && enter(w, name) != NO_FOLDER)
			return;
		if (folder && e != EISDIR)
			break;
		if (delete_name(w, name, 0) == 0)
			return;
		e = errno;
		folder = e == EISDIR || e == EPERM; /* POSIX has EPERM for folders, Linux for what is immutable */
		if (!folder)
			break;
	}
	fail_entry(w, name, e);
}

/* --- up and down --- */

/* The next names of the current level: how many bytes, 0 at its end. */
static size_t
list(struct walk *w)
{
	struct level *l = &w->level[w->depth];
	long n = syscall(SYS_getdents64, l->fd, l->list, LISTED);
	if (n < 0 && errno != ENOENT)
		fail(w, NULL, errno, NULL);
	l->at = 0;
	l->end = n > 0 ? (size_t)n : 0;
	return l->end;
}

/* Look at the current level from its beginning once more; whether there is a point in it. */
static bool
rewind_level(struct level *l)
{
	if ((!l->deleted && !l->again) || ++l->passes >= PASSES_MAX || lseek(l->fd, 0, SEEK_SET) < 0)
		return false;
	l->at = l->end = 0;
	l->next = 0;
	l->deleted = 0;
	l->again = false;
	return true;
}

/* The current level has no more names: delete it, and go up. */
static void
leave(struct walk *w)
{
	struct level *l = &w->level[w->depth];
	const char *name = l->name;
	if (l->again && rewind_level(l))
		return;
	if (l->failed || l->again) {
		if (!l->failed)
			fail(w, NULL, ENOTDIR, "others change it meanwhile");
		fsx_close(&l->fd);
		w->depth--;
		w->level[w->depth].failed = true;
		if (!reopen(w))
			fail(w, NULL, errno, "others move it meanwhile");
		return;
	}
	w->depth--;
	bool open = reopen(w);
	if (!open) {
		fsx_close(&l->fd); /* one more to come back by */
		open = reopen(w);
	}
	if (!open) {
		fail(w, NULL, errno, "others move it meanwhile");
	} else if (delete_name(w, name, AT_REMOVEDIR) < 0) {
		int e = errno;
		if (e == ENOTDIR && w->depth > 0) {
			w->level[w->depth].again = true;
		} else if ((e == ENOTEMPTY || e == EEXIST) && l->fd >= 0 && rewind_level(l)) {
			w->depth++;
			return;
		} else {
			fail_entry(w, name, e);
		}
	}
	fsx_close(&l->fd);
}

static void
walk_through(struct walk *w)
{
	while (w->depth > 0 && !w->end->stopped) {
		struct level *l = &w->level[w->depth];
		if (l->fd < 0 || (l->at == l->end && list(w) == 0)) {
			leave(w);
			continue;
		}
		const struct listed *e = (const struct listed *)(const void *)(l->list + l->at);
		l->at += e->size;
		l->next = e->next;
		if (strcmp(e->name, ".") == 0 || strcmp(e->name, "..") == 0)
			continue;
		if (++w->seen % LOOK_EVERY == 0 && must_stop(w))
			break;
		remove_entry(w, e->name, e->type == DT_DIR);
	}
	for (; w->depth > 0; w->depth--)
		fsx_close(&w->level[w->depth].fd);
}

void
walk_remove(const struct walk_order *o, struct walk_end *end)
{
	struct walk w = {.o = o, .end = end};
	*end = (struct walk_end){0};
	/* Pages that are not touched are not there. */
	const size_t size = (WALK_DEPTH_MAX + 1) * sizeof *w.level;
	w.level = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (w.level == MAP_FAILED) {
		end->error = errno;
		return;
	}
	w.level[0].fd = o->dir;
	if (!must_stop(&w))
		remove_entry(&w, o->name, !o->file);
	walk_through(&w);
	munmap(w.level, size);
}
