/* fold: the lines of a journal, added up to the state of its operation. */
#include <stdio.h>
#include <string.h>

#include "fold.h"

/* --- one function an event; each returns 0, or -1 when memory runs out --- */

static void
forget_idle(struct op *op, struct op_person *p)
{
	if (!op->keep && p && !p->sessions && !p->calls && !p->death.len) {
		table_remove(&op->people, p);
		table_compact(&op->people);
	}
}

static struct op_person *
arrive(struct op *op, const char *name, int64_t at_ms)
{
	struct op_person *p = op_person(op, name);
	if (p)
		return p;
	if ((p = table_add(&op->people, name))) {
		p->no = ++op->h.people;
		p->joined_ms = at_ms;
	}
	return p;
}

static int
joined(struct op *op, const struct entry *e, const char *by, struct line line)
{
	struct op_person *p = arrive(op, by, e->at_ms);
	uint64_t id = e->session_id > 0 ? (uint64_t)e->session_id : op->h.sessions + 1;
	char name[TABLE_NAME];
	snprintf(name, sizeof name, "%llu", (unsigned long long)id);
	struct op_session *s = p ? table_add(&op->sessions, name) : NULL;
	if (!s)
		return -1;
	if (id > op->h.sessions)
		op->h.sessions = id;
	s->id = id;
	s->person = p->no;
	s->joined_ms = e->at_ms;
	s->left_ms = -1;
	s->ttl_ms = e->ttl_ms;
	s->pid = e->pid;
	s->pid_start = e->pid_start;
	s->start = line;
	p->death = (struct line){0};
	p->sessions++;
	p->seen_ms = e->at_ms;
	return 0;
}

static void
created(struct op *op, const struct entry *e, struct line line)
{
	struct op_head *h = &op->h;
	slice_copy(e->operation_id, h->id, sizeof h->id);
	slice_copy(e->by, h->initiator, TABLE_NAME);
	h->first = line;
	h->created_ms = e->at_ms;
	h->beat_ms = e->beat_ms;
	h->jitter_ms = e->jitter_ms;
	h->stale_ms = e->stale_ms;
	h->ttl_ms = e->ttl_ms;
	h->window_ms = e->window_ms;
	h->ttl_given = e->ttl_given;
}

static int
initiator_joined(struct op *op, const struct entry *e, const char *by, struct line line)
{
	struct entry first = *e;
	first.ttl_ms = -1; /* in this entry it is the operation's, not the session's */
	return joined(op, &first, by, line);
}

/* A session is over; the table is not compacted yet. */
static void
close_session(struct op *op, struct op_session *s, struct op_person *p, int64_t at_ms)
{
	s->left_ms = at_ms;
	if (p)
		p->sessions--;
	if (!op->keep)
		table_remove(&op->sessions, s);
}

static void
left(struct op *op, const struct entry *e)
{
	struct op_session *s = e->session_id > 0 ? op_session(op, (uint64_t)e->session_id) : NULL;
	if (!s || s->left_ms >= 0)
		return;
	struct op_person *p = op_person_no(op, s->person);
	close_session(op, s, p, e->at_ms);
	table_compact(&op->sessions);
	forget_idle(op, p);
}

/* Somebody died: a call, whose end is an entry of its own, or a participant with all its sessions. */
static void
crashed(struct op *op, const struct entry *e, struct line line)
{
	struct op_head *h = &op->h;
	char name[TABLE_NAME];
	h->crashes++;
	if (!h->crash.len)
		h->crash = line;
	if (op->head || e->call_id.n)
		return;
	slice_copy(e->participant_id, name, sizeof name);
	struct op_person *p = op_person(op, name);
	if (!p)
		return;
	p->death = line;
	for (uint32_t i = 0; i < op->sessions.n; i++) {
		struct op_session *s = table_at(&op->sessions, i);
		if (!s->key.gone && s->left_ms < 0 && s->person == p->no)
			close_session(op, s, p, e->at_ms);
	}
	table_compact(&op->sessions);
}

static void
progress(struct op *op, const struct entry *e, struct op_person *by, struct line line)
{
	char id[TABLE_NAME];
	slice_copy(e->call_id, id, sizeof id);
	struct op_call *c = *id ? op_call(op, id) : NULL;
	if (c)
		c->progress = line;
	else if (!*id && by)
		by->progress = line;
}

/* The command of a queued call starts. */
static void
call_proceeded(struct op *op, const struct entry *e, struct op_call *c, struct line line)
{
	c->queued = 0;
	c->started_ms = e->at_ms;
	c->start = line;
	c->pid = e->pid;
	op->h.queued--;
}

static int
call_started(struct op *op, const struct entry *e, const char *by, struct line line)
{
	char id[TABLE_NAME], parent_id[TABLE_NAME];
	bool queued = e->event == EVENT_CALL_QUEUED;
	slice_copy(e->call_id, id, sizeof id);
	struct op_call *waiting = op->h.queued ? op_call(op, id) : NULL;
	if (waiting && waiting->queued && !queued) {
		call_proceeded(op, e, waiting, line);
		return 0;
	}
	slice_copy(e->parent_id, parent_id, sizeof parent_id);
	struct op_call *parent = *parent_id ? op_call(op, parent_id) : NULL;
	uint64_t parent_seq = parent ? parent->seq : 0;
	struct op_person *p = arrive(op, by, e->at_ms);
	struct op_call *c = p ? table_add(&op->calls, id) : NULL;
	if (!c)
		return -1;
	struct op_session *s = e->session_id > 0 ? op_session(op, (uint64_t)e->session_id) : NULL;
	c->seq = e->seq;
	c->parent = parent_seq;
	c->person = p->no;
	c->session = s ? s->id : 0;
	c->started_ms = e->at_ms;
	c->ended_ms = -1;
	c->start = line;
	c->pid = queued ? e->supervisor_pid : e->pid;
	c->group = e->group.p ? op_group(e->group.p, e->group.n) : 0;
	c->slots = e->slots > 0 ? (uint32_t)e->slots : 0;
	c->queued = queued;
	c->spawned = e->spawned;
	c->state = CALL_RUNNING;
	c->fail_on_crash = e->fail_on_crash;
	c->held = e->held;
	c->fallback = e->fallback.p != NULL || e->fallback_command.p != NULL;
	p->calls++;
	p->calls_started++;
	if (s)
		s->calls++;
	op->h.calls_started++;
	op->h.queued += queued;
	return 0;
}

static void
call_over(struct op *op, const struct entry *e, enum call_state state, struct line line)
{
	char id[TABLE_NAME];
	slice_copy(e->call_id, id, sizeof id);
	struct op_call *c = op_call(op, id);
	if (!c)
		return;
	struct op_head *h = &op->h;
	uint64_t *count[] = {NULL, &h->calls_ended, &h->calls_failed, &h->calls_crashed, &h->calls_cancelled};
	++*count[state];
	h->queued -= c->queued;
	struct op_person *p = op_person_no(op, c->person);
	struct op_session *s = c->session ? op_session(op, c->session) : NULL;
	c->state = (uint8_t)state;
	c->ended_ms = e->at_ms;
	c->end = line;
	c->cancelling = 0;
	c->pending = e->fallback_pending;
	if (s)
		s->calls--;
	if (p)
		p->calls--;
	if (!op->keep) {
		table_remove(&op->calls, c);
		table_compact(&op->calls);
	}
	forget_idle(op, p);
}

static void
call_cancelling(struct op *op, const struct entry *e)
{
	char id[TABLE_NAME];
	slice_copy(e->call_id, id, sizeof id);
	struct op_call *c = op_call(op, id);
	if (c)
		c->cancelling = 1;
}

/* --- temp resources --- */

static int
resource_added(struct op *op, const struct entry *e, const char *by, struct line line)
{
	char name[TABLE_NAME], call[TABLE_NAME], machine[TABLE_NAME], host[TABLE_NAME];
	uint64_t id = e->resource_id > 0 ? (uint64_t)e->resource_id : op->h.resources + 1;
	snprintf(name, sizeof name, "%llu", (unsigned long long)id);
	struct op_person *p = arrive(op, by, e->at_ms);
	struct op_resource *r = p ? table_add(&op->resources, name) : NULL;
	if (!r)
		return -1;
	if (id > op->h.resources)
		op->h.resources = id;
	slice_copy(e->call_id, call, sizeof call);
	slice_copy(e->machine_id, machine, sizeof machine);
	slice_copy(e->host, host, sizeof host);
	const struct op_call *c = *call ? op_call(op, call) : NULL;
	r->id = id;
	r->person = p->no;
	r->call = c ? c->seq : *call ? UINT64_MAX : 0; /* a call that does not run: due at once */
	r->host = op_host(machine, host);
	r->added_ms = e->at_ms;
	r->added = line;
	r->kind = (uint8_t)resource_kind_by_name(e->resource_kind.p ? e->resource_kind.p : "", e->resource_kind.n);
	r->unmade = e->made;
	struct slice what = r->kind == RESOURCE_COMMAND ? e->command : e->path;
	if (r->kind == RESOURCE_PROCESS)
		what = (struct slice){name, (size_t)snprintf(name, sizeof name, "%lld", (long long)e->pid)};
	r->sum = op_thing(r->kind, what.p ? what.p : "", what.n);
	return 0;
}

static void
resource_made(struct op *op, const struct entry *e, struct line line)
{
	struct op_resource *r = e->resource_id > 0 ? op_resource(op, (uint64_t)e->resource_id) : NULL;
	if (!r)
		return;
	r->made = line;
	r->unmade = 0;
}

static void
resource_over(struct op *op, const struct entry *e, struct line line)
{
	struct op_resource *r = e->resource_id > 0 ? op_resource(op, (uint64_t)e->resource_id) : NULL;
	if (!r)
		return;
	r->result = line;
	r->state = (uint8_t)resource_result_by_name(e->result.p ? e->result.p : "", e->result.n);
	/* An undo command is left alone when its last try has failed as well. */
	r->tries += r->state == RESOURCE_FAILED || (r->state == RESOURCE_LEFT && r->kind == RESOURCE_COMMAND);
	struct op_call *c = e->is_fallback && r->state != RESOURCE_FAILED ? op_call_seq(op, r->call) : NULL;
	if (c && c->pending) {
		c->pending = 0;
		c->fallen = line;
	}
	op->h.removed += r->state == RESOURCE_REMOVED;
	op->h.gone += r->state == RESOURCE_GONE;
	op->h.left += r->state == RESOURCE_LEFT || r->state == RESOURCE_FORGOTTEN;
	if (op->keep || r->state == RESOURCE_FAILED)
		return;
	table_remove(&op->resources, r);
	table_compact(&op->resources);
}

/* --- the operation as a whole --- */

static void
cleanup_started(struct op *op, const struct entry *e, struct line line)
{
	if (op->h.state == OP_RUNNING)
		op->h.state = OP_CLEANUP;
	op->h.cleanup = line;
	op->h.epoch = e->epoch > 0 ? (uint64_t)e->epoch : op->h.epoch + 1;
}

static void
answered(struct op *op, const struct entry *e)
{
	char name[TABLE_NAME];
	slice_copy(e->participant_id, name, sizeof name);
	struct op_person *p = op_person(op, name);
	if (p)
		p->answered = op->h.epoch;
}

static void
ended(struct op *op, const struct entry *e, enum op_state state, struct line line)
{
	op->h.state = (uint8_t)state;
	op->h.aborted |= e->aborted; /* set by the mode bit, without an entry of its own */
	op->h.ended_ms = e->at_ms;
	op->h.end = line;
}

#define SAYS(slice, word) ((slice).n == sizeof word - 1 && memcmp((slice).p, word, sizeof word - 1) == 0)

/* What an entry means for the operation as a whole. */
static void
apply_head(struct op *op, const struct entry *e, struct line line)
{
	struct op_head *h = &op->h;
	switch (e->event) {
	case EVENT_CREATED:
		created(op, e, line);
		break;
	case EVENT_COMPLETED:
		ended(op, e, OP_COMPLETED, line);
		break;
	case EVENT_FAILED:
		ended(op, e, OP_FAILED, line);
		break;
	case EVENT_ARCHIVED:
		h->archived = 1;
		break;
	case EVENT_ABORT_SET:
		h->aborted = 1;
		h->abort = line;
		break;
	case EVENT_ABORT_CLEARED:
		h->aborted = 0;
		h->abort = (struct line){0};
		break;
	case EVENT_CRASH_DETECTED:
		crashed(op, e, line);
		break;
	case EVENT_CLEANUP_STARTED:
		cleanup_started(op, e, line);
		break;
	default:
		break; /* about one participant or call, or kept in the journal without a meaning for the state */
	}
}

/* What it means for participants, sessions and calls, and the counts of them. */
static int
apply_rest(struct op *op, const struct entry *e, struct line line)
{
	struct op_head *h = &op->h;
	char by[TABLE_NAME];
	slice_copy(e->by, by, sizeof by);
	int rc = 0;
	switch (e->event) {
	case EVENT_CREATED:
		rc = initiator_joined(op, e, by, line);
		break;
	case EVENT_JOINED:
		rc = joined(op, e, by, line);
		break;
	case EVENT_LEFT:
		left(op, e);
		break;
	case EVENT_CALL_QUEUED:
	case EVENT_CALL_STARTED:
		rc = call_started(op, e, by, line);
		break;
	case EVENT_CALL_ENDED:
		call_over(op, e, CALL_ENDED, line);
		break;
	case EVENT_CALL_FAILED:
		call_over(op, e, CALL_FAILED, line);
		break;
	case EVENT_CALL_CRASHED:
		call_over(op, e, CALL_CRASHED, line);
		break;
	case EVENT_CALL_CANCELLED:
		call_over(op, e, CALL_CANCELLED, line);
		break;
	case EVENT_CALL_CANCELLING:
		call_cancelling(op, e);
		break;
	case EVENT_RESOURCE_ADDED:
		rc = resource_added(op, e, by, line);
		break;
	case EVENT_RESOURCE_MADE:
		resource_made(op, e, line);
		break;
	case EVENT_RESOURCE_REMOVED:
		resource_over(op, e, line);
		break;
	case EVENT_CLEANUP_ACKNOWLEDGED:
		answered(op, e);
		break;
	case EVENT_LOG:
		h->logs++;
		h->warnings += SAYS(e->level, "warning");
		h->errors += SAYS(e->level, "error");
		break;
	default:
		break;
	}
	struct op_person *p = op_person(op, by);
	if (p)
		p->seen_ms = e->at_ms;
	if (e->event == EVENT_PROGRESS)
		progress(op, e, p, line);
	return rc;
}

enum fold
op_fold(struct op *op, const char *text, size_t n)
{
	struct op_head *h = &op->h;
	for (;;) {
		const char *newline = n ? memchr(text, '\n', n) : NULL;
		if (!newline)
			return FOLD_OK;
		size_t len = (size_t)(newline - text) + 1;
		struct entry e;
		op->wrong = len > ENTRY_MAX ? "longer than 65536 bytes" : entry_parse(text, len - 1, &e);
		if (op->wrong)
			return memchr(text, '\0', len) ? FOLD_NULS : FOLD_DAMAGED;
		if (e.seq != h->seq + 1) {
			op->wrong = "seq does not follow the line before";
			return FOLD_DAMAGED;
		}
		if ((e.event == EVENT_CREATED) != (e.seq == 1)) {
			op->wrong = "operation.created is the first line and no other";
			return FOLD_DAMAGED;
		}
		if (e.event == EVENT_CREATED) {
			if (e.format < 1) {
				op->wrong = "format is missing";
				return FOLD_DAMAGED;
			}
			if (e.format > ENTRY_FORMAT)
				return FOLD_FORMAT;
			h->format = (uint32_t)e.format;
		}
		if (e.seq > op->stop_seq || e.at_ms > op->stop_ms)
			return FOLD_STOPPED;
		struct line line = {.pos = h->offset, .len = (uint32_t)len};
		apply_head(op, &e, line);
		if (!op->head && apply_rest(op, &e, line) < 0)
			return FOLD_MEMORY;
		h->seq = e.seq;
		h->changed_ms = e.at_ms;
		h->last = line;
		h->offset += len;
		text += len;
		n -= len;
	}
}
