/* sweep: every so often the server has all operations looked over. */
#include <string.h>

#include "clock.h"
#include "helper.h"
#include "sweep.h"

extern char **environ;

void
sweep_begin(struct sweep *w, const struct serve_options *o)
{
	*w = (struct sweep){.o = o, .next_ms = o->sweep_ms ? clock_mono_ms() + o->sweep_ms : INT64_MAX};
}

static int
start(struct sweep *w)
{
	char *argv[] = {"dpl-cleanup", "--sweep", "-q", "-C", (char *)(uintptr_t)w->o->ledger, NULL};
	return helper_start(argv, environ, -1, -1, -1, &w->pid);
}

int64_t
sweep_go_on(struct sweep *w, int64_t now_ms)
{
	if (now_ms < w->next_ms || w->pid)
		return w->pid ? INT64_MAX : w->next_ms;
	int rc = start(w);
	if (rc != 0)
		notice(w->o->notice, "sweep: cannot start dpl-cleanup: %s", strerror(rc));
	w->next_ms = now_ms + w->o->sweep_ms;
	return w->pid ? INT64_MAX : w->next_ms;
}

void
sweep_ended(struct sweep *w, pid_t pid)
{
	if (w->pid == pid)
		w->pid = 0;
}
