/* follow: wait for what others append, to one operation or anywhere in a ledger. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "follow.h"
#include "watch.h"

/* An operation of the ledger. */
struct seen {
	char id[ID_OPERATION_MAX + 1];
	bool gone;               /* ended: kept while it is in backup/, to tell it from those that came unseen */
	bool here;               /* found by the look that is going on */
	int wd;                  /* of its watch, -1 */
	int64_t size;            /* of its journal when it was found changed last */
	int64_t changed;         /* number of that change */
};

struct follow {
	struct watch one, all;   /* for follow_entry and follow_ledger */
	char id[ID_OPERATION_MAX + 8]; /* what `one` is for … */
	int wd;                  /* … and its watch, -1 after it has come */
	int64_t rested_ms;       /* when the rests that are due are over */
	bool refused;
	int reader;
	/* the ledger */
	int names;               /* the watch of its folder, -1 */
	int64_t newest;          /* change */
	int64_t look_ms;         /* when it is to be looked over again */
	struct seen **ops;       /* sorted by id */
	size_t n, cap;
};

struct follow *
follow_new(int reader)
{
	struct follow *f = calloc(1, sizeof *f);
	if (!f)
		return NULL;
	watch_init(&f->one);
	watch_init(&f->all);
	f->wd = f->names = -1;
	f->reader = reader;
	/* Above whatever another follower may have given, and within what JSON can hold. */
	f->newest = clock_wall_ms() * 1024;
	return f;
}

void
follow_free(struct follow *f)
{
	if (!f)
		return;
	watch_close(&f->one);
	watch_close(&f->all);
	for (size_t i = 0; i < f->n; i++)
		free(f->ops[i]);
	free(f->ops);
	free(f);
}

bool
follow_is_slow(const struct follow *f)
{
	return f->refused;
}

/* --- resting --- */

/* Sleep while rests are due; a signal ends it. */
static bool
rest(const struct follow *f, int64_t wait_ms)
{
	int64_t ms = f->rested_ms - clock_mono_ms();
	if (ms > wait_ms)
		ms = wait_ms;
	if (ms <= 0)
		return true;
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};
	return nanosleep(&t, NULL) == 0;
}

/* Something came: it is paid for by a rest, later, if it is one of many. */
static void
owe_rest(struct follow *f)
{
	int64_t least = clock_mono_ms() - (FOLLOW_BURST - 1) * FOLLOW_REST_MS;
	f->rested_ms = (f->rested_ms > least ? f->rested_ms : least) + FOLLOW_REST_MS;
}

/* --- one operation --- */

static void
follow_this(struct follow *f, const struct journal *j)
{
	if (strcmp(f->id, j->op.h.id) == 0)
		return;
	if (f->wd >= 0)
		watch_drop(&f->one, f->wd);
	f->wd = -1;
	snprintf(f->id, sizeof f->id, "%s", j->op.h.id);
}

int
follow_entry(struct follow *f, struct journal *j, uint64_t seq, int64_t wait_ms, struct why *why)
{
	int64_t end = clock_end_ms(wait_ms), left = wait_ms;
	bool aborted = journal_aborted(j), waits = rest(f, wait_ms);
	int rc;
	follow_this(f, j);
	while ((rc = journal_refresh(j, why)) == 0 && waits && left > 0) {
		if (j->op.h.seq >= seq || j->op.h.archived || journal_aborted(j) != aborted)
			break;
		left = end - clock_mono_ms();
		if (f->wd < 0 && (f->wd = journal_watch(j, &f->one)) >= 0)
			continue; /* what came before the watch was made would wake nobody */
		f->refused = f->wd < 0;
		waits = watch_wait(&f->one, left, f->reader);
		for (struct watch_event e; watch_next(&f->one, &e);)
			if (e.what == f->wd || e.what < 0)
				f->wd = -1;
	}
	if (rc == 0 && j->op.h.seq >= seq)
		owe_rest(f);
	return rc;
}

/* --- a ledger --- */

/* Where the id stands, or would stand. */
static size_t
place_of(const struct follow *f, const char *id)
{
	size_t low = 0, high = f->n;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (strcmp(f->ops[mid]->id, id) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static struct seen *
find(const struct follow *f, const char *id)
{
	size_t i = place_of(f, id);
	return i < f->n && strcmp(f->ops[i]->id, id) == 0 ? f->ops[i] : NULL;
}

static struct seen *
add(struct follow *f, const char *id)
{
	if (f->n == f->cap) {
		size_t cap = f->cap ? 2 * f->cap : 16;
		struct seen **ops = realloc(f->ops, cap * sizeof *ops);
		if (!ops)
			return NULL;
		f->ops = ops;
		f->cap = cap;
	}
	struct seen *s = calloc(1, sizeof *s);
	if (!s)
		return NULL;
	snprintf(s->id, sizeof s->id, "%s", id);
	s->here = true;
	s->wd = -1;
	s->size = -1;
	size_t i = place_of(f, id);
	memmove(&f->ops[i + 1], &f->ops[i], (f->n - i) * sizeof *f->ops);
	f->ops[i] = s;
	f->n++;
	return s;
}

/* Compare the journal of a live one with what it was. */
static void
compare(struct follow *f, struct store *s, struct seen *op)
{
	int64_t size = op->gone ? -1 : store_size(s, op->id);
	if (op->gone || (size >= 0 && size == op->size))
		return;
	op->gone = size < 0;
	op->size = size;
	op->changed = ++f->newest;
	if (op->gone && op->wd >= 0)
		watch_drop(&f->all, op->wd);
	if (op->gone)
		op->wd = -1;
}

/* A name of the folder came or went. */
static int
look_at_name(struct follow *f, struct store *s, const char *id)
{
	struct seen *op = find(f, id);
	if (!id_is_full(id))
		return 0;
	if (!op && !(op = add(f, id)))
		return -1;
	if (op->gone && store_size(s, id) >= 0) { /* somebody put it back */
		op->gone = false;
		op->size = -1;
	}
	compare(f, s, op); /* one that came and went before it was seen is changed too */
	return 0;
}

/* The look that misses nothing: live ones, and those in backup/ that were never seen alive. */
static int
look_over(struct follow *f, struct store *s, struct why *why)
{
	bool first = !f->look_ms, memory = true;
	for (size_t i = 0; i < f->n; i++)
		f->ops[i]->here = false;
	for (int ended = 0; ended <= 1; ended++) {
		char **ids;
		ssize_t n = store_list(s, ended, &ids, why);
		if (n < 0)
			return -1;
		for (ssize_t i = 0; i < n && memory; i++) {
			struct seen *op = find(f, ids[i]);
			bool unknown = !op;
			if (!op && !(op = add(f, ids[i])))
				memory = false;
			else if (op->here = true, unknown && ended) {
				op->gone = true;
				op->changed = first ? 0 : ++f->newest;
			}
		}
		free(ids);
	}
	if (!memory)
		return why_set(why, ERR_IO, "out of memory");
	for (size_t i = 0; i < f->n; i++)
		compare(f, s, f->ops[i]);
	f->look_ms = clock_mono_ms() + WATCH_LOOK_MS;
	return 0;
}

/* Drop those that have been told of, and are no longer in backup/. */
static void
forget(struct follow *f, int64_t after)
{
	size_t kept = 0;
	for (size_t i = 0; i < f->n; i++)
		if (f->ops[i]->gone && !f->ops[i]->here && f->ops[i]->changed <= after)
			free(f->ops[i]);
		else
			f->ops[kept++] = f->ops[i];
	f->n = kept;
}

/* Watch those whose watch is used up, and see what came to them before. */
static void
watch_all(struct follow *f, struct store *s)
{
	for (size_t i = 0; i < f->n; i++) {
		struct seen *op = f->ops[i];
		if (op->gone || op->wd >= 0)
			continue;
		op->wd = store_watch_operation(s, op->id, &f->all);
		f->refused |= op->wd < 0 && f->all.refused;
		compare(f, s, op);
	}
}

static int
take_events(struct follow *f, struct store *s, struct why *why)
{
	for (struct watch_event e; watch_next(&f->all, &e);) {
		int rc = 0;
		if (e.what < 0) {
			for (size_t i = 0; i < f->n; i++)
				f->ops[i]->wd = -1; /* its only event may be among the lost ones */
			rc = look_over(f, s, why);
		} else if (e.what == f->names && look_at_name(f, s, e.name) < 0) {
			rc = why_set(why, ERR_IO, "out of memory");
		}
		for (size_t i = 0; e.what >= 0 && i < f->n; i++)
			if (f->ops[i]->wd == e.what) {
				f->ops[i]->wd = -1;
				compare(f, s, f->ops[i]);
			}
		if (rc < 0)
			return -1;
	}
	return 0;
}

int
follow_ledger(struct follow *f, struct store *s, int64_t after, int64_t wait_ms, struct why *why)
{
	int64_t end = clock_end_ms(wait_ms), left = wait_ms;
	if (f->newest < after) /* the clock was set back since that number was given */
		f->newest = after;
	int64_t begun = f->newest;
	bool waits = rest(f, wait_ms);
	forget(f, after);
	if (f->names < 0) {
		f->names = store_watch(s, &f->all);
		f->refused = f->names < 0;
	}
	for (;;) {
		if (clock_mono_ms() >= f->look_ms && look_over(f, s, why) < 0)
			return -1;
		watch_all(f, s);
		if (take_events(f, s, why) < 0)
			return -1;
		if (f->newest > after || !waits || left <= 0)
			break;
		left = end - clock_mono_ms();
		waits = watch_wait(&f->all, left, f->reader);
	}
	if (f->newest != begun)
		owe_rest(f);
	return 0;
}

int64_t
follow_newest(const struct follow *f)
{
	return f->newest;
}

const char *
follow_next(const struct follow *f, int64_t after, bool ended, size_t *i)
{
	while (*i < f->n) {
		const struct seen *op = f->ops[(*i)++];
		if (op->changed > after && op->gone == ended)
			return op->id;
	}
	return NULL;
}

int
follow_descriptor(const struct follow *f)
{
	return f->all.fd;
}
