/* dpl.h - take part in a distributed processing ledger from a C program
 *
 *	struct dpl *d = dpl_open(NULL, error, sizeof error);
 *	dpl_create(d, "builder", "nightly build");
 *	char *op = strdup(dpl_string(d, "operationId"));
 *	dpl_call_start(d, op, "builder", "compile");
 *	…
 *	dpl_close(d);
 *
 * Link with `pkg-config --libs dpl`.  Every request is a verb of dpl-batch(1): a path and a JSON object,
 * answered by a status and a JSON object.  The functions named after verbs only put the object
 * together.  A handle belongs to one thread at a time; different handles are independent.  A path is served in the
 * calling process, a URL by a helper program.  While it waits for a lock, the calling thread gets
 * SIGALRM from a timer of its own; a program that may write to files with a size limit (RLIMIT_FSIZE)
 * ignores SIGXFSZ.  Run as root on another user's ledger, the calling thread keeps that user's
 * filesystem identity (setfsuid(2)).
 *
 * See libdpl(3), dpl(7), dpl-batch(1), dpl-ledger(5). */
#ifndef DPL_H
#define DPL_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A connection to a ledger, with the answer to the last request. */
struct dpl;

/* Connect to `ledger`: a path, a URL, or NULL for DPL_LEDGER, else the default folder (see dpl(7)).  A
 * ledger that is not there is made by the first dpl_create.  NULL on failure: error[size] says why.
 * DPL_SYNC and DPL_TIMEOUT are heeded as by the commands.  Given back by dpl_close. */
struct dpl *dpl_open(const char *ledger, char *error, size_t size);
void dpl_close(struct dpl *d);

/* Carry out one request: `body` is a JSON object or NULL for {}, `key` an idempotency key or NULL.
 * Returns 0 when it was done, else the exit status that the commands would give (dpl(7)); 9 also
 * when memory runs out. */
int dpl_request(struct dpl *d, const char *path, const char *body, const char *key);

/* --- the answer to the last request; texts are valid until the next one --- */

const char *dpl_answer(const struct dpl *d);                    /* all of it, JSON */
const char *dpl_error(const struct dpl *d);                     /* what went wrong, "" after success */
const char *dpl_code(const struct dpl *d);                      /* its name, as in --json: "call-ended" */
const char *dpl_string(struct dpl *d, const char *member);      /* "" where absent or no string */
long long dpl_integer(struct dpl *d, const char *member, long long otherwise);
bool dpl_true(struct dpl *d, const char *member);

/* --- verbs.  Each returns what dpl_request does; `operation` is a full id; texts are UTF-8; an argument
 * that may be NULL is left out then. --- */

int dpl_create(struct dpl *d, const char *participant, const char *description);      /* operationId */
int dpl_join(struct dpl *d, const char *operation, const char *participant);          /* sessionId */
int dpl_leave(struct dpl *d, const char *operation, const char *participant);
int dpl_complete(struct dpl *d, const char *operation, const char *participant);      /* state */
int dpl_beat(struct dpl *d, const char *operation, const char *participant);          /* state, abortFlag, crashed */
int dpl_abort(struct dpl *d, const char *operation, const char *participant, const char *reason);
int dpl_state(struct dpl *d, const char *operation);                                  /* state, aborted */
int dpl_log(struct dpl *d, const char *operation, const char *participant, const char *level, const char *message);
int dpl_call_start(struct dpl *d, const char *operation, const char *participant, const char *description); /* callId */
int dpl_call_end(struct dpl *d, const char *operation, const char *call, const char *result);
int dpl_call_fail(struct dpl *d, const char *operation, const char *call, const char *error);

/* --- the fold: the state that the lines of a journal (dpl-ledger(5)) add up to.  It reads no clock and no
 * file. --- */

struct dpl_fold;

struct dpl_fold *dpl_fold_new(void); /* NULL when memory runs out */
void dpl_fold_free(struct dpl_fold *f);

/* Fold the whole lines among `n` further bytes of a journal; *used tells how many bytes they took, the
 * caller feeds the rest again with what follows it.  0, or -1 where a line is wrong: dpl_fold_error. */
int dpl_fold_feed(struct dpl_fold *f, const char *text, size_t n, size_t *used);
const char *dpl_fold_error(const struct dpl_fold *f);

/* The state as JSON, valid until the next call; NULL when memory runs out.  Members as in `dpl-show --json`,
 * without the texts, which stay in the journal. */
const char *dpl_fold_json(struct dpl_fold *f);

#ifdef __cplusplus
}
#endif

#endif
