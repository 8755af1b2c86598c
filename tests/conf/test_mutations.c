/*
 * Good files with bytes changed, cut or moved: whatever comes out is either a
 * configuration that can be printed or a list of errors with their place.
 *
 * Reads tests/data/conf, so it runs in the project's root. The same seed each
 * time: a failure can be had again.
 *
 * SPDX-License-Identifier: MIT
 */
#include "conf/text.h"
#include "tests/conf/rows.h"

#define GOOD "tests/data/conf/good.conf"
#define ROUNDS 3000

static char *good;              /* the file's text */

static uint32_t
random_below(uint32_t n)
{
	static uint32_t seed = 0x2545f491;

	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed % n;
}

/* True when it is a configuration. */
static bool
holds_together(const char *text)
{
	struct conf_input in = { .path = GOOD, .text = text,
	    .protos = fake_protos };
	struct conf_errors e;
	struct conf *c = conf_load(&in, &e);
	char *json;

	for (size_t i = 0; i < e.n; i++)
		if (strncmp(e.v[i], "tests/data/conf/", 16) != 0 ||
		    strstr(e.v[i], ": syntax error") != NULL)
			fail_msg("%s\nof\n%s", e.v[i], text);
	conf_errors_fini(&e);
	if (c == NULL)
		return false;
	conf_warn(c, &e);
	conf_errors_fini(&e);
	json = conf_json(c);
	assert_non_null(json);
	free(json);
	conf_free(c);
	return true;
}

static void
mutate(char *text)
{
	static const char marks[] = "(){}[]=;,:\"\\$@#/*-+.0129aLx\n \x01\xff";
	size_t n = strlen(text);
	size_t at = random_below((uint32_t)n);
	size_t from = random_below((uint32_t)n);
	size_t len = 1 + random_below(20);

	len = at + len > n ? n - at : len;
	len = from + len > n ? n - from : len;
	switch (random_below(5)) {
	case 0:
		text[at] = marks[random_below(sizeof(marks) - 1)];
		break;
	case 1:
		text[at] = (char)(1 + random_below(255));
		break;
	case 2:
		memmove(text + at, text + at + len, n - at - len + 1);
		break;
	case 3:
		memmove(text + at, text + from, len);
		break;
	default:
		text[at] ^= (char)(1u << random_below(8));
		text[at] = text[at] == '\0' ? ' ' : text[at];
	}
}

static void
mutated_files_hold_together(void **state)
{
	unsigned accepted = 0;

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		char *text = strdup(good);

		assert_non_null(text);
		for (uint32_t k = 1 + random_below(4); k > 0; k--)
			mutate(text);
		accepted += holds_together(text);
		free(text);
	}
	/* Both sides were seen: most bytes matter, some are blank. */
	assert_in_range(accepted, ROUNDS / 50, ROUNDS - ROUNDS / 10);
}

static void
cut_files_hold_together(void **state)
{
	(void)state;
	for (size_t n = strlen(good); n > 0; n--) {
		char *text = strndup(good, n);

		assert_non_null(text);
		holds_together(text);
		free(text);
	}
}

static void
files_without_a_line_hold_together(void **state)
{
	(void)state;
	for (const char *line = good; *line != '\0';) {
		const char *next = line + strcspn(line, "\n") + 1;
		char *text;

		assert_true(asprintf(&text, "%.*s%s", (int)(line - good), good,
		    next) > 0);
		holds_together(text);
		free(text);
		line = next;
	}
}

static int
read_good(void **state)
{
	const char *why;

	(void)state;
	good = file_read(GOOD, TEXT_MAX_BYTES, &why);
	return good == NULL ? -1 : 0;
}

static int
forget_good(void **state)
{
	(void)state;
	free(good);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mutated_files_hold_together),
		cmocka_unit_test(cut_files_hold_together),
		cmocka_unit_test(files_without_a_line_hold_together),
	};

	return cmocka_run_group_tests(tests, read_good, forget_good);
}
