/* userdir: the folder where a user's own state lies on this machine, $XDG_STATE_HOME/dpl or ~/.local/state/dpl. */
#ifndef DPL_USERDIR_H
#define DPL_USERDIR_H

#include "err.h"

/* Open it, with `make` made (0700) where it is not there.  A descriptor, or -1 with `why`: ERR_NO_FILE where it is not there; refused
 * (ERR_PERMISSION) where it is another user's, or others may write to it. */
int userdir_open(bool make, struct why *why);

#endif
