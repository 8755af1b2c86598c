/*
 * What files hold. See tls_files.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/tls_files.h"

#include <string.h>

#include <openssl/bio.h>
#include <openssl/evp.h>

/* What came before, and how long this one is: else two could end elsewhere and
   be one text. */
static int
digest(uint8_t held[TLS_HELD_SIZE], const char *bytes, uint64_t length)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	int good = md != NULL &&
	    EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
	    EVP_DigestUpdate(md, held, TLS_HELD_SIZE) == 1 &&
	    EVP_DigestUpdate(md, &length, sizeof(length)) == 1 &&
	    EVP_DigestUpdate(md, bytes, (size_t)length) == 1 &&
	    EVP_DigestFinal_ex(md, held, NULL) == 1;

	EVP_MD_CTX_free(md);
	return good ? 0 : -1;
}

int
tls_files_note(struct tls_files *f, enum tls_file kind, const char *path,
    const char *key, struct tls_wrong *wrong)
{
	char *bytes = NULL;
	uint64_t length;
	int status;
	BIO *text;

	if (path == NULL)
		return 0;
	text = tls_file_open(path, key, wrong);
	if (text == NULL)
		return -1;
	length = (uint64_t)BIO_get_mem_data(text, &bytes);
	status = digest(f->held[kind], bytes, length);
	BIO_free(text);
	return status == 0 ? 0 : tls_wrong_say(wrong, key, "out of memory");
}

bool
tls_files_alike(const struct tls_files *a, const struct tls_files *b,
    enum tls_file kind)
{
	return memcmp(a->held[kind], b->held[kind], TLS_HELD_SIZE) == 0;
}
