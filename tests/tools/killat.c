/* killat - kill a command at its Nth system-call stop
 *
 *	killat [-1] N command [argument ...]
 *
 * Both the entry into a system call and its exit are stops, counted over the whole process tree.  At
 * stop N every process of the tree gets SIGKILL: at an entry the call is not carried out any more.
 * The status is 137 then, else the command's own.  With N = 0 nothing is killed, and the number of
 * stops is the last line on stdout.  With -1 only the command itself is looked at, and killed; what it has started
 * lives.
 *
 * ptrace(2), "Stopped states" and PTRACE_O_TRACESYSGOOD. */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST = 1024, KILLED = 128 + SIGKILL };

static pid_t tree[MOST];
static int trees;

static void
remember(pid_t pid)
{
	for (int i = 0; i < trees; i++)
		if (tree[i] == pid)
			return;
	if (trees == MOST) {
		fprintf(stderr, "killat: more than %d processes\n", MOST);
		exit(125);
	}
	tree[trees++] = pid;
}

/* All of the tree, and wait until nothing of it is left. */
static void
kill_all(void)
{
	int status;
	for (int i = 0; i < trees; i++)
		kill(tree[i], SIGKILL);
	while (waitpid(-1, &status, __WALL) > 0 || errno == EINTR)
		;
}

static pid_t
start(char **argv, bool alone)
{
	pid_t pid = fork();
	if (pid < 0) {
		perror("killat: fork");
		exit(125);
	}
	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		execvp(argv[0], argv);
		perror(argv[0]);
		_exit(127);
	}
	int status;
	const long own = PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC;
	const long options = alone ? own : own | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE;
	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status) || ptrace(PTRACE_SETOPTIONS, pid, NULL, options) < 0 ||
	    ptrace(PTRACE_SYSCALL, pid, NULL, NULL) < 0) {
		perror("killat: trace");
		exit(125);
	}
	remember(pid);
	return pid;
}

int
main(int argc, char **argv)
{
	char *end;
	bool alone = argc > 1 && strcmp(argv[1], "-1") == 0;
	argv += alone;
	argc -= alone;
	long n = argc > 2 ? strtol(argv[1], &end, 10) : -1;
	if (n < 0 || *end) {
		fprintf(stderr, "usage: killat [-1] N command [argument ...]\n");
		return 125;
	}
	pid_t first = start(argv + 2, alone);
	int result = 125, status;
	long stops = 0;
	for (pid_t pid; (pid = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR;) {
		if (pid < 0)
			continue;
		if (!WIFSTOPPED(status)) {
			if (pid == first)
				result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
			continue;
		}
		remember(pid);
		int signal = WSTOPSIG(status);
		if (signal == (SIGTRAP | 0x80)) {
			if (++stops == n) {
				kill_all();
				return KILLED;
			}
			signal = 0;
		} else if (signal == SIGTRAP || signal == SIGSTOP) {
			signal = 0; /* an event of ptrace's own, or the first stop of a new child */
		}
		(void)ptrace(PTRACE_SYSCALL, pid, NULL, (long)signal);
	}
	if (n == 0)
		printf("%ld\n", stops);
	return result;
}
