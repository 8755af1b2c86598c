/*
 * Connections between lanes and another weir. See upgrade_pools.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/upgrade/upgrade_pools.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pool/handover.h"
#include "proxy/lane.h"
#include "proxy/upgrade/upgrade_parts.h"

/* --------------------------------------------------------------------- going */

/* Of one pool in one turn, where the next sweep takes the rest: to say what each
   is takes time, and others wait. */
enum { TURN_MOST = 64 };

struct wanted {
	struct pool *pool;
	int64_t idle_ms;                /* all that have been idle for so long */
	unsigned more;                  /* of others so many */
};

/* To a lane, and home. Owned by the mail, in the end by its round. */
struct errand {
	struct mail out, home;
	struct round *round;
	struct list handed;             /* what it brings */
	bool with_keys;                 /* the other one knows of them */
	size_t n;
	struct wanted wanted[];
};

struct round {
	struct runtime *rt;
	struct channel *channel;
	size_t left;
	void (*done)(void *arg);
	void *arg;
};

unsigned
upstream_waits(const struct upstream *up)
{
	unsigned n = 0;
	size_t i;

	for (i = 0; i < up->n_pools; i++)
		n += atomic_load(&up->pools[i]->unserved);
	return n;
}

unsigned
upstream_leases(const struct upstream *up)
{
	unsigned n = 0;
	size_t i;

	for (i = 0; i < up->n_pools; i++)
		n += atomic_load(&up->pools[i]->leased);
	return n;
}

/* How many of ours the other one needs. */
static unsigned
wants_of_other(const struct upstream *up)
{
	return up->cap != NULL && upstream_is_full(up) ?
	    atomic_load(&up->cap->waiting[!up->side]) : 0;
}

static void
errand_news(void *arg, enum sending is)
{
	if (is == SENDING_DONE)
		handed_sent(arg);
	else if (is == SENDING_NEVER)
		handed_drop(arg);
	else
		handed_going(arg, is == SENDING_NOW);
}

static void
send_one(const struct round *round, struct handed *h)
{
	struct channel *c = round->channel;
	char addr[ADDR_TEXT_MAX];
	json_t *j = json_pack("{s:s,s:s,s:i,s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:I,"
	    "s:I}",
	    "is", "connection", "upstream", h->upstream->name, "cap",
	    cap_number(&round->rt->caps, h->upstream->cap), "endpoint", h->name,
	    "address", addr_print(&h->addr, addr), "id", (json_int_t)h->id,
	    "uses", (json_int_t)h->uses, "age_ms", (json_int_t)h->age_ms,
	    "idle_ms", (json_int_t)h->idle_ms, "hint_ms",
	    (json_int_t)h->hint_ms, "key", (json_int_t)h->key_len, "packed",
	    (json_int_t)h->packed_len);

	list_remove(&h->link);
	if (!channel_send_away(c, j, h->bytes, handed_size(h), h->fd,
	    errand_news, h))
		handed_drop(h);
}

static void
drop_all(struct errand *e)
{
	struct list *l;

	while ((l = list_first(&e->handed)) != NULL)
		handed_drop(container_of(l, struct handed, link));
}

static void
errand_home(struct worker *w, struct mail *m)
{
	struct errand *e = container_of(m, struct errand, home);
	struct round *round = e->round;
	struct list *l;

	(void)w;
	while (channel_is_open(round->channel) &&
	    (l = list_first(&e->handed)) != NULL)
		send_one(round, container_of(l, struct handed, link));
	drop_all(e);
	free(e);
	if (--round->left > 0)
		return;
	round->done(round->arg);
	free(round);
}

/* Main's mailbox is cleared when no lane runs any more: the round ends without
   a word. */
static void
home_dropped(struct mail *m)
{
	struct errand *e = container_of(m, struct errand, home);

	drop_all(e);
	if (--e->round->left == 0)
		free(e->round);
	free(e);
}

static void
errand_arrived(struct worker *w, struct mail *m)
{
	struct errand *e = container_of(m, struct errand, out);
	size_t i;

	(void)w;
	for (i = 0; i < e->n; i++) {
		struct wanted *want = &e->wanted[i];

		if (want->idle_ms < MESSAGE_LONG_MS)
			(void)handover_take_out(want->pool,
			    want->idle_ms > 0 ? TURN_MOST : UINT_MAX,
			    want->idle_ms, e->with_keys, &e->handed);
		if (want->more > 0) {
			want->more -= handover_take_out(want->pool,
			    want->more, 0, e->with_keys, &e->handed);
			handover_make_room(want->pool, want->more,
			    DISCARD_OTHER_KEY);
		}
		/* Nobody here comes back for those. */
		if (want->idle_ms == 0)
			handover_make_room(want->pool, UINT_MAX,
			    DISCARD_RETIRED);
	}
	worker_post(&e->round->rt->main, &e->home);
}

/* The lane has ended. */
static void
errand_dropped(struct mail *m)
{
	struct errand *e = container_of(m, struct errand, out);

	worker_post(&e->round->rt->main, &e->home);
}

static struct errand *
errand_new(struct round *round, size_t lane, size_t n, int64_t idle_ms)
{
	struct errand *e = calloc(1, sizeof(*e) + n * sizeof(e->wanted[0]));
	struct list *l;

	if (e == NULL)
		return NULL;
	e->out = (struct mail){ .deliver = errand_arrived,
	    .drop = errand_dropped };
	e->home = (struct mail){ .deliver = errand_home,
	    .drop = home_dropped };
	e->round = round;
	e->with_keys = round->rt->upgrade->keys_go;
	list_init(&e->handed);
	for (l = round->rt->upstreams.next; l != &round->rt->upstreams;
	    l = l->next) {
		struct live_upstream *lu =
		    container_of(l, struct live_upstream, link);

		if (lu->conf != NULL)
			e->wanted[e->n++] = (struct wanted){
			    .pool = lu->upstream->pools[lane],
			    .idle_ms = idle_ms,
			    .more = wants_of_other(lu->upstream) };
	}
	return e;
}

/* Is there a question at all? Mostly nobody waits. */
static bool
is_needed(const struct runtime *rt, int64_t idle_ms)
{
	const struct list *l;

	if (idle_ms < MESSAGE_LONG_MS)
		return true;
	for (l = rt->upstreams.next; l != &rt->upstreams; l = l->next)
		if (wants_of_other(container_of(l, const struct live_upstream,
		    link)->upstream) > 0)
			return true;
	return false;
}

bool
spare_connections(struct runtime *rt, struct channel *c, int64_t idle_ms,
    void (*done)(void *arg), void *arg)
{
	struct round *round;
	struct errand *e;
	struct list *l;
	size_t i, n = 0;

	if (!is_needed(rt, idle_ms)) {
		done(arg);
		return true;
	}
	round = calloc(1, sizeof(*round));
	if (round == NULL)
		return false;
	*round = (struct round){ .rt = rt, .channel = c, .done = done,
	    .arg = arg };
	for (l = rt->upstreams.next; l != &rt->upstreams; l = l->next)
		n++;
	/* Lanes that are not asked for want of memory keep what they have. */
	for (i = 0; i < rt->n_lanes; i++) {
		e = errand_new(round, i, n, idle_ms);
		if (e == NULL)
			break;
		round->left++;
		worker_post(&rt->lanes[i]->worker, &e->out);
	}
	if (round->left > 0)
		return true;
	free(round);
	return false;
}

/* ------------------------------------------------------------------- the rest */

enum { REST_ROUNDS = 50 };              /* of UPGRADE_SWEEP_MS */

/* Connections that are of use elsewhere when they are ready. */
static bool
are_opening(const struct runtime *rt)
{
	const struct list *l;
	size_t i;

	for (l = rt->upstreams.next; l != &rt->upstreams; l = l->next) {
		const struct live_upstream *lu =
		    container_of(l, const struct live_upstream, link);
		const struct upstream *up = lu->upstream;

		for (i = 0; lu->conf != NULL && i < up->n_pools; i++)
			if (lu->conf->tls.client == NULL &&
			    atomic_load(&up->pools[i]->opening) > 0)
				return true;
	}
	return false;
}

static void
rest_spared(void *arg)
{
	struct rest *r = arg;

	if (r->more && channel_is_open(r->channel) &&
	    r->rounds++ < REST_ROUNDS)
		deadline_set(&r->rt->main, &r->again, UPGRADE_SWEEP_MS);
	else
		r->done(r->arg);
}

/* Looked at before: what becomes idle meanwhile may come too late for this
   round. So may what comes back. */
static bool
rest_round(struct rest *r)
{
	r->more = are_opening(r->rt) ||
	    (r->rounds == 0 && r->rt->upgrade->waited);
	return spare_connections(r->rt, r->channel, 0, rest_spared, r);
}

static void
rest_again(struct deadline *d)
{
	struct rest *r = container_of(d, struct rest, again);

	/* Where the other one has died meanwhile, they stay for the next. */
	if (!channel_is_open(r->channel) || !rest_round(r))
		r->done(r->arg);
}

bool
spare_rest(struct rest *r, struct runtime *rt, struct channel *c,
    void (*done)(void *arg), void *arg)
{
	*r = (struct rest){ .rt = rt, .channel = c, .done = done,
	    .arg = arg };
	deadline_init(&r->again, rest_again);
	return rest_round(r);
}

/* -------------------------------------------------------------------- coming */

struct arrived {
	struct mail mail;
	struct pool *pool;
	struct handed *handed;
};

static void
handed_arrived(struct worker *w, struct mail *m)
{
	struct arrived *a = container_of(m, struct arrived, mail);

	(void)w;
	handover_adopt(a->pool, a->handed);
	free(a);
}

static void
handed_lost(struct mail *m)
{
	struct arrived *a = container_of(m, struct arrived, mail);

	upstream_slot_receive(a->handed->upstream);
	handed_drop(a->handed);
	free(a);
}

/* The one of that name that counts where the sender has counted it: one of
   another protocol has another entry. */
static struct live_upstream *
upstream_of(struct runtime *rt, const char *name, const struct cap *cap)
{
	struct live_upstream *lu = NULL;

	while ((lu = live_upstream_named(rt, name, lu)) != NULL)
		if (lu->conf != NULL && lu->upstream->cap == cap)
			return lu;
	return NULL;
}

/* The lane of it that has the fewest. */
static size_t
neediest(const struct upstream *up)
{
	size_t best = 0, i;

	for (i = 1; i < up->n_pools; i++)
		if (atomic_load(&up->pools[i]->idle) + atomic_load(
		    &up->pools[i]->leased) < atomic_load(
		    &up->pools[best]->idle) + atomic_load(
		    &up->pools[best]->leased))
			best = i;
	return best;
}

static struct handed *
read_handed(const struct message *m)
{
	size_t key = (size_t)message_number(m, "key", 0, MESSAGE_MOST, 0);
	size_t packed = (size_t)message_number(m, "packed", 0, MESSAGE_MOST,
	    0);
	struct handed *h;

	if (key > HANDOVER_KEY_MOST || packed > PEER_PACKED_MOST ||
	    key + packed > m->raw_len ||
	    m->raw_len - key - packed > HANDOVER_BYTES_MOST)
		return NULL;
	h = handed_new(key, packed, m->raw_len - key - packed);
	if (h == NULL)
		return NULL;
	snprintf(h->name, sizeof(h->name), "%s", message_text(m, "endpoint"));
	h->id = (uint64_t)message_number(m, "id", 0, INT64_MAX, 0);
	h->uses = (uint64_t)message_number(m, "uses", 0, INT64_MAX, 1);
	h->age_ms = message_number(m, "age_ms", 0, MESSAGE_LONG_MS, 0);
	h->idle_ms = message_number(m, "idle_ms", 0, MESSAGE_LONG_MS, 0);
	h->hint_ms = message_number(m, "hint_ms", 0, MESSAGE_LONG_MS, 0);
	if (m->raw_len > 0)
		memcpy(h->bytes, m->raw, m->raw_len);
	if (message_addr(message_text(m, "address"), &h->addr) == 0)
		return h;
	handed_free(h);
	return NULL;
}

static void
refuse(const struct cap_table *caps, struct cap *cap, int fd)
{
	if (fd >= 0)
		close(fd);
	/* Its place is the sender's no more. */
	cap_discount(cap, caps->side);
}

bool
take_connection(struct runtime *rt, const struct message *m, int *fds)
{
	int64_t n = message_number(m, "cap", -1, CAP_MOST - 1, -1);
	struct cap *cap = n >= 0 ? &rt->caps.v[n] : NULL;
	struct live_upstream *lu;
	struct arrived *a;
	struct handed *h;
	size_t i;

	if (cap == NULL || m->n_fds != 1) {
		for (i = 0; i < m->n_fds; i++)
			close(fds[i]);
		return false;
	}
	lu = upstream_of(rt, message_text(m, "upstream"), cap);
	h = lu != NULL && fds[0] >= 0 ? read_handed(m) : NULL;
	a = h != NULL ? calloc(1, sizeof(*a)) : NULL;
	if (a == NULL) {
		if (h != NULL)
			handed_free(h);
		refuse(&rt->caps, cap, fds[0]);
		return true;
	}
	h->fd = fds[0];
	h->upstream = lu->upstream;
	/* Here, for there will be others when the weir before has gone. */
	h->stale = !atomic_load(&lu->upstream->alike);
	/* Numbers that both of us have given by now: another one. */
	if (h->id > rt->ids_before)
		h->id = 0;
	*a = (struct arrived){ .mail = { .deliver = handed_arrived,
	    .drop = handed_lost }, .handed = h };
	i = neediest(lu->upstream);
	a->pool = lu->upstream->pools[i];
	worker_post(&rt->lanes[i]->worker, &a->mail);
	return true;
}
