/* capture: what a command prints, in files of its call. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "capture.h"
#include "fsx.h"

enum {
	CHUNK = 64 * 1024,     /* what a pipe holds */
	COLLECT_MAX = 1 << 20, /* more than that */
};

void
capture_file(const char *call, bool err, char file[CAPTURE_FILE_MAX])
{
	char name[ID_FILE_MAX + 1];
	id_file(call, name);
	snprintf(file, CAPTURE_FILE_MAX, "calls/%s.%s", name, err ? "err" : "out");
}

int
capture_place(int dir)
{
	if (mkdirat(dir, "calls", 0700) < 0 && errno != EEXIST)
		return -1;
	return fcntl(dir, F_DUPFD_CLOEXEC, 0);
}

void
capture_begin(struct capture *c, int in, bool err, int64_t keep)
{
	*c = (struct capture){.in = in, .err = err, .place = -1, .to = -1, .keep = keep};
}

void
capture_into(struct capture *c, int place, const char *call)
{
	c->place = place;
	c->call = call;
}

/* Whether there is a file to write to. */
static bool
has_file(struct capture *c)
{
	char file[CAPTURE_FILE_MAX];
	if (c->to >= 0 || c->full)
		return !c->full;
	capture_file(c->call, c->err, file);
	c->to = fsx_open(c->place, file, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW, 0600);
	if (c->to < 0)
		c->error = errno;
	return c->to >= 0;
}

struct pollfd
capture_poll(const struct capture *c)
{
	return (struct pollfd){.fd = c->in, .events = POLLIN};
}

/* Give back the space of what is older than what is to be kept: whole blocks, or a part of one would read as zeros. */
static void
drop_oldest(struct capture *c)
{
	struct stat st;
	if (c->size - c->dropped <= c->keep + c->keep / 4 || fstat(c->to, &st) < 0)
		return;
	int64_t block = st.st_blksize > 4096 ? st.st_blksize : 4096, until = (c->size - c->keep) / block * block;
	if (until <= c->dropped)
		return;
	if (fallocate(c->to, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, until) == 0) {
		c->dropped = until;
		return;
	}
	/* A filesystem that cannot keeps what came first, and no more. */
	c->error = errno;
	c->full = true;
}

static void
put(struct capture *c, const char *bytes, size_t n)
{
	if (c->place < 0)
		return;
	bool can = has_file(c);
	while (n) {
		ssize_t written = can ? write(c->to, bytes, n) : -1;
		if (written < 0 && can && errno == EINTR)
			continue;
		if (written <= 0) {
			c->error = can ? errno : c->error;
			c->lost += (int64_t)n;
			return;
		}
		c->size += written;
		bytes += written;
		n -= (size_t)written;
	}
	drop_oldest(c);
}

/* False where there is nothing (any more). */
static bool
take_some(struct capture *c)
{
	char bytes[CHUNK];
	ssize_t n = c->in < 0 ? 0 : read(c->in, bytes, sizeof bytes);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return errno == EINTR;
	if (n <= 0) {
		c->unread = n < 0 ? errno : c->unread;
		fsx_close(&c->in);
		return false;
	}
	put(c, bytes, (size_t)n);
	return true;
}

void
capture_take(struct capture *c)
{
	(void)take_some(c);
}

void
capture_end(struct capture *c)
{
	int64_t before = c->size + c->lost;
	if (c->in >= 0)
		(void)fcntl(c->in, F_SETFL, O_NONBLOCK);
	while (c->size + c->lost - before < COLLECT_MAX && take_some(c))
		;
	fsx_close(&c->in);
}

void
capture_close(struct capture *c)
{
	capture_end(c);
	fsx_close(&c->to);
}

int
capture_read(const struct capture *c, struct buf *b)
{
	if (c->size == 0)
		return 0;
	if (buf_reserve(b, (size_t)c->size) < 0)
		return -1;
	ssize_t n = fsx_pread(c->to, b->p + b->n, (size_t)c->size, 0);
	if (n > 0)
		b->n += (size_t)n;
	return n == c->size ? 0 : -1;
}

int
capture_open(int dir, const char *call, bool err)
{
	char file[CAPTURE_FILE_MAX];
	capture_file(call, err, file);
	return fsx_open(dir, file, O_RDONLY | O_NOFOLLOW, 0);
}

int64_t
capture_first(int fd)
{
	off_t first = lseek(fd, 0, SEEK_DATA);
	return first > 0 ? first : 0;
}
