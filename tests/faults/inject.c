/* inject: run a command under ptrace(2), and let one of its system calls go wrong.
 *
 * ptrace(2): "Syscall-stops", PTRACE_GET_SYSCALL_INFO, PTRACE_O_TRACESYSGOOD.  A call whose number is made -1 at its
 * entry is not carried out; what it gives is set at its exit. */
#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "inject.h"

enum { MOST = 256, KILLED = 128 + SIGKILL };

struct process {
	pid_t pid;
	bool gone, foreign, known; /* known: it has stopped once */
	bool at_exit;              /* the next syscall-stop is an exit */
	bool failing, shortened;   /* the call that it is in */
	long calls;
	long nr;
	uint64_t args[6];
};

struct tracee {
	const struct fault *f;
	const struct how *how;
	struct process p[MOST];
	int n, live;
	char folder[PATH_MAX];     /* of the command's program */
	long failing_nr;           /* FAULT_ERRORS: of these, from now on */
	bool reached;
	long hit;                  /* the call that the fault was in, and its first argument */
	uint64_t first;
};

#define N(name) {SYS_##name, #name}
static const struct {
	long nr;
	const char *name;
} names[] = {
	N(bind), N(brk), N(capget), N(chdir), N(clock_gettime), N(clock_nanosleep), N(clone), N(close), N(connect), N(copy_file_range), N(dup), N(dup3),
	N(execve), N(exit), N(exit_group), N(faccessat), N(fallocate), N(fchdir), N(fchmod), N(fchmodat), N(fchownat), N(fcntl), N(fdatasync), N(flock),
	N(fstat), N(fstatfs), N(fsync), N(ftruncate), N(futex), N(getcwd), N(getdents64), N(getegid), N(geteuid), N(getgid), N(getpgid), N(getpid),
	N(getppid), N(getrandom), N(getsid), N(gettid), N(getuid), N(inotify_add_watch), N(inotify_init1), N(inotify_rm_watch), N(ioctl), N(kill), N(linkat),
	N(lseek), N(madvise), N(mkdirat), N(mmap), N(mprotect), N(mremap), N(munmap), N(nanosleep), N(openat), N(openat2), N(pidfd_open),
	N(pidfd_send_signal), N(pipe2), N(ppoll), N(prctl), N(pread64), N(preadv), N(prlimit64), N(pwrite64), N(read), N(readlinkat), N(readv),
	N(renameat2), N(restart_syscall), N(rt_sigaction), N(rt_sigprocmask), N(rt_sigreturn), N(rt_sigtimedwait), N(sched_getaffinity),
	N(sched_setscheduler), N(sched_yield), N(sendfile), N(sendto), N(set_robust_list), N(set_tid_address), N(setfsgid), N(setfsuid), N(setgid),
	N(setgroups), N(setitimer), N(setpgid), N(setresgid), N(setresuid), N(setsid), N(setuid), N(signalfd4), N(sigaltstack), N(socket), N(statfs),
	N(statx), N(symlinkat), N(tgkill), N(tkill), N(umask), N(uname), N(unlinkat), N(utimensat), N(wait4), N(waitid), N(write), N(writev),
#ifdef SYS_renameat
	N(renameat),
#endif
#ifdef SYS_newfstatat
	N(newfstatat),
#endif
#ifdef __x86_64__
	N(access), N(arch_prctl), N(chmod), N(dup2), N(fork), N(link), N(lstat), N(mkdir), N(open), N(pipe), N(poll), N(readlink), N(rename),
	N(rmdir), N(stat), N(symlink), N(unlink), N(utimes), N(vfork),
#endif
};
#undef N

const char *
inject_name(long nr)
{
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (names[i].nr == nr)
			return names[i].name;
	return "?";
}

bool
inject_can_be_short(const char *name)
{
	static const char *const some[] = {"read", "write", "pread64", "pwrite64", "copy_file_range"};
	for (size_t i = 0; i < sizeof some / sizeof *some; i++)
		if (strcmp(name, some[i]) == 0)
			return true;
	return false;
}

#define E(name) {name, #name}
static const struct {
	int error;
	const char *name;
} errors[] = {E(ENOSPC), E(EIO), E(EINTR), E(EMFILE), E(EDQUOT), E(EROFS), E(ENOMEM), E(EACCES), E(EPERM), E(ENOENT), E(EEXIST), E(EAGAIN), E(ENOSYS),
	E(ELOOP), E(EXDEV), E(EBUSY), E(ENFILE), E(ESTALE), E(EINVAL), E(ESRCH)};
#undef E

int
inject_errno(const char *name)
{
	for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
		if (strcmp(errors[i].name, name) == 0)
			return errors[i].error;
	return 0;
}

const char *
inject_errno_name(int error)
{
	for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
		if (errors[i].error == error)
			return errors[i].name;
	return "?";
}

static _Noreturn void
die(const char *what)
{
	fprintf(stderr, "inject: %s: %s\n", what, strerror(errno));
	exit(125);
}

/* --- registers --- */

#if defined __x86_64__

static void
skip_call(pid_t pid)
{
	if (ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, regs.orig_rax), -1L) < 0)
		die("skip a call");
}

static void
set_result(pid_t pid, long result)
{
	if (ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, regs.rax), result) < 0)
		die("set a result");
}

static void
set_size(pid_t pid, uint64_t size)
{
	if (ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, regs.rdx), (long)size) < 0)
		die("set a size");
}

#elif defined __aarch64__

static void
skip_call(pid_t pid)
{
	int none = -1;
	struct iovec v = {&none, sizeof none};
	if (ptrace(PTRACE_SETREGSET, pid, NT_ARM_SYSTEM_CALL, &v) < 0)
		die("skip a call");
}

static void
set_register(pid_t pid, int number, uint64_t value)
{
	struct user_regs_struct regs;
	struct iovec v = {&regs, sizeof regs};
	if (ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &v) < 0)
		die("read registers");
	regs.regs[number] = value;
	if (ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &v) < 0)
		die("set a register");
}

static void
set_result(pid_t pid, long result)
{
	set_register(pid, 0, (uint64_t)result);
}

static void
set_size(pid_t pid, uint64_t size)
{
	set_register(pid, 2, size);
}

#else
#error "inject: how a system call is skipped on this processor is not known"
#endif

/* --- the tree --- */

static struct process *
process_of(struct tracee *t, pid_t pid)
{
	for (int i = 0; i < t->n; i++)
		if (t->p[i].pid == pid && !t->p[i].gone)
			return &t->p[i];
	return NULL;
}

static struct process *
add(struct tracee *t, pid_t pid)
{
	struct process *p = process_of(t, pid);
	if (p)
		return p;
	if (t->n == MOST) {
		errno = E2BIG;
		die("more processes than there is room for");
	}
	t->p[t->n] = (struct process){.pid = pid};
	t->live++;
	return &t->p[t->n++];
}

static void
gone(struct tracee *t, pid_t pid)
{
	struct process *p = process_of(t, pid);
	if (p) {
		p->gone = true;
		t->live--;
	}
}

/* All of the tree, and wait until nothing of it is left. */
static void
kill_all(struct tracee *t)
{
	int status;
	for (int i = 0; i < t->n; i++)
		if (!t->p[i].gone)
			kill(t->p[i].pid, SIGKILL);
	while (t->live) {
		pid_t pid = waitpid(-1, &status, __WALL);
		if (pid < 0 && errno == EINTR)
			continue;
		if (pid < 0)
			break;
		if (WIFSTOPPED(status)) { /* forked just now */
			add(t, pid);
			kill(pid, SIGKILL);
		} else {
			gone(t, pid);
		}
	}
}

static void
child(char *const argv[], const struct how *how)
{
	for (int i = 0; i < 3; i++)
		if (how->fd[i] >= 0 && dup2(how->fd[i], i) < 0)
			_exit(125);
	if (how->folder && chdir(how->folder) < 0)
		_exit(125);
	if (!how->plain) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
	}
	execvpe(argv[0], argv, how->env ? how->env : environ);
	fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

static void
start(struct tracee *t, char *const argv[])
{
	int status;
	const long own = PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC;
	const long options = t->how->alone ? own : own | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE;
	pid_t pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0)
		child(argv, t->how);
	if (t->how->plain) {
		add(t, pid);
		return;
	}
	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status) || ptrace(PTRACE_SETOPTIONS, pid, NULL, options) < 0 ||
	    ptrace(PTRACE_SYSCALL, pid, NULL, NULL) < 0)
		die("trace");
	add(t, pid)->known = true;
	t->p[0].calls = -1; /* its execve is call 0 */
}

/* --- stops --- */

static bool
is_point(const struct tracee *t, const struct process *p)
{
	const struct fault *f = t->f;
	if (p - t->p != f->process)
		return false;
	if (f->kind == FAULT_KILL || !f->name)
		return p->calls == f->call;
	return p->calls >= f->call && !t->reached && strcmp(inject_name(p->nr), f->name) == 0;
}

static void
reach(struct tracee *t, const struct process *p)
{
	if (!t->reached) {
		t->hit = p->nr;
		t->first = p->args[0];
	}
	t->reached = true;
}

static void
tell(const struct tracee *t, const struct process *p, bool at_exit, int64_t result)
{
	if (!t->how->watch.see)
		return;
	struct seen s = {p->pid, (int)(p - t->p), p->calls, at_exit, inject_name(p->nr), {0}, result};
	memcpy(s.args, p->args, sizeof s.args);
	t->how->watch.see(t->how->watch.arg, &s);
}

/* True: everything is to be killed. */
static bool
entered(struct tracee *t, struct process *p, const struct __ptrace_syscall_info *info)
{
	const struct fault *f = t->f;
	p->calls++;
	p->nr = (long)info->entry.nr;
	for (int i = 0; i < 6; i++)
		p->args[i] = info->entry.args[i];
	p->failing = p->shortened = false;
	tell(t, p, false, 0);
	bool here = is_point(t, p);
	if (here && f->kind == FAULT_KILL && !f->at_exit) {
		reach(t, p);
		return true;
	}
	if (here && f->kind == FAULT_ERRORS)
		t->failing_nr = p->nr;
	if ((here && f->kind == FAULT_ERROR) || (f->kind == FAULT_ERRORS && p->nr == t->failing_nr)) {
		if (p->nr != SYS_close)
			skip_call(p->pid);
		p->failing = true;
		reach(t, p);
	}
	if (here && (f->kind == FAULT_SHORT || f->kind == FAULT_TORN) && inject_can_be_short(inject_name(p->nr)) && p->args[2] > 1) {
		set_size(p->pid, f->size && f->size < p->args[2] ? f->size : p->args[2] / 2);
		p->shortened = true;
		reach(t, p);
	}
	return false;
}

static bool
left(struct tracee *t, struct process *p, const struct __ptrace_syscall_info *info)
{
	const struct fault *f = t->f;
	int64_t result = info->exit.rval;
	if (p->failing) {
		result = -f->error;
		set_result(p->pid, (long)result);
	} else if (p->shortened) {
		set_size(p->pid, p->args[2]); /* the register is the caller's again */
	}
	tell(t, p, true, result);
	if (f->kind == FAULT_TORN)
		return p->shortened;
	if (f->kind != FAULT_KILL || !f->at_exit || !is_point(t, p))
		return false;
	reach(t, p);
	return true;
}

static void
find_folder(pid_t pid, char folder[PATH_MAX])
{
	char link[64];
	snprintf(link, sizeof link, "/proc/%ld/exe", (long)pid);
	ssize_t n = readlink(link, folder, PATH_MAX - 1);
	folder[n > 0 ? n : 0] = '\0';
	char *slash = strrchr(folder, '/');
	if (slash)
		*slash = '\0';
}

static void
event(struct tracee *t, struct process *p, int what)
{
	unsigned long pid;
	char folder[PATH_MAX];
	if ((what == PTRACE_EVENT_FORK || what == PTRACE_EVENT_VFORK || what == PTRACE_EVENT_CLONE) &&
	    ptrace(PTRACE_GETEVENTMSG, p->pid, NULL, &pid) == 0)
		add(t, (pid_t)pid);
	if (what != PTRACE_EVENT_EXEC)
		return;
	find_folder(p->pid, folder);
	if (p == t->p && !*t->folder)
		memcpy(t->folder, folder, sizeof folder);
	p->foreign = strcmp(folder, t->folder) != 0;
}

/* One stop; true: everything is to be killed.  *signal: what is passed on. */
static bool
stopped(struct tracee *t, struct process *p, int status, int *signal)
{
	*signal = WSTOPSIG(status);
	if (*signal == (SIGTRAP | 0x80)) {
		struct __ptrace_syscall_info info;
		*signal = 0;
		if (ptrace(PTRACE_GET_SYSCALL_INFO, p->pid, sizeof info, &info) < 0)
			return false; /* killed by somebody meanwhile */
		if (info.op == PTRACE_SYSCALL_INFO_ENTRY)
			return entered(t, p, &info);
		return info.op == PTRACE_SYSCALL_INFO_EXIT && left(t, p, &info);
	}
	if (*signal == SIGTRAP && status >> 16) {
		*signal = 0;
		event(t, p, status >> 16);
	} else if (*signal == SIGSTOP && !p->known) {
		*signal = 0; /* the first stop of a new process */
		p->known = true;
	}
	return false;
}

static void
on_alarm(int signal)
{
	(void)signal;
}

static int64_t
now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* An interval timer interrupts waitpid; again and again, so that no tick comes too early. */
static void
tick(bool on)
{
	struct itimerval timer = {{0, on ? 100000 : 0}, {0, on ? 100000 : 0}};
	struct sigaction action = {.sa_handler = on_alarm};
	if (on)
		sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

struct outcome
inject_run(char *const argv[], const struct fault *f, const struct how *how)
{
	static const struct fault none = {.kind = FAULT_NONE};
	static const struct how plain = {.fd = {-1, -1, -1}};
	static struct tracee t;
	struct outcome o = {.status = 125};
	int status;
	t = (struct tracee){.f = f ? f : &none, .how = how ? how : &plain, .failing_nr = -1};
	int64_t limit = t.how->limit_ms ? now_ms() + t.how->limit_ms : INT64_MAX;
	start(&t, argv);
	if (t.how->limit_ms)
		tick(true);
	while (t.live) {
		pid_t pid = waitpid(-1, &status, __WALL);
		if (pid < 0 && errno != EINTR)
			break;
		if (now_ms() > limit) {
			o.hung = true;
			kill_all(&t);
			break;
		}
		if (pid < 0)
			continue;
		if (!WIFSTOPPED(status)) {
			if (pid == t.p[0].pid)
				o.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
			gone(&t, pid);
			continue;
		}
		int signal;
		struct process *p = add(&t, pid);
		if (stopped(&t, p, status, &signal)) {
			kill_all(&t);
			o.status = KILLED;
			break;
		}
		(void)ptrace(p->foreign ? PTRACE_CONT : PTRACE_SYSCALL, pid, NULL, (long)signal);
	}
	if (t.how->limit_ms)
		tick(false);
	o.reached = t.reached;
	o.name = t.reached ? inject_name(t.hit) : "";
	o.first = t.first;
	return o;
}
