/* test_keyset - a set of sums */
#include "keyset.h"
#include "unit.h"

static void
has_what_was_added_and_little_else(void)
{
	struct keyset s = {0};
	CHECK(!keyset_may_have(&s, 0));
	CHECK(!keyset_may_have(&s, 7));
	for (uint64_t i = 0; i < 100000; i++)
		keyset_add(&s, i * 0x9e3779b97f4a7c15u);
	CHECK_INT((int64_t)s.n, 100000);
	bool all = true, others = false;
	for (uint64_t i = 0; i < 100000; i++) {
		all &= keyset_may_have(&s, i * 0x9e3779b97f4a7c15u);
		others |= i && keyset_may_have(&s, i * 0x9e3779b97f4a7c15u + 1); /* of 0 it is 1 that stands there */
	}
	CHECK(all);
	CHECK(!others);
	keyset_add(&s, 5 * 0x9e3779b97f4a7c15u);
	CHECK_INT((int64_t)s.n, 100000);
	keyset_free(&s);
	CHECK(!keyset_may_have(&s, 0));
}

static void
what_it_may_lack_it_may_have(void)
{
	struct keyset s = {.failed = true};
	CHECK(keyset_may_have(&s, 1));
}

int
main(void)
{
	RUN(has_what_was_added_and_little_else);
	RUN(what_it_may_lack_it_may_have);
	return unit_end();
}
