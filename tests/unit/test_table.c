/* test_table - an array of fixed-size records, found by name */
#include "table.h"
#include "unit.h"

struct record {
	struct table_key key;
	uint64_t value;
};

static const struct table fresh = {.size = sizeof(struct record)};

static struct record *
add(struct table *t, const char *name, uint64_t value)
{
	struct record *r = table_add(t, name);
	r->value = value;
	return r;
}

static void
is_empty_at_first(void)
{
	struct table t = fresh;
	CHECK(!table_find(&t, "a"));
	table_compact(&t);
	table_free(&t);
	CHECK(t.size == sizeof(struct record) && t.n == 0);
}

static void
new_records_are_zero(void)
{
	struct table t = fresh;
	for (int i = 0; i < 100; i++) {
		struct record *r = table_add(&t, "x");
		CHECK(r && r->value == 0 && !r->key.gone);
		memset((char *)r + sizeof r->key, 0xff, sizeof *r - sizeof r->key);
	}
	table_free(&t);
}

static void
finds_the_newest_of_a_name(void)
{
	for (int others = 0; others < 60; others += 59) { /* without and with an index */
		struct table t = fresh;
		char name[20];
		for (int i = 0; i < others; i++) {
			snprintf(name, sizeof name, "other%d", i);
			add(&t, name, 1000);
		}
		add(&t, "a", 1);
		CHECK_INT(((struct record *)table_find(&t, "a"))->value, 1);
		add(&t, "a", 2);
		struct record *r = table_find(&t, "a");
		CHECK_INT(r->value, 2);
		table_remove(&t, r);
		table_remove(&t, r); /* twice is once */
		CHECK_INT(t.gone, 1);
		CHECK_INT(((struct record *)table_find(&t, "a"))->value, 1);
		table_remove(&t, table_find(&t, "a"));
		CHECK(!table_find(&t, "a"));
		table_free(&t);
	}
}

static void
names_up_to_their_limit(void)
{
	struct table t = fresh;
	char name[TABLE_NAME];
	memset(name, 'n', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	add(&t, name, 1);
	add(&t, "", 2);
	CHECK_INT(((struct record *)table_find(&t, name))->value, 1);
	CHECK_INT(((struct record *)table_find(&t, ""))->value, 2);
	name[sizeof name - 2] = '\0';
	CHECK(!table_find(&t, name));
	table_free(&t);
}

/* Against an array that is searched from its end. */
static void
behaves_like_a_plain_array(void)
{
	enum { MOST = 4000, NAMES = 300 };
	static struct {
		int name;
		uint64_t value;
		bool gone;
	} model[MOST];
	for (int round = 0; round < 40; round++) {
		struct table t = fresh;
		int n = 0, names = 1 + (int)unit_below(NAMES);
		char name[20];
		while (n < MOST) {
			int which = (int)unit_below((uint32_t)names);
			snprintf(name, sizeof name, "name-%d", which);
			if (unit_below(3) == 0) {
				model[n].name = which;
				model[n].value = unit_random();
				model[n].gone = false;
				add(&t, name, model[n].value);
				n++;
			}
			int newest = n - 1;
			while (newest >= 0 && (model[newest].gone || model[newest].name != which))
				newest--;
			struct record *r = table_find(&t, name);
			if (!CHECK((r != NULL) == (newest >= 0)) || (r && !CHECK(r->value == model[newest].value)))
				break;
			if (r && unit_below(2)) {
				table_remove(&t, r);
				model[newest].gone = true;
			}
			if (unit_below(8) == 0)
				table_compact(&t);
			if (unit_below(500) == 0)
				break;
		}
		/* The rest is there, in its order. */
		uint32_t at = 0;
		for (int i = 0; i < n; i++) {
			if (model[i].gone)
				continue;
			while (at < t.n && ((struct record *)table_at(&t, at))->key.gone)
				at++;
			if (!CHECK(at < t.n && ((struct record *)table_at(&t, at))->value == model[i].value))
				break;
			at++;
		}
		table_free(&t);
	}
}

static void
stays_small_when_records_come_and_go(void)
{
	struct table t = fresh;
	char name[20];
	for (int i = 0; i < 200000; i++) {
		snprintf(name, sizeof name, "c%d", i);
		struct record *r = add(&t, name, (uint64_t)i);
		if (i >= 5) {
			snprintf(name, sizeof name, "c%d", i - 5);
			r = table_find(&t, name);
			if (!CHECK(r && r->value == (uint64_t)i - 5))
				break;
			table_remove(&t, r);
			table_compact(&t);
		}
	}
	CHECK(t.cap <= 256);
	table_free(&t);
}

static void
borrows_what_was_saved(void)
{
	for (uint32_t n = 0; n < 200; n += 33) {
		struct table t = fresh, u = fresh;
		char name[20];
		for (uint32_t i = 0; i < n; i++) {
			snprintf(name, sizeof name, "r%u", (unsigned)i);
			add(&t, name, i);
		}
		/* With room for two, the third is where it takes memory of its own. */
		struct record *held = calloc(n + 2, sizeof *held);
		if (n)
			memcpy(held, t.rec, n * sizeof *held);
		table_borrow(&u, held, n, n + 2);
		CHECK_INT(u.n, n);
		for (uint32_t more = 0; more < 5; more++) {
			for (uint32_t i = 0; i < n + more; i++) {
				snprintf(name, sizeof name, "r%u", (unsigned)i);
				struct record *r = table_find(&u, name);
				if (!CHECK(r && r->value == i))
					break;
			}
			CHECK((u.rec == (char *)held) == (more <= 2));
			snprintf(name, sizeof name, "r%u", (unsigned)(n + more));
			add(&u, name, n + more);
		}
		table_free(&t);
		table_free(&u);
		free(held);
	}
}

int
main(void)
{
	RUN(is_empty_at_first);
	RUN(new_records_are_zero);
	RUN(finds_the_newest_of_a_name);
	RUN(names_up_to_their_limit);
	RUN(behaves_like_a_plain_array);
	RUN(stays_small_when_records_come_and_go);
	RUN(borrows_what_was_saved);
	return unit_end();
}
