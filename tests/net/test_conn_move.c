/*
 * net/conn: sockets whose numbers have been others', and output that is gathered
 * from many callbacks of a turn.
 *
 * Records of a SOCK_SEQPACKET socket show what left in one write.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/conn.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/worker.h"
#include "tests/support/far_end.h"
#include "tests/support/turns.h"

/* Counts what it is told, and passes a word on. */
struct holder {
	struct conn conn;
	unsigned inputs, draineds, faileds;
	struct conn *to;                /* to it, with every input; NULL */
	const char *word;
	bool once_more;                 /* says the word itself when drained */
};

static struct turns t;
static struct far_end far_end;
static struct holder h, other;

static void
say(struct conn *c, const char *text)
{
	assert_int_equal(buf_append(&c->w->blocks, &c->out, text,
	    strlen(text)), 0);
	conn_send(c);
}

static void
input(struct conn *c)
{
	struct holder *o = container_of(c, struct holder, conn);

	o->inputs++;
	buf_clear(&c->w->blocks, &c->in);
	if (o->to != NULL)
		say(o->to, o->word);
}

static void
drained(struct conn *c)
{
	struct holder *o = container_of(c, struct holder, conn);

	o->draineds++;
	if (!o->once_more)
		return;
	o->once_more = false;
	say(c, o->word);
}

static void
connected(struct conn *c, int error)
{
	(void)c, (void)error;
}

static void
failed(struct conn *c, int error)
{
	struct holder *o = container_of(c, struct holder, conn);

	(void)error;
	o->faileds++;
}

static const struct conn_ops ops = {
	.input = input,
	.drained = drained,
	.connected = connected,
	.failed = failed
};

static void
begin(void)
{
	connects_are_slow = false;
	turns_begin(&t, 2);
	far_end_open(&far_end);
	memset(&h, 0, sizeof(h));
	memset(&other, 0, sizeof(other));
}

static void
end(void)
{
	conn_close(&h.conn);
	conn_close(&other.conn);
	far_end_close(&far_end);
	turns_end(&t);
}

/* Connected on that worker; its far end. */
static int
open_on(struct holder *o, unsigned worker)
{
	assert_int_equal(conn_connect(&o->conn, &t.workers[worker],
	    &far_end.addr, WORKER_PRI_FAR, &ops), CONN_MADE);
	return far_end_of(&far_end, conn_fd(&o->conn));
}

/* ------------------------------------------------------------ the same number */

/* libev, told of neither in between, would take it for the one before, which
   the kernel watches already. */
static void
moved_conn_with_the_number_of_one_closed_in_this_turn_is_heard(void **state)
{
	int number, far_fd;

	(void)state;
	begin();
	(void)open_on(&other, 1);
	turns_run(&t);
	number = conn_fd(&other.conn);
	conn_close(&other.conn);
	far_fd = open_on(&h, 0);
	assert_int_equal(conn_fd(&h.conn), number);
	conn_detach(&h.conn);
	conn_attach(&h.conn, &t.workers[1]);
	far_end_say(far_fd, "hello", 5);
	turns_run(&t);
	assert_int_equal(h.inputs, 1);
	end();
}

static void
moved_conn_that_was_paused_is_heard_when_it_resumes(void **state)
{
	int far_fd;

	(void)state;
	begin();
	(void)open_on(&other, 1);
	turns_run(&t);
	conn_close(&other.conn);
	far_fd = open_on(&h, 0);
	conn_pause(&h.conn);
	conn_detach(&h.conn);
	conn_attach(&h.conn, &t.workers[1]);
	conn_resume(&h.conn);
	far_end_say(far_fd, "hello", 5);
	turns_run(&t);
	assert_int_equal(h.inputs, 1);
	end();
}

/* It goes and comes back, and its number was never anybody else's. */
static void
conn_that_comes_back_in_the_same_turn_is_heard(void **state)
{
	int far_fd;

	(void)state;
	begin();
	far_fd = open_on(&h, 0);
	turns_run(&t);
	conn_detach(&h.conn);
	conn_attach(&h.conn, &t.workers[1]);
	conn_detach(&h.conn);
	conn_attach(&h.conn, &t.workers[0]);
	far_end_say(far_fd, "hello", 5);
	turns_run(&t);
	assert_int_equal(h.inputs, 1);
	end();
}

static void
new_conn_with_the_number_of_one_moved_away_is_heard(void **state)
{
	int far_fd, number;

	(void)state;
	begin();
	(void)open_on(&other, 0);
	turns_run(&t);
	number = conn_fd(&other.conn);
	conn_detach(&other.conn);
	conn_attach(&other.conn, &t.workers[1]);
	conn_close(&other.conn);
	far_fd = open_on(&h, 0);
	assert_int_equal(conn_fd(&h.conn), number);
	far_end_say(far_fd, "hello", 5);
	turns_run(&t);
	assert_int_equal(h.inputs, 1);
	end();
}

/* --------------------------------------------------------------------- gathers */

/* The end of h's that keeps records apart. */
static int
open_records(bool gathers)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK |
	    SOCK_CLOEXEC, 0, fds), 0);
	conn_open(&h.conn, &t.workers[0], fds[0], WORKER_PRI_FAR, &ops);
	h.conn.gathers = gathers;
	return fds[1];
}

/* The next record is this; "" = there is none; NULL = the end. */
static void
hears(int fd, const char *want)
{
	char got[64];
	ssize_t n = recv(fd, got, sizeof(got) - 1, 0);

	if (want == NULL) {
		assert_int_equal(n, 0);
		return;
	}
	if (*want == '\0') {
		assert_int_equal(n, -1);
		assert_int_equal(errno, EAGAIN);
		return;
	}
	assert_true(n > 0);
	got[n] = '\0';
	assert_string_equal(got, want);
}

/* Two that say a word to h in one turn. */
struct speakers {
	struct holder one, two;
};

static void
both_speak(struct speakers *v)
{
	int one, two;

	memset(v, 0, sizeof(*v));
	v->one.to = v->two.to = &h.conn;
	v->one.word = "one ";
	v->two.word = "two ";
	one = open_on(&v->one, 0);
	two = open_on(&v->two, 0);
	turns_run(&t);
	far_end_say(one, "x", 1);
	far_end_say(two, "x", 1);
	turns_step(&t, 0);
	assert_int_equal(v->one.inputs + v->two.inputs, 2);
}

static void
speakers_end(struct speakers *v)
{
	conn_close(&v->one.conn);
	conn_close(&v->two.conn);
}

static void
usual_output_leaves_with_each_callback(void **state)
{
	struct speakers v;
	int fd;

	(void)state;
	begin();
	fd = open_records(false);
	both_speak(&v);
	/* Which of them was first is the kernel's choice. */
	assert_int_equal(recv(fd, &(char[8]){ 0 }, 8, 0), 4);
	assert_int_equal(recv(fd, &(char[8]){ 0 }, 8, 0), 4);
	hears(fd, "");
	assert_int_equal(h.draineds, 2);
	speakers_end(&v);
	close(fd);
	end();
}

static void
gathered_output_leaves_once_at_the_end_of_the_turn(void **state)
{
	struct speakers v;
	int fd;

	(void)state;
	begin();
	fd = open_records(true);
	both_speak(&v);
	hears(fd, "");
	assert_int_equal(h.conn.out.len, 8);
	turns_step(&t, 0);      /* first of all the turn before it ends */
	assert_int_equal(recv(fd, &(char[16]){ 0 }, 16, 0), 8);
	hears(fd, "");
	assert_int_equal(h.draineds, 1);
	assert_int_equal(h.conn.out.len, 0);
	speakers_end(&v);
	close(fd);
	end();
}

static void
many_sends_in_one_callback_are_one_write(void **state)
{
	int fd;

	(void)state;
	begin();
	fd = open_records(true);
	say(&h.conn, "a");
	say(&h.conn, "b");
	worker_flush(&t.workers[0]);
	say(&h.conn, "c");
	hears(fd, "");
	turns_step(&t, 0);
	hears(fd, "abc");
	hears(fd, "");
	close(fd);
	end();
}

/* drained() says more: it leaves in the same end of the turn, or a poll would
   come in between. */
static void
what_is_said_at_the_end_of_the_turn_leaves_too(void **state)
{
	int fd;

	(void)state;
	begin();
	fd = open_records(true);
	h.once_more = true;
	h.word = "more";
	say(&h.conn, "first");
	turns_step(&t, 0);
	hears(fd, "first");
	hears(fd, "more");
	hears(fd, "");
	assert_int_equal(h.draineds, 2);
	close(fd);
	end();
}

static void
end_follows_what_was_gathered(void **state)
{
	int fd;

	(void)state;
	begin();
	fd = open_records(true);
	say(&h.conn, "bye");
	conn_shut(&h.conn);
	hears(fd, "");
	turns_step(&t, 0);
	hears(fd, "bye");
	hears(fd, NULL);
	close(fd);
	end();
}

static void
closed_conn_leaves_what_was_gathered_unsaid(void **state)
{
	int fd;

	(void)state;
	begin();
	fd = open_records(true);
	say(&h.conn, "unsaid");
	conn_close(&h.conn);
	turns_run(&t);
	hears(fd, NULL);
	assert_int_equal(h.draineds + h.faileds, 0);
	close(fd);
	end();
}

static void
moved_conn_says_at_its_new_worker_what_was_gathered(void **state)
{
	int fd;

	(void)state;
	begin();
	fd = open_records(true);
	turns_run(&t);
	/* Nothing of it stays on the list of the old one. */
	conn_send(&h.conn);
	assert_false(list_linked(&h.conn.pending));
	conn_detach(&h.conn);
	conn_attach(&h.conn, &t.workers[1]);
	say(&h.conn, "here");
	turns_step(&t, 0);
	hears(fd, "");
	turns_step(&t, 1);
	hears(fd, "here");
	close(fd);
	end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    moved_conn_with_the_number_of_one_closed_in_this_turn_is_heard),
		cmocka_unit_test(
		    moved_conn_that_was_paused_is_heard_when_it_resumes),
		cmocka_unit_test(
		    conn_that_comes_back_in_the_same_turn_is_heard),
		cmocka_unit_test(
		    new_conn_with_the_number_of_one_moved_away_is_heard),
		cmocka_unit_test(usual_output_leaves_with_each_callback),
		cmocka_unit_test(
		    gathered_output_leaves_once_at_the_end_of_the_turn),
		cmocka_unit_test(many_sends_in_one_callback_are_one_write),
		cmocka_unit_test(
		    what_is_said_at_the_end_of_the_turn_leaves_too),
		cmocka_unit_test(end_follows_what_was_gathered),
		cmocka_unit_test(closed_conn_leaves_what_was_gathered_unsaid),
		cmocka_unit_test(
		    moved_conn_says_at_its_new_worker_what_was_gathered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
