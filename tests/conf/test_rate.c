/*
 * conf/rate: rates and bandwidths to numbers and back, and their right
 * spelling for each wrong one.
 *
 * SPDX-License-Identifier: MIT
 */
#include "conf/rate.h"
#include "tests/conf/rows.h"

#define KIB 1024
#define MIB (1024 * KIB)
#define GIB ((int64_t)1024 * MIB)

static const struct conf_key rate = { .name = "r", .type = CONF_RATE,
	.min = 1, .max = 10000000, .may_be_off = true };
static const struct conf_key bandwidth = { .name = "b",
	.type = CONF_BANDWIDTH, .min = 16 * KIB, .max = 10 * GIB,
	.may_be_off = true };

static void
rates_are_read_and_printed(void **state)
{
	static const struct {
		const struct conf_key *row;
		const char *text;
		int64_t     most, per_ms, burst;
		const char *printed;
	} rows[] = {
		{ &rate, "1/s", 1, 1000, 1, "1/s" },
		{ &rate, "9/s", 9, 1000, 1, "9/s" },
		{ &rate, "19/s", 19, 1000, 1, "19/s" },
		{ &rate, "100/s", 100, 1000, 10, "100/s" },
		{ &rate, "0100/s", 100, 1000, 10, "100/s" },
		{ &rate, "10000000/s", 10000000, 1000, 1000000, "10000000/s" },
		{ &rate, "1/m", 1, 60000, 1, "1/m" },
		{ &rate, "6000/m", 6000, 60000, 10, "6000/m" },
		{ &rate, "10/h", 10, 3600000, 1, "10/h" },
		{ &rate, "360000/h", 360000, 3600000, 10, "360000/h" },
		{ &rate, "off", CONF_OFF, 0, 0, "off" },
		{ &bandwidth, "16KiB/s", 16 * KIB, 1000, 64 * KIB,
		    "16KiB/s" },
		{ &bandwidth, "16384B/s", 16 * KIB, 1000, 64 * KIB,
		    "16KiB/s" },
		{ &bandwidth, "1MiB/s", MIB, 1000, 104857, "1MiB/s" },
		{ &bandwidth, "1024KiB/s", MIB, 1000, 104857, "1MiB/s" },
		{ &bandwidth, "10GiB/s", 10 * GIB, 1000, GIB, "10GiB/s" },
		{ &bandwidth, "off", CONF_OFF, 0, 0, "off" },
	};

	(void)state;
	for (size_t i = 0; i < NELEMS(rows); i++) {
		char why[VALUE_WHY_MAX] = "", out[VALUE_TEXT_MAX];
		struct conf_limit l = { .wait_ms = 7, .shadow = true };

		if (value_parse(rows[i].row, rows[i].text, rows[i].text, &l,
		    why) == -1)
			fail_msg("%s: %s", rows[i].text, why);
		assert_int_equal(l.most, rows[i].most);
		assert_int_equal(l.per_ms, rows[i].per_ms);
		assert_int_equal(l.burst, rows[i].burst);
		assert_int_equal(l.wait_ms, 7);
		assert_true(l.shadow);
		assert_string_equal(value_print(rows[i].row, &l, out),
		    rows[i].printed);
	}
}

#define SUCH "expected a rate such as \"100/s\", \"6000/m\" or \"10/h\""
#define ODD " is not understood, " SUCH ", or \"off\""
#define SO "expected a bandwidth such as \"1MiB/s\""
#define STRANGE " is not understood, " SO ", or \"off\""
#define OUT " is out of range, expected "

static const struct {
	const struct conf_key *row;
	const char *text, *why;
} wrong[] = {
	{ &rate, "100", "100 has no time, expected it with one: \"100/s\", or "
	    "\"off\"" },
	{ &rate, "0", "0 has no unit, " SUCH ", or \"off\"" },
	{ &rate, "-5", "-5 has no unit, " SUCH ", or \"off\"" },
	{ &rate, "0/s", "\"0/s\" would let nothing through, " SUCH ", or "
	    "\"off\" for no limit (deny keeps clients out)" },
	{ &rate, "0/h", "\"0/h\" would let nothing through, " SUCH ", or "
	    "\"off\" for no limit (deny keeps clients out)" },
	{ &rate, "0.0/s", "\"0.0/s\" would let nothing through, " SUCH ", or "
	    "\"off\" for no limit (deny keeps clients out)" },
	{ &rate, "-5/s", "\"-5/s\"" OUT "\"1/s\" to \"10000000/s\", or "
	    "\"off\"" },
	{ &rate, "10000001/m", "\"10000001/m\"" OUT "\"1/m\" to "
	    "\"10000000/m\", or \"off\"" },
	{ &rate, "18446744073709551617/s", "\"18446744073709551617/s\"" OUT
	    "\"1/s\" to \"10000000/s\", or \"off\"" },
	{ &rate, "0.5/s", "\"0.5/s\" has a fraction, expected a whole number: "
	    "\"30/m\"" },
	{ &rate, "1.5/m", "\"1.5/m\" has a fraction, expected a whole number: "
	    "\"90/h\"" },
	{ &rate, "0.001/s", "\"0.001/s\" has a fraction, " SUCH },
	{ &rate, "0.01/s", "\"0.01/s\" has a fraction, expected a whole "
	    "number: \"36/h\"" },
	{ &rate, "100.0/s", "\"100.0/s\" has a fraction, expected a whole "
	    "number: \"100/s\"" },
	{ &rate, "-0.5/s", "\"-0.5/s\" has a fraction, " SUCH },
	{ &rate, "1.5/h", "\"1.5/h\" has a fraction, " SUCH },
	{ &rate, "0.0000001/s", "\"0.0000001/s\"" ODD },
	{ &rate, "", "\"\"" ODD },
	{ &rate, "/s", "\"/s\"" ODD },
	{ &rate, "100/", "\"100/\"" ODD },
	{ &rate, "100/d", "\"100/d\"" ODD },
	{ &rate, "100/sec", "\"100/sec\"" ODD },
	{ &rate, "100/S", "\"100/S\"" ODD },
	{ &rate, "100 /s", "\"100 /s\"" ODD },
	{ &rate, "100/ s", "\"100/ s\"" ODD },
	{ &rate, "100/s ", "\"100/s \"" ODD },
	{ &rate, "100r/s", "\"100r/s\"" ODD },
	{ &rate, "1e3/s", "\"1e3/s\"" ODD },
	{ &rate, "+1/s", "\"+1/s\"" ODD },
	{ &rate, "--1/s", "\"--1/s\"" ODD },
	{ &rate, "1./s", "\"1./s\"" ODD },
	{ &rate, ".5/s", "\".5/s\"" ODD },
	{ &rate, "1.5.5/s", "\"1.5.5/s\"" ODD },
	{ &rate, "1MiB/s", "\"1MiB/s\"" ODD },
	{ &rate, "OFF", "\"OFF\"" ODD },
	{ &rate, "100/s/s", "\"100/s/s\"" ODD },
	{ &bandwidth, "1MiB", "1MiB has no time, expected it with one: "
	    "\"1MiB/s\", or \"off\"" },
	{ &bandwidth, "1048576", "1048576 has no unit, " SO ", or \"off\"" },
	{ &bandwidth, "1KiB", "\"1KiB\"" STRANGE },
	{ &bandwidth, "0KiB/s", "\"0KiB/s\" would let nothing through, " SO
	    ", or \"off\" for no limit (deny keeps clients out)" },
	{ &bandwidth, "15KiB/s", "\"15KiB/s\"" OUT "\"16KiB/s\" to "
	    "\"10GiB/s\", or \"off\"" },
	{ &bandwidth, "11GiB/s", "\"11GiB/s\"" OUT "\"16KiB/s\" to "
	    "\"10GiB/s\", or \"off\"" },
	{ &bandwidth, "17179869184GiB/s", "\"17179869184GiB/s\"" OUT
	    "\"16KiB/s\" to \"10GiB/s\", or \"off\"" },
	{ &bandwidth, "-1MiB/s", "\"-1MiB/s\"" OUT "\"16KiB/s\" to "
	    "\"10GiB/s\", or \"off\"" },
	{ &bandwidth, "1.5MiB/s", "\"1.5MiB/s\" has a fraction, expected a "
	    "whole number: \"1536KiB/s\"" },
	{ &bandwidth, "0.3MiB/s", "\"0.3MiB/s\" has a fraction, " SO },
	{ &bandwidth, "60MiB/m", "\"60MiB/m\"" STRANGE },
	{ &bandwidth, "8Mbit/s", "\"8Mbit/s\"" STRANGE },
	{ &bandwidth, "1MB/s", "\"1MB/s\"" STRANGE },
	{ &bandwidth, "100/s", "\"100/s\"" STRANGE },
	{ &bandwidth, "MiB/s", "\"MiB/s\"" STRANGE },
};

static void
wrong_spellings_are_answered_with_the_right_one(void **state)
{
	(void)state;
	for (size_t i = 0; i < NELEMS(wrong); i++) {
		char why[VALUE_WHY_MAX] = "";
		struct conf_limit l = { .most = -7 };

		if (value_parse(wrong[i].row, wrong[i].text, wrong[i].text, &l,
		    why) == 0)
			fail_msg("%s is taken", wrong[i].text);
		assert_string_equal(why, wrong[i].why);
		assert_int_equal(l.most, -7);
	}
}

/* Whatever is wrong with a secret, the answer does not spell it out. */
static void
secrets_stay_secret(void **state)
{
	(void)state;
	for (size_t i = 0; i < NELEMS(wrong); i++) {
		char why[VALUE_WHY_MAX] = "", digits[32];
		struct conf_limit l;
		size_t n = strspn(wrong[i].text, "-.0123456789");

		snprintf(digits, sizeof(digits), "%.*s", (int)n,
		    wrong[i].text);
		assert_int_equal(value_parse(wrong[i].row, wrong[i].text,
		    "(hidden)", &l, why), -1);
		assert_non_null(strstr(why, "(hidden)"));
		if (n > 3 && strstr(why, digits) != NULL)
			fail_msg("%s: %s", wrong[i].text, why);
	}
}

/* A rate that has to be one cannot be "off", nor is "off" recommended. */
static void
off_is_only_for_rows_that_may_be_off(void **state)
{
	static const char *const texts[] = { "off", "0/s", "100", "x", "-1/s" };
	struct conf_key row = rate;

	(void)state;
	row.may_be_off = false;
	for (size_t i = 0; i < NELEMS(texts); i++) {
		char why[VALUE_WHY_MAX] = "";
		struct conf_limit l;

		assert_int_equal(value_parse(&row, texts[i], texts[i], &l,
		    why), -1);
		if (strstr(why, "or \"off\"") != NULL)
			fail_msg("%s: %s", texts[i], why);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rates_are_read_and_printed),
		cmocka_unit_test(
		    wrong_spellings_are_answered_with_the_right_one),
		cmocka_unit_test(secrets_stay_secret),
		cmocka_unit_test(off_is_only_for_rows_that_may_be_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
