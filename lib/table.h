/* table: an array of fixed-size records, found by name.
 *
 * The records lie in one piece of memory in the order they were added, so that they can be written
 * to a file and read back as they are.  A record begins with a struct table_key.  What is taken
 * out is only marked `gone`; table_compact drops such records when they are the majority, and keeps
 * the order of the rest.  Pointers to records hold until the next table_add or table_compact. */
#ifndef DPL_TABLE_H
#define DPL_TABLE_H

#include <stddef.h>
#include <stdint.h>

enum { TABLE_NAME = 65 }; /* room for a name, with its NUL */

struct table_key {
	uint32_t hash;
	uint8_t gone;
	char name[TABLE_NAME + 2];
};

struct table {
	char *rec;       /* n records of `size` bytes */
	size_t size;     /* of one record, a multiple of 8 */
	uint32_t n, cap; /* records there (gone ones included), and room for */
	uint32_t gone;   /* how many of them are gone */
	uint32_t *slot;  /* hash index, NULL until a search needs it */
	uint32_t slots;  /* its size, a power of two */
	uint32_t scans;  /* searches made without it */
	int borrowed;    /* rec is not ours to free or to realloc */
};

/* Record i, 0 <= i < n. */
void *table_at(const struct table *t, uint32_t i);

/* The newest record of that name that is not gone, or NULL.  Also NULL when memory runs out. */
void *table_find(struct table *t, const char *name);

/* A new record, zero but for its key.  NULL when memory runs out. */
void *table_add(struct table *t, const char *name);

/* Mark a record gone. */
void table_remove(struct table *t, void *record);

/* Drop the gone ones if it pays. */
void table_compact(struct table *t);

/* Fill the empty table `t` with `n` records as table_at showed them, without a copy: they lie in memory of the
 * caller's, with room for `cap`, that may be written and outlives the table. */
void table_borrow(struct table *t, void *records, uint32_t n, uint32_t cap);

void table_free(struct table *t);

#endif
