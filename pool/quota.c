/*
 * Caps for groups of keys. See quota.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>
/* Names come from clients: seeded with an address that they cannot know. */
#define HASH_FUNCTION(bytes, len, hash) \
	((hash) = (unsigned)XXH64(bytes, len, (uintptr_t)q))
#define HASH_NONFATAL_OOM 1

#include "pool/quota.h"

/* A group that has connections. Owned by quotas; its number of waiting pools is
   read without the mutex. */
struct quota {
	UT_hash_handle hh;
	unsigned open;
	_Atomic unsigned waiting;       /* pools that have found it full, and
					   have not been told since */
	bool *waits;                    /* by worker; behind the name */
	size_t len;
	char name[];
};

struct quotas {
	pthread_mutex_t mutex;
	size_t n_pools;
	struct quota *table[POOL_GROUPS];       /* uthash by name */
};

struct quotas *
quotas_new(size_t n_pools)
{
	struct quotas *q = calloc(1, sizeof(*q));

	if (q == NULL)
		return NULL;
	q->n_pools = n_pools;
	if (pthread_mutex_init(&q->mutex, NULL) == 0)
		return q;
	free(q);
	return NULL;
}

void
quotas_free(struct quotas *q)
{
	if (q == NULL)
		return;
	for (unsigned i = 0; i < POOL_GROUPS; i++) {
		struct quota *g, *tmp;

		HASH_ITER(hh, q->table[i], g, tmp) {
			HASH_DEL(q->table[i], g);
			free(g);
		}
	}
	pthread_mutex_destroy(&q->mutex);
	free(q);
}

/* ------------------------------------------------------------------- groups */

static struct quota *
find(struct quotas *q, unsigned i, const struct pool_group *name)
{
	struct quota *g;

	HASH_FIND(hh, q->table[i], name->name, name->len, g);
	return g;
}

static struct quota *
get(struct quotas *q, unsigned i, const struct pool_group *name)
{
	struct quota *g = find(q, i, name);

	if (g != NULL)
		return g;
	g = calloc(1, sizeof(*g) + name->len + q->n_pools);
	if (g == NULL)
		return NULL;
	g->len = name->len;
	memcpy(g->name, name->name, name->len);
	g->waits = (bool *)(g->name + name->len);
	HASH_ADD_KEYPTR(hh, q->table[i], g->name, g->len, g);
	if (g->hh.tbl == NULL) {
		free(g);
		return NULL;
	}
	return g;
}

static void
forget_if_empty(struct quotas *q, unsigned i, struct quota *g)
{
	if (g->open > 0)
		return;
	HASH_DEL(q->table[i], g);
	free(g);
}

static unsigned
groups_of(const struct upstream *up, const void *key, size_t len,
    struct pool_group out[POOL_GROUPS])
{
	unsigned n = up->peer->groups(key, len, out);

	return n < POOL_GROUPS ? n : POOL_GROUPS;
}

static int64_t
most_of(const struct pool *p, unsigned i)
{
	return i == POOL_GROUP_USER ? p->conf->pool.max_per_user :
	    p->conf->pool.max_per_database;
}

/* ------------------------------------------------------------------ letters */

/* To a pool that waits; freed on arrival. */
struct word {
	struct mail mail;
	struct pool *to;
	struct pool *from;              /* a wish's */
	size_t len;                     /* of a wish's key */
	unsigned char key[];
};

static struct word *
word_of(struct mail *m)
{
	return container_of(m, struct word, mail);
}

static void
word_dropped(struct mail *m)
{
	free(word_of(m));
}

static void
place_is_free(struct worker *w, struct mail *m)
{
	struct pool *p = word_of(m)->to;

	(void)w;
	free(word_of(m));
	p->quota_due = true;
	pool_serve(p);
}

/* If memory is short it finds out with the next tick. */
static void
post(struct pool *to, struct pool *from, const void *key, size_t len,
    void (*deliver)(struct worker *, struct mail *))
{
	struct word *word = malloc(sizeof(*word) + len);

	if (word == NULL)
		return;
	*word = (struct word){ .to = to, .from = from, .len = len,
	    .mail = { .deliver = deliver, .drop = word_dropped } };
	if (len > 0)
		memcpy(word->key, key, len);
	worker_post(to->worker, &word->mail);
}

static void wish_arrived(struct worker *w, struct mail *m);

/* To the first worker from there on that has idle connections. */
static void
wish_on(struct pool *from, const void *key, size_t len, size_t i)
{
	struct upstream *up = from->upstream;

	while (i < up->n_pools && (up->pools[i] == from ||
	    atomic_load(&up->pools[i]->idle) == 0))
		i++;
	if (i < up->n_pools)
		post(up->pools[i], from, key, len, wish_arrived);
}

/* ------------------------------------------------------------------- taking */

static bool
take(struct quotas *q, struct pool *p, unsigned i,
    const struct pool_group *name, struct quota **held, bool *wish)
{
	struct quota *g = get(q, i, name);

	if (g == NULL)
		return false;
	if (g->open < (uint64_t)most_of(p, i)) {
		g->open++;
		*held = g;
		return true;
	}
	/* Published first; then another worker may have one to give up. */
	if (wish != NULL && !g->waits[p->worker->index]) {
		g->waits[p->worker->index] = true;
		atomic_fetch_add(&g->waiting, 1);
		*wish = true;
	}
	return false;
}

/* wish NULL: nobody would wait. */
static bool
take_all(struct pool *p, const void *key, size_t len,
    struct quota *held[POOL_GROUPS], bool *wish)
{
	struct quotas *q = p->upstream->quotas;
	struct pool_group names[POOL_GROUPS] = { { NULL, 0 } };
	bool good = true;
	unsigned i, n;

	memset(held, 0, POOL_GROUPS * sizeof(*held));
	if (q == NULL)
		return true;
	n = groups_of(p->upstream, key, len, names);
	pthread_mutex_lock(&q->mutex);
	for (i = 0; i < n && good; i++)
		if (names[i].name != NULL)
			good = take(q, p, i, &names[i], &held[i], wish);
	/* What was taken before the one that is full. Nobody can have found
	   that full meanwhile. */
	for (i = 0; i < n && !good; i++)
		if (held[i] != NULL) {
			held[i]->open--;
			forget_if_empty(q, i, held[i]);
			held[i] = NULL;
		}
	pthread_mutex_unlock(&q->mutex);
	return good;
}

bool
quota_take(struct pool *p, const void *key, size_t len,
    struct quota *held[POOL_GROUPS])
{
	bool wish = false, good = take_all(p, key, len, held, &wish);

	if (wish)
		wish_on(p, key, len, 0);
	return good;
}

bool
quota_take_if_free(struct pool *p, const void *key, size_t len,
    struct quota *held[POOL_GROUPS])
{
	return take_all(p, key, len, held, NULL);
}

/* ------------------------------------------------------------------ freeing */

/* With the mutex: a group that becomes free, and empty, may be freed next. */
static void
tell_waiting(struct upstream *up, struct pool *here, struct quota *g)
{
	size_t i;

	if (atomic_load(&g->waiting) == 0)
		return;
	for (i = 0; i < up->n_pools; i++) {
		if (!g->waits[i])
			continue;
		g->waits[i] = false;
		if (up->pools[i] == here)
			here->quota_due = true;
		else
			post(up->pools[i], NULL, NULL, 0, place_is_free);
	}
	atomic_store(&g->waiting, 0);
}

void
quota_free(struct upstream *up, struct pool *here,
    struct quota *held[POOL_GROUPS])
{
	struct quotas *q = up->quotas;
	unsigned i;

	if (q == NULL)
		return;
	pthread_mutex_lock(&q->mutex);
	for (i = 0; i < POOL_GROUPS; i++) {
		struct quota *g = held[i];

		held[i] = NULL;
		if (g == NULL)
			continue;
		g->open--;
		tell_waiting(up, here, g);
		forget_if_empty(q, i, g);
	}
	pthread_mutex_unlock(&q->mutex);
}

/* ------------------------------------------------------------------ waiting */

/* It has the places that it holds: none of its groups can go away. */
bool
quota_is_wanted(const struct upconn *u)
{
	unsigned i;

	for (i = 0; i < POOL_GROUPS; i++)
		if (u->quota[i] != NULL && atomic_load(&u->quota[i]->waiting) >
		    0)
			return true;
	return false;
}

void
quota_await(struct ask *a, bool on)
{
	if (a->awaits_quota == on)
		return;
	a->awaits_quota = on;
	if (!list_linked(&a->link))
		return;
	a->pool->riding += on ? 1 : -1u;
	pool_publish_waiting(a->pool);
}

/* The groups of the key that are at their cap, as seen by p. */
static void
full_groups(struct pool *p, const void *key, size_t len,
    const struct quota *full[POOL_GROUPS])
{
	struct quotas *q = p->upstream->quotas;
	struct pool_group names[POOL_GROUPS] = { { NULL, 0 } };
	unsigned i, n = groups_of(p->upstream, key, len, names);

	memset(full, 0, POOL_GROUPS * sizeof(*full));
	pthread_mutex_lock(&q->mutex);
	for (i = 0; i < n; i++) {
		const struct quota *g = names[i].name != NULL ?
		    find(q, i, &names[i]) : NULL;

		if (g != NULL && g->open >= (uint64_t)most_of(p, i))
			full[i] = g;
	}
	pthread_mutex_unlock(&q->mutex);
}

/* The longest unused one of p in a full group of the key. */
static struct upconn *
victim_for(struct pool *p, const void *key, size_t len)
{
	const struct quota *full[POOL_GROUPS];
	struct upconn *victim = NULL;
	struct list *l;
	unsigned i;

	if (atomic_load_explicit(&p->idle, memory_order_relaxed) == 0)
		return NULL;
	full_groups(p, key, len, full);
	for (l = p->upconns.next; l != &p->upconns; l = l->next) {
		struct upconn *u = container_of(l, struct upconn, all);

		if (u->state != UPCONN_IDLE || (victim != NULL &&
		    victim->since_ns <= u->since_ns))
			continue;
		for (i = 0; i < POOL_GROUPS; i++)
			if (u->quota[i] != NULL && u->quota[i] == full[i])
				victim = u;
	}
	return victim;
}

struct upconn *
quota_victim(const struct ask *a)
{
	return victim_for(a->pool, a->key, a->key_len);
}

static void
wish_arrived(struct worker *w, struct mail *m)
{
	struct word *word = word_of(m);
	struct upconn *u = victim_for(word->to, word->key, word->len);

	if (u != NULL)
		upconn_close(u, DISCARD_OTHER_KEY);
	else
		wish_on(word->from, word->key, word->len, w->index + 1);
	free(word);
}

void
quota_look(struct pool *p)
{
	struct list *l;

	p->quota_due = false;
	for (l = p->asks.next; l != &p->asks; l = l->next)
		quota_await(container_of(l, struct ask, link), false);
}
