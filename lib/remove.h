/* remove: delete what was registered, and only that, by descriptor, never through a link or a mount.
 *
 * What stands at a path is known by its identity: inode, birth time and type, and the device while the machine has not been
 * started anew.  The parent folder is opened from "/" without following any link (openat2, RESOLVE_NO_SYMLINKS), a folder is
 * emptied by descriptor (RESOLVE_BENEATH, NO_SYMLINKS, NO_XDEV), and nothing is ever opened that is not a folder.
 * A kernel without openat2 is refused: there is no other way that is safe.  The checks of permissions are the kernel's, for the
 * uid that asks; of one's own folders, those without permission are given it.
 *
 * walk.h says what it takes in memory and descriptors, and how deep it goes. */
#ifndef DPL_REMOVE_H
#define DPL_REMOVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "err.h"

enum remove_result {
	REMOVE_DONE,    /* deleted */
	REMOVE_GONE,    /* it was not there any more */
	REMOVE_LEFT,    /* it is not what was registered, or is protected: nothing was deleted, and another try would end the same */
	REMOVE_FAILED,  /* all or some of it could not be deleted: another try may */
	REMOVE_STOPPED, /* the time was over, or go_on said no: some of it may be deleted */
};

struct remove_identity {
	bool known;
	uint64_t device, inode;
	int64_t birth_s;
	uint32_t birth_ns;
	bool has_birth; /* not every filesystem knows it */
	char type;      /* 'f' file, 'd' folder, 'l' link, 'o' other (FIFO, socket, device) */
};

struct remove_rules {
	const char *ledger; /* its real absolute path; it, what is in it and its parents are never deleted; NULL: there is none */
	uid_t uid;          /* whose the ledger is */
};

struct remove_order {
	const char *path;          /* absolute, as remove_bad_path wants it */
	struct remove_identity id; /* as it was recorded */
	bool made;                 /* registered before dpl-temp made it: without an identity, the newer file of the same uid is it */
	bool by_name;              /* a newer file of the same uid and type is it, too */
	bool look;                 /* delete nothing, only say what would become of it */
	bool same_boot;            /* the identity is of this boot: device numbers still mean the same */
	int64_t added_ms;          /* wall clock of the registration */
	struct remove_rules rules;
	int64_t limit_ms;          /* how long it may take; 0: as long as it takes */
	bool (*go_on)(void *arg);  /* asked at each folder and every 1,024 entries; NULL: go on */
	void *arg;
};

/* Whether a path is written as it must be, looking at nothing but the text: NULL, or what is wrong with it ("is relative", "holds
 * '..'").  Right is an absolute one of at most 4,095 bytes without `.`, `..`, empty parts and a slash at its end. */
const char *remove_bad_path(const char *path);

/* Whether a path may never be removed: "/", a mount point, /proc and /sys and all in them, /dev and what is in it but for shm and
 * mqueue, /run, /run/user/N, /tmp and /var/tmp themselves, all that stands directly below /, the ledger and all in it, a home ($HOME, those of /etc/passwd), the working
 * folder, and every parent of one of these; so is what remove_bad_path finds fault with.  It need not be there.  0, or -1 with ERR_PROTECTED. */
int remove_refused(const char *path, const struct remove_rules *rules, struct why *why);

/* The identity of what stands at the path now; a link is not followed.  0, or -1 with errno; ELOOP: one of its parents is a link. */
int remove_identify(const char *path, struct remove_identity *id);

/* Delete what the order names if it is still that.  *entries is how many names were deleted, with those in folders.  `reason` gets
 * one line of text for people: empty when DONE or GONE, else why, and of what the first that could not be deleted.  A folder of which
 * some could not be deleted is emptied as far as possible.  The working folder may be in it; $HOME only where dpl-temp made it. */
enum remove_result remove_path(const struct remove_order *order, uint64_t *entries, char *reason, size_t size);

/* Flush the folder that a path stood in, so that what was deleted there does not come back after a loss of power: no flush of another
 * file does that on every filesystem.  Where it cannot be opened or flushed, that is all that can be done. */
void remove_flush(const char *path);

/* Delete the file or folder `name` in `dir` and all below it, asking nothing of the above; what is mounted below stays, and gives EXDEV.
 * 0, or -1 with the errno of the first thing that could not be deleted; ENOENT is success. */
int remove_tree(int dir, const char *name);

#endif
