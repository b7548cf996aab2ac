/* test_watch - waiting for something to happen, and for nobody */
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "unit.h"
#include "watch.h"

/* A wait without an event lasts WATCH_LOOK_MS: what ended sooner was not ended by the clock. */
enum { SOON_MS = WATCH_LOOK_MS / 2 };

static void
a_pipe_and_a_socket_that_nobody_reads(void)
{
	struct watch w;
	watch_init(&w);
	for (int socket = 0; socket <= 1; socket++) {
		int fds[2];
		CHECK((socket ? socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) : pipe2(fds, O_CLOEXEC)) == 0);
		CHECK(!watch_is_unread(fds[1]) && watch_wait(&w, 10, fds[1]));
		close(fds[0]);
		int64_t begun = clock_mono_ms();
		CHECK(watch_is_unread(fds[1]) && !watch_wait(&w, WATCH_LOOK_MS, fds[1]));
		CHECK(clock_mono_ms() - begun < SOON_MS);
		close(fds[1]);
	}
}

static void
what_has_no_reader_to_lose(void)
{
	struct watch w;
	watch_init(&w);
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC), file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	CHECK(null >= 0 && file >= 0);
	CHECK(!watch_is_unread(null) && watch_wait(&w, 10, null));
	CHECK(!watch_is_unread(file) && watch_wait(&w, 10, file));
	CHECK(!watch_is_unread(-1) && watch_wait(&w, 10, -1));
	close(null);
	close(file);
}

static void
an_event_is_told_once(void)
{
	char folder[200];
	struct watch w;
	struct watch_event e;
	const char *base = getenv("TMPDIR");
	watch_init(&w);
	snprintf(folder, sizeof folder, "%.150s/test_watch.XXXXXX", base ? base : "/tmp");
	CHECK(mkdtemp(folder) != NULL);
	int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), what = watch_add(&w, dir, WATCH_NAMES);
	CHECK(dir >= 0 && what >= 0);
	CHECK(mkdirat(dir, "x", 0700) == 0);
	CHECK(watch_wait(&w, WATCH_LOOK_MS, -1) && watch_next(&w, &e) && e.what == what);
	CHECK_TEXT(e.name, "x");
	CHECK(!watch_next(&w, &e));
	watch_close(&w);
	CHECK(unlinkat(dir, "x", AT_REMOVEDIR) == 0 && close(dir) == 0 && rmdir(folder) == 0);
}

int
main(void)
{
	RUN(a_pipe_and_a_socket_that_nobody_reads);
	RUN(what_has_no_reader_to_lose);
	RUN(an_event_is_told_once);
	return unit_end();
}
