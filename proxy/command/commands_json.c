/*
 * --json: standard output is JSON then, and nothing else, also of what fails and
 * of pages that are none. See commands.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/command/client.h"
#include "proxy/command/commands.h"
#include "proxy/version.h"

void
command_print(const json_t *j)
{
	char *text = json_dumps(j, JSON_COMPACT | JSON_REAL_PRECISION(15));

	if (text != NULL)
		puts(text);
	fflush(stdout);
	free(text);
}

/* Takes the reference. */
static void
print(json_t *j)
{
	command_print(j);
	json_decref(j);
}

void
client_error_json(const char *text)
{
	print(json_pack("{s:s}", "error", text));
}

static json_t *
of_help(const struct client_help *row)
{
	return json_pack("{s:s, s:s, s:s}", "name", row->name, "usage",
	    row->usage, "help", row->help);
}

void
client_usage_json(const struct client_help *row)
{
	print(of_help(row));
}

void
client_help_json(bool (*at)(size_t i, struct client_help *row))
{
	json_t *all = json_array();
	struct client_help row;
	size_t i;

	for (i = 0; at(i, &row); i++)
		(void)json_array_append_new(all, of_help(&row));
	print(json_pack("{s:s, s:o}", "version", WEIR_VERSION, "commands",
	    all));
}

void
client_version_json(void)
{
	print(version_json());
}

int
command_fail(const struct order *o, const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	client_complain("%s", text != NULL ? text : "out of memory");
	if (o->options & OPTION_JSON)
		client_error_json(text != NULL ? text : "out of memory");
	free(text);
	return CLIENT_FAILED;
}

void
command_say(const struct order *o, const char *text, const char *key)
{
	if (o->options & OPTION_JSON)
		print(json_pack("{s:b}", key, 1));
	else if (text != NULL)
		puts(text);
}

/* ------------------------------------------------------------------- pages */

/* What a page says, as JSON: itself, where it is that. */
static void
print_page(unsigned status, const char *body)
{
	json_t *j = json_loads(body, 0, NULL), *text;

	if (j == NULL) {
		text = json_string(body);
		j = json_object();
		(void)json_object_set_new(j, "status", json_integer(status));
		/* What is not UTF-8 is of no page. */
		(void)json_object_set_new(j, "text", text != NULL ? text :
		    json_null());
	}
	print(j);
}

/* A line of /stats/stream, which are events of data (HTML 9.2.6): the object,
   on a line of its own. */
static void
print_event(const char *line, size_t len)
{
	static const char data[] = "data: ";

	if (len < sizeof(data) - 1 || strncmp(line, data, sizeof(data) - 1) != 0)
		return;
	fwrite(line + sizeof(data) - 1, 1, len - (sizeof(data) - 1), stdout);
	putchar('\n');
	fflush(stdout);
}

/* Whole lines that have come; what is left of them moves to the front. */
static size_t
print_events(char *text, size_t len)
{
	char *at = text, *end;

	while ((end = memchr(at, '\n', len)) != NULL) {
		print_event(at, (size_t)(end - at));
		len -= (size_t)(end + 1 - at);
		at = end + 1;
	}
	memmove(text, at, len);
	return len;
}

static int
stream(const struct order *o, struct call *c, char *why, size_t size)
{
	char *text = NULL, *more;
	size_t len = 0, room = 0;
	int64_t n = 0;

	for (;;) {
		if (room - len < sizeof(c->bytes)) {
			room = room * 2 + sizeof(c->bytes) * 2;
			more = realloc(text, room);
			if (more == NULL)
				break;
			text = more;
		}
		n = call_read(c, text + len, room - len, why, size);
		if (n <= 0 || ferror(stdout))
			break;
		len = print_events(text, len + (size_t)n);
	}
	free(text);
	return n < 0 ? command_fail(o, "%s", why) : CLIENT_OK;
}

int
command_get_json(struct order *o)
{
	char *body = NULL, why[512];
	struct call c;
	int status;

	if (strncmp(o->words[0], "/stats/stream", 13) == 0) {
		if (call_begin(&c, &o->target, "GET", o->words[0],
		    COMMAND_CALL_MS, why, sizeof(why)) < 0)
			return command_fail(o, "%s", why);
		status = stream(o, &c, why, sizeof(why));
		call_end(&c);
		return status;
	}
	status = call_whole(&o->target, "GET", o->words[0], COMMAND_CALL_MS,
	    &body, why, sizeof(why));
	if (status < 0)
		return command_fail(o, "%s", why);
	print_page((unsigned)status, body);
	free(body);
	if (status != 200)
		client_complain("GET %s: %d", o->words[0], status);
	return status == 200 ? CLIENT_OK : CLIENT_FAILED;
}
