/*
 * Redis over several endpoints (balance = "key_hash"): where a command goes by
 * its keys, and those that may be taken apart when their keys are on several.
 *
 * A command without keys goes where the empty key is, so that PUBLISH and
 * SUBSCRIBE meet.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool/keyring.h"
#include "pool/shards.h"
#include "proxy/proto/redis/redis.h"

enum { FEW = 8 };                       /* keys that are usual */

bool
redis_is_placed(const struct session *s)
{
	return s->door->conf->upstream->balance == CONF_KEY_HASH;
}

static uint32_t
hash_of(const struct session *s, const char *key, size_t len)
{
	return keyring_hash(s->door->conf->upstream, key, len);
}

/* ------------------------------------------------------------- one or many */

/* Keys of a command, as many as fit in few, else in memory of their own. */
struct keys {
	struct resp_span few[FEW], *v;
	size_t n;
};

static int
keys_find(struct keys *k, const struct redis_command *row, const char *bytes,
    size_t len)
{
	k->v = k->few;
	k->n = redis_command_keys(row, bytes, len, k->few, FEW);
	if (k->n <= FEW)
		return 0;
	k->v = reallocarray(NULL, k->n, sizeof(*k->v));
	if (k->v == NULL)
		return -1;
	k->n = redis_command_keys(row, bytes, len, k->v, k->n);
	return 0;
}

static void
keys_fini(struct keys *k)
{
	if (k->v != k->few)
		free(k->v);
}

/* Of what nobody knows the first argument is the key: so it is with nearly all
   commands of modules. */
static uint32_t
hash_of_unknown(const struct session *s, const char *bytes)
{
	const struct resp_command *c = &redis_session(s)->command;

	return c->args > 1 ? hash_of(s, bytes + c->arg[1].at, c->arg[1].len) :
	    hash_of(s, "", 0);
}

/* Of one that is sent as it comes only the first arguments are there. */
uint32_t
redis_place_large(const struct session *s, const struct redis_command *row,
    const char *bytes)
{
	const struct resp_command *c = &redis_session(s)->command;
	unsigned at = row != NULL && row->first > 0 ? (unsigned)row->first : 1;

	if (row != NULL && row->keynum > 0)
		at = (unsigned)row->keynum + 1;
	return at < c->args && at < RESP_ARGS_KEPT ?
	    hash_of(s, bytes + c->arg[at].at, c->arg[at].len) :
	    hash_of(s, "", 0);
}

enum redis_place
redis_place(const struct session *s, const struct redis_command *row,
    const char *bytes, size_t len, uint32_t *hash)
{
	const struct pool *p = redis_pool(s);
	enum redis_place place = REDIS_PLACE_ONE;
	const struct endpoint *first;
	struct keys k;
	size_t i;

	if (row == NULL) {
		*hash = hash_of_unknown(s, bytes);
		return place;
	}
	if (keys_find(&k, row, bytes, len) < 0)
		return REDIS_PLACE_NO_MEMORY;
	*hash = hash_of(s, k.n > 0 ? bytes + k.v[0].at : "",
	    k.n > 0 ? k.v[0].len : 0);
	if (k.n == 0)
		return REDIS_PLACE_ANY;
	first = pool_endpoint_of_key(p, *hash);
	for (i = 1; i < k.n && place == REDIS_PLACE_ONE; i++)
		if (pool_endpoint_of_key(p, hash_of(s, bytes + k.v[i].at,
		    k.v[i].len)) != first)
			place = row->split != REDIS_SPLIT_NONE ?
			    REDIS_PLACE_SPLIT : REDIS_PLACE_CROSSED;
	/* What is pinned is at one of them. */
	if (s->kept != NULL && (place == REDIS_PLACE_SPLIT ||
	    first != s->kept->u->shelf->site->endpoint))
		place = REDIS_PLACE_CROSSED;
	keys_fini(&k);
	return place;
}

/* -------------------------------------------------------------------- split */

struct redis_split_up {
	size_t n_keys;
	uint8_t part[];                 /* of each key: which part has it */
};

/* The endpoints of the keys, in the order in which they are first named, and of
   each the hash of one key. */
struct places {
	const struct endpoint *v[PIPELINE_PARTS_MOST];
	uint32_t hash[PIPELINE_PARTS_MOST];
	uint32_t keys[PIPELINE_PARTS_MOST];
	unsigned n;
};

static unsigned
place_of(struct places *places, const struct endpoint *e, uint32_t hash)
{
	unsigned i;

	for (i = 0; i < places->n; i++)
		if (places->v[i] == e)
			return i;
	if (places->n == PIPELINE_PARTS_MOST)
		return PIPELINE_PARTS_MOST;
	places->v[i] = e;
	places->hash[i] = hash;
	places->keys[i] = 0;
	return places->n++;
}

static int
write_argument(struct block_store *store, struct buf *out, const char *bytes,
    const struct resp_span *a)
{
	char line[16];
	int n = snprintf(line, sizeof(line), "$%u\r\n", (unsigned)a->len);

	if (buf_append(store, out, line, (size_t)n) < 0 ||
	    buf_append(store, out, bytes + a->at, a->len) < 0 ||
	    buf_append(store, out, "\r\n", 2) < 0)
		return -1;
	return 0;
}

/* The command with those arguments that are part's: a key, and of MSET its
   value. */
static int
write_part(struct exchange *part, unsigned number,
    const struct redis_split_up *up, uint32_t keys, const char *bytes,
    size_t len)
{
	struct block_store *store = exchange_blocks(part);
	unsigned step = redis_of(part)->row->split == REDIS_SPLIT_OK ? 2 : 1;
	struct resp_args args;
	struct resp_span a;
	char line[16];
	size_t i;
	int n;

	resp_args_init(&args, bytes, len);
	n = snprintf(line, sizeof(line), "*%u\r\n", 1 + keys * step);
	if (!resp_args_next(&args, &a) ||
	    buf_append(store, &part->up, line, (size_t)n) < 0 ||
	    write_argument(store, &part->up, bytes, &a) < 0)
		return -1;
	for (i = 0; resp_args_next(&args, &a); i++)
		if (i / step < up->n_keys && up->part[i / step] == number &&
		    write_argument(store, &part->up, bytes, &a) < 0)
			return -1;
	return 0;
}

static int
make_part(struct exchange *x, unsigned number, const struct places *places,
    const char *bytes, size_t len)
{
	struct exchange *part = pipeline_part(x, &redis_pipeline);
	struct redis_exchange *rx;

	if (part == NULL)
		return -1;
	rx = redis_of(part);
	rx->row = redis_of(x)->row;
	rx->replies = 1;
	rx->hash = places->hash[number];
	part->up_end = true;
	return write_part(part, number, redis_of(x)->split,
	    places->keys[number], bytes, len);
}

/* Which key is where. NULL when out of memory, or at too many places. */
static struct redis_split_up *
take_apart(const struct session *s, const struct redis_command *row,
    const char *bytes, size_t len, struct places *places)
{
	struct redis_split_up *up = NULL;
	struct keys k;
	size_t i;

	places->n = 0;
	if (keys_find(&k, row, bytes, len) < 0)
		return NULL;
	up = malloc(sizeof(*up) + k.n);
	for (i = 0; up != NULL && i < k.n; i++) {
		uint32_t hash = hash_of(s, bytes + k.v[i].at, k.v[i].len);
		unsigned at = place_of(places,
		    pool_endpoint_of_key(redis_pool(s), hash), hash);

		if (at == PIPELINE_PARTS_MOST) {
			free(up);
			up = NULL;
			break;
		}
		up->part[i] = (uint8_t)at;
		places->keys[at]++;
	}
	if (up != NULL)
		up->n_keys = k.n;
	keys_fini(&k);
	return up;
}

int
redis_split(struct exchange *x, const char *bytes, size_t len)
{
	struct redis_exchange *rx = redis_of(x);
	struct places places;
	unsigned i;

	rx->split = take_apart(x->s, rx->row, bytes, len, &places);
	if (rx->split == NULL)
		return -1;
	for (i = 0; i < places.n; i++)
		if (make_part(x, i, &places, bytes, len) < 0)
			return -1;
	return 0;
}

/* --------------------------------------------------------------------- join */

/* Moves the first whole reply of `from`; -1 when it is none. */
static int
move_reply(struct block_store *store, struct buf *to, struct buf *from)
{
	enum parse got = PARSE_MORE;
	struct resp_reply r;
	const char *bytes;
	size_t len, used;

	resp_reply_init(&r);
	while (got == PARSE_MORE) {
		bytes = buf_front(from, &len);
		if (len == 0)
			return -1;
		got = resp_reply_feed(&r, bytes, len, &used);
		if (got == PARSE_BAD || buf_move(store, to, from, used) < 0)
			return -1;
	}
	return 0;
}

/* The first bytes, in one piece. */
static const char *
head_of(struct exchange *part, size_t *len)
{
	*len = part->down.len < 32 ? part->down.len : 32;
	return buf_flat(exchange_blocks(part), &part->down, *len);
}

/* One that failed answers for all: some of it may have been done. */
static struct exchange *
failed_part(struct exchange *x)
{
	struct piped *d = piped_of(x);
	struct list *l;

	for (l = d->parts.next; l != &d->parts; l = l->next) {
		struct exchange *part = container_of(l, struct exchange, link);
		size_t len;
		const char *head = head_of(part, &len);

		if (head == NULL || *head == '-')
			return part;
	}
	return NULL;
}

static int
join_sum(struct exchange *x)
{
	struct piped *d = piped_of(x);
	long long sum = 0;
	char line[32];
	struct list *l;
	int n;

	for (l = d->parts.next; l != &d->parts; l = l->next) {
		size_t len;
		const char *head = head_of(container_of(l, struct exchange,
		    link), &len);

		if (*head != ':')
			return -1;
		memcpy(line, head + 1, len - 1);
		line[len - 1] = '\0';
		sum += strtoll(line, NULL, 10);
	}
	n = snprintf(line, sizeof(line), ":%lld\r\n", sum);
	return buf_append(exchange_blocks(x), &x->down, line, (size_t)n);
}

/* Each part's array begins; what follows are its values. */
static int
open_arrays(struct exchange *x, struct exchange **parts)
{
	struct piped *d = piped_of(x);
	struct list *l;
	unsigned n = 0;

	for (l = d->parts.next; l != &d->parts; l = l->next) {
		size_t len;
		const char *head, *end;

		parts[n] = container_of(l, struct exchange, link);
		head = head_of(parts[n], &len);
		end = *head == '*' ? memchr(head, '\n', len) : NULL;
		if (end == NULL)
			return -1;
		buf_drop(exchange_blocks(x), &parts[n]->down,
		    (size_t)(end + 1 - head));
		n++;
	}
	return 0;
}

static int
join_values(struct exchange *x)
{
	const struct redis_split_up *up = redis_of(x)->split;
	struct exchange *parts[PIPELINE_PARTS_MOST];
	struct block_store *store = exchange_blocks(x);
	char line[32];
	size_t i;
	int n;

	n = snprintf(line, sizeof(line), "*%zu\r\n", up->n_keys);
	if (open_arrays(x, parts) < 0 ||
	    buf_append(store, &x->down, line, (size_t)n) < 0)
		return -1;
	for (i = 0; i < up->n_keys; i++)
		if (move_reply(store, &x->down, &parts[up->part[i]]->down) < 0)
			return -1;
	/* More than was asked for: nothing of it is to be believed. */
	for (i = 0; i < up->n_keys; i++)
		if (parts[up->part[i]]->down.len > 0)
			return -1;
	return 0;
}

int
redis_join(struct exchange *x)
{
	struct exchange *failed = failed_part(x);
	struct block_store *store = exchange_blocks(x);

	if (redis_of(x)->silent)
		return 0;
	if (failed != NULL)
		return buf_move(store, &x->down, &failed->down,
		    failed->down.len);
	switch (redis_of(x)->row->split) {
	case REDIS_SPLIT_SUM:
		return join_sum(x);
	case REDIS_SPLIT_VALUES:
		return join_values(x);
	case REDIS_SPLIT_OK:
		return buf_append(store, &x->down, "+OK\r\n", 5);
	case REDIS_SPLIT_NONE:
		break;
	}
	return -1;
}
