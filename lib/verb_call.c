/* verb_call: start, end, fail, list. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "change.h"
#include "cgroup.h"
#include "cleanup.h"
#include "clock.h"
#include "fsx.h"
#include "handlers.h"
#include "id.h"

/* --- what the journal's text says of a call that does not run --- */

enum past { PAST_NEVER, PAST_STARTED, PAST_OVER };

static bool
look_back(void *arg, const char *line, size_t n)
{
	enum past *past = arg;
	struct entry e;
	if (entry_parse(line, n, &e))
		return true;
	if (e.event == EVENT_CALL_STARTED)
		*past = PAST_STARTED;
	else if (e.event >= EVENT_CALL_ENDED && e.event <= EVENT_CALL_CANCELLED)
		*past = PAST_OVER;
	return true;
}

/* What became of a call that is not running: 0 with *past, or -1. */
static int
call_past(struct change *c, const char *call, enum past *past)
{
	char needle[ID_NAME_MAX + 16];
	*past = PAST_NEVER;
	snprintf(needle, sizeof needle, "\"callId\":\"%s\"", call);
	return journal_search(c->j, 0, needle, look_back, past, &c->r->why);
}

/* --- start --- */

static void
reply_start(struct change *c, const struct entry *e)
{
	json_put_raw(c->r->reply, "callId", "\"", 1);
	buf_add(c->r->reply, e->call_id.p, e->call_id.n);
	buf_char(c->r->reply, '"');
	json_put_time(c->r->reply, "startedAt", e->at_ms);
	if (e->session_id >= 0)
		json_put_int(c->r->reply, "sessionId", e->session_id);
}

/* The processes of a call, as the supervisor tells them. */
struct process_marks {
	int64_t start, group, session, supervisor;
};

struct start {
	char by[ID_NAME_MAX + 1], call[ID_NAME_MAX + 1], parent[ID_NAME_MAX + 1];
	int64_t session, pid;
	struct process_marks marks;
	bool fail_on_crash, unless_aborted, parent_must_exist;
};

static int
read_start(struct request *r, struct start *s)
{
	*s = (struct start){.pid = -1, .fail_on_crash = true, .marks = {-1, -1, -1, -1}};
	struct process_marks *m = &s->marks;
	if (request_int(r, "participantPidStart", -1, JSON_INT_MAX, &m->start) < 0 || request_int(r, "processGroup", -1, INT32_MAX, &m->group) < 0 ||
	    request_int(r, "processSession", -1, INT32_MAX, &m->session) < 0 || request_int(r, "supervisorPid", -1, INT32_MAX, &m->supervisor) < 0)
		return -1;
	if (request_participant(r, false, s->by) < 0 || request_call(r, "callId", false, s->call) < 0 ||
	    request_call(r, "parentId", false, s->parent) < 0 || request_int(r, "sessionId", 1, JSON_INT_MAX, &s->session) < 0 ||
	    request_int(r, "participantPid", -1, INT32_MAX, &s->pid) < 0 || request_bool(r, "failOnCrash", &s->fail_on_crash) < 0 ||
	    request_bool(r, "unlessAborted", &s->unless_aborted) < 0 || request_bool(r, "parentMustExist", &s->parent_must_exist) < 0)
		return -1;
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
	if (*s->call) {
		if (!op_call(&c->j->op, s->call) && call_past(c, s->call, &past) < 0)
			return -1;
		if (op_call(&c->j->op, s->call) || past != PAST_NEVER)
			return why_set(&r->why, ERR_CALL_EXISTS, "there is a call %s in %s already", s->call, c->j->op.h.id);
	}
	if (*s->parent && s->parent_must_exist && !op_call(&c->j->op, s->parent)) {
		if (call_past(c, s->parent, &past) < 0)
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

static void
put_marks(struct buf *b, const struct start *s)
{
	const struct process_marks *m = &s->marks;
	if (s->pid > 0)
		json_put_int(b, "pid", s->pid);
	if (m->start >= 0)
		json_put_int(b, "pidStart", m->start);
	if (m->group > 0)
		json_put_int(b, "processGroup", m->group);
	if (m->session > 0)
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
unhold_call(struct change *c, const char *call)
{
	struct verbs_hold *hold = c->r->v->hold;
	if (hold->cgroup.n)
		cgroup_remove(hold->cgroup.p);
	buf_clear(&hold->cgroup);
	char file[BEAT_FILE_MAX];
	beat_watchdog_file(call, file);
	if (hold->watchdog)
		(void)unlinkat(c->j->dir, file, 0);
	beat_call_file(call, file);
	(void)unlinkat(c->j->dir, file, 0);
	if (hold->fd >= 0)
		close(hold->fd);
	if (hold->dog >= 0)
		close(hold->dog);
	hold->fd = hold->dog = -1;
}

int
verb_call_start(struct request *r)
{
	char id[ID_OPERATION_MAX + 1];
	struct start s;
	struct buf description = {0}, instead = {0};
	const char *text, *fallback;
	struct change c;
	if (request_operation(r, id) < 0 || read_start(r, &s) < 0)
		return -1;
	if (request_text(r, "description", false, &description, &text) < 0 || request_text(r, "fallback", false, &instead, &fallback) < 0) {
		buf_free(&description);
		buf_free(&instead);
		return -1;
	}
	/* A crash with something instead of the result is no crash of the operation. */
	s.fail_on_crash &= !fallback;
	int rc = change_begin(&c, r, id, reply_start);
	if (rc == 0 && check_start(&c, &s) < 0)
		rc = change_refuse(&c);
	else if (rc == 0) {
		if (!*s.call)
			new_call_id(&c, &s);
		bool holds = r->v->hold != NULL;
		if (holds && hold_call(&c, s.call) < 0) {
			unhold_call(&c, s.call);
			buf_free(&description);
			buf_free(&instead);
			return change_end(&c, change_refuse(&c));
		}
		struct buf *b = change_entry(&c, s.by, EVENT_CALL_STARTED);
		json_put(b, "callId", s.call);
		if (s.session)
			json_put_int(b, "sessionId", s.session);
		if (*s.parent)
			json_put(b, "parentId", s.parent);
		if (text)
			json_put(b, "description", text);
		if (!s.fail_on_crash)
			json_put_bool(b, "failOnCrash", false);
		if (fallback)
			json_put(b, "fallback", fallback);
		put_marks(b, &s);
		if (holds) {
			json_put_bool(b, "held", true);
			json_put(b, "bootId", r->v->hold->id.boot);
			json_put(b, "host", r->v->hold->id.host);
			enter_cgroup(r->v->hold, s.call, s.pid, b);
		}
		rc = change_commit(&c);
		if (rc < 0 && holds && r->why.code != ERR_NOT_DURABLE)
			unhold_call(&c, s.call);
	}
	buf_free(&description);
	buf_free(&instead);
	return change_end(&c, rc);
}

/* --- end, fail --- */

static void
reply_end(struct change *c, const struct entry *e)
{
	json_put_bool(c->r->reply, "success", true);
	json_put_int(c->r->reply, "durationMs", e->duration_ms > 0 ? e->duration_ms : 0);
}

/* Nobody holds it any more; its supervisor, if that is somebody else, still has the file open. */
static void
drop_beats(struct journal *j, const char *call, bool watchdog)
{
	char file[BEAT_FILE_MAX];
	beat_watchdog_file(call, file);
	if (watchdog)
		(void)unlinkat(j->dir, file, 0);
	beat_call_file(call, file);
	(void)unlinkat(j->dir, file, 0);
}

/* A call that does not run: done before (a retry is harmless), or never there. */
static int
not_running(struct change *c, const char *call)
{
	enum past past;
	if (call_past(c, call, &past) < 0)
		return change_end(c, change_refuse(c));
	change_nothing(c);
	if (c->r->v->hold)
		drop_beats(c->j, call, c->r->v->hold->watchdog);
	request_common(c->r, c->j, c->j->op.h.seq);
	json_put_bool(c->r->reply, "success", true);
	json_put_bool(c->r->reply, past == PAST_NEVER ? "unknownCall" : "alreadyEnded", true);
	return change_end(c, 2);
}

/* How the supervised command ended, and what it used. */
static const char *const outcomes[] = {"exitStatus", "signal", "userMs", "systemMs", "maxRssKib"};
enum { OUTCOMES = sizeof outcomes / sizeof *outcomes };

static int
read_outcome(struct request *r, int64_t value[OUTCOMES])
{
	for (int i = 0; i < OUTCOMES; i++) {
		value[i] = -1;
		if (request_int(r, outcomes[i], 0, JSON_INT_MAX, &value[i]) < 0)
			return -1;
	}
	return 0;
}

static int
end_call(struct request *r, enum event event, const char *member)
{
	char id[ID_OPERATION_MAX + 1], call[ID_NAME_MAX + 1], by[ID_NAME_MAX + 1];
	struct buf value = {0};
	const char *text;
	struct change c;
	int64_t outcome[OUTCOMES];
	bool cancelled = false, oom_killed = false;
	if (request_operation(r, id) < 0 || request_call(r, "callId", true, call) < 0 || request_participant(r, false, by) < 0 ||
	    read_outcome(r, outcome) < 0 ||
	    (event == EVENT_CALL_FAILED && (request_bool(r, "cancelled", &cancelled) < 0 || request_bool(r, "oomKilled", &oom_killed) < 0)))
		return -1;
	if (cancelled)
		event = EVENT_CALL_CANCELLED;
	if (request_text(r, member, false, &value, &text) < 0) {
		buf_free(&value);
		return -1;
	}
	int rc = change_begin(&c, r, id, reply_end);
	struct op_call *running = rc == 0 ? op_call(&c.j->op, call) : NULL;
	if (rc == 0 && !running) {
		buf_free(&value);
		return not_running(&c, call);
	}
	c.thorough = true;
	if (rc == 0) {
		struct op_person *owner = op_person_no(&c.j->op, running->person);
		bool held = running->held;
		int64_t duration = c.j->now_ms - running->started_ms;
		struct buf *b = change_entry(&c, *by ? by : owner ? owner->key.name : c.j->op.h.initiator, event);
		json_put(b, "callId", call);
		json_put_int(b, "durationMs", duration > 0 ? duration : 0);
		for (int i = 0; i < OUTCOMES; i++)
			if (outcome[i] >= 0)
				json_put_int(b, outcomes[i], outcome[i]);
		if (oom_killed)
			json_put_bool(b, "oomKilled", true);
		if (text)
			json_put(b, cancelled ? "reason" : member, text);
		rc = change_commit(&c);
		if (rc == 0 && held && r->v->hold)
			drop_beats(c.j, call, r->v->hold->watchdog);
	}
	buf_free(&value);
	return change_end(&c, rc);
}

int
verb_call_end(struct request *r)
{
	return end_call(r, EVENT_CALL_ENDED, "result");
}

int
verb_call_fail(struct request *r)
{
	return end_call(r, EVENT_CALL_FAILED, "error");
}
