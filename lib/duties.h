/* duties: the shell commands of a supervisor or keeper for when its command has ended or things went wrong: --on-completion, --on-crash,
 * --on-cleanup, --on-failure, and --fallback-command.
 *
 * Each is run once, for no longer than the operation's window, and after a death so that the call's end can be recorded before that is over;
 * in a process group of its own; what it prints is kept in the log.  Meanwhile `v` beats. */
#ifndef DPL_DUTIES_H
#define DPL_DUTIES_H

#include <stdbool.h>
#include <sys/types.h>

#include "vigil.h"

struct duties {
	const char *on_completion, *on_crash, *on_cleanup, *on_failure; /* or NULL */
	mode_t umask;            /* for them */
	bool cleaned, failed;    /* they have run */
};

/* They find DPL_LEDGER, DPL_OPERATION, DPL_PARTICIPANT and DPL_CALL, and what stands behind each. */

/* The command has succeeded: on_completion.  DPL_EXIT, and DPL_RESULT where it has one. */
void duties_complete(struct duties *d, struct vigil *v, const char *result);

/* The command has failed by itself, and was not stopped: on_crash.  DPL_REASON, and DPL_EXIT, the status `exit`. */
void duties_crash(struct duties *d, struct vigil *v, const char *reason, int exit);

/* … and the result to take instead: what `command` prints goes to `result`.  True where it succeeded.  DPL_REASON,
 * DPL_EXIT. */
bool duties_fall_back(struct duties *d, struct vigil *v, const char *command, const char *reason, int exit, struct buf *result);

/* Run what is due: on_cleanup, and where the operation fails, by what `v` has heard, on_failure.  `reason` is why; `exit` the status of what
 * was run, -1 for none.  DPL_REASON, DPL_EXIT. */
void duties_do(struct duties *d, struct vigil *v, const char *reason, int exit);

#endif
