/* answer: what is sent back for one request. */
#ifndef DPL_ANSWER_H
#define DPL_ANSWER_H

#include "serve.h"
#include "err.h"

/* Add an answer with a JSON body to c->out. */
void answer(struct conn *c, int status, const struct buf *body);

/* The same of another type; type NULL: no body. */
void answer_text(struct conn *c, int status, const char *type, const char *text, size_t n);

/* A page, with what a browser lets it do (Content-Security-Policy). */
void answer_page(struct conn *c, const char *policy, const char *text, size_t n);

/* The head of an event stream. */
void answer_stream(struct conn *c);

/* A failure: {"error":…,"code":…,"hint":…}. */
void answer_why(struct conn *c, const struct why *why);

/* The reply of a verb that failed, in the words of the wire: those of the old protocol where that has some, and ours are the detail then.  It goes to
 * `to`, which is empty. */
void answer_words(const struct server *s, const struct conn *c, int status, const char *reply, size_t n, struct buf *to);

/* The reply of a verb: as it is, or, where it failed, in the words of the wire. */
void answer_reply(const struct server *s, struct conn *c, int status, const char *reply, size_t n);

/* A request that cannot be read: the connection ends behind the answer. */
void answer_fault(struct conn *c, const struct http_fault *fault);

#endif
