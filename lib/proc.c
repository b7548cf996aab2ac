/* proc: who a process is. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "fsx.h"
#include "num.h"
#include "proc.h"
#include "text.h"

int64_t
proc_start(int64_t pid)
{
	char path[40];
	struct buf b = {0};
	int64_t start = -1;
	snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
	if (fsx_read_file(AT_FDCWD, path, &b, 4096) == 0 && b.n) {
		/* The name in parentheses may hold anything: count from its last ')', field 2. */
		char *p = strrchr(b.p, ')');
		for (int field = 2; p && field < 22; field++)
			p = strchr(p + 1, ' ');
		if (p && num_int(p + 1, strcspn(p + 1, " "), 0, INT64_MAX, &start) < 0)
			start = -1;
	}
	buf_free(&b);
	return start;
}

void
proc_command(int64_t pid, char *text, size_t size)
{
	char path[40];
	struct buf b = {0}, shown = {0};
	snprintf(path, sizeof path, "/proc/%lld/cmdline", (long long)pid);
	if (fsx_read_file(AT_FDCWD, path, &b, 1 << 20) == 0 && b.n) {
		for (size_t i = 0; i + 1 < b.n; i++)
			if (!b.p[i])
				b.p[i] = ' ';
		text_show(&shown, b.p, strlen(b.p));
	}
	snprintf(text, size, "%s", shown.n ? shown.p : "?");
	buf_free(&b);
	buf_free(&shown);
}

void
proc_boot_id(char id[PROC_BOOT_ID])
{
	struct buf b = {0};
	id[0] = '\0';
	if (fsx_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", &b, 64) == 0 && b.n >= PROC_BOOT_ID - 1) {
		memcpy(id, b.p, PROC_BOOT_ID - 1);
		id[PROC_BOOT_ID - 1] = '\0';
	}
	buf_free(&b);
}
