/*
 * The model of a client of PostgreSQL, as its parts share it: wire.c has the
 * messages and the judgement, query.c simple queries, batch.c the extended
 * protocol, model.c what is said when. p1kv/load.c has the connections.
 *
 * What must come is written down when something is said, for each ReadyForQuery
 * one want: the messages up to it, those that may come at any time left out.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SUPPORT_P1PG_H
#define TESTS_SUPPORT_P1PG_H

#include "../p1kv/kv.h"

enum {
	NAMES = 6,              /* of statements */
	TEXTS = 10,             /* that all clients prepare */
	TEXT_FAILS = TEXTS,     /* prepared, it fails when executed */
	NO_TEXT = -1,
	UNKNOWN_TEXT = -2,      /* whether there is one, nobody can say */
	PINS = 3,               /* clients that keep their connection */
	VALUE = 48              /* room of a setting's value */
};

/* Wants of this model. */
enum { WANT_LOGIN = WANT_MODEL, WANT_ANSWER };

enum setting { SET_NAME, SET_ZONE, SET_DATES, N_SETTINGS };

extern const char *const setting_names[N_SETTINGS];

/* What a transaction undoes. */
struct state {
	char now[N_SETTINGS][VALUE];
	char session[N_SETTINGS][VALUE];        /* when it is over */
	unsigned rows;          /* of this client in the table */
};

struct peer {
	bool said_login;
	char status;            /* after all that was said: I, T or E */
	bool skipping;          /* up to the next Sync */
	bool has_reset;         /* ever */
	bool failed;            /* of a simple query's statements */
	struct bytes text;      /* of the query that is being put together */
	bool wrote;             /* since the last answer */
	struct bytes said;      /* the end of all that was sent, for people */
	struct bytes want;      /* what must come up to ReadyForQuery */
	struct state state, saved, point;
	bool has_point;         /* a savepoint */
	char start[N_SETTINGS][VALUE];
	int names[NAMES];       /* a text, or NO_TEXT */
	int unnamed;
	unsigned portals;
	uint32_t pid;
	char key[4];
	bool cancelling;        /* what it asks is to be cancelled */
	/* What keeps it on its connection. */
	bool pinned, temp, listens, prepared, locked;
	char token[TOKEN_LEN + 1];      /* that it has left there */
	char work_mem[VALUE];
};

static inline struct peer *
peer(const struct client *c)
{
	return c->model;
}

/* wire.c ------------------------------------------------------------------ */

/* A token that tells whose it is: its first half is the session's. */
void own_token(struct client *c, char out[TOKEN_LEN + 1]);

/* A message to be sent; its body. */
void send_message(struct client *c, char type, const void *body, size_t len);
void send_startup(struct client *c);

/* A message that must come, byte for byte. */
void want_message(struct client *c, char type, const void *body, size_t len);
void want_tag(struct client *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* RowDescription of so many columns. */
void want_columns(struct client *c, unsigned n);
/* DataRow of n texts; NULL = null. */
void want_row(struct client *c, unsigned n, ...);
/* An error of that SQLSTATE, with that in its message. */
void want_error(struct client *c, const char *code, const char *part);
/* ReadyForQuery: the answer is complete. */
struct want *want_ready(struct client *c);
/* It may be cancelled instead. */
void want_or_cancelled(struct client *c, struct want *w);

ssize_t pg_size_of(const struct client *c, const struct want *w,
    const char *p, size_t n);
const char *pg_judge(struct client *c, const struct want *w, const char *p,
    size_t n);
bool pg_refusal(const char *p, size_t n);

/* query.c ----------------------------------------------------------------- */

/* Some statements as one Query. */
void say_query(struct client *c);
/* What begins, ends or marks a transaction, as the status is. */
void say_transaction(struct client *c);
void say_setting(struct client *c);
void say_deallocate(struct client *c);
void say_discard(struct client *c);
void say_copy_in(struct client *c);
void say_copy_out(struct client *c);
void say_call(struct client *c);
void say_large(struct client *c);
void say_syntax(struct client *c);
void say_empty(struct client *c);
/* What pins; and that nothing of anybody else's is there. */
void say_pin(struct client *c);
void say_clean(struct client *c);
void say_slow(struct client *c);
/* Does a session keep its connection? So many may. */
extern unsigned n_pinned;
void unpin(struct peer *m);

/* batch.c ----------------------------------------------------------------- */

/* Messages of the extended protocol up to a Sync; and several of those. */
void say_batch(struct client *c);
void say_pipeline(struct client *c);
/* BEGIN, COMMIT and the like as drivers say it. */
void say_extended_transaction(struct client *c);
void say_extended_copy(struct client *c);
void say_large_value(struct client *c);

#endif
