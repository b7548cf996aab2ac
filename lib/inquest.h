/* inquest: what a journal tells of how an operation, or one call of it, came to where it is — who died or aborted it first, whom
 * that stopped, what failed, who cleaned up, and the last lines of the log.
 *
 * One pass over all entries, which keeps the first few of each kind and counts the rest: what it takes does not grow with
 * the journal. */
#ifndef DPL_INQUEST_H
#define DPL_INQUEST_H

#include <stdint.h>

#include "journal.h"

enum { INQUEST_LISTED = 10 };

/* What was in force when something happened. */
enum inquest_cause { CAUSE_NONE, CAUSE_ABORT, CAUSE_CRASH };

struct inquest_list {
	uint64_t count;
	struct line last;
	struct inquest_item {
		struct line line;
		const struct op_call *call; /* that it is about, NULL: none or unknown */
		enum inquest_cause after;
	} first[INQUEST_LISTED];
};

struct inquest {
	struct journal *j;          /* opened with `keep` */
	const struct op_call *call; /* that is asked about; NULL: the operation */
	uint64_t pos;               /* of the line that comes next */
	struct inquest_list crashes; /* crash.detected; none for a call */
	struct inquest_list failed, stopped; /* calls that failed or crashed (but for those in crashes), were cancelled; of a call: the
	                             * calls that are part of it */
	struct inquest_list coordinators, answers; /* cleanup.started, .acknowledged */
	uint64_t stopped_after[3];  /* by cause */
	uint64_t aborts_cleared;
	struct line abort, crash, cleanup_done; /* the newest of each */
	struct line stopper;        /* what was in force when `call` ended: an abort.set or crash.detected; len 0 */
	struct line log[INQUEST_LISTED]; /* the last ones: number k, counted from 0, is log[k % INQUEST_LISTED] */
	uint64_t logs;
	int64_t entries;            /* of folders: how many were deleted */
	enum inquest_cause now;
};

/* Fill *q, whose members are zero but for j and call.  0, or -1 with `why`. */
int inquest_hold(struct inquest *q, struct why *why);

#endif
