/* proc: who a process is. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fsx.h"
#include "num.h"
#include "proc.h"
#include "text.h"

enum {
	STAT_BYTES = 1500,       /* of /proc/PID/stat */
	FIELD_STATE = 3, FIELD_PARENT, FIELD_GROUP, FIELD_SESSION, FIELD_FLAGS = 9, FIELD_THREADS = 20, FIELD_START = 22, FIELD_CODE = 26, FIELD_ENV_START = 50, FIELD_ENV_END, /* proc(5) */
	FLAG_EXITING = 0x4, FLAG_FORKED = 0x40, FLAG_KERNEL = 0x200000, /* PF_EXITING, PF_FORKNOEXEC, PF_KTHREAD */
	ENVIRONMENT_MAX = 8 << 20, /* with the arguments it has 6 MiB at most, execve(2) */
	EXEC_LOOKS = 100, EXEC_LOOK_MS = 2,
};

/* Read what the kernel says of it: where the name ends, behind which " STATE PARENT …" follows; NULL where there is none of that pid. */
static const char *
read_stat(int64_t pid, char *text, size_t size)
{
	char path[40];
	snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
	int fd = fsx_open(AT_FDCWD, path, O_RDONLY, 0);
	ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1); /* all of it: the kernel makes it for the first read */
	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return NULL;
	text[n] = '\0';
	/* The name in parentheses may hold anything: it ends at the last ')'. */
	char *end = strrchr(text, ')');
	return end && end[1] == ' ' && end[2] ? end : NULL;
}

/* Take numbers from behind the name: that of each field of `wanted`, which goes up and ends with 0.  False where one is not there. */
static bool
take_fields(const char *end, const int wanted[], int64_t value[])
{
	const char *p = end + 2;
	for (int field = FIELD_STATE; *wanted; field++) {
		size_t n = strcspn(p, " \n");
		if (field == *wanted && num_int(p, n, INT64_MIN + 1, INT64_MAX, value++) < 0)
			return false;
		wanted += field == *wanted;
		if (*wanted && p[n] != ' ')
			return false;
		p += n + 1;
	}
	return true;
}

int
proc_look(int64_t pid, struct proc *p)
{
	static const int wanted[] = {FIELD_PARENT, FIELD_GROUP, FIELD_SESSION, FIELD_FLAGS, FIELD_THREADS, FIELD_START, 0};
	char text[STAT_BYTES];
	int64_t value[6];
	*p = (struct proc){.pid = pid};
	const char *end = read_stat(pid, text, sizeof text), *open = end ? strchr(text, '(') : NULL;
	if (!open || end < open || !take_fields(end, wanted, value))
		return -1;
	snprintf(p->name, sizeof p->name, "%.*s", (int)(end - open - 1), open + 1);
	p->parent = value[0];
	p->group = value[1];
	p->session = value[2];
	p->kernel = value[3] & FLAG_KERNEL;
	p->forked = value[3] & FLAG_FORKED;
	p->state = end[2] == 'Z' && value[4] > 1 ? 'S' : end[2]; /* only its first thread has ended */
	p->start = value[5];
	return 0;
}

int64_t
proc_start(int64_t pid)
{
	struct proc p;
	return proc_look(pid, &p) < 0 || p.state == 'Z' || p.state == 'X' ? -1 : p.start;
}

/* Read a file of its memory, with its first thread, or where that has ended with another one.  0, or -1 with errno. */
static int
read_memory(int64_t pid, const char *name, struct buf *b, size_t max)
{
	static const int wanted[] = {FIELD_THREADS, 0};
	char path[80], text[STAT_BYTES], **threads;
	int64_t number = 0;
	snprintf(path, sizeof path, "/proc/%lld/%s", (long long)pid, name);
	if (fsx_read_file(AT_FDCWD, path, b, max) < 0 && errno != ESRCH) /* which newer kernels say of a thread that has no memory */
		return -1;
	const char *end = b->n ? NULL : read_stat(pid, text, sizeof text);
	if (!end || end[2] != 'Z' || !take_fields(end, wanted, &number) || number < 2)
		return 0;
	snprintf(path, sizeof path, "/proc/%lld/task", (long long)pid);
	ssize_t n = fsx_list(AT_FDCWD, path, &threads);
	for (ssize_t i = 0; i < n && !b->n; i++) {
		snprintf(path, sizeof path, "/proc/%lld/task/%.20s/%s", (long long)pid, threads[i], name);
		(void)fsx_read_file(AT_FDCWD, path, b, max);
	}
	free(threads);
	return 0;
}

void
proc_command(int64_t pid, char *text, size_t size)
{
	struct buf b = {0}, shown = {0};
	if (read_memory(pid, "cmdline", &b, 1 << 20) == 0 && b.n) {
		for (size_t i = 0; i + 1 < b.n; i++)
			if (!b.p[i])
				b.p[i] = ' ';
		text_show(&shown, b.p, strlen(b.p));
	}
	snprintf(text, size, "%s", shown.n ? shown.p : "?");
	buf_free(&b);
	buf_free(&shown);
}

/* The first line of a file that holds an id of so many bytes, "" where it does not. */
static void
read_id(const char *path, char *id, size_t size)
{
	struct buf b = {0};
	id[0] = '\0';
	if (fsx_read_file(AT_FDCWD, path, &b, 64) == 0 && b.n >= size - 1 && text_valid(b.p, size - 1))
		snprintf(id, size, "%s", b.p);
	buf_free(&b);
}

void
proc_boot_id(char id[PROC_BOOT_ID])
{
	read_id("/proc/sys/kernel/random/boot_id", id, PROC_BOOT_ID);
}

void
proc_machine_id(char id[PROC_MACHINE_ID])
{
	read_id("/etc/machine-id", id, PROC_MACHINE_ID);
}

uint64_t
proc_namespace(const char *kind)
{
	char path[40], target[64];
	int64_t inode = 0;
	snprintf(path, sizeof path, "/proc/self/ns/%s", kind);
	ssize_t n = readlink(path, target, sizeof target - 1); /* "pid:[4026531836]" */
	const char *bracket = n > 0 ? (target[n] = '\0', strchr(target, '[')) : NULL;
	return bracket && num_int(bracket + 1, strcspn(bracket + 1, "]"), 0, INT64_MAX, &inode) == 0 ? (uint64_t)inode : 0;
}

/* Neither musl nor older glibc has these two calls. */
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif

int
proc_open(int64_t pid, int64_t start)
{
	int fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
	if (fd < 0)
		return -1;
	if (start < 0 || proc_start(pid) == start)
		return fd;
	close(fd);
	errno = ESRCH;
	return -1;
}

bool
proc_is_of(int64_t pid, uid_t uid)
{
	char path[40];
	struct stat st;
	snprintf(path, sizeof path, "/proc/%lld", (long long)pid);
	return stat(path, &st) == 0 && st.st_uid == uid;
}

int
proc_signal(int pidfd, int sig)
{
	return (int)syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0);
}

pid_t
proc_reap(int *status, struct rusage *usage)
{
	pid_t pid;
	do
		pid = wait4(-1, status, WNOHANG, usage);
	while (pid < 0 && errno == EINTR);
	return pid;
}

/* Whether a process whose environment was read as empty may have one: in the midst of an exec(2) its new memory is there, and where the
 * environment and, behind that, the code are in it is not noted yet; or it was read from the memory of before, which was just given back. */
static bool
may_have_environment(int64_t pid)
{
	static const int wanted[] = {FIELD_FLAGS, FIELD_CODE, FIELD_ENV_START, FIELD_ENV_END, 0};
	char text[STAT_BYTES];
	int64_t value[4];
	const char *end = read_stat(pid, text, sizeof text);
	if (!end || end[2] == 'Z' || end[2] == 'X' || !take_fields(end, wanted, value))
		return false;
	return (value[1] == 0 || value[3] != value[2]) && !(value[0] & (FLAG_EXITING | FLAG_KERNEL));
}

/* Its environment; empty where it has none, or cannot be seen.  A process that is not found by it would be left running, so one that starts
 * another program is looked at again: it has none for a moment, and for longer where it waits for a processor. */
static void
read_environment(int64_t pid, struct buf *b)
{
	for (int i = 0; read_memory(pid, "environ", b, ENVIRONMENT_MAX) == 0 && !b->n && i < EXEC_LOOKS && may_have_environment(pid); i++)
		if (i)
			usleep(EXEC_LOOK_MS * 1000);
}

bool
proc_has_variable(int64_t pid, const char *variable)
{
	struct buf b = {0};
	size_t n = strlen(variable);
	bool has = false;
	read_environment(pid, &b);
	if (b.n) {
		const char *p = b.p, *end = b.p + b.n;
		for (const char *hit; !has && (hit = memmem(p, (size_t)(end - p), variable, n)); p = hit + 1)
			has = (hit == b.p || !hit[-1]) && (variable[n - 1] == '=' || !hit[n]); /* fsx_read_file puts a NUL behind the end */
	}
	buf_free(&b);
	return has;
}
