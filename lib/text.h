/* text: UTF-8, and showing text that came from anywhere.
 *
 * Names and messages come from scripts, agents and other machines; none of them may move a
 * cursor, forge a line or turn the writing direction of an operator's terminal. */
#ifndef DPL_TEXT_H
#define DPL_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

/* Decode one character from the `n` > 0 bytes at `p` (RFC 3629: no overlong form, no surrogate,
 * at most U+10FFFF).  Returns its length in bytes, 0 where it is not UTF-8. */
size_t text_decode(const char *p, size_t n, uint32_t *code);

/* Write `code` as UTF-8 to `out`, return its length (1 to 4). */
size_t text_encode(uint32_t code, char out[4]);

/* Whether all `n` bytes are UTF-8. */
bool text_valid(const char *p, size_t n);

/* Add the text with every byte that is not UTF-8, and every NUL, as U+FFFD. */
void text_repair(struct buf *b, const char *p, size_t n);

/* Whether a character must not reach a terminal as it is: control characters, and those that
 * are invisible or turn the writing direction. */
bool text_unsafe(uint32_t code);

/* Add the text for a person's eyes: what is unsafe becomes `\n`, `\t`, `\x1b`, `\u202e`; a
 * backslash stays as it is. */
void text_show(struct buf *b, const char *p, size_t n);

/* How many columns text_show's result takes, counting a character as one column. */
size_t text_columns(const char *p, size_t n);

/* Add what text_show gave, at most so many columns of it: where it is cut the last one is "…". */
void text_cut(struct buf *b, const char *p, size_t n, size_t columns);

/* Add the text as one word of a shell: 'it'\''s'. */
void text_quote(struct buf *b, const char *s);

#endif
