/* temp: making a file or folder of a name that nobody can guess. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "fsx.h"
#include "hash.h"
#include "temp.h"

enum { LEAST = 3 }; /* random characters */

/* --- the template --- */

/* Open the real folder of `path`, which ends at a slash or is a folder itself; t->path begins with it. */
static int
open_folder(struct temp *t, const char *path, struct why *why)
{
	char real[PATH_MAX];
	if (!realpath(path, real) || (t->dir = fsx_open(AT_FDCWD, real, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0)) < 0) {
		int e = errno;
		why_errno(why, "%.300s", path);
		if (e == ENOENT || e == ENOTDIR)
			why->code = ERR_NO_FILE;
		if (e == ENAMETOOLONG || e == ELOOP)
			why->code = ERR_USAGE;
		return -1;
	}
	buf_str(&t->path, real);
	if (t->path.n > 1)
		buf_char(&t->path, '/');
	return 0;
}

int
temp_begin(struct temp *t, const char *template, const char *suffix, const char *tmpdir, struct why *why)
{
	struct buf folder = {0};
	const char *inherited = getenv("TMPDIR");
	*t = (struct temp){.dir = -1};
	if (!template) {
		template = "tmp.XXXXXXXXXX";
		tmpdir = tmpdir ? tmpdir : inherited && *inherited ? inherited : "/tmp";
	} else if (tmpdir && *template == '/') {
		return why_set(why, ERR_USAGE, "template '%.200s' is absolute: it does not go with --tmpdir", template);
	}
	const char *slash = strrchr(template, '/'), *last = slash ? slash + 1 : template;
	size_t n = strlen(last);
	while (t->randoms < n && last[n - 1 - t->randoms] == 'X')
		t->randoms++;
	if (t->randoms < LEAST) {
		why_set(why, ERR_USAGE, "template '%.200s' does not end in XXX", template);
		if (strstr(last, "XXX"))
			why_hint(why, "what follows the X is given by --suffix");
		return -1;
	}
	if (strchr(suffix, '/'))
		return why_set(why, ERR_USAGE, "suffix '%.200s' holds a slash", suffix);
	if (tmpdir)
		buf_fmt(&folder, "%s/", tmpdir);
	buf_add(&folder, template, (size_t)(last - template));
	int rc = open_folder(t, folder.n ? folder.p : ".", why);
	buf_free(&folder);
	if (rc < 0)
		return -1;
	t->name = t->path.n;
	t->random = t->name + n - t->randoms;
	buf_fmt(&t->path, "%s%s", last, suffix);
	if (t->path.failed)
		return why_set(why, ERR_IO, "out of memory");
	return t->path.n - t->name > NAME_MAX ? why_set(why, ERR_USAGE, "template '%.200s' is too long", template) : 0;
}

void
temp_end(struct temp *t)
{
	fsx_close(&t->dir);
	buf_free(&t->path);
}

/* --- making it --- */

void
temp_name(struct temp *t)
{
	static const char letters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	enum { LETTERS = sizeof letters - 1, FAIR = 256 / LETTERS * LETTERS };
	unsigned char bytes[64];
	size_t at = sizeof bytes;
	for (size_t i = 0; i < t->randoms;) {
		if (at == sizeof bytes) {
			at = 0;
			if (getrandom(bytes, sizeof bytes, GRND_NONBLOCK) != (ssize_t)sizeof bytes) {
				/* Only in the first moments of a boot; O_EXCL is what makes it unique. */
				uint64_t seed = (uint64_t)clock_mono_ms() + i;
				for (size_t k = 0; k < sizeof bytes; k++)
					bytes[k] = (unsigned char)(seed = hash_bytes(seed + k, &t->random, sizeof t->random));
			}
		}
		unsigned char byte = bytes[at++];
		if (byte < FAIR)
			t->path.p[t->random + i++] = letters[byte % LETTERS];
	}
}

bool
temp_is_there(const struct temp *t)
{
	struct stat st;
	return fstatat(t->dir, t->path.p + t->name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Whether what the path leads to is what `fd` has open, newly made and ours. */
static bool
is_ours(struct temp *t, int fd)
{
	struct stat st;
	if (fstat(fd, &st) < 0 || remove_identify(t->path.p, &t->made) < 0)
		return false;
	if (t->made.inode == (uint64_t)st.st_ino && t->made.device == (uint64_t)st.st_dev && t->made.type == (t->folder ? 'd' : 'f'))
		return true;
	errno = ESTALE;
	return false;
}

int
temp_make(struct temp *t, bool folder)
{
	const char *name = t->path.p + t->name;
	t->folder = folder;
	t->made = (struct remove_identity){.known = false};
	if (folder && mkdirat(t->dir, name, 0700) < 0)
		return -1;
	int fd = folder ? fsx_open(t->dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0) :
		fsx_open(t->dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	if (fd < 0 && !folder)
		return -1;
	bool ours = fd >= 0 && is_ours(t, fd);
	int e = errno;
	if (fd >= 0)
		close(fd);
	if (ours)
		return 0;
	/* It was made, but cannot be reached by its path, or could not be looked at: away with it.  What another has put in its place
	 * stays. */
	t->made.known = false;
	if (e != ESTALE)
		(void)unlinkat(t->dir, name, folder ? AT_REMOVEDIR : 0);
	errno = e;
	return -1;
}

int
temp_undo(struct temp *t)
{
	struct remove_identity now;
	if (t->made.known && remove_identify(t->path.p, &now) < 0)
		return errno == ENOENT ? 0 : -1;
	if (!t->made.known || now.inode != t->made.inode || now.device != t->made.device)
		return 0;
	return unlinkat(t->dir, t->path.p + t->name, t->folder ? AT_REMOVEDIR : 0) < 0 && errno != ENOENT ? -1 : 0;
}
