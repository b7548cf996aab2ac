/* journal: one operation's folder and the file in it that is the truth.
 *
 *	struct journal j;
 *	if (journal_open(&j, …) < 0) …             the state is folded: j.op
 *	if (journal_lock(&j, &why) < 0) …          nobody else writes; folded again
 *	if (the state in j.op allows it) {
 *		json_put…(journal_entry(&j, by, EVENT_…), …);
 *		journal_entry_end(&j);
 *		if (journal_commit(&j, &why) < 0) …  one write; unlocked; flushed
 *	} else
 *		journal_unlock(&j);
 *	journal_close(&j);
 *
 * Readers need no lock: they see whole lines only.  An operation moves to backup/ by one rename of
 * its folder; an open journal stays valid then, and its last line says that nothing may follow. */
#ifndef DPL_JOURNAL_H
#define DPL_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "beat.h"
#include "buf.h"
#include "err.h"
#include "fold.h"
#include "keyset.h"
#include "wire.h"

struct stat;

struct journal_options {
	bool keep;               /* fold everything and keep what has ended, for showing */
	bool head;               /* fold into op.h alone, see fold.h: for looking only, never for a change */
	bool sync;               /* flush what must be durable */
	bool defer;              /* … and unlock: not in each commit, but in journal_flush, for many at once */
	bool timed;              /* the caller set the time limit: its end is timed-out, not ledger-busy */
	int64_t wait_ms;         /* for the lock */
	uint64_t stop_seq;       /* with keep: fold no further; UINT64_MAX */
	int64_t stop_ms;         /* likewise by time; INT64_MAX */
	const struct notice *notice;
};

struct journal {
	int dir;                 /* the operation's folder */
	int fd;                  /* journal.jsonl */
	struct op op;            /* the state up to op.h.offset */
	struct journal_options o;
	struct buf path;         /* of the file, for messages */
	struct buf text;         /* what was read last */
	struct buf pending;      /* lines to be appended */
	uint64_t pending_seq;    /* of the newest of them */
	uint64_t pending_resources; /* temp resources that they register */
	int64_t now_ms;          /* what they are stamped with */
	uint64_t inode;
	const struct stat *fresh; /* what fstat said just now, for the next look; else NULL */
	uint64_t checkpoint;     /* the stored checkpoint reaches this far */
	uint64_t flushed;        /* this far is known to be on disk */
	int64_t blocks;          /* bytes allocated to the file */
	int lost;                /* errno of a flush that failed: what was written may not be on disk, for ever */
	int refused;             /* errno of opening it for writing, where only reading was allowed */
	bool writable, locked;
	bool abort_bit;          /* the file's mode says "aborted, reason lost" */
	bool torn;               /* bytes behind op.h.offset are a torn tail */
	bool pending_flush, pending_vital, pending_results, ring;
	char drop[BEAT_FILE_MAX]; /* a file of the folder that goes with these entries, "" none */
	int drive;               /* the coordinator file, locked at `epoch`: this process drives the cleanup (cleanup.h); -1 */
	uint64_t epoch;
	int64_t window_end_ms;   /* monotonic: until then the held ones have time to answer */
	struct keyset keys;      /* those of the entries before `keyed`, for one who keeps it open (change.c) */
	uint64_t keyed;
	bool owed;               /* a deferred flush is due … */
	bool ahead;              /* … and journal_sync_ahead has made it */
	bool changed;            /* something was appended through this struct */
};

/* Open the operation in `folder` of `parent` and fold it; `shown` is the folder's path for
 * messages.  0, or -1 with `why`: ERR_NO_OPERATION where it is not there. */
int journal_open(struct journal *j, int parent, const char *folder, const char *shown, const struct journal_options *o, struct why *why);

/* Close it; afterwards, where much was folded, leave a checkpoint for the next. */
void journal_close(struct journal *j);

/* What journal_close leaves behind, for one who keeps it open. */
void journal_tidy(struct journal *j);

/* Fold what others have appended since. */
int journal_refresh(struct journal *j, struct why *why);

/* Take the lock, fold what came, cut a torn tail.  -1 with `why`: ERR_BUSY or ERR_TIMED_OUT with who
 * holds it, ERR_PERMISSION, ERR_DAMAGED …; nothing is locked then. */
int journal_lock(struct journal *j, struct why *why);
void journal_unlock(struct journal *j);

/* Begin the next entry; its members go into the buffer that is returned. */
struct buf *journal_entry(struct journal *j, const char *by, enum event event);
void journal_entry_end(struct journal *j);

/* The number of the next temp resource that an entry in pending registers. */
int64_t journal_new_resource(struct journal *j);

/* Whether there is room for the result of a removal, also on a full disk. */
bool journal_has_room(struct journal *j);

/* Append the entries with one write, unlock, and flush if one of them must be durable.  0, or -1:
 * nothing of them is in the journal, but for ERR_NOT_DURABLE, which says what is. */
int journal_commit(struct journal *j, struct why *why);

/* Flush the file.  0, or -1 with errno, and from then on always. */
int journal_sync(struct journal *j);

/* The same for a deferred flush that is due, in any thread while no other uses the journal: journal_flush, which must be next,
 * says how it went. */
void journal_sync_ahead(struct journal *j);

/* Unlock if it is locked, and carry out a deferred flush.  0, or -1 with ERR_NOT_DURABLE. */
int journal_flush(struct journal *j, struct why *why);

/* Whether the operation is aborted, by an entry or by the mode bit. */
bool journal_aborted(const struct journal *j);

/* The way to set or clear the abort flag where a disk is so full that no byte can be appended. */
int journal_set_abort_bit(struct journal *j, bool on);

/* Read whole lines from `pos` on into `text`, at least one if there is one, about `max` bytes at most,
 * never beyond what is folded. */
int journal_read(struct journal *j, uint64_t pos, struct buf *text, size_t max, struct why *why);

/* Read one line, without its newline, into `text`. */
int journal_line(struct journal *j, struct line line, struct buf *text);

/* Where the texts of the journal's state come from, for wire.h. */
struct wire_source journal_source(struct journal *j);

/* Go through the lines folded so far, from `pos` on, that contain `needle`; `each` returns false to
 * stop.  0, or -1 with `why`. */
int journal_search(struct journal *j, uint64_t pos, const char *needle,
	bool (*each)(void *arg, const char *line, size_t n), void *arg, struct why *why);

/* Watch for the next entry (WATCH_WRITE); for what must be acted on (abort, crash, cancel, end); for the death of those who hold
 * beat files.  Each returns what watch_add returns. */
struct watch;
int journal_watch(struct journal *j, struct watch *w);
int journal_watch_bell(struct journal *j, struct watch *w);
int journal_watch_beats(struct journal *j, struct watch *w);

/* Make the files of a new operation in the empty folder `dir`: the journal with `first`, its first
 * line, flushed when `sync`.  0 or -1 with errno. */
int journal_build(int dir, const struct buf *first, bool sync);

/* Undo journal_build, whole or half done, without opening anything. */
void journal_unbuild(int dir);

/* Give back the space reserved ahead of the end. */
void journal_give_back(struct journal *j);

#endif
