/* test_scenario - the text of a scenario */
#include "scenario.h"
#include "unit.h"

static struct scenario s;
static struct why why;

static int
try(const char *text)
{
	scenario_free(&s);
	return scenario_read(&s, "dir/a_name.scenario", text, strlen(text), 1, &why);
}

#define HEAD "participant cli\nparticipant bridge\nexternal copilot 10s timeout 5s error 'no way'\n"
#define CALLS "call cli one 2s\n\tcall bridge two 500ms temp 3 undo 1s\n\tcall bridge three 1s asks copilot beside\n"
#define END "expect quiet\n"

static void
what_is_read(void)
{
	CHECK(try("title 'A title'  # of it\nset beat 2s\n" HEAD CALLS
		"fail bridge crash in processing of two after 3s\nfail cli hang at 4s for 1s\nfail everybody crash at 1m\nsweep 2m\n"
		"expect state failed,aborted\nexpect exit cli 130\nexpect exit bridge killed\nexpect death bridge by cli,bridge within 2s\nexpect call two cancelled\n") == 0);
	CHECK_TEXT(s.name, "a_name");
	CHECK_TEXT(s.title, "A title");
	CHECK_INT(s.setting[SETTING_BEAT], 2000);
	CHECK_INT(s.setting[SETTING_STALE], 10000);
	CHECK_INT(s.participants_n, 2);
	CHECK_INT(s.externals[0].answer_ms, 10000);
	CHECK_INT(s.externals[0].timeout_ms, 5000);
	CHECK_TEXT(s.externals[0].error, "no way");
	CHECK_INT(s.calls_n, 3);
	CHECK_INT(s.calls[0].parent, -1);
	CHECK_INT(s.calls[1].parent, 0);
	CHECK_INT(s.calls[2].parent, 0);
	CHECK_INT(s.calls[2].depth, 1);
	CHECK_INT(s.calls[1].temps, 3);
	CHECK_INT(s.calls[1].undo_ms, 1000);
	CHECK(s.calls[2].beside && s.calls[2].external == 0);
	CHECK_INT(s.failures_n, 3);
	CHECK(s.failures[0].at_ms == -1 && s.failures[0].phase == PHASE_PROCESSING && s.failures[0].call == 1 && s.failures[0].after_ms == 3000);
	CHECK(s.failures[1].at_ms == 4000 && s.failures[1].lasts_ms == 1000);
	CHECK_INT(s.failures[2].who, WHO_EVERYBODY);
	CHECK_INT(s.sweep_ms, 120000);
	CHECK_INT(s.expectations_n, 5);
	CHECK_INT(s.expectations[1].exit, 130);
	CHECK_INT(s.expectations[2].exit, -1);
	CHECK_INT((int64_t)s.expectations[3].by, 3);
	CHECK_INT(s.expectations[3].within_ms, 2000);
}

static void
what_is_drawn(void)
{
	const char *text = HEAD "call cli one 2s..5s\n" END;
	CHECK(try(text) == 0);
	int64_t first = s.calls[0].work_ms;
	CHECK(first >= 2000 && first <= 5000);
	CHECK(try(text) == 0 && s.calls[0].work_ms == first);
	int others = 0;
	for (uint64_t seed = 2; seed < 12; seed++) {
		scenario_free(&s);
		CHECK(scenario_read(&s, "x", text, strlen(text), seed, &why) == 0);
		others += s.calls[0].work_ms != first;
	}
	CHECK(others > 5);
	CHECK(try(HEAD "call cli one 5s..2s\n" END) == -1);
	CHECK(try(HEAD "call cli one 2s..2s\n" END) == 0 && s.calls[0].work_ms == 2000);
}

static void
what_is_wrong(void)
{
	static const struct {
		const char *text, *said;
	} rows[] = {
		{"", "dir/a_name.scenario: a call is expected"},
		{"participant cli\ncall cli one 1s\n", ":2: an expect is expected"},
		{"particpant cli\n", ":1: title, set, participant"},
		{"participant cli\nparticipant cli\n", ":2: there is a 'cli' already"},
		{"participant everybody\n", ":1: 'everybody' has a meaning"},
		{"participant -x\n", ":1: a participant's name has up to"},
		{"participant cli x\n", ":1: nothing is expected behind 'cli', but there is 'x'"},
		{HEAD "call cli one\n", ":4: how long it works is expected behind 'one'"},
		{HEAD "call cli one 2x\n", ":4: how long it works is expected, as 2s"},
		{HEAD "call bridge one 2s\n", ":4: the first call is that of the first participant, cli"},
		{HEAD "call nobody one 2s\n", ":4: 'nobody' is no participant"},
		{HEAD "call cli one 2s\ncall cli two 1s\n", ":5: it stands below no call"},
		{HEAD "call cli one 2s\n call cli one 1s\n", ":5: there is a call 'one' already"},
		{HEAD "call cli one 2s asks nobody\n", ":4: 'nobody' is no external"},
		{HEAD "call cli one 2s temp 0\n", ":4: a number from 1 to"},
		{HEAD CALLS " expect quiet\n", ":7: only calls are indented"},
		{HEAD CALLS "fail bridge explode at 1s\n", ":7: 'explode' is no failure"},
		{HEAD CALLS "fail nobody crash at 1s\n", ":7: 'nobody' is no participant, nor everybody"},
		{HEAD CALLS "fail everybody hang at 1s\n", ":7: hang does not go with 'everybody'"},
		{HEAD CALLS "fail bridge crash\n", ":7: when it happens is expected"},
		{HEAD CALLS "fail bridge crash at 1s in cleanup\n", ":7: when it happens has been said"},
		{HEAD CALLS "fail bridge crash in bed\n", ":7: 'bed' is no phase"},
		{HEAD CALLS "fail bridge crash in processing of four\n", ":7: there is no call 'four' above"},
		{HEAD CALLS "fail bridge crash at 1s for 2s\n", ":7: for does not go with crash"},
		{HEAD CALLS "fail bridge error at 1s\n", ":7: at, in, after or for is expected"},
		{HEAD CALLS "expect state flying\n", ":7: 'flying' is no state"},
		{HEAD CALLS "expect state failed,\n", ":7: '' is no state"},
		{HEAD CALLS "expect exit cli 256\n", ":7: an exit status is 0 to 255"},
		{HEAD CALLS "expect death bridge by nobody\n", ":7: 'nobody' is no participant"},
		{HEAD CALLS "expect luck\n", ":7: 'luck' cannot be expected"},
		{HEAD CALLS "set beat 20s\n" END, "stale must be longer"},
		{"title 'one'\ntitle 'two'\n", ":2: a second title"},
		{"set beat 2s\nset beat 2s\n", ":2: beat is set a second time"},
		{"sweep 2s\nsweep 2s\n", ":2: a second sweep"},
		{"served\nserved apart\n", ":2: a second served"},
		{HEAD "call cli one 2s temp 1 temp 2\n", ":4: temp is said twice"},
		{HEAD CALLS "expect death bridge within 1s by cli within 2s\n", ":7: within is said twice"},
		{"external model 2s timeout 3s timeout 3s\n", ":1: timeout is said twice"},
		{"title 'open\n", ":1: a quote is not closed"},
		{"title ''\n", ":1: the title, in 'quotes' is empty"},
		{"title \xff\n", ":1: the line is not UTF-8"},
		{"a b c d e f g h i j k l m n o p q r\n", ":1: more than 16 words"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		CHECK_INT(try(rows[i].text), -1);
		if (!strstr(why.text, rows[i].said))
			CHECK_TEXT(why.text, rows[i].said);
	}
}

int
main(void)
{
	RUN(what_is_read);
	RUN(what_is_drawn);
	RUN(what_is_wrong);
	scenario_free(&s);
	return unit_end();
}
