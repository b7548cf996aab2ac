/* removing - remove one path as dpl removes what was registered
 *
 *	removing identify PATH
 *		Prints `TYPE DEVICE INODE BIRTH`; BIRTH is SECONDS.NANOSECONDS, or - where the filesystem has none.
 *	removing refused [-l LEDGER] PATH
 *		Prints why the path is protected, and exits 8 then.
 *	removing remove [-bmn] [-a ADDED] [-c CALLS] [-i IDENTITY] [-l LEDGER] [-t LIMIT] [-u UID] PATH
 *		Prints `RESULT ENTRIES REASON`, and exits with the number of the result.  The identity is the one that the path
 *		has now, or -i as `identify` printed it; `-i -`: none.  -b: another boot; -m: made by dpl-temp; -n: by name; -a: registered at
 *		that time (ms); -t: ms; -c: told to stop when asked that often; -u: whose the ledger is, else who runs this. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "num.h"
#include "remove.h"

static const char *const results[] = {"removed", "gone", "left", "failed", "stopped"};

static _Noreturn void
misuse(const char *what)
{
	fprintf(stderr, "removing: %s; see the comment at the head of removing.c\n", what);
	exit(125);
}

static int64_t
number(const char *text)
{
	int64_t value;
	if (num_int(text, strlen(text), 0, INT64_MAX, &value) < 0)
		misuse(text);
	return value;
}

static struct remove_identity
identity(const char *text)
{
	struct remove_identity id = {0};
	char birth[64] = "";
	if (strcmp(text, "-") == 0)
		return id;
	if (sscanf(text, "%c %" SCNu64 " %" SCNu64 " %63s", &id.type, &id.device, &id.inode, birth) != 4)
		misuse(text);
	id.known = true;
	id.has_birth = sscanf(birth, "%" SCNd64 ".%" SCNu32, &id.birth_s, &id.birth_ns) == 2;
	return id;
}

static bool
count_down(void *arg)
{
	int64_t *calls = arg;
	return (*calls)-- > 0;
}

static int
identify(const char *path)
{
	struct remove_identity id;
	if (remove_identify(path, &id) < 0) {
		printf("%s\n", strerror(errno));
		return 1;
	}
	printf("%c %" PRIu64 " %" PRIu64 " ", id.type, id.device, id.inode);
	if (id.has_birth)
		printf("%" PRId64 ".%09" PRIu32 "\n", id.birth_s, id.birth_ns);
	else
		printf("-\n");
	return 0;
}

static int
refused(const char *path, const struct remove_rules *rules)
{
	struct why why;
	if (remove_refused(path, rules, &why) == 0)
		return 0;
	printf("%s\n", why.text);
	return err_info(why.code)->exit;
}

int
main(int argc, char **argv)
{
	struct remove_order o = {.same_boot = true, .rules.uid = getuid()};
	const char *given = NULL, *what = argc > 1 ? argv[1] : "";
	char reason[400];
	uint64_t entries;
	int64_t calls;
	argc--, argv++;
	for (int c; (c = getopt(argc, argv, "bmna:c:i:l:t:u:")) != -1;)
		switch (c) {
		case 'b': o.same_boot = false; break;
		case 'm': o.made = true; break;
		case 'n': o.by_name = true; break;
		case 'a': o.added_ms = number(optarg); break;
		case 'c': calls = number(optarg); o.go_on = count_down; o.arg = &calls; break;
		case 'i': given = optarg; break;
		case 'l': o.rules.ledger = optarg; break;
		case 't': o.limit_ms = number(optarg); break;
		case 'u': o.rules.uid = (uid_t)number(optarg); break;
		default: misuse("an option");
		}
	if (optind + 1 != argc)
		misuse("one path is needed");
	o.path = argv[optind];
	if (strcmp(what, "identify") == 0)
		return identify(o.path);
	if (strcmp(what, "refused") == 0)
		return refused(o.path, &o.rules);
	if (strcmp(what, "remove") != 0)
		misuse("identify, refused or remove?");
	if (given)
		o.id = identity(given);
	else if (remove_identify(o.path, &o.id) < 0 && errno == ENAMETOOLONG)
		misuse("a path that nothing can have");
	enum remove_result result = remove_path(&o, &entries, reason, sizeof reason);
	printf("%s %" PRIu64 "%s%s\n", results[result], entries, reason[0] ? " " : "", reason);
	return (int)result;
}
