/* duties: the shell commands of a supervisor or keeper for when things went wrong, --on-cleanup and --on-failure.
 *
 * Each is run once, for no longer than the operation's window, in a process group of its own; what it prints is
 * kept in the log. */
#ifndef DPL_DUTIES_H
#define DPL_DUTIES_H

#include <stdbool.h>
#include <sys/types.h>

#include "vigil.h"

struct duties {
	const char *on_cleanup, *on_failure; /* or NULL */
	mode_t umask;            /* for them */
	bool cleaned, failed;    /* they have run */
};

/* Run what is due: on_cleanup, and where the operation fails on_failure.  `reason` is why; `exit` the status of what was run, -1 for
 * none.  They find DPL_LEDGER, DPL_OPERATION, DPL_PARTICIPANT, DPL_CALL, DPL_REASON and DPL_EXIT. */
void duties_do(struct duties *d, struct vigil *v, bool fails, const char *reason, int exit);

#endif
