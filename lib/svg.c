/* svg: a timeline as a picture, in a file of its own. */
#include <string.h>

#include "clock.h"
#include "render.h"
#include "svg.h"
#include "text.h"
#include "timeline.h"

/* Pixels, but for what is said otherwise. */
enum {
	WIDTH = 1200,
	MARGIN = 24,
	LINE = 18,         /* of the head */
	ROWS = 2400,       /* how high all rows are together, as far as a row can be … */
	ROW_MOST = 20,     /* … so high … */
	ROW_LEAST = 2,     /* … or so */
	ROW_LABEL = 11,    /* in lower ones nobody could read */
	LABELS_MOST = 380, /* the column of the labels */
	INDENT = 14,
	INDENT_MOST = 12,  /* levels */
	BEHIND = 140,      /* what stands behind a bar that ends where the axis does */
	TIP_MOST = 300,    /* characters of a text in a tooltip */
	FOOT = 20,         /* rows of a picture that has the axis at its foot, too */
};

/* The colours of states are those of the page, web/style.css: as text they can be read. */
static const char style[] =
	"<style>\n"
	"svg{background:#fff;font-family:system-ui,-apple-system,\"Segoe UI\",Roboto,\"Helvetica Neue\",\"Noto Sans\",\"Liberation Sans\",Arial,sans-serif;"
	"font-size:12px;font-variant-numeric:tabular-nums}\n"
	"text{fill:#1d232b}\n"
	".title{font-size:19px;font-weight:600}\n"
	".soft{fill:#6a7380}\n"
	".strong{font-weight:600}\n"
	".paper{fill:#fff}\n"
	".band{fill:#f5f7f9}\n"
	".grid{stroke:#e3e7ec;fill:none}\n"
	".nest{stroke:#c9d0d8;fill:none}\n"
	".halo{paint-order:stroke;stroke:#fff;stroke-width:3px;stroke-linejoin:round}\n"
	".bar:hover{filter:brightness(1.15)}\n"
	".running{fill:#255fc4}.ended{fill:#22703f}.failed{fill:#c8372d}.crashed{fill:#a3195b}.cancelled{fill:#6f7680}.queued{fill:#b8bec8}\n"
	".mark{stroke-width:1.5;stroke-dasharray:5 4;fill:none}\n"
	".mark.failed{stroke:#c8372d}.mark.crashed{stroke:#a3195b}.mark.ended{stroke:#22703f}\n"
	"@media (prefers-color-scheme:dark){\n"
	"svg{background:#14171c}\n"
	"text{fill:#e4e7eb}\n"
	".soft{fill:#98a1ad}\n"
	".paper{fill:#14171c}\n"
	".band{fill:#191d23}\n"
	".grid{stroke:#2a3038}\n"
	".nest{stroke:#3b434d}\n"
	".halo{stroke:#14171c}\n"
	".running{fill:#6ea0ff}.ended{fill:#5cc48a}.failed{fill:#ff7b70}.crashed{fill:#ef6aa8}.cancelled{fill:#8d94a0}.queued{fill:#5a616d}\n"
	".mark.failed{stroke:#ff7b70}.mark.crashed{stroke:#ef6aa8}.mark.ended{stroke:#5cc48a}\n"
	"}\n"
	"</style>\n";

struct svg {
	struct buf *out;
	const struct json *json;
	struct timeline t;
	double row;              /* height of one */
	bool labels;
	double left, right;      /* of the axis */
	double top, bottom;      /* of the rows */
	struct buf raw, text;    /* for a while */
};

/* --- texts --- */

void
svg_text(struct buf *b, const char *p, size_t n)
{
	struct buf shown = {0};
	text_show(&shown, p, n);
	for (const char *q = shown.p, *end = q + shown.n; q < end;) {
		uint32_t code = 0;
		size_t len = text_decode(q, (size_t)(end - q), &code);
		if (code == '&' || code == '<' || code == '>' || code == '"')
			buf_str(b, code == '&' ? "&amp;" : code == '<' ? "&lt;" : code == '>' ? "&gt;" : "&quot;");
		else if (code == 0xfffe || code == 0xffff)
			buf_str(b, "\xef\xbf\xbd");
		else
			buf_add(b, q, len);
		q += len ? len : 1;
	}
	b->failed |= shown.failed;
	buf_free(&shown);
}

static void
put(struct svg *s, const char *text)
{
	svg_text(s->out, text, strlen(text));
}

/* A member in s->raw. */
static const char *
member(struct svg *s, int object, const char *name)
{
	return json_text(s->json, object, name, &s->raw);
}

/* How wide a character is at most, in parts of the size of the type: the viewer's fonts are not known. */
static double
width_of_character(uint32_t code)
{
	if (code >= 0x1100)
		return 1.05; /* wide ones of East Asia, and pictures */
	if (code >= 0x80)
		return 0.65;
	if (strchr("iljtfI.,:;'|!()[] `", (int)code))
		return 0.32;
	if (strchr("mwMW@%", (int)code))
		return 0.92;
	return (code >= 'A' && code <= 'Z') ? 0.7 : 0.58;
}

/* How wide shown text is. */
static double
width_of(const char *text, size_t n, double size)
{
	double width = 0;
	for (size_t i = 0, len; i < n; i += len) {
		uint32_t code = 0;
		len = text_decode(text + i, n - i, &code);
		width += size * width_of_character(code);
		len = len ? len : 1;
	}
	return width;
}

/* Cut shown text to a width; it ends with "…" then. */
static void
cut_to(struct buf *text, double most, double size)
{
	size_t kept = 0;
	if (!text->n || width_of(text->p, text->n, size) <= most + 0.01) /* what it was measured for, but for rounding */
		return;
	double width = size;
	for (size_t i = 0; i < text->n;) {
		uint32_t code = 0;
		size_t len = text_decode(text->p + i, text->n - i, &code);
		i += len ? len : 1;
		if ((width += size * width_of_character(code)) > most)
			break;
		kept = i;
	}
	text->n = kept;
	text->p[kept] = '\0';
	buf_str(text, "…");
}

/* A member, shown and cut, in s->text. */
static const char *
shown(struct svg *s, int object, const char *name, double most, double size)
{
	const char *text = member(s, object, name);
	buf_clear(&s->text);
	text_show(&s->text, text, strlen(text));
	cut_to(&s->text, most, size);
	return s->text.n ? s->text.p : "";
}

/* --- the head --- */

/* "aborted by worker, 2.1 s after its start: why". */
static void
put_event(struct svg *s, double y, const char *kind, const char *what, const char *who, const char *when, const char *why)
{
	int64_t ms;
	struct buf line = {0};
	buf_fmt(&line, "%s%s", what, member(s, 0, who));
	const char *at = member(s, 0, when);
	if (clock_parse(at, strlen(at), &ms) == 0) {
		buf_str(&line, ", ");
		render_duration(&line, ms - s->t.start_ms);
		buf_str(&line, " after its start");
	}
	if (*member(s, 0, why))
		buf_fmt(&line, ": %s", s->raw.p);
	buf_clear(&s->text);
	text_show(&s->text, line.n ? line.p : "", line.n);
	cut_to(&s->text, WIDTH - 2 * MARGIN, 12);
	buf_fmt(s->out, "<text class=\"%s\" x=\"%d\" y=\"%.0f\">", kind, MARGIN, y);
	put(s, s->text.n ? s->text.p : "");
	buf_str(s->out, "</text>\n");
	s->out->failed |= line.failed;
	buf_free(&line);
}

/* "2026-11-22 14:30:45 to 14:31:02 UTC". */
static void
put_when(struct svg *s)
{
	char from[CLOCK_TEXT], to[CLOCK_TEXT];
	clock_format(s->t.start_ms, from);
	clock_format(s->t.end_ms, to);
	buf_fmt(s->out, "%.10s %.8s to ", from, from + 11);
	if (strncmp(from, to, 10) != 0)
		buf_fmt(s->out, "%.10s ", to);
	buf_fmt(s->out, "%.8s UTC", to + 11);
}

/* Title, what it is now, what went wrong, the legend; where it ends. */
static double
put_head(struct svg *s)
{
	double y = MARGIN + 14, x = MARGIN;
	bool described = *member(s, 0, "description") != '\0';
	buf_fmt(s->out, "<text class=\"title\" x=\"%d\" y=\"%.0f\">", MARGIN, y);
	put(s, shown(s, 0, described ? "description" : "operationId", WIDTH - 2 * MARGIN, 19));
	buf_str(s->out, "</text>\n");
	y += LINE + 5;
	const char *state = shown(s, 0, "state", WIDTH, 12);
	bool aborted = json_true(s->json, 0, "aborted"), failed = strcmp(state, "failed") == 0, bad = aborted || failed;
	buf_fmt(s->out, "<text class=\"soft\" x=\"%d\" y=\"%.0f\"><tspan class=\"strong %s\">", MARGIN, y, bad ? "failed" : strcmp(state, "running") == 0 ? "running" : "ended");
	put(s, state);
	buf_fmt(s->out, "%s</tspan>  ·  ", aborted ? ", aborted" : "");
	render_duration(s->out, json_number(s->json, 0, "durationMs"));
	buf_str(s->out, "  ·  ");
	put_when(s);
	if (described) {
		buf_str(s->out, "  ·  ");
		put(s, member(s, 0, "operationId"));
	}
	buf_str(s->out, "</text>\n");
	if (aborted)
		put_event(s, y += LINE, "failed", "aborted by ", "abortedBy", "abortedAt", "abortReason");
	if (json_true(s->json, 0, "crashed"))
		put_event(s, y += LINE, "crashed", "crashed: ", "crashedParticipantId", "crashedAt", "crashEvidence");
	if (s->t.ended && *member(s, 0, "endReason"))
		put_event(s, y += LINE, failed ? "failed" : "soft", failed ? "failed" : "completed", "", "", "endReason");
	y += LINE + 6;
	for (int i = 0; i < TIMELINE_STATES; i++)
		if (s->t.count[i]) {
			const char *name = timeline_state_name((enum timeline_state)i);
			char label[40];
			int n = snprintf(label, sizeof label, "%s %d", name, (int)s->t.count[i]);
			buf_fmt(s->out, "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"14\" height=\"10\" rx=\"3\"/><text class=\"soft\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", name, x, y - 9.5, x + 20, y, label);
			x += 20 + width_of(label, (size_t)n, 12) + 18;
		}
	return y + 10;
}

/* --- the axis --- */

static double
x_of(const struct svg *s, int64_t ms)
{
	return s->left + timeline_at(&s->t, ms, s->right - s->left);
}

/* The labels of the ticks, above y or, at the foot, below it. */
static void
put_ticks(struct svg *s, int64_t step, double y)
{
	char label[TIMELINE_LABEL];
	int64_t span = s->t.end_ms - s->t.start_ms;
	for (int64_t ms = 0; ms <= span; ms += step) {
		timeline_label(label, ms, step, span);
		buf_fmt(s->out, "<text class=\"soft halo\" font-size=\"11\" text-anchor=\"middle\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", x_of(s, s->t.start_ms + ms), y, label);
	}
}

static void
put_grid(struct svg *s, int64_t step)
{
	int64_t span = s->t.end_ms - s->t.start_ms;
	bool foot = s->t.n > FOOT;
	buf_str(s->out, "<path class=\"grid\" d=\"");
	for (int64_t ms = 0; ms <= span; ms += step)
		buf_fmt(s->out, "M%.1f %.1fV%.1f", x_of(s, s->t.start_ms + ms), s->top - 4, s->bottom + (foot ? 4 : 0));
	buf_fmt(s->out, "M%.1f %.1fH%.1f\"/>\n", s->left, s->top - 0.5, s->right);
}

/* What happened to the whole: lines through all rows, with their labels above the axis. */
static void
put_marks(struct svg *s, const struct timeline_place *place, double labels)
{
	for (int i = 0; i < s->t.marks; i++) {
		const struct timeline_mark *m = &s->t.mark[i];
		const char *state = timeline_state_name(m->state);
		double x = s->left + place[i].at, y = labels + (place[i].lane + 1) * LINE - 5;
		bool behind = place[i].from >= place[i].at;
		buf_fmt(s->out, "<path class=\"mark %s\" d=\"M%.1f %.1fV%.1f\"/><text class=\"strong halo %s\" font-size=\"11\" x=\"%.1f\" y=\"%.1f\">%s<title>%s after ", state, x, y - 10, s->bottom, state,
			s->left + place[i].from + (behind ? 5 : 0), y, m->what, m->what);
		render_duration(s->out, m->at_ms - s->t.start_ms);
		buf_str(s->out, "</title></text>\n");
	}
}

/* --- the rows --- */

static double
y_of(const struct svg *s, int32_t i)
{
	return s->top + i * s->row;
}

static double
indent_of(const struct timeline_bar *bar)
{
	return INDENT * (bar->depth < INDENT_MOST ? bar->depth : INDENT_MOST);
}

static double
type_size(const struct svg *s)
{
	return s->row >= 16 ? 12 : s->row * 0.75;
}

/* A line of a tooltip, a text of which the beginning suffices. */
static void
put_tip(struct svg *s, const char *before, const char *text)
{
	struct buf cut = {0};
	buf_clear(&s->text);
	text_show(&s->text, text, strlen(text));
	if (s->text.n) {
		text_cut(&cut, s->text.p, s->text.n, TIP_MOST);
		buf_str(s->out, before);
		put(s, cut.n ? cut.p : "");
	}
	s->out->failed |= cut.failed;
	buf_free(&cut);
}

static void
put_tooltip(struct svg *s, const struct timeline_bar *bar)
{
	static const char *const texts[] = {"error", "result", "reason", "evidence", "fallbackError"};
	buf_str(s->out, "<title>");
	put_tip(s, "", member(s, bar->call, "callId"));
	put_tip(s, ": ", member(s, bar->call, "description"));
	put_tip(s, "\n", member(s, bar->call, "participantId"));
	put_tip(s, ", ", member(s, bar->call, "state"));
	buf_str(s->out, ", ");
	render_duration(s->out, bar->end_ms - bar->start_ms);
	buf_str(s->out, "\nstarted after ");
	render_duration(s->out, bar->start_ms - s->t.start_ms);
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (json_get(s->json, bar->call, texts[i]) >= 0 && *member(s, bar->call, texts[i])) {
			buf_fmt(s->out, "\n%s: ", texts[i]);
			put_tip(s, "", s->raw.p);
		}
	buf_str(s->out, "</title>");
}

/* One that goes on is open to the right: it ends in a point. */
static void
put_bar(struct svg *s, int32_t i)
{
	const struct timeline_bar *bar = &s->t.bars[i];
	double x = x_of(s, bar->start_ms), width = x_of(s, bar->end_ms) - x, gap = s->row >= 8 ? s->row * 0.15 : s->row > ROW_LEAST ? s->row * 0.1 : 0;
	double y = y_of(s, i) + gap, height = s->row - 2 * gap;
	const char *state = timeline_state_name(bar->state);
	if (width < 2) {
		width = 2;
		x = x > s->right - 2 ? s->right - 2 : x;
	}
	double round = width < 8 ? width / 4 : height < 12 ? height / 4 : 3, point = height / 2 < 6 ? height / 2 : 6;
	if (bar->open)
		buf_fmt(s->out, "<path class=\"bar %s\" d=\"M%.1f %.1fh%.1fl%.1f %.1fl%.1f %.1fh%.1fz\">", state, x, y, width, point, height / 2, -point, height / 2, -width);
	else if (s->row < 4)
		buf_fmt(s->out, "<rect class=\"bar %s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\">", state, x, y, width, height);
	else
		buf_fmt(s->out, "<rect class=\"bar %s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"%.1f\">", state, x, y, width, height, round);
	put_tooltip(s, bar);
	buf_str(s->out, bar->open ? "</path>\n" : "</rect>\n");
}

/* Its name and whose it is before the axis, how long it took behind its bar. */
static void
put_label(struct svg *s, int32_t i)
{
	const struct timeline_bar *bar = &s->t.bars[i];
	double size = type_size(s), x = MARGIN + indent_of(bar), y = y_of(s, i) + s->row / 2 + size * 0.36, room = s->left - 14 - x;
	struct buf who = {0};
	const char *participant = member(s, bar->call, "participantId");
	text_show(&who, participant, strlen(participant));
	cut_to(&who, 110, size);
	double whose = width_of(who.n ? who.p : "", who.n, size) + size / 2;
	const char *what = shown(s, bar->call, *member(s, bar->call, "description") ? "description" : "callId", room - whose, size);
	buf_fmt(s->out, "<text x=\"%.1f\" y=\"%.1f\">", x, y);
	put(s, what);
	buf_str(s->out, " <tspan class=\"soft\">");
	put(s, who.n ? who.p : "");
	buf_str(s->out, "</tspan></text>");
	buf_fmt(s->out, "<text class=\"soft halo\" x=\"%.1f\" y=\"%.1f\">", x_of(s, bar->end_ms) + (bar->open ? 12 : 6), y);
	render_duration(s->out, bar->end_ms - bar->start_ms);
	if (bar->state != TIMELINE_ENDED) {
		buf_fmt(s->out, "<tspan class=\"%s\"> ", timeline_state_name(bar->state));
		put(s, member(s, bar->call, "state"));
		buf_str(s->out, "</tspan>");
	}
	buf_str(s->out, "</text>\n");
	s->out->failed |= who.failed;
	buf_free(&who);
}

/* Lines from each call to those that are part of it. */
static void
put_nesting(struct svg *s)
{
	buf_str(s->out, "<path class=\"nest\" d=\"");
	for (int32_t i = 0; i < s->t.n; i++) {
		int32_t up = s->t.parent[i];
		if (up >= 0 && s->t.bars[i].depth <= INDENT_MOST)
			buf_fmt(s->out, "M%.1f %.1fV%.1fh6", MARGIN + indent_of(&s->t.bars[up]) + 4.5, y_of(s, up) + s->row * 0.85, y_of(s, i) + s->row / 2);
	}
	buf_str(s->out, "\"/>\n");
}

static void
put_labels(struct svg *s)
{
	put_nesting(s);
	buf_fmt(s->out, "<g font-size=\"%.1f\">\n", type_size(s));
	for (int32_t i = 0; i < s->t.n; i++)
		put_label(s, i);
	buf_str(s->out, "</g>\n");
}

/* --- the whole --- */

/* How high rows are, and where the axis begins. */
static void
lay_out(struct svg *s)
{
	double widest = 0;
	s->row = s->t.n * ROW_MOST <= ROWS ? ROW_MOST : (double)(ROWS / s->t.n);
	s->row = s->row < ROW_LEAST ? ROW_LEAST : s->row;
	s->labels = s->row >= ROW_LABEL;
	for (int32_t i = 0; s->labels && i < s->t.n; i++) {
		const struct timeline_bar *bar = &s->t.bars[i];
		double size = type_size(s), width = indent_of(bar);
		const char *text = shown(s, bar->call, *member(s, bar->call, "description") ? "description" : "callId", LABELS_MOST, size);
		width += width_of(text, strlen(text), size) + size / 2;
		text = shown(s, bar->call, "participantId", 110, size);
		width += width_of(text, strlen(text), size);
		widest = width > widest ? width : widest;
	}
	s->left = MARGIN + (widest < LABELS_MOST ? widest : LABELS_MOST) + (s->labels ? 14 : 8);
	s->right = WIDTH - (s->labels ? BEHIND : MARGIN + 8);
}

void
svg_draw(struct buf *b, const struct json *json, int64_t now_ms)
{
	struct buf body = {0};
	struct svg s = {.out = &body, .json = json};
	struct timeline_place place[TIMELINE_MARKS];
	b->failed |= timeline_read(&s.t, json, now_ms) < 0;
	lay_out(&s);
	for (int i = 0; i < s.t.marks; i++) {
		const char *what = s.t.mark[i].what;
		place[i] = (struct timeline_place){.at = x_of(&s, s.t.mark[i].at_ms) - s.left, .room = width_of(what, strlen(what), 12) + 5};
	}
	double labels = put_head(&s);
	int lanes = timeline_place(place, s.t.marks, WIDTH - 8 - s.left, 6);
	s.top = labels + lanes * LINE + 26;
	s.bottom = s.top + (s.t.n ? s.t.n * s.row : ROW_MOST);
	for (int32_t i = 1; s.labels && i < s.t.n; i += 2)
		buf_fmt(&body, "<path class=\"band\" d=\"M%d %.1fH%dv%.1fH%dz\"/>\n", MARGIN - 8, y_of(&s, i), WIDTH - 8, s.row, MARGIN - 8);
	int64_t step = timeline_step(s.t.end_ms - s.t.start_ms, s.right - s.left, 6.5);
	put_grid(&s, step);
	for (int32_t i = 0; i < s.t.n; i++)
		put_bar(&s, i);
	put_marks(&s, place, labels);
	put_ticks(&s, step, s.top - 9);
	if (s.t.n > FOOT)
		put_ticks(&s, step, s.bottom + 16);
	if (s.labels)
		put_labels(&s);
	if (!s.t.n)
		buf_fmt(&body, "<text class=\"soft\" x=\"%.1f\" y=\"%.1f\">no calls</text>\n", s.left + 8, s.top + 14);
	double height = s.bottom + (s.t.n > FOOT ? MARGIN : 0) + MARGIN;
	buf_fmt(b, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%.0f\" viewBox=\"0 0 %d %.0f\" role=\"img\">\n<title>", WIDTH, height, WIDTH, height);
	const char *title = member(&s, 0, "description");
	svg_text(b, title, strlen(title));
	if (*title)
		buf_str(b, " ");
	title = member(&s, 0, "operationId");
	svg_text(b, title, strlen(title));
	buf_fmt(b, "</title>\n%s<rect class=\"paper\" width=\"%d\" height=\"%.0f\"/>\n", style, WIDTH, height);
	buf_add(b, body.n ? body.p : "", body.n);
	buf_str(b, "</svg>\n");
	b->failed |= body.failed || s.raw.failed || s.text.failed;
	buf_free(&body);
	buf_free(&s.raw);
	buf_free(&s.text);
	timeline_free(&s.t);
}
