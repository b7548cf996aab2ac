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
	if (strcmp(v->call_state, "cancelled") == 0)
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

/* Read the file that holds the result. */
static int
read_file(struct run *r)
{
	const char *from = r->s->result_from;
	struct command_user user = command_as_ourselves();
	int rc = fsx_read_file(AT_FDCWD, from, &r->output.kept, OUTPUT_KEPT_MAX), e = errno;
	command_as_before(user);
	if (rc == 0)
		return 0;
	r->output.too_long = e == EFBIG;
	errno = e;
	return e == EFBIG ? 0 : why_errno(r->why, "the result in %.300s", from);
}

/* The result as text, without the newlines at its end, as $(…) has it.  0 also where it is too long, and then it is said and `text`
 * stays empty; -1 with r->why where there is none. */
static int
take_result(struct run *r, struct buf *text)
{
	if (r->output.error && r->output.error != EPIPE) {
		errno = r->output.error;
		return why_errno(r->why, "write standard output");
	}
	if (strcmp(r->s->result_from, "stdout") != 0 && read_file(r) < 0)
		return -1;
	size_t n = r->output.kept.n;
	while (n && r->output.kept.p[n - 1] == '\n')
		n--;
	buf_str(text, "");
	if (!r->output.too_long)
		text_repair(text, r->output.kept.p ? r->output.kept.p : "", n);
	if (!r->output.too_long && !text->failed && frame_has_room(text->p)) {
		r->how.result = text->p;
		return 0;
	}
	char said[120];
	snprintf(said, sizeof said, "the result is longer than %d bytes, or than an entry has room for, and was not kept", OUTPUT_KEPT_MAX);
	notice(r->s->say, "%s", said);
	frame_log(&r->frame, "warning", said);
	return 0;
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

static void
run_command(struct run *r)
{
	/* An --on-abort command that ended it may have more to do, and has the grace for that. */
	while (!r->reaped || (r->hook > 0 && !r->killed)) {
		struct pollfd out = output_poll(&r->output);
		bool asked = vigil_wait(&r->v, next_deadline(r), &out, 1);
		bool ended = take_signals(r);
		if (out.revents)
			output_take(&r->output);
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
		struct pollfd out = output_poll(&r->output);
		clean = tree_signal(&t, sig, -1, NULL) != 0 || chase(r, &t, sig) ? 0 : clean + 1;
		sig = clock_mono_ms() >= r->kill_ms ? SIGKILL : 0;
		last += sig == SIGKILL;
		if (clean)
			continue;
		(void)vigil_wait(&r->v, clock_mono_ms() + PASS_MS, &out, 1);
		if (out.revents)
			output_take(&r->output);
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

/* What is wrong with how it ended, "" for nothing. */
static void
describe(const struct run *r, char *text, size_t size)
{
	int status = r->how.wait_status;
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

/* Close the frame with what became of the command: 0, or -1 with r->why. */
static int
close_frame(struct run *r)
{
	char problem[120];
	struct buf result = {0};
	struct why missing = {.code = ERR_NONE};
	describe(r, problem, sizeof problem);
	if (!*problem && !r->stop && r->s->result_from && take_result(r, &result) < 0) {
		missing = *r->why;
		snprintf(problem, sizeof problem, "%.100s", missing.text);
	}
	r->how.problem = r->stop ? r->stop_reason : *problem ? problem : NULL;
	r->how.cancelled = r->stop == STOP_ABORT || r->stop == STOP_CANCEL || r->stop == STOP_CRASH;
	r->how.oom_killed = *problem && !r->stop && r->frame.hold.cgroup.n && cgroup_was_oom_killed(r->frame.hold.cgroup.p);
	int rc = frame_end(&r->frame, &r->how, r->s->say, r->why);
	if (rc < 0 && err_is_end(r->why->code)) {
		rc = 0; /* it ended the call with the operation, perhaps just now */
		r->why->code = ERR_NONE;
	}
	buf_free(&result);
	if (rc == 0 && missing.code) {
		*r->why = missing;
		return -1;
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
	output_collect(&r->output);
	r->exec_errno = command_error(&r->command);
	struct supervised *end = r->end;
	end->status = status_of(r);
	if (end->status)
		duties_do(&r->duties, &r->v, r->v.crashed || r->v.end == VIGIL_FAILED, r->stop ? r->stop_reason : "the command failed", end->status);
	end->signal = !r->stop && !r->exec_errno && WIFSIGNALED(r->how.wait_status) ? WTERMSIG(r->how.wait_status) : 0;
	end->duration_ms = clock_mono_ms() - r->begun_ms;
	int rc = close_frame(r);
	if (r->v.crashed && r->v.end == VIGIL_GOES_ON)
		(void)vigil_clean(&r->v, false, r->v.window_ms + CLEAN_EXTRA_MS); /* else the next who looks does it */
	deliver_output(r);
	if (rc < 0 && end->status == 0)
		end->status = COMMAND_SELF;
	if (rc == 0 && r->exec_errno) {
		errno = r->exec_errno;
		why_errno(r->why, "%.300s", r->s->argv[0]);
	}
	return rc;
}

static sigset_t
attended(void)
{
	static const int list[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGTSTP, SIGTTIN, SIGTTOU, SIGCHLD};
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

/* Start the command, which waits, and its frame. */
static int
start(struct run *r, const char *path)
{
	struct command *command = &r->command;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (has_children())
		tree_find_children(&r->before, getpid());
	set_variables(r);
	if (command_start(command, path, r->why) < 0)
		return -1;
	output_begin(&r->output, command->out);
	if (frame_start(&r->frame, r->c, &r->s->call, command, r->why) == 0)
		return 0;
	r->end->status = refused_status(r->why->code);
	command_close(command); /* it ends */
	while (waitpid(command->pid, NULL, 0) < 0 && errno == EINTR)
		;
	return -1;
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
	*r = (struct run){.s = s, .c = c, .end = end, .why = why, .output = {.out = -1, .to = -1}, .frame.hold = {.fd = -1, .dog = -1}};
	r->command = (struct command){.argv = s->argv, .origin = s->origin, .out = -1, .go = -1, .failed = -1,
		.capture = s->result_from && strcmp(s->result_from, "stdout") == 0, .own_group = !has_terminal()};
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
	else if (start(r, path.p) == 0) {
		snprintf(end->call, sizeof end->call, "%s", r->frame.call);
		rc = attend(r);
	}
	frame_close(&r->frame);
	command_close(&r->command);
	output_free(&r->output);
	vigil_finish(&r->v);
	tree_free_kept(&r->before);
	buf_free(&path);
	free(r);
	return rc;
}
