/*
 * Why an exchange was slow or failed: from the numbers that were kept of it, one
 * sentence that says what to change. Pure functions over a slow_entry; what is
 * said is a table of rules (why.c).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_WHY_H
#define PROXY_WHY_H

#include "proxy/slow.h"

enum { WHY_TEXT = 768 };                /* a sentence, its names cut or not */

struct why_rule {
	enum fail why;                  /* that the exchange failed for;
					   FAIL_NONE: it was slow */
	const char *cause;              /* a word to group by */
	bool (*fits)(const struct slow_entry *e);       /* NULL = always */
	const char *text;               /* "{NAME}" stands for what it names */
};

extern const struct why_rule why_rules[];
extern const size_t why_n_rules;

/* The first rule that fits; there is one for each entry. */
const struct why_rule *why_rule(const struct slow_entry *e);

/* What it says of e. */
void why_say(const struct why_rule *r, const struct slow_entry *e,
    char out[WHY_TEXT]);

#endif
