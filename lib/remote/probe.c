/* remote/probe: ask many addresses at once whether a server of ledgers is there. */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "clock.h"
#include "json.h"
#include "remote/probe.h"
#include "remote/target.h"
#include "version.h"

struct probe {
	struct probe *next;      /* all of them, for the end */
	size_t number;
	char *url;
	struct target target;
	CURL *easy;
	struct buf answer;
	bool overflow;
	char words[CURL_ERROR_SIZE], problem[CURL_ERROR_SIZE];
};

struct probes {
	CURLM *multi;
	struct probe *all;
	size_t n;
	int64_t timeout_ms;
};

struct probes *
probes_new(int64_t timeout_ms, struct why *why)
{
	struct probes *p = calloc(1, sizeof *p);
	if (p && curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK && (p->multi = curl_multi_init())) {
		p->timeout_ms = timeout_ms;
		return p;
	}
	free(p);
	why_set(why, ERR_IO, "libcurl cannot be used: out of memory");
	return NULL;
}

void
probes_free(struct probes *p)
{
	if (!p)
		return;
	for (struct probe *one = p->all, *next; one; one = next) {
		next = one->next;
		if (one->easy)
			(void)curl_multi_remove_handle(p->multi, one->easy);
		curl_easy_cleanup(one->easy);
		buf_free(&one->answer);
		target_free(&one->target);
		free(one->url);
		free(one);
	}
	(void)curl_multi_cleanup(p->multi);
	free(p);
}

static size_t
take(char *bytes, size_t size, size_t n, void *arg)
{
	struct probe *one = arg;
	n *= size;
	one->overflow = one->answer.n + n > PROBE_MOST;
	if (!one->overflow)
		buf_add(&one->answer, bytes, n);
	return one->overflow || one->answer.failed ? CURL_WRITEFUNC_ERROR : n;
}

static bool
prepare(const struct probes *p, struct probe *one)
{
	struct buf url = {0};
	CURL *e = one->easy;
	buf_fmt(&url, "%s/status", one->target.base);
	bool good = !url.failed && curl_easy_setopt(e, CURLOPT_URL, url.p) == CURLE_OK && curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
		curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK && curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
		curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK && curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK &&
		curl_easy_setopt(e, CURLOPT_USERAGENT, "dpl-discover/" DPL_VERSION) == CURLE_OK &&
		curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)p->timeout_ms) == CURLE_OK &&
		curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)p->timeout_ms * 2) == CURLE_OK && curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, take) == CURLE_OK &&
		curl_easy_setopt(e, CURLOPT_WRITEDATA, one) == CURLE_OK && curl_easy_setopt(e, CURLOPT_ERRORBUFFER, one->words) == CURLE_OK &&
		curl_easy_setopt(e, CURLOPT_PRIVATE, one) == CURLE_OK && curl_easy_setopt(e, CURLOPT_PROXY, "") == CURLE_OK &&
		curl_easy_setopt(e, CURLOPT_FORBID_REUSE, 1L) == CURLE_OK;
	if (one->target.socket)
		good &= curl_easy_setopt(e, CURLOPT_UNIX_SOCKET_PATH, one->target.socket) == CURLE_OK;
	buf_free(&url);
	return good;
}

int
probes_add(struct probes *p, const char *url, struct why *why)
{
	struct probe *one = calloc(1, sizeof *one);
	if (!one)
		return why_set(why, ERR_IO, "out of memory");
	one->next = p->all;
	p->all = one;
	one->number = p->n;
	if (!(one->url = strdup(url)))
		return why_set(why, ERR_IO, "out of memory");
	if (target_parse(&one->target, one->url, why) < 0)
		return -1;
	one->easy = curl_easy_init();
	if (!one->easy || !prepare(p, one) || curl_multi_add_handle(p->multi, one->easy) != CURLM_OK)
		return why_set(why, ERR_IO, "out of memory");
	return (int)p->n++;
}

/* What it says of itself. */
static void
judge(struct probe *one, CURLcode rc, struct probed *out)
{
	struct json j;
	struct why ignored;
	char started[40] = "", now[40] = "";
	int64_t began_ms, now_ms;
	long status = 0;
	double took = 0;
	(void)curl_easy_getinfo(one->easy, CURLINFO_RESPONSE_CODE, &status);
	(void)curl_easy_getinfo(one->easy, CURLINFO_TOTAL_TIME, &took);
	*out = (struct probed){.number = one->number, .url = one->url, .age_ms = -1, .took_ms = (int64_t)(took * 1000), .problem = one->problem};
	if (one->overflow)
		snprintf(one->problem, sizeof one->problem, "it answers with more than %d bytes", PROBE_MOST);
	else if (rc != CURLE_OK)
		snprintf(one->problem, sizeof one->problem, "%s", *one->words ? one->words : curl_easy_strerror(rc));
	else if (status != 200)
		snprintf(one->problem, sizeof one->problem, "it answers %ld", status);
	else if (json_parse(&j, one->answer.p ? one->answer.p : "", one->answer.n, &ignored) < 0)
		snprintf(one->problem, sizeof one->problem, "it answers no JSON");
	else {
		(void)json_copy(&j, json_get(&j, 0, "service"), out->service, sizeof out->service);
		(void)json_copy(&j, json_get(&j, 0, "version"), out->version, sizeof out->version);
		(void)json_copy(&j, json_get(&j, 0, "startedAt"), started, sizeof started);
		(void)json_copy(&j, json_get(&j, 0, "timestamp"), now, sizeof now);
		if (clock_parse(started, strlen(started), &began_ms) == 0 && clock_parse(now, strlen(now), &now_ms) == 0)
			out->age_ms = now_ms > began_ms ? now_ms - began_ms : 0;
		out->is = strcmp(out->service, "tom_dist_ledger") == 0;
		snprintf(one->problem, sizeof one->problem, "it is something else");
		json_free(&j);
	}
}

int
probes_next(struct probes *p, int64_t wait_ms, struct probed *out)
{
	int64_t end_ms = clock_mono_ms() + wait_ms, left = wait_ms;
	for (;;) {
		int running = 0, n = 0;
		(void)curl_multi_perform(p->multi, &running);
		CURLMsg *m = curl_multi_info_read(p->multi, &n);
		if (m && m->msg == CURLMSG_DONE) {
			CURL *easy = m->easy_handle;
			CURLcode rc = m->data.result;
			struct probe *one = NULL;
			(void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&one);
			(void)curl_multi_remove_handle(p->multi, easy);
			judge(one, rc, out);
			curl_easy_cleanup(easy);
			one->easy = NULL;
			return 1;
		}
		if (!running)
			return -1;
		if ((left = end_ms - clock_mono_ms()) <= 0)
			return 0;
		(void)curl_multi_poll(p->multi, NULL, 0, left < 1000 ? (int)left : 1000, NULL);
	}
}
