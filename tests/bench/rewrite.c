/* rewrite FOLDER CHANGES - the usual way, at its best: under a lock, read a document of ten running calls, write it anew
 * beside the old one and rename it over that, again and again in one process
 *
 * It does not even parse what it reads, and flushes nothing. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

enum { CALLS = 10 };

static int
render(char *text, size_t size, long change)
{
	int n = snprintf(text, size, "{\"operationId\":\"20261122T143045.123Z-bench-a1b2c3d4\",\"seq\":%ld,\"calls\":[", change);
	for (int i = 0; i < CALLS; i++)
		n += snprintf(text + n, size - (size_t)n,
			"%s{\"callId\":\"call_bench_%ld_a1b2\",\"participantId\":\"bench\",\"startedAt\":\"2026-11-22T14:30:45.123Z\","
			"\"description\":\"a piece of work\"}", i ? "," : "", change + i);
	return n + snprintf(text + n, size - (size_t)n, "]}\n");
}

int
main(int argc, char **argv)
{
	static char text[8192];
	if (argc != 3 || chdir(argv[1]) < 0)
		return 2;
	int lock = open("lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	for (long i = 0, changes = strtol(argv[2], NULL, 10); i < changes; i++) {
		if (flock(lock, LOCK_EX) < 0)
			return 1;
		int fd = open("state.json", O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0 || read(fd, text, sizeof text) < 0)
			return 1;
		close(fd);
		int n = render(text, sizeof text, i);
		fd = open("state.json.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		if (fd < 0 || write(fd, text, (size_t)n) != n || close(fd) < 0 || rename("state.json.new", "state.json") < 0)
			return 1;
		flock(lock, LOCK_UN);
	}
	return 0;
}
