/* cli_sync: wait for calls.  The rest of the command line is read here. */
#ifndef DPL_CLI_SYNC_H
#define DPL_CLI_SYNC_H

#include "cli.h"

/* dpl-call sync: for some, or all of the session. */
void cli_sync(struct cli *c);

/* dpl-call wait: for one, and end with its status. */
void cli_wait(struct cli *c);

#endif
