/* inquest: what a journal tells of how an operation, or one call of it, came to where it is. */
#include <string.h>

#include "inquest.h"

static void
add(const struct inquest *q, struct inquest_list *l, struct line line, const struct op_call *call)
{
	if (l->count < INQUEST_LISTED)
		l->first[l->count] = (struct inquest_item){line, call, q->now};
	l->last = line;
	l->count++;
}

static const struct op_call *
call_of(const struct inquest *q, const struct entry *e)
{
	char id[TABLE_NAME];
	slice_copy(e->call_id, id, sizeof id);
	return *id ? table_find(&q->j->op.calls, id) : NULL;
}

static void
call_over(struct inquest *q, const struct entry *e, struct line line)
{
	const struct op_call *c = call_of(q, e);
	if (c && c->end.pos != line.pos)
		c = NULL; /* ids repeat, and it is another one that ended here */
	if (c && c == q->call)
		q->stopper = q->now == CAUSE_ABORT ? q->abort : q->now == CAUSE_CRASH ? q->crash : (struct line){0};
	if (e->event == EVENT_CALL_ENDED || (q->call && (!c || c->parent != q->call->seq)))
		return;
	add(q, e->event == EVENT_CALL_CANCELLED ? &q->stopped : &q->failed, line, c);
	if (e->event == EVENT_CALL_CANCELLED)
		q->stopped_after[q->now]++;
}

static void
crashed(struct inquest *q, const struct entry *e, struct line line)
{
	const struct op_call *c = call_of(q, e);
	if (!q->call) {
		/* The call.crashed that stands before it tells of the same death. */
		if (c && q->failed.count && q->failed.last.pos == c->end.pos)
			q->failed.count--;
		add(q, &q->crashes, line, c);
	}
	q->crash = line;
	q->now = CAUSE_CRASH;
}

static bool
is_logged_by(const struct op_call *c, const struct entry *e, struct line line)
{
	return line.pos > c->start.pos && e->call_id.n == strlen(c->key.name) && memcmp(e->call_id.p, c->key.name, e->call_id.n) == 0;
}

static bool
hear(void *arg, const char *text, size_t n)
{
	struct inquest *q = arg;
	struct entry e;
	struct line line = {.pos = q->pos, .len = (uint32_t)n + 1};
	q->pos += line.len;
	if (entry_parse(text, n, &e))
		return true;
	switch (e.event) {
	case EVENT_CALL_ENDED:
	case EVENT_CALL_FAILED:
	case EVENT_CALL_CRASHED:
	case EVENT_CALL_CANCELLED:
		call_over(q, &e, line);
		break;
	case EVENT_ABORT_SET:
		q->abort = line;
		q->now = CAUSE_ABORT;
		break;
	case EVENT_ABORT_CLEARED:
		q->aborts_cleared++;
		q->now = q->crash.len ? CAUSE_CRASH : CAUSE_NONE;
		break;
	case EVENT_CRASH_DETECTED:
		crashed(q, &e, line);
		break;
	case EVENT_CLEANUP_STARTED:
		add(q, &q->coordinators, line, NULL);
		break;
	case EVENT_CLEANUP_ACKNOWLEDGED:
		add(q, &q->answers, line, NULL);
		break;
	case EVENT_CLEANUP_DONE:
		q->cleanup_done = line;
		break;
	case EVENT_RESOURCE_REMOVED:
		q->entries += e.entries > 0 ? e.entries : 0;
		break;
	case EVENT_LOG:
		if (!q->call || is_logged_by(q->call, &e, line))
			q->log[q->logs++ % INQUEST_LISTED] = line;
		break;
	default:
		break;
	}
	return true;
}

int
inquest_hold(struct inquest *q, struct why *why)
{
	return journal_search(q->j, 0, "\"seq\"", hear, q, why); /* which is in every line */
}
