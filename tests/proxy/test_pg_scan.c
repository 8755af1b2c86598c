/*
 * Scan of SQL: texts and what they are flagged with, each also byte by byte
 * and split at random; then soups of random tokens, told by a slow second way
 * that cuts the whole text into tokens first.
 *
 * SPDX-License-Identifier: MIT
 */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/proto/postgres/scan.h"
#include "tests/support/dice.h"

enum {
	SPLITS = 20,
	SOUPS = 60000,
	SOUP_MAX = 4096
};

#define LISTEN PG_SCAN_LISTEN
#define PREPARE PG_SCAN_PREPARE
#define HOLD PG_SCAN_HOLD
#define TEMP PG_SCAN_TEMP
#define ADVISORY PG_SCAN_ADVISORY
#define CONFIG PG_SCAN_SET_CONFIG
#define SET PG_SCAN_SET
#define ROLE PG_SCAN_SET_ROLE
#define USER (PG_SCAN_SET_ROLE | PG_SCAN_SET_USER)
#define INNER_SET (PG_SCAN_SET | USER)
#define LOAD PG_SCAN_LOAD
#define UNSURE PG_SCAN_UNSURE
#define UNLOCK PG_SCAN_ADVISORY_UNLOCK_ALL
#define NOROLE PG_SCAN_RESET_ROLE
#define NOUSER (PG_SCAN_RESET_ROLE | PG_SCAN_RESET_USER)
#define RESET PG_SCAN_RESET
#define LOCAL PG_SCAN_SET_LOCAL
#define EXECUTE PG_SCAN_EXECUTE
#define BEGIN PG_SCAN_BEGIN
#define DO PG_SCAN_DO
#define SEQ PG_SCAN_SEQ
#define READS PG_SCAN_READS

struct text {
	const char *sql;
	unsigned flags;
	const char *name;               /* NULL: of no SET, or not looked at */
};

static const struct text texts[] = {
#include "tests/data/postgres/texts.inc"
};

/* What strings are when standard_conforming_strings is off. */
static const struct text old_texts[] = {
	{ "SELECT '\\'; LISTEN x; --'", READS, NULL },
	{ "SELECT '\\\\'; LISTEN x", LISTEN, NULL },
	{ "SELECT 'a''\\'; LISTEN x; --'", READS, NULL },
	{ "SELECT 'a'\n'\\'; LISTEN x; --'", READS, NULL },
	{ "SELECT N'\\'; LISTEN x; --'", READS, NULL },
	{ "SELECT B'\\'; LISTEN x", LISTEN, NULL },
	{ "SELECT $$\\$$; LISTEN x", LISTEN, NULL },
	{ "SELECT \"\\\"; LISTEN x", LISTEN, NULL },
	{ "DO '\\114ISTEN x'", DO | UNSURE, NULL }
};

static unsigned
flags_of(struct pg_scan *s, const char *sql, size_t len, bool standard)
{
	pg_scan_begin(s, standard);
	pg_scan_feed(s, sql, len);
	return pg_scan_end(s);
}

/* From copies of exactly the bytes there are. */
static unsigned
flags_in_pieces(struct pg_scan *s, const char *sql, size_t len, bool standard,
    uint64_t *dice, size_t most)
{
	size_t at = 0, n;
	char *copy;

	pg_scan_begin(s, standard);
	while (at < len) {
		n = 1 + dice_up_to(dice, (unsigned)most - 1);
		if (n > len - at)
			n = len - at;
		copy = malloc(n);
		assert_non_null(copy);
		memcpy(copy, sql + at, n);
		pg_scan_feed(s, copy, n);
		free(copy);
		at += n;
	}
	return pg_scan_end(s);
}

static void
check_splits(const char *sql, size_t len, bool standard, uint64_t *dice)
{
	struct pg_scan whole, other;
	unsigned flags = flags_of(&whole, sql, len, standard), got;

	for (int i = 0; i < SPLITS; i++) {
		got = flags_in_pieces(&other, sql, len, standard, dice,
		    i == 0 ? 1 : 1 + len / 2);
		if (got != flags || other.sets_n != whole.sets_n ||
		    strcmp(other.name, whole.name) != 0)
			fail_msg("%s: 0x%x in pieces, 0x%x whole", sql, got,
			    flags);
	}
}

static unsigned
check_texts(const struct text *rows, size_t n, bool standard)
{
	uint64_t dice = 1;
	struct pg_scan s;
	unsigned wrong = 0;

	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(rows[i].sql);
		unsigned got = flags_of(&s, rows[i].sql, len, standard);

		if (got != rows[i].flags || (rows[i].name != NULL &&
		    strcmp(s.name, rows[i].name) != 0)) {
			print_error("%s: 0x%x \"%s\", not 0x%x \"%s\"\n",
			    rows[i].sql, got, s.name, rows[i].flags,
			    rows[i].name != NULL ? rows[i].name : "");
			wrong++;
		}
		check_splits(rows[i].sql, len, standard, &dice);
	}
	return wrong;
}

static void
texts_are_flagged(void **state)
{
	(void)state;
	assert_int_equal(check_texts(texts, sizeof(texts) / sizeof(*texts),
	    true), 0);
}

static void
backslash_counts_in_strings_of_old(void **state)
{
	(void)state;
	assert_int_equal(check_texts(old_texts,
	    sizeof(old_texts) / sizeof(*old_texts), false), 0);
}

static void
byte_0_is_unsure(void **state)
{
	static const char sql[] = "RESET ALL; SELECT \0 1";
	uint64_t dice = 1;
	struct pg_scan s;

	(void)state;
	assert_int_equal(flags_of(&s, sql, sizeof(sql) - 1, true), UNSURE);
	check_splits(sql, sizeof(sql) - 1, true, &dice);
}

static void
byte_of_a_wide_character_is_unsure(void **state)
{
	static const char sql[] = "SELECT E'\x95\x5c'; LISTEN x; --'";
	static const char fine[] = "SELECT '\x83\x41\x83'";
	struct pg_scan s;

	(void)state;
	pg_scan_begin(&s, true);
	pg_scan_wide(&s);
	pg_scan_feed(&s, sql, 10);
	pg_scan_feed(&s, sql + 10, sizeof(sql) - 11);
	assert_int_equal(pg_scan_end(&s), UNSURE);
	pg_scan_begin(&s, true);
	pg_scan_wide(&s);
	pg_scan_feed(&s, fine, sizeof(fine) - 1);
	assert_int_equal(pg_scan_end(&s), READS);
}

static void
sets_are_counted(void **state)
{
	static const char sql[] = "SET a = 1; SET LOCAL b = 1; SET c.d = 2";
	struct pg_scan s;

	(void)state;
	assert_int_equal(flags_of(&s, sql, sizeof(sql) - 1, true),
	    SET | LOCAL);
	assert_int_equal(s.sets_n, 2);
	pg_scan_begin(&s, true);
	for (int i = 0; i < 300; i++)
		pg_scan_feed(&s, "SET a = 1;", 10);
	assert_int_equal(pg_scan_end(&s), SET);
	assert_int_equal(s.sets_n, 255);
}

/* --------------------------------------------------------- the second way */

/*
 * A statement in one form: words in capitals, each followed by a blank; "name"
 * of a quoted one; ' for strings, 0 for numbers; signs; a blank behind each.
 */
struct rival {
	const char *p, *end;
	char form[2 * SOUP_MAX];
	unsigned flags, statements;
	unsigned unknown;               /* flags, for strings in SET */
	bool writes;
};

static bool
rival_in_word(char c)
{
	return c == '_' || c == '$' || (c >= '0' && c <= '9') ||
	    (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c < 0;
}

static bool
rival_at(const struct rival *r, const char *what)
{
	return (size_t)(r->end - r->p) >= strlen(what) &&
	    strncmp(r->p, what, strlen(what)) == 0;
}

static void
rival_put(struct rival *r, const char *bytes, size_t len)
{
	size_t at = strlen(r->form);

	for (size_t i = 0; i < len; i++)
		r->form[at++] = bytes[i] == ' ' ? '_' : bytes[i];
	r->form[at++] = ' ';
	r->form[at] = '\0';
}

static bool
begins(const char *form, const char *with)
{
	return strncmp(form, with, strlen(with)) == 0;
}

/* From the first word on. */
static const char *
rival_first(const char *f)
{
	while (*f != '\0' && *f != '"' && !(rival_in_word(*f) && *f != '0'))
		f += 2;
	return f;
}

/* From behind the opening quote to behind the last one. */
static void
rival_string(struct rival *r, bool escapes)
{
	const char *p;

	if (begins(rival_first(r->form), "SET "))
		r->unknown = UINT_MAX;
	rival_put(r, "'", 1);
again:
	while (r->p < r->end && *r->p != '\'')
		r->p += escapes && *r->p == '\\' ? 2 : 1;
	if (r->p >= r->end) {
		r->p = r->end;
		r->flags |= UNSURE;
		return;
	}
	r->p++;
	if (!escapes)
		return;
	if (r->p < r->end && *r->p == '\'') {
		r->p++;
		goto again;
	}
	/* Blanks and comments of a line, a newline among them, a quote. */
	for (p = r->p; p < r->end; p++) {
		if (r->end - p >= 2 && p[0] == '-' && p[1] == '-')
			while (p < r->end && *p != '\n')
				p++;
		if (p < r->end && strchr(" \t\n", *p) == NULL)
			break;
	}
	if (p < r->end && *p == '\'' &&
	    memchr(r->p, '\n', (size_t)(p - r->p)) != NULL) {
		r->p = p + 1;
		goto again;
	}
}

static void
rival_comment(struct rival *r)
{
	unsigned depth = 0;

	do {
		if (r->p >= r->end) {
			r->flags |= UNSURE;
			return;
		}
		if (rival_at(r, "/*")) {
			depth++;
			r->p += 2;
		} else if (rival_at(r, "*/")) {
			depth--;
			r->p += 2;
		} else
			r->p++;
	} while (depth > 0);
}

static void
rival_quoted(struct rival *r)
{
	const char *begin = r->p++;

	for (;;) {
		while (r->p < r->end && *r->p != '"')
			r->p++;
		if (r->p == r->end) {
			r->flags |= UNSURE;
			return;
		}
		r->p++;
		if (r->p == r->end || *r->p != '"')
			break;
		r->p++;
	}
	rival_put(r, begin, (size_t)(r->p - begin));
}

static void
rival_dollar(struct rival *r)
{
	char tag[32] = "$";
	const char *p = r->p + 1, *found;
	size_t len;

	while (p < r->end && *p != '$' && rival_in_word(*p))
		p++;
	len = (size_t)(p - r->p) + 1;
	if (p == r->end || *p != '$' || len >= sizeof(tag)) {
		r->flags |= UNSURE;
		r->p = p;
		return;
	}
	if (begins(rival_first(r->form), "SET "))
		r->unknown = UINT_MAX;
	memcpy(tag, r->p, len);
	rival_put(r, "'", 1);
	found = memmem(p + 1, (size_t)(r->end - p - 1), tag, len);
	if (found == NULL)
		r->flags |= UNSURE;
	r->p = found != NULL ? found + len : r->end;
}

static void
rival_word(struct rival *r)
{
	char word[SOUP_MAX];
	size_t len = 0;

	while (r->p < r->end && rival_in_word(*r->p)) {
		word[len] = *r->p++;
		if (word[len] >= 'a' && word[len] <= 'z')
			word[len] = (char)(word[len] - 32);
		len++;
	}
	if (len == 1 && strchr("EBXN", *word) != NULL && rival_at(r, "'")) {
		r->p++;
		rival_string(r, *word == 'E');
		return;
	}
	rival_put(r, word, len);
	if (len == 1 && *word == 'U' && rival_at(r, "&\""))
		r->flags |= UNSURE;
}

/* A word of the form, wherever it stands. */
static bool
has(const char *form, const char *words)
{
	char inside[64], quoted[64];

	snprintf(inside, sizeof(inside), " %s ", words);
	snprintf(quoted, sizeof(quoted), "%s ", words);
	return begins(form, quoted) || strstr(form, inside) != NULL;
}

static bool
has_name(const char *form, const char *upper, const char *lower)
{
	char quoted[64];

	snprintf(quoted, sizeof(quoted), "\"%s\"", lower);
	return has(form, upper) || has(form, quoted);
}

static bool
is(const char *form, const char *what)
{
	return strcmp(form, what) == 0;
}

/* CREATE or INTO, then only these, then TEMP. */
static bool
has_temp(const char *form)
{
	static const char *const between[] = {
		"OR ", "REPLACE ", "LOCAL ", "GLOBAL ", "( ", ") ", ", ",
		". ", "= ", "* ", "' ", "0 ", "[ ", "] ", "& ", "+ ", "- ",
		"/ ",
		"CREATE ", "INTO ", "< "
	};
	const char *p = form;
	bool armed = false;

	while (*p != '\0') {
		bool known = false;

		if (begins(p, "CREATE ") || begins(p, "INTO "))
			armed = true;
		if (armed && (begins(p, "TEMP ") || begins(p, "TEMPORARY ")))
			return true;
		for (size_t i = 0; i < sizeof(between) / sizeof(*between); i++)
			known |= begins(p, between[i]);
		if (!known)
			armed = false;
		p = strchr(p, ' ') + 1;
	}
	return false;
}

/* UPDATE, and behind it pg_settings. */
static bool
has_update(const char *form)
{
	const char *update = begins(form, "UPDATE ") ? form :
	    strstr(form, " UPDATE ");

	return update != NULL && has_name(update + 1, "PG_SETTINGS",
	    "pg_settings");
}

/* The value of ROLE and AUTHORIZATION. */
static unsigned
rival_who(const char *f, const char *nobody, unsigned to, unsigned back)
{
	while (begins(f, "= "))
		f += 2;
	if (begins(f, ". "))
		return SET;
	return is(f, "") ? 0 : is(f, nobody) ? back : to;
}

static void
rival_set(struct rival *r, const char *f)
{
	bool session = begins(f, "SESSION ");

	while (begins(f, "SESSION ")) {
		if (begins(f, "SESSION = ") || begins(f, "SESSION . ")) {
			r->flags |= SET;
			return;
		}
		f += strlen("SESSION ");
	}
	if (session && begins(f, "AUTHORIZATION "))
		r->flags |= rival_who(f + 14, "DEFAULT ", USER, NOUSER);
	else if (begins(f, "LOCAL ") && !begins(f, "LOCAL = ") &&
	    !begins(f, "LOCAL . ") && !begins(f, "LOCAL TO "))
		r->flags |= LOCAL;
	else if (begins(f, "ROLE "))
		r->flags |= rival_who(f + 5, "NONE ", ROLE, NOROLE);
	else if (*f != '\0' && (rival_in_word(*f) || *f == '"') && *f != '0' &&
	    !((begins(f, "TRANSACTION ") || begins(f, "CONSTRAINTS ")) &&
	    (strchr("=.", *(strchr(f, ' ') + 1)) == NULL ||
	    *(strchr(f, ' ') + 1) == '\0')))
		r->flags |= SET;
}

static void
rival_statement(struct rival *r)
{
	static const char *const writing[] = {
		"INSERT", "UPDATE", "DELETE", "MERGE", "INTO", "FOR", "NEXTVAL"
	};
	const char *f = rival_first(r->form);

	if (*f == '\0')
		return;
	r->statements++;
	r->flags |= begins(f, "LISTEN ") ? LISTEN : 0;
	r->flags |= begins(f, "LOAD ") ? LOAD : 0;
	r->flags |= begins(f, "BEGIN ") ? BEGIN : 0;
	r->flags |= begins(f, "UNLISTEN * ") ? PG_SCAN_UNLISTEN_ALL : 0;
	if (begins(f, "SET "))
		rival_set(r, f + 4);
	if (begins(f, "RESET ALL "))
		r->flags |= PG_SCAN_RESET_ALL;
	r->flags |= begins(f, "CLOSE ALL ") ? PG_SCAN_CLOSE_ALL : 0;
	r->flags |= begins(f, "DISCARD ALL ") ? PG_SCAN_DISCARD_ALL : 0;
	r->flags |= has_temp(f) || has_name(f, "PG_TEMP", "pg_temp") ? TEMP : 0;
	if (has_name(f, "PG_ADVISORY_LOCK", "pg_advisory_lock") ||
	    has_name(f, "PG_TRY_ADVISORY_LOCK_SHARED",
	    "pg_try_advisory_lock_shared"))
		r->flags |= ADVISORY;
	r->flags |= has_name(f, "LASTVAL", "lastval") ? SEQ : 0;
	r->flags |= has_update(f) ? CONFIG : 0;
	if (is(f, "SELECT PG_ADVISORY_UNLOCK_ALL ( ) "))
		r->flags |= UNLOCK;
	r->writes |= !(begins(f, "SELECT ") || begins(f, "TABLE ")) ||
	    has(f, "PG_ADVISORY_UNLOCK_ALL") || has(f, "PG_CATALOG") ||
	    has_name(f, "PG_SETTINGS", "pg_settings") ||
	    has_name(f, "PG_ADVISORY_XACT_LOCK", "pg_advisory_xact_lock");
	for (size_t i = 0; i < sizeof(writing) / sizeof(*writing); i++)
		r->writes |= has(f, writing[i]);
}

static void
rival_token(struct rival *r)
{
	char c = *r->p;

	if (strchr(" \t\n", c) != NULL)
		r->p++;
	else if (rival_at(r, "--"))
		while (r->p < r->end && *r->p != '\n')
			r->p++;
	else if (rival_at(r, "/*"))
		rival_comment(r);
	else if (c == '\'') {
		r->p++;
		rival_string(r, false);
	} else if (c == '"')
		rival_quoted(r);
	else if (c >= '0' && c <= '9') {
		rival_put(r, "0", 1);
		r->p++;
	} else if (c == '$')
		rival_dollar(r);
	else if (rival_in_word(c))
		rival_word(r);
	else if (c == ';') {
		rival_statement(r);
		r->form[0] = '\0';
		r->p++;
	} else
		rival_put(r, r->p++, 1);
}

static unsigned
rival_flags(const char *sql, unsigned *unknown)
{
	static struct rival r;
	unsigned ends = PG_SCAN_UNLISTEN_ALL | PG_SCAN_CLOSE_ALL |
	    PG_SCAN_DISCARD_ALL | UNLOCK | PG_SCAN_RESET_ALL | NOUSER;

	memset(&r, 0, sizeof(r));
	r.p = sql;
	r.end = sql + strlen(sql);
	while (r.p < r.end)
		rival_token(&r);
	rival_statement(&r);
	if (r.statements != 1)
		r.flags &= ~(unsigned)UNLOCK;
	if (r.statements == 1 && !r.writes && r.flags == 0)
		r.flags = READS;
	if ((r.flags & UNSURE) != 0)
		r.flags &= ~(ends | READS);
	*unknown = r.unknown;
	return r.flags;
}

static const char *const tokens[] = {
	"SELECT", "select", "LISTEN", "Listen", "UNLISTEN", "*", "SET", "LOCAL",
	"SESSION", "ROLE", "NONE", "AUTHORIZATION", "DEFAULT", "TRANSACTION",
	"CONSTRAINTS", "RESET", "ALL", "CLOSE", "DISCARD", "LOAD", "BEGIN",
	"CREATE", "OR", "REPLACE", "TEMP", "temporary", "TABLE", "INTO",
	"INSERT",
	"UPDATE", "FOR", "pg_advisory_lock", "\"pg_advisory_lock\"",
	"pg_try_advisory_lock_shared", "pg_advisory_xact_lock",
	"pg_advisory_unlock_all", "pg_settings", "\"pg_settings\"",
	"pg_temp", "lastval", "nextval", "a", "b1",
	"\"x\"", "\"a\"\"b\"", "\"a;b\"", "'s'", "'it''s'", "'LISTEN x;'",
	"E'a\\'b'", "E'LISTEN", "e'\\\\'", "'", "\"", "b'01'", "n'x'", "x'ff'",
	"$$;LISTEN x;$$", "$a$ $b$ $$ $a$", "$a$", "$$", "/* LISTEN */",
	"/*/* ; */ */", "/*", "*/", "-- LISTEN\n", "--", "-", "/", "(", ")",
	",",
	".", "=", "<", "+", "&", "[", "]", "0", "42", ";", ";", ";", ";", "\n",
	"\n", "\t", "u&", "U&\"x\"", "e", "E", "\xc3\xa9", "x\xc3\xa9", "a$b",
	"a$$", "to_be", "_", "temp1", "pgtemp"
};

/* What numbers and $ do to what follows them is for the table. */
static void
soup_make(char *sql, uint64_t *dice)
{
	size_t n = 1 + dice_up_to(dice, 14), at = 0;

	for (size_t i = 0; i < n; i++) {
		const char *token = tokens[dice_up_to(dice,
		    sizeof(tokens) / sizeof(*tokens) - 1)];

		at += (size_t)sprintf(sql + at, "%s", token);
		if (dice_chance(dice, 70) || rival_in_word(sql[at - 1]) ||
		    sql[at - 1] == '"')
			sql[at++] = dice_chance(dice, 90) ? ' ' : '\n';
	}
	sql[at] = '\0';
}

static void
soups_are_flagged_as_by_the_second_way(void **state)
{
	uint64_t dice = dice_number("SEED", 7);
	uint64_t soups = dice_number("SOUPS", SOUPS);
	static char sql[SOUP_MAX];
	struct pg_scan s;

	(void)state;
	for (uint64_t i = 0; i < soups; i++) {
		unsigned got, wanted, unknown;

		soup_make(sql, &dice);
		got = flags_of(&s, sql, strlen(sql), true);
		/* Those that the second way does not know. */
		got &= ~(unsigned)RESET & ~(unsigned)PG_SCAN_DISCARD_OTHER &
		    ~(unsigned)PG_SCAN_DISCARD_TEMP;
		wanted = rival_flags(sql, &unknown);
		got &= ~unknown;
		wanted &= ~unknown;
		if (strstr(sql, "RESET") != NULL) {
			got &= ~(unsigned)(NOUSER | READS);
			wanted &= ~(unsigned)(NOUSER | READS);
		}
		if (got != wanted)
			fail_msg("%s: 0x%x, not 0x%x", sql, got, wanted);
		if (i % 16 == 0)
			check_splits(sql, strlen(sql), i % 32 == 0, &dice);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_are_flagged),
		cmocka_unit_test(backslash_counts_in_strings_of_old),
		cmocka_unit_test(byte_0_is_unsure),
		cmocka_unit_test(byte_of_a_wide_character_is_unsure),
		cmocka_unit_test(sets_are_counted),
		cmocka_unit_test(soups_are_flagged_as_by_the_second_way)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
