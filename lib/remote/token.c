/* remote/token: the secret that a server knows us by, from a file that is nobody else's to read. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "fsx.h"
#include "remote/token.h"

static int
refuse(const char *file, struct why *why, const char *what)
{
	return why_set(why, ERR_PERMISSION, "the token file %.200s %s", file, what);
}

/* What others may write is no better than what they may read: it would be their token. */
static int
check(int fd, const char *file, struct why *why)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return refuse(file, why, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return refuse(file, why, "is no regular file");
	if (st.st_mode & 066) {
		refuse(file, why, "is open to other users");
		why_hint(why, "chmod 600 makes it yours alone");
		return -1;
	}
	return 0;
}

int
token_read(const char *file, struct buf *token, struct why *why)
{
	char line[TOKEN_MAX + 2];
	/* A pipe is not waited for: it is refused. */
	int fd = fsx_open(AT_FDCWD, file, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	if (fd < 0)
		return why_set(why, ERR_PERMISSION, "the token file %.200s: %s", file, strerror(errno));
	int rc = check(fd, file, why);
	ssize_t n = rc == 0 ? fsx_pread(fd, line, sizeof line, 0) : 0;
	if (n < 0)
		rc = refuse(file, why, strerror(errno));
	fsx_close(&fd);
	if (rc < 0)
		return -1;
	size_t length = 0;
	while (length < (size_t)n && line[length] > ' ' && line[length] < 0x7f)
		length++;
	bool ends = length == (size_t)n || line[length] == '\n' || (line[length] == '\r' && length + 1 < (size_t)n && line[length + 1] == '\n');
	if (length == 0 || length > TOKEN_MAX || !ends)
		return refuse(file, why, length == 0 ? "has no token in its first line" :
			length > TOKEN_MAX ? "has too long a first line" : "has in its first line what no token holds");
	buf_clear(token);
	buf_add(token, line, length);
	return token->failed ? why_set(why, ERR_IO, "out of memory") : 0;
}
