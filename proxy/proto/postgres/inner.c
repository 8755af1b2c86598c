/*
 * What stands in strings that will be run: the body of DO, and text that it
 * puts together for EXECUTE. See pg_meaning_inner() in meaning.h.
 *
 * No attempt is made at understanding it. Words count wherever they stand, in
 * comments too, and none is taken for the end of a state. Only two things are
 * told apart because bodies are full of them: the SET of UPDATE and of ALTER,
 * and SET LOCAL.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/postgres/meaning.h"

#include <ctype.h>

/* s->setting: the word before was SET, or SET LOCAL. */
enum { SETTING_NOT, SETTING_SET, SETTING_LOCAL };

/* Which one, nobody knows: it may be that of a role. */
static void
set_met(struct pg_scan *s)
{
	s->flags |= PG_SCAN_SET | PG_SCAN_SET_ROLE | PG_SCAN_SET_USER;
	s->sets_n = s->sets_n < UINT8_MAX - 1 ? s->sets_n + 2 : UINT8_MAX;
	s->setting = SETTING_NOT;
}

/* Behind SET; LOCAL may be the name of a setting. */
static void
setting_word(struct pg_scan *s, enum pg_word word)
{
	if (s->setting == SETTING_SET && word == PG_WORD_LOCAL) {
		s->setting = SETTING_LOCAL;
		return;
	}
	if (s->setting == SETTING_SET || word == PG_WORD_TO)
		set_met(s);
	else
		s->flags |= PG_SCAN_SET_LOCAL;
	s->setting = SETTING_NOT;
}

/* UPDATE t SET, and what ALTER sets; but not behind FOR UPDATE. */
static bool
excuses(const struct pg_scan *s, enum pg_word word)
{
	return word == PG_WORD_ALTER || (word == PG_WORD_UPDATE &&
	    s->prev != PG_WORD_FOR && s->prev != PG_WORD_KEY);
}

static void
body_word(struct pg_scan *s, enum pg_word word)
{
	if (s->setting != SETTING_NOT)
		setting_word(s, word);
	switch (word) {
	case PG_WORD_LISTEN:
		s->flags |= PG_SCAN_LISTEN;
		break;
	case PG_WORD_PREPARE:
		s->flags |= PG_SCAN_PREPARE;
		break;
	case PG_WORD_HOLD:
		s->flags |= PG_SCAN_HOLD;
		break;
	case PG_WORD_TEMP:
	case PG_WORD_TEMPORARY:
		s->flags |= PG_SCAN_TEMP;
		break;
	case PG_WORD_LOAD:
		s->flags |= PG_SCAN_LOAD;
		break;
	case PG_WORD_SESSION_AUTHORIZATION:
		set_met(s);
		break;
	case PG_WORD_SET:
		if (!s->excused)
			s->setting = SETTING_SET;
		break;
	case PG_WORD_BEGIN:
	case PG_WORD_THEN:
	case PG_WORD_ELSE:
	case PG_WORD_LOOP:
		s->excused = false;
		break;
	default:
		if (word == PG_WORD_UPDATE)
			s->updates = true;
		if (excuses(s, word))
			s->excused = true;
		break;
	}
	s->prev = (uint8_t)word;
}

/* A word ended before next. */
static void
end_word(struct pg_scan *s, char next)
{
	enum pg_word word = pg_word_find(s->word, s->word_len);
	char letter = (char)(*s->word | 32);

	if (s->word_len == 1 && letter == 'e' && next == '\'')
		s->bent = true;
	if (s->word_len == 1 && letter == 'u' && next == '&')
		s->flags |= PG_SCAN_UNSURE;
	s->word_len = 0;
	if (word == PG_WORD_SET_CONFIG)
		s->flags |= PG_SCAN_SET_CONFIG;
	else
		pg_meaning_name(s, word);
	if (s->depth == PG_DEPTH_ALL)
		body_word(s, word);
}

/* A $ may end a quote: $q$SET. */
static bool
goes_on(const struct pg_scan *s, char byte)
{
	return isalpha((unsigned char)byte) || byte == '_' ||
	    (unsigned char)byte >= 128 ||
	    (s->word_len > 0 && isdigit((unsigned char)byte));
}

void
pg_meaning_inner(struct pg_scan *s, char byte)
{
	if (goes_on(s, byte)) {
		if (s->word_len < PG_WORD_MAX)
			s->word[s->word_len] = byte;
		if (s->word_len <= PG_WORD_MAX)
			s->word_len++;
		return;
	}
	if (s->word_len > 0)
		end_word(s, byte);
	switch (byte) {
	case '\'':
	case '$':
	case ';':
		/* Another statement may begin here. */
		s->excused = false;
		break;
	case '=':
	case '.':
		if (s->setting == SETTING_LOCAL)
			set_met(s);
		break;
	case '\\':
		/* Its letters may be written as numbers. */
		if (s->escapes || s->bent || !s->standard)
			s->flags |= PG_SCAN_UNSURE;
		break;
	}
}

void
pg_meaning_inner_end(struct pg_scan *s)
{
	if (s->setting == SETTING_SET)
		set_met(s);
	s->setting = SETTING_NOT;
	s->excused = s->bent = false;
}
