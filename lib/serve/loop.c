/* loop: the server. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "answer.h"
#include "clock.h"
#include "flush.h"
#include "fsx.h"
#include "log.h"
#include "loop.h"
#include "metrics.h"
#include "notify.h"
#include "peer.h"
#include "proc.h"
#include "route.h"
#include "served.h"
#include "stream.h"
#include "sweep.h"

enum { EVENTS = 256, DRAIN_MS = 10000, ROUNDS = 64, SPARE = 2, LOCK_WAIT_MS = 5, GAP_MS = 2000, EACH_MOST = 64, GATHER_US = 1000, DESCRIPTORS = 8192 };

/* What epoll tells of. */
enum kind { KIND_CONN, KIND_LISTENER, KIND_SIGNALS, KIND_CHILD, KIND_STREAM };

struct source {
	int kind;                /* as the first member of struct conn */
	int fd;
	void *what;
	struct source *next;
};

struct loop {
	struct server s;
	struct store_options store;
	int epoll;
	struct listener *listeners;
	struct source listening[16], signals, streams[2];
	size_t n;
	struct tls_context *tls;
	struct flusher *flusher;
	struct source *children; /* one for each descriptor that was ever a child's, used again */
	struct conn *conns;
	struct conn *queue, **last; /* those with something to do in this round */
	struct journal *open[VERBS_MOST];
	int spare[SPARE];        /* descriptors to be given up where there are none left */
	uint64_t number;
	int64_t now_ms, paused_ms, next_ms;
	bool paused;             /* nobody is taken in */
	int served;              /* -1: it takes no beats any more */
	int64_t heard_ms;        /* what served_heard was told last */
	struct sweep sweep;
};

static struct loop *
loop_of(struct server *s)
{
	return (struct loop *)s; /* its first member */
}

static int
watch(struct loop *l, int how, int fd, uint32_t events, void *source)
{
	struct epoll_event e = {.events = events, .data.ptr = source};
	return epoll_ctl(l->epoll, how, fd, &e);
}

static int64_t
now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* --- connections --- */

static void
queue(struct loop *l, struct conn *c)
{
	if (c->queued)
		return;
	c->queued = true;
	c->queue = NULL;
	*l->last = c;
	l->last = &c->queue;
}

static void
drop_conn(struct loop *l, struct conn *c)
{
	if (c->queued) {
		struct conn **at = &l->queue;
		while (*at != c)
			at = &(*at)->queue;
		if (!(*at = c->queue))
			l->last = at;
	}
	if (c->work)
		work_forget(l->s.work, c->work);
	if (c->job)
		stream_drop(l->s.streams, c);
	if (c->prev)
		c->prev->next = c->next;
	else
		l->conns = c->next;
	if (c->next)
		c->next->prev = c->prev;
	l->s.open--;
	/* Not left to close(2): a child that is just being started may have the socket for a moment more, and an event of it would
	 * come with a pointer to what is freed. */
	(void)watch(l, EPOLL_CTL_DEL, c->fd, 0, NULL);
	conn_free(c);
	if (l->paused)
		l->next_ms = l->now_ms;
}

/* What is to be told of it: that it can be read, until nothing more can come; that it can be written to, while something waits. */
static void
watch_conn(struct loop *l, struct conn *c)
{
	uint32_t events = (c->eof || conn_is_full(c) ? 0 : EPOLLIN) | (!conn_is_clear(c) || (c->tls && tls_wants_out(c->tls)) ? EPOLLOUT : 0);
	if (events == c->events)
		return;
	c->events = events;
	(void)watch(l, EPOLL_CTL_MOD, c->fd, events, c);
}

/* Whether one other machine has as many connections as one may have. */
static bool
has_too_many(const struct loop *l, const struct conn *c)
{
	size_t n = 0;
	for (const struct conn *other = l->conns; other && !c->near; other = other->next)
		n += !other->near && memcmp(other->peer, c->peer, sizeof c->peer) == 0;
	return n >= EACH_MOST;
}

static void
refuse_one_more(struct loop *l, struct conn *c)
{
	struct why why;
	why_set(&why, ERR_TOO_MANY, "one address has %d connections at most", EACH_MOST);
	c->last = true;
	c->minor = 1;
	answer_why(c, &why);
	l->s.counts.refused++;
	queue(l, c);
}

static void
pause_accepting(struct loop *l, bool on)
{
	if (l->paused == on)
		return;
	l->paused = on;
	for (size_t i = 0; i < l->n; i++)
		(void)watch(l, EPOLL_CTL_MOD, l->listeners[i].fd, on ? 0 : EPOLLIN, &l->listening[i]);
}

/* No descriptor is left: take one in all the same and close it, so that its client does not wait for nothing. */
static void
turn_away(struct loop *l, int listener)
{
	fsx_close(&l->spare[0]);
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		close(fd);
	l->spare[0] = dup(l->epoll);
	l->s.counts.refused++;
	l->paused_ms = l->now_ms + 100;
	pause_accepting(l, true);
}

static void
accept_all(struct loop *l, const struct source *source)
{
	const struct listener *from = source->what;
	for (int i = 0; i < 64; i++) {
		struct sockaddr_storage peer = {0};
		socklen_t length = sizeof peer;
		int one = 1, fd = accept4(from->fd, (struct sockaddr *)&peer, &length, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
				turn_away(l, from->fd);
			return;
		}
		l->s.counts.connections++;
		struct conn *c = l->s.open < l->s.o->connections_most ? conn_new(fd, from->by_path || peer_is_near(&peer), l->s.o->body_most, l->now_ms) : NULL;
		if (!c) {
			close(fd);
			l->s.counts.refused++;
			continue;
		}
		c->kind = KIND_CONN;
		c->server = &l->s;
		c->by_path = from->by_path;
		c->number = ++l->number;
		c->events = EPOLLIN;
		if (!from->by_path)
			(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		if ((from->tls && !(c->tls = tls_accept(l->tls, fd))) || watch(l, EPOLL_CTL_ADD, fd, EPOLLIN, c) < 0) {
			conn_free(c);
			continue;
		}
		peer_address(&peer, c->peer);
		peer_local(fd, c->local);
		if (has_too_many(l, c))
			refuse_one_more(l, c);
		c->next = l->conns;
		if (l->conns)
			l->conns->prev = c;
		l->conns = c;
		l->s.open++;
	}
}

/* --- requests --- */

static void
count(struct loop *l, const struct conn *c, const char *path, size_t n, int64_t begun_us)
{
	int64_t took = now_us() - begun_us;
	metrics_count(&l->s, c->status, took);
	if (l->s.o->log)
		log_request(c, path, n, took);
}

/* Take the next request of one connection.  Whether there was one, and more may follow. */
static bool
take_request(struct loop *l, struct conn *c)
{
	struct http_head h;
	struct http_text body;
	struct http_fault fault;
	c->waits_room = c->out.n - c->sent > CONN_OUT_MOST;
	if (c->state != CONN_READS || c->held || c->last || c->broken || c->waits_room)
		return false;
	int rc = conn_next(c, &h, &body, &fault);
	if (rc == 0) {
		if (c->expects && !route_refuses(&l->s, c, &h))
			conn_go_on(c);
		/* It says that it sends no more, in the middle of a request or behind the last. */
		if (c->eof)
			c->last = true;
		return false;
	}
	size_t from = c->out.n;
	int64_t begun = now_us();
	if (rc < 0) {
		c->head_only = false;
		c->minor = 1;
		snprintf(c->origin, sizeof c->origin, "%s", guard_allows_all(&l->s.guard) ? "*" : "");
		answer_fault(c, &fault);
		l->s.counts.requests++;
		count(l, c, "", 0, begun);
		return false;
	}
	enum routed routed = route(&l->s, c, &h, body);
	bool later = routed == ROUTE_LATER && c->state == CONN_ASKED; /* of a stream the head is the answer */
	c->asked_us = later ? begun : 0;
	if (!later)
		count(l, c, h.path.p, h.path.n, begun);
	if (routed == ROUTE_HELD && l->s.verbs.o.sync) {
		c->held = true;
		c->held_at = from;
	}
	conn_done(c, l->now_ms);
	return routed != ROUTE_LATER;
}

/* The flush failed: none of the answers that wait for it may say that it is done. */
static void
take_back(struct loop *l, const struct why *why)
{
	for (struct conn *c = l->queue; c; c = c->queue)
		if (c->held && c->status == 200) {
			c->out.n = c->held_at;
			answer_why(c, why);
		}
}

static void
flush(struct loop *l)
{
	struct why why;
	bool any = false;
	for (struct conn *c = l->queue; c && !any; c = c->queue)
		any = c->held;
	if (any)
		l->s.counts.flushes++;
	if (verbs_flush(&l->s.verbs, &why) < 0) {
		notice(l->s.o->notice, "%s", why.text);
		take_back(l, &why);
	}
	for (struct conn *c = l->queue; c; c = c->queue)
		c->held = false;
}

/* Whether nothing is expected of it any more, once its answers are out. */
static bool
is_through(const struct conn *c)
{
	return c->last && !c->work && !c->job;
}

/* Behind a round: send, end what has ended, and look at what is to be told of the rest. */
static void
settle_conn(struct loop *l, struct conn *c, bool again)
{
	(void)conn_send(c, l->now_ms);
	if (!c->broken && conn_is_clear(c)) {
		if (c->state == CONN_STREAMS)
			stream_resume(l->s.streams, c);
		if (is_through(c) && conn_is_clear(c)) {
			c->broken = c->eof;
			conn_end(c, l->now_ms);
		}
	}
	/* Of one that hangs up in the middle of a stream, or lingers, nothing is expected any more. */
	if (c->eof && (c->state == CONN_LINGERS || c->state == CONN_STREAMS))
		c->broken = true;
	if (c->tls && !c->broken && !c->eof && tls_has_more(c->tls) && !conn_is_full(c)) {
		(void)conn_fill(c, l->now_ms);
		again = true;
	}
	if (c->broken) {
		drop_conn(l, c);
		return;
	}
	watch_conn(l, c);
	if (again || (c->waits_room && c->out.n - c->sent <= CONN_OUT_MOST))
		queue(l, c);
}

static void
on_conn(struct loop *l, struct conn *c, uint32_t events)
{
	if (events & (EPOLLERR | EPOLLHUP))
		c->broken = true;
	else if (events & EPOLLIN)
		(void)conn_fill(c, l->now_ms);
	if (c->eof && c->job)
		stream_hurry(c, l->now_ms);
	queue(l, c);
}

/* Take in who has sent something meanwhile, so that it shares the flush that is about to be made.  Whether there is anybody. */
static bool
gather(struct loop *l)
{
	struct epoll_event events[EVENTS];
	bool any = false;
	int n = epoll_wait(l->epoll, events, EVENTS, 0);
	for (int i = 0; i < n; i++) {
		struct conn *c = events[i].data.ptr;
		if (c->kind != KIND_CONN || c->queued)
			continue;
		on_conn(l, c, events[i].events);
		any = true;
	}
	return any;
}

/* Carry out what has come, round by round: each connection has one change in a round, and all changes of a round share a flush. */
static void
work_off(struct loop *l)
{
	bool more = true;
	int64_t begun = now_us();
	for (int round = 0; round < ROUNDS && more; round++) {
		more = false;
		do
			for (struct conn *c = l->queue; c; c = c->queue) {
				while (take_request(l, c))
					;
				more |= c->held;
			}
		while (more && verbs_owes(&l->s.verbs) && now_us() - begun < GATHER_US && gather(l));
		flush(l);
	}
	struct conn *c = l->queue;
	l->queue = NULL;
	l->last = &l->queue;
	while (c) {
		struct conn *next = c->queue;
		c->queued = false;
		/* The others must not wait until one has said all: the rest of its requests is for the next turn. */
		settle_conn(l, c, more && c->state == CONN_READS && c->in.n > c->used && !c->last);
		c = next;
	}
	verbs_tidy(&l->s.verbs);
}

/* Somebody else has put an answer. */
static void
answered(struct server *s, struct conn *c)
{
	if (c->asked_us)
		count(loop_of(s), c, c->asked, strlen(c->asked), c->asked_us);
	c->asked_us = 0;
	if (c->state == CONN_ASKED && !c->job && !c->work)
		c->state = CONN_READS;
	if (c->state == CONN_READS)
		c->since_ms = loop_of(s)->now_ms;
	queue(loop_of(s), c);
}

/* --- time --- */

static void
look_at_deadlines(struct loop *l)
{
	int64_t next = INT64_MAX;
	for (struct conn *c = l->conns, *following; c; c = following) {
		following = c->next;
		int64_t deadline = conn_deadline(c);
		if (deadline <= l->now_ms) {
			if (c->state == CONN_READS && (c->in.n > c->used || !conn_is_clear(c)))
				l->s.counts.timeouts++;
			drop_conn(l, c);
		} else if (deadline < next) {
			next = deadline;
		}
	}
	l->next_ms = next;
}

static int64_t
least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* --- signals, reloading --- */

static void
reload(struct loop *l)
{
	struct why why;
	const struct serve_options *o = l->s.o;
	if (o->token_file && guard_read_token(&l->s.guard, o->token_file, &why) < 0)
		notice(o->notice, "%s; the token stays what it was", why.text);
	if (o->cert) {
		struct tls_context *t = tls_context(o->cert, o->key, o->client_ca, &why);
		if (!t) {
			notice(o->notice, "%s; the certificate stays what it was", why.text);
		} else {
			tls_context_free(l->tls);
			l->tls = t;
		}
	}
	notify("READY=1");
	notice(o->notice, "token and certificate were read anew");
}

static void
begin_to_stop(struct loop *l)
{
	if (l->s.stopping)
		return;
	l->s.stopping = true;
	fsx_close(&l->served);
	notify("STOPPING=1");
	for (size_t i = 0; i < l->n; i++) {
		(void)watch(l, EPOLL_CTL_DEL, l->listeners[i].fd, 0, NULL);
		fsx_close(&l->listeners[i].fd);
	}
	streams_end(l->s.streams);
	/* Whoever is between two requests is sent away; the others have their answers first. */
	for (struct conn *c = l->conns; c; c = c->next)
		if (c->state == CONN_READS && c->in.n == c->used) {
			c->last = true;
			queue(l, c);
		}
}

static void
reap(struct loop *l)
{
	for (pid_t pid; (pid = proc_reap(NULL, NULL)) > 0;)
		sweep_ended(&l->sweep, pid);
}

/* Whether it is to stop at once. */
static bool
take_signals(struct loop *l)
{
	struct signalfd_siginfo info;
	bool at_once = false;
	while (read(l->signals.fd, &info, sizeof info) == (ssize_t)sizeof info) {
		if (info.ssi_signo == SIGHUP)
			reload(l);
		else if (info.ssi_signo == SIGCHLD)
			reap(l);
		else {
			at_once = l->s.stopping;
			begin_to_stop(l);
		}
	}
	return at_once;
}

/* --- begin and end --- */

static void
watch_child(void *server, int fd, void *child)
{
	struct loop *l = server;
	struct source *s = l->children;
	while (s && s->what != child)
		s = s->next;
	if (!s && (s = calloc(1, sizeof *s))) {
		s->kind = KIND_CHILD;
		s->what = child;
		s->next = l->children;
		l->children = s;
	}
	if (s)
		(void)watch(l, EPOLL_CTL_ADD, fd, EPOLLIN, s);
}

static void
watch_streams(struct loop *l)
{
	int fds[2];
	streams_descriptors(l->s.streams, fds);
	for (int i = 0; i < 2; i++)
		if (fds[i] != l->streams[i].fd) {
			l->streams[i].fd = fds[i];
			if (fds[i] >= 0)
				(void)watch(l, EPOLL_CTL_ADD, fds[i], EPOLLIN, &l->streams[i]);
		}
}

/* The usual soft limit is 1024, and that of the connections alone is as many. */
static void
raise_limit(void)
{
	struct rlimit r;
	if (getrlimit(RLIMIT_NOFILE, &r) < 0 || r.rlim_cur >= DESCRIPTORS)
		return;
	r.rlim_cur = r.rlim_max < DESCRIPTORS ? r.rlim_max : DESCRIPTORS;
	(void)setrlimit(RLIMIT_NOFILE, &r);
}

static int
prepare(struct loop *l, const struct serve_options *o, struct listener *listeners, size_t n, struct why *why)
{
	sigset_t signals;
	struct server *s = &l->s;
	s->o = o;
	l->served = o->served;
	s->answered = answered;
	s->started_ms = clock_wall_ms();
	s->port = o->port;
	s->guard = (struct guard){.hosts = o->hosts, .hosts_n = o->hosts_n, .origins = o->origins, .origins_n = o->origins_n};
	raise_limit();
	l->epoll = l->signals.fd = -1;
	for (int i = 0; i < SPARE; i++)
		l->spare[i] = -1;
	l->listeners = listeners;
	l->n = n;
	l->last = &l->queue;
	l->store = o->store;
	l->store.defer = true;
	l->store.timed = false;
	l->store.wait_ms = LOCK_WAIT_MS;
	if (o->token_file && guard_read_token(&s->guard, o->token_file, why) < 0)
		return -1;
	if (o->cert && !(l->tls = tls_context(o->cert, o->key, o->client_ca, why)))
		return -1;
	if (verbs_open(&s->verbs, o->ledger, &l->store) < 0 || !(s->streams = streams_new(s)) || !(s->work = work_new(o->ledger, watch_child, l)) ||
	    !(l->flusher = flusher_new()))
		return why_set(why, ERR_IO, "out of memory");
	s->verbs.open = l->open;
	s->verbs.open_most = VERBS_MOST;
	s->verbs.flush_all = flusher_sync;
	s->verbs.flush_arg = l->flusher;
	s->verbs.remote = s->verbs.brief = true;
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	l->signals = (struct source){.kind = KIND_SIGNALS, .fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK)};
	for (int i = 0; i < 2; i++)
		l->streams[i] = (struct source){.kind = KIND_STREAM, .fd = -1};
	if (l->epoll < 0 || l->signals.fd < 0 || watch(l, EPOLL_CTL_ADD, l->signals.fd, EPOLLIN, &l->signals) < 0)
		return why_errno(why, "wait for requests");
	for (size_t i = 0; i < n; i++) {
		l->listening[i] = (struct source){.kind = KIND_LISTENER, .fd = listeners[i].fd, .what = &listeners[i]};
		if (watch(l, EPOLL_CTL_ADD, listeners[i].fd, EPOLLIN, &l->listening[i]) < 0)
			return why_errno(why, "wait for requests");
	}
	for (int i = 0; i < SPARE; i++)
		l->spare[i] = dup(l->epoll);
	sweep_begin(&l->sweep, o);
	return 0;
}

static void
finish(struct loop *l)
{
	struct why why;
	while (l->conns)
		drop_conn(l, l->conns);
	if (verbs_flush(&l->s.verbs, &why) < 0)
		notice(l->s.o->notice, "%s", why.text);
	work_free(l->s.work);
	streams_free(l->s.streams);
	verbs_close(&l->s.verbs);
	flusher_free(l->flusher);
	tls_context_free(l->tls);
	guard_free(&l->s.guard);
	buf_free(&l->s.reply);
	for (struct source *s = l->children, *next; s; s = next) {
		next = s->next;
		free(s);
	}
	for (int i = 0; i < SPARE; i++)
		fsx_close(&l->spare[i]);
	fsx_close(&l->served);
	fsx_close(&l->signals.fd);
	fsx_close(&l->epoll);
}

/* What was sent until then has been read, or is in the events of this turn.  Others are told: until the next turn it reads nothing more. */
static void
have_heard(struct loop *l, int64_t until_ms)
{
	if (l->served >= 0)
		served_heard(l->served, l->heard_ms, until_ms);
	l->heard_ms = until_ms;
}

/* Take the events that are there, else wait for some: their number, or -1 with errno.  Only where there are none is all read, and it listens. */
static int
take_events(struct loop *l, struct epoll_event events[EVENTS], int most)
{
	int n = epoll_wait(l->epoll, events, EVENTS, 0);
	if (n != 0 || most == 0) {
		have_heard(l, l->now_ms);
		return n;
	}
	int64_t begun = clock_mono_ms();
	have_heard(l, INT64_MAX);
	n = epoll_wait(l->epoll, events, EVENTS, most);
	int error = errno;
	/* One that was stopped did not listen. */
	have_heard(l, n < 0 ? begun : clock_mono_ms());
	errno = error;
	return n;
}

/* One turn: wait, take in, carry out.  False where it is to stop at once. */
static bool
turn(struct loop *l, int64_t wake_ms)
{
	struct epoll_event events[EVENTS];
	int64_t begun = clock_mono_ms(), wait = wake_ms - begun;
	int most = l->queue || wait <= 0 ? 0 : wake_ms == INT64_MAX ? -1 : wait < INT32_MAX ? (int)wait : INT32_MAX;
	int n = take_events(l, events, most);
	bool goes_on = true, stopped = n < 0 && errno == EINTR; /* all signals are read: it was a SIGCONT */
	bool slow = l->now_ms && begun - l->now_ms > GAP_MS;
	l->now_ms = clock_mono_ms();
	/* Nobody could beat meanwhile. */
	if (l->served >= 0 && (stopped || slow || (most >= 0 && l->now_ms - begun > most + GAP_MS)))
		served_awoke(l->served);
	for (int i = 0; i < n; i++) {
		struct source *s = events[i].data.ptr;
		switch ((enum kind)s->kind) {
		case KIND_CONN: on_conn(l, events[i].data.ptr, events[i].events); break;
		case KIND_LISTENER:
			if (!l->s.stopping)
				accept_all(l, s);
			break;
		case KIND_SIGNALS: goes_on = !take_signals(l) && goes_on; break;
		case KIND_CHILD: work_ready(l->s.work, s->what); break;
		case KIND_STREAM: break; /* they are gone through below */
		}
	}
	return goes_on;
}

int
loop(const struct serve_options *o, struct listener *listeners, size_t n, void (*ready)(void *arg), void *arg, struct why *why)
{
	struct loop *l = calloc(1, sizeof *l);
	if (!l)
		return why_set(why, ERR_IO, "out of memory");
	if (prepare(l, o, listeners, n, why) < 0) {
		finish(l);
		free(l);
		return -1;
	}
	ready(arg);
	notify("READY=1");
	int64_t stop_ms = INT64_MAX, streams_ms = INT64_MAX, work_ms = INT64_MAX, sweep_ms = 0;
	l->next_ms = INT64_MAX;
	while (l->now_ms < stop_ms) {
		int64_t wake = least(least(l->next_ms, streams_ms), least(work_ms, least(stop_ms, sweep_ms)));
		if (l->paused)
			wake = least(wake, l->paused_ms);
		if (!turn(l, wake))
			break;
		if (l->paused && l->now_ms >= l->paused_ms && !l->s.stopping)
			pause_accepting(l, false);
		streams_go_on(l->s.streams, l->now_ms);
		work_off(l);
		streams_ms = streams_next(l->s.streams);
		watch_streams(l);
		work_ms = work_tidy(l->s.work, l->now_ms);
		sweep_ms = l->s.stopping ? INT64_MAX : sweep_go_on(&l->sweep, l->now_ms);
		look_at_deadlines(l);
		if (l->s.stopping && stop_ms == INT64_MAX)
			stop_ms = l->now_ms + DRAIN_MS;
		if (l->s.stopping && !l->conns && !work_load(l->s.work) && !l->sweep.pid)
			break;
	}
	finish(l);
	free(l);
	return 0;
}
