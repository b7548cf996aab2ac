/* detach: leave the caller behind.
 *
 *	struct detach s;
 *	detach_begin(&s);    the caller waits from here on, and another process, which holds nothing of the caller's, goes on
 *	…say on stdout and stderr what there is to say, and exit with a status where it cannot be done…
 *	detach_through(&s);   the caller exits with 0; here the standard descriptors are /dev/null now
 *
 * Called before anything is opened: a lock would be the parent's, too. */
#ifndef DPL_DETACH_H
#define DPL_DETACH_H

struct detach {
	int through; /* a pipe: a byte lets the caller go on */
};

/* 0, or -1 with errno: nothing was done. */
int detach_begin(struct detach *s);

void detach_through(struct detach *s);

#endif
