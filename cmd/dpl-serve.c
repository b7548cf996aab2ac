/* dpl-serve - serve a ledger to other machines and languages over HTTP */
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "listen.h"
#include "loop.h"
#include "served.h"

static const char usage[] =
	"usage: dpl-serve [-qv] [-C ledger] [-l address] [-P port] [--allow-host name]\n"
	"                 [--allow-origin origin] [--insecure] [--max-body bytes]\n"
	"                 [--max-connections number] [--path ledger] [--sweep interval]\n"
	"                 [--tls-cert file] [--tls-client-ca file] [--tls-key file]\n"
	"                 [--token-file file] [--unix path]\n"
	"\n"
	"Serve a ledger over HTTP until a signal ends it.  The URL is printed once it listens.\n"
	"\n"
	"  -C, --ledger=LEDGER          the ledger, a folder; it is made where it is missing\n"
	"                               (DPL_LEDGER, else _ai/operation_ledger)\n"
	"  -l, --listen=ADDRESS         an address or name to listen on, several times where\n"
	"                               there are more (127.0.0.1 and ::1); others than loopback\n"
	"                               need a token, or certificates of clients\n"
	"  -P, --port=PORT              the port (19880); 0: one that is free\n"
	"  -q, --quiet                  print nothing but what goes wrong\n"
	"  -v, --verbose                a line of JSON on stderr for each request\n"
	"      --allow-host=NAME        a name of this server, as clients put it into Host; *: any\n"
	"      --allow-origin=ORIGIN    web pages that may ask, as https://example.org; *: any\n"
	"      --insecure               let other machines in without a token\n"
	"      --max-body=BYTES         the largest request (524288)\n"
	"      --max-connections=NUMBER at the same time (1024)\n"
	"      --path=LEDGER            the same as -C\n"
	"      --sweep=INTERVAL         look over all operations so often, as dpl-cleanup --sweep\n"
	"                               does (0: never)\n"
	"      --tls-cert=FILE          serve https with this certificate\n"
	"      --tls-client-ca=FILE     clients must have a certificate of one of these authorities\n"
	"      --tls-key=FILE           the key of that certificate\n"
	"      --token-file=FILE        clients must send the token in its first line; mode 0600\n"
	"      --unix=PATH              listen on a unix socket, alone where -l and -P are not given\n"
	"  -h, --help                   print this\n"
	"  -V, --version                print the version\n"
	"\n"
	"Examples:\n"
	"  dpl-serve -C /srv/ledger\n"
	"  dpl-serve -l 0.0.0.0 --token-file token --tls-cert cert.pem --tls-key key.pem\n";

enum { ALLOW_HOST = CLI_OWN, ALLOW_ORIGIN, INSECURE, MAX_BODY, MAX_CONNECTIONS, SWEEP, TLS_CERT, TLS_KEY, TLS_CLIENT_CA, TOKEN_FILE, UNIX, LIST_MOST = 16 };

/* A list of values of one option. */
struct list {
	const char *of[LIST_MOST];
	size_t n;
};

struct wanted {
	struct serve_options o;
	struct list addresses, hosts, origins;
	struct listener listeners[LISTEN_MOST];
	ssize_t n;
	struct cli *cli;
};

static void
add(struct cli *c, struct list *l, const char *what)
{
	if (l->n == LIST_MOST)
		cli_misuse(c, "%s: at most %d of them", what, LIST_MOST);
	l->of[l->n++] = optarg;
}

static void
read_options(struct cli *c, struct wanted *w)
{
	static const struct option options[] = {CLI_LEDGER, CLI_HELP, {"path", required_argument, NULL, 'C'}, {"listen", required_argument, NULL, 'l'},
		{"port", required_argument, NULL, 'P'}, {"quiet", no_argument, NULL, 'q'}, {"verbose", no_argument, NULL, 'v'},
		{"allow-host", required_argument, NULL, ALLOW_HOST}, {"allow-origin", required_argument, NULL, ALLOW_ORIGIN},
		{"insecure", no_argument, NULL, INSECURE}, {"max-body", required_argument, NULL, MAX_BODY},
		{"max-connections", required_argument, NULL, MAX_CONNECTIONS}, {"sweep", required_argument, NULL, SWEEP},
		{"tls-cert", required_argument, NULL, TLS_CERT}, {"tls-key", required_argument, NULL, TLS_KEY},
		{"tls-client-ca", required_argument, NULL, TLS_CLIENT_CA}, {"token-file", required_argument, NULL, TOKEN_FILE},
		{"unix", required_argument, NULL, UNIX}, {0}};
	struct serve_options *o = &w->o;
	*o = (struct serve_options){.port = SERVE_PORT, .body_most = 524288, .connections_most = 1024};
	for (int opt; (opt = cli_getopt(c, ":C:hl:P:qvV", options)) != -1;)
		switch (opt) {
		case 'l': add(c, &w->addresses, "-l"); break;
		case 'P':
			o->port = (int)cli_number(c, "-P", optarg, 0, 65535);
			o->port_given = true;
			break;
		case ALLOW_HOST: add(c, &w->hosts, "--allow-host"); break;
		case ALLOW_ORIGIN: add(c, &w->origins, "--allow-origin"); break;
		case INSECURE: o->insecure = true; break;
		case MAX_BODY: o->body_most = (size_t)cli_number(c, "--max-body", optarg, 1024, 1 << 20); break;
		case MAX_CONNECTIONS: o->connections_most = (size_t)cli_number(c, "--max-connections", optarg, 1, 1 << 20); break;
		case SWEEP: o->sweep_ms = cli_duration(c, "--sweep", optarg); break;
		case TLS_CERT: o->cert = optarg; break;
		case TLS_KEY: o->key = optarg; break;
		case TLS_CLIENT_CA: o->client_ca = optarg; break;
		case TOKEN_FILE: o->token_file = optarg; break;
		case UNIX: o->unix_path = optarg; break;
		}
	cli_no_more(c, optind);
	if (!o->cert != !o->key)
		cli_misuse(c, "--tls-cert and --tls-key go together");
	if (o->client_ca && !o->cert)
		cli_misuse(c, "--tls-client-ca goes with --tls-cert");
	for (size_t i = 0; i < w->hosts.n; i++)
		if (strcmp(w->hosts.of[i], "*") == 0 && !o->token_file && !o->client_ca && !o->insecure)
			cli_misuse(c, "--allow-host '*' lets any page read the ledger that gives itself a name for this machine: it needs --token-file, --tls-client-ca or --insecure");
	o->addresses = w->addresses.of;
	o->addresses_n = w->addresses.n;
	o->hosts = w->hosts.of;
	o->hosts_n = w->hosts.n;
	o->origins = w->origins.of;
	o->origins_n = w->origins.n;
	o->log = c->verbose;
}

/* What is wrong with the files of the options is said before anything is made. */
static int
check_files(const struct serve_options *o, struct why *why)
{
	struct guard g = {0};
	struct tls_context *t = NULL;
	int rc = o->token_file ? guard_read_token(&g, o->token_file, why) : 0;
	if (rc == 0 && o->cert && !(t = tls_context(o->cert, o->key, o->client_ca, why)))
		rc = -1;
	guard_free(&g);
	tls_context_free(t);
	return rc;
}

/* root serves as the ledger's owner, and can be nobody else again. */
static void
drop_root(struct cli *c, const char *ledger)
{
	struct stat st;
	struct why why;
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (geteuid() != 0 || stat(ledger, &st) < 0 || st.st_uid == 0)
		return;
	if (setgroups(0, NULL) == 0 && setresgid(st.st_gid, st.st_gid, st.st_gid) == 0 && setresuid(st.st_uid, st.st_uid, st.st_uid) == 0)
		return;
	why_errno(&why, "go on as the owner of %s", ledger);
	cli_die(c, &why);
}

static void
ready(void *arg)
{
	struct wanted *w = arg;
	struct cli *c = w->cli;
	/* The second address of loopback needs no line of its own. */
	ssize_t n = w->listeners[w->n - 1].second ? w->n - 1 : w->n;
	for (ssize_t i = 0; i < n && !c->quiet; i++)
		buf_fmt(&c->out, "%s\n", w->listeners[i].where);
	cli_flush(c);
}

int
main(int argc, char **argv)
{
	struct cli c;
	struct wanted w = {.cli = &c};
	struct why why;
	cli_begin(&c, argc, argv, usage);
	read_options(&c, &w);
	cli_open(&c);
	if (c.client.remote)
		cli_misuse(&c, "%s: only a ledger that is a folder can be served", c.client.ledger);
	w.o.ledger = c.client.ledger;
	w.o.store = c.client.o;
	w.o.notice = &c.notice;
	if (check_files(&w.o, &why) < 0)
		cli_die(&c, &why);
	/* The sockets are root's to open, and the token and key root's to read: the ledger is not. */
	w.n = listen_all(&w.o, w.listeners, &w.o.port, &why);
	if (w.n < 0)
		cli_die(&c, &why);
	struct store s;
	if (store_open(&s, w.o.ledger, true, &w.o.store, &why) < 0)
		cli_die(&c, &why);
	drop_root(&c, w.o.ledger);
	if ((w.o.served = served_begin(s.dir, &why)) < 0)
		cli_die(&c, &why);
	int rc = loop(&w.o, w.listeners, (size_t)w.n, ready, &w, &why);
	listen_close(&w.o, w.listeners, (size_t)w.n);
	store_close(&s);
	if (rc < 0)
		cli_die(&c, &why);
	c.verbose = false;
	cli_finish(&c, 0);
}
