/* removal: doing away with the temp resources of an operation that are nobody's any more.
 *
 * Whoever removes holds byte 0 of the file `coordinator` by an open-file-description lock, so that no undo command is run by two;
 * each result is an entry.  A coordinator of a newer epoch (cleanup.h) fences who removes already. */
#ifndef DPL_REMOVAL_H
#define DPL_REMOVAL_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "journal.h"
#include "resource.h"

enum {
	REMOVAL_LIMIT_MS = 300000,  /* for one resource, where that is what was asked for … */
	REMOVAL_QUICK_MS = 1000,    /* … and by the way */
};

/* What became of one resource, or would become, or why it stays. */
struct removal_told {
	const struct resource *resource;
	const char *decision;    /* "removed", "gone", "left", "failed", "forgotten"; "waits", "elsewhere"; with look "remove" */
	const char *reason;      /* "" for none */
};

/* Add it as an object. */
void removal_put(struct buf *b, const struct removal_told *t);

struct removal {
	const char *by;          /* the author of what is appended */
	int64_t limit_ms;        /* for one resource */
	bool retry;              /* try again what has failed before */
	bool forget;             /* give up what is elsewhere, or fails */
	bool look;               /* change nothing, only tell … */
	const struct buf *dead;  /* … as if these calls, by the seq of each (uint64_t), had ended; NULL for none */
	void (*told)(void *arg, const struct removal_told *t); /* may be NULL */
	void *arg;
	/* out: */
	int left_over;           /* resources that are to go and are still there: they failed, are elsewhere, or time was over */
	bool busy;               /* another does it */
};

/* Remove, newest first, those that are due, or `all`; the caller holds the lock.  *fenced: another has become the coordinator meanwhile.
 * 0, or -1 with `why`. */
int removal_all(struct journal *j, struct removal *r, bool all, bool *fenced, struct why *why);

/* Remove what is due, with the lock, waiting for it until end_ms (monotonic); archive an operation that has ended where nothing is
 * left.  0, 1 where another does it, or -1 with `why`. */
int removal_due(struct journal *j, struct removal *r, int64_t end_ms, struct why *why);

/* Remove one resource now, or with `keep` only forget it.  0 with what became of it (RESOURCE_HERE: the time was over), or -1 with
 * `why`. */
int removal_one(struct journal *j, const char *by, uint64_t id, bool keep, enum resource_result *result, char *reason, size_t size, struct why *why);

/* What another host, which has it, did about one. */
struct removal_report {
	enum resource_result result;
	const char *reason;      /* "" for none */
	uint64_t entries;
	const char *printed;     /* by a fallback command; NULL */
};

/* Record it; where flushes are deferred it has its with the next of the journal.  *recorded is false where that one is not registered any more, as
 * when this was reported before.  0, or -1 with `why`. */
int removal_report(struct journal *j, const char *by, uint64_t id, const struct removal_report *report, bool *recorded, struct why *why);

/* Who runs an undo command ends by a signal only when that is done and recorded: else it would be run again, while it runs.  For other kinds
 * only *before is filled, the mask to be set again. */
void removal_shield(enum resource_kind kind, sigset_t *before);

/* Whether one is due that nobody has tried to remove yet. */
bool removal_is_fresh(const struct op *op);

/* Whether this process is part of an undo command of this operation, or of a call in one, which others remove for: it must not wait for
 * them. */
bool removal_is_below(const char *operation);

/* The file of the locks: a descriptor, or -1 with `why`; locking a byte: 0, or -1 with errno, EAGAIN where another has it; asking. */
int removal_open(struct journal *j, struct why *why);
int removal_lock_byte(int fd, uint64_t byte);
bool removal_is_locked(int fd, uint64_t byte);

/* The same without a descriptor, where the file may not be there yet; and of the byte that removal_lock locks. */
bool removal_is_held(const struct journal *j, uint64_t byte);
bool removal_is_busy(const struct journal *j);

/* Hold the lock of who does away, on this machine, with what this user has sealed for an operation: there are two who may, on the ledger's
 * folder and by a server.  A descriptor, -1 with `why`, or -2 where another has it until end_ms, or runs an undo command that this process is part
 * of.  -3: nobody of this user has sealed anything here. */
int removal_lock_sealed(const char *operation, int64_t end_ms, struct why *why);

/* Hold the lock of who removes: a descriptor, -1 with `why`, or -2 where another has it until end_ms, or runs an undo command that
 * this process is part of. */
int removal_lock(struct journal *j, int64_t end_ms, struct why *why);

/* Commit and flush at once, also where flushes are deferred.  0 also where that is visible but not durable; -1 with `why`. */
int removal_commit(struct journal *j, struct why *why);

#endif
