/* journal: one operation's folder and the file in it that is the truth. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "checkpoint.h"
#include "clock.h"
#include "fsx.h"
#include "hash.h"
#include "journal.h"
#include "json.h"
#include "lock.h"
#include "watch.h"

enum {
	CHUNK = 128 * 1024,          /* read at once where much is to be folded; longer than any line */
	CHUNK_SMALL = 4096,          /* … and else: a page that is touched again is cheaper than a new one */
	CHECKPOINT_EVERY = 8 * 1024, /* bytes to fold that make a checkpoint worth its while */
	RESERVE = 16 * 1024,         /* kept ahead of the end … */
	RESERVE_MIN = 8 * 1024,      /* … and renewed below this */
	RESERVE_LAST = 4 * 1024,     /* the part that what was removed must not use up, however much that is */
	RESULT_MOST = 1024,          /* bytes of an ordinary result of a removal */
	TORN_MAX = 1024 * 1024,      /* no crash leaves more than this behind the last line */
};

/* --- reading --- */

/* Whether a line, or what stands behind the NULs in it, is an entry that was acknowledged after a flush. */
static bool
was_flushed(const char *line, size_t n)
{
	const char *last = memrchr(line, '\0', n), *from = last ? last + 1 : line;
	struct entry e;
	return !entry_parse(from, (size_t)(line + n - from), &e) && event_is_flushed(e.event);
}

/* Tell a torn tail from damage: from the line with NULs on there must be no entry that was acknowledged after a
 * flush, and nothing that is neither an entry nor torn. */
static bool
only_unflushed_follow(struct journal *j, uint64_t size)
{
	uint64_t pos = j->op.h.offset;
	if (size - pos > TORN_MAX)
		return false;
	struct buf rest = {0};
	ssize_t n = buf_reserve(&rest, (size_t)(size - pos)) == 0 ? fsx_pread(j->fd, rest.p, (size_t)(size - pos), pos) : -1;
	const char *p = rest.p, *end = rest.p + (n > 0 ? n : 0), *newline;
	bool only = n > 0;
	for (; only && (newline = memchr(p, '\n', (size_t)(end - p))); p = newline + 1) {
		size_t length = (size_t)(newline - p);
		struct entry e;
		only = !was_flushed(p, length) && (memchr(p, '\0', length) || !entry_parse(p, length, &e));
	}
	buf_free(&rest);
	return only;
}

static int
damaged(struct journal *j, const char *what, struct why *why)
{
	why_set(why, ERR_DAMAGED, "%s:%llu: %s", j->path.p, (unsigned long long)j->op.h.seq + 1, what);
	why_hint(why, "nothing was changed; look at that line, and restore the file or remove the operation's folder");
	return -1;
}

/* Fold `n` bytes that stand at op.h.offset.  1 to go on, 0 at the end of what can be folded. */
static int
fold_text(struct journal *j, const char *text, size_t n, uint64_t size, struct why *why)
{
	switch (op_fold(&j->op, text, n)) {
	case FOLD_OK:
		return 1;
	case FOLD_STOPPED:
		return 0;
	case FOLD_NULS:
		if (!j->op.h.seq || !only_unflushed_follow(j, size))
			return damaged(j, j->op.wrong, why);
		j->torn = true;
		return 0;
	case FOLD_FORMAT:
		return why_set(why, ERR_FORMAT, "%s: made by a newer dpl (format above %d)", j->path.p, ENTRY_FORMAT);
	case FOLD_MEMORY:
		return why_set(why, ERR_IO, "%s: out of memory", j->path.p);
	case FOLD_DAMAGED:
		break;
	}
	return damaged(j, j->op.wrong, why);
}

static int
fold_file(struct journal *j, struct why *why)
{
	struct stat st;
	/* The first time journal_open has just asked; but a checkpoint that was loaded since may reach further. */
	if (j->fresh && (uint64_t)j->fresh->st_size >= j->op.h.offset)
		st = *j->fresh;
	else if (fstat(j->fd, &st) < 0)
		return why_errno(why, "%s", j->path.p);
	j->fresh = NULL;
	uint64_t size = (uint64_t)st.st_size;
	j->blocks = (int64_t)st.st_blocks * 512;
	j->abort_bit = st.st_mode & S_IXUSR;
	j->torn = false;
	if (!st.st_nlink && !j->op.h.archived)
		return why_set(why, ERR_NO_OPERATION, "%s: the file was deleted", j->path.p);
	if (size < j->op.h.offset)
		return damaged(j, "the file is shorter than it was", why);
	size_t chunk = size - j->op.h.offset < CHUNK ? CHUNK_SMALL : CHUNK;
	for (;;) {
		uint64_t at = j->op.h.offset;
		size_t want = size - at < chunk ? (size_t)(size - at) : chunk;
		buf_clear(&j->text);
		if (!want)
			break;
		if (buf_reserve(&j->text, want) < 0)
			return why_set(why, ERR_IO, "out of memory");
		ssize_t n = fsx_pread(j->fd, j->text.p, want, at);
		if (n < 0)
			return why_errno(why, "read %s", j->path.p);
		int more = fold_text(j, j->text.p, (size_t)n, size, why);
		if (more < 0)
			return -1;
		if (!more)
			return 0;
		if (j->op.h.offset == at) { /* no whole line in it */
			if (chunk < CHUNK && want == chunk) {
				chunk = CHUNK;
				continue;
			}
			if (size - at > TORN_MAX || ((size_t)n > ENTRY_MAX && !memchr(j->text.p, '\0', (size_t)n)))
				return damaged(j, "longer than 65536 bytes", why);
			break;
		}
	}
	if (!j->op.h.seq)
		return damaged(j, size ? "the first line is torn" : "the file is empty", why);
	j->torn = size > j->op.h.offset;
	return 0;
}

int
journal_refresh(struct journal *j, struct why *why)
{
	/* Without the lock, what looks wrong may be a torn tail that a writer replaces at this moment:
	 * only what stays wrong is damage. */
	for (int try = 0;; try++) {
		int rc = fold_file(j, why);
		if (rc == 0 || j->locked || why->code != ERR_DAMAGED || try == 3)
			return rc;
		usleep(5000);
	}
}

/* Start from the checkpoint if there is a right one. */
static void
load_checkpoint(struct journal *j)
{
	uint64_t line_hash;
	if (checkpoint_load(j->dir, j->inode, &j->op, &line_hash) < 0)
		return;
	struct op_head *h = &j->op.h;
	struct buf line = {0};
	bool right = h->last.pos + h->last.len == h->offset && journal_line(j, h->last, &line) == 0 &&
		hash_bytes(0, line.p, line.n) == line_hash;
	buf_free(&line);
	if (!right) {
		op_free(&j->op);
		op_init(&j->op, false);
		j->op.head = j->o.head;
		return;
	}
	j->checkpoint = j->flushed = h->offset;
}

/* Whether a folder without its journal is just being deleted, file by file: that is no damage.  It is waited for, shortly, where it has changed
 * shortly before. */
static bool
is_being_deleted(const struct journal *j, int parent, const char *folder)
{
	enum { RECENT_MS = 1000, LOOKS = 20, PAUSE_US = 5000 };
	struct stat st;
	if (fstat(j->dir, &st) < 0 || clock_wall_ms() - ((int64_t)st.st_ctim.tv_sec * 1000 + st.st_ctim.tv_nsec / 1000000) > RECENT_MS)
		return false;
	for (int i = 0; i < LOOKS; i++) {
		if (fstatat(parent, folder, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
			return true;
		usleep(PAUSE_US);
	}
	return false;
}

int
journal_open(struct journal *j, int parent, const char *folder, const char *shown, const struct journal_options *o, struct why *why)
{
	*j = (struct journal){.dir = -1, .fd = -1, .drive = -1, .o = *o};
	op_init(&j->op, o->keep);
	j->op.head = o->head;
	if (o->keep) {
		j->op.stop_seq = o->stop_seq;
		j->op.stop_ms = o->stop_ms;
	}
	buf_fmt(&j->path, "%s/journal.jsonl", shown);
	if (j->path.failed)
		return why_set(why, ERR_IO, "out of memory");
	struct stat st;
	j->dir = fsx_open(parent, folder, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
	if (j->dir >= 0) {
		/* O_NONBLOCK: a FIFO in its place must not hang us. */
		j->fd = fsx_open(j->dir, "journal.jsonl", O_RDWR | O_APPEND | O_NOFOLLOW | O_NONBLOCK, 0);
		j->writable = j->fd >= 0;
		j->refused = j->writable ? 0 : errno;
		if (j->fd < 0 && (errno == EROFS || errno == EACCES))
			j->fd = fsx_open(j->dir, "journal.jsonl", O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	}
	if (j->fd < 0) {
		int missing = errno;
		bool deleted = j->dir >= 0 && missing == ENOENT && is_being_deleted(j, parent, folder);
		errno = missing;
		if (deleted || (j->dir < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)))
			why_set(why, ERR_NO_OPERATION, "no operation '%s'", folder);
		else if (j->dir >= 0 && (errno == ENOENT || errno == EISDIR || errno == ELOOP || errno == ENXIO))
			damaged(j, errno == ENOENT ? "the file is missing" : "not a regular file", why);
		else
			why_errno(why, "open %s", j->path.p);
	} else if (fstat(j->fd, &st) < 0) {
		why_errno(why, "%s", j->path.p);
	} else if (!S_ISREG(st.st_mode)) {
		damaged(j, "not a regular file", why);
	} else {
		j->inode = (uint64_t)st.st_ino;
		j->fresh = &st;
		if (!o->keep && st.st_size >= CHECKPOINT_EVERY) /* else there is none yet */
			load_checkpoint(j);
		if (journal_refresh(j, why) == 0)
			return 0;
	}
	int e = errno;
	journal_close(j);
	errno = e;
	return -1;
}

/* A large state is written more seldom. */
static uint64_t
checkpoint_every(const struct op *op)
{
	uint64_t state = op->people.n * op->people.size + op->sessions.n * op->sessions.size + op->calls.n * op->calls.size +
		op->resources.n * op->resources.size;
	return state / 16 > CHECKPOINT_EVERY ? state / 16 : CHECKPOINT_EVERY;
}

int
journal_sync(struct journal *j)
{
	/* Never again on a descriptor whose flush failed: the kernel may have dropped the pages, and would say yes. */
	if (!j->lost && fdatasync(j->fd) < 0)
		j->lost = errno;
	errno = j->lost;
	return j->lost ? -1 : 0;
}

void
journal_sync_ahead(struct journal *j)
{
	(void)journal_sync(j);
	j->ahead = true;
}

void
journal_tidy(struct journal *j)
{
	struct op_head *h = &j->op.h;
	uint64_t every = checkpoint_every(&j->op);
	if (!j->changed || h->archived || h->offset - j->checkpoint < every)
		return;
	/* A checkpoint covers only what is on disk.  Where unflushed kinds alone have piled up, one
	 * flush for some hundred of them makes it so. */
	if (j->owed)
		return;
	if (j->o.sync && j->flushed < h->offset && (h->offset - j->checkpoint < 2 * every || journal_sync(j) < 0))
		return;
	j->flushed = h->offset;
	/* Among many writers, one of them does. */
	uint64_t reach = checkpoint_reach(j->dir, j->inode);
	if (reach <= h->offset && h->offset - reach < every) {
		j->checkpoint = reach;
		return;
	}
	struct buf line = {0};
	if (journal_line(j, h->last, &line) == 0 && checkpoint_save(j->dir, j->inode, &j->op, hash_bytes(0, line.p, line.n)) == 0)
		j->checkpoint = h->offset;
	buf_free(&line);
}

void
journal_close(struct journal *j)
{
	keyset_free(&j->keys);
	journal_unlock(j);
	if (j->fd >= 0) {
		journal_tidy(j);
		close(j->fd);
	}
	fsx_close(&j->drive);
	if (j->dir >= 0)
		close(j->dir);
	op_free(&j->op);
	buf_free(&j->path);
	buf_free(&j->text);
	buf_free(&j->pending);
	j->fd = j->dir = -1;
}

int
journal_read(struct journal *j, uint64_t pos, struct buf *text, size_t max, struct why *why)
{
	uint64_t end = j->op.h.offset;
	buf_clear(text);
	if (pos >= end)
		return 0;
	size_t want = max > ENTRY_MAX ? max : ENTRY_MAX;
	if (end - pos < want)
		want = (size_t)(end - pos);
	if (buf_reserve(text, want) < 0)
		return why_set(why, ERR_IO, "out of memory");
	ssize_t n = fsx_pread(j->fd, text->p, want, pos);
	if (n < 0)
		return why_errno(why, "read %s", j->path.p);
	while (n > 0 && text->p[n - 1] != '\n')
		n--;
	text->n = (size_t)n;
	text->p[n] = '\0';
	return 0;
}

int
journal_line(struct journal *j, struct line line, struct buf *text)
{
	buf_clear(text);
	if (!line.len || line.len > ENTRY_MAX || buf_reserve(text, line.len) < 0)
		return -1;
	if (fsx_pread(j->fd, text->p, line.len, line.pos) != (ssize_t)line.len || text->p[line.len - 1] != '\n')
		return -1;
	text->n = line.len - 1;
	text->p[text->n] = '\0';
	return 0;
}

int
journal_search(struct journal *j, uint64_t pos, const char *needle,
	bool (*each)(void *arg, const char *line, size_t n), void *arg, struct why *why)
{
	struct buf text = {0};
	size_t length = strlen(needle);
	int rc = 0;
	while (pos < j->op.h.offset && (rc = journal_read(j, pos, &text, CHUNK, why)) == 0 && text.n) {
		pos += text.n;
		const char *p = text.p, *end = text.p + text.n, *hit;
		while (p < end && (hit = memmem(p, (size_t)(end - p), needle, length))) {
			const char *line = hit, *newline = memchr(hit, '\n', (size_t)(end - hit));
			while (line > text.p && line[-1] != '\n')
				line--;
			if (!each(arg, line, (size_t)(newline - line))) {
				buf_free(&text);
				return 0;
			}
			p = newline + 1;
		}
	}
	buf_free(&text);
	return rc;
}

int
journal_watch(struct journal *j, struct watch *w)
{
	return watch_add(w, j->fd, WATCH_WRITE);
}

static int
watch_in(struct journal *j, struct watch *w, const char *name, enum watch_for what)
{
	int fd = fsx_open(j->dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0), rc = -1;
	if (fd < 0)
		return -1;
	rc = watch_add(w, fd, what);
	close(fd);
	return rc;
}

int
journal_watch_bell(struct journal *j, struct watch *w)
{
	return watch_in(j, w, "bell", WATCH_TOUCHES);
}

int
journal_watch_beats(struct journal *j, struct watch *w)
{
	return watch_in(j, w, "beats", WATCH_CLOSES);
}

static int
line_of(void *arg, struct line line, struct buf *text)
{
	return journal_line(arg, line, text);
}

struct wire_source
journal_source(struct journal *j)
{
	return (struct wire_source){line_of, j};
}

bool
journal_aborted(const struct journal *j)
{
	return j->op.h.aborted || j->abort_bit;
}

/* --- writing --- */

int
journal_lock(struct journal *j, struct why *why)
{
	if (!j->writable) {
		errno = j->refused;
		return why_errno(why, "write %s", j->path.p);
	}
	if (j->locked) { /* kept since the last commit: nobody has written meanwhile */
		j->now_ms = clock_wall_ms();
		j->pending_seq = j->op.h.seq;
		return 0;
	}
	if (lock_exclusive(j->fd, j->o.wait_ms, j->path.p, j->o.notice) < 0)
		return lock_failed(j->fd, j->path.p, j->o.wait_ms, j->o.timed, why);
	j->locked = true;
	if (journal_refresh(j, why) < 0) {
		journal_unlock(j);
		return -1;
	}
	if (j->torn) {
		struct stat st;
		long long cut = fstat(j->fd, &st) == 0 ? (long long)st.st_size - (long long)j->op.h.offset : 0;
		if (ftruncate(j->fd, (off_t)j->op.h.offset) < 0) {
			why_errno(why, "cut the torn end of %s", j->path.p);
			journal_unlock(j);
			return -1;
		}
		j->torn = false;
		j->blocks = 0; /* the cut gave the reserve back */
		notice(j->o.notice, "%s: cut %lld torn bytes after line %llu (a writer died, or the power failed)", j->path.p, cut,
			(unsigned long long)j->op.h.seq);
	}
	j->now_ms = clock_wall_ms();
	j->pending_seq = j->op.h.seq;
	return 0;
}

static void
drop_pending(struct journal *j)
{
	buf_clear(&j->pending);
	j->pending_flush = j->pending_vital = j->pending_results = j->ring = false;
	j->pending_resources = 0;
	j->drop[0] = '\0';
}

void
journal_unlock(struct journal *j)
{
	if (j->locked)
		lock_release(j->fd);
	j->locked = false;
	drop_pending(j);
}

struct buf *
journal_entry(struct journal *j, const char *by, enum event event)
{
	j->pending_flush |= event_is_flushed(event);
	j->pending_vital |= event_is_vital(event);
	j->pending_results |= event == EVENT_RESOURCE_REMOVED;
	entry_begin(&j->pending, ++j->pending_seq, j->now_ms, by, event);
	return &j->pending;
}

void
journal_entry_end(struct journal *j)
{
	entry_end(&j->pending);
}

int64_t
journal_new_resource(struct journal *j)
{
	return (int64_t)(j->op.h.resources + ++j->pending_resources);
}

static bool
too_long(const struct buf *lines)
{
	const char *p = lines->p, *end = lines->p + lines->n;
	while (p < end) {
		const char *newline = memchr(p, '\n', (size_t)(end - p));
		if (newline - p >= ENTRY_MAX)
			return true;
		p = newline + 1;
	}
	return false;
}

/* Keep some space ahead of the end, so that an operation can be stopped and ended on a full disk.
 * What is not vital must not use it up. */
static int
reserve(struct journal *j, int64_t need, bool vital, bool results)
{
	int64_t end = (int64_t)j->op.h.offset;
	if (j->blocks - end >= need + RESERVE_MIN)
		return 0;
	if (fallocate(j->fd, FALLOC_FL_KEEP_SIZE, end, need + RESERVE) == 0) {
		j->blocks = end + need + RESERVE;
		return 0;
	}
	if (vital && (!results || j->blocks - end >= need + RESERVE_LAST))
		return 0;
	return errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? -1 : 0;
}

bool
journal_has_room(struct journal *j)
{
	return reserve(j, RESULT_MOST, true, true) == 0;
}

int
journal_commit(struct journal *j, struct why *why)
{
	uint64_t end = j->op.h.offset, first = j->op.h.seq + 1;
	bool flush = j->pending_flush && j->o.sync, ring = j->ring;
	int rc = -1;
	if (j->pending.failed)
		why_set(why, ERR_IO, "out of memory");
	else if (too_long(&j->pending))
		why_set(why, ERR_TOO_LARGE, "the entry would be longer than %d bytes", ENTRY_MAX);
	else if (reserve(j, (int64_t)j->pending.n, j->pending_vital, j->pending_results) < 0)
		why_errno(why, "write %s", j->path.p);
	else if (fsx_write(j->fd, j->pending.p, j->pending.n) < 0) {
		why_errno(why, "write %s", j->path.p);
		/* Half of it may be there; if the cut fails too, the next writer takes it for torn. */
		(void)!ftruncate(j->fd, (off_t)end);
	} else if (op_fold(&j->op, j->pending.p, j->pending.n) != FOLD_OK || j->op.h.offset != end + j->pending.n)
		why_set(why, ERR_IO, "%s: entry %llu was written but cannot be read back", j->path.p, (unsigned long long)first);
	else {
		j->changed = true;
		rc = 0;
	}
	/* Behind the entries that say so, and while nobody else can write: who finds no file finds them. */
	if (rc == 0 && *j->drop)
		(void)unlinkat(j->dir, j->drop, 0);
	if (rc == 0 && ring)
		(void)utimensat(j->dir, "bell", NULL, 0); /* a hint: those who wait look by themselves too */
	drop_pending(j);
	/* What archives goes on with a rename, which must not come before the lines are safe. */
	bool later = rc == 0 && j->o.defer && !j->op.h.archived;
	if (!later)
		journal_unlock(j);
	if (rc < 0)
		return rc;
	j->owed |= flush;
	return later ? 0 : journal_flush(j, why);
}

int
journal_flush(struct journal *j, struct why *why)
{
	uint64_t reached = j->op.h.offset;
	journal_unlock(j);
	if (!j->owed)
		return 0;
	bool ahead = j->ahead;
	j->owed = j->ahead = false;
	errno = j->lost;
	if (ahead ? j->lost != 0 : journal_sync(j) < 0) {
		why_errno(why, "flush %s: entry %llu is visible, may not survive power loss", j->path.p, (unsigned long long)j->op.h.seq);
		why->code = ERR_NOT_DURABLE;
		return -1;
	}
	if (j->flushed < reached)
		j->flushed = reached;
	return 0;
}

int
journal_set_abort_bit(struct journal *j, bool on)
{
	if (fchmod(j->fd, on ? 0700 : 0600) < 0)
		return -1;
	j->abort_bit = on;
	(void)utimensat(j->dir, "bell", NULL, 0);
	return 0;
}

static int
make_file(int dir, const char *name, const struct buf *content, bool sync)
{
	int fd = fsx_open(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -1;
	int rc = 0;
	if (content) {
		(void)fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, RESERVE);
		rc = fsx_write(fd, content->p, content->n);
	}
	if (rc == 0 && sync)
		rc = fdatasync(fd);
	int e = errno;
	close(fd);
	errno = e;
	return rc;
}

static const char *const empty_files[] = {"bell", "coordinator"}, *const folders[] = {"beats", "calls"};

int
journal_build(int dir, const struct buf *first, bool sync)
{
	if (make_file(dir, "journal.jsonl", first, sync) < 0)
		return -1;
	for (int i = 0; i < 2; i++)
		if (make_file(dir, empty_files[i], NULL, false) < 0 || mkdirat(dir, folders[i], 0700) < 0)
			return -1;
	return sync ? fsx_sync_dir(dir) : 0;
}

void
journal_unbuild(int dir)
{
	/* Some of them may not be there. */
	(void)unlinkat(dir, "journal.jsonl", 0);
	for (int i = 0; i < 2; i++) {
		(void)unlinkat(dir, empty_files[i], 0);
		(void)unlinkat(dir, folders[i], AT_REMOVEDIR);
	}
}

void
journal_give_back(struct journal *j)
{
	/* To its own length: what is reserved behind it goes. */
	(void)!ftruncate(j->fd, (off_t)j->op.h.offset);
}
