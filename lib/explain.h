/* explain: why an operation, or a call of it, is where it is: one screen, drawn from the answer of /operation/why. */
#ifndef DPL_EXPLAIN_H
#define DPL_EXPLAIN_H

#include "picture.h"

void explain_operation(const struct picture *p);
void explain_call(const struct picture *p);

#endif
