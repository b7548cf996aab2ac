/* settle: the cleanup as a part of a request. */
#include "settle.h"

static void
put_told(void *arg, const struct removal_told *t)
{
	removal_put(arg, t);
}

static int
run(struct request *r, struct journal *j, struct cleanup *c, struct why *why)
{
	verbs_unlock(r->v, NULL);
	if (cleanup_run(j, c, why) < 0)
		return -1;
	struct why later;
	if (j->op.h.archived && !c->removal.look && store_archive(&r->v->store, j, &later) < 0)
		notice(r->v->o.notice, "%s; the next command finishes that", later.text);
	return 0;
}

int
settle(struct request *r, struct journal *j, struct cleanup *c)
{
	c->removal.told = put_told;
	c->removal.arg = r->reply;
	json_open(r->reply, "resources", '[');
	int rc = run(r, j, c, &r->why);
	json_close(r->reply, ']');
	json_put_int(r->reply, "leftOver", c->removal.left_over);
	return rc;
}

void
settle_and_tell(struct request *r, struct journal *j, const char *by)
{
	settle_briefly(r, j, by);
	uint64_t left = r->v->remote ? op_due(&j->op) : 0;
	if (left)
		json_put_int(r->reply, "leftOver", (int64_t)left);
}

void
settle_briefly(struct request *r, struct journal *j, const char *by)
{
	struct cleanup c = {.removal = {.by = by, .limit_ms = REMOVAL_QUICK_MS}, .since_ms = r->begun_ms, .patience_ms = CLEANUP_BRIEF_MS};
	struct why why;
	if (run(r, j, &c, &why) < 0)
		notice(r->v->o.notice, "%s", why.text);
}
