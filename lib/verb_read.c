/* verb_read: state, show, list, resolve, call/list, events. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "follow.h"
#include "handlers.h"
#include "id.h"
#include "look.h"

/* Open for reading: live ones and ended ones. */
static int
open_any(struct request *r, const struct journal_options *shape, struct journal *j)
{
	char id[ID_OPERATION_MAX + 1];
	if (request_operation(r, id) < 0 || request_store(r, false) < 0)
		return -1;
	return store_get(&r->v->store, id, STORE_ANY, shape, j, &r->why);
}

static struct journal_options
history(void)
{
	return (struct journal_options){.keep = true, .stop_seq = UINT64_MAX, .stop_ms = INT64_MAX};
}

int
verb_state(struct request *r)
{
	static const struct journal_options head_only = {.head = true, .stop_seq = UINT64_MAX, .stop_ms = INT64_MAX};
	struct journal own, *j = NULL;
	char id[ID_OPERATION_MAX + 1];
	bool brief = false, ended = !r->v->remote;
	if (request_bool(r, "brief", &brief) < 0 || request_bool(r, "ended", &ended) < 0 || request_operation(r, id) < 0)
		return -1;
	/* A server has those that live open.  Old clients of the wire do not know any that have ended. */
	if (r->v->remote && !(j = request_live(r, id, true)) && (!ended || !err_is_end(r->why.code)))
		return -1;
	if (!j) {
		if (open_any(r, brief ? &head_only : NULL, &own) < 0)
			return -1;
		j = &own;
	}
	request_common(r, j, j->op.h.seq);
	json_put(r->reply, "state", op_state_name(j->op.h.state));
	json_put_bool(r->reply, "crashed", j->op.h.crashes > 0);
	if (!op_has_ended(&j->op))
		request_beat(r, j); /* one that looks at the flag is alive */
	if (!brief) {
		json_put_int(r->reply, "callFrameCount", (int64_t)op_running(&j->op));
		json_open(r->reply, "participants", '[');
		for (uint32_t i = 0; i < j->op.people.n; i++) {
			const struct op_person *p = table_at(&j->op.people, i);
			if (!p->key.gone)
				json_put(r->reply, NULL, p->key.name);
		}
		json_close(r->reply, ']');
	}
	if (j == &own)
		journal_close(j);
	return 0;
}

/* --- show, call/list --- */

/* `past`: as it was then, so that nobody can be looked at. */
static void
put_call(struct request *r, struct journal *j, const struct op_call *call, bool past, int64_t now_ms)
{
	struct wire_source from = journal_source(j);
	struct beat b;
	if (past || !call->held || call->state != CALL_RUNNING || j->op.h.state >= OP_COMPLETED) {
		wire_call(r->reply, &j->op, call, NULL, &from, now_ms);
		return;
	}
	struct verdict v = look_call(j, call, 0, &b);
	struct wire_life life = {life_name(v.life), beat_mode_name(b.known && b.id.mode == BEAT_REMOTE ? BEAT_REMOTE : BEAT_HELD), v.why, v.age_ms};
	wire_call(r->reply, &j->op, call, &life, &from, now_ms);
}

/* Which calls are asked for. */
struct choice {
	bool all, spawned;       /* those that have ended, too; of all only those in the background */
	char by[ID_NAME_MAX + 1], call[ID_NAME_MAX + 1], group[ID_NAME_MAX + 1]; /* "": any */
	int64_t session;         /* 0: any */
};

static bool
is_chosen(const struct choice *f, const struct op *op, const struct op_call *call)
{
	const struct op_person *p = op_person_no(op, call->person);
	if (call->key.gone || (!f->all && call->state != CALL_RUNNING) || (f->spawned && !call->spawned))
		return false;
	if ((*f->by && (!p || strcmp(p->key.name, f->by) != 0)) || (*f->call && strcmp(call->key.name, f->call) != 0))
		return false;
	return (!*f->group || call->group == op_group(f->group, strlen(f->group))) && (!f->session || call->session == (uint64_t)f->session);
}

static void
put_calls(struct request *r, struct journal *j, const struct choice *f, bool past, int64_t now_ms)
{
	json_open(r->reply, "calls", '[');
	for (uint32_t i = 0; i < j->op.calls.n; i++) {
		const struct op_call *call = table_at(&j->op.calls, i);
		if (is_chosen(f, &j->op, call))
			put_call(r, j, call, past, now_ms);
	}
	json_close(r->reply, ']');
}

static void
put_people(struct request *r, struct journal *j, bool past)
{
	struct wire_source from = journal_source(j);
	if (past) {
		wire_people(r->reply, &j->op, &from);
	} else {
		json_open(r->reply, "participants", '[');
		for (uint32_t i = 0; i < j->op.people.n; i++) {
			const struct op_person *p = table_at(&j->op.people, i);
			if (!p->key.gone)
				request_person(r, j, p, 0);
		}
		json_close(r->reply, ']');
	}
	wire_sessions(r->reply, &j->op);
}

int
verb_show(struct request *r)
{
	struct journal_options shape = history();
	struct journal j;
	int64_t seq = 0;
	char calls[16] = "all", at[40];
	int value = json_get(r->json, r->body, "at");
	if (request_int(r, "atSeq", 1, JSON_INT_MAX, &seq) < 0)
		return -1;
	if (seq)
		shape.stop_seq = (uint64_t)seq;
	if (request_has(r, "at") && (json_copy(r->json, value, at, sizeof at) < 0 || clock_parse(at, strlen(at), &shape.stop_ms) < 0))
		return why_set(&r->why, ERR_REQUEST, "at is not an RFC 3339 time");
	if (request_has(r, "calls") && (json_copy(r->json, json_get(r->json, r->body, "calls"), calls, sizeof calls) < 0 ||
	    (strcmp(calls, "all") != 0 && strcmp(calls, "running") != 0 && strcmp(calls, "none") != 0)))
		return why_set(&r->why, ERR_REQUEST, "calls is not all, running or none");
	bool past = seq || request_has(r, "at");
	/* Without a moment and without ended calls the live state is enough. */
	if (open_any(r, past || strcmp(calls, "all") == 0 ? &shape : NULL, &j) < 0)
		return -1;
	int rc = -1;
	if (!j.op.h.seq)
		why_set(&r->why, ERR_NO_OPERATION, "the operation did not exist then");
	else if (seq && j.op.h.seq < (uint64_t)seq)
		why_set(&r->why, ERR_REQUEST, "%s has %llu entries, not %lld", j.op.h.id, (unsigned long long)j.op.h.seq, (long long)seq);
	else {
		struct wire_source from = journal_source(&j);
		int64_t now_ms = past ? j.op.h.changed_ms : clock_wall_ms();
		bool aborted = past ? j.op.h.aborted : journal_aborted(&j);
		if (shape.stop_ms != INT64_MAX)
			now_ms = shape.stop_ms;
		wire_operation(r->reply, &j.op, aborted, &from, now_ms);
		put_people(r, &j, past);
		json_put_bool(r->reply, "ended", op_has_ended(&j.op));
		json_put_time(r->reply, "shownAt", now_ms);
		if (strcmp(calls, "none") != 0)
			put_calls(r, &j, &(struct choice){.all = strcmp(calls, "all") == 0}, past, now_ms);
		wire_resources(r->reply, &j.op, strcmp(calls, "all") == 0, &from, now_ms);
		rc = 0;
	}
	journal_close(&j);
	return rc;
}

int
verb_call_list(struct request *r)
{
	struct journal_options shape = history();
	struct journal j;
	struct choice f = {0};
	if (request_bool(r, "all", &f.all) < 0 || request_bool(r, "spawned", &f.spawned) < 0 || request_participant(r, false, f.by) < 0 ||
	    request_call(r, "callId", false, f.call) < 0 || request_call(r, "group", false, f.group) < 0 ||
	    request_int(r, "sessionId", 1, JSON_INT_MAX, &f.session) < 0 || open_any(r, f.all ? &shape : NULL, &j) < 0)
		return -1;
	struct wire_source from = journal_source(&j);
	request_common(r, &j, j.op.h.seq);
	json_put(r->reply, "state", op_state_name(j.op.h.state));
	wire_crash(r->reply, &j.op, &from);
	put_calls(r, &j, &f, false, clock_wall_ms());
	journal_close(&j);
	return 0;
}

/* --- list, resolve --- */

static int
put_one(struct request *r, const char *id, int64_t now_ms)
{
	struct journal j;
	struct why why;
	if (store_get(&r->v->store, id, STORE_ANY, NULL, &j, &why) < 0) {
		if (why.code == ERR_NO_OPERATION)
			return 0; /* deleted meanwhile */
		/* One that is damaged does not hide the others. */
		json_open(r->reply, NULL, '{');
		json_put(r->reply, "operationId", id);
		json_put_message(r->reply, "error", why.text);
		json_put(r->reply, "code", err_info(why.code)->name);
		json_close(r->reply, '}');
		return 0;
	}
	struct wire_source from = journal_source(&j);
	json_open(r->reply, NULL, '{');
	wire_operation(r->reply, &j.op, journal_aborted(&j), &from, now_ms);
	wire_people(r->reply, &j.op, &from);
	wire_sessions(r->reply, &j.op);
	json_put_bool(r->reply, "ended", op_has_ended(&j.op));
	json_close(r->reply, '}');
	journal_close(&j);
	return 0;
}

int
verb_list(struct request *r)
{
	bool ended = false, names = false;
	int64_t now_ms = clock_wall_ms();
	if (request_bool(r, "ended", &ended) < 0 || request_bool(r, "idsOnly", &names) < 0 || request_store(r, false) < 0)
		return -1;
	json_open(r->reply, names ? "operationIds" : "operations", '[');
	for (int where = ended ? 1 : 0; where >= 0; where--) {
		char **ids;
		ssize_t n = store_list(&r->v->store, where == 1, &ids, &r->why);
		if (n < 0)
			return -1;
		for (ssize_t i = 0; i < n; i++)
			if (names)
				json_put(r->reply, NULL, ids[i]);
			else
				put_one(r, ids[i], now_ms);
		free(ids);
	}
	json_close(r->reply, ']');
	return 0;
}

struct joined {
	bool yes;
};

static bool
is_join(void *arg, const char *line, size_t n)
{
	struct joined *found = arg;
	struct entry e;
	found->yes = !entry_parse(line, n, &e) && (e.event == EVENT_CREATED || e.event == EVENT_JOINED);
	return !found->yes;
}

/* Whether a participant ever joined: the live state knows those who are still in, the text the others. */
static bool
has_joined(struct journal *j, const char *name)
{
	struct joined found = {op_person(&j->op, name) != NULL};
	struct buf needle = {0};
	struct why ignored;
	json_put(&needle, "by", name);
	buf_str(&needle, ",\"event\":\"");
	if (!found.yes && !needle.failed)
		(void)journal_search(j, 0, needle.p, is_join, &found, &ignored);
	buf_free(&needle);
	return found.yes;
}

/* `@@` is the newest of all, `@` the newest that `name` joined. */
static int
resolve_newest(struct request *r, const char *name, enum store_want want, char id[])
{
	*id = '\0';
	for (int ended = 0; ended <= (want == STORE_ANY) && !*id; ended++) {
		char **ids;
		ssize_t n = store_list(&r->v->store, ended, &ids, &r->why);
		if (n < 0)
			return -1;
		for (ssize_t i = n - 1; i >= 0 && !*id; i--) {
			struct journal j;
			struct why ignored;
			/* One that has ended may still stand among the live ones. */
			bool open = name || want == STORE_LIVE;
			if (open && store_get(&r->v->store, ids[i], want, NULL, &j, &ignored) < 0) {
				open = false;
				if (name || err_is_end(ignored.code))
					continue;
			}
			if (!name || has_joined(&j, name))
				snprintf(id, ID_OPERATION_MAX + 1, "%s", ids[i]);
			if (open)
				journal_close(&j);
		}
		free(ids);
	}
	if (*id)
		return 0;
	if (name)
		why_set(&r->why, ERR_NO_OPERATION, "%s has joined no %soperation in %s", name, want == STORE_LIVE ? "live " : "", r->v->store.path);
	else
		why_set(&r->why, ERR_NO_OPERATION, "no %soperation in %s", want == STORE_LIVE ? "live " : "", r->v->store.path);
	why_hint(&r->why, "dpl-show --all lists all");
	return -1;
}

int
verb_resolve(struct request *r)
{
	char name[ID_OPERATION_MAX + 1], by[ID_NAME_MAX + 1], id[ID_OPERATION_MAX + 1] = "";
	bool live = false;
	if (!request_has(r, "name"))
		return why_set(&r->why, ERR_REQUEST, "Missing name");
	if (json_copy(r->json, json_get(r->json, r->body, "name"), name, sizeof name) < 0)
		return why_set(&r->why, ERR_ID, "name is no operation id: it is too long, or no text");
	if (request_participant(r, false, by) < 0 || request_bool(r, "live", &live) < 0)
		return -1;
	bool newest = strcmp(name, "@@") == 0, mine = strcmp(name, "@") == 0;
	if (!newest && !mine && id_bad_operation(name) && name[0] != '-')
		return why_set(&r->why, ERR_ID, "'%s' is no operation id or part of one: it %s", name, id_bad_operation(name));
	if (mine && !*by)
		return why_set(&r->why, ERR_REQUEST, "Missing participantId");
	if (request_store(r, false) < 0)
		return -1;
	enum store_want want = live ? STORE_LIVE : STORE_ANY;
	int rc = newest || mine ? resolve_newest(r, mine ? by : NULL, want, id) : store_resolve(&r->v->store, name, want, id, &r->why);
	if (rc == 0)
		json_put(r->reply, "operationId", id);
	return rc;
}

/* --- events --- */

struct filter {
	int64_t since_ms, until_ms, limit, tail;
	int least;               /* level of log entries */
	bool log_only, bell;     /* entries of the log alone; those that must be acted on */
	char queued[ID_NAME_MAX + 1]; /* the call that waits for its turn, "" */
	char by[ID_NAME_MAX + 1];
};

static int
level_number(struct slice s)
{
	static const char *const levels[] = {"debug", "info", "warning", "error"};
	for (int i = 3; i >= 0; i--)
		if (strlen(levels[i]) == s.n && memcmp(levels[i], s.p, s.n) == 0)
			return i;
	return -1;
}

static bool
passes(const struct filter *f, const struct entry *e)
{
	char by[ID_NAME_MAX + 1];
	if ((f->log_only && e->event != EVENT_LOG) || (f->bell && !event_rings(e->event)))
		return false;
	int level = e->event == EVENT_LOG ? level_number(e->level) : 3;
	if ((level < 0 ? 1 : level) < f->least) /* one without a known level counts as info */
		return false;
	if (e->at_ms < f->since_ms || e->at_ms > f->until_ms)
		return false;
	if (!*f->by)
		return true;
	slice_copy(e->by, by, sizeof by);
	return strcmp(by, f->by) == 0;
}

static int
read_time(struct request *r, const char *member, int64_t *ms)
{
	char text[40];
	if (!request_has(r, member))
		return 0;
	if (json_copy(r->json, json_get(r->json, r->body, member), text, sizeof text) == 0 && clock_parse(text, strlen(text), ms) == 0)
		return 0;
	return why_set(&r->why, ERR_REQUEST, "%s is not an RFC 3339 time", member);
}

static int
read_filter(struct request *r, struct filter *f)
{
	char level[16] = "debug";
	*f = (struct filter){.since_ms = INT64_MIN, .until_ms = INT64_MAX, .limit = 1000};
	if (read_time(r, "since", &f->since_ms) < 0 || read_time(r, "until", &f->until_ms) < 0 ||
	    request_int(r, "limit", 1, 100000, &f->limit) < 0 || request_int(r, "tail", 0, 100000, &f->tail) < 0 ||
	    request_bool(r, "logOnly", &f->log_only) < 0 || request_bool(r, "bell", &f->bell) < 0 || request_call(r, "queued", false, f->queued) < 0)
		return -1;
	if (!request_has(r, "tail"))
		f->tail = -1;
	int by = json_get(r->json, r->body, "by");
	if (request_has(r, "by") && (json_copy(r->json, by, f->by, sizeof f->by) < 0 || id_bad_participant(f->by)))
		return why_set(&r->why, ERR_ID, "by is no participant's name");
	if (request_has(r, "level") && json_copy(r->json, json_get(r->json, r->body, "level"), level, sizeof level) < 0)
		f->least = -1;
	else
		f->least = level_number((struct slice){level, strlen(level)});
	return f->least < 0 ? why_set(&r->why, ERR_REQUEST, "level is not debug, info, warning or error") : 0;
}

/* Where a reader stands: the seq it wants next, and the place in the journal where that is. */
struct place {
	uint64_t seq, pos;
	int64_t count;           /* entries that passed */
	bool more;               /* the limit was reached */
};

/* Go through the entries from *at on; those that pass go to `b`, but for the first `skip` of them. */
static int
collect(struct request *r, struct journal *j, const struct filter *f, int64_t skip, struct place *at, struct buf *b)
{
	struct buf text = {0};
	int rc = 0;
	while (!at->more && (rc = journal_read(j, at->pos, &text, 1 << 17, &r->why)) == 0 && text.n) {
		for (char *p = text.p, *newline; !at->more && (newline = memchr(p, '\n', (size_t)(text.p + text.n - p))); p = newline + 1) {
			struct entry e;
			if (!entry_parse(p, (size_t)(newline - p), &e)) {
				if (e.seq >= at->seq && passes(f, &e)) {
					if (at->count++ >= skip && b)
						json_put_raw(b, NULL, p, (size_t)(newline - p));
					at->more = f->tail < 0 && at->count - skip >= f->limit;
				}
				if (e.seq >= at->seq)
					at->seq = e.seq + 1;
			}
			at->pos += (uint64_t)(newline - p) + 1;
		}
	}
	buf_free(&text);
	return rc;
}

/* A place in the journal that came from outside is used only if the wanted entry begins there. */
static bool
stands_at(struct journal *j, const struct place *at)
{
	struct buf text = {0};
	struct why ignored;
	struct entry e;
	bool right = at->pos == j->op.h.offset && at->seq == j->op.h.seq + 1;
	if (!right && at->pos < j->op.h.offset && journal_read(j, at->pos, &text, 1, &ignored) == 0 && text.n) {
		const char *newline = memchr(text.p, '\n', text.n);
		right = newline && !entry_parse(text.p, (size_t)(newline - text.p), &e) && e.seq == at->seq;
	}
	buf_free(&text);
	return right;
}

/* Fold what came, or wait for the entry that is wanted. */
static int
refresh(struct request *r, struct journal *j, uint64_t from, int64_t wait_ms)
{
	if (!wait_ms)
		return journal_refresh(j, &r->why);
	struct follow *f = request_follow(r);
	return f ? follow_entry(f, j, from, wait_ms, &r->why) : -1;
}

/* Whether it is the turn of the call that waits. */
static bool
is_turn(struct journal *j, const struct filter *f)
{
	const struct op_call *c = *f->queued ? op_call(&j->op, f->queued) : NULL;
	return c && c->state == CALL_RUNNING && c->queued && op_is_next(&j->op, c);
}

/* Put the entries that are wanted, and where the reader stands then. */
static int
put_events(struct request *r, struct journal *j, const struct filter *f, struct place *at)
{
	int64_t skip = 0;
	const struct op_head *h = &j->op.h;
	if (f->tail == 0 || at->seq > h->seq) { /* nothing that is there: no need to read it */
		at->seq = at->seq > h->seq ? at->seq : h->seq + 1;
		at->pos = h->offset;
	} else if (f->tail > 0) {
		/* Count first, so that only the last ones are held. */
		struct place count = *at;
		if (collect(r, j, f, INT64_MAX, &count, NULL) < 0)
			return -1;
		skip = count.count > f->tail ? count.count - f->tail : 0;
	}
	request_common(r, j, h->seq);
	json_put(r->reply, "state", op_state_name(h->state));
	json_open(r->reply, "entries", '[');
	int rc = collect(r, j, f, skip, at, r->reply);
	json_close(r->reply, ']');
	json_put_int(r->reply, "next", (int64_t)at->seq);
	json_put_int(r->reply, "pos", (int64_t)at->pos);
	json_put_bool(r->reply, "more", at->more && at->pos < h->offset);
	json_put_bool(r->reply, "ended", op_has_ended(&j->op));
	if (is_turn(j, f))
		json_put_bool(r->reply, "turn", true);
	if (r->v->follow && follow_is_slow(r->v->follow))
		json_put_bool(r->reply, "slow", true);
	return rc;
}

int
verb_events(struct request *r)
{
	struct filter f;
	struct journal ended, *j;
	char id[ID_OPERATION_MAX + 1];
	int64_t from = 1, pos = -1, wait_ms = 0;
	if (read_filter(r, &f) < 0 || request_int(r, "from", 1, JSON_INT_MAX, &from) < 0 || request_int(r, "pos", 0, JSON_INT_MAX, &pos) < 0 ||
	    request_int(r, "waitMs", 0, 3600000, &wait_ms) < 0 || request_operation(r, id) < 0)
		return -1;
	/* One that lives stays open between requests: who follows it folds only what is new. */
	j = request_live(r, id, false);
	if (!j) {
		if (!err_is_end(r->why.code) || store_get(&r->v->store, id, STORE_ANY, NULL, &ended, &r->why) < 0)
			return -1;
		j = &ended;
	}
	struct place at = {.seq = (uint64_t)from, .pos = pos > 0 ? (uint64_t)pos : 0};
	if (pos > 0 && !stands_at(j, &at))
		at.pos = 0;
	int rc = refresh(r, j, at.seq, f.tail == 0 || is_turn(j, &f) ? 0 : wait_ms);
	if (rc == 0)
		rc = put_events(r, j, &f, &at);
	if (j == &ended)
		journal_close(j);
	return rc;
}

int
verb_changes(struct request *r)
{
	int64_t after = 0, wait_ms = 0;
	struct follow *f;
	if (request_int(r, "after", 0, JSON_INT_MAX, &after) < 0 || request_int(r, "waitMs", 0, 3600000, &wait_ms) < 0 ||
	    request_store(r, false) < 0 || !(f = request_follow(r)) || follow_ledger(f, &r->v->store, after, wait_ms, &r->why) < 0)
		return -1;
	for (int ended = 0; ended <= 1; ended++) {
		size_t i = 0;
		json_open(r->reply, ended ? "ended" : "operations", '[');
		for (const char *id; (id = follow_next(f, after, ended, &i));)
			json_put(r->reply, NULL, id);
		json_close(r->reply, ']');
	}
	json_put_int(r->reply, "next", follow_newest(f));
	if (follow_is_slow(f))
		json_put_bool(r->reply, "slow", true);
	return 0;
}
