/*
 * Single values: their spelling in a file to numbers and back.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CONF_VALUE_H
#define CONF_VALUE_H

#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"
#include "net/err.h"

#define VALUE_WHY_MAX 512
#define VALUE_TEXT_MAX 64

/*
 * Reads the text of a bool, count, duration, size, enum, share, list of
 * statuses or limit (as a bare value) as its row says and stores it in *field
 * (the type that enum conf_type names). -1 with `why`: what is wrong and what
 * was expected, about the text as `shown`, which is not `text` where it must
 * not come to light.
 */
int value_parse(const struct conf_key *row, const char *text,
    const char *shown, void *field, char why[VALUE_WHY_MAX]) MUST_CHECK;

/* "a duration such as "10s" or "off"": what a row wants, for errors. */
const char *value_expected(const struct conf_key *row,
    char out[VALUE_WHY_MAX]);

/* The shortest spelling: "2s", "32KiB", "off", "64", "true". */
const char *value_print(const struct conf_key *row, const void *field,
    char out[VALUE_TEXT_MAX]);
const char *value_print_number(enum conf_type type, int64_t value,
    char out[VALUE_TEXT_MAX]);

/* For value_parse and who helps it: "why", and -1. */
int value_refuse(char why[VALUE_WHY_MAX], const char *fmt, ...)
    PRINTF_LIKE(2, 3);

/* Digits of text to *value, how many; saturates, so that ranges refuse. */
size_t value_digits(const char *text, int64_t *value);

/* Gathers the known word nearest to a mistyped one. */
struct nearest {
	const char *word;
	const char *best;       /* NULL = none is near */
	unsigned    distance;
};

void nearest_try(struct nearest *n, const char *candidate);

#endif
