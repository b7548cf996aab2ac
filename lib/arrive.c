/* arrive: wait for files to be there, whole. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arrive.h"
#include "clock.h"
#include "fsx.h"
#include "watch.h"

enum { BIND_AGAIN = 8 }; /* how often folders are looked for anew that come meanwhile */

/* How it is looked at. */
enum occasion { AT_FIRST, TOLD /* that it is whole */, LOOKED };

struct arrival {
	char *path;
	size_t base;             /* where its name begins */
	bool there;
	const char *lack;        /* what is wrong with it, where it is not */
	int wd;                  /* the watch of its folder, or of the nearest one above that there is; -1 … */
	size_t next;             /* … and where the name begins that is awaited there */
	bool remote;             /* a filesystem of which others tell nothing */
	bool unseen;             /* it may have been closed before it was watched */
	bool said;
	/* as it was seen last, and since when, monotonic */
	struct stat st;
	int64_t st_ms;
};

struct wait {
	struct cli *c;
	struct arrive *a;
	struct watch watch;
	int bell, beats;         /* of the operation, -1 */
	bool rung;
	size_t there;
};

void
arrive_add(struct cli *c, struct arrive *a, char *path)
{
	size_t n = strlen(path);
	if (n == 0)
		cli_misuse(c, "--file: the path is empty");
	if (path[n - 1] == '/')
		cli_misuse(c, "--file: '%.200s' names a folder", path);
	if (n >= PATH_MAX)
		cli_misuse(c, "--file: the path is longer than %d bytes", PATH_MAX - 1);
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->files[i].path, path) == 0)
			return;
	if (!a->files && !(a->files = calloc((size_t)c->argc, sizeof *a->files))) {
		struct why why;
		why_set(&why, ERR_IO, "out of memory");
		cli_die(c, &why);
	}
	while (n > 0 && path[n - 1] != '/')
		n--;
	a->files[a->n++] = (struct arrival){.path = path, .base = n, .wd = -1, .unseen = true, .st_ms = -1};
}

/* --- what is there --- */

/* Whether its close is going to be told. */
static bool
is_watched(const struct arrival *f)
{
	return f->wd >= 0 && f->next == f->base && !f->remote;
}

/* Whether somebody has it open for writing: 1 or 0, -1 where the kernel does not tell.  A read lease is to be had where nobody
 * has; it is given back at once. */
static int
has_writer(const struct arrival *f)
{
	struct stat st;
	int fd = fsx_open(AT_FDCWD, f->path, O_RDONLY | O_NONBLOCK, 0), rc = -1;
	if (fd < 0)
		return errno == EWOULDBLOCK ? 1 : -1; /* somebody's lease, for writing */
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && !fsx_is_remote(fd)) {
		rc = fcntl(fd, F_SETLEASE, F_RDLCK) == 0 ? 0 : errno == EAGAIN ? 1 : -1;
		if (rc == 0)
			(void)fcntl(fd, F_SETLEASE, F_UNLCK);
	}
	close(fd);
	return rc;
}

/* Whether it has been as it is now for the time between two looks. */
static bool
has_rested(struct arrival *f, const struct stat *st)
{
	const struct stat *was = &f->st;
	int64_t now = clock_mono_ms();
	if (f->st_ms < 0 || st->st_dev != was->st_dev || st->st_ino != was->st_ino || st->st_size != was->st_size ||
	    memcmp(&st->st_mtim, &was->st_mtim, sizeof st->st_mtim) != 0 || memcmp(&st->st_ctim, &was->st_ctim, sizeof st->st_ctim) != 0) {
		f->st = *st;
		f->st_ms = now;
	}
	return now - f->st_ms >= WATCH_LOOK_MS;
}

/* Whether a file that is there, and not empty where it must not be, is whole. */
static bool
is_whole(struct arrival *f, const struct stat *st, enum occasion o)
{
	bool rested = has_rested(f, st);
	if (o == AT_FIRST)
		return true;
	int writer = has_writer(f);
	if (writer > 0) {
		f->unseen = !is_watched(f);
		return false;
	}
	/* What has just been made is empty, and has no writer yet. */
	if (o == TOLD || (writer == 0 && (st->st_size > 0 || rested)))
		return true;
	/* Of a second name for what is there nobody tells. */
	return rested && (f->unseen || !is_watched(f) || st->st_nlink > 1);
}

static void
say_kind(struct cli *c, struct arrival *f, const char *lack)
{
	f->lack = lack;
	if (!f->said && !c->quiet)
		cli_say(c, "%.800s %s: waiting for a file", f->path, lack);
	f->said = true;
}

static void
take(struct wait *w, struct arrival *f, const struct stat *st)
{
	struct cli *c = w->c;
	f->there = true;
	w->there++;
	if (c->json) {
		int64_t age = clock_wall_ms() - ((int64_t)st->st_mtim.tv_sec * 1000 + st->st_mtim.tv_nsec / 1000000);
		json_open(&c->out, NULL, '{');
		json_put_bool(&c->out, "ok", true);
		json_put(&c->out, "path", f->path);
		json_put_int(&c->out, "size", st->st_size);
		json_put_int(&c->out, "ageMs", age > 0 ? age : 0);
		json_close(&c->out, '}');
	} else {
		buf_str(&c->out, f->path);
	}
	buf_char(&c->out, '\n');
	cli_flush(c);
}

/* Look at one that was not there. */
static void
judge(struct wait *w, struct arrival *f, enum occasion o)
{
	struct why why;
	struct stat st;
	if (f->there || w->there >= w->a->count)
		return;
	if (stat(f->path, &st) == 0) {
		if (S_ISDIR(st.st_mode))
			say_kind(w->c, f, "is a folder");
		else if (!S_ISREG(st.st_mode))
			say_kind(w->c, f, "is no regular file");
		else if (st.st_size == 0 && !w->a->empty_ok)
			f->lack = "is empty", f->unseen = !is_watched(f);
		else if (is_whole(f, &st, o))
			take(w, f, &st);
		else
			f->lack = "is being written";
		return;
	}
	switch (errno) {
	case ENOENT:
	case ENOTDIR:
	case ELOOP:
	case ESTALE:
		break;
	case ENAMETOOLONG:
		cli_misuse(w->c, "--file: '%.200s' has a name that is too long", f->path);
	default:
		why_errno(&why, "%s", f->path);
		cli_die(w->c, &why);
	}
	/* What a link leads to is elsewhere, and not watched. */
	bool link = lstat(f->path, &st) == 0 && S_ISLNK(st.st_mode);
	f->lack = link ? "is a link that leads to nothing" : "is not there";
	f->unseen = link || !is_watched(f);
}

/* --- watching --- */

/* Open the folder that the first `n` bytes of the path name. */
static int
open_folder(const struct arrival *f, size_t n)
{
	char cut = f->path[n];
	f->path[n] = '\0';
	int fd = fsx_open(AT_FDCWD, n ? f->path : ".", O_PATH | O_DIRECTORY, 0);
	f->path[n] = cut;
	return fd;
}

/* The length of the path up to the slash behind the name at `i`. */
static size_t
name_end(const struct arrival *f, size_t i)
{
	return i + strcspn(f->path + i, "/");
}

static void
drop_unused(struct wait *w, int wd)
{
	for (size_t i = 0; i < w->a->n; i++)
		if (!w->a->files[i].there && w->a->files[i].wd == wd)
			return;
	if (wd >= 0)
		watch_drop(&w->watch, wd);
}

/* Watch the folder of one, or the nearest one above that there is. */
static void
bind_to(struct wait *w, struct arrival *f)
{
	int old = f->wd;
	size_t at = f->next;
	for (int i = 0; i < BIND_AGAIN; i++) {
		size_t n = f->base;
		int fd;
		while ((fd = open_folder(f, n)) < 0 && n > 0) {
			while (n > 0 && f->path[n - 1] == '/')
				n--;
			while (n > 0 && f->path[n - 1] != '/')
				n--;
		}
		f->next = n;
		f->wd = fd < 0 ? -1 : watch_add(&w->watch, fd, WATCH_ARRIVES);
		f->remote = fd >= 0 && fsx_is_remote(fd);
		fsx_close(&fd);
		/* The next one down may have come before the watch was made. */
		if (f->wd < 0 || n == f->base || (fd = open_folder(f, name_end(f, n))) < 0)
			break;
		fsx_close(&fd);
	}
	if (f->wd != old || f->next != at) {
		f->unseen = true;
		drop_unused(w, old);
	}
}

static void
look_at(struct wait *w, struct arrival *f)
{
	bind_to(w, f);
	judge(w, f, LOOKED);
}

static void
look_at_all(struct wait *w)
{
	for (size_t i = 0; i < w->a->n; i++) {
		struct arrival *f = &w->a->files[i];
		if (!f->there)
			look_at(w, f);
	}
}

/* Whether it is the name that is awaited in the watched folder. */
static bool
is_awaited(const struct arrival *f, const char *name)
{
	size_t n = name_end(f, f->next) - f->next;
	return strlen(name) == n && memcmp(name, f->path + f->next, n) == 0;
}

static void
take_events(struct wait *w)
{
	for (struct watch_event e; watch_next(&w->watch, &e);) {
		w->rung |= e.what >= 0 && (e.what == w->bell || e.what == w->beats);
		for (size_t i = 0; i < w->a->n; i++) {
			struct arrival *f = &w->a->files[i];
			if (f->there)
				continue;
			if (e.what < 0) {
				f->unseen = w->rung = true;
			} else if (f->wd == e.what && (e.gone || is_awaited(f, e.name))) {
				if (e.gone || f->next != f->base)
					look_at(w, f);
				else
					judge(w, f, e.whole ? TOLD : LOOKED);
			}
		}
	}
}

/* --- the operation --- */

/* Ask how it stands.  The exit status where that ends the wait, else -1. */
static int
ask_state(struct cli *c, const struct place *p)
{
	struct buf b = {0};
	cli_again(c);
	json_put(&c->body, "operationId", p->id);
	json_put(&c->body, "calls", "none");
	cli_request(c, "/operation/show");
	const char *state = cli_answer(c, 0, "state", &b);
	bool completed = strcmp(state, "completed") == 0, failed = strcmp(state, "failed") == 0;
	buf_free(&b);
	return failed || cli_answer_true(c, "crashed") ? EXIT_FAILED : cli_answer_true(c, "aborted") ? EXIT_ABORTED : completed ? EXIT_NO : -1;
}

/* Why it ended the wait, by the answer. */
static enum err
put_end(struct cli *c, const struct place *p, int status, struct buf *text)
{
	struct buf b = {0}, more = {0};
	const char *state = cli_answer(c, 0, "state", &b);
	bool aborted = cli_answer_true(c, "aborted"), ended = strcmp(state, "completed") == 0 || strcmp(state, "failed") == 0;
	if (cli_answer_true(c, "crashed")) {
		const char *why = cli_answer(c, 0, "crashEvidence", &more);
		state = cli_answer(c, 0, "crashedParticipantId", &b);
		buf_fmt(text, "%s crashed in %s%s%s", *state ? state : "somebody", p->id, *why ? ": " : "", why);
	} else if (ended) {
		buf_fmt(text, "%s has ended: %s%s", p->id, state, aborted ? ", aborted" : "");
	} else {
		const char *why = cli_answer(c, 0, "abortReason", &more);
		buf_fmt(text, "%s is aborted%s%s", p->id, *why ? ": " : "", why);
	}
	buf_free(&b);
	buf_free(&more);
	return status == EXIT_FAILED ? ERR_FAILED : status == EXIT_ABORTED ? ERR_ABORTED : ERR_ENDED;
}

/* --- the end without them --- */

/* What is missing, a line each; as JSON in one message, as much of it as has room. */
static int
give_up(struct wait *w, const struct place *p, int status)
{
	struct cli *c = w->c;
	struct buf text = {0};
	struct why why;
	enum err code = status == EXIT_TIMED_OUT ? ERR_TIMED_OUT : put_end(c, p, status, &text);
	if (!c->json && text.n)
		cli_say(c, "%s", text.p);
	for (size_t i = 0; i < w->a->n; i++) {
		const struct arrival *f = &w->a->files[i];
		if (f->there)
			continue;
		if (!c->json)
			cli_say(c, "%.800s %s", f->path, f->lack);
		else
			buf_fmt(&text, "%s%s %s", text.n ? "; " : "", f->path, f->lack);
	}
	if (c->json) {
		c->failure = status;
		why_set(&why, code, "%s", text.p ? text.p : "");
		cli_die(c, &why);
	}
	buf_free(&text);
	return status;
}

int
arrive_wait(struct cli *c, struct arrive *a, struct place *p)
{
	struct wait w = {.c = c, .a = a, .bell = -1, .beats = -1};
	int status = *p->id ? ask_state(c, p) : -1;
	watch_init(&w.watch);
	for (size_t i = 0; i < a->n; i++)
		judge(&w, &a->files[i], AT_FIRST);
	if (w.there >= a->count)
		return EXIT_DONE;
	(void)signal(SIGIO, SIG_IGN); /* it tells whoever has a lease of who wants to write */
	if (*p->id && status < 0 && client_watch(&c->client, p->id, &w.watch, &w.bell, &w.beats) < 0)
		w.bell = w.beats = -1;
	for (;;) {
		/* First what became of the operation: what was written before its end is there then. */
		if (*p->id)
			status = ask_state(c, p);
		take_events(&w);
		look_at_all(&w);
		if (w.there >= a->count)
			return EXIT_DONE;
		if (status >= 0 || reader_is_over(c))
			return give_up(&w, p, status >= 0 ? status : EXIT_TIMED_OUT);
		int64_t ms = reader_left(c, WATCH_LOOK_MS), end = clock_mono_ms() + ms;
		if (*p->id)
			end -= ms - reader_look(c, p, ms);
		w.rung = false;
		do {
			(void)watch_wait(&w.watch, end - clock_mono_ms(), 1);
			cli_leave_unread();
			take_events(&w);
			if (w.there >= a->count)
				return EXIT_DONE;
		} while (!w.rung && clock_mono_ms() < end);
	}
}
