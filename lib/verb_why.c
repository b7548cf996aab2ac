/* verb_why: what an operation or a call died of, whom that stopped, what was removed, and what is left to do. */
#include <string.h>

#include "clock.h"
#include "handlers.h"
#include "id.h"
#include "inquest.h"
#include "look.h"
#include "resource.h"

enum {
	LISTED = INQUEST_LISTED, /* of each list in the answer; the rest is counted */
	TEXT_MOST = 1000, /* bytes of a text in it … */
	PATH_MOST = 4096, /* … and of a path or command, which must be whole */
};

/* A text, cut at a character where it is longer than the answer may hold. */
static void
put_cut(struct buf *b, const char *name, struct buf *text, size_t most)
{
	size_t n = text->n;
	if (n > most)
		for (n = most; n && ((unsigned char)text->p[n] & 0xc0) == 0x80; n--)
			;
	if (n < text->n) {
		text->n = n;
		buf_str(text, "…");
	}
	b->failed |= text->failed;
	json_put_n(b, name, text->n ? text->p : "", text->n);
}

/* The same from an entry, nothing where that has none. */
static void
put_text(struct buf *b, const char *name, struct slice s, size_t most)
{
	struct buf text = {0};
	if (!s.p)
		return;
	json_unescape(&text, s.p, s.n);
	put_cut(b, name, &text, most);
	buf_free(&text);
}

static void
put_number(struct buf *b, const char *name, int64_t value)
{
	if (value >= 0)
		json_put_int(b, name, value);
}

/* Begin an object with what every entry has; false where its line cannot be read. */
static bool
open_entry(struct inquest *q, struct buf *b, const char *name, struct line line, struct buf *text, struct entry *e)
{
	if (!line.len || journal_line(q->j, line, text) < 0 || entry_parse(text->p, text->n, e)) {
		if (name)
			json_put(b, name, NULL);
		return false;
	}
	json_open(b, name, '{');
	json_put_int(b, "seq", (int64_t)e->seq);
	json_put_time(b, "at", e->at_ms);
	put_text(b, "by", e->by, TEXT_MOST);
	return true;
}

/* What tells how something ended, and why. */
static void
put_reasons(struct buf *b, const struct entry *e)
{
	put_number(b, "exitStatus", e->exit_status);
	put_number(b, "signal", e->signal);
	put_number(b, "maxRssKib", e->max_rss_kib);
	if (e->oom_killed)
		json_put_bool(b, "oomKilled", true);
	put_text(b, "error", e->error, TEXT_MOST);
	put_text(b, "reason", e->reason, TEXT_MOST);
	put_text(b, "evidence", e->evidence, TEXT_MOST);
}

static void
put_about_call(struct inquest *q, struct buf *b, const struct op_call *c)
{
	struct buf text = {0};
	struct entry e;
	const struct op_person *p = op_person_no(&q->j->op, c->person);
	json_put(b, "callId", c->key.name);
	json_put(b, "participantId", p ? p->key.name : NULL);
	if (journal_line(q->j, c->start, &text) == 0 && !entry_parse(text.p, text.n, &e))
		put_text(b, "description", e.description, TEXT_MOST);
	if (c->ended_ms >= 0) /* where the clock was set back it is 0 */
		json_put_int(b, "durationMs", c->ended_ms > c->started_ms ? c->ended_ms - c->started_ms : 0);
	json_put_bool(b, "failOnCrash", c->fail_on_crash);
	buf_free(&text);
}

/* Entries about calls or participants, each with what it says. */
static void
put_list(struct inquest *q, struct buf *b, const char *name, const struct inquest_list *l)
{
	struct buf text = {0};
	struct entry e;
	json_open(b, name, '{');
	json_put_int(b, "count", (int64_t)l->count);
	json_open(b, "list", '[');
	for (uint64_t i = 0; i < l->count && i < LISTED; i++) {
		const struct inquest_item *item = &l->first[i];
		if (!open_entry(q, b, NULL, item->line, &text, &e))
			continue;
		if (item->call) {
			put_about_call(q, b, item->call);
		} else {
			put_text(b, "callId", e.call_id, TEXT_MOST);
			put_text(b, "participantId", e.participant_id, TEXT_MOST);
		}
		if (e.event >= EVENT_CALL_STARTED && e.event <= EVENT_CALL_CANCELLED)
			json_put(b, "state", call_state_name((enum call_state)(e.event - EVENT_CALL_STARTED)));
		put_number(b, "epoch", e.epoch);
		put_number(b, "pid", e.pid);
		put_text(b, "host", e.host, TEXT_MOST);
		if (item->after)
			json_put(b, "after", item->after == CAUSE_ABORT ? "abort" : "crash");
		put_reasons(b, &e);
		json_close(b, '}');
	}
	json_close(b, ']');
	json_close(b, '}');
	buf_free(&text);
}

/* One entry as a member, null where there is none. */
static void
put_entry(struct inquest *q, struct buf *b, const char *name, struct line line)
{
	struct buf text = {0};
	struct entry e;
	if (open_entry(q, b, name, line, &text, &e)) {
		json_put_n(b, "event", e.kind.p, e.kind.n);
		put_text(b, "callId", e.call_id, TEXT_MOST);
		put_text(b, "participantId", e.participant_id, TEXT_MOST);
		put_number(b, "epoch", e.epoch);
		put_number(b, "removed", e.removed);
		put_number(b, "gone", e.gone);
		put_number(b, "left", e.left);
		put_number(b, "failed", e.failed);
		put_number(b, "leftResources", e.left_resources);
		put_reasons(b, &e);
		json_close(b, '}');
	}
	buf_free(&text);
}

static void
put_logs(struct inquest *q, struct buf *b)
{
	struct buf text = {0};
	struct entry e;
	json_open(b, "log", '{');
	json_put_int(b, "count", (int64_t)q->logs);
	json_open(b, "list", '[');
	for (uint64_t i = q->logs > LISTED ? q->logs - LISTED : 0; i < q->logs; i++)
		if (open_entry(q, b, NULL, q->log[i % LISTED], &text, &e)) {
			put_text(b, "callId", e.call_id, TEXT_MOST);
			put_text(b, "level", e.level, TEXT_MOST);
			put_text(b, "message", e.message, TEXT_MOST);
			json_close(b, '}');
		}
	json_close(b, ']');
	json_close(b, '}');
	buf_free(&text);
}

/* --- temp resources --- */

/* A resource whose owner is no more is removed, or it is said here why it is not. */
static bool
is_mine(const struct inquest *q, const struct op_resource *r)
{
	return !r->key.gone && (!q->call || r->call == q->call->seq);
}

/* `state`: what became of it; NULL: it is still to be removed. */
static void
put_resource(struct inquest *q, struct buf *b, const struct op_resource *r, const char *state)
{
	struct buf text = {0};
	struct entry e;
	struct resource now;
	struct resource_home home;
	struct why ignored;
	char where[200] = "";
	bool known = resource_load(q->j, r, &now, &ignored) == 0 && resource_home(q->j, &home) == 0;
	if (!state)
		state = known && resource_place(&now, &home, where, sizeof where) == PLACE_ELSEWHERE ? "elsewhere" : r->state == RESOURCE_FAILED ? "failed" : "waiting";
	json_open(b, NULL, '{');
	json_put_int(b, "resourceId", (int64_t)r->id);
	json_put(b, "kind", resource_kind_name(r->kind));
	json_put(b, "state", state);
	json_put_time(b, "addedAt", r->added_ms);
	if (known && r->kind == RESOURCE_PROCESS)
		put_number(b, "pid", now.pid);
	else if (known)
		put_cut(b, r->kind == RESOURCE_PATH ? "path" : "command", &now.what, PATH_MOST);
	if (known) {
		put_cut(b, "participantId", &now.owner, TEXT_MOST);
		if (now.call.n)
			put_cut(b, "callId", &now.call, TEXT_MOST);
		json_put(b, "host", now.host);
	}
	if (*where)
		json_put(b, "reason", where);
	if (r->result.len && journal_line(q->j, r->result, &text) == 0 && !entry_parse(text.p, text.n, &e)) {
		if (!*where)
			put_text(b, "reason", e.reason, TEXT_MOST);
		put_text(b, "by", e.by, TEXT_MOST);
		json_put_time(b, "at", e.at_ms);
		put_number(b, "epoch", e.epoch);
	}
	if (r->tries)
		json_put_int(b, "tries", r->tries);
	json_close(b, '}');
	resource_free(&now);
	buf_free(&text);
}

/* `left`: those that were given up; else those that are still to be removed. */
static void
put_resources(struct inquest *q, struct buf *b, const char *name, bool left)
{
	int64_t count = 0;
	json_open(b, name, '{');
	json_open(b, "list", '[');
	for (uint32_t i = 0; i < q->j->op.resources.n; i++) {
		const struct op_resource *r = table_at(&q->j->op.resources, i);
		bool given_up = r->state == RESOURCE_LEFT || r->state == RESOURCE_FORGOTTEN;
		bool there = r->state == RESOURCE_HERE || r->state == RESOURCE_FAILED;
		/* One that failed once is told of also where its owner lives. */
		bool due = there && (r->state == RESOURCE_FAILED || q->j->op.h.state != OP_RUNNING || op_is_due(&q->j->op, r));
		if (!is_mine(q, r) || (left ? !given_up : !due))
			continue;
		if (count++ < LISTED)
			put_resource(q, b, r, left ? resource_result_name(r->state) : NULL);
	}
	json_close(b, ']');
	json_put_int(b, "count", count);
	json_close(b, '}');
}

static void
put_removal(struct inquest *q, struct buf *b)
{
	int64_t count[RESOURCE_FAILED + 1] = {0}, all = 0;
	for (uint32_t i = 0; i < q->j->op.resources.n; i++) {
		const struct op_resource *r = table_at(&q->j->op.resources, i);
		if (is_mine(q, r)) {
			count[r->state]++;
			all++;
		}
	}
	json_open(b, "resources", '{');
	json_put_int(b, "registered", all);
	json_put_int(b, "here", count[RESOURCE_HERE]);
	for (int k = RESOURCE_REMOVED; k <= RESOURCE_FAILED; k++)
		json_put_int(b, resource_result_name((enum resource_result)k), count[k]);
	if (!q->call)
		json_put_int(b, "entriesRemoved", q->entries);
	json_close(b, '}');
	put_resources(q, b, "left", true);
	put_resources(q, b, "pending", false);
}

/* --- who is alive --- */

struct lives {
	struct buf waiting;  /* names that a cleanup waits for, as elements */
	int64_t count, bad;  /* those who are not simply alive; of them, those with whom something is wrong */
};

static void
put_life(struct buf *b, struct lives *l, const char *call, const char *participant, const struct verdict *v)
{
	if (v->life == LIFE_ALIVE)
		return;
	l->bad += v->life == LIFE_HUNG || life_is_over(v->life);
	if (l->count++ >= LISTED)
		return;
	json_open(b, NULL, '{');
	if (call)
		json_put(b, "callId", call);
	json_put(b, "participantId", participant);
	json_put(b, "liveness", life_name(v->life));
	json_put(b, "evidence", v->why);
	put_number(b, "beatAgeMs", v->age_ms);
	json_close(b, '}');
}

/* Judge those who take part: here a death that nobody has recorded yet is seen, and who hangs. */
static void
put_lives(struct inquest *q, struct buf *b, struct lives *l)
{
	const struct op *op = &q->j->op;
	struct beat beat;
	json_open(b, "troubles", '{');
	json_open(b, "list", '[');
	for (uint32_t i = 0; op->h.state < OP_COMPLETED && i < op->people.n; i++) {
		const struct op_person *p = table_at(&op->people, i);
		if (p->key.gone || !p->sessions || (q->call && (q->call->held || q->call->state != CALL_RUNNING || q->call->person != p->no)))
			continue;
		struct verdict v = look_person(q->j, p, 0, &beat);
		put_life(b, l, NULL, p->key.name, &v);
		if (op->h.state == OP_CLEANUP && beat.locked && p->answered < op->h.epoch)
			json_put(&l->waiting, NULL, p->key.name);
	}
	for (uint32_t i = 0; op->h.state < OP_COMPLETED && i < op->calls.n; i++) {
		const struct op_call *c = table_at(&op->calls, i);
		const struct op_person *p = op_person_no(op, c->person);
		if (c->key.gone || !c->held || c->state != CALL_RUNNING || (q->call && c != q->call))
			continue;
		struct verdict v = look_call(q->j, c, 0, &beat);
		put_life(b, l, c->key.name, p ? p->key.name : NULL, &v);
	}
	json_close(b, ']');
	json_put_int(b, "count", l->count);
	json_close(b, '}');
}

static void
put_running(struct inquest *q, struct buf *b, int64_t now_ms)
{
	int64_t count = 0;
	json_open(b, "running", '{');
	json_open(b, "list", '[');
	for (uint32_t i = 0; i < q->j->op.calls.n; i++) {
		const struct op_call *c = table_at(&q->j->op.calls, i);
		if (c->key.gone || c->state != CALL_RUNNING || (q->call && c->parent != q->call->seq) || count++ >= LISTED)
			continue;
		json_open(b, NULL, '{');
		put_about_call(q, b, c);
		json_put_time(b, "startedAt", c->started_ms);
		json_put_int(b, "ageMs", now_ms > c->started_ms ? now_ms - c->started_ms : 0);
		put_number(b, "pid", c->pid > 0 ? c->pid : -1);
		json_close(b, '}');
	}
	json_close(b, ']');
	json_put_int(b, "count", count);
	json_close(b, '}');
}

/* --- the whole --- */

static const char *
verdict(const struct inquest *q, bool aborted, const struct lives *l)
{
	const struct op_head *h = &q->j->op.h;
	if (q->call)
		return call_state_name(q->call->state);
	if (h->crashes)
		return "crashed";
	if (aborted)
		return "aborted";
	if (h->state >= OP_COMPLETED)
		return op_state_name(h->state);
	return l->bad ? "troubled" : "healthy";
}

static void
put_call(struct inquest *q, struct buf *b, int64_t now_ms)
{
	struct buf text = {0};
	struct entry e;
	struct wire_source from = journal_source(q->j);
	wire_call(&text, &q->j->op, q->call, NULL, &from, now_ms);
	json_put_raw(b, "call", text.p ? text.p : "null", text.p ? text.n : 4);
	b->failed |= text.failed;
	if (q->call->end.len && journal_line(q->j, q->call->end, &text) == 0 && !entry_parse(text.p, text.n, &e))
		put_text(b, "callEndedBy", e.by, TEXT_MOST);
	put_entry(q, b, "stoppedAfter", q->call->state == CALL_CANCELLED || q->call->state == CALL_CRASHED ? q->stopper : (struct line){0});
	buf_free(&text);
}

static void
put_all(struct inquest *q, struct buf *b)
{
	const struct op *op = &q->j->op;
	struct wire_source from = journal_source(q->j);
	struct lives lives = {0};
	bool aborted = journal_aborted(q->j);
	int64_t now_ms = clock_wall_ms();
	wire_operation(b, op, aborted, &from, now_ms);
	json_put_bool(b, "ended", op->h.archived);
	json_put_time(b, "shownAt", now_ms);
	put_lives(q, b, &lives);
	json_put(b, "verdict", verdict(q, aborted, &lives));
	bool abort_first = q->abort.len && (!op->h.crash.len || q->abort.pos < op->h.crash.pos);
	json_put(b, "first", aborted && (abort_first || !op->h.crashes) ? "abort" : op->h.crashes ? "crash" : NULL);
	put_entry(q, b, "end", op->h.end);
	if (q->call)
		put_call(q, b, now_ms);
	put_entry(q, b, "abort", aborted ? q->abort : (struct line){0});
	json_put_int(b, "abortsCleared", (int64_t)q->aborts_cleared);
	put_list(q, b, "crashes", &q->crashes);
	put_list(q, b, "failedCalls", &q->failed);
	put_list(q, b, "stoppedCalls", &q->stopped);
	json_put_int(b, "stoppedAfterAbort", (int64_t)q->stopped_after[CAUSE_ABORT]);
	json_put_int(b, "stoppedAfterCrash", (int64_t)q->stopped_after[CAUSE_CRASH]);
	put_running(q, b, now_ms);
	put_list(q, b, "coordinators", &q->coordinators);
	put_list(q, b, "answers", &q->answers);
	json_open(b, "waitingFor", '[');
	if (lives.waiting.n)
		buf_add(b, lives.waiting.p, lives.waiting.n);
	json_close(b, ']');
	put_entry(q, b, "cleanupDone", q->cleanup_done);
	put_removal(q, b);
	put_logs(q, b);
	b->failed |= lives.waiting.failed;
	buf_free(&lives.waiting);
}

int
verb_why(struct request *r)
{
	static const struct journal_options history = {.keep = true, .stop_seq = UINT64_MAX, .stop_ms = INT64_MAX};
	char id[ID_OPERATION_MAX + 1], call[ID_NAME_MAX + 1];
	struct journal j;
	if (request_operation(r, id) < 0 || request_call(r, "callId", false, call) < 0 || request_store(r, false) < 0 ||
	    store_get(&r->v->store, id, STORE_ANY, &history, &j, &r->why) < 0)
		return -1;
	struct inquest q = {.j = &j, .call = *call ? table_find(&j.op.calls, call) : NULL};
	int rc = -1;
	if (*call && !q.call) {
		why_set(&r->why, ERR_NO_CALL, "no call %s in %s", call, id);
		why_hint(&r->why, "dpl-show --tree %s shows all", id);
	} else {
		rc = inquest_hold(&q, &r->why);
	}
	if (rc == 0)
		put_all(&q, r->reply);
	journal_close(&j);
	return rc;
}
