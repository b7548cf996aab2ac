/* stage: play a scenario. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "deed.h"
#include "entry.h"
#include "fsx.h"
#include "hit.h"
#include "num.h"
#include "play.h"
#include "proc.h"
#include "remove.h"
#include "stage.h"
#include "tree.h"
#include "wire.h"
#include "world.h"

enum { TICK_MS = 20, PIDS = 256, LET_END_MS = 10000 };

static volatile sig_atomic_t stopped;

void
stage_stop(void)
{
	stopped = 1;
}

bool
stage_is_stopped(void)
{
	return stopped;
}

/* A process of a participant. */
struct actor {
	int participant;
	int64_t pid, start, keeper, keeper_start;
	bool gone;
};

struct run {
	struct stage *stage;
	const struct scenario *s;
	struct happened *h;
	char notes_path[STAGE_FOLDER + 20];
	int notes, watch;        /* descriptors */
	int errors;              /* … of what the commands complain of */
	char *tmpdir;            /* TMPDIR as it was; NULL: it was not set */
	struct buf note_text, watch_text;
	struct world world;
	int64_t foreign[64];     /* children that we had before: not of the play */
	int foreign_n;
	pid_t first, watcher, sweeper;
	int64_t begun_ms;        /* monotonic */
	struct actor actors[PIDS];
	int actors_n;
	int64_t *due_ms;         /* of each failure, monotonic; INT64_MAX: its phase has not come, or it was put in */
	int64_t *over_ms;        /* when it ends again, INT64_MAX */
	int (*hits)[2];          /* whom it has hit: from, to in `hit`, those of all */
	char (*temps)[400];
	int temps_n;
	struct hit hit;
	int64_t coordinator, coordinator_start; /* the process of the last one */
	bool ended;
};

/* --- telling --- */

static int64_t
now_of(const struct run *r)
{
	return clock_mono_ms() - r->begun_ms;
}

static int64_t
scaled(const struct run *r, int64_t ms)
{
	return play_ms(r->stage->scale, ms);
}

static int64_t
setting(const struct run *r, enum scenario_setting which)
{
	return play_setting_ms(r->s, r->stage->scale, which, r->h->served);
}

static void tell(struct run *r, int who, int depth, enum stage_told kind, const char *fmt, ...) __attribute__((format(printf, 5, 6)));

static void
tell(struct run *r, int who, int depth, enum stage_told kind, const char *fmt, ...)
{
	char text[1000];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	if (r->stage->tell)
		r->stage->tell(r->stage->arg, now_of(r), who, depth, kind, text);
}

static int
depth_of(const struct scenario *s, int call)
{
	return call >= 0 ? s->calls[call].depth : 0;
}

/* --- what fails --- */

/* Who is silent does not beat by looking, either: a file says so. */
static void
mark_silent(const struct run *r, int who, bool silent)
{
	char path[STAGE_FOLDER + SCENARIO_NAME + 20];
	snprintf(path, sizeof path, "%s/silent-%s", r->stage->folder, r->s->participants[who]);
	if (silent)
		(void)fsx_put(path, 0600, "", 0);
	else
		(void)unlink(path);
}

/* The first processes of who else takes part; how many. */
static int
find_others(const struct run *r, int who, int64_t others[2 * PIDS])
{
	int n = 0;
	for (int i = 0; i < r->actors_n; i++)
		if (r->actors[i].participant != who) {
			others[n++] = r->actors[i].pid;
			others[n++] = r->actors[i].keeper;
		}
	return n;
}

/* What hits a process of a participant. */
static void
hit_actor(struct run *r, const struct scenario_failure *f, const struct actor *a)
{
	int64_t others[2 * PIDS];
	int n = f->who == WHO_EVERYBODY ? 0 : find_others(r, a->participant, others), from = r->hit.n;
	bool stale = f->fault == FAULT_STALE;
	struct hit_meant all = {others, n, false}, those = {others, n, stale};
	if (stale || f->fault == FAULT_HANG || f->fault == FAULT_VANISH || f->who == WHO_EVERYBODY) {
		if (proc_start(a->keeper) == a->keeper_start)
			hit_add_tree(&r->hit, a->keeper, &all);
		hit_add_tree(&r->hit, a->pid, &those);
	} else {
		hit_add(&r->hit, a->pid, a->start);
	}
	if (stale)
		mark_silent(r, a->participant, true);
	hit_signal(&r->hit, from, r->hit.n, f->fault == FAULT_ABORT ? SIGINT : stale || f->fault == FAULT_HANG ? SIGSTOP : SIGKILL);
}

static void
put_in(struct run *r, int number)
{
	const struct scenario_failure *f = &r->s->failures[number];
	bool came = false;
	r->due_ms[number] = INT64_MAX;
	r->hits[number][0] = r->hit.n;
	if (f->lasts_ms >= 0)
		r->over_ms[number] = clock_mono_ms() + scaled(r, f->lasts_ms);
	tell(r, f->who, 0, TOLD_FAILURE, "%s %s", scenario_who_name(r->s, f->who), scenario_fault_name(f->fault));
	if (r->h->first_failure_ms < 0)
		r->h->first_failure_ms = now_of(r);
	switch (f->who) {
	case WHO_SERVER: came = world_restart_server(&r->world) == 0; break;
	case WHO_NETWORK: came = world_cut_network(&r->world, true) == 0; break;
	case WHO_DISK: came = world_fill_disk(&r->world, true) == 0; break;
	case WHO_CLOCK: came = world_step_clock(&r->world, f->step_ms) == 0; break;
	case WHO_COORDINATOR: /* one that is fast may be through by now */
		hit_signal_one(r->coordinator, r->coordinator_start, SIGKILL);
		came = r->coordinator > 0;
		break;
	default:
		for (int i = 0; i < r->actors_n; i++)
			if (!r->actors[i].gone && (f->who < 0 || r->actors[i].participant == f->who)) {
				hit_actor(r, f, &r->actors[i]);
				came = true;
			}
	}
	r->hits[number][1] = r->hit.n;
	r->h->put_in[number] = came;
	char mark[STAGE_FOLDER + 20];
	snprintf(mark, sizeof mark, "%s/" PLAY_HIT "%d", r->stage->folder, number);
	(void)fsx_put(mark, 0600, "", 0);
}

static void
take_back(struct run *r, int number)
{
	const struct scenario_failure *f = &r->s->failures[number];
	r->over_ms[number] = INT64_MAX;
	if (f->fault == FAULT_PARTITION)
		(void)world_cut_network(&r->world, false);
	else if (f->fault == FAULT_FULL)
		(void)world_fill_disk(&r->world, false);
	else
		hit_signal(&r->hit, r->hits[number][0], r->hits[number][1], SIGCONT);
	if (f->fault == FAULT_STALE)
		mark_silent(r, f->who, false);
	tell(r, f->who, 0, TOLD_FAILURE, "%s of %s is over", scenario_fault_name(f->fault), scenario_who_name(r->s, f->who));
}

/* Somebody came to a phase: what fails so long after that is due now. */
static void
phase_came(struct run *r, int who, int call, enum scenario_phase phase)
{
	for (int i = 0; i < r->s->failures_n; i++) {
		const struct scenario_failure *f = &r->s->failures[i];
		if (scenario_counts_from(f, who, call, phase) && r->due_ms[i] == INT64_MAX && !r->h->put_in[i])
			r->due_ms[i] = clock_mono_ms() + scaled(r, f->after_ms);
	}
}

/* Whether who is to be hit has come: on a slow machine that takes its time. */
static bool
is_there(const struct run *r, int who)
{
	for (int i = 0; i < r->actors_n; i++)
		if (r->actors[i].participant == who)
			return true;
	return who < 0;
}

static int64_t
do_what_is_due(struct run *r)
{
	int64_t now_ms = clock_mono_ms(), next_ms = now_ms + TICK_MS;
	for (int i = 0; i < r->s->failures_n; i++) {
		if (r->due_ms[i] <= now_ms && is_there(r, r->s->failures[i].who))
			put_in(r, i);
		else if (r->over_ms[i] <= now_ms)
			take_back(r, i);
		if (r->due_ms[i] > now_ms && r->due_ms[i] < next_ms)
			next_ms = r->due_ms[i];
	}
	return next_ms;
}

/* The work of a call failed, by itself. */
static void
work_failed(struct run *r, int call, const char *text)
{
	int who = call >= 0 ? r->s->calls[call].participant : -1;
	for (int i = 0; i < r->s->failures_n; i++) {
		const struct scenario_failure *f = &r->s->failures[i];
		r->h->put_in[i] = r->h->put_in[i] || (f->fault == FAULT_ERROR && f->who == who && (f->call < 0 || f->call == call));
	}
	if (r->h->first_failure_ms < 0)
		r->h->first_failure_ms = now_of(r);
	tell(r, who, depth_of(r->s, call), TOLD_FAILURE, "%s fails: %s", call >= 0 ? r->s->calls[call].name : "", text);
}

/* --- what is noted --- */

static void
add_actor(struct run *r, int participant, int64_t pid, int64_t keeper)
{
	if (r->actors_n == PIDS)
		return;
	r->h->exit[participant] = HAPPENED_NOT;
	r->actors[r->actors_n++] = (struct actor){.participant = participant, .pid = pid, .start = proc_start(pid), .keeper = keeper, .keeper_start = proc_start(keeper)};
}

/* Of a coordinator that is killed behind a server its client says so: such is of the play, as what those complain of who take part. */
static struct deed
command_of(const struct run *r, const char *tool)
{
	struct deed d = deed(tool);
	d.errors = r->errors;
	return d;
}

static void
start_watching(struct run *r, const char *operation)
{
	int fds[2];
	struct deed d = command_of(r, "dpl-watch");
	snprintf(r->h->operation, sizeof r->h->operation, "%s", operation);
	setenv("DPL_OPERATION", r->h->operation, 1);
	if (pipe2(fds, O_CLOEXEC) < 0)
		return;
	deed_option(&d, "-j", "-q");
	deed_add(&d, "--passive"); /* who looks on takes no part */
	if (*r->world.url) /* where the server is: nothing comes between */
		deed_option(&d, "-C", r->world.ledger);
	deed_option(&d, "--from", "1");
	if (deed_start(&d, fds[1], &r->watcher) == 0) {
		r->watch = fds[0];
		(void)fcntl(r->watch, F_SETFL, O_NONBLOCK);
	} else {
		close(fds[0]);
	}
	close(fds[1]);
}

static void
take_note(struct run *r, char *line)
{
	char *rest = line, *kind = strsep(&rest, " ");
	const char *path = rest;
	char *name = strcmp(kind, "temp") == 0 || !rest ? rest : strsep(&rest, " ");
	const struct scenario *s = r->s;
	if (!name)
		return;
	int who = scenario_find_participant(s, name), call = scenario_find_call(s, name);
	int64_t a = 0, b = 0;
	if (strcmp(kind, "operation") == 0) {
		start_watching(r, name);
	} else if (strcmp(kind, "temp") == 0) {
		void *grown = realloc(r->temps, ((size_t)r->temps_n + 1) * sizeof *r->temps);
		if (grown) {
			r->temps = grown;
			snprintf(r->temps[r->temps_n++], sizeof *r->temps, "%s", path);
		}
	} else if (strcmp(kind, "process") == 0 && who >= 0 && rest) {
		char *pid = strsep(&rest, " ");
		(void)num_int(pid, strlen(pid), 1, INT32_MAX, &a);
		if (rest)
			(void)num_int(rest, strlen(rest), 0, INT32_MAX, &b);
		add_actor(r, who, a, b);
	} else if (strcmp(kind, "phase") == 0 && who >= 0 && rest) {
		char *of = strsep(&rest, " ");
		call = scenario_find_call(s, of);
		for (int i = 0; rest && i < SCENARIO_PHASES; i++)
			if (strcmp(rest, scenario_phase_name((enum scenario_phase)i)) == 0) {
				tell(r, who, depth_of(s, call), TOLD_PHASE, "%s: %s", of, rest);
				phase_came(r, who, call, (enum scenario_phase)i);
			}
	} else if (strcmp(kind, "exit") == 0 && who >= 0 && rest) {
		if (num_int(rest, strlen(rest), 0, 255, &a) == 0)
			r->h->exit[who] = (int)a;
		tell(r, who, 0, TOLD_STAGE, "exits with %s", rest);
	} else if (strcmp(kind, "beat") == 0) {
		tell(r, who, 0, TOLD_BEAT, "beat: %s", rest ? rest : "");
	} else if (strcmp(kind, "fails") == 0) {
		work_failed(r, call, rest ? rest : "");
	} else if (strcmp(kind, "say") == 0) {
		tell(r, call >= 0 ? s->calls[call].participant : who, depth_of(s, call), TOLD_SAID, "%s %s", name, rest ? rest : "");
	}
}

/* --- what the journal tells --- */

static void
add_event(struct happened_event *events, int *n, const struct happened_event *e)
{
	if (*n < HAPPENED_EVENTS)
		events[(*n)++] = *e;
}

static void
take_entry(struct run *r, const char *line, size_t n)
{
	struct entry e;
	char by[ID_NAME_MAX + 1], name[ID_NAME_MAX + 1], call_id[ID_NAME_MAX + 1];
	struct buf text = {0};
	if (entry_parse(line, n, &e))
		return;
	slice_copy(e.by, by, sizeof by);
	slice_copy(e.call_id, call_id, sizeof call_id);
	slice_copy(e.participant_id, name, sizeof name);
	int who = scenario_find_participant(r->s, by), call = scenario_find_call(r->s, call_id);
	struct happened_event v = {.at_ms = now_of(r), .who = scenario_find_participant(r->s, name), .call = call, .by = who};
	static const char *const ends[] = {[EVENT_CALL_STARTED] = "running", [EVENT_CALL_ENDED] = "ended", [EVENT_CALL_FAILED] = "failed", [EVENT_CALL_CRASHED] = "crashed",
		[EVENT_CALL_CANCELLED] = "cancelled"};
	switch (e.event) {
	case EVENT_CALL_STARTED:
	case EVENT_CALL_ENDED:
	case EVENT_CALL_FAILED:
	case EVENT_CALL_CRASHED:
	case EVENT_CALL_CANCELLED:
		if (call >= 0) {
			snprintf(r->h->call[call], sizeof *r->h->call, "%s", ends[e.event]);
			slice_copy(e.error.n ? e.error : e.reason, r->h->reason[call], sizeof *r->h->reason);
		}
		break;
	case EVENT_CRASH_DETECTED: add_event(r->h->death, &r->h->deaths, &v); break;
	case EVENT_ABORT_SET:
		r->h->aborted = true;
		add_event(r->h->abort, &r->h->aborts, &v);
		break;
	case EVENT_CLEANUP_STARTED:
		r->h->takeover |= r->coordinator > 0 && (r->coordinator != e.pid || r->coordinator_start != e.pid_start);
		r->coordinator = e.pid;
		r->coordinator_start = e.pid_start;
		phase_came(r, who, -1, PHASE_CLEANUP);
		break;
	case EVENT_CREATED: snprintf(r->h->state, sizeof r->h->state, "running"); break;
	case EVENT_COMPLETED: snprintf(r->h->state, sizeof r->h->state, "completed"); break;
	case EVENT_FAILED: snprintf(r->h->state, sizeof r->h->state, "failed"); break;
	case EVENT_ARCHIVED: r->ended = true; break;
	default: break;
	}
	wire_sentence(&text, &e);
	tell(r, who, depth_of(r->s, call), TOLD_ENTRY, "%s", text.p ? text.p : "");
	buf_free(&text);
}

/* Read a piece of what is there, and take each whole line: 1; 0 where there is nothing now; -1 at the end. */
static int
drain_some(struct run *r, int fd, struct buf *text, bool notes)
{
	char room[8192];
	ssize_t n = read(fd, room, sizeof room);
	if (n <= 0)
		return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
	buf_add(text, room, (size_t)n);
	size_t used = 0;
	for (char *newline; text->p && (newline = memchr(text->p + used, '\n', text->n - used)); used = (size_t)(newline - text->p) + 1) {
		*newline = '\0';
		if (notes)
			take_note(r, text->p + used);
		else
			take_entry(r, text->p + used, (size_t)(newline - text->p) - used);
	}
	if (used) {
		memmove(text->p, text->p + used, text->n - used);
		text->n -= used;
	}
	return 1;
}

/* All that is there, of notes and of the journal. */
static void
drain(struct run *r)
{
	int rc;
	while (drain_some(r, r->notes, &r->note_text, true) > 0)
		;
	while (r->watch >= 0 && (rc = drain_some(r, r->watch, &r->watch_text, false)) != 0)
		if (rc < 0) {
			close(r->watch);
			r->watch = -1;
			r->ended = true; /* it ends with the operation */
		}
}

/* --- the play --- */

static void
reap(struct run *r)
{
	for (pid_t pid; (pid = waitpid(-1, NULL, WNOHANG)) > 0;) {
		pid_t *const ours[] = {&r->first, &r->watcher, &r->sweeper, &r->world.server};
		for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
			if (*ours[i] == pid)
				*ours[i] = 0;
	}
	for (int i = 0; i < r->actors_n; i++)
		r->actors[i].gone = r->actors[i].gone || r->actors[i].start < 0 || proc_start(r->actors[i].pid) != r->actors[i].start;
}

static bool
anybody_plays(const struct run *r)
{
	bool any = r->first > 0;
	for (int i = 0; i < r->actors_n && !any; i++)
		any = !r->actors[i].gone;
	return any;
}

static void
sweep(struct run *r)
{
	struct deed d = command_of(r, "dpl-cleanup");
	/* In a ledger that others use, too, only the operation of this play. */
	if (!r->stage->ledger)
		deed_add(&d, "--sweep");
	else if (*r->h->operation)
		deed_option(&d, "-o", r->h->operation);
	else
		return;
	if (*r->world.url)
		deed_option(&d, "-C", r->world.ledger);
	tell(r, -1, 0, TOLD_STAGE, "a sweep comes by");
	if (deed_start(&d, -1, &r->sweeper) != 0)
		r->sweeper = 0;
}

/* A coordinator that is fast is through before its moment comes. */
static void
pass_over(struct run *r)
{
	for (int i = 0; i < r->s->failures_n; i++)
		r->h->put_in[i] |= r->s->failures[i].who == WHO_COORDINATOR && r->due_ms[i] != INT64_MAX && r->coordinator > 0;
}

static void
play(struct run *r)
{
	int64_t end_ms = r->begun_ms + setting(r, SETTING_LIMIT), alone_ms = INT64_MAX;
	int64_t settle_ms = setting(r, SETTING_STALE) + 2 * setting(r, SETTING_WINDOW) + 1000;
	int64_t sweep_ms = r->s->sweep_ms >= 0 ? r->begun_ms + scaled(r, r->s->sweep_ms) : INT64_MAX;
	if (r->s->sweep_ms >= 0)
		settle_ms += 2 * scaled(r, r->s->sweep_ms);
	while (!stopped) {
		int64_t next_ms = do_what_is_due(r), now_ms = clock_mono_ms();
		struct pollfd wait[2] = {{.fd = r->notes, .events = POLLIN}, {.fd = r->watch, .events = POLLIN}};
		(void)poll(wait, 2, next_ms > now_ms ? (int)(next_ms - now_ms) : 0);
		drain(r);
		reap(r);
		drain(r); /* what those who are gone by now have noted is here */
		now_ms = clock_mono_ms();
		if (now_ms >= sweep_ms && !r->ended && !r->sweeper) {
			sweep(r);
			sweep_ms = now_ms + scaled(r, r->s->sweep_ms);
		}
		if (anybody_plays(r)) {
			alone_ms = INT64_MAX;
		} else if (alone_ms == INT64_MAX) {
			alone_ms = now_ms;
		}
		if (alone_ms != INT64_MAX && !*r->h->operation)
			return; /* it could not even be created */
		if (alone_ms != INT64_MAX && (r->ended ? r->watch < 0 : now_ms - alone_ms > settle_ms))
			return;
		if (now_ms >= end_ms) {
			r->h->timed_out = true;
			return;
		}
	}
}

static void
note_foreign(void *run, int64_t child)
{
	struct run *r = run;
	if (r->foreign_n < (int)(sizeof r->foreign / sizeof *r->foreign))
		r->foreign[r->foreign_n++] = child;
}

/* What is done with the children that are of the play. */
struct ending {
	const struct run *run;
	pid_t but;               /* not to this one; 0 */
	int sig, n;
};

static void
end_child(void *ending, int64_t child)
{
	struct ending *e = ending;
	const struct run *r = e->run;
	if (child == e->but)
		return;
	for (int i = 0; i < r->foreign_n; i++)
		if (r->foreign[i] == child)
			return;
	if (e->sig)
		(void)kill((pid_t)child, e->sig); /* nobody else reaps it: the number is its own */
	e->n++;
}

/* Wait until nobody but the server is there, or for `most_ms`: keepers and watchers end by themselves where the operation is over, of which those
 * that beat by a server hear from that. */
static void
let_end(struct run *r, int64_t most_ms)
{
	int64_t end_ms = clock_mono_ms() + most_ms;
	struct ending e = {.run = r, .n = 1};
	while (e.n && !stopped && clock_mono_ms() < end_ms) {
		reap(r);
		e = (struct ending){.run = r, .but = r->world.server};
		tree_each_child(getpid(), end_child, &e);
		if (e.n)
			(void)deed_rest(5);
	}
}

/* End whatever is still there: all are children of ours by now, or of those. */
static bool
end_all(struct run *r)
{
	bool left = false;
	int clean = 0;
	hit_signal(&r->hit, 0, r->hit.n, SIGKILL); /* who hangs, hangs because of us */
	if (r->watcher > 0)
		kill(r->watcher, SIGTERM);
	if (r->sweeper > 0)
		kill(r->sweeper, SIGTERM);
	let_end(r, LET_END_MS);
	world_end(&r->world);
	int64_t end_ms = clock_mono_ms() + (stopped ? 0 : 1000);
	/* While some of them end the kernel may overlook others: only who is not found three times is not there. */
	while (clean < 3) {
		reap(r);
		bool over = clock_mono_ms() >= end_ms;
		struct ending e = {.run = r, .sig = over ? SIGKILL : 0};
		tree_each_child(getpid(), end_child, &e);
		clean = e.n == 0 ? clean + 1 : 0;
		left |= over && !clean;
		(void)deed_rest(5);
	}
	return left;
}

/* Make the folder of a play, with one for its temp resources in it. */
static int
make_folder(struct stage *stage, struct why *why)
{
	const char *tmp = getenv("TMPDIR");
	char path[STAGE_FOLDER + 20];
	if (!tmp || !*tmp)
		tmp = "/tmp";
	if (snprintf(stage->folder, sizeof stage->folder, "%s/dpl-sim.XXXXXX", tmp) >= (int)sizeof stage->folder) {
		*stage->folder = '\0';
		return why_set(why, ERR_USAGE, "TMPDIR is too long: %.60s...", tmp);
	}
	if (!mkdtemp(stage->folder)) {
		why_errno(why, "%s", stage->folder);
		*stage->folder = '\0';
		return -1;
	}
	snprintf(path, sizeof path, "%s/tmp", stage->folder);
	return mkdir(path, 0700) == 0 ? 0 : why_errno(why, "%s", path);
}

/* What the processes of the play find in their environment. */
static void
set_environment(const struct run *r)
{
	const struct stage *stage = r->stage;
	char text[STAGE_FOLDER + 20];
	static const char *const others[] = {"DPL_OPERATION", "DPL_PARTICIPANT", "DPL_SESSION", "DPL_CALL", "DPL_RESOURCE", "DPL_UNDO",
		"DPL_WATCHDOG", "DPL_QUIET", "DPL_TIMEOUT"};
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		unsetenv(others[i]);
	setenv(PLAY_FOLDER, stage->folder, 1);
	setenv(PLAY_NAME, stage->s->name, 1);
	snprintf(text, sizeof text, "%.6f", stage->scale);
	setenv(PLAY_SCALE, text, 1);
	snprintf(text, sizeof text, "%llu", (unsigned long long)stage->seed);
	setenv(PLAY_SEED, text, 1);
	snprintf(text, sizeof text, "%s/tmp", stage->folder);
	setenv("TMPDIR", text, 1);
}

static int
begin(struct run *r, struct why *why)
{
	struct stage *stage = r->stage;
	char path[STAGE_FOLDER + 20], errors[STAGE_FOLDER + 20];
	tree_each_child(getpid(), note_foreign, r);
	if (make_folder(stage, why) < 0)
		return -1;
	snprintf(path, sizeof path, "%s/scenario", stage->folder);
	snprintf(r->notes_path, sizeof r->notes_path, "%s/notes", stage->folder);
	snprintf(errors, sizeof errors, "%s/errors", stage->folder);
	if (fsx_put(path, 0600, stage->text, stage->n) < 0 || mkfifo(r->notes_path, 0600) < 0 || (r->notes = open(r->notes_path, O_RDWR | O_NONBLOCK | O_CLOEXEC)) < 0 ||
	    (r->errors = open(errors, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) < 0)
		return why_errno(why, "%s", stage->folder);
	set_environment(r);
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	if (world_begin(&r->world, r->s, stage->folder, why) < 0)
		return -1;
	setenv("DPL_LEDGER", stage->ledger ? stage->ledger : *r->world.url ? r->world.url : r->world.ledger, 1);
	r->h->served = play_is_served(getenv("DPL_LEDGER"));
	r->begun_ms = clock_mono_ms();
	for (int i = 0; i < r->s->failures_n; i++) {
		r->due_ms[i] = r->s->failures[i].at_ms >= 0 && r->s->failures[i].fault != FAULT_ERROR ? r->begun_ms + scaled(r, r->s->failures[i].at_ms) : INT64_MAX;
		r->over_ms[i] = INT64_MAX;
	}
	struct deed d = world_deed(&r->world, "dpl-sim");
	d.errors = r->errors; /* and of all that it starts */
	deed_option(&d, "--play", "0");
	int error = deed_start(&d, -1, &r->first);
	if (error) {
		errno = error;
		return why_errno(why, "dpl-sim");
	}
	return 0;
}

int
stage_close(struct stage *stage, struct why *why)
{
	char *slash = strrchr(stage->folder, '/');
	if (!*stage->folder)
		return 0;
	world_drop_disk(stage->folder);
	*slash = '\0';
	int dir = open(*stage->folder ? stage->folder : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int rc = dir < 0 ? -1 : remove_tree(dir, slash + 1);
	*slash = '/';
	if (rc < 0)
		why_errno(why, "%s is left", stage->folder);
	if (dir >= 0)
		close(dir);
	*stage->folder = '\0';
	return rc;
}

int
stage_play(struct stage *stage, struct happened *h, struct why *why)
{
	struct run r = {.stage = stage, .s = stage->s, .h = h, .notes = -1, .watch = -1, .errors = -1};
	size_t n = (size_t)stage->s->failures_n + 1;
	int rc = happened_begin(h, stage->s);
	r.tmpdir = getenv("TMPDIR") ? strdup(getenv("TMPDIR")) : NULL;
	r.due_ms = calloc(n, sizeof *r.due_ms);
	r.over_ms = calloc(n, sizeof *r.over_ms);
	r.hits = calloc(n, sizeof *r.hits);
	if (rc < 0 || !r.due_ms || !r.over_ms || !r.hits)
		rc = why_set(why, ERR_IO, "out of memory");
	else if ((rc = begin(&r, why)) == 0) {
		play(&r);
		pass_over(&r);
	}
	h->took_ms = now_of(&r);
	for (int i = 0; i < r.actors_n; i++)
		if (r.actors[i].gone && h->exit[r.actors[i].participant] == HAPPENED_NOT)
			h->exit[r.actors[i].participant] = HAPPENED_KILLED; /* it has told of no end */
	h->processes_left = *stage->folder && end_all(&r);
	struct stat st;
	h->temps = r.temps_n;
	for (int i = 0; i < r.temps_n; i++)
		h->temps_left += lstat(r.temps[i], &st) == 0;
	if (rc == 0 && stopped)
		rc = why_set(why, ERR_IO, "stopped by a signal");
	fsx_close(&r.notes);
	fsx_close(&r.watch);
	fsx_close(&r.errors);
	if (r.tmpdir)
		setenv("TMPDIR", r.tmpdir, 1);
	else
		unsetenv("TMPDIR");
	free(r.tmpdir);
	free(r.due_ms);
	free(r.over_ms);
	free(r.hits);
	free(r.temps);
	buf_free(&r.note_text);
	buf_free(&r.watch_text);
	return rc;
}
