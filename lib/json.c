/* json: reading by a cursor over jsmn's tokens, and writing. */
#define JSMN_STATIC
#define JSMN_PARENT_LINKS
#define JSMN_STRICT
#include <jsmn.h>

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "json.h"
#include "num.h"
#include "text.h"

/* --- the strict check.  Each takes the place to look at, returns the place behind it or NULL. --- */

/* Bytes that may stand in a string as they are: printable ASCII but for `"` and `\`. */
static bool
plain(unsigned char c)
{
	return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

static int
hex4(const char *p)
{
	int v = 0;
	for (int i = 0; i < 4; i++) {
		char c = p[i];
		int d = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
		if (d < 0)
			return -1;
		v = v << 4 | d;
	}
	return v;
}

static const char *
check_escape(const char *p, const char *end)
{
	if (end - p < 2)
		return NULL;
	if (p[1] != 'u')
		return memchr("\"\\/bfnrt", p[1], 8) ? p + 2 : NULL;
	int v = end - p < 6 ? -1 : hex4(p + 2);
	if (v < 0 || (v >= 0xdc00 && v <= 0xdfff))
		return NULL;
	if (v < 0xd800 || v > 0xdbff)
		return p + 6;
	if (end - p < 12 || p[6] != '\\' || p[7] != 'u')
		return NULL;
	int low = hex4(p + 8);
	return low >= 0xdc00 && low <= 0xdfff ? p + 12 : NULL;
}

/* How many of the eight bytes at `p` are plain, from the first on.  In a word, a byte's high bit is set where it
 * is below 0x20, or equal to what it was compared with; a borrow can spoil only bytes behind the
 * first such one (S. E. Anderson, "Bit Twiddling Hacks": "Determine if a word has a byte less than
 * n", "… a zero byte"). */
static inline unsigned
plain_of_eight(const char *p, bool del)
{
	const uint64_t one = UINT64_C(0x0101010101010101), high = one * 0x80;
	uint64_t word, quote, back, found;
	memcpy(&word, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	word = __builtin_bswap64(word);
#endif
	quote = word ^ one * '"';
	back = word ^ one * '\\';
	found = word | (word - one * 0x20) | (quote - one) | (back - one);
	if (del) /* which is plain to a reader, and escaped by us */
		found |= (word ^ one * 0x7f) - one;
	found &= high;
	return found ? (unsigned)__builtin_ctzll(found) / 8 : 8;
}

const char *
json_check_string(const char *p, const char *end, bool *escapes)
{
	for (p++; p < end;) {
		unsigned run = 8;
		while (run == 8 && end - p >= 8)
			p += run = plain_of_eight(p, false);
		while (p < end && plain((unsigned char)*p))
			p++;
		if (p == end)
			return NULL;
		unsigned char c = (unsigned char)*p;
		if (c == '"') {
			return p + 1;
		} else if (c == '\\') {
			*escapes = true;
			if (!(p = check_escape(p, end)))
				return NULL;
		} else {
			uint32_t code;
			size_t n = c < 0x20 ? 0 : text_decode(p, (size_t)(end - p), &code);
			if (!n)
				return NULL;
			p += n;
		}
	}
	return NULL;
}

static const char *
check_digits(const char *p, const char *end)
{
	const char *first = p;
	while (p < end && *p >= '0' && *p <= '9')
		p++;
	return p > first ? p : NULL;
}

static const char *
check_number(const char *p, const char *end)
{
	if (*p == '-')
		p++;
	const char *first = p;
	if (!(p = check_digits(p, end)) || (*first == '0' && p - first > 1))
		return NULL;
	if (p < end && *p == '.' && !(p = check_digits(p + 1, end)))
		return NULL;
	if (p < end && (*p == 'e' || *p == 'E')) {
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		p = check_digits(p, end);
	}
	return p;
}

static const char *
blank(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
		p++;
	return p;
}

static const char *
check_word(const char *p, const char *end, const char *word)
{
	size_t n = strlen(word);
	return (size_t)(end - p) >= n && memcmp(p, word, n) == 0 ? p + n : NULL;
}

static const char *
check_value(const char *p, const char *end, int depth)
{
	bool escapes;
	p = blank(p, end);
	if (p == end)
		return NULL;
	switch (*p) {
	case '"':
		return json_check_string(p, end, &escapes);
	case 't':
		return check_word(p, end, "true");
	case 'f':
		return check_word(p, end, "false");
	case 'n':
		return check_word(p, end, "null");
	case '{':
	case '[':
		break;
	default:
		return check_number(p, end);
	}
	if (depth == JSON_DEPTH)
		return NULL;
	bool object = *p == '{';
	char close = object ? '}' : ']';
	p = blank(p + 1, end);
	if (p < end && *p == close)
		return p + 1;
	for (;;) {
		if (object) {
			p = blank(p, end);
			if (p == end || *p != '"' || !(p = json_check_string(p, end, &escapes)))
				return NULL;
			p = blank(p, end);
			if (p == end || *p++ != ':')
				return NULL;
		}
		if (!(p = check_value(p, end, depth + 1)))
			return NULL;
		p = blank(p, end);
		if (p == end)
			return NULL;
		if (*p == close)
			return p + 1;
		if (*p++ != ',')
			return NULL;
	}
}

/* --- reading --- */

int
json_parse(struct json *j, const char *text, size_t n, struct why *why)
{
	j->text = text;
	j->tok = j->inline_tok;
	j->cap = JSON_INLINE;
	j->n = 0;
	const char *first = blank(text, text + n);
	const char *end = n < INT32_MAX ? check_value(text, text + n, 0) : NULL;
	/* A word or number alone is no request and no entry; jsmn takes it or not by what follows it. */
	if (!end || !memchr("{[\"", *first, 3) || blank(end, text + n) != text + n)
		return why_set(why, ERR_JSON, "Invalid JSON body");
	jsmn_parser parser;
	jsmn_init(&parser);
	/* jsmn goes on where it ran out of tokens, so a long text is read once. */
	while ((j->n = jsmn_parse(&parser, text, n, j->tok, (unsigned)j->cap)) == JSMN_ERROR_NOMEM) {
		size_t size = (size_t)j->cap * sizeof *j->tok;
		jsmntok_t *tok = j->tok == j->inline_tok ? malloc(size * 4) : realloc(j->tok, size * 4);
		if (!tok) {
			json_free(j);
			return why_set(why, ERR_IO, "out of memory");
		}
		if (j->tok == j->inline_tok)
			memcpy(tok, j->inline_tok, size);
		j->tok = tok;
		j->cap *= 4;
	}
	if (j->n < 1) {
		json_free(j);
		return why_set(why, ERR_JSON, "Invalid JSON body");
	}
	return 0;
}

void
json_free(struct json *j)
{
	if (j->tok != j->inline_tok)
		free(j->tok);
	j->tok = j->inline_tok;
	j->n = 0;
}

static bool
is(const struct json *j, int i, jsmntype_t type)
{
	return i >= 0 && i < j->n && j->tok[i].type == type;
}

bool
json_is_object(const struct json *j, int i)
{
	return is(j, i, JSMN_OBJECT);
}

bool
json_is_array(const struct json *j, int i)
{
	return is(j, i, JSMN_ARRAY);
}

bool
json_is_string(const struct json *j, int i)
{
	return is(j, i, JSMN_STRING);
}

bool
json_is_null(const struct json *j, int i)
{
	return is(j, i, JSMN_PRIMITIVE) && j->text[j->tok[i].start] == 'n';
}

int
json_first(const struct json *j, int i)
{
	return (json_is_object(j, i) || json_is_array(j, i)) && j->tok[i].size > 0 ? i + 1 : -1;
}

int
json_next(const struct json *j, int parent, int k)
{
	int i = json_is_object(j, parent) ? k + 1 : k;
	int end = j->tok[i].end;
	for (i++; i < j->n && j->tok[i].start < end; i++)
		;
	return i < j->n && j->tok[i].start < j->tok[parent].end ? i : -1;
}

static bool
named(const struct json *j, int k, const char *name, size_t n)
{
	const jsmntok_t *t = &j->tok[k];
	return (size_t)(t->end - t->start) == n && memcmp(j->text + t->start, name, n) == 0;
}

int
json_get(const struct json *j, int i, const char *name)
{
	if (!json_is_object(j, i))
		return -1;
	size_t n = strlen(name);
	for (int k = json_first(j, i); k >= 0; k = json_next(j, i, k))
		if (named(j, k, name, n))
			return k + 1;
	return -1;
}

/* Whether two names are the same, however they are spelt; without `escapes` in either that is easily seen. */
static bool
same_name(const struct json *j, int a, int b, bool escapes)
{
	size_t n, m;
	const char *p = json_raw(j, a, &n), *q = json_raw(j, b, &m);
	if (!escapes)
		return n == m && memcmp(p, q, n) == 0;
	struct buf x = {0}, y = {0};
	json_unescape(&x, p, n);
	json_unescape(&y, q, m);
	bool same = x.failed || y.failed || (x.n == y.n && (x.n == 0 || memcmp(x.p, y.p, x.n) == 0));
	buf_free(&x);
	buf_free(&y);
	return same;
}

int
json_no_duplicates(const struct json *j, struct why *why)
{
	for (int i = 0; i < j->n; i++) {
		if (!json_is_object(j, i))
			continue;
		if (j->tok[i].size > 1024)
			return why_set(why, ERR_TOO_LARGE, "an object has more than 1024 members");
		bool escapes = false;
		for (int k = json_first(j, i); k >= 0 && !escapes; k = json_next(j, i, k))
			escapes = memchr(j->text + j->tok[k].start, '\\', (size_t)(j->tok[k].end - j->tok[k].start)) != NULL;
		for (int k = json_first(j, i); k >= 0; k = json_next(j, i, k)) {
			for (int m = json_next(j, i, k); m >= 0; m = json_next(j, i, m))
				if (same_name(j, k, m, escapes))
					return why_set(why, ERR_JSON, "Invalid JSON body");
		}
	}
	return 0;
}

const char *
json_raw(const struct json *j, int i, size_t *n)
{
	if (i < 0 || i >= j->n) {
		*n = 0;
		return "";
	}
	*n = (size_t)(j->tok[i].end - j->tok[i].start);
	return j->text + j->tok[i].start;
}

void
json_unescape(struct buf *b, const char *raw, size_t n)
{
	const char *end = raw + n;
	while (raw < end) {
		const char *back = memchr(raw, '\\', (size_t)(end - raw));
		buf_add(b, raw, (size_t)((back ? back : end) - raw));
		if (!back)
			return;
		raw = back + 2;
		switch (back[1]) {
		case 'b': buf_char(b, '\b'); break;
		case 'f': buf_char(b, '\f'); break;
		case 'n': buf_char(b, '\n'); break;
		case 'r': buf_char(b, '\r'); break;
		case 't': buf_char(b, '\t'); break;
		case 'u': {
			uint32_t code = (uint32_t)hex4(raw);
			raw += 4;
			if (code >= 0xd800 && code <= 0xdbff) {
				code = 0x10000 + ((code - 0xd800) << 10) + ((uint32_t)hex4(raw + 2) - 0xdc00);
				raw += 6;
			}
			char utf8[4];
			buf_add(b, utf8, text_encode(code, utf8));
			break;
		}
		default: buf_char(b, back[1]); break;
		}
	}
}

int
json_string(const struct json *j, int i, struct buf *b)
{
	if (!json_is_string(j, i))
		return -1;
	size_t n;
	const char *raw = json_raw(j, i, &n);
	json_unescape(b, raw, n);
	return b->failed ? -1 : 0;
}

int
json_copy(const struct json *j, int i, char *out, size_t size)
{
	size_t n;
	const char *raw = json_raw(j, i, &n);
	if (!json_is_string(j, i))
		return -1;
	if (!memchr(raw, '\\', n)) {
		if (n >= size)
			return -1;
		memcpy(out, raw, n);
		out[n] = '\0';
		return 0;
	}
	struct buf b = {0};
	json_unescape(&b, raw, n);
	int rc = b.failed || b.n >= size || memchr(b.p, '\0', b.n) ? -1 : 0;
	if (rc == 0)
		memcpy(out, b.p, b.n + 1);
	buf_free(&b);
	return rc;
}

int
json_integer(const struct json *j, int i, int64_t min, int64_t max, int64_t *value)
{
	size_t n;
	const char *raw = json_raw(j, i, &n);
	if (!is(j, i, JSMN_PRIMITIVE))
		return -1;
	return num_int(raw, n, min, max, value);
}

int
json_boolean(const struct json *j, int i, bool *value)
{
	if (!is(j, i, JSMN_PRIMITIVE))
		return -1;
	char c = j->text[j->tok[i].start];
	if (c != 't' && c != 'f')
		return -1;
	*value = c == 't';
	return 0;
}

const char *
json_text(const struct json *j, int object, const char *name, struct buf *b)
{
	buf_clear(b);
	return json_string(j, json_get(j, object, name), b) == 0 && b->p ? b->p : "";
}

int64_t
json_number(const struct json *j, int object, const char *name)
{
	int64_t value;
	return json_integer(j, json_get(j, object, name), -JSON_INT_MAX, JSON_INT_MAX, &value) == 0 ? value : -1;
}

bool
json_true(const struct json *j, int object, const char *name)
{
	bool value;
	return json_boolean(j, json_get(j, object, name), &value) == 0 && value;
}

/* --- writing --- */

static void
begin(struct buf *b, const char *name)
{
	char last = b->n ? b->p[b->n - 1] : '\0';
	size_t n = name ? strlen(name) : 0;
	if (buf_reserve(b, n + 4) < 0)
		return;
	char *p = b->p + b->n;
	if (last && last != '{' && last != '[' && last != ':' && last != '\n')
		*p++ = ',';
	if (name) {
		*p++ = '"';
		while (n--)
			*p++ = *name++;
		*p++ = '"';
		*p++ = ':';
	}
	*p = '\0';
	b->n = (size_t)(p - b->p);
}

void
json_open(struct buf *b, const char *name, char bracket)
{
	begin(b, name);
	buf_char(b, bracket);
}

void
json_close(struct buf *b, char bracket)
{
	buf_char(b, bracket);
}

/* What is not plain and not to be escaped is UTF-8 of two bytes or more.  U+0080 to U+009F are
 * control characters too, and lead with 0xC2. */
static void
put_escaped(struct buf *b, const unsigned char *p, size_t *skip)
{
	*skip = 1;
	switch (*p) {
	case '"': buf_str(b, "\\\""); return;
	case '\\': buf_str(b, "\\\\"); return;
	case '\n': buf_str(b, "\\n"); return;
	case '\t': buf_str(b, "\\t"); return;
	case '\r': buf_str(b, "\\r"); return;
	default: break;
	}
	static const char hex[] = "0123456789abcdef";
	unsigned c = *p;
	if (c == 0xc2 && p[1] < 0xa0) {
		*skip = 2;
		c = p[1];
	}
	if (c < 0x20 || c == 0x7f || *skip == 2) {
		char text[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
		buf_add(b, text, 6);
	} else {
		buf_char(b, (char)c);
	}
}

void
json_put_n(struct buf *b, const char *name, const char *s, size_t n)
{
	begin(b, name);
	buf_char(b, '"');
	const unsigned char *p = (const unsigned char *)s, *end = p + n;
	while (p < end) {
		const unsigned char *run = p;
		unsigned eight = 8;
		while (eight == 8 && end - p >= 8)
			p += eight = plain_of_eight((const char *)p, true);
		while (p < end && ((plain(*p) && *p != 0x7f) || *p >= 0xc3 || (*p >= 0x80 && *p < 0xc2)))
			p++;
		buf_add(b, run, (size_t)(p - run));
		if (p < end) {
			size_t skip;
			put_escaped(b, p, &skip);
			p += skip;
		}
	}
	buf_char(b, '"');
}

void
json_put(struct buf *b, const char *name, const char *s)
{
	if (s)
		json_put_n(b, name, s, strlen(s));
	else
		json_put_raw(b, name, "null", 4);
}

void
json_put_message(struct buf *b, const char *name, const char *s)
{
	struct buf shown = {0};
	size_t n = strlen(s);
	bool valid = text_valid(s, n);
	if (!valid)
		text_show(&shown, s, n);
	json_put(b, name, valid ? s : shown.p ? shown.p : "?");
	buf_free(&shown);
}

void
json_put_int(struct buf *b, const char *name, int64_t value)
{
	begin(b, name);
	buf_int(b, value);
}

void
json_put_bool(struct buf *b, const char *name, bool value)
{
	json_put_raw(b, name, value ? "true" : "false", value ? 4 : 5);
}

void
json_put_time(struct buf *b, const char *name, int64_t ms)
{
	char text[CLOCK_TEXT];
	if (ms < 0) {
		json_put_raw(b, name, "null", 4);
		return;
	}
	clock_format(ms, text);
	json_put_n(b, name, text, strlen(text));
}

void
json_put_raw(struct buf *b, const char *name, const char *raw, size_t n)
{
	begin(b, name);
	buf_add(b, raw, n);
}
