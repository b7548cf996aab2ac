/* id: the names of things, and which names are allowed.
 *
 * Pure: time and randomness come in as arguments.  Every name that reaches a path or the journal
 * has passed one of the checks here. */
#ifndef DPL_ID_H
#define DPL_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	ID_OPERATION_MAX = 200, /* bytes of an operation id */
	ID_NAME_MAX = 64,       /* bytes of a participant's name and of a call id */
	ID_KEY_MAX = 128,       /* bytes of an idempotency key */
	ID_FILE_MAX = 3 * ID_NAME_MAX,
	ID_KEY_FILE = 32,       /* bytes of the file name that stands for a key */
};

/* Each returns NULL when the name is allowed, else what is wrong with it, as words that follow
 * the name in a message ("is empty"). */

/* An operation id: letters, digits and `_.-`, `:` as well (ids of other makers have it), not starting
 * with a dot or dash, without `..`. */
const char *id_bad_operation(const char *id);
/* A call id: the same characters, at most ID_NAME_MAX bytes. */
const char *id_bad_call(const char *id);
/* A participant's name: UTF-8 without control, invisible and direction-turning characters, no
 * blank at an end, not `.` or `..`, no dash in front. */
const char *id_bad_participant(const char *name);
/* An idempotency key: letters, digits and `._:-`. */
const char *id_bad_key(const char *key);

/* Whether the id has the form that id_operation makes, so that it is complete and not a part. */
bool id_is_full(const char *id);

/* `20261122T143045.123Z-NAME-a1b2c3d4`.  What the wire's clients would not join (all but
 * letters, digits and `_.-`) becomes `_` in it. */
void id_operation(int64_t wall_ms, const char *initiator, uint32_t random, char id[ID_OPERATION_MAX + 1]);

/* `call_NAME_N_1a2b`, at most ID_NAME_MAX bytes: a long name is cut. */
void id_call(const char *participant, uint64_t number, uint32_t random, char id[ID_NAME_MAX + 1]);

/* A participant's name as a file name: percent-encoded (RFC 3986) but for letters, digits and `_.-`. */
void id_file(const char *participant, char file[ID_FILE_MAX + 1]);

/* The name in keys/ for an idempotency key: a hash, so keys of any two operations may share it only by accident, and
 * what is found by it must be compared with the key itself. */
void id_key_file(const char *key, char file[ID_KEY_FILE + 1]);

#endif
