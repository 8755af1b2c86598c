/*
 * What both sides of TLS have in common. See tls_context.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/tls_context.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

enum { FILE_MAX_BYTES = 1024 * 1024 };

/* Mozilla's intermediate configuration 5.7, without DHE, which nobody needs who
   has ECDHE. The client's order counts: it knows its hardware. */
static const char intermediate[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
static const char default_groups[] = "X25519:prime256v1:secp384r1";

/* ------------------------------------------------------------------ wrongs */

int
tls_wrong_say(struct tls_wrong *wrong, const char *key, const char *fmt, ...)
{
	size_t n;
	va_list ap;

	n = (size_t)snprintf(wrong->text, sizeof(wrong->text), "%.80s: ", key);
	va_start(ap, fmt);
	vsnprintf(wrong->text + n, sizeof(wrong->text) - n, fmt, ap);
	va_end(ap);
	ERR_clear_error();
	return -1;
}

/* The newest error is the one nearest to the caller, the oldest the cause. */
int
tls_wrong_openssl(struct tls_wrong *wrong, const char *key, const char *what)
{
	unsigned long code = ERR_peek_error();
	const char *reason = code == 0 ? NULL : ERR_reason_error_string(code);

	return tls_wrong_say(wrong, key, "%s: %s", what, reason == NULL ?
	    "out of memory" : reason);
}

/* ----------------------------------------------------------------- choices */

static int
version_number(enum tls_version version)
{
	return version == TLS_VERSION_1_2 ? TLS1_2_VERSION : TLS1_3_VERSION;
}

/* OpenSSL passes over names that it does not know as long as it knows one. */
static int
check_names(SSL_CTX *ctx, const char *list, const char *key,
    int (*set)(SSL_CTX *, const char *), struct tls_wrong *wrong)
{
	char name[128];

	for (const char *at = list; *at != '\0'; ) {
		size_t n = strcspn(at, ":, ");

		if (n > 0 && strchr("!-+@", *at) == NULL) {
			snprintf(name, sizeof(name), "%.*s", n < 120 ? (int)n :
			    120, at);
			if (set(ctx, name) != 1)
				return tls_wrong_say(wrong, key, "\"%s\" is "
				    "not known to this OpenSSL, expected names "
				    "with \":\" between them", name);
		}
		at += n;
		at += strspn(at, ":, ");
	}
	if (set(ctx, list) != 1)
		return tls_wrong_openssl(wrong, key, "nothing is left of it");
	return 0;
}

static int
set_groups(SSL_CTX *ctx, const char *list)
{
	return (int)SSL_CTX_set1_groups_list(ctx, list);
}

static int
choose(SSL_CTX *ctx, const struct tls_options *o, struct tls_wrong *wrong)
{
	if (o->max_version < o->min_version)
		return tls_wrong_say(wrong, "max_version", "is below "
		    "min_version, expected the same or above");
	if (SSL_CTX_set_min_proto_version(ctx,
	    version_number(o->min_version)) != 1 ||
	    SSL_CTX_set_max_proto_version(ctx,
	    version_number(o->max_version)) != 1)
		return tls_wrong_openssl(wrong, "min_version", "not possible");
	if (check_names(ctx, o->ciphers != NULL ? o->ciphers : intermediate,
	    "ciphers", SSL_CTX_set_cipher_list, wrong) == -1)
		return -1;
	if (o->ciphersuites != NULL && check_names(ctx, o->ciphersuites,
	    "ciphersuites", SSL_CTX_set_ciphersuites, wrong) == -1)
		return -1;
	return check_names(ctx, o->groups != NULL ? o->groups : default_groups,
	    "groups", set_groups, wrong);
}

SSL_CTX *
tls_context_new(bool server, const struct tls_options *o,
    struct tls_wrong *wrong)
{
	SSL_CTX *ctx = SSL_CTX_new(server ? TLS_server_method() :
	    TLS_client_method());

	if (ctx == NULL) {
		(void)tls_wrong_openssl(wrong, "tls", "cannot begin");
		return NULL;
	}
	if (choose(ctx, o, wrong) == -1) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	/* RFC 5246 F.1.4 and 7.2.1: nobody renegotiates, and an end without
	   close_notify is none. What is unsent may move, and be sent in parts;
	   idle connections have no buffers. */
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION |
	    SSL_OP_NO_COMPRESSION);
	SSL_CTX_clear_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS |
	    SSL_MODE_ENABLE_PARTIAL_WRITE |
	    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(ctx, 1);
	return ctx;
}

unsigned char *
tls_alpn_wire(const struct tls_options *o, size_t *n)
{
	unsigned char *wire;
	size_t size = 1, at = 0;

	*n = 0;
	for (size_t i = 0; i < o->n_alpn; i++)
		size += 1 + strlen(o->alpn[i]);
	wire = o->n_alpn == 0 ? NULL : malloc(size);
	for (size_t i = 0; wire != NULL && i < o->n_alpn; i++) {
		size_t length = strlen(o->alpn[i]);

		wire[at++] = (unsigned char)length;
		memcpy(wire + at, o->alpn[i], length);
		at += length;
	}
	*n = at;
	return wire;
}

/* ------------------------------------------------------------------- files */

BIO *
tls_file_open(const char *path, const char *key, struct tls_wrong *wrong)
{
	/* Main must not wait for a pipe, nor for what the kernel may have to
	   say: whoever may ask for a plan names any file. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	BIO *text = fd < 0 ? NULL : BIO_new(BIO_s_mem());
	unsigned char piece[4096];
	ssize_t n = -1;
	size_t total = 0;

	while (text != NULL && (n = read(fd, piece, sizeof(piece))) > 0) {
		total += (size_t)n;
		if (total > FILE_MAX_BYTES || BIO_write(text, piece, (int)n) !=
		    (int)n)
			break;
	}
	if (n < 0)
		(void)tls_wrong_say(wrong, key, "\"%.200s\": %s", path,
		    strerror(errno));
	else if (n > 0)
		(void)tls_wrong_say(wrong, key, "\"%.200s\" is too large",
		    path);
	OPENSSL_cleanse(piece, sizeof(piece));
	if (fd >= 0)
		close(fd);
	if (n != 0) {
		BIO_free(text);
		return NULL;
	}
	return text;
}

/* The end of the file, not a mistake in it? */
static bool
was_last(void)
{
	unsigned long code = ERR_peek_last_error();
	bool last = ERR_GET_LIB(code) == ERR_LIB_PEM &&
	    ERR_GET_REASON(code) == PEM_R_NO_START_LINE;

	if (last)
		ERR_clear_error();
	return last;
}

STACK_OF(X509) *
tls_chain_read(const char *path, const char *key, struct tls_wrong *wrong)
{
	BIO *text = tls_file_open(path, key, wrong);
	STACK_OF(X509) *chain;
	X509 *one;

	if (text == NULL)
		return NULL;
	ERR_clear_error();
	chain = sk_X509_new_null();
	while (chain != NULL &&
	    (one = PEM_read_bio_X509(text, NULL, NULL, NULL)) != NULL)
		if (sk_X509_push(chain, one) == 0) {
			X509_free(one);
			break;
		}
	BIO_free(text);
	if (was_last() && sk_X509_num(chain) > 0)
		return chain;
	if (ERR_peek_error() != 0)
		(void)tls_wrong_say(wrong, key, "\"%.200s\": its certificate "
		    "number %d cannot be read (%s)", path,
		    sk_X509_num(chain) + 1,
		    ERR_reason_error_string(ERR_peek_error()));
	else
		(void)tls_wrong_say(wrong, key, "\"%.200s\" holds no "
		    "certificate, expected \"-----BEGIN CERTIFICATE-----\"",
		    path);
	sk_X509_pop_free(chain, X509_free);
	return NULL;
}

/* Who asks for a passphrase is told that there is none. */
static int
no_passphrase(char *buf, int size, int writing, void *arg)
{
	bool *asked = arg;

	(void)buf, (void)size, (void)writing;
	*asked = true;
	return -1;
}

EVP_PKEY *
tls_key_read(const char *path, const char *key, struct tls_wrong *wrong)
{
	BIO *text = tls_file_open(path, key, wrong);
	EVP_PKEY *pkey;
	bool asked = false;

	if (text == NULL)
		return NULL;
	pkey = PEM_read_bio_PrivateKey(text, NULL, no_passphrase, &asked);
	if (pkey == NULL)
		(void)tls_wrong_say(wrong, key, asked ? "\"%.200s\" is "
		    "encrypted, expected a key without passphrase" :
		    "\"%.200s\" holds no key that can be read, expected "
		    "\"-----BEGIN PRIVATE KEY-----\"", path);
	BIO_free(text);
	return pkey;
}

static int
add_crls(X509_STORE *store, const char *path, const char *key,
    struct tls_wrong *wrong)
{
	BIO *text = tls_file_open(path, key, wrong);
	X509_CRL *one;
	int n = 0;

	if (text == NULL)
		return -1;
	ERR_clear_error();
	while ((one = PEM_read_bio_X509_CRL(text, NULL, NULL, NULL)) != NULL) {
		n += X509_STORE_add_crl(store, one);
		X509_CRL_free(one);
	}
	BIO_free(text);
	if (!was_last() || n == 0)
		return tls_wrong_say(wrong, key, "\"%.200s\" is no list of "
		    "revoked certificates, expected \"-----BEGIN X509 "
		    "CRL-----\"", path);
	X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK |
	    X509_V_FLAG_CRL_CHECK_ALL);
	return 0;
}

/* Whatever is in the file is believed, an intermediate or a leaf as well. */
static int
add_cas(SSL_CTX *ctx, const char *path, const char *key,
    struct tls_wrong *wrong)
{
	X509_STORE *store = SSL_CTX_get_cert_store(ctx);
	STACK_OF(X509) *cas = tls_chain_read(path, key, wrong);
	int status = cas == NULL ? -1 : 0;

	for (int i = 0; i < sk_X509_num(cas) && status == 0; i++)
		if (X509_STORE_add_cert(store, sk_X509_value(cas, i)) != 1 ||
		    SSL_CTX_add_client_CA(ctx, sk_X509_value(cas, i)) != 1)
			status = tls_wrong_openssl(wrong, key, "not usable");
	sk_X509_pop_free(cas, X509_free);
	X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
	return status;
}

int
tls_trust(SSL_CTX *ctx, const char *ca, const char *ca_key, const char *crl,
    const char *crl_key, struct tls_wrong *wrong)
{
	if (ca != NULL && add_cas(ctx, ca, ca_key, wrong) == -1)
		return -1;
	if (ca == NULL && SSL_CTX_set_default_verify_paths(ctx) != 1)
		return tls_wrong_openssl(wrong, ca_key, "the system's "
		    "certificates cannot be read");
	return crl == NULL ? 0 : add_crls(SSL_CTX_get_cert_store(ctx), crl,
	    crl_key, wrong);
}

int64_t
tls_time(const ASN1_TIME *t)
{
	struct tm tm;

	return ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}
