/* run: one supervised command, while it runs: what supervise.c, stopping.c and ending.c share, and nobody else. */
#ifndef DPL_RUN_H
#define DPL_RUN_H

#include "capture.h"
#include "duties.h"
#include "frame.h"
#include "output.h"
#include "result.h"
#include "supervised.h"
#include "tree.h"
#include "vigil.h"

enum stop { STOP_NOT, STOP_ABORT, STOP_CANCEL, STOP_CRASH, STOP_TIMEOUT, STOP_WATCHDOG, STOP_LOST };

struct run {
	const struct supervise *s;
	struct client *c;
	struct vigil v;
	struct command command;
	struct frame frame;
	struct output output;
	struct capture out, err;
	struct result_file result_file; /* as it was before the command ran, then as it was read */
	struct supervised *end;
	struct why *why;
	struct tree_kept before; /* children that we had when we were started: `other & exec dpl-call -- command` in a shell */
	bool reaped, watching, explains; /* … explains: why it ended is asked for, and nothing is stopped any more */
	struct frame_end how;    /* how the command ended, once reaped */
	int exec_errno;
	int dog;                 /* a file without a name whose time is the command's own last beat, where its ledger is remote; -1 */
	int64_t begun_ms, kill_ms;
	int64_t tree_ms;         /* when the rest of the tree gets its SIGTERM, 0: not due */
	int64_t paused_ms, resumed_ms; /* suspended for so long in all, and until then last */
	enum stop stop;
	char stop_reason[640];
	pid_t hook;              /* --on-abort, while it runs */
	struct duties duties;
	struct buf result;
	char problem[400];       /* what is wrong with how it ended, "" for nothing */
	int64_t drive_ms;        /* when to look next at what follows from a death; 0: nobody died */
	bool killed, told_gone, told_lost;
};

#endif
