/*
 * Idle connections that go from one process to another, when one weir takes
 * over from the other: out of a pool here, into a pool there. What carries them
 * is somebody else's.
 *
 * Those go of which the protocol can say what they are (peer_ops.pack, adopt),
 * and none that are encrypted, or began with words about a client. With keys
 * they only go to a process that has said that it knows of keys.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef POOL_HANDOVER_H
#define POOL_HANDOVER_H

#include "pool/pool.h"

enum {
	HANDOVER_KEY_MOST = 32 * 1024,
	HANDOVER_BYTES_MOST = 16 * 1024,        /* that the server has said to
						   its first client */
	HANDOVER_NAME_MOST = 512,
	HANDOVER_NEEDED_MS = 30 * 1000  /* upconn.needed: idle for so long it is
					   not any more */
};

/* One that is under way. Its place under the cap goes with it. */
struct handed {
	struct list link;
	struct upstream *upstream;
	char name[HANDOVER_NAME_MOST];  /* of its endpoint */
	struct addr addr;               /* and where that is */
	int fd;
	bool stale;                     /* made otherwise than those here, as it
					   came: of no use */
	uint64_t id;                    /* 0 = is to be given one */
	uint64_t uses;
	int64_t age_ms, idle_ms;
	int64_t hint_ms;                /* upconn.idle_hint_ms */
	size_t key_len;                 /* its key, the protocol's; 0 = none */
	size_t packed_len;              /* peer_ops.pack */
	size_t len;                     /* bytes that wait to be read */
	char bytes[];                   /* these three; wiped at its end */
};

/* Room for so much; NULL when out of memory. */
struct handed *handed_new(size_t key_len, size_t packed_len, size_t len)
    MUST_CHECK;

static inline size_t
handed_size(const struct handed *h)
{
	return h->key_len + h->packed_len + h->len;
}

static inline const char *
handed_packed(const struct handed *h)
{
	return h->bytes + h->key_len;
}

static inline const char *
handed_unread(const struct handed *h)
{
	return h->bytes + h->key_len + h->packed_len;
}

/* Its bytes are wiped, its descriptor, if it has one, is closed; its place is
   somebody else's. */
void handed_free(struct handed *h);
/* It goes nowhere: closed, and its place is free. */
void handed_drop(struct handed *h);
/* It is about to be sent, and its place is the other one's; or it has to wait. */
void handed_going(struct handed *h, bool goes);
/* It has been sent. */
void handed_sent(struct handed *h);

/* On its worker: take out connections that may go and have been idle for so long,
   at most so many, and append them to out; more than 0 ms: but not those that
   are needed here (upconn.needed) and were used lately. with_keys: also those
   that have one. Returns how many. */
unsigned handover_take_out(struct pool *p, unsigned most, int64_t idle_ms,
    bool with_keys, struct list *out);

/* On its worker: close idle ones, at most so many, for their places: those that
   cannot go, for what can has been taken out before. They count as `why`. */
void handover_make_room(struct pool *p, unsigned most, enum discard why);

/* On its worker: h has come, with its place, and belongs to p, if it is of use
   there; else it is closed. Its key, and what is packed, may be any bytes.
   Takes it over. */
void handover_adopt(struct pool *p, struct handed *h);

/* May connections of it go at all? */
bool handover_is_possible(const struct pool *p);

/* How many connections another process has that may come here yet, and soon. */
unsigned handover_coming(const struct upstream *up,
    const struct conf_upstream *conf);

#endif
