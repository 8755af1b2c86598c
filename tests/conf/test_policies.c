/*
 * conf/policies: retry, health, outlier and the rest of an upstream's bad days.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/conf/rows.h"

#define AT "weir.conf:2: upstreams.x."

static const struct row rows[] = {
	/* retry */
	{ ROW_UPSTREAM, "retry = { max_retries = 0; budget = 0; };", "" },
	{ ROW_UPSTREAM, "retry = { max_retries = 10; budget = 1.0; backoff = "
	    "\"0s\"; };", "" },
	{ ROW_UPSTREAM, "retry = { max_retries = 11; };",
	    AT "retry.max_retries: 11 is out of range, expected 0 to 10" },
	{ ROW_UPSTREAM, "retry = { max_retries = \"off\"; };",
	    AT "retry.max_retries: \"off\" is not understood, expected a "
	    "number such as 10" },
	{ ROW_UPSTREAM, "retry = { backoff = 25; };",
	    AT "retry.backoff: 25 has no unit, expected a duration such as "
	    "\"25s\"" },
	{ ROW_UPSTREAM, "retry = { backoff = \"25ms\"; max_backoff = \"10ms\"; "
	    "};", AT "retry.max_backoff: \"10ms\" is less than backoff, "
	    "expected at least \"25ms\"" },
	{ ROW_UPSTREAM, "retry = { backoff = \"10ms\"; max_backoff = \"10ms\"; "
	    "};", "" },
	{ ROW_UPSTREAM, "retry = { budget = 2; };",
	    AT "retry.budget: 2 is out of range, expected 0 to 1, such as "
	    "0.2" },
	{ ROW_UPSTREAM, "retry = { budget = -0.5; };",
	    AT "retry.budget: -0.5 is out of range, expected 0 to 1, such as "
	    "0.2" },
	{ ROW_UPSTREAM, "retry = { budget = 1.01; };",
	    AT "retry.budget: 1.01 is out of range, expected 0 to 1, such as "
	    "0.2" },
	{ ROW_UPSTREAM, "retry = { budget = \"20%\"; };",
	    AT "retry.budget: \"20%\" is not understood, expected a share from "
	    "0 to 1 such as 0.2" },
	{ ROW_UPSTREAM, "retry = { budget = true; };",
	    AT "retry.budget: is a bool, expected a share from 0 to 1 such as "
	    "0.2" },
	{ ROW_UPSTREAM, "retry = { retries = 1; };",
	    AT "retry: unknown key \"retries\", expected one of max_retries, "
	    "backoff, max_backoff, budget" },
	{ ROW_UPSTREAM, "retry = { max_retry = 1; };",
	    AT "retry: unknown key \"max_retry\", did you mean "
	    "\"max_retries\"?" },
	{ ROW_UPSTREAM, "retry = 1;",
	    AT "retry: is a number, expected a group: { key = value; ... }" },
	{ ROW_UPSTREAM, "max_retries = 1;",
	    "weir.conf:2: upstreams.x: unknown key \"max_retries\", did you "
	    "mean \"retry.max_retries\"?" },
	/* health */
	{ ROW_UPSTREAM, "health = { type = \"http\"; path = \"/a/%20?b=1\"; "
	    "host = \"[::1]:80\"; expect = 204; interval = \"10ms\"; timeout = "
	    "\"1m\"; rise = 100; fall = 1; port = 65535; };", "" },
	{ ROW_UPSTREAM, "health = { type = \"htp\"; };",
	    AT "health.type: unknown \"htp\", did you mean \"http\"? Expected "
	    "\"tcp\" or \"http\"" },
	{ ROW_UPSTREAM, "health = { type = \"icmp\"; path = \"/\"; };",
	    AT "health.type: unknown \"icmp\", expected \"tcp\" or \"http\"" },
	{ ROW_UPSTREAM, "health = { type = 5; path = \"/\"; };",
	    AT "health.type: is a number, expected text in quotes" },
	{ ROW_UPSTREAM, "health = { type = \"tcp\"; path = \"/\"; host = "
	    "\"a\"; expect = 200; };",
	    AT "health.path: type \"tcp\" only connects, expected it with type "
	    "= \"http\"\n"
	    AT "health.host: type \"tcp\" only connects, expected it with type "
	    "= \"http\"\n"
	    AT "health.expect: type \"tcp\" only connects, expected it with "
	    "type = \"http\"" },
	{ ROW_UPSTREAM, "health = { path = \"healthz\"; };",
	    AT "health.path: \"healthz\": no target of a request, expected one "
	    "such as \"/healthz\" or \"/ready?full=1\"" },
	{ ROW_UPSTREAM, "health = { path = \"/a b\"; };",
	    AT "health.path: \"/a b\": no target of a request, expected one "
	    "such as \"/healthz\" or \"/ready?full=1\"" },
	{ ROW_UPSTREAM, "health = { path = \"/a#b\"; };",
	    AT "health.path: \"/a#b\": no target of a request, expected one "
	    "such as \"/healthz\" or \"/ready?full=1\"" },
	{ ROW_UPSTREAM, "health = { path = \"/%2\"; };",
	    AT "health.path: \"/%2\": no target of a request, expected one "
	    "such as \"/healthz\" or \"/ready?full=1\"" },
	{ ROW_UPSTREAM, "health = { path = \"/a\\r\\nX: y\"; };",
	    AT "health.path: \"/a\?\?X: y\": no target of a request, expected "
	    "one such as \"/healthz\" or \"/ready?full=1\"" },
	{ ROW_UPSTREAM, "health = { host = \"a/b\"; };",
	    AT "health.host: \"a/b\": no host, expected one such as "
	    "\"app.internal\" or \"app.internal:8080\"" },
	{ ROW_UPSTREAM, "health = { host = \"\"; };",
	    AT "health.host: \"\": no host, expected one such as "
	    "\"app.internal\" or \"app.internal:8080\"" },
	{ ROW_UPSTREAM, "health = { host = \"unix:/a\"; };",
	    AT "health.host: \"unix:/a\": no host, expected one such as "
	    "\"app.internal\" or \"app.internal:8080\"" },
	{ ROW_UPSTREAM, "health = { host = \"a\\nb\"; };",
	    AT "health.host: \"a\?b\": no host, expected one such as "
	    "\"app.internal\" or \"app.internal:8080\"" },
	{ ROW_UPSTREAM, "health = { expect = \"2xx\"; };",
	    AT "health.expect: \"2xx\" is not understood, expected statuses "
	    "such as \"200-399,404\"" },
	{ ROW_UPSTREAM, "health = { expect = 99; };",
	    AT "health.expect: \"99\" is out of range, expected 100 to 599, "
	    "the lower one first" },
	{ ROW_UPSTREAM, "health = { expect = ( 200 ); };",
	    AT "health.expect: is a list, expected statuses such as "
	    "\"200-399,404\"" },
	{ ROW_UPSTREAM, "health = { interval = \"9ms\"; };",
	    AT "health.interval: \"9ms\" is out of range, expected \"10ms\" to "
	    "\"1h\"" },
	{ ROW_UPSTREAM, "health = { timeout = 1; };",
	    AT "health.timeout: 1 has no unit, expected a duration such as "
	    "\"1s\"" },
	{ ROW_UPSTREAM, "health = { interval = \"1s\"; timeout = \"5s\"; };",
	    "" },
	{ ROW_UPSTREAM, "health = { rise = 0; fall = 101; };",
	    AT "health.rise: 0 is out of range, expected 1 to 100\n"
	    AT "health.fall: 101 is out of range, expected 1 to 100" },
	{ ROW_UPSTREAM, "health = { port = 0; };",
	    AT "health.port: 0 is out of range, expected 1 to 65535" },
	{ ROW_UPSTREAM, "health = { port = 65536; };",
	    AT "health.port: 65536 is out of range, expected 1 to 65535" },
	{ ROW_ENDPOINTS, "( \"h:1\", \"unix:/a\" ); health = { port = 5; }",
	    AT "health.port: endpoint unix:/a is a Unix socket, which has no "
	    "ports, expected none here" },
	{ ROW_UPSTREAM, "health = { intervall = \"1s\"; };",
	    AT "health: unknown key \"intervall\", did you mean "
	    "\"interval\"?" },
	{ ROW_UPSTREAM, "helth = { };",
	    "weir.conf:2: upstreams.x: unknown key \"helth\", did you mean "
	    "\"health\"?" },
	{ ROW_UPSTREAM, "interval = \"1s\";",
	    "weir.conf:2: upstreams.x: unknown key \"interval\", did you mean "
	    "\"health.interval\"?" },
	{ ROW_UPSTREAM, "timeout = \"1s\";",
	    "weir.conf:2: upstreams.x: unknown key \"timeout\", did you mean "
	    "\"timeouts\"?" },
	/* outlier */
	{ ROW_UPSTREAM, "outlier = { failures = 1000; eject_for = \"24h\"; "
	    "max_ejected = 0; };", "" },
	{ ROW_UPSTREAM, "outlier = { failures = 0; };",
	    AT "outlier.failures: 0 is out of range, expected 1 to 1000" },
	{ ROW_UPSTREAM, "outlier = { eject_for = 10; };",
	    AT "outlier.eject_for: 10 has no unit, expected a duration such as "
	    "\"10s\"" },
	{ ROW_UPSTREAM, "outlier = { max_ejected = 50; };",
	    AT "outlier.max_ejected: 50 is out of range, expected 0 to 1, such "
	    "as 0.2" },
	{ ROW_UPSTREAM, "outlier = { eject = \"10s\"; };",
	    AT "outlier: unknown key \"eject\", expected one of failures, "
	    "eject_for, max_ejected" },
	{ ROW_UPSTREAM, "outlier = true;",
	    AT "outlier: is a bool, expected a group: { key = value; ... }" },
	/* the rest */
	{ ROW_UPSTREAM, "when_all_down = \"retry\";",
	    AT "when_all_down: unknown \"retry\", expected \"fail\" or "
	    "\"try\"" },
	{ ROW_UPSTREAM, "slow_start = \"0s\";",
	    AT "slow_start: \"0s\" is out of range, expected \"1ms\" to "
	    "\"1h\", or \"off\"" },
	{ ROW_UPSTREAM, "slow_start = 30;",
	    AT "slow_start: 30 has no unit, expected a duration such as "
	    "\"30s\" or \"off\"" },
	{ ROW_UPSTREAM, "timeouts = { total = 30; };",
	    AT "timeouts.total: 30 has no unit, expected a duration such as "
	    "\"30s\" or \"off\"" },
	{ ROW_UPSTREAM, "timeouts = { total = \"0s\"; };",
	    AT "timeouts.total: \"0s\" is out of range, expected \"1ms\" to "
	    "\"8760h\", or \"off\"" },
	/* of routes */
	{ ROW_ROUTES, "( { upstream = \"x\"; retry = \"never\"; } )",
	    "weir.conf:1: listeners.a.routes[0].retry: unknown \"never\", "
	    "expected \"safe\", \"idempotent\", \"all\" or \"off\"" },
	{ ROW_ROUTES, "( { upstream = \"x\"; retry = true; } )",
	    "weir.conf:1: listeners.a.routes[0].retry: is a bool, expected "
	    "\"safe\", \"idempotent\", \"all\" or \"off\"" },
};

static void
bad_policies_are_told(void **state)
{
	(void)state;
	rows_hold(rows, NELEMS(rows));
}

static void
absent_groups_are_off(void **state)
{
	struct conf *c = conf_of(ROW_TOP, "");
	const struct conf_upstream *u = &c->upstreams[0];

	(void)state;
	assert_int_equal(u->retry.max_retries, 0);
	assert_false(u->health.on);
	assert_int_equal(u->outlier.failures, 0);
	assert_int_equal(u->when_all_down, CONF_ALL_DOWN_FAIL);
	assert_int_equal(u->slow_start_ms, CONF_OFF);
	assert_int_equal(u->timeouts.total_ms, CONF_OFF);
	assert_int_equal(u->request_rate.most, CONF_OFF);
	assert_false(u->retry_after);
	conf_free(c);
}

static void
empty_groups_are_on_with_their_defaults(void **state)
{
	struct conf *c = conf_of(ROW_UPSTREAM, "retry = { }; health = { }; "
	    "outlier = { };");
	const struct conf_upstream *u = &c->upstreams[0];

	(void)state;
	assert_int_equal(u->retry.max_retries, 1);
	assert_int_equal(u->retry.backoff_ms, 25);
	assert_int_equal(u->retry.max_backoff_ms, 1000);
	assert_true(u->retry.budget == 0.2);
	assert_true(u->health.on);
	assert_ptr_equal(u->health.type, &fake_http);
	assert_string_equal(u->health.path, "/");
	assert_null(u->health.host);
	assert_int_equal(u->health.expect.n, 1);
	assert_int_equal(u->health.expect.v[0].from, 200);
	assert_int_equal(u->health.expect.v[0].to, 399);
	assert_int_equal(u->health.interval_ms, 2000);
	assert_int_equal(u->health.timeout_ms, 1000);
	assert_int_equal(u->health.rise, 2);
	assert_int_equal(u->health.fall, 3);
	assert_int_equal(u->health.port, 0);
	assert_int_equal(u->outlier.failures, 5);
	assert_int_equal(u->outlier.eject_for_ms, 10000);
	assert_true(u->outlier.max_ejected == 0.5);
	conf_free(c);
}

static void
whole_shares_are_read_as_fractions_are(void **state)
{
	struct conf *c = conf_of(ROW_UPSTREAM, "retry = { budget = 1; }; "
	    "outlier = { max_ejected = 0; };");
	const struct conf_upstream *u = &c->upstreams[0];

	(void)state;
	assert_true(u->retry.budget == 1);
	assert_true(u->outlier.max_ejected == 0);
	conf_free(c);
}

/* Nobody has to write a default to write what bounds it. */
static void
unwritten_backoff_gives_way(void **state)
{
	struct conf *c = conf_of(ROW_UPSTREAM, "retry = { backoff = \"2s\"; "
	    "};");

	(void)state;
	assert_int_equal(c->upstreams[0].retry.backoff_ms, 2000);
	assert_int_equal(c->upstreams[0].retry.max_backoff_ms, 2000);
	conf_free(c);
	c = conf_of(ROW_UPSTREAM, "retry = { max_backoff = \"5ms\"; };");
	assert_int_equal(c->upstreams[0].retry.backoff_ms, 5);
	assert_int_equal(c->upstreams[0].retry.max_backoff_ms, 5);
	conf_free(c);
}

#define TCP(keys) "listeners = ( { name = \"a\"; bind = \"127.0.0.1:1\"; " \
	"protocol = \"tcp\"; upstream = \"x\"; } );\n" \
	"upstreams = ( { name = \"x\"; endpoints = \"h:1\"; " keys " } );\n"

static void
check_type_is_the_protocols_where_it_has_one(void **state)
{
	static const struct row bad[] = {
		{ ROW_FILE, TCP("health = { path = \"/\"; };"), AT "health.path"
		    ": type \"tcp\" only connects, expected it with type = "
		    "\"http\"" },
	};
	struct conf *c = conf_of(ROW_FILE, TCP("health = { };"));

	(void)state;
	assert_true(c->upstreams[0].health.on);
	assert_null(c->upstreams[0].health.type);
	conf_free(c);
	c = conf_of(ROW_FILE, TCP("health = { type = \"http\"; path = \"/a\"; "
	    "};"));
	assert_ptr_equal(c->upstreams[0].health.type, &fake_http);
	conf_free(c);
	c = conf_of(ROW_UPSTREAM, "health = { type = \"tcp\"; };");
	assert_null(c->upstreams[0].health.type);
	conf_free(c);
	rows_hold(bad, NELEMS(bad));
}

static void
protocols_without_checks_are_no_type(void **state)
{
	static const struct conf_proto mute = { .name = "mute",
		.spans = CONF_SPAN_SESSION, .default_mode = "session" };
	static const struct conf_proto *const protos[] = {
		&mute, &fake_tcp, NULL
	};
	struct conf_input in = { .path = "weir.conf", .protos = protos,
	    .text = TCP("health = { type = \"mute\"; };") };
	struct conf_errors errors;

	(void)state;
	assert_null(conf_load(&in, &errors));
	assert_int_equal(errors.n, 1);
	assert_string_equal(errors.v[0], AT "health.type: protocol mute has no "
	    "checks of its own, expected \"tcp\"");
	conf_errors_fini(&errors);
	in.text = TCP("health = { expect = 200; };");
	assert_null(conf_load(&in, &errors));
	assert_int_equal(errors.n, 1);
	assert_string_equal(errors.v[0], AT "health.expect: type \"tcp\" only "
	    "connects, expected none");
	conf_errors_fini(&errors);
}

static void
each_word_of_a_route_is_known(void **state)
{
	static const char *const words[] = { "safe", "idempotent", "all",
		"off" };

	(void)state;
	for (unsigned i = 0; i < NELEMS(words); i++) {
		struct conf *c;
		char text[80];

		snprintf(text, sizeof(text), "( { upstream = \"x\"; retry = "
		    "\"%s\"; } )", words[i]);
		c = conf_of(ROW_ROUTES, text);
		assert_int_equal(c->listeners[0].routes[0].retry,
		    CONF_RETRY_SAFE + i);
		conf_free(c);
	}
}

/* Log paths start at the folder of the file that names them. */
static void
access_log_is_beside_its_file(void **state)
{
	static const struct {
		const char *file, *access, *expected;
	} paths[] = {
		{ "/etc/weir/weir.conf", "./a.log", "/etc/weir/./a.log" },
		{ "/etc/weir/weir.conf", "log/a", "/etc/weir/log/a" },
		{ "/etc/weir/weir.conf", "/var/log/a", "/var/log/a" },
		{ "/etc/weir/weir.conf", "syslog", "syslog" },
		{ "weir.conf", "./a.log", "./a.log" },
	};

	(void)state;
	for (size_t i = 0; i < NELEMS(paths); i++) {
		char top[100], *file;
		struct conf_input in = { .path = paths[i].file,
		    .protos = fake_protos };
		struct conf_errors errors;
		struct conf *c;

		snprintf(top, sizeof(top), "log = { access = \"%s\"; };",
		    paths[i].access);
		file = row_file(ROW_TOP, top);
		in.text = file;
		c = conf_load(&in, &errors);
		assert_non_null(c);
		assert_string_equal(c->log.access, paths[i].expected);
		conf_free(c);
		free(file);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_policies_are_told),
		cmocka_unit_test(absent_groups_are_off),
		cmocka_unit_test(empty_groups_are_on_with_their_defaults),
		cmocka_unit_test(whole_shares_are_read_as_fractions_are),
		cmocka_unit_test(unwritten_backoff_gives_way),
		cmocka_unit_test(check_type_is_the_protocols_where_it_has_one),
		cmocka_unit_test(protocols_without_checks_are_no_type),
		cmocka_unit_test(each_word_of_a_route_is_known),
		cmocka_unit_test(access_log_is_beside_its_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
