/* hash: a fast 64-bit hash of bytes. */
#include <string.h>

#include "hash.h"

/* FNV-1a's prime (G. Fowler, L. C. Noll, K.-P. Vo), taken eight bytes at a time, and the finalizer
 * of MurmurHash3 (A. Appleby), since a multiplication alone never moves a high bit down. */
uint64_t
hash_bytes(uint64_t seed, const void *bytes, size_t n)
{
	const unsigned char *p = bytes;
	uint64_t h = seed ^ (UINT64_C(0xcbf29ce484222325) + n), word;
	for (; n >= 8; p += 8, n -= 8) {
		/* Little-endian by spelling, whatever the machine. */
		word = (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 |
		       (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 | (uint64_t)p[7] << 56;
		h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 29;
	}
	for (; n; p++, n--)
		h = (h ^ *p) * UINT64_C(0x100000001b3);
	h ^= h >> 33;
	h *= UINT64_C(0xff51afd7ed558ccd);
	h ^= h >> 33;
	h *= UINT64_C(0xc4ceb9fe1a85ec53);
	return h ^ h >> 33;
}

void
hash_hex(uint64_t value, char text[17])
{
	for (int i = 15; i >= 0; i--, value >>= 4)
		text[i] = "0123456789abcdef"[value & 15];
	text[16] = '\0';
}
