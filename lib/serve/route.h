/* route: from a request to its answer. */
#ifndef DPL_ROUTE_H
#define DPL_ROUTE_H

#include "serve.h"

enum routed {
	ROUTE_ANSWERED, /* the answer stands in c->out */
	ROUTE_HELD,     /* likewise, but it may be sent only when the journals are flushed */
	ROUTE_LATER,    /* somebody works on it */
};

/* Answer one request, or see to it that it is answered. */
enum routed route(struct server *s, struct conn *c, const struct http_head *h, struct http_text body);

/* Whether a request is refused whatever its body: then it is answered, and the connection ends.  For one that waits for leave to send
 * that. */
bool route_refuses(struct server *s, struct conn *c, const struct http_head *h);

#endif
