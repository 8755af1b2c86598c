/*
 * Everything that can go wrong with an exchange, with what is said about it.
 * One row each: the name that counters, logs and bodies show, the HTTP status,
 * the sentence. Each front translates a failure into its own protocol.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_FAIL_H
#define PROXY_FAIL_H

#include "pool/lease.h"

enum fail {
	FAIL_NONE,
	/* of the client */
	FAIL_BAD_REQUEST,
	FAIL_TOO_LARGE,                 /* body over max_body */
	FAIL_METHOD,
	FAIL_HANDSHAKE,                 /* TLS, of the client */
	FAIL_HANDSHAKE_TIMEOUT,         /* or a ClientHello that routes go by */
	FAIL_HEADER_TIMEOUT,
	FAIL_BODY_TIMEOUT,
	FAIL_IDLE_TIMEOUT,
	FAIL_NO_ROUTE,
	FAIL_TLS_ON_PLAINTEXT,          /* it speaks TLS to a port without */
	FAIL_CLIENT_STALLED,
	FAIL_CLIENT_GONE,
	FAIL_CLIENT_WASTES,             /* HTTP/2: resets, pings and the like */
	FAIL_CANCELLED,                 /* asked for by the client itself */
	FAIL_TRANSACTION_IDLE,          /* timeouts.transaction_idle */
	FAIL_LIMITED,                   /* a limit of the listener */
	FAIL_PROXY_HEADER,              /* a PROXY header that is none */
	FAIL_PROXY_TIMEOUT,             /* it did not come in time */
	FAIL_AUTH,                      /* weir does not let it in; denied.h */
	/* of the pool */
	FAIL_NO_ENDPOINT,
	FAIL_UPSTREAM_LIMITED,          /* request_rate or Retry-After */
	FAIL_QUEUE_FULL,
	FAIL_QUEUE_TIMEOUT,
	FAIL_CONNECT_FAILED,
	FAIL_CONNECT_TIMEOUT,
	FAIL_NO_DESCRIPTORS,
	FAIL_PINNED,                    /* pool.max_pinned */
	FAIL_LOGIN,                     /* the upstream does not let it in */
	FAIL_TLS,                       /* of the upstream */
	FAIL_UNFIT,                     /* HTTP/2 is not what it speaks */
	FAIL_NO_MEMORY,
	/* of the upstream */
	FAIL_REFUSED,                   /* HTTP/2: it did not look at it */
	FAIL_NO_SOCKET,                 /* HTTP/2: nor takes it WebSockets */
	FAIL_UPSTREAM_CLOSED,
	FAIL_UPSTREAM_RESET,
	FAIL_BAD_RESPONSE,
	FAIL_RESPONSE_TIMEOUT,
	FAIL_STALLED,
	FAIL_REPLY_TOO_LARGE,           /* its parts cannot be put together */
	FAIL_TOTAL_TIMEOUT,
	FAIL_QUERY_TIMEOUT,             /* timeouts.query */
	FAIL_TUNNEL_TIMEOUT,
	/* of somebody's hand */
	FAIL_KILLED,                    /* its upstream connection was closed */
	FAIL_INJECTED,                  /* see inject.h */
	/* of weir */
	FAIL_DRAINED,                   /* drain_timeout ran out */
	FAIL_OVERLOADED,                /* memory or descriptors near the end */
	N_FAILS
};

struct fail_row {
	const char *name;
	unsigned short status;          /* HTTP; 0 = nobody to tell */
	const char *text;               /* one sentence without a full stop */
};

extern const struct fail_row fail_rows[N_FAILS];

enum fail fail_of_refusal(enum refusal why);

/* Is it the client's own doing? */
static inline bool
fail_is_clients(enum fail why)
{
	return why != FAIL_NONE && why < FAIL_NO_ENDPOINT;
}

/* "client", as above; "nobody": it is meant so; else "server": something is to be
   mended at weir, its pool or the upstream. */
const char *fail_whose(enum fail why);

#endif
