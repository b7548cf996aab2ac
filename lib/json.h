/* json: reading by a cursor over jsmn's tokens, and writing.
 *
 * Reading is strict RFC 8259: jsmn finds the tokens, and what it lets pass (a missing comma, a raw
 * control byte, bytes that are not UTF-8, "01", text after the end) is refused before.  Nesting
 * goes JSON_DEPTH deep, integers are within +-(2^53 - 1).  A value is an index into the tokens;
 * the root is 0, and -1 means "not there", which every function takes and answers in kind, so
 * that lookups chain without checks between them.
 *
 * Writing appends to a struct buf.  The commas are put by looking at what was written last. */
#ifndef DPL_JSON_H
#define DPL_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* With parent links jsmn is linear; without them a long flat array is quadratic. */
#ifndef JSMN_PARENT_LINKS
#define JSMN_PARENT_LINKS
#endif
#ifndef JSMN_STRICT
#define JSMN_STRICT
#endif
#ifndef JSMN_STATIC
#define JSMN_HEADER
#endif
#include <jsmn.h>

#include "buf.h"
#include "err.h"

enum { JSON_DEPTH = 32, JSON_INLINE = 32 };
#define JSON_INT_MAX ((INT64_C(1) << 53) - 1)

struct json {
	const char *text; /* not owned: must outlive the struct json */
	jsmntok_t *tok;
	int n;
	int cap;
	jsmntok_t inline_tok[JSON_INLINE]; /* enough for any entry; more come from the heap */
};

/* Parse `n` bytes: an object, an array or a string.  0, or -1 with `why` (ERR_JSON, or ERR_IO when memory ran out).  On success
 * json_free must follow; a struct json may be used again for another text after it. */
int json_parse(struct json *j, const char *text, size_t n, struct why *why);
void json_free(struct json *j);

/* The strict check of one string: `p` stands on its opening quote.  The place behind the closing one, or NULL
 * where it is not a string.  *escapes is set where it holds one. */
const char *json_check_string(const char *p, const char *end, bool *escapes);

/* Refuse an object anywhere that has one name twice, however it is spelt.  0 or -1 with `why`. */
int json_no_duplicates(const struct json *j, struct why *why);

bool json_is_object(const struct json *j, int i);
bool json_is_array(const struct json *j, int i);
bool json_is_string(const struct json *j, int i);
bool json_is_null(const struct json *j, int i);

/* The value of member `name` of object `i`, or -1.  Names are compared as they are written: one that is spelt with
 * escapes is another name. */
int json_get(const struct json *j, int i, const char *name);

/* Walk an object's names or an array's elements: for (k = json_first(j, i); k >= 0; k =
 * json_next(j, i, k)).  In an object k is the name and k + 1 its value. */
int json_first(const struct json *j, int i);
int json_next(const struct json *j, int parent, int k);

/* The raw text of value `i`, a string's without its quotes. */
const char *json_raw(const struct json *j, int i, size_t *n);

/* Add the decoded string to `b`.  0, or -1 where `i` is no string. */
int json_string(const struct json *j, int i, struct buf *b);
/* Decode it into out[size] with a NUL.  -1 also where it does not fit or holds a NUL. */
int json_copy(const struct json *j, int i, char *out, size_t size);
/* Decode raw text between quotes, which json_parse has accepted. */
void json_unescape(struct buf *b, const char *raw, size_t n);

/* An integer within [min, max] / a boolean.  0 or -1. */
int json_integer(const struct json *j, int i, int64_t min, int64_t max, int64_t *value);
int json_boolean(const struct json *j, int i, bool *value);

/* Members, for showing: the decoded text in `b`, "" where it is absent or no string; a whole number, or -1; whether
 * it is there and true. */
const char *json_text(const struct json *j, int object, const char *name, struct buf *b);
int64_t json_number(const struct json *j, int object, const char *name);
bool json_true(const struct json *j, int object, const char *name);

/* --- writing.  `name` is NULL in an array and at the root. --- */

void json_open(struct buf *b, const char *name, char bracket); /* '{' or '[' */
void json_close(struct buf *b, char bracket);                  /* '}' or ']' */
void json_put(struct buf *b, const char *name, const char *s); /* a string; NULL writes null */
void json_put_n(struct buf *b, const char *name, const char *s, size_t n);
/* A message, which may name what is no UTF-8 or be cut within a character: it is written as people are shown it then (text_show). */
void json_put_message(struct buf *b, const char *name, const char *s);
void json_put_int(struct buf *b, const char *name, int64_t value);
void json_put_bool(struct buf *b, const char *name, bool value);
void json_put_time(struct buf *b, const char *name, int64_t ms); /* RFC 3339; negative writes null */
/* A value that is JSON already. */
void json_put_raw(struct buf *b, const char *name, const char *raw, size_t n);

#endif
