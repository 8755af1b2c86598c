/*
 * Certificates for tests, made when they are wanted: of a CA of the test's own,
 * of any name and time, revoked or broken.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SUPPORT_CERTS_H
#define TESTS_SUPPORT_CERTS_H

#include <stdbool.h>

#include <openssl/types.h>

enum { CERTS_PATH_MAX = 200 };

struct cert_wish {
	const char *name;               /* common name */
	const char *san;                /* "DNS:a.test,IP:127.0.0.1"; or NULL */
	const char *odd_dns;            /* instead of san: as it is, whatever is
					   in it */
	int from_days, to_days;         /* from now; both 0: yesterday to in 30
					   days */
	bool rsa;                       /* else a key on P-256 */
	bool is_ca;
	const struct cert *issuer;      /* NULL = itself */
};

/* With what it takes to sign others. */
struct cert {
	X509 *x;
	EVP_PKEY *key;
	char crt_path[CERTS_PATH_MAX];  /* PEM */
	char key_path[CERTS_PATH_MAX];
};

/* Writes FOLDER/FILE.crt and FOLDER/FILE.key. Ends the test when it cannot. */
struct cert cert_new(const char *folder, const char *file,
    struct cert_wish wish);
void cert_free(struct cert *c);

/* Writes a list of what ca has revoked: one of them, or none (NULL). */
void cert_write_crl(const struct cert *ca, const char *path,
    const struct cert *revoked);

/* Writes an OCSP answer of ca in DER: c is good, for so many hours. */
void cert_write_ocsp(const struct cert *ca, const struct cert *c,
    const char *path, int hours);

/* Behind one another, as a chain has to be. */
void cert_write_chain(const char *path, const struct cert *a,
    const struct cert *b);

#endif
