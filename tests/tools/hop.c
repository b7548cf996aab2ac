/* hop - a process that is never there for long
 *
 *	hop [-s] MICROSECONDS SECONDS
 *
 * Ignores SIGTERM, forks and ends, and so does its child after MICROSECONDS, and so on, until SECONDS are over.  With -s each
 * begins a session of its own. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
	int session = argc > 1 && strcmp(argv[1], "-s") == 0;
	if (argc != 3 + session) {
		fprintf(stderr, "usage: hop [-s] microseconds seconds\n");
		return 125;
	}
	useconds_t rest = (useconds_t)strtoul(argv[1 + session], NULL, 10);
	struct timespec begun, now;
	long seconds = strtol(argv[2 + session], NULL, 10);
	clock_gettime(CLOCK_MONOTONIC, &begun);
	signal(SIGTERM, SIG_IGN);
	for (;;) {
		if (fork() > 0)
			_exit(0);
		if (session)
			setsid();
		usleep(rest);
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec - begun.tv_sec >= seconds)
			return 0;
	}
}
