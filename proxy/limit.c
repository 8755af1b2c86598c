/*
 * Token buckets, for all and for each client; counts of connections; networks.
 * See limit.h.
 *
 * Of a bucket only the moment is kept at which it will be full again. A token
 * moves it by the time that the rate takes to make one; tokens are there as
 * long as it is not further ahead of now than the burst takes to be made.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/limit.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

/* A table that could not grow says so instead of ending the process. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

const char *const limit_names[N_LIMITS] = {
	[CONF_LIMIT_CONNECTIONS] = "connections",
	[CONF_LIMIT_CONNECTIONS_PER_CLIENT] = "connections_per_client",
	[CONF_LIMIT_CONNECTION_RATE] = "connection_rate",
	[CONF_LIMIT_CONNECTION_RATE_PER_CLIENT] = "connection_rate_per_client",
	[CONF_LIMIT_REQUEST_RATE] = "request_rate",
	[CONF_LIMIT_REQUEST_RATE_PER_CLIENT] = "request_rate_per_client",
	[CONF_LIMIT_BANDWIDTH_PER_CLIENT] = "bandwidth_per_client",
	[LIMIT_DENIED] = "denied",
	[LIMIT_MEMORY] = "memory",
	[LIMIT_DESCRIPTORS] = "descriptors"
};

#define NS_PER_MS INT64_C(1000000)
/* No debt and no wait is longer (73 years): sums of three do not overflow. */
#define MOST_NS (INT64_MAX / 4)
/* Workers' clocks are as old as their loop turns, so one may find a bucket
   filled from another's future. None is further behind than this. */
#define APART_NS (INT64_C(10000) * NS_PER_MS)

/* ------------------------------------------------------------------- costs */

/* What an amount of tokens means in time. */
struct price {
	int64_t cost_ns;        /* of the tokens wanted */
	int64_t burst_ns;       /* of a whole burst */
	int64_t room_ns;        /* they are there while the bucket is full no
				   later than so long from now */
};

/* The time that n tokens take to be made, rounded up: rounding is never in the
   client's favour, and is less than 1 ns for each call, not for each token. */
static int64_t
cost_ns(const struct conf_limit *l, uint64_t n)
{
	uint64_t per_ns = (uint64_t)(l->per_ms * NS_PER_MS), product;
	uint64_t most = (uint64_t)l->most;
	unsigned __int128 cost;

	if (l->most <= 0)
		return MOST_NS;
	if (!__builtin_mul_overflow(per_ns, n, &product))
		cost = product / most + (product % most != 0);
	else
		cost = ((unsigned __int128)per_ns * n + most - 1) / most;
	return cost > (uint64_t)MOST_NS ? MOST_NS : (int64_t)cost;
}

/*
 * A burst taken token by token has each of them rounded up and must still be
 * there whole. Where that would be much (tokens of a few ns: bytes) it is at
 * most 0.1 % more than the burst taken at once.
 */
static int64_t
burst_ns(const struct conf_limit *l)
{
	int64_t one = cost_ns(l, 1), whole, single;

	whole = cost_ns(l, (uint64_t)l->burst);
	whole += whole / 1000 + 1;
	if (__builtin_mul_overflow(one, l->burst, &single) || single > whole)
		single = whole;
	return single > MOST_NS ? MOST_NS : single;
}

/* More tokens than a burst has are there when the bucket is full. */
static struct price
price_of(const struct conf_limit *l, uint64_t n)
{
	struct price p = { cost_ns(l, n), burst_ns(l), 0 };

	if (p.burst_ns > p.cost_ns)
		p.room_ns = p.burst_ns - p.cost_ns;
	return p;
}

/*
 * When the bucket will be full, seen from now. A debt that these terms cannot
 * have made (the rate was lower before a reload: hours of it, maybe) counts as
 * an empty bucket. ahead_ns: how far beyond empty it can be.
 */
static int64_t
full_at(const struct price *p, int64_t full_ns, int64_t now_ns,
    int64_t ahead_ns)
{
	int64_t most = p->burst_ns > p->cost_ns ? p->burst_ns : p->cost_ns;

	most = now_ns + most + ahead_ns;
	if (full_ns <= now_ns)
		return now_ns;
	return full_ns > most + APART_NS ? most : full_ns;
}

/* ----------------------------------------------------------------- buckets */

/*
 * Takes p at once or at most ahead_ns from now. Returns how long that is, 0 or
 * less = now; more than ahead_ns = it was not taken.
 */
static int64_t
take(_Atomic int64_t *full_ns, const struct price *p, int64_t now_ns,
    int64_t ahead_ns)
{
	int64_t seen = atomic_load_explicit(full_ns, memory_order_relaxed);
	int64_t full, next, wait;

	do {
		full = full_at(p, seen, now_ns, ahead_ns);
		wait = full - now_ns - p->room_ns;
		next = wait <= ahead_ns ? full + p->cost_ns : full;
		if (wait > ahead_ns && full >= seen)
			break;          /* nothing to write */
	} while (!atomic_compare_exchange_weak_explicit(full_ns, &seen, next,
	    memory_order_relaxed, memory_order_relaxed));
	return wait;
}

int64_t
bucket_take(_Atomic int64_t *full_ns, const struct conf_limit *l,
    int64_t now_ns, uint64_t n)
{
	struct price p = price_of(l, n);
	int64_t wait;

	if (l->most <= 0)
		return MOST_NS;
	wait = take(full_ns, &p, now_ns, 0);
	return wait > 0 ? wait : 0;
}

int64_t
bucket_reserve(_Atomic int64_t *full_ns, const struct conf_limit *l,
    int64_t now_ns, int64_t most_ns, int64_t *ready_ns)
{
	struct price p = price_of(l, 1);
	int64_t wait;

	if (most_ns > MOST_NS)
		most_ns = MOST_NS;
	wait = l->most <= 0 ? MOST_NS : take(full_ns, &p, now_ns, most_ns);
	if (wait <= most_ns && l->most > 0)
		return wait > 0 ? wait : 0;
	*ready_ns = wait;
	return -1;
}

void
bucket_give_back(_Atomic int64_t *full_ns, const struct conf_limit *l)
{
	atomic_fetch_sub_explicit(full_ns, cost_ns(l, 1),
	    memory_order_relaxed);
}

int64_t
bucket_token_ns(const struct conf_limit *l)
{
	return cost_ns(l, 1);
}

/* Where a bucket is after it was made to owe p. */
static int64_t
owing(const struct price *p, int64_t full_ns, int64_t now_ns)
{
	int64_t full = full_ns > now_ns ? full_ns : now_ns;

	if (full - now_ns > MOST_NS - p->cost_ns)
		return now_ns + MOST_NS;
	return full + p->cost_ns;
}

static int64_t
pause_ns(const struct price *p, int64_t full_ns, int64_t now_ns)
{
	int64_t pause = full_ns - now_ns - p->burst_ns;

	return pause > 0 ? pause : 0;
}

int64_t
bucket_owe(_Atomic int64_t *full_ns, const struct conf_limit *l,
    int64_t now_ns, uint64_t n)
{
	struct price p = price_of(l, n);
	int64_t seen = atomic_load_explicit(full_ns, memory_order_relaxed);
	int64_t next;

	do {
		next = owing(&p, seen, now_ns);
	} while (!atomic_compare_exchange_weak_explicit(full_ns, &seen, next,
	    memory_order_relaxed, memory_order_relaxed));
	return pause_ns(&p, next, now_ns);
}

/* ------------------------------------------------------------- who it is */

/* The second word tells the kinds apart and makes none of them nobody. */
struct client_key
client_key_of(const struct addr_ip *ip)
{
	struct client_key k = { 0, 0 };

	if (ip->family == AF_INET) {
		memcpy(&k.a, ip->ip, 4);
		k.b = 4;
	} else if (ip->family == AF_INET6) {
		/* Whoever has an IPv6 address has its /64 (RFC 6177). */
		memcpy(&k.a, ip->ip, 8);
		k.b = 6;
	}
	return k;
}

/* Bytes that nobody outside knows: who could make two keys collide would make
   a stranger pay for him. */
struct secret {
	uint8_t bytes[XXH_SECRET_DEFAULT_SIZE];
};

static int
secret_make(struct secret *s)
{
	return getrandom(s->bytes, sizeof(s->bytes), 0) ==
	    (ssize_t)sizeof(s->bytes) ? 0 : -1;
}

/* Of the process, because keys are made where there is no table at hand and
   must be equal everywhere. Written once. */
static struct secret text_secret;
static pthread_once_t text_once = PTHREAD_ONCE_INIT;

/* Without random bytes texts still differ, only not secretly. */
static void
text_secret_make(void)
{
	if (secret_make(&text_secret) == -1)
		for (size_t i = 0; i < sizeof(text_secret.bytes); i++)
			text_secret.bytes[i] = (uint8_t)(i * 151 + 89);
}

struct client_key
client_key_text(const char *text, size_t len)
{
	XXH128_hash_t hash;

	pthread_once(&text_once, text_secret_make);
	hash = XXH3_128bits_withSecret(text, len, text_secret.bytes,
	    sizeof(text_secret.bytes));
	/* The lowest bit is what makes it somebody. */
	return (struct client_key){ hash.low64, hash.high64 | 1 };
}

static uint64_t
key_hash(const struct client_key *k, const struct secret *s)
{
	return XXH3_64bits_withSecret(k, sizeof(*k), s->bytes,
	    sizeof(s->bytes));
}

/* ------------------------------------------------------ buckets of clients */

enum {
	WAYS = 8,               /* entries that a client may stand in */
	LOCKS = 1024            /* a power of two */
};

/* Free when full_ns has passed: a full bucket has nothing to remember. */
struct entry {
	uint64_t hash;
	int64_t  full_ns;
};

struct bucket_table {
	struct secret secret;
	size_t mask;                    /* number of sets - 1 */
	_Atomic bool locks[LOCKS];      /* set i is under lock i % LOCKS */
	struct entry entries[];         /* WAYS of each set side by side */
};

struct bucket_table *
bucket_table_new(size_t entries)
{
	struct bucket_table *t;
	size_t sets = 1;

	while (sets < entries / WAYS + (entries % WAYS != 0)) {
		if (sets > SIZE_MAX / (4 * WAYS * sizeof(struct entry)))
			return NULL;
		sets *= 2;
	}
	t = calloc(1, sizeof(*t) + sets * WAYS * sizeof(t->entries[0]));
	if (t == NULL)
		return NULL;
	t->mask = sets - 1;
	if (secret_make(&t->secret) == -1) {
		free(t);
		return NULL;
	}
	return t;
}

void
bucket_table_free(struct bucket_table *t)
{
	free(t);
}

/* Held for some ten instructions; who holds it may have lost its processor,
   though, so spinning does not last. */
static struct entry *
set_lock(struct bucket_table *t, uint64_t hash)
{
	size_t set = (size_t)hash & t->mask;
	_Atomic bool *lock = &t->locks[set % LOCKS];
	unsigned spins = 0;

	while (atomic_exchange_explicit(lock, true, memory_order_acquire))
		while (atomic_load_explicit(lock, memory_order_relaxed))
			if (++spins % 64 == 0)
				sched_yield();
	return &t->entries[set * WAYS];
}

static void
set_unlock(struct bucket_table *t, uint64_t hash)
{
	size_t set = (size_t)hash & t->mask;

	atomic_store_explicit(&t->locks[set % LOCKS], false,
	    memory_order_release);
}

/*
 * The client's entry; else a free one; else that of the client who owes least.
 * Who loses his entry so finds, when he comes back, one that owes no less than
 * he did: nobody gains by being pushed out.
 */
static struct entry *
entry_of(struct entry *set, uint64_t hash, int64_t now_ns)
{
	struct entry *best = &set[0];
	unsigned i;

	for (i = 0; i < WAYS; i++) {
		if (set[i].hash == hash)
			return &set[i];
		if (best->full_ns > now_ns && set[i].full_ns < best->full_ns)
			best = &set[i];
	}
	return best;
}

int64_t
bucket_table_take(struct bucket_table *t, const struct client_key *k,
    const struct conf_limit *l, int64_t now_ns, uint64_t n)
{
	struct price p = price_of(l, n);
	uint64_t hash = key_hash(k, &t->secret);
	int64_t full, wait;
	struct entry *e;

	if (l->most <= 0)
		return MOST_NS;
	e = entry_of(set_lock(t, hash), hash, now_ns);
	full = full_at(&p, e->full_ns, now_ns, 0);
	wait = full - now_ns - p.room_ns;
	if (wait <= 0) {
		e->hash = hash;
		full += p.cost_ns;
	}
	/* Who got nothing has nothing to remember: the entry stays whose it
	   was, but without a debt from before a reload. */
	if (wait <= 0 || full < e->full_ns)
		e->full_ns = full;
	set_unlock(t, hash);
	return wait > 0 ? wait : 0;
}

int64_t
bucket_table_owe(struct bucket_table *t, const struct client_key *k,
    const struct conf_limit *l, int64_t now_ns, uint64_t n)
{
	struct price p = price_of(l, n);
	uint64_t hash = key_hash(k, &t->secret);
	int64_t full;
	struct entry *e;

	e = entry_of(set_lock(t, hash), hash, now_ns);
	full = owing(&p, e->full_ns, now_ns);
	e->hash = hash;
	e->full_ns = full;
	set_unlock(t, hash);
	return pause_ns(&p, full, now_ns);
}

/* -------------------------------------------------- connections of clients */

enum { SHARDS = 16 };           /* a power of two */

struct visitor {
	struct client_key key;
	uint64_t connections;   /* never 0 while it is in a shard */
	UT_hash_handle hh;
};

struct client_table {
	struct secret secret;
	struct shard {
		pthread_mutex_t mutex;
		struct visitor *visitors;       /* uthash by key */
	} shards[SHARDS];
};

struct client_table *
client_table_new(void)
{
	struct client_table *t = calloc(1, sizeof(*t));
	unsigned i;

	if (t == NULL)
		return NULL;
	if (secret_make(&t->secret) == -1) {
		free(t);
		return NULL;
	}
	for (i = 0; i < SHARDS; i++)
		pthread_mutex_init(&t->shards[i].mutex, NULL);
	return t;
}

void
client_table_free(struct client_table *t)
{
	struct visitor *v, *next;
	unsigned i;

	if (t == NULL)
		return;
	for (i = 0; i < SHARDS; i++) {
		HASH_ITER(hh, t->shards[i].visitors, v, next) {
			HASH_DEL(t->shards[i].visitors, v);
			free(v);
		}
		pthread_mutex_destroy(&t->shards[i].mutex);
	}
	free(t);
}

/* The low bits of the hash choose a bucket in the shard, so others do it. */
static struct shard *
shard_lock(struct client_table *t, uint64_t hash)
{
	struct shard *sh = &t->shards[hash >> 32 & (SHARDS - 1)];

	pthread_mutex_lock(&sh->mutex);
	return sh;
}

static struct visitor *
visitor_find(struct shard *sh, const struct client_key *k, unsigned hash)
{
	struct visitor *v;

	HASH_FIND_BYHASHVALUE(hh, sh->visitors, k, sizeof(*k), hash, v);
	return v;
}

/* NULL: out of memory. */
static struct visitor *
visitor_new(struct shard *sh, const struct client_key *k, unsigned hash)
{
	struct visitor *v = calloc(1, sizeof(*v));

	if (v == NULL)
		return NULL;
	v->key = *k;
	HASH_ADD_KEYPTR_BYHASHVALUE(hh, sh->visitors, &v->key, sizeof(v->key),
	    hash, v);
	if (v->hh.tbl == NULL) {        /* as HASH_NONFATAL_OOM says it */
		free(v);
		return NULL;
	}
	return v;
}

uint64_t
client_table_enter(struct client_table *t, const struct client_key *k)
{
	uint64_t hash = key_hash(k, &t->secret), n = 0;
	struct shard *sh = shard_lock(t, hash);
	struct visitor *v = visitor_find(sh, k, (unsigned)hash);

	if (v == NULL)
		v = visitor_new(sh, k, (unsigned)hash);
	if (v != NULL)
		n = ++v->connections;
	pthread_mutex_unlock(&sh->mutex);
	return n;
}

void
client_table_leave(struct client_table *t, const struct client_key *k)
{
	uint64_t hash = key_hash(k, &t->secret);
	struct shard *sh = shard_lock(t, hash);
	struct visitor *v = visitor_find(sh, k, (unsigned)hash);

	if (v != NULL && --v->connections == 0) {
		HASH_DEL(sh->visitors, v);
		free(v);
	}
	pthread_mutex_unlock(&sh->mutex);
}

/* --------------------------------------------------------- allow and deny */

/* The longest prefix that holds it; -1 = none does. */
static int
best_prefix(const struct conf_nets *nets, const struct addr_ip *ip)
{
	int best = -1;
	size_t i;

	for (i = 0; i < nets->n; i++)
		if (nets->v[i].bits > best && addr_net_holds(&nets->v[i], ip))
			best = nets->v[i].bits;
	return best;
}

bool
limit_admits(const struct conf_nets *allow, const struct conf_nets *deny,
    const struct addr_ip *ip)
{
	int yes, no;

	if (ip->family != AF_INET && ip->family != AF_INET6)
		return true;
	yes = best_prefix(allow, ip);
	no = best_prefix(deny, ip);
	if (yes == -1 && no == -1)
		return allow->n == 0;
	return yes > no;
}
