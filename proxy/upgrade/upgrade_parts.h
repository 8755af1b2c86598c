/*
 * Inside of an upgrade: what its files share.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_UPGRADE_UPGRADE_PARTS_H
#define PROXY_UPGRADE_UPGRADE_PARTS_H

#include "proxy/upgrade/upgrade.h"
#include "proxy/upgrade/upgrade_channel.h"
#include "proxy/upgrade/upgrade_counts.h"
#include "proxy/upgrade/upgrade_heir.h"
#include "proxy/upgrade/upgrade_orders.h"
#include "proxy/upgrade/upgrade_pools.h"
#include "proxy/upgrade/upgrade_slow.h"

#define UPGRADE_VARIABLE "WEIR_UPGRADE"

enum {
	UPGRADE_SWEEP_MS = 20,          /* who waits for whose connections */
	UPGRADE_IDLE_MS = 50,           /* what was idle for so long nobody here
					   is about to use */
	UPGRADE_WARM_MS = 20 * 1000,    /* the new one waits so long until it
					   is warm */
	UPGRADE_LIMIT_MS = 60 * 1000,   /* and has so long for everything */
	UPGRADE_AGAIN_MS = 20 * 1000    /* one that replaces another has */
};

enum upgrade_phase {
	UPGRADE_IDLE,
	UPGRADE_STARTING,               /* the new one is not ready */
	UPGRADE_GIVING,                 /* connections and numbers go over */
	UPGRADE_GOING,                  /* it has been told to accept */
	UPGRADE_FAILING,                /* it is waited for to end */
	UPGRADE_LEAVING,                /* it serves; this one drains */
	UPGRADE_BEREFT                  /* it served and has died: another is
					   started in a moment, and all of this
					   begins anew */
};

/* What the weir before said; upgrade_new.c. */
struct known_upstream;
struct known_name;

struct upgrade {
	struct runtime *rt;
	char **argv;                    /* NULL = not known */
	uint64_t count;
	struct orders orders;
	bool keys_go;                   /* the other one has said that it takes
					   connections that have keys */
	bool tried, failed;             /* ever; the last one */
	int64_t at_s;
	char *error;
	uint64_t replaced;              /* that served and died, and had a weir
					   before them that still drained */
	char *died;                     /* the last of those; NULL = none */

	/* As the one that goes. */
	enum upgrade_phase phase;
	pid_t pid;                      /* of the new one; 0 = none */
	struct channel to_new;
	struct deadline limit;          /* in each phase but the last */
	struct deadline again;          /* of FAILING and of LEAVING */
	struct deadline crowd;          /* who waits: before LEAVING */
	unsigned sweeps;
	bool sparing;                   /* lanes have been asked */
	struct counts *counts;
	struct slow_told slow;
	bool takes_clients;             /* the new one does */
	struct clients *clients;        /* that go there */
	bool mute;                      /* nothing could be sent any more at
					   the last sweep */
	char *said;                     /* why it failed, in its own words */
	void (*then)(struct runtime *rt);       /* the end; NULL = not yet */
	struct heir heir;
	struct rest rest;
	bool waited;                    /* somebody has, here: the new one may
					   still send connections for that */

	/* As the one that comes. */
	struct channel to_old;
	bool begun;                     /* all that comes before the file is
					   read has come */
	bool ready, told, prepared, going;      /* in this order: told to go,
					   lanes have what had come before
					   that, it serves */
	bool deserted;
	bool parted;                    /* the other one has said all */
	bool alone;                     /* that does not serve any more: clients
					   wait */
	pid_t old_pid;                  /* 0 = none, or it is gone */
	bool old_stays;                 /* it has drained */
	bool queued;                    /* another upgrade is, until it has
					   gone */
	int64_t started_ns;
	struct admin_past *past;        /* until it serves; NULL = none */
	size_t slow_taken;              /* exchanges that it had kept */
	struct deadline look;           /* is it warm? then: who waits? then:
					   is it gone? */
	bool sparing_back;
	struct known_upstream *upstreams;
	struct known_name *names;
	bool known_caps[CAP_MOST];      /* that its upstreams have, also of one
					   that has left its file */
};

/* It went well (error NULL), or did not. */
void upgrade_note_result(struct upgrade *up, const char *error);

/* The new one, for certain: *status is how. */
bool upgrade_is_gone(const struct upgrade *up, int *status);

/* upgrade_leave.c: the new one serves. */
void upgrade_leave(struct upgrade *up);
/* The channel to it has ended. As long as it lives it counts, and what it frees is
   looked for. */
void upgrade_mourn(struct upgrade *up);
/* No client goes there any more, nor waits for it: they are drained. */
void upgrade_stop_sending(struct upgrade *up);

/* Say how many wait here, and look whether what they wait for is there. */
void upgrade_publish(struct runtime *rt);

/* To the new one; j as for channel_send(). */
void upgrade_say(void *up, json_t *j);
void upgrade_say_word(struct upgrade *up, const char *word);

/* Every listening socket that this weir has, with copies of the lanes' numbers;
   of those that are -1 there is none. */
void upgrade_each_socket(struct runtime *rt, void (*f)(void *arg,
    const struct addr *addr, const int *fds, size_t n, bool foreign), void *arg);

/* Start that program as the new one, with fd as the channel's other end, and tell
   it what it has to know first. 0 or an errno. */
int upgrade_spawn(struct upgrade *up, const char *program, int fd) MUST_CHECK;
void upgrade_tell_beginning(struct upgrade *up);

/* Begin, in whatever phase: STARTING from here on. 0 or an errno. */
int upgrade_start(struct upgrade *up, const char *program) MUST_CHECK;

/* The new one is not wanted, or, said NULL, has ended by itself. */
void upgrade_fail(struct upgrade *up, const char *said);

/* Nobody takes the clients that are here: they are drained. */
void upgrade_keep_clients(struct upgrade *up);

/* "was killed by signal 9 (Killed)". */
void upgrade_tell_end(int status, char *out, size_t size);

/* The new side, by upgrade_init() and upgrade_fini(). */
int upgrade_join(struct runtime *rt, int fd, struct conf_errors *errors)
    MUST_CHECK;
void upgrade_forget(struct upgrade *up);

/* It is told to end: should it have taken over, nobody is to replace it. */
void upgrade_resign(struct upgrade *up);
/* The one before has gone. */
void upgrade_begin_queued(struct upgrade *up);

#endif
