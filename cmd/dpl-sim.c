/* dpl-sim - play scenarios with real processes, and see what dpl does when things go wrong */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "fsx.h"
#include "num.h"
#include "play.h"
#include "render.h"
#include "scenarios.h"
#include "stage.h"
#include "text.h"

static const char usage[] =
	"usage: dpl-sim list [-j]\n"
	"       dpl-sim show name\n"
	"       dpl-sim run [-jqv] [-C ledger] [--color when] [--scale factor] name|file ...\n"
	"       dpl-sim check [-jqv] [-C ledger] [--scale factor] [name|file ...]\n"
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
	"  -h, --help           print this\n"
	"  -V, --version        print the version\n"
	"\n"
	"Examples:\n"
	"  dpl-sim list\n"
	"  dpl-sim run --scale 0.1 bridge_crash_during_copilot\n"
	"  dpl-sim check\n";

enum { COLOUR = CLI_OWN, SCALE, PLAY, WORK, EXTERNAL, SCENARIOS = sizeof scenarios / sizeof *scenarios };

static bool colours;

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
};

static void
tell(void *arg, int64_t at_ms, int who, int depth, enum stage_told kind, const char *text)
{
	const struct teller *t = arg;
	static const enum colour of_people[] = {CYAN, GREEN, YELLOW, BOLD};
	struct cli *c = t->c;
	struct buf shown = {0};
	if (c->json || c->quiet || (kind == TOLD_BEAT && !c->verbose))
		return;
	text_show(&shown, text, strlen(text));
	buf_fmt(&c->out, "%3lld.%03lld  %*s", (long long)(at_ms / 1000), (long long)(at_ms % 1000), 2 * depth, "");
	if (who >= 0) {
		render_text(&c->out, colours ? of_people[who % 4] : PLAIN, t->s->participants[who]);
		buf_str(&c->out, "  ");
	}
	bool grave = kind == TOLD_FAILURE;
	render_text(&c->out, !colours ? PLAIN : grave ? RED : kind == TOLD_ENTRY ? PLAIN : DIM, shown.p ? shown.p : "");
	buf_char(&c->out, '\n');
	buf_free(&shown);
	cli_flush(c);
}

static void
stop(int sig)
{
	(void)sig;
	stage_stop();
}

/* --- a scenario --- */

/* Its text: one of ours, or a file. */
static int
find(const char *name, struct buf *text, struct why *why)
{
	for (int i = 0; i < SCENARIOS; i++)
		if (strcmp(scenarios[i].name, name) == 0) {
			buf_str(text, scenarios[i].text);
			return 0;
		}
	if (!strchr(name, '/') && !strchr(name, '.')) {
		why_set(why, ERR_NO_FILE, "there is no scenario '%.100s'", name);
		why_hint(why, "dpl-sim list; a file of one's own has a / or . in its name");
		return -1;
	}
	return fsx_read_file(AT_FDCWD, name, text, SCENARIO_SIZE_MAX + 1) < 0 ? why_errno(why, "%s", name) : 0;
}

static bool
judge(struct cli *c, const struct scenario *s, const struct happened *h, double scale)
{
	int wrong = 0;
	char text[SCENARIO_TEXT];
	for (int i = 0; i < s->expectations_n; i++)
		if (!happened_as_expected(h, s, scale, i, text)) {
			wrong++;
			buf_fmt(&c->out, "%s:%d: %s\n", s->name, s->expectations[i].line, text);
		}
	if (h->timed_out)
		wrong++, buf_fmt(&c->out, "%s: not over within its limit\n", s->name);
	if (h->processes_left)
		wrong++, buf_fmt(&c->out, "%s: processes were left\n", s->name);
	buf_fmt(&c->out, "[%s] %s (%lld ms)\n", wrong ? "FAIL" : "PASS", s->name, (long long)h->took_ms);
	cli_flush(c);
	return !wrong;
}

static bool
run(struct cli *c, const char *name, double scale, uint64_t seed)
{
	struct scenario s;
	struct happened h;
	struct why why;
	struct buf text = {0};
	if (find(name, &text, &why) < 0 || scenario_read(&s, name, text.p ? text.p : "", text.n, seed, &why) < 0)
		cli_die(c, &why);
	struct teller teller = {c, &s};
	struct stage stage = {.s = &s, .text = text.p, .n = text.n, .ledger = c->ledger, .scale = scale, .seed = seed, .tell = tell, .arg = &teller};
	int rc = stage_play(&stage, &h, &why);
	bool fine = rc == 0 && judge(c, &s, &h, scale);
	happened_end(&h);
	scenario_free(&s);
	buf_free(&text);
	if (rc < 0)
		cli_die(c, &why);
	return fine;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {CLI_LEDGER, CLI_OUTPUT, CLI_HELP, {"color", required_argument, NULL, COLOUR}, {"scale", required_argument, NULL, SCALE},
		{"play", required_argument, NULL, PLAY}, {"work", required_argument, NULL, WORK}, {"external", required_argument, NULL, EXTERNAL}, {0}};
	struct cli c;
	double scale = 0;
	const char *when = NULL;
	cli_begin(&c, argc, argv, usage);
	for (int o; (o = cli_getopt(&c, ":C:hjqvV", options)) != -1;)
		switch (o) {
		case COLOUR: when = optarg; break;
		case SCALE: {
			char *end;
			scale = strtod(optarg, &end);
			if (*end || !(scale >= 0.001 && scale <= 1000))
				cli_misuse(&c, "--scale: '%.40s' is not a number from 0.001 to 1000", optarg);
			break;
		}
		case PLAY:
		case WORK:
		case EXTERNAL: play(&c, o, optarg);
		}
	colours = render_colour(when) > 0;
	if (optind == argc)
		cli_misuse(&c, "list, show, run or check is expected");
	const char *what = argv[optind++];
	struct sigaction handler = {.sa_handler = stop};
	sigaction(SIGINT, &handler, NULL);
	sigaction(SIGTERM, &handler, NULL);
	if (strcmp(what, "list") == 0) {
		for (int i = 0; i < SCENARIOS; i++)
			buf_fmt(&c.out, "%s\n", scenarios[i].name);
		cli_finish(&c, EXIT_DONE);
	}
	if (strcmp(what, "run") == 0) {
		bool fine = true;
		for (; optind < argc; optind++)
			fine = run(&c, argv[optind], scale > 0 ? scale : 1, 1) && fine;
		cli_finish(&c, fine ? EXIT_DONE : EXIT_NO);
	}
	cli_misuse(&c, "list, show, run or check is expected, not '%.40s'", what);
}
