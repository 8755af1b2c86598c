/*
 * The side of TLS towards upstreams: whom to believe, what to show, and one SSL
 * for each connection, which takes up the newest session of its name.
 *
 * Does no handshake and knows no socket: net/tls does.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef NET_TLS_CLIENT_H
#define NET_TLS_CLIENT_H

#include "net/tls_context.h"
#include "net/tls_files.h"
#include "net/tls_server.h"

struct tls_client;

struct tls_client_options {
	struct tls_options common;
	bool verify;
	const char *ca, *crl;           /* PEM files; ca NULL = the system's */
	const char *server_name;        /* for SNI and verification; NULL = the
					   name that begin() is given */
	const char *certificate, *key;  /* to show; key NULL = in the same */
};

/* As tls_server_new(). */
struct tls_client *tls_client_new(const struct tls_client_options *o,
    char *why, size_t size) MUST_CHECK;

/* What was begun goes on. NULL is fine. */
void tls_client_free(struct tls_client *c);

/*
 * An SSL in connect state, with read-ahead and without BIO. `name` is the
 * endpoint's host as written, a name or an IP literal: what the certificate
 * must be for, and what is asked for by SNI, never for a literal (RFC 6066 3).
 * A Unix path, or NULL, is no name: then there must be a server_name, or the
 * chain alone is verified. From any thread. NULL when out of memory.
 */
SSL *tls_client_begin(struct tls_client *c, const char *name) MUST_CHECK;

/* As tls_server_look(). */
enum tls_look tls_client_look(struct tls_client *c, char *why, size_t size);

/* Would what was verified by one be verified by the other, shown the same
   certificate? NULL is no TLS. */
bool tls_client_alike(struct tls_client *a, struct tls_client *b);

/* What it was made of. */
void tls_client_files(struct tls_client *c, struct tls_files *files);

/* Seconds since 1970 at which its own certificate expires; 0 = has none. */
int64_t tls_client_not_after(struct tls_client *c);

#endif
