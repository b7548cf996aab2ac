/* check: the invariants, by what the journals and the folders say */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "entry.h"
#include "hash.h"
#include "json.h"
#include "soak.h"

_Atomic int *complaints;

enum { THINGS = 200000, LIVES = 40000, SEEN = 4096, SAME_MOMENT_MS = 100 };

int
complain(const char *fmt, ...)
{
	static _Atomic int alone;
	va_list ap;
	if (++*(complaints ? complaints : &alone) <= 20) {
		char text[1200];
		va_start(ap, fmt);
		vsnprintf(text, sizeof text, fmt, ap);
		va_end(ap);
		fprintf(stderr, "soak: %s\n", text);
	}
	return 1;
}

static const char *
path_of(const char *part, const char *name)
{
	static char path[4][4096];
	static int turn;
	char *p = path[turn++ % 4];
	snprintf(p, sizeof path[0], "%s/%s%s%s", folder, part, *name ? "/" : "", name);
	return p;
}

static bool
is_there(const char *path)
{
	struct stat st;
	return lstat(path, &st) == 0;
}

/* A file, from a position on, with a NUL behind it; NULL where there is none. */
static char *
read_from(const char *path, uint64_t from, size_t *n)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0) {
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	size_t size = (uint64_t)st.st_size > from ? (size_t)((uint64_t)st.st_size - from) : 0;
	char *text = malloc(size + 1);
	ssize_t got = text ? pread(fd, text, size, (off_t)from) : -1;
	close(fd);
	*n = got > 0 ? (size_t)got : 0;
	if (text)
		text[*n] = '\0';
	return text;
}

/* The operations of a folder. */
static int
each_operation(const char *part, void (*each)(const char *id, void *arg), void *arg)
{
	DIR *d = opendir(path_of(part, ""));
	int n = 0;
	if (!d)
		return 0;
	for (struct dirent *e; (e = readdir(d));)
		if (e->d_name[0] == '2') {
			n++;
			each(e->d_name, arg);
		}
	closedir(d);
	return n;
}

static void
keep_one(const char *id, void *arg)
{
	char from[4096], to[4096];
	snprintf(from, sizeof from, "%s/%s/%s/journal.jsonl", folder, (const char *)arg, id);
	snprintf(to, sizeof to, "%s/kept/%s", folder, id);
	(void)!link(from, to);
}

void
keep_journals(void)
{
	each_operation("ledger", keep_one, "ledger");
	each_operation("ledger/backup", keep_one, "ledger/backup");
}

/* --- looking on --- */

struct seen {
	char id[72];
	uint64_t offset, seq, hash;
	bool archived, over;
};

struct looker {
	struct seen *seen;
	int n, wrong;
};

/* Take in the whole lines that came since. */
static int
read_on(struct seen *s, const char *path)
{
	size_t n;
	int wrong = 0;
	char *text = read_from(path, s->offset, &n), *p = text, *newline;
	struct entry e;
	while (text && (newline = memchr(p, '\n', (size_t)(text + n - p)))) {
		const char *bad = entry_parse(p, (size_t)(newline - p), &e);
		if (bad || e.seq != s->seq + 1) {
			wrong += complain("I1/I2 %s: entry %" PRIu64 ": %s: %.200s", s->id, s->seq + 1, bad ? bad : "a gap", p);
			break;
		}
		s->seq++;
		s->archived |= e.event == EVENT_ARCHIVED;
		p = newline + 1;
	}
	if (text) {
		for (const char *c = text; c < p; c++)
			s->hash = (s->hash ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
		s->offset += (uint64_t)(p - text);
	}
	free(text);
	return wrong;
}

static void
look_at(const char *id, void *arg)
{
	struct looker *l = arg;
	struct seen *s = NULL;
	struct stat live, backup;
	for (int i = l->n; i-- > 0 && !s;)
		if (strcmp(l->seen[i].id, id) == 0)
			s = &l->seen[i];
	if (!s) {
		if (l->n == SEEN)
			return;
		s = &l->seen[l->n++];
		*s = (struct seen){.hash = UINT64_C(0xcbf29ce484222325)};
		snprintf(s->id, sizeof s->id, "%s", id);
	}
	if (s->over)
		return;
	l->wrong += read_on(s, path_of("kept", id));
	/* Live first: what is not there any more has come to backup before.  Live again: it may have come meanwhile. */
	bool is_live = stat(path_of("ledger", id), &live) == 0;
	bool is_ended = stat(path_of("ledger/backup", id), &backup) == 0;
	if (is_live && is_ended && stat(path_of("ledger", id), &live) == 0)
		l->wrong += complain("I6 %s is live and in backup", id);
	if (!is_live && !is_ended) {
		l->wrong += read_on(s, path_of("kept", id));
		if (!s->archived) /* else it was one too many */
			l->wrong += complain("I6 %s is neither live nor in backup, and not archived", id);
		s->over = true;
	}
	if (!is_ended)
		return;
	size_t n;
	char where[100], *text;
	snprintf(where, sizeof where, "ledger/backup/%s", id);
	if ((text = read_from(path_of(where, "operation.json"), 0, &n))) {
		struct json j;
		struct why why;
		if (json_parse(&j, text, n && text[n - 1] == '\n' ? n - 1 : n, &why) < 0)
			l->wrong += complain("I1 %s: operation.json does not parse: %.300s", id, text);
		else
			json_free(&j);
		s->over = s->archived;
		free(text);
	}
}

int
look_on(struct shared *s, int *looks)
{
	struct looker l = {.seen = calloc(SEEN, sizeof *l.seen)};
	if (!l.seen)
		abort();
	for (*looks = 0; !s->stop; ++*looks) {
		keep_journals();
		each_operation("kept", look_at, &l);
		usleep(5000);
	}
	/* What was once seen stands there still. */
	for (int i = 0; i < l.n; i++) {
		size_t n;
		char *text = read_from(path_of("kept", l.seen[i].id), 0, &n);
		uint64_t hash = UINT64_C(0xcbf29ce484222325);
		for (uint64_t k = 0; text && k < l.seen[i].offset && k < n; k++)
			hash = (hash ^ (unsigned char)text[k]) * UINT64_C(0x100000001b3);
		if (!text || n < l.seen[i].offset || hash != l.seen[i].hash)
			l.wrong += complain("I1 %s: lines that were seen have changed", l.seen[i].id);
		free(text);
	}
	free(l.seen);
	return l.wrong;
}

/* --- one journal --- */

struct thing {
	char op[72];
	uint64_t id;
	char kind;         /* 'p' path, 'c' command, 'r' running process */
	char *what;
	bool made, has_identity;
	int ends;          /* final results */
	char result[12];
};

struct life { /* a call */
	char id[72];
	int64_t supervisor;
	bool ended;
};

struct checker {
	struct shared *s;
	struct found *f;
	struct thing *thing;
	int things, wrong;
	/* of the journal that is read: */
	const char *op;
	struct life *life;
	int lives;
	int first_thing;
	bool aborted, ended, archived, crashed;
	int64_t epoch, last_by_old;
	bool done;
	const char *line;
	const char **lines; /* of all entries, by seq */
	int entries;
};

#define WRONG(c, what) ((c)->wrong += complain("%s: %s: %.300s", what, (c)->op, (c)->line))

static bool
is(struct slice s, const char *text)
{
	return s.n == strlen(text) && memcmp(s.p, text, s.n) == 0;
}

static void
copy(struct slice s, char *out, size_t size)
{
	snprintf(out, size, "%.*s", (int)s.n, s.p ? s.p : "");
}

/* Whether one of ours had this pid and was killed: 1, was not: 0; nobody had it: -1. */
static int
was_killed(const struct shared *s, int64_t pid)
{
	int rc = -1;
	for (int w = 0; w < WORKERS; w++)
		for (int i = 0; i < s->worker[w].pids; i++) {
			if (s->worker[w].pid[i] == -pid)
				return 1;
			if (s->worker[w].pid[i] == pid)
				rc = 0;
		}
	return rc;
}

static struct life *
life_of(struct checker *c, struct slice id)
{
	for (int i = c->lives; i-- > 0;)
		if (is(id, c->life[i].id))
			return &c->life[i];
	return NULL;
}

static struct thing *
thing_of(struct checker *c, int64_t id)
{
	int at = c->first_thing + (int)id - 1;
	return id > 0 && at < c->things ? &c->thing[at] : NULL;
}

/* Which change made this entry, by its token, its ttl or its key. */
static struct record *
record_of(struct checker *c, const struct entry *e, const char *end)
{
	int w = -1, n = -1;
	char key[40];
	const char *t = memmem(c->line, (size_t)(end - c->line), "T-", 2);
	copy(e->key, key, sizeof key);
	if (t)
		(void)!sscanf(t, "T-%d-%d.", &w, &n);
	else if (e->event == EVENT_JOINED && e->ttl_ms > TTL)
		w = (int)(e->ttl_ms / TTL) - 1, n = (int)(e->ttl_ms % TTL);
	else if (*key)
		(void)!sscanf(key, "K-%d-%d", &w, &n);
	if (w < 0 || w >= WORKERS || n < 0 || n >= c->s->worker[w].n)
		return NULL;
	return &c->s->worker[w].record[n];
}

static bool
belongs(enum what what, enum event event)
{
	switch (what) {
	case W_CREATE: return event == EVENT_CREATED;
	case W_JOIN: return event == EVENT_JOINED;
	case W_LEAVE: return event == EVENT_LEFT;
	case W_LOG: return event == EVENT_LOG;
	case W_PROGRESS: return event == EVENT_PROGRESS;
	case W_START: case W_RUN: return event == EVENT_CALL_STARTED;
	case W_END: return event == EVENT_CALL_ENDED;
	case W_FAIL: return event == EVENT_CALL_FAILED;
	case W_ABORT: return event == EVENT_ABORT_SET;
	case W_CLEAR: return event == EVENT_ABORT_CLEARED;
	case W_COMPLETE: return event == EVENT_COMPLETED;
	case W_FAILED: return event == EVENT_FAILED;
	case W_MAKE: return event == EVENT_RESOURCE_MADE;
	case W_ADD: case W_COMMAND: return event == EVENT_RESOURCE_ADDED;
	case W_REMOVE: return event == EVENT_RESOURCE_REMOVED;
	}
	return false;
}

static void
check_call(struct checker *c, const struct entry *e)
{
	struct life *l = life_of(c, e->call_id);
	if (e->event == EVENT_CALL_STARTED) {
		if (l)
			WRONG(c, "I7 a call that was started before");
		else if (c->lives < LIVES) {
			l = &c->life[c->lives++];
			*l = (struct life){.supervisor = e->supervisor_pid};
			copy(e->call_id, l->id, sizeof l->id);
		}
		return;
	}
	if (!l || l->ended)
		WRONG(c, l ? "I7 of a call that had ended" : "I7 of a call that was never started");
	else if (e->event == EVENT_CALL_CRASHED && l->supervisor > 0 && !c->epoch && was_killed(c->s, l->supervisor) == 0)
		WRONG(c, "a call crashed whose supervisor was not killed");
	if (l && e->event != EVENT_PROGRESS)
		l->ended = true;
}

static void
check_resource(struct checker *c, const struct entry *e)
{
	struct thing *t;
	if (e->event == EVENT_RESOURCE_ADDED) {
		if (c->ended || c->epoch)
			WRONG(c, "I5 registered in a cleanup or after the end");
		if (c->things == THINGS || e->resource_id != c->things - c->first_thing + 1) {
			WRONG(c, "I2 the number of a resource");
			return;
		}
		t = &c->thing[c->things++];
		*t = (struct thing){.id = (uint64_t)e->resource_id, .made = e->made, .has_identity = e->type.n > 0,
			.kind = is(e->resource_kind, "path") ? 'p' : is(e->resource_kind, "command") ? 'c' : 'r'};
		struct slice what = t->kind == 'p' ? e->path : e->command;
		snprintf(t->op, sizeof t->op, "%s", c->op);
		t->what = strndup(what.p ? what.p : "", what.n);
		c->f->resources++;
		return;
	}
	if (!(t = thing_of(c, e->resource_id))) {
		WRONG(c, "I9 a resource that was not registered");
		return;
	}
	if (t->ends)
		WRONG(c, "I9 of a resource that had its result");
	if (e->event == EVENT_RESOURCE_MADE) {
		t->has_identity = true;
		return;
	}
	copy(e->result, t->result, sizeof t->result);
	t->ends += !is(e->result, "failed");
	if (e->epoch > 0 && e->epoch < c->epoch) {
		/* One that was replaced may tell of the one step it was in. */
		if (c->last_by_old == e->epoch)
			WRONG(c, "I5 a coordinator that was replaced went on");
		c->last_by_old = e->epoch;
	}
	if (e->epoch > c->epoch)
		WRONG(c, "I5 of an epoch that has not begun");
}

static void
check_entry(struct checker *c, const struct entry *e, const char *end)
{
	if (c->archived)
		WRONG(c, "I6 behind the archiving");
	bool allowed = e->event == EVENT_RESOURCE_REMOVED || e->event == EVENT_ARCHIVED || e->event == EVENT_LOG || e->event == EVENT_RESOURCE_MADE;
	if (c->ended && !allowed)
		WRONG(c, "I5 behind the end");
	switch (e->event) {
	case EVENT_CALL_QUEUED: case EVENT_CALL_STARTED: case EVENT_CALL_ENDED: case EVENT_CALL_FAILED: case EVENT_CALL_CRASHED: case EVENT_CALL_CANCELLED:
		check_call(c, e);
		break;
	case EVENT_PROGRESS:
		if (e->call_id.n)
			check_call(c, e);
		break;
	case EVENT_RESOURCE_ADDED: case EVENT_RESOURCE_MADE: case EVENT_RESOURCE_REMOVED:
		check_resource(c, e);
		break;
	case EVENT_ABORT_SET:
		if (c->aborted)
			WRONG(c, "I8 set, but it was set");
		c->aborted = true;
		break;
	case EVENT_ABORT_CLEARED: {
		const struct record *r = record_of(c, e, end);
		if (!c->aborted || !r || r->what != W_CLEAR || r->outcome == OUT_REFUSED)
			WRONG(c, "I8 cleared, and nobody asked for it");
		c->aborted = false;
		break;
	}
	case EVENT_CRASH_DETECTED: {
		const struct life *l = e->call_id.n ? life_of(c, e->call_id) : NULL;
		c->crashed = true;
		c->f->crashes++;
		if (!c->epoch && (!l || was_killed(c->s, l->supervisor) == 0))
			WRONG(c, "somebody was declared dead who was not killed");
		break;
	}
	case EVENT_CLEANUP_STARTED:
		if (e->epoch != c->epoch + 1 || !c->crashed || c->done)
			WRONG(c, "I5 a cleanup that should not begin");
		c->epoch = e->epoch;
		c->f->epochs++;
		break;
	case EVENT_CLEANUP_ACKNOWLEDGED: case EVENT_CLEANUP_DONE:
		if (!c->epoch || e->epoch > c->epoch || (e->event == EVENT_CLEANUP_DONE && (e->epoch != c->epoch || c->done)))
			WRONG(c, "I5 of another epoch");
		c->done |= e->event == EVENT_CLEANUP_DONE;
		break;
	case EVENT_COMPLETED: case EVENT_FAILED:
		if (c->crashed && (e->event == EVENT_COMPLETED || !c->done))
			WRONG(c, "I5 an end without the coordinator's word");
		c->ended = true;
		c->f->failed += e->event == EVENT_FAILED;
		break;
	case EVENT_ARCHIVED:
		if (!c->ended)
			WRONG(c, "I6 archived before its end");
		c->archived = true;
		break;
	default:
		break;
	}
}

/* The entry that an acknowledged change was told the number of. */
static void
check_acknowledged(struct checker *c, int which)
{
	for (int w = 0; w < WORKERS; w++) {
		for (int i = 0; i < c->s->worker[w].n; i++) {
			const struct record *r = &c->s->worker[w].record[i];
			struct entry e;
			char by[20];
			if (r->op != which || r->outcome != OUT_DONE || r->seq <= 0)
				continue;
			c->line = r->seq <= c->entries ? c->lines[r->seq] : "no such entry";
			const char *end = strchr(c->line, '\n');
			snprintf(by, sizeof by, "w%d", w);
			if (r->seq > c->entries || !end || entry_parse(c->line, (size_t)(end - c->line), &e) || !belongs(r->what, e.event) ||
			    !is(e.by, r->what == W_COMPLETE || r->what == W_FAILED || r->what == W_CREATE ? "boss" : by) || ((r->token || r->keyed) && record_of(c, &e, end) != r))
				c->wrong += complain("I3 %s: worker %d, change %d (kind %d) was told %" PRId64 ": %.300s", c->op, w, i, r->what, r->seq, c->line);
		}
	}
}

static void
check_journal(const char *id, void *arg)
{
	struct checker *c = arg;
	size_t n;
	int which = -1;
	char *text = read_from(path_of("kept", id), 0, &n);
	if (!text)
		return;
	size_t lines = 1;
	for (const char *p = text; (p = strchr(p, '\n')); p++)
		lines++;
	c->op = id;
	c->lines = calloc(lines + 1, sizeof *c->lines);
	c->lives = c->entries = 0;
	c->first_thing = c->things;
	c->aborted = c->ended = c->archived = c->crashed = c->done = false;
	c->epoch = c->last_by_old = 0;
	for (int i = 0; i < c->s->operations && which < 0; i++)
		if (strcmp(c->s->operation[i], id) == 0)
			which = i;
	c->f->operations++;
	char *p = text;
	for (char *newline; (newline = memchr(p, '\n', (size_t)(text + n - p))); p = newline + 1) {
		struct entry e;
		c->line = p;
		if (entry_parse(p, (size_t)(newline - p), &e) || e.seq != (uint64_t)++c->entries) {
			WRONG(c, "I2 a line that is wrong, or a gap");
			break;
		}
		c->lines[c->entries] = p;
		check_entry(c, &e, newline);
		struct record *r = record_of(c, &e, newline);
		if (r && belongs(r->what, e.event) && r->what != W_MAKE) {
			r->found++;
			if (r->what != W_CREATE && r->op != which)
				WRONG(c, "I3 an entry of another operation's change");
		}
	}
	c->line = p;
	if (p != text + n)
		WRONG(c, "I11 a torn end is left");
	if (!c->archived)
		c->wrong += complain("I10 %s was not archived in the end", id);
	check_acknowledged(c, which);
	for (int i = c->first_thing; i < c->things; i++)
		if (!c->thing[i].ends)
			c->wrong += complain("I9 %s: resource %" PRIu64 " (%s) is neither gone nor reported (%s)", id, c->thing[i].id, c->thing[i].what, c->thing[i].result);
	c->f->entries += c->entries;
	free(c->lines);
	free(text);
}

/* --- all together --- */

static void
check_records(struct checker *c)
{
	static const char *const kinds[] = {"create", "join", "leave", "log", "progress", "call start", "call end", "call fail", "call run", "abort",
		"abort --clear", "complete", "complete --failed", "temp make", "temp add", "temp add --command", "temp remove"};
	for (int w = 0; w < WORKERS; w++) {
		for (int i = 0; i < c->s->worker[w].n; i++) {
			const struct record *r = &c->s->worker[w].record[i];
			if (!r->token && !r->keyed)
				continue;
			const char *wrong = NULL;
			c->f->acknowledged += r->outcome == OUT_DONE;
			c->f->unsure += r->outcome == OUT_UNSURE && r->found;
			if (r->found > 1)
				wrong = "I4 it took effect more than once";
			else if (r->outcome == OUT_DONE && !r->found)
				wrong = "I3 acknowledged, but not there";
			else if (r->outcome == OUT_REFUSED && r->found && r->what != W_RUN)
				wrong = "I12 it said no, but it is there";
			if (wrong)
				c->wrong += complain("%s: %s, worker %d, change %d, status %d, in %s", wrong, kinds[r->what], w, i, r->status,
					r->op >= 0 ? c->s->operation[r->op] : "?");
		}
	}
}

static int
by_what(const void *a, const void *b)
{
	return strcmp(((const struct thing *)a)->what, ((const struct thing *)b)->what);
}

/* How long after it had taken the place of another a file was deleted: its other name, which nobody else knows, has changed then. */
static int64_t
deleted_after(int w, int n, int64_t swapped_ms)
{
	char name[40];
	struct stat st;
	snprintf(name, sizeof name, ".T-%d-%d.", w, n);
	if (lstat(path_of("temp", name), &st) < 0)
		return INT64_MAX;
	return (int64_t)st.st_ctim.tv_sec * 1000 + st.st_ctim.tv_nsec / 1000000 - swapped_ms;
}

/* Every file that is there must be one that stays, and each that stays must be there. */
static void
check_files(struct checker *c)
{
	qsort(c->thing, (size_t)c->things, sizeof *c->thing, by_what);
	for (int i = 0; i < c->things; i++) {
		const struct thing *t = &c->thing[i];
		int w = -1, n = -1;
		const char *token = strstr(t->what, "T-");
		if (t->kind != 'p')
			continue;
		bool swapped = token && sscanf(token, "T-%d-%d", &w, &n) == 2 && w >= 0 && w < WORKERS && n >= 0 && n < c->s->worker[w].n &&
			c->s->worker[w].record[n].swapped;
		bool gone = strcmp(t->result, "removed") == 0 || strcmp(t->result, "gone") == 0, there = is_there(t->what);
		bool again = (i > 0 && strcmp(t[-1].what, t->what) == 0) || (i + 1 < c->things && strcmp(t[1].what, t->what) == 0);
		/* No system has a call that deletes a file only if it is a certain one: what takes its place in that very moment goes. */
		if (swapped && !there && gone && deleted_after(w, n, c->s->worker[w].record[n].swapped_ms) < SAME_MOMENT_MS)
			continue;
		if (swapped ? !there : !again && gone && there)
			c->wrong += complain("I9 %s: %s, which %s, is %s", t->op, t->what, swapped ? "another has taken the place of" : t->result, there ? "there" : "gone");
		if ((strcmp(t->result, "kept") == 0 || strcmp(t->result, "left") == 0) && t->has_identity && !there)
			c->wrong += complain("I9 %s: %s, which was %s, is gone", t->op, t->what, t->result);
	}
	for (int w = 0; w < WORKERS; w++)
		for (int i = 0; i < c->s->worker[w].n; i++) {
			const struct record *r = &c->s->worker[w].record[i];
			char path[4096];
			snprintf(path, sizeof path, "%s/temp/T-%d-%d.", folder, w, i);
			if (r->file && !r->found && !is_there(path))
				c->wrong += complain("I9 %s was not registered, and is gone", path);
		}
	for (int i = 0; i < BYSTANDERS; i++) {
		char name[40], *text;
		size_t n;
		snprintf(name, sizeof name, "bystander-%d%s", i, i % 4 ? "" : "/in");
		text = read_from(path_of("temp", name), 0, &n);
		if (!text || strcmp(text, "stays\n") != 0)
			c->wrong += complain("I9 %s was not registered, and is gone", name);
		free(text);
	}
	/* What is there that nobody knows of. */
	DIR *d = opendir(path_of("temp", ""));
	for (struct dirent *e; d && (e = readdir(d));) {
		const char *path = path_of("temp", e->d_name);
		struct thing key = {.what = (char *)(uintptr_t)path}, *t;
		int w, n;
		if (e->d_name[0] == '.' || strncmp(e->d_name, "bystander-", 10) == 0)
			continue;
		if (sscanf(e->d_name, "T-%d-%d.", &w, &n) == 2) /* seen above, where it was registered */
			continue;
		t = bsearch(&key, c->thing, (size_t)c->things, sizeof key, by_what);
		if (!t || !(strcmp(t->result, "kept") == 0 || strcmp(t->result, "left") == 0))
			c->wrong += complain("I9 %s is left over%s%s", path, t ? ", and was said to be " : "", t ? t->result : "");
	}
	if (d)
		closedir(d);
}

/* Undo commands: the file `undone` has a line "T-worker-number PID" for each run, by the process that had it run. */
static void
check_undone(struct checker *c)
{
	struct run { int64_t by; int n; } *runs = calloc((size_t)WORKERS * MOST, sizeof *runs);
	size_t size;
	char *text = read_from(path_of("undone", ""), 0, &size);
	if (!runs)
		abort();
	for (char *p = text, *newline; p && (newline = strchr(p, '\n')); p = newline + 1) {
		int w, n;
		long pid;
		if (sscanf(p, "T-%d-%d. %ld\n", &w, &n, &pid) != 3 || w < 0 || w >= WORKERS || n < 0 || n >= c->s->worker[w].n) {
			c->wrong += complain("undone: %.100s", p);
			continue;
		}
		struct run *r = &runs[w * MOST + n];
		c->f->undone++;
		/* Several may have been killed in the midst of it, and theirs may be late; of the others one has it run. */
		bool lived = was_killed(c->s, pid) == 0;
		if (lived && r->by)
			c->wrong += complain("the undo command T-%d-%d. was run by %" PRId64 " and by %ld, which were not killed", w, n, r->by, pid);
		if (lived)
			r->by = pid;
		r->n++;
	}
	free(text);
	for (int i = 0; i < c->things; i++) {
		const struct thing *t = &c->thing[i];
		int w, n;
		if (t->kind != 'c' || sscanf(t->what, "echo T-%d-%d.", &w, &n) != 2)
			continue;
		bool kept = strcmp(t->result, "kept") == 0;
		if (!kept && !runs[w * MOST + n].n)
			c->wrong += complain("%s: the undo command T-%d-%d. was never run (%s)", t->op, w, n, t->result);
		if (strcmp(t->result, "removed") != 0 && !kept)
			c->wrong += complain("%s: the undo command T-%d-%d. ended as %s", t->op, w, n, t->result);
		runs[w * MOST + n].n = -1;
	}
	for (int i = 0; i < WORKERS * MOST; i++)
		if (runs[i].n > 0)
			c->wrong += complain("the undo command T-%d-%d. was run, and never registered", i / MOST, i % MOST);
	free(runs);
}

static void
check_backup(const char *id, void *arg)
{
	struct checker *c = arg;
	char where[100], path[4096];
	size_t n, lines = 0, entries = 0;
	snprintf(where, sizeof where, "ledger/backup/%s", id);
	char *log = read_from(path_of(where, "operation.log"), 0, &n), *journal;
	for (const char *p = log; p && (p = strchr(p, '\n')); p++)
		lines++;
	bool whole = log && n && log[n - 1] == '\n' && strlen(log) == n;
	journal = read_from(path_of(where, "journal.jsonl"), 0, &n);
	for (const char *p = journal; p && (p = strchr(p, '\n')); p++)
		entries++;
	if (!whole || lines != entries)
		c->wrong += complain("I11 %s: operation.log has %zu lines for %zu entries", id, lines, entries);
	free(log);
	free(journal);
	if (is_there(path_of("ledger", id)))
		c->wrong += complain("I6 %s is live and in backup", id);
	snprintf(path, sizeof path, "%s/%s", folder, where);
	DIR *d = opendir(path);
	for (struct dirent *e; d && (e = readdir(d));)
		if (e->d_name[0] == '.' && strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			c->wrong += complain("I10 %s/%s is left over", id, e->d_name);
	if (d)
		closedir(d);
}

static void
check_live(const char *id, void *arg)
{
	struct checker *c = arg;
	c->wrong += complain("I10 %s is still live", id);
}

/* What a killed dpl-create has begun, which stays for an hour: its maker might just have been stopped. */
static bool
is_unmade(const struct checker *c, const char *name)
{
	const char *pid = strrchr(name, '.');
	return strncmp(name, ".new-", 5) == 0 && was_killed(c->s, strtol(pid + 1, NULL, 10)) == 1;
}

static void
check_left_over(struct checker *c)
{
	static const char *const parts[] = {"ledger", "ledger/backup"};
	for (int i = 0; i < 2; i++) {
		DIR *d = opendir(path_of(parts[i], ""));
		for (struct dirent *e; d && (e = readdir(d));)
			if (e->d_name[0] == '.' && strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 && !is_unmade(c, e->d_name))
				c->wrong += complain("I10 %s/%s is left over", parts[i], e->d_name);
		if (d)
			closedir(d);
	}
}

int
check_all(struct shared *s, struct found *f)
{
	struct checker c = {.s = s, .f = f, .thing = calloc(THINGS, sizeof *c.thing), .life = calloc(LIVES, sizeof *c.life)};
	if (!c.thing || !c.life)
		abort();
	keep_journals();
	each_operation("kept", check_journal, &c);
	check_records(&c);
	check_files(&c);
	check_undone(&c);
	each_operation("ledger/backup", check_backup, &c);
	each_operation("ledger", check_live, &c);
	check_left_over(&c);
	for (int64_t i = 0; i < (int64_t)c.things; i++)
		free(c.thing[i].what);
	free(c.thing);
	free(c.life);
	return c.wrong;
}
