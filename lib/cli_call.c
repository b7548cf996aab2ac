/* cli_call: what the subcommands of dpl-call have in common. */
#include <stdlib.h>
#include <string.h>

#include "cli_call.h"

const char *
cli_call_id(struct cli *c, const char *what, const char *id)
{
	const char *bad = id_bad_call(id);
	if (bad)
		cli_misuse(c, "%s: call '%.80s' %s", what, id, bad);
	return id;
}

const char *
cli_put_call(struct cli *c)
{
	const char *operand = optind < c->argc ? c->argv[optind] : NULL, *call = operand ? operand : getenv("DPL_CALL");
	cli_no_more(c, optind + 1);
	if (!call || !*call)
		cli_misuse(c, "no call: name one, or set DPL_CALL");
	json_put(&c->body, "callId", cli_call_id(c, operand ? "operand" : "DPL_CALL", call));
	return call;
}

int
cli_ask_call(struct cli *c, const char *call)
{
	struct why why;
	cli_again(c);
	json_put(&c->body, "operationId", c->id);
	json_put(&c->body, "callId", call);
	json_put_bool(&c->body, "all", true);
	cli_request(c, "/call/list");
	/* An id may have been used twice: the newest counts. */
	int list = json_get(&c->answer, 0, "calls"), last = -1;
	for (int k = json_first(&c->answer, list); k >= 0; k = json_next(&c->answer, list, k))
		last = k;
	if (last >= 0)
		return last;
	why_set(&why, ERR_NO_CALL, "no call %s in %s", call, c->id);
	why_hint(&why, "dpl-call list --all -o %s", c->id);
	cli_die(c, &why);
}

enum outcome
cli_outcome(struct cli *c, int call)
{
	struct buf b = {0};
	const char *state = cli_answer(c, call, "state", &b);
	enum outcome o = OUTCOME_FAILED;
	if (strcmp(state, "running") == 0 || strcmp(state, "queued") == 0 || strcmp(state, "cancelling") == 0)
		o = OUTCOME_OPEN;
	else if (strcmp(state, "crashed") == 0 && json_true(&c->answer, call, "fallbackPending"))
		o = OUTCOME_OPEN;
	else if (strcmp(state, "ended") == 0 || (strcmp(state, "crashed") == 0 && json_get(&c->answer, call, "result") >= 0))
		o = OUTCOME_SUCCEEDED; /* a crash with something instead of the result is contained */
	buf_free(&b);
	return o;
}
