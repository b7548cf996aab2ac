/* liveness: is it alive?  A pure judgement over what was seen of a holder, with the clocks as arguments.
 *
 * What the kernel proves comes first: a lock that has fallen is a death, a lock that is held is a life, whatever
 * the clocks say.  Ages are taken from the monotonic clock of one boot, which neither a suspended
 * machine nor a set clock moves; where that cannot be (another boot, another time namespace) the wall clock has to do,
 * and an age is never negative.  Nobody is older than the observer has been awake. */
#ifndef DPL_LIVENESS_H
#define DPL_LIVENESS_H

#include <stdbool.h>
#include <stdint.h>

enum life {
	LIFE_ALIVE,
	LIFE_SUSPENDED, /* said that it stops itself (Ctrl-Z) */
	LIFE_SUSPECT,   /* silent for too long, but its process is there: shown, never acted on */
	LIFE_HUNG,      /* held, but silent (SIGSTOP, swapping): shown, never acted on */
	LIFE_STALE,     /* a lease that is over: acted on */
	LIFE_DEAD,      /* proven: acted on */
};
const char *life_name(enum life life);
/* Whether it is over: stale or dead. */
bool life_is_over(enum life life);

enum process { PROCESS_UNKNOWN, PROCESS_RUNS, PROCESS_GONE };

struct evidence {
	bool held;               /* the holder works by lock, else by lease */
	bool keeper;             /* held: for another process, which `process` is about */
	bool remote;             /* it beats by a server … */
	int64_t served_ms;       /* … that has run since then, monotonic; 0: for ever, -1: none runs */
	int64_t heard_ms;        /* … and has read all that was sent to it until then, monotonic; 0 or in the future: until now */
	bool locked;             /* the lock is held now */
	bool suspended;          /* it said so */
	bool same_boot;          /* as the observer's */
	bool same_machine;       /* … surely the same machine */
	bool same_clock;         /* same boot and time namespace: mono_ms can be compared */
	bool ttl_given;          /* leased: ttl_ms was asked for */
	bool calls_held;         /* leased: a call of it is held by a live supervisor */
	enum process process;    /* leased: the one that joined; keeper: the one it keeps */
	int64_t ttl_ms;
	int64_t wall_ms, mono_ms; /* the last beat; mono_ms -1 unknown */
};

struct observer {
	int64_t wall_ms, mono_ms; /* now */
	int64_t awake_ms;         /* monotonic: since when it has been watching without a gap; 0 where it only just came */
	int64_t stale_ms;         /* held ones that are silent for longer hang, remote ones are stale */
};

struct verdict {
	enum life life;
	int64_t age_ms;          /* of the last beat */
	bool unseen;             /* nothing could be read of it: suspect, whatever it is */
	char why[160];           /* the evidence, for people: "its lock has fallen" */
};

struct verdict liveness_judge(const struct evidence *e, const struct observer *now);

#endif
