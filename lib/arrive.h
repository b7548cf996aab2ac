/* arrive: wait for files to be there, whole.
 *
 * A file that is there at first is taken as it is.  One that comes later is taken when it is closed by its writer or moved to
 * its place, of which inotify tells; and, as nobody tells of a hard link or of what another host does, at a look every
 * WATCH_LOOK_MS, where nobody has it open for writing.  That the kernel tells by a lease, of files of one's own; of
 * others a look can only see that nothing has changed. */
#ifndef DPL_ARRIVE_H
#define DPL_ARRIVE_H

#include "reader.h"

struct arrival;

struct arrive {
	struct arrival *files;   /* in the order in which they were named */
	size_t n;
	size_t count;            /* so many suffice; 0: all */
	bool empty_ok;           /* an empty one counts */
};

/* Add a file; misuse where the path names none.  `path` must outlive the wait, in which it is cut short at times. */
void arrive_add(struct cli *c, struct arrive *a, char *path);

/* Wait until they are there, and print each as it comes: 0.  Ends without, and says what is missing, when -t is over, or with
 * the operation p->id (""; none): then the exit status is 1, 4 or 5.  What cannot be looked at ends the process. */
int arrive_wait(struct cli *c, struct arrive *a, struct place *p);

#endif
