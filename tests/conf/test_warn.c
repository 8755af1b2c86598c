/*
 * conf/warn: what is legal but hurts.
 *
 * SPDX-License-Identifier: MIT
 */
#include <sys/resource.h>
#include <unistd.h>

#include "tests/conf/rows.h"

/* The warnings of a row, one a line; to be freed. */
static char *
warnings_of(enum row_kind kind, const char *text)
{
	struct conf *c = conf_of(kind, text);
	struct conf_errors warnings = { NULL, 0 };
	char *all = NULL;
	size_t n;
	FILE *out = open_memstream(&all, &n);

	assert_non_null(out);
	conf_warn(c, &warnings);
	conf_missing(c, &warnings);
	for (size_t i = 0; i < warnings.n; i++)
		fprintf(out, "%s\n", warnings.v[i]);
	fclose(out);
	conf_errors_fini(&warnings);
	conf_free(c);
	return all;
}

static void
warns(enum row_kind kind, const char *text, const char *line, bool expected)
{
	char *all = warnings_of(kind, text);

	if ((strstr(all, line) != NULL) != expected)
		fail_msg("%s brings\n%s", text, all);
	free(all);
}

static void
long_drains_are_cut_short_by_others(void **state)
{
	const char *line = "weir.conf: drain_timeout: with drain_delay it is "
	    "31s, but supervisors such as Kubernetes kill after 30s unless "
	    "told otherwise\n";

	(void)state;
	warns(ROW_TOP, "drain_timeout = \"31s\";", line, true);
	warns(ROW_TOP, "drain_timeout = \"30s\";", line, false);
	warns(ROW_TOP, "drain_timeout = \"20s\"; drain_delay = \"11s\";",
	    line, true);
}

/* Whoever runs the tests, one of the two holds. */
static void
staying_root_is_told(void **state)
{
	bool root = geteuid() == 0;

	(void)state;
	warns(ROW_TOP, "", "weir.conf: user: weir would keep running as root, "
	    "expected user = \"NAME\"\n", root);
	warns(ROW_TOP, "user = \"root\";", "weir.conf: user: only root can "
	    "become another user; weir would go on as it is\n", !root);
}

static void
descriptors_are_added_up(void **state)
{
	struct rlimit before, low;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	low = before;
	low.rlim_cur = 200;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	/* 73 clients + 64 of the pool + 64 more = 201 */
	warns(ROW_LISTENER, "limits = { connections = 73; };", "weir.conf: "
	    "limits: all connections allowed need 201 file descriptors, but "
	    "only 200 may be open (ulimit -n)\n", true);
	warns(ROW_LISTENER, "limits = { connections = 72; };", "limits", false);
	warns(ROW_LISTENER, "limits = { connections = \"off\"; };", "limits",
	    false);
	/* What only counts keeps nobody out: its number says nothing. */
	warns(ROW_LISTENER, "limits = { connections = { max = 73; shadow = "
	    "true; }; };", "limits", false);
	warns(ROW_LISTENER, "limits = { connections = { max = 73; }; };",
	    "limits", true);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void
missing_folders_of_sockets_are_told(void **state)
{
	(void)state;
	warns(ROW_BIND, "\"unix:/nonexistent/a.sock\"", "weir.conf:1: "
	    "listeners.a: the folder /nonexistent of the Unix socket is "
	    "missing\n", true);
	warns(ROW_BIND, "\"unix:/tmp/a.sock\"", "folder", false);
	warns(ROW_BIND, "\"unix:/a.sock\"", "folder", false);
	warns(ROW_TOP, "admin = { bind = \"unix:/nonexistent/a.sock\"; };",
	    "weir.conf:1: admin: the folder /nonexistent of the Unix socket "
	    "is missing\n", true);
}

static void
limits_for_clients_without_address_are_told(void **state)
{
	static const char *const keys[] = { "connections_per_client = 5",
		"connection_rate_per_client = \"5/s\"",
		"request_rate_per_client = \"5/s\"",
		"bandwidth_per_client = \"1MiB/s\"" };
	const char *end = " limits nobody, clients of Unix sockets have no "
	    "address\n";
	char *text;

	(void)state;
	for (size_t i = 0; i < NELEMS(keys); i++) {
		char line[200];

		snprintf(line, sizeof(line), "weir.conf:1: listeners.a: "
		    "limits.%.*s%s", (int)strcspn(keys[i], " "), keys[i], end);
		assert_true(asprintf(&text, "\"unix:/tmp/a.sock\"; limits = { "
		    "%s; }", keys[i]) > 0);
		warns(ROW_BIND, text, line, true);
		free(text);
		assert_true(asprintf(&text, "( \"unix:/tmp/a.sock\", "
		    "\"127.0.0.1:1\" ); limits = { %s; }", keys[i]) > 0);
		warns(ROW_BIND, text, "limits nobody", false);
		free(text);
	}
	warns(ROW_BIND, "\"unix:/tmp/a.sock\"; limits = { connections = 5; "
	    "request_rate = \"5/s\"; request_rate_per_client = \"1/s\"; "
	    "client = \"header:X-A\"; }", "limits nobody", false);
	warns(ROW_BIND, "\"unix:/tmp/a.sock\"; deny = \"10.0.0.0/8\"",
	    "weir.conf:1: listeners.a: allow and deny keep nobody out, clients "
	    "of Unix sockets have no address\n", true);
	warns(ROW_BIND, "\"127.0.0.1:1\"; deny = \"10.0.0.0/8\"",
	    "keep nobody out", false);
}

static void
networks_allowed_and_denied_are_told(void **state)
{
	(void)state;
	warns(ROW_LISTENER, "allow = ( \"10.0.0.0/8\", \"::1\" ); deny = ( "
	    "\"10.6.6.6\", \"::1/128\" );", "weir.conf:1: listeners.a: "
	    "::1/128 is in allow and in deny; deny wins\n", true);
	warns(ROW_LISTENER, "allow = ( \"10.0.0.0/8\", \"::1\" ); deny = ( "
	    "\"10.0.0.0/9\" );", "deny wins", false);
	/* Wherever they stand. */
	warns(ROW_LISTENER, "allow = ( \"10.2.0.0/16\", \"::/0\", "
	    "\"10.1.0.0/16\" ); deny = ( \"10.3.0.0/16\", \"::1\", "
	    "\"10.1.0.0/16\", \"10.0.0.0/16\" );", "weir.conf:1: "
	    "listeners.a: 10.1.0.0/16 is in allow and in deny; deny wins\n",
	    true);
}

static void
proxies_that_are_anybody_or_nobody_are_told(void **state)
{
	static const char everybody[] = "weir.conf:1: listeners.a: "
	    "proxy_protocol.from is everybody, who can then say to be any "
	    "client\n";

	(void)state;
	warns(ROW_LISTENER, "proxy_protocol = { from = ( \"0.0.0.0/0\" ); };",
	    everybody, true);
	warns(ROW_LISTENER, "proxy_protocol = { from = ( \"10.0.0.0/8\", "
	    "\"::/0\" ); };", everybody, true);
	warns(ROW_LISTENER, "proxy_protocol = { from = ( \"10.0.0.0/8\" ); };",
	    "proxy_protocol", false);
	warns(ROW_LISTENER, "proxy_protocol = { unix = true; };",
	    "weir.conf:1: listeners.a: proxy_protocol.unix is of no use without "
	    "a Unix socket\n", true);
	warns(ROW_BIND, "\"unix:/tmp/a.sock\"; proxy_protocol = { from = ( "
	    "\"10.0.0.0/8\" ); }", "weir.conf:1: listeners.a: "
	    "proxy_protocol.from is nobody, clients of Unix sockets have no "
	    "address, expected unix = true\n", true);
	/* Its clients have addresses. */
	warns(ROW_BIND, "\"unix:/tmp/a.sock\"; proxy_protocol = { unix = true; "
	    "}; deny = ( \"10.0.0.0/8\" ); limits = { "
	    "connections_per_client = 1; }", "no address", false);
}

static void
warm_connections_of_nobody_are_told(void **state)
{
	static const char nobody[] = "weir.conf:2: upstreams.x: pool.min_idle "
	    "keeps connections that no client can use: with "
	    "send_proxy_protocol each is the client's that it names\n";

	(void)state;
	warns(ROW_UPSTREAM, "send_proxy_protocol = \"v2\"; pool = { min_idle = "
	    "1; };", nobody, true);
	warns(ROW_UPSTREAM, "send_proxy_protocol = \"v1\";", "min_idle", false);
	warns(ROW_UPSTREAM, "pool = { min_idle = 1; };", "min_idle", false);
}

static void
upstream_behind_a_route_for_all_is_told(void **state)
{
	(void)state;
	warns(ROW_ROUTES, "( { path = \"/a\"; upstream = \"x\"; }, { upstream "
	    "= \"x\"; } )", "weir.conf:1: listeners.a: upstream is never used, "
	    "a route takes all that the others leave\n", true);
	warns(ROW_ROUTES, "( { path = \"/a\"; upstream = \"x\"; } )", "never",
	    false);
}

static void
unused_upstreams_are_told(void **state)
{
	const char *text = "listeners = ( { name = \"a\"; bind = "
	    "\"127.0.0.1:1\"; protocol = \"tcp\"; upstream = \"x\"; } );\n"
	    "upstreams = ( { name = \"x\"; endpoints = \"h:1\"; },\n"
	    "{ name = \"old\"; endpoints = \"h:1\"; },\n"
	    "{ name = \"kept\"; endpoints = \"h:1\"; protocol = \"http\"; } "
	    ");\n";

	(void)state;
	warns(ROW_FILE, text, "weir.conf:3: upstreams.old: no listener uses "
	    "it; it is left out\n", true);
	warns(ROW_FILE, text, "weir.conf:4: upstreams.kept: no listener uses "
	    "it\n", true);
	warns(ROW_FILE, text, "upstreams.x", false);
}

/* A protocol of shared connections beside those of fake.h. */
static const struct conf_proto fake_kv = {
	.name = "kv", .spans = CONF_SPAN_OWED, .default_mode = "shared",
	.keys = true
};

static void
warns_shared(const char *top, const char *upstream, const char *line)
{
	static const struct conf_proto *const protos[] = { &fake_kv, NULL };
	struct conf_errors errors, warnings = { NULL, 0 };
	struct conf_input in = { .path = "weir.conf", .protos = protos };
	bool found = false;
	struct conf *c;
	char *text;

	assert_int_not_equal(asprintf(&text, "%s listeners = ( { name = \"a\"; "
	    "bind = \"127.0.0.1:1\"; protocol = \"kv\"; upstream = \"x\"; "
	    "} );\nupstreams = ( { name = \"x\"; endpoints = ( \"h:1\", "
	    "\"h:2\", \"h:3\" ); %s } );\n", top, upstream), -1);
	in.text = text;
	c = conf_load(&in, &errors);
	if (c == NULL)
		fail_msg("%s\nbrings\n%s", text, errors.v[0]);
	conf_warn(c, &warnings);
	for (size_t i = 0; i < warnings.n; i++)
		if (line == NULL ? strstr(warnings.v[i], "pool.max") != NULL :
		    strcmp(warnings.v[i], line) == 0)
			found = true;
	if (found != (line != NULL))
		fail_msg("%s: %s", text, line == NULL ? "warned of" :
		    "not warned of");
	conf_errors_fini(&warnings);
	conf_free(c);
	free(text);
}

static void
pools_too_small_to_share_are_told(void **state)
{
	const char *small = "weir.conf:2: upstreams.x: pool.max is 11, but 2 "
	    "workers share 2 connections to each of 3 endpoints: they would be "
	    "closed for one another, expected at least 12 and some to pin";
	const char *alone = "weir.conf:2: upstreams.x: pool.max is 2 with 2 "
	    "workers: no client can have a connection of its own, for what "
	    "cannot be shared, expected at least 3";

	(void)state;
	warns_shared("workers = 2;", "balance = \"key_hash\"; pool = { max = "
	    "11; shared = 2; };", small);
	warns_shared("workers = 2;", "balance = \"key_hash\"; pool = { max = "
	    "12; shared = 2; };", NULL);
	warns_shared("workers = 2;", "pool = { max = 2; };", alone);
	warns_shared("workers = 2;", "pool = { max = 3; };", NULL);
	warns(ROW_UPSTREAM, "pool = { max = 1; };", "pool.max", false);
}

static void
protocols_have_their_say(void **state)
{
	(void)state;
	warns(ROW_LISTENER, "http = { trace = true; };", "weir.conf:1: "
	    "listeners.a: http.trace is on\n", true);
	warns(ROW_UPSTREAM, "balance = \"least_conn\";", "weir.conf:2: "
	    "upstreams.x: balance is least_conn\n", true);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(long_drains_are_cut_short_by_others),
		cmocka_unit_test(staying_root_is_told),
		cmocka_unit_test(descriptors_are_added_up),
		cmocka_unit_test(missing_folders_of_sockets_are_told),
		cmocka_unit_test(limits_for_clients_without_address_are_told),
		cmocka_unit_test(networks_allowed_and_denied_are_told),
		cmocka_unit_test(proxies_that_are_anybody_or_nobody_are_told),
		cmocka_unit_test(warm_connections_of_nobody_are_told),
		cmocka_unit_test(upstream_behind_a_route_for_all_is_told),
		cmocka_unit_test(unused_upstreams_are_told),
		cmocka_unit_test(pools_too_small_to_share_are_told),
		cmocka_unit_test(protocols_have_their_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
