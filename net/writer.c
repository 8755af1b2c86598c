/*
 * The thread that writes logs. See writer.h.
 *
 * It sleeps in poll() on the bell, and on a sink that is full. The first line
 * after a quiet time rings; then it naps, so that those that follow are written
 * with it, and is woken early only by the error log or a ring half full.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/writer.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "net/clock.h"
#include "net/count.h"
#include "net/log.h"

enum {
	NAP_MS = 20,                    /* lines wait for others */
	CHECK_MS = 1000,                /* has the file been renamed? */
	RETRY_MS = 20,                  /* a sink is full and cannot be polled,
					   or poll() has lied about it */
	REPORT_MS = 10000,              /* between two words about lost lines */
	END_MS = 1000,
	END_GRACE_MS = 1500             /* a last word to a slow reader */
};

struct writer {
	struct bell bell;
	int ended_fd;                   /* readable when the thread has ended */
	pthread_t thread;
	bool started;
	_Atomic bool ending;
	_Atomic bool reopen;
	/* Handed over by writer_set_access(). */
	pthread_mutex_t lock;
	bool changed;
	struct sink *next;
	/* The thread's own. */
	struct sink *error;
	struct sink *access;            /* may be error; NULL = off */
	bool error_full, access_full;
	bool no_poll;                   /* POLLOUT came and nothing could be
					   written */
	int64_t nap_ends_ns;            /* lines wait; 0 = none do */
	int64_t checked_ns;             /* whether the file is current */
	bool written;                   /* lines, since then */
	bool reopen_failed;             /* has been said */
	int64_t ends_ns;                /* ending: give up then */
	counter lost;                   /* lines that could not be written */
	uint64_t reported;              /* of all that were lost */
	int64_t reported_ns;
	int error_number;               /* of the last failure; 0 = too slow */
	unsigned turn;                  /* which ring goes first */
	struct ring *errors;
	unsigned n;
	struct ring *rings[];
};

/* -------------------------------------------------------------- life, death */

static void
writer_free(struct writer *w)
{
	unsigned i;

	if (w->access != w->error)
		sink_close(w->access);
	sink_close(w->error);
	sink_close(w->next);
	for (i = 0; i < w->n; i++)
		ring_free(w->rings[i]);
	ring_free(w->errors);
	bell_fini(&w->bell);
	if (w->ended_fd >= 0)
		close(w->ended_fd);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

struct writer *
writer_new(unsigned n)
{
	struct writer *w = calloc(1, sizeof(*w) + n * sizeof(w->rings[0]));

	if (w == NULL)
		return NULL;
	pthread_mutex_init(&w->lock, NULL);
	w->ended_fd = eventfd(0, EFD_CLOEXEC);
	if (bell_init(&w->bell) < 0 || w->ended_fd < 0)
		goto fail;
	w->errors = ring_new(&w->bell, BELL_URGENT);
	if (w->errors == NULL)
		goto fail;
	for (; w->n < n; w->n++) {
		w->rings[w->n] = ring_new(&w->bell, BELL_ANY);
		if (w->rings[w->n] == NULL)
			goto fail;
	}
	return w;
fail:
	writer_free(w);
	return NULL;
}

struct ring *
writer_ring(struct writer *w, unsigned i)
{
	return w->rings[i];
}

/* Whatever it sleeps for. */
static void
rouse(struct writer *w)
{
	static const uint64_t one = 1;
	ssize_t n = write(w->bell.fd, &one, sizeof(one));

	(void)n;
}

void
writer_set_access(struct writer *w, struct sink **s)
{
	struct sink *before;

	pthread_mutex_lock(&w->lock);
	before = w->next;
	w->next = *s;
	w->changed = true;
	pthread_mutex_unlock(&w->lock);
	*s = NULL;
	sink_close(before);             /* it was never used */
	rouse(w);
}

void
writer_reopen(struct writer *w)
{
	atomic_store(&w->reopen, true);
	rouse(w);
}

uint64_t
writer_dropped(const struct writer *w)
{
	uint64_t sum = count_read(&w->lost) + ring_dropped(w->errors);
	unsigned i;

	for (i = 0; i < w->n; i++)
		sum += ring_dropped(w->rings[i]);
	return sum;
}

/* ------------------------------------------------------------------ writing */

static uint64_t
lines_in(const char *lines, size_t len)
{
	const char *end = lines + len;
	uint64_t n = 0;

	for (; lines < end; n++)
		lines = (const char *)memchr(lines, '\n',
		    (size_t)(end - lines)) + 1;
	return n;
}

/* There is no sink: what comes is not missed. */
static void
discard(struct ring *r)
{
	const char *lines;
	size_t len;

	while ((len = ring_front(r, &lines)) > 0)
		ring_take(r, len);
}

/* What lies in r now, or less if more comes all the time. False: s is full. */
static bool
drain(struct writer *w, struct ring *r, struct sink *s)
{
	size_t budget = RING_BYTES, taken, len;
	const char *lines;

	if (s == NULL) {
		discard(r);
		return true;
	}
	while (budget > 0 && (len = ring_front(r, &lines)) > 0) {
		switch (sink_write(s, lines, len, &taken)) {
		case SINK_FULL:
			w->error_number = 0;
			return false;
		case SINK_FAILED:
			w->error_number = errno;
			count_add(&w->lost, lines_in(lines, taken));
			break;
		case SINK_TAKEN:
			w->no_poll = false;
			break;
		}
		ring_take(r, taken);
		budget -= taken < budget ? taken : budget;
	}
	return true;
}

static void
drain_access(struct writer *w)
{
	unsigned i;

	w->access_full = false;
	w->nap_ends_ns = 0;
	w->turn++;
	for (i = 0; i < w->n; i++) {
		struct ring *r = w->rings[(w->turn + i) % w->n];

		if (ring_is_empty(r))
			continue;
		w->written = true;
		if (!drain(w, r, w->access)) {
			w->access_full = true;
			return;
		}
	}
}

static bool
is_any(struct writer *w, bool (*f)(struct ring *))
{
	unsigned i;

	for (i = 0; i < w->n; i++)
		if (f(w->rings[i]))
			return true;
	return false;
}

static bool
has_line(struct ring *r)
{
	return !ring_is_empty(r);
}

/* ------------------------------------------------------------- other duties */

static void
reopen(struct writer *w)
{
	struct sink *s = w->access;
	bool whole = sink_finish(s);

	if (sink_reopen(s) < 0) {
		if (!w->reopen_failed)
			log_error("access log", "cannot open %s again, the "
			    "file opened before stays in use: %s",
			    sink_name(s), strerror(errno));
		w->reopen_failed = true;
		return;
	}
	if (!whole)
		count_add(&w->lost, 1);
	if (w->reopen_failed)
		log_info("access log", "%s is open again", sink_name(s));
	w->reopen_failed = false;
}

/* Before lines are written into a file that is not there any more, and once
   afterwards; not for ever. */
static void
check_file(struct writer *w, int64_t now)
{
	bool asked = atomic_exchange(&w->reopen, false);

	if (w->access == NULL || !sink_is_file(w->access))
		return;
	if (!asked && now - w->checked_ns < CHECK_MS * NS_PER_MS)
		return;
	w->checked_ns = now;
	w->written = false;
	if (asked || !sink_is_current(w->access))
		reopen(w);
}

/* Lines that still wait go to the new target, unless there is none. */
static void
take_over(struct writer *w)
{
	struct sink *next, *before = w->access;
	bool changed;

	pthread_mutex_lock(&w->lock);
	changed = w->changed;
	next = w->next;
	w->changed = false;
	w->next = NULL;
	pthread_mutex_unlock(&w->lock);
	if (!changed)
		return;
	if (next == NULL)
		drain_access(w);
	if (next != NULL && sink_is_stderr(next)) {
		sink_close(next);
		next = w->error;
	}
	w->access = next;
	w->reopen_failed = false;
	w->no_poll = false;
	if (before == NULL || before == w->error)
		return;
	if (!sink_finish(before))
		count_add(&w->lost, 1);
	sink_close(before);
}

/* Not each line: how many, every now and then. */
static bool
report(struct writer *w, int64_t now)
{
	uint64_t lost = writer_dropped(w);

	if (lost == w->reported || (w->reported_ns != 0 &&
	    now - w->reported_ns < REPORT_MS * NS_PER_MS))
		return false;
	log_warn("log", "lines lost: %llu (%s)",
	    (unsigned long long)(lost - w->reported),
	    w->error_number != 0 ? strerror(w->error_number) :
	    "they come faster than they can be written");
	w->reported = lost;
	w->reported_ns = now;
	return true;
}

/* The error log; should it fail, then not because of this report again. */
static void
drain_errors(struct writer *w, int64_t now)
{
	bool reported = report(w, now);

	w->error_full = !drain(w, w->errors, w->error);
	if (reported)
		w->reported = writer_dropped(w);
}

/* ----------------------------------------------------------------- sleeping */

static int64_t
sooner(int64_t a, int64_t b)
{
	return a < 0 || (b >= 0 && b < a) ? b : a;
}

static int64_t
ms_until(int64_t at_ns, int64_t now)
{
	return at_ns <= now ? 0 : (at_ns - now + NS_PER_MS - 1) / NS_PER_MS;
}

/* How long it may sleep; -1 = until the bell. */
static int64_t
patience(const struct writer *w, int64_t now, int64_t unfold_ms)
{
	bool checks = w->written && w->access != NULL &&
	    sink_is_file(w->access);
	int64_t ms = unfold_ms;

	if (w->nap_ends_ns != 0 && !w->access_full)
		ms = sooner(ms, ms_until(w->nap_ends_ns, now));
	if (checks)
		ms = sooner(ms, ms_until(w->checked_ns + CHECK_MS * NS_PER_MS,
		    now));
	if (writer_dropped(w) != w->reported)
		ms = sooner(ms, ms_until(w->reported_ns +
		    REPORT_MS * NS_PER_MS, now));
	if (w->access_full || w->error_full) {
		bool blind = w->no_poll || (w->access_full &&
		    sink_poll_fd(w->access) < 0);

		ms = sooner(ms, blind ? RETRY_MS : CHECK_MS);
	}
	if (w->ends_ns != 0)
		ms = sooner(ms, sooner(RETRY_MS, ms_until(w->ends_ns, now)));
	return ms;
}

/* What it is to be woken for. A sink that is full wakes it by itself. */
static enum bell_level
wish(const struct writer *w)
{
	if (w->access_full)
		return w->error_full ? BELL_SILENT : BELL_URGENT;
	return w->nap_ends_ns != 0 ? BELL_HALF : BELL_ANY;
}

/* Has something come that it would have been woken for? */
static bool
missed(struct writer *w, enum bell_level level)
{
	if (level >= BELL_URGENT && !w->error_full &&
	    !ring_is_empty(w->errors))
		return true;
	return level >= BELL_HALF &&
	    is_any(w, level == BELL_ANY ? has_line : ring_is_half_full);
}

static void
rest(struct writer *w, int64_t ms)
{
	enum bell_level level = wish(w);
	struct pollfd p[3] = {
		{ .fd = w->bell.fd, .events = POLLIN },
		{ .fd = w->access_full && !w->no_poll ?
		    sink_poll_fd(w->access) : -1, .events = POLLOUT },
		{ .fd = w->error_full && !w->no_poll ?
		    sink_poll_fd(w->error) : -1, .events = POLLOUT }
	};

	bell_listen(&w->bell, level);
	if (!missed(w, level))
		(void)poll(p, NELEMS(p), (int)ms);
	bell_silence(&w->bell);
	/* Until a write has shown that it is true. */
	w->no_poll = p[1].revents != 0 || p[2].revents != 0;
}

/* --------------------------------------------------------------- the thread */

/* Whether lines are to be written now, or wait for others. */
static bool
is_due(struct writer *w, int64_t now)
{
	if (w->access_full || w->ends_ns != 0)
		return true;
	if (!is_any(w, has_line))
		return false;
	if (w->nap_ends_ns == 0)
		w->nap_ends_ns = now + NAP_MS * NS_PER_MS;
	return now >= w->nap_ends_ns || is_any(w, ring_is_half_full);
}

static bool
is_through(struct writer *w, int64_t now)
{
	return w->ends_ns != 0 && (now >= w->ends_ns ||
	    (ring_is_empty(w->errors) && !is_any(w, has_line)));
}

/* What nobody will write any more. */
static void
give_up(struct writer *w)
{
	const char *lines;
	size_t len;
	unsigned i;

	for (i = 0; w->access != NULL && i < w->n; i++)
		for (; (len = ring_front(w->rings[i], &lines)) > 0;
		    ring_take(w->rings[i], len))
			count_add(&w->lost, lines_in(lines, len));
	/* Directly by now, which would wait for its reader. */
	if (!w->error_full && !(w->access_full && w->access == w->error))
		(void)report(w, w->reported_ns + REPORT_MS * NS_PER_MS);
}

static void *
writer_thread(void *arg)
{
	static const uint64_t one = 1;
	struct writer *w = arg;
	int64_t now;
	ssize_t n;

	/* By itself: of others the name is a file, which a sandbox hides. */
	(void)prctl(PR_SET_NAME, "weir-log", 0, 0, 0);
	for (;;) {
		now = clock_ns();
		if (w->ends_ns == 0 && atomic_load(&w->ending))
			w->ends_ns = now + END_MS * NS_PER_MS;
		take_over(w);
		check_file(w, now);
		if (is_due(w, now))
			drain_access(w);
		drain_errors(w, now);
		if (is_through(w, now))
			break;
		rest(w, patience(w, now, log_unfold(false)));
	}
	give_up(w);
	n = write(w->ended_fd, &one, sizeof(one));
	(void)n;
	return NULL;
}

int
writer_start(struct writer *w)
{
	sigset_t all, before;
	char why[128];
	int failed;

	/* Without standard error nobody hears of errors; the access log is
	   written all the same. */
	w->error = sink_open("stderr", why, sizeof(why));
	/* Signals are main's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	failed = pthread_create(&w->thread, NULL, writer_thread, w);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (failed != 0) {
		errno = failed;
		return -1;
	}
	w->started = true;
	log_divert(w->errors);
	return 0;
}

void
writer_end(struct writer *w)
{
	struct pollfd p = { .events = POLLIN };

	if (w == NULL)
		return;
	if (w->started) {
		log_divert(NULL);
		atomic_store(&w->ending, true);
		rouse(w);
		p.fd = w->ended_fd;
		while (poll(&p, 1, END_MS + END_GRACE_MS) < 0 && errno == EINTR)
			;
		/* It hangs on a disk that is gone: the process ends without
		   it. */
		if (p.revents == 0)
			return;
		pthread_join(w->thread, NULL);
	}
	writer_free(w);
}
