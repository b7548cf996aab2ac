/* conn: one client's connection. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conn.h"
#include "tls.h"

enum { READ_BYTES = 16384, KEPT_BYTES = 4096, CHUNKS_COST = 8, LOOK_BYTES = 256 };

struct conn *
conn_new(int fd, bool near, size_t body_most, int64_t now_ms)
{
	struct conn *c = calloc(1, sizeof *c);
	if (!c)
		return NULL;
	c->fd = fd;
	c->near = near;
	c->body_most = body_most;
	c->in_most = HTTP_HEAD_MAX + body_most * CHUNKS_COST;
	c->since_ms = c->taken_ms = now_ms;
	return c;
}

void
conn_free(struct conn *c)
{
	tls_free(c->tls);
	close(c->fd);
	buf_free(&c->in);
	buf_free(&c->body);
	buf_free(&c->out);
	free(c);
}

/* What an idle connection keeps is multiplied by their number. */
static void
keep_little(struct buf *b)
{
	if (b->cap > KEPT_BYTES)
		buf_free(b);
	else
		buf_clear(b);
}

bool
conn_fill(struct conn *c, int64_t now_ms)
{
	while (!c->eof && !c->broken) {
		if (buf_reserve(&c->in, READ_BYTES) < 0) {
			c->broken = true;
			break;
		}
		ssize_t n = c->tls ? tls_read(c->tls, c->in.p + c->in.n, READ_BYTES) : recv(c->fd, c->in.p + c->in.n, READ_BYTES, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			c->broken = errno != EAGAIN && errno != EWOULDBLOCK;
			break;
		}
		if (n == 0) {
			c->eof = true;
			break;
		}
		if (c->in.n == c->used && c->state == CONN_READS)
			c->since_ms = now_ms;
		c->in.n += (size_t)n;
		if (c->state != CONN_READS && c->state != CONN_ASKED) {
			c->in.n = c->used; /* nobody asks for it */
			continue;
		}
		/* Enough for now: what is there is answered first. */
		if ((!c->tls && n < READ_BYTES) || conn_is_full(c))
			break;
	}
	return !c->eof && !c->broken;
}

static int
too_large(struct http_fault *fault)
{
	*fault = (struct http_fault){413, "the body is larger than is taken here"};
	return -1;
}

static int
take_chunks(struct conn *c, const char *p, size_t n, struct http_text *body, struct http_fault *fault)
{
	size_t taken = 0;
	int rc = http_unchunk(&c->chunks, p + c->fed, n - c->fed, &taken, &c->body, c->body_most, fault);
	c->fed += taken;
	*body = (struct http_text){c->body.p ? c->body.p : "", c->body.n};
	if (rc == 0 && n > c->in_most - HTTP_HEAD_MAX)
		return too_large(fault);
	return c->body.failed ? too_large(fault) : rc;
}

/* Who sends a head byte by byte does not have it parsed anew for each. */
static bool
is_worth_a_look(const struct conn *c)
{
	size_t n = c->in.n - c->used;
	return n < c->seen || n - c->seen >= LOOK_BYTES || c->seen == 0 || memchr(c->in.p + c->used + c->seen, '\n', n - c->seen);
}

int
conn_next(struct conn *c, struct http_head *h, struct http_text *body, struct http_fault *fault)
{
	size_t length = 0;
	bool fresh = !c->head;
	*body = (struct http_text){"", 0};
	c->expects = false;
	if (c->in.n == c->used || (fresh && !is_worth_a_look(c)))
		return 0;
	c->seen = c->in.n - c->used;
	int rc = http_parse_head(c->in.p + c->used, c->in.n - c->used, h, &length, fault);
	if (rc != 1)
		return rc;
	c->head = length;
	if (fresh) {
		c->chunks = (struct http_chunks){0};
		c->fed = 0;
		buf_clear(&c->body);
	}
	if (h->framing == HTTP_LENGTH && h->length > c->body_most)
		return too_large(fault);
	const char *behind = c->in.p + c->used + length;
	size_t n = c->in.n - c->used - length;
	c->expects = fresh && h->expects_continue && n == 0;
	if (h->framing == HTTP_CHUNKED)
		return take_chunks(c, behind, n, body, fault);
	if (h->framing == HTTP_LENGTH && n < h->length)
		return 0;
	c->fed = h->framing == HTTP_LENGTH ? (size_t)h->length : 0;
	*body = (struct http_text){behind, c->fed};
	return 1;
}

void
conn_done(struct conn *c, int64_t now_ms)
{
	c->used += c->head + c->fed;
	c->head = c->fed = c->seen = 0;
	c->since_ms = now_ms;
	c->requests++;
	keep_little(&c->body);
	if (c->used == c->in.n) {
		keep_little(&c->in);
		c->used = 0;
	} else if (c->used > READ_BYTES) {
		c->in.n -= c->used;
		memmove(c->in.p, c->in.p + c->used, c->in.n);
		c->used = 0;
	}
}

bool
conn_send(struct conn *c, int64_t now_ms)
{
	size_t end = c->held ? c->held_at : c->out.n;
	while (!c->broken && c->sent < end) {
		ssize_t n = c->tls ? tls_write(c->tls, c->out.p + c->sent, end - c->sent) : send(c->fd, c->out.p + c->sent, end - c->sent, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			c->broken = errno != EAGAIN && errno != EWOULDBLOCK;
			break;
		}
		c->sent += (size_t)n;
		c->taken_ms = now_ms;
	}
	c->broken |= c->out.failed;
	if (c->sent == c->out.n) {
		keep_little(&c->out);
		c->sent = 0;
	}
	return !c->broken;
}

void
conn_go_on(struct conn *c)
{
	buf_str(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
	c->expects = false;
}

bool
conn_is_full(const struct conn *c)
{
	return c->in.n - c->used > c->in_most || c->out.n - c->sent > CONN_OUT_MOST;
}

bool
conn_is_clear(const struct conn *c)
{
	return c->sent == c->out.n;
}

void
conn_end(struct conn *c, int64_t now_ms)
{
	if (c->state == CONN_LINGERS)
		return;
	c->state = CONN_LINGERS;
	c->since_ms = now_ms;
	c->in.n = c->used = 0;
	if (c->tls)
		tls_end(c->tls);
	if (shutdown(c->fd, SHUT_WR) < 0)
		c->broken = true;
}

int64_t
conn_deadline(const struct conn *c)
{
	if (!conn_is_clear(c) && !c->held)
		return c->taken_ms + CONN_STALL_MS;
	switch (c->state) {
	case CONN_READS:
		if (c->in.n == c->used)
			return c->since_ms + (c->requests ? CONN_IDLE_MS : CONN_HEAD_MS);
		return c->since_ms + (c->head ? CONN_REQUEST_MS : CONN_HEAD_MS);
	case CONN_LINGERS:
		return c->since_ms + CONN_LINGER_MS;
	default:
		return INT64_MAX;
	}
}
