/* until: wait for a condition of an operation to come true. */
#include <string.h>

#include "clock.h"
#include "entry.h"
#include "picture.h"
#include "render.h"
#include "until.h"

enum {
	SAY_MS = 1000, /* after that it is said whom it waits for … */
	NAMED = 3,     /* … naming so many */
};

void
until_read(struct cli *c, struct until *u, const char *text)
{
	static const char *const names[] = {
		[UNTIL_COMPLETED] = "completed", [UNTIL_FAILED] = "failed", [UNTIL_ABORTED] = "aborted", [UNTIL_IDLE] = "idle",
		[UNTIL_CALL] = "call=", [UNTIL_PARTICIPANT] = "participant=", [UNTIL_LEFT] = "left=",
	};
	int i = 0;
	*u = (struct until){.text = text, .outcome = -1};
	while (i <= UNTIL_LEFT && (i < UNTIL_CALL ? strcmp(text, names[i]) : strncmp(text, names[i], strlen(names[i]))) != 0)
		i++;
	if (i > UNTIL_LEFT)
		cli_misuse(c, "--until: '%.100s' is not completed, failed, aborted, idle, call=ID, participant=NAME or left=NAME", text);
	u->condition = (enum condition)i;
	u->name = text + strlen(names[i]);
	const char *bad = i < UNTIL_CALL ? NULL : i == UNTIL_CALL ? id_bad_call(u->name) : id_bad_participant(u->name);
	if (bad)
		cli_misuse(c, "--until: %s '%.100s' %s", i == UNTIL_CALL ? "call" : "participant", u->name, bad);
}

static void
set_outcome(struct until *u, const char *state)
{
	u->known = true;
	u->outcome = strcmp(state, "running") == 0 ? -1 : strcmp(state, "ended") == 0 ? EXIT_DONE :
		strcmp(state, "cancelled") == 0 ? EXIT_ABORTED : EXIT_FAILED;
}

static void
saw_crash(struct cli *c, struct until *u, int object, const char *who, const char *why)
{
	struct buf b = {0};
	u->crashed = true;
	(void)json_copy(&c->answer, json_get(&c->answer, object, who), u->who, sizeof u->who);
	buf_clear(&u->why);
	buf_str(&u->why, cli_answer(c, object, why, &b));
	buf_free(&b);
}

/* What entry `k` of the answer means for the wait. */
static void
notice_entry(struct cli *c, struct until *u, int k)
{
	struct entry e;
	char call[ID_NAME_MAX + 1], by[ID_NAME_MAX + 1];
	size_t n;
	const char *raw = json_raw(&c->answer, k, &n);
	if (entry_parse(raw, n, &e))
		return;
	slice_copy(e.call_id, call, sizeof call);
	slice_copy(e.by, by, sizeof by);
	bool mine = u->condition == UNTIL_CALL && strcmp(call, u->name) == 0;
	switch (e.event) {
	case EVENT_ABORT_SET:
		u->aborted = true;
		break;
	case EVENT_JOINED:
		u->joined |= u->condition == UNTIL_PARTICIPANT && strcmp(by, u->name) == 0;
		break;
	case EVENT_CRASH_DETECTED:
		if (!u->crashed)
			saw_crash(c, u, k, "participantId", "evidence");
		break;
	case EVENT_CALL_STARTED:
	case EVENT_CALL_ENDED:
	case EVENT_CALL_FAILED:
	case EVENT_CALL_CRASHED:
	case EVENT_CALL_CANCELLED:
		/* What the death of another cancelled was not cancelled by anybody. */
		if (mine)
			set_outcome(u, e.event == EVENT_CALL_STARTED || (u->crashed && e.event == EVENT_CALL_CANCELLED) ? "running" : event_name(e.event) + 5);
		break;
	default:
		break;
	}
}

static void
notice_entries(struct cli *c, struct until *u)
{
	int list = json_get(&c->answer, 0, "entries");
	for (int k = json_first(&c->answer, list); k >= 0; k = json_next(&c->answer, list, k))
		notice_entry(c, u, k);
}

/* Whether call `k` of the answer was cancelled because somebody had died, and not by anybody. */
static bool
fell_with_others(struct cli *c, int k)
{
	struct buf state = {0}, ended = {0}, crashed = {0};
	bool fell = cli_answer_true(c, "crashed") && strcmp(cli_answer(c, k, "state", &state), "cancelled") == 0 &&
		strcmp(cli_answer(c, k, "endedAt", &ended), cli_answer(c, 0, "crashedAt", &crashed)) >= 0;
	buf_free(&state);
	buf_free(&ended);
	buf_free(&crashed);
	return fell;
}

/* Ask for the state.  `calls`: none, running or all; with all, what was before is noticed too. */
static void
ask_state(struct cli *c, struct until *u, const char *id, const char *calls)
{
	struct buf b = {0};
	cli_again(c);
	json_put(&c->body, "operationId", id);
	json_put(&c->body, "calls", calls);
	cli_request(c, "/operation/show");
	if (cli_answer_true(c, "crashed"))
		saw_crash(c, u, 0, "crashedParticipantId", "crashEvidence");
	int list = json_get(&c->answer, 0, "calls"), people = json_get(&c->answer, 0, "participants");
	for (int k = json_first(&c->answer, list); k >= 0; k = json_next(&c->answer, list, k))
		if (u->condition == UNTIL_CALL && strcmp(cli_answer(c, k, "callId", &b), u->name) == 0)
			set_outcome(u, fell_with_others(c, k) ? "running" : cli_answer(c, k, "state", &b));
	for (int k = json_first(&c->answer, people); k >= 0; k = json_next(&c->answer, people, k))
		if (u->condition == UNTIL_PARTICIPANT && strcmp(cli_answer(c, k, "participantId", &b), u->name) == 0)
			u->joined = true;
	buf_free(&b);
}

/* Whether a participant of the state in the answer has a live session. */
static bool
takes_part(struct cli *c, const char *name)
{
	struct buf b = {0};
	int people = json_get(&c->answer, 0, "participants");
	bool found = false;
	for (int k = json_first(&c->answer, people); k >= 0 && !found; k = json_next(&c->answer, people, k))
		found = strcmp(cli_answer(c, k, "participantId", &b), name) == 0 && cli_answer_int(c, k, "sessions") > 0;
	buf_free(&b);
	return found;
}

/* The exit status, by the state in the answer and what was noticed; -1 to go on waiting. */
static int
judge(struct cli *c, struct until *u)
{
	struct buf b = {0};
	const char *state = cli_answer(c, 0, "state", &b);
	bool completed = strcmp(state, "completed") == 0, failed = strcmp(state, "failed") == 0, ended = completed || failed;
	buf_free(&b);
	int status = ended ? EXIT_NO : -1; /* it can no longer come true */
	switch (u->condition) {
	case UNTIL_COMPLETED:
		u->met = completed;
		if (ended)
			return reader_status(c);
		break;
	case UNTIL_FAILED:
		u->met = failed;
		return failed ? EXIT_DONE : status;
	case UNTIL_ABORTED:
		u->met = u->aborted || cli_answer_true(c, "aborted");
		return u->met ? EXIT_DONE : status;
	case UNTIL_CALL:
		u->met = u->outcome >= 0;
		if (u->met)
			return u->outcome;
		if (ended && !u->known)
			status = EXIT_NONE_SUCH;
		break;
	case UNTIL_PARTICIPANT:
		u->met = u->joined;
		if (u->met)
			return EXIT_DONE;
		break;
	case UNTIL_IDLE:
	case UNTIL_LEFT:
		/* A crash ends calls and sessions too: that is not what was waited for. */
		u->met = !u->crashed && (u->condition == UNTIL_IDLE ? cli_answer_int(c, json_get(&c->answer, 0, "callCounts"), "running") == 0 :
			ended || !takes_part(c, u->name));
		if (u->met)
			return EXIT_DONE;
		break;
	}
	return u->crashed ? EXIT_FAILED : status;
}

/* Add "a (…), b (…) and 3 more" for the members of an array. */
static void
add_names(struct cli *c, struct buf *text, int list, const char *name, void (*more)(struct cli *c, struct buf *text, int k))
{
	struct buf b = {0};
	int n = 0;
	for (int k = json_first(&c->answer, list); k >= 0; k = json_next(&c->answer, list, k))
		if (n++ < NAMED) {
			buf_fmt(text, "%s%s (", n > 1 ? ", " : "", cli_answer(c, k, name, &b));
			more(c, text, k);
			buf_char(text, ')');
		}
	if (n > NAMED)
		buf_fmt(text, " and %d more", n - NAMED);
	buf_free(&b);
}

static void
add_call(struct cli *c, struct buf *text, int k)
{
	struct buf b = {0};
	buf_fmt(text, "%s, ", cli_answer(c, k, "participantId", &b));
	render_duration(text, cli_answer_int(c, k, "durationMs"));
	buf_free(&b);
}

static void
add_sign(struct cli *c, struct buf *text, int k)
{
	struct picture p = {.json = &c->answer, .now_ms = clock_wall_ms()};
	struct buf b = {0};
	const char *life = cli_answer(c, k, "liveness", &b);
	if (*life && strcmp(life, "alive") != 0)
		buf_fmt(text, "%s, ", life);
	picture_sign(&p, text, k);
	buf_free(&b);
}

/* One line: whom it waits for. */
static void
say_waiting(struct cli *c, struct until *u, const char *id)
{
	struct buf text = {0}, b = {0};
	ask_state(c, u, id, "running");
	int calls = json_get(&c->answer, 0, "calls"), people = json_get(&c->answer, 0, "participants");
	buf_fmt(&text, "waiting for %s of %s, which is %s; ", u->text, id, cli_answer(c, 0, "state", &b));
	if (json_first(&c->answer, calls) < 0)
		buf_str(&text, "no call runs");
	else
		buf_str(&text, "running: "), add_names(c, &text, calls, "callId", add_call);
	if (json_first(&c->answer, people) >= 0)
		buf_str(&text, "; taking part: "), add_names(c, &text, people, "participantId", add_sign);
	if (!text.failed)
		cli_say(c, "%s", text.p);
	buf_free(&text);
	buf_free(&b);
}

/* Say what came of it, on stderr or as an object. */
static void
say_outcome(struct cli *c, const struct until *u, const char *id, int status)
{
	struct buf b = {0};
	struct why why;
	const char *state = cli_answer(c, 0, "state", &b);
	if (status == EXIT_NONE_SUCH) {
		why_set(&why, ERR_NO_CALL, "no call '%s' in %s, which has ended", u->name, id);
		cli_die(c, &why);
	}
	bool crash = status == EXIT_FAILED && u->crashed && !u->met;
	if (c->json) {
		json_open(&c->out, NULL, '{');
		json_put_bool(&c->out, "ok", true);
		json_put_bool(&c->out, "met", u->met);
		json_put(&c->out, "condition", u->text);
		json_put(&c->out, "operationId", id);
		json_put(&c->out, "state", state);
		json_put_bool(&c->out, "aborted", cli_answer_true(c, "aborted"));
		json_put_bool(&c->out, "crashed", crash);
		json_put(&c->out, "crashedParticipantId", crash && *u->who ? u->who : NULL);
		json_close(&c->out, '}');
		buf_char(&c->out, '\n');
	} else if (crash) {
		cli_say(c, "%s crashed%s%s", *u->who ? u->who : "somebody", u->why.n ? ": " : "", u->why.n ? u->why.p : "");
	} else if (status != EXIT_DONE && status != EXIT_TIMED_OUT && !c->quiet) {
		if (u->condition == UNTIL_CALL && u->met)
			cli_say(c, "call %s %s", u->name, status == EXIT_ABORTED ? "was cancelled" : "failed");
		else
			cli_say(c, "%s has ended: %s%s", id, state, cli_answer_true(c, "aborted") ? ", aborted" : "");
	}
	buf_free(&b);
}

int
until_wait(struct cli *c, struct until *u, struct place *p, bool colours)
{
	int64_t begun = clock_mono_ms();
	bool prints = c->verbose && !c->json, said = c->quiet;
	int status;
	if (!prints)
		p->from = 0;
	do { /* what there is, to be printed; else only where the next one will stand */
		reader_entries(c, p, 0);
		if (prints)
			reader_print(c, NULL, colours);
	} while (p->more);
	ask_state(c, u, p->id, u->condition == UNTIL_CALL || u->condition == UNTIL_PARTICIPANT ? "all" : "none");
	while ((status = judge(c, u)) < 0) {
		int64_t quiet_ms = begun + SAY_MS - clock_mono_ms();
		if (!said && quiet_ms <= 0) {
			say_waiting(c, u, p->id);
			said = true;
			continue;
		}
		if (reader_is_over(c)) {
			status = EXIT_TIMED_OUT;
			break;
		}
		do {
			reader_entries(c, p, reader_left(c, said ? READER_WAIT_MS : quiet_ms));
			notice_entries(c, u);
			if (prints)
				reader_print(c, NULL, colours);
		} while (p->more);
		ask_state(c, u, p->id, "none");
	}
	say_outcome(c, u, p->id, status);
	return status;
}
