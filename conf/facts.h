/*
 * A configuration told fact by fact, as /config shows it: every key of the
 * file by the schema's rows, with its default where the file is silent. For
 * those who spell it (conf/json.c) and who compare two (conf/diff.c).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CONF_FACTS_H
#define CONF_FACTS_H

#include <stdbool.h>

#include "conf/conf.h"

/* What stands in the place of a secret. */
#define FACT_HIDDEN "(hidden)"

/* One value. All of it is the teller's, for the length of the call. */
struct fact {
	const char *key;                /* NULL = an element of a list */
	const struct conf_key *row;     /* NULL = told by hand */
	const char *text;               /* as in the file, quotes left out */
	bool bare;                      /* a number or a boolean: no quotes */
	bool hidden;                    /* text is a secret: compare it, never
					   show it */
	const char *shown;              /* instead of it; NULL = FACT_HIDDEN */
};

struct fact_ops {
	/* A group begins ("{") or a list ("["); key NULL inside of a list. */
	void (*open)(void *arg, const char *key, char bracket);
	void (*close)(void *arg, char bracket);
	void (*fact)(void *arg, const struct fact *f);
};

/* One call for each, in the order of the file's keys; all inside of one group. */
void conf_tell(const struct conf *c, const struct fact_ops *ops, void *arg);

#endif
