/* reclaim: doing away with what an operation whose ledger is behind a server has left on this machine. */
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "json.h"
#include "reclaim.h"
#include "userdir.h"

enum { BATCH = 200, BATCH_MS = 1000 }; /* results that are told together */

struct work {
	struct client *c;
	struct reclaim *r;
	struct buf results;      /* objects that are still to be told … */
	int n, gone;             /* … how many, and of them those that are no more … */
	int64_t since_ms;        /* … and since when the first of them waits */
	struct resource_home home;
	struct resource_order order;
};

/* --- what is asked of the server, and told to it --- */

static void
put_machine(struct buf *body)
{
	struct beat_id here = beat_here();
	json_put(body, "bootId", here.boot);
	json_put(body, "machineId", here.machine);
}

/* Send it: 0 with the reply in `reply` and `j`, which is to be freed; or -1 with `why`. */
static int
ask(struct work *w, const char *path, struct buf *body, struct buf *reply, struct json *j, struct why *why)
{
	json_close(body, '}');
	int status = client_call_text(w->c, path, body, NULL, reply);
	buf_free(body);
	if (json_parse(j, reply->p ? reply->p : "", reply->n, why) < 0)
		return -1;
	if (status == 200)
		return 0;
	struct buf text = {0};
	char code[40] = "";
	(void)json_copy(j, json_get(j, 0, "code"), code, sizeof code);
	why_set(why, err_by_name(code), "%s", json_text(j, 0, "error", &text));
	buf_free(&text);
	json_free(j);
	return -1;
}

static int
ask_due(struct work *w, struct buf *reply, struct json *j, struct why *why)
{
	const struct reclaim *r = w->r;
	struct buf body = {0};
	json_open(&body, NULL, '{');
	json_put(&body, "operationId", r->operation);
	put_machine(&body);
	if (r->all)
		json_put_bool(&body, "all", true);
	if (r->number > 0)
		json_put_int(&body, "resourceId", r->number);
	if (r->path)
		json_put(&body, "path", r->path);
	return ask(w, "/temp/due", &body, reply, j, why);
}

/* Tell what has become of those since the last time.  0, or -1 with `why`. */
static int
report(struct work *w, struct why *why)
{
	struct buf body = {0}, reply = {0};
	struct json j;
	if (!w->n)
		return 0;
	json_open(&body, NULL, '{');
	json_put(&body, "operationId", w->r->operation);
	if (w->r->by)
		json_put(&body, "participantId", w->r->by);
	put_machine(&body);
	json_open(&body, "results", '[');
	json_put_raw(&body, NULL, w->results.p, w->results.n);
	json_close(&body, ']');
	int rc = w->results.failed ? why_set(why, ERR_IO, "out of memory") : ask(w, "/temp/removed", &body, &reply, &j, why);
	if (rc == 0) {
		w->r->done += w->gone;
		json_free(&j);
	}
	buf_free(&body);
	buf_free(&reply);
	buf_clear(&w->results);
	w->n = w->gone = 0;
	return rc;
}

/* Add what became of one.  Of what was run it is told at once; many paths are told together. */
static int
add_result(struct work *w, const struct resource *resource, enum resource_result result, const char *reason, uint64_t entries, const char *printed, struct why *why)
{
	struct buf *b = &w->results;
	json_open(b, NULL, '{');
	json_put_int(b, "resourceId", (int64_t)resource->id);
	json_put(b, "result", resource_result_name(result));
	if (*reason)
		json_put(b, "reason", reason);
	if (entries)
		json_put_int(b, "entries", (int64_t)entries);
	if (resource->is_fallback && printed)
		json_put(b, "callResult", printed);
	json_close(b, '}');
	if (!w->n++)
		w->since_ms = clock_mono_ms();
	w->gone += result != RESOURCE_FAILED;
	bool waits = resource->kind == RESOURCE_PATH && w->n < BATCH && clock_mono_ms() - w->since_ms < BATCH_MS;
	return waits ? 0 : report(w, why);
}

/* --- one of them --- */

static void
tell(struct work *w, const struct resource *resource, const char *decision, const char *reason)
{
	struct removal_told t = {resource, decision, reason};
	if (w->r->told)
		w->r->told(w->r->arg, &t);
}

static int
remove_it(struct work *w, const struct resource *resource, struct why *why)
{
	char reason[400] = "";
	uint64_t entries = 0;
	struct buf printed = {0};
	sigset_t before;
	int rc = 0;
	/* What is newer than an undo command has its entry before that is run. */
	if (resource->kind != RESOURCE_PATH && !w->r->look && report(w, why) < 0)
		return -1;
	removal_shield(resource->kind, &before);
	enum resource_result result = resource_remove(resource, &w->order, &entries, &printed, reason, sizeof reason);
	bool stays = result == RESOURCE_HERE || result == RESOURCE_FAILED;
	if (result == RESOURCE_HERE)
		tell(w, resource, "waits", *reason ? reason : "the time for it was over");
	else
		tell(w, resource, w->r->look && result == RESOURCE_REMOVED ? "remove" : resource_result_name(result), reason);
	if (!w->r->look && result != RESOURCE_HERE) {
		if (resource->kind == RESOURCE_PATH && !stays && w->c->o.sync)
			remove_flush(resource->what.p);
		rc = add_result(w, resource, result, reason, entries, printed.p, why);
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	buf_free(&printed);
	return rc;
}

/* `at` is its object in the reply. */
static int
go_about(struct work *w, const struct json *j, int at, struct why *why)
{
	struct resource resource;
	struct buf before = {0};
	char reason[300] = "";
	size_t n = 0, m = 0;
	int64_t tries = 0;
	int rc = 0, made_at = json_get(j, at, "made");
	const char *added = json_raw(j, json_get(j, at, "added"), &n), *made = made_at < 0 ? NULL : json_raw(j, made_at, &m);
	bool known = added && resource_read(&resource, added, n, made, m) == 0;
	if (added && !known)
		resource_free(&resource);
	if (!known)
		return why_set(why, ERR_DAMAGED, "%s: it told of a temp resource what cannot be read", w->c->ledger);
	(void)json_integer(j, json_get(j, at, "tries"), 0, UINT32_MAX, &tries);
	resource.tries = (uint32_t)tries;
	w->r->found++;
	enum resource_place place = resource_place(&resource, &w->home, reason, sizeof reason);
	if (place != PLACE_HERE) {
		tell(w, &resource, place == PLACE_ELSEWHERE ? "elsewhere" : "waits", reason);
	} else if (json_true(j, at, "failed") && !w->r->retry) {
		tell(w, &resource, "waits", json_text(j, at, "reason", &before));
	} else {
		rc = remove_it(w, &resource, why);
	}
	buf_free(&before);
	resource_free(&resource);
	return rc;
}

/* --- all of them --- */

int
reclaim(struct client *c, struct reclaim *r, int64_t end_ms, struct why *why)
{
	struct work w = {.c = c, .r = r, .home = {.operation = r->operation, .name = c->ledger, .uid = geteuid(), .gid = getegid(), .shared = true, .foreign = true}};
	struct buf reply = {0};
	struct json j;
	r->found = r->done = 0;
	w.order = (struct resource_order){.home = &w.home, .limit_ms = r->limit_ms, .look = r->look};
	why->code = ERR_NONE;
	/* A look changes nothing, and may look at what another does just now. */
	int fd = r->look ? userdir_open(false, why) : removal_lock_sealed(r->operation, end_ms, why);
	if (r->look && fd < 0 && why->code == ERR_NO_FILE)
		return 0;
	r->busy = fd == -2;
	if (fd < 0)
		return fd == -1 ? -1 : 0;
	/* Asked behind the lock: who had it before has told what it did. */
	int rc = ask_due(&w, &reply, &j, why);
	if (rc == 0) {
		int list = json_get(&j, 0, "resources");
		/* What is refused of one is no reason to leave the others; but where nobody can be told, nothing more is done. */
		struct why one;
		for (int i = json_first(&j, list); i >= 0 && (rc == 0 || why->code != ERR_UNREACHABLE); i = json_next(&j, list, i))
			if (go_about(&w, &j, i, &one) < 0) {
				*why = one;
				rc = -1;
			}
		if (report(&w, &one) < 0) {
			*why = one;
			rc = -1;
		}
		json_free(&j);
	}
	close(fd);
	buf_free(&w.results);
	buf_free(&reply);
	return rc;
}

void
reclaim_left(struct client *c)
{
	struct why why;
	char operation[sizeof c->left];
	memcpy(operation, c->left, sizeof operation);
	struct reclaim r = {.operation = operation, .limit_ms = REMOVAL_QUICK_MS};
	if (!c->remote || !*operation)
		return;
	if (reclaim(c, &r, 0, &why) < 0)
		notice(c->o.notice, "what operation %s has left here: %s", operation, why.text);
	c->left[0] = '\0';
}
