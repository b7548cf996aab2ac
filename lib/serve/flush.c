/* flush: many journals made durable at the same time. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "flush.h"

enum { THREADS = 15 /* and the caller */, STACK_BYTES = 64 << 10 };

struct flusher {
	pthread_t threads[THREADS];
	size_t started;
	pthread_mutex_t lock;    /* of what follows */
	pthread_cond_t begun, done;
	struct journal *const *journals;
	size_t n, next, left;    /* which of them is the next to be flushed, and how many are not through */
	bool over;
};

struct flusher *
flusher_new(void)
{
	struct flusher *f = calloc(1, sizeof *f);
	if (!f)
		return NULL;
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->begun, NULL);
	pthread_cond_init(&f->done, NULL);
	return f;
}

/* Flush the next, and the next, until all are taken.  Locked before and behind. */
static void
take_part(struct flusher *f)
{
	while (f->next < f->n) {
		struct journal *j = f->journals[f->next++];
		pthread_mutex_unlock(&f->lock);
		journal_sync_ahead(j);
		pthread_mutex_lock(&f->lock);
		if (--f->left == 0)
			pthread_cond_signal(&f->done);
	}
}

static void *
run(void *arg)
{
	struct flusher *f = arg;
	pthread_mutex_lock(&f->lock);
	while (!f->over) {
		take_part(f);
		pthread_cond_wait(&f->begun, &f->lock);
	}
	pthread_mutex_unlock(&f->lock);
	return NULL;
}

/* As many as there is work for.  They get no signals. */
static void
start(struct flusher *f, size_t wanted)
{
	sigset_t all, before;
	pthread_attr_t a;
	if (f->started >= wanted || f->started == THREADS)
		return;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&a);
	(void)pthread_attr_setstacksize(&a, STACK_BYTES);
	while (f->started < wanted && f->started < THREADS && pthread_create(&f->threads[f->started], &a, run, f) == 0)
		f->started++;
	pthread_attr_destroy(&a);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void
flusher_sync(void *flusher, struct journal *const *journals, size_t n)
{
	struct flusher *f = flusher;
	start(f, n - 1);
	pthread_mutex_lock(&f->lock);
	f->journals = journals;
	f->n = f->left = n;
	f->next = 0;
	for (size_t i = 0; i + 1 < n && i < f->started; i++)
		pthread_cond_signal(&f->begun);
	take_part(f);
	while (f->left)
		pthread_cond_wait(&f->done, &f->lock);
	pthread_mutex_unlock(&f->lock);
}

void
flusher_free(struct flusher *f)
{
	if (!f)
		return;
	pthread_mutex_lock(&f->lock);
	f->over = true;
	pthread_cond_broadcast(&f->begun);
	pthread_mutex_unlock(&f->lock);
	for (size_t i = 0; i < f->started; i++)
		pthread_join(f->threads[i], NULL);
	pthread_cond_destroy(&f->done);
	pthread_cond_destroy(&f->begun);
	pthread_mutex_destroy(&f->lock);
	free(f);
}
