/* verb_operation: create, join, leave, complete, abort, log. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "change.h"
#include "clock.h"
#include "handlers.h"
#include "settle.h"
#include "hash.h"
#include "id.h"
#include "look.h"

/* Who asked, as the entry keeps it: the process and the boot that it lives in. */
static int
put_origin(struct request *r, struct buf *b)
{
	int64_t pid = -1, start = -1;
	if (request_int(r, "participantPid", -1, INT32_MAX, &pid) < 0 || request_int(r, "participantPidStart", -1, JSON_INT_MAX, &start) < 0)
		return -1;
	if (pid > 0)
		json_put_int(b, "pid", pid);
	if (pid > 0 && start >= 0)
		json_put_int(b, "pidStart", start);
	return request_put_text(r, b, "bootId", "bootId") < 0 || request_put_text(r, b, "host", "host") < 0 ? -1 : 0;
}

/* Who takes part from now on, as the beat file says it. */
static struct beat_id
lease_of(struct request *r, int64_t ttl_ms, bool ttl_given)
{
	struct beat_id id = beat_here();
	char boot[PROC_BOOT_ID], host[sizeof id.host];
	id.mode = BEAT_LEASED;
	id.ttl_ms = ttl_ms;
	id.ttl_given = ttl_given;
	(void)json_integer(r->json, json_get(r->json, r->body, "participantPid"), 1, INT32_MAX, &id.pid);
	(void)json_integer(r->json, json_get(r->json, r->body, "participantPidStart"), 0, JSON_INT_MAX, &id.start);
	/* One that comes from elsewhere says so, or is not known at all; and nobody from elsewhere is taken for a process of this machine. */
	bool told = json_copy(r->json, json_get(r->json, r->body, "bootId"), boot, sizeof boot) == 0;
	id.nameless = r->v->remote && !told;
	if (!told || strcmp(boot, id.boot) != 0 || (r->v->remote && !r->v->near)) {
		id.start = -1;
		id.pid_ns = 0;
		if (json_copy(r->json, json_get(r->json, r->body, "host"), host, sizeof host) == 0)
			memcpy(id.host, host, sizeof host);
	}
	return id;
}

/* --- create --- */

struct settings {
	int64_t beat, jitter, stale, ttl, window;
	bool ttl_given;
};

/* A lease shorter than the time between two beats would run out between them. */
static int
check_ttl(struct request *r, int64_t ttl_ms, int64_t beat_ms)
{
	if (ttl_ms > beat_ms)
		return 0;
	return why_set(&r->why, ERR_REQUEST, "ttlMs (%lld) is not longer than the beat interval of the operation (%lld)",
		(long long)ttl_ms, (long long)beat_ms);
}

static int
read_settings(struct request *r, struct settings *s)
{
	const int64_t longest = INT64_C(3650) * 86400000;
	*s = (struct settings){.ttl_given = request_has(r, "ttlMs"), .beat = 4500, .jitter = 500, .stale = 10000, .ttl = 900000, .window = -1};
	if (request_int(r, "beatMs", 10, longest, &s->beat) < 0 || request_int(r, "jitterMs", 0, longest, &s->jitter) < 0 ||
	    request_int(r, "staleMs", 10, longest, &s->stale) < 0 || request_int(r, "ttlMs", 0, longest, &s->ttl) < 0 ||
	    request_int(r, "windowMs", 0, longest, &s->window) < 0)
		return -1;
	if (s->window < 0)
		s->window = 2 * s->beat;
	if (check_ttl(r, s->ttl, s->beat) < 0)
		return -1;
	if (s->stale <= s->beat + s->jitter)
		return why_set(&r->why, ERR_REQUEST, "staleMs (%lld) is not longer than beatMs and jitterMs together (%lld)",
			(long long)s->stale, (long long)(s->beat + s->jitter));
	return 0;
}

static uint32_t
random32(void)
{
	uint32_t value;
	if (getrandom(&value, sizeof value, GRND_NONBLOCK) == sizeof value)
		return value;
	/* Only in the first moments of a boot; names are made unique by a check, not by chance alone. */
	int64_t now = clock_mono_ms();
	return (uint32_t)hash_bytes(0, &now, sizeof now);
}

static void
reply_member(struct request *r, const char *participant, bool initiator, int64_t session, int64_t at_ms)
{
	json_put(r->reply, "participantId", participant);
	json_put_bool(r->reply, "isInitiator", initiator);
	json_put_int(r->reply, "sessionId", session);
	json_put_time(r->reply, "startTime", at_ms);
}

/* The operation is there: answer for the key that made it. */
static int
replay_create(struct request *r, const char *id, const char *request)
{
	struct journal j;
	struct buf text = {0};
	struct entry e;
	char by[ID_NAME_MAX + 1], key[ID_KEY_MAX + 1];
	if (store_get(&r->v->store, id, STORE_ANY, NULL, &j, &r->why) < 0)
		return -1;
	int rc = -1;
	if (journal_line(&j, j.op.h.first, &text) < 0 || entry_parse(text.p, text.n, &e))
		why_set(&r->why, ERR_IO, "%s: the first line cannot be read", j.path.p);
	else if (slice_copy(e.key, key, sizeof key), strcmp(key, r->key) != 0 || e.request.n != 16 || memcmp(e.request.p, request, 16) != 0) {
		why_set(&r->why, ERR_KEY_REUSED, "key %s was used for another request, which made %s", r->key, id);
		why_hint(&r->why, "give each request a key of its own");
	} else {
		slice_copy(e.by, by, sizeof by);
		request_common(r, &j, e.seq);
		reply_member(r, by, true, 1, e.at_ms);
		json_put_bool(r->reply, "replayed", true);
		rc = 0;
	}
	buf_free(&text);
	journal_close(&j);
	return rc;
}

static int
first_line(struct request *r, struct buf *b, const char *id, const char *by, int64_t now_ms, const char *request)
{
	struct settings s;
	if (read_settings(r, &s) < 0)
		return -1;
	entry_begin(b, 1, now_ms, by, EVENT_CREATED);
	json_put_int(b, "format", ENTRY_FORMAT);
	json_put(b, "operationId", id);
	if (r->key) {
		json_put(b, "key", r->key);
		json_put(b, "request", request);
	}
	if (request_put_text(r, b, "description", "description") < 0)
		return -1;
	json_put_int(b, "sessionId", 1);
	if (put_origin(r, b) < 0)
		return -1;
	json_put_int(b, "beatMs", s.beat);
	json_put_int(b, "jitterMs", s.jitter);
	json_put_int(b, "staleMs", s.stale);
	json_put_int(b, "ttlMs", s.ttl);
	if (s.ttl_given)
		json_put_bool(b, "ttlGiven", true);
	json_put_int(b, "windowMs", s.window);
	entry_end(b);
	return 0;
}

static void
reply_created(struct request *r, const char *id, const char *by, int64_t now_ms)
{
	json_put(r->reply, "operationId", id);
	json_put_int(r->reply, "seq", 1);
	json_put_bool(r->reply, "aborted", false);
	json_put(r->reply, "abortReason", NULL);
	reply_member(r, by, true, 1, now_ms);
}

/* Make the operation `id`.  0; 1 where there is one of that id; -1. */
static int
make(struct request *r, const char *id, const char *by, int64_t now_ms, const char *request)
{
	struct buf line = {0};
	struct settings s;
	int rc = first_line(r, &line, id, by, now_ms, request);
	if (rc == 0)
		rc = read_settings(r, &s);
	if (rc == 0) {
		struct beat_id lease = lease_of(r, s.ttl, s.ttl_given);
		rc = store_create(&r->v->store, id, &line, by, &lease, &r->why);
	}
	buf_free(&line);
	return rc;
}

/* With a key: the operation that it made before, else a new one.  The claim keeps others of the same key out. */
static int
make_once(struct request *r, char id[ID_OPERATION_MAX + 1], const char *by, int64_t now_ms, const char *request)
{
	char fresh[ID_OPERATION_MAX + 1];
	memcpy(fresh, id, sizeof fresh);
	int claim = store_claim_key(&r->v->store, r->key, id, &r->why), rc = -1;
	if (claim < 0)
		return -1;
	bool before = strcmp(fresh, id) != 0;
	if (before && replay_create(r, id, request) == 0)
		rc = 1;
	else if (!before || r->why.code == ERR_NO_OPERATION) /* its maker died: finish the work */
		rc = make(r, id, by, now_ms, request);
	close(claim);
	return rc;
}

int
verb_create(struct request *r)
{
	char by[ID_NAME_MAX + 1], id[ID_OPERATION_MAX + 1], request[17] = "";
	struct buf line = {0};
	int64_t now_ms = clock_wall_ms();
	if (request_participant(r, true, by) < 0)
		return -1;
	if (r->key)
		change_hash(r, request);
	/* Everything is checked before the first file is made. */
	int rc = first_line(r, &line, "", by, now_ms, request);
	if (rc == 0 && line.n > ENTRY_MAX - ID_OPERATION_MAX)
		rc = why_set(&r->why, ERR_TOO_LARGE, "the entry would be longer than %d bytes", ENTRY_MAX);
	buf_free(&line);
	if (rc < 0 || request_store(r, true) < 0)
		return -1;
	if (r->key) {
		id_operation(now_ms, by, random32(), id);
		rc = make_once(r, id, by, now_ms, request);
		if (rc != 0)
			return rc < 0 ? -1 : 0;
	} else {
		for (int try = 0; try < 8; try++) {
			id_operation(now_ms, by, random32(), id);
			if ((rc = make(r, id, by, now_ms, request)) <= 0)
				break;
		}
		if (rc > 0)
			rc = why_set(&r->why, ERR_IO, "no free id for an operation");
		if (rc < 0)
			return -1;
	}
	reply_created(r, id, by, now_ms);
	return 0;
}

/* --- join, leave --- */

static void
reply_join(struct change *c, const struct entry *e)
{
	char by[ID_NAME_MAX + 1];
	slice_copy(e->by, by, sizeof by);
	reply_member(c->r, by, strcmp(by, c->j->op.h.initiator) == 0, e->session_id, e->at_ms);
}

/* NAME, NAME-2, NAME-3 …: the first that nobody uses now. */
static int
mint(struct request *r, struct op *op, char name[ID_NAME_MAX + 1])
{
	char base[ID_NAME_MAX + 1];
	struct op_person *p;
	memcpy(base, name, sizeof base);
	for (int i = 2; (p = op_person(op, name)) && p->sessions; i++)
		if (i > 99999 || snprintf(name, ID_NAME_MAX + 1, "%s-%d", base, i) > ID_NAME_MAX)
			return why_set(&r->why, ERR_ID, "no free name like '%s'", base);
	return 0;
}

/* Whether a keeper holds the name: by its lock, or by beating by a server. */
static bool
is_kept(struct journal *j, const char *by, struct beat *b)
{
	char file[BEAT_FILE_MAX];
	const struct op_person *p = op_person(&j->op, by);
	beat_person_file(by, file);
	if (!p || !p->sessions || beat_look(j->dir, file, b) < 0)
		return false;
	if (b->locked || b->id.mode != BEAT_REMOTE)
		return b->locked && b->id.mode == BEAT_HELD;
	return !b->id.nameless && look_person(j, p, 0, b).life == LIFE_ALIVE;
}

/* Before the entry, under the lock: one who looks finds a live session with its file.  On a full disk it joins without one: its
 * entries are its beats then. */
static int
make_lease(struct request *r, struct journal *j, const char *by, int64_t ttl)
{
	char file[BEAT_FILE_MAX];
	struct beat_id lease = lease_of(r, ttl >= 0 ? ttl : j->op.h.ttl_ms, ttl >= 0 || j->op.h.ttl_given);
	struct beat b;
	beat_person_file(by, file);
	if (is_kept(j, by, &b))
		return 0;
	if (beat_lease(j->dir, file, &lease) < 0 && errno != ENOSPC && errno != EDQUOT)
		return why_errno(&r->why, "write %s of %s", file, j->op.h.id);
	return 0;
}

/* A keeper is about to be started for this name: nobody may hold it. */
static int
refuse_held(struct request *r, struct journal *j, const char *by)
{
	struct beat b;
	return is_kept(j, by, &b) ? request_held(j, by, &b, &r->why) : 0;
}

int
verb_join(struct request *r)
{
	char id[ID_OPERATION_MAX + 1], by[ID_NAME_MAX + 1];
	int64_t ttl = -1;
	bool minted = false, keep = false;
	struct change c;
	if (request_operation(r, id) < 0 || request_participant(r, true, by) < 0 || request_bool(r, "mint", &minted) < 0 ||
	    request_bool(r, "keep", &keep) < 0 || request_int(r, "ttlMs", 0, INT64_C(3650) * 86400000, &ttl) < 0)
		return -1;
	int rc = change_begin(&c, r, id, reply_join);
	if (rc == 0) {
		if (change_refuse_failing(&c) < 0 || (minted && mint(r, &c.j->op, by) < 0) || (ttl >= 0 && check_ttl(r, ttl, c.j->op.h.beat_ms) < 0) ||
		    (keep && refuse_held(r, c.j, by) < 0) || make_lease(r, c.j, by, ttl) < 0)
			return change_end(&c, change_refuse(&c));
		struct buf *b = change_entry(&c, by, EVENT_JOINED);
		json_put_int(b, "sessionId", (int64_t)c.j->op.h.sessions + 1);
		if (ttl >= 0)
			json_put_int(b, "ttlMs", ttl);
		rc = put_origin(r, b) < 0 ? change_refuse(&c) : change_commit(&c);
	}
	return change_end(&c, rc);
}

static void
reply_success(struct change *c, const struct entry *e)
{
	json_put_bool(c->r->reply, "success", true);
	if (e->session_id >= 0)
		json_put_int(c->r->reply, "sessionId", e->session_id);
	if (e->event == EVENT_COMPLETED || e->event == EVENT_FAILED)
		json_put(c->r->reply, "state", op_state_name(e->event == EVENT_FAILED ? OP_FAILED : OP_COMPLETED));
	if (e->event == EVENT_COMPLETED || e->event == EVENT_FAILED || e->event == EVENT_LEFT)
		json_put_int(c->r->reply, "cancelledCalls", e->cancelled_calls > 0 ? e->cancelled_calls : 0);
}

static int
refuse_running(struct request *r, const struct op *op, uint64_t session, uint64_t running, const char *whose)
{
	const char *one = "";
	for (uint32_t i = 0; i < op->calls.n && !*one; i++) {
		const struct op_call *call = table_at(&op->calls, i);
		if (!call->key.gone && call->state == CALL_RUNNING && (!session || call->session == session))
			one = call->key.name;
	}
	why_set(&r->why, ERR_CALLS_RUNNING, "%llu call%s of %s still run%s: %s%s", (unsigned long long)running, running == 1 ? "" : "s",
		whose, running == 1 ? "s" : "", one, running == 1 ? "" : ", …");
	why_hint(&r->why, "end them (dpl-call list shows them), or --cancel them");
	return -1;
}

static int
nothing_such(struct change *c, const char *flag)
{
	change_nothing(c);
	request_common(c->r, c->j, c->j->op.h.seq);
	json_put_bool(c->r->reply, "success", true);
	json_put_bool(c->r->reply, flag, true);
	return change_end(c, 2);
}

/* Its last session ends: there is nobody to beat.  A keeper is told by the bell. */
static void
end_beats(struct journal *j, const char *name)
{
	char file[BEAT_FILE_MAX];
	struct beat b;
	beat_person_file(name, file);
	j->ring |= beat_look(j->dir, file, &b) == 0 && (b.locked || b.id.mode == BEAT_REMOTE);
	memcpy(j->drop, file, sizeof file);
}

int
verb_leave(struct request *r)
{
	char id[ID_OPERATION_MAX + 1], by[ID_NAME_MAX + 1], whose[40];
	int64_t session_id = 0;
	bool cancel = false;
	struct change c;
	if (request_operation(r, id) < 0 || request_participant(r, false, by) < 0 || request_bool(r, "cancelPendingCalls", &cancel) < 0 ||
	    request_int(r, "sessionId", 1, JSON_INT_MAX, &session_id) < 0)
		return -1;
	int rc = change_begin(&c, r, id, reply_success);
	if (rc != 0)
		return change_end(&c, rc);
	struct op *op = &c.j->op;
	struct op_session *s = session_id ? op_session(op, (uint64_t)session_id) : op_newest_session(op, op_person(op, change_by(&c, by)));
	struct op_person *p = s ? op_person_no(op, s->person) : NULL;
	if (!p || (*by && strcmp(by, p->key.name) != 0)) {
		if (change_refuse_dead(&c, by) < 0)
			return change_end(&c, change_refuse(&c));
		return nothing_such(&c, "unknownSession");
	}
	snprintf(whose, sizeof whose, "session %llu", (unsigned long long)s->id);
	if (s->calls && !cancel) {
		refuse_running(r, op, s->id, s->calls, whose);
		return change_end(&c, change_refuse(&c));
	}
	c.thorough = true;
	char name[ID_NAME_MAX + 1];
	snprintf(name, sizeof name, "%.64s", p->key.name);
	uint64_t no = s->id;
	int64_t cancelled = s->calls ? change_cancel_calls(&c, no, name, "its session left") : 0;
	struct buf *b = change_entry(&c, name, EVENT_LEFT);
	json_put_int(b, "sessionId", (int64_t)no);
	if (cancelled)
		json_put_int(b, "cancelledCalls", cancelled);
	if (request_put_text(r, b, "reason", "reason") < 0)
		return change_end(&c, change_refuse(&c));
	if (p->sessions == 1)
		end_beats(c.j, name);
	return change_end(&c, change_commit(&c));
}

/* --- complete --- */

int
verb_complete(struct request *r)
{
	char id[ID_OPERATION_MAX + 1], by[ID_NAME_MAX + 1];
	bool cancel = false, failed = false;
	struct change c;
	if (request_operation(r, id) < 0 || request_participant(r, false, by) < 0 || request_bool(r, "cancelPendingCalls", &cancel) < 0 ||
	    request_bool(r, "failed", &failed) < 0)
		return -1;
	int rc = change_begin(&c, r, id, reply_success);
	/* Old clients name nobody, and ask again where an answer was lost. */
	if (rc < 0 && !*by && r->why.code == ERR_ENDED) {
		json_put_bool(r->reply, "success", true);
		json_put_bool(r->reply, "alreadyEnded", true);
		return 0;
	}
	if (rc != 0)
		return change_end(&c, rc);
	struct op *op = &c.j->op;
	if (*by && strcmp(by, op->h.initiator) != 0) {
		why_set(&r->why, ERR_NOT_INITIATOR, "%s is not the initiator of %s, %s is", by, id, op->h.initiator);
		why_hint(&r->why, "dpl-leave ends your part; dpl-abort stops the operation");
		return change_end(&c, change_refuse(&c));
	}
	/* After a death that is not contained the operation has one end: it fails. */
	if (change_refuse_failing(&c) < 0) {
		(void)change_refuse(&c);
		settle_briefly(r, c.j, op->h.initiator);
		return change_end(&c, -1);
	}
	/* Old clients name nobody, and end the operation whatever runs. */
	if (op_running(op) && !cancel && *by) {
		refuse_running(r, op, 0, op_running(op), "the operation");
		return change_end(&c, change_refuse(&c));
	}
	char name[ID_NAME_MAX + 1];
	snprintf(name, sizeof name, "%.64s", change_by(&c, by));
	bool aborted = journal_aborted(c.j);
	int64_t cancelled = op_running(op) ? change_cancel_calls(&c, 0, name, "the operation ended") : 0;
	struct buf *b = change_entry(&c, name, failed ? EVENT_FAILED : EVENT_COMPLETED);
	if (aborted)
		json_put_bool(b, "aborted", true);
	if (cancelled)
		json_put_int(b, "cancelledCalls", cancelled);
	if (request_put_text(r, b, "reason", "reason") < 0)
		return change_end(&c, change_refuse(&c));
	c.j->ring = true;
	c.thorough = true;
	if (op_resources(op)) {
		/* First what is registered goes; the last of that archives it. */
		rc = change_end(&c, change_commit(&c));
	} else {
		rc = change_commit_with(&c, name, EVENT_ARCHIVED);
		/* The end is in the journal and durable; should the move fail or be lost, whoever looks next finishes it. */
		if (rc == 0 && store_archive(&r->v->store, c.j, &r->why) < 0)
			notice(r->v->o.notice, "%s; the next command finishes that", r->why.text);
		rc = change_end(&c, rc);
	}
	if (op_has_ended(&c.j->op))
		request_close(r, c.j);
	return rc;
}

/* --- abort --- */

int
verb_abort(struct request *r)
{
	char id[ID_OPERATION_MAX + 1], by[ID_NAME_MAX + 1];
	bool set = true;
	struct change c;
	if (request_operation(r, id) < 0 || request_participant(r, false, by) < 0 || request_bool(r, "value", &set) < 0)
		return -1;
	int rc = change_begin(&c, r, id, reply_success);
	if (rc != 0)
		return change_end(&c, rc);
	if (journal_aborted(c.j) == set)
		return nothing_such(&c, set ? "alreadySet" : "notSet");
	c.j->ring = true;
	bool had_bit = c.j->abort_bit;
	struct buf *b = change_entry(&c, change_by(&c, by), set ? EVENT_ABORT_SET : EVENT_ABORT_CLEARED);
	if (set && request_put_text(r, b, "reason", "reason") < 0)
		return change_end(&c, change_refuse(&c));
	rc = change_commit(&c);
	if (rc < 0 && set && r->why.code == ERR_DISK_FULL && journal_set_abort_bit(c.j, true) == 0) {
		/* Not a byte to be had: the flag alone still can be set. */
		notice(r->v->o.notice, "%s; aborted all the same, the reason is lost", r->why.text);
		request_common(r, c.j, c.j->op.h.seq);
		json_put_bool(r->reply, "success", true);
		json_put_bool(r->reply, "reasonLost", true);
		return change_end(&c, 2);
	}
	if (rc == 0 && had_bit && !set && journal_set_abort_bit(c.j, false) < 0)
		rc = why_errno(&r->why, "%s", c.j->path.p);
	return change_end(&c, rc);
}

/* --- log --- */

int
verb_log(struct request *r)
{
	static const char *const levels[] = {"info", "debug", "warning", "error"};
	char id[ID_OPERATION_MAX + 1], by[ID_NAME_MAX + 1], call[ID_NAME_MAX + 1], level[16] = "";
	struct buf message = {0};
	const char *text;
	struct change c;
	bool after_death = false;
	if (request_operation(r, id) < 0 || request_participant(r, false, by) < 0 || request_call(r, "callId", false, call) < 0 || request_bool(r, "afterDeath", &after_death) < 0)
		return -1;
	/* Both cases are taken, and an unknown level is info: a log line is never lost over its level. */
	(void)json_copy(r->json, json_get(r->json, r->body, "level"), level, sizeof level);
	for (char *p = level; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p += 'a' - 'A';
	int which = 3;
	while (which > 0 && strcmp(level, levels[which]) != 0)
		which--;
	if (request_text(r, "message", true, &message, &text) < 0) {
		buf_free(&message);
		return -1;
	}
	int rc = change_begin(&c, r, id, reply_success);
	if (rc == 0 && !after_death && change_refuse_dead(&c, by) < 0)
		rc = change_refuse(&c);
	else if (rc == 0) {
		struct buf *b = change_entry(&c, change_by(&c, by), EVENT_LOG);
		json_put(b, "level", levels[which]);
		if (*call)
			json_put(b, "callId", call);
		json_put_n(b, "message", text, message.n);
		rc = change_commit(&c);
	}
	buf_free(&message);
	return change_end(&c, rc);
}
