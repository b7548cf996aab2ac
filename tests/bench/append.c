/* append FILE [flush] - the least that a durable record of a change costs: one line of 250 bytes at the end of a file */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
	char line[250];
	memset(line, 'x', sizeof line);
	line[sizeof line - 1] = '\n';
	int fd = argc > 1 ? open(argv[1], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
	if (fd < 0 || write(fd, line, sizeof line) != (ssize_t)sizeof line)
		return 1;
	return argc > 2 && fdatasync(fd) < 0;
}
