/* tls: the encrypted form of a connection, over OpenSSL. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "tls.h"

struct tls_context {
	SSL_CTX *ctx;
};

struct tls {
	SSL *ssl;
	bool wants_out;
};

static int
failed(struct why *why, const char *what, const char *file)
{
	char text[200];
	unsigned long e = ERR_peek_last_error();
	ERR_error_string_n(e, text, sizeof text);
	ERR_clear_error();
	return why_set(why, ERR_USAGE, "%s %s: %s", what, file, e ? text : "not what was expected");
}

static int
fill_context(SSL_CTX *ctx, const char *cert, const char *key, const char *client_ca, struct why *why)
{
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	if (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1)
		return failed(why, "the certificate", cert);
	if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
		return failed(why, "the key", key);
	if (SSL_CTX_check_private_key(ctx) != 1)
		return failed(why, "the key does not belong to the certificate:", key);
	if (!client_ca)
		return 0;
	STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(client_ca);
	if (!names || SSL_CTX_load_verify_locations(ctx, client_ca, NULL) != 1)
		return failed(why, "the authorities of clients", client_ca);
	SSL_CTX_set_client_CA_list(ctx, names);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	return 0;
}

struct tls_context *
tls_context(const char *cert, const char *key, const char *client_ca, struct why *why)
{
	struct tls_context *t = calloc(1, sizeof *t);
	if (!t || !(t->ctx = SSL_CTX_new(TLS_server_method()))) {
		free(t);
		why_set(why, ERR_IO, "out of memory");
		return NULL;
	}
	if (fill_context(t->ctx, cert, key, client_ca, why) == 0)
		return t;
	tls_context_free(t);
	return NULL;
}

void
tls_context_free(struct tls_context *t)
{
	if (!t)
		return;
	SSL_CTX_free(t->ctx);
	free(t);
}

long long
tls_expires(const struct tls_context *t)
{
	int days = 0, seconds = 0;
	X509 *x = SSL_CTX_get0_certificate(t->ctx);
	if (!x || ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(x)) != 1)
		return 0;
	return days * 86400LL + seconds;
}

struct tls *
tls_accept(struct tls_context *t, int fd)
{
	struct tls *s = calloc(1, sizeof *s);
	if (!s || !(s->ssl = SSL_new(t->ctx)) || SSL_set_fd(s->ssl, fd) != 1) {
		tls_free(s);
		return NULL;
	}
	SSL_set_accept_state(s->ssl);
	return s;
}

void
tls_free(struct tls *s)
{
	if (!s)
		return;
	SSL_free(s->ssl);
	free(s);
}

/* What OpenSSL's answer means, as errno. */
static ssize_t
result(struct tls *s, int n)
{
	int error = SSL_get_error(s->ssl, n);
	s->wants_out = error == SSL_ERROR_WANT_WRITE;
	if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
		errno = EAGAIN;
		return -1;
	}
	if (error == SSL_ERROR_ZERO_RETURN)
		return 0;
	if (error != SSL_ERROR_SYSCALL || errno == 0 || errno == EAGAIN)
		errno = EPROTO;
	ERR_clear_error();
	return -1;
}

static int
clip(size_t n)
{
	return n < 1 << 30 ? (int)n : 1 << 30;
}

ssize_t
tls_read(struct tls *s, void *bytes, size_t n)
{
	ERR_clear_error();
	errno = 0;
	int rc = SSL_read(s->ssl, bytes, clip(n));
	if (rc > 0)
		s->wants_out = false;
	return rc > 0 ? rc : result(s, rc);
}

ssize_t
tls_write(struct tls *s, const void *bytes, size_t n)
{
	ERR_clear_error();
	errno = 0;
	int rc = SSL_write(s->ssl, bytes, clip(n));
	if (rc > 0)
		return rc;
	ssize_t e = result(s, rc);
	if (e == 0) {
		errno = EPIPE;
		e = -1;
	}
	return e;
}

bool
tls_wants_out(const struct tls *s)
{
	return s->wants_out;
}

bool
tls_has_more(const struct tls *s)
{
	return SSL_pending(s->ssl) > 0;
}

void
tls_end(struct tls *s)
{
	ERR_clear_error();
	(void)SSL_shutdown(s->ssl);
}
