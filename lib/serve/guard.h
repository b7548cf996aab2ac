/* guard: who may ask — the name that a request is sent to, the page that it comes from, and its token.
 *
 * A browser on this machine can send requests to a server on loopback for any page that it shows.  So the Host must be one of
 * this server (a page can make its own name point here), and what comes from a page (Origin, Sec-Fetch-Site) must come from one
 * that is allowed.  Programs send neither header. */
#ifndef DPL_GUARD_H
#define DPL_GUARD_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"
#include "err.h"
#include "http.h"

enum { GUARD_TOKEN_LEAST = 16, GUARD_TOKEN_MOST = 4096 };

struct guard {
	const char *const *hosts;   /* names that may stand in Host besides those of loopback; "*": any */
	size_t hosts_n;
	const char *const *origins; /* "*": any page at all */
	size_t origins_n;
	struct buf token;           /* empty: none is needed */
};

/* Read the token from the first line of `file`, which must be a regular file that nobody but its owner can read.  0, or -1 with
 * `why`; the guard keeps the token that it had then. */
int guard_read_token(struct guard *g, const char *file, struct why *why);
void guard_free(struct guard *g);

/* How a request has come, and what it is for. */
struct guard_way {
	bool unix_socket;           /* no browser comes by that, and Host says nothing */
	bool tls;
	const char *local;          /* the address that it came to, as a literal; "" none: nobody can make a name of their own of that */
	bool page;                  /* it asks for our own page, to which a link may lead from anywhere: there is nothing of the ledger in it */
};

/* Whether the request may be looked at, whoever sends it: 0, or -1 with `why` (ERR_MISDIRECTED, ERR_FORBIDDEN, ERR_MEDIA).  Our own page may ask, which is
 * one of the same scheme, name and port that the request is sent to.  *origin gets the page of another server that may read the answer, p NULL for none. */
int guard_check(const struct guard *g, const struct http_head *h, struct guard_way way, struct http_text *origin, struct why *why);

/* Whether any page may ask, so that all answers say so. */
bool guard_allows_all(const struct guard *g);

/* Whether it has the token: 0, or -1 with ERR_UNAUTHORIZED.  Takes the same time whatever is wrong with it. */
int guard_check_token(const struct guard *g, const struct http_head *h, struct why *why);

#endif
