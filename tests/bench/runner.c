/* runner - time whole processes, from spawn to exit, beside each other
 *
 *	runner rounds [-n rounds] [-w warm-ups] FILE
 *		Runs each case of FILE once a round, in another order each time, so that whatever else the
 *		machine does, and whatever a case leaves behind in its caches, hits all of them alike.  Prints `time CASE median p90 failures`, in microseconds, and for
 *		every two cases `pair A B ratio`: the median over the rounds of A's time over B's.
 *	runner crowd [-n rounds] [-p processes] [-s seconds] FILE
 *		In turn lets that many workers run a case over and over for some seconds.  Prints
 *		`crowd CASE runs-a-second fairness failures`, where fairness is the fewest runs of a worker
 *		over the most, and `pair A B ratio` of the rates.
 *	runner memory COMMAND [ARGUMENT ...]
 *		Prints the most memory that the command had resident, in KiB.
 *
 * A line of FILE is a name, a tab, and a command: words between blanks, '…' quotes; before it may
 * stand NAME=VALUE for its environment, <FILE for its standard input, and ?N where it is right that it
 * exits with N.  In a word, {r} is the number of the round; a word @FILE is the line of FILE that has
 * this number. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CASES_MAX = 40, WORDS_MAX = 40, ROUNDS_MAX = 10000, WORKERS_MAX = 256 };

struct lines {
	char **line;
	int n;
};

struct word {
	char *text;
	struct lines list; /* of @FILE */
};

struct test {
	char *name;
	char *input;
	int status; /* what it should exit with */
	char *env[WORDS_MAX];
	int envs;
	struct word word[WORDS_MAX];
	int words;
	double *value; /* of each round: microseconds, or runs a second */
	double *fair;
	long failures;
};

struct worker {
	long runs, failures;
};

extern char **environ;

static struct test tests[CASES_MAX];
static int test_count;

static _Noreturn void __attribute__((format(printf, 1, 2)))
die(const char *fmt, ...)
{
	va_list ap;
	fputs("runner: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(2);
}

static void *
must(void *p)
{
	if (!p)
		die("out of memory");
	return p;
}

static double
now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* --- the cases --- */

static struct lines
read_lines(const char *path)
{
	struct lines l = {0};
	char *line = NULL;
	size_t size = 0;
	FILE *f = fopen(path, "r");
	if (!f)
		die("%s: %s", path, strerror(errno));
	while (getline(&line, &size, f) > 0) {
		line[strcspn(line, "\n")] = '\0';
		l.line = must(realloc(l.line, (size_t)(l.n + 1) * sizeof *l.line));
		l.line[l.n++] = must(strdup(line));
	}
	free(line);
	fclose(f);
	return l;
}

static double
number(const char *text, double least, double most)
{
	char *end;
	double value = strtod(text, &end);
	if (*end || end == text || value < least || value > most)
		die("'%s' is no number from %g to %g", text, least, most);
	return value;
}

/* Cut the next word out of *p; NULL at the end.  The quotes go. */
static char *
next_word(char **p)
{
	char *from = *p + strspn(*p, " "), *to = from, *word = from, quote = '\0';
	if (!*from)
		return NULL;
	for (; *from && (quote || *from != ' '); from++)
		if (*from == '\'')
			quote = quote ? '\0' : '\'';
		else
			*to++ = *from;
	*p = *from ? from + 1 : from;
	*to = '\0';
	return word;
}

static void
add_case(char *line)
{
	struct test *t = &tests[test_count];
	char *tab = strchr(line, '\t'), *word;
	if (!tab || test_count == CASES_MAX)
		die("not a case, or too many: %s", line);
	*tab++ = '\0';
	t->name = line;
	while ((word = next_word(&tab))) {
		if (t->words + 1 >= WORDS_MAX || t->envs + 1 >= WORDS_MAX)
			die("%s: too many words", t->name);
		if (!t->words && strchr(word, '=') && *word != '/')
			t->env[t->envs++] = word;
		else if (!t->words && *word == '<')
			t->input = word + 1;
		else if (!t->words && *word == '?')
			t->status = (int)number(word + 1, 0, 255);
		else {
			t->word[t->words].text = word;
			if (*word == '@')
				t->word[t->words].list = read_lines(word + 1);
			t->words++;
		}
	}
	if (!t->words)
		die("%s: no command", t->name);
	test_count++;
}

static void
read_cases(const char *path, int rounds)
{
	struct lines l = read_lines(path);
	for (int i = 0; i < l.n; i++)
		if (*l.line[i] && *l.line[i] != '#')
			add_case(l.line[i]);
	if (!test_count)
		die("%s: no cases", path);
	for (int i = 0; i < test_count; i++) {
		tests[i].value = must(calloc((size_t)rounds, sizeof(double)));
		tests[i].fair = must(calloc((size_t)rounds, sizeof(double)));
	}
}

/* --- running one --- */

struct command {
	char *argv[WORDS_MAX];
	char *envp[500];
	char text[WORDS_MAX][2000]; /* the words that {r} makes */
	posix_spawn_file_actions_t files;
};

/* All that need not be timed. */
static void
prepare(const struct test *t, int round, struct command *c)
{
	size_t n = 0;
	for (int i = 0; i < t->words; i++) {
		const struct word *w = &t->word[i];
		char *mark = strstr(w->text, "{r}");
		if (w->list.n)
			c->argv[i] = w->list.line[round % w->list.n];
		else if (!mark)
			c->argv[i] = w->text;
		else {
			snprintf(c->text[i], sizeof c->text[i], "%.*s%d%s", (int)(mark - w->text), w->text, round, mark + 3);
			c->argv[i] = c->text[i];
		}
	}
	c->argv[t->words] = NULL;
	for (int i = 0; i < t->envs; i++)
		c->envp[n++] = t->env[i];
	for (char **e = environ; *e && n < 499; e++)
		c->envp[n++] = *e;
	c->envp[n] = NULL;
	posix_spawn_file_actions_init(&c->files);
	posix_spawn_file_actions_addopen(&c->files, 0, t->input ? t->input : "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&c->files, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&c->files, 2, "/dev/null", O_WRONLY, 0);
}

/* Whether it exited as it should. */
static bool
run(const struct test *t, struct command *c)
{
	pid_t pid;
	int status, e = posix_spawnp(&pid, c->argv[0], &c->files, NULL, c->argv, c->envp);
	if (e)
		die("%s: %s", c->argv[0], strerror(e));
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			die("waitpid: %s", strerror(errno));
	return WIFEXITED(status) && WEXITSTATUS(status) == t->status;
}

/* --- what came out --- */

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* The value below which a share `part` of them lies. */
static double
quantile(const double *value, int n, double part)
{
	double *v = must(malloc((size_t)n * sizeof *v));
	memcpy(v, value, (size_t)n * sizeof *v);
	qsort(v, (size_t)n, sizeof *v, compare);
	double q = v[(int)(part * (n - 1) + 0.5)];
	free(v);
	return q;
}

static void
print_pairs(int rounds)
{
	double *ratio = must(malloc((size_t)rounds * sizeof *ratio));
	for (int a = 0; a < test_count; a++)
		for (int b = 0; b < test_count; b++) {
			for (int i = 0; i < rounds; i++)
				ratio[i] = tests[a].value[i] / tests[b].value[i];
			if (a != b)
				printf("pair %s %s %.4f\n", tests[a].name, tests[b].name, quantile(ratio, rounds, 0.5));
		}
	free(ratio);
}

/* --- rounds --- */

/* The same orders in each measurement. */
static void
shuffle(int *order, int n)
{
	static uint32_t random = 1;
	for (int i = n - 1; i > 0; i--) {
		random = random * 1664525 + 1013904223; /* Numerical Recipes' generator */
		int k = (int)((random >> 16) % (uint32_t)(i + 1)), other = order[k];
		order[k] = order[i];
		order[i] = other;
	}
}

static void
do_rounds(int rounds, int warm)
{
	static struct command c;
	int order[CASES_MAX];
	for (int k = 0; k < test_count; k++)
		order[k] = k;
	for (int i = -warm; i < rounds; i++) {
		shuffle(order, test_count);
		for (int k = 0; k < test_count; k++) {
			struct test *t = &tests[order[k]];
			prepare(t, i + warm, &c);
			double start = now_us();
			bool right = run(t, &c);
			double took = now_us() - start;
			posix_spawn_file_actions_destroy(&c.files);
			t->failures += !right;
			if (i >= 0)
				t->value[i] = took;
		}
	}
	for (int k = 0; k < test_count; k++)
		printf("time %s %.1f %.1f %ld\n", tests[k].name, quantile(tests[k].value, rounds, 0.5),
			quantile(tests[k].value, rounds, 0.9), tests[k].failures);
	print_pairs(rounds);
}

/* --- crowds --- */

static _Noreturn void
work(const struct test *t, struct worker *w, int gate, double seconds)
{
	static struct command c;
	char byte;
	prepare(t, 0, &c);
	(void)!read(gate, &byte, 1); /* returns when the gate opens for all: end of file */
	for (double end = now_us() + seconds * 1e6; now_us() < end; w->runs++)
		w->failures += !run(t, &c);
	_exit(0);
}

static void
one_crowd(struct test *t, int round, int processes, double seconds, struct worker *w)
{
	int gate[2];
	long all = 0, most = 0, fewest = -1;
	if (pipe2(gate, O_CLOEXEC) < 0)
		die("pipe: %s", strerror(errno));
	memset(w, 0, sizeof *w * (size_t)processes);
	for (int i = 0; i < processes; i++) {
		pid_t pid = fork();
		if (pid < 0)
			die("fork: %s", strerror(errno));
		if (pid == 0) {
			close(gate[1]);
			work(t, &w[i], gate[0], seconds);
		}
	}
	close(gate[0]);
	double start = now_us();
	close(gate[1]);
	while (wait(NULL) > 0 || errno == EINTR)
		;
	double took = (now_us() - start) / 1e6;
	for (int i = 0; i < processes; i++) {
		all += w[i].runs;
		t->failures += w[i].failures;
		most = w[i].runs > most ? w[i].runs : most;
		fewest = fewest < 0 || w[i].runs < fewest ? w[i].runs : fewest;
	}
	t->value[round] = (double)all / took;
	t->fair[round] = most ? (double)fewest / (double)most : 0;
}

static void
do_crowds(int rounds, int processes, double seconds)
{
	struct worker *w = mmap(NULL, sizeof *w * WORKERS_MAX, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (w == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	for (int i = 0; i < rounds; i++)
		for (int k = 0; k < test_count; k++)
			one_crowd(&tests[k], i, processes, seconds, w);
	for (int k = 0; k < test_count; k++)
		printf("crowd %s %.0f %.2f %ld\n", tests[k].name, quantile(tests[k].value, rounds, 0.5),
			quantile(tests[k].fair, rounds, 0.5), tests[k].failures);
	print_pairs(rounds);
}

/* --- memory --- */

static int
do_memory(char **argv)
{
	struct rusage usage;
	posix_spawn_file_actions_t files;
	pid_t pid;
	int status, e;
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
	if ((e = posix_spawnp(&pid, argv[0], &files, NULL, argv, environ)))
		die("%s: %s", argv[0], strerror(e));
	if (wait4(pid, &status, 0, &usage) < 0)
		die("wait4: %s", strerror(errno));
	printf("%ld\n", usage.ru_maxrss);
	return status ? 1 : 0;
}

int
main(int argc, char **argv)
{
	int rounds = 200, warm = 3, processes = 32;
	double seconds = 1;
	const char *what = argc > 1 ? argv[1] : "";
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (strcmp(what, "memory") == 0 && argc > 2)
		return do_memory(argv + 2);
	argc--, argv++;
	for (int o; (o = getopt(argc, argv, "n:p:s:w:")) != -1;)
		switch (o) {
		case 'n': rounds = (int)number(optarg, 1, ROUNDS_MAX); break;
		case 'p': processes = (int)number(optarg, 1, WORKERS_MAX); break;
		case 's': seconds = number(optarg, 0.01, 3600); break;
		case 'w': warm = (int)number(optarg, 0, ROUNDS_MAX); break;
		default: die("see the comment at the head of runner.c");
		}
	if (optind + 1 != argc)
		die("one file with cases is needed");
	read_cases(argv[optind], rounds);
	if (strcmp(what, "rounds") == 0)
		do_rounds(rounds, warm);
	else if (strcmp(what, "crowd") == 0)
		do_crowds(rounds, processes, seconds);
	else
		die("rounds, crowd or memory?");
	return 0;
}
