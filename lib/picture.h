/* picture: an operation as people see it, drawn from the answer of /operation/show.
 *
 * What an answer does not tell is left out, so that those of older servers are drawn too. */
#ifndef DPL_PICTURE_H
#define DPL_PICTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "json.h"
#include "render.h"

struct picture {
	const struct json *json;
	struct buf *out;         /* gets whole lines, every text in them shown (text_show) */
	bool colours;
	bool live;               /* leave out participants who have left and calls that have ended */
	int64_t now_ms;          /* wall clock: up to when ages count */
};

/* The state of operation `object`, "running" or "completed, aborted", in `b`, and its colour. */
const char *picture_state(const struct picture *p, int object, struct buf *b, enum colour *colour);

/* The colour of a call's state. */
enum colour picture_call_colour(const char *state);

/* Add how long before now a time of the answer was: "2m 5s ago"; nothing where it is none. */
void picture_ago(const struct picture *p, struct buf *b, const char *time);

/* Write a line: the label in its column, then the text, shown; nothing where that is empty. */
void picture_line(const struct picture *p, const char *label, enum colour colour, const char *text);

/* Add "3 running" to an enumeration, nothing for 0 and less. */
void picture_count(struct buf *b, int64_t n, const char *what);

/* Add who did something, when, and why: "worker, 3.2 s ago: wrong branch", from the members of these names. */
void picture_who(const struct picture *p, struct buf *b, int object, const char *who, const char *when, const char *why);

/* Who aborted it and who died first, a line each, in red. */
void picture_alarms(const struct picture *p, int object, int indent);

/* What is more than being alive of a participant or call: "hung" and the like, and its colour; "" where it is alive or nobody knows. */
const char *picture_trouble(const struct picture *p, int object, struct buf *b, enum colour *colour);

/* Add the last sign of life of a participant: "beat 0.3 s ago", or "seen 2.1 s ago" where it has not beaten. */
void picture_sign(const struct picture *p, struct buf *b, int person);

/* A participant a line: name, whether it takes part and lives, its last sign of life, its calls. */
void picture_people(const struct picture *p, int object, int indent);

/* A call a line: id, whose, state, how long, progress, what; flat, or as a tree. */
void picture_calls(const struct picture *p, int object, int indent);
void picture_tree(const struct picture *p, int object, int indent);

/* A temp resource a line: number, state, kind, whose, how old, what it is, and why it could not be removed. */
void picture_resources(const struct picture *p, int object, int indent);

/* All of it: a line about the operation, what went wrong, its participants, its calls as a tree. */
void picture_operation(const struct picture *p, int object);

#endif
