/*
 * What the parts of the model of a memcached client share: memcached.c chooses
 * and judges, memcached_text.c and memcached_binary.c speak one protocol each.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SUPPORT_P1KV_MEMCACHED_H
#define TESTS_SUPPORT_P1KV_MEMCACHED_H

#include "kv.h"

enum { KEYS = 6, VALUE_MOST = 200, HEAD = 24 };

enum kind {
	GETS = WANT_MODEL,      /* a value with its cas number, to be kept */
	SHARED,                 /* a number that nobody else gets, of the
				   counter "all", which is there before */
	B_GET,                  /* binary: text is the end of the reply */
	B_VERSION
};

/* How the size of a reply is found. */
enum shape { LINE, VALUES, META, PACKET };

struct value {
	bool set;
	unsigned flags;
	uint64_t cas;           /* 0 = not known */
	size_t len;
	char text[VALUE_MOST];
};

struct peer {
	bool binary;
	struct value values[KEYS];
	uint64_t counter;
	bool counted;
	uint32_t opaque;
};

enum op {
	OP_SET, OP_GET, OP_MULTI_GET, OP_GETS, OP_CAS, OP_ADD, OP_REPLACE,
	OP_APPEND, OP_PREPEND, OP_INCR, OP_DECR, OP_DELETE, OP_TOUCH, OP_GAT,
	OP_NOREPLY, OP_VERSION, OP_ERROR, OP_TOO_LARGE, OP_META_GET,
	OP_META_SET, OP_META_QUIET, OP_META_DELETE, OP_META_INCR, OP_META_NOOP,
	OP_SHARED, OP_BIG, OP_QUIET_GETS, OP_QUIET_SETS, N_OPS
};

/* Binary operations. */
enum { GET = 0, SET = 1, ADD = 2, REPLACE = 3, DELETE = 4, INCR = 5, DECR = 6,
	QUIT = 7, GETQ = 9, NOOP = 10, VERSION = 11, GETK = 12, GETKQ = 13,
	APPEND = 14, PREPEND = 15, SETQ = 17, DELETEQ = 20 };
enum { NOT_FOUND = 1, EXISTS = 2, TOO_LARGE = 3, NOT_STORED = 5 };

static inline struct peer *
peer(const struct client *c)
{
	return c->model;
}

/* memcached.c ------------------------------------------------------------- */

/* The client's k-th key, and that of its counter. */
void key_of(const struct client *c, unsigned k, char out[64]);
void counter_key(const struct client *c, char out[64]);
/* A value: a token, or what looks like the end of a reply with a token. */
void value_make(struct value *v);

/* memcached_text.c -------------------------------------------------------- */

void say_text(struct client *c, enum op op);
void say_get(struct client *c, unsigned k, const char *verb);

/* memcached_binary.c ------------------------------------------------------ */

void say_binary(struct client *c, enum op op);
void say_binary_quit(struct client *c);

#endif
