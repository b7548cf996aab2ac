/* store_file: a ledger that is a directory. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive.h"
#include "fsx.h"
#include "id.h"
#include "json.h"
#include "keys.h"
#include "remove.h"
#include "store.h"
#include "watch.h"

/* --- the ledger --- */

/* root acts as the owner, so that what it writes stays the owner's, and so that it reaches no
 * further than the owner could. */
static void
act_as(uid_t uid, gid_t gid)
{
	static _Thread_local bool acting; /* as somebody else than root */
	if (!acting && uid == 0)
		return;
	acting = uid != 0;
	(void)setfsgid(gid);
	(void)setfsuid(uid); /* it has no way to say that it failed; what follows is refused then */
}

/* There is none, by errno: nothing stands there, or it or what is above it is no folder. */
static int
no_ledger(const char *path, struct why *why)
{
	bool nothing = errno == ENOENT;
	why_set(why, ERR_NO_LEDGER, "no ledger at %s%s", path, nothing ? "" : ": Not a directory");
	why_hint(why, "%sname another with -C or DPL_LEDGER", nothing ? "dpl-create makes it; or " : "");
	return -1;
}

int
store_open(struct store *s, const char *path, bool create, const struct store_options *o, struct why *why)
{
	struct stat st;
	*s = (struct store){.dir = -1, .o = *o};
	act_as(0, 0);
	if (create && fsx_mkdir_all(path, o->sync) < 0)
		return why_errno(why, "make the ledger %s", path);
	s->dir = fsx_open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
	if (s->dir < 0 && (errno == ENOENT || errno == ENOTDIR))
		return no_ledger(path, why);
	s->path = s->dir < 0 ? NULL : strdup(path);
	if (!s->path || fstat(s->dir, &st) < 0) {
		why_errno(why, "open the ledger %s", path);
		store_close(s);
		return -1;
	}
	if (st.st_uid != 0 && geteuid() == 0)
		act_as(st.st_uid, st.st_gid);
	/* backup/ is made with the ledger: on a full disk there may be no room for it later. */
	if (create && ((mkdirat(s->dir, "backup", 0700) < 0 && errno != EEXIST) || (mkdirat(s->dir, "keys", 0700) < 0 && errno != EEXIST))) {
		why_errno(why, "make the ledger %s", path);
		store_close(s);
		return -1;
	}
	return 0;
}

void
store_close(struct store *s)
{
	if (s->dir >= 0)
		close(s->dir);
	free(s->path);
	*s = (struct store){.dir = -1};
}

/* --- names --- */

static bool
is_operation(const char *name)
{
	return !id_bad_operation(name) && strcmp(name, "backup") != 0 && strcmp(name, "keys") != 0;
}

ssize_t
store_list(struct store *s, bool ended, char ***ids, struct why *why)
{
	int dir = ended ? fsx_open(s->dir, "backup", O_RDONLY | O_DIRECTORY, 0) : s->dir;
	*ids = NULL;
	if (dir < 0) {
		if (errno == ENOENT)
			return 0;
		return why_errno(why, "read %s/backup", s->path);
	}
	ssize_t n = fsx_list(dir, ".", ids), kept = 0;
	if (ended)
		close(dir);
	if (n < 0)
		return why_errno(why, "read %s", s->path);
	for (ssize_t i = 0; i < n; i++)
		if (id_is_full((*ids)[i]))
			(*ids)[kept++] = (*ids)[i];
	return kept;
}

static void
hint_some(struct store *s, struct why *why)
{
	char **ids;
	struct why ignored;
	ssize_t n = store_list(s, false, &ids, &ignored);
	if (n == 0)
		why_hint(why, "no operation is live in %s", s->path);
	else if (n == 1)
		why_hint(why, "live in %s: %s", s->path, ids[0]);
	else if (n > 1)
		why_hint(why, "%zd are live in %s, the newest: %s; dpl-show lists them", n, s->path, ids[n - 1]);
	free(ids);
}

/* Leave out those that have ended and are not archived yet.  How many stay. */
static ssize_t
leave_live(struct store *s, char **ids, ssize_t n, const char *part)
{
	ssize_t kept = 0;
	for (ssize_t i = 0; i < n; i++) {
		struct journal j;
		struct why why;
		if (!strstr(ids[i], part))
			continue;
		if (store_get(s, ids[i], STORE_LIVE, NULL, &j, &why) == 0)
			journal_close(&j);
		else if (err_is_end(why.code))
			continue;
		ids[kept++] = ids[i];
	}
	return kept;
}

/* Count the ids that contain `part`; the first goes to `id`, the first few to `some`. */
static ssize_t
match(char **ids, ssize_t n, const char *part, char *id, struct buf *some)
{
	ssize_t hits = 0;
	for (ssize_t i = 0; i < n; i++) {
		if (!strstr(ids[i], part))
			continue;
		if (hits++ == 0)
			snprintf(id, ID_OPERATION_MAX + 1, "%s", ids[i]);
		if (hits <= 5)
			buf_fmt(some, "%s%s", hits > 1 ? ", " : "", ids[i]);
	}
	return hits;
}

int
store_resolve(struct store *s, const char *part, enum store_want want, char id[], struct why *why)
{
	struct buf some = {0};
	ssize_t hits = 0;
	for (int ended = 0; ended <= (want == STORE_ANY) && hits == 0; ended++) {
		char **ids;
		ssize_t n = store_list(s, ended, &ids, why);
		if (n < 0) {
			buf_free(&some);
			return -1;
		}
		hits = match(ids, n, part, id, &some);
		ssize_t live = hits > 1 && want == STORE_LIVE ? leave_live(s, ids, n, part) : 0;
		if (live) {
			buf_clear(&some);
			hits = match(ids, live, part, id, &some);
		}
		free(ids);
	}
	if (hits == 1) {
		buf_free(&some);
		return 0;
	}
	if (hits > 1)
		why_set(why, ERR_AMBIGUOUS, "'%s' is part of %zd operations: %s%s", part, hits, some.p ? some.p : "", hits > 5 ? ", …" : "");
	else {
		char **ids;
		ssize_t n = want == STORE_LIVE ? store_list(s, true, &ids, why) : -1;
		struct buf ended = {0};
		if (n > 0 && match(ids, n, part, id, &ended) > 0)
			why_set(why, ERR_ENDED, "operation %s has ended", id);
		else {
			why_set(why, ERR_NO_OPERATION, "no operation has '%s' in its id", part);
			hint_some(s, why);
		}
		if (n >= 0)
			free(ids);
		buf_free(&ended);
	}
	buf_free(&some);
	return -1;
}

/* --- one operation --- */

static int
open_in(struct store *s, const char *place, const char *id, const struct journal_options *shape, struct journal *j, struct why *why)
{
	char folder[ID_OPERATION_MAX + 16];
	struct buf shown = {0};
	struct journal_options o = shape ? *shape : (struct journal_options){.stop_seq = UINT64_MAX, .stop_ms = INT64_MAX};
	o.sync = s->o.sync;
	o.defer = s->o.defer;
	o.timed = s->o.timed;
	o.wait_ms = s->o.wait_ms;
	o.notice = s->o.notice;
	snprintf(folder, sizeof folder, "%s%s", place, id);
	buf_fmt(&shown, "%s/%s", s->path, folder);
	int rc = shown.failed ? why_set(why, ERR_IO, "out of memory") : journal_open(j, s->dir, folder, shown.p, &o, why);
	buf_free(&shown);
	return rc;
}

static int
has_ended(struct journal *j, const char *id, struct why *why)
{
	const struct op_head *h = &j->op.h;
	if (h->state == OP_FAILED && h->crashes) {
		struct buf text = {0}, reason = {0};
		struct entry e;
		if (journal_line(j, h->end, &text) == 0 && !entry_parse(text.p, text.n, &e))
			json_unescape(&reason, e.reason.p ? e.reason.p : "", e.reason.n);
		why_set(why, ERR_FAILED, "operation %s has failed: %s", id, reason.n ? reason.p : "somebody died");
		why_hint(why, "dpl-show --why %s", id);
		buf_free(&text);
		buf_free(&reason);
		return -1;
	}
	why_set(why, ERR_ENDED, "operation %s has ended (%s%s)", id, op_state_name(h->state), h->aborted && h->state == OP_COMPLETED ? ", aborted" : "");
	why_hint(why, "dpl-show %s", id);
	return -1;
}

int
store_get(struct store *s, const char *id, enum store_want want, const struct journal_options *shape, struct journal *j, struct why *why)
{
	if (id_bad_operation(id))
		return why_set(why, ERR_ID, "'%.210s' is no operation id: it %s", id, id_bad_operation(id));
	if (!is_operation(id))
		return why_set(why, ERR_ID, "'%s' is no operation id", id);
	/* It moves from live to backup once; live again closes the gap between the two looks. */
	static const char *const places[] = {"", "backup/", ""};
	for (int i = 0; i < 3; i++) {
		if (open_in(s, places[i], id, shape, j, why) < 0) {
			if (why->code != ERR_NO_OPERATION)
				return -1;
			continue;
		}
		bool ended = i == 1 || op_has_ended(&j->op);
		if (ended && i != 1 && !s->o.hands_off && (j->op.h.archived || !shape))
			/* Its maker died before the rename, or something could not be removed: finish that. */
			archive_finish(s, j);
		else if (i == 1 && want == STORE_ANY) /* in the live place something may still follow */
			archive_papers(s, j);
		if (!ended || want == STORE_ANY)
			return 0;
		has_ended(j, id, why);
		journal_close(j);
		return -1;
	}
	hint_some(s, why);
	return -1;
}

/* --- following --- */

int
store_watch(struct store *s, struct watch *w)
{
	return watch_add(w, s->dir, WATCH_NAMES);
}

static void
journal_name(const char *id, char *name, size_t size)
{
	snprintf(name, size, "%s/journal.jsonl", id);
}

int
store_watch_operation(struct store *s, const char *id, struct watch *w)
{
	char name[ID_OPERATION_MAX + 16];
	journal_name(id, name, sizeof name);
	int fd = fsx_open(s->dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	int rc = watch_add(w, fd, WATCH_WRITE);
	close(fd);
	return rc;
}

int64_t
store_size(struct store *s, const char *id)
{
	char name[ID_OPERATION_MAX + 16];
	struct stat st;
	journal_name(id, name, sizeof name);
	return fstatat(s->dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? -1 : (int64_t)st.st_size;
}

/* --- changing one --- */

int
store_lock(struct store *s, struct journal *j, struct why *why)
{
	(void)s;
	if (journal_lock(j, why) < 0)
		return -1;
	if (!op_has_ended(&j->op))
		return 0;
	has_ended(j, j->op.h.id, why);
	journal_unlock(j);
	return -1;
}

/* --- create --- */

int
store_create(struct store *s, const char *id, const struct buf *first, const char *by, const struct beat_id *lease, struct why *why)
{
	char aside[ID_OPERATION_MAX + 40], file[BEAT_FILE_MAX];
	struct stat st;
	if (first->failed)
		return why_set(why, ERR_IO, "out of memory");
	if (first->n > ENTRY_MAX)
		return why_set(why, ERR_TOO_LARGE, "the entry would be longer than %d bytes", ENTRY_MAX);
	if (fstatat(s->dir, id, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 1;
	/* The pid tells whose it is. */
	snprintf(aside, sizeof aside, ".new-%s.%ld", id, (long)getpid());
	int made = mkdirat(s->dir, aside, 0700);
	/* Of one that died with our pid (in a container everybody's is 1), finishing the same key. */
	if (made < 0 && errno == EEXIST && remove_tree(s->dir, aside) == 0)
		made = mkdirat(s->dir, aside, 0700);
	if (made < 0)
		return why_errno(why, "make %s/%s", s->path, aside);
	int dir = fsx_open(s->dir, aside, O_RDONLY | O_DIRECTORY, 0);
	int rc = dir < 0 ? -1 : journal_build(dir, first, s->o.sync);
	beat_person_file(by, file);
	if (rc == 0)
		rc = beat_lease(dir, file, lease);
	if (rc == 0)
		rc = fsx_rename_new(s->dir, aside, s->dir, id);
	int e = errno;
	if (dir >= 0 && rc < 0) {
		(void)unlinkat(dir, file, 0);
		journal_unbuild(dir);
	}
	if (dir >= 0)
		close(dir);
	if (rc < 0) {
		(void)unlinkat(s->dir, aside, AT_REMOVEDIR); /* what stays is removed with the dead folders */
		errno = e;
		return e == EEXIST ? 1 : why_errno(why, "make %s/%s", s->path, id);
	}
	if (s->o.sync && fsx_sync_dir(s->dir) < 0) {
		why_errno(why, "flush %s: operation %s is visible, may not survive power loss", s->path, id);
		why->code = ERR_NOT_DURABLE;
		return -1;
	}
	return 0;
}

int
store_claim_key(struct store *s, const char *key, char id[], struct why *why)
{
	char fresh[ID_OPERATION_MAX + 1];
	int keys = keys_lock(s, s->o.wait_ms, why);
	if (keys < 0)
		return -1;
	memcpy(fresh, id, strlen(id) + 1);
	int rc = keys_link(s, keys, key, id, why);
	if (rc == 0 && archive_is_deleting(s, id)) {
		keys_drop(keys, key, id);
		memcpy(id, fresh, strlen(fresh) + 1);
		rc = keys_link(s, keys, key, id, why);
	}
	if (rc == 0)
		return keys;
	close(keys);
	return -1;
}

int
store_archive(struct store *s, struct journal *j, struct why *why)
{
	return archive_move(s, j, why);
}

ssize_t
store_prune(struct store *s, int keep, char ***ids, struct why *why)
{
	return archive_prune(s, keep, NULL, ids, why);
}
