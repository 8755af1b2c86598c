/*
 * A thread's loop. See worker.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/worker.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "net/conn.h"
#include "net/tls.h"

/* A turn that comes so late expires nothing: the process was stopped, and what
   arrived meanwhile deserves to be read first. For that there is as much time as
   it is late, within bounds: those who waited are many, and so may be the
   processes that go on now. */
#define STALL_NS (500 * NS_PER_MS)
#define STALL_GRACE_MOST_NS (2000 * NS_PER_MS)

/* In their turn by priority, together with what the sockets say. */
static void
feed_ahead(struct worker *w)
{
	struct list *l;

	ev_idle_stop(w->loop, &w->hurry);
	while ((l = list_first(&w->ahead)) != NULL) {
		struct conn *c = container_of(l, struct conn, ahead);

		list_remove(l);
		if (ev_is_active(&c->io) && (c->io.events & EV_READ))
			ev_feed_event(w->loop, &c->io, EV_READ);
	}
}

static void
turn_started(struct ev_loop *loop, struct ev_check *watcher, int revents)
{
	struct worker *w = watcher->data;

	(void)loop, (void)revents;
	w->now_ns = clock_ns();
	worker_doing(w, NULL, NULL);
	atomic_store_explicit(&w->busy_since_ns, w->now_ns,
	    memory_order_relaxed);
	/* Also when all who were to be read have been closed since. */
	if (unlikely(ev_is_active(&w->hurry)))
		feed_ahead(w);
}

void
worker_flush(struct worker *w)
{
	struct list *l;

	/* Until it is empty: a failed write may grant somebody who writes. */
	while ((l = list_first(&w->flush)) != NULL) {
		list_remove(l);
		conn_flush(container_of(l, struct conn, pending));
	}
}

void
worker_unwatch(struct worker *w, int fd)
{
	/* It may not be there yet. */
	(void)epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

static void
turn_ended(struct ev_loop *loop, struct ev_prepare *watcher, int revents)
{
	struct worker *w = watcher->data;
	struct late *l;

	(void)loop, (void)revents;
	worker_doing(w, "writing what the turn has left", NULL);
	worker_flush(w);
	while (!list_empty(&w->gathered)) {
		list_splice(&w->flush, &w->gathered);
		worker_flush(w);
	}
	while ((l = w->late) != NULL) {
		w->late = l->next;
		l->release(w, l);
	}
	/* One turn in sixteen tells as much about them and costs less. */
	if ((++w->turns & 15) == 0)
		hist_add(&w->lag, clock_ns() - w->now_ns);
	atomic_store_explicit(&w->busy_since_ns, 0, memory_order_relaxed);
}

void
worker_ahead(struct worker *w, struct list *link)
{
	if (list_linked(link))
		return;
	list_append(&w->ahead, link);
	ev_idle_start(w->loop, &w->hurry);
}

static void
no_time_to_wait(struct ev_loop *loop, struct ev_idle *watcher, int revents)
{
	(void)loop, (void)watcher, (void)revents;
}

static void
timer_arm(struct worker *w, int64_t at_ns)
{
	/* Due already: set by a deadline that passed just now. */
	if (at_ns < w->now_ns)
		at_ns = w->now_ns;
	w->timer_at_ns = at_ns;
	if (at_ns == INT64_MAX)
		return;
	ev_timer_set(&w->timer, (double)(at_ns - w->now_ns) / 1e9, 0.);
	ev_timer_start(w->loop, &w->timer);
}

static void
timer_fired(struct ev_loop *loop, struct ev_timer *watcher, int revents)
{
	struct worker *w = watcher->data;
	int64_t next = INT64_MAX;
	struct list *l;
	int64_t late_ns;
	unsigned i;

	(void)loop, (void)revents;
	worker_doing(w, "a deadline that has passed", NULL);
	late_ns = w->now_ns - w->timer_at_ns;
	if (late_ns > STALL_NS) {
		timer_arm(w, w->now_ns + (late_ns < STALL_GRACE_MOST_NS ?
		    late_ns : STALL_GRACE_MOST_NS));
		return;
	}
	w->timer_at_ns = INT64_MIN;     /* armed below, not by callbacks */
	for (i = 0; i < w->n_durations; i++) {
		struct list *armed = &w->durations[i].armed;

		while ((l = list_first(armed)) != NULL) {
			struct deadline *d =
			    container_of(l, struct deadline, link);

			if (d->at_ns > w->now_ns)
				break;
			list_remove(l);
			d->passed(d);
		}
	}
	for (i = 0; i < w->n_durations; i++) {
		l = list_first(&w->durations[i].armed);
		if (l != NULL &&
		    container_of(l, struct deadline, link)->at_ns < next)
			next = container_of(l, struct deadline, link)->at_ns;
	}
	timer_arm(w, next);
	worker_flush(w);
}

static struct mail *
inbox_take(struct worker *w)
{
	struct mail *newest = atomic_exchange(&w->inbox, NULL), *oldest = NULL;

	while (newest != NULL) {
		struct mail *m = newest;

		newest = m->next;
		m->next = oldest;
		oldest = m;
	}
	return oldest;
}

static void
mail_came(struct ev_loop *loop, struct ev_async *watcher, int revents)
{
	struct worker *w = watcher->data;
	struct mail *m = inbox_take(w), *next;

	(void)loop, (void)revents;
	worker_doing(w, "mail of another thread", NULL);
	for (; m != NULL; m = next) {
		next = m->next;
		m->deliver(w, m);
	}
	worker_flush(w);
}

void
worker_post(struct worker *w, struct mail *m)
{
	m->next = atomic_load(&w->inbox);
	while (!atomic_compare_exchange_weak(&w->inbox, &m->next, m))
		;
	ev_async_send(w->loop, &w->mailbox);
}

/*
 * The descriptor behind the loop. libev forgets a socket without telling epoll,
 * because a closed one needs no telling; but one that goes over to another
 * thread stays open, and would go on waking this one (see conn_detach). libev
 * shows the descriptor only to those who embed one loop in another.
 */
static int
epoll_fd_of(struct ev_loop *loop)
{
	struct ev_loop *outer = ev_loop_new(EVBACKEND_POLL | EVFLAG_NOENV);
	struct ev_embed embed;
	int fd;

	if (outer == NULL)
		return -1;
	ev_embed_init(&embed, NULL, loop);
	ev_embed_start(outer, &embed);
	fd = embed.io.fd;
	ev_embed_stop(outer, &embed);
	ev_loop_destroy(outer);
	return fd;
}

int
worker_init(struct worker *w, unsigned index, void *owner)
{
	memset(w, 0, sizeof(*w));
	w->index = index;
	w->owner = owner;
	/* epoll by name: LIBEV_FLAGS in the environment must not change it. */
	w->loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	if (w->loop == NULL)
		return -1;
	w->epoll_fd = epoll_fd_of(w->loop);
	w->tls_room = malloc(sizeof(*w->tls_room));
	if (w->epoll_fd < 0 || w->tls_room == NULL) {
		free(w->tls_room);
		ev_loop_destroy(w->loop);
		w->loop = NULL;
		return -1;
	}
	w->tls_room->used = 0;
	w->now_ns = clock_ns();
	w->timer_at_ns = INT64_MAX;
	list_init(&w->flush);
	list_init(&w->gathered);
	list_init(&w->ahead);
	block_store_init(&w->blocks);

	ev_check_init(&w->turn_start, turn_started);
	ev_set_priority(&w->turn_start, WORKER_PRI_CLOCK);
	w->turn_start.data = w;
	ev_check_start(w->loop, &w->turn_start);
	ev_prepare_init(&w->turn_end, turn_ended);
	w->turn_end.data = w;
	ev_prepare_start(w->loop, &w->turn_end);
	ev_idle_init(&w->hurry, no_time_to_wait);
	ev_timer_init(&w->timer, timer_fired, 0., 0.);
	ev_set_priority(&w->timer, WORKER_PRI_DEADLINE);
	w->timer.data = w;
	ev_async_init(&w->mailbox, mail_came);
	w->mailbox.data = w;
	ev_async_start(w->loop, &w->mailbox);
	return 0;
}

void
worker_run(struct worker *w)
{
	atomic_store(&w->tid, (int)gettid());
	ev_run(w->loop, 0);
}

void
worker_stop(struct worker *w)
{
	ev_break(w->loop, EVBREAK_ALL);
}

void
worker_drop_mail(struct worker *w)
{
	struct mail *m, *next;

	for (m = inbox_take(w); m != NULL; m = next) {
		next = m->next;
		m->drop(m);
	}
}

void
worker_fini(struct worker *w)
{
	struct late *l;

	if (w->loop == NULL)
		return;
	worker_drop_mail(w);
	while ((l = w->late) != NULL) {
		w->late = l->next;
		l->release(w, l);
	}
	block_store_fini(&w->blocks);
	free(w->tls_room);
	ev_loop_destroy(w->loop);
	w->loop = NULL;
}

void
worker_late(struct worker *w, struct late *l,
    void (*release)(struct worker *, struct late *))
{
	l->release = release;
	l->next = w->late;
	w->late = l;
}
