/* http: reading HTTP/1.1 requests (RFC 9112, RFC 9110), strictly. */
#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "http.h"
#include "num.h"
#include "text.h"

static int
refuse(struct http_fault *fault, int status, const char *text)
{
	*fault = (struct http_fault){status, text};
	return -1;
}

/* --- bytes and texts; nothing here sets a locale --- */

static bool
is_token(unsigned char c)
{
	return isalnum(c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* What the value of a header may hold; bytes above 0x7f may mean anything. */
static bool
is_value(unsigned char c)
{
	return c == '\t' || (c >= ' ' && c != 0x7f);
}

static int
hex_digit(unsigned char c)
{
	return isdigit(c) ? c - '0' : isxdigit(c) ? tolower(c) - 'a' + 10 : -1;
}

static bool
same(struct http_text a, struct http_text b)
{
	return a.n == b.n && strncasecmp(a.p, b.p, a.n) == 0;
}

static bool
is(struct http_text a, const char *s)
{
	return same(a, (struct http_text){s, strlen(s)});
}

static struct http_text
trim(struct http_text t)
{
	for (; t.n && isblank((unsigned char)t.p[0]); t.p++)
		t.n--;
	while (t.n && isblank((unsigned char)t.p[t.n - 1]))
		t.n--;
	return t;
}

/* Cut what stands before the first `mark` off *rest, all of it where there is none: *rest is NULL then. */
static struct http_text
cut(struct http_text *rest, char mark)
{
	struct http_text part = *rest;
	const char *at = part.n ? memchr(part.p, mark, part.n) : NULL;
	if (at) {
		part.n = (size_t)(at - part.p);
		*rest = (struct http_text){at + 1, rest->n - part.n - 1};
	} else {
		*rest = (struct http_text){0};
	}
	return part;
}

/* --- the request line --- */

/* The bytes from `i` to `n` are still to be read.  Whoever reads them answers as http_parse_head does: 1, 0, -1. */
struct scan {
	const char *p;
	size_t n;
	size_t i;
	struct http_fault *fault;
};

/* Read the bytes of `one`, each of which may be that of `other` as well.  Digits are those of the version only. */
static int
literal(struct scan *s, const char *one, const char *other, const char *complaint)
{
	for (; *one; one++, other++, s->i++) {
		if (s->i == s->n)
			return 0;
		char c = s->p[s->i];
		if (c != *one && c != *other && isdigit((unsigned char)*one) && isdigit((unsigned char)c))
			return refuse(s->fault, 505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
		if (c != *one && c != *other)
			return refuse(s->fault, 400, complaint);
	}
	return 1;
}

/* Methods, unlike most else, are told apart by case. */
static bool
is_method(const struct http_head *h, const char *name)
{
	return h->method.n == strlen(name) && memcmp(h->method.p, name, h->method.n) == 0;
}

/* The method and the blank behind it. */
static int
read_method(struct scan *s, struct http_head *h)
{
	h->method.p = s->p + s->i;
	for (; s->i < s->n; h->method.n++) {
		unsigned char c = (unsigned char)s->p[s->i++];
		if (c == ' ' && h->method.n)
			return is_method(h, "CONNECT") ? refuse(s->fault, 501, "CONNECT is for proxies") : 1;
		if (!is_token(c))
			return refuse(s->fault, 400, "this does not begin as a request of HTTP/1.1 does");
		if (h->method.n == HTTP_METHOD_MAX)
			return refuse(s->fault, 501, "the method is too long");
	}
	return 0;
}

/* An address in brackets (RFC 3986 3.2.2, no zones, no futures): its length, or 0. */
static size_t
ipv6_length(struct http_text t)
{
	char address[INET6_ADDRSTRLEN];
	struct in6_addr binary;
	const char *end = memchr(t.p, ']', t.n);
	size_t n = end ? (size_t)(end - t.p) : 0;
	if (n < 2 || n > sizeof address)
		return 0;
	memcpy(address, t.p + 1, n - 1);
	address[n - 1] = '\0';
	return inet_pton(AF_INET6, address, &binary) == 1 ? n + 1 : 0;
}

/* The name of a host or an IPv4 address, neither of which has a colon: its length, or 0. */
static size_t
name_length(struct http_text t)
{
	size_t n = 0;
	for (; n < t.n && t.p[n] != ':'; n++) {
		unsigned char c = (unsigned char)t.p[n];
		bool escape = c == '%' && t.n - n > 2 && hex_digit((unsigned char)t.p[n + 1]) >= 0 &&
			hex_digit((unsigned char)t.p[n + 2]) >= 0;
		if (!escape && !isalnum(c) && (!c || !strchr("-._~!$&'()*+,;=", c)))
			return 0;
	}
	return n;
}

static bool
is_host(struct http_text t)
{
	size_t n = !t.n ? 0 : t.p[0] == '[' ? ipv6_length(t) : name_length(t);
	int64_t port;
	return n && (n == t.n || (t.p[n] == ':' && num_int(t.p + n + 1, t.n - n - 1, 1, 65535, &port) == 0));
}

/* http://host:port, as far as the slash behind it. */
static int
read_authority(struct scan *s, struct http_head *h)
{
	static const char complaint[] = "the target is neither a path nor a URL of http";
	int got = literal(s, "http", "HTTP", complaint);
	if (got > 0 && s->i < s->n && (s->p[s->i] == 's' || s->p[s->i] == 'S'))
		s->i++;
	if (got <= 0 || (got = literal(s, "://", "://", complaint)) <= 0)
		return got;
	h->host.p = s->p + s->i;
	for (; s->i < s->n; s->i++, h->host.n++) {
		unsigned char c = (unsigned char)s->p[s->i];
		if (c == '/')
			return is_host(h->host) ? 1 : refuse(s->fault, 400, "the host of the target is malformed");
		if (c <= ' ' || c >= 0x7f || strchr("?#@", c))
			return refuse(s->fault, 400, "the target has no path, or a byte that no host may hold");
	}
	return 0;
}

/* A path and a query, from the slash that stands there to the blank behind them.  A second slash at once would make of
 * the path what some take for a host. */
static int
read_path(struct scan *s, struct http_head *h)
{
	size_t from = s->i++;
	for (; s->i < s->n; s->i++) {
		unsigned char c = (unsigned char)s->p[s->i];
		if (c == ' ') {
			h->query = (struct http_text){s->p + from, s->i - from};
			h->path = cut(&h->query, '?');
			return 1;
		}
		if (c < ' ' || c >= 0x7f || c == '#')
			return refuse(s->fault, 400, "the target holds a byte that must be escaped");
	}
	return 0;
}

/* The target and the blank behind it. */
static int
read_target(struct scan *s, struct http_head *h)
{
	size_t from = s->i;
	int got = 1;
	if (s->i == s->n)
		return 0;
	char first = s->p[s->i];
	if (first == '*' && is_method(h, "OPTIONS"))
		h->path = (struct http_text){s->p + s->i++, 1};
	else if (first == '/' || ((first == 'h' || first == 'H') && (got = read_authority(s, h)) > 0))
		got = read_path(s, h);
	else if (got > 0)
		return refuse(s->fault, 400, "the target is neither a path nor a URL of http");
	if (got <= 0)
		return got;
	h->target = (struct http_text){s->p + from, s->i - from};
	return literal(s, " ", " ", "the target * has something behind it");
}

/* The version and the CR behind it. */
static int
read_version(struct scan *s, struct http_head *h)
{
	int got = literal(s, "HTTP/1.1\r", "HTTP/1.0\r", "the request line does not end as HTTP/1.1 wants it");
	if (got > 0)
		h->minor = s->p[s->i - 2] - '0';
	return got;
}

/* An empty line before it, and all of the request line but its LF. */
static int
read_request_line(struct scan *s, struct http_head *h)
{
	int got;
	if (s->n && s->p[0] == '\r' && (got = literal(s, "\r\n", "\r\n", "a line ends in a bare CR")) <= 0)
		return got;
	size_t all = s->n, last = s->i + HTTP_LINE_MAX;
	if (s->n > last)
		s->n = last + 1;
	if ((got = read_method(s, h)) > 0 && (got = read_target(s, h)) > 0)
		got = read_version(s, h);
	s->n = all;
	return got == 0 && all > last ? refuse(s->fault, 414, "the request line is too long") : got;
}

/* --- headers and trailers --- */

/* Where in a section of fields the last byte has led. */
enum { FIELD_START, FIELD_NAME, FIELD_VALUE, FIELD_CR, FIELD_LAST_CR, FIELD_END, FIELD_BAD };

/* One more byte: 0, or -1 with `fault`. */
static int
field_step(int *state, unsigned char c, struct http_fault *fault)
{
	static const char *const complaints[] = {
		[FIELD_START] = "a header has no name, or is folded",
		[FIELD_NAME] = "the name of a header holds a blank or another byte that it must not",
		[FIELD_VALUE] = "a header holds a control character, or ends in a bare LF",
		[FIELD_CR] = "a CR stands without its LF",
		[FIELD_LAST_CR] = "a CR stands without its LF",
	};
	int next = FIELD_BAD;
	switch (*state) {
	case FIELD_START: next = c == '\r' ? FIELD_LAST_CR : is_token(c) ? FIELD_NAME : FIELD_BAD; break;
	case FIELD_NAME: next = c == ':' ? FIELD_VALUE : is_token(c) ? FIELD_NAME : FIELD_BAD; break;
	case FIELD_VALUE: next = c == '\r' ? FIELD_CR : is_value(c) ? FIELD_VALUE : FIELD_BAD; break;
	case FIELD_CR: next = c == '\n' ? FIELD_START : FIELD_BAD; break;
	case FIELD_LAST_CR: next = c == '\n' ? FIELD_END : FIELD_BAD; break;
	}
	if (next == FIELD_BAD)
		return refuse(fault, 400, complaints[*state]);
	*state = next;
	return 0;
}

static int
take_host(struct http_head *h, struct http_text value, struct http_fault *fault)
{
	int count;
	(void)http_field(h, "host", &count);
	if (count > 1)
		return refuse(fault, 400, "there are two headers Host");
	if (!is_host(value))
		return refuse(fault, 400, "the header Host is malformed");
	if (h->host.p && !same(h->host, value))
		return refuse(fault, 400, "the header Host names another host than the target does");
	h->host = value;
	return 0;
}

static int
take_content_length(struct http_head *h, struct http_text value, struct http_fault *fault)
{
	int64_t length;
	if (h->framing != HTTP_NO_BODY)
		return refuse(fault, 400, "the length of the body is given twice");
	if (num_int(value.p, value.n, 0, HTTP_LENGTH_MAX, &length) < 0)
		return refuse(fault, 400, "the header Content-Length is no number");
	h->framing = HTTP_LENGTH;
	h->length = (uint64_t)length;
	return 0;
}

/* "identity" was a coding once: before another it is an attempt to be read in two ways. */
static int
take_transfer_encoding(struct http_head *h, struct http_text value, struct http_fault *fault)
{
	if (h->framing != HTTP_NO_BODY)
		return refuse(fault, 400, "the length of the body is given twice");
	if (h->minor == 0)
		return refuse(fault, 400, "HTTP/1.0 has no Transfer-Encoding");
	if (is(value, "chunked")) {
		h->framing = HTTP_CHUNKED;
		return 0;
	}
	struct http_text first = {value.p, 0};
	while (first.n < value.n && is_token((unsigned char)value.p[first.n]))
		first.n++;
	bool alone = first.n == value.n, apart = alone || strchr(",; \t", value.p[first.n]);
	if (first.n && apart && !is(first, "chunked") && (alone || !is(first, "identity")))
		return refuse(fault, 501, "the only Transfer-Encoding that is known here is chunked");
	return refuse(fault, 400, "the header Transfer-Encoding is not just chunked");
}

/* The header that was read last.  HTTP/1.0 has no 100 Continue: who speaks it would take that for the reply (RFC 9110
 * 10.1.1). */
static int
take_field(struct http_head *h, struct http_fault *fault)
{
	struct http_text name = h->fields[h->n - 1].name, value = h->fields[h->n - 1].value;
	if (is(name, "host"))
		return take_host(h, value, fault);
	if (is(name, "content-length"))
		return take_content_length(h, value, fault);
	if (is(name, "transfer-encoding"))
		return take_transfer_encoding(h, value, fault);
	if (is(name, "content-encoding") && !is(value, "identity"))
		return refuse(fault, 415, "bodies are taken without a Content-Encoding only");
	if (is(name, "expect") && !is(value, "100-continue"))
		return refuse(fault, 417, "nothing but 100-continue can be expected");
	if (is(name, "expect"))
		h->expects_continue = h->minor == 1;
	return 0;
}

/* From the LF of the request line to that of the empty line. */
static int
read_fields(struct scan *s, struct http_head *h)
{
	size_t from = s->i;
	for (int state = FIELD_CR; s->i < s->n;) {
		int before = state;
		size_t at = s->i++;
		if (field_step(&state, (unsigned char)s->p[at], s->fault) < 0)
			return -1;
		if (state == FIELD_END)
			return 1;
		if (state == before)
			continue;
		struct http_text part = {s->p + from, at - from};
		switch (state) {
		case FIELD_NAME:
			if (h->n == HTTP_FIELDS_MAX)
				return refuse(s->fault, 431, "there are too many headers");
			from = at;
			break;
		case FIELD_VALUE:
			h->fields[h->n].name = part;
			from = s->i;
			break;
		case FIELD_CR:
			h->fields[h->n++].value = trim(part);
			if (take_field(h, s->fault) < 0)
				return -1;
			break;
		}
	}
	return 0;
}

/* Whether a header Connection lists `option`: there may be several of them, and each is a list. */
static bool
has_option(const struct http_head *h, const char *option)
{
	for (int i = 0; i < h->n; i++) {
		struct http_text rest = h->fields[i].value;
		while (is(h->fields[i].name, "connection") && rest.p)
			if (is(trim(cut(&rest, ',')), option))
				return true;
	}
	return false;
}

/* What only the whole head can say. */
static int
finish_head(struct http_head *h, struct http_fault *fault)
{
	int count;
	(void)http_field(h, "host", &count);
	if (!count && h->minor == 1)
		return refuse(fault, 400, "there is no header Host");
	h->keep_alive = !has_option(h, "close") && (h->minor == 1 || has_option(h, "keep-alive"));
	if (h->framing == HTTP_NO_BODY || (h->framing == HTTP_LENGTH && h->length == 0))
		h->expects_continue = false;
	return 1;
}

int
http_parse_head(const char *p, size_t n, struct http_head *h, size_t *used, struct http_fault *fault)
{
	*h = (struct http_head){0};
	struct scan s = {.p = p, .n = n < HTTP_HEAD_MAX ? n : HTTP_HEAD_MAX, .fault = fault};
	int got = read_request_line(&s, h);
	if (got > 0)
		got = read_fields(&s, h);
	if (got == 0 && n >= HTTP_HEAD_MAX)
		return refuse(fault, 431, "the head of the request is too long");
	*used = s.i;
	return got > 0 ? finish_head(h, fault) : got;
}

struct http_text
http_field(const struct http_head *h, const char *name, int *count)
{
	struct http_text first = {0};
	int found = 0;
	for (int i = 0; i < h->n; i++)
		if (is(h->fields[i].name, name) && found++ == 0)
			first = h->fields[i].value;
	if (count)
		*count = found;
	return first;
}

/* --- bodies in chunks --- */

enum { CHUNK_SIZE, CHUNK_EXTENSION, CHUNK_SIZE_LF, CHUNK_DATA, CHUNK_CR, CHUNK_LF, CHUNK_TRAILER, CHUNK_END };

/* A byte that is not of the body itself. */
static int
chunk_step(struct http_chunks *c, unsigned char byte, size_t max, struct http_fault *fault)
{
	int digit = hex_digit(byte);
	switch (c->state) {
	case CHUNK_SIZE:
		if (digit >= 0 && c->digits++ < 8) {
			c->left = c->left * 16 + (uint64_t)digit;
			return c->left + c->total > max ? refuse(fault, 413, "the body is too large") : 0;
		}
		if (!c->digits || (byte != ';' && byte != '\r'))
			return refuse(fault, 400, "the size of a chunk is malformed");
		/* fall through */
	case CHUNK_EXTENSION:
		c->state = byte == '\r' ? CHUNK_SIZE_LF : CHUNK_EXTENSION;
		if (byte != '\r' && (!is_value(byte) || ++c->extension > HTTP_EXTENSION_MAX))
			return refuse(fault, 400, "the extensions of chunks are malformed, or too long");
		return 0;
	case CHUNK_TRAILER:
		if (++c->trailer > HTTP_TRAILER_MAX)
			return refuse(fault, 431, "the trailers are too long");
		if (field_step(&c->field, byte, fault) < 0)
			return -1;
		c->state = c->field == FIELD_END ? CHUNK_END : CHUNK_TRAILER;
		return 0;
	default: /* CRLF, around what the chunk holds */
		if (byte != (c->state == CHUNK_CR ? '\r' : '\n'))
			return refuse(fault, 400, "a chunk does not end where it must, or a CR stands without its LF");
		if (c->state == CHUNK_SIZE_LF)
			c->state = c->left ? CHUNK_DATA : CHUNK_TRAILER;
		else
			c->state = c->state == CHUNK_CR ? CHUNK_LF : CHUNK_SIZE;
		c->digits = 0;
		return 0;
	}
}

int
http_unchunk(struct http_chunks *c, const char *in, size_t n, size_t *taken, struct buf *out, size_t max,
	struct http_fault *fault)
{
	for (*taken = 0; *taken < n && c->state != CHUNK_END;) {
		if (c->state != CHUNK_DATA) {
			if (chunk_step(c, (unsigned char)in[*taken], max, fault) < 0)
				return -1;
			++*taken;
			continue;
		}
		size_t more = n - *taken < c->left ? n - *taken : (size_t)c->left;
		buf_add(out, in + *taken, more);
		*taken += more;
		c->total += more;
		c->left -= more;
		if (!c->left)
			c->state = CHUNK_CR;
	}
	return c->state == CHUNK_END;
}

/* --- queries --- */

/* The next byte of a part of a query, or -1 where its escape is malformed.  *in is what follows. */
static int
next_byte(struct http_text *in)
{
	int byte = (unsigned char)in->p[0], n = 1;
	if (byte == '%') {
		int high = in->n > 2 ? hex_digit((unsigned char)in->p[1]) : -1;
		int low = in->n > 2 ? hex_digit((unsigned char)in->p[2]) : -1;
		if (high < 0 || low < 0)
			return -1;
		byte = high * 16 + low;
		n = 3;
	} else if (byte == '+') {
		byte = ' ';
	}
	*in = (struct http_text){in->p + n, in->n - (size_t)n};
	return byte;
}

int
http_unescape(struct http_text in, char *out, size_t size)
{
	size_t n = 0;
	while (in.n) {
		int byte = next_byte(&in);
		if (byte <= 0 || n + 1 >= size)
			return -1;
		out[n++] = (char)byte;
	}
	if (!size || !text_valid(out, n))
		return -1;
	out[n] = '\0';
	return (int)n;
}
