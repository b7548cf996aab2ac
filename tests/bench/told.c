/* told - the programs that latency.c runs, which note when they are told of something
 *
 *	told wait FD SLOT         note when SIGTERM comes: what a supervisor runs
 *	told relay FD SLOT FILE   the floor: start `told wait`, and send it SIGTERM when FILE's times change
 *	told poll FD SLOT FILE    a peer: look every 100 ms whether FILE's times have changed
 *	told lock FD SLOT FILE    a peer: look every 100 ms whether the lock of FILE is free
 *	told copy FILE            the floor of dpl-watch: write to stdout what is appended to FILE
 *
 * FD is memory shared with latency.c, SLOT the number of a slot in it. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "told.h"

static struct slot *slot;

static _Noreturn void
note(void)
{
	slot->told_ns = now_ns();
	_exit(0);
}

static void
on_term(int sig)
{
	(void)sig;
	note();
}

static _Noreturn void
wait_for_term(void)
{
	struct sigaction action = {.sa_handler = on_term};
	sigaction(SIGTERM, &action, NULL);
	slot->ready = 1;
	for (;;)
		pause();
}

/* An inotify instance that watches the file. */
static int
watch(const char *file, uint32_t mask)
{
	int fd = inotify_init1(IN_CLOEXEC);
	return fd < 0 || inotify_add_watch(fd, file, mask) < 0 ? -1 : fd;
}

static int
relay(const char *file)
{
	char events[1024];
	int fd = watch(file, IN_ATTRIB);
	pid_t pid = fd < 0 ? -1 : fork();
	if (pid == 0)
		wait_for_term();
	if (pid < 0 || read(fd, events, sizeof events) < 0)
		return 1;
	kill(pid, SIGTERM);
	return waitpid(pid, NULL, 0) == pid ? 0 : 1;
}

static int
changed(const char *file, const struct stat *before)
{
	struct stat st;
	return stat(file, &st) == 0 && (st.st_mtim.tv_sec != before->st_mtim.tv_sec || st.st_mtim.tv_nsec != before->st_mtim.tv_nsec);
}

static int
look(const char *file, int lock)
{
	struct stat st;
	int fd = open(file, O_RDWR | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return 1;
	slot->ready = 1;
	while (lock ? flock(fd, LOCK_EX | LOCK_NB) < 0 : !changed(file, &st))
		usleep(100000);
	note();
}

static int
copy(const char *file)
{
	char events[4096], text[4096];
	int fd = open(file, O_RDONLY | O_CLOEXEC), w = watch(file, IN_MODIFY);
	if (fd < 0 || w < 0 || lseek(fd, 0, SEEK_END) < 0)
		return 1;
	for (;;) {
		ssize_t n;
		if (read(w, events, sizeof events) < 0)
			return 1;
		while ((n = read(fd, text, sizeof text)) > 0)
			if (write(1, text, (size_t)n) < 0)
				return 1;
	}
}

int
main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "copy") == 0)
		return copy(argv[2]);
	if (argc < 4)
		return 2;
	void *shared = mmap(NULL, sizeof(struct slot) * SLOTS, PROT_READ | PROT_WRITE, MAP_SHARED, (int)strtol(argv[2], NULL, 10), 0);
	if (shared == MAP_FAILED)
		return 1;
	slot = (struct slot *)shared + strtol(argv[3], NULL, 10);
	if (strcmp(argv[1], "wait") == 0)
		wait_for_term();
	if (argc < 5)
		return 2;
	if (strcmp(argv[1], "relay") == 0)
		return relay(argv[4]);
	return look(argv[4], strcmp(argv[1], "lock") == 0);
}
