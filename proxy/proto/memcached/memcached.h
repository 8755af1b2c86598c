/*
 * memcached: what its parts share. All clients' requests ride on common
 * connections as one pipeline (proxy/pipeline.h); one of a large value, and one
 * whose reply may lie, has a connection of its own while it lasts.
 *
 * A client has no state on its connection but the protocol that it speaks. A
 * memcached tells the two of them apart by a connection's first byte and then
 * for good, so that the pool's key says which.
 *
 * Every request that goes upstream has exactly one reply (write.h); what of it
 * the client is to see depends on what was asked (reply.h), and that is kept
 * with what is owed, for it outlives the client.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_MEMCACHED_MEMCACHED_H
#define PROXY_MEMCACHED_MEMCACHED_H

#include "proxy/intake.h"
#include "proxy/proto.h"
#include "proxy/proto/memcached/keys.h"
#include "proxy/proto/memcached/reply.h"
#include "proxy/proto/memcached/request.h"
#include "proxy/proto/memcached/write.h"

struct memcached_listener_conf {
	int64_t share_max;              /* bytes of a request with its value */
};

enum memcached_pin { MEMCACHED_PIN_LARGE, MEMCACHED_PIN_ALONE };

struct memcached_session {
	struct pipeline pipeline;       /* first */
	struct memcached_request request;       /* the one being read */
	bool is_whole;                  /* it is, and waits to be carried out */
};

struct memcached_exchange {
	struct piped piped;             /* first */
	struct memcached_ask ask;
	uint32_t hash;                  /* of its first key; key_hash */
	bool is_alone;
	bool breaks;                    /* its connection is closed after it */
	bool is_error;                  /* it was answered with an error */
	const char *error;              /* the client's own mistake, found when
					   part of it had been sent; NULL */
};

struct memcached_upconn {
	struct pipe pipe;               /* first */
	bool reading;
	struct memcached_reply reply;
};

static inline struct memcached_session *
memcached_session(const struct session *s)
{
	return session_state(s);
}

static inline struct memcached_exchange *
memcached_of(const struct exchange *x)
{
	return exchange_state(x);
}

static inline struct memcached_upconn *
memcached_upconn(struct upconn *u)
{
	return upconn_state_of(u);
}

static inline const struct memcached_listener_conf *
memcached_conf(const struct session *s)
{
	return s->door->conf->own;
}

/* dispatch.c: the request is whole and the first in s->conn.in. False: it has to
   wait, and stays. */
bool memcached_dispatch(struct session *s);
/* One above share_max, or refused, of which the first bytes have come. */
bool memcached_dispatch_large(struct session *s);
/* It has been carried out or sent on its way: read the next. */
void memcached_request_taken(struct session *s);

/* split.c: r's first bytes are at bytes, all of its head. Does it concern more
   than one endpoint? */
bool memcached_spreads(const struct session *s,
    const struct memcached_request *r, const char *bytes);
/* Then this sends it. It is no more in the input. */
void memcached_spread(struct session *s, const struct memcached_request *r,
    const char *bytes);
/* pipeline_ops.join */
int memcached_join(struct exchange *x);

extern const struct front_ops memcached_front;
extern const struct back_ops memcached_back;
extern const struct peer_ops memcached_peer;
extern const struct pipeline_ops memcached_pipeline;
extern const struct proto proto_memcached;

#endif
