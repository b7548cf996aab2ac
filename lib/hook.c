/* hook: run a shell command of the user's to its end, within a time, and keep what it says. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "fsx.h"
#include "hook.h"
#include "proc.h"
#include "text.h"

enum { LOOK_MS = 20 }; /* between two looks whether it has ended, where no pidfd is to be had */

static _Noreturn void
become(const struct hook *h, int out, int err, pid_t runner)
{
	sigset_t none;
	sigemptyset(&none);
	for (int sig = 1; sig < NSIG; sig++)
		if (sig != SIGKILL && sig != SIGSTOP)
			(void)signal(sig, SIG_DFL);
	int null = open("/dev/null", O_RDONLY);
	if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
		_exit(127);
	if (geteuid() == 0 && h->uid != 0 && (setgroups(1, &h->gid) < 0 || setresgid(h->gid, h->gid, h->gid) < 0 || setresuid(h->uid, h->uid, h->uid) < 0))
		_exit(126);
	/* It dies with who runs it: whoever comes next runs it again.  Behind the change of user, which forgets that. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != runner)
		_exit(126);
	if (h->folder && chdir(h->folder) < 0 && chdir("/") < 0)
		_exit(126);
	if (h->prepare)
		h->prepare(h->arg);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execl("/bin/sh", "sh", "-c", h->command, (char *)NULL);
	_exit(127);
}

/* One that it prints to: all its output, or stdout apart from that. */
struct stream {
	int pipe[2];
	bool apart, open;
	struct buf all;
};

static void
close_stream(struct stream *s)
{
	fsx_close(&s->pipe[0]);
	fsx_close(&s->pipe[1]);
	s->open = false;
}

/* Take in what is there: of the output the end, of what is apart the beginning. */
static void
take(struct stream *s)
{
	char piece[1024];
	ssize_t n = read(s->pipe[0], piece, sizeof piece);
	if (n <= 0) {
		s->open = n < 0 && (errno == EAGAIN || errno == EINTR);
		return;
	}
	struct buf *b = &s->all;
	if (!s->apart || b->n <= HOOK_APART_MAX)
		buf_add(b, piece, (size_t)n);
	if (!s->apart && b->n > 2 * HOOK_OUTPUT_MAX) {
		memmove(b->p, b->p + b->n - HOOK_OUTPUT_MAX, HOOK_OUTPUT_MAX);
		b->n = HOOK_OUTPUT_MAX;
	}
}

/* What is still in the pipe. */
static void
take_rest(struct stream *s)
{
	for (int i = 0; s->open && i < 64; i++) {
		struct pollfd p = {.fd = s->pipe[0], .events = POLLIN};
		if (poll(&p, 1, 0) <= 0)
			break;
		take(s);
	}
}

static void
keep(const struct buf *all, struct buf *output)
{
	size_t from = all->n > HOOK_OUTPUT_MAX ? all->n - HOOK_OUTPUT_MAX : 0, n = all->n;
	while (n > from && all->p[n - 1] == '\n')
		n--;
	if (all->p && n > from)
		text_repair(output, all->p + from, n - from);
}

/* Where children that end are reaped by the kernel, which would hide how the command ended: not so from now on, and true with what was
 * there `before`.  Only there: setting the default action discards a SIGCHLD that is pending, and a supervisor waits for that. */
static bool
usual_children(struct sigaction *before)
{
	static const struct sigaction usual = {.sa_handler = SIG_DFL};
	bool reaps = sigaction(SIGCHLD, NULL, before) == 0 && (before->sa_handler == SIG_IGN || (before->sa_flags & SA_NOCLDWAIT));
	if (reaps)
		(void)sigaction(SIGCHLD, &usual, NULL);
	return reaps;
}

int
hook_run(const struct hook *h, int *status, struct buf *output)
{
	int error = 0;
	struct stream out = {.pipe = {-1, -1}, .open = true}, apart = {.pipe = {-1, -1}, .apart = true, .open = h->apart != NULL};
	struct sigaction before;
	pid_t runner = getpid();
	if (pipe2(out.pipe, O_CLOEXEC) < 0 || (h->apart && pipe2(apart.pipe, O_CLOEXEC) < 0)) {
		error = errno;
		close_stream(&out);
		errno = error;
		return -1;
	}
	bool reaps = usual_children(&before);
	pid_t pid = fork();
	if (pid == 0) {
		setpgid(0, 0);
		become(h, h->apart ? apart.pipe[1] : out.pipe[1], out.pipe[1], runner);
	}
	error = errno;
	fsx_close(&out.pipe[1]);
	fsx_close(&apart.pipe[1]);
	if (pid < 0) {
		close_stream(&out);
		close_stream(&apart);
		if (reaps)
			(void)sigaction(SIGCHLD, &before, NULL);
		errno = error;
		return -1;
	}
	setpgid(pid, pid);
	(void)fcntl(out.pipe[0], F_SETFL, O_NONBLOCK);
	if (h->apart)
		(void)fcntl(apart.pipe[0], F_SETFL, O_NONBLOCK);
	int64_t end = clock_mono_ms() + h->limit_ms, next = h->meanwhile ? clock_mono_ms() : INT64_MAX;
	bool killed = false, ended = false, lost = false;
	int self = proc_open(pid, -1);
	/* Its end counts, not that of what it has left in the background with the pipe. */
	while (!ended) {
		struct pollfd p[] = {{.fd = out.open ? out.pipe[0] : -1, .events = POLLIN}, {.fd = apart.open ? apart.pipe[0] : -1, .events = POLLIN}, {.fd = self, .events = POLLIN}};
		if (clock_mono_ms() >= next)
			next = h->meanwhile(h->arg);
		int64_t left = (end < next ? end : next) - clock_mono_ms();
		int wait = self < 0 || killed ? LOOK_MS : left <= 0 ? 0 : left < INT32_MAX ? (int)left : INT32_MAX;
		bool any = poll(p, 3, wait) > 0;
		if (any && p[0].revents)
			take(&out);
		if (any && p[1].revents)
			take(&apart);
		pid_t got = waitpid(pid, status, WNOHANG);
		lost = got < 0 && errno != EINTR; /* another has waited for it */
		ended = got == pid || lost;
		if (!ended && !killed && clock_mono_ms() >= end) {
			kill(-pid, SIGKILL);
			killed = true;
		}
	}
	if (killed)
		kill(-pid, SIGKILL);
	take_rest(&out);
	take_rest(&apart);
	close_stream(&out);
	close_stream(&apart);
	if (self >= 0)
		close(self);
	if (reaps)
		(void)sigaction(SIGCHLD, &before, NULL);
	keep(&out.all, output);
	if (h->apart)
		buf_add(h->apart, apart.all.p ? apart.all.p : "", apart.all.n);
	buf_free(&out.all);
	buf_free(&apart.all);
	errno = killed ? ETIMEDOUT : ECHILD;
	return killed || lost ? -1 : 0;
}

void
hook_describe(int rc, int error, int status, char *text, size_t size)
{
	text[0] = '\0';
	if (rc < 0 && error == ETIMEDOUT)
		snprintf(text, size, "it took too long and was killed");
	else if (rc < 0)
		snprintf(text, size, "%s", strerror(error));
	else if (WIFSIGNALED(status))
		snprintf(text, size, "signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status))
		snprintf(text, size, "exit status %d", WEXITSTATUS(status));
}
