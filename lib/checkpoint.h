/* checkpoint: the live state of an operation up to a byte offset, to save folding.
 *
 * Disposable: it may be deleted at any moment, and is used only if everything about it is right,
 * otherwise the journal is folded from its start.  So its format (records as they lie in memory)
 * may change with any release, without a procedure. */
#ifndef DPL_CHECKPOINT_H
#define DPL_CHECKPOINT_H

#include <stdint.h>

#include "fold.h"

/* Load `checkpoint` in the folder into the fresh `op` (its head alone, where that is all it is made for), if it is whole and belongs to the journal of
 * that inode.  *line_hash is what the bytes of line op->h.last must hash to (seed 0): the caller
 * reads them and must throw the state away where they do not.  0, or -1 with `op` fresh. */
int checkpoint_load(int dir, uint64_t inode, struct op *op, uint64_t *line_hash);

/* How far the stored checkpoint reaches, by its own word; 0 where there is none. */
uint64_t checkpoint_reach(int dir, uint64_t inode);

/* Save the state; all that it covers must have been flushed.  0, or -1, which nobody need mind. */
int checkpoint_save(int dir, uint64_t inode, const struct op *op, uint64_t line_hash);

#endif
