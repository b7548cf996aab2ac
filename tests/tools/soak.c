/* soak - many processes change one operation while they are killed at random; then check
 *
 *	soak [-r seed] [-s seconds] ledger operation
 *
 * Eight workers run the commands one after the other, some 40 % of them killed with SIGKILL within
 * two milliseconds, while two readers look on.  Every change has a token of its own.  In the end:
 * the seqs have no gap, a change that was acknowledged stands at the seq it was given, one that was
 * not is there at most once, one with a key exactly once.  One line of figures goes to stdout;
 * status 1 when something was wrong. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WORKERS = 8, READERS = 2, MOST = 20000, CALLS = 16, KILLED = 1000, TTL = 10000000 };

struct record {
	char event[24];
	int64_t seq;       /* what was acknowledged, 0: nothing */
	int64_t session;   /* of a leave */
	bool token;        /* the entry carries T-worker-number, or a ttl of that number */
	bool keyed;
	int found;
};

struct worker {
	int n;             /* records */
	int commands, kills, wrong;
	struct record record[MOST];
};

static const char *ledger, *operation;
static int64_t deadline_ms;
static uint64_t state;

static int64_t
now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static uint32_t
below(uint32_t n)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (uint32_t)((state * UINT64_C(0x2545f4914f6cdd1d)) >> 32) % n;
}

/* Run a command, killed after kill_us microseconds (-1: never).  Its output goes to out[size]; the
 * result is its status, KILLED where the signal was first. */
static int
run(char *const argv[], long kill_us, char *out, size_t size)
{
	int fd[2], status;
	size_t n = 0;
	ssize_t r;
	if (pipe2(fd, O_CLOEXEC) < 0)
		abort();
	pid_t pid = fork();
	if (pid < 0)
		abort();
	if (pid == 0) {
		dup2(fd[1], 1);
		execvp(argv[0], argv);
		_exit(127);
	}
	close(fd[1]);
	if (kill_us >= 0) {
		struct timespec t = {.tv_nsec = kill_us * 1000};
		nanosleep(&t, NULL);
		kill(pid, SIGKILL);
	}
	while ((r = read(fd[0], out + n, size - 1 - n)) > 0 || (r < 0 && errno == EINTR))
		if (r > 0 && (n += (size_t)r) == size - 1)
			n = 0; /* only the end matters, and nothing is that long */
	out[n] = '\0';
	close(fd[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status) == SIGKILL ? KILLED : 128 + WTERMSIG(status);
}

static int64_t
number(const char *json, const char *member)
{
	const char *at = strstr(json, member);
	return at ? strtoll(at + strlen(member), NULL, 10) : -1;
}

/* --- a worker --- */

struct hand {
	struct worker *w;
	int no;
	char name[16];
	char call[CALLS][72]; /* running, started by this one */
	int calls;
	char out[65536];
};

/* Run one change, with a key again and again until it is done.  0 done, with h->out; 1 not, or not known. */
static int
change(struct hand *h, struct record *r, const char *const more[], int quiet_status)
{
	char key[40];
	const char *argv[40];
	int n = 0;
	r->keyed = below(3) == 0;
	while (*more)
		argv[n++] = *more++;
	argv[n++] = "-j";
	argv[n++] = "-C";
	argv[n++] = ledger;
	argv[n++] = "-o";
	argv[n++] = operation;
	argv[n++] = "-p";
	argv[n++] = h->name;
	if (r->keyed) {
		snprintf(key, sizeof key, "--key=K-%d-%d", h->no, h->w->n);
		argv[n++] = key;
	}
	argv[n] = NULL;
	h->w->n++;
	for (;;) {
		long kill_us = below(10) < 4 ? (long)below(2000) : -1;
		int status = run((char *const *)(uintptr_t)argv, kill_us, h->out, sizeof h->out);
		h->w->commands++;
		h->w->kills += status == KILLED;
		if (status == 0) {
			r->seq = number(h->out, "\"seq\":");
			return 0;
		}
		if (status != KILLED && status != quiet_status) {
			if (++h->w->wrong <= 3)
				fprintf(stderr, "soak: %s %s gave %d: %s\n", argv[0], argv[1], status, h->out);
			return 1;
		}
		if (status != KILLED || !r->keyed)
			return 1;
	}
}

static struct record *
next_record(struct hand *h, const char *event, bool token)
{
	struct record *r = &h->w->record[h->w->n];
	snprintf(r->event, sizeof r->event, "%s", event);
	r->token = token;
	return r;
}

static void
start_call(struct hand *h, const char *token)
{
	const char *argv[] = {"dpl-call", "start", "-d", token, NULL};
	struct record *r = next_record(h, "call.started", true);
	if (change(h, r, argv, 4) != 0)
		return;
	const char *id = strstr(h->out, "\"callId\":\"");
	if (id && h->calls < CALLS)
		snprintf(h->call[h->calls++], sizeof *h->call, "%.*s", (int)strcspn(id + 10, "\""), id + 10);
}

static void
end_call(struct hand *h, const char *token)
{
	int which = (int)below((uint32_t)h->calls);
	char call[72];
	memcpy(call, h->call[which], sizeof call);
	memcpy(h->call[which], h->call[--h->calls], sizeof call);
	if (below(3)) {
		char result[60];
		snprintf(result, sizeof result, "--result=%s", token);
		const char *argv[] = {"dpl-call", "end", result, call, NULL};
		change(h, next_record(h, "call.ended", true), argv, 0);
	} else {
		const char *argv[] = {"dpl-call", "fail", "-m", token, call, NULL};
		change(h, next_record(h, "call.failed", true), argv, 0);
	}
}

static void
come_and_go(struct hand *h)
{
	char ttl[40], session[40];
	snprintf(ttl, sizeof ttl, "--ttl=%dms", TTL * (h->no + 1) + h->w->n);
	const char *join[] = {"dpl-join", ttl, NULL};
	struct record *r = next_record(h, "participant.joined", true);
	if (change(h, r, join, 0) != 0)
		return;
	int64_t number_of = number(h->out, "\"sessionId\":");
	snprintf(session, sizeof session, "--session=%" PRId64, number_of);
	const char *leave[] = {"dpl-leave", "--cancel", session, NULL};
	r = next_record(h, "participant.left", false);
	r->session = number_of;
	change(h, r, leave, 0);
}

static void
work(struct worker *w, int no, uint64_t seed)
{
	static struct hand hand;
	struct hand *h = &hand;
	char token[40];
	h->w = w;
	h->no = no;
	snprintf(h->name, sizeof h->name, "w%d", no);
	state = (seed * WORKERS + (uint64_t)no + 1) * UINT64_C(0x9e3779b97f4a7c15);
	const char *join[] = {"dpl-join", "-q", "-C", ledger, "-o", operation, "-p", h->name, NULL};
	if (run((char *const *)(uintptr_t)join, -1, h->out, sizeof h->out) != 0)
		w->wrong++;
	while (now_ms() < deadline_ms && w->n < MOST - 2) {
		uint32_t what = below(10);
		snprintf(token, sizeof token, "T-%d-%d.", no, w->n);
		if (what < 4 || (what < 8 && what >= 6 && !h->calls)) {
			const char *argv[] = {"dpl-log", "-l", "info", token, NULL};
			change(h, next_record(h, "log", true), argv, 0);
		} else if (what < 6) {
			start_call(h, token);
		} else if (what < 8) {
			end_call(h, token);
		} else if (what == 8 || no) {
			come_and_go(h);
		} else if (below(2)) {
			const char *argv[] = {"dpl-abort", "-m", token, NULL};
			struct record *r = next_record(h, "abort.set", true);
			if (change(h, r, argv, 0) == 0 && strstr(h->out, "alreadySet"))
				r->seq = 0;
		} else {
			const char *argv[] = {"dpl-abort", "--clear", NULL};
			change(h, next_record(h, "abort.cleared", false), argv, 1);
		}
	}
}

/* Look on: every look succeeds, and sees no less than the one before. */
static int
watch(int no)
{
	static char out[1 << 22];
	int64_t last = 0;
	const char *show[] = {"dpl-show", "-j", "-C", ledger, operation, NULL};
	const char *list[] = {"dpl-call", "list", "-j", "-C", ledger, "-o", operation, NULL};
	while (now_ms() < deadline_ms) {
		int status = run((char *const *)(uintptr_t)(no ? show : list), -1, out, sizeof out);
		int64_t seq = number(out, "\"seq\":");
		if (status != 0 || seq < last) {
			fprintf(stderr, "soak: a look gave %d, seq %" PRId64 " after %" PRId64 ": %.300s\n", status, seq, last, out);
			return 1;
		}
		last = seq;
		struct timespec t = {.tv_nsec = 5000000};
		nanosleep(&t, NULL);
	}
	return 0;
}

/* --- the check --- */

static int
complain(const char *what, int worker, int n, const char *line)
{
	static int said;
	if (++said <= 20)
		fprintf(stderr, "soak: %s: worker %d, change %d: %.*s\n", what, worker, n, (int)strcspn(line, "\n"), line);
	return 1;
}

/* Which change of which worker a line belongs to. */
static bool
owner(const char *line, const char *end, int *worker, int *n)
{
	const char *t = memmem(line, (size_t)(end - line), "\"T-", 3);
	if (t)
		return sscanf(t, "\"T-%d-%d.", worker, n) == 2;
	t = memmem(line, (size_t)(end - line), "\"ttlMs\":", 8);
	if (!t || memmem(line, (size_t)(end - line), "\"event\":\"operation.created\"", 27))
		return false;
	long v = strtol(t + 8, NULL, 10);
	*worker = (int)(v / TTL) - 1;
	*n = (int)(v % TTL);
	return true;
}

static char *
read_journal(size_t *size)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/%s/journal.jsonl", ledger, operation);
	FILE *f = fopen(path, "r");
	if (!f) {
		perror(path);
		exit(1);
	}
	fseek(f, 0, SEEK_END);
	*size = (size_t)ftell(f);
	rewind(f);
	char *text = malloc(*size + 1);
	if (!text || fread(text, 1, *size, f) != *size)
		abort();
	text[*size] = '\0';
	fclose(f);
	return text;
}

static int
check(struct worker *workers, int *entries, int *unsure)
{
	size_t size;
	char *text = read_journal(&size);
	const char *line[WORKERS * MOST];
	int n = 0, wrong = 0;
	for (char *p = text, *end; p < text + size && (end = memchr(p, '\n', (size_t)(text + size - p))); p = end + 1) {
		int who = -1, which = -1;
		if (n == WORKERS * MOST)
			break;
		line[n++] = p;
		if (number(p, "{\"seq\":") != n || end[-1] != '}')
			wrong += complain("a gap or a torn line", -1, n, p);
		if (!owner(p, end, &who, &which))
			continue;
		if (who < 0 || who >= WORKERS || which < 0 || which >= workers[who].n)
			wrong += complain("of nobody", who, which, p);
		else
			workers[who].record[which].found++;
	}
	for (int w = 0; w < WORKERS; w++) {
		for (int i = 0; i < workers[w].n; i++) {
			const struct record *r = &workers[w].record[i];
			char event[60], by[20], session[40];
			snprintf(event, sizeof event, "\"event\":\"%s\"", r->event);
			snprintf(by, sizeof by, "\"by\":\"w%d\"", w);
			snprintf(session, sizeof session, "\"sessionId\":%" PRId64, r->session);
			if (r->found > 1)
				wrong += complain("more than once", w, i, r->event);
			*unsure += !r->seq && r->found;
			if (!r->seq)
				continue;
			const char *at = r->seq > 0 && r->seq <= n ? line[r->seq - 1] : "gone";
			size_t length = strcspn(at, "\n");
			int who = -1, which = -1;
			if (!memmem(at, length, event, strlen(event)) || !memmem(at, length, by, strlen(by)) ||
			    (r->session && !memmem(at, length, session, strlen(session))) ||
			    (r->token && (!owner(at, at + length, &who, &which) || who != w || which != i)))
				wrong += complain("acknowledged, but not there", w, i, at);
		}
	}
	*entries = n;
	free(text);
	return wrong;
}

int
main(int argc, char **argv)
{
	uint64_t seed = 1;
	int seconds = 8, wrong = 0, status, commands = 0, kills = 0, acknowledged = 0, unsure = 0, entries = 0;
	for (int o; (o = getopt(argc, argv, "r:s:")) != -1;)
		if (o == 'r')
			seed = strtoull(optarg, NULL, 10);
		else if (o == 's')
			seconds = (int)strtol(optarg, NULL, 10);
		else
			return 2;
	if (argc - optind != 2) {
		fprintf(stderr, "usage: soak [-r seed] [-s seconds] ledger operation\n");
		return 2;
	}
	ledger = argv[optind];
	operation = argv[optind + 1];
	struct worker *workers = mmap(NULL, WORKERS * sizeof *workers, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (workers == MAP_FAILED)
		abort();
	deadline_ms = now_ms() + (int64_t)seconds * 1000;
	for (int i = 0; i < WORKERS + READERS; i++) {
		pid_t pid = fork();
		if (pid < 0)
			abort();
		if (pid == 0) {
			if (i >= WORKERS)
				_exit(watch(i - WORKERS));
			work(&workers[i], i, seed);
			_exit(workers[i].wrong ? 1 : 0);
		}
	}
	while (wait(&status) > 0)
		wrong += !WIFEXITED(status) || WEXITSTATUS(status) != 0;
	for (int i = 0; i < WORKERS; i++) {
		commands += workers[i].commands;
		kills += workers[i].kills;
		for (int k = 0; k < workers[i].n; k++)
			acknowledged += workers[i].record[k].seq > 0;
	}
	wrong += check(workers, &entries, &unsure);
	printf("seed %" PRIu64 ": %d commands, %d killed, %d entries, %d acknowledged, %d made but not acknowledged, %d wrong\n", seed, commands, kills, entries,
		acknowledged, unsure, wrong);
	/* A soak in which nothing happened has shown nothing. */
	return wrong || acknowledged < 20 || kills < 20 ? 1 : 0;
}
