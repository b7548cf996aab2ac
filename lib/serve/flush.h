/* flush: many journals made durable at the same time, by threads that do nothing else.
 *
 * The disk takes hardly longer for sixteen flushes at once than for one, but sixteen times as long for one after another. */
#ifndef DPL_FLUSH_H
#define DPL_FLUSH_H

#include "journal.h"

struct flusher;

/* Nothing is started before it is needed.  NULL when memory runs out. */
struct flusher *flusher_new(void);
void flusher_free(struct flusher *f);

/* Flush each of them, as journal_sync does, and return when all are through; journal_flush says then how it went.  The caller's
 * thread does its share, and all of it where no thread can be had; nobody else touches the journals meanwhile.  It fits
 * verbs.flush_all. */
void flusher_sync(void *flusher, struct journal *const *journals, size_t n);

#endif
