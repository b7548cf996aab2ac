/* entry: one line of a journal, read into a struct and written from one. */
#include <string.h>

#include "clock.h"
#include "entry.h"
#include "json.h"
#include "text.h"

static const char *const names[EVENT_COUNT] = {
	[EVENT_UNKNOWN] = "unknown",
	[EVENT_CREATED] = "operation.created",
	[EVENT_COMPLETED] = "operation.completed",
	[EVENT_FAILED] = "operation.failed",
	[EVENT_ARCHIVED] = "operation.archived",
	[EVENT_JOINED] = "participant.joined",
	[EVENT_LEFT] = "participant.left",
	[EVENT_CALL_QUEUED] = "call.queued",
	[EVENT_CALL_STARTED] = "call.started",
	[EVENT_CALL_ENDED] = "call.ended",
	[EVENT_CALL_FAILED] = "call.failed",
	[EVENT_CALL_CRASHED] = "call.crashed",
	[EVENT_CALL_CANCELLED] = "call.cancelled",
	[EVENT_RESOURCE_ADDED] = "resource.added",
	[EVENT_RESOURCE_MADE] = "resource.made",
	[EVENT_RESOURCE_REMOVED] = "resource.removed",
	[EVENT_ABORT_SET] = "abort.set",
	[EVENT_ABORT_CLEARED] = "abort.cleared",
	[EVENT_CRASH_DETECTED] = "crash.detected",
	[EVENT_CLEANUP_STARTED] = "cleanup.started",
	[EVENT_CLEANUP_ACKNOWLEDGED] = "cleanup.acknowledged",
	[EVENT_CLEANUP_DONE] = "cleanup.done",
	[EVENT_PROGRESS] = "progress",
	[EVENT_LOG] = "log",
};

const char *
event_name(enum event event)
{
	return names[event];
}

enum event
event_by_name(const char *name, size_t n)
{
	for (int i = EVENT_UNKNOWN + 1; i < EVENT_COUNT; i++)
		if (strlen(names[i]) == n && memcmp(names[i], name, n) == 0)
			return (enum event)i;
	return EVENT_UNKNOWN;
}

bool
event_is_flushed(enum event event)
{
	return event != EVENT_LOG && event != EVENT_PROGRESS;
}

bool
event_is_vital(enum event event)
{
	switch (event) {
	case EVENT_UNKNOWN:
	case EVENT_CREATED:
	case EVENT_JOINED:
	case EVENT_CALL_QUEUED:
	case EVENT_CALL_STARTED:
	case EVENT_RESOURCE_ADDED:
	case EVENT_RESOURCE_MADE:
	case EVENT_PROGRESS:
	case EVENT_LOG:
		return false;
	default:
		return true;
	}
}

void
slice_copy(struct slice s, char *out, size_t size)
{
	struct buf b = {0};
	const char *p = s.p;
	size_t n = s.n;
	if (n && memchr(p, '\\', n)) {
		json_unescape(&b, p, n);
		p = b.p;
		n = b.failed ? 0 : b.n;
	}
	if (n >= size)
		for (n = size - 1; n > 0 && ((unsigned char)p[n] & 0xc0) == 0x80; n--)
			;
	if (n)
		memcpy(out, p, n);
	out[n] = '\0';
	buf_free(&b);
}

/* The members that are read, and where they go. */
enum kind { TEXT, NUMBER, FLAG };
#define MEMBER(kind, name, field) {name, sizeof name - 1, kind, offsetof(struct entry, field)}
static const struct member {
	const char *name;
	size_t n;
	enum kind kind;
	size_t offset;
} members[] = {
	MEMBER(TEXT, "by", by),
	MEMBER(TEXT, "event", kind),
	MEMBER(TEXT, "callId", call_id),
	MEMBER(TEXT, "parentId", parent_id),
	MEMBER(TEXT, "message", message),
	MEMBER(TEXT, "level", level),
	MEMBER(TEXT, "description", description),
	MEMBER(TEXT, "result", result),
	MEMBER(TEXT, "reason", reason),
	MEMBER(TEXT, "error", error),
	MEMBER(TEXT, "operationId", operation_id),
	MEMBER(TEXT, "key", key),
	MEMBER(TEXT, "request", request),
	MEMBER(NUMBER, "sessionId", session_id),
	MEMBER(NUMBER, "pid", pid),
	MEMBER(NUMBER, "pidStart", pid_start),
	MEMBER(NUMBER, "format", format),
	MEMBER(NUMBER, "durationMs", duration_ms),
	MEMBER(NUMBER, "cancelledCalls", cancelled_calls),
	MEMBER(NUMBER, "beatMs", beat_ms),
	MEMBER(NUMBER, "jitterMs", jitter_ms),
	MEMBER(NUMBER, "staleMs", stale_ms),
	MEMBER(NUMBER, "ttlMs", ttl_ms),
	MEMBER(NUMBER, "windowMs", window_ms),
	MEMBER(FLAG, "failOnCrash", fail_on_crash),
	MEMBER(FLAG, "aborted", aborted),
};

static const struct member *
find_member(const char *name, size_t n)
{
	for (size_t i = 0; i < sizeof members / sizeof *members; i++)
		if (members[i].n == n && memcmp(members[i].name, name, n) == 0)
			return &members[i];
	return NULL;
}

static int
take(const struct json *j, int value, const struct member *m, struct entry *e)
{
	char *field = (char *)e + m->offset;
	if (m->kind == NUMBER)
		return json_integer(j, value, -1, JSON_INT_MAX, (int64_t *)(void *)field);
	if (m->kind == FLAG)
		return json_boolean(j, value, (bool *)(void *)field);
	struct slice *s = (struct slice *)(void *)field;
	if (!json_is_string(j, value))
		return json_is_null(j, value) ? 0 : -1;
	s->p = json_raw(j, value, &s->n);
	return 0;
}

const char *
entry_parse(const char *line, size_t n, struct entry *e)
{
	struct json j;
	struct why why;
	*e = (struct entry){.format = -1, .session_id = -1, .pid = -1, .pid_start = -1, .beat_ms = -1, .jitter_ms = -1,
		.duration_ms = -1, .cancelled_calls = -1, .stale_ms = -1, .ttl_ms = -1, .window_ms = -1, .fail_on_crash = true, .at_ms = -1};
	if (json_parse(&j, line, n, &why) < 0)
		return "not JSON";
	const char *wrong = json_is_object(&j, 0) ? NULL : "not an object";
	for (int k = json_first(&j, 0); k >= 0 && !wrong; k = json_next(&j, 0, k)) {
		size_t length;
		const char *name = json_raw(&j, k, &length);
		int64_t seq;
		if (length == 3 && memcmp(name, "seq", 3) == 0) {
			if (json_integer(&j, k + 1, 1, JSON_INT_MAX, &seq) < 0)
				wrong = "seq is not a positive integer";
			else
				e->seq = (uint64_t)seq;
		} else if (length == 2 && memcmp(name, "at", 2) == 0) {
			const char *at = json_raw(&j, k + 1, &length);
			if (clock_parse(at, length, &e->at_ms) < 0)
				wrong = "at is not a time";
		} else {
			const struct member *m = find_member(name, length);
			if (m && take(&j, k + 1, m, e) < 0)
				wrong = "a member has the wrong type";
		}
	}
	if (!wrong && (!e->seq || e->at_ms < 0 || !e->kind.n))
		wrong = "seq, at or event is missing";
	e->event = event_by_name(e->kind.p ? e->kind.p : "", e->kind.n);
	json_free(&j);
	return wrong;
}

void
entry_begin(struct buf *b, uint64_t seq, int64_t at_ms, const char *by, enum event event)
{
	json_open(b, NULL, '{');
	json_put_int(b, "seq", (int64_t)seq);
	json_put_time(b, "at", at_ms);
	json_put(b, "by", by);
	json_put(b, "event", names[event]);
}

void
entry_end(struct buf *b)
{
	json_close(b, '}');
	buf_char(b, '\n');
}
