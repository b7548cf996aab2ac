/* line: one of a scenario's file, word by word. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "buf.h"
#include "line.h"
#include "num.h"
#include "text.h"

int
line_fail(struct line *l, const char *fmt, ...)
{
	char text[400];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	struct buf whole = {0}; /* a word may be cut within a character */
	text_repair(&whole, text, strlen(text));
	int rc = l->number ? why_set(l->why, ERR_USAGE, "%s:%d: %s", l->file, l->number, whole.p ? whole.p : text) : why_set(l->why, ERR_USAGE, "%s: %s", l->file, whole.p ? whole.p : text);
	buf_free(&whole);
	return rc;
}

const char *
line_want(struct line *l, const char *meaning)
{
	if (l->at < l->n)
		return l->word[l->at++];
	(void)line_fail(l, l->at ? "%s is expected behind '%.60s'" : "%s is expected", meaning, l->at ? l->word[l->at - 1] : "");
	return NULL;
}

bool
line_take(struct line *l, const char *word)
{
	if (l->at >= l->n || strcmp(l->word[l->at], word) != 0)
		return false;
	for (int i = 0; i < l->at; i++)
		if (l->taken >> i & 1 && strcmp(l->word[i], word) == 0)
			l->twice = l->word[i];
	l->taken |= UINT32_C(1) << l->at++;
	return true;
}

int
line_split(struct line *l, const char *p, size_t n)
{
	size_t room = 0, i = 0;
	l->n = l->at = l->indent = 0;
	l->taken = 0;
	l->twice = NULL;
	if (n >= sizeof l->room)
		return line_fail(l, "the line is longer than %zu bytes", sizeof l->room - 1);
	if (!text_valid(p, n) || memchr(p, '\0', n))
		return line_fail(l, "the line is not UTF-8 text");
	for (; i < n && (p[i] == ' ' || p[i] == '\t'); i++)
		l->indent = p[i] == '\t' ? (l->indent / 8 + 1) * 8 : l->indent + 1;
	while (i < n) {
		if (p[i] == ' ' || p[i] == '\t' || p[i] == '\r') {
			i++;
			continue;
		}
		if (p[i] == '#')
			break;
		if (l->n == LINE_WORDS)
			return line_fail(l, "more than %d words; a text of several stands in 'quotes'", LINE_WORDS);
		l->word[l->n++] = l->room + room;
		if (p[i] == '\'') {
			for (i++; i < n && p[i] != '\''; i++)
				l->room[room++] = p[i];
			if (i++ == n)
				return line_fail(l, "a quote is not closed");
		} else {
			while (i < n && p[i] != ' ' && p[i] != '\t' && p[i] != '\r')
				l->room[room++] = p[i++];
		}
		l->room[room++] = '\0';
	}
	return 0;
}

/* A number at random (splitmix64): whoever reads the same text with the same seed draws the same. */
static uint64_t
draw(struct line *l)
{
	uint64_t z = (l->random += UINT64_C(0x9e3779b97f4a7c15));
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

int
line_duration(struct line *l, const char *meaning, int64_t *ms)
{
	char least[40];
	const char *word = line_want(l, meaning), *dots = word ? strstr(word, "..") : NULL;
	int64_t most;
	if (!word)
		return -1;
	if (!dots)
		return num_duration(word, ms) == 0 ? 0 : line_fail(l, "%s is expected, as 2s, 500ms or 2s..5s, not '%.60s'", meaning, word);
	if ((size_t)(dots - word) >= sizeof least)
		return line_fail(l, "%s is expected, not '%.60s'", meaning, word);
	snprintf(least, sizeof least, "%.*s", (int)(dots - word), word);
	if (num_duration(least, ms) < 0 || num_duration(dots + 2, &most) < 0 || most < *ms)
		return line_fail(l, "%s is expected, as 2s..5s, not '%.60s'", meaning, word);
	*ms += (int64_t)(draw(l) % (uint64_t)(most - *ms + 1));
	return 0;
}

int
line_text(struct line *l, const char *meaning, char *to, size_t size)
{
	const char *word = line_want(l, meaning);
	if (!word)
		return -1;
	if (!*word || strlen(word) >= size)
		return line_fail(l, "%s is empty, or longer than %zu bytes", meaning, size - 1);
	snprintf(to, size, "%s", word);
	return 0;
}

int
line_name(struct line *l, const char *meaning, char *to, size_t size)
{
	const char *word = line_want(l, meaning);
	if (!word)
		return -1;
	size_t n = strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
	if (!n || word[n] || n >= size || *word == '-')
		return line_fail(l, "%s has up to %zu letters, digits, _ and -, not '%.60s'", meaning, size - 1, word);
	snprintf(to, size, "%s", word);
	return 0;
}

int
line_end(struct line *l)
{
	if (l->twice)
		return line_fail(l, "%s is said twice", l->twice);
	return l->at == l->n ? 0 : line_fail(l, "nothing is expected behind '%.60s', but there is '%.60s'", l->word[l->at - 1], l->word[l->at]);
}
