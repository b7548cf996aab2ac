/* told: what latency.c and told.c share. */
#include <stdint.h>
#include <time.h>

enum { SLOTS = 128 };

struct slot {
	volatile int ready;        /* it waits now */
	volatile int64_t told_ns;  /* when it was told, CLOCK_MONOTONIC */
};

static inline int64_t
now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}
