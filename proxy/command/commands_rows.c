/*
 * Pages that are rows of something, of which a command line wants some: those of
 * one name, those of a state. People and programs are given the same ones. See
 * commands.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/command/commands.h"

#include <string.h>

#include "proxy/command/client.h"
#include "proxy/command/show.h"

static bool
is_text(const json_t *row, const char *key, const char *text)
{
	const char *is = json_string_value(json_object_get(row, key));

	return is != NULL && strcmp(is, text) == 0;
}

/* Is that row of the name that was asked for? */
static bool
is_named(const struct order *o, const json_t *row, bool listeners)
{
	const char *name = o->words[0];

	return name == NULL || is_text(row, "upstream", name) ||
	    (listeners && is_text(row, "listener", name));
}

static bool
is_wanted(const struct order *o, const json_t *row)
{
	const json_t *ms = json_object_get(row, "state_ms");

	return (!(o->options & OPTION_LEASED) ||
	    is_text(row, "state", "leased")) &&
	    (!(o->options & OPTION_OLDER) ||
	    json_integer_value(ms) >= o->older_ms);
}

/* Only those that are asked for stay. Returns how many have the name. */
static size_t
sift(const struct order *o, json_t *rows, bool listeners)
{
	json_t *left = json_array(), *row;
	size_t named = 0, i;

	json_array_foreach(rows, i, row) {
		if (!is_named(o, row, listeners))
			continue;
		named++;
		if (is_wanted(o, row))
			(void)json_array_append(left, row);
	}
	(void)json_array_clear(rows);
	(void)json_array_extend(rows, left);
	json_decref(left);
	return named;
}

static bool
is_among(const json_t *stats, const char *key, const char *name)
{
	const json_t *rows = json_object_get(stats, key);
	size_t i;

	for (i = 0; i < json_array_size(rows); i++)
		if (is_text(json_array_get(rows, i), "name", name))
			return true;
	return false;
}

/* Nothing is there of that name: is there the name at all? If not that has been
   said. */
static bool
is_known(struct order *o, bool listeners)
{
	const char *name = o->words[0];
	json_t *stats = command_fetch_json(o, "/stats");
	bool known = is_among(stats, "upstreams", name) ||
	    (listeners && is_among(stats, "listeners", name));

	if (stats != NULL && !known)
		command_fail(o, "there is no upstream%s %s", listeners ?
		    " or listener" : "", name);
	json_decref(stats);
	return known;
}

json_t *
command_fetch_rows(struct order *o, const char *path, const char *key,
    bool listeners)
{
	json_t *j = command_fetch_json(o, path);

	if (j == NULL)
		return NULL;
	if (sift(o, json_object_get(j, key), listeners) == 0 &&
	    o->words[0] != NULL && !is_known(o, listeners)) {
		json_decref(j);
		return NULL;
	}
	return j;
}

int
run_why(struct order *o)
{
	json_t *j = command_fetch_rows(o, "/slow", "exchanges", true);

	if (j == NULL)
		return CLIENT_FAILED;
	if (o->options & OPTION_JSON)
		command_print(j);
	else
		show_why(stdout, j, o->words[0] != NULL);
	json_decref(j);
	return CLIENT_OK;
}

int
run_dns(struct order *o)
{
	json_t *j = command_fetch_rows(o, "/dns", "names", false);

	if (j == NULL)
		return CLIENT_FAILED;
	if (o->options & OPTION_JSON)
		command_print(j);
	else
		show_dns(stdout, j);
	json_decref(j);
	return CLIENT_OK;
}
