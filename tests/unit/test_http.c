/* test_http - requests of HTTP/1.1, read strictly */
#include <ctype.h>

#include "buf.h"
#include "http.h"
#include "unit.h"

#define BYTES(s) {s, sizeof s - 1}
#define COUNT(a) (sizeof(a) / sizeof *(a))
#define HOST "Host: a.example\r\n"
#define GET "GET / HTTP/1.1\r\n"
#define POST "POST /call HTTP/1.1\r\n" HOST

struct bytes {
	const char *p;
	size_t n;
};

/* A fault has one of our statuses and a text that can be shown, which speaks of no way that bytes take. */
static void
check_fault(const struct http_fault *fault)
{
	static const int statuses[] = {400, 413, 414, 415, 417, 431, 501, 505};
	static const char *const words[] = {"network", "connection", "timeout", "socket"};
	bool known = false;
	for (size_t i = 0; i < COUNT(statuses); i++)
		known |= fault->status == statuses[i];
	CHECK(known);
	if (!CHECK(fault->text && *fault->text))
		return;
	char lower[200] = "";
	for (size_t i = 0; i < sizeof lower - 1 && fault->text[i]; i++)
		lower[i] = (char)tolower((unsigned char)fault->text[i]);
	for (size_t i = 0; i < COUNT(words); i++)
		CHECK(!strstr(lower, words[i]));
	CHECK(lower[strlen(lower) - 1] != '.');
}

/* What becomes of the first n bytes: 0, 1, or the status of a fault.  They stand in a block of exactly n bytes, so that a
 * sanitizer sees every byte read beyond. */
static int
outcome(const char *p, size_t n, size_t *used)
{
	struct http_head h;
	struct http_fault fault = {0};
	char *copy = malloc(n ? n : 1);
	memcpy(copy, p, n);
	int got = http_parse_head(copy, n, &h, used, &fault);
	if (got < 0)
		check_fault(&fault);
	else
		CHECK(fault.status == 0 && (got == 0 || *used <= n));
	free(copy);
	return got < 0 ? fault.status : got;
}

/* The bytes are refused with `status` at their last one, not before (of long ones not every prefix is tried), and
 * whatever follows. */
static bool
refused_at_end(const char *p, size_t n, int status)
{
	static const char *const more[] = {"\r\n\r\n", "\n", "x", "", " HTTP/1.1\r\nHost: a\r\n\r\n"};
	size_t used;
	bool right = CHECK_INT(outcome(p, n, &used), status);
	for (size_t i = 0; i < n; i += i + 400 < n ? 97 : 1)
		right &= CHECK_INT(outcome(p, i, &used), 0);
	for (size_t i = 0; i < COUNT(more); i++) {
		struct buf b = {0};
		buf_add(&b, p, n);
		buf_add(&b, more[i], strlen(more[i]) + (i == 3));
		right &= CHECK_INT(outcome(b.p, b.n, &used), status);
		buf_free(&b);
	}
	return right;
}

static bool
taken(const char *p, size_t n)
{
	size_t used;
	return outcome(p, n, &used) == 1 && used == n;
}

/* A head of these pieces, the first wrong byte of which is the last one. */
static bool
head_refused(int status, const char *start, const char *end)
{
	struct buf b = {0};
	buf_str(&b, start);
	buf_str(&b, end);
	bool right = refused_at_end(b.p, b.n, status);
	if (!right)
		printf("# %s%s\n", start, end);
	buf_free(&b);
	return right;
}

static void
add_many(struct buf *b, char c, size_t n)
{
	while (n--)
		buf_char(b, c);
}

/* --- good requests --- */

static const struct good {
	const char *text, *method, *target, *path, *query, *host;
	int minor, n, framing;
	uint64_t length;
	bool keep_alive, expects_continue;
} goods[] = {
	{GET HOST "\r\n", "GET", "/", "/", NULL, "a.example", 1, 1, HTTP_NO_BODY, 0, true, false},
	{"\r\n" GET HOST "\r\n", "GET", "/", "/", NULL, "a.example", 1, 1, HTTP_NO_BODY, 0, true, false},
	{"GET /operation/state?id=a%20b&x=/?/ HTTP/1.1\r\nhOST:\t LOCALHOST:8080 \t \r\nX-Empty:\r\nX-Blank: \t\r\n\r\n", "GET",
		"/operation/state?id=a%20b&x=/?/", "/operation/state", "id=a%20b&x=/?/", "LOCALHOST:8080", 1, 3, HTTP_NO_BODY, 0, true, false},
	{"GET /? HTTP/1.1\r\nHost: [::1]:65535\r\n\r\n", "GET", "/?", "/", "", "[::1]:65535", 1, 1, HTTP_NO_BODY, 0, true, false},
	{"get /~a!$&'()*+,;=:@%zz\"<>[\\]^`{|}// HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", "get", "/~a!$&'()*+,;=:@%zz\"<>[\\]^`{|}//",
		"/~a!$&'()*+,;=:@%zz\"<>[\\]^`{|}//", NULL, "127.0.0.1", 1, 1, HTTP_NO_BODY, 0, true, false},
	{"GET / HTTP/1.0\r\n\r\n", "GET", "/", "/", NULL, NULL, 0, 0, HTTP_NO_BODY, 0, false, false},
	{"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "GET", "/", "/", NULL, NULL, 0, 1, HTTP_NO_BODY, 0, true, false},
	{"GET / HTTP/1.0\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n", "GET", "/", "/", NULL, NULL, 0, 2, HTTP_NO_BODY, 0, false, false},
	{GET HOST "Connection: upgrade ,, CLOSE\r\nUpgrade: h2c\r\n\r\n", "GET", "/", "/", NULL, "a.example", 1, 3, HTTP_NO_BODY, 0, false, false},
	{GET HOST "Connection: closed, close-not, \"close\"\r\nConnection:\r\nX-Close: close\r\n\r\n", "GET", "/", "/", NULL, "a.example", 1, 4,
		HTTP_NO_BODY, 0, true, false},
	{GET HOST "Connection:\r\nConnection: te\r\nconnection: close\r\n\r\n", "GET", "/", "/", NULL, "a.example", 1, 4, HTTP_NO_BODY, 0, false, false},
	{POST "Content-Length: 0\r\n\r\n", "POST", "/call", "/call", NULL, "a.example", 1, 2, HTTP_LENGTH, 0, true, false},
	{POST "Content-Length: 9007199254740991\r\n\r\n", "POST", "/call", "/call", NULL, "a.example", 1, 2, HTTP_LENGTH, 9007199254740991, true, false},
	{"POST /call HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n", "POST", "/call", "/call", NULL, NULL, 0, 2, HTTP_LENGTH, 5, false, false},
	{POST "Content-Length: 5\r\nExpect: 100-Continue\r\n\r\n", "POST", "/call", "/call", NULL, "a.example", 1, 3, HTTP_LENGTH, 5, true, true},
	{POST "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n", "POST", "/call", "/call", NULL, "a.example", 1, 3, HTTP_CHUNKED, 0, true, true},
	{POST "Content-Length: 0\r\nExpect: 100-continue\r\n\r\n", "POST", "/call", "/call", NULL, "a.example", 1, 3, HTTP_LENGTH, 0, true, false},
	{POST "Expect: 100-continue\r\n\r\n", "POST", "/call", "/call", NULL, "a.example", 1, 2, HTTP_NO_BODY, 0, true, false},
	{POST "Transfer-Encoding: \tChunKED \r\nContent-Encoding: Identity\r\n\r\n", "POST", "/call", "/call", NULL, "a.example", 1, 3, HTTP_CHUNKED, 0, true, false},
	{"GET http://A.example/x?y HTTP/1.1\r\n" HOST "\r\n", "GET", "http://A.example/x?y", "/x", "y", "a.example", 1, 1, HTTP_NO_BODY, 0, true, false},
	{"GET HTTPS://a.EXAMPLE:1/ HTTP/1.1\r\nHost: a.example:1\r\n\r\n", "GET", "HTTPS://a.EXAMPLE:1/", "/", NULL, "a.example:1", 1, 1, HTTP_NO_BODY, 0, true, false},
	{"GET http://[::1]/ HTTP/1.0\r\n\r\n", "GET", "http://[::1]/", "/", NULL, "[::1]", 0, 0, HTTP_NO_BODY, 0, false, false},
	{"OPTIONS * HTTP/1.1\r\n" HOST "\r\n", "OPTIONS", "*", "*", NULL, "a.example", 1, 1, HTTP_NO_BODY, 0, true, false},
	{"OPTIONS /* HTTP/1.1\r\n" HOST "\r\n", "OPTIONS", "/*", "/*", NULL, "a.example", 1, 1, HTTP_NO_BODY, 0, true, false},
	{"!#$%&'*+-.^_`|~0 / HTTP/1.1\r\n" HOST "!#$%&'*+-.^_`|~9aZ: \x80\xff \t~\r\n\r\n", "!#$%&'*+-.^_`|~0", "/", "/", NULL, "a.example", 1, 2,
		HTTP_NO_BODY, 0, true, false},
};

static void
check_text(struct http_text got, const char *want)
{
	if (CHECK((got.p == NULL) == (want == NULL)) && want)
		CHECK_BYTES(got.p, got.n, want, strlen(want));
}

static void
good_requests(void)
{
	for (size_t i = 0; i < COUNT(goods); i++) {
		const struct good *g = &goods[i];
		struct http_head h;
		struct http_fault fault;
		size_t used = 0;
		if (!CHECK_INT(http_parse_head(g->text, strlen(g->text), &h, &used, &fault), 1)) {
			printf("# %s# %s\n", g->text, fault.text);
			continue;
		}
		CHECK_INT(used, strlen(g->text));
		check_text(h.method, g->method);
		check_text(h.target, g->target);
		check_text(h.path, g->path);
		check_text(h.query, g->query);
		check_text(h.host, g->host);
		CHECK_INT(h.minor, g->minor);
		CHECK_INT(h.n, g->n);
		CHECK_INT(h.framing, g->framing);
		CHECK_INT(h.length, g->length);
		CHECK_INT(h.keep_alive, g->keep_alive);
		if (!CHECK_INT(h.expects_continue, g->expects_continue))
			printf("# %s\n", g->text);
	}
}

/* Fed byte by byte a request is whole with its last byte, and with as much behind it as comes. */
static void
prefixes_and_pipelines(void)
{
	struct buf all = {0};
	size_t used;
	for (size_t i = 0; i < COUNT(goods); i++) {
		size_t n = strlen(goods[i].text);
		for (size_t k = 0; k < n; k++)
			if (!CHECK_INT(outcome(goods[i].text, k, &used), 0))
				break;
		CHECK(taken(goods[i].text, n));
		buf_add(&all, goods[i].text, n);
	}
	size_t at = 0, i = 0;
	for (; at < all.n && i < COUNT(goods); i++, at += used) {
		if (!CHECK_INT(outcome(all.p + at, all.n - at, &used), 1) || !CHECK_INT(used, strlen(goods[i].text)))
			break;
		CHECK_INT(outcome(all.p + at, used + 1, &used), 1);
	}
	CHECK(at == all.n && i == COUNT(goods));
	buf_free(&all);
}

static void
headers_by_name(void)
{
	static const char text[] = GET HOST "Accept: a\r\nX:  b c\t\r\naCCEPT:\r\nAccept-Not: d\r\n\r\n";
	struct http_head h;
	struct http_fault fault;
	size_t used;
	int count = -1;
	CHECK_INT(http_parse_head(text, strlen(text), &h, &used, &fault), 1);
	check_text(http_field(&h, "accept", &count), "a");
	CHECK_INT(count, 2);
	check_text(http_field(&h, "x", &count), "b c");
	CHECK_INT(count, 1);
	check_text(http_field(&h, "acc", &count), NULL);
	CHECK_INT(count, 0);
	check_text(http_field(&h, "accept-not", NULL), "d");
	CHECK_BYTES(h.fields[3].name.p, h.fields[3].name.n, "aCCEPT", 6);
	CHECK_INT(h.fields[3].value.n, 0);
}

/* --- what is refused.  Each text ends with the byte at which it must be. --- */

static void
request_lines(void)
{
	static const struct {
		int status;
		struct bytes text;
	} bad[] = {
		/* no request at all */
		{400, BYTES("\n")}, {400, BYTES("\rG")}, {400, BYTES("\r\n\r")}, {400, BYTES("\r\n\n")}, {400, BYTES(" ")}, {400, BYTES("\t")}, {400, BYTES("\0")},
		{400, BYTES("\x16")}, {400, BYTES("\x80")}, {400, BYTES("\xff")}, {400, BYTES("{")}, {501, BYTES("SSH-2.0-OpenSSH_9")}, {400, BYTES("SSH-2.0-x\r")}, {400, BYTES("\x7f")},
		{400, BYTES("HTTP/")}, {400, BYTES("\r\n ")}, {400, BYTES("PRI *")},
		/* methods */
		{400, BYTES("G\0")}, {400, BYTES("G\n")}, {400, BYTES("GET\r")}, {400, BYTES("GET\t")}, {400, BYTES("G(")}, {400, BYTES("G\"")}, {400, BYTES("G:")},
		{400, BYTES("G/")}, {400, BYTES("G\xc3")}, {400, BYTES("GE\x7f")}, {501, BYTES("AAAAAAAAAAAAAAAAA")}, {400, BYTES("AAAAAAAAAAAAAAAA(")},
		{501, BYTES("CONNECT ")}, {400, BYTES("connect a")},
		/* targets */
		{400, BYTES("GET  ")}, {400, BYTES("GET \r")}, {400, BYTES("GET \n")}, {400, BYTES("GET \t")}, {400, BYTES("GET x")}, {400, BYTES("GET *")},
		{400, BYTES("options *")}, {400, BYTES("OPTIONS */")}, {400, BYTES("OPTIONS *\r")}, {400, BYTES("OPTIONS **")}, {400, BYTES("GET /#")},
		{400, BYTES("GET /a#")}, {400, BYTES("GET /?#")}, {400, BYTES("GET /\0")}, {400, BYTES("GET /\t")}, {400, BYTES("GET /\r")}, {400, BYTES("GET /\n")},
		{400, BYTES("GET /\x7f")}, {400, BYTES("GET /\x80")}, {400, BYTES("GET /?\xff")}, {400, BYTES("GET /\xc3")}, {400, BYTES("GET a")}, {400, BYTES("GET ?")},
		{400, BYTES("GET #")}, {400, BYTES("GET .")}, {400, BYTES("GET [")}, {400, BYTES("GET \\")},
		/* absolute targets */
		{400, BYTES("GET ho")}, {400, BYTES("GET httq")}, {400, BYTES("GET httpx")}, {400, BYTES("GET http/")}, {400, BYTES("GET http:a")}, {400, BYTES("GET http:/a")},
		{400, BYTES("GET httpss")}, {400, BYTES("GET http\x1a")}, {400, BYTES("GET f")}, {400, BYTES("GET http:///")}, {400, BYTES("GET http://?")},
		{400, BYTES("GET http://a.example ")}, {400, BYTES("GET http://a.example?")}, {400, BYTES("GET http://a.example#")}, {400, BYTES("GET http://u@")},
		{400, BYTES("GET http://a.example\r")}, {400, BYTES("GET http://a\0")}, {400, BYTES("GET http://a:/")}, {400, BYTES("GET http://a:0/")},
		{400, BYTES("GET http://a:65536/")}, {400, BYTES("GET http://[/")}, {400, BYTES("GET http://[::1/")}, 
		{400, BYTES("GET http://a/ HTTP/1.1\r\nHost: b\r")}, {400, BYTES("GET http://a/ HTTP/1.1\r\nHost: a:80\r")}, {400, BYTES("GET http://a:80/ HTTP/1.1\r\nHost: a\r")},
		{400, BYTES("GET http://a/ HTTP/1.1\r\nHost:\r")}, {400, BYTES("GET http://a/ HTTP/1.1\r\nX: y\r\n\r\n")}, {400, BYTES("GET http://a/ HTTP/1.0\r\nHost: b\r")},
		/* versions */
		{400, BYTES("GET / \r")}, {400, BYTES("GET / \n")}, {400, BYTES("GET /  ")}, {400, BYTES("GET / h")}, {400, BYTES("GET / HTTP ")}, {400, BYTES("GET / HTTP/\r")},
		{400, BYTES("GET / HTTP/v")}, {505, BYTES("GET / HTTP/2")}, {505, BYTES("GET / HTTP/0")}, {505, BYTES("GET / HTTP/9")}, {505, BYTES("GET / HTTP/1.2")},
		{505, BYTES("GET / HTTP/1.9")}, {400, BYTES("GET / HTTP/1\r")}, {400, BYTES("GET / HTTP/1,")}, {400, BYTES("GET / HTTP/11")}, {400, BYTES("GET / HTTP/1.\r")},
		{400, BYTES("GET / HTTP/1.10")}, {400, BYTES("GET / HTTP/1.1 ")}, {400, BYTES("GET / HTTP/1.1\n")}, {400, BYTES("GET / HTTP/1.1\r\r")},
		{400, BYTES("GET / HTTP/1.1\rH")}, {400, BYTES("GET / HTTP/1.1\t")}, {400, BYTES("GET / HTTP/1.1\0")}, {400, BYTES("GET / x")}, {400, BYTES("GET /a b")},
	};
	for (size_t i = 0; i < COUNT(bad); i++) {
		const struct bytes *t = &bad[i].text;
		if (!refused_at_end(t->p, t->n, bad[i].status)) {
			printf("# number %zu: ", i + 1);
			unit_print(t->p, t->n);
			putchar('\n');
		}
	}
}

/* Every first byte, and every second one, that cannot begin a request. */
static void
any_byte_where_it_must_not_be(void)
{
	static const char token[] = "!#$%&'*+-.^_`|~";
	size_t used;
	for (int c = 0; c < 256; c++) {
		char byte = (char)c;
		bool is_token = c && c < 0x80 && (isalnum(c) || strchr(token, c));
		CHECK_INT(outcome(&byte, 1, &used), is_token || c == '\r' ? 0 : 400);
		struct buf b = {0};
		buf_str(&b, "M");
		buf_char(&b, byte);
		CHECK_INT(outcome(b.p, b.n, &used), is_token || c == ' ' ? 0 : 400);
		buf_clear(&b);
		buf_str(&b, "GET /x");
		buf_char(&b, byte);
		CHECK_INT(outcome(b.p, b.n, &used), c >= ' ' && c < 0x7f && c != '#' ? 0 : 400);
		buf_clear(&b);
		buf_str(&b, GET HOST);
		buf_char(&b, byte);
		CHECK_INT(outcome(b.p, b.n, &used), is_token || c == '\r' ? 0 : 400);
		buf_clear(&b);
		buf_str(&b, GET HOST "X");
		buf_char(&b, byte);
		CHECK_INT(outcome(b.p, b.n, &used), is_token || c == ':' ? 0 : 400);
		buf_clear(&b);
		buf_str(&b, GET HOST "X: a");
		buf_char(&b, byte);
		CHECK_INT(outcome(b.p, b.n, &used), c == '\t' || c == '\r' || (c >= ' ' && c != 0x7f) ? 0 : 400);
		buf_clear(&b);
		buf_str(&b, GET HOST "X: a\r");
		buf_char(&b, byte);
		CHECK_INT(outcome(b.p, b.n, &used), c == '\n' ? 0 : 400);
		buf_clear(&b);
		buf_str(&b, GET HOST "\r");
		buf_char(&b, byte);
		CHECK_INT(outcome(b.p, b.n, &used), c == '\n' ? 1 : 400);
		buf_free(&b);
	}
}

static void
headers(void)
{
	static const struct {
		int status;
		const char *end;
	} bad[] = {
		/* lines */
		{400, "\n"}, {400, "X: a\n"}, {400, "X: a\r\r"}, {400, "X: a\rb"}, {400, "X\r"}, {400, "X\n"}, {400, ":"}, {400, " "}, {400, "\t"},
		{400, "X "}, {400, "X\t"}, {400, "X: a\r\n "}, {400, "X: a\r\n\t"}, {400, "X("}, {400, "\xc3"}, {400, "X: \x01"}, {400, "X: \x1f"},
		{400, "X: a\x7f"}, {400, "X: \v"}, {400, "\r\r"}, {400, "\rX"},
		/* lengths */
		{400, "Content-Length:\r"}, {400, "Content-Length: \t\r"}, {400, "Content-Length: +5\r"}, {400, "Content-Length: -1\r"}, {400, "Content-Length: -0\r"},
		{400, "Content-Length: 0x5\r"}, {400, "Content-Length: 5,5\r"}, {400, "Content-Length: 5, 5\r"}, {400, "Content-Length: 5 5\r"}, {400, "Content-Length: 5\t5\r"},
		{400, "Content-Length: 5.0\r"}, {400, "Content-Length: 5e1\r"}, {400, "Content-Length: 05\r"}, {400, "Content-Length: 00\r"}, {400, "Content-Length: \"5\"\r"},
		{400, "Content-Length: five\r"}, {400, "Content-Length: 5;\r"}, {400, "Content-Length: \xb2\r"}, {400, "Content-Length: 9007199254740992\r"},
		{400, "Content-Length: 18446744073709551616\r"}, {400, "Content-Length: 18446744073709551621\r"}, {400, "Content-Length: 99999999999999999999999999999999\r"},
		{400, "Content-Length: 5\r\nContent-Length: 5\r"}, {400, "Content-Length: 5\r\ncontent-length: 6\r"}, {400, "Content-Length: 0\r\nX: y\r\nContent-Length: 0\r"},
		{400, "Content-Length: 5\r\nTransfer-Encoding: chunked\r"}, {400, "Transfer-Encoding: chunked\r\nContent-Length: 5\r"},
		{400, "Content-Length: 5\r\nTransfer-Encoding: gzip\r"}, {400, "Transfer-Encoding: chunked\r\nContent-Length:\r"},
		/* codings */
		{400, "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r"}, {400, "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r"},
		{400, "Transfer-Encoding:\r"}, {400, "Transfer-Encoding: identity, chunked\r"}, {400, "Transfer-Encoding: Identity,chunked\r"},
		{400, "Transfer-Encoding: chunked, identity\r"}, {400, "Transfer-Encoding: chunked, chunked\r"}, {400, "Transfer-Encoding: chunked,\r"},
		{400, "Transfer-Encoding: ,chunked\r"}, {400, "Transfer-Encoding: chunked;q=1\r"}, {400, "Transfer-Encoding: \"chunked\"\r"},
		{400, "Transfer-Encoding: chunked chunked\r"}, {400, "Transfer-Encoding: chunked, gzip\r"}, {400, "Transfer-Encoding: g\xc3zip\r"},
		{501, "Transfer-Encoding: gzip\r"}, {501, "Transfer-Encoding: identity\r"}, {501, "Transfer-Encoding: xchunked\r"}, {501, "Transfer-Encoding: chunke\r"},
		{501, "Transfer-Encoding: chunkedd\r"}, {501, "Transfer-Encoding: gzip, chunked\r"}, {501, "Transfer-Encoding: gzip;q=1, chunked\r"},
		{415, "Content-Encoding: gzip\r"}, {415, "Content-Encoding:\r"}, {415, "Content-Encoding: identity, gzip\r"}, {415, "Content-Encoding: identity\r\nContent-Encoding: br\r"},
		{417, "Expect: 200-ok\r"}, {417, "Expect:\r"}, {417, "Expect: 100-continue, x\r"}, {417, "Expect: 100-continue\r\nExpect: x\r"},
		/* a second Host */
		{400, "Host: a.example\r"}, {400, "hOsT: b\r"}, {400, "X: y\r\nHost: a.example\r"},
	};
	for (size_t i = 0; i < COUNT(bad); i++) {
		head_refused(bad[i].status, GET HOST, bad[i].end);
		head_refused(bad[i].status, "\r\nPOST /call?x HTTP/1.1\r\nAccept: */*\r\n" HOST "Content-Type: text/plain\r\n", bad[i].end);
	}
	CHECK(refused_at_end(GET HOST "X: a\0", sizeof GET HOST "X: a", 400));
	CHECK(refused_at_end(GET HOST "X\0", sizeof GET HOST "X", 400));
	CHECK(refused_at_end(GET HOST "\0", sizeof GET HOST, 400));
	head_refused(400, "POST / HTTP/1.0\r\n", "Transfer-Encoding: chunked\r");
	head_refused(400, "POST / HTTP/1.0\r\nConnection: keep-alive\r\n", "Transfer-Encoding: gzip\r");
	head_refused(417, "POST / HTTP/1.0\r\n", "Expect: x\r");
	head_refused(400, GET, "\r\n");
	head_refused(400, GET, "X-Host: a.example\r\n\r\n");
}

static void
hosts(void)
{
	static const char *const good[] = {
		"a", "A.EXAMPLE", "a.example.", "a-b_c~d.example:1", "localhost:65535", "127.0.0.1", "127.0.0.1:80", "[::1]", "[::]:1", "[2001:db8::1]:8080", "[::ffff:127.0.0.1]",
		"[FE80::A]", "xn--bcher-kva.example", "%41%fF", "a!$&'()*+,;=b", "1", "[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]", "256.256.256.256", "..", "-",
	};
	static const char *const bad[] = {
		"", "@", "u@a", "u:p@a", "a@", "a b", "a\tb", "a, b", "a/", "/", "a/b", "http://a", "a\\b", "a?b", "a#b", "a:", ":", ":80", "a:b", "a:0", "a:00", "a:080", "a:65536", "a:99999",
		"a:100000", "a:+80", "a:-1", "a: 80", "a:80 80", "a:8o", "a:80:80", "a::80", "::1", "[", "]", "[]", "[]:80", "[::1", "::1]", "[::1]]", "[[::1]]", "[::1]80", "[::1]:", "[::1]:x", "[::1]:0",
		"[:::1]", "[1]", "[127.0.0.1]", "[a.example]", "[::1%eth0]", "[::1%25eth0]", "[v1.a]", "[::g]", "[12345::]", "[1:2:3:4:5:6:7:8:9]", "[1::2::3]", "[ ::1]", "[::1 ]", "a[::1]", "%", "%4", "%4g", "a%",
		"%%41", "a\"b", "<a>", "{a}", "a|b", "a^b", "`a`", "\xc3\xa9.example", "\x80", "[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]",
	};
	for (size_t i = 0; i < COUNT(good); i++) {
		struct buf b = {0};
		buf_fmt(&b, GET "Host: %s\r\n\r\n", good[i]);
		if (!CHECK(taken(b.p, b.n)))
			printf("# refused %s\n", good[i]);
		buf_clear(&b);
		buf_fmt(&b, "GET http://%s/ HTTP/1.1\r\nHost: %s\r\n\r\n", good[i], good[i]);
		CHECK(taken(b.p, b.n));
		buf_free(&b);
	}
	for (size_t n = 40; n < 60; n++) { /* about as long as an address can be */
		struct buf b = {0};
		buf_str(&b, "Host: [::");
		add_many(&b, '0', n);
		buf_str(&b, "]\r");
		head_refused(400, GET, b.p);
		buf_free(&b);
	}
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct buf b = {0};
		size_t used;
		buf_fmt(&b, "Host: %s\r", bad[i]);
		head_refused(400, GET, b.p);
		buf_clear(&b);
		buf_fmt(&b, "GET http://%s/ HTTP/1.1\r\nHost: %s\r\n\r\n", bad[i], bad[i]);
		if (!CHECK_INT(outcome(b.p, b.n, &used), 400))
			printf("# took %s\n", bad[i]);
		buf_free(&b);
	}
}

/* --- limits --- */

static void
request_line_limit(void)
{
	for (int empty = 0; empty < 2; empty++) {
		const char *first = empty ? "\r\n" : "";
		size_t fixed = strlen("GET / HTTP/1.1");
		struct buf b = {0};
		buf_fmt(&b, "%sGET /", first);
		add_many(&b, 'a', HTTP_LINE_MAX - fixed);
		buf_str(&b, " HTTP/1.1\r\n" HOST "\r\n");
		CHECK(taken(b.p, b.n));
		buf_clear(&b);
		buf_fmt(&b, "%sGET /", first);
		add_many(&b, 'a', HTTP_LINE_MAX - fixed + 1);
		buf_str(&b, " HTTP/1.1");
		CHECK(refused_at_end(b.p, b.n, 414));
		buf_clear(&b);
		buf_fmt(&b, "%sGET /?", first);
		add_many(&b, 'a', HTTP_LINE_MAX - strlen("GET /?") + 1);
		CHECK(refused_at_end(b.p, b.n, 414));
		buf_clear(&b);
		buf_fmt(&b, "%sGET http://", first);
		add_many(&b, 'a', HTTP_LINE_MAX - strlen("GET http://") + 1);
		CHECK(refused_at_end(b.p, b.n, 414));
		buf_free(&b);
	}
}

static void
head_limit(void)
{
	static const char *const starts[] = {GET HOST "X: ", GET HOST, GET HOST "X:", GET};
	for (size_t i = 0; i < COUNT(starts); i++) {
		struct buf b = {0};
		buf_str(&b, starts[i]);
		add_many(&b, i == 2 ? ' ' : 'x', HTTP_HEAD_MAX - b.n);
		CHECK(refused_at_end(b.p, b.n, 431));
		buf_free(&b);
	}
	/* a head of exactly as much as it may be, and one of a byte more */
	for (size_t more = 0; more < 2; more++) {
		struct buf b = {0};
		buf_str(&b, "\r\n" GET HOST "X: ");
		add_many(&b, 'x', HTTP_HEAD_MAX + more - b.n - 4);
		buf_str(&b, "\r\n\r\n");
		size_t used;
		CHECK_INT(b.n, HTTP_HEAD_MAX + more);
		if (more)
			CHECK(outcome(b.p, b.n, &used) == 431 && outcome(b.p, b.n - 1, &used) == 431 && outcome(b.p, b.n - 2, &used) == 0);
		else
			CHECK(taken(b.p, b.n));
		buf_str(&b, GET);
		CHECK_INT(outcome(b.p, b.n, &used), more ? 431 : 1);
		buf_free(&b);
	}
}

static void
headers_limit(void)
{
	struct buf b = {0};
	buf_str(&b, GET HOST);
	for (int i = 1; i < HTTP_FIELDS_MAX; i++)
		buf_fmt(&b, "X-%d: %d\r\n", i, i);
	size_t n = b.n;
	buf_str(&b, "\r\n");
	CHECK(taken(b.p, b.n));
	b.n = n;
	buf_str(&b, "X");
	CHECK(refused_at_end(b.p, b.n, 431));
	buf_free(&b);
}

/* Whatever comes, a decision is made within HTTP_HEAD_MAX bytes, and stays. */
static void
random_changes(void)
{
	for (int round = 0; round < 20000; round++) {
		const struct good *g = &goods[unit_below(COUNT(goods))];
		struct buf b = {0};
		buf_str(&b, g->text);
		for (uint32_t k = unit_below(3); k-- > 0;)
			b.p[unit_below((uint32_t)b.n)] = (char)(unit_below(2) ? unit_below(256) : (uint32_t)"\r\n :,0\t%"[unit_below(8)]);
		size_t used = 0, cut = unit_below((uint32_t)b.n + 1), first_used = 0;
		int all = outcome(b.p, b.n, &used), first = outcome(b.p, cut, &first_used);
		if (!CHECK(first == 0 || (first == all && (all != 1 || used == first_used)))) {
			unit_print(b.p, b.n);
			putchar('\n');
		}
		buf_free(&b);
	}
}

/* --- bodies in chunks --- */

#define MAX 1000

/* Feed them in pieces: two, cut at `at`, or one byte each where `at` is SIZE_MAX.  The outcome as above. */
static int
unchunk(const char *p, size_t n, size_t at, size_t max, struct buf *out, size_t *used)
{
	struct http_chunks c = {0};
	struct http_fault fault = {0};
	int got = 0;
	*used = 0;
	for (size_t from = 0; from < n && got == 0;) {
		size_t piece = at == SIZE_MAX ? 1 : from < at ? at - from : n - from;
		char *copy = malloc(piece);
		memcpy(copy, p + from, piece);
		size_t k = SIZE_MAX;
		got = http_unchunk(&c, copy, piece, &k, out, max, &fault);
		free(copy);
		if (!CHECK(k <= piece && (got != 0 || k == piece)))
			return -2;
		*used += k;
		from += piece;
	}
	if (got < 0)
		check_fault(&fault);
	if (got == 1) { /* once over it stays over */
		size_t k = SIZE_MAX;
		CHECK_INT(http_unchunk(&c, "5\r\n", 3, &k, out, max, &fault), 1);
		CHECK_INT(k, 0);
	}
	return got < 0 ? fault.status : got;
}

/* The same outcome, content and length, however it is cut. */
static bool
same_in_pieces(const char *p, size_t n, size_t max, int status, struct buf *out, size_t *used)
{
	int got = unchunk(p, n, n, max, out, used);
	bool right = CHECK_INT(got, status);
	for (size_t i = 0; i <= n; i++) {
		struct buf pieces = {0};
		size_t k;
		right &= CHECK_INT(unchunk(p, n, i ? i : SIZE_MAX, max, &pieces, &k), got);
		right &= CHECK_BYTES(pieces.p, pieces.n, out->p, out->n);
		right &= CHECK_INT(k, *used);
		buf_free(&pieces);
	}
	return right;
}

static void
chunked_bodies(void)
{
	static const struct {
		const char *in, *out;
	} good[] = {
		{"0\r\n\r\n", ""}, {"00000000\r\n\r\n", ""}, {"5\r\nhello\r\n0\r\n\r\n", "hello"}, {"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world"},
		{"a\r\n0123456789\r\nA\r\n0\r\n\r\n0\r\n\r\n\r\n000\r\n\r\n", "01234567890\r\n\r\n0\r\n\r\n"}, {"00000001\r\nx\r\n0\r\n\r\n", "x"},
		{"1;a\r\nx\r\n0;b=c;d=\"e f\"\r\n\r\n", "x"}, {"1;\r\nx\r\n0;\t\xc3\xa9\r\n\r\n", "x"}, {"2\r\n\r\n\r\n0\r\n\r\n", "\r\n"},
		{"1\r\nx\r\n0\r\nA: b\r\nContent-Length: x\r\nEmpty:\r\n\r\n", "x"}, {"0\r\nX: 0\r\n\r\n", ""},
	};
	for (size_t i = 0; i < COUNT(good); i++) {
		struct buf b = {0}, out = {0};
		size_t used, n = strlen(good[i].in);
		buf_str(&b, good[i].in);
		CHECK(same_in_pieces(b.p, b.n, MAX, 1, &out, &used));
		CHECK_BYTES(out.p, out.n, good[i].out, strlen(good[i].out));
		CHECK_INT(used, n);
		for (size_t k = 0; k < n; k++) {
			struct buf part = {0};
			CHECK_INT(unchunk(b.p, k, k, MAX, &part, &used), 0);
			buf_free(&part);
		}
		/* the next request, or another body, is left alone */
		buf_str(&b, i % 2 ? GET HOST "\r\n" : "0\r\n\r\n");
		buf_clear(&out);
		CHECK(same_in_pieces(b.p, b.n, MAX, 1, &out, &used));
		CHECK_INT(used, n);
		/* exactly as large as it may be, and larger */
		buf_clear(&out);
		CHECK_INT(unchunk(good[i].in, n, n, strlen(good[i].out), &out, &used), 1);
		buf_clear(&out);
		if (*good[i].out)
			CHECK_INT(unchunk(good[i].in, n, n, strlen(good[i].out) - 1, &out, &used), 413);
		buf_free(&b);
		buf_free(&out);
	}
}

/* Each is refused at its last byte. */
static void
bad_chunks(void)
{
	static const struct {
		int status;
		struct bytes text;
	} bad[] = {
		{400, BYTES("\r")}, {400, BYTES("\n")}, {400, BYTES(" ")}, {400, BYTES(";")}, {400, BYTES("x")}, {400, BYTES("g")}, {400, BYTES("0x")}, {400, BYTES("+")}, {400, BYTES("-")},
		{400, BYTES("5 ")}, {400, BYTES("5\t")}, {400, BYTES("5\n")}, {400, BYTES("5\r5")}, {400, BYTES("5\r\r")}, {400, BYTES("5g")}, {400, BYTES("5,")}, {400, BYTES("5\0")},
		{400, BYTES("000000000")}, {400, BYTES("000000005")}, {413, BYTES("3e9")}, {413, BYTES("FFF")}, {413, BYTES("000003e9")}, {400, BYTES("\0")}, {400, BYTES("\xff")},
		{400, BYTES("5;\n")}, {400, BYTES("5;a\0")}, {400, BYTES("5;a\x7f")}, {400, BYTES("5;\x1b")}, {400, BYTES("5;\r;")}, {400, BYTES("0\r\n\n")}, {400, BYTES("0\r\n\r\r")},
		{400, BYTES("5\r\nhellox")}, {400, BYTES("5\r\nhello\n")}, {400, BYTES("5\r\nhello\rx")}, {400, BYTES("5\r\nhello\r\r")}, {400, BYTES("5\r\nhello\r\n\r")}, {400, BYTES("5\r\nhello\r\n\n")},
		{400, BYTES("5\r\nhello0")}, {413, BYTES("1\r\nx\r\n3e8")}, {400, BYTES("0\r\n ")}, {400, BYTES("0\r\n\t")}, {400, BYTES("0\r\n:")}, {400, BYTES("0\r\nX ")}, {400, BYTES("0\r\nX\r")},
		{400, BYTES("0\r\nX: a\n")}, {400, BYTES("0\r\nX: a\rb")}, {400, BYTES("0\r\nX: a\r\n ")}, {400, BYTES("0\r\nX: \0")}, {400, BYTES("0\r\n\rx")}, {400, BYTES("0\r\nX: a\r\n\rx")},
		{400, BYTES("0\r\nX: a\r\n\n")},
	};
	for (size_t i = 0; i < COUNT(bad); i++) {
		const struct bytes *t = &bad[i].text;
		struct buf out = {0}, more = {0};
		size_t used;
		bool right = same_in_pieces(t->p, t->n, MAX, bad[i].status, &out, &used);
		buf_clear(&out);
		right &= CHECK_INT(unchunk(t->p, t->n - 1, t->n - 1, MAX, &out, &used), 0);
		buf_add(&more, t->p, t->n);
		buf_str(&more, "\r\n0\r\n\r\n");
		buf_clear(&out);
		right &= CHECK_INT(unchunk(more.p, more.n, more.n, MAX, &out, &used), bad[i].status);
		if (!right) {
			printf("# number %zu: ", i + 1);
			unit_print(t->p, t->n);
			putchar('\n');
		}
		buf_free(&more);
		buf_free(&out);
	}
}

static void
limits_of_chunks(void)
{
	struct buf b = {0}, out = {0};
	size_t used;
	/* extensions, over all chunks */
	for (int chunk = 0; chunk < 2; chunk++) {
		buf_str(&b, chunk ? "0;" : "1;");
		add_many(&b, 'e', HTTP_EXTENSION_MAX / 2 - 1);
		buf_str(&b, chunk ? "\r\n\r\n" : "\r\nx\r\n");
	}
	CHECK_INT(unchunk(b.p, b.n, b.n, MAX, &out, &used), 1);
	b.n -= 4;
	buf_str(&b, "e");
	buf_clear(&out);
	CHECK_INT(unchunk(b.p, b.n - 1, b.n - 1, MAX, &out, &used), 0);
	buf_clear(&out);
	CHECK(same_in_pieces(b.p, b.n, MAX, 400, &out, &used));
	/* trailers, all that follows the last chunk */
	for (size_t more = 0; more < 2; more++) {
		buf_clear(&b);
		buf_clear(&out);
		buf_str(&b, "0\r\nX: ");
		add_many(&b, 'x', HTTP_TRAILER_MAX - 7 + more);
		buf_str(&b, "\r\n\r\n");
		CHECK_INT(unchunk(b.p, b.n, 7, MAX, &out, &used), more ? 431 : 1);
		CHECK_INT(unchunk(b.p, b.n, SIZE_MAX, MAX, &out, &used), more ? 431 : 1);
	}
	buf_clear(&b);
	buf_str(&b, "0\r\n");
	while (b.n < 3 + HTTP_TRAILER_MAX)
		buf_str(&b, "X:\r\n");
	CHECK_INT(unchunk(b.p, b.n, 9, MAX, &out, &used), 0);
	buf_str(&b, "X");
	CHECK_INT(unchunk(b.p, b.n, 9, MAX, &out, &used), 431);
	/* sizes: the largest that can be written, and none at all */
	buf_clear(&out);
	CHECK_INT(unchunk("ffffffff\r\n", 10, 10, SIZE_MAX, &out, &used), 0);
	CHECK_INT(unchunk("ffffffff\r\n", 10, 10, 0xfffffffe, &out, &used), 413);
	CHECK_INT(unchunk("0\r\n\r\n", 5, 5, 0, &out, &used), 1);
	CHECK_INT(unchunk("1", 1, 1, 0, &out, &used), 413);
	CHECK_INT(out.n, 0);
	/* what is in `out` already stays there and is not counted */
	buf_str(&out, "before ");
	CHECK_INT(unchunk("2\r\nab\r\n0\r\n\r\n", 12, 12, 2, &out, &used), 1);
	CHECK_TEXT(out.p, "before ab");
	buf_free(&b);
	buf_free(&out);
}

/* Any bytes in chunks of any sizes come out as they went in. */
static void
random_chunks(void)
{
	for (int round = 0; round < 300; round++) {
		struct buf want = {0}, b = {0}, out = {0};
		for (uint32_t k = unit_below(5); k-- > 0;) {
			char piece[40], size[16];
			uint32_t n = 1 + unit_below(sizeof piece);
			for (uint32_t i = 0; i < n; i++)
				piece[i] = (char)(unit_below(3) ? unit_below(256) : (uint32_t)"\r\n0;"[unit_below(4)]);
			snprintf(size, sizeof size, unit_below(2) ? "%x" : "%04X", n);
			buf_fmt(&b, "%s%s\r\n", size, unit_below(3) ? "" : ";ext=\"1\"");
			buf_add(&b, piece, n);
			buf_str(&b, "\r\n");
			buf_add(&want, piece, n);
		}
		buf_fmt(&b, "%s%s\r\n", unit_below(2) ? "0\r\n" : "000;last\r\n", unit_below(2) ? "" : "A: b\r\nC:\r\n");
		size_t used;
		CHECK(same_in_pieces(b.p, b.n, MAX, 1, &out, &used));
		CHECK_INT(used, b.n);
		CHECK_BYTES(out.p, out.n, want.p, want.n);
		/* and a byte of it that was changed is judged alike in any pieces */
		b.p[unit_below((uint32_t)b.n)] = (char)unit_below(256);
		buf_clear(&out);
		int got = unchunk(b.p, b.n, b.n, MAX, &out, &used);
		buf_clear(&out);
		CHECK(same_in_pieces(b.p, b.n, MAX, got, &out, &used));
		buf_free(&want);
		buf_free(&b);
		buf_free(&out);
	}
}

/* --- queries --- */

static int
unescape(const char *p, size_t n, char *out, size_t size)
{
	char *copy = malloc(n ? n : 1);
	memcpy(copy, p, n);
	int got = http_unescape((struct http_text){copy, n}, out, size);
	free(copy);
	return got;
}

static void
escapes(void)
{
	static const struct {
		const char *in, *out;
	} good[] = {
		{"", ""}, {"a", "a"}, {"a+b", "a b"}, {"%2B%2b", "++"}, {"%41%7a", "Az"}, {"%25", "%"}, {"%2541", "%41"}, {"%c3%A9", "\xc3\xa9"}, {"%F0%9F%98%80", "\xf0\x9f\x98\x80"},
		{"\xc3\xa9", "\xc3\xa9"}, {"a%0ab%0D%09", "a\nb\r\t"}, {"=&?", "=&?"}, {"+", " "}, {"%7f", "\x7f"},
	};
	static const char *const bad[] = {
		"%", "%4", "a%", "a%4", "%g1", "%1g", "%%41", "% 41", "%+1", "%-1", "%0x", "%00", "a%00b", "%ff", "%c3", "%c3a", "%c0%af", "%ed%a0%80", "%f4%90%80%80", "%u0041", "\xff", "%80", "%c3%",
	};
	char out[32];
	for (size_t i = 0; i < COUNT(good); i++) {
		CHECK_INT(unescape(good[i].in, strlen(good[i].in), out, sizeof out), strlen(good[i].out));
		CHECK_TEXT(out, good[i].out);
		CHECK_INT(unescape(good[i].in, strlen(good[i].in), out, strlen(good[i].out) + 1), strlen(good[i].out));
		CHECK_INT(unescape(good[i].in, strlen(good[i].in), out, strlen(good[i].out)), -1);
	}
	for (size_t i = 0; i < COUNT(bad); i++)
		if (!CHECK_INT(unescape(bad[i], strlen(bad[i]), out, sizeof out), -1))
			printf("# took %s\n", bad[i]);
	CHECK_INT(unescape("a\0b", 3, out, sizeof out), -1);
	CHECK_INT(http_unescape((struct http_text){0}, out, sizeof out), 0);
	for (int c = 0; c < 256; c++) {
		char in[8];
		snprintf(in, sizeof in, "x%%%02x", (unsigned)c);
		CHECK_INT(unescape(in, 4, out, sizeof out), c && c < 0x80 ? 2 : -1);
		if (c && c < 0x80)
			CHECK_INT(out[1], c);
	}
}

int
main(void)
{
	RUN(good_requests);
	RUN(prefixes_and_pipelines);
	RUN(headers_by_name);
	RUN(request_lines);
	RUN(any_byte_where_it_must_not_be);
	RUN(headers);
	RUN(hosts);
	RUN(request_line_limit);
	RUN(head_limit);
	RUN(headers_limit);
	RUN(random_changes);
	RUN(chunked_bodies);
	RUN(bad_chunks);
	RUN(limits_of_chunks);
	RUN(random_chunks);
	RUN(escapes);
	return unit_end();
}
