/* board: a live table of operations on a terminal. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "board.h"
#include "clock.h"
#include "picture.h"
#include "render.h"
#include "text.h"

enum {
	FRAME_MS = 100,  /* between two pictures, at least … */
	TICK_MS = 1000,  /* … and at most */
	SHOW_MS = 5000,  /* so long one that has ended stays among the others */
	HISTORY = 5000,  /* of no more entries than that, calls that have ended are shown too */
};

/* --- the terminal --- */

static volatile sig_atomic_t resized;

bool
board_is_possible(void)
{
	const char *term = getenv("TERM");
	return isatty(1) && term && *term && strcmp(term, "dumb") != 0;
}

static void
size_of_screen(int *columns, int *rows)
{
	render_size(columns, rows);
	*columns = *columns ? *columns : 80;
	*rows = *rows ? *rows : 24;
}

static void
leave_screen(void)
{
	(void)!write(1, RENDER_LEAVE, sizeof RENDER_LEAVE - 1); /* at the end there is nobody to tell */
}

static void
on_resize(int sig)
{
	(void)sig;
	resized = 1;
}

/* A signal that is ignored stays so. */
static void
handle(int sig, void (*handler)(int), int flags)
{
	struct sigaction now, a = {.sa_handler = handler, .sa_flags = flags};
	sigemptyset(&a.sa_mask);
	if (sigaction(sig, NULL, &now) == 0 && now.sa_handler != SIG_IGN)
		(void)sigaction(sig, &a, NULL);
}

/* Leave the screen in order, then do what the signal does by itself: the handler is gone by now. */
static void
on_end(int sig)
{
	int e = errno;
	leave_screen();
	raise(sig);
	/* It was stopped, and goes on. */
	resized = 1;
	handle(sig, on_end, (int)SA_RESETHAND | SA_NODEFER);
	errno = e;
}

static void
enter_screen(struct cli *c)
{
	static const int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
	int columns, rows;
	atexit(leave_screen);
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
		handle(signals[i], on_end, (int)SA_RESETHAND | SA_NODEFER);
	handle(SIGWINCH, on_resize, 0);
	/* What stands on the screen scrolls up, and is not lost. */
	size_of_screen(&columns, &rows);
	for (int i = 1; i < rows; i++)
		buf_char(&c->out, '\n');
}

/* Sleep until `ms` have gone by since `since`; a signal ends it. */
static void
rest(const struct cli *c, int64_t since, int64_t ms)
{
	int64_t left = reader_left(c, since + ms - clock_mono_ms());
	struct timespec t = {left / 1000, left % 1000 * 1000000};
	if (left > 0 && !resized)
		(void)nanosleep(&t, NULL);
}

/* --- the picture --- */

struct board {
	bool all, colours;
	int columns, rows;
	struct buf picture;
};

static int
lines_of(const struct buf *b)
{
	int n = 0;
	for (const char *p = b->p, *end = p + b->n; p && (p = memchr(p, '\n', (size_t)(end - p))); p++)
		n++;
	return n;
}

static void
add_operation(struct cli *c, struct board *b, const struct place *p)
{
	struct why why;
	struct buf *out = &b->picture;
	bool history = !b->all && p->from <= HISTORY;
	struct picture look = {.json = &c->answer, .out = out, .colours = b->colours, .live = !history, .now_ms = clock_wall_ms()};
	size_t before = out->n;
	cli_again(c);
	json_put(&c->body, "operationId", p->id);
	json_put(&c->body, "calls", history ? "all" : "running");
	enum err err = cli_ask(c, "/operation/show", &why);
	if (err && (!b->all || err == ERR_UNREACHABLE || err == ERR_IO))
		cli_die(c, &why);
	if (err) {
		text_show(out, why.text, strlen(why.text));
		buf_char(out, '\n');
		return;
	}
	picture_operation(&look, 0);
	if (!history || lines_of(out) < b->rows)
		return;
	/* Too high: what goes on is worth more than what is over. */
	out->n = before;
	look.live = true;
	picture_operation(&look, 0);
}

static void
draw(struct cli *c, struct board *b, const struct place *places, size_t n)
{
	buf_clear(&b->picture);
	size_of_screen(&b->columns, &b->rows);
	for (size_t i = 0; i < n; i++)
		if (places[i].unread)
			continue;
		else if (lines_of(&b->picture) < b->rows)
			add_operation(c, b, &places[i]);
		else
			buf_char(&b->picture, '\n'); /* to be counted; how high it is nobody has asked */
	if (!b->picture.n)
		buf_str(&b->picture, "no operation is live\n");
	render_screen(&c->out, &b->picture, b->columns, b->rows);
	cli_flush(c);
}

int
board_one(struct cli *c, struct place *p, bool colours)
{
	struct board b = {.colours = colours};
	reader_entries(c, p, 0);
	enter_screen(c);
	for (;;) {
		int64_t drawn = clock_mono_ms();
		resized = 0;
		draw(c, &b, p, 1);
		if (p->ended || reader_is_over(c))
			break;
		reader_entries(c, p, reader_left(c, TICK_MS));
		rest(c, drawn, FRAME_MS);
		do
			reader_entries(c, p, 0);
		while (p->more);
	}
	buf_free(&b.picture);
	return p->ended ? reader_status(c) : EXIT_TIMED_OUT;
}

int
board_all(struct cli *c, bool colours)
{
	struct board b = {.all = true, .colours = colours};
	struct reader r = {0};
	reader_changes(c, &r, 0, SHOW_MS, false, false);
	enter_screen(c);
	for (;;) {
		int64_t drawn = clock_mono_ms();
		resized = 0;
		draw(c, &b, r.places, r.n);
		if (reader_is_over(c))
			break;
		reader_changes(c, &r, reader_left(c, TICK_MS), SHOW_MS, false, false);
		rest(c, drawn, FRAME_MS);
	}
	buf_free(&b.picture);
	reader_free(&r);
	return EXIT_DONE;
}
