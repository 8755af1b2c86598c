/*
 * Limits: token buckets and counts of connections, for all and for each client.
 *
 * A bucket is one number: the time at which it will be full again (the generic
 * cell rate algorithm, ITU-T I.371 annex A). Buckets for clients stand in a
 * table of fixed size: a new client takes the place of the one that owes least
 * of its set, and takes its debt over too (as the space-saving algorithm of
 * Metwally, Agrawal and El Abbadi does with counts). So nobody is ever granted
 * more than his rate, however many addresses come: a flood cannot reset a
 * bucket, only make strangers share a small debt.
 *
 * Everything may be called from any thread.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_LIMIT_H
#define PROXY_LIMIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"
#include "net/addr.h"

/* What refused or would have: the limits of the file, and weir's own reasons. */
enum limit {
	/* 0 .. CONF_N_LIMITS - 1 are enum conf_limit_name */
	LIMIT_DENIED = CONF_N_LIMITS,   /* allow, deny */
	LIMIT_MEMORY,                   /* overload */
	LIMIT_DESCRIPTORS,
	N_LIMITS
};

/* As users see them: the keys' names; "denied", "memory", "descriptors". */
extern const char *const limit_names[N_LIMITS];

/* ----------------------------------------------------------------- buckets */

/* full_ns: 0 at start. l is a rate that is not CONF_OFF. */

/* Take n tokens if they are there: 0, or in how many ns (> 0) they will be;
   then nothing was taken. */
int64_t bucket_take(_Atomic int64_t *full_ns, const struct conf_limit *l,
    int64_t now_ns, uint64_t n);

/* Take n tokens in any case; returns for how many ns the taker should pause (0 =
   it is within its rate and burst). */
int64_t bucket_owe(_Atomic int64_t *full_ns, const struct conf_limit *l,
    int64_t now_ns, uint64_t n);

/*
 * Take one token now or at a moment at most most_ns ahead, in the order of the
 * calls: returns how many ns to wait (0 = now), or -1 when it would be longer;
 * then nothing was taken and *ready_ns says in how many.
 */
int64_t bucket_reserve(_Atomic int64_t *full_ns, const struct conf_limit *l,
    int64_t now_ns, int64_t most_ns, int64_t *ready_ns);

/* What bucket_reserve() has promised for a later moment is not needed: the token
   goes back, for who comes next. */
void bucket_give_back(_Atomic int64_t *full_ns, const struct conf_limit *l);

/* How long one token takes to be made. */
int64_t bucket_token_ns(const struct conf_limit *l);

/* ---------------------------------------------------------- keyed by client */

/* Who it is to the limits. All zero = nobody: no limit per client holds. */
struct client_key {
	uint64_t a, b;
};

/* An IPv4 address, or an IPv6 one's /64. A client of a Unix socket has none. */
struct client_key client_key_of(const struct addr_ip *ip);
/* A text that names a client (limits.client = "header:..."); never nobody. */
struct client_key client_key_text(const char *text, size_t len);

static inline bool
client_key_is_nobody(const struct client_key *k)
{
	return k->a == 0 && k->b == 0;
}

/* Fixed memory: about 16 bytes for each of `entries`. NULL: out of memory. */
struct bucket_table *bucket_table_new(size_t entries) MUST_CHECK;
void bucket_table_free(struct bucket_table *t);

/* As bucket_take() and bucket_owe(), with k's bucket. */
int64_t bucket_table_take(struct bucket_table *t, const struct client_key *k,
    const struct conf_limit *l, int64_t now_ns, uint64_t n);
int64_t bucket_table_owe(struct bucket_table *t, const struct client_key *k,
    const struct conf_limit *l, int64_t now_ns, uint64_t n);

/* How many connections each client has. Memory: of those connected only. */
struct client_table *client_table_new(void) MUST_CHECK;
void client_table_free(struct client_table *t);

/* One more of k; returns how many that makes, 0 when out of memory (then it is
   not counted and must not leave). */
uint64_t client_table_enter(struct client_table *t, const struct client_key *k);
void client_table_leave(struct client_table *t, const struct client_key *k);

/* --------------------------------------------------------- allow and deny */

/* May a client of this address come in? A Unix client has no address: yes. */
bool limit_admits(const struct conf_nets *allow, const struct conf_nets *deny,
    const struct addr_ip *ip);

#endif
