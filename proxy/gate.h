/*
 * What may come in: connections and requests held against their listener's
 * limits, allow and deny, and weir's own budget. Limits of a client come before
 * those of all, so that one who is refused takes nothing from the others.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_GATE_H
#define PROXY_GATE_H

#include "proxy/exchange.h"

/* Main, before a snapshot with conf runs: what its limits remember. What there
   is already stays. -1 when out of memory. */
int gate_provide(struct listener *l, const struct conf_listener *conf)
    MUST_CHECK;
/* Main, when the listener is freed. */
void gate_fini(struct listener *l);

/*
 * To refuse costs work too, and who floods asks again the moment he is told.
 * What is refused to a client more often than his limit would have let him
 * through is told him some time later: others do not notice his flood then.
 */
int64_t gate_flood_ms(struct door *d);

/*
 * A client has connected. N_LIMITS: it may come in and is counted, until
 * gate_left(); *counted says whether as its address's. Else the limit that
 * refuses it, counted, with the time after which it may try again (0 = not
 * known), and whether it is to be told late.
 */
enum limit gate_connection(struct door *d, const struct addr_ip *client,
    bool *counted, int64_t *retry_after_ns, bool *flood);

/*
 * The same in two steps, for one that comes through a proxy. gate_arrival: a
 * connection of the proxy's; N_LIMITS: it is counted until gate_left().
 * gate_arrived: its client is known now; one that is refused is still to leave,
 * not counted as its address's.
 */
enum limit gate_arrival(struct door *d);
enum limit gate_arrived(struct door *d, const struct addr_ip *client,
    bool *counted, int64_t *retry_after_ns, bool *flood);

/* One that another weir has let in goes on here: counted, even where that makes
   more than there may be. Returns whether as its address's. */
bool gate_crossed(struct door *d, const struct addr_ip *client);

void gate_left(struct door *d, const struct addr_ip *client, bool counted);

/* Refused for want of something of weir's own. */
void gate_refused(struct door *d, enum limit why);

/* FAIL_NONE: x may go on. Else the limit is counted, and x->retry_after_ns set
   where it is known. *flood: tell it late. */
enum fail gate_request(struct exchange *x, bool *flood);

#endif
