/* hash: a fast 64-bit hash of bytes, for tables and for noticing damage.
 *
 * Not cryptographic: it guards against accidents, not against somebody who wants a collision,
 * so that whatever is found by it is compared in full where that matters.  The value is stored
 * in keys/ and in entries, so the function never changes. */
#ifndef DPL_HASH_H
#define DPL_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t hash_bytes(uint64_t seed, const void *bytes, size_t n);

/* The value as 16 hex digits and a NUL. */
void hash_hex(uint64_t value, char text[17]);

#endif
