/* power - what a power cut leaves of a ledger
 *
 *	power run [-r seed] [-n cuts] [-w least_ms] folder image seen
 *	power check folder seen N
 *
 * `run`: workers run commands on operations that come and go, in ledgers in `folder`, which is on the filesystem that is in the file `image`.
 * Each change that a command acknowledged by its exit status 0 is a line in seen/acknowledged, which is on another filesystem.  At random
 * moments, `least_ms` apart at least, the image is cloned to image.N: all of it at one instant, as the clone and the writes of the loop device exclude
 * each other.  seen/cuts has for each clone how many bytes of seen/acknowledged there were before it was begun.  The seed repeats the choices, not the moments.
 *
 * `check`: the clone N, mounted at the same place, is held to what was acknowledged before it, used, and held to it again: every change that
 * is flushed by dpl-ledger(5) is there, in the right place; journals are whole lines without a gap, once somebody has written also at their end; no file
 * of `dpl-temp make` is there that is not registered, or that was recorded as removed; the papers of ended operations are whole or absent; a checkpoint gives the state that there
 * is without it; keys are answered as before; operations go on, can be swept and ended, and nothing stays behind.
 *
 * One line of figures goes to stdout, one for each thing that is wrong to stderr; status 1 when there was any. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "entry.h"

#define FICLONE_CALL _IOW(0x94, 9, int) /* FICLONE of linux/fs.h */

/* Of one ledger so few operations end that none is pruned. */
enum { WORKERS = 6, LIVE = 3, OPERATIONS = 8192, HELD = 8, EACH_LEDGER = 12, ID = 72, PATH = 1024, REPLAYS = 3, NONE = -1, BEGUN = -2 };

static const char *folder;
static uint64_t state;
static char out[1 << 18]; /* what the last command said */

static int wrongs;

__attribute__((format(printf, 1, 2))) static void
wrong(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	wrongs++;
	fputs("wrong: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
}

static _Noreturn void
die(const char *what)
{
	fprintf(stderr, "power: %s: %s\n", what, strerror(errno));
	exit(2);
}

/* A path in the folder, until the fourth call from here. */
__attribute__((format(printf, 1, 2))) static char *
at(const char *format, ...)
{
	static char paths[4][PATH * 2];
	static int last;
	char *path = paths[last = (last + 1) % 4];
	va_list args;
	int n = snprintf(path, sizeof *paths, "%s/", folder);
	va_start(args, format);
	vsnprintf(path + n, sizeof *paths - (size_t)n, format, args);
	va_end(args);
	return path;
}

static uint32_t
below(uint32_t n)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (uint32_t)((state * UINT64_C(0x2545f4914f6cdd1d)) >> 32) % n;
}

static void
seed_with(uint64_t seed, int who)
{
	state = (seed * 64 + (uint64_t)who + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

/* Run a command with `input`, if any.  What it says goes to out; the result is its status. */
static int
run(const char *const argv[], const char *input)
{
	int to[2], from[2], status;
	size_t n = 0;
	ssize_t r;
	if (pipe2(from, O_CLOEXEC) < 0 || pipe2(to, O_CLOEXEC) < 0)
		die("pipe");
	pid_t pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		dup2(to[0], 0);
		dup2(from[1], 1);
		dup2(from[1], 2);
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	close(to[0]);
	close(from[1]);
	if (input && write(to[1], input, strlen(input)) < 0) /* less than a pipe holds */
		die("write");
	close(to[1]);
	while (n < sizeof out - 1 && ((r = read(from[0], out + n, sizeof out - 1 - n)) > 0 || (r < 0 && errno == EINTR)))
		n += r > 0 ? (size_t)r : 0;
	out[n] = '\0';
	close(from[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static bool
text(const char *json, const char *member, char *to, size_t size)
{
	const char *at = strstr(json, member);
	if (at)
		snprintf(to, size, "%.*s", (int)strcspn(at + strlen(member), "\",}"), at + strlen(member));
	return at;
}

/* --- what was acknowledged --- */

enum what { A_CREATE, A_JOIN, A_LEAVE, A_LOG, A_PROGRESS, A_START, A_END, A_FAIL, A_RUN, A_MAKE, A_ADD, A_REMOVE, A_ABORT, A_CLEAR, A_COMPLETE, A_FAILED, WHATS };
static const char *const names[WHATS] = {"create", "join", "leave", "log", "progress", "start", "end", "fail", "run", "make", "add", "remove", "abort",
	"clear", "complete", "failed"};
static const enum event events[WHATS] = {EVENT_CREATED, EVENT_JOINED, EVENT_LEFT, EVENT_LOG, EVENT_PROGRESS, EVENT_CALL_STARTED, EVENT_CALL_ENDED,
	EVENT_CALL_FAILED, EVENT_CALL_STARTED, EVENT_RESOURCE_ADDED, EVENT_RESOURCE_ADDED, EVENT_RESOURCE_REMOVED, EVENT_ABORT_SET, EVENT_ABORT_CLEARED,
	EVENT_COMPLETED, EVENT_FAILED};

/* --- run --- */

struct shared {
	_Atomic int slot[LIVE]; /* the operations that are worked on, or NONE, or BEGUN while one is made */
	_Atomic int operations, created, stop, wrong;
	_Atomic int64_t commands;
	struct { char id[ID]; int ledger; } op[OPERATIONS];
};

struct seat { /* of a worker at one of the operations that are worked on */
	int op;
	bool joined;
	char call[HELD][ID], path[HELD][PATH];
	int calls, paths;
};

static struct shared *shared;
static struct seat seats[LIVE];
static int me, acks, tokens;
static char my_name[16];

static void
ledger_path(char path[PATH], int ledger)
{
	snprintf(path, PATH, "%s/ledger-%d", folder, ledger);
}

/* A line outside, when the command has returned. */
static void
acknowledged(enum what what, int op, const char *token)
{
	char line[400];
	int n = snprintf(line, sizeof line, "%s %d %s %s\n", names[what], shared->op[op].ledger, shared->op[op].id, token);
	if (write(acks, line, (size_t)n) != n)
		die("seen/acknowledged");
}

static void
is_over(int which, int op)
{
	__atomic_compare_exchange_n((int *)&shared->slot[which], &op, NONE, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* Run a command about the operation of a seat.  Whether it was done; a refusal is nothing wrong. */
static bool
change(int which, const char *by, const char *const more[], const char *const rest[])
{
	char path[PATH];
	struct seat *s = &seats[which];
	const char *argv[40];
	int n = 0;
	ledger_path(path, shared->op[s->op].ledger);
	while (*more)
		argv[n++] = *more++;
	const char *common[] = {"-C", path, "-o", shared->op[s->op].id, "-p", by};
	for (size_t i = 0; i < sizeof common / sizeof *common; i++)
		argv[n++] = common[i];
	while (rest && *rest)
		argv[n++] = *rest++;
	argv[n] = NULL;
	int status = run(argv, NULL);
	shared->commands++;
	if (status == 0)
		return true;
	if (strstr(out, "has ended") || strstr(out, "operation-not-found")) {
		is_over(which, s->op);
	} else if (status == 2 || (status > 6 && status < 122) || status > 123) {
		shared->wrong++;
		wrong("%s %s gave %d: %.600s", argv[0], argv[1], status, out);
	}
	return false;
}

/* A change with a key, which its entry holds.  More members than -j and --key stand in `more`. */
static bool
keyed(int which, enum what what, const char *by, const char *const more[])
{
	char key[40];
	snprintf(key, sizeof key, "K-%d-%d.", me, ++tokens);
	const char *rest[] = {"-j", "--key", key, NULL};
	int op = seats[which].op;
	if (!change(which, by, more, rest) || strstr(out, "\"alreadySet\"") || strstr(out, "\"notSet\""))
		return false;
	acknowledged(what, op, key);
	return true;
}

static void
create(int which)
{
	char key[40], id[ID], path[PATH];
	int none = NONE;
	if (!__atomic_compare_exchange_n((int *)&shared->slot[which], &none, BEGUN, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		return;
	int ledger = shared->created++ / EACH_LEDGER;
	ledger_path(path, ledger);
	snprintf(key, sizeof key, "K-%d-%d.", me, ++tokens);
	const char *argv[] = {"dpl-create", "-j", "-C", path, "-p", "boss", "-d", key, below(2) ? "--key" : NULL, key, NULL};
	int status = run(argv, NULL);
	if (status || !text(out, "\"operationId\":\"", id, sizeof id)) {
		shared->wrong++;
		wrong("dpl-create gave %d: %.600s", status, out);
		shared->slot[which] = NONE;
		return;
	}
	int op = shared->operations++;
	if (op >= OPERATIONS)
		abort();
	shared->op[op].ledger = ledger;
	snprintf(shared->op[op].id, ID, "%s", id);
	acknowledged(A_CREATE, op, key);
	shared->slot[which] = op;
}

static void
sessions(int which, bool leave)
{
	char number[40], session[60];
	struct seat *s = &seats[which];
	const char *join[] = {"dpl-join", NULL};
	if (!keyed(which, A_JOIN, my_name, join))
		return;
	s->joined = true;
	if (!leave || !text(out, "\"sessionId\":", number, sizeof number))
		return;
	snprintf(session, sizeof session, "--session=%s", number);
	const char *go[] = {"dpl-leave", session, NULL};
	keyed(which, A_LEAVE, my_name, go);
}

static void
end_call(int which)
{
	char call[ID];
	struct seat *s = &seats[which];
	int at = (int)below((uint32_t)s->calls);
	memcpy(call, s->call[at], ID);
	memmove(s->call[at], s->call[--s->calls], ID);
	const char *end[] = {"dpl-call", "end", call, NULL}, *fail[] = {"dpl-call", "fail", "-m", "bad", call, NULL};
	bool well = below(3);
	keyed(which, well ? A_END : A_FAIL, my_name, well ? end : fail);
}

static void
make_temp(int which)
{
	char template[60], place[PATH];
	struct seat *s = &seats[which];
	int op = s->op;
	snprintf(template, sizeof template, "T-%d-%d.XXXXXX", me, ++tokens);
	snprintf(place, sizeof place, "--tmpdir=%s/temp", folder);
	const char *argv[] = {"dpl-temp", "make", place, below(3) ? NULL : "-d", NULL}, *rest[] = {template, NULL};
	if (!change(which, my_name, argv, rest))
		return;
	*strchr(template, 'X') = '\0';
	acknowledged(A_MAKE, op, template);
	if (s->paths < HELD)
		snprintf(s->path[s->paths++], PATH, "%.*s", (int)strcspn(out, "\n"), out);
}

static void
remove_temp(int which)
{
	char path[PATH], token[60];
	struct seat *s = &seats[which];
	int at = (int)below((uint32_t)s->paths), op = s->op;
	memcpy(path, s->path[at], PATH);
	memmove(s->path[at], s->path[--s->paths], PATH);
	const char *argv[] = {"dpl-temp", "remove", path, NULL};
	if (!change(which, my_name, argv, NULL))
		return;
	snprintf(token, sizeof token, "%.*s", (int)(strrchr(path, '.') + 1 - (strrchr(path, '/') + 1)), strrchr(path, '/') + 1);
	acknowledged(A_REMOVE, op, token);
}

static void
supervise(int which)
{
	char token[60], script[PATH + 100];
	int op = seats[which].op;
	snprintf(token, sizeof token, "T-%d-%d.", me, ++tokens);
	snprintf(script, sizeof script, "dpl-temp make -q --tmpdir=%s/temp %sXXXXXX && sleep 0.0%u", folder, token, below(5));
	const char *argv[] = {"dpl-call", "-q", "-d", token, below(2) ? "--no-fail-on-crash" : NULL, NULL},
		*rest[] = {"--", "sh", "-c", below(2) ? script : "sleep 0.01", NULL};
	if (change(which, my_name, argv, rest))
		acknowledged(A_RUN, op, token);
}

/* Several requests by one flush. */
static void
batch(int which)
{
	char input[4000], path[PATH], token[60];
	struct seat *s = &seats[which];
	int n = 0, first = tokens + 1, op = s->op;
	const char *id = shared->op[op].id;
	for (int i = 0; i < 6; i++) {
		static const char *const more[] = {"call/start", "log", "call/start"};
		n += snprintf(input + n, sizeof input - (size_t)n, "{\"id\":%d,\"path\":\"/%s%s\",\"key\":\"K-%d-%d.\",\"body\":{\"operationId\":\"%s\","
			"\"participantId\":\"%s\",\"message\":\"m\"}}\n", i, i % 3 == 1 ? "operation/" : "", more[i % 3], me, ++tokens, id, my_name);
	}
	ledger_path(path, shared->op[op].ledger);
	const char *argv[] = {"dpl-batch", "-q", "-C", path, NULL};
	run(argv, input);
	shared->commands++;
	for (char *line = out, *end; (end = strchr(line, '\n')); line = end + 1) {
		int i;
		*end = '\0';
		if (sscanf(line, "{\"id\":%d,\"status\":200", &i) != 1 || !strstr(line, "\"status\":200"))
			continue;
		snprintf(token, sizeof token, "K-%d-%d.", me, first + i);
		acknowledged(i % 3 == 1 ? A_LOG : A_START, op, token);
		if (i % 3 != 1 && s->calls < HELD)
			s->calls += text(line, "\"callId\":\"", s->call[s->calls], ID);
	}
}

static void
progress(int which)
{
	char token[60];
	int op = seats[which].op;
	snprintf(token, sizeof token, "T-%d-%d.", me, ++tokens);
	const char *argv[] = {"dpl-beat", "-q", "-m", token, NULL};
	if (change(which, my_name, argv, NULL))
		acknowledged(A_PROGRESS, op, token);
}

static void
end_operation(int which)
{
	int op = seats[which].op;
	bool failed = below(3) == 0;
	const char *argv[] = {"dpl-complete", "--cancel", failed ? "--failed" : NULL, NULL};
	if (keyed(which, failed ? A_FAILED : A_COMPLETE, "boss", argv))
		is_over(which, op);
}

static void
act(int which)
{
	char undo[60];
	struct seat *s = &seats[which];
	uint32_t what = below(1000);
	if (!s->joined) {
		sessions(which, false);
	} else if (what < 120) {
		const char *argv[] = {"dpl-log", "m", NULL};
		keyed(which, A_LOG, my_name, argv);
	} else if (what < 270 || (what < 400 && !s->calls)) {
		const char *argv[] = {"dpl-call", "start", NULL};
		if (keyed(which, A_START, my_name, argv) && s->calls < HELD)
			s->calls += text(out, "\"callId\":\"", s->call[s->calls], ID);
	} else if (what < 400) {
		end_call(which);
	} else if (what < 480) {
		sessions(which, true);
	} else if (what < 600 || (what < 690 && !s->paths)) {
		make_temp(which);
	} else if (what < 690) {
		remove_temp(which);
	} else if (what < 740) {
		snprintf(undo, sizeof undo, ": %d", ++tokens);
		const char *argv[] = {"dpl-temp", "add", "--command", undo, NULL};
		keyed(which, A_ADD, my_name, argv);
	} else if (what < 850) {
		supervise(which);
	} else if (what < 930) {
		batch(which);
	} else if (what < 960) {
		progress(which);
	} else if (what < 980) {
		const char *set[] = {"dpl-abort", "-m", "stop", NULL}, *off[] = {"dpl-abort", "--clear", NULL};
		keyed(which, A_ABORT, my_name, set);
		keyed(which, A_CLEAR, my_name, off);
	} else if (what < 995) {
		end_operation(which);
	} else {
		const char *argv[] = {"dpl-show", "-j", NULL};
		run(argv, NULL);
	}
}

static void
work(void)
{
	snprintf(my_name, sizeof my_name, "w%d", me);
	while (!shared->stop) {
		int which = (int)below(LIVE), op = shared->slot[which];
		if (op == BEGUN)
			continue;
		if (op != seats[which].op) {
			memset(&seats[which], 0, sizeof *seats);
			seats[which].op = op;
		}
		if (op == NONE)
			create(which);
		else
			act(which);
	}
}

static void
pause_ms(uint32_t ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
	nanosleep(&t, NULL);
}

static void
cut(const char *image, FILE *cuts, int n)
{
	char name[PATH];
	struct stat st;
	snprintf(name, sizeof name, "%s.%d", image, n);
	int from = open(image, O_RDONLY | O_CLOEXEC), to = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (from < 0 || to < 0 || fstat(acks, &st) < 0) /* these count, which are there before the cut begins */
		die(name);
	if (ioctl(to, FICLONE_CALL, from) < 0)
		die("a clone");
	close(from);
	close(to);
	fprintf(cuts, "%d %lld\n", n, (long long)st.st_size);
}

static int
run_all(uint64_t seed, int n, uint32_t least_ms, const char *image, const char *to)
{
	char path[PATH];
	pid_t pid[WORKERS];
	snprintf(path, sizeof path, "%s/acknowledged", to);
	acks = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
	snprintf(path, sizeof path, "%s/cuts", to);
	FILE *cuts = fopen(path, "we");
	snprintf(path, sizeof path, "%s/temp", folder);
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (acks < 0 || !cuts || mkdir(path, 0700) < 0 || shared == MAP_FAILED)
		die(path);
	/* What is there before the first command is nobody's to flush. */
	sync();
	for (int i = 0; i < LIVE; i++)
		shared->slot[i] = seats[i].op = NONE;
	for (me = 0; me < WORKERS; me++) {
		pid[me] = fork();
		if (pid[me] < 0)
			die("fork");
		if (pid[me] == 0) {
			seed_with(seed, me);
			work();
			_exit(0);
		}
	}
	seed_with(seed, WORKERS);
	for (int i = 1; i <= n; i++) {
		pause_ms(least_ms + below(150));
		cut(image, cuts, i);
	}
	shared->stop = 1;
	for (int i = 0; i < WORKERS; i++) {
		int status;
		if (waitpid(pid[i], &status, 0) < 0 || status)
			wrong("a worker ended with %d", status);
	}
	if (fclose(cuts))
		die("seen/cuts");
	printf("%" PRId64 " commands, %d operations\n", (int64_t)shared->commands + shared->created, shared->operations);
	return wrongs || shared->wrong;
}

/* --- check --- */

struct record {
	enum what what;
	int ledger;
	char id[ID], token[40];
};

struct journal {
	char id[ID];
	int ledger;
	bool live, backup, ended, archived, crashed, aborted, torn;
	char *text; /* whole entries, each with its newline */
	size_t n;
	int lines;
};

static struct record *records;
static int record_count;
static struct journal journal[OPERATIONS];
static int journals;
static int unflushed_lost, torn, checkpoints;
static size_t all_lines;

static char *
read_file(const char *path, size_t *n)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) < 0)
		die(path);
	char *p = malloc((size_t)st.st_size + 1);
	ssize_t r = p ? read(fd, p, (size_t)st.st_size) : -1;
	if (r < 0)
		die(path);
	close(fd);
	p[r] = '\0';
	*n = (size_t)r;
	return p;
}

static int
load_records(const char *from, int cut_no)
{
	char path[PATH];
	size_t n, bytes = 0;
	snprintf(path, sizeof path, "%s/cuts", from);
	char *cuts = read_file(path, &n);
	bool found = false;
	for (char *p = cuts, *end; p && (end = strchr(p, '\n')) && !found; p = end + 1) {
		int no;
		found = sscanf(p, "%d %zu", &no, &bytes) == 2 && no == cut_no;
	}
	snprintf(path, sizeof path, "%s/acknowledged", from);
	char *all = read_file(path, &n);
	if (!found || !all || bytes > n) {
		errno = ENOENT;
		die("the cut");
	}
	all[bytes] = '\0';
	for (char *p = all; (p = strchr(p, '\n')); p++)
		record_count++;
	records = calloc((size_t)record_count + 1, sizeof *records);
	if (!records)
		die("memory");
	record_count = 0;
	for (char *p = all, *end; (end = strchr(p, '\n')); p = end + 1) {
		char what[20];
		struct record *r = &records[record_count++];
		if (sscanf(p, "%19s %d %71s %39s\n", what, &r->ledger, r->id, r->token) != 4)
			die("seen/acknowledged");
		while (strcmp(names[r->what], what) != 0)
			r->what++;
	}
	free(all);
	free(cuts);
	return 0;
}

/* The whole entries of a journal; where the rest is something that a writer may cut, that is torn. */
static void
read_journal(struct journal *j, const char *path)
{
	size_t n;
	char *p = read_file(path, &n), *newline;
	if (!p) {
		wrong("%s is missing", path);
		return;
	}
	free(j->text);
	j->text = p;
	j->n = 0;
	j->lines = 0;
	j->ended = j->archived = j->crashed = j->aborted = false;
	for (; (newline = memchr(p, '\n', (size_t)(j->text + n - p))); p = newline + 1) {
		struct entry e;
		const char *why = memchr(p, '\0', (size_t)(newline - p)) ? "NULs" : entry_parse(p, (size_t)(newline - p), &e);
		if (why || e.seq != (uint64_t)++j->lines) {
			if (!memchr(p, '\0', (size_t)(newline - p)))
				wrong("%s:%d: %s", path, j->lines + 1, why ? why : "a gap");
			break;
		}
		j->ended |= e.event == EVENT_COMPLETED || e.event == EVENT_FAILED;
		j->archived |= e.event == EVENT_ARCHIVED;
		j->crashed |= e.event == EVENT_CRASH_DETECTED;
		j->aborted = (j->aborted || e.event == EVENT_ABORT_SET) && e.event != EVENT_ABORT_CLEARED;
	}
	j->n = (size_t)(p - j->text);
	j->torn = j->n < n;
	j->text[j->n] = '\0';
	all_lines += (size_t)j->lines;
}

static void
add_journals(int ledger, bool backup)
{
	const char *place = backup ? "/backup" : "";
	DIR *d = opendir(at("ledger-%d%s", ledger, place));
	for (struct dirent *e; d && (e = readdir(d));) {
		struct journal *j = NULL;
		if (e->d_name[0] != '2')
			continue;
		for (int i = 0; i < journals && !j; i++)
			if (journal[i].ledger == ledger && strcmp(journal[i].id, e->d_name) == 0)
				j = &journal[i];
		if (!j) {
			if (journals == OPERATIONS)
				die("operations");
			j = &journal[journals++];
			snprintf(j->id, ID, "%.71s", e->d_name);
			j->ledger = ledger;
		}
		*(backup ? &j->backup : &j->live) = true;
		read_journal(j, at("ledger-%d%s/%s/journal.jsonl", ledger, place, e->d_name));
		if (j->live && j->backup)
			wrong("%s is live and in backup", j->id);
	}
	if (d)
		closedir(d);
}

static void
load_journals(void)
{
	for (int i = 0; i < journals; i++) {
		free(journal[i].text);
		journal[i] = (struct journal){0};
	}
	journals = 0;
	all_lines = 0;
	int last = 0;
	for (int i = 0; i < record_count; i++)
		last = records[i].ledger > last ? records[i].ledger : last;
	for (int i = 0; i <= last + 1; i++) {
		add_journals(i, false);
		add_journals(i, true);
	}
}

static struct journal *
journal_of(const struct record *r)
{
	for (int i = 0; i < journals; i++)
		if (journal[i].ledger == r->ledger && strcmp(journal[i].id, r->id) == 0)
			return &journal[i];
	return NULL;
}

/* The entry of that event with that token behind `from`. */
static const char *
find(const struct journal *j, enum event event, const char *token, struct entry *e)
{
	for (const char *hit = j->text; hit && (hit = strstr(hit, token)); hit++) {
		const char *line = hit;
		while (line > j->text && line[-1] != '\n')
			line--;
		if (!entry_parse(line, strcspn(line, "\n"), e) && e->event == event)
			return line;
	}
	return NULL;
}

static void
check_records(const char *when)
{
	unflushed_lost = 0;
	for (int i = 0; i < record_count; i++) {
		const struct record *r = &records[i];
		const struct journal *j = journal_of(r);
		char member[100];
		struct entry e;
		bool ends = r->what == A_COMPLETE || r->what == A_FAILED;
		if (!j || !j->text) {
			wrong("%s: %s %s: there is no operation %s in ledger %d", when, names[r->what], r->token, r->id, r->ledger);
			continue;
		}
		if (ends && (j->live || !j->backup || !j->archived))
			wrong("%s: %s %s: %s was ended and is not in backup", when, names[r->what], r->token, r->id);
		const char *line = find(j, events[r->what], r->token, &e);
		if (!line && (r->what == A_LOG || r->what == A_PROGRESS)) {
			unflushed_lost++;
			continue;
		}
		if (!line) {
			wrong("%s: %s %s of %s was acknowledged, and is not there (%d lines%s)", when, names[r->what], r->token, r->id, j->lines, j->torn ? ", torn" : "");
			continue;
		}
		if (r->what == A_MAKE) {
			snprintf(member, sizeof member, "\"event\":\"resource.made\",\"resourceId\":%" PRId64 ",", e.resource_id);
			if (!strstr(line, member))
				wrong("%s: make %s of %s: that it was made is not there", when, r->token, r->id);
		}
		if (r->what == A_RUN) {
			/* An end of the operation may come before its own. */
			char other[100];
			snprintf(member, sizeof member, "\"event\":\"call.ended\",\"callId\":\"%.*s\"", (int)e.call_id.n, e.call_id.p);
			snprintf(other, sizeof other, "\"event\":\"call.cancelled\",\"callId\":\"%.*s\"", (int)e.call_id.n, e.call_id.p);
			if (!strstr(line, member) && !strstr(line, other))
				wrong("%s: run %s of %s: its end is not there", when, r->token, r->id);
		}
	}
}

/* What `dpl-temp make` made is registered.  At the end nothing of it is left. */
static void
check_files(bool end)
{
	char path[PATH];
	snprintf(path, sizeof path, "%s/temp", folder);
	DIR *d = opendir(path);
	if (!d)
		die(path);
	for (struct dirent *f; (f = readdir(d));) {
		struct entry e;
		const char *line = NULL, *removed = NULL;
		if (f->d_name[0] != 'T')
			continue;
		for (int i = 0; i < journals && !line; i++) {
			line = journal[i].text ? find(&journal[i], EVENT_RESOURCE_ADDED, f->d_name, &e) : NULL;
			removed = line ? find(&journal[i], EVENT_RESOURCE_REMOVED, f->d_name, &e) : NULL;
		}
		if (!line)
			wrong("temp/%s is there, and not registered", f->d_name);
		else if (removed && strstr(removed, "of another filesystem)"))
			continue; /* btrfs has another device number at each mount, and the boot is the same: it is left, and named */
		else if (removed)
			wrong("temp/%s is there, and was recorded as %.*s", f->d_name, (int)e.result.n, e.result.p);
		else if (end)
			wrong("temp/%s is left over", f->d_name);
	}
	closedir(d);
}

/* operation.json and operation.log are made before the move, and again where they are not there: whole or not at all. */
static void
check_papers(void)
{
	for (int i = 0; i < journals; i++) {
		size_t n;
		int lines = 0;
		if (!journal[i].backup)
			continue;
		const char *path = at("ledger-%d/backup/%s/operation.json", journal[i].ledger, journal[i].id);
		char *paper = read_file(path, &n);
		if (paper && (n < 3 || paper[0] != '{' || strcmp(paper + n - 2, "}\n") != 0))
			wrong("%s is not whole: %zu bytes", path, n);
		free(paper);
		path = at("ledger-%d/backup/%s/operation.log", journal[i].ledger, journal[i].id);
		paper = read_file(path, &n);
		for (const char *p = paper; p && (p = strchr(p, '\n')); p++)
			lines++;
		if (paper && (lines != journal[i].lines || strlen(paper) != n))
			wrong("%s has %d lines for %d entries", path, lines, journal[i].lines);
		free(paper);
	}
}

/* Run a command of the check: its status must be one of those in the text. */
static int
must(const char *best, const char *const argv[])
{
	char all[600] = "", number[8];
	int status = run(argv, NULL);
	snprintf(number, sizeof number, " %d ", status);
	if (strstr(best, number))
		return status;
	for (int i = 0; argv[i]; i++)
		snprintf(all + strlen(all), sizeof all - strlen(all), " %s", argv[i]);
	wrong("%s gave %d, not%s: %.600s", all, status, best, out);
	return status;
}

/* The ids in an answer, in a row. */
static char *
ids(void)
{
	char *all = calloc(1, sizeof out), *end = all;
	if (!all)
		die("memory");
	for (const char *p = out; (p = strstr(p, "\"callId\":\"")); p++) {
		size_t n = strcspn(p += 10, "\"");
		memcpy(end, p, n);
		end += n;
	}
	return all;
}

/* What the checkpoint holds is what the journal says. */
static void
check_checkpoint(const struct journal *j, const char *ledger)
{
	const char *path = at("ledger-%d/%s/checkpoint", j->ledger, j->id);
	if (access(path, F_OK) < 0)
		return;
	checkpoints++;
	const char *argv[] = {"dpl-call", "list", "-j", "-C", ledger, "-o", j->id, NULL};
	must(" 0 ", argv);
	char *with = ids();
	unlink(path);
	must(" 0 ", argv);
	char *without = ids();
	if (strcmp(with, without) != 0)
		wrong("%s: the checkpoint says that these calls run: %s; the journal: %s", j->id, with, without);
	free(with);
	free(without);
}

/* The next commands, at an operation that is live. */
static void
go_on(const struct journal *j)
{
	char ledger[PATH];
	const char *const id = j->id, *may = j->ended ? " 5 6 " : j->crashed ? " 0 5 6 " : " 0 ";
	ledger_path(ledger, j->ledger);
	const char *show[] = {"dpl-show", "-j", "-C", ledger, id, NULL}, *list[] = {"dpl-log", "-q", "-C", ledger, "-o", id, NULL};
	const char *log[] = {"dpl-log", "-C", ledger, "-o", id, "-p", "boss", "after", NULL};
	const char *start[] = {"dpl-call", "start", "-q", "-C", ledger, "-o", id, "-p", "boss", NULL};
	check_checkpoint(j, ledger);
	must(" 0 ", show);
	must(" 0 ", list);
	must(may, log);
	/* Somebody has looked by now, and a supervisor was found dead, perhaps. */
	int status = must(j->ended ? " 5 6 " : j->aborted ? " 4 5 " : " 0 5 ", start);
	if (status == 5 && !j->ended && (run(show, NULL) != 0 || (!strstr(out, "\"crashed\":true") && !strstr(out, "\"crashedAt\":\""))))
		wrong("%s: a start was refused by 5 without a crash: %.300s", id, out);
}

/* Of the last changes with a key: again it is the same answer, and no second change. */
static void
replay(void)
{
	for (int i = record_count - 1, n = 0; i >= 0 && n < REPLAYS; i--) {
		const struct record *r = &records[i];
		char ledger[PATH], id[ID] = "";
		struct entry e;
		const struct journal *j = journal_of(r);
		const char *line = j && j->text ? find(j, EVENT_CREATED, r->token, &e) : NULL;
		if (r->what != A_CREATE || !line || !e.key.n)
			continue;
		ledger_path(ledger, r->ledger);
		const char *again[] = {"dpl-create", "-j", "-C", ledger, "-p", "boss", "-d", r->token, "--key", r->token, NULL};
		must(" 0 ", again);
		if (!text(out, "\"operationId\":\"", id, sizeof id) || strcmp(id, r->id) != 0)
			wrong("the key %s gave %s once and %s after the cut", r->token, r->id, id);
		n++;
	}
}

static int
check_all(const char *from, int cut_no)
{
	char ledger[PATH];
	load_records(from, cut_no);
	load_journals();
	size_t lines = all_lines;
	for (int i = 0; i < journals; i++)
		torn += journal[i].torn;
	check_records("at first");
	int lost = unflushed_lost;
	check_files(false);
	check_papers();
	replay();
	int live = 0;
	for (int i = 0; i < journals; i++) {
		if (!journal[i].live)
			continue;
		live++;
		go_on(&journal[i]);
	}
	int last = -1;
	for (int i = 0; i < journals; i++)
		last = journal[i].ledger > last ? journal[i].ledger : last;
	for (int i = last > 1 ? last - 1 : 0; i <= last; i++) {
		ledger_path(ledger, i);
		const char *sweep[] = {"dpl-cleanup", "--sweep", "-t", "20s", "-C", ledger, NULL};
		must(" 0 1 ", sweep);
	}
	for (int i = 0; i < journals; i++) {
		if (!journal[i].live)
			continue;
		ledger_path(ledger, journal[i].ledger);
		const char *end[] = {"dpl-complete", "-q", "--cancel", "-C", ledger, "-o", journal[i].id, "-p", "boss", NULL};
		must(" 0 3 5 6 ", end);
	}
	snprintf(ledger, sizeof ledger, "%s/new", folder);
	const char *create[] = {"dpl-create", "-q", "-C", ledger, NULL};
	must(" 0 ", create);
	load_journals();
	for (int i = 0; i < journals; i++)
		if (journal[i].live || journal[i].torn || !journal[i].archived)
			wrong("%s is %s in the end", journal[i].id, journal[i].torn ? "torn" : "still live");
	check_records("in the end");
	check_files(true);
	check_papers();
	printf("%d acknowledged, %d operations (%d live), %zu entries, %d torn, %d checkpoints, %d unflushed lost\n", record_count, journals, live, lines, torn,
		checkpoints, lost);
	return wrongs > 0;
}

int
main(int argc, char *argv[])
{
	uint64_t seed = 1;
	int n = 20, least = 20;
	bool checks = argc > 1 && strcmp(argv[1], "check") == 0;
	if (argc < 2)
		return 2;
	optind = 2;
	for (int c; (c = getopt(argc, argv, "r:n:w:")) != -1;) {
		if (c == 'r')
			seed = strtoull(optarg, NULL, 10);
		else if (c == 'n')
			n = (int)strtol(optarg, NULL, 10);
		else if (c == 'w')
			least = (int)strtol(optarg, NULL, 10);
		else
			return 2;
	}
	if (argc - optind != 3)
		return 2;
	signal(SIGPIPE, SIG_IGN);
	folder = argv[optind];
	return checks ? check_all(argv[optind + 1], (int)strtol(argv[optind + 2], NULL, 10)) : run_all(seed, n, (uint32_t)least, argv[optind + 1], argv[optind + 2]);
}
