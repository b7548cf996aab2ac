/* remote/exchange: one request and its answer over HTTP/1.1, on one connection that is kept. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "remote/exchange.h"
#include "version.h"
#include "watch.h"

enum { IDLE_S = 15, PROBE_S = 5, PROBES = 3 };

static size_t
take(char *bytes, size_t size, size_t n, void *arg)
{
	struct exchange *x = arg;
	n *= size;
	x->overflow = x->answer->n + n > EXCHANGE_MAX;
	if (!x->overflow)
		buf_add(x->answer, bytes, n);
	return x->overflow || x->answer->failed ? CURL_WRITEFUNC_ERROR : n;
}

/* The connection stands, the request goes out now.  By itself libcurl sends it again where a kept connection closes without an
 * answer; but the server may have carried it out. */
static int
about_to_send(void *arg, char *to, char *from, int to_port, int from_port)
{
	struct exchange *x = arg;
	(void)to, (void)from, (void)to_port, (void)from_port;
	if (x->sent && x->once)
		return CURL_PREREQFUNC_ABORT;
	x->sent = true;
	return CURL_PREREQFUNC_OK;
}

/* A peer that is gone without a word: found after IDLE_S + PROBES * PROBE_S where we wait for it, and likewise where what we sent
 * is not acknowledged.  Neither is for unix sockets, which have no such peers. */
static int
set_socket(void *arg, curl_socket_t fd, curlsocktype purpose)
{
	int probes = PROBES;
	unsigned unacknowledged_ms = (IDLE_S + PROBES * PROBE_S) * 1000;
	(void)arg, (void)purpose;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacknowledged_ms, sizeof unacknowledged_ms);
	return CURL_SOCKOPT_OK;
}

/* The first failure of several settings. */
static void
set(CURLcode *rc, CURLcode this)
{
	if (*rc == CURLE_OK)
		*rc = this;
}

static CURLcode
set_all(struct exchange *x, const struct exchange_options *o)
{
	CURLcode rc = CURLE_OK;
	CURL *e = x->easy;
	set(&rc, curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https"));
	set(&rc, curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L));
	set(&rc, curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1));
	set(&rc, curl_easy_setopt(e, CURLOPT_USERAGENT, "dpl-remote-http/" DPL_VERSION));
	set(&rc, curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L));
	/* A name server that does not answer must not hold up our end. */
	set(&rc, curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L));
	set(&rc, curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)o->connect_ms));
	set(&rc, curl_easy_setopt(e, CURLOPT_TCP_NODELAY, 1L));
	set(&rc, curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L));
	set(&rc, curl_easy_setopt(e, CURLOPT_TCP_KEEPIDLE, (long)IDLE_S));
	set(&rc, curl_easy_setopt(e, CURLOPT_TCP_KEEPINTVL, (long)PROBE_S));
	set(&rc, curl_easy_setopt(e, CURLOPT_SOCKOPTFUNCTION, set_socket));
	set(&rc, curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2));
	set(&rc, curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L));
	set(&rc, curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L));
	if (o->ca) { /* instead of the system's, not beside them */
		set(&rc, curl_easy_setopt(e, CURLOPT_CAINFO, o->ca));
		set(&rc, curl_easy_setopt(e, CURLOPT_CAPATH, NULL));
	}
	if (o->cert)
		set(&rc, curl_easy_setopt(e, CURLOPT_SSLCERT, o->cert));
	if (o->key)
		set(&rc, curl_easy_setopt(e, CURLOPT_SSLKEY, o->key));
	if (x->target->socket)
		set(&rc, curl_easy_setopt(e, CURLOPT_UNIX_SOCKET_PATH, x->target->socket));
	if (x->target->local)
		set(&rc, curl_easy_setopt(e, CURLOPT_PROXY, ""));
	/* What is for the server is not for a proxy. */
	set(&rc, curl_easy_setopt(e, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE));
	set(&rc, curl_easy_setopt(e, CURLOPT_POST, 1L));
	set(&rc, curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, take));
	set(&rc, curl_easy_setopt(e, CURLOPT_WRITEDATA, x));
	set(&rc, curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, about_to_send));
	set(&rc, curl_easy_setopt(e, CURLOPT_PREREQDATA, x));
	set(&rc, curl_easy_setopt(e, CURLOPT_ERRORBUFFER, x->words));
	return rc;
}

int
exchange_open(struct exchange *x, const struct target *t, const struct exchange_options *o, struct why *why)
{
	*x = (struct exchange){.target = t, .timeout_ms = o->timeout_ms, .connect_ms = o->connect_ms};
	CURLcode rc = curl_global_init(CURL_GLOBAL_DEFAULT);
	x->multi = rc == CURLE_OK ? curl_multi_init() : NULL;
	x->easy = rc == CURLE_OK ? curl_easy_init() : NULL;
	if (rc == CURLE_OK)
		rc = x->multi && x->easy ? set_all(x, o) : CURLE_OUT_OF_MEMORY;
	if (rc == CURLE_OK)
		return 0;
	return why_set(why, ERR_IO, "libcurl: %s", curl_easy_strerror(rc));
}

void
exchange_close(struct exchange *x)
{
	curl_easy_cleanup(x->easy);
	curl_multi_cleanup(x->multi);
	*x = (struct exchange){0};
}

int
exchange_status(const struct exchange *x)
{
	long status = 0;
	(void)curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
	return (int)status;
}

int64_t
exchange_retry_ms(const struct exchange *x)
{
	curl_off_t seconds = 0;
	struct curl_header *h;
	/* libcurl says 0 for a header that is not there. */
	if (curl_easy_header(x->easy, "Retry-After", 0, CURLH_HEADER, -1, &h) != CURLHE_OK)
		return -1;
	(void)curl_easy_getinfo(x->easy, CURLINFO_RETRY_AFTER, &seconds);
	return seconds > INT32_MAX ? INT64_C(1000) * INT32_MAX : (int64_t)seconds * 1000;
}

/* --- what went wrong --- */

static void
seconds(char *text, size_t size, int64_t ms)
{
	snprintf(text, size, "%g s", (double)ms / 1000);
}

static enum exchange_end
refused(struct why *why, const char *words, const char *hint)
{
	why_set(why, ERR_UNREACHABLE, "%s", words);
	why_hint(why, "%s", hint);
	return EXCHANGE_REFUSED;
}

static enum exchange_end
failed(struct exchange *x, CURLcode rc, int64_t limit_ms, struct why *why)
{
	char span[40];
	long e = 0;
	const char *words = *x->words ? x->words : curl_easy_strerror(rc);
	enum exchange_end end = x->sent ? EXCHANGE_LOST : EXCHANGE_UNSENT;
	why_set(why, ERR_UNREACHABLE, "%s", words);
	switch (rc) {
	case CURLE_COULDNT_CONNECT:
		if (curl_easy_getinfo(x->easy, CURLINFO_OS_ERRNO, &e) == CURLE_OK && e)
			why_set(why, ERR_UNREACHABLE, "%s", strerror((int)e));
		break;
	case CURLE_OPERATION_TIMEDOUT:
		seconds(span, sizeof span, x->sent || limit_ms < x->connect_ms ? limit_ms : x->connect_ms);
		why_set(why, ERR_UNREACHABLE, "no %s within %s", x->sent ? "answer" : "connection", span);
		break;
	case CURLE_GOT_NOTHING:
	case CURLE_ABORTED_BY_CALLBACK:
		why_set(why, ERR_UNREACHABLE, "it closed the connection without an answer");
		break;
	case CURLE_PARTIAL_FILE:
		why_set(why, ERR_UNREACHABLE, "it closed the connection within its answer");
		break;
	case CURLE_WRITE_ERROR:
		if (!x->overflow) {
			why_set(why, ERR_UNREACHABLE, "out of memory");
			break;
		}
		why_set(why, ERR_UNREACHABLE, "more than %d MiB", EXCHANGE_MAX >> 20);
		return EXCHANGE_STRANGE;
	case CURLE_UNSUPPORTED_PROTOCOL: /* HTTP/0.9, as libcurl takes anything else to be */
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_BAD_CONTENT_ENCODING:
		return EXCHANGE_STRANGE;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
		return refused(why, words, "DPL_TLS_CA names the file with the certificate of who has signed the server's");
	case CURLE_SSL_CERTPROBLEM:
		return refused(why, words, "DPL_TLS_CERT and DPL_TLS_KEY name the files of our own certificate");
	case CURLE_SSL_CONNECT_ERROR:
		/* The other side has spoken, and will not change its mind. */
		if (strstr(words, "error:"))
			return refused(why, words, "is https what is spoken there?");
		break;
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
		/* With TLS 1.3 the server looks at our certificate when we have sent already; it reads nothing of that. */
		if (strstr(words, "certificate required") || strstr(words, "alert bad certificate") || strstr(words, "alert unknown ca"))
			return refused(why, words, "DPL_TLS_CERT and DPL_TLS_KEY name the files of our own certificate");
		break;
	default:
		break;
	}
	return end;
}

/* --- one of them --- */

/* Add a header; *ok is false once memory ran out. */
static void
add(struct curl_slist **list, bool *ok, const char *name, const char *value)
{
	struct buf b = {0};
	buf_fmt(&b, "%s %s", name, value);
	struct curl_slist *longer = *ok && !b.failed ? curl_slist_append(*list, b.p) : NULL;
	*ok = longer != NULL;
	if (longer)
		*list = longer;
	buf_free(&b);
}

static bool
headers(const struct exchange_request *r, struct curl_slist **list)
{
	bool ok = true;
	*list = curl_slist_append(NULL, "Expect:"); /* it would cost a round trip */
	if (!*list)
		return false;
	add(list, &ok, "Content-Type:", "application/json");
	add(list, &ok, "Accept:", "application/json");
	if (r->key)
		add(list, &ok, "Idempotency-Key:", r->key);
	if (r->token)
		add(list, &ok, "Authorization: Bearer", r->token);
	return ok;
}

/* Do the transfer, and see meanwhile whether anybody still waits for it. */
static CURLcode
transfer(struct exchange *x)
{
	int running = 1, left;
	CURLcode rc = CURLE_FAILED_INIT;
	struct curl_waitfd out = {.fd = STDOUT_FILENO};
	CURLMcode m = curl_multi_add_handle(x->multi, x->easy);
	while (m == CURLM_OK && running) {
		m = curl_multi_perform(x->multi, &running);
		if (m == CURLM_OK && running)
			m = curl_multi_poll(x->multi, &out, 1, 1000, NULL);
		if (running && watch_is_unread(STDOUT_FILENO))
			_exit(EXIT_DONE);
	}
	for (CURLMsg *message; (message = curl_multi_info_read(x->multi, &left));)
		if (message->msg == CURLMSG_DONE)
			rc = message->data.result;
	(void)curl_multi_remove_handle(x->multi, x->easy);
	return rc;
}

enum exchange_end
exchange_post(struct exchange *x, const struct exchange_request *r, struct buf *answer, struct why *why)
{
	struct buf url = {0};
	struct curl_slist *list = NULL;
	CURLcode rc = CURLE_OK;
	int64_t limit_ms = x->timeout_ms + r->more_ms;
	if (r->most_ms && r->most_ms < limit_ms)
		limit_ms = r->most_ms;
	x->answer = answer;
	x->once = r->once;
	x->sent = x->overflow = false;
	*x->words = '\0';
	buf_clear(answer);
	buf_fmt(&url, "%s%s", x->target->base, r->path);
	if (url.failed || !headers(r, &list))
		rc = CURLE_OUT_OF_MEMORY;
	set(&rc, curl_easy_setopt(x->easy, CURLOPT_URL, url.failed ? "" : url.p));
	set(&rc, curl_easy_setopt(x->easy, CURLOPT_HTTPHEADER, list));
	set(&rc, curl_easy_setopt(x->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->n));
	set(&rc, curl_easy_setopt(x->easy, CURLOPT_POSTFIELDS, r->body)); /* not copied */
	set(&rc, curl_easy_setopt(x->easy, CURLOPT_TIMEOUT_MS, (long)limit_ms));
	if (rc == CURLE_OK)
		rc = transfer(x);
	enum exchange_end end = rc == CURLE_OK ? EXCHANGE_CAME : failed(x, rc, limit_ms, why);
	(void)curl_easy_setopt(x->easy, CURLOPT_HTTPHEADER, NULL);
	curl_slist_free_all(list);
	buf_free(&url);
	return end;
}
