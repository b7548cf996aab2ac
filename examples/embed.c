/* embed LEDGER - take part in an operation from a C program, and fold its journal
 *
 *	cc -o embed embed.c $(pkg-config --cflags --libs dpl)
 *	./embed /tmp/ledger
 *
 * Prints the state of the operation as its journal tells it, one JSON object. */
#define _POSIX_C_SOURCE 200809L
#include <dpl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Every request returns 0 or the exit status of the commands; what went wrong is in the handle. */
static void
check(const struct dpl *d, int status)
{
	if (status) {
		fprintf(stderr, "embed: %s (%s)\n", dpl_error(d), dpl_code(d));
		exit(status);
	}
}

/* An answer's texts are valid until the next request: keep what is needed longer. */
static char *
keep(const char *text)
{
	char *copy = strdup(text);
	if (!copy)
		abort();
	return copy;
}

/* Three calls by a worker; the last one fails. */
static void
work(struct dpl *d, const char *operation)
{
	static const char *const pieces[] = {"parse", "compile", "link"};
	check(d, dpl_join(d, operation, "worker"));
	for (int i = 0; i < 3; i++) {
		check(d, dpl_call_start(d, operation, "worker", pieces[i]));
		char *call = keep(dpl_string(d, "callId"));
		if (i < 2)
			check(d, dpl_call_end(d, operation, call, "done"));
		else
			check(d, dpl_call_fail(d, operation, call, "undefined symbol"));
		free(call);
		/* Each answer tells whether somebody wants all to stop. */
		if (dpl_true(d, "aborted"))
			break;
	}
	check(d, dpl_log(d, operation, "worker", "warning", "one of three failed"));
	check(d, dpl_leave(d, operation, "worker"));
}

/* Fold a journal as it comes from a file, a pipe or a socket: in pieces that end anywhere. */
static int
fold(const char *path)
{
	char text[1 << 17]; /* more than the longest line */
	size_t held = 0, n, used;
	FILE *journal = fopen(path, "r");
	struct dpl_fold *f = dpl_fold_new();
	int status = 1;
	if (!journal || !f) {
		perror(path);
		goto out;
	}
	while ((n = fread(text + held, 1, sizeof text - held, journal)) > 0) {
		held += n;
		if (dpl_fold_feed(f, text, held, &used) < 0) {
			fprintf(stderr, "embed: %s: %s\n", path, dpl_fold_error(f));
			goto out;
		}
		held -= used;
		memmove(text, text + used, held);
	}
	const char *state = dpl_fold_json(f);
	if (state) {
		puts(state);
		status = 0;
	}
out:
	dpl_fold_free(f);
	if (journal)
		fclose(journal);
	return status;
}

int
main(int argc, char **argv)
{
	char text[4096];
	if (argc != 2) {
		fputs("usage: embed ledger\n", stderr);
		return 2;
	}
	struct dpl *d = dpl_open(argv[1], text, sizeof text);
	if (!d) {
		fprintf(stderr, "embed: %s\n", text);
		return 1;
	}
	check(d, dpl_create(d, "builder", "an example in C"));
	char *operation = keep(dpl_string(d, "operationId"));
	work(d, operation);
	check(d, dpl_complete(d, operation, "builder"));
	fprintf(stderr, "%s: %s\n", operation, dpl_string(d, "state"));
	snprintf(text, sizeof text, "%s/backup/%s/journal.jsonl", argv[1], operation);
	free(operation);
	dpl_close(d);
	return fold(text);
}
