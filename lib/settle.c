/* settle: the cleanup as a part of a request. */
#include "settle.h"

static void
put_told(void *arg, const struct removal_told *t)
{
	struct buf *b = arg;
	const struct resource *r = t->resource;
	static const char *const members[] = {"path", "pid", "command"};
	json_open(b, NULL, '{');
	json_put_int(b, "resourceId", (int64_t)r->id);
	json_put(b, "kind", resource_kind_name(r->kind));
	if (r->kind == RESOURCE_PROCESS)
		json_put_int(b, members[r->kind], r->pid);
	else
		json_put(b, members[r->kind == RESOURCE_COMMAND ? 2 : 0], r->what.p);
	json_put(b, "participantId", r->owner.p);
	if (r->call.n)
		json_put(b, "callId", r->call.p);
	json_put(b, "decision", t->decision);
	if (*t->reason)
		json_put(b, "reason", t->reason);
	json_close(b, '}');
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
settle_briefly(struct request *r, struct journal *j, const char *by)
{
	struct cleanup c = {.removal = {.by = by, .limit_ms = REMOVAL_QUICK_MS}, .patience_ms = CLEANUP_BRIEF_MS};
	struct why why;
	if (run(r, j, &c, &why) < 0)
		notice(r->v->o.notice, "%s", why.text);
}
