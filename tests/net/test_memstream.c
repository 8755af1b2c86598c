/*
 * net/memstream: what is written is there, or it is said that it is not.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/memstream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void
nothing_is_an_empty_text(void **state)
{
	struct memstream m;
	size_t len = 1;
	char *text;

	(void)state;
	assert_non_null(memstream_open(&m));
	text = memstream_close(&m, &len);
	assert_string_equal(text, "");
	assert_int_equal(len, 0);
	free(text);
}

static void
all_of_it_is_there(void **state)
{
	enum { N = 20000 };
	struct memstream m;
	char *text, word[16];
	size_t len, at = 0;
	int i;

	(void)state;
	assert_non_null(memstream_open(&m));
	for (i = 0; i < N; i++) {
		if (i % 2 == 0)
			fprintf(m.out, "%d,", i);
		else {
			snprintf(word, sizeof(word), "%d,", i);
			fputs(word, m.out);
		}
		if (i == 9)
			assert_int_equal(ftell(m.out), 20);
	}
	putc('\0', m.out);
	text = memstream_close(&m, &len);
	assert_non_null(text);
	for (i = 0; i < N; i++) {
		snprintf(word, sizeof(word), "%d,", i);
		assert_memory_equal(text + at, word, strlen(word));
		at += strlen(word);
	}
	assert_int_equal(len, at + 1);
	assert_int_equal(text[len], '\0');
	free(text);
}

/* Where it stands it would not fit any more; what comes later would. */
static void
what_had_no_room_is_told_at_the_end(void **state)
{
	struct memstream m;

	(void)state;
	assert_non_null(memstream_open(&m));
	fputs("begin ", m.out);
	fflush(m.out);
	m.len = SIZE_MAX / 2 - 2;
	fputs("middle ", m.out);
	fflush(m.out);
	m.len = 6;
	fputs("end", m.out);
	assert_null(memstream_close(&m, NULL));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_an_empty_text),
		cmocka_unit_test(all_of_it_is_there),
		cmocka_unit_test(what_had_no_room_is_told_at_the_end)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
