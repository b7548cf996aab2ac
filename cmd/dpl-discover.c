/* dpl-discover - find servers of ledgers */
#include <arpa/inet.h>
#include <errno.h>
#include <glob.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cli.h"
#include "clock.h"
#include "nearby.h"
#include "remote/probe.h"
#include "render.h"

static const char usage[] =
	"usage: dpl-discover [-ajqv] [-P port] [-t timeout] [--scan] [--wait duration] [url ...]\n"
	"\n"
	"Look for servers of ledgers, dpl-serve and others of its kind, and print the first: at the\n"
	"URLs that are given, those of DPL_SERVER and DPL_LEDGER, unix sockets in dpl/ of\n"
	"XDG_RUNTIME_DIR and /run, on loopback, at this machine's own addresses, and, only with\n"
	"--scan, at all addresses of its networks.  Each is asked what it is, and gets no token.\n"
	"\n"
	"  -a, --all                  print every server, as it answers\n"
	"  -j, --json                 print one JSON object a server\n"
	"  -P, --port=PORT            where no URL says another (19880)\n"
	"  -q, --quiet                print the URLs alone\n"
	"  -t, --timeout=DURATION     how long each has to be reached, and to answer (500ms)\n"
	"  -v, --verbose              say on stderr what was tried, and why it is none\n"
	"      --scan                 ask the 254 addresses around each of this machine's own, too\n"
	"      --wait=DURATION        look again until one is there, at most so long\n"
	"  -h, --help                 print this\n"
	"  -V, --version              print the version\n"
	"\n"
	"Examples:\n"
	"  dpl-discover\n"
	"  export DPL_LEDGER=$(dpl-discover -q --wait 10s)\n"
	"  dpl-discover --all --scan --json\n";

enum { SCAN = CLI_OWN, WAIT, DEFAULT_MS = 500, AGAIN_MS = 500, BAR = 20, BAR_MS = 100 };

struct wanted {
	bool all, scan;
	int64_t port, timeout_ms, wait_ms; /* wait_ms -1: once */
};

/* An address that is to be asked; the first that answers is the one that counts where one is wanted. */
struct place {
	char *url;
	bool settled;
	struct probed *is;       /* what it is, once it has answered, if it is a server */
};

struct search {
	struct cli *c;
	const struct wanted *w;
	struct probes *probes;
	struct place *places;
	size_t n, cap, settled, found;
	bool bar;                /* one stands on the terminal */
	int64_t bar_ms;
};

/* --- what is asked --- */

static _Noreturn void
no_memory(struct cli *c)
{
	struct why why;
	why_set(&why, ERR_IO, "out of memory");
	cli_die(c, &why);
}

/* Ask there, unless that was done.  `must`: what is no URL is misuse. */
static void
add(struct search *s, const char *url, bool must)
{
	struct why why;
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->places[i].url, url) == 0)
			return;
	if (s->n == s->cap) {
		s->cap = s->cap ? 2 * s->cap : 64;
		struct place *more = realloc(s->places, s->cap * sizeof *more);
		if (!more)
			no_memory(s->c);
		s->places = more;
	}
	int number = probes_add(s->probes, url, &why);
	if (number < 0 && must)
		cli_die(s->c, &why);
	if (number < 0)
		return;
	s->places[s->n] = (struct place){.url = strdup(url)};
	if (!s->places[s->n++].url)
		no_memory(s->c);
}

static void
add_host(struct search *s, const char *host)
{
	char url[80];
	snprintf(url, sizeof url, "http://%s:%lld", host, (long long)s->w->port);
	add(s, url, false);
}

static void
add_address(struct search *s, uint32_t address)
{
	struct in_addr a = {.s_addr = htonl(address)};
	char text[INET_ADDRSTRLEN];
	if (inet_ntop(AF_INET, &a, text, sizeof text))
		add_host(s, text);
}

/* A variable of the environment that holds a URL. */
static void
add_named(struct search *s, const char *variable)
{
	const char *value = getenv(variable);
	if (value && (strncmp(value, "http://", 7) == 0 || strncmp(value, "https://", 8) == 0 || strncmp(value, "unix:/", 6) == 0))
		add(s, value, false);
}

static void
add_sockets(struct search *s, const char *folder)
{
	char pattern[4096], url[4200];
	glob_t g;
	if (!folder || *folder != '/' || snprintf(pattern, sizeof pattern, "%s/dpl/*.sock", folder) >= (int)sizeof pattern)
		return;
	if (glob(pattern, 0, NULL, &g) != 0)
		return;
	for (size_t i = 0; i < g.gl_pathc; i++) {
		snprintf(url, sizeof url, "unix:%s", g.gl_pathv[i]);
		add(s, url, false);
	}
	globfree(&g);
}

/* This machine's own addresses of IPv4, and with --scan those around them: the 254 of its /24, however large its network is. */
static void
add_own(struct search *s, struct ifaddrs *all, bool around)
{
	bool any = false;
	for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
		if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET || !(i->ifa_flags & IFF_UP) || (i->ifa_flags & IFF_LOOPBACK))
			continue;
		uint32_t own = ntohl(((const struct sockaddr_in *)(const void *)i->ifa_addr)->sin_addr.s_addr);
		uint32_t mask = i->ifa_netmask ? ntohl(((const struct sockaddr_in *)(const void *)i->ifa_netmask)->sin_addr.s_addr) : 0xffffff00;
		any = true;
		if (!around) {
			add_address(s, own);
			continue;
		}
		if (i->ifa_flags & IFF_POINTOPOINT)
			continue;
		if (mask < 0xffffff00 && s->c->verbose)
			cli_say(s->c, "%s: of its network the 254 addresses around its own alone", i->ifa_name);
		uint32_t net = mask > 0xffffff00 ? mask : 0xffffff00;
		for (uint32_t host = (own & net) + 1; host < (own | ~net); host++)
			add_address(s, host);
	}
	if (!any && around)
		cli_say(s->c, "no network to scan: no interface that is up has an address of IPv4");
}

static void
add_all(struct search *s)
{
	struct ifaddrs *own = NULL;
	for (int i = optind; i < s->c->argc; i++)
		add(s, s->c->argv[i], true);
	add_named(s, "DPL_SERVER");
	add_named(s, "DPL_LEDGER");
	add_sockets(s, getenv("XDG_RUNTIME_DIR"));
	add_sockets(s, "/run");
	add_host(s, "127.0.0.1");
	add_host(s, "localhost");
	if (getifaddrs(&own) < 0) {
		cli_say(s->c, "this machine's own addresses cannot be had: %s", strerror(errno));
		return;
	}
	add_own(s, own, false);
	if (s->w->scan)
		add_own(s, own, true);
	freeifaddrs(own);
}

/* --- what came --- */

static void
clear_bar(struct search *s)
{
	if (s->bar)
		fputs("\r\033[K", stderr);
	s->bar = false;
}

/* How far it is, on a terminal, where it takes longer. */
static void
draw_bar(struct search *s)
{
	int64_t now_ms = clock_mono_ms();
	if (s->c->quiet || s->c->json || now_ms < s->bar_ms || !isatty(2))
		return;
	int done = s->n ? (int)(s->settled * BAR / s->n) : BAR;
	fprintf(stderr, "\r[%.*s%*s] %zu of %zu asked, %zu found", done, "####################", BAR - done, "", s->settled, s->n, s->found);
	fflush(stderr);
	s->bar = true;
	s->bar_ms = now_ms + BAR_MS;
}

static void
print(struct search *s, const struct probed *p)
{
	struct cli *c = s->c;
	clear_bar(s);
	if (c->json) {
		json_open(&c->out, NULL, '{');
		json_put_bool(&c->out, "ok", true);
		json_put(&c->out, "url", p->url);
		json_put(&c->out, "service", p->service);
		json_put(&c->out, "version", *p->version ? p->version : NULL);
		if (p->age_ms >= 0)
			json_put_int(&c->out, "ageMs", p->age_ms);
		json_put_int(&c->out, "tookMs", p->took_ms);
		json_close(&c->out, '}');
	} else {
		buf_str(&c->out, p->url);
	}
	if (!c->json && !c->quiet) {
		buf_fmt(&c->out, "  %s  %s", p->service, *p->version ? p->version : "-");
		if (p->age_ms >= 0) {
			buf_str(&c->out, "  up ");
			render_duration(&c->out, p->age_ms);
		}
	}
	buf_char(&c->out, '\n');
	cli_flush(c);
}

static void
take(struct search *s, const struct probed *p)
{
	struct place *at = &s->places[p->number];
	at->settled = true;
	s->settled++;
	if (!p->is) {
		if (s->c->verbose) {
			clear_bar(s);
			cli_say(s->c, "%s: %s", at->url, p->problem);
		}
		return;
	}
	s->found++;
	if (s->w->all) {
		print(s, p);
		return;
	}
	if (!(at->is = malloc(sizeof *at->is)))
		no_memory(s->c);
	*at->is = *p;
	at->is->url = at->url;
}

/* The first that is there, once all before it are known not to be. */
static const struct probed *
first(const struct search *s)
{
	for (size_t i = 0; i < s->n && s->places[i].settled; i++)
		if (s->places[i].is)
			return s->places[i].is;
	return NULL;
}

/* Ask all of them once.  Whether one was there. */
static bool
look(struct search *s)
{
	struct why why;
	struct probed p;
	const struct probed *one = NULL;
	int rc;
	s->n = s->settled = s->found = 0;
	s->bar_ms = clock_mono_ms() + 2 * BAR_MS;
	if (!(s->probes = probes_new(s->w->timeout_ms, &why)))
		cli_die(s->c, &why);
	add_all(s);
	while ((s->w->all || !(one = first(s))) && (rc = probes_next(s->probes, BAR_MS, &p)) >= 0) {
		if (rc > 0)
			take(s, &p);
		draw_bar(s);
	}
	clear_bar(s);
	if (one)
		print(s, one);
	bool found = s->found > 0;
	probes_free(s->probes);
	for (size_t i = 0; i < s->n; i++) {
		free(s->places[i].url);
		free(s->places[i].is);
	}
	return found;
}

/* --- */

/* Each that is asked needs a descriptor. */
static void
raise_limit(void)
{
	struct rlimit r;
	if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
		r.rlim_cur = r.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &r);
	}
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {CLI_TIMEOUT, CLI_OUTPUT, CLI_HELP,
		{"all", no_argument, NULL, 'a'}, {"port", required_argument, NULL, 'P'}, {"scan", no_argument, NULL, SCAN}, {"wait", required_argument, NULL, WAIT}, {0}};
	struct cli c;
	struct why why;
	struct wanted w = {.port = NEARBY_PORT, .wait_ms = -1};
	cli_begin(&c, argc, argv, usage);
	for (int o; (o = cli_getopt(&c, ":ahjP:qt:vV", options)) != -1;)
		switch (o) {
		case 'a': w.all = true; break;
		case 'P': w.port = cli_number(&c, "--port", optarg, 1, 65535); break;
		case SCAN: w.scan = true; break;
		case WAIT: w.wait_ms = cli_duration(&c, "--wait", optarg); break;
		}
	w.timeout_ms = c.timed ? c.wait_ms : DEFAULT_MS;
	if (w.timeout_ms == 0)
		cli_misuse(&c, "-t: no time is too short");
	raise_limit();
	struct search s = {.c = &c, .w = &w};
	int64_t end_ms = clock_mono_ms() + w.wait_ms;
	bool found;
	while (!(found = look(&s)) && w.wait_ms >= 0 && clock_mono_ms() + AGAIN_MS < end_ms)
		usleep(AGAIN_MS * 1000);
	size_t asked = s.n;
	free(s.places);
	if (!found) {
		why_set(&why, ERR_UNREACHABLE, "no server of ledgers at any of %zu addresses", asked);
		why_hint(&why, w.scan ? "-v says what each answered" : "--scan asks the networks of this machine; -v says what each answered");
		cli_die(&c, &why);
	}
	c.verbose = c.quiet = false;
	cli_finish(&c, EXIT_DONE);
}
