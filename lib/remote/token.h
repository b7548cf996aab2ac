/* remote/token: the secret that a server knows us by, from a file that is nobody else's to read. */
#ifndef DPL_REMOTE_TOKEN_H
#define DPL_REMOTE_TOKEN_H

#include "buf.h"
#include "err.h"

enum { TOKEN_MAX = 4096 }; /* bytes */

/* Set `token` to the first line of the file, without its end.  0, or -1 with `why` (ERR_PERMISSION): it cannot be read, is no
 * regular file, others may read or write it, or it holds what a header cannot carry. */
int token_read(const char *file, struct buf *token, struct why *why);

#endif
