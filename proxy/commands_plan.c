/*
 * The commands about what changes: plan, confirm, drift. See commands.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/commands.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/sent.h"
#include "proxy/client.h"

/* Milliseconds: resolves users, reads certificates. */
enum { PLAN_MS = 120 * 1000 };

/* ------------------------------------------------------------------- plan */

/* "/plan?name=FILE"; malloc'd, NULL when out of memory. */
static char *
plan_path(const char *name)
{
	char *path = NULL;
	size_t len;
	FILE *out = open_memstream(&path, &len);

	if (out == NULL)
		return NULL;
	fputs("/plan?name=", out);
	command_put_escaped(out, name);
	if (fclose(out) == 0)
		return path;
	free(path);
	return NULL;
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
		client_complain("%s", why);
	else if (status != 200)
		client_complain("/plan: %d: %s", status, error != NULL ?
		    error : body);
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
	else if (text != NULL)
		client_complain("out of memory");
	conf_errors_fini(&errors);
	free(path);
	free(text);
	return status;
}
