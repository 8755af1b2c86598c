/*
 * The lexical half of scan.h: what is a word and what is in quotes. One pass,
 * a state for each place in which the text may be cut.
 *
 * Chapter 4.1 of PostgreSQL's manual tells most of it. What the states do in
 * odd places (E'a' that goes on in the next line, 1INTO of servers before 15)
 * is what servers do, not what the manual wishes.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/postgres/scan.h"

#include <assert.h>
#include <string.h>

#include "proxy/proto/postgres/meaning.h"

/* Where the next byte is. */
enum lexeme {
	IN_TEXT,
	IN_WORD,                        /* that began in s->word */
	IN_NUMBER,
	IN_NUMBER_E,                    /* behind 1e */
	IN_DASH,                        /* behind a first - */
	IN_SLASH,                       /* behind a first / */
	IN_LINE,                        /* a comment from -- on */
	IN_COMMENT, IN_COMMENT_STAR, IN_COMMENT_SLASH,
	IN_PREFIX,                      /* behind U& */
	IN_QUOTED, IN_QUOTED_QUOTE,     /* "": the second, behind a " */
	IN_STRING,                      /* '' */
	IN_ESCAPES, IN_ESCAPES_BACKSLASH,       /* E'' */
	BEHIND_ESCAPES,                 /* it may go on */
	IN_DOLLAR,                      /* behind a first $ */
	IN_TAG, IN_BODY,                /* $tag$body */
	IN_DOUBT                        /* nothing is looked at any more */
};

/* s->gap, behind E'': what came since. */
enum { GAP_NONE, GAP_BLANK, GAP_LINE };

enum { NO_TAG = 255 };

/* What a byte may be outside of all quotes. */
enum sort {
	SORT_SIGN, SORT_BLANK, SORT_LETTER, SORT_DIGIT, SORT_STRING,
	SORT_QUOTED, SORT_DOLLAR, SORT_DASH, SORT_SLASH, SORT_END
};

/* Goes on with a word: letters, digits, _, $, and all above ASCII. */
#define IN_WORDS 16
#define LETTER (SORT_LETTER | IN_WORDS)
#define DIGIT (SORT_DIGIT | IN_WORDS)
#define TIMES4(x) x, x, x, x
#define TIMES16(x) TIMES4(x), TIMES4(x), TIMES4(x), TIMES4(x)
#define TIMES128(x) TIMES16(x), TIMES16(x), TIMES16(x), TIMES16(x), \
	TIMES16(x), TIMES16(x), TIMES16(x), TIMES16(x)
#define TIMES26(x) TIMES16(x), TIMES4(x), TIMES4(x), x, x

static const uint8_t sorts[256] = {
	['\t'] = SORT_BLANK, ['\n'] = SORT_BLANK, ['\v'] = SORT_BLANK,
	['\f'] = SORT_BLANK, ['\r'] = SORT_BLANK, [' '] = SORT_BLANK,
	['\''] = SORT_STRING, ['"'] = SORT_QUOTED,
	['$'] = SORT_DOLLAR | IN_WORDS,
	['-'] = SORT_DASH, ['/'] = SORT_SLASH, [';'] = SORT_END,
	['_'] = LETTER, ['0'] = TIMES4(DIGIT), TIMES4(DIGIT), DIGIT, DIGIT,
	['A'] = TIMES26(LETTER), ['a'] = TIMES26(LETTER),
	[128] = TIMES128(LETTER)
};

static inline enum sort
sort_of(char byte)
{
	return (enum sort)(sorts[(unsigned char)byte] & (IN_WORDS - 1));
}

static inline bool
in_words(char byte)
{
	return (sorts[(unsigned char)byte] & IN_WORDS) != 0;
}

#define EACH(byte) ((byte) * UINT64_C(0x0101010101010101))

/*
 * Where a word ends. Eight bytes at a time: the end of a word is what a loop
 * over bytes cannot foresee, and that is most of what a scan costs.
 */
static inline const char *
word_end(const char *p, const char *end)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	while (end - p >= 8) {
		uint64_t all, low, lower, yes;

		memcpy(&all, p, 8);
		low = all & EACH(0x7f);
		lower = low | EACH(0x20);
		/* The highest bit of each byte is the answer. */
		yes = all |
		    ((lower + EACH(0x80 - 'a')) & ~(lower + EACH(0x7f - 'z'))) |
		    ((low + EACH(0x80 - '0')) & ~(low + EACH(0x7f - '9'))) |
		    ~((low ^ EACH('_')) + EACH(0x7f)) |
		    ~((low ^ EACH('$')) + EACH(0x7f));
		yes = ~yes & EACH(0x80);
		if (yes != 0)
			return p + (__builtin_ctzll(yes) >> 3);
		p += 8;
	}
#endif
	while (p < end && in_words(*p))
		p++;
	return p;
}

static_assert(sizeof(struct pg_scan) <= 128, "one for each session");

void
pg_scan_begin(struct pg_scan *s, bool standard)
{
	/* What is before that needs no value. */
	memset(&s->sets_n, 0, sizeof(*s) - offsetof(struct pg_scan, sets_n));
	s->name[0] = '\0';
	s->standard = standard;
	s->first = true;
}

void
pg_scan_wide(struct pg_scan *s)
{
	s->wide = true;
}

static inline void
sign(struct pg_scan *s, char byte)
{
	if (pg_meaning_wants(s))
		pg_meaning_sign(s, byte);
}

/* -------------------------------------------------------------------- words */

static void
keep(struct pg_scan *s, const char *bytes, size_t len)
{
	size_t room = sizeof(s->word) - s->word_len;

	if (s->word_len > sizeof(s->word))
		return;
	memcpy(s->word + s->word_len, bytes, len < room ? len : room);
	s->word_len = (uint8_t)(s->word_len + (len <= room ? len : room + 1));
}

/* A string begins, with prefix letter, or 0. */
static void
open_string(struct pg_scan *s, char prefix)
{
	sign(s, '\'');
	s->gap = GAP_NONE;
	s->word_len = 0;
	/* Only these know no backslash: bits, and U& (which is only taken when
	   strings are standard ones). Others are as the setting says. */
	s->escapes = prefix == 'e' ||
	    (!s->standard && prefix != 'b' && prefix != 'x' && prefix != 'u');
	s->state = s->escapes ? IN_ESCAPES : IN_STRING;
}

/* A word that ended before next. True: next is taken as well. */
static inline bool
end_word(struct pg_scan *s, const char *bytes, size_t len, char next)
{
	char letter = (char)(*bytes | 32);

	s->state = IN_TEXT;
	if (len == 1 && next == '\'' &&
	    memchr("ebxn", letter, 4) != NULL) {
		open_string(s, letter);
		return true;
	}
	pg_meaning_word(s, bytes, len);
	if (len == 1 && next == '&' && letter == 'u') {
		s->state = IN_PREFIX;
		return true;
	}
	return false;
}

/* Its bytes are here or, if some came before, kept. */
static const char *
in_word(struct pg_scan *s, const char *p, const char *end)
{
	const char *begin = p;

	p = word_end(p, end);
	keep(s, begin, (size_t)(p - begin));
	if (p < end)
		p += end_word(s, s->word, s->word_len, *p);
	return p;
}

/*
 * Servers before 15 read 1e5INTO as a number and a word. So does this; later
 * ones refuse it.
 */
static const char *
in_number(struct pg_scan *s, const char *p, const char *end)
{
	while (p < end && (sort_of(*p) == SORT_DIGIT || *p == '.'))
		p++;
	if (p == end)
		return p;
	s->state = IN_TEXT;
	if (*p != 'e' && *p != 'E')
		return p;
	s->word[0] = *p;
	s->word_len = 1;
	s->state = IN_NUMBER_E;
	return p + 1;
}

/* --------------------------------------------------------------------- text */

static const char *
in_text(struct pg_scan *s, const char *p, const char *end)
{
	const char *word;

	while (p < end) {
		/* Guessed right more often than the jump below. */
		if (*p == ' ') {
			p++;
			continue;
		}
		switch (sort_of(*p)) {
		case SORT_BLANK:
			p++;
			continue;
		case SORT_LETTER:
			word = p;
			p = word_end(p + 1, end);
			if (p == end) {
				s->word_len = 0;
				keep(s, word, (size_t)(p - word));
				s->state = IN_WORD;
				return p;
			}
			if (end_word(s, word, (size_t)(p - word), *p))
				return p + 1;
			continue;
		case SORT_SIGN:
			sign(s, *p++);
			continue;
		case SORT_END:
			pg_meaning_statement_end(s);
			p++;
			continue;
		case SORT_DIGIT:
			sign(s, 0);
			do
				p++;
			while (p < end && sort_of(*p) == SORT_DIGIT);
			if (p < end && *p != '.' && (*p | 32) != 'e')
				continue;
			s->state = IN_NUMBER;
			return p;
		case SORT_STRING:
			open_string(s, 0);
			return p + 1;
		case SORT_QUOTED:
			s->word_len = 0;
			s->state = IN_QUOTED;
			return p + 1;
		case SORT_DOLLAR:
			p++;
			if (p < end && sort_of(*p) == SORT_DIGIT)
				continue;
			s->state = IN_DOLLAR;
			return p;
		case SORT_DASH:
			s->state = IN_DASH;
			return p + 1;
		case SORT_SLASH:
			s->state = IN_SLASH;
			return p + 1;
		}
	}
	return p;
}

/* ----------------------------------------------------------------- comments */

static const char *
in_line(struct pg_scan *s, const char *p, const char *end)
{
	while (p < end && *p != '\n' && *p != '\r')
		p++;
	if (p < end)
		s->state = s->gap != GAP_NONE ? BEHIND_ESCAPES : IN_TEXT;
	return p;
}

/* They nest, which is counted; what else is in them is nothing. */
static const char *
in_comment(struct pg_scan *s, const char *p, const char *end)
{
	for (; p < end; p++) {
		if (*p == '/' && s->state == IN_COMMENT_STAR) {
			s->state = IN_COMMENT;
			if (--s->comments == 0) {
				s->state = IN_TEXT;
				return p + 1;
			}
		} else if (*p == '*' && s->state == IN_COMMENT_SLASH) {
			s->state = IN_COMMENT;
			s->comments++;
		} else
			s->state = *p == '*' ? IN_COMMENT_STAR :
			    *p == '/' ? IN_COMMENT_SLASH : IN_COMMENT;
	}
	return p;
}

/* ------------------------------------------------------------------- quotes */

static const char *
in_quoted(struct pg_scan *s, const char *p, const char *end)
{
	const char *quote = memchr(p, '"', (size_t)(end - p));

	keep(s, p, (size_t)((quote != NULL ? quote : end) - p));
	if (quote == NULL)
		return end;
	s->state = IN_QUOTED_QUOTE;
	return quote + 1;
}

static inline void
inner(struct pg_scan *s, const char *p, const char *end)
{
	if (s->depth == PG_DEPTH_NONE)
		return;
	for (; p < end; p++)
		pg_meaning_inner(s, *p);
}

/* '' in it ends one and begins the next. */
static const char *
in_string(struct pg_scan *s, const char *p, const char *end)
{
	const char *quote = memchr(p, '\'', (size_t)(end - p));

	if (quote == NULL) {
		inner(s, p, end);
		return end;
	}
	inner(s, p, quote + 1);
	s->state = IN_TEXT;
	return quote + 1;
}

static const char *
in_escapes(struct pg_scan *s, const char *p, const char *end)
{
	const char *begin = p;

	while (p < end && *p != '\'' && *p != '\\')
		p++;
	if (p == end) {
		inner(s, begin, end);
		return end;
	}
	inner(s, begin, p + 1);
	s->state = *p == '\\' ? IN_ESCAPES_BACKSLASH : BEHIND_ESCAPES;
	s->gap = GAP_NONE;
	return p + 1;
}

/*
 * A string goes on behind '' and, with its escapes, in a later line: E'a'
 * <newline> 'b\'c' is one (4.1.2.1). Comments to the end of a line may stand
 * in between.
 */
static const char *
behind_escapes(struct pg_scan *s, const char *p)
{
	if (*p == '\'') {
		if (s->gap == GAP_BLANK)
			open_string(s, 0);
		else
			s->state = IN_ESCAPES;
		return p + 1;
	}
	if (sort_of(*p) == SORT_BLANK) {
		if (*p == '\n' || *p == '\r')
			s->gap = GAP_LINE;
		else if (s->gap == GAP_NONE)
			s->gap = GAP_BLANK;
		return p + 1;
	}
	if (*p == '-') {
		if (s->gap == GAP_NONE)
			s->gap = GAP_BLANK;
		s->state = IN_DASH;
		return p + 1;
	}
	s->gap = GAP_NONE;
	s->state = IN_TEXT;
	return p;
}

/* $1, $$, $tag$, or nothing that a server would take. */
static const char *
in_dollar(struct pg_scan *s, const char *p)
{
	s->state = IN_TEXT;
	if (sort_of(*p) == SORT_DIGIT) {
		sign(s, 0);
		s->state = IN_NUMBER;
	} else if (*p == '$' || sort_of(*p) == SORT_LETTER) {
		s->tag_len = 0;
		s->state = IN_TAG;
	}
	return p;
}

static const char *
in_tag(struct pg_scan *s, const char *p, const char *end)
{
	for (; p < end && *p != '$' && in_words(*p); p++) {
		if (s->tag_len == sizeof(s->tag)) {
			s->flags |= PG_SCAN_UNSURE;
			s->state = IN_DOUBT;
			return end;
		}
		s->tag[s->tag_len++] = *p;
	}
	if (p == end)
		return p;
	if (*p != '$') {
		/* A $ by itself, and a word. No server takes that. */
		s->flags |= PG_SCAN_UNSURE;
		s->state = IN_TEXT;
		return p;
	}
	sign(s, '\'');
	s->word_len = 0;
	s->escapes = false;
	s->tag_at = NO_TAG;
	s->state = IN_BODY;
	return p + 1;
}

/* A tag that turns out to be another one ends in a $ that may begin it. */
static const char *
in_body(struct pg_scan *s, const char *p, const char *end)
{
	const char *begin = p;

	while (p < end) {
		if (s->tag_at == NO_TAG) {
			p = memchr(p, '$', (size_t)(end - p));
			if (p == NULL) {
				inner(s, begin, end);
				return end;
			}
			s->tag_at = 0;
		} else if (*p == '$') {
			if (s->tag_at == s->tag_len) {
				s->state = IN_TEXT;
				p++;
				break;
			}
			s->tag_at = 0;
		} else if (s->tag_at < s->tag_len && *p == s->tag[s->tag_at])
			s->tag_at++;
		else
			s->tag_at = NO_TAG;
		p++;
	}
	inner(s, begin, p);
	return p;
}

/* --------------------------------------------------------------- the states */

/* The places behind one byte that only the next one explains. */
static const char *
between(struct pg_scan *s, const char *p)
{
	enum lexeme state = (enum lexeme)s->state;

	s->state = IN_TEXT;
	switch (state) {
	case IN_DASH:
		if (*p == '-') {
			s->state = IN_LINE;
			return p + 1;
		}
		s->gap = GAP_NONE;
		sign(s, '-');
		return p;
	case IN_SLASH:
		if (*p == '*') {
			s->comments = 1;
			s->state = IN_COMMENT;
			return p + 1;
		}
		sign(s, '/');
		return p;
	case IN_PREFIX:
		if (*p == '"') {
			/* Its letters may be written as numbers. */
			s->flags |= PG_SCAN_UNSURE;
			s->word_len = 0;
			s->state = IN_QUOTED;
			return p + 1;
		}
		if (*p != '\'') {
			sign(s, '&');
			return p;
		}
		if (s->depth != PG_DEPTH_NONE)
			s->flags |= PG_SCAN_UNSURE;
		open_string(s, 'u');
		return p + 1;
	case IN_QUOTED_QUOTE:
		if (*p == '"') {
			keep(s, p, 1);
			s->state = IN_QUOTED;
			return p + 1;
		}
		pg_meaning_quoted(s, s->word, s->word_len);
		return p;
	case IN_ESCAPES_BACKSLASH:
		inner(s, p, p + 1);
		s->state = IN_ESCAPES;
		return p + 1;
	case IN_NUMBER_E:
		s->state = sort_of(*p) == SORT_DIGIT ? IN_NUMBER : IN_WORD;
		return p;
	default:
		assert(!"no such place");
		return p;
	}
}

/* A byte of ASCII that ends a character, and would be SQL by itself. */
static void
look_wide(struct pg_scan *s, const char *bytes, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if (s->high && (unsigned char)bytes[i] < 128 &&
		    (unsigned char)bytes[i] > '?' && !in_words(bytes[i]))
			s->flags |= PG_SCAN_UNSURE;
		s->high = (unsigned char)bytes[i] >= 128;
	}
}

static const char *
step(struct pg_scan *s, const char *p, const char *end)
{
	switch ((enum lexeme)s->state) {
	case IN_TEXT:
		return in_text(s, p, end);
	case IN_WORD:
		return in_word(s, p, end);
	case IN_NUMBER:
		return in_number(s, p, end);
	case IN_LINE:
		return in_line(s, p, end);
	case IN_COMMENT:
	case IN_COMMENT_STAR:
	case IN_COMMENT_SLASH:
		return in_comment(s, p, end);
	case IN_QUOTED:
		return in_quoted(s, p, end);
	case IN_STRING:
		return in_string(s, p, end);
	case IN_ESCAPES:
		return in_escapes(s, p, end);
	case BEHIND_ESCAPES:
		return behind_escapes(s, p);
	case IN_DOLLAR:
		return in_dollar(s, p);
	case IN_TAG:
		return in_tag(s, p, end);
	case IN_BODY:
		return in_body(s, p, end);
	case IN_DASH:
	case IN_SLASH:
	case IN_PREFIX:
	case IN_QUOTED_QUOTE:
	case IN_ESCAPES_BACKSLASH:
	case IN_NUMBER_E:
		return between(s, p);
	case IN_DOUBT:
		break;
	}
	return end;
}

void
pg_scan_feed(struct pg_scan *s, const char *bytes, size_t len)
{
	const char *p = bytes, *end, *zero;

	if (len == 0)
		return;
	zero = memchr(bytes, '\0', len);
	end = zero != NULL ? zero : bytes + len;
	if (s->wide && s->state != IN_DOUBT)
		look_wide(s, bytes, (size_t)(end - bytes));
	while (p < end)
		p = step(s, p, end);
	if (zero != NULL) {
		/* A server would not take it, or see less than this. */
		s->flags |= PG_SCAN_UNSURE;
		s->state = IN_DOUBT;
	}
}

/* Of a text that cannot be followed, no state is known to have ended. */
#define ENDINGS (PG_SCAN_UNLISTEN_ALL | PG_SCAN_DEALLOCATE_ALL | \
	PG_SCAN_CLOSE_ALL | PG_SCAN_DISCARD_ALL | PG_SCAN_DISCARD_TEMP | \
	PG_SCAN_ADVISORY_UNLOCK_ALL | PG_SCAN_RESET_ALL | \
	PG_SCAN_RESET_ROLE | PG_SCAN_RESET_USER | PG_SCAN_READS)

unsigned
pg_scan_end(struct pg_scan *s)
{
	/* A blank ends what a byte can end. */
	if (s->state == IN_WORD)
		end_word(s, s->word, s->word_len, ' ');
	else if (s->state != IN_TEXT && s->state != IN_DOUBT)
		pg_scan_feed(s, "\n", 1);
	if (s->state != IN_TEXT && s->state != BEHIND_ESCAPES)
		s->flags |= PG_SCAN_UNSURE;
	pg_meaning_statement_end(s);
	if (s->sets_n == 0)
		s->name[0] = '\0';
	/* Else it is not known whose "SELECT" the server will tell of. */
	if (s->texts != 1)
		s->flags &= ~(unsigned)PG_SCAN_ADVISORY_UNLOCK_ALL;
	if (s->texts == 1 && !s->writes && s->flags == 0)
		s->flags = PG_SCAN_READS;
	if ((s->flags & PG_SCAN_UNSURE) != 0)
		s->flags &= ~(unsigned)ENDINGS;
	return s->flags;
}
