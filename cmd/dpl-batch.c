/* dpl-batch - carry out requests from standard input, one JSON object a line */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "entry.h"

static const char usage[] =
	"usage: dpl-batch [-qv] [-C ledger] [-t timeout]\n"
	"\n"
	"Read one request a line, {\"path\":\"/call/start\",\"body\":{...}}, and write one reply a\n"
	"line, {\"status\":200,\"body\":{...}}, in the same order.\n"
	"\n"
	"  -C, --ledger=LEDGER        the ledger (DPL_LEDGER, else _ai/operation_ledger)\n"
	"  -q, --quiet                no notices on stderr\n"
	"  -t, --timeout=DURATION     the longest wait for a lock (DPL_TIMEOUT, else 10s)\n"
	"  -v, --verbose              say on stderr how many requests there were\n"
	"  -h, --help                 print this\n"
	"  -V, --version              print the version\n"
	"\n"
	"Examples:\n"
	"  echo '{\"path\":\"/operation/list\"}' | dpl-batch\n"
	"  dpl-batch < requests.jsonl > replies.jsonl\n";

enum { LINE_MAX_BYTES = 1 << 20, OUT_MAX = 1 << 16 };

/* Add c->reply as the reply to the request whose id is value `id` of `j`. */
static void
put_reply(struct cli *c, const struct json *j, int id, int status)
{
	json_open(&c->out, NULL, '{');
	if (id >= 0) {
		size_t n;
		const char *raw = json_raw(j, id, &n);
		bool quoted = json_is_string(j, id);
		json_put_raw(&c->out, "id", raw - quoted, n + (quoted ? 2 : 0));
	}
	json_put_int(&c->out, "status", status);
	json_put_raw(&c->out, "body", c->reply.p, c->reply.n);
	json_close(&c->out, '}');
	buf_char(&c->out, '\n');
}

/* Where the request comes from, where a server passes it on. */
static void
set_origin(struct cli *c, const struct json *j)
{
	char from[16] = "";
	(void)json_copy(j, json_get(j, 0, "from"), from, sizeof from);
	c->client.verbs.owner = strcmp(from, "owner") == 0;
	c->client.verbs.near = c->client.verbs.owner || strcmp(from, "here") == 0;
	c->client.verbs.remote = c->client.verbs.near || strcmp(from, "elsewhere") == 0;
}

/* One request: its reply is added to c->out. */
static void
serve(struct cli *c, const char *line, size_t n)
{
	struct json j;
	struct why why;
	char path[100] = "", key[ID_KEY_MAX + 2] = "";
	int status, id = -1, body = -1;
	bool parsed = json_parse(&j, line, n, &why) == 0;
	if (!parsed || json_no_duplicates(&j, &why) < 0)
		status = verb_failure(&why, &c->reply);
	else {
		int key_at = json_get(&j, 0, "key");
		id = json_get(&j, 0, "id");
		set_origin(c, &j);
		body = json_get(&j, 0, "body");
		if (json_copy(&j, json_get(&j, 0, "path"), path, sizeof path) < 0)
			status = (why_set(&why, ERR_REQUEST, "Missing path"), verb_failure(&why, &c->reply));
		else if (key_at >= 0 && !json_is_null(&j, key_at) && json_copy(&j, key_at, key, sizeof key) < 0)
			status = (why_set(&why, ERR_ID, "key is too long or no string"), verb_failure(&why, &c->reply));
		else
			status = client_call(&c->client, path, &j, json_is_null(&j, body) ? -1 : body, *key ? key : NULL, &c->reply);
	}
	put_reply(c, &j, id, status);
	if (parsed)
		json_free(&j);
}

/* The flush for the replies that are held failed: none of them may say that it is done. */
static void
take_back(struct cli *c, const struct why *why)
{
	struct buf held = c->out;
	c->out = (struct buf){0};
	for (char *p = held.p, *newline; p && (newline = memchr(p, '\n', held.n - (size_t)(p - held.p))); p = newline + 1) {
		struct json j;
		struct why ignored;
		int status = verb_failure(why, &c->reply);
		if (json_parse(&j, p, (size_t)(newline - p), &ignored) == 0) {
			put_reply(c, &j, json_get(&j, 0, "id"), status);
			json_free(&j);
		}
	}
	buf_free(&held);
}

/* Pass on the replies that are held, once what they say is durable. */
static void
release(struct cli *c)
{
	struct why why;
	if (client_flush(&c->client, &why) < 0)
		take_back(c, &why);
	cli_flush(c);
}

static bool
blank(const char *line, size_t n)
{
	return strspn(line, " \t\r") >= n;
}

/* Replies are held while more requests are waiting to be read, not longer. */
static bool
more_waits(void)
{
	struct pollfd p = {.fd = 0, .events = POLLIN};
	return poll(&p, 1, 0) > 0 && (p.revents & POLLIN);
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {CLI_LEDGER, CLI_TIMEOUT, CLI_HELP,
		{"quiet", no_argument, NULL, 'q'}, {"verbose", no_argument, NULL, 'v'}, {0}};
	struct cli c;
	struct why why;
	struct buf in = {0};
	size_t used = 0;
	long long count = 0;
	ssize_t n;
	cli_begin(&c, argc, argv, usage);
	(void)cli_getopt(&c, ":C:hqt:vV", options);
	cli_no_more(&c, optind);
	c.defer = c.passes_on = true;
	cli_open(&c);
	for (;;) {
		char *newline;
		while ((newline = in.n > used ? memchr(in.p + used, '\n', in.n - used) : NULL)) {
			size_t length = (size_t)(newline - in.p) - used;
			if (!blank(in.p + used, length)) {
				*newline = '\0';
				serve(&c, in.p + used, length);
				count++;
			}
			used += length + 1;
			if (c.out.n > OUT_MAX)
				release(&c);
		}
		if (in.p)
			memmove(in.p, in.p + used, in.n -= used);
		used = 0;
		if (in.n > LINE_MAX_BYTES) {
			release(&c);
			cli_misuse(&c, "a request is longer than %d bytes", LINE_MAX_BYTES);
		}
		if (c.out.n && !more_waits())
			release(&c);
		client_tidy(&c.client);
		if (buf_reserve(&in, 65536) < 0) {
			release(&c);
			why_set(&why, ERR_IO, "out of memory");
			cli_die(&c, &why);
		}
		while ((n = read(0, in.p + in.n, 65536)) < 0 && errno == EINTR)
			;
		if (n <= 0)
			break;
		in.n += (size_t)n;
	}
	if (n < 0) {
		int e = errno;
		release(&c);
		errno = e;
		why_errno(&why, "read standard input");
		cli_die(&c, &why);
	}
	if (in.n) {
		buf_add(&in, "", 0);
		serve(&c, in.p, in.n);
		count++;
	}
	bool verbose = c.verbose;
	c.verbose = false;
	c.quiet = false;
	release(&c);
	if (verbose)
		cli_say(&c, "%lld requests", count);
	buf_free(&in);
	cli_finish(&c, EXIT_DONE);
}
