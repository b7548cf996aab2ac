/* test_hook - a command within a time, and the signals of who runs it */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hook.h"
#include "unit.h"

/* Run `command`; what it says is in `output`. */
static int
run(const char *command, int64_t limit_ms, int *status, struct buf *output)
{
	struct hook h = {.command = command, .limit_ms = limit_ms, .uid = getuid(), .gid = getgid()};
	buf_clear(output);
	return hook_run(&h, status, output);
}

static void
how_it_ends(void)
{
	struct buf output = {0};
	int status = -1;
	char text[100];
	CHECK(run("echo out; echo err >&2; exit 3", 10000, &status, &output) == 0 && WEXITSTATUS(status) == 3);
	CHECK_TEXT(output.p, "out\nerr");
	hook_describe(0, 0, status, text, sizeof text);
	CHECK_TEXT(text, "exit status 3");
	CHECK(run("exec sleep 60", 50, &status, &output) == -1 && errno == ETIMEDOUT);
	buf_free(&output);
}

/* A supervisor has SIGCHLD blocked, and reads it from a signalfd: one that came before the command of the hook began or
 * while that ran must be there afterwards, or it never hears that its own command has ended. */
static void
the_end_of_another_child_is_heard_of(void)
{
	struct buf output = {0};
	sigset_t child, before, pending;
	siginfo_t info;
	int status = -1;
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, &before);
	pid_t other = fork();
	if (other == 0)
		_exit(5);
	CHECK(waitid(P_PID, (id_t)other, &info, WEXITED | WNOWAIT) == 0);
	CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGCHLD) == 1);
	CHECK(run("exit 0", 10000, &status, &output) == 0 && status == 0);
	CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGCHLD) == 1);
	CHECK(waitpid(other, &status, 0) == other && WEXITSTATUS(status) == 5);
	sigprocmask(SIG_SETMASK, &before, NULL);
	buf_free(&output);
}

/* … and who has the kernel reap its children is told how the command ended all the same. */
static void
ignored_children(void)
{
	struct buf output = {0};
	struct sigaction after;
	int status = -1;
	CHECK(signal(SIGCHLD, SIG_IGN) != SIG_ERR);
	CHECK(run("exit 4", 10000, &status, &output) == 0 && WEXITSTATUS(status) == 4);
	CHECK(sigaction(SIGCHLD, NULL, &after) == 0 && after.sa_handler == SIG_IGN);
	(void)signal(SIGCHLD, SIG_DFL);
	buf_free(&output);
}

int
main(void)
{
	RUN(how_it_ends);
	RUN(the_end_of_another_child_is_heard_of);
	RUN(ignored_children);
	return unit_end();
}
