/* state: an operation as it stands. */
#include <stdio.h>
#include <string.h>

#include "hash.h"
#include "state.h"

const char *
op_state_name(enum op_state state)
{
	static const char *const names[] = {"running", "cleanup", "completed", "failed"};
	return names[state];
}

const char *
call_state_name(enum call_state state)
{
	static const char *const names[] = {"running", "ended", "failed", "crashed", "cancelled"};
	return names[state];
}

static const char *const kinds[] = {"path", "process", "command"};

const char *
resource_kind_name(enum resource_kind kind)
{
	return kinds[kind];
}

static const char *const results[] = {"", "removed", "gone", "kept", "left", "forgotten", "failed"};

const char *
resource_result_name(enum resource_result result)
{
	return results[result];
}

/* The index of a name in a list, or `otherwise`. */
static int
find(const char *const *list, int n, const char *name, size_t length, int otherwise)
{
	for (int i = 0; i < n; i++)
		if (strlen(list[i]) == length && memcmp(list[i], name, length) == 0)
			return i;
	return otherwise;
}

enum resource_kind
resource_kind_by_name(const char *name, size_t n)
{
	return (enum resource_kind)find(kinds, RESOURCE_COMMAND + 1, name, n, RESOURCE_PATH);
}

enum resource_result
resource_result_by_name(const char *name, size_t n)
{
	return n ? (enum resource_result)find(results, RESOURCE_FAILED, name, n, RESOURCE_FAILED) : RESOURCE_FAILED;
}

void
op_init(struct op *op, bool keep)
{
	*op = (struct op){
		.h = {.ended_ms = -1},
		.people = {.size = sizeof(struct op_person)},
		.sessions = {.size = sizeof(struct op_session)},
		.calls = {.size = sizeof(struct op_call)},
		.resources = {.size = sizeof(struct op_resource)},
		.keep = keep,
		.stop_seq = UINT64_MAX,
		.stop_ms = INT64_MAX,
	};
}

void
op_free(struct op *op)
{
	table_free(&op->people);
	table_free(&op->sessions);
	table_free(&op->calls);
	table_free(&op->resources);
	if (op->held)
		op->give_back(op->held, op->held_size);
	op->held = NULL;
}

struct op_person *
op_person(struct op *op, const char *name)
{
	return table_find(&op->people, name);
}

/* Records are in the order of their numbers, also after a compaction. */
struct op_person *
op_person_no(const struct op *op, uint64_t no)
{
	uint32_t low = 0, high = op->people.n;
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		struct op_person *p = table_at(&op->people, mid);
		if (p->no == no)
			return p;
		if (p->no < no)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

struct op_session *
op_session(struct op *op, uint64_t id)
{
	char name[TABLE_NAME];
	snprintf(name, sizeof name, "%llu", (unsigned long long)id);
	return table_find(&op->sessions, name);
}

struct op_call *
op_call(struct op *op, const char *id)
{
	struct op_call *c = table_find(&op->calls, id);
	return c && c->state == CALL_RUNNING ? c : NULL;
}

struct op_session *
op_newest_session(const struct op *op, const struct op_person *person)
{
	for (uint32_t i = op->sessions.n; person && i > 0; i--) {
		struct op_session *s = table_at(&op->sessions, i - 1);
		if (!s->key.gone && s->left_ms < 0 && s->person == person->no)
			return s;
	}
	return NULL;
}

struct op_resource *
op_resource(struct op *op, uint64_t id)
{
	char name[TABLE_NAME];
	snprintf(name, sizeof name, "%llu", (unsigned long long)id);
	struct op_resource *r = table_find(&op->resources, name);
	return r && (r->state == RESOURCE_HERE || r->state == RESOURCE_FAILED) ? r : NULL;
}

bool
op_has_ended(const struct op *op)
{
	return op->h.archived || op->h.state >= OP_COMPLETED;
}

/* Calls are in the order of their seq, as participants are of their numbers. */
struct op_call *
op_call_seq(const struct op *op, uint64_t seq)
{
	uint32_t low = 0, high = op->calls.n;
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		struct op_call *c = table_at(&op->calls, mid);
		if (c->seq == seq)
			return c;
		if (c->seq < seq)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

bool
op_is_due(const struct op *op, const struct op_resource *r)
{
	if (op->h.state >= OP_COMPLETED)
		return true;
	if (r->call) {
		const struct op_call *c = op_call_seq(op, r->call);
		return !c || c->key.gone || c->state != CALL_RUNNING;
	}
	/* What the dead have left goes with all the rest, when those who live have answered: a keeper's hooks may want to see it. */
	const struct op_person *p = op_person_no(op, r->person);
	return !p || p->key.gone || (!p->sessions && !p->death.len);
}

static bool
is_here(const struct op_resource *r)
{
	return !r->key.gone && (r->state == RESOURCE_HERE || r->state == RESOURCE_FAILED);
}

uint64_t
op_resources(const struct op *op)
{
	uint64_t n = 0;
	for (uint32_t i = 0; i < op->resources.n; i++)
		n += is_here(table_at(&op->resources, i));
	return n;
}

uint64_t
op_due(const struct op *op)
{
	uint64_t n = 0;
	for (uint32_t i = 0; i < op->resources.n; i++) {
		const struct op_resource *r = table_at(&op->resources, i);
		n += is_here(r) && op_is_due(op, r);
	}
	return n;
}

uint64_t
op_host(const char *machine, const char *host)
{
	return hash_bytes(hash_bytes(0, machine, strlen(machine)), host, strlen(host));
}

uint64_t
op_thing(enum resource_kind kind, const char *text, size_t n)
{
	return hash_bytes((uint64_t)kind, text, n);
}

uint64_t
op_group(const char *name, size_t n)
{
	uint64_t sum = hash_bytes(0, name, n);
	return sum ? sum : 1;
}

/* How many of its group run; -1 where one waits that was queued before it. */
static int64_t
before(const struct op *op, const struct op_call *c)
{
	int64_t run = 0;
	for (uint32_t i = 0; i < op->calls.n; i++) {
		const struct op_call *other = table_at(&op->calls, i);
		if (other->key.gone || other->state != CALL_RUNNING || other->group != c->group)
			continue;
		if (other->queued && other->seq < c->seq)
			return -1;
		run += !other->queued;
	}
	return run;
}

bool
op_is_first(const struct op *op, const struct op_call *c)
{
	return before(op, c) >= 0;
}

bool
op_is_next(const struct op *op, const struct op_call *c)
{
	int64_t run = before(op, c);
	return run >= 0 && run < (int64_t)c->slots;
}

const char *
op_call_word(const struct op_call *c)
{
	if (c->state != CALL_RUNNING)
		return call_state_name(c->state);
	return c->cancelling ? "cancelling" : c->queued ? "queued" : "running";
}

uint64_t
op_running(const struct op *op)
{
	const struct op_head *h = &op->h;
	return h->calls_started - h->calls_ended - h->calls_failed - h->calls_crashed - h->calls_cancelled;
}

int64_t
op_ttl(const struct op *op, const struct op_session *s, bool *given)
{
	*given = s->ttl_ms >= 0 || op->h.ttl_given;
	return s->ttl_ms >= 0 ? s->ttl_ms : op->h.ttl_ms;
}
