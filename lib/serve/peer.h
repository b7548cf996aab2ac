/* peer: where a connection comes from. */
#ifndef DPL_PEER_H
#define DPL_PEER_H

#include <stdbool.h>
#include <sys/socket.h>

/* Whether that address is this machine's own: loopback, or no address of a network. */
bool peer_is_near(const struct sockaddr_storage *a);

/* The address without its port, as one of IPv6: for an IPv4 address its mapped form, for others zeros. */
void peer_address(const struct sockaddr_storage *a, char to[16]);

/* The address that a connection came to, as it stands in a URL: "10.0.0.1", "[fd00::1]"; "" where it has none. */
enum { PEER_LITERAL = 52 };
void peer_local(int fd, char to[PEER_LITERAL]);

#endif
