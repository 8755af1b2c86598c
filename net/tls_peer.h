/*
 * Who is at the other end: facts of the certificate that it has shown and that
 * was verified, as text that is safe in a header field.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef NET_TLS_PEER_H
#define NET_TLS_PEER_H

#include <openssl/types.h>

enum tls_peer_fact {
	TLS_PEER_VERIFY,                /* "SUCCESS", or "NONE": shows none */
	TLS_PEER_SUBJECT,               /* RFC 2253: "CN=app,O=Example" */
	TLS_PEER_ISSUER,                /* likewise */
	TLS_PEER_SERIAL,                /* hexadecimal */
	TLS_PEER_SAN,                   /* "DNS:a.test,IP:10.0.0.1,URI:x:y" */
	TLS_PEER_FINGERPRINT,           /* SHA-256 of it, hexadecimal */
	TLS_PEER_CERTIFICATE,           /* ":BASE64:", RFC 9440 2.2 */
	N_TLS_PEER_FACTS
};

enum { TLS_PEER_FACT_MAX = 8192 };      /* bytes of one; longer is none */

/* "verify", "subject", ..., as configurations name them; ends with NULL. */
extern const char *const tls_peer_fact_names[];

/* -1 when there is none of that name. */
int tls_peer_fact_find(const char *name);

/*
 * ASCII without controls. NULL where there is no such fact: no certificate,
 * none of that kind in it, too long. Made the first time it is asked for, and the
 * SSL's, as long as that lives.
 */
const char *tls_peer_fact(SSL *ssl, enum tls_peer_fact fact);

#endif
