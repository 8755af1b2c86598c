/*
 * Inside of the client: a command line that has been read (client.c), and the
 * commands themselves (commands.c).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_COMMAND_COMMANDS_H
#define PROXY_COMMAND_COMMANDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "net/err.h"
#include "proxy/command/call.h"

/* The file that is meant when none is named. */
#define CONF_DEFAULT "/etc/weir/weir.conf"

enum option {
	OPTION_JSON = 1,
	OPTION_FOR = 2,
	OPTION_TIMEOUT = 4,
	OPTION_NOW = 8,
	OPTION_LEASED = 16,
	OPTION_OLDER = 32,
	OPTION_WEIGHT = 64,
	OPTION_DROP = 128,
	OPTION_CONFIRM = 1 << 12,
	OPTION_DELAY = 1 << 16,
	OPTION_RESET = 1 << 17,
	OPTION_ERROR = 1 << 18,
	OPTION_PERCENT = 1 << 19,
	OPTION_OFF = 1 << 20
};

enum { WORDS_MOST = 3 };

struct command;

/* A command line, read. */
struct order {
	const struct command *command;
	const char *words[WORDS_MOST];  /* its arguments; NULL = not given */
	const char *conf_path, *admin;
	unsigned options;               /* those given */
	const char *what;               /* --for */
	const char *delay, *percent;    /* of `weir fault`, as written */
	const char *confirm;            /* --confirm */
	int64_t timeout_ms, older_ms, weight;
	struct call_target target;
	struct whose whose;             /* of the target, found by a file */
	bool answered;                  /* waiting: by somebody, just now */
};

/* To standard error, as "weir: ...". */
void client_complain(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* The same; with --json also to standard output, as {"error": ...}. Returns
   CLIENT_FAILED. */
int command_fail(const struct order *o, const char *fmt, ...)
    PRINTF_LIKE(2, 3);
/* It went well: text, or nothing when that is NULL; with --json {KEY: true}. */
void command_say(const struct order *o, const char *text, const char *key);
/* `weir get` with --json. Returns the exit status. */
int command_get_json(struct order *o);

/* The body of a 200, malloc'd; else what went wrong has been said, and NULL. */
char *command_fetch(struct order *o, const char *method, const char *path,
    int64_t ms) MUST_CHECK;
/* Of a GET, likewise, as JSON. */
json_t *command_fetch_json(struct order *o, const char *path) MUST_CHECK;
/*
 * Likewise, of a page with rows at key: those of the upstream (listeners: or the
 * listener) that is the first word, if there is one, and as the options want
 * them. NULL too when there is nothing of that name.
 */
json_t *command_fetch_rows(struct order *o, const char *path, const char *key,
    bool listeners) MUST_CHECK;
/* Of what /connections says: processes of this machine that weir could not see,
   and whoever runs this may. Takes up to 2 s; nothing where weir is elsewhere. */
void command_find_processes(const struct call_target *t, json_t *j);
/* As a line of standard output. */
void command_print(const json_t *j);
/* A path: "/upstreams/NAME/" of the first word, and what. */
struct path;
void command_path_begin(struct path *p, const struct order *o,
    const char *what);

/* What is wrong, a line each. */
void command_errors(const json_t *errors);

enum { COMMAND_CALL_MS = 10 * 1000 };

/* Each does what its name says and returns the exit status. */
int run_stats(struct order *o);
int run_top(struct order *o);
int run_get(struct order *o);
int run_connections(struct order *o);
int run_why(struct order *o);
int run_kill(struct order *o);
int run_fault(struct order *o);
int run_dns(struct order *o);
int run_key(struct order *o);
int run_endpoint(struct order *o);
int run_pause(struct order *o);
int run_resume(struct order *o);
int run_log(struct order *o);
int run_plan(struct order *o);
int run_confirm(struct order *o);
int run_drift(struct order *o);
int run_reload(struct order *o);
int run_upgrade(struct order *o);
int run_wait(struct order *o);
int run_ready(struct order *o);
int run_stop(struct order *o);

#endif
