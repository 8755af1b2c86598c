/*
 * net/worker: turns, mail between threads, and memory freed late.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/worker.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/turns.h"

/* --------------------------------------------------------------------- mail */

struct letter {
	struct mail mail;
	unsigned from, number;
};

enum { SENDERS = 3, LETTERS = 20000 };

static struct worker receiver;
static unsigned next_of[SENDERS], arrived, dropped;
static _Atomic unsigned senders_done;

static struct letter *
letter_of(struct mail *m)
{
	return container_of(m, struct letter, mail);
}

static void
deliver(struct worker *w, struct mail *m)
{
	struct letter *l = letter_of(m);

	assert_ptr_equal(w, &receiver);
	/* Each sender's in the order of their posting. */
	assert_int_equal(l->number, next_of[l->from]);
	next_of[l->from]++;
	free(l);
	if (++arrived == SENDERS * LETTERS)
		worker_stop(w);
}

static void
drop(struct mail *m)
{
	dropped++;
	free(letter_of(m));
}

static void
post(unsigned from, unsigned number)
{
	struct letter *l = calloc(1, sizeof(*l));

	if (l == NULL)
		abort();
	l->mail.deliver = deliver;
	l->mail.drop = drop;
	l->from = from;
	l->number = number;
	worker_post(&receiver, &l->mail);
}

static void *
sender(void *arg)
{
	unsigned from = *(unsigned *)arg, i;

	for (i = 0; i < LETTERS; i++)
		post(from, i);
	atomic_fetch_add(&senders_done, 1);
	return NULL;
}

static void
begin(void)
{
	assert_int_equal(worker_init(&receiver, 0, NULL), 0);
	memset(next_of, 0, sizeof(next_of));
	arrived = dropped = 0;
	atomic_store(&senders_done, 0);
}

static void
mail_of_many_threads_comes_whole_and_in_order(void **state)
{
	pthread_t threads[SENDERS];
	unsigned names[SENDERS], i;

	(void)state;
	begin();
	for (i = 0; i < SENDERS; i++) {
		names[i] = i;
		assert_int_equal(pthread_create(&threads[i], NULL, sender,
		    &names[i]), 0);
	}
	worker_run(&receiver);
	for (i = 0; i < SENDERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	for (i = 0; i < SENDERS; i++)
		assert_int_equal(next_of[i], LETTERS);
	worker_fini(&receiver);
	assert_int_equal(dropped, 0);
}

static void
mail_to_a_worker_that_has_ended_is_dropped(void **state)
{
	unsigned i;

	(void)state;
	begin();
	for (i = 0; i < 10; i++)
		post(0, i);
	worker_fini(&receiver);
	assert_int_equal(arrived, 0);
	assert_int_equal(dropped, 10);
	worker_fini(&receiver);         /* twice is fine */
	assert_int_equal(dropped, 10);
}

static void
mail_waits_until_the_loop_runs(void **state)
{
	(void)state;
	begin();
	post(0, 0);
	post(0, 1);
	assert_int_equal(arrived, 0);
	ev_run(receiver.loop, EVRUN_NOWAIT);
	assert_int_equal(arrived, 2);
	worker_fini(&receiver);
}

/* --------------------------------------------------------------------- time */

static void
time_is_read_once_a_turn(void **state)
{
	int64_t before;

	(void)state;
	begin();
	before = receiver.now_ns;
	usleep(2000);
	assert_true(receiver.now_ns == before);
	ev_run(receiver.loop, EVRUN_NOWAIT);
	assert_in_range(receiver.now_ns - before, 2 * NS_PER_MS, 60 * NS_PER_S);
	worker_fini(&receiver);
}

static void
alarm_stops(struct deadline *d)
{
	(void)d;
	worker_stop(&receiver);
}

/* Once in real time, without the test's clock. */
static void
deadline_wakes_the_loop(void **state)
{
	struct deadline d;
	int64_t before;

	(void)state;
	begin();
	before = receiver.now_ns;
	deadline_init(&d, alarm_stops);
	deadline_set(&receiver, &d, 20);
	worker_run(&receiver);
	assert_in_range(receiver.now_ns - before, 20 * NS_PER_MS,
	    60 * NS_PER_S);
	worker_fini(&receiver);
}

/* --------------------------------------------------------------------- late */

struct corpse {
	struct late late;
	struct deadline deadline;
	bool touched;
};

static unsigned freed;

static void
bury(struct worker *w, struct late *l)
{
	struct corpse *c = container_of(l, struct corpse, late);

	assert_ptr_equal(w, &receiver);
	assert_true(c->touched);
	free(c);
	freed++;
}

static void
dies(struct deadline *d)
{
	struct corpse *c = container_of(d, struct corpse, deadline);

	worker_late(&receiver, &c->late, bury);
	assert_int_equal(freed, 0);
	c->touched = true;              /* still there */
}

static void
late_memory_is_freed_at_the_end_of_the_turn(void **state)
{
	struct corpse *c[3];
	unsigned i;

	(void)state;
	begin();
	freed = 0;
	for (i = 0; i < 3; i++) {
		c[i] = calloc(1, sizeof(*c[i]));
		assert_non_null(c[i]);
		deadline_init(&c[i]->deadline, dies);
		deadline_set(&receiver, &c[i]->deadline, 0);
	}
	ev_run(receiver.loop, EVRUN_NOWAIT);
	ev_run(receiver.loop, EVRUN_NOWAIT);
	assert_int_equal(freed, 3);
	worker_fini(&receiver);
}

static void
late_memory_is_freed_with_the_worker(void **state)
{
	struct corpse *c = calloc(1, sizeof(*c));

	(void)state;
	assert_non_null(c);
	begin();
	freed = 0;
	c->touched = true;
	worker_late(&receiver, &c->late, bury);
	assert_int_equal(freed, 0);
	worker_fini(&receiver);
	assert_int_equal(freed, 1);
}

/* What is freed late may free more. */
static struct corpse *second;

static void
bury_two(struct worker *w, struct late *l)
{
	worker_late(w, &second->late, bury);
	bury(w, l);
}

static void
late_frees_may_add_to_themselves(void **state)
{
	struct corpse *c = calloc(1, sizeof(*c));

	(void)state;
	second = calloc(1, sizeof(*second));
	assert_non_null(c);
	assert_non_null(second);
	begin();
	freed = 0;
	c->touched = second->touched = true;
	worker_late(&receiver, &c->late, bury_two);
	ev_run(receiver.loop, EVRUN_NOWAIT);
	assert_int_equal(freed, 2);
	worker_fini(&receiver);
}

static void
worker_leaves_no_descriptors(void **state)
{
	unsigned before = open_descriptors(), i;

	(void)state;
	for (i = 0; i < 5; i++) {
		begin();
		ev_run(receiver.loop, EVRUN_NOWAIT);
		worker_fini(&receiver);
	}
	assert_int_equal(open_descriptors(), before);
}

static void
who_is_gone_is_not_waited_for_in_haste(void **state)
{
	struct list link;

	(void)state;
	begin();
	list_init(&link);
	worker_ahead(&receiver, &link);
	assert_true(ev_is_active(&receiver.hurry));
	list_remove(&link);
	ev_run(receiver.loop, EVRUN_NOWAIT);
	assert_false(ev_is_active(&receiver.hurry));
	worker_fini(&receiver);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mail_of_many_threads_comes_whole_and_in_order),
		cmocka_unit_test(mail_to_a_worker_that_has_ended_is_dropped),
		cmocka_unit_test(mail_waits_until_the_loop_runs),
		cmocka_unit_test(time_is_read_once_a_turn),
		cmocka_unit_test(deadline_wakes_the_loop),
		cmocka_unit_test(late_memory_is_freed_at_the_end_of_the_turn),
		cmocka_unit_test(late_memory_is_freed_with_the_worker),
		cmocka_unit_test(late_frees_may_add_to_themselves),
		cmocka_unit_test(worker_leaves_no_descriptors),
		cmocka_unit_test(who_is_gone_is_not_waited_for_in_haste),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
