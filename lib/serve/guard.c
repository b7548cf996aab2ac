/* guard: who may ask. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fsx.h"
#include "guard.h"

/* --- the token --- */

int
guard_read_token(struct guard *g, const char *file, struct why *why)
{
	struct stat st;
	struct buf b = {0};
	int rc = -1, fd = fsx_open(AT_FDCWD, file, O_RDONLY | O_NONBLOCK, 0);
	if (fd < 0 && errno == ENOENT)
		return why_set(why, ERR_USAGE, "the token file %s: %s", file, strerror(errno));
	if (fd < 0)
		return why_errno(why, "the token file %s", file);
	ssize_t n = -1;
	if (fstat(fd, &st) < 0)
		why_errno(why, "the token file %s", file);
	else if (!S_ISREG(st.st_mode))
		why_set(why, ERR_USAGE, "the token file %s is no regular file", file);
	else if (st.st_mode & 077) {
		why_set(why, ERR_PERMISSION, "others may read or write the token file %s", file);
		why_hint(why, "chmod 600 %s", file);
	} else if (buf_reserve(&b, GUARD_TOKEN_MOST) < 0 || (n = fsx_pread(fd, b.p, GUARD_TOKEN_MOST, 0)) < 0)
		why_errno(why, "the token file %s", file);
	else {
		b.n = 0;
		while (b.n < (size_t)n && b.p[b.n] > ' ' && b.p[b.n] < 0x7f)
			b.n++;
		if (b.n < GUARD_TOKEN_LEAST || (b.n < (size_t)n && b.p[b.n] != '\n'))
			why_set(why, ERR_USAGE, "the first line of the token file %s is no token: %d to %d visible characters", file, GUARD_TOKEN_LEAST, GUARD_TOKEN_MOST - 1);
		else
			rc = 0;
	}
	close(fd);
	if (rc < 0) {
		buf_free(&b);
		return -1;
	}
	buf_free(&g->token);
	g->token = b;
	return 0;
}

void
guard_free(struct guard *g)
{
	if (g->token.p)
		explicit_bzero(g->token.p, g->token.n);
	buf_free(&g->token);
}

/* In a time that depends on the length of what was sent alone. */
static bool
is_token(const struct buf *token, struct http_text sent)
{
	unsigned char differs = (unsigned char)(token->n != sent.n);
	for (size_t i = 0; i < sent.n; i++)
		differs |= (unsigned char)(token->p[i % token->n] ^ sent.p[i]);
	return !differs;
}

static struct http_text
behind_bearer(struct http_text value)
{
	static const char scheme[] = "bearer ";
	const size_t n = sizeof scheme - 1;
	if (value.n < n || strncasecmp(value.p, scheme, n) != 0)
		return (struct http_text){"", 0};
	value.p += n;
	value.n -= n;
	while (value.n && *value.p == ' ')
		value.p++, value.n--;
	return value;
}

int
guard_check_token(const struct guard *g, const struct http_head *h, struct why *why)
{
	int bearers = 0, others = 0;
	struct http_text bearer = http_field(h, "authorization", &bearers), other = http_field(h, "x-auth-token", &others);
	if (!g->token.n)
		return 0;
	struct http_text sent = bearers ? behind_bearer(bearer) : others ? other : (struct http_text){"", 0};
	if (bearers + others == 1 && is_token(&g->token, sent))
		return 0;
	why_set(why, ERR_UNAUTHORIZED, bearers + others ? "the token is not the right one" : "a token is needed");
	why_hint(why, "Authorization: Bearer TOKEN; for the commands of dpl: DPL_TOKEN_FILE names the file that it stands in");
	return -1;
}

/* --- where it is sent to, and where it comes from --- */

static bool
is_text(struct http_text t, const char *s)
{
	return t.n == strlen(s) && strncasecmp(t.p, s, t.n) == 0;
}

static bool
is_listed(const char *const *list, size_t n, struct http_text t)
{
	for (size_t i = 0; i < n; i++)
		if (is_text(t, list[i]))
			return true;
	return false;
}

/* Whether all are taken. */
static bool
takes_any(const char *const *list, size_t n)
{
	return is_listed(list, n, (struct http_text){"*", 1});
}

bool
guard_allows_all(const struct guard *g)
{
	return takes_any(g->origins, g->origins_n);
}

/* Without its port. */
static struct http_text
host_name(struct http_text host)
{
	const char *colon = host.n && host.p[0] != '[' ? memchr(host.p, ':', host.n) : NULL;
	const char *bracket = host.n && host.p[0] == '[' ? memchr(host.p, ']', host.n) : NULL;
	if (colon)
		host.n = (size_t)(colon - host.p);
	else if (bracket)
		host.n = (size_t)(bracket - host.p) + 1;
	return host;
}

/* Whether it is a name of ours: of loopback, the address itself, or one that was listed. */
static bool
is_named(const struct guard *g, struct guard_way way, struct http_text host)
{
	struct http_text name = host_name(host);
	return is_text(name, "localhost") || is_text(name, "127.0.0.1") || is_text(name, "[::1]") || (*way.local && is_text(name, way.local)) ||
		is_listed(g->hosts, g->hosts_n, name) || is_listed(g->hosts, g->hosts_n, host);
}

/* A form of a page is sent by any browser without asking first, with one of these types. */
static bool
is_form(const struct http_head *h)
{
	static const char *const types[] = {"text/", "application/x-www-form-urlencoded", "multipart/"};
	int n;
	struct http_text type = http_field(h, "content-type", &n);
	for (size_t i = 0; n && i < sizeof types / sizeof *types; i++) {
		size_t length = strlen(types[i]);
		if (type.n >= length && strncasecmp(type.p, types[i], length) == 0)
			return true;
	}
	return n > 1;
}

/* Whether an Origin is that of our own page.  A proxy in front of us may speak TLS where we do not.  That any name is taken ("*") does not
 * make every page that has got itself a name for us our own. */
static bool
is_own(const struct guard *g, const struct http_head *h, struct guard_way way, struct http_text origin)
{
	static const char *const schemes[] = {"https://", "http://"};
	for (int i = 0; h->host.p && is_named(g, way, h->host) && i < (way.tls ? 1 : 2); i++) {
		size_t n = strlen(schemes[i]);
		if (h->host.n && origin.n == n + h->host.n && strncasecmp(origin.p, schemes[i], n) == 0 && strncasecmp(origin.p + n, h->host.p, h->host.n) == 0)
			return true;
	}
	return false;
}

int
guard_check(const struct guard *g, const struct http_head *h, struct guard_way way, struct http_text *origin, struct why *why)
{
	int origins, sites;
	*origin = (struct http_text){NULL, 0};
	if (!way.unix_socket && h->host.p && !is_named(g, way, h->host) && !takes_any(g->hosts, g->hosts_n)) {
		why_set(why, ERR_MISDIRECTED, "this server has another name than that in Host");
		why_hint(why, "dpl-serve --allow-host NAME");
		return -1;
	}
	struct http_text page = http_field(h, "origin", &origins), site = http_field(h, "sec-fetch-site", &sites);
	if (origins > 1)
		return why_set(why, ERR_FORBIDDEN, "more than one Origin");
	if ((origins || sites) && is_form(h)) {
		why_set(why, ERR_MEDIA, "a page must send its requests as application/json");
		return -1;
	}
	bool own = origins && is_own(g, h, way, page);
	if (origins && !own && !guard_allows_all(g) && !is_listed(g->origins, g->origins_n, page)) {
		why_set(why, ERR_FORBIDDEN, "pages of this origin may not ask");
		why_hint(why, "dpl-serve --allow-origin ORIGIN");
		return -1;
	}
	if (origins && !own)
		*origin = page;
	else if (sites && !way.page && !is_text(site, "same-origin") && !is_text(site, "none"))
		return why_set(why, ERR_FORBIDDEN, "pages of other sites may not ask");
	return 0;
}
