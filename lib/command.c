/* command: run a command as if it stood alone. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "fsx.h"
#include "proc.h"

extern char **environ;

enum { VARIABLES_MAX = 4096 }; /* read at once */

/* --- who we are --- */

struct command_user
command_as_ourselves(void)
{
	int gid = setfsgid(getegid());
	return (struct command_user){setfsuid(geteuid()), gid};
}

void
command_as_before(struct command_user u)
{
	(void)setfsgid((gid_t)u.gid);
	(void)setfsuid((uid_t)u.uid);
}

/* --- finding the program --- */

static int
find_program(const char *name, struct buf *path, struct why *why)
{
	struct stat st;
	int denied = 0;
	if (strchr(name, '/')) {
		buf_str(path, name);
		if (stat(name, &st) < 0)
			return why_errno(why, "%.300s", name), errno == ENOENT || errno == ENOTDIR ? COMMAND_NOT_FOUND : COMMAND_CANNOT;
		if (!S_ISDIR(st.st_mode) && access(name, X_OK) == 0)
			return 0;
		errno = S_ISDIR(st.st_mode) ? EISDIR : EACCES;
		return why_errno(why, "%.300s", name), COMMAND_CANNOT;
	}
	const char *list = getenv("PATH");
	for (const char *p = list ? list : "/usr/local/bin:/usr/bin:/bin"; *name;) {
		size_t n = strcspn(p, ":");
		buf_clear(path);
		buf_add(path, p, n);
		if (n)
			buf_char(path, '/');
		buf_str(path, name);
		if (!path->failed && stat(path->p, &st) == 0 && S_ISREG(st.st_mode)) {
			if (access(path->p, X_OK) == 0)
				return 0;
			denied = EACCES;
		}
		if (!p[n])
			break;
		p += n + 1;
	}
	if (denied) {
		errno = denied;
		return why_errno(why, "%.300s", name), COMMAND_CANNOT;
	}
	why_set(why, ERR_USAGE, "%.300s: command not found", name);
	return COMMAND_NOT_FOUND;
}

int
command_find(const char *name, struct buf *path, struct why *why)
{
	struct command_user user = command_as_ourselves();
	int status = find_program(name, path, why);
	command_as_before(user);
	return status;
}

/* --- the child --- */

void
command_as_started(const struct command_origin *o)
{
	(void)command_as_ourselves();
	umask(o->umask);
	if (!o->ignore_sigpipe)
		signal(SIGPIPE, SIG_DFL);
	if (!o->ignore_sigxfsz)
		signal(SIGXFSZ, SIG_DFL);
	if (o->ignore_sigchld)
		signal(SIGCHLD, SIG_IGN);
	for (int fd = 0; fd <= 2; fd++)
		if (o->closed & 1u << fd)
			close(fd);
	sigprocmask(SIG_SETMASK, &o->mask, NULL);
}

static _Noreturn void
become(const struct command *c, const char *path, int failed)
{
	command_as_started(&c->origin);
	execve(path, c->argv, environ);
	if (errno == ENOEXEC) { /* a script without #!, as a shell would run it */
		int n = 0;
		while (c->argv[n])
			n++;
		const char **argv = calloc((size_t)n + 3, sizeof *argv);
		if (argv) {
			argv[0] = "sh";
			argv[1] = path;
			for (int i = 1; i < n; i++)
				argv[i + 1] = c->argv[i];
			execve("/bin/sh", (char **)(uintptr_t)argv, environ);
		}
		errno = ENOEXEC;
	}
	int e = errno;
	(void)!write(failed, &e, sizeof e);
	_exit(e == ENOENT ? COMMAND_NOT_FOUND : COMMAND_CANNOT);
}

/* What command_go wrote: variables, and an empty string behind them.  False, with errno, where it was never written, or not
 * whole. */
static bool
await_go(int go, struct buf *variables)
{
	ssize_t n;
	do {
		if (buf_reserve(variables, VARIABLES_MAX) < 0)
			return false;
		n = read(go, variables->p + variables->n, VARIABLES_MAX);
		if (n > 0)
			variables->n += (size_t)n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	if (n == 0)
		errno = ECANCELED;
	return n == 0 && variables->n > 1 && !variables->p[variables->n - 1] && !variables->p[variables->n - 2];
}

static _Noreturn void
child(const struct command *c, const char *path, int go, int failed, int out, int err, pid_t parent)
{
	struct buf variables = {0};
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(COMMAND_SELF);
	if (c->own_group)
		(void)setpgid(0, 0);
	if (!await_go(go, &variables)) { /* nobody reads this where the supervisor was refused, or has died */
		int e = errno;
		(void)!write(failed, &e, sizeof e);
		_exit(COMMAND_SELF);
	}
	for (char *v = variables.p; *v; v += strlen(v) + 1)
		if (strchr(v, '='))
			(void)putenv(v);
		else
			(void)unsetenv(v);
	if (out >= 0)
		dup2(out, 1);
	if (err >= 0)
		dup2(err, 2);
	become(c, path, failed);
}

int
command_start(struct command *c, const char *path, struct why *why)
{
	int go[2] = {-1, -1}, failed[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1};
	pid_t self = getpid();
	c->go = c->failed = c->out = c->err = -1;
	if (pipe2(go, O_CLOEXEC) < 0 || pipe2(failed, O_CLOEXEC | O_NONBLOCK) < 0 || (c->capture && pipe2(out, O_CLOEXEC) < 0) ||
	    (c->capture_err && pipe2(err, O_CLOEXEC) < 0))
		goto fail;
	c->pid = fork();
	if (c->pid < 0)
		goto fail;
	if (c->pid == 0) {
		close(go[1]);
		child(c, path, go[0], failed[1], out[1], err[1], self);
	}
	if (c->own_group)
		(void)setpgid(c->pid, c->pid); /* both do it, so that neither need wait */
	c->start = proc_start(c->pid);
	c->go = go[1];
	c->failed = failed[0];
	c->out = out[0];
	c->err = err[0];
	close(go[0]);
	close(failed[1]);
	fsx_close(&out[1]);
	fsx_close(&err[1]);
	return 0;
fail:;
	int e = errno;
	fsx_close(&go[0]), fsx_close(&go[1]), fsx_close(&failed[0]), fsx_close(&failed[1]), fsx_close(&out[0]), fsx_close(&out[1]), fsx_close(&err[0]), fsx_close(&err[1]);
	errno = e;
	return why_errno(why, "start a process");
}

void
command_go(struct command *c, const struct buf *variables)
{
	/* One write, with an empty string behind all: less of it does not let anything run. */
	if (!variables->failed)
		(void)fsx_write(c->go, variables->p, variables->n + 1); /* one that died meanwhile is reaped */
	fsx_close(&c->go);
}

int
command_error(struct command *c)
{
	int e;
	return read(c->failed, &e, sizeof e) == sizeof e ? e : 0;
}

void
command_close(struct command *c)
{
	fsx_close(&c->go);
	fsx_close(&c->failed);
}
