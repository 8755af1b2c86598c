/*
 * Logins that are refused. See denied.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/denied.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "net/log.h"
#include "pool/endpoint.h"
#include "pool/upconn.h"
#include "proxy/lane.h"
#include "proxy/listener.h"
#include "proxy/session.h"

enum {
	CLIENTS_MOST = 100,             /* lines in ... */
	CLIENTS_S = 1,
	UPCONNS_MOST = 5,               /* who is refused there tries for long */
	UPCONNS_S = 10,
	NAME_MOST = 64,                 /* bytes of a name */
	SAID_MOST = 300,
	WHO_MOST = 160
};

const char *
denied_name(const char *name, char out[DENIED_NAME])
{
	char *at = out;
	size_t i;

	for (i = 0; i < NAME_MOST && name[i] != '\0'; i++) {
		unsigned char c = (unsigned char)name[i];

		if (c < 0x80 && isgraph(c) && c != '\\')
			*at++ = (char)c;
		else
			at += sprintf(at, "\\x%02x", c);
	}
	strcpy(at, i == 0 ? "\"\"" : name[i] != '\0' ? "..." : "");
	return out;
}

bool
denied_is_told(struct denied_pace *p, unsigned most, int64_t span_ns,
    int64_t now_ns, unsigned *left_out)
{
	if (p->since_ns == 0 || now_ns - p->since_ns >= span_ns) {
		p->since_ns = now_ns;
		p->said = 0;
	}
	if (p->said == most) {
		p->unsaid++;
		return false;
	}
	*left_out = p->unsaid;
	p->unsaid = 0;
	p->said++;
	return true;
}

static bool
is_told(struct denied_pace *p, unsigned most, int64_t seconds,
    const struct lane *lane, const char *who)
{
	unsigned left_out;

	if (!denied_is_told(p, most, seconds * NS_PER_S, lane->worker.now_ns,
	    &left_out))
		return false;
	if (left_out > 0)
		log_warn(who, "%u more login%s refused, too many to tell of "
		    "each", left_out, left_out == 1 ? " was" : "s were");
	return true;
}

void
denied_client(struct session *s, const char *user, const char *fmt, ...)
{
	struct lane *lane = s->door->lane;
	char who[WHO_MOST], why[512], name[DENIED_NAME], ip[ADDR_TEXT_MAX];
	va_list ap;

	snprintf(who, sizeof(who), "listener %s", s->door->listener->name);
	if (!is_told(&lane->denied.clients, CLIENTS_MOST, CLIENTS_S, lane,
	    who))
		return;
	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	log_warn(who, "user %s from %s: %s", denied_name(user, name),
	    s->client.family == AF_UNIX ? "a Unix socket" :
	    addr_ip_print(&s->client, false, ip), why);
}

void
denied_upconn(struct upconn *u, const char *user, const char *database,
    const char *said)
{
	struct lane *lane = u->pool->worker->owner;
	struct endpoint *endpoint = u->shelf->site->endpoint;
	char who[WHO_MOST], name[DENIED_NAME], where[DENIED_NAME];
	char text[2 * DENIED_NAME + SAID_MOST + 32], *at;

	snprintf(text, sizeof(text), "refuses user %s%s%s: %.*s",
	    denied_name(user, name), database != NULL ? ", database " : "",
	    database != NULL ? denied_name(database, where) : "",
	    SAID_MOST, said);
	/* It comes from the server, and goes to a terminal. */
	for (at = text; *at != '\0'; at++)
		if (iscntrl((unsigned char)*at))
			*at = ' ';
	endpoint_refuses(endpoint, text);
	snprintf(who, sizeof(who), "upstream %s", u->pool->conf->name);
	if (!is_told(&lane->denied.upconns, UPCONNS_MOST, UPCONNS_S, lane,
	    who))
		return;
	log_warn(who, "%s %s", endpoint->name, text);
}
