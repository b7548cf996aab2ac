/* work: requests that may take long are carried out by children of the server. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "fsx.h"
#include "helper.h"
#include "json.h"
#include "work.h"

extern char **environ;

enum { PIPE_BYTES = 1 << 20, READ_BYTES = 65536, TRIES = 6 };

/* How many of the children, the first ones, are given requests of a kind. */
static const int most[] = {[WORK_SLOW] = 12, [WORK_BRIEF] = 20, [WORK_QUICK] = WORK_CHILDREN};

struct job {
	int64_t number;
	enum work_kind kind;
	struct buf line;
	work_answered *answered; /* NULL: nobody waits */
	void *arg;
	int tries;               /* of giving it to a child */
	struct job *next;
};

struct child {
	pid_t pid;               /* 0: none */
	int to, from;
	struct job *job;
	struct buf in;
	int64_t idle_ms;         /* since when */
};

struct work {
	char *ledger;
	void (*watch)(void *server, int fd, void *child);
	void *server;
	int64_t number;
	struct child children[WORK_CHILDREN];
	struct job *first, **last;
	size_t queued;
};

struct work *
work_new(const char *ledger, void (*watch)(void *server, int fd, void *child), void *server)
{
	struct work *w = calloc(1, sizeof *w);
	if (!w || !(w->ledger = strdup(ledger))) {
		free(w);
		return NULL;
	}
	w->watch = watch;
	w->server = server;
	w->last = &w->first;
	for (int i = 0; i < WORK_CHILDREN; i++)
		w->children[i].to = w->children[i].from = -1;
	return w;
}

static void
free_job(struct job *j)
{
	if (!j)
		return;
	buf_free(&j->line);
	free(j);
}

/* The end of its input ends it, behind the request that it is at.  It is not waited for: that may take long, and it may be stopped. */
static void
send_home(struct child *c)
{
	fsx_close(&c->to);
	fsx_close(&c->from);
	c->pid = 0;
	buf_free(&c->in);
}

void
work_free(struct work *w)
{
	if (!w)
		return;
	for (int i = 0; i < WORK_CHILDREN; i++) {
		send_home(&w->children[i]);
		free_job(w->children[i].job);
	}
	for (struct job *j = w->first, *next; j; j = next) {
		next = j->next;
		free_job(j);
	}
	free(w->ledger);
	free(w);
}

static int
start(struct work *w, struct child *c)
{
	int in[2] = {-1, -1}, out[2] = {-1, -1};
	char *argv[] = {"dpl-batch", "-q", "-C", w->ledger, NULL};
	int rc = pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 ? errno : helper_start(argv, environ, in[0], out[1], -1, &c->pid);
	fsx_close(&in[0]);
	fsx_close(&out[1]);
	c->to = in[1];
	c->from = out[0];
	if (rc != 0) {
		send_home(c);
		errno = rc;
		return -1;
	}
	(void)fcntl(c->to, F_SETPIPE_SZ, PIPE_BYTES); /* a request fits in, so that writing it does not wait */
	(void)fcntl(c->from, F_SETFL, O_NONBLOCK);
	w->watch(w->server, c->from, c);
	return 0;
}

static void
finish(struct child *c, int status, const char *body, size_t n)
{
	struct job *j = c->job;
	c->job = NULL;
	c->idle_ms = clock_mono_ms();
	if (!j)
		return;
	if (j->answered)
		j->answered(j->arg, status, body, n);
	free_job(j);
}

/* The first of those that wait for child `i`, taken out; NULL: there is none that could be given once more. */
static struct job *
take_job(struct work *w, int i)
{
	struct job **at = &w->first;
	while (*at && (i >= most[(*at)->kind] || (*at)->tries >= TRIES))
		at = &(*at)->next;
	struct job *j = *at;
	if (!j)
		return NULL;
	if (!(*at = j->next))
		w->last = at;
	w->queued--;
	return j;
}

/* It is the first again. */
static void
put_back(struct work *w, struct job *j)
{
	if (!(j->next = w->first))
		w->last = &j->next;
	w->first = j;
	w->queued++;
}

/* Give what waits to who is idle, first to those who take least.  What cannot be given is told in work_tidy, since who asks does not expect
 * its answer at once. */
static void
hand_out(struct work *w)
{
	for (int i = WORK_CHILDREN - 1; i >= 0 && w->first; i--) {
		struct child *c = &w->children[i];
		struct job *j = c->job ? NULL : take_job(w, i);
		if (!j)
			continue;
		j->tries++;
		if ((c->pid || start(w, c) == 0) && fsx_write(c->to, j->line.p, j->line.n) == 0) {
			c->job = j;
			continue;
		}
		if (c->pid)
			send_home(c);
		put_back(w, j);
	}
}

/* What no child would take. */
static void
give_up(struct work *w)
{
	while (w->first && w->first->tries >= TRIES) {
		struct job *j = w->first;
		if (!(w->first = j->next))
			w->last = &w->first;
		w->queued--;
		if (j->answered)
			j->answered(j->arg, 0, NULL, 0);
		free_job(j);
	}
}

int64_t
work_ask(struct work *w, const struct work_request *r, work_answered *answered, void *arg)
{
	if (w->queued >= (r->kind == WORK_SLOW ? WORK_QUEUED / 2 : WORK_QUEUED))
		return -1;
	struct job *j = calloc(1, sizeof *j);
	if (!j)
		return -1;
	j->number = ++w->number;
	j->kind = r->kind;
	j->answered = answered;
	j->arg = arg;
	json_open(&j->line, NULL, '{');
	json_put(&j->line, "path", r->path);
	if (r->key)
		json_put(&j->line, "key", r->key);
	json_put(&j->line, "from", r->from);
	json_put_raw(&j->line, "body", r->body, r->n);
	json_close(&j->line, '}');
	/* A line end in JSON is only ever a blank between two values. */
	for (size_t i = 0; i < j->line.n; i++)
		if (j->line.p[i] == '\n' || j->line.p[i] == '\r')
			j->line.p[i] = ' ';
	buf_char(&j->line, '\n');
	if (j->line.failed) {
		free_job(j);
		return -1;
	}
	*w->last = j;
	w->last = &j->next;
	w->queued++;
	int64_t number = j->number;
	hand_out(w);
	return number;
}

void
work_forget(struct work *w, int64_t number)
{
	for (int i = 0; i < WORK_CHILDREN; i++)
		if (w->children[i].job && w->children[i].job->number == number)
			w->children[i].job->answered = NULL;
	for (struct job *j = w->first; j; j = j->next)
		if (j->number == number)
			j->answered = NULL;
}

static void
take_answer(struct child *c, size_t length)
{
	struct json j;
	struct why ignored;
	int64_t status = 0;
	size_t n = 0;
	const char *raw = NULL;
	if (json_parse(&j, c->in.p, length, &ignored) == 0) {
		if (json_integer(&j, json_get(&j, 0, "status"), 100, 599, &status) == 0)
			raw = json_raw(&j, json_get(&j, 0, "body"), &n);
		finish(c, raw ? (int)status : 0, raw, n);
		json_free(&j);
	} else {
		finish(c, 0, NULL, 0);
	}
	c->in.n -= length + 1;
	memmove(c->in.p, c->in.p + length + 1, c->in.n);
}

void
work_ready(struct work *w, void *child)
{
	struct child *c = child;
	for (;;) {
		if (c->from < 0 || buf_reserve(&c->in, READ_BYTES) < 0)
			break;
		ssize_t n = read(c->from, c->in.p + c->in.n, READ_BYTES);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n <= 0) {
			/* It has died, which must not take the server with it. */
			send_home(c);
			finish(c, 0, NULL, 0);
			break;
		}
		c->in.n += (size_t)n;
		char *newline = memchr(c->in.p + c->in.n - n, '\n', (size_t)n);
		if (newline)
			take_answer(c, (size_t)(newline - c->in.p));
	}
	hand_out(w);
}

int64_t
work_tidy(struct work *w, int64_t now_ms)
{
	int64_t next = INT64_MAX;
	give_up(w);
	hand_out(w);
	if (w->first && w->first->tries >= TRIES)
		next = now_ms;
	for (int i = 0; i < WORK_CHILDREN; i++) {
		struct child *c = &w->children[i];
		if (!c->pid || c->job)
			continue;
		if (now_ms - c->idle_ms >= WORK_IDLE_MS)
			send_home(c);
		else if (c->idle_ms + WORK_IDLE_MS < next)
			next = c->idle_ms + WORK_IDLE_MS;
	}
	return next;
}

size_t
work_load(const struct work *w)
{
	size_t n = w->queued;
	for (int i = 0; i < WORK_CHILDREN; i++)
		n += w->children[i].job != NULL;
	return n;
}
