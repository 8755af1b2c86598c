/*
 * `weir check`: is the file right, and what of it may hurt? See check.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/command/check.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "proxy/command/client.h"
#include "proxy/command/commands.h"
#include "proxy/proto.h"

static json_t *
lines(const struct conf_errors *errors)
{
	json_t *j = json_array();
	size_t i;

	/* What is not UTF-8 has no JSON: the name of a file. */
	for (i = 0; i < errors->n; i++) {
		json_t *line = json_string(errors->v[i]);

		(void)json_array_append_new(j, line != NULL ? line :
		    json_string("(not UTF-8)"));
	}
	return j;
}

static void
print_json(const char *result, const struct conf_errors *warnings,
    const struct conf_errors *errors)
{
	json_t *j = json_pack("{s:s,s:o,s:o}", "result", result, "warnings",
	    lines(warnings), "errors", lines(errors));

	command_print(j);
	json_decref(j);
}

static void
print_lines(const char *before, const struct conf_errors *errors)
{
	size_t i;

	for (i = 0; i < errors->n; i++)
		fprintf(stderr, "%s%s\n", before, errors->v[i]);
}

int
check_run(const struct check_options *o)
{
	const struct conf_input in = { .path = o->path, .protos = proto_table,
	    .offline = o->offline };
	struct conf_errors errors = { 0 }, warnings = { 0 };
	struct conf *conf = conf_load(&in, &errors);
	bool good;

	if (conf != NULL) {
		conf_warn(conf, &warnings);
		/* Offline it is another machine's file. */
		conf_missing(conf, o->offline ? &warnings : &errors);
	}
	good = conf != NULL && errors.n == 0;
	print_lines("", &errors);
	print_lines("warning: ", &warnings);
	if (o->json)
		print_json(good ? "ok" : "invalid", &warnings, &errors);
	else if (good)
		printf("%s is fine: %zu listener%s, %zu upstream%s\n", o->path,
		    conf->n_listeners, conf->n_listeners == 1 ? "" : "s",
		    conf->n_upstreams, conf->n_upstreams == 1 ? "" : "s");
	conf_errors_fini(&warnings);
	conf_errors_fini(&errors);
	conf_free(conf);
	return good ? CLIENT_OK : CLIENT_FAILED;
}
