/* supervise: run one command as a call. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capture.h"
#include "cgroup.h"
#include "clock.h"
#include "fsx.h"
#include "output.h"
#include "supervise.h"
#include "text.h"
#include "tree.h"
#include "vigil.h"

enum {
	WATCH_AFTER_MS = 5, /* a shorter command is not worth an inotify instance */
	TREE_AFTER_MS = 20, /* from the command's SIGTERM to that of the rest of its tree */
	WAY_US = 80,        /* to give way to each of the other calls that are stopped at the same time … */
	WAY_MOST_US = 5000, /* … in all */
	PASS_MS = 50,       /* between two looks at a tree that is ending */
	KILL_AGAIN_MS = 250,
	DRIVE_MS = 250,     /* after a death, while the command is still stopping: between two looks at what follows from it */
	CLEAN_EXTRA_MS = 10000, /* to wait for others beyond their window: for what is killed then, and the removal */
	QUEUE_LOOK_MS = 30000, /* while it waits for a slot: between two looks whether it missed being woken */
	CHASES = 500,       /* looks at our children in a pass that kills */
	PASSES_LAST = 40,   /* of these after SIGKILL: what cannot be killed (another uid, a dead disk) is left */
};

enum stop { STOP_NOT, STOP_ABORT, STOP_CANCEL, STOP_CRASH, STOP_TIMEOUT, STOP_WATCHDOG };

struct run {
	const struct supervise *s;
	struct client *c;
	struct vigil v;
	struct command command;
	struct frame frame;
	struct output output;
	struct capture out, err;
	struct result_before before_result;
	struct supervised *end;
	struct why *why;
	struct tree_kept before; /* children that we had when we were started: `other & exec dpl-call -- command` in a shell */
	bool reaped, watching;
	struct frame_end how;    /* how the command ended, once reaped */
	int exec_errno;
	int64_t begun_ms, kill_ms;
	int64_t tree_ms;         /* when the rest of the tree gets its SIGTERM, 0: not due */
	int64_t paused_ms, resumed_ms; /* suspended for so long in all, and until then last */
	enum stop stop;
	char stop_reason[640];
	pid_t hook;              /* --on-abort, while it runs */
	struct duties duties;
	struct buf result;
	char problem[400];       /* what is wrong with how it ended, "" for nothing */
	int64_t drive_ms;        /* when to look next at what follows from a death; 0: nobody died */
	int64_t died_ms;         /* when we heard of it first */
	bool killed, told_gone;
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
	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

/* --- stopping --- */

/* Supervisors in the tree are told of an abort by themselves.  Of our own time only we know, and of a signal who it is sent to. */
static struct tree
tree_of(const struct run *r)
{
	bool deep = r->stop == STOP_TIMEOUT || r->stop == STOP_WATCHDOG || (r->stop && !r->reaped && tree_is_supervisor(r->command.pid));
	return (struct tree){.operation = r->s->call.operation, .call = r->frame.call, .supervisor = getpid(), .apart = r->c->helper, .root = r->command.pid,
		.root_start = r->command.start, .group = r->command.own_group ? r->command.pid : -1, .session = -1,
		.cgroup = r->frame.hold.cgroup.n ? r->frame.hold.cgroup.p : NULL, .deep = deep, .before = &r->before};
}

/* SIGTERM to the command at once: it is why somebody aborts.  Looking through /proc for the rest takes milliseconds, in which
 * other supervisors wait for the processor to do the same; most commands end by themselves, and then nobody is left to look for. */
static void
send_term(struct run *r)
{
	if (!r->reaped) {
		kill(r->command.pid, SIGTERM);
		kill(r->command.pid, SIGCONT); /* what is stopped must run to take it */
	}
	r->tree_ms = clock_mono_ms() + TREE_AFTER_MS;
}

/* SIGKILL to all of it, again and again where the command is a supervisor itself: that is not killed, what it runs is. */
static void
kill_all(struct run *r)
{
	struct tree t = tree_of(r);
	r->killed = r->reaped || !tree_is_supervisor(r->command.pid);
	if (!r->reaped && r->killed)
		kill(r->command.pid, SIGKILL);
	(void)tree_signal(&t, SIGKILL, r->reaped || !r->killed ? -1 : r->command.pid, NULL);
	r->kill_ms = clock_mono_ms() + KILL_AGAIN_MS;
}

static void
run_hook(struct run *r)
{
	char pid[24];
	r->hook = fork();
	if (r->hook != 0)
		return;
	snprintf(pid, sizeof pid, "%d", (int)r->command.pid);
	setenv("DPL_CALL", r->frame.call, 1);
	setenv("DPL_CALL_PID", pid, 1);
	setenv("DPL_ABORT_REASON", r->stop == STOP_ABORT ? r->v.reason : r->stop_reason, 1);
	command_as_started(&r->command.origin);
	execl("/bin/sh", "sh", "-c", r->s->on_abort, (char *)NULL);
	_exit(127);
}

static void __attribute__((format(printf, 3, 4)))
stop(struct run *r, enum stop why, const char *fmt, ...)
{
	va_list ap;
	if (r->stop || r->reaped)
		return;
	va_start(ap, fmt);
	vsnprintf(r->stop_reason, sizeof r->stop_reason, fmt, ap);
	va_end(ap);
	r->stop = why;
	if (r->command.pid <= 0) /* it is queued */
		return;
	r->kill_ms = clock_mono_ms() + r->s->grace_ms;
	/* After a death everybody has the window, and no more: some of it is for what comes behind the command's end. */
	if (why == STOP_CRASH && r->died_ms && r->died_ms + r->v.window_ms / 4 * 3 < r->kill_ms)
		r->kill_ms = r->died_ms + r->v.window_ms / 4 * 3;
	if (r->s->on_abort)
		run_hook(r);
	if (r->hook <= 0)
		send_term(r);
}

/* What the heartbeat said, and what follows. */
static void
heed(struct run *r)
{
	struct vigil *v = &r->v;
	if (v->end == VIGIL_GONE && !r->told_gone) {
		notice(r->s->say, "%s; the command goes on without it", v->reason);
		r->told_gone = true;
	}
	if (v->dead && v->error == ERR_NO_PARTICIPANT)
		stop(r, STOP_CANCEL, "its participant has left");
	else if (v->dead)
		stop(r, STOP_CRASH, "%.600s", v->reason);
	if (v->aborted && !r->s->call.aborted_ok)
		stop(r, STOP_ABORT, "aborted%s%s", *v->reason ? ": " : "", v->reason);
	if (strcmp(v->call_state, "cancelled") == 0 || strcmp(v->call_state, "cancelling") == 0)
		stop(r, STOP_CANCEL, "cancelled");
	if (strcmp(v->call_state, "crashed") == 0)
		stop(r, STOP_CRASH, "it was declared dead");
	if (v->end == VIGIL_FAILED)
		stop(r, STOP_CRASH, "the operation failed");
	if (v->end == VIGIL_COMPLETED)
		stop(r, STOP_CANCEL, "the operation ended");
	int64_t now = clock_mono_ms();
	if (v->crashed && !r->died_ms)
		r->died_ms = now;
	if (v->crashed && !r->s->call.aborted_ok)
		stop(r, STOP_CRASH, "somebody died: %s", v->reason);
	if (!v->crashed || v->end != VIGIL_GOES_ON)
		return;
	if (r->drive_ms && now >= r->drive_ms)
		(void)vigil_clean(v, false, 0);
	if (!r->drive_ms || now >= r->drive_ms)
		r->drive_ms = now + DRIVE_MS;
}

/* --- signals, terminal --- */

static void
pass_on(const struct run *r, int sig)
{
	if (!r->command.own_group || kill(-r->command.pid, sig) < 0)
		kill(r->command.pid, sig);
}

/* Whether nobody would let us go on: no ancestor in this session that is outside of our process group, such as a shell with job
 * control.  Then the kernel does not let the terminal stop the group, nor its command (setpgid(2), "orphaned"). */
static bool
is_orphaned(void)
{
	struct proc p, here;
	if (proc_look(getpid(), &here) < 0)
		return false;
	p = here;
	while (p.group == here.group)
		if (p.parent <= 0 || proc_look(p.parent, &p) < 0)
			return true;
	return p.session != here.session;
}

/* The terminal stopped the command, and stops us: we say so first, and then do stop.  `pass`: the signal, where the command has not
 * had it; 0. */
static void
suspend(struct run *r, int pass)
{
	int64_t from = clock_mono_ms();
	if (pass && !r->reaped)
		pass_on(r, pass);
	if (!r->command.own_group && is_orphaned())
		return;
	if (r->frame.hold.fd >= 0) {
		(void)beat_touch(r->frame.hold.fd);
		(void)beat_set_state(r->frame.hold.fd, BEAT_SUSPENDED);
	}
	frame_log(&r->frame, "info", "suspended");
	raise(SIGSTOP);
	if (r->frame.hold.fd >= 0) {
		(void)beat_set_state(r->frame.hold.fd, BEAT_RUNNING);
		(void)beat_touch(r->frame.hold.fd);
	}
	if (!r->reaped)
		pass_on(r, SIGCONT);
	vigil_awoke(&r->v);
	r->resumed_ms = clock_mono_ms();
	r->paused_ms += r->resumed_ms - from;
	frame_log(&r->frame, "info", "resumed");
	(void)vigil_ask(&r->v);
	heed(r);
}

/* Whether a child has ended. */
static bool
take_signals(struct run *r)
{
	bool ended = false, passed = false;
	struct signalfd_siginfo info;
	while (vigil_signal(&r->v, &info)) {
		int sig = (int)info.ssi_signo;
		/* From the terminal it went to the whole group, the command included; but a hangup to the leader of the session alone. */
		bool had = !r->command.own_group && info.ssi_code == SI_KERNEL && !(sig == SIGHUP && getsid(0) == getpid());
		if (sig == SIGCHLD)
			ended = true;
		else if (sig == SIGURG)
			continue; /* for who is queued */
		else if (sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU)
			suspend(r, had ? 0 : sig);
		else if (!r->reaped && !had) {
			pass_on(r, sig);
			passed |= sig != SIGUSR1 && sig != SIGUSR2;
		} else if (r->reaped) /* it is the rest of the tree that is waited for */
			r->kill_ms = 0;
	}
	/* It may come from a supervisor around this one, which has heard of an abort or of a death first: that, and no signal of
	 * somebody's, is then what ends the command. */
	if (passed && !r->stop && vigil_ask(&r->v) == 0)
		heed(r);
	return ended;
}

static void
reap(struct run *r)
{
	int status;
	struct rusage usage;
	pid_t pid;
	while ((pid = wait4(-1, &status, WNOHANG, &usage)) > 0) {
		if (pid == r->command.pid) {
			r->reaped = true;
			r->how.wait_status = status;
			r->how.usage = usage;
		} else if (pid == r->hook) {
			r->hook = -1;
			if (!(WIFEXITED(status) && WEXITSTATUS(status) == 0))
				send_term(r);
		}
	}
}

/* Wait for the reader to take the rest: until a signal, and for no longer than the grace where the command was stopped. */
static void
deliver_output(struct run *r)
{
	struct signalfd_siginfo info = {.ssi_signo = 0};
	int64_t end = r->stop ? clock_mono_ms() + r->s->grace_ms : INT64_MAX;
	while (r->output.late.n && clock_mono_ms() < end) {
		struct pollfd fds[2] = {output_poll(&r->output), {.fd = r->v.signals, .events = POLLIN}};
		(void)poll(fds, 2, r->stop ? PASS_MS : -1);
		while (vigil_signal(&r->v, &info))
			if (info.ssi_signo != SIGCHLD)
				return;
		output_pass(&r->output);
	}
}

/* The command ended well: take what it left as the result into r->result; false with r->problem where that is not as it must be. */
static bool
take_result(struct run *r)
{
	const struct supervise *s = r->s;
	struct buf captured = {0};
	struct why why = {.text = ""};
	const struct buf *printed = &r->output.kept;
	bool more = r->output.too_long;
	if (r->output.error && r->output.error != EPIPE) {
		snprintf(r->problem, sizeof r->problem, "write standard output: %s", strerror(r->output.error));
		return false;
	}
	int unread = s->call.captures ? r->out.unread : r->output.unread;
	if (unread && result_is_stdout(&s->result)) {
		snprintf(r->problem, sizeof r->problem, "read what the command printed: %s", strerror(unread));
		return false;
	}
	if (s->call.captures && result_is_stdout(&s->result)) {
		more = r->out.size > RESULT_MAX || r->out.lost;
		if (!more && capture_read(&r->out, &captured) < 0)
			more = true;
		printed = &captured;
	}
	enum result_taken taken = result_take(&s->result, &r->before_result, printed, more, &r->result, &why);
	buf_free(&captured);
	if (taken == RESULT_NONE) {
		snprintf(r->problem, sizeof r->problem, "%.390s", why.text);
		return false;
	}
	if (taken == RESULT_TAKEN && frame_has_room(r->result.p)) {
		r->how.result = r->result.p;
		return true;
	}
	char said[120];
	snprintf(said, sizeof said, "the result is longer than %d bytes, or than an entry has room for, and was not kept", RESULT_MAX);
	notice(s->say, "%s", said);
	frame_log(&r->frame, "warning", said);
	return true;
}

/* --- the life of the command --- */

/* Until when the command must have beaten by itself; INT64_MAX without a watchdog. */
static int64_t
watchdog_deadline(const struct run *r)
{
	int64_t last;
	if (!r->s->watchdog_ms || r->stop || r->frame.hold.dog < 0 || beat_when_open(r->frame.hold.dog, &last) < 0)
		return INT64_MAX;
	if (last < r->resumed_ms) /* it could not while it was suspended */
		last = r->resumed_ms;
	return last + r->s->watchdog_ms;
}

/* Until when work that goes on after a death may do so. */
static int64_t
undo_deadline(const struct run *r)
{
	return r->died_ms && !r->stop && r->v.crashed ? r->died_ms + r->v.window_ms / 2 : INT64_MAX;
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
	if (r->stop && !r->killed && r->kill_ms < next)
		next = r->kill_ms;
	if (r->tree_ms && r->tree_ms < next)
		next = r->tree_ms;
	return next;
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
		(void)vigil_ask(&r->v);
		heed(r);
	}
	if (s->timeout_ms && now >= r->begun_ms + s->timeout_ms + r->paused_ms)
		stop(r, STOP_TIMEOUT, "timeout: not done after %lld.%03lld s", (long long)s->timeout_ms / 1000, (long long)s->timeout_ms % 1000);
	if (now >= watchdog_deadline(r))
		stop(r, STOP_WATCHDOG, "watchdog: no beat of its own for %lld.%03lld s", (long long)s->watchdog_ms / 1000, (long long)s->watchdog_ms % 1000);
	if (now >= undo_deadline(r))
		stop(r, STOP_CRASH, "somebody died, and half of the window is over: %s", r->v.reason);
	if (r->tree_ms && now >= r->tree_ms) {
		struct tree t = tree_of(r);
		r->tree_ms = 0;
		(void)tree_signal(&t, SIGTERM, r->reaped ? -1 : r->command.pid, NULL);
	}
	if (r->stop && !r->killed && now >= r->kill_ms)
		kill_all(r);
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
		bool ended = take_signals(r);
		if (ended || !asked) /* a look for children that have not ended is a third of the way from a push to a SIGTERM */
			reap(r);
		if (asked) /* behind the reaping: what has ended by itself is not stopped any more */
			heed(r);
		keep_time(r);
	}
}

static void
leave_orphans(struct run *r)
{
	struct tree t = tree_of(r);
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
		reap(r);
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
	struct tree t = tree_of(r);
	int64_t kill_ms = clock_mono_ms() + r->s->grace_ms;
	int clean = 0, last = 0, sig = SIGTERM;
	if (r->killed)
		sig = SIGKILL;
	else if (r->stop && r->kill_ms < kill_ms)
		kill_ms = r->kill_ms; /* they have had their SIGTERM */
	r->kill_ms = kill_ms;
	while (clean < 2 && last < PASSES_LAST) {
		clean = tree_signal(&t, sig, -1, NULL) != 0 || chase(r, &t, sig) ? 0 : clean + 1;
		sig = clock_mono_ms() >= r->kill_ms ? SIGKILL : 0;
		last += sig == SIGKILL;
		if (clean)
			continue;
		(void)wait_and_take(r, clock_mono_ms() + PASS_MS);
		(void)take_signals(r);
		reap(r);
	}
	if (clean < 2)
		leave_orphans(r);
}

/* --- all of it --- */

static int
status_of(const struct run *r)
{
	switch (r->stop) {
	case STOP_ABORT:
	case STOP_CANCEL:
		return SUPERVISE_ABORTED;
	case STOP_CRASH:
		return SUPERVISE_FAILED;
	case STOP_TIMEOUT:
	case STOP_WATCHDOG:
		return SUPERVISE_TIMED_OUT;
	case STOP_NOT:
		break;
	}
	if (r->exec_errno)
		return r->exec_errno == ENOENT ? COMMAND_NOT_FOUND : COMMAND_CANNOT;
	return WIFEXITED(r->how.wait_status) ? WEXITSTATUS(r->how.wait_status) : 128 + WTERMSIG(r->how.wait_status);
}

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
describe(struct run *r)
{
	int status = r->how.wait_status;
	char *text = r->problem;
	size_t size = sizeof r->problem;
	text[0] = '\0';
	if (r->exec_errno)
		snprintf(text, size, "cannot execute: %s", strerror(r->exec_errno));
	else if (WIFSIGNALED(status))
		snprintf(text, size, "signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status))
		snprintf(text, size, "exit status %d", WEXITSTATUS(status));
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

/* What the files could not take is said. */
static void
say_lost(struct run *r, const struct capture *c, const char *name)
{
	char said[160];
	if (!c->lost)
		return;
	snprintf(said, sizeof said, "%lld bytes of %s were not kept: %s", (long long)c->lost, name, strerror(c->error));
	notice(r->s->say, "%s", said);
	frame_log(&r->frame, "warning", said);
}

/* All of its output is here. */
static void
collect(struct run *r)
{
	output_collect(&r->output);
	capture_end(&r->out);
	capture_end(&r->err);
	say_lost(r, &r->out, "stdout");
	say_lost(r, &r->err, "stderr");
}

/* It failed, and nobody stopped it: what stands in for its result is taken, where there is such. */
static void
fall_back(struct run *r)
{
	const char *instead = r->s->fallback;
	struct buf printed = {0};
	duties_crash(&r->duties, &r->v, r->problem, r->end->status);
	if (!instead && duties_fall_back(&r->duties, &r->v, r->problem, r->end->status, &printed)) {
		while (printed.n && printed.p[printed.n - 1] == '\n')
			printed.n--;
		buf_clear(&r->result);
		text_repair(&r->result, printed.p ? printed.p : "", printed.n);
		buf_str(&r->result, "");
		instead = r->result.failed || !frame_has_room(r->result.p) ? NULL : r->result.p;
	}
	buf_free(&printed);
	if (!instead)
		return;
	r->how.result = instead;
	r->how.instead_of = r->problem;
}

/* It has ended: what it left, and what its caller wants to be done then. */
static void
conclude(struct run *r)
{
	struct supervised *end = r->end;
	describe(r);
	end->status = status_of(r);
	bool well = !*r->problem && !r->stop;
	if (well && r->s->result.from && !take_result(r)) {
		well = false;
		end->status = COMMAND_SELF;
	}
	/* Its own time is its own affair. */
	bool stopped = r->stop && r->stop != STOP_TIMEOUT && r->stop != STOP_WATCHDOG;
	if (r->stop)
		snprintf(r->problem, sizeof r->problem, "%.390s", r->stop_reason);
	if (well)
		duties_complete(&r->duties, &r->v, r->how.result);
	else if (!stopped)
		fall_back(r);
	if (end->status)
		duties_do(&r->duties, &r->v, r->v.crashed || r->v.end == VIGIL_FAILED, r->stop ? r->stop_reason : "the command failed", end->status);
	end->signal = !r->stop && !r->exec_errno && WIFSIGNALED(r->how.wait_status) ? WTERMSIG(r->how.wait_status) : 0;
	end->duration_ms = clock_mono_ms() - r->begun_ms;
	r->how.status = end->status;
	r->how.problem = well || r->how.instead_of ? NULL : r->problem;
	r->how.cancelled = stopped;
}

/* Close the frame with what became of the command: 0, or -1 with r->why. */
static int
close_frame(struct run *r)
{
	r->how.oom_killed = *r->problem && !r->stop && r->frame.hold.cgroup.n && cgroup_was_oom_killed(r->frame.hold.cgroup.p);
	int rc = frame_end(&r->frame, &r->how, r->s->say, r->why);
	if (rc < 0 && err_is_end(r->why->code)) {
		rc = 0; /* it ended the call with the operation, perhaps just now */
		r->why->code = ERR_NONE;
	} else if (rc == 0 && r->how.result && !r->how.instead_of && result_done_with(&r->s->result) < 0) {
		notice(r->s->say, "%.300s was not removed: %s", r->s->result.from, strerror(errno));
	}
	return rc;
}

/* The frame is there: let the command run, and see it to its end. */
static int
attend(struct run *r)
{
	r->v.call = r->frame.call;
	r->v.held = r->frame.hold.fd;
	r->begun_ms = clock_mono_ms();
	r->v.next_ms = r->begun_ms + r->v.beat_ms; /* the start was a beat */
	(void)take_signals(r); /* those of the time in which the lock was waited for: the child has them before it runs */
	let_go(r);
	run_command(r);
	give_way(r);
	if (r->s->leave_orphans)
		leave_orphans(r);
	else if (has_children() || r->frame.hold.cgroup.n)
		end_tree(r);
	collect(r);
	r->exec_errno = command_error(&r->command);
	struct supervised *end = r->end;
	conclude(r);
	int rc = close_frame(r);
	if (r->v.crashed && r->v.end == VIGIL_GOES_ON)
		(void)vigil_clean(&r->v, false, r->v.window_ms + CLEAN_EXTRA_MS); /* else the next who looks does it */
	deliver_output(r);
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
	unsetenv("DPL_RESOURCE"); /* what it runs is a call's, also below an undo command */
	if (r->s->watchdog_ms)
		setenv("DPL_WATCHDOG", "1", 1);
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
	if (!r->watching) {
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
	heed(r);
	if (!r->stop)
		return 0;
	r->end->status = status_of(r);
	return -1;
}

/* Start the command, which waits, and its frame: 0; 1 where it ended while it was queued.  -1 with end->status where it was refused. */
static int
start(struct run *r, const char *path)
{
	struct command *command = &r->command;
	const struct supervise *s = r->s;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (has_children())
		tree_find_children(&r->before, getpid());
	set_variables(r);
	frame_begin(&r->frame, r->c, &s->call);
	for (bool told = false;; told = true) {
		result_look(&s->result, &r->before_result);
		if (command_start(command, path, r->why) < 0)
			return -1;
		output_begin(&r->output, s->call.captures ? -1 : command->out);
		capture_begin(&r->out, s->call.captures ? command->out : -1, -1, s->output_max);
		capture_begin(&r->err, command->err, -1, s->output_max);
		bool was_queued = r->frame.queued;
		int rc = frame_start(&r->frame, command, r->why);
		if (rc == 0 && !told && s->started)
			s->started(s->arg, r->frame.call);
		if (rc == 0 && !r->frame.queued) {
			r->out.to = r->frame.hold.out;
			r->err.to = r->frame.hold.err;
			return 0;
		}
		discard_command(r);
		if (rc < 0) {
			r->end->status = refused_status(r->why->code);
			snprintf(r->stop_reason, sizeof r->stop_reason, "%.600s", r->why->text);
			return was_queued ? give_up(r) : -1;
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
	*r = (struct run){.s = s, .c = c, .end = end, .why = why, .output = {.out = -1, .to = -1}, .frame.hold = {.fd = -1, .dog = -1, .out = -1, .err = -1}, .out = {.in = -1, .to = -1}, .err = {.in = -1, .to = -1}};
	r->command = (struct command){.argv = s->argv, .origin = s->origin, .out = -1, .err = -1, .go = -1, .failed = -1,
		.capture = s->call.captures || result_is_stdout(&s->result), .capture_err = s->call.captures, .own_group = !has_terminal()};
	r->duties = s->duties;
	r->v = (struct vigil){.client = c, .operation = s->call.operation, .participant = s->call.participant, .outer = s->call.parent,
		.verbose = s->verbose, .held = -1, .signals = -1, .beat_ms = 4500, .jitter_ms = 500};
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
	frame_close(&r->frame);
	command_close(&r->command);
	output_free(&r->output);
	capture_end(&r->out);
	capture_end(&r->err);
	buf_free(&r->result);
	vigil_finish(&r->v);
	tree_free_kept(&r->before);
	buf_free(&path);
	free(r);
	return rc;
}
