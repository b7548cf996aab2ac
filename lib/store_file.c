/* store_file: a ledger that is a directory. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fsx.h"
#include "hash.h"
#include "id.h"
#include "json.h"
#include "lock.h"
#include "remove.h"
#include "store.h"
#include "wire.h"

/* --- the ledger --- */

/* root acts as the owner, so that what it writes stays the owner's, and so that it reaches no
 * further than the owner could. */
static void
act_as(uid_t uid, gid_t gid)
{
	if (geteuid() == 0) {
		(void)setfsgid(gid);
		(void)setfsuid(uid); /* it has no way to say that it failed; what follows is refused then */
	}
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
	if (s->dir < 0 && errno == ENOENT) {
		why_set(why, ERR_NO_LEDGER, "no ledger at %s", path);
		why_hint(why, "dpl-create makes it; or name another with -C or DPL_LEDGER");
		return -1;
	}
	s->path = s->dir < 0 ? NULL : strdup(path);
	if (!s->path || fstat(s->dir, &st) < 0) {
		why_errno(why, "open the ledger %s", path);
		store_close(s);
		return -1;
	}
	if (geteuid() == 0 && st.st_uid != 0)
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
	ssize_t n = fsx_list(dir, ids), kept = 0;
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

static void write_papers(struct store *s, struct journal *j);

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
has_ended(const struct journal *j, const char *id, struct why *why)
{
	const struct op_head *h = &j->op.h;
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
		bool ended = i == 1 || j->op.h.archived;
		struct why ignored;
		if (ended && i != 1)
			/* Its maker died between the last line and the rename: finish that. */
			(void)store_archive(s, j, &ignored);
		else if (ended && want == STORE_ANY)
			write_papers(s, j);
		if (!ended || want == STORE_ANY)
			return 0;
		has_ended(j, id, why);
		journal_close(j);
		return -1;
	}
	hint_some(s, why);
	return -1;
}

int
store_lock(struct store *s, struct journal *j, struct why *why)
{
	(void)s;
	if (journal_lock(j, why) < 0)
		return -1;
	if (!j->op.h.archived)
		return 0;
	has_ended(j, j->op.h.id, why);
	journal_unlock(j);
	return -1;
}

/* --- create --- */

int
store_create(struct store *s, const char *id, const struct buf *first, struct why *why)
{
	char aside[ID_OPERATION_MAX + 40];
	struct stat st;
	if (first->failed)
		return why_set(why, ERR_IO, "out of memory");
	if (first->n > ENTRY_MAX)
		return why_set(why, ERR_TOO_LARGE, "the entry would be longer than %d bytes", ENTRY_MAX);
	if (fstatat(s->dir, id, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 1;
	/* The pid: two may finish the operation of one key at the same time. */
	snprintf(aside, sizeof aside, ".new-%s.%ld", id, (long)getpid());
	int made = mkdirat(s->dir, aside, 0700);
	/* Of one that died with our pid (in a container everybody's is 1), finishing the same key. */
	if (made < 0 && errno == EEXIST && remove_tree(s->dir, aside) == 0)
		made = mkdirat(s->dir, aside, 0700);
	if (made < 0)
		return why_errno(why, "make %s/%s", s->path, aside);
	int dir = fsx_open(s->dir, aside, O_RDONLY | O_DIRECTORY, 0);
	int rc = dir < 0 ? -1 : journal_build(dir, first, s->o.sync);
	if (rc == 0)
		rc = fsx_rename_new(s->dir, aside, s->dir, id);
	int e = errno;
	if (dir >= 0 && rc < 0)
		journal_unbuild(dir);
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

static void
key_link(const char *key, char link[40])
{
	hash_hex(hash_bytes(1, key, strlen(key)), link);
	hash_hex(hash_bytes(2, key, strlen(key)), link + 16);
}

/* Link keys/HASH to `id`, or read where it links to. */
static int
link_key(struct store *s, int keys, const char *key, char id[], struct why *why)
{
	char link[40], target[ID_OPERATION_MAX + 1];
	key_link(key, link);
	if (symlinkat(id, keys, link) == 0) {
		/* Should it be lost with the power, the key was never answered for. */
		if (s->o.sync)
			(void)fsx_sync_dir(keys);
		return 0;
	}
	if (errno != EEXIST)
		return why_errno(why, "make %s/keys/%s", s->path, link);
	ssize_t n = readlinkat(keys, link, target, sizeof target - 1);
	if (n < 0)
		return why_errno(why, "read %s/keys/%s", s->path, link);
	target[n] = '\0';
	if (!id_is_full(target))
		return why_set(why, ERR_DAMAGED, "%s/keys/%s names no operation", s->path, link);
	memcpy(id, target, (size_t)n + 1);
	return 0;
}

int
store_claim_key(struct store *s, const char *key, char id[], struct why *why)
{
	if (mkdirat(s->dir, "keys", 0700) < 0 && errno != EEXIST)
		return why_errno(why, "make %s/keys", s->path);
	int keys = fsx_open(s->dir, "keys", O_RDONLY | O_DIRECTORY, 0);
	int rc = keys < 0 ? -1 : lock_exclusive(keys, s->o.wait_ms, "keys/", s->o.notice);
	if (rc < 0 && errno == ETIMEDOUT)
		why_set(why, s->o.timed ? ERR_TIMED_OUT : ERR_BUSY, "%s/keys: not locked within %lld ms", s->path, (long long)s->o.wait_ms);
	else if (rc < 0)
		why_errno(why, "lock %s/keys", s->path);
	else
		rc = link_key(s, keys, key, id, why);
	if (rc == 0)
		return keys;
	if (keys >= 0)
		close(keys);
	return -1;
}

/* --- archive and retention --- */

static int
line_of(void *arg, struct line line, struct buf *text)
{
	return journal_line(arg, line, text);
}

static void
write_state(struct store *s, struct journal *j)
{
	struct buf b = {0};
	struct wire_source from = {line_of, j};
	json_open(&b, NULL, '{');
	wire_operation(&b, &j->op, journal_aborted(j), &from, j->op.h.ended_ms);
	json_close(&b, '}');
	buf_char(&b, '\n');
	if (!b.failed)
		(void)fsx_replace(j->dir, "operation.json", b.p, b.n, s->o.sync);
	buf_free(&b);
}

static void
write_log(struct store *s, struct journal *j)
{
	struct buf text = {0}, out = {0};
	struct why ignored;
	uint64_t pos = 0;
	char aside[40];
	snprintf(aside, sizeof aside, ".operation.log.%ld", (long)getpid());
	(void)unlinkat(j->dir, aside, 0);
	/* In pieces: a long history is not held in memory. */
	int fd = fsx_open(j->dir, aside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	int rc = fd < 0 ? -1 : 0;
	while (rc == 0 && (rc = journal_read(j, pos, &text, 1 << 16, &ignored)) == 0 && text.n) {
		pos += text.n;
		buf_clear(&out);
		for (char *p = text.p, *newline; (newline = strchr(p, '\n')); p = newline + 1) {
			struct entry e;
			if (!entry_parse(p, (size_t)(newline - p), &e))
				wire_log_line(&out, &e);
		}
		rc = out.failed ? -1 : fsx_write(fd, out.p, out.n);
	}
	if (rc == 0 && s->o.sync)
		rc = fdatasync(fd);
	if (fd >= 0)
		close(fd);
	if (rc == 0)
		(void)renameat(j->dir, aside, j->dir, "operation.log");
	else if (fd >= 0)
		(void)unlinkat(j->dir, aside, 0);
	buf_free(&text);
	buf_free(&out);
}

/* operation.json and operation.log: on a full disk they fail, and are made when first asked for. */
static void
write_papers(struct store *s, struct journal *j)
{
	struct stat st;
	bool whole = !j->op.keep || (j->op.stop_seq == UINT64_MAX && j->op.stop_ms == INT64_MAX);
	if (whole && fstatat(j->dir, "operation.json", &st, AT_SYMLINK_NOFOLLOW) < 0)
		write_state(s, j);
	if (whole && fstatat(j->dir, "operation.log", &st, AT_SYMLINK_NOFOLLOW) < 0)
		write_log(s, j);
}

/* What writers that died left beside their files. */
static void
drop_leftovers(struct journal *j)
{
	char **names;
	ssize_t n = fsx_list(j->dir, &names);
	for (ssize_t i = 0; i < n; i++)
		/* Another who archives at this moment loses its file too: it is made again when first read. */
		if (strncmp(names[i], ".checkpoint.", 12) == 0 || strncmp(names[i], ".operation.", 11) == 0)
			(void)unlinkat(j->dir, names[i], 0);
	free(names);
}

/* Whether an ended operation is of the kind that is kept longer.  Its last two lines tell.  An event's name cannot
 * stand unescaped inside a text, so looking at the raw end of the journal is enough. */
static bool
kept_longer(int backup, const char *id)
{
	enum { TAIL = ENTRY_MAX + 4096 };
	static const char completed[] = "\"event\":\"operation.completed\"", aborted[] = "\"aborted\":true";
	char name[ID_OPERATION_MAX + 32];
	struct buf tail = {0};
	snprintf(name, sizeof name, "%s/journal.jsonl", id);
	int fd = fsx_open(backup, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	if (fd < 0)
		return false;
	off_t size = lseek(fd, 0, SEEK_END);
	ssize_t n = buf_reserve(&tail, TAIL) < 0 ? -1 : fsx_pread(fd, tail.p, TAIL, size > TAIL ? (uint64_t)size - TAIL : 0);
	close(fd);
	/* unknown: rather keep it */
	const char *end = n > 0 ? memmem(tail.p, (size_t)n, completed, sizeof completed - 1) : NULL;
	bool longer = !end || memmem(end, (size_t)(tail.p + n - end), aborted, sizeof aborted - 1);
	buf_free(&tail);
	return longer;
}

/* The key that made an ended operation goes with it. */
static void
drop_key_of(struct store *s, int backup, const char *id)
{
	char name[ID_OPERATION_MAX + 32], key[ID_KEY_MAX + 1], link[48] = "keys/";
	struct buf text = {0};
	struct entry e;
	snprintf(name, sizeof name, "%s/journal.jsonl", id);
	int fd = fsx_open(backup, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	if (fd >= 0 && buf_reserve(&text, ENTRY_MAX) == 0) {
		ssize_t n = fsx_pread(fd, text.p, ENTRY_MAX, 0);
		const char *newline = n > 0 ? memchr(text.p, '\n', (size_t)n) : NULL;
		if (newline && !entry_parse(text.p, (size_t)(newline - text.p), &e) && e.key.n) {
			slice_copy(e.key, key, sizeof key);
			key_link(key, link + 5);
			(void)unlinkat(s->dir, link, 0);
		}
	}
	if (fd >= 0)
		close(fd);
	buf_free(&text);
}

/* Delete the oldest of what is more than to be kept; only folders with an id of ours. */
static void
retain(struct store *s)
{
	char **ids;
	struct why ignored;
	ssize_t n = store_list(s, true, &ids, &ignored);
	int backup = n > s->o.keep ? fsx_open(s->dir, "backup", O_RDONLY | O_DIRECTORY, 0) : -1;
	int longer = 0;
	for (ssize_t i = n - 1; backup >= 0 && i >= 0; i--) {
		bool kept = n - i <= s->o.keep;
		if (kept_longer(backup, ids[i]) && ++longer <= s->o.keep * STORE_KEEP_FAILED)
			kept = true;
		if (kept)
			continue;
		char old[ID_OPERATION_MAX + 8];
		drop_key_of(s, backup, ids[i]);
		/* First out of sight, so that nobody finds half of it. */
		snprintf(old, sizeof old, ".old-%s", ids[i]);
		if (renameat(backup, ids[i], backup, old) == 0)
			(void)remove_tree(backup, old);
	}
	if (backup >= 0)
		close(backup);
	free(ids);
}

/* What died between its first and its last step, here or in backup/. */
static void
drop_dead_folders(struct store *s)
{
	static const char *const places[] = {".", "backup"};
	for (int i = 0; i < 2; i++) {
		char **names;
		int dir = fsx_open(s->dir, places[i], O_RDONLY | O_DIRECTORY, 0);
		ssize_t n = dir < 0 ? 0 : fsx_list(dir, &names);
		for (ssize_t k = 0; k < n; k++) {
			struct stat st;
			if (strncmp(names[k], ".old-", 5) == 0)
				(void)remove_tree(dir, names[k]);
			/* An hour: a create takes milliseconds, and its maker may be stopped. */
			else if (strncmp(names[k], ".new-", 5) == 0 && fstatat(dir, names[k], &st, AT_SYMLINK_NOFOLLOW) == 0 && time(NULL) - st.st_mtime > 3600)
				(void)remove_tree(dir, names[k]);
		}
		if (dir >= 0) {
			free(names);
			close(dir);
		}
	}
}

int
store_archive(struct store *s, struct journal *j, struct why *why)
{
	const char *id = j->op.h.id;
	char to[ID_OPERATION_MAX + 16];
	struct stat st;
	/* Who finishes another's work does not know whether the end is on disk; it must be, before the move. */
	if (s->o.sync && j->flushed < j->op.h.offset && fdatasync(j->fd) < 0)
		return why_errno(why, "flush %s", j->path.p);
	if (j->writable)
		journal_give_back(j);
	drop_leftovers(j);
	write_papers(s, j);
	snprintf(to, sizeof to, "backup/%s", id);
	if (mkdirat(s->dir, "backup", 0700) < 0 && errno != EEXIST)
		return why_errno(why, "make %s/backup", s->path);
	if (fsx_rename_new(s->dir, id, s->dir, to) < 0 && !(errno == ENOENT && fstatat(s->dir, to, &st, AT_SYMLINK_NOFOLLOW) == 0))
		return why_errno(why, "move %s/%s to backup", s->path, id);
	if (s->o.sync) {
		int backup = fsx_open(s->dir, "backup", O_RDONLY | O_DIRECTORY, 0);
		if (backup < 0 || fsx_sync_dir(backup) < 0 || fsx_sync_dir(s->dir) < 0) {
			why_errno(why, "flush %s: the end of %s is visible, its move may not survive power loss", s->path, id);
			why->code = ERR_NOT_DURABLE;
			if (backup >= 0)
				close(backup);
			return -1;
		}
		close(backup);
	}
	retain(s);
	drop_dead_folders(s);
	return 0;
}
