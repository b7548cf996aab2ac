/* work: requests that may take long are carried out by children of the server, `dpl-batch` on the same ledger, so that
 * no other client waits for a removal, for a command that undoes something, or for a look through thousands of operations. */
#ifndef DPL_WORK_H
#define DPL_WORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

enum {
	WORK_CHILDREN = 24,      /* at most at the same time … */
	WORK_QUEUED = 256,       /* … and requests that wait for one of them; behind half of that no slow one is taken */
	WORK_IDLE_MS = 20000,    /* after which one that has nothing to do is sent home */
};

struct work;

/* How long a request may keep a child.  Of each kind only so many of them are given one (work.c), so that what is shorter always finds another:
 * it may be what the longer ones wait for. */
enum work_kind {
	WORK_SLOW,               /* as long as another client lets it wait, or as a command that undoes something takes */
	WORK_BRIEF,              /* as long as the disk: what may take longer is left to others */
	WORK_QUICK,              /* likewise, and somebody is taken for dead who is not heard */
};

/* What becomes of the answer: status and body, or 0 where the child died (nobody knows whether it was carried out).  `arg` is
 * what work_ask was given. */
typedef void work_answered(void *arg, int status, const char *body, size_t n);

/* `watch` is told of descriptors to be watched for reading (and, closed, not to be), with what is to be handed to work_ready. */
struct work *work_new(const char *ledger, void (*watch)(void *server, int fd, void *child), void *server);

/* Send all children home, who end by themselves, each behind what it is at: the caller reaps them, as all that end while it runs
 * (proc_reap). */
void work_free(struct work *w);

struct work_request {
	const char *path, *key, *from; /* key: NULL for none; from: as in a line for dpl-batch */
	const char *body;        /* a JSON object, n bytes, on one line */
	size_t n;
	enum work_kind kind;
};

/* Have it carried out.  A number for it, or -1 where too many wait. */
int64_t work_ask(struct work *w, const struct work_request *r, work_answered *answered, void *arg);

/* Nobody waits for the answer any more.  It is carried out all the same. */
void work_forget(struct work *w, int64_t number);

/* A descriptor of a child can be read. */
void work_ready(struct work *w, void *child);

/* Send home who was idle for long, at `now_ms`; when to come again, INT64_MAX for never. */
int64_t work_tidy(struct work *w, int64_t now_ms);

/* How many are being carried out, or wait. */
size_t work_load(const struct work *w);

#endif
