/*
 * conf/listeners: listeners, their routes, and what ties them to upstreams.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/conf/rows.h"

static const struct row rows[] = {
	{ ROW_FILE,
	    "listeners = ( { } );\n"
	    "upstreams = ( );\n",
	    "weir.conf:1: listeners[0].name: is missing, expected one such "
	    "as \"web\"\n"
	    "weir.conf:1: listeners[0].protocol: is missing, expected one "
	    "such as \"http\"\n"
	    "weir.conf:1: listeners[0].bind: is missing, expected an "
	    "address such as \"127.0.0.1:8080\"\n"
	    "weir.conf:1: listeners[0].upstream: is missing, expected the "
	    "name of an upstream" },
	{ ROW_LISTENER, "listen = 1;",
	    "weir.conf:1: listeners.a: unknown key \"listen\", expected one "
	    "of name, bind, protocol, tls, upstream, routes, limits, allow, "
	    "deny, proxy_protocol, timeouts, max_header, max_headers, "
	    "max_body" },
	{ ROW_LISTENER, "allow = \"10.0.0.0\"; deny = ( \"::1\", "
	    "\"10.0.0.0/8\" );", "" },
	{ ROW_LISTENER, "allow = ( \"10.0.0.1/8\" );",
	    "weir.conf:1: listeners.a.allow: \"10.0.0.1/8\" is not a "
	    "network, expected one such as \"10.0.0.0/8\" or \"::1\", host "
	    "bits zero" },
	{ ROW_LISTENER, "deny = ( \"10.0.0.0/8\", \"localhost\" );",
	    "weir.conf:1: listeners.a.deny: \"localhost\" is not a "
	    "network, expected one such as \"10.0.0.0/8\" or \"::1\", host "
	    "bits zero" },
	{ ROW_LISTENER, "deny = ( );", "" },
	{ ROW_LISTENER, "allow = ( );",
	    "weir.conf:1: listeners.a.allow: is an empty list, expected "
	    "networks such as ( \"10.0.0.0/8\", \"::1\" ), or no allow where "
	    "all may come in" },
	{ ROW_LISTENER, "proxy_protocol = { from = ( \"10.0.0.0/8\", "
	    "\"::1\" ); }; timeouts = { handshake = \"1s\"; };", "" },
	{ ROW_LISTENER, "proxy_protocol = { unix = true; };", "" },
	{ ROW_LISTENER, "proxy_protocol = { };",
	    "weir.conf:1: listeners.a.proxy_protocol.from: names nobody, "
	    "expected the networks of the proxies such as ( \"10.0.0.0/8\" ), "
	    "or unix = true" },
	{ ROW_LISTENER, "proxy_protocol = { from = ( ); unix = false; };",
	    "weir.conf:1: listeners.a.proxy_protocol.from: names nobody, "
	    "expected the networks of the proxies such as ( \"10.0.0.0/8\" ), "
	    "or unix = true" },
	{ ROW_LISTENER, "proxy_protocol = { from = ( \"10.0.0.1/8\" ); };",
	    "weir.conf:1: listeners.a.proxy_protocol.from: \"10.0.0.1/8\" is "
	    "not a network, expected one such as \"10.0.0.0/8\" or \"::1\", "
	    "host bits zero" },
	{ ROW_LISTENER, "proxy_protocol = true;",
	    "weir.conf:1: listeners.a.proxy_protocol: is a bool, "
	    "expected a group: { key = value; ... }" },
	{ ROW_LISTENER, "denny = \"::1\";",
	    "weir.conf:1: listeners.a: unknown key \"denny\", did you mean "
	    "\"deny\"?" },
	{ ROW_LISTENER, "idle = \"5s\";",
	    "weir.conf:1: listeners.a: unknown key \"idle\", did you mean "
	    "\"timeouts.idle\"?" },
	{ ROW_LISTENER, "limits = 5;",
	    "weir.conf:1: listeners.a.limits: is a number, expected a "
	    "group: { key = value; ... }" },
	{ ROW_LISTENER, "limits = { connections = 0; };",
	    "weir.conf:1: listeners.a.limits.connections: 0 is out of "
	    "range, expected 1 to 10000000, or \"off\"" },
	{ ROW_LISTENER, "limits = { connections = \"lots\"; };",
	    "weir.conf:1: listeners.a.limits.connections: \"lots\" is not "
	    "understood, expected a number such as 10 or \"off\"" },
	{ ROW_LISTENER, "limits = { connection = 1; };",
	    "weir.conf:1: listeners.a.limits: unknown key \"connection\", "
	    "did you mean \"connections\"?" },
	{ ROW_LISTENER, "timeouts = { header = \"0s\"; };",
	    "weir.conf:1: listeners.a.timeouts.header: \"0s\" is out of "
	    "range, expected \"1ms\" to \"8760h\", or \"off\"" },
	{ ROW_LISTENER, "timeouts = { idle = 60; };",
	    "weir.conf:1: listeners.a.timeouts.idle: 60 has no unit, "
	    "expected a duration such as \"60s\" or \"off\"" },
	{ ROW_LISTENER, "timeouts = { idel = \"60s\"; };",
	    "weir.conf:1: listeners.a.timeouts: unknown key \"idel\", did "
	    "you mean \"idle\"?" },
	{ ROW_LISTENER, "max_header = 32768;",
	    "weir.conf:1: listeners.a.max_header: 32768 has no unit, "
	    "expected a size such as \"32768B\"" },
	{ ROW_LISTENER, "max_header = \"1MiB\";",
	    "weir.conf:1: listeners.a.max_header: \"1MiB\" is out of range, "
	    "expected \"256B\" to \"60KiB\"" },
	{ ROW_LISTENER, "max_header = \"32KB\";",
	    "weir.conf:1: listeners.a.max_header: \"32KB\" is not "
	    "understood, expected a size such as \"16KiB\"" },
	{ ROW_LISTENER, "max_headers = 1000;",
	    "weir.conf:1: listeners.a.max_headers: 1000 is out of range, "
	    "expected 1 to 256" },
	{ ROW_LISTENER, "max_body = \"1\";",
	    "weir.conf:1: listeners.a.max_body: 1 has no unit, expected a "
	    "size such as \"1B\" or \"off\"" },
	{ ROW_LISTENER, "max_body = \"9999999999GiB\";",
	    "weir.conf:1: listeners.a.max_body: \"9999999999GiB\" is out of "
	    "range, expected \"0B\" to \"1024GiB\", or \"off\"" },
	{ ROW_LISTENER, "http = { forwarded = \"apend\"; };",
	    "weir.conf:1: listeners.a.http.forwarded: unknown \"apend\", "
	    "did you mean \"append\"? Expected \"append\", \"replace\" or "
	    "\"off\"" },
	{ ROW_LISTENER, "http = { trace = 1; };",
	    "weir.conf:1: listeners.a.http.trace: is a number, expected "
	    "true or false" },
	{ ROW_LISTENER, "http = { trace = \"yes\"; };",
	    "weir.conf:1: listeners.a.http.trace: \"yes\" is not "
	    "understood, expected true or false" },
	{ ROW_LISTENER, "http = { trusted = \"10.0.0.1/8\"; };",
	    "weir.conf:1: listeners.a.http.trusted: \"10.0.0.1/8\" is not a "
	    "network, expected one such as \"10.0.0.0/8\" or \"::1\", host "
	    "bits zero" },
	{ ROW_LISTENER, "http = { trusted = ( \"10.0.0.0/8\", \"x\" ); };",
	    "weir.conf:1: listeners.a.http.trusted: \"x\" is not a network, "
	    "expected one such as \"10.0.0.0/8\" or \"::1\", host bits zero" },
	{ ROW_LISTENER, "http = { trust = ( ); };",
	    "weir.conf:1: listeners.a.http: unknown key \"trust\", expected "
	    "one of forwarded, trace, trusted" },
	{ ROW_LISTENER, "http = 5;",
	    "weir.conf:1: listeners.a.http: is a number, expected a group: "
	    "{ key = value; ... }" },
	{ ROW_LISTENER, "tcp = { };",
	    "weir.conf:1: listeners.a.tcp: is for protocol tcp, expected a "
	    "group named http" },
	{ ROW_FILE,
	    "listeners = ( { name = \"a\"; bind = \"127.0.0.1:8080\"; "
	    "protocol = \"htpp\"; upstream = \"x\";  } );\n"
	    "upstreams = ( { name = \"x\"; endpoints = ( \"127.0.0.1:3000\" "
	    ");  } );\n",
	    "weir.conf:1: listeners.a.protocol: unknown protocol \"htpp\", "
	    "did you mean \"http\"?" },
	{ ROW_FILE,
	    "listeners = ( { name = \"a\"; bind = \"127.0.0.1:8080\"; "
	    "protocol = \"smtp\"; upstream = \"x\";  } );\n"
	    "upstreams = ( { name = \"x\"; endpoints = ( \"127.0.0.1:3000\" "
	    ");  } );\n",
	    "weir.conf:1: listeners.a.protocol: unknown protocol \"smtp\", "
	    "expected one of http, tcp" },
	{ ROW_FILE,
	    "listeners = ( { name = \"a\"; bind = \"127.0.0.1:8080\"; "
	    "protocol = 5; upstream = \"x\";  } );\n"
	    "upstreams = ( { name = \"x\"; endpoints = ( \"127.0.0.1:3000\" "
	    ");  } );\n",
	    "weir.conf:1: listeners.a.protocol: is a number, expected text "
	    "in quotes" },
	{ ROW_FILE,
	    "listeners = ( { name = \"a b\"; bind = \"127.0.0.1:8080\"; "
	    "protocol = \"http\"; upstream = \"x\";  } );\n"
	    "upstreams = ( { name = \"x\"; endpoints = ( \"127.0.0.1:3000\" "
	    ");  } );\n",
	    "weir.conf:1: listeners[0].name: \"a b\" is no good name, "
	    "expected 1 to 63 letters, digits, \"_\", \".\" and \"-\"" },
	{ ROW_FILE,
	    "listeners = ( { name = \"\"; bind = \"127.0.0.1:8080\"; "
	    "protocol = \"http\"; upstream = \"x\";  } );\n"
	    "upstreams = ( { name = \"x\"; endpoints = ( \"127.0.0.1:3000\" "
	    ");  } );\n",
	    "weir.conf:1: listeners[0].name: \"\" is no good name, expected "
	    "1 to 63 letters, digits, \"_\", \".\" and \"-\"" },
	{ ROW_FILE,
	    "listeners = ( { name = \"a\"; bind = \"127.0.0.1:8080\"; "
	    "protocol = \"http\"; upstream = \"y\";  } );\n"
	    "upstreams = ( { name = \"x\"; endpoints = ( \"127.0.0.1:3000\" "
	    ");  } );\n",
	    "weir.conf:1: listeners.a.upstream: unknown upstream \"y\", "
	    "expected one of x" },
	{ ROW_FILE,
	    "listeners = ( { name = \"a\"; bind = \"127.0.0.1:8080\"; "
	    "protocol = \"http\"; upstream = \"backend\";  } );\n"
	    "upstreams = ( { name = \"backends\"; endpoints = \"h:1\"; "
	    "protocol = \"tcp\"; } );\n",
	    "weir.conf:1: listeners.a.upstream: unknown upstream "
	    "\"backend\", did you mean \"backends\"?" },
	{ ROW_FILE,
	    "listeners = ( { name = \"a\"; bind = \"127.0.0.1:8080\"; "
	    "protocol = \"http\";  } );\n"
	    "upstreams = ( { name = \"x\"; endpoints = ( \"127.0.0.1:3000\" "
	    ");  } );\n",
	    "weir.conf:1: listeners.a.upstream: is missing, expected the "
	    "name of an upstream, or routes" },
	{ ROW_FILE,
	    "listeners = ( { name = \"a\"; bind = \"127.0.0.1:8080\"; "
	    "protocol = \"tcp\";  } );\n"
	    "upstreams = ( { name = \"x\"; endpoints = ( \"127.0.0.1:3000\" "
	    ");  } );\n",
	    "weir.conf:1: listeners.a.upstream: is missing, expected the "
	    "name of an upstream" },
	{ ROW_FILE,
	    "listeners = ( { name = \"a\"; bind = \"127.0.0.1:8080\"; "
	    "protocol = \"http\";  } );\n",
	    "weir.conf:1: listeners.a.upstream: is missing, expected the "
	    "name of an upstream, or routes" },
	{ ROW_FILE,
	    "listeners = ( { name = \"a\"; bind = \"127.0.0.1:8080\"; "
	    "protocol = \"http\"; upstream = \"x\";  } );\n",
	    "weir.conf:1: listeners.a.upstream: unknown upstream \"x\", "
	    "expected it in upstreams = ( ... )" },
	{ ROW_FILE,
	    "listeners = (\n"
	    "  { name = \"a\"; bind = \"127.0.0.1:1\"; protocol = \"http\"; "
	    "upstream = \"x\"; },\n"
	    "  { name = \"a\"; bind = \"127.0.0.1:2\"; protocol = \"http\"; "
	    "upstream = \"x\"; } );\n"
	    "upstreams = ( { name = \"x\"; endpoints = ( \"127.0.0.1:3000\" "
	    ");  } );\n",
	    "weir.conf:3: listeners[1].name: \"a\" is the name of the "
	    "listener on line 2 too, expected another" },
	{ ROW_FILE,
	    "listeners = (\n"
	    "  { name = \"a\"; bind = \"127.0.0.1:1\"; protocol = \"http\"; "
	    "upstream = \"x\"; },\n"
	    "  { name = \"b\"; bind = \"127.0.0.1:1\"; protocol = \"http\"; "
	    "upstream = \"x\"; } );\n"
	    "upstreams = ( { name = \"x\"; endpoints = ( \"127.0.0.1:3000\" "
	    ");  } );\n",
	    "weir.conf:3: listeners.b.bind: \"127.0.0.1:1\" is taken by "
	    "listeners.a.bind (line 2), expected another address" },
	{ ROW_FILE,
	    "listeners = (\n"
	    "  { name = \"a\"; bind = \"127.0.0.1:1\"; protocol = \"http\"; "
	    "upstream = \"x\"; },\n"
	    "  { name = \"b\"; bind = \"127.0.0.1:2\"; protocol = \"tcp\"; "
	    "upstream = \"x\"; } );\n"
	    "upstreams = ( { name = \"x\"; endpoints = ( \"127.0.0.1:3000\" "
	    ");  } );\n",
	    "weir.conf:3: listeners.b.upstream: upstream \"x\" speaks http "
	    "(by listeners.a.upstream) and this listener tcp, expected one "
	    "protocol" },
};

static void
bad_listeners_are_told(void **state)
{
	(void)state;
	rows_hold(rows, NELEMS(rows));
}

static const struct row route_rows[] = {
	{ ROW_FILE,
	    "listeners = ( { name = \"a\"; bind = \"127.0.0.1:8080\"; "
	    "protocol = \"http\"; routes = ( ); } );\n"
	    "upstreams = ( { name = \"x\"; endpoints = ( \"127.0.0.1:3000\" "
	    ");  } );\n",
	    "weir.conf:1: listeners.a.routes: is an empty list, expected a "
	    "route, or upstream = \"NAME\"" },
	{ ROW_ROUTES, "( )",
	    "" },
	{ ROW_ROUTES, "5",
	    "weir.conf:1: listeners.a.routes: is a number, expected a list: "
	    "( ... )" },
	{ ROW_ROUTES, "( 5 )",
	    "weir.conf:1: listeners.a.routes[0]: is a number, expected a "
	    "group: { key = value; ... }" },
	{ ROW_ROUTES, "( { } )",
	    "weir.conf:1: listeners.a.routes[0].upstream: is missing, "
	    "expected the name of an upstream" },
	{ ROW_ROUTES, "( { upstream = \"z\"; } )",
	    "weir.conf:1: listeners.a.routes[0].upstream: unknown upstream "
	    "\"z\", expected one of x" },
	{ ROW_ROUTES, "( { host = \"a:80\"; upstream = \"x\"; } )",
	    "weir.conf:1: listeners.a.routes[0].host: \"a:80\" is no host, "
	    "expected one such as \"api.example.com\" or \"*.example.com\", "
	    "without port" },
	{ ROW_ROUTES, "( { host = \"*.*.x\"; upstream = \"x\"; } )",
	    "weir.conf:1: listeners.a.routes[0].host: \"*.*.x\" is no host, "
	    "expected one such as \"api.example.com\" or \"*.example.com\", "
	    "without port" },
	{ ROW_ROUTES, "( { host = \"*.10.0.0.1\"; upstream = \"x\"; } )",
	    "weir.conf:1: listeners.a.routes[0].host: \"*.10.0.0.1\" is no "
	    "host, expected one such as \"api.example.com\" or "
	    "\"*.example.com\", without port" },
	{ ROW_ROUTES, "( { host = \"\"; upstream = \"x\"; } )",
	    "weir.conf:1: listeners.a.routes[0].host: \"\" is no host, "
	    "expected one such as \"api.example.com\" or \"*.example.com\", "
	    "without port" },
	{ ROW_ROUTES, "( { path = \"x\"; upstream = \"x\"; } )",
	    "weir.conf:1: listeners.a.routes[0].path: \"x\" is no path, "
	    "expected one such as \"/static/\"" },
	{ ROW_ROUTES, "( { path = \"/x?y\"; upstream = \"x\"; } )",
	    "weir.conf:1: listeners.a.routes[0].path: \"/x?y\" is no path, "
	    "expected one such as \"/static/\"" },
	{ ROW_ROUTES, "( { pth = \"/\"; upstream = \"x\"; } )",
	    "weir.conf:1: listeners.a.routes[0]: unknown key \"pth\", did "
	    "you mean \"path\"?" },
	{ ROW_ROUTES, "( { sni = \"a\"; upstream = \"x\"; } )",
	    "weir.conf:1: listeners.a.routes[0].sni: is not for protocol "
	    "http, expected upstream, host, path, retry" },
	{ ROW_ROUTES, "( { host = \"a\"; alpn = \"h2\";\n upstream = \"x\"; "
	    "} )",
	    "weir.conf:1: listeners.a.routes[0].alpn: is not for protocol "
	    "http, expected upstream, host, path, retry" },
	{ ROW_ROUTES,
	    "( { host = \"A.b\"; path = \"/\"; upstream = \"x\"; },\n"
	    "  { host = \"a.B\"; path = \"/\"; upstream = \"x\"; } )",
	    "weir.conf:2: listeners.a.routes[1]: has the host and path of "
	    "line 1, expected each pair once" },
	{ ROW_ROUTES,
	    "( { upstream = \"x\"; },\n"
	    "  { host = \"*\"; upstream = \"x\"; } )",
	    "weir.conf:2: listeners.a.routes[1]: has the host and path of "
	    "line 1, expected each pair once" },
	{ ROW_FILE,
	    "listeners = ( { name = \"a\"; bind = \"127.0.0.1:8080\"; "
	    "protocol = \"tcp\"; upstream = \"x\"; routes = ( { upstream = "
	    "\"x\"; } ); } );\n"
	    "upstreams = ( { name = \"x\"; endpoints = ( \"127.0.0.1:3000\" "
	    ");  } );\n",
	    "weir.conf:1: listeners.a.routes: protocol tcp has none, "
	    "expected upstream = \"NAME\"" },
};

static void
bad_routes_are_told(void **state)
{
	(void)state;
	rows_hold(route_rows, NELEMS(route_rows));
}

static void
listeners_have_defaults_of_their_protocol(void **state)
{
	struct conf *c = conf_of(ROW_FILE, "listeners = (\n"
	    "{ name = \"a\"; bind = \"127.0.0.1:1\"; protocol = \"http\"; "
	    "upstream = \"x\"; },\n"
	    "{ name = \"b\"; bind = \"127.0.0.1:2\"; protocol = \"tcp\"; "
	    "upstream = \"y\"; } );\n"
	    "upstreams = ( { name = \"x\"; endpoints = \"h:1\"; },\n"
	    "{ name = \"y\"; endpoints = \"h:1\"; } );\n");
	const struct conf_listener *a = conf_listener_find(c, "a");
	const struct conf_listener *b = conf_listener_find(c, "b");

	(void)state;
	assert_ptr_equal(a->proto, &fake_http);
	assert_int_equal(a->timeouts.idle_ms, 60000);
	assert_int_equal(a->timeouts.header_ms, 10000);
	assert_int_equal(a->timeouts.body_ms, 30000);
	for (int i = 0; i < CONF_N_LIMITS; i++)
		assert_int_equal(a->limits[i].most, CONF_OFF);
	assert_null(a->client_header);
	assert_int_equal(a->allow.n, 0);
	assert_int_equal(a->deny.n, 0);
	assert_int_equal(a->max_header_bytes, 32768);
	assert_int_equal(a->max_headers, 100);
	assert_int_equal(a->max_body_bytes, CONF_OFF);
	assert_int_equal(a->line, 2);
	assert_ptr_equal(b->proto, &fake_tcp);
	assert_int_equal(b->timeouts.idle_ms, CONF_OFF);
	assert_null(b->own);
	assert_ptr_equal(b->upstream, conf_upstream_find(c, "y"));
	assert_null(conf_listener_find(c, "x"));
	assert_null(conf_upstream_find(c, "a"));
	conf_free(c);
}

/* In the file the other way round, and names in any case. */
static void
most_specific_route_comes_first(void **state)
{
	static const char *const expected[][2] = {
		{ "api.example.com", "/v2" }, { "api.example.com", "" },
		{ "[::1]", "" }, { "*.api.example.com", "" },
		{ "*.example.com", "/long" }, { "*.example.com", "" },
		{ "", "/static/big/" }, { "", "/static/" }, { "", "/" },
		{ "", "" },
	};
	struct conf *c = conf_of(ROW_ROUTES, "( { upstream = \"x\"; },\n"
	    "{ path = \"/\"; upstream = \"x\"; },\n"
	    "{ path = \"/static/\"; upstream = \"x\"; },\n"
	    "{ path = \"/static/big/\"; upstream = \"x\"; },\n"
	    "{ host = \"*.Example.com\"; upstream = \"x\"; },\n"
	    "{ host = \"*.example.com\"; path = \"/long\"; upstream = \"x\"; "
	    "},\n"
	    "{ host = \"*.api.example.com\"; upstream = \"x\"; },\n"
	    "{ host = \"API.example.com\"; upstream = \"x\"; },\n"
	    "{ host = \"[::1]\"; upstream = \"x\"; },\n"
	    "{ host = \"api.example.com\"; path = \"/v2\"; upstream = \"x\"; "
	    "} )");
	const struct conf_listener *l = &c->listeners[0];

	(void)state;
	assert_int_equal(l->n_routes, NELEMS(expected));
	for (size_t i = 0; i < l->n_routes; i++) {
		const struct conf_route *r = &l->routes[i];

		assert_string_equal(r->host == NULL ? "" : r->host,
		    expected[i][0]);
		assert_string_equal(r->path == NULL ? "" : r->path,
		    expected[i][1]);
		assert_ptr_equal(r->upstream, &c->upstreams[0]);
	}
	conf_free(c);
}

static void
routes_alone_are_enough(void **state)
{
	struct conf *c = conf_of(ROW_FILE, "listeners = ( { name = \"a\"; "
	    "bind = \"127.0.0.1:1\"; protocol = \"http\"; routes = ( { host = "
	    "\"*\"; upstream = \"x\"; } ); } );\n"
	    "upstreams = ( { name = \"x\"; endpoints = \"h:1\"; } );\n");

	(void)state;
	assert_null(c->listeners[0].upstream);
	assert_null(c->listeners[0].routes[0].host);
	assert_ptr_equal(c->upstreams[0].proto, &fake_http);
	conf_free(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_listeners_are_told),
		cmocka_unit_test(bad_routes_are_told),
		cmocka_unit_test(listeners_have_defaults_of_their_protocol),
		cmocka_unit_test(most_specific_route_comes_first),
		cmocka_unit_test(routes_alone_are_enough),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
