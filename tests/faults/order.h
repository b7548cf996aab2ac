/* order: what is acknowledged was flushed before, and what is registered before it is made. */
#ifndef FAULTS_ORDER_H
#define FAULTS_ORDER_H

#include "cases.h"

/* Run the command, look at its system calls, and say what came too early; NULL where all is right. */
const char *order_check(const struct test *t);

#endif
