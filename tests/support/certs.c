/*
 * Certificates for tests. See certs.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/support/certs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

enum { DAY = 24 * 3600 };

static void
must(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "certs: %s\n", what);
	ERR_print_errors_fp(stderr);
	abort();
}

static void
extend(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *extension;

	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	must(extension != NULL && X509_add_ext(x, extension, -1) == 1, value);
	X509_EXTENSION_free(extension);
}

/* What X509V3_EXT_conf_nid() would take to pieces. */
static void
add_odd_name(X509 *x, const char *dns)
{
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_IA5STRING *text = ASN1_IA5STRING_new();

	must(names != NULL && name != NULL && text != NULL &&
	    ASN1_STRING_set(text, dns, -1) == 1, dns);
	GENERAL_NAME_set0_value(name, GEN_DNS, text);
	must(sk_GENERAL_NAME_push(names, name) > 0 && X509_add1_ext_i2d(x,
	    NID_subject_alt_name, names, 0, X509V3_ADD_APPEND) == 1, dns);
	GENERAL_NAMES_free(names);
}

static void
write_files(const struct cert *c)
{
	FILE *crt = fopen(c->crt_path, "w"), *key = fopen(c->key_path, "w");

	must(crt != NULL && key != NULL, c->crt_path);
	must(PEM_write_X509(crt, c->x) == 1 && PEM_write_PrivateKey(key,
	    c->key, NULL, NULL, 0, NULL, NULL) == 1, c->crt_path);
	must(fclose(crt) == 0 && fclose(key) == 0, c->crt_path);
}

struct cert
cert_new(const char *folder, const char *file, struct cert_wish wish)
{
	static long serial = 1000;
	struct cert c;
	X509 *issuer;
	X509_NAME *name;

	if (wish.from_days == 0 && wish.to_days == 0) {
		wish.from_days = -1;
		wish.to_days = 30;
	}
	snprintf(c.crt_path, sizeof(c.crt_path), "%s/%s.crt", folder, file);
	snprintf(c.key_path, sizeof(c.key_path), "%s/%s.key", folder, file);
	c.key = wish.rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
	c.x = X509_new();
	must(c.key != NULL && c.x != NULL, "no key");
	issuer = wish.issuer != NULL ? wish.issuer->x : c.x;
	name = X509_get_subject_name(c.x);
	must(X509_set_version(c.x, X509_VERSION_3) == 1 &&
	    ASN1_INTEGER_set(X509_get_serialNumber(c.x), serial++) == 1 &&
	    X509_gmtime_adj(X509_getm_notBefore(c.x),
	    (long)wish.from_days * DAY) != NULL &&
	    X509_gmtime_adj(X509_getm_notAfter(c.x),
	    (long)wish.to_days * DAY) != NULL &&
	    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
	    (const unsigned char *)wish.name, -1, -1, 0) == 1 &&
	    X509_set_issuer_name(c.x, X509_get_subject_name(issuer)) == 1 &&
	    X509_set_pubkey(c.x, c.key) == 1, wish.name);
	extend(c.x, issuer, NID_basic_constraints, wish.is_ca ?
	    "critical,CA:TRUE" : "critical,CA:FALSE");
	if (wish.is_ca)
		extend(c.x, issuer, NID_key_usage, "keyCertSign,cRLSign,"
		    "digitalSignature");
	if (wish.san != NULL)
		extend(c.x, issuer, NID_subject_alt_name, wish.san);
	if (wish.odd_dns != NULL)
		add_odd_name(c.x, wish.odd_dns);
	must(X509_sign(c.x, wish.issuer != NULL ? wish.issuer->key : c.key,
	    EVP_sha256()) > 0, "not signed");
	write_files(&c);
	return c;
}

void
cert_free(struct cert *c)
{
	X509_free(c->x);
	EVP_PKEY_free(c->key);
	remove(c->crt_path);
	remove(c->key_path);
}

void
cert_write_crl(const struct cert *ca, const char *path,
    const struct cert *revoked)
{
	X509_CRL *crl = X509_CRL_new();
	ASN1_TIME *now = X509_gmtime_adj(NULL, -60);
	ASN1_TIME *next = X509_gmtime_adj(NULL, DAY);
	FILE *out = fopen(path, "w");

	must(crl != NULL && now != NULL && next != NULL && out != NULL, path);
	must(X509_CRL_set_version(crl, X509_CRL_VERSION_2) == 1 &&
	    X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca->x)) ==
	    1 && X509_CRL_set1_lastUpdate(crl, now) == 1 &&
	    X509_CRL_set1_nextUpdate(crl, next) == 1, path);
	if (revoked != NULL) {
		X509_REVOKED *entry = X509_REVOKED_new();

		must(entry != NULL && X509_REVOKED_set_serialNumber(entry,
		    X509_get_serialNumber(revoked->x)) == 1 &&
		    X509_REVOKED_set_revocationDate(entry, now) == 1 &&
		    X509_CRL_add0_revoked(crl, entry) == 1, path);
	}
	must(X509_CRL_sign(crl, ca->key, EVP_sha256()) > 0 &&
	    PEM_write_X509_CRL(out, crl) == 1 && fclose(out) == 0, path);
	ASN1_TIME_free(now);
	ASN1_TIME_free(next);
	X509_CRL_free(crl);
}

void
cert_write_ocsp(const struct cert *ca, const struct cert *c, const char *path,
    int hours)
{
	OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
	OCSP_CERTID *id = OCSP_cert_to_id(EVP_sha1(), c->x, ca->x);
	ASN1_TIME *now = X509_gmtime_adj(NULL, -2 * 3600);
	ASN1_TIME *next = X509_gmtime_adj(NULL, (long)hours * 3600);
	OCSP_RESPONSE *response;
	BIO *out = BIO_new_file(path, "w");

	must(basic != NULL && id != NULL && now != NULL && next != NULL &&
	    out != NULL && OCSP_basic_add1_status(basic, id,
	    V_OCSP_CERTSTATUS_GOOD, 0, NULL, now, next) != NULL &&
	    OCSP_basic_sign(basic, ca->x, ca->key, EVP_sha256(), NULL, 0) ==
	    1, path);
	response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL,
	    basic);
	must(response != NULL && i2d_OCSP_RESPONSE_bio(out, response) == 1,
	    path);
	BIO_free(out);
	OCSP_RESPONSE_free(response);
	OCSP_BASICRESP_free(basic);
	OCSP_CERTID_free(id);
	ASN1_TIME_free(now);
	ASN1_TIME_free(next);
}

void
cert_write_chain(const char *path, const struct cert *a, const struct cert *b)
{
	FILE *out = fopen(path, "w");

	must(out != NULL && PEM_write_X509(out, a->x) == 1 &&
	    PEM_write_X509(out, b->x) == 1 && fclose(out) == 0, path);
}
