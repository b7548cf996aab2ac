/* tree: the processes of a call, and ending them. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroup.h"
#include "fsx.h"
#include "num.h"
#include "proc.h"
#include "tree.h"

struct one {
	struct proc p;
	bool member;   /* has one of the marks */
	bool apart;    /* a supervisor or keeper of dpl's, or a helper of one */
};

struct all {
	struct one *one;
	size_t n, cap;
};

static int
add(struct all *a, const struct proc *p)
{
	if (a->n == a->cap) {
		size_t cap = a->cap ? a->cap * 2 : 64;
		struct one *more = realloc(a->one, cap * sizeof *more);
		if (!more)
			return -1;
		a->one = more;
		a->cap = cap;
	}
	a->one[a->n++] = (struct one){.p = *p};
	return 0;
}

/* Every process, but for threads of the kernel, in the order of /proc: the marks tell whose they are. */
static int
list(struct all *a)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	int rc = d ? 0 : -1;
	while (rc == 0 && (e = readdir(d))) {
		struct proc p;
		int64_t pid;
		if (num_int(e->d_name, strlen(e->d_name), 1, INT32_MAX, &pid) < 0)
			continue;
		if (proc_look(pid, &p) == 0)
			rc = p.kernel ? 0 : add(a, &p);
		else if (errno == EMFILE || errno == ENFILE)
			rc = -1;
	}
	if (d)
		closedir(d);
	return rc;
}

static const struct one *
find(const struct all *a, int64_t pid)
{
	for (size_t i = 0; i < a->n; i++)
		if (a->one[i].p.pid == pid)
			return &a->one[i];
	return NULL;
}

static bool
is_supervisor(const struct proc *p)
{
	return strcmp(p->name, "dpl-call") == 0 && p->state != 'Z';
}

/* A supervisor, or a keeper, which leads a session: not a dpl-beat that a script runs. */
static bool
is_dpl(const struct proc *p)
{
	return is_supervisor(p) || (strcmp(p->name, "dpl-beat") == 0 && p->session == p->pid);
}

/* What speaks to a remote ledger for a supervisor or keeper: without it that could not say how its command ended. */
static bool
is_helper(const struct all *a, const struct proc *p)
{
	static const char name[] = "dpl-remote-";
	const struct one *parent = strncmp(p->name, name, sizeof name - 1) == 0 ? find(a, p->parent) : NULL;
	return parent && is_dpl(&parent->p);
}

/* The steps up are bounded: what is read while processes come and go might hold a circle. */
static bool
descends(const struct all *a, const struct one *o, int64_t from)
{
	for (int i = 0; o && i < 4096; i++) {
		if (o->p.parent == from)
			return true;
		o = o->p.parent > 1 ? find(a, o->p.parent) : NULL;
	}
	return false;
}

static bool
works_for(const struct tree *t, int64_t pid)
{
	return pid > 0 && (pid == t->apart[0] || pid == t->apart[1]);
}

static bool
is_apart(const struct tree *t, const struct all *a, const struct one *o, int sig)
{
	bool below = false;
	for (int i = 0; o && o->member && i < 4096; i++) {
		bool heeds = t->deep && is_supervisor(&o->p);
		if (o->apart && (!heeds || (below && sig == SIGTERM)))
			return true;
		below = true;
		o = o->p.parent > 1 ? find(a, o->p.parent) : NULL;
	}
	return false;
}

/* A group whose leader has ended keeps its number reserved as long as it has members; a leader that is another process
 * than ours says that the number was given to another group. */
static bool
group_is_ours(const struct tree *t, const struct all *a)
{
	const struct one *leader = t->group > 1 ? find(a, t->group) : NULL;
	return t->group > 1 && (!leader || leader->p.start == t->root_start);
}

static bool
has(const struct tree_kept *k, const struct proc *p)
{
	for (size_t i = 0; i < k->n; i++)
		if (k->p[i].pid == p->pid && k->p[i].start == p->start)
			return true;
	return false;
}

static void
mark_pid(void *arg, int64_t pid)
{
	struct all *a = arg;
	for (size_t i = 0; i < a->n; i++)
		if (a->one[i].p.pid == pid)
			a->one[i].member = true;
}

static void
mark(const struct tree *t, struct all *a)
{
	char call[100], operation[260], undo[260], resource[40];
	bool group = group_is_ours(t, a);
	const struct one *self = find(a, getpid());
	snprintf(undo, sizeof undo, "DPL_UNDO=%s", t->operation ? t->operation : "");
	snprintf(resource, sizeof resource, t->resource ? "DPL_RESOURCE=%llu" : "DPL_RESOURCE=", (unsigned long long)t->resource);
	snprintf(call, sizeof call, "DPL_CALL=%s", t->call ? t->call : "");
	snprintf(operation, sizeof operation, "DPL_OPERATION=%s", t->operation ? t->operation : "");
	for (size_t i = 0; i < a->n; i++) {
		struct one *o = &a->one[i];
		bool root = t->root > 1 && o->p.pid == t->root && o->p.start == t->root_start;
		if (root && o->p.forked) /* let go, and about to execute the command: it has the supervisor's name yet */
			o->p.name[0] = '\0';
		o->apart = (is_dpl(&o->p) && o->p.pid != t->supervisor) || works_for(t, o->p.pid) || is_helper(a, &o->p) ||
			(t->before && has(t->before, &o->p));
		o->member = root ||
			(group && o->p.group == t->group && (t->session <= 0 || o->p.session == t->session)) ||
			(t->supervisor > 0 && descends(a, o, t->supervisor)) ||
			/* Nobody has it who is older than the command. */
			(t->call && o->p.start >= t->root_start && proc_has_variable(o->p.pid, call) && proc_has_variable(o->p.pid, operation) &&
				/* An undo command is told whose resource it does away with; another, who looks at this moment, shall not end it. */
				!proc_has_variable(o->p.pid, "DPL_RESOURCE=")) ||
			(t->undoing && proc_has_variable(o->p.pid, undo) && proc_has_variable(o->p.pid, resource) && !(self && descends(a, self, o->p.pid)));
	}
	if (t->cgroup)
		(void)cgroup_each(t->cgroup, mark_pid, a);
	for (size_t i = 0; i < a->n; i++)
		if (a->one[i].p.pid == t->supervisor || a->one[i].p.pid == getpid() ||
		    (a->one[i].member && t->uid > 0 && !proc_is_of(a->one[i].p.pid, (uid_t)t->uid)))
			a->one[i].member = false;
}

static void
tell(struct buf *who, const struct proc *p)
{
	char command[100];
	proc_command(p->pid, command, sizeof command);
	buf_fmt(who, "%s%lld (%s)", who->n ? ", " : "", (long long)p->pid, command);
}

/* Whether there was such a process to signal. */
static bool
hit(const struct proc *p, int sig)
{
	if (p->state == 'Z' || p->state == 'X')
		return false;
	int fd = proc_open(p->pid, p->start);
	if (fd < 0)
		return errno != ESRCH && errno != EINVAL;
	bool there = proc_signal(fd, sig) == 0 || errno == EPERM;
	if (sig == SIGTERM) /* what is stopped must run to take it */
		(void)proc_signal(fd, SIGCONT);
	close(fd);
	return there;
}

/* SIGKILL to the call's group at once: one that forks and ends, again and again, is never there when it is looked at, but no
 * process leaves a group by being born. */
static void
kill_group(const struct tree *t, const struct all *a)
{
	bool there = false;
	if (!group_is_ours(t, a))
		return;
	for (size_t i = 0; i < a->n; i++)
		if (a->one[i].p.group == t->group) {
			if (!a->one[i].member || a->one[i].apart)
				return;
			there = true;
		}
	if (there)
		(void)kill((pid_t)-t->group, SIGKILL);
}

/* Whether it is of an undo command that runs, of another than `self`.  Its runner puts SIGTERM off until it is done (removal_shield); ended
 * without that one it would be recorded as failed, and run again though it may have done its work.  SIGKILL ends both.  What an undo
 * command has left running has no runner any more. */
static bool
undoes(const struct proc *p, int64_t self)
{
	static const char variable[] = "DPL_RESOURCE=";
	struct proc up = *p;
	if (!proc_has_variable(p->pid, variable))
		return false;
	for (int i = 0; i < 4096 && up.parent > 1 && up.parent != self && proc_look(up.parent, &up) == 0; i++)
		if (!proc_has_variable(up.pid, variable))
			return strncmp(up.name, "dpl-", 4) == 0;
	return false;
}

int
tree_signal(const struct tree *t, int sig, int64_t skip, struct buf *who)
{
	struct all a = {0};
	int n = 0;
	if (list(&a) == 0) {
		mark(t, &a);
		if (sig == SIGKILL)
			kill_group(t, &a);
		for (size_t i = 0; i < a.n; i++) {
			const struct one *o = &a.one[i];
			if (!o->member || o->p.pid == skip || o->p.state == 'Z' || o->p.state == 'X' || is_apart(t, &a, o, sig))
				continue;
			/* It counts even if it is gone by now: it may have a child that was born behind the look at it. */
			n++;
			/* A supervisor ends as soon as what it runs has; killed it would have crashed. */
			bool spared = sig == SIGKILL ? is_supervisor(&o->p) : sig == SIGTERM && !t->undoing && undoes(&o->p, t->supervisor);
			if (hit(&o->p, spared ? 0 : sig) && who)
				tell(who, &o->p);
		}
	} else {
		n = -1;
	}
	free(a.one);
	return n;
}

bool
tree_is_supervisor(int64_t pid)
{
	struct proc p;
	return proc_look(pid, &p) == 0 && is_supervisor(&p);
}

/* --- a process that is kept --- */

static void
keep(struct tree_kept *k, const struct proc *p)
{
	if (is_dpl(p) || has(k, p))
		return;
	if (k->n == k->cap) {
		size_t cap = k->cap ? k->cap * 2 : 16;
		struct proc *more = realloc(k->p, cap * sizeof *more);
		if (!more)
			return; /* who is not found now is found the next time */
		k->p = more;
		k->cap = cap;
	}
	k->p[k->n++] = *p;
}

void
tree_each_child(int64_t pid, void (*each)(void *arg, int64_t child), void *arg)
{
	char path[80], name[40];
	snprintf(path, sizeof path, "/proc/%lld/task", (long long)pid);
	DIR *d = opendir(path);
	struct dirent *e;
	while (d && (e = readdir(d))) {
		struct buf b = {0};
		if (e->d_name[0] == '.')
			continue;
		snprintf(name, sizeof name, "%.20s/children", e->d_name);
		if (fsx_read_file(dirfd(d), name, &b, 1 << 20) == 0)
			for (char *p = b.p; p && *p;) {
				size_t n = strcspn(p, " ");
				int64_t child;
				if (num_int(p, n, 1, INT32_MAX, &child) == 0)
					each(arg, child);
				p += n + (p[n] == ' ');
			}
		buf_free(&b);
	}
	if (d)
		closedir(d);
}

static void
keep_child(void *k, int64_t pid)
{
	struct proc child;
	if (proc_look(pid, &child) == 0)
		keep(k, &child);
}

void
tree_find_children(struct tree_kept *k, int64_t pid)
{
	tree_each_child(pid, keep_child, k);
}

/* Whether it is below a supervisor or keeper that is not above the kept one itself. */
static bool
is_below_dpl(const struct all *a, const struct one *o, int64_t kept)
{
	for (int i = 0; o && i < 4096; i++) {
		if (is_dpl(&o->p))
			return !descends(a, find(a, kept), o->p.pid);
		o = o->p.parent > 1 ? find(a, o->p.parent) : NULL;
	}
	return false;
}

void
tree_find_kept(struct tree_kept *k, int64_t pid, int64_t start)
{
	struct proc kept;
	struct all a = {0};
	if (proc_look(pid, &kept) == 0 && kept.start == start) {
		keep(k, &kept);
		if (kept.group == pid && list(&a) == 0)
			for (size_t i = 0; i < a.n; i++)
				if (a.one[i].p.group == pid && !is_below_dpl(&a, &a.one[i], pid))
					keep(k, &a.one[i].p);
	}
	/* What is found is looked at for children in its turn; the known ones too, for new children of theirs. */
	for (size_t i = 0; i < k->n; i++)
		tree_find_children(k, k->p[i].pid);
	free(a.one);
}

int
tree_signal_children(const struct tree *t, int sig)
{
	struct tree_kept k = {0};
	int n = 0;
	tree_find_children(&k, t->supervisor);
	for (size_t i = 0; i < k.n; i++)
		if (!works_for(t, k.p[i].pid) && !(t->before && has(t->before, &k.p[i]))) {
			if (sig)
				(void)kill((pid_t)k.p[i].pid, sig); /* nobody else reaps it: the number is its own */
			n++;
		}
	tree_free_kept(&k);
	return n;
}

int
tree_signal_kept(const struct tree_kept *k, int sig)
{
	int n = 0;
	/* Who is kept in an undo command has the variable of that. */
	bool spare = sig == SIGTERM && k->n && !undoes(&k->p[0], -1);
	for (size_t i = 0; i < k->n; i++)
		n += hit(&k->p[i], spare && undoes(&k->p[i], -1) ? 0 : sig);
	return n;
}

void
tree_free_kept(struct tree_kept *k)
{
	free(k->p);
	*k = (struct tree_kept){0};
}
