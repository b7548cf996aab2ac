/* reclaim: doing away with what an operation whose ledger is behind a server has left on this machine.
 *
 * The server knows what is due; what that is, is done only where this user has sealed it (seal.h).  One process of this user at a time does
 * that for an operation: it holds a byte of the file `removing` in userdir.h.  Each result is told to the server, which has the journal.
 * Where that does not get through, a path is found gone the next time; an undo command is run again. */
#ifndef DPL_RECLAIM_H
#define DPL_RECLAIM_H

#include "client.h"
#include "removal.h"

struct reclaim {
	const char *operation;
	const char *by;          /* the author of what is recorded; NULL: the initiator */
	int64_t limit_ms;        /* for one resource */
	bool retry;              /* try again what has failed before */
	bool look;               /* change nothing, only tell */
	bool all;                /* also what is not due yet */
	int64_t number;          /* this one alone, due or not; 0 */
	const char *path;        /* or this one; NULL */
	void (*told)(void *arg, const struct removal_told *t); /* may be NULL */
	void *arg;
	/* out: */
	int found;               /* resources of this machine that were asked for */
	int done;                /* … that are no more */
	bool busy;               /* another process does it */
};

/* Do away with what is due here, newest first, waiting for another who does it until end_ms (monotonic).  0, also where nothing is, or -1 with
 * `why`: what was done before that is recorded. */
int reclaim(struct client *c, struct reclaim *r, int64_t end_ms, struct why *why);

/* Before a process ends: what the operation of its last requests has left here goes, where the server said that something is left
 * (client.left).  What fails is for the next one, and noticed.  Nothing happens for a ledger that is a folder. */
void reclaim_left(struct client *c);

#endif
