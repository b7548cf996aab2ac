/* helper: start another program of dpl's, which works for this one. */
#ifndef DPL_HELPER_H
#define DPL_HELPER_H

#include <sys/types.h>

/* Its path: beside this one, in ../libexec/dpl, or just its name, to be looked for on PATH. */
void helper_path(const char *name, char *path, size_t size);

/* Start it with these descriptors as its standard input and output (-1: /dev/null) and standard error (-1: ours), in a process group of its
 * own, so that Ctrl-C is not for it, with no signal blocked.  argv[0] is its name.  0 with *pid, or an errno. */
int helper_start(char *const argv[], char *const env[], int in, int out, int errors, pid_t *pid);

#endif
