/*
 * Redis: what its parts share. Clients' commands ride on common connections as
 * one pipeline (proxy/pipeline.h); what begins a state that lasts, or may wait,
 * has a connection of its own for as long.
 *
 * What a client has set up on "its connection" is kept here and is part of the
 * pool's key, so that every upstream connection is as its clients expect it:
 * database, RESP version, user.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_REDIS_REDIS_H
#define PROXY_REDIS_REDIS_H

#include "proxy/generation.h"
#include "proxy/intake.h"
#include "proxy/proto.h"
#include "proxy/proto/redis/commands.h"
#include "proxy/proto/redis/conf.h"

/* Whom AUTH concerns. */
enum redis_auth { REDIS_AUTH_IGNORE, REDIS_AUTH_CHECK, REDIS_AUTH_FORWARD };
enum redis_unknown { REDIS_UNKNOWN_PIN, REDIS_UNKNOWN_SHARE };

struct redis_listener_conf {
	int auth;                       /* enum redis_auth */
	int unknown;                    /* enum redis_unknown */
	int64_t share_max;              /* bytes of a command */
	char *user, *password;          /* check: NULL = the upstream's */
};

/* CLIENT REPLY. */
enum redis_replies { REDIS_REPLIES_ON, REDIS_REPLIES_OFF, REDIS_REPLIES_SKIP };

/* Who a client is to the server. Owned; equal ones are one key of the pool. */
struct redis_identity {
	uint32_t db;
	uint8_t resp;                   /* 2 or 3 */
	char *user, *password;          /* both NULL: the upstream's own login */
	char *key;                      /* for the pool; NULL: as the upstream
					   is reached by default */
	size_t key_len;
};

struct redis_session {
	struct pipeline pipeline;       /* first */
	struct resp_command command;    /* the one being read */
	bool is_whole;                  /* it is, and waits to be carried out */
	bool let_in;                    /* auth = check: has the password */
	uint8_t replies;                /* enum redis_replies */
	uint16_t pins;                  /* bits by enum redis_pin */
	bool in_multi;                  /* sent MULTI, not yet EXEC: what it
					   sends now is queued there */
	bool has_multi_db;
	uint32_t multi_db;              /* SELECT inside it */
	uint64_t spoilt_to;             /* of conn.received: what was sent behind
					   a MULTI that could not begin */
	struct redis_identity who;
	char *name, *lib_name, *lib_version;    /* CLIENT SETNAME, SETINFO; NULL */
	uint64_t id;
	int64_t begun_ns;
	/* As the server last said. */
	int64_t subs, shard_subs;       /* channels and patterns; shards */
	int64_t channels, patterns;
};

struct redis_exchange {
	struct piped piped;             /* first */
	const struct redis_command *row;        /* NULL: unknown */
	uint32_t db;                    /* SELECT */
	uint8_t resp;                   /* HELLO */
	bool is_alone, waits;
	bool silent;                    /* CLIENT REPLY OFF, SKIP: its reply is
					   not passed on */
	bool uncounted;                 /* MONITOR: it is one line of many */
	char *refusal;                  /* inside MULTI: what it is told, while
					   something malformed goes in its
					   place; NULL */
	bool has_db;                    /* EXEC: db was selected inside */
	bool dirties;                   /* its connection has to be washed */
	uint16_t pins;                  /* bits that it sets */
	uint32_t replies;               /* that it is owed */
	uint32_t hash;                  /* of its key, where that says where */
	struct redis_split_up *split;   /* of one in parts: which key is where */
	struct redis_identity *who;     /* AUTH: who it is if this goes well; or
					   was to be, without the password */
};

/* Tags of owed replies beside enum redis_op. */
enum {
	REDIS_TAG_SKIP = 100, REDIS_TAG_LOGIN, REDIS_TAG_SETUP,
	REDIS_TAG_RESET, REDIS_TAG_KNOCK, REDIS_TAG_ASKED
};

struct redis_upconn {
	struct pipe pipe;               /* first */
	struct resp_reply reply;
	bool reading;
	char refusal[128];              /* greeting: what the server said; "" */
	bool unwell;                    /* it was about itself (LOADING ...) */
	bool knocks, crowded;           /* greeting: has it a place? It has not */
	bool heard;                     /* and serves whoever it is */
	bool doubted;                   /* it has not served a client: is to be
					   asked when it is washed */
};

static inline struct redis_session *
redis_session(const struct session *s)
{
	return session_state(s);
}

static inline struct redis_exchange *
redis_of(const struct exchange *x)
{
	return exchange_state(x);
}

static inline struct redis_upconn *
redis_upconn(struct upconn *u)
{
	return upconn_state_of(u);
}

static inline const struct redis_listener_conf *
redis_conf(const struct session *s)
{
	return s->door->conf->own;
}

/* Where its commands go, on this lane. */
static inline struct pool *
redis_pool(const struct session *s)
{
	const struct upstream *up = generation_upstream(s->door->gen,
	    s->door->conf->upstream);

	return up->pools[s->conn.w->index];
}

/* greeting.c: of peer_ops and pipeline_ops. */
bool redis_greet(struct upconn *u);
bool redis_adopt(struct upconn *u, const void *packed, size_t len);
void redis_wash(struct upconn *u);
void redis_greeted(struct upconn *u);
/* A reply to what they have said; ru->reply is it. */
void redis_greeting_answered(struct upconn *u, unsigned tag);

/*
 * refused.c. What is wrong with a server that answers with that word, a sentence
 * that lasts; NULL: nothing.
 */
const char *redis_illness(const char *word);
/* Is it of no use to those of u's upstream, whatever it was asked? */
bool redis_is_shut(const struct upconn *u, const char *word);
/* Greeting: it has answered with that word, and what a client is told is kept;
   later that is logged, and u closed. */
void redis_refusal(struct upconn *u, const char *word, bool login);
void redis_refused(struct upconn *u);
/* It answers to o->x with that word, which may be for want of a login that weir
   would have had to do: then that is logged, x fails (with the server's words),
   and u is not kept. own[1] of o is its memory. */
void redis_explain(struct upconn *u, struct owed *o, const char *word);

/* back.c: that reason has gone; with the last one the connection does. */
void redis_unpin(struct session *s, enum redis_pin why);

/* identity.c: -1 when out of memory, and then it is as it was. */
int redis_identity_set(struct redis_identity *who, uint32_t db, uint8_t resp,
    const char *user, const char *password) MUST_CHECK;
void redis_identity_fini(struct redis_identity *who);
/* What a key of the pool says; points into it. */
struct redis_key {
	uint32_t db;
	uint8_t resp;
	const char *user, *password;    /* NULL = the upstream's */
};
struct redis_key redis_key_read(const void *key, size_t len);
/* Could redis_identity_set() have made it? peer_ops.is_key. */
bool redis_is_key(const void *key, size_t len);
/* Append a command of text arguments, n of them. */
int redis_write(struct block_store *store, struct buf *out, unsigned n,
    const char *const *args) MUST_CHECK;

/* local.c: what weir answers itself. The command is in bytes. */
void redis_answer(struct session *s, const char *text, size_t len);
void redis_say(struct session *s, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The session's own connection is to be as it was: washed, or closed where that
   does not help. */
void redis_undo_pins(struct session *s, const char *why);
/* CLIENT REPLY: is the next command not to be answered? Asked once for each. */
bool redis_is_silent(struct session *s);
/* What is said to who has not proved who he is. */
extern const char redis_wrong_pass[];
/* May a client be called so? */
bool redis_is_name(const char *text, size_t len);
/* CLIENT SETNAME; false: it was told why not. */
bool redis_name_set(struct session *s, const char *text, size_t len)
    MUST_CHECK;
void redis_answer_client(struct session *s, const struct redis_command *row,
    const char *bytes);
/* The client's state is as if it had just come. -1 when out of memory. */
int redis_session_reset(struct session *s) MUST_CHECK;

/* place.c: does the upstream go by keys? */
bool redis_is_placed(const struct session *s);

enum redis_place {
	REDIS_PLACE_ANY,                /* has no keys; *hash is the empty one's */
	REDIS_PLACE_ONE,                /* *hash says which */
	REDIS_PLACE_SPLIT,              /* several, and it may be taken apart */
	REDIS_PLACE_CROSSED,            /* several, or not where the session is
					   pinned */
	REDIS_PLACE_NO_MEMORY
};
/* row NULL: unknown. */
enum redis_place redis_place(const struct session *s,
    const struct redis_command *row, const char *bytes, size_t len,
    uint32_t *hash);
uint32_t redis_place_large(const struct session *s,
    const struct redis_command *row, const char *bytes);
/* The parts of x, which is sent nowhere itself, for pipeline_route_parts(). -1
   when they cannot be made. */
int redis_split(struct exchange *x, const char *bytes, size_t len) MUST_CHECK;
/* pipeline_ops.join */
int redis_join(struct exchange *x) MUST_CHECK;

/* cross.c: front.pack and front.adopt. */
struct json_t *redis_hand_over(const struct session *s);
bool redis_take_in(struct session *s, const struct json_t *said);

/* dispatch.c: the command in bytes, whole, is the first in s->conn.in. False:
   it has to wait, and stays. */
bool redis_dispatch(struct session *s, const char *bytes);
/* A command above share_max, of which the first bytes have come. */
void redis_dispatch_large(struct session *s, const char *bytes);
/* It has been carried out or sent on its way: read the next. */
void redis_command_taken(struct session *s);

extern const struct front_ops redis_front;
extern const struct back_ops redis_back;
extern const struct peer_ops redis_peer;
extern const struct pipeline_ops redis_pipeline;
extern const struct proto proto_redis;

#endif
