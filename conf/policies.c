/*
 * What an upstream does on bad days: second attempts, checks, endpoints left
 * alone, limits.
 *
 * A group that is absent switches its policy off; one that is there and empty
 * switches it on with its defaults.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <string.h>

#include "conf/read.h"
#include "conf/schema.h"
#include "conf/value.h"

/* ------------------------------------------------------------------- retry */

/* Of the two bounds of a pause, one that was not written gives way. */
static void
check_backoff(struct load *w, const struct spot *in, struct conf_upstream *u)
{
	const config_setting_t *v = member_of(in, "max_backoff");
	char least[VALUE_TEXT_MAX], most[VALUE_TEXT_MAX];

	if (u->retry.max_backoff_ms >= u->retry.backoff_ms)
		return;
	if (v == NULL)
		u->retry.max_backoff_ms = u->retry.backoff_ms;
	else if (member_of(in, "backoff") == NULL)
		u->retry.backoff_ms = u->retry.max_backoff_ms;
	else
		complain(w, in, line_of(v), "max_backoff", "\"%s\" is less "
		    "than backoff, expected at least \"%s\"",
		    value_print_number(CONF_DURATION, u->retry.max_backoff_ms,
		    most), value_print_number(CONF_DURATION,
		    u->retry.backoff_ms, least));
}

static void
read_retry(struct load *w, const struct spot *s, struct conf_upstream *u)
{
	struct spot in = spot_in(w, s, "retry");

	read_keys(w, &in, schema_retry, "retry", u->proto, u);
	read_unknown(w, &in, schema_retry, "upstreams[].retry", false, NULL);
	check_backoff(w, &in, u);
	if (member_of(s, "retry") == NULL)
		u->retry.max_retries = 0;
}

/* ------------------------------------------------------------------ health */

/* "\"http\" or \"redis\"": protocols that can be asked; "" = none. */
static void
askable(const struct load *w, char out[256])
{
	size_t n = 0;

	out[0] = '\0';
	for (const struct conf_proto *const *p = w->in->protos; *p != NULL;
	    p++) {
		if ((*p)->probes && n < 200)
			n += (size_t)snprintf(out + n, 256 - n,
			    "%s\"%.40s\"", n == 0 ? "" : " or ", (*p)->name);
		for (size_t i = 0; (*p)->checks != NULL &&
		    (*p)->checks[i] != NULL && n < 200; i++)
			n += (size_t)snprintf(out + n, 256 - n,
			    "%s\"%.40s\"", n == 0 ? "" : " or ",
			    (*p)->checks[i]->name);
	}
}

/* By name: a protocol, or a check that one brings. */
static const struct conf_proto *
find_check(const struct load *w, const char *name)
{
	const struct conf_proto *found = find_proto(w->in->protos, name);

	for (const struct conf_proto *const *p = w->in->protos;
	    found == NULL && *p != NULL; p++)
		if ((*p)->checks != NULL)
			found = find_proto((*p)->checks, name);
	return found;
}

static void
complain_type(struct load *w, const struct spot *in, int line,
    const char *name)
{
	struct nearest near = { .word = shown(w, name) };
	char words[256], can[300];

	askable(w, words);
	snprintf(can, sizeof(can), "\"tcp\"%s%s", *words == '\0' ? "" :
	    " or ", words);
	nearest_try(&near, "tcp");
	for (const struct conf_proto *const *p = w->in->protos; *p != NULL;
	    p++)
		if ((*p)->probes)
			nearest_try(&near, (*p)->name);
	if (find_proto(w->in->protos, name) != NULL)
		complain(w, in, line, "type", "protocol %s has no checks of "
		    "its own, expected %s", name, can);
	else if (near.best != NULL)
		complain(w, in, line, "type", "unknown \"%.60s\", did you mean "
		    "\"%s\"? Expected %s", shown(w, name), near.best, can);
	else
		complain(w, in, line, "type", "unknown \"%.60s\", expected %s",
		    shown(w, name), can);
}

/* False when it is not known what was meant. */
static bool
read_type(struct load *w, const struct spot *in, struct conf_upstream *u)
{
	const config_setting_t *v = member_of(in, "type");
	const char *name = read_member(w, in, "type");
	const struct conf_proto *type = v == NULL ? u->proto : name == NULL ?
	    NULL : find_check(w, name);

	/* By its name, but as this upstream speaks it. */
	if (type != NULL && u->proto != NULL &&
	    strcmp(type->name, u->proto->name) == 0)
		type = u->proto;
	if (type != NULL && type->probes) {
		u->health.type = type;
		return true;
	}
	if (v == NULL || name == NULL)
		return v == NULL && u->proto != NULL;
	if (strcmp(name, "tcp") == 0)
		return true;
	complain_type(w, in, line_of(v), name);
	return false;
}

/* What a mere connection cannot look at. */
static void
check_asked(struct load *w, const struct spot *in,
    const struct conf_upstream *u)
{
	static const char *const keys[] = { "path", "host", "expect",
	    "service" };
	char can[256];

	if (u->health.type != NULL)
		return;
	askable(w, can);
	for (size_t i = 0; i < NELEMS(keys); i++)
		if (member_of(in, keys[i]) != NULL)
			complain(w, in, line_of(member_of(in, keys[i])),
			    keys[i], "type \"tcp\" only connects, expected "
			    "%s%s", *can == '\0' ? "none" : "it with type = ",
			    can);
}

static void
check_port(struct load *w, const struct spot *in,
    const struct conf_upstream *u)
{
	const config_setting_t *v = member_of(in, "port");

	for (size_t i = 0; v != NULL && i < u->n_endpoints; i++)
		if (u->endpoints[i].address.is_unix) {
			complain(w, in, line_of(v), "port", "endpoint %.80s is "
			    "a Unix socket, which has no ports, expected none "
			    "here", shown(w, u->endpoints[i].name));
			return;
		}
}

static void
read_health(struct load *w, const struct spot *s, struct conf_upstream *u)
{
	struct spot in = spot_in(w, s, "health");

	read_keys(w, &in, schema_health, "health", u->proto, u);
	read_unknown(w, &in, schema_health, "upstreams[].health", false, NULL);
	u->health.on = member_of(s, "health") != NULL;
	if (u->health.port < 0)
		u->health.port = 0;
	if (read_type(w, &in, u))
		check_asked(w, &in, u);
	check_port(w, &in, u);
}

/* --------------------------------------------------------- outlier, limits */

static void
read_outlier(struct load *w, const struct spot *s, struct conf_upstream *u)
{
	struct spot in = spot_in(w, s, "outlier");

	read_keys(w, &in, schema_outlier, "outlier", u->proto, u);
	read_unknown(w, &in, schema_outlier, "upstreams[].outlier", false,
	    NULL);
	if (member_of(s, "outlier") == NULL)
		u->outlier.failures = 0;
}

static void
read_upstream_limits(struct load *w, const struct spot *s,
    struct conf_upstream *u)
{
	struct spot in = spot_in(w, s, "limits");

	read_keys(w, &in, schema_upstream_limits, "limits", u->proto, u);
	read_unknown(w, &in, schema_upstream_limits, "upstreams[].limits",
	    false, NULL);
}

void
read_policies(struct load *w, const struct spot *s, struct conf_upstream *u)
{
	read_retry(w, s, u);
	read_health(w, s, u);
	read_outlier(w, s, u);
	read_upstream_limits(w, s, u);
}
