/*
 * The words of SQL that say something about the state of a session, and how a
 * word of a text is looked up among them. All others are PG_WORD_OTHER.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_POSTGRES_WORDS_H
#define PROXY_POSTGRES_WORDS_H

#include <stddef.h>
#include <stdint.h>

enum {
	PG_WORD_MAX = 30                /* bytes; longer ones are OTHER */
};

/* From the first function on they are names, and are found when quoted. */
enum pg_word {
	PG_WORD_OTHER,
	PG_WORD_ALL, PG_WORD_ALTER, PG_WORD_AUTHORIZATION, PG_WORD_BEGIN,
	PG_WORD_CHARACTERISTICS, PG_WORD_CLOSE, PG_WORD_CONSTRAINTS,
	PG_WORD_CREATE, PG_WORD_DEALLOCATE, PG_WORD_DECLARE, PG_WORD_DEFAULT,
	PG_WORD_DELETE, PG_WORD_DISCARD, PG_WORD_DO, PG_WORD_ELSE,
	PG_WORD_EXECUTE, PG_WORD_FOR, PG_WORD_GLOBAL, PG_WORD_HOLD,
	PG_WORD_INSERT, PG_WORD_INTO, PG_WORD_KEY, PG_WORD_LISTEN, PG_WORD_LOAD,
	PG_WORD_LOCAL, PG_WORD_LOOP, PG_WORD_MERGE, PG_WORD_NAMES, PG_WORD_NONE,
	PG_WORD_OR, PG_WORD_PLANS, PG_WORD_PREPARE, PG_WORD_REPLACE,
	PG_WORD_RESET, PG_WORD_SELECT, PG_WORD_SEQUENCES, PG_WORD_SESSION,
	PG_WORD_SET, PG_WORD_SHOW, PG_WORD_START, PG_WORD_TABLE, PG_WORD_TEMP,
	PG_WORD_TEMPORARY, PG_WORD_THEN, PG_WORD_TIME, PG_WORD_TO,
	PG_WORD_TRANSACTION, PG_WORD_TRUE, PG_WORD_UNLISTEN, PG_WORD_UPDATE,
	PG_WORD_VALUES, PG_WORD_WITH, PG_WORD_ZONE,
	/* Names. */
	PG_WORD_ROLE, PG_WORD_SESSION_AUTHORIZATION,    /* as settings */
	PG_WORD_PG_CATALOG, PG_WORD_PG_TEMP,            /* pg_temp_3 too */
	PG_WORD_LOCK, PG_WORD_LOCK_SHARED, PG_WORD_TRY_LOCK,
	PG_WORD_TRY_LOCK_SHARED, PG_WORD_UNLOCK_ALL,
	PG_WORD_SET_CONFIG, PG_WORD_SETSEED, PG_WORD_PG_SETTINGS,
	PG_WORD_CURRVAL, PG_WORD_LASTVAL, PG_WORD_NEXTVAL, PG_WORD_SETVAL,
	PG_WORD_QUERY_TO_XML, PG_WORD_QUERY_TO_XMLSCHEMA,
	PG_WORD_QUERY_TO_BOTH, PG_WORD_TS_STAT, PG_WORD_TS_REWRITE,
	PG_WORD_CROSSTAB,
	PG_N_WORDS
};

/* By length and first letter, the first of those that may be it. */
extern const uint8_t pg_word_first[(PG_WORD_MAX + 1) << 5];

/* The rest of pg_word_find(). */
enum pg_word pg_word_match(unsigned first, const char *bytes, size_t len);

/* A word in any case. */
static inline enum pg_word
pg_word_find(const char *bytes, size_t len)
{
	unsigned first;

	if (len > PG_WORD_MAX)
		return PG_WORD_OTHER;
	first = pg_word_first[len << 5 | ((unsigned char)*bytes & 31)];
	return first == 0 ? PG_WORD_OTHER : pg_word_match(first, bytes, len);
}

#endif
