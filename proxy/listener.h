/*
 * Listeners: what all lanes share of one, and the doors: one lane's part.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_LISTENER_H
#define PROXY_LISTENER_H

#include <ev.h>

#include "net/count.h"
#include "net/tls_problem.h"
#include "proxy/fail.h"
#include "proxy/limit.h"
#include "proxy/proto.h"

struct generation;
struct lane;

/* What came of exchanges, as clients saw it. */
enum outcome {
	OUTCOME_1XX, OUTCOME_2XX, OUTCOME_3XX, OUTCOME_4XX, OUTCOME_5XX,
	OUTCOME_DONE,                   /* a session that ended by itself */
	OUTCOME_FAILED,                 /* cut, or never begun */
	OUTCOME_CLIENT_ABORT,
	N_OUTCOMES
};

extern const char *const outcome_names[N_OUTCOMES];

/* One listening socket of one lane. */
struct socket {
	struct list link;               /* on door->sockets */
	struct ev_io io;
	struct door *door;
	struct addr addr;
	bool shared;                    /* deals its clients out to all lanes */
	unsigned next_lane;
};

/* A listener on one lane: belongs to its thread. */
struct door {
	struct listener *listener;
	struct lane *lane;
	const _Atomic bool *draining;   /* the runtime's dismissing, or its
					   parting */
	const struct conf_listener *conf;       /* of gen */
	struct generation *gen;         /* the running one, or the last that
					   had this listener: then counted */
	struct list sockets;
	struct list sessions;
	struct list shakers;            /* sessions whose TLS handshake has to
					   wait, oldest first */
	counter n_shaking;              /* that are in it now */
	counter n_shakers;              /* on shakers */
	struct list arrivals;           /* no sessions yet: arrival.h */
	struct list refused;            /* clients that are told so later */
	unsigned n_refused;
	unsigned told_late;             /* ever; see gate_flood_ms() */
	struct list link;               /* lane->doors */
	bool closed;                    /* accepts no more */
	bool patient;                   /* and its clients, who cannot be told,
					   stay until the runtime's parting */
	bool crosses;                   /* closed, and its clients go over to
					   another weir as they become idle:
					   transfer.h */
	bool holds_gen;                 /* closed, with sessions left; or open,
					   but not in the running one */
	struct deadline pause;          /* out of descriptors: accept again */
	bool full;                      /* accepting has paused: no descriptors */
	counter handshakes, resumed;    /* of TLS, that went well */
	counter tls_problems[N_TLS_PROBLEMS];   /* those that did not */
	int64_t tls_noted_ns;           /* when it was last logged that a client
					   speaks TLS here; 0 = never */
	uint64_t headers_bad;           /* PROXY headers, ever */
	int64_t headers_bad_ns;         /* when that was last logged; 0 = never */
	counter active, accepted, rejected, requests, received, sent;
	counter outcomes[N_OUTCOMES];
	counter failures[N_FAILS];
	counter limited[N_LIMITS];      /* refused, by enum limit; bandwidth:
					   held back */
	counter shadowed[N_LIMITS];     /* would have been */
	struct hist latency;
};

/* Made and freed by main; stays across reloads while its name does. */
struct listener {
	char *name;
	const struct proto *proto;
	_Atomic uint64_t active;        /* sessions on all lanes, for the limit */
	/* What limits remember, across reloads. */
	_Atomic int64_t  full_ns[CONF_N_LIMITS];        /* buckets for all */
	/* By enum conf_limit_name; NULL until a file first has that limit. */
	_Atomic(struct bucket_table *) buckets[CONF_N_LIMITS];
	_Atomic(struct client_table *) clients;
	size_t dealt;                   /* main's: clients of another weir */
	size_t n_doors;
	struct door *doors[];           /* by lane */
};

struct listener *listener_new(const char *name, const struct proto *proto,
    struct lane *const *lanes, size_t n_lanes) MUST_CHECK;
void listener_free(struct listener *l);

/* On its lane. */
void door_open_socket(struct door *d, int fd, const struct addr *addr,
    bool shared);
/* Accept what is in its backlog, then stop; the descriptor is closed. */
void door_close_socket(struct door *d, const struct addr *addr);
/* All its sockets; sessions are told to take leave, and go on under the
   snapshot that they know. */
void door_close(struct door *d);
/* The running snapshot has it not, but it stays open under the one that had. */
void door_hold(struct door *d);
/* The listener is back in the file. */
void door_reopen(struct door *d);
/* Has it neither sessions nor arrivals? */
bool door_is_empty(const struct door *d);
/* A session or arrival of it has ended. */
void door_session_left(struct door *d);
/* Refuse a client: tell it why, where the protocol has words for that, and close
   fd; flood: some time later. */
void door_turn_away(struct door *d, int fd, enum limit why,
    int64_t retry_after_ns, bool flood);

#endif
