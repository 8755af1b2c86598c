/*
 * The clients behind leases: what the pool is told when somebody asks who holds
 * a connection, and what stays of a request when it is over.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_HOLDERS_H
#define PROXY_HOLDERS_H

#include "proxy/exchange.h"

/* lease_ops.tell, where the lease's holder is an exchange, or a session. Three
   system calls, so only for those who ask. */
void holders_tell_exchange(const struct lease *l, struct holder *h);
void holders_tell_session(const struct lease *l, struct holder *h);

/*
 * x, which has a lease, is over: its connection remembers what it was asked for.
 * One that is open to many does not: of all their requests none says why it is
 * as it is, and requests there are many and small.
 */
static inline void
holders_note(const struct exchange *x)
{
	struct upconn *u = x->lease->u;
	const char *at;
	size_t len = 0;
	bool is_line = false;

	if (x->s->front->asks == NULL || x->ask.share)
		return;
	at = x->s->front->asks(x, &len, &is_line);
	if (at != NULL)
		brief_put(&u->brief, at, len, is_line);
}

#endif
