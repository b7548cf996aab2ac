/* clock: the two clocks, and times as text.
 *
 * Wall time is milliseconds since 1970 in UTC and is for people and for the journal; waits and
 * ages of this machine use the monotonic clock.  Text is RFC 3339 in UTC with milliseconds,
 * `2026-11-22T14:30:45.123Z`. */
#ifndef DPL_CLOCK_H
#define DPL_CLOCK_H

#include <stddef.h>
#include <stdint.h>

enum { CLOCK_TEXT = 25 }; /* room for a time as text, with its NUL */

int64_t clock_wall_ms(void);
int64_t clock_mono_ms(void);

/* The monotonic time at which a wait of that long has lasted that long: the millisecond that runs has begun already. */
int64_t clock_end_ms(int64_t wait_ms);

/* Write `ms` as text; years 1970 to 9999, what is outside is shown as the nearer end. */
void clock_format(int64_t ms, char text[CLOCK_TEXT]);

/* Read RFC 3339 of `n` bytes: `T` or a blank between date and time, any fraction (cut to
 * milliseconds), `Z` or an offset.  0, or -1 where it is not a time. */
int clock_parse(const char *text, size_t n, int64_t *ms);

#endif
