/* world: a ledger of its own in which commands are run, looked at, and which is put back as it was. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "json.h"
#include "world.h"

struct item {
	char *path;           /* from the world's folder */
	struct stat st;
	char *bytes;          /* of a file, or where a link leads */
};

struct picture {
	struct item *item;
	int n;
	char operation[WORLD_ID];
};

static struct {
	char path[PATH_MAX];
	char ledger[PATH_MAX + 20], id[WORLD_ID], operation[WORLD_ID + 20], who[80], path_env[PATH_MAX + 40], home[PATH_MAX + 20];
	int out, err, none;
	pid_t idle;
	char *text[2];        /* what the last command said */
	size_t room[2];
	char *journal;
	size_t journal_room;
} world;

_Noreturn void
world_die(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fputs("faults: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(125);
}

void
world_begin(const char *path, const char *bin)
{
	if ((mkdir(path, 0700) < 0 && errno != EEXIST) || chdir(path) < 0 || (mkdir("home", 0700) < 0 && errno != EEXIST))
		world_die("%s: %s", path, strerror(errno));
	if (!realpath(".", world.path))
		world_die("%s: %s", path, strerror(errno));
	snprintf(world.ledger, sizeof world.ledger, "DPL_LEDGER=%s/ledger", world.path);
	snprintf(world.home, sizeof world.home, "HOME=%s/home", world.path);
	snprintf(world.path_env, sizeof world.path_env, "PATH=%s:/usr/bin:/bin", bin);
	setenv("PATH", world.path_env + 5, 1); /* execvpe looks in ours */
	world.out = memfd_create("out", MFD_CLOEXEC);
	world.err = memfd_create("err", MFD_CLOEXEC);
	world.none = open("/dev/null", O_RDONLY | O_CLOEXEC);
	/* What a command that died has left comes to us. */
	if (world.out < 0 || world.err < 0 || world.none < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		world_die("%s", strerror(errno));
	world_set_operation("");
}

void
world_set_operation(const char *id)
{
	char copy[WORLD_ID]; /* it may be part of what is written */
	snprintf(copy, sizeof copy, "%s", id);
	memcpy(world.id, copy, sizeof copy);
	snprintf(world.operation, sizeof world.operation, "DPL_OPERATION=%s", world.id);
}

const char *
world_operation(void)
{
	return world.id;
}

/* --- files --- */

/* Delete what is in the folder, and it. */
static void
wipe(int dir, const char *name)
{
	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return;
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (!d)
		world_die("delete %s: %s", name, strerror(errno));
	for (struct dirent *e; (e = readdir(d));)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			wipe(fd, e->d_name);
	closedir(d);
	if (unlinkat(dir, name, AT_REMOVEDIR) < 0)
		world_die("delete %s: %s", name, strerror(errno));
}

void
world_end(void)
{
	world_kill_processes();
	if (chdir("/") == 0)
		wipe(AT_FDCWD, world.path);
}

static char *
read_all(const char *path, size_t size)
{
	char *bytes = malloc(size + 1);
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NOATIME);
	if (!bytes || fd < 0 || read(fd, bytes, size) != (ssize_t)size)
		world_die("read %s: %s", path, strerror(errno));
	close(fd);
	bytes[size] = '\0';
	return bytes;
}

static void
take(struct picture *p, const char *path)
{
	struct item *i;
	struct stat st;
	if (lstat(path, &st) < 0)
		return;
	p->item = realloc(p->item, (size_t)(p->n + 1) * sizeof *p->item);
	if (!p->item)
		world_die("out of memory");
	i = &p->item[p->n++];
	*i = (struct item){.path = strdup(path), .st = st};
	if (S_ISREG(st.st_mode)) {
		i->bytes = read_all(path, (size_t)st.st_size);
	} else if (S_ISLNK(st.st_mode)) {
		i->bytes = calloc(1, PATH_MAX);
		if (!i->bytes || readlink(path, i->bytes, PATH_MAX - 1) < 0)
			world_die("read %s: %s", path, strerror(errno));
	} else if (S_ISDIR(st.st_mode)) {
		DIR *d = opendir(path);
		for (struct dirent *e; d && (e = readdir(d));) {
			char more[2 * PATH_MAX];
			snprintf(more, sizeof more, "%s/%s", path, e->d_name);
			if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
				take(p, more);
		}
		if (d)
			closedir(d);
	}
}

struct picture *
world_picture(void)
{
	struct picture *p = calloc(1, sizeof *p);
	if (!p)
		world_die("out of memory");
	take(p, "home");
	take(p, "ledger");
	snprintf(p->operation, sizeof p->operation, "%s", world.id);
	return p;
}

static int
journal_path(char path[PATH_MAX])
{
	struct stat st;
	for (int i = 0; i < 2; i++) {
		snprintf(path, PATH_MAX, "ledger/%s%s/journal.jsonl", i ? "backup/" : "", world.id);
		if (lstat(path, &st) == 0)
			return i;
	}
	return -1;
}

static int64_t
number_in(const char *line, const char *name)
{
	const char *p = strstr(line, name);
	return p ? strtoll(p + strlen(name), NULL, 10) : -1;
}

/* The value of a member, without its quotes; of text without escapes. */
static void
text_in(const char *line, const char *name, char *out, size_t size)
{
	const char *p = strstr(line, name);
	p = p ? p + strlen(name) : "";
	snprintf(out, size, "%.*s", (int)strcspn(p, "\""), p);
}

/* The journal with the identities that the things at its paths have now. */
static char *
renewed(const char *text, size_t *size)
{
	static char paths[64][PATH_MAX];
	struct buf b = {0};
	for (const char *p = text, *newline; (newline = strchr(p, '\n')); p = newline + 1) {
		char line[4096];
		snprintf(line, sizeof line, "%.*s", (int)(newline - p), p);
		char *identity = strstr(line, ",\"device\":"), *rest;
		int64_t id = number_in(line, "\"resourceId\":");
		if (id > 0 && id < 64 && strstr(line, "\"path\":"))
			text_in(line, "\"path\":\"", paths[id], sizeof paths[id]);
		struct statx st;
		if (!identity || id < 1 || id >= 64 || statx(AT_FDCWD, paths[id], AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, &st) < 0) {
			buf_add(&b, p, (size_t)(newline - p + 1));
			continue;
		}
		rest = strstr(identity, "\"birth\":");
		rest = rest ? strchr(rest + 9, '"') + 1 : strstr(identity, "\"inode\":") + 8;
		rest += strcspn(rest, ",}\"") + (*(rest + strcspn(rest, ",}\"")) == '"');
		buf_add(&b, line, (size_t)(identity - line));
		buf_fmt(&b, ",\"device\":%llu,\"inode\":%llu", (unsigned long long)makedev(st.stx_dev_major, st.stx_dev_minor), (unsigned long long)st.stx_ino);
		if (st.stx_mask & STATX_BTIME)
			buf_fmt(&b, ",\"birth\":\"%lld.%09u\"", (long long)st.stx_btime.tv_sec, st.stx_btime.tv_nsec);
		buf_fmt(&b, "%s\n", rest);
	}
	if (b.failed)
		world_die("out of memory");
	*size = b.n;
	return b.p;
}

static void
make_file(const struct item *i, bool kept, bool journal)
{
	char *bytes = i->bytes;
	size_t size = (size_t)i->st.st_size;
	if (journal && strstr(bytes, "\"inode\":"))
		bytes = renewed(i->bytes, &size);
	int fd = open(i->path, kept ? O_WRONLY : O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		world_die("make %s: %s", i->path, strerror(errno));
	if (i->st.st_blocks * 512 > i->st.st_size)
		(void)fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, i->st.st_blocks * 512); /* what was reserved ahead */
	if (write(fd, bytes, size) != (ssize_t)size || fchmod(fd, i->st.st_mode & 07777) < 0)
		world_die("make %s: %s", i->path, strerror(errno));
	if (kept && ftruncate(fd, (off_t)size) < 0)
		world_die("make %s: %s", i->path, strerror(errno));
	close(fd);
	if (bytes != i->bytes)
		free(bytes);
}

static void
make_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");
	if (!f || fputs(text, f) < 0 || fclose(f) != 0)
		world_die("%s: %s", path, strerror(errno));
}

void
world_clear(void)
{
	wipe(AT_FDCWD, "ledger");
	wipe(AT_FDCWD, "home");
	if (mkdir("home", 0700) < 0)
		world_die("home: %s", strerror(errno));
	make_text("home/other", "what nobody registered");
	make_text("home/thing", "what may be registered");
	world_set_operation("");
}

void
world_restore(const struct picture *p)
{
	char path[PATH_MAX], journal[PATH_MAX];
	bool kept = journal_path(path) >= 0 && rename(path, "journal") == 0;
	wipe(AT_FDCWD, "ledger");
	wipe(AT_FDCWD, "home");
	world_set_operation(p->operation);
	snprintf(journal, sizeof journal, "/%s/journal.jsonl", p->operation);
	for (int k = 0; k < p->n; k++) {
		const struct item *i = &p->item[k];
		size_t n = strlen(i->path), m = strlen(journal);
		bool ours = *p->operation && n > m && strcmp(i->path + n - m, journal) == 0;
		if (S_ISDIR(i->st.st_mode) && mkdir(i->path, 0700) < 0)
			world_die("make %s: %s", i->path, strerror(errno));
		if (S_ISLNK(i->st.st_mode) && symlink(i->bytes, i->path) < 0)
			world_die("make %s: %s", i->path, strerror(errno));
		if (!S_ISREG(i->st.st_mode))
			continue;
		if (ours && kept && rename("journal", i->path) < 0)
			world_die("make %s: %s", i->path, strerror(errno));
		make_file(i, ours && kept, ours);
	}
	/* The times last: making what is in a folder changes its own. */
	for (int k = p->n - 1; k >= 0; k--) {
		struct timespec t[2] = {p->item[k].st.st_atim, p->item[k].st.st_mtim};
		if (utimensat(AT_FDCWD, p->item[k].path, t, AT_SYMLINK_NOFOLLOW) < 0)
			world_die("%s: %s", p->item[k].path, strerror(errno));
	}
	(void)unlink("journal");
}

/* --- commands --- */

static const char *
read_back(int fd, int which, size_t *n)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		world_die("%s", strerror(errno));
	*n = (size_t)st.st_size;
	if (*n + 1 > world.room[which]) {
		world.room[which] = *n + 4096;
		world.text[which] = realloc(world.text[which], world.room[which]);
	}
	if (!world.text[which] || pread(fd, world.text[which], *n, 0) != (ssize_t)*n)
		world_die("read back: %s", strerror(errno));
	world.text[which][*n] = '\0';
	return world.text[which];
}

/* The text with the operation's id for each @. */
static char *
with_operation(const char *text)
{
	struct buf b = {0};
	for (; *text; text++)
		if (*text == '@')
			buf_str(&b, world.id);
		else
			buf_char(&b, *text);
	if (b.failed)
		world_die("out of memory");
	return b.p;
}

static struct said
run(const char *who, const char *const argv[], const char *in, const struct fault *f, const struct watcher *w, bool sync)
{
	static char no_sync[] = "DPL_SYNC=off", locale[] = "LC_ALL=C";
	snprintf(world.who, sizeof world.who, "DPL_PARTICIPANT=%s", who);
	char *env[16] = {world.path_env, world.ledger, world.who, world.home, locale};
	int n = 5, fd = world.none;
	if (*world_operation())
		env[n++] = world.operation;
	if (!sync)
		env[n++] = no_sync;
	if (getenv("ASAN_OPTIONS")) {
		static char asan[400], ubsan[400];
		/* LeakSanitizer cannot work under ptrace. */
		snprintf(asan, sizeof asan, "ASAN_OPTIONS=%s:detect_leaks=0", getenv("ASAN_OPTIONS"));
		snprintf(ubsan, sizeof ubsan, "UBSAN_OPTIONS=%s", getenv("UBSAN_OPTIONS") ? getenv("UBSAN_OPTIONS") : "");
		env[n++] = asan;
		env[n++] = ubsan;
	}
	if (in) {
		char *text = with_operation(in);
		fd = memfd_create("in", MFD_CLOEXEC);
		if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) || lseek(fd, 0, SEEK_SET) < 0)
			world_die("stdin: %s", strerror(errno));
		free(text);
	}
	if (ftruncate(world.out, 0) < 0 || ftruncate(world.err, 0) < 0 || lseek(world.out, 0, SEEK_SET) < 0 || lseek(world.err, 0, SEEK_SET) < 0)
		world_die("output: %s", strerror(errno));
	struct how how = {.fd = {fd, world.out, world.err}, .env = env, .limit_ms = 10000, .plain = !f && !w};
	if (w)
		how.watch = *w;
	char *copy[20], room[20][PATH_MAX + 100];
	int k = 0;
	for (; argv[k]; k++) {
		copy[k] = (char *)(uintptr_t)argv[k];
		if (argv[k][0] == '%')
			copy[k] = room[k];
		if (strcmp(argv[k], "%pid") == 0)
			snprintf(room[k], sizeof room[k], "%ld", (long)world_idle());
		else if (argv[k][0] == '%')
			snprintf(room[k], sizeof room[k], "%s%s", world.path, argv[k] + 1);
	}
	copy[k] = NULL;
	struct outcome o = inject_run(copy, f, &how);
	if (in)
		close(fd);
	struct said s = {.status = o.status, .hung = o.hung, .reached = o.reached, .name = o.name, .first = o.first};
	s.out = read_back(world.out, 0, &s.out_n);
	s.err = read_back(world.err, 1, &s.err_n);
	return s;
}

struct said
world_run(const char *who, const char *const argv[], const char *in)
{
	return run(who, argv, in, NULL, NULL, false);
}

struct said
world_trace(const char *who, const char *const argv[], const char *in, const struct fault *f, const struct watcher *w)
{
	static const struct fault none = {.kind = FAULT_NONE};
	return run(who, argv, in, f ? f : &none, w, true);
}

/* --- looking --- */

static size_t
read_journal(int *where)
{
	char path[PATH_MAX];
	struct stat st;
	*where = journal_path(path);
	int fd = *where < 0 ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return 0;
	size_t size = (size_t)st.st_size;
	if (size + 1 > world.journal_room) {
		world.journal_room = size + 65536;
		world.journal = realloc(world.journal, world.journal_room);
	}
	if (!world.journal || read(fd, world.journal, size) != (ssize_t)size)
		world_die("read %s: %s", path, strerror(errno));
	world.journal[size] = '\0';
	close(fd);
	return size;
}

int
world_lines(void)
{
	int where, n = 0;
	size_t size = read_journal(&where);
	for (size_t i = 0; i < size; i++)
		n += world.journal[i] == '\n';
	return where < 0 ? -1 : n;
}

static void
look_at_line(struct view *v, const char *line, size_t n)
{
	struct json j;
	struct why why;
	int64_t seq = 0;
	if (v->n == WORLD_LINES)
		world_die("a journal of more than %d lines", WORLD_LINES);
	v->line[v->n++] = line;
	if (json_parse(&j, line, n, &why) < 0) {
		snprintf(v->wrong, sizeof v->wrong, "line %d is no JSON: %.100s", v->n, line);
		return;
	}
	if (json_integer(&j, json_get(&j, 0, "seq"), 1, JSON_INT_MAX, &seq) < 0 || seq != v->n)
		snprintf(v->wrong, sizeof v->wrong, "line %d has seq %lld", v->n, (long long)seq);
	else if (json_copy(&j, json_get(&j, 0, "event"), v->event[v->n - 1], sizeof v->event[0]) < 0)
		snprintf(v->wrong, sizeof v->wrong, "line %d has no event", v->n);
	json_free(&j);
}

void
world_look(struct view *v)
{
	char path[PATH_MAX];
	struct stat st;
	int where;
	v->n = 0;
	v->torn = 0;
	v->wrong[0] = '\0';
	v->size = read_journal(&where);
	v->text = world.journal;
	snprintf(path, sizeof path, "ledger/%s", world.id);
	v->live = lstat(path, &st) == 0;
	snprintf(path, sizeof path, "ledger/backup/%s", world.id);
	v->ended = lstat(path, &st) == 0;
	if (where < 0) {
		snprintf(v->wrong, sizeof v->wrong, "there is no journal");
		return;
	}
	char *p = v->text, *end = v->text + v->size, *newline;
	for (; p < end && (newline = memchr(p, '\n', (size_t)(end - p))) && !v->wrong[0]; p = newline + 1)
		look_at_line(v, p, (size_t)(newline - p));
	v->torn = (size_t)(end - p);
	if (v->live && v->ended)
		snprintf(v->wrong, sizeof v->wrong, "it is live and in backup");
}

static bool
among(const char *name, const char *const names[])
{
	for (; *names; names++)
		if (strcmp(*names, name) == 0)
			return true;
	return false;
}

/* The first wrong name in a folder, in `found`. */
static bool
wrong_name(const char *folder, const char *const right[], const char *const beside[], char found[PATH_MAX])
{
	DIR *d = opendir(folder);
	bool wrong = false;
	for (struct dirent *e; d && !wrong && (e = readdir(d));) {
		const char *name = e->d_name;
		bool fine = strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || (right ? among(name, right) : name[0] != '.');
		for (int i = 0; beside[i] && !fine; i++)
			fine = strncmp(name, beside[i], strlen(beside[i])) == 0;
		if (!fine)
			snprintf(found, PATH_MAX, "%s/%s", folder, name);
		wrong = !fine;
	}
	if (d)
		closedir(d);
	return wrong;
}

const char *
world_leftover(bool over)
{
	static const char *const files[] = {"beats", "bell", "calls", "checkpoint", "coordinator", "journal.jsonl", "operation.json", "operation.log", NULL};
	static const char *const none[] = {NULL}, *const of_operation[] = {".checkpoint.", ".operation.", NULL}, *const of_ledger[] = {".new-", NULL},
		*const of_backup[] = {".old-", NULL};
	static char found[PATH_MAX];
	char path[PATH_MAX];
	if (wrong_name("ledger", NULL, over ? none : of_ledger, found) || wrong_name("ledger/backup", NULL, over ? none : of_backup, found) ||
	    wrong_name("ledger/keys", NULL, none, found))
		return found;
	if (!*world.id)
		return NULL;
	snprintf(path, sizeof path, "ledger/%s", world.id);
	if (wrong_name(path, files, over ? none : of_operation, found))
		return found;
	snprintf(path, sizeof path, "ledger/backup/%s", world.id);
	return wrong_name(path, files, over ? none : of_operation, found) ? found : NULL;
}

const char *
world_papers(const struct view *v)
{
	char path[PATH_MAX];
	struct stat st;
	struct json j;
	struct why why;
	int lines = 0;
	snprintf(path, sizeof path, "ledger/backup/%s/operation.json", world.id);
	if (lstat(path, &st) < 0)
		return "there is no operation.json";
	char *text = read_all(path, (size_t)st.st_size);
	bool right = json_parse(&j, text, (size_t)st.st_size, &why) == 0 && json_get(&j, 0, "state") >= 0;
	if (right)
		json_free(&j);
	free(text);
	if (!right)
		return "operation.json is no JSON, or has no state";
	snprintf(path, sizeof path, "ledger/backup/%s/operation.log", world.id);
	if (lstat(path, &st) < 0)
		return "there is no operation.log";
	text = read_all(path, (size_t)st.st_size);
	for (off_t i = 0; i < st.st_size; i++)
		lines += text[i] == '\n';
	free(text);
	return lines == v->n ? NULL : "operation.log has not a line for each entry";
}

void
world_age_dead(void)
{
	struct timespec t[2] = {{.tv_sec = time(NULL) - 7200}, {.tv_sec = time(NULL) - 7200}};
	DIR *d = opendir("ledger");
	for (struct dirent *e; d && (e = readdir(d));)
		if (strncmp(e->d_name, ".new-", 5) == 0)
			(void)utimensat(dirfd(d), e->d_name, t, AT_SYMLINK_NOFOLLOW);
	if (d)
		closedir(d);
}

/* --- temp resources --- */

const char *
world_resources(const struct view *v, bool failures)
{
	static char found[PATH_MAX + 200];
	static struct {
		char path[PATH_MAX], result[20];
		bool there;
	} r[64];
	struct stat st;
	memset(r, 0, sizeof r);
	for (int i = 0; i < v->n; i++) {
		if (strncmp(v->event[i], "resource.", 9) != 0)
			continue;
		char line[4096];
		snprintf(line, sizeof line, "%.*s", (int)strcspn(v->line[i], "\n"), v->line[i]);
		int64_t id = number_in(line, "\"resourceId\":");
		if (id < 1 || id >= 64)
			continue;
		if (strcmp(v->event[i], "resource.added") == 0) {
			r[id].there = true;
			text_in(line, "\"path\":\"", r[id].path, sizeof r[id].path);
		} else if (strcmp(v->event[i], "resource.removed") == 0) {
			if (!r[id].there || (*r[id].result && strcmp(r[id].result, "failed") != 0)) {
				snprintf(found, sizeof found, "resource %d was removed again, or never registered", (int)id);
				return found;
			}
			text_in(line, "\"result\":\"", r[id].result, sizeof r[id].result);
		}
	}
	for (int i = 0; i < 64; i++) {
		bool is_gone = strcmp(r[i].result, "removed") == 0 || strcmp(r[i].result, "gone") == 0;
		bool may_be = is_gone || strcmp(r[i].result, "kept") == 0 || (failures && strcmp(r[i].result, "left") == 0);
		if (!r[i].there)
			continue;
		if (!may_be || (is_gone && *r[i].path && lstat(r[i].path, &st) == 0)) {
			snprintf(found, sizeof found, "resource %d, %s: result '%s', and it is %s", i, r[i].path, r[i].result,
				*r[i].path && lstat(r[i].path, &st) == 0 ? "there" : "not there");
			return found;
		}
	}
	if (lstat("home/other", &st) < 0)
		return "what nobody registered is gone";
	DIR *d = opendir("home");
	found[0] = '\0';
	for (struct dirent *e; d && !*found && (e = readdir(d));) {
		bool fine = e->d_name[0] == '.' || strcmp(e->d_name, "other") == 0 || strcmp(e->d_name, "thing") == 0 || strcmp(e->d_name, "undone") == 0 ||
			strncmp(e->d_name, "keep.", 5) == 0;
		for (int i = 0; i < 64 && !fine; i++)
			fine = failures && strcmp(r[i].result, "left") == 0 && *r[i].path && strcmp(strrchr(r[i].path, '/') + 1, e->d_name) == 0;
		if (!fine)
			snprintf(found, sizeof found, "home/%s is left, and not reported", e->d_name);
	}
	if (d)
		closedir(d);
	return *found ? found : NULL;
}

/* --- processes --- */

pid_t
world_idle(void)
{
	if (!world.idle) {
		world.idle = fork();
		if (world.idle < 0)
			world_die("fork: %s", strerror(errno));
		if (world.idle == 0)
			for (;;)
				pause();
	}
	return world.idle;
}

bool
world_idle_ends(void)
{
	int status;
	bool ended = false;
	for (int i = 0; world.idle && i < 1000 && !ended; i++) {
		struct timespec t = {.tv_nsec = 1000000};
		ended = waitpid(world.idle, &status, WNOHANG) != 0;
		if (!ended)
			nanosleep(&t, NULL);
	}
	if (world.idle && !ended) {
		kill(world.idle, SIGKILL);
		waitpid(world.idle, &status, 0);
	}
	world.idle = 0;
	return ended;
}

/* One of our children, 0 where there is none. */
static pid_t
a_child(void)
{
	char path[64];
	long pid = 0;
	snprintf(path, sizeof path, "/proc/self/task/%ld/children", (long)getpid());
	FILE *f = fopen(path, "re");
	if (f && fscanf(f, "%ld", &pid) != 1)
		pid = 0;
	if (f)
		fclose(f);
	return (pid_t)pid;
}

/* Reap what has ended; false where no child is left. */
static bool
reap(void)
{
	int status;
	pid_t pid;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		;
	return pid == 0;
}

pid_t
world_processes(void)
{
	for (int i = 0; reap(); i++) {
		struct timespec t = {.tv_nsec = 1000000};
		if (i == 1000)
			return a_child();
		nanosleep(&t, NULL);
	}
	return 0;
}

void
world_kill_processes(void)
{
	while (reap()) {
		struct timespec t = {.tv_nsec = 1000000};
		pid_t pid = a_child();
		if (pid)
			kill(pid, SIGKILL);
		nanosleep(&t, NULL);
	}
}
