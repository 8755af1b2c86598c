/*
 * Durations, sizes, counts, shares, statuses, words; rates are in conf/rate.
 *
 * A number never has two meanings: units are required where there are any,
 * and "off" is a word of its own.
 *
 * SPDX-License-Identifier: MIT
 */
#include "conf/value.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/rate.h"

#define STATUS_MIN 100          /* RFC 9110 15: three digits, 1xx to 5xx */
#define STATUS_MAX 599
#define WORD_MAX 64     /* longer words are near to none */

struct unit {
	const char *name;
	int64_t     factor;
};

/* Largest first: printing takes the first that divides. */
static const struct unit duration_units[] = {
	{ "h", 3600000 }, { "m", 60000 }, { "s", 1000 }, { "ms", 1 },
	{ NULL, 0 }
};
static const struct unit size_units[] = {
	{ "GiB", 1 << 30 }, { "MiB", 1 << 20 }, { "KiB", 1 << 10 },
	{ "B", 1 }, { NULL, 0 }
};
static const struct unit no_units[] = {
	{ "", 1 }, { NULL, 0 }
};

static const struct unit *
units_of(enum conf_type type)
{
	return type == CONF_DURATION ? duration_units :
	    type == CONF_SIZE ? size_units : no_units;
}

/* ------------------------------------------------------------- printing */

const char *
value_print_number(enum conf_type type, int64_t value,
    char out[VALUE_TEXT_MAX])
{
	const struct unit *u = units_of(type);

	if (value == CONF_OFF) {
		snprintf(out, VALUE_TEXT_MAX, "off");
		return out;
	}
	if (value == 0 && type == CONF_DURATION)
		u = &duration_units[2];         /* "0s" */
	else if (value == 0 && type == CONF_SIZE)
		u = &size_units[3];
	while (value % u->factor != 0 || (value == 60000 && u->factor == 60000))
		u++;                            /* "60s" is what people write */
	snprintf(out, VALUE_TEXT_MAX, "%" PRId64 "%s", value / u->factor,
	    u->name);
	return out;
}

static const char *
statuses_print(const struct conf_statuses *s, char out[VALUE_TEXT_MAX])
{
	size_t n = 0;

	out[0] = '\0';
	for (unsigned i = 0; i < s->n; i++) {
		n += (size_t)snprintf(out + n, VALUE_TEXT_MAX - n, "%s%u",
		    i == 0 ? "" : ",", s->v[i].from);
		if (s->v[i].to != s->v[i].from)
			n += (size_t)snprintf(out + n, VALUE_TEXT_MAX - n,
			    "-%u", s->v[i].to);
	}
	return out;
}

const char *
value_print(const struct conf_key *row, const void *field,
    char out[VALUE_TEXT_MAX])
{
	const struct conf_limit *limit = field;

	switch (row->type) {
	case CONF_BOOL:
		snprintf(out, VALUE_TEXT_MAX, "%s",
		    *(const bool *)field ? "true" : "false");
		return out;
	case CONF_ENUM:
		snprintf(out, VALUE_TEXT_MAX, "%s",
		    row->words[*(const int *)field]);
		return out;
	case CONF_SHARE:
		snprintf(out, VALUE_TEXT_MAX, "%.15g", *(const double *)field);
		return out;
	case CONF_STATUSES:
		return statuses_print(field, out);
	case CONF_LIMIT:
		return value_print_number(CONF_COUNT, limit->most, out);
	case CONF_RATE:
	case CONF_BANDWIDTH:
		return rate_print(row->type, limit->most, limit->per_ms, out);
	default:
		return value_print_number(row->type, *(const int64_t *)field,
		    out);
	}
}

/* ------------------------------------------------------------ expecting */

static void PRINTF_LIKE(2, 3)
add(char out[VALUE_WHY_MAX], const char *fmt, ...)
{
	size_t n = strlen(out);
	va_list args;

	va_start(args, fmt);
	vsnprintf(out + n, VALUE_WHY_MAX - n, fmt, args);
	va_end(args);
}

static void
add_words(char out[VALUE_WHY_MAX], const char *const *words)
{
	for (size_t i = 0; words[i] != NULL; i++)
		add(out, "%s\"%s\"", i == 0 ? "" :
		    words[i + 1] == NULL ? " or " : ", ", words[i]);
}

const char *
value_expected(const struct conf_key *row, char out[VALUE_WHY_MAX])
{
	const char *off = row->may_be_off ? " or \"off\"" : "";
	char number[VALUE_TEXT_MAX];

	out[0] = '\0';
	switch (row->type) {
	case CONF_BOOL:
		add(out, "true or false");
		break;
	case CONF_COUNT:
	case CONF_LIMIT:
		add(out, "a number such as %s%s", value_print_number(
		    CONF_COUNT, row->max < 10 ? row->max : 10, number), off);
		break;
	case CONF_DURATION:
		add(out, "a duration such as \"10s\"%s", off);
		break;
	case CONF_SIZE:
		add(out, "a size such as \"16KiB\"%s", off);
		break;
	case CONF_ENUM:
		add_words(out, row->words);
		break;
	case CONF_SHARE:
		add(out, "a share from 0 to 1 such as 0.2");
		break;
	case CONF_STATUSES:
		add(out, "statuses such as \"200-399,404\"");
		break;
	case CONF_RATE:
	case CONF_BANDWIDTH:
		add(out, "%s%s", rate_expected(row->type), row->may_be_off ?
		    ", or \"off\"" : "");
		break;
	case CONF_STRING:
		add(out, "text in quotes");
		break;
	case CONF_NETS:
		add(out, "networks such as ( \"10.0.0.0/8\", \"::1\" )");
		break;
	case CONF_NAMES:
		add(out, "a list of texts such as ( \"a\", \"b\" )");
		break;
	case CONF_HEADERS:
		add(out, "a group such as { X-Name = \"value\"; }");
		break;
	case CONF_FILE:
		add(out, "a path in quotes");
		break;
	case CONF_RECORDS:
		add(out, "a list of groups: ( { key = value; ... } )");
		break;
	case CONF_GROUP:
		add(out, "a group: { key = value; ... }");
		break;
	case CONF_LIST:
		add(out, "a list: ( ... )");
		break;
	}
	return out;
}

/* -------------------------------------------------------------- reading */

int
value_refuse(char why[VALUE_WHY_MAX], const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(why, VALUE_WHY_MAX, fmt, args);
	va_end(args);
	return -1;
}

static int
out_of_range(const struct conf_key *row, const char *shown,
    char why[VALUE_WHY_MAX])
{
	const char *quote = units_of(row->type) == no_units ? "" : "\"";
	char min[VALUE_TEXT_MAX], max[VALUE_TEXT_MAX];

	value_print_number(row->type, row->min, min);
	value_print_number(row->type, row->max, max);
	return value_refuse(why, "%s%.60s%s is out of range, expected %s%s%s to "
	    "%s%s%s%s", quote, shown, quote, quote, min, quote, quote, max,
	    quote, row->may_be_off ? ", or \"off\"" : "");
}

/* The commonest mistake: show how it is spelled. */
static int
without_unit(const struct conf_key *row, const char *shown, int64_t value,
    char why[VALUE_WHY_MAX])
{
	const char *off = row->may_be_off ? " or \"off\"" : "";
	bool is_size = row->type == CONF_SIZE;
	int64_t factor = is_size ? 1 : 1000;

	if (value >= row->min / factor && value <= row->max / factor &&
	    value * factor >= row->min)
		return value_refuse(why, "%.60s has no unit, expected a %s such as "
		    "\"%" PRId64 "%s\"%s", shown, is_size ? "size" :
		    "duration", value, is_size ? "B" : "s", off);
	return value_refuse(why, "%.60s has no unit, expected a %s such as %s%s",
	    shown, is_size ? "size" : "duration", is_size ? "\"16KiB\"" :
	    "\"10s\"", off);
}

size_t
value_digits(const char *text, int64_t *value)
{
	size_t n = 0;

	*value = 0;
	for (; isdigit((unsigned char)text[n]); n++)
		if (__builtin_mul_overflow(*value, 10, value) ||
		    __builtin_add_overflow(*value, text[n] - '0', value))
			*value = INT64_MAX;
	return n;
}

static int
number_parse(const struct conf_key *row, const char *text, const char *shown,
    int64_t *field, char why[VALUE_WHY_MAX])
{
	const struct unit *u = units_of(row->type);
	bool negative = *text == '-';
	int64_t value;
	size_t n = value_digits(text + negative, &value);
	const char *unit = text + negative + n;
	char expected[VALUE_WHY_MAX];

	if (row->may_be_off && strcmp(text, "off") == 0) {
		*field = CONF_OFF;
		return 0;
	}
	if (n > 0 && *unit == '\0' && u != no_units)
		return without_unit(row, shown, negative || text != shown ? -1 :
		    value, why);
	while (u->name != NULL && strcmp(unit, u->name) != 0)
		u++;
	if (n == 0 || u->name == NULL)
		return value_refuse(why, "\"%.60s\" is not understood, expected "
		    "%.200s", shown, value_expected(row, expected));
	if (__builtin_mul_overflow(value, u->factor, &value))
		value = CONF_OFF;
	if ((negative && value != 0) || value < row->min ||
	    value > row->max || value == CONF_OFF)
		return out_of_range(row, shown, why);
	*field = value;
	return 0;
}

static int
word_parse(const struct conf_key *row, const char *text, const char *shown,
    int *field, char why[VALUE_WHY_MAX])
{
	struct nearest near = { .word = shown };
	char expected[VALUE_WHY_MAX];

	for (int i = 0; row->words[i] != NULL; i++)
		if (strcmp(row->words[i], text) == 0) {
			*field = i;
			return 0;
		}
	for (int i = 0; row->words[i] != NULL; i++)
		nearest_try(&near, row->words[i]);
	value_expected(row, expected);
	if (near.best != NULL)
		return value_refuse(why, "unknown \"%.60s\", did you mean \"%s\"? "
		    "Expected %.300s", shown, near.best, expected);
	return value_refuse(why, "unknown \"%.60s\", expected %.300s", shown,
	    expected);
}

static int
share_parse(const struct conf_key *row, const char *text, const char *shown,
    double *field, char why[VALUE_WHY_MAX])
{
	char expected[VALUE_WHY_MAX], *end;
	double value = strtod(text, &end);

	/* Not what strtod knows besides: "inf", "0x1p-2", blanks. */
	if (end == text || *end != '\0' ||
	    strspn(text, "0123456789.eE+-") != strlen(text))
		return value_refuse(why, "\"%.60s\" is not understood, "
		    "expected %.200s", shown, value_expected(row, expected));
	if (value < 0 || value > 1)
		return value_refuse(why, "%.60s is out of range, expected 0 "
		    "to 1, such as 0.2", shown);
	*field = value;
	return 0;
}

/* "200" or "200-399" at *at, and the comma behind. */
static bool
status_read(const char **at, unsigned *from, unsigned *to)
{
	int64_t low, high;
	size_t n = value_digits(*at, &low);

	if (n == 0 || n > 9)
		return false;
	*at += n;
	high = low;
	if (**at == '-') {
		n = value_digits(*at + 1, &high);
		if (n == 0 || n > 9)
			return false;
		*at += n + 1;
	}
	*from = (unsigned)low;
	*to = (unsigned)high;
	if (**at == '\0')
		return true;
	if (**at != ',')
		return false;
	*at += 1 + strspn(*at + 1, " ");
	return **at != '\0';
}

static int
statuses_parse(const struct conf_key *row, const char *text,
    const char *shown, struct conf_statuses *field, char why[VALUE_WHY_MAX])
{
	struct conf_statuses got = { .n = 0 };
	char expected[VALUE_WHY_MAX];
	unsigned from, to;

	do {
		if (!status_read(&text, &from, &to))
			return value_refuse(why, "\"%.60s\" is not understood, "
			    "expected %.200s", shown,
			    value_expected(row, expected));
		if (from < STATUS_MIN || to > STATUS_MAX || from > to)
			return value_refuse(why, "\"%.60s\" is out of range, "
			    "expected %d to %d, the lower one first", shown,
			    STATUS_MIN, STATUS_MAX);
		if (got.n == NELEMS(got.v))
			return value_refuse(why, "\"%.60s\" has too many parts, "
			    "expected at most %zu", shown, NELEMS(got.v));
		got.v[got.n].from = (uint16_t)from;
		got.v[got.n++].to = (uint16_t)to;
	} while (*text != '\0');
	*field = got;
	return 0;
}

int
value_parse(const struct conf_key *row, const char *text, const char *shown,
    void *field, char why[VALUE_WHY_MAX])
{
	switch (row->type) {
	case CONF_BOOL:
		if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
			return value_refuse(why, "\"%.60s\" is not understood, "
			    "expected true or false", shown);
		*(bool *)field = *text == 't';
		return 0;
	case CONF_ENUM:
		return word_parse(row, text, shown, field, why);
	case CONF_SHARE:
		return share_parse(row, text, shown, field, why);
	case CONF_STATUSES:
		return statuses_parse(row, text, shown, field, why);
	case CONF_RATE:
	case CONF_BANDWIDTH:
		return rate_parse(row, text, shown, field, why);
	case CONF_LIMIT:        /* its first field is its number */
		return number_parse(row, text, shown,
		    &((struct conf_limit *)field)->most, why);
	default:
		return number_parse(row, text, shown, field, why);
	}
}

/* -------------------------------------------------------------- nearest */

static unsigned
least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/*
 * Edit distance with swapped neighbours as one step (optimal string
 * alignment): "timeuot" is one mistake away from "timeout".
 */
static unsigned
distance(const char *a, const char *b)
{
	size_t na = strlen(a), nb = strlen(b);
	unsigned rows[3][WORD_MAX + 1];
	unsigned *back2 = rows[0], *back = rows[1], *now = rows[2];

	if (na > WORD_MAX || nb > WORD_MAX)
		return WORD_MAX;
	for (size_t j = 0; j <= nb; j++)
		back[j] = (unsigned)j;
	for (size_t i = 1; i <= na; i++) {
		unsigned *oldest = back2;

		now[0] = (unsigned)i;
		for (size_t j = 1; j <= nb; j++) {
			now[j] = least(least(back[j], now[j - 1]) + 1,
			    back[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1])
				now[j] = least(now[j], back2[j - 2] + 1);
		}
		back2 = back;
		back = now;
		now = oldest;
	}
	return back[nb];
}

void
nearest_try(struct nearest *n, const char *candidate)
{
	unsigned allowed = (unsigned)strlen(n->word) / 3;
	unsigned d = distance(n->word, candidate);

	allowed = allowed < 1 ? 1 : allowed > 3 ? 3 : allowed;
	if (d <= allowed && d < strlen(n->word) &&
	    (n->best == NULL || d < n->distance)) {
		n->best = candidate;
		n->distance = d;
	}
}
