/* scenario: what dpl-sim plays. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "line.h"
#include "num.h"
#include "scenario.h"

enum { INDENTS = 64, MOST_PARTICIPANTS = 64, MOST = 1000, TEMPS_MOST = 1000 };

static const struct {
	const char *name;
	int64_t ms;
} settings[SCENARIO_SETTINGS] = {
	[SETTING_BEAT] = {"beat", 4500},
	[SETTING_JITTER] = {"jitter", 500},
	[SETTING_STALE] = {"stale", 10000},
	[SETTING_WINDOW] = {"window", 9000},
	[SETTING_GRACE] = {"grace", 5000},
	[SETTING_DELAY] = {"delay", 1000},
	[SETTING_PROCESSING] = {"processing", 2000},
	[SETTING_POLL] = {"poll", 3000},
	[SETTING_LIMIT] = {"limit", 300000},
};
static const char *const phases[SCENARIO_PHASES] = {"initialisation", "processing", "response", "completion", "cleanup"};
static const char *const faults[SCENARIO_FAULTS] = {"crash", "vanish", "hang", "error", "stale", "abort", "restart", "partition", "step", "full"};
static const struct {
	const char *name;
	int who;
} others[] = {{"everybody", WHO_EVERYBODY}, {"coordinator", WHO_COORDINATOR}, {"server", WHO_SERVER}, {"network", WHO_NETWORK}, {"clock", WHO_CLOCK}, {"disk", WHO_DISK}};

const char *
scenario_setting_name(enum scenario_setting setting)
{
	return settings[setting].name;
}

const char *
scenario_phase_name(enum scenario_phase phase)
{
	return phases[phase];
}

const char *
scenario_fault_name(enum scenario_fault fault)
{
	return faults[fault];
}

const char *
scenario_who_name(const struct scenario *s, int who)
{
	for (size_t i = 0; i < sizeof others / sizeof *others && who < 0; i++)
		if (others[i].who == who)
			return others[i].name;
	return who >= 0 ? s->participants[who] : "";
}

/* --- lists --- */

/* One more element at the end of a list of *n of that size, all zeros. */
static void *
add(struct line *l, void *list, int *n, size_t size, int most, const char *what)
{
	void **at = list;
	if (*n == most) {
		(void)line_fail(l, "more than %d %s", most, what);
		return NULL;
	}
	char *grown = realloc(*at, ((size_t)*n + 1) * size);
	if (!grown) {
		(void)why_set(l->why, ERR_IO, "out of memory");
		return NULL;
	}
	*at = grown;
	return memset(grown + (size_t)(*n)++ * size, 0, size);
}

int
scenario_find_participant(const struct scenario *s, const char *name)
{
	int i = s->participants_n - 1;
	while (i >= 0 && strcmp(s->participants[i], name) != 0)
		i--;
	return i;
}

static int
find_external(const struct scenario *s, const char *name)
{
	int i = s->externals_n - 1;
	while (i >= 0 && strcmp(s->externals[i].name, name) != 0)
		i--;
	return i;
}

int
scenario_find_call(const struct scenario *s, const char *name)
{
	int i = s->calls_n - 1;
	while (i >= 0 && strcmp(s->calls[i].name, name) != 0)
		i--;
	return i;
}

bool
scenario_counts_from(const struct scenario_failure *f, int who, int call, enum scenario_phase phase)
{
	bool meant = f->call >= 0 ? f->call == call : f->who == who || phase == PHASE_CLEANUP;
	return f->at_ms < 0 && f->phase == phase && meant && f->fault != FAULT_ERROR;
}

static bool
is_other(const char *name, int *who)
{
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		if (strcmp(others[i].name, name) == 0) {
			*who = others[i].who;
			return true;
		}
	return false;
}

/* --- the lines, by their first word --- */

static int
read_title(struct scenario *s, struct line *l)
{
	if (*s->title)
		return line_fail(l, "a second title");
	return line_text(l, "the title, in 'quotes'", s->title, sizeof s->title);
}

static int
read_setting(struct scenario *s, struct line *l)
{
	const char *name = line_want(l, "the name of a setting");
	int i = 0;
	if (!name)
		return -1;
	while (i < SCENARIO_SETTINGS && strcmp(settings[i].name, name) != 0)
		i++;
	if (i == SCENARIO_SETTINGS)
		return line_fail(l, "'%.60s' is no setting: beat, jitter, stale, window, grace, delay, processing, poll or limit", name);
	if (s->setting[i] >= 0)
		return line_fail(l, "%s is set a second time", name);
	if (line_duration(l, "its duration", &s->setting[i]) < 0)
		return -1;
	if (!s->setting[i] && i != SETTING_JITTER && i != SETTING_DELAY)
		return line_fail(l, "%s is more than 0", name);
	return 0;
}

static int
read_participant(struct scenario *s, struct line *l)
{
	char name[SCENARIO_NAME];
	int who;
	if (line_name(l, "a participant's name", name, sizeof name) < 0)
		return -1;
	if (scenario_find_participant(s, name) >= 0 || find_external(s, name) >= 0)
		return line_fail(l, "there is a '%s' already", name);
	if (is_other(name, &who))
		return line_fail(l, "'%s' has a meaning in fail, and is no participant's name", name);
	char *to = add(l, &s->participants, &s->participants_n, SCENARIO_NAME, MOST_PARTICIPANTS, "participants");
	if (!to)
		return -1;
	snprintf(to, SCENARIO_NAME, "%s", name);
	return 0;
}

static int
read_external(struct scenario *s, struct line *l)
{
	struct scenario_external e = {.timeout_ms = 120000};
	if (line_name(l, "the name of who is asked", e.name, sizeof e.name) < 0)
		return -1;
	if (scenario_find_participant(s, e.name) >= 0 || find_external(s, e.name) >= 0)
		return line_fail(l, "there is a '%s' already", e.name);
	if (line_take(l, "never"))
		e.answer_ms = -1;
	else if (line_duration(l, "after how long it answers, or never,", &e.answer_ms) < 0)
		return -1;
	while (l->at < l->n) {
		if (line_take(l, "timeout") ? line_duration(l, "how long is waited for it", &e.timeout_ms) < 0 :
		    line_take(l, "error") ? line_text(l, "what the error says", e.error, sizeof e.error) < 0 : line_fail(l, "timeout or error is expected, not '%.60s'", l->word[l->at]) < 0)
			return -1;
	}
	struct scenario_external *to = add(l, &s->externals, &s->externals_n, sizeof *to, MOST, "externals");
	if (!to)
		return -1;
	*to = e;
	return 0;
}

/* The calls above the line that is read, by their indentation. */
struct nest {
	int call[INDENTS], indent[INDENTS];
	int n;
};

static int
read_call(struct scenario *s, struct line *l, struct nest *nest)
{
	struct scenario_call c = {.parent = -1, .external = -1};
	const char *who = line_want(l, "whose call it is");
	if (!who)
		return -1;
	c.participant = scenario_find_participant(s, who);
	if (c.participant < 0)
		return line_fail(l, "'%.60s' is no participant", who);
	if (line_name(l, "the call's name", c.name, sizeof c.name) < 0)
		return -1;
	if (scenario_find_call(s, c.name) >= 0)
		return line_fail(l, "there is a call '%s' already", c.name);
	if (line_duration(l, "how long it works", &c.work_ms) < 0)
		return -1;
	while (l->at < l->n) {
		int64_t temps;
		if (line_take(l, "beside")) {
			c.beside = true;
		} else if (line_take(l, "undo")) {
			if (line_duration(l, "how long its undo command takes", &c.undo_ms) < 0)
				return -1;
		} else if (line_take(l, "asks")) {
			const char *name = line_want(l, "who is asked");
			if (!name)
				return -1;
			c.external = find_external(s, name);
			if (c.external < 0)
				return line_fail(l, "'%.60s' is no external", name);
		} else if (line_take(l, "temp")) {
			const char *number = line_want(l, "how many temp resources");
			if (!number)
				return -1;
			if (num_int(number, strlen(number), 1, TEMPS_MOST, &temps) < 0)
				return line_fail(l, "a number from 1 to %d is expected, not '%.60s'", TEMPS_MOST, number);
			c.temps = (int)temps;
		} else {
			return line_fail(l, "asks, temp, undo or beside is expected, not '%.60s'", l->word[l->at]);
		}
	}
	while (nest->n && nest->indent[nest->n - 1] >= l->indent)
		nest->n--;
	if (!nest->n && s->calls_n)
		return line_fail(l, "it stands below no call: all calls are made by the first one");
	if (nest->n == INDENTS)
		return line_fail(l, "calls nest deeper than %d", INDENTS);
	if (!nest->n && c.participant != 0)
		return line_fail(l, "the first call is that of the first participant, %s", s->participants[0]);
	if (nest->n) {
		c.parent = nest->call[nest->n - 1];
		c.depth = s->calls[c.parent].depth + 1;
	}
	nest->indent[nest->n] = l->indent;
	nest->call[nest->n++] = s->calls_n;
	struct scenario_call *to = add(l, &s->calls, &s->calls_n, sizeof *to, MOST, "calls");
	if (!to)
		return -1;
	*to = c;
	return 0;
}

/* Which faults go with whom. */
static bool
goes_with(int who, enum scenario_fault fault)
{
	switch (fault) {
	case FAULT_CRASH: return who >= WHO_COORDINATOR;
	case FAULT_VANISH:
	case FAULT_HANG:
	case FAULT_ERROR:
	case FAULT_STALE:
	case FAULT_ABORT: return who >= 0;
	case FAULT_RESTART: return who == WHO_SERVER;
	case FAULT_PARTITION: return who == WHO_NETWORK;
	case FAULT_STEP: return who == WHO_CLOCK;
	default: return who == WHO_DISK;
	}
}

static int
read_phase(struct scenario *s, struct line *l, struct scenario_failure *f)
{
	const char *word = line_want(l, "a phase");
	int i = 0;
	if (!word)
		return -1;
	while (i < SCENARIO_PHASES && strcmp(phases[i], word) != 0)
		i++;
	if (i == SCENARIO_PHASES)
		return line_fail(l, "'%.60s' is no phase: initialisation, processing, response, completion or cleanup", word);
	f->phase = (enum scenario_phase)i;
	if (line_take(l, "of")) {
		const char *call = line_want(l, "a call");
		if (!call)
			return -1;
		f->call = scenario_find_call(s, call);
		if (f->call < 0)
			return line_fail(l, "there is no call '%.60s' above this line", call);
		if (f->phase == PHASE_CLEANUP)
			return line_fail(l, "a cleanup is that of the operation, and of no call");
	}
	return 0;
}

static int
read_moment(struct scenario *s, struct line *l, struct scenario_failure *f)
{
	bool at = false, in = false;
	while (l->at < l->n) {
		bool ok;
		if ((at || in) && (strcmp(l->word[l->at], "at") == 0 || strcmp(l->word[l->at], "in") == 0))
			return line_fail(l, "when it happens has been said");
		if (line_take(l, "at"))
			at = true, ok = line_duration(l, "when", &f->at_ms) == 0;
		else if (line_take(l, "in"))
			in = true, ok = read_phase(s, l, f) == 0;
		else if (line_take(l, "after"))
			ok = line_duration(l, "how long after it", &f->after_ms) == 0;
		else if (line_take(l, "aborting"))
			f->aborts = ok = true;
		else if (line_take(l, "for"))
			ok = line_duration(l, "how long it lasts", &f->lasts_ms) == 0;
		else
			ok = line_fail(l, "at, in, after or for is expected, not '%.60s'", l->word[l->at]) == 0;
		if (!ok)
			return -1;
	}
	if (at == in)
		return line_fail(l, "when it happens is expected: at TIME, or in PHASE");
	if (f->aborts && f->fault != FAULT_ERROR)
		return line_fail(l, "aborting goes with error");
	if (f->after_ms && at)
		return line_fail(l, "after goes with in");
	return 0;
}

static int
read_failure(struct scenario *s, struct line *l)
{
	struct scenario_failure f = {.line = l->number, .call = -1, .at_ms = -1, .lasts_ms = -1};
	const char *who = line_want(l, "who or what fails"), *what = who ? line_want(l, "how it fails") : NULL;
	int i = 0;
	if (!what)
		return -1;
	if (!is_other(who, &f.who) && (f.who = scenario_find_participant(s, who)) < 0)
		return line_fail(l, "'%.60s' is no participant, nor everybody, coordinator, server, network, clock or disk", who);
	while (i < SCENARIO_FAULTS && strcmp(faults[i], what) != 0)
		i++;
	if (i == SCENARIO_FAULTS)
		return line_fail(l, "'%.60s' is no failure: crash, vanish, hang, error, stale, abort, restart, partition, step or full", what);
	f.fault = (enum scenario_fault)i;
	if (!goes_with(f.who, f.fault))
		return line_fail(l, "%.60s does not go with '%.60s'", what, who);
	if (f.fault == FAULT_ERROR && line_text(l, "what the error says", f.text, sizeof f.text) < 0)
		return -1;
	if (f.fault == FAULT_STEP) {
		bool back = line_take(l, "back");
		if (!back && !line_take(l, "forward"))
			return line_fail(l, "back or forward is expected behind step");
		if (line_duration(l, "how far", &f.step_ms) < 0)
			return -1;
		f.step_ms = back ? -f.step_ms : f.step_ms;
	}
	if (read_moment(s, l, &f) < 0)
		return -1;
	if (f.lasts_ms >= 0 && f.fault != FAULT_HANG && f.fault != FAULT_PARTITION && f.fault != FAULT_FULL && f.fault != FAULT_STALE)
		return line_fail(l, "for does not go with %s", what);
	/* An error is what the work itself comes to. */
	if (f.fault == FAULT_ERROR && (f.at_ms >= 0 || (f.phase != PHASE_PROCESSING && f.phase != PHASE_RESPONSE)))
		return line_fail(l, "an error is in processing or in response");
	if (f.fault == FAULT_ERROR && f.call >= 0 && s->calls[f.call].participant != f.who)
		return line_fail(l, "call %s is not that of %.60s", s->calls[f.call].name, who);
	if (f.at_ms < 0 && f.who < 0 && f.call < 0 && f.phase != PHASE_CLEANUP)
		return line_fail(l, "in %s of whom? For %.60s it is at TIME, in PHASE of CALL, or in cleanup", phases[f.phase], who);
	struct scenario_failure *to = add(l, &s->failures, &s->failures_n, sizeof *to, MOST, "failures");
	if (!to)
		return -1;
	*to = f;
	return 0;
}

/* One of these words, or some with commas between. */
static int
one_of(struct line *l, const char *meaning, const char *const *words, char to[SCENARIO_NAME])
{
	const char *word = line_want(l, meaning);
	if (!word)
		return -1;
	if (strlen(word) >= SCENARIO_NAME)
		return line_fail(l, "'%.60s' is no %s", word, meaning);
	for (const char *p = word;; p++) {
		size_t n = strcspn(p, ",");
		int i = 0;
		while (words[i] && (strlen(words[i]) != n || memcmp(words[i], p, n) != 0))
			i++;
		if (!words[i])
			return line_fail(l, "'%.*s' is no %s", (int)n, p, meaning);
		p += n;
		if (!*p)
			break;
	}
	snprintf(to, SCENARIO_NAME, "%s", word);
	return 0;
}

/* A participant's number; any: -1. */
static int
read_who(struct scenario *s, struct line *l, int *who)
{
	const char *name = line_want(l, "a participant");
	if (!name)
		return -1;
	*who = scenario_find_participant(s, name);
	return *who >= 0 ? 0 : line_fail(l, "'%.60s' is no participant", name);
}

/* by NAME,NAME within TIME, both may be left out. */
static int
read_by(struct scenario *s, struct line *l, struct scenario_expectation *e)
{
	while (l->at < l->n) {
		if (line_take(l, "within")) {
			if (line_duration(l, "how long", &e->within_ms) < 0)
				return -1;
			continue;
		}
		if (!line_take(l, "by"))
			return line_fail(l, "by or within is expected, not '%.60s'", l->word[l->at]);
		char names[SCENARIO_TEXT], *rest = names;
		if (line_text(l, "participants, with commas between", names, sizeof names) < 0)
			return -1;
		for (char *name; (name = strsep(&rest, ","));) {
			int i = scenario_find_participant(s, name);
			if (i < 0)
				return line_fail(l, "'%.60s' is no participant", name);
			e->by |= UINT64_C(1) << i;
		}
	}
	return 0;
}

static int
read_expectation(struct scenario *s, struct line *l)
{
	static const char *const states[] = {"completed", "failed", "aborted", "running", NULL};
	static const char *const ends[] = {"ended", "failed", "crashed", "cancelled", "absent", NULL};
	static const char *const gone[] = {"gone", "left", NULL};
	struct scenario_expectation e = {.line = l->number, .who = -1, .within_ms = -1};
	e.here = line_take(l, "here");
	e.there = !e.here && line_take(l, "there");
	const char *what = line_want(l, "what is expected");
	int rc = 0;
	if (!what)
		return -1;
	if (strcmp(what, "state") == 0) {
		e.what = EXPECT_STATE;
		rc = one_of(l, "state of an operation: completed, failed, aborted or running", states, e.word);
	} else if (strcmp(what, "exit") == 0) {
		int64_t status;
		e.what = EXPECT_EXIT;
		const char *word = read_who(s, l, &e.who) == 0 ? line_want(l, "its exit status, or killed") : NULL;
		if (!word)
			return -1;
		e.exit = -1;
		if (strcmp(word, "killed") != 0) {
			if (num_int(word, strlen(word), 0, 255, &status) < 0)
				return line_fail(l, "an exit status is 0 to 255, or killed, not '%.60s'", word);
			e.exit = (int)status;
		}
	} else if (strcmp(what, "death") == 0) {
		e.what = EXPECT_DEATH;
		rc = read_who(s, l, &e.who) < 0 ? -1 : read_by(s, l, &e);
	} else if (strcmp(what, "abort") == 0) {
		e.what = EXPECT_ABORT;
		rc = read_by(s, l, &e);
	} else if (strcmp(what, "call") == 0) {
		const char *call = line_want(l, "a call");
		e.what = EXPECT_CALL;
		if (!call)
			return -1;
		if ((e.who = scenario_find_call(s, call)) < 0)
			return line_fail(l, "there is no call '%.60s'", call);
		rc = one_of(l, "end of a call: ended, failed, crashed, cancelled or absent", ends, e.word);
		if (rc == 0 && l->at < l->n)
			rc = line_text(l, "what its reason has in it", e.text, sizeof e.text);
	} else if (strcmp(what, "temp") == 0) {
		e.what = EXPECT_TEMPS;
		rc = one_of(l, "end of temp resources: gone or left", gone, e.word);
	} else if (strcmp(what, "quiet") == 0) {
		e.what = EXPECT_QUIET;
	} else if (strcmp(what, "takeover") == 0) {
		e.what = EXPECT_TAKEOVER;
	} else {
		return line_fail(l, "'%.60s' cannot be expected: state, exit, death, abort, call, temp, quiet or takeover", what);
	}
	if (rc < 0)
		return -1;
	struct scenario_expectation *to = add(l, &s->expectations, &s->expectations_n, sizeof *to, MOST, "expectations");
	if (!to)
		return -1;
	*to = e;
	return 0;
}

static int
read_served(struct scenario *s, struct line *l)
{
	if (s->served)
		return line_fail(l, "a second served");
	s->served = true;
	s->apart = line_take(l, "apart");
	return 0;
}

static int
read_line(struct scenario *s, struct line *l, struct nest *nest)
{
	const char *word = line_want(l, "a line of a scenario");
	int rc;
	if (!word)
		return -1;
	if (strcmp(word, "title") == 0)
		rc = read_title(s, l);
	else if (strcmp(word, "set") == 0)
		rc = read_setting(s, l);
	else if (strcmp(word, "participant") == 0)
		rc = read_participant(s, l);
	else if (strcmp(word, "external") == 0)
		rc = read_external(s, l);
	else if (strcmp(word, "call") == 0)
		rc = read_call(s, l, nest);
	else if (strcmp(word, "fail") == 0)
		rc = read_failure(s, l);
	else if (strcmp(word, "sweep") == 0)
		rc = s->sweep_ms >= 0 ? line_fail(l, "a second sweep") : line_duration(l, "how often a sweep comes by", &s->sweep_ms);
	else if (strcmp(word, "served") == 0)
		rc = read_served(s, l);
	else if (strcmp(word, "expect") == 0)
		rc = read_expectation(s, l);
	else
		return line_fail(l, "title, set, participant, external, call, fail, sweep, served or expect is expected, not '%.60s'", word);
	if (rc == 0 && l->indent && strcmp(word, "call") != 0)
		return line_fail(l, "only calls are indented");
	return rc < 0 ? -1 : line_end(l);
}

/* What only the whole can be held to. */
static int
check_whole(const struct scenario *s, struct line *l)
{
	if (!s->calls_n)
		return line_fail(l, "a call is expected: the scenario has none");
	if (!s->expectations_n)
		return line_fail(l, "an expect is expected: the scenario has none, so nothing could be wrong with it");
	for (int i = 0; i < s->failures_n; i++) {
		l->number = s->failures[i].line;
		if (s->failures[i].who == WHO_SERVER && !s->served)
			return line_fail(l, "served is expected: there is no server that could fail");
		if (s->failures[i].who == WHO_NETWORK && !s->apart)
			return line_fail(l, "served apart is expected: there is no network that could fail");
	}
	if (!s->setting[SETTING_BEAT] || s->setting[SETTING_STALE] <= s->setting[SETTING_BEAT] + s->setting[SETTING_JITTER])
		return line_fail(l, "stale must be longer than beat and jitter together, and beat more than 0");
	return 0;
}

int
scenario_read(struct scenario *s, const char *name, const char *text, size_t n, uint64_t seed, struct why *why)
{
	struct line l = {.file = name, .random = seed, .why = why};
	struct nest nest = {.n = 0};
	const char *slash = strrchr(name, '/'), *base = slash ? slash + 1 : name;
	*s = (struct scenario){.sweep_ms = -1};
	snprintf(s->name, sizeof s->name, "%.*s", (int)strcspn(base, "."), base);
	for (int i = 0; i < SCENARIO_SETTINGS; i++)
		s->setting[i] = -1; /* not yet set */
	if (n > SCENARIO_SIZE_MAX)
		return why_set(why, ERR_USAGE, "%s: longer than %d bytes", name, SCENARIO_SIZE_MAX);
	for (const char *p = text, *end = text + n; p < end;) {
		const char *newline = memchr(p, '\n', (size_t)(end - p)), *stop = newline ? newline : end;
		l.number++;
		if (line_split(&l, p, (size_t)(stop - p)) < 0 || (l.n && read_line(s, &l, &nest) < 0))
			return -1;
		p = newline ? newline + 1 : end;
	}
	for (int i = 0; i < SCENARIO_SETTINGS; i++)
		if (s->setting[i] < 0)
			s->setting[i] = settings[i].ms;
	return check_whole(s, &l);
}

void
scenario_free(struct scenario *s)
{
	free(s->participants);
	free(s->externals);
	free(s->calls);
	free(s->failures);
	free(s->expectations);
	*s = (struct scenario){.sweep_ms = -1};
}
