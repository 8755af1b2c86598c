/*
 * memcached: what concerns several endpoints (balance = "key_hash"). A get of
 * keys that lie at several is as many gets, whose replies become one in the
 * order of keys; flush_all goes to all that have keys.
 *
 * If a part has failed then so has the whole: a client that got the rest would
 * take the keys for missing.
 *
 * SPDX-License-Identifier: MIT
 */
#include <string.h>

#include "pool/keyring.h"
#include "pool/shards.h"
#include "proxy/generation.h"
#include "proxy/proto/memcached/memcached.h"
#include "proxy/runtime.h"

static const struct pool *
pool_of(const struct session *s)
{
	const struct door *d = s->door;

	return generation_upstream(d->gen, d->conf->upstream)->pools[
	    d->lane->worker.index];
}

static uint32_t
hash_of(const struct session *s, const char *bytes,
    const struct memcached_span *key)
{
	return keyring_hash(s->door->conf->upstream, bytes + key->at,
	    key->len);
}

static bool
has_several_shards(const struct session *s)
{
	const struct pool *p = pool_of(s);
	uint32_t hash;
	size_t at = 0, n = 0;

	while (n < 2 && pool_next_shard(p, &at, &hash))
		n++;
	return n == 2;
}

bool
memcached_spreads(const struct session *s, const struct memcached_request *r,
    const char *bytes)
{
	const struct pool *p;
	const struct endpoint *first;
	struct memcached_keys keys;
	struct memcached_span key;

	if (s->door->conf->upstream->balance != CONF_KEY_HASH)
		return false;
	if (r->command == MEMCACHED_FLUSH_ALL)
		return has_several_shards(s);
	if (r->keys < 2)
		return false;
	p = pool_of(s);
	memcached_keys_init(&keys, r, bytes);
	(void)memcached_keys_next(&keys, &key);
	first = pool_endpoint_of_key(p, hash_of(s, bytes, &key));
	while (memcached_keys_next(&keys, &key))
		if (pool_endpoint_of_key(p, hash_of(s, bytes, &key)) != first)
			return true;
	return false;
}

/* ------------------------------------------------------------------- parts */

static struct exchange *
part_new(struct exchange *x, uint32_t hash)
{
	struct exchange *part = pipeline_part(x, &memcached_pipeline);

	if (part == NULL)
		return NULL;
	memcached_of(part)->ask = memcached_of(x)->ask;
	memcached_of(part)->hash = hash;
	part->up_end = true;
	return part;
}

/* A request to the endpoints one by one, as it stands in x->up. */
static int
make_for_all(struct exchange *x)
{
	const char *head = buf_flat(exchange_blocks(x), &x->up, x->up.len);
	struct exchange *part;
	uint32_t hash;
	size_t at = 0;

	if (head == NULL)
		return -1;
	while (pool_next_shard(pool_of(x->s), &at, &hash)) {
		part = part_new(x, hash);
		if (part == NULL || buf_append(exchange_blocks(x), &part->up,
		    head, x->up.len) < 0)
			return -1;
	}
	return 0;
}

/* A get's parts while they are made. */
struct division {
	struct exchange *x;
	const char *line;
	struct memcached_request r;     /* of that line */
	unsigned n;
	const struct endpoint *endpoint[PIPELINE_PARTS_MOST];
	struct exchange *part[PIPELINE_PARTS_MOST];
};

/* What it begins with, where words stand apart by one space, is all that comes
   before the first key. -1 when out of memory. */
static int
part_begin(struct division *d, const struct endpoint *e, uint32_t hash,
    const struct memcached_span *key)
{
	struct memcached_request alone = d->r;
	struct exchange *part;

	part = part_new(d->x, hash);
	if (part == NULL)
		return -1;
	alone.keys = 1;
	alone.key = *key;
	memcached_ask_init(&memcached_of(part)->ask, &alone, d->line);
	d->endpoint[d->n] = e;
	d->part[d->n++] = part;
	return buf_append(exchange_blocks(part), &part->up, d->line,
	    d->r.key.at - 1);
}

enum { TOO_MANY = PIPELINE_PARTS_MOST };

/* The part of a key, by its number; -1 when out of memory; TOO_MANY. */
static int
part_of(struct division *d, const struct memcached_span *key)
{
	uint32_t hash = hash_of(d->x->s, d->line, key);
	const struct endpoint *e = pool_endpoint_of_key(pool_of(d->x->s), hash);
	unsigned i;

	for (i = 0; i < d->n && d->endpoint[i] != e; i++)
		;
	if (i == PIPELINE_PARTS_MOST)
		return TOO_MANY;
	if (i < d->n)
		memcached_of(d->part[i])->ask.key = 0;  /* more than one */
	else if (part_begin(d, e, hash, key) < 0)
		return -1;
	return buf_append(exchange_blocks(d->x), &d->part[i]->up,
	    d->line + key->at - 1, key->len + 1) < 0 ? -1 : (int)i;
}

/* The line is in x->up; behind it goes a byte for each key: its part. 0, or as
   part_of(). */
static int
make_by_keys(struct exchange *x)
{
	struct block_store *store = exchange_blocks(x);
	struct division d = { .x = x };
	struct memcached_keys keys;
	struct memcached_span key;
	size_t used, room, n = 0;
	char *parts;
	int i;

	d.line = buf_flat(store, &x->up, x->up.len);
	if (d.line == NULL)
		return -1;
	memcached_request_init(&d.r, MEMCACHED_TEXT);
	if (memcached_request_feed(&d.r, d.line, x->up.len, &used) !=
	    PARSE_DONE)
		return -1;
	parts = buf_reserve(store, &x->up, d.r.keys, BUF_SMALL, &room);
	if (parts == NULL)
		return -1;
	memcached_keys_init(&keys, &d.r, d.line);
	while (memcached_keys_next(&keys, &key)) {
		i = part_of(&d, &key);
		if (i < 0 || i == TOO_MANY)
			return i;
		parts[n++] = (char)i;
	}
	buf_commit(store, &x->up, n);
	for (unsigned at = 0; at < d.n; at++)
		if (buf_append(store, &d.part[at]->up, "\r\n", 2) < 0)
			return -1;
	return 0;
}

void
memcached_spread(struct session *s, const struct memcached_request *r,
    const char *bytes)
{
	struct block_store *store = &s->conn.w->blocks;
	struct exchange *x = pipeline_begin(s);
	bool by_keys = r->keys > 0;
	size_t body = (size_t)r->body, room;
	char *out;
	int got;

	out = x != NULL ? buf_reserve(store, &x->up, r->head + 1, BUF_SMALL,
	    &room) : NULL;
	if (out == NULL) {
		session_reset(s);
		return;
	}
	memcached_ask_init(&memcached_of(x)->ask, r, bytes);
	buf_commit(store, &x->up, memcached_head_write(r, bytes, out));
	buf_drop(store, &s->conn.in, r->head);
	/* In flush_all's packet: the time. */
	if (buf_move(store, &x->up, &s->conn.in, body) < 0) {
		session_reset(s);
		return;
	}
	x->up_end = true;
	memcached_request_taken(s);
	got = by_keys ? make_by_keys(x) : make_for_all(x);
	if (got == TOO_MANY)
		exchange_fail(x, FAIL_REPLY_TOO_LARGE);
	else if (got < 0)
		session_reset(s);
	else
		pipeline_route_parts(x);
}

/* -------------------------------------------------------------------- joining */

/* What is there of a reply, as far as its first block's line may reach. */
static const char *
front_of(struct exchange *part, size_t *len)
{
	*len = part->down.len < MEMCACHED_REPLY_KEPT ? part->down.len :
	    MEMCACHED_REPLY_KEPT;
	return buf_flat(exchange_blocks(part), &part->down, *len);
}

/* Of a get that failed at the server only the last line is left: what comes
   before it are values. */
static int
leave_error(struct exchange *part)
{
	const char *front, *space;
	size_t len, size;

	while ((front = front_of(part, &len)) != NULL) {
		space = len > 6 ? memchr(front + 6, ' ', len - 6) : NULL;
		size = space == NULL ? 0 : memcached_block_size(front, len,
		    front + 6, (size_t)(space - front) - 6);
		if (size == 0)
			return 0;
		buf_drop(exchange_blocks(part), &part->down, size);
	}
	return -1;
}

static struct exchange *
part_at(struct list *l)
{
	return container_of(l, struct exchange, link);
}

/* The first that failed; NULL. */
static struct exchange *
failed_part(const struct exchange *x)
{
	struct list *l, *tmp;

	list_each(l, tmp, &piped_of(x)->parts)
		if (part_at(l)->why != FAIL_NONE ||
		    memcached_of(part_at(l))->is_error)
			return part_at(l);
	return NULL;
}

static int
take_all(struct exchange *x, struct exchange *part)
{
	return buf_move(exchange_blocks(x), &x->down, &part->down,
	    part->down.len);
}

/* A server that has answered what it was not asked is not believed. */
static int
refuse_all(struct exchange *x)
{
	static const char text[] = "SERVER_ERROR weir: bad_response: the "
	    "upstream's answer is not valid\r\n";

	buf_clear(exchange_blocks(x), &x->down);
	return buf_append(exchange_blocks(x), &x->down, text,
	    sizeof(text) - 1);
}

/* Has each part's reply been taken but for its END? */
static bool
is_all_taken(const struct exchange *x)
{
	struct list *l, *tmp;

	list_each(l, tmp, &piped_of(x)->parts)
		if (part_at(l)->down.len != 5)
			return false;
	return true;
}

/* The block of a key, if it is there, from its part's reply. */
static int
take_block(struct exchange *x, struct exchange *part, const char *key,
    size_t key_len)
{
	size_t len, size;
	const char *front = front_of(part, &len);

	if (front == NULL)
		return -1;
	size = memcached_block_size(front, len, key, key_len);
	return size == 0 || size > part->down.len ? 0 :
	    buf_move(exchange_blocks(x), &x->down, &part->down, size);
}

static int
join_by_keys(struct exchange *x, const char *line,
    const struct memcached_request *r)
{
	struct exchange *part[PIPELINE_PARTS_MOST];
	const char *parts = line + r->size;
	struct memcached_keys keys;
	struct memcached_span key;
	struct list *l, *tmp;
	unsigned n = 0;

	list_each(l, tmp, &piped_of(x)->parts)
		part[n++] = part_at(l);
	memcached_keys_init(&keys, r, line);
	while (memcached_keys_next(&keys, &key))
		if (take_block(x, part[(uint8_t)*parts++], line + key.at,
		    key.len) < 0)
			return -1;
	return is_all_taken(x) ? buf_append(exchange_blocks(x), &x->down,
	    "END\r\n", 5) : refuse_all(x);
}

int
memcached_join(struct exchange *x)
{
	struct exchange *bad = failed_part(x);
	struct memcached_request r;
	const char *line;
	size_t used;

	if (bad != NULL)
		return (bad->why == FAIL_NONE && leave_error(bad) < 0) ? -1 :
		    take_all(x, bad);
	if (memcached_of(x)->ask.command == MEMCACHED_FLUSH_ALL)
		return take_all(x, part_at(list_first(&piped_of(x)->parts)));
	line = buf_flat(exchange_blocks(x), &x->up, x->up.len);
	if (line == NULL)
		return -1;
	memcached_request_init(&r, MEMCACHED_TEXT);
	if (memcached_request_feed(&r, line, x->up.len, &used) != PARSE_DONE)
		return -1;
	return join_by_keys(x, line, &r);
}
