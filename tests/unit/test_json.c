/* test_json - reading strictly, and writing */
#include "json.h"
#include "text.h"
#include "unit.h"

/* Parse from a block of exactly n bytes, so that a sanitizer sees every byte read beyond. */
static bool
accepts(const char *text, size_t n)
{
	struct json j;
	struct why why = {0};
	char *copy = malloc(n ? n : 1);
	memcpy(copy, text, n);
	bool ok = json_parse(&j, copy, n, &why) == 0;
	if (ok) {
		ok = json_no_duplicates(&j, &why) == 0;
		json_free(&j);
	}
	if (!ok)
		CHECK(why.code == ERR_JSON || why.code == ERR_TOO_LARGE);
	free(copy);
	return ok;
}

#define BYTES(s) {s, sizeof s - 1}

static void
valid_texts(void)
{
	static const struct {
		const char *text;
		size_t n;
	} good[] = {
		BYTES("{}"), BYTES("[]"), BYTES("[null]"), BYTES("[true]"), BYTES("[false]"), BYTES("[0]"), BYTES("[-0]"), BYTES("[-1]"), BYTES("[1.5]"), BYTES("[1e5]"),
		BYTES("[1E+5]"), BYTES("[1.25e-5]"), BYTES("\"\""), BYTES(" \t\r\n{ \"a\" : [ 1 , 2 ] , \"b\" : { } } \n"), BYTES("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""),
		BYTES("\"\\u0041\\u00e9\\u20ac\""), BYTES("\"\\ud83d\\ude00\""), BYTES("\"\\uD83D\\uDE00\""), BYTES("\"caf\xc3\xa9\""), BYTES("\"\xf0\x9f\x98\x80\""),
		BYTES("\"\x7f\""), BYTES("{\"\":0}"), BYTES("{\"a\":{\"a\":{\"a\":1}}}"), BYTES("[{\"a\":1},{\"a\":2}]"), BYTES("\"op\\u0000x\""), BYTES("[1e999]"),
		BYTES("[18446744073709551616]"), BYTES("[[],{},[],{}]"), BYTES("{\"__proto__\":1}"), BYTES("{\"a\":1,\"A\":2}"),
	};
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		if (!CHECK(accepts(good[i].text, good[i].n)))
			printf("# refused %s\n", good[i].text);
}

/* A bare word or number is a JSON text too; that blanks follow it changes nothing. */
static void
words_and_numbers_alone(void)
{
	static const char *const texts[] = {"null", "true", "false", "0", "-7", "1.5", "5"};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		char blank[20];
		snprintf(blank, sizeof blank, "%s \n", texts[i]);
		if (!CHECK(accepts(texts[i], strlen(texts[i])) == accepts(blank, strlen(blank))))
			printf("# %s\n", texts[i]);
	}
}

/* What other parsers let pass (reliability 4.2), and more. */
static void
hostile_texts(void)
{
	static const struct {
		const char *text;
		size_t n;
	} bad[] = {
		/* 1-6: empty, or not one value */
		BYTES(""), BYTES(" \n"), BYTES("{} {}"), BYTES("{}x"), BYTES("{},"), BYTES("{}\0"),
		/* 7-10: the same name twice */
		BYTES("{\"a\":1,\"a\":2}"), BYTES("{\"a\":1,\"b\":2,\"a\":1}"), BYTES("[{\"x\":{\"k\":1,\"k\":1}}]"), BYTES("{\"\":1,\"\":1}"),
		/* 11-26: numbers */
		BYTES("NaN"), BYTES("-NaN"), BYTES("Infinity"), BYTES("-Infinity"), BYTES("1."), BYTES(".5"), BYTES("-"), BYTES("+1"), BYTES("01"), BYTES("-01"), BYTES("0123"),
		BYTES("0x10"), BYTES("1e"), BYTES("1e+"), BYTES("1.e5"), BYTES("1_000"),
		/* 27-34: strings */
		BYTES("'a'"), BYTES("{'a':1}"), BYTES("{a:1}"), BYTES("\"a"), BYTES("\"a\nb\""), BYTES("\"a\tb\""), BYTES("\"a\0b\""), BYTES("\"\x1f\""),
		/* 35-44: escapes */
		BYTES("\"\\x41\""), BYTES("\"\\u12\""), BYTES("\"\\u12g4\""), BYTES("\"\\ud800\""), BYTES("\"\\udc00\""), BYTES("\"\\ud800\\u0041\""), BYTES("\"\\ud800\\ud800\""),
		BYTES("\"\\"), BYTES("\"\\\""), BYTES("\"\\a\""),
		/* 45-53: UTF-8 */
		BYTES("\"\xff\""), BYTES("\"\xc0\xaf\""), BYTES("\"\xe0\x80\xaf\""), BYTES("\"\xed\xa0\x80\""), BYTES("\"\xf4\x90\x80\x80\""), BYTES("\"\xc3\""), BYTES("\"\xc3"),
		BYTES("\"\x80\""), BYTES("\xef\xbb\xbf{}"),
		/* 54-70: punctuation */
		BYTES("{"), BYTES("}"), BYTES("["), BYTES("]"), BYTES("[1"), BYTES("[1,"), BYTES("[1,]"), BYTES("[,1]"), BYTES("[1 2]"), BYTES("{\"a\"}"), BYTES("{\"a\":}"),
		BYTES("{\"a\":1,}"), BYTES("{\"a\" 1}"), BYTES("{\"a\":1 \"b\":2}"), BYTES("{1:2}"), BYTES("[1}"), BYTES("{\"a\":1]"),
		/* 71-82: words and the rest */
		BYTES("True"), BYTES("tru"), BYTES("nul"), BYTES("nullx"), BYTES("undefined"), BYTES("// c\n1"), BYTES("/* c */1"), BYTES("1#"), BYTES("\v1"), BYTES("\xc2\xa0" "1"),
		BYTES("{\0}"), BYTES("{\"a\":1}\0{\"b\":2}"),
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (!CHECK(!accepts(bad[i].text, bad[i].n)))
			printf("# took number %zu: %s\n", i + 1, bad[i].text);
}

static void
utf16_and_gzip_are_no_JSON(void)
{
	CHECK(!accepts("{\0}\0", 4));
	CHECK(!accepts("\0{\0}", 4));
	CHECK(!accepts("\xff\xfe{\0}\0", 6));
	CHECK(!accepts("\x1f\x8b\x08\0\0\0\0\0", 8));
}

static void
nesting(void)
{
	for (int kind = 0; kind < 2; kind++) {
		for (int depth = JSON_DEPTH - 1; depth <= JSON_DEPTH + 1; depth++) {
			struct buf b = {0};
			for (int i = 0; i < depth; i++)
				buf_str(&b, kind ? "{\"a\":" : "[");
			buf_str(&b, kind ? "1" : "");
			for (int i = 0; i < depth; i++)
				buf_char(&b, kind ? '}' : ']');
			CHECK(accepts(b.p, b.n) == (depth <= JSON_DEPTH));
			buf_free(&b);
		}
	}
	CHECK_INT(JSON_DEPTH, 32);
	struct buf b = {0};
	for (int i = 0; i < 100000; i++)
		buf_char(&b, '[');
	CHECK(!accepts(b.p, b.n));
	buf_clear(&b);
	for (int i = 0; i < 100000; i++)
		buf_str(&b, "{\"a\":");
	CHECK(!accepts(b.p, b.n));
	buf_free(&b);
}

static void
members_up_to_1024(void)
{
	for (int n = 1023; n <= 1025; n++) {
		struct buf b = {0};
		json_open(&b, NULL, '{');
		for (int i = 0; i < n; i++) {
			char name[20];
			snprintf(name, sizeof name, "m%d", i);
			json_put_int(&b, name, i);
		}
		json_close(&b, '}');
		CHECK(accepts(b.p, b.n) == (n <= 1024));
		buf_free(&b);
	}
}

static int
integer(const char *text, int64_t min, int64_t max, int64_t *value)
{
	struct json j;
	struct why why;
	char array[100];
	snprintf(array, sizeof array, "[%s]", text);
	if (json_parse(&j, array, strlen(array), &why) < 0)
		return -2;
	int rc = json_integer(&j, 1, min, max, value);
	json_free(&j);
	return rc;
}

static void
integers(void)
{
	int64_t v = 77;
	CHECK(integer("0", -5, 5, &v) == 0 && v == 0);
	CHECK(integer("-5", -5, 5, &v) == 0 && v == -5);
	CHECK(integer("6", -5, 5, &v) == -1);
	CHECK(integer("9007199254740991", -JSON_INT_MAX, JSON_INT_MAX, &v) == 0 && v == JSON_INT_MAX);
	CHECK(integer("-9007199254740991", -JSON_INT_MAX, JSON_INT_MAX, &v) == 0 && v == -JSON_INT_MAX);
	v = 77;
	static const char *const bad[] = {"9007199254740992", "-9007199254740992", "18446744073709551616", "1e3", "1.0", "1.5", "-0", "1e999", "true", "null", "\"1\"",
		"[1]", "{}", "99999999999999999999999999999999"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (!CHECK(integer(bad[i], -JSON_INT_MAX, JSON_INT_MAX, &v) == -1))
			printf("# took %s\n", bad[i]);
	CHECK_INT(v, 77);
}

static void
types_are_strict(void)
{
	static const char text[] = "{\"s\":\"true\",\"t\":true,\"f\":false,\"n\":null,\"i\":1,\"o\":{},\"a\":[]}";
	struct json j;
	struct why why;
	bool flag = true;
	int64_t v;
	struct buf b = {0};
	char copy[10];
	CHECK_INT(json_parse(&j, text, sizeof text - 1, &why), 0);
	CHECK(json_is_object(&j, 0) && !json_is_array(&j, 0));
	CHECK(json_is_string(&j, json_get(&j, 0, "s")) && json_boolean(&j, json_get(&j, 0, "s"), &flag) == -1);
	CHECK(json_boolean(&j, json_get(&j, 0, "f"), &flag) == 0 && !flag);
	CHECK(json_boolean(&j, json_get(&j, 0, "t"), &flag) == 0 && flag);
	CHECK(json_boolean(&j, json_get(&j, 0, "n"), &flag) == -1 && json_boolean(&j, json_get(&j, 0, "i"), &flag) == -1);
	CHECK(json_is_null(&j, json_get(&j, 0, "n")) && !json_is_null(&j, json_get(&j, 0, "t")) && !json_is_null(&j, json_get(&j, 0, "gone")));
	CHECK(json_string(&j, json_get(&j, 0, "t"), &b) == -1 && json_string(&j, json_get(&j, 0, "n"), &b) == -1 && json_string(&j, -1, &b) == -1);
	CHECK(json_copy(&j, json_get(&j, 0, "i"), copy, sizeof copy) == -1);
	CHECK(json_is_object(&j, json_get(&j, 0, "o")) && json_is_array(&j, json_get(&j, 0, "a")));
	CHECK(json_first(&j, json_get(&j, 0, "o")) == -1 && json_first(&j, json_get(&j, 0, "a")) == -1 && json_first(&j, json_get(&j, 0, "s")) == -1);
	/* -1 chains through everything */
	int gone = json_get(&j, json_get(&j, 0, "gone"), "deeper");
	size_t n = 7;
	CHECK(gone == -1 && !json_is_object(&j, gone) && json_first(&j, gone) == -1 && json_integer(&j, gone, 0, 9, &v) == -1);
	CHECK(*json_raw(&j, gone, &n) == '\0' && n == 0);
	CHECK_INT(json_get(&j, json_get(&j, 0, "a"), "s"), -1);
	json_free(&j);
	buf_free(&b);
}

static void
walks(void)
{
	static const char text[] = "{\"a\":[1,[2,3],{\"x\":4}],\"b\":{\"c\":{\"d\":[]}},\"e\":5}";
	struct json j;
	struct why why;
	struct buf seen = {0};
	CHECK_INT(json_parse(&j, text, sizeof text - 1, &why), 0);
	for (int k = json_first(&j, 0); k >= 0; k = json_next(&j, 0, k)) {
		size_t n;
		const char *raw = json_raw(&j, k, &n);
		buf_add(&seen, raw, n);
		raw = json_raw(&j, k + 1, &n);
		buf_char(&seen, '=');
		buf_add(&seen, raw, n);
		buf_char(&seen, ';');
	}
	CHECK_TEXT(seen.p, "a=[1,[2,3],{\"x\":4}];b={\"c\":{\"d\":[]}};e=5;");
	buf_clear(&seen);
	int a = json_get(&j, 0, "a");
	for (int k = json_first(&j, a); k >= 0; k = json_next(&j, a, k)) {
		size_t n;
		const char *raw = json_raw(&j, k, &n);
		buf_add(&seen, raw, n);
		buf_char(&seen, ';');
	}
	CHECK_TEXT(seen.p, "1;[2,3];{\"x\":4};");
	json_free(&j);
	buf_free(&seen);
}

static void
decodes_escapes(void)
{
	static const struct {
		const char *text, *decoded;
		size_t n;
	} cases[] = {
		{"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t", 8}, {"\"\\u0041\\u00e9\\u20AC\"", "A\xc3\xa9\xe2\x82\xac", 6},
		{"\"\\ud83d\\ude00!\"", "\xf0\x9f\x98\x80!", 5}, {"\"\\uDBFF\\uDFFF\"", "\xf4\x8f\xbf\xbf", 4}, {"\"a\\u0000b\"", "a\0b", 3}, {"\"\"", "", 0},
		{"\"\\u001b[2J\"", "\x1b[2J", 4}, {"\"\\\\u0041\"", "\\u0041", 6},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct json j;
		struct why why;
		struct buf b = {0};
		CHECK_INT(json_parse(&j, cases[i].text, strlen(cases[i].text), &why), 0);
		CHECK_INT(json_string(&j, 0, &b), 0);
		CHECK_BYTES(b.p, b.n, cases[i].decoded, cases[i].n);
		json_free(&j);
		buf_free(&b);
	}
}

static void
copies_what_fits(void)
{
	struct json j;
	struct why why;
	char out[5] = "old";
	static const char text[] = "[\"four\",\"fives\",\"\\u0061bcd\",\"abc\\n\\n\",\"a\\u0000\",\"\"]";
	CHECK_INT(json_parse(&j, text, sizeof text - 1, &why), 0);
	int k = json_first(&j, 0);
	CHECK(json_copy(&j, k, out, sizeof out) == 0 && strcmp(out, "four") == 0);
	CHECK_INT(json_copy(&j, k = json_next(&j, 0, k), out, sizeof out), -1);
	CHECK(json_copy(&j, k = json_next(&j, 0, k), out, sizeof out) == 0 && strcmp(out, "abcd") == 0);
	CHECK_INT(json_copy(&j, k = json_next(&j, 0, k), out, sizeof out), -1);
	CHECK_INT(json_copy(&j, k = json_next(&j, 0, k), out, sizeof out), -1);
	CHECK(json_copy(&j, json_next(&j, 0, k), out, sizeof out) == 0 && *out == '\0');
	json_free(&j);
}

static void
writes(void)
{
	struct buf b = {0};
	json_open(&b, NULL, '{');
	json_put(&b, "s", "a\"b\\c\n\t\r\x01\x7f\xc2\x80\xc2\x9f\xc2\xa0\xc3\xa9");
	json_put(&b, "none", NULL);
	json_put_int(&b, "i", -5);
	json_put_bool(&b, "t", true);
	json_put_bool(&b, "f", false);
	json_put_time(&b, "at", 0);
	json_put_time(&b, "never", -1);
	json_open(&b, "a", '[');
	json_put_int(&b, NULL, 1);
	json_put(&b, NULL, "x");
	json_open(&b, NULL, '{');
	json_close(&b, '}');
	json_open(&b, NULL, '[');
	json_close(&b, ']');
	json_close(&b, ']');
	json_put_raw(&b, "raw", "{\"k\":1}", 7);
	json_put(&b, "last", "");
	json_close(&b, '}');
	CHECK_TEXT(b.p, "{\"s\":\"a\\\"b\\\\c\\n\\t\\r\\u0001\\u007f\\u0080\\u009f\xc2\xa0\xc3\xa9\",\"none\":null,\"i\":-5,\"t\":true,\"f\":false,"
		"\"at\":\"1970-01-01T00:00:00.000Z\",\"never\":null,\"a\":[1,\"x\",{},[]],\"raw\":{\"k\":1},\"last\":\"\"}");
	CHECK(accepts(b.p, b.n));
	buf_free(&b);
}

/* A string whose last byte looks like an opening bracket or a colon must not swallow the comma. */
static void
commas_follow_any_value(void)
{
	static const char *const texts[] = {"{", "[", ":", ",", "a{", "\\", "\"", "\n", "x\n"};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct buf b = {0};
		json_open(&b, NULL, '[');
		json_put(&b, NULL, texts[i]);
		json_put(&b, NULL, texts[i]);
		json_close(&b, ']');
		CHECK(accepts(b.p, b.n));
		buf_free(&b);
	}
}

static void
random_strings_come_back(void)
{
	for (int i = 0; i < 100000; i++) {
		struct buf raw = {0}, text = {0}, back = {0};
		struct json j;
		struct why why;
		int want = (int)unit_below(20);
		buf_add(&raw, "", 0);
		for (int k = 0; k < want; k++) {
			char one[4];
			uint32_t code = unit_below(3) ? unit_below(0x100) : unit_below(2) ? unit_below(0x10000) : unit_below(0x110000);
			if (code >= 0xd800 && code <= 0xdfff)
				continue;
			buf_add(&raw, one, text_encode(code, one));
		}
		json_put_n(&text, NULL, raw.p, raw.n);
		bool same = CHECK_INT(json_parse(&j, text.p, text.n, &why), 0) && CHECK_INT(json_string(&j, 0, &back), 0) &&
			CHECK_BYTES(back.p, back.n, raw.p, raw.n);
		/* No control character reaches the journal as it is. */
		for (size_t k = 0; same && k < text.n; k++)
			same = CHECK((unsigned char)text.p[k] >= 0x20 && text.p[k] != 0x7f);
		json_free(&j);
		buf_free(&raw);
		buf_free(&text);
		buf_free(&back);
		if (!same)
			return;
	}
}

/* Damage a valid text at random: no crash, and what is still taken can be walked and is UTF-8. */
static void
damaged_texts(void)
{
	static const char base[] = "{\"operationId\":\"20261122T143045.123Z-cli-a1b2c3d4\",\"a\":[1,2.5e3,true,null,\"x\\u00e9\\n\"],\"o\":{\"p\":{\"q\":-7}}}";
	for (int i = 0; i < 200000; i++) {
		char text[sizeof base];
		size_t n = sizeof base - 1;
		memcpy(text, base, n);
		for (uint32_t k = 0, hits = 1 + unit_below(3); k < hits; k++)
			text[unit_below((uint32_t)n)] = unit_below(2) ? (char)unit_random() : "{}[]\",:\\u0"[unit_below(10)];
		if (unit_below(4) == 0)
			n = unit_below((uint32_t)n);
		if (accepts(text, n) && !CHECK(text_valid(text, n) && !memchr(text, 0, n)))
			return;
	}
}

static void
long_texts_take_linear_time(void)
{
	struct buf b = {0};
	struct json j;
	struct why why;
	json_open(&b, NULL, '[');
	for (int i = 0; i < 300000; i++)
		json_put_int(&b, NULL, i);
	json_close(&b, ']');
	CHECK_INT(json_parse(&j, b.p, b.n, &why), 0);
	CHECK_INT(j.n, 300001);
	int count = 0;
	for (int k = json_first(&j, 0); k >= 0; k = json_next(&j, 0, k))
		count++;
	CHECK_INT(count, 300000);
	json_free(&j);
	buf_free(&b);
}

int
main(void)
{
	RUN(valid_texts);
	RUN(words_and_numbers_alone);
	RUN(hostile_texts);
	RUN(utf16_and_gzip_are_no_JSON);
	RUN(nesting);
	RUN(members_up_to_1024);
	RUN(integers);
	RUN(types_are_strict);
	RUN(walks);
	RUN(decodes_escapes);
	RUN(copies_what_fits);
	RUN(writes);
	RUN(commas_follow_any_value);
	RUN(random_strings_come_back);
	RUN(damaged_texts);
	RUN(long_texts_take_linear_time);
	return unit_end();
}
