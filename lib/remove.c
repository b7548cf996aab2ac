/* remove: delete what was registered, and only that, by descriptor, never through a link or a mount. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "clock.h"
#include "fsx.h"
#include "protect.h"
#include "remove.h"
#include "text.h"
#include "walk.h"

enum { CLOCK_SLACK_MS = 10 }; /* files are stamped by a coarse clock */

static const char swapped[] = "it was swapped for something else at this very moment";

const char *
remove_bad_path(const char *path)
{
	if (!path[0])
		return "is empty";
	if (path[0] != '/')
		return "is relative";
	if (strlen(path) >= PATH_MAX)
		return "is longer than 4095 bytes";
	if (!path[1])
		return NULL;
	for (const char *p = path; *p;) {
		size_t n = strcspn(++p, "/");
		if (n == 0)
			return *p ? "holds '//'" : "ends with a slash";
		if (n == 1 && *p == '.')
			return "holds '.'";
		if (n == 2 && p[0] == '.' && p[1] == '.')
			return "holds '..'";
		p += n;
	}
	return NULL;
}

/* --- what stands there --- */

struct place {
	int dir;          /* the parent, O_PATH */
	const char *name; /* in it */
	struct statx x;
};

/* Open the parent of a path, following no link. */
static int
open_parent(const char *path, struct place *at)
{
	struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
	char parent[PATH_MAX];
	const char *slash = strrchr(path, '/');
	size_t n = (size_t)(slash - path);
	memcpy(parent, path, n);
	parent[n] = '\0';
	at->name = slash[1] ? slash + 1 : ".";
	long fd;
	/* EAGAIN: somebody renamed something meanwhile, openat2(2) */
	do
		fd = syscall(SYS_openat2, AT_FDCWD, n ? parent : "/", &how, sizeof how);
	while (fd < 0 && (errno == EAGAIN || errno == EINTR));
	at->dir = (int)fd;
	return fd < 0 ? -1 : 0;
}

/* What stands there now, in the parent that is open. */
static int
look_at(struct place *at)
{
	const unsigned wanted = STATX_TYPE | STATX_INO | STATX_UID | STATX_MTIME | STATX_CTIME | STATX_BTIME;
	return fsx_statx(at->dir, at->name, wanted, &at->x);
}

/* Find what stands at a path that is written as it must be.  Also after -1 the caller closes at->dir. */
static int
find(const char *path, struct place *at)
{
	return open_parent(path, at) < 0 ? -1 : look_at(at);
}

/* A number in JSON has 53 bits; with the birth time they tell enough. */
#define NUMBER_MASK ((UINT64_C(1) << 53) - 1)

static struct remove_identity
identity_of(const struct statx *x)
{
	struct remove_identity id = {
		.known = true,
		.device = makedev(x->stx_dev_major, x->stx_dev_minor) & NUMBER_MASK,
		.inode = x->stx_ino & NUMBER_MASK,
		.has_birth = x->stx_mask & STATX_BTIME,
		.type = S_ISREG(x->stx_mode) ? 'f' : S_ISDIR(x->stx_mode) ? 'd' : S_ISLNK(x->stx_mode) ? 'l' : 'o',
	};
	if (id.has_birth) {
		id.birth_s = x->stx_btime.tv_sec;
		id.birth_ns = x->stx_btime.tv_nsec;
	}
	return id;
}

int
remove_identify(const char *path, struct remove_identity *id)
{
	struct place at;
	if (remove_bad_path(path)) {
		errno = EINVAL;
		return -1;
	}
	int rc = find(path, &at), e = errno;
	if (rc == 0)
		*id = identity_of(&at.x);
	fsx_close(&at.dir);
	errno = e;
	return rc;
}

/* --- what is protected --- */

/* `at` is NULL where nothing stands there. */
static enum protection
protection_of(const char *path, const struct place *at, const char *ledger, struct why *why)
{
	struct protect_found found = {0};
	if (at) {
		found.folder = S_ISDIR(at->x.stx_mode);
		found.device = makedev(at->x.stx_dev_major, at->x.stx_dev_minor);
		found.inode = at->x.stx_ino;
	}
	enum protection p = protect_path(path, ledger, at ? &found : NULL, why);
	if (p == PROTECT_NOT && at && at->x.stx_attributes & STATX_ATTR_MOUNT_ROOT) {
		why_set(why, ERR_PROTECTED, "%.400s is a mount point", path);
		return PROTECT_EVER;
	}
	return p;
}

int
remove_refused(const char *path, const struct remove_rules *rules, struct why *why)
{
	struct place at = {.dir = -1};
	const char *bad = remove_bad_path(path);
	if (bad && path[strspn(path, "/")])
		return why_set(why, ERR_PROTECTED, "the path %s", bad);
	bool there = !bad && find(path, &at) == 0;
	enum protection p = protection_of(path, there ? &at : NULL, rules->ledger, why);
	fsx_close(&at.dir);
	return p == PROTECT_NOT ? 0 : -1;
}

/* --- whether it is what was registered --- */

struct answer {
	char *reason;
	size_t size;
};

/* Give the reason, whole characters of it. */
__attribute__((format(printf, 3, 4)))
static enum remove_result
because(const struct answer *a, enum remove_result result, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(a->reason, a->size, fmt, ap);
	va_end(ap);
	for (size_t n = strlen(a->reason); n && !text_valid(a->reason, n);)
		a->reason[--n] = '\0';
	return result;
}

static const char *
word_of(char type)
{
	return type == 'f' ? "file" : type == 'd' ? "folder" : type == 'l' ? "symbolic link" : "special file";
}

static int64_t
ms_of(const struct statx_timestamp *t)
{
	return t->tv_sec * 1000 + t->tv_nsec / 1000000;
}

static enum remove_result
not_found(int e, const struct answer *a)
{
	switch (e) {
	case ENOENT:
	case ENOTDIR:
		return REMOVE_GONE;
	case ELOOP:
		return because(a, REMOVE_LEFT, "a folder above it is a symbolic link now");
	case ENOSYS:
		return because(a, REMOVE_FAILED, "this kernel cannot open folders safely (openat2)");
	default:
		return because(a, REMOVE_FAILED, "%s", strerror(e));
	}
}

/* Whether it was made after the registration. */
static bool
is_newer(const struct statx *x, int64_t added_ms)
{
	int64_t since = added_ms - CLOCK_SLACK_MS;
	if (x->stx_mask & STATX_BTIME)
		return ms_of(&x->stx_btime) >= since;
	return ms_of(&x->stx_ctime) >= since && ms_of(&x->stx_mtime) >= since;
}

/* Compare with what was recorded: REMOVE_DONE, or REMOVE_LEFT. */
static enum remove_result
compare(const struct remove_order *o, const struct remove_identity *now, const struct answer *a)
{
	const struct remove_identity *id = &o->id;
	if (now->type != id->type)
		return because(a, REMOVE_LEFT, "a %s is there now, not a %s", word_of(now->type), word_of(id->type));
	if (now->inode != id->inode)
		return because(a, REMOVE_LEFT, "another %s is there now (inode %" PRIu64 ", not %" PRIu64 ")", word_of(id->type), now->inode, id->inode);
	if (now->has_birth != id->has_birth || now->birth_s != id->birth_s || now->birth_ns != id->birth_ns)
		return because(a, REMOVE_LEFT, "another %s is there now (inode %" PRIu64 " again, but made at another time)", word_of(id->type), id->inode);
	if (o->same_boot && now->device != id->device)
		return because(a, REMOVE_LEFT, "another %s is there now (inode %" PRIu64 " of another filesystem)", word_of(id->type), id->inode);
	return REMOVE_DONE;
}

/* Whether the order means what stands there: REMOVE_DONE, or REMOVE_LEFT with the reason. */
static enum remove_result
judge(const struct remove_order *o, const struct statx *x, const struct answer *a)
{
	struct remove_identity now = identity_of(x);
	if (o->id.known) {
		enum remove_result same = compare(o, &now, a);
		if (same == REMOVE_DONE || !o->by_name || now.type != o->id.type)
			return same;
	} else if (!o->made && !o->by_name) {
		return because(a, REMOVE_LEFT, "nobody recorded what was there when it was registered");
	}
	if (x->stx_uid != o->rules.uid)
		return because(a, REMOVE_LEFT, "the %s that is there now belongs to uid %" PRIu32 ", not %" PRIu32, word_of(now.type), x->stx_uid, (uint32_t)o->rules.uid);
	if (!is_newer(x, o->added_ms))
		return because(a, REMOVE_LEFT, "the %s that is there now is older than the registration", word_of(now.type));
	return REMOVE_DONE;
}

/* Whether what was looked at stands there at this very moment, too: to find out what is protected takes its time. */
static enum remove_result
look_again(const struct place *at, const struct answer *a)
{
	struct place now = *at;
	if (look_at(&now) < 0)
		return not_found(errno, a);
	struct remove_identity was = identity_of(&at->x), is = identity_of(&now.x);
	if (is.inode != was.inode || is.device != was.device || is.birth_s != was.birth_s || is.birth_ns != was.birth_ns)
		return because(a, REMOVE_FAILED, "%s", swapped);
	return REMOVE_DONE;
}

/* --- removing --- */

/* Say what the walk could not delete. */
static enum remove_result
say_what_stays(const struct remove_order *o, const struct walk_end *end, const struct answer *a)
{
	const char *words = end->words ? end->words : strerror(end->error);
	struct buf path = {0};
	text_show(&path, o->path, (size_t)(strrchr(o->path, '/') + 1 - o->path));
	if (end->where.p)
		buf_str(&path, end->where.p);
	const char *text = path.p ? path.p : o->path;
	/* The end of a long path says more. */
	size_t n = strlen(text), room = a->size > 100 ? a->size - 100 : 0;
	const char *cut = n > room ? text + n - room : text;
	while ((*cut & 0xc0) == 0x80)
		cut++;
	because(a, REMOVE_FAILED, "%s%s: %s", cut > text ? "..." : "", cut, words);
	buf_free(&path);
	return REMOVE_FAILED;
}

static enum remove_result
remove_found(const struct remove_order *o, const struct place *at, uint64_t *entries, const struct answer *a)
{
	struct walk_order walk = {
		.dir = at->dir,
		.name = at->name,
		.file = !S_ISDIR(at->x.stx_mode),
		.only_it = S_ISDIR(at->x.stx_mode),
		.device = makedev(at->x.stx_dev_major, at->x.stx_dev_minor),
		.inode = at->x.stx_ino,
		.until_ms = o->limit_ms > 0 ? clock_mono_ms() + o->limit_ms : 0,
		.go_on = o->go_on,
		.arg = o->arg,
	};
	struct walk_end end;
	struct stat st;
	if (o->rules.ledger && !walk.file && stat(o->rules.ledger, &st) == 0) {
		walk.spares = true;
		walk.spared_device = st.st_dev;
		walk.spared_inode = st.st_ino;
	}
	walk_remove(&walk, &end);
	*entries = end.entries;
	enum remove_result result;
	if (end.swapped)
		result = because(a, REMOVE_FAILED, "%s", swapped);
	else if (end.stopped)
		result = because(a, REMOVE_STOPPED, "%s, with %" PRIu64 " deleted", end.stopped, end.entries);
	else if (end.error)
		result = say_what_stays(o, &end, a);
	else
		result = end.entries ? REMOVE_DONE : REMOVE_GONE;
	buf_free(&end.where);
	return result;
}

enum remove_result
remove_path(const struct remove_order *o, uint64_t *entries, char *reason, size_t size)
{
	const struct answer a = {reason, size};
	const char *bad = remove_bad_path(o->path);
	struct place at;
	struct why why;
	*entries = 0;
	reason[0] = '\0';
	if (bad)
		return because(&a, REMOVE_LEFT, "the path %s", bad);
	enum remove_result result;
	if (find(o->path, &at) < 0) {
		result = not_found(errno, &a);
	} else {
		enum protection p = protection_of(o->path, &at, o->rules.ledger, &why);
		/* What was made to go goes from under who works in it, and what dpl-temp made was somebody's $HOME for a while at most. */
		if (o->id.known && (p == PROTECT_HERE || (p == PROTECT_HOME && o->made)))
			p = PROTECT_NOT;
		if (p != PROTECT_NOT)
			result = because(&a, p != PROTECT_EVER ? REMOVE_FAILED : REMOVE_LEFT, "%s", why.text);
		else if ((result = judge(o, &at.x, &a)) == REMOVE_DONE && (result = look_again(&at, &a)) == REMOVE_DONE && !o->look)
			result = remove_found(o, &at, entries, &a);
	}
	if (result == REMOVE_DONE || result == REMOVE_GONE)
		reason[0] = '\0';
	fsx_close(&at.dir);
	return result;
}

void
remove_flush(const char *path)
{
	struct place at;
	if (remove_bad_path(path) || open_parent(path, &at) < 0)
		return;
	int fd = fsx_open(at.dir, ".", O_RDONLY | O_DIRECTORY, 0);
	if (fd >= 0)
		(void)fsx_sync_dir(fd);
	fsx_close(&fd);
	fsx_close(&at.dir);
}

int
remove_tree(int dir, const char *name)
{
	struct walk_order walk = {.dir = dir, .name = name};
	struct walk_end end;
	walk_remove(&walk, &end);
	buf_free(&end.where);
	if (!end.error)
		return 0;
	errno = end.error;
	return -1;
}
