/* wire: the state of an operation as JSON, and an entry as a line of text.
 *
 * The member names are those of the HTTP protocol; they stand here, in entry.c and in verb_*.c, and
 * nowhere else.  Pure but for the lines it asks for. */
#ifndef DPL_WIRE_H
#define DPL_WIRE_H

#include <stdint.h>

#include "buf.h"
#include "fold.h"

/* Where the texts of a state come from: reads a line of the journal (without newline) into `text`;
 * 0 or -1. */
struct wire_source {
	int (*line)(void *arg, struct line line, struct buf *text);
	void *arg;
};

/* Members of an open JSON object: the operation, without its participants, sessions and calls.
 * `aborted` is what journal_aborted says; ages count up to now_ms. */
void wire_operation(struct buf *b, const struct op *op, bool aborted, const struct wire_source *from, int64_t now_ms);

/* What was judged of somebody; all NULL and age_ms -1 where nobody looked. */
struct wire_life {
	const char *liveness, *mode, *evidence;
	int64_t age_ms;
};

/* A participant, as an object of an array; and the array of all, without a judgement. */
void wire_person(struct buf *b, const struct op *op, const struct op_person *p, const struct wire_life *life, const struct wire_source *from);
void wire_people(struct buf *b, const struct op *op, const struct wire_source *from);

/* The array of the sessions. */
void wire_sessions(struct buf *b, const struct op *op);

/* Members: whether somebody died, and who first. */
void wire_crash(struct buf *b, const struct op *op, const struct wire_source *from);

/* The reason of the abort in force as member `name`, null where there is none. */
void wire_abort_reason(struct buf *b, const char *name, const struct op *op, bool aborted, const struct wire_source *from);

/* One call, as an object of an array; `life` is of a held one, else NULL. */
void wire_call(struct buf *b, const struct op *op, const struct op_call *call, const struct wire_life *life,
	const struct wire_source *from, int64_t now_ms);

/* A temp resource, as an object of an array; and the array of those that are registered, with `all` also of those that are
 * no more. */
void wire_resource(struct buf *b, const struct op *op, const struct op_resource *r, const struct wire_source *from, int64_t now_ms);
void wire_resources(struct buf *b, const struct op *op, bool all, const struct wire_source *from, int64_t now_ms);

/* An entry for people, one line: time, level, who, what.  Used for operation.log. */
void wire_log_line(struct buf *b, const struct entry *e);

/* What an entry says, without time and author: "started call_x_1_ab12 (compress a.txt)". */
void wire_sentence(struct buf *b, const struct entry *e);

#endif
