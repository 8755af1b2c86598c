/*
 * net/tls under net/conn: both ends of a connection in one thread, and bytes on
 * the wire that are not TLS.
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/err.h>

#include "net/conn.h"
#include "net/tls.h"
#include "net/worker.h"
#include "tests/support/tls_ends.h"
#include "tests/support/turns.h"

enum { BIG = 5 * 1024 * 1024 };

/* One end: notes what it is told; keeps what comes as a sum. */
struct end {
	struct conn conn;
	unsigned secureds, faileds, draineds, inputs;
	int error;
	bool keeps;                     /* input stays where it is */
	bool pauses;                    /* after each input */
	size_t got;
	uint64_t sum;
};

static struct turns t;
static struct tls_ends ends;
static struct end a, b;                 /* client, server */
static int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

static void
input(struct conn *c)
{
	struct end *e = container_of(c, struct end, conn);
	const char *bytes;
	size_t len;

	e->inputs++;
	while (!e->keeps && (bytes = buf_front(&c->in, &len), len > 0)) {
		for (size_t i = 0; i < len; i++)
			e->sum = e->sum * 31 + (unsigned char)bytes[i];
		e->got += len;
		buf_drop(&c->w->blocks, &c->in, len);
	}
	if (e->pauses)
		conn_pause(c);
}

static void
drained(struct conn *c)
{
	container_of(c, struct end, conn)->draineds++;
}

static void
secured(struct conn *c, int error)
{
	struct end *e = container_of(c, struct end, conn);

	e->secureds++;
	e->error = error;
}

static void
failed(struct conn *c, int error)
{
	struct end *e = container_of(c, struct end, conn);

	e->faileds++;
	e->error = error;
}

static const struct conn_ops ops = {
	.input = input,
	.drained = drained,
	.secured = secured,
	.failed = failed
};

static void
begin(int version)
{
	int fds[2];

	turns_begin(&t, 2);
	tls_ends_make(&ends, version);
	a = b = (struct end){ 0 };
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
	    fds), 0);
	conn_open(&a.conn, &t.workers[0], fds[0], WORKER_PRI_NEAR, &ops);
	conn_open(&b.conn, &t.workers[0], fds[1], WORKER_PRI_NEAR, &ops);
}

static void
begin_secured(int version)
{
	begin(version);
	assert_int_equal(conn_secure(&b.conn, tls_ends_accept(&ends)), 0);
	assert_int_equal(conn_secure(&a.conn, tls_ends_connect(&ends)), 0);
	turns_run(&t);
	assert_int_equal(a.secureds, 1);
	assert_int_equal(b.secureds, 1);
	assert_int_equal(a.error | b.error, 0);
	assert_int_equal(a.faileds + b.faileds + a.inputs + b.inputs, 0);
}

static void
end(void)
{
	conn_close(&a.conn);
	conn_close(&b.conn);
	turns_run(&t);
	turns_end(&t);
	tls_ends_free(&ends);
}

static uint64_t
fill(char *bytes, size_t len)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < len; i++) {
		bytes[i] = (char)(i * 7 + i / 251);
		sum = sum * 31 + (unsigned char)bytes[i];
	}
	return sum;
}

/* In pieces of that size, which decides how records are put together. */
static uint64_t
say(struct end *from, size_t len, size_t piece)
{
	char *bytes = malloc(len);
	uint64_t sum = fill(bytes, len);

	for (size_t at = 0; at < len; at += piece)
		assert_int_equal(buf_append(&from->conn.w->blocks,
		    &from->conn.out, bytes + at,
		    piece < len - at ? piece : len - at), 0);
	conn_send(&from->conn);
	worker_flush(from->conn.w);
	free(bytes);
	return sum;
}

static void
bytes_arrive_whole_in_both_directions(void **state)
{
	static const size_t sizes[] = { 1, 100, 16384, 16385, 70000, BIG };
	static const size_t pieces[] = { 1000000, 300, 20000 };

	(void)state;
	for (size_t v = 0; v < 2; v++)
		for (size_t i = 0; i < 6 * 3; i++) {
			uint64_t up, down;

			begin_secured(versions[v]);
			up = say(&a, sizes[i % 6], pieces[i / 6]);
			down = say(&b, sizes[i % 6], pieces[i / 6]);
			turns_run(&t);
			assert_int_equal(b.got, sizes[i % 6]);
			assert_int_equal(a.got, sizes[i % 6]);
			assert_true(b.sum == up && a.sum == down);
			assert_int_equal(a.conn.out.len + b.conn.out.len, 0);
			assert_int_equal(a.conn.sent, b.conn.received);
			assert_true(a.draineds > 0);
			end();
		}
}

static void
what_was_queued_in_the_handshake_follows_it(void **state)
{
	(void)state;
	begin(TLS1_3_VERSION);
	assert_int_equal(conn_secure(&b.conn, tls_ends_accept(&ends)), 0);
	assert_int_equal(conn_secure(&a.conn, tls_ends_connect(&ends)), 0);
	(void)say(&a, 1000, 1000);
	(void)say(&b, 1000, 1000);
	turns_run(&t);
	assert_int_equal(a.got, 1000);
	assert_int_equal(b.got, 1000);
	end();
}

/* The first flight has been read already, behind something else. */
static void
input_that_came_before_is_the_beginning(void **state)
{
	(void)state;
	begin(TLS1_3_VERSION);
	b.keeps = true;
	assert_int_equal(conn_secure(&a.conn, tls_ends_connect(&ends)), 0);
	turns_run(&t);
	assert_true(b.conn.in.len > 100);
	assert_int_equal(conn_secure(&b.conn, tls_ends_accept(&ends)), 0);
	turns_run(&t);
	assert_int_equal(a.secureds + b.secureds, 2);
	assert_int_equal(a.error | b.error, 0);
	b.keeps = false;
	(void)say(&a, 1000, 1000);
	turns_run(&t);
	assert_int_equal(b.got, 1000);
	end();
}

/* Readiness tells nothing of what TLS has read ahead. */
static void
what_was_read_ahead_comes_after_a_pause(void **state)
{
	(void)state;
	for (size_t v = 0; v < 2; v++) {
		begin_secured(versions[v]);
		conn_pause(&b.conn);
		for (unsigned i = 0; i < 10; i++)
			(void)say(&a, 300, 300);
		b.pauses = true;
		for (unsigned i = 0; i < 20 && b.got < 3000; i++) {
			conn_resume(&b.conn);
			turns_run(&t);
		}
		assert_int_equal(b.got, 3000);
		end();
	}
}

/* Each makes work, and is nothing that anybody asked for. */
static void
keys_are_not_updated_for_ever(void **state)
{
	SSL *ssl;

	(void)state;
	begin_secured(TLS1_3_VERSION);
	ssl = conn_ssl(&a.conn);
	for (unsigned i = 0; i < 50; i++) {
		assert_int_equal(SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED),
		    1);
		(void)say(&a, 10, 10);
		turns_run(&t);
	}
	assert_int_equal(b.got, 500);
	for (unsigned i = 0; i < 50 && b.faileds == 0; i++) {
		assert_int_equal(SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED),
		    1);
		(void)say(&a, 10, 10);
		turns_run(&t);
	}
	assert_int_equal(b.faileds, 1);
	assert_int_equal(b.error, EPROTO);
	end();
}

static void
an_end_is_told_from_a_cut(void **state)
{
	(void)state;
	for (size_t v = 0; v < 2; v++) {
		begin_secured(versions[v]);
		(void)say(&a, 50000, 50000);
		conn_shut(&a.conn);
		turns_run(&t);
		assert_int_equal(b.got, 50000);
		assert_true(b.conn.eof);
		assert_int_equal(b.faileds, 0);
		end();

		begin_secured(versions[v]);
		conn_close(&a.conn);
		turns_run(&t);
		assert_true(b.conn.eof);
		end();

		begin_secured(versions[v]);
		(void)say(&a, 1000, 1000);
		(void)shutdown(conn_fd(&a.conn), SHUT_WR);
		turns_run(&t);
		assert_int_equal(b.got, 1000);
		assert_int_equal(b.faileds, 1);
		assert_int_equal(b.error, ECONNRESET);
		assert_false(b.conn.eof);
		end();
	}
}

/* With output left, an end would say that it was all. */
static void
a_close_with_output_left_takes_no_leave(void **state)
{
	(void)state;
	begin_secured(TLS1_3_VERSION);
	conn_pause(&b.conn);
	(void)say(&a, BIG, BIG);
	turns_run(&t);
	assert_true(a.conn.out.len > 0);
	conn_close(&a.conn);
	conn_resume(&b.conn);
	turns_run(&t);
	assert_true(b.got < BIG);
	assert_int_equal(b.faileds, 1);
	assert_false(b.conn.eof);
	end();
}

static void
what_is_no_tls_fails_the_handshake(void **state)
{
	static const char http[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

	(void)state;
	begin(TLS1_3_VERSION);
	assert_int_equal(conn_secure(&b.conn, tls_ends_accept(&ends)), 0);
	assert_int_equal(write(conn_fd(&a.conn), http, sizeof(http) - 1),
	    sizeof(http) - 1);
	turns_run(&t);
	assert_int_equal(b.secureds, 1);
	assert_int_equal(b.error, EPROTO);
	assert_int_equal(b.faileds, 0);
	end();

	begin(TLS1_3_VERSION);
	assert_int_equal(conn_secure(&b.conn, tls_ends_accept(&ends)), 0);
	conn_close(&a.conn);
	turns_run(&t);
	assert_int_equal(b.secureds, 1);
	assert_int_equal(b.error, ECONNRESET);
	end();
}

static void
a_changed_byte_fails_it(void **state)
{
	char bytes[200];
	ssize_t n;

	(void)state;
	begin_secured(TLS1_3_VERSION);
	ev_io_stop(t.workers[0].loop, &b.conn.io);
	(void)say(&a, 100, 100);
	n = read(conn_fd(&b.conn), bytes, sizeof(bytes));
	assert_true(n > 100);
	bytes[50] ^= 1;
	ev_io_start(t.workers[0].loop, &b.conn.io);
	assert_int_equal(write(conn_fd(&a.conn), bytes, (size_t)n), n);
	turns_run(&t);
	assert_int_equal(b.got, 0);
	assert_int_equal(b.faileds, 1);
	assert_int_equal(b.error, EPROTO);
	end();
}

/* Tickets are for TLS; a byte of the peer's is for others. */
static void
quiet_is_who_has_said_nothing(void **state)
{
	(void)state;
	begin(TLS1_3_VERSION);
	assert_int_equal(conn_secure(&b.conn, tls_ends_accept(&ends)), 0);
	assert_int_equal(conn_secure(&a.conn, tls_ends_connect(&ends)), 0);
	while (a.secureds == 0)
		turns_step(&t, 0);
	/* Its tickets are on their way, unread. */
	ev_io_stop(t.workers[0].loop, &a.conn.io);
	turns_run(&t);
	assert_int_equal(b.secureds, 1);
	assert_true(conn_is_quiet(&a.conn));
	(void)say(&b, 1, 1);
	assert_false(conn_is_quiet(&a.conn));
	end();

	begin_secured(TLS1_3_VERSION);
	ev_io_stop(t.workers[0].loop, &a.conn.io);
	conn_close(&b.conn);
	assert_false(conn_is_quiet(&a.conn));
	end();
}

static void
what_is_said_to_who_does_not_read_has_an_end(void **state)
{
	static const char alert[31];
	size_t n, total = 0;

	(void)state;
	begin_secured(TLS1_2_VERSION);
	ev_io_stop(t.workers[0].loop, &b.conn.io);
	/* A look at it, and from then on nothing goes out but by tls_flush(). */
	assert_int_equal(write(conn_fd(&a.conn), "\x17", 1), 1);
	assert_true(conn_is_quiet(&b.conn));
	while (total < BIG && BIO_write_ex(SSL_get_wbio(conn_ssl(&b.conn)),
	    alert, sizeof(alert), &n) == 1)
		total += n;
	assert_true(total > sizeof(((struct tls_room *)0)->records));
	assert_true(total < BIG);
	end();
}

static void
it_goes_to_another_worker(void **state)
{
	(void)state;
	begin_secured(TLS1_3_VERSION);
	(void)say(&a, 1000, 1000);
	turns_run(&t);
	conn_detach(&b.conn);
	(void)say(&a, 500, 500);
	conn_attach(&b.conn, &t.workers[1]);
	/* It has no room of its own for records yet: the second makes it. */
	turns_run(&t);
	assert_int_equal(b.got, 1500);
	(void)say(&b, 100000, 100000);
	turns_run(&t);
	assert_int_equal(a.got, 100000);
	end();
}

/* OpenSSL has no use for them once there are others made of them. */
static void
keys_of_the_exchange_are_not_kept(void **state)
{
	struct end *both[] = { &a, &b };

	(void)state;
	begin_secured(TLS1_3_VERSION);
	for (size_t i = 0; i < 2; i++) {
		SSL *ssl = conn_ssl(&both[i]->conn);
		unsigned char bytes[256];
		EVP_PKEY *own, *peers;
		size_t n = sizeof(bytes);

		assert_int_equal(SSL_get_tmp_key(ssl, &own), 1);
		assert_int_equal(SSL_get_peer_tmp_key(ssl, &peers), 1);
		assert_int_not_equal(EVP_PKEY_get_raw_private_key(own, bytes,
		    &n), 1);
		n = sizeof(bytes);
		assert_int_not_equal(EVP_PKEY_get_raw_public_key(peers, bytes,
		    &n), 1);
		EVP_PKEY_free(own);
		EVP_PKEY_free(peers);
		assert_int_equal(SSL_key_update(ssl,
		    SSL_KEY_UPDATE_REQUESTED), 1);
	}
	ERR_clear_error();
	(void)say(&a, 1000, 1000);
	(void)say(&b, 1000, 1000);
	turns_run(&t);
	(void)say(&a, 1000, 1000);
	(void)say(&b, 1000, 1000);
	turns_run(&t);
	assert_int_equal(a.got, 2000);
	assert_int_equal(b.got, 2000);
	end();
}

/* Nor does what TLS has to say to it then go to the next connection. */
static void
one_that_does_not_read_may_fail_all_the_same(void **state)
{
	(void)state;
	for (size_t v = 0; v < 2; v++) {
		begin_secured(versions[v]);
		ev_io_stop(t.workers[0].loop, &a.conn.io);
		(void)say(&b, BIG, BIG);
		turns_run(&t);
		assert_true(b.conn.stuck);
		assert_int_equal(write(conn_fd(&a.conn),
		    "\x17\x03\x03\0\x20" "abcdefghijabcdefghijabcdefghijab", 37),
		    37);
		turns_run(&t);
		assert_int_equal(b.faileds, 1);
		assert_int_equal(t.workers[0].tls_room->used, 0);
		end();
	}
}

/* All that fits into the socket; its length. */
static size_t
stuff(int fd)
{
	static const char zeros[4096];
	size_t n = 0;
	ssize_t one;

	while ((one = write(fd, zeros, sizeof(zeros))) > 0)
		n += (size_t)one;
	return n;
}

static void
discard(int fd, size_t n)
{
	char bytes[4096];

	while (n > 0) {
		ssize_t one = read(fd, bytes, n < sizeof(bytes) ? n :
		    sizeof(bytes));

		assert_true(one > 0);
		n -= (size_t)one;
	}
}

/* Nothing else may write to it, ever. */
static void
what_reading_has_to_say_waits_for_room(void **state)
{
	BIO *heard = BIO_new(BIO_s_mem());
	char bytes[4096];
	size_t clogged;
	ssize_t n;
	SSL *ssl;
	int fd;

	(void)state;
	begin(TLS1_3_VERSION);
	fd = conn_fd(&a.conn);
	ev_io_stop(t.workers[0].loop, &a.conn.io);
	assert_int_equal(conn_secure(&b.conn, tls_ends_accept(&ends)), 0);
	clogged = stuff(conn_fd(&b.conn));
	ssl = tls_ends_connect(&ends);
	BIO_set_mem_eof_return(heard, -1);
	SSL_set_bio(ssl, heard, BIO_new_socket(fd, BIO_NOCLOSE));
	assert_int_equal(SSL_do_handshake(ssl), -1);
	turns_run(&t);
	assert_true(b.conn.stuck);
	discard(fd, clogged);
	turns_run(&t);
	while ((n = read(fd, bytes, sizeof(bytes))) > 0)
		assert_int_equal(BIO_write(heard, bytes, (int)n), n);
	assert_int_equal(SSL_do_handshake(ssl), 1);
	turns_run(&t);
	assert_int_equal(b.secureds, 1);
	assert_int_equal(b.error, 0);
	SSL_free(ssl);
	end();
}

static void
secured_and_left(struct conn *conn, int error)
{
	secured(conn, error);
	conn_detach(conn);
	conn_attach(conn, &t.workers[1]);
}

/* Another thread has it by then: bytes that came with the end of the handshake
   are for that one to read. */
static void
who_leaves_when_told_is_left_alone(void **state)
{
	struct conn_ops leaving = ops;

	(void)state;
	leaving.secured = secured_and_left;
	begin(TLS1_2_VERSION);
	a.conn.ops = &leaving;
	assert_int_equal(conn_secure(&b.conn, tls_ends_accept(&ends)), 0);
	assert_int_equal(conn_secure(&a.conn, tls_ends_connect(&ends)), 0);
	(void)say(&b, 1000, 1000);
	for (unsigned i = 0; i < 100 && a.secureds == 0; i++)
		turns_step(&t, 0);
	assert_int_equal(a.secureds, 1);
	assert_int_equal(a.got, 0);
	turns_run(&t);
	assert_int_equal(a.got, 1000);
	a.conn.ops = &ops;
	end();
}

/* As of a server that answers, and then finds fault. */
static void
bytes_before_a_bad_record_arrive(void **state)
{
	(void)state;
	begin_secured(TLS1_3_VERSION);
	ev_io_stop(t.workers[0].loop, &b.conn.io);
	(void)say(&a, 1000, 1000);
	assert_int_equal(write(conn_fd(&a.conn),
	    "\x17\x03\x03\0\x20" "abcdefghijabcdefghijabcdefghijab", 37), 37);
	ev_io_start(t.workers[0].loop, &b.conn.io);
	turns_run(&t);
	assert_int_equal(b.got, 1000);
	assert_int_equal(b.faileds, 1);
	assert_int_equal(b.error, EPROTO);
	end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_arrive_whole_in_both_directions),
		cmocka_unit_test(what_was_queued_in_the_handshake_follows_it),
		cmocka_unit_test(input_that_came_before_is_the_beginning),
		cmocka_unit_test(what_was_read_ahead_comes_after_a_pause),
		cmocka_unit_test(keys_are_not_updated_for_ever),
		cmocka_unit_test(an_end_is_told_from_a_cut),
		cmocka_unit_test(a_close_with_output_left_takes_no_leave),
		cmocka_unit_test(what_is_no_tls_fails_the_handshake),
		cmocka_unit_test(a_changed_byte_fails_it),
		cmocka_unit_test(keys_of_the_exchange_are_not_kept),
		cmocka_unit_test(one_that_does_not_read_may_fail_all_the_same),
		cmocka_unit_test(quiet_is_who_has_said_nothing),
		cmocka_unit_test(what_is_said_to_who_does_not_read_has_an_end),
		cmocka_unit_test(it_goes_to_another_worker),
		cmocka_unit_test(what_reading_has_to_say_waits_for_room),
		cmocka_unit_test(who_leaves_when_told_is_left_alone),
		cmocka_unit_test(bytes_before_a_bad_record_arrive)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
