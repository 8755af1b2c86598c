/*
 * What /slow says, for people: by cause, each with what to change and its newest
 * exchanges. See show.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "net/err.h"
#include "proxy/command/show.h"
#include "proxy/command/table.h"

enum {
	WIDE = 79,                      /* the last column that is used */
	EXAMPLES = 3,                   /* of each cause */
	EXAMPLES_OF_ONE = 12            /* when one name was asked for */
};

/* Exchanges of one cause at one place; newest first, as they come. */
struct group {
	const char *cause, *failure, *upstream, *listener;
	const char *why;                /* of the newest */
	unsigned n;
	bool failed;
};

static const char *
text_of(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text != NULL ? text : "";
}

static long long
number_of(const json_t *o, const char *key)
{
	return (long long)json_integer_value(json_object_get(o, key));
}

static bool
is_failed(const json_t *row)
{
	return *text_of(row, "failure") != '\0' ||
	    strcmp(text_of(row, "outcome"), "5xx") == 0;
}

static bool
is_of_interest(const json_t *row)
{
	return strcmp(text_of(row, "cause"), "quick") != 0;
}

static bool
belongs(const struct group *g, const json_t *row)
{
	return g->failed == is_failed(row) &&
	    strcmp(g->cause, text_of(row, "cause")) == 0 &&
	    strcmp(g->failure, text_of(row, "failure")) == 0 &&
	    strcmp(g->upstream, text_of(row, "upstream")) == 0 &&
	    (*g->upstream != '\0' ||
	    strcmp(g->listener, text_of(row, "listener")) == 0);
}

/* ------------------------------------------------------------ one exchange */

static void
print_us(FILE *out, long long us)
{
	if (us >= 1000000)
		fprintf(out, "%.1fs", (double)us / 1e6);
	else if (us >= 1000)
		fprintf(out, "%lldms", us / 1000);
	else
		fprintf(out, "%lldus", us);
}

/* The two parts that took longest. */
static void
print_parts(FILE *out, const json_t *row)
{
	static const struct { const char *key, *name; } parts[] = {
		{ "arrive_us", "arriving" }, { "pause_us", "held back" },
		{ "queue_us", "queue" }, { "connect_us", "connect" },
		{ "tls_us", "tls" }, { "upload_us", "upload" },
		{ "first_byte_us", "first byte" }, { "client_us", "not taken" },
		{ "idle_us", "idle" }, { "transfer_us", "transfer" }
	};
	long long most = 0, next = 0;
	size_t i, a = 0, b = 0;

	for (i = 0; i < NELEMS(parts); i++) {
		long long us = number_of(row, parts[i].key);

		if (us > most) {
			next = most;
			b = a;
			most = us;
			a = i;
		} else if (us > next) {
			next = us;
			b = i;
		}
	}
	if (most == 0)
		return;
	fprintf(out, " (%s ", parts[a].name);
	print_us(out, most);
	if (next > most / 20) {
		fprintf(out, ", %s ", parts[b].name);
		print_us(out, next);
	}
	putc(')', out);
}

/* Control characters have no say on a terminal. */
static void
print_cut(FILE *out, const char *line)
{
	int wide = 0;

	for (; *line != '\0' && wide < WIDE; line++) {
		unsigned char c = (unsigned char)*line;

		putc(c < ' ' || c == 0x7f ? '?' : c, out);
		/* Continuation bytes (RFC 3629 3) take no column. */
		wide += (c & 0xc0) != 0x80;
	}
	while ((*line & 0xc0) == 0x80)
		putc(*line++, out);
	putc('\n', out);
}

static void
print_exchange(FILE *out, const json_t *row)
{
	time_t at = (time_t)json_number_value(json_object_get(row, "at"));
	char clock[16] = "", *line = NULL;
	size_t len;
	FILE *to = open_memstream(&line, &len);
	struct tm tm;

	if (to == NULL)
		return;
	if (gmtime_r(&at, &tm) != NULL)
		strftime(clock, sizeof(clock), "%H:%M:%SZ", &tm);
	fprintf(to, "  %s ", clock);
	print_us(to, number_of(row, "total_us"));
	print_parts(to, row);
	putc(' ', to);
	if (number_of(row, "status") != 0)
		fprintf(to, "%lld ", number_of(row, "status"));
	fprintf(to, "%s %s", text_of(row, "client"), text_of(row, "request"));
	if (fclose(to) == 0)
		print_cut(out, line);
	free(line);
}

/* ------------------------------------------------------------------ groups */

/* Returns how many there are; g has room for a group each. */
static size_t
sort_out(const json_t *rows, struct group *g, unsigned of[2])
{
	size_t n = 0, i, k;

	for (i = 0; i < json_array_size(rows); i++) {
		const json_t *row = json_array_get(rows, i);

		if (!is_of_interest(row))
			continue;
		for (k = 0; k < n && !belongs(&g[k], row); k++)
			;
		if (k == n)
			g[n++] = (struct group){ text_of(row, "cause"),
			    text_of(row, "failure"), text_of(row, "upstream"),
			    text_of(row, "listener"), text_of(row, "why"), 0,
			    is_failed(row) };
		g[k].n++;
		of[g[k].failed]++;
	}
	return n;
}

static void
show_group(FILE *out, const struct group *g, const json_t *rows, bool of_one,
    unsigned of)
{
	unsigned most = of_one ? EXAMPLES_OF_ONE : EXAMPLES;
	bool at_upstream = *g->upstream != '\0';
	unsigned n = 0;
	char head[512];
	size_t i;

	snprintf(head, sizeof(head), "%u of %u %s: %s at %s %s", g->n, of,
	    g->failed ? "failed" : "slow",
	    *g->failure != '\0' ? g->failure : g->cause,
	    at_upstream ? "upstream" : "listener",
	    at_upstream ? g->upstream : g->listener);
	table_note(out, head, g->why);
	for (i = 0; i < json_array_size(rows) && n < most; i++) {
		const json_t *row = json_array_get(rows, i);

		if (!is_of_interest(row) || !belongs(g, row))
			continue;
		print_exchange(out, row);
		n++;
	}
}

void
show_why(FILE *out, const json_t *j, bool of_one)
{
	const json_t *rows = json_object_get(j, "exchanges");
	struct group *g = calloc(json_array_size(rows) + 1, sizeof(*g));
	unsigned of[2] = { 0, 0 };
	size_t n = g != NULL ? sort_out(rows, g, of) : 0, i;

	for (i = 0; i < n; i++)
		show_group(out, &g[i], rows, of_one, of[g[i].failed]);
	if (n == 0)
		fputs("nothing of late was slow, and nothing failed\n", out);
	if (json_is_false(json_object_get(j, "complete")))
		fputs("(a worker did not answer in time: not all are here)\n",
		    out);
	free(g);
}
