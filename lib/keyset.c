/* keyset: a set of 64-bit sums. */
#include <stdlib.h>

#include "keyset.h"

enum { LEAST = 64 };

/* Where it stands, or the free place where it would. */
static size_t
place(const struct keyset *s, uint64_t sum)
{
	size_t i = (size_t)sum & (s->cap - 1);
	while (s->of[i] && s->of[i] != sum)
		i = (i + 1) & (s->cap - 1);
	return i;
}

/* 0 marks a free place. */
static uint64_t
not_zero(uint64_t sum)
{
	return sum ? sum : 1;
}

static bool
grow(struct keyset *s)
{
	struct keyset more = {.cap = s->cap ? 2 * s->cap : LEAST, .n = s->n};
	if (!(more.of = calloc(more.cap, sizeof *more.of))) {
		s->failed = true;
		return false;
	}
	for (size_t i = 0; i < s->cap; i++)
		if (s->of[i])
			more.of[place(&more, s->of[i])] = s->of[i];
	free(s->of);
	*s = more;
	return true;
}

void
keyset_add(struct keyset *s, uint64_t sum)
{
	sum = not_zero(sum);
	if (s->failed || (2 * (s->n + 1) > s->cap && !grow(s)))
		return;
	size_t i = place(s, sum);
	s->n += !s->of[i];
	s->of[i] = sum;
}

bool
keyset_may_have(const struct keyset *s, uint64_t sum)
{
	return s->failed || (s->cap && s->of[place(s, not_zero(sum))]);
}

void
keyset_free(struct keyset *s)
{
	free(s->of);
	*s = (struct keyset){0};
}
