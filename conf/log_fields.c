/*
 * The fields of the access log. See log_fields.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "conf/log_fields.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "conf/value.h"

enum { HEADER_NAME_MOST = 64 };

#define HEADER "header:"

const struct log_field_row log_field_rows[CONF_N_FIELDS] = {
	[CONF_FIELD_TIME] = { "time", "when it ended, in UTC" },
	[CONF_FIELD_CLIENT] = { "client", "the client's address and port" },
	[CONF_FIELD_CLIENT_IP] = { "client_ip", "its address alone" },
	[CONF_FIELD_LISTENER] = { "listener", "where it came in" },
	[CONF_FIELD_UPSTREAM] = { "upstream", "where it went" },
	[CONF_FIELD_ENDPOINT] = { "endpoint", "the server that was asked last" },
	[CONF_FIELD_WORKER] = { "worker", "the number of the worker" },
	[CONF_FIELD_REQUEST] = { "request", "request line or command" },
	[CONF_FIELD_METHOD] = { "method", "HTTP: of that, the method" },
	[CONF_FIELD_PATH] = { "path",
	    "HTTP: of that, the target without its query" },
	[CONF_FIELD_HOST] = { "host", "HTTP: the host that was asked for" },
	[CONF_FIELD_AGENT] = { "agent", "HTTP: User-Agent" },
	[CONF_FIELD_REQUEST_ID] = { "request_id",
	    "HTTP: its id, see http.request_id" },
	[CONF_FIELD_TRACE_ID] = { "trace_id",
	    "HTTP: its trace's id, see http.trace" },
	[CONF_FIELD_USER] = { "user",
	    "PostgreSQL: as the client calls itself" },
	[CONF_FIELD_DATABASE] = { "database",
	    "PostgreSQL: the one that it asks for" },
	[CONF_FIELD_TLS_VERSION] = { "tls_version",
	    "TLSv1.3 or the like, where the listener ends TLS" },
	[CONF_FIELD_SNI] = { "sni",
	    "TLS: the server name that the client asked for" },
	[CONF_FIELD_STATUS] = { "status", "HTTP: the answer's status" },
	[CONF_FIELD_OUTCOME] = { "outcome", "what came of it, as counters say" },
	[CONF_FIELD_FAILURE] = { "failure", "why it failed" },
	[CONF_FIELD_SAID] = { "said",
	    "of a login or TLS that was refused: why, in words" },
	[CONF_FIELD_RECEIVED] = { "received", "bytes of the client's" },
	[CONF_FIELD_SENT] = { "sent", "bytes to the client" },
	[CONF_FIELD_ARRIVE_US] = { "arrive_us",
	    "from its first byte until it was known where it goes" },
	[CONF_FIELD_PAUSE_US] = { "pause_us",
	    "held back by limits, or between retries" },
	[CONF_FIELD_QUEUE_US] = { "queue_us", "waited for a connection" },
	[CONF_FIELD_CONNECT_US] = { "connect_us",
	    "of that, for a new one, with its login" },
	[CONF_FIELD_TLS_US] = { "tls_us",
	    "of that, for the TLS handshake with the server" },
	[CONF_FIELD_FIRST_BYTE_US] = { "first_byte_us",
	    "from asking the server to its first byte" },
	[CONF_FIELD_CLIENT_US] = { "client_us",
	    "the client did not take the answer" },
	[CONF_FIELD_TOTAL_US] = { "total_us", "all of it" },
	[CONF_FIELD_REUSED] = { "reused",
	    "whether the connection had been used before" },
	[CONF_FIELD_RETRIES] = { "retries", "how often it was asked again" },
	[CONF_FIELD_HEADER] = { HEADER "NAME",
	    "HTTP: a field of the request, up to 4 of them" }
};

/* RFC 9110 5.6.2, tchar. */
static bool
is_token(const char *name)
{
	size_t n = 0;

	while (isalnum((unsigned char)name[n]) ||
	    (name[n] != '\0' && strchr("!#$%&'*+-.^_`|~", name[n]) != NULL))
		n++;
	return n > 0 && n <= HEADER_NAME_MOST && name[n] == '\0';
}

/* -1 when there is none of that name. */
static int
find(const char *name)
{
	int i;

	for (i = 0; i < CONF_FIELD_HEADER; i++)
		if (strcmp(log_field_rows[i].name, name) == 0)
			return i;
	return strncmp(name, HEADER, sizeof(HEADER) - 1) == 0 ?
	    CONF_FIELD_HEADER : -1;
}

static void
complain_unknown(struct load *w, const struct spot *log, int line,
    const char *name)
{
	struct nearest near = { .word = shown(w, name) };
	char known[700] = "";

	for (int i = 0; i < CONF_N_FIELDS && !problems_full(w->problems);
	    i++) {
		size_t n = strlen(known);

		nearest_try(&near, log_field_rows[i].name);
		snprintf(known + n, sizeof(known) - n, "%s%s", n == 0 ? "" :
		    ", ", log_field_rows[i].name);
	}
	if (near.best != NULL)
		complain(w, log, line, "fields", "unknown field \"%.60s\", did "
		    "you mean \"%s\"?", shown(w, name), near.best);
	else
		complain(w, log, line, "fields", "unknown field \"%.60s\", "
		    "expected some of %s", shown(w, name), known);
}

static bool
are_one_field(const void *a, const void *b)
{
	return strcasecmp(a, b) == 0;
}

/* Has the name been there? */
static bool
is_repeated(const struct seen *seen, const char *name)
{
	char lower[64];
	const void **place;
	size_t n;

	for (n = 0; n < sizeof(lower) - 1 && name[n] != '\0'; n++)
		lower[n] = (char)tolower((unsigned char)name[n]);
	lower[n] = '\0';
	place = seen_place(seen, seen_hash(seen, 0, lower), name,
	    are_one_field);
	if (*place != NULL)
		return true;
	*place = name;
	return false;
}

/* What is wrong with a name beside the others; false = it was said. */
static bool
is_good(struct load *w, const struct spot *log, int line, const char *name,
    int field, size_t *headers, const struct seen *seen)
{
	if (is_repeated(seen, name)) {
		complain(w, log, line, "fields", "\"%.80s\" is there twice, "
		    "expected each once", shown(w, name));
		return false;
	}
	if (field == -1) {
		complain_unknown(w, log, line, name);
		return false;
	}
	if (field != CONF_FIELD_HEADER)
		return true;
	if (!is_token(name + sizeof(HEADER) - 1)) {
		complain(w, log, line, "fields", "\"%.80s\" names no field of "
		    "HTTP, expected one such as \"header:Referer\"",
		    shown(w, name));
		return false;
	}
	if (++*headers > CONF_LOG_HEADERS_MOST) {
		complain(w, log, line, "fields", "more than %d of \"header:\", "
		    "expected fewer", CONF_LOG_HEADERS_MOST);
		return false;
	}
	return true;
}

void
log_fields_read(struct load *w, const struct spot *log)
{
	const config_setting_t *v = member_of(log, "fields");
	const struct conf_names *names = &w->c->log.names;
	struct conf_log_field *fields;
	size_t headers = 0;
	struct seen seen;

	if (names->n == 0)
		return;
	fields = arena_take(&w->source->arena, names->n, sizeof(*fields));
	if (fields == NULL ||
	    seen_init(&seen, &w->source->arena, names->n) < 0)
		return;
	for (size_t i = 0; i < names->n; i++) {
		const config_setting_t *at = v == NULL ? NULL :
		    config_setting_get_elem(v, (unsigned)i);
		int field = find(names->v[i]);

		if (!is_good(w, log, line_of(at != NULL ? at : v),
		    names->v[i], field, &headers, &seen))
			continue;
		fields[w->c->log.n_fields++] = (struct conf_log_field){
		    .what = (enum conf_log_field_name)field,
		    .name = names->v[i], .header = field == CONF_FIELD_HEADER ?
		    names->v[i] + sizeof(HEADER) - 1 : NULL };
	}
	w->c->log.fields = fields;
}
