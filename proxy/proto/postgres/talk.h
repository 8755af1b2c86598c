/*
 * The console's conversation, as its two parts share it: console.c, which has
 * the client, and extended.c, which has what prepared statements need.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_POSTGRES_TALK_H
#define PROXY_POSTGRES_TALK_H

#include "proxy/proto/postgres/question.h"

enum {
	PG_TALK_NAME_MOST = 64,         /* of a statement, its end included */
	PG_TALK_STATEMENTS_MOST = 16
};

/* A command as it was said. */
struct pg_said {
	const struct pg_command *command;       /* NULL: no words */
	char upstream[PG_UPSTREAM_MOST];
};

struct pg_talk_statement {
	bool there;
	char name[PG_TALK_NAME_MOST];   /* "" = the unnamed one */
	struct pg_said said;
};

/* Owned by its session. */
struct pg_console {
	bool may_change;
	bool asks;                      /* weir: the answer is on its way */
	bool waits;                     /* for what is leased */
	bool simple;                    /* asked for by Query */
	struct pg_said doing;           /* while it asks or waits */
	struct pg_talk_statement statements[PG_TALK_STATEMENTS_MOST];
	struct pg_talk_statement portal;
	char user[];
};

/* The body of a message, read from its front. */
struct pg_body {
	const char *bytes;
	size_t len, at;
};

static inline struct pg_console *
pg_console_of(const struct session *s)
{
	return pg_session(s)->console;
}

/* The next string of it; NULL: it does not end there. */
static inline const char *
pg_body_text(struct pg_body *b)
{
	return pg_string(b->bytes, b->len, &b->at);
}

/* Something was put out, or (result < 0) there was no memory for it, which ends
   s. */
void pg_talk_sent(struct session *s, int result);
/* A message without a body. */
void pg_talk_say(struct session *s, char type);
/* An error; of an extended request what follows, up to its Sync, is dropped. */
void pg_talk_fail(struct session *s, bool simple, const char *code,
    const char *fmt, ...) PRINTF_LIKE(4, 5);
/* The message is malformed: the end. */
void pg_talk_malformed(struct session *s);

/* False: it is no command, and the client has been told. */
bool pg_talk_understand(struct session *s, bool simple, const char *text,
    struct pg_said *said);
/* It is answered now or later. */
void pg_talk_carry_out(struct session *s, bool simple,
    const struct pg_said *said);

/* extended.c: Parse, Bind, Describe, Close or Execute. False: none of them. */
bool pg_talk_extended(struct session *s, char type, struct pg_body *b);

#endif
