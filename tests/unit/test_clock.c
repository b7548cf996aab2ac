/* test_clock - times as text */
#include <time.h>

#include "clock.h"
#include "unit.h"

static int
parse(const char *text, int64_t *ms)
{
	return clock_parse(text, strlen(text), ms);
}

static void
known_times(void)
{
	static const struct {
		int64_t ms;
		const char *text;
	} known[] = {
		{0, "1970-01-01T00:00:00.000Z"},
		{999, "1970-01-01T00:00:00.999Z"},
		{951782400000, "2000-02-29T00:00:00.000Z"},
		{951868800000, "2000-03-01T00:00:00.000Z"},
		{1795357845123, "2026-11-22T14:30:45.123Z"},
		{2147483647000, "2038-01-19T03:14:07.000Z"},
		{2147483648000, "2038-01-19T03:14:08.000Z"},
		{4107542400000, "2100-03-01T00:00:00.000Z"},
		{4294967296000, "2106-02-07T06:28:16.000Z"},
		{INT64_C(253402300799999), "9999-12-31T23:59:59.999Z"},
	};
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		char text[CLOCK_TEXT];
		int64_t ms = -1;
		clock_format(known[i].ms, text);
		CHECK_TEXT(text, known[i].text);
		CHECK_INT(parse(known[i].text, &ms), 0);
		CHECK_INT(ms, known[i].ms);
	}
}

static void
times_outside_are_shown_as_the_nearer_end(void)
{
	char text[CLOCK_TEXT];
	clock_format(-1, text);
	CHECK_TEXT(text, "1970-01-01T00:00:00.000Z");
	clock_format(INT64_MIN, text);
	CHECK_TEXT(text, "1970-01-01T00:00:00.000Z");
	clock_format(INT64_C(253402300800000), text);
	CHECK_TEXT(text, "9999-12-31T23:59:59.999Z");
	clock_format(INT64_MAX, text);
	CHECK_TEXT(text, "9999-12-31T23:59:59.999Z");
}

static void
every_day_agrees_with_the_C_library(void)
{
	for (int64_t day = 0; day < 2932897; day += 1 + unit_below(5)) {
		char text[CLOCK_TEXT], want[40];
		int64_t in_day = unit_below(86400000), ms = -1;
		time_t t = (time_t)(day * 86400 + in_day / 1000);
		struct tm tm;
		gmtime_r(&t, &tm);
		strftime(want, sizeof want, "%Y-%m-%dT%H:%M:%S", &tm);
		snprintf(want + 19, sizeof want - 19, ".%03dZ", (int)(in_day % 1000));
		clock_format(day * 86400000 + in_day, text);
		if (!CHECK_TEXT(text, want) || !CHECK(parse(text, &ms) == 0 && ms == day * 86400000 + in_day))
			return;
	}
}

static void
forms_of_RFC_3339(void)
{
	static const struct {
		const char *text;
		int64_t ms;
	} good[] = {
		{"2026-11-22T14:30:45Z", 1795357845000},
		{"2026-11-22 14:30:45z", 1795357845000},
		{"2026-11-22T14:30:45.1Z", 1795357845100},
		{"2026-11-22T14:30:45.123456789Z", 1795357845123},
		{"2026-11-22T14:30:45.9999Z", 1795357845999},
		{"2026-11-22T15:30:45.123+01:00", 1795357845123},
		{"2026-11-22T09:00:45.123-05:30", 1795357845123},
		{"2026-11-22T14:30:45.123+00:00", 1795357845123},
		{"2016-12-31T23:59:60Z", 1483228800000},
		{"1970-01-01T00:00:00+01:00", -3600000},
		{"2024-02-29T00:00:00Z", 1709164800000},
	};
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		int64_t ms = -1;
		if (!CHECK(parse(good[i].text, &ms) == 0) || !CHECK_INT(ms, good[i].ms))
			printf("# '%s'\n", good[i].text);
	}
}

static void
no_times(void)
{
	static const char *const bad[] = {"", "2026", "2026-11-22", "2026-11-22T14:30Z", "2026-11-22T14:30:45", "2026-11-22T14:30:45.Z",
		"2026-11-22T14:30:45.123", "2026-11-22T14:30:45+0100", "2026-11-22T14:30:45+01", "2026-11-22T14:30:45+24:00",
		"2026-11-22T14:30:45+01:60", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-01-00T00:00:00Z", "2026-01-32T00:00:00Z",
		"2026-04-31T00:00:00Z", "2025-02-29T00:00:00Z", "2100-02-29T00:00:00Z", "2026-11-22T24:00:00Z", "2026-11-22T14:60:00Z",
		"2026-11-22T14:30:61Z", "2026-11-22T14:30:45ZZ", "2026-11-22T14:30:45Z ", " 2026-11-22T14:30:45Z", "1969-12-31T23:59:59Z",
		"0000-01-01T00:00:00Z", "-026-11-22T14:30:45Z", "2026-1-22T14:30:45Z", "20261122T143045Z", "2026-11-22X14:30:45Z",
		"2026/11/22T14:30:45Z", "+2026-11-22T14:30:45Z", "99999-11-22T14:30:45Z", "now"};
	int64_t ms = 77;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (!CHECK(parse(bad[i], &ms) == -1))
			printf("# took '%s'\n", bad[i]);
	CHECK_INT(ms, 77);
	CHECK(clock_parse("2026-11-22T14:30:45Z\0", 21, &ms) == -1);
}

/* Nothing is read behind the end, which the sanitizers see. */
static void
every_beginning_of_a_time_is_none(void)
{
	static const char whole[] = "2026-11-22T14:30:45.123+01:00";
	for (size_t n = 0; n < sizeof whole - 1; n++) {
		int64_t ms;
		char *copy = malloc(n ? n : 1);
		memcpy(copy, whole, n);
		CHECK_INT(clock_parse(copy, n, &ms), -1);
		free(copy);
	}
}

static void
clocks_go(void)
{
	int64_t wall = clock_wall_ms(), mono = clock_mono_ms();
	CHECK(wall > INT64_C(1700000000000));
	CHECK(mono > 0 && clock_mono_ms() >= mono);
}

int
main(void)
{
	RUN(known_times);
	RUN(times_outside_are_shown_as_the_nearer_end);
	RUN(every_day_agrees_with_the_C_library);
	RUN(forms_of_RFC_3339);
	RUN(no_times);
	RUN(every_beginning_of_a_time_is_none);
	RUN(clocks_go);
	return unit_end();
}
