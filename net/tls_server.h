/*
 * The side of TLS that clients come to: certificates by the name asked for,
 * client certificates, tickets, and one SSL for each connection.
 *
 * Does no handshake and knows no socket: net/tls does. All certificates of one
 * server have the same policy; a name only chooses among them.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef NET_TLS_SERVER_H
#define NET_TLS_SERVER_H

#include "net/tls_certificate.h"
#include "net/tls_context.h"
#include "net/tls_files.h"

enum tls_client_auth { TLS_CLIENT_NONE, TLS_CLIENT_OPTIONAL,
	TLS_CLIENT_REQUIRED };

struct tls_server;

struct tls_server_options {
	const char *name;               /* the listener's: a ticket is good for
					   those of this name and client_auth
					   with the same client_ca and crl */
	struct tls_options common;
	const struct tls_pair *pairs;   /* the first is for unknown names */
	size_t n_pairs;
	bool plural;                    /* written as certificates[]: for
					   messages */
	enum tls_client_auth client_auth;
	const char *client_ca, *crl;    /* PEM files, or NULL */
	bool tickets;
	int64_t session_timeout_ms;     /* of tickets and kept sessions */
};

/*
 * Reads every file. NULL with *why filled in, which begins with the name of
 * the wrong key and ": " ("certificates[1].key: ..."). o and all it points to
 * has to stay until tls_server_free().
 */
struct tls_server *tls_server_new(const struct tls_server_options *o,
    char *why, size_t size) MUST_CHECK;

/* What was begun goes on. NULL is fine. */
void tls_server_free(struct tls_server *s);

/*
 * An SSL in accept state, with read-ahead and without BIO. From any thread.
 * NULL when out of memory, and of no server (NULL): a listener may lose its
 * certificates while a client waits. Its end is SSL_free().
 */
SSL *tls_server_begin(struct tls_server *s) MUST_CHECK;

/* What tls_server_look() has found. */
enum tls_look { TLS_LOOK_SAME, TLS_LOOK_NEW, TLS_LOOK_BAD };

/*
 * Have the files changed since they were read? If so and they have been the
 * same for two calls, reads them: TLS_LOOK_NEW, connections begun from now on have
 * them; or TLS_LOOK_BAD with *why, and what there was stays. From one thread.
 */
enum tls_look tls_server_look(struct tls_server *s, char *why, size_t size);

/* What it was made of. */
void tls_server_files(struct tls_server *s, struct tls_files *files);

/* Seconds since 1970 at which the first of its certificates expires. */
int64_t tls_server_not_after(struct tls_server *s);

#endif
