/* request: what the verbs have in common — the ledger they work on, the operations that are kept open
 * between two requests, and the request being carried out with its members. */
#ifndef DPL_REQUEST_H
#define DPL_REQUEST_H

#include <stdint.h>

#include "buf.h"
#include "json.h"
#include "seal.h"
#include "store.h"

struct follow;

enum { VERBS_OPEN = 8, VERBS_MOST = 256 }; /* operations that are kept open between requests; by who asks for more of them */

/* What a start of a supervised call is asked for and gives, within one process. */
struct verbs_hold {
	struct beat_id id;       /* who holds the call */
	bool watchdog;           /* make the file that its beats are seen by, too */
	bool captures;           /* … and a place for what its command prints */
	bool queued;             /* it holds the call already, which was queued: fd is of that */
	int fd;                  /* out: of the locked beat file, the caller's to close; -1 */
	int dog;                 /* out: of the watchdog's file, likewise */
	int place;               /* out: for what the command prints, see capture.h, likewise */
	struct buf cgroup;       /* out: the path of its control group, empty for none; the caller's to free */
};

struct verbs {
	char *path;              /* of the ledger */
	struct verbs_hold *hold; /* the next /call/start holds the call; else NULL */
	bool stays;              /* a coordinator stays one from one request to the next: for who is held */
	int64_t beaten_ms;       /* when request_beat touched a file last, and which */
	uint64_t beaten;
	struct store_options o;
	struct store store;      /* open when store.path is set */
	struct journal *few[VERBS_OPEN];
	struct journal **open;   /* … or more of them, for a server: the caller's array */
	int open_most;           /* how many of them may be in use, VERBS_MOST at most */
	struct why owed;         /* a deferred flush failed when its journal was closed: code is set */
	void (*flush_all)(void *arg, struct journal *const *journals, size_t n); /* NULL; or what calls journal_sync_ahead for each, two or more */
	void *flush_arg;
	int opened;              /* how many of them are in use, the one used last first */
	struct follow *follow;   /* once a request has waited */
	bool brief;              /* nobody may be kept waiting: a beat behind which much is to be done is refused (ERR_BUSY), for one who may wait */
	bool remote;             /* requests come from elsewhere: nobody is judged by the processes of this machine */
	bool near;               /* … but the one that is carried out comes from this machine … */
	bool owner;              /* … and from the ledger's own user, for certain: by a unix socket that only that one can open */
	int reader;              /* -1; else replies are written there, and a wait is over where nobody reads it any more (watch_is_unread) */
};

/* Serve the ledger at `path` (copied).  Nothing is opened or made before a request needs it.  0 or -1. */
int verbs_open(struct verbs *v, const char *path, const struct store_options *o);
void verbs_close(struct verbs *v);

/* Let go of the lock that a deferred commit kept, but for `but` (NULL: of all).  Whoever waits, or takes another
 * lock, does it before. */
void verbs_unlock(struct verbs *v, const struct journal *but);

/* With deferred flushes: make durable what was done since the last call.  Replies must not be passed on
 * before it gave 0; -1 with `why`: none of them may be called durable. */
int verbs_flush(struct verbs *v, struct why *why);

/* Whether it has something to make durable. */
bool verbs_owes(const struct verbs *v);

/* Whether a change of that operation may take long: somebody has died, or, where it `removes`, there is something to be removed.  False also
 * where there is no such operation. */
bool verbs_may_take_long(struct verbs *v, const char *operation, bool removes);

/* Who asks for the end of a call, which waits for somebody else, is alive as it comes: touch the beat files that the request names. */
void verbs_beat_call(struct verbs *v, const struct json *json);

/* After a reply was given: leave checkpoints where they help the next. */
void verbs_tidy(struct verbs *v);

/* Hold the name of a participant of a live operation.  *newest, 0 the first time, gets the number of its newest session: where that
 * is another one than it was, the name is held again only if it is now a lease of the process that id->watched
 * names.  0 with the descriptor, or -1 with `why`: ERR_HELD says who has it, ERR_NO_PARTICIPANT and ERR_DEAD that it takes no
 * part. */
int verbs_hold_person(struct verbs *v, const char *operation, const char *participant, const struct beat_id *id, uint64_t *newest, int *fd, struct why *why);

/* Whether a keeper holds that name for process `pid`. */
bool verbs_keeps(struct verbs *v, const char *operation, const char *participant, int64_t pid);

/* Say that a name is held, and by whom; returns -1 with `why`. */
int request_held(const struct journal *j, const char *participant, const struct beat *holder, struct why *why);

/* Watch the bell and the beats of a live operation, which stays open then.  0 with what watch_add returned for each, or -1. */
struct watch;
int verbs_watch(struct verbs *v, const char *operation, struct watch *w, int *bell, int *beats);

/* What the command of a call has printed, as descriptors, the caller's to close; -1: there is none (any more). */
struct verbs_output {
	int fd;                  /* the file: it is made when there is something to put into it */
	int folder;              /* … in which it appears */
	int beats;               /* the folder from which the beat file of the call goes when it ends */
};

/* Open that, of a live operation or an ended one.  0, or -1 with `why`. */
int verbs_output(struct verbs *v, const char *operation, const char *call, bool err, struct verbs_output *out, struct why *why);

struct request {
	struct verbs *v;
	const struct json *json; /* what the request's object is a part of … */
	int body;                /* … and which value it is */
	const char *path;
	int64_t begun_ms;        /* when it was begun, monotonic */
	const char *key;         /* NULL: none; … */
	const char *const *found; /* … members that say how things were when it was sent, and do not make it another request; ends in NULL; NULL: none */
	struct buf *reply;
	struct why why;
};

/* --- members of the request.  Each returns 0, or -1 with r->why (missing where `needed`, wrong type, not
 * allowed).  One that is absent or null leaves "" or the default. --- */

int request_operation(struct request *r, char id[ID_OPERATION_MAX + 1]);
int request_participant(struct request *r, bool needed, char name[ID_NAME_MAX + 1]);
int request_call(struct request *r, const char *member, bool needed, char id[ID_NAME_MAX + 1]);
int request_int(struct request *r, const char *member, int64_t least, int64_t most, int64_t *value);
int request_bool(struct request *r, const char *member, bool *value);
/* A text of any length; *text is NULL where it is absent, else the caller frees `b`. */
int request_text(struct request *r, const char *member, bool needed, struct buf *b, const char **text);
/* Put one, where it is there, into an entry as member `as`. */
int request_put_text(struct request *r, struct buf *b, const char *member, const char *as);
/* A member object of the request (a value index, -1 where absent), or the wrong type. */
bool request_has(const struct request *r, const char *member);

/* The live operation that the request names, open in v->open.  With `fold` what others appended is
 * folded (a change does that under the lock anyway). */
struct journal *request_live(struct request *r, const char *id, bool fold);

/* Open it anew, also one that has ended; it is for the caller to close and to free.  NULL with r->why. */
struct journal *request_get(struct request *r, const char *id);

/* The operation, live or just ended: one that has ended goes to *own, which the caller gives to request_close_own.  NULL with r->why. */
struct journal *request_any(struct request *r, const char *id, struct journal **own);
void request_close_own(struct request *r, struct journal *j, struct journal *own);

/* Close an operation that request_live gave, because it has ended. */
void request_close(struct request *r, struct journal *j);

/* What waits, made when it is needed first; NULL with r->why. */
struct follow *request_follow(struct request *r);

/* Open the ledger, if it is not open; with `create` make it. */
int request_store(struct request *r, bool create);

/* A sign of life of the participant that the request names: touch its beat file, if it has one. */
void request_beat(struct request *r, struct journal *j);

/* Who asks by a server and promises to beat by it, as its beat file says it. */
struct beat_id request_far(struct request *r);

/* Whether what the request tells of is on this machine (machineId, bootId). */
bool request_is_placed_here(struct request *r);

/* Refuse what would have something done on this machine, as the ledger's user, for one who comes by a server and is not that user for
 * certain.  -1 with r->why, which calls it `what`. */
int request_refuse_stranger(struct request *r, const char *what);

/* A member that is a seal (seal.h), "" where it is absent; or what is wrong with it. */
int request_seal(struct request *r, const char *member, char seal[SEAL_TEXT]);

/* The seal of what is to be done one day, "" for none; what is placed on this machine and has none is refused likewise. */
int request_sealed(struct request *r, const char *what, char seal[SEAL_TEXT]);

/* Clients of the old protocol name nobody: whatever one of them does is a sign of life of all of them in that operation.  `promises`: it
 * is a beat, and more of them are expected from now on. */
void request_beat_nameless(struct journal *j, bool promises);

/* Refuse a participant that was declared dead and has not joined again: -1 with r->why.  0 for any other. */
int request_refuse_dead(struct request *r, struct journal *j, const char *participant);

/* Refuse also who never joined, or has left: -1 with r->why. */
int request_refuse_absent(struct request *r, struct journal *j, const char *participant);

/* A participant as a member object of an array: what the journal knows of it, and whether it is alive. */
void request_person(struct request *r, struct journal *j, const struct op_person *p, int64_t awake_ms);

/* The members that every reply about an operation has: operationId, seq, aborted, abortReason. */
void request_common(struct request *r, struct journal *j, uint64_t seq);

#endif
