/*
 * conf/json: what /config shows, and what it hides.
 *
 * SPDX-License-Identifier: MIT
 */
#include <jansson.h>

#include "tests/conf/rows.h"

/* The printed conf, read back by another's parser. */
static json_t *
json_of(struct conf *c)
{
	char *text = conf_json(c);
	json_error_t error;
	json_t *json;

	assert_non_null(text);
	json = json_loads(text, JSON_REJECT_DUPLICATES, &error);
	if (json == NULL)
		fail_msg("%s in %s", error.text, text);
	free(text);
	conf_free(c);
	return json;
}

static json_t *
json_at(json_t *json, const char *path)
{
	char *copy = strdup(path), *rest = copy;

	for (char *key; json != NULL && (key = strsep(&rest, "/")) != NULL;)
		json = json_is_array(json) ? json_array_get(json,
		    (size_t)atoi(key)) : json_object_get(json, key);
	free(copy);
	return json;
}

/* The value at a path such as "upstreams/0/pool/max", as text. */
static void
shows(json_t *json, const char *path, const char *expected)
{
	json_t *at = json_at(json, path);
	char *text = at == NULL ? NULL : json_dumps(at, JSON_ENCODE_ANY |
	    JSON_REAL_PRECISION(15));

	if (text == NULL || strcmp(text, expected) != 0)
		fail_msg("%s is %s and not %s", path, text, expected);
	free(text);
}

static void
defaults_are_filled_in(void **state)
{
	json_t *json = json_of(conf_of(ROW_TOP, ""));

	(void)state;
	shows(json, "workers", "1");
	shows(json, "drain_timeout", "\"20s\"");
	shows(json, "dns/families", "\"any\"");
	shows(json, "admin/bind/address", "\"127.0.0.1:9901\"");
	shows(json, "admin/probe_bind", "\"off\"");
	shows(json, "admin/hosts", "[]");
	shows(json, "log/level", "\"info\"");
	shows(json, "log/access", "\"off\"");
	shows(json, "listeners/0/name", "\"a\"");
	shows(json, "listeners/0/protocol", "\"http\"");
	shows(json, "listeners/0/upstream", "\"x\"");
	shows(json, "listeners/0/bind/0/address", "\"127.0.0.1:8080\"");
	shows(json, "log/access_when", "\"always\"");
	shows(json, "log/slow", "\"1s\"");
	shows(json, "max_memory", "\"off\"");
	shows(json, "listeners/0/limits", "{\"connections\": \"off\", "
	    "\"connections_per_client\": \"off\", \"connection_rate\": "
	    "\"off\", \"connection_rate_per_client\": \"off\", "
	    "\"request_rate\": \"off\", \"request_rate_per_client\": "
	    "\"off\", \"bandwidth_per_client\": \"off\", \"client\": "
	    "\"address\"}");
	assert_null(json_at(json, "listeners/0/allow"));
	assert_null(json_at(json, "listeners/0/deny"));
	shows(json, "listeners/0/timeouts/idle", "\"60s\"");
	shows(json, "listeners/0/max_header", "\"32KiB\"");
	shows(json, "listeners/0/max_headers", "100");
	shows(json, "listeners/0/http/forwarded", "\"append\"");
	shows(json, "listeners/0/http/trace", "false");
	shows(json, "listeners/0/http/trusted",
	    "[\"127.0.0.0/8\", \"::1/128\"]");
	shows(json, "upstreams/0/endpoints/0/weight", "1");
	shows(json, "upstreams/0/endpoints/0/max", "\"off\"");
	shows(json, "upstreams/0/endpoints/0/backup", "false");
	shows(json, "upstreams/0/balance", "\"round_robin\"");
	shows(json, "upstreams/0/ready", "\"start\"");
	shows(json, "upstreams/0/pool/mode", "\"request\"");
	shows(json, "upstreams/0/pool/max", "64");
	shows(json, "upstreams/0/pool/max_idle", "64");
	shows(json, "upstreams/0/pool/max_lifetime", "\"10m\"");
	shows(json, "upstreams/0/timeouts/tunnel", "\"1h\"");
	shows(json, "upstreams/0/timeouts/total", "\"off\"");
	shows(json, "upstreams/0/retry", "\"off\"");
	shows(json, "upstreams/0/health", "\"off\"");
	shows(json, "upstreams/0/outlier", "\"off\"");
	shows(json, "upstreams/0/when_all_down", "\"fail\"");
	shows(json, "upstreams/0/slow_start", "\"off\"");
	shows(json, "upstreams/0/limits", "{\"request_rate\": \"off\", "
	    "\"retry_after\": false}");
	shows(json, "upstreams/0/http/remove_headers", "[\"X-A\", \"X-B\"]");
	assert_null(json_at(json, "user"));
	assert_null(json_at(json, "listeners/0/routes"));
	json_decref(json);
}

static void
routes_and_binds_are_shown_in_full(void **state)
{
	json_t *json = json_of(conf_of(ROW_FILE, "listeners = ( { name = "
	    "\"a\"; bind = { address = \"unix:/x/y\"; mode = \"0640\"; owner "
	    "= \"root\"; backlog = 3; }; protocol = \"http\"; routes = ( { "
	    "path = \"/\"; upstream = \"x\"; retry = \"all\"; }, { host = \"H\"; "
	    "upstream = \"x\"; } ); } );\n"
	    "upstreams = ( { name = \"x\"; endpoints = ( \"[::1]:1\", "
	    "\"unix:/a\", { srv = \"_a._tcp.b\"; } ); } );\n"));

	(void)state;
	shows(json, "listeners/0/bind/0", "{\"address\": \"unix:/x/y\", "
	    "\"mode\": \"0640\", \"owner\": \"root\", \"backlog\": 3}");
	shows(json, "listeners/0/routes", "[{\"host\": \"h\", \"upstream\": "
	    "\"x\", \"retry\": \"safe\"}, {\"path\": \"/\", "
	    "\"upstream\": \"x\", \"retry\": \"all\"}]");
	shows(json, "upstreams/0/endpoints/0/address", "\"[::1]:1\"");
	shows(json, "upstreams/0/endpoints/1/address", "\"unix:/a\"");
	shows(json, "upstreams/0/endpoints/2/srv", "\"_a._tcp.b\"");
	assert_null(json_at(json, "upstreams/0/endpoints/2/address"));
	json_decref(json);
}

static void
limits_are_shown_in_full(void **state)
{
	json_t *json = json_of(conf_of(ROW_LISTENER, "allow = \"10.0.0.0/8\"; "
	    "limits = { connections = 5; connections_per_client = { max = 2; "
	    "shadow = true; }; connection_rate = \"10/h\"; request_rate = { "
	    "rate = \"6000/m\"; burst = 7; }; bandwidth_per_client = "
	    "\"1MiB/s\"; client = \"header:X-A\"; };"));

	(void)state;
	shows(json, "listeners/0/allow", "[\"10.0.0.0/8\"]");
	json_object_del(json_at(json, "listeners/0/limits"),
	    "connection_rate_per_client");
	shows(json, "listeners/0/limits", "{\"connections\": {\"max\": 5, "
	    "\"shadow\": false}, \"connections_per_client\": {\"max\": 2, "
	    "\"shadow\": true}, \"connection_rate\": {\"rate\": \"10/h\", "
	    "\"burst\": 1, \"shadow\": false}, \"request_rate\": {\"rate\": "
	    "\"6000/m\", \"burst\": 7, \"shadow\": false}, "
	    "\"request_rate_per_client\": \"off\", "
	    "\"bandwidth_per_client\": {\"rate\": \"1MiB/s\", \"burst\": "
	    "\"104857B\", \"shadow\": false}, \"client\": "
	    "\"header:X-A\"}");
	json_decref(json);
}

static void
policies_are_shown_in_full(void **state)
{
	json_t *json = json_of(conf_of(ROW_UPSTREAM, "retry = { }; health = { "
	    "}; outlier = { max_ejected = 1; }; limits = { request_rate = "
	    "\"100/s\"; retry_after = true; }; balance = \"source_hash\"; "
	    "when_all_down = \"try\"; slow_start = \"30s\";"));

	(void)state;
	shows(json, "upstreams/0/retry", "{\"max_retries\": 1, \"backoff\": "
	    "\"25ms\", \"max_backoff\": \"1s\", \"budget\": 0.2}");
	shows(json, "upstreams/0/health", "{\"type\": \"http\", \"path\": "
	    "\"/\", \"expect\": \"200-399\", \"interval\": \"2s\", "
	    "\"timeout\": \"1s\", \"rise\": 2, \"fall\": 3}");
	shows(json, "upstreams/0/outlier", "{\"failures\": 5, \"eject_for\": "
	    "\"10s\", \"max_ejected\": 1}");
	shows(json, "upstreams/0/limits", "{\"request_rate\": {\"rate\": "
	    "\"100/s\", \"burst\": 10, \"wait\": \"2s\", \"shadow\": "
	    "false}, \"retry_after\": true}");
	shows(json, "upstreams/0/balance", "\"source_hash\"");
	shows(json, "upstreams/0/when_all_down", "\"try\"");
	shows(json, "upstreams/0/slow_start", "\"30s\"");
	assert_null(json_object_get(json_array_get(json_object_get(json,
	    "upstreams"), 0), "key_hash"));
	json_decref(json);
	json = json_of(conf_of(ROW_UPSTREAM, "balance = \"key_hash\"; "
	    "key_hash = { tag = \"{}\"; };"));
	shows(json, "upstreams/0/key_hash", "{\"function\": \"fnv1a_64\", "
	    "\"ring\": \"ketama\", \"tag\": \"{}\", \"on_down\": "
	    "\"fail\"}");
	json_decref(json);
	json = json_of(conf_of(ROW_UPSTREAM, "health = { type = \"tcp\"; port "
	    "= 81; };"));
	shows(json, "upstreams/0/health", "{\"type\": \"tcp\", "
	    "\"interval\": \"2s\", \"timeout\": \"1s\", \"rise\": 2, "
	    "\"fall\": 3, \"port\": 81}");
	json_decref(json);
}

static void
secrets_are_hidden(void **state)
{
	char *folder = temp_folder(), *text, *printed;
	char *path = put_text(folder, "secret", "s3cr3t\n");
	struct conf *c;
	json_t *json;

	(void)state;
	assert_true(asprintf(&text, "http = { password = \"plain-pass\"; "
	    "host = \"a-${file:%s}-b\"; set_headers = { Authorization = "
	    "\"plain-auth\"; X-A = \"${file:%s}\"; X-B = \"shown\"; }; "
	    "remove_headers = ( \"${file:%s}\", \"X-C\" ); };", path, path,
	    path) > 0);
	c = conf_of(ROW_UPSTREAM, text);
	printed = conf_json(c);
	assert_null(strstr(printed, "s3cr3t"));
	assert_null(strstr(printed, "plain-"));
	free(printed);
	json = json_of(c);
	shows(json, "upstreams/0/http/password", "\"(hidden)\"");
	shows(json, "upstreams/0/http/host", "\"(hidden)\"");
	shows(json, "upstreams/0/http/set_headers", "{\"Authorization\": "
	    "\"(hidden)\", \"X-A\": \"(hidden)\", \"X-B\": \"shown\"}");
	shows(json, "upstreams/0/http/remove_headers",
	    "[\"(hidden)\", \"X-C\"]");
	json_decref(json);
	free(text);
	drop_file(path);
	drop_file(folder);
}

static void
numbers_and_addresses_from_files_are_hidden(void **state)
{
	char *folder = temp_folder(), *text;
	char *number = put_text(folder, "number", "77");
	char *address = put_text(folder, "address", "sesame:77");
	json_t *json;

	(void)state;
	assert_true(asprintf(&text, "pool = { max = \"${file:%s}\"; };",
	    number) > 0);
	json = json_of(conf_of(ROW_UPSTREAM, text));
	shows(json, "upstreams/0/pool/max", "\"(hidden)\"");
	json_decref(json);
	free(text);
	assert_true(asprintf(&text, "\"${file:%s}\"", address) > 0);
	json = json_of(conf_of(ROW_ENDPOINTS, text));
	shows(json, "upstreams/0/endpoints/0/name", "\"(hidden)\"");
	shows(json, "upstreams/0/endpoints/0/address", "\"(hidden)\"");
	json_decref(json);
	free(text);
	drop_file(number);
	drop_file(address);
	number = put_text(folder, "number", "777/s");
	address = put_text(folder, "address", "sesame");
	assert_true(asprintf(&text, "limits = { request_rate = "
	    "\"${file:%s}\"; request_rate_per_client = { rate = \"5/s\"; "
	    "burst = \"${file:%s}\"; }; client = \"header:${file:%s}\"; };",
	    number, number, address) > 0);
	/* 777/s is no burst: what is wrong with it is told without it. */
	rows_hold(&(struct row){ ROW_LISTENER, text, "weir.conf:1: "
	    "listeners.a.limits.request_rate_per_client.burst: \"(hidden)\" "
	    "is not understood, expected a number such as 10" }, 1);
	free(text);
	assert_true(asprintf(&text, "limits = { request_rate = "
	    "\"${file:%s}\"; client = \"header:${file:%s}\"; };",
	    number, address) > 0);
	json = json_of(conf_of(ROW_LISTENER, text));
	shows(json, "listeners/0/limits/request_rate", "\"(hidden)\"");
	shows(json, "listeners/0/limits/client", "\"header:(hidden)\"");
	json_decref(json);
	free(text);
	drop_file(number);
	drop_file(address);
	drop_file(folder);
}

/* A file may hold any bytes; JSON holds UTF-8. */
static void
any_bytes_make_good_json(void **state)
{
	json_t *json = json_of(conf_of(ROW_UPSTREAM, "http = { host = \"\\\" "
	    "\\\\ \\t \\x01 \\x7f \\xff \\xc3\\xa9 \\xc3 \\xed\\xa0\\x80 "
	    "\\xf0\\x9f\\x98\\x80 \\xf5 \\xc0\\xaf \\xe2\\x82\"; };"));
	json_t *host = json_at(json, "upstreams/0/http/host");

	(void)state;
	assert_string_equal(json_string_value(host), "\" \\ \t \x01 \x7f "
	    "\xef\xbf\xbd \xc3\xa9 \xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd"
	    "\xef\xbf\xbd \xf0\x9f\x98\x80 \xef\xbf\xbd \xef\xbf\xbd"
	    "\xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd");
	json_decref(json);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_filled_in),
		cmocka_unit_test(routes_and_binds_are_shown_in_full),
		cmocka_unit_test(limits_are_shown_in_full),
		cmocka_unit_test(policies_are_shown_in_full),
		cmocka_unit_test(secrets_are_hidden),
		cmocka_unit_test(numbers_and_addresses_from_files_are_hidden),
		cmocka_unit_test(any_bytes_make_good_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
