/*
 * Upstreams. See upstream.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/upstream.h"

#include <stdlib.h>
#include <string.h>

#include "pool/pool.h"
#include "pool/quota.h"

struct upstream *
upstream_new(const char *name, const struct peer_ops *peer,
    struct worker *const *workers, size_t n_workers)
{
	struct upstream *up;
	size_t i;

	up = calloc(1, sizeof(*up) + n_workers * sizeof(up->pools[0]));
	if (up == NULL)
		return NULL;
	up->name = strdup(name);
	if (up->name == NULL)
		goto fail;
	up->peer = peer;
	up->last_id = &up->own_id;
	up->n_pools = n_workers;
	if (peer != NULL && peer->groups != NULL) {
		up->quotas = quotas_new(n_workers);
		if (up->quotas == NULL)
			goto fail;
	}
	for (i = 0; i < n_workers; i++) {
		up->pools[i] = calloc(1, sizeof(*up->pools[i]));
		if (up->pools[i] == NULL ||
		    pool_init(up->pools[i], up, workers[i]) < 0)
			goto fail;
	}
	return up;
fail:
	upstream_free(up);
	return NULL;
}

void
upstream_free(struct upstream *up)
{
	size_t i;

	if (up == NULL)
		return;
	for (i = 0; i < up->n_pools; i++) {
		if (up->pools[i] != NULL)
			pool_fini(up->pools[i]);
		free(up->pools[i]);
	}
	quotas_free(up->quotas);
	free(up->name);
	free(up);
}

static bool
take_below(_Atomic unsigned *n, const _Atomic unsigned *most)
{
	unsigned now = atomic_load(n);

	do {
		if (now >= atomic_load(most))
			return false;
	} while (!atomic_compare_exchange_weak(n, &now, now + 1));
	return true;
}

bool
upstream_slot_take(struct upstream *up)
{
	if (up->cap == NULL)
		return take_below(&up->open, &up->most);
	if (!cap_count(up->cap, up->side, atomic_load(&up->most)))
		return false;
	atomic_fetch_add(&up->open, 1);
	return true;
}

void
upstream_slot_free(struct upstream *up)
{
	atomic_fetch_sub(&up->open, 1);
	if (up->cap != NULL)
		cap_discount(up->cap, up->side);
}

void
upstream_slot_send(struct upstream *up)
{
	atomic_fetch_sub(&up->open, 1);
	cap_move(up->cap, up->side);
}

void
upstream_slot_keep(struct upstream *up)
{
	cap_move(up->cap, !up->side);
	atomic_fetch_add(&up->open, 1);
}

void
upstream_slot_receive(struct upstream *up)
{
	atomic_fetch_add(&up->open, 1);
}

bool
upstream_pin_take(struct upstream *up)
{
	return take_below(&up->pins, &up->pins_most);
}

void
upstream_pin_free(struct upstream *up)
{
	atomic_fetch_sub(&up->pins, 1);
}
