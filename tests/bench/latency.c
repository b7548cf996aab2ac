/* latency - how long it takes until others know
 *
 *	latency abort [-n rounds] [-p participants] BIN LEDGER TOLD
 *		An operation in which that many supervisors run `told wait` is aborted; until the last of these has its SIGTERM.
 *		LEDGER may be the URL of a server, which then stands between the one who aborts and the supervisors (`served-abort-…`).
 *	latency death [-n rounds] [-p participants] BIN LEDGER TOLD
 *		One more supervisor is killed (SIGKILL); until its crash.detected is in the journal, until the last of the
 *		others' commands has its SIGTERM (`NAME-told`), and until operation.failed is in the journal (`NAME-failed`).
 *	latency relay|poll|lock [-n rounds] TOLD FOLDER
 *		The floor of all this, and two peers that look every 100 ms: until a change of a file, or the fall of a lock, is known.
 *	latency lines [-n rounds] BIN LEDGER TOLD
 *		Until a line that was appended comes out of `dpl-watch`, and in turn out of `told copy`.
 *
 * Prints `latency NAME p50 p99 rounds lost noisy`, times in microseconds.  Each round has an operation and processes of
 * its own, and begins when all of them wait and watch and all processors have been idle for 50 ms; where that does not come about
 * in half a second (-w seconds) it is counted as noisy.  The time begins before the change is made, with its lock and its
 * write (`NAME-after`: when that has returned), so nothing is left out. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dpl.h"
#include "told.h"

enum { ROUNDS_MAX = 10000, READY_MS = 5000, LATE_MS = 3000, LOOK_US = 300, SETTLE_MS = 30, AWAY_MS = 300, TRIES = 5, QUIET_TICKS = 5,
	REST_MS = 20 /* twice that between two lines: dpl-watch lets more that come together pile up */ };

extern char **environ;

static const char *bin, *ledger, *told;
static struct slot *slots;
static int shared;
static bool away; /* the ledger is a server's */
static pid_t pids[SLOTS];
static int noisy; /* rounds that began while others computed */
static int patience = 10; /* how often a round is put off for that, 50 ms each */

static volatile sig_atomic_t stopped;

static void
on_signal(int sig)
{
	(void)sig;
	stopped = 1;
}

static _Noreturn void __attribute__((format(printf, 1, 2)))
die(const char *fmt, ...)
{
	va_list ap;
	fputs("latency: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	for (int i = 0; i < SLOTS; i++)
		if (pids[i] > 0)
			kill(pids[i], SIGTERM);
	exit(2);
}

/* What was started must not outlive us. */
static void
go_on(void)
{
	if (stopped)
		die("stopped by a signal");
}

/* --- figures --- */

struct series {
	const char *name;
	double us[ROUNDS_MAX];
	int n, lost; /* lost: never came */
};

static void
add(struct series *s, int64_t from_ns, int64_t to_ns)
{
	if (to_ns)
		s->us[s->n++] = (double)(to_ns - from_ns) / 1e3;
	else
		s->lost++;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void
print(struct series *s)
{
	if (!s->n)
		die("%s: nothing came", s->name);
	qsort(s->us, (size_t)s->n, sizeof *s->us, compare);
	printf("latency %s %.0f %.0f %d %d %d\n", s->name, s->us[s->n / 2], s->us[(int)(0.99 * (s->n - 1) + 0.5)], s->n, s->lost, noisy);
}

/* --- processes --- */

static pid_t
start(char *const argv[], int out)
{
	pid_t pid;
	posix_spawn_file_actions_t files;
	go_on();
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	if (out >= 0)
		posix_spawn_file_actions_adddup2(&files, out, 1);
	int e = posix_spawnp(&pid, argv[0], &files, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&files);
	if (e)
		die("%s: %s", argv[0], strerror(e));
	return pid;
}

/* How many watches a process has. */
static int
watches(pid_t pid)
{
	char path[300], text[4096];
	int n = 0;
	struct dirent *e;
	snprintf(path, sizeof path, "/proc/%d/fdinfo", (int)pid);
	DIR *d = opendir(path);
	while (d && (e = readdir(d))) {
		snprintf(path, sizeof path, "/proc/%d/fdinfo/%.100s", (int)pid, e->d_name);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t size = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
		if (fd >= 0)
			close(fd);
		text[size > 0 ? size : 0] = '\0';
		for (char *p = text; (p = strstr(p, "inotify wd")); p++)
			n++;
	}
	if (d)
		closedir(d);
	return n;
}

/* The time that all processors together have been idle, in ticks. */
static long
idle_ticks(void)
{
	char text[200] = "";
	long user, nice, system, idle = 0;
	int fd = open("/proc/stat", O_RDONLY | O_CLOEXEC);
	(void)!read(fd, text, sizeof text - 1);
	close(fd);
	(void)!sscanf(text, "cpu %ld %ld %ld %ld", &user, &nice, &system, &idle);
	return idle;
}

/* Until nobody else computes, for a while at most. */
static void
wait_quiet(void)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN), tick_us = 1000000 / sysconf(_SC_CLK_TCK);
	for (int i = 0; i < patience; i++) {
		long before = idle_ticks();
		usleep((useconds_t)(QUIET_TICKS * tick_us));
		if (idle_ticks() - before >= processors * QUIET_TICKS - 1)
			return;
	}
	noisy++;
}

/* Until slots 0 … n-1 are ready, and processes 0 … n-1 have `least` watches.  False where that does not come about. */
static bool
wait_ready(int n, int least)
{
	int64_t end = now_ns() + READY_MS * INT64_C(1000000);
	for (int i = 0; i < n; i++)
		while (!slots[i].ready || watches(pids[i]) < least) {
			if (now_ns() > end)
				return false;
			go_on();
			usleep(1000);
		}
	/* Whether one waits at a server can be seen from nowhere. */
	usleep((away ? AWAY_MS : SETTLE_MS) * 1000);
	wait_quiet();
	return true;
}

/* When the last of slots from … n-1 was told; 0: one never was. */
static int64_t
last_told(int from, int n)
{
	int64_t last = 0, end = now_ns() + LATE_MS * INT64_C(1000000);
	for (int i = from; i < n; i++) {
		/* Seldom, so that looking disturbs nobody. */
		while (!slots[i].told_ns && now_ns() < end) {
			go_on();
			usleep(20000);
		}
		if (!slots[i].told_ns)
			return 0;
		if (slots[i].told_ns > last)
			last = slots[i].told_ns;
	}
	return last;
}

static void
reap(int n)
{
	for (int i = 0; i < n; i++) {
		while (waitpid(pids[i], NULL, 0) < 0 && errno == EINTR)
			;
		pids[i] = 0;
		slots[i] = (struct slot){.ready = 0};
	}
}

/* --- supervisors --- */

static struct dpl *dpl;
static char operation[300];

static void
done(int status)
{
	if (status)
		die("%s", dpl_error(dpl));
}

/* A new operation with `n` participants, each of which supervises a `told wait`; whether all of them watch. */
static bool
try_supervisors(int n)
{
	char name[20], number[20], call[4100], fd[20];
	done(dpl_create(dpl, "bench", "latency"));
	snprintf(operation, sizeof operation, "%s", dpl_string(dpl, "operationId"));
	snprintf(call, sizeof call, "%s/dpl-call", bin);
	snprintf(fd, sizeof fd, "%d", shared);
	for (int i = 0; i < n; i++) {
		snprintf(name, sizeof name, "p%d", i);
		snprintf(number, sizeof number, "%d", i);
		done(dpl_join(dpl, operation, name));
		char *argv[] = {call, "-q", "-C", (char *)(uintptr_t)ledger, "-o", operation, "-p", name, "--", (char *)(uintptr_t)told, "wait", fd, number, NULL};
		pids[i] = start(argv, -1);
	}
	return wait_ready(n, away ? 0 : 2);
}

static void
start_supervisors(int n)
{
	for (int try = 0; !try_supervisors(n); try++) {
		/* Others may use up the inotify instances for a while. */
		if (try == TRIES)
			die("not all of %d supervisors watch: too few inotify instances?", n);
		for (int i = 0; i < n; i++)
			kill(pids[i], SIGTERM);
		reap(n);
	}
}

static void
measure_abort(int rounds, int n)
{
	static struct series until, after;
	char names[2][40];
	const char *way = away ? "served-" : "";
	snprintf(names[0], sizeof names[0], "%sabort-%d", way, n);
	snprintf(names[1], sizeof names[1], "%sabort-%d-after", way, n);
	until.name = names[0];
	after.name = names[1];
	for (int i = 0; i < rounds; i++) {
		start_supervisors(n);
		int64_t before = now_ns();
		done(dpl_abort(dpl, operation, "bench", "measured"));
		int64_t then = now_ns(), told_ns = last_told(0, n);
		add(&until, before, told_ns);
		add(&after, then, told_ns);
		reap(n);
	}
	print(&until);
	print(&after);
}

/* What the journal got since. */
static char added[1 << 20];
static size_t added_n;

/* Wait until the journal has the entry; when that was seen, 0: never.  Without `events` it is looked at now and then: each write would
 * wake us, and we should take the processor of those who are measured. */
static int64_t
wait_entry(int journal, int events, const char *what)
{
	char ignored[4096];
	struct pollfd p = {.fd = events, .events = POLLIN};
	int64_t end = now_ns() + LATE_MS * INT64_C(1000000);
	while (!strstr(added, what)) {
		ssize_t got = read(journal, added + added_n, sizeof added - 1 - added_n);
		if (got > 0) {
			added[added_n += (size_t)got] = '\0';
			continue;
		}
		if (now_ns() > end)
			return 0;
		if (events < 0)
			usleep(LOOK_US);
		else if (poll(&p, 1, LATE_MS) > 0)
			(void)!read(events, ignored, sizeof ignored);
	}
	return now_ns();
}

static void
measure_death(int rounds, int n)
{
	static struct series recorded, known, failed;
	char names[3][40], path[4500];
	snprintf(names[0], sizeof names[0], "death-%d", n);
	snprintf(names[1], sizeof names[1], "death-%d-told", n);
	snprintf(names[2], sizeof names[2], "death-%d-failed", n);
	recorded.name = names[0];
	known.name = names[1];
	failed.name = names[2];
	for (int i = 0; i < rounds; i++) {
		start_supervisors(n + 1);
		snprintf(path, sizeof path, "%s/%s/journal.jsonl", ledger, operation);
		int journal = open(path, O_RDONLY | O_CLOEXEC), events = inotify_init1(IN_CLOEXEC);
		if (journal < 0 || lseek(journal, 0, SEEK_END) < 0 || events < 0 || inotify_add_watch(events, path, IN_MODIFY) < 0)
			die("%s: %s", path, strerror(errno));
		int64_t before = now_ns();
		kill(pids[0], SIGKILL);
		added_n = 0;
		added[0] = '\0';
		add(&recorded, before, wait_entry(journal, events, "\"crash.detected\""));
		close(events);
		add(&failed, before, wait_entry(journal, -1, "\"operation.failed\""));
		add(&known, before, last_told(1, n + 1));
		close(journal);
		reap(n + 1);
	}
	print(&recorded);
	print(&known);
	print(&failed);
}

/* --- the floor and peers --- */

static void
measure_file(const char *what, int rounds, const char *folder)
{
	static struct series s;
	char path[4200], fd[20];
	bool lock = strcmp(what, "lock") == 0;
	s.name = what;
	snprintf(path, sizeof path, "%s/changed", folder);
	snprintf(fd, sizeof fd, "%d", shared);
	char *argv[] = {(char *)(uintptr_t)told, (char *)(uintptr_t)what, fd, "0", path, NULL};
	for (int i = 0; i < rounds; i++) {
		int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (file < 0 || flock(file, LOCK_EX) < 0)
			die("%s: %s", path, strerror(errno));
		pids[0] = start(argv, -1);
		if (!wait_ready(1, strcmp(what, "relay") == 0))
			die("%s %s does not get ready", told, what);
		usleep((useconds_t)(i * 7919 % 100) * 1000); /* at no particular moment of its sleep */
		int64_t before = now_ns();
		if (lock)
			flock(file, LOCK_UN);
		else
			futimens(file, NULL);
		add(&s, before, last_told(0, 1));
		close(file);
		reap(1);
	}
	print(&s);
}

/* --- lines --- */

/* Until something comes out of the pipe; 0: never. */
static int64_t
comes_out(int fd)
{
	char text[8192];
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int64_t seen = poll(&p, 1, LATE_MS) > 0 ? now_ns() : 0;
	if (seen)
		(void)!read(fd, text, sizeof text);
	return seen;
}

static int
start_reader(char *const argv[], int i)
{
	int out[2];
	if (pipe2(out, O_CLOEXEC) < 0)
		die("pipe: %s", strerror(errno));
	pids[i] = start(argv, out[1]);
	close(out[1]);
	slots[i].ready = 1;
	return out[0];
}

static void
measure_lines(int rounds)
{
	static struct series line, copied;
	char path[4500], program[4100];
	line.name = "line";
	copied.name = "copy";
	done(dpl_create(dpl, "bench", "lines"));
	snprintf(operation, sizeof operation, "%s", dpl_string(dpl, "operationId"));
	snprintf(program, sizeof program, "%s/dpl-watch", bin);
	snprintf(path, sizeof path, "%s/copied", ledger);
	int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	char *watch[] = {program, "--json", "-C", (char *)(uintptr_t)ledger, "-o", operation, NULL};
	char *copy[] = {(char *)(uintptr_t)told, "copy", path, NULL};
	if (file < 0)
		die("%s: %s", path, strerror(errno));
	int lines = start_reader(watch, 0), bytes = start_reader(copy, 1);
	if (!wait_ready(2, 1))
		die("the readers do not get ready");
	for (int i = 0; i < rounds; i++) {
		char text[250];
		memset(text, 'x', sizeof text);
		int64_t before = now_ns();
		done(dpl_log(dpl, operation, "bench", "info", "a line of the log, as long as they often are"));
		add(&line, before, comes_out(lines));
		usleep(REST_MS * 1000);
		before = now_ns();
		if (write(file, text, sizeof text) < 0)
			die("%s: %s", path, strerror(errno));
		add(&copied, before, comes_out(bytes));
		usleep(REST_MS * 1000);
	}
	kill(pids[0], SIGTERM);
	kill(pids[1], SIGTERM);
	reap(2);
	print(&line);
	print(&copied);
}

int
main(int argc, char **argv)
{
	int rounds = 100, participants = 1;
	char error[300];
	const char *what = argc > 1 ? argv[1] : "";
	argc--, argv++;
	for (int o; (o = getopt(argc, argv, "n:p:w:")) != -1;)
		switch (o) {
		case 'n': rounds = (int)strtol(optarg, NULL, 10); break;
		case 'p': participants = (int)strtol(optarg, NULL, 10); break;
		case 'w': patience = (int)strtol(optarg, NULL, 10) * 20; break;
		default: die("see the comment at the head of latency.c");
		}
	argv += optind;
	argc -= optind;
	if (rounds < 1 || rounds > ROUNDS_MAX || participants < 1 || participants >= SLOTS)
		die("too few or too many");
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	shared = memfd_create("told", 0); /* inherited by all */
	if (shared < 0 || ftruncate(shared, sizeof *slots * SLOTS) < 0 ||
	    (slots = mmap(NULL, sizeof *slots * SLOTS, PROT_READ | PROT_WRITE, MAP_SHARED, shared, 0)) == MAP_FAILED)
		die("shared memory: %s", strerror(errno));
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 2 && (strcmp(what, "relay") == 0 || strcmp(what, "poll") == 0 || strcmp(what, "lock") == 0)) {
		told = argv[0];
		measure_file(what, rounds, argv[1]);
		return 0;
	}
	if (argc != 3)
		die("see the comment at the head of latency.c");
	bin = argv[0];
	ledger = argv[1];
	told = argv[2];
	away = strstr(ledger, "://");
	setenv("DPL_SYNC", "off", 1);
	if (!(dpl = dpl_open(ledger, error, sizeof error)))
		die("%s", error);
	if (strcmp(what, "abort") == 0)
		measure_abort(rounds, participants);
	else if (strcmp(what, "death") == 0)
		measure_death(rounds, participants);
	else if (strcmp(what, "lines") == 0)
		measure_lines(rounds);
	else
		die("abort, death, relay, poll, lock or lines?");
	dpl_close(dpl);
	return 0;
}
