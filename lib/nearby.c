/* nearby: the server of this machine. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "nearby.h"

static bool
is_ready(int fd, short events, int64_t end_ms)
{
	struct pollfd p = {.fd = fd, .events = events};
	int64_t left = end_ms - clock_mono_ms();
	return left > 0 && poll(&p, 1, (int)left) > 0;
}

static bool
connects(int fd, int64_t end_ms)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(NEARBY_PORT), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int error = 0;
	socklen_t n = sizeof error;
	if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0)
		return true;
	return errno == EINPROGRESS && is_ready(fd, POLLOUT, end_ms) && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) == 0 && error == 0;
}

/* What listens there may be anything: only what says that it serves ledgers is one. */
static bool
says_what_it_is(int fd, int64_t end_ms)
{
	static const char request[] = "GET /status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
	char answer[4096];
	size_t n = 0;
	if (send(fd, request, sizeof request - 1, MSG_NOSIGNAL) != (ssize_t)(sizeof request - 1))
		return false;
	while (n < sizeof answer - 1 && is_ready(fd, POLLIN, end_ms)) {
		ssize_t got = recv(fd, answer + n, sizeof answer - 1 - n, 0);
		if (got <= 0)
			break;
		n += (size_t)got;
	}
	answer[n] = '\0';
	return strncmp(answer, "HTTP/1.1 200 ", 13) == 0 && strstr(answer, "\"service\":\"tom_dist_ledger\"");
}

bool
nearby_is_served(void)
{
	int64_t end_ms = clock_mono_ms() + NEARBY_MS;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return false;
	bool served = connects(fd, end_ms) && says_what_it_is(fd, end_ms);
	close(fd);
	return served;
}
