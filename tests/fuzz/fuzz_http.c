/* fuzz_http - http: what is said of a part holds for the whole, and pieces give what the whole gives */
#include <stdlib.h>
#include <string.h>

#include "http.h"
#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
must(bool right)
{
	if (!right)
		abort();
}

static void
check_fault(const struct http_fault *fault)
{
	must(fault->status >= 400 && fault->status <= 505 && fault->text && *fault->text);
}

/* Within the block, so that a sanitizer has seen each byte of it. */
static void
check_text(struct http_text t, const char *p, size_t used)
{
	must(!t.p || (t.p >= p && t.p + t.n <= p + used));
	must(!t.n || !memchr(t.p, '\0', t.n));
}

static void
check_head(const struct http_head *h, const char *p, size_t used)
{
	char out[64];
	must(used <= HTTP_HEAD_MAX && h->n >= 0 && h->n <= HTTP_FIELDS_MAX && h->minor >= 0 && h->minor <= 1);
	must(h->method.n >= 1 && h->method.n <= HTTP_METHOD_MAX && h->path.n >= 1 && (h->path.p[0] == '/' || h->path.p[0] == '*'));
	must(h->target.n <= HTTP_LINE_MAX && (h->host.n || (h->minor == 0 && !h->host.p)) && h->length <= HTTP_LENGTH_MAX);
	must(h->framing == HTTP_LENGTH || h->length == 0);
	const struct http_text texts[] = {h->method, h->target, h->path, h->query, h->host};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		check_text(texts[i], p, used);
	for (int i = 0; i < h->n; i++) {
		check_text(h->fields[i].name, p, used);
		check_text(h->fields[i].value, p, used);
	}
	int n = http_unescape(h->query, out, sizeof out);
	must(n < 0 || ((size_t)n == strlen(out) && text_valid(out, (size_t)n)));
}

/* The outcome of the first `n` bytes, from a block of just that size. */
static int
parse(const uint8_t *data, size_t n, size_t *used, struct http_fault *fault)
{
	struct http_head h;
	char *p = malloc(n ? n : 1);
	memcpy(p, data, n);
	*fault = (struct http_fault){0};
	int got = http_parse_head(p, n, &h, used, fault);
	if (got < 0)
		check_fault(fault);
	else
		must(got == 1 || n < HTTP_HEAD_MAX);
	if (got == 1) {
		must(*used <= n);
		check_head(&h, p, *used);
	}
	free(p);
	return got;
}

/* The outcome of a body in two pieces, cut at `at`. */
static int
unchunk(const uint8_t *data, size_t n, size_t at, size_t max, struct buf *out, size_t *used, struct http_fault *fault)
{
	struct http_chunks c = {0};
	int got = 0;
	*used = 0;
	*fault = (struct http_fault){0};
	for (size_t from = 0, piece = at; from < n && got == 0; from += piece, piece = n - from) {
		char *p = malloc(piece ? piece : 1);
		size_t taken;
		memcpy(p, data + from, piece);
		got = http_unchunk(&c, p, piece, &taken, out, max, fault);
		must(taken <= piece && (got != 0 || taken == piece));
		*used += taken;
		free(p);
	}
	if (got < 0)
		check_fault(fault);
	must(out->n <= max && out->n <= n);
	return got;
}

static void
check_chunks(const uint8_t *data, size_t n, size_t max, size_t step)
{
	struct buf whole = {0};
	struct http_fault fault;
	size_t used;
	int got = unchunk(data, n, n, max, &whole, &used, &fault);
	for (size_t at = 0; at <= n; at += step) {
		struct buf pieces = {0};
		struct http_fault other;
		size_t k;
		must(unchunk(data, n, at, max, &pieces, &k, &other) == got && k == used);
		must(other.status == fault.status && other.text == fault.text);
		must(pieces.n == whole.n && (!whole.n || memcmp(pieces.p, whole.p, whole.n) == 0));
		buf_free(&pieces);
	}
	buf_free(&whole);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct http_fault fault, other;
	size_t used = 0, k, step = n < 200 ? 1 : n / 61;
	int got = parse(data, n, &used, &fault);
	for (size_t i = 0; i < n; i += step) {
		int part = parse(data, i, &k, &other);
		must(part == 0 || part == got);
		if (part < 0)
			must(other.status == fault.status && other.text == fault.text);
		if (part == 1)
			must(k == used);
	}
	if (got == 1) {
		must(parse(data, used, &k, &other) == 1 && k == used);
		must(parse(data, used - 1, &k, &other) == 0);
		check_chunks(data + used, n - used, n - used, step);
	}
	check_chunks(data, n, 64, step);
	char out[32];
	int length = http_unescape((struct http_text){(const char *)data, n}, out, sizeof out);
	if (length >= 0)
		must((size_t)length < sizeof out && strlen(out) == (size_t)length && text_valid(out, (size_t)length));
	return 0;
}
