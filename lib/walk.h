/* walk: delete a tree by descriptor.
 *
 * Each folder is opened from the one above it (openat2: RESOLVE_BENEATH, NO_SYMLINKS, NO_XDEV), so that no link and no mount is followed,
 * whoever swaps things meanwhile; links are deleted.  What cannot be deleted stays, with the folders above it, and the rest goes.  Folders of one's
 * own that lack permissions are given them.
 *
 * Memory is a list of names for each level that is entered, 32 KiB each, at most WALK_DEPTH_MAX of them.  Where descriptors run out, upper
 * levels are closed and opened again; they are known by their inode. */
#ifndef DPL_WALK_H
#define DPL_WALK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "buf.h"

enum { WALK_DEPTH_MAX = 256 }; /* folders in each other; what is deeper stays */

struct walk_order {
	int dir;                  /* where it stands (O_PATH will do) */
	const char *name;
	bool file;                /* it was no folder: delete nothing if it is one now */
	bool only_it;             /* if it is a folder, it must be this one: */
	dev_t device;
	ino_t inode;
	bool spares;              /* a folder that stays wherever it is met: */
	dev_t spared_device;
	ino_t spared_inode;
	int64_t until_ms;         /* CLOCK_MONOTONIC, 0: no end */
	bool (*go_on)(void *arg); /* asked at each folder and every 1,024 entries; NULL: go on */
	void *arg;
};

struct walk_end {
	uint64_t entries;    /* names that were deleted */
	bool swapped;        /* it was not what it must be; nothing was deleted */
	const char *stopped; /* why it stopped before it was through, or NULL */
	int error;           /* errno of the first that stays, 0: nothing stays; */
	const char *words;   /* what errno does not say, or NULL; */
	struct buf where;    /* its path below `dir`, as text for people */
};

/* Delete it and all below it.  Fills `end`, whose `where` the caller frees.  That it is not there is success with 0 entries. */
void walk_remove(const struct walk_order *o, struct walk_end *end);

#endif
