/* checkpoint: the live state of an operation up to a byte offset, to save folding. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "checkpoint.h"
#include "fsx.h"
#include "hash.h"

enum { TABLES = 3 };

struct file_head {
	char magic[8];
	uint32_t size[TABLES + 1]; /* of op_head and of a record of each table: another build's are refused */
	uint32_t n[TABLES];        /* records of each */
	uint32_t pad;
	uint64_t inode;
	uint64_t line_hash;
	uint64_t sum;              /* hash of all that follows this struct, seeded with inode ^ line_hash */
	struct op_head op;
};

static const char magic[8] = "dplckp1";

static void
tables(struct op *op, struct table *t[TABLES])
{
	t[0] = &op->people;
	t[1] = &op->sessions;
	t[2] = &op->calls;
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
sum(const struct file_head *f, const char *records, size_t n)
{
	return hash_bytes(hash_bytes(f->inode ^ f->line_hash, &f->op, sizeof f->op), records, n);
}

int
checkpoint_load(int dir, uint64_t inode, struct op *op, uint64_t *line_hash)
{
	int fd = fsx_open(dir, "checkpoint", O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	struct stat st;
	if (fd < 0)
		return -1;
	char *p = NULL;
	int rc = -1;
	struct table *t[TABLES];
	tables(op, t);
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size >= (off_t)sizeof(struct file_head) && st.st_size < 1 << 30)
		p = malloc((size_t)st.st_size);
	if (p && fsx_pread(fd, p, (size_t)st.st_size, 0) == st.st_size) {
		const struct file_head *f = (const void *)p;
		const char *records = p + sizeof *f;
		size_t length = (size_t)st.st_size;
		if (fits(f, t, length) && f->inode == inode && f->sum == sum(f, records, length - sizeof *f)) {
			rc = 0;
			for (int i = 0; i < TABLES && rc == 0; i++) {
				rc = table_load(t[i], records, f->n[i]);
				records += (size_t)f->n[i] * t[i]->size;
			}
			op->h = f->op;
			*line_hash = f->line_hash;
		}
	}
	if (rc < 0) {
		bool keep = op->keep;
		op_free(op);
		op_init(op, keep);
	}
	free(p);
	close(fd);
	return rc;
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
		f.sum = sum(&f, b.p + sizeof f, b.n - sizeof f);
		memcpy(b.p, &f, sizeof f);
		/* Not flushed: a torn one is refused by its sum. */
		rc = fsx_replace(dir, "checkpoint", b.p, b.n, false);
	}
	buf_free(&b);
	return rc;
}
