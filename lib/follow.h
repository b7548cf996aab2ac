/* follow: wait for what others append, to one operation or anywhere in a ledger.
 *
 * The first entry after a quiet moment wakes a follower at once.  Each watch costs the writer of an entry some
 * microseconds, and there may be a hundred; so a watch is made for one entry only, and a follower that was woken
 * FOLLOW_BURST times in a row rests FOLLOW_REST_MS before each further look, unwatched.  It is
 * FOLLOW_REST_MS late at most then, and loses nothing, since it looks again after the watch is made. */
#ifndef DPL_FOLLOW_H
#define DPL_FOLLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "store.h"

enum { FOLLOW_REST_MS = 25, FOLLOW_BURST = 4 };

struct follow;

/* `reader`: where nobody reads that descriptor any more a wait is over, see watch_wait; -1: for ever.  NULL when memory runs out. */
struct follow *follow_new(int reader);
void follow_free(struct follow *f);

/* Fold what came to `j`; until it has an entry of that seq, has ended, or its abort flag changes, wait for that, at most
 * wait_ms.  Returns early for a signal.  0 or -1 with `why`, see journal_refresh. */
int follow_entry(struct follow *f, struct journal *j, uint64_t seq, int64_t wait_ms, struct why *why);

/* Wait until an operation of the ledger has changed, come or ended after the change of that number; likewise.
 * Changes are numbered upwards, across processes too: a number that another follower gave finds
 * all that has changed since, and what has not perhaps.  0 stands before everything. */
int follow_ledger(struct follow *f, struct store *s, int64_t after, int64_t wait_ms, struct why *why);

/* What follow_ledger found: the number of the newest change; and the ids of live operations, or of those that are in
 * backup/ or were deleted, one after the other (*i starts as 0, NULL ends it). */
int64_t follow_newest(const struct follow *f);
const char *follow_next(const struct follow *f, int64_t after, bool ended, size_t *i);

/* What can be read when follow_ledger may have something new, for one who polls; -1: there is nothing of the kind (yet). */
int follow_descriptor(const struct follow *f);

/* Whether the kernel refused a watch, so that the looks every WATCH_LOOK_MS are all there is. */
bool follow_is_slow(const struct follow *f);

#endif
