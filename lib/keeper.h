/* keeper: beating for somebody else, again and again, until there is nobody left to beat for.
 *
 * With a process to keep, it holds the participant's beat file as long as that lives, and records its death when it ends
 * otherwise than by leaving; on an abort it stops it.  Without one it is a lease that is renewed in the
 * foreground. */
#ifndef DPL_KEEPER_H
#define DPL_KEEPER_H

#include <stdint.h>

#include "duties.h"

struct keeper {
	struct client *client;
	const char *operation, *participant;
	int64_t session;         /* that ends when the process is stopped; 0: the newest */
	int64_t pid, start;      /* the process to keep; 0: none */
	int pidfd;               /* … by keeper_find */
	int64_t every_ms, jitter_ms; /* every_ms 0, jitter_ms -1: the operation's */
	int64_t grace_ms;        /* from SIGTERM to SIGKILL */
	const char *on_success, *on_error; /* shell commands after a beat, or NULL */
	mode_t umask;            /* for them */
	struct duties duties;    /* when the process was stopped or has died, and when the operation fails */
	void (*beaten)(void *arg, const struct vigil *v); /* after each beat; may be NULL */
	void *arg;
	const struct notice *verbose;
};

/* Find the process to keep: it is there, and of this user (root: of anybody).  0 with k->start and k->pidfd, or -1 with `why`:
 * ERR_NO_PROCESS, ERR_PERMISSION. */
int keeper_find(struct keeper *k, struct why *why);

/* How a keeper's life ended. */
enum keeper_end {
	KEEPER_COMPLETED, KEEPER_FAILED, KEEPER_GONE, /* the operation */
	KEEPER_ABORTED, KEEPER_CRASHED,               /* in the foreground: it is aborted, somebody died */
	KEEPER_LEFT, KEEPER_DEAD,                     /* the participant: it left, or was declared dead; the process ended */
	KEEPER_SIGNALLED,                             /* *signal */
};

/* Beat until an end.  `ready` (may be -1) gets the byte 0 and is closed once it beats and, with a process, holds the name.
 * 0 with *end, or -1 with `why` where it could not begin: ERR_HELD says who has the name. */
int keeper_run(struct keeper *k, int ready, enum keeper_end *end, int *signal, struct why *why);

#endif
