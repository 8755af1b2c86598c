/*
 * Orders about upstreams' connections. See orders_pool.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/admin/orders_pool.h"

#include <errno.h>
#include <stdlib.h>

#include "proxy/admin/caller.h"
#include "proxy/admin/census.h"
#include "proxy/admin/orders.h"
#include "proxy/admin/target.h"

enum { NAME_MOST = 512 };

static const char *const nothing_known[] = { NULL };

/* 0: it is none, and c has been answered. */
static uint64_t
take_id(struct caller *c, const char *pattern, unsigned n)
{
	char text[32], *end;
	unsigned long long id;

	errno = 0;
	if (target_part(pattern, c->path, n, text, sizeof(text)) == 0 &&
	    *text >= '0' && *text <= '9') {
		id = strtoull(text, &end, 10);
		if (*end == '\0' && errno == 0 && id > 0)
			return id;
	}
	caller_reply_error(c, 404, "a connection's ID is a number, as in "
	    "GET /connections");
	return 0;
}

/* upstream NULL: whosever it is. */
static void
order_closed(struct caller *c, const char *upstream, uint64_t id)
{
	struct awaited *census = census_kill(c, upstream, id);

	if (census == NULL)
		caller_reply_error(c, 503, "out of memory");
	else
		caller_wait(c, census);
}

void
order_kill(struct caller *c)
{
	uint64_t id;

	if (order_query_is_known(c, nothing_known) &&
	    (id = take_id(c, ORDER_KILL, 0)) != 0)
		order_closed(c, NULL, id);
}

void
order_kill_of(struct caller *c)
{
	char name[NAME_MOST];
	uint64_t id;

	if (target_part(ORDER_KILL_OF, c->path, 0, name, sizeof(name)) < 0) {
		caller_reply_error(c, 400, "the path is not rightly "
		    "percent-encoded");
		return;
	}
	if (order_query_is_known(c, nothing_known) &&
	    order_upstream(c, name) != NULL &&
	    (id = take_id(c, ORDER_KILL_OF, 1)) != 0)
		order_closed(c, name, id);
}
