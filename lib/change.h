/* change: what every verb that appends has in common — the lock, the idempotency key, the reply.
 *
 *	struct change c;
 *	int rc = change_begin(&c, r, id);       0: locked; 1: this key did it before; -1: r->why
 *	if (rc == 0) {
 *		…check c.j->op, and change_refuse(&c) with r->why filled where it does not allow it…
 *		struct buf *b = change_entry(&c, by, EVENT_…);
 *		json_put(b, …);
 *		rc = change_commit(&c);
 *	}
 *	return change_end(&c, rc);
 *
 * The reply is made from the entry, so that a repeated request gets the same words as the first. */
#ifndef DPL_CHANGE_H
#define DPL_CHANGE_H

#include "request.h"

struct change {
	struct request *r;
	struct journal *j;
	struct journal *ended;   /* what j points to when a key is answered from backup, owned */
	char request[17];        /* hash of the request, with a key */
	size_t start;            /* of the entry in j->pending … */
	struct buf line;         /* … and its text */
	bool thorough;           /* what is due is removed before it is answered, however long that takes, and told */
	void (*reply)(struct change *c, const struct entry *e); /* members beyond the common ones; may be NULL */
};

int change_begin(struct change *c, struct request *r, const char *id,
	void (*reply)(struct change *c, const struct entry *e));

/* Begin the entry that the reply is about.  Other entries may be written before it with
 * journal_entry on c->j; it is the last. */
struct buf *change_entry(struct change *c, const char *by, enum event event);

/* Close that entry and commit.  `more` entries without members may follow it (EVENT_ARCHIVED). */
int change_commit(struct change *c);
int change_commit_with(struct change *c, const char *by, enum event more);

/* Unlock without a change: -1, r->why says why. */
int change_refuse(struct change *c);

/* Unlock without a change, and reply all the same: nothing had to be done.  Call it instead of
 * change_entry and change_commit; then write the reply's members and return change_end(c, 2). */
void change_nothing(struct change *c);

/* Reply (rc 0 or 1: from the entry; 2: it is written already) and release.  Returns 0 or -1. */
int change_end(struct change *c, int rc);

/* Cancel every running call of the session (0: of the operation) by entries in j->pending; how many. */
int64_t change_cancel_calls(struct change *c, uint64_t session, const char *by, const char *reason);

/* The hash of a request, which is kept beside its key. */
void change_hash(const struct request *r, char text[17]);

/* Refuse a participant that was declared dead and has not joined again: -1 with r->why.  0 for any other. */
int change_refuse_dead(struct change *c, const char *participant);

/* Refuse where somebody has died and that was not contained: -1 with r->why, which says who; 0 otherwise. */
int change_refuse_failing(struct change *c);

/* What the journal's text says of a call that does not run: 0 with *past, or -1. */
enum past { PAST_NEVER, PAST_STARTED, PAST_OVER };
int change_call_past(struct change *c, const char *call, enum past *past);

/* Where the request names no participant it is the initiator's, as old clients of the wire expect. */
const char *change_by(const struct change *c, const char *participant);

#endif
