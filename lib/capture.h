/* capture: what a command prints, in files of its call: `calls/CALL.out` and `calls/CALL.err` below the operation's folder.
 *
 * A file keeps the last bytes; the disk space of what is before them is given back (fallocate(2), FALLOC_FL_PUNCH_HOLE), so that a byte
 * stays at the offset at which it was printed, for who reads on from there.  Nothing here waits, and nothing that goes wrong
 * with a file holds up the command: what cannot be written is counted, and lost. */
#ifndef DPL_CAPTURE_H
#define DPL_CAPTURE_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "id.h"

enum {
	CAPTURE_FILE_MAX = ID_FILE_MAX + 16,  /* room for "calls/", an encoded name, ".out" */
	CAPTURE_LEAST = 64 * 1024,            /* bytes that are kept at least */
	CAPTURE_DEFAULT = 16 * 1024 * 1024,
};

struct capture {
	int in;          /* the command's end of it comes from here; -1: not captured, or at its end */
	int place;       /* the operation's folder, in which the file is made when there is something to write; -1: nothing is kept.  The caller's to close */
	int to;          /* the file, once it is made; -1 */
	const char *call;
	bool err;        /* which of the two it is */
	bool full;       /* … takes no more: its filesystem cannot give space back */
	int64_t keep;    /* so many of the last bytes, and some more */
	int64_t size;    /* of all that was written */
	int64_t dropped; /* of these from the beginning are not in the file any more */
	int64_t lost;    /* not written … */
	int error;       /* … with this errno, the last */
	int unread;      /* errno of taking it, 0 */
};

/* The path below the operation's folder; `err`: of what went to stderr. */
void capture_file(const char *call, bool err, char file[CAPTURE_FILE_MAX]);

/* Make the folder for such files.  A descriptor for capture_into, or -1 with errno. */
int capture_place(int dir);

/* Begin, with the read end of a pipe, which is closed in capture_end. */
void capture_begin(struct capture *c, int in, bool err, int64_t keep);

/* … and from now on keep what comes, for this call.  Most commands print nothing to one of the two, and a file costs: it is made when there
 * is something to keep. */
void capture_into(struct capture *c, int place, const char *call);

struct pollfd capture_poll(const struct capture *c);

/* Take what is there into the file. */
void capture_take(struct capture *c);

/* Take what is still in the pipe when all is over (a process that was left may keep it open, and write on), and close it. */
void capture_end(struct capture *c);

/* Close its file as well: the last that is done with it. */
void capture_close(struct capture *c);

/* Add all that is in its file to `b`, which is a little.  0, or -1 with errno. */
struct buf;
int capture_read(const struct capture *c, struct buf *b);

/* Open one to read it.  A descriptor, or -1 with errno: ENOENT where nothing was printed, yet or at all. */
int capture_open(int dir, const char *call, bool err);

/* Where in an open one the bytes that are kept begin. */
int64_t capture_first(int fd);

#endif
