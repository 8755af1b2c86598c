/*
 * Heads as they are written: requests towards the upstream, answers towards the
 * client.
 *
 * SPDX-License-Identifier: MIT
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/desk.h"

static struct desk d;

static void
ask(const char *request)
{
	if (!desk_ask(&d, request, strlen(request)))
		fail_msg("refused: %s\n%s", http_of(d.x)->head->why, request);
}

/* The request of ask(), as it goes upstream. */
static const char *
sent(void)
{
	buf_clear(desk_store(&d), &d.u.conn.out);
	assert_int_equal(http_write_request(d.x, &d.u, &d.u.conn.out), 0);
	return desk_text(&d, &d.u.conn.out);
}

/* An answer to it, as it goes to the client. */
static const char *
given(const char *answer)
{
	struct buf *out = &d.x->s->conn.out;

	if (!desk_answer(&d, answer, strlen(answer)))
		fail_msg("refused: %s\n%s", http_of(d.x)->answer->why, answer);
	buf_clear(desk_store(&d), out);
	assert_int_equal(http_write_answer(d.x), 0);
	(void)desk_text(&d, out);
	buf_clear(desk_store(&d), out);
	return d.text;
}

#define HAS(text, line) do {                                                  \
	if (strstr(text, "\r\n" line "\r\n") == NULL)                         \
		fail_msg("lacks \"%s\":\n%s", line, text);                    \
} while (0)

#define LACKS(text, part) do {                                                \
	if (strcasestr(text, part) != NULL)                                   \
		fail_msg("has \"%s\":\n%s", part, text);                      \
} while (0)

/* ----------------------------------------------------------------- requests */

static void
plain_request_is_written_to_the_byte(void **state)
{
	(void)state;
	desk_open(&d, "192.0.2.7", "", "");
	ask("GET /a?b=c HTTP/1.1\r\nHost: www.example.com:8080\r\n"
	    "Accept:*/*\r\nX-Empty:\r\n\r\n");
	assert_string_equal(sent(), "GET /a?b=c HTTP/1.1\r\n"
	    "Host: www.example.com:8080\r\nAccept: */*\r\nX-Empty: \r\n"
	    "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\n"
	    "X-Forwarded-Host: www.example.com:8080\r\nVia: 1.1 weir\r\n\r\n");
	desk_close(&d);
}

static void
hop_by_hop_fields_stay_here(void **state)
{
	const char *text;

	(void)state;
	desk_open(&d, "192.0.2.7", "", "");
	ask("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Mine\r\n"
	    "Connection: x-other\r\nKeep-Alive: timeout=5\r\n"
	    "Proxy-Connection: keep-alive\r\nX-Mine: 1\r\nX-Other: 2\r\n"
	    "X-Mine: 3\r\nHTTP2-Settings: AAAA\r\nTE: gzip\r\nX-Stays: 4\r\n"
	    "\r\n");
	text = sent();
	LACKS(text, "Connection");
	LACKS(text, "Keep-Alive");
	LACKS(text, "X-Mine");
	LACKS(text, "X-Other");
	LACKS(text, "HTTP2-Settings");
	LACKS(text, "\r\nTE");
	HAS(text, "X-Stays: 4");
	desk_close(&d);
}

static void
client_cannot_name_away_what_weir_says(void **state)
{
	const char *text;

	(void)state;
	desk_open(&d, "192.0.2.7", "", "");
	ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nVia: 1.0 b\r\n"
	    "Connection: Host, Content-Length, X-Forwarded-For, Via\r\n\r\n");
	text = sent();
	HAS(text, "Host: a");
	HAS(text, "Content-Length: 3");
	HAS(text, "X-Forwarded-For: 192.0.2.7");
	HAS(text, "Via: 1.0 b");
	HAS(text, "Via: 1.1 weir");
	desk_close(&d);
}

static void
host_is_kept_or_the_endpoints_or_a_name(void **state)
{
	static const char with[] = "GET / HTTP/1.1\r\nHost: a.org:81\r\n\r\n";
	static const char without[] = "GET / HTTP/1.0\r\n\r\n";

	(void)state;
	desk_open(&d, "192.0.2.7", "", "");
	ask(with);
	HAS(sent(), "Host: a.org:81");
	ask(without);
	HAS(sent(), "Host: origin.internal:3000");
	LACKS(sent(), "X-Forwarded-Host");
	ask("GET http://b.org/x HTTP/1.1\r\nHost: b.org\r\n\r\n");
	HAS(sent(), "Host: b.org");
	assert_memory_equal(d.text, "GET /x HTTP/1.1\r\n", 17);
	desk_close(&d);

	desk_open(&d, "192.0.2.7", "", "http = { host = \"upstream\"; };");
	ask(with);
	HAS(sent(), "Host: origin.internal:3000");
	HAS(sent(), "X-Forwarded-Host: a.org:81");
	LACKS(sent(), "\r\nHost: a.org");
	desk_close(&d);

	desk_open(&d, "192.0.2.7", "", "http = { host = \"api.internal\"; };");
	ask(with);
	HAS(sent(), "Host: api.internal");
	LACKS(sent(), "\r\nHost: a.org");
	ask(without);
	HAS(sent(), "Host: api.internal");
	desk_close(&d);
}

static void
target_goes_upstream_in_origin_form(void **state)
{
	static const char *const rows[][2] = {
		{ "GET http://a HTTP/1.1", "GET / HTTP/1.1\r\n" },
		{ "GET http://a/p?q HTTP/1.1", "GET /p?q HTTP/1.1\r\n" },
		{ "OPTIONS http://a HTTP/1.1", "OPTIONS * HTTP/1.1\r\n" },
		{ "OPTIONS * HTTP/1.1", "OPTIONS * HTTP/1.1\r\n" },
		{ "BREW /x HTTP/1.0", "BREW /x HTTP/1.1\r\n" }
	};
	char request[256];
	size_t i;

	(void)state;
	desk_open(&d, "192.0.2.7", "", "");
	for (i = 0; i < NELEMS(rows); i++) {
		snprintf(request, sizeof(request), "%s\r\nHost: a\r\n\r\n",
		    rows[i][0]);
		ask(request);
		assert_int_equal(strncmp(sent(), rows[i][1],
		    strlen(rows[i][1])), 0);
	}
	desk_close(&d);
}

#define FORWARDED \
	"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 198.51.100.1\r\n" \
	"X-Forwarded-For:\r\nX-Forwarded-For: 10.0.0.3\r\n" \
	"X-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.org\r\n" \
	"Forwarded: for=198.51.100.1\r\n\r\n"

static void
trusted_peer_is_believed_and_added_to(void **state)
{
	static const char trusting[] =
	    "http = { trusted = ( \"10.0.0.0/8\", \"::1\" ); };";
	const char *text;

	(void)state;
	desk_open(&d, "10.1.2.3", trusting, "");
	ask(FORWARDED);
	text = sent();
	HAS(text, "X-Forwarded-For: 198.51.100.1, 10.0.0.3, 10.1.2.3");
	HAS(text, "X-Forwarded-Proto: https");
	HAS(text, "X-Forwarded-Host: shop.org");
	HAS(text, "Forwarded: for=198.51.100.1");
	LACKS(text, "Proto: http\r\n");
	LACKS(text, "X-Forwarded-Host: a");
	ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	text = sent();
	HAS(text, "X-Forwarded-For: 10.1.2.3");
	HAS(text, "X-Forwarded-Proto: http");
	HAS(text, "X-Forwarded-Host: a");
	desk_close(&d);

	desk_open(&d, "::1", trusting, "");
	ask(FORWARDED);
	HAS(sent(), "X-Forwarded-For: 198.51.100.1, 10.0.0.3, ::1");
	desk_close(&d);
}

static void
what_others_say_of_themselves_is_written_anew(void **state)
{
	static const char *const keys[][2] = {
		{ "11.1.2.3", "http = { trusted = ( \"10.0.0.0/8\" ); };" },
		{ "11.1.2.3", "" },
		{ "11.1.2.3", "http = { forwarded = \"replace\"; "
		    "trusted = ( \"11.0.0.0/8\" ); };" }
	};
	const char *text;
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(keys); i++) {
		desk_open(&d, keys[i][0], keys[i][1], "");
		ask(FORWARDED);
		text = sent();
		HAS(text, "X-Forwarded-For: 11.1.2.3");
		HAS(text, "X-Forwarded-Proto: http");
		HAS(text, "X-Forwarded-Host: a");
		LACKS(text, "198.51.100.1");
		LACKS(text, "https");
		LACKS(text, "shop.org");
		desk_close(&d);
	}
}

static void
unix_client_has_no_address_to_tell(void **state)
{
	(void)state;
	desk_open(&d, "unix", "", "");
	ask(FORWARDED);
	HAS(sent(), "X-Forwarded-For: unknown");
	desk_close(&d);
}

static void
forwarded_off_leaves_all_alone(void **state)
{
	const char *text;

	(void)state;
	desk_open(&d, "11.1.2.3", "http = { forwarded = \"off\"; };", "");
	ask(FORWARDED);
	text = sent();
	HAS(text, "X-Forwarded-For: 198.51.100.1");
	HAS(text, "X-Forwarded-For: 10.0.0.3");
	HAS(text, "X-Forwarded-Proto: https");
	HAS(text, "X-Forwarded-Host: shop.org");
	HAS(text, "Forwarded: for=198.51.100.1");
	LACKS(text, "11.1.2.3");
	LACKS(text, "Via");
	desk_close(&d);
}

static void
fields_are_set_and_removed(void **state)
{
	const char *text;

	(void)state;
	desk_open(&d, "11.1.2.3", "", "http = { set_headers = { "
	    "X-Via = \"weir\"; X-None = \"\"; }; "
	    "remove_headers = ( \"X-Debug\", \"Cookie\" ); };");
	ask("GET / HTTP/1.1\r\nHost: a\r\nx-via: spoof\r\nX-VIA: twice\r\n"
	    "x-debug: 1\r\nCookie: a=b\r\nX-Debug-Too: 2\r\n\r\n");
	text = sent();
	HAS(text, "X-Via: weir");
	HAS(text, "X-None: ");
	HAS(text, "X-Debug-Too: 2");
	LACKS(text, "spoof");
	LACKS(text, "twice");
	LACKS(text, "X-Debug: ");
	LACKS(text, "Cookie");
	desk_close(&d);
}

static void
upgrade_is_asked_for_only_when_passed_on(void **state)
{
	static const char upgrading[] = "GET / HTTP/1.1\r\nHost: a\r\n"
	    "Connection: Upgrade, TE\r\nTE: trailers\r\n"
	    "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n";
	const char *text;

	(void)state;
	desk_open(&d, "11.1.2.3", "", "");
	ask(upgrading);
	text = sent();
	HAS(text, "Upgrade: websocket");
	HAS(text, "TE: trailers\r\nConnection: Upgrade, TE");
	HAS(text, "Sec-WebSocket-Version: 13");
	ask(upgrading);
	http_of(d.x)->upgrade = false;
	text = sent();
	LACKS(text, "websocket\r\n");
	HAS(text, "TE: trailers\r\nConnection: TE");
	ask("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n"
	    "Upgrade: foo/2\r\n\r\n");
	HAS(sent(), "Upgrade: foo/2\r\nConnection: Upgrade");
	desk_close(&d);
}

static void
te_goes_on_for_trailers_alone(void **state)
{
	const char *text;

	(void)state;
	desk_open(&d, "11.1.2.3", "", "");
	ask("GET / HTTP/1.1\r\nHost: a\r\nTE: gzip;q=0.5, trailers\r\n"
	    "Connection: TE\r\n\r\n");
	text = sent();
	HAS(text, "TE: trailers\r\nConnection: TE");
	LACKS(text, "gzip");
	desk_close(&d);
}

static void
body_is_framed_as_it_came(void **state)
{
	const char *text;

	(void)state;
	desk_open(&d, "11.1.2.3", "", "");
	ask("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 00042\r\n\r\n");
	HAS(sent(), "Content-Length: 42");
	ask("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
	HAS(sent(), "Content-Length: 0");
	ask("PUT / HTTP/1.1\r\nHost: a\r\n"
	    "Content-Length: 9223372036854775807\r\n\r\n");
	HAS(sent(), "Content-Length: 9223372036854775807");
	ask("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n"
	    "Trailer: X-Sum\r\n\r\n");
	text = sent();
	HAS(text, "Transfer-Encoding: chunked");
	HAS(text, "Trailer: X-Sum");
	ask("PUT / HTTP/1.1\r\nHost: a\r\n\r\n");
	LACKS(sent(), "Content-Length");
	desk_close(&d);
}

/* ------------------------------------------------------------------ answers */

#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define HEAD "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
#define GET_10 "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"

static void
answer_loses_its_hop_by_hop_fields(void **state)
{
	(void)state;
	desk_open(&d, "11.1.2.3", "", "");
	ask(GET);
	assert_string_equal(given("HTTP/1.0 200 Fine\r\nServer:x\r\n"
	    "Connection: keep-alive, X-Mine\r\nKeep-Alive: timeout=5\r\n"
	    "X-Mine: 1\r\nContent-Length: 5\r\nDate: now\r\n\r\n"),
	    "HTTP/1.1 200 Fine\r\nServer: x\r\nDate: now\r\n"
	    "Content-Length: 5\r\n\r\n");
	assert_string_equal(given("HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n"),
	    "HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n");
	desk_close(&d);
}

static void
answer_without_body_keeps_the_length_of_what_was_not_sent(void **state)
{
	(void)state;
	desk_open(&d, "11.1.2.3", "", "");
	ask(HEAD);
	assert_string_equal(given("HTTP/1.1 200 OK\r\n"
	    "Content-Length: 1234\r\n\r\n"),
	    "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n");
	assert_string_equal(given("HTTP/1.1 200 OK\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n"), "HTTP/1.1 200 OK\r\n\r\n");
	ask(GET);
	assert_string_equal(given("HTTP/1.1 304 Not Modified\r\nETag: x\r\n"
	    "Content-Length: 99\r\n\r\n"), "HTTP/1.1 304 Not Modified\r\n"
	    "ETag: x\r\nContent-Length: 99\r\n\r\n");
	/* RFC 9110 8.6: a 204 has none, whoever asked. */
	assert_string_equal(given("HTTP/1.1 204 No Content\r\n"
	    "Content-Length: 7\r\n\r\n"), "HTTP/1.1 204 No Content\r\n\r\n");
	ask(HEAD);
	assert_string_equal(given("HTTP/1.1 204 No Content\r\n"
	    "Content-Length: 7\r\n\r\n"), "HTTP/1.1 204 No Content\r\n\r\n");
	assert_string_equal(given("HTTP/1.1 204 No Content\r\n"
	    "Content-Length: 0\r\n\r\n"), "HTTP/1.1 204 No Content\r\n\r\n");
	desk_close(&d);
}

static void
connection_of_an_answer_is_this_hops(void **state)
{
	static const char fine[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
	    "Connection: close\r\n\r\n";

	(void)state;
	desk_open(&d, "11.1.2.3", "", "");
	ask(GET);
	assert_string_equal(given(fine),
	    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	http_of(d.x)->keep = false;
	HAS(given(fine), "Connection: close");
	/* RFC 9112 9.3: an HTTP/1.0 client has to be told that it goes on. */
	ask(GET_10);
	HAS(given(fine), "Connection: keep-alive");
	http_of(d.x)->keep = false;
	HAS(given(fine), "Connection: close");
	desk_close(&d);
}

static void
answer_is_chunked_when_the_front_says_so(void **state)
{
	static const char *const answers[] = {
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
		"HTTP/1.0 200 OK\r\n\r\n"
	};
	size_t i;

	(void)state;
	desk_open(&d, "11.1.2.3", "", "");
	for (i = 0; i < NELEMS(answers); i++) {
		ask(GET);
		http_of(d.x)->chunk_down = true;
		assert_string_equal(given(answers[i]), "HTTP/1.1 200 OK\r\n"
		    "Transfer-Encoding: chunked\r\n\r\n");
		ask(GET_10);
		http_of(d.x)->keep = false;
		assert_string_equal(given(answers[i]), "HTTP/1.1 200 OK\r\n"
		    "Connection: close\r\n\r\n");
	}
	desk_close(&d);
}

static void
interim_answer_says_nothing_of_the_connection(void **state)
{
	(void)state;
	desk_open(&d, "11.1.2.3", "", "");
	ask(GET);
	http_of(d.x)->keep = false;
	assert_string_equal(given("HTTP/1.1 103 Early Hints\r\nLink: x\r\n"
	    "Connection: close\r\n\r\n"),
	    "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
	assert_string_equal(given("HTTP/1.1 101 Switching Protocols\r\n"
	    "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
	    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
	    "Connection: Upgrade\r\n\r\n");
	desk_close(&d);
}

static void
own_answer_to_head_has_no_body(void **state)
{
	struct buf *out;

	(void)state;
	desk_open(&d, "11.1.2.3", "", "");
	ask(HEAD);
	http_of(d.x)->taking = TAKEN;
	assert_int_equal(http_write_failure(d.x, 502, "bad", "text"), 0);
	out = &d.x->s->conn.out;
	HAS(desk_text(&d, out), "Content-Length: 14");
	assert_string_equal(strstr(d.text, "\r\n\r\n"), "\r\n\r\n");
	buf_clear(desk_store(&d), out);
	desk_close(&d);
}

static void
refused_method_is_told_which_are_not(void **state)
{
	struct buf *out;

	(void)state;
	desk_open(&d, "11.1.2.3", "", "");
	ask(GET_10);
	assert_int_equal(http_write_failure(d.x, 405, "method", "text"), 0);
	out = &d.x->s->conn.out;
	/* RFC 9110 15.5.6: a 405 has Allow. */
	assert_non_null(strstr(desk_text(&d, out), "\r\nAllow: GET, HEAD, "));
	HAS(d.text, "Connection: keep-alive");
	buf_clear(desk_store(&d), out);
	desk_close(&d);
}

static void
forwarding_field_that_is_set_is_there_once(void **state)
{
	const char *text;

	(void)state;
	desk_open(&d, "10.1.2.3", "http = { trusted = ( \"10.0.0.0/8\" ); };",
	    "http = { set_headers = { X-Forwarded-Proto = \"https\"; "
	    "X-Forwarded-For = \"hidden\"; Via = \"1.1 edge\"; }; "
	    "remove_headers = ( \"x-forwarded-host\" ); };");
	ask(FORWARDED);
	text = sent();
	HAS(text, "X-Forwarded-Proto: https");
	HAS(text, "X-Forwarded-For: hidden");
	HAS(text, "Via: 1.1 edge");
	LACKS(text, "10.1.2.3");
	LACKS(text, "198.51.100.1, ");
	LACKS(text, "X-Forwarded-Host");
	LACKS(text, "weir");
	LACKS(text, "Proto: http\r\n");
	ask(GET);
	assert_string_equal(sent(), "GET / HTTP/1.1\r\nHost: a\r\n"
	    "X-Forwarded-Proto: https\r\nX-Forwarded-For: hidden\r\n"
	    "Via: 1.1 edge\r\n\r\n");
	desk_close(&d);
}

#define TEST(f) cmocka_unit_test(f)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(plain_request_is_written_to_the_byte),
		TEST(hop_by_hop_fields_stay_here),
		TEST(client_cannot_name_away_what_weir_says),
		TEST(host_is_kept_or_the_endpoints_or_a_name),
		TEST(target_goes_upstream_in_origin_form),
		TEST(trusted_peer_is_believed_and_added_to),
		TEST(what_others_say_of_themselves_is_written_anew),
		TEST(unix_client_has_no_address_to_tell),
		TEST(forwarded_off_leaves_all_alone),
		TEST(fields_are_set_and_removed),
		TEST(upgrade_is_asked_for_only_when_passed_on),
		TEST(te_goes_on_for_trailers_alone),
		TEST(body_is_framed_as_it_came),
		TEST(answer_loses_its_hop_by_hop_fields),
		TEST(answer_without_body_keeps_the_length_of_what_was_not_sent),
		TEST(connection_of_an_answer_is_this_hops),
		TEST(answer_is_chunked_when_the_front_says_so),
		TEST(interim_answer_says_nothing_of_the_connection),
		TEST(own_answer_to_head_has_no_body),
		TEST(refused_method_is_told_which_are_not),
		TEST(forwarding_field_that_is_set_is_there_once)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
