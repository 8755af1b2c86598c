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
#include "proxy/command/field.h"
#include "proxy/command/show.h"
#include "proxy/command/span.h"
#include "proxy/command/table.h"

enum {
	WIDE = 79,                      /* the last column that is used */
	EXAMPLES = 3,                   /* of each cause */
	EXAMPLES_OF_ONE = 12            /* when one name was asked for */
};

/* Exchanges of one cause at one place; the newest first, but what is the clients'
   own doing comes last: nobody can mend it here. */
struct group {
	const char *cause, *failure, *upstream, *listener;
	const char *why;                /* of the newest */
	unsigned n;
	size_t at;                      /* among those that were found */
	bool failed;
};

/* Causes are named by proxy/why.c. */
static bool
is_failed(const json_t *row)
{
	return *field_text(row, "failure") != '\0' ||
	    strcmp(field_text(row, "cause"), "server_error") == 0;
}

static bool
is_of_interest(const json_t *row)
{
	return strcmp(field_text(row, "cause"), "quick") != 0;
}

static bool
belongs(const struct group *g, const json_t *row)
{
	return g->failed == is_failed(row) &&
	    strcmp(g->cause, field_text(row, "cause")) == 0 &&
	    strcmp(g->failure, field_text(row, "failure")) == 0 &&
	    strcmp(g->upstream, field_text(row, "upstream")) == 0 &&
	    (*g->upstream != '\0' ||
	    strcmp(g->listener, field_text(row, "listener")) == 0);
}

/* ------------------------------------------------------------ one exchange */

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
	char text[SPAN_TEXT];
	size_t i, a = 0, b = 0;

	for (i = 0; i < NELEMS(parts); i++) {
		long long us = field_number(row, parts[i].key);

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
	fprintf(out, " (%s %s", parts[a].name, span_us(most, text));
	if (next > most / 20)
		fprintf(out, ", %s %s", parts[b].name, span_us(next, text));
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
	char clock[16] = "", took[SPAN_TEXT], *line = NULL;
	size_t len;
	FILE *to = open_memstream(&line, &len);
	struct tm tm;

	if (to == NULL)
		return;
	if (gmtime_r(&at, &tm) != NULL)
		strftime(clock, sizeof(clock), "%H:%M:%SZ", &tm);
	fprintf(to, "  %s %s", clock, span_us(field_number(row, "total_us"),
	    took));
	print_parts(to, row);
	putc(' ', to);
	if (field_number(row, "status") != 0)
		fprintf(to, "%lld ", field_number(row, "status"));
	fprintf(to, "%s %s", field_text(row, "client"),
	    field_text(row, "request"));
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
			g[n++] = (struct group){ .cause = field_text(row,
			    "cause"), .failure = field_text(row, "failure"),
			    .upstream = field_text(row, "upstream"),
			    .listener = field_text(row, "listener"),
			    .why = field_text(row, "why"), .at = k,
			    .failed = is_failed(row) };
		g[k].n++;
		of[g[k].failed]++;
	}
	return n;
}

static bool
is_clients(const struct group *g)
{
	return strncmp(g->cause, "client", 6) == 0;
}

static int
compare(const void *a, const void *b)
{
	const struct group *x = a, *y = b;

	if (is_clients(x) != is_clients(y))
		return is_clients(x) - is_clients(y);
	return (x->at > y->at) - (x->at < y->at);
}

/* Only so many are kept: a share of these is none of the traffic. */
static void
show_group(FILE *out, const struct group *g, const json_t *rows, bool of_one,
    unsigned of)
{
	unsigned most = of_one ? EXAMPLES_OF_ONE : EXAMPLES;
	bool at_upstream = *g->upstream != '\0';
	unsigned n = 0;
	char head[512];
	size_t i;

	snprintf(head, sizeof(head), "%u of the %u %s kept: %s at %s %s", g->n,
	    of, g->failed ? "failures" : "slowest",
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

	if (n > 0)
		qsort(g, n, sizeof(*g), compare);
	for (i = 0; i < n; i++)
		show_group(out, &g[i], rows, of_one, of[g[i].failed]);
	if (n == 0)
		fputs("nothing of late was slow, and nothing failed\n", out);
	if (json_is_false(json_object_get(j, "complete")))
		fputs("(a worker did not answer in time: not all are here)\n",
		    out);
	free(g);
}
