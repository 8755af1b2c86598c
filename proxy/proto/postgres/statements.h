/*
 * Prepared statements of the protocol, so that they work whatever connection a
 * transaction gets: what clients have prepared (by their names), and what an
 * upstream connection has (by weir's).
 *
 * A statement is a text with the types of its parameters. It is shared by all
 * clients of a lane that prepared the same, and has a name towards servers that
 * is never used for another one.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_POSTGRES_STATEMENTS_H
#define PROXY_POSTGRES_STATEMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

#include "net/err.h"
#include "net/list.h"

enum {
	PG_NAME_MOST = 1024,            /* bytes of a name, its end included */
	PG_NAMES_MOST_BYTES = 8 * 1024 * 1024,  /* of a client's statements */
	PG_SERVER_NAME = 32             /* room for weir's name */
};

/* Counted: by clients' names and by what is owed. Of one lane. */
struct pg_statement {
	uint64_t id;                    /* of no other text, in any lane, nor in
					   a process that this one takes over
					   from, or is followed by */
	unsigned refs;
	unsigned flags;                 /* PG_SCAN_* of its text */
	bool cached;                    /* in the lane's table: the next client
					   who prepares the same gets it */
	bool retired;                   /* its result has another shape by now:
					   never prepared anew */
	struct list idle;               /* refs 0: statements->idle */
	UT_hash_handle hh;
	uint32_t len;
	char body[];                    /* a Parse behind the name: text, types */
};

/* Those of a lane. */
struct pg_statements {
	struct pg_statement *by_body;
	struct list idle;               /* that nobody has, longest first */
	unsigned n_idle;
	size_t idle_bytes;
	uint64_t first_id, last_id;     /* of those that were given here */
};

void pg_statements_init(struct pg_statements *all, unsigned lane);
void pg_statements_fini(struct pg_statements *all);

/* The one of that body, with a reference; *is_new: there was none. NULL when
   out of memory. */
struct pg_statement *pg_statement_get(struct pg_statements *all,
    const char *body, size_t len, bool *is_new) MUST_CHECK;
/* One that nobody shares: an unnamed statement. */
struct pg_statement *pg_statement_own(struct pg_statements *all,
    const char *body, size_t len) MUST_CHECK;

/* Text, number of types, types: is that all of it? */
bool pg_statement_is_body(const char *body, size_t len);
/* Can it be one that some process of this machine has given by now? */
bool pg_statement_is_given(uint64_t id);
/* One that another process has given that number: it keeps it if it is new here,
   and can have it. shared: as by pg_statement_get(); else nobody shares it. */
struct pg_statement *pg_statement_come(struct pg_statements *all, uint64_t id,
    const char *body, size_t len, bool shared, bool *is_new) MUST_CHECK;

static inline struct pg_statement *
pg_statement_keep(struct pg_statement *st)
{
	st->refs++;
	return st;
}

void pg_statement_drop(struct pg_statements *all, struct pg_statement *st);

/* Who prepares the same from now on gets another one. */
void pg_statement_retire(struct pg_statements *all, struct pg_statement *st);

/* Weir's name of it towards servers. */
void pg_statement_name(uint64_t id, char out[PG_SERVER_NAME]);

/* ------------------------------------------------------------ of one client */

/* Owned by its session's table; out of it, by whoever took it out. */
struct pg_name {
	UT_hash_handle hh;
	struct pg_statement *st;        /* a reference */
	char name[];
};

struct pg_names {
	struct pg_name *by_name;
	size_t bytes;                   /* of them and their statements */
};

struct pg_name *pg_name_find(const struct pg_names *names, const char *name);
/* There is none of that name. Takes a reference. NULL when out of memory. */
struct pg_name *pg_name_add(struct pg_names *names, const char *name,
    struct pg_statement *st) MUST_CHECK;
/* Out of the table, and back into it; -1 when out of memory. */
void pg_name_take(struct pg_names *names, struct pg_name *n);
int pg_name_put_back(struct pg_names *names, struct pg_name *n) MUST_CHECK;
/* One that is in no table. */
void pg_name_free(struct pg_statements *all, struct pg_name *n);
void pg_names_clear(struct pg_statements *all, struct pg_names *names);

/* ----------------------------------------------- of one upstream connection */

struct pg_prepared {
	UT_hash_handle hh;
	struct list link;               /* on prepared_set.used */
	uint64_t id;
};

struct pg_prepared_set {
	struct pg_prepared *by_id;
	struct list used;               /* longest unused first */
	unsigned n;
};

void pg_prepared_init(struct pg_prepared_set *set);
void pg_prepared_clear(struct pg_prepared_set *set);
bool pg_prepared_has(const struct pg_prepared_set *set, uint64_t id);
/* Has it, and has it used now? */
bool pg_prepared_use(struct pg_prepared_set *set, uint64_t id);
int pg_prepared_add(struct pg_prepared_set *set, uint64_t id) MUST_CHECK;
void pg_prepared_remove(struct pg_prepared_set *set, uint64_t id);
/* The longest unused; 0 = has none. */
uint64_t pg_prepared_oldest(const struct pg_prepared_set *set);

#endif
