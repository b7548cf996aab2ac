/* tls: the encrypted form of a connection, over OpenSSL. */
#ifndef DPL_TLS_H
#define DPL_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "err.h"

struct tls_context;
struct tls;

/* The certificate (PEM, with its chain) and its key, and where clients must have one, whose word is taken for them; NULL: they need
 * none.  At least TLS 1.2.  NULL with `why`, where a file cannot be read or the two do not belong together. */
struct tls_context *tls_context(const char *cert, const char *key, const char *client_ca, struct why *why);
void tls_context_free(struct tls_context *t);

/* In how many seconds the certificate expires; negative: it has. */
long long tls_expires(const struct tls_context *t);

/* The server's side of a connection on the non-blocking socket `fd`, which stays the caller's.  The context may be freed before it. */
struct tls *tls_accept(struct tls_context *t, int fd);
void tls_free(struct tls *s);

/* As recv(2) and send(2) on a socket that does not block; the handshake is done by the way. */
ssize_t tls_read(struct tls *s, void *bytes, size_t n);
ssize_t tls_write(struct tls *s, const void *bytes, size_t n);

/* Whether it waits for the socket to be written to before it can read. */
bool tls_wants_out(const struct tls *s);

/* Whether decrypted bytes wait that epoll knows nothing of. */
bool tls_has_more(const struct tls *s);

/* Say that nothing follows. */
void tls_end(struct tls *s);

#endif
