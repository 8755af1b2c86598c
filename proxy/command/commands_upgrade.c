/*
 * `weir upgrade`: ask the running weir to start the binary that lies where its
 * own did, and wait until that one answers, or until it is told why not.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/command/commands.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "net/clock.h"
#include "proxy/command/client.h"
#include "proxy/command/clock.h"

enum { POLL_MS = 50, PROBE_MS = 2000 };

/* What it says, as JSON; NULL with a sentence in why. *status 0 = nobody. */
static json_t *
ask(struct order *o, const char *method, const char *path, int64_t ms,
    int *status, char *why, size_t size)
{
	char *body = NULL;
	const char *error;
	json_t *j = NULL;

	*status = call_whole(&o->target, method, path, ms, &body, why, size);
	if (*status >= 0)
		j = json_loads(body, 0, NULL);
	else
		*status = 0;
	free(body);
	if (j == NULL || *status >= 300) {
		error = json_string_value(json_object_get(j, "error"));
		if (*status != 0)
			snprintf(why, size, "%s", error != NULL ? error :
			    "the answer was not understood");
		json_decref(j);
		return NULL;
	}
	return j;
}

static long long
number(const json_t *j, const char *name)
{
	return (long long)json_integer_value(json_object_get(j, name));
}

static const char *
text(const json_t *j, const char *name)
{
	const char *t = json_string_value(json_object_get(j, name));

	return t != NULL ? t : "";
}

/* Is it over? *status is the command's then. */
static bool
is_over(struct order *o, const json_t *stats, long long before, int *status)
{
	const json_t *upgrade = json_object_get(stats, "upgrade");
	long long pid = number(stats, "pid");

	if (pid != before) {
		*status = CLIENT_OK;
		if (o->options & OPTION_JSON)
			printf("{\"result\":\"ok\",\"pid\":%lld,"
			    "\"version\":\"%s\"}\n", pid,
			    text(stats, "version"));
		else
			printf("process %lld serves, weir %s; process %lld "
			    "drains\n", pid, text(stats, "version"), before);
		return true;
	}
	if (strcmp(text(upgrade, "state"), "idle") != 0)
		return false;
	*status = command_fail(o, "not upgraded: %s", text(upgrade, "error"));
	return true;
}

int
run_upgrade(struct order *o)
{
	int64_t until = clock_until_ms(o->timeout_ms);
	int status = CLIENT_FAILED, http;
	char why[512] = "";
	long long before;
	json_t *j = ask(o, "GET", "/stats", COMMAND_CALL_MS, &http, why,
	    sizeof(why));

	before = number(j, "pid");
	json_decref(j);
	if (j != NULL)
		j = ask(o, "POST", "/upgrade", COMMAND_CALL_MS, &http, why,
		    sizeof(why));
	if (j == NULL)
		return command_fail(o, "not upgraded: %s", why);
	json_decref(j);
	/* While one takes over from the other nobody answers for a moment. */
	while (clock_ms() < until) {
		j = ask(o, "GET", "/stats", PROBE_MS, &http, why,
		    sizeof(why));
		if (j != NULL && is_over(o, j, before, &status)) {
			json_decref(j);
			return status;
		}
		json_decref(j);
		clock_pause_ms(POLL_MS);
	}
	return command_fail(o, "it is not known what became of the "
	    "upgrade%s%s", *why != '\0' ? ": " : "", why);
}
