/*
 * What a lane has for all of its PostgreSQL clients: their numbers, their
 * statements, and what servers say of themselves.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "proxy/proto/postgres/seeded.h"

#include "proxy/proto/postgres/postgres.h"
#include "proxy/proto/postgres/scram.h"

enum {
	KNOWN_MOST = 1000,
	SLOT_BITS = 20,                 /* of a number: clients of a lane */
	SLOTS_MOST = 1 << (SLOT_BITS - 1)
};

/* A number that another process has given to a client. Owned by its session. */
struct pg_told {
	struct list link;               /* lane->told[] */
	struct session *s;
	uint32_t pid;
};

/* A greeting: of an upstream, to a key. */
struct pg_known {
	UT_hash_handle hh;
	struct pg_settings *welcome;    /* NULL = not yet */
	struct pg_scram_memo memo;      /* of its password */
	size_t len;
	char who[];                     /* the upstream's address, the key */
};

void
pg_lane_init(void *own, unsigned index)
{
	struct pg_lane *lane = own;
	size_t i;

	lane->index = index;
	for (i = 0; i < PG_TOLD_ROWS; i++)
		list_init(&lane->told[i]);
	pg_statements_init(&lane->statements, index);
	list_init(&lane->cancels);
	list_init(&lane->cancelling);
}

static void
forget(struct pg_lane *lane, struct pg_known *k)
{
	HASH_DEL(lane->known, k);
	pg_settings_drop(k->welcome);
	pg_scram_memo_wipe(&k->memo);
	explicit_bzero(k->who, k->len);         /* may have a password */
	free(k);
}

void
pg_lane_fini(void *own)
{
	struct pg_lane *lane = own;
	struct pg_known *k, *next;

	pg_cancel_fini(lane);
	pg_statements_fini(&lane->statements);
	HASH_ITER(hh, lane->known, k, next)
		forget(lane, k);
	free(lane->slots);
}

/* ---------------------------------------------------------------- greetings */

static struct pg_known *
known_new(const struct upstream *up, const struct pg_key *key)
{
	size_t size = pg_key_size(key), len = sizeof(up) + size;
	struct pg_known *k = calloc(1, sizeof(*k) + len);

	if (k == NULL)
		return NULL;
	k->len = len;
	memcpy(k->who, &up, sizeof(up));
	memcpy(k->who + sizeof(up), key, size);
	return k;
}

/* The one of that key; there is one afterwards, but where memory is short. */
static struct pg_known *
find(struct pg_lane *lane, const struct upstream *up,
    const struct pg_key *key)
{
	struct pg_known *k, *fresh = known_new(up, key);

	if (fresh == NULL)
		return NULL;
	HASH_FIND(hh, lane->known, fresh->who, fresh->len, k);
	if (k != NULL) {
		explicit_bzero(fresh->who, fresh->len);
		free(fresh);
		return k;
	}
	/* uthash keeps the order in which they came. */
	if (HASH_COUNT(lane->known) >= KNOWN_MOST)
		forget(lane, lane->known);
	HASH_ADD_KEYPTR(hh, lane->known, fresh->who, fresh->len, fresh);
	if (fresh->hh.tbl != NULL)
		return fresh;
	explicit_bzero(fresh->who, fresh->len);
	free(fresh);
	return NULL;
}

struct pg_settings *
pg_known_find(struct pg_lane *lane, const struct upstream *up,
    const struct pg_key *key)
{
	struct pg_known *k = find(lane, up, key);

	return k != NULL ? k->welcome : NULL;
}

struct pg_scram_memo *
pg_known_memo(struct pg_lane *lane, const struct upstream *up,
    const struct pg_key *key)
{
	struct pg_known *k = find(lane, up, key);

	return k != NULL ? &k->memo : NULL;
}

/* Without memory it is not remembered; who comes next asks again. */
void
pg_known_put(struct pg_lane *lane, const struct upstream *up,
    const struct pg_key *key, struct pg_settings *welcome)
{
	struct pg_known *k = find(lane, up, key);

	if (k != NULL)
		pg_settings_set(&k->welcome, welcome);
}

/* ------------------------------------------------------------------ numbers */

static int
more_slots(struct pg_lane *lane)
{
	uint32_t n = lane->n_slots > 0 ? lane->n_slots * 2 : 64, i;
	struct session **slots;

	if (n > SLOTS_MOST)
		return -1;
	slots = reallocarray(lane->slots, n, sizeof(struct session *));
	if (slots == NULL)
		return -1;
	for (i = lane->n_slots; i < n; i++)
		slots[i] = NULL;
	lane->slots = slots;
	lane->next_free = lane->n_slots;
	lane->n_slots = n;
	return 0;
}

int
pg_slot_take(struct session *s)
{
	struct pg_lane *lane = pg_lane(s);
	uint32_t i;

	/* From where the last one was found: seldom far. */
	for (i = 0; i < lane->n_slots; i++, lane->next_free++) {
		if (lane->next_free >= lane->n_slots)
			lane->next_free = 0;
		if (lane->slots[lane->next_free] == NULL)
			break;
	}
	if (i == lane->n_slots && more_slots(lane) < 0)
		return -1;
	lane->slots[lane->next_free] = s;
	pg_session(s)->slot = ++lane->next_free;
	return 0;
}

void
pg_slot_free(struct session *s)
{
	struct pg_session *ps = pg_session(s);

	if (ps->slot != 0)
		pg_lane(s)->slots[ps->slot - 1] = NULL;
	ps->slot = 0;
	if (ps->told == NULL)
		return;
	list_remove(&ps->told->link);
	atomic_fetch_sub_explicit(&pg_lane(s)->n_told, 1,
	    memory_order_relaxed);
	free(ps->told);
	ps->told = NULL;
}

/* Positive as a process's number, and never 0. */
uint32_t
pg_slot_pid(const struct session *s)
{
	return (uint32_t)pg_lane(s)->index << SLOT_BITS | pg_session(s)->slot;
}

struct session *
pg_slot_find(struct pg_lane *lane, uint32_t pid)
{
	uint32_t slot = pid & ((1u << SLOT_BITS) - 1);

	return slot > 0 && slot <= lane->n_slots ? lane->slots[slot - 1] : NULL;
}

unsigned
pg_slot_lane(uint32_t pid)
{
	return pid >> SLOT_BITS;
}

/* --------------------------------------------------- numbers from elsewhere */

/* Of a client that has come from another process another one may have the number
   here, or no lane may: it is looked up. */
static struct list *
row_of(struct pg_lane *lane, uint32_t pid)
{
	return &lane->told[pid % PG_TOLD_ROWS];
}

static bool
has_secret(const struct session *s, const void *secret, size_t len)
{
	const struct pg_session *ps = pg_session(s);
	size_t has = ps->minor >= 2 ? PG_SECRET : 4;

	return len == has && CRYPTO_memcmp(ps->secret, secret, len) == 0;
}

struct session *
pg_told_find(struct pg_lane *lane, uint32_t pid, const char *secret,
    size_t secret_len)
{
	struct session *s = pg_slot_lane(pid) == lane->index ?
	    pg_slot_find(lane, pid) : NULL;
	const struct list *row = row_of(lane, pid), *l;

	if (s != NULL && pg_session(s)->told == NULL &&
	    has_secret(s, secret, secret_len))
		return s;
	for (l = row->next; l != row; l = l->next) {
		struct pg_told *t = container_of(l, struct pg_told, link);

		if (t->pid == pid && has_secret(t->s, secret, secret_len))
			return t->s;
	}
	return NULL;
}

/* It has a number from elsewhere from now on, and none by its slot. */
int
pg_told_add(struct session *s, uint32_t pid)
{
	struct pg_session *ps = pg_session(s);
	const char *secret = (const char *)ps->secret;
	struct pg_told *t = malloc(sizeof(*t));
	struct pg_lane *lane = pg_lane(s);

	if (t == NULL)
		return -1;
	*t = (struct pg_told){ .s = s, .pid = pid };
	list_init(&t->link);
	ps->told = t;
	if (pg_told_find(lane, pid, secret, 4) != NULL ||
	    pg_told_find(lane, pid, secret, PG_SECRET) != NULL) {
		ps->told = NULL;
		free(t);
		return -1;
	}
	list_append(row_of(lane, pid), &t->link);
	atomic_fetch_add_explicit(&lane->n_told, 1, memory_order_relaxed);
	return 0;
}

uint32_t
pg_told_pid(const struct session *s)
{
	const struct pg_told *t = pg_session(s)->told;

	return t != NULL ? t->pid : pg_slot_pid(s);
}
