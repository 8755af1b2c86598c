/*
 * Who holds a lease and what for, told to people who look at connections. Costs
 * nothing until somebody asks, but for the beginning of the last request, which
 * is kept where a connection is one holder's at a time.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef POOL_HOLDER_H
#define POOL_HOLDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "net/addr.h"

enum { BRIEF_MOST = 62 };

/* The beginning of a request, as it came. Zeroed: nothing is known. */
struct brief {
	uint8_t len;
	bool is_line;                   /* "GET /path?query HTTP/1.1": what is
					   behind "?" may be a secret */
	char text[BRIEF_MOST];
};

/* The one thing here that each exchange pays for: 64 bytes written. */
static inline void
brief_put(struct brief *a, const char *at, size_t len, bool is_line)
{
	if (len > BRIEF_MOST)
		len = BRIEF_MOST;
	a->len = (uint8_t)len;
	a->is_line = is_line;
	memcpy(a->text, at, len);
}

/* For people: of a line its method and path, control characters as "?". */
void brief_print(const struct brief *a, char out[BRIEF_MOST + 1]);

struct holder {
	const void *who;                /* only to compare: leases of one client
					   have the same */
	const char *listener;           /* valid during the call */
	struct addr_ip client;          /* as weir takes him to be */
	/* Of his connection's other end; family 0 and -1 = not known. */
	struct addr_ip peer, here;      /* his address and weir's */
	int64_t pid, uid;               /* of a Unix socket's client */
	bool closed;                    /* he has closed his side, or all of his
					   connection: he may be gone */
	struct brief brief;             /* what he asks for now; empty between
					   two requests */
};

#endif
