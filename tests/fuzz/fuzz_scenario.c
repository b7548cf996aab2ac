/* fuzz_scenario - a scenario: what is taken holds together, what is not is said with its place */
#include <stdlib.h>
#include <string.h>

#include "scenario.h"
#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
must(bool right)
{
	if (!right)
		abort();
}

static void
hold_together(const struct scenario *s)
{
	must(s->participants_n > 0 && s->participants_n <= 64 && s->calls_n > 0 && s->expectations_n > 0);
	must(s->calls[0].parent == -1 && s->calls[0].participant == 0);
	for (int i = 0; i < s->calls_n; i++) {
		const struct scenario_call *c = &s->calls[i];
		must(c->participant >= 0 && c->participant < s->participants_n && c->external < s->externals_n && c->work_ms >= 0);
		must(scenario_find_call(s, c->name) == i);
		must(i == 0 || (c->parent >= 0 && c->parent < i && c->depth == s->calls[c->parent].depth + 1));
	}
	for (int i = 0; i < s->failures_n; i++) {
		const struct scenario_failure *f = &s->failures[i];
		must(f->who < s->participants_n && f->call < s->calls_n && *scenario_who_name(s, f->who) && *scenario_fault_name(f->fault));
		must((f->at_ms >= 0 || f->call >= 0 || f->who >= 0 || f->phase == PHASE_CLEANUP) && f->after_ms >= 0);
	}
	for (int i = 0; i < s->expectations_n; i++)
		must(s->expectations[i].who < (s->expectations[i].what == EXPECT_CALL ? s->calls_n : s->participants_n));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct scenario s;
	struct why why;
	if (scenario_read(&s, "a/b.scenario", n ? (const char *)data : "", n, 1, &why) == 0)
		hold_together(&s);
	else
		must(strncmp(why.text, "a/b.scenario:", 13) == 0 && text_valid(why.text, strlen(why.text)));
	scenario_free(&s);
	return 0;
}
