/*
 * conf/schema and conf/help: every row is complete, and printed.
 *
 * SPDX-License-Identifier: MIT
 */
#include "conf/schema.h"
#include "conf/value.h"
#include "tests/conf/rows.h"

static void
row_is_complete(const char *path, const struct conf_key *k)
{
	char why[VALUE_WHY_MAX] = "", expected[VALUE_WHY_MAX];
	union {
		int64_t number;
		double share;
		struct conf_limit limit;
		struct conf_statuses statuses;
	} field;

	if (k->help == NULL || strlen(k->help) < 5)
		fail_msg("%s.%s has no help", path, k->name);
	assert_true(strlen(value_expected(k, expected)) > 3);
	switch (k->type) {
	case CONF_COUNT:
	case CONF_DURATION:
	case CONF_SIZE:
		if (k->min < 0 || k->max <= k->min || k->max == CONF_OFF)
			fail_msg("%s.%s has no range", path, k->name);
		break;
	case CONF_LIMIT:
	case CONF_RATE:
	case CONF_BANDWIDTH:
		if (k->min < 1 || k->max <= k->min || !k->may_be_off)
			fail_msg("%s.%s has no range", path, k->name);
		for (k = schema_limit_keys(k); k->name != NULL; k++)
			if (k->offset >= sizeof(struct conf_limit))
				fail_msg("%s.%s is read by nobody", path,
				    k->name);
		return;
	case CONF_SHARE:
	case CONF_STATUSES:
		assert_non_null(k->def);
		break;
	case CONF_ENUM:
		if (k->words == NULL || k->words[0] == NULL)
			fail_msg("%s.%s has no words", path, k->name);
		break;
	case CONF_BOOL:
		break;
	case CONF_STRING:
		if (k->def != NULL && k->check != NULL) {
			const char *text = "";

			assert_int_equal(k->check(k->def, &text), 0);
		}
		return;
	default:
		return;
	}
	if (k->def != NULL && value_parse(k, k->def, k->def, &field, why) ==
	    -1)
		fail_msg("%s.%s: default: %s", path, k->name, why);
}

static void
every_row_has_help_and_a_default_that_parses(void **state)
{
	const struct schema_section *s;
	size_t rows = 0;

	(void)state;
	for (s = schema_sections; s->path != NULL; s++)
		for (const struct conf_key *k = s->keys; k->name != NULL;
		    k++, rows++)
			row_is_complete(s->path, k);
	assert_true(rows > 60);
}

static void
no_table_has_a_key_twice(void **state)
{
	const struct schema_section *s;

	(void)state;
	for (s = schema_sections; s->path != NULL; s++)
		for (const struct conf_key *k = s->keys; k->name != NULL; k++)
			assert_ptr_equal(schema_find(s->keys, k->name), k);
}

/* A group or list of a table has a section of its own: nothing is hidden. */
static void
every_group_has_its_section(void **state)
{
	const struct schema_section *s, *sub;

	(void)state;
	for (s = schema_sections; s->path != NULL; s++)
		for (const struct conf_key *k = s->keys; k->name != NULL;
		    k++) {
			char path[128];
			bool found = k->type != CONF_GROUP &&
			    k->type != CONF_LIST;

			snprintf(path, sizeof(path), "%s%s%s%s", s->path,
			    *s->path == '\0' ? "" : ".", k->name,
			    k->type == CONF_LIST ? "[]" : "");
			for (sub = schema_sections; sub->path != NULL; sub++)
				found = found || strcmp(sub->path, path) == 0;
			if (!found)
				fail_msg("%s has no section", path);
		}
}

static void
protocols_have_their_defaults(void **state)
{
	const struct conf_key *max = schema_find(schema_pool, "max");
	const struct conf_key *mode = schema_find(schema_pool, "mode");
	const struct conf_key *idle = schema_find(schema_listener_times,
	    "idle");

	(void)state;
	assert_string_equal(schema_default(max, "pool", NULL), "64");
	assert_string_equal(schema_default(max, "pool", &fake_http), "64");
	assert_string_equal(schema_default(max, "pool", &fake_tcp), "1000");
	assert_string_equal(schema_default(mode, "pool", &fake_http),
	    "request");
	assert_string_equal(schema_default(mode, "pool", &fake_tcp),
	    "session");
	assert_string_equal(schema_default(idle, "timeouts", &fake_tcp),
	    "off");
}

static char *
help(const char *word)
{
	char *text = NULL;
	size_t n;
	FILE *out = open_memstream(&text, &n);

	assert_non_null(out);
	assert_true(conf_help(out, fake_protos, word));
	fclose(out);
	return text;
}

static void
help_holds_every_row(void **state)
{
	const struct schema_section *s;
	char *text = help(NULL);

	(void)state;
	for (s = schema_sections; s->path != NULL; s++) {
		assert_non_null(strstr(text, s->path));
		for (const struct conf_key *k = s->keys; k->name != NULL;
		    k++) {
			char line[100];

			snprintf(line, sizeof(line), "\n  %s (", k->name);
			if (strstr(text, line) == NULL)
				fail_msg("%s is not in the help", k->name);
		}
	}
	free(text);
}

static void
help_is_of_what_has_the_word_in_its_path(void **state)
{
	static const char *const words[] = { "pool.max", "upstreams.pool.MAX",
		"upstreams[].pool.max" };
	char *text;
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(words); i++) {
		text = help(words[i]);
		assert_ptr_equal(strstr(text, "Keys of upstreams[].pool: "),
		    text);
		assert_non_null(strstr(text, "\n  max_waiting ("));
		assert_null(strstr(text, "\n  min_idle ("));
		assert_null(strstr(text, "\nKeys of"));
		assert_null(strstr(text, "@include"));
		free(text);
	}
	assert_false(conf_help(stdout, fake_protos, "no such key"));
}

static void
help_tells_types_ranges_and_defaults(void **state)
{
	static const char *const expected[] = {
		"Keys of the file itself\n"
		"  workers (number 0 to 256; default: 1)\n"
		"      event-loop threads; 0 = one per CPU\n",
		"\nKeys of upstreams[].pool: connections kept and shared\n"
		"  mode (\"session\", \"transaction\", \"request\" or "
		"\"shared\"; default: http\n"
		"  \"request\", tcp \"session\")\n",
		"  max (number 1 to 1000000; default: http 64, tcp 1000)\n",
		"  idle (duration 1ms to 8760h or off; default: http \"60s\", "
		"tcp \"off\")\n",
		"  connections (number 1 to 10000000 or off; default: "
		"\"off\")\n",
		"  max_header (size 256B to 60KiB; default: \"32KiB\")\n",
		"\nKeys of listeners[].http: what only protocol http has\n"
		"  forwarded (\"append\", \"replace\" or \"off\"; default: "
		"\"append\")\n"
		"      X-Forwarded-For\n",
		"  trace (true or false; default: false)\n",
		"  trusted (list of networks; default: (127.0.0.0/8, ::1))\n",
		"  host (text; default: \"keep\")\n",
		"  connections_per_client (number 1 to 10000000 or off; "
		"default: \"off\")\n",
		"  request_rate (rate 1/s to 10000000/s or off; default: "
		"\"off\")\n",
		"  bandwidth_per_client (bandwidth 16KiB/s to 10GiB/s or off; "
		"default: \"off\")\n",
		"\nKeys of upstreams[].limits.request_rate: a rate in full\n"
		"  rate (rate 1/s to 10000000/s or off)\n",
		"  wait (duration 0s to 1h; default: \"2s\")\n",
		"  burst (size 16KiB to 1GiB)\n",
		"  budget (share 0 to 1; default: 0.2)\n",
		"  expect (statuses; default: \"200-399\")\n",
		"  client (text; default: \"address\")\n",
	};
	char *text = help(NULL);

	(void)state;
	for (size_t i = 0; i < NELEMS(expected); i++)
		if (strstr(text, expected[i]) == NULL)
			fail_msg("not in the help: %s", expected[i]);
	assert_null(strstr(text, "listeners[].tcp"));
	free(text);
}

static void
help_fits_a_terminal(void **state)
{
	char *text = help(NULL), *rest = text;

	(void)state;
	for (char *line; (line = strsep(&rest, "\n")) != NULL;)
		if (strlen(line) > 79)
			fail_msg("%zu columns: %s", strlen(line), line);
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_has_help_and_a_default_that_parses),
		cmocka_unit_test(no_table_has_a_key_twice),
		cmocka_unit_test(every_group_has_its_section),
		cmocka_unit_test(protocols_have_their_defaults),
		cmocka_unit_test(help_holds_every_row),
		cmocka_unit_test(help_is_of_what_has_the_word_in_its_path),
		cmocka_unit_test(help_tells_types_ranges_and_defaults),
		cmocka_unit_test(help_fits_a_terminal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
