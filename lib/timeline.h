/* timeline: when the calls of an operation ran, as bars on an axis.
 *
 * The model of both drawings (bars.h, svg.h), read from the answer of /operation/show with all calls.  Where things stand is told in
 * whatever unit the width of the axis is given in: columns, pixels. */
#ifndef DPL_TIMELINE_H
#define DPL_TIMELINE_H

#include <stdbool.h>
#include <stdint.h>

#include "json.h"

/* What the colour of a bar says. */
enum timeline_state { TIMELINE_RUNNING, TIMELINE_ENDED, TIMELINE_FAILED, TIMELINE_CRASHED, TIMELINE_CANCELLED, TIMELINE_QUEUED, TIMELINE_STATES };

/* "running" and so on. */
const char *timeline_state_name(enum timeline_state state);

struct timeline_bar {
	int call;                /* its object in the answer */
	int32_t depth;           /* 0: part of no other */
	int64_t start_ms, end_ms;
	enum timeline_state state;
	bool open;               /* it has not ended: end_ms is when that was seen */
};

/* A moment of the whole operation. */
struct timeline_mark {
	int64_t at_ms;
	const char *what;        /* "aborted", "crashed", "completed", "failed" */
	enum timeline_state state; /* for its colour */
	bool end;                /* of the operation */
};

enum { TIMELINE_MARKS = 3 };

struct timeline {
	struct timeline_bar *bars; /* each behind the call that it is part of, those of one call by their start */
	int32_t *parent;         /* of each the bar of that call, -1 for none */
	int32_t n;
	int32_t count[TIMELINE_STATES];
	int64_t start_ms, end_ms; /* of the axis, at least a millisecond */
	bool ended;
	int marks;
	struct timeline_mark mark[TIMELINE_MARKS]; /* by time */
};

/* Read an answer, which is as of now_ms.  0, or -1 when memory runs out; timeline_free in any case. */
int timeline_read(struct timeline *t, const struct json *json, int64_t now_ms);
void timeline_free(struct timeline *t);

/* Where a moment stands on an axis of that width: 0 to width. */
double timeline_at(const struct timeline *t, int64_t ms, double width);

/* --- the axis --- */

enum { TIMELINE_LABEL = 40 };

/* The least round time between two ticks, the first of which is 0, for which their labels stand apart, a character being
 * `letter` wide. */
int64_t timeline_step(int64_t span_ms, double width, double letter);

/* The label of the tick at at_ms: "0", "250 ms", "1.5 s", "2m 30s", "1d 6h". */
void timeline_label(char label[TIMELINE_LABEL], int64_t at_ms, int64_t step_ms, int64_t span_ms);

/* A label beside a point of the axis. */
struct timeline_place {
	double at, point, room;  /* of the caller: where the point is, and how wide it and the label with it are */
	double from;             /* where the label begins: at the point, or so that it ends with that where it would not fit on the axis else, … */
	int lane;                /* … in the first line in which it touches no other */
};

/* Place n labels; how many lines they take. */
int timeline_place(struct timeline_place *places, int n, double width, double gap);

#endif
