/*
 * Whose weir is it that answers at the address a file names: the one that was
 * started with that file, or another that happens to listen there?
 *
 * An order names the file in its request, and the other weir refuses it before
 * it acts; whoever only reads looks at the answer.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_COMMAND_WHOSE_H
#define PROXY_COMMAND_WHOSE_H

#include <stdbool.h>
#include <stddef.h>

#include "net/err.h"

/* What a command does about another's weir. */
enum whose_care {
	WHOSE_OURS,                     /* it fails */
	WHOSE_TOLD,                     /* it says so, and goes on */
	WHOSE_ANY
};

/* Zeroed: any will do. */
struct whose {
	enum whose_care care;
	const char *path;               /* the file, as the user calls it */
	char *sent;                     /* the field of requests; owned; NULL =
					   none is sent */
	bool judged;                    /* an answer has been */
	bool foreign;                   /* another's has answered */
};

enum whose_verdict { WHOSE_GOOD, WHOSE_AGAIN, WHOSE_BAD };

void whose_init(struct whose *w, enum whose_care care, const char *path);
void whose_fini(struct whose *w);

/*
 * Of an answer from the weir at `shown`; value is its field, NULL = it has none,
 * as one of an older version. AGAIN: it was refused because that weir calls the
 * same file otherwise, and is to be sent once more, as w->sent is now. BAD: with
 * a sentence in why.
 */
enum whose_verdict whose_judge(struct whose *w, unsigned status,
    const char *value, const char *shown, char *why, size_t size) MUST_CHECK;

#endif
