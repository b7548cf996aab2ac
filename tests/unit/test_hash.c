/* test_hash - the 64-bit hash */
#include "hash.h"
#include "unit.h"

/* The values are stored in keys/ and in entries: a change of the function would lose every key. */
static void
values_never_change(void)
{
	static const struct {
		uint64_t seed;
		const char *text;
		const char *hex;
	} known[] = {
		{0, "", "efd01f60ba992926"}, {1, "", "12aa8dd8fb8b9885"}, {0, "a", "6e673288764ad2d0"}, {0, "key", "bad7455172879705"}, {1, "nightly-2026-11-22", "f0ad196c85f88225"}, {2, "nightly-2026-11-22", "a55f11b104bd5479"},
		{0, "12345678", "c84b4f497a7430bf"}, {0, "123456789abcdef0", "d1828433a04f25ca"}, {UINT64_MAX, "/operation/create", "486de75438ca4338"},
	};
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		char hex[17];
		hash_hex(hash_bytes(known[i].seed, known[i].text, strlen(known[i].text)), hex);
		CHECK_TEXT(hex, known[i].hex);
	}
}

static void
hex_digits(void)
{
	char hex[17];
	hash_hex(0, hex);
	CHECK_TEXT(hex, "0000000000000000");
	hash_hex(UINT64_C(0x0123456789abcdef), hex);
	CHECK_TEXT(hex, "0123456789abcdef");
	hash_hex(UINT64_MAX, hex);
	CHECK_TEXT(hex, "ffffffffffffffff");
}

static void
depends_on_every_bit(void)
{
	unsigned char bytes[40];
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (unsigned char)unit_random();
	for (size_t n = 1; n <= sizeof bytes; n++) {
		uint64_t before = hash_bytes(5, bytes, n);
		CHECK(hash_bytes(6, bytes, n) != before);
		CHECK(hash_bytes(5, bytes, n - 1) != before);
		for (size_t bit = 0; bit < n * 8; bit++) {
			bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
			uint64_t after = hash_bytes(5, bytes, n);
			bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
			int moved = __builtin_popcountll(before ^ after);
			if (!CHECK(moved >= 8 && moved <= 56))
				return;
		}
	}
}

static void
does_not_depend_on_where_the_bytes_are(void)
{
	static const char text[] = "the same bytes at any address";
	char room[sizeof text + 16];
	uint64_t want = hash_bytes(0, text, sizeof text);
	for (size_t at = 0; at < 16; at++) {
		memcpy(room + at, text, sizeof text);
		CHECK(hash_bytes(0, room + at, sizeof text) == want);
	}
}

static int
by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

static void
names_that_are_alike_do_not_collide(void)
{
	enum { N = 200000 };
	uint64_t *all = malloc(N * sizeof *all);
	for (int i = 0; i < N; i++) {
		char name[40];
		int n = snprintf(name, sizeof name, "call_worker_%d_%04x", i, i & 0xffff);
		all[i] = hash_bytes(0, name, (size_t)n);
	}
	qsort(all, N, sizeof *all, by_value);
	int same = 0;
	for (int i = 1; i < N; i++)
		same += all[i] == all[i - 1];
	CHECK_INT(same, 0);
	free(all);
}

int
main(void)
{
	RUN(values_never_change);
	RUN(hex_digits);
	RUN(depends_on_every_bit);
	RUN(does_not_depend_on_where_the_bytes_are);
	RUN(names_that_are_alike_do_not_collide);
	return unit_end();
}
