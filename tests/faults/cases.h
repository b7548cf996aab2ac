/* cases: the commands that change something, and the states of a ledger in which each is tried. */
#ifndef FAULTS_CASES_H
#define FAULTS_CASES_H

#include <stdbool.h>

enum state {
	STATE_NONE,     /* no ledger */
	STATE_EMPTY,    /* a ledger without an operation */
	STATE_BARE,     /* an operation in which nothing runs */
	STATE_FRESH,    /* one with a guest, bob, and his calls one and two */
	STATE_BUSY,     /* with many participants, calls and entries, a checkpoint, and the next one due */
	STATE_ABORTED,  /* fresh, aborted */
	STATE_ENDED,    /* the last line is there, the move to backup/ is not yet made */
	STATE_CRASHED,  /* a supervisor was killed, nobody has looked since */
	STATE_FULL,     /* bare, and as many have ended as are kept */
	STATE_TEMP,     /* fresh, and bob has temp resources: a file, a folder with some, a thing that was there, an undo command */
	STATE_DEAD,     /* likewise, and a supervisor of his was killed */
	STATE_COUNT
};

enum {
	CASE_CREATES = 1, /* it makes an operation */
	CASE_KEYED = 2,   /* again with the same key it gives the same answer, and is there once */
	CASE_STEPS = 4,   /* a line on stdout for each change */
	CASE_CRASHES = 8, /* killed, it has crashed: the operation may fail */
	CASE_ENDS = 16,   /* it ends the operation */
	CASE_LOOKS = 32,  /* it changes nothing of its own */
	CASE_REMOVES = 128, /* it removes temp resources: what cannot be is reported, its own change is made */
	CASE_PROCESS = 64, /* it registers the idle process */
	CASE_RUNS = 256,   /* it runs a command, and has the exit statuses of that */
	CASE_DETACHES = 512, /* a process of its own goes on with that, once it has told the first one that it is begun */
};

/* 0: not tried in that state.  1 + the exit status that it has there without a fault. */
struct test {
	const char *name, *who;
	const char *argv[14];
	const char *in;
	unsigned flags;
	int status[STATE_COUNT];
};

extern const struct test cases[];
extern const int case_count;

const char *state_name(enum state s);

/* Make a ledger in that state, from nothing. */
void state_build(enum state s);

#endif
