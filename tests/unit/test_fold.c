/* test_fold - the state of an operation, as its journal tells it */
#include <fcntl.h>
#include <unistd.h>

#include "checkpoint.h"
#include "clock.h"
#include "fold.h"
#include "json.h"
#include "unit.h"

enum { T0 = 1000 }; /* milliseconds since 1970 of the first line */

/* --- a journal being written --- */

struct pen {
	struct buf text;
	uint64_t seq;
	int64_t at_ms;
};

static struct buf *
pen_begin(struct pen *p, const char *by, enum event event)
{
	entry_begin(&p->text, ++p->seq, p->at_ms, by, event);
	return &p->text;
}

static struct line
pen_end(struct pen *p)
{
	size_t end = p->text.n;
	entry_end(&p->text);
	/* the line began after the newline before it */
	size_t start = end;
	while (start > 0 && p->text.p[start - 1] != '\n')
		start--;
	return (struct line){.pos = start, .len = (uint32_t)(p->text.n - start)};
}

static void
pen_create(struct pen *p)
{
	struct buf *b = pen_begin(p, "init", EVENT_CREATED);
	json_put_int(b, "format", 1);
	json_put(b, "operationId", "20261122T143045.123Z-cli-a1b2c3d4");
	json_put_int(b, "sessionId", 1);
	json_put_int(b, "beatMs", 4500);
	json_put_int(b, "jitterMs", 500);
	json_put_int(b, "staleMs", 10000);
	json_put_int(b, "ttlMs", 900000);
	json_put_int(b, "windowMs", 9000);
	pen_end(p);
}

static struct line
pen_call(struct pen *p, const char *by, enum event event, const char *call)
{
	json_put(pen_begin(p, by, event), "callId", call);
	return pen_end(p);
}

static struct line
pen_session(struct pen *p, const char *by, enum event event, int64_t session)
{
	json_put_int(pen_begin(p, by, event), "sessionId", session);
	return pen_end(p);
}

static struct line
pen_plain(struct pen *p, const char *by, enum event event)
{
	pen_begin(p, by, event);
	return pen_end(p);
}

/* That a participant died, or with `call` a call of its. */
static struct line
pen_crash(struct pen *p, const char *by, const char *victim, const char *call)
{
	struct buf *b = pen_begin(p, by, EVENT_CRASH_DETECTED);
	json_put(b, "participantId", victim);
	if (call)
		json_put(b, "callId", call);
	json_put(b, "evidence", "its lock has fallen");
	return pen_end(p);
}

static struct line
pen_progress(struct pen *p, const char *by, const char *call)
{
	struct buf *b = pen_begin(p, by, EVENT_PROGRESS);
	if (call)
		json_put(b, "callId", call);
	json_put_int(b, "done", 4);
	json_put_int(b, "total", 10);
	return pen_end(p);
}

static struct line
pen_held(struct pen *p, const char *by, const char *call, int64_t session)
{
	struct buf *b = pen_begin(p, by, EVENT_CALL_STARTED);
	json_put(b, "callId", call);
	json_put_int(b, "sessionId", session);
	json_put_int(b, "pid", 4711);
	json_put_bool(b, "held", true);
	return pen_end(p);
}

static struct op
folded(const struct pen *p, bool keep, enum fold want)
{
	struct op op;
	op_init(&op, keep);
	CHECK_INT(op_fold(&op, p->text.p, p->text.n), want);
	return op;
}

/* Fold on what the pen has written since. */
static bool
fold_on(struct op *op, const struct pen *p)
{
	return CHECK_INT(op_fold(op, p->text.p + op->h.offset, p->text.n - op->h.offset), FOLD_OK);
}

static bool
same_line(struct line a, struct line b)
{
	return a.pos == b.pos && a.len == b.len;
}

/* --- one event after the other --- */

static void
created(void)
{
	struct pen p = {.at_ms = T0};
	pen_create(&p);
	struct op op = folded(&p, false, FOLD_OK);
	CHECK_INT(op.h.seq, 1);
	CHECK_INT(op.h.offset, p.text.n);
	CHECK_INT(op.h.format, 1);
	CHECK_TEXT(op.h.id, "20261122T143045.123Z-cli-a1b2c3d4");
	CHECK_TEXT(op.h.initiator, "init");
	CHECK_INT(op.h.state, OP_RUNNING);
	CHECK(!op.h.aborted && !op.h.archived);
	CHECK_INT(op.h.created_ms, T0);
	CHECK_INT(op.h.changed_ms, T0);
	CHECK_INT(op.h.ended_ms, -1);
	CHECK(op.h.beat_ms == 4500 && op.h.jitter_ms == 500 && op.h.stale_ms == 10000 && op.h.ttl_ms == 900000 && op.h.window_ms == 9000);
	CHECK(op.h.first.pos == 0 && op.h.first.len == p.text.n && same_line(op.h.first, op.h.last));
	struct op_person *init = op_person(&op, "init");
	if (CHECK(init)) {
		CHECK(init->no == 1 && init->sessions == 1 && init->calls == 0 && init->joined_ms == T0);
		CHECK(op_newest_session(&op, init) == op_session(&op, 1));
	}
	struct op_session *s = op_session(&op, 1);
	if (CHECK(s))
		CHECK(s->id == 1 && s->person == 1 && s->ttl_ms == -1 && s->left_ms == -1);
	CHECK(!op_person(&op, "nobody") && !op_session(&op, 2) && !op_call(&op, "x") && !op_person_no(&op, 2));
	CHECK_INT(op_running(&op), 0);
	op_free(&op);
	buf_free(&p.text);
}

static void
joined_and_left(void)
{
	for (int keep = 0; keep < 2; keep++) {
		struct pen p = {.at_ms = T0};
		pen_create(&p);
		p.at_ms += 10;
		struct buf *b = pen_begin(&p, "w", EVENT_JOINED);
		json_put_int(b, "sessionId", 2);
		json_put_int(b, "ttlMs", 77);
		json_put_int(b, "pid", 4711);
		json_put_int(b, "pidStart", 99);
		pen_end(&p);
		p.at_ms += 10;
		pen_session(&p, "w", EVENT_JOINED, 3);
		struct op op = folded(&p, keep, FOLD_OK);
		struct op_person *w = op_person(&op, "w");
		struct op_session *s = op_session(&op, 2);
		if (CHECK(w && s)) {
			CHECK(w->no == 2 && w->sessions == 2 && w->joined_ms == T0 + 10 && w->seen_ms == T0 + 20);
			CHECK(s->ttl_ms == 77 && s->pid == 4711 && s->pid_start == 99 && s->person == 2 && s->joined_ms == T0 + 10);
			CHECK(op_newest_session(&op, w) == op_session(&op, 3));
			CHECK_INT(op.h.sessions, 3);
		}
		size_t before = p.text.n;
		p.at_ms += 10;
		pen_session(&p, "w", EVENT_LEFT, 3);
		CHECK_INT(op_fold(&op, p.text.p + before, p.text.n - before), FOLD_OK);
		CHECK(w && w->sessions == 1 && op_newest_session(&op, w) == op_session(&op, 2));
		before = p.text.n;
		pen_session(&p, "w", EVENT_LEFT, 3);  /* again: nothing */
		pen_session(&p, "w", EVENT_LEFT, 99); /* never was */
		pen_plain(&p, "w", EVENT_LEFT);       /* which? */
		pen_session(&p, "w", EVENT_LEFT, 2);
		CHECK_INT(op_fold(&op, p.text.p + before, p.text.n - before), FOLD_OK);
		w = op_person(&op, "w");
		s = op_session(&op, 2);
		if (keep)
			CHECK(w && w->sessions == 0 && s && s->left_ms == T0 + 30 && !op_newest_session(&op, w));
		else
			CHECK(!w && !s);
		/* Numbers are never given twice. */
		before = p.text.n;
		pen_plain(&p, "w", EVENT_JOINED);
		CHECK_INT(op_fold(&op, p.text.p + before, p.text.n - before), FOLD_OK);
		CHECK(op.h.sessions == 4 && op_session(&op, 4) && op_person(&op, "w") && op_person(&op, "w")->sessions == 1);
		op_free(&op);
		buf_free(&p.text);
	}
}

static void
calls(void)
{
	static const enum event ends[] = {EVENT_CALL_ENDED, EVENT_CALL_FAILED, EVENT_CALL_CRASHED, EVENT_CALL_CANCELLED};
	static const enum call_state states[] = {CALL_ENDED, CALL_FAILED, CALL_CRASHED, CALL_CANCELLED};
	for (int keep = 0; keep < 2; keep++) {
		for (int k = 0; k < 4; k++) {
			struct pen p = {.at_ms = T0};
			pen_create(&p);
			p.at_ms += 5;
			pen_begin(&p, "init", EVENT_CALL_STARTED);
			json_put(&p.text, "callId", "outer");
			json_put_int(&p.text, "sessionId", 1);
			json_put_int(&p.text, "pid", 12);
			struct line outer = pen_end(&p);
			pen_begin(&p, "init", EVENT_CALL_STARTED);
			json_put(&p.text, "callId", "inner");
			json_put(&p.text, "parentId", "outer");
			json_put_bool(&p.text, "failOnCrash", false);
			pen_end(&p);
			struct op op = folded(&p, keep, FOLD_OK);
			struct op_call *c = op_call(&op, "outer"), *i = op_call(&op, "inner");
			if (CHECK(c && i)) {
				CHECK(c->seq == 2 && c->parent == 0 && c->person == 1 && c->session == 1 && c->started_ms == T0 + 5 && c->ended_ms == -1 && c->pid == 12);
				CHECK(c->state == CALL_RUNNING && c->fail_on_crash && same_line(c->start, outer));
				CHECK(i->seq == 3 && i->parent == 2 && i->session == 0 && !i->fail_on_crash);
			}
			CHECK_INT(op_running(&op), 2);
			CHECK(op_person(&op, "init")->calls == 2 && op_session(&op, 1)->calls == 1);
			size_t before = p.text.n;
			p.at_ms += 7;
			struct line end = pen_call(&p, "init", ends[k], "outer");
			pen_call(&p, "init", ends[k], "outer");
			pen_call(&p, "init", ends[k], "never");
			CHECK_INT(op_fold(&op, p.text.p + before, p.text.n - before), FOLD_OK);
			CHECK_INT(op_running(&op), 1);
			CHECK(!op_call(&op, "outer") && op_call(&op, "inner"));
			CHECK(op.h.calls_started == 2 && op.h.calls_ended == (k == 0) && op.h.calls_failed == (k == 1) && op.h.calls_crashed == (k == 2) &&
				op.h.calls_cancelled == (k == 3));
			CHECK(op_person(&op, "init")->calls == 1 && op_person(&op, "init")->calls_started == 2 && op_session(&op, 1)->calls == 0);
			if (keep && CHECK(op.calls.n == 2)) {
				c = table_at(&op.calls, 0);
				CHECK(c->state == states[k] && c->ended_ms == T0 + 12 && same_line(c->end, end) && !c->key.gone);
			}
			op_free(&op);
			buf_free(&p.text);
		}
	}
}

static void
abort_flag(void)
{
	struct pen p = {.at_ms = T0};
	pen_create(&p);
	struct line set = pen_plain(&p, "init", EVENT_ABORT_SET);
	struct op op = folded(&p, false, FOLD_OK);
	CHECK(op.h.aborted && same_line(op.h.abort, set));
	size_t before = p.text.n;
	pen_plain(&p, "init", EVENT_ABORT_CLEARED);
	CHECK_INT(op_fold(&op, p.text.p + before, p.text.n - before), FOLD_OK);
	CHECK(!op.h.aborted && op.h.abort.len == 0);
	op_free(&op);
	buf_free(&p.text);
}

static void
ends(void)
{
	for (int failed = 0; failed < 2; failed++) {
		struct pen p = {.at_ms = T0};
		pen_create(&p);
		p.at_ms += 100;
		struct line end = pen_plain(&p, "init", failed ? EVENT_FAILED : EVENT_COMPLETED);
		struct op op = folded(&p, false, FOLD_OK);
		CHECK(op.h.state == (failed ? OP_FAILED : OP_COMPLETED) && op.h.ended_ms == T0 + 100 && same_line(op.h.end, end) && !op.h.archived && !op.h.aborted);
		size_t before = p.text.n;
		pen_plain(&p, "init", EVENT_ARCHIVED);
		CHECK_INT(op_fold(&op, p.text.p + before, p.text.n - before), FOLD_OK);
		CHECK(op.h.archived && op.h.ended_ms == T0 + 100);
		op_free(&op);
		buf_free(&p.text);
	}
}

/* An abort by the mode bit has no abort.set: the end is all that says it, also in a copy of the folder. */
static void
an_end_tells_that_it_was_aborted(void)
{
	struct pen p = {.at_ms = T0};
	pen_create(&p);
	json_put_bool(pen_begin(&p, "init", EVENT_COMPLETED), "aborted", true);
	pen_end(&p);
	struct op op = folded(&p, true, FOLD_OK);
	CHECK(op.h.aborted);
	op_free(&op);
	buf_free(&p.text);
}

static void
logs_are_counted(void)
{
	static const char *const levels[] = {"debug", "info", "warning", "error", "warning", "odd", "warnings"};
	struct pen p = {.at_ms = T0};
	pen_create(&p);
	for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
		p.at_ms++;
		json_put(pen_begin(&p, "init", EVENT_LOG), "level", levels[i]);
		pen_end(&p);
	}
	struct op op = folded(&p, false, FOLD_OK);
	CHECK(op.h.logs == 7 && op.h.warnings == 2 && op.h.errors == 1);
	CHECK(op.h.changed_ms == T0 + 7 && op_person(&op, "init")->seen_ms == T0 + 7);
	op_free(&op);
	buf_free(&p.text);
}

static void
unknown_events_are_kept_and_skipped(void)
{
	struct pen p = {.at_ms = T0};
	pen_create(&p);
	struct op want = folded(&p, true, FOLD_OK);
	buf_str(&p.text, "{\"seq\":2,\"at\":\"1970-01-01T00:00:02.000Z\",\"by\":\"newer\",\"event\":\"weather.changed\",\"to\":{\"sun\":[1]}}\n");
	p.seq++;
	pen_plain(&p, "other", EVENT_CALL_CANCELLING);
	pen_plain(&p, "other", EVENT_PROGRESS);
	pen_plain(&p, "other", EVENT_RESOURCE_MADE);
	pen_plain(&p, "other", EVENT_CLEANUP_DONE);
	struct op op = folded(&p, true, FOLD_OK);
	CHECK_INT(op.h.seq, 6);
	CHECK_INT(op.h.offset, p.text.n);
	CHECK(op.people.n == want.people.n && op.sessions.n == want.sessions.n && op.calls.n == 0 && op.h.state == OP_RUNNING && op.h.logs == 0);
	op_free(&op);
	op_free(&want);
	buf_free(&p.text);
}

/* --- death, and what is told of a work --- */

static void
a_participant_dies(void)
{
	for (int keep = 0; keep < 2; keep++) {
		struct pen p = {.at_ms = T0};
		pen_create(&p);
		pen_session(&p, "w", EVENT_JOINED, 2);
		pen_session(&p, "w", EVENT_JOINED, 3);
		pen_session(&p, "v", EVENT_JOINED, 4);
		pen_held(&p, "w", "held", 2);
		pen_call(&p, "w", EVENT_CALL_STARTED, "leased");
		pen_call(&p, "init", EVENT_CALL_CRASHED, "leased");
		p.at_ms += 50;
		struct line death = pen_crash(&p, "init", "w", NULL);
		struct op op = folded(&p, keep, FOLD_OK);
		CHECK(op.h.crashes == 1 && same_line(op.h.crash, death) && op.h.state == OP_RUNNING && !op.h.aborted);
		/* All its sessions are over, those of others are not; who died is remembered. */
		struct op_person *w = op_person(&op, "w");
		if (CHECK(w)) {
			CHECK(w->sessions == 0 && same_line(w->death, death) && w->calls == 1 && !op_newest_session(&op, w));
			CHECK(op_person_no(&op, w->no) == w);
		}
		for (uint64_t id = 2; id <= 3; id++) {
			struct op_session *s = op_session(&op, id);
			CHECK(keep ? s && s->left_ms == T0 + 50 : !s);
		}
		CHECK(op_session(&op, 1) && op_session(&op, 4) && op_person(&op, "v")->sessions == 1 && !op_person(&op, "v")->death.len);
		/* A held call lives by its supervisor. */
		struct op_call *held = op_call(&op, "held");
		CHECK(held && held->held && held->pid == 4711 && !op_call(&op, "leased"));
		CHECK(op_running(&op) == 1 && op.h.calls_crashed == 1);
		/* Its leaving afterwards is nothing any more, neither is its dying again, but that is counted. */
		pen_session(&p, "w", EVENT_LEFT, 2);
		pen_session(&p, "w", EVENT_LEFT, 3);
		struct line again = pen_crash(&p, "v", "w", NULL);
		fold_on(&op, &p);
		w = op_person(&op, "w");
		CHECK(w && w->sessions == 0 && same_line(w->death, again) && op.h.crashes == 2 && same_line(op.h.crash, death));
		/* The call ends in good order, and still it is remembered. */
		pen_call(&p, "w", EVENT_CALL_ENDED, "held");
		fold_on(&op, &p);
		w = op_person(&op, "w");
		CHECK(w && w->calls == 0 && w->death.len);
		/* It joins again: alive, under its old number. */
		uint64_t no = w ? w->no : 0;
		pen_session(&p, "w", EVENT_JOINED, 5);
		fold_on(&op, &p);
		w = op_person(&op, "w");
		CHECK(w && w->no == no && w->sessions == 1 && !w->death.len && op_newest_session(&op, w) == op_session(&op, 5));
		/* The first crash stays what happened to the operation. */
		CHECK(op.h.crashes == 2 && same_line(op.h.crash, death));
		pen_session(&p, "w", EVENT_LEFT, 5);
		fold_on(&op, &p);
		CHECK(keep ? op_person(&op, "w") != NULL : !op_person(&op, "w"));
		op_free(&op);
		buf_free(&p.text);
	}
}

/* A call's death is its owner's only in name. */
static void
a_call_dies(void)
{
	for (int keep = 0; keep < 2; keep++) {
		struct pen p = {.at_ms = T0};
		pen_create(&p);
		pen_session(&p, "w", EVENT_JOINED, 2);
		pen_held(&p, "w", "c", 2);
		pen_call(&p, "init", EVENT_CALL_CRASHED, "c");
		struct line death = pen_crash(&p, "init", "w", "c");
		struct op op = folded(&p, keep, FOLD_OK);
		struct op_person *w = op_person(&op, "w");
		CHECK(op.h.crashes == 1 && same_line(op.h.crash, death) && op.h.calls_crashed == 1 && op_running(&op) == 0);
		CHECK(w && w->sessions == 1 && !w->death.len && w->calls == 0 && op_session(&op, 2)->calls == 0);
		op_free(&op);
		buf_free(&p.text);
	}
}

static void
deaths_of_nobody(void)
{
	for (int keep = 0; keep < 2; keep++) {
		struct pen p = {.at_ms = T0};
		pen_create(&p);
		pen_session(&p, "w", EVENT_JOINED, 2);
		pen_session(&p, "w", EVENT_LEFT, 2);
		pen_crash(&p, "init", "never", NULL);
		pen_crash(&p, "init", "never", "nor this");
		pen_plain(&p, "init", EVENT_CRASH_DETECTED); /* whose? */
		pen_crash(&p, "stranger", "w", NULL);
		struct op op = folded(&p, keep, FOLD_OK);
		CHECK(op.h.crashes == 4 && op.h.crash.len && op_person(&op, "init")->sessions == 1);
		CHECK(!op_person(&op, "never") && !op_person(&op, "stranger"));
		op_free(&op);
		buf_free(&p.text);
	}
}

static void
the_initiator_dies(void)
{
	struct pen p = {.at_ms = T0};
	pen_create(&p);
	pen_crash(&p, "w", "init", NULL);
	struct op op = folded(&p, false, FOLD_OK);
	CHECK(op_person(&op, "init") && op_person(&op, "init")->death.len && !op_session(&op, 1) && op.sessions.n == op.sessions.gone);
	CHECK_TEXT(op.h.initiator, "init");
	pen_plain(&p, "init", EVENT_FAILED);
	pen_plain(&p, "init", EVENT_ARCHIVED);
	fold_on(&op, &p);
	CHECK(op.h.state == OP_FAILED && op.h.archived);
	op_free(&op);
	buf_free(&p.text);
}

static void
progress_is_the_newest(void)
{
	for (int keep = 0; keep < 2; keep++) {
		struct pen p = {.at_ms = T0};
		pen_create(&p);
		pen_session(&p, "w", EVENT_JOINED, 2);
		pen_call(&p, "w", EVENT_CALL_STARTED, "c");
		struct op op = folded(&p, keep, FOLD_OK);
		CHECK(!op_person(&op, "w")->progress.len && !op_call(&op, "c")->progress.len);
		struct line own = pen_progress(&p, "w", NULL), of_call = pen_progress(&p, "init", "c");
		fold_on(&op, &p);
		CHECK(same_line(op_person(&op, "w")->progress, own) && same_line(op_call(&op, "c")->progress, of_call) && !op_person(&op, "init")->progress.len);
		own = pen_progress(&p, "w", NULL);
		pen_progress(&p, "w", "never");  /* of no call that runs: nobody's */
		pen_progress(&p, "guest", NULL); /* of nobody who takes part */
		fold_on(&op, &p);
		CHECK(same_line(op_person(&op, "w")->progress, own) && !op_person(&op, "guest"));
		pen_call(&p, "w", EVENT_CALL_ENDED, "c");
		pen_progress(&p, "w", "c");
		fold_on(&op, &p);
		CHECK(!op_call(&op, "c") && (!keep || same_line(((struct op_call *)table_at(&op.calls, 0))->progress, of_call)));
		/* The same id again is another call. */
		pen_call(&p, "w", EVENT_CALL_STARTED, "c");
		fold_on(&op, &p);
		CHECK(op_call(&op, "c") && !op_call(&op, "c")->progress.len);
		op_free(&op);
		buf_free(&p.text);
	}
}

static void
leases(void)
{
	for (int given = 0; given < 2; given++) {
		struct pen p = {.at_ms = T0};
		struct buf *b = pen_begin(&p, "init", EVENT_CREATED);
		json_put_int(b, "format", 1);
		json_put(b, "operationId", "20261122T143045.123Z-cli-a1b2c3d4");
		json_put_int(b, "sessionId", 1);
		json_put_int(b, "ttlMs", 5000);
		if (given)
			json_put_bool(b, "ttlGiven", true);
		pen_end(&p);
		pen_session(&p, "w", EVENT_JOINED, 2);
		b = pen_begin(&p, "v", EVENT_JOINED);
		json_put_int(b, "sessionId", 3);
		json_put_int(b, "ttlMs", 70);
		pen_end(&p);
		struct op op = folded(&p, false, FOLD_OK);
		static const int64_t want[] = {5000, 5000, 70};
		for (uint64_t id = 1; id <= 3; id++) {
			bool asked = false;
			CHECK_INT(op_ttl(&op, op_session(&op, id), &asked), want[id - 1]);
			CHECK(asked == (given || id == 3));
		}
		op_free(&op);
		buf_free(&p.text);
	}
}

/* --- where it stops --- */

static void
stops_at_a_seq_or_a_time(void)
{
	struct pen p = {.at_ms = T0};
	pen_create(&p);
	for (int i = 2; i <= 10; i++) {
		p.at_ms = T0 + i * 10;
		pen_plain(&p, "init", EVENT_LOG);
	}
	for (uint64_t stop = 0; stop <= 12; stop++) {
		struct op op;
		op_init(&op, true);
		op.stop_seq = stop;
		CHECK_INT(op_fold(&op, p.text.p, p.text.n), stop < 10 ? FOLD_STOPPED : FOLD_OK);
		CHECK_INT(op.h.seq, stop < 10 ? stop : 10);
		op_free(&op);
		op_init(&op, true);
		op.stop_ms = T0 + (int64_t)stop * 10 + 5;
		CHECK_INT(op_fold(&op, p.text.p, p.text.n), stop < 10 ? FOLD_STOPPED : FOLD_OK);
		CHECK_INT(op.h.seq, stop >= 10 ? 10 : stop ? stop : 1);
		op_free(&op);
		op_init(&op, true);
		op.stop_ms = T0 + 30;
		CHECK_INT(op_fold(&op, p.text.p, p.text.n), FOLD_STOPPED);
		CHECK_INT(op.h.seq, 3); /* the moment itself belongs to it */
		op_free(&op);
	}
	buf_free(&p.text);
}

static void
wrong_lines_are_damage(void)
{
#define AT "\"at\":\"1970-01-01T00:00:02.000Z\""
	static const char *const bad[] = {
		"\n", " \n", "x\n", "{\n", "{}\n", "[]\n", "null\n",
		"{\"seq\":2," AT ",\"by\":\"a\",\"event\":\"log\"\n",          /* not closed */
		"{\"seq\":2," AT ",\"by\":\"a\",\"event\":\"log\"}}\n",
		"{\"seq\":2," AT ",\"by\":\"a\",\"event\":\"log\"} {}\n",
		"{\"seq\":2," AT ",\"by\":\"a\"}\n",                            /* no event */
		"{\"seq\":2,\"by\":\"a\",\"event\":\"log\"}\n",                 /* no time */
		"{" AT ",\"by\":\"a\",\"event\":\"log\"}\n",                    /* no seq */
		"{\"seq\":1," AT ",\"by\":\"a\",\"event\":\"log\"}\n",          /* twice */
		"{\"seq\":3," AT ",\"by\":\"a\",\"event\":\"log\"}\n",          /* a gap */
		"{\"seq\":0," AT ",\"by\":\"a\",\"event\":\"log\"}\n",
		"{\"seq\":-2," AT ",\"by\":\"a\",\"event\":\"log\"}\n",
		"{\"seq\":\"2\"," AT ",\"by\":\"a\",\"event\":\"log\"}\n",
		"{\"seq\":2,\"at\":\"never\",\"by\":\"a\",\"event\":\"log\"}\n",
		"{\"seq\":2," AT ",\"by\":\"a\",\"event\":\"operation.created\",\"format\":1}\n", /* a second beginning */
		"{\"seq\":2," AT ",\"by\":\"a\",\"event\":\"log\",\"message\":\"\xff\"}\n",
		"{\"seq\":2," AT ",\"by\":\"a\",\"event\":\"log\",\"message\":5}\n",
		"{\"seq\":2," AT ",\"by\":\"a\",\"event\":\"log\",\"message\":\"\t\"}\n",
	};
#undef AT
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct pen p = {.at_ms = T0};
		pen_create(&p);
		size_t whole = p.text.n;
		buf_str(&p.text, bad[i]);
		p.seq++;
		pen_plain(&p, "init", EVENT_LOG);
		struct op op = folded(&p, false, FOLD_DAMAGED);
		if (!CHECK(op.wrong && op.h.seq == 1 && op.h.offset == whole))
			printf("# line %zu: %s", i, bad[i]);
		/* It says the same when asked again, and nothing of the line was taken. */
		CHECK_INT(op_fold(&op, p.text.p + whole, p.text.n - whole), FOLD_DAMAGED);
		CHECK(op.h.seq == 1 && op.people.n == 1 && op.h.logs == 0);
		op_free(&op);
		buf_free(&p.text);
	}
}

static void
the_first_line_must_be_the_beginning(void)
{
	static const struct {
		const char *line;
		enum fold want;
	} cases[] = {
		{"{\"seq\":1,\"at\":\"1970-01-01T00:00:02.000Z\",\"by\":\"a\",\"event\":\"log\"}\n", FOLD_DAMAGED},
		{"{\"seq\":2,\"at\":\"1970-01-01T00:00:02.000Z\",\"by\":\"a\",\"event\":\"operation.created\",\"format\":1}\n", FOLD_DAMAGED},
		{"{\"seq\":1,\"at\":\"1970-01-01T00:00:02.000Z\",\"by\":\"a\",\"event\":\"operation.created\"}\n", FOLD_DAMAGED},
		{"{\"seq\":1,\"at\":\"1970-01-01T00:00:02.000Z\",\"by\":\"a\",\"event\":\"operation.created\",\"format\":0}\n", FOLD_DAMAGED},
		{"{\"seq\":1,\"at\":\"1970-01-01T00:00:02.000Z\",\"by\":\"a\",\"event\":\"operation.created\",\"format\":1}\n", FOLD_OK},
		{"{\"seq\":1,\"at\":\"1970-01-01T00:00:02.000Z\",\"by\":\"a\",\"event\":\"operation.created\",\"format\":2}\n", FOLD_FORMAT},
		{"{\"seq\":1,\"at\":\"1970-01-01T00:00:02.000Z\",\"by\":\"a\",\"event\":\"operation.created\",\"format\":9007199254740991}\n", FOLD_FORMAT},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct op op;
		op_init(&op, false);
		CHECK_INT(op_fold(&op, cases[i].line, strlen(cases[i].line)), cases[i].want);
		CHECK_INT(op.h.seq, cases[i].want == FOLD_OK ? 1 : 0);
		op_free(&op);
	}
}

static void
NULs_are_told_from_other_damage(void)
{
	static const struct {
		const char *bytes;
		size_t n;
		enum fold want;
	} cases[] = {
		{"\0\0\0\0", 4, FOLD_OK}, /* no newline yet: a tail */
		{"\0\0\0\0\n", 5, FOLD_NULS},
		{"{\"seq\":2,\0\0\0\0\n", 14, FOLD_NULS},
		{"\0{\"seq\":2,\"at\":\"1970-01-01T00:00:02.000Z\",\"by\":\"a\",\"event\":\"log\"}\n", 66, FOLD_NULS},
		{"garbage\n\0\0\0", 11, FOLD_DAMAGED}, /* the NULs stand in the next line */
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct pen p = {.at_ms = T0};
		pen_create(&p);
		size_t whole = p.text.n;
		buf_add(&p.text, cases[i].bytes, cases[i].n);
		struct op op = folded(&p, false, cases[i].want);
		CHECK(op.h.seq == 1 && op.h.offset == whole);
		op_free(&op);
		buf_free(&p.text);
	}
}

static void
a_torn_last_line_is_left_alone(void)
{
	struct pen p = {.at_ms = T0};
	pen_create(&p);
	size_t whole = p.text.n;
	json_put(pen_begin(&p, "init", EVENT_LOG), "message", "torn");
	pen_end(&p);
	for (size_t n = whole; n < p.text.n; n++) {
		struct op op;
		op_init(&op, false);
		CHECK_INT(op_fold(&op, p.text.p, n), FOLD_OK);
		CHECK(op.h.seq == 1 && op.h.offset == whole && op.h.logs == 0);
		/* The rest comes: it is taken once. */
		CHECK_INT(op_fold(&op, p.text.p + whole, p.text.n - whole), FOLD_OK);
		CHECK(op.h.seq == 2 && op.h.offset == p.text.n && op.h.logs == 1);
		CHECK_INT(op_fold(&op, p.text.p + op.h.offset, 0), FOLD_OK);
		op_free(&op);
	}
	buf_free(&p.text);
}

static void
lines_up_to_64_KiB(void)
{
	for (int over = 0; over < 2; over++) {
		struct pen p = {.at_ms = T0};
		pen_create(&p);
		size_t start = p.text.n;
		struct buf message = {0};
		struct buf *b = pen_begin(&p, "init", EVENT_LOG);
		size_t frame = p.text.n - start + strlen(",\"message\":\"\"}\n");
		for (size_t i = frame; i < ENTRY_MAX + (size_t)over; i++)
			buf_char(&message, 'm');
		json_put(b, "message", message.p);
		pen_end(&p);
		CHECK_INT(p.text.n - start, ENTRY_MAX + over);
		struct op op = folded(&p, false, over ? FOLD_DAMAGED : FOLD_OK);
		CHECK_INT(op.h.seq, over ? 1 : 2);
		op_free(&op);
		buf_free(&message);
		buf_free(&p.text);
	}
}

/* --- a hundred thousand lines --- */

static void
a_hundred_thousand_lines(void)
{
	struct pen p = {.at_ms = T0};
	pen_create(&p);
	for (int i = 0; p.seq < 100000; i++) {
		char id[40];
		p.at_ms++;
		snprintf(id, sizeof id, "call_init_%d_abcd", i);
		pen_call(&p, "init", EVENT_CALL_STARTED, id);
		pen_plain(&p, "init", EVENT_LOG);
		if (i >= 20) {
			snprintf(id, sizeof id, "call_init_%d_abcd", i - 20);
			pen_call(&p, "init", i % 3 ? EVENT_CALL_ENDED : EVENT_CALL_FAILED, id);
		}
		if (i % 50 == 0) {
			pen_session(&p, "guest", EVENT_JOINED, 2 + i / 50);
			pen_session(&p, "guest", EVENT_LEFT, 2 + i / 50);
		}
	}
	int64_t start = clock_mono_ms();
	struct op live = folded(&p, false, FOLD_OK), all = folded(&p, true, FOLD_OK);
	int64_t took = clock_mono_ms() - start;
	CHECK(live.h.seq == p.seq && live.h.offset == p.text.n);
	CHECK(memcmp(&live.h.calls_started, &all.h.calls_started, 5 * sizeof(uint64_t)) == 0);
	CHECK_INT(op_running(&live), op_running(&all));
	CHECK(op_running(&live) >= 19 && op_running(&live) <= 21);
	CHECK(live.calls.cap <= 256 && live.people.cap <= 256 && live.sessions.cap <= 256);
	CHECK_INT(all.calls.n, all.h.calls_started);
	if (!getenv("SANITIZED") && !CHECK(took < 5000))
		printf("# %d ms\n", (int)took);
	op_free(&live);
	op_free(&all);
	buf_free(&p.text);
}

/* --- against a simple model: plain arrays, searched from end to end, told of each event directly --- */

enum { M_PEOPLE = 8, M_MAX = 500 };

struct model {
	struct {
		bool there;             /* in the live state */
		bool ever;
		int64_t joined, first_joined, seen;
		int sessions, calls, started, all_started;
		struct line death, progress, ever_death, ever_progress; /* the latter two with history */
	} person[M_PEOPLE];
	struct {
		int person;
		bool live;
		int64_t joined, left, ttl;
		int calls;
	} session[M_MAX];
	struct {
		char id[24];
		int person, session;
		uint64_t seq, parent;
		bool running, queued, cancelling, foc, held;
		int64_t started, ended, pid;
		enum call_state state;
		struct line start, end, progress;
	} call[M_MAX];
	int sessions, calls;
	uint64_t counts[5];
	uint64_t logs, warnings, errors, crashes;
	bool aborted, archived;
	enum op_state state;
	int64_t ended, changed;
	struct line abort, end, crash;
};

static const char *
m_name(int i)
{
	static const char *const names[M_PEOPLE] = {"init", "w1", "worker 2", "caf\xc3\xa9", "it's", "a/b", "x", "\"quoted\""};
	return names[i];
}

static void
m_arrive(struct model *m, int who, int64_t at)
{
	if (!m->person[who].there) {
		m->person[who].there = true;
		m->person[who].joined = at;
		m->person[who].started = 0;
		m->person[who].sessions = m->person[who].calls = 0;
		m->person[who].death = m->person[who].progress = (struct line){0};
	}
	if (!m->person[who].ever) {
		m->person[who].ever = true;
		m->person[who].first_joined = at;
	}
}

static void
m_idle(struct model *m, int who)
{
	if (!m->person[who].sessions && !m->person[who].calls && !m->person[who].death.len)
		m->person[who].there = false;
}

/* All its sessions are over. */
static void
m_die(struct model *m, int who, int64_t at, struct line line)
{
	if (m->person[who].there)
		m->person[who].death = line;
	if (m->person[who].ever)
		m->person[who].ever_death = line;
	for (int i = 0; i < m->sessions; i++)
		if (m->session[i].live && m->session[i].person == who) {
			m->session[i].live = false;
			m->session[i].left = at;
			m->person[who].sessions--;
		}
}

static void
m_join(struct model *m, int who, int64_t at, int64_t ttl)
{
	m_arrive(m, who, at);
	int s = m->sessions++;
	m->session[s].person = who;
	m->session[s].live = true;
	m->session[s].joined = at;
	m->session[s].left = -1;
	m->session[s].ttl = ttl;
	m->session[s].calls = 0;
	m->person[who].sessions++;
	m->person[who].death = m->person[who].ever_death = (struct line){0};
}

/* One random event, written with the pen and told to the model. */
static void
m_step(struct model *m, struct pen *p)
{
	int who = (int)unit_below(M_PEOPLE);
	p->at_ms += unit_below(3);
	int64_t at = p->at_ms;
	switch (unit_below(12)) {
	case 0: {
		int64_t ttl = unit_below(2) ? -1 : (int64_t)unit_below(100000);
		struct buf *b = pen_begin(p, m_name(who), EVENT_JOINED);
		json_put_int(b, "sessionId", m->sessions + 1);
		if (ttl >= 0)
			json_put_int(b, "ttlMs", ttl);
		pen_end(p);
		m_join(m, who, at, ttl);
		break;
	}
	case 1: {
		int s = (int)unit_below((uint32_t)m->sessions + 2);
		pen_session(p, m_name(who), EVENT_LEFT, s + 1);
		if (s < m->sessions && m->session[s].live) {
			int owner = m->session[s].person;
			m->session[s].live = false;
			m->session[s].left = at;
			m->person[owner].sessions--;
			m_idle(m, owner);
		}
		break;
	}
	case 2:
	case 3:
	case 4: {
		int c = m->calls++, s = (int)unit_below((uint32_t)m->sessions), parent = c ? (int)unit_below((uint32_t)c) : -1;
		snprintf(m->call[c].id, sizeof m->call[c].id, "call_%d_x", c);
		m->call[c].foc = unit_below(4) != 0;
		m->call[c].queued = unit_below(3) == 0;
		m->call[c].cancelling = false;
		struct buf *b = pen_begin(p, m_name(who), m->call[c].queued ? EVENT_CALL_QUEUED : EVENT_CALL_STARTED);
		json_put(b, "callId", m->call[c].id);
		m->call[c].session = -1;
		if (m->session[s].live) {
			json_put_int(b, "sessionId", s + 1);
			m->call[c].session = s;
			m->session[s].calls++;
		}
		m->call[c].parent = 0;
		if (parent >= 0 && unit_below(2)) {
			json_put(b, "parentId", m->call[parent].id);
			m->call[c].parent = m->call[parent].running ? m->call[parent].seq : 0;
		}
		if (!m->call[c].foc)
			json_put_bool(b, "failOnCrash", false);
		if ((m->call[c].held = unit_below(3) == 0))
			json_put_bool(b, "held", true);
		m->call[c].pid = unit_below(2) ? -1 : (int64_t)unit_below(30000);
		if (m->call[c].pid >= 0)
			json_put_int(b, m->call[c].queued ? "supervisorPid" : "pid", m->call[c].pid);
		m->call[c].progress = (struct line){0};
		m->call[c].start = pen_end(p);
		m_arrive(m, who, at);
		m->call[c].person = who;
		m->call[c].seq = p->seq;
		m->call[c].running = true;
		m->call[c].state = CALL_RUNNING;
		m->call[c].started = at;
		m->call[c].ended = -1;
		m->person[who].calls++;
		m->person[who].started++;
		m->person[who].all_started++;
		m->counts[0]++;
		break;
	}
	case 5:
	case 6: {
		int c = (int)unit_below((uint32_t)m->calls + 1);
		enum call_state state = CALL_ENDED + unit_below(4);
		static const enum event events[] = {EVENT_UNKNOWN, EVENT_CALL_ENDED, EVENT_CALL_FAILED, EVENT_CALL_CRASHED, EVENT_CALL_CANCELLED};
		struct line line = pen_call(p, m_name(who), events[state], c < m->calls ? m->call[c].id : "call_never");
		if (c < m->calls && m->call[c].running) {
			int owner = m->call[c].person;
			m->call[c].running = m->call[c].cancelling = false;
			m->call[c].state = state;
			m->call[c].ended = at;
			m->call[c].end = line;
			m->counts[state]++;
			m->person[owner].calls--;
			if (m->call[c].session >= 0)
				m->session[m->call[c].session].calls--;
			m_idle(m, owner);
		}
		break;
	}
	case 7: {
		static const char *const levels[] = {"debug", "info", "warning", "error"};
		int level = (int)unit_below(4);
		json_put(pen_begin(p, m_name(who), EVENT_LOG), "level", levels[level]);
		pen_end(p);
		m->logs++;
		m->warnings += level == 2;
		m->errors += level == 3;
		break;
	}
	case 8:
		m->aborted = unit_below(2);
		m->abort = pen_plain(p, m_name(who), m->aborted ? EVENT_ABORT_SET : EVENT_ABORT_CLEARED);
		if (!m->aborted)
			m->abort = (struct line){0};
		break;
	case 9: {
		int victim = (int)unit_below(M_PEOPLE);
		char of_call[] = "call_0_x";
		bool call = unit_below(3) == 0;
		struct line line = pen_crash(p, m_name(who), m_name(victim), call ? of_call : NULL);
		if (m->crashes++ == 0)
			m->crash = line;
		if (!call)
			m_die(m, victim, at, line);
		break;
	}
	case 10: {
		int c = (int)unit_below((uint32_t)m->calls + 1);
		bool own = unit_below(2);
		struct line line = pen_progress(p, m_name(who), own ? NULL : c < m->calls ? m->call[c].id : "call_never");
		if (!own && c < m->calls && m->call[c].running)
			m->call[c].progress = line;
		if (own && m->person[who].there)
			m->person[who].progress = line;
		if (own && m->person[who].ever)
			m->person[who].ever_progress = line;
		break;
	}
	default: {
		int c = (int)unit_below((uint32_t)m->calls + 1);
		bool there = c < m->calls && m->call[c].running;
		if (there && m->call[c].queued) {
			struct buf *b = pen_begin(p, m_name(who), EVENT_CALL_STARTED);
			json_put(b, "callId", m->call[c].id);
			json_put_int(b, "pid", 4711);
			m->call[c].start = pen_end(p);
			m->call[c].queued = false;
			m->call[c].started = at;
			m->call[c].pid = 4711;
		} else {
			(void)pen_call(p, m_name(who), EVENT_CALL_CANCELLING, c < m->calls ? m->call[c].id : "call_never");
			if (there)
				m->call[c].cancelling = true;
		}
		break;
	}
	}
	m->person[who].seen = at;
	m->changed = at;
}

static bool
m_agrees(const struct model *m, struct op *op, const struct pen *p)
{
	const struct op_head *h = &op->h;
	bool ok = CHECK(h->seq == p->seq && h->offset == p->text.n && h->changed_ms == m->changed);
	ok &= CHECK(h->calls_started == m->counts[0] && h->calls_ended == m->counts[1] && h->calls_failed == m->counts[2] && h->calls_crashed == m->counts[3] &&
		h->calls_cancelled == m->counts[4]);
	ok &= CHECK(h->logs == m->logs && h->warnings == m->warnings && h->errors == m->errors && h->aborted == m->aborted && same_line(h->abort, m->abort));
	ok &= CHECK(h->state == m->state && h->archived == m->archived && h->ended_ms == m->ended && same_line(h->end, m->end));
	ok &= CHECK(h->sessions == (uint64_t)m->sessions && h->crashes == m->crashes && same_line(h->crash, m->crash));
	uint32_t people = 0;
	uint64_t queued = 0;
	for (int i = 0; i < M_PEOPLE; i++) {
		struct op_person *q = op_person(op, m_name(i));
		if (!(op->keep ? m->person[i].ever : m->person[i].there)) {
			ok &= CHECK(!q);
			continue;
		}
		people++;
		if (!(ok &= CHECK(q)))
			continue;
		ok &= CHECK(op_person_no(op, q->no) == q);
		ok &= CHECK(q->seen_ms == m->person[i].seen);
		ok &= CHECK(q->joined_ms == (op->keep ? m->person[i].first_joined : m->person[i].joined));
		ok &= CHECK_INT(q->sessions, m->person[i].sessions);
		ok &= CHECK_INT(q->calls, m->person[i].calls);
		ok &= CHECK_INT(q->calls_started, op->keep ? m->person[i].all_started : m->person[i].started);
		ok &= CHECK(same_line(q->death, op->keep ? m->person[i].ever_death : m->person[i].death));
		ok &= CHECK(same_line(q->progress, op->keep ? m->person[i].ever_progress : m->person[i].progress));
	}
	ok &= CHECK_INT(op->people.n - op->people.gone, people);
	uint32_t sessions = 0;
	for (int i = 0; i < m->sessions; i++) {
		struct op_session *s = op_session(op, (uint64_t)i + 1);
		if (!op->keep && !m->session[i].live) {
			ok &= CHECK(!s);
			continue;
		}
		sessions++;
		if (!(ok &= CHECK(s)))
			continue;
		struct op_person *owner = op_person_no(op, s->person);
		ok &= CHECK(owner && strcmp(owner->key.name, m_name(m->session[i].person)) == 0);
		ok &= CHECK(s->joined_ms == m->session[i].joined && s->left_ms == m->session[i].left && s->ttl_ms == m->session[i].ttl);
		ok &= CHECK_INT(s->calls, m->session[i].calls);
	}
	ok &= CHECK_INT(op->sessions.n - op->sessions.gone, sessions);
	uint32_t at = 0;
	for (int i = 0; i < m->calls; i++) {
		if (!op->keep && !m->call[i].running) {
			ok &= CHECK(!op_call(op, m->call[i].id));
			continue;
		}
		while (at < op->calls.n && ((struct op_call *)table_at(&op->calls, at))->key.gone)
			at++;
		if (!(ok &= CHECK(at < op->calls.n)))
			break;
		struct op_call *c = table_at(&op->calls, at++);
		struct op_person *owner = op_person_no(op, c->person);
		ok &= CHECK(op_call(op, m->call[i].id) == (m->call[i].running ? c : NULL));
		ok &= CHECK_TEXT(c->key.name, m->call[i].id);
		ok &= CHECK(owner && strcmp(owner->key.name, m_name(m->call[i].person)) == 0);
		ok &= CHECK(c->seq == m->call[i].seq && c->parent == m->call[i].parent && c->session == (uint64_t)(m->call[i].session + 1));
		ok &= CHECK(c->started_ms == m->call[i].started && c->ended_ms == m->call[i].ended && c->state == m->call[i].state && c->fail_on_crash == m->call[i].foc);
		ok &= CHECK(same_line(c->start, m->call[i].start) && same_line(c->end, m->call[i].end) && same_line(c->progress, m->call[i].progress));
		ok &= CHECK(c->held == m->call[i].held && c->pid == m->call[i].pid && c->queued == m->call[i].queued && c->cancelling == m->call[i].cancelling);
		queued += m->call[i].running && m->call[i].queued;
	}
	while (at < op->calls.n && ((struct op_call *)table_at(&op->calls, at))->key.gone)
		at++;
	ok &= CHECK_INT(at, op->calls.n);
	ok &= CHECK_INT(h->queued, queued);
	return ok;
}

/* The head alone knows what the others know of the operation as a whole. */
static bool
same_head(const struct op_head *a, const struct op_head *b)
{
	bool ok = CHECK(a->seq == b->seq && a->offset == b->offset && a->format == b->format);
	ok &= CHECK(same_line(a->first, b->first) && same_line(a->last, b->last) && same_line(a->abort, b->abort) && same_line(a->end, b->end) &&
		same_line(a->crash, b->crash));
	ok &= CHECK(a->created_ms == b->created_ms && a->changed_ms == b->changed_ms && a->ended_ms == b->ended_ms);
	ok &= CHECK(a->beat_ms == b->beat_ms && a->jitter_ms == b->jitter_ms && a->stale_ms == b->stale_ms && a->ttl_ms == b->ttl_ms &&
		a->window_ms == b->window_ms && a->ttl_given == b->ttl_given);
	ok &= CHECK(a->state == b->state && a->aborted == b->aborted && a->archived == b->archived && a->crashes == b->crashes);
	ok &= CHECK_TEXT(a->id, b->id) && CHECK_TEXT(a->initiator, b->initiator);
	return ok;
}

/* A model and its journal, of so many steps, that may end. */
static void
m_write(struct model *m, struct pen *p, int steps)
{
	*p = (struct pen){.at_ms = T0};
	*m = (struct model){.ended = -1};
	pen_create(p);
	m_join(m, 0, T0, -1);
	m->person[0].seen = m->changed = T0;
	for (int i = 0; i < steps; i++)
		m_step(m, p);
	if (unit_below(3) == 0) {
		p->at_ms++;
		m->state = unit_below(2) ? OP_COMPLETED : OP_FAILED;
		m->end = pen_plain(p, "init", m->state == OP_FAILED ? EVENT_FAILED : EVENT_COMPLETED);
		pen_plain(p, "init", EVENT_ARCHIVED);
		m->archived = true;
		m->person[0].seen = m->changed = m->ended = p->at_ms;
	}
}

static void
the_head_alone_is_the_head_of_all(void)
{
	static struct model m;
	for (int round = 0; round < 3000; round++) {
		struct pen p;
		m_write(&m, &p, (int)unit_below(60));
		struct op all = folded(&p, round % 2, FOLD_OK), head;
		op_init(&head, false);
		head.head = true;
		bool ok = true;
		for (size_t n = 0; n < p.text.n;) {
			n += round % 3 ? p.text.n : 1 + unit_below(300);
			n = n > p.text.n ? p.text.n : n;
			ok &= op_fold(&head, p.text.p + head.h.offset, n - head.h.offset) == FOLD_OK;
		}
		ok &= same_head(&head.h, &all.h) && CHECK(!head.people.n && !head.sessions.n && !head.calls.n);
		op_free(&all);
		op_free(&head);
		buf_free(&p.text);
		if (!CHECK(ok))
			return;
	}
}

/* Up to any line by a checkpoint and on from there is the same as all at once. */
static void
through_a_checkpoint(void)
{
	static struct model m;
	char folder[200];
	const char *base = getenv("TMPDIR");
	snprintf(folder, sizeof folder, "%.150s/test_fold.XXXXXX", base ? base : "/tmp");
	int dir = mkdtemp(folder) ? open(folder, O_RDONLY | O_DIRECTORY) : -1;
	if (!CHECK(dir >= 0))
		return;
	for (int round = 0; round < 500; round++) {
		struct pen p;
		m_write(&m, &p, round % 50 ? (int)unit_below(60) : (int)unit_below(M_MAX - 2));
		size_t cut = unit_below((uint32_t)p.text.n);
		while (cut < p.text.n && p.text.p[cut++] != '\n')
			;
		struct op before, live, head;
		uint64_t inode = unit_random(), hash = 0;
		op_init(&before, false);
		bool ok = CHECK_INT(op_fold(&before, p.text.p, cut), FOLD_OK) && CHECK_INT(checkpoint_save(dir, inode, &before, 42), 0);
		op_init(&live, false);
		ok &= CHECK(checkpoint_load(dir, inode, &live, &hash) == 0 && hash == 42);
		ok &= CHECK(memcmp(&live.h, &before.h, sizeof live.h) == 0);
		op_init(&head, false);
		head.head = true;
		ok &= CHECK(checkpoint_load(dir, inode, &head, &hash) == 0 && hash == 42) && same_head(&head.h, &before.h);
		ok = ok && fold_on(&live, &p) && m_agrees(&m, &live, &p);
		ok = ok && fold_on(&head, &p) && same_head(&head.h, &live.h);
		/* Of another journal it is none. */
		struct op other;
		op_init(&other, false);
		ok &= CHECK(checkpoint_load(dir, inode + 1, &other, &hash) < 0 && other.h.seq == 0 && !other.people.n);
		op_free(&other);
		op_free(&before);
		op_free(&live);
		op_free(&head);
		buf_free(&p.text);
		if (!CHECK(ok))
			break;
	}
	(void)unlinkat(dir, "checkpoint", 0);
	close(dir);
	CHECK(rmdir(folder) == 0);
}

static void
random_journals_agree_with_a_simple_model(void)
{
	static struct model m;
	for (int round = 0; round < 4000; round++) {
		uint64_t seed = unit_state;
		struct pen p;
		m_write(&m, &p, round % 100 ? (int)unit_below(40) : (int)unit_below(M_MAX - 2));
		struct op live = folded(&p, false, FOLD_OK), all = folded(&p, true, FOLD_OK), bytes, pieces;
		bool ok = m_agrees(&m, &live, &p) && m_agrees(&m, &all, &p);
		/* The same in pieces of any size: every byte alone is the smallest. */
		op_init(&bytes, false);
		if (round % 8 == 0) {
			for (size_t n = 1; n <= p.text.n; n++)
				ok &= op_fold(&bytes, p.text.p + bytes.h.offset, n - bytes.h.offset) == FOLD_OK;
			ok &= CHECK(memcmp(&bytes.h, &live.h, sizeof live.h) == 0) && m_agrees(&m, &bytes, &p);
		}
		op_init(&pieces, true);
		for (size_t n = 0; n < p.text.n;) {
			n += 1 + unit_below(300);
			n = n > p.text.n ? p.text.n : n;
			ok &= op_fold(&pieces, p.text.p + pieces.h.offset, n - pieces.h.offset) == FOLD_OK;
		}
		ok &= CHECK(memcmp(&pieces.h, &all.h, sizeof all.h) == 0) && m_agrees(&m, &pieces, &p);
		op_free(&live);
		op_free(&all);
		op_free(&bytes);
		op_free(&pieces);
		buf_free(&p.text);
		if (!CHECK(ok)) {
			printf("# round %d, state %" PRIu64 "\n", round, seed);
			return;
		}
	}
}

/* What is damaged at random folds up to some line and stops there; up to it the state is the right one. */
static void
random_damage_stops_at_a_line(void)
{
	static struct model m;
	for (int round = 0; round < 3000; round++) {
		struct pen p = {.at_ms = T0};
		m = (struct model){.ended = -1};
		pen_create(&p);
		m_join(&m, 0, T0, -1);
		for (int i = 0; i < 20; i++)
			m_step(&m, &p);
		size_t at = unit_below((uint32_t)p.text.n);
		char byte = (char)unit_random();
		struct buf hurt = {0};
		buf_add(&hurt, p.text.p, p.text.n);
		hurt.p[at] = byte;
		struct op op, want;
		op_init(&op, true);
		op_init(&want, true);
		enum fold rc = op_fold(&op, hurt.p, hurt.n);
		bool ok = CHECK(rc == FOLD_OK || rc == FOLD_DAMAGED || rc == FOLD_NULS || rc == FOLD_FORMAT);
		ok &= CHECK(rc == FOLD_OK || op.h.offset <= at);
		ok &= CHECK(op.h.offset == 0 || hurt.p[op.h.offset - 1] == '\n');
		if (rc != FOLD_OK) {
			ok &= CHECK_INT(op_fold(&want, p.text.p, op.h.offset), FOLD_OK);
			ok &= CHECK(memcmp(&op.h, &want.h, sizeof op.h) == 0);
		}
		op_free(&op);
		op_free(&want);
		buf_free(&hurt);
		buf_free(&p.text);
		if (!ok)
			return;
	}
}

static void
names_of_states(void)
{
	CHECK_TEXT(op_state_name(OP_RUNNING), "running");
	CHECK_TEXT(op_state_name(OP_CLEANUP), "cleanup");
	CHECK_TEXT(op_state_name(OP_COMPLETED), "completed");
	CHECK_TEXT(op_state_name(OP_FAILED), "failed");
	CHECK_TEXT(call_state_name(CALL_RUNNING), "running");
	CHECK_TEXT(call_state_name(CALL_ENDED), "ended");
	CHECK_TEXT(call_state_name(CALL_FAILED), "failed");
	CHECK_TEXT(call_state_name(CALL_CRASHED), "crashed");
	CHECK_TEXT(call_state_name(CALL_CANCELLED), "cancelled");
}

int
main(void)
{
	RUN(created);
	RUN(joined_and_left);
	RUN(calls);
	RUN(abort_flag);
	RUN(ends);
	RUN(an_end_tells_that_it_was_aborted);
	RUN(logs_are_counted);
	RUN(unknown_events_are_kept_and_skipped);
	RUN(a_participant_dies);
	RUN(a_call_dies);
	RUN(deaths_of_nobody);
	RUN(the_initiator_dies);
	RUN(progress_is_the_newest);
	RUN(leases);
	RUN(stops_at_a_seq_or_a_time);
	RUN(wrong_lines_are_damage);
	RUN(the_first_line_must_be_the_beginning);
	RUN(NULs_are_told_from_other_damage);
	RUN(a_torn_last_line_is_left_alone);
	RUN(lines_up_to_64_KiB);
	RUN(a_hundred_thousand_lines);
	RUN(random_journals_agree_with_a_simple_model);
	RUN(the_head_alone_is_the_head_of_all);
	RUN(through_a_checkpoint);
	RUN(random_damage_stops_at_a_line);
	RUN(names_of_states);
	return unit_end();
}
