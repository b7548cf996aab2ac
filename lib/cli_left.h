/* cli_left: what became of temp resources, as an answer tells of it; those of this machine, where the ledger is behind a server, go here. */
#ifndef DPL_CLI_LEFT_H
#define DPL_CLI_LEFT_H

#include "cli.h"
#include "reclaim.h"

enum { CLI_PATIENCE_MS = 40000 }; /* without -t, with one who removes already: that may be at an undo command */

/* What became of those of this machine: an object each, and their numbers. */
struct cli_left {
	struct buf objects, numbers;
	int gone;                /* since the answer that these are put into */
	const struct cli *cli;   /* whose answer that is */
	bool only_named;         /* of a look: what the answer does not name would not go, and is left out */
};

/* Where the ledger is behind a server, do away with what c->id has left on this machine: `r` says how (by, limit_ms, retry, look, all).  What cannot
 * be done, or told to the server, is said.  How many are no more, -1 where that failed; `left` is for cli_put_left. */
int cli_reclaim(struct cli *c, struct reclaim *r, struct cli_left *left);

/* Put what became of them into the `resources` of the answer, as if the ledger were a folder; its other members stay.  Frees `left`. */
void cli_put_left(struct cli *c, struct cli_left *left);

/* Say on stderr that the resource of that object of the answer was not removed, and why. */
void cli_say_stays(struct cli *c, int resource);

/* The same as cli_put_left for what the answer calls left over; then say on stderr which temp resources stayed, and with `went` how many
 * were removed; not with -q. */
void cli_say_resources(struct cli *c, bool went);

#endif
