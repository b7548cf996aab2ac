/* cleanup: what follows a death, and doing away with what is nobody's any more. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "clock.h"
#include "fsx.h"
#include "json.h"
#include "look.h"

enum {
	PAUSE_MOST_MS = 20,      /* between two looks at what is waited for */
	PAUSE_HELD_MS = 5,       /* … where reading what came to the journal is enough */
	LOOK_MS = 20,            /* a coordinator that waits for answers looks whether those who owe them live */
	STOPPED_EXTRA_MS = 2000, /* behind the window, for what is killed to be gone */
	SILENT_MS = 300000,      /* a coordinator that is not stopped and does nothing for so long is replaced */
};

/* --- whether, and who --- */

bool
cleanup_is_due(const struct op *op)
{
	return (op->h.state < OP_COMPLETED && op->h.crashes) || (op->resources.n > op->resources.gone && op_due(op));
}

bool
cleanup_is_shared(const struct op *op)
{
	bool held = false;
	for (uint32_t i = 0; i < op->calls.n && !held; i++) {
		const struct op_call *call = table_at(&op->calls, i);
		held = !call->key.gone && call->state == CALL_RUNNING && call->held;
	}
	return held && op->h.crashes && op->h.state < OP_COMPLETED;
}

/* --- who is waited for --- */

/* Held calls that have not ended, by the journal alone: those who died were recorded by the last look. */
static int
held_calls(struct journal *j, const struct cleanup *c)
{
	struct beat b;
	int n = 0;
	for (uint32_t i = 0; i < j->op.calls.n; i++) {
		const struct op_call *call = table_at(&j->op.calls, i);
		if (call->key.gone || call->state != CALL_RUNNING || !call->held || (c->own_call && strcmp(call->key.name, c->own_call) == 0))
			continue;
		n += !c->removal.look || !life_is_over(look_call(j, call, c->awake_ms, &b).life);
	}
	return n;
}

/* Whether its keeper, if it has one, has still to answer: it does so also for one that is dead. */
static bool
owes_answer(const struct op *op, const struct op_person *p)
{
	return !p->key.gone && (p->sessions || p->death.len) && (op->h.state != OP_CLEANUP || p->answered != op->h.epoch);
}

static int
held_ones(struct journal *j, const struct cleanup *c)
{
	struct beat b;
	char file[BEAT_FILE_MAX];
	int n = held_calls(j, c);
	for (uint32_t i = 0; i < j->op.people.n; i++) {
		const struct op_person *p = table_at(&j->op.people, i);
		if (!owes_answer(&j->op, p) || (c->own_name && strcmp(p->key.name, c->own_name) == 0))
			continue;
		beat_person_file(p->key.name, file);
		n += beat_look(j->dir, file, &b) == 0 && b.locked && b.id.mode == BEAT_HELD;
	}
	return n;
}

/* Whether an outer call is held by one who lives: that waits for us to end, so that we must not wait for it. */
static bool
is_inner(struct journal *j, const struct cleanup *c)
{
	struct beat b;
	const struct op_call *call = c->outer ? op_call(&j->op, c->outer) : NULL;
	while (call) {
		if (call->held && look_call(j, call, c->awake_ms, &b).life == LIFE_ALIVE)
			return true;
		const struct op_call *parent = NULL;
		for (uint32_t i = 0; i < j->op.calls.n && call->parent && !parent; i++) {
			const struct op_call *other = table_at(&j->op.calls, i);
			if (!other->key.gone && other->seq == call->parent)
				parent = other;
		}
		call = parent;
	}
	return false;
}

/* Their window is over: supervisors that still hold a call get SIGKILL; what they leave is ended like that of any dead one. */
static void
stop_held(struct journal *j, const struct cleanup *c)
{
	struct beat b;
	char file[BEAT_FILE_MAX];
	struct beat_id here = beat_here();
	struct stat st;
	bool any = geteuid() != 0 || (fstat(j->dir, &st) == 0 && st.st_uid == 0); /* else who holds it is what the ledger's user says */
	for (uint32_t i = 0; i < j->op.calls.n; i++) {
		const struct op_call *call = table_at(&j->op.calls, i);
		if (call->key.gone || call->state != CALL_RUNNING || !call->held || (c->own_call && strcmp(call->key.name, c->own_call) == 0))
			continue;
		beat_call_file(call->key.name, file);
		if (beat_look(j->dir, file, &b) < 0 || !b.known || !b.locked || strcmp(b.id.boot, here.boot) != 0 || b.id.pid_ns != here.pid_ns || b.id.pid == getpid())
			continue;
		int fd = proc_open(b.id.pid, b.id.time_ns == here.time_ns ? b.id.start : -1);
		/* The lock is looked at once more, behind the pidfd: it is that process then. */
		if (fd >= 0 && (any || proc_is_of(b.id.pid, st.st_uid)) && beat_is_held(j->dir, file))
			(void)proc_signal(fd, SIGKILL);
		if (fd >= 0)
			close(fd);
	}
}

/* --- the coordinator --- */

/* The wall clock may have been set since; the other may be that of another boot or time namespace, and who says less accuses
 * nobody falsely. */
int64_t
cleanup_age(const struct entry *started)
{
	char boot[PROC_BOOT_ID];
	int64_t wall = clock_wall_ms() - started->at_ms, mono = clock_mono_ms() - started->mono_ms;
	slice_copy(started->boot_id, boot, sizeof boot);
	if (started->mono_ms >= 0 && mono >= 0 && (wall < 0 || mono < wall) && strcmp(boot, beat_here().boot) == 0)
		return mono;
	return wall;
}

/* Whether the one who holds the newest epoch does nothing any more. */
static bool
is_stalled(struct journal *j)
{
	struct buf text = {0};
	struct entry e;
	struct proc p;
	char boot[PROC_BOOT_ID] = "";
	int64_t quiet = clock_wall_ms() - j->op.h.changed_ms;
	bool stalled = quiet >= SILENT_MS;
	/* Below 0 the clock was set back, and how long it was quiet is unknown. */
	if ((stalled || quiet >= j->op.h.stale_ms || quiet < 0) && journal_line(j, j->op.h.cleanup, &text) == 0 && !entry_parse(text.p, text.n, &e)) {
		/* Set forward: it was not quiet for longer than it is there. */
		int64_t age = cleanup_age(&e);
		if (quiet >= 0 && age < quiet)
			quiet = age;
		stalled = quiet >= SILENT_MS;
		slice_copy(e.boot_id, boot, sizeof boot);
		if (!stalled && (quiet >= j->op.h.stale_ms || quiet < 0))
			stalled = strcmp(boot, beat_here().boot) == 0 && (uint64_t)e.pid_ns == beat_here().pid_ns && proc_look(e.pid, &p) == 0 &&
				p.start == e.pid_start && (p.state == 'T' || p.state == 't');
	}
	buf_free(&text);
	return stalled;
}

static bool
is_coordinator(const struct journal *j)
{
	return j->drive >= 0 && j->epoch == j->op.h.epoch && j->op.h.state == OP_CLEANUP;
}

/* Whether another is the coordinator, and does its work. */
static bool
is_driven(struct journal *j)
{
	if (j->op.h.state != OP_CLEANUP || is_coordinator(j))
		return false;
	return removal_is_held(j, j->op.h.epoch) && !is_stalled(j);
}

void
cleanup_reason(struct journal *j, struct buf *reason)
{
	struct buf text = {0};
	struct entry e;
	if (j->op.h.crash.len && journal_line(j, j->op.h.crash, &text) == 0 && !entry_parse(text.p, text.n, &e)) {
		json_unescape(reason, e.participant_id.p ? e.participant_id.p : "", e.participant_id.n);
		if (e.call_id.n) {
			buf_str(reason, " (");
			json_unescape(reason, e.call_id.p, e.call_id.n);
			buf_str(reason, ")");
		}
		buf_str(reason, " died: ");
		json_unescape(reason, e.evidence.p ? e.evidence.p : "", e.evidence.n);
	}
	buf_free(&text);
}

/* Become the coordinator, with a new epoch.  1, 0 where another is or there is nothing to coordinate any more, -1. */
static int
take_over(struct journal *j, const struct cleanup *c, struct why *why)
{
	struct buf reason = {0};
	fsx_close(&j->drive);
	int fd = removal_open(j, why);
	if (fd < 0)
		return -1;
	/* Quickly, without the lock: of many who are told at once only one becomes it. */
	if ((j->op.h.state == OP_CLEANUP && removal_is_locked(fd, j->op.h.epoch) && !is_stalled(j)) || journal_lock(j, why) < 0) {
		close(fd);
		return why->code ? -1 : 0;
	}
	bool free = !j->op.h.archived && j->op.h.state < OP_COMPLETED && j->op.h.crashes &&
		(j->op.h.state == OP_RUNNING || !removal_is_locked(fd, j->op.h.epoch) || is_stalled(j));
	if (!free || removal_lock_byte(fd, j->op.h.epoch + 1) < 0) {
		journal_unlock(j);
		close(fd);
		return 0;
	}
	struct beat_id here = beat_here();
	cleanup_reason(j, &reason);
	struct buf *b = journal_entry(j, c->removal.by, EVENT_CLEANUP_STARTED);
	json_put_int(b, "epoch", (int64_t)j->op.h.epoch + 1);
	json_put_int(b, "pid", getpid());
	json_put_int(b, "pidStart", proc_start(getpid()));
	json_put(b, "bootId", here.boot);
	json_put(b, "host", here.host);
	json_put_int(b, "pidNs", (int64_t)here.pid_ns);
	json_put_int(b, "monoMs", clock_mono_ms());
	if (reason.n)
		json_put(b, "reason", reason.p);
	journal_entry_end(j);
	j->ring = true;
	buf_free(&reason);
	if (removal_commit(j, why) < 0) {
		close(fd);
		return -1;
	}
	j->drive = fd;
	j->epoch = j->op.h.epoch;
	j->window_end_ms = clock_mono_ms() + j->op.h.window_ms;
	return 1;
}

static void
cancel_calls(struct journal *j, const char *by)
{
	for (uint32_t i = 0; i < j->op.calls.n; i++) {
		const struct op_call *call = table_at(&j->op.calls, i);
		if (call->key.gone || call->state != CALL_RUNNING)
			continue;
		struct buf *b = journal_entry(j, by, EVENT_CALL_CANCELLED);
		json_put(b, "callId", call->key.name);
		json_put(b, "reason", "the operation failed");
		journal_entry_end(j);
	}
}

/* The last entries.  0, or -1 with `why`. */
static int
finish(struct journal *j, struct cleanup *c, struct why *why)
{
	struct buf reason = {0};
	cleanup_reason(j, &reason);
	if (journal_lock(j, why) < 0) {
		buf_free(&reason);
		return -1;
	}
	if (!is_coordinator(j)) {
		journal_unlock(j);
		buf_free(&reason);
		return 0;
	}
	cancel_calls(j, c->removal.by);
	if (!op_resources(&j->op))
		c->removal.left_over = 0; /* another has told meanwhile that it is gone */
	struct buf *b = journal_entry(j, c->removal.by, EVENT_CLEANUP_DONE);
	json_put_int(b, "epoch", (int64_t)j->epoch);
	json_put_int(b, "removed", (int64_t)j->op.h.removed);
	json_put_int(b, "gone", (int64_t)j->op.h.gone);
	json_put_int(b, "left", (int64_t)j->op.h.left);
	json_put_int(b, "failed", c->removal.left_over);
	journal_entry_end(j);
	b = journal_entry(j, c->removal.by, EVENT_FAILED);
	if (reason.n)
		json_put(b, "reason", reason.p);
	if (journal_aborted(j))
		json_put_bool(b, "aborted", true);
	if (c->removal.left_over || j->op.h.left)
		json_put_int(b, "leftResources", c->removal.left_over + (int64_t)j->op.h.left);
	journal_entry_end(j);
	if (!c->removal.left_over) {
		(void)journal_entry(j, c->removal.by, EVENT_ARCHIVED);
		journal_entry_end(j);
	}
	j->ring = true;
	buf_free(&reason);
	return removal_commit(j, why);
}

/* --- all of it --- */

/* Whether there is an undo command that somebody may just run: one that was run, and recorded, is none. */
static bool
may_be_undoing(const struct op *op)
{
	for (uint32_t i = 0; i < op->resources.n; i++) {
		const struct op_resource *r = table_at(&op->resources, i);
		if (!r->key.gone && r->kind == RESOURCE_COMMAND)
			return true;
	}
	return false;
}

/* Whether a coordinator would only wait now.  Who goes again soon leaves that to others then, and to the next: all are told of a takeover
 * and come by in their turn, and each of them would take over. */
static bool
is_held_up(struct journal *j, const struct cleanup *c)
{
	if (j->op.h.state != OP_CLEANUP || c->patience_ms > CLEANUP_BRIEF_MS)
		return false;
	return c->ending || removal_is_busy(j);
}

/* What is nobody's by itself goes in any case, whoever coordinates.  `rc`, or -1. */
static int
remove_fresh(struct journal *j, struct cleanup *c, int rc, struct why *why)
{
	if (removal_is_fresh(&j->op) && removal_due(j, &c->removal, 0, why) < 0)
		return -1;
	return rc;
}

/* Somebody died.  1 where it is to be waited, 0 where nothing more is to be done, -1. */
static int
follow_crash(struct journal *j, struct cleanup *c, int64_t end_ms, struct why *why)
{
	struct look l = {.by = c->removal.by, .awake_ms = c->awake_ms, .since_ms = c->since_ms};
	bool fenced = false;
	int rc = 1;
	/* One looks for all: that costs as much as there are who take part, and each of them comes by here. */
	if (!c->removal.look && is_driven(j)) {
		c->waiting = held_calls(j, c);
		rc = remove_fresh(j, c, c->drive && !c->yields && !is_inner(j, c), why);
		c->removal.busy = true;
		return rc;
	}
	why->code = ERR_NONE;
	if (!c->removal.look && c->drive && !is_coordinator(j)) {
		c->removal.busy = true;
		if (is_inner(j, c))
			return remove_fresh(j, c, 0, why);
		if ((rc = take_over(j, c, why)) <= 0)
			return rc < 0 ? -1 : 1;
		c->removal.busy = false;
	}
	if (is_coordinator(j) && clock_mono_ms() < c->look_ms && clock_mono_ms() < j->window_end_ms && (c->waiting = held_calls(j, c)) > 0)
		return remove_fresh(j, c, 1, why);
	if (!c->removal.look && look_over(j, &l, why) < 0)
		return -1;
	c->look_ms = clock_mono_ms() + LOOK_MS;
	if (j->op.h.archived || j->op.h.state >= OP_COMPLETED)
		return 1; /* its rest is removed in the next round */
	c->ending = l.ending;
	c->waiting = held_ones(j, c);
	if (c->removal.look)
		return removal_all(j, &c->removal, true, &fenced, why);
	if (!is_coordinator(j)) {
		if (remove_fresh(j, c, 0, why) < 0)
			return -1;
		c->removal.busy = true;
		if (c->drive) /* fenced meanwhile */
			return 1;
		if (c->waiting || is_inner(j, c)) /* another becomes it */
			return 0;
		if (is_held_up(j, c))
			return 1;
		if ((rc = take_over(j, c, why)) <= 0)
			return rc < 0 ? -1 : 1;
		c->removal.busy = false;
		c->waiting = held_ones(j, c);
	}
	int64_t late = clock_mono_ms() - j->window_end_ms;
	if (c->waiting && late < 0)
		return remove_fresh(j, c, 1, why);
	if (c->waiting && late < STOPPED_EXTRA_MS) {
		stop_held(j, c);
		return 1;
	}
	if (c->ending && late < LOOK_GRACE_MS + STOPPED_EXTRA_MS)
		return 1;
	/* Who removes already, since before we became the coordinator, may run an undo command, which must not be run twice; or it is
	 * stopped: it is fenced then, and not waited for longer than such a command may take. */
	int64_t fenced_ms = j->window_end_ms - j->op.h.window_ms + (may_be_undoing(&j->op) ? RESOURCE_COMMAND_MS : 0) + STOPPED_EXTRA_MS;
	int fd = removal_lock(j, end_ms < fenced_ms ? end_ms : fenced_ms, why);
	if (fd == -1)
		return -1;
	if (fd == -2 && clock_mono_ms() < fenced_ms) {
		c->removal.busy = true;
		return 1;
	}
	c->removal.left_over = 0;
	rc = removal_all(j, &c->removal, true, &fenced, why);
	if (fd >= 0)
		close(fd);
	if (rc == 0 && !fenced)
		rc = finish(j, c, why);
	if (rc < 0)
		return rc;
	fsx_close(&j->drive);
	return 0;
}

static bool
is_asked(struct journal *j, const char *participant)
{
	const struct op_person *p = op_person(&j->op, participant);
	return j->op.h.state == OP_CLEANUP && p && owes_answer(&j->op, p);
}

static int
answer(struct journal *j, const char *participant, struct why *why)
{
	if (!is_asked(j, participant))
		return 0;
	if (journal_lock(j, why) < 0)
		return -1;
	if (!is_asked(j, participant)) {
		journal_unlock(j);
		return 0;
	}
	struct buf *b = journal_entry(j, participant, EVENT_CLEANUP_ACKNOWLEDGED);
	json_put(b, "participantId", participant);
	json_put_int(b, "epoch", (int64_t)j->op.h.epoch);
	journal_entry_end(j);
	j->ring = true;
	return removal_commit(j, why);
}

static int
step(struct journal *j, struct cleanup *c, int64_t end_ms, struct why *why)
{
	c->waiting = c->ending = c->removal.left_over = 0;
	c->removal.busy = false;
	if (journal_refresh(j, why) < 0 || (c->own_name && answer(j, c->own_name, why) < 0))
		return -1;
	if (j->op.h.archived)
		return 0;
	if (j->op.h.state < OP_COMPLETED && (j->op.h.crashes || c->all))
		return follow_crash(j, c, end_ms, why);
	return j->op.h.state >= OP_COMPLETED || cleanup_is_due(&j->op) || c->removal.dead ? removal_due(j, &c->removal, end_ms, why) : 0;
}

int
cleanup_run(struct journal *j, struct cleanup *c, struct why *why)
{
	int64_t end = removal_is_below(j->op.h.id) ? 0 : clock_mono_ms() + c->patience_ms;
	if (!c->since_ms)
		c->since_ms = clock_mono_ms();
	for (int pause = 1;; pause *= 2) {
		int rc = step(j, c, end, why), most = c->waiting && is_coordinator(j) ? PAUSE_HELD_MS : PAUSE_MOST_MS;
		if (rc > 0 && clock_mono_ms() < end) {
			pause = pause < most ? pause : most;
			c->since_ms = clock_mono_ms() + pause;
			usleep((useconds_t)pause * 1000);
			continue;
		}
		/* Who does not stay at it lets the next one who looks. */
		if (!c->drive)
			fsx_close(&j->drive);
		return rc < 0 ? -1 : 0;
	}
}
