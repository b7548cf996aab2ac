/* remote/probe: ask many addresses at once whether a server of ledgers is there.
 *
 * Each is asked GET /status, without a token and without following anybody anywhere.  What answers something else, too much
 * (PROBE_MOST bytes), or too late is none.  So many silent addresses take as long as one. */
#ifndef DPL_REMOTE_PROBE_H
#define DPL_REMOTE_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

enum { PROBE_MOST = 65536 };

struct probes;

/* What became of one. */
struct probed {
	size_t number;           /* as probes_add returned it */
	const char *url;         /* as it was added */
	bool is;                 /* it is a server of ledgers: */
	char service[40], version[40];
	int64_t age_ms;          /* since it was started, by its own clock; -1 unknown */
	int64_t took_ms;         /* from the question to the answer */
	const char *problem;     /* else: why not */
};

/* Each has timeout_ms to connect and as much again to answer.  NULL with `why`. */
struct probes *probes_new(int64_t timeout_ms, struct why *why);
void probes_free(struct probes *p);

/* Ask one: its number, from 0 on, or -1 with `why`: the URL is none. */
int probes_add(struct probes *p, const char *url, struct why *why);

/* The next that is settled, in the order in which they are: 1, valid until the next call; 0 where none is within wait_ms; -1 where all are. */
int probes_next(struct probes *p, int64_t wait_ms, struct probed *out);

#endif
