/*
 * Counters across an upgrade. See upgrade_counts.h.
 *
 * SPDX-License-Identifier: MIT
 */
/* Without memory it is not told; uthash would end the process. */
#define HASH_NONFATAL_OOM 1

#include "proxy/upgrade/upgrade_counts.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "net/patient.h"
#include "proxy/live.h"

enum { NAME_MOST = 128, HISTS_MOST = 3 };

/* A number, or a row of them with a word for each, in some struct. */
struct row {
	const char *name;
	size_t offset;
	unsigned n;
	const char *(*word)(const void *owner, unsigned i);     /* NULL: n is
								   1 */
	size_t before;                  /* of a number that is no sum: where
					   the other weir's stands; 0 = is one */
};

struct hist_row {
	const char *name;
	size_t offset;
};

/* What has the same numbers. */
struct kind {
	const char *name;
	const struct row *rows;
	size_t n_rows;
	const struct hist_row *hists;
	size_t n_hists;
};

/* ---------------------------------------------------------------- the tables */

static const char *
outcome_word(const void *owner, unsigned i)
{
	(void)owner;
	return outcome_names[i];
}

static const char *
fail_word(const void *owner, unsigned i)
{
	(void)owner;
	return fail_rows[i].name;
}

static const char *
tls_word(const void *owner, unsigned i)
{
	(void)owner;
	return tls_problem_names[i];
}

static const char *
limit_word(const void *owner, unsigned i)
{
	(void)owner;
	return limit_names[i];
}

static const char *
discard_word(const void *owner, unsigned i)
{
	(void)owner;
	return discard_names[i];
}

static const char *
upstream_limit_word(const void *owner, unsigned i)
{
	(void)owner;
	return upstream_limit_names[i];
}

static const char *
nth(const char *const *names, unsigned i)
{
	unsigned k;

	for (k = 0; names != NULL && k < i && names[k] != NULL; k++)
		;
	return names != NULL ? names[k] : NULL;
}

static const char *
pin_word(const void *owner, unsigned i)
{
	return nth(((const struct upstream *)owner)->peer->pins, i);
}

static const char *
error_word(const void *owner, unsigned i)
{
	return nth(((const struct upstream *)owner)->peer->errors, i);
}

static const char *
fault_word(const void *owner, unsigned i)
{
	(void)owner;
	return endpoint_fault_names[i];
}

#define ONE(type, field) { #field, offsetof(struct type, field), 1, NULL, 0 }
#define MOST(type, field, before) \
	{ #field, offsetof(struct type, field), 1, NULL, \
	    offsetof(struct type, before) }
#define HIST(type, field) { #field, offsetof(struct type, field) }
#define MANY(type, field, most, word) \
	{ #field, offsetof(struct type, field), most, word, 0 }

static const struct row door_rows[] = {
	ONE(door, accepted), ONE(door, rejected), ONE(door, requests),
	ONE(door, received), ONE(door, sent),
	ONE(door, resumed), ONE(door, handshakes),
	MANY(door, outcomes, N_OUTCOMES, outcome_word),
	MANY(door, failures, N_FAILS, fail_word),
	MANY(door, tls_problems, N_TLS_PROBLEMS, tls_word),
	MANY(door, limited, N_LIMITS, limit_word),
	MANY(door, shadowed, N_LIMITS, limit_word)
};

static const struct hist_row door_hists[] = { HIST(door, latency) };

static const struct row pool_rows[] = {
	ONE(pool, connects), ONE(pool, closes), ONE(pool, requests),
	ONE(pool, reused), ONE(pool, retries), ONE(pool, exhausted_us),
	MOST(pool, waiting_max, waiting_before),
	ONE(pool, leaked), ONE(pool, injected),
	MANY(pool, discards, N_DISCARDS, discard_word),
	MANY(pool, pins, POOL_PINS_MOST, pin_word),
	MANY(pool, errors, POOL_ERRORS_MOST, error_word),
	MANY(pool, limited, N_UPSTREAM_LIMITS, upstream_limit_word),
	MANY(pool, delayed, N_UPSTREAM_LIMITS, upstream_limit_word),
	MANY(pool, shadowed, N_UPSTREAM_LIMITS, upstream_limit_word)
};

static const struct hist_row pool_hists[] = {
	HIST(pool, queue), HIST(pool, connect), HIST(pool, first_byte)
};

/* Atomics, written by any thread. */
static const struct row endpoint_rows[] = {
	ONE(endpoint, ejections), ONE(endpoint, health.checks),
	ONE(endpoint, health.failures),
	MANY(endpoint, faults, N_FAULTS, fault_word)
};

static const struct row program_rows[] = {
	ONE(runtime, reloads_ok), ONE(runtime, reloads_bad),
	ONE(runtime, tls_files_ok), ONE(runtime, tls_files_bad),
	ONE(runtime, watchdog.stuck_total)
};

static const struct hist_row worker_hists[] = { HIST(worker, lag) };

#define KIND(name, rows, hists) \
	{ name, rows, NELEMS(rows), hists, NELEMS(hists) }

static const struct kind listener_kind =
    KIND("listener", door_rows, door_hists);
static const struct kind upstream_kind =
    KIND("upstream", pool_rows, pool_hists);
static const struct kind endpoint_kind =
    { "endpoint", endpoint_rows, NELEMS(endpoint_rows), NULL, 0 };
static const struct kind program_kind =
    { "program", program_rows, NELEMS(program_rows), NULL, 0 };
static const struct kind lag_kind =
    { "lag", NULL, 0, worker_hists, NELEMS(worker_hists) };

static size_t
numbers_of(const struct kind *kind)
{
	size_t n = 0, i;

	for (i = 0; i < kind->n_rows; i++)
		n += kind->rows[i].n;
	return n;
}

/* "accepted", "failures.queue_timeout"; false: there is no such word. */
static bool
name_of(const struct row *row, const void *owner, unsigned i,
    char out[NAME_MOST])
{
	const char *word = row->word != NULL ? row->word(owner, i) : NULL;

	if (row->word != NULL && word == NULL)
		return false;
	snprintf(out, NAME_MOST, "%s%s%s", row->name,
	    word != NULL ? "." : "", word != NULL ? word : "");
	return true;
}

/* ------------------------------------------------------------------- telling */

/* What has been told of one. */
struct told {
	UT_hash_handle hh;
	char *who;                      /* its address, which may have become
					   another's, and what it is told by */
	struct hist_sum hists[HISTS_MOST];
	uint64_t numbers[];
};

struct counts {
	struct told *told;
};

struct counts *
counts_new(void)
{
	return calloc(1, sizeof(struct counts));
}

void
counts_free(struct counts *c)
{
	struct told *t, *next;

	if (c == NULL)
		return;
	t = c->told;
	HASH_CLEAR(hh, c->told);
	for (; t != NULL; t = next) {
		next = t->hh.next;
		free(t->who);
		free(t);
	}
	free(c);
}

static char *
who_is(const void *owner, const json_t *where)
{
	char *text = json_dumps(where, JSON_COMPACT | JSON_SORT_KEYS);
	char *who = NULL;

	if (text != NULL && asprintf(&who, "%p %s", owner, text) < 0)
		who = NULL;
	free(text);
	return who;
}

static struct told *
told_of(struct counts *c, const void *owner, const struct kind *kind,
    const json_t *where)
{
	char *who = who_is(owner, where);
	struct told *t = NULL;

	if (who == NULL)
		return NULL;
	HASH_FIND_STR(c->told, who, t);
	if (t != NULL) {
		free(who);
		return t;
	}
	t = calloc(1, sizeof(*t) +
	    numbers_of(kind) * sizeof(t->numbers[0]));
	if (t == NULL) {
		free(who);
		return NULL;
	}
	t->who = who;
	HASH_ADD_KEYPTR(hh, c->told, t->who, (unsigned)strlen(who), t);
	if (t->hh.tbl != NULL)
		return t;
	free(who);
	free(t);
	return NULL;
}

/* The sum over all parts. */
static uint64_t
number_of(const void *const *parts, size_t n_parts, size_t offset, unsigned j)
{
	uint64_t now = 0;
	size_t k;

	for (k = 0; k < n_parts; k++)
		now += count_read((const counter *)(const void *)
		    ((const char *)parts[k] + offset) + j);
	return now;
}

static json_t *
numbers_since(const struct kind *kind, struct told *t, const void *owner,
    const void *const *parts, size_t n_parts)
{
	json_t *o = json_object();
	uint64_t *before = t->numbers;
	char name[NAME_MOST];
	unsigned j;
	size_t i;

	for (i = 0; i < kind->n_rows; i++)
		for (j = 0; j < kind->rows[i].n; j++, before++) {
			const struct row *row = &kind->rows[i];
			uint64_t now = number_of(parts, n_parts, row->offset,
			    j), then = row->before == 0 ? 0 : number_of(parts,
			    n_parts, row->before, j);

			if (now < then)
				now = then;
			/* The same in name, made anew. */
			if (now < *before)
				*before = 0;
			if (now == *before || !name_of(row, owner, j, name))
				continue;
			(void)json_object_set_new(o, name,
			    json_integer((json_int_t)(now - *before)));
			*before = now;
		}
	return o;
}

/* Pairs of index and number, of those that are not 0. */
static json_t *
buckets(const uint64_t *v, size_t n)
{
	json_t *o = json_array();
	size_t i;

	for (i = 0; i < n; i++) {
		if (v[i] == 0)
			continue;
		(void)json_array_append_new(o, json_integer((json_int_t)i));
		(void)json_array_append_new(o,
		    json_integer((json_int_t)v[i]));
	}
	return o;
}

static json_t *
hists_since(const struct kind *kind, struct told *t, const void *const *parts,
    size_t n_parts)
{
	json_t *o = json_object(), *one;
	size_t i, k;

	for (i = 0; i < kind->n_hists; i++) {
		struct hist_sum now = { 0 }, more;

		for (k = 0; k < n_parts; k++)
			hist_sum_add(&now, (const struct hist *)(const void *)
			    ((const char *)parts[k] + kind->hists[i].offset));
		more = now;
		hist_sum_less(&more, &t->hists[i]);
		t->hists[i] = now;
		if (more.count == 0)
			continue;
		one = json_object();
		(void)json_object_set_new(one, "sum_us",
		    json_integer((json_int_t)more.sum_us));
		(void)json_object_set_new(one, "max_us",
		    json_integer((json_int_t)more.max_us));
		(void)json_object_set_new(one, "fine",
		    buckets(more.fine, HIST_FINE));
		(void)json_object_set_new(one, "published",
		    buckets(more.published, HIST_PUBLISHED + 1));
		(void)json_object_set_new(o, kind->hists[i].name, one);
	}
	return o;
}

struct saying {
	struct counts *counts;
	void (*say)(void *arg, json_t *j);
	void *arg;
};

/* owner is what its numbers are told by; where: beside them, taken over. */
static void
tell(const struct saying *s, const struct kind *kind, const void *owner,
    const void *const *parts, size_t n_parts, json_t *where)
{
	struct told *t = told_of(s->counts, owner, kind, where);
	json_t *numbers, *hists;

	if (t == NULL) {
		json_decref(where);
		s->say(s->arg, NULL);
		return;
	}
	numbers = numbers_since(kind, t, owner, parts, n_parts);
	hists = hists_since(kind, t, parts, n_parts);
	if (json_object_size(numbers) + json_object_size(hists) > 0)
		s->say(s->arg, json_pack("{s:s,s:s,s:o,s:o,s:o}", "is",
		    "count", "kind", kind->name, "of", where, "numbers",
		    numbers, "hists", hists));
	else {
		json_decref(numbers);
		json_decref(hists);
		json_decref(where);
	}
}

static void
tell_endpoints(const struct saying *s, const struct live_upstream *lu)
{
	const struct roster *r = lu->roster;
	size_t i;

	for (i = 0; r != NULL && i < r->n; i++) {
		const void *part = r->v[i];

		tell(s, &endpoint_kind, part, &part, 1, json_pack(
		    "{s:s,s:s,s:s}", "upstream", lu->upstream->name, "name",
		    r->v[i]->name, "resolved", r->v[i]->resolved));
	}
}

void
counts_tell(struct counts *c, struct runtime *rt,
    void (*say)(void *arg, json_t *j), void *arg)
{
	const struct saying s = { c, say, arg };
	const void *const program = rt;
	const void **lanes = calloc(rt->n_lanes + 1, sizeof(*lanes));
	struct list *l;
	size_t i;

	if (lanes == NULL) {
		say(arg, NULL);
		return;
	}
	for (l = rt->listeners.next; l != &rt->listeners; l = l->next) {
		const struct listener *one =
		    container_of(l, struct live_listener, link)->listener;

		tell(&s, &listener_kind, one,
		    (const void *const *)one->doors, one->n_doors, json_pack(
		    "{s:s,s:s}", "name", one->name, "protocol",
		    one->proto->conf.name));
	}
	for (l = rt->upstreams.next; l != &rt->upstreams; l = l->next) {
		const struct live_upstream *lu =
		    container_of(l, struct live_upstream, link);

		if (lu->conf == NULL)
			continue;
		tell(&s, &upstream_kind, lu->upstream,
		    (const void *const *)lu->upstream->pools,
		    lu->upstream->n_pools, json_pack("{s:s,s:s}", "name",
		    lu->upstream->name, "protocol", lu->conf->proto->name));
		tell_endpoints(&s, lu);
	}
	for (i = 0; i < rt->n_lanes; i++)
		lanes[i] = &rt->lanes[i]->worker;
	tell(&s, &program_kind, rt, &program, 1, json_object());
	tell(&s, &lag_kind, rt->lanes, (const void *const *)lanes, rt->n_lanes,
	    json_object());
	free(lanes);
}

/* -------------------------------------------------------------------- taking */

/* On its way to the lane whose numbers they become. */
struct count_mail {
	struct mail mail;
	const struct kind *kind;
	const void *owner;
	void *part;
	json_t *j;                      /* nobody else has it */
};

static uint64_t
number_at(const json_t *j)
{
	return json_is_integer(j) && json_integer_value(j) > 0 ?
	    (uint64_t)json_integer_value(j) : 0;
}

static void
add_numbers(const struct kind *kind, const void *owner, void *part,
    const json_t *numbers, bool is_shared)
{
	char name[NAME_MOST];
	size_t i;
	unsigned j;

	for (i = 0; i < kind->n_rows; i++)
		for (j = 0; j < kind->rows[i].n; j++) {
			const struct row *row = &kind->rows[i];
			counter *c = (counter *)(void *)((char *)part +
			    (row->before != 0 ? row->before : row->offset)) + j;
			uint64_t n = name_of(row, owner, j, name) ?
			    number_at(json_object_get(numbers, name)) : 0;

			if (n == 0)
				continue;
			if (is_shared)
				atomic_fetch_add(c, n);
			else
				count_add(c, n);
		}
}

static void
add_buckets(counter *v, size_t n, const json_t *pairs)
{
	size_t i, most = json_array_size(pairs);

	for (i = 0; i + 1 < most; i += 2) {
		const json_t *index = json_array_get(pairs, i);

		if (json_is_integer(index) && json_integer_value(index) >= 0 &&
		    json_integer_value(index) < (json_int_t)n)
			count_add(&v[json_integer_value(index)],
			    number_at(json_array_get(pairs, i + 1)));
	}
}

static void
add_hist(struct hist *h, const json_t *j)
{
	uint64_t max_us = number_at(json_object_get(j, "max_us"));
	uint64_t before = 0, after = 0;
	unsigned i;

	for (i = 0; i <= HIST_PUBLISHED; i++)
		before += count_read(&h->published[i]);
	add_buckets(h->fine, HIST_FINE, json_object_get(j, "fine"));
	add_buckets(h->published, HIST_PUBLISHED + 1,
	    json_object_get(j, "published"));
	for (i = 0; i <= HIST_PUBLISHED; i++)
		after += count_read(&h->published[i]);
	count_add(&h->count, after - before);
	count_add(&h->sum_us, number_at(json_object_get(j, "sum_us")));
	if (max_us > count_read(&h->max_us))
		atomic_store_explicit(&h->max_us, max_us,
		    memory_order_relaxed);
}

static void
count_dropped(struct mail *m)
{
	struct count_mail *cm = container_of(m, struct count_mail, mail);

	json_decref(cm->j);
	free(cm);
}

static void
count_arrived(struct worker *w, struct mail *m)
{
	struct count_mail *cm = container_of(m, struct count_mail, mail);
	const struct kind *kind = cm->kind;
	const json_t *hists = json_object_get(cm->j, "hists");
	size_t i;

	(void)w;
	add_numbers(kind, cm->owner, cm->part,
	    json_object_get(cm->j, "numbers"), false);
	for (i = 0; i < kind->n_hists; i++)
		add_hist((struct hist *)(void *)((char *)cm->part +
		    kind->hists[i].offset), json_object_get(hists,
		    kind->hists[i].name));
	count_dropped(m);
}

static void
post(struct runtime *rt, const struct kind *kind, const void *owner,
    void *part, const json_t *j)
{
	struct count_mail *cm = patient_zeroed(sizeof(*cm));

	if (cm == NULL)
		return;
	cm->mail.deliver = count_arrived;
	cm->mail.drop = count_dropped;
	cm->kind = kind;
	cm->owner = owner;
	cm->part = part;
	cm->j = json_deep_copy(j);
	worker_post(&rt->lanes[0]->worker, &cm->mail);
}

static bool
is_text(const json_t *of, const char *member, const char *text)
{
	const char *said = json_string_value(json_object_get(of, member));

	return said != NULL && strcmp(said, text) == 0;
}

static void
take_listener(struct runtime *rt, const json_t *j, const json_t *of)
{
	struct list *l;

	for (l = rt->listeners.next; l != &rt->listeners; l = l->next) {
		const struct live_listener *ll =
		    container_of(l, struct live_listener, link);

		if (ll->conf != NULL &&
		    is_text(of, "name", ll->listener->name) &&
		    is_text(of, "protocol", ll->listener->proto->conf.name))
			post(rt, &listener_kind, ll->listener,
			    ll->listener->doors[0], j);
	}
}

static void
take_endpoint(const struct live_upstream *lu, const json_t *j,
    const json_t *of)
{
	const struct roster *r = lu->roster;
	size_t i;

	for (i = 0; r != NULL && i < r->n; i++)
		if (is_text(of, "name", r->v[i]->name) &&
		    is_text(of, "resolved", r->v[i]->resolved))
			add_numbers(&endpoint_kind, r->v[i], r->v[i],
			    json_object_get(j, "numbers"), true);
}

static void
take_upstream(struct runtime *rt, const json_t *j, const json_t *of,
    bool of_endpoint)
{
	const char *name = json_string_value(json_object_get(of,
	    of_endpoint ? "upstream" : "name"));
	const struct live_upstream *lu = NULL;

	while (name != NULL &&
	    (lu = live_upstream_named(rt, name, lu)) != NULL) {
		if (lu->conf == NULL)
			continue;
		if (of_endpoint)
			take_endpoint(lu, j, of);
		else if (is_text(of, "protocol", lu->conf->proto->name))
			post(rt, &upstream_kind, lu->upstream,
			    lu->upstream->pools[0], j);
	}
}

void
counts_take(struct runtime *rt, const struct message *m)
{
	const char *kind = message_text(m, "kind");
	const json_t *of = json_object_get(m->j, "of");

	if (strcmp(kind, listener_kind.name) == 0)
		take_listener(rt, m->j, of);
	else if (strcmp(kind, upstream_kind.name) == 0)
		take_upstream(rt, m->j, of, false);
	else if (strcmp(kind, endpoint_kind.name) == 0)
		take_upstream(rt, m->j, of, true);
	else if (strcmp(kind, program_kind.name) == 0)
		add_numbers(&program_kind, rt, rt,
		    json_object_get(m->j, "numbers"), false);
	else if (strcmp(kind, lag_kind.name) == 0)
		post(rt, &lag_kind, rt, &rt->lanes[0]->worker, m->j);
}
