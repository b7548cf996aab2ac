/* verb_call: end, fail, cancel, kill. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "change.h"
#include "handlers.h"
#include "id.h"
#include "proc.h"

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
	if (change_call_past(c, call, &past) < 0)
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
static const char *const outcomes[] = {"status", "exitStatus", "signal", "userMs", "systemMs", "maxRssKib"};
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
	struct buf value = {0}, missing = {0};
	const char *text, *instead_of = NULL;
	struct change c;
	int64_t outcome[OUTCOMES];
	bool cancelled = false, oom_killed = false;
	if (request_operation(r, id) < 0 || request_call(r, "callId", true, call) < 0 || request_participant(r, false, by) < 0 ||
	    read_outcome(r, outcome) < 0 ||
	    (event == EVENT_CALL_FAILED && (request_bool(r, "cancelled", &cancelled) < 0 || request_bool(r, "oomKilled", &oom_killed) < 0)))
		return -1;
	if (cancelled)
		event = EVENT_CALL_CANCELLED;
	/* With a result that stands in for another, why that one is not there. */
	if (request_text(r, member, false, &value, &text) < 0 || (event == EVENT_CALL_ENDED && request_text(r, "error", false, &missing, &instead_of) < 0)) {
		buf_free(&value);
		buf_free(&missing);
		return -1;
	}
	int rc = change_begin(&c, r, id, reply_end);
	struct op_call *running = rc == 0 ? op_call(&c.j->op, call) : NULL;
	if (rc == 0 && !running) {
		buf_free(&value);
		buf_free(&missing);
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
		if (instead_of)
			json_put(b, "error", instead_of);
		rc = change_commit(&c);
		if (rc == 0 && held && (r->v->hold || r->v->remote))
			drop_beats(c.j, call, r->v->hold && r->v->hold->watchdog);
	}
	buf_free(&value);
	buf_free(&missing);
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

/* --- cancel, kill --- */

static void
reply_cancel(struct change *c, const struct entry *e)
{
	(void)e;
	json_put_bool(c->r->reply, "success", true);
	json_put(c->r->reply, "state", "cancelling");
}

int
verb_call_cancel(struct request *r)
{
	char id[ID_OPERATION_MAX + 1], call[ID_NAME_MAX + 1], by[ID_NAME_MAX + 1];
	struct buf value = {0};
	const char *reason;
	struct change c;
	if (request_operation(r, id) < 0 || request_call(r, "callId", true, call) < 0 || request_participant(r, false, by) < 0)
		return -1;
	if (request_text(r, "reason", false, &value, &reason) < 0) {
		buf_free(&value);
		return -1;
	}
	int rc = change_begin(&c, r, id, reply_cancel);
	struct op_call *running = rc == 0 ? op_call(&c.j->op, call) : NULL;
	if (rc == 0 && !running) {
		buf_free(&value);
		return not_running(&c, call);
	}
	if (rc == 0 && running->cancelling) {
		change_nothing(&c);
		request_common(r, c.j, c.j->op.h.seq);
		json_put(r->reply, "state", "cancelling");
		rc = 2;
	} else if (rc == 0) {
		struct buf *b = change_entry(&c, change_by(&c, by), EVENT_CALL_CANCELLING);
		json_put(b, "callId", call);
		if (reason)
			json_put(b, "reason", reason);
		c.j->ring = true;
		rc = change_commit(&c);
	}
	buf_free(&value);
	return change_end(&c, rc);
}

/* Where the processes of a call are, as the entry of its start and who holds it tell. */
struct seat {
	bool queued;
	int64_t pid, group;      /* of the command, or of the supervisor of one that is queued */
	int64_t start, pid_ns;   /* -1: unknown */
	char boot[PROC_BOOT_ID], host[TABLE_NAME];
};

static void
ask_holder(struct change *c, const struct op_call *call, int64_t supervisor, struct seat *s)
{
	char file[BEAT_FILE_MAX];
	struct beat b;
	beat_call_file(call->key.name, file);
	if (beat_look(c->j->dir, file, &b) < 0 || !b.known || b.id.pid != supervisor)
		return;
	if (s->queued)
		s->start = b.id.start;
	if (b.id.pid_ns)
		s->pid_ns = (int64_t)b.id.pid_ns;
}

static int
find_seat(struct change *c, const struct op_call *call, struct seat *s)
{
	struct buf text = {0};
	struct entry e;
	int rc = journal_line(c->j, call->start, &text) < 0 || entry_parse(text.p, text.n, &e) ? -1 : 0;
	if (rc == 0) {
		*s = (struct seat){.queued = call->queued, .pid = e.pid, .group = e.process_group, .start = e.pid_start, .pid_ns = e.pid_ns > 0 ? e.pid_ns : -1};
		slice_copy(e.boot_id, s->boot, sizeof s->boot);
		slice_copy(e.host, s->host, sizeof s->host);
		if (call->queued)
			s->pid = e.supervisor_pid;
		if (call->held)
			ask_holder(c, call, e.supervisor_pid, s);
	}
	buf_free(&text);
	return rc < 0 ? why_set(&c->r->why, ERR_DAMAGED, "%s: an entry cannot be read", c->j->path.p) : 0;
}

/* Whether its process can be told from all others here. */
static int
check_seat(struct change *c, const char *call, const struct seat *s)
{
	struct why *why = &c->r->why;
	struct beat_id here = beat_here();
	if (s->pid <= 0)
		return why_set(why, ERR_ELSEWHERE, "call %s says of no process that it does the work", call);
	if (*s->boot && strcmp(s->boot, here.boot) != 0)
		return why_set(why, ERR_ELSEWHERE, "call %s runs on %s", call, *s->host ? s->host : "another machine");
	if (!*s->boot || s->start < 0)
		return why_set(why, ERR_ELSEWHERE, "call %s does not say when process %lld began and on which boot: the number may be another's", call, (long long)s->pid);
	if (s->pid_ns > 0 && (uint64_t)s->pid_ns != here.pid_ns)
		return why_set(why, ERR_ELSEWHERE, "call %s runs in another PID namespace", call);
	return 0;
}

/* What the ledger says is its owner's word: root acts on no others' processes by it. */
static bool
is_for_us(struct change *c, int64_t pid)
{
	struct stat owner;
	if (geteuid() != 0)
		return true;
	return fstat(c->j->dir, &owner) == 0 && (owner.st_uid == 0 || proc_is_of(pid, owner.st_uid));
}

static int
refuse_ended(struct change *c, const char *call, const struct seat *s)
{
	return why_set(&c->r->why, ERR_NO_PROCESS, "process %lld of call %s has ended", (long long)s->pid, call);
}

/* Send it: to the group of the command, or to the supervisor of one that is queued. */
static int
send_signal(struct change *c, const char *call, const struct seat *s, int sig)
{
	struct why *why = &c->r->why;
	if (check_seat(c, call, s) < 0)
		return -1;
	int fd = s->pid > 1 ? proc_open(s->pid, s->start) : -1;
	if (fd < 0 && (s->pid <= 1 || errno == ESRCH || errno == EINVAL))
		return refuse_ended(c, call, s);
	if (fd < 0)
		return why_errno(why, "reach process %lld of call %s", (long long)s->pid, call);
	int rc = 0;
	if (!is_for_us(c, s->pid))
		rc = why_set(why, ERR_PERMISSION, "process %lld of call %s is another user's", (long long)s->pid, call);
	/* The number of a group is nobody else's while its leader, who has just been looked at, is there. */
	else if ((!s->queued && s->group == s->pid ? kill((pid_t)-s->pid, sig) : proc_signal(fd, sig)) < 0)
		rc = errno == ESRCH ? refuse_ended(c, call, s) : why_errno(why, "signal process %lld of call %s", (long long)s->pid, call);
	close(fd);
	return rc;
}

int
verb_call_kill(struct request *r)
{
	char id[ID_OPERATION_MAX + 1], call[ID_NAME_MAX + 1];
	int64_t sig = SIGTERM;
	struct change c;
	struct seat s;
	if (request_operation(r, id) < 0 || request_call(r, "callId", true, call) < 0 || request_int(r, "signal", 0, SIGRTMAX, &sig) < 0 ||
	    request_refuse_stranger(r, "a signal to a process") < 0)
		return -1;
	int rc = change_begin(&c, r, id, NULL);
	struct op_call *running = rc == 0 ? op_call(&c.j->op, call) : NULL;
	if (rc == 0 && !running)
		return not_running(&c, call);
	if (rc == 0)
		rc = find_seat(&c, running, &s) < 0 || send_signal(&c, call, &s, (int)sig) < 0 ? change_refuse(&c) : 2;
	if (rc == 2) {
		change_nothing(&c);
		request_common(r, c.j, c.j->op.h.seq);
		json_put_bool(r->reply, "success", true);
		json_put_int(r->reply, "pid", s.pid);
	}
	return change_end(&c, rc);
}
