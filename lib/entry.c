/* entry: one line of a journal, read into a struct and written from one. */
#include <string.h>

#include "clock.h"
#include "entry.h"
#include "json.h"
#include "num.h"

#define NAME(text) {text, sizeof text - 1}
static const struct name {
	const char *text;
	size_t n;
} names[EVENT_COUNT] = {
	[EVENT_UNKNOWN] = NAME("unknown"),
	[EVENT_CREATED] = NAME("operation.created"),
	[EVENT_COMPLETED] = NAME("operation.completed"),
	[EVENT_FAILED] = NAME("operation.failed"),
	[EVENT_ARCHIVED] = NAME("operation.archived"),
	[EVENT_JOINED] = NAME("participant.joined"),
	[EVENT_LEFT] = NAME("participant.left"),
	[EVENT_CALL_QUEUED] = NAME("call.queued"),
	[EVENT_CALL_STARTED] = NAME("call.started"),
	[EVENT_CALL_ENDED] = NAME("call.ended"),
	[EVENT_CALL_FAILED] = NAME("call.failed"),
	[EVENT_CALL_CRASHED] = NAME("call.crashed"),
	[EVENT_CALL_CANCELLED] = NAME("call.cancelled"),
	[EVENT_CALL_CANCELLING] = NAME("call.cancelling"),
	[EVENT_RESOURCE_ADDED] = NAME("resource.added"),
	[EVENT_RESOURCE_MADE] = NAME("resource.made"),
	[EVENT_RESOURCE_REMOVED] = NAME("resource.removed"),
	[EVENT_ABORT_SET] = NAME("abort.set"),
	[EVENT_ABORT_CLEARED] = NAME("abort.cleared"),
	[EVENT_CRASH_DETECTED] = NAME("crash.detected"),
	[EVENT_CLEANUP_STARTED] = NAME("cleanup.started"),
	[EVENT_CLEANUP_ACKNOWLEDGED] = NAME("cleanup.acknowledged"),
	[EVENT_CLEANUP_DONE] = NAME("cleanup.done"),
	[EVENT_PROGRESS] = NAME("progress"),
	[EVENT_LOG] = NAME("log"),
};

/* memcmp for a handful of bytes, without a call. */
static inline bool
same(const char *a, const char *b, size_t n)
{
	while (n && a[n - 1] == b[n - 1])
		n--;
	return !n;
}

const char *
event_name(enum event event)
{
	return names[event].text;
}

enum event
event_by_name(const char *name, size_t n)
{
	for (int i = EVENT_UNKNOWN + 1; i < EVENT_COUNT; i++)
		if (names[i].n == n && same(names[i].text, name, n))
			return (enum event)i;
	return EVENT_UNKNOWN;
}

bool
event_is_flushed(enum event event)
{
	return event != EVENT_LOG && event != EVENT_PROGRESS && event != EVENT_RESOURCE_REMOVED;
}

bool
event_rings(enum event event)
{
	switch (event) {
	case EVENT_COMPLETED:
	case EVENT_FAILED:
	case EVENT_ARCHIVED:
	case EVENT_LEFT:
	case EVENT_CALL_CRASHED:
	case EVENT_CALL_CANCELLED:
	case EVENT_CALL_CANCELLING:
	case EVENT_ABORT_SET:
	case EVENT_ABORT_CLEARED:
	case EVENT_CRASH_DETECTED:
	case EVENT_CLEANUP_STARTED:
	case EVENT_CLEANUP_DONE:
		return true;
	default:
		return false;
	}
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

/* It is JSON already, but for its quotes. */
void
slice_put(struct buf *b, const char *name, struct slice s)
{
	if (!s.p) {
		json_put(b, name, NULL);
		return;
	}
	json_put_raw(b, name, "\"", 1);
	buf_add(b, s.p, s.n);
	buf_char(b, '"');
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
	MEMBER(NUMBER, "seq", seq),
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
	MEMBER(TEXT, "participantId", participant_id),
	MEMBER(TEXT, "evidence", evidence),
	MEMBER(TEXT, "bootId", boot_id),
	MEMBER(TEXT, "host", host),
	MEMBER(TEXT, "cgroup", cgroup),
	MEMBER(TEXT, "machineId", machine_id),
	MEMBER(TEXT, "kind", resource_kind),
	MEMBER(TEXT, "path", path),
	MEMBER(TEXT, "command", command),
	MEMBER(TEXT, "folder", folder),
	MEMBER(TEXT, "type", type),
	MEMBER(TEXT, "birth", birth),
	MEMBER(TEXT, "seal", seal),
	MEMBER(TEXT, "orphanSeal", orphan_seal),
	MEMBER(TEXT, "fallback", fallback),
	MEMBER(TEXT, "fallbackCommand", fallback_command),
	MEMBER(TEXT, "callResult", call_result),
	MEMBER(TEXT, "group", group),
	MEMBER(NUMBER, "sessionId", session_id),
	MEMBER(NUMBER, "pid", pid),
	MEMBER(NUMBER, "pidStart", pid_start),
	MEMBER(NUMBER, "processGroup", process_group),
	MEMBER(NUMBER, "processSession", process_session),
	MEMBER(NUMBER, "supervisorPid", supervisor_pid),
	MEMBER(NUMBER, "supervisorStart", supervisor_start),
	MEMBER(NUMBER, "slots", slots),
	MEMBER(NUMBER, "exitStatus", exit_status),
	MEMBER(NUMBER, "signal", signal),
	MEMBER(NUMBER, "status", status),
	MEMBER(NUMBER, "userMs", user_ms),
	MEMBER(NUMBER, "systemMs", system_ms),
	MEMBER(NUMBER, "maxRssKib", max_rss_kib),
	MEMBER(NUMBER, "done", done),
	MEMBER(NUMBER, "total", total),
	MEMBER(NUMBER, "format", format),
	MEMBER(NUMBER, "durationMs", duration_ms),
	MEMBER(NUMBER, "cancelledCalls", cancelled_calls),
	MEMBER(NUMBER, "beatMs", beat_ms),
	MEMBER(NUMBER, "jitterMs", jitter_ms),
	MEMBER(NUMBER, "staleMs", stale_ms),
	MEMBER(NUMBER, "ttlMs", ttl_ms),
	MEMBER(NUMBER, "windowMs", window_ms),
	MEMBER(NUMBER, "resourceId", resource_id),
	MEMBER(NUMBER, "device", device),
	MEMBER(NUMBER, "inode", inode),
	MEMBER(NUMBER, "mountNs", mount_ns),
	MEMBER(NUMBER, "pidNs", pid_ns),
	MEMBER(NUMBER, "timeNs", time_ns),
	MEMBER(NUMBER, "addedMs", added_ms),
	MEMBER(NUMBER, "entries", entries),
	MEMBER(NUMBER, "leftResources", left_resources),
	MEMBER(NUMBER, "epoch", epoch),
	MEMBER(NUMBER, "monoMs", mono_ms),
	MEMBER(NUMBER, "removed", removed),
	MEMBER(NUMBER, "gone", gone),
	MEMBER(NUMBER, "left", left),
	MEMBER(NUMBER, "failed", failed),
	MEMBER(FLAG, "made", made),
	MEMBER(FLAG, "byName", by_name),
	MEMBER(FLAG, "oomKilled", oom_killed),
	MEMBER(FLAG, "failOnCrash", fail_on_crash),
	MEMBER(FLAG, "aborted", aborted),
	MEMBER(FLAG, "held", held),
	MEMBER(FLAG, "spawned", spawned),
	MEMBER(FLAG, "fallbackPending", fallback_pending),
	MEMBER(FLAG, "isFallback", is_fallback),
	MEMBER(FLAG, "resultJson", result_json),
	MEMBER(FLAG, "orphans", orphans),
	MEMBER(FLAG, "ttlGiven", ttl_given),
};

static const struct member *
find_member(const char *name, size_t n)
{
	for (size_t i = 0; i < sizeof members / sizeof *members; i++)
		if (members[i].n == n && same(members[i].name, name, n))
			return &members[i];
	return NULL;
}

/* A value as it stands in the line: a string's inside, or the word of a number, flag or null. */
enum value { VALUE_STRING, VALUE_WORD, VALUE_NESTED };

static const char *
take(struct entry *e, const char *name, size_t n, enum value kind, struct slice v)
{
	if (n == 2 && memcmp(name, "at", 2) == 0)
		return kind == VALUE_STRING && clock_parse(v.p, v.n, &e->at_ms) == 0 ? NULL : "at is not a time";
	const struct member *m = find_member(name, n);
	if (!m || (kind == VALUE_WORD && v.p[0] == 'n'))
		return NULL;
	char *field = (char *)e + m->offset;
	static const char *const wrong = "a member has the wrong type";
	switch (m->kind) {
	case TEXT:
		*(struct slice *)(void *)field = v;
		return kind == VALUE_STRING ? NULL : wrong;
	case FLAG:
		*(bool *)(void *)field = v.p[0] == 't';
		return kind == VALUE_WORD && (v.p[0] == 't' || v.p[0] == 'f') ? NULL : wrong;
	case NUMBER:
		return kind == VALUE_WORD && num_int(v.p, v.n, -1, JSON_INT_MAX, (int64_t *)(void *)field) == 0 ? NULL : wrong;
	}
	return wrong;
}

/* The general way, for what the quick way below does not take: nested values, blanks, escaped names. */
static __attribute__((noinline)) const char *
parse_any(const char *line, size_t n, struct entry *e)
{
	struct json j;
	struct why why;
	if (json_parse(&j, line, n, &why) < 0)
		return "not JSON";
	const char *wrong = json_is_object(&j, 0) ? NULL : "not an object";
	for (int k = json_first(&j, 0); k >= 0 && !wrong; k = json_next(&j, 0, k)) {
		size_t length;
		struct slice v;
		const char *name = json_raw(&j, k, &length);
		v.p = json_raw(&j, k + 1, &v.n);
		enum value kind = json_is_string(&j, k + 1) ? VALUE_STRING : *v.p == '{' || *v.p == '[' ? VALUE_NESTED : VALUE_WORD;
		wrong = take(e, name, length, kind, v);
	}
	json_free(&j);
	return wrong;
}

/* The end of a whole number, true, false or null at `p`; NULL for anything else. */
static const char *
word_end(const char *p, const char *end)
{
	const char *q = p;
	int64_t ignored;
	while (q < end && *q != ',' && *q != '}')
		q++;
	size_t n = (size_t)(q - p);
	if ((n == 4 && (memcmp(p, "true", 4) == 0 || memcmp(p, "null", 4) == 0)) || (n == 5 && memcmp(p, "false", 5) == 0))
		return q;
	return num_int(p, n, -JSON_INT_MAX, JSON_INT_MAX, &ignored) == 0 ? q : NULL;
}

/* The quick way: one pass over a flat object without blanks, which is how entries are written.  Folding is
 * what every command does first, and this is several times as fast as finding tokens and then
 * looking at them.  False where the line must go the general way. */
static bool
parse_flat(const char *p, const char *end, struct entry *e, const char **wrong)
{
	*wrong = NULL;
	if (p == end || *p != '{')
		return false;
	do {
		bool escapes = false;
		const char *name = p + 2, *q;
		if (++p == end || *p != '"' || !(q = json_check_string(p, end, &escapes)) || escapes || q == end || *q != ':')
			return false;
		size_t length = (size_t)(q - 1 - name);
		p = q + 1;
		bool string = p < end && *p == '"';
		if (!(q = string ? json_check_string(p, end, &escapes) : word_end(p, end)))
			return false;
		struct slice v = {p + string, (size_t)(q - p) - 2 * string};
		if (!*wrong)
			*wrong = take(e, name, length, string ? VALUE_STRING : VALUE_WORD, v);
		p = q;
	} while (p < end && *p == ',');
	return p + 1 == end && *p == '}';
}

const struct entry entry_absent = {.format = -1, .session_id = -1, .pid = -1, .pid_start = -1, .process_group = -1,
	.process_session = -1, .supervisor_pid = -1, .supervisor_start = -1, .slots = -1, .exit_status = -1, .signal = -1, .status = -1, .user_ms = -1, .system_ms = -1,
	.max_rss_kib = -1, .done = -1, .total = -1, .duration_ms = -1,
	.cancelled_calls = -1, .beat_ms = -1, .jitter_ms = -1, .stale_ms = -1, .ttl_ms = -1, .window_ms = -1,
	.resource_id = -1, .device = -1, .inode = -1, .mount_ns = -1, .pid_ns = -1, .time_ns = -1, .added_ms = -1,
	.entries = -1, .left_resources = -1, .epoch = -1, .mono_ms = -1,
	.removed = -1, .gone = -1, .left = -1, .failed = -1, .fail_on_crash = true, .at_ms = -1};

const char *
entry_parse(const char *line, size_t n, struct entry *e)
{
	const char *wrong;
	*e = entry_absent;
	if (!parse_flat(line, line + n, e, &wrong)) {
		*e = entry_absent;
		wrong = parse_any(line, n, e);
	}
	if (!wrong && ((int64_t)e->seq < 1 || e->at_ms < 0 || !e->kind.n))
		wrong = "seq, at or event is missing";
	e->event = event_by_name(e->kind.p ? e->kind.p : "", e->kind.n);
	return wrong;
}

void
entry_begin(struct buf *b, uint64_t seq, int64_t at_ms, const char *by, enum event event)
{
	json_open(b, NULL, '{');
	json_put_int(b, "seq", (int64_t)seq);
	json_put_time(b, "at", at_ms);
	json_put(b, "by", by);
	json_put_n(b, "event", names[event].text, names[event].n);
}

void
entry_end(struct buf *b)
{
	json_close(b, '}');
	buf_char(b, '\n');
}
