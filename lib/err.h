/* err: what can go wrong, in one table.
 *
 * Every failure has a code from this closed list.  The code decides the name that --json and the
 * wire show, the HTTP status, and the exit status of every tool; nothing else in the tree maps
 * one to the other.  A function that can fail for reasons errno cannot say takes a struct why,
 * fills it and returns -1. */
#ifndef DPL_ERR_H
#define DPL_ERR_H

#include <stdbool.h>

/* The exit statuses of every tool (design: one table for all). */
enum {
	EXIT_DONE = 0,
	EXIT_NO = 1,          /* a well-formed no */
	EXIT_MISUSE = 2,      /* option, operand, environment, bad id */
	EXIT_NONE_SUCH = 3,   /* no such operation, call, participant, resource or file */
	EXIT_ABORTED = 4,     /* the operation is aborted */
	EXIT_FAILED = 5,      /* the operation failed, or a participant died */
	EXIT_STATE = 6,       /* the state forbids it */
	EXIT_BUSY = 7,        /* busy or unreachable: the same command may work later */
	EXIT_REFUSED = 8,     /* permission or token */
	EXIT_SYSTEM = 9,      /* I/O, disk full, damaged journal */
	EXIT_TIMED_OUT = 124, /* the time given with -t is over */
};

enum err {
	ERR_NONE,
	ERR_USAGE,
	ERR_REQUEST,
	ERR_JSON,
	ERR_ID,
	ERR_TOO_LARGE,
	ERR_AMBIGUOUS,
	ERR_NO_PATH,
	ERR_NO_OPERATION,
	ERR_NO_CALL,
	ERR_NO_PARTICIPANT,
	ERR_NO_SESSION,
	ERR_NO_PROCESS,
	ERR_NO_FILE,
	ERR_NO_RESOURCE,
	ERR_NO_LEDGER,
	ERR_NOT_SET,
	ERR_ABORTED,
	ERR_FAILED,
	ERR_DEAD,
	ERR_ENDED,
	ERR_CALL_ENDED,
	ERR_CALL_EXISTS,
	ERR_CALLS_RUNNING,
	ERR_NO_RESULT,
	ERR_ELSEWHERE,
	ERR_NOT_INITIATOR,
	ERR_HELD,
	ERR_REGISTERED,
	ERR_KEY_REUSED,
	ERR_BUSY,
	ERR_UNREACHABLE,
	ERR_PERMISSION,
	ERR_PROTECTED,
	ERR_DAMAGED,
	ERR_DISK_FULL,
	ERR_NOT_DURABLE,
	ERR_IO,
	ERR_FORMAT,
	ERR_TIMED_OUT,
	ERR_HTTP,
	ERR_UNAUTHORIZED,
	ERR_FORBIDDEN,
	ERR_MEDIA,
	ERR_MISDIRECTED,
	ERR_TOO_MANY,
	ERR_COUNT
};

struct err_info {
	const char *name; /* as in --json and on the wire */
	int status;       /* HTTP */
	int exit;
	bool retryable;   /* the same request may succeed later */
};

/* Whether it says that the operation is over: it has ended, or has failed of a death. */
bool err_is_end(enum err code);

/* The row of a code. */
const struct err_info *err_info(enum err code);

/* The code of that name; ERR_IO for a name that is not in the list. */
enum err err_by_name(const char *name);

struct why {
	enum err code;
	char text[600]; /* the object first, the reason last; no full stop */
	char hint[300]; /* what to do, "" where there is nothing to say */
};

/* Fill `why` and return -1, so that `return why_set(…)` is how a function fails. */
int why_set(struct why *why, enum err code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The same for a system call that failed: the text gets ": " and errno's words, the code follows
 * from errno (EACCES and EPERM: permission, ENOSPC and EDQUOT: disk full, else I/O). */
int why_errno(struct why *why, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Add what the user can do about it. */
void why_hint(struct why *why, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Says something that is no failure but that a person should know ("cut a torn line").  The
 * library never prints; a command hands one of these down. */
struct notice {
	void (*say)(void *arg, const char *text);
	void *arg;
};

void notice(const struct notice *n, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
