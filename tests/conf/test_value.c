/*
 * conf/value: spelling to number and back; the nearest word.
 *
 * SPDX-License-Identifier: MIT
 */
#include "conf/value.h"
#include "tests/conf/rows.h"

static const struct conf_key duration = { .name = "d",
	.type = CONF_DURATION, .min = 0, .max = 3600000 * 24,
	.may_be_off = true };
static const struct conf_key size = { .name = "s", .type = CONF_SIZE,
	.min = 0, .max = (int64_t)1 << 40 };
static const struct conf_key count = { .name = "c", .type = CONF_COUNT,
	.min = 1, .max = 1000, .may_be_off = true };

static void
units_are_read_and_printed(void **state)
{
	static const struct {
		const struct conf_key *row;
		const char *text;
		int64_t     value;
		const char *printed;
	} rows[] = {
		{ &duration, "0s", 0, "0s" },
		{ &duration, "0ms", 0, "0s" },
		{ &duration, "250ms", 250, "250ms" },
		{ &duration, "1500ms", 1500, "1500ms" },
		{ &duration, "2s", 2000, "2s" },
		{ &duration, "60s", 60000, "60s" },
		{ &duration, "1m", 60000, "60s" },
		{ &duration, "90s", 90000, "90s" },
		{ &duration, "5m", 300000, "5m" },
		{ &duration, "60m", 3600000, "1h" },
		{ &duration, "24h", 86400000, "24h" },
		{ &duration, "010s", 10000, "10s" },
		{ &duration, "off", CONF_OFF, "off" },
		{ &size, "0B", 0, "0B" },
		{ &size, "512B", 512, "512B" },
		{ &size, "1024B", 1024, "1KiB" },
		{ &size, "16KiB", 16384, "16KiB" },
		{ &size, "1MiB", 1 << 20, "1MiB" },
		{ &size, "1024GiB", (int64_t)1 << 40, "1024GiB" },
		{ &count, "1", 1, "1" },
		{ &count, "1000", 1000, "1000" },
		{ &count, "off", CONF_OFF, "off" },
	};

	(void)state;
	for (size_t i = 0; i < NELEMS(rows); i++) {
		char why[VALUE_WHY_MAX] = "", out[VALUE_TEXT_MAX];
		int64_t value = -7;

		if (value_parse(rows[i].row, rows[i].text, rows[i].text,
		    &value, why) == -1)
			fail_msg("%s: %s", rows[i].text, why);
		assert_int_equal(value, rows[i].value);
		assert_string_equal(value_print(rows[i].row, &value, out),
		    rows[i].printed);
	}
}

static const struct conf_key share = { .name = "h", .type = CONF_SHARE };
static const struct conf_key statuses = { .name = "e",
	.type = CONF_STATUSES };

static void
shares_are_read_and_printed(void **state)
{
	static const struct {
		const char *text;
		double      value;
		const char *printed;
	} rows[] = {
		{ "0", 0, "0" }, { "1", 1, "1" }, { "0.2", 0.2, "0.2" },
		{ "1.0", 1, "1" }, { ".5", 0.5, "0.5" }, { "0.", 0, "0" },
		{ "1e-3", 0.001, "0.001" }, { "0.125", 0.125, "0.125" },
	};

	(void)state;
	for (size_t i = 0; i < NELEMS(rows); i++) {
		char why[VALUE_WHY_MAX], out[VALUE_TEXT_MAX];
		double value = 7;

		assert_int_equal(value_parse(&share, rows[i].text,
		    rows[i].text, &value, why), 0);
		assert_true(value == rows[i].value);
		assert_string_equal(value_print(&share, &value, out),
		    rows[i].printed);
	}
}

static void
other_shares_are_refused(void **state)
{
	static const char *const rows[] = { "", "-0.1", "1.1", "2", "nan",
		"inf", "0x1p-2", " 0.2", "0.2 ", "20%", "0,2", "off", "1e400",
		"." };

	(void)state;
	for (size_t i = 0; i < NELEMS(rows); i++) {
		char why[VALUE_WHY_MAX] = "";
		double value = 7;

		if (value_parse(&share, rows[i], rows[i], &value, why) == 0)
			fail_msg("%s is taken", rows[i]);
		assert_true(value == 7);
		assert_non_null(strstr(why, "expected "));
		assert_non_null(strstr(why, "0.2"));
	}
}

static void
statuses_are_read_and_printed(void **state)
{
	static const struct {
		const char *text;
		unsigned    n, from, to;        /* of the last one */
		const char *printed;
	} rows[] = {
		{ "200", 1, 200, 200, "200" },
		{ "100-599", 1, 100, 599, "100-599" },
		{ "200-200", 1, 200, 200, "200" },
		{ "200-399,404", 2, 404, 404, "200-399,404" },
		{ "200, 204,  401-403", 3, 401, 403, "200,204,401-403" },
		{ "100-101,102-103,104-105,106-107,108-109,110-111,112-113,"
		    "114-115", 8, 114, 115, "100-101,102-103,104-105,106-107,"
		    "108-109,110-111,112-113,114-115" },
	};

	(void)state;
	for (size_t i = 0; i < NELEMS(rows); i++) {
		char why[VALUE_WHY_MAX], out[VALUE_TEXT_MAX];
		struct conf_statuses s;

		assert_int_equal(value_parse(&statuses, rows[i].text,
		    rows[i].text, &s, why), 0);
		assert_int_equal(s.n, rows[i].n);
		assert_int_equal(s.v[s.n - 1].from, rows[i].from);
		assert_int_equal(s.v[s.n - 1].to, rows[i].to);
		assert_string_equal(value_print(&statuses, &s, out),
		    rows[i].printed);
	}
}

static void
other_statuses_are_refused(void **state)
{
	static const char *const rows[] = { "", ",", "200,", ",200", "99",
		"600", "399-200", "200-", "-200", "200-399-404", "2xx", "ok",
		"200 ", "200;404", "0", "99999999999200", "200-600",
		"1,2,3,4,5,6,7,8,9", "200,200,200,200,200,200,200,200,200" };

	(void)state;
	for (size_t i = 0; i < NELEMS(rows); i++) {
		char why[VALUE_WHY_MAX] = "";
		struct conf_statuses s = { .n = 7 };

		if (value_parse(&statuses, rows[i], rows[i], &s, why) == 0)
			fail_msg("%s is taken", rows[i]);
		assert_int_equal(s.n, 7);
		assert_non_null(strstr(why, "expected "));
	}
}

static void
other_spellings_change_nothing(void **state)
{
	static const struct {
		const struct conf_key *row;
		const char *text;
	} rows[] = {
		{ &duration, "" }, { &duration, "s" }, { &duration, "1" },
		{ &duration, "1 s" }, { &duration, " 1s" },
		{ &duration, "1s " }, { &duration, "1.5s" },
		{ &duration, "1S" }, { &duration, "1sec" },
		{ &duration, "1h30m" }, { &duration, "+1s" },
		{ &duration, "-1s" }, { &duration, "25h" },
		{ &duration, "1e3s" }, { &duration, "0x1s" },
		{ &duration, "OFF" }, { &duration, "9223372036854775807ms" },
		{ &duration, "9223372036854775808ms" },
		{ &duration, "5124095576030431h" },
		{ &duration, "18446744073709551617s" },
		{ &size, "off" }, { &size, "1kB" }, { &size, "1K" },
		{ &size, "1" }, { &size, "-1B" }, { &size, "1025GiB" },
		{ &size, "17179869185GiB" },
		{ &count, "0" }, { &count, "1001" }, { &count, "1s" },
		{ &count, "" }, { &count, "-" }, { &count, "--1" },
		{ &count, "9223372036854775807" },
		{ &count, "18446744073709551617" },
	};

	(void)state;
	for (size_t i = 0; i < NELEMS(rows); i++) {
		char why[VALUE_WHY_MAX] = "";
		int64_t value = -7;

		if (value_parse(rows[i].row, rows[i].text, rows[i].text,
		    &value, why) == 0)
			fail_msg("%s is taken", rows[i].text);
		assert_int_equal(value, -7);
		assert_non_null(strstr(why, "expected "));
	}
}

/* A count whose range has no end must still not be read as "off". */
static void
largest_number_is_not_off(void **state)
{
	const struct conf_key endless = { .name = "e", .type = CONF_COUNT,
	    .max = INT64_MAX };
	char why[VALUE_WHY_MAX];
	int64_t value;

	(void)state;
	assert_int_equal(value_parse(&endless, "9223372036854775807", "x",
	    &value, why), -1);
	assert_int_equal(value_parse(&endless, "9223372036854775806", "x",
	    &value, why), 0);
}

static const char *
near(const char *word)
{
	static const char *const known[] = { "idle_timeout", "max", "max_idle",
		"mode", "http", "tcp", "x" };
	struct nearest n = { .word = word };

	for (size_t i = 0; i < NELEMS(known); i++)
		nearest_try(&n, known[i]);
	return n.best == NULL ? "" : n.best;
}

static void
nearest_word_is_a_slip_away(void **state)
{
	(void)state;
	assert_string_equal(near("idle_timeuot"), "idle_timeout");
	assert_string_equal(near("idletimeout"), "idle_timeout");
	assert_string_equal(near("idle_timeouts"), "idle_timeout");
	assert_string_equal(near("idle-timeout"), "idle_timeout");
	assert_string_equal(near("htpp"), "http");
	assert_string_equal(near("htp"), "http");
	assert_string_equal(near("maxidle"), "max_idle");
	assert_string_equal(near("mx"), "max");
	assert_string_equal(near("y"), "");
	assert_string_equal(near(""), "");
	assert_string_equal(near("frobnicate"), "");
	assert_string_equal(near("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(units_are_read_and_printed),
		cmocka_unit_test(other_spellings_change_nothing),
		cmocka_unit_test(shares_are_read_and_printed),
		cmocka_unit_test(other_shares_are_refused),
		cmocka_unit_test(statuses_are_read_and_printed),
		cmocka_unit_test(other_statuses_are_refused),
		cmocka_unit_test(largest_number_is_not_off),
		cmocka_unit_test(nearest_word_is_a_slip_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
