/* http: reading HTTP/1.1 requests (RFC 9112, RFC 9110), strictly.
 *
 * Pure: bytes in, a request or a fault out; no descriptor, no clock, no state but what the caller holds.  A head is
 * parsed from its first byte each time more of it has come; a body in chunks is taken piece by piece.  What came in
 * pieces is answered as what came at once, and a fault is found at the byte that makes one certain (what a header says: at
 * the end of its line), so that what follows that byte does not change the answer.
 *
 * What two programs could read in two ways is refused, even where the RFC lets a server guess: a bare LF, a length given
 * twice, a blank before a colon, a folded line. */
#ifndef DPL_HTTP_H
#define DPL_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

enum {
	HTTP_LINE_MAX = 8192,     /* bytes of the request line, without its CRLF */
	HTTP_HEAD_MAX = 16384,    /* of the whole head, with an empty line before it and the one that ends it */
	HTTP_FIELDS_MAX = 64,     /* headers */
	HTTP_METHOD_MAX = 16,     /* bytes of the method */
	HTTP_EXTENSION_MAX = 256, /* of all chunk extensions of a body, with their semicolons */
	HTTP_TRAILER_MAX = 4096,  /* of the trailers of a body, with the empty line that ends them */
};
/* The longest body that a Content-Length can announce. */
#define HTTP_LENGTH_MAX ((INT64_C(1) << 53) - 1)

/* Bytes of a head, not owned and without a NUL; p is NULL where there is no such part. */
struct http_text {
	const char *p;
	size_t n;
};

/* Why a request is refused: 400, 413, 414, 415, 417, 431, 501 or 505, and a static text for people, without a full
 * stop.  The text never speaks of how the bytes came here: clients take some words for a sign to try again. */
struct http_fault {
	int status;
	const char *text;
};

/* The texts point into the bytes that were parsed, and live as long as those. */
struct http_head {
	struct http_text method; /* as it came: nothing says that the caller knows it */
	struct http_text target; /* all of it */
	struct http_text path;   /* "/…", raw; "*" for OPTIONS */
	struct http_text query;  /* what follows the first '?', raw */
	struct http_text host;   /* of Host, or of an absolute target, to which Host is equal; NULL in 1.0 only */
	int minor;               /* HTTP/1.0 or HTTP/1.1 */
	struct {
		struct http_text name, value; /* the value without the blanks around it */
	} fields[HTTP_FIELDS_MAX];
	int n;
	enum { HTTP_NO_BODY, HTTP_LENGTH, HTTP_CHUNKED } framing;
	uint64_t length;         /* of the body, where framing is HTTP_LENGTH; at most HTTP_LENGTH_MAX */
	bool keep_alive;         /* another request may follow */
	bool expects_continue;   /* a body will follow, once 100 Continue was said */
};

/* Parse a head from the `n` bytes at `p`: all that have come since the end of the request before.  1: it is whole, and
 * *used bytes long; the body, or the next request, follows.  0: more is needed, which is never said of HTTP_HEAD_MAX
 * bytes or more.  -1 with `fault`: there is no way to read on, answer it and close.  *h and *used mean something after
 * 1 only.  One empty line before the request is passed over. */
int http_parse_head(const char *p, size_t n, struct http_head *h, size_t *used, struct http_fault *fault);

/* The value of the first header `name` (lower case), p NULL if there is none.  How many there are in *count, which may
 * be NULL. */
struct http_text http_field(const struct http_head *h, const char *name, int *count);

/* A body in chunks; starts as {0}, one for each body.  Its members are http.c's own. */
struct http_chunks {
	int state;
	int field;        /* where in a trailer */
	int digits;       /* of the size */
	uint64_t left;    /* of the chunk */
	uint64_t total;   /* bytes of the body so far */
	size_t extension; /* bytes of extensions */
	size_t trailer;   /* bytes of trailers */
};

/* Take chunks from the `n` bytes at `in` and add what they hold to `out`, whose `failed` the caller looks at.  *taken says
 * how many bytes were taken.  1: the body is over, its trailers included, and what was not taken is the next request.
 * 0: more is needed, and all was taken.  -1 with `fault`: as above, and `c` is used up.  A body of more than `max` bytes
 * (the same in each call) is refused with 413 as soon as the size of a chunk says so. */
int http_unchunk(struct http_chunks *c, const char *in, size_t n, size_t *taken, struct buf *out, size_t max,
	struct http_fault *fault);

/* Decode a value of a query into out[size], with a NUL: %41 is a byte, '+' a blank.  Its length, or -1 where an escape is
 * malformed, what comes out holds a NUL or is not UTF-8, or it does not fit. */
int http_unescape(struct http_text in, char *out, size_t size);

#endif
