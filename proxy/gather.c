/*
 * Letters to all lanes. See gather.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/gather.h"

#include "proxy/lane.h"
#include "proxy/runtime.h"

void
gather_init(struct gather *all, const struct gather_ops *ops)
{
	all->ops = ops;
	all->missing = 0;
	atomic_init(&all->refs, 1);
}

void
gather_keep(struct gather *all)
{
	atomic_fetch_add(&all->refs, 1);
}

void
gather_drop(struct gather *all)
{
	if (atomic_fetch_sub(&all->refs, 1) == 1)
		all->ops->release(all);
}

/* A lane has ended, or main: nobody waits for the answer any more. */
static void
dropped(struct mail *m)
{
	gather_drop(container_of(m, struct gather_part, mail)->all);
}

static void
came_back(struct worker *w, struct mail *m)
{
	struct gather_part *p = container_of(m, struct gather_part, mail);
	struct gather *all = p->all;

	(void)w;
	p->back = true;
	if (--all->missing == 0)
		all->ops->whole(all);
	gather_drop(all);
}

static void
arrived(struct worker *w, struct mail *m)
{
	struct gather_part *p = container_of(m, struct gather_part, mail);

	p->all->ops->visit(w, p);
	m->deliver = came_back;
	worker_post(&p->lane->runtime->main, m);
}

void
gather_ask(struct gather *all, struct gather_part *p, struct lane *lane)
{
	*p = (struct gather_part){ .all = all, .lane = lane,
	    .mail = { .deliver = arrived, .drop = dropped } };
	all->missing++;
	gather_keep(all);
	worker_post(&lane->worker, &p->mail);
}
