/*
 * proxy/access: what a line of the access log says of an exchange, in both
 * formats, whatever the client has sent.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/access.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "conf/log_fields.h"
#include "net/ring.h"
#include "proxy/access_fields.h"
#include "proxy/exchange.h"
#include "proxy/runtime.h"

/* An exchange with everything around it that is looked at. */
static struct access_words words;
static struct proto proto;
static struct lane lane;
static struct door door;
static struct listener *listener;
static struct generation *gen;
static struct conf conf;
static struct conf_listener web;
static struct conf_upstream app;
static struct endpoint endpoint;
static struct session session;
static struct exchange x;
static char line[RING_LINE_MAX + 1];
static char target_log[] = "/var/log/weir/access.log", off[] = "off";
static char web_name[] = "web", app_name[] = "app", b_name[] = "b";

static void
fake_words(const struct exchange *of, struct access_words *to)
{
	assert_ptr_equal(of, &x);
	*to = words;
}

/* A request's field "Referer"; it has no others. */
static const char *
fake_header(const struct exchange *of, const char *name, size_t *len)
{
	assert_ptr_equal(of, &x);
	*len = strcmp(name, "Referer") == 0 ? 9 : 0;
	return *len > 0 ? "\"there\" \n" : NULL;
}

static const struct front_ops fake_front = { .words = fake_words,
	.header = fake_header };
static const struct front_ops silent_front = { .words = NULL };

static void
say(const char *request, const char *host, const char *agent)
{
	words = (struct access_words){ .request = request,
	    .request_len = strlen(request), .is_line = true, .host = host,
	    .host_len = strlen(host), .agent = agent,
	    .agent_len = strlen(agent) };
}

static int64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static int
begin(void **state)
{
	(void)state;
	memset(&lane, 0, sizeof(lane));
	memset(&session, 0, sizeof(session));
	memset(&x, 0, sizeof(x));
	memset(&conf, 0, sizeof(conf));
	listener = calloc(1, sizeof(*listener) + sizeof(void *));
	gen = calloc(1, sizeof(*gen) + sizeof(unsigned));
	session.front = &fake_front;
	listener->proto = &proto;
	door.listener = listener;
	door.lane = &lane;
	conf.log.access = target_log;
	gen->conf = &conf;
	web.name = web_name;
	app.name = app_name;
	endpoint.name = b_name;
	lane.access = ring_new(NULL, BELL_ANY);
	lane.worker.now_ns = now_ns();
	session.door = &door;
	session.client = (struct addr_ip){ .ip = { 10, 0, 200, 7 },
	    .port = 54321, .family = AF_INET };
	session.conn.received = 5000;
	session.conn.sent = 90000;
	x = (struct exchange){ .s = &session, .gen = gen, .policy = &web,
	    .upstream = &app, .endpoint = &endpoint, .status = 200,
	    .outcome = OUTCOME_2XX, .in_at = 4900, .out_at = 89000,
	    .begun_ns = lane.worker.now_ns - 2345 * 1000,
	    .queue_ns = 12000, .connect_ns = 9999, .first_ns = 1500999,
	    .reused = true };
	conf.log.n_fields = 0;
	say("GET /a?b=c HTTP/1.1", "example.com", "curl/8.0");
	return 0;
}

static int
end(void **state)
{
	(void)state;
	ring_free(lane.access);
	access_plan_free(gen->access);
	free(listener);
	free(gen);
	return 0;
}

/* The line that was logged, without its newline; "" = none. */
static const char *
logged(void)
{
	const char *at;
	size_t len;

	access_plan_free(gen->access);
	gen->access = access_plan_new(&conf);
	assert_non_null(gen->access);
	access_log(&x);
	len = ring_front(lane.access, &at);
	if (len == 0)
		return "";
	assert_true(len < sizeof(line));
	memcpy(line, at, len);
	assert_int_equal(line[len - 1], '\n');
	line[len - 1] = '\0';
	ring_take(lane.access, len);
	assert_true(ring_is_empty(lane.access));
	/* One line it is. */
	assert_int_equal(strlen(line), len - 1);
	assert_null(strpbrk(line, "\n\r\x1b"));
	return line;
}

static const char *
text(void)
{
	conf.log.format = CONF_LOG_TEXT;
	return logged();
}

static json_t *
json(void)
{
	json_error_t error;
	json_t *o;

	conf.log.format = CONF_LOG_JSON;
	o = json_loads(logged(), JSON_REJECT_DUPLICATES, &error);
	if (o == NULL)
		fail_msg("%s: %s", error.text, line);
	return o;
}

static const char *
string(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	if (s == NULL)
		fail_msg("no text \"%s\" in %s", key, line);
	return s;
}

static long long
number(const json_t *o, const char *key)
{
	const json_t *n = json_object_get(o, key);

	if (!json_is_integer(n))
		fail_msg("no number \"%s\" in %s", key, line);
	return json_integer_value(n);
}

/* ---------------------------------------------------------------- the facts */

static void
text_has_every_fact_in_its_place(void **state)
{
	(void)state;
	assert_string_equal(text() + 24, " 10.0.200.7:54321 web app/b "
	    "\"GET /a?b=c HTTP/1.1\" 200 2xx 100 1000 12/9/1500/2345 reused 0 "
	    "- \"example.com\" \"curl/8.0\"");
	x.why = FAIL_CONNECT_FAILED;
	x.outcome = OUTCOME_5XX;
	x.status = 502;
	x.reused = false;
	x.retries = 3;
	x.first_ns = 0;
	assert_string_equal(text() + 24, " 10.0.200.7:54321 web app/b "
	    "\"GET /a?b=c HTTP/1.1\" 502 5xx 100 1000 12/9/0/2345 new 3 "
	    "connect_failed \"example.com\" \"curl/8.0\"");
}

static void
json_has_every_fact(void **state)
{
	json_t *o = json();

	(void)state;
	assert_int_equal(json_object_size(o), 19);
	assert_string_equal(string(o, "client"), "10.0.200.7:54321");
	assert_string_equal(string(o, "listener"), "web");
	assert_string_equal(string(o, "upstream"), "app");
	assert_string_equal(string(o, "endpoint"), "b");
	assert_string_equal(string(o, "request"), "GET /a?b=c HTTP/1.1");
	assert_string_equal(string(o, "host"), "example.com");
	assert_string_equal(string(o, "agent"), "curl/8.0");
	assert_int_equal(number(o, "status"), 200);
	assert_string_equal(string(o, "outcome"), "2xx");
	assert_int_equal(number(o, "received"), 100);
	assert_int_equal(number(o, "sent"), 1000);
	assert_int_equal(number(o, "queue_us"), 12);
	assert_int_equal(number(o, "connect_us"), 9);
	assert_int_equal(number(o, "first_byte_us"), 1500);
	assert_int_equal(number(o, "total_us"), 2345);
	assert_true(json_is_true(json_object_get(o, "reused")));
	assert_int_equal(number(o, "retries"), 0);
	assert_string_equal(string(o, "failure"), "");
	assert_int_equal(strlen(string(o, "time")), 24);
	json_decref(o);
	/* Byte for byte: people have parsers for it. */
	assert_string_equal(strstr(line, ",\"client"),
	    ",\"client\":\"10.0.200.7:54321\",\"listener\":\"web\","
	    "\"upstream\":\"app\",\"endpoint\":\"b\","
	    "\"request\":\"GET /a?b=c HTTP/1.1\","
	    "\"host\":\"example.com\",\"agent\":\"curl/8.0\","
	    "\"status\":200,\"outcome\":\"2xx\",\"received\":100,"
	    "\"sent\":1000,\"queue_us\":12,\"connect_us\":9,"
	    "\"first_byte_us\":1500,\"total_us\":2345,\"reused\":true,"
	    "\"retries\":0,\"failure\":\"\"}");
}

/* It never got as far as an upstream, and the protocol has no words. */
static void
what_is_not_known_is_left_empty(void **state)
{
	json_t *o;

	(void)state;
	session.front = &silent_front;
	x.upstream = NULL;
	x.endpoint = NULL;
	x.status = 0;
	x.outcome = OUTCOME_FAILED;
	x.why = FAIL_NO_ROUTE;
	x.reused = false;
	x.queue_ns = x.connect_ns = x.first_ns = 0;
	assert_string_equal(text() + 24, " 10.0.200.7:54321 web -/- \"-\" - "
	    "failed 100 1000 0/0/0/2345 new 0 no_route \"-\" \"-\"");
	o = json();
	assert_int_equal(json_object_size(o), 19);
	assert_string_equal(string(o, "upstream"), "");
	assert_string_equal(string(o, "endpoint"), "");
	assert_string_equal(string(o, "request"), "");
	assert_int_equal(number(o, "status"), 0);
	assert_true(json_is_false(json_object_get(o, "reused")));
	assert_string_equal(string(o, "failure"), "no_route");
	json_decref(o);
}

static void
clients_of_every_family(void **state)
{
	json_t *o;

	(void)state;
	session.client = (struct addr_ip){ .family = AF_INET6, .port = 1,
	    .ip = { 0x20, 1, 0xd, 0xb8, [15] = 9 } };
	o = json();
	assert_string_equal(string(o, "client"), "[2001:db8::9]:1");
	json_decref(o);
	session.client = (struct addr_ip){ .family = AF_UNIX };
	o = json();
	assert_string_equal(string(o, "client"), "unix:");
	json_decref(o);
	session.client = (struct addr_ip){ .family = AF_INET, .port = 65535,
	    .ip = { 255, 255, 0, 99 } };
	assert_memory_equal(text() + 25, "255.255.0.99:65535 ", 19);
}

/* Bytes that wait in the queues are on either side of the exchange's end. */
static void
bytes_are_those_of_the_exchange_alone(void **state)
{
	json_t *o;

	(void)state;
	session.conn.in.len = 30;       /* of the next request */
	session.conn.out.len = 400;     /* of this answer */
	o = json();
	assert_int_equal(number(o, "received"), 70);
	assert_int_equal(number(o, "sent"), 1400);
	json_decref(o);
	/* What was thrown away with the connection was not sent. */
	session.conn.out.len = 0;
	x.out_at = 90001;
	o = json();
	assert_int_equal(number(o, "sent"), 0);
	json_decref(o);
	session.conn.received = UINT64_MAX - 1;
	session.conn.in.len = 0;
	x.in_at = 0;
	assert_non_null(strstr(text(), " 18446744073709551614 0 "));
}

static void
numbers_of_every_length(void **state)
{
	uint64_t n, seen;
	char *rest;

	(void)state;
	x.in_at = 0;
	for (n = 1; n < UINT64_MAX / 100; n = n * 3 + n % 7) {
		session.conn.received = n;
		seen = strtoull(strstr(text(), " 2xx ") + 5, &rest, 10);
		assert_true(seen == n);
		assert_int_equal(*rest, ' ');
	}
}

/* --------------------------------------------------------------------- time */

/* Seconds since 1970 of the line's time, with its milliseconds. */
static double
time_of(const char *stamp)
{
	struct tm tm = { 0 };
	char *ms = strptime(stamp, "%Y-%m-%dT%H:%M:%S", &tm);

	assert_non_null(ms);
	assert_int_equal(ms[0], '.');
	assert_int_equal(ms[4], 'Z');
	return (double)timegm(&tm) + strtod(ms, NULL);
}

static double
wall(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
time_is_that_of_the_loop_turn(void **state)
{
	int64_t first = now_ns(), step;
	double before = wall(), t;

	(void)state;
	for (step = 0; step < 5000; step += 7) {
		lane.worker.now_ns = first + step * NS_PER_MS;
		t = time_of(text());
		/* The clock's offset is looked at anew while this runs. */
		assert_true(t > before + (double)step / 1000 - 0.01);
		assert_true(t < wall() + (double)step / 1000 + 0.01);
	}
}

/* ---------------------------------------------------------- hostile clients */

static void
nobody_forges_a_line_or_a_field(void **state)
{
	json_t *o;

	(void)state;
	say("GET /\"\n2026-01-01T00:00:00.000Z HTTP/1.1", "h\r\x1b[2J",
	    "\\\",\"status\":999,\"x\":\"");
	assert_string_equal(strstr(text(), "\"GET"),
	    "\"GET /\\\"\\x0a2026-01-01T00:00:00.000Z HTTP/1.1\" 200 2xx "
	    "100 1000 12/9/1500/2345 reused 0 - \"h\\x0d\\x1b[2J\" "
	    "\"\\\\\\\",\\\"status\\\":999,\\\"x\\\":\\\"\"");
	o = json();
	assert_string_equal(string(o, "request"), words.request);
	assert_string_equal(string(o, "host"), words.host);
	assert_string_equal(string(o, "agent"), words.agent);
	assert_int_equal(number(o, "status"), 200);
	json_decref(o);
}

/* Any bytes, of any length: JSON stays JSON, and nothing is written where it
   was not reserved. */
static void
random_bytes_make_valid_lines(void **state)
{
	static char bytes[3][4000];
	int i, j;

	(void)state;
	srand(11);
	for (i = 0; i < 5000; i++) {
		size_t n[3];
		json_t *o;

		for (j = 0; j < 3; j++) {
			size_t k;

			n[j] = (size_t)(rand() % 4 == 0 ? rand() % 4000 :
			    rand() % 60);
			for (k = 0; k < n[j]; k++)
				bytes[j][k] = (char)(rand() % 4 ? rand() :
				    rand() % 32);
		}
		words = (struct access_words){ .request = bytes[0],
		    .request_len = n[0], .host = bytes[1], .host_len = n[1],
		    .agent = bytes[2], .agent_len = n[2] };
		/* A NUL is escaped, and json_loads() takes it as an error. */
		for (j = 0; j < 3; j++) {
			char *nul;

			while ((nul = memchr(bytes[j], 0, n[j])) != NULL)
				*nul = 1;
		}
		o = json();
		assert_int_equal(json_object_size(o), 19);
		json_decref(o);
		assert_true(strlen(text()) > 100);
	}
	assert_int_equal(ring_dropped(lane.access), 0);
}

static void
long_words_are_cut_with_a_mark(void **state)
{
	static char many[8000];
	json_t *o;
	size_t i;

	(void)state;
	memset(many, 'a', sizeof(many));
	words = (struct access_words){ .request = many, .request_len = 2048,
	    .host = many, .host_len = 256, .agent = many, .agent_len = 512 };
	o = json();
	assert_int_equal(strlen(string(o, "request")), 2048);
	assert_int_equal(strlen(string(o, "host")), 256);
	assert_int_equal(strlen(string(o, "agent")), 512);
	json_decref(o);
	words = (struct access_words){ .request = many, .request_len = 2049,
	    .host = many, .host_len = 257, .agent = many, .agent_len = 8000 };
	o = json();
	assert_int_equal(strlen(string(o, "request")), 2051);
	assert_string_equal(string(o, "request") + 2046, "aa...");
	assert_int_equal(strlen(string(o, "host")), 259);
	assert_int_equal(strlen(string(o, "agent")), 515);
	json_decref(o);
	/* Every byte six times as long. */
	memset(many, 1, sizeof(many));
	o = json();
	assert_int_equal(strlen(string(o, "request")), 2051);
	json_decref(o);
	/* No character is cut in two. */
	for (i = 0; i + 3 <= sizeof(many); i += 3)
		memcpy(many + i, "\xe2\x82\xac", 3);
	o = json();
	assert_int_equal(strlen(string(o, "request")), 2046 + 3);
	assert_null(strchr(line, '\\'));
	json_decref(o);
}

/* ------------------------------------------------------------------- fields */

static struct conf_log_field fields[CONF_N_FIELDS];

/* log.fields, of the names that end with NULL. */
static void
wish(const char *const *names)
{
	size_t n = 0, i;

	for (; *names != NULL; names++, n++) {
		for (i = 0; i < CONF_FIELD_HEADER; i++)
			if (strcmp(*names, log_field_rows[i].name) == 0)
				break;
		fields[n] = (struct conf_log_field){
		    .what = (enum conf_log_field_name)i, .name = *names,
		    .header = i == CONF_FIELD_HEADER ? *names + 7 : NULL };
	}
	conf.log.fields = fields;
	conf.log.n_fields = n;
}

static void
fields_stand_in_the_order_of_the_file(void **state)
{
	static const char *const names[] = { "status", "total_us", "request",
		"client_ip", "listener", "header:Referer", "worker", NULL };

	(void)state;
	lane.worker.index = 3;
	session.conn.w = &lane.worker;
	wish(names);
	assert_string_equal(text(), "200 2345 \"GET /a?b=c HTTP/1.1\" "
	    "10.0.200.7 web \"\\\"there\\\" \\x0a\" 3");
	conf.log.format = CONF_LOG_JSON;
	assert_string_equal(logged(), "{\"status\":200,\"total_us\":2345,"
	    "\"request\":\"GET /a?b=c HTTP/1.1\","
	    "\"client_ip\":\"10.0.200.7\",\"listener\":\"web\","
	    "\"header:Referer\":\"\\\"there\\\" \\u000a\",\"worker\":3}");
}

/* By hand, so that no name can have another one's number. */
static void
each_field_says_what_it_is_for(void **state)
{
	static const struct { const char *name, *text, *json; } forms[] = {
		{ "client", "10.0.200.7:54321", "\"10.0.200.7:54321\"" },
		{ "client_ip", "10.0.200.7", "\"10.0.200.7\"" },
		{ "listener", "web", "\"web\"" },
		{ "upstream", "app", "\"app\"" },
		{ "endpoint", "b", "\"b\"" },
		{ "worker", "3", "3" },
		{ "request", "\"GET /a?b=c HTTP/1.1\"",
		    "\"GET /a?b=c HTTP/1.1\"" },
		{ "method", "GET", "\"GET\"" },
		{ "path", "\"/a\"", "\"/a\"" },
		{ "host", "\"example.com\"", "\"example.com\"" },
		{ "agent", "\"curl/8.0\"", "\"curl/8.0\"" },
		{ "request_id", "a_b", "\"a b\"" },
		{ "trace_id", "4bf9", "\"4bf9\"" },
		{ "user", "\"o'hara \\x0a\"", "\"o'hara \\u000a\"" },
		{ "database", "\"shop\"", "\"shop\"" },
		{ "tls_version", "-", "\"\"" },
		{ "sni", "b.test", "\"b.test\"" },
		{ "status", "504", "504" },
		{ "outcome", "5xx", "\"5xx\"" },
		{ "failure", "stalled", "\"stalled\"" },
		{ "said", "\"no \\\"such\\\"\"", "\"no \\\"such\\\"\"" },
		{ "received", "100", "100" },
		{ "sent", "1000", "1000" },
		{ "arrive_us", "345", "345" },
		{ "pause_us", "21", "21" },
		{ "queue_us", "12", "12" },
		{ "connect_us", "9", "9" },
		{ "tls_us", "5", "5" },
		{ "first_byte_us", "1500", "1500" },
		{ "client_us", "77", "77" },
		{ "total_us", "2345", "2345" },
		{ "reused", "reused", "true" },
		{ "retries", "2", "2" },
		{ "header:Referer", "\"\\\"there\\\" \\x0a\"",
		    "\"\\\"there\\\" \\u000a\"" },
		{ "header:Other", "\"-\"", "\"\"" }
	};
	char want[256];
	size_t i;

	(void)state;
	lane.worker.index = 3;
	session.conn.w = &lane.worker;
	x.status = 504;
	x.outcome = OUTCOME_5XX;
	x.why = FAIL_STALLED;
	x.retries = 2;
	x.routed_ns = x.begun_ns + 345 * 1000;
	x.paused_ns = 21 * 1000;
	x.tls_ns = 5 * 1000;
	x.full_ns = 70 * 1000;
	x.full_since_ns = lane.worker.now_ns - 7 * 1000;
	words.id = "a b";
	words.id_len = 3;
	words.trace = "4bf9";
	words.trace_len = 4;
	words.user = "o'hara \n";
	words.user_len = 8;
	words.database = "shop";
	words.database_len = 4;
	words.sni = "b.test";
	words.sni_len = 6;
	x.said = "no \"such\"";
	/* And the time, and one header more than there are rows. */
	assert_int_equal(NELEMS(forms) + 1, CONF_N_FIELDS + 1);
	for (i = 0; i < NELEMS(forms); i++) {
		const char *const names[] = { forms[i].name, NULL };

		wish(names);
		assert_string_equal(text(), forms[i].text);
		conf.log.format = CONF_LOG_JSON;
		snprintf(want, sizeof(want), "{\"%s\":%s}", forms[i].name,
		    forms[i].json);
		assert_string_equal(logged(), want);
	}
}

static void
a_path_is_all_of_a_target_that_is_no_secret(void **state)
{
	static const char *const names[] = { "method", "path", NULL };
	static const struct { const char *request, *want; } rows[] = {
		{ "GET / HTTP/1.1", "GET \"/\"" },
		{ "GET /a/b?token=1 HTTP/1.1", "GET \"/a/b\"" },
		{ "GET /a#token HTTP/1.1", "GET \"/a\"" },
		{ "GET /to?u=http://x/y HTTP/1.1", "GET \"/to\"" },
		{ "GET http://me:word@x.test/a?b HTTP/1.1", "GET \"/a\"" },
		{ "GET http://me:word@x.test?/b HTTP/1.1", "GET \"/\"" },
		{ "GET http://x.test HTTP/1.1", "GET \"/\"" },
		{ "GET x?http://y/z HTTP/1.1", "GET \"-\"" },
		{ "OPTIONS * HTTP/1.1", "OPTIONS \"*\"" },
		{ "CONNECT me:word@x.test:443 HTTP/1.1", "CONNECT \"-\"" },
		{ "GET /a?b", "GET \"/a\"" },
		{ "GET ", "GET \"-\"" },
		{ "NONSENSE", "NONSENSE \"-\"" },
		{ "GET  /a HTTP/1.1", "GET \"-\"" },
		{ " /a", "- \"/a\"" },
		{ "\x1b[2J /\"\n x", "\\x1b[2J \"/\\\"\\x0a\"" }
	};
	size_t i;

	(void)state;
	wish(names);
	for (i = 0; i < NELEMS(rows); i++) {
		say(rows[i].request, "h", "");
		assert_string_equal(text(), rows[i].want);
	}
	/* A command is no request line. */
	say("GET /a", "", "");
	words.is_line = false;
	assert_string_equal(text(), "- \"-\"");
}

static void
a_usual_line_ends_with_its_trace_if_it_has_one(void **state)
{
	(void)state;
	words.trace = "4bf9";
	words.trace_len = 4;
	assert_non_null(strstr(text(), " \"example.com\" \"curl/8.0\" 4bf9"));
	json_decref(json());
	assert_non_null(strstr(line, "\"failure\":\"\",\"trace_id\":\"4bf9\"}"));
}

static void
what_a_protocol_has_not_is_empty(void **state)
{
	static const char *const names[] = { "request", "request_id",
		"trace_id", "header:Referer", "failure", "status", NULL };

	(void)state;
	session.front = &silent_front;
	x.status = 0;
	wish(names);
	assert_string_equal(text(), "\"-\" - - \"-\" - -");
	conf.log.format = CONF_LOG_JSON;
	assert_string_equal(logged(), "{\"request\":\"\",\"request_id\":\"\","
	    "\"trace_id\":\"\",\"header:Referer\":\"\",\"failure\":\"\","
	    "\"status\":0}");
}

/* --------------------------------------------------------------------- when */

static void
access_when_chooses(void **state)
{
	static const struct {
		enum outcome outcome;
		int64_t total_ms;
		bool failed, slow;
	} rows[] = {
		{ OUTCOME_2XX, 1, false, false },
		{ OUTCOME_3XX, 99, false, false },
		{ OUTCOME_4XX, 1, false, false },
		{ OUTCOME_DONE, 1, false, false },
		{ OUTCOME_5XX, 1, true, true },
		{ OUTCOME_FAILED, 1, true, true },
		{ OUTCOME_CLIENT_ABORT, 1, true, true },
		{ OUTCOME_2XX, 100, false, true },
		{ OUTCOME_DONE, 5000, false, true },
	};
	size_t i;

	(void)state;
	conf.log.slow_ms = 100;
	for (i = 0; i < NELEMS(rows); i++) {
		x.outcome = rows[i].outcome;
		x.begun_ns = lane.worker.now_ns - rows[i].total_ms * NS_PER_MS;
		conf.log.access_when = CONF_ACCESS_ALWAYS;
		assert_string_not_equal(text(), "");
		conf.log.access_when = CONF_ACCESS_FAILED;
		assert_int_equal(text()[0] != '\0', rows[i].failed);
		conf.log.access_when = CONF_ACCESS_SLOW;
		assert_int_equal(text()[0] != '\0', rows[i].slow);
	}
}

static void
off_logs_nothing(void **state)
{
	struct ring *ring = lane.access;

	(void)state;
	conf.log.access = off;
	assert_string_equal(text(), "");
	conf.log.access = target_log;
	lane.access = NULL;
	access_log(&x);
	assert_non_null(gen->access);
	lane.access = ring;
	assert_true(ring_is_empty(ring));
	assert_string_not_equal(text(), "");
}

static void
full_ring_costs_lines_and_nothing_else(void **state)
{
	int i;

	(void)state;
	gen->access = access_plan_new(&conf);
	for (i = 0; i < 5000; i++)
		access_log(&x);
	assert_true(ring_dropped(lane.access) > 0);
	assert_true(ring_dropped(lane.access) < 5000);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(text_has_every_fact_in_its_place),
		TEST(json_has_every_fact),
		TEST(what_is_not_known_is_left_empty),
		TEST(clients_of_every_family),
		TEST(bytes_are_those_of_the_exchange_alone),
		TEST(numbers_of_every_length),
		TEST(time_is_that_of_the_loop_turn),
		TEST(nobody_forges_a_line_or_a_field),
		TEST(random_bytes_make_valid_lines),
		TEST(long_words_are_cut_with_a_mark),
		TEST(fields_stand_in_the_order_of_the_file),
		TEST(each_field_says_what_it_is_for),
		TEST(a_path_is_all_of_a_target_that_is_no_secret),
		TEST(a_usual_line_ends_with_its_trace_if_it_has_one),
		TEST(what_a_protocol_has_not_is_empty),
		TEST(access_when_chooses),
		TEST(off_logs_nothing),
		TEST(full_ring_costs_lines_and_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
