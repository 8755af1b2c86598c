/*
 * Checks and ejections. See checker.h.
 *
 * Each endpoint of the roster has a watch; while it is being asked, the watch
 * has a check. The next check is timed from the beginning of the last one.
 *
 * SPDX-License-Identifier: MIT
 */
#include "health/checker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "health/check.h"
#include "health/verdict.h"
#include "net/escape.h"
#include "net/log.h"

struct checker {
	struct worker *main;
	char *name;                     /* the upstream's */
	void (*changed)(void *arg);
	void *arg;
	const struct conf_upstream *conf;       /* NULL = nothing to do */
	const struct probe_ops *probe;
	struct list watches;
	uint64_t dice;
};

/* One endpoint as its checker knows it. Owned by the checker while the endpoint
   is in the roster. */
struct watch {
	struct list link;               /* checker->watches */
	struct checker *checker;
	struct endpoint *endpoint;      /* one reference */
	bool stays;                     /* it is in the new roster */
	bool forced;                    /* up, by hand */
	bool by_hand_down;              /* as it was last looked at */
	struct verdict verdict;
	struct ejection ejection;
	struct deadline next;           /* when the next check is due */
	int64_t begun_ns;               /* the last one; 0 = there was none */
	struct deadline back;           /* the end of its ejection */
	bool to_pass;                   /* its ejection is over but for a check
					   that passes */
	struct check *check;            /* under way; NULL = none */
};

/* -------------------------------------------------------------------- words */

enum { WHO_MAX = 400 };

static const char *
who(const struct watch *w, char out[WHO_MAX])
{
	const struct endpoint *e = w->endpoint;

	if (strcmp(e->name, e->resolved) == 0)
		snprintf(out, WHO_MAX, "upstream %s endpoint %s",
		    w->checker->name, e->name);
	else
		snprintf(out, WHO_MAX, "upstream %s endpoint %s (%s)",
		    w->checker->name, e->name, e->resolved);
	return out;
}

/* --------------------------------------------------------------------- bars */

static bool
is_usable(const struct watch *w)
{
	return atomic_load(&w->endpoint->bars) == 0;
}

/*
 * Whoever has the keys of one that is out must not be sent away for it to come
 * back as broken as it was, again and again: it has to pass a check first. One
 * whose place others take may be tried with the traffic itself.
 */
static bool
comes_back_by_check(const struct checker *c)
{
	return c->conf != NULL && c->conf->balance == CONF_KEY_HASH &&
	    c->conf->health.on;
}

/* Back in before its time, or never out. True when that made it usable. */
static bool
readmit(struct watch *w)
{
	struct worker *main = w->checker->main;

	deadline_clear(&w->back);
	w->to_pass = false;
	if (w->ejection.out)
		ejection_end(&w->ejection, main->now_ns);
	atomic_store(&w->endpoint->failing, 0);
	return endpoint_bar(w->endpoint, BAR_EJECTED, false, main->now_ns);
}

/* One that fails at times is better than none: when nothing else is usable any
   more, nobody stays ejected. True when that made one usable. */
static bool
readmit_if_none(struct checker *c)
{
	bool any = false;
	struct list *l;
	char name[WHO_MAX];

	/* Its keys are no other endpoint's, or have moved for a while. */
	if (comes_back_by_check(c))
		return false;
	for (l = c->watches.next; l != &c->watches; l = l->next)
		if (is_usable(container_of(l, struct watch, link)))
			return false;
	for (l = c->watches.next; l != &c->watches; l = l->next) {
		struct watch *w = container_of(l, struct watch, link);

		if (!w->ejection.out || !readmit(w))
			continue;
		any = true;
		log_info(who(w, name), "is no longer ejected: no other "
		    "endpoint is usable");
	}
	return any;
}

static void
told_result(struct watch *w, bool good, int64_t n)
{
	const char *last = w->endpoint->health.last;
	char name[WHO_MAX];

	if (!good)
		log_warn(who(w, name), "down: %s (%lld of %lld checks failed)"
		    "%s", last, (long long)n, (long long)n,
		    w->forced ? ", kept up by hand" : "");
	else if (atomic_load(&w->endpoint->bars) & BAR_CHECK)
		log_info(who(w, name), "up (%lld of %lld checks passed)",
		    (long long)n, (long long)n);
}

/* A check of one whose ejection is over has passed. */
static bool
passed(struct watch *w)
{
	char name[WHO_MAX];

	if (!w->to_pass)
		return false;
	log_info(who(w, name), "is no longer ejected: it has passed a check");
	return readmit(w);
}

static void
checked(void *arg, enum check_result result, const char *why)
{
	struct watch *w = arg;
	struct checker *c = w->checker;
	const struct conf_health *conf = &c->conf->health;
	struct endpoint *e = w->endpoint;
	bool good = result == CHECK_GOOD, first = !w->verdict.known;
	bool back;

	w->check = NULL;
	if (result == CHECK_NOTHING) {
		log_debug(c->name, "endpoint %s is not checked: %s", e->name,
		    why);
		return;
	}
	e->health.checks++;
	e->health.failures += result == CHECK_BAD;
	e->health.latency_us = (c->main->now_ns - w->begun_ns) / 1000;
	snprintf(e->health.last, sizeof(e->health.last), "%s",
	    good ? "ok" : why);
	escape_tame(e->health.last);
	/* What it was it is still: to close the connections that it does serve
	   would make room for others', not for ours. */
	if (result == CHECK_FULL)
		return;
	back = good && passed(w);
	/* It may have been asked before it said that it is not the one. */
	if (good && w->begun_ns > atomic_load(&e->demoted_ns) &&
	    endpoint_bar(e, BAR_DEMOTED, false, c->main->now_ns))
		back = true;
	if (verdict_take(&w->verdict, good, conf->rise, conf->fall)) {
		told_result(w, good, first ? 1 : good ? conf->rise :
		    conf->fall);
		if (!w->forced && endpoint_bar(e, BAR_CHECK, !good,
		    c->main->now_ns)) {
			(void)readmit_if_none(c);
			back = true;
		}
	}
	if (back)
		c->changed(c->arg);
}

/* ------------------------------------------------------------------- timing */

/* 90 to 110 % of the interval, by xorshift64: checks of many endpoints and of
   many sidecars must not keep step. */
static int64_t
jittered_ns(struct checker *c)
{
	int64_t ns = c->conf->health.interval_ms * NS_PER_MS;

	c->dice ^= c->dice << 13;
	c->dice ^= c->dice >> 7;
	c->dice ^= c->dice << 17;
	return ns - ns / 10 + (int64_t)(c->dice % (uint64_t)(ns / 5 + 1));
}

/* The next one is due an interval after this one began. One that takes longer
   than that is not doubled: the next takes its place later. */
static void
on_due(struct deadline *d)
{
	struct watch *w = container_of(d, struct watch, next);
	struct checker *c = w->checker;

	deadline_set_ns(c->main, &w->next, jittered_ns(c));
	if (w->check != NULL)
		return;
	w->begun_ns = c->main->now_ns;
	w->check = check_begin(c->main, c->conf, c->probe, w->endpoint,
	    checked, w);
}

static bool
is_checked(const struct watch *w)
{
	const struct checker *c = w->checker;

	return c->conf != NULL && c->conf->health.on && !w->by_hand_down;
}

/* Begin to check. An endpoint that was checked a moment ago, before the file
   said otherwise for a while, is not checked more often for that. */
static void
watch_start(struct watch *w, int64_t in_ns)
{
	struct checker *c = w->checker;
	int64_t due_ns = w->begun_ns - c->main->now_ns +
	    c->conf->health.interval_ms * NS_PER_MS;

	if (w->begun_ns == 0 || due_ns <= 0)
		due_ns = in_ns;
	deadline_set_ns(c->main, &w->next, due_ns);
}

static void
watch_stop(struct watch *w)
{
	deadline_clear(&w->next);
	if (w->check != NULL)
		check_abandon(w->check);
	w->check = NULL;
	w->verdict = (struct verdict){ 0 };
}

/* ----------------------------------------------------------------- ejection */

struct suspicion {
	struct mail mail;
	struct checker *checker;        /* outlives all mail, see live.c */
	struct endpoint *endpoint;      /* one reference */
};

static void
on_back(struct deadline *d)
{
	struct watch *w = container_of(d, struct watch, back);
	char name[WHO_MAX];

	if (comes_back_by_check(w->checker)) {
		w->to_pass = true;
		/* Now, unless one is under way or somebody's hand is on it. */
		if (is_checked(w))
			deadline_set(w->checker->main, &w->next, 0);
		return;
	}
	log_info(who(w, name), "is no longer ejected");
	if (readmit(w))
		w->checker->changed(w->checker->arg);
}

static bool
may_eject(const struct watch *w)
{
	const struct checker *c = w->checker;
	size_t n = 0, ejected = 0, usable = 1;
	const struct list *l;

	for (l = c->watches.next; l != &c->watches; l = l->next) {
		const struct watch *o = container_of(l, struct watch, link);
		const struct endpoint *e = o->endpoint;

		n++;
		ejected += (atomic_load(&e->bars) & BAR_EJECTED) != 0;
		/* One that asked for a pause cannot stand in for w now. */
		usable += o != w && is_usable(o) &&
		    atomic_load(&e->hold_until_ns) <= c->main->now_ns;
	}
	return ejection_allowed(n, ejected, usable,
	    c->conf->outlier.max_ejected);
}

static void
eject(struct watch *w)
{
	struct checker *c = w->checker;
	struct endpoint *e = w->endpoint;
	char name[WHO_MAX];
	int64_t ms;

	/* What was under way when it went out fails too. */
	atomic_store(&e->failing, 0);
	if (w->forced || !is_usable(w))
		return;
	if (!may_eject(w)) {
		log_debug(who(w, name), "fails and stays: no more endpoints "
		    "may be ejected");
		return;
	}
	ms = ejection_begin(&w->ejection, c->conf->outlier.eject_for_ms,
	    c->main->now_ns);
	atomic_fetch_add(&e->ejections, 1);
	deadline_set_ns(c->main, &w->back, ms * NS_PER_MS);
	log_warn(who(w, name), "ejected for %lld ms: %lld failures in a row "
	    "(%s)", (long long)ms, (long long)c->conf->outlier.failures,
	    atomic_load(&e->last_error));
	if (endpoint_bar(e, BAR_EJECTED, true, c->main->now_ns))
		c->changed(c->arg);
}

static struct watch *
watch_of(struct checker *c, const struct endpoint *e)
{
	struct watch *w = e->health.watch;

	return w != NULL && w->checker == c ? w : NULL;
}

static void
suspicion_dropped(struct mail *m)
{
	struct suspicion *s = container_of(m, struct suspicion, mail);

	endpoint_drop(s->endpoint);
	free(s);
}

static void
suspicion_arrived(struct worker *main, struct mail *m)
{
	struct suspicion *s = container_of(m, struct suspicion, mail);
	struct checker *c = s->checker;
	struct watch *w = watch_of(c, s->endpoint);

	(void)main;
	if (w != NULL && c->conf != NULL && c->conf->outlier.failures > 0)
		eject(w);
	suspicion_dropped(m);
}

void
checker_suspect(void *checker, struct endpoint *e)
{
	struct checker *c = checker;
	struct suspicion *s = malloc(sizeof(*s));

	if (s == NULL)
		return;         /* the next row of failures tries again */
	*s = (struct suspicion){ .checker = c, .endpoint = endpoint_keep(e),
	    .mail = { .deliver = suspicion_arrived,
	    .drop = suspicion_dropped } };
	worker_post(c->main, &s->mail);
}

int64_t
checker_ejected_ms(struct checker *c, const struct endpoint *e)
{
	const struct watch *w = watch_of(c, e);
	int64_t left_ns;

	if (w == NULL || !w->ejection.out || !deadline_armed(&w->back))
		return 0;
	left_ns = w->back.at_ns - c->main->now_ns;
	return left_ns > 0 ? left_ns / NS_PER_MS : 0;
}

void
checker_eject(struct checker *c, struct endpoint *e, int64_t ms)
{
	struct watch *w = watch_of(c, e);

	if (w == NULL || c->conf == NULL || c->conf->outlier.failures <= 0 ||
	    w->forced || !is_usable(w) || !may_eject(w))
		return;
	(void)ejection_begin(&w->ejection, c->conf->outlier.eject_for_ms,
	    c->main->now_ns);
	deadline_set_ns(c->main, &w->back, ms * NS_PER_MS);
	(void)endpoint_bar(e, BAR_EJECTED, true, c->main->now_ns);
}

/* ----------------------------------------------------------------- watching */

static struct watch *
watch_new(struct checker *c, struct endpoint *e)
{
	struct watch *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return NULL;
	w->checker = c;
	w->endpoint = endpoint_keep(e);
	e->health.watch = w;
	w->by_hand_down = atomic_load(&e->bars) & BAR_DOWN;
	deadline_init(&w->next, on_due);
	deadline_init(&w->back, on_back);
	list_append(&c->watches, &w->link);
	/* It may come from an earlier time of the same name in the file. */
	(void)readmit(w);
	return w;
}

static void
watch_free(struct watch *w)
{
	watch_stop(w);
	deadline_clear(&w->back);
	list_remove(&w->link);
	w->endpoint->health.watch = NULL;
	endpoint_drop(w->endpoint);
	free(w);
}

/* What the file says now holds for w. in_ns: when it would be checked first. */
static void
watch_configure(struct watch *w, const struct conf_upstream *old,
    const struct probe_ops *old_probe, int64_t in_ns)
{
	struct checker *c = w->checker;
	const struct conf_upstream *conf = c->conf;
	bool outlier = conf->outlier.failures > 0;

	atomic_store(&w->endpoint->eject_after,
	    outlier ? (unsigned)conf->outlier.failures : 0);
	if (!outlier || (w->to_pass && !comes_back_by_check(c)))
		(void)readmit(w);
	if (!conf->health.on) {
		watch_stop(w);
		w->endpoint->health.last[0] = '\0';
		(void)endpoint_bar(w->endpoint, BAR_CHECK, false,
		    c->main->now_ns);
		return;
	}
	if (w->check != NULL && old_probe != c->probe) {
		check_abandon(w->check);
		w->check = NULL;
	}
	if (w->check != NULL)
		check_configure(w->check, conf);
	if (!is_checked(w))
		return;
	if (!deadline_armed(&w->next) || old == NULL ||
	    old->health.interval_ms != conf->health.interval_ms ||
	    old_probe != c->probe)
		watch_start(w, in_ns);
}

static void
mark_staying(struct checker *c, const struct roster *r)
{
	struct list *l, *tmp;
	size_t i;

	list_each(l, tmp, &c->watches)
		container_of(l, struct watch, link)->stays = false;
	for (i = 0; i < r->n; i++) {
		struct watch *w = watch_of(c, r->v[i]);

		if (w != NULL)
			w->stays = true;
	}
	list_each(l, tmp, &c->watches)
		if (!container_of(l, struct watch, link)->stays)
			watch_free(container_of(l, struct watch, link));
}

int
checker_configure(struct checker *c, const struct conf_upstream *conf,
    const struct probe_ops *probe, struct roster *roster)
{
	const struct conf_upstream *old = c->conf;
	const struct probe_ops *old_probe = c->probe;
	int64_t spread_ns = conf->health.interval_ms * NS_PER_MS / 10;
	int result = 0;
	size_t i;

	c->conf = conf;
	c->probe = probe;
	mark_staying(c, roster);
	for (i = 0; i < roster->n; i++) {
		struct watch *w = watch_of(c, roster->v[i]);

		if (w == NULL)
			w = watch_new(c, roster->v[i]);
		if (w == NULL)
			result = -1;
		else
			watch_configure(w, old, old_probe,
			    spread_ns * (int64_t)i / (int64_t)roster->n);
	}
	(void)readmit_if_none(c);
	return result;
}

void
checker_hand(struct checker *c, struct endpoint *e, bool forced)
{
	struct watch *w = watch_of(c, e);
	bool down = atomic_load(&e->bars) & BAR_DOWN, was_down;

	if (w == NULL)
		return;
	was_down = w->by_hand_down;
	w->by_hand_down = down;
	w->forced = forced;
	if (forced)
		(void)readmit(w);
	if (down && !was_down)
		watch_stop(w);
	if (was_down && is_checked(w))
		deadline_set(c->main, &w->next, 0);
	if (c->conf != NULL && c->conf->health.on &&
	    (forced || w->verdict.known))
		(void)endpoint_bar(e, BAR_CHECK, !forced && !w->verdict.up,
		    c->main->now_ns);
	(void)readmit_if_none(c);
}

/* -------------------------------------------------------------- life, death */

struct checker *
checker_new(struct worker *main, const char *name, void (*changed)(void *arg),
    void *arg)
{
	struct checker *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->name = strdup(name);
	if (c->name == NULL) {
		free(c);
		return NULL;
	}
	c->main = main;
	c->changed = changed;
	c->arg = arg;
	c->dice = ((uint64_t)main->now_ns ^ (uint64_t)(uintptr_t)c) | 1;
	list_init(&c->watches);
	return c;
}

void
checker_leave(struct checker *c)
{
	struct list *l, *tmp;

	list_each(l, tmp, &c->watches)
		watch_free(container_of(l, struct watch, link));
	c->conf = NULL;
	c->probe = NULL;
}

void
checker_free(struct checker *c)
{
	if (c == NULL)
		return;
	checker_leave(c);
	free(c->name);
	free(c);
}
