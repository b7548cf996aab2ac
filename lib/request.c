/* request: what the verbs have in common. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capture.h"
#include "clock.h"
#include "follow.h"
#include "fsx.h"
#include "hash.h"
#include "id.h"
#include "look.h"
#include "request.h"

enum { BEAT_AGAIN_MS = 500, HOLD_TRIES = 20 };

/* --- the ledger --- */

int
verbs_open(struct verbs *v, const char *path, const struct store_options *o)
{
	*v = (struct verbs){.path = strdup(path), .o = *o, .store = {.dir = -1}, .reader = -1, .open_most = VERBS_OPEN};
	v->open = v->few;
	return v->path ? 0 : -1;
}

/* Close an open operation; what it owes is paid first, and remembered where that fails. */
static void
close_open(struct verbs *v, struct journal *j)
{
	struct why why;
	if (journal_flush(j, &why) < 0)
		v->owed = why;
	journal_close(j);
	free(j);
}

void
verbs_close(struct verbs *v)
{
	for (int i = 0; i < v->opened; i++)
		close_open(v, v->open[i]);
	follow_free(v->follow);
	if (v->store.path)
		store_close(&v->store);
	free(v->path);
	*v = (struct verbs){.store = {.dir = -1}};
}

void
verbs_unlock(struct verbs *v, const struct journal *but)
{
	for (int i = 0; i < v->opened; i++)
		if (v->open[i] != but)
			journal_unlock(v->open[i]);
}

/* Where several are to be flushed, let somebody do it who can do it at once.  None stays locked meanwhile. */
static void
flush_ahead(struct verbs *v)
{
	struct journal *owed[VERBS_MOST];
	size_t n = 0;
	for (int i = 0; i < v->opened; i++)
		if (v->open[i]->owed)
			owed[n++] = v->open[i];
	if (n < 2)
		return;
	verbs_unlock(v, NULL);
	v->flush_all(v->flush_arg, owed, n);
}

int
verbs_flush(struct verbs *v, struct why *why)
{
	int rc = 0;
	if (v->flush_all)
		flush_ahead(v);
	for (int i = 0; i < v->opened; i++)
		if (journal_flush(v->open[i], why) < 0)
			rc = -1;
	if (v->owed.code) {
		*why = v->owed;
		v->owed.code = ERR_NONE;
		rc = -1;
	}
	return rc;
}

bool
verbs_owes(const struct verbs *v)
{
	for (int i = 0; i < v->opened; i++)
		if (v->open[i]->owed)
			return true;
	return v->owed.code != ERR_NONE;
}

void
verbs_tidy(struct verbs *v)
{
	for (int i = 0; i < v->opened; i++)
		journal_tidy(v->open[i]);
}

/* --- members --- */

static int
missing(struct request *r, const char *member)
{
	return why_set(&r->why, ERR_REQUEST, "Missing %s", member);
}

/* The value of a member; -1 where it is absent or null. */
static int
value(const struct request *r, const char *member)
{
	int i = json_get(r->json, r->body, member);
	return json_is_null(r->json, i) ? -1 : i;
}

bool
request_has(const struct request *r, const char *member)
{
	return value(r, member) >= 0;
}

/* A name of bounded length.  What does not fit its buffer is refused by `check`'s own limit, which
 * is smaller. */
static int
name_of(struct request *r, const char *member, bool needed, char *out, size_t size, const char *(*check)(const char *))
{
	int i = value(r, member);
	out[0] = '\0';
	if (i < 0)
		return needed ? missing(r, member) : 0;
	if (!json_is_string(r->json, i))
		return why_set(&r->why, ERR_REQUEST, "%s is not a string", member);
	if (json_copy(r->json, i, out, size) < 0) {
		out[0] = '\0';
		return why_set(&r->why, ERR_ID, "%s is too long or holds a NUL", member);
	}
	const char *bad = check(out);
	return bad ? why_set(&r->why, ERR_ID, "%s '%s' %s", member, out, bad) : 0;
}

int
request_operation(struct request *r, char id[ID_OPERATION_MAX + 1])
{
	return name_of(r, "operationId", true, id, ID_OPERATION_MAX + 1, id_bad_operation);
}

int
request_participant(struct request *r, bool needed, char name[ID_NAME_MAX + 1])
{
	return name_of(r, "participantId", needed, name, ID_NAME_MAX + 1, id_bad_participant);
}

int
request_call(struct request *r, const char *member, bool needed, char id[ID_NAME_MAX + 1])
{
	return name_of(r, member, needed, id, ID_NAME_MAX + 1, id_bad_call);
}

int
request_int(struct request *r, const char *member, int64_t least, int64_t most, int64_t *number)
{
	int i = value(r, member);
	if (i < 0 || json_integer(r->json, i, least, most, number) == 0)
		return 0;
	return why_set(&r->why, ERR_REQUEST, "%s is not an integer from %lld to %lld", member, (long long)least, (long long)most);
}

int
request_bool(struct request *r, const char *member, bool *flag)
{
	int i = value(r, member);
	if (i < 0 || json_boolean(r->json, i, flag) == 0)
		return 0;
	return why_set(&r->why, ERR_REQUEST, "%s is not true or false", member);
}

int
request_text(struct request *r, const char *member, bool needed, struct buf *b, const char **text)
{
	int i = value(r, member);
	*text = NULL;
	if (i < 0)
		return needed ? missing(r, member) : 0;
	if (!json_is_string(r->json, i))
		return why_set(&r->why, ERR_REQUEST, "%s is not a string", member);
	buf_add(b, "", 0);
	if (json_string(r->json, i, b) < 0)
		return why_set(&r->why, ERR_IO, "out of memory");
	if (memchr(b->p, '\0', b->n))
		return why_set(&r->why, ERR_REQUEST, "%s holds a NUL", member);
	*text = b->p;
	return 0;
}

int
request_put_text(struct request *r, struct buf *b, const char *member, const char *as)
{
	struct buf value = {0};
	const char *text;
	int rc = request_text(r, member, false, &value, &text);
	if (rc == 0 && text)
		json_put(b, as, text);
	buf_free(&value);
	return rc;
}

/* --- the ledger and its operations --- */

int
request_store(struct request *r, bool create)
{
	struct verbs *v = r->v;
	if (v->store.path)
		return 0;
	return store_open(&v->store, v->path, create, &v->o, &r->why);
}

struct journal *
request_live(struct request *r, const char *id, bool fold)
{
	struct verbs *v = r->v;
	if (request_store(r, false) < 0)
		return NULL;
	for (int i = 0; i < v->opened; i++) {
		struct journal *used = v->open[i];
		if (strcmp(used->op.h.id, id) != 0)
			continue;
		memmove(&v->open[1], &v->open[0], (size_t)i * sizeof used);
		v->open[0] = used;
		if (fold && journal_refresh(used, &r->why) < 0)
			return NULL;
		if (!op_has_ended(&used->op))
			return used;
		request_close(r, used); /* it ended meanwhile: the store says so */
		break;
	}
	struct journal *j = malloc(sizeof *j);
	if (!j) {
		why_set(&r->why, ERR_IO, "out of memory");
		return NULL;
	}
	if (store_get(&v->store, id, STORE_LIVE, NULL, j, &r->why) < 0) {
		free(j);
		return NULL;
	}
	if (v->opened == v->open_most)
		close_open(v, v->open[--v->opened]);
	memmove(&v->open[1], &v->open[0], (size_t)v->opened * sizeof j);
	v->opened++;
	v->open[0] = j;
	return j;
}

struct journal *
request_get(struct request *r, const char *id)
{
	struct journal *j = request_store(r, false) < 0 ? NULL : malloc(sizeof *j);
	if (!j && r->why.code == ERR_NONE)
		why_set(&r->why, ERR_IO, "out of memory");
	if (!j || store_get(&r->v->store, id, STORE_ANY, NULL, j, &r->why) == 0)
		return j;
	free(j);
	return NULL;
}

struct journal *
request_any(struct request *r, const char *id, struct journal **own)
{
	struct journal *j = request_live(r, id, true);
	*own = NULL;
	if (j || !err_is_end(r->why.code))
		return j;
	r->why.code = ERR_NONE;
	return *own = request_get(r, id);
}

void
request_close_own(struct request *r, struct journal *j, struct journal *own)
{
	if (own) {
		journal_close(own);
		free(own);
	} else if (op_has_ended(&j->op)) {
		request_close(r, j);
	}
}

bool
verbs_may_take_long(struct verbs *v, const char *operation, bool removes)
{
	struct request r = {.v = v};
	if (id_bad_operation(operation))
		return false;
	struct journal *j = request_live(&r, operation, true);
	return j && (j->op.h.crashes || (removes && op_resources(&j->op)));
}

int
request_held(const struct journal *j, const char *participant, const struct beat *holder, struct why *why)
{
	char who[300];
	beat_describe(&holder->id, who, sizeof who);
	why_set(why, ERR_HELD, "%s is held in %s by %s", participant, j->op.h.id, who);
	why_hint(why, "take another name (-p), or end that keeper first");
	return -1;
}

static int
hold_person(struct request *r, struct journal *j, const char *participant, const struct beat_id *id, uint64_t *newest)
{
	struct beat other;
	char file[BEAT_FILE_MAX];
	int fd;
	beat_person_file(participant, file);
	if (request_refuse_absent(r, j, participant) < 0)
		return -1;
	uint64_t now = op_newest_session(&j->op, op_person(&j->op, participant))->id;
	if (*newest && now != *newest && (beat_look(j->dir, file, &other) < 0 || other.id.pid != id->watched || other.id.start != id->watched_start))
		return request_held(j, participant, &other, &r->why);
	/* A beat that makes a lost file anew holds it for the moment of writing. */
	for (int try = 0; (fd = beat_hold(j->dir, file, id, &other)) < 0; try++) {
		if (errno != EAGAIN)
			return why_errno(&r->why, "hold %s of %s", file, j->op.h.id);
		if (try == HOLD_TRIES || (other.known && other.locked && other.id.mode == BEAT_HELD))
			return request_held(j, participant, &other, &r->why);
		usleep(5000);
	}
	*newest = now;
	return fd;
}

int
verbs_hold_person(struct verbs *v, const char *operation, const char *participant, const struct beat_id *id, uint64_t *newest, int *fd, struct why *why)
{
	struct request r = {.v = v};
	struct journal *j = request_live(&r, operation, false);
	*fd = -1;
	/* Under the lock: a file of one that leaves meanwhile would make it beat for ever. */
	if (j && store_lock(&v->store, j, &r.why) == 0) {
		*fd = hold_person(&r, j, participant, id, newest);
		journal_unlock(j);
	}
	if (*fd < 0)
		*why = r.why;
	return *fd < 0 ? -1 : 0;
}

bool
verbs_keeps(struct verbs *v, const char *operation, const char *participant, int64_t pid)
{
	struct request r = {.v = v};
	struct beat b;
	char file[BEAT_FILE_MAX];
	struct journal *j = request_live(&r, operation, false);
	beat_person_file(participant, file);
	return j && beat_look(j->dir, file, &b) == 0 && b.locked && b.id.watched == pid && b.id.watched_start == proc_start(pid);
}

int
verbs_watch(struct verbs *v, const char *operation, struct watch *w, int *bell, int *beats)
{
	struct request r = {.v = v};
	struct journal *j = request_live(&r, operation, false);
	if (!j || fsx_is_remote(j->dir) || (*bell = journal_watch_bell(j, w)) < 0)
		return -1;
	*beats = journal_watch_beats(j, w);
	return *beats < 0 ? -1 : 0;
}

int
verbs_output(struct verbs *v, const char *operation, const char *call, bool err, struct verbs_output *out, struct why *why)
{
	struct request r = {.v = v};
	struct journal j;
	if (request_store(&r, false) < 0 || store_get(&v->store, operation, STORE_ANY, NULL, &j, &r.why) < 0) {
		*why = r.why;
		return -1;
	}
	out->fd = capture_open(j.dir, call, err);
	int e = errno;
	out->folder = fsx_open(j.dir, "calls", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	out->beats = fsx_open(j.dir, "beats", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	journal_close(&j);
	errno = e;
	return out->fd < 0 && e != ENOENT ? why_errno(why, "the output of call %s", call) : 0;
}

void
request_close(struct request *r, struct journal *j)
{
	struct verbs *v = r->v;
	int i = 0;
	while (v->open[i] != j)
		i++;
	close_open(v, j);
	v->opened--;
	memmove(&v->open[i], &v->open[i + 1], (size_t)(v->opened - i) * sizeof j);
}

struct follow *
request_follow(struct request *r)
{
	struct verbs *v = r->v;
	if (!v->follow && !(v->follow = follow_new(v->reader)))
		why_set(&r->why, ERR_IO, "out of memory");
	return v->follow;
}

bool
request_is_placed_here(struct request *r)
{
	struct beat_id here = beat_here();
	char machine[sizeof here.machine] = "", boot[sizeof here.boot] = "";
	(void)json_copy(r->json, json_get(r->json, r->body, "machineId"), machine, sizeof machine);
	(void)json_copy(r->json, json_get(r->json, r->body, "bootId"), boot, sizeof boot);
	return !*machine || strcmp(machine, here.machine) == 0 || strcmp(boot, here.boot) == 0;
}

int
request_refuse_stranger(struct request *r, const char *what)
{
	if (!r->v->remote || r->v->owner)
		return 0;
	why_set(&r->why, ERR_PERMISSION, "%s on the server's own machine is not for who comes by TCP", what);
	why_hint(&r->why, "there, name the ledger by its folder, or by the server's unix socket");
	return -1;
}

int
request_seal(struct request *r, const char *member, char seal[SEAL_TEXT])
{
	int at = json_get(r->json, r->body, member);
	seal[0] = '\0';
	if (request_has(r, member) && (json_copy(r->json, at, seal, SEAL_TEXT) < 0 || strlen(seal) != SEAL_TEXT - 1 || strspn(seal, "0123456789abcdef") != SEAL_TEXT - 1))
		return why_set(&r->why, ERR_REQUEST, "%s is not 16 hex digits", member);
	return 0;
}

int
request_sealed(struct request *r, const char *what, char seal[SEAL_TEXT])
{
	if (request_seal(r, "seal", seal) < 0)
		return -1;
	if (!request_is_placed_here(r))
		return 0;
	/* Of one who may write to the folder it proves nothing that is not known; else the user who has sealed it does it. */
	if (!r->v->remote || r->v->owner)
		seal[0] = '\0';
	return *seal ? 0 : request_refuse_stranger(r, what);
}

struct beat_id
request_far(struct request *r)
{
	struct beat_id id = beat_here();
	char host[sizeof id.host];
	id.mode = BEAT_REMOTE;
	id.pid_ns = 0; /* its processes are not to be looked for here */
	(void)json_integer(r->json, json_get(r->json, r->body, "supervisorPid"), 1, INT32_MAX, &id.pid);
	(void)json_integer(r->json, json_get(r->json, r->body, "supervisorStart"), 0, JSON_INT_MAX, &id.start);
	if (json_copy(r->json, json_get(r->json, r->body, "host"), host, sizeof host) == 0)
		memcpy(id.host, host, sizeof host);
	return id;
}

void
request_beat_nameless(struct journal *j, bool promises)
{
	char file[BEAT_FILE_MAX];
	struct beat b;
	for (uint32_t i = 0; i < j->op.people.n; i++) {
		const struct op_person *p = table_at(&j->op.people, i);
		if (p->key.gone || !p->sessions)
			continue;
		beat_person_file(p->key.name, file);
		if (beat_look(j->dir, file, &b) < 0 || !b.known || !b.id.nameless)
			continue;
		/* From its first beat on it is expected to beat. */
		if (promises && b.id.mode == BEAT_LEASED) {
			b.id.mode = BEAT_REMOTE;
			(void)beat_lease(j->dir, file, &b.id);
		} else {
			(void)beat_touch_file(j->dir, file);
		}
	}
}

void
request_beat(struct request *r, struct journal *j)
{
	char name[ID_NAME_MAX + 1] = "", file[BEAT_FILE_MAX];
	bool named = json_copy(r->json, json_get(r->json, r->body, "participantId"), name, sizeof name) == 0 && !id_bad_participant(name);
	if (!named && !r->v->remote)
		return;
	/* One that sends many requests beats once in a while. */
	int64_t now = clock_mono_ms();
	uint64_t which = hash_bytes(j->inode, name, strlen(name));
	if (r->v->beaten == which && now - r->v->beaten_ms < BEAT_AGAIN_MS)
		return;
	r->v->beaten = which;
	r->v->beaten_ms = now;
	if (!named) {
		request_beat_nameless(j, false);
		return;
	}
	beat_person_file(name, file);
	(void)beat_touch_file(j->dir, file); /* without a file it has not joined, or no longer takes part */
}

void
verbs_beat_call(struct verbs *v, const struct json *json)
{
	char id[ID_OPERATION_MAX + 1], call[ID_NAME_MAX + 1], file[BEAT_FILE_MAX];
	struct request r = {.v = v, .json = json};
	struct journal *j = request_operation(&r, id) == 0 && request_call(&r, "callId", true, call) == 0 ? request_live(&r, id, false) : NULL;
	if (!j)
		return;
	request_beat(&r, j);
	beat_call_file(call, file);
	(void)beat_touch_file(j->dir, file);
}

int
request_refuse_dead(struct request *r, struct journal *j, const char *participant)
{
	const struct op_person *p = *participant ? op_person(&j->op, participant) : NULL;
	struct buf text = {0}, evidence = {0};
	struct entry e = entry_absent;
	char at[CLOCK_TEXT] = "?";
	if (!p || !p->death.len || p->sessions)
		return 0;
	if (journal_line(j, p->death, &text) == 0 && !entry_parse(text.p, text.n, &e)) {
		json_unescape(&evidence, e.evidence.p ? e.evidence.p : "", e.evidence.n);
		clock_format(e.at_ms, at);
	}
	why_set(&r->why, ERR_DEAD, "%s was declared dead in %s at %s: %s", participant, j->op.h.id, at, evidence.n ? evidence.p : "?");
	why_hint(&r->why, "dpl-show --why %s", j->op.h.id);
	buf_free(&text);
	buf_free(&evidence);
	return -1;
}

int
request_refuse_absent(struct request *r, struct journal *j, const char *participant)
{
	const struct op_person *p = op_person(&j->op, participant);
	if (request_refuse_dead(r, j, participant) < 0)
		return -1;
	if (p && p->sessions)
		return 0;
	why_set(&r->why, ERR_NO_PARTICIPANT, "%s has not joined %s", participant, j->op.h.id);
	why_hint(&r->why, "dpl-join -o %s -p %s", j->op.h.id, participant);
	return -1;
}

void
request_person(struct request *r, struct journal *j, const struct op_person *p, int64_t awake_ms)
{
	struct wire_life life = {.age_ms = -1};
	struct wire_source from = journal_source(j);
	struct beat b;
	struct verdict v;
	if (p->sessions && j->op.h.state < OP_COMPLETED) {
		v = look_person(j, p, awake_ms, &b);
		life = (struct wire_life){life_name(v.life), beat_mode_name(b.known ? b.id.mode : BEAT_LEASED), v.why, v.age_ms};
	}
	wire_person(r->reply, &j->op, p, &life, &from);
}

void
request_common(struct request *r, struct journal *j, uint64_t seq)
{
	struct wire_source from = journal_source(j);
	json_put(r->reply, "operationId", j->op.h.id);
	json_put_int(r->reply, "seq", (int64_t)seq);
	json_put_bool(r->reply, "aborted", journal_aborted(j));
	wire_abort_reason(r->reply, "abortReason", &j->op, journal_aborted(j), &from);
}
