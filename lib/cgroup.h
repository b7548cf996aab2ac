/* cgroup: a control group for the processes of one call, where this user was given one to divide.
 *
 * Only cgroup v2 (cgroups(7)), and only below a group that was delegated: systemd says so by the extended attribute
 * user.delegate, and in what was not delegated nobody else may make groups.  A process cannot leave it by forking, by
 * setsid or by clearing its environment.  Everywhere else there is none, and nothing is lost but that. */
#ifndef DPL_CGROUP_H
#define DPL_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "buf.h"

/* Make one for the call; *path gets its path below the cgroup filesystem ("/user.slice/…/dpl-CALL").  0, or -1 where there is
 * none to be had: not delegated, not version 2, not enough room. */
int cgroup_make(const char *call, struct buf *path);

/* Move a process of ours into it.  0 or -1. */
int cgroup_enter(const char *path, pid_t pid);

/* The pids in it, not of groups below it: calls `each` for every one.  -1 where there is no such group. */
int cgroup_each(const char *path, void (*each)(void *arg, int64_t pid), void *arg);

/* Whether the kernel killed one of it because its memory was out; false also where that is not counted. */
bool cgroup_was_oom_killed(const char *path);

/* Remove it; who is still in it goes to the group above. */
void cgroup_remove(const char *path);

#endif
