/* order: what is acknowledged was flushed before, and what is registered before it is made. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "order.h"
#include "world.h"

enum { DIRTY = 64 };

static char dirty[DIRTY][PATH_MAX]; /* written, and not flushed yet; "" free */
static char found[PATH_MAX + 300], root[PATH_MAX];
static bool detaches, told; /* the first process waits for another, and has heard of it: what that does now is not acknowledged by the first */

static void
read_memory(pid_t pid, uint64_t address, char *text, size_t n)
{
	struct iovec here = {text, n - 1}, there = {(void *)(uintptr_t)address, n - 1};
	ssize_t got = process_vm_readv(pid, &here, 1, &there, 1, 0);
	text[got > 0 ? got : 0] = '\0';
	if (got <= 0) { /* it may end where a page does */
		size_t left = 4096 - (address & 4095);
		here.iov_len = there.iov_len = left < n - 1 ? left : n - 1;
		got = process_vm_readv(pid, &here, 1, &there, 1, 0);
		text[got > 0 ? got : 0] = '\0';
	}
}

static void
path_of_fd(pid_t pid, int fd, char path[PATH_MAX])
{
	char link[64];
	if (fd == AT_FDCWD)
		snprintf(link, sizeof link, "/proc/%ld/cwd", (long)pid);
	else
		snprintf(link, sizeof link, "/proc/%ld/fd/%d", (long)pid, fd);
	ssize_t n = readlink(link, path, PATH_MAX - 1);
	path[n > 0 ? n : 0] = '\0';
}

/* The path that a name at a descriptor stands for. */
static void
path_at(pid_t pid, uint64_t dir, uint64_t name, char path[PATH_MAX])
{
	char text[PATH_MAX / 2], folder[PATH_MAX];
	read_memory(pid, name, text, sizeof text);
	if (*text == '/') {
		snprintf(path, PATH_MAX, "%s", text);
		return;
	}
	path_of_fd(pid, (int)dir, folder);
	snprintf(path, PATH_MAX, "%.*s/%s", PATH_MAX / 2 - 2, folder, text);
}

static const char *
base(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

static void
soil(const char *path)
{
	int empty = -1;
	for (int i = 0; i < DIRTY; i++) {
		if (strcmp(dirty[i], path) == 0)
			return;
		if (!*dirty[i])
			empty = i;
	}
	if (empty < 0)
		world_die("too much is unflushed");
	snprintf(dirty[empty], PATH_MAX, "%s", path);
}

static void
soil_parent(const char *path)
{
	char folder[PATH_MAX];
	snprintf(folder, sizeof folder, "%.*s", (int)(base(path) - path - 1), path);
	soil(folder);
}

static void
cleaned(const char *path)
{
	for (int i = 0; i < DIRTY; i++)
		if (strcmp(dirty[i], path) == 0)
			dirty[i][0] = '\0';
}

static void
moved(const char *from, const char *to)
{
	size_t n = strlen(from);
	for (int i = 0; i < DIRTY; i++)
		if (strncmp(dirty[i], from, n) == 0 && (dirty[i][n] == '/' || !dirty[i][n])) {
			char rest[PATH_MAX / 2];
			snprintf(rest, sizeof rest, "%s", dirty[i] + n);
			snprintf(dirty[i], PATH_MAX, "%.*s%s", PATH_MAX / 2 - 1, to, rest);
		}
}

/* Whether lines of these kinds are flushed before they are acknowledged: all but log and progress (dpl-ledger(5)). */
static bool
must_be_flushed(const char *lines)
{
	for (const char *e = lines; (e = strstr(e, "\"event\":\"")); e++)
		if (strncmp(e + 9, "log\"", 4) != 0 && strncmp(e + 9, "progress\"", 9) != 0)
			return true;
	return false;
}

static bool
in_ledger(const char *path)
{
	size_t n = strlen(root);
	return strncmp(path, root, n) == 0 && (path[n] == '/' || !path[n]);
}

/* Nothing may be unflushed now. */
static void
must_be_clean(const char *what)
{
	for (int i = 0; i < DIRTY; i++)
		if (*dirty[i] && !*found)
			snprintf(found, sizeof found, "%.200s before %.4000s was flushed", what, dirty[i]);
}

static bool
is(const struct seen *s, const char *name)
{
	return strcmp(s->name, name) == 0;
}

static void
before(const struct seen *s)
{
	char path[PATH_MAX], what[PATH_MAX + 40];
	if (s->process == 0 && ((is(s, "write") && s->args[0] == 1) || (is(s, "exit_group") && s->args[0] == 0)))
		must_be_clean(is(s, "write") ? "it was acknowledged on stdout" : "it exited with 0");
	if (detaches && !told && s->process != 0 && is(s, "write")) {
		path_of_fd(s->pid, (int)s->args[0], path);
		told = strncmp(path, "pipe:", 5) == 0;
		if (told)
			must_be_clean("it was told that it is begun");
	}
	bool makes = (is(s, "openat") && s->args[2] & O_CREAT) || is(s, "mkdirat");
	if (!makes)
		return;
	path_at(s->pid, s->args[0], s->args[1], path);
	snprintf(what, sizeof what, "%.200s was made", base(path));
	if (!in_ledger(path) && strstr(path, "/home/"))
		must_be_clean(what);
}

static void
renamed(const struct seen *s)
{
	char from[PATH_MAX], to[PATH_MAX];
	if (is(s, "rename")) {
		path_at(s->pid, (uint64_t)AT_FDCWD, s->args[0], from);
		path_at(s->pid, (uint64_t)AT_FDCWD, s->args[1], to);
	} else {
		path_at(s->pid, s->args[0], s->args[1], from);
		path_at(s->pid, s->args[2], s->args[3], to);
	}
	/* Papers and checkpoints are made again where they are lost. */
	if (!in_ledger(to) || strncmp(base(to), "operation.", 10) == 0 || strcmp(base(to), "checkpoint") == 0)
		return;
	moved(from, to);
	if (strncmp(base(to), ".old-", 5) == 0)
		return;
	soil_parent(from);
	soil_parent(to);
}

static void
after(const struct seen *s)
{
	char path[PATH_MAX], *text;
	if (s->result < 0 || (told && s->process != 0))
		return;
	if (is(s, "write") || is(s, "pwrite64")) {
		path_of_fd(s->pid, (int)s->args[0], path);
		if (!in_ledger(path) || strcmp(base(path), "journal.jsonl") != 0)
			return;
		text = malloc(s->args[2] + 1);
		if (!text)
			world_die("out of memory");
		read_memory(s->pid, s->args[1], text, s->args[2] + 1);
		if (must_be_flushed(text))
			soil(path);
		free(text);
	} else if (is(s, "fsync") || is(s, "fdatasync")) {
		path_of_fd(s->pid, (int)s->args[0], path);
		cleaned(path);
	} else if (is(s, "renameat2") || is(s, "renameat") || is(s, "rename")) {
		renamed(s);
	} else if (is(s, "mkdir") || is(s, "mkdirat")) {
		if (is(s, "mkdir"))
			path_at(s->pid, (uint64_t)AT_FDCWD, s->args[0], path);
		else
			path_at(s->pid, s->args[0], s->args[1], path);
		if (in_ledger(path))
			soil_parent(path);
	} else if (is(s, "openat") && s->args[2] & O_CREAT) {
		path_at(s->pid, s->args[0], s->args[1], path);
		if (in_ledger(path) && strcmp(base(path), "journal.jsonl") == 0)
			soil_parent(path);
	} else if (is(s, "symlinkat")) {
		path_at(s->pid, s->args[1], s->args[2], path);
		if (in_ledger(path))
			soil_parent(path);
	}
}

static void
see(void *arg, const struct seen *s)
{
	(void)arg;
	if (s->at_exit)
		after(s);
	else
		before(s);
}

const char *
order_check(const struct test *t)
{
	struct watcher w = {see, NULL};
	memset(dirty, 0, sizeof dirty);
	*found = '\0';
	detaches = t->flags & CASE_DETACHES;
	told = false;
	char here[PATH_MAX - 8];
	if (!getcwd(here, sizeof here))
		world_die("no working folder");
	snprintf(root, sizeof root, "%s/ledger", here);
	(void)world_trace(t->who, t->argv, t->in, NULL, &w);
	return *found ? found : NULL;
}
