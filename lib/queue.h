/* queue: calls that wait for a slot of their group — waking those whose turn it may be.
 *
 * Each is a supervisor that sleeps.  Who ends or starts a call of the group wakes the one that waits longest by SIGURG, which a process
 * that is something else by now ignores; what must stop all is told to all.  A wake-up that is lost, since its sender was
 * killed, is made up for by the next, or by the look that each takes now and then. */
#ifndef DPL_QUEUE_H
#define DPL_QUEUE_H

#include "journal.h"

/* After a change: wake whoever has to act on it.  `moved`: the first of a group may be another one now, who has to watch those that run. */
void queue_wake(struct journal *j, bool moved);

#endif
