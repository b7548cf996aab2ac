/* keeper: beating for somebody else. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "json.h"
#include "keeper.h"
#include "tree.h"

enum {
	TEXT_MAX = 100 * 1024, /* bytes of a variable: the kernel takes no program with one of more than 128 KiB */
	REST_MS = 20,    /* between two looks at what an aborted process left */
	AGAIN_MS = 1000, /* to kill again what does not end */
	CLEAN_EXTRA_MS = 10000, /* to wait for others beyond their window: for what is killed then, and the removal */
};

struct watchman {
	struct keeper *k;
	struct vigil v;
	uint64_t newest;         /* the participant's newest session when its file was held */
	bool lost;               /* its file is another one now, which could not be held yet */
	pid_t hook;              /* the shell command that runs, 0 */
	int64_t hook_ms;         /* until when it may */
	bool missed;             /* one ran at the last beat, so that none began */
	struct tree_kept tree;   /* what was sent SIGTERM … */
	int64_t kill_ms;         /* … and when it gets SIGKILL; 0: nothing was */
};

int
keeper_find(struct keeper *k, struct why *why)
{
	char path[40];
	struct stat st;
	k->pidfd = -1;
	errno = 0;
	k->start = proc_start(k->pid);
	if (k->start < 0 && (errno == EMFILE || errno == ENFILE))
		return why_errno(why, "look at process %lld", (long long)k->pid);
	snprintf(path, sizeof path, "/proc/%lld", (long long)k->pid);
	if (k->start < 0 || stat(path, &st) < 0)
		return why_set(why, ERR_NO_PROCESS, "there is no process %lld", (long long)k->pid);
	if (geteuid() != 0 && st.st_uid != geteuid())
		return why_set(why, ERR_PERMISSION, "process %lld is another user's", (long long)k->pid);
	k->pidfd = proc_open(k->pid, k->start);
	if (k->pidfd >= 0)
		return 0;
	if (errno == ESRCH)
		return why_set(why, ERR_NO_PROCESS, "process %lld has just ended", (long long)k->pid);
	return why_errno(why, "watch process %lld", (long long)k->pid);
}

/* --- holding the name --- */

static struct beat_id
identity(const struct keeper *k)
{
	struct beat_id id = beat_here();
	id.mode = BEAT_HELD;
	id.pid = getpid();
	id.start = proc_start(getpid());
	id.watched = k->pid;
	id.watched_start = k->start;
	return id;
}

static int
hold(struct watchman *w, struct why *why)
{
	struct beat_id id = identity(w->k);
	return client_hold_person(w->k->client, w->k->operation, w->k->participant, &id, &w->newest, &w->v.held, why);
}

/* Give the name back to a lease of the kept process. */
static void
let_go(struct watchman *w)
{
	struct beat_id id = identity(w->k);
	if (w->v.held < 0) {
		if (w->k->pid > 0)
			client_let_go_person(w->k->client, w->k->operation, w->k->participant, &id);
		return;
	}
	id.mode = BEAT_LEASED;
	id.pid = w->k->pid;
	id.start = w->k->start;
	(void)beat_rewrite(w->v.held, &id); /* else it stays as it is, and is judged by that */
	close(w->v.held);
	w->v.held = -1;
}

/* Where the participant has left and joined again, or its file was deleted by hand, it has a new one: hold that.  False where the process that is kept
 * takes part no more: it has left, and the name is nobody's, or that of another. */
static bool
still_has_name(struct watchman *w)
{
	struct stat st;
	struct why why;
	if (!w->lost && (w->v.held < 0 || fstat(w->v.held, &st) < 0 || st.st_nlink))
		return true;
	if (w->v.held >= 0)
		close(w->v.held);
	w->v.held = -1;
	uint64_t newest = w->newest;
	int rc = hold(w, &why);
	if (w->newest != newest)
		w->k->session = 0;
	w->lost = rc < 0 && err_info(why.code)->retryable;
	return rc == 0 || w->lost;
}

/* --- shell commands after a beat --- */

static const char *
kind_of_error(const struct vigil *v)
{
	enum err error = v->error == ERR_NONE && !v->aborted && !v->crashed ? v->unrecorded : v->error;
	if (v->end == VIGIL_GONE)
		return "ledger-not-found";
	if (error == ERR_BUSY || error == ERR_TIMED_OUT)
		return "lock-failed";
	if (error != ERR_NONE && error != ERR_DEAD)
		return "io-error";
	if (v->aborted)
		return "abort-flag-set";
	return v->stale || v->crashed || v->dead ? "heartbeat-stale" : NULL;
}

static void
set_number(const char *name, const struct json *j, const char *member)
{
	char text[24];
	int64_t value = 0;
	(void)json_integer(j, json_get(j, 0, member), 0, JSON_INT_MAX, &value);
	snprintf(text, sizeof text, "%lld", (long long)value);
	setenv(name, text, 1);
}

/* What the command finds in its environment. */
static void
set_result(const struct vigil *v, const char *error)
{
	static const char *const of_others[] = {"DPL_BEAT_AGE_MS", "DPL_BEAT_CALLS", "DPL_BEAT_ERROR", "DPL_BEAT_MESSAGE"};
	struct json j;
	struct why ignored;
	struct buf state = {0}, stale = {0};
	for (size_t i = 0; i < sizeof of_others / sizeof *of_others; i++)
		unsetenv(of_others[i]);
	if (v->error == ERR_NONE && json_parse(&j, v->reply.p ? v->reply.p : "", v->reply.n, &ignored) == 0) {
		(void)json_string(&j, json_get(&j, 0, "state"), &state);
		int names = json_get(&j, 0, "staleParticipants");
		for (int i = json_first(&j, names); i >= 0 && stale.n < TEXT_MAX; i = json_next(&j, names, i)) {
			(void)json_string(&j, i, &stale);
			buf_char(&stale, '\n');
		}
		set_number("DPL_BEAT_AGE_MS", &j, "heartbeatAgeMs");
		set_number("DPL_BEAT_CALLS", &j, "callFrameCount");
		json_free(&j);
	}
	const char *last = v->end == VIGIL_COMPLETED ? "completed" : v->end == VIGIL_FAILED ? "failed" : "";
	setenv("DPL_BEAT_STATE", state.p && *state.p ? state.p : last, 1);
	setenv("DPL_BEAT_ABORTED", v->aborted ? "1" : "0", 1);
	setenv("DPL_BEAT_STALE", stale.p ? stale.p : "", 1);
	setenv("DPL_BEAT_JSON", v->reply.p && v->reply.n <= TEXT_MAX ? v->reply.p : "", 1);
	if (error) {
		setenv("DPL_BEAT_ERROR", error, 1);
		setenv("DPL_BEAT_MESSAGE", v->reason, 1);
	}
}

static void
end_hook(struct watchman *w)
{
	if (w->hook > 0)
		kill(-w->hook, SIGKILL);
}

static void
run_hook(struct watchman *w)
{
	const struct keeper *k = w->k;
	const char *error = kind_of_error(&w->v), *command = error ? k->on_error : k->on_success;
	sigset_t none;
	w->missed = command && w->hook > 0; /* one at a time */
	if (!command || w->missed)
		return;
	pid_t pid = fork();
	if (pid == 0) {
		setpgid(0, 0);
		setenv("DPL_LEDGER", k->client->ledger, 1);
		setenv("DPL_OPERATION", k->operation, 1);
		setenv("DPL_PARTICIPANT", k->participant, 1);
		set_result(&w->v, error);
		sigemptyset(&none);
		signal(SIGPIPE, SIG_DFL);
		umask(k->umask);
		sigprocmask(SIG_SETMASK, &none, NULL);
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	if (pid < 0)
		return;
	setpgid(pid, pid);
	w->hook = pid;
	w->hook_ms = w->v.next_ms;
}

static void
reap(struct watchman *w)
{
	pid_t pid;
	while ((pid = proc_reap(NULL, NULL)) > 0)
		if (pid == w->hook)
			w->hook = 0;
}

/* Its last command gets the rest of its time. */
static void
await_hook(struct watchman *w)
{
	for (reap(w); w->hook > 0; reap(w)) {
		if (clock_mono_ms() >= w->hook_ms)
			end_hook(w);
		usleep(10000);
	}
}

/* --- the kept process --- */

static void
stop_process(struct watchman *w)
{
	if (w->k->pid <= 0 || w->kill_ms)
		return;
	w->kill_ms = clock_mono_ms() + w->k->grace_ms;
	tree_find_kept(&w->tree, w->k->pid, w->k->start);
	(void)tree_signal_kept(&w->tree, SIGTERM);
}

/* SIGKILL for what did not heed the SIGTERM, and for what that has started since. */
static void
kill_process(struct watchman *w)
{
	tree_find_kept(&w->tree, w->k->pid, w->k->start);
	(void)tree_signal_kept(&w->tree, SIGKILL);
}

/* The process has ended of the abort; what else was its own gets the rest of its time. */
static void
end_rest(struct watchman *w)
{
	while (tree_signal_kept(&w->tree, 0) > 0 && clock_mono_ms() < w->kill_ms)
		usleep(REST_MS * 1000);
	kill_process(w);
}

static void
leave_session(const struct keeper *k, int64_t session)
{
	struct buf body = {0}, reply = {0};
	json_open(&body, NULL, '{');
	json_put(&body, "operationId", k->operation);
	json_put(&body, "participantId", k->participant);
	json_put_int(&body, "sessionId", session);
	json_put_bool(&body, "cancelPendingCalls", true);
	json_put(&body, "reason", "stopped by the abort");
	json_close(&body, '}');
	(void)client_call_text(k->client, "/operation/leave", &body, NULL, &reply); /* else its lock falls, and tells of it */
	buf_free(&body);
	buf_free(&reply);
}

/* Whether a session is the participant's and lives; *id gets its number, *pid who joined. */
static bool
is_session(const struct keeper *k, const struct json *j, int session, int64_t *id, int64_t *pid)
{
	char name[ID_NAME_MAX + 1] = "";
	*id = *pid = 0;
	(void)json_copy(j, json_get(j, session, "participantId"), name, sizeof name);
	(void)json_integer(j, json_get(j, session, "sessionId"), 1, JSON_INT_MAX, id);
	(void)json_integer(j, json_get(j, session, "pid"), 1, INT32_MAX, pid);
	return strcmp(name, k->participant) == 0 && json_is_null(j, json_get(j, session, "leftAt"));
}

/* It was stopped by an abort: that is no crash.  Its session ends, and what else the process joined for; the newest, where
 * none of these is known.  The name of who stays in under it becomes a lease again. */
static void
leave(struct watchman *w)
{
	const struct keeper *k = w->k;
	struct buf body = {0}, reply = {0};
	struct json j;
	struct why ignored;
	int64_t id, pid, newest = 0;
	bool left = false;
	json_open(&body, NULL, '{');
	json_put(&body, "operationId", k->operation);
	json_put(&body, "calls", "none");
	json_close(&body, '}');
	if (client_call_text(k->client, "/operation/show", &body, NULL, &reply) == 200 && json_parse(&j, reply.p, reply.n, &ignored) == 0) {
		int sessions = json_get(&j, 0, "sessions");
		for (int i = json_first(&j, sessions); i >= 0; i = json_next(&j, sessions, i)) {
			if (!is_session(k, &j, i, &id, &pid))
				continue;
			newest = id;
			if (id != k->session && pid != k->pid)
				continue;
			leave_session(k, id);
			left = true;
		}
		json_free(&j);
	}
	if (!left && newest)
		leave_session(k, newest);
	let_go(w);
	buf_free(&body);
	buf_free(&reply);
}

/* --- the loop --- */

/* What a beat means; true with *end where it is the last. */
static bool
heed(struct watchman *w, enum keeper_end *end)
{
	struct vigil *v = &w->v;
	bool keeps = w->k->pid > 0;
	if (w->k->beaten)
		w->k->beaten(w->k->arg, v);
	run_hook(w);
	if (v->crashed && v->end == VIGIL_GOES_ON) {
		if (keeps)
			duties_do(&w->k->duties, v, v->reason, -1);
		if (vigil_clean(v, keeps, keeps ? 0 : AGAIN_MS) == 1)
			(void)vigil_ask(v); /* it says how it ended */
	}
	if (v->end != VIGIL_GOES_ON) {
		*end = v->end == VIGIL_COMPLETED ? KEEPER_COMPLETED : v->end == VIGIL_FAILED ? KEEPER_FAILED : KEEPER_GONE;
		return true;
	}
	if (v->dead) {
		*end = v->error == ERR_DEAD ? KEEPER_DEAD : KEEPER_LEFT;
		return true;
	}
	if (!still_has_name(w)) {
		*end = KEEPER_LEFT;
		return true;
	}
	if (v->aborted && keeps)
		stop_process(w);
	if (keeps || !(v->aborted || v->crashed))
		return false;
	*end = v->crashed ? KEEPER_CRASHED : KEEPER_ABORTED;
	return true;
}

static enum keeper_end
process_ended(struct watchman *w)
{
	char evidence[100];
	enum keeper_end end;
	/* Where nothing is pushed it may have ended because of an abort, or of the end, that was not heard of yet. */
	if (!w->kill_ms) {
		(void)vigil_ask(&w->v);
		if (heed(w, &end))
			return end;
	}
	bool has_name = still_has_name(w);
	if (w->kill_ms) {
		end_rest(w);
		if (has_name) {
			duties_do(&w->k->duties, &w->v, w->v.reason, -1);
			leave(w);
		}
	}
	if (w->kill_ms || !has_name)
		return KEEPER_LEFT;
	snprintf(evidence, sizeof evidence, "its process %lld has ended without leaving", (long long)w->k->pid);
	(void)vigil_bury(&w->v, evidence); /* else the lock falls, and tells of it */
	duties_do(&w->k->duties, &w->v, evidence, -1);
	(void)vigil_clean(&w->v, true, w->v.window_ms + CLEAN_EXTRA_MS);
	return KEEPER_DEAD;
}

static void
watch_over(struct watchman *w, enum keeper_end *end, int *sig)
{
	struct signalfd_siginfo info;
	for (;;) {
		struct pollfd process = {.fd = w->k->pid > 0 ? w->k->pidfd : -1, .events = POLLIN};
		int64_t until = w->kill_ms ? w->kill_ms : INT64_MAX;
		if (w->hook > 0 && w->hook_ms < until)
			until = w->hook_ms;
		if (vigil_wait(&w->v, until, &process, 1) && heed(w, end))
			return;
		if (process.revents) {
			*end = process_ended(w);
			return;
		}
		while (vigil_signal(&w->v, &info))
			if (info.ssi_signo != SIGCHLD) {
				*end = KEEPER_SIGNALLED;
				*sig = (int)info.ssi_signo;
				return;
			}
		reap(w);
		if (w->hook > 0 && clock_mono_ms() >= w->hook_ms)
			end_hook(w);
		if (w->kill_ms && clock_mono_ms() >= w->kill_ms) {
			kill_process(w);
			w->kill_ms = clock_mono_ms() + AGAIN_MS; /* until it has ended */
		}
	}
}

int
keeper_run(struct keeper *k, int ready, enum keeper_end *end, int *sig, struct why *why)
{
	static const int list[] = {SIGHUP, SIGINT, SIGTERM, SIGCHLD};
	struct watchman *w = calloc(1, sizeof *w);
	sigset_t signals;
	int rc = -1;
	if (!w)
		return why_set(why, ERR_IO, "out of memory");
	*w = (struct watchman){.k = k};
	w->v = (struct vigil){.client = k->client, .operation = k->operation, .participant = k->participant, .verbose = k->verbose, .promises = k->pid > 0, .kept = k->pid, .kept_start = k->start,
		.held = -1, .signals = -1, .own_pace = k->every_ms > 0, .beat_ms = k->every_ms ? k->every_ms : 4500,
		.own_jitter = k->every_ms > 0 || k->jitter_ms >= 0, .jitter_ms = k->jitter_ms > 0 ? k->jitter_ms : 0,
		.whole = k->on_success || k->on_error || k->beaten};
	sigemptyset(&signals);
	for (size_t i = 0; i < sizeof list / sizeof *list; i++)
		sigaddset(&signals, list[i]);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGCHLD, SIG_DFL); /* ignored by the caller, it would hide the end of a hook */
	if (vigil_begin(&w->v, &signals) < 0) {
		why_errno(why, "wait for signals");
	} else if (vigil_ask(&w->v) < 0 || w->v.end != VIGIL_GOES_ON) {
		/* It says whether the participant takes part at all. */
		why_set(why, w->v.error == ERR_NONE ? w->v.ended : w->v.error, "%s", w->v.reason);
		why_hint(why, "%s", w->v.hint);
	} else if (k->pid > 0 && w->v.beat_ms + w->v.jitter_ms >= w->v.stale_ms) {
		why_set(why, ERR_REQUEST, "a beat every %lld ms would hang: the operation takes %lld ms of silence for that",
			(long long)(w->v.beat_ms + w->v.jitter_ms), (long long)w->v.stale_ms);
	} else if (k->pid <= 0 || hold(w, why) == 0) {
		rc = 0;
		if (ready >= 0) {
			(void)!write(ready, "", 1);
			close(ready);
		}
		vigil_watch(&w->v);
		(void)vigil_ask(&w->v); /* what was rung before the watch was there */
		if (!heed(w, end))
			watch_over(w, end, sig);
		await_hook(w);
		/* The last thing that is to be told is told in any case. */
		if (w->missed && *end != KEEPER_SIGNALLED) {
			w->v.next_ms = clock_mono_ms() + w->v.beat_ms;
			run_hook(w);
			await_hook(w);
		}
		/* After a death or an end the file is gone or means nothing; a keeper that is sent away leaves a lease. */
		if (*end == KEEPER_SIGNALLED)
			let_go(w);
	}
	if (rc < 0 && k->client->remote && why->code != ERR_HELD)
		let_go(w); /* its first beat was a promise */
	if (w->v.held >= 0)
		close(w->v.held);
	vigil_finish(&w->v);
	tree_free_kept(&w->tree);
	free(w);
	return rc;
}
