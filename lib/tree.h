/* tree: the processes of a call, and ending them.
 *
 * A process belongs to a call when it descends from the call's supervisor while that lives, is in the call's own
 * process group or control group, or carries the call's DPL_CALL and DPL_OPERATION in its environment.  Another dpl supervisor or keeper
 * among these and what is below it belong to themselves (but see `deep`).  Each is signalled by a verified pidfd, so that a pid that was
 * given to somebody else meanwhile is not hit. */
#ifndef DPL_TREE_H
#define DPL_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "proc.h"

/* Some processes, without dpl's own. */
struct tree_kept {
	struct proc *p;
	size_t n, cap;
};

/* What tells the processes of a call from others.  -1 where there is no such mark. */
struct tree {
	const char *operation, *call; /* what they carry in their environment; NULL: not looked at */
	bool undoing;            /* not of a call: what the undo commands of the operation have started … */
	uint64_t resource;       /* … or that of this resource alone; 0: all of them */
	int64_t supervisor;      /* descendants of this one, which is alive; itself not included */
	int64_t apart[2];        /* children of the supervisor that work for it; neither they nor what is below them are members; 0: none */
	int64_t root;            /* the process that was started, and its start time; it is a member too … */
	int64_t root_start;
	int64_t group;           /* … and leads this group, if it has one of its own */
	int64_t session;         /* in which that group is */
	const char *cgroup;      /* the control group that they are in; NULL */
	int64_t uid;             /* only processes of this user are members: root takes marks from others; 0: of any */
	bool deep;               /* supervisors and what they run are members, too: they pass SIGTERM on, and get no SIGKILL themselves */
	const struct tree_kept *before; /* children that it had before: neither they nor what is below them are members; NULL */
};

/* Send `sig` (0: only count) to every process of the call but `skip` (-1: none); the number found, also of those that ended
 * meanwhile, or -1 with errno where they cannot be looked for (no descriptor left).  SIGTERM is followed by SIGCONT, and
 * goes to no undo command whose runner is there, which sees to its end.  With `who` the pids and commands of those that are there are added, ", "
 * between them. */
int tree_signal(const struct tree *t, int sig, int64_t skip, struct buf *who);

/* Add the children of a process. */
void tree_find_children(struct tree_kept *k, int64_t pid);

/* The same for the children of the supervisor, which is the caller and the subreaper of the others: where it has none, there are no
 * others.  Zombies count.  It is faster by far, for one that forks and ends, again and again, is a child of it each time. */
int tree_signal_children(const struct tree *t, int sig);

/* Call `each` for every child of a process, of all its threads; zombies and dpl's own, too. */
void tree_each_child(int64_t pid, void (*each)(void *arg, int64_t child), void *arg);

/* Whether a process is a supervisor: dpl-call. */
bool tree_is_supervisor(int64_t pid);

/* A process that is kept, with its group if it leads one and all that descends from it; dpl's own and what is below them left
 * out.  They are found before the first of them is signalled: a parent that dies leaves children that are nobody's.
 * Adds those that are there now and not in `k` yet. */
void tree_find_kept(struct tree_kept *k, int64_t pid, int64_t start);
/* Send `sig` (0: only count; SIGTERM as in tree_signal) to them, the kept one first; how many are still there. */
int tree_signal_kept(const struct tree_kept *k, int sig);
void tree_free_kept(struct tree_kept *k);

#endif
