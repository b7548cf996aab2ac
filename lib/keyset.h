/* keyset: a set of 64-bit sums, for "surely not there" without looking. */
#ifndef DPL_KEYSET_H
#define DPL_KEYSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Starts as {0}. */
struct keyset {
	uint64_t *of;    /* 0: a free place */
	size_t n, cap;   /* cap is a power of two, or 0 */
	bool failed;     /* memory ran out: it may lack some */
};

void keyset_add(struct keyset *s, uint64_t sum);

/* Whether it may have that: false only where it surely has not. */
bool keyset_may_have(const struct keyset *s, uint64_t sum);

void keyset_free(struct keyset *s);

#endif
