/*
 * Both ends of TLS in one process: a context each, with a certificate made for
 * the occasion, which the client does not check.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SUPPORT_TLS_PAIR_H
#define TESTS_SUPPORT_TLS_PAIR_H

#include <openssl/ssl.h>

struct tls_pair {
	SSL_CTX *server, *client;
};

/* version: TLS1_2_VERSION or TLS1_3_VERSION. */
void tls_pair_make(struct tls_pair *p, int version);
void tls_pair_free(struct tls_pair *p);

/* The caller owns them. */
SSL *tls_pair_accept(const struct tls_pair *p);
SSL *tls_pair_connect(const struct tls_pair *p);

#endif
