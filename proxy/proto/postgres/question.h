/*
 * What is asked of weir itself, on its console: the commands there are, and the
 * letter in which one travels.
 *
 * A lane must not wait, and connections belong to their lanes' threads: so the
 * question goes by mail, from lane to lane where it is about connections, and
 * to main where it is about the program, and comes back with its answer to the
 * lane of the client, who may have left by then. Nobody but who has the letter
 * looks into it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_POSTGRES_QUESTION_H
#define PROXY_POSTGRES_QUESTION_H

#include "proxy/proto/postgres/postgres.h"
#include "proxy/proto/postgres/rows.h"

struct pg_question;
struct pg_tally;

struct pg_command {
	const char *words;              /* in upper case, one space between */
	const char *help;
	const struct pg_column *columns;        /* of its rows; NULL = none */
	const char *tag;                /* of CommandComplete */
	bool changes;                   /* something: not for everybody */
	bool names;                     /* an upstream may follow */
	bool waits;                     /* it is over when nothing is leased */
	/* Any of these, in this order. On each lane in turn; false: there is
	   more of it, and it is called again in a later turn. */
	bool (*on_lane)(struct pg_question *q, struct lane *lane);
	/* When the last lane has had it, there. */
	void (*sum)(struct pg_question *q);
	void (*on_main)(struct pg_question *q);
};

/* Ends with one whose words are NULL. */
extern const struct pg_command pg_commands[];

enum { PG_UPSTREAM_MOST = 128 };        /* of a name, its end included */

/* Owns itself while it is on its way. */
struct pg_question {
	struct mail mail;
	struct runtime *runtime;
	const struct pg_command *command;
	unsigned home;                  /* the lane it comes from */
	uint32_t pid;                   /* of the client, and that it is still
					   the same one: */
	unsigned char secret[PG_SECRET];
	char upstream[PG_UPSTREAM_MOST];    /* "" = all */
	unsigned lane;                  /* where it is, or goes next */
	uint32_t slot;                  /* of the client that is next there */
	struct pg_tally *tallies;       /* what has been counted */
	struct pg_rows rows;
	const char *code;               /* SQLSTATE; NULL = it went well */
	char error[400];
};

/* The command that the text is, and in upstream what it names, "" = nothing;
   NULL: there is none. A text without a word: *empty. */
const struct pg_command *pg_command_find(const char *text,
    char upstream[PG_UPSTREAM_MOST], bool *empty);

/* For s, which is let in. pg_console_answered() follows in a later turn, unless
   s has gone or weir ends. -1 when out of memory. */
int pg_question_ask(struct session *s, const struct pg_command *command,
    const char *upstream) MUST_CHECK;

/* It failed. */
void pg_question_fail(struct pg_question *q, const char *code, const char *fmt,
    ...) PRINTF_LIKE(3, 4);

/* walk.c: of the lanes' clients and connections. */
extern const struct pg_column pg_pools_columns[], pg_clients_columns[],
    pg_servers_columns[], pg_lists_columns[];
bool pg_walk_pools(struct pg_question *q, struct lane *lane);
bool pg_walk_clients(struct pg_question *q, struct lane *lane);
bool pg_walk_servers(struct pg_question *q, struct lane *lane);
void pg_sum_pools(struct pg_question *q);
void pg_sum_lists(struct pg_question *q);
void pg_tallies_free(struct pg_tally **all);

/* program.c: on main. */
extern const struct pg_column pg_stats_columns[], pg_databases_columns[],
    pg_config_columns[], pg_version_columns[], pg_help_columns[];
void pg_tell_stats(struct pg_question *q);
void pg_tell_databases(struct pg_question *q);
void pg_tell_config(struct pg_question *q);
void pg_tell_version(struct pg_question *q);
void pg_tell_help(struct pg_question *q);
void pg_do_pause(struct pg_question *q);
void pg_do_resume(struct pg_question *q);
void pg_do_reload(struct pg_question *q);

#endif
