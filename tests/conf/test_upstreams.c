/*
 * conf/upstreams: endpoints, pools, and whose protocol an upstream speaks.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/conf/rows.h"

static const struct row rows[] = {
	{ ROW_UPSTREAM, "pools = { };",
	    "weir.conf:2: upstreams.x: unknown key \"pools\", did you mean "
	    "\"pool\"?" },
	{ ROW_UPSTREAM, "max = 5;",
	    "weir.conf:2: upstreams.x: unknown key \"max\", did you mean "
	    "\"pool.max\"?" },
	{ ROW_UPSTREAM, "balance = \"least_con\";",
	    "weir.conf:2: upstreams.x.balance: unknown \"least_con\", did "
	    "you mean \"least_conn\"? Expected \"round_robin\", "
	    "\"least_conn\", \"random_two\", \"source_hash\" or "
	    "\"key_hash\"" },
	{ ROW_UPSTREAM, "balance = \"ip_hash\";",
	    "weir.conf:2: upstreams.x.balance: unknown \"ip_hash\", "
	    "expected \"round_robin\", \"least_conn\", \"random_two\", "
	    "\"source_hash\" or \"key_hash\"" },
	{ ROW_UPSTREAM, "balance = \"key_hash\";", "" },
	{ ROW_UPSTREAM, "balance = \"key_hash\"; key_hash = { function = "
	    "\"murmur\"; ring = \"modula\"; tag = \"{}\"; on_down = "
	    "\"rehash\"; };", "" },
	{ ROW_UPSTREAM, "send_proxy_protocol = \"v1\";", "" },
	{ ROW_UPSTREAM, "send_proxy_protocol = \"v3\";",
	    "weir.conf:2: upstreams.x.send_proxy_protocol: unknown \"v3\", "
	    "did you mean \"v1\"? Expected \"off\", \"v1\" or \"v2\"" },
	{ ROW_UPSTREAM, "key_hash = { };",
	    "weir.conf:2: upstreams.x.key_hash: only balance = \"key_hash\" "
	    "looks at keys, expected that too or no such group" },
	{ ROW_UPSTREAM, "balance = \"source_hash\"; key_hash = { ring = "
	    "\"modula\"; };",
	    "weir.conf:2: upstreams.x.key_hash: only balance = \"key_hash\" "
	    "looks at keys, expected that too or no such group" },
	{ ROW_UPSTREAM, "balance = \"key_hash\"; key_hash = { function = "
	    "\"murmer\"; };",
	    "weir.conf:2: upstreams.x.key_hash.function: unknown \"murmer\", "
	    "did you mean \"murmur\"? Expected \"one_at_a_time\", "
	    "\"md5\", \"crc16\", \"crc32\", \"crc32a\", \"fnv1_64\", "
	    "\"fnv1a_64\", \"fnv1_32\", \"fnv1a_32\", \"hsieh\", "
	    "\"murmur\" or \"jenkins\"" },
	{ ROW_UPSTREAM, "balance = \"key_hash\"; key_hash = { ring = "
	    "\"ketma\"; };",
	    "weir.conf:2: upstreams.x.key_hash.ring: unknown \"ketma\", did "
	    "you mean \"ketama\"? Expected \"ketama\", \"modula\" or "
	    "\"random\"" },
	{ ROW_UPSTREAM, "balance = \"key_hash\"; key_hash = { tag = \"{\"; "
	    "};",
	    "weir.conf:2: upstreams.x.key_hash.tag: \"{\": no tag, expected "
	    "two characters such as \"{}\", or none" },
	{ ROW_UPSTREAM, "balance = \"key_hash\"; key_hash = { tag = "
	    "\"{ }\"; };",
	    "weir.conf:2: upstreams.x.key_hash.tag: \"{ }\": no tag, expected "
	    "two characters such as \"{}\", or none" },
	{ ROW_UPSTREAM, "balance = \"key_hash\"; key_hash = { tag = "
	    "\"\xc3\xa9\"; };",
	    "weir.conf:2: upstreams.x.key_hash.tag: \"\xc3\xa9\": no tag, "
	    "expected two characters such as \"{}\", or none" },
	{ ROW_UPSTREAM, "balance = \"key_hash\"; key_hash = { on_down = "
	    "\"move\"; };",
	    "weir.conf:2: upstreams.x.key_hash.on_down: unknown \"move\", "
	    "expected \"fail\" or \"rehash\"" },
	{ ROW_UPSTREAM, "balance = \"key_hash\"; key_hash = { hash_tag = "
	    "\"{}\"; };",
	    "weir.conf:2: upstreams.x.key_hash: unknown key \"hash_tag\", "
	    "expected one of function, ring, tag, on_down" },
	{ ROW_FILE, "listeners = ( { name = \"a\"; bind = \"127.0.0.1:1\"; "
	    "protocol = \"tcp\"; upstream = \"x\"; } );\n"
	    "upstreams = ( { name = \"x\"; endpoints = \"h:1\";\n"
	    "balance = \"key_hash\"; } );\n",
	    "weir.conf:3: upstreams.x.balance: protocol tcp has no keys, "
	    "expected another than \"key_hash\"" },
	{ ROW_FILE, "listeners = ( { name = \"a\"; bind = \"127.0.0.1:1\"; "
	    "protocol = \"tcp\"; upstream = \"x\"; } );\n"
	    "upstreams = ( { name = \"x\"; endpoints = \"h:1\"; pool = {\n"
	    "max_per_user = 5; max_per_database = \"off\"; }; } );\n",
	    "weir.conf:3: upstreams.x.pool.max_per_user: protocol tcp does not "
	    "tell users and databases apart, expected \"off\" or no such "
	    "key" },
	{ ROW_FILE, "listeners = ( { name = \"a\"; bind = \"127.0.0.1:1\"; "
	    "protocol = \"http\"; upstream = \"x\"; } );\n"
	    "upstreams = ( { name = \"x\"; balance = \"key_hash\"; "
	    "endpoints = ( \"h:1\",\n"
	    "{ address = \"h:2\"; backup = true; } ); } );\n",
	    "weir.conf:3: upstreams.x.endpoints: h:2 is a backup, which never "
	    "has a key while those of an endpoint that is down fail, expected "
	    "none or key_hash.on_down = \"rehash\"" },
	{ ROW_FILE, "listeners = ( { name = \"a\"; bind = \"127.0.0.1:1\"; "
	    "protocol = \"http\"; upstream = \"x\"; } );\n"
	    "upstreams = ( { name = \"x\"; balance = \"key_hash\"; "
	    "key_hash = { on_down = \"rehash\"; }; endpoints = ( \"h:1\", "
	    "{ address = \"h:2\"; backup = true; } ); } );\n", "" },
	{ ROW_UPSTREAM, "ready = \"never\";",
	    "weir.conf:2: upstreams.x.ready: unknown \"never\", expected "
	    "\"start\", \"always\" or \"ignore\"" },
	{ ROW_UPSTREAM, "pool = 5;",
	    "weir.conf:2: upstreams.x.pool: is a number, expected a group: "
	    "{ key = value; ... }" },
	{ ROW_UPSTREAM, "pool = { idle_timeuot = \"60s\"; };",
	    "weir.conf:2: upstreams.x.pool: unknown key \"idle_timeuot\", "
	    "did you mean \"idle_timeout\"?" },
	{ ROW_UPSTREAM, "pool = { max = 0; };",
	    "weir.conf:2: upstreams.x.pool.max: 0 is out of range, expected "
	    "1 to 1000000" },
	{ ROW_UPSTREAM, "pool = { max = \"off\"; };",
	    "weir.conf:2: upstreams.x.pool.max: \"off\" is not understood, "
	    "expected a number such as 10" },
	{ ROW_UPSTREAM, "pool = { mode = \"transaction\"; };",
	    "weir.conf:2: upstreams.x.pool.mode: protocol http cannot "
	    "honour \"transaction\", expected \"session\" or \"request\"" },
	{ ROW_UPSTREAM, "pool = { mode = \"shard\"; };",
	    "weir.conf:2: upstreams.x.pool.mode: unknown \"shard\", did you "
	    "mean \"shared\"? Expected \"session\", \"transaction\", "
	    "\"request\" or \"shared\"" },
	{ ROW_UPSTREAM, "pool = { max = 4; min_idle = 5; };",
	    "weir.conf:2: upstreams.x.pool.min_idle: 5 is more than max, "
	    "expected at most 4" },
	{ ROW_UPSTREAM, "pool = { max_idle = 4; min_idle = 5; };",
	    "weir.conf:2: upstreams.x.pool.min_idle: 5 is more than "
	    "max_idle, expected at most 4" },
	{ ROW_UPSTREAM, "pool = { max = 4; max_idle = 5; };",
	    "weir.conf:2: upstreams.x.pool.max_idle: 5 is more than max, "
	    "expected at most 4" },
	{ ROW_UPSTREAM, "pool = { max_lifetime = 10; };",
	    "weir.conf:2: upstreams.x.pool.max_lifetime: 10 has no unit, "
	    "expected a duration such as \"10s\" or \"off\"" },
	{ ROW_UPSTREAM, "pool = { tcp_keepalive = \"10ms\"; };",
	    "weir.conf:2: upstreams.x.pool.tcp_keepalive: \"10ms\" is out "
	    "of range, expected \"1s\" to \"32767s\", or \"off\"" },
	{ ROW_UPSTREAM, "pool = { max_requests = \"1e6\"; };",
	    "weir.conf:2: upstreams.x.pool.max_requests: \"1e6\" is not "
	    "understood, expected a number such as 10" },
	{ ROW_UPSTREAM, "timeouts = { connect = \"off\"; };",
	    "weir.conf:2: upstreams.x.timeouts.connect: \"off\" is not "
	    "understood, expected a duration such as \"10s\"" },
	{ ROW_UPSTREAM, "timeouts = { conect = \"1s\"; };",
	    "weir.conf:2: upstreams.x.timeouts: unknown key \"conect\", did "
	    "you mean \"connect\"?" },
	{ ROW_UPSTREAM, "timeouts = 5;",
	    "weir.conf:2: upstreams.x.timeouts: is a number, expected a "
	    "group: { key = value; ... }" },
	{ ROW_UPSTREAM, "http = { host = \"a/b\"; };",
	    "weir.conf:2: upstreams.x.http.host: \"a/b\": a host has no "
	    "\"/\", expected \"keep\" or a name" },
	{ ROW_UPSTREAM, "http = { set_headers = ( ); };",
	    "weir.conf:2: upstreams.x.http.set_headers: is a list, expected "
	    "a group: { key = value; ... }" },
	{ ROW_UPSTREAM, "http = { set_headers = { X-A = 5; }; };",
	    "weir.conf:2: upstreams.x.http.set_headers.X-A: is a number, "
	    "expected text in quotes" },
	{ ROW_UPSTREAM, "http = { set_headers = { X-A = \"a\\nb\"; }; };",
	    "weir.conf:2: upstreams.x.http.set_headers.X-A: holds a control "
	    "character, expected none in a field" },
	{ ROW_UPSTREAM, "http = { remove_headers = ( 5, \"X\" ); };",
	    "weir.conf:2: upstreams.x.http.remove_headers: is a number, "
	    "expected text in quotes" },
	{ ROW_UPSTREAM, "http = { share_max = 5; };",
	    "weir.conf:2: upstreams.x.http.share_max: 5 has no unit, "
	    "expected a size such as \"16KiB\"" },
	{ ROW_UPSTREAM, "http = { share_max = 65536; };",
	    "weir.conf:2: upstreams.x.http.share_max: 65536 has no unit, "
	    "expected a size such as \"65536B\"" },
	{ ROW_UPSTREAM, "tcp = { };",
	    "weir.conf:2: upstreams.x.tcp: is for protocol tcp, expected a "
	    "group named http" },
	{ ROW_UPSTREAM, "smtp = { };",
	    "weir.conf:2: upstreams.x: unknown key \"smtp\", expected one "
	    "of name, protocol, endpoints, tls, balance, key_hash, "
	    "send_proxy_protocol, pool, timeouts, retry, health, outlier, "
	    "when_all_down, slow_start, limits, "
	    "ready" },
	{ ROW_UPSTREAM, "protocol = \"tcp\";",
	    "weir.conf:1: listeners.a.upstream: upstream \"x\" speaks tcp "
	    "(by its own key protocol) and this listener http, expected one "
	    "protocol" },
	{ ROW_UPSTREAM, "protocol = \"tpc\";",
	    "weir.conf:2: upstreams.x.protocol: unknown protocol \"tpc\", "
	    "did you mean \"tcp\"?" },
	{ ROW_FILE,
	    "listeners = ( { name = \"a\"; bind = \"127.0.0.1:8080\"; "
	    "protocol = \"http\"; upstream = \"x\";  } );\n"
	    "upstreams = ( { } );\n",
	    "weir.conf:1: listeners.a.upstream: unknown upstream \"x\", "
	    "expected it in upstreams = ( ... )\n"
	    "weir.conf:2: upstreams[0].name: is missing, expected one such "
	    "as \"app\"\n"
	    "weir.conf:2: upstreams[0].endpoints: there are none, expected "
	    "at least one such as ( \"127.0.0.1:3000\" )" },
	{ ROW_FILE,
	    "listeners = ( { name = \"a\"; bind = \"127.0.0.1:8080\"; "
	    "protocol = \"http\"; upstream = \"x\";  } );\n"
	    "upstreams = ( { name = \"x\"; } );\n",
	    "weir.conf:2: upstreams.x.endpoints: there are none, expected "
	    "at least one such as ( \"127.0.0.1:3000\" )" },
	{ ROW_FILE,
	    "listeners = ( { name = \"a\"; bind = \"127.0.0.1:8080\"; "
	    "protocol = \"http\"; upstream = \"x\";  } );\n"
	    "upstreams = ( 5 );\n",
	    "weir.conf:1: listeners.a.upstream: unknown upstream \"x\", "
	    "expected it in upstreams = ( ... )\n"
	    "weir.conf:2: upstreams[0]: is a number, expected a group: { "
	    "key = value; ... }" },
	{ ROW_FILE,
	    "listeners = ( { name = \"a\"; bind = \"127.0.0.1:8080\"; "
	    "protocol = \"http\"; upstream = \"x\";  } );\n"
	    "upstreams = ( { name = \"x\"; endpoints = \"h:1\"; },\n"
	    "  { name = \"x\"; endpoints = \"h:2\"; } );\n",
	    "weir.conf:3: upstreams[1].name: \"x\" is the name of the "
	    "upstream on line 2 too, expected another" },
	{ ROW_FILE,
	    "listeners = ( { name = \"a\"; bind = \"127.0.0.1:8080\"; "
	    "protocol = \"tcp\"; upstream = \"x\";  } );\n"
	    "upstreams = ( { name = \"x\"; endpoints = \"h:1\"; pool = { "
	    "mode = \"request\"; }; } );\n",
	    "weir.conf:2: upstreams.x.pool.mode: protocol tcp cannot honour "
	    "\"request\", expected \"session\"" },
};

static void
bad_upstreams_are_told(void **state)
{
	(void)state;
	rows_hold(rows, NELEMS(rows));
}

static const struct row endpoint_rows[] = {
	{ ROW_ENDPOINTS, "( )",
	    "weir.conf:2: upstreams.x.endpoints: there are none, expected "
	    "at least one such as ( \"127.0.0.1:3000\" )" },
	{ ROW_ENDPOINTS, "5",
	    "weir.conf:2: upstreams.x.endpoints[0]: is a number, expected "
	    "text in quotes" },
	{ ROW_ENDPOINTS, "( 5 )",
	    "weir.conf:2: upstreams.x.endpoints[0]: is a number, expected "
	    "text in quotes" },
	{ ROW_ENDPOINTS, "\"h\"",
	    "weir.conf:2: upstreams.x.endpoints[0]: \"h\" is no address: "
	    "the port is missing, expected \"host:port\", \"[v6]:port\" or "
	    "\"unix:/path\"" },
	{ ROW_ENDPOINTS, "( \"h:1\", \"h:70000\" )",
	    "weir.conf:2: upstreams.x.endpoints[1]: port 70000 is out of "
	    "range, expected 1 to 65535" },
	{ ROW_ENDPOINTS, "( \"h:1\", \"h:1\" )",
	    "weir.conf:2: upstreams.x.endpoints[1]: \"h:1\" is the name of "
	    "the endpoint on line 2 too, expected another" },
	{ ROW_ENDPOINTS, "{ }",
	    "weir.conf:2: upstreams.x.endpoints[0]: has no address, "
	    "expected address = \"host:port\" or srv = "
	    "\"_service._tcp.name\"" },
	{ ROW_ENDPOINTS, "{ address = \"h:1\"; srv = \"_a._tcp.b\"; }",
	    "weir.conf:2: upstreams.x.endpoints[0]: has an address and srv, "
	    "expected address = \"host:port\" or srv = "
	    "\"_service._tcp.name\"" },
	{ ROW_ENDPOINTS, "{ srv = \"a\"; }",
	    "weir.conf:2: upstreams.x.endpoints[0].srv: \"a\" is no SRV "
	    "name, expected one such as \"_http._tcp.app.svc\"" },
	{ ROW_ENDPOINTS, "{ srv = \"_a._tcp.\"; }",
	    "weir.conf:2: upstreams.x.endpoints[0].srv: \"_a._tcp.\" is no "
	    "SRV name, expected one such as \"_http._tcp.app.svc\"" },
	{ ROW_ENDPOINTS, "{ address = \"h:x\"; }",
	    "weir.conf:2: upstreams.x.endpoints[0].address: port x is not a "
	    "number, expected 1 to 65535" },
	{ ROW_ENDPOINTS,
	    "( { name = \"n\"; address = \"h:1\"; }, { name = \"n\"; "
	    "address = \"h:2\"; } )",
	    "weir.conf:2: upstreams.x.endpoints[1]: \"n\" is the name of "
	    "the endpoint on line 2 too, expected another" },
	{ ROW_ENDPOINTS, "{ name = \"a b\"; address = \"h:1\"; }",
	    "weir.conf:2: upstreams.x.endpoints[0].name: \"a b\" is no good "
	    "name, expected letters, digits and signs without spaces" },
	{ ROW_ENDPOINTS, "{ address = \"h:1\"; weight = 0; }",
	    "weir.conf:2: upstreams.x.endpoints[0].weight: 0 is out of "
	    "range, expected 1 to 1000" },
	{ ROW_ENDPOINTS, "{ address = \"h:1\"; weight = 1001; }",
	    "weir.conf:2: upstreams.x.endpoints[0].weight: 1001 is out of "
	    "range, expected 1 to 1000" },
	{ ROW_ENDPOINTS, "{ address = \"h:1\"; max = 0; }",
	    "weir.conf:2: upstreams.x.endpoints[0].max: 0 is out of range, "
	    "expected 1 to 1000000, or \"off\"" },
	{ ROW_ENDPOINTS, "{ address = \"h:1\"; backup = 1; }",
	    "weir.conf:2: upstreams.x.endpoints[0].backup: is a number, "
	    "expected true or false" },
	{ ROW_ENDPOINTS, "{ address = \"h:1\"; spare = true; }",
	    "weir.conf:2: upstreams.x.endpoints[0]: unknown key \"spare\", "
	    "expected one of name, address, srv, weight, backup, max" },
	{ ROW_ENDPOINTS, "{ address = \"h:1\"; backup = true; }",
	    "weir.conf:2: upstreams.x.endpoints: all of them are backups, "
	    "expected at least one that is not" },
	{ ROW_ENDPOINTS,
	    "( { address = \"h:1\"; backup = true; }, { address = \"h:2\"; "
	    "backup = true; } )",
	    "weir.conf:2: upstreams.x.endpoints: all of them are backups, "
	    "expected at least one that is not" },
	/* Of the one refused nobody knows. */
	{ ROW_ENDPOINTS, "( { address = \"h:1\"; backup = true; }, \"h\" )",
	    "weir.conf:2: upstreams.x.endpoints[1]: \"h\" is no address: "
	    "the port is missing, expected \"host:port\", \"[v6]:port\" or "
	    "\"unix:/path\"" },
};

static void
bad_endpoints_are_told(void **state)
{
	(void)state;
	rows_hold(endpoint_rows, NELEMS(endpoint_rows));
}

static void
pools_have_defaults_of_their_protocol(void **state)
{
	struct conf *c = conf_of(ROW_TOP, "");
	const struct conf_upstream *u = &c->upstreams[0];

	(void)state;
	assert_ptr_equal(u->proto, &fake_http);
	assert_int_equal(u->balance, CONF_ROUND_ROBIN);
	assert_int_equal(u->ready, CONF_READY_START);
	assert_int_equal(u->pool.span, CONF_SPAN_REQUEST);
	assert_int_equal(u->pool.min_idle, 1);
	assert_int_equal(u->pool.max, 64);
	assert_int_equal(u->pool.max_idle, 64);
	assert_int_equal(u->pool.max_per_endpoint, CONF_OFF);
	assert_int_equal(u->pool.max_waiting, 1024);
	assert_int_equal(u->pool.queue_timeout_ms, 2000);
	assert_int_equal(u->pool.idle_timeout_ms, 60000);
	assert_int_equal(u->pool.max_lifetime_ms, 600000);
	assert_int_equal(u->pool.max_requests, 0);
	assert_int_equal(u->pool.tcp_keepalive_ms, 30000);
	assert_int_equal(u->timeouts.connect_ms, 2000);
	assert_int_equal(u->timeouts.response_ms, 30000);
	assert_int_equal(u->timeouts.stall_ms, 60000);
	assert_int_equal(u->timeouts.tunnel_ms, 3600000);
	assert_int_equal(u->line, 3);
	conf_free(c);
}

static void
max_idle_follows_max(void **state)
{
	struct conf *c = conf_of(ROW_UPSTREAM, "pool = { max = 3; };");

	(void)state;
	assert_int_equal(c->upstreams[0].pool.max_idle, 3);
	conf_free(c);
}

/* The protocol's min_idle of 1 is nobody's wish: it gives way. */
static void
default_gives_way_to_what_is_written(void **state)
{
	struct conf *c = conf_of(ROW_UPSTREAM, "pool = { max_idle = 0; };");

	(void)state;
	assert_int_equal(c->upstreams[0].pool.min_idle, 0);
	conf_free(c);
}

static void
each_mode_is_its_bit(void **state)
{
	struct conf *c = conf_of(ROW_UPSTREAM,
	    "pool = { mode = \"session\"; };");

	(void)state;
	assert_int_equal(c->upstreams[0].pool.span, CONF_SPAN_SESSION);
	conf_free(c);
}

static void
endpoints_come_in_four_spellings(void **state)
{
	struct conf *c = conf_of(ROW_ENDPOINTS, "( \"app:80\", "
	    "{ name = \"n\"; address = \"[::1]:1\"; weight = 1000; max = 1; "
	    "backup = true; }, "
	    "{ srv = \"_redis._tcp.svc\"; }, \"unix:/run/a\" )");
	const struct conf_upstream *u = &c->upstreams[0];

	(void)state;
	assert_int_equal(u->n_endpoints, 4);
	assert_string_equal(u->endpoints[0].name, "app:80");
	assert_string_equal(u->endpoints[0].address.host, "app");
	assert_int_equal(u->endpoints[0].address.port, 80);
	assert_false(u->endpoints[0].address.is_literal);
	assert_int_equal(u->endpoints[0].weight, 1);
	assert_int_equal(u->endpoints[0].max, CONF_OFF);
	assert_null(u->endpoints[0].srv);
	assert_string_equal(u->endpoints[1].name, "n");
	assert_string_equal(u->endpoints[1].address.host, "::1");
	assert_true(u->endpoints[1].address.is_literal);
	assert_int_equal(u->endpoints[1].weight, 1000);
	assert_int_equal(u->endpoints[1].max, 1);
	assert_true(u->endpoints[1].backup);
	assert_false(u->endpoints[0].backup || u->endpoints[2].backup);
	assert_true(u->endpoints[1].named);
	assert_false(u->endpoints[0].named || u->endpoints[2].named ||
	    u->endpoints[3].named);
	assert_string_equal(u->endpoints[2].name, "_redis._tcp.svc");
	assert_string_equal(u->endpoints[2].srv, "_redis._tcp.svc");
	assert_string_equal(u->endpoints[2].address.host, "");
	assert_true(u->endpoints[3].address.is_unix);
	conf_free(c);
}

static void
each_balancer_is_known(void **state)
{
	static const char *const words[] = { "round_robin", "least_conn",
		"random_two", "source_hash", "key_hash" };

	(void)state;
	for (unsigned i = 0; i < NELEMS(words); i++) {
		struct conf *c;
		char text[64];

		snprintf(text, sizeof(text), "balance = \"%s\";", words[i]);
		c = conf_of(ROW_UPSTREAM, text);
		assert_int_equal(c->upstreams[0].balance,
		    CONF_ROUND_ROBIN + i);
		conf_free(c);
	}
}

static void
each_word_of_key_hash_is_known(void **state)
{
	static const char *const functions[] = { "one_at_a_time", "md5",
		"crc16", "crc32", "crc32a", "fnv1_64", "fnv1a_64", "fnv1_32",
		"fnv1a_32", "hsieh", "murmur", "jenkins" };
	static const char *const rings[] = { "ketama", "modula", "random" };

	(void)state;
	assert_int_equal(NELEMS(functions), CONF_N_KEY_FUNCTIONS);
	for (unsigned i = 0; i < NELEMS(functions); i++) {
		struct conf *c;
		char text[128];

		snprintf(text, sizeof(text), "balance = \"key_hash\"; "
		    "key_hash = { function = \"%s\"; ring = \"%s\"; };",
		    functions[i], rings[i % 3]);
		c = conf_of(ROW_UPSTREAM, text);
		assert_int_equal(c->upstreams[0].key_hash.function, i);
		assert_int_equal(c->upstreams[0].key_hash.ring, i % 3);
		conf_free(c);
	}
}

/* twemproxy's own, but for on_down, which it does not have. */
static void
key_hash_has_defaults(void **state)
{
	struct conf *c = conf_of(ROW_UPSTREAM, "balance = \"key_hash\";");
	const struct conf_key_hash *h = &c->upstreams[0].key_hash;

	(void)state;
	assert_int_equal(h->function, CONF_KEY_FNV1A_64);
	assert_int_equal(h->ring, CONF_RING_KETAMA);
	assert_string_equal(h->tag, "");
	assert_int_equal(h->on_down, CONF_ON_DOWN_FAIL);
	conf_free(c);
	c = conf_of(ROW_UPSTREAM, "balance = \"key_hash\"; key_hash = { tag = "
	    "\"$$\"; on_down = \"rehash\"; };");
	h = &c->upstreams[0].key_hash;
	assert_string_equal(h->tag, "$$");
	assert_int_equal(h->on_down, CONF_ON_DOWN_REHASH);
	conf_free(c);
}

static void
one_endpoint_needs_no_list(void **state)
{
	struct conf *c = conf_of(ROW_ENDPOINTS, "\"app:80\"");

	(void)state;
	assert_int_equal(c->upstreams[0].n_endpoints, 1);
	conf_free(c);
}

/* A listener taken out of a file must not make the rest of it an error. */
static void
unused_upstream_is_left_out(void **state)
{
	struct conf *c = conf_of(ROW_FILE, "listeners = ( { name = \"a\"; "
	    "bind = \"127.0.0.1:1\"; protocol = \"tcp\"; upstream = \"x\"; } "
	    ");\n"
	    "upstreams = ( { name = \"old\"; endpoints = \"h:1\"; },\n"
	    "{ name = \"kept\"; endpoints = \"h:1\"; protocol = \"http\"; },\n"
	    "{ name = \"x\"; endpoints = \"h:1\"; } );\n");

	(void)state;
	assert_int_equal(c->n_upstreams, 2);
	assert_null(conf_upstream_find(c, "old"));
	assert_ptr_equal(conf_upstream_find(c, "kept")->proto, &fake_http);
	assert_ptr_equal(c->listeners[0].upstream,
	    conf_upstream_find(c, "x"));
	assert_int_equal(c->listeners[0].upstream->pool.max, 1000);
	conf_free(c);
}

static void
unused_upstream_is_checked_all_the_same(void **state)
{
	static const struct row row[] = { { ROW_TOP, "upstreams = ( );",
	    "weir.conf:3: upstreams is given twice in one group, first on "
	    "line 1" }, { ROW_FILE, "listeners = ( { name = \"a\"; bind = "
	    "\"127.0.0.1:1\"; protocol = \"tcp\"; upstream = \"x\"; } );\n"
	    "upstreams = ( { name = \"old\"; endpoints = \"h\"; mox = 1; },\n"
	    "{ name = \"x\"; endpoints = \"h:1\"; } );\n",
	    "weir.conf:2: upstreams.old.endpoints[0]: \"h\" is no address: "
	    "the port is missing, expected \"host:port\", \"[v6]:port\" or "
	    "\"unix:/path\"\nweir.conf:2: upstreams.old: unknown key \"mox\", "
	    "expected one of name, protocol, endpoints, tls, balance, "
	    "key_hash, send_proxy_protocol, pool, timeouts, retry, health, "
	    "outlier, when_all_down, slow_start, limits, ready" } };

	(void)state;
	rows_hold(row, NELEMS(row));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_upstreams_are_told),
		cmocka_unit_test(bad_endpoints_are_told),
		cmocka_unit_test(pools_have_defaults_of_their_protocol),
		cmocka_unit_test(max_idle_follows_max),
		cmocka_unit_test(default_gives_way_to_what_is_written),
		cmocka_unit_test(each_mode_is_its_bit),
		cmocka_unit_test(endpoints_come_in_four_spellings),
		cmocka_unit_test(each_balancer_is_known),
		cmocka_unit_test(each_word_of_key_hash_is_known),
		cmocka_unit_test(key_hash_has_defaults),
		cmocka_unit_test(one_endpoint_needs_no_list),
		cmocka_unit_test(unused_upstream_is_left_out),
		cmocka_unit_test(unused_upstream_is_checked_all_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
