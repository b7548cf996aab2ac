/* route: from a request to its answer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "clock.h"
#include "metrics.h"
#include "num.h"
#include "openapi.h"
#include "page.h"
#include "route.h"
#include "stream.h"
#include "verb.h"
#include "version.h"

/* --- which path is what --- */

enum weight {
	LIGHT,     /* carried out at once; what the verb itself refuses, since it may take long, is a child's (struct verbs, brief) */
	DEPENDS,   /* … unless the operation has something to remove, or somebody has died: then it may take long */
	HEAVY,     /* always a child's … */
	SLOW,      /* … and kept for as long as it takes, by whatever it waits for */
	WAITS,     /* may wait for what comes */
};

static const struct path {
	const char *path;
	enum weight weight;
	bool reads;              /* it changes nothing, so that GET may ask it, with its members in the query */
} paths[] = {
	{"/call/cancel", LIGHT, false},
	{"/call/end", DEPENDS, false},
	{"/call/fail", DEPENDS, false},
	{"/call/kill", HEAVY, false},
	{"/call/list", DEPENDS, true},
	{"/call/start", LIGHT, false},
	{"/callframe/create", LIGHT, false},
	{"/callframe/delete", DEPENDS, false},
	{"/operation/abort", LIGHT, false},
	{"/operation/changes", WAITS, true},
	{"/operation/cleanup", SLOW, false},
	{"/operation/complete", DEPENDS, false},
	{"/operation/create", LIGHT, false},
	{"/operation/events", WAITS, true},
	{"/operation/heartbeat", LIGHT, false},
	{"/operation/join", LIGHT, false},
	{"/operation/leave", DEPENDS, false},
	{"/operation/list", HEAVY, true},
	{"/operation/log", LIGHT, false},
	{"/operation/look", HEAVY, false},
	{"/operation/prune", SLOW, false},
	{"/operation/resolve", HEAVY, true},
	{"/operation/show", HEAVY, true},
	{"/operation/state", LIGHT, true},
	{"/operation/why", HEAVY, true},
	{"/temp/add", LIGHT, false},
	{"/temp/due", HEAVY, true},
	{"/temp/list", HEAVY, true},
	{"/temp/made", LIGHT, false},
	{"/temp/remove", SLOW, false},
	{"/temp/removed", LIGHT, false},
};

static const struct path *
find_path(struct http_text path)
{
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
		if (strlen(paths[i].path) == path.n && memcmp(paths[i].path, path.p, path.n) == 0)
			return &paths[i];
	return NULL;
}

static bool
is(struct http_text t, const char *s)
{
	return t.n == strlen(s) && memcmp(t.p, s, t.n) == 0;
}

static enum routed
fail(struct conn *c, const struct why *why)
{
	answer_why(c, why);
	return ROUTE_ANSWERED;
}

/* --- the server itself --- */

static enum routed
put_status(struct server *s, struct conn *c)
{
	struct buf b = {0};
	json_open(&b, NULL, '{');
	json_put(&b, "service", "tom_dist_ledger");
	json_put(&b, "version", DPL_VERSION);
	json_put(&b, "status", "ok");
	json_put_int(&b, "port", s->port);
	if (c->near)
		json_put(&b, "basePath", s->o->ledger);
	json_put_time(&b, "timestamp", clock_wall_ms());
	json_put_time(&b, "startedAt", s->started_ms);
	json_close(&b, '}');
	answer(c, 200, &b);
	buf_free(&b);
	return ROUTE_ANSWERED;
}

/* --- a request to the ledger --- */

/* A member of the query: a number, a truth or a text, as its name says. */
static int
put_parameter(struct buf *b, const char *name, const char *value, struct why *why)
{
	static const char *const numbers[] = {"from", "pos", "limit", "tail", "waitMs", "after", "atSeq", "sessionId"};
	static const char *const truths[] = {"all", "ended", "logOnly", "idsOnly", "spawned", "live", "brief", "bell"};
	int64_t number;
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		if (strcmp(name, numbers[i]) == 0) {
			if (num_int(value, strlen(value), 0, JSON_INT_MAX, &number) < 0)
				return why_set(why, ERR_REQUEST, "%s is not a whole number", name);
			json_put_int(b, name, number);
			return 0;
		}
	for (size_t i = 0; i < sizeof truths / sizeof *truths; i++)
		if (strcmp(name, truths[i]) == 0) {
			if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
				return why_set(why, ERR_REQUEST, "%s is not true or false", name);
			json_put_bool(b, name, strcmp(value, "true") == 0);
			return 0;
		}
	json_put(b, name, value);
	return 0;
}

/* The query as an object. */
static int
read_query(const struct http_head *h, struct buf *b, struct why *why)
{
	const char *p = h->query.p, *end = p ? p + h->query.n : p;
	json_open(b, NULL, '{');
	while (p && p < end) {
		const char *next = memchr(p, '&', (size_t)(end - p)), *stop = next ? next : end, *equals = memchr(p, '=', (size_t)(stop - p));
		struct http_text name = {p, (size_t)((equals ? equals : stop) - p)};
		struct http_text value = {equals ? equals + 1 : stop, equals ? (size_t)(stop - equals - 1) : 0};
		char key[64], text[1024];
		p = next ? next + 1 : end;
		if (!name.n || !value.n) /* as if it were not there */
			continue;
		if (http_unescape(name, key, sizeof key) < 0 || http_unescape(value, text, sizeof text) < 0)
			return why_set(why, ERR_REQUEST, "the query cannot be read");
		if (put_parameter(b, key, text, why) < 0)
			return -1;
	}
	json_close(b, '}');
	return b->failed ? why_set(why, ERR_IO, "out of memory") : 0;
}

static void
answered_by_child(void *arg, int status, const char *body, size_t n)
{
	struct conn *c = arg;
	struct server *s = c->server;
	struct why why;
	c->work = 0;
	if (status && body) {
		answer_reply(s, c, status, body, n);
	} else {
		why_set(&why, ERR_IO, "the request was interrupted; whether it was carried out is not known");
		answer_why(c, &why);
	}
	s->answered(s, c);
}

/* Whether the operation that it names has something to remove (`removes`), or somebody in it has died. */
static bool
may_take_long(struct server *s, const struct json *j, bool removes)
{
	char id[ID_OPERATION_MAX + 1];
	return json_copy(j, json_get(j, 0, "operationId"), id, sizeof id) == 0 && verbs_may_take_long(&s->verbs, id, removes);
}

/* Whether carrying it out may take long. */
static bool
is_heavy(struct server *s, const struct path *p, const struct json *j)
{
	if (p->weight != DEPENDS)
		return p->weight == HEAVY || p->weight == SLOW;
	return json_true(j, 0, "all") || may_take_long(s, j, true);
}

/* What a child is asked for.  The beats of supervisors and keepers leave what is to be removed to others; and so does the end of a call behind
 * a death, which is what a coordinator waits for. */
static enum work_kind
kind_of(struct server *s, const struct path *p, const struct json *j)
{
	bool settles = true;
	(void)json_boolean(j, json_get(j, 0, "settle"), &settles);
	if (!settles && strcmp(p->path, "/operation/heartbeat") == 0)
		return WORK_QUICK;
	bool slow = p->weight == SLOW || (p->weight == DEPENDS && is_heavy(s, p, j) && !may_take_long(s, j, false));
	return slow ? WORK_SLOW : WORK_BRIEF;
}

static enum routed
give_to_child(struct server *s, struct conn *c, const struct path *p, const struct json *j, const char *key)
{
	struct why why;
	struct work_request w = {.path = p->path, .key = key, .from = c->by_path ? "owner" : c->near ? "here" : "elsewhere", .kind = kind_of(s, p, j)};
	w.body = json_raw(j, 0, &w.n);
	if (strcmp(p->path, "/call/end") == 0 || strcmp(p->path, "/call/fail") == 0)
		verbs_beat_call(&s->verbs, j);
	int64_t number = work_ask(s->work, &w, answered_by_child, c);
	if (number < 0) {
		why_set(&why, ERR_BUSY, "too many requests are waiting");
		return fail(c, &why);
	}
	c->work = number;
	c->state = CONN_ASKED;
	return ROUTE_LATER;
}

/* An event stream, from its query; one that was cut off says what it had last. */
static enum routed
begin_stream(struct server *s, struct conn *c, const struct http_head *h, const struct json *j)
{
	struct why why;
	int n;
	int64_t from = json_number(j, 0, "from"), last;
	struct http_text last_id = http_field(h, "last-event-id", &n);
	if (n && num_int(last_id.p, last_id.n, 0, JSON_INT_MAX - 1, &last) == 0)
		from = last + 1;
	if (stream_begin(s->streams, c, j, from > 0 ? from : 1, &why) < 0)
		return fail(c, &why);
	return c->job ? ROUTE_LATER : ROUTE_ANSWERED;
}

static enum routed
wait_for_it(struct server *s, struct conn *c, const struct path *p, const struct json *j)
{
	struct why why;
	if (stream_wait(s->streams, c, p->path, j) == 0)
		return c->job ? ROUTE_LATER : ROUTE_ANSWERED;
	why_set(&why, ERR_IO, "out of memory");
	return fail(c, &why);
}

static bool
wants_stream(const struct http_head *h, const struct path *p, const struct json *j)
{
	int n;
	struct http_text accept = http_field(h, "accept", &n);
	if (strcmp(p->path, "/operation/events") != 0 || is(h->method, "HEAD") || json_get(j, 0, "waitMs") >= 0)
		return false;
	return !n || !memmem(accept.p, accept.n, "application/json", 16);
}

/* Carry out a request whose members are `j`. */
static enum routed
carry_out(struct server *s, struct conn *c, const struct http_head *h, const struct path *p, const struct json *j, bool is_get)
{
	int n;
	char key[ID_KEY_MAX + 2] = "";
	struct why why;
	struct http_text given = http_field(h, "idempotency-key", &n);
	if (n && (n > 1 || !given.n || given.n >= sizeof key)) {
		why_set(&why, ERR_ID, "the Idempotency-Key is empty, too long, or given twice");
		return fail(c, &why);
	}
	if (n)
		snprintf(key, sizeof key, "%.*s", (int)given.n, given.p);
	if (p->weight == WAITS)
		return is_get && wants_stream(h, p, j) ? begin_stream(s, c, h, j) : wait_for_it(s, c, p, j);
	if (is_heavy(s, p, j))
		return give_to_child(s, c, p, j, *key ? key : NULL);
	s->verbs.near = c->near;
	s->verbs.owner = c->by_path;
	int status = verb_do(&s->verbs, p->path, j, 0, *key ? key : NULL, &s->reply);
	/* Somebody else has the lock for long, or it would take long: a child waits for it. */
	if (status == err_info(ERR_BUSY)->status && verb_failed_as(&s->reply, ERR_BUSY))
		return give_to_child(s, c, p, j, *key ? key : NULL);
	answer_reply(s, c, status, s->reply.p, s->reply.n);
	return p->reads ? ROUTE_ANSWERED : ROUTE_HELD;
}

static enum routed
parse_and_carry_out(struct server *s, struct conn *c, const struct http_head *h, const struct path *p, struct http_text body, bool is_get)
{
	struct json j;
	struct why why;
	struct buf query = {0};
	enum routed routed;
	if (!body.n)
		body = (struct http_text){"{}", 2};
	if (is_get) {
		if (read_query(h, &query, &why) < 0) {
			buf_free(&query);
			return fail(c, &why);
		}
		body = (struct http_text){query.p, query.n};
	}
	if (json_parse(&j, body.p, body.n, &why) < 0) {
		why_hint(&why, "%s", why.text);
		snprintf(why.text, sizeof why.text, "Invalid JSON body");
		routed = fail(c, &why);
	} else {
		if (!json_is_object(&j, 0)) {
			why_set(&why, ERR_JSON, "Invalid JSON body");
			routed = fail(c, &why);
		} else if (json_no_duplicates(&j, &why) < 0) {
			routed = fail(c, &why);
		} else {
			routed = carry_out(s, c, h, p, &j, is_get);
		}
		json_free(&j);
	}
	buf_free(&query);
	return routed;
}

/* A browser that goes to our page. */
static bool
is_page(const struct http_head *h)
{
	return is(h->path, "/") && (is(h->method, "GET") || is(h->method, "HEAD"));
}

/* What is refused before its body is read. */
static int
check(struct server *s, struct conn *c, const struct http_head *h, struct why *why)
{
	struct http_text origin;
	snprintf(c->origin, sizeof c->origin, "%s", guard_allows_all(&s->guard) ? "*" : "");
	struct guard_way way = {.unix_socket = c->by_path, .tls = c->tls, .local = c->local, .page = is_page(h)};
	if (guard_check(&s->guard, h, way, &origin, why) < 0)
		return -1;
	if (origin.p && !*c->origin)
		snprintf(c->origin, sizeof c->origin, "%.*s", (int)origin.n, origin.p);
	bool open = way.page || is(h->method, "OPTIONS") || is(h->path, "/health") || is(h->path, "/status");
	return open || c->by_path ? 0 : guard_check_token(&s->guard, h, why);
}

bool
route_refuses(struct server *s, struct conn *c, const struct http_head *h)
{
	struct why why;
	c->minor = h->minor;
	if (check(s, c, h, &why) == 0)
		return false;
	c->last = true;
	(void)fail(c, &why);
	return true;
}

enum routed
route(struct server *s, struct conn *c, const struct http_head *h, struct http_text body)
{
	struct why why;
	c->minor = h->minor;
	c->last = c->last || !h->keep_alive || s->stopping;
	c->head_only = is(h->method, "HEAD");
	s->counts.requests++;
	if (check(s, c, h, &why) < 0)
		return fail(c, &why);
	if (is(h->method, "OPTIONS")) {
		answer_text(c, 200, NULL, "", 0);
		return ROUTE_ANSWERED;
	}
	if (is(h->path, "/health")) {
		static const char ok[] = "{\"status\":\"ok\"}";
		answer_text(c, 200, "application/json; charset=utf-8", ok, sizeof ok - 1);
		return ROUTE_ANSWERED;
	}
	if (is(h->path, "/status"))
		return put_status(s, c);
	bool has_body = is(h->method, "POST") || is(h->method, "PUT"), is_get = is(h->method, "GET") || c->head_only;
	if (is_page(h)) {
		answer_page(c, page_policy, page_text, sizeof page_text);
		return ROUTE_ANSWERED;
	}
	if (is(h->path, "/metrics"))
		return metrics(s, c), ROUTE_ANSWERED;
	if (is(h->path, "/openapi.json")) {
		answer_text(c, 200, "application/json; charset=utf-8", openapi, sizeof openapi);
		return ROUTE_ANSWERED;
	}
	const struct path *p = find_path(h->path);
	if (!p) {
		why_set(&why, ERR_NO_PATH, "Not found: %.*s", h->path.n < 200 ? (int)h->path.n : 200, h->path.p);
		return fail(c, &why);
	}
	if (!has_body && !p->reads && strcmp(p->path, "/operation/prune") == 0) {
		why_set(&why, ERR_REQUEST, "%s is asked for with POST", p->path);
		return fail(c, &why);
	}
	if (!has_body)
		body = (struct http_text){"", 0};
	c->asked = p->path;
	return parse_and_carry_out(s, c, h, p, body, is_get && p->reads);
}
