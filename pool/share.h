/*
 * Shared connections: in shared mode any number of leases ride on one, those of
 * one key, while the protocol has room on it (peer_ops.room).
 *
 * A shelf lists the connections that are open to all of its key, from the
 * moment they are opened: who comes meanwhile waits for them and opens none.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef POOL_SHARE_H
#define POOL_SHARE_H

#include "pool/lease.h"

/* May leases of this pool be shared? */
static inline bool
pool_shares(const struct pool *p)
{
	return p->conf->pool.span == CONF_SPAN_OWED;
}

/* u is open to all of its key from now on. Twice is fine. */
void share_begin(struct upconn *u);
/* Closed to newcomers; who rides stays. Twice is fine. */
void share_end(struct upconn *u);
/* Closed for as long as something large passes on it; then open again, if the
   key has not as many others by then. */
void share_again(struct upconn *u);

/*
 * A connection at the site that a may ride on now, or NULL. *coming: one that
 * is opening, or full, and a is to wait for it rather than open another.
 */
struct upconn *share_find(struct ask *a, struct site *site, bool *coming);

/* One with room wherever a may go, however few there are: for where no other can
   be opened. NULL = there is none. */
struct upconn *share_find_anywhere(const struct ask *a);

/* a waits, or does not any more, for one that is opening or full: not for a
   place, so it stands in nobody's way who does. */
void share_await(struct ask *a, bool on);
/* Whoever waits and may ride somewhere now, does; when what one waits for does
   not come any more he is to be served like anybody. */
void share_look(struct pool *p);

/* u has room again, or has just been made: grant it to those who wait for it.
   When nobody rides in the end it goes home. */
void share_grant(struct upconn *u);

/* u->busy was set so that u stays here whoever gives it back: that is over. Who
   waits for it is granted; if nobody has it it goes home, perhaps to another
   worker. Not to be touched afterwards. */
void share_dealt_with(struct upconn *u);

/* u, which was being opened, will not come: refuse all who wait for it, and can
   ride on no other. Not those who began to wait after the ask `newest`, perhaps
   in the very callbacks: they have another try. */
void share_refuse(struct upconn *u, uint64_t newest, enum refusal why,
    int error, const char *said);

/* u goes home, or closes: it will be somebody else's, and who waited for this
   one waits like anybody. */
void share_forget(struct upconn *u);

#endif
