/* userdir: the folder where a user's own state lies on this machine. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fsx.h"
#include "userdir.h"

/* Where the base folder is; 0, or -1 where that cannot be told. */
static int
base(char path[PATH_MAX])
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	if (state && *state == '/')
		return snprintf(path, PATH_MAX, "%s", state) < PATH_MAX ? 0 : -1;
	if ((!home || *home != '/') && geteuid() == 0) /* as a service of systemd: that leaves it out */
		home = "/root";
	return home && *home == '/' && snprintf(path, PATH_MAX, "%s/.local/state", home) < PATH_MAX ? 0 : -1;
}

int
userdir_open(bool make, struct why *why)
{
	char path[PATH_MAX];
	struct stat st;
	size_t n;
	if (base(path) < 0 || (n = strlen(path)) + sizeof "/dpl" > sizeof path)
		return why_set(why, ERR_NO_FILE, "where the state of user %lld lies cannot be told: HOME is not set", (long long)geteuid());
	memcpy(path + n, "/dpl", sizeof "/dpl");
	int fd = fsx_open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0 && errno == ENOENT && make && fsx_mkdir_all(path, true) == 0)
		fd = fsx_open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0) {
		int e = errno;
		why_errno(why, "%.400s", path);
		if (e == ENOENT)
			why->code = ERR_NO_FILE;
		return -1;
	}
	if (fstat(fd, &st) == 0 && st.st_uid == geteuid() && !(st.st_mode & 022))
		return fd;
	close(fd);
	return why_set(why, ERR_PERMISSION, "%.400s: it is another user's, or others may write to it", path);
}
