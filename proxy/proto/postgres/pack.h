/*
 * What another process is told of clients and connections, as JSON: bytes of
 * any kind, settings, keys, statements. What comes is read as if it came from
 * a client: it may be from another version, or lie.
 *
 * Secrets are among it. What is made here is wiped when it is of no use any
 * more; the caller's JSON is the caller's.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_POSTGRES_PACK_H
#define PROXY_POSTGRES_PACK_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "net/err.h"

struct pg_key;
struct pg_settings;
struct pg_statement;
struct pg_statements;

/*
 * A string of JSON has to be UTF-8, and a text of SQL need not be: each byte is
 * a character, as in Latin-1, and 0 is U+0100. So what is ASCII stays as it is.
 */
json_t *pg_bytes_pack(const void *bytes, size_t len) MUST_CHECK;
/* Malloc'd, with a 0 behind; *len without it. NULL: is no such string, or longer
   than `most`; or out of memory. */
char *pg_bytes_unpack(const json_t *j, size_t most, size_t *len) MUST_CHECK;

/* A list, or NULL, the empty one. NULL also where there is more than is taken on
   the other side; likewise below. */
json_t *pg_settings_pack(const struct pg_settings *s) MUST_CHECK;
/* From its text; NULL: is empty, or none (a name twice, no name, too many, above
   PG_SETTINGS_MOST), or out of memory. The next one likewise. */
struct pg_settings *pg_settings_come(const char *text, size_t len) MUST_CHECK;
/* *s, which is NULL before, gets a reference, or NULL where the list is empty or
   j is NULL; else -1. */
int pg_settings_unpack(const json_t *j, struct pg_settings **s) MUST_CHECK;

json_t *pg_key_pack(const struct pg_key *key) MUST_CHECK;
/* The caller's, by pg_key_free(). NULL: it is none, or out of memory. */
struct pg_key *pg_key_unpack(const json_t *j) MUST_CHECK;

/*
 * A statement with its number, by which servers know it: the number goes along,
 * so that a client and a connection that have gone over, one before the other,
 * still know each other's. An object to which more may be added.
 */
json_t *pg_statement_pack(const struct pg_statement *st) MUST_CHECK;
/* With a reference: the one of that text that the lane has already, or a new
   one. NULL: it is none, or out of memory. */
struct pg_statement *pg_statement_unpack(struct pg_statements *all,
    const json_t *j) MUST_CHECK;

#endif
