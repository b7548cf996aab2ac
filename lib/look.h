/* look: looking over those who take part in an operation — who is alive, and what follows where somebody is not.
 *
 * Anybody may look, as often as they like: a death is recorded once, on a condition checked under the lock, and
 * what a dead supervisor left running is ended step by step by whoever looks, first SIGTERM, two seconds later SIGKILL. */
#ifndef DPL_LOOK_H
#define DPL_LOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "beat.h"
#include "journal.h"
#include "liveness.h"

enum { LOOK_GRACE_MS = 2000 }; /* between the SIGTERM and the SIGKILL for what a dead supervisor left */

/* Judge a participant that has a live session, or a held call that runs.  awake_ms: since when this observer watches without a
 * gap, monotonic; 0 where it only just came.  *b gets what its beat file says (known is false without one). */
struct verdict look_person(struct journal *j, const struct op_person *p, int64_t awake_ms, struct beat *b);
struct verdict look_call(struct journal *j, const struct op_call *c, int64_t awake_ms, struct beat *b);

struct look {
	const char *by;      /* who looks: the author of what is appended */
	int64_t awake_ms;
	int64_t since_ms;    /* when the look began, or the request that it is a part of, monotonic: while it was stopped nobody was silent */
	int crashed;         /* out: how many deaths it has recorded */
	int unseen;          /* out: of how many nothing could be read */
	int ending;          /* out: how many processes of dead supervisors are still there */
};

/* Look at everybody, record who died, and go on ending what they left.  0, or -1 with `why`: the journal could not be
 * written; what was found is done at the next look. */
int look_over(struct journal *j, struct look *l, struct why *why);

/* How many processes of dead supervisors, whose death is recorded, are still there; nothing is changed. */
int look_at_left(struct journal *j);

/* Judge the one whose beat file is `name` in beats/, as an event named it, and record its death.  Waits a few milliseconds
 * for its lock to fall: the kernel tells of the closing a moment before it drops the lock.  What a dead supervisor left is not
 * ended yet, which takes milliseconds: where l->ending is set, the caller looks over all soon, after it has heeded the death.
 * Of many who look at the same one, that is told to the one who recorded it. */
int look_at(struct journal *j, const char *name, struct look *l, struct why *why);

/* The operation has ended: what dead supervisors left running gets SIGKILL now, and the beat files go. */
void look_finish(struct journal *j);

/* Whether nobody has looked over the operation for a beat interval; if so, the turn is the caller's now. */
bool look_is_due(struct journal *j);

/* Record the death of a participant that is known by other means: its keeper saw the end of its process, and has yet to answer, so that the
 * beat file stays.  0 also where it has left, or died, or the operation ended; *done tells whether an entry was made. */
int look_bury(struct journal *j, const char *by, const char *participant, const char *evidence, bool *done, struct why *why);

#endif
