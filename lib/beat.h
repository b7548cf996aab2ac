/* beat: one file of beats/, which says that somebody is alive.
 *
 * `beats/p-NAME` is a participant's, `beats/c-CALL` a supervised call's.  The file holds one line of JSON that says who
 * beats; it is written once by each holder, and carries a sum, since a reader may come in the middle of that.  The last
 * beat is the file's timestamps, set together by one utimensat(2): atime is the wall clock, mtime the monotonic
 * clock.  They take no space, never fail on a full disk, and wake nobody who watches for deaths.
 *
 * A held file is locked by an open-file-description lock (fcntl(2), F_OFD_SETLK) through one O_CLOEXEC descriptor.  The
 * kernel drops it when the holder dies, however that happens; unlike a POSIX lock it is not lost when the
 * holder itself opens and closes the file, and as long as nobody forks without an exec no child keeps it. */
#ifndef DPL_BEAT_H
#define DPL_BEAT_H

#include <stdbool.h>
#include <stdint.h>

#include "id.h"
#include "proc.h"

enum { BEAT_FILE_MAX = ID_FILE_MAX + 16 }; /* room for "beats/p-" and an encoded name */

enum beat_mode {
	BEAT_LEASED,
	BEAT_HELD,
	BEAT_REMOTE, /* it beats by a server, and promised to do so as one that is held */
};

/* Who beats, as the file says. */
struct beat_id {
	enum beat_mode mode;
	bool nameless;           /* its beats name nobody: a client of the old protocol of the wire */
	bool ttl_given;          /* ttl_ms was asked for: when it is over, that is acted on */
	int64_t ttl_ms;          /* leased */
	int64_t pid, start;      /* held: the supervisor or keeper; leased: the process that joined.  -1 unknown */
	int64_t watched, watched_start; /* the process that a keeper keeps, or that a supervisor runs; -1 */
	int64_t uid;
	uint64_t pid_ns, time_ns;
	char boot[PROC_BOOT_ID], machine[PROC_MACHINE_ID], host[65];
};

/* What the file's mode says besides. */
enum beat_state {
	BEAT_RUNNING,   /* 0600 */
	BEAT_SUSPENDED, /* 0700: its holder is about to stop itself */
	BEAT_ENDING,    /* 0400: its holder died, and what it left running is being stopped */
};

struct beat {
	struct beat_id id;       /* mode BEAT_LEASED and nothing else where the line could not be read: `known` is false */
	bool known;
	bool locked;             /* somebody holds it */
	enum beat_state state;
	int64_t wall_ms, mono_ms; /* of the last beat */
};

/* This process's boot, machine, host, namespaces and uid, with pid and watched -1.  Read once, kept. */
struct beat_id beat_here(void);

/* "leased", "held", "remote". */
const char *beat_mode_name(enum beat_mode mode);

/* The path of the file below the operation's folder, "beats/p-NAME" and so on. */
void beat_person_file(const char *name, char file[BEAT_FILE_MAX]);
void beat_call_file(const char *call, char file[BEAT_FILE_MAX]);
void beat_watchdog_file(const char *call, char file[BEAT_FILE_MAX]);

/* Write a leased one, or any that is not held; where it is held it is left alone.  0 or -1 with errno. */
int beat_lease(int dir, const char *file, const struct beat_id *id);

/* Make it if need be, lock it, and write who holds it.  A descriptor, whose closing lets go; or -1 with errno: EAGAIN
 * where somebody holds it (*other says who, where not NULL). */
int beat_hold(int dir, const char *file, const struct beat_id *id, struct beat *other);

/* Write again who holds it.  0 or -1 with errno. */
int beat_rewrite(int fd, const struct beat_id *id);

/* Beat: by descriptor, or by name without opening.  0 or -1 with errno (ENOENT). */
int beat_touch(int fd);
int beat_touch_file(int dir, const char *file);

/* Beat for a supervisor of this host whose ledger is remote, by what its DPL_WATCHDOG says, /proc/PID/fd/N.  0 or -1 with errno. */
int beat_touch_watchdog(const char *path);

/* Set what the mode says. */
int beat_set_state(int fd, enum beat_state state);
int beat_set_file_state(int dir, const char *file, enum beat_state state);

/* Read it.  0, or -1 with errno: ENOENT where there is none. */
int beat_look(int dir, const char *file, struct beat *b);

/* The last beat alone, without opening it.  0 or -1. */
int beat_when(int dir, const char *file, int64_t *mono_ms);

/* The same of an open one. */
int beat_when_open(int fd, int64_t *mono_ms);

/* Whether somebody holds the file; false also where it is not there, true where that cannot be told. */
bool beat_is_held(int dir, const char *file);

/* For messages: "pid 4711 (dpl-beat …) on HOST". */
void beat_describe(const struct beat_id *id, char *text, size_t size);

#endif
