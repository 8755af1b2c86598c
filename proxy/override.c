/*
 * Changes made by hand. See override.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/override.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "net/log.h"
#include "proxy/live.h"
#include "proxy/upgrade/upgrade.h"

enum { WEIGHT_MOST = 1000 };

/* Longer is for good. */
#define FOR_MOST_MS (INT64_MAX / NS_PER_MS / 4)

const char *const override_states[] = {
	[OVERRIDE_CONF] = "conf",
	[OVERRIDE_UP] = "up",
	[OVERRIDE_DRAIN] = "drain",
	[OVERRIDE_DOWN] = "down",
	NULL
};

/* ------------------------------------------------------------------ finding */

static const struct conf_endpoint *
endpoint_in(const struct conf_upstream *conf, const char *name)
{
	size_t i;

	for (i = 0; conf != NULL && i < conf->n_endpoints; i++)
		if (strcmp(conf->endpoints[i].name, name) == 0)
			return &conf->endpoints[i];
	return NULL;
}

static const struct conf_endpoint *
conf_of(const struct live_upstream *lu, const char *name)
{
	return endpoint_in(lu->conf, name);
}

static struct override *
find(const struct live_upstream *lu, const char *endpoint)
{
	struct override *o;

	for (o = lu->overrides; o != NULL; o = o->next)
		if (strcmp(o->endpoint, endpoint) == 0)
			return o;
	return NULL;
}

const struct override *
override_find(const struct live_upstream *lu, const char *endpoint)
{
	return find(lu, endpoint);
}

bool
override_sleeps(const struct override *o)
{
	return conf_of(o->owner, o->endpoint) == NULL;
}

size_t
override_count(const struct runtime *rt)
{
	const struct override *o;
	const struct list *l;
	size_t n = 0;

	for (l = rt->upstreams.next; l != &rt->upstreams; l = l->next)
		for (o = container_of(l, const struct live_upstream,
		    link)->overrides; o != NULL; o = o->next)
			n += !override_sleeps(o);
	return n;
}

/* ----------------------------------------------------------------- applying */

static void
write_into(struct live_upstream *lu, struct endpoint *e)
{
	const struct override *o = find(lu, e->name);
	const struct conf_endpoint *ce = conf_of(lu, e->name);
	enum override_state state = o != NULL ? o->state : OVERRIDE_CONF;
	int64_t now_ns = lu->runtime->main.now_ns;

	if (o != NULL && o->weight != 0)
		atomic_store(&e->weight, o->weight);
	else if (ce != NULL)
		atomic_store(&e->weight, ce->weight);
	/* From one to the other without a moment in which there is neither. */
	if (state == OVERRIDE_DRAIN)
		(void)endpoint_bar(e, BAR_DRAIN, true, now_ns);
	(void)endpoint_bar(e, BAR_DOWN, state == OVERRIDE_DOWN, now_ns);
	if (state != OVERRIDE_DRAIN)
		(void)endpoint_bar(e, BAR_DRAIN, false, now_ns);
	checker_hand(lu->checker, e, state == OVERRIDE_UP);
}

static void
write_all(struct live_upstream *lu)
{
	size_t i;

	for (i = 0; lu->roster != NULL && i < lu->roster->n; i++)
		write_into(lu, lu->roster->v[i]);
}

static void
log_left(const struct override *o)
{
	char who[400];

	snprintf(who, sizeof(who), "upstream %s endpoint %s",
	    o->owner->upstream->name, o->endpoint);
	log_info(who, "by hand: no more, it has left the file");
}

/* Frees *at, and *at is the one after it. */
static void
forget(struct override **at)
{
	struct override *o = *at;

	*at = o->next;
	deadline_clear(&o->deadline);
	free(o->endpoint);
	free(o);
}

void
override_apply(struct live_upstream *lu)
{
	struct override **at = &lu->overrides;
	bool less = false;

	while (*at != NULL) {
		if (override_sleeps(*at) &&
		    endpoint_in(lu->held, (*at)->endpoint) == NULL) {
			log_left(*at);
			forget(at);
			less = true;
		} else
			at = &(*at)->next;
	}
	write_all(lu);
	if (less)
		upgrade_ordered(lu);
}

void
override_clear(struct live_upstream *lu)
{
	while (lu->overrides != NULL) {
		if (!lu->runtime->stopping)
			log_left(lu->overrides);
		forget(&lu->overrides);
	}
	write_all(lu);
}

/* ----------------------------------------------------------------- changing */

static void
log_change(const struct live_upstream *lu, const char *endpoint,
    const struct override *o)
{
	char who[400], weight[32] = "", time[32] = "";

	snprintf(who, sizeof(who), "upstream %s endpoint %s",
	    lu->upstream->name, endpoint);
	if (o == NULL) {
		log_info(who, "by hand: as the file says again");
		return;
	}
	if (o->weight != 0)
		snprintf(weight, sizeof(weight), ", weight %u", o->weight);
	if (o->until_ns != INT64_MAX)
		snprintf(time, sizeof(time), ", for %lld s", (long long)
		    ((o->until_ns - lu->runtime->main.now_ns) / NS_PER_S));
	log_info(who, "by hand: %s%s%s", override_states[o->state], weight,
	    time);
}

/* endpoint may be the override's own name. */
static void
end(struct live_upstream *lu, const char *endpoint)
{
	struct override **at = &lu->overrides;

	while (*at != NULL && strcmp((*at)->endpoint, endpoint) != 0)
		at = &(*at)->next;
	if (*at == NULL)
		return;
	log_change(lu, endpoint, NULL);
	forget(at);
	write_all(lu);
	live_upstream_tell(lu);
	upgrade_ordered(lu);
}

static void
time_is_up(struct deadline *d)
{
	struct override *o = container_of(d, struct override, deadline);

	end(o->owner, o->endpoint);
}

static struct override *
add(struct live_upstream *lu, const char *endpoint)
{
	struct override *o = calloc(1, sizeof(*o));

	if (o == NULL)
		return NULL;
	o->endpoint = strdup(endpoint);
	if (o->endpoint == NULL) {
		free(o);
		return NULL;
	}
	o->owner = lu;
	deadline_init(&o->deadline, time_is_up);
	o->next = lu->overrides;
	lu->overrides = o;
	return o;
}

static int
check_wish(const struct live_upstream *lu, const char *endpoint, int state,
    unsigned weight, int64_t for_ms, char *why, size_t size)
{
	if (conf_of(lu, endpoint) == NULL)
		snprintf(why, size, "upstream %s has no endpoint %.200s",
		    lu->upstream->name, endpoint);
	else if (state < 0 && weight == 0)
		snprintf(why, size, "nothing to change: expected a state or "
		    "a weight");
	else if (state > OVERRIDE_DOWN)
		snprintf(why, size, "no such state, expected up, drain, down "
		    "or conf");
	else if (weight > WEIGHT_MOST)
		snprintf(why, size, "weight %u, expected 1 to %d", weight,
		    WEIGHT_MOST);
	else if (for_ms <= 0)
		snprintf(why, size, "it would end at once, expected a longer "
		    "time");
	else
		return 0;
	return -1;
}

int
override_set(struct live_upstream *lu, const char *endpoint, int state,
    unsigned weight, int64_t for_ms, char *why, size_t size)
{
	struct worker *main = &lu->runtime->main;
	struct override *o;

	if (check_wish(lu, endpoint, state, weight, for_ms, why, size) < 0)
		return -1;
	if (state == OVERRIDE_CONF && weight == 0) {
		end(lu, endpoint);
		return 0;
	}
	o = find(lu, endpoint);
	if (o == NULL)
		o = add(lu, endpoint);
	if (o == NULL) {
		snprintf(why, size, "out of memory");
		return -1;
	}
	if (state >= 0)
		o->state = (enum override_state)state;
	if (weight != 0)
		o->weight = weight;
	o->since_s = (int64_t)time(NULL);
	o->until_ns = INT64_MAX;
	deadline_clear(&o->deadline);
	if (for_ms < FOR_MOST_MS) {
		o->until_ns = main->now_ns + for_ms * NS_PER_MS;
		deadline_set_ns(main, &o->deadline, for_ms * NS_PER_MS);
	}
	log_change(lu, endpoint, o);
	write_all(lu);
	live_upstream_tell(lu);
	upgrade_ordered(lu);
	return 0;
}

/* Conf and the file's weight is what there is without one. */
static bool
is_so(const struct live_upstream *lu, const struct override *o,
    enum override_state state, unsigned weight, int64_t for_ms)
{
	int64_t off_ns;

	if (o == NULL)
		return state == OVERRIDE_CONF && weight == 0;
	if (o->state != state || o->weight != weight ||
	    (o->until_ns == INT64_MAX) != (for_ms >= FOR_MOST_MS))
		return false;
	if (o->until_ns == INT64_MAX)
		return true;
	off_ns = o->until_ns - lu->runtime->main.now_ns - for_ms * NS_PER_MS;
	return off_ns > -NS_PER_S && off_ns < NS_PER_S;
}

int
override_copy(struct live_upstream *lu, const char *endpoint,
    enum override_state state, unsigned weight, int64_t for_ms, char *why,
    size_t size)
{
	struct override *o = find(lu, endpoint);

	if (is_so(lu, o, state, weight, for_ms))
		return 0;
	if (check_wish(lu, endpoint, (int)state, weight, for_ms, why, size) < 0)
		return -1;
	if (o != NULL)
		o->weight = weight;
	return override_set(lu, endpoint, (int)state, weight, for_ms, why,
	    size);
}

void
override_drop_all(struct runtime *rt)
{
	struct list *l, *tmp;

	list_each(l, tmp, &rt->upstreams) {
		struct live_upstream *lu =
		    container_of(l, struct live_upstream, link);

		if (lu->overrides == NULL)
			continue;
		while (lu->overrides != NULL) {
			log_change(lu, lu->overrides->endpoint, NULL);
			forget(&lu->overrides);
		}
		write_all(lu);
		live_upstream_tell(lu);
		upgrade_ordered(lu);
	}
}
