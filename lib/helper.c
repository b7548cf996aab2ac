/* helper: start another program of dpl's, which works for this one. */
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "helper.h"

void
helper_path(const char *name, char *path, size_t size)
{
	char self[PATH_MAX];
	static const char *const places[] = {"", "../libexec/dpl/"};
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	char *slash = n > 0 ? (self[n] = '\0', strrchr(self, '/')) : NULL;
	for (int i = 0; slash && i < 2; i++) {
		slash[1] = '\0';
		if (snprintf(path, size, "%s%s%s", self, places[i], name) < (int)size && access(path, X_OK) == 0)
			return;
	}
	snprintf(path, size, "%s", name); /* posix_spawnp looks on PATH */
}

static int
put_descriptor(posix_spawn_file_actions_t *actions, int fd, int as)
{
	if (fd >= 0)
		return posix_spawn_file_actions_adddup2(actions, fd, as);
	return posix_spawn_file_actions_addopen(actions, as, "/dev/null", as == 0 ? O_RDONLY : O_WRONLY, 0);
}

/* Kept apart by who calls it: its paths take two pages of the stack. */
int
helper_start(char *const argv[], char *const env[], int in, int out, int errors, pid_t *pid)
{
	char path[PATH_MAX];
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t standard, none;
	helper_path(argv[0], path, sizeof path);
	sigemptyset(&standard);
	sigaddset(&standard, SIGPIPE);
	sigemptyset(&none);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigdefault(&attributes, &standard);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setpgroup(&attributes, 0);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
	int rc = put_descriptor(&actions, in, 0);
	if (rc == 0)
		rc = put_descriptor(&actions, out, 1);
	if (rc == 0 && errors >= 0)
		rc = put_descriptor(&actions, errors, 2);
	if (rc == 0)
		rc = posix_spawnp(pid, path, &actions, &attributes, argv, env);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	if (rc != 0)
		*pid = 0;
	return rc;
}
