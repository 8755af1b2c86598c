/*
 * What PostgreSQL says before TLS (55.2.10, 55.2.11): a client asks for it in
 * the clear, and one byte is the answer; or it begins at once, and then ALPN
 * says that it is PostgreSQL's. And what a client's certificate says of who it
 * is.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_POSTGRES_TLS_H
#define PROXY_POSTGRES_TLS_H

#include <openssl/types.h>

#include "net/buf.h"
#include "proxy/proto/postgres/scram.h"
#include "proxy/proto/postgres/wire.h"

enum { PG_TLS_NAME_MOST = 255 };        /* bytes of a certificate's name */

/* What is wrong with a server's answer: static texts. */
struct pg_tls_wrong {
	const char *name;               /* "no_tls" */
	const char *text;               /* a sentence */
};

/* SSLRequest, as all of what is sent. -1 when out of memory. */
int pg_tls_ask(struct block_store *store, struct buf *out) MUST_CHECK;

/*
 * The answer to it, with `out` as it is by then: PARSE_DONE: it has been taken
 * from `in`, nothing stands behind it (CVE-2021-23222) and TLS begins.
 * PARSE_BAD: *wrong.
 */
enum parse pg_tls_answer(struct block_store *store, struct buf *in,
    const struct buf *out, struct pg_tls_wrong *wrong) MUST_CHECK;

/* Has the server proven who it is, so that nobody else reads what it is told?
   What the handshake was held against counts, not what the file says by now.
   NULL: no TLS. */
bool pg_tls_is_verified(const SSL *ssl);

/* Has the read that has just failed, on this thread, come to the end of the
   connection without the peer's leave of TLS? That is no reset. */
bool pg_tls_is_cut(void);

/* Have both sides chosen "postgresql" by ALPN? TLS that nobody has asked for in
   PostgreSQL's own words might be meant for a server of something else. */
bool pg_tls_is_meant(const SSL *ssl);

/*
 * What a proof can be bound to; ours: this end is the server. Nothing without
 * TLS, with a certificate whose signature has no digest (Ed25519), and where a
 * session was taken up: whose certificate that was made with is not known.
 */
struct pg_scram_binding pg_tls_binding(const SSL *ssl, bool ours);

/* Whom the client's certificate, which has been verified, names: the one common
   name of its subject, as UTF-8. -1: it has shown none, or has none, several, or
   one that is too long or has a NUL in it. */
int pg_tls_client_name(const SSL *ssl, char name[PG_TLS_NAME_MOST + 1])
    MUST_CHECK;

#endif
