/* instances - run a command while its user has no inotify instance left
 *
 *	instances command [argument ...]
 *
 * Takes all that there are and keeps them until the command has ended.  The status is the command's. */
#include <errno.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
	struct rlimit files;
	int status;
	if (argc < 2) {
		fprintf(stderr, "usage: instances command [argument ...]\n");
		return 125;
	}
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		rlim_t soft = files.rlim_cur;
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
		while (inotify_init1(IN_CLOEXEC) >= 0)
			;
		files.rlim_cur = soft;
	}
	pid_t pid = fork();
	if (pid == 0) {
		(void)setrlimit(RLIMIT_NOFILE, &files);
		execvp(argv[1], argv + 1);
		perror(argv[1]);
		_exit(127);
	}
	while (pid < 0 || waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 125;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
