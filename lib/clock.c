/* clock: the two clocks, and times as text. */
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"

/* The first few readings are system calls: finding and mapping the vDSO costs a short-lived process two page
 * faults, which is more than all the readings it will make. */
static int64_t
now_ms(clockid_t id)
{
	static atomic_uint readings;
	struct timespec t = {0};
	/* These two clocks are always there: neither way can fail. */
	if (atomic_load_explicit(&readings, memory_order_relaxed) < 8) {
		atomic_fetch_add_explicit(&readings, 1, memory_order_relaxed);
		(void)syscall(SYS_clock_gettime, id, &t);
	} else {
		(void)clock_gettime(id, &t);
	}
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t
clock_wall_ms(void)
{
	return now_ms(CLOCK_REALTIME);
}

int64_t
clock_mono_ms(void)
{
	return now_ms(CLOCK_MONOTONIC);
}

int64_t
clock_end_ms(int64_t wait_ms)
{
	return clock_mono_ms() + wait_ms + (wait_ms > 0);
}

/* Days since 1970 and back: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms" (2013),
 * for years from 1970 on, so that nothing is negative. */
static int64_t
days_from_civil(int64_t y, int64_t m, int64_t d)
{
	y -= m <= 2;
	int64_t era = y / 400, yoe = y - era * 400;
	int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void
civil_from_days(int64_t z, int64_t *y, int64_t *m, int64_t *d)
{
	z += 719468;
	int64_t era = z / 146097, doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;
	*d = doy - (153 * mp + 2) / 5 + 1;
	*m = mp < 10 ? mp + 3 : mp - 9;
	*y = yoe + era * 400 + (*m <= 2);
}

/* Write `value` as `width` digits. */
static char *
digits(char *p, int64_t value, int width)
{
	for (int i = width - 1; i >= 0; i--, value /= 10)
		p[i] = (char)('0' + value % 10);
	return p + width;
}

void
clock_format(int64_t ms, char text[CLOCK_TEXT])
{
	const int64_t last = INT64_C(253402300799999); /* 9999-12-31T23:59:59.999Z */
	ms = ms < 0 ? 0 : ms > last ? last : ms;
	int64_t y, m, d, day = ms / 86400000, in_day = ms % 86400000;
	civil_from_days(day, &y, &m, &d);
	char *p = digits(text, y, 4);
	*p++ = '-';
	p = digits(p, m, 2);
	*p++ = '-';
	p = digits(p, d, 2);
	*p++ = 'T';
	p = digits(p, in_day / 3600000, 2);
	*p++ = ':';
	p = digits(p, in_day / 60000 % 60, 2);
	*p++ = ':';
	p = digits(p, in_day / 1000 % 60, 2);
	*p++ = '.';
	p = digits(p, in_day % 1000, 3);
	*p++ = 'Z';
	*p = '\0';
}

/* Read `width` digits at text[*i]; -1 where there are not as many. */
static int64_t
take(const char *text, size_t n, size_t *i, size_t width)
{
	int64_t v = 0;
	if (n - *i < width)
		return -1;
	for (size_t k = 0; k < width; k++, ++*i) {
		if (text[*i] < '0' || text[*i] > '9')
			return -1;
		v = v * 10 + (text[*i] - '0');
	}
	return v;
}

static bool
skip(const char *text, size_t n, size_t *i, char a, char b)
{
	if (*i >= n || (text[*i] != a && text[*i] != b))
		return false;
	++*i;
	return true;
}

/* The form that clock_format writes, checked and read in one go: every line of a journal has one. */
static bool
parse_canonical(const char *t, int64_t *ms)
{
	static const uint8_t at[] = {0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18, 20, 21, 22};
	unsigned d[sizeof at], wrong = 0;
	for (size_t i = 0; i < sizeof at; i++) {
		d[i] = (unsigned)t[at[i]] - '0';
		wrong |= d[i] > 9;
	}
	if (wrong || t[4] != '-' || t[7] != '-' || t[10] != 'T' || t[13] != ':' || t[16] != ':' || t[19] != '.' || t[23] != 'Z')
		return false;
	unsigned y = d[0] * 1000 + d[1] * 100 + d[2] * 10 + d[3], m = d[4] * 10 + d[5], day = d[6] * 10 + d[7];
	unsigned hour = d[8] * 10 + d[9], minute = d[10] * 10 + d[11], second = d[12] * 10 + d[13];
	/* The last days of a month and leap seconds go the long way. */
	if (y < 1970 || m < 1 || m > 12 || day < 1 || day > 28 || hour > 23 || minute > 59 || second > 59)
		return false;
	*ms = (((days_from_civil(y, m, day) * 24 + hour) * 60 + minute) * 60 + second) * 1000 + d[14] * 100 + d[15] * 10 + d[16];
	return true;
}

int
clock_parse(const char *text, size_t n, int64_t *ms)
{
	if (n == CLOCK_TEXT - 1 && parse_canonical(text, ms))
		return 0;
	static const int8_t month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	size_t i = 0;
	int64_t y = take(text, n, &i, 4);
	if (y < 1970 || !skip(text, n, &i, '-', '-'))
		return -1;
	int64_t m = take(text, n, &i, 2);
	if (m < 1 || m > 12 || !skip(text, n, &i, '-', '-'))
		return -1;
	int64_t d = take(text, n, &i, 2);
	bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
	if (d < 1 || d > month_days[m - 1] + (m == 2 && leap) || !skip(text, n, &i, 'T', ' '))
		return -1;
	int64_t hour = take(text, n, &i, 2);
	if (hour < 0 || hour > 23 || !skip(text, n, &i, ':', ':'))
		return -1;
	int64_t minute = take(text, n, &i, 2);
	if (minute < 0 || minute > 59 || !skip(text, n, &i, ':', ':'))
		return -1;
	int64_t second = take(text, n, &i, 2);
	if (second < 0 || second > 60) /* 60: a leap second, counted as the next minute's first */
		return -1;
	int64_t milli = 0;
	if (skip(text, n, &i, '.', ',')) {
		size_t first = i;
		for (int64_t scale = 100; i < n && text[i] >= '0' && text[i] <= '9'; i++, scale /= 10)
			milli += (text[i] - '0') * scale;
		if (i == first)
			return -1;
	}
	int64_t offset = 0;
	if (!skip(text, n, &i, 'Z', 'z')) {
		int64_t sign = i < n && text[i] == '-' ? -1 : 1;
		if (!skip(text, n, &i, '+', '-'))
			return -1;
		int64_t oh = take(text, n, &i, 2);
		if (oh < 0 || oh > 23 || !skip(text, n, &i, ':', ':'))
			return -1;
		int64_t om = take(text, n, &i, 2);
		if (om < 0 || om > 59)
			return -1;
		offset = sign * (oh * 60 + om);
	}
	if (i != n)
		return -1;
	*ms = (((days_from_civil(y, m, d) * 24 + hour) * 60 + minute - offset) * 60 + second) * 1000 + milli;
	return 0;
}
