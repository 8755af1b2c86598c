/*
 * SCRAM-SHA-256 (RFC 5802, RFC 7677) as PostgreSQL has it (55.3.1), for both
 * ends: of the client that logs in to weir, and of weir that logs in to a
 * PostgreSQL server. Bytes in, bytes out; no socket, and not what SASL wraps
 * around it in messages.
 *
 * With channel binding (SCRAM-SHA-256-PLUS) the proof is tied to the server's
 * certificate, so that whoever is in between with another one has no use for
 * it; without, who could bind and does not see it offered says so, and the other
 * end knows if that was taken out on the way.
 *
 * Why not GNU SASL: its server refuses the empty user name that PostgreSQL's
 * clients send ("n=,r=...", because the startup message has it), and neither
 * of its ends gives or takes keys in place of a password.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_POSTGRES_SCRAM_H
#define PROXY_POSTGRES_SCRAM_H

#include <stdbool.h>
#include <stddef.h>

#include "net/err.h"

enum {
	PG_SCRAM_KEY = 32,              /* bytes of SHA-256 */
	PG_SCRAM_SALT = 16,             /* of the salts that PostgreSQL makes */
	PG_SCRAM_SALT_MOST = 64,
	PG_SCRAM_ITERATIONS = 4096,     /* PostgreSQL's default */
	/* More than a second's work: a server that asks for more means harm,
	   or does not know what it asks for. */
	PG_SCRAM_ITERATIONS_MOST = 1000000,
	PG_SCRAM_MESSAGE_MOST = 1024    /* of either end */
};

enum pg_scram {
	PG_SCRAM_OK,
	PG_SCRAM_BAD_PROOF,             /* does not know the secret */
	PG_SCRAM_DOWNGRADED,            /* could bind, and has not seen that we
					   do, too */
	PG_SCRAM_MALFORMED,
	PG_SCRAM_FAILED                 /* no memory, or no random bytes */
};

/* ---------------------------------------------------------- channel binding */

/* RFC 5802 6. */
enum pg_scram_channel {
	PG_SCRAM_UNBOUND,               /* this end cannot */
	PG_SCRAM_UNUSED,                /* it can: the client's end, and it was
					   not offered; the other, and it was,
					   but not chosen */
	PG_SCRAM_BOUND                  /* both do: -PLUS */
};

enum { PG_SCRAM_DIGEST_MOST = 64 };     /* bytes; of SHA-512 */

/* tls-server-end-point (RFC 5929 4.1): a digest of the server's certificate.
   All zero: there is none. */
struct pg_scram_binding {
	enum pg_scram_channel channel;
	unsigned len;                   /* 0 = none is to be had */
	unsigned char digest[PG_SCRAM_DIGEST_MOST];
};

enum { PG_SCRAM_GS2_MOST = 32 };

/* ------------------------------------------------------------------ secrets */

/* What a server keeps of a password; pg_authid.rolpassword. */
struct pg_scram_secret {
	unsigned iterations;
	unsigned salt_len;
	unsigned char salt[PG_SCRAM_SALT_MOST];
	unsigned char stored_key[PG_SCRAM_KEY], server_key[PG_SCRAM_KEY];
	bool mock;                      /* nobody's: no proof fits */
};

/*
 * What is left of a login, and enough for another one with the same secret:
 * the client's key is what its proof was made with. Bytes alone, so that it may
 * stand anywhere.
 */
struct pg_scram_keys {
	unsigned char client_key[PG_SCRAM_KEY], server_key[PG_SCRAM_KEY];
};

/* "SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>", all but the
   number in base64 (PostgreSQL 53.8, pg_authid). -1: it is not. */
int pg_scram_secret_parse(const char *text, struct pg_scram_secret *secret)
    MUST_CHECK;

/*
 * From a password: SASLprep, then PBKDF2, about half a microsecond for each
 * iteration. A password that is no UTF-8, or has what SASLprep prohibits, is
 * taken as its bytes are, as PostgreSQL does. salt_len 1 to
 * PG_SCRAM_SALT_MOST. -1: no memory.
 */
int pg_scram_secret_make(const char *password, const unsigned char *salt,
    size_t salt_len, unsigned iterations, struct pg_scram_secret *secret)
    MUST_CHECK;

/*
 * The salt for a name, always the same one while the key is: what this server
 * shows for a user whom it does not know must not change from one question to
 * the next. The key is the process's own and secret; made at its start.
 */
int pg_scram_salt_make(const unsigned char key[PG_SCRAM_KEY], const char *user,
    unsigned char salt[PG_SCRAM_SALT]) MUST_CHECK;

/*
 * A secret for a user whom there is not, of the shape that PostgreSQL's are.
 * The exchange with it is the same work as with one that is known, and ends in
 * PG_SCRAM_BAD_PROOF.
 */
int pg_scram_secret_mock(const unsigned char key[PG_SCRAM_KEY],
    const char *user, struct pg_scram_secret *secret) MUST_CHECK;

/* ---------------------------------------------- the end that asks for proof */

/* One login, of a client to weir. Embedded; wiped by pg_scram_server_fini(). */
struct pg_scram_server {
	struct pg_scram_secret secret;
	struct pg_scram_keys keys;      /* after PG_SCRAM_OK of the final */
	struct pg_scram_binding binding;
	char gs2[PG_SCRAM_GS2_MOST];    /* "n,,", ...; "" until the first */
	unsigned bare_len;              /* of the client's first message */
	unsigned first_len;             /* and with it "," and our first */
	unsigned nonce_at, nonce_len;   /* in auth: both nonces */
	char auth[3 * PG_SCRAM_MESSAGE_MOST + 128];     /* AuthMessage */
};

/*
 * The client's first message, and the answer to it: at most size bytes at out,
 * terminated, *out_len without that. PG_SCRAM_MESSAGE_MOST + 256 are enough.
 * Refused: channel binding ("p=") that is not offered; a name to act for
 * ("a="); extensions that must be understood ("m="). The name in it is not
 * looked at (55.3.1). nonce: our part; NULL for a random one, as it must be but
 * for the examples of the RFC.
 */
enum pg_scram pg_scram_server_first(struct pg_scram_server *s,
    const struct pg_scram_secret *secret, const char *message, size_t len,
    const char *nonce, char *out, size_t size, size_t *out_len) MUST_CHECK;

/* The same, where channel binding is offered. */
enum pg_scram pg_scram_server_first_bound(struct pg_scram_server *s,
    const struct pg_scram_secret *secret,
    const struct pg_scram_binding *binding, const char *message, size_t len,
    const char *nonce, char *out, size_t size, size_t *out_len) MUST_CHECK;

/* The client's last message; with PG_SCRAM_OK the answer is at out, and
   s->keys has what weir needs to log in to a server that has the same
   secret. */
enum pg_scram pg_scram_server_final(struct pg_scram_server *s,
    const char *message, size_t len, char *out, size_t size, size_t *out_len)
    MUST_CHECK;

void pg_scram_server_fini(struct pg_scram_server *s);

/* ------------------------------------------------- the end that gives proof */

/*
 * The keys that a password came to with a salt, so that the next login does not
 * work them out again (RFC 5802 3 allows for it). The caller's, one for each
 * password, zero at first; pg_scram_memo_wipe() is its end.
 */
struct pg_scram_memo {
	unsigned iterations;            /* 0: nothing is kept yet */
	unsigned salt_len;
	unsigned char salt[PG_SCRAM_SALT_MOST];
	struct pg_scram_keys keys;
};

void pg_scram_memo_wipe(struct pg_scram_memo *m);

/* One login, of weir to a server. Embedded; pg_scram_client_fini() wipes. */
struct pg_scram_client {
	unsigned char server_key[PG_SCRAM_KEY];
	unsigned bare_len;              /* our first, without "n,,"; 0: begin
					   with pg_scram_client_first() */
	char channel[132];              /* that, and a digest, in base64 */
	unsigned auth_len;              /* 0 until there is a proof */
	char auth[3 * PG_SCRAM_MESSAGE_MOST + 128];     /* AuthMessage */
	const char *why;                /* of what is not PG_SCRAM_OK */
};

/* Our first message; 128 bytes are enough. */
enum pg_scram pg_scram_client_first(struct pg_scram_client *c, char *out,
    size_t size, size_t *out_len) MUST_CHECK;

enum pg_scram pg_scram_client_first_bound(struct pg_scram_client *c,
    const struct pg_scram_binding *binding, char *out, size_t size,
    size_t *out_len) MUST_CHECK;

/*
 * The server's first message, and our proof: from keys when they are not NULL,
 * else from the password, with the help of memo unless NULL.
 * PG_SCRAM_MALFORMED also when it asks for too many iterations.
 * PG_SCRAM_MESSAGE_MOST + 256 bytes are enough.
 */
enum pg_scram pg_scram_client_final(struct pg_scram_client *c,
    const char *password, const struct pg_scram_keys *keys,
    struct pg_scram_memo *memo, const char *message, size_t len, char *out,
    size_t size, size_t *out_len) MUST_CHECK;

/* The server's last message: PG_SCRAM_OK when it has proven that it has the
   secret, too; nothing that it says before is to be believed. */
enum pg_scram pg_scram_client_verify(struct pg_scram_client *c,
    const char *message, size_t len) MUST_CHECK;

void pg_scram_client_fini(struct pg_scram_client *c);

#endif
