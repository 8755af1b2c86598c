/*
 * Between workers. See transfer.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/transfer.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pool/adapt.h"
#include "pool/balance.h"
#include "pool/quota.h"
#include "pool/site.h"

/* A connection, a place or a wish on its way to a pool. Freed on arrival. */
struct parcel {
	struct mail mail;
	struct pool *to;
	struct pool *from;              /* a wish's */
	struct upconn *u;
	struct endpoint *endpoint;      /* u's, one reference */
	size_t key_len, preface_len;    /* of u */
	unsigned char key[];
};

static struct parcel *
parcel_new(struct pool *to, size_t key_size,
    void (*deliver)(struct worker *, struct mail *), void (*drop)(struct mail *))
{
	struct parcel *parcel = calloc(1, sizeof(*parcel) + key_size);

	if (parcel == NULL)
		return NULL;
	parcel->mail.deliver = deliver;
	parcel->mail.drop = drop;
	parcel->to = to;
	return parcel;
}

static struct parcel *
parcel_of(struct mail *m)
{
	return container_of(m, struct parcel, mail);
}

/* ------------------------------------------------------------- connections */

/* The end of a connection that belongs to no shelf at the moment. */
static void
upconn_end_in_transit(struct parcel *parcel)
{
	struct upconn *u = parcel->u;
	struct quota *quota[POOL_GROUPS];
	struct block_store any;

	/* A greeting may have come along; its blocks are nobody's here. */
	block_store_init(&any);
	buf_clear(&any, &u->conn.in);
	block_store_fini(&any);
	close(conn_fd(&u->conn));
	memcpy(quota, u->quota, sizeof(quota));
	if (parcel->to->upstream->peer->fini != NULL)
		parcel->to->upstream->peer->fini(u);
	upconn_need_not(u, parcel->to->upstream);
	free(u);
	endpoint_slot_free(parcel->endpoint);
	upstream_slot_free(parcel->to->upstream);
	quota_free(parcel->to->upstream, NULL, quota);
	endpoint_drop(parcel->endpoint);
	free(parcel);
}

static void
upconn_dropped(struct mail *m)
{
	upconn_end_in_transit(parcel_of(m));
}

/* What came may have been of no use, or gone to somebody older for whom another
   was opening. */
static void
wish_again(struct pool *p)
{
	if (pool_in_need(p) > 0)
		transfer_wanted(p);
}

static void
upconn_arrived(struct worker *w, struct mail *m)
{
	struct parcel *parcel = parcel_of(m);
	struct pool *p = parcel->to;
	struct upconn *u = parcel->u;
	struct site *site = pool_site_of(p, parcel->endpoint);
	struct shelf *sh = NULL;

	/* The shelf last: one that is made stays for what comes onto it. */
	if (site != NULL && site->current && u->identity == p->identity &&
	    conn_is_quiet(&u->conn))
		sh = shelf_get(site, parcel->key, parcel->key_len,
		    parcel->preface_len);
	if (sh == NULL) {
		count_add(&p->closes, 1);
		upconn_end_in_transit(parcel);
		pool_serve(p);
		wish_again(p);
		return;
	}
	u->pool = p;
	u->shelf = sh;
	pool_publish(p, &p->idle, 1);
	site->idle++;
	sh->open++;
	site->open++;
	list_append(&p->upconns, &u->all);
	conn_attach(&u->conn, w);
	endpoint_drop(parcel->endpoint);
	free(parcel);
	upconn_settle(u);
	wish_again(p);
}

bool
transfer_idle(struct upconn *u)
{
	struct pool *to = pool_elder(u->pool);
	struct shelf *sh = u->shelf;
	struct parcel *parcel;

	if (to == NULL)
		return false;
	parcel = parcel_new(to, sh->key_len + sh->preface_len, upconn_arrived,
	    upconn_dropped);
	if (parcel == NULL)
		return false;
	parcel->key_len = sh->key_len;
	parcel->preface_len = sh->preface_len;
	memcpy(parcel->key, sh->key, sh->key_len + sh->preface_len);
	parcel->u = u;
	parcel->endpoint = endpoint_keep(sh->site->endpoint);
	conn_detach(&u->conn);
	list_remove(&u->all);
	pool_publish(u->pool, &u->pool->idle, -1);
	sh->site->idle--;
	u->shelf = NULL;
	u->pool = NULL;
	shelf_left(sh);
	worker_post(to->worker, &parcel->mail);
	return true;
}

/* ------------------------------------------------------------------ places */

static void
slot_dropped(struct mail *m)
{
	upstream_slot_free(parcel_of(m)->to->upstream);
	free(parcel_of(m));
}

static void
slot_arrived(struct worker *w, struct mail *m)
{
	struct parcel *parcel = parcel_of(m);
	struct pool *p = parcel->to;

	(void)w;
	p->gifts++;             /* counted all the way: nobody can overtake */
	free(parcel);
	pool_serve(p);
}

void
transfer_slot(struct pool *p)
{
	struct pool *to;
	struct parcel *parcel;

	to = pool_elder(p);
	if (to == NULL || adapt_rests(p) || !upstream_slot_take(p->upstream))
		return;
	parcel = parcel_new(to, 0, slot_arrived, slot_dropped);
	if (parcel == NULL)
		upstream_slot_free(p->upstream);
	else
		worker_post(to->worker, &parcel->mail);
}

/* ------------------------------------------------------------------ wishes */

static void
wish_dropped(struct mail *m)
{
	free(parcel_of(m));
}

static void wish_arrived(struct worker *w, struct mail *m);

/* To the first worker from there on that has idle connections. */
static void
wish_on(struct pool *from, size_t i)
{
	struct upstream *up = from->upstream;

	for (; i < up->n_pools; i++) {
		struct pool *other = up->pools[i];
		struct parcel *parcel;

		if (other == from || atomic_load(&other->idle) == 0)
			continue;
		parcel = parcel_new(other, 0, wish_arrived, wish_dropped);
		if (parcel == NULL)
			return;
		parcel->from = from;
		worker_post(other->worker, &parcel->mail);
		return;
	}
}

/* The oldest idle connection goes, if others come first; of one that nobody may
   be given now, its place. If all have found use meanwhile, the next worker may
   still have some. */
static void
wish_arrived(struct worker *w, struct mail *m)
{
	struct parcel *parcel = parcel_of(m);
	struct pool *p = parcel->to, *from = parcel->from;
	struct list *l, *tmp;

	free(parcel);
	list_each(l, tmp, &p->upconns) {
		struct upconn *u = container_of(l, struct upconn, all);

		if (u->state != UPCONN_IDLE)
			continue;
		if (pool_elder(p) == NULL)
			break;
		if (!site_takes(u->shelf->site)) {
			if (!pool_wants_a_place(p))
				continue;
			upconn_close(u, DISCARD_OTHER_KEY);
			return;
		}
		upconn_take_idle(u);
		if (!transfer_idle(u))
			upconn_put_idle(u);
		return;
	}
	/* Those who came before ours may have been served meanwhile, when many
	   began to wait at one moment. */
	if (pool_in_need(p) > 0 && pool_elder(p) == NULL)
		pool_serve(p);
	wish_on(from, w->index + 1);
}

void
transfer_wanted(struct pool *p)
{
	wish_on(p, 0);
}

/* ------------------------------------------------------------------- turns */

static void
turn_arrived(struct worker *w, struct mail *m)
{
	struct parcel *parcel = parcel_of(m);
	struct pool *p = parcel->to;

	(void)w;
	free(parcel);
	/* First: what is told from now on is seen or told again. */
	atomic_store(&p->is_called, false);
	pool_ask_around(p);
}

/* If memory is short it looks around with its next tick. */
static void
call(struct pool *to)
{
	struct parcel *parcel;

	if (atomic_exchange(&to->is_called, true))
		return;
	parcel = parcel_new(to, 0, turn_arrived, wish_dropped);
	if (parcel != NULL)
		worker_post(to->worker, &parcel->mail);
	else
		atomic_store(&to->is_called, false);
}

static bool
is_idle_anywhere(const struct upstream *up)
{
	size_t i;

	for (i = 0; i < up->n_pools; i++)
		if (atomic_load(&up->pools[i]->idle) > 0)
			return true;
	return false;
}

void
transfer_turn(struct pool *p)
{
	struct upstream *up = p->upstream;
	size_t i;

	/* Nearly always nothing is while many wait: letters cost. */
	if (up->n_pools == 1 || !is_idle_anywhere(up))
		return;
	for (i = 0; i < up->n_pools; i++) {
		struct pool *other = up->pools[i];

		if (other != p &&
		    atomic_load(&other->oldest_ns) != INT64_MAX &&
		    pool_elder(other) == NULL)
			call(other);
	}
}
