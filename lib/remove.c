/* remove: delete by descriptor, never through a link or a mount. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fsx.h"
#include "remove.h"

enum { DEPTH_MAX = 256 };

static int
open_below(int dir, const char *name)
{
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
	};
	long fd;
	/* EAGAIN: somebody renamed something meanwhile, openat2(2) */
	do
		fd = syscall(SYS_openat2, dir, name, &how, sizeof how);
	while (fd < 0 && (errno == EAGAIN || errno == EINTR));
	return (int)fd;
}

static int
remove_at(int dir, const char *name, int depth)
{
	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -1;
	if (depth == DEPTH_MAX) {
		errno = ELOOP;
		return -1;
	}
	int fd = open_below(dir, name);
	if (fd < 0)
		return -1;
	char **names;
	ssize_t n = fsx_list(fd, &names);
	int rc = n < 0 ? -1 : 0, e = errno;
	for (ssize_t i = 0; i < n; i++)
		if (remove_at(fd, names[i], depth + 1) < 0 && rc == 0) {
			rc = -1;
			e = errno;
		}
	free(names);
	close(fd);
	if (rc == 0 && unlinkat(dir, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return -1;
	errno = e;
	return rc;
}

int
remove_tree(int dir, const char *name)
{
	return remove_at(dir, name, 0);
}
