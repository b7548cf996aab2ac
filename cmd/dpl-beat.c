/* dpl-beat - beat once, again and again, or as a keeper */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "beat.h"
#include "cli.h"
#include "clock.h"
#include "keeper.h"
#include "look.h"
#include "num.h"
#include "render.h"
#include "text.h"

static const char usage[] =
	"usage: dpl-beat [-jqv] [-C ledger] [-m text] [-o operation] [-p participant]\n"
	"                [-t timeout] [--call call] [--progress done/total]\n"
	"       dpl-beat --every duration [-jqv] [-C ledger] [-o operation] [-p participant]\n"
	"                [-t timeout] [--jitter duration] [--on-error command]\n"
	"                [--on-success command]\n"
	"       dpl-beat --keep --pid pid [-jqv] [-C ledger] [-o operation] [-p participant]\n"
	"                [--every duration] [--grace duration] [--jitter duration]\n"
	"                [--on-cleanup command] [--on-error command] [--on-failure command]\n"
	"                [--on-success command] [--session number]\n"
	"\n"
	"Say that the participant is alive, and print the state: once, again and again with\n"
	"--every, or in the background as the keeper of a process with --keep.\n"
	"\n"
	"  -C, --ledger=LEDGER        the ledger (DPL_LEDGER, else _ai/operation_ledger)\n"
	"  -j, --json                 print one JSON object; with --every one a beat\n"
	"  -m, --message=TEXT         record a progress that says this\n"
	"  -o, --operation=OPERATION  id, a unique part of it, @ or @@ (DPL_OPERATION)\n"
	"  -p, --participant=NAME     who I am (DPL_PARTICIPANT, else the user)\n"
	"  -q, --quiet                print nothing\n"
	"  -t, --timeout=DURATION     the longest wait for a lock (DPL_TIMEOUT, else 10s)\n"
	"  -v, --verbose              print all that was found; with --every at each beat\n"
	"      --call=CALL            the call that the progress is of (DPL_CALL)\n"
	"      --every=DURATION       beat so often, until the operation ends\n"
	"      --grace=DURATION       from SIGTERM to SIGKILL when an abort stops the process (5s)\n"
	"      --jitter=DURATION      add up to so much to each interval at random\n"
	"      --keep                 stay in the background and beat while --pid lives; print the\n"
	"                             keeper's pid\n"
	"      --on-cleanup=COMMAND   with --keep: run this in sh when the process was stopped or has\n"
	"                             died, or somebody else has\n"
	"      --on-error=COMMAND     run this in sh after a beat that found something wrong\n"
	"      --on-failure=COMMAND   with --keep: run this in sh when the operation fails\n"
	"      --on-success=COMMAND   run this in sh after each other beat\n"
	"      --pid=PID              the process to keep\n"
	"      --progress=DONE/TOTAL  record how far it is; DONE alone where TOTAL is unknown\n"
	"      --session=NUMBER       the session to keep (DPL_SESSION, else my newest)\n"
	"  -h, --help                 print this\n"
	"  -V, --version              print the version\n"
	"\n"
	"Examples:\n"
	"  dpl-beat --progress 40/100 -m 'read 40 files' || exit\n"
	"  dpl-beat --keep --pid $$\n";

enum { CALL = CLI_OWN, EVERY, GRACE, JITTER, KEEP, ON_CLEANUP, ON_ERROR, ON_FAILURE, ON_SUCCESS, PID, PROGRESS, SESSION };

static const struct option options[] = {
	CLI_LEDGER, CLI_OPERATION, CLI_PARTICIPANT, CLI_TIMEOUT, CLI_OUTPUT, CLI_HELP,
	{"message", required_argument, NULL, 'm'},
	{"call", required_argument, NULL, CALL},
	{"every", required_argument, NULL, EVERY},
	{"grace", required_argument, NULL, GRACE},
	{"jitter", required_argument, NULL, JITTER},
	{"keep", no_argument, NULL, KEEP},
	{"on-error", required_argument, NULL, ON_ERROR},
	{"on-cleanup", required_argument, NULL, ON_CLEANUP},
	{"on-failure", required_argument, NULL, ON_FAILURE},
	{"on-success", required_argument, NULL, ON_SUCCESS},
	{"pid", required_argument, NULL, PID},
	{"progress", required_argument, NULL, PROGRESS},
	{"session", required_argument, NULL, SESSION},
	{0},
};

struct wanted {
	const char *message, *call, *progress, *session;
	const char *grace, *jitter; /* only whether they were given matters here */
	bool keep, every, pid;
	struct keeper k;
};

/* --- what a beat prints --- */

/* The state in a few words: "running, aborted: wrong branch". */
static void
put_state(struct cli *c, struct buf *out)
{
	struct buf text = {0};
	buf_str(out, cli_answer(c, 0, "state", &text));
	if (cli_answer_true(c, "aborted")) {
		buf_str(out, ", aborted");
		if (*cli_answer(c, 0, "abortReason", &text)) {
			buf_str(out, ": ");
			text_show(out, text.p, text.n);
		}
	}
	if (cli_answer_true(c, "crashed")) {
		cli_answer(c, 0, "crashedParticipantId", &text);
		buf_str(out, ", ");
		text_show(out, text.p ? text.p : "", text.n);
		buf_str(out, *cli_answer(c, 0, "crashedCallId", &text) ? "'s call died: " : " died: ");
		cli_answer(c, 0, "crashEvidence", &text);
		text_show(out, text.p ? text.p : "", text.n);
	}
	buf_char(out, '\n');
	buf_free(&text);
}

static void
put_count(struct cli *c, const char *name, int object)
{
	struct buf text = {0};
	if (object < 0)
		return;
	int64_t people = cli_answer_int(c, object, "participantCount"), calls = cli_answer_int(c, object, "callFrameCount");
	buf_fmt(&c->out, "%-8s %s%s, %lld participant%s, %lld call%s, entry %lld\n", name, cli_answer(c, object, "state", &text),
		json_get(&c->answer, object, "aborted") >= 0 && *json_raw(&c->answer, json_get(&c->answer, object, "aborted"), &(size_t){0}) == 't' ? ", aborted" : "",
		(long long)people, people == 1 ? "" : "s", (long long)calls, calls == 1 ? "" : "s", (long long)cli_answer_int(c, object, "seq"));
	buf_free(&text);
}

static enum colour
life_colour(const char *life)
{
	if (strcmp(life, "alive") == 0)
		return GREEN;
	return strcmp(life, "dead") == 0 || strcmp(life, "stale") == 0 ? RED : strcmp(life, "left") == 0 ? DIM : YELLOW;
}

/* The whole result, for people. */
static void
put_whole(struct cli *c)
{
	struct render_table t = {.columns = 5};
	struct buf text = {0}, age = {0};
	int people = json_get(&c->answer, 0, "people");
	int before = json_get(&c->answer, 0, "before");
	put_count(c, "before", json_is_object(&c->answer, before) ? before : -1);
	put_count(c, "now", json_get(&c->answer, 0, "after"));
	for (int k = json_first(&c->answer, people); k >= 0; k = json_next(&c->answer, people, k)) {
		render_cell(&t, BOLD, cli_answer(c, k, "participantId", &text));
		const char *life = cli_answer(c, k, "liveness", &text);
		render_cell(&t, life_colour(life), life);
		render_cell(&t, PLAIN, cli_answer(c, k, "mode", &text));
		int64_t ms = cli_answer_int(c, k, "beatAgeMs");
		buf_clear(&age);
		if (ms >= 0) {
			render_duration(&age, ms);
			buf_str(&age, " ago");
		}
		render_cell(&t, PLAIN, age.n ? age.p : "");
		render_cell(&t, DIM, cli_answer(c, k, "evidence", &text));
	}
	render_table(&c->out, &t, 2, render_colour(NULL) > 0);
	buf_free(&text);
	buf_free(&age);
}

static int
status_of(const struct cli *c)
{
	struct buf state = {0};
	bool failed = strcmp(cli_answer(c, 0, "state", &state), "failed") == 0;
	buf_free(&state);
	if (failed || cli_answer_true(c, "crashed"))
		return EXIT_FAILED;
	return cli_answer_true(c, "aborted") ? EXIT_ABORTED : EXIT_DONE;
}

/* --- once --- */

/* Whether that call must beat by itself, as what is below it finds in its environment.  A supervisor by a server sees that at once. */
static bool
beats_for_watchdog(struct cli *c, const char *call)
{
	const char *watchdog = getenv("DPL_WATCHDOG"), *own = cli_inherited(c, "DPL_CALL");
	if (!watchdog || !*watchdog)
		return false;
	/* Its pid and descriptor may be another's by now. */
	char file[40] = "";
	static const char dog[] = "/memfd:dpl-watchdog";
	if (strncmp(watchdog, "/proc/", 6) == 0 && own && strcmp(own, call) == 0 && readlink(watchdog, file, sizeof file - 1) > 0 &&
	    strncmp(file, dog, sizeof dog - 1) == 0)
		(void)beat_touch_watchdog(watchdog);
	return true;
}

static void
put_progress(struct cli *c, const struct wanted *w)
{
	const char *call = w->call ? w->call : cli_inherited(c, "DPL_CALL");
	if (w->progress) {
		size_t n = strcspn(w->progress, "/");
		int64_t done, total = -1;
		if (num_int(w->progress, n, 0, JSON_INT_MAX, &done) < 0 ||
		    (w->progress[n] && num_int(w->progress + n + 1, strlen(w->progress + n + 1), 1, JSON_INT_MAX, &total) < 0))
			cli_misuse(c, "--progress: '%.60s' is neither DONE nor DONE/TOTAL", w->progress);
		if (total >= 0 && done > total)
			cli_misuse(c, "--progress: '%.60s' is more than all", w->progress);
		json_put_int(&c->body, "done", done);
		if (total >= 0)
			json_put_int(&c->body, "total", total);
	}
	if (w->message)
		json_put(&c->body, "message", w->message);
	if (call && id_bad_call(call))
		cli_misuse(c, "%s: call '%.80s' %s", w->call ? "--call" : "DPL_CALL", call, id_bad_call(call));
	bool dog = call && beats_for_watchdog(c, call);
	if (call && (dog || w->progress || w->message))
		json_put(&c->body, "callId", call);
	if (dog)
		json_put_bool(&c->body, "watchdog", true);
}

/* What dead supervisors left running is ended by who looks: SIGTERM first, then SIGKILL.  The answer stays that of the beat. */
static void
see_them_end(struct cli *c)
{
	int64_t end = clock_mono_ms() + LOOK_GRACE_MS + 1000;
	bool more = true;
	while (more && clock_mono_ms() < end) {
		struct buf body = {0}, reply = {0};
		struct json j;
		struct why ignored;
		int64_t n = 0;
		usleep(50000);
		json_open(&body, NULL, '{');
		json_put(&body, "operationId", c->id);
		json_put(&body, "participantId", cli_participant(c));
		json_close(&body, '}');
		if (client_call_text(&c->client, "/operation/look", &body, NULL, &reply) == 200 && json_parse(&j, reply.p, reply.n, &ignored) == 0) {
			(void)json_integer(&j, json_get(&j, 0, "endingProcesses"), 0, JSON_INT_MAX, &n);
			json_free(&j);
		}
		more = n > 0;
		buf_free(&body);
		buf_free(&reply);
	}
}

static _Noreturn void
once(struct cli *c, const struct wanted *w)
{
	bool whole = c->verbose || c->json;
	cli_put_operation(c, false);
	cli_put_participant(c);
	put_progress(c, w);
	if (whole)
		json_put_bool(&c->body, "whole", true);
	cli_request(c, "/operation/heartbeat");
	if (cli_answer_int(c, 0, "endingProcesses") > 0)
		see_them_end(c);
	int status = status_of(c);
	if (c->json) {
		cli_out_json(c);
	} else if (!c->quiet) {
		put_state(c, &c->out);
		if (c->verbose)
			put_whole(c);
	}
	c->verbose = false;
	cli_finish(c, status);
}

/* --- again and again --- */

struct printer {
	struct cli *c;
	struct buf last;         /* the line printed last */
};

static void
print_beat(void *arg, const struct vigil *v)
{
	struct printer *p = arg;
	struct cli *c = p->c;
	struct buf line = {0};
	struct why ignored;
	json_free(&c->answer);
	if (v->error != ERR_NONE || v->end != VIGIL_GOES_ON) {
		const char *last = v->end == VIGIL_COMPLETED ? "completed" : v->end == VIGIL_FAILED ? "failed" : v->reason;
		text_show(&line, last, strlen(last));
		buf_char(&line, '\n');
	} else if (json_parse(&c->answer, v->reply.p, v->reply.n, &ignored) == 0) {
		put_state(c, &line);
	}
	bool changed = line.n != p->last.n || (line.n && memcmp(line.p, p->last.p, line.n) != 0);
	if (c->json) {
		/* cli_out_json adds c->reply: what the beat was answered */
		struct buf mine = c->reply;
		c->reply = v->reply;
		if (v->error == ERR_NONE && v->end == VIGIL_GOES_ON)
			cli_out_json(c);
		c->reply = mine;
	} else if (!c->quiet && (changed || c->verbose)) {
		buf_add(&c->out, line.p ? line.p : "", line.n);
		if (c->verbose && v->error == ERR_NONE && v->end == VIGIL_GOES_ON)
			put_whole(c);
	}
	cli_flush(c);
	buf_free(&p->last);
	p->last = line;
}

static _Noreturn void
die_of(int sig)
{
	sigset_t all;
	signal(sig, SIG_DFL);
	sigfillset(&all);
	raise(sig);
	sigprocmask(SIG_UNBLOCK, &all, NULL);
	_exit(128 + sig);
}

/* Kept apart, as keep is: what they need would take a page of every beat's stack. */
static __attribute__((noinline)) _Noreturn void
again(struct cli *c, struct keeper *k)
{
	static const int statuses[] = {[KEEPER_COMPLETED] = EXIT_DONE, [KEEPER_FAILED] = EXIT_FAILED, [KEEPER_GONE] = EXIT_NONE_SUCH,
		[KEEPER_ABORTED] = EXIT_ABORTED, [KEEPER_CRASHED] = EXIT_FAILED, [KEEPER_LEFT] = EXIT_NONE_SUCH, [KEEPER_DEAD] = EXIT_FAILED};
	struct printer p = {.c = c};
	enum keeper_end end = KEEPER_GONE;
	struct why why;
	int sig = 0;
	k->beaten = print_beat;
	k->arg = &p;
	if (keeper_run(k, -1, &end, &sig, &why) < 0)
		cli_die(c, &why);
	if (end == KEEPER_SIGNALLED)
		die_of(sig);
	c->verbose = false;
	c->quiet = false;
	cli_finish(c, statuses[end]);
}

/* --- in the background --- */

/* Nothing that the caller has open stays open: somebody may wait for its end. */
static void
close_from(int first)
{
#ifdef SYS_close_range
	if (syscall(SYS_close_range, (unsigned)first, ~0u, 0) == 0)
		return;
#endif
	for (int fd = first; fd < 65536; fd++)
		close(fd);
}

/* In the keeper: what went wrong before it was ready is the parent's to say. */
struct failure {
	char began;              /* 0: it beats; 1: `why` says what is wrong */
	struct why why;
};

static _Noreturn void
keep_in_background(struct cli *c, struct keeper *k, int ready)
{
	enum keeper_end end;
	struct failure f = {.began = 1};
	int sig;
	setsid();
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; fd <= 2 && null >= 0; fd++)
		dup2(null, fd);
	/* It speaks to nobody any more. */
	c->quiet = true;
	if (keeper_run(k, ready, &end, &sig, &f.why) < 0)
		(void)!write(ready, &f, sizeof f);
	cli_end_client(c);
	_exit(0);
}

static __attribute__((noinline)) _Noreturn void
keep(struct cli *c, struct keeper *k)
{
	struct why why;
	struct failure f = {.began = 1};
	int ready[2];
	if (keeper_find(k, &why) < 0)
		cli_die(c, &why);
	if (pipe2(ready, O_CLOEXEC) < 0) {
		why_errno(&why, "make a pipe");
		cli_die(c, &why);
	}
	pid_t pid = fork();
	if (pid < 0) {
		why_errno(&why, "start a process");
		cli_die(c, &why);
	}
	if (pid == 0) {
		close(ready[0]);
		keep_in_background(c, k, ready[1]);
	}
	close(ready[1]);
	ssize_t n;
	while ((n = read(ready[0], &f, sizeof f)) < 0 && errno == EINTR)
		;
	if (n <= 0 || f.began) {
		if (n != sizeof f)
			why_set(&f.why, ERR_IO, "the keeper died before it was ready");
		cli_die(c, &f.why);
	}
	if (c->json) {
		json_open(&c->out, NULL, '{');
		json_put_bool(&c->out, "ok", true);
		json_put_int(&c->out, "keeperPid", pid);
		json_put(&c->out, "operationId", k->operation);
		json_put(&c->out, "participantId", k->participant);
		json_close(&c->out, '}');
		buf_char(&c->out, '\n');
	} else {
		buf_fmt(&c->out, "%d\n", (int)pid);
	}
	c->verbose = false;
	cli_finish(c, EXIT_DONE);
}

static void
check(struct cli *c, const struct wanted *w)
{
	const struct keeper *k = &w->k;
	if (w->keep && !w->pid)
		cli_misuse(c, "--keep: which process? say so with --pid");
	if (w->pid && !w->keep)
		cli_misuse(c, "--pid goes with --keep");
	if (w->grace && !w->keep)
		cli_misuse(c, "--grace goes with --keep");
	if ((k->duties.on_cleanup || k->duties.on_failure) && !w->keep)
		cli_misuse(c, "--on-cleanup and --on-failure go with --keep");
	if (w->session && !w->keep)
		cli_misuse(c, "--session goes with --keep");
	if (!w->keep && !w->every && (w->jitter || k->on_error || k->on_success))
		cli_misuse(c, "--jitter, --on-error and --on-success go with --every or --keep");
	if ((w->keep || w->every) && (w->message || w->progress || w->call))
		cli_misuse(c, "--progress, --call and -m go with one beat");
	if (w->call && !w->message && !w->progress)
		cli_misuse(c, "--call goes with --progress or -m");
	if (w->every && k->every_ms < 10)
		cli_misuse(c, "--every: an interval is at least 10ms");
}

int
main(int argc, char **argv)
{
	struct wanted w = {.k = {.pidfd = -1, .grace_ms = 5000, .jitter_ms = -1}};
	struct keeper *k = &w.k;
	struct cli c;
	cli_begin(&c, argc, argv, usage);
	for (int o; (o = cli_getopt(&c, ":C:hjm:o:p:qt:vV", options)) != -1;)
		switch (o) {
		case 'm': w.message = cli_text(&c, "-m", optarg); break;
		case CALL: w.call = optarg; break;
		case EVERY:
			w.every = true;
			k->every_ms = cli_duration(&c, "--every", optarg);
			break;
		case GRACE: k->grace_ms = cli_duration(&c, "--grace", w.grace = optarg); break;
		case JITTER: k->jitter_ms = cli_duration(&c, "--jitter", w.jitter = optarg); break;
		case KEEP: w.keep = true; break;
		case ON_ERROR: k->on_error = cli_text(&c, "--on-error", optarg); break;
		case ON_CLEANUP: k->duties.on_cleanup = cli_text(&c, "--on-cleanup", optarg); break;
		case ON_FAILURE: k->duties.on_failure = cli_text(&c, "--on-failure", optarg); break;
		case ON_SUCCESS: k->on_success = cli_text(&c, "--on-success", optarg); break;
		case PID:
			w.pid = true;
			k->pid = cli_number(&c, "--pid", optarg, 1, INT32_MAX);
			break;
		case PROGRESS: w.progress = optarg; break;
		case SESSION: w.session = optarg; break;
		}
	cli_no_more(&c, optind);
	check(&c, &w);
	if (!w.keep && !w.every)
		once(&c, &w);
	if (w.keep)
		close_from(3);
	cli_put_operation(&c, true);
	cli_again(&c);
	cli_open(&c);
	k->client = &c.client;
	k->operation = c.id;
	k->participant = cli_participant(&c);
	k->umask = k->duties.umask = c.umask;
	k->verbose = c.verbose ? &c.notice : NULL;
	if (w.keep) {
		if (!w.session)
			w.session = cli_inherited(&c, "DPL_SESSION");
		if (w.session)
			k->session = cli_number(&c, "the session", w.session, 1, JSON_INT_MAX);
		keep(&c, k);
	}
	again(&c, k);
}
