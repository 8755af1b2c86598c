/*
 * What one weir knows and tells the next. See upgrade_state.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/upgrade/upgrade_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "conf/value.h"
#include "net/log.h"
#include "pool/upkeep.h"
#include "proxy/failover.h"
#include "proxy/override.h"

struct saying {
	void (*say)(void *arg, json_t *j);
	void *arg;
};

/* ----------------------------------------------------------------- identity */

static void
mix(XXH64_state_t *hash, const char *text)
{
	/* With its end, so that two texts are not one. */
	(void)XXH64_update(hash, text, strlen(text) + 1);
}

static void
mix_row(XXH64_state_t *hash, const struct conf_key *row, const void *own)
{
	const void *field = (const char *)own + row->offset;
	char value[VALUE_TEXT_MAX];
	const char *text;

	switch (row->type) {
	case CONF_STRING:
		text = *(const char *const *)field;
		mix(hash, text != NULL ? text : "");
		mix(hash, text != NULL ? "1" : "0");
		return;
	case CONF_BOOL:
	case CONF_COUNT:
	case CONF_DURATION:
	case CONF_SIZE:
	case CONF_ENUM:
	case CONF_SHARE:
		mix(hash, value_print(row, field, value));
		return;
	default:
		return;         /* nothing that a connection is made of */
	}
}

void
state_identity(const struct conf_upstream *conf, const struct peer_ops *peer,
    char out[IDENTITY_MOST])
{
	const struct conf_key *row = conf->proto->alike != NULL ?
	    conf->proto->upstream_keys : NULL;
	XXH64_state_t hash;
	char begins[64];

	(void)XXH64_reset(&hash, 0);
	mix(&hash, conf->proto->name);
	snprintf(begins, sizeof(begins), "%d %d %d", (int)conf->send_proxy,
	    conf->tls.client != NULL, peer->state_size > 0);
	mix(&hash, begins);
	for (; row != NULL && row->name != NULL; row++)
		if (row->offset < conf->proto->upstream_size)
			mix_row(&hash, row, conf->own);
	snprintf(out, IDENTITY_MOST, "%016" PRIx64,
	    (uint64_t)XXH64_digest(&hash));
}

/* ------------------------------------------------------------------- telling */

static void
tell_overrides(const struct saying *s, const struct live_upstream *lu)
{
	const struct override *o;
	int64_t now_ns = lu->runtime->main.now_ns;

	for (o = lu->overrides; o != NULL; o = o->next)
		s->say(s->arg, json_pack("{s:s,s:s,s:s,s:s,s:i,s:I}", "is",
		    "override", "upstream", lu->upstream->name, "endpoint",
		    o->endpoint, "state", override_states[o->state], "weight",
		    (int)o->weight, "left_ms", o->until_ns == INT64_MAX ?
		    (json_int_t)CONF_OFF : (json_int_t)((o->until_ns -
		    now_ns) / NS_PER_MS)));
}

static void
tell_endpoint(const struct saying *s, const struct live_upstream *lu,
    const struct endpoint *e)
{
	unsigned bars = atomic_load(&e->bars);
	int64_t held_ns = atomic_load(&e->hold_until_ns) -
	    lu->runtime->main.now_ns;

	s->say(s->arg, json_pack("{s:s,s:s,s:s,s:s,s:b,s:b,s:I,s:I,s:I,s:s}",
	    "is", "endpoint", "upstream", lu->upstream->name, "name", e->name,
	    "resolved", e->resolved, "down", (bars & BAR_CHECK) != 0,
	    "demoted", (bars & BAR_DEMOTED) != 0, "ejected_ms",
	    (json_int_t)checker_ejected_ms(lu->checker, e), "held_ms",
	    held_ns > 0 ? (json_int_t)(held_ns / NS_PER_MS + 1) : 0, "since",
	    (json_int_t)atomic_load(&e->since_s), "last", e->health.last));
}

/* At which age the servers close idle connections, as far as it is known. */
static void
tell_habit(const struct saying *s, const struct live_upstream *lu)
{
	const struct upstream *up = lu->upstream;
	int64_t least = INT64_MAX;
	size_t i;

	for (i = 0; i < up->n_pools; i++) {
		int64_t ms = atomic_load(&up->pools[i]->closes_ms);

		if (ms > 0 && ms < least)
			least = ms;
	}
	if (least < INT64_MAX)
		s->say(s->arg, json_pack("{s:s,s:s,s:I}", "is", "habit",
		    "upstream", up->name, "closes_ms", (json_int_t)least));
}

void
state_tell(struct runtime *rt, void (*say)(void *arg, json_t *j), void *arg)
{
	const struct saying s = { say, arg };
	struct list *l;
	size_t i;

	for (l = rt->upstreams.next; l != &rt->upstreams; l = l->next) {
		const struct live_upstream *lu =
		    container_of(l, struct live_upstream, link);
		const struct roster *r = lu->roster;

		if (lu->conf == NULL)
			continue;
		/* In this order: what is done by hand moves `since`. */
		tell_overrides(&s, lu);
		for (i = 0; r != NULL && i < r->n; i++)
			tell_endpoint(&s, lu, r->v[i]);
		tell_habit(&s, lu);
		if (atomic_load(&lu->upstream->paused))
			say(arg, json_pack("{s:s,s:s}", "is", "paused",
			    "upstream", lu->upstream->name));
	}
}

static json_t *
spell_addrs(const struct live_endpoint *le)
{
	json_t *all = json_array();
	char text[ADDR_TEXT_MAX];
	size_t i;

	for (i = 0; i < le->n_addrs; i++)
		(void)json_array_append_new(all, json_string(addr_print(
		    &le->addrs[i], text)));
	return all;
}

void
state_tell_names(struct runtime *rt, void (*say)(void *arg, json_t *j),
    void *arg)
{
	struct list *l;
	size_t i;

	for (l = rt->upstreams.next; l != &rt->upstreams; l = l->next) {
		const struct live_upstream *lu =
		    container_of(l, struct live_upstream, link);

		for (i = 0; i < lu->n_endpoints; i++)
			if (lu->endpoints[i].follow != NULL &&
			    lu->endpoints[i].n_addrs > 0)
				say(arg, json_pack("{s:s,s:s,s:s,s:I,s:o}",
				    "is", "name", "upstream",
				    lu->upstream->name, "key",
				    lu->endpoints[i].key, "age_ms",
				    (json_int_t)follow_age_ms(
				    lu->endpoints[i].follow), "addresses",
				    spell_addrs(&lu->endpoints[i])));
	}
}

/* -------------------------------------------------------------------- taking */

static struct live_upstream *
upstream_of(struct runtime *rt, const struct message *m)
{
	const char *name = message_text(m, "upstream");
	struct live_upstream *lu = NULL;

	do
		lu = live_upstream_named(rt, name, lu);
	while (lu != NULL && lu->conf == NULL);
	return lu;
}

static void
take_override(struct live_upstream *lu, const struct message *m)
{
	const char *state = message_text(m, "state");
	int64_t left_ms = message_number(m, "left_ms", 1, CONF_OFF, CONF_OFF);
	unsigned weight = (unsigned)message_number(m, "weight", 0, 1000, 0);
	char why[512];
	int i;

	for (i = 0; override_states[i] != NULL; i++)
		if (strcmp(override_states[i], state) == 0)
			break;
	if (override_states[i] != NULL && override_set(lu,
	    message_text(m, "endpoint"), i, weight, left_ms, why,
	    sizeof(why)) < 0)
		log_warn(lu->upstream->name, "a change by hand does not "
		    "outlive the upgrade: %s", why);
}

static struct endpoint *
endpoint_of(struct live_upstream *lu, const struct message *m)
{
	const struct roster *r = lu->roster;
	size_t i;

	for (i = 0; r != NULL && i < r->n; i++)
		if (strcmp(r->v[i]->name, message_text(m, "name")) == 0 &&
		    strcmp(r->v[i]->resolved, message_text(m,
		    "resolved")) == 0)
			return r->v[i];
	return NULL;
}

/* Or for longer, where it has asked this process too. */
static void
hold(struct endpoint *e, int64_t until_ns)
{
	int64_t now = atomic_load(&e->hold_until_ns);

	while (now < until_ns && !atomic_compare_exchange_weak(
	    &e->hold_until_ns, &now, until_ns))
		;
}

static void
take_endpoint(struct live_upstream *lu, const struct message *m)
{
	struct endpoint *e = endpoint_of(lu, m);
	int64_t ms = message_number(m, "ejected_ms", 0, MESSAGE_LONG_MS, 0);
	int64_t held_ms = message_number(m, "held_ms", 0, MESSAGE_LONG_MS, 0);
	int64_t now_ns = lu->runtime->main.now_ns;

	if (e == NULL)
		return;
	/* Unless this process has already found out for itself. */
	if (lu->conf->health.on && e->health.last[0] == '\0') {
		snprintf(e->health.last, sizeof(e->health.last), "%s",
		    message_text(m, "last"));
		(void)endpoint_bar(e, BAR_CHECK,
		    json_is_true(json_object_get(m->j, "down")), now_ns);
	}
	if (json_is_true(json_object_get(m->j, "demoted")) &&
	    lu->conf->pool.failover_hold_ms < CONF_OFF) {
		(void)endpoint_bar(e, BAR_DEMOTED, true, now_ns);
		failover_demoted(lu, e);
	}
	if (ms > 0)
		checker_eject(lu->checker, e, ms);
	if (held_ms > 0 && lu->conf->retry_after)
		hold(e, now_ns + held_ms * NS_PER_MS);
	atomic_store(&e->since_s, message_number(m, "since", 0, INT64_MAX,
	    atomic_load(&e->since_s)));
	live_upstream_tell(lu);
}

struct habit_mail {
	struct mail mail;
	struct pool *pool;
	int64_t closes_ms;
};

static void
habit_dropped(struct mail *m)
{
	free(container_of(m, struct habit_mail, mail));
}

static void
habit_arrived(struct worker *w, struct mail *m)
{
	struct habit_mail *hm = container_of(m, struct habit_mail, mail);

	(void)w;
	upkeep_learn(hm->pool, hm->closes_ms);
	free(hm);
}

static void
take_habit(struct live_upstream *lu, const struct message *m)
{
	int64_t ms = message_number(m, "closes_ms", 0, MESSAGE_LONG_MS, 0);
	size_t i;

	for (i = 0; ms > 0 && i < lu->upstream->n_pools; i++) {
		struct habit_mail *hm = calloc(1, sizeof(*hm));

		if (hm == NULL)
			return;         /* it is learned anew */
		*hm = (struct habit_mail){ .mail = { .deliver = habit_arrived,
		    .drop = habit_dropped }, .closes_ms = ms,
		    .pool = lu->upstream->pools[i] };
		worker_post(lu->upstream->pools[i]->worker, &hm->mail);
	}
}

void
state_take(struct runtime *rt, const struct message *m)
{
	struct live_upstream *lu = upstream_of(rt, m);

	if (lu == NULL)
		return;
	if (strcmp(m->is, "override") == 0)
		take_override(lu, m);
	else if (strcmp(m->is, "endpoint") == 0)
		take_endpoint(lu, m);
	else if (strcmp(m->is, "habit") == 0)
		take_habit(lu, m);
	else if (strcmp(m->is, "paused") == 0)
		live_upstream_pause(lu, true);
}
