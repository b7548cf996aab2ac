/* inject: run a command under ptrace(2), and let one of its system calls go wrong.
 *
 *	struct fault f = {.kind = FAULT_ERROR, .process = 0, .call = 17, .error = ENOSPC};
 *	struct outcome o = inject_run(argv, &f, NULL);
 *
 * A point is named P.N: the Nth system call of the Pth process, counted from the execve that began the
 * command (process 0, call 0), and in a forked process from its first call.  Processes that run a program from
 * another folder than the command's are let alone: they are what it supervises. */
#ifndef FAULTS_INJECT_H
#define FAULTS_INJECT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum fault_kind {
	FAULT_NONE,
	FAULT_KILL,      /* SIGKILL for all its processes: `at_exit` or, the call not being carried out, at its entry */
	FAULT_ERROR,     /* the call is not carried out and fails with `error`; a close is, as the kernel's */
	FAULT_ERRORS,    /* so does every later call of that name */
	FAULT_SHORT,     /* a read or write is of `size` bytes, 0: of half of them */
	FAULT_TORN,      /* likewise, then SIGKILL for all */
};

struct fault {
	enum fault_kind kind;
	int process;
	long call;
	bool at_exit;
	int error;
	uint64_t size;
	const char *name;     /* the first call of this name from there on; NULL: that very one.  FAULT_ERROR to FAULT_TORN */
};

struct seen {
	pid_t pid;
	int process;
	long call;
	bool at_exit;
	const char *name;
	uint64_t args[6];
	int64_t result;       /* at the exit, else 0 */
};

struct watcher {
	void (*see)(void *arg, const struct seen *s);
	void *arg;
};

struct outcome {
	int status;           /* of process 0: its exit status, or 128 + the signal */
	bool reached;         /* the fault took place … */
	const char *name;     /* … in a call of this name, whose first argument was this */
	uint64_t first;
	bool hung;            /* it did not end within the limit, and was killed */
};

struct how {
	bool plain;           /* not under ptrace */
	bool alone;           /* look at process 0 only; what it has started lives on when it is killed */
	int fd[3];            /* its stdin, stdout and stderr; -1: ours */
	char *const *env;     /* its environment; NULL: ours */
	const char *folder;   /* where it runs; NULL: here */
	int64_t limit_ms;     /* 0: none */
	struct watcher watch; /* told of each entry and exit */
};

struct outcome inject_run(char *const argv[], const struct fault *f, const struct how *how);

/* A system call's name; "?" for one that is not known here. */
const char *inject_name(long nr);

/* Whether FAULT_SHORT can be done to a call of this name. */
bool inject_can_be_short(const char *name);

/* An errno by its name, 0 where it is not known, and the other way round. */
int inject_errno(const char *name);
const char *inject_errno_name(int error);

#endif
