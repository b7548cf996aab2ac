/* nearby: the server of this machine, for the ledger `auto`. */
#ifndef DPL_NEARBY_H
#define DPL_NEARBY_H

#include <stdbool.h>

enum { NEARBY_PORT = 19880, NEARBY_MS = 500 };

/* Whether a server of ledgers answers on port NEARBY_PORT of loopback, within NEARBY_MS: it is asked what it is. */
bool nearby_is_served(void);

#endif
