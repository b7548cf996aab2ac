/* metrics: what the server counts, in the text of OpenMetrics. */
#ifndef DPL_METRICS_H
#define DPL_METRICS_H

#include "serve.h"

/* Count a request that took so long, with its status. */
void metrics_count(struct server *s, int status, int64_t took_us);

/* Answer with all of it. */
void metrics(struct server *s, struct conn *c);

#endif
