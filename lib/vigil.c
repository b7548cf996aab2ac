/* vigil: staying awake over one operation. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "clock.h"
#include "json.h"
#include "vigil.h"

enum {
	EXTRA = 4,        /* descriptors of the caller's */
	SOON_MS = 20,     /* to begin to end the processes of a dead supervisor */
	AGAIN_MS = 250,   /* … and to look again while that goes on */
	HURRY_MS = 3000,  /* for a beat by a server */
	GAP_MS = 500,     /* what asking, and what follows from it, may take beside a beat */
	BUSY_MS = 100,    /* to ask again after the lock was not had */
	WINDOW_MS = 9000, /* as long as the operation has not said it */
	LATENESS_PART = 4, /* of the time behind which who is silent hangs */
};

int
vigil_begin(struct vigil *v, const sigset_t *signals)
{
	watch_init(&v->watch);
	v->bell = v->beats = v->ear = -1;
	v->signals = signalfd(-1, signals, SFD_CLOEXEC | SFD_NONBLOCK);
	v->client->verbs.stays = v->client->stays = true;
	v->awake_ms = 0;
	if (!v->window_ms)
		v->window_ms = WINDOW_MS;
	v->next_ms = v->seen_ms = clock_mono_ms();
	return v->signals < 0 ? -1 : 0;
}

void
vigil_watch(struct vigil *v)
{
	if (v->client->remote) {
		v->listens = true;
		v->ear = client_listen(v->client, v->operation);
		return;
	}
	v->pushed = client_watch(v->client, v->operation, &v->watch, &v->bell, &v->beats) == 0;
	if (v->pushed)
		return;
	if (v->watch.refused)
		notice(v->verbose, "no inotify to be had (%s): looking every %d s", strerror(v->watch.refused), WATCH_LOOK_MS / 1000);
	watch_close(&v->watch);
}

/* --- asking --- */

static void
copy_text(struct json *j, const char *member, char *out, size_t size)
{
	struct buf b = {0};
	if (json_string(j, json_get(j, 0, member), &b) == 0 && b.p)
		snprintf(out, size, "%s", b.p);
	buf_free(&b);
}

static bool
truth(const struct json *j, const char *member)
{
	bool value = false;
	(void)json_boolean(j, json_get(j, 0, member), &value);
	return value;
}

static int64_t
number(const struct json *j, const char *member, int64_t otherwise)
{
	int64_t value = otherwise;
	(void)json_integer(j, json_get(j, 0, member), 0, JSON_INT_MAX, &value);
	return value;
}

/* It has ended: how? */
static void
find_end(struct vigil *v)
{
	struct buf body = {0}, reply = {0};
	struct json j;
	struct why ignored;
	char state[16] = "";
	json_open(&body, NULL, '{');
	json_put(&body, "operationId", v->operation);
	json_put_bool(&body, "ended", true);
	json_close(&body, '}');
	v->end = VIGIL_COMPLETED;
	if (client_call_text(v->client, "/operation/state", &body, NULL, &reply) == 200 && json_parse(&j, reply.p, reply.n, &ignored) == 0) {
		(void)json_copy(&j, json_get(&j, 0, "state"), state, sizeof state);
		v->aborted = truth(&j, "aborted");
		if (strcmp(state, "failed") == 0)
			v->end = VIGIL_FAILED;
		json_free(&j);
	}
	buf_free(&body);
	buf_free(&reply);
}

static void
note_death(struct vigil *v)
{
	if (!v->died_ms)
		v->died_ms = clock_mono_ms();
}

static int
take_error(struct vigil *v, struct json *j)
{
	char code[40] = "io-error";
	(void)json_copy(j, json_get(j, 0, "code"), code, sizeof code);
	v->error = err_by_name(code);
	copy_text(j, "error", v->reason, sizeof v->reason);
	v->hint[0] = '\0';
	copy_text(j, "hint", v->hint, sizeof v->hint);
	switch (v->error) {
	case ERR_ENDED:
	case ERR_FAILED:
		v->ended = v->error;
		find_end(v);
		v->error = ERR_NONE;
		return 0;
	case ERR_NO_OPERATION:
	case ERR_NO_LEDGER:
		v->end = VIGIL_GONE;
		break;
	case ERR_DEAD:
		note_death(v);
		v->dead = true;
		break;
	case ERR_HELD:
	case ERR_NO_PARTICIPANT:
		v->dead = true;
		break;
	default:
		break;
	}
	return -1;
}

static void
take_reply(struct vigil *v, struct json *j)
{
	v->error = ERR_NONE;
	v->dead = false;
	char code[40];
	v->unrecorded = json_copy(j, json_get(j, 0, "lookCode"), code, sizeof code) == 0 ? err_by_name(code) : ERR_NONE;
	v->aborted = truth(j, "abortFlag");
	if ((v->crashed = truth(j, "crashed")))
		note_death(v);
	v->stale = truth(j, "isStale");
	v->reason[0] = '\0';
	if (v->aborted)
		copy_text(j, "abortReason", v->reason, sizeof v->reason);
	else if (v->crashed)
		copy_text(j, "crashEvidence", v->reason, sizeof v->reason);
	else if (v->unrecorded != ERR_NONE)
		copy_text(j, "lookError", v->reason, sizeof v->reason);
	if (!v->own_pace)
		v->beat_ms = number(j, "beatMs", v->beat_ms);
	if (!v->own_jitter)
		v->jitter_ms = number(j, "jitterMs", v->jitter_ms);
	v->stale_ms = number(j, "staleMs", 0);
	v->newest = number(j, "newestSession", v->newest);
	v->window_ms = number(j, "windowMs", v->window_ms);
	v->ending = (int)number(j, "endingProcesses", 0);
	v->running = number(j, "callFrameCount", 0);
	copy_text(j, "callState", v->call_state, sizeof v->call_state);
}

static int64_t
jitter(int64_t most)
{
	uint32_t random = 0;
	(void)!getrandom(&random, sizeof random, GRND_NONBLOCK);
	return most > 0 ? random % (most + 1) : 0;
}

/* When to ask next: what was no beat does not put the next one off, but may have told that beats come sooner. */
static void
plan(struct vigil *v, bool beat)
{
	int64_t now = clock_mono_ms(), wait = beat ? v->beat_ms + jitter(v->jitter_ms) : v->next_ms - now, again = v->owes ? SOON_MS : AGAIN_MS;
	if (wait > v->beat_ms && !beat)
		wait = v->beat_ms;
	if (!v->pushed && !v->client->remote && wait > WATCH_LOOK_MS)
		wait = WATCH_LOOK_MS;
	if ((v->ending || v->crashed) && wait > again)
		wait = again;
	if (v->error != ERR_NONE && err_info(v->error)->retryable)
		wait = BUSY_MS;
	v->next_ms = now + wait;
}

/* How late it may be, and has still watched without a gap: by that much somebody may seem to be silent for longer.  A pace of one's own may be much
 * quicker than silence is told by; and on a busy machine who asks every 60 ms is late by as much all the time, and would be blind. */
static int64_t
lateness(const struct vigil *v)
{
	int64_t part = v->stale_ms / LATENESS_PART;
	return v->beat_ms > part ? v->beat_ms : part;
}

/* What it does between two looks at the clock is short, but for waiting: it was stopped meanwhile where it was not. */
static int64_t
look_at_clock(struct vigil *v)
{
	int64_t now = clock_mono_ms();
	if (now - v->seen_ms > lateness(v) + GAP_MS)
		v->awake_ms = now;
	return v->seen_ms = now;
}

/* The last member of a request: what comes behind is measured by who carries it out. */
static void
put_awake(struct vigil *v, struct buf *body)
{
	(void)look_at_clock(v);
	json_put_int(body, "awakeMs", v->awake_ms);
}

/* `beat`: it is one; else it only asks, which is quicker. */
static int
ask(struct vigil *v, bool beat, const char *member, const char *value)
{
	struct buf body = {0};
	struct json j;
	struct why why;
	int rc = -1;
	/* Cannot fail on our own open file.  That of a participant is touched by the request, which first asks how old it is. */
	if (v->held >= 0 && beat && v->call)
		(void)beat_touch(v->held);
	json_open(&body, NULL, '{');
	json_put(&body, "operationId", v->operation);
	json_put(&body, "participantId", v->participant);
	if (v->call)
		json_put(&body, "callId", v->call);
	if (member)
		json_put(&body, member, value);
	else if (v->ending && beat)
		json_put_bool(&body, "look", true);
	if (!beat)
		json_put_bool(&body, "beat", false);
	else if (v->suspended)
		json_put_bool(&body, "suspended", true);
	if (beat && v->promises && v->client->remote)
		client_put_holder(&body, true, v->kept, v->kept_start);
	if (beat && v->newest)
		json_put_int(&body, "newestSession", v->newest);
	bool at = member && strcmp(member, "lookAt") == 0;
	json_put_bool(&body, "settle", false);
	if (v->whole)
		json_put_bool(&body, "whole", true);
	put_awake(v, &body);
	json_close(&body, '}');
	/* Meanwhile it does nothing else: what does not come soon is asked for again. */
	v->client->hurry_ms = HURRY_MS;
	int status = client_call_text(v->client, "/operation/heartbeat", &body, NULL, &v->reply);
	v->client->hurry_ms = 0;
	if (json_parse(&j, v->reply.p ? v->reply.p : "", v->reply.n, &why) < 0) {
		v->error = ERR_IO;
		snprintf(v->reason, sizeof v->reason, "%s", why.text);
	} else {
		if (status == 200) {
			int ending = v->ending;
			take_reply(v, &j);
			/* A beat looks over all, where there is something to end; the others tell of their own at most. */
			v->owes = (v->owes && (member || !beat)) || (at && !beat && v->ending);
			if ((member || !beat) && !v->ending)
				v->ending = ending;
			rc = 0;
		} else {
			rc = take_error(v, &j);
		}
		json_free(&j);
	}
	if (v->error != ERR_UNREACHABLE)
		v->lost_ms = 0;
	else if (!v->lost_ms)
		v->lost_ms = clock_mono_ms();
	if (v->held >= 0 && beat && !v->call)
		(void)beat_touch(v->held); /* once more: the request may have failed */
	client_tidy(v->client);
	buf_free(&body);
	plan(v, beat);
	return rc;
}

int
vigil_ask(struct vigil *v)
{
	return ask(v, true, NULL, NULL);
}

int
vigil_ask_outer(struct vigil *v)
{
	char file[BEAT_FILE_MAX];
	if (!v->outer)
		return vigil_ask(v);
	beat_call_file(v->outer, file);
	return ask(v, false, "lookAt", strchr(file, '/') + 1);
}

int
vigil_bury(struct vigil *v, const char *evidence)
{
	note_death(v);
	return ask(v, true, "died", evidence);
}

int
vigil_clean(struct vigil *v, bool answer, int64_t patience_ms)
{
	struct buf body = {0};
	struct json j;
	struct why why;
	int rc = -1;
	json_open(&body, NULL, '{');
	json_put(&body, "operationId", v->operation);
	json_put(&body, "participantId", v->participant);
	if (v->outer)
		json_put(&body, "parentId", v->outer);
	if (answer)
		json_put_bool(&body, "acknowledge", true);
	json_put_bool(&body, "drive", v->held >= 0);
	json_put_bool(&body, "yields", v->late);
	json_put_bool(&body, "retry", false);
	json_put_int(&body, "patienceMs", patience_ms);
	put_awake(v, &body);
	json_close(&body, '}');
	/* Who has its own part behind it, and the window before it, waits as long as that takes; the others have to beat. */
	v->client->hurry_ms = patience_ms < v->window_ms ? patience_ms + lateness(v) : 0;
	int status = client_call_text(v->client, "/operation/cleanup", &body, NULL, &v->reply);
	v->client->hurry_ms = 0;
	if (json_parse(&j, v->reply.p ? v->reply.p : "", v->reply.n, &why) == 0) {
		rc = status == 200 && truth(&j, "archived") ? 1 : status == 200 ? 0 : -1;
		json_free(&j);
	}
	buf_free(&body);
	return rc;
}

/* --- waiting --- */

void
vigil_awoke(struct vigil *v)
{
	v->awake_ms = clock_mono_ms();
}

/* Take in what was pushed; whether it asked. */
static bool
take_events(struct vigil *v)
{
	struct watch_event e;
	/* Whoever wants the whole answer wants to know how old the beat before was. */
	bool rung = false, asked = false, beat = v->whole;
	while (watch_next(&v->watch, &e)) {
		if (e.what == v->beats && *e.name) {
			char name[ID_FILE_MAX + 8];
			snprintf(name, sizeof name, "%s", e.name);
			(void)ask(v, beat, "lookAt", name);
			asked = true;
		} else {
			rung = true;
		}
	}
	if (rung && !asked)
		(void)ask(v, beat, NULL, NULL);
	return rung || asked;
}

/* The same of what a server tells.  Where it tells nothing more, the beats have to do until it is there again. */
static void
hear(struct vigil *v)
{
	client_hear(v->client, v->operation);
	v->ear = v->client->ear.from;
	(void)ask(v, v->whole, NULL, NULL);
}

bool
vigil_wait(struct vigil *v, int64_t until_ms, struct pollfd *fds, int n)
{
	struct pollfd all[2 + EXTRA] = {{.fd = v->signals, .events = POLLIN}, {.fd = v->ear >= 0 ? v->ear : v->watch.fd, .events = POLLIN}};
	int64_t now = look_at_clock(v), end = until_ms < v->next_ms ? until_ms : v->next_ms;
	for (int i = 0; i < n; i++)
		all[2 + i] = fds[i];
	int64_t wait = end > now ? end - now : 0;
	int ready = poll(all, (nfds_t)(2 + n), wait < INT32_MAX ? (int)wait : INT32_MAX);
	for (int i = 0; i < n; i++)
		fds[i].revents = ready < 0 ? (short)0 : all[2 + i].revents;
	int64_t then = v->seen_ms = clock_mono_ms();
	/* It slept much longer than it asked for: stopped, frozen, or starved. */
	if (then - now > wait + lateness(v))
		v->awake_ms = then;
	bool told = ready > 0 && all[1].revents, asked = told;
	if (told && v->ear >= 0)
		hear(v);
	else if (told)
		asked = take_events(v);
	if (!asked && then >= v->next_ms) {
		(void)ask(v, true, NULL, NULL);
		asked = true;
		if (v->client->remote && v->listens && v->ear < 0 && v->error == ERR_NONE)
			v->ear = client_listen(v->client, v->operation);
	}
	return asked;
}

bool
vigil_signal(struct vigil *v, struct signalfd_siginfo *info)
{
	ssize_t n;
	do
		n = read(v->signals, info, sizeof *info);
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof *info;
}

/* Begin to end what a dead supervisor left, without a beat: there may be nobody any more who beats. */
static void
look_over(struct vigil *v)
{
	struct buf body = {0};
	json_open(&body, NULL, '{');
	json_put(&body, "operationId", v->operation);
	json_put(&body, "participantId", v->participant);
	json_put_bool(&body, "settle", false);
	put_awake(v, &body);
	json_close(&body, '}');
	(void)client_call_text(v->client, "/operation/look", &body, NULL, &v->reply); /* else the next one who looks does it */
	buf_free(&body);
	v->owes = false;
}

void
vigil_finish(struct vigil *v)
{
	if (v->owes)
		look_over(v);
	watch_close(&v->watch);
	if (v->signals >= 0)
		close(v->signals);
	buf_free(&v->reply);
}
