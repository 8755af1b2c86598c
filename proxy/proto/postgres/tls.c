/*
 * TLS as PostgreSQL has it. See tls.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/postgres/tls.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

int
pg_tls_ask(struct block_store *store, struct buf *out)
{
	char request[8];

	pg_set_u32(request, sizeof(request));
	pg_set_u32(request + 4, PG_SSL_REQUEST);
	return buf_append(store, out, request, sizeof(request));
}

/* An ErrorResponse may stand there, too. Its words are nobody's to believe:
   whoever is in between could have written them (CVE-2024-10977). */
static struct pg_tls_wrong
wrong_of(char answer)
{
	if (answer == 'N')
		return (struct pg_tls_wrong){ "no_tls",
		    "the server speaks no TLS" };
	if (answer == 'E')
		return (struct pg_tls_wrong){ "tls_refused",
		    "the server answers the question for TLS with an error" };
	return (struct pg_tls_wrong){ "not_postgres",
	    "what answers the question for TLS is not PostgreSQL" };
}

enum parse
pg_tls_answer(struct block_store *store, struct buf *in,
    const struct buf *out, struct pg_tls_wrong *wrong)
{
	char answer;

	if (in->len == 0)
		return PARSE_MORE;
	pg_copy_at(in, 0, &answer, 1);
	if (answer != 'S') {
		*wrong = wrong_of(answer);
		return PARSE_BAD;
	}
	if (in->len > 1 || out->len > 0) {
		*wrong = (struct pg_tls_wrong){ "bytes_before_tls",
		    "the server sends more than its answer before TLS" };
		return PARSE_BAD;
	}
	buf_drop(store, in, 1);
	return PARSE_DONE;
}

bool
pg_tls_is_verified(const SSL *ssl)
{
	return ssl != NULL && SSL_get_verify_mode(ssl) != SSL_VERIFY_NONE;
}

bool
pg_tls_is_cut(void)
{
	unsigned long code = ERR_peek_error();

	return ERR_GET_LIB(code) == ERR_LIB_SSL &&
	    ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
}

bool
pg_tls_is_meant(const SSL *ssl)
{
	static const char meant[] = "postgresql";
	const unsigned char *chosen;
	unsigned len;

	SSL_get0_alpn_selected(ssl, &chosen, &len);
	return len == sizeof(meant) - 1 && memcmp(chosen, meant, len) == 0;
}

/* RFC 5929 4.1: the digest is the one that the certificate is signed with, but
   for those that are broken. */
static const EVP_MD *
digest_for(X509 *x)
{
	int digest;

	if (X509_get_signature_info(x, &digest, NULL, NULL, NULL) != 1 ||
	    digest == NID_undef)
		return NULL;
	return digest == NID_md5 || digest == NID_sha1 ? EVP_sha256() :
	    EVP_get_digestbynid(digest);
}

struct pg_scram_binding
pg_tls_binding(const SSL *ssl, bool ours)
{
	struct pg_scram_binding binding = { 0 };
	const EVP_MD *md;
	X509 *x;

	if (ssl == NULL || SSL_session_reused(ssl))
		return binding;
	x = ours ? SSL_get_certificate(ssl) : SSL_get0_peer_certificate(ssl);
	md = x != NULL ? digest_for(x) : NULL;
	if (md == NULL || EVP_MD_get_size(md) > PG_SCRAM_DIGEST_MOST ||
	    X509_digest(x, md, binding.digest, &binding.len) != 1)
		binding.len = 0;
	return binding;
}

static int
text_of(const ASN1_STRING *string, char name[PG_TLS_NAME_MOST + 1])
{
	unsigned char *text;
	int len = ASN1_STRING_to_UTF8(&text, string), rc = -1;

	if (len < 0)
		return -1;
	/* A NUL would end it early for whoever takes it for a string
	   (CVE-2009-4034). */
	if (len > 0 && len <= PG_TLS_NAME_MOST &&
	    memchr(text, '\0', (size_t)len) == NULL) {
		memcpy(name, text, (size_t)len);
		name[len] = '\0';
		rc = 0;
	}
	OPENSSL_free(text);
	return rc;
}

int
pg_tls_client_name(const SSL *ssl, char name[PG_TLS_NAME_MOST + 1])
{
	X509 *x = ssl != NULL ? SSL_get0_peer_certificate(ssl) : NULL;
	X509_NAME *subject;
	int at;

	if (x == NULL || SSL_get_verify_result(ssl) != X509_V_OK ||
	    SSL_get_verify_mode(ssl) == SSL_VERIFY_NONE)
		return -1;
	subject = X509_get_subject_name(x);
	at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName,
	    at) >= 0)
		return -1;
	return text_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject,
	    at)), name);
}
