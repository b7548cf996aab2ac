/* request: what the verbs have in common — the ledger they work on, the operations that are kept open
 * between two requests, and the request being carried out with its members. */
#ifndef DPL_REQUEST_H
#define DPL_REQUEST_H

#include <stdint.h>

#include "buf.h"
#include "json.h"
#include "store.h"

struct follow;

enum { VERBS_OPEN = 8 }; /* operations that are kept open between requests */

struct verbs {
	char *path;              /* of the ledger */
	struct store_options o;
	struct store store;      /* open when store.path is set */
	struct journal *open[VERBS_OPEN];
	struct why owed;         /* a deferred flush failed when its journal was closed: code is set */
	int opened;              /* how many of them are in use, the one used last first */
	struct follow *follow;   /* once a request has waited */
};

/* Serve the ledger at `path` (copied).  Nothing is opened or made before a request needs it.  0 or -1. */
int verbs_open(struct verbs *v, const char *path, const struct store_options *o);
void verbs_close(struct verbs *v);

/* Let go of the lock that a deferred commit kept, but for `but` (NULL: of all).  Whoever waits, or takes another
 * lock, does it before. */
void verbs_unlock(struct verbs *v, const struct journal *but);

/* With deferred flushes: make durable what was done since the last call.  Replies must not be passed on
 * before it gave 0; -1 with `why`: none of them may be called durable. */
int verbs_flush(struct verbs *v, struct why *why);

/* After a reply was given: leave checkpoints where they help the next. */
void verbs_tidy(struct verbs *v);

struct request {
	struct verbs *v;
	const struct json *json; /* what the request's object is a part of … */
	int body;                /* … and which value it is */
	const char *path;
	const char *key;         /* NULL: none */
	struct buf *reply;
	struct why why;
};

/* --- members of the request.  Each returns 0, or -1 with r->why (missing where `needed`, wrong type, not
 * allowed).  One that is absent or null leaves "" or the default. --- */

int request_operation(struct request *r, char id[ID_OPERATION_MAX + 1]);
int request_participant(struct request *r, bool needed, char name[ID_NAME_MAX + 1]);
int request_call(struct request *r, const char *member, bool needed, char id[ID_NAME_MAX + 1]);
int request_int(struct request *r, const char *member, int64_t least, int64_t most, int64_t *value);
int request_bool(struct request *r, const char *member, bool *value);
/* A text of any length; *text is NULL where it is absent, else the caller frees `b`. */
int request_text(struct request *r, const char *member, bool needed, struct buf *b, const char **text);
/* A member object of the request (a value index, -1 where absent), or the wrong type. */
bool request_has(const struct request *r, const char *member);

/* The live operation that the request names, open in v->open.  With `fold` what others appended is
 * folded (a change does that under the lock anyway). */
struct journal *request_live(struct request *r, const char *id, bool fold);

/* Close an operation that request_live gave, because it has ended. */
void request_close(struct request *r, struct journal *j);

/* What waits, made when it is needed first; NULL with r->why. */
struct follow *request_follow(struct request *r);

/* Open the ledger, if it is not open; with `create` make it. */
int request_store(struct request *r, bool create);

/* The members that every reply about an operation has: operationId, seq, aborted, abortReason. */
void request_common(struct request *r, struct journal *j, uint64_t seq);

#endif
