/*
 * Shared connections. See share.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/share.h"

#include <string.h>

#include "pool/site.h"

void
share_begin(struct upconn *u)
{
	if (!list_linked(&u->shared))
		list_append(&u->shelf->shared, &u->shared);
}

void
share_end(struct upconn *u)
{
	list_remove(&u->shared);
}

static unsigned
room_on(const struct upconn *u)
{
	return u->pool->upstream->peer->room(u);
}

static bool
is_usable(const struct upconn *u)
{
	return u->mark == MARK_CLEAN && !u->conn.eof && !u->conn.broken &&
	    upconn_overdue(u) == N_DISCARDS;
}

void
share_again(struct upconn *u)
{
	const struct list *l;
	int64_t n = 0;

	if (u->state != UPCONN_LEASED || u->alone)
		return;
	for (l = u->shelf->shared.next; l != &u->shelf->shared; l = l->next)
		n++;
	if (n < u->pool->conf->pool.shared && is_usable(u))
		share_begin(u);
}

static unsigned
riders_of(const struct upconn *u)
{
	const struct list *l;
	unsigned n = 0;

	for (l = u->riders.next; l != &u->riders; l = l->next)
		n++;
	return n;
}

static bool
is_emptier(const struct upconn *u, const struct upconn *than)
{
	return riders_of(u) < riders_of(than);
}

/* a->fresh: of one that was made since it asked others may have been first. All
   who rode on one that died ask at once, and one new one is for them all. */
static bool
is_stale(const struct ask *a, const struct upconn *u)
{
	return a->fresh && u->uses > 0 && u->born_ns < a->since_ns;
}

struct upconn *
share_find(struct ask *a, struct site *site, bool *coming)
{
	struct shelf *sh = shelf_find(site, a->key, a->key_len);
	struct upconn *best = NULL;
	struct list *l, *tmp;
	int64_t n = 0;

	*coming = false;
	if (sh == NULL)
		return NULL;
	list_each(l, tmp, &sh->shared) {
		struct upconn *u = container_of(l, struct upconn, shared);

		if (u->state == UPCONN_LEASED && unlikely(!is_usable(u))) {
			/* It leaves when the last of its riders has. */
			share_end(u);
			continue;
		}
		if (is_stale(a, u))
			continue;
		n++;
		if (u->state == UPCONN_LEASED && room_on(u) > 0 &&
		    (best == NULL || is_emptier(u, best)))
			best = u;
	}
	/* Another may be opened while there are fewer than `shared`, but only
	   when those that there are carry somebody. */
	if (n >= a->pool->conf->pool.shared || (best == NULL && n > 0)) {
		*coming = best == NULL;
		return best;
	}
	return NULL;
}

struct ask *
share_next(struct upconn *u)
{
	const struct shelf *sh = u->shelf;
	struct pool *p = u->pool;
	bool open = list_linked(&u->shared);
	struct list *l;

	if (list_empty(&p->asks) || u->mark != MARK_CLEAN)
		return NULL;
	for (l = p->asks.next; l != &p->asks; l = l->next) {
		struct ask *a = container_of(l, struct ask, link);

		if (a->with == u)
			return a;
		if (open && a->share && a->with == NULL && !is_stale(a, u) &&
		    a->key_len == sh->key_len && (a->key_len == 0 ||
		    memcmp(a->key, sh->key, a->key_len) == 0) &&
		    ask_wants(a, sh->site))
			return a;
	}
	return NULL;
}

void
share_grant(struct upconn *u)
{
	struct ask *a;

	if (u->busy || u->state == UPCONN_CLOSED)
		return;
	/* Who is granted may give back at once: it goes home after all. */
	u->busy = true;
	while (u->state != UPCONN_CLOSED && room_on(u) > 0 &&
	    (a = share_next(u)) != NULL)
		ask_grant(a, u);
	share_dealt_with(u);
}

void
share_dealt_with(struct upconn *u)
{
	u->busy = false;
	if (u->state == UPCONN_LEASED && list_empty(&u->riders))
		upconn_home(u);
}

void
share_refuse(struct upconn *u, enum refusal why, int error, const char *said)
{
	struct pool *p = u->pool;
	uint64_t newest = p->asks_seq;
	struct ask *a;

	/* Those who begin to wait from now on, perhaps in the very callbacks,
	   have another try. */
	while ((a = share_next(u)) != NULL && a->seq <= newest &&
	    a->opening == NULL) {
		a->failed = u->shelf->site->endpoint;
		a->said = said;
		ask_refuse(a, why, error);
	}
}

void
share_forget(struct upconn *u)
{
	struct pool *p = u->pool;
	struct list *l, *tmp;

	share_end(u);
	if (p->followers == 0)
		return;
	list_each(l, tmp, &p->asks) {
		struct ask *a = container_of(l, struct ask, link);

		if (a->with != u)
			continue;
		a->with = NULL;
		p->followers--;
		if (a->lasts && !a->pins)
			a->pins = upstream_pin_take(p->upstream);
	}
}
