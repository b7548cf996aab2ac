/* sweep - the floor of a sweep: for each operation of a ledger open its folder, read its journal and each of its beat files, and ask
 * for each lock once.  `sweep LEDGER` judges nothing, and says how many locks it asked for. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char text[65536];

static int
open_at(int dir, const char *name, int flags)
{
	return openat(dir, name, flags | O_CLOEXEC | O_NOFOLLOW);
}

/* Read all of an open file. */
static int
take(int fd)
{
	ssize_t n;
	for (off_t at = 0; (n = pread(fd, text, sizeof text, at)) == (ssize_t)sizeof text; at += n)
		;
	return n < 0 ? -1 : 0;
}

static long
look(int folder)
{
	int dir = open_at(folder, "beats", O_RDONLY | O_DIRECTORY);
	DIR *d = dir < 0 ? NULL : fdopendir(dir);
	long asked = 0;
	for (struct dirent *e; d && (e = readdir(d));) {
		struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
		int fd = *e->d_name == '.' ? -1 : open_at(dir, e->d_name, O_RDONLY | O_NOATIME);
		if (fd < 0)
			continue;
		asked += fcntl(fd, F_OFD_GETLK, &lock) == 0 && take(fd) == 0;
		close(fd);
	}
	if (d)
		closedir(d);
	return asked;
}

int
main(int argc, char **argv)
{
	DIR *ledger = argc == 2 ? opendir(argv[1]) : NULL;
	long asked = 0;
	if (!ledger)
		return 2;
	for (struct dirent *e; (e = readdir(ledger));) {
		int folder = *e->d_name < '0' || *e->d_name > '9' ? -1 : open_at(dirfd(ledger), e->d_name, O_PATH | O_DIRECTORY);
		int journal = folder < 0 ? -1 : open_at(folder, "journal.jsonl", O_RDONLY);
		if (journal >= 0 && take(journal) == 0)
			asked += look(folder);
		if (journal >= 0)
			close(journal);
		if (folder >= 0)
			close(folder);
	}
	closedir(ledger);
	printf("%ld locks\n", asked);
	return 0;
}
