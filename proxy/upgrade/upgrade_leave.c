/*
 * An upgrade, from the moment that the new one serves: this weir accepts nothing
 * any more, gives what becomes free to the new one, but for what the clients that
 * are left use again and again, and ends when it is empty, or stays when that
 * dies (upgrade_heir.c). See upgrade.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/upgrade/upgrade.h"

#include "net/log.h"
#include "proxy/admin/admin.h"
#include "proxy/live.h"
#include "proxy/upgrade/upgrade_clients.h"
#include "proxy/upgrade/upgrade_parts.h"
#include "proxy/upgrade/upgrade_pools.h"

enum {
	COUNT_EVERY = 10,               /* sweeps */
	SLOW_EVERY = 50,
	LAST_MS = 2000,
	LOOKS = 20, LOOK_MS = 2,        /* has it ended? */
	LAST_LOOK = 70                  /* clients wait for another to replace
					   it: it may take a second to end */
};

void
upgrade_publish(struct runtime *rt)
{
	struct list *l;

	for (l = rt->upstreams.next; l != &rt->upstreams; l = l->next) {
		struct live_upstream *lu =
		    container_of(l, struct live_upstream, link);
		struct upstream *u = lu->upstream;
		unsigned n;

		if (u->cap == NULL || lu->conf == NULL)
			continue;
		n = upstream_waits(u);
		atomic_store(&u->cap->waiting[u->side], n);
		atomic_store(&u->cap->leased[u->side], upstream_leases(u));
		atomic_store(&u->cap->needed[u->side],
		    atomic_load(&u->needed));
		rt->upgrade->waited = rt->upgrade->waited || n > 0;
		/* A place may have become free there: nobody tells. */
		if (n > 0 && !upstream_is_full(u))
			live_upstream_tell(lu);
	}
}

void
upgrade_stop_sending(struct upgrade *up)
{
	clients_end(up->clients);
	upgrade_keep_clients(up);
}

static void
spared(void *arg)
{
	((struct upgrade *)arg)->sparing = false;
}

static void
mourn(struct deadline *d)
{
	struct upgrade *up = container_of(d, struct upgrade, again);
	struct runtime *rt = up->rt;
	int status = 0;

	if (upgrade_is_gone(up, &status)) {
		cap_bury(&rt->caps);
		upgrade_publish(rt);
		heir_died(up, status);
		return;
	}
	upgrade_publish(rt);
	deadline_set(&rt->main, d, up->sweeps++ < LOOKS ? LOOK_MS :
	    UPGRADE_SWEEP_MS);
	/* It lives and serves, but will not say what it closes. */
	if (up->sweeps <= LOOKS)
		return;
	heir_forget_sockets(up);
	if (up->sweeps == LAST_LOOK) {
		log_warn("upgrade", "process %ld lives, but nothing can be "
		    "sent to it any more: the clients that are left here stay "
		    "and are drained", (long)up->pid);
		upgrade_stop_sending(up);
	}
	if (up->then != NULL && !up->heir.finishing)
		up->then(rt);
}

void
upgrade_mourn(struct upgrade *up)
{
	clients_end(up->clients);
	up->sweeps = 0;
	up->again.passed = mourn;
	deadline_set(&up->rt->main, &up->again, 0);
}

/* Nothing can be sent, and it has not ended: then that would have been noticed
   between two sweeps. */
static void
look_whether_mute(struct upgrade *up)
{
	if (up->mute && up->to_new.failed)
		upgrade_stop_sending(up);
	up->mute = up->to_new.failed;
}

static void
sweep(struct deadline *d)
{
	struct upgrade *up = container_of(d, struct upgrade, again);
	struct runtime *rt = up->rt;

	upgrade_publish(rt);
	look_whether_mute(up);
	if (!up->sparing) {
		up->sparing = true;
		if (!spare_connections(rt, &up->to_new, UPGRADE_IDLE_MS,
		    spared, up))
			up->sparing = false;
	}
	up->sweeps++;
	if (up->counts != NULL && up->sweeps % COUNT_EVERY == 0)
		counts_tell(up->counts, rt, upgrade_say, up);
	if (up->sweeps % SLOW_EVERY == 0)
		slow_tell(rt);
	deadline_set(&rt->main, d, UPGRADE_SWEEP_MS);
}

static void
all_sent(void *arg)
{
	struct upgrade *up = arg;

	up->heir.finishing = false;
	(void)channel_push(&up->to_new, LAST_MS);
	if (!channel_is_open(&up->to_new) && heir_is_awaited(up))
		heir_hurry(up);         /* it has died meanwhile */
	else if (!heir_stays(up))
		up->then(up->rt);
}

/* False: there is no memory to ask the lanes. */
static bool
finish(struct upgrade *up)
{
	deadline_clear(&up->again);
	up->heir.finishing = true;
	/* Nobody waits here any more. */
	upgrade_publish(up->rt);
	if (spare_rest(&up->rest, up->rt, &up->to_new, all_sent, up))
		return true;
	up->heir.finishing = false;
	return false;
}

bool
upgrade_finish(struct runtime *rt, void (*then)(struct runtime *rt))
{
	struct upgrade *up = rt->upgrade;

	if (up == NULL || !up->heir.left)
		return false;
	if (heir_is_awaited(up)) {
		up->then = then;
		heir_hurry(up);
		return true;
	}
	if (!channel_is_open(&up->to_new) || up->then != NULL)
		return false;
	up->then = then;
	return finish(up);
}

void
upgrade_keep_clients(struct upgrade *up)
{
	/* Their next answers are the last, where that can be said. */
	up->rt->dismissing = true;
	clients_give_up(up->clients);
}

/* The first time: nothing is accepted here from now on. */
static void
step_back(struct upgrade *up)
{
	struct runtime *rt = up->rt;
	struct list *l;

	rt->owns_files = false;
	for (l = rt->upstreams.next; l != &rt->upstreams; l = l->next) {
		struct live_upstream *lu =
		    container_of(l, struct live_upstream, link);

		atomic_store(&lu->upstream->leaving, true);
		/* Nobody who asks is told of it any more. */
		inject_end(lu);
	}
	admin_stop(rt);
	runtime_leave(rt, up->takes_clients);
}

void
upgrade_leave(struct upgrade *up)
{
	struct runtime *rt = up->rt;

	log_info("upgrade", "process %ld serves; this one drains",
	    (long)up->pid);
	upgrade_note_result(up, NULL);
	up->phase = UPGRADE_LEAVING;
	(void)notify_main_pid(&rt->notify, up->pid);
	notify_end(rt);
	deadline_clear(&up->limit);
	if (!up->heir.left)
		step_back(up);
	up->mute = false;
	if (up->takes_clients)
		clients_begin(&up->clients, rt, &up->to_new);
	else
		upgrade_keep_clients(up);
	heir_serves(up);
	up->sweeps = 0;
	up->again.passed = sweep;
	deadline_set(&rt->main, &up->again, UPGRADE_SWEEP_MS);
	/* All that there was to do here was to wait for this. */
	if (up->then != NULL && !finish(up))
		up->then(rt);
}

void
upgrade_last_words(struct runtime *rt)
{
	struct upgrade *up = rt->upgrade;

	if (up == NULL || up->phase != UPGRADE_LEAVING ||
	    !channel_is_open(&up->to_new))
		return;
	if (up->counts != NULL)
		counts_tell(up->counts, rt, upgrade_say, up);
	slow_tell_rest(rt);
	upgrade_say_word(up, "bye");
	(void)channel_push(&up->to_new, LAST_MS);
}
