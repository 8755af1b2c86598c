/*
 * Host names to addresses, without blocking, and followed as they change.
 *
 * A name is looked up again whenever the TTL of its answer ends, for as long
 * as somebody follows it; what is known stays known while look-ups fail. The
 * hosts file comes before DNS. Addresses only: what becomes of connections to
 * one that left the answer is the caller's decision.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef NET_RESOLVE_H
#define NET_RESOLVE_H

#include <stddef.h>
#include <stdint.h>

#include "net/addr.h"
#include "net/err.h"

struct ev_loop;

/* Of one ev_loop; used only by the thread that runs it. */
struct resolver;

/* One name that is being followed; owned by its resolver. */
struct follow;

enum {
	RESOLVE_ADDRS_MAX = 256,        /* of one name; what is more is dropped */
	RESOLVE_TTL_MIN_MS = 1000,      /* however short a TTL is */
	RESOLVE_RETRY_MAX_MS = 30 * 1000
};

enum resolve_families { RESOLVE_ANY, RESOLVE_IPV4, RESOLVE_IPV6 };

struct resolver_options {
	enum resolve_families families;
	int64_t max_ttl_ms;     /* longest time between two look-ups; below
				   RESOLVE_TTL_MIN_MS counts as that */
	const char *servers;    /* "127.0.0.1:5353,[::1]:53" or NULL = those of
				   the system; copied */
};

/*
 * The answer, sorted and without repetitions; addrs is valid during the call.
 * Called the first time a name has addresses, then when the set of them has
 * changed. Of failures one after the other the first calls it with n = 0 and a
 * text in error: what was known stays in force. The first good answer after
 * them calls it, changed or not.
 *
 * Never called from inside resolver_follow() or resolver_set(). It may end any
 * follow, its own included, and begin new ones; it may not free the resolver.
 */
typedef void resolve_answer(void *arg, const struct addr *addrs, size_t n,
    const char *error);

/*
 * Returns NULL when memory or descriptors are out or o->servers cannot be
 * read. loop must outlive it. A resolver without follows holds no descriptor
 * and keeps no loop running.
 */
struct resolver *resolver_new(struct ev_loop *loop,
    const struct resolver_options *o) MUST_CHECK;

/* Ends every follow without calling anybody. NULL is allowed. */
void resolver_free(struct resolver *r);

/*
 * After a reload. If anything differs, every name is looked up anew; what is
 * known stays until its new answer comes. Options that cannot be used (servers
 * that make no sense, no memory) leave the old ones in force.
 */
void resolver_set(struct resolver *r, const struct resolver_options *o);

/*
 * Follow the A and AAAA records (as o.families says) of host; every address
 * gets that port. NULL only when memory is out.
 */
struct follow *resolver_follow(struct resolver *r, const char *host,
    uint16_t port, resolve_answer *cb, void *arg) MUST_CHECK;

/*
 * Follow the SRV records of a service ("_redis._tcp.svc"): the targets of the
 * lowest priority number (RFC 2782), each with its own port. Weights are not
 * carried over. NULL only when memory is out.
 */
struct follow *resolver_follow_srv(struct resolver *r, const char *service,
    resolve_answer *cb, void *arg) MUST_CHECK;

/* No callback comes after it. NULL is allowed. */
void follow_end(struct follow *f);

/* The name as given. */
const char *follow_name(const struct follow *f);

/* Milliseconds since the last good answer; -1 = there was none. */
int64_t follow_age_ms(const struct follow *f);

/* Something is known from before: its last good answer was so long ago. */
void follow_set_age(struct follow *f, int64_t age_ms);

/* Milliseconds to the next look-up; 0 = one is under way or due. */
int64_t follow_next_ms(const struct follow *f);

/* Why the latest look-up failed; "" when it did not, or none has ended. */
const char *follow_last_error(const struct follow *f);

/* What is in force now; *n of them, valid until the loop runs again. */
const struct addr *follow_addrs(const struct follow *f, size_t *n);

#endif
