/*
 * Keys of session tickets: made at random, shared by all threads, rotated, and
 * kept for as long as the process lives, so that a reload costs no client its
 * session.
 *
 * Each context has keys of its own, derived from the common secrets and its
 * identity: one context cannot even open another's ticket, let alone skip what
 * only that one has checked (CVE-2025-23419).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef NET_TLS_TICKETS_H
#define NET_TLS_TICKETS_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/types.h>

#include "net/err.h"

enum {
	TLS_TICKETS_ROTATE_S = 4 * 3600,        /* a new secret so often, */
	TLS_TICKETS_OLD = 2,                    /* so many more are accepted */
	TLS_IDENTITY_SIZE = 32
};

/*
 * From now on ctx makes and takes tickets of this identity. Contexts that a
 * handshake may change between have to have the same one. -1 when out of memory
 * or of randomness.
 */
int tls_tickets_use(SSL_CTX *ctx, const uint8_t identity[TLS_IDENTITY_SIZE])
    MUST_CHECK;

/*
 * The secrets themselves, for a process that goes on in place of this one on the
 * same machine. Taken over before any context is made; -1: of another shape,
 * there are none then.
 */
enum { TLS_TICKETS_SECRETS = 3 * 48 };
void tls_tickets_copy(uint8_t out[TLS_TICKETS_SECRETS]);
int tls_tickets_take(const uint8_t *secrets, size_t len) MUST_CHECK;

/* For tests: as if so much time had passed. */
void tls_tickets_age(int64_t seconds);

#endif
