/*
 * memcached: what becomes of a client's request.
 *
 * Most go among those of others, with their heads written so that they are
 * answered. What is wrong is told here, in its turn, and so is what is about the
 * client's own connection.
 *
 * SPDX-License-Identifier: MIT
 */
#include <string.h>

#include "pool/keyring.h"
#include "proxy/proto/memcached/memcached.h"

void
memcached_request_taken(struct session *s)
{
	struct memcached_session *ms = memcached_session(s);

	ms->is_whole = false;
	memcached_request_init(&ms->request, ms->request.wire);
}

/* ------------------------------------------------------------------ answers */

/* What is there of the request is no more; its answer, in order, is this. */
static void
answer(struct session *s, const char *text, size_t len)
{
	struct memcached_request *r = &memcached_session(s)->request;
	struct exchange *x = pipeline_begin(s);

	buf_drop(&s->conn.w->blocks, &s->conn.in, (size_t)r->size);
	if (x == NULL || buf_append(exchange_blocks(x), &x->down, text,
	    len) < 0) {
		session_reset(s);
		return;
	}
	count_add(&s->door->requests, 1);
	memcached_of(x)->ask.command = r->command;
	pipeline_answer(x);
}

static void
answer_error(struct session *s)
{
	char text[MEMCACHED_ANSWER_MAX];

	answer(s, text, memcached_error_write(
	    &memcached_session(s)->request, text));
}

static void
answer_ours(struct session *s)
{
	struct memcached_request *r = &memcached_session(s)->request;
	char text[MEMCACHED_ANSWER_MAX];

	if (r->command == MEMCACHED_QUIT)
		s->leaving = true;
	answer(s, text, memcached_answer_write(r, text));
}

/* ------------------------------------------------------------------ sending */

/* May it be sent once more when nobody knows whether it was carried out? A meta
   get may be one that takes a lock (N, R). */
static bool
is_read(const struct memcached_request *r)
{
	return r->command == MEMCACHED_GET || r->command == MEMCACHED_GETS ||
	    r->command == MEMCACHED_ME || r->command == MEMCACHED_VERSION;
}

/* Of its first key, as the server knows that. */
static uint32_t
hash_of(const struct exchange *x, const struct memcached_request *r,
    const char *bytes)
{
	const struct conf_upstream *to = x->policy->upstream;
	const char *key = bytes + r->key.at;
	char plain[MEMCACHED_KEY_MAX];
	size_t len = r->key.len;

	if (to->balance != CONF_KEY_HASH || r->keys == 0)
		return 0;
	if (r->key_base64) {
		len = memcached_key_decode(key, r->key.len, plain);
		if (len == SIZE_MAX)
			len = r->key.len;
		else
			key = plain;
	}
	return keyring_hash(to, key, len);
}

/* Its head in x->up, in place of the one in the input. */
static int
rewrite(struct exchange *x, const struct memcached_request *r,
    const char *bytes)
{
	struct block_store *store = exchange_blocks(x);
	size_t room;
	char *out = buf_reserve(store, &x->up, r->head + 1, BUF_SMALL, &room);

	if (out == NULL)
		return -1;
	buf_commit(store, &x->up, memcached_head_write(r, bytes, out));
	buf_drop(store, &x->s->conn.in, r->head);
	memcached_of(x)->piped.size = r->size - r->head;
	return 0;
}

/* The request, as much of it as there is, becomes an exchange. NULL: it could
   not. */
static struct exchange *
begin(struct session *s, const char *bytes)
{
	const struct memcached_request *r = &memcached_session(s)->request;
	struct exchange *x = pipeline_begin(s);
	struct memcached_exchange *mx;

	if (x == NULL) {
		session_reset(s);
		return NULL;
	}
	mx = memcached_of(x);
	memcached_ask_init(&mx->ask, r, bytes);
	mx->hash = hash_of(x, r, bytes);
	mx->piped.size = r->size;
	mx->piped.holds = r->quiet != MEMCACHED_LOUD;
	mx->piped.keeps = is_read(r) && !r->rewrite &&
	    pipeline_of(s)->under_way == 1;
	x->up_end = true;
	if (r->rewrite && rewrite(x, r, bytes) < 0) {
		session_reset(s);
		return NULL;
	}
	return x;
}

/* As much of the request as has to be looked at, in one piece: its head, and in
   the binary protocol its key. */
static const char *
head_of(struct session *s)
{
	const struct memcached_request *r = &memcached_session(s)->request;
	size_t most = r->wire == MEMCACHED_BINARY ? r->key.at + r->key.len : 0;
	const char *bytes;

	if (most < r->head)
		most = r->head;
	bytes = buf_flat(&s->conn.w->blocks, &s->conn.in, most);
	if (bytes == NULL)
		session_reset(s);
	return bytes;
}

static bool
send_alone(struct session *s, bool streams)
{
	struct memcached_session *ms = memcached_session(s);
	const char *bytes;
	struct exchange *x;

	if (!pipeline_may_promote(s))
		return false;
	bytes = head_of(s);
	x = bytes != NULL ? begin(s, bytes) : NULL;
	if (x == NULL)
		return true;
	memcached_of(x)->is_alone = true;
	memcached_of(x)->breaks = ms->request.how == MEMCACHED_ALONE;
	if (streams)
		intake_stream(x);
	else
		memcached_request_taken(s);
	exchange_route(x, x->policy->upstream);
	return true;
}

static void
send_shared(struct session *s)
{
	const struct memcached_request *r = &memcached_session(s)->request;
	const char *bytes = head_of(s);
	struct exchange *x;

	if (bytes == NULL)
		return;
	if (memcached_spreads(s, r, bytes)) {
		memcached_spread(s, r, bytes);
		return;
	}
	x = begin(s, bytes);
	if (x == NULL)
		return;
	memcached_request_taken(s);
	exchange_route(x, x->policy->upstream);
}

bool
memcached_dispatch(struct session *s)
{
	struct memcached_session *ms = memcached_session(s);
	const struct memcached_request *r = &ms->request;

	if (r->error != NULL) {
		answer_error(s);
	} else if (r->how == MEMCACHED_OURS) {
		answer_ours(s);
	} else if (r->how == MEMCACHED_ALONE || (r->body > 0 &&
	    r->size > (uint64_t)memcached_conf(s)->share_max)) {
		return send_alone(s, false);
	} else {
		send_shared(s);
		return true;
	}
	if (!s->closed)
		memcached_request_taken(s);
	return true;
}

bool
memcached_dispatch_large(struct session *s)
{
	if (memcached_session(s)->request.error == NULL)
		return send_alone(s, true);
	pipeline_of(s)->discards = true;
	answer_error(s);
	return true;
}
