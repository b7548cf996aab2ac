/* listen: the sockets that the server takes connections on. */
#ifndef DPL_LISTEN_H
#define DPL_LISTEN_H

#include "serve.h"

enum { LISTEN_MOST = 16 };

/* Open them: those that systemd hands over (LISTEN_FDS), else those of the options.  With port 0 all have the same free one,
 * which *port gets.  A port or path that is in use is waited for, two seconds at most: a killed server may have left it to a child, for a
 * moment.  How many, or -1 with `why` (ERR_BUSY: it still is in use). */
ssize_t listen_all(const struct serve_options *o, struct listener *l, int *port, struct why *why);

/* Close them, and take away the path of a unix socket. */
void listen_close(const struct serve_options *o, struct listener *l, size_t n);

#endif
