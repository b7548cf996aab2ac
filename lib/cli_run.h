/* cli_run: run a command as a call, in the foreground or the background.  The rest of the command line is read here. */
#ifndef DPL_CLI_RUN_H
#define DPL_CLI_RUN_H

#include "cli.h"

/* dpl-call [run]: end as the command does. */
_Noreturn void cli_run(struct cli *c);

/* dpl-call spawn: print the call's id and exit, while the call goes on in a session of its own. */
_Noreturn void cli_spawn(struct cli *c);

#endif
