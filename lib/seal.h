/* seal: what proves that a temp resource was registered by this very user.
 *
 * A ledger behind a server may be written by whoever has its token.  What is registered there is done away with by the host that has it;
 * that host must not remove whatever somebody wrote there, nor run their commands.  So who registers something adds a seal: a keyed hash
 * (SipHash-2-4, J.-P. Aumasson and D. J. Bernstein, 2012) of what is to be done, under a key of this user's:
 * `seal.key` in userdir.h, 16 random bytes that are made with the first seal. */
#ifndef DPL_SEAL_H
#define DPL_SEAL_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"

enum { SEAL_TEXT = 17 };     /* 16 hex digits and a NUL */

/* What is sealed. */
struct sealed {
	const char *operation;
	const char *machine;     /* its machine id; for processes its boot id */
	const char *kind;        /* "path", "process", "command"; "orphans" for those of a call */
	const char *what;        /* the path, the command, or the pid as text; for orphans that of the supervisor */
	const char *folder;      /* of a command; NULL */
	int64_t start;           /* of a process, or of the supervisor; else -1 */
	bool made, by_name;      /* of a path */
};

/* 0 with the seal in `text`, or -1 with `why`: there is no key, and none can be made. */
int seal_make(const struct sealed *s, char text[SEAL_TEXT], struct why *why);

/* Whether `text` is its seal, by this user's key; without a key nothing is. */
bool seal_fits(const struct sealed *s, const char *text);

/* For tests: the hash itself. */
uint64_t seal_hash(const uint8_t key[16], const void *bytes, size_t n);

#endif
