/* store: a ledger, and the operations in it.
 *
 * This is the small interface between the verbs and what keeps the entries.  store_file.c serves it
 * from a directory; another store (etcd) would be another file with the same functions, linked into
 * a helper of its own.  Nothing above knows where an operation's folder is. */
#ifndef DPL_STORE_H
#define DPL_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "beat.h"
#include "err.h"
#include "journal.h"

struct store_options {
	bool sync;               /* flush what must be durable (DPL_SYNC) */
	bool defer;              /* flush only in journal_flush */
	bool timed;              /* wait_ms was given by the user */
	int64_t wait_ms;         /* for a lock */
	int keep;                /* ended operations that stay in backup/ */
	bool hands_off;          /* what somebody left half done stays so: for who only looks */
	const struct notice *notice;
};

enum { STORE_KEEP = 20, STORE_KEEP_FAILED = 5 }; /* the latter: times as many failed or aborted ones */

struct store {
	int dir;
	char *path;
	struct store_options o;
};

/* Open the ledger; with `create` it is made where it is missing, mode 0700.  root goes on as the
 * folder's owner (this thread's file accesses only).  0, or -1 with `why`: ERR_NO_LEDGER where it is missing or no folder,
 * and not to be made. */
int store_open(struct store *s, const char *path, bool create, const struct store_options *o, struct why *why);
void store_close(struct store *s);

/* What store_get is asked for. */
enum store_want { STORE_LIVE, STORE_ANY };

/* Open an operation by its full id.  STORE_LIVE: ERR_ENDED where it has ended; STORE_ANY finds those in
 * backup/ too.  `shape` says how to fold (NULL: the live state).  ERR_NO_OPERATION names some there are. */
int store_get(struct store *s, const char *id, enum store_want want, const struct journal_options *shape,
	struct journal *j, struct why *why);

/* Lock an operation for a change; ERR_ENDED where it ended meanwhile. */
int store_lock(struct store *s, struct journal *j, struct why *why);

/* Make the operation `id` with its first line, and the beat file of its initiator, who is `by`.  0; 1 where one of that id is
 * there; -1 with `why`. */
int store_create(struct store *s, const char *id, const struct buf *first, const char *by, const struct beat_id *lease, struct why *why);

/* Claim a key for creating `id`, and keep others from creating with a key until the claim is closed (close(2)).
 * Where the key was claimed before, `id` becomes that operation's: it exists, live or ended, or its
 * maker died and store_create under that id finishes the work.  One that has been deleted since counts for nothing.  A descriptor, or -1 with
 * `why`. */
int store_claim_key(struct store *s, const char *key, char id[], struct why *why);

/* Move an operation, whose last line is operation.archived, to backup/, and delete what is more
 * than to be kept.  Anyone may do it, also twice. */
int store_archive(struct store *s, struct journal *j, struct why *why);

/* Delete ended operations beyond the newest `keep`, failed and aborted ones beyond STORE_KEEP_FAILED times as many.  Their ids, as in
 * store_list but newest first; -1 with `why` also where the lock of the keys cannot be had, or one cannot be deleted. */
ssize_t store_prune(struct store *s, int keep, char ***ids, struct why *why);

/* The ids of live (or ended) operations, oldest first; *ids is one block for the caller to free. */
ssize_t store_list(struct store *s, bool ended, char ***ids, struct why *why);

/* Watch for operations that come and go, and for the next entry of one of them: what watch_add returns. */
struct watch;
int store_watch(struct store *s, struct watch *w);
int store_watch_operation(struct store *s, const char *id, struct watch *w);

/* How many bytes the journal of a live operation has; -1 where it is not live. */
int64_t store_size(struct store *s, const char *id);

/* Find the one operation whose id contains `part`; among ended ones too with STORE_ANY, if no live one
 * matches.  ERR_AMBIGUOUS with the candidates. */
int store_resolve(struct store *s, const char *part, enum store_want want, char id[], struct why *why);

#endif
