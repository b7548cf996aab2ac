/* wire: the state of an operation as JSON, and an entry as a line of text. */
#include <string.h>

#include "clock.h"
#include "json.h"
#include "text.h"
#include "wire.h"

/* Read a line into *e, whose slices point into `text`. */
static bool
read_entry(const struct wire_source *from, struct line line, struct buf *text, struct entry *e)
{
	if (!line.len || from->line(from->arg, line, text) < 0 || entry_parse(text->p, text->n, e)) {
		*e = entry_absent;
		return false;
	}
	return true;
}

void
wire_abort_reason(struct buf *b, const char *name, const struct op *op, bool aborted, const struct wire_source *from)
{
	struct buf text = {0};
	struct entry e = entry_absent;
	if (aborted)
		(void)read_entry(from, op->h.abort, &text, &e);
	slice_put(b, name, e.reason);
	buf_free(&text);
}

static void
put_abort(struct buf *b, const struct op *op, bool aborted, const struct wire_source *from)
{
	struct buf text = {0};
	struct entry e = entry_absent;
	bool known = aborted && read_entry(from, op->h.abort, &text, &e);
	json_put_bool(b, "aborted", aborted);
	slice_put(b, "abortReason", e.reason);
	slice_put(b, "abortedBy", e.by);
	json_put_time(b, "abortedAt", known ? e.at_ms : -1);
	buf_free(&text);
}

/* The newest progress as a member object, null where there is none. */
static void
put_progress(struct buf *b, struct line line, const struct wire_source *from)
{
	struct buf text = {0};
	struct entry e;
	if (!read_entry(from, line, &text, &e)) {
		json_put(b, "progress", NULL);
	} else {
		json_open(b, "progress", '{');
		if (e.done >= 0)
			json_put_int(b, "done", e.done);
		if (e.total >= 0)
			json_put_int(b, "total", e.total);
		slice_put(b, "message", e.message);
		json_put_time(b, "at", e.at_ms);
		json_close(b, '}');
	}
	buf_free(&text);
}

static void
put_life(struct buf *b, const struct wire_life *life)
{
	json_put(b, "liveness", life->liveness);
	json_put(b, "mode", life->mode);
	json_put(b, "evidence", life->evidence);
	if (life->age_ms >= 0)
		json_put_int(b, "beatAgeMs", life->age_ms);
	else
		json_put(b, "beatAgeMs", NULL);
}

void
wire_person(struct buf *b, const struct op *op, const struct op_person *p, const struct wire_life *life, const struct wire_source *from)
{
	struct buf text = {0}, evidence = {0};
	struct entry e;
	struct wire_life known = *life;
	if (!p->sessions && !known.liveness)
		known.liveness = p->death.len ? "dead" : "left";
	if (p->death.len && read_entry(from, p->death, &text, &e)) {
		json_unescape(&evidence, e.evidence.p ? e.evidence.p : "", e.evidence.n);
		known.evidence = evidence.p;
	}
	json_open(b, NULL, '{');
	json_put(b, "participantId", p->key.name);
	json_put_bool(b, "isInitiator", strcmp(p->key.name, op->h.initiator) == 0);
	json_put_int(b, "sessions", p->sessions);
	json_put_int(b, "callsRunning", p->calls);
	json_put_int(b, "callsStarted", (int64_t)p->calls_started);
	json_put_time(b, "joinedAt", p->joined_ms);
	json_put_time(b, "lastSeenAt", p->seen_ms);
	put_life(b, &known);
	put_progress(b, p->progress, from);
	json_close(b, '}');
	buf_free(&text);
	buf_free(&evidence);
}

void
wire_people(struct buf *b, const struct op *op, const struct wire_source *from)
{
	static const struct wire_life unknown = {.age_ms = -1};
	json_open(b, "participants", '[');
	for (uint32_t i = 0; i < op->people.n; i++) {
		const struct op_person *p = table_at(&op->people, i);
		if (!p->key.gone)
			wire_person(b, op, p, &unknown, from);
	}
	json_close(b, ']');
}

void
wire_crash(struct buf *b, const struct op *op, const struct wire_source *from)
{
	struct buf text = {0};
	struct entry e = entry_absent;
	bool known = op->h.crash.len && read_entry(from, op->h.crash, &text, &e);
	json_put_bool(b, "crashed", op->h.crashes > 0);
	slice_put(b, "crashedParticipantId", e.participant_id);
	slice_put(b, "crashedCallId", e.call_id);
	slice_put(b, "crashEvidence", e.evidence);
	json_put_time(b, "crashedAt", known ? e.at_ms : -1);
	buf_free(&text);
}

void
wire_sessions(struct buf *b, const struct op *op)
{
	json_open(b, "sessions", '[');
	for (uint32_t i = 0; i < op->sessions.n; i++) {
		const struct op_session *s = table_at(&op->sessions, i);
		if (s->key.gone)
			continue;
		const struct op_person *p = op_person_no(op, s->person);
		json_open(b, NULL, '{');
		json_put_int(b, "sessionId", (int64_t)s->id);
		json_put(b, "participantId", p ? p->key.name : NULL);
		json_put_time(b, "joinedAt", s->joined_ms);
		json_put_time(b, "leftAt", s->left_ms);
		json_put_int(b, "callsRunning", s->calls);
		json_put_int(b, "ttlMs", s->ttl_ms >= 0 ? s->ttl_ms : op->h.ttl_ms);
		if (s->pid > 0)
			json_put_int(b, "pid", s->pid);
		json_close(b, '}');
	}
	json_close(b, ']');
}

void
wire_operation(struct buf *b, const struct op *op, bool aborted, const struct wire_source *from, int64_t now_ms)
{
	const struct op_head *h = &op->h;
	struct buf text = {0};
	struct entry e;
	(void)read_entry(from, h->first, &text, &e);
	json_put(b, "operationId", h->id);
	slice_put(b, "description", e.description);
	json_put(b, "initiatorId", h->initiator);
	json_put(b, "state", op_state_name(h->state));
	put_abort(b, op, aborted, from);
	wire_crash(b, op, from);
	json_put_time(b, "startTime", h->created_ms);
	json_put_time(b, "changedAt", h->changed_ms);
	json_put_time(b, "endTime", h->ended_ms);
	int64_t end = h->ended_ms >= 0 ? h->ended_ms : now_ms;
	json_put_int(b, "durationMs", end > h->created_ms ? end - h->created_ms : 0);
	(void)read_entry(from, h->end, &text, &e);
	slice_put(b, "endReason", e.reason);
	json_put_int(b, "seq", (int64_t)h->seq);
	json_put_int(b, "format", h->format);
	json_open(b, "settings", '{');
	json_put_int(b, "beatMs", h->beat_ms);
	json_put_int(b, "jitterMs", h->jitter_ms);
	json_put_int(b, "staleMs", h->stale_ms);
	json_put_int(b, "ttlMs", h->ttl_ms);
	json_put_int(b, "windowMs", h->window_ms);
	json_close(b, '}');
	json_open(b, "callCounts", '{');
	json_put_int(b, "started", (int64_t)h->calls_started);
	json_put_int(b, "running", (int64_t)op_running(op));
	json_put_int(b, "ended", (int64_t)h->calls_ended);
	json_put_int(b, "failed", (int64_t)h->calls_failed);
	json_put_int(b, "crashed", (int64_t)h->calls_crashed);
	json_put_int(b, "cancelled", (int64_t)h->calls_cancelled);
	json_close(b, '}');
	json_open(b, "resourceCounts", '{');
	json_put_int(b, "registered", (int64_t)op_resources(op));
	json_put_int(b, "removed", (int64_t)h->removed);
	json_put_int(b, "gone", (int64_t)h->gone);
	json_put_int(b, "left", (int64_t)h->left);
	json_close(b, '}');
	json_open(b, "logCounts", '{');
	json_put_int(b, "all", (int64_t)h->logs);
	json_put_int(b, "warning", (int64_t)h->warnings);
	json_put_int(b, "error", (int64_t)h->errors);
	json_close(b, '}');
	buf_free(&text);
}

/* How a command that was run as a call ended, and what it used. */
static void
put_outcome(struct buf *b, const struct entry *e)
{
	const struct {
		const char *name;
		int64_t value;
	} members[] = {{"status", e->status}, {"exitStatus", e->exit_status}, {"signal", e->signal}, {"userMs", e->user_ms}, {"systemMs", e->system_ms}, {"maxRssKib", e->max_rss_kib}};
	for (size_t i = 0; i < sizeof members / sizeof *members; i++)
		if (members[i].value >= 0)
			json_put_int(b, members[i].name, members[i].value);
	if (e->oom_killed)
		json_put_bool(b, "oomKilled", true);
}

void
wire_call(struct buf *b, const struct op *op, const struct op_call *call, const struct wire_life *life,
	const struct wire_source *from, int64_t now_ms)
{
	struct buf text = {0};
	struct entry e;
	const struct op_person *p = op_person_no(op, call->person);
	(void)read_entry(from, call->start, &text, &e);
	json_open(b, NULL, '{');
	json_put(b, "callId", call->key.name);
	json_put(b, "participantId", p ? p->key.name : NULL);
	if (call->session)
		json_put_int(b, "sessionId", (int64_t)call->session);
	slice_put(b, "parentId", e.parent_id);
	slice_put(b, "description", e.description);
	json_put_bool(b, "failOnCrash", call->fail_on_crash);
	json_put(b, "state", op_call_word(call));
	if (call->queued && call->state != CALL_RUNNING)
		json_put_bool(b, "neverRan", true);
	if (call->spawned)
		json_put_bool(b, "spawned", true);
	if (call->group)
		slice_put(b, "group", e.group);
	json_put_time(b, "startedAt", call->started_ms);
	json_put_time(b, "endedAt", call->ended_ms);
	int64_t end = call->ended_ms >= 0 ? call->ended_ms : now_ms;
	json_put_int(b, "durationMs", end > call->started_ms ? end - call->started_ms : 0);
	if (call->pid > 0)
		json_put_int(b, "pid", call->pid);
	json_put_bool(b, "held", call->held);
	if (life)
		put_life(b, life);
	put_progress(b, call->progress, from);
	if (call->pending)
		json_put_bool(b, "fallbackPending", true);
	if (call->fallen.len && read_entry(from, call->fallen, &text, &e))
		slice_put(b, e.call_result.p ? "result" : "fallbackError", e.call_result.p ? e.call_result : e.reason);
	(void)read_entry(from, call->end, &text, &e);
	put_outcome(b, &e);
	if (e.result.p)
		slice_put(b, "result", e.result);
	if (e.error.p)
		slice_put(b, "error", e.error);
	if (e.reason.p)
		slice_put(b, "reason", e.reason);
	if (e.evidence.p)
		slice_put(b, "evidence", e.evidence);
	json_close(b, '}');
	buf_free(&text);
}

void
wire_resource(struct buf *b, const struct op *op, const struct op_resource *r, const struct wire_source *from, int64_t now_ms)
{
	struct buf text = {0};
	struct entry e;
	const struct op_person *p = op_person_no(op, r->person);
	bool over = r->state != RESOURCE_HERE && r->state != RESOURCE_FAILED;
	(void)read_entry(from, r->added, &text, &e);
	json_open(b, NULL, '{');
	json_put_int(b, "resourceId", (int64_t)r->id);
	json_put(b, "kind", resource_kind_name(r->kind));
	if (r->kind == RESOURCE_PATH)
		slice_put(b, "path", e.path);
	if (r->kind == RESOURCE_COMMAND)
		slice_put(b, "command", e.command);
	if (e.folder.p)
		slice_put(b, "folder", e.folder);
	if (r->kind == RESOURCE_PROCESS)
		json_put_int(b, "pid", e.pid);
	if (e.by_name)
		json_put_bool(b, "byName", true);
	json_put(b, "participantId", p ? p->key.name : NULL);
	if (e.call_id.p)
		slice_put(b, "callId", e.call_id);
	json_put(b, "state", r->state != RESOURCE_HERE ? resource_result_name(r->state) : r->made.len ? "made" : "added");
	json_put_time(b, "addedAt", r->added_ms);
	slice_put(b, "host", e.host);
	int64_t end = now_ms;
	bool tried = read_entry(from, r->result, &text, &e);
	if (over && tried)
		end = e.at_ms;
	json_put_int(b, "ageMs", end > r->added_ms ? end - r->added_ms : 0);
	if (over)
		json_put(b, "result", resource_result_name(r->state));
	if (over && tried)
		json_put_time(b, "endedAt", e.at_ms);
	if (e.reason.n)
		slice_put(b, "reason", e.reason);
	json_close(b, '}');
	buf_free(&text);
}

void
wire_resources(struct buf *b, const struct op *op, bool all, const struct wire_source *from, int64_t now_ms)
{
	json_open(b, "resources", '[');
	for (uint32_t i = 0; i < op->resources.n; i++) {
		const struct op_resource *r = table_at(&op->resources, i);
		if (!r->key.gone && (all || r->state == RESOURCE_HERE || r->state == RESOURCE_FAILED))
			wire_resource(b, op, r, from, now_ms);
	}
	json_close(b, ']');
}

/* Add a slice for a person's eyes. */
static void
show_slice(struct buf *b, struct slice s)
{
	struct buf plain = {0};
	json_unescape(&plain, s.p ? s.p : "", s.n);
	if (plain.n)
		text_show(b, plain.p, plain.n);
	buf_free(&plain);
}

static void
add_after(struct buf *b, const char *between, struct slice s)
{
	if (!s.n)
		return;
	buf_str(b, between);
	show_slice(b, s);
}

/* "/tmp/x", "process 4711", "the command rm x" */
static void
add_thing(struct buf *b, const struct entry *e)
{
	if (e->path.n) {
		show_slice(b, e->path);
	} else if (e->command.n) {
		buf_str(b, "the command ");
		show_slice(b, e->command);
	} else if (e->pid > 0) {
		buf_fmt(b, "process %lld", (long long)e->pid);
	}
}

static bool
slice_is(struct slice s, const char *text)
{
	return s.n == strlen(text) && memcmp(s.p, text, s.n) == 0;
}

static void
resource_sentence(struct buf *b, const struct entry *e)
{
	/* What a result is called, and what stands between it and its reason. */
	static const struct {
		const char *result, *said, *reason;
	} results[] = {
		{"removed", "removed ", ": "},
		{"gone", "no longer there: ", ", "},
		{"kept", "no longer registered: ", ", "},
		{"left", "left alone: ", " because "},
		{"forgotten", "gave up ", ": "},
		{"failed", "could not remove ", ": "},
	};
	const char *reason = ": ";
	if (e->event == EVENT_RESOURCE_ADDED) {
		buf_str(b, "registered ");
		if (e->path.n && e->type.n && !slice_is(e->type, "other")) {
			show_slice(b, e->type);
			buf_char(b, ' ');
		}
	} else if (e->event == EVENT_RESOURCE_MADE) {
		buf_str(b, "made ");
		if (!e->type.n || slice_is(e->type, "other"))
			buf_str(b, "it");
		else
			add_after(b, "the ", e->type);
	} else {
		size_t i = 0;
		while (i < sizeof results / sizeof *results - 1 && !slice_is(e->result, results[i].result))
			i++;
		bool ran = i == 0 && !e->path.n;
		buf_str(b, !ran ? results[i].said : e->command.n ? "ran " : "ended ");
		reason = results[i].reason;
	}
	add_thing(b, e);
	if (e->entries > 1)
		buf_fmt(b, " with %lld entries", (long long)e->entries);
	buf_fmt(b, " (resource %lld)", (long long)e->resource_id);
	add_after(b, reason, e->reason);
}

static void
cleanup_sentence(struct buf *b, const struct entry *e)
{
	const struct {
		const char *name;
		int64_t n;
	} counts[] = {{"removed", e->removed}, {"gone", e->gone}, {"left", e->left}, {"failed", e->failed}};
	const char *between = ": ";
	buf_str(b, e->event == EVENT_CLEANUP_STARTED ? "began the cleanup" : e->event == EVENT_CLEANUP_DONE ? "ended the cleanup" : "answered the cleanup");
	if (e->epoch > 0)
		buf_fmt(b, " (epoch %lld)", (long long)e->epoch);
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
		if (counts[i].n > 0) {
			buf_fmt(b, "%s%lld %s", between, (long long)counts[i].n, counts[i].name);
			between = ", ";
		}
	add_after(b, ": ", e->reason);
}

void
wire_sentence(struct buf *b, const struct entry *e)
{
	switch (e->event) {
	case EVENT_RESOURCE_ADDED:
	case EVENT_RESOURCE_MADE:
	case EVENT_RESOURCE_REMOVED:
		resource_sentence(b, e);
		return;
	case EVENT_CLEANUP_STARTED:
	case EVENT_CLEANUP_ACKNOWLEDGED:
	case EVENT_CLEANUP_DONE:
		cleanup_sentence(b, e);
		return;
	case EVENT_LOG:
		show_slice(b, e->message);
		return;
	case EVENT_CREATED:
		buf_str(b, "created the operation");
		add_after(b, ": ", e->description);
		return;
	case EVENT_JOINED:
		buf_fmt(b, "joined, session %lld", (long long)e->session_id);
		return;
	case EVENT_LEFT:
		buf_fmt(b, "left, session %lld", (long long)e->session_id);
		add_after(b, ": ", e->reason);
		return;
	case EVENT_CALL_QUEUED:
	case EVENT_CALL_STARTED:
		buf_str(b, e->event == EVENT_CALL_QUEUED ? "queued " : "started ");
		show_slice(b, e->call_id);
		add_after(b, ": ", e->description);
		return;
	case EVENT_CALL_ENDED:
		buf_str(b, "ended ");
		show_slice(b, e->call_id);
		add_after(b, ", result ", e->result);
		return;
	case EVENT_CALL_FAILED:
		buf_str(b, "failed ");
		show_slice(b, e->call_id);
		add_after(b, ": ", e->error);
		return;
	case EVENT_CALL_CANCELLED:
	case EVENT_CALL_CANCELLING:
		buf_str(b, e->event == EVENT_CALL_CANCELLED ? "cancelled " : "asked to cancel ");
		show_slice(b, e->call_id);
		add_after(b, ": ", e->reason);
		return;
	case EVENT_CALL_CRASHED:
		buf_str(b, "found that ");
		show_slice(b, e->call_id);
		buf_str(b, " crashed");
		add_after(b, ": ", e->evidence);
		return;
	case EVENT_CRASH_DETECTED:
		if (e->call_id.n || e->by.n != e->participant_id.n || memcmp(e->by.p, e->participant_id.p, e->by.n) != 0) {
			buf_str(b, "found that ");
			show_slice(b, e->participant_id);
			buf_str(b, e->call_id.n ? "'s call " : " ");
		}
		buf_str(b, "died");
		add_after(b, ": ", e->evidence);
		return;
	case EVENT_PROGRESS:
		if (e->call_id.n)
			show_slice(b, e->call_id);
		else
			buf_str(b, "progress");
		if (e->done >= 0)
			buf_fmt(b, " %lld", (long long)e->done);
		if (e->total > 0)
			buf_fmt(b, " of %lld", (long long)e->total);
		add_after(b, ": ", e->message);
		return;
	case EVENT_ABORT_SET:
		buf_str(b, "aborted the operation");
		add_after(b, ": ", e->reason);
		return;
	case EVENT_ABORT_CLEARED:
		buf_str(b, "cleared the abort");
		return;
	case EVENT_COMPLETED:
		buf_str(b, e->aborted ? "completed the operation, aborted" : "completed the operation");
		add_after(b, ": ", e->reason);
		return;
	case EVENT_FAILED:
		buf_str(b, "the operation failed");
		add_after(b, ": ", e->reason);
		if (e->left_resources > 0)
			buf_fmt(b, "; %lld resource%s left", (long long)e->left_resources, e->left_resources == 1 ? "" : "s");
		return;
	case EVENT_ARCHIVED:
		buf_str(b, "archived");
		return;
	default:
		/* of a later release: its name, and the call it is about */
		show_slice(b, e->kind);
		add_after(b, " ", e->call_id);
	}
}

static const char *
level_of(const struct entry *e)
{
	switch (e->event) {
	case EVENT_CALL_FAILED:
	case EVENT_CALL_CRASHED:
	case EVENT_CRASH_DETECTED:
	case EVENT_FAILED:
		return "ERROR";
	case EVENT_ABORT_SET:
	case EVENT_CALL_CANCELLED:
	case EVENT_CALL_CANCELLING:
	case EVENT_CLEANUP_STARTED:
		return "WARNING";
	case EVENT_RESOURCE_REMOVED:
		return slice_is(e->result, "removed") || slice_is(e->result, "gone") || slice_is(e->result, "kept") ? "INFO" : "WARNING";
	case EVENT_LOG:
		break;
	default:
		return "INFO";
	}
	if (e->level.n == 5)
		return e->level.p[0] == 'd' ? "DEBUG" : "ERROR";
	return e->level.n == 7 ? "WARNING" : "INFO";
}

void
wire_log_line(struct buf *b, const struct entry *e)
{
	char at[CLOCK_TEXT];
	clock_format(e->at_ms, at);
	buf_fmt(b, "%s [%s] ", at, level_of(e));
	show_slice(b, e->by);
	buf_str(b, ": ");
	wire_sentence(b, e);
	buf_char(b, '\n');
}
