/* result: what a command leaves as the result of its call. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "fsx.h"
#include "entry.h"
#include "json.h"
#include "result.h"
#include "text.h"

enum {
	SHOWN = 60,         /* bytes of what is no JSON */
	ENTRY_REST = 2048,  /* room for the other members of its entry */
};

bool
result_is_stdout(const struct result_source *s)
{
	return s->from && strcmp(s->from, "stdout") == 0;
}

static bool
is_file(const struct result_source *s)
{
	return s->from && !result_is_stdout(s);
}

static struct result_file
file_at(const char *path)
{
	struct stat st;
	if (lstat(path, &st) < 0)
		return (struct result_file){0};
	if (!S_ISREG(st.st_mode))
		return (struct result_file){.other = true};
	return (struct result_file){true, false, st.st_dev, st.st_ino, st.st_size, st.st_mtim.tv_sec, st.st_mtim.tv_nsec};
}

static bool
is_as(const struct result_file *a, const struct result_file *b)
{
	return a->there && b->there && a->device == b->device && a->inode == b->inode && a->size == b->size && a->changed_s == b->changed_s && a->changed_ns == b->changed_ns;
}

void
result_look(const struct result_source *s, struct result_file *before)
{
	*before = (struct result_file){0};
	if (!is_file(s))
		return;
	struct command_user user = command_as_ourselves();
	*before = file_at(s->from);
	command_as_before(user);
}

static enum result_taken
read_file(const char *path, struct result_file *file, struct buf *b, struct why *why)
{
	struct command_user user = command_as_ourselves();
	struct result_file now = file_at(path);
	bool stale = is_as(file, &now);
	*file = now;
	int rc = stale || now.other ? 0 : fsx_read_file(AT_FDCWD, path, b, RESULT_MAX), e = errno;
	command_as_before(user);
	if (now.other) {
		why_set(why, ERR_IO, "the result in %.300s: it is no ordinary file", path);
		return RESULT_NONE;
	}
	if (stale) {
		why_set(why, ERR_IO, "the result in %.300s: it was there before, and the command did not write it", path);
		return RESULT_NONE;
	}
	if (rc == 0)
		return RESULT_TAKEN;
	if (e == EFBIG)
		return RESULT_TOO_LONG;
	errno = e;
	why_errno(why, "the result in %.300s", path);
	return RESULT_NONE;
}

bool
result_is_json(const char *text, size_t n, struct why *why)
{
	struct json j;
	struct why bad;
	struct buf array = {0}, shown = {0};
	/* A number or a word alone is JSON too. */
	buf_char(&array, '[');
	buf_add(&array, text, n);
	buf_char(&array, ']');
	int rc = array.failed ? -1 : json_parse(&j, array.p, array.n, &bad);
	if (rc == 0) {
		/* … and two of them are not. */
		int first = json_first(&j, 0);
		if (first < 0 || json_next(&j, 0, first) >= 0 || json_no_duplicates(&j, &bad) < 0)
			rc = -1;
		json_free(&j);
	}
	buf_free(&array);
	if (rc == 0)
		return true;
	text_repair(&shown, text, n < SHOWN ? n : SHOWN);
	why_set(why, ERR_JSON, "the result is no JSON: %s%s", !n ? "it is empty" : shown.p ? shown.p : "?", n > SHOWN ? " …" : "");
	buf_free(&shown);
	return false;
}

/* Whether an entry has room for it: a control character takes six bytes there. */
static bool
has_room(const char *result)
{
	struct buf member = {0};
	json_put(&member, "result", result);
	bool fits = !member.failed && member.n <= ENTRY_MAX - ENTRY_REST;
	buf_free(&member);
	return fits;
}

enum result_taken
result_take(const struct result_source *s, struct result_file *as, const struct buf *printed, bool more, struct buf *text, struct why *why)
{
	struct buf file = {0};
	const struct buf *all = is_file(s) ? &file : printed;
	enum result_taken taken = is_file(s) ? read_file(s->from, as, &file, why) : more || printed->n > RESULT_MAX ? RESULT_TOO_LONG : RESULT_TAKEN;
	size_t n = all->n;
	while (n && all->p[n - 1] == '\n')
		n--;
	buf_str(text, "");
	if (taken == RESULT_TAKEN)
		text_repair(text, all->p ? all->p : "", n);
	if (taken == RESULT_TAKEN && text->failed) {
		why_set(why, ERR_IO, "out of memory");
		taken = RESULT_NONE;
	}
	if (taken == RESULT_TAKEN && !has_room(text->p))
		taken = RESULT_TOO_LONG;
	if (taken == RESULT_TAKEN && s->json && !result_is_json(all->p ? all->p : "", n, why))
		taken = RESULT_NONE;
	if (taken == RESULT_TOO_LONG && s->json) {
		why_set(why, ERR_JSON, "the result is longer than %d bytes", RESULT_MAX);
		taken = RESULT_NONE;
	}
	buf_free(&file);
	return taken;
}

int
result_done_with(const struct result_source *s, const struct result_file *read)
{
	if (!is_file(s) || s->keep)
		return 0;
	struct command_user user = command_as_ourselves();
	struct result_file now = file_at(s->from);
	int rc = is_as(read, &now) ? unlink(s->from) : 0, e = errno;
	command_as_before(user);
	errno = e;
	return rc;
}
