/* cli_left: what became of temp resources. */
#include <string.h>

#include "cli_left.h"
#include "clock.h"
#include "text.h"

/* What the answer says of that resource, in `text`; NULL where it does not name it. */
static const char *
decision_on(const struct cli *c, uint64_t number, struct buf *text)
{
	int list = json_get(&c->answer, 0, "resources");
	for (int i = json_first(&c->answer, list); i >= 0; i = json_next(&c->answer, list, i))
		if (cli_answer_int(c, i, "resourceId") == (int64_t)number)
			return cli_answer(c, i, "decision", text);
	return NULL;
}

static void
take(void *arg, const struct removal_told *t)
{
	struct cli_left *told = arg;
	struct buf text = {0};
	const char *said = decision_on(told->cli, t->resource->id, &text);
	/* What is not for this user to remove may be for the server, which has tried it and says why it stays. */
	bool left_out = said ? strcmp(t->decision, "elsewhere") == 0 && strcmp(said, "elsewhere") != 0 : told->only_named;
	buf_free(&text);
	if (left_out)
		return;
	removal_put(&told->objects, t);
	buf_add(&told->numbers, &t->resource->id, sizeof t->resource->id);
	told->gone += strcmp(t->decision, "removed") == 0 || strcmp(t->decision, "gone") == 0 || strcmp(t->decision, "left") == 0;
}

static bool
has(const struct cli_left *told, int64_t number)
{
	uint64_t one;
	for (size_t at = 0; at < told->numbers.n; at += sizeof one) {
		memcpy(&one, told->numbers.p + at, sizeof one);
		if (one == (uint64_t)number)
			return true;
	}
	return false;
}

static void
put_value(struct buf *b, const char *name, size_t length, const struct json *j, int i)
{
	char text[64];
	size_t n;
	const char *raw = json_raw(j, i, &n);
	bool quoted = json_is_string(j, i);
	if (name)
		snprintf(text, sizeof text, "%.*s", (int)length, name);
	json_put_raw(b, name ? text : NULL, raw - quoted, n + (quoted ? 2 : 0));
}

/* The answer anew, with what was told in the place of what it said of the same resources. */
static void
merge(struct cli *c, const struct cli_left *told)
{
	struct buf b = {0};
	struct why why;
	const struct json *j = &c->answer;
	json_open(&b, NULL, '{');
	json_open(&b, "resources", '[');
	if (told->objects.n)
		json_put_raw(&b, NULL, told->objects.p, told->objects.n);
	int list = json_get(j, 0, "resources");
	for (int i = json_first(j, list); i >= 0; i = json_next(j, list, i))
		if (!has(told, cli_answer_int(c, i, "resourceId")))
			put_value(&b, NULL, 0, j, i);
	json_close(&b, ']');
	int left_at = json_get(j, 0, "leftOver");
	int64_t left = cli_answer_int(c, 0, "leftOver") - told->gone;
	for (int k = json_first(j, 0); k >= 0; k = json_next(j, 0, k)) {
		size_t n;
		const char *name = json_raw(j, k, &n);
		if (k + 1 == left_at)
			json_put_int(&b, "leftOver", left > 0 ? left : 0);
		else if (k + 1 != list)
			put_value(&b, name, n, j, k + 1);
	}
	json_close(&b, '}');
	json_free(&c->answer);
	buf_free(&c->reply);
	c->reply = b;
	if (b.failed || json_parse(&c->answer, b.p, b.n, &why) < 0) {
		why_set(&why, ERR_IO, "out of memory");
		cli_die(c, &why);
	}
}

int
cli_reclaim(struct cli *c, struct reclaim *r, struct cli_left *left)
{
	struct why why;
	*left = (struct cli_left){.cli = c, .only_named = r->look};
	if (!c->client.remote)
		return 0;
	r->operation = c->id;
	r->told = take;
	r->arg = left;
	c->client.left[0] = '\0';
	if (reclaim(&c->client, r, clock_mono_ms() + (c->timed ? c->wait_ms : CLI_PATIENCE_MS), &why) < 0) {
		cli_say(c, "what is left on this machine: %s", why.text);
		return -1;
	}
	if (r->busy && !c->quiet)
		cli_say(c, "another removes what %s has left on this machine", c->id);
	return r->done;
}

void
cli_put_left(struct cli *c, struct cli_left *left)
{
	if (left->numbers.n)
		merge(c, left);
	buf_free(&left->objects);
	buf_free(&left->numbers);
}

void
cli_say_stays(struct cli *c, int resource)
{
	struct buf text = {0}, line = {0};
	const char *thing = cli_answer(c, resource, "path", &text);
	if (!*thing)
		thing = cli_answer(c, resource, "command", &text);
	text_show(&line, thing, strlen(thing));
	if (!*thing)
		buf_fmt(&line, "process %lld", (long long)cli_answer_int(c, resource, "pid"));
	buf_str(&line, " was not removed: ");
	thing = cli_answer(c, resource, "reason", &text);
	text_show(&line, thing, strlen(thing));
	cli_say(c, "%s", line.p ? line.p : "");
	buf_free(&text);
	buf_free(&line);
}

void
cli_say_resources(struct cli *c, bool went)
{
	struct buf what = {0};
	struct reclaim here = {.limit_ms = REMOVAL_LIMIT_MS, .retry = true};
	struct cli_left left;
	if (*c->client.left) {
		(void)cli_reclaim(c, &here, &left);
		cli_put_left(c, &left);
	}
	int list = json_get(&c->answer, 0, "resources"), removed = 0;
	for (int i = json_first(&c->answer, list); i >= 0 && !c->quiet; i = json_next(&c->answer, list, i)) {
		const char *decision = cli_answer(c, i, "decision", &what);
		if (strcmp(decision, "removed") == 0 || strcmp(decision, "gone") == 0)
			removed += *decision == 'r';
		else
			cli_say_stays(c, i);
	}
	if (went && removed && !c->quiet)
		cli_say(c, "removed %d temp resource%s", removed, removed == 1 ? "" : "s");
	buf_free(&what);
}
