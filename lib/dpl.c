/* dpl: the public face of the library, dpl.h over client and fold. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "dpl.h"
#include "fold.h"
#include "json.h"
#include "num.h"
#include "wire.h"

#pragma GCC visibility push(default)

struct dpl {
	struct client client;
	struct buf body, reply, text;
	struct json answer;
	struct why why;
};

static int
read_environment(struct store_options *o, struct why *why)
{
	const char *sync = getenv("DPL_SYNC"), *timeout = getenv("DPL_TIMEOUT");
	*o = (struct store_options){.sync = true, .wait_ms = 10000, .keep = STORE_KEEP};
	if (sync && strcmp(sync, "off") == 0)
		o->sync = false;
	else if (sync && *sync && strcmp(sync, "on") != 0)
		return why_set(why, ERR_USAGE, "DPL_SYNC: '%.40s' is neither on nor off", sync);
	if (timeout && *timeout) {
		if (num_duration(timeout, &o->wait_ms) < 0)
			return why_set(why, ERR_USAGE, "DPL_TIMEOUT: '%.40s' is no duration", timeout);
		o->timed = true;
	}
	return 0;
}

struct dpl *
dpl_open(const char *ledger, char *error, size_t size)
{
	struct why why = {.code = ERR_IO, .text = "out of memory"};
	struct store_options o;
	struct dpl *d = calloc(1, sizeof *d);
	const char *variable = getenv("DPL_LEDGER");
	if (!ledger && variable && *variable)
		ledger = variable;
	if (d)
		d->answer.tok = d->answer.inline_tok;
	if (d && read_environment(&o, &why) == 0 && client_open(&d->client, ledger, &o, &why) == 0)
		return d;
	snprintf(error, size, "%s", why.text);
	if (d)
		client_close(&d->client);
	free(d);
	return NULL;
}

void
dpl_close(struct dpl *d)
{
	if (!d)
		return;
	client_close(&d->client);
	json_free(&d->answer);
	buf_free(&d->body);
	buf_free(&d->reply);
	buf_free(&d->text);
	free(d);
}

/* Send d->body. */
static int
send(struct dpl *d, const char *path, const char *key)
{
	json_free(&d->answer);
	d->why.code = ERR_NONE;
	d->why.text[0] = '\0';
	if (d->body.failed)
		return why_set(&d->why, ERR_IO, "out of memory"), EXIT_SYSTEM;
	int status = client_call_text(&d->client, path, &d->body, key, &d->reply);
	client_tidy(&d->client);
	if (d->reply.failed || json_parse(&d->answer, d->reply.p, d->reply.n, &d->why) < 0)
		return why_set(&d->why, ERR_IO, "out of memory"), EXIT_SYSTEM;
	if (status == 200)
		return EXIT_DONE;
	d->why.code = err_by_name(dpl_string(d, "code"));
	snprintf(d->why.text, sizeof d->why.text, "%s", dpl_string(d, "error"));
	return err_info(d->why.code)->exit;
}

int
dpl_request(struct dpl *d, const char *path, const char *body, const char *key)
{
	buf_clear(&d->body);
	buf_str(&d->body, body ? body : "{}");
	return send(d, path, key);
}

const char *
dpl_answer(const struct dpl *d)
{
	return d->reply.p ? d->reply.p : "";
}

const char *
dpl_error(const struct dpl *d)
{
	return d->why.text;
}

const char *
dpl_code(const struct dpl *d)
{
	return err_info(d->why.code)->name;
}

const char *
dpl_string(struct dpl *d, const char *member)
{
	buf_clear(&d->text);
	return json_string(&d->answer, json_get(&d->answer, 0, member), &d->text) == 0 && d->text.p ? d->text.p : "";
}

long long
dpl_integer(struct dpl *d, const char *member, long long otherwise)
{
	int64_t value;
	return json_integer(&d->answer, json_get(&d->answer, 0, member), -JSON_INT_MAX, JSON_INT_MAX, &value) == 0 ? value : otherwise;
}

bool
dpl_true(struct dpl *d, const char *member)
{
	bool value;
	return json_boolean(&d->answer, json_get(&d->answer, 0, member), &value) == 0 && value;
}

/* --- verbs: an object of members whose value is not NULL --- */

static int
verb(struct dpl *d, const char *path, const char *const *members, int n)
{
	buf_clear(&d->body);
	json_open(&d->body, NULL, '{');
	for (int i = 0; i < n; i += 2)
		if (members[i + 1])
			json_put(&d->body, members[i], members[i + 1]);
	json_close(&d->body, '}');
	return send(d, path, NULL);
}

#define VERB(d, path, ...)                                                                       \
	verb(d, path, (const char *const[]){__VA_ARGS__}, (int)(sizeof (const char *[]){__VA_ARGS__} / sizeof(char *)))

int
dpl_create(struct dpl *d, const char *participant, const char *description)
{
	return VERB(d, "/operation/create", "participantId", participant, "description", description);
}

int
dpl_join(struct dpl *d, const char *operation, const char *participant)
{
	return VERB(d, "/operation/join", "operationId", operation, "participantId", participant);
}

int
dpl_leave(struct dpl *d, const char *operation, const char *participant)
{
	return VERB(d, "/operation/leave", "operationId", operation, "participantId", participant);
}

int
dpl_complete(struct dpl *d, const char *operation, const char *participant)
{
	return VERB(d, "/operation/complete", "operationId", operation, "participantId", participant);
}

int
dpl_beat(struct dpl *d, const char *operation, const char *participant)
{
	return VERB(d, "/operation/heartbeat", "operationId", operation, "participantId", participant);
}

int
dpl_abort(struct dpl *d, const char *operation, const char *participant, const char *reason)
{
	return VERB(d, "/operation/abort", "operationId", operation, "participantId", participant, "reason", reason);
}

int
dpl_state(struct dpl *d, const char *operation)
{
	return VERB(d, "/operation/state", "operationId", operation);
}

int
dpl_log(struct dpl *d, const char *operation, const char *participant, const char *level, const char *message)
{
	return VERB(d, "/operation/log", "operationId", operation, "participantId", participant, "level", level, "message", message);
}

int
dpl_call_start(struct dpl *d, const char *operation, const char *participant, const char *description)
{
	return VERB(d, "/call/start", "operationId", operation, "participantId", participant, "description", description);
}

int
dpl_call_end(struct dpl *d, const char *operation, const char *call, const char *result)
{
	return VERB(d, "/call/end", "operationId", operation, "callId", call, "result", result);
}

int
dpl_call_fail(struct dpl *d, const char *operation, const char *call, const char *error)
{
	return VERB(d, "/call/fail", "operationId", operation, "callId", call, "error", error);
}

/* --- the fold --- */

struct dpl_fold {
	struct op op;
	struct buf json;
	char error[200];
};

struct dpl_fold *
dpl_fold_new(void)
{
	struct dpl_fold *f = calloc(1, sizeof *f);
	if (f)
		op_init(&f->op, true);
	return f;
}

void
dpl_fold_free(struct dpl_fold *f)
{
	if (!f)
		return;
	op_free(&f->op);
	buf_free(&f->json);
	free(f);
}

int
dpl_fold_feed(struct dpl_fold *f, const char *text, size_t n, size_t *used)
{
	uint64_t before = f->op.h.offset;
	enum fold result = op_fold(&f->op, text, n);
	*used = (size_t)(f->op.h.offset - before);
	if (result == FOLD_OK)
		return 0;
	const char *what = result == FOLD_MEMORY ? "out of memory" : result == FOLD_FORMAT ? "the journal is of a newer format" : f->op.wrong;
	snprintf(f->error, sizeof f->error, "line %llu: %s", (unsigned long long)f->op.h.seq + 1, what);
	return -1;
}

const char *
dpl_fold_error(const struct dpl_fold *f)
{
	return f->error;
}

static int
no_text(void *arg, struct line line, struct buf *text)
{
	(void)arg, (void)line, (void)text;
	return -1; /* the journal is the caller's */
}

const char *
dpl_fold_json(struct dpl_fold *f)
{
	struct wire_source from = {no_text, NULL};
	const struct op *op = &f->op;
	buf_clear(&f->json);
	json_open(&f->json, NULL, '{');
	wire_operation(&f->json, op, op->h.aborted, &from, op->h.changed_ms);
	wire_people(&f->json, op, &from);
	wire_sessions(&f->json, op);
	json_open(&f->json, "calls", '[');
	for (uint32_t i = 0; i < op->calls.n; i++)
		wire_call(&f->json, op, table_at(&op->calls, i), NULL, &from, op->h.changed_ms);
	json_close(&f->json, ']');
	json_close(&f->json, '}');
	return f->json.failed ? NULL : f->json.p;
}
