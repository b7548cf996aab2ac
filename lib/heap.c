/* heap: malloc for the commands, made for a short life.
 *
 * A command that makes one change allocates some twenty small blocks.  musl's malloc gives each
 * size a mapping of its own; measured, the mappings and the page faults they bring took a third of such a
 * command's whole time.  Here blocks are powers of two, cut one after the other from an arena in
 * .bss, so that only a few pages are touched; a freed block goes to the list of its size and is used
 * again, so that a long-running command does not grow.  Blocks are never split or joined: at most half
 * of one is wasted.  What is larger than BLOCK_MAX is a mapping of its own and given back.
 *
 * One thread only, which the commands are.  Linked into them alone: not into libdpl, and not into
 * builds with a sanitizer, which bring their own (see the Makefile). */
#include <errno.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
	SMALLEST = 5,           /* 2^5 bytes, header included */
	LARGEST = 16,
	BLOCK_MAX = 1 << LARGEST,
	ARENA = 128 * 1024,     /* the first one; further ones are mapped */
	LARGE = 255,            /* the class of a mapping of its own */
};

struct header {
	size_t size;            /* of the whole mapping, for LARGE */
	uint8_t class;
	uint8_t pad[7];
};
_Static_assert(sizeof(struct header) == 16, "what follows a header is aligned as malloc promises");

/* A common symbol comes behind all of .bss, so that the arena's first page is one that libc touches
 * anyway. */
__attribute__((common)) alignas(16) char heap_arena[ARENA];
static char *next = heap_arena, *end = heap_arena + ARENA;
static void *freed[LARGEST + 1]; /* a free block's first bytes point to the next one */

static struct header *
head(void *p)
{
	return (struct header *)(void *)((char *)p - sizeof(struct header));
}

static void *
map(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

static void *
large(size_t n)
{
	if (n > PTRDIFF_MAX - 8192) {
		errno = ENOMEM;
		return NULL;
	}
	size_t size = (n + sizeof(struct header) + 4095) & ~(size_t)4095;
	struct header *h = map(size);
	if (!h)
		return NULL;
	h->size = size;
	h->class = LARGE;
	return h + 1;
}

/* A block that is not zeroed; *fresh tells whether it is all the same, since it was never used. */
static void *
take(size_t n, int *fresh)
{
	*fresh = 1;
	if (n > BLOCK_MAX - sizeof(struct header))
		return large(n);
	unsigned class = SMALLEST;
	while (((size_t)1 << class) - sizeof(struct header) < n)
		class++;
	void *p = freed[class];
	if (p) {
		memcpy(&freed[class], p, sizeof(void *));
		*fresh = 0;
		return p;
	}
	size_t size = (size_t)1 << class;
	if ((size_t)(end - next) < size) {
		char *more = map(ARENA);
		if (!more)
			return NULL;
		next = more;
		end = more + ARENA;
	}
	struct header *h = (struct header *)(void *)next;
	next += size;
	h->class = (uint8_t)class;
	return h + 1;
}

void *
malloc(size_t n)
{
	int fresh;
	return take(n, &fresh);
}

void *
calloc(size_t count, size_t size)
{
	int fresh;
	if (size && count > SIZE_MAX / size) {
		errno = ENOMEM;
		return NULL;
	}
	void *p = take(count * size, &fresh);
	if (p && !fresh)
		memset(p, 0, count * size);
	return p;
}

void
free(void *p)
{
	if (!p)
		return;
	struct header *h = head(p);
	if (h->class == LARGE) {
		int e = errno;
		munmap(h, h->size);
		errno = e;
		return;
	}
	memcpy(p, &freed[h->class], sizeof(void *));
	freed[h->class] = p;
}

void *
realloc(void *p, size_t n)
{
	if (!p)
		return malloc(n);
	struct header *h = head(p);
	size_t room = (h->class == LARGE ? h->size : (size_t)1 << h->class) - sizeof *h;
	if (n <= room)
		return p;
	if (h->class == LARGE && n < PTRDIFF_MAX - 8192) {
		size_t size = (n + sizeof *h + 4095) & ~(size_t)4095;
		struct header *moved = mremap(h, h->size, size, MREMAP_MAYMOVE);
		if (moved == MAP_FAILED)
			return NULL;
		moved->size = size;
		return moved + 1;
	}
	void *q = malloc(n);
	if (!q)
		return NULL;
	memcpy(q, p, room);
	free(p);
	return q;
}
