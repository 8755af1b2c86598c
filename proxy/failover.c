/*
 * Main's part of failovers. See failover.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/failover.h"

#include <stdlib.h>

#include "net/log.h"
#include "proxy/live.h"

/* Where nothing is checked the traffic itself has to find out. */
enum { TRY_AGAIN_MS = 1000 };

/* To main. Freed on arrival. */
struct demotion {
	struct mail mail;
	struct live_upstream *lu;       /* outlives all mail, see live.c */
	struct endpoint *endpoint;      /* one reference */
};

static void
dropped(struct mail *m)
{
	struct demotion *d = container_of(m, struct demotion, mail);

	endpoint_drop(d->endpoint);
	free(d);
}

/* The end of the hold; a second one may have begun before that of the first. */
static void
arm(struct worker *main, struct live_upstream *lu)
{
	int64_t left_ns = atomic_load(&lu->upstream->failover_until_ns) -
	    main->now_ns;

	if (left_ns < 0)
		left_ns = 0;
	if (lu->conf->health.on)
		deadline_set_ns(main, &lu->failover, left_ns);
	else if (!deadline_armed(&lu->failover))
		deadline_set_ns(main, &lu->failover, left_ns < TRY_AGAIN_MS *
		    NS_PER_MS ? left_ns : TRY_AGAIN_MS * NS_PER_MS);
}

static void
arrived(struct worker *main, struct mail *m)
{
	struct demotion *d = container_of(m, struct demotion, mail);
	struct live_upstream *lu = d->lu;

	if (lu->conf != NULL && lu->conf->pool.failover_hold_ms < CONF_OFF) {
		log_warn(lu->upstream->name, "endpoint %s is not the primary "
		    "any more, or gone: new requests wait for another",
		    d->endpoint->name);
		arm(main, lu);
		live_upstream_look_up(lu);
		live_upstream_tell(lu);
	}
	dropped(m);
}

void
failover_demoted(void *arg, struct endpoint *e)
{
	struct live_upstream *lu = arg;
	struct demotion *d = malloc(sizeof(*d));

	if (d == NULL)
		return;         /* the bar is there; the pools find it */
	*d = (struct demotion){ .lu = lu, .endpoint = endpoint_keep(e),
	    .mail = { .deliver = arrived, .drop = dropped } };
	worker_post(&lu->runtime->main, &d->mail);
}

static void
readmit(struct live_upstream *lu)
{
	int64_t now_ns = lu->runtime->main.now_ns;

	for (size_t i = 0; lu->roster != NULL && i < lu->roster->n; i++)
		(void)endpoint_bar(lu->roster->v[i], BAR_DEMOTED, false,
		    now_ns);
}

static void
time_is_up(struct deadline *d)
{
	struct live_upstream *lu = container_of(d, struct live_upstream,
	    failover);

	readmit(lu);
	live_upstream_tell(lu);
}

void
failover_init(struct live_upstream *lu)
{
	deadline_init(&lu->failover, time_is_up);
	lu->upstream->demoted_arg = lu;
	lu->upstream->demoted = failover_demoted;
}

void
failover_fini(struct live_upstream *lu)
{
	deadline_clear(&lu->failover);
	readmit(lu);
}
