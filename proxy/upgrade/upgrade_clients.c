/*
 * Clients on their way to another weir. See upgrade_clients.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/upgrade/upgrade_clients.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/lane.h"
#include "proxy/live.h"

/* --------------------------------------------------------------------- going */

struct clients {
	struct crossing crossing;
	struct channel *channel;
	struct list stranded;           /* crossers that were not sent before
					   the channel ended: for another */
	bool given_up;                  /* there will be no other: those are
					   closed, also who is yet to come */
};

static void
strand(struct crosser *c)
{
	struct clients *cl = container_of(c->to, struct clients, crossing);

	if (cl->given_up)
		crosser_end(c);
	else
		list_append(&cl->stranded, &c->link);
}

static void
crosser_news(void *arg, enum sending is)
{
	if (is == SENDING_DONE)
		crosser_end(arg);
	else if (is == SENDING_NEVER)
		strand(arg);
}

/* There is no way back to its lane. */
static void
crosser_came(struct crossing *to, struct crosser *c)
{
	struct clients *cl = container_of(to, struct clients, crossing);

	if (cl->given_up || !channel_is_open(cl->channel) ||
	    cl->channel->failed)
		strand(c);
	else if (!channel_send_away(cl->channel, json_incref(c->said), NULL, 0,
	    c->fd, crosser_news, c))
		crosser_end(c);
}

static void
send_stranded(struct clients *cl)
{
	struct list all, *l;

	list_init(&all);
	while ((l = list_first(&cl->stranded)) != NULL) {
		list_remove(l);
		list_append(&all, l);
	}
	while ((l = list_first(&all)) != NULL) {
		list_remove(l);
		crosser_came(&cl->crossing, container_of(l, struct crosser,
		    link));
	}
}

void
clients_give_up(struct clients *cl)
{
	struct list *l;

	if (cl == NULL)
		return;
	cl->given_up = true;
	while ((l = list_first(&cl->stranded)) != NULL)
		crosser_end(container_of(l, struct crosser, link));
}

void
clients_begin(struct clients **cl, struct runtime *rt, struct channel *c)
{
	size_t i;

	if (*cl == NULL) {
		*cl = calloc(1, sizeof(**cl));
		if (*cl == NULL)
			return;
		list_init(&(*cl)->stranded);
	}
	(*cl)->crossing.main = &rt->main;
	(*cl)->crossing.came = crosser_came;
	(*cl)->channel = c;
	(*cl)->given_up = false;
	atomic_store(&(*cl)->crossing.over, false);
	for (i = 0; i < rt->n_lanes; i++)
		lane_post_transfer(rt->lanes[i], &(*cl)->crossing);
	send_stranded(*cl);
}

void
clients_end(struct clients *cl)
{
	if (cl != NULL)
		atomic_store(&cl->crossing.over, true);
}

void
clients_free(struct clients *cl)
{
	clients_give_up(cl);
	free(cl);
}

/* -------------------------------------------------------------------- coming */

/* To a lane. Owned by the mail. */
struct newcomer {
	struct mail mail;
	struct door *door;
	json_t *said;
	int fd;
};

static void
newcomer_arrived(struct worker *w, struct mail *m)
{
	struct newcomer *n = container_of(m, struct newcomer, mail);

	(void)w;
	transfer_take_in(n->door, n->fd, n->said);
	json_decref(n->said);
	free(n);
}

static void
newcomer_dropped(struct mail *m)
{
	struct newcomer *n = container_of(m, struct newcomer, mail);

	close(n->fd);
	json_decref(n->said);
	free(n);
}

static struct listener *
listener_of(const struct runtime *rt, const struct message *m)
{
	const char *name = message_text(m, "listener");
	const char *protocol = message_text(m, "protocol");
	const struct list *l;

	for (l = rt->listeners.next; l != &rt->listeners; l = l->next) {
		const struct live_listener *ll =
		    container_of(l, const struct live_listener, link);

		if (ll->conf != NULL && strcmp(ll->listener->name, name) == 0 &&
		    strcmp(ll->listener->proto->conf.name, protocol) == 0)
			return ll->listener;
	}
	return NULL;
}

bool
take_client(struct runtime *rt, const struct message *m, int *fds)
{
	struct listener *l = listener_of(rt, m);
	struct newcomer *n;
	json_t *said;
	size_t i;

	if (m->n_fds != 1) {
		for (i = 0; i < m->n_fds; i++)
			if (fds[i] >= 0)
				close(fds[i]);
		return false;
	}
	if (fds[0] < 0)
		return true;
	/* A copy: two threads may not have one object. */
	said = l != NULL ? json_deep_copy(m->j) : NULL;
	n = said != NULL ? calloc(1, sizeof(*n)) : NULL;
	if (n == NULL) {
		json_decref(said);
		close(fds[0]);
		return true;
	}
	/* In turn: how many each has is not known while some are on their
	   way. */
	*n = (struct newcomer){ .fd = fds[0], .said = said,
	    .door = l->doors[l->dealt++ % l->n_doors],
	    .mail = { .deliver = newcomer_arrived, .drop = newcomer_dropped } };
	worker_post(&n->door->lane->worker, &n->mail);
	return true;
}

/* Clients that have not gone over may be meant. */
void
take_question(struct runtime *rt, const struct message *m)
{
	const char *name = message_text(m, "protocol");
	const struct conf_proto *const *c;

	for (c = proto_table; *c != NULL; c++)
		if (strcmp((*c)->name, name) == 0 &&
		    proto_of(*c)->asked != NULL)
			proto_of(*c)->asked(rt, json_object_get(m->j, "said"));
}
