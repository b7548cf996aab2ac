/* state: an operation as it stands, and what can be asked of that.
 *
 * Pure: no clock, no files.  Texts (descriptions, reasons, results) stay in the journal: the state keeps the position and length
 * of the line that holds them.
 *
 * A struct op made to keep history also keeps the calls, sessions and participants that have ended;
 * otherwise only what lives stays, which is small however long the journal, and is what a
 * checkpoint holds.  One that is made for the head alone knows the state, the abort flag, crashes and settings, and
 * nothing of who takes part: that is all a beat needs, and costs the same however many they are. */
#ifndef DPL_STATE_H
#define DPL_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "id.h"
#include "table.h"

enum op_state { OP_RUNNING, OP_CLEANUP, OP_COMPLETED, OP_FAILED };
/* "running" and so on. */
const char *op_state_name(enum op_state state);

/* A line of the journal: `len` bytes at `pos`, newline included. len 0 where there is none. */
struct line {
	uint64_t pos;
	uint32_t len;
	uint32_t pad;
};

struct op_head {
	uint64_t seq;       /* of the last line folded, 0 before the first */
	uint64_t offset;    /* where the next line begins */
	struct line first;  /* operation.created: the description */
	struct line last;   /* the line before `offset` */
	struct line abort;  /* the abort.set in force: its reason */
	struct line end;    /* operation.completed or .failed: its reason */
	struct line crash;  /* the first crash.detected: who died, and how that is known */
	int64_t created_ms, changed_ms, ended_ms; /* wall clock; ended_ms -1 while it runs */
	int64_t beat_ms, jitter_ms, stale_ms, ttl_ms, window_ms;
	uint64_t calls_started, calls_ended, calls_failed, calls_crashed, calls_cancelled;
	uint64_t sessions;  /* number of the newest session */
	uint64_t queued;    /* calls that wait for a slot of their group */
	uint64_t people;    /* number of the newest participant */
	uint64_t logs, warnings, errors;
	uint64_t crashes;   /* uncontained ones */
	struct line cleanup;  /* the cleanup.started of the newest epoch */
	uint64_t epoch;     /* of the newest coordinator, 0: there was none */
	uint64_t resources; /* number of the newest temp resource */
	uint64_t removed, gone, left; /* how many of them were removed, were not there any more, were left alone for good */
	uint32_t format;
	uint8_t state;      /* enum op_state */
	uint8_t aborted;    /* the flag is set, or was when it ended */
	uint8_t archived;   /* nothing may follow */
	uint8_t ttl_given;  /* ttl_ms was asked for: a lease that runs out is acted on */
	char id[ID_OPERATION_MAX + 8];
	char initiator[TABLE_NAME + 7];
};

struct op_person {
	struct table_key key;  /* the participant's name */
	uint64_t no;           /* 1, 2, … by first join: how other records name it */
	int64_t joined_ms;     /* the first join */
	int64_t seen_ms;       /* the last entry by it */
	uint32_t sessions;     /* live ones */
	uint32_t calls;        /* running ones */
	uint64_t calls_started;
	struct line death;     /* the crash.detected that says it died; len 0 while it has not, or has joined again */
	struct line progress;  /* the newest of its own */
	uint64_t answered;     /* the cleanup epoch that it has acknowledged */
};

struct op_session {
	struct table_key key;  /* the number as text */
	uint64_t id;
	uint64_t person;       /* op_person.no */
	int64_t joined_ms, left_ms; /* left_ms -1 while it lives */
	int64_t ttl_ms;        /* asked for by this join; -1: the operation's */
	int64_t pid, pid_start;
	struct line start;     /* operation.created or participant.joined */
	uint32_t calls;        /* running ones */
	uint32_t pad;
};

enum call_state { CALL_RUNNING, CALL_ENDED, CALL_FAILED, CALL_CRASHED, CALL_CANCELLED };
const char *call_state_name(enum call_state state);

struct op_call {
	struct table_key key;  /* the call id */
	uint64_t seq;          /* of its call.queued or else call.started: unique even where ids repeat */
	uint64_t parent;       /* seq of the parent's call.started, 0 for none */
	uint64_t person, session; /* session 0: none */
	int64_t started_ms, ended_ms; /* ended_ms -1 while it runs */
	struct line start, end, progress;
	struct line fallen;    /* the resource.removed that tells what its fallback command gave */
	int64_t pid;           /* of the command; while it is queued, of the supervisor */
	uint64_t group;        /* op_group of its name, 0: none … */
	uint32_t slots;        /* … and how many of it run at a time */
	uint8_t state;         /* enum call_state */
	uint8_t queued;        /* running, but for its command, which waits for a slot */
	uint8_t cancelling;    /* its cancellation was asked for */
	uint8_t spawned;       /* in the background: a sync without ids waits for it */
	uint8_t fail_on_crash;
	uint8_t held;          /* by a supervisor, through its beat file */
	uint8_t fallback;      /* its start says what its result is when it crashes */
	uint8_t pending;       /* it crashed, and its fallback command is still to be run */
};

enum resource_kind { RESOURCE_PATH, RESOURCE_PROCESS, RESOURCE_COMMAND };
enum resource_result { RESOURCE_HERE, RESOURCE_REMOVED, RESOURCE_GONE, RESOURCE_KEPT, RESOURCE_LEFT, RESOURCE_FORGOTTEN, RESOURCE_FAILED };
/* "path" and so on; "" for RESOURCE_HERE. */
const char *resource_kind_name(enum resource_kind kind);
const char *resource_result_name(enum resource_result result);
/* The other way round: an unknown kind is RESOURCE_PATH, an unknown result RESOURCE_FAILED. */
enum resource_kind resource_kind_by_name(const char *name, size_t n);
enum resource_result resource_result_by_name(const char *name, size_t n);

/* A temp resource: what is to be removed when its owner is no more.  It stays until that was done, or given up; RESOURCE_FAILED is
 * tried again. */
struct op_resource {
	struct table_key key;  /* the number as text */
	uint64_t id;
	uint64_t person;       /* who registered it … */
	uint64_t call;         /* … and the call.started it is tied to, 0: to the participant */
	uint64_t host;         /* sum of the machine it is on: only that removes it */
	uint64_t sum;          /* op_thing of what it is */
	int64_t added_ms;
	struct line added, made, result; /* the newest resource.removed, which may have failed */
	uint32_t tries;        /* how often that failed */
	uint8_t kind;          /* enum resource_kind */
	uint8_t state;         /* enum resource_result */
	uint8_t unmade;        /* dpl-temp make is about to create it, or died before it could say that it had */
	uint8_t pad;
};

struct op {
	struct op_head h;
	struct table people, sessions, calls, resources;
	bool keep;             /* keep what has ended */
	bool head;             /* fold into h alone, without counting; the tables stay empty */
	uint64_t stop_seq;     /* fold no line with a higher seq … */
	int64_t stop_ms;       /* … nor a later one; INT64_MAX */
	const char *wrong;     /* after FOLD_DAMAGED: what is wrong with line h.seq + 1 */
	void *held;            /* memory that the tables borrow, and how to give it back */
	size_t held_size;
	void (*give_back)(void *held, size_t size);
};

void op_init(struct op *op, bool keep);
void op_free(struct op *op);

/* Participants by name and by number, sessions by number, running calls by id; NULL where there is
 * none.  With history, a participant that has left is found too (sessions is 0 then). */
struct op_person *op_person(struct op *op, const char *name);
struct op_person *op_person_no(const struct op *op, uint64_t no);
struct op_session *op_session(struct op *op, uint64_t id);
struct op_call *op_call(struct op *op, const char *id);

/* The newest live session of a participant, or NULL. */
struct op_session *op_newest_session(const struct op *op, const struct op_person *person);

/* A temp resource that is to be removed, by number; NULL where there is none. */
struct op_resource *op_resource(struct op *op, uint64_t id);

/* Whether it has ended, though it may not be archived yet: then only what is to be removed still is. */
bool op_has_ended(const struct op *op);

/* Whether its owner is no more: the call it is tied to has ended, or its participant has no live session, or the operation
 * has ended. */
bool op_is_due(const struct op *op, const struct op_resource *r);

/* The call of that seq, or NULL. */
struct op_call *op_call_seq(const struct op *op, uint64_t seq);

/* How many temp resources are registered; how many of them are due. */
uint64_t op_resources(const struct op *op);
uint64_t op_due(const struct op *op);

/* The sum by which a machine is told from others, of its id and name as resource.added holds them. */
uint64_t op_host(const char *machine, const char *host);

/* The sum by which a resource is found: of its path or command as JSON spells it, or of its pid as digits. */
uint64_t op_thing(enum resource_kind kind, const char *text, size_t n);

/* The sum by which a group of calls is found, of its name as JSON spells it; never 0. */
uint64_t op_group(const char *name, size_t n);

/* Whether no other of its group waits longer than a queued call; and whether its command may start, since a slot is free as well. */
bool op_is_first(const struct op *op, const struct op_call *c);
bool op_is_next(const struct op *op, const struct op_call *c);

/* The word for its state: of one that runs "queued", "cancelling" or "running". */
const char *op_call_word(const struct op_call *c);

/* How many calls run, the queued included. */
uint64_t op_running(const struct op *op);

/* How long a session's lease lasts, and whether that was asked for. */
int64_t op_ttl(const struct op *op, const struct op_session *s, bool *given);

#endif
