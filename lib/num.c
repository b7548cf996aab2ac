/* num: numbers and durations from text, strictly. */
#include <stdbool.h>
#include <string.h>

#include "num.h"

int
num_int(const char *text, size_t n, int64_t min, int64_t max, int64_t *value)
{
	size_t i = 0;
	bool negative = n && text[0] == '-';
	if (negative)
		i++;
	if (i == n || n - i > 18 || (text[i] == '0' && n - i > 1) || (negative && text[i] == '0'))
		return -1;
	int64_t v = 0;
	for (; i < n; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -1;
		v = v * 10 + (text[i] - '0');
	}
	if (negative)
		v = -v;
	if (v < min || v > max)
		return -1;
	*value = v;
	return 0;
}

/* The unit at `p` in milliseconds, its length in *n; 0 where there is none. */
static int64_t
unit_ms(const char *p, size_t *n)
{
	static const struct {
		const char *name;
		int64_t ms;
	} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		*n = strlen(units[i].name);
		if (strncmp(p, units[i].name, *n) == 0)
			return units[i].ms;
	}
	return 0;
}

int
num_duration(const char *text, int64_t *ms)
{
	int64_t total = 0, last_unit = INT64_MAX;
	const char *p = text;
	do {
		/* Three decimals are a millisecond of a second: finer ones are refused, not cut. */
		int64_t whole = 0, milli = 0, scale = 1000;
		int digits = 0;
		for (; *p >= '0' && *p <= '9'; p++, digits++)
			if (digits == 12)
				return -1;
			else
				whole = whole * 10 + (*p - '0');
		if (!digits)
			return -1;
		bool fraction = *p == '.';
		if (fraction) {
			const char *first = ++p;
			for (; *p >= '0' && *p <= '9'; p++) {
				if (scale == 1)
					return -1;
				milli = milli * 10 + (*p - '0');
				scale /= 10;
			}
			if (p == first)
				return -1;
			milli *= scale;
		}
		size_t n = 0;
		int64_t unit = 1000;
		if (*p || last_unit != INT64_MAX) {
			unit = unit_ms(p, &n);
			/* Largest first, each once: `30s1m` and `1m1m` are typing mistakes. */
			if (!unit || unit >= last_unit)
				return -1;
		}
		if (whole > NUM_DURATION_MAX_MS / unit || (milli * unit) % 1000)
			return -1;
		total += whole * unit + milli * unit / 1000;
		if (total > NUM_DURATION_MAX_MS)
			return -1;
		last_unit = unit;
		p += n;
	} while (*p);
	*ms = total;
	return 0;
}
