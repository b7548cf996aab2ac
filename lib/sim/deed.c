/* deed: what the processes of a scenario do. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "deed.h"
#include "fsx.h"
#include "helper.h"

extern char **environ;

struct deed
deed(const char *tool)
{
	return (struct deed){.word = {tool}, .n = 1, .errors = -1};
}

void
deed_add(struct deed *d, const char *word)
{
	if (d->n < DEED_WORDS)
		d->word[d->n++] = word;
}

void
deed_option(struct deed *d, const char *option, const char *value)
{
	deed_add(d, option);
	deed_add(d, value);
}

void
deed_path(const char *tool, char *path, size_t size)
{
	helper_path(tool, path, size);
}

int
deed_start(const struct deed *d, int out_fd, pid_t *pid)
{
	/* posix_spawn takes no const, and changes nothing. */
	char *argv[DEED_WORDS + 1];
	memcpy(argv, d->word, sizeof argv);
	return helper_start(argv, environ, -1, out_fd, d->errors, pid);
}

int
deed_status(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int
deed_run(const struct deed *d, struct buf *out)
{
	int fds[2] = {-1, -1}, status = 0;
	pid_t pid;
	if (out && pipe2(fds, O_CLOEXEC) < 0)
		return -1;
	int rc = deed_start(d, fds[1], &pid);
	if (fds[1] >= 0)
		close(fds[1]);
	for (char room[4096]; rc == 0 && out;) {
		ssize_t n = read(fds[0], room, sizeof room);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		buf_add(out, room, (size_t)n);
	}
	if (fds[0] >= 0)
		close(fds[0]);
	if (rc != 0)
		return -1;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return deed_status(status);
}

void
deed_note(const char *pipe, const char *fmt, ...)
{
	char line[DEED_NOTE];
	va_list args;
	va_start(args, fmt);
	int n = vsnprintf(line, sizeof line - 1, fmt, args);
	va_end(args);
	if (n < 0)
		return;
	if (n > (int)sizeof line - 2)
		n = (int)sizeof line - 2;
	for (int i = 0; i < n; i++)
		if (line[i] == '\n')
			line[i] = ' ';
	line[n++] = '\n';
	int fd = open(pipe, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return;
	(void)fsx_write(fd, line, (size_t)n);
	close(fd);
}

int64_t
deed_rest(int64_t ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000}, left = {0, 0};
	if (ms <= 0 || nanosleep(&t, &left) == 0)
		return 0;
	return left.tv_sec * 1000 + left.tv_nsec / 1000000;
}
