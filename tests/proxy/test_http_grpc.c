/*
 * gRPC's bytes: questions and answers about health, messages of failures, and
 * which failure has which status.
 *
 * SPDX-License-Identifier: MIT
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/proto/http/grpc.h"

static void
a_question_has_its_frame_and_its_service(void **state)
{
	unsigned char out[GRPC_SERVICE_MOST + 8];
	char longest[GRPC_SERVICE_MOST + 1];

	(void)state;
	assert_int_equal(grpc_health_ask(NULL, out), 5);
	assert_memory_equal(out, "\0\0\0\0\0", 5);
	assert_int_equal(grpc_health_ask("", out), 5);
	assert_int_equal(grpc_health_ask("a.B", out), 10);
	assert_memory_equal(out, "\0\0\0\0\x05\x0a\x03" "a.B", 10);
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(grpc_health_ask(longest, out), sizeof(out) - 1);
	assert_int_equal(out[4], GRPC_SERVICE_MOST + 2);
}

#define ROW(bytes, got, health) { bytes, sizeof(bytes) - 1, got, health }

static const struct {
	const char *bytes;
	size_t len;
	enum parse got;
	enum grpc_health health;
} rows[] = {
	ROW("\0\0\0\0\x02\x08\x01", PARSE_DONE, GRPC_HEALTH_SERVING),
	ROW("\0\0\0\0\x02\x08\x02", PARSE_DONE, GRPC_HEALTH_NOT_SERVING),
	ROW("\0\0\0\0\x02\x08\x03", PARSE_DONE, GRPC_HEALTH_SERVICE_UNKNOWN),
	ROW("\0\0\0\0\x02\x08\x07", PARSE_DONE, GRPC_HEALTH_UNKNOWN),
	ROW("\0\0\0\0\0", PARSE_DONE, GRPC_HEALTH_UNKNOWN),
	/* Seven bits a byte, and the last of a field counts. */
	ROW("\0\0\0\0\x03\x08\x81\x00", PARSE_DONE, GRPC_HEALTH_SERVING),
	ROW("\0\0\0\0\x04\x08\x02\x08\x01", PARSE_DONE, GRPC_HEALTH_SERVING),
	/* Fields that are not known, of each kind. */
	ROW("\0\0\0\0\x07\x12\x03" "abc" "\x08\x01", PARSE_DONE,
	    GRPC_HEALTH_SERVING),
	ROW("\0\0\0\0\x04\x10\x05\x08\x01", PARSE_DONE, GRPC_HEALTH_SERVING),
	ROW("\0\0\0\0\x0b\x11" "12345678" "\x08\x01", PARSE_DONE,
	    GRPC_HEALTH_SERVING),
	ROW("\0\0\0\0\x07\x15" "1234" "\x08\x01", PARSE_DONE,
	    GRPC_HEALTH_SERVING),
	/* Not whole. */
	ROW("", PARSE_MORE, 0),
	ROW("\0\0\0\0", PARSE_MORE, 0),
	ROW("\0\0\0\0\x02\x08", PARSE_MORE, 0),
	/* Compressed, too long, two of them, and what is no field. */
	ROW("\1\0\0\0\x02\x08\x01", PARSE_BAD, 0),
	ROW("\0\1\0\0\x02\x08\x01", PARSE_BAD, 0),
	ROW("\0\0\0\0\x02\x08\x01\0\0\0\0\0", PARSE_BAD, 0),
	ROW("\0\0\0\0\x01\x08", PARSE_BAD, 0),
	ROW("\0\0\0\0\x02\x08\x81", PARSE_BAD, 0),
	ROW("\0\0\0\0\x02\x12\x05", PARSE_BAD, 0),
	ROW("\0\0\0\0\x03\x11" "12", PARSE_BAD, 0),
	ROW("\0\0\0\0\x01\x0b", PARSE_BAD, 0),
	ROW("\0\0\0\0\x0c\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01" "a",
	    PARSE_BAD, 0)
};

static void
every_answer_is_read_as_its_row_says(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < NELEMS(rows); i++) {
		enum grpc_health health = GRPC_HEALTH_UNKNOWN;
		unsigned char *bytes = malloc(rows[i].len + 1);

		/* Nothing behind the end is looked at. */
		assert_non_null(bytes);
		memcpy(bytes, rows[i].bytes, rows[i].len);
		bytes = realloc(bytes, rows[i].len > 0 ? rows[i].len : 1);
		assert_non_null(bytes);
		assert_int_equal(grpc_health_read(bytes, rows[i].len, &health),
		    rows[i].got);
		if (rows[i].got == PARSE_DONE)
			assert_int_equal(health, rows[i].health);
		free(bytes);
	}
}

static void
messages_are_printable_and_bounded(void **state)
{
	char out[16];

	(void)state;
	grpc_message("100 %\n\x7f", out, sizeof(out));
	assert_string_equal(out, "100 %25%0A%7F");
	grpc_message("a long text of many words", out, sizeof(out));
	assert_string_equal(out, "a long text o");
	grpc_message("\xc3\xa4", out, sizeof(out));
	assert_string_equal(out, "%C3%A4");
}

static void
failures_have_the_statuses_that_clients_act_upon(void **state)
{
	(void)state;
	assert_int_equal(grpc_status_of(FAIL_LIMITED), GRPC_RESOURCE_EXHAUSTED);
	assert_int_equal(grpc_status_of(FAIL_RESPONSE_TIMEOUT),
	    GRPC_DEADLINE_EXCEEDED);
	assert_int_equal(grpc_status_of(FAIL_NO_ROUTE), GRPC_UNIMPLEMENTED);
	assert_int_equal(grpc_status_of(FAIL_CONNECT_FAILED), GRPC_UNAVAILABLE);
	assert_int_equal(grpc_status_of(FAIL_REFUSED), GRPC_UNAVAILABLE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_question_has_its_frame_and_its_service),
		cmocka_unit_test(every_answer_is_read_as_its_row_says),
		cmocka_unit_test(messages_are_printable_and_bounded),
		cmocka_unit_test(
		    failures_have_the_statuses_that_clients_act_upon)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
