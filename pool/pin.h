/*
 * Waiting until fewer than max_pinned leases last (shared mode).
 *
 * Such asks wait in a queue of their own, pool->pin_asks, where they keep nobody
 * waiting who wants a connection for a moment only; when one may be pinned it
 * asks like anybody.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef POOL_PIN_H
#define POOL_PIN_H

#include "pool/lease.h"

/* max_pinned are out: a waits (ASK_WAITS), or is refused REFUSAL_PINNED. */
enum asked pin_await(struct ask *a) MUST_CHECK;

/* pool->pin_look has passed: those who may be pinned now, ask. */
void pin_look(struct deadline *d);

#endif
