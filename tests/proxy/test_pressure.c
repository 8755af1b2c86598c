/*
 * proxy/pressure: where the budget comes from, at which shares of it the level
 * changes and changes back, and when the heap is worth a trim.
 *
 * /proc and the cgroups are files in a folder of our own.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/pressure.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/conf.h"

#define MIB (UINT64_C(1) << 20)
#define SECOND INT64_C(1000000000)

static struct scene {
	char folder[64];
	char statm[128], cgroup[128], root[128];
	struct pressure_source source;
	struct pressure_watch p;
	uint64_t heap;
	unsigned asked;
} w;

static uint64_t
heap(void)
{
	w.asked++;
	return w.heap;
}

static void
put(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* A group's memory.max; the folders on the way are made. */
static void
group(const char *path, const char *max)
{
	char file[512], *slash;

	snprintf(file, sizeof(file), "%s%s/memory.max", w.root, path);
	for (slash = file + strlen(w.root); slash != NULL;
	    slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)mkdir(file, 0700);
		*slash = '/';
	}
	put(file, max);
}

/* Overwritten in place: the watch has it open. */
static enum pressure
look_at(uint64_t bytes)
{
	char line[128];

	snprintf(line, sizeof(line), "999999 %llu 300 20 0 2000 0\n",
	    (unsigned long long)bytes / (unsigned long)sysconf(_SC_PAGESIZE));
	put(w.statm, line);
	return pressure_look(&w.p);
}

static void
begin(int64_t max_memory_bytes)
{
	pressure_init_at(&w.p, max_memory_bytes, &w.source);
}

static int
setup(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	strcpy(w.folder, "/tmp/weir-pressure-XXXXXX");
	if (mkdtemp(w.folder) == NULL)
		return -1;
	snprintf(w.statm, sizeof(w.statm), "%s/statm", w.folder);
	snprintf(w.cgroup, sizeof(w.cgroup), "%s/cgroup", w.folder);
	snprintf(w.root, sizeof(w.root), "%s/fs", w.folder);
	w.source = (struct pressure_source){ w.statm, w.cgroup, w.root, heap };
	put(w.statm, "0 0 0 0 0 0 0\n");
	w.p.statm_fd = -1;
	return 0;
}

static int
teardown(void **state)
{
	char command[128];

	(void)state;
	pressure_fini(&w.p);
	snprintf(command, sizeof(command), "rm -rf '%s'", w.folder);
	return system(command);
}

/* ------------------------------------------------------------- the budget */

static void
file_says_the_budget(void **state)
{
	(void)state;
	put(w.cgroup, "0::/\n");
	group("", "50000000\n");
	begin(INT64_C(70000000));
	assert_int_equal(pressure_budget(&w.p), 70000000);
	pressure_set(&w.p, INT64_C(80000000));
	assert_int_equal(pressure_budget(&w.p), 80000000);
	pressure_set(&w.p, CONF_OFF);
	assert_int_equal(pressure_budget(&w.p), 50000000);
}

static const struct {
	const char *own;                /* /proc/self/cgroup; NULL = none */
	const char *groups[8];          /* pairs of path and memory.max */
	uint64_t budget;
} cgroups[] = {
	{ NULL, { "", "1000" }, UINT64_MAX },
	{ "", { "", "1000" }, UINT64_MAX },
	{ "0::/\n", { NULL }, UINT64_MAX },
	{ "0::/\n", { "", "max\n" }, UINT64_MAX },
	{ "0::/\n", { "", "1000\n" }, 1000 },
	{ "0::/\n", { "", "1000" }, 1000 },
	{ "0::/\n", { "", "" }, UINT64_MAX },
	{ "0::/\n", { "", "12x\n" }, UINT64_MAX },
	{ "0::/\n", { "", "-5\n" }, UINT64_MAX },
	{ "0::/\n", { "", "99999999999999999999999\n" }, UINT64_MAX },
	/* the own, those above it, not those beside and below */
	{ "0::/a/b\n", { "/a/b", "700\n", "/a", "max\n" }, 700 },
	{ "0::/a/b\n", { "/a/b", "max\n", "/a", "600\n" }, 600 },
	{ "0::/a/b\n", { "/a/b", "500\n", "/a", "400\n", "", "450\n" }, 400 },
	{ "0::/a/b\n", { "/a/b", "500\n", "/a", "600\n", "", "450\n" }, 450 },
	{ "0::/a/b\n", { "/a/b", "500\n", "/a/c", "9\n", "/a/b/d", "9\n" },
	    500 },
	{ "0::/a/b\n", { "/a", "500\n" }, 500 },
	{ "0::/a:b c/d\n", { "/a:b c/d", "800\n" }, 800 },
	/* version 1 is on too */
	{ "12:memory:/x\n1:name=systemd:/y\n0::/a\n", { "/a", "300\n",
	    "/x", "9\n" }, 300 },
	{ "12:memory:/x\n10::/a\n", { "/x", "9\n", "/a", "9\n" }, UINT64_MAX },
	/* what the namespace does not show */
	{ "0::/../../other\n", { "", "200\n" }, 200 },
	{ "0::/..\n", { "", "201\n" }, 201 }
};

static void
cgroup_says_the_budget_when_the_file_does_not(void **state)
{
	size_t i, g;

	for (i = 0; i < NELEMS(cgroups); i++) {
		if (cgroups[i].own != NULL)
			put(w.cgroup, cgroups[i].own);
		for (g = 0; cgroups[i].groups[g] != NULL; g += 2)
			group(cgroups[i].groups[g], cgroups[i].groups[g + 1]);
		begin(CONF_OFF);
		if (pressure_budget(&w.p) != cgroups[i].budget)
			fail_msg("row %zu: %llu", i,
			    (unsigned long long)pressure_budget(&w.p));
		assert_int_equal(teardown(state), 0);
		assert_int_equal(setup(state), 0);
	}
}

/* ------------------------------------------------------------- the levels */

static void
level_changes_at_its_share_and_back_at_a_lower_one(void **state)
{
	static const struct {
		unsigned percent;
		enum pressure level;
	} steps[] = {
		{ 10, PRESSURE_NONE }, { 84, PRESSURE_NONE },
		{ 85, PRESSURE_TIGHT }, { 80, PRESSURE_TIGHT },
		{ 94, PRESSURE_TIGHT }, { 79, PRESSURE_NONE },
		{ 84, PRESSURE_NONE }, { 96, PRESSURE_FULL },
		{ 90, PRESSURE_FULL }, { 89, PRESSURE_TIGHT },
		{ 94, PRESSURE_TIGHT }, { 95, PRESSURE_FULL },
		{ 85, PRESSURE_TIGHT }, { 97, PRESSURE_FULL },
		{ 500, PRESSURE_FULL }, { 20, PRESSURE_NONE }
	};
	size_t i;

	(void)state;
	begin((int64_t)(100 * MIB));
	for (i = 0; i < NELEMS(steps); i++) {
		uint64_t bytes = steps[i].percent * MIB;

		if (look_at(bytes) != steps[i].level)
			fail_msg("step %zu: %u %%", i, steps[i].percent);
		assert_int_equal(pressure_used(&w.p), bytes);
	}
}

static void
reload_changes_the_level(void **state)
{
	(void)state;
	begin((int64_t)(100 * MIB));
	assert_int_equal(look_at(50 * MIB), PRESSURE_NONE);
	pressure_set(&w.p, (int64_t)(50 * MIB));
	assert_int_equal(pressure_look(&w.p), PRESSURE_FULL);
	pressure_set(&w.p, (int64_t)(100 * MIB));
	assert_int_equal(pressure_look(&w.p), PRESSURE_NONE);
}

static void
without_budget_there_is_no_pressure(void **state)
{
	(void)state;
	begin(CONF_OFF);
	assert_int_equal(pressure_budget(&w.p), UINT64_MAX);
	assert_int_equal(look_at(UINT64_C(1) << 44), PRESSURE_NONE);
}

static void
memory_that_cannot_be_read_is_no_pressure(void **state)
{
	(void)state;
	assert_int_equal(unlink(w.statm), 0);
	begin((int64_t)(100 * MIB));
	assert_int_equal(pressure_look(&w.p), PRESSURE_NONE);
	assert_int_equal(pressure_used(&w.p), 0);
}

/* ------------------------------------------------------------------ trims */

static void
trim_while_pressed_and_once_after(void **state)
{
	int64_t now = SECOND;

	(void)state;
	begin((int64_t)(100 * MIB));
	w.heap = 90 * MIB;
	assert_int_equal(look_at(40 * MIB), PRESSURE_NONE);
	assert_false(pressure_wants_trim(&w.p, now));
	assert_int_equal(look_at(86 * MIB), PRESSURE_TIGHT);
	assert_true(pressure_wants_trim(&w.p, now));
	/* Every 5 s, not at each look. */
	for (; now < 6 * SECOND; now += SECOND / 10) {
		pressure_look(&w.p);
		assert_false(now > SECOND && pressure_wants_trim(&w.p, now));
	}
	assert_true(pressure_wants_trim(&w.p, now));
	assert_int_equal(look_at(60 * MIB), PRESSURE_NONE);
	assert_false(pressure_wants_trim(&w.p, now + SECOND));
	assert_true(pressure_wants_trim(&w.p, now + 6 * SECOND));
	assert_false(pressure_wants_trim(&w.p, now + 12 * SECOND));
	/* The heap was not asked: it did not matter. */
	assert_int_equal(w.asked, 0);
}

static void
trim_when_most_of_the_heap_is_unused(void **state)
{
	int64_t now = 100 * SECOND;

	(void)state;
	begin(CONF_OFF);
	w.heap = 8 * MIB;
	look_at(10 * MIB);
	/* In use: a trim would give nothing back. */
	w.heap = 190 * MIB;
	look_at(200 * MIB);
	assert_false(pressure_wants_trim(&w.p, now));
	assert_int_equal(w.asked, 1);
	/* The clients have gone; asked again only after a while. */
	w.heap = 20 * MIB;
	look_at(200 * MIB);
	assert_false(pressure_wants_trim(&w.p, now + SECOND));
	assert_int_equal(w.asked, 1);
	assert_true(pressure_wants_trim(&w.p, now + 5 * SECOND));
	/* It went back: nothing more to do. */
	look_at(19 * MIB);
	assert_false(pressure_wants_trim(&w.p, now + 10 * SECOND));
	assert_int_equal(w.asked, 2);
}

static void
little_is_not_worth_a_trim(void **state)
{
	(void)state;
	begin(CONF_OFF);
	w.heap = 2 * MIB;
	look_at(10 * MIB);
	look_at(19 * MIB);
	assert_false(pressure_wants_trim(&w.p, SECOND));
	assert_int_equal(w.asked, 0);
	look_at(21 * MIB);
	assert_true(pressure_wants_trim(&w.p, 10 * SECOND));
	/* Nor is a part of much. */
	w.heap = 400 * MIB;
	look_at(600 * MIB);
	assert_false(pressure_wants_trim(&w.p, 20 * SECOND));
	assert_int_equal(w.asked, 2);
}

static void
little_is_little_however_much_more_it_is(void **state)
{
	(void)state;
	begin(CONF_OFF);
	w.heap = 1 * MIB;
	look_at(3 * MIB);
	look_at(10 * MIB);
	assert_false(pressure_wants_trim(&w.p, SECOND));
	look_at(12 * MIB);
	assert_true(pressure_wants_trim(&w.p, SECOND));
}

/* --------------------------------------------------------- the real things */

static void
this_process_is_seen_to_grow(void **state)
{
	struct pressure_watch p;
	uint64_t before;
	size_t size = 64 * MIB;
	char *block;

	(void)state;
	pressure_init(&p, INT64_C(1) << 50);
	assert_true(p.statm_fd >= 0);
	assert_int_equal(pressure_look(&p), PRESSURE_NONE);
	before = pressure_used(&p);
	assert_true(before > 100000);
	block = malloc(size);
	assert_non_null(block);
	memset(block, 1, size);
	pressure_look(&p);
	assert_true(block[size / 2] == 1);
	assert_true(pressure_used(&p) > before + size / 2);
	pressure_set(&p, (int64_t)before);
	assert_int_equal(pressure_look(&p), PRESSURE_FULL);
	free(block);
	pressure_fini(&p);
	pressure_fini(&p);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(file_says_the_budget),
		TEST(cgroup_says_the_budget_when_the_file_does_not),
		TEST(level_changes_at_its_share_and_back_at_a_lower_one),
		TEST(reload_changes_the_level),
		TEST(without_budget_there_is_no_pressure),
		TEST(memory_that_cannot_be_read_is_no_pressure),
		TEST(trim_while_pressed_and_once_after),
		TEST(trim_when_most_of_the_heap_is_unused),
		TEST(little_is_not_worth_a_trim),
		TEST(little_is_little_however_much_more_it_is),
		cmocka_unit_test(this_process_is_seen_to_grow)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
