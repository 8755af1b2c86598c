/*
 * Workers under a test's clock. See turns.h.
 *
 * net/worker reads the time once a turn, in a watcher of the highest priority.
 * One of the next priority puts the test's time in its place before anything
 * else runs.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/support/turns.h"

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/* Any moment does; not 0, which some may take for "never". */
#define BEGINNING_NS (1000 * NS_PER_S)

static void
turn_started(struct ev_loop *loop, struct ev_check *watcher, int revents)
{
	struct turns *t = watcher->data;
	unsigned i;

	(void)revents;
	for (i = 0; i < t->n; i++)
		t->workers[i].now_ns = t->now_ns;
	/* What is still to be invoked is what has happened. */
	t->events += ev_pending_count(loop);
}

void
turns_begin(struct turns *t, unsigned n)
{
	unsigned i;

	signal(SIGPIPE, SIG_IGN);       /* as the program has it */
	memset(t, 0, sizeof(*t));
	t->now_ns = BEGINNING_NS;
	t->n = n;
	for (i = 0; i < n; i++) {
		assert_int_equal(worker_init(&t->workers[i], i, t), 0);
		t->workers[i].now_ns = t->now_ns;
		ev_check_init(&t->clocks[i], turn_started);
		ev_set_priority(&t->clocks[i], WORKER_PRI_CLOCK - 1);
		t->clocks[i].data = t;
		ev_check_start(t->workers[i].loop, &t->clocks[i]);
	}
}

void
turns_end(struct turns *t)
{
	unsigned i;

	for (i = 0; i < t->n; i++)
		worker_fini(&t->workers[i]);
	t->n = 0;
}

void
turns_step(struct turns *t, unsigned worker)
{
	ev_run(t->workers[worker].loop, EVRUN_NOWAIT);
}

void
turns_run(struct turns *t)
{
	unsigned quiet = 0, i;

	while (quiet < 2) {
		uint64_t before = t->events;

		for (i = 0; i < t->n; i++)
			turns_step(t, i);
		quiet = t->events == before ? quiet + 1 : 0;
	}
}

/* The loop's timer belongs to real time: due now, and polled like the rest. */
static void
ring(struct turns *t, struct worker *w)
{
	ev_timer_stop(w->loop, &w->timer);
	ev_timer_set(&w->timer, 0., 0.);
	ev_timer_start(w->loop, &w->timer);
	turns_step(t, w->index);
}

static struct worker *
next_due(struct turns *t, int64_t until_ns)
{
	struct worker *due = NULL;
	unsigned i;

	for (i = 0; i < t->n; i++) {
		struct worker *w = &t->workers[i];

		if (w->timer_at_ns <= until_ns && (due == NULL ||
		    w->timer_at_ns < due->timer_at_ns))
			due = w;
	}
	return due;
}

static void
set_now(struct turns *t, int64_t now_ns)
{
	unsigned i;

	t->now_ns = now_ns;
	for (i = 0; i < t->n; i++)
		t->workers[i].now_ns = now_ns;
}

void
turns_pass(struct turns *t, int64_t ms)
{
	int64_t until_ns = t->now_ns + ms * NS_PER_MS;
	struct worker *due;

	turns_run(t);
	while ((due = next_due(t, until_ns)) != NULL) {
		if (due->timer_at_ns > t->now_ns)
			set_now(t, due->timer_at_ns);
		ring(t, due);
		turns_run(t);
	}
	set_now(t, until_ns);
}

void
turns_leap(struct turns *t, int64_t ms)
{
	unsigned i;

	set_now(t, t->now_ns + ms * NS_PER_MS);
	for (i = 0; i < t->n; i++) {
		if (t->workers[i].timer_at_ns <= t->now_ns)
			ring(t, &t->workers[i]);
		else
			turns_step(t, i);
	}
}

bool
turns_until(struct turns *t, bool (*done)(void *arg), void *arg)
{
	struct timespec pause = { 0, 1000000 };
	int tries;

	for (tries = 0; tries < 5000; tries++) {
		turns_run(t);
		if (done(arg))
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}

unsigned
open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n - 3;           /* ".", ".." and the folder itself */
}
