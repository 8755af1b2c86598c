/*
 * conf/load: whole files, all their errors at once, in file order.
 *
 * Reads tests/data/conf, so it runs in the project's root.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/conf/rows.h"

#define DATA "tests/data/conf/"

static void
five_faults_are_told_at_once(void **state)
{
	char *errors = errors_of(DATA "five-faults.conf", NULL);

	(void)state;
	assert_string_equal(errors,
	    DATA "five-faults.conf:3: listeners.a.bind: port 99999 is out of "
	    "range, expected 1 to 65535\n"
	    DATA "five-faults.conf:4: listeners[1].name: \"a\" is the name of "
	    "the listener on line 3 too, expected another\n"
	    DATA "five-faults.conf:4: listeners.a.protocol: unknown protocol "
	    "\"htpp\", did you mean \"http\"?\n"
	    DATA "five-faults.conf:4: listeners.a.upstream: unknown upstream "
	    "\"nowhere\", expected one of x\n"
	    DATA "five-faults.conf:8: upstreams.x.pool.max_lifetime: 10 has "
	    "no unit, expected a duration such as \"10s\" or \"off\"\n"
	    DATA "five-faults.conf:8: upstreams.x.pool: unknown key "
	    "\"idle_timeuot\", did you mean \"idle_timeout\"?\n"
	    DATA "five-faults.conf:8: upstreams.x.pool.mode: protocol http "
	    "cannot honour \"transaction\", expected \"session\" or "
	    "\"request\"");
	free(errors);
}

static struct conf *
load(const char *path, const char *text)
{
	struct conf_input in = { .path = path, .text = text,
	    .protos = fake_protos };
	struct conf_errors errors;
	struct conf *c = conf_load(&in, &errors);

	if (c == NULL)
		fail_msg("%s", errors.v[0]);
	return c;
}

static void
every_key_of_the_top_is_a_fact(void **state)
{
	struct conf *c = load(DATA "good.conf", NULL);

	(void)state;
	assert_string_equal(c->path, DATA "good.conf");
	assert_int_equal(c->workers, 3);
	assert_int_equal(c->drain_delay_ms, 250);
	assert_int_equal(c->drain_timeout_ms, 20000);
	assert_string_equal(c->user, "root");
	assert_string_equal(c->group, "root");
	assert_int_equal(c->dns.families, CONF_FAMILIES_IPV4);
	assert_int_equal(c->dns.max_ttl_ms, 300000);
	assert_int_equal(c->admin.bind->text.port, 19901);
	assert_int_equal(c->admin.probe_bind->backlog, 16);
	assert_string_equal(c->admin.token, "a-token-of-the-tests");
	assert_int_equal(c->admin.n_hosts, 2);
	assert_int_equal(c->log.level, 3);
	assert_int_equal(c->log.format, CONF_LOG_JSON);
	assert_string_equal(c->log.access, DATA "logs/access.log");
	assert_int_equal(c->log.access_when, CONF_ACCESS_SLOW);
	assert_int_equal(c->log.slow_ms, 500);
	assert_int_equal(c->max_memory_bytes, 256 << 20);
	assert_int_equal(c->n_listeners, 3);
	assert_int_equal(c->n_upstreams, 3);
	conf_free(c);
}

static void
every_key_of_a_listener_is_a_fact(void **state)
{
	struct conf *c = load(DATA "good.conf", NULL);
	const struct conf_listener *l = conf_listener_find(c, "web");

	(void)state;
	assert_int_equal(l->limits[CONF_LIMIT_CONNECTIONS].most, CONF_OFF);
	assert_int_equal(l->timeouts.header_ms, 1000);
	assert_int_equal(l->timeouts.body_ms, 2000);
	assert_int_equal(l->timeouts.idle_ms, 3000);
	assert_int_equal(l->max_header_bytes, 1024);
	assert_int_equal(l->max_headers, 50);
	assert_int_equal(l->max_body_bytes, 1 << 20);
	l = conf_listener_find(c, "edge");
	assert_int_equal(l->n_binds, 3);
	assert_int_equal(l->n_routes, 7);
	assert_null(l->upstream);
	for (int i = 0; i < CONF_N_LIMITS; i++)
		assert_in_range(l->limits[i].most, 1, 1 << 20);
	assert_int_equal(l->limits[CONF_LIMIT_CONNECTIONS].most, 10000);
	assert_string_equal(l->client_header, "X-Forwarded-For");
	assert_int_equal(l->allow.n, 2);
	assert_int_equal(l->deny.n, 1);
	assert_int_equal(l->routes[0].retry, CONF_RETRY_IDEMPOTENT);
	assert_int_equal(l->routes[l->n_routes - 1].retry, CONF_RETRY_SAFE);
	conf_free(c);
}

static void
every_key_of_an_upstream_is_a_fact(void **state)
{
	struct conf *c;
	const struct conf_upstream *u;
	const struct fake_back *own;

	(void)state;
	unsetenv("WEIR_TEST_HOST");
	c = load(DATA "good.conf", NULL);
	u = conf_upstream_find(c, "app");
	own = u->own;
	assert_int_equal(u->n_endpoints, 5);
	assert_int_equal(u->balance, CONF_LEAST_CONN);
	assert_int_equal(u->ready, CONF_READY_ALWAYS);
	assert_int_equal(u->pool.span, CONF_SPAN_SESSION);
	assert_int_equal(u->pool.min_idle, 2);
	assert_int_equal(u->pool.max, 64);
	assert_int_equal(u->pool.max_idle, 32);
	assert_int_equal(u->pool.max_per_endpoint, 20);
	assert_int_equal(u->pool.max_waiting, 10);
	assert_int_equal(u->pool.queue_timeout_ms, 1000);
	assert_int_equal(u->pool.idle_timeout_ms, CONF_OFF);
	assert_int_equal(u->pool.max_lifetime_ms, 3600000);
	assert_int_equal(u->pool.max_requests, 9);
	assert_int_equal(u->pool.tcp_keepalive_ms, CONF_OFF);
	assert_int_equal(u->timeouts.connect_ms, 1000);
	assert_int_equal(u->timeouts.response_ms, 2000);
	assert_int_equal(u->timeouts.stall_ms, 3000);
	assert_int_equal(u->timeouts.tunnel_ms, 4000);
	assert_int_equal(u->timeouts.total_ms, 5000);
	assert_false(u->endpoints[0].backup);
	assert_true(u->endpoints[1].backup);
	assert_int_equal(u->retry.max_retries, 2);
	assert_int_equal(u->retry.backoff_ms, 10);
	assert_int_equal(u->retry.max_backoff_ms, 20);
	assert_true(u->retry.budget == 0.25);
	assert_true(u->health.on);
	assert_ptr_equal(u->health.type, &fake_http);
	assert_string_equal(u->health.path, "/healthz?full=1");
	assert_string_equal(u->health.host, "app.internal");
	assert_int_equal(u->health.expect.n, 2);
	assert_int_equal(u->health.interval_ms, 500);
	assert_int_equal(u->health.timeout_ms, 250);
	assert_int_equal(u->health.rise, 1);
	assert_int_equal(u->health.fall, 4);
	assert_int_equal(u->outlier.failures, 3);
	assert_int_equal(u->outlier.eject_for_ms, 1000);
	assert_true(u->outlier.max_ejected == 1);
	assert_int_equal(u->when_all_down, CONF_ALL_DOWN_TRY);
	assert_int_equal(u->slow_start_ms, 30000);
	assert_int_equal(u->request_rate.most, 100);
	assert_int_equal(u->request_rate.wait_ms, 3000);
	assert_true(u->retry_after);
	assert_string_equal(own->host, "up");
	assert_string_equal(own->password, "pass\"word");
	assert_string_equal(own->set_headers.v[0].value, "${weir}");
	assert_int_equal(own->remove_headers.n, 2);
	conf_free(c);
}

static void
lines_name_their_file(void **state)
{
	struct conf *c = load(DATA "good.conf", NULL);
	char place[100];

	(void)state;
	conf_place(c, conf_listener_find(c, "web")->line, place,
	    sizeof(place));
	assert_string_equal(place, DATA "good.conf:20");
	conf_place(c, conf_listener_find(c, "raw")->line, place,
	    sizeof(place));
	assert_string_equal(place, DATA "raw.conf:2");
	conf_place(c, conf_upstream_find(c, "app")->line, place,
	    sizeof(place));
	assert_string_equal(place, DATA "good.conf:52");
	conf_place(c, 0, place, sizeof(place));
	assert_string_equal(place, DATA "good.conf");
	conf_free(c);
}

/* A reload asks whether anything changed by it. */
static void
hash_is_of_the_text(void **state)
{
	const char *text = "listeners = ( { name = \"a\"; bind = "
	    "\"127.0.0.1:1\"; protocol = \"http\"; upstream = \"x\"; } );\n"
	    "upstreams = ( { name = \"x\"; endpoints = \"h:1\"; } );\n";
	struct conf *a = load("a.conf", text), *b = load("b.conf", text);
	struct conf *other = load(DATA "good.conf", NULL);

	(void)state;
	assert_int_equal(strlen(a->hash), 16);
	assert_string_equal(a->hash, b->hash);
	assert_string_not_equal(a->hash, other->hash);
	conf_free(a);
	conf_free(b);
	conf_free(other);
}

static void
absent_file_is_told(void **state)
{
	char *errors = errors_of("/nonexistent/weir.conf", NULL);

	(void)state;
	assert_string_equal(errors, "/nonexistent/weir.conf: cannot be read: "
	    "No such file or directory, expected a configuration file");
	free(errors);
	errors = errors_of("/tmp", NULL);
	assert_string_equal(errors, "/tmp: cannot be read: it is a folder, "
	    "expected a configuration file");
	free(errors);
}

/* Hundreds of lines help nobody. */
static void
errors_end_somewhere(void **state)
{
	char text[4096] = "", *errors, *last;
	size_t n = 0;

	(void)state;
	for (int i = 0; i < 150; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "k%d = 1;\n",
		    i);
	errors = errors_of("weir.conf", text);
	last = strrchr(errors, '\n');
	assert_non_null(last);
	assert_string_equal(last, "\nweir.conf: and 51 errors more");
	free(errors);
}

/* Values end up on terminals: no escape sequence of theirs may. */
static void
errors_hold_no_control_characters(void **state)
{
	char *errors = errors_of("weir.conf", "log = { level = \"\\x1b[2J"
	    "\\n\"; };");

	(void)state;
	assert_non_null(strstr(errors, "weir.conf:1: log.level: unknown "
	    "\"?[2J?\""));
	assert_null(strchr(errors, 0x1b));
	free(errors);
}

static void
errors_come_in_file_order(void **state)
{
	static const struct row row[] = { { ROW_FILE,
	    "upstreams = ( { name = \"x\"; endpoints = ( ); } );\n"
	    "listeners = ( { name = \"a\"; bind = 1; protocol = \"tcp\"; "
	    "upstream = \"x\"; } );\n"
	    "log = { level = 3; };\n"
	    "workers = -1;\n",
	    "weir.conf:1: upstreams.x.endpoints: there are none, expected at "
	    "least one such as ( \"127.0.0.1:3000\" )\n"
	    "weir.conf:2: listeners.a.bind: is a number, expected text in "
	    "quotes\n"
	    "weir.conf:3: log.level: is a number, expected \"error\", "
	    "\"warn\", \"info\" or \"debug\"\n"
	    "weir.conf:4: workers: -1 is out of range, expected 0 to 256" } };

	(void)state;
	rows_hold(row, 1);
}

static void
nothing_to_free_is_fine(void **state)
{
	struct conf_errors none = { NULL, 0 };

	(void)state;
	conf_free(NULL);
	conf_errors_fini(&none);
	assert_null(none.v);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(five_faults_are_told_at_once),
		cmocka_unit_test(every_key_of_the_top_is_a_fact),
		cmocka_unit_test(every_key_of_a_listener_is_a_fact),
		cmocka_unit_test(every_key_of_an_upstream_is_a_fact),
		cmocka_unit_test(lines_name_their_file),
		cmocka_unit_test(hash_is_of_the_text),
		cmocka_unit_test(absent_file_is_told),
		cmocka_unit_test(errors_end_somewhere),
		cmocka_unit_test(errors_hold_no_control_characters),
		cmocka_unit_test(errors_come_in_file_order),
		cmocka_unit_test(nothing_to_free_is_fine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
