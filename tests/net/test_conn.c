/*
 * net/conn: reading, writing, ends, failures, and changing workers.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/worker.h"
#include "tests/support/far_end.h"
#include "tests/support/turns.h"

/* Notes what it is told; may close itself when it is. */
struct holder {
	struct conn conn;
	unsigned inputs, draineds, connecteds, faileds;
	int error;
	bool closes;                    /* at the next callback */
	bool drops;                     /* input as it comes */
	size_t got;
};

static struct turns t;
static struct far_end far_end;
static struct holder h;
static int far_fd;

static void
told(struct holder *o)
{
	if (o->closes)
		conn_close(&o->conn);
}

static void
input(struct conn *c)
{
	struct holder *o = container_of(c, struct holder, conn);

	o->inputs++;
	if (o->drops) {
		o->got += c->in.len;
		buf_clear(&c->w->blocks, &c->in);
	}
	told(o);
}

static void
drained(struct conn *c)
{
	struct holder *o = container_of(c, struct holder, conn);

	o->draineds++;
	told(o);
}

static void
connected(struct conn *c, int error)
{
	struct holder *o = container_of(c, struct holder, conn);

	o->connecteds++;
	o->error = error;
	told(o);
}

static void
failed(struct conn *c, int error)
{
	struct holder *o = container_of(c, struct holder, conn);

	o->faileds++;
	o->error = error;
	told(o);
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
	far_fd = -1;
}

/* Connected, with its far end in hand. */
static void
begin_connected(void)
{
	begin();
	assert_int_equal(conn_connect(&h.conn, &t.workers[0], &far_end.addr,
	    WORKER_PRI_NEAR, &ops), CONN_MADE);
	far_fd = far_end_of(&far_end, conn_fd(&h.conn));
	assert_true(far_fd >= 0);
}

static void
end(void)
{
	conn_close(&h.conn);
	turns_run(&t);
	far_end_close(&far_end);
	turns_end(&t);
}

static void
send_text(const char *text)
{
	assert_int_equal(buf_append(&h.conn.w->blocks, &h.conn.out, text,
	    strlen(text)), 0);
	conn_send(&h.conn);
}

/* The far end's next bytes are these. */
static void
hears(const char *text)
{
	char got[256];
	int n = far_end_hear(far_fd, got, sizeof(got));

	assert_int_equal(n, strlen(text));
	assert_memory_equal(got, text, strlen(text));
}

/* -------------------------------------------------------------- connecting */

static void
connect_on_one_machine_is_made_at_once(void **state)
{
	int one = 0;
	socklen_t len = sizeof(one);

	(void)state;
	begin_connected();
	assert_false(h.conn.connecting);
	turns_run(&t);
	assert_int_equal(h.connecteds, 0);
	assert_int_equal(getsockopt(conn_fd(&h.conn), IPPROTO_TCP, TCP_NODELAY,
	    &one, &len), 0);
	assert_int_not_equal(one, 0);
	end();
}

static void
connect_over_a_network_is_told_later(void **state)
{
	(void)state;
	begin();
	connects_are_slow = true;
	assert_int_equal(conn_connect(&h.conn, &t.workers[0], &far_end.addr,
	    WORKER_PRI_NEAR, &ops), CONN_COMING);
	assert_int_equal(h.connecteds, 0);
	turns_run(&t);
	assert_int_equal(h.connecteds, 1);
	assert_int_equal(h.error, 0);
	/* And it reads. */
	far_fd = far_end_of(&far_end, conn_fd(&h.conn));
	far_end_say(far_fd, "hello", 5);
	turns_run(&t);
	assert_int_equal(h.inputs, 1);
	end();
}

static void
refused_connect_is_an_errno(void **state)
{
	unsigned before = open_descriptors();

	(void)state;
	begin();
	far_end_refuse(&far_end);
	assert_int_equal(conn_connect(&h.conn, &t.workers[0], &far_end.addr,
	    WORKER_PRI_NEAR, &ops), -1);
	assert_int_equal(errno, ECONNREFUSED);
	connects_are_slow = true;
	assert_int_equal(conn_connect(&h.conn, &t.workers[0], &far_end.addr,
	    WORKER_PRI_NEAR, &ops), CONN_COMING);
	turns_run(&t);
	assert_int_equal(h.connecteds, 1);
	assert_int_equal(h.error, ECONNREFUSED);
	assert_true(h.conn.open);
	end();
	assert_int_equal(open_descriptors(), before);
}

static void
missing_descriptors_are_an_errno(void **state)
{
	struct rlimit before, none;

	(void)state;
	begin();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(conn_connect(&h.conn, &t.workers[0], &far_end.addr,
	    WORKER_PRI_NEAR, &ops), -1);
	assert_true(conn_is_shortage(errno));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_false(conn_is_shortage(ECONNREFUSED));
	assert_false(conn_is_shortage(ETIMEDOUT));
	assert_true(conn_is_shortage(EADDRNOTAVAIL));
	end();
}

static void
output_queued_while_connecting_is_written_when_connected(void **state)
{
	(void)state;
	begin();
	connects_are_slow = true;
	assert_int_equal(conn_connect(&h.conn, &t.workers[0], &far_end.addr,
	    WORKER_PRI_NEAR, &ops), CONN_COMING);
	send_text("early");
	conn_shut(&h.conn);
	worker_flush(&t.workers[0]);
	turns_run(&t);
	far_fd = far_end_of(&far_end, conn_fd(&h.conn));
	hears("early");
	assert_int_equal(far_end_hear(far_fd, &(char){ 0 }, 1), -1);
	end();
}

/* ------------------------------------------------------ reading and writing */

static void
bytes_come_and_go(void **state)
{
	size_t len;

	(void)state;
	begin_connected();
	far_end_say(far_fd, "hello", 5);
	turns_run(&t);
	assert_int_equal(h.inputs, 1);
	assert_memory_equal(buf_front(&h.conn.in, &len), "hello", 5);
	assert_int_equal(len, 5);
	send_text("answer");
	/* Not before the callback is over. */
	assert_int_equal(far_end_hear(far_fd, &(char){ 0 }, 1), 0);
	worker_flush(&t.workers[0]);
	hears("answer");
	assert_int_equal(h.draineds, 1);
	assert_int_equal(h.conn.received, 5);
	assert_int_equal(h.conn.sent, 6);
	end();
}

static void
output_leaves_at_the_end_of_the_turn_at_the_latest(void **state)
{
	(void)state;
	begin_connected();
	send_text("one ");
	send_text("two");
	turns_step(&t, 0);
	hears("one two");
	end();
}

static void
many_slices_leave_in_order(void **state)
{
	char expected[5000], got[6000];
	struct block *block;
	unsigned i;
	int n;

	(void)state;
	begin_connected();
	/* More than one writev() takes. */
	block = block_new(&t.workers[0].blocks, BUF_MEDIUM);
	assert_non_null(block);
	for (i = 0; i < sizeof(expected); i++)
		expected[i] = block->bytes[i] = (char)('a' + i % 26);
	block->used = sizeof(expected);
	for (i = 0; i < 500; i++)
		assert_int_equal(buf_append_block(&t.workers[0].blocks,
		    &h.conn.out, block, i * 10, 10), 0);
	block_drop(&t.workers[0].blocks, block);
	conn_send(&h.conn);
	turns_run(&t);
	n = far_end_hear(far_fd, got, sizeof(got));
	assert_int_equal(n, sizeof(expected));
	assert_memory_equal(got, expected, sizeof(expected));
	end();
}

static void
full_socket_is_written_on_when_it_drains(void **state)
{
	static char mega[1024 * 1024], got[64 * 1024];
	size_t in_all = 0, total = 16 * sizeof(mega);
	unsigned i;
	int n;

	(void)state;
	begin_connected();
	for (i = 0; i < 16; i++)
		assert_int_equal(buf_append(&t.workers[0].blocks, &h.conn.out,
		    mega, sizeof(mega)), 0);
	conn_send(&h.conn);
	turns_run(&t);
	assert_true(h.conn.stuck);
	assert_true(h.conn.out.len > 0);
	assert_int_equal(h.draineds, 0);
	while (in_all < total) {
		n = far_end_hear(far_fd, got, sizeof(got));
		assert_true(n >= 0);
		in_all += (size_t)n;
		turns_run(&t);
		if (h.conn.out.held > CONN_LOW)
			assert_int_equal(h.draineds, 0);
	}
	assert_true(h.draineds >= 1);
	assert_int_equal(h.conn.out.len, 0);
	assert_false(h.conn.stuck);
	assert_int_equal(h.conn.sent, total);
	end();
}

/* Blocks grow for a stream and shrink again. */
static void
stream_is_read_in_large_blocks(void **state)
{
	static char bytes[200 * 1024];

	(void)state;
	begin_connected();
	h.drops = true;
	far_end_say(far_fd, bytes, sizeof(bytes));
	turns_run(&t);
	assert_int_equal(h.got, sizeof(bytes));
	assert_true(h.inputs <= 6);
	far_end_say(far_fd, "x", 1);
	turns_run(&t);
	assert_false(h.conn.streaming);
	end();
}

static void
paused_conn_does_not_read(void **state)
{
	(void)state;
	begin_connected();
	conn_pause(&h.conn);
	conn_pause(&h.conn);
	far_end_say(far_fd, "hello", 5);
	far_end_shut(far_fd);
	turns_run(&t);
	assert_int_equal(h.inputs, 0);
	assert_int_equal(h.conn.in.len, 0);
	/* It writes all the same. */
	send_text("still here");
	turns_run(&t);
	hears("still here");
	conn_resume(&h.conn);
	turns_run(&t);
	assert_int_equal(h.conn.in.len, 5);
	assert_true(h.conn.eof);
	end();
}

static void
quiet_is_what_nothing_has_come_on(void **state)
{
	(void)state;
	begin_connected();
	assert_true(conn_is_quiet(&h.conn));
	far_end_say(far_fd, "x", 1);
	assert_false(conn_is_quiet(&h.conn));
	h.drops = true;
	turns_run(&t);
	assert_true(conn_is_quiet(&h.conn));
	far_end_shut(far_fd);
	assert_false(conn_is_quiet(&h.conn));
	turns_run(&t);
	assert_false(conn_is_quiet(&h.conn));
	conn_close(&h.conn);
	assert_false(conn_is_quiet(&h.conn));
	end();
}

/* --------------------------------------------------------------------- ends */

static void
end_is_told_once_and_writing_goes_on(void **state)
{
	(void)state;
	begin_connected();
	far_end_say(far_fd, "last", 4);
	far_end_shut(far_fd);
	turns_run(&t);
	assert_true(h.conn.eof);
	assert_int_equal(h.conn.in.len, 4);
	assert_in_range(h.inputs, 1, 2);
	h.inputs = 0;
	turns_run(&t);
	assert_int_equal(h.inputs, 0);
	send_text("answer");
	turns_run(&t);
	hears("answer");
	end();
}

static void
shut_comes_after_all_output_and_reading_goes_on(void **state)
{
	(void)state;
	begin_connected();
	send_text("question");
	conn_shut(&h.conn);
	conn_shut(&h.conn);
	turns_run(&t);
	hears("question");
	assert_int_equal(far_end_hear(far_fd, &(char){ 0 }, 1), -1);
	assert_true(h.conn.shut_done);
	far_end_say(far_fd, "answer", 6);
	turns_run(&t);
	assert_int_equal(h.conn.in.len, 6);
	assert_int_equal(h.faileds, 0);
	end();
}

static void
shut_waits_for_a_full_socket(void **state)
{
	static char mega[1024 * 1024], got[64 * 1024];
	unsigned i;
	int n;

	(void)state;
	begin_connected();
	for (i = 0; i < 8; i++)
		assert_int_equal(buf_append(&t.workers[0].blocks, &h.conn.out,
		    mega, sizeof(mega)), 0);
	conn_send(&h.conn);
	turns_run(&t);
	conn_shut(&h.conn);
	turns_run(&t);
	assert_false(h.conn.shut_done);
	while ((n = far_end_hear(far_fd, got, sizeof(got))) >= 0)
		turns_run(&t);
	assert_true(h.conn.shut_done);
	assert_int_equal(h.conn.sent, 8 * sizeof(mega));
	end();
}

static void
reset_is_a_failure(void **state)
{
	(void)state;
	begin_connected();
	far_end_reset(&far_end, far_fd);
	turns_run(&t);
	assert_int_equal(h.faileds, 1);
	assert_int_equal(h.error, ECONNRESET);
	assert_true(h.conn.broken);
	assert_true(h.conn.open);
	/* Nothing more is heard or said. */
	send_text("nobody hears");
	turns_run(&t);
	assert_int_equal(h.faileds, 1);
	end();
}

static void
failed_write_is_a_failure(void **state)
{
	(void)state;
	begin_connected();
	conn_pause(&h.conn);            /* so that reading does not see it */
	far_end_reset(&far_end, far_fd);
	turns_run(&t);
	send_text("nobody hears");
	turns_run(&t);
	assert_int_equal(h.faileds, 1);
	assert_true(h.error == EPIPE || h.error == ECONNRESET);
	end();
}

/* The server refuses the request while it is still being sent, and has said
   why. */
static void
failed_write_with_hear_out_reads_on(void **state)
{
	size_t len;

	(void)state;
	begin_connected();
	h.conn.hear_out = true;
	far_end_say(far_fd, "413 too large", 13);
	far_end_hang_up(&far_end, far_fd);
	send_text("body");
	worker_flush(&t.workers[0]);    /* is answered with a RST */
	send_text("more body");
	worker_flush(&t.workers[0]);    /* fails */
	assert_int_equal(h.faileds, 0);
	assert_int_equal(h.conn.out.len, 0);
	turns_run(&t);
	if (h.conn.in.len > 0)          /* else the RST took it along */
		assert_memory_equal(buf_front(&h.conn.in, &len),
		    "413 too large", 13);
	assert_true(h.conn.in.len > 0 || h.faileds == 1);
	end();
}

/* The system tells of a reset once: here the write hears it, and to the read what
   follows looks like an end. */
static void
reset_that_a_write_has_heard_is_no_end(void **state)
{
	(void)state;
	begin_connected();
	h.conn.hear_out = true;
	far_end_say(far_fd, "half an ans", 11);
	far_end_reset(&far_end, far_fd);
	send_text("body");
	worker_flush(&t.workers[0]);
	assert_int_equal(h.faileds, 0);
	turns_run(&t);
	assert_false(h.conn.eof);
	assert_int_equal(h.faileds, 1);
	assert_int_equal(h.error, ECONNRESET);
	end();
}

static void
reset_close_is_seen_as_a_reset(void **state)
{
	char byte;

	(void)state;
	begin_connected();
	send_text("half an ans");
	turns_run(&t);
	hears("half an ans");
	conn_reset(&h.conn);
	assert_false(h.conn.open);
	assert_true(recv(far_fd, &byte, 1, 0) < 0);
	assert_int_equal(errno, ECONNRESET);
	end();
}

static void
nothing_is_heard_after_close(void **state)
{
	unsigned before = open_descriptors();

	(void)state;
	begin_connected();
	far_end_say(far_fd, "hello", 5);
	send_text("unsent");
	conn_close(&h.conn);
	conn_close(&h.conn);
	turns_run(&t);
	assert_int_equal(h.inputs + h.draineds + h.faileds, 0);
	assert_int_equal(h.conn.in.len + h.conn.out.len, 0);
	send_text("too late");
	turns_run(&t);
	buf_clear(&t.workers[0].blocks, &h.conn.out);
	end();
	assert_int_equal(open_descriptors(), before);
}

static void
callbacks_may_close(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < 4; i++) {
		begin();
		h.closes = true;
		connects_are_slow = i == 3;
		assert_int_not_equal(conn_connect(&h.conn, &t.workers[0],
		    &far_end.addr, WORKER_PRI_NEAR, &ops), -1);
		far_fd = far_end_of(&far_end, conn_fd(&h.conn));
		if (i == 0)
			far_end_say(far_fd, "x", 1);
		else if (i == 1)
			send_text("y");
		else if (i == 2)
			far_end_reset(&far_end, far_fd);
		turns_run(&t);
		assert_int_equal(h.inputs, i == 0);
		assert_int_equal(h.draineds, i == 1);
		assert_int_equal(h.faileds, i == 2);
		assert_int_equal(h.connecteds, i == 3);
		assert_false(h.conn.open);
		end();
	}
}

/* ------------------------------------------------------------ other workers */

static void
conn_goes_over_to_another_worker(void **state)
{
	(void)state;
	begin_connected();
	turns_run(&t);
	conn_detach(&h.conn);
	far_end_say(far_fd, "hello", 5);
	turns_step(&t, 0);
	turns_step(&t, 1);
	assert_int_equal(h.inputs, 0);
	conn_attach(&h.conn, &t.workers[1]);
	turns_step(&t, 0);
	assert_int_equal(h.inputs, 0);
	turns_step(&t, 1);
	turns_step(&t, 1);
	assert_int_equal(h.inputs, 1);
	assert_ptr_equal(h.conn.w, &t.workers[1]);
	send_text("answer");
	turns_step(&t, 0);
	assert_int_equal(far_end_hear(far_fd, &(char){ 0 }, 1), 0);
	turns_step(&t, 1);
	hears("answer");
	/* Its old worker is not woken any more: nor by a new conn that has
	   its number. */
	far_end_say(far_fd, "again", 5);
	turns_run(&t);
	assert_int_equal(h.inputs, 2);
	end();
}

/* Does the worker's epoll have the descriptor? The kernel lists them. */
static bool
is_polled(unsigned worker, int fd)
{
	char path[64], line[256];
	bool found = false;
	FILE *info;
	int tfd;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d",
	    t.workers[worker].epoll_fd);
	info = fopen(path, "r");
	assert_non_null(info);
	while (fgets(line, sizeof(line), info) != NULL)
		if (sscanf(line, "tfd: %d", &tfd) == 1 && tfd == fd)
			found = true;
	fclose(info);
	return found;
}

/* Else it would go on waking a thread that it is none of. */
static void
detached_socket_is_not_polled_any_more(void **state)
{
	(void)state;
	begin_connected();
	turns_run(&t);
	assert_true(is_polled(0, conn_fd(&h.conn)));
	conn_detach(&h.conn);
	assert_false(is_polled(0, conn_fd(&h.conn)));
	conn_attach(&h.conn, &t.workers[1]);
	turns_run(&t);
	assert_false(is_polled(0, conn_fd(&h.conn)));
	assert_true(is_polled(1, conn_fd(&h.conn)));
	/* And back, where libev knew it before. */
	conn_detach(&h.conn);
	conn_attach(&h.conn, &t.workers[0]);
	far_end_say(far_fd, "hello", 5);
	turns_run(&t);
	assert_int_equal(h.inputs, 1);
	end();
}

static void
paused_conn_goes_over_paused(void **state)
{
	(void)state;
	begin_connected();
	conn_pause(&h.conn);
	conn_detach(&h.conn);
	conn_attach(&h.conn, &t.workers[1]);
	far_end_say(far_fd, "hello", 5);
	turns_run(&t);
	assert_int_equal(h.inputs, 0);
	conn_resume(&h.conn);
	turns_run(&t);
	assert_int_equal(h.inputs, 1);
	end();
}

static void
accepted_socket_is_opened_and_read(void **state)
{
	int pair[2];
	char got[8];

	(void)state;
	begin();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
	    pair), 0);
	assert_int_equal(write(pair[1], "hi", 2), 2);
	conn_open(&h.conn, &t.workers[0], pair[0], WORKER_PRI_NEAR, &ops);
	turns_run(&t);
	assert_int_equal(h.conn.in.len, 2);
	conn_keepalive(&h.conn, 30);    /* nothing to watch there */
	send_text("you");
	turns_run(&t);
	assert_int_equal(read(pair[1], got, sizeof(got)), 3);
	end();
	assert_int_equal(read(pair[1], got, sizeof(got)), 0);
	close(pair[1]);
}

static void
keepalive_is_set(void **state)
{
	int on = 0, idle_s = 0, every_s = 0;
	socklen_t len = sizeof(int);
	int fd;

	(void)state;
	begin_connected();
	fd = conn_fd(&h.conn);
	conn_keepalive(&h.conn, 2);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, &len),
	    0);
	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s,
	    &len), 0);
	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every_s,
	    &len), 0);
	assert_int_equal(on, 1);
	assert_int_equal(idle_s, 2);
	assert_int_equal(every_s, 1);
	end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connect_on_one_machine_is_made_at_once),
		cmocka_unit_test(connect_over_a_network_is_told_later),
		cmocka_unit_test(refused_connect_is_an_errno),
		cmocka_unit_test(missing_descriptors_are_an_errno),
		cmocka_unit_test(
		    output_queued_while_connecting_is_written_when_connected),
		cmocka_unit_test(bytes_come_and_go),
		cmocka_unit_test(
		    output_leaves_at_the_end_of_the_turn_at_the_latest),
		cmocka_unit_test(many_slices_leave_in_order),
		cmocka_unit_test(full_socket_is_written_on_when_it_drains),
		cmocka_unit_test(stream_is_read_in_large_blocks),
		cmocka_unit_test(paused_conn_does_not_read),
		cmocka_unit_test(quiet_is_what_nothing_has_come_on),
		cmocka_unit_test(end_is_told_once_and_writing_goes_on),
		cmocka_unit_test(
		    shut_comes_after_all_output_and_reading_goes_on),
		cmocka_unit_test(shut_waits_for_a_full_socket),
		cmocka_unit_test(reset_is_a_failure),
		cmocka_unit_test(failed_write_is_a_failure),
		cmocka_unit_test(failed_write_with_hear_out_reads_on),
		cmocka_unit_test(reset_that_a_write_has_heard_is_no_end),
		cmocka_unit_test(reset_close_is_seen_as_a_reset),
		cmocka_unit_test(nothing_is_heard_after_close),
		cmocka_unit_test(callbacks_may_close),
		cmocka_unit_test(conn_goes_over_to_another_worker),
		cmocka_unit_test(detached_socket_is_not_polled_any_more),
		cmocka_unit_test(paused_conn_goes_over_paused),
		cmocka_unit_test(accepted_socket_is_opened_and_read),
		cmocka_unit_test(keepalive_is_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
