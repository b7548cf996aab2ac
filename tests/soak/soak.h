/* soak: what the workers write down, and the check reads. */
#ifndef SOAK_H
#define SOAK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { WORKERS = 32, MOST = 8000, PIDS = 30000, OPERATIONS = 4096, BYSTANDERS = 20, TTL = 10000000 };

/* What a change is. */
enum what {
	W_CREATE, W_JOIN, W_LEAVE, W_LOG, W_PROGRESS, W_START, W_END, W_FAIL, W_RUN, W_ABORT, W_CLEAR, W_COMPLETE, W_FAILED,
	W_MAKE, W_ADD, W_COMMAND, W_REMOVE,
};

/* How its command ended: it said that it is done, it refused, or it was killed and nobody knows. */
enum outcome { OUT_UNSURE, OUT_DONE, OUT_REFUSED };

struct record {
	uint8_t what, outcome, status;
	bool keyed;      /* the entry holds the key K-worker-number */
	bool token;      /* the entry holds T-worker-number, or a ttl of that number */
	bool file;       /* a file or folder of that name was made first */
	bool swapped;    /* … and another put in its place later */
	int32_t op;      /* which operation */
	int64_t seq;     /* as it was acknowledged; 0: none was told */
	int32_t found;   /* entries */
	int64_t swapped_ms; /* by the wall clock */
};

struct worker {
	int n, commands, kills, wrong, pids;
	struct record record[MOST];
	int32_t pid[PIDS]; /* of every command that it ran; negative where it was killed */
};

struct shared {
	struct worker worker[WORKERS];
	_Atomic int operations;
	char operation[OPERATIONS][72];
	_Atomic int stop, complaints;
};

/* The folders: ledger, temp (where the files are made), kept (a second name of each journal). */
extern const char *folder;

/* Say what is wrong, the first twenty times; of all processes, where they share the count.  1. */
extern _Atomic int *complaints;
int complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Link every journal into `kept` that is not there yet. */
void keep_journals(void);

/* Look at everything again and again until s->stop: each journal parses and only grows, each operation is live or in backup, and
 * each operation.json is whole.  How often something was wrong. */
int look_on(struct shared *s, int *looks);

struct found {
	int operations, failed, entries, acknowledged, unsure, resources, undone, epochs, crashes;
};

/* Check all of it when nothing runs any more. */
int check_all(struct shared *s, struct found *f);

#endif
