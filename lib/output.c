/* output: what a command prints, passed on to our stdout and kept. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fsx.h"
#include "output.h"
#include "result.h"

enum { COLLECT_MAX = 1 << 20 }; /* more than a pipe holds */

void
output_begin(struct output *o, int out, bool passes)
{
	struct stat st;
	*o = (struct output){.out = out, .to = -1, .keeps_only = !passes};
	/* A description of our own: what is set on the inherited one would be set for others too. */
	if (out >= 0 && passes && fstat(1, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)))
		o->to = fsx_open(AT_FDCWD, "/proc/self/fd/1", O_WRONLY | O_NONBLOCK, 0);
}

struct pollfd
output_poll(const struct output *o)
{
	if (o->late.n)
		return (struct pollfd){.fd = o->to >= 0 ? o->to : 1, .events = POLLOUT};
	return (struct pollfd){.fd = o->out, .events = POLLIN};
}

void
output_pass(struct output *o)
{
	while (o->late.n) {
		size_t n = o->late.n - o->passed;
		struct pollfd room = {.fd = 1, .events = POLLOUT};
		if (o->to < 0 && n > PIPE_BUF)
			n = PIPE_BUF; /* which fits where there is room at all */
		if (o->to < 0 && poll(&room, 1, 0) == 0)
			return;
		ssize_t written = write(o->to >= 0 ? o->to : 1, o->late.p + o->passed, n);
		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0 && errno == EAGAIN)
			return;
		if (written < 0) { /* nobody reads: the command finds that out as if it wrote there itself */
			o->error = errno;
			fsx_close(&o->out);
		}
		o->passed += written < 0 ? n : (size_t)written;
		if (written < 0 || o->passed == o->late.n) {
			buf_clear(&o->late);
			o->passed = 0;
		}
	}
}

/* Take some of what the command has printed; false where there is none (any more). */
static bool
take_some(struct output *o)
{
	char bytes[16384];
	ssize_t n = o->out < 0 ? -1 : read(o->out, bytes, sizeof bytes);
	if (o->out >= 0 && n < 0 && (errno == EINTR || errno == EAGAIN))
		return errno == EINTR;
	if (n <= 0) {
		o->unread = n < 0 && o->out >= 0 ? errno : o->unread;
		fsx_close(&o->out);
		return false;
	}
	if (o->kept.n + (size_t)n <= RESULT_MAX)
		buf_add(&o->kept, bytes, (size_t)n);
	else
		o->too_long = true;
	if (!o->keeps_only)
		buf_add(&o->late, bytes, (size_t)n);
	return true;
}

void
output_take(struct output *o)
{
	if (!o->late.n)
		(void)take_some(o);
	output_pass(o);
}

void
output_collect(struct output *o)
{
	if (o->out >= 0)
		(void)fcntl(o->out, F_SETFL, O_NONBLOCK);
	while (o->late.n < COLLECT_MAX && take_some(o))
		;
	output_pass(o);
	fsx_close(&o->out);
}

void
output_free(struct output *o)
{
	fsx_close(&o->out);
	fsx_close(&o->to);
	buf_free(&o->late);
	buf_free(&o->kept);
}
