/* deed: what the processes of a scenario do — run one of the real commands, and note for who watches the play.
 *
 * Notes are lines in a named pipe, each of one write, so that they come whole from any process. */
#ifndef DPL_DEED_H
#define DPL_DEED_H

#include <stdint.h>
#include <sys/types.h>

#include "buf.h"

enum { DEED_WORDS = 48, DEED_NOTE = 512 };

/* A command line that grows; texts are the caller's, and stay. */
struct deed {
	const char *word[DEED_WORDS + 1];
	int n;
	int errors;              /* where its stderr goes; -1: where ours does */
};

/* Begin one: the tool's name. */
struct deed deed(const char *tool);
void deed_add(struct deed *d, const char *word);
/* An option and its value. */
void deed_option(struct deed *d, const char *option, const char *value);

/* Where the program of that name is, for a command that starts it. */
void deed_path(const char *tool, char *path, size_t size);

/* Start it; its stdout goes to out_fd, -1: to nobody.  0, or errno. */
int deed_start(const struct deed *d, int out_fd, pid_t *pid);

/* Run it to its end: the exit status, 128 + the signal that ended it, or -1 where it could not be started.  *out, where it is not NULL, gets
 * what it prints.  Goes on after a signal that we handle. */
int deed_run(const struct deed *d, struct buf *out);

/* The exit status of a child that has ended, as a shell gives it. */
int deed_status(int status);

/* Write a note; nothing happens where nobody reads. */
void deed_note(const char *pipe, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Sleep; ends early where a signal is handled.  The milliseconds that are left. */
int64_t deed_rest(int64_t ms);

#endif
