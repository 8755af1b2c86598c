/*
 * Following names: when to look up, what to believe, whom to tell.
 *
 * A follow is looked up in rounds. A round of a host has one target; a round
 * of a service asks for its SRV records first and has a target for each. When
 * the last target of a round is answered, the round is settled: from a timer,
 * never from inside c-ares, so that callers may do as they please. A target
 * that fails keeps the addresses it had.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/resolve.h"

#include <ev.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "net/clock.h"
#include "net/dns.h"
#include "net/list.h"

enum {
	ASKED_AT_ONCE = 8,      /* targets of one service */
	ERROR_MAX = 352         /* a name of 253 bytes and a text */
};

/* Nobody needs an answer for longer, whatever the options say. */
static const int64_t ttl_cap_ms = 24 * 3600 * 1000LL;

static const char no_memory[] = "out of memory";

struct resolver {
	struct ev_loop *loop;
	struct dns     *dns;
	struct resolver_options options;        /* servers: its own copy */
	struct list     follows;
	struct list     settled;                /* rounds that have ended */
	ev_timer        settle_timer;
};

/* One host of a round; owned by the array it is in. */
struct target {
	struct round *round;            /* while it is asked for */
	char     *host;
	uint16_t  port;
	struct addr_ip *ips;            /* tidy, ports filled in */
	size_t    n;
	bool      lacked;               /* a family that it had was missing from
					   the latest answer, and kept */
	const char *error;              /* static text, NULL = answered */
};

struct follow {
	struct list link;
	struct resolver *resolver;
	char     *name;
	uint16_t  port;
	bool      is_srv;
	resolve_answer *cb;
	void     *arg;
	ev_timer  due;                  /* active exactly when round is NULL */
	struct round *round;
	struct target *targets;         /* as of the latest round */
	size_t    n_targets;
	struct addr *addrs;             /* in force, as last told */
	size_t    n_addrs;
	bool      told;                 /* cb has been called */
	bool      failing;              /* with an error, the last time */
	unsigned  failures;             /* rounds in a row */
	int64_t   good_at_ms;           /* -1 = never */
	char      error[ERROR_MAX];
};

/*
 * A look-up under way. Owned by its follow, or by the answers it waits for
 * once the follow has let go of it (c-ares cannot cancel one question).
 */
struct round {
	struct list    link;            /* on resolver.settled, or on none */
	struct resolver *resolver;
	struct follow *follow;          /* NULL = nobody wants it any more */
	struct target *targets;
	size_t    n_targets, next;      /* next = first not yet asked for */
	unsigned  asked;                /* answers to come */
	bool      asking;               /* inside a call that asks for it */
	int64_t   ttl_ms;               /* shortest seen */
	const char *error;              /* of the SRV look-up; static text */
};

static void round_go_on(struct round *round);

static void
timer_set(struct ev_loop *loop, ev_timer *w, int64_t ms)
{
	/* A loop that was busy for long would count from when it woke up. */
	ev_now_update(loop);
	ev_timer_stop(loop, w);
	ev_timer_set(w, (double)ms / 1000, 0.);
	ev_timer_start(loop, w);
}

/* -------------------------------------------------------- sets of addresses */

/* IPv4 before IPv6, then by address, then by port. */
static int
ip_compare(const void *va, const void *vb)
{
	const struct addr_ip *a = va, *b = vb;
	int diff;

	if (a->family != b->family)
		return a->family == AF_INET ? -1 : 1;
	diff = memcmp(a->ip, b->ip, sizeof(a->ip));
	return diff ? diff : (int)a->port - (int)b->port;
}

/* Sorts, drops repetitions and what is beyond the cap; returns how many. */
static size_t
ip_tidy(struct addr_ip *v, size_t n)
{
	size_t i, kept = 0;

	if (n > 0)
		qsort(v, n, sizeof(*v), ip_compare);
	for (i = 0; i < n && kept < RESOLVE_ADDRS_MAX; i++)
		if (i == 0 || ip_compare(&v[i], &v[kept - 1]) != 0)
			v[kept++] = v[i];
	return kept;
}

static bool
has_family(const struct addr_ip *v, size_t n, int family)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (v[i].family == family)
			return true;
	return false;
}

static void
ip_to_addr(const struct addr_ip *ip, struct addr *out)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };

	memset(out, 0, sizeof(*out));
	if (ip->family == AF_INET) {
		in.sin_port = htons(ip->port);
		memcpy(&in.sin_addr, ip->ip, sizeof(in.sin_addr));
		memcpy(&out->ss, &in, sizeof(in));
		out->len = sizeof(in);
	} else {
		in6.sin6_port = htons(ip->port);
		memcpy(&in6.sin6_addr, ip->ip, sizeof(in6.sin6_addr));
		memcpy(&out->ss, &in6, sizeof(in6));
		out->len = sizeof(in6);
	}
}

/* ------------------------------------------------------------------ answers */

static void
targets_free(struct target *v, size_t n)
{
	size_t i;

	for (i = 0; v != NULL && i < n; i++) {
		free(v[i].host);
		free(v[i].ips);
	}
	free(v);
}

static void
round_free(struct round *round)
{
	targets_free(round->targets, round->n_targets);
	free(round);
}

static void
round_ttl(struct round *round, int64_t ttl_ms)
{
	if (ttl_ms >= 0 && ttl_ms < round->ttl_ms)
		round->ttl_ms = ttl_ms;
}

static void
target_answered(void *arg, struct dns_answer *a)
{
	struct target *t = arg;
	struct round *round = t->round;
	size_t i;

	t->error = a->error;
	if (a->error == NULL) {
		t->ips = a->ips;
		a->ips = NULL;
		for (i = 0; i < a->n_ips; i++)
			t->ips[i].port = t->port;
		t->n = ip_tidy(t->ips, a->n_ips);
		round_ttl(round, a->ttl_ms);
	}
	round->asked--;
	if (!round->asking)
		round_go_on(round);
}

static void
service_answered(void *arg, struct dns_answer *a)
{
	struct round *round = arg;
	size_t i;

	round->error = a->error;
	if (a->error == NULL &&
	    (round->targets = calloc(a->n_targets, sizeof(struct target))) == NULL)
		round->error = no_memory;
	if (round->error == NULL) {
		for (i = 0; i < a->n_targets; i++) {
			round->targets[i].host = a->targets[i].host;
			round->targets[i].port = a->targets[i].port;
			a->targets[i].host = NULL;
		}
		round->n_targets = a->n_targets;
		round_ttl(round, a->ttl_ms);
	}
	round->asked--;
	if (!round->asking)
		round_go_on(round);
}

static void
target_ask(struct round *round, struct target *t)
{
	static const int family[] = {
		[RESOLVE_ANY] = AF_UNSPEC,
		[RESOLVE_IPV4] = AF_INET,
		[RESOLVE_IPV6] = AF_INET6
	};
	struct resolver *r = round->resolver;

	t->round = round;
	round->asked++;
	dns_ask_addrs(r->dns, t->host, family[r->options.families],
	    target_answered, t);
}

/*
 * Ask for more targets, or end the round. Also called from inside c-ares,
 * therefore nobody is told here. Frees a round that nobody wants.
 */
static void
round_go_on(struct round *round)
{
	struct resolver *r = round->resolver;

	round->asking = true;
	while (round->follow != NULL && round->next < round->n_targets &&
	    round->asked < ASKED_AT_ONCE)
		target_ask(round, &round->targets[round->next++]);
	round->asking = false;
	if (round->asked > 0)
		return;
	if (round->follow == NULL) {
		round_free(round);
		return;
	}
	list_append(&r->settled, &round->link);
	if (!ev_is_active(&r->settle_timer))
		timer_set(r->loop, &r->settle_timer, 0);
}

/* ------------------------------------------------------------------- rounds */

static int
target_from_follow(struct round *round, const struct follow *f)
{
	if ((round->targets = calloc(1, sizeof(*round->targets))) == NULL)
		return -1;
	round->n_targets = 1;
	round->targets[0].port = f->port;
	round->targets[0].host = strdup(f->name);
	return round->targets[0].host != NULL ? 0 : -1;
}

/* Seconds 1, 2, 4, 8, 16, 24, and up to a quarter more: 30 at most. */
static int64_t
retry_ms(unsigned failures)
{
	unsigned shift = failures > 0 ? failures - 1 : 0;
	int64_t base = shift < 5 ? 1000LL << shift : RESOLVE_RETRY_MAX_MS * 4 / 5;
	uint32_t dice = 0;

	if (getrandom(&dice, sizeof(dice), GRND_NONBLOCK) != sizeof(dice))
		dice = (uint32_t)clock_ms();
	return base + base / 4 * (dice % 1024) / 1024;
}

static int64_t
ttl_bounded(const struct resolver *r, int64_t ttl_ms)
{
	int64_t most = r->options.max_ttl_ms;

	if (most > ttl_cap_ms)
		most = ttl_cap_ms;
	if (ttl_ms > most)
		ttl_ms = most;
	return ttl_ms < RESOLVE_TTL_MIN_MS ? RESOLVE_TTL_MIN_MS : ttl_ms;
}

/* Begin a round. It ends in settle(). */
static void
follow_due(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct follow *f = container_of(w, struct follow, due);
	struct resolver *r = f->resolver;
	struct round *round = calloc(1, sizeof(*round));

	(void)revents;
	if (round == NULL || (!f->is_srv && target_from_follow(round, f) != 0)) {
		if (round != NULL)
			round_free(round);
		timer_set(loop, &f->due, retry_ms(++f->failures));
		return;
	}
	dns_refresh(r->dns);
	list_init(&round->link);
	round->resolver = r;
	round->follow = f;
	round->ttl_ms = ttl_cap_ms;
	f->round = round;
	if (f->is_srv) {
		round->asking = true;
		round->asked = 1;
		dns_ask_srv(r->dns, f->name, service_answered, round);
		round->asking = false;
	}
	if (round->asked == 0)
		round_go_on(round);
}

/* Nobody waits for this round any longer. */
static void
follow_let_go(struct follow *f)
{
	struct round *round = f->round;

	if (round == NULL)
		return;
	f->round = NULL;
	round->follow = NULL;
	if (list_linked(&round->link)) {
		list_remove(&round->link);
		round_free(round);
	}
}

/* ----------------------------------------------------------------- settling */

static struct target *
target_before(const struct follow *f, const struct target *t)
{
	size_t i;

	for (i = 0; i < f->n_targets; i++)
		if (f->targets[i].port == t->port &&
		    strcmp(f->targets[i].host, t->host) == 0)
			return &f->targets[i];
	return NULL;
}

/* Add what `from` has of that family. -1 when memory is out. */
static int
target_add(struct target *t, const struct target *from, int family)
{
	struct addr_ip *v = realloc(t->ips, (t->n + from->n) * sizeof(*v));
	size_t i;

	if (v == NULL)
		return -1;
	t->ips = v;
	for (i = 0; i < from->n; i++)
		if (from->ips[i].family == family)
			v[t->n++] = from->ips[i];
	t->n = ip_tidy(v, t->n);
	return 0;
}

/*
 * A target that failed keeps what it had. One of which a whole family has gone
 * is believed the second time: c-ares asks for A and AAAA apart and calls it a
 * success when one of them was answered, whatever became of the other.
 */
static void
target_inherit(struct round *round, struct target *t, struct target *before)
{
	static const int families[] = { AF_INET, AF_INET6 };
	size_t i;

	if (t->error != NULL) {
		free(t->ips);
		t->ips = before->ips;
		t->n = before->n;
		before->ips = NULL;
		before->n = 0;
		return;
	}
	if (round->resolver->options.families != RESOLVE_ANY || before->lacked)
		return;
	for (i = 0; i < NELEMS(families); i++) {
		if (!has_family(before->ips, before->n, families[i]) ||
		    has_family(t->ips, t->n, families[i]) ||
		    target_add(t, before, families[i]) != 0)
			continue;
		t->lacked = true;
		round->ttl_ms = RESOLVE_TTL_MIN_MS;
	}
}

/*
 * The targets of the round become those of the follow. Returns why the round,
 * or a part of it, failed; NULL when all is well.
 */
static const char *
follow_adopt(struct follow *f, struct round *round, const char **host)
{
	const char *error = round->error;
	struct target *t, *before;
	size_t i;

	*host = NULL;
	if (error != NULL)
		return error;
	for (i = 0; i < round->n_targets; i++) {
		t = &round->targets[i];
		if ((before = target_before(f, t)) != NULL)
			target_inherit(round, t, before);
		if (t->error != NULL && error == NULL) {
			error = t->error;
			*host = f->is_srv ? t->host : NULL;
		}
	}
	targets_free(f->targets, f->n_targets);
	f->targets = round->targets;
	f->n_targets = round->n_targets;
	round->targets = NULL;
	round->n_targets = 0;
	return error;
}

static size_t
follow_gather(const struct follow *f, struct addr_ip **out)
{
	size_t i, n = 0, total = 0;

	for (i = 0; i < f->n_targets; i++)
		total += f->targets[i].n;
	*out = NULL;
	if (total == 0 || (*out = malloc(total * sizeof(**out))) == NULL)
		return 0;
	for (i = 0; i < f->n_targets; i++) {
		if (f->targets[i].n == 0)
			continue;
		memcpy(*out + n, f->targets[i].ips,
		    f->targets[i].n * sizeof(**out));
		n += f->targets[i].n;
	}
	return ip_tidy(*out, n);
}

static bool
addrs_same(const struct addr *a, const struct addr *b, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (!addr_equal(&a[i], &b[i]))
			return false;
	return true;
}

/* True when the set in force has changed. */
static bool
follow_replace(struct follow *f)
{
	struct addr_ip *ips;
	struct addr *addrs;
	size_t i, n = follow_gather(f, &ips);

	/* Never back to nothing, not even for want of memory. */
	if (n == 0 || (addrs = calloc(n, sizeof(*addrs))) == NULL) {
		free(ips);
		return false;
	}
	for (i = 0; i < n; i++)
		ip_to_addr(&ips[i], &addrs[i]);
	free(ips);
	if (n == f->n_addrs && addrs_same(addrs, f->addrs, n)) {
		free(addrs);
		return false;
	}
	free(f->addrs);
	f->addrs = addrs;
	f->n_addrs = n;
	return true;
}

static int64_t
follow_verdict(struct follow *f, int64_t ttl_ms, const char *error,
    const char *host)
{
	int64_t wait_ms = ttl_bounded(f->resolver, ttl_ms), retry;

	if (error == NULL) {
		f->failures = 0;
		f->good_at_ms = clock_ms();
		f->error[0] = '\0';
		return wait_ms;
	}
	snprintf(f->error, sizeof(f->error), "%s%s%s", host ? host : "",
	    host ? ": " : "", error);
	retry = retry_ms(++f->failures);
	/* A part of a service may fail for ever; the rest keeps its TTL. */
	return host != NULL && wait_ms < retry ? wait_ms : retry;
}

/* f may be gone afterwards. */
static void
follow_settle(struct follow *f, struct round *round)
{
	const char *host, *error = follow_adopt(f, round, &host);
	int64_t wait_ms = follow_verdict(f, round->ttl_ms, error, host);
	bool changed = follow_replace(f), first = !f->told;
	bool over = error == NULL && f->failing && f->n_addrs > 0;

	f->round = NULL;
	round_free(round);
	timer_set(f->resolver->loop, &f->due, wait_ms);
	f->told = true;
	/* Of a part that failed where another has changed the next round
	   tells. */
	if (changed || over) {
		f->failing = f->failing && error != NULL;
		f->cb(f->arg, f->addrs, f->n_addrs, NULL);
	} else if (first || (error != NULL && !f->failing)) {
		f->failing = true;
		f->cb(f->arg, NULL, 0, error != NULL ? f->error : no_memory);
	}
}

static void
settle(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct resolver *r = container_of(w, struct resolver, settle_timer);
	struct list *l;

	(void)loop, (void)revents;
	while ((l = list_first(&r->settled)) != NULL) {
		struct round *round = container_of(l, struct round, link);

		list_remove(l);
		follow_settle(round->follow, round);
	}
}

/* -------------------------------------------------------------- the outside */

static int
options_copy(struct resolver_options *out, const struct resolver_options *in)
{
	*out = *in;
	if (in->servers == NULL)
		return 0;
	out->servers = strdup(in->servers);
	return out->servers != NULL ? 0 : -1;
}

static bool
options_same(const struct resolver_options *a, const struct resolver_options *b)
{
	if (a->families != b->families || a->max_ttl_ms != b->max_ttl_ms)
		return false;
	if (a->servers == NULL || b->servers == NULL)
		return a->servers == b->servers;
	return strcmp(a->servers, b->servers) == 0;
}

struct resolver *
resolver_new(struct ev_loop *loop, const struct resolver_options *o)
{
	struct resolver *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->loop = loop;
	list_init(&r->follows);
	list_init(&r->settled);
	ev_init(&r->settle_timer, settle);
	if (options_copy(&r->options, o) != 0 ||
	    (r->dns = dns_new(loop, o->servers)) == NULL) {
		free((char *)r->options.servers);
		free(r);
		return NULL;
	}
	return r;
}

void
resolver_free(struct resolver *r)
{
	struct list *l;

	if (r == NULL)
		return;
	while ((l = list_first(&r->follows)) != NULL)
		follow_end(container_of(l, struct follow, link));
	dns_free(r->dns);       /* frees the rounds that were under way */
	ev_timer_stop(r->loop, &r->settle_timer);
	free((char *)r->options.servers);
	free(r);
}

void
resolver_set(struct resolver *r, const struct resolver_options *o)
{
	struct resolver_options fresh;
	struct list *l, *tmp;
	struct dns *dns;

	if (options_same(&r->options, o) || options_copy(&fresh, o) != 0)
		return;
	if ((dns = dns_new(r->loop, fresh.servers)) == NULL) {
		free((char *)fresh.servers);
		return;
	}
	list_each(l, tmp, &r->follows) {
		struct follow *f = container_of(l, struct follow, link);

		follow_let_go(f);
		timer_set(r->loop, &f->due, 0);
	}
	dns_free(r->dns);
	free((char *)r->options.servers);
	r->dns = dns;
	r->options = fresh;
}

static struct follow *
follow_new(struct resolver *r, const char *name, resolve_answer *cb, void *arg)
{
	struct follow *f = calloc(1, sizeof(*f));

	if (f == NULL || (f->name = strdup(name)) == NULL) {
		free(f);
		return NULL;
	}
	f->resolver = r;
	f->cb = cb;
	f->arg = arg;
	f->good_at_ms = -1;
	list_init(&f->link);
	list_append(&r->follows, &f->link);
	ev_init(&f->due, follow_due);
	timer_set(r->loop, &f->due, 0);
	return f;
}

struct follow *
resolver_follow(struct resolver *r, const char *host, uint16_t port,
    resolve_answer *cb, void *arg)
{
	struct follow *f = follow_new(r, host, cb, arg);

	if (f != NULL)
		f->port = port;
	return f;
}

struct follow *
resolver_follow_srv(struct resolver *r, const char *service,
    resolve_answer *cb, void *arg)
{
	struct follow *f = follow_new(r, service, cb, arg);

	if (f != NULL)
		f->is_srv = true;
	return f;
}

void
follow_end(struct follow *f)
{
	if (f == NULL)
		return;
	follow_let_go(f);
	ev_timer_stop(f->resolver->loop, &f->due);
	list_remove(&f->link);
	targets_free(f->targets, f->n_targets);
	free(f->addrs);
	free(f->name);
	free(f);
}

const char *
follow_name(const struct follow *f)
{
	return f->name;
}

int64_t
follow_age_ms(const struct follow *f)
{
	return f->good_at_ms < 0 ? -1 : clock_ms() - f->good_at_ms;
}

void
follow_set_age(struct follow *f, int64_t age_ms)
{
	if (age_ms >= 0)
		f->good_at_ms = clock_ms() - age_ms;
}

int64_t
follow_next_ms(const struct follow *f)
{
	struct ev_loop *loop = f->resolver->loop;
	ev_timer copy = f->due;
	double left;

	if (!ev_is_active(&f->due))
		return 0;
	/* ev_timer_remaining() reads a watcher without changing it. */
	left = ev_timer_remaining(loop, &copy);
	return left > 0 ? (int64_t)(left * 1000) : 0;
}

const char *
follow_last_error(const struct follow *f)
{
	return f->error;
}

const struct addr *
follow_addrs(const struct follow *f, size_t *n)
{
	*n = f->n_addrs;
	return f->addrs;
}
