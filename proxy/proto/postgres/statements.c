/*
 * Prepared statements. See statements.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/proto/postgres/seeded.h"

/* Most clients have a handful. */
#define HASH_INITIAL_NUM_BUCKETS 4U
#define HASH_INITIAL_NUM_BUCKETS_LOG2 2U

#include "proxy/proto/postgres/statements.h"

#include "net/clock.h"
#include "net/err.h"
#include "proxy/proto/postgres/wire.h"

/* What nobody has any more is kept for who comes next. */
enum { IDLE_MOST = 1000, IDLE_MOST_BYTES = 4 * 1024 * 1024 };

/* ---------------------------------------------------------------- of a lane */

/* A number is a lane's, and that has 48 bits. */
enum { LANE_SHIFT = 48 };

static uint64_t
in_lane(uint64_t id)
{
	return id & ((UINT64_C(1) << LANE_SHIFT) - 1);
}

/* Microseconds since the machine has started: nobody gives as many numbers, so
   that those of one process are above those of all before it. */
static uint64_t
beginning(void)
{
	return in_lane((uint64_t)clock_ns() / 1000);
}

void
pg_statements_init(struct pg_statements *all, unsigned lane)
{
	*all = (struct pg_statements){ .first_id = ((uint64_t)lane + 1) <<
	    LANE_SHIFT | beginning() };
	all->last_id = all->first_id;
	list_init(&all->idle);
}

static void
forget(struct pg_statements *all, struct pg_statement *st)
{
	if (st->cached)
		HASH_DEL(all->by_body, st);
	if (list_linked(&st->idle)) {
		list_remove(&st->idle);
		all->idle_bytes -= st->len;
		all->n_idle--;
	}
	st->cached = false;
}

void
pg_statements_fini(struct pg_statements *all)
{
	struct list *l;

	while ((l = list_first(&all->idle)) != NULL) {
		struct pg_statement *st =
		    container_of(l, struct pg_statement, idle);

		forget(all, st);
		free(st);
	}
}

struct pg_statement *
pg_statement_own(struct pg_statements *all, const char *body, size_t len)
{
	struct pg_statement *st = malloc(sizeof(*st) + len);

	if (st == NULL)
		return NULL;
	memset(st, 0, sizeof(*st));
	st->id = ++all->last_id;
	st->refs = 1;
	list_init(&st->idle);
	st->len = (uint32_t)len;
	memcpy(st->body, body, len);
	return st;
}

struct pg_statement *
pg_statement_get(struct pg_statements *all, const char *body, size_t len,
    bool *is_new)
{
	struct pg_statement *st;

	HASH_FIND(hh, all->by_body, body, len, st);
	*is_new = st == NULL;
	if (st != NULL) {
		if (list_linked(&st->idle)) {
			list_remove(&st->idle);
			all->idle_bytes -= st->len;
			all->n_idle--;
		}
		return pg_statement_keep(st);
	}
	st = pg_statement_own(all, body, len);
	if (st == NULL)
		return NULL;
	HASH_ADD_KEYPTR(hh, all->by_body, st->body, len, st);
	st->cached = st->hh.tbl != NULL;
	return st;
}

bool
pg_statement_is_body(const char *body, size_t len)
{
	size_t at = 0;

	return pg_string(body, len, &at) != NULL && len - at >= 2 &&
	    len - at - 2 == (size_t)pg_u16(body + at) * 4;
}

/* Can a number be one that another process has given, before this one began? */
static bool
is_of_another(const struct pg_statements *all, uint64_t id)
{
	return id >> LANE_SHIFT != 0 && in_lane(id) < in_lane(all->first_id);
}

bool
pg_statement_is_given(uint64_t id)
{
	return id >> LANE_SHIFT != 0 && in_lane(id) <= beginning();
}

struct pg_statement *
pg_statement_come(struct pg_statements *all, uint64_t id, const char *body,
    size_t len, bool shared, bool *is_new)
{
	struct pg_statement *st;

	*is_new = true;
	st = shared ? pg_statement_get(all, body, len, is_new) :
	    pg_statement_own(all, body, len);
	if (st != NULL && *is_new && is_of_another(all, id))
		st->id = id;
	return st;
}

void
pg_statement_drop(struct pg_statements *all, struct pg_statement *st)
{
	if (st == NULL || --st->refs > 0)
		return;
	if (!st->cached) {
		free(st);
		return;
	}
	list_append(&all->idle, &st->idle);
	all->idle_bytes += st->len;
	all->n_idle++;
	while (!list_empty(&all->idle) && (all->idle_bytes > IDLE_MOST_BYTES ||
	    all->n_idle > IDLE_MOST)) {
		struct pg_statement *old = container_of(
		    list_first(&all->idle), struct pg_statement, idle);

		forget(all, old);
		free(old);
	}
}

void
pg_statement_retire(struct pg_statements *all, struct pg_statement *st)
{
	if (st->cached)
		HASH_DEL(all->by_body, st);
	st->cached = false;
	st->retired = true;
}

void
pg_statement_name(uint64_t id, char out[PG_SERVER_NAME])
{
	snprintf(out, PG_SERVER_NAME, "weir_%llx", (unsigned long long)id);
}

/* -------------------------------------------------------------- of a client */

static size_t
weight(const struct pg_name *n)
{
	return sizeof(*n) + strlen(n->name) + sizeof(*n->st) + n->st->len;
}

struct pg_name *
pg_name_find(const struct pg_names *names, const char *name)
{
	struct pg_name *n;

	HASH_FIND_STR(names->by_name, name, n);
	return n;
}

int
pg_name_put_back(struct pg_names *names, struct pg_name *n)
{
	HASH_ADD_KEYPTR(hh, names->by_name, n->name, strlen(n->name), n);
	if (n->hh.tbl == NULL)
		return -1;
	names->bytes += weight(n);
	return 0;
}

struct pg_name *
pg_name_add(struct pg_names *names, const char *name, struct pg_statement *st)
{
	size_t len = strlen(name) + 1;
	struct pg_name *n = malloc(sizeof(*n) + len);

	if (n == NULL)
		return NULL;
	memset(n, 0, sizeof(*n));
	memcpy(n->name, name, len);
	n->st = st;
	if (pg_name_put_back(names, n) < 0) {
		free(n);
		return NULL;
	}
	(void)pg_statement_keep(st);
	return n;
}

void
pg_name_take(struct pg_names *names, struct pg_name *n)
{
	names->bytes -= weight(n);
	HASH_DEL(names->by_name, n);
	n->hh.tbl = NULL;
}

void
pg_name_free(struct pg_statements *all, struct pg_name *n)
{
	pg_statement_drop(all, n->st);
	free(n);
}

void
pg_names_clear(struct pg_statements *all, struct pg_names *names)
{
	struct pg_name *n, *next;

	HASH_ITER(hh, names->by_name, n, next) {
		pg_name_take(names, n);
		pg_name_free(all, n);
	}
}

/* ---------------------------------------------------------- of a connection */

void
pg_prepared_init(struct pg_prepared_set *set)
{
	*set = (struct pg_prepared_set){ 0 };
	list_init(&set->used);
}

static struct pg_prepared *
find(const struct pg_prepared_set *set, uint64_t id)
{
	struct pg_prepared *p;

	HASH_FIND(hh, set->by_id, &id, sizeof(id), p);
	return p;
}

bool
pg_prepared_has(const struct pg_prepared_set *set, uint64_t id)
{
	return find(set, id) != NULL;
}

bool
pg_prepared_use(struct pg_prepared_set *set, uint64_t id)
{
	struct pg_prepared *p = find(set, id);

	if (p == NULL)
		return false;
	list_remove(&p->link);
	list_append(&set->used, &p->link);
	return true;
}

int
pg_prepared_add(struct pg_prepared_set *set, uint64_t id)
{
	struct pg_prepared *p;

	if (pg_prepared_use(set, id))
		return 0;
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return -1;
	p->id = id;
	list_init(&p->link);
	HASH_ADD(hh, set->by_id, id, sizeof(p->id), p);
	if (p->hh.tbl == NULL) {
		free(p);
		return -1;
	}
	list_append(&set->used, &p->link);
	set->n++;
	return 0;
}

static void
take_out(struct pg_prepared_set *set, struct pg_prepared *p)
{
	HASH_DEL(set->by_id, p);
	list_remove(&p->link);
	set->n--;
	free(p);
}

void
pg_prepared_remove(struct pg_prepared_set *set, uint64_t id)
{
	struct pg_prepared *p = find(set, id);

	if (p != NULL)
		take_out(set, p);
}

uint64_t
pg_prepared_oldest(const struct pg_prepared_set *set)
{
	struct list *l = list_first((struct list *)(uintptr_t)&set->used);

	return l == NULL ? 0 : container_of(l, struct pg_prepared, link)->id;
}

void
pg_prepared_clear(struct pg_prepared_set *set)
{
	struct pg_prepared *p, *next;

	HASH_ITER(hh, set->by_id, p, next)
		take_out(set, p);
}
