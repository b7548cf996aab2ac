/* duties: the shell commands of a supervisor or keeper for when things went wrong. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "clock.h"
#include "command.h"
#include "duties.h"
#include "hook.h"
#include "json.h"

enum {
	NO_WINDOW_MS = 9000,     /* where the operation gives nobody time to answer */
	LEAST_PART = 16,         /* of the window, at least that much */
};

struct duty {
	const struct duties *d;
	struct vigil *v;
	const char *reason, *result; /* or NULL */
	int exit;
};

static void
set(const char *name, const char *value)
{
	if (value)
		setenv(name, value, 1);
	else
		unsetenv(name);
}

static void
set_variables(void *arg)
{
	const struct duty *o = arg;
	char status[16];
	(void)command_as_ourselves();
	umask(o->d->umask);
	snprintf(status, sizeof status, "%d", o->exit);
	setenv("DPL_LEDGER", o->v->client->ledger, 1);
	setenv("DPL_OPERATION", o->v->operation, 1);
	setenv("DPL_PARTICIPANT", o->v->participant, 1);
	set("DPL_REASON", o->reason);
	set("DPL_RESULT", o->result);
	if (o->v->call)
		setenv("DPL_CALL", o->v->call, 1);
	if (o->exit >= 0)
		setenv("DPL_EXIT", status, 1);
	else
		unsetenv("DPL_EXIT");
}

static void
put_log(struct vigil *v, const char *level, const char *text)
{
	struct buf body = {0};
	json_open(&body, NULL, '{');
	json_put(&body, "operationId", v->operation);
	json_put(&body, "participantId", v->participant);
	if (v->call)
		json_put(&body, "callId", v->call);
	json_put_bool(&body, "afterDeath", true); /* the participant's own, perhaps */
	json_put(&body, "level", level);
	json_put(&body, "message", text);
	json_close(&body, '}');
	(void)client_call_text(v->client, "/operation/log", &body, NULL, &v->reply); /* it has run, whether that is written or not */
	buf_free(&body);
}

/* Nobody beats but we, and what runs may take as long as a silence that counts as a death. */
static int64_t
beat(void *arg)
{
	struct vigil *v = ((const struct duty *)arg)->v;
	if (v->held >= 0) {
		(void)beat_touch(v->held);
		return clock_mono_ms() + v->beat_ms;
	}
	if (clock_mono_ms() >= v->next_ms)
		(void)vigil_ask(v);
	return v->next_ms;
}

/* How long the next of `n` commands may take.  After a death all of them are to be through, and the call's end recorded, before the window
 * is over: who has not answered by then is taken for one that hangs. */
static int64_t
limit(const struct vigil *v, int n)
{
	int64_t window = v->window_ms > 0 ? v->window_ms : NO_WINDOW_MS;
	if (!v->died_ms)
		return window;
	int64_t left = (v->died_ms + window / 8 * 7 - clock_mono_ms()) / n, least = window / LEAST_PART;
	return left < least ? least : left;
}

/* Whether somebody has died meanwhile; and, where the command was over before that was asked, how often to beat and how long the window is. */
static void
catch_up(struct vigil *v)
{
	(void)vigil_ask(v);
}

static bool
fails(const struct vigil *v)
{
	return v->died_ms || v->end == VIGIL_FAILED;
}

/* The next of `n` commands.  With `result`, what it prints to stdout goes there, and is not logged.  Whether it succeeded. */
static bool
run(const struct duty *o, struct vigil *v, const char *name, const char *command, struct buf *result, int n)
{
	struct duty with = *o;
	struct hook h = {.command = command, .limit_ms = limit(v, n), .prepare = set_variables, .meanwhile = beat, .arg = &with, .apart = result};
	struct buf output = {0}, text = {0};
	char problem[120];
	int status = 0;
	int rc = hook_run(&h, &status, &output);
	hook_describe(rc, errno, status, problem, sizeof problem);
	buf_fmt(&text, "%s: %s%s%s", name, *problem ? problem : "done", output.n ? ": " : "", output.n ? output.p : "");
	if (!text.failed)
		put_log(v, *problem ? "warning" : "info", text.p);
	buf_free(&output);
	buf_free(&text);
	return !*problem;
}

void
duties_complete(struct duties *d, struct vigil *v, const char *result)
{
	struct duty o = {.d = d, .v = v, .result = result};
	if (!d->on_completion)
		return;
	catch_up(v);
	(void)run(&o, v, "--on-completion", d->on_completion, NULL, 1);
}

void
duties_crash(struct duties *d, struct vigil *v, const char *reason, int exit)
{
	struct duty o = {.d = d, .v = v, .reason = reason, .exit = exit};
	if (!d->on_crash)
		return;
	catch_up(v);
	(void)run(&o, v, "--on-crash", d->on_crash, NULL, 1);
}

bool
duties_fall_back(struct duties *d, struct vigil *v, const char *command, const char *reason, int exit, struct buf *result)
{
	struct duty o = {.d = d, .v = v, .reason = reason, .exit = exit};
	catch_up(v);
	return run(&o, v, "--fallback-command", command, result, 1);
}

void
duties_do(struct duties *d, struct vigil *v, const char *reason, int exit)
{
	char why[sizeof v->reason];
	snprintf(why, sizeof why, "%s", reason); /* which may be the vigil's, and changes with each beat */
	struct duty o = {.d = d, .v = v, .reason = why, .exit = exit};
	bool cleans = d->on_cleanup && !d->cleaned, may_fail = d->on_failure && !d->failed;
	if (cleans) {
		catch_up(v);
		d->cleaned = true;
		(void)run(&o, v, "--on-cleanup", d->on_cleanup, NULL, may_fail && fails(v) ? 2 : 1);
	}
	if (may_fail)
		catch_up(v);
	if (may_fail && fails(v)) {
		d->failed = true;
		(void)run(&o, v, "--on-failure", d->on_failure, NULL, 1);
	}
}
