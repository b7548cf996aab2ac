/* vigil: staying awake over one operation, as a supervisor or a keeper does.
 *
 * One poll(2) waits for signals (signalfd), for the bell and for the death of others (inotify) and for the next beat.  What is
 * pushed is a hint; the truth is the heartbeat, which is asked for at each beat, every two seconds where nothing is
 * pushed, and whenever something was pushed.  Between beats it sleeps. */
#ifndef DPL_VIGIL_H
#define DPL_VIGIL_H

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/signalfd.h>

#include "client.h"

enum vigil_end { VIGIL_GOES_ON, VIGIL_COMPLETED, VIGIL_FAILED, VIGIL_GONE };

struct vigil {
	struct client *client;
	const char *operation, *participant;
	const char *call;        /* the supervised call, or NULL */
	const char *outer;       /* … and the call that it is part of, or NULL */
	const struct notice *verbose; /* what is said at -v; may be NULL */
	int held;                /* the beat file, -1 for none */
	bool late;               /* it began when somebody had died already: what follows that does not wait for it, nor it for that */
	bool promises;           /* it supervises, or keeps somebody: where nothing can be held it promises to beat */
	bool suspended;          /* … and says with its next beat that it is about to stop itself */
	int64_t kept, kept_start; /* the process that a keeper keeps; 0: it is none … */
	int64_t newest;          /* … and the last session under its name that a server told of */
	int signals;             /* signalfd */
	struct watch watch;
	int bell, beats;         /* -1: not watched */
	int ear;                 /* what a server tells of comes here, -1 … */
	bool listens;            /* … which is wanted */
	bool pushed;             /* both are watched */
	int64_t beat_ms, jitter_ms; /* the operation's, once it was asked; `own_pace`: the caller's */
	bool own_pace, own_jitter;
	int64_t stale_ms;        /* the operation's: silent for longer hangs */
	int64_t window_ms;       /* … and how long the held ones have to answer, when somebody has died; 9 s as long as it was not asked */
	int64_t died_ms;         /* when it heard of that first, monotonic; 0: nobody has */
	bool whole;              /* ask for the whole result, which stays in `reply` */
	int64_t next_ms;         /* when to ask next, monotonic */
	int64_t seen_ms;         /* when it looked at the clock last, monotonic */
	int64_t awake_ms;        /* it slept or was stopped until then, for longer than both its pace and a quarter of stale_ms, and watches without a gap since; 0: it never did */
	/* what the last heartbeat said: */
	enum vigil_end end;
	enum err ended;          /* … as the error that said so: ERR_FAILED where that was a death, else ERR_ENDED; `reason` has its text */
	bool aborted, crashed, dead, stale;
	char reason[600];        /* of the abort; or the evidence of the crash; or what is wrong */
	char hint[300];          /* what to do where something is wrong */
	char call_state[16];     /* "running", "cancelled" … */
	int ending;              /* processes of dead supervisors that are still there */
	int64_t running;         /* how many calls run in the operation */
	bool owes;               /* it recorded such a death, and has not begun to end them */
	enum err error;          /* why it could not be asked, ERR_NONE */
	enum err unrecorded;     /* why a death that it found could not be recorded, ERR_NONE; `reason` says it where nothing is worse */
	int64_t lost_ms;         /* since when it cannot be reached, monotonic; 0: it can */
	struct buf reply;
};

/* Begin: `signals` become readable from v->signals; they must be blocked.  0 or -1 with errno. */
int vigil_begin(struct vigil *v, const sigset_t *signals);

/* Be pushed from now on; says at -v where that cannot be. */
void vigil_watch(struct vigil *v);

/* Ask: beat, and take in how the operation stands.  0, or -1 where it could not be asked (v->error; v->end is VIGIL_GONE where
 * the operation is not there). */
int vigil_ask(struct vigil *v);

/* Likewise, but look first whether the supervisor around this one has died, of which a signal is the first word, or there was no watch
 * yet to tell it.  It is a beat only where there is none around. */
int vigil_ask_outer(struct vigil *v);

/* The process that is kept has ended: record that its participant died, unless it has left or all is over.  0 or -1. */
int vigil_bury(struct vigil *v, const char *evidence);

/* Go on with what follows a death, as one that is held; with `answer` for a keeper, which has done what it had to.  It waits for the
 * others no longer than `patience_ms`.  1 where the operation has come to its end, 0 where not yet, -1 where that cannot be told. */
int vigil_clean(struct vigil *v, bool answer, int64_t patience_ms);

/* Sleep until a signal, a push, the next beat, `until_ms` (monotonic, INT64_MAX for none) or one of the other `n` descriptors
 * in fds, whose revents are set.  Asks where that is due; true if it did. */
bool vigil_wait(struct vigil *v, int64_t until_ms, struct pollfd *fds, int n);

/* The next signal that came, false for none; never waits. */
bool vigil_signal(struct vigil *v, struct signalfd_siginfo *info);

/* It was stopped for a while, or slept: nobody is judged by that time. */
void vigil_awoke(struct vigil *v);

/* Begins what it owes. */
void vigil_finish(struct vigil *v);

#endif
