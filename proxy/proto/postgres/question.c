/*
 * Questions to weir itself. See question.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/postgres/question.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proxy/proto/postgres/console.h"

/* As PgBouncer's console has them. */
const struct pg_command pg_commands[] = {
	{ "SHOW HELP", "these commands", pg_help_columns, "SHOW",
	  .on_main = pg_tell_help },
	{ "SHOW POOLS", "clients and connections, by database and user",
	  pg_pools_columns, "SHOW",
	  .on_lane = pg_walk_pools, .sum = pg_sum_pools },
	{ "SHOW STATS", "what came through, by upstream", pg_stats_columns,
	  "SHOW", .on_main = pg_tell_stats },
	{ "SHOW CLIENTS", "those who are let in", pg_clients_columns, "SHOW",
	  .on_lane = pg_walk_clients },
	{ "SHOW SERVERS", "connections to upstreams", pg_servers_columns,
	  "SHOW", .on_lane = pg_walk_servers },
	{ "SHOW DATABASES", "upstreams", pg_databases_columns, "SHOW",
	  .on_main = pg_tell_databases },
	{ "SHOW LISTS", "how many there are of what", pg_lists_columns, "SHOW",
	  .on_lane = pg_walk_pools, .sum = pg_sum_lists },
	{ "SHOW CONFIG", "the running configuration", pg_config_columns,
	  "SHOW", .on_main = pg_tell_config },
	{ "SHOW VERSION", "weir's", pg_version_columns, "SHOW",
	  .on_main = pg_tell_version },
	{ "PAUSE", "nothing new begins at an upstream, or at all; returns when "
	  "what was under way has ended", NULL, "PAUSE", .changes = true,
	  .names = true, .waits = true, .on_main = pg_do_pause },
	{ "RESUME", "the end of it", NULL, "RESUME", .changes = true,
	  .names = true, .on_main = pg_do_resume },
	{ "RELOAD", "reads the configuration again", NULL, "RELOAD",
	  .changes = true, .on_main = pg_do_reload },
	{ .words = NULL }
};

/* ----------------------------------------------------------------- reading */

enum { TEXT_MOST = 256 };               /* of a command; longer is none */

/* One space between words, none and no semicolon at the ends. False: it is too
   long. */
static bool
tidy(const char *text, char out[TEXT_MOST])
{
	size_t n = 0;

	for (; *text != '\0'; text++) {
		bool space = isspace((unsigned char)*text);

		if (space && (n == 0 || out[n - 1] == ' '))
			continue;
		if (n == TEXT_MOST - 1)
			return false;
		out[n++] = space ? ' ' : *text;
	}
	while (n > 0 && (out[n - 1] == ' ' || out[n - 1] == ';'))
		n--;
	out[n] = '\0';
	return true;
}

/* A name, which may be in double quotes. */
static bool
read_name(const char *text, char out[PG_UPSTREAM_MOST])
{
	size_t len = strlen(text);

	if (len >= 2 && text[0] == '"' && text[len - 1] == '"') {
		text++;
		len -= 2;
	}
	if (len == 0 || len >= PG_UPSTREAM_MOST ||
	    memchr(text, '"', len) != NULL)
		return false;
	memcpy(out, text, len);
	out[len] = '\0';
	return true;
}

const struct pg_command *
pg_command_find(const char *text, char upstream[PG_UPSTREAM_MOST], bool *empty)
{
	const struct pg_command *c;
	char words[TEXT_MOST];

	upstream[0] = '\0';
	*empty = false;
	if (!tidy(text, words))
		return NULL;
	*empty = *words == '\0';
	for (c = pg_commands; c->words != NULL; c++) {
		size_t len = strlen(c->words);

		if (strncasecmp(words, c->words, len) != 0)
			continue;
		if (words[len] == '\0')
			return c;
		if (words[len] == ' ' && c->names &&
		    read_name(words + len + 1, upstream))
			return c;
	}
	return NULL;
}

/* ----------------------------------------------------------------- its way */

static void
question_free(struct pg_question *q)
{
	pg_tallies_free(&q->tallies);
	pg_rows_fini(&q->rows);
	free(q);
}

static void
dropped(struct mail *m)
{
	question_free(container_of(m, struct pg_question, mail));
}

void
pg_question_fail(struct pg_question *q, const char *code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(q->error, sizeof(q->error), fmt, ap);
	va_end(ap);
	q->code = code;
}

/* Its client may have left, and another one have its number. */
static void
came_home(struct worker *w, struct mail *m)
{
	struct pg_question *q = container_of(m, struct pg_question, mail);
	struct lane *lane = w->owner;
	struct session *s = pg_slot_find(lane->own[FAMILY_POSTGRES], q->pid);

	if (q->rows.short_of_memory)
		pg_question_fail(q, "53200", "weir: out of memory");
	if (s != NULL && !s->closed && !s->lingering &&
	    pg_session(s)->phase == PG_CONSOLE &&
	    memcmp(pg_session(s)->secret, q->secret, sizeof(q->secret)) == 0)
		pg_console_answered(s, q);
	question_free(q);
}

static void
go_home(struct pg_question *q)
{
	q->mail.deliver = came_home;
	worker_post(&q->runtime->lanes[q->home]->worker, &q->mail);
}

static void
on_main(struct worker *w, struct mail *m)
{
	struct pg_question *q = container_of(m, struct pg_question, mail);

	(void)w;
	q->command->on_main(q);
	go_home(q);
}

static void
go_to_main(struct pg_question *q)
{
	q->mail.deliver = on_main;
	worker_post(&q->runtime->main, &q->mail);
}

static void
on_lane(struct worker *w, struct mail *m)
{
	struct pg_question *q = container_of(m, struct pg_question, mail);
	const struct pg_command *c = q->command;

	if (c->on_lane(q, w->owner)) {
		q->lane++;
		q->slot = 0;
	}
	if (q->lane < q->runtime->n_lanes) {
		worker_post(&q->runtime->lanes[q->lane]->worker, m);
		return;
	}
	if (c->sum != NULL)
		c->sum(q);
	if (c->on_main != NULL)
		go_to_main(q);
	else
		go_home(q);
}

int
pg_question_ask(struct session *s, const struct pg_command *command,
    const char *upstream)
{
	struct pg_question *q = calloc(1, sizeof(*q));

	if (q == NULL)
		return -1;
	q->mail.drop = dropped;
	q->runtime = s->door->lane->runtime;
	q->command = command;
	q->home = s->door->lane->worker.index;
	q->pid = pg_slot_pid(s);
	memcpy(q->secret, pg_session(s)->secret, sizeof(q->secret));
	snprintf(q->upstream, sizeof(q->upstream), "%s", upstream);
	if (command->on_lane == NULL) {
		go_to_main(q);
		return 0;
	}
	q->mail.deliver = on_lane;
	worker_post(&q->runtime->lanes[0]->worker, &q->mail);
	return 0;
}
