/*
 * A certificate of its own for both ends. See tls_ends.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/support/tls_ends.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdlib.h>

static void
must(bool good)
{
	if (!good)
		abort();
}

static void
certify(SSL_CTX *ctx)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);

	must(key != NULL && x != NULL && X509_set_version(x, 2) == 1);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -60);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	must(X509_set_pubkey(x, key) == 1 && X509_NAME_add_entry_by_txt(name,
	    "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0) == 1);
	must(X509_set_issuer_name(x, name) == 1 &&
	    X509_sign(x, key, EVP_sha256()) > 0);
	must(SSL_CTX_use_certificate(ctx, x) == 1 &&
	    SSL_CTX_use_PrivateKey(ctx, key) == 1);
	X509_free(x);
	EVP_PKEY_free(key);
}

static SSL_CTX *
context(const SSL_METHOD *method, int version)
{
	SSL_CTX *ctx = SSL_CTX_new(method);

	must(ctx != NULL);
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS |
	    SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	must(SSL_CTX_set_min_proto_version(ctx, version) == 1 &&
	    SSL_CTX_set_max_proto_version(ctx, version) == 1);
	return ctx;
}

void
tls_ends_make(struct tls_ends *p, int version)
{
	p->server = context(TLS_server_method(), version);
	p->client = context(TLS_client_method(), version);
	certify(p->server);
}

void
tls_ends_free(struct tls_ends *p)
{
	SSL_CTX_free(p->server);
	SSL_CTX_free(p->client);
}

SSL *
tls_ends_accept(const struct tls_ends *p)
{
	SSL *ssl = SSL_new(p->server);

	must(ssl != NULL);
	SSL_set_accept_state(ssl);
	return ssl;
}

SSL *
tls_ends_connect(const struct tls_ends *p)
{
	SSL *ssl = SSL_new(p->client);

	must(ssl != NULL);
	SSL_set_connect_state(ssl);
	return ssl;
}
