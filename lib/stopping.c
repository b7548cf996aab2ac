/* stopping: what stops a supervised command, and how. */
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "stopping.h"

enum {
	TREE_AFTER_MS = 20, /* from the command's SIGTERM to that of the rest of its tree */
	KILL_AGAIN_MS = 250,
	DRIVE_MS = 250,     /* after a death, while the command is still stopping: between two looks at what follows from it */
};

/* Supervisors in the tree are told of an abort by themselves.  Of our own time only we know, and of a signal who it is sent to. */
struct tree
stopping_tree(const struct run *r)
{
	bool deep = r->stop == STOP_TIMEOUT || r->stop == STOP_WATCHDOG || (r->stop && !r->reaped && tree_is_supervisor(r->command.pid));
	return (struct tree){.operation = r->s->call.operation, .call = r->frame.call, .supervisor = getpid(), .apart = {r->c->helper.pid, r->c->ear.pid}, .root = r->command.pid,
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
void
stopping_kill(struct run *r)
{
	struct tree t = stopping_tree(r);
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

void
stopping_begin(struct run *r, enum stop why, const char *fmt, ...)
{
	va_list ap;
	if (r->stop || (r->reaped && !r->explains))
		return;
	va_start(ap, fmt);
	vsnprintf(r->stop_reason, sizeof r->stop_reason, fmt, ap);
	va_end(ap);
	r->stop = why;
	if (r->command.pid <= 0) /* it is queued */
		return;
	r->kill_ms = clock_mono_ms() + r->s->grace_ms;
	/* After a death everybody has the window, and no more: some of it is for what comes behind the command's end. */
	if (why == STOP_CRASH && r->v.died_ms && r->v.died_ms + r->v.window_ms / 4 * 3 < r->kill_ms)
		r->kill_ms = r->v.died_ms + r->v.window_ms / 4 * 3;
	if (r->reaped)
		return;
	if (r->s->on_abort)
		run_hook(r);
	if (r->hook <= 0)
		send_term(r);
}

/* What the heartbeat said, and what follows. */
void
stopping_heed(struct run *r)
{
	struct vigil *v = &r->v;
	if (v->end == VIGIL_GONE && !r->told_gone) {
		notice(r->s->say, "%s; the command goes on without it", v->reason);
		r->told_gone = true;
	}
	if (v->dead && v->error == ERR_NO_PARTICIPANT)
		stopping_begin(r, STOP_CANCEL, "its participant has left");
	else if (v->dead)
		stopping_begin(r, STOP_CRASH, "%.600s", v->reason);
	if (v->aborted && !r->s->call.aborted_ok)
		stopping_begin(r, STOP_ABORT, "aborted%s%s", *v->reason ? ": " : "", v->reason);
	if (strcmp(v->call_state, "cancelled") == 0 || strcmp(v->call_state, "cancelling") == 0)
		stopping_begin(r, STOP_CANCEL, "cancelled");
	if (strcmp(v->call_state, "crashed") == 0)
		stopping_begin(r, STOP_CRASH, "it was declared dead");
	if (v->end == VIGIL_FAILED)
		stopping_begin(r, STOP_CRASH, "the operation failed");
	if (v->end == VIGIL_COMPLETED)
		stopping_begin(r, STOP_CANCEL, "the operation ended");
	int64_t now = clock_mono_ms();
	if (v->crashed && !r->s->call.aborted_ok)
		stopping_begin(r, STOP_CRASH, "somebody died: %s", v->reason);
	/* By a server its beats look, and nobody can become the coordinator while it has not ended. */
	if (!v->crashed || v->end != VIGIL_GOES_ON || v->held < 0)
		return;
	if (r->drive_ms && now >= r->drive_ms)
		(void)vigil_clean(v, false, 0);
	if (!r->drive_ms || now >= r->drive_ms)
		r->drive_ms = now + DRIVE_MS;
}

/* Whether a command that ended so may have been stopped by somebody who is told of aborts and deaths as we are: it got SIGTERM, or is a
 * supervisor itself, or ends with what one said. */
static bool
was_told(int status)
{
	return WIFSIGNALED(status) ? WTERMSIG(status) == SIGTERM :
		WIFEXITED(status) && (WEXITSTATUS(status) == SUPERVISE_ABORTED || WEXITSTATUS(status) == SUPERVISE_FAILED);
}

void
stopping_explain(struct run *r)
{
	if (r->stop || !was_told(r->how.wait_status) || vigil_ask_outer(&r->v) < 0)
		return;
	r->explains = true;
	stopping_heed(r);
	r->explains = false;
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

/* Whether what stops processes stops us.  Without a terminal it was meant for us. */
static bool
can_pause(const struct run *r)
{
	return r->command.own_group || !is_orphaned();
}

void
stopping_pause(struct run *r)
{
	int64_t from = clock_mono_ms();
	if (!can_pause(r))
		return;
	raise(SIGSTOP);
	r->paused_ms += clock_mono_ms() - from;
}

/* The terminal stopped the command, and stops us: we say so first, and then do stop.  `pass`: the signal, where the command has not
 * had it; 0. */
static void
suspend(struct run *r, int pass)
{
	int64_t from = clock_mono_ms();
	if (pass && !r->reaped)
		pass_on(r, pass);
	if (!can_pause(r))
		return;
	if (r->frame.hold.fd >= 0) {
		(void)beat_touch(r->frame.hold.fd);
		(void)beat_set_state(r->frame.hold.fd, BEAT_SUSPENDED);
	} else if (r->c->remote) {
		r->v.suspended = true;
		(void)vigil_ask(&r->v);
		r->v.suspended = false;
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
	stopping_reap(r); /* what has ended by itself meanwhile is not stopped any more */
	stopping_heed(r);
}

/* Whether a child has ended. */
bool
stopping_signals(struct run *r)
{
	bool ended = false, passed = false;
	struct signalfd_siginfo info;
	while (vigil_signal(&r->v, &info)) {
		int sig = (int)info.ssi_signo;
		/* From the terminal it went to the whole group, the command included; but a hangup to the leader of the session alone. */
		bool had = !r->command.own_group && info.ssi_code == SI_KERNEL && !(sig == SIGHUP && getsid(0) == getpid());
		bool ends = sig != SIGUSR1 && sig != SIGUSR2; /* what those two mean only the command knows */
		if (sig == SIGCHLD)
			ended = true;
		else if (sig == SIGURG)
			continue; /* for who is queued */
		else if (sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU)
			suspend(r, had ? 0 : sig);
		else if (!r->reaped && !had) {
			pass_on(r, sig);
			passed |= ends;
		} else if (r->reaped && ends) /* it is the rest of the tree that is waited for */
			r->kill_ms = 0;
	}
	/* It may come from a supervisor around this one, which has heard of an abort or of a death first, or has died: that, and no signal of
	 * somebody's, is then what ends the command. */
	if (passed && !r->stop && vigil_ask_outer(&r->v) == 0)
		stopping_heed(r);
	return ended;
}

void
stopping_reap(struct run *r)
{
	int status;
	struct rusage usage;
	pid_t pid;
	while ((pid = proc_reap(&status, &usage)) > 0) {
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
