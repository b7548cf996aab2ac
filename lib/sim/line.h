/* line: one of a scenario's file, word by word — and what is wrong with it, as FILE:LINE: what was expected. */
#ifndef DPL_LINE_H
#define DPL_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

enum { LINE_WORDS = 16 };

struct line {
	const char *file;        /* what it is called in messages */
	int number;              /* from 1; 0: it is about the whole file */
	int indent;              /* of columns, a tab being eight */
	char room[4096];         /* the words, each with a NUL */
	char *word[LINE_WORDS];
	int n, at;               /* how many, and which is read next */
	uint32_t taken;          /* bits: the words that line_take took */
	const char *twice;       /* one that it took twice, NULL */
	uint64_t random;         /* the seed, and then the state, of what is drawn from ranges */
	struct why *why;         /* where it is said what is wrong */
};

/* Split the n bytes of the next line into words: between blanks, or in single quotes; from # on it is a comment.  The file, number, seed and why are the caller's.  0; -1 with why. */
int line_split(struct line *l, const char *p, size_t n);

/* Say what is wrong with it; -1. */
int line_fail(struct line *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The next word, for what is meant ("a participant"), until the next line is split; NULL where there is none, which has been said. */
const char *line_want(struct line *l, const char *meaning);

/* Whether this word comes next; then it is taken.  One that is taken twice in a line is a mistake, which line_end says. */
bool line_take(struct line *l, const char *word);

/* The next word as a duration in milliseconds, or as one that is drawn from a range: 2s..5s.  0; -1 with why. */
int line_duration(struct line *l, const char *meaning, int64_t *ms);

/* The next word as a text that is not empty, and, with its NUL, fits in so many bytes; as a name of letters, digits, _ and -.  0; -1 with why. */
int line_text(struct line *l, const char *meaning, char *to, size_t size);
int line_name(struct line *l, const char *meaning, char *to, size_t size);

/* That there is no more.  0; -1 with why. */
int line_end(struct line *l);

#endif
