/* archive: the last steps of an operation, and of those that ended long ago. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "archive.h"
#include "cleanup.h"
#include "clock.h"
#include "fsx.h"
#include "id.h"
#include "json.h"
#include "keys.h"
#include "look.h"
#include "remove.h"
#include "wire.h"

#define DELETING ".old-" /* before the id of one that is being deleted */

/* For what need not be done now. */
static int64_t
short_wait(const struct store *s)
{
	enum { SHORT_MS = 100 };
	return s->o.wait_ms < SHORT_MS ? s->o.wait_ms : SHORT_MS;
}

static void
write_state(struct store *s, struct journal *j)
{
	struct buf b = {0};
	struct wire_source from = journal_source(j);
	json_open(&b, NULL, '{');
	wire_operation(&b, &j->op, journal_aborted(j), &from, j->op.h.ended_ms);
	wire_people(&b, &j->op, &from);
	wire_sessions(&b, &j->op);
	wire_resources(&b, &j->op, false, &from, j->op.h.ended_ms);
	json_close(&b, '}');
	buf_char(&b, '\n');
	struct fsx_whole paper;
	/* Where another was first: that has written the same. */
	if (!b.failed && fsx_whole_begin(&paper, j->dir, "operation.json") == 0)
		(void)fsx_whole_end(&paper, "operation.json", fsx_write(paper.fd, b.p, b.n), s->o.sync);
	buf_free(&b);
}

static void
write_log(struct store *s, struct journal *j)
{
	struct buf text = {0}, out = {0};
	struct why ignored;
	uint64_t pos = 0;
	struct fsx_whole paper;
	int rc = 0;
	if (fsx_whole_begin(&paper, j->dir, "operation.log") < 0)
		return;
	/* In pieces: a long history is not held in memory. */
	while (rc == 0 && (rc = journal_read(j, pos, &text, 1 << 16, &ignored)) == 0 && text.n) {
		pos += text.n;
		buf_clear(&out);
		for (char *p = text.p, *newline; (newline = strchr(p, '\n')); p = newline + 1) {
			struct entry e;
			if (!entry_parse(p, (size_t)(newline - p), &e))
				wire_log_line(&out, &e);
		}
		rc = out.failed ? -1 : fsx_write(paper.fd, out.p, out.n);
	}
	(void)fsx_whole_end(&paper, "operation.log", rc, s->o.sync);
	buf_free(&text);
	buf_free(&out);
}

void
archive_papers(struct store *s, struct journal *j)
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
	ssize_t n = fsx_list(j->dir, ".", &names);
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

/* The key that made the operation whose folder that is.  Whether it has one. */
static bool
key_of(int place, const char *folder, char key[ID_KEY_MAX + 1])
{
	char name[ID_OPERATION_MAX + 32];
	struct buf text = {0};
	struct entry e;
	bool has = false;
	snprintf(name, sizeof name, "%s/journal.jsonl", folder);
	int fd = fsx_open(place, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	if (fd >= 0 && buf_reserve(&text, ENTRY_MAX) == 0) {
		ssize_t n = fsx_pread(fd, text.p, ENTRY_MAX, 0);
		const char *newline = n > 0 ? memchr(text.p, '\n', (size_t)n) : NULL;
		has = newline && !entry_parse(text.p, (size_t)(newline - text.p), &e) && e.key.n;
		if (has)
			slice_copy(e.key, key, ID_KEY_MAX + 1);
	}
	if (fd >= 0)
		close(fd);
	buf_free(&text);
	return has;
}

static bool
is_there(const struct store *s, const char *place, const char *id)
{
	char path[ID_OPERATION_MAX + 24];
	struct stat st;
	snprintf(path, sizeof path, "%s%s", place, id);
	return fstatat(s->dir, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

bool
archive_is_deleting(const struct store *s, const char *id)
{
	return is_there(s, "backup/" DELETING, id) && !is_there(s, "backup/", id) && !is_there(s, "", id);
}

/* Delete one, and with it the key that made it.  First it goes out of sight, so that nobody finds half of it, under a name by which its
 * journal tells the key until that is dropped; under the lock of the keys, so that who creates with its key
 * finds both or neither.  0; 1 where another does; 2 with `why` where it cannot be deleted; -1 with `why` where the lock cannot be had. */
static int
delete_one(struct store *s, int backup, const char *id, int64_t wait_ms, struct why *why)
{
	char old[ID_OPERATION_MAX + 8], key[ID_KEY_MAX + 1];
	int keys = -1;
	bool keyed = key_of(backup, id, key);
	if (keyed && (keys = keys_lock(s, wait_ms, why)) < 0)
		return -1;
	snprintf(old, sizeof old, DELETING "%s", id);
	int rc = renameat(backup, id, backup, old) == 0 ? 0 : errno == ENOENT || errno == EEXIST || errno == ENOTEMPTY ? 1 : 2;
	if (rc == 2)
		why_errno(why, "delete %s", id);
	if (rc == 0 && keyed)
		keys_drop(keys, key, id);
	fsx_close(&keys);
	if (rc == 0)
		(void)remove_tree(backup, old);
	return rc;
}

/* Go on where who deleted it has died. */
static void
delete_rest(struct store *s, int place, const char *name)
{
	char key[ID_KEY_MAX + 1];
	const char *id = name + sizeof DELETING - 1;
	struct why ignored;
	if (key_of(place, name, key)) {
		int keys = keys_lock(s, short_wait(s), &ignored);
		if (keys < 0)
			return; /* it stays, as it alone tells the key */
		if (archive_is_deleting(s, id))
			keys_drop(keys, key, id);
		close(keys);
	}
	(void)remove_tree(place, name);
}

/* By their ids they are in the order of the clock that made them.  Those of a time to come were made before it was set back: they go
 * in front, or they would outlast whatever is made until then; and what has `just` ended, or NULL, is the newest whatever its id says. */
static void
put_in_order(char **ids, ssize_t n, const char *just)
{
	char now[ID_OPERATION_MAX + 1];
	ssize_t past = n;
	id_operation(clock_wall_ms() + 1, "", 0, now);
	while (past > 0 && strcmp(ids[past - 1], now) > 0)
		past--;
	for (ssize_t k = 0; past + k < n; k++) {
		char *id = ids[past + k];
		memmove(ids + k + 1, ids + k, (size_t)past * sizeof *ids);
		ids[k] = id;
	}
	for (ssize_t i = 0; just && i < n - 1; i++)
		if (strcmp(ids[i], just) == 0) {
			char *id = ids[i];
			memmove(ids + i, ids + i + 1, (size_t)(n - 1 - i) * sizeof *ids);
			ids[n - 1] = id;
			break;
		}
}

/* `from` in the opposite order, to `to`, which stands before it and may reach into it. */
static void
turn(char **to, char **from, ssize_t n)
{
	for (ssize_t i = 0; i < n / 2; i++) {
		char *id = from[i];
		from[i] = from[n - 1 - i];
		from[n - 1 - i] = id;
	}
	memmove(to, from, (size_t)n * sizeof *to);
}

/* Delete the oldest of what is more than to be kept; only folders with an id of ours.  *ids gets those that went, newest first. */
ssize_t
archive_prune(struct store *s, int keep, const char *just, char ***list, struct why *why)
{
	char **ids;
	ssize_t n = store_list(s, true, &ids, why), gone = 0;
	int backup = n > keep ? fsx_open(s->dir, "backup", O_RDONLY | O_DIRECTORY, 0) : -1;
	int64_t longer = 0;
	int rc = n < 0 ? -1 : 0;
	bool refused = false;
	put_in_order(ids, backup >= 0 ? n : 0, just);
	for (ssize_t i = n - 1; rc == 0 && backup >= 0 && i >= 0; i--) {
		bool kept = n - i <= keep;
		if (kept_longer(backup, ids[i]) && ++longer <= (int64_t)keep * STORE_KEEP_FAILED)
			kept = true;
		if (kept)
			continue;
		int deleted = delete_one(s, backup, ids[i], just ? short_wait(s) : s->o.wait_ms, why);
		if (deleted < 0)
			rc = -1;
		refused |= deleted == 2;
		if (deleted == 0)
			ids[n - ++gone] = ids[i]; /* in the room that those behind it have left: they were looked at */
	}
	if (backup >= 0)
		close(backup);
	if (refused && !just)
		rc = -1;
	if (rc < 0 && n >= 0)
		free(ids);
	else if (gone)
		turn(ids, ids + n - gone, gone);
	*list = ids;
	return rc < 0 ? -1 : gone;
}

/* What died between its first and its last step, here or in backup/. */
static void
drop_dead_folders(struct store *s)
{
	static const char *const places[] = {".", "backup"};
	for (int i = 0; i < 2; i++) {
		char **names;
		int dir = fsx_open(s->dir, places[i], O_RDONLY | O_DIRECTORY, 0);
		ssize_t n = dir < 0 ? 0 : fsx_list(dir, ".", &names);
		for (ssize_t k = 0; k < n; k++) {
			struct stat st;
			if (strncmp(names[k], DELETING, sizeof DELETING - 1) == 0)
				delete_rest(s, dir, names[k]);
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
archive_move(struct store *s, struct journal *j, struct why *why)
{
	const char *id = j->op.h.id;
	char to[ID_OPERATION_MAX + 16];
	struct stat st;
	/* Of many who are at the end together one moves it. */
	if (fstatat(s->dir, id, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
		return 0;
	/* Who finishes another's work does not know whether the end is on disk; it must be, before the move. */
	if (s->o.sync && j->flushed < j->op.h.offset && journal_sync(j) < 0)
		return why_errno(why, "flush %s", j->path.p);
	if (j->writable)
		journal_give_back(j);
	drop_leftovers(j);
	look_finish(j);
	archive_papers(s, j);
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
	char **gone;
	struct why ignored;
	if (archive_prune(s, s->o.keep, id, &gone, &ignored) >= 0)
		free(gone);
	drop_dead_folders(s);
	return 0;
}

void
archive_finish(struct store *s, struct journal *j)
{
	struct cleanup c = {.removal = {.by = j->op.h.initiator, .limit_ms = REMOVAL_QUICK_MS}};
	struct why ignored;
	if (j->op.h.archived || (cleanup_run(j, &c, &ignored) == 0 && j->op.h.archived))
		(void)archive_move(s, j, &ignored);
}
