/* frame: the call frame of a supervised call, from its start to its end, as requests to the ledger. */
#ifndef DPL_FRAME_H
#define DPL_FRAME_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>

#include "client.h"
#include "command.h"

/* What a call is asked for. */
struct frame_asked {
	const char *operation, *participant;
	const char *description; /* NULL: the command line */
	const char *id, *parent, *session; /* or NULL; session is a number as text */
	const char *fallback;    /* its result when it crashes, which then is no crash of the operation; or NULL */
	const char *fallback_command; /* … or what prints that, run by sh in `folder`, an absolute path; … */
	const char *folder;
	const char *group;       /* that it is one of, or NULL … */
	int64_t slots;           /* … and how many of that may run at a time; 0: any number */
	bool result_json;        /* … that must be JSON, else it has failed */
	bool parent_must_exist, fail_on_crash, aborted_ok, watchdog;
	bool spawned, captures;  /* it runs in the background; what it prints is kept (a local ledger) */
};

struct frame {
	struct client *client;
	const struct frame_asked *asked;
	struct verbs_hold hold;  /* the beat file, while it is open here */
	char call[ID_NAME_MAX + 1], session[24]; /* once it is started or queued; session as text, "" unknown */
	bool queued;             /* it waits for a slot: the command was not let go, and must end … */
	bool first;              /* … and is the next of its group */
	bool late;               /* somebody had died when it was started */
};

/* Begin with what is asked, nothing is done yet. */
void frame_begin(struct frame *f, struct client *client, const struct frame_asked *asked);

/* Start it for the command, which waits.  0, or -1 with `why`.  With f->queued it was not: ask again, with another command, when a
 * slot may be free. */
int frame_start(struct frame *f, const struct command *command, struct why *why);

/* How it ended. */
struct frame_end {
	int wait_status;         /* of the command, as wait(2) gives it; -1: it never ran */
	struct rusage usage;
	const char *problem;     /* it failed, and why; NULL: it ended well */
	bool cancelled;          /* … no: it was stopped */
	int status;              /* the exit status that dpl-call ends with; -1 unknown */
	bool oom_killed;         /* it failed because the kernel killed it, or a process of its tree, when memory was out */
	const char *result;      /* NULL: none */
	const char *instead_of;  /* the result stands for what went wrong, which is this; else NULL */
};

/* End it.  A lock that is not had and a disk that is full are tried again for a while, saying so: without this entry the call
 * would be taken for crashed.  0, or -1 with `why`: ERR_ENDED where the operation has ended, and the call with it. */
int frame_end(struct frame *f, const struct frame_end *e, const struct notice *say, struct why *why);

/* Write a line to the log, about this call; it can do without. */
void frame_log(struct frame *f, const char *level, const char *text);

/* Close what is open; after the end this tells nobody anything. */
void frame_close(struct frame *f);

#endif
