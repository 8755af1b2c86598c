/*
 * net/log: one line an event, in both formats, whatever is in it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/log.h"

#include <jansson.h>
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* Long enough for two lines of the longest kind. */
static char out[16 * 1024];
static int saved, pipe_fds[2];

/* What goes to standard error from here on is caught. */
static void
catch(void)
{
	fflush(stderr);
	saved = dup(STDERR_FILENO);
	assert_true(saved >= 0);
	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(dup2(pipe_fds[1], STDERR_FILENO), STDERR_FILENO);
	close(pipe_fds[1]);
}

static const char *
caught(void)
{
	size_t len = 0;
	ssize_t n;

	assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
	close(saved);
	while ((n = read(pipe_fds[0], out + len, sizeof(out) - 1 - len)) > 0)
		len += (size_t)n;
	close(pipe_fds[0]);
	out[len] = '\0';
	return out;
}

static void
is_like(const char *text, const char *pattern)
{
	regex_t re;

	assert_int_equal(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
	if (regexec(&re, text, 0, NULL, 0) != 0)
		fail_msg("\"%s\" is not like %s", text, pattern);
	regfree(&re);
}

#define STAMP "[0-9]{4}-[0-9]{2}-[0-9]{2}T" \
	"[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z"

static void
text_line_has_time_level_and_who(void **state)
{
	(void)state;
	log_set(LOG_LEVEL_INFO, false);
	catch();
	log_info("listener web", "accepted %d", 7);
	is_like(caught(), "^" STAMP " info listener web: accepted 7\n$");
	catch();
	log_error(NULL, "no %s", "memory");
	is_like(caught(), "^" STAMP " error no memory\n$");
}

static void
levels_above_the_set_one_are_silent(void **state)
{
	int level;

	(void)state;
	for (level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++) {
		const char *text;

		log_set((enum log_level)level, false);
		assert_int_equal(log_level(), level);
		catch();
		log_error(NULL, "an-error");
		log_warn(NULL, "a-warning");
		log_info(NULL, "a-notice");
		log_debug(NULL, "a-detail");
		text = caught();
		assert_non_null(strstr(text, "an-error"));
		assert_int_equal(strstr(text, "a-warning") != NULL,
		    level >= LOG_LEVEL_WARN);
		assert_int_equal(strstr(text, "a-notice") != NULL,
		    level >= LOG_LEVEL_INFO);
		assert_int_equal(strstr(text, "a-detail") != NULL,
		    level >= LOG_LEVEL_DEBUG);
	}
}

static json_t *
parsed(const char *text)
{
	json_error_t error;
	json_t *o = json_loads(text, 0, &error);

	if (o == NULL)
		fail_msg("\"%s\": %s", text, error.text);
	return o;
}

static void
json_line_is_json(void **state)
{
	json_t *o;

	(void)state;
	log_set(LOG_LEVEL_INFO, true);
	catch();
	log_warn("upstream \"app\"", "path C:\\x \"quoted\" %s", "tab\there");
	o = parsed(caught());
	assert_string_equal(json_string_value(json_object_get(o, "level")),
	    "warn");
	assert_string_equal(json_string_value(json_object_get(o, "who")),
	    "upstream \"app\"");
	assert_string_equal(json_string_value(json_object_get(o, "text")),
	    "path C:\\x \"quoted\" tab\there");
	is_like(json_string_value(json_object_get(o, "time")), "^" STAMP "$");
	json_decref(o);
	catch();
	log_warn(NULL, "no who");
	o = parsed(caught());
	assert_null(json_object_get(o, "who"));
	json_decref(o);
}

/* Bytes from a network cannot make a second line, or move the cursor. */
static void
control_characters_are_escaped(void **state)
{
	const char *text;

	(void)state;
	log_set(LOG_LEVEL_INFO, false);
	catch();
	log_info("who\n", "a\nforged line\r\x1b[2J\x7f");
	text = caught();
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	assert_null(strchr(text, '\x1b'));
	assert_non_null(strstr(text,
	    "a\\u000aforged line\\u000d\\u001b[2J\\u007f"));
}

static void
long_lines_are_cut_and_still_whole(void **state)
{
	char *many = malloc(10001);
	int json;

	(void)state;
	assert_non_null(many);
	for (json = 0; json < 2; json++) {
		const char *text;

		memset(many, json ? '"' : '\n', 10000);
		many[10000] = '\0';
		log_set(LOG_LEVEL_INFO, json);
		catch();
		log_info(many, "%s", many);
		log_info(NULL, "next");
		text = caught();
		assert_true(strlen(text) < 6000);
		assert_non_null(strstr(text, "next"));
		/* Two lines. */
		assert_ptr_equal(strchr(strchr(text, '\n') + 1, '\n'),
		    text + strlen(text) - 1);
		if (json) {
			json_t *o;

			*strchr(out, '\n') = '\0';
			o = parsed(out);
			json_decref(o);
		}
	}
	free(many);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_line_has_time_level_and_who),
		cmocka_unit_test(levels_above_the_set_one_are_silent),
		cmocka_unit_test(json_line_is_json),
		cmocka_unit_test(control_characters_are_escaped),
		cmocka_unit_test(long_lines_are_cut_and_still_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
