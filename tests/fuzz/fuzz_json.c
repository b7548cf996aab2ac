/* fuzz_json - json: what is taken can be walked, decoded, and written again the same */
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
must(bool right)
{
	if (!right)
		abort();
}

static void
walk(const struct json *j, int i, struct buf *out, const char *name)
{
	size_t n;
	const char *raw = json_raw(j, i, &n);
	if (json_is_string(j, i)) {
		struct buf text = {0};
		char copy[16];
		must(json_string(j, i, &text) == 0);
		must(text_valid(text.p ? text.p : "", text.n));
		(void)json_copy(j, i, copy, sizeof copy);
		json_put_n(out, name, text.p ? text.p : "", text.n);
		buf_free(&text);
	} else if (json_is_object(j, i) || json_is_array(j, i)) {
		bool object = json_is_object(j, i);
		json_open(out, name, object ? '{' : '[');
		for (int k = json_first(j, i); k >= 0; k = json_next(j, i, k)) {
			struct buf key = {0};
			if (object) {
				raw = json_raw(j, k, &n);
				buf_add(&key, raw, n);
			}
			walk(j, object ? k + 1 : k, out, object ? key.p : NULL);
			buf_free(&key);
		}
		json_close(out, object ? '}' : ']');
	} else {
		int64_t number;
		bool flag;
		if (json_integer(j, i, -JSON_INT_MAX, JSON_INT_MAX, &number) == 0)
			json_put_int(out, name, number);
		else if (json_boolean(j, i, &flag) == 0)
			json_put_bool(out, name, flag);
		else
			json_put_raw(out, name, raw, n);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct json j, again;
	struct why why;
	struct buf out = {0}, second = {0};
	char *text = malloc(n ? n : 1);
	memcpy(text, data, n);
	if (json_parse(&j, text, n, &why) == 0) {
		must(text_valid(text, n) && !memchr(text, '\0', n));
		if (json_no_duplicates(&j, &why) == 0)
			(void)json_get(&j, 0, "operationId");
		walk(&j, 0, &out, NULL);
		if (!json_is_object(&j, 0) && !json_is_array(&j, 0))
			buf_char(&out, ' ');
		must(json_parse(&again, out.p, out.n, &why) == 0);
		walk(&again, 0, &second, NULL);
		must(again.n == j.n);
		if (!json_is_object(&j, 0) && !json_is_array(&j, 0))
			buf_char(&second, ' ');
		must(out.n == second.n && memcmp(out.p, second.p, out.n) == 0);
		json_free(&again);
		json_free(&j);
	}
	buf_free(&out);
	buf_free(&second);
	free(text);
	return 0;
}
