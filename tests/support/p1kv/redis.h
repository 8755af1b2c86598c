/*
 * What the parts of the model of a Redis client share: redis.c chooses and
 * judges, redis_say.c has the commands of one client, redis_scene.c those that
 * need several, or a partner.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SUPPORT_P1KV_REDIS_H
#define TESTS_SUPPORT_P1KV_REDIS_H

#include "kv.h"

enum { DBS = 4, KEYS = 4, PARTS = 4, NEWS = 4, SHARED_MOST = 1 << 24 };

enum kind {
	RANGE = WANT_MODEL,     /* an integer from low to high */
	ONCE,                   /* one that nobody has got before */
	ID,                     /* an integer, the same throughout a session */
	HAS,                    /* has text in it, and other */
	POP,                    /* nothing, or the next element of a list */
	PUBLISHED,              /* 1; 0 if the subscriber has gone since */
	STATUS_DB               /* CLIENT INFO */
};

enum then {
	NOTHING, GOT_POP, GOT_WATCH, GOT_SUBSCRIBED, GOT_NEWS, GOT_ERRAND
};

/* What a client is in the middle of, with its partner's help. */
enum scene {
	NO_SCENE, WATCH_ASKED, WATCH_SET, WATCH_ENDS, SUB_ASKED, SUB_WAITS,
	SUB_ENDS
};

enum errand { NO_ERRAND, ERRAND_SET, ERRAND_PUBLISH, ERRAND_DONE };

struct value {
	unsigned parts;         /* tokens one after the other; 0 = not set */
	struct token part[PARTS];
};

struct peer {
	unsigned db, resp;
	char name[48];          /* CLIENT SETNAME */
	int64_t id;
	struct value values[DBS][KEYS];
	int64_t counters[DBS], shared;
	uint64_t with;          /* partner's session that the next two are of */
	unsigned pushed, popped, pops_owed;
	/* Commands under MULTI are answered later. */
	bool queued;
	struct bytes later;
	unsigned n_later;
	/* The scene, and what the partner is to do for it. */
	enum scene scene;
	unsigned scenes;        /* so far: a name for each */
	unsigned news_left;
	bool touched;           /* the watched key */
	enum errand errand;     /* of this client, done by the partner */
	struct token news[NEWS];
	unsigned n_news;
	bool inline_next;
};

enum op {
	OP_SET, OP_GET, OP_MGET, OP_APPEND, OP_INCR, OP_SHARED, OP_ECHO,
	OP_PING, OP_EVAL, OP_HASH, OP_LIST, OP_SCORE, OP_DEL, OP_ERROR,
	OP_UNKNOWN, OP_SELECT, OP_HELLO, OP_NAME, OP_ID, OP_INFO, OP_PUSH,
	OP_POP, OP_MULTI, OP_SLOW_MULTI, OP_DISCARD, OP_OWN_WATCH, OP_SKIP,
	OP_OFF, OP_RESET, OP_SPUBSUB, OP_BIG, OP_WATCH, OP_SUBSCRIBE, N_OPS
};

/* What happened: for the report. */
struct redis_count {
	uint64_t done[N_OPS], pops, pops_empty, news, conflicts, kept;
};

extern struct redis_count count;

static inline struct peer *
peer(const struct client *c)
{
	return c->model;
}

static inline struct client *
partner(const struct client *c)
{
	unsigned at = c->index ^ 1;

	return at < n_clients ? &clients[at] : NULL;
}

static inline bool
has_partner(const struct client *c)
{
	return partner(c) != NULL && alive(partner(c));
}

/* redis.c ----------------------------------------------------------------- */

/* One that may stand in a transaction. */
void say_plain(struct client *c);

/* redis_say.c ------------------------------------------------------------- */

/* A command of n words; some that can be are sent inline. */
void say(struct client *c, unsigned n, ...);
/* Its reply, to the byte; under MULTI that it is queued, and this later. */
void hear(struct client *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The client's k-th key of its database. */
void key_of(const struct client *c, unsigned k, char out[64]);
/* A value as it is on the wire, without length. Returns out. */
char *value_text(const struct value *v, char out[PARTS * TOKEN_LEN + 1]);

void say_set(struct client *c);
void say_get(struct client *c);
void say_mget(struct client *c);
void say_append(struct client *c);
void say_incr(struct client *c);
void say_shared(struct client *c);
void say_echo(struct client *c);
void say_ping(struct client *c);
void say_eval(struct client *c);
void say_hash(struct client *c);
void say_list(struct client *c);
void say_score(struct client *c);
void say_del(struct client *c);
void say_error(struct client *c);
void say_unknown(struct client *c);
void say_select(struct client *c);
void say_hello(struct client *c);
void say_name(struct client *c);
void say_id(struct client *c);
void say_info(struct client *c);
void say_big(struct client *c);

/* redis_scene.c ----------------------------------------------------------- */

void say_push(struct client *c);
void say_pop(struct client *c);
/* Slow: with rests between its commands. */
void say_multi(struct client *c, bool slow);
void say_discard(struct client *c);
void say_own_watch(struct client *c);
void say_skip(struct client *c);
void say_off(struct client *c);
void say_reset(struct client *c);
void say_spubsub(struct client *c);

/* May it begin a scene with its partner? */
bool scene_possible(const struct client *c);
void scene_begin(struct client *c);
/* The partner has done its part, or is no more. */
void scene_go_on(struct client *c);
/* Ask the partner. */
void errand_give(struct client *c, enum errand what, unsigned n);
/* Do for the partner what it asked for. */
void errand_do(struct client *c);

#endif
