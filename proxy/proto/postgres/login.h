/*
 * Logging in to a PostgreSQL server, up to its first ReadyForQuery, for
 * connections of the pool and for questions about health alike. Messages in,
 * messages out; no socket, no deadline. (What a client says to log in to weir
 * is read elsewhere.)
 *
 * The server is not trusted: it may lie, skip steps, or never end, and its
 * bytes come in pieces of any size. One that is asked for its proof (SCRAM) is
 * not logged in to without it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_POSTGRES_LOGIN_H
#define PROXY_POSTGRES_LOGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/buf.h"
#include "proxy/proto/postgres/scram.h"

enum {
	PG_LOGIN_KEY_MOST = 256,        /* bytes of a cancel key (55.2.9); the
					   four of protocol 3.0, or more */
	PG_LOGIN_MESSAGE_MOST = 64 * 1024,      /* of one message */
	PG_LOGIN_PARAMS_MOST = 64 * 1024,       /* of all ParameterStatus */
	PG_LOGIN_MOST = 512 * 1024      /* of all that the server says */
};

/* Who logs in, and what it knows. The same one for each call of a login. */
struct pg_login_as {
	const char *user;
	const char *database;           /* NULL: the server takes the user's
					   name */
	const char *application_name;   /* NULL: none is told */
	/* Any that are not NULL; without all three only a server that asks for
	   nothing lets us in. */
	const char *password;
	const char *md5;                /* "md5...", from pg_md5_make() */
	const struct pg_scram_keys *keys;       /* before the password */
	struct pg_scram_memo *memo;     /* of the password; NULL: its keys are
					   worked out each time */
	struct pg_scram_binding binding;        /* of TLS, if any */
	bool secure;                    /* TLS, or a socket of this machine:
					   the password may go in clear text */
};

struct pg_login {
	uint32_t pid;                   /* BackendKeyData: for cancels; */
	size_t key_len;                 /* 0 when there was none */
	unsigned char key[PG_LOGIN_KEY_MOST];
	char *params;                   /* "name\0value\0..." as the server has
					   sent them; NULL when none */
	size_t params_len;
	char sqlstate[6];               /* with PG_LOGIN_REFUSED, else "" */
	char said[256];                 /* why not: the server's message, without
					   control characters, or weir's words */
	/* The machine's own. */
	struct pg_scram_client *scram;
	size_t heard;                   /* bytes of whole messages */
	uint8_t state;
};

enum pg_login_got {
	PG_LOGIN_MORE,                  /* send out, and feed what comes */
	PG_LOGIN_DONE,                  /* idle and ready */
	PG_LOGIN_REFUSED,               /* the server said no, or asks this user
					   for what weir has not or does not do
					   (28000): sqlstate, said */
	PG_LOGIN_BAD                    /* it is not PostgreSQL, breaks the rules,
					   or does not know the password it asks
					   for: said. Also without memory */
};

/* Begin, with the startup message of protocol 3.0 in out. *l is all zero, or
   ended. -1: no memory, or names longer than a server takes. */
int pg_login_start(struct pg_login *l, const struct pg_login_as *as,
    struct block_store *store, struct buf *out) MUST_CHECK;

/*
 * Take whole messages from in, and add to out what is to be sent. Not to be
 * called again after anything but PG_LOGIN_MORE. With PG_LOGIN_DONE what stands
 * behind the ReadyForQuery is left in `in`. A password that went to out in
 * clear text, or as MD5, is not wiped from its blocks.
 *
 * May take 2 ms of the thread where a password meets SCRAM (4096 iterations),
 * half a second with the most that are taken; as->memo saves that.
 */
enum pg_login_got pg_login_feed(struct pg_login *l,
    const struct pg_login_as *as, struct block_store *store, struct buf *in,
    struct buf *out) MUST_CHECK;

/* Let go of what only the login needed, params too: what remains is pid and
   key. */
void pg_login_forget(struct pg_login *l);

/* Also good for a zero one, in any state, and twice; all zero after it. */
void pg_login_fini(struct pg_login *l);

#endif
