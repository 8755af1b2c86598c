/*
 * What a text of SQL may leave on its session, told from its words alone.
 *
 * A connection whose session was changed in a way that cannot be carried to
 * another one is kept for its client. Nobody but the server understands SQL, so
 * this errs on one side: what may change the session is flagged; a false alarm
 * costs a connection that is kept longer than need be. Words in strings,
 * comments, dollar quotes and quoted names do not count, but names of functions
 * do when quoted.
 *
 * What it cannot see: what functions and procedures do, others than those named
 * here (SELECT f(), CALL p(), triggers); text that DO or query_to_xml() puts
 * together from parts of words; connections and sessions that extensions keep
 * (dblink_connect()); what ALTER ROLE and ALTER DATABASE set.
 *
 * Facts: PostgreSQL, chapter 4.1 "Lexical Structure", and the pages of the
 * commands in part VI.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_POSTGRES_SCAN_H
#define PROXY_POSTGRES_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/proto/postgres/words.h"

/*
 * Of all statements of a text together. Those of the second group end a state:
 * they are only there when the statement is exactly that and the text could be
 * followed to its end. They say nothing about whether it succeeds. Statements go
 * from one version to another with them: a bit keeps its meaning.
 */
enum pg_scan_flag {
	PG_SCAN_LISTEN = 1 << 0,
	PG_SCAN_PREPARE = 1 << 1,       /* not PREPARE TRANSACTION */
	PG_SCAN_HOLD = 1 << 2,          /* DECLARE ... WITH HOLD */
	PG_SCAN_TEMP = 1 << 3,          /* CREATE TEMP, INTO TEMP; the word
					   pg_temp wherever it stands */
	PG_SCAN_ADVISORY = 1 << 4,      /* a lock of the session: not _xact_ */
	PG_SCAN_SET_CONFIG = 1 << 5,    /* set_config(), unless its third
					   argument is the word TRUE;
					   setseed(); what is behind UPDATE
					   names pg_settings */
	PG_SCAN_SET = 1 << 6,           /* SET name, SET SESSION name, SET
					   SESSION CHARACTERISTICS */
	PG_SCAN_SET_ROLE = 1 << 7,      /* SET ROLE, and with SET_USER */
	PG_SCAN_SET_USER = 1 << 8,      /* SET SESSION AUTHORIZATION */
	PG_SCAN_LOAD = 1 << 9,
	PG_SCAN_UNSURE = 1 << 10,       /* could not be followed, or hides
					   words: U&"", a byte 0, not ended, a
					   tag of a dollar quote above 16
					   bytes, escapes in what DO runs */

	PG_SCAN_UNLISTEN_ALL = 1 << 11,         /* UNLISTEN * */
	PG_SCAN_DEALLOCATE_ALL = 1 << 12,
	PG_SCAN_CLOSE_ALL = 1 << 13,
	PG_SCAN_DISCARD_ALL = 1 << 14,
	PG_SCAN_DISCARD_TEMP = 1 << 15,
	PG_SCAN_ADVISORY_UNLOCK_ALL = 1 << 16,  /* the whole text is SELECT
						   pg_advisory_unlock_all() */
	PG_SCAN_RESET_ALL = 1 << 17,    /* does not touch role and user */
	PG_SCAN_RESET_ROLE = 1 << 18,   /* RESET ROLE, SET ROLE NONE: the role,
					   not the user; and with RESET_USER */
	PG_SCAN_RESET_USER = 1 << 19,   /* RESET SESSION AUTHORIZATION, SET
					   SESSION AUTHORIZATION DEFAULT */

	PG_SCAN_RESET = 1 << 20,        /* RESET name */
	PG_SCAN_SET_LOCAL = 1 << 21,
	PG_SCAN_DEALLOCATE = 1 << 22,   /* one */
	PG_SCAN_DISCARD_OTHER = 1 << 23,        /* PLANS, SEQUENCES */
	PG_SCAN_EXECUTE = 1 << 24,      /* of what PREPARE has prepared: what it
					   does was flagged with that PREPARE */
	PG_SCAN_BEGIN = 1 << 25,        /* BEGIN, START TRANSACTION */
	PG_SCAN_DO = 1 << 26,
	PG_SCAN_SEQ = 1 << 27,          /* currval(), lastval() */
	PG_SCAN_READS = 1 << 28,        /* one statement, SELECT, VALUES, SHOW
					   or TABLE, without a word that writes
					   or locks, and nothing of the above.
					   A function may still write */
	PG_SCAN_ALL = (1 << 29) - 1
};

/* Embedded where the text passes. Only sets_n and name are for others. */
struct pg_scan {
	char name[60];                  /* what the first SET sets, as written
					   but in lower case if not quoted;
					   "timezone" of SET TIME ZONE,
					   "client_encoding" of SET NAMES; ""
					   when it is too long, or of another
					   form */
	char word[PG_WORD_MAX];         /* that began in bytes fed before, or
					   is quoted */
	char tag[16];                   /* of the dollar quote */
	uint8_t sets_n;                 /* statements with PG_SCAN_SET; 255 is
					   255 or more */
	uint8_t state;                  /* enum lexeme of scan.c */
	union {
		uint32_t alert;         /* 0: most words are nothing */
		struct {                /* meaning.c */
			uint8_t first;  /* the first word is not yet met */
			uint8_t want;   /* enum want */
			uint8_t call;   /* enum call */
			uint8_t temp;   /* TEMP would count here */
		};
	};
	uint32_t flags;
	union {
		uint32_t comments;      /* that are open, one in the other */
		struct {
			uint8_t tag_len;
			uint8_t tag_at; /* of a closing one, that are read;
					   255: none is on its way */
		};
	};
	uint8_t word_len;               /* PG_WORD_MAX + 1: longer */
	uint8_t call_depth;             /* meaning.c */
	uint8_t prev;                   /* enum pg_word; right while alert */
	bool writes;                    /* a word that does not only read */
	/* What the lexical part remembers. */
	unsigned standard:1, escapes:1, gap:2, wide:1, high:1;
	/* What the other remembers. */
	unsigned texts:2, depth:2, setting:2, excused:1, bent:1, updates:1;
};

/*
 * Begin a text. standard: standard_conforming_strings is on as the server
 * parses it; otherwise a backslash means something in '' too.
 */
void pg_scan_begin(struct pg_scan *s, bool standard);

/*
 * After pg_scan_begin(): client_encoding is one whose characters may have
 * bytes of ASCII in them (BIG5, GB18030, GBK, JOHAB, SHIFT_JIS_2004, SJIS,
 * UHC). Text in which such a byte could be taken for SQL is unsure.
 */
void pg_scan_wide(struct pg_scan *s);

/* The next bytes of the text, however it is cut; without the 0 that ends it. */
void pg_scan_feed(struct pg_scan *s, const char *bytes, size_t len);

/* The text is over: its PG_SCAN_*. */
unsigned pg_scan_end(struct pg_scan *s);

#endif
