/*
 * Lanes. See lane.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/lane.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "net/log.h"
#include "net/patient.h"
#include "proxy/arrival.h"
#include "proxy/exchange.h"
#include "proxy/generation.h"
#include "proxy/live.h"
#include "proxy/pipeline.h"
#include "proxy/session.h"
#include "proxy/slow.h"

enum { DRAIN_STEP_MS = 20 };

/* -------------------------------------------------------------- life, death */

static void drain_step(struct deadline *d);

static void
init_piles(struct lane *lane)
{
	const struct conf_proto *const *c;

	pile_init(&lane->owed, sizeof(struct owed), 1024);
	for (c = proto_table; *c != NULL; c++) {
		const struct proto *proto = proto_of(*c);
		struct pile *s = &lane->sessions[proto->family];
		struct pile *x = &lane->exchanges[proto->family];
		struct pile *piece = &lane->pieces[proto->family];

		/* Protocols of one family share them: the largest counts. */
		if (s->size < sizeof(struct session) + proto->session_size)
			pile_init(s, sizeof(struct session) +
			    proto->session_size, 256);
		if (x->size < sizeof(struct exchange) + proto->exchange_size)
			pile_init(x, sizeof(struct exchange) +
			    proto->exchange_size, 256);
		if (piece->size < proto->piece_size)
			pile_init(piece, proto->piece_size, 128);
	}
}

static void
fini_own(struct lane *lane)
{
	const struct conf_proto *const *c;

	for (c = proto_table; *c != NULL; c++) {
		const struct proto *proto = proto_of(*c);
		void *own = lane->own[proto->family];

		if (own != NULL && proto->lane_fini != NULL)
			proto->lane_fini(own);
		free(own);
		lane->own[proto->family] = NULL;
	}
}

static int
init_own(struct lane *lane)
{
	const struct conf_proto *const *c;

	for (c = proto_table; *c != NULL; c++) {
		const struct proto *proto = proto_of(*c);
		void *own;

		if (proto->lane_size == 0)
			continue;
		own = calloc(1, proto->lane_size);
		if (own == NULL)
			return -1;
		proto->lane_init(own, lane->worker.index);
		lane->own[proto->family] = own;
	}
	return 0;
}

struct lane *
lane_new(struct runtime *rt, unsigned index)
{
	struct lane *lane = calloc(1, sizeof(*lane));

	if (lane == NULL)
		return NULL;
	if (worker_init(&lane->worker, index, lane) < 0) {
		free(lane);
		return NULL;
	}
	lane->slow = slow_new();
	if (lane->slow == NULL || init_own(lane) < 0) {
		free(lane->slow);
		fini_own(lane);
		worker_fini(&lane->worker);
		free(lane);
		return NULL;
	}
	lane->runtime = rt;
	lane->access = rt->writer != NULL ? writer_ring(rt->writer, index) :
	    NULL;
	list_init(&lane->doors);
	deadline_init(&lane->drain_step, drain_step);
	transfer_init(&lane->transfer);
	init_piles(lane);
	return lane;
}

void
lane_free(struct lane *lane)
{
	size_t i;

	if (lane == NULL)
		return;
	worker_fini(&lane->worker);
	fini_own(lane);
	free(lane->slow);
	pile_fini(&lane->owed);
	for (i = 0; i < N_FAMILIES; i++) {
		pile_fini(&lane->sessions[i]);
		pile_fini(&lane->exchanges[i]);
		pile_fini(&lane->pieces[i]);
	}
	free(lane);
}

static void *
lane_thread(void *arg)
{
	struct lane *lane = arg;
	char name[16];

	/* What top(1) and a debugger show: the worker's number is as elsewhere. */
	snprintf(name, sizeof(name), "weir-%u", lane->worker.index);
	(void)prctl(PR_SET_NAME, name, 0, 0, 0);
	worker_run(&lane->worker);
	return NULL;
}

int
lane_start(struct lane *lane)
{
	sigset_t all, before;
	int failed;

	/* Signals are main's, but for those that the watchdog sends. */
	sigfillset(&all);
	sigdelset(&all, SIGABRT);
	sigdelset(&all, LANE_TRACE_SIGNAL);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	failed = pthread_create(&lane->thread, NULL, lane_thread, lane);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	lane->started = failed == 0;
	return failed == 0 ? 0 : -1;
}

/* ------------------------------------------------------------------- orders */

static void order_arrived(struct worker *w, struct mail *m);
static void order_dropped(struct mail *m);

struct order *
order_new(struct generation *gen, size_t doors, size_t sockets, size_t pools)
{
	struct order *o = calloc(1, sizeof(*o));

	if (o == NULL)
		return NULL;
	o->doors = calloc(doors + 1, sizeof(*o->doors));
	o->sockets = calloc(sockets + 1, sizeof(*o->sockets));
	o->pools = calloc(pools + 1, sizeof(*o->pools));
	if (o->doors == NULL || o->sockets == NULL || o->pools == NULL) {
		order_free(o);
		return NULL;
	}
	o->gen = gen;
	o->mail.deliver = order_arrived;
	o->mail.drop = order_dropped;
	return o;
}

/* What has not been carried out is given back. */
void
order_free(struct order *o)
{
	size_t i;

	for (i = 0; i < o->n_sockets; i++)
		if (o->sockets[i].fd >= 0)
			close(o->sockets[i].fd);
	for (i = 0; i < o->n_pools; i++)
		roster_drop(o->pools[i].roster);
	free(o->doors);
	free(o->sockets);
	free(o->pools);
	free(o);
}

static void
order_dropped(struct mail *m)
{
	order_free(container_of(m, struct order, mail));
}

static void
carry_out_pool(struct pool_order *po)
{
	struct pool *p = po->pool;

	if (po->conf == NULL) {
		if (!p->retired)
			pool_retire(p);
		return;
	}
	if (p->retired)
		pool_revive(p);
	pool_configure(p, po->conf, po->identity_changed, po->roster);
	po->roster = NULL;
}

static void
carry_out_door(struct lane *lane, struct door_order *dorder,
    struct generation *gen)
{
	struct door *d = dorder->door;

	if (!list_linked(&d->link))
		list_append(&lane->doors, &d->link);
	if (dorder->conf == NULL) {
		door_close(d);
		return;
	}
	if (dorder->hold) {
		door_hold(d);
		return;
	}
	door_reopen(d);
	d->conf = dorder->conf;
	d->gen = gen;
}

static void
carry_out_socket(struct socket_order *so)
{
	if (so->fd >= 0)
		door_open_socket(so->door, so->fd, &so->addr, so->shared);
	else
		door_close_socket(so->door, &so->addr);
	so->fd = -1;
}

static void
order_arrived(struct worker *w, struct mail *m)
{
	struct order *o = container_of(m, struct order, mail);
	struct lane *lane = w->owner;
	size_t i;

	/* Doors lead to the new snapshot before the lane does, and what comes
	   in and ends meanwhile must not be the last that uses it. */
	(void)generation_use(lane, o->gen);
	/* Pools that are in the new snapshot first: doors lead to them. What
	   leaves goes last, when nobody is sent there any more. */
	for (i = 0; i < o->n_pools; i++)
		if (o->pools[i].conf != NULL)
			carry_out_pool(&o->pools[i]);
	for (i = 0; i < o->n_doors; i++)
		carry_out_door(lane, &o->doors[i], o->gen);
	for (i = 0; i < o->n_sockets; i++)
		carry_out_socket(&o->sockets[i]);
	for (i = 0; i < o->n_pools; i++)
		if (o->pools[i].conf == NULL)
			carry_out_pool(&o->pools[i]);
	generation_switch(lane, o->gen);
	generation_leave(lane, o->gen);
	order_free(o);
}

/* ------------------------------------------------------------------ sockets */

struct socket_mail {
	struct mail mail;
	struct socket_order order;
};

static void
socket_arrived(struct worker *w, struct mail *m)
{
	struct socket_mail *sm = container_of(m, struct socket_mail, mail);

	(void)w;
	carry_out_socket(&sm->order);
	free(sm);
}

static void
socket_dropped(struct mail *m)
{
	struct socket_mail *sm = container_of(m, struct socket_mail, mail);

	close(sm->order.fd);
	free(sm);
}

void
lane_post_socket(struct lane *lane, struct listener *l, int fd,
    const struct live_socket *sock)
{
	struct socket_mail *sm = patient_alloc(sizeof(*sm));

	if (sm == NULL) {
		log_error(l->name, "out of memory: a socket is not listened "
		    "on");
		close(fd);
		return;
	}
	*sm = (struct socket_mail){ .mail = { .deliver = socket_arrived,
	    .drop = socket_dropped }, .order = { .addr = sock->addr,
	    .door = l->doors[lane->worker.index], .fd = fd,
	    .shared = sock->shared } };
	worker_post(&lane->worker, &sm->mail);
}

/* ------------------------------------------------------------------ rosters */

struct roster_mail {
	struct mail mail;
	struct pool *pool;
	struct roster *roster;
};

static void
roster_arrived(struct worker *w, struct mail *m)
{
	struct roster_mail *rm = container_of(m, struct roster_mail, mail);

	(void)w;
	pool_set_roster(rm->pool, rm->roster);
	free(rm);
}

static void
roster_dropped(struct mail *m)
{
	struct roster_mail *rm = container_of(m, struct roster_mail, mail);

	roster_drop(rm->roster);
	free(rm);
}

void
lane_post_roster(struct lane *lane, struct pool *pool, struct roster *r)
{
	struct roster_mail *rm = patient_alloc(sizeof(*rm));

	if (rm == NULL) {
		roster_drop(r);         /* the next answer tries again */
		return;
	}
	*rm = (struct roster_mail){ .pool = pool, .roster = r,
	    .mail = { .deliver = roster_arrived, .drop = roster_dropped } };
	worker_post(&lane->worker, &rm->mail);
}

/* ----------------------------------------------------------------- draining */

struct plain_mail {
	struct mail mail;
	int64_t number;                 /* grace in ms, clients, or nothing */
};

static void
plain_dropped(struct mail *m)
{
	free(container_of(m, struct plain_mail, mail));
}

static void
plain_post(struct worker *w, void (*deliver)(struct worker *, struct mail *),
    int64_t number)
{
	struct plain_mail *pm = patient_zeroed(sizeof(*pm));

	if (pm == NULL)
		return;
	pm->mail.deliver = deliver;
	pm->mail.drop = plain_dropped;
	pm->number = number;
	worker_post(w, &pm->mail);
}

static void
empty_arrived(struct worker *w, struct mail *m)
{
	plain_dropped(m);
	runtime_lane_empty(w->owner);
}

/* Close the sessions, or those that ask for nothing; the loop survives whatever
   closes then. *n: how many more. Are there any left? */
static bool
close_sessions(struct lane *lane, bool idle_only, unsigned *n)
{
	struct list *d, *tmp, *l, *next;
	bool left = false;

	list_each(d, tmp, &lane->doors) {
		struct door *door = container_of(d, struct door, link);

		for (l = door->sessions.next; l != &door->sessions; l = next) {
			struct session *s =
			    container_of(l, struct session, link);

			next = l->next;
			if (!idle_only)
				session_cut(s);
			else if (exchange_first(s) == NULL) {
				session_finish(s);
				++*n;
			}
			/* Its lease may have gone to the next one, and that
			   may have failed and gone too. */
			if (next != &door->sessions && !list_linked(next))
				next = door->sessions.next;
		}
		left = arrivals_close(door, idle_only) || left ||
		    !list_empty(&door->sessions);
	}
	return left;
}

/* The first time, when most of them go; not who has just been answered since. */
static void
tell_closed(struct lane *lane, unsigned n)
{
	if (n > 0 && !lane->grace_told)
		log_info("drain", "%u client%s nothing to ask: closed", n,
		    n == 1 ? " has" : "s have");
	lane->grace_told = true;
}

static void
drain_step(struct deadline *d)
{
	struct lane *lane = container_of(d, struct lane, drain_step);
	struct worker *w = &lane->worker;
	struct list *l, *tmp;
	bool left = false;
	unsigned n = 0;

	if (w->now_ns >= lane->grace_ends_ns) {
		left = close_sessions(lane, true, &n);
		tell_closed(lane, n);
	} else list_each(l, tmp, &lane->doors)
		left = left || !door_is_empty(container_of(l, struct door,
		    link));
	if (left)
		deadline_set(w, d, DRAIN_STEP_MS);
	else
		plain_post(&lane->runtime->main, empty_arrived, 0);
}

static void
drain_arrived(struct worker *w, struct mail *m)
{
	struct lane *lane = w->owner;
	struct list *l, *tmp;

	lane->grace_ends_ns = w->now_ns + NS_PER_MS *
	    container_of(m, struct plain_mail, mail)->number;
	plain_dropped(m);
	list_each(l, tmp, &lane->doors)
		door_close(container_of(l, struct door, link));
	drain_step(&lane->drain_step);
}

static void
end_arrived(struct worker *w, struct mail *m)
{
	struct lane *lane = w->owner;
	struct runtime *rt = lane->runtime;
	struct list *l, *tmp;
	unsigned n = 0;

	plain_dropped(m);
	deadline_clear(&lane->drain_step);
	transfer_end(&lane->transfer);
	list_each(l, tmp, &lane->doors)
		door_close(container_of(l, struct door, link));
	(void)close_sessions(lane, false, &n);
	runtime_close_pools(rt, w->index);
	worker_stop(w);
}

void
lane_post_drain(struct lane *lane, int64_t grace_ms)
{
	plain_post(&lane->worker, drain_arrived, grace_ms);
}

void
lane_post_end(struct lane *lane)
{
	plain_post(&lane->worker, end_arrived, 0);
}

/* ----------------------------------------------------------------- crossing */

struct transfer_mail {
	struct mail mail;
	struct crossing *to;
};

static void
transfer_dropped(struct mail *m)
{
	free(container_of(m, struct transfer_mail, mail));
}

static void
transfer_arrived(struct worker *w, struct mail *m)
{
	transfer_begin(w->owner, container_of(m, struct transfer_mail,
	    mail)->to);
	transfer_dropped(m);
}

void
lane_post_transfer(struct lane *lane, struct crossing *to)
{
	struct transfer_mail *tm = patient_alloc(sizeof(*tm));

	if (tm == NULL)
		return;                 /* its clients stay, and are drained */
	*tm = (struct transfer_mail){ .to = to, .mail = {
	    .deliver = transfer_arrived, .drop = transfer_dropped } };
	worker_post(&lane->worker, &tm->mail);
}

/* --------------------------------------------------------------------- room */

static void
room_arrived(struct worker *w, struct mail *m)
{
	(void)sessions_make_room(w->owner, (unsigned)container_of(m,
	    struct plain_mail, mail)->number);
	plain_dropped(m);
}

void
lane_post_room(struct lane *lane, unsigned most)
{
	plain_post(&lane->worker, room_arrived, most);
}

/* ------------------------------------------------------------------- forget */

struct forget_mail {
	struct mail mail;
	struct door *door;
};

static void
forget_dropped(struct mail *m)
{
	free(container_of(m, struct forget_mail, mail));
}

static void
forget_arrived(struct worker *w, struct mail *m)
{
	(void)w;
	list_remove(&container_of(m, struct forget_mail, mail)->door->link);
	forget_dropped(m);
}

void
lane_post_forget(struct runtime *rt, struct listener *l)
{
	size_t i;

	for (i = 0; i < rt->n_lanes; i++) {
		struct forget_mail *fm = patient_alloc(sizeof(*fm));

		if (fm == NULL)
			abort();        /* a freed door on a list is worse */
		*fm = (struct forget_mail){ .door = l->doors[i], .mail = {
		    .deliver = forget_arrived, .drop = forget_dropped } };
		worker_post(&rt->lanes[i]->worker, &fm->mail);
	}
}

/* ---------------------------------------------------------------- roll call */

struct roll_mail {
	struct mail mail;
	struct roll *roll;
};

struct roll {
	_Atomic size_t lanes_left;
	struct runtime *runtime;
	void (*done)(void *arg);
	void *arg;
	struct mail home;
	struct roll_mail out[];         /* by lane */
};

static void
roll_home(struct worker *w, struct mail *m)
{
	struct roll *roll = container_of(m, struct roll, home);

	(void)w;
	roll->done(roll->arg);
	free(roll);
}

static void
roll_home_dropped(struct mail *m)
{
	free(container_of(m, struct roll, home));
}

static void
roll_dropped(struct mail *m)
{
	struct roll *roll = container_of(m, struct roll_mail, mail)->roll;

	/* A lane that has ended: nobody waits for the answer any more. */
	if (atomic_fetch_sub(&roll->lanes_left, 1) == 1)
		free(roll);
}

static void
roll_arrived(struct worker *w, struct mail *m)
{
	struct roll *roll = container_of(m, struct roll_mail, mail)->roll;

	(void)w;
	if (atomic_fetch_sub(&roll->lanes_left, 1) == 1)
		worker_post(&roll->runtime->main, &roll->home);
}

int
lane_roll_call(struct runtime *rt, void (*done)(void *arg), void *arg)
{
	struct roll *roll = calloc(1, sizeof(*roll) +
	    rt->n_lanes * sizeof(roll->out[0]));
	size_t i;

	if (roll == NULL)
		return -1;
	atomic_init(&roll->lanes_left, rt->n_lanes);
	roll->runtime = rt;
	roll->done = done;
	roll->arg = arg;
	roll->home = (struct mail){ .deliver = roll_home,
	    .drop = roll_home_dropped };
	for (i = 0; i < rt->n_lanes; i++) {
		roll->out[i] = (struct roll_mail){ .roll = roll, .mail = {
		    .deliver = roll_arrived, .drop = roll_dropped } };
		worker_post(&rt->lanes[i]->worker, &roll->out[i].mail);
	}
	return 0;
}
