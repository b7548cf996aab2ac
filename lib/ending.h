/* ending: a supervised command has ended — its output, its result, the commands that its caller wants to be run then, and the end of its
 * frame. */
#ifndef DPL_ENDING_H
#define DPL_ENDING_H

#include "run.h"

/* The exit status that its supervisor ends with. */
int ending_status(const struct run *r);

/* Take what is still to be had of its output. */
void ending_collect(struct run *r);

/* Take the result, and run what is to be run: fills r->end and r->how. */
void ending_conclude(struct run *r);

/* Close the frame with that: 0, or -1 with r->why. */
int ending_close(struct run *r);

/* Wait for the reader to take the rest of the output, for no longer than the grace where the command was stopped.  HUP, INT, QUIT and TERM
 * end that: where some is lost by it r->end says that we died of that signal, unless it says already that the command was stopped. */
void ending_deliver(struct run *r);

#endif
