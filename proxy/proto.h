/*
 * The protocol table: what a protocol is to the rest of weir.
 *
 * A front speaks with clients, a back with upstreams; they meet in the
 * exchange. Unset slots (NULL) mean "nothing to do", unless it says otherwise.
 * A module never touches lists, asks or leases.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_PROTO_H
#define PROXY_PROTO_H

#include "conf/conf.h"
#include "health/probe.h"
#include "pool/peer.h"
#include "proxy/fail.h"
#include "proxy/limit.h"

struct exchange;
struct json_t;                          /* of jansson */
struct runtime;
struct session;
struct upconn;

/* Which fronts and backs understand each other. */
enum family { FAMILY_BYTES, FAMILY_HTTP, FAMILY_REDIS, FAMILY_MEMCACHED,
	FAMILY_POSTGRES, N_FAMILIES };

/* What the access log says of a request, in the protocol's own words; bytes
   that live as long as the exchange, not terminated, NULL = has none. */
struct access_words {
	const char *request; size_t request_len; /* request line or command */
	const char *host;    size_t host_len;
	const char *agent;   size_t agent_len;   /* User-Agent, client name */
	/* Where several exchanges share the session's bytes: those of this
	   one alone. */
	bool counted;
	uint64_t received, sent;
	const char *id;      size_t id_len;      /* of the request */
	const char *trace;   size_t trace_len;   /* that it is part of */
	const char *user;    size_t user_len;    /* as the client says */
	const char *database; size_t database_len;
	const char *sni;     size_t sni_len;     /* of TLS that only passes */
	bool is_line;           /* request is a request line (RFC 9112 3) */
};

struct front_ops {
	/* On listeners with TLS: it begins when the front calls for it, by
	   shake_begin(), not before it has the session. */
	bool asks_tls;
	/* Accepted, and TLS is on where there is to be any. NULL = wait for
	   bytes. */
	void (*open)(struct session *s);
	/*
	 * Another weir takes over: s may go on there. It is opened, without TLS,
	 * on the listener's own front, idle (session_is_idle()), and keeps no
	 * lease. What adopt() has to know of it, in a new object that the
	 * caller owns; an empty one where that is nothing. NULL = it cannot go
	 * now, for it has something that nobody else can have, or there is no
	 * memory: it stays, and is asked again later. Changes nothing; when it
	 * goes, session_fini comes. No pack = none of its clients go over.
	 */
	struct json_t *(*pack)(const struct session *s);
	/*
	 * In place of open(): s has come from another weir, with what pack()
	 * said there. It may be of another version, so what is not known is
	 * passed over and what is missing has a default; or it may lie: texts
	 * of any length (without NUL, in UTF-8: transfer.h has what is neither)
	 * and numbers of any size. Sets s->deadline as open() does (one that
	 * ended earlier over there is set after this call). No bytes are there
	 * yet, and front.bytes comes by itself. May not close s: false = it
	 * cannot go on here, and is closed without a word; session_fini comes
	 * in any case. Where the listener has TLS that the front asks for
	 * (asks_tls) it is the front's to refuse one without. Required where
	 * there is pack.
	 */
	bool (*adopt)(struct session *s, const struct json_t *said);
	/* s->conn.in grew, or the client ended (s->conn.eof), or an exchange
	   of s is over and there may be more to do. Required. */
	void (*bytes)(struct session *s);
	/* x has its lease: the body may flow. */
	void (*leased)(struct session *s, struct exchange *x);
	/* Answer or x->down grew or ended. */
	void (*reply)(struct session *s, struct exchange *x);
	/* x->up or the upstream's output has room again after it had none. */
	void (*unchoke)(struct session *s, struct exchange *x);
	/* s->conn.out has drained. */
	void (*drained)(struct session *s);
	/* x has failed and is about to end: tell the client, or cut it. */
	void (*fail)(struct session *s, struct exchange *x, enum fail why);
	/* Where answers keep an order: x has failed, and others may be due
	   before it. True: the front has taken note and ends x in its turn;
	   false: at once, by `fail`. NULL = false. */
	bool (*fail_in_turn)(struct session *s, struct exchange *x,
	    enum fail why);
	/* s->deadline passed. */
	void (*late)(struct session *s);
	/* Its clients can be told, beside an answer, to go on by another
	   connection: none loses a request for that. */
	bool redirects;
	/* Draining: take leave as soon as it does no harm. */
	void (*bye)(struct session *s);
	/* s, which has no exchange, is closed when its output is out: what is
	   to be said before. */
	void (*parting)(struct session *s);
	/* s is cut, whatever it is at, because weir ends: a last word into its
	   output, if there is one to say; ends it by session_linger(). NULL =
	   none. */
	void (*cut)(struct session *s);
	/* A client is turned away at the door: what it is told, into out;
	   returns how long that is. NULL = it is closed without a word. */
	size_t (*refuse)(enum limit why, int64_t retry_after_ns, char *out,
	    size_t size);
	/* Where TLS is spoken a client speaks without: what it is told in plain
	   words, into out; returns how long that is. NULL = it is closed. */
	size_t (*plain)(char *out, size_t size);
	/* Bytes or the end of u, which s keeps while it asks for nothing: take
	   them, and mark u if it is of no use any more; may close s. What is
	   left unread stays until more comes. NULL = it is of no use. */
	void (*aside)(struct session *s, struct upconn *u);
	/* The core gives up u, which s keeps, though s did not ask for that: its
	   endpoint is gone, or it is not clean. Mark u, and tell the client if
	   it has lost something; may close s. */
	void (*forsaken)(struct session *s, struct upconn *u);
	/* The connection that s had for itself was closed by hand while s asked
	   for nothing: what it is to be told, before it is left. NULL =
	   nothing. */
	void (*pin_killed)(struct session *s);
	/* The beginning of what x asks for, to be shown to people: no value
	   that it carries, but in a request line (*is_line), of which the
	   query is not shown. Bytes that live as long as x; NULL = nothing is
	   known yet. Called for each exchange: cheap. NULL = never. */
	const char *(*asks)(const struct exchange *x, size_t *len,
	    bool *is_line);
	/* For the access log; *w is zeroed. NULL = has no words. */
	void (*words)(const struct exchange *x, struct access_words *w);
	/* Likewise a field of the request by its name: the first one's value,
	   or NULL and 0. NULL = the protocol has no fields. */
	const char *(*header)(const struct exchange *x, const char *name,
	    size_t *len);
};

struct back_ops {
	/* The pool's key of x; bytes that live as long as x. NULL = empty. */
	const void *(*key)(const struct exchange *x, size_t *len);
	/* Where balance = "key_hash": the hash of what x is about. */
	uint64_t (*hash)(const struct exchange *x);
	/* Shared mode: the connection that x has to go to because others of
	   its session are under way there; NULL = any. NULL = always any. */
	struct upconn *(*with)(const struct exchange *x);
	/* Shared mode: does x need a connection of its own? *lasts: for as long
	   as the client likes. NULL = never. */
	bool (*alone)(const struct exchange *x, bool *lasts);
	/* Lease in hand. Required. */
	void (*start)(struct upconn *u, struct exchange *x);
	/* x->up grew or ended. */
	void (*more)(struct upconn *u, struct exchange *x);
	/* u->conn.in grew, or u->conn.eof. Required, but with peer.room, where
	   peer.bytes is told instead. */
	void (*input)(struct upconn *u, struct exchange *x);
	/* u->conn.out has drained. */
	void (*drained)(struct upconn *u, struct exchange *x);
	/* x->down has room again. */
	void (*unchoke)(struct upconn *u, struct exchange *x);
	/* x->deadline passed. Required. */
	void (*late)(struct upconn *u, struct exchange *x);
	/* The upstream died (error) without x being over: may x be asked for
	   once more, on a fresh connection? what: how much of what can be sent
	   again may be. NULL = never. */
	bool (*replayable)(const struct exchange *x, enum conf_retry_what what);
	/* x ends early: mark u for what it is, or take x->lease over until
	   what is owed has come. NULL = BROKEN. */
	void (*drop)(struct upconn *u, struct exchange *x);
};

struct proto {
	struct conf_proto conf;         /* name, spans, defaults, keys */
	enum family  family;
	const struct front_ops *front;
	const struct back_ops  *back;
	const struct peer_ops  *peer;
	const struct probe_ops *probe;  /* its health check; NULL = none */
	/* State in each session of the family, zeroed, and its end. */
	size_t       session_size;
	void       (*session_fini)(struct session *s);
	/* State in each exchange of the family, of which the first part is
	   zeroed; and its end. */
	size_t       exchange_size, exchange_zeroed;
	void       (*exchange_fini)(struct exchange *x);
	/* Larger things that a few exchanges need at a time: lane->pieces. */
	size_t       piece_size;
	/* State of each lane, zeroed: lane->own[family]; NULL = has none. The
	   end comes when no session and no connection is left. */
	size_t       lane_size;
	void       (*lane_init)(void *own, unsigned index);
	void       (*lane_fini)(void *own);
	/* On main's loop, while this weir drains: what the same protocol in the
	   one that has taken over asks, by runtime.ask_before. Read as in
	   front.adopt. NULL = it asks nothing. */
	void       (*asked)(struct runtime *rt, const struct json_t *said);
};

static inline const struct proto *
proto_of(const struct conf_proto *conf)
{
	return container_of(conf, const struct proto, conf);
}

/* From registry.c: all protocols there are. */
extern const struct conf_proto *const proto_table[];

#endif
