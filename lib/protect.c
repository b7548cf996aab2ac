/* protect: the paths that are never deleted, whoever registered them. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fsx.h"
#include "protect.h"
#include "text.h"

enum { PASSWD_MAX = 16 << 20 };

struct question {
	const char *path;
	const struct protect_found *found;
	struct why *why;
};

/* Whether `at` is the path or stands below it. */
static bool
covers(const char *path, const char *at)
{
	size_t n = strlen(path);
	return strncmp(at, path, n) == 0 && (at[n] == '/' || at[n] == '\0');
}

static bool
refuse(const struct question *q, const char *what)
{
	struct buf shown = {0};
	text_show(&shown, q->path, strlen(q->path));
	why_set(q->why, ERR_PROTECTED, "%.400s %s", shown.p ? shown.p : "it", what);
	buf_free(&shown);
	return true;
}

static bool
is_folder_found(const struct question *q, const char *path)
{
	struct stat st;
	return q->found && q->found->folder && stat(path, &st) == 0 && st.st_ino == q->found->inode && st.st_dev == q->found->device;
}

/* Whether the path is `at` or one of its parents, by name or by what stands there. */
static bool
holds(const struct question *q, const char *at)
{
	char part[PATH_MAX];
	size_t n = strlen(at);
	if (covers(q->path, at))
		return true;
	if (n >= sizeof part || !q->found || !q->found->folder)
		return false;
	memcpy(part, at, n + 1);
	do {
		if (is_folder_found(q, part))
			return true;
		char *slash = strrchr(part, '/');
		if (slash)
			*slash = '\0';
	} while (part[0]);
	return false;
}

/* --- what every system has --- */

static bool
is_of_the_system(const struct question *q)
{
	static const char *const whole[] = {"/proc", "/sys"};
	static const char *const only[] = {"/dev/shm", "/dev/mqueue", "/run/user", "/run/lock", "/tmp", "/var/tmp"};
	for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
		if (covers(whole[i], q->path))
			return refuse(q, "belongs to the kernel");
	for (size_t i = 0; i < sizeof only / sizeof *only; i++)
		if (covers(q->path, only[i]))
			return refuse(q, "belongs to the system");
	if (!strchr(q->path + 1, '/'))
		return refuse(q, "stands directly below /");
	if (strncmp(q->path, "/run/user/", 10) == 0 && !strchr(q->path + 10, '/'))
		return refuse(q, "belongs to the system");
	if (covers("/dev", q->path) && !covers("/dev/shm", q->path) && !covers("/dev/mqueue", q->path))
		return refuse(q, "belongs to the system");
	return false;
}

/* --- homes --- */

static bool
has_links(const char *path)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS};
	int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
	if (fd >= 0)
		close(fd);
	return fd < 0 && errno == ELOOP;
}

static bool
is_home(const struct question *q, const char *home)
{
	char real[PATH_MAX];
	if (home[0] != '/')
		return false;
	if (covers(q->path, home))
		return true;
	/* Under another name it can only be a home if it is there, and a folder. */
	if (!q->found || !q->found->folder)
		return false;
	if (!strstr(home, "//") && !strstr(home, "/.") && !has_links(home))
		return false;
	return realpath(home, real) && covers(q->path, real);
}

/* Whether it is a home of this line of the password file, NAME:x:UID:GID:TEXT:HOME:SHELL; changes the line. */
static bool
is_home_of_line(const struct question *q, char *line)
{
	for (int i = 0; line && i < 5; i++) {
		line = strchr(line, ':');
		line = line ? line + 1 : NULL;
	}
	if (!line)
		return false;
	line[strcspn(line, ":")] = '\0';
	return is_home(q, line);
}

static enum protection
protect_homes(const struct question *q)
{
	struct buf file = {0};
	bool found = false;
	if (fsx_read_file(AT_FDCWD, "/etc/passwd", &file, PASSWD_MAX) < 0 && errno != ENOENT) {
		buf_free(&file);
		refuse(q, "may be a home: /etc/passwd cannot be read");
		return PROTECT_NOW;
	}
	for (char *line = file.p; line && *line && !found;) {
		char *end = strchr(line, '\n');
		if (end)
			*end = '\0';
		found = is_home_of_line(q, line);
		line = end ? end + 1 : NULL;
	}
	buf_free(&file);
	if (found) {
		refuse(q, "is somebody's home, or holds it");
		return PROTECT_EVER;
	}
	const char *own = getenv("HOME");
	if (!own || (!is_home(q, own) && (own[0] != '/' || !is_folder_found(q, own))))
		return PROTECT_NOT;
	refuse(q, "is your home ($HOME), or holds it");
	return PROTECT_HOME;
}

enum protection
protect_path(const char *path, const char *ledger, const struct protect_found *found, struct why *why)
{
	struct question q = {path, found, why};
	char here[PATH_MAX];
	if (path[strspn(path, "/")] == '\0') {
		why_set(why, ERR_PROTECTED, "/ is the root folder");
		return PROTECT_EVER;
	}
	if (is_of_the_system(&q))
		return PROTECT_EVER;
	if (ledger && covers(ledger, path)) {
		refuse(&q, "is the ledger, or in it");
		return PROTECT_EVER;
	}
	if (ledger && holds(&q, ledger)) {
		refuse(&q, "holds the ledger");
		return PROTECT_EVER;
	}
	enum protection home = protect_homes(&q);
	if (home != PROTECT_NOT)
		return home;
	/* Linux says "(unreachable)…" where it is not below the root folder. */
	if (getcwd(here, sizeof here) && here[0] == '/' && holds(&q, here)) {
		refuse(&q, "holds the working folder");
		return PROTECT_HERE;
	}
	return PROTECT_NOT;
}
