/* verb_start: the start of a call, at once or when a slot of its group is free. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "capture.h"
#include "cgroup.h"
#include "change.h"
#include "cleanup.h"
#include "fsx.h"
#include "handlers.h"
#include "id.h"

static void
reply_start(struct change *c, const struct entry *e)
{
	slice_put(c->r->reply, "callId", e->call_id);
	json_put_time(c->r->reply, "startedAt", e->at_ms);
	if (e->session_id >= 0)
		json_put_int(c->r->reply, "sessionId", e->session_id);
	json_put(c->r->reply, "state", e->event == EVENT_CALL_QUEUED ? "queued" : "running");
	if (c->j->op.h.crashes)
		json_put_bool(c->r->reply, "crashed", true);
	if (e->event != EVENT_CALL_QUEUED)
		return;
	char id[ID_NAME_MAX + 1];
	slice_copy(e->call_id, id, sizeof id);
	const struct op_call *call = op_call(&c->j->op, id);
	json_put_bool(c->r->reply, "first", call && op_is_first(&c->j->op, call));
}

/* The processes of a call, as the supervisor tells them. */
struct process_marks {
	int64_t start, group, session, supervisor;
};

struct start {
	char by[ID_NAME_MAX + 1], call[ID_NAME_MAX + 1], parent[ID_NAME_MAX + 1], group[ID_NAME_MAX + 1];
	int64_t session, pid, slots;
	struct process_marks marks;
	const char *description, *fallback, *fallback_command, *folder; /* or NULL; they belong to `text` */
	struct buf text[4];
	bool fail_on_crash, unless_aborted, parent_must_exist, spawned;
	bool result_json;          /* what the fallback command prints must be JSON */
	bool held;                 /* it comes by a server, and its supervisor promises to beat */
	char seal[SEAL_TEXT];      /* of the fallback command … */
	char orphan_seal[SEAL_TEXT]; /* … and of what it leaves, should its supervisor die */
	int64_t supervisor_start, pid_ns;
	bool queued;               /* it is there, and waits for a slot: whether its command may start now is asked */
};

static int
read_start(struct request *r, struct start *s)
{
	*s = (struct start){.pid = -1, .fail_on_crash = true, .marks = {-1, -1, -1, -1}, .supervisor_start = -1, .pid_ns = -1};
	struct process_marks *m = &s->marks;
	if (request_int(r, "participantPidStart", -1, JSON_INT_MAX, &m->start) < 0 || request_int(r, "processGroup", -1, INT32_MAX, &m->group) < 0 ||
	    request_int(r, "processSession", -1, INT32_MAX, &m->session) < 0 || request_int(r, "supervisorPid", -1, INT32_MAX, &m->supervisor) < 0)
		return -1;
	if (request_participant(r, false, s->by) < 0 || request_call(r, "callId", false, s->call) < 0 ||
	    request_call(r, "parentId", false, s->parent) < 0 || request_int(r, "sessionId", 1, JSON_INT_MAX, &s->session) < 0 ||
	    request_int(r, "participantPid", -1, INT32_MAX, &s->pid) < 0 || request_bool(r, "failOnCrash", &s->fail_on_crash) < 0 ||
	    request_bool(r, "unlessAborted", &s->unless_aborted) < 0 || request_bool(r, "parentMustExist", &s->parent_must_exist) < 0 ||
	    request_bool(r, "spawned", &s->spawned) < 0 || request_bool(r, "resultJson", &s->result_json) < 0 || request_call(r, "group", false, s->group) < 0 || request_int(r, "slots", 1, INT32_MAX, &s->slots) < 0)
		return -1;
	if (request_int(r, "pidNs", 0, JSON_INT_MAX, &s->pid_ns) < 0)
		return -1;
	if (r->v->remote && (request_int(r, "supervisorStart", 0, JSON_INT_MAX, &s->supervisor_start) < 0 ||
	    request_seal(r, "orphanSeal", s->orphan_seal) < 0))
		return -1;
	if (r->v->remote && request_bool(r, "held", &s->held) < 0)
		return -1;
	if (s->slots && (!*s->group || m->supervisor <= 0))
		return why_set(&r->why, ERR_REQUEST, "slots goes with group and supervisorPid");
	return 0;
}

static int
read_texts(struct request *r, struct start *s)
{
	if (request_text(r, "description", false, &s->text[0], &s->description) < 0 || request_text(r, "fallback", false, &s->text[1], &s->fallback) < 0 ||
	    request_text(r, "fallbackCommand", false, &s->text[2], &s->fallback_command) < 0 || request_text(r, "folder", false, &s->text[3], &s->folder) < 0)
		return -1;
	if (s->fallback_command && (s->fallback || !*s->fallback_command))
		return why_set(&r->why, ERR_REQUEST, s->fallback ? "fallback and fallbackCommand exclude each other" : "fallbackCommand is empty");
	if (s->fallback_command && (!s->folder || *s->folder != '/'))
		return why_set(&r->why, ERR_REQUEST, "fallbackCommand goes with folder, an absolute path");
	return 0;
}

/* Whose call it is and in which session.  A request that names nobody comes from an old client of
 * the wire: its session number may be one we never gave, and the call is the initiator's then. */
static int
find_owner(struct change *c, struct start *s)
{
	struct op *op = &c->j->op;
	struct op_session *session = s->session ? op_session(op, (uint64_t)s->session) : NULL;
	struct op_person *owner = session ? op_person_no(op, session->person) : NULL;
	if (!*s->by) {
		snprintf(s->by, sizeof s->by, "%.64s", owner ? owner->key.name : op->h.initiator);
		s->session = session ? s->session : 0;
		return 0;
	}
	struct op_person *p = op_person(op, s->by);
	if (!p || !p->sessions) {
		why_set(&c->r->why, ERR_NO_PARTICIPANT, "%s has not joined %s", s->by, op->h.id);
		why_hint(&c->r->why, "dpl-join -o %s -p %s", op->h.id, s->by);
		return -1;
	}
	if (s->session && owner != p)
		return why_set(&c->r->why, ERR_NO_SESSION, "%s has no live session %lld in %s", s->by, (long long)s->session, op->h.id);
	if (!s->session)
		s->session = (int64_t)op_newest_session(op, p)->id;
	return 0;
}

/* Whether those who have something to undo have had their time for it. */
static bool
window_is_over(struct journal *j)
{
	struct buf text = {0};
	struct entry e;
	bool over = j->op.h.state == OP_CLEANUP && journal_line(j, j->op.h.cleanup, &text) == 0 && !entry_parse(text.p, text.n, &e) &&
		cleanup_age(&e) >= j->op.h.window_ms;
	buf_free(&text);
	return over;
}

static int
check_start(struct change *c, struct start *s)
{
	struct request *r = c->r;
	enum past past;
	/* Before it hears that somebody died: that was itself. */
	if (change_refuse_dead(c, s->by) < 0)
		return -1;
	if (s->unless_aborted && change_refuse_failing(c) < 0) {
		why_hint(&r->why, "dpl-show --why tells more; --aborted-ok starts a call all the same");
		return -1;
	}
	if (window_is_over(c->j))
		return change_refuse_failing(c);
	if (s->unless_aborted && journal_aborted(c->j)) {
		why_set(&r->why, ERR_ABORTED, "operation %s is aborted", c->j->op.h.id);
		why_hint(&r->why, "dpl-show tells why; --aborted-ok starts a call all the same");
		return -1;
	}
	if (find_owner(c, s) < 0)
		return -1;
	const struct op_call *there = *s->call ? op_call(&c->j->op, s->call) : NULL;
	s->queued = there && there->queued && s->slots && there->pid == s->marks.supervisor;
	if (s->queued && there->cancelling)
		return why_set(&r->why, ERR_CALL_ENDED, "call %s is cancelled", s->call);
	if (*s->call && !s->queued) {
		if (!op_call(&c->j->op, s->call) && change_call_past(c, s->call, &past) < 0)
			return -1;
		if (op_call(&c->j->op, s->call) || past != PAST_NEVER)
			return why_set(&r->why, ERR_CALL_EXISTS, "there is a call %s in %s already", s->call, c->j->op.h.id);
	}
	if (*s->parent && s->parent_must_exist && !op_call(&c->j->op, s->parent)) {
		if (change_call_past(c, s->parent, &past) < 0)
			return -1;
		if (past == PAST_NEVER)
			return why_set(&r->why, ERR_NO_CALL, "no call %s in %s", s->parent, c->j->op.h.id);
	}
	return 0;
}

/* `call_NAME_N_xxxx`: N makes it unique, the rest makes one from another operation stand out. */
static void
new_call_id(struct change *c, struct start *s)
{
	uint32_t random = 0;
	uint64_t number = c->j->op.h.calls_started;
	(void)!getrandom(&random, sizeof random, GRND_NONBLOCK);
	do
		id_call(s->by, ++number, random, s->call);
	while (op_call(&c->j->op, s->call));
}

/* The command of one that `waits` is not there yet. */
static void
put_marks(struct buf *b, const struct start *s, bool waits)
{
	const struct process_marks *m = &s->marks;
	if (s->pid > 0 && !waits)
		json_put_int(b, "pid", s->pid);
	if (m->start >= 0 && !waits)
		json_put_int(b, "pidStart", m->start);
	if (m->group > 0 && !waits)
		json_put_int(b, "processGroup", m->group);
	if (m->session > 0 && !waits)
		json_put_int(b, "processSession", m->session);
	if (m->supervisor > 0)
		json_put_int(b, "supervisorPid", m->supervisor);
}

/* The supervisor asks to hold the call: its file is there and locked before the entry is, so that nobody who looks
 * finds a held call that nobody holds. */
static int
hold_call(struct change *c, const char *call)
{
	struct verbs_hold *hold = c->r->v->hold;
	char file[BEAT_FILE_MAX];
	beat_call_file(call, file);
	hold->fd = beat_hold(c->j->dir, file, &hold->id, NULL);
	if (hold->fd < 0)
		return why_errno(&c->r->why, "hold %s of %s", file, c->j->op.h.id);
	return 0;
}

/* The same for one that comes by a server, and cannot hold anything here. */
static int
attend_call(struct change *c, const char *call)
{
	char file[BEAT_FILE_MAX];
	struct beat_id id = request_far(c->r);
	beat_call_file(call, file);
	return beat_lease(c->j->dir, file, &id) == 0 ? 0 : why_errno(&c->r->why, "write %s of %s", file, c->j->op.h.id);
}

/* It was not started after all. */
static void
forget_call(struct change *c, const struct start *s)
{
	char file[BEAT_FILE_MAX];
	beat_call_file(s->call, file);
	if (s->held && !s->queued)
		(void)unlinkat(c->j->dir, file, 0);
}

/* The files that are there while its command runs. */
static int
make_files(struct change *c, const char *call)
{
	struct verbs_hold *hold = c->r->v->hold;
	char file[CAPTURE_FILE_MAX];
	if (hold->captures && (hold->place = capture_place(c->j->dir)) < 0)
		return why_errno(&c->r->why, "make the folder for the output of %s in %s", call, c->j->op.h.id);
	if (!hold->watchdog)
		return 0;
	beat_watchdog_file(call, file);
	if (beat_lease(c->j->dir, file, &hold->id) == 0 && (hold->dog = fsx_open(c->j->dir, file, O_RDONLY | O_NOFOLLOW, 0)) >= 0)
		return 0;
	return why_errno(&c->r->why, "make %s of %s", file, c->j->op.h.id);
}

/* The call gets a control group of its own, where there is one to be had. */
static void
enter_cgroup(struct verbs_hold *hold, const char *call, int64_t pid, struct buf *b)
{
	if (cgroup_make(call, &hold->cgroup) < 0)
		return;
	if (cgroup_enter(hold->cgroup.p, (pid_t)pid) == 0) {
		json_put(b, "cgroup", hold->cgroup.p);
		return;
	}
	cgroup_remove(hold->cgroup.p);
	buf_clear(&hold->cgroup);
}

/* It was not started after all. */
static void
unmake(struct change *c, const struct start *s)
{
	struct verbs_hold *hold = c->r->v->hold;
	char file[BEAT_FILE_MAX];
	if (hold->cgroup.n)
		cgroup_remove(hold->cgroup.p);
	buf_clear(&hold->cgroup);
	beat_watchdog_file(s->call, file);
	if (hold->watchdog)
		(void)unlinkat(c->j->dir, file, 0);
	fsx_close(&hold->dog);
	fsx_close(&hold->place);
	if (s->queued)
		return;
	beat_call_file(s->call, file);
	(void)unlinkat(c->j->dir, file, 0);
	fsx_close(&hold->fd);
}

/* Whether it must wait for a slot of its group. */
static bool
must_wait(struct change *c, const struct start *s)
{
	struct op_call call = {.seq = UINT64_MAX, .group = op_group(s->group, strlen(s->group)), .slots = (uint32_t)s->slots};
	return s->slots && !op_is_next(&c->j->op, s->queued ? op_call(&c->j->op, s->call) : &call);
}

/* It waits on: nothing is written. */
static int
wait_on(struct change *c, const struct start *s)
{
	change_nothing(c);
	request_common(c->r, c->j, c->j->op.h.seq);
	json_put(c->r->reply, "callId", s->call);
	json_put(c->r->reply, "state", "queued");
	json_put_bool(c->r->reply, "first", op_is_first(&c->j->op, op_call(&c->j->op, s->call)));
	return 2;
}

/* Where it runs, as its supervisor says. */
static int
put_far(struct request *r, struct buf *b)
{
	static const char *const names[] = {"bootId", "machineId", "host"};
	int rc = 0;
	for (size_t i = 0; i < sizeof names / sizeof *names && rc == 0; i++)
		rc = request_put_text(r, b, names[i], names[i]);
	return rc;
}

/* Where the process is that does the work of a call which nobody holds here: a number alone may be another's one day.  Who comes by the folder
 * is on this machine. */
static int
put_place(struct change *c, const struct start *s, struct buf *b)
{
	struct request *r = c->r;
	struct beat_id here = beat_here();
	int64_t pid_ns = s->pid_ns;
	bool told = request_has(r, "bootId") || request_has(r, "machineId") || request_has(r, "host");
	if (r->v->hold || (!s->held && !s->fallback_command && s->pid <= 0))
		return 0;
	if ((told || r->v->remote) && put_far(r, b) < 0)
		return -1;
	if (!told && !r->v->remote) {
		json_put(b, "bootId", here.boot);
		json_put(b, "host", here.host);
		pid_ns = (int64_t)here.pid_ns;
	}
	if (!s->held && s->pid > 0 && pid_ns > 0)
		json_put_int(b, "pidNs", pid_ns);
	return 0;
}

static int
append_start(struct change *c, struct start *s)
{
	struct request *r = c->r;
	struct verbs_hold *hold = r->v->hold;
	bool waits = must_wait(c, s);
	if (waits && s->queued)
		return wait_on(c, s);
	if (!*s->call)
		new_call_id(c, s);
	if (s->held && attend_call(c, s->call) < 0)
		return change_refuse(c);
	if (hold && ((!s->queued && hold_call(c, s->call) < 0) || (!waits && make_files(c, s->call) < 0))) {
		unmake(c, s);
		return change_refuse(c);
	}
	struct buf *b = change_entry(c, s->by, waits ? EVENT_CALL_QUEUED : EVENT_CALL_STARTED);
	json_put(b, "callId", s->call);
	if (s->session)
		json_put_int(b, "sessionId", s->session);
	if (*s->parent)
		json_put(b, "parentId", s->parent);
	if (s->description)
		json_put(b, "description", s->description);
	if (!s->fail_on_crash)
		json_put_bool(b, "failOnCrash", false);
	if (s->fallback)
		json_put(b, "fallback", s->fallback);
	if (s->fallback_command) {
		json_put(b, "fallbackCommand", s->fallback_command);
		json_put(b, "folder", s->folder);
		if (s->result_json)
			json_put_bool(b, "resultJson", true);
		if (hold || ((!r->v->remote || r->v->owner) && !request_has(r, "machineId")))
			json_put(b, "machineId", beat_here().machine);
		if (*s->seal)
			json_put(b, "seal", s->seal);
	}
	if (*s->group)
		json_put(b, "group", s->group);
	if (s->slots)
		json_put_int(b, "slots", s->slots);
	if (s->spawned)
		json_put_bool(b, "spawned", true);
	put_marks(b, s, waits);
	if (hold) {
		json_put_bool(b, "held", true);
		json_put(b, "bootId", hold->id.boot);
		json_put(b, "host", hold->id.host);
		if (!waits)
			enter_cgroup(hold, s->call, s->pid, b);
	}
	if (s->held)
		json_put_bool(b, "held", true);
	if (s->held && *s->orphan_seal && s->supervisor_start >= 0 && s->pid_ns >= 0) {
		json_put(b, "orphanSeal", s->orphan_seal);
		json_put_int(b, "supervisorStart", s->supervisor_start);
		json_put_int(b, "pidNs", s->pid_ns);
	}
	if (put_place(c, s, b) < 0) {
		forget_call(c, s);
		return change_refuse(c);
	}
	int rc = change_commit(c);
	if (rc < 0 && r->why.code != ERR_NOT_DURABLE)
		forget_call(c, s);
	if (rc < 0 && hold && r->why.code != ERR_NOT_DURABLE)
		unmake(c, s);
	return rc;
}

int
verb_call_start(struct request *r)
{
	char id[ID_OPERATION_MAX + 1];
	struct start s;
	struct change c;
	if (request_operation(r, id) < 0 || read_start(r, &s) < 0)
		return -1;
	int rc = read_texts(r, &s);
	if (rc == 0 && s.fallback_command)
		rc = request_sealed(r, "a command", s.seal);
	if (rc == 0) {
		/* A crash with something instead of the result is no crash of the operation. */
		s.fail_on_crash &= !s.fallback && !s.fallback_command;
		rc = change_begin(&c, r, id, reply_start);
		if (rc == 0)
			rc = check_start(&c, &s) < 0 ? change_refuse(&c) : append_start(&c, &s);
		rc = change_end(&c, rc);
	}
	for (size_t i = 0; i < sizeof s.text / sizeof *s.text; i++)
		buf_free(&s.text[i]);
	return rc;
}
