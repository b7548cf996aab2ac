/* happened: what was seen while a scenario was played, and whether that is what it expects. */
#ifndef DPL_HAPPENED_H
#define DPL_HAPPENED_H

#include "id.h"
#include "scenario.h"

enum {
	HAPPENED_NOT = -2,       /* it is still there, or never came */
	HAPPENED_KILLED = -1,    /* it ended without a word */
};

/* Somebody found, or did, something; times are milliseconds since the beginning. */
struct happened_event {
	int64_t at_ms;
	int who;                 /* the participant that died; -1: of another name */
	int call;                /* … or the call, whose it was; -1 */
	int by;                  /* who has found or done it; -1 */
};

enum { HAPPENED_EVENTS = 64 };

struct happened {
	char operation[ID_OPERATION_MAX + 1];
	char state[16];          /* of the operation in the end: "running", "completed", "failed" */
	bool aborted;
	bool served;             /* the ledger was behind a server */
	bool timed_out;          /* the limit was over */
	int64_t took_ms;
	bool *put_in;            /* of each failure of the scenario: it did come */
	int64_t first_failure_ms; /* when the first was put in; -1 none was */
	int *exit;               /* of each participant: its status, HAPPENED_KILLED, HAPPENED_NOT */
	char (*call)[16];        /* of each call: "running", "ended" …; "absent" */
	char (*reason)[200];     /* … and why it ended so */
	struct happened_event death[HAPPENED_EVENTS], abort[HAPPENED_EVENTS]; /* the first ones */
	int deaths, aborts;
	int temps, temps_left;   /* how many were registered, and are still there */
	bool takeover;           /* a second process coordinated the cleanup */
	bool processes_left;     /* some had to be ended when all was over */
};

/* Room for what happens in a scenario.  0 or -1 (memory). */
int happened_begin(struct happened *h, const struct scenario *s);
void happened_end(struct happened *h);

/* Hold an expectation, by its number, to what happened: true, or false with what was expected and what happened instead. */
bool happened_as_expected(const struct happened *h, const struct scenario *s, double scale, int expectation, char text[SCENARIO_TEXT]);

#endif
