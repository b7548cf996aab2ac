/* phrase: pieces of the sentences and lists by which an answer of /operation/why is told. */
#include <string.h>

#include "clock.h"
#include "phrase.h"

enum { SHORT = 240 }; /* bytes */

int
phrase_member(const struct picture *p, int object, const char *name)
{
	return json_get(p->json, object, name);
}

int64_t
phrase_number(const struct picture *p, int object, const char *name)
{
	return json_number(p->json, object, name);
}

bool
phrase_is(const struct picture *p, int object, const char *name, const char *value)
{
	struct buf b = {0};
	bool same = strcmp(json_text(p->json, object, name, &b), value) == 0;
	buf_free(&b);
	return same;
}

/* Add BEFORE and a text member, nothing where it is absent. */
bool
phrase_text(const struct picture *p, struct buf *out, const char *before, int object, const char *name)
{
	struct buf b = {0};
	bool there = *json_text(p->json, object, name, &b);
	if (there)
		buf_str(out, before), buf_str(out, b.p);
	buf_free(&b);
	return there;
}

/* Write a line, and empty `text` for the next. */
void
phrase_line(const struct picture *p, const char *label, enum colour colour, struct buf *text)
{
	picture_line(p, label, colour, text->n ? text->p : "");
	p->out->failed |= text->failed;
	buf_clear(text);
}

/* --- pieces of sentences --- */

void
phrase_short(const struct picture *p, struct buf *out, const char *before, int object, const char *name)
{
	struct buf b = {0};
	const char *text = json_text(p->json, object, name, &b);
	size_t n = strlen(text), most = n > SHORT ? SHORT : n;
	while (most < n && most && ((unsigned char)text[most] & 0xc0) == 0x80)
		most--;
	if (n) {
		buf_str(out, before);
		buf_add(out, text, most);
		buf_str(out, most < n ? "…" : "");
	}
	buf_free(&b);
}

void
phrase_about(const struct picture *p, struct buf *out, int object)
{
	size_t before = out->n;
	phrase_short(p, out, before ? " (" : "(", object, "description");
	if (out->n > before)
		buf_char(out, ')');
}

int64_t
phrase_time(const struct picture *p, int object, const char *name)
{
	struct buf b = {0};
	int64_t ms = -1;
	const char *text = json_text(p->json, object, name, &b);
	if (clock_parse(text, strlen(text), &ms) < 0)
		ms = -1;
	buf_free(&b);
	return ms;
}

void
phrase_when(const struct picture *p, struct buf *out, int object)
{
	int64_t at = phrase_time(p, object, "at"), start = phrase_time(p, 0, "startTime");
	if (at < 0)
		return;
	phrase_text(p, out, "", object, "at");
	buf_str(out, ", ");
	render_duration(out, at - start);
	buf_str(out, " after the start");
}

void
phrase_victim(const struct picture *p, struct buf *out, int object)
{
	struct buf b = {0};
	/* most ids say themselves that they are calls */
	bool named = strncmp(json_text(p->json, object, "callId", &b), "call_", 5) == 0;
	bool call = phrase_text(p, out, named ? "" : "call ", object, "callId");
	phrase_text(p, out, call ? " of " : "", object, "participantId");
	buf_free(&b);
}

void
phrase_memory(const struct picture *p, struct buf *out, int object)
{
	int64_t kib = phrase_number(p, object, "maxRssKib");
	if (kib >= 1 << 20)
		buf_fmt(out, "%lld.%lld GiB", (long long)(kib >> 20), (long long)((kib & ((1 << 20) - 1)) * 10 >> 20));
	else if (kib >= 0)
		buf_fmt(out, "%lld MiB", (long long)(kib + 1023) / 1024);
}

void
phrase_how(const struct picture *p, struct buf *out, int object)
{
	struct buf b = {0};
	size_t before = out->n;
	int64_t sig = phrase_number(p, object, "signal");
	phrase_short(p, out, "", object, "error");
	if (out->n == before)
		phrase_short(p, out, "", object, "reason");
	if (out->n == before)
		phrase_short(p, out, "", object, "evidence");
	if (json_true(p->json, object, "oomKilled")) {
		buf_str(out, out->n > before ? "; " : "");
		buf_str(out, "the kernel killed it, or a process of it, because memory was out (OOM)");
	} else if (sig == 9 && strncmp(json_text(p->json, object, "error", &b), "signal 9", 8) == 0) {
		buf_str(out, "; by whom is not known");
		if (phrase_number(p, object, "maxRssKib") >= 0)
			buf_str(out, ", it had used "), phrase_memory(p, out, object);
	}
	buf_free(&b);
}

/* --- lists --- */

int64_t
phrase_count(const struct picture *p, const char *name)
{
	return phrase_number(p, phrase_member(p, 0, name), "count");
}

/* Say how many rows are not shown. */
static void
put_rest(const struct picture *p, int64_t count, int64_t shown)
{
	if (count > shown)
		buf_fmt(p->out, "  … and %lld more\n", (long long)(count - shown));
}

void
phrase_rows(const struct picture *p, const char *name, int columns, int most, phrase_row *row)
{
	struct render_table t = {.columns = columns};
	struct buf text = {0};
	int list = phrase_member(p, phrase_member(p, 0, name), "list"), shown = 0;
	for (int k = json_first(p->json, list); k >= 0 && shown < most; k = json_next(p->json, list, k)) {
		row(p, &t, k, &text);
		shown++;
	}
	p->out->failed |= text.failed;
	render_table(p->out, &t, 2, p->colours);
	put_rest(p, phrase_count(p, name), shown);
	buf_free(&text);
}

void
phrase_cell(struct render_table *t, enum colour colour, struct buf *text)
{
	render_cell(t, colour, text->n ? text->p : "");
	buf_clear(text);
}

static void
call_row(const struct picture *p, struct render_table *t, int k, struct buf *text)
{
	int64_t at = phrase_time(p, k, "at");
	phrase_text(p, text, "", k, "callId");
	phrase_cell(t, PLAIN, text);
	phrase_text(p, text, "", k, "participantId");
	phrase_cell(t, PLAIN, text);
	if (at >= 0) {
		buf_str(text, "after ");
		render_duration(text, at - phrase_time(p, 0, "startTime"));
	} else {
		buf_str(text, "for ");
		render_duration(text, phrase_number(p, k, "ageMs"));
	}
	phrase_cell(t, PLAIN, text);
	if (phrase_is(p, k, "state", "crashed"))
		buf_str(text, phrase_member(p, k, "failOnCrash") >= 0 && !json_true(p->json, k, "failOnCrash") ? "crashed (contained): " : "crashed: ");
	phrase_how(p, text, k);
	phrase_about(p, text, k);
	phrase_cell(t, PLAIN, text);
}

/* "N calls" behind a label, then the rows. */
void
phrase_calls(const struct picture *p, const char *name, const char *label, enum colour colour, const char *more)
{
	struct buf text = {0};
	int64_t n = phrase_count(p, name);
	if (n > 0) {
		buf_fmt(&text, "%lld call%s%s", (long long)n, n == 1 ? "" : "s", more);
		phrase_line(p, label, colour, &text);
		phrase_rows(p, name, 4, PHRASE_FEW, call_row);
	}
	buf_free(&text);
}

int
phrase_first(const struct picture *p, const char *name)
{
	return json_first(p->json, phrase_member(p, phrase_member(p, 0, name), "list"));
}
