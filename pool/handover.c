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
#include "pool/site.h"

/* -------------------------------------------------------------- on their way */

struct handed *
handed_new(size_t len)
{
	struct handed *h = calloc(1, sizeof(*h) + len);

	if (h == NULL)
		return NULL;
	list_init(&h->link);
	h->fd = -1;
	h->len = len;
	return h;
}

static void
handed_free(struct handed *h)
{
	list_remove(&h->link);
	if (h->fd >= 0)
		close(h->fd);
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

unsigned
handover_coming(const struct upstream *up, const struct conf_upstream *conf)
{
	return up->alike && peer_lets_go(up) && conf->tls.client == NULL ?
	    upstream_elsewhere(up) : 0;
}

static bool
may_go(const struct upconn *u)
{
	return !shelf_is_keyed(u->shelf) && u->mark == MARK_CLEAN &&
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

static struct handed *
describe(const struct upconn *u)
{
	const struct endpoint *e = u->shelf->site->endpoint;
	const struct pool *p = u->pool;
	struct handed *h = handed_new(u->conn.in.len);
	size_t at, len;

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
	for (at = 0; at < h->len; at += len) {
		const char *bytes = buf_at(&u->conn.in, at, &len);

		memcpy(h->bytes + at, bytes, len);
	}
	return h;
}

/* As upconn_close(), but that the socket stays open and its place taken. */
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
	quota_free(p->upstream, p, u->quota);
	shelf_left(sh);
	worker_late(p->worker, &u->late, release);
	return h;
}

/* The next idle one behind `at` of which that holds. */
static struct upconn *
next_idle(struct pool *p, struct list **at, int64_t idle_ms)
{
	int64_t since = p->worker->now_ns - idle_ms * NS_PER_MS;

	while (*at != &p->upconns) {
		struct upconn *u = container_of(*at, struct upconn, all);

		*at = (*at)->next;
		if (u->state == UPCONN_IDLE && u->since_ns <= since)
			return u;
	}
	return NULL;
}

void
handover_take_out(struct pool *p, unsigned most, int64_t idle_ms,
    struct list *out)
{
	struct list *at = p->upconns.next;
	struct upconn *u;
	struct handed *h;

	if (!handover_is_possible(p))
		return;
	while (most > 0 && (u = next_idle(p, &at, idle_ms)) != NULL) {
		if (!may_go(u))
			continue;
		h = take_out(u);
		if (h == NULL)
			return;
		list_append(out, &h->link);
		most--;
	}
}

void
handover_make_room(struct pool *p, unsigned most)
{
	struct list *at = p->upconns.next;
	bool nested = p->serving;
	struct upconn *u;

	/* Those places are for who waits there: nobody here is served by them. */
	p->serving = true;
	while (most > 0 && (u = next_idle(p, &at, 0)) != NULL) {
		if (handover_is_possible(p) && may_go(u))
			continue;
		upconn_close(u, DISCARD_OTHER_KEY);
		most--;
	}
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

void
handover_adopt(struct pool *p, struct handed *h)
{
	struct site *site = handover_is_possible(p) && !p->retired &&
	    !is_odd(p, h) ? site_of(p, h) : NULL;
	struct upconn *u = NULL;

	upstream_slot_receive(p->upstream);
	if (site != NULL && endpoint_slot_take(site->endpoint)) {
		u = upconn_adopt(site, h);
		if (u == NULL)
			endpoint_slot_free(site->endpoint);
	}
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
