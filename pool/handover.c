/*
 * From process to process. See handover.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/handover.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pool/balance.h"
#include "pool/opening.h"
#include "pool/quota.h"

/* -------------------------------------------------------------- on their way */

struct handed *
handed_new(size_t key_len, size_t packed_len, size_t len)
{
	struct handed *h = calloc(1, sizeof(*h) + key_len + packed_len + len);

	if (h == NULL)
		return NULL;
	list_init(&h->link);
	h->fd = -1;
	h->key_len = key_len;
	h->packed_len = packed_len;
	h->len = len;
	return h;
}

void
handed_free(struct handed *h)
{
	list_remove(&h->link);
	if (h->fd >= 0)
		close(h->fd);
	/* Keys have secrets. */
	explicit_bzero(h->bytes, handed_size(h));
	free(h);
}

void
handed_drop(struct handed *h)
{
	upstream_slot_free(h->upstream);
	handed_free(h);
}

void
handed_going(struct handed *h, bool goes)
{
	if (goes)
		upstream_slot_send(h->upstream);
	else
		upstream_slot_keep(h->upstream);
}

void
handed_sent(struct handed *h)
{
	handed_free(h);
}

/* ------------------------------------------------------------------- leaving */

static bool
peer_lets_go(const struct upstream *up)
{
	const struct peer_ops *peer = up->peer;

	return peer->adopt != NULL ||
	    (peer->state_size == 0 && peer->greet == NULL);
}

bool
handover_is_possible(const struct pool *p)
{
	return p->upstream->cap != NULL && p->upstream->alike &&
	    peer_lets_go(p->upstream) && p->conf != NULL &&
	    p->conf->tls.client == NULL;
}

/* Sent, so that their places are ours, but not with a pool yet. */
static unsigned
on_the_way(const struct upstream *up)
{
	unsigned own = up->cap != NULL ? cap_own(up->cap, up->side) : 0;
	unsigned open = atomic_load(&up->open);

	return own > open ? own - open : 0;
}

/* What the other one has and its clients do not come back for. */
static unsigned
spare_elsewhere(const struct upstream *up)
{
	unsigned n = upstream_elsewhere(up);
	unsigned needed = up->cap != NULL ?
	    atomic_load(&up->cap->needed[!up->side]) : 0;

	return n > needed ? n - needed : 0;
}

unsigned
handover_coming(const struct upstream *up, const struct conf_upstream *conf)
{
	/* All that such protocols keep warm has a key. */
	bool keys = up->keys_go || up->peer->warm_key == NULL;

	return up->alike && keys && peer_lets_go(up) &&
	    conf->tls.client == NULL ? spare_elsewhere(up) + on_the_way(up) :
	    0;
}

static bool
may_go(const struct upconn *u, bool with_keys)
{
	const struct shelf *sh = u->shelf;

	return (sh->key_len == 0 || (with_keys &&
	    u->pool->upstream->peer->is_key != NULL &&
	    sh->key_len <= HANDOVER_KEY_MOST)) &&
	    sh->preface_len == 0 && u->mark == MARK_CLEAN &&
	    u->holds == 0 && conn_ssl(&u->conn) == NULL &&
	    u->conn.out.len == 0 && !u->conn.eof && !u->conn.broken &&
	    u->conn.in.len <= HANDOVER_BYTES_MOST &&
	    upconn_overdue(u) == N_DISCARDS;
}

static void
release(struct worker *w, struct late *l)
{
	(void)w;
	free(container_of(l, struct upconn, late));
}

/* Its key, what is packed, and what has not been read. */
static struct handed *
gather(const struct upconn *u, const void *packed, size_t packed_len)
{
	const struct shelf *sh = u->shelf;
	struct handed *h = handed_new(sh->key_len, packed_len, u->conn.in.len);
	size_t at, len;
	char *to;

	if (h == NULL)
		return NULL;
	if (h->key_len > 0)
		memcpy(h->bytes, sh->key, h->key_len);
	if (packed_len > 0)
		memcpy(h->bytes + h->key_len, packed, packed_len);
	to = h->bytes + h->key_len + packed_len;
	for (at = 0; at < h->len; at += len) {
		const char *bytes = buf_at(&u->conn.in, at, &len);

		memcpy(to + at, bytes, len);
	}
	return h;
}

static struct handed *
describe(struct upconn *u)
{
	const struct peer_ops *peer = u->pool->upstream->peer;
	const struct endpoint *e = u->shelf->site->endpoint;
	const struct pool *p = u->pool;
	void *packed = NULL;
	struct handed *h;
	size_t len = 0;

	if (peer->pack != NULL) {
		packed = peer->pack(u, &len);
		if (packed == NULL)
			return NULL;
	}
	h = gather(u, packed, len);
	if (packed != NULL)
		explicit_bzero(packed, len);
	free(packed);
	if (h == NULL)
		return NULL;
	h->upstream = p->upstream;
	snprintf(h->name, sizeof(h->name), "%s", e->name);
	h->addr = e->addr;
	h->id = u->id;
	h->uses = u->uses;
	h->age_ms = (p->worker->now_ns - u->born_ns) / NS_PER_MS;
	h->idle_ms = (p->worker->now_ns - u->since_ns) / NS_PER_MS;
	h->hint_ms = u->idle_hint_ms;
	return h;
}

/* As upconn_close(), but that the socket stays open and its place taken. NULL:
   it cannot go. */
static struct handed *
take_out(struct upconn *u)
{
	struct handed *h = describe(u);
	struct pool *p = u->pool;
	struct shelf *sh = u->shelf;

	if (h == NULL)
		return NULL;
	h->fd = conn_fd(&u->conn);
	conn_detach(&u->conn);
	u->conn.open = false;
	buf_clear(&p->worker->blocks, &u->conn.in);
	upconn_set_state(u, UPCONN_CLOSED);
	if (p->upstream->peer->fini != NULL)
		p->upstream->peer->fini(u);
	list_remove(&u->all);
	endpoint_slot_free(sh->site->endpoint);
	upconn_need_not(u, p->upstream);
	quota_free(p->upstream, p, u->quota);
	shelf_left(sh);
	worker_late(p->worker, &u->late, release);
	return h;
}

/* With 0 ms it is wanted whoever may use it here. */
static bool
is_spare(const struct upconn *u, int64_t idle_ms)
{
	if (u->needed && idle_ms > 0 && idle_ms < HANDOVER_NEEDED_MS)
		idle_ms = HANDOVER_NEEDED_MS;
	return u->state == UPCONN_IDLE && u->since_ns <=
	    u->pool->worker->now_ns - idle_ms * NS_PER_MS;
}

/* The next one behind `at` of which that holds. */
static struct upconn *
next_idle(struct pool *p, struct list **at, int64_t idle_ms)
{
	while (*at != &p->upconns) {
		struct upconn *u = container_of(*at, struct upconn, all);

		*at = (*at)->next;
		if (is_spare(u, idle_ms))
			return u;
	}
	return NULL;
}

unsigned
handover_take_out(struct pool *p, unsigned most, int64_t idle_ms,
    bool with_keys, struct list *out)
{
	struct list *at = p->upconns.next;
	struct upconn *u;
	struct handed *h;
	unsigned n = 0;

	if (!handover_is_possible(p))
		return 0;
	while (n < most && (u = next_idle(p, &at, idle_ms)) != NULL) {
		h = may_go(u, with_keys) ? take_out(u) : NULL;
		if (h == NULL)
			continue;
		list_append(out, &h->link);
		n++;
	}
	return n;
}

void
handover_make_room(struct pool *p, unsigned most, enum discard why)
{
	struct list *at = p->upconns.next;
	bool nested = p->serving;
	struct upconn *u;

	/* Those places are for who waits there: nobody here is served by them. */
	p->serving = true;
	for (; most > 0 && (u = next_idle(p, &at, 0)) != NULL; most--)
		upconn_close(u, why);
	p->serving = nested;
}

/* -------------------------------------------------------------------- coming */

static struct site *
site_of(struct pool *p, const struct handed *h)
{
	struct list *l;

	for (l = p->sites.next; l != &p->sites; l = l->next) {
		struct site *site = container_of(l, struct site, link);

		if (site->current && addr_equal(&site->endpoint->addr,
		    &h->addr) && strcmp(site->endpoint->name, h->name) == 0)
			return site;
	}
	return NULL;
}

/* Bytes on one that nobody may have left any on. */
static bool
is_odd(const struct pool *p, const struct handed *h)
{
	return h->len > 0 && (h->uses > 0 ||
	    p->conf->pool.span != CONF_SPAN_SESSION);
}

static bool
has_good_key(const struct pool *p, const struct handed *h)
{
	const struct peer_ops *peer = p->upstream->peer;

	return h->key_len == 0 || (peer->is_key != NULL &&
	    peer->is_key(h->bytes, h->key_len));
}

/* With a place at its endpoint, and in the groups of its key. */
static struct upconn *
take_in(struct site *site, const struct handed *h)
{
	struct quota *quota[POOL_GROUPS];
	struct pool *p = site->pool;
	struct upconn *u;

	if (!endpoint_slot_take(site->endpoint))
		return NULL;
	if (quota_take_if_free(p, h->bytes, h->key_len, quota)) {
		u = upconn_adopt(site, h);
		if (u != NULL) {
			memcpy(u->quota, quota, sizeof(quota));
			return u;
		}
		quota_free(p->upstream, p, quota);
	}
	endpoint_slot_free(site->endpoint);
	return NULL;
}

void
handover_adopt(struct pool *p, struct handed *h)
{
	bool good = handover_is_possible(p) && !p->retired && !h->stale &&
	    !is_odd(p, h) && has_good_key(p, h);
	struct site *site = good ? site_of(p, h) : NULL;
	struct upconn *u;

	upstream_slot_receive(p->upstream);
	u = site != NULL ? take_in(site, h) : NULL;
	if (u == NULL) {
		count_add(&p->closes, 1);
		count_add(&p->discards[DISCARD_ENDPOINT_GONE], 1);
		handed_drop(h);
		pool_serve(p);
		return;
	}
	h->fd = -1;
	handed_free(h);
	upconn_settle(u);
}
