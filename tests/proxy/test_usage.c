/*
 * What the process takes: descriptors are counted one by one, memory and time
 * are there.
 *
 * SPDX-License-Identifier: MIT
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/usage.h"

static void
descriptors_are_counted(void **state)
{
	struct usage before, with, after;
	int fds[10], i;

	(void)state;
	usage_read(&before);
	for (i = 0; i < 10; i++) {
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		assert_true(fds[i] >= 0);
	}
	usage_read(&with);
	for (i = 0; i < 10; i++)
		close(fds[i]);
	usage_read(&after);
	assert_true(before.fds >= 3);
	assert_int_equal(with.fds, before.fds + 10);
	assert_int_equal(after.fds, before.fds);
}

static void
limit_is_that_of_the_process(void **state)
{
	struct rlimit r;
	struct usage u;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &r), 0);
	usage_read(&u);
	assert_int_equal(u.fds_max, r.rlim_cur == RLIM_INFINITY ? UINT64_MAX :
	    r.rlim_cur);
}

static void
memory_and_time_are_there(void **state)
{
	volatile unsigned spin = 0;
	struct usage u, later;

	(void)state;
	usage_read(&u);
	assert_true(u.resident_bytes > 100 * 1024);
	assert_true(u.virtual_bytes >= u.resident_bytes);
	do {
		while (++spin % 1000000 != 0)
			;
		usage_read(&later);
	} while (later.cpu_us == u.cpu_us);
	assert_true(later.cpu_us > u.cpu_us);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(descriptors_are_counted),
		cmocka_unit_test(limit_is_that_of_the_process),
		cmocka_unit_test(memory_and_time_are_there)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
