/* verb_temp: registering temp resources, and removing and listing them. */
#include <stdio.h>
#include <string.h>

#include "change.h"
#include "removal.h"
#include "clock.h"
#include "handlers.h"
#include "id.h"
#include "remove.h"

/* --- members --- */

enum { BIRTH_MAX = 32 };

/* What stands at a path, as an entry says it: all of it, or nothing. */
struct identity {
	char type[8], birth[BIRTH_MAX]; /* "": unknown */
	int64_t device, inode;
};

/* Where something is. */
struct place {
	char boot[PROC_BOOT_ID], machine[PROC_MACHINE_ID], host[TABLE_NAME];
	int64_t mount_ns, pid_ns, time_ns;
	int64_t added_ms;        /* when that was, by its clock; -1: by ours */
};

struct thing {
	char by[ID_NAME_MAX + 1], call[ID_NAME_MAX + 1];
	enum resource_kind kind;
	struct buf what;         /* the path or command, or the pid as text */
	struct buf folder;       /* of a command */
	int64_t pid, start;
	bool made, by_name;
	bool repeat;             /* it is only to be answered again, by its key */
	struct identity identity;
	struct place place;
	char seal[SEAL_TEXT];
	uint64_t already;        /* it is registered by this number */
};

static void
thing_free(struct thing *t)
{
	buf_free(&t->what);
	buf_free(&t->folder);
}

/* A short text; one that does not fit is refused. */
static int
short_text(struct request *r, const char *member, char *out, size_t size)
{
	if (!request_has(r, member) || json_copy(r->json, json_get(r->json, r->body, member), out, size) == 0)
		return 0;
	return why_set(&r->why, ERR_REQUEST, "%s is no text, or longer than %zu bytes", member, size - 1);
}

/* Nobody but the host that has it removes a resource: a request that tells some of where it is comes from somewhere else, and what it leaves
 * out is unknown. */
static int
read_place(struct request *r, struct place *p)
{
	static const char *const members[] = {"bootId", "machineId", "host", "mountNs", "pidNs", "timeNs"};
	bool given = false;
	for (size_t i = 0; i < sizeof members / sizeof *members; i++)
		given |= request_has(r, members[i]);
	*p = (struct place){.mount_ns = -1, .pid_ns = -1, .time_ns = -1, .added_ms = -1};
	struct beat_id here = beat_here();
	if (!given) {
		memcpy(p->boot, here.boot, sizeof p->boot);
		memcpy(p->machine, here.machine, sizeof p->machine);
		snprintf(p->host, sizeof p->host, "%s", here.host);
		p->mount_ns = (int64_t)proc_namespace("mnt");
		p->pid_ns = (int64_t)here.pid_ns;
		p->time_ns = (int64_t)here.time_ns;
	} else if (short_text(r, "bootId", p->boot, sizeof p->boot) < 0 || short_text(r, "machineId", p->machine, sizeof p->machine) < 0 ||
	    short_text(r, "host", p->host, sizeof p->host) < 0 || request_int(r, "mountNs", 0, JSON_INT_MAX, &p->mount_ns) < 0 ||
	    request_int(r, "pidNs", 0, JSON_INT_MAX, &p->pid_ns) < 0 || request_int(r, "timeNs", 0, JSON_INT_MAX, &p->time_ns) < 0 ||
	    request_int(r, "addedMs", 0, JSON_INT_MAX, &p->added_ms) < 0) {
		return -1;
	}
	/* Of this host, and nobody could tell. */
	if (!*p->boot && !*p->machine && strcmp(p->host, here.host) == 0)
		return why_set(&r->why, ERR_IO, "which machine this is cannot be told: it has neither a boot id nor a machine id");
	return 0;
}

static int
read_identity(struct request *r, bool needed, struct identity *id)
{
	static const char *const types[] = {"file", "folder", "link", "other"};
	bool known = false;
	*id = (struct identity){.device = -1, .inode = -1};
	if (short_text(r, "type", id->type, sizeof id->type) < 0 || short_text(r, "birth", id->birth, sizeof id->birth) < 0 ||
	    request_int(r, "device", 0, JSON_INT_MAX, &id->device) < 0 || request_int(r, "inode", 0, JSON_INT_MAX, &id->inode) < 0)
		return -1;
	for (int i = 0; i < 4; i++)
		known |= strcmp(id->type, types[i]) == 0;
	if (*id->type && !known)
		return why_set(&r->why, ERR_REQUEST, "type is not file, folder, link or other");
	if (known != (id->device >= 0) || known != (id->inode >= 0) || (*id->birth && !known) || (needed && !known))
		return why_set(&r->why, ERR_REQUEST, "type, device and inode go together");
	size_t whole = strspn(id->birth, "0123456789"), rest = id->birth[whole] == '.' ? strspn(id->birth + whole + 1, "0123456789") : 0;
	if (*id->birth && (!whole || !rest || rest > 9 || id->birth[whole + 1 + rest]))
		return why_set(&r->why, ERR_REQUEST, "birth is not SECONDS.NANOSECONDS");
	return 0;
}

static void
put_identity(struct buf *b, const struct identity *id)
{
	if (!*id->type)
		return;
	json_put(b, "type", id->type);
	json_put_int(b, "device", id->device);
	json_put_int(b, "inode", id->inode);
	if (*id->birth)
		json_put(b, "birth", id->birth);
}

static int
read_path(struct request *r, struct buf *b)
{
	const char *path;
	if (request_text(r, "path", true, b, &path) < 0)
		return -1;
	const char *bad = remove_bad_path(path);
	return bad ? why_set(&r->why, ERR_REQUEST, "path '%.200s' %s", path, bad) : 0;
}

static int
read_command(struct request *r, struct thing *t)
{
	const char *command, *folder;
	if (request_text(r, "command", true, &t->what, &command) < 0 || request_text(r, "folder", false, &t->folder, &folder) < 0)
		return -1;
	if (!*command)
		return why_set(&r->why, ERR_REQUEST, "command is empty");
	return !folder || *folder == '/' ? 0 : why_set(&r->why, ERR_REQUEST, "folder '%.200s' is relative", folder);
}

static int
read_process(struct request *r, struct thing *t)
{
	if (request_int(r, "pid", 1, INT32_MAX, &t->pid) < 0 || request_int(r, "pidStart", 0, JSON_INT_MAX, &t->start) < 0)
		return -1;
	if (t->pid < 0 || (t->start < 0 && !t->repeat))
		return why_set(&r->why, ERR_REQUEST, "Missing %s", t->pid < 0 ? "pid" : "pidStart");
	buf_int(&t->what, t->pid);
	return 0;
}

static int
read_thing(struct request *r, struct thing *t)
{
	char kind[16] = "";
	*t = (struct thing){.pid = -1, .start = -1};
	if (request_participant(r, false, t->by) < 0 || request_call(r, "callId", false, t->call) < 0 || short_text(r, "kind", kind, sizeof kind) < 0 ||
	    request_bool(r, "made", &t->made) < 0 || request_bool(r, "byName", &t->by_name) < 0 ||
	    request_bool(r, "repeat", &t->repeat) < 0 || read_place(r, &t->place) < 0 ||
	    read_identity(r, false, &t->identity) < 0)
		return -1;
	int rc = -1;
	if (t->repeat && !r->key)
		return why_set(&r->why, ERR_REQUEST, "repeat goes with a key");
	/* Who makes it is waited for, when it is to go in that moment. */
	if (t->made && (request_int(r, "pid", 1, INT32_MAX, &t->pid) < 0 || request_int(r, "pidStart", 0, JSON_INT_MAX, &t->start) < 0))
		return -1;
	if (strcmp(kind, "path") == 0)
		t->kind = RESOURCE_PATH, rc = read_path(r, &t->what);
	else if (strcmp(kind, "process") == 0)
		t->kind = RESOURCE_PROCESS, rc = read_process(r, t);
	else if (strcmp(kind, "command") == 0)
		t->kind = RESOURCE_COMMAND, rc = read_command(r, t);
	else if (!*kind)
		why_set(&r->why, ERR_REQUEST, "Missing kind");
	else
		why_set(&r->why, ERR_REQUEST, "kind is not path, process or command");
	/* It would be taken for one of another boot, which that has ended. */
	if (rc == 0 && t->kind == RESOURCE_PROCESS && !*t->place.boot)
		rc = why_set(&r->why, ERR_IO, "which boot process %lld is of cannot be told", (long long)t->pid);
	if (rc == 0 && t->kind != RESOURCE_PATH && (t->made || t->by_name || *t->identity.type))
		rc = why_set(&r->why, ERR_REQUEST, "made, byName and type go with a path");
	if (rc == 0 && t->made && *t->identity.type)
		rc = why_set(&r->why, ERR_REQUEST, "made goes with what is not there yet, without type, device and inode");
	return rc == 0 && t->what.failed ? why_set(&r->why, ERR_IO, "out of memory") : rc;
}

/* --- what is registered --- */

/* Read an entry of a resource; its slices point into `b`. */
static int
read_line(struct request *r, struct journal *j, struct line line, struct buf *b, struct entry *e)
{
	buf_clear(b);
	if (journal_line(j, line, b) < 0)
		return why_errno(&r->why, "%s", j->path.p);
	return entry_parse(b->p, b->n, e) ? why_set(&r->why, ERR_DAMAGED, "%s: an entry cannot be read", j->path.p) : 0;
}

static bool
says(struct slice s, const char *text)
{
	struct buf b = {0};
	json_unescape(&b, s.p ? s.p : "", s.n);
	bool same = !b.failed && b.n == strlen(text) && memcmp(b.p ? b.p : "", text, b.n) == 0;
	buf_free(&b);
	return same;
}

static bool
is_registered(const struct op_resource *res)
{
	return !res->key.gone && (res->state == RESOURCE_HERE || res->state == RESOURCE_FAILED);
}

static uint64_t
sum_of(enum resource_kind kind, const char *what)
{
	struct buf b = {0};
	if (kind == RESOURCE_PROCESS)
		return op_thing(kind, what, strlen(what));
	json_put(&b, NULL, what);
	uint64_t sum = b.failed ? 0 : op_thing(kind, b.p + 1, b.n - 2);
	buf_free(&b);
	return sum;
}

static bool
is_process(const struct entry *e, const struct thing *t)
{
	return e->pid_start == t->start && e->pid_ns == t->place.pid_ns && e->time_ns == t->place.time_ns && says(e->boot_id, t->place.boot);
}

/* The next registered resource from *i on that is this thing on this host: 1 with *found and its first entry, 0, or -1. */
static int
next_same(struct request *r, struct journal *j, const struct thing *t, uint32_t *i, struct op_resource **found, struct buf *b, struct entry *e)
{
	uint64_t sum = sum_of(t->kind, t->what.p), host = op_host(t->place.machine, t->place.host);
	for (; *i < j->op.resources.n; ++*i) {
		struct op_resource *res = table_at(&j->op.resources, *i);
		if (!is_registered(res) || res->sum != sum || res->host != host || res->kind != t->kind)
			continue;
		if (read_line(r, j, res->added, b, e) < 0)
			return -1;
		if (t->kind == RESOURCE_PROCESS ? !is_process(e, t) :
		    !says(t->kind == RESOURCE_PATH ? e->path : e->command, t->what.p))
			continue;
		*found = res;
		++*i;
		return 1;
	}
	return 0;
}

static int
registered(struct request *r, const struct journal *j, const struct op_resource *res, const char *what, const char *how)
{
	const struct op_person *p = op_person_no(&j->op, res->person);
	why_set(&r->why, ERR_REGISTERED, "%s%.200s is registered in %s by %s%s (resource %llu)", res->kind == RESOURCE_PROCESS ? "process " : "", what,
		j->op.h.id, p ? p->key.name : "?", how, (unsigned long long)res->id);
	return -1;
}

/* Whether it is registered already: by this participant for the same owner, so that nothing is to be done; or otherwise, which is
 * refused. */
static int
find_already(struct change *c, const char *by, struct thing *t)
{
	struct request *r = c->r;
	struct op_resource *res;
	struct buf b = {0};
	struct entry e;
	uint32_t i = 0;
	int rc;
	while ((rc = next_same(r, c->j, t, &i, &res, &b, &e)) == 1 && !t->already) {
		const struct op_person *p = op_person_no(&c->j->op, res->person);
		bool mine = p && strcmp(p->key.name, by) == 0, tie = says(e.call_id, t->call);
		if (t->kind == RESOURCE_COMMAND) { /* two that mean to do the same do it twice */
			if (mine && tie && says(e.folder, t->folder.p ? t->folder.p : ""))
				t->already = res->id;
		} else if (!mine || t->made) {
			rc = registered(r, c->j, res, t->what.p, "");
			break;
		} else if (!tie || e.by_name != t->by_name) {
			rc = registered(r, c->j, res, t->what.p, tie ? ", with another --by-name" : ", for another call");
			why_hint(&r->why, "dpl-temp remove --keep -o %s %llu forgets that", c->j->op.h.id, (unsigned long long)res->id);
			break;
		} else {
			t->already = res->id;
		}
	}
	buf_free(&b);
	return rc < 0 ? -1 : 0;
}

/* --- add --- */

static void
reply_added(struct change *c, const struct entry *e)
{
	json_put_int(c->r->reply, "resourceId", e->resource_id);
	json_put_time(c->r->reply, "addedAt", e->at_ms);
}

/* Another file has taken the place of what was registered: it is the one that is meant now. */
static int
is_another(struct request *r, struct journal *j, const struct op_resource *res, const struct thing *t)
{
	struct buf b = {0};
	struct entry e;
	if (!*t->identity.type)
		return 0;
	int rc = read_line(r, j, res->made.len ? res->made : res->added, &b, &e);
	if (rc == 0)
		rc = e.inode != t->identity.inode || e.device != t->identity.device || !says(e.type, t->identity.type) || !says(e.birth, t->identity.birth);
	buf_free(&b);
	return rc;
}

static int
again(struct change *c, const char *by, const struct thing *t)
{
	struct op_resource *res = op_resource(&c->j->op, t->already);
	int64_t added_ms = res->added_ms;
	int another = is_another(c->r, c->j, res, t);
	if (another < 0)
		return change_refuse(c);
	c->reply = NULL;
	if (another) {
		struct buf *b = change_entry(c, by, EVENT_RESOURCE_MADE);
		json_put_int(b, "resourceId", (int64_t)t->already);
		put_identity(b, &t->identity);
		if (change_commit(c) < 0)
			return -1;
	} else {
		change_nothing(c);
	}
	request_common(c->r, c->j, c->j->op.h.seq);
	json_put_int(c->r->reply, "resourceId", (int64_t)t->already);
	json_put_time(c->r->reply, "addedAt", added_ms);
	json_put_bool(c->r->reply, "already", true);
	return 2;
}

static int
check_add(struct change *c, const char *by, struct thing *t)
{
	struct request *r = c->r;
	const struct op_head *h = &c->j->op.h;
	if (t->repeat)
		return why_set(&r->why, ERR_NO_RESOURCE, "key %s has registered nothing in %s", r->key, h->id);
	if (change_refuse_dead(c, by) < 0)
		return -1;
	if (h->state >= OP_COMPLETED)
		return why_set(&r->why, ERR_ENDED, "operation %s has ended (%s)", h->id, op_state_name(h->state));
	if (h->state == OP_CLEANUP) {
		why_set(&r->why, ERR_FAILED, "operation %s has failed and is being cleaned up", h->id);
		why_hint(&r->why, "dpl-show %s tells why", h->id);
		return -1;
	}
	if (request_refuse_absent(r, c->j, by) < 0)
		return -1;
	if (*t->call && !op_call(&c->j->op, t->call))
		return why_set(&r->why, ERR_NO_CALL, "no call %s runs in %s", t->call, h->id);
	return find_already(c, by, t);
}

static int
add(struct change *c, const char *by, const struct thing *t)
{
	struct buf *b = change_entry(c, by, EVENT_RESOURCE_ADDED);
	json_put_int(b, "resourceId", journal_new_resource(c->j));
	json_put(b, "kind", resource_kind_name(t->kind));
	if (t->kind == RESOURCE_PATH)
		json_put(b, "path", t->what.p);
	else if (t->kind == RESOURCE_COMMAND)
		json_put(b, "command", t->what.p);
	if (t->folder.n)
		json_put(b, "folder", t->folder.p);
	if (t->pid > 0 && t->start >= 0) {
		json_put_int(b, "pid", t->pid);
		json_put_int(b, "pidStart", t->start);
	}
	if (t->made)
		json_put_bool(b, "made", true);
	if (t->by_name)
		json_put_bool(b, "byName", true);
	put_identity(b, &t->identity);
	if (*t->call)
		json_put(b, "callId", t->call);
	const struct op_session *s = op_newest_session(&c->j->op, op_person(&c->j->op, by));
	if (s)
		json_put_int(b, "sessionId", (int64_t)s->id);
	const struct place *p = &t->place;
	if (*p->boot)
		json_put(b, "bootId", p->boot);
	if (*p->machine)
		json_put(b, "machineId", p->machine);
	if (*p->host)
		json_put(b, "host", p->host);
	if (p->mount_ns >= 0)
		json_put_int(b, "mountNs", p->mount_ns);
	if (p->pid_ns >= 0)
		json_put_int(b, "pidNs", p->pid_ns);
	if (p->time_ns >= 0)
		json_put_int(b, "timeNs", p->time_ns);
	if (p->added_ms >= 0)
		json_put_int(b, "addedMs", p->added_ms);
	if (*t->seal)
		json_put(b, "seal", t->seal);
	return change_commit(c);
}

int
verb_temp_add(struct request *r)
{
	/* What stood there, and the proof of it: asked for once more it may be gone, or another. */
	static const char *const found[] = {"type", "device", "inode", "birth", "pidStart", "seal", "repeat", NULL};
	char id[ID_OPERATION_MAX + 1];
	struct thing t;
	struct change c;
	r->found = found;
	if (request_operation(r, id) < 0)
		return -1;
	if (read_thing(r, &t) < 0 || (!t.repeat && request_sealed(r, "a temp resource", t.seal) < 0)) {
		thing_free(&t);
		return -1;
	}
	int rc = change_begin(&c, r, id, reply_added);
	if (rc == 0) {
		char by[ID_NAME_MAX + 1];
		snprintf(by, sizeof by, "%.64s", change_by(&c, t.by));
		if (check_add(&c, by, &t) < 0)
			rc = change_refuse(&c);
		else
			rc = t.already ? again(&c, by, &t) : add(&c, by, &t);
	}
	thing_free(&t);
	return change_end(&c, rc);
}

/* --- made --- */

static void
reply_made(struct change *c, const struct entry *e)
{
	json_put_bool(c->r->reply, "success", true);
	json_put_int(c->r->reply, "resourceId", e->resource_id);
}

/* A registered resource that `by` may do something with; NULL with r->why.  Who names nobody may do it with all. */
static struct op_resource *
own(struct request *r, struct journal *j, const char *by, int64_t id)
{
	struct op_resource *res = op_resource(&j->op, (uint64_t)id);
	if (!res) {
		why_set(&r->why, ERR_NO_RESOURCE, "no resource %lld is registered in %s", (long long)id, j->op.h.id);
		why_hint(&r->why, "dpl-temp list -a -o %s", j->op.h.id);
		return NULL;
	}
	const struct op_person *p = op_person_no(&j->op, res->person);
	if (!*by || (p && strcmp(p->key.name, by) == 0))
		return res;
	why_set(&r->why, ERR_REGISTERED, "resource %lld of %s is registered by %s", (long long)id, j->op.h.id, p ? p->key.name : "?");
	return NULL;
}

int
verb_temp_made(struct request *r)
{
	char id[ID_OPERATION_MAX + 1], by[ID_NAME_MAX + 1];
	struct identity identity;
	struct change c;
	int64_t number = -1;
	if (request_operation(r, id) < 0 || request_participant(r, false, by) < 0 || request_int(r, "resourceId", 1, JSON_INT_MAX, &number) < 0 ||
	    read_identity(r, true, &identity) < 0)
		return -1;
	if (number < 0)
		return why_set(&r->why, ERR_REQUEST, "Missing resourceId");
	int rc = change_begin(&c, r, id, reply_made);
	if (rc == 0) {
		struct op_resource *res = own(r, c.j, by, number);
		if (res && res->kind != RESOURCE_PATH) {
			why_set(&r->why, ERR_REQUEST, "resource %lld of %s is no path", (long long)number, id);
			res = NULL;
		}
		if (!res)
			return change_end(&c, change_refuse(&c));
		struct buf *b = change_entry(&c, change_by(&c, by), EVENT_RESOURCE_MADE);
		json_put_int(b, "resourceId", number);
		put_identity(b, &identity);
		rc = change_commit(&c);
	}
	return change_end(&c, rc);
}

/* --- remove --- */

/* The number of the resource that a path names: what `by` registered before what others did.  0 or -1. */
static int
number_of(struct request *r, struct journal *j, const char *by, const struct thing *t, int64_t *number)
{
	struct op_resource *res;
	struct buf b = {0};
	struct entry e;
	uint32_t i = 0;
	int rc;
	*number = -1;
	while ((rc = next_same(r, j, t, &i, &res, &b, &e)) == 1)
		if (*number < 0 || says(e.by, by))
			*number = (int64_t)res->id;
	buf_free(&b);
	if (rc < 0 || *number > 0)
		return rc;
	why_set(&r->why, ERR_NO_RESOURCE, "%.300s is not registered in %s", t->what.p, j->op.h.id);
	why_hint(&r->why, "dpl-temp list -a -o %s", j->op.h.id);
	return -1;
}

static int
remove_one(struct request *r, const char *id, const char *by, struct thing *t, int64_t number, bool keep)
{
	enum resource_result result;
	char reason[500] = "";
	struct journal *j = request_live(r, id, true);
	if (!j || (number < 0 && number_of(r, j, by, t, &number) < 0) || !own(r, j, by, number))
		return -1;
	request_beat(r, j);
	char author[ID_NAME_MAX + 1];
	snprintf(author, sizeof author, "%.64s", *by ? by : j->op.h.initiator);
	if (removal_one(j, author, (uint64_t)number, keep, &result, reason, sizeof reason, &r->why) < 0)
		return -1;
	/* Stopped on the way: somebody goes on with it. */
	if (result == RESOURCE_HERE)
		result = RESOURCE_FAILED;
	request_common(r, j, j->op.h.seq);
	json_put_int(r->reply, "resourceId", number);
	json_put(r->reply, "result", resource_result_name(result));
	if (*reason)
		json_put(r->reply, "reason", reason);
	return 0;
}

int
verb_temp_remove(struct request *r)
{
	char id[ID_OPERATION_MAX + 1], by[ID_NAME_MAX + 1];
	struct thing t = {.kind = RESOURCE_PATH};
	int64_t number = -1;
	bool keep = false;
	if (request_operation(r, id) < 0 || request_participant(r, false, by) < 0 || request_bool(r, "keep", &keep) < 0 ||
	    request_int(r, "resourceId", 1, JSON_INT_MAX, &number) < 0 || read_place(r, &t.place) < 0)
		return -1;
	if ((number > 0) == request_has(r, "path"))
		return why_set(&r->why, ERR_REQUEST, "resourceId or path is needed, and not both");
	int rc = number > 0 ? 0 : read_path(r, &t.what);
	if (rc == 0)
		rc = remove_one(r, id, by, &t, number, keep);
	thing_free(&t);
	return rc;
}

/* --- list --- */

static bool
is_wanted(const struct journal *j, const struct op_resource *res, const char *by, const struct op_call *call)
{
	const struct op_person *p = *by ? op_person_no(&j->op, res->person) : NULL;
	return (!*by || (p && strcmp(p->key.name, by) == 0)) && (!call || res->call == call->seq);
}

int
verb_temp_list(struct request *r)
{
	static const struct journal_options history = {.keep = true, .stop_seq = UINT64_MAX, .stop_ms = INT64_MAX};
	char id[ID_OPERATION_MAX + 1], by[ID_NAME_MAX + 1], name[ID_NAME_MAX + 1];
	bool all = false;
	struct journal j;
	if (request_operation(r, id) < 0 || request_participant(r, false, by) < 0 || request_call(r, "callId", false, name) < 0 ||
	    request_bool(r, "all", &all) < 0 || request_store(r, false) < 0 ||
	    store_get(&r->v->store, id, STORE_ANY, all || *name ? &history : NULL, &j, &r->why) < 0)
		return -1;
	struct wire_source from = journal_source(&j);
	const struct op_call *call = *name ? table_find(&j.op.calls, name) : NULL;
	int rc = *name && !call ? why_set(&r->why, ERR_NO_CALL, "no call %s in %s", name, id) : 0;
	if (rc == 0) {
		request_common(r, &j, j.op.h.seq);
		json_open(r->reply, "resources", '[');
		for (uint32_t i = 0; i < j.op.resources.n; i++) {
			const struct op_resource *res = table_at(&j.op.resources, i);
			if (!res->key.gone && (all || is_registered(res)) && is_wanted(&j, res, by, call))
				wire_resource(r->reply, &j.op, res, &from, clock_wall_ms());
		}
		json_close(r->reply, ']');
	}
	journal_close(&j);
	return rc;
}
