/* fsx: files, with every error looked at.
 *
 * Functions return 0 (or a descriptor, or a length) and -1 with errno.  Every descriptor is
 * O_CLOEXEC.  EINTR is never seen outside. */
#ifndef DPL_FSX_H
#define DPL_FSX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#ifndef STATX_TYPE /* musl before 1.2.4 */
#include <linux/stat.h>
#endif
#ifndef STATX_ATTR_MOUNT_ROOT
#define STATX_ATTR_MOUNT_ROOT 0x2000
#endif

#include "buf.h"

int fsx_open(int dir, const char *name, int flags, mode_t mode);

/* statx(2) of `name` in `dir`, following no link and mounting nothing; `wanted` is of STATX_…. */
int fsx_statx(int dir, const char *name, unsigned wanted, struct statx *x);

/* Close it if it is open; it is -1 then. */
void fsx_close(int *fd);

/* Write all of it at the descriptor's position; a short write goes on, and fails with the errno
 * of the write that gave nothing. */
int fsx_write(int fd, const void *bytes, size_t n);
/* Likewise at `pos`. */
int fsx_pwrite(int fd, const void *bytes, size_t n, uint64_t pos);

/* Read up to `n` bytes at `pos`: as many as there are. */
ssize_t fsx_pread(int fd, void *bytes, size_t n, uint64_t pos);

/* Add a whole file to `b`; EFBIG beyond `max` bytes. */
int fsx_read_file(int dir, const char *name, struct buf *b, size_t max);

/* Replace `name` by these bytes: written aside, and swapped with it or renamed over it.  Nothing is flushed. */
int fsx_replace(int dir, const char *name, const void *bytes, size_t n);

/* A new file that has no name until it is whole, so that nothing is left of who is killed while it writes; where the filesystem has no such
 * files (NFS) it has one in `aside`. */
struct fsx_whole {
	int dir, fd;             /* write to fd */
	char aside[100];         /* ".NAME.PID.…", or "" */
};

/* Begin one for `name` in `dir`, which stays open.  0 or -1. */
int fsx_whole_begin(struct fsx_whole *w, int dir, const char *name);

/* Flush it with `sync`, give it its name, close it; where `rc`, what writing it gave, is not 0 it is dropped.  0 or -1: EEXIST where another was
 * first, whose file stays. */
int fsx_whole_end(struct fsx_whole *w, const char *name, int rc, bool sync);

/* Write a file that somebody asked for: it gets its name and mode when it is whole, and takes the place of one that is there, of that which a
 * link leads to.  What is no ordinary file (a device, a FIFO) is written to. */
int fsx_put(const char *path, mode_t mode, const void *bytes, size_t n);

/* Make the folder and those above it that are missing, mode 0700; with `sync` each is flushed into the one
 * above it.  0 also when it is there. */
int fsx_mkdir_all(const char *path, bool sync);

/* Flush a folder's names. */
int fsx_sync_dir(int dir);

/* rename(2) that fails with EEXIST where `to` is there. */
int fsx_rename_new(int from_dir, const char *from, int to_dir, const char *to);

/* Whether a file is on a filesystem of another host or program (NFS, CIFS, FUSE, 9p …), where inotify sees nothing of what others
 * do. */
bool fsx_is_remote(int fd);

/* The names in the folder `name` of `dir` (no link), without `.` and `..`, sorted by bytes.  *names is one block that
 * the caller frees, NULL for none; the count, or -1. */
ssize_t fsx_list(int dir, const char *name, char ***names);

#endif
