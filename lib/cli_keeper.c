/* cli_keeper: the --keep of create and join, which starts a keeper. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli_keeper.h"
#include "helper.h"
#include "keeper.h"

void
cli_check_kept(struct cli *c, const struct cli_kept *kept)
{
	struct keeper k = {.pid = kept->pid};
	struct why why;
	if (!kept->pid && (kept->grace || kept->on_cleanup || kept->on_failure))
		cli_misuse(c, "%s goes with --keep", kept->grace ? "--grace" : kept->on_cleanup ? "--on-cleanup" : "--on-failure");
	if (!kept->pid)
		return;
	if (keeper_find(&k, &why) < 0)
		cli_die(c, &why);
	close(k.pidfd);
}

/* 0, or the exit status of the keeper that could not begin. */
static int
start_keeper(struct cli *c, const struct cli_kept *k)
{
	static char name[] = "dpl-beat", keep[] = "--keep", json[] = "--json", quiet[] = "--quiet";
	char path[PATH_MAX];
	struct buf words[8] = {{0}};
	struct buf id = {0};
	buf_fmt(&words[0], "--pid=%lld", (long long)k->pid);
	buf_fmt(&words[1], "--ledger=%s", c->client.ledger);
	buf_fmt(&words[2], "--operation=%s", cli_answer(c, 0, "operationId", &id));
	buf_fmt(&words[3], "--participant=%s", cli_answer(c, 0, "participantId", &id));
	buf_fmt(&words[4], "--session=%lld", (long long)cli_answer_int(c, 0, "sessionId"));
	buf_fmt(&words[5], "--grace=%s", k->grace ? k->grace : "5s");
	int n = 6;
	if (k->on_cleanup)
		buf_fmt(&words[n++], "--on-cleanup=%s", k->on_cleanup);
	if (k->on_failure)
		buf_fmt(&words[n++], "--on-failure=%s", k->on_failure);
	char *argv[12] = {name, keep, c->json ? json : quiet};
	for (int i = 0; i < n; i++)
		argv[3 + i] = words[i].p;
	helper_path(name, path, sizeof path);
	/* With --json what it says of a failure is our object; what it says of success is not. */
	int status = EXIT_SYSTEM, out[2] = {-1, -1};
	(void)!pipe2(out, O_CLOEXEC); /* without it stdout goes the way of all */
	signal(SIGCHLD, SIG_DFL); /* ignored by the caller, it would take the status away */
	pid_t child = fork();
	if (child <= 0) {
		struct why why;
		if (child == 0) {
			dup2(out[1], 1);
			execvp(path, argv);
		}
		why_errno(&why, "cannot start %s", name);
		if (child == 0) {
			c->opened = false; /* that is the parent's */
			cli_die(c, &why);
		}
		cli_say(c, "%s", why.text);
	}
	int how = 0;
	close(out[1]);
	if (child > 0) {
		struct buf said = {0};
		while (buf_reserve(&said, 4096) == 0) {
			ssize_t got = read(out[0], said.p + said.n, 4096);
			if (got <= 0)
				break;
			said.n += (size_t)got;
		}
		while (waitpid(child, &how, 0) < 0 && errno == EINTR)
			;
		status = WIFEXITED(how) ? WEXITSTATUS(how) : EXIT_SYSTEM;
		if (status && said.n)
			buf_add(&c->out, said.p, said.n);
		buf_free(&said);
	}
	close(out[0]);
	for (int i = 0; i < n; i++)
		buf_free(&words[i]);
	buf_free(&id);
	return status;
}

void
cli_keep(struct cli *c, const struct cli_kept *k, const char *undo)
{
	struct buf body = {0}, text = {0}, name = {0};
	bool before = cli_answer_true(c, "replayed");
	bool there = before && client_keeps(&c->client, cli_answer(c, 0, "operationId", &text), cli_answer(c, 0, "participantId", &name), k->pid);
	int status = there ? 0 : start_keeper(c, k);
	if (!status) {
		buf_free(&text);
		buf_free(&name);
		return;
	}
	/* Without its keeper this is not what was asked for; but what a key did before stands.  Each request takes of these members
	 * what it knows. */
	json_open(&body, NULL, '{');
	json_put(&body, "operationId", cli_answer(c, 0, "operationId", &text));
	json_put(&body, "participantId", cli_answer(c, 0, "participantId", &name));
	json_put_int(&body, "sessionId", cli_answer_int(c, 0, "sessionId"));
	json_put_bool(&body, "failed", true);
	json_put(&body, "reason", "its keeper could not be started");
	json_close(&body, '}');
	if (!before)
		(void)client_call_text(&c->client, undo, &body, NULL, &text); /* the first failure is the one to tell */
	buf_free(&body);
	buf_free(&text);
	buf_free(&name);
	c->verbose = false;
	cli_finish(c, status);
}
