/* happened: what was seen while a scenario was played. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "happened.h"

int
happened_begin(struct happened *h, const struct scenario *s)
{
	*h = (struct happened){.state = "none", .first_failure_ms = -1};
	h->exit = malloc((size_t)s->participants_n * sizeof *h->exit);
	h->call = calloc((size_t)s->calls_n, sizeof *h->call);
	h->put_in = calloc((size_t)s->failures_n + 1, sizeof *h->put_in);
	h->reason = calloc((size_t)s->calls_n, sizeof *h->reason);
	if (!h->exit || !h->call || !h->put_in || !h->reason)
		return -1;
	for (int i = 0; i < s->participants_n; i++)
		h->exit[i] = HAPPENED_NOT;
	for (int i = 0; i < s->calls_n; i++)
		snprintf(h->call[i], sizeof *h->call, "absent");
	return 0;
}

void
happened_end(struct happened *h)
{
	free(h->reason);
	free(h->put_in);
	free(h->exit);
	free(h->call);
}

/* --- judging --- */

enum { LEAST_WITHIN_MS = 5000 };

static void
exit_text(int status, char text[32])
{
	if (status == HAPPENED_NOT)
		snprintf(text, 32, "not known");
	else if (status == HAPPENED_KILLED)
		snprintf(text, 32, "killed");
	else
		snprintf(text, 32, "%d", status);
}

/* Names of the participants of a set, with commas. */
static void
names_of(const struct scenario *s, uint64_t set, char text[SCENARIO_TEXT])
{
	size_t n = 0;
	*text = '\0';
	for (int i = 0; i < s->participants_n && n < SCENARIO_TEXT; i++)
		if (set >> i & 1)
			n += (size_t)snprintf(text + n, SCENARIO_TEXT - n, "%s%s", n ? " or " : "", s->participants[i]);
}

static const char *
name_or(const struct scenario *s, int who)
{
	return who >= 0 ? s->participants[who] : "somebody else";
}

/* Whether a word is among those of a list with commas. */
static bool
is_among(const char *list, const char *word)
{
	size_t n = strlen(word);
	for (const char *p = list; *p; p += strcspn(p, ","), p += *p == ',')
		if (strcspn(p, ",") == n && memcmp(p, word, n) == 0)
			return true;
	return false;
}

/* Programs start no faster where times are small. */
static int64_t
within_of(const struct scenario_expectation *e, double scale)
{
	int64_t ms = (int64_t)((double)e->within_ms * scale);
	return ms > LEAST_WITHIN_MS ? ms : LEAST_WITHIN_MS;
}

/* The first event of those that is meant, and what is wrong with the best of them. */
static bool
judge_event(const struct happened *h, const struct scenario *s, double scale, const struct scenario_expectation *e, const struct happened_event *events, int n, const char *what,
	char text[SCENARIO_TEXT])
{
	char by[SCENARIO_TEXT] = "somebody", got[SCENARIO_TEXT] = "nobody did";
	if (e->by)
		names_of(s, e->by, by);
	for (int i = 0; i < n; i++) {
		const struct happened_event *v = &events[i];
		int64_t behind_ms = v->at_ms - (h->first_failure_ms >= 0 ? h->first_failure_ms : 0);
		int victim = v->call >= 0 ? s->calls[v->call].participant : v->who;
		if (e->who >= 0 && victim != e->who && v->who != e->who)
			continue;
		bool right_by = !e->by || (v->by >= 0 && e->by >> v->by & 1);
		bool in_time = e->within_ms < 0 || behind_ms <= within_of(e, scale);
		if (right_by && in_time && behind_ms >= 0)
			return true;
		snprintf(got, sizeof got, "%.40s did, after %lld ms", name_or(s, v->by), (long long)behind_ms);
	}
	char within[60] = "";
	if (e->within_ms >= 0)
		snprintf(within, sizeof within, " within %lld ms", (long long)within_of(e, scale));
	snprintf(text, SCENARIO_TEXT, "%s by %.80s%s is expected; %.100s", what, by, within, got);
	return false;
}

bool
happened_as_expected(const struct happened *h, const struct scenario *s, double scale, int expectation, char text[SCENARIO_TEXT])
{
	const struct scenario_expectation *e = &s->expectations[expectation];
	char got[32], wanted[32], what[100];
	if ((e->here && h->served) || (e->there && !h->served))
		return true;
	switch (e->what) {
	case EXPECT_STATE:
		/* Ended with the flag set is aborted; one that failed has failed besides. */
		if (is_among(e->word, h->aborted && strcmp(h->state, "completed") == 0 ? "aborted" : h->state) || (h->aborted && strcmp(h->state, "failed") == 0 && is_among(e->word, "aborted")))
			return true;
		snprintf(text, SCENARIO_TEXT, "the operation is expected to be %s; it is %s%s", e->word, h->state, h->aborted ? ", aborted" : "");
		return false;
	case EXPECT_EXIT:
		if (h->exit[e->who] == e->exit)
			return true;
		exit_text(e->exit, wanted);
		exit_text(h->exit[e->who], got);
		snprintf(text, SCENARIO_TEXT, "exit status %s of %s is expected; it is %s", wanted, s->participants[e->who], got);
		return false;
	case EXPECT_DEATH:
		snprintf(what, sizeof what, "that the death of %s is found", s->participants[e->who]);
		return judge_event(h, s, scale, e, h->death, h->deaths, what, text);
	case EXPECT_ABORT:
		return judge_event(h, s, scale, e, h->abort, h->aborts, "an abort", text);
	case EXPECT_CALL:
		if (is_among(e->word, h->call[e->who]) && strstr(h->reason[e->who], e->text))
			return true;
		snprintf(text, SCENARIO_TEXT, "call %s is expected to be %s%s%.60s; it is %s%s%.100s", s->calls[e->who].name, e->word, *e->text ? ": " : "", e->text, h->call[e->who],
			*h->reason[e->who] ? ": " : "", h->reason[e->who]);
		return false;
	case EXPECT_TEMPS:
		if ((h->temps_left > 0) == (strcmp(e->word, "left") == 0) && h->temps > 0)
			return true;
		snprintf(text, SCENARIO_TEXT, "temp resources are expected to be %s; of %d there are %d left", e->word, h->temps, h->temps_left);
		return false;
	case EXPECT_TAKEOVER:
		if (h->takeover)
			return true;
		snprintf(text, SCENARIO_TEXT, "it is expected that another goes on with the cleanup; nobody did");
		return false;
	case EXPECT_QUIET:
		if (!h->deaths && !h->aborts)
			return true;
		snprintf(text, SCENARIO_TEXT, "quiet is expected; there were %d deaths and %d aborts", h->deaths, h->aborts);
		return false;
	}
	return false;
}
