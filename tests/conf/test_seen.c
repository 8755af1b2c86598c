/*
 * conf/seen, and a text of as many as fit: nothing is compared each with each.
 *
 * SPDX-License-Identifier: MIT
 */
#include "conf/seen.h"

#include "conf/arena.h"
#include "conf/sent.h"
#include "tests/conf/rows.h"

enum { MANY = 100000 };

static size_t compared;

static bool
are_alike(const void *a, const void *b)
{
	compared++;
	return strcmp(a, b) == 0;
}

/* Each is there twice; the texts have much in common. */
static void
first_of_many_is_found_in_a_few_steps(void **state)
{
	static char names[MANY][24];
	struct arena arena = { 0 };
	struct seen seen;

	(void)state;
	assert_int_equal(seen_init(&seen, &arena, MANY), 0);
	compared = 0;
	for (size_t i = 0; i < MANY; i++) {
		const void **place;

		snprintf(names[i], sizeof(names[i]), "upstream-%zu", i / 2);
		place = seen_place(&seen, seen_hash(&seen, 0, names[i]),
		    names[i], are_alike);
		if (i % 2 == 0) {
			assert_null(*place);
			*place = names[i];
		} else
			assert_ptr_equal(*place, names[i - 1]);
	}
	assert_true(compared < 3 * MANY);
	arena_fini(&arena);
}

static void
hash_is_of_all_texts_and_their_bounds(void **state)
{
	struct arena arena = { 0 };
	struct seen seen;
	uint64_t ab;

	(void)state;
	assert_int_equal(seen_init(&seen, &arena, 0), 0);
	ab = seen_hash(&seen, seen_hash(&seen, 0, "a"), "b");
	assert_true(ab == seen_hash(&seen, seen_hash(&seen, 0, "a"), "b"));
	assert_true(ab != seen_hash(&seen, seen_hash(&seen, 0, "b"), "a"));
	assert_true(ab != seen_hash(&seen, seen_hash(&seen, 0, "ab"), ""));
	assert_true(seen_hash(&seen, 0, NULL) != seen_hash(&seen, 0, ""));
	arena_fini(&arena);
}

/* ------------------------------------------------------------ a whole text */

/* n of a form, in which # is a number and @ three bytes of an address. */
static void
put_many(FILE *out, const char *before, const char *form, unsigned n,
    const char *behind)
{
	fputs(before, out);
	for (unsigned i = 0; i < n; i++) {
		if (i > 0)
			putc(',', out);
		for (const char *at = form; *at != '\0'; at++)
			if (*at == '#')
				fprintf(out, "%x", i);
			else if (*at == '@')
				fprintf(out, "%u.%u.%u", i >> 16 & 255,
				    i >> 8 & 255, i & 255);
			else
				putc(*at, out);
	}
	fputs(behind, out);
}

/* With each compared to each this is some 10^10 steps. */
static void
as_many_as_may_be_sent_are_through(void **state)
{
	struct conf_errors errors = { NULL, 0 }, warnings = { NULL, 0 };
	struct conf_input in = { .path = "/etc/weir.conf", .name = "new.conf",
	    .protos = fake_protos };
	char *text = NULL;
	struct conf *c;
	size_t n;
	FILE *out = open_memstream(&text, &n);

	(void)state;
	assert_non_null(out);
	put_many(out, "listeners = ( { name = \"a\"; bind = \"127.0.0.1:1\"; "
	    "protocol = \"http\"; upstream = \"u0\"; routes = (",
	    "{path=\"/#\";upstream=\"u0\";}", 40000, ");");
	put_many(out, "allow = (", "\"10.@\"", 70000, ");");
	put_many(out, "deny = (", "\"11.@\"", 70000, "); }, ");
	put_many(out, "", "{name=\"l#\";bind=\"127.@:2\";"
	    "protocol=\"http\";upstream=\"u1\";}", 5000, ");\n");
	put_many(out, "upstreams = (", "{name=\"u#\";endpoints=(\"h:1\");}",
	    9000, ");\n");
	fclose(out);
	assert_true(n > SENT_MAX_BYTES * 9 / 10 && n < SENT_MAX_BYTES);
	in.text = text;
	c = conf_load(&in, &errors);
	if (c == NULL)
		fail_msg("%s", errors.v[0]);
	assert_int_equal(c->listeners[0].n_routes, 40000);
	assert_string_equal(c->listeners[0].routes[0].path, "/1000");
	conf_warn(c, &warnings);
	conf_errors_fini(&warnings);
	conf_free(c);
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_of_many_is_found_in_a_few_steps),
		cmocka_unit_test(hash_is_of_all_texts_and_their_bounds),
		cmocka_unit_test(as_many_as_may_be_sent_are_through)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
