/* faults - let every system call of every changing command go wrong, and check what is left
 *
 *	faults [-kv] [-c case] [-d folder] [-e ERRNO] [-f N] [-j workers] [-m mode] [-p P.N[x|=ERRNO|:BYTES]] [-r seed] [-s state]
 *
 * Modes: kill (SIGKILL at the entry and the exit of each call), error (each call fails with each of eight errnos), errors (so do
 * all later ones of that name), short (reads and writes of half the bytes), torn (a write is cut, at the ends of its lines too,
 * then SIGKILL), order (what is acknowledged was flushed before).  -f N tries one in N, chosen by the seed, and of those that
 * look at one more process in /proc one in 25 N.
 *
 * After each fault: the journal's lines are whole and numbered without a gap; those from before are as they were; of the change
 * all is there or nothing, and all where it was acknowledged; the exit status and the one line on stderr are right; the next
 * commands work, the operation can be ended, temp resources are gone or reported, and nothing else is left behind.  What is
 * wrong is one line that says how to see it again; with -k the folder (-d) stays as it is then.  Status 0: nothing is wrong. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../faults/cases.h"
#include "../faults/order.h"
#include "../faults/world.h"

enum { CALLS = 8192, LOOKS = 4096, AGAIN = 25, CUTS = 6, EXTRA = 512, STATUSES = 256 };
enum mode { MODE_KILL, MODE_ERROR, MODE_ERRORS, MODE_SHORT, MODE_TORN, MODE_ORDER, MODES };
static const char *const mode_names[MODES] = {"kill", "error", "errors", "short", "torn", "order"};
static const int errnos[] = {ENOSPC, EIO, EINTR, EMFILE, EDQUOT, EROFS, ENOMEM, EACCES};

struct totals {
	long points[MODES], missed[MODES], without[MODES], with[MODES], part[MODES], status[MODES][STATUSES], wrong;
};

struct point {
	int process;
	long call;
	const char *name;
	uint64_t first, second; /* arguments */
	bool again;           /* one of the many that look at one more process in /proc */
	uint32_t cut[CUTS];   /* in the bytes of a write, where lines end; 0 none */
};

/* What a command does where nothing goes wrong. */
struct reference {
	int status;
	struct point point[CALLS];
	int n, looks;         /* points; looks at processes, of which those behind the first LOOKS are no points */
	int before;           /* lines */
	char *text;           /* of the journal before */
	size_t size;
	char event[EXTRA][32]; /* that it adds */
	int events;
	bool step[EXTRA + 1]; /* after this many the journal was to be seen */
	int own;              /* the first ones, which are its own: the rest is what follows from them */
	int printed;          /* so many were there when something was first printed */
};

static struct {
	const char *only_case, *only_state, *only_point;
	int only_error;
	int workers, worker, verbose, keep;
	unsigned long fraction, seed;
	bool mode[MODES];
	struct totals *total;
} o = {.workers = 1, .fraction = 1, .seed = 1};

static const struct test *test;
static enum state state;
static struct reference ref;
static struct fault fault;
static enum mode mode;
static const char *at;        /* the name of the call */
static bool bad;

static void
say_point(char *text, size_t size)
{
	int n = snprintf(text, size, "%d.%ld%s", fault.process, fault.call, fault.at_exit ? "x" : "");
	if (fault.error)
		snprintf(text + n, size - (size_t)n, "=%s", inject_errno_name(fault.error));
	else if (fault.size)
		snprintf(text + n, size - (size_t)n, ":%llu", (unsigned long long)fault.size);
}

static void wrong(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The first thing that is wrong with a point, on one line. */
static void
wrong(const char *fmt, ...)
{
	char what[1200], point[60], line[1600];
	va_list ap;
	if (bad)
		return;
	bad = true;
	o.total->wrong++;
	va_start(ap, fmt);
	vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);
	for (char *p = what; (p = strchr(p, '\n'));)
		*p = '|';
	say_point(point, sizeof point);
	int n = snprintf(line, sizeof line, "not right: %s %s in %s: %s at %s: %s; again: faults -c %s -s %s -m %s -p %s\n", test->name, mode_names[mode],
		state_name(state), point, at, what, test->name, state_name(state), mode_names[mode], point);
	fflush(stdout);
	(void)!write(1, line, n < (int)sizeof line ? (size_t)n : sizeof line - 1);
}

static int
lines_in(const char *text)
{
	int n = 0;
	for (; *text; text++)
		n += *text == '\n';
	return n;
}

/* The first line. */
static void
copy(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%.*s", (int)strcspn(from, "\n"), from);
}

static int
count(const char *text, const char *part)
{
	int n = 0;
	while ((text = strstr(text, part))) {
		n++;
		text++;
	}
	return n;
}

/* --- the reference --- */

/* Where lines end inside a write: the first few, and the last. */
static void
find_cuts(struct point *p, const struct seen *s)
{
	static char text[65536];
	struct iovec here = {text, s->args[2]}, there = {(void *)(uintptr_t)s->args[1], s->args[2]};
	ssize_t n = process_vm_readv(s->pid, &here, 1, &there, 1, 0);
	int k = 0;
	for (ssize_t i = 0; i + 1 < n; i++)
		if (text[i] == '\n') {
			p->cut[k] = (uint32_t)i + 1;
			k += k + 1 < CUTS;
		}
}

/* Looking through /proc is an openat, a read and a close for each process of the machine. */
static bool
looks_at_a_process(const struct seen *s)
{
	static bool in_proc;
	char path[16] = "";
	if (strcmp(s->name, "openat") == 0) {
		struct iovec here = {path, sizeof path - 1}, there = {(void *)(uintptr_t)s->args[1], sizeof path - 1};
		(void)process_vm_readv(s->pid, &here, 1, &there, 1, 0);
		in_proc = strncmp(path, "/proc/", 6) == 0 && path[6] >= '1' && path[6] <= '9';
	}
	return in_proc && (strcmp(s->name, "openat") == 0 || strcmp(s->name, "read") == 0 || strcmp(s->name, "close") == 0);
}

static void
note(void *arg, const struct seen *s)
{
	(void)arg;
	int lines = world_lines();
	if (lines >= ref.before && lines - ref.before <= EXTRA)
		ref.step[lines - ref.before] = true;
	if (s->at_exit || s->call < 1)
		return;
	if (!ref.printed && strcmp(s->name, "write") == 0 && s->args[0] == 1)
		ref.printed = lines - ref.before;
	/* On a machine of many processes most would be of these. */
	bool again = looks_at_a_process(s);
	if (again && ref.looks++ >= LOOKS)
		return;
	if (ref.n == CALLS)
		world_die("%s makes more than %d calls", test->name, CALLS);
	struct point *p = &ref.point[ref.n++];
	*p = (struct point){.process = s->process, .call = s->call, .name = s->name, .first = s->args[0], .second = s->args[1], .again = again};
	if (strcmp(s->name, "write") == 0 && s->args[2] < 65536)
		find_cuts(p, s);
}

static void
remember_before(void)
{
	static struct view v;
	free(ref.text);
	ref.text = NULL;
	if (!*world_operation())
		return;
	world_look(&v);
	ref.before = v.n;
	ref.size = v.size;
	ref.text = malloc(v.size + 1);
	if (!ref.text)
		world_die("out of memory");
	memcpy(ref.text, v.text, v.size + 1);
}

static bool
refer(void)
{
	static struct view v;
	struct watcher w = {note, NULL};
	free(ref.text);
	memset(&ref, 0, sizeof ref);
	remember_before();
	ref.step[0] = true;
	struct said s = world_trace(test->who, test->argv, test->in, NULL, &w);
	ref.status = s.status;
	fault = (struct fault){.kind = FAULT_NONE};
	mode = MODE_ORDER;
	at = "no call";
	bad = false;
	if (s.status != test->status[state] - 1 && o.worker == 0)
		wrong("without a fault it gives %d, not %d: %s%s", s.status, test->status[state] - 1, s.out, s.err);
	if (test->flags & CASE_PROCESS)
		(void)world_idle_ends(false);
	int status = s.status;
	if (!*world_operation())
		return status == test->status[state] - 1;
	world_look(&v);
	for (int i = ref.before; i < v.n && ref.events < EXTRA; i++)
		memcpy(ref.event[ref.events++], v.event[i], sizeof v.event[0]);
	ref.step[ref.events] = true;
	for (ref.own = 1; ref.own < ref.events && !ref.step[ref.own]; ref.own++)
		;
	if (ref.own > ref.events)
		ref.own = ref.events;
	return status == test->status[state] - 1;
}

/* --- what must hold afterwards --- */

/* What it has added, in number: of the reference's entries so many as were ever to be seen together. */
static int
check_journal(struct view *v, bool torn_allowed)
{
	if (!*world_operation())
		return 0;
	world_look(v);
	if (v->wrong[0]) {
		wrong("%s", v->wrong);
		return 0;
	}
	if (v->torn && !torn_allowed)
		wrong("%zu bytes behind the last line", v->torn);
	if (v->size < ref.size || memcmp(v->text, ref.text, ref.size) != 0)
		wrong("the journal from before has changed");
	if (!v->live && !v->ended)
		wrong("it is neither live nor in backup");
	int more = v->n - ref.before;
	/* Of several requests each may fail alone; what could not be removed is said, and tried again. */
	bool failing = mode == MODE_ERROR || mode == MODE_ERRORS || mode == MODE_SHORT;
	if (failing && test->flags & CASE_REMOVES)
		return more;
	for (int i = 0; i < more && i < ref.events && !(test->flags & CASE_STEPS); i++)
		if (strcmp(v->event[ref.before + i], ref.event[i]) != 0)
			wrong("entry %d is %s, not %s", ref.before + i + 1, v->event[ref.before + i], ref.event[i]);
	/* A write that is cut between two lines leaves the first ones: each of them is whole. */
	if (more < 0 || more > ref.events || (!ref.step[more] && mode != MODE_TORN))
		wrong("%d more entries, of %d", more, ref.events);
	return more;
}

static int64_t
now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Run one that must end with one of these; -1 ends the list. */
static struct said
next(const char *who, const char *const argv[], int a, int b, int c)
{
	int64_t begun = now_ms();
	struct said s = world_run(who, argv, NULL);
	if (o.verbose > 1)
		printf("\t%s %s: %d, %lld ms\n", argv[0], argv[1] ? argv[1] : "", s.status, (long long)(now_ms() - begun));
	if (s.hung)
		wrong("the next command hung: %s %s", argv[0], argv[1] ? argv[1] : "");
	else if (s.status != a && s.status != b && s.status != c)
		wrong("the next command, %s %s, gave %d: %s%s", argv[0], argv[1] ? argv[1] : "", s.status, s.out, s.err);
	else if (s.status == 0 && s.err_n && mode != MODE_TORN && !strstr(s.err, "crash") && !strstr(s.err, "died"))
		wrong("the next command, %s, said %s", argv[0], s.err);
	return s;
}

static const char *const show[] = {"dpl-show", "-j", NULL}, *const show_all[] = {"dpl-show", "-aq", NULL}, *const look_log[] = {"dpl-log", "next", NULL},
	*const finish[] = {"dpl-complete", "--cancel", NULL}, *const create[] = {"dpl-create", NULL}, *const check_abort[] = {"dpl-abort", "--check", NULL}, *const sweep[] = {"dpl-cleanup", "--sweep", NULL};

/* The next commands work; in the end the operation is over and in backup, and nothing else is there. */
static void
check_next(struct view *v)
{
	bool over = false;
	for (int i = 1; i < v->n; i++)
		over |= strncmp(v->event[i], "operation.", 10) == 0;
	bool crashes = test->flags & CASE_CRASHES;
	if (world_leftover(false))
		wrong("left over: %s", world_leftover(false));
	struct said s = next("me", show, 0, 0, 0);
	if (s.out_n < 10 || strncmp(s.out, "{\"ok\":true", 10) != 0)
		wrong("dpl-show -j said %.200s", s.out);
	next("bob", look_log, over ? 6 : 0, crashes ? 6 : -1, crashes ? 5 : -1);
	/* Beside its entry what is due may be done: temp resources of one that has gone are removed. */
	int before = v->n, logs = 0;
	world_look(v);
	for (int i = before; i < v->n; i++) {
		logs += strcmp(v->event[i], "log") == 0;
		if (!over && !crashes && strcmp(v->event[i], "log") != 0 && strcmp(v->event[i], "resource.removed") != 0)
			wrong("the next command added %s", v->event[i]);
	}
	if (!over && !crashes && logs != 1)
		wrong("the next dpl-log made %d entries", logs);
	next("me", finish, over ? 6 : 0, crashes ? 6 : -1, crashes ? 5 : -1);
	world_look(v);
	/* Where a resource could not be removed, an operation that has ended waits for a sweep. */
	if (v->live && (mode == MODE_ERROR || mode == MODE_ERRORS) && test->flags & CASE_REMOVES) {
		next("me", sweep, 0, 0, 0);
		world_look(v);
	}
	if (v->wrong[0] || v->live || !v->ended || v->torn)
		wrong("after the end: %s", v->wrong[0] ? v->wrong : v->torn ? "torn" : "it is still in the live place");
	int ends = 0;
	for (int i = 0; i < v->n; i++)
		ends += strcmp(v->event[i], "operation.archived") == 0;
	if (ends != 1 || strcmp(v->event[v->n - 1], "operation.archived") != 0)
		wrong("it was archived %d times", ends);
	if (state == STATE_FULL && world_leftover(true)) {
		/* What was out of sight already goes with the next end. */
		char old[WORLD_ID];
		copy(old, sizeof old, world_operation());
		world_set_operation("");
		s = next("me", create, 0, 0, 0);
		char id[WORLD_ID];
		copy(id, sizeof id, s.out);
		world_set_operation(id);
		next("me", finish, 0, 0, 0);
		world_set_operation(old);
	}
	if (world_leftover(true))
		wrong("left over in the end: %s", world_leftover(true));
	next("me", show, 0, 0, 0); /* which makes papers that are missing */
	world_look(v);
	if (world_papers(v))
		wrong("%s", world_papers(v));
	if (world_resources(v, mode == MODE_ERROR || mode == MODE_ERRORS))
		wrong("%s", world_resources(v, mode == MODE_ERROR || mode == MODE_ERRORS));
}

/* A create: how many are there, and that the next one works. */
static int
check_created(int before, const char *said)
{
	char first[WORLD_ID], id[WORLD_ID], old[WORLD_ID], all[8192];
	static struct view v;
	struct said s = next("me", show_all, 0, 3, -1);
	int now = lines_in(s.out);
	snprintf(all, sizeof all, "%s", s.out);
	copy(old, sizeof old, world_operation());
	if (now != before && now != before + 1)
		wrong("%d operations after %d", now, before);
	if (*said && (now != before + 1 || !strstr(all, said)))
		wrong("%s was printed and is not there", said);
	copy(first, sizeof first, said);
	world_set_operation("");
	s = next("me", test->flags & CASE_KEYED ? test->argv : create, 0, 0, 0);
	copy(id, sizeof id, s.out);
	if (test->flags & CASE_KEYED) {
		if (*first && strcmp(first, id) != 0)
			wrong("the key gave %s, then %s", first, id);
		if (now == before + 1 && !strstr(all, id))
			wrong("the key gave another operation, %s", id);
		s = next("me", test->argv, 0, 0, 0);
		if (strncmp(s.out, id, strlen(id)) != 0)
			wrong("the key gave %s, then %s", id, s.out);
		s = next("me", show_all, 0, 0, 0);
		if (lines_in(s.out) != before + 1)
			wrong("%d operations of one key", lines_in(s.out) - before);
	} else {
		s = next("me", show_all, 0, 0, 0);
		if (lines_in(s.out) != now + 1)
			wrong("%d operations after the next create, %d before it", lines_in(s.out), now);
	}
	/* What the dead left goes with the next end, when it is old enough. */
	world_age_dead();
	world_set_operation(id);
	next("me", finish, 0, 0, 0);
	world_look(&v);
	if (v.wrong[0] || v.live || !v.ended)
		wrong("after its end: %s", v.wrong[0] ? v.wrong : "it is still in the live place");
	world_set_operation(old);
	if (!bad && world_leftover(true))
		wrong("left over: %s", world_leftover(true));
	return now - before;
}

static void
check_key(const char *said)
{
	static struct view v;
	char first[200], again[200];
	copy(first, sizeof first, said);
	struct said s = next(test->who, test->argv, 0, 0, 0);
	copy(again, sizeof again, s.out);
	if (*first && strcmp(first, again) != 0)
		wrong("the key gave '%s', then '%s'", first, again);
	world_look(&v);
	int found = 0;
	for (int i = 0; i < v.n; i++)
		found += strncmp(v.line[i], "{\"seq\"", 6) == 0 && memmem(v.line[i], strcspn(v.line[i], "\n"), "\"key\":\"k1\"", 10) != NULL;
	if (found != 1)
		wrong("%d entries of one key", found);
}

/* --- one point --- */

static bool
is_in(int status, const int some[])
{
	for (; *some >= 0; some++)
		if (*some == status)
			return true;
	return false;
}

/* Calls that a signal may interrupt (signal(7)): whoever makes one does it again. */
static bool
is_slow(const char *name)
{
	static const char *const slow[] = {"clock_nanosleep", "flock", "getrandom", "nanosleep", "openat", "poll", "ppoll", "pread64", "pwrite64", "read",
		"wait4", "waitid", "write", NULL};
	for (int i = 0; slow[i]; i++)
		if (strcmp(slow[i], name) == 0)
			return true;
	return false;
}

/* A descriptor whose flush failed is not flushed again: the kernel would say that all is well. */
static int unflushed;
static bool flushed_again;

static void
watch_flushes(void *arg, const struct seen *s)
{
	(void)arg;
	bool flush = strcmp(s->name, "fdatasync") == 0 || strcmp(s->name, "fsync") == 0;
	if (s->process != 0)
		return;
	if (flush && !s->at_exit && (int)s->args[0] == unflushed)
		flushed_again = true;
	if (flush && s->at_exit && s->result < 0)
		unflushed = (int)s->args[0];
	if (s->at_exit && strcmp(s->name, "close") == 0 && (int)s->args[0] == unflushed)
		unflushed = -1;
}

/* The exit status and what was said, where nothing was killed. */
static void
check_saying(const struct said *s, uint64_t fd)
{
	static const int failures[] = {7, 8, 9, -1}, of_run[] = {125, 126, -1}, of_removal[] = {1, 7, 8, 9, -1};
	bool run = test->flags & CASE_RUNS;
	bool mute = strcmp(at, "write") == 0 && (fd == 2 || mode == MODE_ERRORS);
	/* A beat has been made although who died could not be looked at, or recorded. */
	bool blind = test->flags & CASE_CRASHES && ref.status == 5 && s->status == 0;
	bool removes = test->flags & CASE_REMOVES;
	if (strcmp(test->name, "temp-run") == 0) { /* its command has failed, or could not be found */
		run = true;
		blind |= is_in(s->status, failures) || s->status == 127;
	}
	if (s->status != ref.status && !blind && !is_in(s->status, run ? of_run : removes ? of_removal : failures))
		wrong("it gave %d: %s%s", s->status, s->out, s->err);
	if (fault.error == EINTR && is_slow(at) && s->status != ref.status && !mute)
		wrong("it was interrupted, and gave %d: %s", s->status, s->err);
	if (flushed_again)
		wrong("a descriptor whose flush failed was flushed again");
	if (mute)
		return;
	int lines = lines_in(s->err);
	/* A supervisor tries again to close its frame, and says so each time. */
	bool several = run || removes;
	if (removes && s->status == 1)
		lines += s->out_n > 0; /* dpl-cleanup prints what is left */
	if (run && mode == MODE_ERRORS && strcmp(at, "read") == 0)
		return; /* what went wrong was to be read as well */
	if (s->status == 0 ? lines > 1 && !several : ref.status == 0 && (several ? lines < 1 : lines != 1))
		wrong("status %d, and %d lines on stderr: %s", s->status, lines, s->err);
	if (s->err_n && (strncmp(s->err, "dpl-", 4) != 0 || s->err[s->err_n - 1] != '\n' || strstr(s->err, "Success") || strstr(s->err, "No error information")))
		wrong("status %d, stderr: %s", s->status, s->err);
}

static void
try_point(const struct picture *p, const struct point *where)
{
	static struct view v;
	char said[4096];
	struct totals *t = o.total;
	bad = false;
	at = where->name;
	world_restore(p);
	if (state == STATE_TEMP || state == STATE_DEAD)
		remember_before(); /* other identities */
	int operations = test->flags & CASE_CREATES && state != STATE_NONE && state != STATE_EMPTY;
	struct watcher flushes = {watch_flushes, NULL};
	bool flush = mode == MODE_ERROR && (strcmp(where->name, "fdatasync") == 0 || strcmp(where->name, "fsync") == 0);
	unflushed = -1;
	flushed_again = false;
	struct said s = world_trace(test->who, test->argv, test->in, &fault, flush ? &flushes : NULL);
	t->points[mode]++;
	if (!s.reached) {
		t->missed[mode]++;
		return;
	}
	at = s.name; /* another where the processes took turns otherwise */
	bool killed = mode == MODE_KILL || mode == MODE_TORN;
	snprintf(said, sizeof said, "%s", s.out);
	int replies = lines_in(s.out), status = s.status, agreed = count(s.out, "{\"status\":200,");
	if (s.hung)
		wrong("it hung");
	if (!killed) {
		t->status[mode][status & 255]++;
		check_saying(&s, s.first);
	}
	int done;
	if (test->flags & CASE_CREATES) {
		said[strcspn(said, "\n")] = '\0';
		done = check_created(operations, replies ? said : "");
		if (status == 0 && !replies)
			wrong("status 0, and no id");
	} else {
		done = check_journal(&v, mode == MODE_TORN);
		bool all = done == ref.events || (!killed && test->flags & CASE_REMOVES && done >= ref.own);
		/* An abort that no byte can be written of is a bit of the file's mode. */
		/* Who died cannot be told where the lock, the boot or the file of a supervisor cannot be asked for. */
		bool bit = status == 0 && strcmp(test->name, "abort") == 0 && done == 0 && ref.events && world_run("me", check_abort, NULL).status == 0;
		bool blind = bit || (!killed && test->flags & CASE_CRASHES && done == 0);
		if (status == 0 && ref.status == 0 && !all && !blind && !(test->flags & CASE_STEPS))
			wrong("status 0, and %d of %d entries", done, ref.events);
		if (test->flags & CASE_STEPS ? done < agreed || (status == 0 && done > replies) : (replies && ref.status == 0 && (killed || status == 0) && !blind && done < (!killed && test->flags & CASE_REMOVES ? ref.own : ref.printed)))
			wrong("'%s' was printed, and %d of %d entries are there", said, done, ref.events);
		if (test->flags & CASE_KEYED && !bad && ref.status == 0) {
			check_key(replies ? said : "");
			world_look(&v);
		}
		if (!bad)
			check_next(&v);
	}
	if (test->flags & CASE_PROCESS && world_idle_ends(done > 0) != (done > 0))
		wrong("%d entries, and the process that is registered has%s ended", done, done ? " not" : "");
	if (world_processes()) {
		wrong("a process is left: %ld", (long)world_processes());
		world_kill_processes();
	}
	t->without[mode] += done == 0;
	t->with[mode] += done > 0 && (done == ref.events || test->flags & CASE_CREATES);
	t->part[mode] += done > 0 && done < ref.events;
	if (o.verbose && !bad) {
		char text[60];
		say_point(text, sizeof text);
		printf("%s %s %s %s %s: status %d, %d of %d entries\n", test->name, state_name(state), mode_names[mode], text, at, status, done, ref.events);
	}
}

/* --- which points --- */

/* Calls that cannot fail, or whose failure cannot be told from another's. */
static bool
can_fail(const char *name, int error)
{
	static const char *const never[] = {"arch_prctl", "clock_gettime", "exit", "exit_group", "getegid", "geteuid", "getgid", "getpgid", "getpid", "getppid",
		"getsid", "gettid", "getuid", "madvise", "munmap", "prctl", "restart_syscall", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sched_setscheduler",
		"sched_yield", "set_robust_list", "set_tid_address", "setfsgid", "setfsuid", "setsid", "sigaltstack", "umask", "uname", NULL};
	static const struct {
		const char *name;
		int error[5];
	} some[] = {{"fcntl", {EIO, EINTR, ENOMEM}} /* EACCES is one that holds the lock */, {"brk", {ENOMEM}}, {"close", {EIO, EINTR, ENOSPC, EDQUOT}}, {"clone", {ENOMEM}}, {"fork", {ENOMEM}}, {"futex", {EINTR}}, {"getrandom", {EINTR}},
		{"inotify_init1", {EMFILE, ENOMEM}}, {"kill", {0}}, {"mmap", {ENOMEM}}, {"mprotect", {ENOMEM}}, {"mremap", {ENOMEM}}, {"nanosleep", {EINTR}},
		{"pidfd_open", {EMFILE, ENOMEM}}, {"pidfd_send_signal", {0}}, {"pipe2", {EMFILE, ENOMEM}}, {"poll", {EINTR, ENOMEM}}, {"ppoll", {EINTR, ENOMEM}},
		{"setpgid", {EACCES}}, {"signalfd4", {EMFILE, ENOMEM}}, {"vfork", {ENOMEM}}, {"wait4", {EINTR}}, {"waitid", {EINTR}}};
	for (int i = 0; never[i]; i++)
		if (strcmp(never[i], name) == 0)
			return false;
	for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
		if (strcmp(some[i].name, name) != 0)
			continue;
		for (int k = 0; k < 5; k++)
			if (some[i].error[k] == error && error)
				return true;
		return false;
	}
	return true;
}

static bool
chosen(bool again)
{
	char text[60], whole[200];
	uint64_t hash = 1469598103934665603u ^ o.seed * 0x9e3779b97f4a7c15u;
	say_point(text, sizeof text);
	if (o.only_error && fault.error != o.only_error)
		return false;
	if (o.only_point)
		return strcmp(text, o.only_point) == 0;
	snprintf(whole, sizeof whole, "%s %s %d %s", test->name, state_name(state), mode, text);
	for (const char *c = whole; *c; c++)
		hash = (hash ^ (unsigned char)*c) * 1099511628211u;
	if ((hash >> 20) % (o.fraction * (again ? AGAIN : 1)) != 0)
		return false;
	return (int)((hash >> 44) % (unsigned long)o.workers) == o.worker;
}

static void
maybe(const struct picture *p, const struct point *where, enum mode m, enum fault_kind kind, bool at_exit, int error, uint64_t size)
{
	mode = m;
	fault = (struct fault){.kind = kind, .process = where->process, .call = where->call, .at_exit = at_exit, .error = error, .size = size,
		.name = kind == FAULT_KILL ? NULL : where->name};
	if (chosen(where->again))
		try_point(p, where);
}

/* Under a sanitizer most of what comes before the first umask, and all memory, is its own. */
static bool
is_ours(const struct point *where, bool *begun)
{
	static const char *const memory[] = {"brk", "mmap", "mprotect", "mremap", "prlimit64", "readlink", "readlinkat", "set_robust_list", NULL};
	if (!getenv("SANITIZED"))
		return true;
	*begun |= strcmp(where->name, "umask") == 0;
	for (int i = 0; memory[i]; i++)
		if (strcmp(memory[i], where->name) == 0)
			return false;
	return *begun;
}

static void
try_all(const struct picture *p)
{
	bool begun = false;
	for (int i = 0; i < ref.n; i++) {
		const struct point *w = &ref.point[i];
		if (!is_ours(w, &begun))
			continue;
		for (int x = 0; x < 2 && o.mode[MODE_KILL] && !(x && strcmp(w->name, "exit_group") == 0); x++)
			maybe(p, w, MODE_KILL, FAULT_KILL, x, 0, 0);
		for (size_t k = 0; k < sizeof errnos / sizeof *errnos; k++) {
			if (!can_fail(w->name, errnos[k]) || (strcmp(w->name, "flock") == 0 && w->second & LOCK_UN))
				continue;
			if (o.mode[MODE_ERROR])
				maybe(p, w, MODE_ERROR, FAULT_ERROR, false, errnos[k], 0);
			if (o.mode[MODE_ERRORS] && errnos[k] != EINTR)
				maybe(p, w, MODE_ERRORS, FAULT_ERRORS, false, errnos[k], 0);
		}
		if (!inject_can_be_short(w->name))
			continue;
		if (o.mode[MODE_SHORT])
			maybe(p, w, MODE_SHORT, FAULT_SHORT, false, 0, 0);
		if (o.mode[MODE_TORN] && strstr(w->name, "write"))
			for (int k = 0; k <= CUTS && (k == 0 || w->cut[k - 1]); k++)
				maybe(p, w, MODE_TORN, FAULT_TORN, false, 0, k ? w->cut[k - 1] : 0);
	}
}

static void
try_order(const struct picture *p)
{
	fault = (struct fault){.kind = FAULT_NONE};
	mode = MODE_ORDER;
	at = "no call";
	if (!chosen(false))
		return;
	world_restore(p);
	bad = false;
	const char *found = order_check(test);
	o.total->points[MODE_ORDER]++;
	if (found)
		wrong("%s", found);
}

static void
work(const char *folder, const char *bin)
{
	char path[PATH_MAX + 16];
	snprintf(path, sizeof path, "%s/%d", folder, o.worker);
	world_begin(path, bin);
	for (int s = 0; s < STATE_COUNT; s++) {
		struct picture *p = NULL;
		state = (enum state)s;
		if (o.only_state && strcmp(o.only_state, state_name(state)) != 0)
			continue;
		for (int i = 0; i < case_count; i++) {
			test = &cases[i];
			if (!test->status[s] || (o.only_case && strcmp(o.only_case, test->name) != 0))
				continue;
			if (!p) {
				world_clear();
				state_build(state);
				p = world_picture();
			}
			world_restore(p);
			if (!refer())
				continue;
			if (o.mode[MODE_ORDER])
				try_order(p);
			try_all(p);
		}
	}
	if (!o.keep)
		world_end();
}

/* --- the whole --- */

static void
say_totals(const struct totals *t)
{
	for (int m = 0; m < MODES; m++) {
		if (!t->points[m])
			continue;
		printf("%s: %ld points", mode_names[m], t->points[m]);
		if (m != MODE_ORDER)
			printf(", %ld without effect, %ld with, %ld with a part of several changes, %ld not come to", t->without[m], t->with[m], t->part[m], t->missed[m]);
		if (m != MODE_KILL && m != MODE_TORN && m != MODE_ORDER)
			for (int s = 0; s < STATUSES; s++)
				if (t->status[m][s])
					printf(", status %d: %ld", s, t->status[m][s]);
		printf("\n");
	}
	printf("%ld wrong\n", t->wrong);
}

static volatile sig_atomic_t stopping;

static void
on_signal(int signal)
{
	stopping = signal;
}

static int
run_workers(const char *folder, const char *bin)
{
	pid_t workers[64];
	struct sigaction stop = {.sa_handler = on_signal};
	struct totals *all = mmap(NULL, sizeof *all * (size_t)o.workers, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status, failed = 0;
	if (all == MAP_FAILED)
		world_die("%s", strerror(errno));
	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGINT, &stop, NULL);
	for (o.worker = 0; o.worker < o.workers; o.worker++) {
		o.total = &all[o.worker];
		pid_t pid = fork();
		if (pid < 0)
			world_die("%s", strerror(errno));
		workers[o.worker] = pid;
		if (pid == 0) {
			signal(SIGTERM, SIG_DFL);
			signal(SIGINT, SIG_DFL);
			work(folder, bin);
			fflush(stdout);
			_exit(0);
		}
	}
	for (pid_t pid; (pid = wait(&status)) > 0 || errno == EINTR;) {
		if (pid > 0)
			failed |= status != 0;
		for (int i = 0; stopping && i < o.workers; i++)
			kill(workers[i], SIGKILL); /* what it traces goes with it */
	}
	if (stopping) {
		world_wipe(folder);
		exit(128 + stopping);
	}
	for (int i = 1; i < o.workers; i++)
		for (size_t k = 0; k < sizeof *all / sizeof(long); k++)
			((long *)all)[k] += ((long *)&all[i])[k];
	say_totals(all);
	long tried = 0;
	for (int m = 0; m < MODES; m++)
		tried += all->points[m] - all->missed[m];
	return failed || all->wrong || !tried;
}

static void
find_bin(char bin[PATH_MAX])
{
	char exe[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
	exe[n > 0 ? n : 0] = '\0';
	for (int i = 0; i < 2; i++) {
		char *slash = strrchr(exe, '/');
		if (slash)
			*slash = '\0';
	}
	snprintf(bin, PATH_MAX, "%.*s/bin", PATH_MAX - 5, exe);
}

static void
choose_mode(const char *name)
{
	bool any = false;
	for (int m = 0; m < MODES; m++)
		if (strcmp(name, mode_names[m]) == 0)
			o.mode[m] = any = true;
	if (!any)
		world_die("there is no mode '%s'", name);
}

int
main(int argc, char **argv)
{
	char folder[PATH_MAX] = "", bin[PATH_MAX];
	bool any = false;
	for (int c; (c = getopt(argc, argv, "c:d:e:f:j:km:p:r:s:v")) != -1;)
		switch (c) {
		case 'c': o.only_case = optarg; break;
		case 'd': snprintf(folder, sizeof folder, "%s", optarg); break;
		case 'e': o.only_error = inject_errno(optarg); break;
		case 'f': o.fraction = strtoul(optarg, NULL, 10); break;
		case 'j': o.workers = (int)strtol(optarg, NULL, 10); break;
		case 'k': o.keep = 1; break;
		case 'm': choose_mode(optarg); any = true; break;
		case 'p': o.only_point = optarg; break;
		case 'r': o.seed = strtoul(optarg, NULL, 10); break;
		case 's': o.only_state = optarg; break;
		case 'v': o.verbose++; break;
		default: return 2;
		}
	for (int m = 0; m < MODES; m++)
		o.mode[m] |= !any;
	if (o.only_point)
		o.workers = 1;
	find_bin(bin);
	if (!*folder) {
		/* Where a flush costs nothing. */
		const char *tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : getenv("TMPDIR");
		snprintf(folder, sizeof folder, "%s/faults.XXXXXX", tmp ? tmp : "/tmp");
		if (!mkdtemp(folder))
			world_die("%s: %s", folder, strerror(errno));
	}
	if (!o.fraction || o.workers < 1 || o.workers > 64)
		return 2;
	int failed = run_workers(folder, bin);
	(void)rmdir(folder);
	return failed;
}
