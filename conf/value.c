/*
 * Durations, sizes, counts, words.
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
#include <string.h>

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

const char *
value_print(const struct conf_key *row, const void *field,
    char out[VALUE_TEXT_MAX])
{
	switch (row->type) {
	case CONF_BOOL:
		snprintf(out, VALUE_TEXT_MAX, "%s",
		    *(const bool *)field ? "true" : "false");
		return out;
	case CONF_ENUM:
		snprintf(out, VALUE_TEXT_MAX, "%s",
		    row->words[*(const int *)field]);
		return out;
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

static int PRINTF_LIKE(2, 3)
refuse(char why[VALUE_WHY_MAX], const char *fmt, ...)
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
	const char *quote = row->type == CONF_COUNT ? "" : "\"";
	char min[VALUE_TEXT_MAX], max[VALUE_TEXT_MAX];

	value_print_number(row->type, row->min, min);
	value_print_number(row->type, row->max, max);
	return refuse(why, "%s%.60s%s is out of range, expected %s%s%s to "
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
		return refuse(why, "%.60s has no unit, expected a %s such as "
		    "\"%" PRId64 "%s\"%s", shown, is_size ? "size" :
		    "duration", value, is_size ? "B" : "s", off);
	return refuse(why, "%.60s has no unit, expected a %s such as %s%s",
	    shown, is_size ? "size" : "duration", is_size ? "\"16KiB\"" :
	    "\"10s\"", off);
}

/* Digits of text to *value; saturates, so that the range check refuses. */
static size_t
digits_read(const char *text, int64_t *value)
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
	size_t n = digits_read(text + negative, &value);
	const char *unit = text + negative + n;
	char expected[VALUE_WHY_MAX];

	if (row->may_be_off && strcmp(text, "off") == 0) {
		*field = CONF_OFF;
		return 0;
	}
	if (n > 0 && *unit == '\0' && u != no_units)
		return without_unit(row, shown, negative ? -1 : value, why);
	while (u->name != NULL && strcmp(unit, u->name) != 0)
		u++;
	if (n == 0 || u->name == NULL)
		return refuse(why, "\"%.60s\" is not understood, expected "
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
	struct nearest near = { .word = text };
	char expected[VALUE_WHY_MAX];

	for (int i = 0; row->words[i] != NULL; i++) {
		if (strcmp(row->words[i], text) == 0) {
			*field = i;
			return 0;
		}
		nearest_try(&near, row->words[i]);
	}
	value_expected(row, expected);
	if (near.best != NULL)
		return refuse(why, "unknown \"%.60s\", did you mean \"%s\"? "
		    "Expected %.300s", shown, near.best, expected);
	return refuse(why, "unknown \"%.60s\", expected %.300s", shown,
	    expected);
}

int
value_parse(const struct conf_key *row, const char *text, const char *shown,
    void *field, char why[VALUE_WHY_MAX])
{
	switch (row->type) {
	case CONF_BOOL:
		if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
			return refuse(why, "\"%.60s\" is not understood, "
			    "expected true or false", shown);
		*(bool *)field = *text == 't';
		return 0;
	case CONF_ENUM:
		return word_parse(row, text, shown, field, why);
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
