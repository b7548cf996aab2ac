/* sweep: every so often the server has all operations looked over. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>

#include "client.h"
#include "clock.h"
#include "sweep.h"

extern char **environ;

int
sweep_begin(struct sweep *w, const struct serve_options *o, struct why *why)
{
	(void)why;
	*w = (struct sweep){.o = o, .next_ms = o->sweep_ms ? clock_mono_ms() + o->sweep_ms : INT64_MAX};
	return 0;
}

static int
start(struct sweep *w)
{
	char path[PATH_MAX];
	char *argv[] = {"dpl-cleanup", "--sweep", "-q", "-C", (char *)(uintptr_t)w->o->ledger, NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t standard, none;
	client_program("dpl-cleanup", path, sizeof path);
	sigemptyset(&standard);
	sigaddset(&standard, SIGPIPE);
	sigemptyset(&none);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigdefault(&attributes, &standard);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setpgroup(&attributes, 0);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
	int rc = posix_spawnp(&w->pid, path, &actions, &attributes, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	if (rc != 0)
		w->pid = 0;
	return rc;
}

int64_t
sweep_go_on(struct sweep *w, int64_t now_ms)
{
	if (now_ms < w->next_ms || w->pid)
		return w->pid ? INT64_MAX : w->next_ms;
	int rc = start(w);
	if (rc != 0)
		notice(w->o->notice, "sweep: cannot start dpl-cleanup: %s", strerror(rc));
	w->next_ms = now_ms + w->o->sweep_ms;
	return w->pid ? INT64_MAX : w->next_ms;
}

void
sweep_reap(struct sweep *w)
{
	if (w->pid && waitpid(w->pid, NULL, WNOHANG) == w->pid)
		w->pid = 0;
}

void
sweep_end(struct sweep *w)
{
	while (w->pid > 0 && waitpid(w->pid, NULL, 0) < 0 && errno == EINTR)
		;
	w->pid = 0;
}
