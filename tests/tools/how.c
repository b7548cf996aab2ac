/* how - how a command ended, which a shell's $? does not tell apart
 *
 *	how command [argument ...]
 *
 * Prints `exit N` or `signal N`, with ` core` behind it where one was dumped, as the last line on stdout.  As in system(3),
 * Ctrl-C is for the command alone. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
	int status;
	if (argc < 2) {
		fprintf(stderr, "usage: how command [argument ...]\n");
		return 125;
	}
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	pid_t pid = fork();
	if (pid == 0) {
		signal(SIGINT, SIG_DFL);
		signal(SIGQUIT, SIG_DFL);
		execvp(argv[1], argv + 1);
		perror(argv[1]);
		_exit(127);
	}
	while (pid < 0 || waitpid(pid, &status, 0) < 0)
		if (errno != EINTR) {
			perror("how");
			return 125;
		}
	if (WIFSIGNALED(status))
		printf("signal %d%s\n", WTERMSIG(status), WCOREDUMP(status) ? " core" : "");
	else
		printf("exit %d\n", WEXITSTATUS(status));
	return 0;
}
