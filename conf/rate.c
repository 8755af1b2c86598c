/*
 * Rates and bandwidths.
 *
 * A rate is a whole number of tokens in a second, minute or hour; a bandwidth
 * a size in a second. Fractions are refused with the spelling that has none:
 * half a request in a second is "30/m".
 *
 * SPDX-License-Identifier: MIT
 */
#include "conf/rate.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FRACTION_DIGITS 6               /* more are not understood */
#define LEAST_BURST_BYTES (64 * 1024)   /* what one read may bring */
#define BURSTS_PER_S 10

struct part {
	const char *name;
	int64_t     size;
};

static const struct part times[] = {
	{ "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { NULL, 0 }
};
static const struct part sizes[] = {
	{ "B", 1 }, { "KiB", 1 << 10 }, { "MiB", 1 << 20 }, { "GiB", 1 << 30 },
	{ NULL, 0 }
};

static const struct part *
part_find(const struct part *parts, const char *name, size_t n)
{
	for (; parts->name != NULL; parts++)
		if (strlen(parts->name) == n &&
		    memcmp(parts->name, name, n) == 0)
			return parts;
	return NULL;
}

const char *
rate_print(enum conf_type type, int64_t most, int64_t per_ms,
    char out[VALUE_TEXT_MAX])
{
	const struct part *time = times;
	char size[VALUE_TEXT_MAX];

	if (most == CONF_OFF) {
		snprintf(out, VALUE_TEXT_MAX, "off");
		return out;
	}
	if (type == CONF_BANDWIDTH) {
		value_print_number(CONF_SIZE, most, size);
		snprintf(out, VALUE_TEXT_MAX, "%.40s/s", size);
		return out;
	}
	while (time[1].name != NULL && time->size != per_ms)
		time++;
	snprintf(out, VALUE_TEXT_MAX, "%" PRId64 "/%s", most, time->name);
	return out;
}

const char *
rate_expected(enum conf_type type)
{
	return type == CONF_BANDWIDTH ? "a bandwidth such as \"1MiB/s\"" :
	    "a rate such as \"100/s\", \"6000/m\" or \"10/h\"";
}

/* ---------------------------------------------------------------- reading */

/* "0.5/s" to its parts; a bandwidth's unit counts into `unit`. */
struct figure {
	bool        negative;
	int64_t     whole, fraction, tenths;    /* fraction of `tenths`: 10^n */
	const struct part *unit, *time;         /* NULL = not known */
	bool        bare;                       /* nothing behind the number */
};

static void
figure_read(enum conf_type type, const char *text, struct figure *f)
{
	static const struct part one = { "", 1 };
	const char *at = text, *slash;
	size_t n;

	*f = (struct figure){ .negative = *text == '-', .tenths = 1 };
	at += f->negative;
	n = value_digits(at, &f->whole);
	at += n;
	if (n > 0 && *at == '.') {
		n = value_digits(at + 1, &f->fraction);
		if (n > FRACTION_DIGITS)
			n = 0;
		for (size_t i = 0; i < n; i++)
			f->tenths *= 10;
		at += n + 1;
	}
	f->bare = n > 0 && *at == '\0';
	slash = strchr(at, '/');
	if (n == 0 || slash == NULL)
		return;
	f->time = part_find(times, slash + 1, strlen(slash + 1));
	n = (size_t)(slash - at);
	if (type == CONF_BANDWIDTH) {
		f->unit = part_find(sizes, at, n);
		f->time = f->time == times ? f->time : NULL;
	} else {
		f->unit = n == 0 ? &one : NULL;
	}
}

/* f scaled by `by`, when that is a whole number of the row's range. */
static bool
figure_scaled(const struct conf_key *row, const struct figure *f, int64_t by,
    int64_t *out)
{
	int64_t value;

	if (f->negative || __builtin_mul_overflow(f->whole, f->tenths, &value) ||
	    __builtin_add_overflow(value, f->fraction, &value) ||
	    __builtin_mul_overflow(value, by, &value) ||
	    value % f->tenths != 0)
		return false;
	*out = value / f->tenths;
	return *out >= row->min && *out <= row->max;
}

/* The same without a fraction: in a smaller unit, or in a longer time. */
static bool
figure_whole(const struct conf_key *row, const struct figure *f,
    char out[VALUE_TEXT_MAX])
{
	int64_t value;

	if (row->type == CONF_BANDWIDTH) {
		if (!figure_scaled(row, f, f->unit->size, &value))
			return false;
		rate_print(row->type, value, times->size, out);
		return true;
	}
	for (const struct part *t = f->time; t->name != NULL; t++)
		if (figure_scaled(row, f, t->size / f->time->size, &value)) {
			rate_print(row->type, value, t->size, out);
			return true;
		}
	return false;
}

/* A tenth of a second's worth, and never nothing. */
static int64_t
burst_meant(enum conf_type type, int64_t most, int64_t per_ms)
{
	int64_t least = type == CONF_BANDWIDTH ? LEAST_BURST_BYTES : 1;
	int64_t tenth = most * (1000 / BURSTS_PER_S) / per_ms;

	return tenth > least ? tenth : least;
}

static int
refuse_zero(const struct conf_key *row, const char *shown,
    char why[VALUE_WHY_MAX])
{
	return value_refuse(why, "\"%.60s\" would let nothing through, "
	    "expected %s%s (deny keeps clients out)", shown,
	    rate_expected(row->type), row->may_be_off ? ", or \"off\" for no "
	    "limit" : "");
}

static int
refuse_range(const struct conf_key *row, const struct figure *f,
    const char *shown, char why[VALUE_WHY_MAX])
{
	char min[VALUE_TEXT_MAX], max[VALUE_TEXT_MAX];

	rate_print(row->type, row->min, f->time->size, min);
	rate_print(row->type, row->max, f->time->size, max);
	return value_refuse(why, "\"%.60s\" is out of range, expected \"%s\" "
	    "to \"%s\"%s", shown, min, max, row->may_be_off ? ", or \"off\"" :
	    "");
}

/* What is wrong when the parts are not all there. */
static int
refuse_spelling(const struct conf_key *row, const struct figure *f,
    const char *text, const char *shown, char why[VALUE_WHY_MAX])
{
	const char *off = row->may_be_off ? ", or \"off\"" : "";
	bool secret = text != shown;
	struct figure per_s;
	char tried[VALUE_TEXT_MAX];
	int64_t value;

	snprintf(tried, sizeof(tried), "%.60s/s", text);
	figure_read(row->type, tried, &per_s);
	if (!secret && per_s.unit != NULL && per_s.time != NULL &&
	    per_s.tenths == 1 &&
	    figure_scaled(row, &per_s, per_s.unit->size, &value))
		return value_refuse(why, "%.60s has no time, expected it with "
		    "one: \"%s\"%s", shown, tried, off);
	if (f->bare)
		return value_refuse(why, "%.60s has no unit, expected %s%s",
		    shown, rate_expected(row->type), off);
	return value_refuse(why, "\"%.60s\" is not understood, expected %s%s",
	    shown, rate_expected(row->type), off);
}

int
rate_parse(const struct conf_key *row, const char *text, const char *shown,
    struct conf_limit *out, char why[VALUE_WHY_MAX])
{
	char whole[VALUE_TEXT_MAX];
	struct figure f;
	int64_t most;

	if (row->may_be_off && strcmp(text, "off") == 0) {
		out->most = CONF_OFF;
		out->per_ms = out->burst = 0;
		return 0;
	}
	figure_read(row->type, text, &f);
	if (f.unit == NULL || f.time == NULL)
		return refuse_spelling(row, &f, text, shown, why);
	if (f.whole == 0 && f.fraction == 0)
		return refuse_zero(row, shown, why);
	if (f.tenths > 1 && text == shown && figure_whole(row, &f, whole))
		return value_refuse(why, "\"%.60s\" has a fraction, expected "
		    "a whole number: \"%s\"", shown, whole);
	if (f.tenths > 1)
		return value_refuse(why, "\"%.60s\" has a fraction, expected "
		    "%s", shown, rate_expected(row->type));
	if (!figure_scaled(row, &f, f.unit->size, &most))
		return refuse_range(row, &f, shown, why);
	out->most = most;
	out->per_ms = f.time->size;
	out->burst = burst_meant(row->type, most, f.time->size);
	return 0;
}
