/*
 * What is wrong, as `weir top` names it: a sentence each, the worst first.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_COMMAND_TOP_TROUBLE_H
#define PROXY_COMMAND_TOP_TROUBLE_H

#include "proxy/command/top_rows.h"

enum { TROUBLE_WIDE = 256, TROUBLES_MOST = 32 };

struct troubles {
	bool   wants_bad;               /* what is being looked for */
	size_t n;                       /* also those that found no room */
	char   text[TROUBLES_MOST][TROUBLE_WIDE];
};

/* rows: those of f. */
void troubles_find(struct troubles *t, const struct top_frames *f,
    const struct top_row *rows, size_t n);

/*
 * What the numbers of a group of row have grown by since was, largest first, as
 * "a 12, b 3": returns their sum. was NULL: 0. text may be NULL.
 */
enum tally {
	TALLY_ALL,
	TALLY_NOT_CLIENTS,              /* failures, without those that are the
					   clients' own doing, as leaving */
	TALLY_SERVERS                   /* errors, those of the server's own */
};
long long trouble_tally(const json_t *row, const json_t *was, const char *group,
    enum tally which, char *text, size_t size);

#endif
