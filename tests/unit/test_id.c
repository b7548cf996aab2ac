/* test_id - the names of things, and which names are allowed */
#include "id.h"
#include "text.h"
#include "unit.h"

/* A name of n times `c`. */
static const char *
times(char c, size_t n)
{
	static char name[300];
	memset(name, c, n);
	name[n] = '\0';
	return name;
}

/* What no id and no participant's name may be (reliability 4.4), each with a reason. */
static const char *const hostile[] = {"", ".", "..", "../x", "a/../../etc/passwd", "/etc/passwd", "a/b", "-rf", "--help", "-", "a\nb", "a\rb",
	"\x1b[2J\x1b]0;x\a", "\xff", "\xc0\xaf", "a\xe2\x80\xae" "b", "a\xe2\x80\x8b" "b", " x", "x ", "a\tb", "\x7f", "a\xc2\x85" "b", "\xef\xbb\xbf" "a"};
/* These are names of a person or a script, but no ids. */
static const char *const odd[] = {"~", "$HOME", "$(touch x)", ";rm -rf", "*", "?", "[a", "%2e%2e%2fx", "..%2f", "caf\xc3\xa9", "cafe\xcc\x81",
	"\xf0\x9f\x98\x80", "two words", "a\\b", "\"quoted\"", "a+b", "a=b", "a@b", "a#b", "a,b", "a&b", "'"};

static void
operation_ids(void)
{
	static const char *const good[] = {"a", "_", "0", "20261122T143045.123Z-cli-a1b2c3d4", "2026-11-22T14:30:45.123Z_x", "a.b", "a-b", "a_", "a.", "x:y", "con",
		"op.lock", "op.json", "_x_trail"};
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		if (!CHECK(!id_bad_operation(good[i])))
			printf("# '%s' %s\n", good[i], id_bad_operation(good[i]));
	for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++)
		if (!CHECK(id_bad_operation(hostile[i])))
			printf("# took hostile %zu\n", i);
	for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
		if (!CHECK(id_bad_operation(odd[i])))
			printf("# took '%s'\n", odd[i]);
	CHECK(id_bad_operation(".hidden") && id_bad_operation("a..b") && id_bad_operation("a..") && id_bad_operation(":a"));
	CHECK(!id_bad_operation(times('a', ID_OPERATION_MAX)));
	CHECK(id_bad_operation(times('a', ID_OPERATION_MAX + 1)));
}

static void
call_ids(void)
{
	CHECK(!id_bad_call("call_worker_1_ab12") && !id_bad_call("a:b") && !id_bad_call("_"));
	for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++)
		CHECK(id_bad_call(hostile[i]));
	for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
		CHECK(id_bad_call(odd[i]));
	CHECK(!id_bad_call(times('a', ID_NAME_MAX)));
	CHECK(id_bad_call(times('a', ID_NAME_MAX + 1)));
}

/* Every single byte at the front, in the middle: the set of characters is the documented one. */
static void
each_byte_of_an_id(void)
{
	for (int c = 1; c < 256; c++) {
		char front[3] = {(char)c, 'a', '\0'}, middle[4] = {'a', (char)c, 'a', '\0'};
		bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
		bool inside = alnum || c == '_' || c == '.' || c == '-' || c == ':';
		if (!CHECK(!id_bad_operation(front) == (alnum || c == '_')) || !CHECK(!id_bad_operation(middle) == inside) ||
		    !CHECK(!id_bad_call(middle) == inside) || !CHECK(!id_bad_key(middle) == inside))
			printf("# byte 0x%02x\n", (unsigned)c);
	}
}

static void
participants(void)
{
	static const char *const good[] = {"a", "worker-1", "a.b", "a:b", "...", ".x", "a..b", "a/b", "/etc/passwd", "../x", "x y z", "uid-0"};
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		if (!CHECK(!id_bad_participant(good[i])))
			printf("# '%s' %s\n", good[i], id_bad_participant(good[i]));
	for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
		if (!CHECK(!id_bad_participant(odd[i])))
			printf("# '%s' %s\n", odd[i], id_bad_participant(odd[i]));
	for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++)
		if (!strchr(hostile[i], '/') && !CHECK(id_bad_participant(hostile[i])))
			printf("# took hostile %zu\n", i);
	CHECK(!id_bad_participant(times('a', ID_NAME_MAX)));
	CHECK(id_bad_participant(times('a', ID_NAME_MAX + 1)));
	CHECK(id_bad_participant(times(' ', 3)));
	/* 64 bytes, not characters; a character that the limit would cut is not UTF-8 twice over */
	char wide[80] = "";
	for (size_t i = 0; i < 66; i += 2) {
		CHECK(!id_bad_participant(wide) == (i > 0));
		memcpy(wide + i, "\xc3\xa9", 3);
	}
	CHECK(id_bad_participant(wide));
}

static void
every_unsafe_character_is_refused_in_a_name(void)
{
	for (uint32_t code = 1; code <= 0x10ffff; code++) {
		char name[8] = "a";
		if (code >= 0xd800 && code <= 0xdfff)
			continue;
		size_t n = text_encode(code, name + 1);
		memcpy(name + 1 + n, "b", 2);
		if (!CHECK(!id_bad_participant(name) == !text_unsafe(code))) {
			printf("# U+%04x\n", (unsigned)code);
			return;
		}
	}
}

static void
keys(void)
{
	CHECK(!id_bad_key("a") && !id_bad_key("-") && !id_bad_key("..") && !id_bad_key("a:b_c.d-9"));
	CHECK(id_bad_key("") && id_bad_key("a b") && id_bad_key("a/b") && id_bad_key("caf\xc3\xa9") && id_bad_key("a\n") && id_bad_key("\"") && id_bad_key("a\\"));
	CHECK(!id_bad_key(times('k', ID_KEY_MAX)));
	CHECK(id_bad_key(times('k', ID_KEY_MAX + 1)));
}

static void
full_ids(void)
{
	static const char *const no[] = {"", "a1b2c3d4", "20261122T143045.123Z", "20261122T143045.123Z-", "20261122T143045.123Z-cli", "20261122T143045.123Z-cli-a1b2c3d",
		"20261122T143045.123Z-cli-A1B2C3D4", "20261122T143045.123Z-cli-a1b2c3d4x", "2026-11-22T14:30:45.123Z-cli-a1b2c3d4", "20261122T143045.123Z-cli-a1b2c3g4",
		"20261122t143045.123z-cli-a1b2c3d4", ".new-20261122T143045.123Z-cli-a1b2c3d4", ".old-20261122T143045.123Z-cli-a1b2c3d4",
		".new-20261122T143045.123Z-cli-a1b2c3d4.123", "20261122T143045.123Z-../x-a1b2c3d4", "20261122T143045.123Z-a..b-a1b2c3d4", "20261122T143045.123Z-a b-a1b2c3d4",
		"20261122T143045.123Z--a1b2c3d4"};
	CHECK(id_is_full("20261122T143045.123Z-cli-a1b2c3d4"));
	CHECK(id_is_full("20261122T143045.123Z-a-b.c-00000000"));
	for (size_t i = 0; i < sizeof no / sizeof *no; i++)
		if (!CHECK(!id_is_full(no[i])))
			printf("# took '%s'\n", no[i]);
}

static void
makes_operation_ids(void)
{
	char id[ID_OPERATION_MAX + 1];
	id_operation(1795357845123, "cli", 0xa1b2c3d4, id);
	CHECK_TEXT(id, "20261122T143045.123Z-cli-a1b2c3d4");
	id_operation(0, "a b/c:d", 0, id);
	CHECK_TEXT(id, "19700101T000000.000Z-a_b_c_d-00000000");
	id_operation(0, "..", 7, id);
	CHECK(id_is_full(id) && !id_bad_operation(id));
}

/* Whatever participant there is, its ids are allowed and complete, and its file name is one. */
static void
every_name_gives_allowed_ids(void)
{
	for (int i = 0; i < 200000; i++) {
		char name[ID_NAME_MAX + 1] = "", id[ID_OPERATION_MAX + 1], call[ID_NAME_MAX + 1], file[ID_FILE_MAX + 1];
		size_t n = 0, want = 1 + unit_below(ID_NAME_MAX);
		while (n < want) {
			char one[4];
			uint32_t code = unit_below(4) ? 0x21 + unit_below(0x5e) : unit_below(4) ? '.' : unit_below(0x110000);
			if (code >= 0xd800 && code <= 0xdfff)
				continue;
			size_t len = text_encode(code, one);
			if (n + len > ID_NAME_MAX)
				break;
			memcpy(name + n, one, len);
			n += len;
		}
		name[n] = '\0';
		if (id_bad_participant(name))
			continue;
		id_operation((int64_t)(unit_random() % 253402300799999), name, (uint32_t)unit_random(), id);
		id_call(name, unit_random(), (uint32_t)unit_random(), call);
		id_file(name, file);
		if (!CHECK(!id_bad_operation(id) && id_is_full(id)) || !CHECK(!id_bad_call(call)) ||
		    !CHECK(*file && file[0] != '.' && !strchr(file, '/') && strlen(file) <= ID_FILE_MAX)) {
			printf("# name '%s', id '%s', call '%s', file '%s'\n", name, id, call, file);
			return;
		}
	}
}

static void
makes_call_ids(void)
{
	char id[ID_NAME_MAX + 1];
	id_call("worker", 7, 0x1ab12, id);
	CHECK_TEXT(id, "call_worker_7_ab12");
	id_call("worker", 1, 0, id);
	CHECK_TEXT(id, "call_worker_1_0000");
	id_call(times('n', 64), UINT64_MAX, 0xffff, id);
	CHECK(strlen(id) <= ID_NAME_MAX && strcmp(id + strlen(id) - 26, "_18446744073709551615_ffff") == 0);
	id_call(".", 1, 1, id);
	CHECK(!id_bad_call(id));
}

static void
makes_file_names(void)
{
	char a[ID_FILE_MAX + 1], b[ID_FILE_MAX + 1];
	id_file("worker-1.x_y", a);
	CHECK_TEXT(a, "worker-1.x_y");
	id_file("a/b c%", a);
	CHECK_TEXT(a, "a%2Fb%20c%25");
	id_file(".hidden", a);
	CHECK_TEXT(a, "%2Ehidden");
	id_file("caf\xc3\xa9", a);
	CHECK_TEXT(a, "caf%C3%A9");
	/* Different names, different files: also where one is written like the other's code. */
	id_file("a b", a);
	id_file("a%20b", b);
	CHECK(strcmp(a, b) != 0);
	id_file(times('/', 64), a);
	CHECK_INT(strlen(a), 192);
}

int
main(void)
{
	RUN(operation_ids);
	RUN(call_ids);
	RUN(each_byte_of_an_id);
	RUN(participants);
	RUN(every_unsafe_character_is_refused_in_a_name);
	RUN(keys);
	RUN(full_ids);
	RUN(makes_operation_ids);
	RUN(every_name_gives_allowed_ids);
	RUN(makes_call_ids);
	RUN(makes_file_names);
	return unit_end();
}
