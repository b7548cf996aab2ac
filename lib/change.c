/* change: what every verb that appends has in common. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "change.h"
#include "hash.h"
#include "queue.h"
#include "settle.h"

static bool
is_one_of(const char *const *list, const char *name, size_t n)
{
	for (; list && *list; list++)
		if (strlen(*list) == n && memcmp(*list, name, n) == 0)
			return true;
	return false;
}

/* The same request has the same members, in any order; who sends it may be another process. */
void
change_hash(const struct request *r, char text[17])
{
	static const char *const passing[] = {"participantPid", "participantPidStart", "bootId", "host", "machineId", "mountNs", "pidNs",
		"timeNs", "addedMs", NULL};
	uint64_t sum = hash_bytes(0, r->path, strlen(r->path));
	for (int k = json_first(r->json, r->body); k >= 0; k = json_next(r->json, r->body, k)) {
		size_t n, length;
		const char *name = json_raw(r->json, k, &n), *value = json_raw(r->json, k + 1, &length);
		if (!is_one_of(passing, name, n) && !is_one_of(r->found, name, n))
			sum += hash_bytes(hash_bytes(0, name, n), value, length);
	}
	hash_hex(sum, text);
}

static bool
keep_line(void *arg, const char *line, size_t n)
{
	buf_add(arg, line, n);
	return false;
}

static bool
take_key(void *arg, const char *line, size_t n)
{
	struct entry e;
	if (!entry_parse(line, n, &e) && e.key.n)
		keyset_add(arg, hash_bytes(0, e.key.p, e.key.n));
	return true;
}

/* Whether the key surely made no entry.  Who keeps an operation open for many requests, each with a key of its own, does not read all of
 * its journal for each of them. */
static bool
is_new_key(struct change *c)
{
	struct journal *j = c->j;
	struct why ignored;
	uint64_t end = j->op.h.offset;
	if (!c->r->v->remote)
		return false;
	if (j->keyed < end && journal_search(j, j->keyed, "\"key\":\"", take_key, &j->keys, &ignored) < 0)
		return false;
	j->keyed = end;
	return !keyset_may_have(&j->keys, hash_bytes(0, c->r->key, strlen(c->r->key)));
}

/* Whether this key made an entry at or behind `pos`: 1 with c->line, 0, or -1. */
static int
find_key(struct change *c, uint64_t pos)
{
	char needle[ID_KEY_MAX + 16];
	struct entry e;
	if (is_new_key(c))
		return 0;
	snprintf(needle, sizeof needle, "\"key\":\"%s\"", c->r->key);
	if (journal_search(c->j, pos, needle, keep_line, &c->line, &c->r->why) < 0)
		return -1;
	if (!c->line.n)
		return 0;
	if (entry_parse(c->line.p, c->line.n, &e))
		return why_set(&c->r->why, ERR_DAMAGED, "%s: an entry cannot be read", c->j->path.p);
	if (e.request.n != 16 || memcmp(e.request.p, c->request, 16) != 0) {
		why_set(&c->r->why, ERR_KEY_REUSED, "key %s was used for another request (entry %llu of %s)", c->r->key,
			(unsigned long long)e.seq, c->j->op.h.id);
		why_hint(&c->r->why, "give each request a key of its own");
		return -1;
	}
	return 1;
}

/* The operation has ended: a key that did its work before is answered from backup. */
static int
from_backup(struct change *c, const char *id)
{
	struct why ended = c->r->why;
	struct journal *j = malloc(sizeof *j);
	if (!j)
		return why_set(&c->r->why, ERR_IO, "out of memory");
	if (store_get(&c->r->v->store, id, STORE_ANY, NULL, j, &c->r->why) < 0) {
		free(j);
		return -1;
	}
	c->j = c->ended = j;
	int rc = find_key(c, 0);
	if (rc == 0) {
		c->r->why = ended;
		rc = -1;
	}
	return rc;
}

int
change_begin(struct change *c, struct request *r, const char *id, void (*reply)(struct change *c, const struct entry *e))
{
	*c = (struct change){.r = r, .reply = reply};
	if (r->key)
		change_hash(r, c->request);
	c->j = request_live(r, id, false);
	verbs_unlock(r->v, c->j);
	if (!c->j)
		return r->key && err_is_end(r->why.code) ? from_backup(c, id) : -1;
	/* The long search without the lock, the rest under it. */
	uint64_t searched = c->j->op.h.offset;
	int rc = r->key ? find_key(c, 0) : 0;
	if (rc != 0)
		return rc;
	if (store_lock(&r->v->store, c->j, &r->why) < 0) {
		if (!err_is_end(r->why.code))
			return -1;
		request_close(r, c->j);
		c->j = NULL;
		return r->key ? from_backup(c, id) : -1;
	}
	rc = r->key ? find_key(c, searched) : 0;
	if (rc != 0)
		journal_unlock(c->j);
	return rc;
}

struct buf *
change_entry(struct change *c, const char *by, enum event event)
{
	c->start = c->j->pending.n;
	struct buf *b = journal_entry(c->j, by, event);
	if (c->r->key) {
		json_put(b, "key", c->r->key);
		json_put(b, "request", c->request);
	}
	return b;
}

static void
close_entry(struct change *c)
{
	journal_entry_end(c->j);
	if (!c->j->pending.failed)
		buf_add(&c->line, c->j->pending.p + c->start, c->j->pending.n - c->start - 1);
}

int
change_commit(struct change *c)
{
	close_entry(c);
	return journal_commit(c->j, &c->r->why);
}

int
change_commit_with(struct change *c, const char *by, enum event more)
{
	close_entry(c);
	journal_entry(c->j, by, more);
	journal_entry_end(c->j);
	return journal_commit(c->j, &c->r->why);
}

int
change_refuse(struct change *c)
{
	journal_unlock(c->j);
	return -1;
}

void
change_nothing(struct change *c)
{
	journal_unlock(c->j);
}

/* What is nobody's now, by this change or before it, goes. */
static void
tidy_up(struct change *c)
{
	struct entry e;
	char by[ID_NAME_MAX + 1] = "";
	if (c->line.n && !entry_parse(c->line.p, c->line.n, &e))
		slice_copy(e.by, by, sizeof by);
	struct cleanup all = {.removal = {.by = change_by(c, by), .limit_ms = REMOVAL_LIMIT_MS, .retry = true}, .patience_ms = SETTLE_PATIENCE_MS};
	/* Of many supervisors that a death ends each would look at all the others, before one of them coordinates. */
	if (c->r->v->hold && cleanup_is_shared(&c->j->op))
		return;
	if (!c->thorough || (c->j->op.h.crashes && !op_has_ended(&c->j->op)))
		settle_and_tell(c->r, c->j, all.removal.by);
	else if (settle(c->r, c->j, &all) < 0)
		notice(c->r->v->o.notice, "%s; the next command goes on with that", c->r->why.text);
}

int
change_end(struct change *c, int rc)
{
	struct entry e;
	if ((rc == 0 || rc == 1) && (c->line.failed || entry_parse(c->line.p, c->line.n, &e)))
		rc = why_set(&c->r->why, ERR_IO, "out of memory");
	if (rc == 0 || rc == 1) {
		request_common(c->r, c->j, e.seq);
		if (c->reply)
			c->reply(c, &e);
		if (rc == 1)
			json_put_bool(c->r->reply, "replayed", true);
	}
	if (rc == 0 && c->j->op.h.queued && e.event != EVENT_LOG && e.event != EVENT_PROGRESS && e.event != EVENT_CALL_QUEUED)
		queue_wake(c->j, e.event >= EVENT_CALL_STARTED && e.event <= EVENT_CALL_CANCELLED);
	/* Also where it was refused, or failed: who asks is alive. */
	if (c->j && !c->ended)
		request_beat(c->r, c->j);
	if (c->j && !c->ended && rc >= 0 && cleanup_is_due(&c->j->op))
		tidy_up(c);
	if (c->ended) {
		journal_close(c->ended);
		free(c->ended);
	}
	buf_free(&c->line);
	return rc < 0 ? -1 : 0;
}

int64_t
change_cancel_calls(struct change *c, uint64_t session, const char *by, const char *reason)
{
	int64_t n = 0;
	for (uint32_t i = 0; i < c->j->op.calls.n; i++) {
		const struct op_call *call = table_at(&c->j->op.calls, i);
		if (call->key.gone || call->state != CALL_RUNNING || (session && call->session != session))
			continue;
		struct buf *b = journal_entry(c->j, by, EVENT_CALL_CANCELLED);
		json_put(b, "callId", call->key.name);
		json_put(b, "reason", reason);
		journal_entry_end(c->j);
		n++;
	}
	c->j->ring |= n > 0;
	return n;
}

int
change_refuse_dead(struct change *c, const char *participant)
{
	return request_refuse_dead(c->r, c->j, participant);
}

int
change_refuse_failing(struct change *c)
{
	struct buf reason = {0};
	if (!c->j->op.h.crashes)
		return 0;
	cleanup_reason(c->j, &reason);
	why_set(&c->r->why, ERR_FAILED, "operation %s is failing: %s", c->j->op.h.id, reason.n ? reason.p : "somebody died");
	why_hint(&c->r->why, "dpl-show --why %s", c->j->op.h.id);
	buf_free(&reason);
	return -1;
}

const char *
change_by(const struct change *c, const char *participant)
{
	return *participant ? participant : c->j->op.h.initiator;
}

/* --- what the journal's text says of a call that does not run --- */

static bool
look_back(void *arg, const char *line, size_t n)
{
	enum past *past = arg;
	struct entry e;
	if (entry_parse(line, n, &e))
		return true;
	if (e.event == EVENT_CALL_STARTED || e.event == EVENT_CALL_QUEUED)
		*past = PAST_STARTED;
	else if (e.event >= EVENT_CALL_ENDED && e.event <= EVENT_CALL_CANCELLED)
		*past = PAST_OVER;
	return true;
}

int
change_call_past(struct change *c, const char *call, enum past *past)
{
	char needle[ID_NAME_MAX + 16];
	*past = PAST_NEVER;
	snprintf(needle, sizeof needle, "\"callId\":\"%s\"", call);
	return journal_search(c->j, 0, needle, look_back, past, &c->r->why);
}
