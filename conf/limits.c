/*
 * Limits of the file: bare values or groups; and who a client is to them.
 *
 * SPDX-License-Identifier: MIT
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "conf/read.h"
#include "conf/schema.h"
#include "conf/value.h"

#define FILL_MAX_MS (365 * (int64_t)86400000)

/* RFC 9110 5.6.2 */
static bool
is_token(const char *text)
{
	size_t n = 0;

	while ((text[n] >= '0' && text[n] <= '9') ||
	    (text[n] >= 'A' && text[n] <= 'Z') ||
	    (text[n] >= 'a' && text[n] <= 'z') ||
	    (text[n] != '\0' && strchr("!#$%&'*+-.^_`|~", text[n]) != NULL))
		n++;
	return n > 0 && text[n] == '\0';
}

/* ------------------------------------------------------------- one of them */

void
limit_defaults(struct load *w, const struct conf_key *row,
    struct conf_limit *out)
{
	const struct conf_key *keys = schema_limit_keys(row);

	for (; keys->name != NULL; keys++)
		if (keys->def != NULL)
			read_default(w, keys, keys->def,
			    (char *)out + keys->offset);
}

/* A burst that years would not fill is a mistake, and too long for clocks. */
static void
check_burst(struct load *w, const struct spot *in,
    const struct conf_limit *limit)
{
	const config_setting_t *v = member_of(in, "burst");

	if (v == NULL || limit->per_ms <= 0 || limit->burst * limit->per_ms /
	    limit->most <= FILL_MAX_MS)
		return;
	if (w->source->hides_numbers)
		complain(w, in, line_of(v), "burst", "is more than comes in a "
		    "year at this rate, expected less");
	else
		complain(w, in, line_of(v), "burst", "%" PRId64 " is more than "
		    "comes in a year at this rate, expected at most %" PRId64,
		    limit->burst, FILL_MAX_MS / limit->per_ms * limit->most);
}

static void
read_limit_group(struct load *w, const struct spot *in,
    const struct conf_key *keys, struct conf_limit *out)
{
	char expected[VALUE_WHY_MAX];

	read_unknown(w, in, keys, "", false, NULL);
	if (member_of(in, keys->name) == NULL)
		complain(w, in, in->line, keys->name, "is missing, expected "
		    "%.200s", value_expected(keys, expected));
	/* The first settles a burst, too; the second may know better. */
	for (; keys->name != NULL; keys++)
		if (member_of(in, keys->name) != NULL)
			read_scalar(w, in, keys, member_of(in, keys->name),
			    (char *)out + keys->offset);
	check_burst(w, in, out);
}

void
read_limit(struct load *w, const struct spot *s, const struct conf_key *row,
    const config_setting_t *v, struct conf_limit *out)
{
	const struct conf_key *keys = schema_limit_keys(row);

	if (config_setting_is_group(v)) {
		struct spot in = spot_in(w, s, row->name);

		read_limit_group(w, &in, keys, out);
	} else {
		read_scalar(w, s, row, v, out);
	}
}

/* ------------------------------------------------------------- a listener's */

static void
read_client(struct load *w, const struct spot *s, struct conf_listener *l)
{
	const config_setting_t *v = member_of(s, "client");
	char *text = read_member(w, s, "client");

	if (text == NULL || strcmp(text, "address") == 0)
		return;
	if (strncmp(text, "header:", 7) != 0 || !is_token(text + 7)) {
		complain(w, s, line_of(v), "client", "\"%.80s\" is not "
		    "understood, expected \"address\" or \"header:NAME\" such "
		    "as \"header:X-Forwarded-For\"", shown(w, text));
		return;
	}
	if (l->proto != NULL && !l->proto->headers) {
		complain(w, s, line_of(v), "client", "protocol %s has no "
		    "headers, expected \"address\"", l->proto->name);
		return;
	}
	l->client_header = arena_copy(&w->source->arena, text + 7);
	if (source_hides(w->source, text))
		source_hide(w->source, l->client_header);
}

void
read_listener_limits(struct load *w, const struct spot *s,
    struct conf_listener *l)
{
	struct spot limits = spot_in(w, s, "limits");

	read_keys(w, &limits, schema_limits, "limits", l->proto, l);
	read_unknown(w, &limits, schema_limits, "listeners[].limits", false,
	    NULL);
	read_client(w, &limits, l);
}
