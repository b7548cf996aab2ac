/* flip - change one byte of a file in place
 *
 *	flip file offset
 *
 * Every bit of the byte is turned; the same again puts it back. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
	unsigned char byte;
	int fd = argc == 3 ? open(argv[1], O_RDWR) : -1;
	off_t at = argc == 3 ? (off_t)strtoll(argv[2], NULL, 10) : 0;
	if (fd < 0 || pread(fd, &byte, 1, at) != 1) {
		fprintf(stderr, "usage: flip file offset\n");
		return 2;
	}
	byte ^= 0xff;
	return pwrite(fd, &byte, 1, at) == 1 && close(fd) == 0 ? 0 : 1;
}
