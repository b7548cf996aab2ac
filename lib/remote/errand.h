/* remote/errand: one request of ours carried out by a server, as often tried as that is safe, and its reply.
 *
 * It is tried again after first_ms, then after twice as long and so on, five times at most, where nothing was sent, where the
 * server says 503, and, whatever happened, where carrying it out twice does no harm: it only reads, or has an idempotency key. */
#ifndef DPL_REMOTE_ERRAND_H
#define DPL_REMOTE_ERRAND_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "json.h"
#include "remote/exchange.h"

enum { ERRAND_RETRIES = 5, ERRAND_PATIENCE_MS = 60 * 1000 };

struct errand {
	struct exchange x;
	const char *token_file;      /* NULL: none */
	struct buf token;            /* what was read from it, empty: nothing yet */
	int64_t first_ms;
	int64_t most_ms;             /* how long the next request may take at most; 0: as always */
	bool no_retry;
	bool refused;                /* the token file could not be used, ever */
	bool told;                   /* that it is trying again, since it last had an answer */
	const struct notice *notice; /* gets that; may be NULL */
	struct buf answer;           /* as it came */
};

/* Carry out `path` with object `body` of `json` (-1: {}) and `key` (NULL: none).  The reply's body is in `reply`, JSON on one
 * line; its status is returned. */
int errand_do(struct errand *e, const char *path, const struct json *json, int body, const char *key, struct buf *reply);

/* Give back what the errands had in hand. */
void errand_close(struct errand *e);

#endif
