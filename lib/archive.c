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
#include "look.h"
#include "remove.h"
#include "wire.h"

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

/* The key that made an ended operation goes with it. */
static void
drop_key_of(struct store *s, int backup, const char *id)
{
	char name[ID_OPERATION_MAX + 32], key[ID_KEY_MAX + 1], link[ID_KEY_FILE + 6] = "keys/";
	struct buf text = {0};
	struct entry e;
	snprintf(name, sizeof name, "%s/journal.jsonl", id);
	int fd = fsx_open(backup, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	if (fd >= 0 && buf_reserve(&text, ENTRY_MAX) == 0) {
		ssize_t n = fsx_pread(fd, text.p, ENTRY_MAX, 0);
		const char *newline = n > 0 ? memchr(text.p, '\n', (size_t)n) : NULL;
		if (newline && !entry_parse(text.p, (size_t)(newline - text.p), &e) && e.key.n) {
			slice_copy(e.key, key, sizeof key);
			id_key_file(key, link + 5);
			(void)unlinkat(s->dir, link, 0);
		}
	}
	if (fd >= 0)
		close(fd);
	buf_free(&text);
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

/* Delete the oldest of what is more than to be kept; only folders with an id of ours.  *ids gets those that went, newest first. */
ssize_t
archive_prune(struct store *s, int keep, const char *just, char ***list, struct why *why)
{
	char **ids;
	ssize_t n = store_list(s, true, &ids, why), gone = 0;
	int backup = n > keep ? fsx_open(s->dir, "backup", O_RDONLY | O_DIRECTORY, 0) : -1;
	int64_t longer = 0;
	put_in_order(ids, backup >= 0 ? n : 0, just);
	for (ssize_t i = n - 1; backup >= 0 && i >= 0; i--) {
		bool kept = n - i <= keep;
		if (kept_longer(backup, ids[i]) && ++longer <= (int64_t)keep * STORE_KEEP_FAILED)
			kept = true;
		if (kept)
			continue;
		char old[ID_OPERATION_MAX + 8];
		drop_key_of(s, backup, ids[i]);
		/* First out of sight, so that nobody finds half of it. */
		snprintf(old, sizeof old, ".old-%s", ids[i]);
		if (renameat(backup, ids[i], backup, old) < 0)
			continue;
		(void)remove_tree(backup, old);
		/* In the room that those behind it have left: they were looked at. */
		ids[n - ++gone] = ids[i];
	}
	if (backup >= 0)
		close(backup);
	for (ssize_t i = 0; i < gone; i++)
		ids[i] = ids[n - 1 - i];
	*list = ids;
	return n < 0 ? -1 : gone;
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
