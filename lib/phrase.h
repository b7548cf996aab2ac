/* phrase: pieces of the sentences and lists by which an answer of /operation/why is told.
 *
 * Texts are added as the answer has them; phrase_line and phrase_cell make them harmless. */
#ifndef DPL_PHRASE_H
#define DPL_PHRASE_H

#include "picture.h"

enum { PHRASE_FEW = 4, PHRASE_NAMED = 8 }; /* rows of a list: of what went wrong, of what is left to do */

/* Members of the answer: a value, a whole number or -1, a time in ms or -1, whether it is this text. */
int phrase_member(const struct picture *p, int object, const char *name);
int64_t phrase_number(const struct picture *p, int object, const char *name);
int64_t phrase_time(const struct picture *p, int object, const char *name);
bool phrase_is(const struct picture *p, int object, const char *name, const char *value);

/* Of the list NAME: how many there are, and the first that was listed, -1. */
int64_t phrase_count(const struct picture *p, const char *name);
int phrase_first(const struct picture *p, const char *name);

/* Add BEFORE and a text member; nothing, and false, where that is absent or empty. */
bool phrase_text(const struct picture *p, struct buf *out, const char *before, int object, const char *name);

/* The same, cut where it is longer than a line or two; and the description of a call, in brackets. */
void phrase_short(const struct picture *p, struct buf *out, const char *before, int object, const char *name);
void phrase_about(const struct picture *p, struct buf *out, int object);

/* Add when an entry was: "2026-11-22T14:30:45.123Z, 3.2 s after the start"; whom it is about: "call build of worker" or "worker";
 * how much memory a call took; how a call ended, and what is known of who did that. */
void phrase_when(const struct picture *p, struct buf *out, int object);
void phrase_victim(const struct picture *p, struct buf *out, int object);
void phrase_memory(const struct picture *p, struct buf *out, int object);
void phrase_how(const struct picture *p, struct buf *out, int object);

/* Write a line with its label, nothing where the text is empty, and empty it for the next. */
void phrase_line(const struct picture *p, const char *label, enum colour colour, struct buf *text);

/* Write a list as rows, at most `most`, and how many more there are.  A row is made of phrase_cell, which empties `text`. */
typedef void phrase_row(const struct picture *p, struct render_table *t, int k, struct buf *text);
void phrase_cell(struct render_table *t, enum colour colour, struct buf *text);
void phrase_rows(const struct picture *p, const char *name, int columns, int most, phrase_row *row);

/* "3 calls" with `more` behind a label, then a row for each; nothing where there are none. */
void phrase_calls(const struct picture *p, const char *name, const char *label, enum colour colour, const char *more);

#endif
