/*
 * conf/log_fields: what log.fields may name, and what is said of the rest.
 *
 * SPDX-License-Identifier: MIT
 */
#include "conf/log_fields.h"

#include "tests/conf/rows.h"

#define AT "weir.conf:1: log.fields: "

static const struct row rows[] = {
	{ ROW_TOP, "log = { fields = (); };", "" },
	{ ROW_TOP, "log = { fields = ( \"time\" ); };", "" },
	{ ROW_TOP, "log = { fields = ( \"header:A\", \"header:B\", "
	    "\"header:C\", \"header:X-d_e.f\", \"status\" ); };", "" },
	{ ROW_TOP, "log = { fields = ( \"staus\" ); };",
	    AT "unknown field \"staus\", did you mean \"status\"?" },
	{ ROW_TOP, "log = { fields = ( \"Time\" ); };",
	    AT "unknown field \"Time\", did you mean \"time\"?" },
	{ ROW_TOP, "log = { fields = ( \"bananas\" ); };",
	    AT "unknown field \"bananas\", expected some of time, client, "
	    "client_ip, listener, upstream, endpoint, worker, request, method, "
	    "path, host, agent, request_id, trace_id, user, database, "
	    "tls_version, sni, status, outcome, failure, said, received, sent, "
	    "arrive_us, pause_us, queue_us, connect_us, tls_us, "
	    "first_byte_us, client_us, total_us, reused, retries, header:NAME" },
	{ ROW_TOP, "log = { fields = ( \"time\", \"status\", \"time\" ); };",
	    AT "\"time\" is there twice, expected each once" },
	{ ROW_TOP, "log = { fields = ( \"header:a\", \"header:A\" ); };",
	    AT "\"header:A\" is there twice, expected each once" },
	{ ROW_TOP, "log = { fields = ( \"header:\" ); };",
	    AT "\"header:\" names no field of HTTP, expected one such as "
	    "\"header:Referer\"" },
	{ ROW_TOP, "log = { fields = ( \"header:a b\" ); };",
	    AT "\"header:a b\" names no field of HTTP, expected one such as "
	    "\"header:Referer\"" },
	/* It would stand in JSON as it is. */
	{ ROW_TOP, "log = { fields = ( \"header:a\\\"b\" ); };",
	    AT "\"header:a\"b\" names no field of HTTP, expected one such as "
	    "\"header:Referer\"" },
	{ ROW_TOP, "log = { fields = ( \"header:A\", \"header:B\", "
	    "\"header:C\", \"header:D\", \"header:E\" ); };",
	    AT "more than 4 of \"header:\", expected fewer" },
	{ ROW_TOP, "log = { fields = \"tiem\"; };",
	    AT "unknown field \"tiem\", did you mean \"time\"?" },
};

static void
bad_fields_are_told(void **state)
{
	(void)state;
	rows_hold(rows, NELEMS(rows));
}

static void
fields_come_in_the_order_of_the_file(void **state)
{
	struct conf *c = conf_of(ROW_TOP, "log = { fields = ( \"status\", "
	    "\"header:X-Y\", \"time\" ); };");

	(void)state;
	assert_non_null(c);
	assert_int_equal(c->log.n_fields, 3);
	assert_int_equal(c->log.fields[0].what, CONF_FIELD_STATUS);
	assert_string_equal(c->log.fields[0].name, "status");
	assert_null(c->log.fields[0].header);
	assert_int_equal(c->log.fields[1].what, CONF_FIELD_HEADER);
	assert_string_equal(c->log.fields[1].name, "header:X-Y");
	assert_string_equal(c->log.fields[1].header, "X-Y");
	assert_int_equal(c->log.fields[2].what, CONF_FIELD_TIME);
	conf_free(c);
}

static void
each_field_has_a_name_and_help(void **state)
{
	size_t i, k;

	(void)state;
	for (i = 0; i < CONF_N_FIELDS; i++) {
		assert_non_null(log_field_rows[i].name);
		assert_non_null(log_field_rows[i].help);
		for (k = 0; k < i; k++)
			assert_string_not_equal(log_field_rows[i].name,
			    log_field_rows[k].name);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_fields_are_told),
		cmocka_unit_test(fields_come_in_the_order_of_the_file),
		cmocka_unit_test(each_field_has_a_name_and_help),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
