/* log: a line for each request. */
#ifndef DPL_LOG_H
#define DPL_LOG_H

#include "conn.h"

/* Write an object to stderr: when, which connection, which path (`n` bytes as the client sent them, the first 200), the status and how long it
 * took.  Every byte of the client's is escaped; a token is in no line. */
void log_request(const struct conn *c, const char *path, size_t n, int64_t us);

#endif
