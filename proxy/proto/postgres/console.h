/*
 * The console: whoever is let in to the database `weir`, and is named by
 * admin_users or stats_users, is answered by weir itself, in the words of
 * PgBouncer's console. Where neither names anybody there is none, and `weir` is
 * a database like others. It leases nothing.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_POSTGRES_CONSOLE_H
#define PROXY_POSTGRES_CONSOLE_H

#include <stdbool.h>

struct pg_console;
struct pg_question;
struct session;

/* Does who asks for that database mean the console? */
bool pg_console_is_meant(const struct session *s, const char *database);
/* He has proved that he is that user: lets him in, or not. */
void pg_console_begin(struct session *s, const char *user);
/* Bytes or the end of s, while it is in PG_CONSOLE. */
void pg_console_take(struct session *s);
/* s->deadline has passed. */
void pg_console_late(struct session *s);
/* What is being waited for is given up. */
void pg_console_cancel(struct session *s);
/* Draining: take leave if nothing is under way. */
void pg_console_bye(struct session *s);
/* What was asked of weir has come back. */
void pg_console_answered(struct session *s, const struct pg_question *q);

/* Who is there, for SHOW CLIENTS. */
const char *pg_console_user(const struct pg_console *c);
void pg_console_free(struct pg_console *c);

#endif
