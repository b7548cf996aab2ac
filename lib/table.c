/* table: an array of fixed-size records, found by name. */
#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "table.h"

enum {
	LINEAR = 16,   /* so few records are searched without an index */
	SCANS_MAX = 8, /* … and any number so often: an index costs as much as some searches */
};

void *
table_at(const struct table *t, uint32_t i)
{
	return t->rec + (size_t)i * t->size;
}

static struct table_key *
key_at(const struct table *t, uint32_t i)
{
	return table_at(t, i);
}

static void
drop_index(struct table *t)
{
	free(t->slot);
	t->slot = NULL;
	t->slots = 0;
}

/* Slots hold record numbers + 1.  Records of one name follow each other in their probe sequence
 * in the order they were added; a gone one is passed over. */
static void
index_one(struct table *t, uint32_t i)
{
	uint32_t s = key_at(t, i)->hash & (t->slots - 1);
	while (t->slot[s])
		s = (s + 1) & (t->slots - 1);
	t->slot[s] = i + 1;
}

static int
build_index(struct table *t)
{
	uint32_t slots = 64;
	while (slots < t->n * 2 + 2)
		slots *= 2;
	uint32_t *slot = calloc(slots, sizeof *slot);
	if (!slot)
		return -1;
	drop_index(t);
	t->slot = slot;
	t->slots = slots;
	for (uint32_t i = 0; i < t->n; i++)
		if (!key_at(t, i)->gone)
			index_one(t, i);
	return 0;
}

static int
matches(const struct table_key *k, uint32_t hash, const char *name)
{
	return k->hash == hash && !k->gone && strcmp(k->name, name) == 0;
}

void *
table_find(struct table *t, const char *name)
{
	uint32_t hash = (uint32_t)hash_bytes(0, name, strlen(name));
	if (!t->slot && (t->n <= LINEAR || t->scans++ < SCANS_MAX)) {
		for (uint32_t i = t->n; i > 0; i--)
			if (matches(key_at(t, i - 1), hash, name))
				return key_at(t, i - 1);
		return NULL;
	}
	if (!t->slot && build_index(t) < 0)
		return NULL;
	struct table_key *found = NULL;
	for (uint32_t s = hash & (t->slots - 1); t->slot[s]; s = (s + 1) & (t->slots - 1))
		if (matches(key_at(t, t->slot[s] - 1), hash, name))
			found = key_at(t, t->slot[s] - 1);
	return found;
}

static int
grow(struct table *t, uint32_t want)
{
	if (want <= t->cap)
		return 0;
	uint32_t cap = t->cap ? t->cap * 2 : 4;
	while (cap < want)
		cap *= 2;
	char *rec = t->borrowed ? malloc(cap * t->size) : realloc(t->rec, cap * t->size);
	if (!rec)
		return -1;
	if (t->borrowed)
		memcpy(rec, t->rec, t->n * t->size);
	t->rec = rec;
	t->cap = cap;
	t->borrowed = 0;
	return 0;
}

void *
table_add(struct table *t, const char *name)
{
	if (grow(t, t->n + 1) < 0)
		return NULL;
	struct table_key *k = key_at(t, t->n);
	memset(k, 0, t->size);
	size_t n = strnlen(name, TABLE_NAME - 1);
	memcpy(k->name, name, n);
	k->hash = (uint32_t)hash_bytes(0, name, n);
	t->n++;
	if (t->slot && t->slots < t->n * 2)
		drop_index(t);
	else if (t->slot)
		index_one(t, t->n - 1);
	return k;
}

void
table_remove(struct table *t, void *record)
{
	struct table_key *k = record;
	if (!k->gone) {
		k->gone = 1;
		t->gone++;
	}
}

void
table_compact(struct table *t)
{
	if (t->gone <= 64 || t->gone * 2 <= t->n)
		return;
	uint32_t n = 0;
	for (uint32_t i = 0; i < t->n; i++)
		if (!key_at(t, i)->gone && n++ != i)
			memcpy(key_at(t, n - 1), key_at(t, i), t->size);
	t->n = n;
	t->gone = 0;
	drop_index(t);
}

void
table_borrow(struct table *t, void *records, uint32_t n, uint32_t cap)
{
	t->rec = records;
	t->n = n;
	t->cap = cap;
	t->borrowed = 1;
}

void
table_free(struct table *t)
{
	if (!t->borrowed)
		free(t->rec);
	drop_index(t);
	*t = (struct table){.size = t->size};
}
