/* fsx: files, with every error looked at. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "fsx.h"

/* linux/fs.h has it too, but clashes with musl's headers. */
#define RENAME_NOREPLACE_FLAG 1u
#define RENAME_EXCHANGE_FLAG 2u

int
fsx_open(int dir, const char *name, int flags, mode_t mode)
{
	int fd;
	do
		fd = openat(dir, name, flags | O_CLOEXEC | O_NOCTTY, mode);
	while (fd < 0 && errno == EINTR);
	return fd;
}

int
fsx_statx(int dir, const char *name, unsigned wanted, struct statx *x)
{
	return (int)syscall(SYS_statx, dir, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, wanted, x);
}

void
fsx_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* At `pos`, or where the descriptor stands (-1). */
static int
write_all(int fd, const void *bytes, size_t n, off_t pos)
{
	const char *p = bytes;
	while (n) {
		ssize_t w = pos < 0 ? write(fd, p, n) : pwrite(fd, p, n, pos);
		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0) {
			if (w == 0)
				errno = ENOSPC;
			return -1;
		}
		p += w;
		n -= (size_t)w;
		if (pos >= 0)
			pos += w;
	}
	return 0;
}

int
fsx_write(int fd, const void *bytes, size_t n)
{
	return write_all(fd, bytes, n, -1);
}

int
fsx_pwrite(int fd, const void *bytes, size_t n, uint64_t pos)
{
	return write_all(fd, bytes, n, (off_t)pos);
}

ssize_t
fsx_pread(int fd, void *bytes, size_t n, uint64_t pos)
{
	char *p = bytes;
	size_t got = 0;
	while (got < n) {
		ssize_t r = pread(fd, p + got, n - got, (off_t)(pos + got));
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -1;
		if (r == 0)
			break;
		got += (size_t)r;
	}
	return (ssize_t)got;
}

int
fsx_read_file(int dir, const char *name, struct buf *b, size_t max)
{
	/* O_NONBLOCK: a FIFO in the file's place must not hang us. */
	int fd = fsx_open(dir, name, O_RDONLY | O_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	ssize_t r = 0;
	size_t first = b->n;
	do {
		if (buf_reserve(b, 16384) < 0) {
			errno = ENOMEM;
			r = -1;
			break;
		}
		do
			r = read(fd, b->p + b->n, 16384);
		while (r < 0 && errno == EINTR);
		if (r > 0)
			b->n += (size_t)r;
		if (b->n - first > max) {
			errno = EFBIG;
			r = -1;
		}
	} while (r > 0);
	int e = errno;
	close(fd);
	errno = e;
	if (b->p)
		b->p[b->n] = '\0';
	return r < 0 ? -1 : 0;
}

int
fsx_replace(int dir, const char *name, const void *bytes, size_t n)
{
	char aside[300];
	snprintf(aside, sizeof aside, ".%s.%ld", name, (long)getpid());
	(void)unlinkat(dir, aside, 0); /* a left-over of a dead process that had our pid */
	int fd = fsx_open(dir, aside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -1;
	int rc = fsx_write(fd, bytes, n), e = errno;
	if (close(fd) < 0 && rc == 0) {
		e = errno;
		rc = -1;
	}
	/* A rename over a file makes ext4 write the new one out at once, and the next such rename wait for that (its
	 * auto_da_alloc).  Nobody wants it: swap the two, and delete the old one. */
	bool swapped = rc == 0 && syscall(SYS_renameat2, dir, aside, dir, name, RENAME_EXCHANGE_FLAG) == 0;
	if (rc == 0 && !swapped && (rc = renameat(dir, aside, dir, name)) < 0)
		e = errno;
	if (rc < 0 || swapped)
		(void)unlinkat(dir, aside, 0);
	errno = e;
	return rc;
}

int
fsx_whole_begin(struct fsx_whole *w, int dir, const char *name)
{
	unsigned random = 0;
	*w = (struct fsx_whole){.dir = dir, .fd = fsx_open(dir, ".", O_WRONLY | O_TMPFILE, 0600)};
	if (w->fd >= 0)
		return 0;
	/* What filesystems and kernels without it say. */
	if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL && errno != ENOENT)
		return -1;
	/* Other machines and namespaces have the same pids. */
	if (getrandom(&random, sizeof random, 0) != sizeof random)
		return -1;
	snprintf(w->aside, sizeof w->aside, ".%.60s.%ld.%08x", name, (long)getpid(), random);
	w->fd = fsx_open(dir, w->aside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	return w->fd < 0 ? -1 : 0;
}

int
fsx_whole_end(struct fsx_whole *w, const char *name, int rc, bool sync)
{
	char link[40];
	snprintf(link, sizeof link, "/proc/self/fd/%d", w->fd);
	if (rc == 0 && sync)
		rc = fdatasync(w->fd);
	if (rc == 0)
		rc = *w->aside ? fsx_rename_new(w->dir, w->aside, w->dir, name) : linkat(AT_FDCWD, link, w->dir, name, AT_SYMLINK_FOLLOW);
	int e = errno;
	if (rc < 0 && *w->aside)
		(void)unlinkat(w->dir, w->aside, 0);
	fsx_close(&w->fd);
	errno = e;
	return rc;
}

/* Open the folder that `path` stands in. */
static int
open_parent(const char *path)
{
	char parent[PATH_MAX];
	const char *slash = strrchr(path, '/');
	snprintf(parent, sizeof parent, "%.*s", slash ? (int)(slash - path + 1) : 1, slash ? path : ".");
	return fsx_open(AT_FDCWD, parent, O_RDONLY | O_DIRECTORY, 0);
}

/* Write into what is there. */
static int
write_into(const char *path, const void *bytes, size_t n)
{
	int fd = fsx_open(AT_FDCWD, path, O_WRONLY, 0);
	if (fd < 0)
		return -1;
	int rc = fsx_write(fd, bytes, n), e = errno;
	if (close(fd) < 0 && rc == 0)
		return -1;
	errno = e;
	return rc;
}

/* Write a file in `dir`, and put it in the place of any other. */
static int
write_over(int dir, const char *name, mode_t mode, const void *bytes, size_t n)
{
	struct fsx_whole w;
	char aside[100];
	unsigned random = 0;
	if (getrandom(&random, sizeof random, 0) != sizeof random || fsx_whole_begin(&w, dir, name) < 0)
		return -1;
	snprintf(aside, sizeof aside, ".%.60s.%ld.%08x~", name, (long)getpid(), random);
	int rc = fsx_write(w.fd, bytes, n);
	if (rc == 0)
		rc = fchmod(w.fd, mode);
	/* link(2) replaces nothing: that takes a name, if only for a moment. */
	if (fsx_whole_end(&w, aside, rc, false) < 0)
		return -1;
	rc = renameat(dir, aside, dir, name);
	int e = errno;
	if (rc < 0)
		(void)unlinkat(dir, aside, 0);
	errno = e;
	return rc;
}

int
fsx_put(const char *path, mode_t mode, const void *bytes, size_t n)
{
	char real[PATH_MAX];
	struct stat st;
	bool there = stat(path, &st) == 0;
	if (there && !S_ISREG(st.st_mode))
		return write_into(path, bytes, n);
	if (there && realpath(path, real))
		path = real;
	const char *slash = strrchr(path, '/');
	int dir = open_parent(path);
	if (dir < 0)
		return -1;
	int rc = write_over(dir, slash ? slash + 1 : path, mode, bytes, n), e = errno;
	close(dir);
	errno = e;
	return rc;
}

/* Flush the folder that `path` stands in. */
static int
sync_parent(const char *path)
{
	int dir = open_parent(path);
	if (dir < 0)
		return -1;
	int rc = fsx_sync_dir(dir), e = errno;
	close(dir);
	errno = e;
	return rc;
}

/* One folder; 0 also when it is there, whatever mkdir says (EROFS, EACCES). */
static int
make_folder(const char *path, bool sync)
{
	struct stat st;
	if (mkdir(path, 0700) == 0)
		return sync ? sync_parent(path) : 0;
	int e = errno;
	if (stat(path, &st) == 0) {
		if (S_ISDIR(st.st_mode))
			return 0;
		e = ENOTDIR;
	}
	errno = e;
	return -1;
}

int
fsx_mkdir_all(const char *path, bool sync)
{
	char part[PATH_MAX];
	size_t n = strlen(path);
	if (n >= sizeof part) {
		errno = ENAMETOOLONG;
		return -1;
	}
	for (size_t i = 1; i <= n; i++) {
		if (path[i] && path[i] != '/')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (make_folder(part, sync) < 0)
			return -1;
	}
	return 0;
}

int
fsx_sync_dir(int dir)
{
	return fsync(dir);
}

int
fsx_rename_new(int from_dir, const char *from, int to_dir, const char *to)
{
	if (syscall(SYS_renameat2, from_dir, from, to_dir, to, RENAME_NOREPLACE_FLAG) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	/* A filesystem without the flag.  A rename onto a folder that is not empty fails by itself
	 * (ENOTEMPTY), and ours never are. */
	if (renameat(from_dir, from, to_dir, to) == 0)
		return 0;
	if (errno == ENOTEMPTY)
		errno = EEXIST;
	return -1;
}

bool
fsx_is_remote(int fd)
{
	static const unsigned long kinds[] = {0x6969 /* NFS */, 0xff534d42 /* CIFS */, 0xfe534d42 /* SMB2 */, 0x517b /* SMB */,
		0x65735546 /* FUSE */, 0x01021997 /* 9p */, 0x00c36400 /* Ceph */, 0x5346414f /* AFS */, 0x0bd00bd0 /* Lustre */};
	struct statfs st;
	if (fstatfs(fd, &st) < 0)
		return false;
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (((unsigned long)st.f_type & 0xffffffff) == kinds[i])
			return true;
	return false;
}

static int
by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

ssize_t
fsx_list(int dir, const char *name, char ***names)
{
	*names = NULL;
	int fd = fsx_open(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	struct buf text = {0};
	size_t count = 0;
	struct dirent *e;
	errno = 0;
	while ((e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		buf_add(&text, e->d_name, strlen(e->d_name) + 1);
		count++;
	}
	int failed = errno;
	closedir(d);
	/* The pointers first, the texts behind them, in one block. */
	char **list = failed || text.failed ? NULL : malloc(count * sizeof *list + text.n + 1);
	if (list) {
		char *p = (char *)(list + count);
		if (text.n)
			memcpy(p, text.p, text.n);
		for (size_t i = 0; i < count; i++, p += strlen(p) + 1)
			list[i] = p;
		qsort(list, count, sizeof *list, by_bytes);
	}
	buf_free(&text);
	errno = failed ? failed : ENOMEM;
	*names = list;
	return list ? (ssize_t)count : -1;
}
