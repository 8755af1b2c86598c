/*
 * Why a handshake failed, as a named reason: for logs, counters and a 502.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef NET_TLS_PROBLEM_H
#define NET_TLS_PROBLEM_H

#include <stddef.h>

#include <openssl/types.h>

enum tls_problem {
	TLS_PROBLEM_NONE,
	/* The peer's certificate: */
	TLS_PROBLEM_EXPIRED,
	TLS_PROBLEM_NOT_YET_VALID,
	TLS_PROBLEM_WRONG_NAME,
	TLS_PROBLEM_SELF_SIGNED,
	TLS_PROBLEM_UNKNOWN_CA,
	TLS_PROBLEM_REVOKED,
	TLS_PROBLEM_BAD_CERTIFICATE,    /* cannot be read, signature or purpose
					   wrong, no list of revoked ones */
	TLS_PROBLEM_NO_CERTIFICATE,     /* shows none, but has to */
	/* The rest: */
	TLS_PROBLEM_PEER_ALERT,         /* the peer refused, and said so */
	TLS_PROBLEM_VERSION,
	TLS_PROBLEM_NO_SHARED_CIPHER,   /* or group, or signature */
	TLS_PROBLEM_NO_SHARED_PROTOCOL, /* ALPN */
	TLS_PROBLEM_NOT_TLS,            /* plaintext came */
	TLS_PROBLEM_CLOSED,             /* the connection ended meanwhile */
	TLS_PROBLEM_OTHER,
	N_TLS_PROBLEMS
};

/* "expired", "wrong_name", ...: names in /stats and logs. */
extern const char *const tls_problem_names[N_TLS_PROBLEMS];

/*
 * Verify what the peer shows, and keep in mind what is wrong with it; `mode` as
 * for SSL_CTX_set_verify().
 */
void tls_problem_verify(SSL_CTX *ctx, int mode);

/*
 * What went wrong. To be called right after the call on ssl that failed, on the
 * same thread; forgets OpenSSL's errors of it. `out` gets a sentence without
 * anything secret: "the certificate of \"db.internal\" has expired (on
 * 2026-01-02)". With no error to be found it is TLS_PROBLEM_CLOSED.
 */
enum tls_problem tls_problem(const SSL *ssl, char *out, size_t size);

#endif
