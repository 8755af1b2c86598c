/*
 * Both ends of TLS in one process: a context each, with a certificate made for
 * the occasion, which the client does not check.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SUPPORT_TLS_ENDS_H
#define TESTS_SUPPORT_TLS_ENDS_H

#include <openssl/ssl.h>

struct tls_ends {
	SSL_CTX *server, *client;
};

/* version: TLS1_2_VERSION or TLS1_3_VERSION. */
void tls_ends_make(struct tls_ends *p, int version);
void tls_ends_free(struct tls_ends *p);

/* The caller owns them. */
SSL *tls_ends_accept(const struct tls_ends *p);
SSL *tls_ends_connect(const struct tls_ends *p);

#endif
