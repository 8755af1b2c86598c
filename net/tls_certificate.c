/*
 * Certificates to show. See tls_certificate.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/tls_certificate.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/ocsp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

enum { KEY_NAME_MAX = 80 };

/* ------------------------------------------------------------------- names */

/* RFC 6125 6.4.3: "*" is a whole first label, and there is no other. */
static int
name_add(struct tls_certificate *c, const ASN1_STRING *text)
{
	const unsigned char *bytes = ASN1_STRING_get0_data(text);
	int length = ASN1_STRING_length(text);
	char **more, *name;

	/* A NUL within it would make another name of it. */
	if (length <= 0 || length > 255 ||
	    memchr(bytes, '\0', (size_t)length) != NULL)
		return 0;
	more = realloc(c->names, (c->n_names + 1) * sizeof(*more));
	if (more == NULL)
		return -1;
	c->names = more;
	name = strndup((const char *)bytes, (size_t)length);
	if (name == NULL)
		return -1;
	for (char *at = name; *at != '\0'; at++)
		*at = (char)tolower((unsigned char)*at);
	c->names[c->n_names++] = name;
	return 0;
}

/* RFC 6125 6.4.4: the common name only where there are no others. */
static int
read_names(struct tls_certificate *c)
{
	GENERAL_NAMES *all = X509_get_ext_d2i(c->x, NID_subject_alt_name, NULL,
	    NULL);
	X509_NAME *subject = X509_get_subject_name(c->x);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	int status = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(all) && status == 0; i++) {
		const GENERAL_NAME *one = sk_GENERAL_NAME_value(all, i);

		if (one->type == GEN_DNS)
			status = name_add(c, one->d.dNSName);
	}
	if (all == NULL && at >= 0)
		status = name_add(c, X509_NAME_ENTRY_get_data(
		    X509_NAME_get_entry(subject, at)));
	GENERAL_NAMES_free(all);
	return status;
}

/* -------------------------------------------------------------------- OCSP */

/* Until when all that it says is good; 0 = it is no answer. */
static int64_t
good_until(const unsigned char *bytes, size_t n)
{
	const unsigned char *at = bytes;
	OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &at, (long)n);
	OCSP_BASICRESP *basic = response != NULL && OCSP_response_status(
	    response) == OCSP_RESPONSE_STATUS_SUCCESSFUL ?
	    OCSP_response_get1_basic(response) : NULL;
	int64_t until = 0;

	for (int i = 0; basic != NULL && i < OCSP_resp_count(basic); i++) {
		ASN1_GENERALIZEDTIME *next = NULL;
		int64_t then;

		(void)OCSP_single_get0_status(OCSP_resp_get0(basic, i), NULL,
		    NULL, NULL, &next);
		/* RFC 6960 2.4: without it there is always newer word. */
		then = next == NULL ? INT64_MAX : tls_time(next);
		if (until == 0 || then < until)
			until = then;
	}
	OCSP_BASICRESP_free(basic);
	OCSP_RESPONSE_free(response);
	return until;
}

static int
read_ocsp(struct tls_certificate *c, const char *path, const char *key,
    struct tls_wrong *wrong)
{
	BIO *text = tls_file_open(path, key, wrong);
	char *bytes;
	long n = text == NULL ? 0 : BIO_get_mem_data(text, &bytes);

	if (text == NULL)
		return -1;
	c->ocsp = n > 0 ? malloc((size_t)n) : NULL;
	if (c->ocsp != NULL) {
		memcpy(c->ocsp, bytes, (size_t)n);
		c->n_ocsp = (size_t)n;
		c->ocsp_until_s = good_until(c->ocsp, c->n_ocsp);
	}
	BIO_free(text);
	if (c->ocsp_until_s == 0)
		return tls_wrong_say(wrong, key, "\"%.200s\" is no answer of "
		    "OCSP, expected one in DER, as openssl ocsp -respout "
		    "writes it", path);
	return 0;
}

/* --------------------------------------------------------------- the whole */

static int
read_key(struct tls_certificate *c, const struct tls_pair *pair,
    const char *key, struct tls_wrong *wrong)
{
	const char *path = pair->key != NULL ? pair->key : pair->certificate;

	c->key = tls_key_read(path, key, wrong);
	if (c->key == NULL)
		return -1;
	if (X509_check_private_key(c->x, c->key) != 1)
		return tls_wrong_say(wrong, key, "\"%.200s\" is not the key of "
		    "the first certificate in \"%.200s\"", path,
		    pair->certificate);
	return 0;
}

int
tls_certificate_read(struct tls_certificate *c, const struct tls_pair *pair,
    const char *prefix, struct tls_wrong *wrong)
{
	char certificate[KEY_NAME_MAX], key[KEY_NAME_MAX], ocsp[KEY_NAME_MAX];

	snprintf(certificate, sizeof(certificate), "%scertificate", prefix);
	snprintf(key, sizeof(key), "%skey", prefix);
	snprintf(ocsp, sizeof(ocsp), "%socsp", prefix);
	c->chain = tls_chain_read(pair->certificate, certificate, wrong);
	if (c->chain == NULL)
		return -1;
	c->x = sk_X509_shift(c->chain);
	if (read_names(c) == -1)
		return tls_wrong_say(wrong, certificate, "out of memory");
	if (read_key(c, pair, key, wrong) == -1)
		return -1;
	return pair->ocsp == NULL ? 0 : read_ocsp(c, pair->ocsp, ocsp, wrong);
}

void
tls_certificate_fini(struct tls_certificate *c)
{
	for (size_t i = 0; i < c->n_names; i++)
		free(c->names[i]);
	free(c->names);
	free(c->ocsp);
	EVP_PKEY_free(c->key);
	sk_X509_pop_free(c->chain, X509_free);
	X509_free(c->x);
	memset(c, 0, sizeof(*c));
}

int
tls_certificate_use(const struct tls_certificate *c, SSL_CTX *ctx,
    struct tls_wrong *wrong)
{
	if (SSL_CTX_use_cert_and_key(ctx, c->x, c->key, c->chain, 1) == 1)
		return 0;
	return tls_wrong_openssl(wrong, "certificate", "it cannot be used");
}
