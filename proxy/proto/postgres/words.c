/*
 * The table of words. See words.h.
 *
 * Most words of a text are names that begin and end like none of these: one
 * look into pg_word_first is all they cost.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/postgres/words.h"

#include <stdbool.h>

#define AT(len, letter) [(len) << 5 | ((letter) & 31)]
#define WORD(name) { #name, sizeof(#name) - 1, 0 }
#define NEXT(name, next) { #name, sizeof(#name) - 1, PG_WORD_ ## next }

struct word {
	const char *name;               /* lower case */
	uint8_t len;
	uint8_t next;                   /* of this length and letter; 0: none */
};

static const struct word words[PG_N_WORDS] = {
	[PG_WORD_ALL] = WORD(all),
	[PG_WORD_ALTER] = WORD(alter),
	[PG_WORD_AUTHORIZATION] = WORD(authorization),
	[PG_WORD_BEGIN] = WORD(begin),
	[PG_WORD_CHARACTERISTICS] = WORD(characteristics),
	[PG_WORD_CLOSE] = WORD(close),
	[PG_WORD_CONSTRAINTS] = WORD(constraints),
	[PG_WORD_CREATE] = WORD(create),
	[PG_WORD_DEALLOCATE] = WORD(deallocate),
	[PG_WORD_DECLARE] = NEXT(declare, DEFAULT),
	[PG_WORD_DEFAULT] = NEXT(default, DISCARD),
	[PG_WORD_DELETE] = WORD(delete),
	[PG_WORD_DISCARD] = WORD(discard),
	[PG_WORD_DO] = WORD(do),
	[PG_WORD_ELSE] = WORD(else),
	[PG_WORD_EXECUTE] = WORD(execute),
	[PG_WORD_FOR] = WORD(for),
	[PG_WORD_GLOBAL] = WORD(global),
	[PG_WORD_HOLD] = WORD(hold),
	[PG_WORD_INSERT] = WORD(insert),
	[PG_WORD_INTO] = WORD(into),
	[PG_WORD_KEY] = WORD(key),
	[PG_WORD_LISTEN] = WORD(listen),
	[PG_WORD_LOAD] = NEXT(load, LOOP),
	[PG_WORD_LOCAL] = WORD(local),
	[PG_WORD_LOOP] = WORD(loop),
	[PG_WORD_MERGE] = WORD(merge),
	[PG_WORD_NAMES] = WORD(names),
	[PG_WORD_NONE] = WORD(none),
	[PG_WORD_OR] = WORD(or),
	[PG_WORD_PLANS] = WORD(plans),
	[PG_WORD_PREPARE] = NEXT(prepare, PG_TEMP),
	[PG_WORD_REPLACE] = WORD(replace),
	[PG_WORD_RESET] = WORD(reset),
	[PG_WORD_SELECT] = NEXT(select, SETVAL),
	[PG_WORD_SEQUENCES] = WORD(sequences),
	[PG_WORD_SESSION] = NEXT(session, SETSEED),
	[PG_WORD_SET] = WORD(set),
	[PG_WORD_SHOW] = WORD(show),
	[PG_WORD_START] = WORD(start),
	[PG_WORD_TABLE] = WORD(table),
	[PG_WORD_TEMP] = NEXT(temp, THEN),
	[PG_WORD_TEMPORARY] = WORD(temporary),
	[PG_WORD_THEN] = NEXT(then, TIME),
	[PG_WORD_TIME] = NEXT(time, TRUE),
	[PG_WORD_TO] = WORD(to),
	[PG_WORD_TRANSACTION] = WORD(transaction),
	[PG_WORD_TRUE] = WORD(true),
	[PG_WORD_UNLISTEN] = WORD(unlisten),
	[PG_WORD_UPDATE] = WORD(update),
	[PG_WORD_VALUES] = WORD(values),
	[PG_WORD_WITH] = WORD(with),
	[PG_WORD_ZONE] = WORD(zone),
	[PG_WORD_ROLE] = WORD(role),
	[PG_WORD_SESSION_AUTHORIZATION] = WORD(session_authorization),
	[PG_WORD_PG_CATALOG] = WORD(pg_catalog),
	[PG_WORD_PG_TEMP] = WORD(pg_temp),
	[PG_WORD_LOCK] = WORD(pg_advisory_lock),
	[PG_WORD_LOCK_SHARED] = WORD(pg_advisory_lock_shared),
	[PG_WORD_TRY_LOCK] = WORD(pg_try_advisory_lock),
	[PG_WORD_TRY_LOCK_SHARED] = WORD(pg_try_advisory_lock_shared),
	[PG_WORD_UNLOCK_ALL] = WORD(pg_advisory_unlock_all),
	[PG_WORD_SET_CONFIG] = WORD(set_config),
	[PG_WORD_SETSEED] = WORD(setseed),
	[PG_WORD_PG_SETTINGS] = WORD(pg_settings),
	[PG_WORD_CURRVAL] = WORD(currval),
	[PG_WORD_LASTVAL] = WORD(lastval),
	[PG_WORD_NEXTVAL] = WORD(nextval),
	[PG_WORD_SETVAL] = WORD(setval),
	[PG_WORD_QUERY_TO_XML] = WORD(query_to_xml),
	[PG_WORD_QUERY_TO_XMLSCHEMA] = WORD(query_to_xmlschema),
	[PG_WORD_QUERY_TO_BOTH] = WORD(query_to_xml_and_xmlschema),
	[PG_WORD_TS_STAT] = WORD(ts_stat),
	[PG_WORD_TS_REWRITE] = WORD(ts_rewrite),
	[PG_WORD_CROSSTAB] = WORD(crosstab)
};

const uint8_t pg_word_first[(PG_WORD_MAX + 1) << 5] = {
	AT(2, 'd') = PG_WORD_DO,
	AT(2, 'o') = PG_WORD_OR,
	AT(2, 't') = PG_WORD_TO,
	AT(3, 'a') = PG_WORD_ALL,
	AT(3, 'f') = PG_WORD_FOR,
	AT(3, 'k') = PG_WORD_KEY,
	AT(3, 's') = PG_WORD_SET,
	AT(4, 'e') = PG_WORD_ELSE,
	AT(4, 'h') = PG_WORD_HOLD,
	AT(4, 'i') = PG_WORD_INTO,
	AT(4, 'l') = PG_WORD_LOAD,
	AT(4, 'n') = PG_WORD_NONE,
	AT(4, 'r') = PG_WORD_ROLE,
	AT(4, 's') = PG_WORD_SHOW,
	AT(4, 't') = PG_WORD_TEMP,
	AT(4, 'w') = PG_WORD_WITH,
	AT(4, 'z') = PG_WORD_ZONE,
	AT(5, 'a') = PG_WORD_ALTER,
	AT(5, 'b') = PG_WORD_BEGIN,
	AT(5, 'c') = PG_WORD_CLOSE,
	AT(5, 'l') = PG_WORD_LOCAL,
	AT(5, 'm') = PG_WORD_MERGE,
	AT(5, 'n') = PG_WORD_NAMES,
	AT(5, 'p') = PG_WORD_PLANS,
	AT(5, 'r') = PG_WORD_RESET,
	AT(5, 's') = PG_WORD_START,
	AT(5, 't') = PG_WORD_TABLE,
	AT(6, 'c') = PG_WORD_CREATE,
	AT(6, 'd') = PG_WORD_DELETE,
	AT(6, 'g') = PG_WORD_GLOBAL,
	AT(6, 'i') = PG_WORD_INSERT,
	AT(6, 'l') = PG_WORD_LISTEN,
	AT(6, 's') = PG_WORD_SELECT,
	AT(6, 'u') = PG_WORD_UPDATE,
	AT(6, 'v') = PG_WORD_VALUES,
	AT(7, 'c') = PG_WORD_CURRVAL,
	AT(7, 'd') = PG_WORD_DECLARE,
	AT(7, 'e') = PG_WORD_EXECUTE,
	AT(7, 'l') = PG_WORD_LASTVAL,
	AT(7, 'n') = PG_WORD_NEXTVAL,
	AT(7, 'p') = PG_WORD_PREPARE,
	AT(7, 'r') = PG_WORD_REPLACE,
	AT(7, 's') = PG_WORD_SESSION,
	AT(7, 't') = PG_WORD_TS_STAT,
	AT(8, 'c') = PG_WORD_CROSSTAB,
	AT(8, 'u') = PG_WORD_UNLISTEN,
	AT(9, 's') = PG_WORD_SEQUENCES,
	AT(9, 't') = PG_WORD_TEMPORARY,
	AT(10, 'd') = PG_WORD_DEALLOCATE,
	AT(10, 'p') = PG_WORD_PG_CATALOG,
	AT(10, 's') = PG_WORD_SET_CONFIG,
	AT(10, 't') = PG_WORD_TS_REWRITE,
	AT(11, 'c') = PG_WORD_CONSTRAINTS,
	AT(11, 't') = PG_WORD_TRANSACTION,
	AT(12, 'q') = PG_WORD_QUERY_TO_XML,
	AT(13, 'a') = PG_WORD_AUTHORIZATION,
	AT(15, 'c') = PG_WORD_CHARACTERISTICS,
	AT(16, 'p') = PG_WORD_LOCK,
	AT(18, 'q') = PG_WORD_QUERY_TO_XMLSCHEMA,
	AT(20, 'p') = PG_WORD_TRY_LOCK,
	AT(21, 's') = PG_WORD_SESSION_AUTHORIZATION,
	AT(22, 'p') = PG_WORD_UNLOCK_ALL,
	AT(23, 'p') = PG_WORD_LOCK_SHARED,
	AT(26, 'q') = PG_WORD_QUERY_TO_BOTH,
	AT(27, 'p') = PG_WORD_TRY_LOCK_SHARED,
	AT(11, 'p') = PG_WORD_PG_SETTINGS,
	/* pg_temp_3 */
	AT(9, 'p') = PG_WORD_PG_TEMP,
	AT(12, 'p') = PG_WORD_PG_TEMP, AT(13, 'p') = PG_WORD_PG_TEMP,
	AT(14, 'p') = PG_WORD_PG_TEMP, AT(15, 'p') = PG_WORD_PG_TEMP
};

/* name is in lower case. No second letter is a sign. */
static bool
is(const char *name, const char *bytes, size_t len)
{
	size_t i;

	if ((bytes[1] | 32) != name[1])
		return false;

	for (i = 0; i < len; i++) {
		unsigned char c = (unsigned char)bytes[i];

		if ((c >= 'A' && c <= 'Z' ? c | 32 : c) != name[i])
			return false;
	}
	return true;
}

/* pg_temp_3 is the schema behind pg_temp; 10 bytes is a row of pg_catalog, 11
   one of pg_settings. */
static bool
is_temp(const char *bytes, size_t len)
{
	return len >= 9 && is("pg_temp_", bytes, 8);
}

enum pg_word
pg_word_match(unsigned first, const char *bytes, size_t len)
{
	unsigned at;

	for (at = first; at != 0; at = words[at].next)
		if (words[at].len == len && is(words[at].name, bytes, len))
			return (enum pg_word)at;
	if (((unsigned char)*bytes | 32) == 'p' && is_temp(bytes, len))
		return PG_WORD_PG_TEMP;
	return PG_WORD_OTHER;
}
