/* err: what can go wrong, in one table. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "err.h"

static const struct err_info table[ERR_COUNT] = {
	[ERR_NONE] = {"ok", 200, EXIT_DONE, false},
	[ERR_USAGE] = {"bad-usage", 400, EXIT_MISUSE, false},
	[ERR_REQUEST] = {"bad-request", 400, EXIT_MISUSE, false},
	[ERR_JSON] = {"bad-json", 400, EXIT_MISUSE, false},
	[ERR_ID] = {"bad-id", 400, EXIT_MISUSE, false},
	[ERR_TOO_LARGE] = {"too-large", 413, EXIT_MISUSE, false},
	[ERR_AMBIGUOUS] = {"ambiguous-operation", 400, EXIT_MISUSE, false},
	[ERR_NO_PATH] = {"no-such-path", 404, EXIT_MISUSE, false},
	[ERR_NO_OPERATION] = {"operation-not-found", 404, EXIT_NONE_SUCH, false},
	[ERR_NO_CALL] = {"call-not-found", 404, EXIT_NONE_SUCH, false},
	[ERR_NO_PARTICIPANT] = {"participant-not-found", 404, EXIT_NONE_SUCH, false},
	[ERR_NO_SESSION] = {"session-not-found", 404, EXIT_NONE_SUCH, false},
	[ERR_NO_PROCESS] = {"process-not-found", 404, EXIT_NONE_SUCH, false},
	/* Not ERR_NO_PATH, which is a request for a verb that is not there. */
	[ERR_NO_FILE] = {"no-such-file", 404, EXIT_NONE_SUCH, false},
	[ERR_NO_RESOURCE] = {"no-such-resource", 404, EXIT_NONE_SUCH, false},
	[ERR_NO_LEDGER] = {"ledger-not-found", 404, EXIT_NONE_SUCH, false},
	[ERR_NOT_SET] = {"not-aborted", 409, EXIT_NO, false},
	[ERR_ABORTED] = {"operation-aborted", 409, EXIT_ABORTED, false},
	[ERR_FAILED] = {"operation-failed", 409, EXIT_FAILED, false},
	[ERR_DEAD] = {"participant-dead", 409, EXIT_FAILED, false},
	/* 404 as the wire has it: an ended operation is unknown to the clients of the old protocol. */
	[ERR_ENDED] = {"operation-ended", 404, EXIT_STATE, false},
	[ERR_CALL_ENDED] = {"call-ended", 409, EXIT_STATE, false},
	[ERR_CALL_EXISTS] = {"call-exists", 409, EXIT_STATE, false},
	[ERR_CALLS_RUNNING] = {"calls-running", 409, EXIT_STATE, false},
	[ERR_NO_RESULT] = {"no-result", 409, EXIT_STATE, false},
	[ERR_ELSEWHERE] = {"elsewhere", 409, EXIT_STATE, false},
	[ERR_NOT_INITIATOR] = {"not-initiator", 409, EXIT_STATE, false},
	[ERR_HELD] = {"name-held", 409, EXIT_STATE, false},
	[ERR_REGISTERED] = {"registered", 409, EXIT_STATE, false},
	[ERR_KEY_REUSED] = {"key-reused", 422, EXIT_STATE, false},
	[ERR_BUSY] = {"ledger-busy", 503, EXIT_BUSY, true},
	[ERR_UNREACHABLE] = {"unreachable", 503, EXIT_BUSY, true},
	[ERR_PERMISSION] = {"permission-denied", 403, EXIT_REFUSED, false},
	[ERR_PROTECTED] = {"protected-path", 403, EXIT_REFUSED, false},
	[ERR_DAMAGED] = {"damaged-journal", 500, EXIT_SYSTEM, false},
	[ERR_DISK_FULL] = {"disk-full", 507, EXIT_SYSTEM, true},
	[ERR_NOT_DURABLE] = {"not-durable", 500, EXIT_SYSTEM, false},
	[ERR_IO] = {"io-error", 500, EXIT_SYSTEM, false},
	[ERR_FORMAT] = {"unsupported-format", 500, EXIT_SYSTEM, false},
	[ERR_TIMED_OUT] = {"timed-out", 503, EXIT_TIMED_OUT, true},
	[ERR_HTTP] = {"bad-http", 400, EXIT_MISUSE, false},
	[ERR_UNAUTHORIZED] = {"unauthorized", 401, EXIT_REFUSED, false},
	[ERR_FORBIDDEN] = {"forbidden", 403, EXIT_REFUSED, false},
	[ERR_MEDIA] = {"unsupported-media-type", 415, EXIT_MISUSE, false},
	[ERR_MISDIRECTED] = {"misdirected", 421, EXIT_REFUSED, false},
	[ERR_TOO_MANY] = {"too-many-requests", 429, EXIT_BUSY, true},
};

const struct err_info *
err_info(enum err code)
{
	return &table[code < ERR_COUNT ? code : ERR_IO];
}

bool
err_is_end(enum err code)
{
	return code == ERR_ENDED || code == ERR_FAILED;
}

enum err
err_by_name(const char *name)
{
	for (int i = 0; i < ERR_COUNT; i++)
		if (strcmp(table[i].name, name) == 0)
			return (enum err)i;
	return ERR_IO;
}

int
why_set(struct why *why, enum err code, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	why->code = code;
	why->hint[0] = '\0';
	vsnprintf(why->text, sizeof why->text, fmt, ap);
	va_end(ap);
	return -1;
}

static enum err
code_of_errno(int e)
{
	switch (e) {
	case EACCES:
	case EPERM:
	case EROFS:
		return ERR_PERMISSION;
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return ERR_DISK_FULL;
	default:
		return ERR_IO;
	}
}

int
why_errno(struct why *why, const char *fmt, ...)
{
	int e = errno;
	va_list ap;
	va_start(ap, fmt);
	why->code = code_of_errno(e);
	why->hint[0] = '\0';
	int n = vsnprintf(why->text, sizeof why->text, fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof why->text)
		snprintf(why->text + n, sizeof why->text - (size_t)n, ": %s", strerror(e));
	errno = e;
	return -1;
}

void
why_hint(struct why *why, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(why->hint, sizeof why->hint, fmt, ap);
	va_end(ap);
}

void
notice(const struct notice *n, const char *fmt, ...)
{
	char text[600];
	if (!n || !n->say)
		return;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	n->say(n->arg, text);
}
