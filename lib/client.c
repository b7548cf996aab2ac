/* client: send a request to wherever the ledger is. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"
#include "fsx.h"
#include "helper.h"
#include "json.h"
#include "nearby.h"

extern char **environ;

/* --- which ledger --- */

/* The length of a URL's scheme, 0 for a path.  `unix:/path` has no slashes of an authority. */
static size_t
scheme_length(const char *name)
{
	size_t n = 0;
	while ((name[n] >= 'a' && name[n] <= 'z') || (n && ((name[n] >= '0' && name[n] <= '9') || name[n] == '+')))
		n++;
	bool url = n && (strncmp(name + n, "://", 3) == 0 || (n == 4 && strncmp(name, "unix:/", 6) == 0));
	return url ? n : 0;
}

static const char *const folder = "_ai/operation_ledger";

/* The nearest ancestor of `here` (itself included) that has `what`; its length, 0 for none. */
static size_t
ancestor_with(const char *here, const char *what)
{
	char path[PATH_MAX];
	struct stat st;
	for (size_t n = strlen(here);; n--) {
		while (n > 1 && here[n] && here[n] != '/')
			n--;
		if (snprintf(path, sizeof path, "%.*s/%s", (int)(n == 1 ? 0 : n), here, what) < (int)sizeof path && stat(path, &st) == 0)
			return n;
		if (n <= 1)
			return 0;
	}
}

/* The first line that dpl-discover prints, which has asked the networks of this machine; nothing where it found none. */
static void
scan(char *url, size_t size)
{
	static char name[] = "dpl-discover", scans[] = "--scan", quiet[] = "-q";
	char *argv[] = {name, scans, quiet, NULL};
	int out[2] = {-1, -1};
	pid_t pid = 0;
	size_t n = 0;
	ssize_t got = 0;
	if (pipe2(out, O_CLOEXEC) == 0 && helper_start(argv, environ, -1, out[1], -1, &pid) == 0) {
		fsx_close(&out[1]);
		while (n < size - 1 && ((got = read(out[0], url + n, size - 1 - n)) > 0 || (got < 0 && errno == EINTR)))
			n += got > 0 ? (size_t)got : 0;
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	url[n] = '\0';
	url[strcspn(url, "\n")] = '\0';
	fsx_close(&out[0]);
	fsx_close(&out[1]);
}

/* The ledgers `auto` and `auto:scan`: the server that the environment names, or the one of this machine, or one in its networks; NULL
 * where there is none, and the default folder is meant. */
static const char *
any_server(bool scans, bool *found)
{
	static char url[300];
	const char *named = getenv("DPL_SERVER");
	if (named && *named)
		return named;
	snprintf(url, sizeof url, "http://127.0.0.1:%d", NEARBY_PORT);
	*found = nearby_is_served();
	if (!*found && scans) {
		scan(url, sizeof url);
		*found = *url;
	}
	return *found ? url : NULL;
}

/* Add the current folder's path.  Not on the stack: each page that is touched there costs a fault, and most
 * commands name their ledger in full. */
static int
current_folder(struct buf *b, struct why *why)
{
	if (buf_reserve(b, PATH_MAX) < 0)
		return why_set(why, ERR_IO, "out of memory");
	if (!getcwd(b->p, PATH_MAX))
		return why_errno(why, "the current folder");
	b->n = strlen(b->p);
	return 0;
}

static int
default_ledger(struct buf *b, struct why *why)
{
	if (current_folder(b, why) < 0)
		return -1;
	const char *here = b->p;
	size_t n = ancestor_with(here, folder);
	if (!n)
		n = ancestor_with(here, ".git");
	if (n)
		b->n = n;
	if (b->n == 1) /* the root */
		b->n = 0;
	buf_char(b, '/');
	buf_str(b, folder);
	return 0;
}

static int
absolute(struct buf *b, const char *name, struct why *why)
{
	if (*name != '/') {
		if (current_folder(b, why) < 0)
			return -1;
		buf_char(b, '/');
		while (strncmp(name, "./", 2) == 0)
			name += 2;
	}
	buf_str(b, name);
	while (b->n > 1 && b->p[b->n - 1] == '/')
		b->p[--b->n] = '\0';
	return 0;
}

int
client_open(struct client *c, const char *name, const struct store_options *o, struct why *why)
{
	struct buf b = {0};
	*c = (struct client){.o = *o, .helper = {.to = -1, .from = -1}, .ear = {.to = -1, .from = -1}};
	if (name && !*name)
		return why_set(why, ERR_USAGE, "the name of the ledger is empty");
	if (name && strlen(name) >= PATH_MAX)
		return why_set(why, ERR_USAGE, "the name of the ledger is too long");
	if (name && (strcmp(name, "auto") == 0 || strcmp(name, "auto:scan") == 0))
		name = any_server(name[4] == ':', &c->found);
	c->remote = name && scheme_length(name) > 0;
	if (c->remote)
		buf_str(&b, name);
	else if ((!name ? default_ledger(&b, why) : absolute(&b, name, why)) < 0) {
		buf_free(&b);
		return -1;
	}
	c->ledger = b.p;
	if (b.failed || (!c->remote && verbs_open(&c->verbs, c->ledger, o) < 0))
		return why_set(why, ERR_IO, "out of memory");
	return 0;
}

static void
end_helper(struct helper *h)
{
	fsx_close(&h->to); /* the end of its input ends it */
	fsx_close(&h->from);
	if (h->pid > 0)
		while (waitpid(h->pid, NULL, 0) < 0 && errno == EINTR)
			;
	buf_free(&h->line);
	h->pid = 0;
}

void
client_finish(struct client *c)
{
	if (!c->remote) {
		verbs_tidy(&c->verbs);
		return;
	}
	end_helper(&c->ear);
	end_helper(&c->helper);
}

void
client_close(struct client *c)
{
	end_helper(&c->ear);
	end_helper(&c->helper);
	if (c->verbs.path)
		verbs_close(&c->verbs);
	free(c->ledger);
	*c = (struct client){.helper = {.to = -1, .from = -1}, .ear = {.to = -1, .from = -1}};
}

int
client_flush(struct client *c, struct why *why)
{
	return c->remote ? 0 : verbs_flush(&c->verbs, why);
}

void
client_tidy(struct client *c)
{
	if (!c->remote)
		verbs_tidy(&c->verbs);
}

bool
client_hold(struct client *c, struct verbs_hold *hold)
{
	if (c->remote)
		return false;
	c->verbs.hold = hold;
	return true;
}

int
client_watch(struct client *c, const char *operation, struct watch *w, int *bell, int *beats)
{
	return c->remote ? -1 : verbs_watch(&c->verbs, operation, w, bell, beats);
}

int
client_output(struct client *c, const char *operation, const char *call, bool err, struct verbs_output *out, struct why *why)
{
	if (c->remote)
		return why_set(why, ERR_NO_FILE, "what calls print is kept in ledgers that are folders, and %s is none", c->ledger);
	return verbs_output(&c->verbs, operation, call, err, out, why);
}

/* --- the helper --- */

/* http, https and unix are one helper's work. */
static void
helper_name(const char *url, char *name, size_t size)
{
	size_t n = scheme_length(url);
	if ((n == 5 && strncmp(url, "https", 5) == 0) || (n == 4 && strncmp(url, "unix", 4) == 0))
		snprintf(name, size, "dpl-remote-http");
	else
		snprintf(name, size, "dpl-remote-%.*s", (int)n, url);
}

/* What the helper finds in its environment.  Who goes on with other things meanwhile does not want it to wait for a server that is
 * away; and one that was only found gets no token. */
static char **
environment(const struct client *c)
{
	static const char token[] = "DPL_TOKEN_FILE=";
	size_t n = 0, kept = 0;
	while (environ[n])
		n++;
	char **env = malloc((n + 2) * sizeof *env);
	if (!env)
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (!c->found || strncmp(environ[i], token, sizeof token - 1) != 0)
			env[kept++] = environ[i];
	if (c->stays)
		env[kept++] = (char *)(uintptr_t)"DPL_NO_RETRY=1";
	env[kept] = NULL;
	return env;
}

/* Kept apart: paths would take two pages of every command's stack. */
static __attribute__((noinline)) int
start_helper(struct client *c, struct helper *h, struct why *why)
{
	char name[100];
	int in[2] = {-1, -1}, out[2] = {-1, -1};
	char *argv[] = {name, c->ledger, NULL};
	helper_name(c->ledger, name, sizeof name);
	char **env = environment(c);
	int rc = !env ? ENOMEM : pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 ? errno : helper_start(argv, env, in[0], out[1], -1, &h->pid);
	free(env);
	fsx_close(&in[0]);
	fsx_close(&out[1]);
	h->to = in[1];
	h->from = out[0];
	if (rc == 0)
		return 0;
	end_helper(h);
	why_set(why, ERR_UNREACHABLE, "%s: cannot start %s: %s", c->ledger, name, strerror(rc));
	why_hint(why, "ledgers of this kind are served by the program %s, beside dpl or on PATH", name);
	return -1;
}

/* Read one line from the helper into h->line: *length bytes without its newline; more may stand behind it. */
static int
read_line(struct helper *h, size_t *length)
{
	for (size_t seen = 0;;) {
		char *newline = h->line.n > seen ? memchr(h->line.p + seen, '\n', h->line.n - seen) : NULL;
		if (newline) {
			*length = (size_t)(newline - h->line.p);
			return 0;
		}
		seen = h->line.n;
		if (buf_reserve(&h->line, 65536) < 0)
			return -1;
		ssize_t n = read(h->from, h->line.p + h->line.n, 65536);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		h->line.n += (size_t)n;
	}
}

static int
take_reply(struct client *c, struct helper *h, struct buf *reply, struct why *why)
{
	size_t length, n;
	struct json j;
	int64_t status = 0;
	if (read_line(h, &length) < 0)
		return why_set(why, ERR_UNREACHABLE, "%s: its helper ended without an answer", c->ledger);
	int rc = json_parse(&j, h->line.p, length, why);
	if (rc == 0) {
		int body = json_get(&j, 0, "body");
		if (json_integer(&j, json_get(&j, 0, "status"), 100, 599, &status) < 0 || !json_is_object(&j, body)) {
			rc = -1;
		} else {
			const char *raw = json_raw(&j, body, &n);
			buf_clear(reply);
			buf_add(reply, raw, n);
		}
		json_free(&j);
	}
	h->line.n -= length + 1;
	memmove(h->line.p, h->line.p + length + 1, h->line.n);
	return rc < 0 ? why_set(why, ERR_UNREACHABLE, "%s: its helper answered something else than a reply", c->ledger) : (int)status;
}

/* Send one request, a line, to a helper, which is started first where it is not there. */
static int
send_request(struct client *c, struct helper *h, const char *path, const char *raw, size_t n, const char *key, struct why *why)
{
	struct buf request = {0};
	if (!h->pid && start_helper(c, h, why) < 0)
		return -1;
	json_open(&request, NULL, '{');
	json_put(&request, "path", path);
	if (key)
		json_put(&request, "key", key);
	if (c->hurry_ms)
		json_put_int(&request, "timeoutMs", c->hurry_ms);
	if (raw)
		json_put_raw(&request, "body", raw, n);
	json_close(&request, '}');
	/* A request is one line.  A line end in JSON is only ever a blank between two values. */
	for (size_t i = 0; i < request.n; i++)
		if (request.p[i] == '\n' || request.p[i] == '\r')
			request.p[i] = ' ';
	buf_char(&request, '\n');
	int rc = request.failed || fsx_write(h->to, request.p, request.n) < 0 ? -1 : 0;
	buf_free(&request);
	return rc < 0 ? why_set(why, ERR_UNREACHABLE, "%s: its helper has ended", c->ledger) : 0;
}

static int
remote_call(struct client *c, const char *path, const struct json *json, int body, const char *key, struct buf *reply, struct why *why)
{
	size_t n = 0;
	const char *raw = json_is_object(json, body) ? json_raw(json, body, &n) : NULL;
	int status = send_request(c, &c->helper, path, raw, n, key, why) < 0 ? -1 : take_reply(c, &c->helper, reply, why);
	/* One that has died is started anew by the next request. */
	if (status < 0 && c->stays)
		end_helper(&c->helper);
	return status;
}

/* --- listening --- */

enum { LISTEN_MS = 3600000 };

static int
ask_ear(struct client *c, const char *operation)
{
	struct buf body = {0};
	struct why ignored;
	json_open(&body, NULL, '{');
	json_put(&body, "operationId", operation);
	json_put_int(&body, "from", c->heard > 0 ? c->heard : 1);
	json_put_bool(&body, "bell", true);
	if (*c->queued)
		json_put(&body, "queued", c->queued);
	if (c->heard)
		json_put_int(&body, "waitMs", LISTEN_MS);
	else
		json_put_int(&body, "tail", 0); /* where the next one will stand */
	json_close(&body, '}');
	int64_t hurry_ms = c->hurry_ms;
	c->hurry_ms = 0;
	int rc = send_request(c, &c->ear, "/operation/events", body.p, body.n, NULL, &ignored);
	c->hurry_ms = hurry_ms;
	buf_free(&body);
	return rc;
}

int
client_listen(struct client *c, const char *operation)
{
	if (!c->remote || c->ear.pid)
		return c->ear.from;
	if (ask_ear(c, operation) == 0)
		return c->ear.from;
	end_helper(&c->ear);
	return -1;
}

void
client_listen_for(struct client *c, const char *call)
{
	snprintf(c->queued, sizeof c->queued, "%s", call ? call : "");
}

void
client_hear(struct client *c, const char *operation)
{
	struct buf reply = {0};
	struct json j;
	struct why ignored;
	int64_t next = 0;
	bool ended = true;
	int status = take_reply(c, &c->ear, &reply, &ignored);
	if (status == 200 && json_parse(&j, reply.p, reply.n, &ignored) == 0) {
		(void)json_integer(&j, json_get(&j, 0, "next"), 1, JSON_INT_MAX, &next);
		ended = json_true(&j, 0, "ended");
		json_free(&j);
	}
	buf_free(&reply);
	if (next > 0)
		c->heard = next;
	if (status != 200 || ended || ask_ear(c, operation) < 0)
		end_helper(&c->ear);
}

/* What belongs to this machine is done away with here, when the operation has ended or something of it has. */
static void
keep_left(struct client *c, const struct json *json, int body, const struct buf *reply)
{
	struct json j;
	struct why ignored;
	char code[40] = "", operation[sizeof c->left];
	int64_t left = 0;
	if (body < 0 || json_copy(json, json_get(json, body, "operationId"), operation, sizeof operation) < 0 || json_parse(&j, reply->p, reply->n, &ignored) < 0)
		return;
	(void)json_copy(&j, json_get(&j, 0, "code"), code, sizeof code);
	(void)json_integer(&j, json_get(&j, 0, "leftOver"), 0, JSON_INT_MAX, &left);
	if (left || (*code && err_is_end(err_by_name(code))))
		memcpy(c->left, operation, sizeof operation);
	json_free(&j);
}

int
client_call(struct client *c, const char *path, const struct json *json, int body, const char *key, struct buf *reply)
{
	struct why why;
	if (!c->remote)
		return verb_do(&c->verbs, path, json, body, key, reply);
	if (body >= 0 && !json_is_object(json, body))
		return why_set(&why, ERR_JSON, "Invalid JSON body"), verb_failure(&why, reply);
	int status = remote_call(c, path, json, body, key, reply, &why);
	if (status < 0)
		return verb_failure(&why, reply);
	keep_left(c, json, body, reply);
	return status;
}

int
client_call_text(struct client *c, const char *path, const struct buf *body, const char *key, struct buf *reply)
{
	struct json json;
	struct why why;
	if (json_parse(&json, body->p, body->n, &why) < 0)
		return verb_failure(&why, reply);
	int status = json_no_duplicates(&json, &why) < 0 ? verb_failure(&why, reply) : client_call(c, path, &json, 0, key, reply);
	json_free(&json);
	return status;
}

/* --- a name that is held --- */

static void
put_kept(struct buf *body, int64_t kept, int64_t kept_start)
{
	if (kept <= 0)
		return;
	json_put_int(body, "keptPid", kept);
	json_put_int(body, "keptStart", kept_start);
}

void
client_put_holder(struct buf *body, bool holds, int64_t kept, int64_t kept_start)
{
	struct beat_id here = beat_here();
	json_put_bool(body, "holds", holds);
	json_put_int(body, "supervisorPid", getpid());
	json_put_int(body, "supervisorStart", proc_start(getpid()));
	json_put(body, "host", here.host);
	json_put(body, "bootId", here.boot);
	put_kept(body, kept, kept_start);
}

static int
beat_by_server(struct client *c, const char *operation, const char *participant, bool holds, const struct beat_id *id, struct why *why)
{
	struct buf body = {0}, reply = {0}, text = {0}, hint = {0};
	struct json j;
	char code[40] = "io-error";
	json_open(&body, NULL, '{');
	json_put(&body, "operationId", operation);
	json_put(&body, "participantId", participant);
	client_put_holder(&body, holds, id->watched, id->watched_start);
	json_put_bool(&body, "settle", false);
	json_close(&body, '}');
	int status = client_call_text(c, "/operation/heartbeat", &body, NULL, &reply);
	int rc = status == 200 ? 0 : -1;
	if (rc < 0 && json_parse(&j, reply.p ? reply.p : "", reply.n, why) == 0) {
		(void)json_copy(&j, json_get(&j, 0, "code"), code, sizeof code);
		why_set(why, err_by_name(code), "%s", json_text(&j, 0, "error", &text));
		const char *help = json_text(&j, 0, "hint", &hint);
		if (*help)
			why_hint(why, "%s", help);
		json_free(&j);
	}
	buf_free(&body);
	buf_free(&reply);
	buf_free(&text);
	buf_free(&hint);
	return rc;
}

int
client_hold_person(struct client *c, const char *operation, const char *participant, const struct beat_id *id, uint64_t *newest, int *fd, struct why *why)
{
	*fd = -1;
	if (c->remote)
		return beat_by_server(c, operation, participant, true, id, why);
	return verbs_hold_person(&c->verbs, operation, participant, id, newest, fd, why);
}

void
client_let_go_person(struct client *c, const char *operation, const char *participant, const struct beat_id *id)
{
	struct why ignored;
	if (c->remote)
		(void)beat_by_server(c, operation, participant, false, id, &ignored); /* else it is silent, and its time runs out */
}

/* The server knows by what the keeper's beats say. */
static bool
server_keeps(struct client *c, const char *operation, const char *participant, int64_t pid)
{
	struct buf body = {0}, reply = {0};
	struct json j;
	struct why ignored;
	bool kept = false;
	json_open(&body, NULL, '{');
	json_put(&body, "operationId", operation);
	json_put(&body, "participantId", participant);
	json_put_bool(&body, "beat", false);
	json_put_bool(&body, "settle", false);
	json_put(&body, "host", beat_here().host);
	put_kept(&body, pid, proc_start(pid));
	json_close(&body, '}');
	if (client_call_text(c, "/operation/heartbeat", &body, NULL, &reply) == 200 && json_parse(&j, reply.p, reply.n, &ignored) == 0) {
		kept = json_true(&j, 0, "kept");
		json_free(&j);
	}
	buf_free(&body);
	buf_free(&reply);
	return kept;
}

bool
client_keeps(struct client *c, const char *operation, const char *participant, int64_t pid)
{
	return c->remote ? server_keeps(c, operation, participant, pid) : verbs_keeps(&c->verbs, operation, participant, pid);
}
