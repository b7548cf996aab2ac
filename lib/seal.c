/* seal: what proves that a temp resource was registered by this very user. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "fsx.h"
#include "hash.h"
#include "seal.h"
#include "userdir.h"

static const char *const key_file = "seal.key";

enum { KEY_BYTES = 16 };

/* --- the hash --- */

static uint64_t
rotate(uint64_t x, int bits)
{
	return x << bits | x >> (64 - bits);
}

static void
rounds(uint64_t v[4], int n)
{
	while (n-- > 0) {
		v[0] += v[1];
		v[2] += v[3];
		v[1] = rotate(v[1], 13) ^ v[0];
		v[3] = rotate(v[3], 16) ^ v[2];
		v[0] = rotate(v[0], 32);
		v[2] += v[1];
		v[0] += v[3];
		v[1] = rotate(v[1], 17) ^ v[2];
		v[3] = rotate(v[3], 21) ^ v[0];
		v[2] = rotate(v[2], 32);
	}
}

/* `n` bytes, up to 8, the first the lowest. */
static uint64_t
word(const uint8_t *p, size_t n)
{
	uint64_t w = 0;
	for (size_t i = 0; i < n; i++)
		w |= (uint64_t)p[i] << (8 * i);
	return w;
}

uint64_t
seal_hash(const uint8_t key[16], const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	uint64_t k0 = word(key, 8), k1 = word(key + 8, 8);
	uint64_t v[4] = {k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573};
	for (size_t i = 0; i <= n / 8; i++) {
		size_t left = n - 8 * i;
		uint64_t w = left < 8 ? word(p + 8 * i, left) | (uint64_t)n << 56 : word(p + 8 * i, 8);
		v[3] ^= w;
		rounds(v, 2);
		v[0] ^= w;
	}
	v[2] ^= 0xff;
	rounds(v, 4);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* --- the key --- */

/* 0, or -1 with errno; EPERM where others may read it. */
static int
read_key(int dir, uint8_t key[KEY_BYTES])
{
	struct stat st;
	int fd = fsx_open(dir, key_file, O_RDONLY | O_NOFOLLOW, 0);
	if (fd < 0)
		return -1;
	bool mine = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & 077) && st.st_size == KEY_BYTES;
	ssize_t n = mine ? read(fd, key, KEY_BYTES) : -1;
	close(fd);
	if (n == KEY_BYTES)
		return 0;
	errno = mine ? EIO : EPERM;
	return -1;
}

/* It is there as a whole or not at all, also after a power cut; of two who make it one wins. */
static int
make_key(int dir)
{
	uint8_t key[KEY_BYTES];
	struct fsx_whole file;
	if (getrandom(key, sizeof key, 0) != sizeof key || fsx_whole_begin(&file, dir, key_file) < 0)
		return -1;
	if (fsx_whole_end(&file, key_file, fsx_write(file.fd, key, sizeof key), true) < 0 && errno != EEXIST)
		return -1;
	return fsx_sync_dir(dir);
}

/* --- seals --- */

static int
hash_of(const struct sealed *s, const uint8_t key[KEY_BYTES], char text[SEAL_TEXT])
{
	struct buf b = {0};
	const char *texts[] = {"dpl 1", s->operation, s->machine, s->kind, s->what, s->folder ? s->folder : ""};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		buf_add(&b, texts[i], strlen(texts[i]) + 1);
	buf_fmt(&b, "%lld %d %d", (long long)s->start, s->made, s->by_name);
	if (!b.failed)
		hash_hex(seal_hash(key, b.p, b.n), text);
	int rc = b.failed ? -1 : 0;
	buf_free(&b);
	return rc;
}

int
seal_make(const struct sealed *s, char text[SEAL_TEXT], struct why *why)
{
	uint8_t key[KEY_BYTES];
	int dir = userdir_open(true, why);
	if (dir < 0)
		return -1;
	int rc = read_key(dir, key);
	if (rc < 0 && errno == ENOENT && (rc = make_key(dir)) == 0)
		rc = read_key(dir, key);
	if (rc < 0 && errno == EPERM)
		why_set(why, ERR_PERMISSION, "%s in the folder of this user's state is not as it was made: mode 0600, 16 bytes", key_file);
	else if (rc < 0)
		why_errno(why, "the key %s of this user", key_file);
	else if ((rc = hash_of(s, key, text)) < 0)
		why_set(why, ERR_IO, "out of memory");
	close(dir);
	return rc;
}

bool
seal_fits(const struct sealed *s, const char *text)
{
	uint8_t key[KEY_BYTES];
	char right[SEAL_TEXT];
	struct why ignored;
	unsigned differ = 0;
	int dir = userdir_open(false, &ignored);
	bool have = dir >= 0 && strlen(text) == SEAL_TEXT - 1 && read_key(dir, key) == 0 && hash_of(s, key, right) == 0;
	for (size_t i = 0; have && i < SEAL_TEXT; i++)
		differ |= (unsigned)(text[i] ^ right[i]);
	if (dir >= 0)
		close(dir);
	return have && !differ;
}
