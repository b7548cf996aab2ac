/* dpl-sim - play scenarios with real processes, and see what dpl does when things go wrong */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "deed.h"
#include "fsx.h"
#include "num.h"
#include "play.h"
#include "render.h"
#include "scenarios.h"
#include "stage.h"
#include "text.h"
#include "world.h"

static const char usage[] =
	"usage: dpl-sim list [-jq]\n"
	"       dpl-sim show [-j] name\n"
	"       dpl-sim run [-jqv] [-C ledger] [--color when] [--scale factor] [--seed number]\n"
	"                   name|file ...\n"
	"       dpl-sim check [-jq] [-C ledger] [--color when] [--scale factor]\n"
	"                     [--seed number] [name|file ...]\n"
	"\n"
	"Play a scenario: each participant is a process of its own that uses the real commands on a\n"
	"real ledger, and what fails is killed or stopped.\n"
	"\n"
	"  -C, --ledger=LEDGER  the ledger, a folder or URL (one that is made for each play)\n"
	"  -j, --json           print one JSON object\n"
	"  -q, --quiet          print the result alone\n"
	"  -v, --verbose        beats, too, with what they have found\n"
	"      --color=WHEN     auto, always or never\n"
	"      --scale=FACTOR   all times of the scenario times this (1; check: 0.05)\n"
	"      --seed=NUMBER    for what a scenario leaves to chance (1)\n"
	"  -h, --help           print this\n"
	"  -V, --version        print the version\n"
	"\n"
	"Examples:\n"
	"  dpl-sim list\n"
	"  dpl-sim run --scale 0.1 bridge_crash_during_copilot\n"
	"  dpl-sim check\n";

enum { COLOUR = CLI_OWN, SCALE, SEED, PLAY, WORK, EXTERNAL, SCENARIOS = sizeof scenarios / sizeof *scenarios };

static bool colours;

/* What the options say. */
struct wanted {
	double scale;
	uint64_t seed;
};

/* --- what is played by --- */

static _Noreturn void
play(struct cli *c, int what, const char *number)
{
	struct play p;
	struct why why;
	int64_t call;
	if (play_begin(&p, &why) < 0)
		cli_die(c, &why);
	if (num_int(number, strlen(number), 0, p.s.calls_n - 1, &call) < 0)
		cli_misuse(c, "there is no call %.20s", number);
	int status = what == PLAY ? play_participant(&p, (int)call) : what == WORK ? play_work(&p, (int)call) : play_external(&p, (int)call);
	play_end(&p);
	exit(status);
}

/* --- telling --- */

struct teller {
	struct cli *c;
	const struct scenario *s;
	bool unread;             /* nobody takes what is printed: the play ends, and is tidied away before that is said */
};

static void
tell(void *arg, int64_t at_ms, int who, int depth, enum stage_told kind, const char *text)
{
	struct teller *t = arg;
	static const enum colour of_people[] = {CYAN, GREEN, YELLOW, BOLD};
	struct cli *c = t->c;
	struct buf shown = {0};
	if (c->json || c->quiet || t->unread || (kind == TOLD_BEAT && !c->verbose))
		return;
	text_show(&shown, text, strlen(text));
	buf_fmt(&c->out, "%3lld.%03lld  %*s", (long long)(at_ms / 1000), (long long)(at_ms % 1000), 2 * depth, "");
	if (who >= 0) {
		render_text(&c->out, colours ? of_people[who % 4] : PLAIN, t->s->participants[who]);
		buf_str(&c->out, "  ");
	}
	static const enum colour of_kinds[] = {[TOLD_ENTRY] = PLAIN, [TOLD_PHASE] = BOLD, [TOLD_SAID] = DIM, [TOLD_BEAT] = DIM, [TOLD_FAILURE] = RED, [TOLD_STAGE] = DIM};
	if (kind == TOLD_PHASE)
		buf_str(&c->out, "== ");
	else if (kind == TOLD_FAILURE)
		buf_str(&c->out, "!! ");
	render_text(&c->out, colours ? of_kinds[kind] : PLAIN, shown.p ? shown.p : "");
	buf_char(&c->out, '\n');
	buf_free(&shown);
	if (c->out.failed || fsx_write(STDOUT_FILENO, c->out.p, c->out.n) < 0) {
		t->unread = true; /* what could not be written stays in c->out, for cli_flush */
		stage_stop();
		return;
	}
	buf_clear(&c->out);
}

static void
stop(int sig)
{
	(void)sig;
	stage_stop();
}

/* --- a scenario --- */

/* One that is played: its name, or path, and its text. */
struct played {
	const char *name;
	struct buf text;
};

/* Its text: one of ours, or a file. */
static int
find(struct played *p, struct why *why)
{
	const char *name = p->name;
	for (int i = 0; i < SCENARIOS; i++)
		if (strcmp(scenarios[i].name, name) == 0) {
			buf_str(&p->text, scenarios[i].text);
			return 0;
		}
	if (!strchr(name, '/') && !strchr(name, '.')) {
		why_set(why, ERR_NO_FILE, "there is no scenario '%.100s'", name);
		why_hint(why, "dpl-sim list; a file of one's own has a / or . in its name");
		return -1;
	}
	buf_str(&p->text, "");
	if (fsx_read_file(AT_FDCWD, name, &p->text, SCENARIO_SIZE_MAX + 1) == 0)
		return 0;
	if (errno == EFBIG || errno == EISDIR)
		return why_set(why, ERR_USAGE, "%s is no scenario: %s", name, errno == EFBIG ? "it is too long" : "it is a folder");
	return errno == ENOENT ? why_set(why, ERR_NO_FILE, "%s: %s", name, strerror(errno)) : why_errno(why, "%s", name);
}

/* What came of one. */
struct outcome {
	const char *lacks;       /* what it would need, and was not played; NULL */
	int wrong;
	int64_t took_ms;
	struct buf faults;       /* a line each */
};

static void
judge(const char *name, const struct scenario *s, const struct happened *h, double scale, struct outcome *o)
{
	char text[SCENARIO_TEXT];
	for (int i = 0; i < s->expectations_n; i++)
		if (!happened_as_expected(h, s, scale, i, text)) {
			o->wrong++;
			buf_fmt(&o->faults, "%s:%d: %s\n", name, s->expectations[i].line, text);
		}
	for (int i = 0; i < s->failures_n; i++)
		if (!h->put_in[i])
			o->wrong++, buf_fmt(&o->faults, "%s:%d: what was to fail there never came to its moment\n", name, s->failures[i].line);
	if (h->timed_out)
		o->wrong++, buf_fmt(&o->faults, "%s: it was not over within its limit\n", name);
	if (h->processes_left)
		o->wrong++, buf_fmt(&o->faults, "%s: processes were left, and had to be ended\n", name);
	o->took_ms = h->took_ms;
}

/* The end of what the commands complained of. */
static void
add_errors(const struct stage *stage, struct outcome *o)
{
	enum { LAST = 2000 };
	char path[STAGE_FOLDER + 20];
	struct buf text = {0};
	snprintf(path, sizeof path, "%s/errors", stage->folder);
	if (fsx_read_file(AT_FDCWD, path, &text, 1 << 20) == 0 && text.n) {
		char *rest = text.p + (text.n > LAST ? text.n - LAST : 0);
		for (char *line; (line = strsep(&rest, "\n"));)
			if (*line) {
				buf_str(&o->faults, "  said: ");
				text_show(&o->faults, line, strlen(line));
				buf_char(&o->faults, '\n');
			}
	}
	buf_free(&text);
}

/* What happened, in some lines. */
static void
sum_up(struct cli *c, const struct scenario *s, const struct happened *h)
{
	buf_fmt(&c->out, "\n%s: %s%s\n", h->operation, h->state, h->aborted ? ", aborted" : "");
	for (int i = 0; i < s->participants_n; i++) {
		buf_fmt(&c->out, "  %-12s ", s->participants[i]);
		if (h->exit[i] == HAPPENED_KILLED)
			buf_str(&c->out, "was killed\n");
		else if (h->exit[i] == HAPPENED_NOT)
			buf_str(&c->out, "did not come to its end\n");
		else
			buf_fmt(&c->out, "exited with %d\n", h->exit[i]);
	}
	for (int i = 0; i < h->deaths + h->aborts; i++) {
		const struct happened_event *e = i < h->deaths ? &h->death[i] : &h->abort[i - h->deaths];
		const char *by = e->by >= 0 ? s->participants[e->by] : "somebody else";
		if (i < h->deaths)
			buf_fmt(&c->out, "  death of %s found by %s", e->call >= 0 ? s->calls[e->call].name : e->who >= 0 ? s->participants[e->who] : "somebody", by);
		else
			buf_fmt(&c->out, "  aborted by %s", by);
		if (h->first_failure_ms >= 0)
			buf_fmt(&c->out, ", %lld ms behind the first failure", (long long)(e->at_ms - h->first_failure_ms));
		buf_char(&c->out, '\n');
	}
	if (h->temps)
		buf_fmt(&c->out, "  temp resources: %d of %d gone\n", h->temps - h->temps_left, h->temps);
}

/* The calls over time, as dpl-show draws them. */
static void
draw(struct cli *c, const struct stage *stage, const struct happened *h)
{
	struct deed d = deed("dpl-show");
	struct buf out = {0};
	char path[STAGE_FOLDER + 20];
	snprintf(path, sizeof path, "%s/ledger", stage->folder);
	deed_option(&d, "-C", stage->ledger ? stage->ledger : path); /* its server has ended */
	deed_option(&d, "--timeline", "--color");
	deed_option(&d, colours ? "always" : "never", h->operation);
	if (deed_run(&d, &out) == 0 && out.p)
		buf_fmt(&c->out, "\n%s", out.p);
	buf_free(&out);
}

/* Read its text, and whether it can be played at all: a mistake ends this process. */
static void
take_up(struct cli *c, const struct wanted *w, struct played *p)
{
	struct scenario s;
	struct why why;
	if (find(p, &why) < 0 || scenario_read(&s, p->name, p->text.p, p->text.n, w->seed, &why) < 0)
		cli_die(c, &why);
	scenario_free(&s);
}

/* Play one; `shows`: with all that happens, and the timeline. */
static void
play_one(struct cli *c, const struct wanted *w, const struct played *p, bool shows, struct outcome *o)
{
	struct scenario s;
	struct happened h;
	struct why why, left;
	*o = (struct outcome){0};
	if (scenario_read(&s, p->name, p->text.p, p->text.n, w->seed, &why) < 0)
		cli_die(c, &why);
	o->lacks = world_lacks(&s, c->ledger);
	if (o->lacks) {
		scenario_free(&s);
		return;
	}
	struct teller teller = {.c = c, .s = &s};
	struct stage stage = {.s = &s, .text = p->text.p, .n = p->text.n, .ledger = c->ledger, .scale = w->scale, .seed = w->seed, .tell = shows ? tell : NULL, .arg = &teller};
	int rc = stage_play(&stage, &h, &why);
	if (rc == 0)
		judge(p->name, &s, &h, w->scale, o);
	if (rc == 0 && o->wrong)
		add_errors(&stage, o);
	if (rc == 0 && shows && !c->quiet && !c->json) {
		sum_up(c, &s, &h);
		draw(c, &stage, &h);
	}
	if (stage_close(&stage, &left) < 0)
		o->wrong++, buf_fmt(&o->faults, "%s: %s\n", p->name, left.text);
	happened_end(&h);
	scenario_free(&s);
	if (rc == 0)
		return;
	if (teller.unread)
		cli_flush(c);
	if (stage_is_stopped()) {
		buf_clear(&c->out);
		cli_die(c, &why);
	}
	o->wrong++; /* this one cannot be played, but others may */
	buf_fmt(&o->faults, "%s: %s\n", p->name, why.text);
}

/* --- what is asked for --- */

static void
list(struct cli *c)
{
	struct render_table t = {.columns = 2};
	if (c->json)
		json_open(&c->out, NULL, '{'), json_put_bool(&c->out, "ok", true), json_open(&c->out, "scenarios", '[');
	for (int i = 0; i < SCENARIOS; i++) {
		struct scenario s;
		struct why why;
		if (scenario_read(&s, scenarios[i].name, scenarios[i].text, strlen(scenarios[i].text), 1, &why) < 0)
			cli_die(c, &why);
		if (c->json) {
			json_open(&c->out, NULL, '{');
			json_put(&c->out, "name", s.name);
			json_put(&c->out, "title", s.title);
			json_close(&c->out, '}');
		} else if (c->quiet) {
			buf_fmt(&c->out, "%s\n", s.name);
		} else {
			render_cell(&t, BOLD, s.name);
			render_cell(&t, PLAIN, s.title);
		}
		scenario_free(&s);
	}
	if (c->json)
		json_close(&c->out, ']'), json_close(&c->out, '}'), buf_char(&c->out, '\n');
	render_table(&c->out, &t, 0, colours);
}

static void
show(struct cli *c, const char *name)
{
	struct played p = {.name = name};
	struct buf text = {0};
	struct why why;
	if (find(&p, &why) < 0)
		cli_die(c, &why);
	if (c->json) {
		text_repair(&text, p.text.p, p.text.n);
		json_open(&c->out, NULL, '{');
		json_put_bool(&c->out, "ok", true);
		json_put(&c->out, "name", name);
		json_put(&c->out, "text", text.p ? text.p : "");
		json_close(&c->out, '}');
		buf_char(&c->out, '\n');
	} else {
		buf_add(&c->out, p.text.p, p.text.n);
	}
	buf_free(&text);
	buf_free(&p.text);
}

static void
put_outcome(struct cli *c, const char *name, struct outcome *o)
{
	if (c->json) {
		json_open(&c->out, NULL, '{');
		json_put(&c->out, "name", name);
		json_put_bool(&c->out, "passed", !o->wrong && !o->lacks);
		if (o->lacks)
			json_put(&c->out, "skipped", o->lacks);
		json_put_int(&c->out, "tookMs", o->took_ms);
		json_open(&c->out, "faults", '[');
		for (char *rest = o->faults.p, *line; rest && (line = strsep(&rest, "\n")) && *line;)
			json_put(&c->out, NULL, line);
		json_close(&c->out, ']');
		json_close(&c->out, '}');
		return;
	}
	if (o->lacks) {
		render_text(&c->out, colours ? DIM : PLAIN, "[SKIP]");
		buf_fmt(&c->out, " %s (it needs %s)\n", name, o->lacks);
		cli_flush(c);
		return;
	}
	if (o->faults.p)
		buf_str(&c->out, o->faults.p);
	render_text(&c->out, !colours ? PLAIN : o->wrong ? RED : GREEN, o->wrong ? "[FAIL]" : "[PASS]");
	buf_fmt(&c->out, " %s (%lld ms)\n", name, (long long)o->took_ms);
	cli_flush(c);
}

/* A server that is not there is said at once; each command of a play would wait for it. */
static void
reach(struct cli *c)
{
	struct deed d = deed("dpl-show");
	struct why why;
	setenv("DPL_NO_RETRY", "1", 1);
	deed_option(&d, "-q", "-C");
	deed_add(&d, c->ledger);
	int status = deed_run(&d, NULL);
	unsetenv("DPL_NO_RETRY");
	if (status == 0)
		return;
	why_set(&why, ERR_UNREACHABLE, "%.300s cannot be used", c->ledger);
	cli_die(c, &why);
}

/* Play all that are named, or, for a check, all that there are. */
static int
play_all(struct cli *c, const struct wanted *w, char **names, int n, bool check)
{
	int failed = 0, skipped = 0, count = n ? n : SCENARIOS;
	if (!n && !check)
		cli_misuse(c, "run: the name of a scenario, or a file, is expected");
	struct played *all = calloc((size_t)count, sizeof *all);
	if (!all) {
		struct why why;
		why_set(&why, ERR_IO, "out of memory");
		cli_die(c, &why);
	}
	/* A mistake in any of them is said before one is begun; and each is read once, it may be a pipe. */
	for (int i = 0; i < count; i++) {
		all[i].name = n ? names[i] : scenarios[i].name;
		take_up(c, w, &all[i]);
	}
	if (play_is_served(c->ledger))
		reach(c);
	if (c->json)
		json_open(&c->out, NULL, '{'), json_put_bool(&c->out, "ok", true), json_open(&c->out, "scenarios", '[');
	for (int i = 0; i < count; i++) {
		struct outcome o;
		if (!check && count > 1 && !c->json && !c->quiet)
			buf_fmt(&c->out, "%s--- %s\n", i ? "\n" : "", all[i].name);
		play_one(c, w, &all[i], !check, &o);
		put_outcome(c, all[i].name, &o);
		failed += o.wrong > 0;
		skipped += o.lacks != NULL;
		buf_free(&o.faults);
		buf_free(&all[i].text);
	}
	free(all);
	if (c->json) {
		json_close(&c->out, ']');
		json_put_int(&c->out, "passed", count - failed - skipped);
		json_put_int(&c->out, "failed", failed);
		json_put_int(&c->out, "skipped", skipped);
		json_close(&c->out, '}');
		buf_char(&c->out, '\n');
	} else if (check) {
		buf_fmt(&c->out, "%d passed, %d failed", count - failed - skipped, failed);
		if (skipped)
			buf_fmt(&c->out, ", %d skipped", skipped);
		buf_char(&c->out, '\n');
	}
	return failed ? EXIT_NO : EXIT_DONE;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {CLI_LEDGER, CLI_OUTPUT, CLI_HELP, {"color", required_argument, NULL, COLOUR}, {"scale", required_argument, NULL, SCALE},
		{"seed", required_argument, NULL, SEED}, {"play", required_argument, NULL, PLAY}, {"work", required_argument, NULL, WORK},
		{"external", required_argument, NULL, EXTERNAL}, {0}};
	struct cli c;
	struct wanted w = {.scale = 0, .seed = 1};
	const char *when = NULL;
	bool seeded = false;
	cli_begin(&c, argc, argv, usage);
	for (int o; (o = cli_getopt(&c, ":C:hjqvV", options)) != -1;)
		switch (o) {
		case COLOUR: when = optarg; break;
		case SCALE: {
			char *end;
			w.scale = strtod(optarg, &end);
			if (*end || !(w.scale >= 0.001 && w.scale <= 1000))
				cli_misuse(&c, "--scale: '%.40s' is not a number from 0.001 to 1000", optarg);
			break;
		}
		case SEED:
			w.seed = (uint64_t)cli_number(&c, "--seed", optarg, 0, INT64_MAX);
			seeded = true;
			break;
		case PLAY:
		case WORK:
		case EXTERNAL: play(&c, o, optarg);
		}
	int wanted = render_colour(when);
	if (wanted < 0)
		cli_misuse(&c, "--color: '%.40s' is not auto, always or never", when);
	colours = wanted > 0;
	if (optind == argc)
		cli_misuse(&c, "list, show, run or check is expected");
	const char *what = argv[optind++];
	struct sigaction handler = {.sa_handler = stop};
	sigaction(SIGINT, &handler, NULL);
	sigaction(SIGTERM, &handler, NULL);
	sigaction(SIGHUP, &handler, NULL);
	(void)signal(SIGCHLD, SIG_DFL); /* where it is ignored nobody could be waited for */
	bool check = strcmp(what, "check") == 0, plays = check || strcmp(what, "run") == 0;
	if (!plays && (c.ledger || w.scale != 0 || seeded))
		cli_misuse(&c, "-C, --scale and --seed go with run and check");
	if (w.scale == 0)
		w.scale = check ? 0.05 : 1;
	if (strcmp(what, "list") == 0) {
		cli_no_more(&c, optind);
		list(&c);
	} else if (strcmp(what, "show") == 0) {
		if (optind == argc)
			cli_misuse(&c, "show: the name of a scenario is expected");
		show(&c, argv[optind]);
		cli_no_more(&c, optind + 1);
	} else if (plays) {
		int status = play_all(&c, &w, argv + optind, argc - optind, check);
		c.quiet = false;
		cli_finish(&c, status);
	} else {
		cli_misuse(&c, "list, show, run or check is expected, not '%.40s'", what);
	}
	c.quiet = false; /* -q chose what is printed */
	cli_finish(&c, EXIT_DONE);
}
