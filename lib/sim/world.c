/* world: what a play stands in. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdarg.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "fsx.h"
#include "world.h"

enum {
	DISK_PAGES = 512,
	WAIT_MS = 10000,
	PORT_FIRST = 10000,      /* below those that the kernel gives to connections … */
	PORTS = 20000,
	PORT_TRIES = 20,
};

static bool
has(const struct scenario *s, enum scenario_fault fault)
{
	for (int i = 0; i < s->failures_n; i++)
		if (s->failures[i].fault == fault)
			return true;
	return false;
}

/* Whether the clock of these commands can be set: whether that of this one can. */
static bool
clock_can_step(void)
{
	const char *before = getenv("DPL_TEST_CLOCK");
	char path[] = "/tmp/dpl-sim-clock.XXXXXX";
	int fd = mkstemp(path);
	if (fd < 0)
		return false;
	int64_t ms = clock_wall_ms();
	bool can = fsx_write(fd, "100000\n", 7) == 0 && setenv("DPL_TEST_CLOCK", path, 1) == 0 && clock_wall_ms() - ms > 50000000;
	if (before)
		setenv("DPL_TEST_CLOCK", before, 1);
	else
		unsetenv("DPL_TEST_CLOCK");
	close(fd);
	(void)unlink(path);
	return can;
}

/* Whether this process could have namespaces of that kind: tried in a child, for where that is allowed nobody knows beforehand. */
static bool
can_unshare(int flags)
{
	pid_t pid = fork();
	int status = -1;
	if (pid == 0)
		_exit(unshare(flags) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 ? 0 : 1);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return pid > 0 && status == 0;
}

const char *
world_lacks(const struct scenario *s, const char *ledger)
{
	struct deed d = deed("ip");
	deed_add(&d, "-V");
	if (ledger && (s->served || has(s, FAULT_FULL)))
		return "a ledger of its own, without -C";
	if (ledger && strstr(ledger, ":/") && has(s, FAULT_STEP))
		return "a folder: a server has a clock of its own";
	if (s->apart && (!can_unshare(CLONE_NEWNS | CLONE_NEWNET) || deed_run(&d, NULL) != 0))
		return "root and ip(8), for hosts of its own";
	if (has(s, FAULT_FULL) && !can_unshare(CLONE_NEWNS))
		return "root, for a disk of its own";
	if (has(s, FAULT_STEP) && !clock_can_step())
		return "commands whose clock can be set (build/tools/stepped)";
	return NULL;
}

/* --- a network --- */

/* ip ARGUMENT ..., cut at blanks. */
static int
ip(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static int
ip(const char *fmt, ...)
{
	char line[400];
	struct deed d = deed("ip");
	va_list args;
	va_start(args, fmt);
	vsnprintf(line, sizeof line, fmt, args);
	va_end(args);
	for (char *rest = line, *word; (word = strsep(&rest, " "));)
		deed_add(&d, word);
	return deed_run(&d, NULL);
}

static int
make_network(struct world *w, struct why *why)
{
	snprintf(w->here, sizeof w->here, "dpl-sim-%d-a", (int)getpid());
	snprintf(w->there, sizeof w->there, "dpl-sim-%d-b", (int)getpid());
	int rc = ip("netns add %s", w->here) | ip("netns add %s", w->there) | ip("-n %s link add wire type veth peer name wire netns %s", w->here, w->there) |
		ip("-n %s addr add 10.77.1.1/24 dev wire", w->here) | ip("-n %s addr add 10.77.1.2/24 dev wire", w->there);
	for (int i = 0; i < 2; i++)
		rc |= ip("-n %s link set lo up", i ? w->there : w->here) | ip("-n %s link set wire up", i ? w->there : w->here);
	return rc == 0 ? 0 : why_set(why, ERR_IO, "network namespaces cannot be made");
}

/* A command in a namespace, "" ours. */
static struct deed
in_namespace(const char *name, const char *tool)
{
	static char path[400];
	struct deed d = deed(tool);
	if (!*name)
		return d;
	deed_path(tool, path, sizeof path);
	d = deed("ip");
	deed_option(&d, "netns", "exec");
	deed_option(&d, name, path);
	return d;
}

struct deed
world_deed(const struct world *w, const char *tool)
{
	return in_namespace(w->there, tool);
}

int
world_cut_network(struct world *w, bool cut)
{
	return ip("-n %s link set wire %s", w->there, cut ? "down" : "up") == 0 ? 0 : -1;
}

/* --- a server --- */

/* A port that is still free when the server is started anew: one of those that the kernel gives to connections might be that of a client by
 * then, even of one that tries to reach this very port.  Without one the server takes any. */
static void
choose_port(struct world *w)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
	const int on = 1;
	snprintf(w->port, sizeof w->port, "0");
	for (int i = 0; i < PORT_TRIES && strcmp(w->port, "0") == 0; i++) {
		uint16_t random = 0;
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		(void)!getrandom(&random, sizeof random, GRND_NONBLOCK);
		unsigned port = PORT_FIRST + random % PORTS;
		a.sin_port = htons((uint16_t)port);
		if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0)
			snprintf(w->port, sizeof w->port, "%u", port);
		if (fd >= 0)
			close(fd);
	}
}

static int
start_server(struct world *w, struct why *why)
{
	int fds[2];
	char line[WORLD_PATH] = "";
	size_t n = 0;
	struct deed d = in_namespace(w->here, "dpl-serve");
	deed_option(&d, "-C", w->ledger);
	deed_option(&d, "-l", *w->here ? "10.77.1.1" : "127.0.0.1");
	if (*w->here)
		deed_add(&d, "--insecure"); /* nobody else is in that network */
	if (!*w->port)
		choose_port(w);
	deed_option(&d, "-P", w->port);
	if (pipe2(fds, O_CLOEXEC) < 0)
		return why_errno(why, "a pipe");
	int error = deed_start(&d, fds[1], &w->server);
	close(fds[1]);
	while (error == 0 && n < sizeof line - 1 && !strchr(line, '\n')) {
		ssize_t got = read(fds[0], line + n, sizeof line - 1 - n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		n += (size_t)got;
		line[n] = '\0';
	}
	close(fds[0]);
	char *newline = strchr(line, '\n'), *colon = strrchr(line, ':');
	if (!newline || !colon)
		return why_set(why, ERR_UNREACHABLE, "dpl-serve cannot be started");
	*newline = '\0';
	snprintf(w->url, sizeof w->url, "%s", line);
	snprintf(w->port, sizeof w->port, "%s", colon + 1);
	return 0;
}

int
world_restart_server(struct world *w)
{
	struct why ignored;
	if (w->server <= 0)
		return -1;
	kill(w->server, SIGKILL);
	while (waitpid(w->server, NULL, 0) < 0 && errno == EINTR)
		;
	return start_server(w, &ignored);
}

/* --- a disk --- */

static int
make_disk(struct world *w, struct why *why)
{
	char options[60];
	snprintf(options, sizeof options, "size=%d,mode=0700", DISK_PAGES * 4096);
	if (mkdir(w->ledger, 0700) < 0 || unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mount("tmpfs", w->ledger, "tmpfs", MS_NOSUID | MS_NODEV, options) < 0)
		return why_errno(why, "a disk of its own at %s", w->ledger);
	return 0;
}

void
world_drop_disk(const char *folder)
{
	char path[WORLD_PATH];
	snprintf(path, sizeof path, "%.200s/ledger", folder);
	(void)umount2(path, MNT_DETACH);
}

int
world_fill_disk(struct world *w, bool fill)
{
	static const char zeros[4096];
	char path[WORLD_PATH + 10];
	snprintf(path, sizeof path, "%s/.full", w->ledger);
	if (!fill)
		return unlink(path);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	while (fd >= 0 && write(fd, zeros, sizeof zeros) > 0)
		;
	bool full = fd >= 0 && errno == ENOSPC;
	if (fd >= 0)
		close(fd);
	return full ? 0 : -1;
}

/* --- a clock --- */

int
world_step_clock(struct world *w, int64_t ms)
{
	char text[40];
	int n = snprintf(text, sizeof text, "%lld\n", (long long)(ms / 1000));
	return fsx_put(w->clock, 0600, text, (size_t)n);
}

/* --- all of it --- */

int
world_begin(struct world *w, const struct scenario *s, const char *folder, struct why *why)
{
	*w = (struct world){.server = 0};
	snprintf(w->ledger, sizeof w->ledger, "%.200s/ledger", folder);
	if (has(s, FAULT_STEP)) {
		snprintf(w->clock, sizeof w->clock, "%.200s/clock", folder);
		setenv("DPL_TEST_CLOCK", w->clock, 1);
	}
	if (has(s, FAULT_FULL) && make_disk(w, why) < 0)
		return -1;
	if (s->apart && make_network(w, why) < 0)
		return -1;
	return s->served ? start_server(w, why) : 0;
}

void
world_end(struct world *w)
{
	if (w->server > 0)
		kill(w->server, SIGTERM);
	if (*w->clock)
		unsetenv("DPL_TEST_CLOCK");
	if (*w->here) {
		(void)ip("netns delete %s", w->here);
		(void)ip("netns delete %s", w->there);
	}
}
