/* cgroup: a control group for the processes of one call. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "cgroup.h"
#include "fsx.h"
#include "num.h"

#define ROOT "/sys/fs/cgroup"

enum { CGROUP2 = 0x63677270, TRIES = 10 };

static bool
is_version_2(void)
{
	struct statfs st;
	return statfs(ROOT, &st) == 0 && (unsigned long)st.f_type == CGROUP2;
}

/* Our own group below ROOT, from the line "0::/path" of /proc/self/cgroup. */
static int
own_path(struct buf *path)
{
	struct buf b = {0};
	int rc = -1;
	if (fsx_read_file(AT_FDCWD, "/proc/self/cgroup", &b, 65536) == 0 && b.n) {
		char *line = strncmp(b.p, "0::/", 4) == 0 ? b.p : strstr(b.p, "\n0::/");
		char *from = line ? strchr(line, '/') : NULL;
		if (from) {
			size_t n = strcspn(from, "\n");
			buf_add(path, from, n == 1 ? 0 : n);
			rc = 0;
		}
	}
	buf_free(&b);
	return rc;
}

static bool
is_delegated(const char *folder)
{
	char value[4] = "";
	return (getxattr(folder, "user.delegate", value, sizeof value) > 0 || getxattr(folder, "trusted.delegate", value, sizeof value) > 0) &&
		value[0] == '1';
}

int
cgroup_make(const char *call, struct buf *path)
{
	struct buf folder = {0};
	int rc = -1;
	if (!is_version_2() || own_path(path) < 0)
		return -1;
	buf_fmt(&folder, ROOT "%s", path->n ? path->p : "");
	/* A call within a call divides what its own supervisor made. */
	const char *last = path->n ? strrchr(path->p, '/') : NULL;
	if (!folder.failed && (is_delegated(folder.p) || (last && strncmp(last, "/dpl-", 5) == 0))) {
		buf_fmt(path, "/dpl-%s", call);
		buf_fmt(&folder, "/dpl-%s", call);
		if (!folder.failed && !path->failed)
			rc = mkdir(folder.p, 0700);
	}
	if (rc < 0)
		buf_clear(path);
	buf_free(&folder);
	return rc;
}

static int
open_procs(const char *path, int flags)
{
	struct buf file = {0};
	buf_fmt(&file, ROOT "%s/cgroup.procs", path);
	int fd = file.failed ? -1 : fsx_open(AT_FDCWD, file.p, flags, 0);
	buf_free(&file);
	return fd;
}

int
cgroup_enter(const char *path, pid_t pid)
{
	char text[24];
	int fd = open_procs(path, O_WRONLY), n = snprintf(text, sizeof text, "%d", (int)pid);
	if (fd < 0)
		return -1;
	int rc = fsx_write(fd, text, (size_t)n);
	close(fd);
	return rc;
}

int
cgroup_each(const char *path, void (*each)(void *arg, int64_t pid), void *arg)
{
	struct buf file = {0}, b = {0};
	buf_fmt(&file, ROOT "%s/cgroup.procs", path);
	int rc = file.failed ? -1 : fsx_read_file(AT_FDCWD, file.p, &b, 1 << 24);
	for (const char *p = b.p; rc == 0 && p && *p;) {
		size_t n = strcspn(p, "\n");
		int64_t pid;
		if (num_int(p, n, 1, INT32_MAX, &pid) == 0)
			each(arg, pid);
		p += n + (p[n] == '\n');
	}
	buf_free(&file);
	buf_free(&b);
	return rc;
}

bool
cgroup_was_oom_killed(const char *path)
{
	static const char member[] = "\noom_kill ";
	struct buf file = {0}, b = {0};
	buf_fmt(&file, ROOT "%s/memory.events", path);
	bool killed = false;
	if (!file.failed && fsx_read_file(AT_FDCWD, file.p, &b, 4096) == 0 && b.n) {
		const char *count = strstr(b.p, member);
		killed = count && count[sizeof member - 1] != '0';
	}
	buf_free(&file);
	buf_free(&b);
	return killed;
}

static void
move_up(void *arg, int64_t pid)
{
	(void)cgroup_enter(arg, (pid_t)pid); /* one that ended meanwhile is gone too */
}

void
cgroup_remove(const char *path)
{
	struct buf folder = {0}, above = {0};
	const char *slash = strrchr(path, '/');
	buf_fmt(&folder, ROOT "%s", path);
	buf_fmt(&above, "%.*s", slash ? (int)(slash - path) : 0, path);
	for (int i = 0; i < TRIES && !folder.failed && !above.failed; i++) {
		if (rmdir(folder.p) == 0 || errno != EBUSY)
			break;
		(void)cgroup_each(path, move_up, above.p ? above.p : (char[]){""});
		usleep(2000); /* what was killed needs a moment to be gone */
	}
	buf_free(&folder);
	buf_free(&above);
}
