/* fuzz_text - num, clock, id and text: what is taken is in range and comes back */
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "id.h"
#include "num.h"
#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
must(bool right)
{
	if (!right)
		abort();
}

static void
try_numbers(const char *text, size_t n)
{
	int64_t value;
	if (num_int(text, n, -1000, 1000000, &value) == 0) {
		struct buf b = {0};
		must(value >= -1000 && value <= 1000000);
		buf_int(&b, value);
		must(b.n == n && memcmp(b.p, text, n) == 0);
		buf_free(&b);
	}
	if (num_duration(text, &value) == 0)
		must(value >= 0 && value <= NUM_DURATION_MAX_MS);
	if (clock_parse(text, n, &value) == 0 && value >= 0) {
		char out[CLOCK_TEXT];
		int64_t again;
		clock_format(value, out);
		must(clock_parse(out, strlen(out), &again) == 0);
		must(again == value || value > INT64_C(253402300799999));
	}
}

static void
try_names(const char *text)
{
	char id[ID_OPERATION_MAX + 1], file[ID_FILE_MAX + 1];
	if (!id_bad_operation(text))
		must(strlen(text) <= ID_OPERATION_MAX && !strchr(text, '/') && *text != '.' && *text != '-' && !strstr(text, ".."));
	if (!id_bad_call(text))
		must(!id_bad_operation(text) && strlen(text) <= ID_NAME_MAX);
	if (!id_bad_key(text))
		must(strlen(text) <= ID_KEY_MAX && !strchr(text, '"'));
	if (id_is_full(text))
		must(!id_bad_operation(text));
	if (id_bad_participant(text))
		return;
	must(text_valid(text, strlen(text)));
	id_operation(1795357845123, text, 0xa1b2c3d4, id);
	must(id_is_full(id));
	id_call(text, 7, 8, id);
	must(!id_bad_call(id));
	id_file(text, file);
	must(!strchr(file, '/') && *file != '.');
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct buf shown = {0}, repaired = {0};
	char *text = malloc(n + 1);
	memcpy(text, data, n);
	text[n] = '\0';
	try_numbers(text, n);
	try_names(text);
	buf_add(&shown, "", 0);
	text_show(&shown, text, n);
	must(text_valid(shown.p, shown.n));
	uint32_t code;
	for (size_t i = 0, len; i < shown.n; i += len) {
		len = text_decode(shown.p + i, shown.n - i, &code);
		must(len && !text_unsafe(code));
	}
	buf_add(&repaired, "", 0);
	text_repair(&repaired, text, n);
	must(text_valid(repaired.p, repaired.n) && strlen(repaired.p) == repaired.n);
	(void)text_columns(text, n);
	buf_free(&shown);
	buf_free(&repaired);
	free(text);
	return 0;
}
