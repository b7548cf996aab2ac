/* stream: those who wait for what happens — event streams (text/event-stream), and requests that wait for the next entry or change. */
#ifndef DPL_STREAM_H
#define DPL_STREAM_H

#include "serve.h"

enum {
	STREAM_COMMENT_MS = 15000, /* a line that means nothing, so that whoever is between does not take it for dead */
	STREAM_BATCH = 500,        /* entries at a time */
};

struct streams *streams_new(struct server *s);
void streams_free(struct streams *t);

/* Answer a request to /operation/events or /operation/changes, `path`: at once where there is something to tell or it has no
 * waitMs, else when there is, or the time is over.  -1 where memory runs out. */
int stream_wait(struct streams *t, struct conn *c, const char *path, const struct json *request);

/* Begin an event stream: the answer's head, what is there already from `from` on, and whatever comes.  -1 with `why`, and nothing
 * sent. */
int stream_begin(struct streams *t, struct conn *c, const struct json *request, int64_t from, struct why *why);

/* The client has taken what it had been sent: more can follow. */
void stream_resume(struct streams *t, struct conn *c);

/* Its client sends no more: a request that waits is answered now, for it may be that nobody reads the answer later. */
void stream_hurry(struct conn *c, int64_t now_ms);

/* The connection goes. */
void stream_drop(struct streams *t, struct conn *c);

/* Descriptors to be watched for reading: those of what is waited for; -1 none (yet). */
void streams_descriptors(const struct streams *t, int fds[2]);

/* One of them can be read, or it is time: go on with those whom it concerns. */
void streams_go_on(struct streams *t, int64_t now_ms);

/* When to go on in any case, monotonic; INT64_MAX: nobody waits. */
int64_t streams_next(const struct streams *t);

/* All end: the server stops. */
void streams_end(struct streams *t);

#endif
