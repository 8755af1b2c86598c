/*
 * net/tls_files: what was read is the same or it is not.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/tls_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/err.h"

/* What was noted of files of these texts. */
static struct tls_files
noted(enum tls_file kind, size_t n, const char *const *texts)
{
	struct tls_files f = { 0 };
	struct tls_wrong wrong = { "" };

	for (size_t i = 0; i < n; i++) {
		char path[] = "/tmp/weir-files-XXXXXX";
		int fd = mkstemp(path);

		assert_true(fd >= 0);
		assert_int_equal(write(fd, texts[i], strlen(texts[i])),
		    strlen(texts[i]));
		close(fd);
		assert_int_equal(tls_files_note(&f, kind, path, "key", &wrong),
		    0);
		unlink(path);
	}
	return f;
}

static void
other_texts_differ_and_no_file_is_not_an_empty_one(void **state)
{
	static const char *const texts[][2] = { { "ab", "c" }, { "a", "bc" },
		{ "c", "ab" }, { "", "abc" }, { "abc", "" }, { "", "" } };
	struct tls_files none = { 0 };

	(void)state;
	for (size_t i = 0; i < NELEMS(texts); i++)
		for (size_t k = 0; k < NELEMS(texts); k++) {
			struct tls_files a = noted(TLS_FILE_CA, 2, texts[i]);
			struct tls_files b = noted(TLS_FILE_CA, 2, texts[k]);

			assert_int_equal(tls_files_alike(&a, &b, TLS_FILE_CA),
			    i == k);
			assert_false(tls_files_alike(&a, &none, TLS_FILE_CA));
			assert_true(tls_files_alike(&a, &none, TLS_FILE_CRL));
		}
}

static void
a_file_that_cannot_be_read_is_wrong_by_its_key(void **state)
{
	struct tls_files f = { 0 }, none = { 0 };
	struct tls_wrong wrong = { "" };

	(void)state;
	assert_int_equal(tls_files_note(&f, TLS_FILE_KEY, NULL, "key",
	    &wrong), 0);
	assert_int_equal(tls_files_note(&f, TLS_FILE_KEY, "/nonexistent/x",
	    "certificates[1].key", &wrong), -1);
	assert_string_equal(wrong.text, "certificates[1].key: "
	    "\"/nonexistent/x\": No such file or directory");
	assert_memory_equal(&f, &none, sizeof(f));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    other_texts_differ_and_no_file_is_not_an_empty_one),
		cmocka_unit_test(
		    a_file_that_cannot_be_read_is_wrong_by_its_key)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
