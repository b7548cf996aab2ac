/* test_liveness - is it alive?  Judged with made-up clocks and made-up evidence */
#include "liveness.h"
#include "unit.h"

#define HOUR INT64_C(3600000)
#define YEAR (INT64_C(365) * 24 * HOUR)

enum { STALE = 10000, TTL = 60000 };

/* Noon of some day, two days after the boot. */
#define WALL INT64_C(1795521600000)
#define MONO (48 * HOUR)

static const struct observer now = {.wall_ms = WALL, .mono_ms = MONO, .stale_ms = STALE};

/* Somebody of this boot whose last beat is so old, by both clocks. */
static struct evidence
silent_for(int64_t ms)
{
	return (struct evidence){.same_boot = true, .same_machine = true, .same_clock = true, .ttl_ms = TTL, .wall_ms = WALL - ms, .mono_ms = MONO - ms};
}

static struct evidence
keeper_silent_for(int64_t ms, bool locked)
{
	struct evidence e = silent_for(ms);
	e.held = e.keeper = true;
	e.locked = locked;
	return e;
}

static enum life
life_of(struct evidence e)
{
	return liveness_judge(&e, &now).life;
}

/* --- the names --- */

static void
names(void)
{
	static const char *const want[] = {"alive", "suspended", "suspect", "hung", "stale", "dead"};
	for (int i = LIFE_ALIVE; i <= LIFE_DEAD; i++) {
		CHECK_TEXT(life_name((enum life)i), want[i]);
		CHECK(life_is_over((enum life)i) == (i == LIFE_STALE || i == LIFE_DEAD));
	}
}

/* --- by lock --- */

static void
a_held_lock_is_a_life_whatever_the_clocks_say(void)
{
	static const int64_t ages[] = {0, 1, STALE, STALE + 1, TTL + 1, HOUR, YEAR};
	for (size_t i = 0; i < sizeof ages / sizeof *ages; i++)
		for (int bits = 0; bits < 64; bits++) {
			struct evidence e = keeper_silent_for(ages[i], true);
			e.keeper = bits & 1;
			e.suspended = bits & 2;
			e.same_boot = e.same_clock = bits & 4;
			e.same_machine = bits & 8;
			e.ttl_given = bits & 16;
			e.process = bits & 32 ? PROCESS_GONE : PROCESS_RUNS;
			struct verdict v = liveness_judge(&e, &now);
			CHECK(!life_is_over(v.life) && v.life != LIFE_SUSPECT);
			CHECK_INT(v.life, e.suspended ? LIFE_SUSPENDED : ages[i] > STALE ? LIFE_HUNG : LIFE_ALIVE);
		}
}

static void
hung_at_more_than_stale_and_not_before(void)
{
	CHECK_INT(life_of(keeper_silent_for(STALE, true)), LIFE_ALIVE);
	CHECK_INT(life_of(keeper_silent_for(STALE + 1, true)), LIFE_HUNG);
	struct evidence e = keeper_silent_for(STALE + 1, true);
	e.suspended = true;
	CHECK_INT(life_of(e), LIFE_SUSPENDED);
	struct verdict v = liveness_judge(&e, &now);
	CHECK_INT(v.age_ms, STALE + 1);
}

static void
a_fallen_lock_is_a_death_whatever_the_clocks_say(void)
{
	static const int64_t ages[] = {-YEAR, -1, 0, STALE, YEAR};
	for (size_t i = 0; i < sizeof ages / sizeof *ages; i++)
		for (int suspended = 0; suspended < 2; suspended++) {
			struct evidence e = keeper_silent_for(ages[i], false);
			e.suspended = suspended; /* it was killed while it was stopped */
			e.process = PROCESS_GONE;
			CHECK_INT(life_of(e), LIFE_DEAD);
			e.process = PROCESS_UNKNOWN;
			CHECK_INT(life_of(e), LIFE_DEAD);
			e.process = PROCESS_RUNS;
			CHECK_INT(life_of(e), LIFE_SUSPECT);
			/* A supervisor keeps nobody: what it ran does not save it. */
			e.keeper = false;
			CHECK_INT(life_of(e), LIFE_DEAD);
		}
}

static void
a_reboot_of_its_machine_is_the_death_of_who_is_held(void)
{
	struct evidence e = keeper_silent_for(0, false);
	e.same_boot = e.same_clock = false;
	for (int process = PROCESS_UNKNOWN; process <= PROCESS_GONE; process++) {
		e.process = (enum process)process;
		CHECK_INT(life_of(e), LIFE_DEAD);
	}
	e.keeper = false;
	CHECK_INT(life_of(e), LIFE_DEAD);
}

static void
a_lock_of_another_machine_may_not_be_seen_here(void)
{
	struct evidence e = keeper_silent_for(STALE, false);
	e.same_boot = e.same_clock = e.same_machine = false;
	e.mono_ms = 5; /* its own clock says nothing here */
	CHECK_INT(life_of(e), LIFE_SUSPECT);
	e.wall_ms--;
	CHECK_INT(life_of(e), LIFE_STALE);
	e.wall_ms = WALL + YEAR; /* ahead of ours: no age */
	CHECK_INT(life_of(e), LIFE_SUSPECT);
	struct verdict v = liveness_judge(&e, &now);
	CHECK_INT(v.age_ms, 0);
}

/* --- by lease --- */

static void
a_lease_is_over_after_its_time_and_not_before(void)
{
	for (int given = 0; given < 2; given++)
		for (int process = PROCESS_UNKNOWN; process <= PROCESS_GONE; process++)
			for (int calls = 0; calls < 2; calls++) {
				struct evidence e = silent_for(TTL);
				e.ttl_given = given;
				e.process = (enum process)process;
				e.calls_held = calls;
				CHECK_INT(life_of(e), LIFE_ALIVE);
				e = silent_for(TTL + 1);
				e.ttl_given = given;
				e.process = (enum process)process;
				e.calls_held = calls;
				bool spared = !given && process == PROCESS_RUNS;
				CHECK_INT(life_of(e), calls ? LIFE_ALIVE : spared ? LIFE_SUSPECT : LIFE_STALE);
			}
}

/* What a file says that was held before means nothing for a lease. */
static void
a_lease_needs_no_lock(void)
{
	for (int bits = 0; bits < 8; bits++) {
		struct evidence e = silent_for(STALE + 1);
		e.locked = bits & 1; /* somebody writes it at this moment */
		e.suspended = bits & 2;
		e.same_machine = bits & 4;
		CHECK_INT(life_of(e), LIFE_ALIVE);
	}
}

static void
a_lease_across_boots_goes_by_the_wall_clock(void)
{
	for (int machine = 0; machine < 2; machine++) {
		struct evidence e = silent_for(TTL);
		e.same_boot = e.same_clock = false;
		e.same_machine = machine;
		e.mono_ms = MONO - 10; /* by chance like our own */
		CHECK_INT(life_of(e), LIFE_ALIVE);
		e.wall_ms--;
		CHECK_INT(life_of(e), LIFE_STALE);
		e.wall_ms = WALL + HOUR;
		CHECK_INT(life_of(e), LIFE_ALIVE);
		e.wall_ms = WALL - YEAR;
		CHECK_INT(life_of(e), LIFE_STALE);
	}
}

static void
without_a_file_the_journal_has_to_do(void)
{
	struct evidence e = {.ttl_ms = TTL, .mono_ms = -1, .wall_ms = WALL - TTL};
	CHECK_INT(life_of(e), LIFE_ALIVE);
	e.wall_ms--;
	CHECK_INT(life_of(e), LIFE_STALE);
	e.process = PROCESS_RUNS;
	CHECK_INT(life_of(e), LIFE_SUSPECT);
	e.process = PROCESS_GONE;
	CHECK_INT(life_of(e), LIFE_STALE);
	/* A call's: held, of this boot, and nobody has the lock. */
	e = (struct evidence){.held = true, .same_boot = true, .mono_ms = -1, .wall_ms = WALL};
	CHECK_INT(life_of(e), LIFE_DEAD);
}

/* --- clocks --- */

static void
a_wall_clock_that_is_set_kills_nobody(void)
{
	static const int64_t steps[] = {-YEAR, -HOUR, -1000, 0, 1000, HOUR, YEAR};
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		struct observer then = now;
		then.wall_ms += steps[i];
		struct evidence e = keeper_silent_for(50, true);
		struct verdict v = liveness_judge(&e, &then);
		CHECK(v.life == LIFE_ALIVE && v.age_ms == 50);
		e = silent_for(TTL);
		e.ttl_given = true;
		v = liveness_judge(&e, &then);
		CHECK(v.life == LIFE_ALIVE && v.age_ms == TTL);
		/* Nor does it keep anybody alive. */
		e = silent_for(TTL + 1);
		v = liveness_judge(&e, &then);
		CHECK(v.life == LIFE_STALE && v.age_ms == TTL + 1);
		e = keeper_silent_for(STALE + 1, true);
		CHECK_INT(liveness_judge(&e, &then).life, LIFE_HUNG);
		e.locked = false;
		CHECK_INT(liveness_judge(&e, &then).life, LIFE_DEAD);
	}
}

/* While a machine sleeps its monotonic clock stands still, and the other goes on. */
static void
a_suspended_machine_kills_nobody(void)
{
	struct observer then = now;
	then.wall_ms += 8 * HOUR;
	then.mono_ms += 20;
	struct evidence e = silent_for(4000);
	e.ttl_given = true;
	struct verdict v = liveness_judge(&e, &then);
	CHECK(v.life == LIFE_ALIVE && v.age_ms == 4020);
	e = keeper_silent_for(4000, true);
	v = liveness_judge(&e, &then);
	CHECK(v.life == LIFE_ALIVE && v.age_ms == 4020);
	/* Also where the two are of different time namespaces. */
	e = silent_for(4000);
	e.same_clock = false;
	e.ttl_given = true;
	v = liveness_judge(&e, &then);
	CHECK(v.life == LIFE_ALIVE && v.age_ms == 4020);
}

/* Its monotonic clock is another, by any offset; so the wall clock, and the smaller of both where both may be wrong. */
static void
another_time_namespace(void)
{
	static const int64_t offsets[] = {-MONO, -HOUR, -1, 0, 1, HOUR, YEAR};
	static const int64_t steps[] = {-YEAR, -HOUR, 0, HOUR, YEAR};
	for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++)
		for (size_t k = 0; k < sizeof steps / sizeof *steps; k++) {
			struct observer then = now;
			struct evidence e = silent_for(5);
			e.same_clock = false;
			e.ttl_given = true;
			e.mono_ms += offsets[i];
			then.wall_ms += steps[k];
			struct verdict v = liveness_judge(&e, &then);
			int64_t wall = steps[k] + 5 < 0 ? 0 : steps[k] + 5, mono = 5 - offsets[i];
			CHECK_INT(v.age_ms, mono >= 0 && e.mono_ms >= 0 && mono < wall ? mono : wall);
			/* Neither clock accuses alone. */
			if (offsets[i] == 0 || steps[k] == 0)
				CHECK_INT(v.life, LIFE_ALIVE);
			e = keeper_silent_for(5, true);
			e.same_clock = false;
			e.mono_ms += offsets[i];
			CHECK(!life_is_over(liveness_judge(&e, &then).life));
		}
}

static void
an_age_is_never_negative(void)
{
	static const int64_t ahead[] = {1, 4, 1000, HOUR, YEAR};
	for (size_t i = 0; i < sizeof ahead / sizeof *ahead; i++)
		for (int bits = 0; bits < 8; bits++) {
			struct evidence e = silent_for(-ahead[i]);
			e.held = e.locked = bits & 1;
			e.same_boot = bits & 2;
			e.same_clock = e.same_boot && bits & 4;
			struct verdict v = liveness_judge(&e, &now);
			CHECK(v.age_ms == 0 && v.life == LIFE_ALIVE);
		}
}

/* touch(1), or a copy that kept no times: the time of modification is no monotonic one. */
static void
times_that_are_no_beat(void)
{
	struct evidence e = silent_for(7);
	e.mono_ms = WALL;
	struct verdict v = liveness_judge(&e, &now);
	CHECK(v.life == LIFE_ALIVE && v.age_ms == 7);
	e.wall_ms = WALL - TTL - 1;
	e.process = PROCESS_RUNS;
	CHECK_INT(life_of(e), LIFE_SUSPECT);
	e = silent_for(0);
	e.mono_ms = -5000; /* before 1970 */
	v = liveness_judge(&e, &now);
	CHECK(v.life == LIFE_ALIVE && v.age_ms == 0);
}

/* --- the observer --- */

static void
one_that_overslept_gives_everybody_a_fresh_start(void)
{
	struct observer late = now;
	late.awake_ms = MONO - 100; /* it was stopped until then */
	struct evidence e = silent_for(HOUR);
	e.ttl_given = true;
	struct verdict v = liveness_judge(&e, &late);
	CHECK(v.life == LIFE_ALIVE && v.age_ms == 100);
	e = keeper_silent_for(HOUR, true);
	v = liveness_judge(&e, &late);
	CHECK(v.life == LIFE_ALIVE && v.age_ms == 100);
	/* A lock that fell is a death all the same. */
	e.locked = false;
	CHECK_INT(liveness_judge(&e, &late).life, LIFE_DEAD);
	/* The fresh start lasts for one ttl. */
	e = silent_for(HOUR);
	late.awake_ms = MONO - TTL;
	CHECK_INT(liveness_judge(&e, &late).life, LIFE_ALIVE);
	late.awake_ms--;
	CHECK_INT(liveness_judge(&e, &late).life, LIFE_STALE);
	/* It makes nobody older. */
	e = silent_for(3);
	v = liveness_judge(&e, &late);
	CHECK_INT(v.age_ms, 3);
	/* 0: it only just came, and judges by what it finds. */
	late.awake_ms = 0;
	e = silent_for(TTL + 1);
	CHECK_INT(liveness_judge(&e, &late).life, LIFE_STALE);
	/* One whose clock is ahead of ours cannot have been awake here. */
	late.awake_ms = MONO + HOUR;
	CHECK_INT(liveness_judge(&e, &late).life, LIFE_STALE);
	late.awake_ms = MONO;
	v = liveness_judge(&e, &late);
	CHECK(v.life == LIFE_ALIVE && v.age_ms == 0);
}

/* --- everything, against the rules said once more --- */

static int64_t
age_by_the_rules(const struct evidence *e, const struct observer *o)
{
	int64_t wall = o->wall_ms > e->wall_ms ? o->wall_ms - e->wall_ms : 0;
	int64_t mono = e->mono_ms >= 0 && o->mono_ms >= e->mono_ms ? o->mono_ms - e->mono_ms : -1;
	int64_t ms = wall;
	if (mono >= 0 && e->same_clock)
		ms = mono;
	else if (mono >= 0 && e->same_boot && mono < wall)
		ms = mono;
	if (o->awake_ms > 0 && o->awake_ms <= o->mono_ms && o->mono_ms - o->awake_ms < ms)
		ms = o->mono_ms - o->awake_ms;
	return ms;
}

static enum life
life_by_the_rules(const struct evidence *e, const struct observer *o)
{
	int64_t ms = age_by_the_rules(e, o);
	if (e->held && e->locked)
		return e->suspended ? LIFE_SUSPENDED : ms > o->stale_ms ? LIFE_HUNG : LIFE_ALIVE;
	if (e->held && !e->same_boot)
		return e->same_machine ? LIFE_DEAD : ms > o->stale_ms ? LIFE_STALE : LIFE_SUSPECT;
	if (e->held)
		return e->keeper && e->process == PROCESS_RUNS ? LIFE_SUSPECT : LIFE_DEAD;
	if (ms <= e->ttl_ms || e->calls_held)
		return LIFE_ALIVE;
	return e->process == PROCESS_RUNS && !e->ttl_given ? LIFE_SUSPECT : LIFE_STALE;
}

static bool
same_as_the_rules(const struct evidence *e, const struct observer *o)
{
	struct verdict v = liveness_judge(e, o);
	bool ok = CHECK_INT(v.age_ms, age_by_the_rules(e, o));
	ok &= CHECK_INT(v.life, life_by_the_rules(e, o));
	/* The evidence is a sentence that was not cut. */
	size_t n = strlen(v.why);
	ok &= CHECK(n > 10 && n < sizeof v.why - 1 && !strchr(v.why, '\n'));
	return ok;
}

static void
everything_against_the_rules(void)
{
	static const int64_t ages[] = {-YEAR, -HOUR, -1, 0, 1, STALE, STALE + 1, TTL, TTL + 1, HOUR, YEAR};
	static const int64_t awake[] = {0, 1, MONO - TTL - 1, MONO - STALE, MONO - 1, MONO, MONO + HOUR};
	enum { AGES = sizeof ages / sizeof *ages, AWAKE = sizeof awake / sizeof *awake };
	int64_t n = 0;
	for (int bits = 0; bits < 512; bits++)
		for (int process = PROCESS_UNKNOWN; process <= PROCESS_GONE; process++)
			for (int wall = 0; wall < AGES; wall++)
				for (int mono = -1; mono < AGES; mono++)
					for (int a = 0; a < AWAKE; a++) {
						struct evidence e = {.held = bits & 1, .keeper = bits & 2, .locked = bits & 4, .suspended = bits & 8, .same_boot = bits & 16,
							.same_machine = bits & 32, .same_clock = bits & 64, .ttl_given = bits & 128, .calls_held = bits & 256,
							.process = (enum process)process, .ttl_ms = TTL, .wall_ms = WALL - ages[wall], .mono_ms = mono < 0 ? -1 : MONO - ages[mono]};
						struct observer o = now;
						o.awake_ms = awake[a];
						if (e.same_clock && !e.same_boot)
							continue; /* cannot be */
						n++;
						if (!same_as_the_rules(&e, &o))
							return;
					}
	CHECK(n > 1000000);
}

static int64_t
some_time(void)
{
	static const int64_t corners[] = {-1, 0, 1, MONO, WALL, INT64_C(253402300799999), INT64_C(1) << 52};
	return unit_below(2) ? corners[unit_below(7)] : (int64_t)(unit_random() >> (11 + unit_below(50)));
}

static void
anything_against_the_rules(void)
{
	for (int i = 0; i < 300000; i++) {
		uint64_t bits = unit_random();
		struct evidence e = {.held = bits & 1, .keeper = bits & 2, .locked = bits & 4, .suspended = bits & 8, .same_boot = bits & 16,
			.same_machine = bits & 32, .same_clock = (bits & 64) && (bits & 16), .ttl_given = bits & 128, .calls_held = bits & 256,
			.process = (enum process)unit_below(3), .ttl_ms = some_time(), .wall_ms = some_time(), .mono_ms = some_time()};
		struct observer o = {.wall_ms = some_time(), .mono_ms = some_time(), .awake_ms = some_time(), .stale_ms = some_time()};
		if (!same_as_the_rules(&e, &o))
			return;
	}
}

/* Nobody is over who can be proven to live, and who may live is over only by an explicit ttl. */
static void
no_living_one_is_ever_over(void)
{
	for (int i = 0; i < 300000; i++) {
		uint64_t bits = unit_random();
		struct evidence e = {.held = bits & 1, .keeper = bits & 2, .locked = bits & 4, .suspended = bits & 8, .same_boot = bits & 16,
			.same_machine = bits & 32, .same_clock = (bits & 64) && (bits & 16), .ttl_given = bits & 128, .calls_held = bits & 256,
			.process = (enum process)unit_below(3), .ttl_ms = some_time(), .wall_ms = some_time(), .mono_ms = some_time()};
		struct observer o = {.wall_ms = some_time(), .mono_ms = some_time(), .awake_ms = some_time(), .stale_ms = some_time()};
		bool over = life_is_over(liveness_judge(&e, &o).life);
		bool lives = e.held ? e.locked || (e.same_boot && e.keeper && e.process == PROCESS_RUNS)
				    : e.calls_held || (e.process == PROCESS_RUNS && !e.ttl_given);
		if (!CHECK(!over || !lives))
			return;
	}
}

/* --- the evidence, for people --- */

static void
the_evidence_says_how_it_is_known(void)
{
	struct evidence e = keeper_silent_for(12345, true);
	CHECK_TEXT(liveness_judge(&e, &now).why, "its lock is held, but there was no beat for 12.3 s, longer than 10.0 s");
	e = silent_for(61050);
	e.process = PROCESS_GONE;
	CHECK_TEXT(liveness_judge(&e, &now).why, "no sign of it for 61.0 s, longer than 60.0 s; the process that joined is gone");
	e.process = PROCESS_RUNS;
	CHECK_TEXT(liveness_judge(&e, &now).why, "no sign of it for 61.0 s, longer than 60.0 s; but the process that joined is there");
	e.ttl_given = true;
	CHECK_TEXT(liveness_judge(&e, &now).why, "no sign of it for 61.0 s, longer than 60.0 s");
	e = keeper_silent_for(1, false);
	e.process = PROCESS_RUNS;
	CHECK_TEXT(liveness_judge(&e, &now).why, "its keeper is gone, but the process that it kept runs");
	e.keeper = false;
	CHECK_TEXT(liveness_judge(&e, &now).why, "its supervisor's lock has fallen");
	e.same_boot = e.same_clock = false;
	CHECK_TEXT(liveness_judge(&e, &now).why, "its machine has booted since");
}

static void
what_a_busy_server_has_not_read_yet_is_no_silence(void)
{
	struct evidence e = silent_for(STALE + 5000);
	e.remote = true;
	e.served_ms = MONO - HOUR;
	CHECK(life_of(e) == LIFE_STALE);
	e.heard_ms = INT64_MAX;
	CHECK(life_of(e) == LIFE_STALE);
	e.heard_ms = MONO - 4999;
	CHECK(life_of(e) == LIFE_STALE);
	e.heard_ms = MONO - 5000;
	CHECK(life_of(e) == LIFE_ALIVE);
	CHECK(liveness_judge(&e, &now).age_ms == STALE);
	e.heard_ms = 1; /* since the boot */
	CHECK(life_of(e) == LIFE_ALIVE);
	CHECK(liveness_judge(&e, &now).age_ms == 0);
	/* A server that began meanwhile counts from its beginning at most. */
	e = silent_for(HOUR);
	e.remote = true;
	e.served_ms = MONO - STALE - 2;
	CHECK(life_of(e) == LIFE_STALE);
	e.heard_ms = MONO - 2;
	CHECK(life_of(e) == LIFE_ALIVE);
	/* Who does not beat by it is not concerned. */
	e = silent_for(TTL + 1);
	e.heard_ms = MONO - HOUR;
	CHECK(life_of(e) == LIFE_STALE);
}

static void
one_that_is_suspended_has_the_time_of_a_lease_by_a_server_too(void)
{
	struct evidence e = silent_for(STALE + 1);
	e.remote = true;
	CHECK(life_of(e) == LIFE_STALE);
	e.suspended = true;
	CHECK(life_of(e) == LIFE_SUSPENDED);
	e = silent_for(TTL);
	e.remote = e.suspended = true;
	CHECK(life_of(e) == LIFE_SUSPENDED);
	e = silent_for(TTL + 1);
	e.remote = e.suspended = true;
	CHECK(life_of(e) == LIFE_STALE);
	e = silent_for(0);
	e.remote = e.suspended = true;
	CHECK(life_of(e) == LIFE_SUSPENDED);
}

int
main(void)
{
	RUN(names);
	RUN(a_held_lock_is_a_life_whatever_the_clocks_say);
	RUN(hung_at_more_than_stale_and_not_before);
	RUN(a_fallen_lock_is_a_death_whatever_the_clocks_say);
	RUN(a_reboot_of_its_machine_is_the_death_of_who_is_held);
	RUN(a_lock_of_another_machine_may_not_be_seen_here);
	RUN(a_lease_is_over_after_its_time_and_not_before);
	RUN(a_lease_needs_no_lock);
	RUN(a_lease_across_boots_goes_by_the_wall_clock);
	RUN(without_a_file_the_journal_has_to_do);
	RUN(a_wall_clock_that_is_set_kills_nobody);
	RUN(a_suspended_machine_kills_nobody);
	RUN(another_time_namespace);
	RUN(an_age_is_never_negative);
	RUN(times_that_are_no_beat);
	RUN(one_that_overslept_gives_everybody_a_fresh_start);
	RUN(everything_against_the_rules);
	RUN(anything_against_the_rules);
	RUN(no_living_one_is_ever_over);
	RUN(what_a_busy_server_has_not_read_yet_is_no_silence);
	RUN(one_that_is_suspended_has_the_time_of_a_lease_by_a_server_too);
	RUN(the_evidence_says_how_it_is_known);
	return unit_end();
}
