/*
 * The commands about what changes: plan, reload, confirm, drift. See commands.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/command/commands.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "conf/sent.h"
#include "proxy/command/client.h"
#include "proxy/command/path.h"

/* Milliseconds: resolves users, reads certificates. */
enum { PLAN_MS = 120 * 1000 };

/* ------------------------------------------------------------------- plan */

/* "/plan?name=FILE"; malloc'd, NULL when out of memory. */
static char *
plan_path(const char *name)
{
	struct path p;

	path_begin(&p, "/plan");
	path_query(&p, "name", name);
	return path_end(&p);
}

static void
print_lines(FILE *out, const char *before, const json_t *lines)
{
	size_t i;

	for (i = 0; i < json_array_size(lines); i++) {
		const char *line = json_string_value(json_array_get(lines, i));

		fprintf(out, "%s%s\n", before, line != NULL ? line : "?");
	}
}

/* What the answer says, for people; the exit status. */
static int
print_plan(const json_t *j)
{
	const char *result = json_string_value(json_object_get(j, "result"));

	print_lines(stderr, "warning: ", json_object_get(j, "warnings"));
	command_errors(json_object_get(j, "errors"));
	print_lines(stdout, "", json_object_get(j, "text"));
	if (result != NULL && strcmp(result, "invalid") == 0) {
		client_complain("a reload would be refused, nothing would "
		    "change");
		return CLIENT_FAILED;
	}
	return CLIENT_OK;
}

static int
ask_plan(struct order *o, const char *path, const char *text)
{
	char *body = NULL, why[512];
	int status = call_post(&o->target, path, text, PLAN_MS, &body, why,
	    sizeof(why));
	json_t *j = status > 0 ? json_loads(body, 0, NULL) : NULL;
	const char *error = json_string_value(json_object_get(j, "error"));
	const char *result = json_string_value(json_object_get(j, "result"));
	int exit_status = CLIENT_FAILED;

	if (status < 0)
		command_fail(o, "%s", why);
	else if (status != 200)
		command_fail(o, "%s", error != NULL ? error : body);
	else if (o->options & OPTION_JSON) {
		fputs(body, stdout);
		if (result != NULL && strcmp(result, "invalid") != 0)
			exit_status = CLIENT_OK;
	} else
		exit_status = print_plan(j);
	json_decref(j);
	free(body);
	return exit_status;
}

int
run_plan(struct order *o)
{
	const char *name = o->conf_path != NULL ? o->conf_path : CONF_DEFAULT;
	struct conf_errors errors;
	char *text = sent_make(name, &errors);
	char *path = text != NULL ? plan_path(name) : NULL;
	int status = CLIENT_FAILED;
	size_t i;

	for (i = 0; i < errors.n; i++)
		fprintf(stderr, "%s\n", errors.v[i]);
	if (path != NULL)
		status = ask_plan(o, path, text);
	else
		command_fail(o, "%s", text != NULL ? "out of memory" :
		    "the file could not be read");
	conf_errors_fini(&errors);
	free(path);
	free(text);
	return status;
}

/* ---------------------------------------------------- reload and confirm */

/* "/reload?confirm=60s"; malloc'd, NULL when out of memory. */
static char *
reload_path(const struct order *o)
{
	struct path p;

	path_begin(&p, "/reload");
	path_query(&p, "drop_overrides", o->options & OPTION_DROP ? "1" : "0");
	path_query(&p, "confirm", o->confirm);
	return path_end(&p);
}

/* Until when, as drift says it, and how. */
static void
print_confirm(const struct order *o, const json_t *until)
{
	time_t at = (time_t)json_integer_value(until);
	char text[40];
	struct tm tm;

	if (o->confirm != NULL && json_is_null(until))
		puts("nothing awaits a confirmation");
	if (!json_is_integer(until) || gmtime_r(&at, &tm) == NULL)
		return;
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	printf("what was before comes back at %s unless this is run until "
	    "then:\n    weir ", text);
	if (o->conf_path != NULL)
		printf("-c %s ", o->conf_path);
	if (o->admin != NULL)
		printf("--admin %s ", o->admin);
	puts("confirm");
}

static void
print_reloaded(const struct order *o, const json_t *j)
{
	const json_t *changes = json_object_get(j, "changes");
	long long by_hand = (long long)json_integer_value(json_object_get(j,
	    "overrides"));

	print_lines(stderr, "warning: ", json_object_get(j, "warnings"));
	printf("reloaded: generation %lld", (long long)
	    json_integer_value(json_object_get(j, "generation")));
	if (by_hand > 0)
		printf("; %lld endpoint%s still changed by hand", by_hand,
		    by_hand == 1 ? " is" : "s are");
	putchar('\n');
	if (json_array_size(changes) == 0)
		puts("nothing has changed");
	print_lines(stdout, "", changes);
	print_confirm(o, json_object_get(j, "confirm_until"));
}

static int
ask_reload(struct order *o, const char *path)
{
	char *body = NULL, why[512];
	int status = call_whole(&o->target, "POST", path, PLAN_MS, &body, why,
	    sizeof(why));
	json_t *j = status > 0 ? json_loads(body, 0, NULL) : NULL;
	const char *error = json_string_value(json_object_get(j, "error"));

	if (status < 0)
		command_fail(o, "%s", why);
	else if (o->options & OPTION_JSON && j != NULL)
		fputs(body, stdout);
	else if (status == 200)
		print_reloaded(o, j);
	else if (json_array_size(json_object_get(j, "errors")) > 0) {
		command_errors(json_object_get(j, "errors"));
		client_complain("the reload was refused, nothing has changed");
	} else
		command_fail(o, "%s", error != NULL ? error : body);
	json_decref(j);
	free(body);
	return status == 200 ? CLIENT_OK : CLIENT_FAILED;
}

int
run_reload(struct order *o)
{
	char *path = reload_path(o);
	int status = CLIENT_FAILED;

	if (path != NULL)
		status = ask_reload(o, path);
	else
		command_fail(o, "out of memory");
	free(path);
	return status;
}

int
run_confirm(struct order *o)
{
	char *body = command_fetch(o, "POST", "/confirm", COMMAND_CALL_MS);
	json_t *j = body != NULL ? json_loads(body, 0, NULL) : NULL;

	if (body == NULL)
		return CLIENT_FAILED;
	if (o->options & OPTION_JSON)
		fputs(body, stdout);
	else
		printf(json_is_false(json_object_get(j, "awaited")) ?
		    "nothing awaits a confirmation; generation %lld, which "
		    "runs, is confirmed already\n" :
		    "confirmed: generation %lld stays\n", (long long)
		    json_integer_value(json_object_get(j, "generation")));
	json_decref(j);
	free(body);
	return CLIENT_OK;
}

/* ------------------------------------------------------------------- drift */

static bool
differs(const json_t *j)
{
	const char *file = json_string_value(json_object_get(
	    json_object_get(j, "file"), "result"));

	return file == NULL || strcmp(file, "same") != 0 ||
	    json_array_size(json_object_get(j, "overrides")) > 0;
}

int
run_drift(struct order *o)
{
	int status;

	char *body = command_fetch(o, "GET", "/drift", PLAN_MS);
	json_t *j = body != NULL ? json_loads(body, 0, NULL) : NULL;

	if (body == NULL)
		return CLIENT_FAILED;
	if (o->options & OPTION_JSON)
		fputs(body, stdout);
	else
		print_lines(stdout, "", json_object_get(j, "text"));
	status = differs(j) ? CLIENT_FAILED : CLIENT_OK;
	json_decref(j);
	free(body);
	return status;
}
