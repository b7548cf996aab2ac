/* fold: the lines of a journal, added up to the state of its operation.
 *
 * Pure: no clock, no files, so that the command line, the server, the page and the tests agree.
 * Lines go in in order, and the state after each is what every tool shows and decides by. */
#ifndef DPL_FOLD_H
#define DPL_FOLD_H

#include "entry.h"
#include "state.h"

enum fold {
	FOLD_OK,      /* all whole lines are folded */
	FOLD_STOPPED, /* stop_seq or stop_ms was reached */
	FOLD_NULS,    /* the line at h.offset holds NUL bytes: torn, or damaged */
	FOLD_DAMAGED, /* the line at h.offset, number h.seq + 1, is whole but wrong */
	FOLD_FORMAT,  /* the journal is of a newer format */
	FOLD_MEMORY,
};

/* Fold the whole lines among the `n` bytes at `text`, which stand at h.offset of the journal;
 * bytes behind the last newline are left alone.  h.offset tells how far it came. */
enum fold op_fold(struct op *op, const char *text, size_t n);

#endif
