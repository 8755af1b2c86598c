/*
 * One question to DNS (or the hosts file), one answer: c-ares on libev.
 *
 * Knows how to ask and how to wait, never what the answer is for. Following a
 * name over time is net/resolve's.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef NET_DNS_H
#define NET_DNS_H

#include <stddef.h>
#include <stdint.h>

#include "net/addr.h"
#include "net/err.h"

struct ev_loop;

/* Of one ev_loop; used only by the thread that runs it. */
struct dns;

struct dns_target {
	char    *host;
	uint16_t port;
};

/*
 * What was found, or why nothing. The callback owns nothing of it unless it
 * takes ips or targets and puts NULL there.
 */
struct dns_answer {
	const char *error;              /* static text; NULL = good */
	int64_t ttl_ms;                 /* the shortest on the way, aliases
					   included; -1 = none (hosts file) */
	struct addr_ip *ips;            /* as they came; port 0 */
	size_t n_ips;
	struct dns_target *targets;     /* of the lowest priority number */
	size_t n_targets;
};

enum { DNS_TARGETS_MAX = 256 };         /* what is more is dropped */

typedef void dns_answered(void *arg, struct dns_answer *answer);

/*
 * servers is "127.0.0.1:5353,[::1]:53", or NULL for those of the system.
 * Returns NULL when memory is out or servers cannot be read. Holds no
 * descriptor while nothing is asked.
 */
struct dns *dns_new(struct ev_loop *loop, const char *servers) MUST_CHECK;

/* Answers what is still owed with an error. Not from inside an answer. */
void dns_free(struct dns *d);

/*
 * Read resolv.conf again if it has changed, which c-ares does not do itself: a
 * program may start before the network is there. Does nothing while an answer
 * is owed. Not from inside an answer.
 */
void dns_refresh(struct dns *d);

/*
 * A and AAAA records (AF_UNSPEC) or those of one family. Always answers once,
 * often from inside the call: the hosts file is read on the spot.
 */
void dns_ask_addrs(struct dns *d, const char *host, int family,
    dns_answered *cb, void *arg);

/* SRV records (RFC 2782). Always answers once, perhaps from inside the call. */
void dns_ask_srv(struct dns *d, const char *service, dns_answered *cb,
    void *arg);

#endif
