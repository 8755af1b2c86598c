/*
 * Answers that wait for the lanes. See settle.h; letters reach a lane in the
 * order in which they were posted, so one behind the order is enough. The weir
 * before does the same, and says when.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/admin/settle.h"

#include <stdlib.h>

#include "proxy/admin/caller.h"
#include "proxy/gather.h"
#include "proxy/upgrade/upgrade.h"

struct settling {
	struct gather all;              /* held by main */
	struct awaited awaited;
	struct caller *caller;          /* main's; NULL = nobody waits */
	unsigned status;
	json_t *answer;                 /* main's; NULL = has been given */
	settle_fill *fill;              /* NULL = it says all */
	struct upgrade_wait before;     /* main's: for the weir before */
	struct gather_part parts[];
};

static void
visit(struct worker *w, struct gather_part *letter)
{
	(void)w, (void)letter;
}

static void
forget(struct awaited *what)
{
	struct settling *s = container_of(what, struct settling, awaited);

	s->caller->awaited = NULL;
	s->caller = NULL;
	list_remove(&s->before.link);
	json_decref(s->answer);
	s->answer = NULL;
	gather_drop(&s->all);
}

static void
give(struct awaited *what)
{
	struct settling *s = container_of(what, struct settling, awaited);
	struct caller *c = s->caller;
	json_t *answer = json_incref(s->answer);
	unsigned status = s->status;

	if (s->fill != NULL)
		s->fill(c, answer);
	forget(what);
	caller_reply_json(c, status, answer);
}

static void
whole(struct gather *all)
{
	struct settling *s = container_of(all, struct settling, all);
	struct runtime *rt;

	if (s->caller == NULL)
		return;
	rt = s->caller->admin->rt;
	if (atomic_load(&rt->unheard))
		upgrade_wait(rt, &s->before);
	else
		give(&s->awaited);
}

static void
heard(struct upgrade_wait *w)
{
	give(&container_of(w, struct settling, before)->awaited);
}

static void
release(struct gather *all)
{
	free(container_of(all, struct settling, all));
}

static const struct gather_ops ops = { visit, whole, release };

void
settle_reply_filled(struct caller *c, unsigned status, json_t *j,
    settle_fill *fill)
{
	struct runtime *rt = c->admin->rt;
	struct settling *s = j == NULL ? NULL : calloc(1, sizeof(*s) +
	    rt->n_lanes * sizeof(s->parts[0]));
	size_t i;

	if (s == NULL) {
		if (j != NULL && fill != NULL)
			fill(c, j);
		caller_reply_json(c, status, j);
		return;
	}
	gather_init(&s->all, &ops);
	s->awaited = (struct awaited){ give, forget };
	s->caller = c;
	s->status = status;
	s->answer = j;
	s->fill = fill;
	s->before.heard = heard;
	list_init(&s->before.link);
	for (i = 0; i < rt->n_lanes; i++)
		gather_ask(&s->all, &s->parts[i], rt->lanes[i]);
	caller_wait(c, &s->awaited);
}

void
settle_reply(struct caller *c, unsigned status, json_t *j)
{
	settle_reply_filled(c, status, j, NULL);
}
