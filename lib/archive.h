/* archive: the last steps of an operation, and of those that ended long ago.
 *
 * A part of store_file: only that includes it. */
#ifndef DPL_ARCHIVE_H
#define DPL_ARCHIVE_H

#include "store.h"

/* What store_archive promises. */
int archive_move(struct store *s, struct journal *j, struct why *why);

/* An operation that has ended and is still in the live place: remove what is still to be removed and can be, and move it when nothing
 * is left.  What cannot be done is left for the next. */
void archive_finish(struct store *s, struct journal *j);

/* What store_prune promises; `just`, or NULL, has ended at this moment, and stays whatever its id says: then nobody waits for long, as
 * the next who ends one deletes what is left. */
ssize_t archive_prune(struct store *s, int keep, const char *just, char ***ids, struct why *why);

/* Whether that operation has been taken out of sight, to be deleted.  Where its key is still linked to it, under the lock of the keys, who
 * deletes it has died. */
bool archive_is_deleting(const struct store *s, const char *id);

/* Write operation.json and operation.log beside an ended journal where they are missing.  On a full disk that
 * fails, and is done when the operation is looked at again. */
void archive_papers(struct store *s, struct journal *j);

#endif
