/* look: looking over those who take part in an operation. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroup.h"
#include "clock.h"
#include "fsx.h"
#include "json.h"
#include "look.h"
#include "queue.h"
#include "served.h"
#include "tree.h"

enum {
	LOCK_YIELDS = 4, LOCK_LOOKS = 100, LOCK_LOOK_US = 50, /* for a lock to fall after the event that told of it */
	SLEPT_MS = 100, /* from the beginning of a look to a judgement: less is work */
};

/* --- evidence --- */

static struct observer
observer(const struct journal *j, int64_t awake_ms)
{
	return (struct observer){.wall_ms = clock_wall_ms(), .mono_ms = clock_mono_ms(), .awake_ms = awake_ms, .stale_ms = j->op.h.stale_ms};
}

static enum process
process_of(const struct beat_id *id, int64_t pid, int64_t start)
{
	struct beat_id here = beat_here();
	if (pid <= 0 || start < 0 || strcmp(id->boot, here.boot) != 0 || id->pid_ns != here.pid_ns)
		return PROCESS_UNKNOWN;
	struct proc p;
	/* What cannot be looked at, as without a descriptor to be had, may be there all the same.  Start times are shifted in
	 * another time namespace: there the pid alone has to do, which may spare somebody and kills nobody. */
	if (proc_look(pid, &p) < 0)
		return kill((pid_t)pid, 0) == 0 || errno == EPERM ? PROCESS_RUNS : PROCESS_GONE;
	bool same = p.start == start || id->time_ns != here.time_ns;
	return same && p.state != 'Z' && p.state != 'X' ? PROCESS_RUNS : PROCESS_GONE;
}

/* Its file is there and cannot be read (no descriptor to be had, a disk that fails): nothing is known of it. */
static struct verdict
unreadable(void)
{
	struct verdict v = {.life = LIFE_SUSPECT, .unseen = true};
	snprintf(v.why, sizeof v.why, "its beat file cannot be read: %s", strerror(errno));
	return v;
}

/* Whether it is surely this machine: on a filesystem that several share an id proves nothing, since images are cloned with it. */
static bool
is_this_machine(const struct journal *j, const struct beat_id *id)
{
	struct beat_id here = beat_here();
	return *here.machine && strcmp(id->machine, here.machine) == 0 && !fsx_is_remote(j->dir);
}

static struct evidence
from_beat(const struct journal *j, const struct beat *b)
{
	struct beat_id here = beat_here();
	struct evidence e = {
		.held = b->id.mode == BEAT_HELD,
		.remote = b->id.mode == BEAT_REMOTE,
		.ttl_ms = j->op.h.ttl_ms,
		.keeper = b->id.mode == BEAT_HELD,
		.locked = b->locked,
		.suspended = b->state == BEAT_SUSPENDED,
		.same_boot = *here.boot && strcmp(b->id.boot, here.boot) == 0,
		.wall_ms = b->wall_ms,
		.mono_ms = b->mono_ms,
	};
	e.same_machine = e.same_boot || is_this_machine(j, &b->id);
	e.same_clock = e.same_boot && b->id.time_ns == here.time_ns;
	return e;
}

/* The longest lease among its live sessions. */
static void
leases(struct journal *j, const struct op_person *p, struct evidence *e)
{
	e->ttl_ms = -1;
	for (uint32_t i = 0; i < j->op.sessions.n; i++) {
		const struct op_session *s = table_at(&j->op.sessions, i);
		bool given;
		if (s->key.gone || s->left_ms >= 0 || s->person != p->no)
			continue;
		int64_t ttl = op_ttl(&j->op, s, &given);
		if (ttl > e->ttl_ms) {
			e->ttl_ms = ttl;
			e->ttl_given = given;
		}
	}
}

/* Whether one of the processes that joined is there, or the one that the file names: a keeper that was sent away leaves it to
 * the process that it kept. */
static enum process
process_of_sessions(struct journal *j, const struct op_person *p, const struct beat_id *id)
{
	enum process found = process_of(id, id->pid, id->start);
	for (uint32_t i = 0; i < j->op.sessions.n && found != PROCESS_RUNS; i++) {
		const struct op_session *s = table_at(&j->op.sessions, i);
		if (s->key.gone || s->left_ms >= 0 || s->person != p->no)
			continue;
		enum process process = process_of(id, s->pid, s->pid_start);
		if (process == PROCESS_RUNS || found == PROCESS_UNKNOWN)
			found = process;
	}
	return found;
}

/* The same where it beats by a server, of which it is asked only where somebody would be dead else.  The file is looked at once more behind
 * that: what a server that listens now has read before is there. */
static struct verdict
judge_remote(const struct journal *j, const char *file, struct evidence *e, const struct observer *now)
{
	struct beat b;
	struct verdict v = liveness_judge(e, now);
	if (v.life != LIFE_STALE)
		return v;
	struct served s = served_look(j->dir);
	e->served_ms = s.since_ms;
	e->heard_ms = s.heard_ms;
	if (beat_look(j->dir, file, &b) == 0 && b.mono_ms > e->mono_ms)
		e->mono_ms = b.mono_ms;
	return liveness_judge(e, now);
}

/* Whether the supervisor of a call is there for certain. */
static bool
is_attended(struct journal *j, const struct op_call *c)
{
	char file[BEAT_FILE_MAX];
	struct beat b;
	beat_call_file(c->key.name, file);
	if (beat_look(j->dir, file, &b) < 0)
		return errno != ENOENT;
	if (b.locked || b.id.mode != BEAT_REMOTE)
		return b.locked;
	enum life life = look_call(j, c, 0, &b).life;
	return life == LIFE_ALIVE || life == LIFE_SUSPENDED;
}

static bool
any_call_is_held(struct journal *j, const struct op_person *p)
{
	for (uint32_t i = 0; i < j->op.calls.n; i++) {
		const struct op_call *c = table_at(&j->op.calls, i);
		if (c->key.gone || c->state != CALL_RUNNING || c->person != p->no || !c->held)
			continue;
		if (is_attended(j, c))
			return true;
	}
	return false;
}

struct verdict
look_person(struct journal *j, const struct op_person *p, int64_t awake_ms, struct beat *b)
{
	char file[BEAT_FILE_MAX];
	struct observer now = observer(j, awake_ms);
	beat_person_file(p->key.name, file);
	bool there = beat_look(j->dir, file, b) == 0;
	if (!there && errno != ENOENT)
		return unreadable();
	struct evidence e = from_beat(j, b);
	if (!there || !b->known) {
		/* Without its file there is the journal: when it joined, and its last entry.  Held, it lives whatever the file says. */
		e = (struct evidence){.mono_ms = -1, .wall_ms = there ? b->wall_ms : p->seen_ms, .held = b->locked, .locked = b->locked};
		b->id = beat_here();
	}
	if (e.wall_ms < p->seen_ms && !e.held)
		e.wall_ms = p->seen_ms;
	if (!e.held)
		leases(j, p, &e);
	else if (!e.locked)
		e.process = process_of(&b->id, b->id.watched, b->id.watched_start);
	struct verdict v = e.remote ? judge_remote(j, file, &e, &now) : liveness_judge(&e, &now);
	/* Looking at processes takes longer than all the rest, and most leases are not over. */
	if (v.life == LIFE_STALE && !e.held && !e.remote) {
		e.process = process_of_sessions(j, p, &b->id);
		v = liveness_judge(&e, &now);
	}
	if (v.life == LIFE_STALE && !e.held && !e.remote && any_call_is_held(j, p)) {
		e.calls_held = true;
		v = liveness_judge(&e, &now);
	}
	return v;
}

struct verdict
look_call(struct journal *j, const struct op_call *c, int64_t awake_ms, struct beat *b)
{
	char file[BEAT_FILE_MAX];
	struct observer now = observer(j, awake_ms);
	beat_call_file(c->key.name, file);
	/* The file was made before the call was started and goes after it has ended: where it is not there, nobody holds it. */
	if (beat_look(j->dir, file, b) < 0) {
		if (errno != ENOENT)
			return unreadable();
		struct evidence none = {.held = true, .same_boot = true, .mono_ms = -1, .wall_ms = c->started_ms};
		return liveness_judge(&none, &now);
	}
	struct evidence e = from_beat(j, b);
	if (e.remote)
		return judge_remote(j, file, &e, &now);
	e.held = true;
	e.keeper = false;
	if (c->queued && b->locked) /* it sleeps until it is its turn */
		e.mono_ms = now.mono_ms, e.wall_ms = now.wall_ms;
	if (!b->known)
		e.same_boot = e.same_clock = true;
	return liveness_judge(&e, &now);
}

/* --- recording --- */

/* Lock for recording: 1, 0 where the operation has ended meanwhile, -1. */
static int
lock_live(struct journal *j, struct why *why)
{
	if (journal_lock(j, why) < 0)
		return -1;
	if (!j->op.h.archived && j->op.h.state < OP_COMPLETED)
		return 1;
	journal_unlock(j);
	return 0;
}

/* The command whose output is the result becomes an undo command of the call: it is run as one, by whoever removes what that left. */
static void
put_fallback_command(struct journal *j, const char *by, const struct op_call *c, const struct entry *e, const char *evidence)
{
	const struct op_person *p = op_person_no(&j->op, c->person);
	struct buf *b = journal_entry(j, by, EVENT_RESOURCE_ADDED);
	json_put_int(b, "resourceId", journal_new_resource(j));
	json_put(b, "kind", resource_kind_name(RESOURCE_COMMAND));
	slice_put(b, "command", e->fallback_command);
	slice_put(b, "folder", e->folder);
	json_put_bool(b, "isFallback", true);
	if (e->result_json)
		json_put_bool(b, "resultJson", true);
	json_put(b, "callId", c->key.name);
	if (p)
		json_put(b, "participantId", p->key.name);
	json_put(b, "evidence", evidence);
	slice_put(b, "bootId", e->boot_id);
	slice_put(b, "machineId", e->machine_id);
	slice_put(b, "host", e->host);
	if (e->seal.n)
		slice_put(b, "seal", e->seal);
	journal_entry_end(j);
}

/* What it ran on another machine is to be ended there, by whoever removes what is left there; nobody here sees it. */
static void
put_orphans(struct journal *j, const char *by, const struct op_call *c, const struct entry *e)
{
	const struct op_person *p = op_person_no(&j->op, c->person);
	struct buf *b = journal_entry(j, by, EVENT_RESOURCE_ADDED);
	json_put_int(b, "resourceId", journal_new_resource(j));
	json_put(b, "kind", resource_kind_name(RESOURCE_PROCESS));
	json_put_bool(b, "orphans", true);
	json_put_int(b, "pid", e->pid);
	if (e->pid_start >= 0)
		json_put_int(b, "pidStart", e->pid_start);
	json_put_int(b, "supervisorPid", e->supervisor_pid);
	json_put_int(b, "supervisorStart", e->supervisor_start);
	json_put_int(b, "pidNs", e->pid_ns);
	slice_put(b, "seal", e->orphan_seal);
	json_put(b, "callId", c->key.name);
	if (p)
		json_put(b, "participantId", p->key.name);
	slice_put(b, "bootId", e->boot_id);
	slice_put(b, "machineId", e->machine_id);
	slice_put(b, "host", e->host);
	journal_entry_end(j);
}

/* Whether its supervisor beats by a server. */
static bool
is_far(struct journal *j, const struct op_call *c)
{
	char file[BEAT_FILE_MAX];
	struct beat b;
	beat_call_file(c->key.name, file);
	return c->held && !c->queued && beat_look(j->dir, file, &b) == 0 && b.known && b.id.mode == BEAT_REMOTE;
}

static void
put_call_crashed(struct journal *j, const char *by, const struct op_call *c, const char *evidence)
{
	struct buf text = {0};
	struct entry e = {0};
	bool far = is_far(j, c);
	bool known = (c->fallback || far) && journal_line(j, c->start, &text) == 0 && !entry_parse(text.p, text.n, &e);
	/* Removed newest first: what it runs ends before the fallback command stands in for it. */
	if (known && e.fallback_command.p)
		put_fallback_command(j, by, c, &e, evidence);
	if (known && far && e.pid > 0 && e.boot_id.n && e.orphan_seal.n)
		put_orphans(j, by, c, &e);
	const struct op_person *p = op_person_no(&j->op, c->person);
	int64_t duration = j->now_ms - c->started_ms;
	struct buf *b = journal_entry(j, by, EVENT_CALL_CRASHED);
	json_put(b, "callId", c->key.name);
	if (p)
		json_put(b, "participantId", p->key.name);
	json_put(b, "evidence", evidence);
	json_put_int(b, "durationMs", duration > 0 ? duration : 0);
	if (known && e.fallback_command.p)
		json_put_bool(b, "fallbackPending", true);
	else if (known && c->fallback)
		slice_put(b, "result", e.fallback);
	journal_entry_end(j);
	buf_free(&text);
}

static void
put_crash(struct journal *j, const char *by, const char *participant, const char *call, const char *evidence)
{
	struct buf *b = journal_entry(j, by, EVENT_CRASH_DETECTED);
	json_put(b, "participantId", participant);
	if (call)
		json_put(b, "callId", call);
	json_put(b, "evidence", evidence);
	journal_entry_end(j);
	j->ring = true;
}

static void
bury_call(struct journal *j, const char *by, const char *id, const char *evidence)
{
	const struct op_call *c = op_call(&j->op, id);
	const struct op_person *p = op_person_no(&j->op, c->person);
	put_call_crashed(j, by, c, evidence);
	/* Of one that was queued nothing has happened yet. */
	if (c->fail_on_crash && !c->queued)
		put_crash(j, by, p ? p->key.name : j->op.h.initiator, c->key.name, evidence);
	j->ring = true;
}

/* A participant, and those of its calls that nobody holds; its file goes with the entries. */
static void
bury_person(struct journal *j, const char *by, const char *name, const char *evidence)
{
	const struct op_person *p = op_person(&j->op, name);
	char text[200];
	snprintf(text, sizeof text, "its participant died: %s", evidence);
	for (uint32_t i = 0; i < j->op.calls.n; i++) {
		const struct op_call *c = table_at(&j->op.calls, i);
		if (!c->key.gone && c->state == CALL_RUNNING && c->person == p->no && !c->held)
			put_call_crashed(j, by, c, text);
	}
	put_crash(j, by, name, NULL, evidence);
	beat_person_file(name, j->drop);
}

static void
drop_file(struct journal *j, const char *name, void (*path)(const char *name, char file[BEAT_FILE_MAX]))
{
	char file[BEAT_FILE_MAX];
	path(name, file);
	(void)unlinkat(j->dir, file, 0);
}

/* How a death is told: what was seen, and of whom. */
static void
tell(const struct verdict *v, const struct beat *b, char *text, size_t size)
{
	if (b->known && b->id.pid > 0)
		snprintf(text, size, "%s (pid %lld%s%s)", v->why, (long long)b->id.pid, *b->id.host ? " on " : "", b->id.host);
	else
		snprintf(text, size, "%s", v->why);
}

/* --- ending what was left --- */

struct marks {
	struct tree tree;
	struct buf cgroup;
};

static bool
take_marks(void *arg, const char *line, size_t n)
{
	struct marks *m = arg;
	struct entry e;
	if (entry_parse(line, n, &e) || e.event != EVENT_CALL_STARTED)
		return true;
	m->tree.root = e.pid;
	m->tree.root_start = e.pid_start;
	m->tree.group = e.process_group;
	m->tree.session = e.process_session;
	buf_clear(&m->cgroup);
	if (e.cgroup.n)
		json_unescape(&m->cgroup, e.cgroup.p, e.cgroup.n);
	return true;
}

/* Whether its processes would be seen from here.  Another boot of this machine has ended all; those of another host or PID
 * namespace are left to who sees them. */
static bool
in_sight(const struct journal *j, const struct beat *b)
{
	struct beat_id here = beat_here();
	bool same_boot = b->known && strcmp(b->id.boot, here.boot) == 0;
	return same_boot ? b->id.pid_ns == here.pid_ns : !b->known || is_this_machine(j, &b->id);
}

/* Begin to end what the dead supervisor of `call` left: false where nobody died.  A supervisor makes its file, locks it and
 * appends the start of its call under the lock of the journal: only under that is it sure that a file which nobody holds is not
 * that of a call which just begins.  *first: nobody has begun before. */
static bool
claim(struct journal *j, const char *call, const char *file, struct beat *b, bool *first)
{
	struct why ignored;
	if (lock_live(j, &ignored) <= 0)
		return false; /* done at the next look, or by the end of the operation */
	bool left = !op_call(&j->op, call) && beat_look(j->dir, file, b) == 0 && !b->locked && in_sight(j, b);
	*first = left && b->state != BEAT_ENDING;
	if (*first) {
		(void)beat_touch_file(j->dir, file);
		(void)beat_set_file_state(j->dir, file, BEAT_ENDING);
	}
	journal_unlock(j);
	return left;
}

/* A step of ending what a dead supervisor left, the last one, behind which there will be no other, or none: it is only looked at. */
enum step { STEP_NONE, STEP_NEXT, STEP_LAST };

/* Take it for what the dead supervisor of `call` left; how many processes are still there. */
static int
end_tree(struct journal *j, const char *call, enum step step)
{
	char file[BEAT_FILE_MAX], needle[ID_NAME_MAX + 16];
	struct beat b;
	struct beat_id here = beat_here();
	struct stat st;
	struct why ignored;
	struct marks m = {.tree = {.operation = j->op.h.id, .call = call, .supervisor = -1, .root = -1, .root_start = -1, .group = -1, .session = -1}};
	beat_call_file(call, file);
	if (beat_look(j->dir, file, &b) < 0 || b.locked || !in_sight(j, &b))
		return 0;
	int n = 0, sig = 0;
	bool first = false;
	if (step != STEP_NEXT)
		sig = step == STEP_LAST ? SIGKILL : 0;
	else if (b.state != BEAT_ENDING && !claim(j, call, file, &b, &first))
		return 0;
	else if (first)
		sig = SIGTERM;
	else if (clock_mono_ms() - b.mono_ms >= LOOK_GRACE_MS)
		sig = SIGKILL;
	if (!b.known || strcmp(b.id.boot, here.boot) == 0) {
		/* The marks are what the ledger's user says they are. */
		m.tree.uid = geteuid() == 0 && fstat(j->dir, &st) == 0 ? (int64_t)st.st_uid : 0;
		snprintf(needle, sizeof needle, "\"callId\":\"%s\"", call);
		(void)journal_search(j, 0, needle, take_marks, &m, &ignored);
		m.tree.cgroup = m.cgroup.n ? m.cgroup.p : NULL;
		if (b.known && b.id.time_ns != here.time_ns)
			m.tree.root_start = -1; /* told by another clock */
		n = tree_signal(&m.tree, sig, -1, NULL);
		if (n == 0) /* once more: one may have been born while the first pass went by */
			n = tree_signal(&m.tree, sig, -1, NULL);
	}
	if (n < 0) /* nobody knows */
		n = 1;
	if (n == 0 && step != STEP_NONE) {
		if (m.tree.cgroup)
			cgroup_remove(m.tree.cgroup);
		drop_file(j, call, beat_watchdog_file);
		(void)unlinkat(j->dir, file, 0);
	}
	buf_free(&m.cgroup);
	return n;
}

/* The name behind "c-" in beats/, decoded; false where it is no such file. */
static bool
name_of_file(const char *file, char kind, char name[ID_NAME_MAX + 1])
{
	size_t n = 0;
	if (file[0] != kind || file[1] != '-')
		return false;
	for (const char *p = file + 2; *p && n < ID_NAME_MAX; p++) {
		unsigned code = (unsigned char)*p;
		if (*p == '%') {
			static const char hex[] = "0123456789ABCDEF";
			const char *high = p[1] ? strchr(hex, p[1]) : NULL, *low = high && p[2] ? strchr(hex, p[2]) : NULL;
			if (!low)
				return false;
			code = (unsigned)(high - hex) << 4 | (unsigned)(low - hex);
			p += 2;
		}
		name[n++] = (char)code;
	}
	name[n] = '\0';
	return n > 0;
}

/* --- looking --- */

/* The two kinds that are looked at: how one of a name is judged (alive where there is none), and how its death is recorded. */
struct kind {
	struct verdict (*judge)(struct journal *j, const char *name, int64_t awake_ms, struct beat *b);
	void (*bury)(struct journal *j, const char *by, const char *name, const char *evidence);
};

static struct verdict
judge_call(struct journal *j, const char *id, int64_t awake_ms, struct beat *b)
{
	const struct op_call *c = op_call(&j->op, id);
	return c && c->held ? look_call(j, c, awake_ms, b) : (struct verdict){.life = LIFE_ALIVE};
}

static struct verdict
judge_person(struct journal *j, const char *name, int64_t awake_ms, struct beat *b)
{
	const struct op_person *p = op_person(&j->op, name);
	return p && p->sessions ? look_person(j, p, awake_ms, b) : (struct verdict){.life = LIFE_ALIVE};
}

static const struct kind call_kind = {judge_call, bury_call}, person_kind = {judge_person, bury_person};

/* Who looks may have been stopped since it began, and all the others with it: for that long nobody was silent.  It cannot be told from work
 * that took long, which only puts off what the next look finds. */
static struct verdict
judge(struct journal *j, const struct kind *kind, const char *name, const struct look *l, struct beat *b)
{
	struct verdict v = kind->judge(j, name, l->awake_ms, b);
	int64_t now_ms = clock_mono_ms(), slept_ms = now_ms - l->since_ms;
	if (v.life != LIFE_STALE || slept_ms < SLEPT_MS)
		return v;
	return kind->judge(j, name, v.age_ms > slept_ms ? now_ms - (v.age_ms - slept_ms) : now_ms, b);
}

/* Judge one and record its death; under the lock it is judged again. */
static int
look_at_one(struct journal *j, const struct kind *kind, const char *name, struct look *l, struct why *why)
{
	char evidence[320];
	struct beat b;
	struct verdict v = judge(j, kind, name, l, &b);
	l->unseen += v.unseen;
	if (!life_is_over(v.life))
		return 0;
	int rc = lock_live(j, why);
	if (rc <= 0)
		return rc;
	v = judge(j, kind, name, l, &b);
	if (!life_is_over(v.life)) {
		journal_unlock(j);
		return 0;
	}
	tell(&v, &b, evidence, sizeof evidence);
	kind->bury(j, l->by, name, evidence);
	if (journal_commit(j, why) < 0 && why->code != ERR_NOT_DURABLE)
		return -1;
	if (j->op.h.queued)
		queue_wake(j, true);
	l->crashed++;
	return 0;
}

int
look_bury(struct journal *j, const char *by, const char *participant, const char *evidence, bool *done, struct why *why)
{
	*done = false;
	int rc = lock_live(j, why);
	if (rc <= 0)
		return rc;
	struct op_person *p = op_person(&j->op, participant);
	if (!p || !p->sessions) {
		journal_unlock(j);
		return 0;
	}
	bury_person(j, by, participant, evidence);
	*j->drop = '\0'; /* its keeper holds it until it has answered */
	*done = true;
	return journal_commit(j, why);
}

/* The kernel tells of the closing just before it drops the lock, and may run us in between. */
static void
await_lock(struct journal *j, const char *name)
{
	char file[NAME_MAX + 8];
	snprintf(file, sizeof file, "beats/%s", name);
	for (int i = 0; i < LOCK_LOOKS && beat_is_held(j->dir, file); i++)
		if (i < LOCK_YIELDS)
			sched_yield();
		else
			usleep(LOCK_LOOK_US);
}

int
look_at(struct journal *j, const char *name, struct look *l, struct why *why)
{
	char id[ID_NAME_MAX + 1];
	bool person = name_of_file(name, 'p', id);
	/* Of many who are told at once most find that another was first. */
	if (person ? !op_person(&j->op, id) : !name_of_file(name, 'c', id) || !op_call(&j->op, id))
		return 0;
	await_lock(j, name);
	if (person)
		return look_at_one(j, &person_kind, id, l, why);
	int rc = look_at_one(j, &call_kind, id, l, why);
	l->ending += l->crashed;
	return rc;
}

/* Call ids and names are copied: recording changes the tables. */
static int
look_at_all(struct journal *j, const struct table *t, const struct kind *kind, struct look *l, struct why *why)
{
	struct buf names = {0};
	int rc = 0;
	for (uint32_t i = 0; i < t->n; i++) {
		const struct table_key *k = table_at(t, i);
		if (!k->gone)
			buf_add(&names, k->name, strlen(k->name) + 1);
	}
	for (const char *p = names.p, *end = names.p + names.n; p && p < end && rc == 0; p += strlen(p) + 1)
		rc = look_at_one(j, kind, p, l, why);
	if (names.failed)
		rc = why_set(why, ERR_IO, "out of memory");
	buf_free(&names);
	return rc;
}

/* The same step for all of them. */
static int
end_trees(struct journal *j, enum step step)
{
	char **names, id[ID_NAME_MAX + 1];
	int ending = 0;
	ssize_t n = fsx_list(j->dir, "beats", &names);
	for (ssize_t i = 0; i < n; i++)
		/* What belongs to a running call is held, or has just been recorded. */
		if (name_of_file(names[i], 'c', id) && !op_call(&j->op, id))
			ending += end_tree(j, id, step);
	free(names);
	return ending;
}

int
look_over(struct journal *j, struct look *l, struct why *why)
{
	/* Calls first: a participant without a keeper lives as long as one of its supervisors does. */
	if (look_at_all(j, &j->op.calls, &call_kind, l, why) < 0 || look_at_all(j, &j->op.people, &person_kind, l, why) < 0)
		return -1;
	l->ending += end_trees(j, STEP_NEXT);
	/* Who was looked at just when others recorded its death had no file any more: the entry is there by now. */
	return journal_refresh(j, why);
}

int
look_at_left(struct journal *j)
{
	return end_trees(j, STEP_NONE);
}

void
look_finish(struct journal *j)
{
	char **names, id[ID_NAME_MAX + 1];
	int dir = fsx_open(j->dir, "beats", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	ssize_t n = dir < 0 ? 0 : fsx_list(dir, ".", &names);
	for (ssize_t i = 0; i < n; i++) {
		if (name_of_file(names[i], 'c', id))
			(void)end_tree(j, id, STEP_LAST);
		(void)unlinkat(dir, names[i], 0);
	}
	if (dir >= 0) {
		free(names);
		close(dir);
	}
}

bool
look_is_due(struct journal *j)
{
	int64_t last, now = clock_mono_ms();
	/* Its times are nobody's beat; one that is in the future is of another boot, or as the file was made. */
	if (beat_when(j->dir, "coordinator", &last) == 0 && last <= now && now - last < j->op.h.beat_ms)
		return false;
	return beat_touch_file(j->dir, "coordinator") == 0;
}
