/* lock: flock(2) with a time limit. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "fsx.h"
#include "lock.h"
#include "num.h"
#include "proc.h"

enum { TRIES = 8 };

/* glibc and older musl hide this member of struct sigevent. */
#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif
#ifndef SIGEV_THREAD_ID
#define SIGEV_THREAD_ID 4
#endif

/* The pid before `at` in "12: FLOCK  ADVISORY  WRITE 4711 fe:00:1234 0 EOF". */
static int64_t
pid_before(const char *line, const char *at)
{
	int64_t pid = 0;
	const char *first = at;
	while (first > line && first[-1] != ' ')
		first--;
	return num_int(first, (size_t)(at - first), 1, INT32_MAX, &pid) < 0 ? 0 : pid;
}

/* Whether one of a process's descriptors holds a flock on the file that `file` stands for. */
static bool
process_holds(int proc, const char *pid, const char *file)
{
	char path[300];
	char **fds = NULL;
	struct buf b = {0};
	bool holds = false;
	snprintf(path, sizeof path, "%.20s/fdinfo", pid);
	int dir = fsx_open(proc, path, O_RDONLY | O_DIRECTORY, 0);
	ssize_t n = dir < 0 ? 0 : fsx_list(dir, ".", &fds);
	for (ssize_t i = 0; i < n && !holds; i++) {
		buf_clear(&b);
		holds = fsx_read_file(dir, fds[i], &b, 1 << 16) == 0 && b.n && strstr(b.p, "FLOCK") && strstr(b.p, file);
	}
	free(fds);
	if (dir >= 0)
		close(dir);
	buf_free(&b);
	return holds;
}

/* The process that inherited a lock from one that has ended: `exec 9<f; flock 9` in a shell is that way. */
static int64_t
heir(const char *file)
{
	char **pids = NULL;
	int64_t pid = 0, found = 0;
	int proc = fsx_open(AT_FDCWD, "/proc", O_RDONLY | O_DIRECTORY, 0);
	ssize_t n = proc < 0 ? 0 : fsx_list(proc, ".", &pids);
	/* We may have it from the same one, as everything that it runs. */
	for (ssize_t i = 0; i < n && (!found || found == getpid()); i++)
		if (num_int(pids[i], strlen(pids[i]), 1, INT32_MAX, &pid) == 0 && (!found || pid != getpid()) && process_holds(proc, pids[i], file))
			found = pid;
	free(pids);
	if (proc >= 0)
		close(proc);
	return found;
}

void
lock_holder(int fd, char *text, size_t size)
{
	struct stat st;
	struct buf b = {0};
	char file[64], command[200];
	text[0] = '\0';
	if (fstat(fd, &st) < 0 || fsx_read_file(AT_FDCWD, "/proc/locks", &b, 1 << 24) < 0) {
		buf_free(&b);
		return;
	}
	snprintf(file, sizeof file, " %02x:%02x:%llu ", major(st.st_dev), minor(st.st_dev), (unsigned long long)st.st_ino);
	for (char *line = b.p, *next; line && *line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		char *at = strstr(line, file);
		/* "->" marks one that waits */
		int64_t pid = at && strstr(line, "FLOCK") && !strstr(line, "->") ? pid_before(line, at) : 0;
		if (!pid)
			continue;
		if (proc_start(pid) < 0 && !(pid = heir(file)))
			continue;
		proc_command(pid, command, sizeof command);
		if (pid == getpid())
			snprintf(text, size, "this process itself, which inherited it: dpl does not run under flock(1)");
		else
			snprintf(text, size, "pid %lld (%s)", (long long)pid, command);
		break;
	}
	buf_free(&b);
}

static void
on_alarm(int sig)
{
	(void)sig; /* its only work is to interrupt flock */
}

/* The wait proper, with a timer that interrupts flock every 50 ms.  A single shot could come
 * just before flock begins to wait, and be lost. */
static int
wait_lock(int fd, int64_t wait_ms, const char *name, const struct notice *n)
{
	int64_t start = clock_mono_ms();
	bool told = false;
	for (;;) {
		if (flock(fd, LOCK_EX) == 0)
			return 0;
		if (errno != EINTR)
			return -1;
		int64_t waited = clock_mono_ms() - start;
		if (waited >= wait_ms) {
			errno = ETIMEDOUT;
			return -1;
		}
		if (waited >= 1000 && !told) {
			char holder[300];
			lock_holder(fd, holder, sizeof holder);
			notice(n, "waiting for the lock on %s%s%s", name, *holder ? ", held by " : "", holder);
			told = true;
		}
	}
}

int
lock_exclusive(int fd, int64_t wait_ms, const char *name, const struct notice *n)
{
	/* It is held for microseconds as a rule: a few more tries cost less than a timer. */
	for (int try = 0; try < TRIES; try++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -1;
		sched_yield();
	}
	if (wait_ms <= 0) {
		errno = ETIMEDOUT;
		return -1;
	}
	struct sigaction alarm = {.sa_handler = on_alarm}, before;
	sigset_t set, mask;
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGALRM};
	event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
	/* By system calls: musl's timer_create brings its threads along, ten kilobytes in every command. */
	int timer;
	if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer) < 0)
		return -1;
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	sigaction(SIGALRM, &alarm, &before);
	sigprocmask(SIG_UNBLOCK, &set, &mask);
	int64_t step_ms = wait_ms < 50 ? wait_ms : 50;
	struct itimerspec every = {
		.it_interval = {.tv_nsec = step_ms * 1000000},
		.it_value = {.tv_nsec = step_ms * 1000000},
	};
	(void)syscall(SYS_timer_settime, timer, 0, &every, NULL);
	int rc = wait_lock(fd, wait_ms, name, n), e = errno;
	(void)syscall(SYS_timer_delete, timer);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	sigaction(SIGALRM, &before, NULL);
	errno = e;
	return rc;
}

int
lock_failed(int fd, const char *name, int64_t wait_ms, bool timed, struct why *why)
{
	if (errno != ETIMEDOUT)
		return why_errno(why, "lock %s", name);
	char holder[300];
	lock_holder(fd, holder, sizeof holder);
	why_set(why, timed ? ERR_TIMED_OUT : ERR_BUSY, "%s: not locked within %lld ms%s%s", name, (long long)wait_ms,
		*holder ? ", held by " : "", holder);
	why_hint(why, "the lock ends with its holder; try again, or wait longer with -t");
	return -1;
}

void
lock_release(int fd)
{
	(void)flock(fd, LOCK_UN); /* cannot fail on an open descriptor, and closing does the same */
}
