/* test_text - UTF-8, and showing text that came from anywhere */
#include "text.h"
#include "unit.h"

static void
every_character_comes_back(void)
{
	for (uint32_t code = 0; code <= 0x10ffff; code++) {
		char out[4];
		uint32_t back = 0;
		if (code >= 0xd800 && code <= 0xdfff)
			continue;
		size_t n = text_encode(code, out);
		if (!CHECK(n >= 1 && n <= 4 && text_decode(out, n, &back) == n && back == code))
			return;
		/* One byte less is none, whatever would follow. */
		if (n > 1 && !CHECK(text_decode(out, n - 1, &back) == 0))
			return;
	}
}

/* Against the table of RFC 3629, section 4. */
static bool
by_the_table(const unsigned char *s, size_t n, size_t *len)
{
	static const struct {
		unsigned char low[4], high[4];
		size_t len;
	} rows[] = {
		{{0x00}, {0x7f}, 1},
		{{0xc2, 0x80}, {0xdf, 0xbf}, 2},
		{{0xe0, 0xa0, 0x80}, {0xe0, 0xbf, 0xbf}, 3},
		{{0xe1, 0x80, 0x80}, {0xec, 0xbf, 0xbf}, 3},
		{{0xed, 0x80, 0x80}, {0xed, 0x9f, 0xbf}, 3},
		{{0xee, 0x80, 0x80}, {0xef, 0xbf, 0xbf}, 3},
		{{0xf0, 0x90, 0x80, 0x80}, {0xf0, 0xbf, 0xbf, 0xbf}, 4},
		{{0xf1, 0x80, 0x80, 0x80}, {0xf3, 0xbf, 0xbf, 0xbf}, 4},
		{{0xf4, 0x80, 0x80, 0x80}, {0xf4, 0x8f, 0xbf, 0xbf}, 4},
	};
	for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
		bool fits = n >= rows[r].len;
		for (size_t i = 0; fits && i < rows[r].len; i++)
			fits = s[i] >= rows[r].low[i] && s[i] <= rows[r].high[i];
		if (fits) {
			*len = rows[r].len;
			return true;
		}
	}
	*len = 0;
	return false;
}

static void
random_bytes_are_judged_by_the_RFC(void)
{
	for (int i = 0; i < 2000000; i++) {
		uint64_t r = unit_random();
		unsigned char s[4] = {(unsigned char)(r | 0x80), (unsigned char)(r >> 8), (unsigned char)(r >> 16), (unsigned char)(r >> 24)};
		if (r >> 63)
			for (int k = 1; k < 4; k++)
				s[k] = (unsigned char)((s[k] & 0x3f) | 0x80);
		size_t n = 1 + (size_t)(r >> 32) % 4, len;
		uint32_t code;
		by_the_table(s, n, &len);
		if (!CHECK_INT(text_decode((char *)s, n, &code), len))
			return;
	}
}

static void
no_text(void)
{
	static const char *const bad[] = {"\x80", "\xbf", "\xc0\xaf", "\xc1\xbf", "\xe0\x80\xaf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xed\xbf\xbf",
		"\xf0\x80\x80\xaf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xfe", "\xff", "a\xc3", "\xe2\x82", "\xc3(", "ok\xff"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		CHECK(!text_valid(bad[i], strlen(bad[i])));
	CHECK(text_valid("", 0));
	CHECK(text_valid("a\0b", 3));
	CHECK(text_valid("h\xc3\xa9llo \xe2\x82\xac \xf0\x9f\x98\x80", 15));
}

static void
repairs(void)
{
	struct buf b = {0};
	text_repair(&b, "a\xff\0b\xc3\xa9\xe2\x82", 8);
	CHECK_TEXT(b.p, "a\xef\xbf\xbd\xef\xbf\xbd" "b\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd");
	buf_free(&b);
	for (int i = 0; i < 100000; i++) {
		char raw[16];
		size_t n = unit_below(sizeof raw);
		for (size_t k = 0; k < n; k++)
			raw[k] = (char)unit_random();
		buf_clear(&b);
		buf_add(&b, "", 0);
		text_repair(&b, raw, n);
		if (!CHECK(text_valid(b.p, b.n) && strlen(b.p) == b.n))
			break;
		if (text_valid(raw, n) && !memchr(raw, 0, n) && !CHECK_BYTES(b.p, b.n, raw, n))
			break;
	}
	buf_free(&b);
}

static void
what_a_terminal_must_not_get(void)
{
	static const uint32_t unsafe[] = {0, 7, 8, 9, 10, 13, 27, 0x1f, 0x7f, 0x80, 0x85, 0x9b, 0x9f, 0xad, 0x61c, 0x200b, 0x200e, 0x200f, 0x2028, 0x2029,
		0x202a, 0x202e, 0x2060, 0x2066, 0x2069, 0xfeff, 0xe0001, 0xe007f};
	static const uint32_t safe[] = {' ', 'a', '~', '\\', 0xa0, 0xe9, 0x20ac, 0x2010, 0x202f, 0x1f600, 0xfffd, 0x10ffff};
	for (size_t i = 0; i < sizeof unsafe / sizeof *unsafe; i++)
		if (!CHECK(text_unsafe(unsafe[i])))
			printf("# U+%04x\n", (unsigned)unsafe[i]);
	for (size_t i = 0; i < sizeof safe / sizeof *safe; i++)
		if (!CHECK(!text_unsafe(safe[i])))
			printf("# U+%04x\n", (unsigned)safe[i]);
}

static void
shows(void)
{
	static const struct {
		const char *raw, *shown;
	} cases[] = {
		{"plain", "plain"}, {"a\nb", "a\\nb"}, {"a\tb", "a\\tb"}, {"a\rb", "a\\rb"}, {"\x1b[2J\x1b]0;x\a", "\\x1b[2J\\x1b]0;x\\x07"},
		{"back\\slash", "back\\slash"}, {"\xe2\x80\xae" "abc", "\\u202eabc"}, {"caf\xc3\xa9", "caf\xc3\xa9"}, {"\xff", "\\xff"}, {"\xc2\x9b" "2J", "\\x9b2J"},
		{"\x7f", "\\x7f"}, {"\xe2\x82", "\\xe2\\x82"}, {"\xf3\xa0\x80\x81", "\\ue0001"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf b = {0};
		text_show(&b, cases[i].raw, strlen(cases[i].raw));
		CHECK_TEXT(b.p, cases[i].shown);
		buf_free(&b);
	}
}

static void
nothing_shown_is_unsafe(void)
{
	struct buf b = {0};
	for (int i = 0; i < 200000; i++) {
		char raw[12];
		size_t n = unit_below(sizeof raw);
		for (size_t k = 0; k < n; k++)
			raw[k] = (char)unit_random();
		buf_clear(&b);
		buf_add(&b, "", 0);
		text_show(&b, raw, n);
		uint32_t code;
		for (size_t k = 0, len; k < b.n; k += len)
			if (!(len = text_decode(b.p + k, b.n - k, &code)) || text_unsafe(code)) {
				CHECK(!"an unsafe character was shown");
				buf_free(&b);
				return;
			}
	}
	buf_free(&b);
}

static void
counts_columns(void)
{
	CHECK_INT(text_columns("", 0), 0);
	CHECK_INT(text_columns("abc", 3), 3);
	CHECK_INT(text_columns("caf\xc3\xa9", 5), 4);
	CHECK_INT(text_columns("\xf0\x9f\x98\x80!", 5), 2);
}

static void
cuts_at_a_column(void)
{
	static const char text[] = "caf\xc3\xa9 noir";
	static const char *const cut[] = {"", "…", "c…", "ca…", "caf…", "caf\xc3\xa9…", "caf\xc3\xa9 …", "caf\xc3\xa9 n…", "caf\xc3\xa9 no…", text, text};
	struct buf b = {0};
	for (size_t columns = 0; columns < sizeof cut / sizeof *cut; columns++) {
		buf_clear(&b);
		text_cut(&b, text, sizeof text - 1, columns);
		CHECK_TEXT(b.p ? b.p : "", cut[columns]);
		CHECK(text_columns(b.p ? b.p : "", b.n) <= columns);
	}
	buf_free(&b);
}

static void
quotes_for_a_shell(void)
{
	static const struct {
		const char *raw, *quoted;
	} cases[] = {{"", "''"}, {"it's", "'it'\\''s'"}, {"$(x) `y` \"z\" \\", "'$(x) `y` \"z\" \\'"}, {"'", "''\\'''"}, {"a\nb", "'a\nb'"}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf b = {0};
		text_quote(&b, cases[i].raw);
		CHECK_TEXT(b.p, cases[i].quoted);
		buf_free(&b);
	}
}

int
main(void)
{
	RUN(every_character_comes_back);
	RUN(random_bytes_are_judged_by_the_RFC);
	RUN(no_text);
	RUN(repairs);
	RUN(what_a_terminal_must_not_get);
	RUN(shows);
	RUN(nothing_shown_is_unsafe);
	RUN(counts_columns);
	RUN(cuts_at_a_column);
	RUN(quotes_for_a_shell);
	return unit_end();
}
