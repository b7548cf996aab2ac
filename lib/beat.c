/* beat: one file of beats/, which says that somebody is alive. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "beat.h"
#include "clock.h"
#include "fsx.h"
#include "hash.h"
#include "json.h"
#include "text.h"

enum {
	LINE_MAX_BYTES = 2048,
	READS = 5,
	HELD_FROM = 60, /* a descriptor that is held: above all others, below what makes the kernel's table grow (64) */
};

/* --- who --- */

struct beat_id
beat_here(void)
{
	static struct beat_id here;
	static bool known;
	if (!known) {
		here = (struct beat_id){.pid = -1, .start = -1, .watched = -1, .watched_start = -1, .ttl_ms = -1, .uid = geteuid()};
		here.pid_ns = proc_namespace("pid");
		here.time_ns = proc_namespace("time");
		proc_boot_id(here.boot);
		proc_machine_id(here.machine);
		if (gethostname(here.host, sizeof here.host - 1) < 0 || !text_valid(here.host, strlen(here.host)))
			here.host[0] = '\0';
		known = true;
	}
	return here;
}

static void
name_file(const char *kind, const char *name, char file[BEAT_FILE_MAX])
{
	char encoded[ID_FILE_MAX + 1];
	id_file(name, encoded);
	snprintf(file, BEAT_FILE_MAX, "beats/%s-%s", kind, encoded);
}

void
beat_person_file(const char *name, char file[BEAT_FILE_MAX])
{
	name_file("p", name, file);
}

void
beat_call_file(const char *call, char file[BEAT_FILE_MAX])
{
	name_file("c", call, file);
}

void
beat_watchdog_file(const char *call, char file[BEAT_FILE_MAX])
{
	name_file("w", call, file);
}

void
beat_describe(const struct beat_id *id, char *text, size_t size)
{
	char command[160];
	struct beat_id here = beat_here();
	if (id->pid_ns == here.pid_ns && strcmp(id->boot, here.boot) == 0) {
		proc_command(id->pid, command, sizeof command);
		snprintf(text, size, "pid %lld (%s)", (long long)id->pid, command);
	} else if (id->mode == BEAT_REMOTE) {
		snprintf(text, size, "pid %lld on %s", (long long)id->pid, id->host);
	} else {
		snprintf(text, size, "pid %lld of another PID namespace or host, %s", (long long)id->pid, id->host);
	}
}

/* --- the line --- */

const char *
beat_mode_name(enum beat_mode mode)
{
	return mode == BEAT_HELD ? "held" : mode == BEAT_REMOTE ? "remote" : "leased";
}

static void
put_line(struct buf *b, const struct beat_id *id)
{
	char sum[17];
	json_open(b, NULL, '{');
	json_put(b, "mode", beat_mode_name(id->mode));
	json_put_int(b, "pid", id->pid);
	json_put_int(b, "pidStart", id->start);
	json_put(b, "bootId", id->boot);
	json_put(b, "machineId", id->machine);
	json_put_int(b, "pidNs", (int64_t)id->pid_ns);
	json_put_int(b, "timeNs", (int64_t)id->time_ns);
	json_put(b, "host", id->host);
	json_put_int(b, "uid", id->uid);
	json_put_int(b, "watchedPid", id->watched);
	json_put_int(b, "watchedStart", id->watched_start);
	json_put_int(b, "ttlMs", id->ttl_ms);
	json_put_bool(b, "ttlGiven", id->ttl_given);
	if (id->nameless)
		json_put_bool(b, "nameless", true);
	hash_hex(b->failed ? 0 : hash_bytes(0, b->p, b->n), sum);
	json_put(b, "sum", sum);
	json_close(b, '}');
	buf_char(b, '\n');
}

static bool
sum_is_right(const struct json *j, const char *text)
{
	size_t n;
	char sum[17];
	const char *raw = json_raw(j, json_get(j, 0, "sum"), &n);
	static const size_t before = sizeof ",\"sum\":\"" - 1;
	if (!raw || n != 16 || raw < text + before)
		return false;
	hash_hex(hash_bytes(0, text, (size_t)(raw - text) - before), sum);
	return memcmp(sum, raw, 16) == 0;
}

static int64_t
number(const struct json *j, const char *name)
{
	int64_t value = -1;
	(void)json_integer(j, json_get(j, 0, name), -1, JSON_INT_MAX, &value);
	return value;
}

static bool
take_line(const char *text, size_t n, struct beat_id *id)
{
	struct json j;
	struct why ignored;
	char mode[8];
	const char *newline = memchr(text, '\n', n);
	if (!newline || json_parse(&j, text, (size_t)(newline - text), &ignored) < 0)
		return false;
	bool right = sum_is_right(&j, text) && json_copy(&j, json_get(&j, 0, "mode"), mode, sizeof mode) == 0 &&
		json_copy(&j, json_get(&j, 0, "bootId"), id->boot, sizeof id->boot) == 0 &&
		json_copy(&j, json_get(&j, 0, "machineId"), id->machine, sizeof id->machine) == 0 &&
		json_copy(&j, json_get(&j, 0, "host"), id->host, sizeof id->host) == 0 &&
		json_boolean(&j, json_get(&j, 0, "ttlGiven"), &id->ttl_given) == 0;
	if (right) {
		id->mode = strcmp(mode, "held") == 0 ? BEAT_HELD : strcmp(mode, "remote") == 0 ? BEAT_REMOTE : BEAT_LEASED;
		id->nameless = json_true(&j, 0, "nameless");
		id->pid = number(&j, "pid");
		id->start = number(&j, "pidStart");
		id->watched = number(&j, "watchedPid");
		id->watched_start = number(&j, "watchedStart");
		id->pid_ns = (uint64_t)number(&j, "pidNs");
		id->time_ns = (uint64_t)number(&j, "timeNs");
		id->uid = number(&j, "uid");
		id->ttl_ms = number(&j, "ttlMs");
	}
	json_free(&j);
	return right;
}

/* --- writing --- */

static void
now(struct timespec t[2])
{
	int64_t wall = clock_wall_ms(), mono = clock_mono_ms();
	t[0] = (struct timespec){.tv_sec = (time_t)(wall / 1000), .tv_nsec = wall % 1000 * 1000000};
	t[1] = (struct timespec){.tv_sec = (time_t)(mono / 1000), .tv_nsec = mono % 1000 * 1000000};
}

int
beat_touch(int fd)
{
	struct timespec t[2];
	now(t);
	return futimens(fd, t);
}

int
beat_touch_file(int dir, const char *file)
{
	struct timespec t[2];
	now(t);
	return utimensat(dir, file, t, AT_SYMLINK_NOFOLLOW);
}

int
beat_touch_watchdog(const char *path)
{
	struct timespec t[2];
	now(t);
	return utimensat(AT_FDCWD, path, t, 0);
}

static mode_t
mode_of(enum beat_state state)
{
	return state == BEAT_SUSPENDED ? 0700 : state == BEAT_ENDING ? 0400 : 0600;
}

int
beat_set_state(int fd, enum beat_state state)
{
	return fchmod(fd, mode_of(state));
}

int
beat_set_file_state(int dir, const char *file, enum beat_state state)
{
	return fchmodat(dir, file, mode_of(state), 0);
}

/* Write the line into a file that is `size` bytes long. */
static int
write_line(int fd, off_t size, const struct beat_id *id)
{
	struct buf b = {0};
	put_line(&b, id);
	int rc = b.failed ? -1 : fsx_pwrite(fd, b.p, b.n, 0);
	/* The line ends at its newline; what an older, longer one left behind it goes after. */
	if (rc == 0)
		rc = size <= (off_t)b.n || ftruncate(fd, (off_t)b.n) == 0 ? beat_touch(fd) : -1;
	int e = b.failed ? ENOMEM : errno;
	buf_free(&b);
	errno = e;
	return rc;
}

int
beat_rewrite(int fd, const struct beat_id *id)
{
	struct stat st;
	return fstat(fd, &st) < 0 ? -1 : write_line(fd, st.st_size, id);
}

static struct flock
whole_file(short type)
{
	return (struct flock){.l_type = type, .l_whence = SEEK_SET};
}

/* Open it for holding, made if need be. */
static int
open_file(int dir, const char *file)
{
	int fd = fsx_open(dir, file, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (fd < 0 && errno == EACCES && beat_set_file_state(dir, file, BEAT_RUNNING) == 0)
		fd = fsx_open(dir, file, O_RDWR | O_NOFOLLOW | O_NONBLOCK, 0); /* what a dead one left, 0400 */
	return fd;
}

/* Open it, lock it, write it: what beat_hold says. */
static int
take(int dir, const char *file, const struct beat_id *id, struct beat *other)
{
	for (;;) {
		struct stat st, named = {.st_ino = 0};
		struct flock lock = whole_file(F_WRLCK);
		int fd = open_file(dir, file), e;
		if (fd < 0)
			return -1;
		if (fcntl(fd, F_OFD_SETLK, &lock) == 0) {
			/* It may have been deleted, and made anew by somebody else, before it was locked. */
			bool known = fstat(fd, &st) == 0 && (fstatat(dir, file, &named, AT_SYMLINK_NOFOLLOW) == 0 || errno == ENOENT);
			bool same = known && st.st_ino == named.st_ino;
			bool running = same && (st.st_mode & 0777) == mode_of(BEAT_RUNNING);
			if (same && write_line(fd, st.st_size, id) == 0 && (running || beat_set_state(fd, BEAT_RUNNING) == 0))
				return fd;
			e = errno;
			close(fd);
			if (known && !same)
				continue;
			errno = e;
			return -1;
		}
		e = errno == EACCES ? EAGAIN : errno;
		close(fd);
		if (other && beat_look(dir, file, other) < 0)
			*other = (struct beat){.known = false};
		errno = e;
		return -1;
	}
}

/* Of a process that dies the kernel closes the highest descriptor first, and closing an inotify instance may take it 20 ms:
 * the others shall know before. */
static int
lift(int fd)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, HELD_FROM);
	if (high < 0)
		return fd;
	close(fd);
	return high;
}

int
beat_hold(int dir, const char *file, const struct beat_id *id, struct beat *other)
{
	int fd = take(dir, file, id, other);
	return fd < 0 ? -1 : lift(fd);
}

int
beat_lease(int dir, const char *file, const struct beat_id *id)
{
	/* Held for the moment of writing: a keeper that has it keeps it, and its own line stands. */
	int fd = take(dir, file, id, NULL);
	if (fd < 0)
		return errno == EAGAIN ? 0 : -1;
	close(fd);
	return 0;
}

/* --- reading --- */

/* O_NOATIME: reading must not count as a beat.  Only the owner may ask for it. */
static int
open_to_look(int dir, const char *file)
{
	int fd = fsx_open(dir, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOATIME, 0);
	if (fd < 0 && errno == EPERM)
		fd = fsx_open(dir, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	return fd;
}

static bool
is_locked(int fd)
{
	struct flock lock = whole_file(F_WRLCK);
	return fcntl(fd, F_OFD_GETLK, &lock) < 0 || lock.l_type != F_UNLCK; /* one that cannot be asked for has not fallen */
}

/* A file's times may be anything that its filesystem can carry; what no clock will ever say is far away, and no more. */
static int64_t
in_ms(struct timespec t)
{
	const int64_t most = INT64_MAX / 8 / 1000;
	int64_t s = t.tv_sec > most ? most : t.tv_sec < -most ? -most : t.tv_sec;
	return s * 1000 + t.tv_nsec / 1000000;
}

bool
beat_is_held(int dir, const char *file)
{
	int fd = open_to_look(dir, file);
	bool held = fd >= 0 ? is_locked(fd) : errno != ENOENT;
	if (fd >= 0)
		close(fd);
	return held;
}

int
beat_when(int dir, const char *file, int64_t *mono_ms)
{
	struct stat st;
	if (fstatat(dir, file, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	*mono_ms = in_ms(st.st_mtim);
	return 0;
}

int
beat_when_open(int fd, int64_t *mono_ms)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return -1;
	*mono_ms = in_ms(st.st_mtim);
	return 0;
}

int
beat_look(int dir, const char *file, struct beat *b)
{
	char text[LINE_MAX_BYTES];
	struct stat st;
	*b = (struct beat){.known = false};
	int fd = open_to_look(dir, file);
	if (fd < 0)
		return -1;
	/* The lock before the line: who lets go in between has written it. */
	b->locked = is_locked(fd);
	for (int i = 0; i < READS && !b->known; i++) {
		ssize_t n = pread(fd, text, sizeof text, 0); /* a line is written at once; one that is cut is read again */
		b->known = n > 0 && take_line(text, (size_t)n, &b->id);
		if (!b->known && i + 1 < READS)
			usleep(1000); /* it is being written */
	}
	int rc = fstat(fd, &st), e = errno;
	if (rc == 0) {
		b->wall_ms = in_ms(st.st_atim);
		b->mono_ms = in_ms(st.st_mtim);
		b->state = st.st_mode & S_IXUSR ? BEAT_SUSPENDED : st.st_mode & S_IWUSR ? BEAT_RUNNING : BEAT_ENDING;
	}
	close(fd);
	errno = e;
	return rc;
}
