/*
 * Facts of a peer's certificate. See tls_peer.h.
 *
 * All values are the peer's, or its CA's: whatever could end a line or an entry
 * of a list is escaped, so that nobody is who he is not by his name.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/tls_peer.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

const char *const tls_peer_fact_names[] = {
	[TLS_PEER_VERIFY] = "verify",
	[TLS_PEER_SUBJECT] = "subject",
	[TLS_PEER_ISSUER] = "issuer",
	[TLS_PEER_SERIAL] = "serial",
	[TLS_PEER_SAN] = "san",
	[TLS_PEER_FINGERPRINT] = "fingerprint",
	[TLS_PEER_CERTIFICATE] = "certificate",
	[N_TLS_PEER_FACTS] = NULL
};

/* Of an SSL's ex_data. */
struct facts {
	char *v[N_TLS_PEER_FACTS];      /* NULL = none */
};

static int slot = -1;

int
tls_peer_fact_find(const char *name)
{
	for (int i = 0; i < N_TLS_PEER_FACTS; i++)
		if (strcmp(tls_peer_fact_names[i], name) == 0)
			return i;
	return -1;
}

/* ------------------------------------------------------------------ making */

/* What the BIO holds, if it is fit for a field; ends the BIO. */
static char *
text_of(BIO *out)
{
	char *bytes, *text = NULL;
	long n = BIO_get_mem_data(out, &bytes);
	bool good = n > 0 && n <= TLS_PEER_FACT_MAX;

	for (long i = 0; good && i < n; i++)
		good = bytes[i] >= ' ' && bytes[i] < 0x7f;
	if (good)
		text = strndup(bytes, (size_t)n);
	BIO_free(out);
	return text;
}

/* RFC 2253 2.4, and everything beyond ASCII as \XX. */
static char *
name_text(const X509_NAME *name)
{
	BIO *out = BIO_new(BIO_s_mem());

	if (out != NULL)
		(void)X509_NAME_print_ex(out, name, 0, XN_FLAG_RFC2253);
	return out == NULL ? NULL : text_of(out);
}

static void
put_hex(BIO *out, const unsigned char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		BIO_printf(out, "%02x", bytes[i]);
}

static char *
serial_text(const X509 *x)
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(x);
	BIO *out = BIO_new(BIO_s_mem());

	if (out == NULL)
		return NULL;
	put_hex(out, ASN1_STRING_get0_data(serial),
	    (size_t)ASN1_STRING_length(serial));
	return text_of(out);
}

static char *
fingerprint_text(const X509 *x)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	BIO *out = BIO_new(BIO_s_mem());

	if (out == NULL)
		return NULL;
	if (X509_digest(x, EVP_sha256(), digest, &n) == 1)
		put_hex(out, digest, n);
	return text_of(out);
}

/* A comma would begin another name (CVE-2021-44532). */
static void
put_value(BIO *out, const ASN1_STRING *value)
{
	const unsigned char *bytes = ASN1_STRING_get0_data(value);
	int n = ASN1_STRING_length(value);

	for (int i = 0; i < n; i++) {
		if (bytes[i] <= ' ' || bytes[i] >= 0x7f || bytes[i] == ',' ||
		    bytes[i] == '"' || bytes[i] == '\\')
			BIO_printf(out, "\\%02X", bytes[i]);
		else
			BIO_write(out, &bytes[i], 1);
	}
}

static void
put_address(BIO *out, const ASN1_STRING *value)
{
	char text[INET6_ADDRSTRLEN];
	int n = ASN1_STRING_length(value);

	if ((n == 4 || n == 16) && inet_ntop(n == 4 ? AF_INET : AF_INET6,
	    ASN1_STRING_get0_data(value), text, sizeof(text)) != NULL)
		BIO_puts(out, text);
}

/* Kinds that no field could hold (other names, whole directories) are left
   out. */
static char *
san_text(const X509 *x)
{
	GENERAL_NAMES *all = X509_get_ext_d2i(x, NID_subject_alt_name, NULL,
	    NULL);
	BIO *out = BIO_new(BIO_s_mem());
	const char *between = "";

	for (int i = 0; out != NULL && i < sk_GENERAL_NAME_num(all); i++) {
		const GENERAL_NAME *one = sk_GENERAL_NAME_value(all, i);
		const char *kind = one->type == GEN_DNS ? "DNS:" :
		    one->type == GEN_IPADD ? "IP:" :
		    one->type == GEN_URI ? "URI:" :
		    one->type == GEN_EMAIL ? "email:" : NULL;

		if (kind == NULL)
			continue;
		BIO_printf(out, "%s%s", between, kind);
		if (one->type == GEN_IPADD)
			put_address(out, one->d.iPAddress);
		else
			put_value(out, one->d.ia5);
		between = ",";
	}
	GENERAL_NAMES_free(all);
	return out == NULL ? NULL : text_of(out);
}

/* RFC 9440 2.2: a byte sequence of RFC 8941 3.3.5. */
static char *
certificate_text(X509 *x)
{
	unsigned char *der = NULL;
	int n = i2d_X509(x, &der);
	size_t room = n > 0 ? (size_t)n / 3 * 4 + 8 : 0;
	char *text = room == 0 || room > TLS_PEER_FACT_MAX ? NULL :
	    malloc(room);

	if (text != NULL) {
		text[0] = ':';
		n = EVP_EncodeBlock((unsigned char *)text + 1, der, n);
		strcpy(text + 1 + n, ":");
	}
	OPENSSL_free(der);
	return text;
}

static void
facts_free(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl,
    void *argp)
{
	struct facts *f = ptr;

	(void)parent, (void)ad, (void)index, (void)argl, (void)argp;
	for (size_t i = 0; f != NULL && i < N_TLS_PEER_FACTS; i++)
		free(f->v[i]);
	free(f);
}

static void
make_slot(void)
{
	slot = SSL_get_ex_new_index(0, NULL, NULL, NULL, facts_free);
}

static struct facts *
facts_new(SSL *ssl)
{
	struct facts *f = calloc(1, sizeof(*f));
	X509 *x = SSL_get0_peer_certificate(ssl);

	if (f == NULL)
		return NULL;
	if (x != NULL) {
		f->v[TLS_PEER_SUBJECT] = name_text(X509_get_subject_name(x));
		f->v[TLS_PEER_ISSUER] = name_text(X509_get_issuer_name(x));
		f->v[TLS_PEER_SERIAL] = serial_text(x);
		f->v[TLS_PEER_SAN] = san_text(x);
		f->v[TLS_PEER_FINGERPRINT] = fingerprint_text(x);
		f->v[TLS_PEER_CERTIFICATE] = certificate_text(x);
	}
	f->v[TLS_PEER_VERIFY] = strdup(x == NULL ? "NONE" : "SUCCESS");
	if (SSL_set_ex_data(ssl, slot, f) != 1) {
		facts_free(NULL, f, NULL, 0, 0, NULL);
		return NULL;
	}
	return f;
}

const char *
tls_peer_fact(SSL *ssl, enum tls_peer_fact fact)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	const struct facts *f;

	pthread_once(&once, make_slot);
	f = SSL_get_ex_data(ssl, slot);
	if (f == NULL)
		f = facts_new(ssl);
	return f == NULL ? NULL : f->v[fact];
}
