/* overview: an operation at length. */
#include "overview.h"

static const char *
text_of(const struct picture *p, const char *name, struct buf *b)
{
	return json_text(p->json, 0, name, b);
}

/* A line of counts: "2 running, 1 ended". */
static void
counts(const struct picture *p, const char *label, const char *object, const char *const names[], int n, const char *none)
{
	struct buf text = {0};
	int of = json_get(p->json, 0, object);
	for (int i = 0; i < n; i++)
		picture_count(&text, json_number(p->json, of, names[i]), names[i]);
	picture_line(p, label, PLAIN, text.n ? text.p : none);
	buf_free(&text);
}

static void
log_line(const struct picture *p)
{
	struct buf text = {0};
	int logs = json_get(p->json, 0, "logCounts");
	int64_t all = json_number(p->json, logs, "all"), warnings = json_number(p->json, logs, "warning"), errors = json_number(p->json, logs, "error");
	picture_count(&text, all, all == 1 ? "entry" : "entries");
	picture_count(&text, warnings, warnings == 1 ? "warning" : "warnings");
	picture_count(&text, errors, errors == 1 ? "error" : "errors");
	picture_line(p, "log", PLAIN, text.n ? text.p : "");
	buf_free(&text);
}

static void
times(const struct picture *p)
{
	struct buf b = {0}, text = {0};
	const char *start = text_of(p, "startTime", &b);
	buf_fmt(&text, "%s, ", start);
	picture_ago(p, &text, start);
	picture_line(p, "started", PLAIN, text.p ? text.p : "");
	const char *end = text_of(p, "endTime", &b);
	if (*end) {
		buf_clear(&text);
		buf_fmt(&text, "%s, after ", end);
		render_duration(&text, json_number(p->json, 0, "durationMs"));
		picture_line(p, "ended", PLAIN, text.p ? text.p : "");
	}
	buf_free(&b);
	buf_free(&text);
}

static void
head(const struct picture *p)
{
	static const char *const calls[] = {"running", "ended", "failed", "crashed", "cancelled"};
	static const char *const resources[] = {"registered", "removed", "gone", "left"};
	enum colour colour;
	struct buf b = {0}, text = {0};
	picture_line(p, "operation", BOLD, text_of(p, "operationId", &b));
	picture_line(p, "description", PLAIN, text_of(p, "description", &b));
	const char *state = picture_state(p, 0, &b, &colour);
	picture_line(p, "state", colour, state);
	if (json_true(p->json, 0, "aborted")) {
		picture_who(p, &text, 0, "abortedBy", "abortedAt", "abortReason");
		picture_line(p, "aborted by", RED, text.p ? text.p : "");
		buf_clear(&text);
	}
	if (json_true(p->json, 0, "crashed")) {
		picture_who(p, &text, 0, "crashedParticipantId", "crashedAt", "crashEvidence");
		picture_line(p, "crashed", RED, text.p ? text.p : "");
	}
	picture_line(p, "reason", PLAIN, text_of(p, "endReason", &b));
	picture_line(p, "initiator", PLAIN, text_of(p, "initiatorId", &b));
	times(p);
	counts(p, "calls", "callCounts", calls, 5, "none");
	counts(p, "resources", "resourceCounts", resources, 4, "");
	log_line(p);
	buf_free(&b);
	buf_free(&text);
}

static void
section(const struct picture *p, const char *title, const char *array, void (*draw)(const struct picture *p, int object, int indent))
{
	if (json_first(p->json, json_get(p->json, 0, array)) >= 0)
		buf_fmt(p->out, "%s\n", title);
	draw(p, 0, 2);
}

void
overview_draw(const struct picture *p)
{
	head(p);
	section(p, "participants", "participants", picture_people);
	section(p, "running calls", "calls", picture_calls);
	section(p, "temp resources", "resources", picture_resources);
}
