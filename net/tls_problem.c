/*
 * Failed handshakes in words. See tls_problem.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/tls_problem.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "net/escape.h"

enum { NAME_MAX_BYTES = 100, NOTE_MAX = 480 };

const char *const tls_problem_names[N_TLS_PROBLEMS] = {
	[TLS_PROBLEM_NONE] = "none",
	[TLS_PROBLEM_EXPIRED] = "expired",
	[TLS_PROBLEM_NOT_YET_VALID] = "not_yet_valid",
	[TLS_PROBLEM_WRONG_NAME] = "wrong_name",
	[TLS_PROBLEM_SELF_SIGNED] = "self_signed",
	[TLS_PROBLEM_UNKNOWN_CA] = "unknown_ca",
	[TLS_PROBLEM_REVOKED] = "revoked",
	[TLS_PROBLEM_BAD_CERTIFICATE] = "bad_certificate",
	[TLS_PROBLEM_NO_CERTIFICATE] = "no_certificate",
	[TLS_PROBLEM_PEER_ALERT] = "peer_alert",
	[TLS_PROBLEM_VERSION] = "version",
	[TLS_PROBLEM_NO_SHARED_CIPHER] = "no_shared_cipher",
	[TLS_PROBLEM_NO_SHARED_PROTOCOL] = "no_shared_protocol",
	[TLS_PROBLEM_NOT_TLS] = "not_tls",
	[TLS_PROBLEM_CLOSED] = "closed",
	[TLS_PROBLEM_OTHER] = "other"
};

/* --------------------------------------------------- what is wrong with it */

/* Of an SSL's ex_data: a text, since the certificate that failed is nowhere. */
static int slot = -1;

static void
note_free(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl,
    void *argp)
{
	(void)parent, (void)ad, (void)index, (void)argl, (void)argp;
	free(ptr);
}

static void
make_slot(void)
{
	slot = SSL_get_ex_new_index(0, NULL, NULL, NULL, note_free);
}

/* What people know a certificate by; what is in it may be anybody's. */
static void
subject_of(X509 *x, char *out, size_t size)
{
	char text[NAME_MAX_BYTES] = "", safe[NAME_MAX_BYTES * ESCAPE_GROWTH];
	X509_NAME *name = x == NULL ? NULL : X509_get_subject_name(x);
	char *end;

	if (name != NULL && X509_NAME_get_text_by_NID(name, NID_commonName,
	    text, sizeof(text)) <= 0)
		X509_NAME_oneline(name, text, sizeof(text));
	end = escape_ascii(safe, text, strlen(text));
	snprintf(out, size, "%.*s", (int)(end - safe), safe);
}

static void
day_of(const ASN1_TIME *t, char out[16])
{
	struct tm tm = { 0 };

	if (ASN1_TIME_to_tm(t, &tm) != 1 || strftime(out, 16, "%Y-%m-%d",
	    &tm) == 0)
		snprintf(out, 16, "no date");
}

/* The first few names that it is good for. */
static void
names_of(X509 *x, char *out, size_t size)
{
	GENERAL_NAMES *all = X509_get_ext_d2i(x, NID_subject_alt_name, NULL,
	    NULL);
	size_t n = 0;

	out[0] = '\0';
	for (int i = 0; i < sk_GENERAL_NAME_num(all) && n < size / 2; i++) {
		const GENERAL_NAME *one = sk_GENERAL_NAME_value(all, i);
		char safe[NAME_MAX_BYTES * ESCAPE_GROWTH], *end;
		int length;

		if (one->type != GEN_DNS)
			continue;
		length = ASN1_STRING_length(one->d.dNSName);
		end = escape_ascii(safe, (const char *)
		    ASN1_STRING_get0_data(one->d.dNSName), length >
		    NAME_MAX_BYTES ? NAME_MAX_BYTES : (size_t)length);
		n += (size_t)snprintf(out + n, size - n, "%s%.*s", n > 0 ?
		    ", " : "", (int)(end - safe), safe);
	}
	GENERAL_NAMES_free(all);
	if (n == 0)
		subject_of(x, out, size);
}

static enum tls_problem
problem_of(long verify)
{
	switch (verify) {
	case X509_V_OK:
		return TLS_PROBLEM_NONE;
	case X509_V_ERR_CERT_HAS_EXPIRED:
		return TLS_PROBLEM_EXPIRED;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return TLS_PROBLEM_NOT_YET_VALID;
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		return TLS_PROBLEM_WRONG_NAME;
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
		return TLS_PROBLEM_SELF_SIGNED;
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_CERT_UNTRUSTED:
		return TLS_PROBLEM_UNKNOWN_CA;
	case X509_V_ERR_CERT_REVOKED:
		return TLS_PROBLEM_REVOKED;
	default:
		return TLS_PROBLEM_BAD_CERTIFICATE;
	}
}

static void
describe(X509_STORE_CTX *store, char *out, size_t size)
{
	int error = X509_STORE_CTX_get_error(store);
	X509 *x = X509_STORE_CTX_get_current_cert(store);
	char who[200], names[200], day[16];
	const char *wanted;

	subject_of(x, who, sizeof(who));
	switch (problem_of(error)) {
	case TLS_PROBLEM_EXPIRED:
		day_of(X509_get0_notAfter(x), day);
		snprintf(out, size, "the certificate of \"%s\" has expired, "
		    "on %s", who, day);
		break;
	case TLS_PROBLEM_NOT_YET_VALID:
		day_of(X509_get0_notBefore(x), day);
		snprintf(out, size, "the certificate of \"%s\" is not valid "
		    "before %s", who, day);
		break;
	case TLS_PROBLEM_WRONG_NAME:
		names_of(x, names, sizeof(names));
		wanted = X509_VERIFY_PARAM_get0_host(
		    X509_STORE_CTX_get0_param(store), 0);
		snprintf(out, size, "the certificate is for %s, not for %s",
		    names, wanted != NULL ? wanted : "this address");
		break;
	case TLS_PROBLEM_SELF_SIGNED:
		snprintf(out, size, "the certificate of \"%s\" is signed by "
		    "itself and not known", who);
		break;
	case TLS_PROBLEM_UNKNOWN_CA:
		snprintf(out, size, "the certificate of \"%s\" is not signed "
		    "by a known CA", who);
		break;
	case TLS_PROBLEM_REVOKED:
		snprintf(out, size, "the certificate of \"%s\" has been "
		    "revoked", who);
		break;
	default:
		snprintf(out, size, "the certificate of \"%s\" is bad: %s",
		    who, X509_verify_cert_error_string(error));
	}
}

/* SSL_CTX_set_verify(3). The first that is wrong ends the handshake. */
static int
verified(int good, X509_STORE_CTX *store)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store,
	    SSL_get_ex_data_X509_STORE_CTX_idx());
	char *note;

	if (good || ssl == NULL || SSL_get_ex_data(ssl, slot) != NULL)
		return good;
	note = malloc(NOTE_MAX);
	if (note == NULL)
		return 0;
	describe(store, note, NOTE_MAX);
	if (SSL_set_ex_data(ssl, slot, note) != 1)
		free(note);
	return 0;
}

void
tls_problem_verify(SSL_CTX *ctx, int mode)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make_slot);
	SSL_CTX_set_verify(ctx, mode, verified);
}

/* ------------------------------------------------------------ all the rest */

/* Alerts of RFC 8446 6.2 that say why, and not only that. */
static enum tls_problem
alert_problem(int alert)
{
	switch (alert) {
	case SSL_AD_PROTOCOL_VERSION:
		return TLS_PROBLEM_VERSION;
	case SSL_AD_NO_APPLICATION_PROTOCOL:
		return TLS_PROBLEM_NO_SHARED_PROTOCOL;
	default:
		return TLS_PROBLEM_PEER_ALERT;
	}
}

static enum tls_problem
reason_problem(const SSL *ssl, int reason, const char **text)
{
	switch (reason) {
	case SSL_R_UNSUPPORTED_PROTOCOL:
	case SSL_R_VERSION_TOO_LOW:
	case SSL_R_VERSION_TOO_HIGH:
	case SSL_R_WRONG_SSL_VERSION:
	case SSL_R_UNKNOWN_PROTOCOL:
		*text = "no version of TLS that both may use";
		return TLS_PROBLEM_VERSION;
	case SSL_R_NO_SHARED_CIPHER:
	case SSL_R_NO_SHARED_GROUPS:
	case SSL_R_NO_SUITABLE_KEY_SHARE:
	case SSL_R_NO_SUITABLE_GROUPS:
	case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
	case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
	case SSL_R_WRONG_CIPHER_RETURNED:
	case SSL_R_NO_CIPHERS_AVAILABLE:
		*text = "no cipher, group or signature that both may use";
		return TLS_PROBLEM_NO_SHARED_CIPHER;
	case SSL_R_NO_APPLICATION_PROTOCOL:
		*text = "no protocol (ALPN) that both speak";
		return TLS_PROBLEM_NO_SHARED_PROTOCOL;
	case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
		*text = "no certificate was shown";
		return TLS_PROBLEM_NO_CERTIFICATE;
	case SSL_R_HTTP_REQUEST:
	case SSL_R_HTTPS_PROXY_REQUEST:
		*text = "plain HTTP came instead of TLS";
		return TLS_PROBLEM_NOT_TLS;
	case SSL_R_WRONG_VERSION_NUMBER:
	case SSL_R_PACKET_LENGTH_TOO_LONG:
	case SSL_R_RECORD_TOO_SMALL:
	case SSL_R_BAD_RECORD_TYPE:
		/* Later than in the first record it is a broken one. */
		if (SSL_get_state(ssl) != TLS_ST_BEFORE &&
		    SSL_get_state(ssl) != TLS_ST_CW_CLNT_HELLO &&
		    SSL_get_state(ssl) != TLS_ST_SR_CLNT_HELLO)
			break;
		*text = "what came is not TLS";
		return TLS_PROBLEM_NOT_TLS;
	case SSL_R_UNEXPECTED_EOF_WHILE_READING:
		*text = "the connection ended during the handshake";
		return TLS_PROBLEM_CLOSED;
	case SSL_R_BAD_LENGTH:
	case SSL_R_LENGTH_MISMATCH:
	case SSL_R_CERT_LENGTH_MISMATCH:
	case SSL_R_BAD_SIGNATURE:
		break;
	}
	return TLS_PROBLEM_OTHER;
}

static enum tls_problem
error_problem(const SSL *ssl, unsigned long code, char *out, size_t size)
{
	int reason = ERR_GET_REASON(code);
	const char *text = ERR_reason_error_string(code);
	enum tls_problem problem = TLS_PROBLEM_OTHER;

	if (ERR_GET_LIB(code) != ERR_LIB_SSL) {
		/* A certificate that cannot be taken to pieces fails there. */
		if (ERR_GET_LIB(code) == ERR_LIB_ASN1 ||
		    ERR_GET_LIB(code) == ERR_LIB_X509)
			problem = TLS_PROBLEM_BAD_CERTIFICATE;
	} else if (reason > SSL_AD_REASON_OFFSET) {
		int alert = reason - SSL_AD_REASON_OFFSET;

		snprintf(out, size, "the other side ended the handshake: %s",
		    SSL_alert_desc_string_long(alert));
		return alert_problem(alert);
	} else {
		problem = reason_problem(ssl, reason, &text);
	}
	if (problem == TLS_PROBLEM_BAD_CERTIFICATE)
		snprintf(out, size, "a certificate that cannot be read: %s",
		    text != NULL ? text : "broken");
	else
		snprintf(out, size, "%s", text != NULL ? text :
		    "the handshake failed");
	return problem;
}

enum tls_problem
tls_problem(const SSL *ssl, char *out, size_t size)
{
	long verify = SSL_get_verify_result(ssl);
	unsigned long code = ERR_peek_error();
	const char *note = slot < 0 ? NULL : SSL_get_ex_data(ssl, slot);
	enum tls_problem problem = TLS_PROBLEM_CLOSED;

	if (note != NULL) {
		snprintf(out, size, "%s", note);
		problem = problem_of(verify);
	} else if (code == 0) {
		snprintf(out, size, "the connection ended during the "
		    "handshake");
	} else {
		problem = error_problem(ssl, code, out, size);
	}
	ERR_clear_error();
	return problem;
}
