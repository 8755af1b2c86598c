/*
 * A handshake without sockets: a client's and a server's SSL, each with what
 * the other has said.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_NET_TLS_PAIR_H
#define TESTS_NET_TLS_PAIR_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/ssl.h>

#include "net/tls_client.h"
#include "net/tls_problem.h"
#include "net/tls_server.h"
#include "tests/support/certs.h"

/* What came of it. */
struct shaken {
	bool good;                      /* on both sides */
	enum tls_problem client, server;
	char client_text[512], server_text[512];
};

static inline void
connect_pair(SSL *client, SSL *server)
{
	BIO *one, *other;

	assert_int_equal(BIO_new_bio_pair(&one, 65536, &other, 65536), 1);
	SSL_set_bio(client, one, one);
	SSL_set_bio(server, other, other);
}

static inline bool
step(SSL *ssl, enum tls_problem *problem, char *text, size_t size)
{
	int error = SSL_get_error(ssl, SSL_do_handshake(ssl));

	if (error != SSL_ERROR_NONE && error != SSL_ERROR_WANT_READ &&
	    error != SSL_ERROR_WANT_WRITE && *problem == TLS_PROBLEM_NONE)
		*problem = tls_problem(ssl, text, size);
	return error == SSL_ERROR_NONE;
}

/* Both sides until they agree or have failed; then what a server sends behind
   that (tickets) is read. */
static inline struct shaken
shake(SSL *client, SSL *server)
{
	struct shaken s = { .client = TLS_PROBLEM_NONE };
	char byte;

	connect_pair(client, server);
	for (int i = 0; i < 10 && !s.good; i++) {
		bool c = step(client, &s.client, s.client_text,
		    sizeof(s.client_text));
		bool v = step(server, &s.server, s.server_text,
		    sizeof(s.server_text));

		s.good = c && v;
	}
	if (s.good && SSL_read(client, &byte, 1) <= 0)
		(void)step(client, &s.client, s.client_text,
		    sizeof(s.client_text));
	/* With TLS 1.3 a client is done before it is judged. */
	s.good = s.good && s.client == TLS_PROBLEM_NONE &&
	    s.server == TLS_PROBLEM_NONE;
	return s;
}

/* A proper end, without which OpenSSL takes sessions up no more. */
static inline void
part(SSL *client, SSL *server)
{
	SSL_shutdown(client);
	SSL_shutdown(server);
	SSL_free(client);
	SSL_free(server);
}

#endif
