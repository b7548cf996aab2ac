/* remote/errand: one request of ours carried out by a server, as often tried as that is safe, and its reply. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "clock.h"
#include "id.h"
#include "remote/errand.h"
#include "remote/token.h"
#include "verb.h"
#include "watch.h"

/* --- what may be sent twice --- */

enum again {
	ONCE,  /* nobody knows what it would do twice */
	KEYED, /* safe with an idempotency key, so it gets one */
	SAFE,  /* it only reads, or it does nothing more when it is repeated */
};

/* What is not here is sent once.  So are /call/kill and /temp/remove: a signal would come twice, and what was removed by the first is
 * not to be found by the second; no entry of the journal is theirs, which could keep a key. */
static const struct {
	const char *path;
	enum again again;
} paths[] = {
	{"/call/cancel", KEYED},
	{"/call/end", KEYED},
	{"/call/fail", KEYED},
	{"/call/list", SAFE},
	{"/call/start", KEYED},
	{"/callframe/create", KEYED},
	{"/callframe/delete", KEYED},
	{"/operation/abort", KEYED},
	{"/operation/changes", SAFE},
	{"/operation/cleanup", SAFE},
	{"/operation/complete", KEYED},
	{"/operation/create", KEYED},
	{"/operation/events", SAFE},
	{"/operation/heartbeat", SAFE},
	{"/operation/join", KEYED},
	{"/operation/leave", KEYED},
	{"/operation/list", SAFE},
	{"/operation/log", KEYED},
	{"/operation/look", SAFE},
	{"/operation/prune", SAFE},
	{"/operation/resolve", SAFE},
	{"/operation/show", SAFE},
	{"/operation/state", SAFE},
	{"/operation/why", SAFE},
	{"/temp/add", KEYED},
	{"/temp/due", SAFE},
	{"/temp/list", SAFE},
	{"/temp/made", KEYED},
	{"/temp/removed", SAFE},
};

static enum again
again(const char *path)
{
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
		if (strcmp(paths[i].path, path) == 0)
			return paths[i].again;
	return ONCE;
}

/* "h-" and 128 random bits.  0 or -1. */
static int
make_key(char key[ID_KEY_MAX + 2])
{
	unsigned char bits[16];
	if (getrandom(bits, sizeof bits, 0) != (ssize_t)sizeof bits)
		return -1;
	memcpy(key, "h-", 3);
	for (size_t i = 0; i < sizeof bits; i++)
		snprintf(key + 2 + 2 * i, 3, "%02x", bits[i]);
	return 0;
}

/* --- what is asked --- */

/* A path goes into a URL as it is, so it holds nothing that means something there. */
static bool
is_path(const char *path)
{
	size_t n = strlen(path);
	return *path == '/' && !strstr(path, "/.") && n < 100 &&
		strspn(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/_-.") == n;
}

/* How long the request itself says that it may take. */
static int64_t
own_ms(const struct json *json, int body)
{
	static const char *const members[] = {"waitMs", "patienceMs"};
	int64_t sum = 0, ms;
	for (size_t i = 0; i < sizeof members / sizeof *members; i++)
		if (json_integer(json, json_get(json, body, members[i]), 0, INT64_C(7) * 24 * 3600 * 1000, &ms) == 0)
			sum += ms;
	return sum;
}

/* --- trying --- */

/* Wait before the next attempt.  False where the input has ended meanwhile: who asked is not there any more, or will not ask again,
 * and gets what there is.  The process ends here where nobody reads its output either. */
static bool
pause_ms(int64_t ms)
{
	struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLRDHUP}, {.fd = STDOUT_FILENO}};
	int64_t end = clock_mono_ms() + ms;
	for (;;) {
		int64_t left = end - clock_mono_ms();
		int n = poll(fds, 2, left > 0 ? (int)left : 0);
		if (n < 0 && errno != EINTR)
			return false;
		if (n > 0 && watch_is_unread(STDOUT_FILENO))
			_exit(EXIT_DONE);
		if (n > 0 && fds[0].revents)
			return false;
		if (n > 0) /* of standard output, and not its end: it would wake us for ever */
			fds[1].fd = -1;
		if (n == 0 && left <= 0)
			return true;
	}
}

/* All that is still to be waited, with the next wait. */
static int64_t
rest_ms(const struct errand *e, int n, int64_t next_ms)
{
	int64_t sum = next_ms;
	for (int i = n + 1; i < ERRAND_RETRIES; i++)
		sum += e->first_ms << i;
	return sum;
}

static void
tell(struct errand *e, int n, int64_t next_ms, const char *reason)
{
	if (!e->told)
		notice(e->notice, "%.200s: cannot reach it (%s); trying again for %g s", e->x.target->name, reason,
			(double)rest_ms(e, n, next_ms) / 1000);
	e->told = true;
}

/* A 503 says that nothing was done; but that a time which somebody set is over is an answer. */
static bool
is_busy(struct errand *e)
{
	struct json j;
	struct why why;
	char code[40] = "";
	if (exchange_status(&e->x) != 503)
		return false;
	if (json_parse(&j, e->answer.p ? e->answer.p : "", e->answer.n, &why) == 0) {
		(void)json_copy(&j, json_get(&j, 0, "code"), code, sizeof code);
		json_free(&j);
	}
	return strcmp(code, err_info(ERR_TIMED_OUT)->name) != 0;
}

/* The token, before the first request, and once more where the server does not know it: 1 where it is another one now, 0, or -1
 * with `why`. */
static int
read_token(struct errand *e, struct why *why)
{
	struct buf token = {0};
	if (token_read(e->token_file, &token, why) < 0) {
		buf_free(&token);
		e->refused = true;
		return -1;
	}
	bool other = token.n != e->token.n || memcmp(token.p, e->token.p, token.n) != 0;
	buf_free(&e->token);
	e->token = token;
	return other;
}

static enum exchange_end
try(struct errand *e, struct exchange_request *r, bool safe, struct why *why)
{
	bool reread = false;
	for (int n = 0;; n++) {
		enum exchange_end end;
		/* A token that was changed since costs no attempt. */
		for (;;) {
			r->token = e->token.n ? e->token.p : NULL;
			end = exchange_post(&e->x, r, &e->answer, why);
			if (end != EXCHANGE_CAME || exchange_status(&e->x) != 401 || !e->token_file || reread)
				break;
			reread = true;
			if (read_token(e, why) <= 0)
				break;
		}
		bool busy = end == EXCHANGE_CAME && is_busy(e);
		if (end == EXCHANGE_CAME && !busy)
			e->told = false;
		if (n == ERRAND_RETRIES || e->no_retry || !(busy || end == EXCHANGE_UNSENT || (end == EXCHANGE_LOST && safe)))
			return end;
		int64_t wait_ms = e->first_ms << n, asked_ms = busy ? exchange_retry_ms(&e->x) : -1;
		if (asked_ms >= 0)
			wait_ms = asked_ms < ERRAND_PATIENCE_MS ? asked_ms : ERRAND_PATIENCE_MS;
		if (!pause_ms(0)) /* lest more be said than is done */
			return end;
		tell(e, n, wait_ms, busy ? "it answers that it is busy" : why->text);
		if (!pause_ms(wait_ms))
			return end;
	}
}

/* --- the reply --- */

/* Make a failure of ours the reply, in front of whose text the ledger's name is put. */
static int
unreachable(const struct errand *e, const char *text, const char *hint, struct buf *reply)
{
	struct why why;
	why_set(&why, ERR_UNREACHABLE, "%.200s: %s", e->x.target->name, text);
	why_hint(&why, "%s", hint);
	return verb_failure(&why, reply);
}

static int
no_reply(const struct errand *e, const char *text, struct buf *reply)
{
	char all[400];
	snprintf(all, sizeof all, "it answered something that is no reply of a ledger (%.300s)", text);
	return unreachable(e, all, "", reply);
}

static const char *
code_of(int status)
{
	enum err err = status == 404 ? ERR_NO_OPERATION : status < 500 ? ERR_REQUEST : ERR_UNREACHABLE;
	return err_info(status == 401 || status == 403 ? ERR_PERMISSION : err)->name;
}

static void
token_hint(const struct errand *e, struct buf *b)
{
	char hint[300];
	if (e->token_file)
		snprintf(hint, sizeof hint, "is the token in %.200s that of the server?", e->token_file);
	json_put(b, "hint", e->token_file ? hint : "DPL_TOKEN_FILE names the file with its token");
}

/* An error reply: what is missing in it is added, all else is passed on.  `root` is 0, or -1 where it was no object. */
static void
error_reply(const struct errand *e, const struct json *j, int root, int status, struct buf *reply)
{
	/* Where `error` has the words of the old protocol, ours are the detail. */
	int detail = json_get(j, root, "detail"), code = json_get(j, root, "code"), hint = json_get(j, root, "hint");
	const char *words_of = json_is_string(j, detail) ? "detail" : "error";
	const char *permission = err_info(ERR_PERMISSION)->name;
	char name[40] = "", text[300];
	(void)json_copy(j, code, name, sizeof name);
	bool coded = *name && (status != 401 || strcmp(name, permission) == 0);
	if (!coded || json_is_string(j, detail)) {
		/* Anew, lest there be two of one name. */
		snprintf(text, sizeof text, "%.200s: it answered with status %d", e->x.target->name, status);
		json_open(reply, NULL, '{');
		if (json_is_string(j, json_get(j, root, words_of))) {
			struct buf words = {0};
			json_put(reply, "error", json_text(j, root, words_of, &words));
			buf_free(&words);
		} else {
			json_put(reply, "error", text);
		}
		json_put(reply, "code", coded ? name : code_of(status));
		for (int k = json_first(j, root); k >= 0; k = json_next(j, root, k)) {
			size_t n, length;
			const char *member = json_raw(j, k, &n);
			bool ours = (n == 5 && memcmp(member, "error", 5) == 0) || (n == 4 && memcmp(member, "code", 4) == 0) || k + 1 == detail;
			if (ours)
				continue;
			const char *raw = json_raw(j, k + 1, &length);
			bool quoted = json_is_string(j, k + 1);
			buf_fmt(reply, ",\"%.*s\":", (int)n, member);
			buf_add(reply, raw - quoted, length + (quoted ? 2 : 0));
		}
		if (!coded)
			snprintf(name, sizeof name, "%s", code_of(status));
	} else {
		size_t n;
		const char *raw = json_raw(j, root, &n);
		for (n--; raw[n - 1] == ' ' || raw[n - 1] == '\t' || raw[n - 1] == '\n' || raw[n - 1] == '\r';)
			n--;
		buf_add(reply, raw, n); /* but for its closing bracket */
	}
	if (hint < 0 && (status == 401 || status == 403) && strcmp(name, permission) == 0)
		token_hint(e, reply);
	json_close(reply, '}');
}

static int
pass_on(const struct errand *e, struct buf *reply)
{
	struct json j;
	struct why why;
	char text[40];
	int status = exchange_status(&e->x);
	bool parsed = json_parse(&j, e->answer.p ? e->answer.p : "", e->answer.n, &why) == 0;
	bool good = parsed && json_is_object(&j, 0) && (status == 200 || (status >= 400 && status <= 599));
	if (status == 200 && good)
		buf_add(reply, e->answer.p, e->answer.n);
	else if (good || status == 401 || status == 403)
		error_reply(e, &j, good ? 0 : -1, status, reply);
	if (parsed)
		json_free(&j);
	if (reply->n || reply->failed)
		return status;
	snprintf(text, sizeof text, "status %d", status);
	return no_reply(e, text, reply);
}

static int
reply_to(const struct errand *e, enum exchange_end end, const struct why *why, bool harmless, struct buf *reply)
{
	switch (end) {
	case EXCHANGE_CAME:
		return pass_on(e, reply);
	case EXCHANGE_STRANGE:
		return no_reply(e, why->text, reply);
	case EXCHANGE_REFUSED:
		return unreachable(e, why->text, why->hint, reply);
	case EXCHANGE_UNSENT:
		return unreachable(e, why->text, "is dpl-serve running there? (dpl-serve -C LEDGER)", reply);
	case EXCHANGE_LOST:
	default:
		return unreachable(e, why->text, harmless ? "" : "whether the request was carried out is not known", reply);
	}
}

int
errand_do(struct errand *e, const char *path, const struct json *json, int body, const char *key, struct buf *reply)
{
	struct why why;
	char own[ID_KEY_MAX + 2];
	struct exchange_request r = {.path = path, .body = "{}", .n = 2, .key = key, .more_ms = own_ms(json, body), .most_ms = e->most_ms};
	enum again kind = again(path);
	buf_clear(reply);
	if (!is_path(path))
		return why_set(&why, ERR_NO_PATH, "Not found: %.200s", path), verb_failure(&why, reply);
	if (key && id_bad_key(key))
		return why_set(&why, ERR_ID, "the key %s", id_bad_key(key)), verb_failure(&why, reply);
	if (body >= 0 && !json_is_object(json, body))
		return why_set(&why, ERR_JSON, "Invalid JSON body"), verb_failure(&why, reply);
	if (e->token_file && !e->token.n && read_token(e, &why) < 0)
		return verb_failure(&why, reply);
	if (body >= 0)
		r.body = json_raw(json, body, &r.n);
	if (!key && kind == KEYED && make_key(own) == 0)
		r.key = own;
	bool safe = kind == SAFE || r.key;
	r.once = !safe;
	enum exchange_end end = try(e, &r, safe, &why);
	int status = reply_to(e, end, &why, kind == SAFE, reply);
	/* A line end in JSON is only ever a blank between two values. */
	for (size_t i = 0; i < reply->n; i++)
		if (reply->p[i] == '\n' || reply->p[i] == '\r')
			reply->p[i] = ' ';
	return status;
}

void
errand_close(struct errand *e)
{
	exchange_close(&e->x);
	buf_free(&e->token);
	buf_free(&e->answer);
}
