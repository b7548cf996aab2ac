/* cases: the commands that change something, and the states of a ledger in which each is tried. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cases.h"
#include "world.h"

#define A(...) {__VA_ARGS__, NULL}
#define IN(state, exits) [STATE_##state] = 1 + (exits)

static const char requests[] =
	"{\"path\":\"/operation/log\",\"body\":{\"operationId\":\"@\",\"participantId\":\"bob\",\"message\":\"first\"}}\n"
	"{\"path\":\"/call/start\",\"body\":{\"operationId\":\"@\",\"participantId\":\"bob\",\"description\":\"second\"}}\n"
	"{\"path\":\"/call/end\",\"body\":{\"operationId\":\"@\",\"participantId\":\"bob\",\"callId\":\"two\",\"result\":\"third\"}}\n";

const struct test cases[] = {
	{"create", "me", A("dpl-create", "-d", "new"), NULL, CASE_CREATES, {IN(NONE, 0), IN(EMPTY, 0), IN(FRESH, 0), IN(ENDED, 0)}},
	{"create-key", "me", A("dpl-create", "-d", "new", "--key", "nightly"), NULL, CASE_CREATES | CASE_KEYED, {IN(NONE, 0), IN(EMPTY, 0), IN(FRESH, 0)}},
	{"join", "carol", A("dpl-join"), NULL, 0, {IN(FRESH, 0), IN(BUSY, 0), IN(ABORTED, 0), IN(ENDED, 6)}},
	{"join-key", "carol", A("dpl-join", "--key", "k1"), NULL, CASE_KEYED, {IN(FRESH, 0), IN(BUSY, 0)}},
	{"leave", "bob", A("dpl-leave"), NULL, 0, {IN(FRESH, 6), IN(BUSY, 6), IN(ENDED, 6)}},
	{"leave-cancel", "bob", A("dpl-leave", "--cancel"), NULL, 0, {IN(FRESH, 0), IN(BUSY, 0), IN(ENDED, 6)}},
	{"complete", "me", A("dpl-complete", "-m", "over"), NULL, CASE_ENDS, {IN(BARE, 0), IN(FRESH, 6), IN(ENDED, 6), IN(FULL, 0)}},
	{"complete-key", "me", A("dpl-complete", "--key", "k1", "--cancel"), NULL, CASE_ENDS | CASE_KEYED, {IN(FRESH, 0), IN(BUSY, 0)}},
	{"complete-cancel", "me", A("dpl-complete", "--cancel", "-m", "over"), NULL, CASE_ENDS, {IN(FRESH, 0), IN(BUSY, 0), IN(ABORTED, 0), IN(ENDED, 6)}},
	{"complete-failed", "me", A("dpl-complete", "--failed", "--cancel", "-m", "3 of 40 are missing"), NULL, CASE_ENDS, {IN(FRESH, 0), IN(BUSY, 0), IN(ENDED, 6)}},
	{"abort", "bob", A("dpl-abort", "-m", "enough"), NULL, 0, {IN(FRESH, 0), IN(BUSY, 0), IN(ABORTED, 0), IN(ENDED, 6)}},
	{"abort-clear", "bob", A("dpl-abort", "--clear"), NULL, 0, {IN(ABORTED, 0), IN(FRESH, 1), IN(ENDED, 6)}},
	{"beat", "bob", A("dpl-beat"), NULL, CASE_LOOKS, {IN(FRESH, 0), IN(BUSY, 0), IN(ABORTED, 4), IN(ENDED, 6)}},
	{"beat-progress", "bob", A("dpl-beat", "--call", "one", "--progress", "3/7", "-m", "on the way"), NULL, 0, {IN(FRESH, 0), IN(BUSY, 0), IN(ENDED, 6)}},
	{"beat-crashed", "me", A("dpl-beat"), NULL, CASE_CRASHES | CASE_REMOVES, {IN(CRASHED, 5)}},
	{"call-start", "bob", A("dpl-call", "start", "-d", "work"), NULL, 0, {IN(FRESH, 0), IN(BUSY, 0), IN(ABORTED, 4), IN(ENDED, 6)}},
	{"call-start-key", "bob", A("dpl-call", "start", "-d", "work", "--key", "k1"), NULL, CASE_KEYED, {IN(FRESH, 0), IN(BUSY, 0)}},
	{"call-end", "bob", A("dpl-call", "end", "--result", "well done", "two"), NULL, 0, {IN(FRESH, 0), IN(BUSY, 0), IN(ENDED, 6)}},
	{"call-fail", "bob", A("dpl-call", "fail", "-m", "broken", "two"), NULL, 0, {IN(FRESH, 0), IN(BUSY, 0), IN(ENDED, 6)}},
	{"call-run", "bob", A("dpl-call", "--", "/bin/true"), NULL, CASE_RUNS | CASE_CRASHES | CASE_REMOVES, {IN(FRESH, 0), IN(BUSY, 0), IN(ABORTED, 122), IN(ENDED, 125)}},
	{"call-spawn", "bob", A("dpl-call", "spawn", "-q", "--", "/bin/true"), NULL, CASE_RUNS | CASE_DETACHES | CASE_CRASHES | CASE_REMOVES, {IN(FRESH, 0), IN(ABORTED, 122), IN(ENDED, 125)}},
	{"call-slots", "bob", A("dpl-call", "--slots", "1", "--result-from", "stdout", "--", "/bin/true"), NULL, CASE_RUNS | CASE_CRASHES | CASE_REMOVES, {IN(FRESH, 0)}},
	{"call-cancel", "bob", A("dpl-call", "cancel", "-m", "enough", "two"), NULL, 0, {IN(FRESH, 0), IN(BUSY, 0), IN(ENDED, 6)}},
	{"call-cancel-key", "bob", A("dpl-call", "cancel", "--key", "k1", "two"), NULL, CASE_KEYED, {IN(FRESH, 0)}},
	{"log", "bob", A("dpl-log", "one", "line"), NULL, 0, {IN(FRESH, 0), IN(BUSY, 0), IN(ABORTED, 0), IN(ENDED, 6)}},
	{"log-key", "bob", A("dpl-log", "--key", "k1", "one", "line"), NULL, CASE_KEYED, {IN(FRESH, 0), IN(BUSY, 0)}},
	{"batch", "bob", A("dpl-batch"), requests, CASE_STEPS, {IN(FRESH, 0), IN(BUSY, 0)}},
	{"temp-make", "bob", A("dpl-temp", "make", "home/m.XXXXXX"), NULL, CASE_REMOVES, {IN(FRESH, 0), IN(BUSY, 0), IN(ABORTED, 0), IN(ENDED, 6)}},
	{"temp-make-folder", "bob", A("dpl-temp", "make", "-d", "home/m.XXXXXX"), NULL, CASE_REMOVES, {IN(FRESH, 0), IN(BUSY, 0), IN(TEMP, 0)}},
	{"temp-add", "bob", A("dpl-temp", "add", "%/home/thing"), NULL, 0, {IN(FRESH, 0), IN(BUSY, 0), IN(ENDED, 6)}},
	{"temp-add-key", "bob", A("dpl-temp", "add", "--key", "k1", "%/home/thing"), NULL, CASE_KEYED, {IN(FRESH, 0)}},
	{"temp-add-command", "bob", A("dpl-temp", "add", "--command", "echo undone as well >>$HOME/undone"), NULL, 0, {IN(FRESH, 0), IN(TEMP, 0)}},
	{"temp-add-process", "bob", A("dpl-temp", "add", "--process", "%pid"), NULL, CASE_PROCESS, {IN(FRESH, 0)}},
	{"temp-remove", "bob", A("dpl-temp", "remove", "2"), NULL, CASE_REMOVES, {IN(TEMP, 0)}},
	{"temp-remove-all", "bob", A("dpl-temp", "remove", "--all"), NULL, CASE_REMOVES, {IN(TEMP, 0)}},
	{"temp-remove-keep", "bob", A("dpl-temp", "remove", "--keep", "3"), NULL, CASE_REMOVES, {IN(TEMP, 0)}},
	{"temp-leave", "bob", A("dpl-leave", "--cancel"), NULL, CASE_REMOVES, {IN(TEMP, 0)}},
	{"temp-complete", "me", A("dpl-complete", "--cancel"), NULL, CASE_ENDS | CASE_REMOVES, {IN(TEMP, 0)}},
	{"temp-run", "bob", A("dpl-call", "--", "dpl-temp", "make", "home/m.XXXXXX"), NULL, CASE_CRASHES | CASE_REMOVES, {IN(FRESH, 0)}},
	{"cleanup", "me", A("dpl-cleanup", "-t", "2s"), NULL, CASE_CRASHES | CASE_REMOVES, {IN(FRESH, 0), IN(ENDED, 0), IN(CRASHED, 0), IN(DEAD, 0)}},
	{"cleanup-sweep", "me", A("dpl-cleanup", "--sweep", "-t", "2s"), NULL, CASE_CRASHES | CASE_REMOVES, {IN(FRESH, 0), IN(ENDED, 0), IN(DEAD, 0)}},
	{"cleanup-prune", "me", A("dpl-cleanup", "--prune", "--keep=17"), NULL, CASE_LOOKS, {IN(FULL, 0)}},
	{"dead-show", "me", A("dpl-show"), NULL, CASE_CRASHES | CASE_REMOVES, {IN(DEAD, 0)}},
	{"dead-log", "bob", A("dpl-log", "late"), NULL, CASE_CRASHES | CASE_REMOVES, {IN(DEAD, 0)}},
	{"dead-complete", "me", A("dpl-complete", "--cancel"), NULL, CASE_CRASHES | CASE_REMOVES, {IN(DEAD, 0)}},
	{"show", "me", A("dpl-show"), NULL, CASE_LOOKS, {IN(FRESH, 0), IN(BUSY, 0), IN(ENDED, 0)}},
	{"list", "me", A("dpl-show", "-a"), NULL, CASE_LOOKS, {IN(ENDED, 0)}},
};
const int case_count = sizeof cases / sizeof *cases;

static const char *const state_names[STATE_COUNT] = {"none", "empty", "bare", "fresh", "busy", "aborted", "ended", "crashed", "full", "temp", "dead"};

const char *
state_name(enum state s)
{
	return state_names[s];
}

/* --- building --- */

/* Run a command that must succeed; its first line of output. */
static const char *
must(const char *who, const char *in, ...)
{
	static char line[300];
	const char *argv[20];
	int n = 0;
	va_list ap;
	va_start(ap, in);
	while ((argv[n] = va_arg(ap, const char *)))
		n++;
	va_end(ap);
	struct said s = world_run(who, argv, in);
	if (s.status != 0)
		world_die("to prepare: %s gave %d: %s%s", argv[0], s.status, s.out, s.err);
	snprintf(line, sizeof line, "%.*s", (int)strcspn(s.out, "\n"), s.out);
	return line;
}

static void
bare(void)
{
	world_set_operation(must("me", NULL, "dpl-create", "-d", "what it is for", NULL));
	must("me", NULL, "dpl-log", "it begins", NULL);
}

static void
fresh(void)
{
	bare();
	must("bob", NULL, "dpl-join", NULL);
	must("bob", NULL, "dpl-call", "start", "--id", "one", NULL);
	must("bob", NULL, "dpl-call", "start", "--id", "two", "--parent", "one", NULL);
}

/* Append log entries beside dpl, so that no checkpoint is made on the way. */
static void
many_lines(int n)
{
	char path[PATH_MAX];
	int seq = world_lines();
	snprintf(path, sizeof path, "ledger/%s/journal.jsonl", world_operation());
	FILE *f = fopen(path, "ae");
	for (int i = 0; f && i < n; i++)
		fprintf(f, "{\"seq\":%d,\"at\":\"2026-11-22T14:30:45.123Z\",\"by\":\"bob\",\"event\":\"log\",\"level\":\"info\",\"message\":\"line %d of many\"}\n", ++seq, i);
	if (!f || fclose(f) != 0)
		world_die("%s: %s", path, strerror(errno));
}

static void
busy(void)
{
	char name[32], id[32], path[PATH_MAX];
	fresh();
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof name, "worker-%d", i);
		must(name, NULL, "dpl-join", NULL);
		for (int k = 0; k < 2; k++) {
			snprintf(id, sizeof id, "work-%d-%d", i, k);
			must(name, NULL, "dpl-call", "start", "-q", "--id", id, NULL);
		}
	}
	many_lines(300);
	must("bob", NULL, "dpl-log", "which writes a checkpoint", NULL);
	snprintf(path, sizeof path, "ledger/%s/checkpoint", world_operation());
	if (access(path, R_OK) < 0)
		world_die("there is no checkpoint");
	many_lines(100); /* and the next one is due */
}

static void
ended(void)
{
	char from[PATH_MAX], to[PATH_MAX];
	fresh();
	must("me", NULL, "dpl-complete", "--cancel", NULL);
	snprintf(from, sizeof from, "ledger/backup/%s", world_operation());
	snprintf(to, sizeof to, "ledger/%s", world_operation());
	if (rename(from, to) < 0)
		world_die("%s: %s", from, strerror(errno));
	snprintf(from, sizeof from, "ledger/%s/operation.json", world_operation());
	snprintf(to, sizeof to, "ledger/%s/operation.log", world_operation());
	if (unlink(from) < 0 || unlink(to) < 0)
		world_die("%s: %s", to, strerror(errno));
}

static void
temp(void)
{
	char folder[PATH_MAX], path[2 * PATH_MAX];
	fresh();
	must("bob", NULL, "dpl-temp", "make", "home/a.XXXXXX", NULL);
	snprintf(folder, sizeof folder, "%s", must("bob", NULL, "dpl-temp", "make", "-d", "home/d.XXXXXX", NULL));
	must("bob", NULL, "dpl-temp", "add", "%/home/thing", NULL);
	must("bob", NULL, "dpl-temp", "add", "--command", "echo undone >>$HOME/undone", NULL);
	snprintf(path, sizeof path, "%s/below", folder);
	if (mkdir(path, 0700) < 0)
		world_die("%s: %s", path, strerror(errno));
	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof path, "%s/%s%d", folder, i ? "below/" : "", i);
		int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0)
			world_die("%s: %s", path, strerror(errno));
		close(fd);
	}
}

/* A supervisor of bob's is killed. */
static void
crash(void)
{
	/* Where its command has begun; the command itself has long ended by then. */
	static const char *const argv[] = {"dpl-call", "--id", "three", "--", "/bin/true", NULL};
	for (long call = 20;; call++) {
		struct fault f = {.kind = FAULT_KILL, .call = call};
		if (!world_trace("bob", argv, NULL, &f, NULL).reached)
			world_die("a supervisor cannot be killed");
		struct view v;
		world_look(&v);
		if (strstr(v.line[v.n - 1], "\"callId\":\"three\""))
			return;
	}
}

static void
full(void)
{
	for (int i = 0; i < 20; i++) {
		world_set_operation("");
		bare();
		must("me", NULL, "dpl-complete", NULL);
	}
	world_set_operation("");
	bare();
}

void
state_build(enum state s)
{
	world_set_operation("");
	switch (s) {
	case STATE_NONE: break;
	case STATE_EMPTY:
		if (mkdir("ledger", 0700) < 0 || mkdir("ledger/backup", 0700) < 0 || mkdir("ledger/keys", 0700) < 0)
			world_die("ledger: %s", strerror(errno));
		break;
	case STATE_BARE: bare(); break;
	case STATE_FRESH: fresh(); break;
	case STATE_BUSY: busy(); break;
	case STATE_ABORTED:
		fresh();
		must("bob", NULL, "dpl-abort", "-m", "enough", NULL);
		break;
	case STATE_ENDED: ended(); break;
	case STATE_CRASHED:
		fresh();
		crash();
		break;
	case STATE_FULL: full(); break;
	case STATE_TEMP: temp(); break;
	case STATE_DEAD:
		temp();
		crash();
		break;
	case STATE_COUNT: break;
	}
}
