/*
 * The running program: lanes, snapshots, and what keeps its name across
 * reloads. struct runtime is the only root; main() makes it and hands it down.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_RUNTIME_H
#define PROXY_RUNTIME_H

#include <pthread.h>

#include "conf/conf.h"
#include "net/resolve.h"
#include "net/worker.h"
#include "net/writer.h"
#include "pool/pool.h"
#include "proxy/access.h"
#include "proxy/denied.h"
#include "proxy/drift.h"
#include "proxy/listener.h"
#include "proxy/pressure.h"
#include "proxy/reload.h"
#include "proxy/reloads.h"
#include "proxy/service/notify.h"
#include "proxy/service/sandbox.h"
#include "proxy/service/watchdog.h"
#include "proxy/transfer.h"
#include "proxy/upgrade/inherit.h"

struct admin;
struct process_finder;
struct runtime;
struct json_t;                          /* of jansson */
struct upgrade;

/*
 * A configuration with the live things that its names stand for. Immutable;
 * freed by main when no lane uses it any more: each lane counts its exchanges
 * with a plain integer and says so when the count of an old one is 0.
 */
struct generation {
	uint64_t number;
	struct conf *conf;
	struct conf *held;              /* of the snapshot that a confirmation
					   is awaited to leave: what it had and
					   this one has not still runs by it;
					   NULL = none; a reference */
	struct upstream **upstreams;    /* by index in conf->upstreams */
	struct access_plan *access;     /* what a line of the log says */
	int64_t at_s;                   /* wall clock */
	_Atomic unsigned lanes;         /* that may still use it */
	struct runtime *runtime;
	struct list link;               /* runtime->generations */
	unsigned users[];               /* by lane; each its own thread's */
};

/* One worker thread's part of the proxy. */
struct lane {
	struct worker worker;
	struct runtime *runtime;
	pthread_t thread;
	bool started;
	struct generation *gen;         /* the one new exchanges begin with */
	struct list doors;
	struct pile sessions[N_FAMILIES];
	struct pile exchanges[N_FAMILIES];
	struct pile pieces[N_FAMILIES];
	void *own[N_FAMILIES];          /* proto.lane_size; NULL = has none */
	struct pile owed;               /* struct owed, proxy/pipeline.h */
	struct denied denied;           /* logins that it has told of */
	struct slow *slow;              /* what was slow or failed; slow.h */
	struct ring *access;            /* its lines of the access log */
	uint64_t clients;               /* that ever came to it, where they are
					   numbered */
	struct access_clock access_clock;
	int64_t grace_ends_ns;          /* draining: idle clients close then */
	bool grace_told;                /* who is closed then was said */
	struct deadline drain_step;
	struct transfer transfer;       /* of clients to another weir */
};

struct reload_result {
	bool ok;
	int64_t at_s;
	char *error;                    /* all errors, a line each; owned */
};

enum { NAMED_ROWS = 1024 };

struct runtime {
	struct worker main;             /* main's own loop, without doors */
	char *path;                     /* configuration file; NULL = built in */
	char *builtin;                  /* text of a built-in configuration */
	struct generation *gen;         /* current */
	uint64_t number_before;         /* of the weir before this one */
	struct list generations;        /* all that still live */
	struct list upstreams;          /* struct live_upstream, live.h */
	struct live_upstream *named[NAMED_ROWS];        /* the same, by the hash
					   of their names */
	struct list listeners;          /* struct live_listener, live.h */
	struct resolver *resolver;
	struct writer *writer;          /* of all logs */
	struct admin *admin;
	struct process_finder *finder;  /* see process.h */
	struct reload_result reload;
	struct reloads reloads;         /* the last ones */
	struct confirm confirm;         /* of the last one, if it is awaited */
	struct drift_pending pending;   /* what they changed for the next start */
	counter reloads_ok, reloads_bad;
	counter tls_files_ok, tls_files_bad;    /* that have changed */
	counter log_dropped;            /* by the weirs before this one */
	int64_t started_ns;
	_Atomic uint64_t last_id;       /* of upstream connections */
	uint64_t clients_before;        /* numbers of clients that weirs before
					   this one have given are lower */
	uint64_t ids_before;            /* so far the weir before this one had
					   given them */
	_Atomic bool draining;
	_Atomic bool dismissing;        /* read by lanes: answers are the last,
					   where that can be said with them */
	bool stopping;
	bool handed_over;               /* another weir serves: clients that
					   cannot be told to go there may stay
					   for a while */
	bool clients_cross;             /* and it takes clients that are idle */
	_Atomic bool parting;           /* that while is over, or there is none;
					   read by lanes */
	struct deadline drain;          /* the next step of it */
	struct deadline patience;       /* then parting begins */
	size_t lanes_busy;              /* draining, not yet empty */
	struct ev_timer sweep;
	struct notify notify;           /* who started weir */
	struct watchdog watchdog;
	struct sandbox sandbox;
	struct pressure_watch pressure;
	struct deadline look;           /* at it; proxy/relief.c */
	_Atomic int pressure_level;     /* enum pressure; read by lanes */
	_Atomic int client_fds;         /* a client whose descriptor is beyond
					   this number makes an idle one leave
					   or is refused: the rest is for
					   upstreams and weir */
	struct inheritance inherited;   /* sockets that others have made */
	bool withheld;                  /* nothing is accepted yet: the weir
					   before does */
	bool owns_files;                /* of Unix sockets: they go with us */
	struct cap_table caps;
	struct upgrade *upgrade;
	_Atomic bool unheard;           /* the weir before, which drains, does
					   not obey yet all that was ordered
					   here; read by lanes */
	/* On main's loop: a protocol asks itself in the weir before, if that
	   still drains (struct proto.asked). There is no answer. Takes the
	   reference. Set at the start; NULL = there was none. */
	void (*ask_before)(struct runtime *rt, const char *protocol,
	    struct json_t *said);
	size_t n_lanes;
	struct lane **lanes;
};

/*
 * Make everything and start the lanes. in->path or in->text as conf_load()
 * takes them. Returns 0, or -1 with the errors in *errors, nothing running.
 */
int runtime_start(struct runtime *rt, const char *path, const char *text,
    struct conf_errors *errors) MUST_CHECK;

/* What a reload reads: for conf_load(). */
struct conf_input runtime_input(const struct runtime *rt);

/* Runs main's loop until everything has drained or runtime_stop(). */
void runtime_run(struct runtime *rt);
void runtime_fini(struct runtime *rt);

/*
 * Load the file again and take it over, for good: all or nothing. 0, or -1 with
 * every error; then all is as it was. Logged and kept in rt->reload either way.
 * See reload.h.
 */
int runtime_reload(struct runtime *rt, struct conf_errors *errors) MUST_CHECK;

/* Begin to drain: unready at once, listeners close after drain_delay, whatever
   runs has drain_timeout to end, then the loop ends. Twice is fine. */
void runtime_drain(struct runtime *rt);
/* Likewise where another weir has taken over: at once, and who cannot be told
   without losing a request stays until most of drain_timeout has passed; and
   where it takes clients (clients_cross) whoever may go there. */
void runtime_leave(struct runtime *rt, bool clients_cross);
/* That while is over. */
void runtime_part(struct runtime *rt);
/* End now. */
void runtime_stop(struct runtime *rt);

/* For lanes: the last session of a draining one has gone; close this lane's
   part of every pool. */
void runtime_lane_empty(struct runtime *rt);
void runtime_close_pools(struct runtime *rt, unsigned lane);

/* Is everything bound and warm? If not, *missing says what, in words. */
bool runtime_ready(struct runtime *rt, char *missing, size_t size);

#endif
