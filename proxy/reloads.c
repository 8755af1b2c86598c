/*
 * Reloads remembered. See reloads.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/reloads.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

const char *const reload_ends[RELOAD_N_ENDS] = {
	[RELOAD_OK] = "ok",
	[RELOAD_REFUSED] = "refused",
	[RELOAD_REVERTED] = "reverted",
	[RELOAD_CONFIRMED] = "confirmed"
};

void
reload_entry_fini(struct reload_entry *e)
{
	size_t i;

	for (i = 0; i < e->n_texts; i++)
		free(e->texts[i]);
	free(e->texts);
	free(e->error);
}

static void
keep_texts(struct reload_entry *e, const struct diff *d)
{
	size_t i, n = d->n < RELOADS_TEXTS_MOST ? d->n : RELOADS_TEXTS_MOST;

	e->left_out = d->n;
	e->texts = calloc(n + 1, sizeof(*e->texts));
	for (i = 0; e->texts != NULL && i < n; i++) {
		e->texts[i] = strdup(d->v[i].text);
		if (e->texts[i] == NULL)
			break;
		e->n_texts++;
		e->left_out--;
	}
}

void
reloads_put(struct reloads *r, struct reload_entry *e)
{
	if (r->n == RELOADS_KEPT)
		reload_entry_fini(&r->v[--r->n]);
	memmove(&r->v[1], &r->v[0], r->n * sizeof(r->v[0]));
	r->n++;
	r->v[0] = *e;
	*e = (struct reload_entry){ .texts = NULL };
}

void
reloads_add(struct reloads *r, enum reload_end end, uint64_t generation,
    const struct diff *d, const char *error)
{
	struct reload_entry e = { .end = end, .at_s = (int64_t)time(NULL),
	    .generation = generation };

	if (d != NULL)
		keep_texts(&e, d);
	if (error != NULL)
		e.error = strdup(error);
	reloads_put(r, &e);
}

void
reloads_fini(struct reloads *r)
{
	while (r->n > 0)
		reload_entry_fini(&r->v[--r->n]);
}
