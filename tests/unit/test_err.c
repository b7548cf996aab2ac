/* test_err - the table of what can go wrong */
#include <errno.h>

#include "err.h"
#include "unit.h"

/* The closed list, as documented in dpl(7). */
static const struct {
	enum err code;
	const char *name;
	int exit;
	bool retryable;
} all[] = {
	{ERR_NONE, "ok", 0, false}, {ERR_USAGE, "bad-usage", 2, false}, {ERR_REQUEST, "bad-request", 2, false}, {ERR_JSON, "bad-json", 2, false},
	{ERR_ID, "bad-id", 2, false}, {ERR_TOO_LARGE, "too-large", 2, false}, {ERR_AMBIGUOUS, "ambiguous-operation", 2, false}, {ERR_NO_PATH, "no-such-path", 2, false},
	{ERR_NO_OPERATION, "operation-not-found", 3, false}, {ERR_NO_CALL, "call-not-found", 3, false}, {ERR_NO_PARTICIPANT, "participant-not-found", 3, false},
	{ERR_NO_SESSION, "session-not-found", 3, false}, {ERR_NO_LEDGER, "ledger-not-found", 3, false}, {ERR_NOT_SET, "not-aborted", 1, false},
	{ERR_ABORTED, "operation-aborted", 4, false}, {ERR_FAILED, "operation-failed", 5, false}, {ERR_ENDED, "operation-ended", 6, false},
	{ERR_CALL_ENDED, "call-ended", 6, false}, {ERR_CALL_EXISTS, "call-exists", 6, false}, {ERR_CALLS_RUNNING, "calls-running", 6, false}, {ERR_NO_RESULT, "no-result", 6, false}, {ERR_ELSEWHERE, "elsewhere", 6, false},
	{ERR_NO_PROCESS, "process-not-found", 3, false}, {ERR_DEAD, "participant-dead", 5, false}, {ERR_HELD, "name-held", 6, false},
	{ERR_NOT_INITIATOR, "not-initiator", 6, false}, {ERR_KEY_REUSED, "key-reused", 6, false}, {ERR_BUSY, "ledger-busy", 7, true},
	{ERR_UNREACHABLE, "unreachable", 7, true}, {ERR_PERMISSION, "permission-denied", 8, false}, {ERR_DAMAGED, "damaged-journal", 9, false},
	{ERR_DISK_FULL, "disk-full", 9, true}, {ERR_NOT_DURABLE, "not-durable", 9, false}, {ERR_IO, "io-error", 9, false},
	{ERR_NO_FILE, "no-such-file", 3, false}, {ERR_NO_RESOURCE, "no-such-resource", 3, false}, {ERR_REGISTERED, "registered", 6, false},
	{ERR_PROTECTED, "protected-path", 8, false}, {ERR_FORMAT, "unsupported-format", 9, false}, {ERR_TIMED_OUT, "timed-out", 124, true},
	{ERR_HTTP, "bad-http", 2, false}, {ERR_UNAUTHORIZED, "unauthorized", 8, false}, {ERR_FORBIDDEN, "forbidden", 8, false},
	{ERR_MEDIA, "unsupported-media-type", 2, false}, {ERR_MISDIRECTED, "misdirected", 8, false}, {ERR_TOO_MANY, "too-many-requests", 7, true},
};

static void
codes(void)
{
	CHECK_INT(sizeof all / sizeof *all, ERR_COUNT);
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		const struct err_info *info = err_info(all[i].code);
		CHECK_TEXT(info->name, all[i].name);
		CHECK_INT(info->exit, all[i].exit);
		CHECK(info->retryable == all[i].retryable);
		CHECK_INT(err_by_name(all[i].name), all[i].code);
		/* A retry makes sense for 429, 503 and 507 only; what is permanent must not be one of these. */
		CHECK(info->retryable == (info->status == 429 || info->status == 503 || info->status == 507));
	}
	CHECK_INT(err_by_name("nonsense"), ERR_IO);
	CHECK_INT(err_by_name(""), ERR_IO);
}

static void
sets_text_and_clears_the_hint(void)
{
	struct why why;
	CHECK_INT(why_set(&why, ERR_NO_CALL, "no call %s in %d", "x", 5), -1);
	CHECK_INT(why.code, ERR_NO_CALL);
	CHECK_TEXT(why.text, "no call x in 5");
	CHECK_TEXT(why.hint, "");
	why_hint(&why, "try %s", "again");
	CHECK_TEXT(why.hint, "try again");
	why_set(&why, ERR_IO, "else");
	CHECK_TEXT(why.hint, "");
}

static void
errno_decides_the_code(void)
{
	static const struct {
		int e;
		enum err code;
	} cases[] = {{EACCES, ERR_PERMISSION}, {EPERM, ERR_PERMISSION}, {EROFS, ERR_PERMISSION}, {ENOSPC, ERR_DISK_FULL}, {EDQUOT, ERR_DISK_FULL},
		{EFBIG, ERR_DISK_FULL}, {EIO, ERR_IO}, {ENOENT, ERR_IO}, {EMFILE, ERR_IO}, {ENOMEM, ERR_IO}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct why why;
		char want[200];
		errno = cases[i].e;
		CHECK_INT(why_errno(&why, "open %s", "f"), -1);
		CHECK_INT(errno, cases[i].e);
		CHECK_INT(why.code, cases[i].code);
		snprintf(want, sizeof want, "open f: %s", strerror(cases[i].e));
		CHECK_TEXT(why.text, want);
	}
}

static void
long_texts_are_cut(void)
{
	struct why why;
	char text[2000];
	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	why_set(&why, ERR_IO, "%s", text);
	CHECK_INT(strlen(why.text), sizeof why.text - 1);
	why_hint(&why, "%s", text);
	CHECK_INT(strlen(why.hint), sizeof why.hint - 1);
	errno = EIO;
	why_errno(&why, "%s", text);
	CHECK_INT(strlen(why.text), sizeof why.text - 1);
	errno = EIO;
	why_errno(&why, "%.595s", text);
	CHECK_INT(strlen(why.text), sizeof why.text - 1);
}

static void
said(void *arg, const char *text)
{
	snprintf(arg, 700, "%s", text);
}

static void
notices(void)
{
	char got[700] = "";
	struct notice n = {said, got};
	notice(&n, "cut %d bytes", 5);
	CHECK_TEXT(got, "cut 5 bytes");
	notice(NULL, "nobody listens");
	n.say = NULL;
	notice(&n, "nobody listens");
}

int
main(void)
{
	RUN(codes);
	RUN(sets_text_and_clears_the_hint);
	RUN(errno_decides_the_code);
	RUN(long_texts_are_cut);
	RUN(notices);
	return unit_end();
}
