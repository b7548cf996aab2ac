/* verb: carry out one request on a ledger.
 *
 * A request is a path and a JSON object, exactly as on the wire (`/call/start` with
 * `{"operationId":…}`), and its reply a status and a JSON object.  The command line and the server
 * both come through here, so they cannot disagree.  dpl-batch(1) lists the paths with their
 * members.
 *
 * A failed request gives {"error":text,"code":…,"hint":…}; code is from the list in err.h. */
#ifndef DPL_VERB_H
#define DPL_VERB_H

#include "request.h"

/* Carry out one request, whose members are the object `body` of `json` (-1: none), already checked for duplicates.
 * `key` is the idempotency key or NULL.  `reply` gets the object.  Returns the status, 200 for success. */
int verb_do(struct verbs *v, const char *path, const struct json *json, int body, const char *key, struct buf *reply);

/* A failure as a reply; returns its status. */
int verb_failure(const struct why *why, struct buf *reply);

/* Whether a reply is a failure of that code. */
bool verb_failed_as(const struct buf *reply, enum err code);

#endif
