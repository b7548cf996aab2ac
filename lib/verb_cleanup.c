/* verb_cleanup: going on with the cleanup of one operation, and retention. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "fsx.h"
#include "handlers.h"
#include "id.h"
#include "look.h"
#include "settle.h"
#include "wire.h"

enum {
	KILLED_MS = 5000,      /* behind its SIGKILL, for what a dead supervisor left to be gone */
	PAUSE_MOST_MS = 50,    /* between two looks at that */
};

struct asked {
	char id[ID_OPERATION_MAX + 1], by[ID_NAME_MAX + 1], call[ID_NAME_MAX + 1], outer[ID_NAME_MAX + 1];
	bool drive, yields, dry, forget, answer, retry, look;
	int64_t patience_ms, awake_ms;
};

static int
read_asked(struct request *r, struct asked *a)
{
	*a = (struct asked){.retry = true};
	if (request_operation(r, a->id) < 0 || request_participant(r, false, a->by) < 0 || request_call(r, "callId", false, a->call) < 0 ||
	    request_call(r, "parentId", false, a->outer) < 0 ||
	    request_bool(r, "drive", &a->drive) < 0 || request_bool(r, "yields", &a->yields) < 0 || request_bool(r, "dryRun", &a->dry) < 0 || request_bool(r, "forget", &a->forget) < 0 ||
	    request_bool(r, "acknowledge", &a->answer) < 0 || request_bool(r, "retry", &a->retry) < 0 || request_bool(r, "look", &a->look) < 0 ||
	    request_int(r, "patienceMs", 0, INT64_C(86400000), &a->patience_ms) < 0 || request_int(r, "awakeMs", 0, JSON_INT_MAX, &a->awake_ms) < 0)
		return -1;
	if (a->answer && !*a->by)
		return why_set(&r->why, ERR_REQUEST, "Missing participantId");
	return 0;
}

/* The operation as it is: what there is to be done is done, and told, behind this.  NULL with r->why. */
static struct journal *
find(struct request *r, const struct asked *a, struct journal **own)
{
	struct verbs *v = r->v;
	*own = NULL;
	if (request_store(r, false) < 0)
		return NULL;
	bool before = v->store.o.hands_off;
	v->store.o.hands_off = true;
	struct journal *j = a->dry ? *own = request_get(r, a->id) : request_any(r, a->id, own);
	v->store.o.hands_off = before;
	return j;
}

/* Whoever may write to a ledger may say what is to be removed there, and root would do it. */
static int
refuse_foreign(struct request *r)
{
	struct stat st;
	if (geteuid() != 0 || fstat(r->v->store.dir, &st) < 0 || !(st.st_mode & 022))
		return 0;
	why_set(&r->why, ERR_PERMISSION, "others may write to %s: root removes nothing for it", r->v->store.path);
	why_hint(&r->why, "chmod go-w %s", r->v->store.path);
	return -1;
}

static void
put_dead(struct request *r, const char *participant, const char *call, const struct verdict *v)
{
	json_open(r->reply, NULL, '{');
	json_put(r->reply, "participantId", participant);
	if (call)
		json_put(r->reply, "callId", call);
	json_put(r->reply, "liveness", life_name(v->life));
	json_put(r->reply, "evidence", v->why);
	json_close(r->reply, '}');
}

/* Who would be declared dead now. */
struct deaths {
	int n;
	bool uncontained;        /* one of them is not contained: all would be removed */
	struct buf contained;    /* the calls of the others, for removal.h: what is theirs would */
};

/* Find them, and tell of each with its evidence. */
static void
judge(struct request *r, struct journal *j, const struct asked *a, struct deaths *d)
{
	struct beat b;
	json_open(r->reply, "dead", '[');
	for (uint32_t i = 0; i < j->op.calls.n && !op_has_ended(&j->op); i++) {
		const struct op_call *c = table_at(&j->op.calls, i);
		if (c->key.gone || c->state != CALL_RUNNING || !c->held)
			continue;
		struct verdict v = look_call(j, c, a->awake_ms, &b);
		if (!life_is_over(v.life))
			continue;
		const struct op_person *p = op_person_no(&j->op, c->person);
		put_dead(r, p ? p->key.name : j->op.h.initiator, c->key.name, &v);
		d->n++;
		/* Of one that was queued nothing has happened yet. */
		if (c->fail_on_crash && !c->queued)
			d->uncontained = true;
		else
			buf_add(&d->contained, &c->seq, sizeof c->seq);
	}
	for (uint32_t i = 0; i < j->op.people.n && !op_has_ended(&j->op); i++) {
		const struct op_person *p = table_at(&j->op.people, i);
		if (p->key.gone || !p->sessions)
			continue;
		struct verdict v = look_person(j, p, a->awake_ms, &b);
		if (!life_is_over(v.life))
			continue;
		put_dead(r, p->key.name, NULL, &v);
		d->n++;
		d->uncontained = true;
	}
	json_close(r->reply, ']');
}

/* Whether what dead supervisors left still runs, and nobody waits for that but this: where a death is not contained, the coordinator does. */
static bool
is_ending(const struct journal *j, const struct look *l)
{
	return l->ending && !j->op.h.crashes && !op_has_ended(&j->op);
}

/* Look over all, and again until nothing that dead supervisors left runs any more: its SIGKILL is sent by who looks late enough. */
static int
look_until_ended(struct journal *j, struct look *l, int64_t patience_ms, struct why *why)
{
	int64_t most_ms = removal_is_below(j->op.h.id) ? 0 : LOOK_GRACE_MS + KILLED_MS;
	int64_t end = clock_mono_ms() + (patience_ms < most_ms ? patience_ms : most_ms);
	int rc = look_over(j, l, why);
	for (int pause = 5; rc == 0 && is_ending(j, l) && clock_mono_ms() < end; pause = pause * 2 < PAUSE_MOST_MS ? pause * 2 : PAUSE_MOST_MS) {
		l->since_ms = clock_mono_ms() + pause;
		usleep((useconds_t)pause * 1000);
		l->ending = l->unseen = 0;
		rc = look_over(j, l, why);
	}
	return rc;
}

int
verb_cleanup(struct request *r)
{
	struct asked a;
	struct journal *own;
	if (read_asked(r, &a) < 0)
		return -1;
	verbs_unlock(r->v, NULL);
	struct journal *j = find(r, &a, &own);
	if (!j)
		return -1;
	if (!*a.by)
		snprintf(a.by, sizeof a.by, "%.64s", j->op.h.initiator);
	struct cleanup c = {.removal = {.by = a.by, .limit_ms = REMOVAL_LIMIT_MS, .retry = a.retry, .forget = a.forget, .look = a.dry},
		.own_call = *a.call ? a.call : NULL, .own_name = a.answer ? a.by : NULL, .outer = *a.outer ? a.outer : NULL, .awake_ms = a.awake_ms, .patience_ms = a.patience_ms, .drive = a.drive, .yields = a.yields};
	int rc = a.drive ? refuse_foreign(r) : 0;
	struct look l = {.by = a.by, .awake_ms = a.awake_ms, .since_ms = r->begun_ms};
	struct deaths deaths = {0};
	if (rc == 0 && a.look && !a.dry && !op_has_ended(&j->op))
		rc = look_until_ended(j, &l, a.patience_ms, &r->why);
	c.since_ms = l.since_ms;
	request_common(r, j, j->op.h.seq);
	if (rc == 0 && a.dry) {
		judge(r, j, &a, &deaths);
		c.all = deaths.uncontained;
		c.removal.dead = deaths.contained.n ? &deaths.contained : NULL;
		l.ending = op_has_ended(&j->op) ? 0 : look_at_left(j);
	}
	if (rc == 0)
		rc = settle(r, j, &c);
	if (rc == 0) {
		int ending = a.dry || is_ending(j, &l) ? l.ending : c.ending;
		struct wire_source from = journal_source(j);
		json_put_bool(r->reply, "success", true);
		json_put_int(r->reply, "recorded", l.crashed);
		json_put(r->reply, "state", op_state_name(j->op.h.state));
		wire_crash(r->reply, &j->op, &from);
		json_put_int(r->reply, "epoch", (int64_t)j->op.h.epoch);
		json_put_int(r->reply, "waiting", c.waiting);
		json_put_int(r->reply, "endingProcesses", ending);
		json_put_int(r->reply, "unseen", l.unseen);
		json_put_bool(r->reply, "busy", c.removal.busy);
		json_put_bool(r->reply, "archived", j->op.h.archived);
		bool left = c.removal.left_over || deaths.n || ending || l.unseen || cleanup_is_due(&j->op) || op_has_ended(&j->op);
		json_put_bool(r->reply, "done", j->op.h.archived || !left);
	}
	buf_free(&deaths.contained);
	/* Who takes requests and waits for more would keep others from it. */
	if (!r->v->stays)
		fsx_close(&j->drive);
	request_close_own(r, j, own);
	return rc;
}

int
verb_prune(struct request *r)
{
	int64_t keep = -1;
	char **ids;
	if (request_int(r, "keep", 0, INT32_MAX, &keep) < 0 || request_store(r, false) < 0)
		return -1;
	verbs_unlock(r->v, NULL);
	ssize_t n = store_prune(&r->v->store, keep >= 0 ? (int)keep : r->v->o.keep, &ids, &r->why);
	if (n < 0)
		return -1;
	json_open(r->reply, "pruned", '[');
	for (ssize_t i = 0; i < n; i++)
		json_put(r->reply, NULL, ids[i]);
	json_close(r->reply, ']');
	free(ids);
	return 0;
}
