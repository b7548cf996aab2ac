/* protect: the paths that are never deleted, whoever registered them. */
#ifndef DPL_PROTECT_H
#define DPL_PROTECT_H

#include <stdbool.h>
#include <sys/types.h>

#include "err.h"

enum protection {
	PROTECT_NOT,
	PROTECT_EVER,
	PROTECT_NOW,  /* for this process at this time: homes cannot be known */
	PROTECT_HOME, /* … its $HOME is it, or is in it */
	PROTECT_HERE, /* … its working folder is it, or is in it */
};

/* What stands at the path; a link or a mount elsewhere can make the same folder appear under two names. */
struct protect_found {
	bool folder;
	dev_t device;
	ino_t inode;
};

/* Whether an absolute path is one of these, is in one where all is protected, or is a parent of one (remove.h has the list; mount points are
 * for the caller to see).  `found` is NULL where nothing is there; `ledger` is a real path, or NULL.  Otherwise than PROTECT_NOT `why` is
 * filled (ERR_PROTECTED).  While a password file is there that cannot be read, everything is. */
enum protection protect_path(const char *path, const char *ledger, const struct protect_found *found, struct why *why);

#endif
