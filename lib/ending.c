/* ending: a supervised command has ended. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "cgroup.h"
#include "clock.h"
#include "ending.h"
#include "stopping.h"
#include "text.h"

enum {
	PASS_MS = 50,       /* between two looks at a tree that is ending */
};

/* What came while the reader was waited for: one of those that end us, or 0.  The command, which had the others, is no more. */
static int
deliver_signals(struct run *r)
{
	struct signalfd_siginfo info;
	while (vigil_signal(&r->v, &info)) {
		int sig = (int)info.ssi_signo;
		if (sig == SIGHUP || sig == SIGINT || sig == SIGQUIT || sig == SIGTERM)
			return sig;
		if (sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU)
			stopping_pause(r);
	}
	return 0;
}

/* Wait for the reader to take the rest. */
void
ending_deliver(struct run *r)
{
	int64_t end = clock_mono_ms() - r->paused_ms + r->s->grace_ms; /* by a clock that stands still while we are suspended */
	while (r->output.late.n && (!r->stop || clock_mono_ms() - r->paused_ms < end)) {
		struct pollfd fds[2] = {output_poll(&r->output), {.fd = r->v.signals, .events = POLLIN}};
		(void)poll(fds, 2, r->stop ? PASS_MS : -1);
		int sig = deliver_signals(r);
		output_pass(&r->output);
		if (!sig || !r->output.late.n)
			continue;
		/* Nobody shall take what was passed on for all of it; where the command was stopped the status says so already. */
		if (!r->stop) {
			r->end->signal = sig;
			r->end->status = 128 + sig;
		}
		return;
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
	enum result_taken taken = result_take(&s->result, &r->result_file, printed, more, &r->result, &why);
	buf_free(&captured);
	if (taken == RESULT_NONE) {
		snprintf(r->problem, sizeof r->problem, "%.390s", why.text);
		return false;
	}
	if (taken == RESULT_TAKEN) {
		r->how.result = r->result.p;
		return true;
	}
	char said[120];
	snprintf(said, sizeof said, "the result is longer than %d bytes, or than an entry has room for, and was not kept", RESULT_MAX);
	notice(s->say, "%s", said);
	frame_log(&r->frame, "warning", said);
	return true;
}

/* --- what is recorded --- */

int
ending_status(const struct run *r)
{
	switch (r->stop) {
	case STOP_ABORT:
	case STOP_CANCEL:
		return SUPERVISE_ABORTED;
	case STOP_CRASH:
	case STOP_LOST:
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
void
ending_collect(struct run *r)
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
	const struct frame_asked *asked = &r->s->call;
	const char *instead = asked->fallback;
	struct buf printed = {0};
	duties_crash(&r->duties, &r->v, r->problem, r->end->status);
	if (asked->fallback_command && duties_fall_back(&r->duties, &r->v, asked->fallback_command, r->problem, r->end->status, &printed)) {
		const struct result_source stdout_of_it = {.from = "stdout", .json = r->s->result.json};
		struct why why = {.text = ""};
		char said[160];
		buf_clear(&r->result);
		enum result_taken taken = result_take(&stdout_of_it, NULL, &printed, false, &r->result, &why);
		if (taken == RESULT_TAKEN)
			instead = r->result.p;
		else {
			snprintf(said, sizeof said, "--fallback-command: %.130s", taken == RESULT_TOO_LONG ? "what it printed is too long for a result" : why.text);
			frame_log(&r->frame, "warning", said);
		}
	}
	buf_free(&printed);
	if (!instead)
		return;
	r->how.result = instead;
	r->how.instead_of = r->problem;
}

/* It has ended: what it left, and what its caller wants to be done then. */
void
ending_conclude(struct run *r)
{
	struct supervised *end = r->end;
	describe(r);
	end->status = ending_status(r);
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
		duties_do(&r->duties, &r->v, r->stop ? r->stop_reason : "the command failed", end->status);
	end->signal = !r->stop && !r->exec_errno && WIFSIGNALED(r->how.wait_status) ? WTERMSIG(r->how.wait_status) : 0;
	end->duration_ms = clock_mono_ms() - r->begun_ms;
	r->how.status = end->status;
	r->how.problem = well || r->how.instead_of ? NULL : r->problem;
	r->how.cancelled = stopped;
}

/* Close the frame with what became of the command: 0, or -1 with r->why. */
int
ending_close(struct run *r)
{
	r->how.oom_killed = *r->problem && !r->stop && r->frame.hold.cgroup.n && cgroup_was_oom_killed(r->frame.hold.cgroup.p);
	int rc = frame_end(&r->frame, &r->how, r->s->say, r->why);
	if (rc < 0 && err_is_end(r->why->code)) {
		rc = 0; /* it ended the call with the operation, perhaps just now */
		r->why->code = ERR_NONE;
	} else if (rc == 0 && r->how.result && !r->how.instead_of && result_done_with(&r->s->result, &r->result_file) < 0) {
		notice(r->s->say, "%.300s was not removed: %s", r->s->result.from, strerror(errno));
	}
	return rc;
}
