/*
 * proxy/inherit: what is no listening stream socket is refused, what is one is
 * found by its address, once.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/upgrade/inherit.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct inheritance in;
static char why[256];

/* A socket of loopback; its address is put into *at. */
static int
opened(int type, bool listens, struct addr *at)
{
	struct sockaddr_in any = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, type, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof(any)), 0);
	if (listens)
		assert_int_equal(listen(fd, 5), 0);
	at->len = sizeof(at->ss);
	assert_int_equal(getsockname(fd, &at->sa, &at->len), 0);
	return fd;
}

static void
is_found_by_its_address_once(void **state)
{
	struct addr at, other;
	int fd = opened(SOCK_STREAM, true, &at);
	int second = opened(SOCK_STREAM, true, &other);
	bool foreign;

	(void)state;
	assert_int_equal(inherit_add(&in, fd, NULL, true, false, why,
	    sizeof(why)), 0);
	assert_int_equal(inherit_count(&in, &at), 1);
	assert_int_equal(inherit_count(&in, &other), 0);
	assert_int_equal(inherit_take(&in, &other, &foreign), -1);
	assert_int_equal(inherit_take(&in, &at, &foreign), fd);
	assert_true(foreign);
	assert_int_equal(inherit_count(&in, &at), 0);
	assert_int_equal(inherit_take(&in, &at, &foreign), -1);
	/* As listen_open() would have made it. */
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	inherit_end(&in);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	close(fd);
	close(second);
}

static void
several_of_one_address_are_all_found(void **state)
{
	struct addr at;
	int fd = opened(SOCK_STREAM, true, &at), copy = dup(fd);
	bool foreign;

	(void)state;
	assert_int_equal(inherit_add(&in, fd, &at, false, true, why,
	    sizeof(why)), 0);
	assert_int_equal(inherit_add(&in, copy, &at, false, true, why,
	    sizeof(why)), 0);
	assert_int_equal(inherit_count(&in, &at), 2);
	assert_int_equal(inherit_take(&in, &at, &foreign), fd);
	assert_int_equal(inherit_take(&in, &at, &foreign), copy);
	inherit_end(&in);
	close(fd);
	close(copy);
}

static void
what_is_left_is_closed(void **state)
{
	struct addr at;
	int fd = opened(SOCK_STREAM, true, &at);

	(void)state;
	assert_int_equal(inherit_add(&in, fd, NULL, true, false, why,
	    sizeof(why)), 0);
	inherit_end(&in);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	assert_int_equal(in.n, 0);
}

static void
what_does_not_listen_is_refused(void **state)
{
	struct addr at;
	int plain = opened(SOCK_STREAM, false, &at);
	int datagrams = opened(SOCK_DGRAM, false, &at);
	int file = open("/dev/null", O_RDONLY);

	(void)state;
	assert_int_equal(inherit_add(&in, plain, NULL, true, false, why,
	    sizeof(why)), -1);
	assert_non_null(strstr(why, "listens"));
	assert_int_equal(inherit_add(&in, datagrams, NULL, true, false, why,
	    sizeof(why)), -1);
	assert_int_equal(inherit_add(&in, file, NULL, true, false, why,
	    sizeof(why)), -1);
	assert_int_equal(inherit_add(&in, 9999, NULL, true, false, why,
	    sizeof(why)), -1);
	assert_int_equal(in.n, 0);
	/* They are the caller's still. */
	assert_int_equal(close(plain), 0);
	assert_int_equal(close(datagrams), 0);
	assert_int_equal(close(file), 0);
}

static void
say(const char *pid, const char *fds)
{
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", fds, 1);
	setenv("LISTEN_FDNAMES", "a:b", 1);
}

static void
numbers_that_are_none_are_passed_over(void **state)
{
	static const char *const bad[] = { "", "x", "-1", "0", "1x", " ",
		"99999999999999999999", "0x1" };
	char self[32];
	size_t i;

	(void)state;
	snprintf(self, sizeof(self), "%ld", (long)getpid());
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		say(self, bad[i]);
		inherit_from_manager(&in);
		say(bad[i], "1");
		inherit_from_manager(&in);
		assert_int_equal(in.n, 0);
		assert_null(getenv("LISTEN_PID"));
		assert_null(getenv("LISTEN_FDS"));
		assert_null(getenv("LISTEN_FDNAMES"));
	}
}

static void
one_of_our_own_is_no_gift(void **state)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_false(inherit_is_given(fd));
	assert_int_equal(fcntl(fd, F_SETFD, 0), 0);
	assert_true(inherit_is_given(fd));
	close(fd);
	assert_false(inherit_is_given(fd));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_found_by_its_address_once),
		cmocka_unit_test(several_of_one_address_are_all_found),
		cmocka_unit_test(what_is_left_is_closed),
		cmocka_unit_test(what_does_not_listen_is_refused),
		cmocka_unit_test(numbers_that_are_none_are_passed_over),
		cmocka_unit_test(one_of_our_own_is_no_gift)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
