/* verb_frame: callframe/create and callframe/delete, the low-level calls of the old protocol of the wire, and the state as that tells it. */
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "handlers.h"
#include "id.h"
#include "wire.h"

/* --- LedgerData --- */

static const char *
state_of(const struct op_call *call)
{
	return call->state == CALL_CRASHED ? "crashed" : call->cancelling ? "cleaningUp" : "active";
}

/* The entry at `at`, whose text goes to `text`; one without members where it cannot be read. */
static struct entry
read_entry(struct journal *j, struct line at, struct buf *text)
{
	struct entry e;
	if (!at.len || journal_line(j, at, text) < 0 || entry_parse(text->p, text->n, &e))
		e = entry_absent;
	return e;
}

static void
put_frame(struct buf *b, struct journal *j, const struct op_call *call)
{
	const struct op_person *p = op_person_no(&j->op, call->person);
	struct buf text = {0};
	json_open(b, NULL, '{');
	json_put(b, "participantId", p ? p->key.name : j->op.h.initiator);
	json_put(b, "callId", call->key.name);
	json_put_int(b, "pid", call->pid);
	json_put_time(b, "startTime", call->started_ms);
	json_put_time(b, "lastHeartbeat", p && p->seen_ms > call->started_ms ? p->seen_ms : call->started_ms);
	json_put(b, "state", state_of(call));
	slice_put(b, "description", read_entry(j, call->start, &text).description);
	json_open(b, "resources", '[');
	json_close(b, ']');
	json_put_bool(b, "failOnCrash", call->fail_on_crash);
	json_close(b, '}');
	buf_free(&text);
}

static void
put_resource(struct buf *b, struct journal *j, const struct op_resource *r)
{
	struct buf text = {0};
	json_open(b, NULL, '{');
	slice_put(b, "path", read_entry(j, r->added, &text).path);
	json_put_int(b, "owner", -1);
	json_put_time(b, "registeredAt", r->added_ms);
	json_close(b, '}');
	buf_free(&text);
}

/* The member `data`. */
static void
put_data(struct buf *b, struct journal *j)
{
	const struct op_head *h = &j->op.h;
	json_open(b, "data", '{');
	json_put(b, "operationId", h->id);
	json_put(b, "initiatorId", h->initiator);
	json_put_time(b, "startTime", h->created_ms);
	json_put(b, "operationState", op_state_name(h->state));
	json_put_bool(b, "aborted", journal_aborted(j));
	json_put_time(b, "lastHeartbeat", h->changed_ms);
	json_open(b, "callFrames", '[');
	for (uint32_t i = 0; i < j->op.calls.n; i++) {
		const struct op_call *call = table_at(&j->op.calls, i);
		if (!call->key.gone && call->state == CALL_RUNNING)
			put_frame(b, j, call);
	}
	json_close(b, ']');
	json_open(b, "tempResources", '[');
	for (uint32_t i = 0; i < j->op.resources.n; i++) {
		const struct op_resource *r = table_at(&j->op.resources, i);
		if (!r->key.gone && r->kind == RESOURCE_PATH)
			put_resource(b, j, r);
	}
	json_close(b, ']');
	json_put(b, "detectionTimestamp", NULL);
	json_put(b, "removalTimestamp", NULL);
	json_close(b, '}');
}

/* --- the verbs --- */

/* Carry out `verb` for that operation and call, named as the protocol's own clients do: by nobody.  Its reply is not wanted. */
static int
carry_out(struct request *r, int (*verb)(struct request *r), const char *path, const char *id, const char *call)
{
	struct buf body = {0}, reply = {0};
	struct json j;
	int rc = -1;
	json_open(&body, NULL, '{');
	json_put(&body, "operationId", id);
	json_put(&body, "callId", call);
	json_close(&body, '}');
	json_open(&reply, NULL, '{');
	if (body.failed || json_parse(&j, body.p, body.n, &r->why) < 0) {
		why_set(&r->why, ERR_IO, "out of memory");
	} else {
		struct request inner = {.v = r->v, .json = &j, .body = 0, .path = path, .key = r->key, .reply = &reply};
		rc = verb(&inner);
		r->why = inner.why;
		json_free(&j);
	}
	buf_free(&body);
	buf_free(&reply);
	return rc;
}

static int
reply(struct request *r, const char *id, const char *call)
{
	struct journal *j = request_live(r, id, true);
	if (!j)
		return -1;
	json_put_bool(r->reply, "success", true);
	if (call)
		json_put(r->reply, "callId", call);
	put_data(r->reply, j);
	return 0;
}

int
verb_frame_create(struct request *r)
{
	char id[ID_OPERATION_MAX + 1], call[ID_NAME_MAX + 1];
	if (request_operation(r, id) < 0 || request_call(r, "callId", true, call) < 0)
		return -1;
	/* The reference keeps two frames of one name; ours is the same one. */
	if (carry_out(r, verb_call_start, "/call/start", id, call) < 0 && r->why.code != ERR_CALL_EXISTS)
		return -1;
	return reply(r, id, call);
}

int
verb_frame_delete(struct request *r)
{
	char id[ID_OPERATION_MAX + 1], call[ID_NAME_MAX + 1];
	if (request_operation(r, id) < 0 || request_call(r, "callId", true, call) < 0 || carry_out(r, verb_call_end, "/call/end", id, call) < 0)
		return -1;
	return reply(r, id, NULL);
}
