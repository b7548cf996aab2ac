/* loop: the server — one thread that waits for all of its connections (epoll), answers what has come, and flushes once for all
 * the changes of a round before it sends their answers: of those too that came while it carried out the others. */
#ifndef DPL_LOOP_H
#define DPL_LOOP_H

#include "serve.h"

/* Serve until a signal ends it: SIGTERM or SIGINT drain, SIGHUP reads token and certificate anew.  `ready` is called once it takes
 * requests.  Draining takes ten seconds at most, and ends at a second signal; what children are at then they finish by themselves.
 * o->served is closed when it begins to drain, since who beats cannot come any more.  0, or -1 with `why`. */
int loop(const struct serve_options *o, struct listener *listeners, size_t n, void (*ready)(void *arg), void *arg, struct why *why);

#endif
