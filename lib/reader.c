/* reader: read on in the journal of an operation, or in those of a whole ledger, as they grow. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "entry.h"
#include "reader.h"
#include "trail.h"

enum {
	ASK_MS = 2000,     /* how often a ledger is asked that cannot tell what changes */
	REFUSED_MS = 5000, /* … and where nobody can be looked at, that is tried again */
	ENDING_MS = 250,   /* while processes of dead supervisors are being ended */
};

int64_t
reader_left(const struct cli *c, int64_t ms)
{
	static int64_t end_ms = -1;
	if (!c->timed)
		return ms;
	int64_t now = clock_mono_ms();
	if (end_ms < 0)
		end_ms = now + c->wait_ms;
	return now >= end_ms ? 0 : end_ms - now < ms ? end_ms - now : ms;
}

bool
reader_is_over(const struct cli *c)
{
	return reader_left(c, 1) <= 0;
}

/* --- one operation --- */

static enum err
ask_entries(struct cli *c, struct place *p, int64_t wait_ms, struct why *why)
{
	static bool said;
	cli_again(c);
	json_put(&c->body, "operationId", p->id);
	if (p->from) {
		json_put_int(&c->body, "from", p->from);
		json_put_int(&c->body, "pos", p->pos);
		json_put_int(&c->body, "waitMs", wait_ms);
	} else {
		json_put_int(&c->body, "tail", 0);
	}
	enum err err = cli_ask(c, "/operation/events", why);
	if (err)
		return err;
	p->from = cli_answer_int(c, 0, "next");
	p->pos = cli_answer_int(c, 0, "pos");
	p->more = cli_answer_true(c, "more");
	p->ended = cli_answer_true(c, "ended") && !p->more;
	if (c->verbose && !said && cli_answer_true(c, "slow")) {
		said = true;
		cli_say(c, "the kernel gives no more watches (inotify): looking every two seconds");
	}
	return ERR_NONE;
}

int64_t
reader_look(struct cli *c, struct place *p, int64_t wait_ms)
{
	struct why ignored;
	int64_t now = clock_mono_ms();
	if (p->passive)
		return wait_ms;
	if (now >= p->look_ms) {
		int64_t beat = REFUSED_MS;
		cli_again(c);
		json_put(&c->body, "operationId", p->id);
		json_put_bool(&c->body, "inTurn", true);
		/* Where it may only read, others notice. */
		if (cli_ask(c, "/operation/look", &ignored) == ERR_NONE)
			beat = cli_answer_int(c, 0, "endingProcesses") > 0 ? ENDING_MS : cli_answer_int(c, 0, "beatMs");
		p->look_ms = now + (beat > 0 ? beat : REFUSED_MS);
	}
	return p->look_ms - now < wait_ms ? p->look_ms - now : wait_ms;
}

void
reader_entries(struct cli *c, struct place *p, int64_t wait_ms)
{
	struct why why;
	if (wait_ms > 0 && p->from && !p->ended)
		wait_ms = reader_look(c, p, wait_ms);
	if (ask_entries(c, p, wait_ms, &why))
		cli_die(c, &why);
}

/* Put entry `k` with the operation's id as its first member; operation.created has it already, further behind. */
static void
put_with_operation(struct cli *c, int k, const char *id)
{
	json_open(&c->out, NULL, '{');
	json_put(&c->out, "operationId", id);
	for (int m = json_first(&c->answer, k); m >= 0; m = json_next(&c->answer, k, m)) {
		size_t n, length;
		const char *name = json_raw(&c->answer, m, &n), *value = json_raw(&c->answer, m + 1, &length);
		if (n == 11 && memcmp(name, "operationId", n) == 0)
			continue;
		int quote = json_is_string(&c->answer, m + 1);
		buf_str(&c->out, ",\"");
		buf_add(&c->out, name, n);
		buf_str(&c->out, "\":");
		buf_add(&c->out, value - quote, length + 2 * (size_t)quote);
	}
	json_close(&c->out, '}');
}

void
reader_print(struct cli *c, const char *id, bool colours)
{
	int list = json_get(&c->answer, 0, "entries");
	for (int k = json_first(&c->answer, list); k >= 0; k = json_next(&c->answer, list, k)) {
		struct entry e;
		size_t n;
		const char *raw = json_raw(&c->answer, k, &n);
		if (c->json) {
			if (id)
				put_with_operation(c, k, id);
			else
				buf_add(&c->out, raw, n);
			buf_char(&c->out, '\n');
		} else if (!entry_parse(raw, n, &e)) {
			if (id)
				buf_fmt(&c->out, "%s ", id);
			trail_line(&c->out, &e, colours);
		}
	}
	cli_flush(c);
}

int
reader_status(const struct cli *c)
{
	struct buf b = {0};
	bool failed = strcmp(cli_answer(c, 0, "state", &b), "failed") == 0;
	buf_free(&b);
	return failed ? EXIT_FAILED : cli_answer_true(c, "aborted") ? EXIT_ABORTED : EXIT_DONE;
}

/* --- a ledger --- */

static struct place *
place_of(struct reader *r, const char *id)
{
	for (size_t i = r->n; i-- > 0;)
		if (strcmp(r->places[i].id, id) == 0)
			return &r->places[i];
	return NULL;
}

static struct place *
add_place(struct cli *c, struct reader *r, const char *id, int64_t from)
{
	if (r->n == r->cap) {
		r->cap = r->cap ? 2 * r->cap : 16;
		r->places = realloc(r->places, r->cap * sizeof *r->places);
		if (!r->places) {
			struct why why;
			why_set(&why, ERR_IO, "out of memory");
			cli_die(c, &why);
		}
	}
	struct place *p = &r->places[r->n++];
	*p = (struct place){.from = from};
	snprintf(p->id, sizeof p->id, "%s", id);
	return p;
}

/* Keep the ids of a member of the answer, which the next request overwrites. */
static void
keep_ids(struct cli *c, struct buf *ids, const char *member, const char *inner)
{
	int list = json_get(&c->answer, 0, member);
	buf_clear(ids);
	for (int k = json_first(&c->answer, list); k >= 0; k = json_next(&c->answer, list, k)) {
		char id[ID_OPERATION_MAX + 1];
		if (json_copy(&c->answer, inner ? json_get(&c->answer, k, inner) : k, id, sizeof id) == 0 && !id_bad_operation(id))
			buf_add(ids, id, strlen(id) + 1);
	}
	c->out.failed |= ids->failed;
}

static const char *
next_id(const struct buf *ids, const char *id)
{
	const char *next = id ? id + strlen(id) + 1 : ids->p;
	return next && next < ids->p + ids->n ? next : NULL;
}

static bool
has_id(const struct buf *ids, const char *wanted)
{
	for (const char *id = NULL; (id = next_id(ids, id));)
		if (strcmp(id, wanted) == 0)
			return true;
	return false;
}

/* Of a server without /operation/changes: what it lists may have changed, the rest has ended. */
static void
ask_list(struct cli *c, struct reader *r, int64_t wait_ms)
{
	int64_t ms = !r->after ? 0 : wait_ms < ASK_MS ? wait_ms : ASK_MS;
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};
	(void)nanosleep(&t, NULL); /* a signal ends it, as it ends a wait */
	cli_again(c);
	cli_request(c, "/operation/list");
	keep_ids(c, &r->changed, "operations", "operationId");
	buf_clear(&r->ended);
	for (size_t i = 0; i < r->n; i++)
		if (!has_id(&r->changed, r->places[i].id))
			buf_add(&r->ended, r->places[i].id, strlen(r->places[i].id) + 1);
	r->after = 1;
}

static void
ask_changes(struct cli *c, struct reader *r, int64_t wait_ms)
{
	struct why why;
	if (r->deaf) {
		ask_list(c, r, wait_ms);
		return;
	}
	cli_again(c);
	json_put_int(&c->body, "after", r->after);
	json_put_int(&c->body, "waitMs", r->after ? wait_ms : 0);
	enum err err = cli_ask(c, "/operation/changes", &why);
	if (err == ERR_NO_PATH) {
		r->deaf = true;
		ask_list(c, r, wait_ms);
		return;
	}
	if (err)
		cli_die(c, &why);
	r->after = cli_answer_int(c, 0, "next");
	keep_ids(c, &r->changed, "operations", NULL);
	keep_ids(c, &r->ended, "ended", NULL);
}

/* Read all that is new in one operation.  False where it cannot be read. */
static bool
read_on(struct cli *c, struct place *p, bool prints, bool colours)
{
	struct why why;
	do {
		enum err err = ask_entries(c, p, 0, &why);
		if (err == ERR_UNREACHABLE || err == ERR_IO)
			cli_die(c, &why);
		if (err) {
			if (err != ERR_NO_OPERATION) /* it was deleted */
				cli_say(c, "%s", why.text);
			return false;
		}
		if (prints)
			reader_print(c, p->id, colours);
	} while (p->more);
	return true;
}

static void
drop_ended(struct reader *r, int64_t keep_ms)
{
	size_t kept = 0;
	int64_t now = clock_mono_ms();
	for (size_t i = 0; i < r->n; i++) {
		struct place *p = &r->places[i];
		/* Before its folder has moved it may be told of again, and must be known. */
		if (!p->gone || (!p->unread && now - p->ended_ms < keep_ms))
			r->places[kept++] = *p;
	}
	r->n = kept;
}

void
reader_changes(struct cli *c, struct reader *r, int64_t wait_ms, int64_t keep_ms, bool prints, bool colours)
{
	bool first = !r->after;
	ask_changes(c, r, wait_ms);
	for (int gone = 0; gone <= 1; gone++)
		for (const char *id = NULL; (id = next_id(gone ? &r->ended : &r->changed, id));) {
			struct place *p = place_of(r, id);
			if (!p)
				p = add_place(c, r, id, first ? 0 : 1);
			bool ended = p->ended;
			p->unread |= !ended && !read_on(c, p, prints, colours);
			p->gone |= gone;
			p->ended |= p->gone || p->unread;
			if (!ended && p->ended)
				p->ended_ms = clock_mono_ms();
		}
	drop_ended(r, keep_ms);
}

void
reader_free(struct reader *r)
{
	free(r->places);
	buf_free(&r->changed);
	buf_free(&r->ended);
	*r = (struct reader){0};
}
