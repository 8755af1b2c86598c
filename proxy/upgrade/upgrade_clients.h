/*
 * Clients on their way to another weir that has taken over: lanes send those that
 * are idle to main (transfer.h), and main over the channel; and the other end of
 * that.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_UPGRADE_UPGRADE_CLIENTS_H
#define PROXY_UPGRADE_UPGRADE_CLIENTS_H

#include "proxy/runtime.h"
#include "proxy/upgrade/upgrade_channel.h"

/*
 * From now on, for as long as the channel lasts, which is to outlive this. *cl is
 * NULL, or what an earlier call has made: then they go to this channel. Out of
 * memory nobody goes, and all are drained.
 */
struct clients;
void clients_begin(struct clients **cl, struct runtime *rt, struct channel *c);

/* The channel has ended: who has not left yet stays, and who was on the way, but
   not sent, waits for another. */
void clients_end(struct clients *cl);
/* There is no other: those are closed, as at the end of a drain, and so is who
   left his lane before it knew. Until clients_begin(). */
void clients_give_up(struct clients *cl);

/* When no lane runs any more, and main's mail has been dropped. */
void clients_free(struct clients *cl);

/* One has come: to the listener of that name, if there is one and it speaks that
   protocol, else it is closed. fds are taken over, -1 where they were lost on the
   way. False: it makes no sense. */
bool take_client(struct runtime *rt, const struct message *m, int *fds);

/* A protocol in the weir that has taken over asks itself here. */
void take_question(struct runtime *rt, const struct message *m);

#endif
