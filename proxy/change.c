/*
 * From one snapshot to the next. See change.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/change.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/listen.h"
#include "net/log.h"
#include "net/tls_client.h"
#include "proxy/gate.h"
#include "proxy/generation.h"
#include "proxy/lane.h"
#include "proxy/live.h"
#include "proxy/upgrade/upgrade.h"

/* A listener of the new snapshot with the sockets that it will have. */
struct new_listener {
	struct live_listener *ll;
	bool is_new;
	struct live_socket *sockets;    /* fds: to be opened; NULL = kept */
	size_t n_sockets;
};

struct new_upstream {
	struct live_upstream *lu;
	bool is_new;
};

struct change {
	struct runtime *rt;
	struct generation *gen;
	struct new_listener *listeners; /* by index in conf */
	struct new_upstream *upstreams;
	struct order **orders;          /* by lane */
	const struct change *after;     /* while it is prepared: this one will
					   have been committed by then */
	const struct change *back;      /* while it is committed: what this one
					   has stays */
};

/* ----------------------------------------------------------------- sockets */

/* Who listens there now; NULL = nobody of us. */
static struct live_socket *
bound_at(struct runtime *rt, const struct addr *addr,
    struct live_listener **owner)
{
	struct list *l, *tmp;
	size_t i;

	list_each(l, tmp, &rt->listeners) {
		struct live_listener *ll =
		    container_of(l, struct live_listener, link);

		for (i = 0; i < ll->n_sockets; i++)
			if (addr_equal(&ll->sockets[i].addr, addr)) {
				*owner = ll;
				return &ll->sockets[i];
			}
	}
	return NULL;
}

/* Likewise, when c->after has been committed. */
static struct live_socket *
bound_then(struct change *c, const struct addr *addr,
    struct live_listener **owner)
{
	const struct change *after = c->after;
	size_t i, j;

	for (i = 0; after != NULL && i < after->gen->conf->n_listeners; i++)
		for (j = 0; j < after->listeners[i].n_sockets; j++) {
			struct live_socket *sock =
			    &after->listeners[i].sockets[j];

			if (addr_equal(&sock->addr, addr)) {
				*owner = after->listeners[i].ll;
				return sock;
			}
		}
	return bound_at(c->rt, addr, owner);
}

static void
close_fds(struct live_socket *sock)
{
	size_t i;

	for (i = 0; sock->fds != NULL && i < sock->n; i++)
		if (sock->fds[i] >= 0)
			close(sock->fds[i]);
	free(sock->fds);
	sock->fds = NULL;
}

static int
bind_lanes(struct runtime *rt, struct live_socket *sock,
    const struct conf_bind *bind, char *why, size_t size)
{
	struct listen_options o = { .backlog = bind->backlog,
	    .mode = bind->mode, .owner = bind->owner, .group = bind->group,
	    .reuse_port = rt->n_lanes > 1 };
	size_t i, n = sock->shared ? 1 : rt->n_lanes;

	for (i = 0; sock->inherited && i < sock->n; i++)
		sock->fds[i] = inherit_take(&rt->inherited, &sock->addr,
		    &sock->foreign);
	if (sock->inherited)
		return 0;
	if (o.reuse_port && listen_try(&sock->addr, why, size) < 0)
		return -1;
	for (i = 0; i < n; i++) {
		sock->fds[i] = listen_open(&sock->addr, &o, why, size);
		if (sock->fds[i] < 0)
			return -1;
	}
	return 0;
}

/* The address goes over to another listener: the queue behind it stays. */
static int
duplicate(struct live_socket *sock, const struct live_socket *from, char *why,
    size_t size)
{
	size_t i;

	for (i = 0; i < from->n; i++) {
		if (from->live[i] < 0)
			continue;
		sock->fds[i] = fcntl(from->live[i], F_DUPFD_CLOEXEC, 0);
		if (sock->fds[i] < 0) {
			snprintf(why, size, "out of descriptors");
			return -1;
		}
	}
	return 0;
}

/* How many there will be, and whether they are enough for all lanes. */
static void
measure_socket(const struct runtime *rt, struct live_socket *sock,
    const struct live_socket *there)
{
	size_t n = inherit_count(&rt->inherited, &sock->addr);

	sock->n = n > rt->n_lanes ? n : rt->n_lanes;
	sock->inherited = n > 0;
	sock->shared = rt->n_lanes > 1 && (n > 0 ? n < rt->n_lanes :
	    sock->addr.sa.sa_family == AF_UNIX);
	if (there == NULL)
		return;
	sock->n = there->n;
	sock->inherited = there->inherited;
	sock->shared = there->shared;
	sock->foreign = there->foreign;
}

static int
prepare_socket(struct change *c, struct new_listener *nl,
    const struct conf_bind *bind, struct live_socket *sock, char *why,
    size_t size)
{
	struct runtime *rt = c->rt;
	struct live_listener *owner = NULL;
	struct live_socket *there = bound_then(c, &bind->addr, &owner);
	size_t i;

	sock->addr = bind->addr;
	measure_socket(rt, sock, there);
	sock->live = malloc(sock->n * sizeof(*sock->live));
	if (sock->live == NULL)
		goto no_memory;
	for (i = 0; i < sock->n; i++)
		sock->live[i] = -1;
	if (there != NULL && owner == nl->ll) {
		memcpy(sock->live, there->live, sock->n * sizeof(*sock->live));
		return 0;
	}
	sock->fds = malloc(sock->n * sizeof(*sock->fds));
	if (sock->fds == NULL)
		goto no_memory;
	for (i = 0; i < sock->n; i++)
		sock->fds[i] = -1;
	if ((there != NULL ? duplicate(sock, there, why, size) :
	    bind_lanes(rt, sock, bind, why, size)) < 0)
		return -1;
	memcpy(sock->live, sock->fds, sock->n * sizeof(*sock->live));
	return 0;
no_memory:
	snprintf(why, size, "out of memory");
	return -1;
}

/* ----------------------------------------------------------------- prepare */

static int
prepare_listener(struct change *c, const struct conf_listener *conf,
    struct new_listener *nl, char *why, size_t size)
{
	size_t i, at;

	nl->ll = live_listener_find(c->rt, conf);
	if (nl->ll == NULL) {
		nl->ll = live_listener_new(c->rt, conf);
		nl->is_new = true;
	}
	nl->sockets = calloc(conf->n_binds + 1, sizeof(*nl->sockets));
	if (nl->ll == NULL || nl->sockets == NULL ||
	    gate_provide(nl->ll->listener, conf) < 0) {
		snprintf(why, size, "out of memory");
		return -1;
	}
	for (i = 0; i < conf->n_binds; i++) {
		nl->n_sockets = i + 1;
		at = (size_t)snprintf(why, size, "%s:%d: listeners.%s.bind: ",
		    c->gen->conf->path, conf->binds[i].line, conf->name);
		if (prepare_socket(c, nl, &conf->binds[i], &nl->sockets[i],
		    why + at, size - at) < 0)
			return -1;
	}
	return 0;
}

static int
prepare_upstream(struct change *c, const struct conf_upstream *conf,
    struct new_upstream *nu)
{
	nu->lu = live_upstream_find(c->rt, conf);
	if (nu->lu == NULL) {
		nu->lu = live_upstream_new(c->rt, conf);
		nu->is_new = true;
	}
	return nu->lu != NULL ? 0 : -1;
}

/* Room for everything that may have to be ordered. */
static int
prepare_orders(struct change *c)
{
	struct runtime *rt = c->rt;
	size_t doors = 0, sockets = 0, pools = 0, i, j;
	struct list *l, *tmp;

	list_each(l, tmp, &rt->listeners) {
		doors++;
		sockets += container_of(l, struct live_listener,
		    link)->n_sockets;
	}
	list_each(l, tmp, &rt->upstreams)
		pools++;
	for (i = 0; i < c->gen->conf->n_listeners; i++)
		for (j = 0; j < c->listeners[i].n_sockets; j++)
			sockets += c->listeners[i].sockets[j].n;
	for (i = 0; c->after != NULL && i < c->after->gen->conf->n_listeners;
	    i++)
		for (j = 0; j < c->after->listeners[i].n_sockets; j++)
			sockets += c->after->listeners[i].sockets[j].n;
	c->orders = calloc(rt->n_lanes, sizeof(*c->orders));
	if (c->orders == NULL)
		return -1;
	for (i = 0; i < rt->n_lanes; i++) {
		c->orders[i] = order_new(c->gen, doors, sockets, pools);
		if (c->orders[i] == NULL)
			return -1;
	}
	return 0;
}

static struct change *
prepare(struct runtime *rt, struct conf *conf, const struct change *after,
    char *why, size_t size)
{
	struct change *c = calloc(1, sizeof(*c));
	size_t i;

	snprintf(why, size, "out of memory");
	if (c == NULL)
		return NULL;
	c->rt = rt;
	c->after = after;
	c->gen = generation_new(rt, conf);
	c->listeners = calloc(conf->n_listeners + 1, sizeof(*c->listeners));
	c->upstreams = calloc(conf->n_upstreams + 1, sizeof(*c->upstreams));
	if (c->gen == NULL || c->listeners == NULL || c->upstreams == NULL)
		goto fail;
	for (i = 0; i < conf->n_upstreams; i++)
		if (prepare_upstream(c, &conf->upstreams[i],
		    &c->upstreams[i]) < 0)
			goto fail;
	for (i = 0; i < conf->n_listeners; i++)
		if (prepare_listener(c, &conf->listeners[i],
		    &c->listeners[i], why, size) < 0)
			goto fail;
	if (prepare_orders(c) < 0) {
		snprintf(why, size, "out of memory");
		goto fail;
	}
	c->after = NULL;
	return c;
fail:
	change_abandon(c);
	return NULL;
}

struct change *
change_prepare(struct runtime *rt, struct conf *conf, char *why, size_t size)
{
	return prepare(rt, conf, NULL, why, size);
}

struct change *
change_prepare_back(struct runtime *rt, struct conf *conf,
    const struct change *after, char *why, size_t size)
{
	return prepare(rt, conf, after, why, size);
}

/* ------------------------------------------------------- what is to be held */

static const struct new_listener *
listener_in(const struct change *c, const struct live_listener *ll)
{
	size_t i;

	for (i = 0; c != NULL && i < c->gen->conf->n_listeners; i++)
		if (c->listeners[i].ll == ll)
			return &c->listeners[i];
	return NULL;
}

static bool is_wanted(const struct change *c, const struct addr *addr);
static bool has_socket(const struct new_listener *nl, const struct addr *addr);

/* One that ll has, and will go on to have. */
static int
hold_socket(struct new_listener *nl, const struct live_socket *from)
{
	struct live_socket *more = realloc(nl->sockets,
	    (nl->n_sockets + 1) * sizeof(*more));
	int *live;

	if (more == NULL)
		return -1;
	nl->sockets = more;
	live = malloc(from->n * sizeof(*live));
	if (live == NULL)
		return -1;
	memcpy(live, from->live, from->n * sizeof(*live));
	more[nl->n_sockets] = *from;
	more[nl->n_sockets].live = live;
	more[nl->n_sockets++].fds = NULL;
	return 0;
}

int
change_hold(struct change *c, const struct change *back)
{
	size_t i, j;

	for (i = 0; i < c->gen->conf->n_listeners; i++) {
		struct new_listener *nl = &c->listeners[i];
		const struct new_listener *was = listener_in(back, nl->ll);

		for (j = 0; was != NULL && j < nl->ll->n_sockets; j++) {
			const struct live_socket *sock = &nl->ll->sockets[j];

			if (!is_wanted(c, &sock->addr) &&
			    has_socket(was, &sock->addr) &&
			    hold_socket(nl, sock) < 0)
				return -1;
		}
	}
	return 0;
}

static void
free_rest(struct change *c)
{
	free(c->listeners);
	free(c->upstreams);
	free(c->orders);
	free(c);
}

static void
abandon_listener(struct change *c, struct new_listener *nl)
{
	size_t i;

	for (i = 0; nl->sockets != NULL && i < nl->n_sockets; i++) {
		struct live_socket *sock = &nl->sockets[i];
		struct live_listener *owner = NULL;

		/* What was bound for this change alone leaves no file. */
		if (sock->fds != NULL && sock->fds[0] >= 0 &&
		    !sock->inherited && sock->addr.sa.sa_family == AF_UNIX &&
		    bound_at(c->rt, &sock->addr, &owner) == NULL)
			(void)unlink(sock->addr.un.sun_path);
		close_fds(sock);
		free(sock->live);
	}
	free(nl->sockets);
	if (nl->is_new && nl->ll != NULL)
		live_listener_free(nl->ll);
}

void
change_abandon(struct change *c)
{
	size_t i, n_l = 0, n_u = 0;

	if (c->gen != NULL) {
		n_l = c->gen->conf->n_listeners;
		n_u = c->gen->conf->n_upstreams;
		c->gen->conf = NULL;
	}
	for (i = 0; c->listeners != NULL && i < n_l; i++)
		abandon_listener(c, &c->listeners[i]);
	for (i = 0; c->upstreams != NULL && i < n_u; i++)
		if (c->upstreams[i].is_new && c->upstreams[i].lu != NULL)
			live_upstream_free(c->upstreams[i].lu);
	for (i = 0; c->orders != NULL && i < c->rt->n_lanes; i++)
		if (c->orders[i] != NULL)
			order_free(c->orders[i]);
	generation_free(c->gen);
	free_rest(c);
}

/* ------------------------------------------------------------------ commit */

/* Did connections begin, verify the server or log in in another way? */
static bool
is_changed(const struct conf_upstream *was, const struct conf_upstream *now)
{
	return was != NULL && (was->send_proxy != now->send_proxy ||
	    !tls_client_alike(was->tls.client, now->tls.client) ||
	    (now->proto->alike != NULL &&
	    !now->proto->alike(was->own, now->own)));
}

static void
order_pool(struct change *c, struct live_upstream *lu, struct roster *r,
    bool identity_changed)
{
	size_t i;

	for (i = 0; i < c->rt->n_lanes; i++) {
		struct order *o = c->orders[i];

		o->pools[o->n_pools++] = (struct pool_order){
		    .pool = lu->upstream->pools[i], .conf = lu->conf,
		    .identity_changed = identity_changed,
		    .roster = r != NULL ? roster_keep(r) : NULL };
	}
}

static void
order_socket(struct change *c, struct live_listener *ll,
    const struct live_socket *sock, const int *fds)
{
	size_t i, n = fds != NULL ? sock->n : c->rt->n_lanes;

	for (i = 0; i < n; i++) {
		size_t lane = i % c->rt->n_lanes;
		struct order *o = c->orders[lane];

		if (fds != NULL && fds[i] < 0)
			continue;
		o->sockets[o->n_sockets++] = (struct socket_order){
		    .door = ll->listener->doors[lane], .addr = sock->addr,
		    .fd = fds != NULL ? fds[i] : -1, .shared = sock->shared };
	}
}

static void
order_door(struct change *c, struct live_listener *ll, bool hold)
{
	size_t i;

	for (i = 0; i < c->rt->n_lanes; i++) {
		struct order *o = c->orders[i];

		o->doors[o->n_doors++] = (struct door_order){
		    .door = ll->listener->doors[i], .conf = ll->conf,
		    .hold = hold };
	}
}

static void
configure(struct change *c, struct live_upstream *lu,
    const struct conf_upstream *conf)
{
	bool changed = is_changed(lu->conf, conf);

	/* What the weir before still sends was made as it was before. */
	if (changed && upgrade_has_other(c->rt))
		atomic_store(&lu->upstream->alike, false);
	if (live_upstream_configure(lu, conf) < 0)
		log_error(lu->upstream->name, "out of memory: not all of its "
		    "endpoints are used");
	order_pool(c, lu, lu->roster, changed);
}

static void
commit_upstreams(struct change *c)
{
	const struct change *back = c->back;
	struct generation *gen = c->gen;
	struct list *l, *tmp;
	size_t i;

	list_each(l, tmp, &c->rt->upstreams) {
		struct live_upstream *lu =
		    container_of(l, struct live_upstream, link);

		lu->stays = false;
		lu->held = NULL;
	}
	for (i = 0; back != NULL && i < back->gen->conf->n_upstreams; i++)
		back->upstreams[i].lu->held = &back->gen->conf->upstreams[i];
	for (i = 0; i < gen->conf->n_upstreams; i++) {
		struct live_upstream *lu = c->upstreams[i].lu;

		lu->stays = true;
		gen->upstreams[i] = lu->upstream;
		configure(c, lu, &gen->conf->upstreams[i]);
	}
	list_each(l, tmp, &c->rt->upstreams) {
		struct live_upstream *lu =
		    container_of(l, struct live_upstream, link);

		if (lu->stays || lu->conf == NULL)
			continue;
		/* What it was in between, waiting for a confirmation that never
		   came, ends with that snapshot. */
		if (lu->held != NULL && lu->held != lu->conf)
			configure(c, lu, lu->held);
		if (lu->held != NULL)
			continue;
		lu->last_number = gen->number - 1;
		live_upstream_leave(lu);
		order_pool(c, lu, NULL, false);
	}
}

/* Is the address still somebody's in the new snapshot? */
static bool
is_wanted(const struct change *c, const struct addr *addr)
{
	size_t i, j;

	for (i = 0; i < c->gen->conf->n_listeners; i++)
		for (j = 0; j < c->listeners[i].n_sockets; j++)
			if (addr_equal(&c->listeners[i].sockets[j].addr, addr))
				return true;
	return false;
}

static bool
has_socket(const struct new_listener *nl, const struct addr *addr)
{
	size_t i;

	for (i = 0; nl != NULL && i < nl->n_sockets; i++)
		if (addr_equal(&nl->sockets[i].addr, addr))
			return true;
	return false;
}

/* Close what ll listened on and does not any more; nl NULL = all of it. */
static void
close_old_sockets(struct change *c, struct live_listener *ll,
    const struct new_listener *nl)
{
	size_t i;

	for (i = 0; i < ll->n_sockets; i++) {
		struct live_socket *sock = &ll->sockets[i];

		if (!has_socket(nl, &sock->addr))
			order_socket(c, ll, sock, NULL);
		if (sock->addr.sa.sa_family == AF_UNIX && !sock->foreign &&
		    !is_wanted(c, &sock->addr) &&
		    (c->back == NULL || !is_wanted(c->back, &sock->addr)))
			(void)unlink(sock->addr.un.sun_path);
		free(sock->live);
	}
	free(ll->sockets);
	ll->sockets = NULL;
	ll->n_sockets = 0;
}

/* It stays open, but for the addresses that have gone over to others. */
static void
hold_listener(struct change *c, struct live_listener *ll)
{
	size_t i, n = 0;

	for (i = 0; i < ll->n_sockets; i++) {
		struct live_socket *sock = &ll->sockets[i];

		if (is_wanted(c, &sock->addr)) {
			order_socket(c, ll, sock, NULL);
			free(sock->live);
		} else
			ll->sockets[n++] = *sock;
	}
	ll->n_sockets = n;
	order_door(c, ll, true);
}

static void
commit_listeners(struct change *c)
{
	struct generation *gen = c->gen;
	struct list *l, *tmp;
	size_t i, j;

	list_each(l, tmp, &c->rt->listeners)
		container_of(l, struct live_listener, link)->stays = false;
	for (i = 0; i < gen->conf->n_listeners; i++) {
		struct new_listener *nl = &c->listeners[i];
		struct live_listener *ll = nl->ll;

		ll->stays = true;
		ll->conf = &gen->conf->listeners[i];
		close_old_sockets(c, ll, nl);
		ll->sockets = nl->sockets;
		ll->n_sockets = nl->n_sockets;
		order_door(c, ll, false);
		for (j = 0; j < ll->n_sockets; j++) {
			struct live_socket *sock = &ll->sockets[j];

			if (sock->fds == NULL || c->rt->withheld)
				continue;
			order_socket(c, ll, sock, sock->fds);
			free(sock->fds);
			sock->fds = NULL;
		}
	}
	list_each(l, tmp, &c->rt->listeners) {
		struct live_listener *ll =
		    container_of(l, struct live_listener, link);

		if (ll->stays || ll->conf == NULL)
			continue;
		if (listener_in(c->back, ll) != NULL) {
			hold_listener(c, ll);
			continue;
		}
		ll->conf = NULL;
		ll->last_number = gen->number - 1;
		close_old_sockets(c, ll, NULL);
		order_door(c, ll, false);
	}
}

/* Of the same facts as the one before it is the same snapshot to people. */
static void
number(struct generation *gen, const struct runtime *rt)
{
	const struct generation *before = rt->gen;

	if (before == NULL)
		gen->number = rt->number_before + 1;
	else if (before->conf != gen->conf)
		gen->number = before->number + 1;
	else {
		gen->number = before->number;
		gen->at_s = before->at_s;
	}
}

void
change_commit(struct change *c, const struct change *back)
{
	struct runtime *rt = c->rt;
	size_t i;

	c->back = back;
	number(c->gen, rt);
	/* Until lanes have left this snapshot, pools and doors that are not in
	   it go by the one that had them. */
	if (back != NULL)
		c->gen->held = conf_keep(back->gen->conf);
	list_append(&rt->generations, &c->gen->link);
	commit_upstreams(c);
	commit_listeners(c);
	rt->gen = c->gen;
	for (i = 0; i < rt->n_lanes; i++)
		worker_post(&rt->lanes[i]->worker, &c->orders[i]->mail);
	free_rest(c);
}

void
change_open_doors(struct runtime *rt)
{
	struct list *l, *tmp;
	size_t i, k;

	rt->withheld = false;
	list_each(l, tmp, &rt->listeners) {
		struct live_listener *ll =
		    container_of(l, struct live_listener, link);

		for (i = 0; i < ll->n_sockets; i++) {
			struct live_socket *sock = &ll->sockets[i];

			for (k = 0; sock->fds != NULL && k < sock->n; k++)
				if (sock->fds[k] >= 0)
					lane_post_socket(rt->lanes[k %
					    rt->n_lanes], ll->listener,
					    sock->fds[k], sock);
			free(sock->fds);
			sock->fds = NULL;
		}
	}
}

void
change_unlink_sockets(struct runtime *rt)
{
	struct list *l, *tmp;
	size_t i;

	if (!rt->owns_files)
		return;
	list_each(l, tmp, &rt->listeners) {
		struct live_listener *ll =
		    container_of(l, struct live_listener, link);

		for (i = 0; i < ll->n_sockets; i++)
			if (ll->sockets[i].addr.sa.sa_family == AF_UNIX &&
			    !ll->sockets[i].foreign)
				(void)unlink(
				    ll->sockets[i].addr.un.sun_path);
	}
}
