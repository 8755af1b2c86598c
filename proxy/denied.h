/*
 * Logins that are refused, on either side, in words: one line of the error log
 * each, so that whoever runs weir, or a program that blocks addresses, learns
 * of them. Who is refused is told no more for it.
 *
 * Of each lane so many lines in some time at most: who is refused is free to try
 * again. How many were left out is said before the next one; the counters have
 * all.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_DENIED_H
#define PROXY_DENIED_H

#include <stdbool.h>
#include <stdint.h>

#include "net/err.h"

struct session;
struct upconn;

/* Of lines that one lane has said lately. Zeroed at first. */
struct denied_pace {
	int64_t since_ns;               /* this span began; worker time */
	unsigned said, unsaid;          /* unsaid: ever since the last line */
};

struct denied {
	struct denied_pace clients, upconns;
};

/*
 * May there be another line at now_ns, when there are to be at most so many in
 * span_ns? True: *left_out is how many there might not be since the last one.
 */
bool denied_is_told(struct denied_pace *p, unsigned most, int64_t span_ns,
    int64_t now_ns, unsigned *left_out);

/* A name as others gave it, cut, in printable ASCII without a blank: no line
   can be made to look like one about somebody else. */
enum { DENIED_NAME = 64 * 4 + 4 };
const char *denied_name(const char *name, char out[DENIED_NAME]);

/*
 * Weir does not let the client in, which the caller counts as FAIL_AUTH:
 * "listener db: user app from 10.0.0.7: wrong password", the last part from fmt,
 * which must not have anything secret. user is as the client gave it.
 */
void denied_client(struct session *s, const char *user, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/*
 * A server does not let weir in, which is counted where that is found out:
 * "upstream db: 127.0.0.1:5432 refuses user app, database shop: ...", with the
 * server's words. database NULL: there are none.
 */
void denied_upconn(struct upconn *u, const char *user, const char *database,
    const char *said);

#endif
