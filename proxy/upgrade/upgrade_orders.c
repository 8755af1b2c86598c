/*
 * What is changed by hand, to the weir before. See upgrade_orders.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/upgrade/upgrade_orders.h"

#include <stdio.h>
#include <string.h>

#include "net/log.h"
#include "proxy/lane.h"
#include "proxy/live.h"
#include "proxy/override.h"
#include "proxy/upgrade/upgrade_parts.h"

enum { DELAY_MOST_MS = 3600 * 1000, WEIGHT_MOST = 1000 };

static const char *const whats[] = {
	[INJECT_NOTHING] = "nothing",
	[INJECT_ERROR] = "error",
	[INJECT_RESET] = "reset",
	NULL
};

/* -1 = there is none. */
static int
index_of(const char *word, const char *const *words)
{
	int i;

	for (i = 0; words[i] != NULL; i++)
		if (strcmp(words[i], word) == 0)
			return i;
	return -1;
}

/* The one that is in the file. */
static struct live_upstream *
upstream_of(const struct runtime *rt, const char *name)
{
	struct live_upstream *lu = NULL;

	do
		lu = live_upstream_named(rt, name, lu);
	while (lu != NULL && lu->conf == NULL);
	return lu;
}

/* ------------------------------------------------------------------- telling */

static json_int_t
left_ms(const struct live_upstream *lu, int64_t until_ns)
{
	int64_t ms = (until_ns - lu->runtime->main.now_ns) / NS_PER_MS;

	if (until_ns == INT64_MAX)
		return CONF_OFF;
	return ms > 0 ? ms : 1;         /* it ends in this turn */
}

static bool
put(json_t *to, const char *name, json_t *what)
{
	return json_object_set_new(to, name, what) == 0;
}

static bool
put_fault(json_t *to, const struct live_upstream *lu)
{
	const struct injection *in = &lu->injection;

	if (in->wish.per_million == 0)
		return true;
	return put(to, "fault", json_pack("{s:I,s:s,s:I,s:I}", "delay_ms",
	    (json_int_t)in->wish.delay_ms, "what", whats[in->wish.what],
	    "per_million", (json_int_t)in->wish.per_million, "left_ms",
	    left_ms(lu, in->until_ns)));
}

static bool
put_endpoints(json_t *to, const struct live_upstream *lu)
{
	const struct override *o = lu != NULL ? lu->overrides : NULL;
	json_t *all = json_object();

	if (!put(to, "endpoints", all))
		return false;
	for (; o != NULL; o = o->next)
		if (!put(all, o->endpoint, json_pack("{s:s,s:I,s:I}", "state",
		    override_states[o->state], "weight",
		    (json_int_t)o->weight, "left_ms",
		    left_ms(lu, o->until_ns))))
			return false;
	return true;
}

/* lu NULL: it has left the file. */
static bool
say(struct upgrade *up, const char *name, const struct live_upstream *lu,
    bool with_endpoints)
{
	struct orders *o = &up->orders;
	json_t *j = json_pack("{s:s,s:s,s:I,s:b}", "is", "orders", "upstream",
	    name, "n", (json_int_t)o->told + 1, "paused", lu != NULL &&
	    atomic_load(&lu->upstream->paused));

	if (j != NULL && ((with_endpoints && !put_endpoints(j, lu)) ||
	    (lu != NULL && !put_fault(j, lu)))) {
		json_decref(j);
		j = NULL;
	}
	if (!channel_try(&up->to_old, j, NULL, 0))
		return false;
	o->told++;
	return true;
}

static bool
say_all(struct upgrade *up, const struct live_upstream *lu)
{
	const struct live_upstream *now = upstream_of(up->rt,
	    lu->upstream->name);

	/* It may be of a thousand endpoints. */
	if (say(up, lu->upstream->name, now, true))
		return true;
	if (!say(up, lu->upstream->name, now, false))
		return false;
	log_warn(lu->upstream->name, "what was changed by hand of its "
	    "endpoints is too much to be told to process %ld, which drains",
	    (long)up->old_pid);
	return true;
}

static void
look_whether_heard(struct upgrade *up)
{
	struct orders *o = &up->orders;
	struct list all, *l;

	if (o->untold || o->heard < o->told)
		return;
	atomic_store(&up->rt->unheard, false);
	list_init(&all);
	list_splice(&all, &o->waits);
	while ((l = list_first(&all)) != NULL) {
		struct upgrade_wait *w = container_of(l, struct upgrade_wait,
		    link);

		list_remove(l);
		w->heard(w);
	}
}

void
orders_send(struct upgrade *up)
{
	struct runtime *rt = up->rt;
	struct list *l;

	if (!up->orders.untold)
		return;
	if (!channel_is_open(&up->to_old) || up->to_old.failed) {
		orders_end(up);
		return;
	}
	for (l = rt->upstreams.next; l != &rt->upstreams; l = l->next) {
		struct live_upstream *lu =
		    container_of(l, struct live_upstream, link);

		if (!lu->untold)
			continue;
		/* Orders may be many: where it does not take them, or there is
		   no memory, the last word is said later. */
		if (!list_empty(&up->to_old.queue) || !say_all(up, lu))
			return;
		lu->untold = false;
	}
	up->orders.untold = false;
	look_whether_heard(up);
}

static void
mark(struct upgrade *up, struct live_upstream *lu)
{
	lu->untold = up->orders.untold = true;
	atomic_store(&up->rt->unheard, true);
}

void
upgrade_ordered(struct live_upstream *lu)
{
	struct upgrade *up = lu->runtime->upgrade;

	if (up == NULL || !up->going || !channel_is_open(&up->to_old))
		return;
	if (up->orders.go) {
		mark(up, lu);
		orders_send(up);
	} else if (!up->orders.missed) {
		up->orders.missed = true;
		log_warn("upgrade", "process %ld, which drains, is of a "
		    "version that is not told what is changed by hand: there "
		    "all stays as it was", (long)up->old_pid);
	}
}

void
orders_begin(struct upgrade *up)
{
	struct list *l;

	if (!up->orders.go || !channel_is_open(&up->to_old))
		return;
	for (l = up->rt->upstreams.next; l != &up->rt->upstreams; l = l->next)
		mark(up, container_of(l, struct live_upstream, link));
	orders_send(up);
}

void
orders_say_left(struct upgrade *up, const char *name)
{
	if (up->orders.go && channel_is_open(&up->to_old) &&
	    upstream_of(up->rt, name) == NULL)
		(void)say(up, name, NULL, true);
}

/* --------------------------------------------------------------- who waits */

void
orders_init(struct orders *o)
{
	list_init(&o->waits);
}

void
upgrade_wait(struct runtime *rt, struct upgrade_wait *w)
{
	list_append(&rt->upgrade->orders.waits, &w->link);
}

void
orders_were_heard(struct upgrade *up, const struct message *m)
{
	struct orders *o = &up->orders;

	o->heard = (uint64_t)message_number(m, "n", (int64_t)o->heard,
	    (int64_t)o->told, 0);
	look_whether_heard(up);
}

void
orders_end(struct upgrade *up)
{
	up->orders.untold = false;
	up->orders.heard = up->orders.told;
	look_whether_heard(up);
}

/* ------------------------------------------------------------------- obeying */

/* A part of a message, read like one. */
static struct message
part_of(const json_t *object, const char *name)
{
	return (struct message){ .j = json_object_get(object, name) };
}

static void
obey_fault(struct live_upstream *lu, const struct message *m)
{
	struct message fault = part_of(m->j, "fault");
	int what = index_of(message_text(&fault, "what"), whats);
	struct inject_wish wish = {
		.delay_ms = message_number(&fault, "delay_ms", 0,
		    DELAY_MOST_MS, 0),
		.per_million = (unsigned)message_number(&fault, "per_million",
		    0, INJECT_ALL, 0),
		.for_ms = message_number(&fault, "left_ms", 1,
		    MESSAGE_LONG_MS, 1)
	};

	if (what < 0 || (what == INJECT_NOTHING && wish.delay_ms == 0))
		wish.per_million = 0;
	else
		wish.what = (enum inject_what)what;
	inject_copy(lu, &wish);
}

static void
obey_endpoint(struct live_upstream *lu, const char *name,
    const struct message *is)
{
	int state = index_of(message_text(is, "state"), override_states);
	unsigned weight = (unsigned)message_number(is, "weight", 0, WEIGHT_MOST,
	    0);
	char why[512];

	/* There may be others by now than this weir ever had. */
	if (state >= 0)
		(void)!override_copy(lu, name, (enum override_state)state,
		    weight, message_number(is, "left_ms", 1, CONF_OFF,
		    CONF_OFF), why, sizeof(why));
}

static void
obey_endpoints(struct live_upstream *lu, json_t *all)
{
	const struct override *o, *next;
	struct message is;
	const char *name;
	char why[512];
	json_t *one;

	for (o = lu->overrides; o != NULL; o = next) {
		next = o->next;
		if (json_object_get(all, o->endpoint) == NULL)
			(void)!override_copy(lu, o->endpoint, OVERRIDE_CONF, 0,
			    CONF_OFF, why, sizeof(why));
	}
	json_object_foreach(all, name, one) {
		is = (struct message){ .j = one };
		obey_endpoint(lu, name, &is);
	}
}

void
orders_obey(struct runtime *rt, const struct message *m)
{
	json_t *endpoints = json_object_get(m->j, "endpoints");
	struct live_upstream *lu = upstream_of(rt,
	    message_text(m, "upstream"));

	if (lu == NULL)
		return;
	/* Before those who wait are let go there. */
	if (json_is_object(endpoints))
		obey_endpoints(lu, endpoints);
	obey_fault(lu, m);
	live_upstream_pause(lu, json_is_true(json_object_get(m->j, "paused")));
}

/* ------------------------------------------------------------------ answering */

static void roll(struct upgrade *up);

static void
say_heard(struct upgrade *up, uint64_t n)
{
	/* How much is leased here has to be known there before. */
	upgrade_publish(up->rt);
	if (channel_is_open(&up->to_new))
		(void)channel_try(&up->to_new, json_pack("{s:s,s:I}", "is",
		    "heard", "n", (json_int_t)n), NULL, 0);
}

/* Who gave the order may have died meanwhile, and another be there. */
static void
rolled(void *arg)
{
	struct upgrade *up = arg;
	struct orders *o = &up->orders;
	bool same = o->rolling_of == up->pid;

	o->rolls = false;
	if (same)
		say_heard(up, o->rolling);
	if (o->taken_of == up->pid && (!same || o->taken != o->rolling))
		roll(up);
}

/* To the lanes it has been posted. */
static void
roll(struct upgrade *up)
{
	struct orders *o = &up->orders;

	if (o->rolls)
		return;
	o->rolling = o->taken;
	o->rolling_of = up->pid;
	o->rolls = lane_roll_call(up->rt, rolled, up) == 0;
	if (!o->rolls)
		say_heard(up, o->taken);
}

void
orders_take(struct upgrade *up, const struct message *m)
{
	orders_obey(up->rt, m);
	up->orders.taken = (uint64_t)message_number(m, "n", 0, INT64_MAX, 0);
	up->orders.taken_of = up->pid;
	roll(up);
}
