/*
 * PostgreSQL: what its parts share.
 *
 * An exchange is a transaction, or a series of requests outside of one: it
 * begins with the first message that needs a server and ends when the server is
 * ready for another, with no transaction open and nothing owed. Then the
 * connection may be anybody's, unless the client has left a state on it that
 * cannot be carried elsewhere: then it is pinned to the client for as long.
 *
 * startup.c and auth.c let clients in; front.c has them between two exchanges;
 * up.c takes their messages to the server, down.c the server's to them, and
 * owed.c keeps what of it is due; peer.c has a connection that nobody leases.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_POSTGRES_POSTGRES_H
#define PROXY_POSTGRES_POSTGRES_H

#include "proxy/exchange.h"
#include "proxy/generation.h"
#include "proxy/proto.h"
#include "proxy/proto/postgres/brief.h"
#include "proxy/proto/postgres/conf.h"
#include "proxy/proto/postgres/login.h"
#include "proxy/proto/postgres/owed.h"
#include "proxy/proto/postgres/scan.h"
#include "proxy/proto/postgres/settings.h"
#include "proxy/proto/postgres/statements.h"
#include "proxy/proto/postgres/wire.h"

struct pg_auth;
struct pg_cancel;
struct pg_console;
struct pg_who;

/* -------------------------------------------------------------------- words */

/* Why weir fails a request, in the words that a server has for it. */
enum pg_refusal {
	PG_REFUSAL_NONE,
	PG_REFUSAL_EXISTS,                /* a statement of that name does */
	PG_REFUSAL_NO_UNNAMED,            /* there is no unnamed statement */
	PG_REFUSAL_PLAN,                  /* its result is another by now */
	PG_REFUSAL_STATE,                 /* on_session_state = "refuse" */
	PG_REFUSAL_PINNED,                /* pool.max_pinned */
	PG_N_REFUSALS
};

struct pg_refusal_row {
	const char *code;               /* SQLSTATE */
	const char *before, *behind;    /* the statement's name, if any */
};

extern const struct pg_refusal_row pg_refusals[PG_N_REFUSALS];

/* --------------------------------------------------------------------- pins */

/* Why a client keeps its connection. */
enum pg_pin {
	PG_PIN_LISTEN, PG_PIN_PREPARE, PG_PIN_HOLD, PG_PIN_TEMP,
	PG_PIN_ADVISORY, PG_PIN_SET_CONFIG, PG_PIN_SET, PG_PIN_ROLE,
	PG_PIN_USER, PG_PIN_LOAD, PG_PIN_UNSURE, PG_PIN_LARGE,
	PG_N_PINS
};

extern const char *const pg_pins[];

/* --------------------------------------------------------------------- keys */

/* What a key of the pool says: who logs in where, and by what. No padding: it
   is compared as bytes. */
enum pg_key_kind { PG_KEY_PLAIN, PG_KEY_PASSWORD, PG_KEY_MD5, PG_KEY_SCRAM };

struct pg_key {
	uint16_t user_len, database_len, secret_len;    /* ends not counted */
	uint8_t kind;                   /* enum pg_key_kind */
	uint8_t zero;
	char text[];                    /* user, database, secret; each with an
					   end */
};

/* Malloc'd; NULL when out of memory or when something is too long. */
struct pg_key *pg_key_new(const char *user, const char *database,
    enum pg_key_kind kind, const void *secret, size_t secret_len) MUST_CHECK;
/* Wipes it. */
void pg_key_free(struct pg_key *key);

static inline size_t
pg_key_size(const struct pg_key *key)
{
	return sizeof(*key) + (size_t)key->user_len + key->database_len +
	    key->secret_len + 3;
}

static inline const char *
pg_key_user(const struct pg_key *key)
{
	return key->text;
}

static inline const char *
pg_key_database(const struct pg_key *key)
{
	return key->text + key->user_len + 1;
}

static inline const char *
pg_key_secret(const struct pg_key *key)
{
	return key->text + key->user_len + key->database_len + 2;
}

/* -------------------------------------------------------------------- lanes */

/* Where a server's greeting is remembered, so that clients are let in without
   asking for a connection. */
struct pg_known;

enum { PG_TOLD_ROWS = 256 };

/* What a lane has for all of its clients: lane->own[FAMILY_POSTGRES]. */
struct pg_lane {
	struct pg_statements statements;
	struct pg_known *known;         /* by upstream and key */
	struct list cancels;            /* that wait for one to end */
	struct list cancelling;         /* that are under way */
	unsigned n_cancels;             /* connections for that */
	struct session **slots;         /* by number; NULL = free */
	uint32_t n_slots, next_free;
	struct list told[PG_TOLD_ROWS]; /* struct pg_told, by number */
	_Atomic unsigned n_told;        /* read by other lanes, too */
	unsigned index;
};

/* ------------------------------------------------------------------ clients */

enum pg_phase {
	PG_STARTUP,                     /* waits for its first message */
	PG_TLS_DUE,                     /* is told that TLS begins */
	PG_TLS_SHAKES,                  /* shakes hands */
	PG_AUTH,                        /* proves who it is */
	PG_LOGIN,                       /* waits for a server's greeting */
	PG_READY,
	PG_CANCEL,                      /* has asked for one: closed when that
					   is over */
	PG_CONSOLE                      /* speaks with weir itself */
};

/* Of a message, before it asks for a connection: nobody who sends slowly holds
   one meanwhile. */
enum { PG_BEGUN_MOST = 32 * 1024 };

enum { PG_SECRET = 32 };                /* bytes of BackendKeyData's secret; of
					   protocol 3.0 the first four */

struct pg_session {
	uint8_t phase;                  /* enum pg_phase */
	uint8_t minor;                  /* of its protocol version */
	bool skipping;                  /* an extended request has failed: what
					   follows, up to its Sync, is dropped */
	bool forsaken;                  /* the connection with its state is lost */
	bool asked;                     /* has sent a message, before TLS */
	bool direct;                    /* TLS has begun without that */
	bool proved;                    /* by SCRAM or its certificate, who it
					   is: not only believed */
	bool vouched;                   /* servers have taken what is left of
					   its start-up packet */
	uint16_t pins;                  /* bits by enum pg_pin */
	uint32_t slot;                  /* on its lane, from 1; 0 = has none */
	struct pg_told *told;           /* the number that another process has
					   given to it; NULL = this one has */
	uint32_t drop_left;             /* bytes of a message to be dropped */
	int64_t late_ns;                /* when it has to have come in; kept
					   while it shakes hands */
	char *user;                     /* as it calls itself, which need not be
					   its key's; from then on as that */
	struct pg_key *key;             /* NULL before it is let in, and in
					   PG_CONSOLE */
	struct pg_settings *startup;    /* as it asked for when it came */
	struct pg_settings *settings;   /* as they are now */
	struct pg_settings *named;      /* with its address in the name of the
					   application; NULL = that is off */
	struct pg_settings *named_of;   /* what that was made of */
	struct pg_names names;
	struct pg_statement *unnamed;   /* its unnamed statement; NULL */
	struct pg_auth *auth;           /* while it proves who it is */
	struct pg_console *console;     /* in PG_CONSOLE; else NULL */
	unsigned char secret[PG_SECRET];
};

/* ---------------------------------------------------------------- exchanges */

enum pg_purpose {
	PG_FOR_REQUESTS,
	PG_FOR_GREETING,                /* of a client that logs in */
	PG_FOR_AUTH                     /* the server is asked about one */
};

enum pg_clock {
	PG_CLOCK_NONE,
	PG_CLOCK_QUERY,                 /* timeouts.query */
	PG_CLOCK_CANCEL,                /* it is being cancelled for that */
	PG_CLOCK_IDLE                   /* timeouts.transaction_idle */
};

struct pg_exchange {
	struct pg_owed_queue owed;
	uint32_t up_left;               /* bytes of a message on its way up */
	uint32_t down_left;             /* likewise down */
	uint8_t purpose;                /* enum pg_purpose */
	char status;                    /* as of the last ReadyForQuery */
	bool unsynced;                  /* extended messages without their Sync */
	bool failed;                    /* the server skips to the next Sync: so
					   does up.c */
	bool copying_in;                /* the server takes CopyData */
	bool unsure_syncs;              /* Syncs that it may have taken for
					   nothing */
	bool scanning;                  /* the message on its way up is SQL */
	uint32_t assumed, assumed_before;       /* owed that assume: of this
					   batch, up to its Sync, and of those
					   before it */
	bool unnamed_here;              /* this batch has an unnamed Parse */
	bool clears;                    /* DISCARD ALL or the like is owed */
	bool flushed;                   /* the server was told to answer */
	bool begun;                     /* something has been sent for it */
	bool erred;                     /* something of it has failed */
	bool unfinished;                /* inside of a large message */
	bool large;                     /* the last message begun is one that
					   the client may not stop inside of */
	bool blocked;                   /* what comes next waits for answers */
	bool fatal;                     /* the server has said its last word */
	bool cancels;                   /* once weir's own requests are over */
	uint8_t clock;                  /* enum pg_clock: what x->deadline is */
	uint64_t body_mark;             /* s->conn.received when s->deadline, of
					   timeouts.body, was set last */
	bool resets;                    /* its settings are as when it came */
	bool resets_one;                /* some are */
	bool forgets;                   /* what of it the server does not report
					   is to be set anew at the end */
	bool forgot;                    /* it has been */
	bool discarded;                 /* DISCARD ALL has been carried out */
	bool dirty;                     /* leaves a state behind that nobody
					   keeps */
	unsigned flags;                 /* PG_SCAN_* of what was sent */
	unsigned done;                  /* bits by state.c: of what has been
					   carried out */
	unsigned undone;                /* likewise of what has been ended */
	struct pg_settings *lone;       /* a lone SET, or with no value a RESET:
					   carried if it goes well */
	bool lone_done;
	struct pg_settings *restores;   /* of the start-up packet, behind RESETs */
	struct pg_name *deallocates;    /* DEALLOCATE of it in SQL is owed */
	struct pg_settings *wanted, *had;       /* the client's and the
					   connection's when it began */
	struct pg_brief brief;          /* of the statement sent last */
	struct pg_who *who;             /* NULL = whose its session is */
	struct pg_scan scan;
};

/* ----------------------------------------------------- upstream connections */

struct pg_upconn {
	struct pg_login login;          /* also pid and key, for cancels */
	struct pg_settings *welcome;    /* what the server said of itself */
	struct pg_settings *settings;   /* what has been set, beside that */
	struct pg_prepared_set prepared;
	bool asks_tls;                  /* and waits for an answer, */
	bool asked_tls;                 /* and has had it */
	bool standard, wide;            /* how its server reads texts, by its
					   settings: see scan.h */
	uint64_t unnamed;               /* its unnamed statement; 0 = none */
	struct exchange *exchange;      /* that it is leased to; NULL */
	struct pg_cancel *cancel;       /* under way; NULL */
	struct list askers;             /* clients' requests for it, that are
					   told when it is over */
	struct deadline again;          /* washing: cancel once more */
	unsigned cancels;               /* so often already */
	struct {                        /* since it was given back DIRTY */
		uint32_t drop_left;     /* bytes of a message inside of which
					   the client left */
		unsigned awaited;       /* ReadyForQuery */
		bool copying_in;        /* the server waits for CopyData */
		bool unsynced;          /* or for a Sync */
		bool discards;          /* everything of the session */
		bool last;              /* what was to be sent has been */
		char status;            /* of the last ReadyForQuery */
	} wash;
};

static inline struct pg_session *
pg_session(const struct session *s)
{
	return session_state(s);
}

static inline struct pg_exchange *
pg_of(const struct exchange *x)
{
	return exchange_state(x);
}

static inline struct pg_upconn *
pg_upconn(struct upconn *u)
{
	return upconn_state_of(u);
}

static inline const struct pg_listener_conf *
pg_conf(const struct session *s)
{
	return s->door->conf->own;
}

static inline const struct pg_upstream_conf *
pg_back_conf(const struct conf_upstream *up)
{
	return up->own;
}

static inline struct pg_lane *
pg_lane(const struct session *s)
{
	return s->door->lane->own[FAMILY_POSTGRES];
}

/* lane.c */
void pg_lane_init(void *own, unsigned index);
void pg_lane_fini(void *own);
/* -1: out of memory, or of numbers. */
int pg_slot_take(struct session *s) MUST_CHECK;
void pg_slot_free(struct session *s);
/* What a client is told that its process is: says where it is. Of one that has
   come from another process it only says that. */
uint32_t pg_slot_pid(const struct session *s);
struct session *pg_slot_find(struct pg_lane *lane, uint32_t pid);
unsigned pg_slot_lane(uint32_t pid);
/* Another process has told s, which has a slot, that this is its number. -1: out
   of memory, or somebody has the same with the same secret. */
int pg_told_add(struct session *s, uint32_t pid) MUST_CHECK;
/* What s was told that its process is, wherever that was. */
uint32_t pg_told_pid(const struct session *s);
/* The client of the lane that was told both; NULL = there is none. */
struct session *pg_told_find(struct pg_lane *lane, uint32_t pid,
    const char *secret, size_t secret_len);
/* What a server said to that key; NULL = nobody has asked it yet. */
struct pg_settings *pg_known_find(struct pg_lane *lane,
    const struct upstream *up, const struct pg_key *key);
/* Where the keys of its password are kept; NULL when out of memory. */
struct pg_scram_memo *pg_known_memo(struct pg_lane *lane,
    const struct upstream *up, const struct pg_key *key);
void pg_known_put(struct pg_lane *lane, const struct upstream *up,
    const struct pg_key *key, struct pg_settings *welcome);

/* greeting.c: a server has greeted that key: remembered, and told to all lanes
   when this one did not know it. */
void pg_greeting_heard(struct lane *lane, const struct upstream *up,
    const struct pg_key *key, struct pg_settings *welcome);

/* startup.c: the first message. */
void pg_startup_take(struct session *s);
/* Or what comes between it and TLS. */
void pg_startup_tls(struct session *s);
/* Likewise, when out has drained. */
void pg_startup_drained(struct session *s);
/* auth.c: it has said who it is; and its next message. */
void pg_auth_begin(struct session *s, const char *user, const char *database);
void pg_auth_take(struct session *s);
void pg_auth_free(struct pg_auth *a);
/* front.c: it has proved it; takes the key over. */
void pg_let_in(struct session *s, struct pg_key *key);
/* It is greeted with what a server said of itself. */
void pg_greet_client(struct session *s, const struct pg_settings *welcome);
/* Tell it why, and close. */
void pg_say_fatal(struct session *s, const char *code, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* who.c: x is a login of that, whatever becomes of it. */
void pg_who_logs_in(struct exchange *x, const char *user,
    const char *database);
/* Its session is about to end before x does. */
void pg_who_stays(struct exchange *x);
/* front_ops.words. */
void pg_who_words(const struct exchange *x, struct access_words *w);
/* proto.exchange_fini. */
void pg_who_forget(struct exchange *x);

/* up.c: what the client has sent goes to the server, as far as it may. */
void pg_up(struct exchange *x);
/* down.c: and the other way; may end x. */
void pg_down(struct exchange *x);
/* Nothing is owed or under way any more: end x if so; true: it has. */
bool pg_settle(struct exchange *x);
/* Answers of weir's own whose turn it is. -1 when out of memory. */
int pg_say_local(struct exchange *x) MUST_CHECK;

/* It has been answered, or never will be: what it holds goes. */
void pg_owed_let_go(struct exchange *x, struct pg_owed *o);
/* The timers of requests and of transactions, as things stand. */
void pg_clock(struct exchange *x);

/* carried.c: the connection is as this client expects it, once what was
   appended has been carried out. -1 when out of memory. */
int pg_state_agree(struct upconn *u, struct exchange *x) MUST_CHECK;
/* What was reset to the server's own values, and is in `from`, is set to those,
   unless something is under way. `known`: also what the server does not
   report. */
int pg_state_restore(struct exchange *x, const struct pg_settings *from,
    bool known) MUST_CHECK;
/* A value that no parameter has: it was reset, to what is not known here. */
extern const char pg_state_unknown[];
/* Weir's own request has been carried out, or refused. */
void pg_state_agreed(struct exchange *x, const struct pg_owed *o);
void pg_state_refused(struct exchange *x, const struct pg_owed *o,
    const struct pg_report *r);
/* Does the server report it, and nobody sets it? */
bool pg_state_is_fixed(const char *name);
/* Are texts read by it? */
bool pg_state_is_of_reading(const char *name);
/* u's settings have changed: see how texts are read there. */
void pg_state_look(struct upconn *u);
/* Begin to read a text that will be parsed there. */
void pg_state_scan(const struct exchange *x, struct pg_scan *scan);
/* state.c: the end of a text; what it may leave on its session: PG_SCAN_*. */
unsigned pg_state_flags(struct exchange *x, struct pg_scan *scan);
/* Is a text of such flags, without its end, one plain statement whose answer
   tells what becomes of the client's settings? It is sent when nothing before
   it is owed, and nothing is sent behind it before its answer has come. */
bool pg_state_is_lone(const struct exchange *x, const char *text, size_t len,
    unsigned flags);
/* What is not kept where it is, after all: a lone statement of such flags that
   is carried. The text without its end. */
unsigned pg_state_carries(struct exchange *x, const char *text, size_t len,
    unsigned flags);
/* A request of such flags is about to be sent; PG_REFUSAL_NONE: it may. */
enum pg_refusal pg_state_sent(struct exchange *x, unsigned flags) MUST_CHECK;
/* Likewise, and before anything else of x is: nothing of others' sequences is
   to be seen. -1 when out of memory. */
int pg_state_sequences(struct exchange *x, unsigned flags) MUST_CHECK;
/* CommandComplete: what it says has been done. */
void pg_state_done(struct exchange *x, const char *tag);
/* ReadyForQuery has come for the client: is there something that it has to know
   first, or something of its own to be set anew? Tell it, and do so. */
bool pg_state_has_news(const struct exchange *x);
int pg_state_tell(struct exchange *x) MUST_CHECK;
/* u goes on without the client that had these pins: what washing does not take
   away ends it. */
void pg_state_leaves(struct upconn *u, unsigned pins);
/* ReadyForQuery, as px->status has it. */
void pg_state_ready(struct exchange *x);
/* Between two transactions: what remains is kept, or u is marked. */
void pg_state_rest(struct exchange *x);
/* ParameterStatus, on any connection; -1 when out of memory. */
int pg_state_noted(struct upconn *u, const char *name, const char *value)
    MUST_CHECK;
/* Likewise inside an exchange; *pass: the client is to see it. */
int pg_state_changed(struct exchange *x, const char *name, const char *value,
    bool *pass) MUST_CHECK;

/* name.c: the client's settings as a connection is to have them; may be
   replaced by an equal list. NULL when out of memory. */
struct pg_settings **pg_name_wanted(struct exchange *x);
/* Is a parameter, as the server reports it, what weir has made of it? Then the
   client is told its own; -1 when out of memory. */
bool pg_name_is_ours(const struct exchange *x, const char *name,
    const char *value);
int pg_name_say_own(struct exchange *x) MUST_CHECK;
/* `now`: what the connection is to have, with the client's own name, becomes
   what it is to have with weir's. -1 when out of memory. */
int pg_name_restored(struct exchange *x, struct pg_settings **now) MUST_CHECK;
/* The exchange is over: what the connection has are the client's settings. -1
   when out of memory. */
int pg_name_rest(struct exchange *x) MUST_CHECK;

/* cancel.c: ask the server to give up what u is doing. */
void pg_cancel(struct upconn *u);
/* A client's CancelRequest, which may be about a session of any lane. Takes the
   session over: it is closed when the cancel is over. */
void pg_cancel_asked(struct session *s, uint32_t pid, const char *secret,
    size_t secret_len);
/* proto.asked: one that the weir which has taken over got, about a client that may
   still be here. */
void pg_cancel_from_afar(struct runtime *rt, const struct json_t *said);
/* The server has gone on: x's cancel that was waiting for that, if any. */
void pg_cancel_due(struct exchange *x);

/* The lane has ended: those that are left. */
void pg_cancel_fini(struct pg_lane *lane);
/* None is under way; one that has not begun yet is given up. */
bool pg_cancel_is_over(struct upconn *u) MUST_CHECK;
/* It is being closed: nobody waits for that any more. */
void pg_cancel_orphan(struct upconn *u);

/* over.c: u, which is idle, goes to another weir, or has come from one; and is
   that a key of ours? See peer_ops. */
void *pg_over_pack(struct upconn *u, size_t *len);
bool pg_over_adopt(struct upconn *u, const void *packed, size_t len);
bool pg_over_is_key(const void *bytes, size_t len);

/* pack.c: is that what a key of that kind has as its secret? A 0 is behind it. */
bool pg_key_is_secret(enum pg_key_kind kind, const char *secret, size_t len);

/* peer.c: what a connection has before it is greeted. */
void pg_peer_begin(struct upconn *u);
/* May a password go there in clear text? To this machine alone. */
bool pg_is_near(const struct addr *addr);
/* count a server's error by its SQLSTATE, and heed what it says of the
   server. */
void pg_count_error(struct upconn *u, const struct pg_report *r);
/* At a login: is it the server that is not well, rather than this client who
   may not come in? By classes of SQLSTATEs (appendix A). */
bool pg_error_is_servers(const char *code);
/* is there something to do on u, which nobody leases, now that a cancel
   has come to its end? */
void pg_cancel_over(struct upconn *u);

/* cross.c: clients that go on in another process: front_ops.pack, adopt. */
struct json_t *pg_cross_pack(const struct session *s);
bool pg_cross_adopt(struct session *s, const struct json_t *said);

/* warm.c: the keys of upstreams' postgres.warm. */
void pg_warm_prepare(struct conf_upstream *u, const struct conf *c,
    conf_say_fn *say, void *arg);
void pg_warm_release(struct conf_upstream *u);
/* peer_ops.warm_key. */
const void *pg_warm_key(const struct conf_upstream *u, size_t i, size_t *len);

extern const struct front_ops pg_front;
extern const struct back_ops pg_back;
extern const struct peer_ops pg_peer;
extern const struct proto proto_postgres;

#endif
