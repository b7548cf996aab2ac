/* stepped - a wall clock that is set while programs run, without touching the machine's
 *
 * No program, but linked into the commands of build/tools/stepped (with --wrap): to what they read of the wall clock the seconds
 * are added that stand in the file named by DPL_TEST_CLOCK, read anew each time, so that a step reaches all who run at once.
 * What the kernel itself stamps, as the times of files, does not step. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int __real_clock_gettime(clockid_t id, struct timespec *t);
long __real_syscall(long number, ...);
int __wrap_clock_gettime(clockid_t id, struct timespec *t);
long __wrap_syscall(long number, ...);
time_t __wrap_time(time_t *to);

static void
step(clockid_t id, struct timespec *t)
{
	char text[32] = "";
	const char *path = getenv("DPL_TEST_CLOCK");
	int e = errno, fd = path && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd >= 0) {
		if (read(fd, text, sizeof text - 1) > 0)
			t->tv_sec += (time_t)strtol(text, NULL, 10);
		close(fd);
	}
	errno = e;
}

int
__wrap_clock_gettime(clockid_t id, struct timespec *t)
{
	int rc = __real_clock_gettime(id, t);
	if (rc == 0)
		step(id, t);
	return rc;
}

/* lib/clock.c reads the clock the first few times in this way.  As syscall(2) itself it takes six arguments, however many there are. */
__attribute__((no_sanitize("address"))) long
__wrap_syscall(long number, ...)
{
	long a[6];
	va_list args;
	va_start(args, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	long rc = __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (rc == 0 && number == SYS_clock_gettime)
		step((clockid_t)a[0], (struct timespec *)a[1]);
	return rc;
}

time_t
__wrap_time(time_t *to)
{
	struct timespec t = {0};
	(void)__wrap_clock_gettime(CLOCK_REALTIME, &t);
	if (to)
		*to = t.tv_sec;
	return t.tv_sec;
}
