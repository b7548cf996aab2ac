/* test_seal - the keyed hash, and what a seal covers */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "seal.h"
#include "unit.h"

/* Vectors of the paper, its appendix A, and of its authors' implementation: key 00 01 … 0f, input 00 01 … */
static void
the_hash(void)
{
	static const struct {
		size_t n;
		uint64_t hash;
	} known[] = {{0, 0x726fdb47dd0e0e31}, {1, 0x74f839c593dc67fd}, {2, 0x0d6c8009d9a94f5a}, {8, 0x93f5f5799a932462}, {15, 0xa129ca6149be45e5}};
	uint8_t key[16], in[16];
	for (int i = 0; i < 16; i++)
		key[i] = in[i] = (uint8_t)i;
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		CHECK(seal_hash(key, in, known[i].n) == known[i].hash);
}

static char folder[200];

static void
what_it_covers(void)
{
	const struct sealed all = {.operation = "op", .machine = "m", .kind = "command", .what = "rm x", .folder = "/tmp", .start = -1};
	char text[SEAL_TEXT], again[SEAL_TEXT];
	struct why why;
	CHECK(!seal_fits(&all, "0123456789abcdef"));
	CHECK_INT(seal_make(&all, text, &why), 0);
	CHECK(seal_fits(&all, text));
	CHECK(seal_make(&all, again, &why) == 0 && strcmp(text, again) == 0);
	struct sealed other[9];
	for (size_t i = 0; i < 9; i++)
		other[i] = all;
	other[0].operation = "op2";
	other[1].kind = "path";
	other[2].what = "rm y";
	other[3].folder = NULL;
	other[4].start = 1;
	other[5].made = true;
	other[6].by_name = true;
	other[8].machine = "n";
	other[7] = (struct sealed){.operation = "op", .machine = "m", .kind = "command", .what = "rm x/tmp", .folder = "", .start = -1};
	for (size_t i = 0; i < 9; i++)
		CHECK(!seal_fits(&other[i], text));
	text[0] = text[0] == '0' ? '1' : '0';
	CHECK(!seal_fits(&all, text) && !seal_fits(&all, "") && !seal_fits(&all, "short"));
}

static void
a_key_that_others_may_read(void)
{
	const struct sealed all = {.operation = "op", .machine = "m", .kind = "path", .what = "/x", .start = -1};
	char text[SEAL_TEXT], path[600];
	struct stat st;
	struct why why;
	snprintf(path, sizeof path, "%s/dpl/seal.key", folder);
	CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600 && st.st_size == 16);
	CHECK_INT(seal_make(&all, text, &why), 0);
	CHECK(chmod(path, 0640) == 0);
	CHECK(seal_make(&all, text, &why) < 0 && why.code == ERR_PERMISSION);
	CHECK(!seal_fits(&all, text));
	CHECK(chmod(path, 0600) == 0 && truncate(path, 3) == 0);
	CHECK(seal_make(&all, text, &why) < 0 && !seal_fits(&all, text));
	CHECK(unlink(path) == 0);
	char before[SEAL_TEXT];
	memcpy(before, text, sizeof before);
	CHECK(seal_make(&all, text, &why) == 0 && strcmp(before, text) != 0);
	snprintf(path, sizeof path, "%s/dpl", folder);
	CHECK(chmod(path, 0770) == 0 && seal_make(&all, text, &why) < 0 && why.code == ERR_PERMISSION);
	CHECK(chmod(path, 0700) == 0);
	/* Nothing is left of making it. */
	snprintf(path, sizeof path, "rm %s/dpl/seal.key && rmdir %s/dpl", folder, folder);
	CHECK_INT(system(path), 0);
}

int
main(void)
{
	const char *base = getenv("TMPDIR");
	snprintf(folder, sizeof folder, "%.150s/test_seal.XXXXXX", base ? base : "/tmp");
	CHECK(mkdtemp(folder) != NULL);
	setenv("XDG_STATE_HOME", folder, 1);
	RUN(the_hash);
	RUN(what_it_covers);
	RUN(a_key_that_others_may_read);
	CHECK(rmdir(folder) == 0);
	return unit_end();
}
