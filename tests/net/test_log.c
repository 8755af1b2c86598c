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
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/ring.h"

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

/* ----------------------------------------------------------- through a ring */

static struct ring *ring;

static int
divert(void **state)
{
	(void)state;
	log_set(LOG_LEVEL_INFO, false);
	ring = ring_new(NULL, BELL_ANY);
	assert_non_null(ring);
	log_divert(ring);
	return 0;
}

static int
divert_no_more(void **state)
{
	(void)state;
	log_divert(NULL);
	ring_free(ring);
	return 0;
}

/* All that has come through the ring since the last time. */
static const char *
diverted(void)
{
	const char *lines;
	size_t len, all = 0;

	while ((len = ring_front(ring, &lines)) > 0) {
		assert_true(all + len < sizeof(out));
		memcpy(out + all, lines, len);
		all += len;
		ring_take(ring, len);
	}
	out[all] = '\0';
	return out;
}

static void
diverted_lines_go_into_the_ring(void **state)
{
	(void)state;
	catch();
	log_info("listener web", "one");
	log_warn(NULL, "two");
	assert_string_equal(caught(), "");
	is_like(diverted(), "^" STAMP " info listener web: one\n"
	    STAMP " warn two\n$");
	log_divert(NULL);
	catch();
	log_info(NULL, "three");
	is_like(caught(), "^" STAMP " info three\n$");
	assert_string_equal(diverted(), "");
}

static void
repeated_lines_are_counted(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 100; i++)
		log_warn("upstream app", "no endpoint");
	is_like(diverted(), "^" STAMP " warn upstream app: no endpoint\n$");
	log_info(NULL, "another");
	is_like(diverted(), "^" STAMP " warn upstream app: no endpoint "
	    "\\(repeated 99 times\\)\n" STAMP " info another\n$");
	log_info(NULL, "another");
	assert_string_equal(diverted(), "");
	assert_int_equal(log_unfold(true), LOG_FOLD_MS);
	is_like(diverted(), "^" STAMP " info another "
	    "\\(repeated 1 time\\)\n$");
	/* Nothing was counted since. */
	assert_int_equal(log_unfold(true), -1);
	assert_string_equal(diverted(), "");
}

/* Level, name and text: all must be the same. */
static void
lines_that_differ_are_not_folded(void **state)
{
	const char *text;
	int lines = 0;

	(void)state;
	log_warn("a", "text");
	log_info("a", "text");
	log_info("b", "text");
	log_info("b", "other text");
	log_info(NULL, "other text");
	for (text = diverted(); *text != '\0'; text++)
		lines += *text == '\n';
	assert_int_equal(lines, 5);
	assert_null(strstr(out, "repeated"));
}

static void
a_line_is_remembered_for_ten_seconds(void **state)
{
	int64_t left;

	(void)state;
	assert_int_equal(log_unfold(false), -1);
	log_info(NULL, "once");
	left = log_unfold(false);
	assert_true(left > LOG_FOLD_MS - 5000 && left <= LOG_FOLD_MS);
	is_like(diverted(), "once\n$");
	log_info(NULL, "once");
	assert_string_equal(diverted(), "");
	left = log_unfold(false);
	assert_true(left > LOG_FOLD_MS - 5000 && left <= LOG_FOLD_MS);
}

static void
what_was_counted_is_said_before_the_way_changes(void **state)
{
	(void)state;
	log_info(NULL, "same");
	log_info(NULL, "same");
	log_info(NULL, "same");
	log_divert(NULL);
	is_like(diverted(), " same\n" STAMP " info same "
	    "\\(repeated 2 times\\)\n$");
}

static void
long_line_that_was_repeated_is_cut(void **state)
{
	char *many = malloc(10001);

	(void)state;
	memset(many, 'x', 10000);
	many[10000] = '\0';
	log_info(NULL, "%s", many);
	log_info(NULL, "%s", many);
	(void)diverted();
	(void)log_unfold(true);
	is_like(diverted(), "xxx \\(repeated 1 time\\)\n$");
	assert_true(strlen(out) < 3000);
	free(many);
}

/* The ring is full and nobody empties it. */
static void
lines_without_room_are_dropped_not_waited_for(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < RING_BYTES / 50; i++)
		log_info(NULL, "line %d of very many, of fifty bytes or so", i);
	assert_true(ring_dropped(ring) > 0);
}

/* What the writer had no time for is what tells why. */
static void
abort_writes_what_is_in_the_ring(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	catch();
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		log_error("door", "about to fall");
		abort();
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	is_like(caught(), "^" STAMP " error door: about to fall\n");
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

/* json_loads() takes nothing that is not UTF-8. */
static void
json_line_is_json_whatever_the_bytes(void **state)
{
	json_t *o;

	(void)state;
	log_set(LOG_LEVEL_INFO, true);
	log_warn("host \xff\xfe", "\xc0\xaf caf\xc3\xa9 \x01");
	o = parsed(diverted());
	assert_string_equal(json_string_value(json_object_get(o, "text")),
	    "\xc3\x80\xc2\xaf caf\xc3\xa9 \x01");
	json_decref(o);
}

/* Characters are not cut in two where a line is cut. */
static void
long_lines_are_cut_between_characters(void **state)
{
	char *many = malloc(3 * 3000 + 8);
	int shift, i;

	(void)state;
	for (shift = 0; shift < 3; shift++) {
		char *at = many;

		for (i = 0; i < shift; i++)
			*at++ = 'x';
		for (i = 0; i < 600; i++)
			at = stpcpy(at, "\xe2\x82\xac");
		log_info(NULL, "%s", many);
		assert_null(strchr(diverted(), '\\'));
		assert_true(strlen(out) > 1800);
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
#define THROUGH(f) cmocka_unit_test_setup_teardown(f, divert, divert_no_more)
		THROUGH(diverted_lines_go_into_the_ring),
		THROUGH(repeated_lines_are_counted),
		THROUGH(lines_that_differ_are_not_folded),
		THROUGH(a_line_is_remembered_for_ten_seconds),
		THROUGH(what_was_counted_is_said_before_the_way_changes),
		THROUGH(long_line_that_was_repeated_is_cut),
		THROUGH(lines_without_room_are_dropped_not_waited_for),
		THROUGH(abort_writes_what_is_in_the_ring),
		THROUGH(json_line_is_json_whatever_the_bytes),
		THROUGH(long_lines_are_cut_between_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
