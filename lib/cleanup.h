/* cleanup: what follows a death, and doing away with what is nobody's any more.
 *
 * After an uncontained crash the operation goes through four phases, each of which may end with its process at any
 * moment and is gone on with by whoever comes next: the death is recorded (look.h); one process becomes the coordinator and
 * records that with a new epoch; the held ones answer, or their window is over; what still runs is stopped, what was
 * registered is removed, newest first, and the operation has failed.
 *
 * The coordinator of epoch N holds an open-file-description lock on byte N of the file `coordinator`, which the kernel
 * drops when it dies, and checks before each step that N is still the newest: one that slept finds out that it was replaced. */
#ifndef DPL_CLEANUP_H
#define DPL_CLEANUP_H

#include <stdbool.h>
#include <stdint.h>

#include "entry.h"
#include "removal.h"

enum { CLEANUP_BRIEF_MS = 100 }; /* patience of a command that does it by the way */

struct cleanup {
	struct removal removal;  /* how, and what became of it */
	const char *own_call;    /* a call that is not waited for: it is who does this; NULL */
	const char *own_name;    /* the participant of the keeper that does this, and so answers for it; NULL */
	const char *outer;       /* a call that who does this is part of: while its supervisor lives, that goes on with it; NULL */
	int64_t awake_ms;        /* see look.h … */
	int64_t since_ms;        /* … likewise; 0: it begins with this */
	int64_t look_ms;         /* when the coordinator looks at all again */
	int64_t patience_ms;     /* how long to wait for others to answer and for processes to end */
	bool yields;             /* … but leave it to another who coordinates already */
	bool drive;              /* become the coordinator though others live who could, and stay it: for who is held, and for dpl-cleanup */
	bool all;                /* with removal.look: as if an uncontained death were recorded */
	/* out: */
	int waiting;             /* held ones that have not answered */
	int ending;              /* processes of dead supervisors that are still there */
};

/* Whether there is anything to do: somebody died, or a resource is nobody's. */
bool cleanup_is_due(const struct op *op);

/* Whether somebody died, and held calls run whose supervisors have heard of it or will: one of them does the rest. */
bool cleanup_is_shared(const struct op *op);

/* Why the operation fails, "worker died: …", as the first uncontained death in its journal has it; nothing where there was none. */
void cleanup_reason(struct journal *j, struct buf *reason);

/* How many milliseconds ago a coordinator began, by its cleanup.started. */
int64_t cleanup_age(const struct entry *started);

/* Go on with it, as far as that goes within the patience.  Afterwards j->op tells how far that was: it may have ended, and be
 * archived but for the move.  0, or -1 with `why`. */
int cleanup_run(struct journal *j, struct cleanup *c, struct why *why);

#endif
