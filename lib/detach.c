/* detach: leave the caller behind. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fsx.h"
#include "detach.h"

enum { DESCRIPTORS = 1024 }; /* closed one by one where the kernel has no close_range */

/* All from `first` on. */
static void
close_from(unsigned first)
{
	if (syscall(SYS_close_range, first, ~0U, 0) == 0)
		return;
	for (unsigned fd = first; fd < DESCRIPTORS; fd++)
		close((int)fd);
}

/* The caller's process: until the child is through, or exit as that ended. */
static void
wait_for(pid_t pid, int through, struct detach *s)
{
	ssize_t n;
	int status = 0;
	do
		n = read(through, s->told, sizeof s->told);
	while (n < 0 && errno == EINTR);
	close(through);
	if (n > 0)
		return;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

int
detach_begin(struct detach *s)
{
	int pipes[2];
	if (pipe2(pipes, O_CLOEXEC) < 0)
		return -1;
	pid_t pid = fork();
	if (pid < 0) {
		int e = errno;
		close(pipes[0]);
		close(pipes[1]);
		errno = e;
		return -1;
	}
	if (pid > 0) {
		close(pipes[1]);
		wait_for(pid, pipes[0], s);
		return 1;
	}
	setsid(); /* without a terminal there is none to be had: only by opening one as the leader that we are, which nobody here does */
	if (pipes[1] != 3 && dup3(pipes[1], 3, O_CLOEXEC) == 3)
		pipes[1] = 3;
	s->through = pipes[1];
	close_from(pipes[1] == 3 ? 4 : (unsigned)pipes[1] + 1);
	return 0;
}

void
detach_through(struct detach *s, const void *told, size_t n)
{
	int null = fsx_open(AT_FDCWD, "/dev/null", O_RDWR, 0);
	for (int fd = 0; fd <= 2 && null >= 0; fd++)
		(void)dup2(null, fd);
	fsx_close(&null);
	(void)!write(s->through, told, n); /* a caller that was killed meanwhile is told nothing */
	fsx_close(&s->through);
}
