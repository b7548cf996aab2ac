/* result: what a command leaves as the result of its call — what it printed, or a file that it wrote. */
#ifndef DPL_RESULT_H
#define DPL_RESULT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "buf.h"
#include "err.h"

enum { RESULT_MAX = 32 * 1024 }; /* bytes */

struct result_source {
	const char *from;        /* "stdout", or the path of a file; NULL: there is none */
	bool json;               /* it must be JSON */
	bool keep;               /* the file stays when it has been read */
};

/* A regular file, under its own name and no link's, at one time: what is still as it was before the command ran was not written by it,
 * and what is no longer as it was read is somebody else's by now. */
struct result_file {
	bool there;
	bool other;              /* what stands there is a link, a folder, or another thing that is no regular file */
	dev_t device;
	ino_t inode;
	int64_t size, changed_s, changed_ns;
};

bool result_is_stdout(const struct result_source *s);

/* Whether the `n` bytes are one JSON value; else `why` says so. */
bool result_is_json(const char *text, size_t n, struct why *why);

/* Look at the file before the command runs. */
void result_look(const struct result_source *s, struct result_file *before);

enum result_taken {
	RESULT_NONE,     /* `why` says what is wrong: there is none, or it is no JSON */
	RESULT_TOO_LONG, /* … for RESULT_MAX or an entry: it is not taken */
	RESULT_TAKEN,
};

/* Take it, as text: repaired to UTF-8, without the newlines at its end, as $(…) has it.  `printed` is what the command has printed, with
 * `more` only the first part of that; a file is read as who we are, and only if it is a regular one: no link, no FIFO, no device.  `file`
 * is how it was before, and becomes how it was read; where the source is stdout it may be NULL. */
enum result_taken result_take(const struct result_source *s, struct result_file *file, const struct buf *printed, bool more, struct buf *text, struct why *why);

/* It has been recorded: the file that was read goes, unless it is to stay; one that has taken its place, or was written anew,
 * stays: it is the next command's.  0, or -1 with errno. */
int result_done_with(const struct result_source *s, const struct result_file *read);

#endif
