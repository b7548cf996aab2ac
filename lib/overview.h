/* overview: an operation at length: what it is, what became of it, who takes part, what runs, what it has registered. */
#ifndef DPL_OVERVIEW_H
#define DPL_OVERVIEW_H

#include "picture.h"

/* Draw the operation p->json, an answer with its running calls. */
void overview_draw(const struct picture *p);

#endif
