/* proc: who a process is, and reaching it and no other. */
#ifndef DPL_PROC_H
#define DPL_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct rusage;

enum {
	PROC_BOOT_ID = 37,    /* room for the boot id with its NUL */
	PROC_MACHINE_ID = 33, /* … for the machine id */
	PROC_NAME = 16,
};

struct proc {
	int64_t pid;
	int64_t start;          /* clock ticks since boot (field 22 of /proc/PID/stat, proc(5)) */
	int64_t parent, group, session;
	bool kernel;            /* a thread of the kernel's own */
	bool forked;            /* it has executed no program since it was forked: it is a copy of its parent yet */
	char state;             /* R, S, D, T stopped, Z zombie …; S where its first thread has ended and others run */
	char name[PROC_NAME];   /* of the program, cut by the kernel */
};

/* Look at a process.  0, or -1 where there is none of that pid. */
int proc_look(int64_t pid, struct proc *p);

/* When a process began; -1 where there is none of that pid, or only its zombie.  With the boot id it tells most pids
 * apart from reused ones; for proof a pidfd or a held lock is needed. */
int64_t proc_start(int64_t pid);

/* Its command line for a message, control characters shown, cut to `size`; "?" where unknown. */
void proc_command(int64_t pid, char *text, size_t size);

/* This boot of this machine, "" where the kernel does not say. */
void proc_boot_id(char id[PROC_BOOT_ID]);

/* This machine, by machine-id(5), "" where it has none. */
void proc_machine_id(char id[PROC_MACHINE_ID]);

/* The inode of a namespace of this process ("pid", "time"), which names it; 0 where unknown. */
uint64_t proc_namespace(const char *kind);

/* A descriptor that stands for the process of that pid which began at `start`: opened, then verified, so that a pid
 * that was given to another process meanwhile is not taken for it.  start -1: whichever there is.  -1 with errno (ESRCH:
 * it is gone). */
int proc_open(int64_t pid, int64_t start);

/* Whether it belongs to that user, as far as can be seen. */
bool proc_is_of(int64_t pid, uid_t uid);

/* Send a signal to it.  0 or -1 with errno. */
int proc_signal(int pidfd, int sig);

/* Wait for the next child of the caller that has ended, if one has: its pid, with how it ended (wait(2)) and what it has used, each where
 * it is not NULL; 0: none has; -1 with errno: there is no child. */
pid_t proc_reap(int *status, struct rusage *usage);

/* Whether its environment, as it was when its program started, has this NAME=VALUE; or, for NAME=, any of that name.  For one that is just
 * starting another program it waits, 200 ms at most. */
bool proc_has_variable(int64_t pid, const char *variable);

#endif
