/* supervise: run one command as a call, from its start to the end of its whole process tree.
 *
 * The supervisor holds the call's beat file, beats, passes signals on, brings aborts, and closes the frame with what became of
 * the command.  Whatever kills the supervisor itself, SIGKILL included, lets its lock fall: others know at once, and
 * end what it left (look.h); the command gets SIGTERM from the kernel (PR_SET_PDEATHSIG). */
#ifndef DPL_SUPERVISE_H
#define DPL_SUPERVISE_H

#include "supervised.h"

/* Run it.  0 with *end, also where the command could not be executed, or was never run (why->code is set then, and why->text says so); -1 with
 * `why` and end->status where it was not started, or the frame could not be closed. */
int supervise(struct client *c, const struct supervise *s, struct supervised *end, struct why *why);

#endif
