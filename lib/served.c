/* served: whether a server stands before a ledger, and since when. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "beat.h"
#include "buf.h"
#include "fsx.h"
#include "num.h"
#include "proc.h"
#include "served.h"

static const char *const name = "server";

/* The first byte: a server runs.  One of those behind it: it works, and has listened until then. */
static struct flock
place(short type, int64_t from, int64_t n)
{
	return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = from, .l_len = n};
}

int
served_begin(int dir, struct why *why)
{
	char text[64];
	struct flock alone = place(F_WRLCK, 0, 1), shared = place(F_RDLCK, 0, 1);
	int fd = fsx_open(dir, name, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
	if (fd < 0)
		return why_errno(why, "make the file %s of the ledger", name);
	/* The first one says since when; the others find that said. */
	bool first = fcntl(fd, F_OFD_SETLK, &alone) == 0;
	int n = snprintf(text, sizeof text, "%lld %lld\n", (long long)getpid(), (long long)proc_start(getpid()));
	if (first && (ftruncate(fd, 0) < 0 || fsx_pwrite(fd, text, (size_t)n, 0) < 0 || beat_touch(fd) < 0))
		first = false; /* a full disk: the times alone have to do */
	if (fcntl(fd, F_OFD_SETLKW, &shared) == 0)
		return fd;
	why_errno(why, "lock the file %s of the ledger", name);
	close(fd);
	return -1;
}

void
served_awoke(int fd)
{
	(void)beat_touch(fd);
}

void
served_heard(int fd, int64_t before, int64_t until_ms)
{
	struct flock now = place(F_RDLCK, until_ms, 1), last = place(F_UNLCK, before, 1);
	if (before == until_ms)
		return;
	/* In between both are held: who looks finds one of them. */
	if (until_ms > 0 && until_ms < INT64_MAX)
		(void)fcntl(fd, F_OFD_SETLK, &now);
	if (before > 0 && before < INT64_MAX)
		(void)fcntl(fd, F_OFD_SETLK, &last);
}

/* Whether the process that the file names is stopped: it answers nobody. */
static bool
is_stopped(int fd)
{
	char text[64];
	int64_t pid, start;
	struct proc p;
	ssize_t n = fsx_pread(fd, text, sizeof text - 1, 0);
	char *blank = n > 0 ? memchr(text, ' ', (size_t)n) : NULL, *end = blank ? memchr(blank, '\n', (size_t)(text + n - blank)) : NULL;
	if (!end || num_int(text, (size_t)(blank - text), 1, INT32_MAX, &pid) < 0 || num_int(blank + 1, (size_t)(end - blank - 1), 0, INT64_MAX, &start) < 0)
		return false;
	return proc_look(pid, &p) == 0 && p.start == start && (p.state == 'T' || p.state == 't');
}

struct served
served_look(int operation)
{
	struct stat st;
	/* Asked as one who would write: a reader's lock is in the way of that. */
	struct flock runs = place(F_WRLCK, 0, 1), works = place(F_WRLCK, 1, 0);
	struct served s = {-1, INT64_MAX};
	int ledger = fsx_open(operation, "..", O_RDONLY | O_DIRECTORY, 0);
	int fd = ledger < 0 ? -1 : fsx_open(ledger, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	if (fd >= 0 && fcntl(fd, F_OFD_GETLK, &works) == 0 && works.l_type != F_UNLCK && works.l_start > 0)
		s.heard_ms = works.l_start;
	if (fd >= 0 && fcntl(fd, F_OFD_GETLK, &runs) == 0 && runs.l_type != F_UNLCK && !is_stopped(fd) && fstat(fd, &st) == 0)
		s.since_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
	fsx_close(&fd);
	fsx_close(&ledger);
	return s;
}
