/* test_timeline: bars, the ticks of the axis, where things are placed, and both drawings. */
#include "bars.h"
#include "svg.h"
#include "text.h"
#include "timeline.h"
#include "unit.h"

static const char begin[] = "\"operationId\":\"op\",\"startTime\":\"2026-01-01T00:00:00.000Z\",\"endTime\":";
#define ZERO INT64_C(1767225600000) /* that time */

static struct json json;
static char answer[1 << 16];

/* An answer with these members and calls. */
static void
given(const char *end, const char *members, const char *calls)
{
	struct why why;
	json_free(&json);
	int n = snprintf(answer, sizeof answer, "{%s%s,%s\"calls\":[%s]}", begin, end, members, calls);
	if (!CHECK(n > 0 && (size_t)n < sizeof answer) || !CHECK(json_parse(&json, answer, strlen(answer), &why) == 0))
		exit(1);
}

static const char *
id_of(const struct timeline *t, int32_t i, char id[80])
{
	return json_copy(&json, json_get(&json, t->bars[i].call, "callId"), id, 80) == 0 ? id : "";
}

#define AT(s) "\"2026-01-01T00:00:" s "Z\""
#define CALL(id, parent, from, to, state) "{\"callId\":\"" id "\",\"parentId\":" parent ",\"participantId\":\"me\",\"state\":\"" state "\",\"startedAt\":" from ",\"endedAt\":" to "}"

static void
order(struct timeline *t, const char *wanted)
{
	char got[200] = "", id[80];
	for (int32_t i = 0; i < t->n; i++) {
		size_t n = strlen(got);
		snprintf(got + n, sizeof got - n, "%s%s%d", i ? " " : "", id_of(t, i, id), (int)t->bars[i].depth);
	}
	CHECK_TEXT(got, wanted);
}

static void
bars_stand_below_what_they_are_part_of(void)
{
	struct timeline t;
	/* c is after d but began before; e's parent is nowhere; b is there twice, and g is part of the second. */
	given("null", "", CALL("a", "null", AT("01.000"), "null", "running") "," CALL("b", "\"a\"", AT("02.000"), AT("03.000"), "ended") ","
		CALL("d", "\"a\"", AT("05.000"), AT("06.000"), "failed") "," CALL("c", "\"a\"", AT("04.000"), AT("04.500"), "crashed") ","
		CALL("e", "\"z\"", AT("00.500"), AT("09.000"), "cancelled") "," CALL("b", "null", AT("07.000"), "null", "queued") ","
		CALL("g", "\"b\"", AT("08.000"), "null", "cancelling"));
	CHECK_INT(timeline_read(&t, &json, ZERO + 10000), 0);
	order(&t, "e0 a0 b1 c1 d1 b0 g1");
	CHECK_INT(t.parent[0], -1);
	CHECK_INT(t.parent[3], 1);
	CHECK_INT(t.parent[6], 5);
	CHECK_INT(t.start_ms, ZERO);
	CHECK_INT(t.end_ms, ZERO + 10000);
	CHECK(!t.ended && t.marks == 0);
	CHECK(t.bars[1].open && t.bars[1].end_ms == ZERO + 10000 && t.bars[1].state == TIMELINE_RUNNING);
	CHECK(!t.bars[2].open && t.bars[2].end_ms == ZERO + 3000 && t.bars[2].state == TIMELINE_ENDED);
	CHECK(t.bars[3].state == TIMELINE_CRASHED && t.bars[4].state == TIMELINE_FAILED && t.bars[0].state == TIMELINE_CANCELLED);
	CHECK(t.bars[5].state == TIMELINE_QUEUED && t.bars[6].state == TIMELINE_RUNNING);
	CHECK(t.count[TIMELINE_RUNNING] == 2 && t.count[TIMELINE_ENDED] == 1 && t.count[TIMELINE_QUEUED] == 1);
	timeline_free(&t);
}

static void
what_began_first_stands_first_also_where_a_clock_was_set_back(void)
{
	struct timeline t;
	/* The child's clock is behind: it began before its parent, and before the operation, and ended before it began. */
	given("null", "", CALL("a", "null", AT("05.000"), AT("06.000"), "ended") "," CALL("b", "\"a\"", AT("04.000"), AT("03.000"), "ended") ","
		CALL("c", "null", "\"2025-12-31T23:59:59.000Z\"", AT("01.000"), "ended"));
	CHECK_INT(timeline_read(&t, &json, ZERO + 2000), 0);
	order(&t, "c0 a0 b1");
	CHECK_INT(t.start_ms, ZERO - 1000);
	CHECK_INT(t.end_ms, ZERO + 6000);
	CHECK_INT(t.bars[2].end_ms, t.bars[2].start_ms);
	timeline_free(&t);
}

static void
one_that_is_over_ends_where_it_ended(void)
{
	struct timeline t;
	given(AT("20.000"), "\"state\":\"failed\",\"aborted\":true,\"abortedAt\":" AT("15.000") ",\"crashed\":true,\"crashedAt\":" AT("12.000") ",", CALL("a", "null", AT("01.000"), "null", "running"));
	CHECK_INT(timeline_read(&t, &json, ZERO + 100000), 0);
	CHECK_INT(t.end_ms, ZERO + 20000);
	CHECK_INT(t.bars[0].end_ms, ZERO + 20000);
	if (CHECK_INT(t.marks, 3)) {
		CHECK_TEXT(t.mark[0].what, "crashed");
		CHECK_TEXT(t.mark[1].what, "aborted");
		CHECK_TEXT(t.mark[2].what, "failed");
		CHECK(t.mark[0].at_ms == ZERO + 12000 && t.mark[2].at_ms == ZERO + 20000 && t.mark[2].end && !t.mark[0].end);
	}
	timeline_free(&t);
	/* An abort that was taken back is none. */
	given(AT("20.000"), "\"state\":\"completed\",\"aborted\":false,\"abortedAt\":" AT("15.000") ",", "");
	CHECK_INT(timeline_read(&t, &json, ZERO + 100000), 0);
	CHECK(t.n == 0 && t.marks == 1);
	CHECK_TEXT(t.mark[0].what, "completed");
	timeline_free(&t);
	/* Nothing has lasted: there is an axis all the same. */
	given("null", "", "");
	CHECK_INT(timeline_read(&t, &json, ZERO), 0);
	CHECK_INT(t.end_ms - t.start_ms, 1);
	timeline_free(&t);
}

/* --- the axis --- */

static void
ticks_are_round(void)
{
	static const struct {
		int64_t span;
		double width;
		int64_t step;
	} cases[] = {{1, 100, 1}, {7, 100, 1}, {80, 60, 10}, {900, 60, 200}, {1000, 60, 200}, {9000, 60, 1000}, {50000, 60, 5000}, {55000, 26, 20000}, {90000, 60, 20000},
		{600000, 60, 60000}, {5400000, 60, 900000}, {7000000, 60, 1800000}, {40000000, 50, 7200000}, {INT64_C(86400000), 50, 10800000}, {INT64_C(864000000), 60, 86400000}, {INT64_C(86400000) * 400, 60, INT64_C(86400000) * 50}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (!CHECK_INT(timeline_step(cases[i].span, cases[i].width, 1), cases[i].step))
			printf("# for %" PRId64 " ms\n", cases[i].span);
}

static void
labels_stand_apart(void)
{
	for (int i = 0; i < 20000; i++) {
		int64_t span = 1 + (int64_t)(unit_random() >> (15 + unit_below(48)));
		double width = 15 + unit_below(500), letter = unit_below(2) ? 1 : 0.5 + unit_below(80) / 10.0, end = -1e9;
		int64_t step = timeline_step(span, width, letter);
		char label[TIMELINE_LABEL], before[TIMELINE_LABEL] = "";
		int ticks = 0;
		if (!CHECK(step > 0))
			return;
		for (int64_t at = 0; at <= span; at += step, ticks++) {
			double x = (double)at / (double)span * width;
			timeline_label(label, at, step, span);
			if (!CHECK(x >= end) || !CHECK(strcmp(label, before) != 0) || !CHECK(strlen(label) < 30)) {
				printf("# span %" PRId64 " width %f step %" PRId64 ": %s\n", span, width, step, label);
				return;
			}
			end = x + (double)(strlen(label) + 1) * letter;
			snprintf(before, sizeof before, "%s", label);
		}
		/* And are not few where there is room. */
		if (!CHECK(ticks >= 3 || width < 60 * letter || span < 3)) {
			printf("# span %" PRId64 " width %f: %d ticks\n", span, width / letter, ticks);
			return;
		}
	}
}

static void
labels_say_the_time(void)
{
	static const struct {
		int64_t at, step, span;
		const char *text;
	} cases[] = {{0, 1, 10, "0"}, {5, 1, 10, "5 ms"}, {250, 250, 999, "250 ms"}, {500, 500, 2000, "0.5 s"}, {1000, 500, 2000, "1.0 s"}, {1250, 10, 2000, "1.25 s"}, {1001, 1, 1001, "1.001 s"},
		{5000, 5000, 20000, "5 s"}, {60000, 20000, 200000, "1m"}, {80000, 20000, 200000, "1m 20s"}, {3600000, 1800000, 9999999, "1h"}, {5400000, 1800000, 9999999, "1h 30m"},
		{INT64_C(86400000), 43200000, INT64_C(864000000), "1d"}, {INT64_C(129600000), 43200000, INT64_C(864000000), "1d 12h"}, {61500, 500, 70000, "1m 1.5s"}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char label[TIMELINE_LABEL];
		timeline_label(label, cases[i].at, cases[i].step, cases[i].span);
		CHECK_TEXT(label, cases[i].text);
	}
}

static void
moments_stand_where_they_belong(void)
{
	struct timeline t = {.start_ms = 1000, .end_ms = 3000};
	CHECK(timeline_at(&t, 1000, 80) == 0 && timeline_at(&t, 2000, 80) == 40 && timeline_at(&t, 3000, 80) == 80);
	CHECK(timeline_at(&t, 0, 80) == 0 && timeline_at(&t, 9000, 80) == 80);
}

static void
labels_of_marks_do_not_collide(void)
{
	struct timeline_place p[3] = {{.at = 10, .point = 1, .room = 9}, {.at = 15, .point = 1, .room = 9}, {.at = 49, .point = 1, .room = 9}};
	CHECK_INT(timeline_place(p, 3, 50, 1), 2);
	CHECK(p[0].from == 10 && p[0].lane == 0 && p[1].from == 15 && p[1].lane == 1 && p[2].from == 41 && p[2].lane == 0);
	/* Where neither side has room for it, it is on the axis. */
	p[0] = (struct timeline_place){.at = 8, .point = 1, .room = 12};
	CHECK_INT(timeline_place(p, 1, 15, 1), 1);
	CHECK(p[0].from == 3);
	for (int i = 0; i < 20000; i++) {
		double width = 20 + unit_below(100);
		for (int k = 0; k < 3; k++)
			p[k] = (struct timeline_place){.at = unit_below((uint32_t)width), .point = 1, .room = 1 + unit_below(20)};
		int lanes = timeline_place(p, 3, width, 1);
		for (int k = 0; k < 3; k++) {
			CHECK(p[k].lane >= 0 && p[k].lane < lanes && p[k].from >= 0 && p[k].from + p[k].room <= width);
			for (int m = 0; m < k; m++)
				CHECK(p[k].lane != p[m].lane || p[k].from >= p[m].from + p[m].room + 1 || p[m].from >= p[k].from + p[k].room + 1);
		}
	}
}

/* --- the drawings --- */

static void
cells_cover_what_they_are_asked_to(void)
{
	CHECK_TEXT(bars_cell(0, 8), "█");
	CHECK_TEXT(bars_cell(0, 1), "▏");
	CHECK_TEXT(bars_cell(0, 5), "▋");
	CHECK_TEXT(bars_cell(4, 8), "▐");
	CHECK_TEXT(bars_cell(7, 8), "▕");
	CHECK_TEXT(bars_cell(1, 8), "█");
	CHECK_TEXT(bars_cell(3, 4), "┃");
	for (int from = 0; from < 8; from++)
		for (int to = from; to <= 8; to++)
			CHECK(strcmp(bars_cell(from, to), " ") != 0);
}

/* The columns of a line, and whether it has a bar. */
static size_t
look_at(const char *line, size_t n, bool *bar)
{
	static const char *const cells[] = {"█", "▉", "▊", "▋", "▌", "▍", "▎", "▏", "▐", "▕", "┃", "░"};
	*bar = false;
	for (size_t i = 0; i + 3 <= n; i++)
		for (size_t k = 0; k < sizeof cells / sizeof *cells; k++)
			*bar |= memcmp(line + i, cells[k], 3) == 0;
	return text_columns(line, n);
}

/* Whatever happened when: no line is longer than the terminal, every call has its bar, at least half the width is the axis's. */
static void
drawings_keep_to_their_width(void)
{
	static const char *const states[] = {"running", "queued", "ended", "failed", "crashed", "cancelled"};
	for (int round = 0; round < 300; round++) {
		static char calls[1 << 15];
		int n = 1 + (int)unit_below(30), wide = 1 + (int)unit_below(60), columns = round % 3 == 0 ? 40 : 30 + (int)unit_below(200);
		uint32_t span = 1 + unit_below(50);
		size_t at = 0;
		for (int i = 0; i < n; i++) {
			uint32_t state = unit_below(6), from = unit_below(span), to = from + unit_below(9);
			at += (size_t)snprintf(calls + at, sizeof calls - at, "%s{\"callId\":\"c%d\",\"parentId\":\"c%d\",\"participantId\":\"%.*s\",\"description\":\"%.*s\",\"state\":\"%s\","
				"\"startedAt\":\"2026-01-01T00:00:%02u.%03uZ\",\"endedAt\":", i ? "," : "", i, i - 1 - (int)unit_below(3), 1 + (int)unit_below(20), "abcdefghijklmnopqrstuvwxyz",
				(int)unit_below((uint32_t)wide), "ääääääääääääääääääääääääääää", states[state], from, unit_below(1000));
			at += (size_t)(state < 2 ? snprintf(calls + at, sizeof calls - at, "null}") : snprintf(calls + at, sizeof calls - at, "\"2026-01-01T00:00:%02u.999Z\"}", to));
		}
		/* Half of a character is no text. */
		struct buf repaired = {0};
		text_repair(&repaired, calls, at);
		given(round % 2 ? "null" : "\"2026-01-01T00:00:50.000Z\"", "\"state\":\"failed\",\"durationMs\":1,\"description\":\"a long description of what all of this is about, and why\",\"aborted\":true,"
			"\"abortedBy\":\"me\",\"abortedAt\":\"2026-01-01T00:00:08.000Z\",\"crashed\":true,\"crashedParticipantId\":\"x\",\"crashedAt\":\"2026-01-01T00:00:09.000Z\",", repaired.p);
		struct buf out = {0};
		struct picture p = {.json = &json, .out = &out, .now_ms = ZERO + 50000};
		int bars = 0, axes = 0;
		bars_draw(&p, columns);
		CHECK(!out.failed);
		for (char *line = out.p, *newline; line && (newline = strchr(line, '\n')); line = newline + 1) {
			bool bar;
			size_t width = look_at(line, (size_t)(newline - line), &bar);
			bars += bar;
			CHECK(width <= (size_t)columns && newline[-1] != ' ');
			const char *tick = strstr(line, "┬──");
			if (tick && tick < newline) {
				size_t before = strspn(line, " ");
				CHECK(columns < 40 || 2 * (width - before) >= (size_t)columns - 1);
				axes++;
			}
		}
		if (!CHECK_INT(bars, n) || !CHECK_INT(axes, 1) || unit_wrong) {
			printf("# %d columns:\n%s", columns, out.p);
			break;
		}
		buf_free(&out);
		buf_free(&repaired);
	}
}

static void
texts_are_xml(void)
{
	static const char text[] = "a<b>&\"c\" ]]> \x1b[31m\n\xe2\x80\xae\xef\xbf\xbe\xef\xbf\xbf\xff \xc3\xa9\xf0\x9f\x98\x80";
	struct buf b = {0};
	svg_text(&b, text, sizeof text - 1);
	CHECK_TEXT(b.p, "a&lt;b&gt;&amp;&quot;c&quot; ]]&gt; \\x1b[31m\\n\\u202e\xef\xbf\xbd\xef\xbf\xbd\\xff \xc3\xa9\xf0\x9f\x98\x80");
	buf_free(&b);
}

int
main(void)
{
	RUN(bars_stand_below_what_they_are_part_of);
	RUN(what_began_first_stands_first_also_where_a_clock_was_set_back);
	RUN(one_that_is_over_ends_where_it_ended);
	RUN(ticks_are_round);
	RUN(labels_stand_apart);
	RUN(labels_say_the_time);
	RUN(moments_stand_where_they_belong);
	RUN(labels_of_marks_do_not_collide);
	RUN(cells_cover_what_they_are_asked_to);
	RUN(drawings_keep_to_their_width);
	RUN(texts_are_xml);
	json_free(&json);
	return unit_end();
}
