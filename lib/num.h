/* num: numbers and durations from text, strictly.
 *
 * The whole text must be the number: no blanks, no sign where none makes sense, nothing behind
 * it.  Everything returns 0, or -1 when the text is not such a number or out of range. */
#ifndef DPL_NUM_H
#define DPL_NUM_H

#include <stddef.h>
#include <stdint.h>

/* The longest duration that is taken anywhere: ten years. */
#define NUM_DURATION_MAX_MS (INT64_C(3650) * 24 * 3600 * 1000)

/* A decimal integer of `n` bytes at `text` within [min, max]. */
int num_int(const char *text, size_t n, int64_t min, int64_t max, int64_t *value);

/* A duration: `250ms`, `5s`, `1m30s`, `2h`, `1d`, `4.5s`, or a bare number of seconds; not
 * negative, at most NUM_DURATION_MAX_MS.  *ms gets milliseconds. */
int num_duration(const char *text, int64_t *ms);

#endif
