/* output: what a command prints, passed on to our stdout and kept.
 *
 * Nothing here waits: a slow reader must not keep the supervisor from bringing an abort.  What the reader does not take is
 * held, and no more is taken from the command until then. */
#ifndef DPL_OUTPUT_H
#define DPL_OUTPUT_H

#include <poll.h>
#include <stdbool.h>

#include "buf.h"

struct output {
	int out;                 /* the command's stdout; -1: not captured, or at its end */
	int to;                  /* ours, opened anew where that could be, so that it never waits; -1 */
	struct buf late;         /* taken, and not passed on but for its first `passed` bytes */
	size_t passed;
	int error;               /* errno of passing on, 0 */
	int unread;              /* errno of taking it, 0 */
	bool keeps_only;         /* nothing is passed on */
	struct buf kept;         /* the first of it, as much as a result may have … */
	bool too_long;           /* … and there is more */
};

/* Begin with the read end of the command's stdout (-1: there is none to capture).  `passes`: it is passed on; else kept only. */
void output_begin(struct output *o, int out, bool passes);

/* What to wait for: room to pass on what was taken, or more of it. */
struct pollfd output_poll(const struct output *o);

/* Take what is there and pass it on. */
void output_take(struct output *o);

/* Pass on what can be without waiting. */
void output_pass(struct output *o);

/* Take what is still in the pipe when all is over; a process that was left may keep it open, and write on. */
void output_collect(struct output *o);

void output_free(struct output *o);

#endif
