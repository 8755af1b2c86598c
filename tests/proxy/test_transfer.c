/*
 * Tests of proxy/transfer.c: what goes, what comes of it elsewhere, and what of
 * lies.
 *
 * SPDX-License-Identifier: MIT
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "proxy/session.h"
#include "proxy/transfer.h"
#include "tests/support/lane_scene.h"

enum { MOST = 8 };

static struct lane_scene scene;
static struct crossing crossing;
static struct crosser *came[MOST];
static unsigned n_came;

static void
take_down(struct crossing *to, struct crosser *c)
{
	assert_ptr_equal(to, &crossing);
	assert_in_range(n_came, 0, MOST - 1);
	came[n_came++] = c;
}

/* What another weir's serving means to this lane. */
static void
another_serves(void)
{
	crossing = (struct crossing){ .main = &scene.rt.main,
	    .came = take_down };
	n_came = 0;
	scene.door->crosses = true;
	transfer_begin(scene.lane, &crossing);
	lane_scene_run(&scene);
}

/* And this one is the other one, from now on. */
static void
be_the_other(void)
{
	transfer_end(&scene.lane->transfer);
	scene.door->crosses = false;
}

static void
come_in(struct crosser *c)
{
	int fd = dup(c->fd);

	assert_true(fd >= 0);
	transfer_take_in(scene.door, fd, c->said);
	crosser_end(c);
	lane_scene_run(&scene);
}

/* With that in place of a member of its state. */
static void
come_in_with(const char *state, const char *name, json_t *j)
{
	json_t *said = json_pack("{s:s,s:o}", "client", "10.0.0.1:80", "state",
	    json_loads(state, 0, NULL));
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
	    fds), 0);
	if (name != NULL)
		assert_int_equal(json_object_set_new(json_object_get(said,
		    "state"), name, j), 0);
	transfer_take_in(scene.door, fds[0], said);
	json_decref(said);
	close(fds[1]);
	lane_scene_run(&scene);
}

static uint64_t
active(void)
{
	return count_read(&scene.door->active);
}

/* ------------------------------------------------------------------- who goes */

static void
idle_client_goes_with_its_deadline(void **state)
{
	int fd, left;

	(void)state;
	lane_scene_begin(&scene, "http", "timeouts = { idle = \"10s\"; };", "");
	fd = lane_scene_client(&scene, "10.0.0.9");
	lane_scene_pass(&scene, 4000);
	another_serves();
	assert_int_equal(n_came, 1);
	assert_int_equal(atomic_load(&crossing.under_way), 1);
	assert_int_equal(active(), 0);
	assert_int_equal(atomic_load(&scene.listener->active), 0);
	assert_string_equal(json_string_value(json_object_get(came[0]->said,
	    "listener")), "web");
	left = (int)json_integer_value(json_object_get(came[0]->said,
	    "left_ms"));
	assert_in_range(left, 5900, 6000);
	be_the_other();
	come_in(came[0]);
	assert_int_equal(atomic_load(&crossing.under_way), 0);
	assert_int_equal(active(), 1);
	assert_int_equal(count_read(&scene.door->accepted), 1);
	lane_scene_pass(&scene, 5000);
	assert_string_equal(lane_scene_hear(fd), "");
	lane_scene_pass(&scene, 1000);
	assert_null(lane_scene_hear(fd));
	assert_int_equal(count_read(&scene.door->failures[FAIL_IDLE_TIMEOUT]),
	    1);
	close(fd);
	lane_scene_end(&scene);
}

static void
one_in_the_middle_of_something_stays_until_it_is_over(void **state)
{
	int fd;

	(void)state;
	lane_scene_begin(&scene, "redis", "", "");
	fd = lane_scene_client(&scene, "10.0.0.9");
	lane_scene_say(&scene, fd, "*2\r\n$6\r\nCLIENT\r\n");
	another_serves();
	assert_int_equal(n_came, 0);
	lane_scene_say(&scene, fd, "$7\r\nGETNAME\r\n");
	assert_string_equal(lane_scene_hear(fd), "$-1\r\n");
	assert_int_equal(n_came, 1);
	be_the_other();
	come_in(came[0]);
	lane_scene_say(&scene, fd, "CLIENT GETNAME\r\n");
	assert_string_equal(lane_scene_hear(fd), "$-1\r\n");
	close(fd);
	lane_scene_end(&scene);
}

static void
nobody_goes_where_too_many_are_on_their_way_or_it_is_over(void **state)
{
	int fd;

	(void)state;
	lane_scene_begin(&scene, "http", "", "");
	fd = lane_scene_client(&scene, "10.0.0.9");
	another_serves();
	assert_int_equal(n_came, 1);
	be_the_other();
	come_in(came[0]);
	crossing.under_way = 1000 * 1000;
	n_came = 0;
	scene.door->crosses = true;
	transfer_begin(scene.lane, &crossing);
	lane_scene_pass(&scene, 100);
	assert_int_equal(n_came, 0);
	crossing.under_way = 0;
	atomic_store(&crossing.over, true);
	lane_scene_pass(&scene, 100);
	assert_int_equal(n_came, 0);
	be_the_other();
	close(fd);
	lane_scene_end(&scene);
}

/* A name of so many bytes for it, or, "SETINFO", for its library. */
static void
take_name(int fd, const char *command, size_t len)
{
	const char *more = strcmp(command, "SETINFO") == 0 ?
	    "$8\r\nlib-name\r\n" : "";
	char text[64 * 1024];
	int n = snprintf(text, sizeof(text), "*%d\r\n$6\r\nCLIENT\r\n$7\r\n"
	    "%s\r\n%s$%zu\r\n", *more != '\0' ? 4 : 3, command, more, len);

	assert_in_range(len, 0, sizeof(text) - 128);
	memset(text + n, 'a', len);
	memcpy(text + n + len, "\r\n", 3);
	lane_scene_say(&scene, fd, text);
	assert_string_equal(lane_scene_hear(fd), "+OK\r\n");
}

static void
what_is_too_large_stays_and_is_not_told_all_the_time(void **state)
{
	struct session *s;
	int fd;

	(void)state;
	lane_scene_begin(&scene, "redis", "", "");
	fd = lane_scene_client(&scene, "10.0.0.9");
	s = lane_scene_session(&scene);
	take_name(fd, "SETNAME", 32 * 1024);
	take_name(fd, "SETINFO", 32 * 1024);
	another_serves();
	assert_int_equal(n_came, 0);
	assert_int_not_equal(s->too_large, 0);
	take_name(fd, "SETNAME", 3);
	lane_scene_pass(&scene, 20);
	assert_int_equal(n_came, 0);
	lane_scene_pass(&scene, 16 * 1000);
	assert_int_equal(n_came, 1);
	be_the_other();
	come_in(came[0]);
	lane_scene_say(&scene, fd, "CLIENT GETNAME\r\n");
	assert_string_equal(lane_scene_hear(fd), "$3\r\naaa\r\n");
	close(fd);
	lane_scene_end(&scene);
}

static void
nobody_goes_with_a_text_that_is_not_taken_in(void **state)
{
	int fd;

	(void)state;
	lane_scene_begin(&scene, "redis", "", "");
	fd = lane_scene_client(&scene, "10.0.0.9");
	take_name(fd, "SETNAME", 32 * 1024 + 1);
	another_serves();
	assert_int_equal(n_came, 0);
	take_name(fd, "SETNAME", 32 * 1024);
	assert_int_equal(n_came, 1);
	be_the_other();
	come_in(came[0]);
	assert_int_equal(active(), 1);
	close(fd);
	lane_scene_end(&scene);
}

static void
only_so_much_is_told_in_one_turn(void **state)
{
	int fds[6];
	size_t i;

	(void)state;
	lane_scene_begin(&scene, "redis", "", "");
	for (i = 0; i < NELEMS(fds); i++) {
		fds[i] = lane_scene_client(&scene, "10.0.0.9");
		take_name(fds[i], "SETNAME", 25 * 1024);
		take_name(fds[i], "SETINFO", 25 * 1024);
	}
	another_serves();
	assert_int_equal(n_came, 3);
	lane_scene_pass(&scene, 1);
	assert_int_equal(n_came, NELEMS(fds));
	for (i = 0; i < NELEMS(fds); i++) {
		crosser_end(came[i]);
		close(fds[i]);
	}
	be_the_other();
	lane_scene_end(&scene);
}

/* ----------------------------------------------------------------- what comes */

static const char redis_state[] = "{\"db\":0,\"resp\":2}";

static void
lies_are_closed_and_leave_nothing(void **state)
{
	static const char *const numbers[] = { "db", "resp", "replies" };
	static const char *const texts[] = { "user", "password", "name",
		"lib_name", "lib_version" };
	size_t i;

	(void)state;
	lane_scene_begin(&scene, "redis", "", "");
	for (i = 0; i < NELEMS(numbers); i++) {
		come_in_with(redis_state, numbers[i], json_integer(-1));
		come_in_with(redis_state, numbers[i],
		    json_integer(INT64_C(1) << 33));
	}
	for (i = 0; i < NELEMS(texts); i++) {
		come_in_with(redis_state, texts[i], json_integer(7));
		come_in_with(redis_state, texts[i], json_string("0g"));
		come_in_with(redis_state, texts[i], json_string("0"));
		come_in_with(redis_state, texts[i], json_string("6100"));
	}
	/* A name that nobody can have given himself; a user without login. */
	come_in_with(redis_state, "name", json_string("6120"));
	come_in_with(redis_state, "user", json_string("61"));
	assert_int_equal(active(), 0);
	assert_int_equal(atomic_load(&scene.listener->active), 0);
	lane_scene_end(&scene);
}

static void
what_is_missing_has_a_default(void **state)
{
	(void)state;
	lane_scene_begin(&scene, "redis", "", "");
	come_in_with("{}", "of another version", json_true());
	/* It was good; its client has left since. */
	assert_int_equal(count_read(&scene.door->received), 0);
	come_in_with("[]", NULL, NULL);
	come_in_with("null", NULL, NULL);
	assert_int_equal(active(), 0);
	lane_scene_end(&scene);
}

static void
bytes_and_texts_are_read_as_they_were_written(void **state)
{
	static const char all[] = "a\0\xff\x80z";
	char back[sizeof(all)], *text;
	json_t *j = transfer_bytes(all, sizeof(all));
	struct addr_ip ip;

	(void)state;
	assert_int_equal(transfer_read_bytes(j, back, sizeof(back)),
	    sizeof(all));
	assert_memory_equal(back, all, sizeof(all));
	assert_int_equal(transfer_read_bytes(j, back, sizeof(back) - 1), 0);
	assert_int_equal(transfer_read_text(j, &text, 100), -1);
	json_decref(j);
	j = transfer_text("\xff");
	assert_int_equal(transfer_read_text(j, &text, 1), 0);
	assert_string_equal(text, "\xff");
	free(text);
	assert_int_equal(transfer_read_text(j, &text, 0), -1);
	json_decref(j);
	assert_int_equal(transfer_read_text(NULL, &text, 0), 0);
	assert_null(text);
	assert_int_equal(transfer_addr("[::1]:80", &ip), 0);
	assert_int_equal(ip.family, AF_INET6);
	assert_int_equal(ip.port, 80);
	assert_int_equal(transfer_addr("unix:", &ip), 0);
	assert_int_equal(ip.family, AF_UNIX);
	assert_int_equal(transfer_addr("-", &ip), 0);
	assert_int_equal(ip.family, 0);
	assert_int_equal(transfer_addr("localhost:80", &ip), -1);
	assert_int_equal(transfer_addr("", &ip), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(idle_client_goes_with_its_deadline),
		cmocka_unit_test(
		    one_in_the_middle_of_something_stays_until_it_is_over),
		cmocka_unit_test(
		    nobody_goes_where_too_many_are_on_their_way_or_it_is_over),
		cmocka_unit_test(
		    what_is_too_large_stays_and_is_not_told_all_the_time),
		cmocka_unit_test(nobody_goes_with_a_text_that_is_not_taken_in),
		cmocka_unit_test(only_so_much_is_told_in_one_turn),
		cmocka_unit_test(lies_are_closed_and_leave_nothing),
		cmocka_unit_test(what_is_missing_has_a_default),
		cmocka_unit_test(bytes_and_texts_are_read_as_they_were_written)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
