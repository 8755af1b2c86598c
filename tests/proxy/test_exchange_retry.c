/*
 * Second attempts, on a whole lane with time as the test says: what may be sent
 * again, when, how often, and that nothing is left of an exchange that ends
 * while it pauses.
 *
 * SPDX-License-Identifier: MIT
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "pool/pool.h"
#include "proxy/exchange.h"
#include "tests/support/lane_scene.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define NO_CONTENT "HTTP/1.1 204 No Content\r\n\r\n"
/* Pauses of 100, 200, 300 and 300 ms at most, of half that at least. */
#define FOUR "retry = { max_retries = 4; backoff = \"100ms\"; " \
    "max_backoff = \"300ms\"; budget = 1.0; };"
#define ONCE "retry = { max_retries = 1; backoff = \"100ms\"; };"

enum { LONG_MS = 100, MORE_THAN_ALL_MS = 20000 };

static struct lane_scene s;
static int client;

static void
begin(const char *listener_keys, const char *upstream_keys)
{
	lane_scene_begin(&s, "http", listener_keys, upstream_keys);
	client = lane_scene_client(&s, "127.0.0.1");
}

static void
end(void)
{
	close(client);
	lane_scene_run(&s);
	lane_scene_end(&s);
}

static unsigned
connects(void)
{
	return (unsigned)count_read(&s.pool->connects);
}

static unsigned
retries(void)
{
	return (unsigned)count_read(&s.pool->retries);
}

static unsigned
failures(enum fail why)
{
	return (unsigned)count_read(&s.door->failures[why]);
}

static unsigned
faults(enum endpoint_fault what)
{
	return (unsigned)atomic_load(&s.roster->v[0]->faults[what]);
}

static void
hears(int fd, const char *text)
{
	const char *heard = lane_scene_hear(fd);

	if (heard == NULL || strncmp(heard, text, strlen(text)) != 0 ||
	    (text[0] == '\0' && heard[0] != '\0'))
		fail_msg("\"%s\" and not \"%s\"", heard == NULL ? "(end)" :
		    heard, text);
}

/* The connection that the upstream had last, without an answer. */
static void
end_last(bool hard)
{
	int far = lane_scene_far(&s, s.far.n > 0 ? s.far.n - 1 : 0);

	if (hard)
		far_end_reset(&s.far, far);
	else
		far_end_hang_up(&s.far, far);
	lane_scene_run(&s);
}

/* Nothing of any exchange is left, and nothing comes of it later. */
static void
is_all_over(void)
{
	unsigned before = connects_begun;

	assert_int_equal(atomic_load(&s.pool->leased), 0);
	assert_int_equal(atomic_load(&s.pool->waiting), 0);
	assert_int_equal(atomic_load(&s.pool->opening), 0);
	assert_int_equal(s.rt.gen->users[0], 0);
	assert_int_equal(lane_scene_generations(&s), 1);
	lane_scene_pass(&s, MORE_THAN_ALL_MS);
	assert_int_equal(connects_begun, before);
}

/* -------------------------------------------------------- what and what not */

#define HEAD_OF(method) method " /r HTTP/1.1\r\nHost: a\r\nX-A: b\r\n"

enum { SAFE = 1, IDEMPOTENT = 2, ALL = 4, NONE = 0 };

static const struct {
	const char *request;
	unsigned modes;                 /* of a route that lets it go again */
} requests[] = {
	{ HEAD_OF("GET") "\r\n", SAFE | IDEMPOTENT | ALL },
	{ HEAD_OF("HEAD") "\r\n", SAFE | IDEMPOTENT | ALL },
	{ HEAD_OF("OPTIONS") "\r\n", SAFE | IDEMPOTENT | ALL },
	{ HEAD_OF("GET") "Content-Length: 0\r\n\r\n", SAFE | IDEMPOTENT | ALL },
	{ HEAD_OF("PUT") "\r\n", IDEMPOTENT | ALL },
	{ HEAD_OF("PUT") "Content-Length: 0\r\n\r\n", IDEMPOTENT | ALL },
	{ HEAD_OF("DELETE") "\r\n", IDEMPOTENT | ALL },
	{ HEAD_OF("POST") "\r\n", ALL },
	{ HEAD_OF("POST") "Content-Length: 0\r\n\r\n", ALL },
	{ HEAD_OF("PATCH") "\r\n", ALL },
	{ HEAD_OF("BREW") "\r\n", ALL },
	/* Methods have case (RFC 9110 9.1): these are nobody's. */
	{ HEAD_OF("get") "\r\n", ALL },
	{ HEAD_OF("put") "\r\n", ALL },
	/* A body is not kept. */
	{ HEAD_OF("GET") "Content-Length: 2\r\n\r\nhi", NONE },
	{ HEAD_OF("PUT") "Content-Length: 2\r\n\r\nhi", NONE },
	{ HEAD_OF("POST") "Content-Length: 2\r\n\r\nhi", NONE },
	{ HEAD_OF("PUT") "Transfer-Encoding: chunked\r\n\r\n"
	    "2\r\nhi\r\n0\r\n\r\n", NONE },
	{ HEAD_OF("PUT") "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", NONE }
};

static const struct {
	const char *name;
	unsigned mode;
} modes[] = {
	{ "", SAFE },
	{ "retry = \"safe\";", SAFE },
	{ "retry = \"idempotent\";", IDEMPOTENT },
	{ "retry = \"all\";", ALL },
	{ "retry = \"off\";", NONE }
};

static char *
route_with(const char *keys)
{
	char *text;

	assert_true(asprintf(&text,
	    "routes = ( { upstream = \"app\"; %s } );", keys) > 0);
	return text;
}

static void
sent_again_or_not(const char *request, const char *keys, bool again, bool hard)
{
	char *route = route_with(keys), *first;

	begin(route, ONCE);
	lane_scene_say(&s, client, request);
	first = strdup(lane_scene_hear(lane_scene_far(&s, 0)));
	assert_non_null(first);
	end_last(hard);
	lane_scene_pass(&s, LONG_MS);
	if (connects() != (again ? 2 : 1))
		fail_msg("%u connections for\n%s with \"%s\"", connects(),
		    request, keys);
	assert_int_equal(retries(), again);
	assert_int_equal(faults(hard ? FAULT_RESET : FAULT_CLOSED), 1);
	if (again) {
		assert_string_equal(lane_scene_hear(lane_scene_far(&s, 0)),
		    first);
		lane_scene_say(&s, lane_scene_far(&s, 0), NO_CONTENT);
		hears(client, "HTTP/1.1 204 ");
	} else {
		hears(client, "HTTP/1.1 502 ");
		assert_int_equal(failures(hard ? FAIL_UPSTREAM_RESET :
		    FAIL_UPSTREAM_CLOSED), 1);
	}
	assert_int_equal(count_read(&s.door->requests), 1);
	end();
	free(first);
	free(route);
}

static void
route_says_what_may_be_sent_again(void **state)
{
	size_t i, j;
	int hard;

	(void)state;
	for (i = 0; i < NELEMS(requests); i++)
		for (j = 0; j < NELEMS(modes); j++)
			for (hard = 0; hard < 2; hard++)
				sent_again_or_not(requests[i].request,
				    modes[j].name,
				    requests[i].modes & modes[j].mode,
				    hard);
}

static void
nothing_is_sent_again_without_the_group_or_with_0(void **state)
{
	static const char *const keys[] = { "",
	    "retry = { max_retries = 0; };" };
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(keys); i++) {
		begin("", keys[i]);
		lane_scene_say(&s, client, GET("/"));
		end_last(false);
		hears(client, "HTTP/1.1 502 ");
		is_all_over();
		assert_int_equal(connects(), 1);
		assert_int_equal(retries(), 0);
		end();
	}
}

/* Whatever the client may have seen begin is not begun anew. */
static void
first_byte_of_an_answer_forbids_it(void **state)
{
	static const char *const said[] = { "H", "HTTP/1.1 200 OK\r\n",
	    "HTTP/1.1 100 Continue\r\n\r\n",
	    "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" };
	size_t i;
	int hard;

	(void)state;
	for (i = 0; i < NELEMS(said); i++)
		for (hard = 0; hard < 2; hard++) {
			begin("", FOUR);
			lane_scene_say(&s, client, GET("/"));
			lane_scene_say(&s, lane_scene_far(&s, 0), said[i]);
			end_last(hard);
			assert_non_null(strstr(lane_scene_hear(client),
			    "HTTP/1.1 502 "));
			is_all_over();
			assert_int_equal(connects(), 1);
			assert_int_equal(retries(), 0);
			end();
		}
}

static void
answers_and_slow_servers_are_no_failed_attempts(void **state)
{
	(void)state;
	begin("", "timeouts = { response = \"5s\"; };" FOUR);
	lane_scene_say(&s, client, GET("/1"));
	lane_scene_say(&s, lane_scene_far(&s, 0), "HTTP/1.1 503 Busy\r\n"
	    "Retry-After: 1\r\nContent-Length: 0\r\n\r\n");
	hears(client, "HTTP/1.1 503 Busy\r\n");
	lane_scene_say(&s, client, GET("/2"));
	lane_scene_say(&s, lane_scene_far(&s, 0), "rubbish\r\n\r\n");
	hears(client, "HTTP/1.1 502 ");
	lane_scene_say(&s, client, GET("/3"));
	lane_scene_pass(&s, 5000);
	hears(client, "HTTP/1.1 504 ");
	is_all_over();
	assert_int_equal(failures(FAIL_RESPONSE_TIMEOUT), 1);
	assert_int_equal(retries(), 0);
	end();
}

/* ---------------------------------------------- what could not be connected */

static void
what_was_not_sent_goes_again_whatever_it_is(void **state)
{
	size_t i, j;

	(void)state;
	for (i = 0; i < NELEMS(requests); i++)
		for (j = 0; j < NELEMS(modes); j++) {
			char *route = route_with(modes[j].name);

			begin(route, ONCE);
			far_end_refuse(&s.far);
			lane_scene_say(&s, client, requests[i].request);
			far_end_welcome(&s.far);
			lane_scene_pass(&s, LONG_MS);
			assert_int_equal(retries(), modes[j].mode != NONE);
			if (modes[j].mode == NONE)
				hears(client, "HTTP/1.1 502 ");
			else
				lane_scene_say(&s, lane_scene_far(&s, 0),
				    NO_CONTENT);
			if (modes[j].mode != NONE)
				hears(client, "HTTP/1.1 204 ");
			end();
			free(route);
		}
}

/* It comes while there is nobody to give it to: then whole. */
static void
body_waits_for_the_next_attempt(void **state)
{
	char piece[16 * 1024 + 1];
	const char *heard;
	unsigned i;

	(void)state;
	begin("", ONCE);
	far_end_refuse(&s.far);
	memset(piece, 'b', sizeof(piece) - 1);
	piece[sizeof(piece) - 1] = '\0';
	lane_scene_say(&s, client, "POST / HTTP/1.1\r\nHost: a\r\n"
	    "Content-Length: 65536\r\n\r\n");
	lane_scene_say(&s, client, piece);
	lane_scene_say(&s, client, piece);
	far_end_welcome(&s.far);
	lane_scene_pass(&s, LONG_MS);
	lane_scene_say(&s, client, piece);
	lane_scene_say(&s, client, piece);
	heard = lane_scene_hear(lane_scene_far(&s, 0));
	assert_non_null(heard);
	assert_true(strncmp(heard, "POST / ", 7) == 0);
	heard = strstr(heard, "\r\n\r\n");
	assert_non_null(heard);
	assert_int_equal(strlen(heard + 4), 65536);
	for (i = 0; i < 65536; i++)
		assert_int_equal(heard[4 + i], 'b');
	lane_scene_say(&s, lane_scene_far(&s, 0), NO_CONTENT);
	hears(client, "HTTP/1.1 204 ");
	assert_int_equal(retries(), 1);
	assert_int_equal(faults(FAULT_CONNECT_FAILED), 1);
	end();
}

static void
connect_that_is_not_answered_is_tried_again(void **state)
{
	(void)state;
	begin("", "timeouts = { connect = \"1s\"; };" ONCE);
	far_end_clog(&s.far);
	lane_scene_say(&s, client, GET("/"));
	lane_scene_pass(&s, 1000);
	hears(client, "");
	assert_int_equal(faults(FAULT_CONNECT_TIMEOUT), 1);
	lane_scene_pass(&s, LONG_MS + 1000);
	hears(client, "HTTP/1.1 504 ");
	assert_int_equal(faults(FAULT_CONNECT_TIMEOUT), 2);
	assert_int_equal(failures(FAIL_CONNECT_TIMEOUT), 1);
	assert_int_equal(retries(), 1);
	is_all_over();
	end();
}

static void
raw_session_is_tried_again_while_it_connects(void **state)
{
	(void)state;
	lane_scene_begin(&s, "tcp", "", FOUR);
	far_end_refuse(&s.far);
	client = lane_scene_client(&s, "127.0.0.1");
	lane_scene_say(&s, client, "early");
	far_end_welcome(&s.far);
	lane_scene_pass(&s, LONG_MS);
	hears(lane_scene_far(&s, 0), "early");
	assert_int_equal(retries(), 1);
	/* Once it runs, never: what was said may have been heard. */
	end_last(true);
	lane_scene_pass(&s, MORE_THAN_ALL_MS);
	assert_null(lane_scene_hear(client));
	assert_int_equal(connects(), 1);
	assert_int_equal(retries(), 1);
	end();
}

/* --------------------------------------------------- connections that died */

static void
warm_up(void)
{
	lane_scene_say(&s, client, GET("/first"));
	hears(lane_scene_far(&s, 0), "GET /first ");
	lane_scene_say(&s, lane_scene_far(&s, 0), NO_CONTENT);
	hears(client, "HTTP/1.1 204 ");
}

static void
off_does_without_the_free_attempt_too(void **state)
{
	(void)state;
	begin("routes = ( { retry = \"off\"; upstream = \"app\"; } );", FOUR);
	warm_up();
	lane_scene_say(&s, client, GET("/2"));
	end_last(false);
	hears(client, "HTTP/1.1 502 ");
	assert_int_equal(connects(), 1);
	assert_int_equal(retries(), 0);
	end();
}

/* The free one comes at once, costs nothing of the policy, and what it meets is
   the server's doing. */
static void
free_attempt_comes_before_those_of_the_policy(void **state)
{
	(void)state;
	begin("", "retry = { max_retries = 1; backoff = \"100ms\"; "
	    "budget = 0.0; };");
	warm_up();
	lane_scene_say(&s, client, GET("/2"));
	end_last(false);
	assert_int_equal(connects(), 2);
	hears(lane_scene_far(&s, 0), "GET /2 ");
	assert_int_equal(faults(FAULT_CLOSED), 0);
	end_last(false);
	assert_int_equal(faults(FAULT_CLOSED), 1);
	assert_int_equal(connects(), 2);
	lane_scene_pass(&s, LONG_MS);
	assert_int_equal(connects(), 3);
	hears(lane_scene_far(&s, 0), "GET /2 ");
	end_last(false);
	lane_scene_pass(&s, LONG_MS);
	hears(client, "HTTP/1.1 502 ");
	assert_int_equal(retries(), 2);
	assert_int_equal(s.pool->budget.retries[0] +
	    s.pool->budget.retries[1], 1);
	is_all_over();
	end();
}

/* ------------------------------------------------------------------- pauses */

static void
pauses_double_and_stop_growing(void **state)
{
	static const int64_t most_ms[] = { 100, 200, 300, 300 };
	int64_t at_ms = 0, last_ms = 0;
	unsigned n = 0;

	(void)state;
	begin("", FOUR);
	far_end_refuse(&s.far);
	lane_scene_say(&s, client, GET("/"));
	assert_int_equal(faults(FAULT_CONNECT_FAILED), 1);
	while (++at_ms < 3000) {
		lane_scene_pass(&s, 1);
		if (faults(FAULT_CONNECT_FAILED) == n + 1)
			continue;
		assert_int_equal(faults(FAULT_CONNECT_FAILED), n + 2);
		assert_true(n < NELEMS(most_ms));
		assert_true(at_ms - last_ms >= most_ms[n] / 2);
		assert_true(at_ms - last_ms <= most_ms[n] + 1);
		last_ms = at_ms;
		n++;
	}
	assert_int_equal(n, NELEMS(most_ms));
	hears(client, "HTTP/1.1 502 ");
	assert_int_equal(failures(FAIL_CONNECT_FAILED), 1);
	assert_int_equal(retries(), 4);
	end();
}

static void
those_who_failed_together_do_not_come_back_together(void **state)
{
	int others[20];
	unsigned steps = 0, most = 0;
	size_t i;

	(void)state;
	begin("", "retry = { backoff = \"1s\"; budget = 1.0; };");
	far_end_refuse(&s.far);
	for (i = 0; i < NELEMS(others); i++) {
		others[i] = lane_scene_client(&s, "127.0.0.1");
		lane_scene_say(&s, others[i], GET("/"));
	}
	for (i = 0; i <= 1000; i++) {
		unsigned before = faults(FAULT_CONNECT_FAILED), n;

		lane_scene_pass(&s, 1);
		n = faults(FAULT_CONNECT_FAILED) - before;
		steps += n > 0;
		most = n > most ? n : most;
	}
	assert_int_equal(retries(), NELEMS(others));
	assert_true(steps >= NELEMS(others) / 3);
	assert_true(most <= NELEMS(others) / 2);
	for (i = 0; i < NELEMS(others); i++) {
		hears(others[i], "HTTP/1.1 502 ");
		close(others[i]);
	}
	end();
}

static void
pause_of_nothing_is_allowed(void **state)
{
	(void)state;
	begin("", "retry = { max_retries = 2; backoff = \"0s\"; "
	    "max_backoff = \"0s\"; budget = 1.0; };");
	far_end_refuse(&s.far);
	lane_scene_say(&s, client, GET("/"));
	lane_scene_pass(&s, 1);
	hears(client, "HTTP/1.1 502 ");
	assert_int_equal(retries(), 2);
	end();
}

/* ------------------------------------------------------------------- budget */

static void
budget_bounds_attempts_and_comes_back(void **state)
{
	unsigned i;

	(void)state;
	begin("", "retry = { max_retries = 1; backoff = \"1ms\"; "
	    "budget = 0.0; };");
	far_end_refuse(&s.far);
	for (i = 0; i < 10; i++) {
		lane_scene_say(&s, client, GET("/"));
		lane_scene_pass(&s, 1);
		hears(client, "HTTP/1.1 502 ");
		assert_int_equal(retries(), i < 3 ? i + 1 : 3);
	}
	assert_int_equal(count_read(
	    &s.pool->limited[UPSTREAM_LIMIT_RETRY_BUDGET]), 7);
	lane_scene_pass(&s, 2 * POOL_SPAN_S * 1000);
	lane_scene_say(&s, client, GET("/"));
	lane_scene_pass(&s, 1);
	assert_int_equal(retries(), 4);
	end();
}

/* --------------------------------------------------------- another endpoint */

static struct far_end second;

static void
begin_with_two(const char *keys)
{
	struct roster *r;
	char name[ADDR_TEXT_MAX];

	begin("", keys);
	r = roster_new(2);
	assert_non_null(r);
	far_end_open(&second);
	addr_print(&second.addr, name);
	r->v[0] = endpoint_keep(s.roster->v[0]);
	r->v[1] = endpoint_new(name, name, &second.addr, 1, UINT32_MAX);
	assert_non_null(r->v[1]);
	atomic_store(&r->v[1]->current, true);
	pool_set_roster(s.pool, roster_keep(r));
	roster_drop(s.roster);
	s.roster = r;
	lane_scene_run(&s);
}

static void
end_with_two(void)
{
	close(client);
	lane_scene_run(&s);
	far_end_close(&second);
	lane_scene_end(&s);
}

/* One exchange: whoever is asked hangs up, and the other one answers. */
static void
fails_at_one(void)
{
	struct far_end *asked = &s.far, *other = &second;

	lane_scene_say(&s, client, GET("/"));
	far_end_accept(&s.far);
	far_end_accept(&second);
	if (s.far.n == 0) {
		asked = &second;
		other = &s.far;
	}
	assert_int_equal(asked->n, 1);
	assert_int_equal(other->n, 0);
	far_end_hang_up(asked, asked->fds[0]);
	lane_scene_run(&s);
	lane_scene_pass(&s, LONG_MS);
	far_end_accept(asked);
	far_end_accept(other);
	assert_int_equal(asked->n, 0);
	assert_int_equal(other->n, 1);
	/* Closing, so that there is no warm one to prefer. */
	lane_scene_say(&s, other->fds[0], "HTTP/1.1 204 OK\r\n"
	    "Connection: close\r\n\r\n");
	hears(client, "HTTP/1.1 204 ");
	far_end_hang_up(other, other->fds[0]);
	lane_scene_run(&s);
}

/* Also where the balancer would send the client to the same again. */
static void
other_endpoint_is_asked(void **state)
{
	static const char *const keys[] = {
		FOUR, FOUR "balance = \"least_conn\";",
		FOUR "balance = \"random_two\";",
		FOUR "balance = \"source_hash\";"
	};
	size_t i;
	unsigned n;

	(void)state;
	for (i = 0; i < NELEMS(keys); i++) {
		begin_with_two(keys[i]);
		for (n = 0; n < 8; n++)
			fails_at_one();
		assert_int_equal(retries(), 8);
		end_with_two();
	}
}

static void
all_down_in_the_pause_is_told_at_its_end(void **state)
{
	(void)state;
	begin("", FOUR);
	lane_scene_say(&s, client, GET("/"));
	end_last(false);
	endpoint_bar(s.roster->v[0], BAR_CHECK, true, s.now_ns);
	pool_set_roster(s.pool, roster_keep(s.roster));
	lane_scene_pass(&s, LONG_MS);
	hears(client, "HTTP/1.1 503 ");
	assert_int_equal(failures(FAIL_NO_ENDPOINT), 1);
	is_all_over();
	end();
}

/* --------------------------------------------------- what happens meanwhile */

/* An exchange pauses: nobody listens, and its next attempt is 1 s away. */
static void
begin_pausing(const char *upstream_keys)
{
	char *keys;

	assert_true(asprintf(&keys, "retry = { backoff = \"2s\"; "
	    "max_backoff = \"2s\"; }; %s", upstream_keys) > 0);
	begin("", keys);
	free(keys);
	far_end_refuse(&s.far);
	lane_scene_say(&s, client, GET("/"));
	hears(client, "");
	assert_int_equal(retries(), 1);
	assert_int_equal(atomic_load(&s.pool->waiting), 0);
}

static void
client_that_leaves_in_a_pause_leaves_nothing_behind(void **state)
{
	(void)state;
	begin_pausing("");
	close(client);
	lane_scene_run(&s);
	assert_null(lane_scene_session(&s));
	assert_int_equal(failures(FAIL_CLIENT_GONE), 1);
	assert_int_equal(count_read(
	    &s.door->outcomes[OUTCOME_CLIENT_ABORT]), 1);
	is_all_over();
	client = lane_scene_client(&s, "127.0.0.1");
	end();
}

static void
total_runs_on_in_a_pause(void **state)
{
	(void)state;
	begin_pausing("timeouts = { total = \"500ms\"; };");
	lane_scene_pass(&s, 499);
	hears(client, "");
	lane_scene_pass(&s, 1);
	hears(client, "HTTP/1.1 504 ");
	assert_int_equal(failures(FAIL_TOTAL_TIMEOUT), 1);
	is_all_over();
	/* The client's connection goes on. */
	far_end_welcome(&s.far);
	lane_scene_say(&s, client, GET("/2"));
	hears(lane_scene_far(&s, 0), "GET /2 ");
	end();
}

static void
cut_at_the_end_of_a_drain_it_is_over(void **state)
{
	(void)state;
	begin_pausing("");
	session_cut(lane_scene_session(&s));
	lane_scene_run(&s);
	assert_null(lane_scene_hear(client));
	assert_int_equal(failures(FAIL_DRAINED), 1);
	is_all_over();
	end();
}

static void
lane_that_ends_in_a_pause_forgets_it(void **state)
{
	(void)state;
	begin_pausing("");
	s.descriptors++;                /* the client's own end */
	lane_scene_end(&s);
	assert_null(lane_scene_hear(client));
	close(client);
}

static void
pause_goes_by_the_snapshot_that_it_began_with(void **state)
{
	(void)state;
	begin_pausing("");
	lane_scene_load(&s, "", "retry = { max_retries = 0; };");
	lane_scene_run(&s);
	assert_int_equal(lane_scene_generations(&s), 2);
	far_end_welcome(&s.far);
	lane_scene_pass(&s, 2000);
	hears(lane_scene_far(&s, 0), "GET / ");
	lane_scene_say(&s, lane_scene_far(&s, 0), NO_CONTENT);
	hears(client, "HTTP/1.1 204 ");
	assert_int_equal(lane_scene_generations(&s), 1);
	/* The next one goes by the new: a connect that fails is told. */
	end_last(false);
	far_end_refuse(&s.far);
	lane_scene_say(&s, client, GET("/2"));
	hears(client, "HTTP/1.1 502 ");
	assert_int_equal(retries(), 1);
	end();
}

static void
upstream_that_left_the_file_still_serves_it(void **state)
{
	(void)state;
	begin_pausing("");
	pool_retire(s.pool);
	lane_scene_run(&s);
	far_end_welcome(&s.far);
	lane_scene_pass(&s, 2000);
	hears(lane_scene_far(&s, 0), "GET / ");
	lane_scene_say(&s, lane_scene_far(&s, 0), NO_CONTENT);
	hears(client, "HTTP/1.1 204 ");
	assert_int_equal(atomic_load(&s.upstream->open), 0);
	end();
}

#define TEST(f) cmocka_unit_test(f)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(route_says_what_may_be_sent_again),
		TEST(nothing_is_sent_again_without_the_group_or_with_0),
		TEST(first_byte_of_an_answer_forbids_it),
		TEST(answers_and_slow_servers_are_no_failed_attempts),
		TEST(what_was_not_sent_goes_again_whatever_it_is),
		TEST(body_waits_for_the_next_attempt),
		TEST(connect_that_is_not_answered_is_tried_again),
		TEST(raw_session_is_tried_again_while_it_connects),
		TEST(off_does_without_the_free_attempt_too),
		TEST(free_attempt_comes_before_those_of_the_policy),
		TEST(pauses_double_and_stop_growing),
		TEST(those_who_failed_together_do_not_come_back_together),
		TEST(pause_of_nothing_is_allowed),
		TEST(budget_bounds_attempts_and_comes_back),
		TEST(other_endpoint_is_asked),
		TEST(all_down_in_the_pause_is_told_at_its_end),
		TEST(client_that_leaves_in_a_pause_leaves_nothing_behind),
		TEST(total_runs_on_in_a_pause),
		TEST(cut_at_the_end_of_a_drain_it_is_over),
		TEST(lane_that_ends_in_a_pause_forgets_it),
		TEST(pause_goes_by_the_snapshot_that_it_began_with),
		TEST(upstream_that_left_the_file_still_serves_it)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
