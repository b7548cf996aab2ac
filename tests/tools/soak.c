/* soak - many processes change a few operations while they are killed at random; then everything is checked
 *
 *	soak [-r seed] [-s seconds] folder
 *
 * 32 workers run commands one after the other; 44 % of them get SIGKILL at a moment within the time that such a command takes, which 30 %
 * meet before their end.  They work on four operations, for each that ends a new one, in the folder, which is empty at first.  Every
 * change has a token of its own.  Meanwhile two look on.  In the end the operations are ended, one sweep follows, and tests/soak/check.c holds what the
 * journals and the folders say to what was acknowledged.  One line of figures goes to stdout; status 1 when something was wrong. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../soak/soak.h"

enum { LIVE = 4, READERS = 2, HELD = 6, KILLED = 1000, KILL_PERCENT = 44, KINDS = 32 };

const char *folder;
static struct shared *shared;
static _Atomic int *slot; /* the operations that are worked on: numbers, -1 where there is none yet */
static int64_t deadline_ms;
static uint64_t state;
static char marker[64];

static int64_t
now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static uint32_t
below(uint32_t n)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (uint32_t)((state * UINT64_C(0x2545f4914f6cdd1d)) >> 32) % n;
}

static bool
percent(uint32_t n)
{
	return below(100) < n;
}

/* --- one command --- */

struct seat { /* at one of the operations that are worked on */
	int op;
	bool joined;
	char call[HELD][72]; /* running, started by this one */
	int calls;
	char path[HELD][160]; /* registered by this one */
	int paths;
};

struct hand {
	struct worker *w;
	int no;
	char name[16];
	struct seat seat[LIVE];
	int64_t takes_us[KINDS]; /* how long such a command takes, on average */
	char out[1 << 16];
};

/* Run a command, killed after kill_us microseconds (-1: never).  What it says goes to out[size]; the result is its status, KILLED
 * where the signal was first. */
static int
run(struct worker *w, char *const argv[], int64_t kill_us, char *out, size_t size)
{
	int fd[2], status;
	size_t n = 0;
	ssize_t r;
	if (pipe2(fd, O_CLOEXEC) < 0)
		abort();
	pid_t pid = fork();
	if (pid < 0)
		abort();
	if (pid == 0) {
		dup2(fd[1], 1);
		dup2(fd[1], 2);
		execvp(argv[0], argv);
		_exit(127);
	}
	close(fd[1]);
	(void)fcntl(fd[0], F_SETFL, O_NONBLOCK);
	if (kill_us >= 0) {
		struct timespec t = {.tv_sec = kill_us / 1000000, .tv_nsec = kill_us % 1000000 * 1000};
		nanosleep(&t, NULL);
		kill(pid, SIGKILL);
	}
	/* Its end counts: what a killed supervisor leaves has the pipe too. */
	for (bool ended = false; !ended;) {
		struct timespec t = {.tv_nsec = 300000};
		pid_t got = waitpid(pid, &status, WNOHANG);
		ended = got == pid || (got < 0 && errno != EINTR);
		while ((r = read(fd[0], out + n, size - 1 - n)) > 0)
			if ((n += (size_t)r) == size - 1)
				n = 0; /* only the end matters, and nothing is that long */
		if (!ended)
			nanosleep(&t, NULL);
	}
	out[n] = '\0';
	close(fd[0]);
	int rc = WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status) == SIGKILL ? KILLED : 128 + WTERMSIG(status);
	if (w && w->pids < PIDS)
		w->pid[w->pids++] = rc == KILLED ? -pid : pid;
	return rc;
}

static int64_t
number(const char *json, const char *member)
{
	const char *at = strstr(json, member);
	return at ? strtoll(at + strlen(member), NULL, 10) : -1;
}

static bool
text(const char *json, const char *member, char *out, size_t size)
{
	const char *at = strstr(json, member);
	if (!at)
		return false;
	at += strlen(member);
	snprintf(out, size, "%.*s", (int)strcspn(at, "\""), at);
	return true;
}

static void
wrong(struct hand *h, const char *const argv[], int status)
{
	h->w->wrong += complain("%s %s %s gave %d: %.600s", argv[0], argv[1] ? argv[1] : "", argv[1] && argv[2] ? argv[2] : "", status, h->out);
}

/* Run one command of a worker, which may be killed. */
static int
attempt(struct hand *h, int kind, const char *const argv[])
{
	int64_t takes = h->takes_us[kind] ? h->takes_us[kind] : 3000, kill_us = percent(KILL_PERCENT) ? (int64_t)below((uint32_t)takes) : -1, begin = now_us();
	int status = run(h->w, (char *const *)(uintptr_t)argv, kill_us, h->out, sizeof h->out);
	if (status != KILLED)
		h->takes_us[kind] = (takes * 7 + now_us() - begin) / 8 + 1;
	h->w->commands++;
	h->w->kills += status == KILLED;
	return status;
}

/* An operation at which nothing more can be done gets a successor. */
static void
is_over(struct seat *s, int which)
{
	int op = s->op;
	(void)which;
	if (op >= 0)
		__atomic_compare_exchange_n((int *)&slot[which], &op, -1, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static void
take_seat(struct hand *h, int which)
{
	struct seat *s = &h->seat[which];
	int op = slot[which];
	if (op != s->op)
		*s = (struct seat){.op = op};
}

static const char *
operation(const struct seat *s)
{
	return shared->operation[s->op];
}

/* A new record. */
static struct record *
record(struct hand *h, const struct seat *s, enum what what, bool token)
{
	struct record *r = &h->w->record[h->w->n++];
	*r = (struct record){.what = (uint8_t)what, .token = token, .op = s ? s->op : -1};
	return r;
}

/* Run one change, with a key again and again until it is done.  Whether it is, with h->out. */
static bool
change(struct hand *h, int which, struct record *r, const char *by, const char *const more[])
{
	struct seat *s = which < 0 ? NULL : &h->seat[which];
	char key[40];
	const char *argv[40];
	int n = 0;
	bool refused = false, killed = false;
	while (*more)
		argv[n++] = *more++;
	argv[n++] = "-j";
	if (s) {
		argv[n++] = "-o";
		argv[n++] = operation(s);
	}
	argv[n++] = "-p";
	argv[n++] = by;
	if (r->keyed) {
		snprintf(key, sizeof key, "--key=K-%d-%d", h->no, (int)(r - h->w->record));
		argv[n++] = key;
	}
	argv[n] = NULL;
	for (;;) {
		int status = attempt(h, r->what, argv);
		r->status = (uint8_t)(status == KILLED ? 137 : status);
		if (status == 0) {
			r->outcome = OUT_DONE;
			r->seq = number(h->out, "\"seq\":");
			return true;
		}
		killed |= status == KILLED;
		if (status == KILLED && r->keyed)
			continue;
		if (status == KILLED)
			return false;
		/* A beat's status is the operation's state, also where the progress was recorded. */
		if (r->what == W_PROGRESS && status >= 4 && status <= 6)
			return false;
		/* It was done, and what it was done to is gone: that is looked at before the key. */
		if (r->what == W_ADD && killed && strstr(h->out, "no-such-file"))
			return false;
		refused = status == 1 || (status >= 3 && status <= 7);
		if (!refused)
			wrong(h, argv, status);
		r->outcome = OUT_REFUSED;
		if (s && (strstr(h->out, "operation-ended") || strstr(h->out, "operation-failed") || strstr(h->out, "operation-not-found")))
			is_over(s, which);
		if (s && (strstr(h->out, "participant-not-found") || strstr(h->out, "session-not-found")))
			s->joined = false;
		return false;
	}
}

static void
token(const struct hand *h, char out[40])
{
	snprintf(out, 40, "T-%d-%d.", h->no, h->w->n);
}

/* --- what a worker does --- */

static void
create(struct hand *h, int which)
{
	char t[40], id[72];
	token(h, t);
	const char *argv[] = {"dpl-create", "-d", t, "--window=2s", "--beat=900ms", "--jitter=0s", "--stale=2s", NULL};
	struct record *r = record(h, NULL, W_CREATE, true);
	r->keyed = percent(70);
	if (!change(h, -1, r, "boss", argv) || !text(h->out, "\"operationId\":\"", id, sizeof id))
		return;
	int op = shared->operations++, none = -1;
	if (op >= OPERATIONS)
		abort();
	snprintf(shared->operation[op], sizeof shared->operation[op], "%s", id);
	r->op = op;
	__atomic_compare_exchange_n((int *)&slot[which], &none, op, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	keep_journals();
}

/* Every session has a ttl that tells whose it is. */
static void
join(struct hand *h, int which, bool leave)
{
	char ttl[40], session[40];
	struct seat *s = &h->seat[which];
	snprintf(ttl, sizeof ttl, "--ttl=%dms", TTL * (h->no + 1) + h->w->n);
	const char *argv[] = {"dpl-join", ttl, NULL};
	struct record *r = record(h, s, W_JOIN, true);
	r->keyed = percent(30);
	if (!change(h, which, r, h->name, argv))
		return;
	s->joined = true;
	if (!leave)
		return;
	snprintf(session, sizeof session, "--session=%" PRId64, number(h->out, "\"sessionId\":"));
	const char *go[] = {"dpl-leave", "--cancel", session, NULL};
	r = record(h, s, W_LEAVE, false);
	r->keyed = percent(50);
	change(h, which, r, h->name, go);
}

static void
start_call(struct hand *h, int which, const char *t)
{
	struct seat *s = &h->seat[which];
	const char *argv[] = {"dpl-call", "start", "-d", t, NULL};
	struct record *r = record(h, s, W_START, true);
	r->keyed = percent(30);
	if (change(h, which, r, h->name, argv) && s->calls < HELD)
		s->calls += text(h->out, "\"callId\":\"", s->call[s->calls], sizeof *s->call);
}

static void
end_call(struct hand *h, int which, const char *t)
{
	struct seat *s = &h->seat[which];
	char call[72], result[60];
	int at = (int)below((uint32_t)s->calls);
	bool well = percent(66);
	memcpy(call, s->call[at], sizeof call);
	memmove(s->call[at], s->call[--s->calls], sizeof call);
	snprintf(result, sizeof result, "--result=%s", t);
	const char *end[] = {"dpl-call", "end", result, call, NULL}, *fail[] = {"dpl-call", "fail", "-m", t, call, NULL};
	struct record *r = record(h, s, well ? W_END : W_FAIL, true);
	r->keyed = percent(30);
	change(h, which, r, h->name, well ? end : fail);
}

static void
remember_path(struct seat *s, const char *path)
{
	if (s->paths < HELD && strlen(path) < sizeof *s->path)
		memcpy(s->path[s->paths++], path, strlen(path) + 1);
}

static void
make_temp(struct hand *h, int which)
{
	char path[160];
	struct seat *s = &h->seat[which];
	const char *file[] = {"dpl-temp", "make", NULL}, *dir[] = {"dpl-temp", "make", "-d", NULL};
	struct record *r = record(h, s, W_MAKE, false);
	if (change(h, which, r, h->name, percent(50) ? file : dir) && text(h->out, "\"path\":\"", path, sizeof path))
		remember_path(s, path);
}

static void
put(const char *path, const char *content)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, content, strlen(content)) != (ssize_t)strlen(content))
		abort();
	close(fd);
}

/* A folder with links to what must stay, and some files, one of them with a second name outside. */
static void
fill(const char *path)
{
	char name[4300], other[4300];
	if (mkdir(path, 0700) < 0)
		abort();
	snprintf(name, sizeof name, "%s/link", path);
	snprintf(other, sizeof other, "%s/temp/bystander-0", folder);
	if (symlink(other, name) < 0)
		abort();
	snprintf(name, sizeof name, "%s/hard", path);
	snprintf(other, sizeof other, "%s/temp/bystander-1", folder);
	if (link(other, name) < 0)
		abort();
	snprintf(name, sizeof name, "%s/sub", path);
	if (mkdir(name, 0700) < 0)
		abort();
	snprintf(name, sizeof name, "%s/sub/file", path);
	put(name, "x\n");
}

/* A file or folder of the worker's, registered; sometimes another file takes its place then. */
static void
add_temp(struct hand *h, int which, const char *t)
{
	char path[4200], aside[4300];
	struct seat *s = &h->seat[which];
	bool dir = percent(40);
	snprintf(path, sizeof path, "%s/temp/%s", folder, t);
	if (dir)
		fill(path);
	else
		put(path, "x\n");
	const char *argv[] = {"dpl-temp", "add", path, NULL};
	struct record *r = record(h, s, W_ADD, true);
	r->keyed = percent(30);
	r->file = true;
	bool done = change(h, which, r, h->name, argv);
	if (!dir && percent(25)) {
		/* Beside it first, so that the inode is another: what is there then was never registered.  It stays there, too, and tells when somebody
		 * deletes the one that has taken the place. */
		snprintf(aside, sizeof aside, "%s/temp/.%s", folder, t);
		put(aside, "stays\n");
		if (unlink(path) == 0 || errno == ENOENT)
			r->swapped = link(aside, path) == 0;
		struct timespec t0;
		clock_gettime(CLOCK_REALTIME, &t0);
		r->swapped_ms = (int64_t)t0.tv_sec * 1000 + t0.tv_nsec / 1000000;
		if (!r->swapped)
			unlink(aside);
	} else if (done) {
		remember_path(s, path);
	}
}

static void
undo_text(char *out, size_t size, const char *t)
{
	snprintf(out, size, "echo %s $PPID >>%s/undone", t, folder);
}

static void
add_command(struct hand *h, int which, const char *t)
{
	char command[4300];
	struct seat *s = &h->seat[which];
	undo_text(command, sizeof command, t);
	const char *argv[] = {"dpl-temp", "add", "--command", command, NULL};
	struct record *r = record(h, s, W_COMMAND, true);
	r->keyed = percent(30);
	change(h, which, r, h->name, argv);
}

static void
remove_temp(struct hand *h, int which)
{
	char path[160];
	struct seat *s = &h->seat[which];
	int at = (int)below((uint32_t)s->paths);
	memcpy(path, s->path[at], sizeof path);
	memmove(s->path[at], s->path[--s->paths], sizeof path);
	const char *argv[] = {"dpl-temp", "remove", path, percent(15) ? "--keep" : NULL, NULL};
	struct record *r = record(h, s, W_REMOVE, false);
	if (!change(h, which, r, h->name, argv))
		return;
	/* It says no more than what became of it. */
	if (!strstr(h->out, "\"removed\"") && !strstr(h->out, "\"kept\"") && !strstr(h->out, "\"gone\""))
		wrong(h, argv, 0);
}

/* A supervised command. */
static void
supervise(struct hand *h, int which, const char *t)
{
	char script[9000], undo[4300], description[60];
	struct seat *s = &h->seat[which];
	const char *argv[30];
	int n = 0, kind = (int)below(4);
	undo_text(undo, sizeof undo, t);
	if (kind == 0)
		snprintf(script, sizeof script, "sleep 0.%03u", below(40));
	else if (kind == 1)
		snprintf(script, sizeof script, "dpl-temp make -q >/dev/null; dpl-temp add -q --command '%s' >/dev/null; sleep 0.%03u", undo, below(20));
	else if (kind == 2)
		snprintf(script, sizeof script, "dpl-temp make -qd >/dev/null; dpl-beat -q; sleep 0.%03u & sleep 0.%03u", below(20), below(20));
	else
		snprintf(script, sizeof script, "exit 9");
	snprintf(description, sizeof description, "-d%s", t);
	argv[n++] = "dpl-call";
	argv[n++] = description;
	if (percent(65))
		argv[n++] = "--no-fail-on-crash";
	if (percent(20))
		argv[n++] = "--fallback=instead";
	if (percent(20))
		argv[n++] = "--timeout=15ms";
	const char *rest[] = {"-o", operation(s), "-p", h->name, "--grace=200ms", "--", "sh", "-c", script, NULL};
	memcpy(argv + n, rest, sizeof rest);
	struct record *r = record(h, s, W_RUN, true);
	int status = attempt(h, KINDS - 1 - kind, argv);
	r->status = (uint8_t)status;
	if (status == 0 || status == 9)
		r->outcome = OUT_DONE;
	else if (status == 122 || status == 123 || status == 125)
		r->outcome = OUT_REFUSED; /* also where it was begun */
	else if (status != KILLED && status != 124)
		wrong(h, argv, status);
	if (status == 123 || strstr(h->out, "has ended") || strstr(h->out, "has failed"))
		is_over(s, which);
	if (strstr(h->out, "does not take part"))
		s->joined = false;
}

static void
end_operation(struct hand *h, int which, const char *t)
{
	struct seat *s = &h->seat[which];
	bool failed = percent(40);
	const char *argv[] = {"dpl-complete", "-m", t, percent(80) ? "--cancel" : "-t9s", failed ? "--failed" : NULL, NULL};
	struct record *r = record(h, s, failed ? W_FAILED : W_COMPLETE, true);
	r->keyed = percent(30);
	if (change(h, which, r, "boss", argv)) {
		r->seq = 0; /* behind it stands what was removed */
		is_over(s, which);
	}
}

static void
abort_it(struct hand *h, int which, const char *t)
{
	struct seat *s = &h->seat[which];
	const char *argv[] = {"dpl-abort", "-m", t, NULL};
	struct record *r = record(h, s, W_ABORT, true);
	if (change(h, which, r, h->name, argv) && strstr(h->out, "alreadySet")) {
		r->token = r->keyed = false;
		r->seq = 0;
	}
}

static void
clear(struct hand *h, int which)
{
	const char *argv[] = {"dpl-abort", "--clear", NULL};
	struct record *r = record(h, &h->seat[which], W_CLEAR, false);
	r->keyed = true;
	change(h, which, r, h->name, argv);
}

/* What changes nothing by itself, though anybody who looks goes on with what others left: only its status tells. */
static void
look(struct hand *h, int which, int kind)
{
	struct seat *s = &h->seat[which];
	const char *op = operation(s);
	const char *const all[][10] = {
		{"dpl-show", "-j", op}, {"dpl-show", "--why", op}, {"dpl-call", "list", "-aj", "-o", op}, {"dpl-temp", "list", "-aj", "-o", op},
		{"dpl-log", "-j", "-o", op}, {"dpl-show", "--trail", op}, {"dpl-beat", "-j", "-o", op, "-p", h->name},
		{"dpl-cleanup", "-q", "-t1s", op}, {"dpl-cleanup", "-q", "-t1s", "--sweep"}, {"dpl-show", "-aq"},
	};
	const char *const *argv = all[kind];
	int status = attempt(h, 17 + (kind < 10 ? kind : 0) % 10, argv);
	bool beat = kind == 6, cleanup = kind == 7 || kind == 8;
	/* Whoever is gone was one too many; a beat tells of the state. */
	if (status != 0 && status != KILLED && status != 3 && !(beat && (status == 4 || status == 5 || status == 6)) && !(cleanup && (status == 1 || status == 7)))
		wrong(h, argv, status);
	if (beat && (strstr(h->out, "operation-ended") || strstr(h->out, "operation-failed") || strstr(h->out, "operation-not-found")))
		is_over(s, which);
	if (beat && strstr(h->out, "participant-not-found"))
		s->joined = false;
}

static void
act(struct hand *h, int which)
{
	char t[40];
	struct seat *s = &h->seat[which];
	uint32_t what = below(1000);
	token(h, t);
	if (!s->joined) {
		join(h, which, false);
	} else if (what < 170 || (what >= 280 && what < 380 && !s->calls) || (what >= 700 && what < 760 && !s->paths)) {
		const char *argv[] = {"dpl-log", "-l", "info", t, NULL};
		struct record *r = record(h, s, W_LOG, true);
		r->keyed = percent(30);
		change(h, which, r, h->name, argv);
	} else if (what < 280) {
		start_call(h, which, t);
	} else if (what < 380) {
		end_call(h, which, t);
	} else if (what < 430) {
		join(h, which, true);
	} else if (what < 480) {
		const char *argv[] = {"dpl-beat", "-m", t, NULL};
		struct record *r = record(h, s, W_PROGRESS, true);
		if (change(h, which, r, h->name, argv))
			r->seq = 0; /* as far as it saw, not its own */
	} else if (what < 560) {
		make_temp(h, which);
	} else if (what < 640) {
		add_temp(h, which, t);
	} else if (what < 700) {
		add_command(h, which, t);
	} else if (what < 760) {
		remove_temp(h, which);
	} else if (what < 870) {
		supervise(h, which, t);
	} else if (what < 874) {
		abort_it(h, which, t);
	} else if (what < 888) {
		clear(h, which);
	} else if (what < 892) {
		end_operation(h, which, t);
	} else {
		look(h, which, (int)below(10));
	}
}

static void
work(struct worker *w, int no, uint64_t seed)
{
	static struct hand hand;
	struct hand *h = &hand;
	h->w = w;
	h->no = no;
	snprintf(h->name, sizeof h->name, "w%d", no);
	state = (seed * WORKERS + (uint64_t)no + 1) * UINT64_C(0x9e3779b97f4a7c15);
	for (int i = 0; i < LIVE; i++)
		h->seat[i].op = -1;
	while (now_us() < deadline_ms * 1000 && w->n < MOST - 3 && w->pids < PIDS) {
		int which = (int)below(LIVE);
		take_seat(h, which);
		if (h->seat[which].op < 0)
			create(h, which);
		else
			act(h, which);
	}
}

/* --- the end --- */

static int
must(const char *const argv[], int best)
{
	static char out[1 << 16];
	int status = run(NULL, (char *const *)(uintptr_t)argv, -1, out, sizeof out);
	return status <= best ? status : (complain("%s %s %s gave %d: %.600s", argv[0], argv[1], argv[2] ? argv[2] : "", status, out), -1);
}

/* Everything is ended, and a sweep finds nothing that stays.  How often something was wrong. */
static int
finish(void)
{
	char path[4096];
	int bad = 0, status = 1;
	snprintf(path, sizeof path, "%s/ledger", folder);
	DIR *d = opendir(path);
	for (struct dirent *e; d && (e = readdir(d));) {
		if (e->d_name[0] != '2')
			continue;
		const char *end[] = {"dpl-complete", "-qpboss", "--cancel", "-o", e->d_name, NULL};
		bad += must(end, 6) < 0;
	}
	if (d)
		closedir(d);
	const char *sweep[] = {"dpl-cleanup", "--sweep", "-v", "-t20s", NULL};
	for (int i = 0; i < 3 && status == 1; i++)
		status = must(sweep, 1);
	/* Who reads makes operation.log where two archived at once. */
	snprintf(path, sizeof path, "%s/ledger/backup", folder);
	d = opendir(path);
	for (struct dirent *e; d && (e = readdir(d));) {
		const char *read[] = {"dpl-log", "-q", "-o", e->d_name, NULL};
		if (e->d_name[0] == '2')
			bad += must(read, 0) < 0;
	}
	if (d)
		closedir(d);
	return bad + (status != 0 && complain("I10 the sweep leaves something"));
}

/* Processes that carry our mark in their environment, or 0.  `name`: one of them. */
static int
processes(char *name, size_t size)
{
	int n = 0;
	DIR *d = opendir("/proc");
	for (struct dirent *e; d && (e = readdir(d));) {
		static char text[1 << 18];
		char path[300];
		if (e->d_name[0] < '1' || e->d_name[0] > '9' || strtol(e->d_name, NULL, 10) == getpid())
			continue;
		snprintf(path, sizeof path, "/proc/%s/environ", e->d_name);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t r = fd < 0 ? -1 : read(fd, text, sizeof text);
		if (fd >= 0)
			close(fd);
		if (r <= 0 || !memmem(text, (size_t)r, marker, strlen(marker)))
			continue;
		n++;
		snprintf(path, sizeof path, "/proc/%s/cmdline", e->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		r = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
		if (fd >= 0)
			close(fd);
		text[r > 0 ? r : 0] = '\0';
		for (ssize_t i = 0; i + 1 < r; i++)
			if (!text[i])
				text[i] = ' ';
		snprintf(name, size, "%.20s: %.200s", e->d_name, text);
	}
	if (d)
		closedir(d);
	return n;
}

/* Locks on files of the ledger. */
static int
locks(void)
{
	char line[300];
	int n = 0;
	FILE *f = fopen("/proc/locks", "r");
	while (f && fgets(line, sizeof line, f)) {
		char path[4096];
		unsigned long long inode = 0;
		char *at = strrchr(line, ':');
		struct stat st;
		if (!at || sscanf(at, ":%llu", &inode) != 1)
			continue;
		snprintf(path, sizeof path, "%s/kept", folder);
		DIR *d = opendir(path);
		for (struct dirent *e; d && (e = readdir(d));) {
			snprintf(path, sizeof path, "%s/kept/%s", folder, e->d_name);
			if (e->d_name[0] == '2' && stat(path, &st) == 0 && st.st_ino == inode)
				n++;
		}
		if (d)
			closedir(d);
	}
	if (f)
		fclose(f);
	return n;
}

static int
check_nothing_left(void)
{
	char name[300] = "";
	int n = 0;
	for (int64_t end = now_us() + 1000000; (n = processes(name, sizeof name)) && now_us() < end;)
		usleep(10000);
	if (n)
		complain("I10 %d processes are left: %s", n, name);
	int l = locks();
	return n + (l ? complain("I10 %d locks are left", l) : 0);
}

static void
prepare(void)
{
	static const char *const parts[] = {"ledger", "temp", "kept"};
	char path[4200];
	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof path, "%s/%s", folder, parts[i]);
		if (mkdir(path, 0700) < 0) {
			perror(path);
			exit(2);
		}
		if (i == 0)
			setenv("DPL_LEDGER", path, 1);
		else if (i == 1)
			setenv("TMPDIR", path, 1);
	}
	for (int i = 0; i < BYSTANDERS; i++) {
		snprintf(path, sizeof path, "%s/temp/bystander-%d", folder, i);
		if (i % 4 == 0) {
			if (mkdir(path, 0700) < 0)
				abort();
			snprintf(path, sizeof path, "%s/temp/bystander-%d/in", folder, i);
		}
		put(path, "stays\n");
	}
	setenv("DPL_TIMEOUT", "20s", 1);
	snprintf(marker, sizeof marker, "SOAK_RUN=%ld.%lld", (long)getpid(), (long long)now_us());
	putenv(marker);
	signal(SIGPIPE, SIG_IGN);
}

int
main(int argc, char **argv)
{
	uint64_t seed = 1;
	int seconds = 8, bad = 0, status, commands = 0, kills = 0, looks = 0;
	struct found f = {0};
	for (int o; (o = getopt(argc, argv, "r:s:")) != -1;)
		if (o == 'r')
			seed = strtoull(optarg, NULL, 10);
		else if (o == 's')
			seconds = (int)strtol(optarg, NULL, 10);
		else
			return 2;
	if (argc - optind != 1 || argv[optind][0] != '/') {
		fprintf(stderr, "usage: soak [-r seed] [-s seconds] /folder\n");
		return 2;
	}
	folder = argv[optind];
	prepare();
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	slot = mmap(NULL, LIVE * sizeof *slot, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED || slot == MAP_FAILED)
		abort();
	complaints = &shared->complaints;
	for (int i = 0; i < LIVE; i++)
		slot[i] = -1;
	deadline_ms = now_us() / 1000 + (int64_t)seconds * 1000;
	pid_t reader[READERS];
	for (int i = 0; i < WORKERS + READERS; i++) {
		pid_t pid = fork();
		if (pid < 0)
			abort();
		if (pid == 0) {
			if (i < READERS)
				_exit(look_on(shared, &looks) || !looks);
			work(&shared->worker[i - READERS], i - READERS, seed);
			_exit(shared->worker[i - READERS].wrong ? 1 : 0);
		}
		if (i < READERS)
			reader[i] = pid;
	}
	for (int i = 0; i < WORKERS && wait(&status) > 0; i++)
		bad += !WIFEXITED(status) || WEXITSTATUS(status) != 0;
	bad += finish();
	shared->stop = 1;
	for (int i = 0; i < READERS; i++)
		bad += waitpid(reader[i], &status, 0) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0;
	bad += check_nothing_left();
	bad += check_all(shared, &f);
	for (int i = 0; i < WORKERS; i++) {
		commands += shared->worker[i].commands;
		kills += shared->worker[i].kills;
	}
	printf("seed %" PRIu64 ": %d commands, %d killed; %d operations, %d of them failed, %d epochs, %d deaths; %d entries, %d changes acknowledged, %d done but not "
	       "acknowledged; %d resources, %d undo commands run; %d wrong\n", seed, commands, kills, f.operations, f.failed, f.epochs, f.crashes, f.entries,
		f.acknowledged, f.unsure, f.resources, f.undone, bad);
	if (bad)
		printf("again: soak -r %" PRIu64 " -s %d FOLDER, or make soak SEED=%" PRIu64 " SECONDS=%d\n", seed, seconds, seed, seconds);
	/* A soak in which nothing happened has shown nothing. */
	return bad || f.acknowledged < 20 || kills < 20 || f.operations < 2 ? 1 : 0;
}
