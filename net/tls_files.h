/*
 * What the files hold that one side of TLS was made of, as digests: whether two
 * were made of the same can be told, and no more than that.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef NET_TLS_FILES_H
#define NET_TLS_FILES_H

#include "net/tls_context.h"

/* By what a file is for. */
enum tls_file {
	TLS_FILE_CERTIFICATE, TLS_FILE_KEY, TLS_FILE_OCSP, TLS_FILE_CA,
	TLS_FILE_CRL, TLS_N_FILES
};

enum { TLS_HELD_SIZE = 32 };

/* Begins zeroed, which is of no file at all. */
struct tls_files {
	uint8_t held[TLS_N_FILES][TLS_HELD_SIZE];       /* of several: of all */
	int64_t not_after_s;            /* seconds since 1970 at which the first
					   certificate to show expires; 0 = there
					   is none */
};

/*
 * One more file of a kind: reads it, in the order in which they are given. path
 * NULL is none. -1 with *wrong filled in, which begins with key.
 */
int tls_files_note(struct tls_files *f, enum tls_file kind, const char *path,
    const char *key, struct tls_wrong *wrong) MUST_CHECK;

/* Are those of a kind the same? */
bool tls_files_alike(const struct tls_files *a, const struct tls_files *b,
    enum tls_file kind);

#endif
