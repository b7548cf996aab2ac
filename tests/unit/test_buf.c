/* test_buf - growable byte strings */
#include "buf.h"
#include "unit.h"

/* AddressSanitizer asks for this: a request that cannot be met must come back as NULL. */
const char *__asan_default_options(void);
const char *
__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

static void
starts_empty_and_terminates(void)
{
	struct buf b = {0};
	CHECK(b.p == NULL);
	buf_add(&b, "", 0);
	CHECK_INT(b.n, 0);
	CHECK_TEXT(b.p, "");
	buf_str(&b, "one");
	buf_char(&b, ',');
	buf_add(&b, "a\0b", 3);
	CHECK_BYTES(b.p, b.n, "one,a\0b", 7);
	CHECK_INT(b.p[b.n], 0);
	buf_free(&b);
	CHECK(b.p == NULL && b.n == 0 && b.cap == 0 && !b.failed);
}

static void
grows_by_bytes_and_by_blocks(void)
{
	struct buf b = {0};
	static char block[70000];
	memset(block, 'x', sizeof block);
	for (int i = 0; i < 5000; i++) {
		buf_char(&b, (char)('a' + i % 26));
		if (!CHECK(b.n == (size_t)i + 1 && b.cap > b.n && b.p[b.n] == '\0'))
			break;
	}
	buf_add(&b, block, sizeof block);
	CHECK_INT(b.n, 5000 + sizeof block);
	CHECK_INT(b.p[4999], 'a' + 4999 % 26);
	CHECK_INT(b.p[b.n - 1], 'x');
	buf_free(&b);
}

static void
reserves_room_for_the_NUL_too(void)
{
	for (size_t more = 0; more < 600; more++) {
		struct buf b = {0};
		CHECK_INT(buf_reserve(&b, more), 0);
		if (!CHECK(b.cap > more))
			break;
		buf_free(&b);
	}
}

static void
writes_numbers(void)
{
	static const int64_t numbers[] = {0, 1, -1, 9, 10, -10, 1234567890, INT64_MAX, INT64_MIN, INT64_MIN + 1};
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		struct buf b = {0};
		char want[32];
		snprintf(want, sizeof want, "%" PRId64, numbers[i]);
		buf_int(&b, numbers[i]);
		CHECK_TEXT(b.p, want);
		buf_free(&b);
	}
}

static void
formats(void)
{
	struct buf b = {0};
	buf_fmt(&b, "%s-%d", "a", 5);
	buf_fmt(&b, "%s", "");
	buf_fmt(&b, "%0300d", 7);
	CHECK_INT(b.n, 303);
	CHECK_BYTES(b.p, 4, "a-50", 4);
	CHECK_INT(b.p[302], '7');
	buf_free(&b);
}

static void
is_used_again_after_a_clear(void)
{
	struct buf b = {0};
	buf_clear(&b);
	CHECK(b.p == NULL);
	buf_str(&b, "something");
	char *before = b.p;
	buf_clear(&b);
	CHECK(b.p == before && b.n == 0 && b.p[0] == '\0');
	buf_str(&b, "else");
	CHECK_TEXT(b.p, "else");
	buf_free(&b);
}

static void
keeps_what_it_had_when_memory_runs_out(void)
{
	struct buf b = {0};
	buf_str(&b, "kept");
	CHECK_INT(buf_reserve(&b, SIZE_MAX / 2 + 1), -1);
	CHECK(b.failed);
	buf_str(&b, "lost");
	buf_fmt(&b, "%d", 1);
	buf_int(&b, 2);
	CHECK_TEXT(b.p, "kept");
	CHECK_INT(b.n, 4);
	CHECK_INT(buf_reserve(&b, 1), -1);
	buf_clear(&b);
	CHECK(!b.failed);
	buf_str(&b, "again");
	CHECK_TEXT(b.p, "again");
	buf_free(&b);
}

int
main(void)
{
	RUN(starts_empty_and_terminates);
	RUN(grows_by_bytes_and_by_blocks);
	RUN(reserves_room_for_the_NUL_too);
	RUN(writes_numbers);
	RUN(formats);
	RUN(is_used_again_after_a_clear);
	RUN(keeps_what_it_had_when_memory_runs_out);
	return unit_end();
}
