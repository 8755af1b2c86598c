/*
 * net/addr: spellings accepted and refused, printing, comparing, networks.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/addr.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PATH_107 "/tttttttttttttttttttttttttttttttttttttttttttttttttttt" \
	"tttttttttttttttttttttttttttttttttttttttttttttttttttttt"
#define LABEL_63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
	"aaaaaaaaaaaaaaaaaaaaaaa"

static void
good_spellings_are_read(void **state)
{
	static const struct {
		const char *text, *host;
		unsigned    port;
		bool        is_unix, is_literal;
	} rows[] = {
		{ "127.0.0.1:80", "127.0.0.1", 80, false, true },
		{ "0.0.0.0:65535", "0.0.0.0", 65535, false, true },
		{ "[::1]:1", "::1", 1, false, true },
		{ "[2001:DB8::7]:443", "2001:DB8::7", 443, false, true },
		{ "[::ffff:1.2.3.4]:443", "::ffff:1.2.3.4", 443, false, true },
		{ "localhost:3000", "localhost", 3000, false, false },
		{ "my_app.default.svc.:80", "my_app.default.svc.", 80, false,
		    false },
		{ "3com.com:80", "3com.com", 80, false, false },
		{ LABEL_63 ".x:80", LABEL_63 ".x", 80, false, false },
		{ "unix:/run/weir/a.sock", "/run/weir/a.sock", 0, true,
		    false },
		{ "unix:" PATH_107, PATH_107, 0, true, false },
	};

	(void)state;
	for (size_t i = 0; i < NELEMS(rows); i++) {
		struct addr_text t;
		const char *why = NULL;

		assert_int_equal(addr_text_parse(rows[i].text, false, &t, &why),
		    0);
		assert_string_equal(t.host, rows[i].host);
		assert_int_equal(t.port, rows[i].port);
		assert_int_equal(t.is_unix, rows[i].is_unix);
		assert_int_equal(t.is_literal, rows[i].is_literal);
		addr_text_fini(&t);
		assert_null(t.host);
	}
}

static void
bad_spellings_say_why(void **state)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{ "", "the port is missing" },
		{ "localhost", "the port is missing" },
		{ "[::1]", "the port is missing" },
		{ "[::1]80", "the port is missing" },
		{ "[::1", "the port is missing" },
		{ "a:", "the port is missing" },
		{ ":80", "the host is missing" },
		{ "*:80", "the host is missing" },
		{ "::1:80", "an IPv6 address needs brackets" },
		{ "::1", "an IPv6 address needs brackets" },
		{ "http://a:80", "an IPv6 address needs brackets" },
		{ "a:99999", "port is out of range" },
		{ "a:65536", "port is out of range" },
		{ "a:18446744073709551696", "port is out of range" },
		{ "a:0", "port is out of range" },
		{ "a:-1", "port is not a number" },
		{ "a:+1", "port is not a number" },
		{ "a: 1", "port is not a number" },
		{ "a:80 ", "port is not a number" },
		{ "a:80/x", "port is not a number" },
		{ "127.0.0.256:80", "not a host name or an IP address" },
		{ "127.1:80", "not a host name or an IP address" },
		{ "2130706433:80", "not a host name or an IP address" },
		{ "1.2.3.4.:80", "not a host name or an IP address" },
		{ "a b:80", "not a host name or an IP address" },
		{ "a..b:80", "not a host name or an IP address" },
		{ ".a:80", "not a host name or an IP address" },
		{ LABEL_63 "a:80", "not a host name or an IP address" },
		{ ".:80", "a host name has 1 to 253 characters" },
		{ "[127.0.0.1]:80", "expected an IPv6 address" },
		{ "[fe80::1%lo]:80", "expected an IPv6 address" },
		{ "[]:80", "expected an IPv6 address" },
		{ "unix:", "expected an absolute path" },
		{ "unix:run/a", "expected an absolute path" },
		{ "unix:/run/", "expected an absolute path" },
		{ "unix:" PATH_107 "x", "the path is too long" },
	};

	(void)state;
	for (size_t i = 0; i < NELEMS(rows); i++) {
		struct addr_text t;
		const char *why = NULL;

		assert_int_equal(addr_text_parse(rows[i].text, false, &t, &why),
		    -1);
		assert_null(t.host);
		assert_non_null(why);
		if (strncmp(why, rows[i].why, strlen(rows[i].why)) != 0)
			fail_msg("%s: %s", rows[i].text, why);
	}
}

static void
name_of_254_bytes_is_refused(void **state)
{
	char text[300] = "";
	struct addr_text t;
	const char *why;

	(void)state;
	for (int i = 0; i < 126; i++)
		strcat(text, "a.");
	strcat(text, "a:80");                           /* 253 bytes */
	assert_int_equal(addr_text_parse(text, false, &t, &why), 0);
	addr_text_fini(&t);
	strcpy(text + 253, "b:80");
	assert_int_equal(addr_text_parse(text, false, &t, &why), -1);
}

static void
port_zero_is_for_those_who_ask(void **state)
{
	struct addr_text t;
	const char *why;

	(void)state;
	assert_int_equal(addr_text_parse("[::]:0", true, &t, &why), 0);
	assert_int_equal(t.port, 0);
	addr_text_fini(&t);
	assert_int_equal(addr_text_parse("[::]:0", false, &t, &why), -1);
}

static struct addr
addr_of(const char *text)
{
	struct addr_text t;
	struct addr a;
	const char *why = "";

	if (addr_text_parse(text, true, &t, &why) == -1)
		fail_msg("%s: %s", text, why);
	assert_int_equal(addr_from_text(&t, &a), 0);
	addr_text_fini(&t);
	return a;
}

static void
addresses_print_as_they_are_read(void **state)
{
	static const char *const rows[] = {
		"127.0.0.1:80", "[::1]:65535", "0.0.0.0:0",
		"[::ffff:1.2.3.4]:80", "unix:/run/a.sock", "unix:" PATH_107,
	};
	char out[ADDR_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < NELEMS(rows); i++) {
		struct addr a = addr_of(rows[i]);

		assert_string_equal(addr_print(&a, out), rows[i]);
	}
}

static void
names_have_no_address(void **state)
{
	struct addr_text t;
	struct addr a;
	const char *why;

	(void)state;
	assert_int_equal(addr_text_parse("localhost:80", false, &t, &why), 0);
	assert_int_equal(addr_from_text(&t, &a), -1);
	assert_int_equal(a.len, 0);
	addr_text_fini(&t);
}

static void
peers_without_a_name_print_too(void **state)
{
	struct addr unnamed = { .len = sizeof(sa_family_t) }, none = { 0 };
	struct addr abstract = { .un = { .sun_family = AF_UNIX } };
	struct addr_ip ip = { .family = AF_UNIX };
	char out[ADDR_TEXT_MAX];

	(void)state;
	unnamed.sa.sa_family = AF_UNIX;
	memcpy(abstract.un.sun_path, "\0a\n", 3);
	abstract.len = offsetof(struct sockaddr_un, sun_path) + 3;
	assert_string_equal(addr_print(&unnamed, out), "unix:");
	assert_string_equal(addr_print(&abstract, out), "unix:@a?");
	assert_string_equal(addr_print(&none, out), "-");
	assert_string_equal(addr_ip_print(&ip, true, out), "unix:");
	ip.family = 0;
	assert_string_equal(addr_ip_print(&ip, true, out), "-");
}

static void
longest_abstract_name_fits(void **state)
{
	struct addr a = { .un = { .sun_family = AF_UNIX } };
	char out[ADDR_TEXT_MAX];

	(void)state;
	memset(a.un.sun_path + 1, 'x', sizeof(a.un.sun_path) - 1);
	a.len = sizeof(a.un);
	assert_int_equal(strlen(addr_print(&a, out)), 5 + 108);
}

static void
equal_means_the_same_place(void **state)
{
	struct addr a = addr_of("127.0.0.1:80"), b = addr_of("127.0.0.1:81");
	struct addr c = addr_of("[::1]:80"), d = addr_of("[0:0::1]:80");
	struct addr e = addr_of("unix:/a"), f = addr_of("unix:/ab");
	struct addr none = { 0 };
	struct addr flow = c;

	(void)state;
	((struct sockaddr_in6 *)&flow.ss)->sin6_flowinfo = 7;
	assert_true(addr_equal(&a, &a));
	assert_false(addr_equal(&a, &b));
	assert_false(addr_equal(&a, &c));
	assert_true(addr_equal(&c, &d));
	assert_true(addr_equal(&c, &flow));
	assert_true(addr_equal(&e, &e));
	assert_false(addr_equal(&e, &f));
	assert_false(addr_equal(&a, &none));
	assert_true(addr_equal(&none, &none));
}

/* accept() counts no NUL after the path, bind() of others may. */
static void
final_nul_of_a_path_makes_no_difference(void **state)
{
	struct addr a = addr_of("unix:/a"), b = a;

	(void)state;
	b.len--;
	assert_true(addr_equal(&a, &b));
}

static void
mapped_addresses_become_ipv4(void **state)
{
	struct addr mapped = addr_of("[::ffff:10.1.2.3]:99");
	struct addr plain = addr_of("10.1.2.3:99"), v6 = addr_of("[::1]:5");
	struct addr_ip a, b;
	char out[ADDR_TEXT_MAX];

	(void)state;
	addr_to_ip(&mapped, &a);
	addr_to_ip(&plain, &b);
	assert_memory_equal(&a, &b, sizeof(a));
	assert_string_equal(addr_ip_print(&a, true, out), "10.1.2.3:99");
	assert_string_equal(addr_ip_print(&a, false, out), "10.1.2.3");
	addr_to_ip(&v6, &a);
	assert_string_equal(addr_ip_print(&a, true, out), "[::1]:5");
	assert_string_equal(addr_ip_print(&a, false, out), "::1");
}

static void
bad_networks_are_refused(void **state)
{
	static const char *const rows[] = {
		"", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1",
		"10.0.0.0/08", "10.0.0.0/8x", "10.0.0.0/ 8", "10.0.0.1/8",
		"10.0.0/8", "::1/129", "::1/64", "2001:db8::/9999", "host",
		"10.0.0.0/8/8", "10.0.0.0/4294967304",
		"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb",
	};
	struct addr_net n;

	(void)state;
	for (size_t i = 0; i < NELEMS(rows); i++)
		if (addr_net_parse(rows[i], &n) == 0)
			fail_msg("%s was accepted", rows[i]);
}

static void
networks_hold_their_own(void **state)
{
	static const struct {
		const char *net, *ip;
		bool        holds;
	} rows[] = {
		{ "10.0.0.0/8", "10.255.0.1:1", true },
		{ "10.0.0.0/8", "11.0.0.1:1", false },
		{ "10.0.0.0/8", "[::ffff:10.0.0.1]:1", true },
		{ "10.6.6.6", "10.6.6.6:1", true },
		{ "10.6.6.6", "10.6.6.7:1", false },
		{ "10.6.6.4/31", "10.6.6.5:1", true },
		{ "10.6.6.4/31", "10.6.6.6:1", false },
		{ "0.0.0.0/0", "1.2.3.4:1", true },
		{ "0.0.0.0/0", "[::1]:1", false },
		{ "::/0", "1.2.3.4:1", false },
		{ "::/0", "[::1]:1", true },
		{ "::1", "[::1]:1", true },
		{ "2001:db8::/33", "[2001:db8:7fff::1]:1", true },
		{ "2001:db8::/33", "[2001:db8:8000::1]:1", false },
		{ "::ffff:10.0.0.0/104", "10.9.9.9:1", true },
		{ "::ffff:10.0.0.0/104", "11.9.9.9:1", false },
		{ "0.0.0.0/0", "unix:/a", false },
	};

	(void)state;
	for (size_t i = 0; i < NELEMS(rows); i++) {
		struct addr a = addr_of(rows[i].ip);
		struct addr_net n;
		struct addr_ip ip;

		assert_int_equal(addr_net_parse(rows[i].net, &n), 0);
		addr_to_ip(&a, &ip);
		if (addr_net_holds(&n, &ip) != rows[i].holds)
			fail_msg("%s, %s", rows[i].net, rows[i].ip);
	}
}

static void
empty_network_holds_nothing(void **state)
{
	struct addr_net n = { 0 };
	struct addr_ip ip = { 0 };

	(void)state;
	assert_false(addr_net_holds(&n, &ip));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_spellings_are_read),
		cmocka_unit_test(bad_spellings_say_why),
		cmocka_unit_test(name_of_254_bytes_is_refused),
		cmocka_unit_test(port_zero_is_for_those_who_ask),
		cmocka_unit_test(addresses_print_as_they_are_read),
		cmocka_unit_test(names_have_no_address),
		cmocka_unit_test(peers_without_a_name_print_too),
		cmocka_unit_test(longest_abstract_name_fits),
		cmocka_unit_test(equal_means_the_same_place),
		cmocka_unit_test(final_nul_of_a_path_makes_no_difference),
		cmocka_unit_test(mapped_addresses_become_ipv4),
		cmocka_unit_test(bad_networks_are_refused),
		cmocka_unit_test(networks_hold_their_own),
		cmocka_unit_test(empty_network_holds_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
