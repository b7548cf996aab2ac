/* keys: which operation the key of a create has made: links in the folder `keys` of a ledger, each named after a key, whose text is the
 * id of an operation. */
#ifndef DPL_KEYS_H
#define DPL_KEYS_H

#include <stdint.h>

#include "store.h"

/* Lock the links, which are changed only under that lock; the folder is made where it is missing.  A descriptor of the folder, whose
 * closing ends the lock, or -1 with `why`. */
int keys_lock(struct store *s, int64_t wait_ms, struct why *why);

/* Link the key to `id`; where it is linked already, `id` becomes what it is linked to.  `keys` is what keys_lock gave.  0, or -1 with
 * `why`. */
int keys_link(struct store *s, int keys, const char *key, char id[], struct why *why);

/* Take the link of the key away if it leads to `id`: another operation's stays. */
void keys_drop(int keys, const char *key, const char *id);

#endif
