/* streams - many event streams of a server
 *
 *	streams PORT N <OPERATIONS    ask 127.0.0.1 for the state of each operation (a line of stdin each), and open an
 *	                              event stream of each of the first N
 *
 * Prints `open N` when all of them have begun, and holds them until SIGTERM, reading what comes. */
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 10000, ID_MOST = 300 };

static struct pollfd streams[MOST];
static int port;

static int
connect_to(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) < 0) {
		perror("streams: connect");
		exit(1);
	}
	return fd;
}

/* Send, and wait until the answer has `end` in it, and 200 in its first line. */
static void
ask(int fd, const char *request, const char *end)
{
	char got[8192];
	size_t n = 0;
	if (write(fd, request, strlen(request)) < 0) {
		perror("streams: write");
		exit(1);
	}
	got[0] = '\0';
	while (!strstr(got, end)) {
		ssize_t more = n < sizeof got - 1 ? read(fd, got + n, sizeof got - 1 - n) : 0;
		if (more <= 0)
			break;
		got[n += (size_t)more] = '\0';
	}
	if (strncmp(got, "HTTP/1.1 200 ", 13) != 0 || !strstr(got, end)) {
		fprintf(stderr, "streams: answered: %.500s\n", got);
		exit(1);
	}
}

int
main(int argc, char **argv)
{
	char id[ID_MOST], body[ID_MOST + 50], request[2 * ID_MOST + 200], ignored[8192];
	int n = 0, most = argc == 3 ? (int)strtol(argv[2], NULL, 10) : 0;
	if (most < 1 || most > MOST)
		return 2;
	port = (int)strtol(argv[1], NULL, 10);
	int fd = connect_to();
	while (fgets(id, sizeof id, stdin)) {
		id[strcspn(id, "\n")] = '\0';
		snprintf(body, sizeof body, "{\"operationId\":\"%s\"}", id);
		snprintf(request, sizeof request, "POST /operation/state HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body);
		ask(fd, request, "}");
		if (n >= most)
			continue;
		streams[n] = (struct pollfd){.fd = connect_to(), .events = POLLIN};
		snprintf(request, sizeof request, "GET /operation/events?operationId=%s HTTP/1.1\r\nHost: localhost\r\n\r\n", id);
		/* What is in the journal already comes at once. */
		ask(streams[n++].fd, request, "\ndata: ");
	}
	close(fd);
	printf("open %d\n", n);
	fflush(stdout);
	for (;;) {
		if (poll(streams, (nfds_t)n, -1) < 0)
			return 1;
		for (int i = 0; i < n; i++)
			if (streams[i].revents && read(streams[i].fd, ignored, sizeof ignored) <= 0) {
				fputs("streams: one has ended\n", stderr);
				return 1;
			}
	}
}
