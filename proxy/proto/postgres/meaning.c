/*
 * What the words of statements say. See meaning.h and, for what is flagged,
 * scan.h.
 *
 * Most of it hangs on the first word of a statement. Then s->want says what is
 * waited for; what is flagged at once and what only when the next word or sign
 * is known follows from PostgreSQL's grammar: LOCAL, SESSION, NAMES and some
 * more are also names of settings, for all that it cares (SET local.x = 1).
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/postgres/meaning.h"

#include <string.h>

/* Behind what the next word or sign is. */
enum want {
	WANT_NOTHING,
	WANT_UNLISTEN, WANT_PREPARE, WANT_PREPARE_TRANSACTION,
	WANT_DEALLOCATE, WANT_DECLARE, WANT_CLOSE, WANT_DISCARD, WANT_START,
	WANT_RESET, WANT_RESET_ROLE, WANT_RESET_SESSION, WANT_RESET_USER,
	WANT_SET, WANT_SET_MAYBE,       /* s->prev: a keyword or a name? */
	WANT_SET_NAME, WANT_SET_NAME_DOT,
	WANT_SET_ROLE, WANT_SET_ROLE_NONE, WANT_SET_USER,
	WANT_SET_USER_DEFAULT,
	/* SELECT pg_catalog . pg_advisory_unlock_all ( ) */
	WANT_UNLOCK, WANT_UNLOCK_DOT, WANT_UNLOCK_OPEN, WANT_UNLOCK_SHUT,
	WANT_UNLOCK_END
};

/* Of set_config(name, value, TRUE). s->call_depth: ( and [ inside of it. */
enum call {
	CALL_NONE, CALL_NAME, CALL_FIRST, CALL_SECOND, CALL_THIRD, CALL_TRUE
};

enum { MOST_CALL_DEPTH = 255 };

/* --------------------------------------------------------------- set_config */

static void
call_lasts(struct pg_scan *s)
{
	s->flags |= PG_SCAN_SET_CONFIG;
	s->call = CALL_NONE;
}

static void
call_word(struct pg_scan *s, enum pg_word word)
{
	if (s->call == CALL_FIRST || s->call == CALL_SECOND)
		return;
	if (s->call == CALL_THIRD && word == PG_WORD_TRUE)
		s->call = CALL_TRUE;
	else
		call_lasts(s);
}

static void
call_sign_within(struct pg_scan *s, char sign)
{
	bool opens = sign == '(' || sign == '[';
	bool shuts = sign == ')' || sign == ']';

	if ((opens && s->call_depth == MOST_CALL_DEPTH) ||
	    (shuts && s->call_depth == 0))
		call_lasts(s);
	else if (opens)
		s->call_depth++;
	else if (shuts)
		s->call_depth--;
	else if (sign == ',' && s->call_depth == 0)
		s->call = s->call == CALL_FIRST ? CALL_SECOND : CALL_THIRD;
}

static void
call_sign(struct pg_scan *s, char sign)
{
	switch ((enum call)s->call) {
	case CALL_NONE:
		return;
	case CALL_NAME:
		s->call_depth = 0;
		if (sign != '(')
			call_lasts(s);
		else
			s->call = CALL_FIRST;
		return;
	case CALL_FIRST:
	case CALL_SECOND:
		call_sign_within(s, sign);
		return;
	case CALL_THIRD:
		call_lasts(s);
		return;
	case CALL_TRUE:
		if (sign != ')')
			call_lasts(s);
		else
			s->flags |= PG_SCAN_SET_LOCAL;
		s->call = CALL_NONE;
		return;
	}
}

/* -------------------------------------------------------------------- names */

void
pg_meaning_name(struct pg_scan *s, enum pg_word word)
{
	switch (word) {
	case PG_WORD_PG_TEMP:
		s->flags |= PG_SCAN_TEMP;
		break;
	case PG_WORD_LOCK:
	case PG_WORD_LOCK_SHARED:
	case PG_WORD_TRY_LOCK:
	case PG_WORD_TRY_LOCK_SHARED:
		s->flags |= PG_SCAN_ADVISORY;
		break;
	case PG_WORD_SETSEED:
		s->flags |= PG_SCAN_SET_CONFIG;
		break;
	case PG_WORD_PG_SETTINGS:
		/* An UPDATE of that view is set_config() (54.24). */
		if (s->updates)
			s->flags |= PG_SCAN_SET_CONFIG;
		break;
	case PG_WORD_CURRVAL:
	case PG_WORD_LASTVAL:
		s->flags |= PG_SCAN_SEQ;
		break;
	case PG_WORD_UNLOCK_ALL:
	case PG_WORD_NEXTVAL:
	case PG_WORD_SETVAL:
		s->writes = true;
		break;
	case PG_WORD_QUERY_TO_XML:
	case PG_WORD_QUERY_TO_XMLSCHEMA:
	case PG_WORD_QUERY_TO_BOTH:
	case PG_WORD_TS_STAT:
	case PG_WORD_TS_REWRITE:
	case PG_WORD_CROSSTAB:
		/* They run the text of a string. */
		s->writes = true;
		if (s->depth == PG_DEPTH_NONE)
			s->depth = PG_DEPTH_NAMES;
		break;
	default:
		break;
	}
}

/* Outside of strings: its arguments can be followed. */
static void
set_config_met(struct pg_scan *s)
{
	/* search_path may be set to 'pg_temp'. */
	if (s->depth == PG_DEPTH_NONE)
		s->depth = PG_DEPTH_NAMES;
	s->writes = true;
	if (s->call != CALL_NONE)
		s->flags |= PG_SCAN_SET_CONFIG;
	else
		s->call = CALL_NAME;
}

/* ---------------------------------------------------------------------- SET */

static void
name_add(struct pg_scan *s, const char *bytes, size_t len, bool quoted)
{
	size_t at = strlen(s->name), i;

	if (len > PG_WORD_MAX || at + len >= sizeof(s->name)) {
		s->name[0] = '\0';
		return;
	}
	for (i = 0; i < len; i++)
		s->name[at + i] = !quoted && bytes[i] >= 'A' &&
		    bytes[i] <= 'Z' ? (char)(bytes[i] | 32) : bytes[i];
	s->name[at + len] = '\0';
}

static void
name_set(struct pg_scan *s, const char *bytes, size_t len, bool quoted)
{
	if (s->sets_n != 0)
		return;
	s->name[0] = '\0';
	name_add(s, bytes, len, quoted);
}

static void
set_met(struct pg_scan *s, enum want want)
{
	s->flags |= PG_SCAN_SET;
	if (s->sets_n < UINT8_MAX)
		s->sets_n++;
	s->want = want;
}

/* The word behind SET, SET SESSION. */
static void
set_word(struct pg_scan *s, enum pg_word word, const char *bytes, size_t len,
    bool quoted)
{
	name_set(s, bytes, len, quoted);
	switch (word) {
	case PG_WORD_LOCAL:
	case PG_WORD_SESSION:
	case PG_WORD_TRANSACTION:
	case PG_WORD_CONSTRAINTS:
	case PG_WORD_TIME:
	case PG_WORD_NAMES:
		s->want = WANT_SET_MAYBE;
		break;
	case PG_WORD_ROLE:
		s->want = WANT_SET_ROLE;
		break;
	case PG_WORD_SESSION_AUTHORIZATION:
		s->want = WANT_SET_USER;
		break;
	default:
		set_met(s, WANT_SET_NAME);
		break;
	}
}

/* Behind a word that would be a setting's name if "TO", "=" or "." followed:
   something else does. */
static void
set_keyword(struct pg_scan *s, enum pg_word word, const char *bytes,
    size_t len, bool quoted)
{
	enum pg_word prev = (enum pg_word)s->prev;

	s->want = WANT_NOTHING;
	if (prev == PG_WORD_LOCAL)
		s->flags |= PG_SCAN_SET_LOCAL;
	else if (prev == PG_WORD_NAMES) {
		name_set(s, "client_encoding", 15, false);
		set_met(s, WANT_NOTHING);
	} else if (prev == PG_WORD_TIME) {
		name_set(s, "timezone", 8, false);
		set_met(s, WANT_NOTHING);
	} else if (prev != PG_WORD_SESSION)
		return;                 /* TRANSACTION, CONSTRAINTS */
	else if (word == PG_WORD_AUTHORIZATION)
		s->want = WANT_SET_USER;
	else if (word == PG_WORD_CHARACTERISTICS) {
		name_set(s, "", 0, false);
		set_met(s, WANT_NOTHING);
	} else if (len > 0)
		set_word(s, word, bytes, len, quoted);
}

static void
set_user_met(struct pg_scan *s)
{
	s->flags |= PG_SCAN_SET_ROLE | PG_SCAN_SET_USER;
	s->want = WANT_NOTHING;
}

static void
set_role_met(struct pg_scan *s)
{
	s->flags |= PG_SCAN_SET_ROLE;
	s->want = WANT_NOTHING;
}

static void
reset_word(struct pg_scan *s, enum pg_word word)
{
	s->want = WANT_NOTHING;
	if (word == PG_WORD_ALL)
		s->flags |= PG_SCAN_RESET_ALL;
	else if (word == PG_WORD_ROLE)
		s->want = WANT_RESET_ROLE;
	else if (word == PG_WORD_SESSION)
		s->want = WANT_RESET_SESSION;
	else if (word == PG_WORD_SESSION_AUTHORIZATION)
		s->want = WANT_RESET_USER;
	else
		s->flags |= PG_SCAN_RESET;
}

/* --------------------------------------------------------------- statements */

static void
first_word(struct pg_scan *s, enum pg_word word)
{
	static const uint8_t wants[PG_N_WORDS] = {
		[PG_WORD_UNLISTEN] = WANT_UNLISTEN,
		[PG_WORD_PREPARE] = WANT_PREPARE,
		[PG_WORD_DEALLOCATE] = WANT_DEALLOCATE,
		[PG_WORD_DECLARE] = WANT_DECLARE,
		[PG_WORD_CLOSE] = WANT_CLOSE,
		[PG_WORD_DISCARD] = WANT_DISCARD,
		[PG_WORD_START] = WANT_START,
		[PG_WORD_RESET] = WANT_RESET,
		[PG_WORD_SET] = WANT_SET,
		[PG_WORD_SELECT] = WANT_UNLOCK
	};

	s->first = false;
	s->want = wants[word];
	switch (word) {
	case PG_WORD_SELECT:
	case PG_WORD_VALUES:
	case PG_WORD_SHOW:
	case PG_WORD_TABLE:
		return;
	case PG_WORD_LISTEN:
		s->flags |= PG_SCAN_LISTEN;
		break;
	case PG_WORD_LOAD:
		s->flags |= PG_SCAN_LOAD;
		break;
	case PG_WORD_BEGIN:
		s->flags |= PG_SCAN_BEGIN;
		break;
	case PG_WORD_DO:
		s->flags |= PG_SCAN_DO;
		s->depth = PG_DEPTH_ALL;
		break;
	case PG_WORD_SET:
		s->depth = PG_DEPTH_NAMES;
		break;
	default:
		break;
	}
	s->writes = true;
}

static void
discard_word(struct pg_scan *s, enum pg_word word)
{
	if (word == PG_WORD_ALL)
		s->flags |= PG_SCAN_DISCARD_ALL;
	else if (word == PG_WORD_TEMP || word == PG_WORD_TEMPORARY)
		s->flags |= PG_SCAN_DISCARD_TEMP;
	else
		s->flags |= PG_SCAN_DISCARD_OTHER;
	s->want = WANT_NOTHING;
}

static void
unlock_word(struct pg_scan *s, enum pg_word word)
{
	if (s->want == WANT_UNLOCK && word == PG_WORD_UNLOCK_ALL)
		s->want = WANT_UNLOCK_OPEN;
	else if (s->want == WANT_UNLOCK && word == PG_WORD_PG_CATALOG)
		s->want = WANT_UNLOCK_DOT;
	else
		s->want = WANT_NOTHING;
}

/* One flat switch over what is waited for: a word is here. */
static void
wanted_word(struct pg_scan *s, enum pg_word word, const char *bytes,
    size_t len, bool quoted)
{
	switch ((enum want)s->want) {
	case WANT_PREPARE:
		if (word == PG_WORD_TRANSACTION) {
			s->want = WANT_PREPARE_TRANSACTION;
			return;
		}
		s->flags |= PG_SCAN_PREPARE;
		break;
	case WANT_PREPARE_TRANSACTION:
		/* PREPARE transaction AS: a name like others. */
		s->flags |= PG_SCAN_PREPARE;
		break;
	case WANT_DEALLOCATE:
		if (word == PG_WORD_PREPARE)
			return;
		s->flags |= word == PG_WORD_ALL ? PG_SCAN_DEALLOCATE_ALL :
		    PG_SCAN_DEALLOCATE;
		break;
	case WANT_DECLARE:
		if (word == PG_WORD_HOLD && s->prev == PG_WORD_WITH)
			s->flags |= PG_SCAN_HOLD;
		if (word != PG_WORD_FOR)        /* its query follows */
			return;
		break;
	case WANT_CLOSE:
		if (word == PG_WORD_ALL)
			s->flags |= PG_SCAN_CLOSE_ALL;
		break;
	case WANT_DISCARD:
		discard_word(s, word);
		return;
	case WANT_START:
		if (word == PG_WORD_TRANSACTION)
			s->flags |= PG_SCAN_BEGIN;
		break;
	case WANT_RESET:
		reset_word(s, quoted ? PG_WORD_OTHER : word);
		return;
	case WANT_RESET_SESSION:
		if (word == PG_WORD_AUTHORIZATION) {
			s->want = WANT_RESET_USER;
			return;
		}
		/* FALLTHROUGH */
	case WANT_RESET_ROLE:
	case WANT_RESET_USER:
		s->flags |= PG_SCAN_RESET;
		break;
	case WANT_SET:
		set_word(s, word, bytes, len, quoted);
		return;
	case WANT_SET_MAYBE:
		if (word == PG_WORD_TO)
			set_met(s, WANT_NOTHING);
		else
			set_keyword(s, word, bytes, len, quoted);
		return;
	case WANT_SET_NAME_DOT:
		if (s->sets_n == 1 && s->name[0] != '\0')
			name_add(s, bytes, len, quoted);
		s->want = WANT_SET_NAME;
		return;
	case WANT_SET_ROLE:
		if (word == PG_WORD_TO)
			return;
		if (word == PG_WORD_NONE)
			s->want = WANT_SET_ROLE_NONE;
		else
			set_role_met(s);
		return;
	case WANT_SET_ROLE_NONE:
		set_role_met(s);
		return;
	case WANT_SET_USER:
		if (word == PG_WORD_TO)
			return;
		if (word == PG_WORD_DEFAULT)
			s->want = WANT_SET_USER_DEFAULT;
		else
			set_user_met(s);
		return;
	case WANT_SET_USER_DEFAULT:
		set_user_met(s);
		return;
	case WANT_UNLOCK:
	case WANT_UNLOCK_DOT:
	case WANT_UNLOCK_OPEN:
	case WANT_UNLOCK_SHUT:
	case WANT_UNLOCK_END:
		unlock_word(s, quoted ? PG_WORD_OTHER : word);
		return;
	case WANT_NOTHING:
	case WANT_UNLISTEN:
	case WANT_SET_NAME:
		break;
	}
	s->want = WANT_NOTHING;
}

/* And a sign. */
static void
wanted_sign(struct pg_scan *s, char sign)
{
	enum want want = (enum want)s->want;

	s->want = WANT_NOTHING;
	switch (want) {
	case WANT_UNLISTEN:
		if (sign == '*')
			s->flags |= PG_SCAN_UNLISTEN_ALL;
		break;
	case WANT_PREPARE_TRANSACTION:
		if (sign != '\'')       /* PREPARE transaction (int) AS */
			s->flags |= PG_SCAN_PREPARE;
		break;
	case WANT_PREPARE:
	case WANT_DECLARE:
		s->want = want;
		break;
	case WANT_RESET_ROLE:
	case WANT_RESET_USER:
	case WANT_RESET_SESSION:
		s->flags |= PG_SCAN_RESET;      /* RESET role.x */
		break;
	case WANT_SET_MAYBE:
		if (sign == '=' || sign == '.')
			set_met(s, sign == '.' ? WANT_SET_NAME : WANT_NOTHING);
		else
			set_keyword(s, PG_WORD_OTHER, NULL, 0, false);
		if (sign != '.')
			break;
		/* FALLTHROUGH */
	case WANT_SET_NAME:
		if (sign != '.')
			break;
		if (s->sets_n == 1 && s->name[0] != '\0')
			name_add(s, ".", 1, false);
		s->want = WANT_SET_NAME_DOT;
		break;
	case WANT_SET_ROLE:
	case WANT_SET_USER:
		if (sign == '.') {
			set_met(s, WANT_SET_NAME);
			wanted_sign(s, sign);
		} else if (sign == '=')
			s->want = want;
		else if (want == WANT_SET_ROLE)
			set_role_met(s);
		else
			set_user_met(s);
		break;
	case WANT_SET_ROLE_NONE:
		set_role_met(s);
		break;
	case WANT_SET_USER_DEFAULT:
		set_user_met(s);
		break;
	case WANT_UNLOCK_DOT:
		s->want = sign == '.' ? WANT_UNLOCK : WANT_NOTHING;
		break;
	case WANT_UNLOCK_OPEN:
		s->want = sign == '(' ? WANT_UNLOCK_SHUT : WANT_NOTHING;
		break;
	case WANT_UNLOCK_SHUT:
		s->want = sign == ')' ? WANT_UNLOCK_END : WANT_NOTHING;
		break;
	case WANT_NOTHING:
	case WANT_DEALLOCATE:
	case WANT_CLOSE:
	case WANT_DISCARD:
	case WANT_START:
	case WANT_RESET:
	case WANT_SET:
	case WANT_SET_NAME_DOT:
	case WANT_UNLOCK:
	case WANT_UNLOCK_END:
		break;
	}
}

/* And nothing. */
static void
wanted_end(struct pg_scan *s)
{
	switch ((enum want)s->want) {
	case WANT_SET_MAYBE:
		set_keyword(s, PG_WORD_OTHER, NULL, 0, false);
		break;
	case WANT_RESET_ROLE:
	case WANT_SET_ROLE_NONE:
		s->flags |= PG_SCAN_RESET_ROLE;
		break;
	case WANT_RESET_USER:
	case WANT_SET_USER_DEFAULT:
		/* It ends a role as well. */
		s->flags |= PG_SCAN_RESET_USER | PG_SCAN_RESET_ROLE;
		break;
	case WANT_RESET_SESSION:
		s->flags |= PG_SCAN_RESET;
		break;
	case WANT_UNLOCK_END:
		s->flags |= PG_SCAN_ADVISORY_UNLOCK_ALL;
		break;
	default:
		break;
	}
}

/* ------------------------------------------------------------- what is told */

/* Words that count in any place. */
static void
keyword_met(struct pg_scan *s, enum pg_word word)
{
	switch (word) {
	case PG_WORD_INTO:
		s->writes = true;
		/* FALLTHROUGH */
	case PG_WORD_CREATE:
		s->temp = true;
		return;
	case PG_WORD_OR:
	case PG_WORD_REPLACE:
	case PG_WORD_LOCAL:
	case PG_WORD_GLOBAL:
		return;
	case PG_WORD_TEMP:
	case PG_WORD_TEMPORARY:
		if (s->temp)
			s->flags |= PG_SCAN_TEMP;
		break;
	case PG_WORD_UPDATE:
		s->updates = true;
		/* FALLTHROUGH */
	case PG_WORD_INSERT:
	case PG_WORD_DELETE:
	case PG_WORD_MERGE:
	case PG_WORD_FOR:
		s->writes = true;
		break;
	case PG_WORD_EXECUTE:
		s->flags |= PG_SCAN_EXECUTE;
		break;
	case PG_WORD_SET_CONFIG:
		set_config_met(s);
		break;
	default:
		pg_meaning_name(s, word);
		break;
	}
	s->temp = false;
}

void
pg_meaning_known(struct pg_scan *s, enum pg_word word, const char *bytes,
    size_t len)
{
	if (s->call != CALL_NONE)
		call_word(s, word);
	if (s->first)
		first_word(s, word);
	else if (s->want != WANT_NOTHING)
		wanted_word(s, word, bytes, len, false);
	if (word != PG_WORD_OTHER)
		keyword_met(s, word);
	else
		s->temp = false;
	s->prev = (uint8_t)word;
}

void
pg_meaning_quoted(struct pg_scan *s, const char *bytes, size_t len)
{
	enum pg_word word = len > 0 ? pg_word_find(bytes, len) : PG_WORD_OTHER;

	if (word < PG_WORD_ROLE)
		word = PG_WORD_OTHER;
	if (s->call != CALL_NONE)
		call_word(s, PG_WORD_OTHER);
	if (s->first)
		first_word(s, PG_WORD_OTHER);
	else if (s->want != WANT_NOTHING)
		wanted_word(s, word, bytes, len, true);
	if (word == PG_WORD_SET_CONFIG)
		set_config_met(s);
	else
		pg_meaning_name(s, word);
	s->temp = false;
	if (pg_meaning_is_system(bytes, len))
		s->writes = true;
	s->prev = PG_WORD_OTHER;
}

void
pg_meaning_sign(struct pg_scan *s, char sign)
{
	if (s->call != CALL_NONE)
		call_sign(s, sign);
	if (s->want != WANT_NOTHING)
		wanted_sign(s, sign);
}

void
pg_meaning_statement_end(struct pg_scan *s)
{
	if (s->call != CALL_NONE)
		call_lasts(s);
	if (s->want != WANT_NOTHING)
		wanted_end(s);
	if (s->depth == PG_DEPTH_ALL)
		pg_meaning_inner_end(s);
	if (!s->first && s->texts < 2)
		s->texts++;
	s->first = true;
	s->want = WANT_NOTHING;
	s->prev = PG_WORD_OTHER;
	s->temp = s->updates = false;
	s->depth = PG_DEPTH_NONE;
}
