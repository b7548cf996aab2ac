/* remote/target: where a ledger is that is named by a URL. */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

#include "remote/target.h"

static int
bad(const struct target *t, struct why *why, const char *what)
{
	return why_set(why, ERR_USAGE, "'%.200s' %s", t->name, what);
}

static int
parse_socket(struct target *t, struct why *why)
{
	const char *path = t->name + strlen("unix:");
	if (strncmp(path, "//", 2) == 0)
		path += 2;
	if (*path != '/')
		return bad(t, why, "does not name the socket by its full path, as in unix:/run/dpl.sock");
	if (strlen(path) >= sizeof((struct sockaddr_un *)NULL)->sun_path)
		return bad(t, why, "is longer than the path of a socket can be");
	t->socket = strdup(path);
	t->base = strdup("http://localhost");
	t->local = true;
	return t->socket && t->base ? 0 : why_set(why, ERR_IO, "out of memory");
}

/* Whether the URL has that part. */
static bool
has_part(CURLU *u, CURLUPart part)
{
	char *text = NULL;
	bool has = curl_url_get(u, part, &text, 0) == CURLUE_OK && text;
	curl_free(text);
	return has;
}

/* A name of this machine itself, by its look alone: nothing is asked. */
static bool
is_loopback(CURLU *u)
{
	char *host = NULL;
	if (curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK)
		return false;
	bool is = strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
		(strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == strlen(host));
	curl_free(host);
	return is;
}

static int
parse_http(struct target *t, CURLU *u, struct why *why)
{
	char port[12], *text = NULL;
	size_t scheme = strcspn(t->name, ":");
	bool tls = scheme == 5 && strncmp(t->name, "https", 5) == 0;
	/* libcurl would take a URL with one slash, or none, as well. */
	if (strncmp(t->name + scheme, "://", 3) != 0 || (!tls && !(scheme == 4 && strncmp(t->name, "http", 4) == 0)))
		return bad(t, why, "is no ledger that this serves: http://HOST, https://HOST or unix:/PATH");
	CURLUcode rc = curl_url_set(u, CURLUPART_URL, t->name, 0);
	if (rc != CURLUE_OK)
		return why_set(why, ERR_USAGE, "'%.200s' is no URL: %s", t->name, curl_url_strerror(rc));
	if (has_part(u, CURLUPART_QUERY) || has_part(u, CURLUPART_FRAGMENT))
		return bad(t, why, "has something behind the path");
	snprintf(port, sizeof port, "%d", TARGET_PORT);
	if (!tls && !has_part(u, CURLUPART_PORT))
		(void)curl_url_set(u, CURLUPART_PORT, port, 0);
	t->local = is_loopback(u);
	if (curl_url_get(u, CURLUPART_URL, &text, 0) == CURLUE_OK) {
		t->base = strdup(text);
		curl_free(text);
	}
	if (!t->base)
		return why_set(why, ERR_IO, "out of memory");
	for (size_t n = strlen(t->base); n && t->base[n - 1] == '/'; n--)
		t->base[n - 1] = '\0';
	return 0;
}

/* Before anything else, for what is in it must not be said: any @ in front of the path. */
static bool
holds_user(const char *name)
{
	const char *authority = strstr(name, "://");
	return authority && memchr(authority + 3, '@', strcspn(authority + 3, "/?#"));
}

int
target_parse(struct target *t, const char *name, struct why *why)
{
	*t = (struct target){.name = name};
	if (holds_user(name)) {
		why_set(why, ERR_USAGE, "the URL holds a user or a password, which others could see");
		why_hint(why, "a token is given by a file: DPL_TOKEN_FILE");
		return -1;
	}
	if (strncmp(name, "unix:", 5) == 0)
		return parse_socket(t, why);
	CURLU *u = curl_url();
	int rc = u ? parse_http(t, u, why) : why_set(why, ERR_IO, "out of memory");
	curl_url_cleanup(u);
	return rc;
}

void
target_free(struct target *t)
{
	free(t->base);
	free(t->socket);
	*t = (struct target){0};
}
