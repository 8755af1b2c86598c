/*
 * conf/read: values by the rows of the schema, and unknown keys.
 *
 * SPDX-License-Identifier: MIT
 */
#include "tests/conf/rows.h"

#define KEYS "workers, drain_delay, drain_timeout, user, group, max_memory, " \
	"dns, admin, log, security, watchdog, listeners, upstreams"

static const struct row rows[] = {
	{ ROW_FILE, "",
	    "weir.conf:1: listeners: there are none, expected at least one: "
	    "( { name = ...; bind = ...; } )" },
	{ ROW_TOP, "workers = \"many\";",
	    "weir.conf:1: workers: \"many\" is not understood, expected a "
	    "number such as 10" },
	{ ROW_TOP, "workers = -1;",
	    "weir.conf:1: workers: -1 is out of range, expected 0 to 256" },
	{ ROW_TOP, "workers = 257;",
	    "weir.conf:1: workers: 257 is out of range, expected 0 to 256" },
	{ ROW_TOP, "workers = 1.5;",
	    "weir.conf:1: workers: is a number with a fraction, expected a "
	    "number such as 10" },
	{ ROW_TOP, "workers = true;",
	    "weir.conf:1: workers: is a bool, expected a number such as 10" },
	{ ROW_TOP, "workers = ( 1 );",
	    "weir.conf:1: workers: is a list, expected a number such as 10" },
	{ ROW_TOP, "workers = \"99999999999999999999\";",
	    "weir.conf:1: workers: 99999999999999999999 is out of range, "
	    "expected 0 to 256" },
	{ ROW_TOP, "worker = 1;",
	    "weir.conf:1: unknown key \"worker\", did you mean \"workers\"?" },
	{ ROW_TOP, "frobnicate = 1;",
	    "weir.conf:1: unknown key \"frobnicate\", expected one of " KEYS },
	{ ROW_TOP, "trusted = ( );",
	    "weir.conf:1: unknown key \"trusted\", it belongs to "
	    "listeners[].http; expected one of " KEYS },
	{ ROW_TOP, "max = 1;",
	    "weir.conf:1: unknown key \"max\", it belongs to "
	    "listeners[].limits.connections or upstreams[].endpoints[] or "
	    "upstreams[].pool; expected one of " KEYS },
	/* At home in too many places to name them. */
	{ ROW_TOP, "shadow = true;",
	    "weir.conf:1: unknown key \"shadow\", expected one of " KEYS },
	{ ROW_TOP, "max_memory = 1;",
	    "weir.conf:1: max_memory: 1 has no unit, expected a size such as "
	    "\"16KiB\" or \"off\"" },
	{ ROW_TOP, "max_memory = \"15MiB\";",
	    "weir.conf:1: max_memory: \"15MiB\" is out of range, expected "
	    "\"16MiB\" to \"1024GiB\", or \"off\"" },
	{ ROW_TOP, "max_memory = \"16MiB\";", "" },
	{ ROW_TOP, "max_memory = \"off\";", "" },
	{ ROW_TOP, "max_memmory = \"16MiB\";",
	    "weir.conf:1: unknown key \"max_memmory\", did you mean "
	    "\"max_memory\"?" },
	{ ROW_TOP, "drain_timeout = 20;",
	    "weir.conf:1: drain_timeout: 20 has no unit, expected a "
	    "duration such as \"20s\"" },
	{ ROW_TOP, "drain_timeout = \"20\";",
	    "weir.conf:1: drain_timeout: 20 has no unit, expected a "
	    "duration such as \"20s\"" },
	{ ROW_TOP, "drain_timeout = \"20 s\";",
	    "weir.conf:1: drain_timeout: \"20 s\" is not understood, "
	    "expected a duration such as \"10s\"" },
	{ ROW_TOP, "drain_timeout = \"1d\";",
	    "weir.conf:1: drain_timeout: \"1d\" is not understood, expected "
	    "a duration such as \"10s\"" },
	{ ROW_TOP, "drain_timeout = \"off\";",
	    "weir.conf:1: drain_timeout: \"off\" is not understood, "
	    "expected a duration such as \"10s\"" },
	{ ROW_TOP, "drain_timeout = \"25h\";",
	    "weir.conf:1: drain_timeout: \"25h\" is out of range, expected "
	    "\"0s\" to \"24h\"" },
	{ ROW_TOP, "drain_timeout = \"-1s\";",
	    "weir.conf:1: drain_timeout: \"-1s\" is out of range, expected "
	    "\"0s\" to \"24h\"" },
	{ ROW_TOP, "drain_timeout = \"9223372036854775807h\";",
	    "weir.conf:1: drain_timeout: \"9223372036854775807h\" is out of "
	    "range, expected \"0s\" to \"24h\"" },
	{ ROW_TOP, "drain_delay = 0;",
	    "weir.conf:1: drain_delay: 0 has no unit, expected a duration "
	    "such as \"0s\"" },
	{ ROW_TOP, "drain_delay = 999999;",
	    "weir.conf:1: drain_delay: 999999 has no unit, expected a "
	    "duration such as \"10s\"" },
	{ ROW_TOP, "drain_delay = { };",
	    "weir.conf:1: drain_delay: is a group, expected a duration such "
	    "as \"10s\"" },
	{ ROW_TOP, "user = \"no-such-user\";",
	    "weir.conf:1: user: no user \"no-such-user\" is known here, "
	    "expected one that exists" },
	{ ROW_TOP, "group = \"no-such-group\";",
	    "weir.conf:1: group: no group \"no-such-group\" is known here, "
	    "expected one that exists" },
	{ ROW_TOP, "user = 5;",
	    "weir.conf:1: user: is a number, expected text in quotes" },
	{ ROW_TOP, "dns = 5;",
	    "weir.conf:1: dns: is a number, expected a group: { key = "
	    "value; ... }" },
	{ ROW_TOP, "dns = { families = \"ipv5\"; };",
	    "weir.conf:1: dns.families: unknown \"ipv5\", did you mean "
	    "\"ipv4\"? Expected \"any\", \"ipv4\" or \"ipv6\"" },
	{ ROW_TOP, "dns = { families = \"both\"; };",
	    "weir.conf:1: dns.families: unknown \"both\", expected \"any\", "
	    "\"ipv4\" or \"ipv6\"" },
	{ ROW_TOP, "dns = { families = 4; };",
	    "weir.conf:1: dns.families: is a number, expected \"any\", "
	    "\"ipv4\" or \"ipv6\"" },
	{ ROW_TOP, "dns = { max_ttl = \"1ms\"; };",
	    "weir.conf:1: dns.max_ttl: \"1ms\" is out of range, expected "
	    "\"100ms\" to \"24h\"" },
	{ ROW_TOP, "dns = { ttl = \"1s\"; };",
	    "weir.conf:1: dns: unknown key \"ttl\", expected one of "
	    "families, max_ttl" },
	{ ROW_TOP, "log = { level = \"inof\"; };",
	    "weir.conf:1: log.level: unknown \"inof\", did you mean "
	    "\"info\"? Expected \"error\", \"warn\", \"info\" or \"debug\"" },
	{ ROW_TOP, "log = { format = \"xml\"; };",
	    "weir.conf:1: log.format: unknown \"xml\", expected \"text\" or "
	    "\"json\"" },
	{ ROW_TOP, "log = { access = \"stdout\"; };", "" },
	{ ROW_TOP, "log = { access = \"stderr\"; };", "" },
	{ ROW_TOP, "log = { access = \"syslog\"; };", "" },
	{ ROW_TOP, "log = { access = \"/var/log/a\"; };", "" },
	{ ROW_TOP, "log = { access = \"access.log\"; };",
	    "weir.conf:1: log.access: \"access.log\": expected \"off\", "
	    "\"stdout\", \"stderr\", \"syslog\" or a path, which needs a "
	    "\"/\", such as \"./access.log\"" },
	{ ROW_TOP, "log = { access = \"\"; };",
	    "weir.conf:1: log.access: \"\": expected \"off\", "
	    "\"stdout\", \"stderr\", \"syslog\" or a path, which needs a "
	    "\"/\", such as \"./access.log\"" },
	{ ROW_TOP, "log = { access = \"logs/\"; };",
	    "weir.conf:1: log.access: \"logs/\": a folder, expected the path "
	    "of a file" },
	{ ROW_TOP, "log = { access = true; };",
	    "weir.conf:1: log.access: is a bool, expected text in quotes" },
	{ ROW_TOP, "log = { access_when = \"fail\"; };",
	    "weir.conf:1: log.access_when: unknown \"fail\", expected "
	    "\"always\", \"failed\" or \"slow\"" },
	{ ROW_TOP, "log = { access_when = \"slow\"; slow = \"250ms\"; };",
	    "" },
	{ ROW_TOP, "log = { slow = 1; };",
	    "weir.conf:1: log.slow: 1 has no unit, expected a duration such as "
	    "\"1s\"" },
	{ ROW_TOP, "log = { slow = \"0s\"; };",
	    "weir.conf:1: log.slow: \"0s\" is out of range, expected "
	    "\"1ms\" to \"24h\"" },
	{ ROW_TOP, "log = { acess = \"off\"; };",
	    "weir.conf:1: log: unknown key \"acess\", did you mean "
	    "\"access\"?" },
	{ ROW_TOP, "log = ( \"info\" );",
	    "weir.conf:1: log: is a list, expected a group: { key = value; "
	    "... }" },
	{ ROW_FILE,
	    "listeners = { };\n"
	    "upstreams = ( );\n",
	    "weir.conf:1: listeners: is a group, expected a list: ( ... )" },
	{ ROW_FILE, "listeners = ( );\n",
	    "weir.conf:1: listeners: there are none, expected at least one: "
	    "( { name = ...; bind = ...; } )" },
	{ ROW_FILE, "listeners = ( \"a\" );\n",
	    "weir.conf:1: listeners[0]: is a text, expected a group: { key "
	    "= value; ... }" },
	{ ROW_FILE,
	    "listeners = [ ];\n"
	    "upstreams = 5;\n",
	    "weir.conf:1: listeners: there are none, expected at least one: "
	    "( { name = ...; bind = ...; } )\n"
	    "weir.conf:2: upstreams: is a number, expected a list: ( ... )" },
};

static void
bad_values_are_told(void **state)
{
	(void)state;
	rows_hold(rows, NELEMS(rows));
}

static void
absent_keys_have_their_defaults(void **state)
{
	struct conf *c = conf_of(ROW_TOP, "");

	(void)state;
	assert_int_equal(c->workers, 1);
	assert_int_equal(c->drain_delay_ms, 0);
	assert_int_equal(c->drain_timeout_ms, 20000);
	assert_null(c->user);
	assert_null(c->group);
	assert_int_equal(c->dns.families, CONF_FAMILIES_ANY);
	assert_int_equal(c->dns.max_ttl_ms, 30000);
	assert_int_equal(c->log.level, 2);
	assert_int_equal(c->log.format, CONF_LOG_TEXT);
	assert_string_equal(c->log.access, "off");
	conf_free(c);
}

static void
numbers_may_be_texts(void **state)
{
	struct conf *c = conf_of(ROW_TOP, "workers = \"2\"; "
	    "drain_timeout = \"0s\"; drain_delay = \"24h\";");

	(void)state;
	assert_int_equal(c->workers, 2);
	assert_int_equal(c->drain_timeout_ms, 0);
	assert_int_equal(c->drain_delay_ms, 86400000);
	conf_free(c);
}

static void
zero_workers_are_as_many_as_cpus(void **state)
{
	struct conf *c = conf_of(ROW_TOP, "workers = 0;");

	(void)state;
	assert_true(c->workers >= 1 && c->workers <= 256);
	conf_free(c);
}

/* The protocol's rows are read as conf's own are. */
static void
own_groups_are_read(void **state)
{
	struct conf *c = conf_of(ROW_LISTENER, "http = { forwarded = \"off\"; "
	    "trace = true; trusted = \"10.0.0.0/8\"; };");
	const struct fake_front *own = c->listeners[0].own;

	(void)state;
	assert_int_equal(own->forwarded, 2);
	assert_true(own->trace);
	assert_int_equal(own->trusted.n, 1);
	assert_int_equal(own->trusted.v[0].bits, 8);
	conf_free(c);
}

static void
own_groups_have_defaults_without_being_there(void **state)
{
	struct conf *c = conf_of(ROW_TOP, "");
	const struct fake_front *front = c->listeners[0].own;
	const struct fake_back *back = c->upstreams[0].own;

	(void)state;
	assert_int_equal(front->forwarded, 0);
	assert_int_equal(front->trusted.n, 2);
	assert_int_equal(front->trusted.v[1].bits, 128);
	assert_string_equal(back->host, "keep");
	assert_string_equal(back->password, "");
	assert_int_equal(back->share_max, 65536);
	assert_int_equal(back->set_headers.n, 0);
	assert_int_equal(back->remove_headers.n, 2);
	assert_string_equal(back->remove_headers.v[1], "X-B");
	conf_free(c);
}

static void
own_texts_and_headers_are_read(void **state)
{
	struct conf *c = conf_of(ROW_UPSTREAM, "http = { host = \"h\"; "
	    "set_headers = { X-A = \"1\"; B = \"\"; }; remove_headers = ( ); "
	    "share_max = \"2KiB\"; };");
	const struct fake_back *own = c->upstreams[0].own;

	(void)state;
	assert_string_equal(own->host, "h");
	assert_int_equal(own->set_headers.n, 2);
	assert_string_equal(own->set_headers.v[0].name, "X-A");
	assert_string_equal(own->set_headers.v[0].value, "1");
	assert_string_equal(own->set_headers.v[1].name, "B");
	assert_int_equal(own->remove_headers.n, 0);
	assert_int_equal(own->share_max, 2048);
	conf_free(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_values_are_told),
		cmocka_unit_test(absent_keys_have_their_defaults),
		cmocka_unit_test(numbers_may_be_texts),
		cmocka_unit_test(zero_workers_are_as_many_as_cpus),
		cmocka_unit_test(own_groups_are_read),
		cmocka_unit_test(own_groups_have_defaults_without_being_there),
		cmocka_unit_test(own_texts_and_headers_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
