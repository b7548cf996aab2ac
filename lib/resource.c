/* resource: one temp resource. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "fsx.h"
#include "hook.h"
#include "json.h"
#include "num.h"
#include "resource.h"
#include "result.h"
#include "tree.h"

enum { ORPHANS_LOOK_MS = 20 };

/* --- what its entries say --- */

static void
text(struct buf *b, struct slice s)
{
	buf_clear(b);
	buf_str(b, "");
	if (s.n)
		json_unescape(b, s.p, s.n);
}

/* "SECONDS.NANOSECONDS" */
static void
birth(struct slice s, struct remove_identity *id)
{
	const char *dot = s.n ? memchr(s.p, '.', s.n) : NULL;
	int64_t seconds, rest;
	size_t n = dot ? (size_t)(dot - s.p) : 0;
	if (!dot || num_int(s.p, n, 0, JSON_INT_MAX, &seconds) < 0)
		return;
	char digits[12] = "";
	snprintf(digits, sizeof digits, "%.*s", (int)(s.n - n - 1 < 11 ? s.n - n - 1 : 11), dot + 1);
	char *end;
	rest = strtol(digits, &end, 10);
	if (*end || rest < 0 || rest > 999999999)
		return;
	id->has_birth = true;
	id->birth_s = seconds;
	id->birth_ns = (uint32_t)rest;
}

static void
identity(const struct entry *e, struct remove_identity *id)
{
	if (e->inode < 0 || !e->type.n)
		return;
	*id = (struct remove_identity){.known = true, .device = (uint64_t)e->device, .inode = (uint64_t)e->inode, .type = e->type.p[0] == 'l' ? 'l' : e->type.p[0] == 'o' ? 'o' : e->type.n == 6 ? 'd' : 'f'};
	birth(e->birth, id);
}

static int
line(struct journal *j, struct line at, struct buf *b, struct entry *e, struct why *why)
{
	buf_clear(b);
	if (journal_line(j, at, b) < 0)
		return why_errno(why, "%s", j->path.p);
	return entry_parse(b->p, b->n, e) ? why_set(why, ERR_DAMAGED, "%s: an entry cannot be read", j->path.p) : 0;
}

/* What the entry by which it was registered says. */
static void
take_added(struct resource *out, const struct entry *e)
{
	out->id = (uint64_t)e->resource_id;
	out->kind = resource_kind_by_name(e->resource_kind.p ? e->resource_kind.p : "", e->resource_kind.n);
	identity(e, &out->identity);
	out->made = e->made;
	out->by_name = e->by_name;
	out->pid = e->pid;
	out->start = e->pid_start;
	out->added_ms = e->added_ms >= 0 ? e->added_ms : e->at_ms;
	out->mount_ns = e->mount_ns > 0 ? (uint64_t)e->mount_ns : 0;
	out->pid_ns = e->pid_ns > 0 ? (uint64_t)e->pid_ns : 0;
	out->time_ns = e->time_ns > 0 ? (uint64_t)e->time_ns : 0;
	slice_copy(e->boot_id, out->boot, sizeof out->boot);
	slice_copy(e->machine_id, out->machine, sizeof out->machine);
	slice_copy(e->host, out->host, sizeof out->host);
	slice_copy(e->seal, out->seal, sizeof out->seal);
	text(&out->call, e->call_id);
	text(&out->owner, e->participant_id.n ? e->participant_id : e->by);
	text(&out->evidence, e->evidence);
	out->is_fallback = e->is_fallback;
	out->result_json = e->result_json;
	out->orphans = e->orphans && out->kind == RESOURCE_PROCESS;
	out->supervisor = e->supervisor_pid;
	out->supervisor_start = e->supervisor_start;
	text(&out->folder, e->folder);
	text(&out->what, out->kind == RESOURCE_COMMAND ? e->command : e->path);
	if (out->kind == RESOURCE_PROCESS)
		buf_fmt(&out->what, "%lld", (long long)e->pid);
}

int
resource_read(struct resource *out, const char *added, size_t added_n, const char *made, size_t made_n)
{
	struct entry e;
	*out = (struct resource){.pid = -1, .start = -1};
	if (entry_parse(added, added_n, &e) || e.event != EVENT_RESOURCE_ADDED || e.resource_id < 1)
		return -1;
	take_added(out, &e);
	if (!made)
		return out->what.failed ? -1 : 0;
	if (entry_parse(made, made_n, &e))
		return -1;
	identity(&e, &out->identity);
	return out->what.failed ? -1 : 0;
}

int
resource_load(struct journal *j, const struct op_resource *r, struct resource *out, struct why *why)
{
	struct buf b = {0};
	struct entry e;
	*out = (struct resource){.pid = -1, .start = -1};
	int rc = line(j, r->added, &b, &e, why);
	if (rc == 0)
		take_added(out, &e);
	out->id = r->id;
	out->kind = (enum resource_kind)r->kind;
	out->tries = r->tries;
	if (rc == 0 && r->made.len && (rc = line(j, r->made, &b, &e, why)) == 0)
		identity(&e, &out->identity);
	if (rc == 0 && r->result.len && (rc = line(j, r->result, &b, &e, why)) == 0)
		text(&out->reason, e.reason);
	if (rc == 0 && (out->what.failed || out->reason.failed))
		rc = why_set(why, ERR_IO, "out of memory");
	buf_free(&b);
	return rc;
}

void
resource_free(struct resource *r)
{
	buf_free(&r->what);
	buf_free(&r->folder);
	buf_free(&r->call);
	buf_free(&r->owner);
	buf_free(&r->evidence);
	buf_free(&r->reason);
}

/* --- where it is --- */

static bool
same_boot(const struct resource *r)
{
	struct beat_id here = beat_here();
	return *here.boot && strcmp(r->boot, here.boot) == 0;
}

/* Whether when a process began is the same number here. */
static bool
same_clock(const struct resource *r)
{
	return !r->time_ns || r->time_ns == beat_here().time_ns;
}

int
resource_home(const struct journal *j, struct resource_home *home)
{
	struct stat st;
	if (fstat(j->dir, &st) < 0)
		return -1;
	*home = (struct resource_home){.operation = j->op.h.id, .uid = st.st_uid, .gid = st.st_gid, .shared = fsx_is_remote(j->dir)};
	return 0;
}

/* By whoever may write to the folder, or by this user.  Of what a supervisor by a server has left it must have been this user's. */
static bool
is_ours(const struct resource *r, const struct resource_home *home)
{
	char supervisor[24];
	if (!r->orphans && !*r->seal && !home->foreign)
		return true;
	struct sealed s = {.operation = home->operation, .machine = r->kind == RESOURCE_PROCESS ? r->boot : r->machine, .kind = resource_kind_name(r->kind),
		.what = r->what.p, .folder = r->folder.n ? r->folder.p : NULL, .start = r->kind == RESOURCE_PROCESS ? r->start : -1, .made = r->made, .by_name = r->by_name};
	if (r->orphans) {
		snprintf(supervisor, sizeof supervisor, "%lld", (long long)r->supervisor);
		s = (struct sealed){.operation = home->operation, .machine = r->boot, .kind = "orphans", .what = supervisor, .start = r->supervisor_start};
	}
	return seal_fits(&s, r->seal);
}

/* Whether we are in another namespace than one was registered in; 0 is what is not known. */
static enum resource_place
namespace_place(uint64_t registered, uint64_t ours, const char *kind, char *reason, size_t size)
{
	if (!registered || registered == ours)
		return PLACE_HERE;
	snprintf(reason, size, ours ? "it is in another %s namespace" : "which %s namespace this process is in cannot be read in /proc/self/ns", kind);
	return ours ? PLACE_ELSEWHERE : PLACE_UNKNOWN;
}

/* Whether a path leads to what was registered. */
static bool
is_seen_here(const struct resource *r)
{
	struct remove_identity now;
	return r->kind == RESOURCE_PATH && r->identity.known && remove_identify(r->what.p, &now) == 0 && now.inode == r->identity.inode && now.device == r->identity.device;
}

enum resource_place
resource_place(const struct resource *r, const struct resource_home *home, char *reason, size_t size)
{
	struct beat_id here = beat_here();
	enum resource_place place = PLACE_HERE;
	/* Images are cloned with their machine id: on a filesystem that several machines share the name counts as well. */
	bool same = same_boot(r) || (*r->machine && strcmp(r->machine, here.machine) == 0 && (strcmp(r->host, here.host) == 0 || !home->shared));
	if (!same) {
		snprintf(reason, size, "it is on another host, %s", *r->host ? r->host : "?");
		return PLACE_ELSEWHERE;
	}
	/* A command means the processes and files that it was registered among. */
	if (r->kind != RESOURCE_PATH && same_boot(r))
		place = namespace_place(r->pid_ns, here.pid_ns, "PID", reason, size);
	if (place == PLACE_HERE && r->kind == RESOURCE_PROCESS && same_boot(r))
		place = namespace_place(r->time_ns, here.time_ns, "time", reason, size);
	if (place != PLACE_HERE)
		return place;
	if (r->kind != RESOURCE_PROCESS && same_boot(r) && r->mount_ns)
		place = namespace_place(r->mount_ns, proc_namespace("mnt"), "mount", reason, size);
	if (place != PLACE_HERE && !is_seen_here(r))
		return place;
	*reason = '\0';
	if (!is_ours(r, home)) {
		snprintf(reason, size, *r->seal ? "another user of %s has registered it by a server, or one with another key" : "nobody of %s has registered it: it has no seal", here.host);
		return PLACE_ELSEWHERE;
	}
	return PLACE_HERE;
}

/* --- a process --- */

static bool
await_end(int fd, int64_t ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int64_t end = clock_mono_ms() + ms, left = ms;
	do {
		if (poll(&p, 1, (int)left) > 0)
			return true;
		left = end - clock_mono_ms();
	} while (left > 0);
	return false;
}

/* What the dead supervisor of a call left running here.  One that was only cut off from its server ends it by itself. */
static enum resource_result
end_orphans(const struct resource *r, const struct resource_home *home, bool look, char *reason, size_t size)
{
	struct tree t = {.operation = home->operation, .call = r->call.p, .supervisor = -1, .root = -1, .root_start = -1, .group = -1, .session = -1, .uid = home->uid};
	int n = same_boot(r) ? tree_signal(&t, 0, -1, NULL) : 0, sig = SIGTERM;
	if (n == 0) {
		snprintf(reason, size, "nothing of it runs");
		return RESOURCE_GONE;
	}
	if (proc_start(r->supervisor) == r->supervisor_start && tree_is_supervisor(r->supervisor)) {
		snprintf(reason, size, "its supervisor, process %lld, lives", (long long)r->supervisor);
		return RESOURCE_FAILED;
	}
	int64_t end = clock_mono_ms() + RESOURCE_GRACE_MS;
	for (; n != 0 && !look && clock_mono_ms() < end + RESOURCE_GRACE_MS; sig = clock_mono_ms() < end ? 0 : SIGKILL) {
		n = tree_signal(&t, sig, -1, NULL);
		if (n != 0)
			usleep(ORPHANS_LOOK_MS * 1000);
	}
	if (n == 0 || look)
		return RESOURCE_REMOVED;
	snprintf(reason, size, "its processes do not end");
	return RESOURCE_FAILED;
}

static enum resource_result
end_process(const struct resource *r, uid_t uid, bool look, char *reason, size_t size)
{
	char path[40];
	struct stat st;
	if (!same_boot(r)) {
		snprintf(reason, size, "another boot has ended it");
		return RESOURCE_GONE;
	}
	if (r->pid == getpid() && r->start == proc_start(r->pid)) {
		snprintf(reason, size, "it is the process that removes what is left here");
		return RESOURCE_LEFT;
	}
	int fd = proc_open(r->pid, r->start);
	if (fd < 0 && (errno == ESRCH || errno == EINVAL)) {
		snprintf(reason, size, "it had ended");
		return RESOURCE_GONE;
	}
	if (fd < 0) {
		snprintf(reason, size, "%s", strerror(errno));
		return RESOURCE_FAILED;
	}
	enum resource_result result = RESOURCE_REMOVED;
	snprintf(path, sizeof path, "/proc/%lld", (long long)r->pid);
	bool foreign = stat(path, &st) < 0 || (uid != 0 && st.st_uid != uid);
	if (await_end(fd, 0)) { /* behind that look: where it lives still, it is what was looked at */
		snprintf(reason, size, "it had ended");
		result = RESOURCE_GONE;
	} else if (foreign) {
		snprintf(reason, size, "it is another user's process");
		result = RESOURCE_LEFT;
	} else if (!look) {
		(void)proc_signal(fd, SIGTERM);
		(void)proc_signal(fd, SIGCONT);
		if (!await_end(fd, RESOURCE_GRACE_MS) && (proc_signal(fd, SIGKILL), !await_end(fd, RESOURCE_GRACE_MS))) {
			snprintf(reason, size, "it does not end");
			result = RESOURCE_FAILED;
		}
	}
	close(fd);
	return result;
}

/* --- an undo command --- */

struct undo {
	const struct resource *r;
	const struct resource_order *o;
};

static void
set_variables(void *arg)
{
	const struct undo *u = arg;
	char id[24];
	snprintf(id, sizeof id, "%llu", (unsigned long long)u->r->id);
	setenv("DPL_LEDGER", u->o->home->name, 1);
	setenv("DPL_OPERATION", u->o->home->operation, 1);
	setenv("DPL_PARTICIPANT", u->r->owner.p, 1);
	setenv("DPL_RESOURCE", id, 1);
	setenv("DPL_UNDO", u->o->home->operation, 1); /* also for calls in it */
	unsetenv("DPL_SESSION"); /* that of whoever runs it */
	unsetenv("DPL_WATCHDOG");
	if (u->r->call.n)
		setenv("DPL_CALL", u->r->call.p, 1);
	else
		unsetenv("DPL_CALL");
	if (u->r->is_fallback)
		setenv("DPL_REASON", u->r->evidence.p, 1);
}

/* What a fallback command has printed is the result of its call. */
static void
take_result(const struct buf *raw, bool json, struct buf *result, char *problem, size_t size)
{
	const struct result_source stdout_of_it = {.from = "stdout", .json = json};
	struct why why = {.text = ""};
	enum result_taken taken = result_take(&stdout_of_it, NULL, raw, false, result, &why);
	if (taken != RESULT_TAKEN)
		snprintf(problem, size, "%.100s", taken == RESULT_TOO_LONG ? "what it printed is too long for a result" : why.text);
}

/* What an earlier run of it had started, perhaps when who ran it was killed: two of them at once might undo each other's work.  What other undo
 * commands have left running may be what they are for. */
static void
end_earlier_run(const struct resource *r, struct resource_order *o)
{
	const struct resource_home *home = o->home;
	struct tree t = {.operation = home->operation, .undoing = true, .supervisor = -1, .root = -1, .root_start = -1, .group = -1, .session = -1, .uid = home->uid};
	int64_t end = clock_mono_ms() + RESOURCE_GRACE_MS;
	if (o->alone || tree_signal(&t, 0, -1, NULL) == 0) {
		o->alone = true;
		return;
	}
	t.resource = r->id;
	while (tree_signal(&t, SIGKILL, -1, NULL) > 0 && clock_mono_ms() < end)
		usleep(ORPHANS_LOOK_MS * 1000);
}

static enum resource_result
undo(const struct resource *r, struct resource_order *o, struct buf *printed, char *reason, size_t size)
{
	struct undo u = {r, o};
	struct buf output = {0}, raw = {0};
	char problem[120];
	int status = 0;
	if (o->look)
		return RESOURCE_REMOVED;
	end_earlier_run(r, o);
	struct hook h = {.command = r->what.p, .folder = r->folder.n ? r->folder.p : NULL, .limit_ms = RESOURCE_COMMAND_MS, .uid = o->home->uid, .gid = o->home->gid, .prepare = set_variables, .arg = &u, .apart = r->is_fallback ? &raw : NULL};
	int rc = hook_run(&h, &status, &output);
	hook_describe(rc, errno, status, problem, sizeof problem);
	if (r->is_fallback && !*problem)
		take_result(&raw, r->result_json, printed, problem, sizeof problem);
	buf_free(&raw);
	/* Its last line says most of what went wrong. */
	const char *last = output.n ? strrchr(output.p, '\n') : NULL;
	last = last ? last + 1 : output.n ? output.p : "";
	if (*problem)
		snprintf(reason, size, "%s%s%.200s", problem, *last ? ": " : "", last);
	buf_free(&output);
	if (!*problem || r->is_fallback) /* such a one leaves nothing behind that was to be undone, and is not tried again */
		return RESOURCE_REMOVED;
	return r->tries + 1 < RESOURCE_TRIES ? RESOURCE_FAILED : RESOURCE_LEFT;
}

/* --- a path --- */

/* Whether the one who registered it is about to make it: removed before, it would be left behind, should that one be killed then. */
static bool
is_being_made(const struct resource *r)
{
	bool known = r->made && !r->identity.known && r->pid > 0 && same_boot(r) && r->pid_ns == beat_here().pid_ns;
	int fd = known ? proc_open(r->pid, same_clock(r) ? r->start : -1) : -1;
	bool busy = fd >= 0 && !await_end(fd, RESOURCE_MAKER_MS);
	if (fd >= 0)
		close(fd);
	return busy;
}

static enum resource_result
remove_it(const struct resource *r, const struct resource_order *o, uint64_t *entries, char *reason, size_t size)
{
	static const enum resource_result results[] = {
		[REMOVE_DONE] = RESOURCE_REMOVED, [REMOVE_GONE] = RESOURCE_GONE, [REMOVE_LEFT] = RESOURCE_LEFT, [REMOVE_FAILED] = RESOURCE_FAILED,
		[REMOVE_STOPPED] = RESOURCE_HERE,
	};
	if (!o->look && is_being_made(r)) {
		snprintf(reason, size, "process %lld is just making it", (long long)r->pid);
		return RESOURCE_HERE;
	}
	struct remove_order order = {.path = r->what.p, .id = r->identity, .made = r->made, .by_name = r->by_name, .same_boot = same_boot(r),
		.added_ms = r->added_ms, .rules = {.ledger = o->home->ledger, .uid = o->home->uid}, .limit_ms = o->limit_ms, .look = o->look, .go_on = o->go_on, .arg = o->arg};
	return results[remove_path(&order, entries, reason, size)];
}

enum resource_result
resource_remove(const struct resource *r, struct resource_order *o, uint64_t *entries, struct buf *printed, char *reason, size_t size)
{
	*entries = 0;
	reason[0] = '\0';
	switch (r->kind) {
	case RESOURCE_PROCESS:
		return r->orphans ? end_orphans(r, o->home, o->look, reason, size) : end_process(r, o->home->uid, o->look, reason, size);
	case RESOURCE_COMMAND:
		return undo(r, o, printed, reason, size);
	case RESOURCE_PATH:
		break;
	}
	return remove_it(r, o, entries, reason, size);
}
