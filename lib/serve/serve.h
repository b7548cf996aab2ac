/* serve: what the rooms of the server share. */
#ifndef DPL_SERVE_H
#define DPL_SERVE_H

#include "conn.h"
#include "guard.h"
#include "request.h"
#include "tls.h"
#include "work.h"

struct streams;

enum { SERVE_PORT = 19880 };

struct serve_options {
	const char *ledger;          /* an absolute path */
	const char *const *addresses; /* to listen on; none: 127.0.0.1 and ::1 */
	size_t addresses_n;
	int port;                    /* 0: any that is free */
	bool port_given;
	const char *unix_path;       /* or NULL */
	const char *cert, *key, *client_ca; /* TLS; or NULL */
	const char *token_file;
	bool insecure;               /* others than this machine may come without a token */
	const char *const *hosts, *const *origins;
	size_t hosts_n, origins_n;
	size_t body_most, connections_most;
	int64_t sweep_ms;            /* 0: never */
	bool log;                    /* a line on stderr for each request */
	const struct notice *notice;
	struct store_options store;
	int served;                  /* what served_begin gave; loop closes it */
};

/* A socket that listens. */
struct listener {
	int fd;
	bool by_path;            /* a unix socket */
	bool tls;
	bool second;             /* the other address of loopback, which goes without saying */
	char where[200];         /* its URL */
};

/* What is counted, for /metrics. */
struct counts {
	uint64_t connections, refused, requests, by_class[6], flushes, streams, timeouts;
	uint64_t buckets[12];        /* of the time that requests took, see metrics.c */
	double seconds;
};

struct server {
	const struct serve_options *o;
	struct guard guard;
	struct verbs verbs;
	struct work *work;
	struct streams *streams;
	struct buf reply;            /* of the verb that was carried out last */
	struct counts counts;
	int64_t started_ms;          /* wall */
	int port;
	size_t open;                 /* connections */
	bool stopping;
	void (*answered)(struct server *s, struct conn *c); /* somebody else than the caller of route has put an answer */
};

#endif
