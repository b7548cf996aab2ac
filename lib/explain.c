/* explain: why an operation, or a call of it, is where it is. */
#include <string.h>

#include "explain.h"
#include "phrase.h"
#include "text.h"

/* --- rows --- */

static void
crash_row(const struct picture *p, struct render_table *t, int k, struct buf *text)
{
	phrase_victim(p, text, k);
	phrase_cell(t, PLAIN, text);
	buf_str(text, "after ");
	render_duration(text, phrase_time(p, k, "at") - phrase_time(p, 0, "startTime"));
	phrase_cell(t, PLAIN, text);
	phrase_text(p, text, "found by ", k, "by");
	phrase_cell(t, PLAIN, text);
	phrase_text(p, text, "", k, "evidence");
	phrase_cell(t, PLAIN, text);
}

static void
trouble_row(const struct picture *p, struct render_table *t, int k, struct buf *text)
{
	bool grave = !phrase_is(p, k, "liveness", "suspended") && !phrase_is(p, k, "liveness", "suspect");
	phrase_victim(p, text, k);
	phrase_cell(t, PLAIN, text);
	phrase_text(p, text, "", k, "liveness");
	phrase_cell(t, grave ? RED : YELLOW, text);
	if (phrase_number(p, k, "beatAgeMs") >= 0) {
		buf_str(text, "beat ");
		render_duration(text, phrase_number(p, k, "beatAgeMs"));
		buf_str(text, " ago");
	}
	phrase_cell(t, PLAIN, text);
	phrase_text(p, text, "", k, "evidence");
	phrase_cell(t, PLAIN, text);
}

static void
resource_row(const struct picture *p, struct render_table *t, int k, struct buf *text)
{
	buf_fmt(text, "%lld", (long long)phrase_number(p, k, "resourceId"));
	phrase_cell(t, PLAIN, text);
	if (phrase_number(p, k, "pid") >= 0)
		buf_fmt(text, "process %lld", (long long)phrase_number(p, k, "pid"));
	else if (!phrase_text(p, text, "", k, "path"))
		phrase_text(p, text, "command: ", k, "command");
	phrase_cell(t, PLAIN, text);
	phrase_text(p, text, "of ", k, "participantId");
	phrase_cell(t, PLAIN, text);
	phrase_text(p, text, "", k, "state");
	phrase_text(p, text, ": ", k, "reason");
	if (phrase_number(p, k, "tries") > 1)
		buf_fmt(text, ", tried %lld times", (long long)phrase_number(p, k, "tries"));
	phrase_cell(t, YELLOW, text);
}

/* --- the parts of the screen --- */

static void
put_head(const struct picture *p)
{
	struct buf text = {0};
	enum colour colour;
	phrase_text(p, &text, "", 0, "operationId");
	phrase_line(p, "operation", BOLD, &text);
	phrase_text(p, &text, "", 0, "description");
	phrase_line(p, "description", PLAIN, &text);
	(void)picture_state(p, 0, &text, &colour);
	if (!json_true(p->json, 0, "ended") && (phrase_is(p, 0, "state", "failed") || phrase_is(p, 0, "state", "completed")))
		buf_str(&text, ", not archived: something remains to be done");
	phrase_line(p, "state", colour, &text);
	buf_free(&text);
}

/* The answer in one sentence. */
static void
put_why(const struct picture *p)
{
	struct buf text = {0};
	enum colour colour = RED;
	int crash = phrase_first(p, "crashes"), abort = phrase_member(p, 0, "abort"), end = phrase_member(p, 0, "end"), trouble = phrase_first(p, "troubles");
	if (phrase_is(p, 0, "first", "crash")) {
		phrase_victim(p, &text, crash);
		buf_str(&text, " died");
		phrase_text(p, &text, ": ", crash, "evidence");
	} else if (phrase_is(p, 0, "first", "abort")) {
		if (!phrase_text(p, &text, "", abort, "by"))
			buf_str(&text, "somebody");
		buf_str(&text, " aborted it");
		if (!phrase_text(p, &text, ": ", abort, "reason"))
			buf_str(&text, "; the reason is not known");
		if (crash >= 0)
			buf_str(&text, "; after that somebody died");
	} else if (phrase_is(p, 0, "verdict", "failed")) {
		phrase_text(p, &text, "", end, "by");
		buf_str(&text, " ended it as failed");
		phrase_text(p, &text, ": ", end, "reason");
	} else if (phrase_is(p, 0, "verdict", "troubled")) {
		while (trouble >= 0 && (phrase_is(p, trouble, "liveness", "suspended") || phrase_is(p, trouble, "liveness", "suspect")))
			trouble = json_next(p->json, phrase_member(p, phrase_member(p, 0, "troubles"), "list"), trouble);
		phrase_victim(p, &text, trouble);
		phrase_text(p, &text, " is ", trouble, "liveness");
		phrase_text(p, &text, ": ", trouble, "evidence");
	} else if (phrase_is(p, 0, "verdict", "completed")) {
		colour = GREEN;
		int64_t there = phrase_count(p, "left") + phrase_count(p, "pending");
		buf_str(&text, there ? "" : "nothing is wrong: ");
		phrase_text(p, &text, "", end, "by");
		buf_str(&text, " completed it");
		if (there) {
			colour = YELLOW;
			buf_fmt(&text, "; %lld temp resource%s not removed", (long long)there, there == 1 ? " was" : "s were");
		}
	} else {
		colour = GREEN;
		buf_str(&text, "nothing is wrong: it runs, and nobody who takes part is dead, hung or stale");
	}
	phrase_line(p, "why", colour, &text);
	buf_free(&text);
}

static void
put_first_crash(const struct picture *p)
{
	struct buf text = {0};
	int crash = phrase_first(p, "crashes");
	if (crash < 0)
		return;
	phrase_victim(p, &text, crash);
	phrase_about(p, &text, crash);
	phrase_line(p, "died first", RED, &text);
	if (!phrase_is(p, 0, "first", "crash")) /* which has been said */
		phrase_text(p, &text, "", crash, "evidence");
	phrase_line(p, "evidence", PLAIN, &text);
	phrase_text(p, &text, "", crash, "by");
	buf_str(&text, ", at ");
	phrase_when(p, &text, crash);
	phrase_line(p, "found by", PLAIN, &text);
	if (phrase_count(p, "crashes") > 1) {
		buf_fmt(&text, "%lld deaths in all", (long long)phrase_count(p, "crashes"));
		phrase_line(p, "crashes", RED, &text);
		phrase_rows(p, "crashes", 4, PHRASE_FEW, crash_row);
	}
	buf_free(&text);
}

static void
put_abort(const struct picture *p)
{
	struct buf text = {0};
	int abort = phrase_member(p, 0, "abort");
	if (json_true(p->json, 0, "aborted") && json_is_object(p->json, abort)) {
		phrase_text(p, &text, "", abort, "by");
		buf_str(&text, ", at ");
		phrase_when(p, &text, abort);
		phrase_text(p, &text, ": ", abort, "reason");
		phrase_line(p, "aborted by", RED, &text);
	}
	if (phrase_number(p, 0, "abortsCleared") > 0) {
		buf_fmt(&text, "an abort was set and cleared before, %lld time%s", (long long)phrase_number(p, 0, "abortsCleared"),
			phrase_number(p, 0, "abortsCleared") == 1 ? "" : "s");
		phrase_line(p, "cleared", PLAIN, &text);
	}
	buf_free(&text);
}

/* Names of participants, with how many more there are. */
static void
add_answers(const struct picture *p, struct buf *text)
{
	int list = phrase_member(p, phrase_member(p, 0, "answers"), "list"), shown = 0;
	for (int k = json_first(p->json, list); k >= 0; k = json_next(p->json, list, k), shown++)
		if (!phrase_text(p, text, shown ? ", " : "; answered: ", k, "participantId"))
			phrase_text(p, text, shown ? ", " : "; answered: ", k, "by");
	if (phrase_count(p, "answers") > shown)
		buf_fmt(text, " and %lld more", (long long)(phrase_count(p, "answers") - shown));
}

static void
put_cleanup(const struct picture *p)
{
	struct buf text = {0}, name = {0};
	int list = phrase_member(p, phrase_member(p, 0, "coordinators"), "list"), waiting = phrase_member(p, 0, "waitingFor"), shown = 0;
	for (int k = json_first(p->json, list); k >= 0 && shown < PHRASE_FEW; k = json_next(p->json, list, k), shown++) {
		buf_fmt(&text, "%sepoch %lld by ", shown ? "; taken over: " : "", (long long)phrase_number(p, k, "epoch"));
		phrase_text(p, &text, "", k, "by");
		if (phrase_number(p, k, "pid") > 0)
			buf_fmt(&text, " (pid %lld", (long long)phrase_number(p, k, "pid")), phrase_text(p, &text, " on ", k, "host"), buf_char(&text, ')');
		phrase_text(p, &text, ": ", k, "reason");
	}
	if (shown && phrase_count(p, "coordinators") > shown)
		buf_fmt(&text, "; … %lld in all", (long long)phrase_count(p, "coordinators"));
	if (shown) {
		add_answers(p, &text);
		if (!json_is_object(p->json, phrase_member(p, 0, "cleanupDone")))
			buf_str(&text, "; not done");
	}
	phrase_line(p, "cleanup", PLAIN, &text);
	for (int k = json_first(p->json, waiting); k >= 0; k = json_next(p->json, waiting, k)) {
		buf_clear(&name);
		(void)json_string(p->json, k, &name);
		buf_fmt(&text, "%s%s", text.n ? ", " : "", name.n ? name.p : "");
	}
	phrase_line(p, "waits for", YELLOW, &text);
	buf_free(&text);
	buf_free(&name);
}

static void
put_resources(const struct picture *p)
{
	struct buf text = {0};
	int r = phrase_member(p, 0, "resources");
	picture_count(&text, phrase_number(p, r, "removed"), "removed");
	int64_t names = phrase_number(p, r, "entriesRemoved");
	if (names > 0)
		buf_fmt(&text, " (%lld name%s in all)", (long long)names, names == 1 ? "" : "s");
	picture_count(&text, phrase_number(p, r, "gone"), "gone before");
	picture_count(&text, phrase_number(p, r, "kept"), "kept by their owners");
	picture_count(&text, phrase_number(p, r, "here"), "still there");
	picture_count(&text, phrase_number(p, r, "failed"), "failed to be removed");
	picture_count(&text, phrase_number(p, r, "left"), "left alone");
	picture_count(&text, phrase_number(p, r, "forgotten"), "forgotten");
	if (phrase_number(p, r, "registered") > 0)
		buf_fmt(&text, ", of %lld", (long long)phrase_number(p, r, "registered"));
	phrase_line(p, "resources", PLAIN, &text);
	if (phrase_count(p, "left") > 0) {
		buf_str(&text, "these are left, and nobody will remove them");
		phrase_line(p, "not removed", YELLOW, &text);
		phrase_rows(p, "left", 4, PHRASE_NAMED, resource_row);
	}
	if (phrase_count(p, "pending") > 0) {
		phrase_text(p, &text, "dpl-cleanup ", 0, "operationId");
		buf_str(&text, " tries again, on the host where they are; with --forget it gives them up");
		phrase_line(p, "pending", YELLOW, &text);
		phrase_rows(p, "pending", 4, PHRASE_NAMED, resource_row);
	}
	buf_free(&text);
}

static void
put_log(const struct picture *p)
{
	struct buf text = {0}, line = {0}, shown = {0};
	int list = phrase_member(p, phrase_member(p, 0, "log"), "list");
	int64_t n = 0;
	for (int k = json_first(p->json, list); k >= 0; k = json_next(p->json, list, k))
		n++;
	if (phrase_count(p, "log") > 0) {
		buf_fmt(&text, "the last %lld of %lld", (long long)n, (long long)phrase_count(p, "log"));
		phrase_line(p, "log", PLAIN, &text);
	}
	for (int k = json_first(p->json, list); k >= 0; k = json_next(p->json, list, k)) {
		buf_clear(&line);
		buf_clear(&shown);
		phrase_text(p, &line, "  ", k, "at");
		phrase_text(p, &line, " [", k, "level");
		phrase_text(p, &line, "] ", k, "by");
		phrase_short(p, &line, ": ", k, "message");
		text_show(&shown, line.n ? line.p : "", line.n);
		bool bad = phrase_is(p, k, "level", "error"), warns = phrase_is(p, k, "level", "warning");
		render_text(p->out, p->colours && bad ? RED : p->colours && warns ? YELLOW : PLAIN, shown.n ? shown.p : "");
		buf_char(p->out, '\n');
	}
	p->out->failed |= line.failed || shown.failed;
	buf_free(&text);
	buf_free(&line);
	buf_free(&shown);
}

static void
put_end(const struct picture *p)
{
	struct buf text = {0};
	int end = phrase_member(p, 0, "end");
	if (json_is_object(p->json, end)) {
		phrase_text(p, &text, "", end, "at");
		buf_str(&text, ", after ");
		render_duration(&text, phrase_number(p, 0, "durationMs"));
		phrase_text(p, &text, ", by ", end, "by");
		phrase_text(p, &text, ": ", end, "reason");
		phrase_line(p, "ended", PLAIN, &text);
	} else {
		render_duration(&text, phrase_number(p, 0, "durationMs"));
		buf_str(&text, ", since ");
		phrase_text(p, &text, "", 0, "startTime");
		phrase_line(p, "runs for", PLAIN, &text);
	}
	buf_free(&text);
}

void
explain_operation(const struct picture *p)
{
	struct buf more = {0};
	int64_t by_abort = phrase_number(p, 0, "stoppedAfterAbort"), by_crash = phrase_number(p, 0, "stoppedAfterCrash");
	put_head(p);
	put_why(p);
	put_first_crash(p);
	put_abort(p);
	picture_count(&more, by_abort, "after the abort");
	picture_count(&more, by_crash, "after a death");
	struct buf behind = {0};
	if (more.n)
		buf_fmt(&behind, ": %s", more.p);
	phrase_calls(p, "stoppedCalls", "stopped", PLAIN, behind.n ? behind.p : "");
	phrase_calls(p, "failedCalls", "failed", RED, "");
	if (phrase_count(p, "troubles") > 0) {
		buf_clear(&more);
		buf_fmt(&more, "%lld of those who take part", (long long)phrase_count(p, "troubles"));
		phrase_line(p, "not alive", YELLOW, &more);
		phrase_rows(p, "troubles", 4, PHRASE_NAMED, trouble_row);
	}
	phrase_calls(p, "running", "running", PLAIN, "");
	put_cleanup(p);
	put_resources(p);
	put_end(p);
	put_log(p);
	buf_free(&more);
	buf_free(&behind);
}

/* --- a call --- */

/* The answer in one sentence, and who stopped it or found it dead. */
static void
put_call_why(const struct picture *p, int call)
{
	struct buf text = {0};
	int stopper = phrase_member(p, 0, "stoppedAfter"), trouble = phrase_first(p, "troubles");
	bool crashed = phrase_is(p, call, "state", "crashed"), ended = phrase_is(p, call, "state", "ended"), runs = phrase_is(p, call, "state", "running");
	if (runs && trouble >= 0) {
		phrase_text(p, &text, "it is ", trouble, "liveness");
		phrase_text(p, &text, ": ", trouble, "evidence");
	} else if (runs) {
		buf_str(&text, "nothing is wrong: it runs");
	} else if (ended) {
		buf_str(&text, "nothing is wrong: it ended well");
	} else {
		phrase_how(p, &text, call);
	}
	phrase_line(p, "why", ended || (runs && trouble < 0) ? GREEN : RED, &text);
	if (json_is_object(p->json, stopper)) {
		bool abort = phrase_is(p, stopper, "event", "abort.set");
		if (abort)
			phrase_text(p, &text, "the abort by ", stopper, "by");
		else
			buf_str(&text, "the death of "), phrase_victim(p, &text, stopper);
		buf_str(&text, ", at ");
		phrase_when(p, &text, stopper);
		phrase_text(p, &text, ": ", stopper, abort ? "reason" : "evidence");
		phrase_line(p, "after", RED, &text);
	}
	if (crashed)
		phrase_text(p, &text, "", 0, "callEndedBy");
	phrase_line(p, "found by", PLAIN, &text);
	if (!json_true(p->json, call, "failOnCrash") && phrase_text(p, &text, "contained, its fallback was taken: ", call, "result"))
		phrase_line(p, "fallback", PLAIN, &text);
	if (phrase_text(p, &text, "contained, but its fallback command failed: ", call, "fallbackError"))
		phrase_line(p, "fallback", YELLOW, &text);
	if (json_true(p->json, call, "fallbackPending")) {
		buf_str(&text, "contained, and its fallback command is still to be run");
		phrase_line(p, "fallback", YELLOW, &text);
	}
	buf_free(&text);
}

static void
put_call_times(const struct picture *p, int call)
{
	struct buf text = {0};
	phrase_text(p, &text, "", call, "startedAt");
	phrase_line(p, "started", PLAIN, &text);
	if (phrase_text(p, &text, "", call, "endedAt"))
		buf_str(&text, ", after ");
	render_duration(&text, phrase_number(p, call, "durationMs"));
	phrase_line(p, phrase_is(p, call, "state", "running") ? "runs for" : "ended", PLAIN, &text);
	if (phrase_number(p, call, "userMs") >= 0) {
		render_duration(&text, phrase_number(p, call, "userMs"));
		buf_str(&text, " user, ");
		render_duration(&text, phrase_number(p, call, "systemMs"));
		buf_str(&text, " system, ");
		phrase_memory(p, &text, call);
		phrase_line(p, "used", PLAIN, &text);
	}
	buf_free(&text);
}

void
explain_call(const struct picture *p)
{
	struct buf text = {0};
	int call = phrase_member(p, 0, "call");
	enum colour colour;
	phrase_text(p, &text, "", call, "callId");
	phrase_line(p, "call", BOLD, &text);
	phrase_text(p, &text, "", call, "description");
	phrase_line(p, "description", PLAIN, &text);
	phrase_text(p, &text, "", call, "participantId");
	if (phrase_number(p, call, "pid") > 0)
		buf_fmt(&text, ", pid %lld", (long long)phrase_number(p, call, "pid"));
	phrase_text(p, &text, ", part of ", call, "parentId");
	phrase_line(p, "participant", PLAIN, &text);
	(void)picture_state(p, call, &text, &colour);
	phrase_line(p, "state", colour, &text);
	put_call_why(p, call);
	put_call_times(p, call);
	phrase_calls(p, "failedCalls", "failed", RED, ", part of it");
	phrase_calls(p, "stoppedCalls", "stopped", PLAIN, ", part of it");
	phrase_calls(p, "running", "running", PLAIN, ", part of it");
	put_resources(p);
	phrase_text(p, &text, "", 0, "operationId");
	struct buf state = {0};
	(void)picture_state(p, 0, &state, &colour);
	buf_fmt(&text, ", %s", state.n ? state.p : "");
	phrase_line(p, "operation", PLAIN, &text);
	put_log(p);
	buf_free(&state);
	buf_free(&text);
}
