/* delays - what may take longer takes longer, at random
 *
 * No program, but linked into the commands by `make delays` (with --wrap): of the calls below DELAYS in a thousand begin up to 100 ms late, and as many
 * end late; of those that come by the thousand, as in a look at all processes, an eighth of that.  So orders of events come that a
 * machine shows once in hundreds of runs.  Without DELAYS in the environment nothing is delayed. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LONGEST_MS = 100, RARE = 8, NS_PER_MS = 1000000 };

/* Not to be repeated, and not the same in two processes that do the same at once; without a system call, which tests would count. */
static uint64_t
chance(void)
{
	static uint64_t calls;
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	uint64_t x = (uint64_t)t.tv_nsec ^ (uint64_t)t.tv_sec << 30 ^ (uint64_t)(uintptr_t)&t << 36 ^ ++calls << 52;
	x = (x ^ x >> 33) * UINT64_C(0xff51afd7ed558ccd);
	x = (x ^ x >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
	return x ^ x >> 33;
}

static void
delay(unsigned one_in)
{
	static long often = -1;
	if (often < 0) {
		const char *text = getenv("DELAYS");
		often = text ? strtol(text, NULL, 10) : 0;
	}
	int e = errno;
	uint64_t x = often > 0 ? chance() : 0;
	if (often > 0 && x % (1000 * one_in) < (uint64_t)often) {
		struct timespec t = {.tv_nsec = (long)((x >> 32) % LONGEST_MS) * NS_PER_MS};
		nanosleep(&t, NULL);
	}
	errno = e;
}

#define DELAYED(one_in, type, name, parameters, arguments) \
	type __real_##name parameters; \
	type __wrap_##name parameters; \
	type __wrap_##name parameters \
	{ \
		delay(one_in); \
		type result = __real_##name arguments; \
		delay(one_in); \
		return result; \
	}

DELAYED(1, ssize_t, write, (int fd, const void *p, size_t n), (fd, p, n))
DELAYED(RARE, ssize_t, read, (int fd, void *p, size_t n), (fd, p, n))
DELAYED(RARE, ssize_t, pread, (int fd, void *p, size_t n, off_t at), (fd, p, n, at))
DELAYED(1, ssize_t, send, (int fd, const void *p, size_t n, int flags), (fd, p, n, flags))
DELAYED(1, ssize_t, recv, (int fd, void *p, size_t n, int flags), (fd, p, n, flags))
DELAYED(RARE, int, close, (int fd), (fd))
DELAYED(1, int, fsync, (int fd), (fd))
DELAYED(1, int, fdatasync, (int fd), (fd))
DELAYED(1, int, ftruncate, (int fd, off_t size), (fd, size))
DELAYED(1, int, flock, (int fd, int how), (fd, how))
DELAYED(1, int, poll, (struct pollfd *p, nfds_t n, int ms), (p, n, ms))
DELAYED(1, int, pipe2, (int *ends, int flags), (ends, flags))
DELAYED(1, int, connect, (int fd, const struct sockaddr *to, socklen_t n), (fd, to, n))
DELAYED(1, int, mkdirat, (int dir, const char *name, mode_t mode), (dir, name, mode))
DELAYED(1, int, unlinkat, (int dir, const char *name, int flags), (dir, name, flags))
DELAYED(1, int, renameat, (int from, const char *name, int to, const char *other), (from, name, to, other))
DELAYED(1, int, linkat, (int from, const char *name, int to, const char *other, int flags), (from, name, to, other, flags))
DELAYED(1, int, kill, (pid_t pid, int sig), (pid, sig))
DELAYED(1, int, setpgid, (pid_t pid, pid_t group), (pid, group))
DELAYED(1, pid_t, fork, (void), ())
DELAYED(RARE, pid_t, waitpid, (pid_t pid, int *status, int flags), (pid, status, flags))
DELAYED(RARE, pid_t, wait4, (pid_t pid, int *status, int flags, struct rusage *used), (pid, status, flags, used))
DELAYED(RARE, int, waitid, (idtype_t type, id_t id, siginfo_t *info, int flags), (type, id, info, flags))

/* --- those whose last argument may not be there --- */

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __real_openat(int dir, const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...);
int __real_fcntl(int fd, int what, ...);
int __wrap_fcntl(int fd, int what, ...);

static mode_t
mode_of(int flags, va_list more)
{
	return flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)) ? va_arg(more, mode_t) : 0;
}

int
__wrap_open(const char *path, int flags, ...)
{
	va_list more;
	va_start(more, flags);
	mode_t mode = mode_of(flags, more);
	va_end(more);
	delay(RARE);
	return __real_open(path, flags, mode);
}

int
__wrap_openat(int dir, const char *path, int flags, ...)
{
	va_list more;
	va_start(more, flags);
	mode_t mode = mode_of(flags, more);
	va_end(more);
	delay(RARE);
	return __real_openat(dir, path, flags, mode);
}

/* Locks alone are delayed; all that is passed otherwise is no wider than a pointer. */
int
__wrap_fcntl(int fd, int what, ...)
{
	va_list more;
	va_start(more, what);
	void *argument = va_arg(more, void *);
	va_end(more);
	bool locks = what == F_OFD_SETLK || what == F_OFD_SETLKW || what == F_SETLK || what == F_SETLKW;
	if (locks)
		delay(1);
	int result = __real_fcntl(fd, what, argument);
	if (locks)
		delay(1);
	return result;
}
