/* liveness: is it alive? */
#include <stdio.h>

#include "liveness.h"

const char *
life_name(enum life life)
{
	static const char *const names[] = {"alive", "suspended", "suspect", "hung", "stale", "dead"};
	return names[life];
}

bool
life_is_over(enum life life)
{
	return life == LIFE_STALE || life == LIFE_DEAD;
}

/* How old the last beat is. */
static int64_t
age(const struct evidence *e, const struct observer *now)
{
	int64_t wall = now->wall_ms - e->wall_ms, mono = now->mono_ms - e->mono_ms;
	if (e->same_clock && e->mono_ms >= 0 && mono >= 0)
		return mono;
	if (wall < 0)
		return 0;
	/* Of two clocks that may both be wrong, the one that says less accuses nobody falsely.  A monotonic clock of another
	 * boot that reads less than now's cannot say more than the truth. */
	if (e->same_boot && e->mono_ms >= 0 && mono >= 0 && mono < wall)
		return mono;
	return wall;
}

static struct verdict
say(struct verdict v, enum life life, const char *why)
{
	v.life = life;
	snprintf(v.why, sizeof v.why, "%s", why);
	return v;
}

/* "no beat for 12.3 s, and that is more than 10.0 s" */
static struct verdict
silent(struct verdict v, enum life life, const char *what, int64_t limit_ms, const char *rest)
{
	v.life = life;
	snprintf(v.why, sizeof v.why, "%s for %lld.%lld s, longer than %lld.%lld s%s", what, (long long)v.age_ms / 1000,
		(long long)v.age_ms % 1000 / 100, (long long)limit_ms / 1000, (long long)limit_ms % 1000 / 100, rest);
	return v;
}

static struct verdict
judge_held(const struct evidence *e, const struct observer *now, struct verdict v)
{
	if (!e->locked) {
		if (!e->same_boot && e->same_machine)
			return say(v, LIFE_DEAD, "its machine has booted since");
		/* A lock of another host may not be seen here (NFS): only time tells. */
		if (!e->same_boot && v.age_ms <= now->stale_ms)
			return say(v, LIFE_SUSPECT, "its lock is not seen here, but it beats on another machine");
		if (!e->same_boot)
			return silent(v, LIFE_STALE, "on another machine or in another boot, and there was no beat", now->stale_ms, "");
		if (e->keeper && e->process == PROCESS_RUNS)
			return say(v, LIFE_SUSPECT, "its keeper is gone, but the process that it kept runs");
		if (e->keeper && e->process == PROCESS_GONE)
			return say(v, LIFE_DEAD, "its process has ended, and its keeper's lock has fallen");
		return say(v, LIFE_DEAD, e->keeper ? "its keeper's lock has fallen" : "its supervisor's lock has fallen");
	}
	if (e->suspended)
		return say(v, LIFE_SUSPENDED, "it said that it is suspended");
	if (v.age_ms > now->stale_ms)
		return silent(v, LIFE_HUNG, "its lock is held, but there was no beat", now->stale_ms, "");
	return say(v, LIFE_ALIVE, "its lock is held");
}

static struct verdict
judge_leased(const struct evidence *e, struct verdict v)
{
	if (v.age_ms <= e->ttl_ms)
		return say(v, LIFE_ALIVE, "its lease is not over");
	if (e->calls_held)
		return say(v, LIFE_ALIVE, "a call of it is held by a supervisor");
	/* Who asked for a time meant it; who did not may just work on something long. */
	if (!e->ttl_given && e->process == PROCESS_RUNS)
		return silent(v, LIFE_SUSPECT, "no sign of it", e->ttl_ms, "; but the process that joined is there");
	return silent(v, LIFE_STALE, "no sign of it", e->ttl_ms, e->process == PROCESS_GONE ? "; the process that joined is gone" : "");
}

/* It promised to beat, and by the server's clock alone is it judged.  For the time in which no server runs nobody is to blame,
 * but for no longer than a lease. */
static struct verdict
judge_remote(const struct evidence *e, const struct observer *now, struct verdict v)
{
	if (e->served_ms < 0)
		return v.age_ms <= e->ttl_ms ? say(v, LIFE_SUSPECT, "no server runs that it could beat by") :
			silent(v, LIFE_STALE, "no server runs that it could beat by, and there was no sign of it", e->ttl_ms, "");
	if (e->served_ms > 0 && now->mono_ms - e->served_ms >= 0 && v.age_ms > now->mono_ms - e->served_ms)
		v.age_ms = now->mono_ms - e->served_ms;
	/* A beat that was sent since then may wait for the server, which is busy, or whose disk hangs. */
	if (e->heard_ms > 0 && now->mono_ms > e->heard_ms)
		v.age_ms -= v.age_ms < now->mono_ms - e->heard_ms ? v.age_ms : now->mono_ms - e->heard_ms;
	/* Whether it still is cannot be seen from here. */
	if (e->suspended)
		return v.age_ms <= e->ttl_ms ? say(v, LIFE_SUSPENDED, "it said that it is suspended") :
			silent(v, LIFE_STALE, "it said that it is suspended, and there was no sign of it", e->ttl_ms, "");
	if (v.age_ms <= now->stale_ms)
		return say(v, LIFE_ALIVE, "it beats by a server");
	return silent(v, LIFE_STALE, "it beats by a server, and there was no beat", now->stale_ms, "");
}

struct verdict
liveness_judge(const struct evidence *e, const struct observer *now)
{
	struct verdict v = {.age_ms = age(e, now)};
	/* One that overslept gives everybody a fresh start. */
	if (now->awake_ms > 0 && now->mono_ms - now->awake_ms >= 0 && v.age_ms > now->mono_ms - now->awake_ms)
		v.age_ms = now->mono_ms - now->awake_ms;
	if (e->remote)
		return judge_remote(e, now, v);
	return e->held ? judge_held(e, now, v) : judge_leased(e, v);
}
