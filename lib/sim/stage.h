/* stage: play a scenario — start the first process, put in what fails, watch what happens, and leave nothing behind. */
#ifndef DPL_STAGE_H
#define DPL_STAGE_H

#include "happened.h"

/* What a line tells of. */
enum stage_told {
	TOLD_ENTRY,              /* an entry of the journal */
	TOLD_PHASE,              /* somebody came to a phase */
	TOLD_SAID,               /* somebody at work says so */
	TOLD_BEAT,               /* a beat with its checks */
	TOLD_FAILURE,            /* a failure is put in */
	TOLD_STAGE,              /* of the play itself */
};

enum { STAGE_FOLDER = 200 };

struct stage {
	const struct scenario *s;
	const char *text;        /* the scenario as it stands in its file, n bytes */
	size_t n;
	const char *ledger;      /* a folder or a URL; NULL: one that is made for this, and removed */
	double scale;
	uint64_t seed;           /* with which it was read */
	/* A line of what happens: ms since the beginning, by whom (a participant's number, -1 nobody's), at which depth of calls; `kind` is
	 * what it is. */
	void (*tell)(void *arg, int64_t at_ms, int who, int depth, enum stage_told kind, const char *text);
	void *arg;
	char folder[STAGE_FOLDER]; /* out: where it was played, until stage_close; "" none */
};

/* Play it.  0 with what happened in `h` (happened_end in any case), or -1 with `why`: it could not be played. */
int stage_play(struct stage *stage, struct happened *h, struct why *why);

/* Remove what was made for it: its folder, with its temp resources, and the ledger where that was made for it.  0, or -1 with `why`. */
int stage_close(struct stage *stage, struct why *why);

/* What Ctrl-C does: the play that is going on ends at once, and is tidied away.  Safe in a signal handler. */
void stage_stop(void);
bool stage_is_stopped(void);

#endif
