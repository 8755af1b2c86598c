/*
 * A minute of snapshots. See history.h.
 *
 * Only the fine buckets are kept, in 32 bits: differences of numbers that wrap
 * are right as long as no minute sees 2^32 of anything.
 *
 * SPDX-License-Identifier: MIT
 */
/* Without memory a name is not kept; uthash would end the process. */
#define HASH_NONFATAL_OOM 1

#include "proxy/history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct series {
	UT_hash_handle hh;
	uint64_t count;                 /* at the latest snapshot */
	unsigned taken;                 /* snapshots so far */
	bool     seen;                  /* in the view that is being recorded */
	uint32_t fine[HISTORY_STEPS][HIST_FINE];
	char     key[];                 /* kind:name */
};

struct history {
	struct series *series;
};

struct history *
history_new(void)
{
	return calloc(1, sizeof(struct history));
}

void
history_free(struct history *h)
{
	struct series *s, *next;

	if (h == NULL)
		return;
	s = h->series;
	HASH_CLEAR(hh, h->series);
	for (; s != NULL; s = next) {
		next = s->hh.next;
		free(s);
	}
	free(h);
}

static struct series *
series_find(const struct history *h, const char *kind, const char *name)
{
	struct series *s = NULL;
	char key[512];
	int len = snprintf(key, sizeof(key), "%s:%s", kind, name);

	if (h != NULL && len > 0 && (size_t)len < sizeof(key))
		HASH_FIND(hh, h->series, key, (unsigned)len, s);
	return s;
}

static struct series *
series_new(struct history *h, const char *kind, const char *name)
{
	size_t size = strlen(kind) + strlen(name) + 2;
	struct series *s = calloc(1, sizeof(*s) + size);

	if (s == NULL)
		return NULL;
	snprintf(s->key, size, "%s:%s", kind, name);
	HASH_ADD_KEYPTR(hh, h->series, s->key, (unsigned)(size - 1), s);
	if (s->hh.tbl != NULL)
		return s;
	free(s);
	return NULL;
}

static void
series_record(struct history *h, const char *kind, const char *name,
    const struct view_hist *hist)
{
	struct series *s = series_find(h, kind, name);
	uint32_t *slot;
	unsigned i;

	if (s == NULL)
		s = series_new(h, kind, name);
	if (s == NULL)
		return;
	s->seen = true;
	/* The name came back with counters of its own. */
	if (hist->all.count < s->count)
		s->taken = 0;
	s->count = hist->all.count;
	slot = s->fine[s->taken++ % HISTORY_STEPS];
	for (i = 0; i < HIST_FINE; i++)
		slot[i] = (uint32_t)hist->all.fine[i];
}

static void
forget_unseen(struct history *h)
{
	struct series *s = NULL, *next;

	HASH_ITER(hh, h->series, s, next) {
		if (!s->seen) {
			HASH_DEL(h->series, s);
			free(s);
		} else
			s->seen = false;
	}
}

void
history_record(struct history *h, const struct view *v)
{
	size_t i;

	series_record(h, "lag", "", &v->lag);
	for (i = 0; i < v->n_listeners; i++)
		series_record(h, "latency", v->listeners[i].name,
		    &v->listeners[i].latency);
	for (i = 0; i < v->n_upstreams; i++) {
		const struct view_upstream *up = &v->upstreams[i];

		series_record(h, "queue", up->name, &up->queue);
		series_record(h, "connect", up->name, &up->connect);
		series_record(h, "first_byte", up->name, &up->first_byte);
	}
	forget_unseen(h);
}

static uint64_t
at_most(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void
history_times(const struct history *h, const char *kind, const char *name,
    struct view_hist *hist)
{
	struct series *s = series_find(h, kind, name);
	struct view_times *t = &hist->window;
	struct hist_sum window = hist->all;
	unsigned i;

	if (s != NULL && s->taken >= HISTORY_STEPS &&
	    hist->all.count >= s->count) {
		const uint32_t *oldest = s->fine[s->taken % HISTORY_STEPS];

		for (i = 0; i < HIST_FINE; i++)
			window.fine[i] = (uint32_t)(window.fine[i] - oldest[i]);
	}
	/* The end of the last bucket, unless the largest value ever is in it:
	   that one is known exactly. */
	t->max = at_most(hist_quantile(&window, 1), window.max_us);
	t->p50 = at_most(hist_quantile(&window, .50), t->max);
	t->p90 = at_most(hist_quantile(&window, .90), t->max);
	t->p99 = at_most(hist_quantile(&window, .99), t->max);
	t->p999 = at_most(hist_quantile(&window, .999), t->max);
}

/* ----------------------------------------------------------- to another weir */

/* What came to a bucket in a step; in step 0, ever before. */
struct grown {
	uint16_t step, bucket;
	uint32_t n;
};

_Static_assert(sizeof(struct grown) == 8, "it is what is sent");

enum { GROWN_MOST = HISTORY_STEPS * HIST_FINE };

static size_t
spell(const struct series *s, unsigned steps, struct grown *out)
{
	static const uint32_t none[HIST_FINE];
	const uint32_t *before = none, *now;
	unsigned step, i;
	size_t n = 0;

	for (step = 0; step < steps; step++, before = now) {
		now = s->fine[(s->taken - steps + step) % HISTORY_STEPS];
		for (i = 0; i < HIST_FINE; i++)
			if (now[i] != before[i])
				out[n++] = (struct grown){ (uint16_t)step,
				    (uint16_t)i, now[i] - before[i] };
	}
	return n;
}

void
history_tell(const struct history *h, void (*say)(void *arg, json_t *j,
    const void *raw, size_t raw_len), void *arg)
{
	struct grown *room = malloc(GROWN_MOST * sizeof(*room));
	const struct series *s;
	unsigned steps;

	for (s = h->series; room != NULL && s != NULL; s = s->hh.next) {
		steps = s->taken < HISTORY_STEPS ? s->taken : HISTORY_STEPS;
		say(arg, json_pack("{s:s,s:s,s:i,s:i,s:i,s:I}", "is", "window",
		    "key", s->key, "step_s", HISTORY_STEP_S, "steps",
		    (int)steps, "buckets", HIST_FINE, "count",
		    (json_int_t)s->count), room,
		    spell(s, steps, room) * sizeof(*room));
	}
	free(room);
}

static bool
is_number(const json_t *j, const char *name, json_int_t n)
{
	return json_integer_value(json_object_get(j, name)) == n;
}

/* False: they are not where they could be. */
static bool
take_grown(struct series *s, unsigned steps, const unsigned char *raw,
    size_t n)
{
	struct grown g;
	unsigned step, b;
	size_t i;

	for (i = 0; i < n; i++) {
		memcpy(&g, raw + i * sizeof(g), sizeof(g));
		if (g.step >= steps || g.bucket >= HIST_FINE)
			return false;
		s->fine[g.step][g.bucket] += g.n;
	}
	for (step = 1; step < steps; step++)
		for (b = 0; b < HIST_FINE; b++)
			s->fine[step][b] += s->fine[step - 1][b];
	return true;
}

void
history_take(struct history *h, const json_t *j, const void *raw,
    size_t raw_len)
{
	const char *key = json_string_value(json_object_get(j, "key"));
	const char *colon = key != NULL ? strchr(key, ':') : NULL;
	json_int_t steps = json_integer_value(json_object_get(j, "steps"));
	json_int_t count = json_integer_value(json_object_get(j, "count"));
	char kind[32];
	struct series *s;

	if (colon == NULL || (size_t)(colon - key) >= sizeof(kind) ||
	    !is_number(j, "step_s", HISTORY_STEP_S) ||
	    !is_number(j, "buckets", HIST_FINE) || steps <= 0 ||
	    steps > HISTORY_STEPS || count < 0 ||
	    raw_len % sizeof(struct grown) != 0 ||
	    raw_len > GROWN_MOST * sizeof(struct grown))
		return;
	memcpy(kind, key, (size_t)(colon - key));
	kind[colon - key] = '\0';
	if (series_find(h, kind, colon + 1) != NULL)
		return;
	s = series_new(h, kind, colon + 1);
	if (s == NULL)
		return;
	s->count = (uint64_t)count;
	if (take_grown(s, (unsigned)steps, raw, raw_len /
	    sizeof(struct grown)))
		s->taken = (unsigned)steps;
}
