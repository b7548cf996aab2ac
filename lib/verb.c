/* verb: carry out one request on a ledger. */
#include <string.h>

#include "handlers.h"
#include "id.h"
#include "verb.h"

/* `change`: it works on one operation under its lock; the others may wait, or take other locks. */
static const struct {
	const char *path;
	int (*verb)(struct request *r);
	bool change;
} verbs[] = {
	{"/call/end", verb_call_end, true},
	{"/call/fail", verb_call_fail, true},
	{"/call/list", verb_call_list, false},
	{"/call/start", verb_call_start, true},
	{"/operation/abort", verb_abort, true},
	{"/operation/complete", verb_complete, true},
	{"/operation/create", verb_create, false},
	{"/operation/events", verb_events, false},
	{"/operation/join", verb_join, true},
	{"/operation/leave", verb_leave, true},
	{"/operation/list", verb_list, false},
	{"/operation/log", verb_log, true},
	{"/operation/resolve", verb_resolve, false},
	{"/operation/show", verb_show, false},
	{"/operation/state", verb_state, false},
};

int
verb_failure(const struct why *why, struct buf *reply)
{
	buf_clear(reply);
	json_open(reply, NULL, '{');
	json_put(reply, "error", why->text);
	json_put(reply, "code", err_info(why->code)->name);
	if (*why->hint)
		json_put(reply, "hint", why->hint);
	json_close(reply, '}');
	return err_info(why->code)->status;
}

int
verb_do(struct verbs *v, const char *path, const char *body, size_t n, const char *key, struct buf *reply)
{
	struct request r = {.v = v, .path = path, .key = key, .reply = reply};
	int (*verb)(struct request *) = NULL;
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs && !verb; i++)
		if (strcmp(verbs[i].path, path) == 0) {
			verb = verbs[i].verb;
			if (!verbs[i].change)
				verbs_unlock(v, NULL);
		}
	buf_clear(reply);
	r.json.tok = r.json.inline_tok;
	int rc = -1;
	if (!verb)
		why_set(&r.why, ERR_NO_PATH, "Not found: %.200s", path);
	else if (key && id_bad_key(key))
		why_set(&r.why, ERR_ID, "the key %s", id_bad_key(key));
	else if (json_parse(&r.json, n ? body : "{}", n ? n : 2, &r.why) == 0 && json_no_duplicates(&r.json, &r.why) == 0) {
		if (!json_is_object(&r.json, 0))
			why_set(&r.why, ERR_JSON, "Invalid JSON body");
		else {
			json_open(reply, NULL, '{');
			rc = verb(&r);
			json_close(reply, '}');
		}
	}
	json_free(&r.json);
	if (rc == 0 && reply->failed)
		rc = why_set(&r.why, ERR_IO, "out of memory");
	return rc == 0 ? 200 : verb_failure(&r.why, reply);
}
