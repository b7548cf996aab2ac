/* conn: one client's connection — its bytes, the request that is being read, its deadlines.
 *
 * Nothing here blocks.  What stands in `in` from `used` on is the request that is being read: its head stays there until the
 * request was answered, so that it can be parsed again where it lies, whatever came behind it. */
#ifndef DPL_CONN_H
#define DPL_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "http.h"
#include "peer.h"

struct server;
struct tls;

enum {
	CONN_HEAD_MS = 5000,     /* for a head, from its first byte on */
	CONN_REQUEST_MS = 10000, /* for all of a request */
	CONN_IDLE_MS = 30000,    /* between two requests */
	CONN_STALL_MS = 5000,    /* without taking a byte of its answer */
	CONN_LINGER_MS = 1000,   /* to take the last answer */
	CONN_OUT_MOST = 1 << 18, /* bytes of answers that wait to be taken: no more requests are carried out meanwhile */
};

enum conn_state {
	CONN_READS,    /* a request is awaited, or being read */
	CONN_ASKED,    /* it is whole, and its answer is being worked on */
	CONN_STREAMS,  /* the answer is an event stream */
	CONN_LINGERS,  /* the last answer is on its way: what still comes is thrown away */
};

struct conn {
	int kind;              /* what epoll tells of: see loop.c */
	int fd;
	struct tls *tls;       /* NULL: plain */
	struct server *server; /* its owner */
	bool by_path;          /* it came by a unix socket */
	bool near;             /* the client is on this machine */
	char peer[16];         /* else its address, as one of IPv6 */
	char local[PEER_LITERAL]; /* the address that it came to, as it stands in a URL; "" for a unix socket */
	enum conn_state state;
	bool expects;          /* it sends its body when it is told to */
	bool eof;              /* it sends no more */
	bool broken;           /* to be closed */
	bool last;             /* … once the answer is out */
	bool queued;           /* among those that the loop goes over */
	bool waits_room;       /* it has requests that are taken once its answers are gone */
	uint32_t events;       /* what epoll tells of it */
	size_t body_most, in_most; /* bytes of a body, and of all that stands in `in` */
	struct buf in;
	size_t used;
	size_t seen;           /* bytes of `in` behind `used` when it was last looked at for a head */
	size_t head;           /* bytes of the head at in.p + used, 0: it is not whole yet */
	size_t fed;            /* bytes of a chunked body behind it that were decoded … */
	struct http_chunks chunks;
	struct buf body;       /* … to here */
	struct buf out;
	size_t sent;           /* bytes of `out` that are gone */
	bool held;             /* an answer waits for a flush … */
	size_t held_at;        /* … and begins here in `out` */
	bool head_only;        /* the request is HEAD: its answer has no body */
	int minor;             /* … and of this version */
	int status;            /* of the answer that was put last */
	const char *asked;     /* the path of the request that is being worked on … */
	int64_t asked_us;      /* … since when, monotonic, in microseconds; 0: none is */
	char origin[128];      /* which Origin may read the answer, "" none */
	int64_t since_ms;      /* when the request began, or the last answer was out (monotonic) */
	int64_t taken_ms;      /* when the client last took something */
	uint64_t number;       /* of the connection, for the log */
	uint32_t requests;
	void *job;             /* what it waits for: see stream.c; NULL nothing … */
	int64_t work;          /* … and the number of what a child carries out for it, 0 */
	struct conn *next, *prev, *queue;
};

/* `body_most`: what a request may bring. */
struct conn *conn_new(int fd, bool near, size_t body_most, int64_t now_ms);
void conn_free(struct conn *c);

/* Read what is there.  False where nothing can come any more: c->eof, or c->broken. */
bool conn_fill(struct conn *c, int64_t now_ms);

/* The next request: 1 with its head (valid until conn_done or the next conn_fill) and body, 0 where more is needed, -1 with
 * `fault`.  With 0, c->expects says that the head is there, in `h`, and the client wants to be told to go on. */
int conn_next(struct conn *c, struct http_head *h, struct http_text *body, struct http_fault *fault);

void conn_go_on(struct conn *c);

/* The request has been taken: what stands behind it is the next one. */
void conn_done(struct conn *c, int64_t now_ms);

/* Send what waits.  False where the connection is broken. */
bool conn_send(struct conn *c, int64_t now_ms);

/* Whether there is enough in it for now: nothing more is read. */
bool conn_is_full(const struct conn *c);

/* Whether all answers are out. */
bool conn_is_clear(const struct conn *c);

/* The last answer is on its way: send no more behind it, and do not lose it by closing while bytes still come. */
void conn_end(struct conn *c, int64_t now_ms);

/* When it must have moved, monotonic; INT64_MAX: it need not. */
int64_t conn_deadline(const struct conn *c);

#endif
