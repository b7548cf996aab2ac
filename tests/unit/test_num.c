/* test_num - numbers and durations from text */
#include "num.h"
#include "unit.h"

static int
parse(const char *text, int64_t *value)
{
	return num_int(text, strlen(text), INT64_MIN, INT64_MAX, value);
}

static void
integers(void)
{
	int64_t v = 77;
	CHECK(parse("0", &v) == 0 && v == 0);
	CHECK(parse("7", &v) == 0 && v == 7);
	CHECK(parse("-7", &v) == 0 && v == -7);
	CHECK(parse("9007199254740991", &v) == 0 && v == INT64_C(9007199254740991));
	CHECK(parse("-9007199254740992", &v) == 0 && v == -INT64_C(9007199254740992));
	CHECK(parse("999999999999999999", &v) == 0 && v == INT64_C(999999999999999999));
}

static void
no_integers(void)
{
	static const char *const bad[] = {"", "-", "+1", " 1", "1 ", "1\n", "01", "00", "-0", "-01", "1.0", "1.", ".5", "1e3", "0x1f", "1_000",
		"1,000", "--1", "1-", "a", "NaN", "9223372036854775808", "1000000000000000000", "18446744073709551616",
		"99999999999999999999999999999999999999"};
	int64_t v = 77;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (!CHECK(parse(bad[i], &v) == -1))
			printf("# took '%s'\n", bad[i]);
	CHECK_INT(v, 77);
	CHECK(num_int("1\0", 2, 0, 10, &v) == -1);
	CHECK(num_int("12", 1, 0, 10, &v) == 0 && v == 1);
}

static void
ranges(void)
{
	int64_t v = 77;
	CHECK(num_int("5", 1, 5, 5, &v) == 0 && v == 5);
	CHECK(num_int("4", 1, 5, 5, &v) == -1);
	CHECK(num_int("6", 1, 5, 5, &v) == -1);
	CHECK(num_int("-1", 2, -1, 0, &v) == 0 && v == -1);
	CHECK(num_int("-2", 2, -1, 0, &v) == -1);
	CHECK_INT(v, -1);
}

static void
durations(void)
{
	static const struct {
		const char *text;
		int64_t ms;
	} good[] = {
		{"0", 0}, {"5", 5000}, {"5s", 5000}, {"250ms", 250}, {"1m30s", 90000}, {"2h", 7200000}, {"1d", 86400000},
		{"4.5s", 4500}, {"4.5", 4500}, {"0.001", 1}, {"0.001s", 1}, {"1.5m", 90000}, {"1d2h3m4s5ms", 93784005}, {"1m5ms", 60005},
		{"1h0s", 3600000}, {"0ms", 0}, {"0d0h0m0s0ms", 0}, {"007", 7000}, {"90m", 5400000}, {"36h", 129600000}, {"0.5h", 1800000},
		{"3650d", NUM_DURATION_MAX_MS}, {"315360000", NUM_DURATION_MAX_MS}, {"315360000000ms", NUM_DURATION_MAX_MS},
		{"0.125d", 10800000}, {"1.001s", 1001}, {"1.0ms", 1}, {"2.000ms", 2},
	};
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		int64_t ms = -1;
		if (!CHECK(num_duration(good[i].text, &ms) == 0) || !CHECK_INT(ms, good[i].ms))
			printf("# '%s'\n", good[i].text);
	}
}

static void
no_durations(void)
{
	static const char *const bad[] = {"", "s", "ms", "-5s", "+5s", " 5s", "5s ", "5 s", "5sec", "5S", "5M", "5w", "5y", "1m1m", "30s1m", "1s1s",
		"1ms1s", "1m30", "1s5", "1.s", ".5s", "1..5s", "1.5.5s", "0.0001s", "1.0001", "0.5ms", "1.5ms", "1e3", "0x10", "NaN", "inf", "1,5s", "5s\n",
		"3651d", "3650d1ms", "315360001", "315360000001ms", "1000000000000", "99999999999999999999", "99999999999999999999d", "5m-1s", "one",
		"9999999999999999999999999999ms"};
	int64_t ms = 77;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (!CHECK(num_duration(bad[i], &ms) == -1))
			printf("# took '%s'\n", bad[i]);
	CHECK_INT(ms, 77);
}

/* Whatever is taken is in range, and the largest of each unit is exact. */
static void
random_durations(void)
{
	static const char alphabet[] = "0123456789.msdh";
	for (int i = 0; i < 300000; i++) {
		char text[12];
		int64_t ms = -1;
		size_t n = 1 + unit_below(10);
		for (size_t k = 0; k < n; k++)
			text[k] = alphabet[unit_below(sizeof alphabet - 1)];
		text[n] = '\0';
		if (num_duration(text, &ms) == 0 && !CHECK(ms >= 0 && ms <= NUM_DURATION_MAX_MS)) {
			printf("# '%s'\n", text);
			return;
		}
	}
}

int
main(void)
{
	RUN(integers);
	RUN(no_integers);
	RUN(ranges);
	RUN(durations);
	RUN(no_durations);
	RUN(random_durations);
	return unit_end();
}
