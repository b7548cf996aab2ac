/* verb: carry out one request on a ledger. */
#include <string.h>

#include "clock.h"
#include "handlers.h"
#include "id.h"
#include "verb.h"

#define VERB(path, verb, change) {path, sizeof path - 1, verb, change}

/* `change`: it works on one operation under its lock; the others may wait, or take other locks. */
static const struct {
	const char *path;
	size_t length;
	int (*verb)(struct request *r);
	bool change;
} verbs[] = {
	VERB("/call/cancel", verb_call_cancel, true),
	VERB("/call/end", verb_call_end, true),
	VERB("/call/fail", verb_call_fail, true),
	VERB("/call/kill", verb_call_kill, true),
	VERB("/call/list", verb_call_list, false),
	VERB("/call/start", verb_call_start, true),
	VERB("/callframe/create", verb_frame_create, true),
	VERB("/callframe/delete", verb_frame_delete, true),
	VERB("/operation/abort", verb_abort, true),
	VERB("/operation/changes", verb_changes, false),
	VERB("/operation/cleanup", verb_cleanup, true),
	VERB("/operation/complete", verb_complete, true),
	VERB("/operation/create", verb_create, false),
	VERB("/operation/events", verb_events, false),
	VERB("/operation/heartbeat", verb_heartbeat, true),
	VERB("/operation/join", verb_join, true),
	VERB("/operation/leave", verb_leave, true),
	VERB("/operation/list", verb_list, false),
	VERB("/operation/log", verb_log, true),
	VERB("/operation/look", verb_look, true),
	VERB("/operation/prune", verb_prune, false),
	VERB("/operation/resolve", verb_resolve, false),
	VERB("/operation/show", verb_show, false),
	VERB("/operation/state", verb_state, false),
	VERB("/operation/why", verb_why, false),
	VERB("/temp/add", verb_temp_add, true),
	VERB("/temp/due", verb_temp_due, false),
	VERB("/temp/list", verb_temp_list, false),
	VERB("/temp/made", verb_temp_made, true),
	VERB("/temp/remove", verb_temp_remove, false),
	VERB("/temp/removed", verb_temp_removed, false),
};

int
verb_failure(const struct why *why, struct buf *reply)
{
	buf_clear(reply);
	json_open(reply, NULL, '{');
	json_put_message(reply, "error", why->text);
	json_put(reply, "code", err_info(why->code)->name);
	if (*why->hint)
		json_put_message(reply, "hint", why->hint);
	json_close(reply, '}');
	return err_info(why->code)->status;
}

bool
verb_failed_as(const struct buf *reply, enum err code)
{
	struct json j;
	struct why ignored;
	char name[40] = "";
	if (json_parse(&j, reply->p ? reply->p : "", reply->n, &ignored) < 0)
		return false;
	(void)json_copy(&j, json_get(&j, 0, "code"), name, sizeof name);
	json_free(&j);
	return strcmp(name, err_info(code)->name) == 0;
}

int
verb_do(struct verbs *v, const char *path, const struct json *json, int body, const char *key, struct buf *reply)
{
	struct request r = {.v = v, .path = path, .begun_ms = clock_mono_ms(), .key = key, .json = json, .body = body, .reply = reply};
	int (*verb)(struct request *) = NULL;
	size_t length = strlen(path);
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs && !verb; i++)
		if (verbs[i].length == length && memcmp(verbs[i].path, path, length) == 0) {
			verb = verbs[i].verb;
			if (!verbs[i].change)
				verbs_unlock(v, NULL);
		}
	buf_clear(reply);
	int rc = -1;
	if (!verb)
		why_set(&r.why, ERR_NO_PATH, "Not found: %.200s", path);
	else if (key && id_bad_key(key))
		why_set(&r.why, ERR_ID, "the key %s", id_bad_key(key));
	else if (body >= 0 && !json_is_object(json, body))
		why_set(&r.why, ERR_JSON, "Invalid JSON body");
	else {
		json_open(reply, NULL, '{');
		rc = verb(&r);
		json_close(reply, '}');
	}
	if (rc == 0 && reply->failed)
		rc = why_set(&r.why, ERR_IO, "out of memory");
	return rc == 0 ? 200 : verb_failure(&r.why, reply);
}
