/* bars: a timeline in the terminal.
 *
 * Heading, axis, then a call a line: what it is, nested as an outline, whose, its bar, how long, and its state where it is not "ended".
 * At least half the width is the bars'. */
#ifndef DPL_BARS_H
#define DPL_BARS_H

#include "picture.h"

/* Draw the calls of the operation p->json, an answer with all of them, on so many columns; no line is longer. */
void bars_draw(const struct picture *p, int columns);

/* The character that covers its column best from one eighth of it to another, 0 <= from <= to <= 8; never a blank. */
const char *bars_cell(int from, int to);

#endif
