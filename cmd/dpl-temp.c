/* dpl-temp - make, register, remove and list temp resources */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "clock.h"
#include "num.h"
#include "picture.h"
#include "reclaim.h"
#include "remove.h"
#include "render.h"
#include "temp.h"
#include "text.h"

static const char usage[] =
	"usage: dpl-temp make [-djqv] [-C ledger] [-o operation] [-p participant] [-t timeout]\n"
	"                [--call call] [--suffix text] [--tmpdir folder] [template]\n"
	"       dpl-temp add [-jqv] [-C ledger] [-o operation] [-p participant] [-t timeout]\n"
	"                [--by-name] [--call call] [--key key] path ...\n"
	"       dpl-temp add [-jqv] [-C ledger] [-o operation] [-p participant] [-t timeout]\n"
	"                [--call call] [--key key] --command text | --process pid\n"
	"       dpl-temp remove [-ajqv] [-C ledger] [-o operation] [-p participant] [-t timeout]\n"
	"                [--call call] [--keep] [path | id ...]\n"
	"       dpl-temp list [-ajqv] [-C ledger] [-o operation] [--by participant] [--call call]\n"
	"\n"
	"Register what is to be removed when its owner is no more: the call in DPL_CALL, else the\n"
	"participant.  make creates a file, registered before it exists, and prints its path, as\n"
	"mktemp does; add registers what is there and prints its number; remove does away with it\n"
	"now; list shows what is registered.\n"
	"\n"
	"  -a, --all                  remove all of the owner; list those that are no more, too\n"
	"  -C, --ledger=LEDGER        the ledger (DPL_LEDGER, else _ai/operation_ledger)\n"
	"  -d, --directory            make a folder\n"
	"  -j, --json                 print JSON, one object for each thing that was done\n"
	"  -o, --operation=OPERATION  id, a unique part of it, @ or @@ (DPL_OPERATION)\n"
	"  -p, --participant=NAME     who I am (DPL_PARTICIPANT, else the user)\n"
	"  -q, --quiet                print nothing; with list the paths, commands and pids alone\n"
	"  -t, --timeout=DURATION     the longest wait for a lock (DPL_TIMEOUT, else 10s)\n"
	"  -v, --verbose              say on stderr what was written where\n"
	"      --by=PARTICIPANT       list only what this one registered\n"
	"      --by-name              remove also a newer file of that name, or one not there yet\n"
	"      --call=CALL            the call that owns it (DPL_CALL)\n"
	"      --command=TEXT         an undo command: it is run by sh instead of a removal\n"
	"      --keep                 only forget it, it stays\n"
	"      --key=KEY              the same key is carried out once\n"
	"      --process=PID          a process, which is ended\n"
	"      --suffix=TEXT          what follows the random characters\n"
	"      --tmpdir=FOLDER        where to make it (TMPDIR, else /tmp)\n"
	"  -h, --help                 print this\n"
	"  -V, --version              print the version\n"
	"\n"
	"Examples:\n"
	"  file=$(dpl-temp make); sort big >\"$file\"\n"
	"  dpl-temp add --command 'docker rm -f build'\n"
	"  dpl-temp remove \"$file\"\n";

enum { BY = CLI_OWN, BY_NAME, CALL, COMMAND, KEEP, PROCESS, SUFFIX, TMPDIR };

static const struct option options[] = {
	CLI_LEDGER, CLI_OPERATION, CLI_PARTICIPANT, CLI_TIMEOUT, CLI_OUTPUT, CLI_HELP, CLI_KEY_OPTION,
	{"all", no_argument, NULL, 'a'},
	{"by", required_argument, NULL, BY},
	{"by-name", no_argument, NULL, BY_NAME},
	{"call", required_argument, NULL, CALL},
	{"command", required_argument, NULL, COMMAND},
	{"directory", no_argument, NULL, 'd'},
	{"keep", no_argument, NULL, KEEP},
	{"process", required_argument, NULL, PROCESS},
	{"suffix", required_argument, NULL, SUFFIX},
	{"tmpdir", required_argument, NULL, TMPDIR},
	{0},
};

enum { TRIES = 100 }; /* of names, before it is given up */

/* --- what all verbs put --- */

/* The call that owns it; NULL: the participant does. */
static const char *
owner(struct cli *c, const char *call)
{
	const char *from = call ? "--call" : "DPL_CALL";
	if (!call)
		call = cli_inherited(c, "DPL_CALL");
	const char *bad = call ? id_bad_call(call) : NULL;
	if (bad)
		cli_misuse(c, "%s: call '%.80s' %s", from, call, bad);
	return call;
}

/* Begin a request about the operation, which is resolved. */
static void
begin(struct cli *c)
{
	cli_again(c);
	json_put(&c->body, "operationId", c->id);
	cli_put_participant(c);
}

/* Where this is: only that host removes it. */
static void
put_place(struct cli *c)
{
	struct beat_id here = beat_here();
	json_put(&c->body, "bootId", here.boot);
	json_put(&c->body, "machineId", here.machine);
	json_put(&c->body, "host", here.host);
	json_put_int(&c->body, "mountNs", (int64_t)proc_namespace("mnt"));
	json_put_int(&c->body, "pidNs", (int64_t)here.pid_ns);
	json_put_int(&c->body, "timeNs", (int64_t)here.time_ns);
	if (c->client.remote)
		json_put_int(&c->body, "addedMs", clock_wall_ms()); /* the files are told by the clock of this machine */
}

/* That it was this user who wanted it done: on a ledger behind a server others could write it as well. */
static void
put_seal(struct cli *c, struct sealed s)
{
	char seal[SEAL_TEXT];
	struct why why;
	cli_open(c);
	if (!c->client.remote)
		return;
	struct beat_id here = beat_here();
	s.operation = c->id;
	s.machine = strcmp(s.kind, "process") == 0 ? here.boot : here.machine;
	if (seal_make(&s, seal, &why) < 0)
		cli_die(c, &why);
	json_put(&c->body, "seal", seal);
}

static void
put_identity(struct cli *c, const struct remove_identity *id)
{
	char birth[40];
	if (!id->known)
		return;
	json_put(&c->body, "type", id->type == 'd' ? "folder" : id->type == 'l' ? "link" : id->type == 'f' ? "file" : "other");
	/* What JSON cannot carry is cut; it is left alone later, then. */
	json_put_int(&c->body, "device", (int64_t)(id->device & JSON_INT_MAX));
	json_put_int(&c->body, "inode", (int64_t)(id->inode & JSON_INT_MAX));
	if (!id->has_birth || id->birth_s < 0)
		return;
	snprintf(birth, sizeof birth, "%lld.%09u", (long long)id->birth_s, (unsigned)id->birth_ns);
	json_put(&c->body, "birth", birth);
}

/* What is never removed: the ledger, and what is another user's. */
static struct remove_rules
rules(struct cli *c)
{
	static char ledger[PATH_MAX];
	struct remove_rules r = {.uid = geteuid()};
	struct stat st;
	cli_open(c);
	/* One that is not there is said by the request. */
	if (!c->client.remote && realpath(c->client.ledger, ledger) && stat(ledger, &st) == 0)
		r = (struct remove_rules){ledger, st.st_uid};
	return r;
}

/* Add a result of text, or the whole answer. */
static void
put_result(struct cli *c, const char *text)
{
	if (c->json)
		cli_out_json(c);
	else if (!c->quiet && text)
		buf_fmt(&c->out, "%s\n", text);
}

static void
put_number(struct cli *c)
{
	char text[24];
	snprintf(text, sizeof text, "%lld", (long long)cli_answer_int(c, 0, "resourceId"));
	put_result(c, text);
}

/* --- make --- */

/* What was registered is not there: it could not be made, or was made too late and is away again.  Also of an operation that has ended meanwhile,
 * where whoever removes may wait for us, or have given us up. */
static void
forget(struct cli *c, int64_t resource, struct why *why)
{
	struct why second;
	begin(c);
	put_place(c);
	json_put_int(&c->body, "resourceId", resource);
	json_put(&c->body, "result", resource_result_name(RESOURCE_GONE));
	if (cli_ask(c, "/temp/removed", &second) && second.code != ERR_NO_OPERATION)
		why_hint(why, "it stays registered as resource %lld", (long long)resource);
}

/* Register the name, and make it: true, or false where another name must be tried. */
static bool
try_name(struct cli *c, struct temp *t, const char *call, bool folder)
{
	struct why why;
	begin(c);
	if (call)
		json_put(&c->body, "callId", call);
	json_put(&c->body, "kind", "path");
	json_put(&c->body, "path", t->path.p);
	json_put_bool(&c->body, "made", true);
	int64_t start = proc_start(getpid());
	if (start >= 0) {
		json_put_int(&c->body, "pid", getpid());
		json_put_int(&c->body, "pidStart", start);
	}
	put_place(c);
	put_seal(c, (struct sealed){.kind = "path", .what = t->path.p, .start = -1, .made = true});
	enum err err = cli_ask(c, "/temp/add", &why);
	if (err == ERR_REGISTERED)
		return false;
	if (err)
		cli_die(c, &why);
	int64_t resource = cli_answer_int(c, 0, "resourceId");
	if (temp_make(t, folder) < 0) {
		bool there = errno == EEXIST;
		if (errno == ESTALE)
			why_set(&why, ERR_IO, "%.400s: another has taken its place", t->path.p);
		else
			why_errno(&why, "make %.400s", t->path.p);
		forget(c, resource, &why);
		if (there)
			return false;
		cli_die(c, &why);
	}
	begin(c);
	json_put_int(&c->body, "resourceId", resource);
	put_identity(c, &t->made);
	if (cli_ask(c, "/temp/made", &why) == ERR_NONE)
		return true;
	if (temp_undo(t) == 0) {
		/* Nobody looks for what is recorded as gone: it must not come back after a power cut. */
		if (c->client.o.sync)
			remove_flush(t->path.p);
		forget(c, resource, &why);
	} else {
		why_hint(&why, "%.200s is still there", t->path.p);
	}
	cli_die(c, &why);
}

static void
make(struct cli *c)
{
	const char *call = NULL, *suffix = "", *tmpdir = NULL;
	bool folder = false, done = false;
	struct temp t;
	struct why why;
	for (int o; (o = cli_getopt(c, ":C:dhjo:p:qt:vV", options)) != -1;)
		switch (o) {
		case 'd': folder = true; break;
		case CALL: call = optarg; break;
		case SUFFIX: suffix = optarg; break;
		case TMPDIR: tmpdir = optarg; break;
		default: cli_misuse(c, "that option does not go with make");
		}
	if (c->key)
		cli_misuse(c, "--key does not go with make: each time it is another file");
	cli_no_more(c, optind + 1);
	cli_put_operation(c, true);
	call = owner(c, call);
	if (temp_begin(&t, optind < c->argc ? c->argv[optind] : NULL, suffix, tmpdir && *tmpdir ? tmpdir : NULL, &why) < 0)
		cli_die(c, &why);
	cli_text(c, "the path", t.path.p);
	const char *bad = remove_bad_path(t.path.p);
	if (bad)
		cli_misuse(c, "'%.200s' %s", t.path.p, bad);
	struct remove_rules never = rules(c);
	if (remove_refused(t.path.p, &never, &why) < 0)
		cli_die(c, &why);
	for (int i = 0; i < TRIES && !done; i++) {
		temp_name(&t);
		done = !temp_is_there(&t) && try_name(c, &t, call, folder);
	}
	if (!done) {
		why_set(&why, ERR_IO, "%.400s: all of %d names are taken", t.path.p, TRIES);
		cli_die(c, &why);
	}
	if (c->json && c->reply.n) {
		c->reply.n--;
		json_put(&c->reply, "path", t.path.p);
		json_close(&c->reply, '}');
	}
	put_result(c, t.path.p);
	temp_end(&t);
}

/* --- add --- */

/* Where a path really leads: its folder without links, its last part as it is.  False where it leads nowhere. */
static bool
real_path(const char *path, char real[PATH_MAX])
{
	char folder[PATH_MAX];
	size_t n = strlen(path);
	while (n > 1 && path[n - 1] == '/')
		n--;
	size_t last = n;
	while (last > 0 && path[last - 1] != '/')
		last--;
	bool dots = strncmp(path + last, ".", n - last) == 0 || strncmp(path + last, "..", n - last) == 0;
	if (n >= sizeof folder || (dots && !realpath(path, real)))
		return false;
	if (dots)
		return true;
	snprintf(folder, sizeof folder, "%.*s", last ? (int)last : 1, last ? path : ".");
	if (!realpath(folder, real))
		return false;
	size_t have = strlen(real);
	return snprintf(real + have, PATH_MAX - have, "%s%.*s", have > 1 ? "/" : "", (int)(n - last), path + last) < (int)(PATH_MAX - have);
}

static int
bad_path(const char *path, const char *bad, struct why *why)
{
	char real[PATH_MAX];
	why_set(why, ERR_USAGE, "'%.200s' %s", path, bad);
	if (*path && real_path(path, real) && !remove_bad_path(real))
		why_hint(why, "its real path is %.250s", real);
	return -1;
}

/* Refuse what is no path for a resource, whatever stands there. */
static void
check_path(struct cli *c, const char *path)
{
	struct why why;
	const char *bad = remove_bad_path(path);
	if (bad) {
		bad_path(path, bad, &why);
		cli_die(c, &why);
	}
	cli_text(c, "the path", path);
}

/* What stands there in *id: 0, or -1 with `why` where that must not be registered. */
static int
find_path(const char *path, bool by_name, const struct remove_rules *never, struct remove_identity *id, struct why *why)
{
	*id = (struct remove_identity){.known = false};
	int e = remove_identify(path, id) < 0 ? errno : 0;
	if (e == ELOOP)
		return bad_path(path, "leads through a link", why);
	if (e == ENAMETOOLONG)
		return bad_path(path, "holds a name that is too long", why);
	if (remove_refused(path, never, why) < 0)
		return -1;
	bool missing = e == ENOENT || e == ENOTDIR;
	if (!e || (missing && by_name))
		return 0;
	errno = e;
	why_errno(why, "%.400s", path);
	if (missing) {
		why->code = ERR_NO_FILE;
		why_hint(why, "--by-name registers what is not there yet");
	}
	return -1;
}

/* The same for a process, and its start. */
static int
find_process(struct cli *c, int64_t pid, int64_t *start, struct why *why)
{
	char path[40];
	struct stat st;
	struct remove_rules never = rules(c);
	snprintf(path, sizeof path, "/proc/%lld", (long long)pid);
	errno = ENOENT; /* so it stays for one that is there and has ended */
	bool there = (*start = proc_start(pid)) >= 0 && stat(path, &st) == 0;
	if (!there && errno != ENOENT && errno != ESRCH)
		why_errno(why, "look at process %lld", (long long)pid);
	else if (!there)
		why_set(why, ERR_NO_PROCESS, "there is no process %lld", (long long)pid);
	else if (pid == 1)
		why_set(why, ERR_PROTECTED, "process 1 is what all others hang on");
	else if (never.uid != 0 && st.st_uid != never.uid)
		why_set(why, ERR_PROTECTED, "process %lld is another user's", (long long)pid);
	else
		return 0;
	return -1;
}

static void
begin_add(struct cli *c, const char *call, const char *kind)
{
	begin(c);
	if (call)
		json_put(&c->body, "callId", call);
	json_put(&c->body, "kind", kind);
	put_place(c);
}

/* The request was begun, but as things are it cannot be made: with a key it may have been carried out before they were so, and gets its
 * first answer. */
static void
add_again(struct cli *c, const struct why *why)
{
	struct why other;
	if (!c->key)
		cli_die(c, why);
	json_put_bool(&c->body, "repeat", true);
	enum err err = cli_ask(c, "/temp/add", &other);
	if (err)
		cli_die(c, err == ERR_NO_RESOURCE ? why : &other);
	put_number(c);
}

static void
add_paths(struct cli *c, const char *call, bool by_name)
{
	int n = c->argc - optind;
	struct remove_rules never = rules(c);
	struct why why = {.code = ERR_NONE};
	static struct remove_identity *ids; /* any of these may end the process */
	ids = calloc((size_t)n, sizeof *ids);
	if (!ids) {
		why_errno(&why, "%d paths", n);
		cli_die(c, &why);
	}
	/* All of them, before one is registered. */
	for (int i = 0; i < n; i++) {
		check_path(c, c->argv[optind + i]);
		if (find_path(c->argv[optind + i], by_name, &never, &ids[i], &why) < 0 && !c->key)
			cli_die(c, &why);
	}
	for (int i = 0; i < n; i++) {
		begin_add(c, call, "path");
		json_put(&c->body, "path", c->argv[optind + i]);
		if (by_name)
			json_put_bool(&c->body, "byName", true);
		if (why.code) { /* with a key, which goes with one path */
			add_again(c, &why);
			continue;
		}
		put_identity(c, &ids[i]);
		put_seal(c, (struct sealed){.kind = "path", .what = c->argv[optind + i], .start = -1, .by_name = by_name});
		cli_request(c, "/temp/add");
		put_number(c);
	}
	free(ids);
}

static void
add_command(struct cli *c, const char *call, const char *command)
{
	char folder[PATH_MAX];
	struct why why;
	if (!*command)
		cli_misuse(c, "--command is empty");
	if (!getcwd(folder, sizeof folder)) {
		why_errno(&why, "the working folder");
		cli_die(c, &why);
	}
	begin_add(c, call, "command");
	json_put(&c->body, "command", cli_text(c, "--command", command));
	json_put(&c->body, "folder", cli_text(c, "the working folder", folder));
	put_seal(c, (struct sealed){.kind = "command", .what = command, .folder = folder, .start = -1});
	cli_request(c, "/temp/add");
	put_number(c);
}

static void
add_process(struct cli *c, const char *call, int64_t pid)
{
	int64_t start;
	struct why why;
	bool there = find_process(c, pid, &start, &why) == 0;
	begin_add(c, call, "process");
	json_put_int(&c->body, "pid", pid);
	if (!there) {
		add_again(c, &why);
		return;
	}
	json_put_int(&c->body, "pidStart", start);
	char text[24];
	snprintf(text, sizeof text, "%lld", (long long)pid);
	put_seal(c, (struct sealed){.kind = "process", .what = text, .start = start});
	cli_request(c, "/temp/add");
	put_number(c);
}

static void
add(struct cli *c)
{
	const char *call = NULL, *command = NULL;
	int64_t pid = 0;
	bool by_name = false;
	for (int o; (o = cli_getopt(c, ":C:hjo:p:qt:vV", options)) != -1;)
		switch (o) {
		case BY_NAME: by_name = true; break;
		case CALL: call = optarg; break;
		case COMMAND: command = optarg; break;
		case PROCESS: pid = cli_number(c, "--process", optarg, 1, INT32_MAX); break;
		default: cli_misuse(c, "that option does not go with add");
		}
	int kinds = (command != NULL) + (pid > 0) + (optind < c->argc);
	if (kinds != 1)
		cli_misuse(c, kinds ? "a path, --command and --process exclude each other" : "a path, --command or --process is needed");
	if (by_name && optind == c->argc)
		cli_misuse(c, "--by-name goes with a path");
	if (c->key && c->argc - optind > 1)
		cli_misuse(c, "--key goes with one path");
	cli_put_operation(c, true);
	call = owner(c, call);
	if (command)
		add_command(c, call, command);
	else if (pid)
		add_process(c, call, pid);
	else
		add_paths(c, call, by_name);
}

/* --- remove --- */

struct became {
	uint64_t number;
	char result[16], reason[300];
};

static void
keep_told(void *arg, const struct removal_told *t)
{
	struct became *b = arg;
	b->number = t->resource->id;
	snprintf(b->result, sizeof b->result, "%s", t->decision);
	snprintf(b->reason, sizeof b->reason, "%s", t->reason);
}

/* It is not on the server's machine: on this one, perhaps.  False where it is not, or `why` is another failure. */
static bool
remove_here(struct cli *c, const char *name, int64_t number, struct became *b, struct why *why)
{
	struct reclaim r = {.operation = c->id, .by = c->participant, .limit_ms = REMOVAL_LIMIT_MS, .retry = true, .number = number > 0 ? number : 0,
		.path = number > 0 ? NULL : name, .told = keep_told, .arg = b};
	struct why other;
	if (reclaim(&c->client, &r, clock_mono_ms() + c->wait_ms, &other) < 0) {
		*why = other;
		return false;
	}
	if (r.busy)
		why_set(why, ERR_BUSY, "another removes temp resources of %s", c->id);
	else if (r.found && strcmp(b->result, "elsewhere") == 0)
		why_set(why, ERR_ELSEWHERE, "%.300s: %.200s", name, b->reason);
	else if (r.found)
		return true;
	return false;
}

/* The answer that the server would have given. */
static void
answer_as(struct cli *c, const struct became *b)
{
	cli_again(c);
	buf_clear(&c->reply);
	json_open(&c->reply, NULL, '{');
	json_put(&c->reply, "operationId", c->id);
	json_put_int(&c->reply, "resourceId", (int64_t)b->number);
	json_put(&c->reply, "result", b->result);
	if (*b->reason)
		json_put(&c->reply, "reason", b->reason);
	json_close(&c->reply, '}');
}

/* Have it removed where the ledger is. */
static enum err
ask_removal(struct cli *c, const char *name, int64_t number, bool keep, struct why *why)
{
	begin(c);
	if (number > 0)
		json_put_int(&c->body, "resourceId", number);
	else
		json_put(&c->body, "path", name);
	if (keep)
		json_put_bool(&c->body, "keep", true);
	put_place(c);
	return cli_ask(c, "/temp/remove", why);
}

/* One of them, or of all that there were when they were asked for: the exit status. */
static int
remove_one(struct cli *c, const char *name, int64_t number, bool keep, bool of_all)
{
	struct why why;
	struct buf text = {0};
	struct became b = {0, "", ""};
	enum err err = ask_removal(c, name, number, keep, &why);
	if (!err) {
		snprintf(b.result, sizeof b.result, "%s", cli_answer(c, 0, "result", &text));
		snprintf(b.reason, sizeof b.reason, "%s", cli_answer(c, 0, "reason", &text));
	}
	buf_free(&text);
	bool here = err == ERR_ELSEWHERE && c->client.remote && remove_here(c, name, number, &b, &why);
	/* Another of this machine, which had it, may have been first. */
	if (err == ERR_ELSEWHERE && !here && why.code == err && c->client.remote)
		(void)ask_removal(c, name, number, keep, &why);
	if (err && !here && why.code == ERR_NO_RESOURCE && of_all)
		return EXIT_DONE;
	if (err && !here)
		return cli_failed(c, &why);
	int status = EXIT_DONE;
	if (strcmp(b.result, "failed") == 0 || strcmp(b.result, "waits") == 0) {
		why_set(&why, ERR_IO, "%.300s could not be removed: %.250s", name, *b.reason ? b.reason : "the time for it was over");
		status = cli_failed(c, &why);
	} else {
		if (strcmp(b.result, "left") == 0) {
			status = EXIT_NO;
			if (!c->json && !c->quiet)
				cli_say(c, "%.400s was left alone: %s", name, b.reason);
		} else if (c->verbose && !c->quiet) {
			cli_say(c, "%.400s: %s", name, b.result);
		}
		if (err)
			answer_as(c, &b);
		put_result(c, NULL);
	}
	return status;
}

/* The numbers of what the owner has, newest first, in `b`. */
static size_t
all_of(struct cli *c, const char *call, struct buf *b)
{
	struct buf text = {0};
	begin(c);
	if (call)
		json_put(&c->body, "callId", call);
	cli_request(c, "/temp/list");
	int resources = json_get(&c->answer, 0, "resources");
	for (int k = json_first(&c->answer, resources); k >= 0; k = json_next(&c->answer, resources, k)) {
		int64_t number = cli_answer_int(c, k, "resourceId");
		if (call || !*cli_answer(c, k, "callId", &text))
			buf_add(b, &number, sizeof number);
	}
	buf_free(&text);
	if (b->failed) {
		struct why why;
		why_set(&why, ERR_IO, "out of memory");
		cli_die(c, &why);
	}
	return b->n / sizeof(int64_t);
}

static int
remove_all(struct cli *c, const char *call, bool keep)
{
	struct buf numbers = {0};
	char name[40];
	int status = EXIT_DONE;
	for (size_t n = all_of(c, call, &numbers); n > 0; n--) {
		int64_t number;
		memcpy(&number, numbers.p + (n - 1) * sizeof number, sizeof number);
		snprintf(name, sizeof name, "resource %lld", (long long)number);
		int one = remove_one(c, name, number, keep, true);
		status = status ? status : one;
	}
	buf_free(&numbers);
	return status;
}

static int
remove_these(struct cli *c, bool keep)
{
	int status = EXIT_DONE;
	int64_t number;
	for (int i = optind; i < c->argc; i++) {
		const char *name = c->argv[i];
		if (*name && name[strspn(name, "0123456789")] == '\0')
			(void)cli_number(c, "the id", name, 1, JSON_INT_MAX);
		else
			check_path(c, name);
	}
	for (int i = optind; i < c->argc; i++) {
		if (num_int(c->argv[i], strlen(c->argv[i]), 1, JSON_INT_MAX, &number) < 0)
			number = 0;
		int one = remove_one(c, c->argv[i], number, keep, false);
		status = status ? status : one;
	}
	return status;
}

static int
remove_verb(struct cli *c)
{
	const char *call = NULL;
	bool all = false, keep = false;
	for (int o; (o = cli_getopt(c, ":aC:hjo:p:qt:vV", options)) != -1;)
		switch (o) {
		case 'a': all = true; break;
		case CALL: call = optarg; break;
		case KEEP: keep = true; break;
		default: cli_misuse(c, "that option does not go with remove");
		}
	if (c->key)
		cli_misuse(c, "--key goes with add");
	if (all == (optind < c->argc))
		cli_misuse(c, all ? "--all goes with no path or id" : "a path, an id or --all is needed");
	if (call && !all)
		cli_misuse(c, "--call goes with --all");
	cli_put_operation(c, true);
	return all ? remove_all(c, owner(c, call), keep) : remove_these(c, keep);
}

/* --- list --- */

static void
list(struct cli *c)
{
	const char *by = NULL, *call = NULL;
	bool all = false;
	for (int o; (o = cli_getopt(c, ":aC:hjo:qvV", options)) != -1;)
		switch (o) {
		case 'a': all = true; break;
		case BY:
			if (id_bad_participant(optarg))
				cli_misuse(c, "--by: participant '%.80s' %s", optarg, id_bad_participant(optarg));
			by = optarg;
			break;
		case CALL:
			if (id_bad_call(optarg))
				cli_misuse(c, "--call: call '%.80s' %s", optarg, id_bad_call(optarg));
			call = optarg;
			break;
		default: cli_misuse(c, "that option does not go with list");
		}
	if (c->key)
		cli_misuse(c, "--key goes with add");
	cli_no_more(c, optind);
	if (all)
		json_put_bool(&c->body, "all", true);
	if (by)
		json_put(&c->body, "participantId", by);
	if (call)
		json_put(&c->body, "callId", call);
	cli_put_operation(c, false);
	cli_request(c, "/temp/list");
	int resources = json_get(&c->answer, 0, "resources");
	struct buf b = {0};
	if (c->json) {
		cli_out_json(c);
	} else if (!c->quiet) {
		struct picture p = {.json = &c->answer, .out = &c->out, .colours = render_colour(NULL) > 0};
		picture_resources(&p, 0, 0);
	} else {
		for (int k = json_first(&c->answer, resources); k >= 0; k = json_next(&c->answer, resources, k)) {
			bool named = *cli_answer(c, k, "path", &b) || *cli_answer(c, k, "command", &b);
			if (named)
				text_show(&c->out, b.p, b.n);
			else
				buf_int(&c->out, cli_answer_int(c, k, "pid"));
			buf_char(&c->out, '\n');
		}
	}
	buf_free(&b);
	c->quiet = false; /* it chose what is printed, it does not silence it */
}

int
main(int argc, char **argv)
{
	struct cli c;
	int status = EXIT_DONE;
	cli_begin(&c, argc, argv, usage);
	const char *verb = argc > 1 ? argv[1] : "";
	optind = 2;
	if (strcmp(verb, "make") == 0)
		make(&c);
	else if (strcmp(verb, "add") == 0)
		add(&c);
	else if (strcmp(verb, "remove") == 0)
		status = remove_verb(&c);
	else if (strcmp(verb, "list") == 0)
		list(&c);
	else {
		optind = 1;
		if (*verb == '-')
			(void)cli_getopt(&c, ":C:hjo:p:qt:vV", options);
		cli_misuse(&c, *verb && *verb != '-' ? "'%.100s' is not one of make, add, remove, list" : "one of make, add, remove, list is needed%.0s", verb);
	}
	cli_finish(&c, status);
}
