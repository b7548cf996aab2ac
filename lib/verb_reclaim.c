/* verb_reclaim: what a machine that is not the ledger's has to do away with, and what became of it. */
#include <string.h>

#include "handlers.h"
#include "removal.h"
#include "settle.h"
#include "wire.h"

/* Which resources are asked for: those of one machine, and of them all, those that are due, or one. */
struct wanted {
	char machine[PROC_MACHINE_ID], boot[PROC_BOOT_ID];
	bool all;
	int64_t number;          /* -1 */
	struct buf path;         /* empty for any */
};

static int
read_machine(struct request *r, struct wanted *w)
{
	if ((request_has(r, "machineId") && json_copy(r->json, json_get(r->json, r->body, "machineId"), w->machine, sizeof w->machine) < 0) ||
	    (request_has(r, "bootId") && json_copy(r->json, json_get(r->json, r->body, "bootId"), w->boot, sizeof w->boot) < 0))
		return why_set(&r->why, ERR_REQUEST, "machineId or bootId is no text, or too long");
	return *w->machine || *w->boot ? 0 : why_set(&r->why, ERR_REQUEST, "Missing machineId");
}

static int
read_wanted(struct request *r, struct wanted *w)
{
	const char *path;
	return read_machine(r, w) < 0 || request_bool(r, "all", &w->all) < 0 || request_int(r, "resourceId", 1, JSON_INT_MAX, &w->number) < 0 ||
		request_text(r, "path", false, &w->path, &path) < 0 ? -1 : 0;
}

static bool
is(struct slice s, const char *text)
{
	return *text && s.n == strlen(text) && memcmp(s.p, text, s.n) == 0;
}

static bool
is_on(const struct wanted *w, const struct entry *e)
{
	return is(e->machine_id, w->machine) || is(e->boot_id, w->boot);
}

static bool
is_at(const struct wanted *w, const struct entry *e)
{
	struct buf path = {0};
	json_unescape(&path, e->path.p ? e->path.p : "", e->path.n);
	bool same = !w->path.n || (path.n == w->path.n && memcmp(path.p, w->path.p, path.n) == 0);
	buf_free(&path);
	return same;
}

/* The entry at `at`, whose text goes to `b`.  NULL, or what is wrong with it. */
static const char *
read_entry(struct journal *j, struct line at, struct buf *b, struct entry *e)
{
	buf_clear(b);
	return journal_line(j, at, b) < 0 ? "cannot be read" : entry_parse(b->p, b->n, e);
}

/* One of them, if it is wanted: its entries as they are, so that both sides read the same. */
static int
put_one(struct request *r, struct journal *j, const struct wanted *w, const struct op_resource *res)
{
	struct buf added = {0}, other = {0};
	struct entry e;
	bool one = w->number > 0 || w->path.n;
	if (w->number > 0 ? res->id != (uint64_t)w->number : !one && !w->all && !op_is_due(&j->op, res))
		return 0;
	int rc = read_entry(j, res->added, &added, &e) ? -1 : 0;
	if (rc == 0 && is_on(w, &e) && is_at(w, &e)) {
		json_open(r->reply, NULL, '{');
		json_put_int(r->reply, "resourceId", (int64_t)res->id);
		json_put_bool(r->reply, "due", op_is_due(&j->op, res));
		json_put_int(r->reply, "tries", res->tries);
		json_put_bool(r->reply, "failed", res->state == RESOURCE_FAILED);
		if (res->result.len && read_entry(j, res->result, &other, &e) == NULL && e.reason.n)
			slice_put(r->reply, "reason", e.reason);
		json_put_raw(r->reply, "added", added.p, added.n);
		if (res->made.len && (rc = read_entry(j, res->made, &other, &e) ? -1 : 0) == 0)
			json_put_raw(r->reply, "made", other.p, other.n);
		json_close(r->reply, '}');
	}
	buf_free(&added);
	buf_free(&other);
	return rc < 0 ? why_set(&r->why, ERR_DAMAGED, "%s: an entry cannot be read", j->path.p) : 0;
}

int
verb_temp_due(struct request *r)
{
	char id[ID_OPERATION_MAX + 1];
	struct wanted w = {.number = -1};
	struct journal *own = NULL, *j = NULL;
	int rc = -1;
	if (request_operation(r, id) == 0 && read_wanted(r, &w) == 0 && (j = request_any(r, id, &own))) {
		rc = 0;
		request_common(r, j, j->op.h.seq);
		json_put(r->reply, "state", op_state_name(j->op.h.state));
		json_open(r->reply, "resources", '[');
		for (uint32_t i = j->op.resources.n; i-- > 0 && rc == 0;) {
			const struct op_resource *res = table_at(&j->op.resources, i);
			if (!res->key.gone && (res->state == RESOURCE_HERE || res->state == RESOURCE_FAILED))
				rc = put_one(r, j, &w, res);
		}
		json_close(r->reply, ']');
		request_close_own(r, j, own);
	}
	buf_free(&w.path);
	return rc;
}

/* --- what became of some --- */

enum { REPORTS_MOST = 1000 };

/* Of one; its texts belong to the reader. */
struct report {
	int64_t number, entries;
	struct buf reason, printed;
	struct removal_report r;
};

/* Read that object of the request. */
static int
read_report(struct request *r, int at, struct report *p)
{
	char result[16] = "";
	const char *reason, *printed;
	int body = r->body, rc = 0;
	p->number = p->entries = -1;
	buf_clear(&p->reason);
	buf_clear(&p->printed);
	r->body = at;
	if (request_int(r, "resourceId", 1, JSON_INT_MAX, &p->number) < 0 || request_int(r, "entries", 0, JSON_INT_MAX, &p->entries) < 0 ||
	    request_text(r, "reason", false, &p->reason, &reason) < 0 || request_text(r, "callResult", false, &p->printed, &printed) < 0)
		rc = -1;
	else if (p->number < 0)
		rc = why_set(&r->why, ERR_REQUEST, "Missing resourceId");
	(void)json_copy(r->json, json_get(r->json, at, "result"), result, sizeof result);
	r->body = body;
	enum resource_result became = resource_result_by_name(result, strlen(result));
	if (rc == 0 && (!*result || strcmp(resource_result_name(became), result) != 0 ||
	    (became != RESOURCE_REMOVED && became != RESOURCE_GONE && became != RESOURCE_LEFT && became != RESOURCE_FAILED)))
		rc = why_set(&r->why, ERR_REQUEST, "result is not removed, gone, left or failed");
	if (rc == 0)
		p->r = (struct removal_report){became, reason ? reason : "", p->entries > 0 ? (uint64_t)p->entries : 0, printed};
	return rc;
}

/* Only the machine that has it can know; and of what was registered here without a seal only this one. */
static int
check_machine(struct request *r, struct journal *j, const struct wanted *w, int64_t number)
{
	const struct op_resource *res = op_resource(&j->op, (uint64_t)number);
	struct buf b = {0};
	struct entry e;
	int rc = 0;
	if (res && (read_entry(j, res->added, &b, &e) != NULL || !is_on(w, &e)))
		rc = why_set(&r->why, ERR_ELSEWHERE, "resource %lld of %s is on another machine", (long long)number, j->op.h.id);
	else if (res && !e.seal.n && request_is_placed_here(r))
		rc = request_refuse_stranger(r, "what was registered");
	buf_free(&b);
	return rc;
}

/* All of them: what is wrong with one is found before any is recorded. */
static int
record_all(struct request *r, struct journal *j, const struct wanted *w, const char *by, int list, int64_t *recorded)
{
	struct report p = {.number = -1};
	int rc = 0, n = 0;
	for (int pass = 0; pass <= 1 && rc == 0; pass++)
		for (int at = list < 0 ? r->body : json_first(r->json, list); at >= 0 && rc == 0; at = list < 0 ? -1 : json_next(r->json, list, at)) {
			bool done = false;
			rc = read_report(r, at, &p);
			if (rc == 0 && !pass)
				rc = ++n > REPORTS_MOST ? why_set(&r->why, ERR_TOO_LARGE, "more than %d results", REPORTS_MOST) : check_machine(r, j, w, p.number);
			else if (rc == 0)
				rc = removal_report(j, by, (uint64_t)p.number, &p.r, &done, &r->why);
			*recorded += done;
		}
	buf_free(&p.reason);
	buf_free(&p.printed);
	return rc;
}

int
verb_temp_removed(struct request *r)
{
	char id[ID_OPERATION_MAX + 1], by[ID_NAME_MAX + 1];
	struct wanted w = {.number = -1};
	struct journal *own = NULL, *j = NULL;
	int64_t recorded = 0;
	int rc = -1, list = -1;
	if (request_operation(r, id) == 0 && read_machine(r, &w) == 0 && request_participant(r, false, by) == 0) {
		list = json_get(r->json, r->body, "results");
		verbs_unlock(r->v, NULL);
		j = request_any(r, id, &own);
	}
	if (j && !own)
		request_beat(r, j);
	if (j)
		rc = record_all(r, j, &w, *by ? by : j->op.h.initiator, list, &recorded);
	/* One that is opened for this alone is flushed with nobody. */
	if (rc == 0 && own)
		rc = journal_flush(own, &r->why);
	if (rc == 0) {
		/* With the last of them it is archived; what else is due is for others, who have the time. */
		if (op_has_ended(&j->op) && !op_resources(&j->op))
			settle_briefly(r, j, j->op.h.initiator);
		request_common(r, j, j->op.h.seq);
		json_put_bool(r->reply, "success", true);
		json_put_int(r->reply, "recorded", recorded);
		json_put_int(r->reply, "leftOver", (int64_t)op_due(&j->op));
		json_put_bool(r->reply, "archived", j->op.h.archived);
	}
	if (j)
		request_close_own(r, j, own);
	return rc;
}
