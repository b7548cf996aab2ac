/* checkpoint: the live state of an operation up to a byte offset, to save folding. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "checkpoint.h"
#include "fsx.h"
#include "hash.h"

enum {
	TABLES = 4,
	MAPPED_FROM = 16 * 1024, /* bytes; a smaller file is read */
	ROOM_READ = 2048,        /* room behind the records, for calls that start after them: in memory … */
	ROOM_MAPPED = 64 * 1024, /* … and behind a mapping, where what is not touched costs nothing */
};

struct file_head {
	char magic[8];
	uint32_t size[TABLES + 1]; /* of op_head and of a record of each table: another build's are refused */
	uint32_t n[TABLES];        /* records of each */
	uint32_t pad;
	uint64_t inode;
	uint64_t line_hash;
	uint64_t head_sum;         /* hash of `op` alone, seeded likewise: for those who read no more */
	uint64_t sum;              /* hash of all that follows this struct, seeded with inode ^ line_hash */
	struct op_head op;
};

static const char magic[8] = "dplckp4";

static void
tables(struct op *op, struct table *t[TABLES])
{
	t[0] = &op->people;
	t[1] = &op->sessions;
	t[2] = &op->resources;
	t[3] = &op->calls; /* the last: it may grow in place */
}

/* Whether the header's sizes are this build's and add up to the file's length. */
static bool
fits(const struct file_head *f, struct table *t[TABLES], size_t length)
{
	size_t want = sizeof *f;
	bool same = memcmp(f->magic, magic, sizeof magic) == 0 && f->size[TABLES] == sizeof f->op;
	for (int i = 0; i < TABLES && same; i++) {
		same = f->size[i] == t[i]->size;
		want += (size_t)f->n[i] * t[i]->size;
	}
	return same && want == length;
}

static uint64_t
head_sum(const struct file_head *f)
{
	return hash_bytes(f->inode ^ f->line_hash, &f->op, sizeof f->op);
}

static uint64_t
sum(const struct file_head *f, const char *records, size_t n)
{
	return hash_bytes(f->head_sum, records, n);
}

static void
unmap(void *held, size_t size)
{
	munmap(held, size);
}

static void
release(void *held, size_t size)
{
	(void)size;
	free(held);
}

/* The file's bytes for `op` to hold, with room behind them.  A small one is read; a large one is mapped, which
 * saves a copy, and a page fault for most pages (not MAP_POPULATE: on a private mapping that can be written it
 * copies every page).  It is only ever replaced by a rename, so what is mapped does not change. */
static char *
hold(struct op *op, int fd, size_t size)
{
	op->held_size = size + (size < MAPPED_FROM ? ROOM_READ : ROOM_MAPPED);
	if (size < MAPPED_FROM) {
		op->held = malloc(op->held_size);
		op->give_back = release;
		if (op->held && fsx_pread(fd, op->held, size, 0) != (ssize_t)size)
			((struct file_head *)op->held)->magic[0] = '\0';
		return op->held;
	}
	char *room = mmap(NULL, op->held_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (room == MAP_FAILED)
		return NULL;
	op->held = room;
	op->give_back = unmap;
	char *p = mmap(room, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0);
	return p == MAP_FAILED ? NULL : p;
}

static int
load_head(int fd, uint64_t inode, struct op *op, uint64_t *line_hash)
{
	struct file_head f;
	if (fsx_pread(fd, &f, sizeof f, 0) != sizeof f || memcmp(f.magic, magic, sizeof magic) != 0 || f.size[TABLES] != sizeof f.op ||
	    f.inode != inode || f.head_sum != head_sum(&f))
		return -1;
	op->h = f.op;
	*line_hash = f.line_hash;
	return 0;
}

int
checkpoint_load(int dir, uint64_t inode, struct op *op, uint64_t *line_hash)
{
	int fd = fsx_open(dir, "checkpoint", O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	struct stat st;
	if (fd < 0)
		return -1;
	if (op->head) {
		int rc = load_head(fd, inode, op, line_hash);
		close(fd);
		return rc;
	}
	char *p = NULL;
	bool right = false;
	struct table *t[TABLES];
	tables(op, t);
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size >= (off_t)sizeof(struct file_head) && st.st_size < 1 << 30)
		p = hold(op, fd, (size_t)st.st_size);
	close(fd);
	if (p) {
		const struct file_head *f = (const void *)p;
		char *records = p + sizeof *f;
		size_t length = (size_t)st.st_size;
		right = fits(f, t, length) && f->inode == inode && f->head_sum == head_sum(f) && f->sum == sum(f, records, length - sizeof *f);
		for (int i = 0; i < TABLES && right; i++) {
			/* The last table, the calls, may grow into the room behind the file. */
			uint32_t more = i == TABLES - 1 ? (uint32_t)((op->held_size - length) / t[i]->size) : 0;
			table_borrow(t[i], records, f->n[i], f->n[i] + more);
			records += (size_t)f->n[i] * t[i]->size;
		}
		if (right) {
			op->h = f->op;
			*line_hash = f->line_hash;
			return 0;
		}
	}
	bool keep = op->keep;
	op_free(op);
	op_init(op, keep);
	return -1;
}

uint64_t
checkpoint_reach(int dir, uint64_t inode)
{
	struct file_head f;
	int fd = fsx_open(dir, "checkpoint", O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	if (fd < 0)
		return 0;
	ssize_t n = fsx_pread(fd, &f, sizeof f, 0);
	close(fd);
	return n == sizeof f && memcmp(f.magic, magic, sizeof magic) == 0 && f.inode == inode ? f.op.offset : 0;
}

int
checkpoint_save(int dir, uint64_t inode, const struct op *op, uint64_t line_hash)
{
	struct op *mutable = (struct op *)(uintptr_t)op; /* the tables are only read */
	struct file_head f = {.inode = inode, .line_hash = line_hash, .op = op->h};
	struct table *t[TABLES];
	tables(mutable, t);
	memcpy(f.magic, magic, sizeof magic);
	f.size[TABLES] = sizeof f.op;
	struct buf b = {0};
	buf_add(&b, &f, sizeof f);
	for (int i = 0; i < TABLES; i++) {
		f.size[i] = (uint32_t)t[i]->size;
		for (uint32_t k = 0; k < t[i]->n; k++) {
			const struct table_key *key = table_at(t[i], k);
			if (key->gone)
				continue;
			buf_add(&b, key, t[i]->size);
			f.n[i]++;
		}
	}
	int rc = -1;
	if (!b.failed) {
		f.head_sum = head_sum(&f);
		f.sum = sum(&f, b.p + sizeof f, b.n - sizeof f);
		memcpy(b.p, &f, sizeof f);
		/* Not flushed: a torn one is refused by its sum. */
		rc = fsx_replace(dir, "checkpoint", b.p, b.n);
	}
	buf_free(&b);
	return rc;
}
