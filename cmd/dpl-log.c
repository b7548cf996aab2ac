/* dpl-log - write to and read the log of an operation */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "clock.h"
#include "entry.h"
#include "num.h"
#include "render.h"
#include "text.h"

static const char usage[] =
	"usage: dpl-log [-jqv] [-C ledger] [-l level] [-o operation] [-p participant]\n"
	"               [-t timeout] [--key key] message ...\n"
	"       dpl-log [-fjqv] [-C ledger] [-l level] [-o operation] [-t timeout]\n"
	"               [--by participant] [--since time] [--tail number] [--until time]\n"
	"\n"
	"Write the words as one entry of the log; the single word - writes each line of stdin.\n"
	"Without words, read the log.\n"
	"\n"
	"  -C, --ledger=LEDGER        the ledger (DPL_LEDGER, else _ai/operation_ledger)\n"
	"  -f, --follow               go on until the operation ends, or -t is over (exit 124)\n"
	"  -j, --json                 print JSON; reading, one entry a line\n"
	"  -l, --level=LEVEL          debug, info, warning or error: of the entry (info), or the\n"
	"                             least that is read (debug)\n"
	"  -o, --operation=OPERATION  id, a unique part of it, @ or @@ (DPL_OPERATION)\n"
	"  -p, --participant=NAME     who I am (DPL_PARTICIPANT, else the user)\n"
	"  -q, --quiet                reading, print the messages alone\n"
	"  -t, --timeout=DURATION     the longest wait (DPL_TIMEOUT, else 10s for a lock)\n"
	"  -v, --verbose              say on stderr what was written where\n"
	"      --by=PARTICIPANT       only entries of this one\n"
	"      --key=KEY              the same key is carried out once\n"
	"      --since=TIME           RFC 3339, or a duration: that long ago\n"
	"      --tail=NUMBER          only the last so many\n"
	"      --until=TIME           likewise\n"
	"  -h, --help                 print this\n"
	"  -V, --version              print the version\n"
	"\n"
	"Examples:\n"
	"  dpl-log -l warning 'disk is 91 % full'\n"
	"  make 2>&1 | dpl-log -\n"
	"  dpl-log --since 10m -l error\n";

enum { BY = CLI_OWN, SINCE, TAIL, UNTIL };

static const struct option options[] = {
	CLI_LEDGER, CLI_OPERATION, CLI_PARTICIPANT, CLI_TIMEOUT, CLI_OUTPUT, CLI_HELP, CLI_KEY_OPTION,
	{"follow", no_argument, NULL, 'f'},
	{"level", required_argument, NULL, 'l'},
	{"by", required_argument, NULL, BY},
	{"since", required_argument, NULL, SINCE},
	{"tail", required_argument, NULL, TAIL},
	{"until", required_argument, NULL, UNTIL},
	{0},
};

struct options {
	const char *level, *by;
	int64_t since_ms, until_ms, tail;
	bool follow;
};

/* --- writing --- */

static void
write_entry(struct cli *c, const char *level, const char *message, size_t n)
{
	struct buf text = {0};
	text_repair(&text, message, n);
	if (text.n > ENTRY_MAX)
		cli_misuse(c, "the message is longer than %d bytes", ENTRY_MAX);
	if (*c->id)
		json_put(&c->body, "operationId", c->id); /* resolved for the line before */
	else
		cli_put_operation(c, true);
	cli_put_participant(c);
	json_put(&c->body, "level", level ? level : "info");
	const char *call = cli_inherited(c, "DPL_CALL");
	if (call && id_bad_call(call))
		cli_misuse(c, "DPL_CALL: call '%.80s' %s", call, id_bad_call(call));
	if (call)
		json_put(&c->body, "callId", call);
	json_put_n(&c->body, "message", text.n ? text.p : "", text.n);
	buf_free(&text);
	cli_request(c, "/operation/log");
}

static void
write_words(struct cli *c, const char *level)
{
	struct buf message = {0};
	for (int i = optind; i < c->argc; i++)
		buf_fmt(&message, "%s%s", i > optind ? " " : "", c->argv[i]);
	write_entry(c, level, message.p, message.n);
	buf_free(&message);
	if (c->json)
		cli_out_json(c);
}

static void
write_lines(struct cli *c, const char *level)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t n;
	if (c->key)
		cli_misuse(c, "--key goes with one entry, not with -");
	while ((errno = 0, n = getline(&line, &size, stdin)) > 0) {
		if (line[n - 1] == '\n')
			n--;
		write_entry(c, level, line, (size_t)n);
		if (c->json) {
			cli_out_json(c);
			cli_flush(c);
		}
		cli_again(c);
	}
	free(line);
	if (ferror(stdin)) {
		struct why why;
		why_errno(&why, "read standard input");
		cli_die(c, &why);
	}
}

/* --- reading --- */

static enum colour
level_colour(const char *level)
{
	return strcmp(level, "error") == 0 ? RED : strcmp(level, "warning") == 0 ? YELLOW : strcmp(level, "debug") == 0 ? DIM : PLAIN;
}

static void
put_shown(struct cli *c, int k, const char *member, struct buf *b)
{
	cli_answer(c, k, member, b);
	text_show(&c->out, b->n ? b->p : "", b->n);
}

static void
show_entries(struct cli *c, int colour)
{
	int entries = json_get(&c->answer, 0, "entries");
	struct buf b = {0};
	for (int k = json_first(&c->answer, entries); k >= 0; k = json_next(&c->answer, entries, k)) {
		if (c->json) {
			size_t n;
			const char *raw = json_raw(&c->answer, k, &n);
			buf_add(&c->out, raw, n);
		} else {
			if (!c->quiet) {
				put_shown(c, k, "at", &b);
				const char *level = cli_answer(c, k, "level", &b);
				buf_char(&c->out, ' ');
				render_text(&c->out, colour ? level_colour(level) : PLAIN, level);
				buf_fmt(&c->out, "%*s", (int)(strlen(level) < 7 ? 8 - strlen(level) : 1), "");
				put_shown(c, k, "by", &b);
				buf_str(&c->out, ": ");
			}
			put_shown(c, k, "message", &b);
		}
		buf_char(&c->out, '\n');
	}
	buf_free(&b);
	cli_flush(c);
}

static void
put_filter(struct cli *c, const struct options *o)
{
	json_put(&c->body, "operationId", c->id);
	json_put_bool(&c->body, "logOnly", true);
	if (o->level)
		json_put(&c->body, "level", o->level);
	if (o->by)
		json_put(&c->body, "by", o->by);
	if (o->since_ms >= 0)
		json_put_time(&c->body, "since", o->since_ms);
	if (o->until_ms >= 0)
		json_put_time(&c->body, "until", o->until_ms);
}

static int
read_log(struct cli *c, const struct options *o)
{
	int colour = render_colour(NULL);
	int64_t end = clock_mono_ms() + c->wait_ms, from = 1, pos = 0;
	bool more = false, ended = false, first = true;
	cli_put_operation(c, false);
	cli_again(c);
	do {
		cli_again(c);
		put_filter(c, o);
		json_put_int(&c->body, "from", from);
		json_put_int(&c->body, "pos", pos);
		if (first && o->tail >= 0)
			json_put_int(&c->body, "tail", o->tail);
		if (!first && !more) {
			int64_t left = c->timed ? end - clock_mono_ms() : 60000;
			if (left <= 0)
				return EXIT_TIMED_OUT;
			json_put_int(&c->body, "waitMs", left < 60000 ? left : 60000);
		}
		cli_request(c, "/operation/events");
		show_entries(c, colour);
		from = cli_answer_int(c, 0, "next");
		pos = cli_answer_int(c, 0, "pos");
		more = cli_answer_true(c, "more");
		ended = cli_answer_true(c, "ended");
		first = false;
	} while (more || (o->follow && !ended));
	return EXIT_DONE;
}

static int64_t
moment(struct cli *c, const char *what, const char *text)
{
	int64_t ms;
	if (clock_parse(text, strlen(text), &ms) == 0)
		return ms;
	if (num_duration(text, &ms) == 0)
		return clock_wall_ms() - ms;
	cli_misuse(c, "%s: '%.100s' is neither an RFC 3339 time nor a duration", what, text);
}

static const char *
level_name(struct cli *c, const char *text)
{
	static const char *const levels[] = {"debug", "info", "warning", "error"};
	for (int i = 0; i < 4; i++)
		if (strcmp(text, levels[i]) == 0)
			return text;
	cli_misuse(c, "-l: '%.40s' is not one of debug, info, warning, error", text);
}

int
main(int argc, char **argv)
{
	struct options o = {.since_ms = -1, .until_ms = -1, .tail = -1};
	struct cli c;
	int status = EXIT_DONE;
	cli_begin(&c, argc, argv, usage);
	for (int letter; (letter = cli_getopt(&c, ":C:fhjl:o:p:qt:vV", options)) != -1;)
		switch (letter) {
		case 'f': o.follow = true; break;
		case 'l': o.level = level_name(&c, optarg); break;
		case BY:
			if (id_bad_participant(optarg))
				cli_misuse(&c, "--by: participant '%.80s' %s", optarg, id_bad_participant(optarg));
			o.by = optarg;
			break;
		case SINCE: o.since_ms = moment(&c, "--since", optarg); break;
		case TAIL: o.tail = cli_number(&c, "--tail", optarg, 0, 100000); break;
		case UNTIL: o.until_ms = moment(&c, "--until", optarg); break;
		}
	bool reads = o.follow || o.by || o.since_ms >= 0 || o.until_ms >= 0 || o.tail >= 0;
	if (optind == argc) {
		if (c.key || c.participant)
			cli_misuse(&c, "%s goes with writing: a message is missing", c.key ? "--key" : "-p");
		status = read_log(&c, &o);
		c.quiet = false;
	} else if (reads) {
		cli_misuse(&c, "-f, --by, --since, --tail and --until go with reading, without a message");
	} else if (optind + 1 == argc && strcmp(argv[optind], "-") == 0) {
		write_lines(&c, o.level);
	} else {
		write_words(&c, o.level);
	}
	cli_finish(&c, status);
}
