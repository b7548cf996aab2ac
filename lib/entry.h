/* entry: one line of a journal, read into a struct and written from one.
 *
 * The names of events and of their members live here and in dpl-ledger(5), nowhere else.
 *
 * How the format changes: a new event or a new member needs nothing, since readers keep what they do
 * not know and pass over it.  A change of meaning raises ENTRY_FORMAT: (1) describe it in
 * dpl-ledger(5) under the new number; (2) teach entry_parse and op_fold both forms, told apart by
 * the format of the first line; (3) keep a journal of the old form in tests/data and a test that
 * folds it; (4) write the new form only into operations created from then on: a journal keeps the
 * format of its first line for life, so that an older dpl beside us goes on working on it; (5) say
 * so in NEWS.md.  A reader that meets a higher number than its own stops with unsupported-format. */
#ifndef DPL_ENTRY_H
#define DPL_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

enum {
	ENTRY_FORMAT = 1,
	ENTRY_MAX = 65536, /* bytes of a line with its newline */
};

enum event {
	EVENT_UNKNOWN,
	EVENT_CREATED,
	EVENT_COMPLETED,
	EVENT_FAILED,
	EVENT_ARCHIVED,
	EVENT_JOINED,
	EVENT_LEFT,
	EVENT_CALL_QUEUED,
	EVENT_CALL_STARTED, /* … to CANCELLED in the order of enum call_state */
	EVENT_CALL_ENDED,
	EVENT_CALL_FAILED,
	EVENT_CALL_CRASHED,
	EVENT_CALL_CANCELLED,
	EVENT_CALL_CANCELLING, /* its cancellation was asked for */
	EVENT_RESOURCE_ADDED,
	EVENT_RESOURCE_MADE,
	EVENT_RESOURCE_REMOVED,
	EVENT_ABORT_SET,
	EVENT_ABORT_CLEARED,
	EVENT_CRASH_DETECTED,
	EVENT_CLEANUP_STARTED,
	EVENT_CLEANUP_ACKNOWLEDGED,
	EVENT_CLEANUP_DONE,
	EVENT_PROGRESS,
	EVENT_LOG,
	EVENT_COUNT
};

/* "call.started" and so on. */
const char *event_name(enum event event);
/* The event of that name, EVENT_UNKNOWN for another. */
enum event event_by_name(const char *name, size_t n);

/* Whether an entry of this kind is flushed before it is acknowledged: all but progress and log, and
 * results of removals, of which many have one flush (removal.c). */
bool event_is_flushed(enum event event);
/* Whether it may use the last reserved bytes of a full disk: aborts, ends and cleanup, so that an
 * operation can always be stopped and ended. */
bool event_is_vital(enum event event);

/* Whether it must be acted on: it wakes those who supervise, or keep somebody. */
bool event_rings(enum event event);

/* A piece of the line as it stands there: a string's inside, still escaped. */
struct slice {
	const char *p;
	size_t n;
};

/* Decode a slice into out[size] with a NUL, cut at a character where it does not fit. */
void slice_copy(struct slice s, char *out, size_t size);

/* Put one into JSON as a member, null where it is absent. */
void slice_put(struct buf *b, const char *name, struct slice s);

/* A member that is absent is an empty slice, or -1, or the default that stands beside it. */
struct entry {
	uint64_t seq;
	int64_t at_ms;
	enum event event;
	struct slice kind; /* the event's name, also of an unknown one */
	struct slice by;
	struct slice operation_id, call_id, parent_id;
	struct slice description, message, reason, error, result, level;
	struct slice key, request;
	struct slice participant_id; /* of crash.detected and call.crashed: the victim */
	struct slice evidence;
	struct slice boot_id, machine_id, host, cgroup;
	struct slice resource_kind, path, command, folder, type, birth, fallback; /* of resource.* and call.started */
	struct slice fallback_command, call_result; /* of call.started; of the removal of such a one */
	struct slice seal, orphan_seal; /* of resource.added, and of call.started: see seal.h */
	struct slice group;
	int64_t format;
	int64_t session_id;
	int64_t pid, pid_start, process_group, process_session, supervisor_pid, supervisor_start;
	int64_t slots; /* of the group: so many run at a time */
	int64_t exit_status, signal, status, user_ms, system_ms, max_rss_kib;
	int64_t done, total;
	int64_t duration_ms, cancelled_calls;
	int64_t beat_ms, jitter_ms, stale_ms, ttl_ms, window_ms;
	int64_t resource_id, device, inode, mount_ns, pid_ns, time_ns, added_ms, entries, left_resources, epoch, mono_ms;
	int64_t removed, gone, left, failed;
	bool fail_on_crash; /* true */
	bool made, by_name; /* false */
	bool oom_killed;    /* false */
	bool aborted;       /* false */
	bool held;          /* false */
	bool spawned;       /* false */
	bool ttl_given;     /* false */
	bool fallback_pending, is_fallback; /* false: of call.crashed; of what its fallback command became, and of that's removal */
	bool result_json;   /* false: what that command prints must be JSON */
	bool orphans;       /* false: of resource.added, for the processes of a call whose supervisor died on another machine */
};

/* An entry without members. */
extern const struct entry entry_absent;

/* Read the `n` bytes of a line, without its newline.  NULL, or what is wrong with it. */
const char *entry_parse(const char *line, size_t n, struct entry *e);

/* Begin an entry at the end of `b`; members follow by json_put… and entry_end closes it. */
void entry_begin(struct buf *b, uint64_t seq, int64_t at_ms, const char *by, enum event event);
void entry_end(struct buf *b);

#endif
