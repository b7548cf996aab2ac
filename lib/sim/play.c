/* play: the processes of a scenario. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "deed.h"
#include "fsx.h"
#include "json.h"
#include "num.h"
#include "play.h"

enum { STATUS_ABORTED = 122, STATUS_CRASHED = 123, STATUS_TIMED_OUT = 124, STATUS_INTERRUPTED = 130, WAIT_FOR_END_MS = 5000, STAY_MS = 5000, STAY_STEP_MS = 5 };

int64_t
play_ms(double scale, int64_t ms)
{
	int64_t scaled = (int64_t)((double)ms * scale + 0.5);
	return ms > 0 && scaled < 1 ? 1 : scaled;
}

int64_t
play_setting_ms(const struct scenario *s, double scale, enum scenario_setting setting, bool served)
{
	static const int64_t least[SCENARIO_SETTINGS] = {[SETTING_BEAT] = 50, [SETTING_STALE] = 1000, [SETTING_WINDOW] = 4000, [SETTING_GRACE] = 200, [SETTING_LIMIT] = 60000};
	enum { SERVED_STALE = 3000 };
	int64_t ms = play_ms(scale, s->setting[setting]), floor = setting == SETTING_STALE && served ? SERVED_STALE : least[setting];
	return ms > floor ? ms : floor;
}

bool
play_is_served(const char *ledger)
{
	return ledger && strstr(ledger, ":/");
}

int
play_begin(struct play *p, struct why *why)
{
	const char *folder = getenv(PLAY_FOLDER), *name = getenv(PLAY_NAME), *scale = getenv(PLAY_SCALE), *seed = getenv(PLAY_SEED);
	struct buf path = {0}, text = {0};
	struct stat st;
	*p = (struct play){.scale = scale ? strtod(scale, NULL) : 1};
	buf_fmt(&p->folder, "%s", folder ? folder : "");
	buf_fmt(&p->notes, "%s/notes", p->folder.p ? p->folder.p : "");
	if (!folder || !name || p->scale <= 0 || p->notes.failed || stat(p->notes.p, &st) < 0 || !S_ISFIFO(st.st_mode))
		return why_set(why, ERR_USAGE, "this is for the processes of a play alone");
	buf_fmt(&path, "%s/scenario", folder);
	int rc = -1;
	if (path.failed || p->notes.failed)
		why_set(why, ERR_IO, "out of memory");
	else if (fsx_read_file(AT_FDCWD, path.p, &text, SCENARIO_SIZE_MAX) < 0)
		why_errno(why, "%s", path.p);
	else
		rc = scenario_read(&p->s, name, text.p ? text.p : "", text.n, seed ? strtoull(seed, NULL, 10) : 0, why);
	buf_free(&path);
	buf_free(&text);
	return rc;
}

void
play_end(struct play *p)
{
	scenario_free(&p->s);
	buf_free(&p->folder);
	buf_free(&p->notes);
}

/* --- what all of them do --- */

static const char *
name_of(const struct play *p, int participant)
{
	return p->s.participants[participant];
}

static void
note_phase(const struct play *p, int call, enum scenario_phase phase)
{
	const struct scenario_call *c = &p->s.calls[call];
	deed_note(p->notes.p, "phase %s %s %s", name_of(p, c->participant), c->name, scenario_phase_name(phase));
}

/* A setting as an option takes it. */
struct text24 {
	char of[24];
};

static struct text24
as_option(const struct play *p, enum scenario_setting setting)
{
	struct text24 t;
	snprintf(t.of, sizeof t.of, "%lldms", (long long)play_setting_ms(&p->s, p->scale, setting, play_is_served(getenv("DPL_LEDGER"))));
	return t;
}

/* dpl-call, which runs the work of a call. */
static int
start_call(const struct play *p, int call, pid_t *pid)
{
	const struct scenario_call *c = &p->s.calls[call];
	char number[16], program[512];
	struct text24 grace = as_option(p, SETTING_GRACE);
	struct deed d = deed("dpl-call");
	deed_path("dpl-sim", program, sizeof program);
	snprintf(number, sizeof number, "%d", call);
	deed_option(&d, "--grace", grace.of);
	deed_option(&d, "-p", name_of(p, c->participant));
	deed_option(&d, "-d", c->name);
	deed_option(&d, "--id", c->name);
	deed_option(&d, "--", program);
	deed_option(&d, "--work", number);
	return deed_start(&d, -1, pid);
}

/* The next of the calls that the process of a participant makes at the same time, behind number `call`; -1 none. */
static int
next_beside(const struct play *p, int call)
{
	const struct scenario_call *c = &p->s.calls[call];
	for (int i = call + 1; i < p->s.calls_n; i++)
		if (p->s.calls[i].parent == c->parent)
			return p->s.calls[i].beside && p->s.calls[i].participant == c->participant ? i : -1;
	return -1;
}

/* --- a participant --- */

static volatile sig_atomic_t interrupted;

/* SIGTERM comes from its keeper, when the operation is aborted: it goes on to its end, of which its supervisor sees to. */
static void
take_signal(int sig)
{
	if (sig == SIGINT)
		interrupted = 1;
}

/* Create the operation, or join it, and have a keeper that beats for this process. */
static int
take_part(struct play *p, int participant)
{
	const char *name = name_of(p, participant);
	struct text24 beat = as_option(p, SETTING_BEAT), jitter = as_option(p, SETTING_JITTER), stale = as_option(p, SETTING_STALE), window = as_option(p, SETTING_WINDOW);
	struct deed d = deed(participant == 0 ? "dpl-create" : "dpl-join");
	struct buf out = {0};
	char pid[16];
	snprintf(pid, sizeof pid, "%d", (int)getpid());
	deed_option(&d, "-p", name);
	if (participant == 0) {
		deed_option(&d, "-d", *p->s.title ? p->s.title : p->s.name);
		deed_option(&d, "--beat", beat.of);
		deed_option(&d, "--jitter", jitter.of);
		deed_option(&d, "--stale", stale.of);
		deed_option(&d, "--window", window.of);
	}
	int status = deed_run(&d, &out);
	if (status != 0 || out.failed) {
		buf_free(&out);
		return status ? status : EXIT_SYSTEM;
	}
	if (participant == 0) {
		out.p[strcspn(out.p, "\n")] = '\0';
		setenv("DPL_OPERATION", out.p, 1);
		deed_note(p->notes.p, "operation %s", out.p);
	}
	/* Its supervisor ends what runs, in its own time; the keeper is the last to lose patience. */
	char patience[24];
	snprintf(patience, sizeof patience, "%lldms", 4 * (long long)play_ms(p->scale, p->s.setting[SETTING_GRACE]) + 1000);
	d = deed("dpl-beat");
	deed_option(&d, "--grace", patience);
	deed_option(&d, "--keep", "--pid");
	deed_add(&d, pid);
	deed_option(&d, "-p", name);
	buf_clear(&out);
	status = deed_run(&d, &out);
	int64_t keeper = 0;
	if (out.p)
		(void)num_int(out.p, strcspn(out.p, "\n"), 1, INT32_MAX, &keeper);
	deed_note(p->notes.p, "process %s %s %d", name, pid, (int)keeper);
	buf_free(&out);
	return status;
}

/* The file that says something of a participant to the others. */
static void
mark_path(const struct play *p, const char *what, int participant, struct buf *path)
{
	buf_clear(path);
	buf_fmt(path, "%s/%s-%s", p->folder.p, what, name_of(p, participant));
}

static bool
is_marked(const struct play *p, const char *what, int participant)
{
	struct buf path = {0};
	mark_path(p, what, participant, &path);
	bool is = !path.failed && access(path.p, F_OK) == 0;
	buf_free(&path);
	return is;
}

/* What a beat has found. */
struct found {
	bool aborted, crashed, ended;
	char stale[SCENARIO_NAME]; /* one who has not beaten for long; "" nobody */
};

/* Beat once, and note its five checks: the ledger, the abort flag, calls, temp resources, the age of the last beat. */
static struct found
beat(const struct play *p, const char *name)
{
	struct deed d = deed("dpl-beat");
	struct buf out = {0};
	struct found f = {false, false, false, ""};
	struct json j;
	struct why ignored;
	deed_option(&d, "-j", "-p");
	deed_add(&d, name);
	int status = deed_run(&d, &out);
	if (json_parse(&j, out.p ? out.p : "", out.n, &ignored) == 0) {
		bool there = json_get(&j, 0, "state") >= 0;
		f.aborted = json_true(&j, 0, "abortFlag");
		f.crashed = json_true(&j, 0, "crashed");
		f.ended = !there && status == EXIT_STATE;
		int stale = json_get(&j, 0, "staleParticipants"), first = json_first(&j, stale);
		if (first >= 0)
			(void)json_copy(&j, first, f.stale, sizeof f.stale);
		deed_note(p->notes.p, "beat %s ledger %s, abort %s, %lld calls, %lld temp resources, age %lld ms%s%s", name, there ? "there" : "gone", f.aborted ? "set" : "not set",
			(long long)json_number(&j, 0, "callFrameCount"), (long long)json_number(&j, 0, "tempResourceCount"), (long long)json_number(&j, 0, "heartbeatAgeMs"),
			*f.stale ? ", stale: " : "", f.stale);
		json_free(&j);
	}
	buf_free(&out);
	return f;
}

static void
abort_it(const struct play *p, const char *name, const char *reason)
{
	struct deed d = deed("dpl-abort");
	deed_option(&d, "-p", name);
	deed_option(&d, "-m", reason);
	deed_note(p->notes.p, "say %s aborts: %s", name, reason);
	(void)deed_run(&d, NULL);
}

/* Wait for its calls and look meanwhile, as often as one beats: the first status that is not 0.  *why gets the reason of an abort of ours. */
static int
look_after(struct play *p, int participant, const pid_t *children, int n, const char **why)
{
	const char *name = name_of(p, participant);
	int64_t next_ms = clock_mono_ms(), piece_ms = play_ms(p->scale, 200);
	bool asked = false;
	int worst = 0, at = 0;
	while (at < n) {
		int status = 0;
		pid_t ended = waitpid(children[at], &status, WNOHANG);
		if (ended == children[at] || (ended < 0 && errno != EINTR)) {
			worst = worst ? worst : deed_status(status);
			at++;
			continue;
		}
		if (interrupted && !asked) {
			asked = true;
			*why = "user abort (Ctrl-C)";
			abort_it(p, name, *why);
		}
		int64_t now_ms = clock_mono_ms();
		if (now_ms >= next_ms && !is_marked(p, "silent", participant)) {
			struct found f = beat(p, name);
			/* The initiator decides what becomes of one who hangs; the others are told. */
			if (*f.stale && participant == 0 && !f.aborted && !f.crashed && !asked && strcmp(f.stale, name) != 0) {
				asked = true;
				*why = "somebody hangs";
				abort_it(p, name, *why);
			}
			next_ms = clock_mono_ms() + play_ms(p->scale, p->s.setting[SETTING_BEAT]);
		}
		int64_t left_ms = next_ms - clock_mono_ms();
		(void)deed_rest(left_ms < piece_ms ? left_ms : piece_ms);
	}
	return worst;
}

/* The initiator ends the operation, as its first call went; where somebody died the cleanup does. */
static void
end_operation(const struct play *p, int status, const char *reason)
{
	struct deed d = deed("dpl-complete");
	char text[80];
	deed_option(&d, "-p", name_of(p, 0));
	if (status == STATUS_CRASHED) {
		struct deed w = deed("dpl-cleanup");
		(void)deed_run(&w, NULL);
		return;
	}
	if (status != 0) {
		deed_add(&d, "--cancel");
		if (!reason) {
			snprintf(text, sizeof text, "its call failed with status %d", status);
			reason = text;
		}
		if (status != STATUS_ABORTED)
			deed_add(&d, "--failed");
		deed_option(&d, "-m", reason);
	}
	(void)deed_run(&d, NULL);
}

static int
exit_status(int status, bool initiator)
{
	if (interrupted)
		return STATUS_INTERRUPTED;
	if (status == 0 || status == STATUS_TIMED_OUT || !initiator)
		return status;
	return 1;
}

/* A phase lasts so long; and until what is to fail within that time has failed, for who plays the failures may be late on a slow machine. */
static void
stay(const struct play *p, int call, enum scenario_phase phase, int64_t ms)
{
	int64_t end_ms = clock_mono_ms() + STAY_MS;
	struct buf mark = {0};
	for (int i = 0; i < p->s.failures_n; i++) {
		const struct scenario_failure *f = &p->s.failures[i];
		if (f->after_ms >= ms || !scenario_counts_from(f, p->s.calls[call].participant, call, phase))
			continue;
		buf_clear(&mark);
		buf_fmt(&mark, "%s/" PLAY_HIT "%d", p->folder.p, i);
		while (!mark.failed && !interrupted && access(mark.p, F_OK) < 0 && clock_mono_ms() < end_ms)
			(void)deed_rest(STAY_STEP_MS);
	}
	buf_free(&mark);
}

/* The same for one that only waits. */
static void
stay_delay(const struct play *p, int call, enum scenario_phase phase)
{
	(void)deed_rest(play_ms(p->scale, p->s.setting[SETTING_DELAY]));
	stay(p, call, phase, p->s.setting[SETTING_DELAY]);
}

int
play_participant(struct play *p, int call)
{
	int participant = p->s.calls[call].participant;
	const char *name = name_of(p, participant), *reason = NULL;
	struct sigaction handler = {.sa_handler = take_signal};
	struct buf mark = {0};
	pid_t *children = calloc((size_t)p->s.calls_n, sizeof *children);
	int n = 0;
	sigaction(SIGINT, &handler, NULL);
	sigaction(SIGTERM, &handler, NULL);
	int status = children ? take_part(p, participant) : EXIT_SYSTEM;
	if (status != 0) {
		deed_note(p->notes.p, "exit %s %d", name, status);
		free(children);
		return status;
	}
	mark_path(p, "joined", participant, &mark);
	if (!mark.failed)
		(void)fsx_put(mark.p, 0600, "", 0);
	note_phase(p, call, PHASE_INITIALISATION);
	stay_delay(p, call, PHASE_INITIALISATION);
	for (int i = call; i >= 0 && status == 0; i = next_beside(p, i))
		status = start_call(p, i, &children[n++]) == 0 ? 0 : EXIT_SYSTEM;
	if (status == 0)
		status = look_after(p, participant, children, n, &reason);
	note_phase(p, call, PHASE_COMPLETION);
	stay_delay(p, call, PHASE_COMPLETION);
	free(children);
	if (participant == 0 && interrupted && !reason) { /* at the last moment */
		reason = "user abort (Ctrl-C)";
		abort_it(p, name, reason);
		status = STATUS_ABORTED;
	}
	if (!mark.failed)
		(void)unlink(mark.p);
	buf_free(&mark);
	if (participant == 0) {
		end_operation(p, status, reason);
	} else {
		struct deed d = deed("dpl-leave");
		deed_option(&d, "-q", "-p");
		deed_add(&d, name);
		(void)deed_run(&d, NULL);
	}
	status = exit_status(status, participant == 0);
	deed_note(p->notes.p, "exit %s %d", name, status);
	return status;
}

/* --- the work of a call --- */

/* The error that this call is to fail with in that phase; NULL none. */
static const struct scenario_failure *
error_in(const struct play *p, int call, enum scenario_phase phase)
{
	for (int i = 0; i < p->s.failures_n; i++) {
		const struct scenario_failure *f = &p->s.failures[i];
		if (f->fault == FAULT_ERROR && f->who == p->s.calls[call].participant && f->phase == phase && (f->call < 0 || f->call == call))
			return f;
	}
	return NULL;
}

static int
fails(const struct play *p, int call, const char *text, bool aborts)
{
	const char *call_name = p->s.calls[call].name;
	struct deed d = deed("dpl-call");
	deed_note(p->notes.p, "fails %s %s", call_name, text);
	if (aborts)
		abort_it(p, name_of(p, p->s.calls[call].participant), text);
	deed_option(&d, "fail", "-m");
	deed_add(&d, text);
	deed_option(&d, "--", call_name);
	(void)deed_run(&d, NULL);
	fprintf(stderr, "%s\n", text);
	return 1;
}

/* Make what must not stay behind, and note where it is. */
static int
make_temps(const struct play *p, int call)
{
	const struct scenario_call *c = &p->s.calls[call];
	for (int i = 0; i < c->temps; i++) {
		struct deed d = deed("dpl-temp");
		struct buf out = {0};
		deed_option(&d, "make", "-p");
		deed_add(&d, name_of(p, c->participant));
		int status = deed_run(&d, &out);
		if (status == 0 && out.p)
			deed_note(p->notes.p, "temp %.*s", (int)strcspn(out.p, "\n"), out.p);
		buf_free(&out);
		if (status != 0)
			return status;
	}
	if (!c->undo_ms)
		return 0;
	struct deed d = deed("dpl-temp");
	char command[80];
	int64_t ms = play_ms(p->scale, c->undo_ms);
	snprintf(command, sizeof command, "sleep %lld.%03lld", (long long)(ms / 1000), (long long)(ms % 1000));
	deed_option(&d, "add", "-q");
	deed_option(&d, "-p", name_of(p, c->participant));
	deed_option(&d, "--command", command);
	return deed_run(&d, NULL);
}

/* Work for its time, a piece after the other. */
static int
work(const struct play *p, int call)
{
	const struct scenario_call *c = &p->s.calls[call];
	const struct scenario_failure *error = error_in(p, call, PHASE_PROCESSING);
	int64_t end_ms = clock_mono_ms() + play_ms(p->scale, c->work_ms), piece_ms = play_ms(p->scale, p->s.setting[SETTING_PROCESSING]);
	int64_t error_ms = error ? clock_mono_ms() + play_ms(p->scale, error->after_ms) : INT64_MAX;
	for (int64_t now_ms; (now_ms = clock_mono_ms()) < end_ms;) {
		int64_t left_ms = end_ms - now_ms;
		if (now_ms >= error_ms)
			return fails(p, call, error->text, error->aborts);
		left_ms = left_ms < piece_ms ? left_ms : piece_ms;
		(void)deed_rest(error_ms - now_ms < left_ms ? error_ms - now_ms : left_ms);
		deed_note(p->notes.p, "say %s processing", c->name);
	}
	stay(p, call, PHASE_PROCESSING, c->work_ms);
	return error ? fails(p, call, error->text, error->aborts) : 0;
}

/* Make a call: by its participant's own process, *last being the last of those that this makes besides; or, where that is there already,
 * in its name. */
static int
make_call(const struct play *p, int call, pid_t *pid, int *last)
{
	const struct scenario_call *c = &p->s.calls[call], *parent = &p->s.calls[c->parent];
	char number[16];
	*last = call;
	if (c->participant == parent->participant || is_marked(p, "joined", c->participant))
		return start_call(p, call, pid);
	for (int next; (next = next_beside(p, *last)) >= 0;)
		*last = next;
	struct deed d = deed("dpl-sim");
	snprintf(number, sizeof number, "%d", call);
	deed_option(&d, "--play", number);
	return deed_start(&d, -1, pid);
}

/* Wait for calls that were made: the first status that is not 0.  Where one was killed, the ledger is about to tell of that: it is left to the supervisor of this one
 * to end it. */
static int
wait_for_calls(const struct play *p, int call, const pid_t *pids, const int *of, int n)
{
	int worst = 0;
	for (int i = 0; i < n; i++) {
		int status = 0;
		while (waitpid(pids[i], &status, 0) < 0 && errno == EINTR)
			;
		bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
		status = deed_status(status);
		if (killed)
			(void)deed_rest(WAIT_FOR_END_MS);
		if (status != 0)
			deed_note(p->notes.p, "say %s is told that %s ended with %d", p->s.calls[call].name, p->s.calls[of[i]].name, status);
		worst = worst ? worst : status;
	}
	return worst;
}

/* The calls that this one makes: one after the other, but for those that run beside the one before. */
static int
make_calls(const struct play *p, int call)
{
	pid_t *pids = calloc((size_t)p->s.calls_n, sizeof *pids);
	int *of = calloc((size_t)p->s.calls_n, sizeof *of), n = 0, status = pids && of ? 0 : EXIT_SYSTEM;
	for (int i = call + 1; i < p->s.calls_n && status == 0; i++) {
		if (p->s.calls[i].parent != call)
			continue;
		if (!p->s.calls[i].beside) {
			status = wait_for_calls(p, call, pids, of, n);
			n = 0;
		}
		if (status != 0)
			break;
		int last;
		if (make_call(p, i, &pids[n], &last) == 0)
			of[n++] = i;
		else
			status = EXIT_SYSTEM;
		i = last;
	}
	int last = wait_for_calls(p, call, pids, of, n);
	free(pids);
	free(of);
	return status ? status : last;
}

/* Ask somebody outside, and wait for the file with the answer. */
static int
ask_external(const struct play *p, int call)
{
	const struct scenario_call *c = &p->s.calls[call];
	const struct scenario_external *e = &p->s.externals[c->external];
	struct text24 poll_ms = as_option(p, SETTING_POLL);
	struct buf path = {0}, answer = {0};
	struct deed d = deed("dpl-sim");
	char number[16];
	pid_t pid;
	snprintf(number, sizeof number, "%d", call);
	deed_option(&d, "--external", number);
	buf_fmt(&path, "%s/answer-%s", p->folder.p, c->name);
	if (path.failed || deed_start(&d, -1, &pid) != 0) {
		buf_free(&path);
		return EXIT_SYSTEM;
	}
	deed_note(p->notes.p, "say %s asks %s", c->name, e->name);
	int status;
	int64_t end_ms = clock_mono_ms() + play_ms(p->scale, e->timeout_ms);
	do {
		struct deed w = deed("dpl-watch");
		deed_option(&w, "-q", "--file");
		deed_add(&w, path.p);
		deed_option(&w, "-t", poll_ms.of);
		status = deed_run(&w, NULL);
		deed_note(p->notes.p, "say %s looks for the answer of %s: %s", c->name, e->name, status == 0 ? "there" : status == STATUS_TIMED_OUT ? "not yet" : "the operation is over");
	} while (status == STATUS_TIMED_OUT && clock_mono_ms() < end_ms);
	/* It has heard of an abort or a death itself; its supervisor, which hears of that at the same time, is about to end it. */
	if (status == EXIT_ABORTED || status == EXIT_FAILED)
		(void)deed_rest(WAIT_FOR_END_MS);
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (status == STATUS_TIMED_OUT) {
		(void)fails(p, call, "no answer within the time", false);
	} else if (status == 0 && fsx_read_file(AT_FDCWD, path.p, &answer, SCENARIO_TEXT) == 0 && answer.n > 6 && memcmp(answer.p, "error ", 6) == 0) {
		answer.p[strcspn(answer.p, "\n")] = '\0';
		status = fails(p, call, answer.p + 6, false);
	}
	buf_free(&answer);
	buf_free(&path);
	return status;
}

int
play_work(struct play *p, int call)
{
	const struct scenario_call *c = &p->s.calls[call];
	int status = make_temps(p, call);
	note_phase(p, call, PHASE_PROCESSING); /* behind them: what fails in it finds them registered, however slow the machine */
	if (status == 0)
		status = work(p, call);
	if (status == 0)
		status = make_calls(p, call);
	if (status == 0 && c->external >= 0)
		status = ask_external(p, call);
	if (status != 0)
		return status;
	note_phase(p, call, PHASE_RESPONSE);
	stay_delay(p, call, PHASE_RESPONSE);
	const struct scenario_failure *error = error_in(p, call, PHASE_RESPONSE);
	if (error)
		(void)deed_rest(play_ms(p->scale, error->after_ms));
	return error ? fails(p, call, error->text, error->aborts) : 0;
}

/* --- somebody outside --- */

int
play_external(struct play *p, int call)
{
	const struct scenario_call *c = &p->s.calls[call];
	const struct scenario_external *e = &p->s.externals[c->external];
	int64_t end_ms = e->answer_ms < 0 ? INT64_MAX : clock_mono_ms() + play_ms(p->scale, e->answer_ms), piece_ms = play_ms(p->scale, p->s.setting[SETTING_PROCESSING]);
	struct buf path = {0}, text = {0};
	for (int64_t now_ms; (now_ms = clock_mono_ms()) < end_ms;) {
		(void)deed_rest(end_ms - now_ms < piece_ms ? end_ms - now_ms : piece_ms);
		deed_note(p->notes.p, "say %s processing", e->name);
	}
	buf_fmt(&path, "%s/answer-%s", p->folder.p, c->name);
	buf_fmt(&text, *e->error ? "error %s\n" : "done\n", e->error);
	int rc = path.failed || text.failed ? -1 : fsx_put(path.p, 0600, text.p, text.n);
	buf_free(&path);
	buf_free(&text);
	return rc < 0 ? EXIT_SYSTEM : 0;
}
