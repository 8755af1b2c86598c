/*
 * Endpoints and rosters. See endpoint.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/endpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "net/patient.h"

const char *const endpoint_fault_names[N_FAULTS] = {
	[FAULT_CONNECT_FAILED] = "connect_failed",
	[FAULT_CONNECT_TIMEOUT] = "connect_timeout",
	[FAULT_CLOSED] = "closed",
	[FAULT_RESET] = "reset",
	[FAULT_TIMEOUT] = "timeout",
	[FAULT_BAD_ANSWER] = "bad_answer",
	[FAULT_UNAVAILABLE] = "unavailable",
	[FAULT_TLS] = "tls_failed"
};

struct endpoint *
endpoint_new(const char *name, const char *authority, const struct addr *addr,
    unsigned weight, unsigned most)
{
	struct endpoint *e = patient_zeroed(sizeof(*e));

	if (e == NULL)
		return NULL;
	e->name = patient_copy(name);
	e->authority = patient_copy(authority);
	if (e->name == NULL || e->authority == NULL) {
		free(e->name);
		free(e->authority);
		free(e);
		return NULL;
	}
	e->addr = *addr;
	addr_print(addr, e->resolved);
	atomic_init(&e->refs, 1);
	atomic_init(&e->weight, weight);
	atomic_init(&e->most, most);
	atomic_init(&e->current, true);
	atomic_init(&e->since_s, (int64_t)time(NULL));
	atomic_init(&e->last_error, "");
	pthread_mutex_init(&e->refusal_lock, NULL);
	return e;
}

struct endpoint *
endpoint_keep(struct endpoint *e)
{
	atomic_fetch_add(&e->refs, 1);
	return e;
}

void
endpoint_drop(struct endpoint *e)
{
	if (e == NULL || atomic_fetch_sub(&e->refs, 1) != 1)
		return;
	free(e->name);
	free(e->authority);
	free(e->host);
	pthread_mutex_destroy(&e->refusal_lock);
	free(e);
}

void
endpoint_refuses(struct endpoint *e, const char *said)
{
	pthread_mutex_lock(&e->refusal_lock);
	snprintf(e->refusal, sizeof(e->refusal), "%s", said);
	pthread_mutex_unlock(&e->refusal_lock);
	atomic_store(&e->refuses, true);
}

bool
endpoint_refusal(struct endpoint *e, char out[ENDPOINT_REFUSAL])
{
	*out = '\0';
	if (!atomic_load(&e->refuses))
		return false;
	pthread_mutex_lock(&e->refusal_lock);
	memcpy(out, e->refusal, ENDPOINT_REFUSAL);
	pthread_mutex_unlock(&e->refusal_lock);
	return true;
}

void
endpoint_fault(struct endpoint *e, enum endpoint_fault what, int error)
{
	const char *text = error != 0 ? strerrordesc_np(error) : NULL;

	endpoint_fault_said(e, what, text != NULL ? text :
	    endpoint_fault_names[what]);
}

void
endpoint_fault_said(struct endpoint *e, enum endpoint_fault what,
    const char *text)
{
	unsigned limit = atomic_load_explicit(&e->eject_after,
	    memory_order_relaxed);
	unsigned failing;

	atomic_fetch_add(&e->faults[what], 1);
	atomic_store(&e->last_error, text);
	atomic_store(&e->refuses, false);
	failing = atomic_fetch_add(&e->failing, 1) + 1;
	/* Again after as many more: it may not have been ejected for the first,
	   or have come back. */
	if (limit > 0 && failing % limit == 0 && e->suspect != NULL)
		e->suspect(e->suspect_arg, e);
}

bool
endpoint_bar(struct endpoint *e, enum endpoint_bar bar, bool on, int64_t now_ns)
{
	unsigned before = atomic_load(&e->bars);

	/* Before the bar goes: whoever sees it usable sees how new that is. */
	if (!on && before == bar)
		atomic_store(&e->up_since_ns, now_ns);
	before = on ? atomic_fetch_or(&e->bars, bar) :
	    atomic_fetch_and(&e->bars, ~(unsigned)bar);
	if (on ? before != 0 : before != bar)
		return false;
	atomic_store(&e->since_s, (int64_t)time(NULL));
	return true;
}

const char *
endpoint_state(const struct endpoint *e)
{
	unsigned bars = atomic_load(&e->bars);

	if (bars & BAR_DOWN)
		return "down";
	if (bars & BAR_DRAIN)
		return "drain";
	if (bars & (BAR_CHECK | BAR_DEMOTED))
		return "down";
	return bars & BAR_EJECTED ? "ejected" : "up";
}

struct roster *
roster_new(size_t n)
{
	struct roster *r = patient_zeroed(sizeof(*r) + n * sizeof(r->v[0]));

	if (r != NULL) {
		atomic_init(&r->refs, 1);
		r->n = n;
	}
	return r;
}

struct roster *
roster_keep(struct roster *r)
{
	atomic_fetch_add(&r->refs, 1);
	return r;
}

void
roster_drop(struct roster *r)
{
	size_t i;

	if (r == NULL || atomic_fetch_sub(&r->refs, 1) != 1)
		return;
	for (i = 0; i < r->n; i++)
		endpoint_drop(r->v[i]);
	free(r);
}
