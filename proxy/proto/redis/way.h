/*
 * Redis: how a command is to travel, and the making of an exchange of it. For
 * dispatch.c and state.c, which decide.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_REDIS_WAY_H
#define PROXY_REDIS_WAY_H

#include "proxy/proto/redis/redis.h"

struct redis_way {
	const struct redis_command *row;        /* NULL = unknown */
	bool alone, waits, dirties;     /* as in struct redis_exchange */
	uint16_t pins;
	uint32_t replies;               /* 0: known when its turn has come */
	uint32_t hash;                  /* of its key */
	bool uncounted;
};

/* The command that is first in the input becomes an exchange. NULL: it could
   not, and the session has ended. */
struct exchange *way_begin(struct session *s, const struct redis_way *way)
    MUST_CHECK;
/* On its way: the input's next command may be read. */
void way_go(struct exchange *x);
/* Both, as the client has written it. */
void way_send(struct session *s, const struct redis_way *way);
/* Written anew in place of what the client has sent, and, on a connection of
   many, followed by what takes it back (two words). Then way_go(). */
struct exchange *way_rewrite(struct session *s, const struct redis_way *way,
    unsigned n, const char *const *args, const char *const *back) MUST_CHECK;

/* It is answered with text (without its line end). In a transaction, as with
   Redis itself, EXEC is to fail for that: a command without its arguments goes
   upstream in its place. */
void way_refuse(struct session *s, struct redis_way *way, const char *text);

/* Arguments: is it this word, in any case? Is it a number as Redis reads one,
   of at most nine digits? */
bool way_is_word(const char *bytes, const struct resp_span *a,
    const char *word);
bool way_number(const char *bytes, const struct resp_span *a, uint32_t *out);
void way_wrong_arity(struct session *s, const char *name);

/* state.c */
void redis_do_select(struct session *s, struct redis_way *way,
    const char *bytes);
void redis_do_auth(struct session *s, const struct redis_way *way,
    const char *bytes);
void redis_do_hello(struct session *s, const struct redis_way *way,
    const char *bytes);
void redis_do_reset(struct session *s);

#endif
