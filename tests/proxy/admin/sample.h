/*
 * A view made by hand: names that need escaping, two addresses of one name,
 * numbers that are all different.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_PROXY_ADMIN_SAMPLE_H
#define TESTS_PROXY_ADMIN_SAMPLE_H

#include <string.h>

#include "proxy/reloads.h"
#include "proxy/view.h"

#define SAMPLE_NAME "a\"b\\c\nd"

struct sample {
	char binds[2][ADDR_TEXT_MAX];
	struct view_endpoint endpoints[3];
	struct view_listener listeners[2];
	struct view_upstream upstream;
	struct sandbox sandbox;
	struct reloads reloads;
	char *reload_texts[1];
	struct view view;
};

static inline void
sample_hist(struct view_hist *to, unsigned n, int64_t ns)
{
	struct hist h;

	memset(&h, 0, sizeof(h));
	for (; n > 0; n--)
		hist_add(&h, ns);
	hist_sum_add(&to->all, &h);
	to->window = (struct view_times){ 11, 22, 33, 44, 55 };
}

static inline void
sample_endpoint(struct view_endpoint *e, const char *name, const char *resolved,
    uint64_t open)
{
	e->name = name;
	e->resolved = resolved;
	e->state = *resolved != '\0' ? "up" : "unresolved";
	e->last_error = *resolved != '\0' ? "" : "no such name";
	e->since_s = 1700000000;
	e->up = *resolved != '\0';
	e->weight = 2;
	e->open = open;
	e->leased = open / 2;
	e->failures[FAULT_RESET] = open + 1;
	e->health.last = *resolved != '\0' ? "ok" : "";
	e->health.checks = open * 3;
	e->health.failures = open + 2;
	e->health.latency_us = open * 10;
}

static inline void
sample_init(struct sample *s)
{
	struct view *v = &s->view;
	struct view_upstream *up = &s->upstream;
	unsigned i;

	memset(s, 0, sizeof(*s));
	strcpy(s->binds[0], "0.0.0.0:8080");
	strcpy(s->binds[1], "[::]:8080");
	s->listeners[0] = (struct view_listener){ .name = "web",
	    .protocol = "http", .binds = s->binds, .n_binds = 2, .active = 4000,
	    .accepted = 5210, .rejected = 7, .requests = 812345,
	    .received = UINT64_C(5000000000), .sent = 9 };
	s->listeners[0].outcomes[OUTCOME_2XX] = 812340;
	s->listeners[0].failures[FAIL_QUEUE_TIMEOUT] = 3;
	s->listeners[0].limited[CONF_LIMIT_REQUEST_RATE_PER_CLIENT] = 17;
	s->listeners[0].shadowed[CONF_LIMIT_REQUEST_RATE] = 4;
	s->listeners[0].limited[LIMIT_DENIED] = 6;
	s->listeners[0].shaking = 14;
	s->listeners[0].shakers = 15;
	s->listeners[0].handshakes = 34;
	s->listeners[0].resumed = 18;
	s->listeners[0].tls_problems[TLS_PROBLEM_REVOKED] = 19;
	sample_hist(&s->listeners[0].latency, 5, 210 * 1000);
	sample_hist(&s->listeners[0].latency, 2, 2000 * 1000);
	s->listeners[1] = (struct view_listener){ .name = SAMPLE_NAME,
	    .protocol = "tcp", .binds = s->binds, .n_binds = 1 };

	sample_endpoint(&s->endpoints[0], "app.test:80", "10.0.0.1:80", 10);
	sample_endpoint(&s->endpoints[1], "app.test:80", "10.0.0.2:80", 20);
	sample_endpoint(&s->endpoints[2], "new.test:80", "", 0);
	s->endpoints[1].up = 0;
	s->endpoints[1].state = "ejected";
	s->endpoints[1].ejections = 5;
	s->endpoints[1].held_us = 1500001;
	s->endpoints[1].weight = 7;
	s->endpoints[1].health.last = "status 500";
	s->endpoints[1].override.state = "up";
	s->endpoints[1].override.weight = 7;
	s->endpoints[1].override.until_s = 1700000600;
	s->endpoints[2].override.state = "drain";
	s->endpoints[2].backup = 1;
	*up = (struct view_upstream){ .name = "app", .protocol = "http",
	    .mode = "request", .ready = 1, .paused = 1, .max = 64,
	    .cap = 32, .open = 63, .idle = 3,
	    .leased = 59, .connecting = 1, .waiting = 12, .waiting_max = 40,
	    .oldest_wait_us = 900, .connects = 70, .requests = 812346,
	    .reused = 812275, .retries = 1, .exhausted_us = 1200345,
	    .endpoints = s->endpoints, .n_endpoints = 3 };
	for (i = 0; i < N_DISCARDS; i++)
		up->discards[i] = 100 + i;
	up->limited[UPSTREAM_LIMIT_RATE] = 8;
	up->limited[UPSTREAM_LIMIT_RETRY_BUDGET] = 1;
	up->delayed[UPSTREAM_LIMIT_RATE] = 9;
	sample_hist(&up->queue, 1, 800 * 1000);
	sample_hist(&up->connect, 1, 300 * 1000);
	sample_hist(&up->first_byte, 1, 70 * 1000000LL * 1000);

	v->pid = 42;
	v->generation = 3;
	v->workers = 2;
	v->ready = 0;
	strcpy(v->missing, "upstream \"app\" has 1 of 2 connections");
	v->uptime_s = 12.5;
	v->reload_ok = 1;
	v->reload_at_s = v->config_at_s = 1700000001;
	v->confirm_until_s = 1700000060;
	s->reload_texts[0] = (char *)"upstream app: pool.max 64 -> 32";
	s->reloads.n = 1;
	s->reloads.v[0] = (struct reload_entry){ .end = RELOAD_REVERTED,
	    .at_s = 1700000001, .generation = 3, .texts = s->reload_texts,
	    .n_texts = 1, .left_out = 2 };
	v->reloads = &s->reloads;
	v->config_hash = "0123456789abcdef";
	v->kernel_tls = "available";
	v->sandbox = &s->sandbox;
	s->sandbox = (struct sandbox){ .state = "on", .seccomp = "on",
	    .landlock = "on", .no_new_privs = true, .user = "weir" };
	v->stuck_total = 21;
	v->stuck_last = "worker 0 has not turned";
	v->upgrade = (struct upgrade_result){ .last = "none",
	    .state = "idle", .error = "", .replaced = 44, .died = "who",
	    .before_pid = 45 };
	v->overrides = 2;
	v->log_dropped = 13;
	v->memory_budget = 64 << 20;
	v->pressure = PRESSURE_TIGHT;
	v->usage = (struct usage){ .fds = 120, .fds_max = UINT64_MAX,
	    .resident_bytes = 9000000, .cpu_us = 1500000 };
	v->listeners = s->listeners;
	v->n_listeners = 2;
	v->upstreams = up;
	v->n_upstreams = 1;
}

#endif
