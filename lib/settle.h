/* settle: the cleanup as a part of a request — the members that tell of it, and the move to backup where it was the end. */
#ifndef DPL_SETTLE_H
#define DPL_SETTLE_H

#include "cleanup.h"
#include "request.h"

enum { SETTLE_PATIENCE_MS = 10000 }; /* of who ends something, and has it removed */

/* Go on with what follows a death, and remove what is due.  The reply gets `resources`, an object each, and `leftOver`.
 * An operation that has come to its end moves to backup; j stays open.  0, or -1 with r->why. */
int settle(struct request *r, struct journal *j, struct cleanup *c);

/* The same by the way: what goes quickly; nothing is told, and what fails is found by the next. */
void settle_briefly(struct request *r, struct journal *j, const char *by);

/* … and for one who comes by a server the reply gets `leftOver`, where something stays: perhaps it is on that one's machine. */
void settle_and_tell(struct request *r, struct journal *j, const char *by);

#endif
