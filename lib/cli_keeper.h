/* cli_keeper: the --keep of create and join, which starts a keeper.  As in cli.h, a failure ends the process. */
#ifndef DPL_CLI_KEEPER_H
#define DPL_CLI_KEEPER_H

#include "cli.h"

/* What --keep and the options that go with it say. */
struct cli_kept {
	int64_t pid;             /* 0: no keeper is wanted */
	const char *grace, *on_cleanup, *on_failure; /* or NULL */
};

/* --keep: a process that a keeper shall keep.  Checked before anything is done: it is there, and may be kept; the other options are not
 * given without it. */
void cli_check_kept(struct cli *c, const struct cli_kept *k);
/* Start the keeper for the participant of the answer, of create or join: dpl-beat --keep; one that a key started before is
 * as good.  Where that fails, it has said why, what was answered is undone by the request `undo` (/operation/complete or
 * …/leave) unless a key had done it before, and the process exits with the keeper's status. */
void cli_keep(struct cli *c, const struct cli_kept *k, const char *undo);

#endif
