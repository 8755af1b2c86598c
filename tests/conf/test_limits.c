/*
 * conf/limits: limits as bare values and as groups, and who a client is.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/conf/rows.h"

#define AT "weir.conf:1: listeners.a.limits."
#define SUCH "a rate such as \"100/s\", \"6000/m\" or \"10/h\", or \"off\""

static const struct row rows[] = {
	/* numbers at once */
	{ ROW_LISTENER, "limits = { connections = 1; };", "" },
	{ ROW_LISTENER, "limits = { connections = \"10000000\"; };", "" },
	{ ROW_LISTENER, "limits = { connections_per_client = \"off\"; };", "" },
	{ ROW_LISTENER, "limits = { connections_per_client = 0; };",
	    AT "connections_per_client: 0 is out of range, expected 1 to "
	    "10000000, or \"off\"" },
	{ ROW_LISTENER, "limits = { connections = -1; };",
	    AT "connections: -1 is out of range, expected 1 to 10000000, or "
	    "\"off\"" },
	{ ROW_LISTENER, "limits = { connections = 1.5; };",
	    AT "connections: is a number with a fraction, expected a number "
	    "such as 10 or \"off\"" },
	{ ROW_LISTENER, "limits = { connections = ( 1 ); };",
	    AT "connections: is a list, expected a number such as 10 or "
	    "\"off\"" },
	{ ROW_LISTENER, "limits = { connections = \"5/s\"; };",
	    AT "connections: \"5/s\" is not understood, expected a number such "
	    "as 10 or \"off\"" },
	{ ROW_LISTENER, "limits = { connections = { max = 5; shadow = true; }; "
	    "};", "" },
	{ ROW_LISTENER, "limits = { connections = { max = \"off\"; }; };", "" },
	{ ROW_LISTENER, "limits = { connections = { }; };",
	    AT "connections.max: is missing, expected a number such as 10 or "
	    "\"off\"" },
	{ ROW_LISTENER, "limits = { connections = { shadow = true; }; };",
	    AT "connections.max: is missing, expected a number such as 10 or "
	    "\"off\"" },
	{ ROW_LISTENER, "limits = { connections = { max = 0; }; };",
	    AT "connections.max: 0 is out of range, expected 1 to 10000000, or "
	    "\"off\"" },
	{ ROW_LISTENER, "limits = { connections = { max = { }; }; };",
	    AT "connections.max: is a group, expected a number such as 10 or "
	    "\"off\"" },
	{ ROW_LISTENER, "limits = { connections = { max = 5; burst = 5; }; };",
	    AT "connections: unknown key \"burst\", it belongs to "
	    "listeners[].limits.request_rate or "
	    "listeners[].limits.bandwidth_per_client or "
	    "upstreams[].limits.request_rate; expected one of max, shadow" },
	{ ROW_LISTENER, "limits = { connections = { max = 5; shadw = true; }; "
	    "};", AT "connections: unknown key \"shadw\", did you mean "
	    "\"shadow\"?" },
	{ ROW_LISTENER, "limits = { connections = { max = 5; shadow = 1; }; };",
	    AT "connections.shadow: is a number, expected true or false" },
	/* rates */
	{ ROW_LISTENER, "limits = { request_rate = 100; };",
	    AT "request_rate: 100 has no time, expected it with one: "
	    "\"100/s\", or \"off\"" },
	{ ROW_LISTENER, "limits = { request_rate = 0; };",
	    AT "request_rate: 0 has no unit, expected " SUCH },
	{ ROW_LISTENER, "limits = { request_rate = \"0/s\"; };",
	    AT "request_rate: \"0/s\" would let nothing through, expected a "
	    "rate such as \"100/s\", \"6000/m\" or \"10/h\", or \"off\" for no "
	    "limit (deny keeps clients out)" },
	{ ROW_LISTENER, "limits = { request_rate = 0.5; };",
	    AT "request_rate: is a number with a fraction, expected " SUCH },
	{ ROW_LISTENER, "limits = { request_rate = \"0.5/s\"; };",
	    AT "request_rate: \"0.5/s\" has a fraction, expected a whole "
	    "number: \"30/m\"" },
	{ ROW_LISTENER, "limits = { request_rate = ( \"5/s\" ); };",
	    AT "request_rate: is a list, expected " SUCH },
	{ ROW_LISTENER, "limits = { request_rate = true; };",
	    AT "request_rate: is a bool, expected " SUCH },
	{ ROW_LISTENER, "limits = { request_rat = \"5/s\"; };",
	    "weir.conf:1: listeners.a.limits: unknown key \"request_rat\", did "
	    "you mean \"request_rate\"?" },
	{ ROW_LISTENER, "request_rate = \"5/s\";",
	    "weir.conf:1: listeners.a: unknown key \"request_rate\", did you "
	    "mean \"limits.request_rate\"?" },
	{ ROW_LISTENER, "limits = { request_rate = { }; };",
	    AT "request_rate.rate: is missing, expected " SUCH },
	{ ROW_LISTENER, "limits = { request_rate = { burst = 5; }; };",
	    AT "request_rate.rate: is missing, expected " SUCH },
	{ ROW_LISTENER, "limits = { request_rate = { rate = \"5\"; }; };",
	    AT "request_rate.rate: 5 has no time, expected it with one: "
	    "\"5/s\", or \"off\"" },
	{ ROW_LISTENER, "limits = { request_rate = { rate = { }; }; };",
	    AT "request_rate.rate: is a group, expected " SUCH },
	{ ROW_LISTENER, "limits = { request_rate = { rate = \"5/s\"; burst = "
	    "0; }; };", AT "request_rate.burst: 0 is out of range, expected 1 "
	    "to 10000000" },
	{ ROW_LISTENER, "limits = { request_rate = { rate = \"5/s\"; burst = "
	    "\"5/s\"; }; };", AT "request_rate.burst: \"5/s\" is not "
	    "understood, expected a number such as 10" },
	{ ROW_LISTENER, "limits = { request_rate = { rate = \"1/h\"; burst = "
	    "8761; }; };", AT "request_rate.burst: 8761 is more than comes in "
	    "a year at this rate, expected at most 8760" },
	{ ROW_LISTENER, "limits = { request_rate = { rate = \"1/h\"; burst = "
	    "8760; }; };", "" },
	{ ROW_LISTENER, "limits = { request_rate = { rate = \"off\"; burst = "
	    "10000000; }; };", "" },
	{ ROW_LISTENER, "limits = { request_rate = { rate = \"5/s\"; wait = "
	    "\"1s\"; }; };", AT "request_rate: unknown key \"wait\", it "
	    "belongs to upstreams[].limits.request_rate; expected one of rate, "
	    "burst, shadow" },
	{ ROW_LISTENER, "limits = { connection_rate = { rate = 5; brust = 5; "
	    "}; connection_rate_per_client = 7; request_rate_per_client = { "
	    "shadow = 1; }; };",
	    AT "connection_rate: unknown key \"brust\", did you mean "
	    "\"burst\"?\n"
	    AT "connection_rate.rate: 5 has no time, expected it with one: "
	    "\"5/s\", or \"off\"\n"
	    AT "connection_rate_per_client: 7 has no time, expected it with "
	    "one: \"7/s\", or \"off\"\n"
	    AT "request_rate_per_client.rate: is missing, expected " SUCH "\n"
	    AT "request_rate_per_client.shadow: is a number, expected true or "
	    "false" },
	/* bandwidths */
	{ ROW_LISTENER, "limits = { bandwidth_per_client = \"1MiB\"; };",
	    AT "bandwidth_per_client: 1MiB has no time, expected it with one: "
	    "\"1MiB/s\", or \"off\"" },
	{ ROW_LISTENER, "limits = { bandwidth_per_client = 100000; };",
	    AT "bandwidth_per_client: 100000 has no unit, expected a bandwidth "
	    "such as \"1MiB/s\", or \"off\"" },
	{ ROW_LISTENER, "limits = { bandwidth_per_client = \"15KiB/s\"; };",
	    AT "bandwidth_per_client: \"15KiB/s\" is out of range, expected "
	    "\"16KiB/s\" to \"10GiB/s\", or \"off\"" },
	{ ROW_LISTENER, "limits = { bandwidth_per_client = { rate = \"16KiB/s\""
	    "; burst = 65536; }; };", AT "bandwidth_per_client.burst: 65536 "
	    "has no unit, expected a size such as \"65536B\"" },
	{ ROW_LISTENER, "limits = { bandwidth_per_client = { rate = \"16KiB/s\""
	    "; burst = \"1KiB\"; }; };", AT "bandwidth_per_client.burst: "
	    "\"1KiB\" is out of range, expected \"16KiB\" to \"1GiB\"" },
	{ ROW_LISTENER, "limits = { bandwidth_per_client = { rate = \"16KiB/s\""
	    "; burst = \"1GiB\"; shadow = true; }; };", "" },
	{ ROW_LISTENER, "limits = { bandwidth_per_client = { }; };",
	    AT "bandwidth_per_client.rate: is missing, expected a bandwidth "
	    "such as \"1MiB/s\", or \"off\"" },
	/* client */
	{ ROW_LISTENER, "limits = { client = \"address\"; };", "" },
	{ ROW_LISTENER, "limits = { client = \"header:X-Forwarded-For\"; };",
	    "" },
	{ ROW_LISTENER, "limits = { client = \"header:\"; };",
	    AT "client: \"header:\" is not understood, expected \"address\" or "
	    "\"header:NAME\" such as \"header:X-Forwarded-For\"" },
	{ ROW_LISTENER, "limits = { client = \"header:X Y\"; };",
	    AT "client: \"header:X Y\" is not understood, expected "
	    "\"address\" or \"header:NAME\" such as "
	    "\"header:X-Forwarded-For\"" },
	{ ROW_LISTENER, "limits = { client = \"X-Forwarded-For\"; };",
	    AT "client: \"X-Forwarded-For\" is not understood, expected "
	    "\"address\" or \"header:NAME\" such as "
	    "\"header:X-Forwarded-For\"" },
	{ ROW_LISTENER, "limits = { client = 5; };",
	    AT "client: is a number, expected text in quotes" },
	{ ROW_FILE, "listeners = ( { name = \"a\"; bind = \"127.0.0.1:1\"; "
	    "protocol = \"tcp\"; upstream = \"x\"; limits = { client = "
	    "\"header:X-A\"; }; } );\n"
	    "upstreams = ( { name = \"x\"; endpoints = \"h:1\"; } );\n",
	    AT "client: protocol tcp has no headers, expected \"address\"" },
	{ ROW_FILE, "listeners = ( { name = \"a\"; bind = \"127.0.0.1:1\"; "
	    "protocol = \"tcp\"; upstream = \"x\"; limits = { client = "
	    "\"address\"; }; } );\n"
	    "upstreams = ( { name = \"x\"; endpoints = \"h:1\"; } );\n", "" },
};

static void
bad_limits_are_told(void **state)
{
	(void)state;
	rows_hold(rows, NELEMS(rows));
}

#define BAD "weir.conf:2: upstreams.x.limits"

static const struct row upstream_rows[] = {
	{ ROW_UPSTREAM, "limits = { };", "" },
	{ ROW_UPSTREAM, "limits = { request_rate = \"6000/m\"; };", "" },
	{ ROW_UPSTREAM, "limits = { request_rate = { rate = \"5/s\"; burst = "
	    "1; wait = \"0s\"; shadow = true; }; };", "" },
	{ ROW_UPSTREAM, "limits = { request_rate = { rate = \"5/s\"; wait = "
	    "2; }; };", BAD ".request_rate.wait: 2 has no unit, expected a "
	    "duration such as \"2s\"" },
	{ ROW_UPSTREAM, "limits = { request_rate = { rate = \"5/s\"; wait = "
	    "\"off\"; }; };", BAD ".request_rate.wait: \"off\" is not "
	    "understood, expected a duration such as \"10s\"" },
	{ ROW_UPSTREAM, "limits = { request_rate = { wiat = \"1s\"; }; };",
	    BAD ".request_rate: unknown key \"wiat\", did you mean \"wait\"?\n"
	    BAD ".request_rate.rate: is missing, expected " SUCH },
	{ ROW_UPSTREAM, "limits = { retry_after = \"2s\"; };",
	    BAD ".retry_after: \"2s\" is not understood, expected true or "
	    "false" },
	{ ROW_UPSTREAM, "limits = { connections = 5; };",
	    BAD ": unknown key \"connections\", it belongs to "
	    "listeners[].limits; expected one of request_rate, retry_after" },
	{ ROW_UPSTREAM, "limits = 5;",
	    BAD ": is a number, expected a group: { key = value; ... }" },
	{ ROW_UPSTREAM, "retry_after = true;",
	    "weir.conf:2: upstreams.x: unknown key \"retry_after\", did you "
	    "mean \"limits.retry_after\"?" },
};

static void
bad_limits_of_upstreams_are_told(void **state)
{
	(void)state;
	rows_hold(upstream_rows, NELEMS(upstream_rows));
}

static void
limit_is(const struct conf_limit *l, struct conf_limit expected)
{
	assert_int_equal(l->most, expected.most);
	assert_int_equal(l->per_ms, expected.per_ms);
	assert_int_equal(l->burst, expected.burst);
	assert_int_equal(l->wait_ms, expected.wait_ms);
	assert_int_equal(l->shadow, expected.shadow);
}

/* Each key is at its own place of the table. */
static void
every_limit_is_a_fact(void **state)
{
	struct conf *c = conf_of(ROW_LISTENER, "limits = { connections = 1; "
	    "connections_per_client = { max = 2; shadow = true; }; "
	    "connection_rate = \"300/s\"; connection_rate_per_client = { rate "
	    "= \"4/m\"; }; request_rate = { rate = \"5/h\"; burst = 50; }; "
	    "request_rate_per_client = { shadow = true; burst = 60; rate = "
	    "\"6/s\"; }; bandwidth_per_client = { rate = \"1MiB/s\"; burst = "
	    "\"16KiB\"; }; client = \"header:X-Client.1\"; };");
	const struct conf_limit *l = c->listeners[0].limits;

	(void)state;
	limit_is(&l[CONF_LIMIT_CONNECTIONS], (struct conf_limit){ .most = 1 });
	limit_is(&l[CONF_LIMIT_CONNECTIONS_PER_CLIENT],
	    (struct conf_limit){ .most = 2, .shadow = true });
	limit_is(&l[CONF_LIMIT_CONNECTION_RATE],
	    (struct conf_limit){ 300, 1000, 30, 0, false });
	limit_is(&l[CONF_LIMIT_CONNECTION_RATE_PER_CLIENT],
	    (struct conf_limit){ 4, 60000, 1, 0, false });
	limit_is(&l[CONF_LIMIT_REQUEST_RATE],
	    (struct conf_limit){ 5, 3600000, 50, 0, false });
	limit_is(&l[CONF_LIMIT_REQUEST_RATE_PER_CLIENT],
	    (struct conf_limit){ 6, 1000, 60, 0, true });
	limit_is(&l[CONF_LIMIT_BANDWIDTH_PER_CLIENT],
	    (struct conf_limit){ 1 << 20, 1000, 16384, 0, false });
	assert_string_equal(c->listeners[0].client_header, "X-Client.1");
	conf_free(c);
}

static void
group_without_number_is_off(void **state)
{
	struct conf *c = conf_of(ROW_LISTENER, "limits = { connections = { max "
	    "= \"off\"; shadow = true; }; request_rate = { rate = \"off\"; }; "
	    "};");
	const struct conf_limit *l = c->listeners[0].limits;

	(void)state;
	assert_int_equal(l[CONF_LIMIT_CONNECTIONS].most, CONF_OFF);
	assert_int_equal(l[CONF_LIMIT_REQUEST_RATE].most, CONF_OFF);
	conf_free(c);
}

static struct conf_limit
delay_of(const char *text)
{
	struct conf *c = conf_of(ROW_UPSTREAM, text);
	struct conf_limit limit = c->upstreams[0].request_rate;

	conf_free(c);
	return limit;
}

static void
upstreams_delay_by_default(void **state)
{
	struct conf_limit l = delay_of("");

	(void)state;
	/* Retry-After is sat out for so long, too: it needs no rate. */
	limit_is(&l, (struct conf_limit){ CONF_OFF, 0, 0, 2000, false });
	l = delay_of("limits = { request_rate = { rate = \"off\"; wait = "
	    "\"5s\"; }; };");
	limit_is(&l, (struct conf_limit){ CONF_OFF, 0, 0, 5000, false });
	l = delay_of("limits = { request_rate = \"100/s\"; };");
	limit_is(&l, (struct conf_limit){ 100, 1000, 10, 2000, false });
	l = delay_of("limits = { request_rate = { rate = \"100/s\"; }; };");
	limit_is(&l, (struct conf_limit){ 100, 1000, 10, 2000, false });
	l = delay_of("limits = { request_rate = { rate = \"1/m\"; burst = 3; "
	    "wait = \"0s\"; shadow = true; }; };");
	limit_is(&l, (struct conf_limit){ 1, 60000, 3, 0, true });
}

static void
networks_are_facts(void **state)
{
	struct conf *c = conf_of(ROW_LISTENER, "allow = ( \"10.0.0.0/8\", "
	    "\"::1\" ); deny = \"10.6.6.6\";");
	const struct conf_listener *l = &c->listeners[0];

	(void)state;
	assert_int_equal(l->allow.n, 2);
	assert_int_equal(l->allow.v[0].bits, 8);
	assert_int_equal(l->allow.v[1].bits, 128);
	assert_int_equal(l->deny.n, 1);
	assert_int_equal(l->deny.v[0].bits, 32);
	conf_free(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_limits_are_told),
		cmocka_unit_test(bad_limits_of_upstreams_are_told),
		cmocka_unit_test(every_limit_is_a_fact),
		cmocka_unit_test(group_without_number_is_off),
		cmocka_unit_test(upstreams_delay_by_default),
		cmocka_unit_test(networks_are_facts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
