/* supervised: what a supervisor is asked for, and what it tells in the end. */
#ifndef DPL_SUPERVISED_H
#define DPL_SUPERVISED_H

#include <stdbool.h>
#include <stdint.h>

#include "command.h"
#include "duties.h"
#include "frame.h"
#include "result.h"

/* The exit statuses of a supervised call that are neither the command's own nor a shell's (command.h). */
enum {
	SUPERVISE_ABORTED = 122,   /* stopped by an abort or a cancellation; or not started because of an abort */
	SUPERVISE_FAILED = 123,    /* stopped because somebody died or the operation failed */
	SUPERVISE_TIMED_OUT = 124, /* stopped by its timeout or watchdog */
};

struct supervise {
	char **argv;               /* the command */
	struct frame_asked call;
	struct command_origin origin; /* its mask and ignore_sigchld are filled in here */
	const char *on_abort;      /* a shell command instead of SIGTERM; or NULL */
	struct duties duties;      /* when the command does not succeed, and when the operation fails */
	struct result_source result;
	int64_t output_max;        /* with call.captures: so many of the last bytes of stdout are kept, and of stderr */
	bool leave_orphans;
	bool stop_when_lost;     /* where its server is away for too long */
	int64_t grace_ms;          /* from SIGTERM to SIGKILL */
	int64_t timeout_ms, watchdog_ms; /* 0: none */
	void (*started)(void *arg, const char *call); /* the call is in the ledger, started or queued; may be NULL */
	void *arg;
	const struct notice *say, *verbose; /* what is said always; at -v.  May be NULL */
};

/* What became of it. */
struct supervised {
	char call[ID_NAME_MAX + 1]; /* "" where it was not started */
	int status;                /* the exit status to end with */
	int signal;                /* that the command died of, or that lost some of what it printed, 0; the caller dies of it too where a shell
	                            * would care */
	int64_t duration_ms;
};

#endif
