/* cli_calls: what dpl-call says of calls. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capture.h"
#include "cli_call.h"
#include "cli_calls.h"
#include "clock.h"
#include "fsx.h"
#include "outline.h"
#include "reader.h"
#include "render.h"
#include "table.h"
#include "text.h"

static const struct option options[] = {
	CLI_LEDGER, CLI_OPERATION, CLI_PARTICIPANT, CLI_TIMEOUT, CLI_OUTPUT, CLI_HELP, CLI_KEY_OPTION,
	{"all", no_argument, NULL, 'a'},
	{"by", required_argument, NULL, CALL_BY},
	{"err", no_argument, NULL, CALL_ERR},
	{"follow", no_argument, NULL, 'f'},
	{"from", required_argument, NULL, CALL_FROM},
	{"group", required_argument, NULL, CALL_GROUP},
	{"or", required_argument, NULL, CALL_OR},
	{"session", required_argument, NULL, CALL_SESSION},
	{"tail", required_argument, NULL, CALL_TAIL},
	{"tree", no_argument, NULL, CALL_TREE},
	{0},
};

/* --- list --- */

static enum colour
state_colour(const char *state)
{
	if (strcmp(state, "ended") == 0)
		return GREEN;
	return strcmp(state, "running") == 0 ? CYAN : strcmp(state, "queued") == 0 ? PLAIN : RED;
}

/* How the command ended: "0", "3", "signal 9", "". */
static void
put_exit(struct cli *c, int k, struct buf *b)
{
	int64_t status = cli_answer_int(c, k, "exitStatus"), sig = cli_answer_int(c, k, "signal");
	buf_clear(b);
	buf_str(b, "");
	if (status >= 0)
		buf_int(b, status);
	else if (sig > 0)
		buf_fmt(b, "signal %lld", (long long)sig);
}

struct rows {
	struct cli *c;
	struct render_table t;
	const int *call; /* indices in the answer */
};

static void
row(void *arg, int32_t i, const char *lead)
{
	struct rows *r = arg;
	struct cli *c = r->c;
	struct render_table *t = &r->t;
	struct buf cell = {0}, id = {0};
	int k = r->call[i];
	buf_fmt(&id, "%s%s", lead, cli_answer(c, k, "callId", &cell));
	render_cell(t, PLAIN, id.p);
	render_cell(t, PLAIN, cli_answer(c, k, "participantId", &cell));
	const char *state = cli_answer(c, k, "state", &cell);
	render_cell(t, state_colour(state), state);
	buf_clear(&cell);
	render_duration(&cell, cli_answer_int(c, k, "durationMs"));
	render_cell(t, PLAIN, cell.p);
	buf_clear(&cell);
	buf_str(&cell, "");
	if (cli_answer_int(c, k, "pid") > 0)
		buf_int(&cell, cli_answer_int(c, k, "pid"));
	render_cell(t, PLAIN, cell.p);
	put_exit(c, k, &cell);
	render_cell(t, PLAIN, cell.p);
	render_cell(t, PLAIN, cli_answer(c, k, "description", &cell));
	buf_free(&cell);
	buf_free(&id);
}

struct listed {
	struct table_key key; /* the call's id */
	int64_t i;
};

/* For each call the number of its parent, where that is listed before it. */
static void
find_parents(struct cli *c, const int *call, int32_t n, int32_t *parent)
{
	struct table t = {.size = sizeof(struct listed)};
	struct buf id = {0};
	for (int32_t i = 0; i < n; i++) {
		const char *name = cli_answer(c, call[i], "parentId", &id);
		const struct listed *found = *name ? table_find(&t, name) : NULL;
		parent[i] = found ? (int32_t)found->i : -1;
		struct listed *own = table_add(&t, cli_answer(c, call[i], "callId", &id));
		if (own)
			own->i = i;
		else
			c->out.failed = true;
	}
	buf_free(&id);
	table_free(&t);
}

static void
put_table(struct cli *c, int calls, bool tree)
{
	struct rows r = {.c = c, .t = {.columns = 7, .right = {[3] = true, [4] = true}}};
	int32_t n = 0;
	for (int k = json_first(&c->answer, calls); k >= 0; k = json_next(&c->answer, calls, k))
		n++;
	int *call = calloc((size_t)n + 1, sizeof *call);
	int32_t *parent = tree ? calloc((size_t)n + 1, sizeof *parent) : NULL;
	if (!call || (tree && !parent))
		c->out.failed = true;
	n = 0;
	for (int k = json_first(&c->answer, calls); call && k >= 0; k = json_next(&c->answer, calls, k))
		call[n++] = k;
	r.call = call;
	if (parent)
		find_parents(c, call, n, parent);
	if (parent && outline_draw(parent, n, row, &r) < 0)
		c->out.failed = true;
	for (int32_t i = 0; !parent && i < n; i++)
		row(&r, i, "");
	render_table(&c->out, &r.t, 0, render_colour(NULL));
	free(call);
	free(parent);
}

void
cli_list(struct cli *c)
{
	const char *by = NULL, *group = NULL, *session = NULL;
	bool all = false, tree = false;
	for (int o; (o = cli_getopt(c, ":aC:hjo:qvV", options)) != -1;)
		switch (o) {
		case 'a': all = true; break;
		case CALL_BY:
			by = optarg;
			if (id_bad_participant(by))
				cli_misuse(c, "--by: participant '%.80s' %s", by, id_bad_participant(by));
			break;
		case CALL_GROUP: group = cli_call_id(c, "--group", optarg); break;
		case CALL_SESSION: session = optarg; break;
		case CALL_TREE: tree = true; break;
		default: cli_misuse(c, "that option does not go with list");
		}
	if (c->key)
		cli_misuse(c, "--key goes with a change");
	cli_no_more(c, optind);
	if (all)
		json_put_bool(&c->body, "all", true);
	if (by)
		json_put(&c->body, "participantId", by);
	if (group)
		json_put(&c->body, "group", group);
	if (session)
		json_put_int(&c->body, "sessionId", cli_number(c, "--session", session, 1, JSON_INT_MAX));
	cli_put_operation(c, false);
	cli_request(c, "/call/list");
	int calls = json_get(&c->answer, 0, "calls");
	struct buf id = {0};
	if (c->json)
		cli_out_json(c);
	else if (!c->quiet)
		put_table(c, calls, tree);
	else
		for (int k = json_first(&c->answer, calls); k >= 0; k = json_next(&c->answer, calls, k))
			buf_fmt(&c->out, "%s\n", cli_answer(c, k, "callId", &id));
	buf_free(&id);
	c->quiet = false; /* the ids are the result that was asked for */
}

/* --- result --- */

void
cli_result(struct cli *c)
{
	const char *instead = NULL;
	struct buf b = {0};
	struct why why;
	for (int o; (o = cli_getopt(c, ":C:hjo:p:qt:vV", options)) != -1;)
		if (o == CALL_OR)
			instead = cli_text(c, "--or", optarg);
		else
			cli_misuse(c, "that option does not go with result");
	const char *call = cli_put_call(c);
	cli_put_operation(c, false);
	int k = cli_ask_call(c, call);
	enum outcome outcome = cli_outcome(c, k);
	bool there = json_get(&c->answer, k, "result") >= 0;
	if (outcome != OUTCOME_SUCCEEDED && !instead) {
		const char *state = cli_answer(c, k, "state", &b);
		why_set(&why, ERR_NO_RESULT, outcome == OUTCOME_OPEN ? "call %s has no result yet, it is %s" : "call %s has no result, it %s%s", call,
			outcome == OUTCOME_OPEN ? state : strcmp(state, "cancelled") == 0 ? "was " : "", outcome == OUTCOME_OPEN ? "" : state);
		if (outcome == OUTCOME_OPEN)
			why_hint(&why, "dpl-call wait -o %s %s", c->id, call);
		cli_die(c, &why);
	}
	const char *text = there && outcome == OUTCOME_SUCCEEDED ? cli_answer(c, k, "result", &b) : instead;
	if (c->json) {
		json_open(&c->out, NULL, '{');
		json_put_bool(&c->out, "ok", true);
		json_put(&c->out, "operationId", c->id);
		json_put(&c->out, "callId", call);
		json_put(&c->out, "result", text);
		json_close(&c->out, '}');
		buf_char(&c->out, '\n');
	} else if (text) {
		buf_fmt(&c->out, "%s\n", text);
	}
	buf_free(&b);
	c->verbose = c->quiet = false;
	cli_finish(c, text ? EXIT_DONE : EXIT_NO);
}

/* --- output --- */

enum { CHUNK = 64 * 1024, SHOWN_MAX = 48 * 1024 };

struct stream {
	const char *call;
	bool err;
	struct verbs_output output;
	int64_t at; /* where the next byte is read */
};

/* Whether the call is over, and will print nothing more. */
static bool
is_over(struct cli *c, const char *call)
{
	return cli_outcome(c, cli_ask_call(c, call)) != OUTCOME_OPEN;
}

/* Write what is there from s->at on. */
static void
pass_on(struct cli *c, struct stream *s)
{
	ssize_t n;
	while (s->output.fd >= 0) {
		if (buf_reserve(&c->out, CHUNK) < 0)
			break;
		n = fsx_pread(s->output.fd, c->out.p + c->out.n, CHUNK, (uint64_t)s->at);
		if (n <= 0)
			break;
		c->out.n += (size_t)n;
		s->at += n;
		cli_flush(c);
	}
}

static void
close_stream(struct stream *s)
{
	fsx_close(&s->output.fd);
	fsx_close(&s->output.folder);
	fsx_close(&s->output.beats);
}

/* There is a file once the call has printed something. */
static void
open_stream(struct cli *c, struct stream *s)
{
	struct why why;
	if (client_output(&c->client, c->id, s->call, s->err, &s->output, &why) < 0)
		cli_die(c, &why);
}

/* Until the call is over, as it prints. */
static int
follow(struct cli *c, struct stream *s)
{
	struct watch w;
	watch_init(&w);
	(void)watch_add(&w, s->output.beats, WATCH_NAMES); /* that of its supervisor goes */
	(void)watch_add(&w, s->output.folder, WATCH_ARRIVES);
	for (;;) {
		bool over = is_over(c, s->call);
		if (s->output.fd < 0) {
			close_stream(s);
			open_stream(c, s);
		}
		if (s->output.fd >= 0)
			(void)watch_add(&w, s->output.fd, WATCH_WRITE); /* told once */
		pass_on(c, s);
		cli_leave_unread();
		if (over)
			break;
		if (reader_is_over(c)) {
			watch_close(&w);
			return EXIT_TIMED_OUT;
		}
		(void)watch_wait(&w, reader_left(c, WATCH_LOOK_MS), 1);
		struct watch_event e;
		while (watch_next(&w, &e))
			;
	}
	watch_close(&w);
	return EXIT_DONE;
}

static void
put_object(struct cli *c, struct stream *s, int64_t first)
{
	struct buf bytes = {0}, text = {0};
	int64_t from = s->at;
	ssize_t n = s->output.fd < 0 || buf_reserve(&bytes, SHOWN_MAX) < 0 ? -1 : fsx_pread(s->output.fd, bytes.p, SHOWN_MAX, (uint64_t)from);
	if (n > 0)
		s->at += n;
	text_repair(&text, bytes.p ? bytes.p : "", n > 0 ? (size_t)n : 0);
	buf_str(&text, "");
	off_t size = s->output.fd < 0 ? 0 : lseek(s->output.fd, 0, SEEK_END);
	bool over = is_over(c, s->call);
	json_open(&c->out, NULL, '{');
	json_put_bool(&c->out, "ok", true);
	json_put(&c->out, "operationId", c->id);
	json_put(&c->out, "callId", s->call);
	json_put(&c->out, "stream", s->err ? "stderr" : "stdout");
	json_put_int(&c->out, "first", first);
	json_put_int(&c->out, "from", from);
	json_put_int(&c->out, "next", s->at);
	json_put_int(&c->out, "size", size);
	json_put_bool(&c->out, "over", over);
	json_put(&c->out, "text", text.p);
	json_close(&c->out, '}');
	buf_char(&c->out, '\n');
	buf_free(&bytes);
	buf_free(&text);
}

void
cli_output(struct cli *c)
{
	struct stream s = {.output = {-1, -1, -1}};
	struct why why;
	bool follows = false;
	int64_t from = -1, tail = -1;
	for (int o; (o = cli_getopt(c, ":C:fhjo:p:qt:vV", options)) != -1;)
		switch (o) {
		case 'f': follows = true; break;
		case CALL_ERR: s.err = true; break;
		case CALL_FROM: from = cli_number(c, "--from", optarg, 0, JSON_INT_MAX); break;
		case CALL_TAIL: tail = cli_number(c, "--tail", optarg, 0, JSON_INT_MAX); break;
		default: cli_misuse(c, "that option does not go with output");
		}
	if (from >= 0 && tail >= 0)
		cli_misuse(c, "--from and --tail exclude each other");
	if (follows && c->json)
		cli_misuse(c, "-f does not go with --json, which tells where to go on");
	s.call = cli_put_call(c);
	cli_put_operation(c, false);
	(void)reader_left(c, 0); /* from now on */
	bool kept = json_true(&c->answer, cli_ask_call(c, s.call), "spawned");
	cli_open(c);
	open_stream(c, &s);
	if (s.output.fd < 0 && !kept) {
		why_set(&why, ERR_NO_FILE, "what call %s printed is not kept in %s", s.call, c->id);
		cli_die(c, &why);
	}
	int64_t first = s.output.fd < 0 ? 0 : capture_first(s.output.fd), size = s.output.fd < 0 ? 0 : lseek(s.output.fd, 0, SEEK_END);
	s.at = tail >= 0 ? (size > tail ? size - tail : 0) : from > 0 ? from : 0;
	if (s.at < first) {
		if (!c->json && !c->quiet)
			cli_say(c, "%lld bytes before this are not kept", (long long)(first - s.at));
		s.at = first;
	}
	c->quiet = false; /* what it printed is the result that was asked for */
	int status = EXIT_DONE;
	if (c->json)
		put_object(c, &s, first);
	else if (follows)
		status = follow(c, &s);
	else
		pass_on(c, &s);
	if (c->verbose)
		cli_say(c, "the next byte is %lld", (long long)s.at);
	c->verbose = false;
	close_stream(&s);
	cli_finish(c, status);
}
