/*
 * application_name = "append": the server sees the client's address behind its
 * application_name, "psql (10.0.0.7:51234)", and the client sees its own.
 *
 * What the client has set and what its connection has set are then two lists:
 * the one becomes the other when an exchange begins, and the other way round
 * when the server reports it and when the exchange is over.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "proxy/proto/postgres/postgres.h"

enum { NAME_MOST = 63 };                /* NAMEDATALEN - 1, as the server cuts
					   it */

static const char name_of[] = "application_name";

static bool
is_on(const struct exchange *x)
{
	return pg_back_conf(x->upstream)->application_name ==
	    PG_APPLICATION_APPEND;
}

/* Made so that the server, which would cut it, and put a '?' or worse in the
   place of what is no printable ASCII, reports it as it is. */
static void
append(const struct session *s, const char *own, char out[NAME_MOST + 1])
{
	char address[ADDR_TEXT_MAX];
	size_t n = 0, most;

	(void)addr_ip_print(&s->client, true, address);
	most = NAME_MOST - strnlen(address, NAME_MOST - 3) - 3;
	for (; n < most && own[n] != '\0'; n++)
		out[n] = own[n] >= ' ' && own[n] <= '~' ? own[n] : '?';
	snprintf(out + n, NAME_MOST + 1 - n, "%s(%.*s)", n > 0 ? " " : "",
	    NAME_MOST - 3, address);
}

static const char *
own_name(const struct exchange *x)
{
	const struct pg_session *ps = pg_session(x->s);
	const char *own = pg_settings_find(ps->settings, name_of);

	if (own == NULL)
		own = pg_settings_find(pg_upconn(x->lease->u)->welcome,
		    name_of);
	return own != NULL ? own : "";
}

/* -1 when out of memory. */
static int
make_named(struct exchange *x)
{
	struct pg_session *ps = pg_session(x->s);
	struct pg_settings *named = pg_settings_keep(ps->settings);
	char text[NAME_MOST + 1];

	append(x->s, own_name(x), text);
	if (pg_settings_change(&named, name_of, text) < 0) {
		pg_settings_drop(named);
		return -1;
	}
	pg_settings_drop(ps->named);
	ps->named = named;
	pg_settings_set(&ps->named_of, ps->settings);
	return 0;
}

struct pg_settings **
pg_name_wanted(struct exchange *x)
{
	struct pg_session *ps = pg_session(x->s);

	if (!is_on(x)) {
		pg_settings_set(&ps->named, NULL);
		return &ps->settings;
	}
	if ((ps->named == NULL || ps->named_of != ps->settings) &&
	    make_named(x) < 0)
		return NULL;
	return &ps->named;
}

bool
pg_name_is_ours(const struct exchange *x, const char *name, const char *value)
{
	const struct pg_session *ps = pg_session(x->s);
	const char *ours;

	if (ps->named == NULL || strcasecmp(name, name_of) != 0)
		return false;
	ours = pg_settings_find(ps->named, name_of);
	return ours != NULL && strcmp(ours, value) == 0;
}

int
pg_name_say_own(struct exchange *x)
{
	return pg_put_status(exchange_blocks(x), &x->s->conn.out, name_of,
	    own_name(x));
}

int
pg_name_restored(struct exchange *x, struct pg_settings **now)
{
	struct pg_session *ps = pg_session(x->s);
	const char *name = pg_settings_find(*now, name_of);

	if (ps->named == NULL)
		return 0;
	if ((name == NULL || !pg_name_is_ours(x, name_of, name)) &&
	    (pg_settings_change(&ps->settings, name_of, name) < 0 ||
	    make_named(x) < 0))
		return -1;
	return pg_settings_change(now, name_of, pg_settings_find(ps->named,
	    name_of));
}

int
pg_name_rest(struct exchange *x)
{
	struct pg_session *ps = pg_session(x->s);
	struct pg_settings *has = pg_upconn(x->lease->u)->settings;
	const char *name = pg_settings_find(has, name_of);

	if (ps->named == NULL) {
		pg_settings_set(&ps->settings, has);
		return 0;
	}
	if (pg_settings_equal(has, ps->named))
		return 0;
	has = pg_settings_keep(has);
	if (name != NULL && pg_name_is_ours(x, name_of, name) &&
	    pg_settings_change(&has, name_of, pg_settings_find(ps->settings,
	    name_of)) < 0) {
		pg_settings_drop(has);
		return -1;
	}
	pg_settings_drop(ps->settings);
	ps->settings = has;
	return 0;
}
