/* keys: which operation the key of a create has made. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fsx.h"
#include "id.h"
#include "keys.h"
#include "lock.h"

int
keys_lock(struct store *s, int64_t wait_ms, struct why *why)
{
	char name[PATH_MAX + 8];
	snprintf(name, sizeof name, "%s/keys", s->path);
	if (mkdirat(s->dir, "keys", 0700) < 0 && errno != EEXIST)
		return why_errno(why, "make %s", name);
	int keys = fsx_open(s->dir, "keys", O_RDONLY | O_DIRECTORY, 0);
	if (keys < 0)
		return why_errno(why, "open %s", name);
	if (lock_exclusive(keys, wait_ms, name, s->o.notice) == 0)
		return keys;
	lock_failed(keys, name, wait_ms, s->o.timed, why);
	close(keys);
	return -1;
}

/* What a link leads to; its length, or -1 with errno. */
static ssize_t
target_of(int keys, const char *link, char target[ID_OPERATION_MAX + 1])
{
	ssize_t n = readlinkat(keys, link, target, ID_OPERATION_MAX);
	if (n >= 0)
		target[n] = '\0';
	return n;
}

int
keys_link(struct store *s, int keys, const char *key, char id[], struct why *why)
{
	char link[ID_KEY_FILE + 1], target[ID_OPERATION_MAX + 1];
	id_key_file(key, link);
	if (symlinkat(id, keys, link) == 0) {
		/* Should it be lost with the power, the key was never answered for. */
		if (s->o.sync)
			(void)fsx_sync_dir(keys);
		return 0;
	}
	if (errno != EEXIST)
		return why_errno(why, "make %s/keys/%s", s->path, link);
	ssize_t n = target_of(keys, link, target);
	if (n < 0)
		return why_errno(why, "read %s/keys/%s", s->path, link);
	if (!id_is_full(target))
		return why_set(why, ERR_DAMAGED, "%s/keys/%s names no operation", s->path, link);
	memcpy(id, target, (size_t)n + 1);
	return 0;
}

void
keys_drop(int keys, const char *key, const char *id)
{
	char link[ID_KEY_FILE + 1], target[ID_OPERATION_MAX + 1];
	id_key_file(key, link);
	if (target_of(keys, link, target) >= 0 && strcmp(target, id) == 0)
		(void)unlinkat(keys, link, 0);
}
