/* queue: calls that wait for a slot of their group. */
#include <signal.h>
#include <string.h>

#include "beat.h"
#include "entry.h"
#include "queue.h"

/* Only where it is on this machine, since it was started. */
static void
wake(struct journal *j, const struct op_call *c)
{
	struct buf text = {0};
	struct entry e;
	char boot[PROC_BOOT_ID];
	if (c->pid > 1 && journal_line(j, c->start, &text) == 0 && !entry_parse(text.p, text.n, &e)) {
		slice_copy(e.boot_id, boot, sizeof boot);
		if (strcmp(boot, beat_here().boot) == 0)
			(void)kill((pid_t)c->pid, SIGURG);
	}
	buf_free(&text);
}

void
queue_wake(struct journal *j, bool moved)
{
	const struct op *op = &j->op;
	bool all = op->h.crashes || op->h.state != OP_RUNNING || journal_aborted(j);
	uint64_t left = op->h.queued;
	for (uint32_t i = 0; left && i < op->calls.n; i++) {
		const struct op_call *c = table_at(&op->calls, i);
		if (c->key.gone || c->state != CALL_RUNNING || !c->queued)
			continue;
		left--;
		if (all || c->cancelling || (moved ? op_is_first(op, c) : op_is_next(op, c)))
			wake(j, c);
	}
}
