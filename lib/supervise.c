/* supervise: run one command as a call. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "ending.h"
#include "fsx.h"
#include "run.h"
#include "stopping.h"
#include "supervise.h"

enum {
	WATCH_AFTER_MS = 5, /* a shorter command is not worth an inotify instance */
	WAY_US = 80,        /* to give way to each of the other calls that are stopped at the same time … */
	WAY_MOST_US = 5000, /* … in all */
	PASS_MS = 50,       /* between two looks at a tree that is ending */
	CLEAN_EXTRA_MS = 10000, /* to wait for others beyond their window: for what is killed then, and the removal */
	LOST_MS = 10000,    /* without its server, where the operation has not said yet when it is taken for dead */
	QUEUE_LOOK_MS = 30000, /* while it waits for a slot: between two looks whether it missed being woken */
	CHASES = 500,       /* looks at our children in a pass that kills */
	PASSES_LAST = 40,   /* of these after SIGKILL: what cannot be killed (another uid, a dead disk) is left */
};

static bool
has_terminal(void)
{
	int fd = fsx_open(AT_FDCWD, "/dev/tty", O_RDWR, 0);
	if (fd < 0)
		return false;
	close(fd);
	return true;
}

/* Without children there is nothing to look for: once the command has ended, what descends from it and lives is a child of
 * ours, since we are the subreaper. */
static bool
has_children(void)
{
	siginfo_t info;
	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 || errno == EINTR;
}

/* --- the life of the command --- */

/* Until when the command must have beaten by itself; INT64_MAX without a watchdog. */
static int64_t
watchdog_deadline(const struct run *r)
{
	int64_t last;
	int dog = r->dog >= 0 ? r->dog : r->frame.hold.dog;
	if (!r->s->watchdog_ms || r->stop || dog < 0 || beat_when_open(dog, &last) < 0)
		return INT64_MAX;
	if (last < r->resumed_ms) /* it could not while it was suspended */
		last = r->resumed_ms;
	return last + r->s->watchdog_ms;
}

/* Until when work that goes on after a death may do so. */
static int64_t
undo_deadline(const struct run *r)
{
	return r->v.died_ms && !r->stop && r->v.crashed ? r->v.died_ms + r->v.window_ms / 2 : INT64_MAX;
}

/* Until when it goes on without its server: longer than that, and everybody else takes it for dead. */
static int64_t
lost_deadline(const struct run *r)
{
	int64_t patience = r->v.stale_ms > 0 ? r->v.stale_ms : LOST_MS;
	return r->s->stop_when_lost && r->v.lost_ms && !r->stop ? r->v.lost_ms + patience : INT64_MAX;
}

/* Its server is away, or there again: that is said once. */
static void
tell_lost(struct run *r)
{
	bool lost = r->v.lost_ms != 0;
	if (lost == r->told_lost)
		return;
	r->told_lost = lost;
	if (lost)
		notice(r->s->say, "%s; the command goes on", r->v.reason);
	else
		notice(r->s->say, "%s is there again", r->c->ledger);
}

/* When the next thing is due that the clock brings. */
static int64_t
next_deadline(struct run *r)
{
	const struct supervise *s = r->s;
	int64_t next = INT64_MAX;
	if (!r->watching)
		next = r->begun_ms + WATCH_AFTER_MS;
	if (s->timeout_ms && !r->stop && r->begun_ms + s->timeout_ms + r->paused_ms < next)
		next = r->begun_ms + s->timeout_ms + r->paused_ms;
	if (watchdog_deadline(r) < next)
		next = watchdog_deadline(r);
	if (undo_deadline(r) < next)
		next = undo_deadline(r);
	if (lost_deadline(r) < next)
		next = lost_deadline(r);
	if (r->stop && !r->killed && r->kill_ms < next)
		next = r->kill_ms;
	if (r->tree_ms && r->tree_ms < next)
		next = r->tree_ms;
	return next;
}

/* Before a look through all processes, which on a busy machine takes a second and more: by a server a beat that is due is what it lives by. */
static void
beat_by_server(struct run *r)
{
	if (r->c->remote && clock_mono_ms() >= r->v.next_ms)
		(void)vigil_ask(&r->v);
}

static void
keep_time(struct run *r)
{
	const struct supervise *s = r->s;
	int64_t now = clock_mono_ms();
	if (!r->watching && now >= r->begun_ms + WATCH_AFTER_MS) {
		r->watching = true;
		vigil_watch(&r->v);
		/* What was rung before the watch was there. */
		(void)vigil_ask_outer(&r->v);
		stopping_reap(r); /* what has ended by itself meanwhile is not stopped any more */
		stopping_heed(r);
	}
	if (s->timeout_ms && now >= r->begun_ms + s->timeout_ms + r->paused_ms)
		stopping_begin(r, STOP_TIMEOUT, "timeout: not done after %lld.%03lld s", (long long)s->timeout_ms / 1000, (long long)s->timeout_ms % 1000);
	if (now >= watchdog_deadline(r))
		stopping_begin(r, STOP_WATCHDOG, "watchdog: no beat of its own for %lld.%03lld s", (long long)s->watchdog_ms / 1000, (long long)s->watchdog_ms % 1000);
	if (now >= undo_deadline(r))
		stopping_begin(r, STOP_CRASH, "somebody died, and half of the window is over: %s", r->v.reason);
	tell_lost(r);
	if (now >= lost_deadline(r)) {
		stopping_begin(r, STOP_LOST, "its server could not be reached for %lld s", (long long)(now - r->v.lost_ms) / 1000);
		notice(r->s->say, "the command is stopped: %s", r->stop_reason);
	}
	if (r->tree_ms && now >= r->tree_ms) {
		struct tree t = stopping_tree(r);
		r->tree_ms = 0;
		(void)tree_signal(&t, SIGTERM, r->reaped ? -1 : r->command.pid, NULL);
	}
	if (r->stop && !r->killed && clock_mono_ms() >= r->kill_ms) {
		beat_by_server(r);
		stopping_kill(r);
	}
}

/* Sleep, and take what the command prints.  True where it was asked how the operation stands. */
static bool
wait_and_take(struct run *r, int64_t until_ms)
{
	struct pollfd fds[] = {output_poll(&r->output), capture_poll(&r->out), capture_poll(&r->err)};
	bool asked = vigil_wait(&r->v, until_ms, fds, 3);
	if (fds[0].revents)
		output_take(&r->output);
	if (fds[1].revents)
		capture_take(&r->out);
	if (fds[2].revents)
		capture_take(&r->err);
	return asked;
}

static void
run_command(struct run *r)
{
	/* An --on-abort command that ended it may have more to do, and has the grace for that. */
	while (!r->reaped || (r->hook > 0 && !r->killed)) {
		bool asked = wait_and_take(r, next_deadline(r));
		bool ended = stopping_signals(r);
		if (ended || !asked) /* a look for children that have not ended is a third of the way from a push to a SIGTERM */
			stopping_reap(r);
		if (asked) /* behind the reaping: what has ended by itself is not stopped any more */
			stopping_heed(r);
		keep_time(r);
	}
}

static void
leave_orphans(struct run *r)
{
	struct tree t = stopping_tree(r);
	struct buf who = {0}, text = {0};
	int n = tree_signal(&t, 0, -1, &who);
	if (n < 0)
		buf_fmt(&text, "what is left running cannot be looked for: %s", strerror(errno));
	if (who.n)
		buf_fmt(&text, "left running: %.1000s", who.p);
	if (text.n) {
		if (!text.failed) {
			notice(r->s->say, "%s", text.p);
			frame_log(&r->frame, "warning", text.p);
		}
	}
	buf_free(&who);
	buf_free(&text);
}

/* Whether there are children that are the call's.  SIGKILL is sent to them until there are none. */
static bool
chase(struct run *r, const struct tree *t, int sig)
{
	for (int i = 0; i < CHASES; i++) {
		stopping_reap(r);
		if (tree_signal_children(t, sig == SIGKILL ? sig : 0) == 0)
			return false;
		if (sig != SIGKILL)
			break;
	}
	return true;
}

/* End what the command left: SIGTERM, after the grace SIGKILL, until two passes find nobody. */
static void
end_tree(struct run *r)
{
	struct tree t = stopping_tree(r);
	int64_t kill_ms = clock_mono_ms() + r->s->grace_ms;
	int clean = 0, last = 0, sig = SIGTERM;
	if (r->killed)
		sig = SIGKILL;
	else if (r->stop && r->kill_ms < kill_ms)
		kill_ms = r->kill_ms; /* they have had their SIGTERM */
	r->kill_ms = kill_ms;
	while (clean < 2 && last < PASSES_LAST) {
		beat_by_server(r);
		clean = tree_signal(&t, sig, -1, NULL) != 0 || chase(r, &t, sig) ? 0 : clean + 1;
		sig = clock_mono_ms() >= r->kill_ms ? SIGKILL : 0;
		last += sig == SIGKILL;
		if (clean)
			continue;
		(void)wait_and_take(r, clock_mono_ms() + PASS_MS);
		(void)stopping_signals(r);
		stopping_reap(r);
	}
	if (clean < 2)
		leave_orphans(r);
}

/* --- all of it --- */

/* What stopped this command stops those of others too, and telling them comes before closing this frame: with fifty of
 * them on two processors the last is told in half the time. */
static void
give_way(const struct run *r)
{
	bool shared = r->stop == STOP_ABORT || r->stop == STOP_CANCEL || r->stop == STOP_CRASH;
	if (shared && r->v.running > 1)
		usleep(r->v.running < WAY_MOST_US / WAY_US ? (useconds_t)r->v.running * WAY_US : WAY_MOST_US);
}

static void
let_go(struct run *r)
{
	struct buf variables = {0};
	buf_fmt(&variables, "DPL_CALL=%s", r->frame.call);
	buf_add(&variables, "", 1);
	if (*r->frame.session)
		buf_fmt(&variables, "DPL_SESSION=%s", r->frame.session);
	else
		buf_str(&variables, "DPL_SESSION");
	buf_add(&variables, "", 1);
	command_go(&r->command, &variables);
	buf_free(&variables);
}

/* Its own frame is closed; what somebody who died left is still to be cleaned up. */
static void
see_to_cleanup(struct run *r)
{
	if (r->v.crashed && r->v.end == VIGIL_GOES_ON)
		(void)vigil_clean(&r->v, false, r->v.window_ms + CLEAN_EXTRA_MS); /* else the next who looks does it */
}

/* The frame is there: let the command run, and see it to its end. */
static int
attend(struct run *r)
{
	r->v.call = r->frame.call;
	r->v.held = r->frame.hold.fd;
	r->v.late = r->frame.late;
	r->begun_ms = clock_mono_ms();
	r->v.next_ms = r->begun_ms + r->v.beat_ms; /* the start was a beat */
	if (r->dog >= 0)
		(void)beat_touch(r->dog);
	(void)stopping_signals(r); /* those of the time in which the lock was waited for: the child has them before it runs */
	let_go(r);
	run_command(r);
	stopping_explain(r);
	give_way(r);
	if (r->s->leave_orphans)
		leave_orphans(r);
	else if (has_children() || r->frame.hold.cgroup.n)
		end_tree(r);
	ending_collect(r);
	r->exec_errno = command_error(&r->command);
	struct supervised *end = r->end;
	ending_conclude(r);
	int rc = ending_close(r);
	see_to_cleanup(r);
	ending_deliver(r);
	if (rc < 0 && end->status == 0)
		end->status = COMMAND_SELF;
	if (rc == 0 && r->exec_errno) {
		errno = r->exec_errno;
		why_errno(r->why, "%.300s", r->s->argv[0]);
	} else if (rc == 0 && end->status == COMMAND_SELF && !r->how.wait_status && !r->stop) {
		why_set(r->why, ERR_IO, "%s", r->problem);
		rc = -1;
	}
	return rc;
}

static sigset_t
attended(void)
{
	static const int list[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGTSTP, SIGTTIN, SIGTTOU, SIGCHLD, SIGURG};
	sigset_t set;
	sigemptyset(&set);
	for (size_t i = 0; i < sizeof list / sizeof *list; i++)
		sigaddset(&set, list[i]);
	return set;
}

/* It was refused: what a supervisor says of that. */
static int
refused_status(enum err code)
{
	return code == ERR_ABORTED ? SUPERVISE_ABORTED : code == ERR_FAILED ? SUPERVISE_FAILED : COMMAND_SELF;
}

/* For all that we run. */
static void
set_variables(const struct run *r)
{
	setenv("DPL_LEDGER", r->c->ledger, 1);
	setenv("DPL_OPERATION", r->s->call.operation, 1);
	setenv("DPL_PARTICIPANT", r->s->call.participant, 1);
	unsetenv("DPL_RESOURCE"); /* what it runs is a call's, also below an undo command: DPL_UNDO says that still */
	char dog[40] = "1";
	if (r->dog >= 0)
		snprintf(dog, sizeof dog, "/proc/%d/fd/%d", (int)getpid(), r->dog);
	if (r->s->watchdog_ms)
		setenv("DPL_WATCHDOG", dog, 1);
	else
		unsetenv("DPL_WATCHDOG");
}

/* The command is not let go: it ends. */
static void
discard_command(struct run *r)
{
	command_close(&r->command);
	output_free(&r->output);
	capture_end(&r->out);
	capture_end(&r->err);
	while (waitpid(r->command.pid, NULL, 0) < 0 && errno == EINTR)
		;
	r->command.pid = 0;
}

/* --- waiting for a slot --- */

/* It never ran: close the frame, with end->status and what r->stop_reason says, which `why` tells.  1, or -1. */
static int
give_up(struct run *r)
{
	r->how = (struct frame_end){.wait_status = -1, .status = r->end->status, .cancelled = true, .problem = r->stop_reason};
	int rc = frame_end(&r->frame, &r->how, r->s->say, r->why);
	if (rc < 0 && err_is_end(r->why->code))
		rc = 0;
	if (rc < 0)
		return -1;
	r->v.held = -1; /* it goes on where nobody does, and does not wait for who does */
	see_to_cleanup(r);
	why_set(r->why, r->end->status == SUPERVISE_FAILED ? ERR_FAILED : ERR_ABORTED, "%.500s; the command never ran", r->stop_reason);
	return 1;
}

/* What came while it waited: whether somebody woke it, or one of those that end it, in r->end. */
static bool
is_woken(struct run *r)
{
	struct signalfd_siginfo info;
	bool woken = false;
	while (!r->end->signal && vigil_signal(&r->v, &info)) {
		int sig = (int)info.ssi_signo;
		woken |= sig == SIGURG;
		if (sig != SIGHUP && sig != SIGINT && sig != SIGQUIT && sig != SIGTERM)
			continue; /* the end of the last command that waited is one of these */
		r->end->signal = sig;
		r->end->status = 128 + sig;
		snprintf(r->stop_reason, sizeof r->stop_reason, "signal %d (%s) while it was queued", sig, strsignal(sig));
	}
	return woken || r->end->signal;
}

/* Sleep until it may be the command's turn: 0, or -1 where it never is. */
static int
await_slot(struct run *r)
{
	r->v.call = r->frame.call;
	r->v.held = r->frame.hold.fd;
	int64_t watch_ms = r->watching || !r->frame.first ? INT64_MAX : clock_mono_ms() + WATCH_AFTER_MS;
	/* By a server no signal wakes it, and its beats are its life: it is told, or asks at each. */
	if (r->c->remote) {
		client_listen_for(r->c, r->frame.call);
		vigil_watch(&r->v);
	} else if (!r->watching) {
		r->v.own_pace = r->v.own_jitter = true;
		r->v.beat_ms = QUEUE_LOOK_MS;
		r->v.next_ms = clock_mono_ms() + QUEUE_LOOK_MS;
	}
	/* A signal is all that wakes it; but where those who run die, somebody must be there who notices. */
	bool asked = false;
	while (!is_woken(r) && !asked) {
		asked = vigil_wait(&r->v, watch_ms, NULL, 0);
		if (clock_mono_ms() < watch_ms)
			continue;
		r->watching = true;
		r->v.own_pace = r->v.own_jitter = false;
		vigil_watch(&r->v);
		watch_ms = INT64_MAX;
		asked = true;
	}
	r->v.own_pace = r->v.own_jitter = false;
	if (r->end->signal)
		return -1;
	(void)vigil_ask(&r->v);
	stopping_heed(r);
	if (!r->stop)
		return 0;
	r->end->status = ending_status(r);
	return -1;
}

/* Start the command, which waits, and its frame: 0; 1 where it ended while it was queued.  -1 with end->status where it was refused. */
static int
start(struct run *r, const char *path)
{
	struct command *command = &r->command;
	const struct supervise *s = r->s;
	/* Its own beats are its supervisor's affair, and that of its host: there they are seen whether a server is there or not.  What has no name
	 * is never left behind. */
	if (s->watchdog_ms && r->c->remote && (r->dog = memfd_create("dpl-watchdog", MFD_CLOEXEC)) < 0)
		return why_errno(r->why, "make the watchdog's file");
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (has_children())
		tree_find_children(&r->before, getpid());
	set_variables(r);
	frame_begin(&r->frame, r->c, &s->call);
	for (bool told = false;; told = true) {
		result_look(&s->result, &r->result_file);
		if (command_start(command, path, r->why) < 0)
			return -1;
		output_begin(&r->output, s->call.captures ? -1 : command->out, !s->call.spawned);
		capture_begin(&r->out, s->call.captures ? command->out : -1, false, s->output_max);
		capture_begin(&r->err, command->err, true, s->output_max);
		bool was_queued = r->frame.queued;
		int rc = frame_start(&r->frame, command, r->why);
		if (rc == 0 && !told && s->started)
			s->started(s->arg, r->frame.call);
		if (rc == 0 && !r->frame.queued) {
			client_listen_for(r->c, NULL);
			capture_into(&r->out, r->frame.hold.place, r->frame.call);
			capture_into(&r->err, r->frame.hold.place, r->frame.call);
			return 0;
		}
		discard_command(r);
		if (rc < 0) {
			/* One that is cancelled while it is queued may hear of it here first. */
			r->end->status = was_queued && r->why->code == ERR_CALL_ENDED ? SUPERVISE_ABORTED : refused_status(r->why->code);
			snprintf(r->stop_reason, sizeof r->stop_reason, "%.600s", r->why->text);
			if (!was_queued)
				return -1;
			(void)vigil_ask(&r->v); /* whether somebody died, which it then hears of here first, too */
			return give_up(r);
		}
		if (await_slot(r) < 0)
			return give_up(r);
	}
}

int
supervise(struct client *c, const struct supervise *s, struct supervised *end, struct why *why)
{
	struct run *r = calloc(1, sizeof *r);
	struct buf path = {0};
	sigset_t signals = attended();
	int rc = -1;
	*end = (struct supervised){.status = COMMAND_SELF};
	why->code = ERR_NONE;
	why->text[0] = why->hint[0] = '\0';
	if (!r)
		return why_set(why, ERR_IO, "out of memory");
	*r = (struct run){.s = s, .c = c, .end = end, .why = why, .output = {.out = -1, .to = -1}, .dog = -1, .frame.hold = {.fd = -1, .dog = -1, .place = -1}, .out = {.in = -1, .place = -1, .to = -1}, .err = {.in = -1, .place = -1, .to = -1}};
	r->command = (struct command){.argv = s->argv, .origin = s->origin, .out = -1, .err = -1, .go = -1, .failed = -1,
		.capture = s->call.spawned || result_is_stdout(&s->result), .capture_err = s->call.spawned, .own_group = !has_terminal()};
	r->duties = s->duties;
	r->v = (struct vigil){.client = c, .operation = s->call.operation, .participant = s->call.participant, .outer = s->call.parent,
		.verbose = s->verbose, .promises = true, .held = -1, .signals = -1, .beat_ms = 4500, .jitter_ms = 500};
	sigprocmask(SIG_BLOCK, &signals, &r->command.origin.mask);
	/* Where it is ignored the kernel would reap for us, and keep the status to itself. */
	r->command.origin.ignore_sigchld = signal(SIGCHLD, SIG_DFL) == SIG_IGN;
	int cannot = command_find(s->argv[0], &path, why);
	if (cannot)
		end->status = cannot;
	else if (vigil_begin(&r->v, &signals) < 0)
		why_errno(why, "wait for signals");
	else if ((rc = start(r, path.p)) >= 0) {
		snprintf(end->call, sizeof end->call, "%s", r->frame.call);
		rc = rc == 0 ? attend(r) : 0;
	}
	capture_close(&r->out);
	capture_close(&r->err);
	frame_close(&r->frame);
	fsx_close(&r->dog);
	command_close(&r->command);
	output_free(&r->output);
	buf_free(&r->result);
	vigil_finish(&r->v);
	tree_free_kept(&r->before);
	buf_free(&path);
	free(r);
	return rc;
}
