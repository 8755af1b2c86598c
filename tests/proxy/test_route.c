/*
 * Routes, from the text of a file on: conf/ sorts them, route_match() takes
 * the first that matches.
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

#include <cmocka.h>

#include "net/hello.h"
#include "proxy/proto.h"
#include "proxy/route.h"

static const char *const upstreams[] = {
	"fallback", "one", "two", "three", "four", "five"
};

/* keys: those of the listener. */
static struct conf *
load_for(const char *protocol, const char *keys)
{
	struct conf_errors errors = { 0 };
	struct conf_input in = { .path = "routes.conf",
	    .protos = proto_table };
	char *text = NULL;
	struct conf *c;
	size_t size, i;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	fprintf(out, "listeners = ( { name = \"web\"; bind = "
	    "\"127.0.0.1:8080\"; protocol = \"%s\"; %s } );\n"
	    "upstreams = ( ", protocol, keys);
	for (i = 0; i < NELEMS(upstreams); i++)
		fprintf(out, "%s{ name = \"%s\"; protocol = \"%s\"; "
		    "endpoints = ( \"127.0.0.1:3000\" ); }", i > 0 ? ", " : "",
		    upstreams[i], protocol);
	fprintf(out, " );\n");
	assert_int_equal(fclose(out), 0);
	in.text = text;
	c = conf_load(&in, &errors);
	if (c == NULL)
		fail_msg("%s", errors.v[0]);
	conf_errors_fini(&errors);
	free(text);
	return c;
}

static struct conf *
load(const char *keys)
{
	return load_for("http", keys);
}

/* The name of who gets it; "" = nobody. Copies, so that nothing behind the
   spans can be looked at. */
static const char *
found(const struct conf *c, const char *host, const char *path)
{
	size_t host_len = strlen(host), path_len = strlen(path);
	char *h = malloc(host_len + 1), *p = malloc(path_len + 1);
	const struct conf_upstream *to;
	const struct conf_route *r;

	assert_true(h != NULL && p != NULL);
	memcpy(h + 1, host, host_len);
	memcpy(p + 1, path, path_len);
	r = route_match(&c->listeners[0], h + 1, host_len, p + 1, path_len);
	to = r != NULL ? r->upstream : c->listeners[0].upstream;
	free(h);
	free(p);
	return to == NULL ? "" : to->name;
}

#define GOES(host, path, to) assert_string_equal(found(c, host, path), to)

/* The same of a ClientHello with that name and those protocols, each with a
   byte of length before it. */
static const char *
found_sni(const struct conf *c, const char *name, const char *alpn)
{
	static struct hello hello;
	const struct conf_route *r;

	snprintf(hello.name, sizeof(hello.name), "%s", name);
	hello.alpn = (const unsigned char *)alpn;
	hello.alpn_len = strlen(alpn);
	r = route_match_hello(&c->listeners[0], &hello);
	return r == NULL ? "" : r->upstream->name;
}

#define GOES_TLS(name, alpn, to) \
	assert_string_equal(found_sni(c, name, alpn), to)

static void
exact_host_beats_suffix_beats_any(void **state)
{
	struct conf *c = load("upstream = \"fallback\"; routes = ( "
	    "{ path = \"/long/path/of/any/host/\"; upstream = \"one\"; }, "
	    "{ host = \"*.example.com\"; path = \"/long/\"; "
	    "upstream = \"two\"; }, "
	    "{ host = \"www.example.com\"; upstream = \"three\"; } );");

	(void)state;
	GOES("www.example.com", "/long/path/of/any/host/x", "three");
	GOES("api.example.com", "/long/path/of/any/host/x", "two");
	GOES("elsewhere.org", "/long/path/of/any/host/x", "one");
	GOES("elsewhere.org", "/", "fallback");
	conf_free(c);
}

static void
longest_suffix_wins_wherever_it_stands(void **state)
{
	static const char *const orders[] = {
		"{ host = \"*.com\"; upstream = \"one\"; }, "
		"{ host = \"*.example.com\"; upstream = \"two\"; }, "
		"{ host = \"*.api.example.com\"; upstream = \"three\"; }",
		"{ host = \"*.api.example.com\"; upstream = \"three\"; }, "
		"{ host = \"*.com\"; upstream = \"one\"; }, "
		"{ host = \"*.example.com\"; upstream = \"two\"; }",
		"{ host = \"*.example.com\"; upstream = \"two\"; }, "
		"{ host = \"*.api.example.com\"; upstream = \"three\"; }, "
		"{ host = \"*.com\"; upstream = \"one\"; }"
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(orders); i++) {
		char keys[512];
		struct conf *c;

		snprintf(keys, sizeof(keys), "routes = ( %s );", orders[i]);
		c = load(keys);
		GOES("v1.api.example.com", "/", "three");
		GOES("a.b.api.example.com", "/", "three");
		GOES("api.example.com", "/", "two");
		GOES("example.com", "/", "one");
		GOES("com", "/", "");
		conf_free(c);
	}
}

static void
suffix_takes_names_below_it_only(void **state)
{
	struct conf *c = load("routes = ( { host = \"*.example.com\"; "
	    "upstream = \"one\"; } );");

	(void)state;
	GOES("a.example.com", "/", "one");
	GOES("example.com", "/", "");
	GOES(".example.com", "/", "");
	GOES("badexample.com", "/", "");
	GOES("a.example.com.evil.org", "/", "");
	conf_free(c);
}

static void
longest_path_prefix_wins_wherever_it_stands(void **state)
{
	static const char *const orders[] = {
		"{ path = \"/\"; upstream = \"one\"; }, "
		"{ path = \"/api/\"; upstream = \"two\"; }, "
		"{ path = \"/api/v2\"; upstream = \"three\"; }",
		"{ path = \"/api/v2\"; upstream = \"three\"; }, "
		"{ path = \"/\"; upstream = \"one\"; }, "
		"{ path = \"/api/\"; upstream = \"two\"; }"
	};
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(orders); i++) {
		char keys[512];
		struct conf *c;

		snprintf(keys, sizeof(keys), "routes = ( %s );", orders[i]);
		c = load(keys);
		GOES("any", "/api/v2", "three");
		GOES("any", "/api/v2?q=1", "three");
		GOES("any", "/api/v", "two");
		GOES("any", "/api/", "two");
		GOES("any", "/api", "one");
		GOES("any", "/API/", "one");
		GOES("any", "/", "one");
		GOES("any", "*", "");
		conf_free(c);
	}
}

static void
host_goes_before_path(void **state)
{
	struct conf *c = load("routes = ( "
	    "{ host = \"a.org\"; path = \"/x/\"; upstream = \"one\"; }, "
	    "{ host = \"a.org\"; upstream = \"two\"; }, "
	    "{ host = \"*.org\"; path = \"/x/y/z/\"; upstream = \"three\"; }, "
	    "{ path = \"/x/y/z/deep/\"; upstream = \"four\"; } );");

	(void)state;
	GOES("a.org", "/x/y/z/deep/", "one");
	GOES("a.org", "/y", "two");
	GOES("b.org", "/x/y/z/deep/", "three");
	/* Its host has no such path: the next best host is asked. */
	GOES("b.org", "/x/", "");
	GOES("b.net", "/x/y/z/deep/", "four");
	conf_free(c);
}

static void
path_of_a_better_host_falls_through(void **state)
{
	struct conf *c = load("upstream = \"fallback\"; routes = ( "
	    "{ host = \"a.org\"; path = \"/x/\"; upstream = \"one\"; }, "
	    "{ host = \"*.org\"; upstream = \"two\"; } );");

	(void)state;
	GOES("a.org", "/x/", "one");
	GOES("a.org", "/", "two");
	GOES("org", "/", "fallback");
	conf_free(c);
}

static void
port_case_and_root_dot_of_host_do_not_count(void **state)
{
	static const char *const same[] = {
		"www.example.com", "WWW.Example.COM", "www.example.com:8080",
		"www.example.com.", "www.example.com.:80", "www.example.com:",
		"WWW.EXAMPLE.COM.:65535"
	};
	static const char *const other[] = {
		"www.example.com..", "www.example.com:80:80", "www.example.co",
		"www.example.com:80x", "xwww.example.com", ".", ":", ":80", "8"
	};
	struct conf *c = load("routes = ( { host = \"Www.Example.Com\"; "
	    "upstream = \"one\"; } );");
	struct conf *suffix = load("routes = ( { host = \"*.EXAMPLE.com\"; "
	    "upstream = \"two\"; } );");
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(same); i++) {
		GOES(same[i], "/", "one");
		assert_string_equal(found(suffix, same[i], "/"), "two");
	}
	for (i = 0; i < NELEMS(other); i++)
		GOES(other[i], "/", "");
	conf_free(c);
	conf_free(suffix);
}

static void
root_dot_of_the_file_does_not_count_either(void **state)
{
	struct conf *c = load("routes = ( "
	    "{ host = \"a.org.\"; upstream = \"one\"; }, "
	    "{ host = \"*.org.\"; upstream = \"two\"; } );");

	(void)state;
	GOES("a.org", "/", "one");
	GOES("a.org.:80", "/", "one");
	GOES("b.org", "/", "two");
	GOES("b.org.", "/", "two");
	GOES("org.", "/", "");
	conf_free(c);
}

static void
literals_are_hosts_too(void **state)
{
	struct conf *c = load("routes = ( "
	    "{ host = \"127.0.0.1\"; upstream = \"one\"; }, "
	    "{ host = \"[2001:DB8::1]\"; upstream = \"two\"; } );");

	(void)state;
	GOES("127.0.0.1", "/", "one");
	GOES("127.0.0.1:80", "/", "one");
	GOES("[2001:db8::1]", "/", "two");
	GOES("[2001:db8::1]:8080", "/", "two");
	GOES("[2001:db8::1", "/", "");
	GOES("127.0.0.10", "/", "");
	conf_free(c);
}

static void
no_host_matches_routes_without_one(void **state)
{
	struct conf *c = load("routes = ( "
	    "{ host = \"a.org\"; upstream = \"one\"; }, "
	    "{ host = \"*.org\"; upstream = \"two\"; }, "
	    "{ host = \"*\"; path = \"/x\"; upstream = \"three\"; } );");

	(void)state;
	GOES("", "/x", "three");
	GOES("", "/", "");
	conf_free(c);
}

static void
without_routes_everything_goes_to_the_upstream(void **state)
{
	struct conf *c = load("upstream = \"five\";");

	(void)state;
	GOES("any", "/", "five");
	GOES("", "*", "five");
	conf_free(c);
}

static void
sni_goes_before_alpn_and_exact_before_suffix(void **state)
{
	struct conf *c = load_for("tcp", "routes = ( "
	    "{ alpn = \"imap\"; upstream = \"one\"; }, "
	    "{ sni = \"*.Example.com\"; upstream = \"two\"; }, "
	    "{ sni = \"*.example.com.\"; alpn = \"h2\"; upstream = \"three\"; "
	    "}, { sni = \"*.a.example.com\"; upstream = \"four\"; }, "
	    "{ sni = \"www.example.com\"; alpn = \"h2\"; "
	    "upstream = \"five\"; } );");

	(void)state;
	GOES_TLS("www.example.com", "\x02h2", "five");
	/* Its exact route is for h2 only: the next best name is asked. */
	GOES_TLS("www.example.com", "\x08http/1.1", "two");
	GOES_TLS("x.example.com", "\x04imap\x02h2", "three");
	GOES_TLS("x.example.com", "\x04imap", "two");
	GOES_TLS("x.a.example.com", "\x02h2", "four");
	GOES_TLS("a.example.com", "", "two");
	GOES_TLS("example.com", "\x04imap", "one");
	GOES_TLS("", "\x04imap", "one");
	GOES_TLS("example.com", "\x02h2", "");
	GOES_TLS("example.com.evil.org", "\x02h2", "");
	GOES_TLS("", "", "");
	assert_null(route_match_hello(&c->listeners[0], NULL));
	assert_true(route_by_hello(&c->listeners[0]));
	conf_free(c);
}

static void
first_of_the_file_wins_among_protocols_that_are_offered(void **state)
{
	struct conf *c = load_for("tcp", "routes = ( "
	    "{ alpn = \"h2\"; upstream = \"one\"; }, "
	    "{ sni = \"*\"; upstream = \"three\"; }, "
	    "{ alpn = \"http/1.1\"; upstream = \"two\"; } );");

	(void)state;
	GOES_TLS("a", "\x08http/1.1\x02h2", "one");
	GOES_TLS("a", "\x08http/1.1", "two");
	GOES_TLS("a", "\x02h3", "three");
	assert_string_equal(route_match_hello(&c->listeners[0],
	    NULL)->upstream->name, "three");
	conf_free(c);
}

static void
routes_without_names_ask_for_no_hello(void **state)
{
	struct conf *c = load_for("tcp", "routes = ( { sni = \"*\"; "
	    "upstream = \"one\"; } );");

	(void)state;
	assert_false(route_by_hello(&c->listeners[0]));
	GOES_TLS("a", "\x02h2", "one");
	conf_free(c);
	c = load_for("tcp", "upstream = \"two\";");
	assert_false(route_by_hello(&c->listeners[0]));
	GOES_TLS("a", "", "");
	conf_free(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exact_host_beats_suffix_beats_any),
		cmocka_unit_test(longest_suffix_wins_wherever_it_stands),
		cmocka_unit_test(suffix_takes_names_below_it_only),
		cmocka_unit_test(longest_path_prefix_wins_wherever_it_stands),
		cmocka_unit_test(host_goes_before_path),
		cmocka_unit_test(path_of_a_better_host_falls_through),
		cmocka_unit_test(port_case_and_root_dot_of_host_do_not_count),
		cmocka_unit_test(root_dot_of_the_file_does_not_count_either),
		cmocka_unit_test(literals_are_hosts_too),
		cmocka_unit_test(no_host_matches_routes_without_one),
		cmocka_unit_test(
		    without_routes_everything_goes_to_the_upstream),
		cmocka_unit_test(
		    sni_goes_before_alpn_and_exact_before_suffix),
		cmocka_unit_test(
		    first_of_the_file_wins_among_protocols_that_are_offered),
		cmocka_unit_test(routes_without_names_ask_for_no_hello)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
