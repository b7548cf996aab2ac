/* hash: a fast 64-bit hash of bytes. */
#include <string.h>

#include "hash.h"

/* Eight bytes, little-endian by spelling, whatever the machine. */
static inline uint64_t
word_at(const unsigned char *p)
{
	return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 | (uint64_t)p[4] << 32 |
	       (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 | (uint64_t)p[7] << 56;
}

static inline uint64_t
mix(uint64_t h, uint64_t word)
{
	h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
	return h ^ h >> 29;
}

/* Multiply and fold, eight bytes at a time; four chains side by side where there is much, since one alone waits for its
 * own multiplication.  FNV-1a's start and prime (G. Fowler, L. C. Noll, K.-P. Vo) for the rest, and the
 * finalizer of MurmurHash3 (A. Appleby). */
uint64_t
hash_bytes(uint64_t seed, const void *bytes, size_t n)
{
	const unsigned char *p = bytes;
	uint64_t h = seed ^ (UINT64_C(0xcbf29ce484222325) + n);
	if (n >= 256) {
		uint64_t a = h, b = h + 1, c = h + 2, d = h + 3;
		for (; n >= 32; p += 32, n -= 32) {
			a = mix(a, word_at(p));
			b = mix(b, word_at(p + 8));
			c = mix(c, word_at(p + 16));
			d = mix(d, word_at(p + 24));
		}
		h = mix(mix(mix(a, b), c), d);
	}
	for (; n >= 8; p += 8, n -= 8)
		h = mix(h, word_at(p));
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
