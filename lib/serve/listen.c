/* listen: the sockets that the server takes connections on. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "clock.h"
#include "fsx.h"
#include "listen.h"
#include "num.h"

enum { BACKLOG = 1024, HANDED = 3, PORT_TRIES = 20, PATIENCE_MS = 2000, LOOK_MS = 10 };

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_un path;
	struct sockaddr_storage room;
};

/* --- who may come without a token --- */

static bool
is_loopback(const union address *a)
{
	if (a->any.sa_family == AF_INET)
		return ntohl(a->v4.sin_addr.s_addr) >> 24 == 127;
	return a->any.sa_family == AF_INET6 ? IN6_IS_ADDR_LOOPBACK(&a->v6.sin6_addr) : true;
}

static int
refuse_open(const struct serve_options *o, const union address *a, const char *where, struct why *why)
{
	if (is_loopback(a) || o->token_file || o->client_ca || o->insecure)
		return 0;
	why_set(why, ERR_USAGE, "%s can be reached from other machines, and anybody there could do anything with the ledger", where);
	why_hint(why, "--token-file FILE or --tls-client-ca FILE keeps others out; --insecure lets them in");
	return -1;
}

/* --- sockets --- */

static void
name_of(struct listener *l, const union address *a)
{
	char text[INET6_ADDRSTRLEN] = "?";
	const char *scheme = l->tls ? "https" : "http";
	if (a->any.sa_family == AF_INET) {
		(void)inet_ntop(AF_INET, &a->v4.sin_addr, text, sizeof text);
		snprintf(l->where, sizeof l->where, "%s://%s:%d", scheme, text, ntohs(a->v4.sin_port));
	} else if (a->any.sa_family == AF_INET6) {
		(void)inet_ntop(AF_INET6, &a->v6.sin6_addr, text, sizeof text);
		snprintf(l->where, sizeof l->where, "%s://[%s]:%d", scheme, text, ntohs(a->v6.sin6_port));
	} else {
		snprintf(l->where, sizeof l->where, "unix:%.*s", (int)sizeof a->path.sun_path, a->path.sun_path);
	}
}

static int
port_of(const union address *a)
{
	return a->any.sa_family == AF_INET ? ntohs(a->v4.sin_port) : a->any.sa_family == AF_INET6 ? ntohs(a->v6.sin6_port) : 0;
}

/* What was killed while it started a child leaves its sockets to that until it has become another program: a moment, or as long as others have
 * the processors.  Whether to look again whether the place is free. */
static bool
wait_for_place(int64_t since_ms)
{
	if (clock_mono_ms() - since_ms >= PATIENCE_MS)
		return false;
	(void)poll(NULL, 0, LOOK_MS);
	return true;
}

static int
open_tcp(const union address *a, socklen_t length)
{
	int one = 1;
	int fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (a->any.sa_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
	if (bind(fd, &a->any, length) < 0 || listen(fd, BACKLOG) < 0) {
		int e = errno;
		close(fd);
		errno = e;
		return -1;
	}
	return fd;
}

static int
add_tcp(const struct serve_options *o, struct listener *l, const char *address, int *port, struct why *why)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *found;
	char service[12];
	union address a = {0};
	snprintf(service, sizeof service, "%d", *port);
	int rc = getaddrinfo(address, service, &hints, &found);
	if (rc != 0)
		return why_set(why, ERR_USAGE, "-l %s: %s", address, gai_strerror(rc));
	memcpy(&a, found->ai_addr, found->ai_addrlen);
	socklen_t length = found->ai_addrlen;
	freeaddrinfo(found);
	if (refuse_open(o, &a, address, why) < 0)
		return -1;
	*l = (struct listener){.tls = o->cert != NULL};
	int64_t begun = clock_mono_ms();
	do
		l->fd = open_tcp(&a, length);
	while (l->fd < 0 && errno == EADDRINUSE && o->port && wait_for_place(begun));
	if (l->fd < 0) {
		if (errno == EADDRINUSE)
			return why_set(why, ERR_BUSY, "port %d of %s is in use", *port, address);
		return why_errno(why, "listen on %s, port %d", address, *port);
	}
	length = sizeof a;
	if (getsockname(l->fd, &a.any, &length) == 0)
		name_of(l, &a);
	*port = port_of(&a);
	return 0;
}

/* Both addresses of loopback, with the same port where any will do. */
static ssize_t
add_loopback(const struct serve_options *o, struct listener *l, int *port, struct why *why)
{
	for (int i = 0; i < PORT_TRIES; i++) {
		int own = *port;
		struct why six;
		if (add_tcp(o, &l[0], "127.0.0.1", &own, why) < 0)
			return -1;
		int same = own;
		if (add_tcp(o, &l[1], "::1", &same, &six) == 0) {
			*port = own;
			l[1].second = true;
			return 2;
		}
		if (*port || six.code != ERR_BUSY) { /* a machine without IPv6, or somebody else's port there */
			*port = own;
			return 1;
		}
		fsx_close(&l[0].fd);
	}
	return why_set(why, ERR_BUSY, "no port is free on both 127.0.0.1 and ::1");
}

/* Whether somebody still listens there: a path that a dead server left may be taken. */
static bool
is_answered(const union address *a, socklen_t length)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool answered = fd >= 0 && (connect(fd, &a->any, length) == 0 || errno == EAGAIN);
	fsx_close(&fd);
	return answered;
}

static int
add_unix(struct listener *l, const char *path, struct why *why)
{
	union address a = {.path.sun_family = AF_UNIX};
	struct stat st;
	size_t n = strlen(path);
	socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
	if (n >= sizeof a.path.sun_path)
		return why_set(why, ERR_USAGE, "--unix: the path is longer than %zu bytes", sizeof a.path.sun_path - 1);
	memcpy(a.path.sun_path, path, n);
	if (lstat(path, &st) == 0) {
		if (!S_ISSOCK(st.st_mode))
			return why_set(why, ERR_USAGE, "--unix: %s is there, and is no socket", path);
		int64_t begun = clock_mono_ms();
		bool answered;
		while ((answered = is_answered(&a, length)) && wait_for_place(begun))
			;
		if (answered)
			return why_set(why, ERR_BUSY, "somebody listens on %s", path);
		(void)unlink(path);
	}
	*l = (struct listener){.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), .by_path = true};
	mode_t before = umask(0177); /* its owner alone */
	int rc = l->fd < 0 ? -1 : bind(l->fd, &a.any, length);
	umask(before);
	if (rc < 0 || listen(l->fd, BACKLOG) < 0)
		return why_errno(why, "listen on %s", path);
	snprintf(l->where, sizeof l->where, "unix:%s", path);
	return 0;
}

/* --- from systemd --- */

static ssize_t
take_handed(const struct serve_options *o, struct listener *l, int *port, struct why *why)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	int64_t for_pid = 0, n = 0;
	if (!pid || !fds || num_int(pid, strlen(pid), 1, INT32_MAX, &for_pid) < 0 || for_pid != getpid() ||
	    num_int(fds, strlen(fds), 1, LISTEN_MOST, &n) < 0)
		return 0;
	for (int64_t i = 0; i < n; i++) {
		int fd = HANDED + (int)i, listening = 0;
		union address a = {0};
		socklen_t length = sizeof a, size = sizeof listening;
		if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0 || !listening || getsockname(fd, &a.any, &length) < 0)
			return why_set(why, ERR_USAGE, "LISTEN_FDS: descriptor %d is no socket that listens", fd);
		(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
		(void)fcntl(fd, F_SETFL, O_NONBLOCK);
		l[i] = (struct listener){.fd = fd, .by_path = a.any.sa_family == AF_UNIX, .tls = o->cert && a.any.sa_family != AF_UNIX};
		name_of(&l[i], &a);
		if (refuse_open(o, &a, l[i].where, why) < 0)
			return -1;
		if (port_of(&a))
			*port = port_of(&a);
	}
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	return n;
}

ssize_t
listen_all(const struct serve_options *o, struct listener *l, int *port, struct why *why)
{
	size_t n = 0;
	*port = o->port;
	ssize_t handed = take_handed(o, l, port, why);
	if (handed != 0)
		return handed;
	if (o->unix_path && add_unix(&l[n++], o->unix_path, why) < 0)
		return -1;
	for (size_t i = 0; i < o->addresses_n; i++)
		if (add_tcp(o, &l[n++], o->addresses[i], port, why) < 0)
			return -1;
	/* Who asks for a unix socket alone gets that alone. */
	if (o->addresses_n || (o->unix_path && !o->port_given))
		return (ssize_t)n;
	ssize_t more = add_loopback(o, &l[n], port, why);
	return more < 0 ? -1 : (ssize_t)n + more;
}

void
listen_close(const struct serve_options *o, struct listener *l, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fsx_close(&l[i].fd);
	if (o->unix_path)
		(void)unlink(o->unix_path);
}
