/*
 * The commands about an upstream's connections. See commands.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/command/commands.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/command/client.h"
#include "proxy/command/path.h"
#include "proxy/command/show.h"
#include "proxy/process.h"

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

/* ------------------------------------------------------------- connections */

/* Whom this command asks is on this machine: so it can look for processes, with
   the rights of whoever runs it, where weir in its sandbox cannot. */
static bool
is_here(const struct call_target *t)
{
	struct addr_ip ip;

	addr_to_ip(&t->addr, &ip);
	return ip.family == AF_UNIX ||
	    (ip.family == AF_INET && ip.ip[0] == 127) ||
	    (ip.family == AF_INET6 && memcmp(ip.ip, &in6addr_loopback,
	    sizeof(ip.ip)) == 0);
}

static bool
take_addr(const json_t *holder, const char *key, struct addr_ip *ip)
{
	const char *text = json_string_value(json_object_get(holder, key));
	struct addr addr = { .len = 0 };
	struct addr_text parts;
	const char *why;
	int failed;

	if (text == NULL || addr_text_parse(text, true, &parts, &why) < 0)
		return false;
	failed = addr_from_text(&parts, &addr);
	addr_text_fini(&parts);
	if (failed < 0)
		return false;
	addr_to_ip(&addr, ip);
	return true;
}

/* Every holder in turn; with ends NULL they are only counted. filled: what was
   found is written back. */
static size_t
each_unknown(json_t *j, struct process_end *ends, bool filled)
{
	json_t *row, *holder;
	size_t n = 0, i, k;

	json_array_foreach(json_object_get(j, "connections"), i, row)
		json_array_foreach(json_object_get(row, "holders"), k, holder) {
			struct process_end e = { .pid = -1, .uid = -1 };

			if (!json_is_null(json_object_get(holder, "process")) ||
			    !take_addr(holder, "peer", &e.peer) ||
			    !take_addr(holder, "here", &e.here))
				continue;
			if (filled && ends[n].pid > 0)
				(void)json_object_set_new(holder, "process",
				    json_pack("{s:I,s:s}", "pid",
				    (json_int_t)ends[n].pid, "name",
				    ends[n].name));
			else if (ends != NULL && !filled)
				ends[n] = e;
			n++;
		}
	return n;
}

void
command_find_processes(const struct call_target *t, json_t *j)
{
	size_t n = is_here(t) ? each_unknown(j, NULL, false) : 0;
	struct process_end *ends = n > 0 ? calloc(n, sizeof(*ends)) : NULL;

	if (ends == NULL)
		return;
	(void)each_unknown(j, ends, false);
	process_look(ends, n);
	(void)each_unknown(j, ends, true);
	free(ends);
}

/* So many that another weir has while an upgrade lasts: of that upstream, NULL =
   of all. */
static long long
count_elsewhere(const json_t *stats, const char *name)
{
	const json_t *rows = json_object_get(stats, "upstreams");
	long long n = 0;
	size_t i;

	for (i = 0; i < json_array_size(rows); i++) {
		const json_t *row = json_array_get(rows, i);
		const char *is = json_string_value(json_object_get(row,
		    "name"));

		if (name == NULL || (is != NULL && strcmp(is, name) == 0))
			n += json_integer_value(json_object_get(json_object_get(
			    row, "pool"), "elsewhere"));
	}
	return n;
}

/* Which of them are leased and for how long is known there alone, and it does not
   answer any more. */
static void
say_elsewhere(const json_t *j)
{
	long long n = json_integer_value(json_object_get(j, "elsewhere"));
	const json_t *pid = json_object_get(j, "elsewhere_pid");

	if (n > 0 && json_is_integer(pid))
		printf("%lld more with process %lld, which drains\n", n,
		    (long long)json_integer_value(pid));
	else if (n > 0)
		printf("%lld more with the other weir of an upgrade\n", n);
}

int
run_connections(struct order *o)
{
	json_t *j = command_fetch_rows(o, "/connections", "connections", false);
	json_t *stats = j != NULL ? command_fetch_json(o, "/stats") : NULL;
	json_t *pid = json_object_get(json_object_get(stats, "upgrade"),
	    "before_pid");

	if (stats == NULL) {
		json_decref(j);
		return CLIENT_FAILED;
	}
	(void)json_object_set_new(j, "elsewhere",
	    json_integer(count_elsewhere(stats, o->words[0])));
	(void)json_object_set(j, "elsewhere_pid", pid != NULL ? pid :
	    json_null());
	if (o->options & OPTION_JSON)
		command_print(j);
	else {
		command_find_processes(&o->target, j);
		show_connections(stdout, j);
		say_elsewhere(j);
	}
	json_decref(stats);
	json_decref(j);
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

/* malloc'd; NULL when out of memory. */
static char *
fault_path(const struct order *o)
{
	unsigned given = o->options;
	struct path p;

	command_path_begin(&p, o, "fault");
	path_query(&p, "delay", o->delay);
	path_query(&p, "reset", given & OPTION_RESET ? "1" : NULL);
	path_query(&p, "error", given & OPTION_ERROR ? "1" : NULL);
	path_query(&p, "percent", o->percent);
	path_query(&p, "for", o->what);
	path_query(&p, "off", given & OPTION_OFF ? "1" : NULL);
	return path_end(&p);
}

int
run_fault(struct order *o)
{
	char *path = fault_path(o), done[512], what[SHOW_FAULT];
	int status;

	if (path == NULL)
		return command_fail(o, "out of memory");
	if (o->options & OPTION_OFF)
		snprintf(done, sizeof(done), "no more faults: %.200s",
		    o->words[0]);
	else
		snprintf(done, sizeof(done), "for %.20s, %.20s %% of the "
		    "exchanges of %.100s %s", o->what != NULL ? o->what : "5m",
		    o->percent, o->words[0], show_fault(o->delay,
		    (o->options & OPTION_ERROR) != 0,
		    (o->options & OPTION_RESET) != 0, what));
	status = order(o, path, done);
	free(path);
	return status;
}
