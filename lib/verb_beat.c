/* verb_beat: the heartbeat. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "change.h"
#include "clock.h"
#include "handlers.h"
#include "id.h"
#include "look.h"
#include "settle.h"
#include "wire.h"

/* --- progress --- */

struct progress {
	bool wanted;
	int64_t done, total;
};

static void
reply_nothing(struct change *c, const struct entry *e)
{
	(void)c, (void)e; /* the heartbeat replies for itself */
}

/* What only some requests need is kept apart in this file: each page of stack that a beat touches costs it as much as a
 * system call. */
static __attribute__((noinline)) int
put_progress(struct request *r, const char *id, const char *by, const char *call, const struct progress *p)
{
	struct change c;
	struct buf text = {0}, nothing = {0}, *reply = r->reply;
	const char *message;
	if (request_text(r, "message", false, &text, &message) < 0) {
		buf_free(&text);
		return -1;
	}
	r->reply = &nothing;
	int rc = change_begin(&c, r, id, reply_nothing);
	if (rc == 0 && *by && request_refuse_absent(r, c.j, by) < 0)
		rc = change_refuse(&c);
	else if (rc == 0 && *call && !op_call(&c.j->op, call)) {
		why_set(&r->why, ERR_NO_CALL, "no call %s runs in %s", call, c.j->op.h.id);
		rc = change_refuse(&c);
	} else if (rc == 0) {
		struct buf *b = change_entry(&c, change_by(&c, by), EVENT_PROGRESS);
		if (*call)
			json_put(b, "callId", call);
		if (p->done >= 0)
			json_put_int(b, "done", p->done);
		if (p->total >= 0)
			json_put_int(b, "total", p->total);
		if (message)
			json_put(b, "message", message);
		rc = change_commit(&c);
	}
	rc = change_end(&c, rc);
	r->reply = reply;
	buf_free(&nothing);
	buf_free(&text);
	return rc;
}

/* --- the reply --- */

struct heartbeat {
	char id[ID_OPERATION_MAX + 1], by[ID_NAME_MAX + 1], call[ID_NAME_MAX + 1];
	bool whole;              /* the whole result is wanted */
	bool asks;               /* … only that: it is no beat */
	bool settle;             /* what is found is cleaned up, as far as that goes quickly */
	bool holds, lets_go;     /* it comes by a server, from a keeper or supervisor that promises to beat; that ends to do so */
	bool suspended;          /* … and is about to stop itself */
	bool nameless;           /* … or from a client of the old protocol, which names nobody */
	bool watchdog;           /* it comes from below a call that must beat by itself */
	int64_t newest;          /* … and knew of this session as the participant's last, 0 */
	int64_t awake_ms;
	int64_t before_age, before_wall; /* the participant's last beat before this one; -1 */
	char look_at[ID_FILE_MAX + 8]; /* a beat file that was closed: look at that one */
	char died[200];          /* its keeper says so, and why */
	struct look look;
};

static void
put_state(struct request *r, const char *name, const struct op *op, bool aborted)
{
	char at[CLOCK_TEXT];
	int64_t people = 0;
	for (uint32_t i = 0; i < op->people.n; i++) {
		const struct op_person *p = table_at(&op->people, i);
		people += !p->key.gone && p->sessions;
	}
	json_open(r->reply, name, '{');
	json_put(r->reply, "state", op_state_name(op->h.state));
	json_put_bool(r->reply, "aborted", aborted);
	json_put_int(r->reply, "callFrameCount", (int64_t)op_running(op));
	json_put_int(r->reply, "participantCount", people);
	json_put_int(r->reply, "seq", (int64_t)op->h.seq);
	clock_format(op->h.changed_ms, at);
	json_put(r->reply, "changedAt", at);
	json_close(r->reply, '}');
}

/* The state as it was at the participant's last beat. */
static void
put_before(struct request *r, const struct heartbeat *h)
{
	struct journal_options then = {.keep = true, .stop_seq = UINT64_MAX, .stop_ms = h->before_wall};
	struct journal j;
	struct why ignored;
	if (h->before_wall < 0 || store_get(&r->v->store, h->id, STORE_ANY, &then, &j, &ignored) < 0) {
		json_put(r->reply, "before", NULL);
		return;
	}
	if (j.op.h.seq)
		put_state(r, "before", &j.op, j.op.h.aborted);
	else
		json_put(r->reply, "before", NULL);
	journal_close(&j);
}

static void
put_names(struct request *r, struct journal *j, const struct heartbeat *h)
{
	struct beat b;
	bool stale = false;
	json_open(r->reply, "participants", '[');
	for (uint32_t i = 0; i < j->op.people.n; i++) {
		const struct op_person *p = table_at(&j->op.people, i);
		if (!p->key.gone && p->sessions)
			json_put(r->reply, NULL, p->key.name);
	}
	json_close(r->reply, ']');
	json_open(r->reply, "staleParticipants", '[');
	for (uint32_t i = 0; i < j->op.people.n; i++) {
		const struct op_person *p = table_at(&j->op.people, i);
		if (p->key.gone || (!p->sessions && !p->death.len) || strcmp(p->key.name, h->by) == 0 || (p->sessions && op_has_ended(&j->op)))
			continue;
		enum life life = p->sessions ? look_person(j, p, h->awake_ms, &b).life : LIFE_DEAD;
		if (life == LIFE_ALIVE || life == LIFE_SUSPENDED)
			continue;
		json_put(r->reply, NULL, p->key.name);
		stale = true;
	}
	json_close(r->reply, ']');
	json_put_bool(r->reply, "isStale", stale);
}

static __attribute__((noinline)) void
put_whole(struct request *r, struct journal *j, const struct heartbeat *h)
{
	json_put_int(r->reply, "tempResourceCount", (int64_t)op_resources(&j->op));
	json_put_int(r->reply, "heartbeatAgeMs", h->before_age >= 0 ? h->before_age : 0);
	put_names(r, j, h);
	if (h->nameless) /* it knows of no more */
		return;
	json_open(r->reply, "people", '[');
	for (uint32_t i = 0; i < j->op.people.n; i++) {
		const struct op_person *p = table_at(&j->op.people, i);
		if (!p->key.gone)
			request_person(r, j, p, h->awake_ms);
	}
	json_close(r->reply, ']');
	put_before(r, h);
	put_state(r, "after", &j->op, journal_aborted(j));
}

static bool
take_state(void *arg, const char *line, size_t n)
{
	const char **state = arg;
	struct entry e;
	if (!entry_parse(line, n, &e) && e.event >= EVENT_CALL_STARTED && e.event <= EVENT_CALL_CANCELLED)
		*state = call_state_name((enum call_state)(e.event - EVENT_CALL_STARTED));
	return true;
}

/* What became of a call; "unknown" where there never was one. */
static const char *
state_of_call(struct journal *j, const char *call)
{
	char needle[ID_NAME_MAX + 16];
	const char *state = "unknown";
	struct why ignored;
	const struct op_call *running = op_call(&j->op, call);
	if (running)
		return op_call_word(running);
	snprintf(needle, sizeof needle, "\"callId\":\"%s\"", call);
	(void)journal_search(j, 0, needle, take_state, &state, &ignored);
	return state;
}

/* The process that a keeper keeps, or is asked about, in id->watched: as it says. */
static void
read_kept(struct request *r, struct beat_id *id)
{
	(void)json_integer(r->json, json_get(r->json, r->body, "keptPid"), 1, INT32_MAX, &id->watched);
	(void)json_integer(r->json, json_get(r->json, r->body, "keptStart"), 0, JSON_INT_MAX, &id->watched_start);
}

/* Whether a keeper on that host holds the name for that process. */
static bool
is_kept(struct request *r, struct journal *j, const struct heartbeat *h)
{
	struct beat b;
	struct beat_id id = request_far(r);
	const struct op_person *p = op_person(&j->op, h->by);
	read_kept(r, &id);
	return p && look_person(j, p, h->awake_ms, &b).life == LIFE_ALIVE && (b.locked || b.id.mode == BEAT_REMOTE) &&
		b.id.watched == id.watched && b.id.watched_start == id.watched_start && strcmp(b.id.host, id.host) == 0;
}

/* unrecorded: why what was found could not be recorded, or NULL. */
static void
put_reply(struct request *r, struct journal *j, const struct heartbeat *h, const struct why *unrecorded)
{
	struct wire_source from = journal_source(j);
	request_common(r, j, j->op.h.seq);
	json_put_bool(r->reply, "success", true);
	json_put_bool(r->reply, "abortFlag", journal_aborted(j));
	json_put(r->reply, "state", op_state_name(j->op.h.state));
	wire_crash(r->reply, &j->op, &from);
	json_put_int(r->reply, "beatMs", j->op.h.beat_ms);
	json_put_int(r->reply, "jitterMs", j->op.h.jitter_ms);
	json_put_int(r->reply, "staleMs", j->op.h.stale_ms);
	json_put_int(r->reply, "windowMs", j->op.h.window_ms);
	if (!j->op.head)
		json_put_int(r->reply, "callFrameCount", (int64_t)op_running(&j->op));
	if (*h->call && !j->op.head)
		json_put(r->reply, "callState", state_of_call(j, h->call));
	if (h->look.ending)
		json_put_int(r->reply, "endingProcesses", h->look.ending);
	if (unrecorded) {
		json_put(r->reply, "lookCode", err_info(unrecorded->code)->name);
		json_put(r->reply, "lookError", unrecorded->text);
	}
	const struct op_person *p = h->holds && !*h->call ? op_person(&j->op, h->by) : NULL;
	if (p && p->sessions)
		json_put_int(r->reply, "newestSession", (int64_t)op_newest_session(&j->op, p)->id);
	if (h->asks && r->v->remote && request_has(r, "keptPid"))
		json_put_bool(r->reply, "kept", is_kept(r, j, h));
	if (h->whole)
		put_whole(r, j, h);
}

/* --- the beat --- */

/* Whether two files tell of the same supervisor or keeper. */
static bool
is_same(const struct beat_id *a, const struct beat_id *b)
{
	return a->pid == b->pid && a->start == b->start && strcmp(a->host, b->host) == 0;
}

/* One that holds its name, or its call, by beating.  0, or -1 with errno, which is 0 where r->why says it. */
static int
touch_far(struct request *r, struct journal *j, struct heartbeat *h, const char *person)
{
	char file[BEAT_FILE_MAX];
	struct beat b, other;
	struct beat_id id = request_far(r);
	read_kept(r, &id);
	if (*h->call)
		beat_call_file(h->call, file);
	else
		snprintf(file, sizeof file, "%s", person);
	if (beat_look(j->dir, file, &b) < 0)
		return errno == ENOENT ? 0 : -1; /* it has ended, or left; what follows says so */
	bool mine = b.id.mode == BEAT_REMOTE && is_same(&b.id, &id);
	const struct op_person *p = *h->call ? NULL : op_person(&j->op, h->by);
	/* It has left and joined again meanwhile: that must have been by the process that is kept. */
	bool other_has_it = p && p->sessions && h->newest && !mine && (int64_t)op_newest_session(&j->op, p)->id != h->newest &&
		(b.id.pid != id.watched || b.id.start != id.watched_start);
	if (h->lets_go) {
		char boot[sizeof id.boot];
		id.mode = BEAT_LEASED;
		id.pid = id.watched;
		id.start = id.watched_start;
		id.watched = id.watched_start = -1;
		/* What comes from this machine can be looked for here. */
		if (r->v->near && json_copy(r->json, json_get(r->json, r->body, "bootId"), boot, sizeof boot) == 0 && strcmp(boot, id.boot) == 0)
			id.pid_ns = beat_here().pid_ns;
		return mine ? beat_lease(j->dir, file, &id) : 0;
	}
	if (!mine && (other_has_it || (p && (b.locked || (b.id.mode == BEAT_REMOTE && look_person(j, p, h->awake_ms, &other).life == LIFE_ALIVE))))) {
		errno = 0;
		return request_held(j, h->by, &b, &r->why);
	}
	if (!mine && b.locked)
		return 0;
	if ((mine ? beat_touch_file(j->dir, file) : beat_lease(j->dir, file, &id)) < 0)
		return -1;
	if (h->suspended || b.state == BEAT_SUSPENDED)
		(void)beat_set_file_state(j->dir, file, h->suspended ? BEAT_SUSPENDED : BEAT_RUNNING);
	return 0;
}

/* Touch the participant's file: 0, or -1 with errno. */
static int
touch(struct request *r, struct journal *j, struct heartbeat *h)
{
	char file[BEAT_FILE_MAX];
	struct beat b;
	beat_person_file(h->by, file);
	if (h->nameless) {
		int64_t last;
		if (beat_when(j->dir, file, &last) == 0)
			h->before_age = clock_mono_ms() - last;
		request_beat_nameless(j, true);
		return 0;
	}
	const struct op_person *p = h->whole ? op_person(&j->op, h->by) : NULL;
	if (p && p->sessions) {
		h->before_age = look_person(j, p, 0, &b).age_ms;
		h->before_wall = b.wall_ms;
	}
	if (h->watchdog && *h->call) {
		char dog[BEAT_FILE_MAX];
		beat_watchdog_file(h->call, dog);
		(void)beat_touch_file(j->dir, dog); /* a call without a watchdog has no such file */
	}
	if ((h->holds || h->lets_go) && touch_far(r, j, h, file) < 0)
		return -1;
	return beat_touch_file(j->dir, file);
}

/* The participant has no beat file: it does not take part, or the file was lost. */
static int
without_file(struct request *r, struct journal *j, const struct heartbeat *h)
{
	const char *by = h->by;
	/* Once more, behind the look at the file: the entry that took it away is there by now. */
	if (journal_refresh(j, &r->why) < 0 || (op_has_ended(&j->op) && !(j = request_live(r, h->id, true))) || request_refuse_absent(r, j, by) < 0)
		return -1;
	const struct op_session *s = op_newest_session(&j->op, op_person(&j->op, by));
	struct beat_id id = beat_here();
	char file[BEAT_FILE_MAX];
	beat_person_file(by, file);
	id.mode = BEAT_LEASED;
	id.ttl_ms = op_ttl(&j->op, s, &id.ttl_given);
	id.pid = s->pid;
	id.start = proc_start(s->pid) == s->pid_start ? s->pid_start : -1;
	return beat_lease(j->dir, file, &id) == 0 ? 0 : why_errno(&r->why, "write %s of %s", file, j->op.h.id);
}

static int
read_heartbeat(struct request *r, struct heartbeat *h, struct progress *p, bool *look)
{
	*h = (struct heartbeat){.before_age = -1, .before_wall = -1, .settle = true};
	bool beats = true;
	*p = (struct progress){.done = -1, .total = -1};
	if (request_operation(r, h->id) < 0 || request_participant(r, false, h->by) < 0 || request_call(r, "callId", false, h->call) < 0 ||
	    request_bool(r, "whole", &h->whole) < 0 || request_bool(r, "look", look) < 0 || request_bool(r, "watchdog", &h->watchdog) < 0 ||
	    request_bool(r, "beat", &beats) < 0 || request_bool(r, "settle", &h->settle) < 0 || request_bool(r, "holds", &h->holds) < 0 || request_bool(r, "suspended", &h->suspended) < 0 ||
	    request_int(r, "awakeMs", 0, JSON_INT_MAX, &h->awake_ms) < 0 || request_int(r, "newestSession", 1, JSON_INT_MAX, &h->newest) < 0 ||
	    request_int(r, "done", 0, JSON_INT_MAX, &p->done) < 0 || request_int(r, "total", 1, JSON_INT_MAX, &p->total) < 0)
		return -1;
	int at = json_get(r->json, r->body, "lookAt");
	if (request_has(r, "lookAt") && (json_copy(r->json, at, h->look_at, sizeof h->look_at) < 0 || strchr(h->look_at, '/')))
		return why_set(&r->why, ERR_REQUEST, "lookAt is no name in beats/");
	if (request_has(r, "died") && json_copy(r->json, json_get(r->json, r->body, "died"), h->died, sizeof h->died) < 0)
		return why_set(&r->why, ERR_REQUEST, "died is no text, or too long");
	if (*h->died && !*h->by)
		return why_set(&r->why, ERR_REQUEST, "Missing participantId");
	p->wanted = p->done >= 0 || request_has(r, "message");
	if (p->total >= 0 && p->done > p->total)
		return why_set(&r->why, ERR_REQUEST, "done (%lld) is more than total (%lld)", (long long)p->done, (long long)p->total);
	/* Clients of the old protocol name nobody, and get the whole result. */
	h->whole |= !*h->by;
	h->nameless = r->v->remote && !*h->by;
	h->lets_go = r->v->remote && request_has(r, "holds") && !h->holds;
	h->holds &= r->v->remote;
	h->asks = !beats;
	return 0;
}

/* The last request of a keeper whose process has ended. */
static __attribute__((noinline)) int
bury(struct request *r, const struct heartbeat *h)
{
	bool done = false;
	struct journal *j = request_live(r, h->id, true);
	if (!j || look_bury(j, h->by, h->by, h->died, &done, &r->why) < 0)
		return -1;
	request_common(r, j, j->op.h.seq);
	json_put_bool(r->reply, "success", true);
	json_put_bool(r->reply, "recorded", done);
	return 0;
}

/* How it was done: what touching the file gave, with errno; and whether all are to be looked at. */
struct done {
	int rc, error;
	bool named, due;
};

static struct done
beat(struct request *r, struct journal *j, struct heartbeat *h, bool look)
{
	struct done d = {.named = *h->by};
	if (!d.named)
		snprintf(h->by, sizeof h->by, "%.64s", j->op.h.initiator);
	if (h->asks)
		d.rc = request_refuse_absent(r, j, h->by);
	else if ((d.rc = touch(r, j, h)) < 0)
		d.error = errno;
	/* The turn to look is for who beats: one that does not take part would let it pass.  Where somebody has died it is always: what
	 * that one left running is to be ended. */
	d.due = look || (h->whole && !h->nameless) || (!h->asks && d.rc == 0 && ((j->op.h.crashes && j->op.h.state == OP_RUNNING) || look_is_due(j)));
	return d;
}

/* A plain beat needs the head alone, so that it costs the same however many take part.  1 where it has been answered, 0
 * where more is to be done, or -1. */
static __attribute__((noinline)) int
by_head(struct request *r, struct heartbeat *h, struct done *d)
{
	static const struct journal_options head_only = {.head = true, .stop_seq = UINT64_MAX, .stop_ms = INT64_MAX};
	struct journal head;
	if (request_store(r, false) < 0 || store_get(&r->v->store, h->id, STORE_LIVE, &head_only, &head, &r->why) < 0)
		return -1;
	*d = beat(r, &head, h, false);
	bool enough = d->rc == 0 && !d->due;
	if (enough)
		put_reply(r, &head, h, NULL);
	journal_close(&head);
	return enough;
}

static __attribute__((noinline)) int
by_state(struct request *r, struct journal *j, struct heartbeat *h, const struct done *d)
{
	struct why why;
	const struct why *unrecorded = NULL;
	int rc = d->rc;
	if (rc < 0 && d->error == ENOENT) {
		rc = without_file(r, j, h);
		/* Who names nobody asks all the same when the initiator takes part no more. */
		if (rc < 0 && !d->named && (r->why.code == ERR_NO_PARTICIPANT || r->why.code == ERR_DEAD))
			rc = 0;
	} else if (rc < 0 && d->error) {
		errno = d->error;
		rc = why_errno(&r->why, "beat of %s in %s", h->by, h->id);
	}
	if (rc == 0 && (d->due || *h->look_at)) {
		h->look = (struct look){.by = h->by, .awake_ms = h->awake_ms, .since_ms = r->begun_ms};
		/* The beat itself was done; what could not be recorded is found by the next who looks. */
		if ((*h->look_at && look_at(j, h->look_at, &h->look, &why) < 0) || (d->due && look_over(j, &h->look, &why) < 0)) {
			notice(r->v->o.notice, "%s", why.text);
			unrecorded = &why;
		}
		if (op_has_ended(&j->op) && !(j = request_live(r, h->id, true)))
			return -1;
		/* Where nobody may be kept waiting nothing is removed: the next who comes by finds it. */
		if (h->settle && cleanup_is_due(&j->op) && !(r->v->brief && op_resources(&j->op)))
			settle_briefly(r, j, h->by);
	}
	if (rc == 0)
		put_reply(r, j, h, unrecorded);
	return rc;
}

/* The beat of who promises to beat, before what follows waits for a child: it is alive as it comes. */
static __attribute__((noinline)) void
beat_at_once(struct request *r, struct heartbeat *h)
{
	struct journal *j = h->holds && !h->whole && !h->asks && !*h->died ? request_live(r, h->id, false) : NULL;
	if (j)
		(void)touch(r, j, h);
}

int
verb_heartbeat(struct request *r)
{
	struct heartbeat h;
	struct progress p;
	struct done d;
	bool look = false;
	if (read_heartbeat(r, &h, &p, &look) < 0)
		return -1;
	/* A client of the old protocol cannot say that it removes nothing, and does not ask for that. */
	if (r->v->brief && verbs_may_take_long(r->v, h.id, h.settle && !h.nameless)) {
		beat_at_once(r, &h);
		return why_set(&r->why, ERR_BUSY, "what follows a beat in %s may take long", h.id);
	}
	if (p.wanted && put_progress(r, h.id, h.by, h.call, &p) < 0)
		return -1;
	verbs_unlock(r->v, NULL);
	if (*h.died)
		return bury(r, &h);
	bool plain = !h.whole && !h.holds && !h.lets_go && !h.asks && !look && !*h.look_at && !r->v->opened;
	int answered = plain ? by_head(r, &h, &d) : 0;
	if (answered)
		return answered < 0 ? -1 : 0;
	struct journal *j = request_live(r, h.id, true);
	if (!j)
		return -1;
	if (!plain)
		d = beat(r, j, &h, look);
	return by_state(r, j, &h, &d);
}

/* Look over the others without beating: for one who watches and takes no part. */
int
verb_look(struct request *r)
{
	char id[ID_OPERATION_MAX + 1], by[ID_NAME_MAX + 1];
	struct look l = {.since_ms = r->begun_ms};
	bool in_turn = false, settles = true;
	if (request_operation(r, id) < 0 || request_bool(r, "settle", &settles) < 0 || request_participant(r, false, by) < 0 || request_int(r, "awakeMs", 0, JSON_INT_MAX, &l.awake_ms) < 0 ||
	    request_bool(r, "inTurn", &in_turn) < 0)
		return -1;
	verbs_unlock(r->v, NULL);
	struct journal *j = request_live(r, id, true);
	if (!j)
		return -1;
	if (!*by)
		snprintf(by, sizeof by, "%.64s", j->op.h.initiator);
	l.by = by;
	if ((!in_turn || look_is_due(j)) && look_over(j, &l, &r->why) < 0)
		return -1;
	if (settles && cleanup_is_due(&j->op))
		settle_briefly(r, j, by);
	struct wire_source from = journal_source(j);
	request_common(r, j, j->op.h.seq);
	json_put_bool(r->reply, "success", true);
	json_put_int(r->reply, "recorded", l.crashed);
	json_put_int(r->reply, "endingProcesses", l.ending);
	json_put_int(r->reply, "beatMs", j->op.h.beat_ms);
	wire_crash(r->reply, &j->op, &from);
	return 0;
}
