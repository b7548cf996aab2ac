/* cli_calls: what dpl-call says of calls — which there are, what came of them, what they printed.  The rest of the command line is read
 * here. */
#ifndef DPL_CLI_CALLS_H
#define DPL_CLI_CALLS_H

#include "cli.h"

void cli_list(struct cli *c);
void cli_result(struct cli *c);
void cli_output(struct cli *c);

#endif
