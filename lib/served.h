/* served: whether a server stands before a ledger, and since when.
 *
 * Who beats by a server can do that only while one runs, and listens: nobody may be called silent for a time in which there was none, or for
 * which a beat may wait to be read, as where the disk hangs.  Each server holds a lock on the first byte of the file `server` of the ledger,
 * which the kernel drops when it dies; the file's times say since when there has been one without a gap.  While it works it holds a second
 * lock, whose place says until when it has listened: that needs no disk. */
#ifndef DPL_SERVED_H
#define DPL_SERVED_H

#include <stdint.h>

#include "err.h"

/* Say that this process serves the ledger `dir` from now on.  A descriptor, whose closing takes that back; -1 with `why`. */
int served_begin(int dir, struct why *why);

/* The server slept, or was stopped: until now there was none. */
void served_awoke(int fd);

/* The server works: what has been sent to it behind until_ms, monotonic, may wait to be read.  INT64_MAX: it listens, and nothing waits.
 * `before` is what was said last, 0 the first time. */
void served_heard(int fd, int64_t before, int64_t until_ms);

struct served {
	int64_t since_ms;        /* monotonic; -1: it is not served */
	int64_t heard_ms;        /* until when all that was sent has been read, monotonic; INT64_MAX: until now */
};

/* How the ledger is served, in which `operation` is the folder of a live operation. */
struct served served_look(int operation);

#endif
