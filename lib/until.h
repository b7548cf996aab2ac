/* until: wait for a condition of an operation to come true. */
#ifndef DPL_UNTIL_H
#define DPL_UNTIL_H

#include "reader.h"

enum condition {
	UNTIL_COMPLETED,
	UNTIL_FAILED,
	UNTIL_ABORTED,
	UNTIL_IDLE,
	UNTIL_CALL,              /* "call=ID": that call has ended */
	UNTIL_PARTICIPANT,       /* "participant=NAME": it has joined */
	UNTIL_LEFT,              /* "left=NAME": it has no live session */
};

struct until {
	const char *text;        /* as it was given */
	enum condition condition;
	const char *name;        /* behind its "=" */
	bool met;
	/* what was seen to happen, which the state after it may not show any more */
	bool aborted, joined;
	bool known;              /* the call … */
	int outcome;             /* … and the exit status that its end stands for; -1 before */
	bool crashed;
	char who[ID_NAME_MAX + 1]; /* has crashed, "" unknown … */
	struct buf why;          /* … by which evidence */
};

/* Read a condition; misuse where it is none. */
void until_read(struct cli *c, struct until *u, const char *text);

/* Wait for it at p->id until -t is over, and return the exit status.  After a second it is said whom it waits for; in the end
 * what came of it, with c->json as an object.  With c->verbose (and no c->json) the entries from p->from on are printed. */
int until_wait(struct cli *c, struct until *u, struct place *p, bool colours);

#endif
