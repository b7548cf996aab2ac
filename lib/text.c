/* text: UTF-8, and showing text that came from anywhere. */
#include <stdio.h>
#include <string.h>

#include "text.h"

size_t
text_decode(const char *p, size_t n, uint32_t *code)
{
	const unsigned char *s = (const unsigned char *)p;
	if (s[0] < 0x80) {
		*code = s[0];
		return 1;
	}
	size_t len = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	if (s[0] < 0xc2 || s[0] > 0xf4 || n < len)
		return 0;
	uint32_t c = s[0] & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*code = c;
	return len;
}

size_t
text_encode(uint32_t code, char out[4])
{
	if (code < 0x80) {
		out[0] = (char)code;
		return 1;
	}
	size_t len = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
	static const unsigned lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
	for (size_t i = len - 1; i > 0; i--, code >>= 6)
		out[i] = (char)(0x80 | (code & 0x3f));
	out[0] = (char)(lead[len] | code);
	return len;
}

bool
text_valid(const char *p, size_t n)
{
	uint32_t code;
	for (size_t i = 0, len; i < n; i += len)
		if (!(len = text_decode(p + i, n - i, &code)))
			return false;
	return true;
}

void
text_repair(struct buf *b, const char *p, size_t n)
{
	uint32_t code;
	for (size_t i = 0; i < n;) {
		size_t len = text_decode(p + i, n - i, &code);
		if (!len || !code) {
			buf_str(b, "\xef\xbf\xbd");
			i++;
			continue;
		}
		buf_add(b, p + i, len);
		i += len;
	}
}

bool
text_unsafe(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0xad || code == 0x61c ||
	       (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
	       (code >= 0x2060 && code <= 0x206f) || code == 0xfeff || (code >= 0xfff9 && code <= 0xfffb) ||
	       (code >= 0xe0000 && code <= 0xe007f);
}

void
text_show(struct buf *b, const char *p, size_t n)
{
	for (size_t i = 0; i < n;) {
		uint32_t code = 0;
		size_t len = text_decode(p + i, n - i, &code);
		if (len && !text_unsafe(code))
			buf_add(b, p + i, len);
		else if (code == '\n' || code == '\t' || code == '\r')
			buf_str(b, code == '\n' ? "\\n" : code == '\t' ? "\\t" : "\\r");
		else if (len && code > 0xff)
			buf_fmt(b, "\\u%04x", code);
		else
			buf_fmt(b, "\\x%02x", len ? code : (unsigned char)p[i]);
		i += len ? len : 1;
	}
}

size_t
text_columns(const char *p, size_t n)
{
	size_t columns = 0;
	for (size_t i = 0; i < n; i++)
		columns += ((unsigned char)p[i] & 0xc0) != 0x80;
	return columns;
}

void
text_cut(struct buf *b, const char *p, size_t n, size_t columns)
{
	size_t cut = 0, last = 0, width = text_columns(p, n);
	if (width <= columns) {
		buf_add(b, p, n);
		return;
	}
	for (size_t left = columns; left > 0; left--) {
		last = cut;
		for (cut++; cut < n && ((unsigned char)p[cut] & 0xc0) == 0x80; cut++)
			;
	}
	buf_add(b, p, last);
	buf_str(b, columns ? "…" : "");
}

void
text_quote(struct buf *b, const char *s)
{
	buf_char(b, '\'');
	for (; *s; s++)
		if (*s == '\'')
			buf_str(b, "'\\''");
		else
			buf_char(b, *s);
	buf_char(b, '\'');
}
