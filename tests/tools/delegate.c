/* delegate - mark a control group as delegated, as systemd does
 *
 *	delegate FOLDER
 *
 * Sets the extended attribute user.delegate to 1. */
#include <stdio.h>
#include <sys/xattr.h>

int
main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: delegate folder\n");
		return 2;
	}
	if (setxattr(argv[1], "user.delegate", "1", 1, 0) == 0)
		return 0;
	perror(argv[1]);
	return 1;
}
