/* removal: doing away with the temp resources of an operation that are nobody's any more. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "fsx.h"
#include "hash.h"
#include "json.h"
#include "removal.h"
#include "userdir.h"

enum {
	REMOVER = 0, /* the byte that whoever removes holds */
	BATCH = 256, /* paths that have their flushes together … */
	BATCH_MS = 1000, /* … unless it takes them long: entries are signs of life */
};

static const char *const sealed_lock = "removing";

/* --- the locks --- */

/* Lock one byte: 0, or -1 with EAGAIN where somebody has it. */
int
removal_lock_byte(int fd, uint64_t byte)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};
	int rc = fcntl(fd, F_OFD_SETLK, &l);
	if (rc < 0 && errno == EACCES)
		errno = EAGAIN;
	return rc;
}

bool
removal_is_locked(int fd, uint64_t byte)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};
	return fcntl(fd, F_OFD_GETLK, &l) < 0 || l.l_type != F_UNLCK;
}

bool
removal_is_held(const struct journal *j, uint64_t byte)
{
	int fd = fsx_open(j->dir, "coordinator", O_RDWR | O_NOFOLLOW, 0);
	bool held = fd >= 0 && removal_is_locked(fd, byte);
	if (fd >= 0)
		close(fd);
	return held;
}

bool
removal_is_busy(const struct journal *j)
{
	return removal_is_held(j, REMOVER);
}

int
removal_open(struct journal *j, struct why *why)
{
	int fd = fsx_open(j->dir, "coordinator", O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
	return fd < 0 ? why_errno(why, "open coordinator of %s", j->op.h.id) : fd;
}

/* Whether we are part of an undo command of this operation: who runs that has the lock until we have ended.  Commands of calls in it are
 * part of it as well, which have a DPL_OPERATION of their own and no DPL_RESOURCE. */
bool
removal_is_below(const char *operation)
{
	const char *undone = getenv("DPL_UNDO");
	return undone && strcmp(undone, operation) == 0;
}

/* The descriptor, once its byte is had; else it is closed. */
static int
await_byte(int fd, uint64_t byte, const char *operation, int64_t end_ms, struct why *why)
{
	while (removal_lock_byte(fd, byte) < 0) {
		if (errno != EAGAIN || clock_mono_ms() >= end_ms || removal_is_below(operation)) {
			int e = errno;
			close(fd);
			errno = e;
			return e == EAGAIN ? -2 : why_errno(why, "lock who removes in %s", operation);
		}
		usleep(1000);
	}
	return fd;
}

/* The one that removes: a descriptor, -1 with `why`, or -2 where another does. */
int
removal_lock(struct journal *j, int64_t end_ms, struct why *why)
{
	int fd = removal_open(j, why);
	return fd < 0 ? -1 : await_byte(fd, REMOVER, j->op.h.id, end_ms, why);
}

int
removal_lock_sealed(const char *operation, int64_t end_ms, struct why *why)
{
	uint64_t byte = hash_bytes(0, operation, strlen(operation)) >> 2; /* offsets are signed */
	int dir = userdir_open(false, why);
	if (dir < 0)
		return why->code == ERR_NO_FILE ? -3 : -1;
	int fd = fsx_open(dir, sealed_lock, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
	if (fd < 0)
		(void)why_errno(why, "open %s in the folder of this user's state", sealed_lock);
	close(dir);
	return fd < 0 ? -1 : await_byte(fd, byte, operation, end_ms, why);
}

/* Also where flushes are deferred: what follows must not wait for the next reply, and nobody for us. */
int
removal_commit(struct journal *j, struct why *why)
{
	if ((journal_commit(j, why) < 0 || journal_flush(j, why) < 0) && why->code != ERR_NOT_DURABLE)
		return -1;
	return 0;
}

/* --- removing --- */

void
removal_shield(enum resource_kind kind, sigset_t *before)
{
	static const int list[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};
	sigset_t some;
	sigemptyset(&some);
	for (size_t i = 0; kind == RESOURCE_COMMAND && i < sizeof list / sizeof *list; i++)
		sigaddset(&some, list[i]);
	sigprocmask(SIG_BLOCK, &some, before);
}

/* root does what is registered here as the ledger's user: where others may write, they could have anything done. */
static int
refuse_foreign(const struct journal *j, struct why *why)
{
	struct stat st, ledger;
	if (geteuid() != 0)
		return 0;
	if (fstat(j->dir, &st) < 0 || fstatat(j->dir, "..", &ledger, 0) < 0)
		return why_errno(why, "%s", j->path.p);
	if (!((st.st_mode | ledger.st_mode) & 022) && st.st_uid == ledger.st_uid)
		return 0;
	why_set(why, ERR_PERMISSION, "others may write to %s, or to the ledger: root removes nothing for it", j->path.p);
	why_hint(why, "chmod go-w, and chown, the ledger and what is in it");
	return -1;
}

/* What became of one. */
struct removed {
	const struct resource *r;
	enum resource_result result;
	const char *reason;      /* "" for none */
	uint64_t entries;
	const char *printed;     /* by a fallback command */
};

/* A path that is gone, and not yet recorded. */
struct done {
	struct resource r;
	enum resource_result result;
	uint64_t entries;
};

struct work {
	struct journal *j;
	struct removal *c;
	uint64_t epoch;          /* as it was when this began: a newer one fences us */
	bool fenced;
	bool owed;               /* results that are not flushed yet */
	bool full;               /* one could not be recorded for want of room */
	int sealed;              /* the lock for what this user has sealed, -1 */
	struct buf done;         /* of struct done … */
	int64_t since_ms;        /* … the first of them */
	struct resource_order order;
	struct resource_home home;
	char ledger[PATH_MAX];   /* its real path */
};

static bool
go_on(void *arg)
{
	struct work *m = arg;
	struct why ignored;
	if (journal_refresh(m->j, &ignored) == 0 && m->j->op.h.epoch != m->epoch)
		m->fenced = true;
	return !m->fenced;
}

/* Whether nobody else on this machine may run this undo command, who does so by a server.  *o: what it is then, NULL where it has been
 * run meanwhile. */
static bool
is_ours_alone(struct work *m, const struct resource *r, const struct op_resource **o)
{
	struct why ignored;
	if (r->kind != RESOURCE_COMMAND || !*r->seal || m->sealed >= 0)
		return true;
	if ((m->sealed = removal_lock_sealed(m->j->op.h.id, 0, &ignored)) < 0)
		return false; /* a seal of ours needs that folder */
	if (m->order.go_on)
		(void)go_on(m);
	else
		(void)journal_refresh(m->j, &ignored);
	*o = op_resource(&m->j->op, r->id);
	return true;
}

static void
tell(const struct removal *c, const struct resource *r, const char *decision, const char *reason)
{
	struct removal_told t = {r, decision, reason};
	if (c->told)
		c->told(c->arg, &t);
}

void
removal_put(struct buf *b, const struct removal_told *t)
{
	const struct resource *r = t->resource;
	static const char *const members[] = {"path", "pid", "command"};
	json_open(b, NULL, '{');
	json_put_int(b, "resourceId", (int64_t)r->id);
	json_put(b, "kind", resource_kind_name(r->kind));
	if (r->kind == RESOURCE_PROCESS)
		json_put_int(b, members[r->kind], r->pid);
	else
		json_put(b, members[r->kind == RESOURCE_COMMAND ? 2 : 0], r->what.p);
	json_put(b, "participantId", r->owner.p);
	if (r->call.n)
		json_put(b, "callId", r->call.p);
	json_put(b, "decision", t->decision);
	if (*t->reason)
		json_put(b, "reason", t->reason);
	json_close(b, '}');
}

static void
put_result(struct journal *j, const char *by, const struct removed *o, uint64_t epoch)
{
	const struct resource *r = o->r;
	struct buf *b = journal_entry(j, by, EVENT_RESOURCE_REMOVED);
	json_put_int(b, "resourceId", (int64_t)r->id);
	if (r->kind == RESOURCE_PROCESS)
		json_put_int(b, "pid", r->pid);
	else
		json_put(b, r->kind == RESOURCE_COMMAND ? "command" : "path", r->what.p);
	json_put(b, "result", resource_result_name(o->result));
	if (*o->reason)
		json_put(b, "reason", o->reason);
	if (o->entries)
		json_put_int(b, "entries", (int64_t)o->entries);
	if (r->is_fallback) {
		json_put_bool(b, "isFallback", true);
		json_put(b, "callId", r->call.p);
	}
	if (r->is_fallback && o->result == RESOURCE_REMOVED && !*o->reason)
		json_put(b, "callResult", o->printed);
	if (epoch)
		json_put_int(b, "epoch", (int64_t)epoch);
	journal_entry_end(j);
}

/* Flush the results that were not.  `rc`, or -1 with `why`. */
static int
pay(struct work *m, int rc, struct why *why)
{
	struct why later;
	m->j->owed |= m->owed && m->j->o.sync;
	m->owed = false;
	if (journal_flush(m->j, &later) < 0 && later.code != ERR_NOT_DURABLE && rc == 0) {
		*why = later;
		return -1;
	}
	return rc;
}

/* Append what became of it.  0, also where another was first; -1 with `why`.  A flush takes longer than to remove a file: results
 * that could be lost with the power, since what they tell of would be found gone, have one together (pay). */
static int
record(struct work *m, const char *by, const struct removed *o, struct why *why)
{
	struct journal *j = m->j;
	const struct resource *r = o->r;
	if (o->result == RESOURCE_FAILED && r->tries && r->kind != RESOURCE_COMMAND && r->reason.n && strcmp(r->reason.p, o->reason) == 0)
		return 0; /* as before */
	if (journal_lock(j, why) < 0)
		return -1;
	/* A path that waited for its flush: the coordinator of now finds it gone. */
	bool fenced = m->done.n && j->op.h.epoch != m->epoch;
	if (j->op.h.archived || fenced || !op_resource(&j->op, r->id)) {
		journal_unlock(j);
		m->fenced |= fenced;
		return 0;
	}
	put_result(j, by, o, j->drive >= 0 ? j->epoch : 0);
	bool later = r->kind != RESOURCE_COMMAND && (o->result == RESOURCE_REMOVED || o->result == RESOURCE_GONE);
	j->pending_flush |= !later;
	m->owed |= later;
	if (!later)
		return removal_commit(j, why);
	int rc = journal_commit(j, why);
	journal_unlock(j); /* also where flushes are deferred */
	return rc;
}

/* Record what became of one, where there is room.  0, or -1 with `why`. */
static int
conclude(struct work *m, const struct removed *o, struct why *why)
{
	struct removal *c = m->c;
	enum resource_result result = o->result;
	int rc = record(m, c->by, o, why);
	if (rc < 0 && why->code == ERR_DISK_FULL) {
		/* What is removed makes room, perhaps; it will be found gone, and recorded then. */
		m->full = true;
		rc = 0;
		tell(c, o->r, "waits", why->text);
		result = RESOURCE_HERE;
	} else {
		tell(c, o->r, resource_result_name(result), o->reason);
	}
	c->left_over += result == RESOURCE_HERE || result == RESOURCE_FAILED;
	return rc;
}

/* Whether the folder that path `a` stood in is that of `b`. */
static bool
same_folder(const char *a, const char *b)
{
	size_t n = (size_t)(strrchr(a, '/') - a);
	return strncmp(a, b, n) == 0 && strrchr(b, '/') == b + n;
}

/* Record the paths that are gone, once they cannot come back: an entry may be flushed by anybody at any moment, and nobody looks for
 * what is recorded as removed.  `rc`, or -1 with `why`. */
static int
settle_done(struct work *m, int rc, struct why *why)
{
	size_t n = m->done.n / sizeof(struct done);
	struct done *all = (struct done *)(void *)m->done.p;
	for (size_t i = 0; m->j->o.sync && i < n; i++) {
		size_t k = 0;
		while (k < i && !same_folder(all[k].r.what.p, all[i].r.what.p))
			k++;
		if (k == i)
			remove_flush(all[i].r.what.p);
	}
	struct why later;
	int bad = 0;
	for (size_t i = 0; i < n; i++) {
		if (bad == 0 && !m->fenced)
			bad = conclude(m, &(struct removed){.r = &all[i].r, .result = all[i].result, .reason = "", .entries = all[i].entries}, &later);
		resource_free(&all[i].r);
	}
	if (bad < 0 && rc == 0) {
		*why = later;
		rc = -1;
	}
	buf_clear(&m->done);
	return rc;
}

static int
remove_one(struct work *m, const struct op_resource *o, struct why *why)
{
	struct journal *j = m->j;
	struct removal *c = m->c;
	struct resource r;
	char reason[400] = "";
	uint64_t entries = 0;
	struct buf printed = {0};
	bool failed_before = o->state == RESOURCE_FAILED;
	int rc = resource_load(j, o, &r, why);
	/* What is newer than an undo command has its entry before that is run. */
	if (rc == 0 && r.kind != RESOURCE_PATH)
		rc = settle_done(m, rc, why);
	bool alone = rc < 0 || c->look || is_ours_alone(m, &r, &o);
	if (rc < 0 || m->fenced || !o) {
		resource_free(&r);
		return rc;
	}
	sigset_t before;
	removal_shield(r.kind, &before);
	enum resource_result result = RESOURCE_HERE;
	enum resource_place place = resource_place(&r, &m->home, reason, sizeof reason);
	const char *decision = place == PLACE_ELSEWHERE ? "elsewhere" : "waits";
	if (place == PLACE_HERE) {
		if (r.kind == RESOURCE_COMMAND && !c->look && (m->full || !journal_has_room(j)))
			snprintf(reason, sizeof reason, "the disk is full: that it was run could not be recorded");
		else if (failed_before && !c->retry && !c->look)
			snprintf(reason, sizeof reason, "%.390s", r.reason.n ? r.reason.p : "");
		else if (!alone)
			snprintf(reason, sizeof reason, "another runs the undo commands of this operation that came by a server");
		else if ((result = resource_remove(&r, &m->order, &entries, &printed, reason, sizeof reason)) == RESOURCE_HERE && !*reason)
			snprintf(reason, sizeof reason, "the time for it was over");
		if (failed_before && result == RESOURCE_HERE)
			decision = "failed";
	}
	if (c->forget && (result == RESOURCE_HERE || result == RESOURCE_FAILED) && !m->fenced)
		result = RESOURCE_FORGOTTEN;
	if (c->look) {
		tell(c, &r, result == RESOURCE_HERE ? decision : result == RESOURCE_REMOVED ? "remove" : resource_result_name(result), reason);
		c->left_over += result == RESOURCE_HERE || result == RESOURCE_FAILED;
	} else if (r.kind == RESOURCE_PATH && (result == RESOURCE_REMOVED || result == RESOURCE_GONE)) {
		struct done d = {r, result, entries};
		int64_t now_ms = clock_mono_ms();
		if (!m->done.n)
			m->since_ms = now_ms;
		buf_add(&m->done, &d, sizeof d);
		if (!m->done.failed) {
			sigprocmask(SIG_SETMASK, &before, NULL);
			return m->done.n < BATCH * sizeof d && now_ms - m->since_ms < BATCH_MS ? 0 : settle_done(m, 0, why);
		}
		rc = why_set(why, ERR_IO, "out of memory"); /* it will be found gone */
	} else if (result != RESOURCE_HERE) {
		/* What was done is a fact also where another has become the coordinator meanwhile: else it would be done again.  A tree where that
		 * is found out half way is not done (RESOURCE_HERE). */
		bool fenced = m->fenced;
		rc = settle_done(m, 0, why); /* in the order in which it was done */
		if (rc == 0 && (fenced || !m->fenced))
			rc = conclude(m, &(struct removed){&r, result, reason, entries, printed.p}, why);
	} else {
		tell(c, &r, decision, reason);
		c->left_over += result == RESOURCE_HERE || result == RESOURCE_FAILED;
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	buf_free(&printed);
	resource_free(&r);
	return rc;
}

/* Whose it is; the path without the operation's folder at the end.  0, or -1 with `why`. */
static int
find_home(struct work *m, struct why *why)
{
	char link[40];
	snprintf(link, sizeof link, "/proc/self/fd/%d", m->j->dir);
	ssize_t n = readlink(link, m->ledger, sizeof m->ledger - 1);
	if (n < 0 || resource_home(m->j, &m->home) < 0)
		return why_errno(why, "the path of %s", m->j->path.p);
	m->ledger[n] = '\0';
	for (int i = 0; i < 2; i++) {
		char *slash = strrchr(m->ledger, '/');
		if (slash && (i == 0 || strcmp(slash, "/backup") == 0))
			*slash = '\0';
	}
	m->home.name = m->home.ledger = m->ledger;
	return 0;
}

/* Whether it is tied to a call that is taken for ended. */
static bool
is_of_dead(const struct removal *c, const struct op_resource *r)
{
	uint64_t seq;
	for (size_t at = 0; c->dead && at < c->dead->n; at += sizeof seq) {
		memcpy(&seq, c->dead->p + at, sizeof seq);
		if (r->call == seq)
			return true;
	}
	return false;
}

/* Newest first, those that are due, or `all`.  0, or -1 with `why`. */
int
removal_all(struct journal *j, struct removal *c, bool all, bool *fenced, struct why *why)
{
	struct work m = {.j = j, .c = c, .epoch = j->op.h.epoch, .sealed = -1};
	struct buf ids = {0};
	int rc = 0;
	if (find_home(&m, why) < 0)
		return -1;
	m.order = (struct resource_order){.home = &m.home, .limit_ms = c->limit_ms, .look = c->look, .go_on = go_on, .arg = &m};
	for (uint32_t i = 0; i < j->op.resources.n; i++) {
		const struct op_resource *r = table_at(&j->op.resources, i);
		if (!r->key.gone)
			buf_add(&ids, &r->id, sizeof r->id);
	}
	if (ids.failed)
		rc = why_set(why, ERR_IO, "out of memory");
	else if (ids.n && !c->look)
		rc = refuse_foreign(j, why);
	for (size_t n = ids.n; rc == 0 && n > 0 && !m.fenced; n -= sizeof(uint64_t)) {
		uint64_t id;
		memcpy(&id, ids.p + n - sizeof id, sizeof id);
		const struct op_resource *r = op_resource(&j->op, id);
		if (r && (all || op_is_due(&j->op, r) || is_of_dead(c, r)) && (c->look || go_on(&m)) && (r = op_resource(&j->op, id)))
			rc = remove_one(&m, r, why);
	}
	rc = settle_done(&m, rc, why);
	*fenced = m.fenced;
	buf_free(&ids);
	buf_free(&m.done);
	rc = pay(&m, rc, why);
	fsx_close(&m.sealed);
	return rc;
}

/* Whether one is due that nobody has tried to remove yet. */
bool
removal_is_fresh(const struct op *op)
{
	for (uint32_t i = 0; i < op->resources.n; i++) {
		const struct op_resource *r = table_at(&op->resources, i);
		if (!r->key.gone && r->state == RESOURCE_HERE && op_is_due(op, r))
			return true;
	}
	return false;
}

static int
archive(struct journal *j, const struct removal *c, struct why *why)
{
	if (journal_lock(j, why) < 0)
		return -1;
	if (j->op.h.archived) {
		journal_unlock(j);
		return 0;
	}
	(void)journal_entry(j, c->by, EVENT_ARCHIVED);
	journal_entry_end(j);
	return removal_commit(j, why);
}

/* Whether it has ended and nothing of it is left. */
static bool
is_rid(const struct op *op)
{
	return op->h.state >= OP_COMPLETED && !op->h.archived && !op_resources(op);
}

/* What is due while the operation runs, or after it has ended.  1: another does it. */
int
removal_due(struct journal *j, struct removal *c, int64_t end_ms, struct why *why)
{
	bool fenced = false;
	int rc = 0, fd = -1;
	if (c->look)
		return removal_all(j, c, false, &fenced, why);
	/* Who came while we had the lock leaves it to us. */
	for (bool again = true; again && rc == 0 && !fenced;) {
		if ((fd = removal_lock(j, end_ms, why)) < 0) {
			c->busy = fd == -2;
			return fd == -2 ? 1 : -1;
		}
		c->left_over = 0;
		rc = journal_refresh(j, why);
		if (rc == 0)
			rc = removal_all(j, c, false, &fenced, why);
		/* Where it ended in the midst of that, what was not due before is still there. */
		if (rc == 0 && !fenced && is_rid(&j->op)) {
			c->left_over = 0; /* another may have told meanwhile that it is gone */
			rc = archive(j, c, why);
		}
		close(fd);
		again = rc == 0 && !fenced && !j->op.h.archived && journal_refresh(j, why) == 0 && (is_rid(&j->op) || (!c->left_over && removal_is_fresh(&j->op)));
	}
	return rc;
}

int
removal_one(struct journal *j, const char *by, uint64_t id, bool keep, enum resource_result *result, char *reason, size_t size, struct why *why)
{
	struct work m = {.j = j, .sealed = -1};
	struct resource r = {0};
	uint64_t entries = 0;
	struct buf printed = {0};
	const struct op_resource *o = NULL;
	sigset_t before;
	enum resource_place place;
	*result = RESOURCE_HERE;
	reason[0] = '\0';
	if (!keep && refuse_foreign(j, why) < 0)
		return -1;
	int fd = removal_lock(j, clock_mono_ms() + (j->o.timed ? j->o.wait_ms : REMOVAL_LIMIT_MS), why), rc = -1;
	if (fd == -2 && removal_is_below(j->op.h.id))
		why_set(why, ERR_BUSY, "the undo command that this is part of must end before more is removed in %s", j->op.h.id);
	else if (fd == -2)
		why_set(why, j->o.timed ? ERR_TIMED_OUT : ERR_BUSY, "another removes temp resources of %s", j->op.h.id);
	if (fd < 0)
		return -1;
	rc = journal_refresh(j, why);
	if (rc == 0 && !(o = op_resource(&j->op, id)))
		rc = why_set(why, ERR_NO_RESOURCE, "no temp resource %llu in %s", (unsigned long long)id, j->op.h.id);
	else if (rc == 0 && (rc = find_home(&m, why)) == 0 && (rc = resource_load(j, o, &r, why)) == 0) {
		/* A new coordinator is no reason to leave half removed what somebody asked to remove.  It waits for the lock; where it no
		 * longer does, since we seem to be stopped, both of us may remove the same file, and one result is recorded. */
		m.order = (struct resource_order){.home = &m.home, .limit_ms = REMOVAL_LIMIT_MS};
		removal_shield(r.kind, &before);
		if (keep)
			*result = RESOURCE_KEPT;
		else if ((place = resource_place(&r, &m.home, reason, size)) != PLACE_HERE)
			rc = why_set(why, place == PLACE_ELSEWHERE ? ERR_ELSEWHERE : ERR_IO, "%.300s: %.200s", r.what.p, reason);
		else if (!is_ours_alone(&m, &r, &o))
			rc = why_set(why, ERR_BUSY, "another runs the undo commands of %s that came by a server", j->op.h.id);
		else if (!o)
			rc = why_set(why, ERR_NO_RESOURCE, "no temp resource %llu in %s", (unsigned long long)id, j->op.h.id);
		else
			*result = resource_remove(&r, &m.order, &entries, &printed, reason, size);
		if (r.kind == RESOURCE_PATH && (*result == RESOURCE_REMOVED || *result == RESOURCE_GONE) && j->o.sync)
			remove_flush(r.what.p);
		if (rc == 0 && *result != RESOURCE_HERE)
			rc = pay(&m, record(&m, by, &(struct removed){&r, *result, reason, entries, printed.p}, why), why);
		sigprocmask(SIG_SETMASK, &before, NULL);
	}
	buf_free(&printed);
	resource_free(&r);
	fsx_close(&m.sealed);
	close(fd);
	return rc;
}

int
removal_report(struct journal *j, const char *by, uint64_t id, const struct removal_report *report, bool *recorded, struct why *why)
{
	struct work m = {.j = j, .epoch = j->op.h.epoch, .sealed = -1};
	struct resource r = {0};
	const struct op_resource *o = op_resource(&j->op, id);
	*recorded = o != NULL;
	if (!o)
		return 0;
	int rc = resource_load(j, o, &r, why);
	if (rc == 0)
		rc = record(&m, by, &(struct removed){&r, report->result, report->reason, report->entries, r.is_fallback ? report->printed : NULL}, why);
	if (j->o.defer)
		j->owed |= m.owed && j->o.sync;
	else
		rc = pay(&m, rc, why);
	resource_free(&r);
	return rc;
}
