/* proc: who a process is. */
#ifndef DPL_PROC_H
#define DPL_PROC_H

#include <stddef.h>
#include <stdint.h>

enum { PROC_BOOT_ID = 37 }; /* room for the boot id with its NUL */

/* When a process began, in clock ticks since boot (field 22 of /proc/PID/stat, proc(5)); -1 where
 * there is none of that pid.  With the boot id it tells most pids apart from reused ones; for
 * proof a pidfd or a held lock is needed. */
int64_t proc_start(int64_t pid);

/* Its command line for a message, control characters shown, cut to `size`; "?" where unknown. */
void proc_command(int64_t pid, char *text, size_t size);

/* This boot of this machine, "" where the kernel does not say. */
void proc_boot_id(char id[PROC_BOOT_ID]);

#endif
