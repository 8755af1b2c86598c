/*
 * From the words of a text to PG_SCAN_*: the half of scan.h that knows
 * statements. scan.c tells it of words and signs in their order; it knows
 * nothing of quotes and comments.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_POSTGRES_MEANING_H
#define PROXY_POSTGRES_MEANING_H

#include "proxy/proto/postgres/scan.h"

/* How closely what stands in strings is looked at. */
enum pg_depth {
	PG_DEPTH_NONE,
	PG_DEPTH_NAMES,                 /* for functions, and pg_temp */
	PG_DEPTH_ALL                    /* a body of DO: each word counts */
};

/* The rest of pg_meaning_word(). */
void pg_meaning_known(struct pg_scan *s, enum pg_word word, const char *bytes,
    size_t len);

/* pg_notify(), lo_create(): names of the system's do more than read. */
static inline bool
pg_meaning_is_system(const char *bytes, size_t len)
{
	return len > 3 && bytes[2] == '_' &&
	    ((*bytes | 32) == 'p' || (*bytes | 32) == 'l');
}

/* A word that is not quoted. */
static inline void
pg_meaning_word(struct pg_scan *s, const char *bytes, size_t len)
{
	enum pg_word word = pg_word_find(bytes, len);

	if (word != PG_WORD_OTHER || s->alert != 0)
		pg_meaning_known(s, word, bytes, len);
	if (pg_meaning_is_system(bytes, len))
		s->writes = true;
}

/* What is in "". */
void pg_meaning_quoted(struct pg_scan *s, const char *bytes, size_t len);

/* Is pg_meaning_sign() to be told of what stands between words? */
static inline bool
pg_meaning_wants(const struct pg_scan *s)
{
	return s->want != 0 || s->call != 0;
}

/* A sign; ' for a string of any kind, 0 for a number or parameter. */
void pg_meaning_sign(struct pg_scan *s, char sign);

/* A name that counts wherever it stands; any other word is nothing to it. */
void pg_meaning_name(struct pg_scan *s, enum pg_word word);

/* A byte inside a string, if s->depth is not NONE, its last quote included;
   and the end of the statement it stands in (inner.c). */
void pg_meaning_inner(struct pg_scan *s, char byte);
void pg_meaning_inner_end(struct pg_scan *s);

/* A semicolon, or the end of the text. */
void pg_meaning_statement_end(struct pg_scan *s);

#endif
