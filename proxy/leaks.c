/*
 * Leaks. See leaks.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/leaks.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "net/log.h"
#include "pool/lease.h"
#include "proxy/process.h"
#include "proxy/runtime.h"

enum { NAME_MOST = 200 };

/* From a lane to main, and from there to whoever looks for processes. */
struct leak {
	struct mail mail;
	struct process_search search;
	struct process_end end;
	struct runtime *rt;
	uint64_t id;
	int64_t held_ms;
	time_t since;
	bool held;                      /* by somebody: the rest is known */
	bool closed;                    /* who has closed his side */
	struct addr_ip client;
	struct brief brief;
	char upstream[NAME_MOST], endpoint[NAME_MOST], listener[NAME_MOST];
};

/* ------------------------------------------------------------------ on main */

/* "127.0.0.1:4242 of listener web, process php-fpm 812, for GET /x" */
static void
print_holder(FILE *out, const struct leak *k)
{
	char client[ADDR_TEXT_MAX], request[BRIEF_MOST + 1];

	if (!k->held) {
		fputs("nobody any more: its answer has not come", out);
		return;
	}
	fprintf(out, "%s of listener %s",
	    addr_ip_print(&k->client, true, client), k->listener);
	if (k->end.pid > 0)
		fprintf(out, ", process %s %" PRId64, k->end.name, k->end.pid);
	else if (k->end.uid >= 0)
		fprintf(out, ", uid %" PRId64, k->end.uid);
	brief_print(&k->brief, request);
	if (*request != '\0')
		fprintf(out, ", for %s", request);
	if (k->closed)
		fputs("; the client has closed its side", out);
}

static void
log_it(const struct leak *k)
{
	char who[2 * NAME_MOST + 32], since[32], text[1024] = "";
	FILE *out = fmemopen(text, sizeof(text), "w");
	struct tm tm;

	if (out == NULL)
		return;
	print_holder(out, k);
	fclose(out);
	text[sizeof(text) - 1] = '\0';
	gmtime_r(&k->since, &tm);
	strftime(since, sizeof(since), "%H:%M:%SZ", &tm);
	snprintf(who, sizeof(who), "upstream %s endpoint %s", k->upstream,
	    k->endpoint);
	log_warn(who, "connection %" PRIu64 " has been held for %" PRId64
	    ".%" PRId64 " s, since %s, by %s", k->id, k->held_ms / 1000,
	    k->held_ms % 1000 / 100, since, text);
}

static void
found(struct worker *w, struct mail *m)
{
	struct leak *k = container_of(container_of(m, struct process_search,
	    over), struct leak, search);

	(void)w;
	log_it(k);
	free(k);
}

static void
search_dropped(struct mail *m)
{
	free(container_of(container_of(m, struct process_search, over),
	    struct leak, search));
}

static void
arrived(struct worker *w, struct mail *m)
{
	struct leak *k = container_of(m, struct leak, mail);

	k->search.ends = &k->end;
	k->search.n = 1;
	k->search.over = (struct mail){ .deliver = found,
	    .drop = search_dropped };
	process_search(k->rt->finder, w, &k->search);
}

static void
dropped(struct mail *m)
{
	free(container_of(m, struct leak, mail));
}

/* ---------------------------------------------------------------- on a lane */

static void
take_holder(struct leak *k, const struct lease *l)
{
	struct holder h = { .pid = -1, .uid = -1 };

	k->end = (struct process_end){ .pid = -1, .uid = -1 };
	if (l->ops->tell == NULL)
		return;
	l->ops->tell(l, &h);
	k->held = true;
	k->closed = h.closed;
	k->client = h.client;
	k->brief = h.brief.len > 0 ? h.brief : l->u->brief;
	k->end = (struct process_end){ .peer = h.peer, .here = h.here,
	    .pid = h.pid, .uid = h.uid };
	snprintf(k->listener, sizeof(k->listener), "%s", h.listener);
}

void
leaks_tell(void *arg, const struct lease *l)
{
	const struct upconn *u = l->u;
	struct leak *k = calloc(1, sizeof(*k));

	if (k == NULL)
		return;
	k->rt = arg;
	k->id = u->id;
	k->held_ms = (u->pool->worker->now_ns - l->since_ns) / NS_PER_MS;
	k->since = time(NULL) - (time_t)(k->held_ms / 1000);
	snprintf(k->upstream, sizeof(k->upstream), "%s",
	    u->pool->upstream->name);
	snprintf(k->endpoint, sizeof(k->endpoint), "%s",
	    u->shelf->site->endpoint->name);
	take_holder(k, l);
	k->mail = (struct mail){ .deliver = arrived, .drop = dropped };
	worker_post(&k->rt->main, &k->mail);
}
