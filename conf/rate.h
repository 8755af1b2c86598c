/*
 * Rates and bandwidths: "100/s", "6000/m", "10/h", "1MiB/s".
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CONF_RATE_H
#define CONF_RATE_H

#include "conf/value.h"

/*
 * As value_parse(), of CONF_RATE and CONF_BANDWIDTH. Sets most, per_ms and the
 * burst that is meant where none is given; leaves the rest of *out alone.
 */
int rate_parse(const struct conf_key *row, const char *text,
    const char *shown, struct conf_limit *out, char why[VALUE_WHY_MAX])
    MUST_CHECK;

/* The shortest spelling: "100/s", "1MiB/s", "off". */
const char *rate_print(enum conf_type type, int64_t most, int64_t per_ms,
    char out[VALUE_TEXT_MAX]);

/* For errors, without "off": a rate such as "100/s", "6000/m" or "10/h". */
const char *rate_expected(enum conf_type type);

#endif
