/* unit: a small TAP harness (testanything.org, version 13).
 *
 *	static void addition(void) { CHECK_INT(1 + 1, 2); }
 *	int main(void) { RUN(addition); return unit_end(); }
 *
 * A check that fails prints its place and goes on; the test it stands in is then "not ok".  The
 * environment variable UNIT_SEED sets the seed of the random numbers. */
#ifndef UNIT_H
#define UNIT_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNIT_MAY_BE_UNUSED __attribute__((unused))

static int unit_tests, unit_failed, unit_wrong;
static uint64_t unit_state;

static inline UNIT_MAY_BE_UNUSED bool
unit_check(bool right, const char *file, int line, const char *text)
{
	if (!right && ++unit_wrong <= 20)
		printf("# %s:%d: %s\n", file, line, text);
	return right;
}

static inline UNIT_MAY_BE_UNUSED bool
unit_check_int(int64_t got, int64_t want, const char *file, int line, const char *text)
{
	if (got != want && ++unit_wrong <= 20)
		printf("# %s:%d: %s is %" PRId64 ", not %" PRId64 "\n", file, line, text, got, want);
	return got == want;
}

static inline UNIT_MAY_BE_UNUSED void
unit_print(const char *p, size_t n)
{
	putchar('"');
	for (size_t i = 0; i < n && i < 200; i++)
		if (p[i] >= 0x20 && p[i] < 0x7f && p[i] != '\\')
			putchar(p[i]);
		else
			printf("\\x%02x", (unsigned char)p[i]);
	printf("\"%s", n > 200 ? "..." : "");
}

static inline UNIT_MAY_BE_UNUSED bool
unit_check_bytes(const char *got, size_t n, const char *want, size_t m, const char *file, int line, const char *text)
{
	if (n == m && (n == 0 || memcmp(got, want, n) == 0))
		return true;
	if (++unit_wrong <= 20) {
		printf("# %s:%d: %s is ", file, line, text);
		unit_print(got, n);
		printf(", not ");
		unit_print(want, m);
		putchar('\n');
	}
	return false;
}

static inline UNIT_MAY_BE_UNUSED bool
unit_check_text(const char *got, const char *want, const char *file, int line, const char *text)
{
	if (!got || !want)
		return unit_check(got == want, file, line, text);
	return unit_check_bytes(got, strlen(got), want, strlen(want), file, line, text);
}

/* Each is true when it holds, so that a loop can stop at its first failure. */
#define CHECK(x) unit_check((x) ? true : false, __FILE__, __LINE__, #x)
#define CHECK_INT(got, want) unit_check_int((int64_t)(got), (int64_t)(want), __FILE__, __LINE__, #got)
#define CHECK_TEXT(got, want) unit_check_text((got), (want), __FILE__, __LINE__, #got)
#define CHECK_BYTES(got, n, want, m) unit_check_bytes((got), (n), (want), (m), __FILE__, __LINE__, #got)

static inline UNIT_MAY_BE_UNUSED void
unit_run(const char *name, void (*test)(void))
{
	const char *seed = getenv("UNIT_SEED");
	uint64_t first = seed ? strtoull(seed, NULL, 10) : 1;
	unit_state = first * UINT64_C(0x9e3779b97f4a7c15) + 1;
	unit_wrong = 0;
	test();
	unit_tests++;
	if (unit_wrong) {
		unit_failed++;
		if (unit_wrong > 20)
			printf("# %d more\n", unit_wrong - 20);
		printf("# replay with UNIT_SEED=%" PRIu64 "\n", first);
	}
	printf("%s %d - ", unit_wrong ? "not ok" : "ok", unit_tests);
	for (; *name; name++)
		putchar(*name == '_' ? ' ' : *name);
	putchar('\n');
	fflush(stdout);
}

#define RUN(test) unit_run(#test, test)

static inline UNIT_MAY_BE_UNUSED int
unit_end(void)
{
	printf("1..%d\n", unit_tests);
	return unit_failed ? 1 : 0;
}

/* xorshift64* (S. Vigna, "An experimental exploration of Marsaglia's xorshift generators", 2016). */
static inline UNIT_MAY_BE_UNUSED uint64_t
unit_random(void)
{
	unit_state ^= unit_state >> 12;
	unit_state ^= unit_state << 25;
	unit_state ^= unit_state >> 27;
	return unit_state * UINT64_C(0x2545f4914f6cdd1d);
}

/* 0 <= result < n */
static inline UNIT_MAY_BE_UNUSED uint32_t
unit_below(uint32_t n)
{
	return (uint32_t)((unit_random() >> 32) % n);
}

#endif
