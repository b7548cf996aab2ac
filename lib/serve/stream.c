/* stream: those who wait for what happens. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "clock.h"
#include "follow.h"
#include "stream.h"
#include "verb.h"
#include "watch.h"

enum { REST_MS = FOLLOW_REST_MS, BURST = FOLLOW_BURST, SLOW_MS = WATCH_LOOK_MS, WAIT_MOST_MS = 3600000 };

/* An operation that somebody waits for. */
struct target {
	char id[ID_OPERATION_MAX + 1]; /* "": any change of the ledger */
	int what;                /* its watch, -1: none at the moment */
	bool due;                /* something has come */
	int woken;               /* so often in a row */
	int64_t rest_ms;         /* not before; monotonic */
	int64_t look_ms;         /* in any case then */
	size_t waits;
	struct target *next;
};

struct wait {
	struct conn *c;
	struct target *target;
	bool sse;
	bool full;               /* … and its client takes nothing at the moment */
	bool aborted;            /* as far as a request knows */
	bool bell;               /* it waits for what must be acted on alone */
	struct buf rest;         /* the request's other members, each with a comma in front */
	int64_t from, pos;       /* what it wants next; of changes: the newest that it knows */
	int64_t end_ms;          /* when the wait is over; of a stream when a comment is due */
	struct wait *next;
};

struct streams {
	struct server *s;
	struct watch watch;
	struct target *targets;
	struct wait *waits;
	struct buf reply;
};

struct streams *
streams_new(struct server *s)
{
	struct streams *t = calloc(1, sizeof *t);
	if (!t)
		return NULL;
	t->s = s;
	watch_init(&t->watch);
	return t;
}

static void
free_wait(struct wait *w)
{
	buf_free(&w->rest);
	free(w);
}

void
streams_free(struct streams *t)
{
	if (!t)
		return;
	for (struct wait *w = t->waits, *next; w; w = next) {
		next = w->next;
		free_wait(w);
	}
	for (struct target *g = t->targets, *next; g; g = next) {
		next = g->next;
		free(g);
	}
	watch_close(&t->watch);
	buf_free(&t->reply);
	free(t);
}

/* --- what is waited for --- */

static struct target *
target_of(struct streams *t, const char *id)
{
	struct target *g = t->targets;
	while (g && strcmp(g->id, id) != 0)
		g = g->next;
	if (g || !(g = calloc(1, sizeof *g)))
		return g;
	snprintf(g->id, sizeof g->id, "%s", id);
	g->what = -1;
	g->due = true; /* look once more, behind the watch */
	g->next = t->targets;
	return t->targets = g;
}

static void
drop_target(struct streams *t, struct target *g)
{
	struct target **at = &t->targets;
	while (*at != g)
		at = &(*at)->next;
	*at = g->next;
	if (g->what >= 0)
		watch_drop(&t->watch, g->what);
	free(g);
}

/* Watch for the next entry.  Where that cannot be, a look now and then has to do. */
static void
watch_target(struct streams *t, struct target *g, int64_t now_ms)
{
	if (*g->id && g->what < 0)
		g->what = store_watch_operation(&t->s->verbs.store, g->id, &t->watch);
	g->look_ms = now_ms + SLOW_MS;
}

/* --- waiting --- */

static struct wait *
add_wait(struct streams *t, struct conn *c, const char *id)
{
	struct wait *w = calloc(1, sizeof *w);
	struct target *g = w ? target_of(t, id) : NULL;
	if (!g) {
		free(w);
		return NULL;
	}
	g->waits++;
	w->c = c;
	w->target = g;
	w->next = t->waits;
	t->waits = w;
	c->job = w;
	return w;
}

static void
end_wait(struct streams *t, struct wait *w)
{
	struct wait **at = &t->waits;
	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	w->c->job = NULL;
	if (--w->target->waits == 0)
		drop_target(t, w->target);
	free_wait(w);
}

void
stream_hurry(struct conn *c, int64_t now_ms)
{
	struct wait *w = c->job;
	if (w && !w->sse)
		w->end_ms = now_ms;
}

void
stream_drop(struct streams *t, struct conn *c)
{
	for (struct wait *w = t->waits; w; w = w->next)
		if (w->c == c) {
			end_wait(t, w);
			return;
		}
}

/* --- asking --- */

static bool
is(const char *p, size_t n, const char *s)
{
	return strlen(s) == n && memcmp(p, s, n) == 0;
}

/* Take in what is asked for. */
static void
read_request(struct wait *w, const struct json *j)
{
	static const char *const own[] = {"operationId", "waitMs", "from", "pos", "after"};
	w->bell = json_true(j, 0, "bell");
	w->from = json_number(j, 0, *w->target->id ? "from" : "after");
	if (w->from < 0)
		w->from = *w->target->id ? 1 : 0;
	w->pos = json_number(j, 0, "pos");
	for (int k = json_first(j, 0); k >= 0; k = json_next(j, 0, k)) {
		size_t n, length, i = 0;
		const char *name = json_raw(j, k, &n), *value = json_raw(j, k + 1, &length);
		bool quoted = json_is_string(j, k + 1);
		while (i < sizeof own / sizeof *own && !is(name, n, own[i]))
			i++;
		if (i < sizeof own / sizeof *own)
			continue;
		buf_str(&w->rest, ",\"");
		buf_add(&w->rest, name, n);
		buf_str(&w->rest, "\":");
		buf_add(&w->rest, value - quoted, length + (quoted ? 2 : 0));
	}
}

/* Ask for what it wants next; the answer goes to t->reply.  The status. */
static int
ask(struct streams *t, struct wait *w, int64_t limit)
{
	struct buf body = {0};
	struct json j;
	struct why why;
	bool changes = !*w->target->id;
	json_open(&body, NULL, '{');
	json_put_int(&body, changes ? "after" : "from", w->from);
	if (!changes)
		json_put(&body, "operationId", w->target->id);
	if (w->pos >= 0 && !changes)
		json_put_int(&body, "pos", w->pos);
	if (limit)
		json_put_int(&body, "limit", limit);
	if (w->rest.n)
		buf_add(&body, w->rest.p, w->rest.n);
	json_close(&body, '}');
	int status;
	if (body.failed || w->rest.failed) {
		why_set(&why, ERR_IO, "out of memory");
		status = verb_failure(&why, &t->reply);
	} else if (json_parse(&j, body.p, body.n, &why) < 0) {
		status = verb_failure(&why, &t->reply);
	} else {
		status = verb_do(&t->s->verbs, changes ? "/operation/changes" : "/operation/events", &j, 0, NULL, &t->reply);
		json_free(&j);
	}
	buf_free(&body);
	return status;
}

/* --- a request that waits --- */

/* Whether the answer tells of nothing that is not known.  What it passed over need not be read again. */
static bool
has_nothing(struct wait *w, const struct json *j, bool first)
{
	int entries = json_get(j, 0, "entries");
	if (!*w->target->id)
		return json_first(j, json_get(j, 0, "operations")) < 0 && json_first(j, json_get(j, 0, "ended")) < 0;
	bool aborted = json_true(j, 0, "aborted");
	int64_t next = json_number(j, 0, "next");
	bool nothing = json_first(j, entries) < 0 && !json_true(j, 0, "ended") && !json_true(j, 0, "turn") && (w->bell || next <= w->from) && (first || aborted == w->aborted);
	w->aborted = aborted;
	if (nothing && next > w->from) {
		w->from = next;
		w->pos = json_number(j, 0, "pos");
	}
	return nothing;
}

static bool
goes_on_waiting(struct streams *t, struct wait *w, bool first)
{
	struct json j;
	struct why ignored;
	if (json_parse(&j, t->reply.p ? t->reply.p : "", t->reply.n, &ignored) < 0)
		return false;
	bool nothing = has_nothing(w, &j, first);
	json_free(&j);
	return nothing;
}

/* Look, and answer where there is something, or the time is over. */
static void
go_on_with_request(struct streams *t, struct wait *w, int64_t now_ms, bool first)
{
	int status = ask(t, w, 0);
	if (status == 200 && now_ms < w->end_ms && goes_on_waiting(t, w, first))
		return;
	struct conn *c = w->c;
	end_wait(t, w);
	answer_reply(t->s, c, status, t->reply.p ? t->reply.p : "", t->reply.n);
	if (!first)
		t->s->answered(t->s, c);
}

/* The members that are ours here must be what the verb would take. */
static int
check_numbers(const struct json *j, struct why *why)
{
	static const struct {
		const char *name;
		int64_t least, most;
	} ours[] = {{"waitMs", 0, WAIT_MOST_MS}, {"from", 1, JSON_INT_MAX}, {"pos", 0, JSON_INT_MAX}, {"after", 0, JSON_INT_MAX}};
	for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
		int64_t value;
		int at = json_get(j, 0, ours[i].name);
		if (at >= 0 && !json_is_null(j, at) && json_integer(j, at, ours[i].least, ours[i].most, &value) < 0)
			return why_set(why, ERR_REQUEST, "%s is not an integer from %lld to %lld", ours[i].name, (long long)ours[i].least, (long long)ours[i].most);
	}
	return 0;
}

int
stream_wait(struct streams *t, struct conn *c, const char *path, const struct json *request)
{
	char id[ID_OPERATION_MAX + 1] = "";
	int64_t wait_ms = 0;
	bool changes = strcmp(path, "/operation/changes") == 0;
	struct why why;
	if (!changes && json_copy(request, json_get(request, 0, "operationId"), id, sizeof id) < 0) {
		why_set(&why, ERR_REQUEST, json_get(request, 0, "operationId") < 0 ? "Missing operationId" : "operationId is no text, or too long");
		answer_why(c, &why);
		return 0;
	}
	if (check_numbers(request, &why) < 0) {
		answer_why(c, &why);
		return 0;
	}
	(void)json_integer(request, json_get(request, 0, "waitMs"), 0, WAIT_MOST_MS, &wait_ms);
	struct wait *w = add_wait(t, c, id);
	if (!w)
		return -1;
	read_request(w, request);
	bool waits = wait_ms > 0 && !t->s->stopping && !c->eof && json_number(request, 0, "tail") != 0;
	w->end_ms = clock_end_ms(waits ? wait_ms : 0);
	go_on_with_request(t, w, clock_mono_ms(), true);
	if (c->job)
		c->state = CONN_ASKED;
	return 0;
}

/* --- an event stream --- */

static void
put_events(struct conn *c, const struct json *j, int entries)
{
	for (int k = json_first(j, entries); k >= 0; k = json_next(j, entries, k)) {
		size_t n, length;
		const char *raw = json_raw(j, k, &n), *event = json_raw(j, json_get(j, k, "event"), &length);
		buf_fmt(&c->out, "id: %lld\n", (long long)json_number(j, k, "seq"));
		buf_fmt(&c->out, "event: %.*s\ndata: ", (int)length, event ? event : "");
		buf_add(&c->out, raw, n);
		buf_str(&c->out, "\n\n");
	}
}

/* Send what is there, as much as the client takes. */
static void
go_on_with_stream(struct streams *t, struct wait *w, int64_t now_ms)
{
	struct conn *c = w->c;
	struct json j;
	struct why ignored;
	bool more = !w->full, ended = false;
	while (more && !ended && !w->full) {
		int status = ask(t, w, STREAM_BATCH);
		if (status != 200 || json_parse(&j, t->reply.p, t->reply.n, &ignored) < 0) {
			struct buf words = {0};
			ended = true;
			answer_words(t->s, c, status, t->reply.p ? t->reply.p : "", t->reply.n, &words);
			buf_fmt(&c->out, "event: error\ndata: %s\n\n", words.p ? words.p : "{}");
			buf_free(&words);
			break;
		}
		put_events(c, &j, json_get(&j, 0, "entries"));
		w->from = json_number(&j, 0, "next");
		w->pos = json_number(&j, 0, "pos");
		more = json_true(&j, 0, "more");
		if (!more && json_true(&j, 0, "ended")) {
			struct buf state = {0};
			ended = true;
			buf_fmt(&c->out, "event: end\ndata: {\"state\":\"%s\"}\n\n", json_text(&j, 0, "state", &state));
			buf_free(&state);
		}
		w->end_ms = now_ms + STREAM_COMMENT_MS;
		w->full = more && c->out.n - c->sent >= CONN_OUT_MOST;
		json_free(&j);
	}
	if (!ended && now_ms >= w->end_ms) {
		if (!w->full)
			buf_str(&c->out, ":\n\n");
		w->end_ms = now_ms + STREAM_COMMENT_MS;
	}
	if (ended)
		end_wait(t, w);
	t->s->answered(t->s, c);
}

void
stream_resume(struct streams *t, struct conn *c)
{
	struct wait *w = c->job;
	if (c->state != CONN_STREAMS || !w || !w->full)
		return;
	w->full = false;
	go_on_with_stream(t, w, clock_mono_ms());
}

int
stream_begin(struct streams *t, struct conn *c, const struct json *request, int64_t from, struct why *why)
{
	char id[ID_OPERATION_MAX + 1];
	if (json_copy(request, json_get(request, 0, "operationId"), id, sizeof id) < 0)
		return why_set(why, ERR_REQUEST, "Missing operationId");
	if (check_numbers(request, why) < 0)
		return -1;
	struct wait *w = add_wait(t, c, id);
	if (!w)
		return why_set(why, ERR_IO, "out of memory");
	w->sse = true;
	read_request(w, request);
	w->from = from;
	w->pos = -1;
	int status = ask(t, w, 1);
	if (status != 200) {
		end_wait(t, w);
		answer_reply(t->s, c, status, t->reply.p ? t->reply.p : "", t->reply.n);
		return 0;
	}
	t->s->counts.streams++;
	answer_stream(c);
	buf_str(&c->out, "retry: 2000\n\n");
	c->state = CONN_STREAMS;
	w->end_ms = clock_mono_ms() + STREAM_COMMENT_MS;
	w->target->due = true;
	return 0;
}

/* --- all of them --- */

void
streams_descriptors(const struct streams *t, int fds[2])
{
	const struct follow *f = t->s->verbs.follow;
	fds[0] = t->watch.fd;
	fds[1] = f ? follow_descriptor(f) : -1;
}

static void
take_events(struct streams *t)
{
	struct watch_event e;
	while (watch_next(&t->watch, &e))
		for (struct target *g = t->targets; g; g = g->next)
			if (*g->id && (e.what < 0 || g->what == e.what)) {
				/* Its only event has come. */
				if (g->what >= 0 && e.what >= 0) {
					watch_drop(&t->watch, g->what);
					g->what = -1;
				}
				g->due = true;
			}
}

static void
go_on_with_target(struct streams *t, struct target *g, int64_t now_ms)
{
	g->due = false;
	/* Of many entries in a row each look takes some. */
	if (now_ms - g->rest_ms < REST_MS)
		g->woken++;
	else
		g->woken = 0;
	g->rest_ms = now_ms + (g->woken >= BURST || !*g->id ? REST_MS : 0);
	watch_target(t, g, now_ms);
	g->waits++; /* it stays while we go through them */
	for (struct wait *w = t->waits, *next; w; w = next) {
		next = w->next;
		if (w->target != g)
			continue;
		if (w->sse)
			go_on_with_stream(t, w, now_ms);
		else
			go_on_with_request(t, w, now_ms, false);
	}
	if (--g->waits == 0)
		drop_target(t, g);
}

void
streams_go_on(struct streams *t, int64_t now_ms)
{
	take_events(t);
	for (struct target *g = t->targets, *next; g; g = next) {
		next = g->next;
		bool any = !*g->id; /* what has changed is told by its own descriptor; whether this was it is asked */
		if (((g->due || any) && now_ms >= g->rest_ms) || now_ms >= g->look_ms)
			go_on_with_target(t, g, now_ms);
	}
	for (struct wait *w = t->waits, *next; w; w = next) {
		next = w->next;
		if (now_ms < w->end_ms)
			continue;
		if (w->sse)
			go_on_with_stream(t, w, now_ms);
		else
			go_on_with_request(t, w, now_ms, false);
	}
}

int64_t
streams_next(const struct streams *t)
{
	int64_t next_ms = INT64_MAX;
	for (const struct target *g = t->targets; g; g = g->next) {
		int64_t due = g->due ? g->rest_ms : g->look_ms;
		if (due < next_ms)
			next_ms = due;
	}
	for (const struct wait *w = t->waits; w; w = w->next)
		if (w->end_ms < next_ms)
			next_ms = w->end_ms;
	return next_ms;
}

void
streams_end(struct streams *t)
{
	for (struct wait *w = t->waits, *next; w; w = next) {
		next = w->next;
		struct conn *c = w->c;
		struct why why;
		bool sse = w->sse;
		end_wait(t, w);
		c->last = true;
		if (!sse) {
			why_set(&why, ERR_BUSY, "the server stops");
			answer_why(c, &why);
		}
		t->s->answered(t->s, c);
	}
}
