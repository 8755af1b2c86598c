/*
 * What was slow and what failed. See slow.h.
 *
 * An exchange is copied when it is one of the slowest of its span, or has
 * failed. With the spans change what "slow" means: an hour's worst moment does
 * not hide what is slow now.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/slow.h"

#include <stdlib.h>
#include <string.h>

#include "net/escape.h"

const char *const slow_wait_names[SLOW_N_WAITS] = {
	[SLOW_WAIT_NONE] = "none",
	[SLOW_WAIT_CONNECT] = "connect",
	[SLOW_WAIT_PLACE] = "place",
	[SLOW_WAIT_RIDE] = "ride",
	[SLOW_WAIT_PIN] = "pin",
	[SLOW_WAIT_QUOTA] = "quota",
	[SLOW_WAIT_PAUSED] = "paused",
	[SLOW_WAIT_FAILOVER] = "failover"
};

struct slow *
slow_new(void)
{
	return calloc(1, sizeof(struct slow));
}

/* ----------------------------------------------------------------- waiting */

static enum slow_wait
wait_of(const struct ask *a)
{
	const struct upstream *up = a->pool->upstream;

	if (a->awaits_pin)
		return SLOW_WAIT_PIN;
	if (a->is_parked)
		return atomic_load_explicit(&up->paused, memory_order_relaxed) ?
		    SLOW_WAIT_PAUSED : SLOW_WAIT_FAILOVER;
	if (a->awaits_quota)
		return SLOW_WAIT_QUOTA;
	if (a->opening != NULL)
		return SLOW_WAIT_CONNECT;
	return a->awaits_ride ? SLOW_WAIT_RIDE : SLOW_WAIT_PLACE;
}

void
slow_waits(struct exchange *x)
{
	const struct pool *p = x->ask.pool;

	x->waits = (uint8_t)wait_of(&x->ask);
	/* The other lanes' are as long, about: to ask them would cost each that
	   waits. */
	x->behind = atomic_load_explicit(&p->waiting, memory_order_relaxed) *
	    (unsigned)p->upstream->n_pools;
	x->open_then = atomic_load_explicit(&p->upstream->open,
	    memory_order_relaxed);
}

/* ----------------------------------------------------------------- copying */

static void
copy_text(char *out, size_t size, const char *text, size_t len)
{
	if (len >= size) {
		len = size - 1;
		/* No character is cut in two (RFC 3629 3). */
		while (len > 0 && (text[len] & 0xc0) == 0x80)
			len--;
	}
	if (len > 0)
		memcpy(out, text, len);
	out[len] = '\0';
}

static void
copy_name(char out[SLOW_NAME], const char *name)
{
	copy_text(out, SLOW_NAME, name, strlen(name));
}

void
slow_request(const char *request, size_t len, char *out)
{
	const char *query = memchr(request, '?', len);
	const char *scheme = memmem(request, len, "://", 3);
	const char *end = request + len, *at;
	size_t n = 0;

	if (query != NULL)
		end = query;
	if (scheme != NULL && scheme < end) {
		const char *path;

		scheme += 3;
		path = memchr(scheme, '/', (size_t)(end - scheme));
		at = memrchr(scheme, '@', (size_t)((path != NULL ? path : end) -
		    scheme));
		n = (size_t)(scheme - request);
		if (at != NULL && n < SLOW_REQUEST) {
			memcpy(out, request, n);
			request = at + 1;
		} else
			n = 0;
	}
	copy_text(out + n, SLOW_REQUEST - n, request, (size_t)(end - request));
	if (query != NULL && strlen(out) < SLOW_REQUEST - 4)
		strcat(out, "?...");
}

static void
copy_words(struct slow_entry *e, const struct exchange *x)
{
	struct access_words words = { 0 };
	bool is_line = false;

	if (x->s->front->words != NULL)
		x->s->front->words(x, &words);
	if (words.request == NULL && x->s->front->asks != NULL)
		words.request = x->s->front->asks(x, &words.request_len,
		    &is_line);
	if (words.request != NULL)
		slow_request(words.request, words.request_len, e->request);
	copy_text(e->id, sizeof(e->id), words.id, words.id_len);
	copy_text(e->trace, sizeof(e->trace), words.trace, words.trace_len);
	copy_text(e->user, sizeof(e->user), words.user, words.user_len);
	copy_text(e->database, sizeof(e->database), words.database,
	    words.database_len);
	/* It comes from a server, and goes to a terminal. */
	if (x->said != NULL)
		copy_text(e->said, sizeof(e->said), x->said, strlen(x->said));
	escape_tame(e->said);
}

/* Of what is left of the whole. */
static int64_t
part(int64_t *left, int64_t ns)
{
	if (ns > *left)
		ns = *left;
	if (ns < 0)
		ns = 0;
	*left -= ns;
	return ns;
}

/* Since the upstream was asked. */
static void
copy_answer(struct slow_entry *e, const struct exchange *x, int64_t now_ns,
    int64_t *left)
{
	int64_t first = x->first_ns != 0 ? x->first_ns : now_ns - x->sent_ns;
	int64_t full = x->full_ns, idle = x->idle_ns, upload = 0;

	if (x->full_since_ns != 0)
		full += now_ns - x->full_since_ns;
	if (x->idle_since_ns != 0)
		idle += now_ns - x->idle_since_ns;
	if (x->given_ns > x->sent_ns)
		upload = x->given_ns - x->sent_ns;
	else if (x->uploads && x->given_ns == 0)
		upload = first;
	if (upload > first)
		upload = first;
	e->came = x->first_ns != 0;
	e->upload_ns = part(left, upload);
	e->first_ns = part(left, first - upload);
	e->client_ns = part(left, full);
	e->idle_ns = part(left, idle);
	/* An earlier try has cost time as well, of which nothing is known. */
	if (e->came)
		e->transfer_ns = part(left, now_ns - x->sent_ns - first - full -
		    idle);
}

static void
copy_times(struct slow_entry *e, const struct exchange *x, int64_t now_ns)
{
	int64_t connect = !x->reused && x->connect_ns < x->queue_ns ?
	    x->connect_ns : !x->reused ? x->queue_ns : 0;
	int64_t tls = x->tls_ns < connect ? x->tls_ns : connect;
	int64_t left = e->total_ns;

	/* An answer that nobody asked anybody for took its time arriving. */
	e->arrive_ns = part(&left, (x->routed_ns != 0 ? x->routed_ns : now_ns) -
	    x->begun_ns);
	e->pause_ns = part(&left, x->paused_ns);
	e->tls_ns = part(&left, tls);
	e->connect_ns = part(&left, connect - tls);
	e->queue_ns = part(&left, x->queue_ns - connect);
	if (x->sent_ns != 0)
		copy_answer(e, x, now_ns, &left);
}

static void
copy_pool(struct slow_pool *to, const struct exchange *x)
{
	const struct pool *own = x->ask.pool;
	const struct upstream *up = own->upstream;
	size_t i;

	to->max = atomic_load(&up->max);
	to->most = atomic_load(&up->most);
	to->open = atomic_load(&up->open);
	for (i = 0; i < up->n_pools; i++) {
		const struct pool *p = up->pools[i];

		to->idle += atomic_load(&p->idle);
		to->leased += atomic_load(&p->leased);
		to->waiting += atomic_load(&p->waiting);
		to->pinned += atomic_load(&p->pinned);
	}
	to->max_pinned = atomic_load(&up->pins_most);
	to->min_idle = x->upstream->pool.min_idle;
	to->max_waiting = x->upstream->pool.max_waiting;
	for (i = 0; own->roster != NULL && i < own->roster->n; i++) {
		unsigned bars = atomic_load(&own->roster->v[i]->bars);

		to->endpoints++;
		to->usable += bars == 0;
		to->bars |= bars;
	}
}

static bool
is_lasting(const struct exchange *x)
{
	return x->tunnels || x->ask.lasts || x->family == FAMILY_BYTES;
}

/* What of it could have been quicker. */
static int64_t
took_ns(const struct exchange *x, int64_t total_ns)
{
	return is_lasting(x) ? x->paused_ns + x->queue_ns : total_ns;
}

static const struct slow_pool *
pool_then(struct slow *slow, const struct exchange *x, int64_t now_ns)
{
	if (slow->pool_of != x->upstream ||
	    now_ns - slow->pool_ns >= NS_PER_MS) {
		memset(&slow->pool, 0, sizeof(slow->pool));
		copy_pool(&slow->pool, x);
		slow->pool_of = x->upstream;
		slow->pool_ns = now_ns;
	}
	return &slow->pool;
}

static void
fill(struct slow *slow, struct slow_entry *e, const struct exchange *x,
    int64_t now_ns)
{
	memset(e, 0, sizeof(*e));
	e->number = ++slow->kept;
	e->at_ns = now_ns;
	e->total_ns = now_ns - x->begun_ns;
	e->why = x->why;
	e->outcome = x->outcome;
	e->waited_for = x->waits;
	e->status = x->status;
	e->reused = x->reused;
	e->hit = x->hit;
	e->lasts = is_lasting(x);
	e->retries = x->retries;
	e->behind = x->behind;
	e->open_then = x->open_then;
	e->client = x->s->client;
	copy_times(e, x, now_ns);
	copy_name(e->listener, x->policy->name);
	if (x->upstream != NULL)
		copy_name(e->upstream, x->upstream->name);
	if (x->upstream != NULL && x->ask.pool != NULL)
		e->pool = *pool_then(slow, x, now_ns);
	if (x->endpoint != NULL) {
		copy_name(e->endpoint, x->endpoint->name);
		copy_name(e->last_error,
		    atomic_load(&x->endpoint->last_error));
	}
	copy_words(e, x);
}

/* ----------------------------------------------------------------- keeping */

static void
turn(struct slow *slow, int64_t now_ns)
{
	/* After two spans without anything the older one is of no interest. */
	if (now_ns - slow->turn_ns >= SLOW_SPAN_S * NS_PER_S)
		slow->n[slow->span] = 0;
	slow->span = !slow->span;
	slow->n[slow->span] = 0;
	slow->floor_ns = 0;
	slow->turn_ns = now_ns + SLOW_SPAN_S * NS_PER_S;
}

/* Where the quickest of the present span is: to be overwritten. */
static unsigned
quickest(const struct slow *slow)
{
	unsigned i, at = 0;

	for (i = 1; i < SLOW_SLOWEST; i++)
		if (slow->took_ns[i] < slow->took_ns[at])
			at = i;
	return at;
}

static struct slow_entry *
place_among_slowest(struct slow *slow, int64_t took)
{
	unsigned *n = &slow->n[slow->span];
	unsigned at = *n < SLOW_SLOWEST ? (*n)++ : quickest(slow);

	slow->took_ns[at] = took;
	if (*n == SLOW_SLOWEST)
		slow->floor_ns = slow->took_ns[quickest(slow)];
	return &slow->slowest[slow->span][at];
}

/* Is it the client's doing, and nothing of it to be mended here? */
static bool
is_clients(enum fail why)
{
	return fail_is_clients(why) && why != FAIL_NO_ROUTE &&
	    why != FAIL_LIMITED;
}

/* Did it fail, or its server say that it did? */
static bool
is_failed(enum fail why, enum outcome outcome, const char *said)
{
	return why != FAIL_NONE || outcome == OUTCOME_5XX ||
	    (said != NULL && *said != '\0');
}

void
slow_keep(struct slow *slow, const struct exchange *x, int64_t now_ns)
{
	int64_t took = took_ns(x, now_ns - x->begun_ns);

	if (now_ns >= slow->turn_ns)
		turn(slow, now_ns);
	if (is_clients(x->why))
		fill(slow, &slow->clients[slow->n_clients++ % SLOW_CLIENTS], x,
		    now_ns);
	else if (is_failed(x->why, x->outcome, x->said))
		fill(slow, &slow->failed[slow->n_failed++ % SLOW_FAILED], x,
		    now_ns);
	else if (took > slow->floor_ns)
		fill(slow, place_among_slowest(slow, took), x, now_ns);
}

/* As took_ns() was when it was kept. */
static int64_t
entry_took_ns(const struct slow_entry *e)
{
	return e->lasts ? e->pause_ns + e->queue_ns + e->connect_ns +
	    e->tls_ns : e->total_ns;
}

/* Where one may be put that was as slow; NULL: all there were slower. */
static struct slow_entry *
place_in_older(struct slow *slow, int64_t took)
{
	unsigned older = !slow->span, i;
	struct slow_entry *v = slow->slowest[older], *least = v;

	if (slow->n[older] < SLOW_SLOWEST)
		return &v[slow->n[older]++];
	for (i = 1; i < SLOW_SLOWEST; i++)
		if (entry_took_ns(&v[i]) < entry_took_ns(least))
			least = &v[i];
	return entry_took_ns(least) < took ? least : NULL;
}

/* NULL: it is of no interest. What was kept by spans that began at other times
   may be two of them old. */
static struct slow_entry *
place_of_past(struct slow *slow, const struct slow_entry *e)
{
	int64_t took = entry_took_ns(e);
	int64_t span_ns = SLOW_SPAN_S * NS_PER_S;

	if (e->at_ns >= slow->turn_ns - span_ns)
		return took > slow->floor_ns ?
		    place_among_slowest(slow, took) : NULL;
	if (e->at_ns >= slow->turn_ns - 3 * span_ns)
		return place_in_older(slow, took);
	return NULL;
}

void
slow_add(struct slow *slow, const struct slow_entry *e, int64_t now_ns)
{
	struct slow_entry *to;

	if (now_ns >= slow->turn_ns)
		turn(slow, now_ns);
	if (is_clients(e->why))
		to = &slow->clients[slow->n_clients++ % SLOW_CLIENTS];
	else if (is_failed(e->why, e->outcome, e->said))
		to = &slow->failed[slow->n_failed++ % SLOW_FAILED];
	else
		to = place_of_past(slow, e);
	if (to == NULL)
		return;
	*to = *e;
	to->number = ++slow->kept;
}

/* ----------------------------------------------------------------- reading */

static unsigned
copy(struct slow_entry *out, const struct slow_entry *from, unsigned n,
    unsigned most)
{
	if (n > most)
		n = most;
	memcpy(out, from, n * sizeof(*out));
	return n;
}

unsigned
slow_copy(const struct slow *slow, int64_t now_ns, struct slow_entry *out)
{
	int64_t late_ns = now_ns - slow->turn_ns;
	unsigned n = 0, older = !slow->span;

	if (late_ns < SLOW_SPAN_S * NS_PER_S)
		n += copy(out + n, slow->slowest[slow->span],
		    slow->n[slow->span], SLOW_SLOWEST);
	if (late_ns < 0)
		n += copy(out + n, slow->slowest[older], slow->n[older],
		    SLOW_SLOWEST);
	n += copy(out + n, slow->failed, slow->n_failed, SLOW_FAILED);
	n += copy(out + n, slow->clients, slow->n_clients, SLOW_CLIENTS);
	return n;
}
