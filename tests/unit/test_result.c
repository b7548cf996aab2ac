/* test_result - the file that holds the result of a call, and who else writes there */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "result.h"
#include "unit.h"

static const struct result_source source = {.from = "answer"};

static void
put(const char *text)
{
	int fd = open("answer", O_WRONLY | O_CREAT | O_TRUNC, 0600);
	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
}

static enum result_taken
take(struct result_file *file, struct buf *text)
{
	struct why why;
	buf_clear(text);
	return result_take(&source, file, NULL, false, text, &why);
}

static void
it_is_read_and_goes(void)
{
	struct result_file file;
	struct buf text = {0};
	result_look(&source, &file);
	put("42\n");
	CHECK_INT(take(&file, &text), RESULT_TAKEN);
	CHECK_TEXT(text.p, "42");
	CHECK_INT(result_done_with(&source, &file), 0);
	CHECK(access("answer", F_OK) < 0 && errno == ENOENT);
	CHECK_INT(result_done_with(&source, &file), 0);
	buf_free(&text);
}

static void
what_was_there_before_is_none(void)
{
	struct result_file file;
	struct buf text = {0};
	put("41");
	result_look(&source, &file);
	CHECK_INT(take(&file, &text), RESULT_NONE);
	CHECK_INT(unlink("answer"), 0);
	buf_free(&text);
}

/* Whoever has seen the end of the call may already run the next, which writes to the same place. */
static void
that_of_the_next_command_stays(void)
{
	struct result_file file;
	struct buf text = {0};
	result_look(&source, &file);
	put("one");
	CHECK_INT(take(&file, &text), RESULT_TAKEN);
	put("another"); /* the same file, written anew */
	CHECK_INT(result_done_with(&source, &file), 0);
	CHECK_INT(access("answer", F_OK), 0);
	result_look(&source, &file);
	put("three");
	CHECK_INT(take(&file, &text), RESULT_TAKEN);
	CHECK_INT(rename("answer", "old"), 0);
	put("three"); /* another file in its place */
	CHECK_INT(result_done_with(&source, &file), 0);
	CHECK_INT(access("answer", F_OK), 0);
	CHECK_INT(unlink("old") + unlink("answer"), 0);
	buf_free(&text);
}

static void
what_is_no_regular_file_is_none_and_stays(void)
{
	struct result_file file;
	struct buf text = {0};
	result_look(&source, &file);
	int fd = open("elsewhere", O_WRONLY | O_CREAT, 0600);
	CHECK(fd >= 0 && write(fd, "x", 1) == 1 && close(fd) == 0);
	CHECK_INT(symlink("elsewhere", "answer"), 0);
	CHECK_INT(take(&file, &text), RESULT_NONE);
	CHECK_INT(result_done_with(&source, &file), 0);
	CHECK_INT(access("answer", F_OK), 0);
	CHECK_INT(unlink("answer") + unlink("elsewhere"), 0);
	buf_free(&text);
}

int
main(void)
{
	char folder[] = "/tmp/test_result.XXXXXX";
	if (!mkdtemp(folder) || chdir(folder) < 0)
		return 2;
	RUN(it_is_read_and_goes);
	RUN(what_was_there_before_is_none);
	RUN(that_of_the_next_command_stays);
	RUN(what_is_no_regular_file_is_none_and_stays);
	if (chdir("/") < 0 || rmdir(folder) < 0)
		return 2;
	return unit_end();
}
