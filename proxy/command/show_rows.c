/*
 * Connections, names and keys: pages that are rows of something. See show.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/command/show.h"

#include <string.h>

#include "proxy/command/field.h"
#include "proxy/command/span.h"
#include "proxy/command/table.h"

enum { NOTE_MOST = 700 };

/* --------------------------------------------------------------------- keys */

void
show_key(FILE *out, const json_t *j)
{
	const char *endpoint = json_string_value(json_object_get(j,
	    "endpoint"));
	const char *resolved = field_text(j, "resolved");
	const char *home = field_text(j, "home");

	if (json_is_true(json_object_get(j, "any"))) {
		fputs("any endpoint, whatever the key: the ring is random\n",
		    out);
		return;
	}
	if (endpoint == NULL) {
		fprintf(out, "%s\n", *home != '\0' ? "none: no endpoint is "
		    "usable" : "none: its endpoint has no address yet, or "
		    "there is none that is usable");
		return;
	}
	fprintf(out, "%s", endpoint);
	if (strcmp(resolved, endpoint) != 0)
		fprintf(out, " (%s)", resolved);
	fprintf(out, ", %s%s", field_text(j, "state"),
	    json_is_true(json_object_get(j, "usable")) ? "" :
	    ": its keys fail");
	if (*home != '\0' && strcmp(home, endpoint) != 0)
		fprintf(out, ", for %s", home);
	putc('\n', out);
}

/* ------------------------------------------------------------- connections */

/* Whose it is, in two cells: the client, and its process where that is on this
   machine and known. */
static void
add_holder(struct table *t, const json_t *row)
{
	const json_t *first =
	    json_array_get(json_object_get(row, "holders"), 0);
	const json_t *process = json_object_get(first, "process");
	const json_t *uid = json_object_get(first, "uid");
	long long others = field_number(row, "holders_total") - 1;

	if (others > 0)
		table_add(t, "%s +%lld", field_text(first, "client"), others);
	else
		table_add(t, "%s", field_text(first, "client"));
	if (json_is_object(process))
		table_add(t, "%s %lld", field_text(process, "name"),
		    field_number(process, "pid"));
	else if (json_is_integer(uid))
		table_add(t, "uid %lld", (long long)json_integer_value(uid));
	else
		table_add(t, "%s", "");
}

static void
note(char out[NOTE_MOST], const char *what, const char *more)
{
	size_t at = strlen(out);

	snprintf(out + at, NOTE_MOST - at, "%s%s%s%s", at > 0 ? ", " : "",
	    what, *more != '\0' ? ": " : "", more);
}

/* Has he who holds it, or the first of those who do, closed his side? */
static bool
is_left(const json_t *row)
{
	const json_t *first =
	    json_array_get(json_object_get(row, "holders"), 0);

	return json_is_true(json_object_get(first, "client_closed"));
}

/* Why it is not as others are: held for too long, by one who has gone, pinned,
   dirty. */
static void
add_note(struct table *t, const json_t *row)
{
	const char *mark = field_text(row, "mark");
	const char *pinned = field_text(row, "pinned");
	const char *reason = field_text(row, "mark_reason");
	char text[NOTE_MOST] = "";

	if (json_is_true(json_object_get(row, "leaked")))
		note(text, "LEAKED", "");
	if (is_left(row))
		note(text, "client closed its side", "");
	if (*pinned != '\0')
		note(text, "pinned", pinned);
	if (strcmp(mark, "clean") != 0 && *mark != '\0')
		note(text, mark, reason);
	if (json_is_true(json_object_get(row, "has_left")))
		note(text, "upstream has left the file", "");
	table_add(t, "%s", text);
}

static void
add_connection(struct table *t, const json_t *row)
{
	const char *resolved = field_text(row, "resolved");
	const char *name = field_text(row, "endpoint");
	char age[SPAN_TEXT], since[SPAN_TEXT];

	table_add(t, "%lld", field_number(row, "id"));
	table_add(t, "%s", field_text(row, "upstream"));
	if (*resolved != '\0' && strcmp(resolved, name) != 0)
		table_add(t, "%s %s", name, resolved);
	else
		table_add(t, "%s", name);
	table_add(t, "%s", field_text(row, "state"));
	table_add(t, "%s", span_ms(field_number(row, "state_ms"), since));
	table_add(t, "%s", span_ms(field_number(row, "age_ms"), age));
	table_add(t, "%lld", field_number(row, "uses"));
	add_holder(t, row);
	table_add(t, "%s", field_text(row, "last_request"));
	add_note(t, row);
}

void
show_connections(FILE *out, const json_t *j)
{
	static const char *const heads[] = { "ID", "-UPSTREAM", "-ENDPOINT",
		"-STATE", "FOR", "AGE", "USES", "-HOLDER", "-PROCESS",
		"-REQUEST", "-NOTE", NULL };
	const json_t *rows = json_object_get(j, "connections");
	struct table t;
	size_t i;

	table_init(&t, heads);
	for (i = 0; i < json_array_size(rows); i++)
		add_connection(&t, json_array_get(rows, i));
	if (t.n_cells == 0)
		fputs("no connections\n", out);
	table_print(&t, out);
	if (json_is_false(json_object_get(j, "complete")))
		fputs("(a worker did not answer in time: not all are here)\n",
		    out);
	table_fini(&t);
}

/* --------------------------------------------------------------------- dns */

static void
add_name(struct table *t, const json_t *row)
{
	char addresses[1024], age[SPAN_TEXT], next[SPAN_TEXT];

	field_joined(row, "addresses", addresses,
	    sizeof(addresses));
	table_add(t, "%s", field_text(row, "upstream"));
	table_add(t, "%s", field_text(row, "endpoint"));
	table_add(t, "%s", span_ms(field_number(row, "age_ms"), age));
	table_add(t, "%s", span_ms(field_number(row, "next_ms"), next));
	table_add(t, "%s", addresses);
	table_add(t, "%s", field_text(row, "last_error"));
}

void
show_dns(FILE *out, const json_t *j)
{
	static const char *const heads[] = { "-UPSTREAM", "-ENDPOINT", "AGE",
		"NEXT", "-ADDRESSES", "-LAST ERROR", NULL };
	const json_t *rows = json_object_get(j, "names");
	struct table t;
	size_t i;

	table_init(&t, heads);
	for (i = 0; i < json_array_size(rows); i++)
		add_name(&t, json_array_get(rows, i));
	if (t.n_cells == 0)
		fputs("no names are looked up\n", out);
	table_print(&t, out);
	table_fini(&t);
}
