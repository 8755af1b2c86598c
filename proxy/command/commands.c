/*
 * The commands of a running weir. See commands.h; how a request is made is in
 * call.c.
 *
 * What is asked for goes to standard output, everything else to standard error.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/command/commands.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/clock.h"
#include "proxy/command/client.h"
#include "proxy/command/clock.h"
#include "proxy/command/path.h"
#include "proxy/command/show.h"

/* Milliseconds. */
enum {
	PROBE_MS = 5 * 1000,
	POLL_MS = 100,
	NEWS_MS = 2000                  /* who waits for so long is told why */
};

void
client_complain(const char *fmt, ...)
{
	va_list ap;

	fputs("weir: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	putc('\n', stderr);
}

/* ------------------------------------------------------------------- calls */

/* Without the query: that only repeats the command line. */
static int
page_len(const char *path)
{
	return (int)strcspn(path, "?");
}

char *
command_fetch(struct order *o, const char *method, const char *path, int64_t ms)
{
	char *body = NULL, why[512];
	int status = call_whole(&o->target, method, path, ms, &body, why,
	    sizeof(why));
	json_t *j;

	if (status == 200)
		return body;
	if (status < 0) {
		command_fail(o, "%s", why);
		return NULL;
	}
	j = json_loads(body, 0, NULL);
	if (j != NULL && json_string_value(json_object_get(j, "error")) != NULL)
		command_fail(o, "%s",
		    json_string_value(json_object_get(j, "error")));
	else
		command_fail(o, "%.*s: %d: %s", page_len(path), path, status,
		    body);
	json_decref(j);
	free(body);
	return NULL;
}

json_t *
command_fetch_json(struct order *o, const char *path)
{
	char *body = command_fetch(o, "GET", path, COMMAND_CALL_MS);
	json_error_t error;
	json_t *j;

	if (body == NULL)
		return NULL;
	j = json_loads(body, 0, &error);
	if (j == NULL)
		command_fail(o, "%s of %s is not JSON: %s", path,
		    o->target.shown, error.text);
	free(body);
	return j;
}

/* ---------------------------------------------------------------- commands */

int
run_stats(struct order *o)
{
	json_t *j = command_fetch_json(o, "/stats");

	if (j == NULL)
		return CLIENT_FAILED;
	if (o->options & OPTION_JSON)
		command_print(j);
	else
		show_stats(stdout, j);
	json_decref(j);
	return CLIENT_OK;
}

/* Any page, as it comes: /stats/stream has no end. */
int
run_get(struct order *o)
{
	char out[8192], why[512];
	struct call c;
	int64_t n;

	if (o->options & OPTION_JSON)
		return command_get_json(o);
	if (call_begin(&c, &o->target, "GET", o->words[0], COMMAND_CALL_MS, why,
	    sizeof(why)) < 0) {
		client_complain("%s", why);
		return CLIENT_FAILED;
	}
	while ((n = call_read(&c, out, sizeof(out), why, sizeof(why))) > 0) {
		fwrite(out, 1, (size_t)n, stdout);
		fflush(stdout);
		if (ferror(stdout))
			break;          /* /stats/stream would never end */
	}
	call_end(&c);
	if (n < 0)
		client_complain("%s", why);
	else if (c.status != 200)
		client_complain("GET %s: %u", o->words[0], c.status);
	return n == 0 && c.status == 200 ? CLIENT_OK : CLIENT_FAILED;
}

void
command_errors(const json_t *errors)
{
	size_t i;

	for (i = 0; i < json_array_size(errors); i++) {
		const char *text = json_string_value(json_array_get(errors, i));

		fprintf(stderr, "%s\n", text != NULL ? text : "?");
	}
}

/* malloc'd; NULL when out of memory. */
static char *
endpoint_path(const struct order *o)
{
	char weight[24];
	struct path p;

	snprintf(weight, sizeof(weight), "%lld", (long long)o->weight);
	path_begin(&p, "/upstreams/");
	path_word(&p, o->words[0]);
	path_fixed(&p, "/endpoints/");
	path_word(&p, o->words[1]);
	path_query(&p, "state", o->words[2]);
	path_query(&p, "weight", o->options & OPTION_WEIGHT ? weight : NULL);
	path_query(&p, "for", o->what);
	return path_end(&p);
}

/* Likewise. */
static char *
key_path(const struct order *o)
{
	struct path p;

	path_begin(&p, "/key");
	path_query(&p, "upstream", o->words[0]);
	path_query(&p, "key", o->words[1]);
	return path_end(&p);
}

int
run_key(struct order *o)
{
	char *path = key_path(o);
	json_t *j;

	if (path == NULL)
		return command_fail(o, "out of memory");
	j = command_fetch_json(o, path);
	free(path);
	if (j == NULL)
		return CLIENT_FAILED;
	if (o->options & OPTION_JSON)
		command_print(j);
	else
		show_key(stdout, j);
	json_decref(j);
	return CLIENT_OK;
}

int
run_endpoint(struct order *o)
{
	char *path = endpoint_path(o), *body;
	json_t *j;

	if (path == NULL)
		return command_fail(o, "out of memory");
	body = command_fetch(o, "POST", path, COMMAND_CALL_MS);
	free(path);
	if (body == NULL)
		return CLIENT_FAILED;
	j = json_loads(body, 0, NULL);
	if (o->options & OPTION_JSON)
		fputs(body, stdout);
	else
		show_endpoint(stdout, o->words[0], j);
	json_decref(j);
	free(body);
	return CLIENT_OK;
}

void
command_path_begin(struct path *p, const struct order *o, const char *what)
{
	path_begin(p, "/upstreams/");
	path_word(p, o->words[0]);
	path_fixed(p, "/");
	path_fixed(p, what);
}

/* Pauses or resumes; the answer's number of leases, -1 when it has failed. */
static long long
set_paused(struct order *o, const char *what)
{
	char *path, *body;
	long long leased;
	struct path p;
	json_t *j;

	command_path_begin(&p, o, what);
	path = path_end(&p);
	if (path == NULL) {
		command_fail(o, "out of memory");
		return -1;
	}
	body = command_fetch(o, "POST", path, COMMAND_CALL_MS);
	free(path);
	if (body == NULL)
		return -1;
	if (o->options & OPTION_JSON)
		fputs(body, stdout);
	j = json_loads(body, 0, NULL);
	leased = (long long)json_integer_value(json_object_get(j, "leased"));
	json_decref(j);
	free(body);
	return leased;
}

int
run_pause(struct order *o)
{
	long long leased = set_paused(o, "pause");

	if (leased < 0)
		return CLIENT_FAILED;
	if (!(o->options & OPTION_JSON))
		printf("paused: %s; %lld connection%s still leased\n",
		    o->words[0], leased, leased == 1 ? " is" : "s are");
	return CLIENT_OK;
}

int
run_resume(struct order *o)
{
	if (set_paused(o, "resume") < 0)
		return CLIENT_FAILED;
	if (!(o->options & OPTION_JSON))
		printf("resumed: %s\n", o->words[0]);
	return CLIENT_OK;
}

int
run_log(struct order *o)
{
	char *path, *body;
	struct path p;

	path_begin(&p, "/log");
	path_query(&p, "level", o->words[0]);
	path_query(&p, "for", o->what);
	path = path_end(&p);
	if (path == NULL)
		return command_fail(o, "out of memory");
	body = command_fetch(o, "POST", path, COMMAND_CALL_MS);
	free(path);
	if (body == NULL)
		return CLIENT_FAILED;
	if (o->options & OPTION_JSON)
		fputs(body, stdout);
	else
		printf("logging from %s on, %s%s\n", o->words[0],
		    o->what != NULL ? "for " : "until the next reload",
		    o->what != NULL ? o->what : "");
	free(body);
	return CLIENT_OK;
}

/* ----------------------------------------------------------------- waiting */

/* A page's text without its last newline. */
static void
keep_line(char *to, size_t size, const char *body)
{
	snprintf(to, size, "%.*s", (int)strcspn(body, "\n"), body);
}

/* 200 at /readyz? If not, why says it. */
static bool
is_ready(struct order *o, int64_t ms, char *why, size_t size)
{
	char *body = NULL;
	int status = call_whole(&o->target, "GET", "/readyz", ms, &body, why,
	    size);

	o->answered = status >= 0;
	if (status >= 0 && status != 200)
		keep_line(why, size, body);
	free(body);
	return status == 200;
}

/* Has every listener an address bound? */
static bool
is_bound(struct order *o, int64_t ms, char *why, size_t size)
{
	char *body = NULL;
	int status = call_whole(&o->target, "GET", "/stats", ms, &body, why,
	    size);
	json_t *j = status == 200 ? json_loads(body, 0, NULL) : NULL;
	const json_t *rows = json_object_get(j, "listeners");
	size_t bound = 0, i;

	o->answered = status >= 0;
	for (i = 0; i < json_array_size(rows); i++)
		bound += json_array_size(json_object_get(
		    json_array_get(rows, i), "bind")) > 0;
	if (status >= 0 && j == NULL)
		snprintf(why, size, "/stats: %d", status);
	else if (j != NULL)
		snprintf(why, size, "%zu of %zu listeners are bound", bound,
		    json_array_size(rows));
	i = json_array_size(rows);
	json_decref(j);
	free(body);
	return i > 0 && bound == i;
}

static int64_t
at_most(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Once: whoever looks on does not know what it is waited for. */
static void
say_still(const struct order *o, const char *why)
{
	if (o->answered)
		client_complain("still waiting: %s", why);
	else
		client_complain("still waiting: nobody answers at %s yet",
		    o->target.shown);
}

int
run_wait(struct order *o)
{
	int64_t until = clock_until_ms(o->timeout_ms);
	int64_t news = clock_until_ms(NEWS_MS);
	bool (*done)(struct order *, int64_t, char *, size_t) =
	    o->what != NULL && strcmp(o->what, "listeners") == 0 ? is_bound :
	    is_ready;
	char why[512], heard[512] = "";

	for (;;) {
		int64_t left = until - clock_ms();

		/* The last one, too, has time to say why not. */
		if (done(o, at_most(left > POLL_MS ? left : POLL_MS, PROBE_MS),
		    why, sizeof(why))) {
			command_say(o, NULL, "ready");
			return CLIENT_OK;
		}
		if (o->whose.foreign)
			return command_fail(o, "%s", why);
		left = until - clock_ms();
		/* The end of the time may have cut this one short: what was
		   heard before says more. */
		if (o->answered || left > 0)
			memcpy(heard, why, sizeof(heard));
		if (left <= 0)
			break;
		if (clock_ms() >= news) {
			say_still(o, why);
			news = INT64_MAX;
		}
		clock_pause_ms(at_most(left, POLL_MS));
	}
	return command_fail(o, "not so within %g s: %s",
	    (double)o->timeout_ms / 1e3, heard[0] != '\0' ? heard : why);
}

int
run_ready(struct order *o)
{
	char why[512];

	if (!is_ready(o, PROBE_MS, why, sizeof(why)))
		return command_fail(o, "%s", why);
	command_say(o, "ready", "ready");
	return CLIENT_OK;
}

/*
 * How long the weir there has been up; -1 = none answers. A port that is in
 * use again by a weir that is younger was given up in between.
 */
static double
uptime_s(struct order *o)
{
	char *body = NULL, why[512];
	int status = call_whole(&o->target, "GET", "/stats", PROBE_MS, &body,
	    why, sizeof(why));
	json_t *j = status == 200 ? json_loads(body, 0, NULL) : NULL;
	double up = -1;

	if (j != NULL)
		up = json_number_value(json_object_get(j, "uptime_s"));
	json_decref(j);
	free(body);
	return up;
}

int
run_stop(struct order *o)
{
	int64_t until = clock_until_ms(o->timeout_ms);
	double before = uptime_s(o), now;
	char *body = command_fetch(o, "POST", o->options & OPTION_NOW ? "/stop" :
	    "/drain", COMMAND_CALL_MS);

	if (body == NULL)
		return CLIENT_FAILED;
	free(body);
	while ((now = uptime_s(o)) >= before && now >= 0) {
		before = now;
		if (clock_ms() >= until)
			return command_fail(o, "%s still runs",
			    o->target.shown);
		clock_pause_ms(POLL_MS);
	}
	command_say(o, NULL, "stopped");
	return CLIENT_OK;
}
