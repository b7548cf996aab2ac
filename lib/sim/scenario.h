/* scenario: what dpl-sim plays — who takes part, their tree of calls, what goes wrong, and what must come of it.
 *
 * Read from the text that dpl-scenario(5) describes.  All times are those of the file, in milliseconds; who plays it scales them. */
#ifndef DPL_SCENARIO_H
#define DPL_SCENARIO_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"

enum { SCENARIO_NAME = 48, SCENARIO_TEXT = 300, SCENARIO_SIZE_MAX = 1 << 18 };

/* Settings, in the order of the page; each has a default. */
enum scenario_setting {
	SETTING_BEAT,            /* from one beat to the next */
	SETTING_JITTER,          /* added to it at random */
	SETTING_STALE,           /* so long without a beat: silent, hung */
	SETTING_WINDOW,          /* what who must clean up is given for it */
	SETTING_GRACE,           /* from SIGTERM to SIGKILL for what is stopped */
	SETTING_DELAY,           /* before and behind each call */
	SETTING_PROCESSING,      /* from one "processing" of who works to the next */
	SETTING_POLL,            /* from one look for an answer to the next */
	SETTING_LIMIT,           /* for the whole of it: then the run has failed */
	SCENARIO_SETTINGS
};

const char *scenario_setting_name(enum scenario_setting setting);

/* Somebody who is asked, and answers by a file; no participant. */
struct scenario_external {
	char name[SCENARIO_NAME];
	int64_t answer_ms;       /* after so long; -1 never */
	int64_t timeout_ms;      /* who asks waits so long */
	char error[SCENARIO_TEXT]; /* the answer is this error, "" none */
};

struct scenario_call {
	char name[SCENARIO_NAME];
	int participant;         /* whose it is */
	int parent;              /* the call that makes it, -1: the first one */
	int depth;
	int external;            /* whom it asks behind its work, -1 nobody */
	bool beside;             /* it runs beside the call before it */
	int temps;               /* so many temp resources it makes */
	int64_t work_ms;
	int64_t undo_ms;         /* it registers a command that takes so long; 0 none */
};

/* Where somebody is in what they do. */
enum scenario_phase { PHASE_INITIALISATION, PHASE_PROCESSING, PHASE_RESPONSE, PHASE_COMPLETION, PHASE_CLEANUP, SCENARIO_PHASES };

const char *scenario_phase_name(enum scenario_phase phase);

enum scenario_fault {
	FAULT_CRASH,             /* SIGKILL of its process */
	FAULT_VANISH,            /* SIGKILL of all that it has: process, keeper, supervisors, what they run */
	FAULT_HANG,              /* SIGSTOP, and what it runs with it */
	FAULT_ERROR,             /* its work says so, and fails */
	FAULT_STALE,             /* SIGSTOP of its keeper and its supervisors: it works on, and beats no more */
	FAULT_ABORT,             /* SIGINT, as by Ctrl-C */
	FAULT_RESTART,           /* of the server: SIGKILL, and a new one */
	FAULT_PARTITION,         /* nothing gets through between the server and its clients */
	FAULT_STEP,              /* of the clock */
	FAULT_FULL,              /* the disk of the ledger */
	SCENARIO_FAULTS
};

const char *scenario_fault_name(enum scenario_fault fault);

struct scenario;

/* "bridge", "everybody". */
const char *scenario_who_name(const struct scenario *s, int who);

/* Whom it hits: a participant (its number), or one of these. */
enum { WHO_EVERYBODY = -1, WHO_COORDINATOR = -2, WHO_SERVER = -3, WHO_NETWORK = -4, WHO_CLOCK = -5, WHO_DISK = -6 };

struct scenario_failure {
	int line;
	int who;
	enum scenario_fault fault;
	char text[SCENARIO_TEXT]; /* what an error says */
	bool aborts;             /* who has it aborts the operation before it fails */
	int64_t step_ms;         /* of the clock, may be negative */
	int64_t lasts_ms;        /* of a partition, a full disk, a hang, a silence; -1: for good */
	int64_t at_ms;           /* since the beginning; or, where it is -1, … */
	enum scenario_phase phase; /* … so long after who is hit came to this phase … */
	int call;                /* … of this call, -1 of any */
	int64_t after_ms;
};

/* Whether its time counts from when that participant comes to that phase of that call (-1: of none). */
bool scenario_counts_from(const struct scenario_failure *f, int who, int call, enum scenario_phase phase);

enum scenario_expected {
	EXPECT_STATE,            /* of the operation at its end */
	EXPECT_EXIT,             /* of a participant */
	EXPECT_DEATH,            /* of a participant is found */
	EXPECT_ABORT,            /* somebody sets the flag */
	EXPECT_CALL,             /* how a call ends */
	EXPECT_TEMPS,            /* what was registered is gone */
	EXPECT_QUIET,            /* nobody is found dead, nobody aborts */
	EXPECT_TAKEOVER,         /* another process goes on with the cleanup of one that did not end it */
};

struct scenario_expectation {
	int line;
	enum scenario_expected what;
	bool here, there;        /* only where the ledger is a folder, or behind a server */
	int who;                 /* a participant, or a call; -1: any */
	uint64_t by;             /* one of these participants (bits) must be who does it; 0: whoever */
	int64_t within_ms;       /* of the failure; -1: at any time */
	int exit;                /* the status; -1: killed */
	char word[SCENARIO_NAME]; /* the state */
	char text[SCENARIO_TEXT]; /* the reason of a call's end has this in it; "" whatever it is */
};

struct scenario {
	char name[SCENARIO_NAME];
	char title[SCENARIO_TEXT];
	int64_t setting[SCENARIO_SETTINGS];
	char (*participants)[SCENARIO_NAME]; /* the first is the initiator; at most 64 */
	struct scenario_external *externals;
	struct scenario_call *calls; /* each behind the one that makes it */
	struct scenario_failure *failures;
	struct scenario_expectation *expectations;
	int participants_n, externals_n, calls_n, failures_n, expectations_n;
	bool served;             /* its ledger is behind a server; with `apart` those who take part are on another host */
	bool apart;
	int64_t sweep_ms;        /* dpl-cleanup --sweep comes by each time that so long has passed; -1: never */
};

/* Read the n bytes of a file, and draw what is a range with that seed; `name` is what it is called in messages.  0, or -1 with `why`, whose text begins with NAME:LINE; in both
 * cases scenario_free gives the memory back. */
int scenario_read(struct scenario *s, const char *name, const char *text, size_t n, uint64_t seed, struct why *why);
void scenario_free(struct scenario *s);

/* The number of a participant, of a call; -1 where there is none of that name. */
int scenario_find_participant(const struct scenario *s, const char *name);
int scenario_find_call(const struct scenario *s, const char *name);

#endif
