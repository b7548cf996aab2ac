/* stopping: what stops a supervised command, and how — an abort, a death, its time, a signal. */
#ifndef DPL_STOPPING_H
#define DPL_STOPPING_H

#include "run.h"

/* Begin to stop it, unless it is being stopped or has ended: r->stop_reason says why. */
void stopping_begin(struct run *r, enum stop why, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* What the heartbeat said of the operation, and what follows. */
void stopping_heed(struct run *r);

/* The command has ended.  Where somebody's SIGTERM ended it, who sent it may have heard first that the operation is aborted or somebody died, as a
 * supervisor around this one does; where it ended as stopped supervisors do, it is one, which heard first itself: that, and no signal or status,
 * is then why it ended. */
void stopping_explain(struct run *r);

/* SIGKILL to all of it, again and again where the command is a supervisor itself: that is not killed, what it runs is. */
void stopping_kill(struct run *r);

/* Take the signals that came; whether a child has ended. */
bool stopping_signals(struct run *r);

/* All is over but for what its reader has not taken: stop ourselves, as the terminal wants or who sends what it sends, until we are to go
 * on. */
void stopping_pause(struct run *r);

/* Take in which children have ended. */
void stopping_reap(struct run *r);

/* Who belongs to it. */
struct tree stopping_tree(const struct run *r);

#endif
