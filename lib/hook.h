/* hook: run a shell command of the user's to its end, within a time, and keep what it says. */
#ifndef DPL_HOOK_H
#define DPL_HOOK_H

#include <stdint.h>
#include <sys/types.h>

#include "buf.h"

enum { HOOK_OUTPUT_MAX = 4096, HOOK_APART_MAX = 32 * 1024 };

struct hook {
	const char *command;     /* for sh -c */
	const char *folder;      /* to run it in, or / where that is gone; NULL: where we are */
	int64_t limit_ms;        /* then it gets SIGKILL, with all of its process group */
	uid_t uid;               /* who to be, where we are root and this is somebody else; with its gid */
	gid_t gid;
	struct buf *apart;       /* not NULL: what it prints to stdout goes here, from its beginning, and is no part of the output; more than HOOK_APART_MAX bytes: it was longer */
	void (*prepare)(void *arg); /* in the child, to set its environment; may be NULL */
	int64_t (*meanwhile)(void *arg); /* here while it runs: at once, and again at the time that it returned (monotonic, ms); may be NULL */
	void *arg;
};

/* Run it in a process group of its own, stdin empty.  What it prints, stdout and stderr together, goes to `output`: its last
 * HOOK_OUTPUT_MAX bytes, repaired to UTF-8.  0 with its wait status, or -1 with errno: ETIMEDOUT where it was killed, ECHILD where another has waited for it.
 * It is killed when its runner dies.
 * Signals that come meanwhile do not end the wait. */
int hook_run(const struct hook *h, int *status, struct buf *output);

/* How it ended, for people: "" where it succeeded, else "exit status 3", "signal 9 (Killed)" or the words of errno. */
void hook_describe(int rc, int error, int status, char *text, size_t size);

#endif
