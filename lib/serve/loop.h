/* loop: the server — one thread that waits for all of its connections (epoll), answers what has come, and flushes once for all
 * the changes of a round before it sends their answers: of those too that came while it carried out the others. */
#ifndef DPL_LOOP_H
#define DPL_LOOP_H

#include "serve.h"

/* Serve until a signal ends it: SIGTERM or SIGINT drain, SIGHUP reads token and certificate anew.  `ready` is called once it takes
 * requests.  The exit status. */
int loop(const struct serve_options *o, struct listener *listeners, size_t n, void (*ready)(void *arg), void *arg, struct why *why);

#endif
