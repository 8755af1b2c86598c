/*
 * The commands of Redis 7, a row each (and a row for each subcommand of a
 * container command): what a pooled connection has to know of them, and where
 * their keys are. What is done about it is elsewhere (redis.h).
 *
 * Facts: the reply of COMMAND of Redis 7.0 and 7.2, and the commands' pages.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_REDIS_COMMANDS_H
#define PROXY_REDIS_COMMANDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/proto/redis/resp.h"

/* How a command may travel. */
enum redis_how {
	REDIS_SHARED,                   /* among those of others */
	REDIS_ALONE,                    /* on a lease of its own for its one
					   reply: it does something to
					   connections, is meant to be read
					   while others are stuck (SCRIPT KILL,
					   FUNCTION KILL, SHUTDOWN, CLIENT KILL,
					   CLIENT PAUSE, DEBUG, FAILOVER) */
	REDIS_BLOCKS,                   /* may wait for something: alone too
					   (XREAD, XREADGROUP: only if they
					   have BLOCK) */
	REDIS_PINS,                     /* begins something that lasts */
	REDIS_ENDS,                     /* ends it: only of use when pinned,
					   else like SHARED */
	REDIS_OURS,                     /* weir has it in hand: connection
					   state, or what it answers itself */
	REDIS_REFUSED                   /* would take the connection over
					   (SYNC, PSYNC, REPLCONF, MIGRATE's
					   partner commands ...) */
};

/* Why a connection is pinned, as users see it; and the reasons of one command.
   Index into redis_pin_names. */
enum redis_pin {
	REDIS_PIN_MULTI, REDIS_PIN_WATCH, REDIS_PIN_BLOCKED,
	REDIS_PIN_SUBSCRIBE, REDIS_PIN_MONITOR, REDIS_PIN_REPLY,
	REDIS_PIN_TRACKING, REDIS_PIN_NO_EVICT, REDIS_PIN_NO_TOUCH,
	REDIS_PIN_LARGE,                /* a command above share_max */
	REDIS_PIN_ALONE, REDIS_PIN_UNKNOWN, REDIS_N_PINS
};

extern const char *const redis_pin_names[REDIS_N_PINS + 1];

/* The commands that need code of their own. WAIT is WAITAOF's too. */
enum redis_op {
	REDIS_OP_NONE,
	REDIS_OP_MULTI, REDIS_OP_EXEC, REDIS_OP_DISCARD,
	REDIS_OP_WATCH, REDIS_OP_UNWATCH,
	REDIS_OP_SUBSCRIBE, REDIS_OP_PSUBSCRIBE, REDIS_OP_SSUBSCRIBE,
	REDIS_OP_UNSUBSCRIBE, REDIS_OP_PUNSUBSCRIBE, REDIS_OP_SUNSUBSCRIBE,
	REDIS_OP_MONITOR,
	REDIS_OP_SELECT, REDIS_OP_AUTH, REDIS_OP_HELLO, REDIS_OP_RESET,
	REDIS_OP_QUIT, REDIS_OP_WAIT,
	REDIS_OP_CLIENT_SETNAME, REDIS_OP_CLIENT_GETNAME, REDIS_OP_CLIENT_ID,
	REDIS_OP_CLIENT_SETINFO, REDIS_OP_CLIENT_INFO, REDIS_OP_CLIENT_REPLY,
	REDIS_OP_CLIENT_TRACKING,
	REDIS_OP_CLIENT_NO_EVICT, REDIS_OP_CLIENT_NO_TOUCH,
	REDIS_OP_CLIENT_UNBLOCK
};

/* How one over several endpoints is taken apart and put together. */
enum redis_split {
	REDIS_SPLIT_NONE,
	REDIS_SPLIT_VALUES,             /* MGET: arrays, in the order of keys */
	REDIS_SPLIT_SUM,                /* DEL UNLINK TOUCH EXISTS: integers */
	REDIS_SPLIT_OK                  /* MSET: +OK when all say so */
};

/* How the keys of a movable one are found. */
enum redis_finder {
	REDIS_BY_POSITION,              /* first, last, step: not movable, and
					   SORT_RO, of whose keys no more can
					   be told */
	REDIS_BY_COUNT,                 /* position, then those keynum counts */
	REDIS_BY_STREAMS,               /* the first half after STREAMS */
	REDIS_BY_MIGRATE,               /* the third, or all after KEYS */
	REDIS_BY_SORT,                  /* position, and the one after STORE */
	REDIS_BY_GEO                    /* or after STORE or STOREDIST */
};

struct redis_command {
	const char *name;               /* lower case; "client|setname" */
	uint8_t name_len;               /* with the container's */
	enum redis_how how;
	enum redis_pin pin;             /* of BLOCKS, PINS, ALONE */
	enum redis_op op;
	enum redis_split split;
	bool container;                 /* the second word says which; this row
					   is for subcommands without one:
					   pinned as UNKNOWN where a newer
					   server's might change the connection
					   (CLIENT, SCRIPT) */
	bool write;                     /* COMMAND's flag "write" */
	bool read;                      /* changes nothing, tells nobody: may be
					   sent twice. Less than "not write":
					   scripts and PUBLISH are neither */
	bool movable;                   /* its keys do not simply begin at
					   first: redis_command_keys() knows */
	/* Keys by position, as COMMAND has it: first 0 = none, last -1 = to the
	   end (-2: one before), every step-th. */
	int8_t first, last, step;
	int8_t keynum;                  /* movable: the argument that says how
					   many keys follow it; 0 = otherwise */
	enum redis_finder finder;
	const struct redis_command *subs;       /* of a container, by length */
	uint8_t n_subs;
};

/*
 * The row of a command by its first word, in any case; sub is the second word
 * (len 0 when there is none). Of a container whose subcommand has no row, the
 * container's. NULL = not known.
 */
const struct redis_command *redis_command_find(const char *name, size_t len,
    const char *sub, size_t sub_len);

/* Every row, one after the other, a container's subcommands after it; NULL
   after the last one. For tests and pages, not for the way of a command. */
const struct redis_command *redis_command_at(size_t i);

/*
 * The keys of a whole multibulk command: up to most of them into keys, in
 * order; returns how many there are in all. Malformed ones (numkeys beyond the
 * arguments, no STREAMS) have none: the server will say what is wrong.
 * Where COMMAND GETKEYS and the command itself read its words differently (a
 * group named STREAMS), it is as the command reads them. What follows a shard
 * channel's command counts as keys. Scripts and SORT may touch keys that stand
 * nowhere in the command.
 */
size_t redis_command_keys(const struct redis_command *row, const char *bytes,
    size_t len, struct resp_span *keys, size_t most);

/* Does a whole XREAD, XREADGROUP have a BLOCK option? True for any other row
   that is REDIS_BLOCKS. */
bool redis_command_blocks(const struct redis_command *row, const char *bytes,
    size_t len);

#endif
