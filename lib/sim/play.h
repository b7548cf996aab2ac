/* play: the processes of a scenario — a participant, the work of a call, somebody outside who is asked.
 *
 * Each is dpl-sim once more, begun by another process of the play, and does what a program of that kind would do, with the real
 * commands.  What they share is in a folder, whose path is in the environment:
 *
 *	scenario        the scenario, as it is played
 *	notes           the named pipe for deed_note
 *	joined-NAME     there is a process of that participant
 *	silent-NAME     … which does not beat any more
 *	answer-CALL     what was asked for
 *	errors          what the commands complain of
 *	tmp, ledger, clock   its temp resources; where they are made for it, its ledger, and by how much its clock was set
 *
 * Notes: `operation ID`, `process NAME PID KEEPER`, `phase NAME CALL PHASE`, `temp PATH`, `beat NAME …`, `say CALL …`, `fails CALL TEXT`, `exit NAME STATUS`. */
#ifndef DPL_PLAY_H
#define DPL_PLAY_H

#include "buf.h"
#include "scenario.h"

#define PLAY_FOLDER "DPL_SIM_FOLDER"
#define PLAY_NAME "DPL_SIM_NAME"
#define PLAY_SCALE "DPL_SIM_SCALE"
#define PLAY_SEED "DPL_SIM_SEED"

/* A file of the folder of the play, with the number of a failure behind it: that has happened. */
#define PLAY_HIT "hit-"

struct play {
	struct scenario s;
	struct buf folder, notes; /* paths */
	double scale;
};

/* Take in what is played from the environment.  0, or -1 with `why`; play_end in any case. */
int play_begin(struct play *p, struct why *why);
void play_end(struct play *p);

/* A time of the scenario as it is played, at least a millisecond where it is not 0. */
int64_t play_ms(double scale, int64_t ms);

/* A setting as it is played.  However small the scale: who is only slow is not to be taken for dead; `served`: where silence alone tells. */
int64_t play_setting_ms(const struct scenario *s, double scale, enum scenario_setting setting, bool served);

/* Whether a ledger is a URL. */
bool play_is_served(const char *ledger);

/* The process of a participant, which makes a call and leaves: the first one creates the operation, and ends it.  Its exit status. */
int play_participant(struct play *p, int call);

/* The work of a call, run below its supervisor. */
int play_work(struct play *p, int call);

/* Somebody outside: writes the answer for a call. */
int play_external(struct play *p, int call);

#endif
