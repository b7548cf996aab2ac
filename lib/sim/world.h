/* world: what a play stands in, where that can fail — a server, a network between it and its clients, a disk, a clock.
 *
 * A network is a pair of network namespaces, a disk a file system in memory that this process alone sees: both need root.  The clock is that of
 * commands whose clock can be set (tests/tools/stepped.c). */
#ifndef DPL_WORLD_H
#define DPL_WORLD_H

#include <stdbool.h>
#include <sys/types.h>

#include "deed.h"
#include "scenario.h"

enum { WORLD_PATH = 240 };

struct world {
	char ledger[WORLD_PATH]; /* the folder */
	char url[WORLD_PATH];    /* under which its server is reached; "" there is none */
	char here[40], there[40]; /* the namespaces of the server and of its clients, "" none */
	char clock[WORLD_PATH];  /* the file with the step of the clock, "" none */
	char port[8];
	pid_t server;
};

/* Whether this process can play it, in a ledger that is named, or in one of its own (NULL): NULL, or what that needs. */
const char *world_lacks(const struct scenario *s, const char *ledger);

/* Make it, in a folder that is there.  0, or -1 with `why`; world_end in any case. */
int world_begin(struct world *w, const struct scenario *s, const char *folder, struct why *why);
void world_end(struct world *w);

/* Give a disk back, if there is one in that folder, before that is removed. */
void world_drop_disk(const char *folder);

/* Start a command of one who takes part, where those are. */
struct deed world_deed(const struct world *w, const char *tool);

/* Put in what fails, and take it back: 0, or -1 where that did not come about.  The step of a clock is in whole seconds, and counts from the real
 * time. */
int world_restart_server(struct world *w);
int world_cut_network(struct world *w, bool cut);
int world_fill_disk(struct world *w, bool fill);
int world_step_clock(struct world *w, int64_t ms);

#endif
