/* test_remove - what is deleted, what is left alone, and what races with it */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "remove.h"
#include "unit.h"
#include "walk.h"

#define EXCHANGE 2u

enum { OTHER_UID = 54321, RACE_MS = 1500 };

static char top[PATH_MAX]; /* a folder of our own */
static char reason[300];
static uint64_t entries;

/* --- files --- */

static const char *
at(const char *name)
{
	static char path[4][PATH_MAX + 1000];
	static int turn;
	turn = (turn + 1) % 4;
	snprintf(path[turn], sizeof path[turn], "%s/%s", top, name);
	return path[turn];
}

static void
make_file(const char *name)
{
	int fd = open(at(name), O_WRONLY | O_CREAT | O_EXCL, 0600);
	CHECK(fd >= 0);
	CHECK_INT(write(fd, "x", 1), 1);
	close(fd);
}

static void
make_folder(const char *name)
{
	CHECK_INT(mkdir(at(name), 0700), 0);
}

static bool
there(const char *name)
{
	struct stat st;
	return lstat(at(name), &st) == 0;
}

/* A chain of folders d/d/d… below `name`, a file in each. */
static void
make_chain(const char *name, int depth)
{
	make_folder(name);
	int dir = open(at(name), O_RDONLY | O_DIRECTORY);
	for (int i = 1; i < depth; i++) {
		close(openat(dir, "file", O_WRONLY | O_CREAT, 0600));
		CHECK_INT(mkdirat(dir, "d", 0700), 0);
		int below = openat(dir, "d", O_RDONLY | O_DIRECTORY);
		close(dir);
		dir = below;
	}
	CHECK(dir >= 0);
	close(openat(dir, "file", O_WRONLY | O_CREAT, 0600));
	close(dir);
}

static int
count_descriptors(void)
{
	int n = 0;
	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* --- orders --- */

static struct remove_order
order(const char *path)
{
	static char copy[4][PATH_MAX];
	static int turn;
	turn = (turn + 1) % 4;
	snprintf(copy[turn], sizeof copy[turn], "%s", path);
	struct remove_order o = {.path = copy[turn], .same_boot = true, .rules.uid = geteuid()};
	if (remove_identify(path, &o.id) < 0)
		o.id.known = false;
	return o;
}

static enum remove_result
carry_out(const struct remove_order *o)
{
	int before = count_descriptors();
	enum remove_result r = remove_path(o, &entries, reason, sizeof reason);
	CHECK_INT(count_descriptors(), before);
	CHECK((reason[0] == '\0') == (r == REMOVE_DONE || r == REMOVE_GONE));
	return r;
}

static enum remove_result
remove_now(const char *name)
{
	struct remove_order o = order(at(name));
	return carry_out(&o);
}

/* --- tests --- */

static void
paths_as_they_must_be(void)
{
	static const struct {
		const char *path, *bad;
	} cases[] = {{"/", NULL}, {"/a", NULL}, {"/a/b.c/..d/...", NULL}, {"", "is empty"}, {"a", "is relative"}, {"./a", "is relative"}, {"//", "holds '//'"},
		{"//a", "holds '//'"}, {"/a//b", "holds '//'"}, {"/a/", "ends with a slash"}, {"/.", "holds '.'"}, {"/a/./b", "holds '.'"}, {"/a/.", "holds '.'"},
		{"/..", "holds '..'"}, {"/a/../b", "holds '..'"}, {"/a\n/\xff", NULL}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *bad = remove_bad_path(cases[i].path);
		CHECK_TEXT(bad ? bad : "right", cases[i].bad ? cases[i].bad : cases[i].path[0] == '/' && !bad ? "right" : "wrong");
	}
	char text[PATH_MAX + 1];
	memset(text, 'x', sizeof text);
	text[0] = '/';
	text[PATH_MAX - 1] = '\0';
	CHECK(!remove_bad_path(text));
	text[PATH_MAX - 1] = 'x';
	text[PATH_MAX] = '\0';
	CHECK(remove_bad_path(text));
	struct remove_order o = {.path = "a/b"};
	CHECK_INT(carry_out(&o), REMOVE_LEFT);
	CHECK_TEXT(reason, "the path is relative");
}

static void
each_kind_is_identified_and_deleted(void)
{
	static const char *const names[] = {"a file", "folder", "link", "fifo"};
	make_file("a file");
	make_folder("folder");
	CHECK_INT(symlink("folder", at("link")), 0);
	CHECK_INT(mkfifo(at("fifo"), 0600), 0);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct remove_identity id;
		struct stat st;
		CHECK_INT(remove_identify(at(names[i]), &id), 0);
		CHECK_INT(lstat(at(names[i]), &st), 0);
		CHECK(id.known);
		CHECK_INT(id.type, "fdlo"[i]);
		CHECK_INT(id.inode, st.st_ino);
		CHECK_INT(id.device, st.st_dev);
		CHECK(id.has_birth);
		CHECK(id.birth_s >= st.st_ctime - 10 && id.birth_s <= st.st_ctime);
		CHECK_INT(remove_now(names[i]), REMOVE_DONE);
		CHECK_INT(entries, 1);
		CHECK(!there(names[i]));
		CHECK_INT(remove_identify(at(names[i]), &id), -1);
		CHECK_INT(errno, ENOENT);
		CHECK_INT(remove_now(names[i]), REMOVE_GONE);
		CHECK_INT(entries, 0);
	}
}

static void
a_link_is_not_followed(void)
{
	make_folder("outside");
	make_file("outside/kept");
	make_folder("tree");
	CHECK_INT(symlink("../outside", at("tree/link")), 0);
	CHECK_INT(symlink(at("outside"), at("tree/other")), 0);
	CHECK_INT(remove_now("tree"), REMOVE_DONE);
	CHECK_INT(entries, 3);
	CHECK(there("outside/kept"));
	/* Nor one above it. */
	struct remove_order o = order(at("outside/kept"));
	CHECK_INT(rename(at("outside"), at("moved")), 0);
	CHECK_INT(symlink("moved", at("outside")), 0);
	CHECK_INT(carry_out(&o), REMOVE_LEFT);
	CHECK(there("moved/kept"));
	struct remove_identity id;
	CHECK_INT(remove_identify(at("outside/kept"), &id), -1);
	CHECK_INT(errno, ELOOP);
	/* A file where a folder was: it cannot be there any more. */
	CHECK_INT(unlink(at("outside")), 0);
	make_file("outside");
	CHECK_INT(carry_out(&o), REMOVE_GONE);
	CHECK_INT(remove_now("outside"), REMOVE_DONE);
	CHECK_INT(remove_now("moved"), REMOVE_DONE);
}

static void
only_what_was_registered(void)
{
	make_file("it");
	struct remove_order right = order(at("it")), o;
	o = right;
	o.id.inode++;
	CHECK_INT(carry_out(&o), REMOVE_LEFT);
	CHECK(strstr(reason, "another file is there now (inode "));
	o = right;
	o.id.birth_ns ^= 1;
	CHECK_INT(carry_out(&o), REMOVE_LEFT);
	o = right;
	o.id.birth_s--;
	CHECK_INT(carry_out(&o), REMOVE_LEFT);
	o = right;
	o.id.has_birth = false;
	CHECK_INT(carry_out(&o), REMOVE_LEFT);
	o = right;
	o.id.type = 'd';
	CHECK_INT(carry_out(&o), REMOVE_LEFT);
	CHECK_TEXT(reason, "a file is there now, not a folder");
	o = right;
	o.id.device++;
	CHECK_INT(carry_out(&o), REMOVE_LEFT);
	CHECK(there("it"));
	/* Numbers of devices change from boot to boot. */
	o.same_boot = false;
	CHECK_INT(carry_out(&o), REMOVE_DONE);
	/* Made again: the inode may be the same, the birth is not. */
	make_file("it");
	CHECK_INT(carry_out(&right), REMOVE_LEFT);
	CHECK(there("it"));
	CHECK_INT(remove_now("it"), REMOVE_DONE);
}

static void
without_an_identity_only_what_is_new_and_ours(void)
{
	make_file("it");
	struct remove_order o = order(at("it"));
	o.id.known = false;
	o.added_ms = clock_wall_ms();
	CHECK_INT(carry_out(&o), REMOVE_LEFT);
	o.made = true;
	o.added_ms += 3000;
	CHECK_INT(carry_out(&o), REMOVE_LEFT);
	CHECK(strstr(reason, "older"));
	/* Its times may be anything. */
	struct timespec old[2] = {{1000, 0}, {1000, 0}};
	CHECK_INT(utimensat(AT_FDCWD, at("it"), old, 0), 0);
	o.added_ms -= 3000;
	o.rules.uid++;
	CHECK_INT(carry_out(&o), REMOVE_LEFT);
	CHECK(strstr(reason, "belongs to uid"));
	CHECK(there("it"));
	o.rules.uid--;
	CHECK_INT(carry_out(&o), REMOVE_DONE);
	/* Registered before it is made: that is never taken for older. */
	for (int i = 0; i < 200; i++) {
		o.added_ms = clock_wall_ms();
		make_file("it");
		CHECK_INT(carry_out(&o), REMOVE_DONE);
	}
}

static void
by_name_a_newer_one_will_do(void)
{
	make_file("it");
	struct remove_order o = order(at("it"));
	o.by_name = true;
	o.added_ms = clock_wall_ms() + 3000;
	struct remove_order other = o;
	other.id.inode++;
	CHECK_INT(carry_out(&other), REMOVE_LEFT);
	CHECK(strstr(reason, "older"));
	other.added_ms -= 6000;
	other.rules.uid++;
	CHECK_INT(carry_out(&other), REMOVE_LEFT);
	other.rules.uid--;
	other.id.type = 'd';
	CHECK_INT(carry_out(&other), REMOVE_LEFT);
	CHECK(there("it"));
	other.id.type = 'f';
	CHECK_INT(carry_out(&other), REMOVE_DONE);
	/* The one that was registered, however old. */
	make_file("it");
	o = order(at("it"));
	o.by_name = true;
	o.added_ms = clock_wall_ms() + 3000;
	CHECK_INT(carry_out(&o), REMOVE_DONE);
	/* Not there yet when it was registered. */
	make_folder("it");
	o.id.known = false;
	o.added_ms -= 6000;
	CHECK_INT(carry_out(&o), REMOVE_DONE);
}

/* It is protected, and so says the reason. */
static void
check_refused(const char *path, const struct remove_rules *rules, const char *part)
{
	struct why why = {0};
	bool refused = remove_refused(path, rules, &why) < 0;
	if (!CHECK(refused) || !CHECK_INT(why.code, ERR_PROTECTED) || !CHECK(strstr(why.text, part)))
		printf("#   %s: %s\n", path, refused ? why.text : "not refused");
	struct remove_order o = order(path);
	o.rules = *rules;
	o.by_name = true;
	/* Nothing must be deleted in this very test if the check is wrong. */
	static const char *const never[] = {"/", "/tmp", "/var", "/home", "/root", "/usr", "/proc", "/sys", "/dev", "/run"};
	for (size_t i = 0; i < sizeof never / sizeof *never; i++)
		if (strcmp(path, never[i]) == 0)
			return;
	if (refused)
		CHECK(carry_out(&o) != REMOVE_DONE);
}

static void
what_is_protected(void)
{
	static const char *const of_all[] = {"/", "//", "///", "/.", "/..", "/tmp/.", "/tmp/../etc", "/tmp", "/var/tmp", "/var", "/proc", "/proc/self/fd/0", "/sys/kernel", "/dev",
		"/dev/null", "/dev/shm", "/run", "/run/user", "/run/user/1000", "/root", ""};
	struct remove_rules rules = {.uid = geteuid()};
	struct why why;
	for (size_t i = 0; i < sizeof of_all / sizeof *of_all; i++)
		CHECK(remove_refused(of_all[i], &rules, &why) < 0);
	make_folder("a");
	make_folder("a/ledger");
	make_folder("a/ledger/op");
	make_folder("b");
	char ledger[PATH_MAX];
	snprintf(ledger, sizeof ledger, "%s", at("a/ledger"));
	rules.ledger = ledger;
	check_refused(at("a/ledger"), &rules, "is the ledger");
	check_refused(at("a/ledger/op"), &rules, "is the ledger, or in it");
	check_refused(at("a"), &rules, "holds the ledger");
	check_refused(top, &rules, "holds the ledger");
	CHECK_INT(remove_refused(at("b"), &rules, &why), 0);
	CHECK_INT(remove_refused(at("a/ledger-2"), &rules, &why), 0);
	CHECK_INT(remove_refused(at("not there"), &rules, &why), 0);
	CHECK_INT(remove_refused("/dev/shm/x", &rules, &why), 0);
	CHECK_INT(remove_refused("/run/user/1000/x", &rules, &why), 0);
	/* Where it was moved to, it is known by what it is. */
	make_folder("b/c");
	CHECK_INT(rename(ledger, at("b/c/moved")), 0);
	CHECK_INT(symlink(at("b/c/moved"), ledger), 0);
	make_file("b/d");
	struct remove_order o = order(at("b"));
	o.rules = rules;
	CHECK_INT(carry_out(&o), REMOVE_FAILED);
	CHECK(strstr(reason, "b/c/moved: it is the ledger"));
	CHECK(there("b/c/moved/op") && !there("b/d"));
	rules.ledger = NULL;
	/* Homes. */
	char before[PATH_MAX];
	snprintf(before, sizeof before, "%s", getenv("HOME") ? getenv("HOME") : "");
	setenv("HOME", at("b/c"), 1);
	check_refused(at("b/c"), &rules, "home");
	check_refused(at("b"), &rules, "home");
	CHECK_INT(remove_refused(at("b/c/moved"), &rules, &why), 0);
	CHECK_INT(symlink("b", at("to-b")), 0);
	setenv("HOME", at("to-b//c/"), 1);
	check_refused(at("b/c"), &rules, "home");
	check_refused(at("b"), &rules, "home");
	setenv("HOME", before, 1);
	/* The working folder. */
	int here = open(".", O_RDONLY | O_DIRECTORY);
	CHECK_INT(chdir(at("b/c")), 0);
	CHECK_INT(remove_refused(at("b"), &rules, &why), -1);
	CHECK(strstr(why.text, "working folder"));
	CHECK_INT(remove_now("b"), REMOVE_DONE);
	CHECK_INT(fchdir(here), 0);
	close(here);
	CHECK_INT(remove_now("a"), REMOVE_DONE);
	CHECK_INT(remove_now("to-b"), REMOVE_DONE);
}

static void
deep_ones(void)
{
	make_chain("deep", WALK_DEPTH_MAX);
	CHECK_INT(remove_now("deep"), REMOVE_DONE);
	CHECK_INT(entries, 2 * WALK_DEPTH_MAX);
	make_chain("deeper", WALK_DEPTH_MAX + 3);
	CHECK_INT(remove_now("deeper"), REMOVE_FAILED);
	CHECK(strstr(reason, "deeper than 256 folders"));
	CHECK_INT(entries, WALK_DEPTH_MAX); /* the files down to there */
	CHECK(!there("deeper/file") && there("deeper/d"));
	/* What was left is no deeper if some of it is moved up. */
	CHECK_INT(rename(at("deeper/d/d/d/d"), at("upper")), 0);
	CHECK_INT(remove_now("deeper"), REMOVE_DONE);
	CHECK_INT(remove_now("upper"), REMOVE_DONE);
}

/* With few descriptors each level is opened again on the way up, where its list goes on. */
static void
few_descriptors(void)
{
	static const rlim_t limits[] = {12, 16, 64};
	struct rlimit before, few;
	getrlimit(RLIMIT_NOFILE, &before);
	int highest = count_descriptors();
	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
		make_chain("deep", 200);
		/* On the way up there is more to do, more than one list of it. */
		make_folder("deep/d/d/z");
		for (int k = 0; k < 1500; k++) {
			char name[100];
			snprintf(name, sizeof name, "deep/d/a-rather-long-name-for-a-file-%d", k);
			make_file(name);
		}
		make_chain("deep/d/another", 100);
		few = before;
		few.rlim_cur = limits[i] + (rlim_t)highest;
		CHECK_INT(setrlimit(RLIMIT_NOFILE, &few), 0);
		CHECK_INT(remove_now("deep"), REMOVE_DONE);
		setrlimit(RLIMIT_NOFILE, &before);
		CHECK_INT(entries, 400 + 1 + 1500 + 200);
		CHECK(!there("deep"));
	}
	make_chain("deep", 10);
	few = before;
	int lowest = dup(0); /* of those that are free */
	close(lowest);
	for (rlim_t more = 0; more < 3; more++) {
		static const char *const why[] = {"Too many open files", "/etc/passwd cannot be read", "deep/d: Too many open files"};
		few.rlim_cur = (rlim_t)lowest + more;
		struct remove_order o = order(at("deep"));
		CHECK_INT(setrlimit(RLIMIT_NOFILE, &few), 0);
		enum remove_result r = remove_path(&o, &entries, reason, sizeof reason);
		setrlimit(RLIMIT_NOFILE, &before);
		CHECK_INT(r, REMOVE_FAILED);
		if (!CHECK(strstr(reason, why[more])))
			printf("#   %s\n", reason);
	}
	CHECK_INT(remove_now("deep"), REMOVE_DONE);
}

static void
wide_ones(void)
{
	make_folder("wide");
	int dir = open(at("wide"), O_RDONLY | O_DIRECTORY);
	for (int i = 0; i < 5000; i++) {
		char name[300];
		snprintf(name, sizeof name, "%0*d", i % 255 + 1 < 5 ? 5 : i % 255 + 1, i);
		if (i % 10)
			close(openat(dir, name, O_WRONLY | O_CREAT | O_EXCL, 0600));
		else
			CHECK_INT(mkdirat(dir, name, 0700), 0);
	}
	close(dir);
	CHECK_INT(remove_now("wide"), REMOVE_DONE);
	CHECK_INT(entries, 5001);
}

static bool
three_times(void *arg)
{
	int *n = arg;
	return ++*n < 3;
}

static void
it_stops_when_told(void)
{
	int asked = 0;
	make_folder("tree");
	for (int i = 0; i < 5000; i++) {
		char name[40];
		snprintf(name, sizeof name, "tree/%d", i);
		make_file(name);
	}
	struct remove_order o = order(at("tree"));
	o.go_on = three_times;
	o.arg = &asked;
	CHECK_INT(carry_out(&o), REMOVE_STOPPED);
	CHECK_INT(asked, 3);
	CHECK(entries > 0 && entries <= 1024);
	CHECK(strstr(reason, "told to stop"));
	asked = -1000;
	o.limit_ms = 1;
	CHECK_INT(carry_out(&o), REMOVE_STOPPED);
	CHECK(strstr(reason, "the time was over"));
	o.limit_ms = 600000;
	CHECK_INT(carry_out(&o), REMOVE_DONE);
	asked = 10;
	make_file("file");
	o = order(at("file"));
	o.go_on = three_times;
	o.arg = &asked;
	CHECK_INT(carry_out(&o), REMOVE_STOPPED);
	CHECK(there("file"));
	CHECK_INT(remove_now("file"), REMOVE_DONE);
}

/* as_other TEST: run it as another user, in a child; the checks that fail there fail here. */
static void
as_other(void (*test)(void))
{
	if (geteuid() != 0) {
		test();
		return;
	}
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		if (setgid(OTHER_UID) < 0 || setuid(OTHER_UID) < 0)
			_exit(2);
		unit_wrong = 0;
		test();
		fflush(stdout);
		_exit(unit_wrong ? 1 : 0);
	}
	int status = -1;
	waitpid(pid, &status, 0);
	CHECK_INT(status, 0);
}

static void
permissions_of_ours(void)
{
	make_folder("open/cache");
	make_folder("open/cache/a");
	make_file("open/cache/a/b");
	make_folder("open/cache/closed");
	make_folder("open/cache/closed/in");
	make_file("open/cache/closed/in/c");
	chmod(at("open/cache/closed/in"), 0);
	chmod(at("open/cache/closed"), 0);
	chmod(at("open/cache/a"), 0555);
	chmod(at("open/cache"), 0555);
	CHECK_INT(remove_now("open/cache"), REMOVE_DONE);
	CHECK_INT(entries, 6);
	CHECK(!there("open/cache"));
	make_folder("open/cache");
	make_file("open/cache/a");
	chmod(at("open/cache"), 0);
	CHECK_INT(remove_now("open/cache"), REMOVE_DONE);
	make_folder("open/cache");
	make_file("open/cache/a");
	chmod(at("open/cache"), 0444);
	CHECK_INT(remove_now("open/cache"), REMOVE_DONE);
	/* Not of the folder that it stands in. */
	make_folder("open/parent");
	make_file("open/parent/it");
	chmod(at("open/parent"), 0500);
	bool all_powerful = access(at("open/parent"), W_OK) == 0;
	CHECK_INT(remove_now("open/parent/it"), all_powerful ? REMOVE_DONE : REMOVE_FAILED);
	chmod(at("open/parent"), 0700);
	CHECK_INT(remove_now("open/parent"), REMOVE_DONE);
}

static void
permissions_of_others(void)
{
	make_folder("open/mine");
	make_file("open/mine/file");
	CHECK_INT(remove_now("open/roots"), REMOVE_FAILED);
	CHECK(there("open/roots/file"));
	CHECK_INT(remove_now("open/mine"), REMOVE_DONE);
	/* Of what cannot go, the rest goes. */
	CHECK_INT(remove_now("open/mixed"), REMOVE_FAILED);
	CHECK(strstr(reason, "mixed/roots/file: Permission denied"));
	CHECK(there("open/mixed/roots/file"));
	CHECK(!there("open/mixed/a") && !there("open/mixed/z"));
}

static void
permissions(void)
{
	make_folder("open");
	CHECK_INT(chmod(top, 0755), 0);
	CHECK_INT(chmod(at("open"), 0777), 0);
	as_other(permissions_of_ours);
	if (geteuid() == 0) {
		make_folder("open/roots");
		make_file("open/roots/file");
		CHECK_INT(chmod(at("open/roots"), 0755), 0);
		make_folder("open/mixed");
		make_folder("open/mixed/roots");
		make_file("open/mixed/roots/file");
		CHECK_INT(chmod(at("open/mixed/roots"), 0755), 0);
		make_folder("open/mixed/z");
		make_folder("open/mixed/a");
		make_file("open/mixed/a/b");
		CHECK_INT(chown(at("open/mixed"), OTHER_UID, OTHER_UID), 0);
		CHECK_INT(chown(at("open/mixed/a"), OTHER_UID, OTHER_UID), 0);
		as_other(permissions_of_others);
	}
	CHECK_INT(remove_now("open"), REMOVE_DONE);
}

/* --- races --- */

enum { PAIRS = 50 };

/* An attacker swaps a0 with b0, a1 with b1 … as fast as it can, until it is killed; how often it could. */
static long *swaps;

static pid_t
attack(const char *dir, int pairs)
{
	pid_t pid = fork();
	if (pid)
		return pid;
	for (;;) {
		int fd = open(dir, O_PATH | O_DIRECTORY);
		bool any = fd >= 0;
		while (any) {
			any = false;
			for (int i = 0; i < pairs; i++) {
				char a[20], b[20];
				snprintf(a, sizeof a, "a%d", i);
				snprintf(b, sizeof b, "b%d", i);
				if (syscall(SYS_renameat2, fd, a, fd, b, EXCHANGE) == 0) {
					++*swaps;
					any = true;
				}
			}
		}
		if (fd >= 0)
			close(fd);
	}
}

static void
make_outside(void)
{
	make_folder("outside");
	make_folder("outside/sub");
	make_file("outside/kept");
	make_file("outside/sub/kept");
}

/* Links and folders in the tree, and the tree itself, are swapped while it is deleted: nothing outside goes. */
static void
swapped_by_an_attacker(void)
{
	int rounds = 0, done = 0;
	char path[PATH_MAX];
	snprintf(path, sizeof path, "%s", at("race/a0"));
	make_outside();
	swaps = mmap(NULL, sizeof *swaps, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(swaps != MAP_FAILED);
	pid_t inner = attack(path, PAIRS), outer = attack(at("race"), 1);
	for (int64_t end = clock_mono_ms() + RACE_MS; clock_mono_ms() < end; rounds++) {
		make_folder("making");
		make_folder("making/a0");
		for (int i = 0; i < PAIRS; i++) {
			char name[40];
			snprintf(name, sizeof name, "making/a0/a%d", i);
			make_folder(name);
			snprintf(name, sizeof name, "making/a0/a%d/kept", i);
			make_file(name);
			snprintf(name, sizeof name, "making/a0/b%d", i);
			CHECK_INT(symlink("../../outside", at(name)), 0);
		}
		CHECK_INT(symlink("../outside", at("making/b0")), 0);
		struct remove_order o = order(at("making/a0"));
		o.path = path;
		CHECK_INT(rename(at("making"), at("race")), 0);
		for (int i = 0; i < 30; i++)
			done += carry_out(&o) == REMOVE_DONE;
		/* Whatever state it is in, all of it must go. */
		CHECK_INT(rename(at("race"), at("made")), 0);
		int dir = open(top, O_RDONLY | O_DIRECTORY);
		CHECK_INT(remove_tree(dir, "made"), 0);
		close(dir);
		if (!CHECK(there("outside/kept") && there("outside/sub/kept")))
			break;
	}
	kill(inner, SIGKILL);
	kill(outer, SIGKILL);
	waitpid(inner, NULL, 0);
	waitpid(outer, NULL, 0);
	printf("# %d trees, %d deleted as ordered, %ld swaps\n", rounds, done, *swaps);
	CHECK(rounds > 5);
	CHECK(*swaps > 100);
	munmap(swaps, sizeof *swaps);
	CHECK_INT(remove_now("outside"), REMOVE_DONE);
}

/* Somebody still makes files in it: it ends, one way or the other. */
static void
filled_by_a_writer(void)
{
	make_folder("busy");
	pid_t pid = fork();
	if (pid == 0) {
		int dir = open(at("busy"), O_RDONLY | O_DIRECTORY);
		for (int i = 0;; i++) {
			char name[20];
			snprintf(name, sizeof name, "%d", i % 50);
			close(openat(dir, name, O_WRONLY | O_CREAT, 0600));
		}
	}
	for (int i = 0; i < 50 && there("busy"); i++) {
		enum remove_result r = remove_now("busy");
		CHECK(r == REMOVE_DONE || r == REMOVE_FAILED);
		CHECK(r == REMOVE_DONE || strstr(reason, strerror(ENOTEMPTY)));
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	CHECK(remove_now("busy") == REMOVE_DONE || !there("busy"));
}

/* Two at once on the same tree: both are content, and it is gone. */
static void
two_at_once(void)
{
	for (int i = 0; i < 20; i++) {
		make_chain("tree", 50);
		make_chain("tree/a", 50);
		struct remove_order o = order(at("tree"));
		fflush(stdout);
		pid_t pid = fork();
		enum remove_result r = remove_path(&o, &entries, reason, sizeof reason);
		if (pid == 0)
			_exit(r);
		int status;
		waitpid(pid, &status, 0);
		CHECK(r == REMOVE_DONE || r == REMOVE_GONE);
		CHECK(status == 0 || WEXITSTATUS(status) == REMOVE_GONE);
		CHECK(!there("tree"));
	}
}

static void
reasons_are_text_and_fit(void)
{
	char small[60], name[256];
	if (geteuid() != 0)
		return;
	memset(name, 'x', 255);
	name[255] = '\0';
	memcpy(name, "a\n\xff\xc3\xa9", 5);
	make_folder("tree");
	CHECK_INT(chmod(at("tree"), 0777), 0);
	char path[300];
	snprintf(path, sizeof path, "tree/%s", name);
	make_chain(path, 300);
	struct remove_order o = order(at("tree"));
	CHECK_INT(remove_path(&o, &entries, reason, sizeof reason), REMOVE_FAILED);
	CHECK(strlen(reason) < sizeof reason && strstr(reason, "..."));
	CHECK(strstr(reason, "d/d/d: it is deeper than 256 folders"));
	CHECK(!strchr(reason, '\n') && !strchr(reason, '\xff'));
	CHECK_INT(remove_path(&o, &entries, small, sizeof small), REMOVE_FAILED);
	CHECK(strlen(small) < sizeof small);
	/* remove_tree says it with errno. */
	int dir = open(top, O_RDONLY | O_DIRECTORY);
	CHECK_INT(remove_tree(dir, "tree"), -1);
	CHECK_INT(errno, ELOOP);
	char from[1000];
	int n = snprintf(from, sizeof from, "tree/%s", name);
	for (int i = 0; i < 60; i++)
		n += snprintf(from + n, sizeof from - (size_t)n, "/d");
	CHECK_INT(rename(at(from), at("moved")), 0);
	CHECK_INT(remove_tree(dir, "tree"), 0);
	CHECK_INT(remove_tree(dir, "moved"), 0);
	CHECK_INT(remove_tree(dir, "moved"), 0);
	close(dir);
}

int
main(void)
{
	const char *tmp = getenv("TMPDIR");
	char made[PATH_MAX] = "/dev/shm/remove.XXXXXX";
	/* On ext4, where much was deleted, each new file may take a millisecond; tests/remove.bats runs there. */
	if (!mkdtemp(made)) {
		snprintf(made, sizeof made, "%s/remove.XXXXXX", tmp && *tmp ? tmp : "/tmp");
		if (!mkdtemp(made))
			return 1;
	}
	if (!realpath(made, top))
		return 1;
	RUN(paths_as_they_must_be);
	RUN(each_kind_is_identified_and_deleted);
	RUN(a_link_is_not_followed);
	RUN(only_what_was_registered);
	RUN(without_an_identity_only_what_is_new_and_ours);
	RUN(by_name_a_newer_one_will_do);
	RUN(what_is_protected);
	RUN(deep_ones);
	RUN(few_descriptors);
	RUN(wide_ones);
	RUN(it_stops_when_told);
	RUN(permissions);
	RUN(swapped_by_an_attacker);
	RUN(filled_by_a_writer);
	RUN(two_at_once);
	RUN(reasons_are_text_and_fit);
	rmdir(top);
	return unit_end();
}
