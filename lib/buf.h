/* buf: a growable byte string.
 *
 * A struct buf starts as {0}, owns its memory, and is given back with buf_free.  Adding never
 * reports an error by itself: when memory runs out the buffer is marked `failed`, keeps what it
 * had, and ignores what follows, so that a caller checks once, at the end.  `p` is always
 * NUL-terminated once something was added; the NUL is not counted in `n`. */
#ifndef DPL_BUF_H
#define DPL_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	char *p;     /* the bytes, NULL while empty */
	size_t n;    /* how many */
	size_t cap;
	bool failed; /* memory ran out: the content is not complete */
};

/* Make room for `more` further bytes (and a NUL).  0, or -1 with `failed` set. */
int buf_reserve(struct buf *b, size_t more);

void buf_add(struct buf *b, const void *bytes, size_t n);
void buf_str(struct buf *b, const char *s);
/* Add a decimal number. */
void buf_int(struct buf *b, int64_t value);
/* Add formatted text, as printf does. */
void buf_fmt(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static inline void
buf_char(struct buf *b, char c)
{
	if (!b->failed && b->cap - b->n > 1) {
		b->p[b->n++] = c;
		b->p[b->n] = '\0';
	} else {
		buf_add(b, &c, 1);
	}
}

/* Empty it and keep the memory for the next use. */
void buf_clear(struct buf *b);
/* Give the memory back; the buffer is {0} again. */
void buf_free(struct buf *b);

#endif
