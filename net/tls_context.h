/*
 * What both sides of TLS are told alike: versions, ciphers and groups, files
 * of certificates and keys, and what is wrong with them, in words.
 *
 * Secure unless told otherwise: as Mozilla's "intermediate" (5.7). Nothing here
 * ever shows what is in a key's file.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef NET_TLS_CONTEXT_H
#define NET_TLS_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/types.h>

#include "net/err.h"

enum tls_version { TLS_VERSION_1_2, TLS_VERSION_1_3 };

/* Strings are NULL where not given. */
struct tls_options {
	enum tls_version min_version, max_version;
	const char *ciphers;            /* of TLS 1.2; NULL = intermediate */
	const char *ciphersuites;       /* of TLS 1.3; NULL = OpenSSL's */
	const char *groups;             /* NULL = X25519:prime256v1:secp384r1 */
	const char *const *alpn;        /* best first */
	size_t n_alpn;
};

/*
 * A sentence on what is wrong. It begins with the key of the configuration it
 * is about, as it stands in the group, then ": ": "certificates[1].key: ...".
 */
struct tls_wrong {
	char text[512];
};

/*
 * Whoever makes a context: `server` or not, with all that both sides have in
 * common. NULL with *wrong filled in.
 */
SSL_CTX *tls_context_new(bool server, const struct tls_options *o,
    struct tls_wrong *wrong) MUST_CHECK;

/* "\2h2\10http/1.1", as RFC 7301 3.1 has it; NULL when there is none to offer,
   *n is 0 then, or out of memory. The caller frees it. */
unsigned char *tls_alpn_wire(const struct tls_options *o, size_t *n)
    MUST_CHECK;

/* Fills in wrong, with the key and a text. Returns -1 always. */
int tls_wrong_say(struct tls_wrong *wrong, const char *key, const char *fmt,
    ...) PRINTF_LIKE(3, 4);

/* The same with what OpenSSL says last; its errors are forgotten. */
int tls_wrong_openssl(struct tls_wrong *wrong, const char *key,
    const char *what);

/* ------------------------------------------------------------------- files */

/* All of a file, 1 MiB at most, or wrong says why not. BIO_free() wipes it. */
BIO *tls_file_open(const char *path, const char *key, struct tls_wrong *wrong)
    MUST_CHECK;

/*
 * A certificate and its chain, first the certificate. At least one; NULL with
 * wrong filled in.
 */
struct stack_st_X509 *tls_chain_read(const char *path, const char *key,
    struct tls_wrong *wrong) MUST_CHECK;

/* An unencrypted key. */
EVP_PKEY *tls_key_read(const char *path, const char *key,
    struct tls_wrong *wrong) MUST_CHECK;

/*
 * Certificates to believe (ca_key, NULL = those of the system) and lists of
 * revoked ones (crl NULL = none; with one, every certificate of a chain must
 * have a list that does not have it) into the context's store.
 */
int tls_trust(SSL_CTX *ctx, const char *ca, const char *ca_key,
    const char *crl, const char *crl_key, struct tls_wrong *wrong) MUST_CHECK;

/* Seconds since 1970. */
int64_t tls_time(const ASN1_TIME *t);

#endif
