/*
 * A configuration as a tree of what it says (conf/facts.h), to be walked beside
 * another.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CONF_TREE_H
#define CONF_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/arena.h"
#include "conf/conf.h"

/* A value, or a group or list of others; in its tree's arena. */
struct node {
	const char *key;                /* NULL in a list */
	const struct conf_key *row;     /* of a value, where it has one */
	const char *text;               /* of a value */
	const char *shown;              /* of a secret: what may be seen */
	bool bare;
	char bracket;                   /* 0 = a value */
	struct node *up, *next;
	struct node *first, **end;
	size_t n;
	struct node *twin;              /* while lists are compared */
	size_t skip, keep;              /* of a list, when it is spelled: only
					   so many after so many; keep 0 and
					   skip 0 = all */
};

struct tree {
	struct arena arena;
	struct node *top, *at;
};

/* -1 when out of memory; tree_fini() in any case. */
int tree_make(struct tree *t, const struct conf *c) MUST_CHECK;
void tree_fini(struct tree *t);

/* The first of that key in a group; NULL: there is none, or n is NULL. */
struct node *node_child(const struct node *n, const char *key);

/* Is all the same in both, secrets too? */
bool node_alike(const struct node *a, const struct node *b);

/* Is it a value that must not be shown? NULL is none. */
bool node_is_secret(const struct node *n);

/* As a value in the file; a text by itself goes without its quotes, a secret as
   what may be seen of it. Malloc'd, NULL when out of memory. */
char *node_spelled(const struct node *n) MUST_CHECK;

#endif
