/* resource: one temp resource — what its entries say of it, where it is, and doing away with it.
 *
 * A path goes by descriptor and only if it is what was registered (remove.h); a process gets SIGTERM, later SIGKILL,
 * by a verified pidfd; an undo command is run by sh as the ledger's owner. */
#ifndef DPL_RESOURCE_H
#define DPL_RESOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "journal.h"
#include "remove.h"
#include "seal.h"

enum {
	RESOURCE_COMMAND_MS = 30000, /* an undo command may take so long */
	RESOURCE_TRIES = 5,          /* so often one is run that fails; then it is left, and named */
	RESOURCE_GRACE_MS = 2000,    /* from SIGTERM to SIGKILL of a process */
	RESOURCE_MAKER_MS = 1000,    /* so long is waited for a dpl-temp that is just making it */
};

struct resource {
	uint64_t id;
	enum resource_kind kind;
	struct buf what;         /* the path, or the command; for a process its pid as text */
	struct buf folder;       /* where the command is run */
	struct buf call;         /* the call it is tied to, empty for none */
	struct buf owner;        /* the participant who registered it, or whose call it belongs to */
	struct buf evidence;     /* of a fallback command: of the crash that it is run for */
	int64_t supervisor, supervisor_start; /* of orphans: the one that is said to have died */
	int64_t pid, start;      /* the process; of a path, the one that is about to make it; -1 */
	struct remove_identity identity;
	bool made, by_name;
	char seal[SEAL_TEXT];    /* "" for none: whoever may write to the folder of the ledger registered it there */
	bool orphans;            /* all processes of the call, whose supervisor died on another machine than the ledger's */
	bool is_fallback;        /* what the command prints is the result of the call, which crashed … */
	bool result_json;        /* … and must be JSON, else it has failed */
	int64_t added_ms;
	uint32_t tries;
	char boot[PROC_BOOT_ID], machine[PROC_MACHINE_ID], host[65];
	uint64_t mount_ns, pid_ns, time_ns; /* 0: unknown */
	struct buf reason;       /* of the last try that failed, empty for none */
};

/* Read its entries.  0, or -1 with `why`; free it in either case. */
int resource_load(struct journal *j, const struct op_resource *r, struct resource *out, struct why *why);

/* The same of the entry by which it was registered, and the newest that says what stands there (NULL for none), as they stand in the journal
 * or in a reply.  0, or -1 where one cannot be read; free it in either case. */
int resource_read(struct resource *out, const char *added, size_t added_n, const char *made, size_t made_n);
void resource_free(struct resource *r);

/* Whose it is: the operation, and its ledger. */
struct resource_home {
	const char *operation;
	const char *name;        /* of the ledger, for undo commands … */
	const char *ledger;      /* … and its real path, which is never deleted; NULL: it is not on this machine */
	uid_t uid;               /* who has it: undo commands are run by that one, and what is another user's is left alone */
	gid_t gid;
	bool shared;             /* several machines have its filesystem */
	bool foreign;            /* it is a server's: only what is sealed by this user is to be done */
};

/* Of a ledger that is a folder, all but name and ledger; 0, or -1 with errno. */
int resource_home(const struct journal *j, struct resource_home *home);

enum resource_place {
	PLACE_HERE,      /* it can be reached from here, and is to be done away with by this user */
	PLACE_ELSEWHERE, /* `reason` says where */
	PLACE_UNKNOWN,   /* … or why it cannot be told */
};
enum resource_place resource_place(const struct resource *r, const struct resource_home *home, char *reason, size_t size);

struct resource_order {
	const struct resource_home *home;
	int64_t limit_ms;        /* for the whole of it */
	bool look;               /* only say what would become of it */
	bool alone;              /* nothing is there that an undo command has started: what is found out before the first of them */
	bool (*go_on)(void *arg);
	void *arg;
};

/* Do away with it.  RESOURCE_HERE: it was stopped (go_on, or the limit) and is to be gone on with.
 * `printed` gets what a fallback command gave, as a text; it is run once, and where it failed `reason` says how. */
enum resource_result resource_remove(const struct resource *r, struct resource_order *o, uint64_t *entries, struct buf *printed, char *reason, size_t size);

#endif
