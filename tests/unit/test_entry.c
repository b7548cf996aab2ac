/* test_entry - one line of a journal */
#include "clock.h"
#include "entry.h"
#include "json.h"
#include "unit.h"

static const char *
parse(const char *line, struct entry *e)
{
	return entry_parse(line, strlen(line), e);
}

#define HEAD "\"seq\":7,\"at\":\"2026-11-22T14:30:45.123Z\",\"by\":\"worker\""

static bool
is(struct slice s, const char *text)
{
	return s.n == strlen(text) && (s.n == 0 || memcmp(s.p, text, s.n) == 0);
}

static void
names_of_events(void)
{
	static const char *const known[] = {"operation.created", "operation.completed", "operation.failed", "operation.archived", "participant.joined",
		"participant.left", "call.queued", "call.started", "call.ended", "call.failed", "call.crashed", "call.cancelled", "call.cancelling", "resource.added", "resource.made",
		"resource.removed", "abort.set", "abort.cleared", "crash.detected", "cleanup.started", "cleanup.acknowledged", "cleanup.done", "progress", "log"};
	CHECK_INT(sizeof known / sizeof *known, EVENT_COUNT - 1);
	for (int i = 1; i < EVENT_COUNT; i++) {
		CHECK_TEXT(event_name((enum event)i), known[i - 1]);
		CHECK_INT(event_by_name(known[i - 1], strlen(known[i - 1])), i);
	}
	CHECK_INT(event_by_name("log", 2), EVENT_UNKNOWN);
	CHECK_INT(event_by_name("logs", 4), EVENT_UNKNOWN);
	CHECK_INT(event_by_name("", 0), EVENT_UNKNOWN);
	CHECK_INT(event_by_name("unknown", 7), EVENT_UNKNOWN);
}

static void
which_are_flushed_and_which_are_vital(void)
{
	static const enum event spend[] = {EVENT_UNKNOWN, EVENT_CREATED, EVENT_JOINED, EVENT_CALL_QUEUED, EVENT_CALL_STARTED, EVENT_RESOURCE_ADDED, EVENT_RESOURCE_MADE,
		EVENT_PROGRESS, EVENT_LOG};
	for (int i = 0; i < EVENT_COUNT; i++) {
		bool vital = true;
		for (size_t k = 0; k < sizeof spend / sizeof *spend; k++)
			vital &= spend[k] != (enum event)i;
		CHECK(event_is_flushed((enum event)i) == (i != EVENT_LOG && i != EVENT_PROGRESS && i != EVENT_RESOURCE_REMOVED));
		CHECK(event_is_vital((enum event)i) == vital);
	}
}

static void
reads_every_member(void)
{
	static const char line[] = "{" HEAD ",\"event\":\"call.started\",\"operationId\":\"op\",\"callId\":\"c\",\"parentId\":\"p\",\"description\":\"d\",\"message\":\"m\","
		"\"reason\":\"r\",\"error\":\"e\",\"result\":\"s\",\"level\":\"l\",\"key\":\"k\",\"request\":\"q\",\"format\":1,\"sessionId\":2,\"pid\":3,\"pidStart\":4,"
		"\"durationMs\":5,\"cancelledCalls\":6,\"beatMs\":7,\"jitterMs\":8,\"staleMs\":9,\"ttlMs\":10,\"windowMs\":11,\"failOnCrash\":false,\"aborted\":true}";
	struct entry e;
	CHECK_TEXT(parse(line, &e), NULL);
	CHECK_INT(e.seq, 7);
	CHECK_INT(e.at_ms, 1795357845123);
	CHECK_INT(e.event, EVENT_CALL_STARTED);
	CHECK(is(e.kind, "call.started") && is(e.by, "worker") && is(e.operation_id, "op") && is(e.call_id, "c") && is(e.parent_id, "p"));
	CHECK(is(e.description, "d") && is(e.message, "m") && is(e.reason, "r") && is(e.error, "e") && is(e.result, "s") && is(e.level, "l"));
	CHECK(is(e.key, "k") && is(e.request, "q"));
	const int64_t numbers[] = {e.format, e.session_id, e.pid, e.pid_start, e.duration_ms, e.cancelled_calls, e.beat_ms, e.jitter_ms, e.stale_ms, e.ttl_ms, e.window_ms};
	for (int i = 0; i < 11; i++)
		CHECK_INT(numbers[i], i + 1);
	CHECK(!e.fail_on_crash && e.aborted);
}

static void
absent_members_have_their_defaults(void)
{
	struct entry e;
	CHECK_TEXT(parse("{\"seq\":1,\"at\":\"2026-11-22T14:30:45Z\",\"event\":\"log\",\"description\":null}", &e), NULL);
	CHECK(!e.by.n && !e.operation_id.n && !e.call_id.n && !e.parent_id.n && !e.description.n && !e.message.n && !e.reason.n && !e.error.n &&
		!e.result.n && !e.level.n && !e.key.n && !e.request.n);
	CHECK(e.format == -1 && e.session_id == -1 && e.pid == -1 && e.pid_start == -1 && e.duration_ms == -1 && e.cancelled_calls == -1 && e.beat_ms == -1 &&
		e.jitter_ms == -1 && e.stale_ms == -1 && e.ttl_ms == -1 && e.window_ms == -1);
	CHECK(e.fail_on_crash && !e.aborted);
}

static void
unknown_events_and_members_are_kept(void)
{
	struct entry e;
	CHECK_TEXT(parse("{" HEAD ",\"event\":\"weather.changed\",\"to\":{\"deep\":[1,2,{\"callId\":\"inner\"}]},\"seq2\":\"x\"}", &e), NULL);
	CHECK_INT(e.event, EVENT_UNKNOWN);
	CHECK(is(e.kind, "weather.changed"));
	CHECK(!e.call_id.n); /* a member of a member is not a member */
}

static void
wrong_lines(void)
{
	static const char *const bad[] = {"", "{}", "[]", "5", "null", "\"x\"", "{" HEAD "}", "{" HEAD ",\"event\":\"\"}", "{" HEAD ",\"event\":5}",
		"{\"at\":\"2026-11-22T14:30:45Z\",\"event\":\"log\"}", "{\"seq\":1,\"event\":\"log\"}", "{\"seq\":0,\"at\":\"2026-11-22T14:30:45Z\",\"event\":\"log\"}",
		"{\"seq\":-1,\"at\":\"2026-11-22T14:30:45Z\",\"event\":\"log\"}", "{\"seq\":\"1\",\"at\":\"2026-11-22T14:30:45Z\",\"event\":\"log\"}",
		"{\"seq\":1.5,\"at\":\"2026-11-22T14:30:45Z\",\"event\":\"log\"}", "{\"seq\":9007199254740992,\"at\":\"2026-11-22T14:30:45Z\",\"event\":\"log\"}",
		"{\"seq\":null,\"at\":\"2026-11-22T14:30:45Z\",\"event\":\"log\"}", "{\"seq\":1,\"at\":\"yesterday\",\"event\":\"log\"}", "{\"seq\":1,\"at\":5,\"event\":\"log\"}",
		"{\"seq\":1,\"at\":null,\"event\":\"log\"}", "{\"seq\":1,\"at\":\"1970-01-01T00:00:00+01:00\",\"event\":\"log\"}",
		"{" HEAD ",\"event\":\"log\",\"message\":5}", "{" HEAD ",\"event\":\"log\",\"sessionId\":\"1\"}", "{" HEAD ",\"event\":\"log\",\"failOnCrash\":\"false\"}",
		"{" HEAD ",\"event\":\"log\",\"aborted\":1}", "{" HEAD ",\"event\":\"log\",\"pid\":4.5}", "{" HEAD ",\"event\":\"log\",\"ttlMs\":1e3}",
		"{" HEAD ",\"event\":\"log\",\"by\":5}", "{" HEAD ",\"event\":\"log\"} ,", "{" HEAD ",\"event\":\"log\"", "x{" HEAD ",\"event\":\"log\"}",
		"{" HEAD ",\"event\":\"log\"}{" HEAD ",\"event\":\"log\"}", "{" HEAD ",\"event\":\"log\",\"message\":\"\xff\"}"};
	struct entry e;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (!CHECK(parse(bad[i], &e)))
			printf("# took %s\n", bad[i]);
	CHECK(entry_parse("{" HEAD ",\"event\":\"log\"}\0", sizeof "{" HEAD ",\"event\":\"log\"}", &e));
}

static void
what_is_written_is_read(void)
{
	for (int event = 1; event < EVENT_COUNT; event++) {
		struct buf b = {0};
		struct entry e;
		char by[65];
		buf_str(&b, "{\"an\":\"earlier line\"}\n");
		size_t start = b.n;
		entry_begin(&b, (uint64_t)event * 1000, 1795357845123, "it's \"me\"\\ \xc3\xa9", (enum event)event);
		json_put(&b, "message", "line\nbreak");
		json_put_int(&b, "sessionId", 5);
		entry_end(&b);
		CHECK(b.p[b.n - 1] == '\n' && memchr(b.p + start, '\n', b.n - start) == b.p + b.n - 1);
		CHECK_TEXT(entry_parse(b.p + start, b.n - start - 1, &e), NULL);
		CHECK(e.seq == (uint64_t)event * 1000 && e.at_ms == 1795357845123 && e.event == (enum event)event && e.session_id == 5);
		slice_copy(e.by, by, sizeof by);
		CHECK_TEXT(by, "it's \"me\"\\ \xc3\xa9");
		slice_copy(e.message, by, sizeof by);
		CHECK_TEXT(by, "line\nbreak");
		buf_free(&b);
	}
}

static void
slices_are_cut_at_a_character(void)
{
	static const struct {
		const char *raw, *want;
		size_t size;
	} cases[] = {
		{"abc", "abc", 4}, {"abc", "ab", 3}, {"", "", 1}, {"abc", "", 1}, {"caf\xc3\xa9", "caf", 5}, {"caf\xc3\xa9", "caf\xc3\xa9", 6},
		{"\xf0\x9f\x98\x80", "", 4}, {"\\u00e9x", "\xc3\xa9", 3}, {"\\u00e9", "", 2}, {"a\\nb", "a\nb", 4}, {"a\\\\nb", "a\\nb", 9},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char out[10];
		memset(out, 'x', sizeof out);
		slice_copy((struct slice){cases[i].raw, strlen(cases[i].raw)}, out, cases[i].size);
		CHECK_TEXT(out, cases[i].want);
	}
	char out[4] = "xxx";
	slice_copy((struct slice){0}, out, sizeof out);
	CHECK_TEXT(out, "");
}

static void
random_damage_never_breaks_it(void)
{
	static const char base[] = "{" HEAD ",\"event\":\"call.started\",\"callId\":\"call_w_1_ab12\",\"sessionId\":3,\"failOnCrash\":false,\"description\":\"x\\u00e9\"}";
	for (int i = 0; i < 200000; i++) {
		struct entry e;
		char *line = malloc(sizeof base - 1);
		memcpy(line, base, sizeof base - 1);
		for (uint32_t k = 0, hits = unit_below(4); k < hits; k++)
			line[unit_below(sizeof base - 1)] = (char)unit_random();
		if (!entry_parse(line, sizeof base - 1, &e)) {
			char text[8];
			slice_copy(e.description, text, sizeof text);
			if (!CHECK(e.seq >= 1 && e.at_ms >= 0 && e.kind.n)) {
				free(line);
				return;
			}
		}
		free(line);
	}
}

int
main(void)
{
	RUN(names_of_events);
	RUN(which_are_flushed_and_which_are_vital);
	RUN(reads_every_member);
	RUN(absent_members_have_their_defaults);
	RUN(unknown_events_and_members_are_kept);
	RUN(wrong_lines);
	RUN(what_is_written_is_read);
	RUN(slices_are_cut_at_a_character);
	RUN(random_damage_never_breaks_it);
	return unit_end();
}
