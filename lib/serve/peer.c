/* peer: where a connection comes from. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "peer.h"

bool
peer_is_near(const struct sockaddr_storage *a)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)a;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)a;
	if (a->ss_family == AF_INET)
		return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
	if (a->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr))
		return v6->sin6_addr.s6_addr[12] == 127;
	return a->ss_family != AF_INET6 || IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

void
peer_address(const struct sockaddr_storage *a, char to[16])
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)a;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)a;
	memset(to, 0, 16);
	if (a->ss_family == AF_INET6) {
		memcpy(to, &v6->sin6_addr, 16);
	} else if (a->ss_family == AF_INET) {
		memset(to + 10, 0xff, 2);
		memcpy(to + 12, &v4->sin_addr, 4);
	}
}

void
peer_local(int fd, char to[PEER_LITERAL])
{
	struct sockaddr_storage a = {0};
	socklen_t length = sizeof a;
	char text[INET6_ADDRSTRLEN];
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&a;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&a;
	*to = '\0';
	if (getsockname(fd, (struct sockaddr *)&a, &length) < 0)
		return;
	if (a.ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
		if (inet_ntop(AF_INET, v6->sin6_addr.s6_addr + 12, text, sizeof text))
			snprintf(to, PEER_LITERAL, "%s", text);
	} else if (a.ss_family == AF_INET6) {
		if (inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text))
			snprintf(to, PEER_LITERAL, "[%s]", text);
	} else if (a.ss_family == AF_INET && inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text)) {
		snprintf(to, PEER_LITERAL, "%s", text);
	}
}
