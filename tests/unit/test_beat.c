/* test_beat - the file that says that somebody is alive */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "beat.h"
#include "clock.h"
#include "unit.h"

#define FILE_NAME "beats/p-w"

/* --- a folder of an operation --- */

static char folder[200];
static int dir = -1;

static void
begin_in(const char *base)
{
	snprintf(folder, sizeof folder, "%.150s/test_beat.XXXXXX", base ? base : "/tmp");
	dir = mkdtemp(folder) ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	CHECK(dir >= 0 && mkdirat(dir, "beats", 0700) == 0);
}

static void
begin(void)
{
	begin_in(getenv("TMPDIR"));
}

static void
end(void)
{
	(void)unlinkat(dir, FILE_NAME, 0);
	(void)unlinkat(dir, FILE_NAME, AT_REMOVEDIR);
	CHECK(unlinkat(dir, "beats", AT_REMOVEDIR) == 0 && rmdir(folder) == 0);
	close(dir);
}

static struct beat_id
somebody(enum beat_mode mode)
{
	struct beat_id id = beat_here();
	id.mode = mode;
	id.pid = getpid();
	id.start = proc_start(getpid());
	return id;
}

static bool
same_id(const struct beat_id *a, const struct beat_id *b)
{
	return a->mode == b->mode && a->ttl_given == b->ttl_given && a->ttl_ms == b->ttl_ms && a->pid == b->pid && a->start == b->start &&
		a->watched == b->watched && a->watched_start == b->watched_start && a->uid == b->uid && a->pid_ns == b->pid_ns &&
		a->time_ns == b->time_ns && strcmp(a->boot, b->boot) == 0 && strcmp(a->machine, b->machine) == 0 && strcmp(a->host, b->host) == 0;
}

static size_t
content(char *text, size_t size)
{
	int fd = openat(dir, FILE_NAME, O_RDONLY | O_NOATIME);
	ssize_t n = fd < 0 ? -1 : read(fd, text, size);
	if (fd >= 0)
		close(fd);
	return n > 0 ? (size_t)n : 0;
}

static void
overwrite(const char *text, size_t n)
{
	int fd = openat(dir, FILE_NAME, O_WRONLY | O_TRUNC);
	CHECK(fd >= 0 && write(fd, text, n) == (ssize_t)n);
	close(fd);
}

static mode_t
mode(void)
{
	struct stat st;
	return fstatat(dir, FILE_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0 ? st.st_mode & 07777 : 0;
}

/* --- who --- */

static void
here_is_one_place(void)
{
	struct beat_id a = beat_here(), b = beat_here();
	char boot[PROC_BOOT_ID];
	proc_boot_id(boot);
	CHECK(same_id(&a, &b));
	CHECK(a.pid == -1 && a.start == -1 && a.watched == -1 && a.watched_start == -1 && a.ttl_ms == -1 && a.uid == (int64_t)geteuid());
	CHECK(strlen(a.boot) == 36 && strcmp(a.boot, boot) == 0 && a.pid_ns > 0);
}

static void
names_of_files(void)
{
	char file[BEAT_FILE_MAX], name[ID_NAME_MAX + 1];
	beat_person_file("w-1.a_B", file);
	CHECK_TEXT(file, "beats/p-w-1.a_B");
	beat_person_file("a/b %", file);
	CHECK_TEXT(file, "beats/p-a%2Fb%20%25");
	beat_call_file("call_w_1_ab12", file);
	CHECK_TEXT(file, "beats/c-call_w_1_ab12");
	beat_watchdog_file("a:b", file);
	CHECK_TEXT(file, "beats/w-a%3Ab");
	memset(name, '/', ID_NAME_MAX);
	name[ID_NAME_MAX] = '\0';
	beat_person_file(name, file);
	CHECK(strlen(file) == strlen("beats/p-") + 3 * ID_NAME_MAX && strlen(file) < sizeof file);
}

/* --- the line --- */

static void
what_is_written_is_read(void)
{
	begin();
	for (int i = 0; i < 200; i++) {
		struct beat_id id = somebody(i % 2 ? BEAT_HELD : BEAT_LEASED);
		static const char *const hosts[] = {"", "h", "caf\xc3\xa9", "\"quoted\\\"", "a\tb\x01",
			"0123456789012345678901234567890123456789012345678901234567890123"};
		static const int64_t numbers[] = {-1, 0, 1, INT32_MAX, (INT64_C(1) << 53) - 1};
		id.pid = numbers[unit_below(5)];
		id.start = numbers[unit_below(5)];
		id.watched = numbers[unit_below(5)];
		id.watched_start = numbers[unit_below(5)];
		id.ttl_ms = numbers[unit_below(5)];
		id.ttl_given = unit_below(2);
		snprintf(id.host, sizeof id.host, "%s", hosts[unit_below(6)]);
		if (unit_below(4) == 0)
			id.boot[0] = id.machine[0] = '\0';
		int fd = beat_hold(dir, FILE_NAME, &id, NULL);
		struct beat b;
		CHECK(fd >= 0);
		CHECK(beat_look(dir, FILE_NAME, &b) == 0 && b.known && b.locked && b.state == BEAT_RUNNING && same_id(&b.id, &id));
		close(fd);
		CHECK(beat_look(dir, FILE_NAME, &b) == 0 && b.known && !b.locked && same_id(&b.id, &id));
	}
	end();
}

/* A line that is cut anywhere, or wrong in any byte, is no line. */
static void
a_torn_line_is_none(void)
{
	char text[2048];
	struct beat b;
	struct beat_id id = somebody(BEAT_HELD);
	begin();
	CHECK_INT(beat_lease(dir, FILE_NAME, &id), 0);
	size_t n = content(text, sizeof text);
	CHECK(n > 200 && n < sizeof text - 100 && text[n - 1] == '\n');
	for (size_t cut = 0; cut < n; cut += cut < n - 30 ? 29 : 1) {
		overwrite(text, cut);
		if (!CHECK(beat_look(dir, FILE_NAME, &b) == 0 && !b.known && b.id.mode == BEAT_LEASED && !b.locked))
			printf("# cut at %zu\n", cut);
	}
	for (size_t at = 0; at < n; at += 1 + unit_below(6)) {
		char was = text[at];
		text[at] = (char)(was ^ (1 << unit_below(7)));
		overwrite(text, n);
		if (!CHECK(beat_look(dir, FILE_NAME, &b) == 0 && !b.known))
			printf("# byte %zu, '%c' for '%c'\n", at, text[at], was);
		text[at] = was;
	}
	/* What an older, longer line left behind it is nothing. */
	memcpy(text + n, "\"sum\":\"0123456789abcdef\"}\n\0\xff", 29);
	overwrite(text, n + 29);
	CHECK(beat_look(dir, FILE_NAME, &b) == 0 && b.known && same_id(&b.id, &id));
	end();
}

static void
hostile_lines(void)
{
	static const char *const lines[] = {"\n", "{}\n", "[]\n", "null\n", "{\"sum\":\"\"}\n", "{\"sum\":\"0000000000000000\"}\n",
		"{\"mode\":\"held\",\"sum\":5}\n", "\"sum\":\"0000000000000000\"\n", "{\"sum\":{\"sum\":\"0000000000000000\"}}\n", "\xff\xfe\n",
		"{\"mode\":\"held\",\"mode\":\"held\",\"sum\":\"0000000000000000\",\"sum\":\"0000000000000000\"}\n"};
	struct beat b;
	struct beat_id id = somebody(BEAT_HELD);
	begin();
	CHECK_INT(beat_lease(dir, FILE_NAME, &id), 0);
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		overwrite(lines[i], strlen(lines[i]));
		CHECK(beat_look(dir, FILE_NAME, &b) == 0 && !b.known);
	}
	char deep[2500];
	memset(deep, '[', sizeof deep);
	deep[2047] = '\n';
	overwrite(deep, sizeof deep);
	CHECK(beat_look(dir, FILE_NAME, &b) == 0 && !b.known);
	/* And it can be held again, with a good line. */
	int fd = beat_hold(dir, FILE_NAME, &id, NULL);
	CHECK(fd >= 0 && beat_look(dir, FILE_NAME, &b) == 0 && b.known && same_id(&b.id, &id));
	close(fd);
	end();
}

/* Written again and again, by lines of different lengths, while it is read: never half of one and half of the other. */
static void
readers_beside_a_writer(void)
{
	struct beat_id one = somebody(BEAT_HELD), two = somebody(BEAT_LEASED);
	begin();
	two.ttl_given = true;
	two.ttl_ms = 123456789;
	snprintf(two.host, sizeof two.host, "another.host.with.a.longer.name.example.org");
	CHECK_INT(beat_lease(dir, FILE_NAME, &one), 0);
	pid_t writer = fork();
	if (writer == 0) {
		int fd = beat_hold(dir, FILE_NAME, &one, NULL);
		if (fd < 0)
			_exit(1);
		for (int i = 0;; i++) {
			(void)beat_rewrite(fd, i % 2 ? &one : &two);
			if (i % 16 == 0)
				usleep(200);
		}
	}
	struct beat b;
	int unknown = 0;
	for (int i = 0; i < 20000; i++) {
		if (!CHECK_INT(beat_look(dir, FILE_NAME, &b), 0))
			break;
		unknown += !b.known;
		if (b.known && !CHECK(same_id(&b.id, &one) || same_id(&b.id, &two)))
			break;
	}
	kill(writer, SIGKILL);
	waitpid(writer, NULL, 0);
	if (!CHECK(unknown < 200))
		printf("# %d of 20000 reads gave nothing\n", unknown);
	end();
}

/* --- holding --- */

static void
a_second_holder_is_refused(void)
{
	struct beat_id id = somebody(BEAT_HELD), other = somebody(BEAT_HELD);
	struct beat b = {.locked = true};
	begin();
	id.watched = 4711;
	other.watched = 4712;
	CHECK(!beat_is_held(dir, FILE_NAME));
	int fd = beat_hold(dir, FILE_NAME, &id, &b);
	CHECK(fd >= 0 && beat_is_held(dir, FILE_NAME) && mode() == 0600);
	CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	/* Also within one process: the lock belongs to the open file, and reading it does not lose it. */
	CHECK(beat_hold(dir, FILE_NAME, &other, &b) < 0 && errno == EAGAIN);
	CHECK(b.known && b.locked && same_id(&b.id, &id));
	CHECK(beat_hold(dir, FILE_NAME, &other, NULL) < 0 && errno == EAGAIN);
	CHECK(beat_look(dir, FILE_NAME, &b) == 0 && b.locked && same_id(&b.id, &id));
	CHECK(beat_is_held(dir, FILE_NAME));
	/* Its times move, and nothing else, when a lease would be written. */
	other.mode = BEAT_LEASED;
	CHECK_INT(beat_lease(dir, FILE_NAME, &other), 0);
	CHECK(beat_look(dir, FILE_NAME, &b) == 0 && b.locked && same_id(&b.id, &id));
	close(fd);
	CHECK(!beat_is_held(dir, FILE_NAME));
	CHECK_INT(beat_lease(dir, FILE_NAME, &other), 0);
	CHECK(beat_look(dir, FILE_NAME, &b) == 0 && !b.locked && same_id(&b.id, &other));
	fd = beat_hold(dir, FILE_NAME, &id, NULL);
	CHECK(fd >= 0 && beat_look(dir, FILE_NAME, &b) == 0 && b.locked && same_id(&b.id, &id));
	/* Given back. */
	CHECK_INT(beat_rewrite(fd, &other), 0);
	CHECK(beat_look(dir, FILE_NAME, &b) == 0 && b.locked && same_id(&b.id, &other));
	close(fd);
	end();
}

/* SIGKILL, with another process that was started meanwhile still there. */
static void
the_lock_falls_with_its_holder(void)
{
	struct beat_id id = somebody(BEAT_HELD);
	struct beat b;
	int ready[2];
	begin();
	CHECK(pipe(ready) == 0);
	pid_t holder = fork();
	if (holder == 0) {
		int fd = beat_hold(dir, FILE_NAME, &id, NULL);
		pid_t heir = fork();
		if (heir == 0) {
			execlp("sleep", "sleep", "1000", (char *)NULL);
			_exit(127);
		}
		/* The heir is known to have left this program once its name has changed. */
		struct proc p;
		while (proc_look(heir, &p) == 0 && strcmp(p.name, "sleep") != 0)
			usleep(1000);
		(void)!write(ready[1], &heir, sizeof heir);
		for (;;)
			pause();
		_exit(fd);
	}
	pid_t heir = 0;
	CHECK(read(ready[0], &heir, sizeof heir) == sizeof heir && heir > 0);
	CHECK(beat_look(dir, FILE_NAME, &b) == 0 && b.locked);
	kill(holder, SIGKILL);
	waitpid(holder, NULL, 0);
	CHECK(beat_look(dir, FILE_NAME, &b) == 0 && !b.locked && b.known && same_id(&b.id, &id));
	kill(heir, SIGKILL);
	close(ready[0]);
	close(ready[1]);
	end();
}

/* Deleted and made anew between opening and locking: whoever holds it holds the file of that name, alone. */
static void
deleted_and_made_anew(void)
{
	struct shared {
		atomic_int in, most, rounds, wrong;
	} *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct beat_id id = somebody(BEAT_HELD);
	pid_t pid[6];
	begin();
	for (int i = 0; i < 6; i++) {
		pid[i] = fork();
		if (pid[i])
			continue;
		for (int round = 0; round < 500;) {
			struct stat st, named;
			int fd = beat_hold(dir, FILE_NAME, &id, NULL);
			if (fd < 0) {
				s->wrong += errno != EAGAIN;
				usleep(unit_below(50));
				continue;
			}
			round++;
			s->wrong += atomic_fetch_add(&s->in, 1) != 0;
			s->wrong += fstat(fd, &st) < 0 || fstatat(dir, FILE_NAME, &named, 0) < 0 || st.st_ino != named.st_ino || st.st_size == 0;
			s->rounds++;
			atomic_fetch_sub(&s->in, 1);
			if (round % 3)
				(void)unlinkat(dir, FILE_NAME, 0);
			close(fd);
		}
		_exit(0);
	}
	for (int i = 0; i < 6; i++)
		waitpid(pid[i], NULL, 0);
	if (!CHECK(s->wrong == 0 && s->rounds == 3000 && s->in == 0))
		printf("# %d wrong, %d rounds, %d in\n", s->wrong, s->rounds, s->in);
	munmap(s, sizeof *s);
	end();
}

static void
odd_things_in_its_place(void)
{
	struct beat_id id = somebody(BEAT_HELD);
	struct beat b;
	begin();
	CHECK(beat_look(dir, FILE_NAME, &b) < 0 && errno == ENOENT && !b.known && !b.locked);
	CHECK(beat_touch_file(dir, FILE_NAME) < 0 && errno == ENOENT);
	CHECK(beat_look(dir, "beats/p-w/x", &b) < 0 && beat_hold(dir, "gone/p-w", &id, NULL) < 0 && errno == ENOENT);
	/* A link is not followed. */
	CHECK(symlinkat("../elsewhere", dir, FILE_NAME) == 0);
	CHECK(beat_hold(dir, FILE_NAME, &id, NULL) < 0 && errno == ELOOP);
	CHECK(beat_lease(dir, FILE_NAME, &id) < 0 && beat_look(dir, FILE_NAME, &b) < 0);
	CHECK(faccessat(dir, "elsewhere", F_OK, 0) < 0);
	CHECK(unlinkat(dir, FILE_NAME, 0) == 0);
	/* A pipe hangs nobody. */
	CHECK(mkfifoat(dir, FILE_NAME, 0600) == 0);
	int fd = beat_hold(dir, FILE_NAME, &id, NULL);
	CHECK(fd < 0);
	CHECK(beat_look(dir, FILE_NAME, &b) < 0 || !b.known);
	CHECK(unlinkat(dir, FILE_NAME, 0) == 0 && mkdirat(dir, FILE_NAME, 0700) == 0);
	CHECK(beat_hold(dir, FILE_NAME, &id, NULL) < 0 && beat_lease(dir, FILE_NAME, &id) < 0);
	CHECK(beat_look(dir, FILE_NAME, &b) < 0 || !b.known);
	end();
}

/* --- what the mode says --- */

static void
modes_of_one_user(void)
{
	static const mode_t modes[] = {[BEAT_RUNNING] = 0600, [BEAT_SUSPENDED] = 0700, [BEAT_ENDING] = 0400};
	struct beat_id id = somebody(BEAT_HELD);
	struct beat b;
	int fd = beat_hold(dir, FILE_NAME, &id, NULL);
	CHECK(fd >= 0);
	for (int state = BEAT_RUNNING; state <= BEAT_ENDING; state++)
		for (int by_name = 0; by_name < 2; by_name++) {
			CHECK_INT(beat_set_state(fd, BEAT_RUNNING), 0);
			CHECK_INT(by_name ? beat_set_file_state(dir, FILE_NAME, (enum beat_state)state) : beat_set_state(fd, (enum beat_state)state), 0);
			CHECK(mode() == modes[state] && beat_look(dir, FILE_NAME, &b) == 0 && (int)b.state == state && b.known && b.locked);
			/* A beat changes nothing of it, and is never refused. */
			CHECK(beat_touch(fd) == 0 && beat_touch_file(dir, FILE_NAME) == 0 && mode() == modes[state]);
		}
	close(fd);
	/* What a dead one left, 0400, is held again, or leased. */
	CHECK_INT(beat_set_file_state(dir, FILE_NAME, BEAT_ENDING), 0);
	fd = beat_hold(dir, FILE_NAME, &id, NULL);
	CHECK(fd >= 0 && mode() == 0600);
	close(fd);
	CHECK_INT(beat_set_file_state(dir, FILE_NAME, BEAT_ENDING), 0);
	CHECK(beat_lease(dir, FILE_NAME, &id) == 0 && mode() == 0600);
	CHECK_INT(beat_set_file_state(dir, FILE_NAME, BEAT_SUSPENDED), 0);
	fd = beat_hold(dir, FILE_NAME, &id, NULL);
	CHECK(fd >= 0 && mode() == 0600 && beat_look(dir, FILE_NAME, &b) == 0 && b.state == BEAT_RUNNING);
	close(fd);
}

/* Whatever the umask, and as root and as somebody to whom modes mean something. */
static void
modes(void)
{
	begin();
	modes_of_one_user();
	(void)unlinkat(dir, FILE_NAME, 0);
	pid_t child = geteuid() == 0 && fchownat(dir, "beats", 12345, 12345, 0) == 0 && fchown(dir, 12345, 12345) == 0 ? fork() : -1;
	if (child == 0) {
		unit_wrong = 0;
		umask(0);
		if (setgid(12345) < 0 || setuid(12345) < 0)
			_exit(0);
		modes_of_one_user();
		fflush(stdout);
		_exit(unit_wrong != 0);
	}
	int status = 0;
	if (child > 0)
		waitpid(child, &status, 0);
	CHECK_INT(status, 0);
	end();
}

/* --- the times --- */

static void
a_beat_is_its_times(void)
{
	struct beat_id id = somebody(BEAT_LEASED);
	struct beat b;
	begin();
	CHECK_INT(beat_lease(dir, FILE_NAME, &id), 0);
	for (int how = 0; how < 3; how++) {
		static const struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 2000}};
		CHECK_INT(utimensat(dir, FILE_NAME, old, 0), 0);
		CHECK(beat_look(dir, FILE_NAME, &b) == 0 && b.wall_ms == 1000000 && b.mono_ms == 2000000);
		int fd = openat(dir, FILE_NAME, O_RDWR);
		int64_t mono = clock_mono_ms(), wall = clock_wall_ms(), when = 0;
		CHECK_INT(how == 0 ? beat_touch(fd) : how == 1 ? beat_touch_file(dir, FILE_NAME) : beat_rewrite(fd, &id), 0);
		int64_t mono_then = clock_mono_ms(), wall_then = clock_wall_ms();
		CHECK(beat_look(dir, FILE_NAME, &b) == 0 && b.mono_ms >= mono && b.mono_ms <= mono_then && b.wall_ms >= wall && b.wall_ms <= wall_then);
		CHECK(beat_when(dir, FILE_NAME, &when) == 0 && when == b.mono_ms);
		CHECK(beat_when_open(fd, &when) == 0 && when == b.mono_ms);
		close(fd);
	}
	/* Looking is no beat, however often. */
	struct beat again;
	for (int i = 0; i < 3; i++) {
		usleep(3000);
		CHECK(beat_look(dir, FILE_NAME, &again) == 0 && again.wall_ms == b.wall_ms && again.mono_ms == b.mono_ms);
		CHECK(!beat_is_held(dir, FILE_NAME));
	}
	end();
}

/* A filesystem may carry times that no clock gives: they overflow nothing. */
static void
impossible_times(void)
{
	static const int64_t seconds[] = {INT64_MAX, INT64_MIN, INT64_MAX / 1000 + 1, INT64_MIN / 1000 - 1, -1, INT64_C(1) << 40};
	static const char *const places[] = {NULL, "/dev/shm"};
	for (int place = 0; place < 2; place++) {
		struct beat_id id = somebody(BEAT_LEASED);
		struct beat b;
		int64_t when;
		if (place && access(places[place], W_OK) < 0)
			continue;
		begin_in(place ? places[place] : getenv("TMPDIR"));
		CHECK_INT(beat_lease(dir, FILE_NAME, &id), 0);
		for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++) {
			struct timespec t[2] = {{.tv_sec = (time_t)seconds[i]}, {.tv_sec = (time_t)seconds[i]}};
			if (utimensat(dir, FILE_NAME, t, 0) < 0)
				continue; /* it does not take them: as well */
			CHECK(beat_look(dir, FILE_NAME, &b) == 0 && b.known);
			CHECK((b.wall_ms < 0) == (seconds[i] < 0) && llabs(b.wall_ms) < INT64_C(1) << 60);
			CHECK_INT(beat_when(dir, FILE_NAME, &when), 0);
			CHECK_INT(when, b.mono_ms);
		}
		end();
	}
}

static void
description(void)
{
	char text[300];
	struct beat_id id = somebody(BEAT_HELD);
	beat_describe(&id, text, sizeof text);
	CHECK(strstr(text, "test_beat") && strncmp(text, "pid ", 4) == 0);
	id.pid_ns++;
	snprintf(id.host, sizeof id.host, "there");
	beat_describe(&id, text, sizeof text);
	CHECK(!strstr(text, "test_beat") && strstr(text, "there"));
	id.pid_ns--;
	id.boot[0] ^= 1;
	beat_describe(&id, text, sizeof text);
	CHECK(!strstr(text, "test_beat") && strstr(text, "there"));
}

int
main(void)
{
	RUN(here_is_one_place);
	RUN(names_of_files);
	RUN(what_is_written_is_read);
	RUN(a_torn_line_is_none);
	RUN(hostile_lines);
	RUN(readers_beside_a_writer);
	RUN(a_second_holder_is_refused);
	RUN(the_lock_falls_with_its_holder);
	RUN(deleted_and_made_anew);
	RUN(odd_things_in_its_place);
	RUN(modes);
	RUN(a_beat_is_its_times);
	RUN(impossible_times);
	RUN(description);
	return unit_end();
}
