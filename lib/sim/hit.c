/* hit: the processes that a failure has hit. */
#include <unistd.h>

#include "hit.h"
#include "proc.h"
#include "tree.h"

void
hit_signal_one(int64_t pid, int64_t start, int sig)
{
	int fd = pid > 0 ? proc_open(pid, start) : -1;
	if (fd < 0)
		return;
	(void)proc_signal(fd, sig);
	close(fd);
}

void
hit_add(struct hit *h, int64_t pid, int64_t start)
{
	if (h->n < HIT_MOST)
		h->of[h->n++] = (struct hit_process){pid, start};
}

struct adding {
	struct hit *hit;
	const struct hit_meant *meant;
};

static void
add_tree(void *arg, int64_t pid)
{
	const struct adding *a = arg;
	for (int i = 0; i < a->meant->others_n; i++)
		if (a->meant->others[i] == pid)
			return;
	if (!a->meant->who_beat || tree_is_supervisor(pid))
		hit_add(a->hit, pid, proc_start(pid));
	tree_each_child(pid, add_tree, arg);
}

void
hit_add_tree(struct hit *h, int64_t pid, const struct hit_meant *meant)
{
	struct adding a = {h, meant};
	if (pid > 0)
		add_tree(&a, pid);
}

void
hit_signal(const struct hit *h, int from, int to, int sig)
{
	for (int i = from; i < to; i++)
		hit_signal_one(h->of[i].pid, h->of[i].start, sig);
}
