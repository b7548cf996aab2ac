/* remote/exchange: one request and its answer over HTTP/1.1, on one connection that is kept.
 *
 *	exchange_open(&x, &target, &options, &why)
 *	switch (exchange_post(&x, &p, &answer, &why)) …      as often as one likes
 *	exchange_close(&x)
 *
 * Nobody is redirected anywhere, so that what is sent goes to the target alone. */
#ifndef DPL_REMOTE_EXCHANGE_H
#define DPL_REMOTE_EXCHANGE_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "remote/target.h"

enum { EXCHANGE_MAX = 64 << 20 }; /* bytes of an answer */

struct exchange_options {
	const char *ca, *cert, *key; /* files for TLS, NULL: the system's authorities, no certificate of our own */
	int64_t timeout_ms, connect_ms;
};

struct exchange {
	const struct target *target;
	int64_t timeout_ms, connect_ms;
	CURLM *multi;
	CURL *easy;
	/* of the request under way */
	struct buf *answer;
	bool once, sent, overflow;
	char words[CURL_ERROR_SIZE];
};

struct exchange_request {
	const char *path;    /* "/operation/show" */
	const char *body;    /* JSON … */
	size_t n;            /* … of so many bytes */
	const char *key;     /* Idempotency-Key, or NULL */
	const char *token;   /* Authorization: Bearer, or NULL */
	int64_t more_ms;     /* how much longer than usual its answer may take */
	int64_t most_ms;     /* … and how long at most; 0: no such limit */
	bool once;           /* never send it twice, not even where a connection that was kept turns out to be dead */
};

enum exchange_end {
	EXCHANGE_CAME,    /* an answer: exchange_status, `answer` */
	EXCHANGE_UNSENT,  /* nothing was sent */
	EXCHANGE_LOST,    /* it was sent, in part at least, and no answer came */
	EXCHANGE_STRANGE, /* something came that is no answer */
	EXCHANGE_REFUSED, /* nothing was sent, nor will be: what we ask TLS for is not there.  `why` has a hint */
};

/* 0, or -1 with `why`. */
int exchange_open(struct exchange *x, const struct target *t, const struct exchange_options *o, struct why *why);
void exchange_close(struct exchange *x);

/* Send one, wait for its answer.  Without one `why` has the reason alone, "no answer within 30 s".  The process ends here where
 * nobody is left to read its standard output. */
enum exchange_end exchange_post(struct exchange *x, const struct exchange_request *r, struct buf *answer, struct why *why);

/* Of the last answer: its status; how long its Retry-After asks to wait, -1 where it does not. */
int exchange_status(const struct exchange *x);
int64_t exchange_retry_ms(const struct exchange *x);

#endif
