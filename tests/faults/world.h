/* world: a ledger of its own in which commands are run, looked at, and which is put back as it was.
 *
 * There is one at a time.  A picture of it is kept in memory; the journal of its operation keeps its inode over
 * world_restore, since a checkpoint is good for one inode only, and where it tells the identity of what is in `home`, that
 * is told anew. */
#ifndef FAULTS_WORLD_H
#define FAULTS_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "inject.h"

enum { WORLD_LINES = 2048, WORLD_ID = 256 };

struct picture;

/* Make the folder `path` with an empty `home` and no ledger in it, and go there; commands are found in `bin`. */
void world_begin(const char *path, const char *bin);
/* Take it away. */
void world_end(void);

/* The operation that commands are about (DPL_OPERATION); "" none. */
void world_set_operation(const char *id);
const char *world_operation(void);

/* Take a picture of the ledger, the operation included, and of `home`. */
struct picture *world_picture(void);
/* No ledger, an empty home. */
void world_clear(void);
/* Put all of it back; what came later is gone. */
void world_restore(const struct picture *p);

/* What a command said: valid until the next one. */
struct said {
	int status;
	const char *out, *err;
	size_t out_n, err_n;
	bool hung;
	bool reached;         /* by the fault, in a call of this name */
	const char *name;
	uint64_t first;       /* its first argument */
};

/* Run a command as `who` (an argument that begins with % has the world's path in its place), with `in` on stdin (NULL: nothing; @ is the operation), to its end; it must come within ten seconds.  With `f` or `w`
 * under ptrace, and with flushes. */
struct said world_run(const char *who, const char *const argv[], const char *in);
struct said world_trace(const char *who, const char *const argv[], const char *in, const struct fault *f, const struct watcher *w);

/* The operation's journal as it is in the files. */
struct view {
	bool live, ended;     /* its folder is in the live place, in backup/ */
	char *text;           /* owned by world, valid until the next look */
	size_t size;
	int n;                /* whole lines */
	const char *line[WORLD_LINES];
	char event[WORLD_LINES][32];
	size_t torn;          /* bytes behind the last newline */
	char wrong[200];      /* "" or why it is no right journal */
};

/* Look at it; what is wrong with it is in v->wrong. */
void world_look(struct view *v);
/* How many whole lines it has, -1 where there is none: cheap. */
int world_lines(void);

/* The first name in the ledger that should not be there, NULL where all is right.  `over`: the operation is over, so that
 * what writers that died left beside their files must be gone as well. */
const char *world_leftover(bool over);

/* What is wrong with operation.json and operation.log of an operation in backup/, NULL for nothing. */
const char *world_papers(const struct view *v);

/* Set the times of what creates that died left two hours back. */
void world_age_dead(void);

/* A process that does nothing, which the argument "%pid" names; it is started by the first command that has it. */
pid_t world_idle(void);
/* Whether it lives, waiting a second for it to end; then it is ended. */
bool world_idle_ends(void);

/* What is wrong with temp resources at the end of the operation, NULL for nothing: each that was registered is reported, what is
 * told to be gone is gone, and what was not registered is there. */
const char *world_resources(const struct view *v, bool failures);

/* Wait at most a second until no process is left of those that were started: 0, or the number of one that is. */
pid_t world_processes(void);
/* Kill those that are left. */
void world_kill_processes(void);

_Noreturn void world_die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
