/*
 * The admin port's sockets and clocks. See admin.h; what it answers is in
 * pages.c, how in caller.c.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/admin/admin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "net/listen.h"
#include "net/log.h"
#include "proxy/admin/caller.h"
#include "proxy/admin/guard.h"
#include "proxy/admin/orders.h"
#include "proxy/admin/pages.h"
#include "proxy/admin/trend.h"
#include "proxy/history.h"
#include "proxy/started.h"

enum { ACCEPT_MOST = 16, PAUSE_MS = 100 };

/* A listening socket. On admin->gates, or on a change's list before. */
struct gate {
	struct list link;
	struct admin *admin;            /* NULL before it is opened */
	struct ev_io io;
	struct addr addr;
	struct deadline pause;          /* out of descriptors: accept again */
	bool probe;                     /* probe_bind */
	bool foreign, inherited;        /* see struct live_socket */
	bool wanted;                    /* by the change that is committed */
};

struct admin_change {
	const struct conf *conf;
	struct list gates;              /* bound, not accepting yet */
};

/* ------------------------------------------------------------------- gates */

static void
gate_accept(struct gate *g)
{
	struct admin *a = g->admin;
	unsigned i;
	int fd;

	for (i = 0; i < ACCEPT_MOST; i++) {
		fd = accept4(g->io.fd, NULL, NULL,
		    SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			caller_new(a, fd, g->probe,
			    !g->probe && guard_is_exposed(&g->addr));
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		    errno == ENOMEM) {
			ev_io_stop(a->rt->main.loop, &g->io);
			deadline_set(&a->rt->main, &g->pause, PAUSE_MS);
			return;
		}
		if (errno != ECONNABORTED && errno != EINTR)
			return;
	}
}

static void
gate_ready(struct ev_loop *loop, struct ev_io *io, int revents)
{
	struct gate *g = io->data;
	struct worker *w = &g->admin->rt->main;

	(void)loop, (void)revents;
	gate_accept(g);
	worker_flush(w);
}

static void
gate_again(struct deadline *d)
{
	struct gate *g = container_of(d, struct gate, pause);

	ev_io_start(g->admin->rt->main.loop, &g->io);
}

static struct gate *
gate_bind(struct runtime *rt, const struct conf_bind *bind, char *why,
    size_t size)
{
	const struct listen_options options = {
		.backlog = bind->backlog,
		.mode = bind->mode,
		.owner = bind->owner,
		.group = bind->group
	};
	struct gate *g = calloc(1, sizeof(*g));
	int fd;

	if (g == NULL) {
		snprintf(why, size, "out of memory");
		return NULL;
	}
	fd = inherit_take(&rt->inherited, &bind->addr, &g->foreign);
	g->inherited = fd >= 0;
	if (fd < 0)
		fd = listen_open(&bind->addr, &options, why, size);
	if (fd < 0) {
		free(g);
		return NULL;
	}
	g->addr = bind->addr;
	list_init(&g->link);
	deadline_init(&g->pause, gate_again);
	ev_io_init(&g->io, gate_ready, fd, EV_READ);
	ev_set_priority(&g->io, WORKER_PRI_ACCEPT);
	g->io.data = g;
	return g;
}

static void
gate_open(struct gate *g, struct admin *a)
{
	g->admin = a;
	list_remove(&g->link);
	list_append(&a->gates, &g->link);
	if (!a->rt->withheld)
		ev_io_start(a->rt->main.loop, &g->io);
}

static void
gate_close(struct gate *g)
{
	list_remove(&g->link);
	deadline_clear(&g->pause);
	if (g->admin != NULL) {
		ev_io_stop(g->admin->rt->main.loop, &g->io);
		worker_unwatch(&g->admin->rt->main, g->io.fd);
	}
	/* Of what is not served yet, or not any more, somebody else does. */
	if (g->foreign || (g->admin != NULL && !g->admin->rt->owns_files) ||
	    (g->admin == NULL && g->inherited))
		close(g->io.fd);
	else
		listen_close(g->io.fd, &g->addr);
	free(g);
}

static void
gates_close(struct list *gates)
{
	struct list *l, *tmp;

	list_each(l, tmp, gates)
		gate_close(container_of(l, struct gate, link));
}

static struct gate *
gate_find(const struct list *gates, const struct addr *addr)
{
	const struct list *l;

	for (l = gates->next; l != gates; l = l->next) {
		struct gate *g = container_of(l, struct gate, link);

		if (addr_equal(&g->addr, addr))
			return g;
	}
	return NULL;
}

/* ----------------------------------------------------------------- changes */

/* What is bound already stays as it is; what is new is bound. */
static int
prepare_bind(struct runtime *rt, struct admin_change *change,
    const struct conf_bind *bind, char *why, size_t size)
{
	const struct admin *a = rt->admin;
	char text[256];
	struct gate *g;

	if (bind == NULL || (a != NULL &&
	    gate_find(&a->gates, &bind->addr) != NULL))
		return 0;
	g = gate_bind(rt, bind, text, sizeof(text));
	if (g == NULL) {
		snprintf(why, size, "admin: %s", text);
		return -1;
	}
	list_append(&change->gates, &g->link);
	return 0;
}

struct admin_change *
admin_prepare(struct runtime *rt, const struct conf *next, char *why,
    size_t size)
{
	struct admin_change *change = calloc(1, sizeof(*change));

	if (change == NULL) {
		snprintf(why, size, "admin: out of memory");
		return NULL;
	}
	change->conf = next;
	list_init(&change->gates);
	if (prepare_bind(rt, change, next->admin.bind, why, size) < 0 ||
	    prepare_bind(rt, change, next->admin.probe_bind, why, size) < 0) {
		admin_abandon(change);
		return NULL;
	}
	return change;
}

static void
say_where(const struct conf *conf)
{
	char text[ADDR_TEXT_MAX];

	if (conf->admin.bind != NULL)
		log_info("admin", "listening on %s",
		    addr_print(&conf->admin.bind->addr, text));
	if (conf->admin.probe_bind != NULL)
		log_info("admin", "probes on %s",
		    addr_print(&conf->admin.probe_bind->addr, text));
}

static void
want(struct admin *a, const struct conf_bind *bind, bool probe)
{
	struct gate *g = bind != NULL ? gate_find(&a->gates, &bind->addr) :
	    NULL;

	if (g == NULL)
		return;
	g->wanted = true;
	g->probe = probe;
}

/* As it is, whatever it is for. */
static void
hold(struct admin *a, const struct conf_bind *bind)
{
	struct gate *g = bind != NULL ? gate_find(&a->gates, &bind->addr) :
	    NULL;

	if (g != NULL)
		g->wanted = true;
}

void
admin_commit(struct runtime *rt, struct admin_change *change,
    const struct conf *back)
{
	struct admin *a = rt->admin;
	struct list *l, *tmp;

	if (!list_empty(&change->gates))
		say_where(change->conf);
	/* The file's level has been set; a stay in another one is over. Not so
	   when all that comes is a confirmation. */
	if (a->conf != change->conf)
		deadline_clear(&a->quieten);
	a->conf = change->conf;
	list_each(l, tmp, &change->gates)
		gate_open(container_of(l, struct gate, link), a);
	want(a, a->conf->admin.bind, false);
	want(a, a->conf->admin.probe_bind, true);
	if (back != NULL) {
		hold(a, back->admin.bind);
		hold(a, back->admin.probe_bind);
	}
	list_each(l, tmp, &a->gates) {
		struct gate *g = container_of(l, struct gate, link);

		if (!g->wanted) {
			gate_accept(g);
			gate_close(g);
		} else
			g->wanted = false;
	}
	free(change);
}

void
admin_abandon(struct admin_change *change)
{
	if (change == NULL)
		return;
	gates_close(&change->gates);
	free(change);
}

/* ------------------------------------------------------------------ upgrades */

void
admin_rest(struct runtime *rt, bool on)
{
	struct list *l, *tmp;

	rt->admin->rests = on;
	list_each(l, tmp, &rt->admin->gates) {
		struct gate *g = container_of(l, struct gate, link);

		deadline_clear(&g->pause);
		if (on)
			ev_io_stop(rt->main.loop, &g->io);
		else
			ev_io_start(rt->main.loop, &g->io);
	}
}

/* Is a request to be answered, or to come on a connection that is new? */
static bool
is_owed(const struct caller *c)
{
	switch (c->state) {
	case CALLER_IDLE:
		return c->conn.sent == 0;
	case CALLER_HEAD:
	case CALLER_BODY:
	case CALLER_WAITING:
	case CALLER_WRITING:
		return true;
	case CALLER_STREAMING:
	case CALLER_LINGERING:
	case CALLER_CLOSED:
		return false;
	}
	return false;
}

bool
admin_owes(const struct runtime *rt)
{
	const struct list *l;

	for (l = rt->admin->callers.next; l != &rt->admin->callers;
	    l = l->next)
		if (is_owed(container_of(l, const struct caller, link)))
			return true;
	return false;
}

void
admin_dismiss(struct runtime *rt)
{
	struct list *l, *tmp;

	list_each(l, tmp, &rt->admin->callers)
		caller_close(container_of(l, struct caller, link));
}

void
admin_each_gate(struct runtime *rt, void (*each)(void *arg,
    const struct addr *addr, int fd, bool foreign), void *arg)
{
	struct list *l;

	for (l = rt->admin->gates.next; l != &rt->admin->gates; l = l->next) {
		const struct gate *g = container_of(l, struct gate, link);

		each(arg, &g->addr, g->io.fd, g->foreign);
	}
}

/* ------------------------------------------------------- beginning and end */

static double
wall_clock_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
record(struct deadline *d)
{
	struct admin *a = container_of(d, struct admin, record);
	struct view *v = view_take(a->rt, a->history);

	if (v != NULL) {
		history_record(a->history, v);
		trend_record(a->trend, v, (int64_t)wall_clock_s());
	}
	view_free(v);
	deadline_set(&a->rt->main, &a->record, HISTORY_STEP_S * 1000);
}

static void
beat(struct deadline *d)
{
	pages_beat(container_of(d, struct admin, beat));
}

static void
quieten(struct deadline *d)
{
	orders_quieten(container_of(d, struct admin, quieten));
}

int
admin_start(struct runtime *rt, const struct conf *conf, char *why, size_t size)
{
	struct admin_change *change = admin_prepare(rt, conf, why, size);
	struct admin *a = calloc(1, sizeof(*a));

	if (change == NULL)
		goto fail;
	if (a != NULL) {
		a->history = history_new();
		a->trend = trend_new();
	}
	if (a == NULL || a->history == NULL || a->trend == NULL) {
		snprintf(why, size, "admin: out of memory");
		goto fail;
	}
	a->rt = rt;
	a->started_s = wall_clock_s();
	a->file = started_with(rt->path);
	list_init(&a->gates);
	list_init(&a->callers);
	deadline_init(&a->record, record);
	deadline_init(&a->beat, beat);
	deadline_init(&a->quieten, quieten);
	rt->admin = a;
	admin_commit(rt, change, NULL);
	/* The first time at once: what comes from now on is known to have
	   come. */
	deadline_set(&rt->main, &a->record, 0);
	return 0;
fail:
	admin_abandon(change);
	if (a != NULL) {
		history_free(a->history);
		trend_free(a->trend);
	}
	free(a);
	return -1;
}

void
admin_stop(struct runtime *rt)
{
	struct admin *a = rt->admin;
	struct list *l, *tmp;

	if (a == NULL)
		return;
	gates_close(&a->gates);
	list_each(l, tmp, &a->callers)
		caller_close(container_of(l, struct caller, link));
	deadline_clear(&a->record);
	deadline_clear(&a->beat);
	deadline_clear(&a->quieten);
	free(a->frame);
	history_free(a->history);
	trend_free(a->trend);
	free(a->file);
	free(a);
	rt->admin = NULL;
}

int64_t
admin_quieten_ns(const struct runtime *rt)
{
	const struct deadline *d = &rt->admin->quieten;

	return deadline_armed(d) ? d->at_ns : INT64_MAX;
}
