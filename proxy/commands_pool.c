/*
 * The commands about an upstream's connections. See commands.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/commands.h"

#include <stdio.h>
#include <stdlib.h>

#include "proxy/client.h"

/* The answer as it is, or what it means. */
static int
order(struct order *o, const char *path, const char *done)
{
	char *body = command_fetch(o, "POST", path, COMMAND_CALL_MS);

	if (body == NULL)
		return CLIENT_FAILED;
	if (o->options & OPTION_JSON)
		fputs(body, stdout);
	else
		puts(done);
	free(body);
	return CLIENT_OK;
}

int
run_kill(struct order *o)
{
	char path[128], done[128];

	snprintf(path, sizeof(path), "/connections/%.40s/kill", o->words[0]);
	snprintf(done, sizeof(done), "closed: connection %.40s", o->words[0]);
	return order(o, path, done);
}

/* ------------------------------------------------------------------- faults */

/* The next word of a query. */
static void
put_word(FILE *out, const char *key, const char *value, char *between)
{
	fprintf(out, "%c%s=", *between, key);
	command_put_escaped(out, value);
	*between = '&';
}

/* malloc'd; NULL when out of memory. */
static char *
fault_path(const struct order *o)
{
	char *base = command_path(o, "fault"), *path = NULL, between = '?';
	size_t len;
	FILE *out = base != NULL ? open_memstream(&path, &len) : NULL;
	bool whole = out != NULL;

	if (out != NULL) {
		fputs(base, out);
		if (o->delay != NULL)
			put_word(out, "delay", o->delay, &between);
		if (o->options & OPTION_RESET)
			put_word(out, "reset", "1", &between);
		if (o->options & OPTION_ERROR)
			put_word(out, "error", "1", &between);
		if (o->percent != NULL)
			put_word(out, "percent", o->percent, &between);
		if (o->what != NULL)
			put_word(out, "for", o->what, &between);
		if (o->options & OPTION_OFF)
			put_word(out, "off", "1", &between);
		whole = fclose(out) == 0;
	}
	free(base);
	if (whole)
		return path;
	free(path);
	return NULL;
}

int
run_fault(struct order *o)
{
	char *path = fault_path(o), done[256];
	int status;

	if (path == NULL)
		return command_fail(o, "out of memory");
	if (o->options & OPTION_OFF)
		snprintf(done, sizeof(done), "no more faults: %.200s",
		    o->words[0]);
	else
		snprintf(done, sizeof(done), "%.20s %% of the exchanges of "
		    "%.100s, for %.20s", o->percent, o->words[0],
		    o->what != NULL ? o->what : "5m");
	status = order(o, path, done);
	free(path);
	return status;
}
