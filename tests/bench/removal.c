/* removal - time two commands that remove a tree, beside each other
 *
 *	removal [-n ROUNDS] [-w WARM-UPS] [-f FILES] [-d FILES-IN-A-FOLDER] [-r COMMAND] FOLDER NAME COMMAND NAME COMMAND
 *
 * Makes two trees of so many empty files in FOLDER for each round, all alike, and writes them out; then times in each round each command with one of
 * them behind its words, from spawn to exit, now this first and now that; -r is run with each of them before, untimed.  (All first: an ext4 without a journal takes its time to use the
 * inodes of deleted files again.)  Prints what runner prints: `time NAME median p90 failures`, in
 * microseconds, and `pair A B ratio`, the median over the rounds of A's time over B's.  A command that leaves something of its tree has
 * failed. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS_MAX = 1000, WORDS_MAX = 20 };

extern char **environ;

struct command {
	const char *name;
	char *word[WORDS_MAX + 2];
	int words;
	double took[ROUNDS_MAX];
	long failures;
};

__attribute__((format(printf, 1, 2)))
static _Noreturn void
die(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fprintf(stderr, "removal: ");
	vfprintf(stderr, fmt, ap);
	fprintf(stderr, "\n");
	exit(1);
}

static long
number(const char *text, long min, long max)
{
	char *end;
	long value = strtol(text, &end, 10);
	if (*end || end == text || value < min || value > max)
		die("%s is no number from %ld to %ld", text, min, max);
	return value;
}

static void
make_tree(const char *path, long files, long in_each)
{
	char name[40];
	int folder = -1, tree;
	if (mkdir(path, 0700) < 0 || (tree = open(path, O_RDONLY | O_DIRECTORY)) < 0)
		die("make %s: %s", path, strerror(errno));
	for (long i = 0; i < files; i++) {
		if (i % in_each == 0) {
			if (folder >= 0)
				close(folder);
			snprintf(name, sizeof name, "folder-%ld", i / in_each);
			if (mkdirat(tree, name, 0700) < 0 || (folder = openat(tree, name, O_RDONLY | O_DIRECTORY)) < 0)
				die("make %s/%s: %s", path, name, strerror(errno));
		}
		snprintf(name, sizeof name, "a-file-%ld", i);
		int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
		if (fd < 0)
			die("make %s in %s: %s", name, path, strerror(errno));
		close(fd);
	}
	close(folder);
	if (syncfs(tree) < 0)
		die("sync %s: %s", path, strerror(errno));
	close(tree);
}

static double
now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static double
run(struct command *c, char *tree)
{
	posix_spawn_file_actions_t files;
	pid_t pid;
	int status, e;
	c->word[c->words] = tree;
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
	double start = now_us();
	if ((e = posix_spawnp(&pid, c->word[0], &files, NULL, c->word, environ)))
		die("%s: %s", c->word[0], strerror(e));
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			die("wait: %s", strerror(errno));
	double took = now_us() - start;
	posix_spawn_file_actions_destroy(&files);
	if (status || access(tree, F_OK) == 0)
		c->failures++;
	return took;
}

static void
read_command(struct command *c, const char *name, char *text)
{
	c->name = name;
	for (char *rest = text, *w; (w = strtok_r(rest, " ", &rest));) {
		if (c->words == WORDS_MAX)
			die("%s: too many words", name);
		c->word[c->words++] = w;
	}
	if (!c->words)
		die("%s: no command", name);
}

static int
by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double
quantile(double *values, int n, double q)
{
	qsort(values, (size_t)n, sizeof *values, by_size);
	return values[(int)((n - 1) * q + 0.5)];
}

int
main(int argc, char **argv)
{
	static struct command c[2], before;
	static double ratio[2][ROUNDS_MAX];
	char tree[4096];
	int rounds = 5, warm = 1;
	long files = 100000, in_each = 100;
	for (int o; (o = getopt(argc, argv, "d:f:n:r:w:")) != -1;)
		switch (o) {
		case 'd': in_each = number(optarg, 1, 100000000); break;
		case 'f': files = number(optarg, 1, 100000000); break;
		case 'n': rounds = (int)number(optarg, 1, ROUNDS_MAX); break;
		case 'r': read_command(&before, "-r", optarg); break;
		case 'w': warm = (int)number(optarg, 0, ROUNDS_MAX); break;
		default: die("see the comment at the head of removal.c");
		}
	if (argc - optind != 5)
		die("a folder and two commands with names are needed");
	for (int k = 0; k < 2; k++) {
		read_command(&c[k], argv[optind + 1 + 2 * k], argv[optind + 2 + 2 * k]);
	}
	for (int i = 0; i < 2 * (rounds + warm); i++) {
		snprintf(tree, sizeof tree, "%s/tree-%d", argv[optind], i);
		make_tree(tree, files, in_each);
		if (before.words)
			(void)run(&before, tree);
	}
	for (int i = -warm; i < rounds; i++) {
		double took[2];
		/* Which command gets which tree, and which is first: four ways. */
		int first = i & 1, other = i >> 1 & 1;
		for (int k = 0; k < 2; k++) {
			int which = k ? !first : first;
			snprintf(tree, sizeof tree, "%s/tree-%d", argv[optind], 2 * (i + warm) + (k ^ other));
			took[which] = run(&c[which], tree);
		}
		for (int k = 0; i >= 0 && k < 2; k++) {
			c[k].took[i] = took[k];
			ratio[k][i] = took[k] / took[!k];
		}
	}
	for (int k = 0; k < 2; k++)
		printf("time %s %.0f %.0f %ld\n", c[k].name, quantile(c[k].took, rounds, 0.5), quantile(c[k].took, rounds, 0.9), c[k].failures);
	for (int k = 0; k < 2; k++)
		printf("pair %s %s %.4f\n", c[k].name, c[!k].name, quantile(ratio[k], rounds, 0.5));
	return 0;
}
