/* remote/target: where a ledger is that is named by a URL. */
#ifndef DPL_REMOTE_TARGET_H
#define DPL_REMOTE_TARGET_H

#include <stdbool.h>

#include "err.h"

enum { TARGET_PORT = 19880 }; /* of http, where the URL names none */

struct target {
	const char *name; /* as it was given, not owned */
	char *base;       /* what the path of a request is put behind: "http://host:19880/prefix" */
	char *socket;     /* the path of a unix socket; NULL */
	bool local;       /* on this machine: no proxy is asked */
};

/* Understand `http://host[:port][/prefix]`, `https://…` or `unix:/path`, which `unix:///path` is as well.  0, or -1
 * with `why` (ERR_USAGE), also where it holds a user, a password, a query or a fragment. */
int target_parse(struct target *t, const char *name, struct why *why);
void target_free(struct target *t);

#endif
