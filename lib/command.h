/* command: run a command as if it stood alone — find its program, fork it and hold it back, let it go.
 *
 *	if (command_find(name, &path, &why)) …
 *	if (command_start(&c, path.p, &why) < 0) …   c.pid is there, and waits
 *	command_go(&c, environment)                   … or command_close: then it is never run
 *
 * It waits on a pipe; end of file is a supervisor that died or was refused.  The kernel sends it SIGTERM when we die
 * (PR_SET_PDEATHSIG, prctl(2)). */
#ifndef DPL_COMMAND_H
#define DPL_COMMAND_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "buf.h"
#include "err.h"

/* The statuses that a shell gives. */
enum {
	COMMAND_SELF = 125,      /* our own failure */
	COMMAND_CANNOT = 126,    /* it cannot be executed */
	COMMAND_NOT_FOUND = 127,
};

/* How we were started, which the command must find. */
struct command_origin {
	mode_t umask;
	bool ignore_sigpipe, ignore_sigxfsz, ignore_sigchld;
	unsigned closed;         /* bit n: standard descriptor n was closed */
	sigset_t mask;           /* of signals */
};

struct command {
	char **argv;
	bool capture, capture_err; /* its stdout, its stderr comes through a pipe */
	bool own_group;          /* it leads a process group of its own: where there is no terminal to share one for */
	struct command_origin origin;
	pid_t pid;               /* 0 before it is started */
	int64_t start;           /* when, see proc.h */
	int out, err;            /* its stdout and stderr, -1; the caller's to close */
	int go, failed;          /* pipes: lets it go on; tells why exec failed */
};

/* Find the program, as a shell does.  0 with its path; else the status and `why`. */
int command_find(const char *name, struct buf *path, struct why *why);

/* Start it, held back.  0, or -1 with `why`. */
int command_start(struct command *c, const char *path, struct why *why);

/* Let it go, with these variables besides: "NAME=VALUE", each with its NUL, and NAME alone for one to be unset. */
void command_go(struct command *c, const struct buf *variables);

/* After its end: errno of executing it, 0 where it was executed. */
int command_error(struct command *c);

/* Close what is open, but for `out` and `err`; one that was not let go ends. */
void command_close(struct command *c);

/* In a child of ours: as we were started. */
void command_as_started(const struct command_origin *origin);

/* In a ledger of another user root acts as that one (store.h).  What concerns a command is done as who we are, between
 * these two. */
struct command_user {
	int uid, gid;
};
struct command_user command_as_ourselves(void);
void command_as_before(struct command_user user);

#endif
