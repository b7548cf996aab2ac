/* frame: the call frame of a supervised call. */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroup.h"
#include "clock.h"
#include "entry.h"
#include "frame.h"
#include "fsx.h"
#include "json.h"
#include "num.h"
#include "reclaim.h"
#include "text.h"

enum {
	END_TRIES = 6,
};

static void
put_common(const struct frame *f, struct buf *b)
{
	buf_clear(b);
	json_open(b, NULL, '{');
	json_put(b, "operationId", f->asked->operation);
	json_put(b, "participantId", f->asked->participant);
}

/* Text that may have been cut within a character, or come from a file name. */
static void
put_text(struct buf *b, const char *name, const char *text)
{
	struct buf repaired = {0};
	text_repair(&repaired, text, strlen(text));
	json_put(b, name, repaired.p ? repaired.p : "");
	buf_free(&repaired);
}

/* Send it: 0 and the parsed reply, or -1 with `why`. */
static int
request(struct frame *f, const char *path, struct buf *body, struct buf *reply, struct json *j, struct why *why)
{
	json_close(body, '}');
	int status = client_call_text(f->client, path, body, NULL, reply);
	if (json_parse(j, reply->p ? reply->p : "", reply->n, why) < 0)
		return -1;
	if (status == 200)
		return 0;
	struct buf text = {0}, hint = {0};
	char code[40] = "io-error";
	(void)json_copy(j, json_get(j, 0, "code"), code, sizeof code);
	(void)json_string(j, json_get(j, 0, "error"), &text);
	(void)json_string(j, json_get(j, 0, "hint"), &hint);
	why_set(why, err_by_name(code), "%s", text.p ? text.p : "?");
	if (hint.n)
		why_hint(why, "%s", hint.p);
	buf_free(&text);
	buf_free(&hint);
	json_free(j);
	return -1;
}

/* The command line for people, cut at a character. */
static void
put_command_line(struct buf *b, char **argv)
{
	struct buf line = {0}, text = {0};
	for (int i = 0; argv[i] && line.n < 200; i++)
		buf_fmt(&line, "%s%.200s", i ? " " : "", argv[i]);
	text_repair(&text, line.p ? line.p : "", line.n > 200 ? 200 : line.n);
	if (line.n > 200)
		buf_str(&text, " …");
	json_put(b, "description", text.p ? text.p : "");
	buf_free(&line);
	buf_free(&text);
}

static void
put_asked(const struct frame_asked *a, struct buf *b)
{
	int64_t session = -1;
	if (a->parent)
		json_put(b, "parentId", a->parent);
	if (a->parent_must_exist)
		json_put_bool(b, "parentMustExist", true);
	if (a->session && num_int(a->session, strlen(a->session), 1, JSON_INT_MAX, &session) == 0)
		json_put_int(b, "sessionId", session);
	if (!a->fail_on_crash)
		json_put_bool(b, "failOnCrash", false);
	if (a->fallback)
		json_put(b, "fallback", a->fallback);
	if (a->fallback_command) {
		json_put(b, "fallbackCommand", a->fallback_command);
		json_put(b, "folder", a->folder);
		if (a->result_json)
			json_put_bool(b, "resultJson", true);
	}
	if (a->group)
		json_put(b, "group", a->group);
	if (a->slots)
		json_put_int(b, "slots", a->slots);
	if (a->spawned)
		json_put_bool(b, "spawned", true);
	json_put_bool(b, "unlessAborted", !a->aborted_ok);
}

static void
put_processes(const struct command *c, struct buf *b)
{
	json_put_int(b, "participantPid", c->pid);
	json_put_int(b, "participantPidStart", c->start);
	if (c->own_group) {
		json_put_int(b, "processGroup", c->pid);
		json_put_int(b, "processSession", getsid(0));
	}
	json_put_int(b, "supervisorPid", getpid());
}

/* Who holds it, on a ledger behind a server; and that what runs if it crashes is what was asked for here. */
static int
put_far(const struct frame *f, struct buf *body, struct why *why)
{
	const struct frame_asked *a = f->asked;
	char seal[SEAL_TEXT];
	json_put_bool(body, "held", true);
	json_put(body, "bootId", f->hold.id.boot);
	json_put(body, "machineId", f->hold.id.machine);
	json_put(body, "host", f->hold.id.host);
	json_put_int(body, "pidNs", (int64_t)f->hold.id.pid_ns);
	json_put_int(body, "supervisorStart", f->hold.id.start);
	char pid[24];
	snprintf(pid, sizeof pid, "%lld", (long long)f->hold.id.pid);
	struct sealed orphans = {.operation = a->operation, .machine = f->hold.id.boot, .kind = "orphans", .what = pid, .start = f->hold.id.start};
	/* Without it nobody ends what this one leaves, should it be killed; it can do without. */
	if (seal_make(&orphans, seal, why) == 0)
		json_put(body, "orphanSeal", seal);
	why->code = ERR_NONE;
	if (!a->fallback_command)
		return 0;
	struct sealed s = {.operation = a->operation, .machine = f->hold.id.machine, .kind = resource_kind_name(RESOURCE_COMMAND), .what = a->fallback_command, .folder = a->folder, .start = -1};
	if (seal_make(&s, seal, why) < 0)
		return -1;
	json_put(body, "seal", seal);
	return 0;
}

void
frame_begin(struct frame *f, struct client *client, const struct frame_asked *asked)
{
	*f = (struct frame){.client = client, .asked = asked,
		.hold = {.id = beat_here(), .watchdog = asked->watchdog, .captures = asked->captures, .fd = -1, .dog = -1, .place = -1}};
}

int
frame_start(struct frame *f, const struct command *command, struct why *why)
{
	struct buf body = {0}, reply = {0};
	struct json j;
	const struct frame_asked *asked = f->asked;
	struct client *client = f->client;
	put_common(f, &body);
	if (f->queued || asked->id)
		json_put(&body, "callId", f->queued ? f->call : asked->id);
	if (asked->description)
		json_put(&body, "description", asked->description);
	else
		put_command_line(&body, command->argv);
	put_asked(asked, &body);
	put_processes(command, &body);
	f->hold.id.mode = BEAT_HELD;
	f->hold.id.pid = getpid();
	f->hold.id.start = proc_start(getpid());
	f->hold.id.watched = command->pid;
	f->hold.id.watched_start = command->start;
	f->hold.queued = f->queued;
	if (!client_hold(client, &f->hold) && put_far(f, &body, why) < 0) {
		buf_free(&body);
		return -1;
	}
	int rc = request(f, "/call/start", &body, &reply, &j, why);
	if (rc == 0) {
		int64_t session;
		char state[16] = "";
		(void)json_copy(&j, json_get(&j, 0, "callId"), f->call, sizeof f->call);
		(void)json_copy(&j, json_get(&j, 0, "state"), state, sizeof state);
		/* The file says whom it watches, once there is somebody. */
		if (f->queued && strcmp(state, "queued") != 0 && f->hold.fd >= 0)
			(void)beat_rewrite(f->hold.fd, &f->hold.id);
		f->queued = strcmp(state, "queued") == 0;
		f->first = json_true(&j, 0, "first");
		f->late = json_true(&j, 0, "crashed");
		if (json_integer(&j, json_get(&j, 0, "sessionId"), 1, JSON_INT_MAX, &session) == 0)
			snprintf(f->session, sizeof f->session, "%lld", (long long)session);
		json_free(&j);
	}
	buf_free(&body);
	buf_free(&reply);
	return rc;
}

static void
put_outcome(const struct frame_end *e, struct buf *b)
{
	if (e->status >= 0)
		json_put_int(b, "status", e->status);
	if (e->wait_status < 0) /* it never ran */
		return;
	if (WIFEXITED(e->wait_status))
		json_put_int(b, "exitStatus", WEXITSTATUS(e->wait_status));
	else
		json_put_int(b, "signal", WTERMSIG(e->wait_status));
	json_put_int(b, "userMs", (int64_t)e->usage.ru_utime.tv_sec * 1000 + e->usage.ru_utime.tv_usec / 1000);
	json_put_int(b, "systemMs", (int64_t)e->usage.ru_stime.tv_sec * 1000 + e->usage.ru_stime.tv_usec / 1000);
	json_put_int(b, "maxRssKib", e->usage.ru_maxrss);
}

/* Its temp resources went with the call; what did not is said. */
static void
say_left(const struct json *j, const struct notice *say)
{
	struct buf what = {0}, reason = {0};
	char decision[16];
	int list = json_get(j, 0, "resources");
	for (int i = json_first(j, list); i >= 0; i = json_next(j, list, i)) {
		if (json_copy(j, json_get(j, i, "decision"), decision, sizeof decision) < 0 || strcmp(decision, "removed") == 0 || strcmp(decision, "gone") == 0)
			continue;
		buf_clear(&what);
		buf_clear(&reason);
		if (json_string(j, json_get(j, i, "path"), &what) < 0 && json_string(j, json_get(j, i, "command"), &what) < 0)
			buf_fmt(&what, "process %lld", (long long)json_number(j, i, "pid"));
		(void)json_string(j, json_get(j, i, "reason"), &reason);
		notice(say, "not removed: %s%s%s", what.n ? what.p : "?", reason.n ? ": " : "", reason.n ? reason.p : "");
	}
	buf_free(&what);
	buf_free(&reason);
}

static void
say_stays(void *arg, const struct removal_told *t)
{
	const struct resource *r = t->resource;
	if (strcmp(t->decision, "removed") != 0 && strcmp(t->decision, "gone") != 0)
		notice(arg, "not removed: %s%s%s%s", r->kind == RESOURCE_PROCESS ? "process " : "", r->what.p, *t->reason ? ": " : "", t->reason);
}

/* The same where they are for this machine to remove, since the ledger is behind a server. */
static void
reclaim_frame(struct frame *f, const struct notice *say)
{
	struct why why;
	struct reclaim r = {.operation = f->asked->operation, .by = f->asked->participant, .limit_ms = REMOVAL_LIMIT_MS, .told = say_stays,
		.arg = (void *)(uintptr_t)say};
	if (*f->client->left && reclaim(f->client, &r, clock_mono_ms() + REMOVAL_QUICK_MS, &why) < 0)
		notice(say, "what the call has left: %s", why.text);
	f->client->left[0] = '\0';
}

static int
try_end(struct frame *f, const struct frame_end *e, const struct notice *say, struct why *why)
{
	struct buf body = {0}, reply = {0};
	struct json j;
	put_common(f, &body);
	json_put(&body, "callId", f->call);
	put_outcome(e, &body);
	if (e->problem) {
		put_text(&body, "error", e->problem);
		json_put_bool(&body, "cancelled", e->cancelled);
		if (e->oom_killed)
			json_put_bool(&body, "oomKilled", true);
	} else if (e->result) {
		json_put(&body, "result", e->result);
		if (e->instead_of)
			put_text(&body, "error", e->instead_of);
	}
	int rc = request(f, e->problem ? "/call/fail" : "/call/end", &body, &reply, &j, why);
	if (rc == 0) {
		if (f->client->remote)
			reclaim_frame(f, say);
		else
			say_left(&j, say);
		json_free(&j);
	}
	buf_free(&body);
	buf_free(&reply);
	return rc;
}

int
frame_end(struct frame *f, const struct frame_end *e, const struct notice *say, struct why *why)
{
	int rc;
	for (int try = 1; (rc = try_end(f, e, say, why)) < 0 && err_info(why->code)->retryable && try < END_TRIES; try++) {
		notice(say, "%s; trying again", why->text);
		sleep(1);
	}
	return rc;
}

void
frame_log(struct frame *f, const char *level, const char *text)
{
	struct buf body = {0}, reply = {0};
	put_common(f, &body);
	json_put(&body, "callId", f->call);
	json_put(&body, "level", level);
	put_text(&body, "message", text);
	json_close(&body, '}');
	(void)client_call_text(f->client, "/operation/log", &body, NULL, &reply);
	buf_free(&body);
	buf_free(&reply);
}

void
frame_close(struct frame *f)
{
	if (f->client)
		(void)client_hold(f->client, NULL);
	if (f->hold.cgroup.n)
		cgroup_remove(f->hold.cgroup.p);
	buf_free(&f->hold.cgroup);
	fsx_close(&f->hold.fd);
	fsx_close(&f->hold.dog);
	fsx_close(&f->hold.place);
}
