/* reader: read on in the journal of an operation, or in those of a whole ledger, as they grow.
 *
 * For tools, over cli.h: a failure ends the process unless it says otherwise, and what a function asked for is
 * the answer in c->answer. */
#ifndef DPL_READER_H
#define DPL_READER_H

#include "cli.h"

enum { READER_WAIT_MS = 60000 }; /* a request waits so long at most: ask again */

/* Where a reader stands in an operation. */
struct place {
	char id[ID_OPERATION_MAX + 1];
	int64_t from;            /* the entry that is wanted next; 0: the next one that is written */
	int64_t pos;             /* where it stands in the journal: a hint, 0 */
	bool more;               /* there is more to read right now */
	bool ended;              /* nothing will follow */
	bool passive;            /* nobody is looked at */
	int64_t look_ms;         /* monotonic, when to look again at those who take part; 0 at first */
	/* of reader_changes: */
	bool gone;               /* the ledger has told that it has ended */
	bool unread;             /* it cannot be read */
	int64_t ended_ms;        /* monotonic, when its end was seen */
};

/* How long until the time of -t is over, but at most `ms`; -t counts from the first of these calls. */
int64_t reader_left(const struct cli *c, int64_t ms);
bool reader_is_over(const struct cli *c);

/* Ask for the entries at the place, waiting at most wait_ms for one, and move the place behind them.  A signal with
 * a handler ends the wait early, and so does the turn to look at those who take part: who waits for an entry
 * would wait for ever for one who died, if nobody else were there to notice. */
void reader_entries(struct cli *c, struct place *p, int64_t wait_ms);

/* Look at those who take part, if it is time: see above.  How long until it is again, at most wait_ms. */
int64_t reader_look(struct cli *c, struct place *p, int64_t wait_ms);

/* Print the entries of the answer, as lines or with c->json as they are; where `id` is not NULL, each behind it. */
void reader_print(struct cli *c, const char *id, bool colours);

/* The exit status for the state in the answer, of an operation that has ended. */
int reader_status(const struct cli *c);

/* The live operations of a ledger, and those that have just ended. */
struct reader {
	struct place *places;
	size_t n, cap;
	int64_t after;           /* the change up to which all is known, 0 at first */
	bool deaf;               /* the ledger cannot tell what changes: it is asked again and again */
	struct buf changed, ended; /* what it told last: ids, each with its NUL */
};

/* Wait for changes at most wait_ms, and read what is new: at the first time only where the next entry of each live
 * operation will stand, later the entries from there on, and of operations that have begun since all.  What is read is
 * printed where `prints`.  One that cannot be read is said and left out.  Those that have ended stay for keep_ms. */
void reader_changes(struct cli *c, struct reader *r, int64_t wait_ms, int64_t keep_ms, bool prints, bool colours);

void reader_free(struct reader *r);

#endif
