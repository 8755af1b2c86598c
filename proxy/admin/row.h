/*
 * Inside of the census: one upstream connection with who holds it, as its lane
 * saw it, and as JSON.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_ADMIN_ROW_H
#define PROXY_ADMIN_ROW_H

#include <jansson.h>

#include "pool/lease.h"
#include "proxy/process.h"

/* Of the thousands that may ride on one connection. */
enum { ROW_HOLDERS_MOST = 64 };

struct row_holder {
	char *listener;                 /* owned */
	struct addr_ip client;
	struct brief brief;
	int64_t since_ms;
	bool closed;
	size_t end;                     /* its place in rows->ends */
};

struct row {
	const char *upstream;           /* one of rows->names */
	struct endpoint *endpoint;      /* a reference */
	const char *mark_why;           /* static text, or NULL */
	const char *const *pin_names;
	enum upconn_state state;
	enum mark mark;
	bool leaked;
	bool has_left;                  /* its upstream is in the file no more */
	uint32_t pin_whys;
	uint64_t id, uses;
	int64_t age_ms, state_ms;
	struct brief brief;             /* of its last holder */
	size_t holder, n_holders, all_holders;  /* from rows->holders */
};

/* A lane's connections. Zeroed is empty. */
struct rows {
	char **names;              size_t n_names, names_room;
	struct row *v;             size_t n, room;
	struct row_holder *holders; size_t n_holders, holders_room;
	struct process_end *ends;  size_t n_ends, ends_room;
};

/* On the pool's lane: add all of its connections. has_left: its upstream has left
   the file. -1 when out of memory. */
int rows_add_pool(struct rows *r, const struct pool *p, bool has_left,
    int64_t now_ns) MUST_CHECK;
void rows_fini(struct rows *r);

/* On main; ends: what has been found of r->ends, in their order. */
json_t *row_json(const struct rows *r, const struct row *row, unsigned worker,
    const struct process_end *ends);

#endif
