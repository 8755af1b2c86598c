/*
 * Keys to endpoints. See shards.h.
 *
 * With on_down = "fail" the ring is what the file says, come what may: an
 * endpoint that is down, or has no address yet, has its keys, so that none is
 * ever written elsewhere.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/shards.h"

#include <stdlib.h>
#include <string.h>

#include "net/patient.h"
#include "pool/keyring.h"
#include "pool/lease.h"
#include "pool/site.h"

struct shard {
	char *label;
	struct endpoint *endpoint;      /* NULL = has no address yet */
	unsigned weight;
	bool backup;
	bool counts;                    /* is on the ring */
};

struct shards {
	enum conf_key_ring kind;
	enum conf_on_down on_down;
	enum conf_all_down when_all_down;
	struct roster *roster;          /* one reference */
	struct keyring *ring;           /* NULL = could not be made yet */
	size_t n;
	struct shard v[];
};

/* ------------------------------------------------------------------ making */

/* A name with several addresses, or SRV, is as many servers: twemproxy would
   have been told their addresses. */
static char *
label_of_address(const struct endpoint *e)
{
	struct conf_endpoint unnamed = { .name = e->name };
	const char *why;
	char *label;

	if (addr_text_parse(e->resolved, false, &unnamed.address, &why) == -1)
		return patient_copy(e->resolved);
	label = keyring_label(&unnamed);
	addr_text_fini(&unnamed.address);
	return label;
}

static int
add(struct shards *sh, const struct conf_endpoint *ce, struct endpoint *e,
    bool by_address)
{
	struct shard *s = &sh->v[sh->n];

	*s = (struct shard){ .endpoint = e, .weight = ce->weight,
	    .backup = ce->backup,
	    .label = by_address ? label_of_address(e) : keyring_label(ce) };
	if (s->label == NULL)
		return -1;
	sh->n++;
	return 0;
}

/* The endpoints of one in the file. A roster has them side by side. */
static int
add_all_of(struct shards *sh, const struct conf_endpoint *ce)
{
	const struct roster *r = sh->roster;
	size_t first = 0, n = 0;

	while (first < r->n && strcmp(r->v[first]->name, ce->name) != 0)
		first++;
	while (first + n < r->n && strcmp(r->v[first + n]->name, ce->name) == 0)
		n++;
	if (n == 0)
		return add(sh, ce, NULL, false);
	for (size_t i = 0; i < n; i++)
		if (add(sh, ce, r->v[first + i], n > 1 || ce->srv != NULL) < 0)
			return -1;
	return 0;
}

static bool
are_alike(const struct shards *a, const struct shards *b)
{
	if (a->kind != b->kind || a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (a->v[i].counts != b->v[i].counts ||
		    a->v[i].weight != b->v[i].weight ||
		    strcmp(a->v[i].label, b->v[i].label) != 0)
			return false;
	return true;
}

/* ----------------------------------------------------------------- looking */

/* The lowest ones that there are count, when those that do not are left out. */
enum rank { USABLE, BACKUP, TRIED, TRIED_BACKUP, NO_RANK };

static enum rank
rank_of(const struct shards *sh, const struct shard *s)
{
	unsigned bars;

	if (s->endpoint == NULL)
		return NO_RANK;
	bars = atomic_load_explicit(&s->endpoint->bars, memory_order_relaxed);
	if (bars == 0)
		return s->backup ? BACKUP : USABLE;
	if ((bars & (BAR_DRAIN | BAR_DOWN)) != 0 ||
	    sh->when_all_down != CONF_ALL_DOWN_TRY)
		return NO_RANK;
	return s->backup ? TRIED_BACKUP : TRIED;
}

static enum rank
lowest_rank(const struct shards *sh)
{
	enum rank lowest = NO_RANK;

	for (size_t i = 0; i < sh->n; i++) {
		enum rank rank = rank_of(sh, &sh->v[i]);

		if (rank < lowest)
			lowest = rank;
	}
	return lowest;
}

/* True when something of what the ring is made of has changed. */
static bool
note_changes(struct shards *sh)
{
	enum rank lowest = sh->on_down == CONF_ON_DOWN_REHASH ?
	    lowest_rank(sh) : NO_RANK;
	bool changed = false;

	for (size_t i = 0; i < sh->n; i++) {
		struct shard *s = &sh->v[i];
		bool counts = sh->on_down == CONF_ON_DOWN_FAIL ? !s->backup :
		    lowest < NO_RANK && rank_of(sh, s) == lowest;
		unsigned weight = s->endpoint == NULL ? s->weight :
		    atomic_load_explicit(&s->endpoint->weight,
		    memory_order_relaxed);

		changed = changed || counts != s->counts || weight != s->weight;
		s->counts = counts;
		s->weight = weight;
	}
	return changed;
}

static struct keyring *
ring_of(const struct shards *sh)
{
	struct keyring_node *nodes = patient_alloc((sh->n + 1) *
	    sizeof(*nodes));
	struct keyring *ring;

	if (nodes == NULL)
		return NULL;
	for (size_t i = 0; i < sh->n; i++)
		nodes[i] = (struct keyring_node){ .label = sh->v[i].label,
		    .weight = sh->v[i].weight, .usable = sh->v[i].counts };
	ring = keyring_new(sh->kind, nodes, sh->n);
	free(nodes);
	return ring;
}

bool
shards_look(struct shards *sh)
{
	if (!note_changes(sh) && sh->ring != NULL)
		return false;
	/* One that is not of these facts would send keys astray. */
	keyring_free(sh->ring);
	sh->ring = ring_of(sh);
	return true;
}

struct endpoint *
shards_find(const struct shards *sh, uint32_t hash)
{
	size_t at = sh->ring == NULL ? KEYRING_NONE :
	    keyring_find(sh->ring, hash);

	return at == KEYRING_NONE ? NULL : sh->v[at].endpoint;
}

bool
shards_takes(const struct shards *sh, const struct endpoint *e)
{
	enum rank lowest = lowest_rank(sh);

	for (size_t i = 0; i < sh->n; i++)
		if (sh->v[i].endpoint == e)
			return lowest < NO_RANK &&
			    rank_of(sh, &sh->v[i]) == lowest;
	return false;
}

/* ------------------------------------------------------------- life, death */

static struct shards *
make(const struct conf_upstream *conf, struct roster *roster)
{
	size_t n = conf->n_endpoints + roster->n;
	struct shards *sh = patient_zeroed(sizeof(*sh) + n * sizeof(sh->v[0]));

	if (sh == NULL)
		return NULL;
	sh->kind = conf->key_hash.ring;
	sh->on_down = conf->key_hash.on_down;
	sh->when_all_down = conf->when_all_down;
	sh->roster = roster_keep(roster);
	for (size_t i = 0; i < conf->n_endpoints; i++)
		if (add_all_of(sh, &conf->endpoints[i]) < 0) {
			shards_free(sh);
			return NULL;
		}
	return sh;
}

struct shards *
shards_new(const struct conf_upstream *conf, struct roster *roster,
    struct shards *old)
{
	struct shards *sh = make(conf, roster);

	if (sh != NULL) {
		(void)note_changes(sh);
		if (old != NULL && are_alike(sh, old)) {
			sh->ring = old->ring;
			old->ring = NULL;
		}
		(void)shards_look(sh);
	}
	shards_free(old);
	return sh;
}

void
shards_free(struct shards *sh)
{
	if (sh == NULL)
		return;
	for (size_t i = 0; i < sh->n; i++)
		free(sh->v[i].label);
	keyring_free(sh->ring);
	roster_drop(sh->roster);
	free(sh);
}

/* --------------------------------------------------------------- of a pool */

void
pool_shard(struct pool *p)
{
	/* Of one whose name has left the file the file says no more. */
	if (p->retired)
		return;
	if (p->conf->balance == CONF_KEY_HASH && p->roster != NULL) {
		p->shards = shards_new(p->conf, p->roster, p->shards);
		return;
	}
	shards_free(p->shards);
	p->shards = NULL;
}

void
pool_look_at_shards(struct pool *p)
{
	if (p->shards != NULL)
		(void)shards_look(p->shards);
	else
		pool_shard(p);
}

const struct endpoint *
pool_endpoint_of_key(const struct pool *p, uint32_t hash)
{
	if (p->shards == NULL || p->shards->kind == CONF_RING_RANDOM)
		return NULL;
	return shards_find(p->shards, hash);
}

bool
pool_next_shard(const struct pool *p, size_t *at, uint32_t *hash)
{
	const struct shards *sh = p->shards;

	if (sh == NULL || sh->kind == CONF_RING_RANDOM || sh->ring == NULL)
		return false;
	while (*at < sh->n)
		if (keyring_hash_of(sh->ring, (*at)++, hash))
			return true;
	return false;
}

bool
pool_shard_needs_place(const struct pool *p, const struct upconn *u)
{
	bool full = upstream_is_full(p->upstream);
	const struct list *l;

	for (l = p->asks.next; l != &p->asks; l = l->next) {
		const struct ask *a = container_of(l, const struct ask, link);
		const struct site *site;

		if (a->opening != NULL || a->awaits_quota || a->with != NULL ||
		    a->bound == NULL)
			continue;
		/* It has another key, or wants a fresh one. */
		if (a->bound == u->shelf->site->endpoint)
			return full || !site_has_room(u->shelf->site);
		site = full ? pool_site_of((struct pool *)p, a->bound) : NULL;
		if (site != NULL && site_has_room(site))
			return true;
	}
	return false;
}
