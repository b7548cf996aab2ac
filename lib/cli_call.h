/* cli_call: what the subcommands of dpl-call have in common. */
#ifndef DPL_CLI_CALL_H
#define DPL_CLI_CALL_H

#include "cli.h"

/* Long options without a letter. */
enum {
	CALL_ABORTED_OK = CLI_OWN, CALL_ANY, CALL_BY, CALL_COUNT, CALL_ERR, CALL_FALLBACK, CALL_FALLBACK_COMMAND, CALL_FIRST_FAIL, CALL_FROM, CALL_GRACE,
	CALL_GROUP, CALL_ID, CALL_KEEP_RESULT, CALL_LEAVE_ORPHANS, CALL_NO_FAIL_ON_CRASH, CALL_ON_ABORT, CALL_ON_CLEANUP, CALL_ON_COMPLETION, CALL_ON_CRASH,
	CALL_ON_FAILURE, CALL_ON_LOST, CALL_OR, CALL_OUTPUT_MAX, CALL_PARENT, CALL_PID, CALL_RESULT, CALL_RESULT_FROM, CALL_RESULT_JSON, CALL_SESSION, CALL_SLOTS, CALL_TAIL,
	CALL_TIMEOUT, CALL_TREE, CALL_WATCHDOG,
};

/* A call id: misuse where it is none. */
const char *cli_call_id(struct cli *c, const char *what, const char *id);

/* The call that the operand at optind or DPL_CALL names, put as callId.  No operand may follow. */
const char *cli_put_call(struct cli *c);

/* Ask for one call of the operation, of those that have ended, too: its index in the answer.  Where there is none that is said, and
 * the process exits. */
int cli_ask_call(struct cli *c, const char *call);

/* What became of a call, from an object of /call/list or an entry of the journal. */
enum outcome { OUTCOME_OPEN, OUTCOME_SUCCEEDED, OUTCOME_FAILED };
enum outcome cli_outcome(struct cli *c, int call);

#endif
