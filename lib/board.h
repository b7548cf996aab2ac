/* board: a live table of operations on a terminal.
 *
 * Drawn when something changes, at most ten times a second, and each second, for ages grow.  However the process ends, the
 * cursor is seen again and the last picture stays. */
#ifndef DPL_BOARD_H
#define DPL_BOARD_H

#include "reader.h"

/* Whether stdout is a terminal that can show one. */
bool board_is_possible(void);

/* Show the operation at p->id until it ends, or -t is over; the exit status. */
int board_one(struct cli *c, struct place *p, bool colours);

/* Show all live operations of the ledger until -t is over. */
int board_all(struct cli *c, bool colours);

#endif
