/* fuzz_fold - entry and fold: the same in one piece, in pieces, with and without history */
#include <stdlib.h>
#include <string.h>

#include "fold.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
must(bool right)
{
	if (!right)
		abort();
}

static void
sane(struct op *op)
{
	uint64_t running = 0;
	for (uint32_t i = 0; i < op->calls.n; i++) {
		const struct op_call *c = table_at(&op->calls, i);
		must(strlen(c->key.name) < TABLE_NAME);
		running += !c->key.gone && c->state == CALL_RUNNING;
		must(c->key.gone || op_person_no(op, c->person));
	}
	must(running == op_running(op));
	for (uint32_t i = 0; i < op->people.n; i++) {
		const struct op_person *p = table_at(&op->people, i);
		must(p->key.gone || op_person_no(op, p->no) == p);
	}
	must(op->h.seq == 0 || op->h.last.pos + op->h.last.len == op->h.offset);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct op whole, pieces, live;
	char *text = malloc(n ? n : 1);
	memcpy(text, data, n);
	op_init(&whole, true);
	op_init(&pieces, true);
	op_init(&live, false);
	enum fold rc = op_fold(&whole, text, n), part = FOLD_OK;
	must(op_fold(&live, text, n) == rc);
	must(whole.h.offset <= n && (whole.h.offset == 0 || text[whole.h.offset - 1] == '\n'));
	must(live.h.seq == whole.h.seq && live.h.offset == whole.h.offset);
	sane(&whole);
	sane(&live);
	for (size_t end = 0; end < n && part == FOLD_OK;) {
		end += 1 + data[end] % 64;
		if (end > n)
			end = n;
		part = op_fold(&pieces, text + pieces.h.offset, end - pieces.h.offset);
	}
	must(part == rc && memcmp(&pieces.h, &whole.h, sizeof whole.h) == 0);
	must(pieces.calls.n == whole.calls.n && pieces.people.n == whole.people.n && pieces.sessions.n == whole.sessions.n);
	if (n > 2) { /* stop somewhere */
		struct op some;
		op_init(&some, true);
		some.stop_seq = data[n / 2];
		(void)op_fold(&some, text, n);
		must(some.h.seq <= some.stop_seq);
		op_free(&some);
	}
	op_free(&whole);
	op_free(&pieces);
	op_free(&live);
	free(text);
	return 0;
}
