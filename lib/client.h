/* client: send a request to wherever the ledger is.
 *
 * A path is served in this process (verb.h); a URL by a helper program `dpl-remote-SCHEME`, which is
 * found beside this program, in ../libexec/dpl, or on PATH, started on the first request, and
 * spoken to over two pipes in lines of JSON: dpl-remote-helpers(7). */
#ifndef DPL_CLIENT_H
#define DPL_CLIENT_H

#include <sys/types.h>

#include "verb.h"
#include "watch.h"

/* A helper program that runs, and the two pipes to it. */
struct helper {
	pid_t pid;               /* 0: not started */
	int to, from;
	struct buf line;         /* what came from it and was not used yet */
};

struct client {
	char *ledger;            /* as it was resolved: an absolute path, or a URL */
	struct store_options o;
	bool remote;
	bool found;              /* … and nobody named it: it was found on this machine */
	struct verbs verbs;
	bool stays;              /* it is asked for as long as something runs: its helper does not try again by itself for a minute */
	int64_t hurry_ms;        /* how long the next requests may take at most, where they are remote; 0: as long as they do */
	struct helper helper;    /* for requests … */
	struct helper ear;       /* … and a second one, which waits for what must be acted on */
	int64_t heard;           /* the entry that the ear waits for … */
	char queued[ID_NAME_MAX + 1]; /* … or the turn of that call, "" */
	char left[ID_OPERATION_MAX + 1]; /* the operation that had something left when it was asked last, perhaps on this machine; "" (reclaim.h) */
};

/* Name the ledger: `name` as given by the user; NULL: the default folder; "auto": the server that DPL_SERVER names, or that of this machine,
 * else that folder; "auto:scan" looks for one in the networks of this machine as well (dpl-discover).  Nothing is opened yet.  0, or -1 with `why`. */
int client_open(struct client *c, const char *name, const struct store_options *o, struct why *why);
void client_close(struct client *c);

/* What must be done before the process ends, which closes all the rest: checkpoints, and the end of a helper. */
void client_finish(struct client *c);

/* With o.defer: make what was done durable, before the replies are passed on (verbs_flush). */
int client_flush(struct client *c, struct why *why);

/* After the reply has been passed on: work that need not delay it. */
void client_tidy(struct client *c);

/* The next /call/start of a local ledger holds the call (verbs_hold); NULL: no longer.  False for a remote ledger, which
 * cannot. */
bool client_hold(struct client *c, struct verbs_hold *hold);

/* Hold the name of a participant of a live operation, see verbs_hold_person.  0 with the descriptor in *fd (-1: the ledger is
 * remote: it is held there, as long as it beats, see client_put_holder), or -1 with `why`. */
int client_hold_person(struct client *c, const char *operation, const char *participant, const struct beat_id *id, uint64_t *newest, int *fd, struct why *why);

/* The name is a lease again, of the process that id->watched says, where the ledger is remote; else closing the descriptor does that. */
void client_let_go_person(struct client *c, const char *operation, const char *participant, const struct beat_id *id);

/* Who beats for a name or a call that is held on a remote ledger: members of a heartbeat.  Of a keeper also the process that it keeps, with
 * its start (proc_start); 0: none. */
void client_put_holder(struct buf *body, bool holds, int64_t kept, int64_t kept_start);

/* Whether a keeper holds that name for process `pid` of this host. */
bool client_keeps(struct client *c, const char *operation, const char *participant, int64_t pid);

/* Watch the bell and the beats of a live operation of a local ledger.  0 with what watch_add returned for each, or -1: there is no
 * pushing, look by yourself; w->refused says why, 0 where the ledger is remote or its filesystem tells nothing. */
int client_watch(struct client *c, const char *operation, struct watch *w, int *bell, int *beats);

/* The same where the ledger is remote: a second helper waits for the next entry that must be acted on.  The descriptor that can be
 * read when there is one, or the helper has died; -1: there is no such thing. */
int client_listen(struct client *c, const char *operation);

/* From its next request on it hears of the turn of a call as well, which waits for a slot; NULL: no longer. */
void client_listen_for(struct client *c, const char *call);

/* That descriptor can be read: take in what came, and wait for the next.  It is time to ask how things stand; closed is the ear where it can hear
 * nothing more (client_listen may be called again). */
void client_hear(struct client *c, const char *operation);

/* Open what the command of a call has printed, see verbs_output.  ERR_NO_FILE where the ledger is remote, and keeps none. */
int client_output(struct client *c, const char *operation, const char *call, bool err, struct verbs_output *out, struct why *why);

/* Carry out one request, see verb_do.  A helper that cannot be had gives a reply too, with the code
 * `unreachable`. */
int client_call(struct client *c, const char *path, const struct json *json, int body, const char *key, struct buf *reply);

/* The same for an object that is text: it is parsed and checked first. */
int client_call_text(struct client *c, const char *path, const struct buf *body, const char *key, struct buf *reply);

#endif
