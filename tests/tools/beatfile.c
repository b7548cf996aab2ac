/* beatfile - change what a beat file says, with a right sum
 *
 *	beatfile file [member=value ...]
 *
 * Members are those of the file's line, and `age`, `wall` and `mono`: how many milliseconds ago the last beat was by both
 * clocks, or by one.  Without any the file is read, and its line printed as name=value words. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "beat.h"
#include "clock.h"

static struct timespec times[2];

static struct timespec
before(int64_t now_ms, const char *ms)
{
	int64_t t = now_ms - strtoll(ms, NULL, 10);
	return (struct timespec){.tv_sec = (time_t)(t >= 0 ? t / 1000 : (t - 999) / 1000), .tv_nsec = (t % 1000 + 1000) % 1000 * 1000000};
}

static int
set_number(struct beat_id *id, const char *name, const char *value)
{
	const struct {
		const char *name;
		int64_t *number;
	} numbers[] = {{"pid", &id->pid}, {"pidStart", &id->start}, {"watchedPid", &id->watched}, {"watchedStart", &id->watched_start}, {"uid", &id->uid},
		{"ttlMs", &id->ttl_ms}, {"pidNs", (int64_t *)&id->pid_ns}, {"timeNs", (int64_t *)&id->time_ns}};
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		if (strcmp(numbers[i].name, name) == 0) {
			*numbers[i].number = strtoll(value, NULL, 10);
			return 0;
		}
	return -1;
}

static int
set(struct beat_id *id, char *word)
{
	char *value = strchr(word, '=');
	if (!value)
		return -1;
	*value++ = '\0';
	if (strcmp(word, "age") == 0 || strcmp(word, "wall") == 0)
		times[0] = before(clock_wall_ms(), value);
	if (strcmp(word, "age") == 0 || strcmp(word, "mono") == 0)
		times[1] = before(clock_mono_ms(), value);
	if (strcmp(word, "age") == 0 || strcmp(word, "wall") == 0 || strcmp(word, "mono") == 0)
		return 0;
	if (strcmp(word, "mode") == 0)
		id->mode = strcmp(value, "held") == 0 ? BEAT_HELD : strcmp(value, "remote") == 0 ? BEAT_REMOTE : BEAT_LEASED;
	else if (strcmp(word, "ttlGiven") == 0)
		id->ttl_given = strcmp(value, "true") == 0;
	else if (strcmp(word, "bootId") == 0)
		snprintf(id->boot, sizeof id->boot, "%s", value);
	else if (strcmp(word, "machineId") == 0)
		snprintf(id->machine, sizeof id->machine, "%s", value);
	else if (strcmp(word, "host") == 0)
		snprintf(id->host, sizeof id->host, "%s", value);
	else
		return set_number(id, word, value);
	return 0;
}

static void
print(const struct beat *b)
{
	const struct beat_id *id = &b->id;
	printf("known=%d locked=%d state=%d wallAge=%" PRId64 " monoAge=%" PRId64 " mode=%s pid=%" PRId64 " pidStart=%" PRId64 " watchedPid=%" PRId64
	       " watchedStart=%" PRId64 " bootId=%s machineId=%s pidNs=%" PRIu64 " timeNs=%" PRIu64 " host=%s uid=%" PRId64 " ttlMs=%" PRId64 " ttlGiven=%s\n",
		b->known, b->locked, (int)b->state, clock_wall_ms() - b->wall_ms, clock_mono_ms() - b->mono_ms, beat_mode_name(id->mode), id->pid,
		id->start, id->watched, id->watched_start, id->boot, id->machine, id->pid_ns, id->time_ns, id->host, id->uid, id->ttl_ms,
		id->ttl_given ? "true" : "false");
}

int
main(int argc, char **argv)
{
	struct beat b;
	struct stat st;
	if (argc < 2 || beat_look(AT_FDCWD, argv[1], &b) < 0) {
		fprintf(stderr, "usage: beatfile file [member=value ...]\n");
		return 2;
	}
	if (argc == 2) {
		print(&b);
		return 0;
	}
	int fd = open(argv[1], O_RDWR | O_NOATIME), rc = fd < 0 || fstat(fd, &st) < 0 ? -1 : 0;
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	for (int i = 2; i < argc && rc == 0; i++)
		rc = set(&b.id, argv[i]);
	if (rc < 0 || beat_rewrite(fd, &b.id) < 0 || futimens(fd, times) < 0) {
		perror("beatfile");
		return 1;
	}
	return 0;
}
