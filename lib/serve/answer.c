/* answer: what is sent back for one request. */
#include <string.h>

#include "answer.h"
#include "json.h"
#include "verb.h"

static const char *
phrase(int status)
{
	switch (status) {
	case 200: return "OK";
	case 400: return "Bad Request";
	case 401: return "Unauthorized";
	case 403: return "Forbidden";
	case 404: return "Not Found";
	case 409: return "Conflict";
	case 413: return "Content Too Large";
	case 414: return "URI Too Long";
	case 415: return "Unsupported Media Type";
	case 417: return "Expectation Failed";
	case 421: return "Misdirected Request";
	case 422: return "Unprocessable Content";
	case 429: return "Too Many Requests";
	case 431: return "Request Header Fields Too Large";
	case 501: return "Not Implemented";
	case 503: return "Service Unavailable";
	case 505: return "HTTP Version Not Supported";
	case 507: return "Insufficient Storage";
	default: return "Internal Server Error";
	}
}

static void
put_head(struct conn *c, int status)
{
	c->status = status;
	buf_str(&c->out, "HTTP/1.1 ");
	buf_int(&c->out, status);
	buf_char(&c->out, ' ');
	buf_str(&c->out, phrase(status));
	buf_str(&c->out, "\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n");
	if (*c->origin)
		buf_fmt(&c->out, "Access-Control-Allow-Origin: %s\r\n%sAccess-Control-Allow-Methods: GET, POST, PUT, DELETE, OPTIONS\r\n"
			"Access-Control-Allow-Headers: Origin, Content-Type, X-Auth-Token, Participant-Id, Authorization, Idempotency-Key, Last-Event-ID\r\n",
			c->origin, strcmp(c->origin, "*") == 0 ? "" : "Vary: Origin\r\n");
	if (status == 503 || status == 429)
		buf_str(&c->out, "Retry-After: 1\r\n");
	if (status == 401)
		buf_str(&c->out, "WWW-Authenticate: Bearer\r\n");
	if (c->last)
		buf_str(&c->out, "Connection: close\r\n");
	else if (c->minor == 0)
		buf_str(&c->out, "Connection: keep-alive\r\n");
}

/* What follows the fields that depend on it. */
static void
put_text(struct conn *c, const char *type, const char *text, size_t n)
{
	if (type)
		buf_fmt(&c->out, "Content-Type: %s\r\n", type);
	buf_str(&c->out, "Content-Length: ");
	buf_int(&c->out, (int64_t)n);
	buf_str(&c->out, "\r\n\r\n");
	if (!c->head_only)
		buf_add(&c->out, text, n);
}

void
answer_text(struct conn *c, int status, const char *type, const char *text, size_t n)
{
	put_head(c, status);
	put_text(c, type, text, n);
}

void
answer_page(struct conn *c, const char *policy, const char *text, size_t n)
{
	put_head(c, 200);
	buf_fmt(&c->out, "Content-Security-Policy: %s\r\nReferrer-Policy: no-referrer\r\nCross-Origin-Opener-Policy: same-origin\r\n", policy);
	put_text(c, "text/html; charset=utf-8", text, n);
}

void
answer(struct conn *c, int status, const struct buf *body)
{
	answer_text(c, status, "application/json; charset=utf-8", body->p ? body->p : "", body->n);
}

void
answer_stream(struct conn *c)
{
	c->last = true;
	put_head(c, 200);
	buf_str(&c->out, "Content-Type: text/event-stream; charset=utf-8\r\nX-Accel-Buffering: no\r\n\r\n");
}

static void
put_failure(struct conn *c, int status, const struct why *why)
{
	struct buf b = {0};
	(void)verb_failure(why, &b);
	answer(c, status, &b);
	buf_free(&b);
}

void
answer_why(struct conn *c, const struct why *why)
{
	put_failure(c, err_info(why->code)->status, why);
}

void
answer_fault(struct conn *c, const struct http_fault *fault)
{
	struct why why;
	bool large = fault->status == 413 || fault->status == 414 || fault->status == 431;
	why_set(&why, large ? ERR_TOO_LARGE : fault->status == 415 ? ERR_MEDIA : ERR_HTTP, "%s", fault->text);
	c->last = true;
	put_failure(c, fault->status, &why);
}

/* --- the replies of verbs --- */

/* What the old clients take for a fault of the way, and try again for a minute. */
static bool
sounds_like_the_way(const char *text)
{
	static const char *const words[] = {"network", "connection", "timeout", "socket", "econnrefused", "econnreset", "etimedout", "enotfound"};
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strcasestr(text, words[i]))
			return true;
	return false;
}

/* Where the ledger lies is nobody's business who comes from elsewhere. */
static void
hide_path(const struct server *s, const char *text, struct buf *to)
{
	const char *path = s->o->ledger, *at;
	size_t n = strlen(path);
	for (; (at = strstr(text, path)); text = at + n) {
		buf_add(to, text, (size_t)(at - text));
		buf_str(to, "the ledger");
	}
	buf_str(to, text);
}

void
answer_words(const struct server *s, const struct conn *c, int status, const char *reply, size_t n, struct buf *to)
{
	struct json j;
	struct why why;
	struct buf text = {0}, code = {0}, hint = {0}, shown = {0};
	if (json_parse(&j, reply, n, &why) < 0) {
		(void)verb_failure(&why, to);
		return;
	}
	const char *error = json_text(&j, 0, "error", &text), *name = json_text(&j, 0, "code", &code), *help = json_text(&j, 0, "hint", &hint);
	enum err is_code = err_by_name(name);
	bool unknown = is_code == ERR_NO_OPERATION || is_code == ERR_ENDED || is_code == ERR_NO_LEDGER;
	if (!c->near)
		hide_path(s, error, &shown);
	else
		buf_str(&shown, error);
	bool other = unknown || (status >= 500 && sounds_like_the_way(error));
	json_open(to, NULL, '{');
	json_put(to, "error", unknown ? "Operation not found" : other ? "the ledger cannot be read or written" : shown.p);
	json_put(to, "code", name);
	if (unknown)
		json_put(to, "detail", shown.p);
	if (*help && !c->near) {
		buf_clear(&text);
		hide_path(s, help, &text);
		help = text.p;
	}
	if (*help)
		json_put(to, "hint", help);
	json_close(to, '}');
	json_free(&j);
	buf_free(&text);
	buf_free(&code);
	buf_free(&hint);
	buf_free(&shown);
}

void
answer_reply(const struct server *s, struct conn *c, int status, const char *reply, size_t n)
{
	struct buf body = {0};
	if (status == 200)
		buf_add(&body, reply, n);
	else
		answer_words(s, c, status, reply, n, &body);
	answer(c, status, &body);
	buf_free(&body);
}
