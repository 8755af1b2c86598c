/*
 * Endpoints as a table, and below it what is not as it should be. See show.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/command/show.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/command/field.h"
#include "proxy/command/span.h"
#include "proxy/command/table.h"

static bool
has_address(const json_t *e)
{
	const char *resolved = field_text(e, "resolved");

	return *resolved != '\0' &&
	    strcmp(field_text(e, "name"), resolved) != 0;
}

/* with_address: a column for what the names resolve to. */
static void
add_endpoint(struct table *t, const char *upstream, const json_t *e,
    bool with_address)
{
	table_add(t, "%s", upstream);
	table_add(t, "%s", field_text(e, "name"));
	if (with_address)
		table_add(t, "%s", has_address(e) ? field_text(e, "resolved") :
		    "");
	table_add(t, "%s", field_text(e, "state"));
	table_add(t, "%lld", field_number(e, "weight"));
	table_add(t, "%lld", field_number(e, "open"));
	table_add(t, "%lld", field_number(e, "leased"));
	table_add(t, "%lld", field_sum(e, "failures_total"));
}

static const char *const *
endpoint_heads(bool with_address)
{
	static const char *const plain[] = { "-UPSTREAM", "-ENDPOINT",
		"-STATE", "WEIGHT", "OPEN", "LEASED", "FAILURES", NULL };
	static const char *const resolved[] = { "-UPSTREAM", "-ENDPOINT",
		"-ADDRESS", "-STATE", "WEIGHT", "OPEN", "LEASED", "FAILURES",
		NULL };

	return with_address ? resolved : plain;
}

static void
say(FILE *out, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* One more piece of a note. */
static void
say(FILE *out, const char *fmt, ...)
{
	va_list ap;

	if (ftell(out) > 0)
		fputs("; ", out);
	va_start(ap, fmt);
	vfprintf(out, fmt, ap);
	va_end(ap);
}

static void
say_override(FILE *out, const json_t *o)
{
	const char *state = field_text(o, "state");
	bool own_state = strcmp(state, "conf") != 0;
	char until[FIELD_MOMENT];

	if (!json_is_object(o))
		return;
	say(out, "by hand: %s", own_state ? state : "");
	if (field_number(o, "weight") > 0)
		fprintf(out, "%sweight %lld", own_state ? ", " : "",
		    field_number(o, "weight"));
	if (field_number(o, "until") > 0)
		fprintf(out, ", until %s", field_moment(o, "until", until));
}

/* What is not as it should be, or not as the file says. */
static void
say_endpoint(FILE *out, const json_t *e)
{
	const char *state = field_text(e, "state");
	const char *check = field_text(json_object_get(e, "health"), "last");
	char time[FIELD_MOMENT], pause[SPAN_TEXT];

	if (strcmp(state, "up") != 0 && field_number(e, "since") > 0)
		say(out, "%s since %s", state, field_moment(e, "since", time));
	say_override(out, json_object_get(e, "override"));
	if (*check != '\0' && strcmp(check, "ok") != 0)
		say(out, "last check: %s", check);
	if (field_number(e, "ejections_total") > 0)
		say(out, "ejected so far: %lld",
		    field_number(e, "ejections_total"));
	if (field_number(e, "held_ms") > 0)
		say(out, "asks for a pause of %s",
		    span_ms(field_number(e, "held_ms"), pause));
	if (*field_text(e, "last_error") != '\0')
		say(out, "last error: %s", field_text(e, "last_error"));
}

/* A paragraph for an endpoint of which there is something to say. */
static void
note_endpoint(FILE *out, const char *upstream, const json_t *e, bool *first)
{
	char *text = NULL, *head = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (f == NULL)
		return;
	say_endpoint(f, e);
	if (fclose(f) == 0 && *text != '\0' && asprintf(&head, "%s %s%s%s%s",
	    upstream, field_text(e, "name"), has_address(e) ? " (" : "",
	    has_address(e) ? field_text(e, "resolved") : "",
	    has_address(e) ? ")" : "") >= 0) {
		if (*first)
			putc('\n', out);
		*first = false;
		table_note(out, head, text);
		free(head);
	}
	free(text);
}

/* One pass over all endpoints: what is asked of each row. */
struct endpoint_rows {
	FILE *out;
	struct table *t;                /* NULL = notes instead of rows */
	bool with_address, none_yet;
};

static void
print_row(struct endpoint_rows *rows, const char *upstream, const json_t *e)
{
	if (rows->t != NULL)
		add_endpoint(rows->t, upstream, e, rows->with_address);
	else
		note_endpoint(rows->out, upstream, e, &rows->none_yet);
}

static void
print_rows(struct endpoint_rows *rows, const json_t *upstreams)
{
	size_t i, k;

	for (i = 0; i < json_array_size(upstreams); i++) {
		const json_t *u = json_array_get(upstreams, i);
		const json_t *each = json_object_get(u, "endpoints");

		for (k = 0; k < json_array_size(each); k++)
			print_row(rows, field_text(u, "name"),
			    json_array_get(each, k));
	}
}

static bool
any_has_address(const json_t *upstreams)
{
	size_t i, k;

	for (i = 0; i < json_array_size(upstreams); i++) {
		const json_t *each = json_object_get(json_array_get(upstreams,
		    i), "endpoints");

		for (k = 0; k < json_array_size(each); k++)
			if (has_address(json_array_get(each, k)))
				return true;
	}
	return false;
}

void
show_endpoints(FILE *out, const json_t *upstreams)
{
	struct endpoint_rows rows = { .out = out, .none_yet = true };
	struct table t;

	rows.with_address = any_has_address(upstreams);
	table_init(&t, endpoint_heads(rows.with_address));
	rows.t = &t;
	print_rows(&rows, upstreams);
	table_section(&t, out);
	rows.t = NULL;
	print_rows(&rows, upstreams);
}

void
show_endpoint(FILE *out, const char *upstream, const json_t *first)
{
	const json_t *others = json_object_get(first, "others");
	struct endpoint_rows rows = { .out = out, .none_yet = true };
	struct table t;
	size_t i;

	rows.with_address = has_address(first);
	table_init(&t, endpoint_heads(rows.with_address));
	rows.t = &t;
	print_row(&rows, upstream, first);
	for (i = 0; i < json_array_size(others); i++)
		print_row(&rows, upstream, json_array_get(others, i));
	table_print(&t, out);
	table_fini(&t);
	rows.t = NULL;
	print_row(&rows, upstream, first);
	for (i = 0; i < json_array_size(others); i++)
		print_row(&rows, upstream, json_array_get(others, i));
}
