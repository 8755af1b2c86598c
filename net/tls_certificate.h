/*
 * A certificate to show: its chain, its key, the OCSP answer that goes with it,
 * and the names that it is for.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef NET_TLS_CERTIFICATE_H
#define NET_TLS_CERTIFICATE_H

#include "net/tls_context.h"

/* Paths of PEM files, but for ocsp, which is DER. */
struct tls_pair {
	const char *certificate;        /* and those between it and its CA */
	const char *key;                /* NULL = in the same file */
	const char *ocsp;               /* an answer to staple; NULL = none */
};

struct tls_certificate {
	X509 *x;
	struct stack_st_X509 *chain;    /* those behind it */
	EVP_PKEY *key;
	unsigned char *ocsp;            /* DER */
	size_t n_ocsp;
	int64_t ocsp_until_s;           /* then it is stapled no more */
	char **names;                   /* lower case: "a.b", "*.b" */
	size_t n_names;
};

/*
 * Reads its files; in messages their keys stand behind `prefix`. Zeroed before;
 * to be ended with tls_certificate_fini() in any case.
 */
int tls_certificate_read(struct tls_certificate *c,
    const struct tls_pair *pair, const char *prefix, struct tls_wrong *wrong)
    MUST_CHECK;
void tls_certificate_fini(struct tls_certificate *c);

/* Let ctx show it, beside one with a key of another kind. */
int tls_certificate_use(const struct tls_certificate *c, SSL_CTX *ctx,
    struct tls_wrong *wrong) MUST_CHECK;

#endif
