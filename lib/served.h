/* served: whether a server stands before a ledger, and since when.
 *
 * Who beats by a server can do that only while one runs: nobody may be called silent for a time in which there was none.  Each server holds
 * a lock on the file `server` of the ledger, which the kernel drops when it dies; the file's times say since when there has
 * been one without a gap. */
#ifndef DPL_SERVED_H
#define DPL_SERVED_H

#include <stdint.h>

#include "err.h"

/* Say that this process serves the ledger `dir` from now on.  A descriptor, whose closing takes that back; -1 with `why`. */
int served_begin(int dir, struct why *why);

/* The server slept, or was stopped: until now there was none. */
void served_awoke(int fd);

/* Since when the ledger has been served, monotonic; -1: it is not.  `operation` is the folder of a live operation in it. */
int64_t served_since(int operation);

#endif
