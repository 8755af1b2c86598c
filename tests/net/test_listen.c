/*
 * net/listen: what may be bound, what is replaced, and what is said if not.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const struct listen_options plain = { .mode = -1 };
static char folder[64], why[256];

static int
setup(void **state)
{
	(void)state;
	why[0] = '\0';
	strcpy(folder, "/tmp/weir-test-XXXXXX");
	return mkdtemp(folder) != NULL ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	return rmdir(folder);
}

static struct addr
address(const char *text)
{
	struct addr_text parsed;
	struct addr at;
	const char *error = NULL;

	assert_int_equal(addr_text_parse(text, true, &parsed, &error), 0);
	assert_int_equal(addr_from_text(&parsed, &at), 0);
	addr_text_fini(&parsed);
	return at;
}

static struct addr
unix_address(void)
{
	char text[128];

	snprintf(text, sizeof(text), "unix:%s/sock", folder);
	return address(text);
}

static int
open_plain(const struct addr *at)
{
	int fd = listen_open(at, &plain, why, sizeof(why));

	if (fd < 0)
		print_message("%s\n", why);
	assert_true(fd >= 0);
	return fd;
}

static void
is_refused(const struct addr *at, const struct listen_options *o,
    const char *text)
{
	assert_int_equal(listen_open(at, o, why, sizeof(why)), -1);
	if (strstr(why, text) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", why, text);
}

static int
call(const struct addr *at)
{
	int fd = socket(at->sa.sa_family, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	if (connect(fd, &at->sa, at->len) == 0)
		return fd;
	close(fd);
	return -1;
}

/* ---------------------------------------------------------------------- TCP */

static struct addr
bound_to(int fd)
{
	struct addr at = { .len = sizeof(at.ss) };

	assert_int_equal(getsockname(fd, &at.sa, &at.len), 0);
	return at;
}

static void
listener_is_nonblocking_and_closed_on_exec(void **state)
{
	struct addr at = address("127.0.0.1:0");
	int fd = open_plain(&at), peer, accepted, one = 0;
	socklen_t len = sizeof(one);

	(void)state;
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_true(accept(fd, NULL, NULL) < 0);
	assert_int_equal(errno, EAGAIN);
	at = bound_to(fd);
	peer = call(&at);
	assert_true(peer >= 0);
	accepted = accept(fd, NULL, NULL);
	assert_true(accepted >= 0);
	/* What is accepted inherits it. */
	assert_int_equal(getsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &one,
	    &len), 0);
	assert_int_not_equal(one, 0);
	close(peer);
	close(accepted);
	listen_close(fd, &at);
}

static void
taken_address_is_refused_with_a_sentence(void **state)
{
	struct addr at = address("127.0.0.1:0");
	char text[ADDR_TEXT_MAX];
	int fd = open_plain(&at);

	(void)state;
	at = bound_to(fd);
	is_refused(&at, &plain, "cannot ");
	assert_non_null(strstr(why, addr_print(&at, text)));
	assert_non_null(strstr(why, "in use"));
	assert_int_equal(listen_try(&at, why, sizeof(why)), -1);
	listen_close(fd, &at);
	assert_int_equal(listen_try(&at, why, sizeof(why)), 0);
	/* The trial has let go of it. */
	fd = open_plain(&at);
	listen_close(fd, &at);
}

static void
foreign_address_is_refused(void **state)
{
	struct addr at = address("192.0.2.1:1");

	(void)state;
	is_refused(&at, &plain, "192.0.2.1:1");
	assert_int_equal(listen_try(&at, why, sizeof(why)), -1);
}

static void
workers_share_an_address_that_a_trial_finds_taken(void **state)
{
	const struct listen_options shared = { .mode = -1,
		.reuse_port = true };
	struct addr at = address("127.0.0.1:0");
	int a = listen_open(&at, &shared, why, sizeof(why)), b;

	(void)state;
	assert_true(a >= 0);
	at = bound_to(a);
	b = listen_open(&at, &shared, why, sizeof(why));
	assert_true(b >= 0);
	assert_int_equal(listen_try(&at, why, sizeof(why)), -1);
	listen_close(a, &at);
	listen_close(b, &at);
}

/* "[::]:80" and "0.0.0.0:80" are two addresses. */
static void
both_families_have_their_own_port(void **state)
{
	struct addr six = address("[::]:0"), four;
	char text[32];
	int a = listen_open(&six, &plain, why, sizeof(why)), b;

	(void)state;
	if (a < 0)
		skip();                 /* a machine without IPv6 */
	six = bound_to(a);
	snprintf(text, sizeof(text), "0.0.0.0:%u",
	    ntohs(((struct sockaddr_in6 *)&six.sa)->sin6_port));
	four = address(text);
	b = open_plain(&four);
	listen_close(a, &six);
	listen_close(b, &four);
}

/* --------------------------------------------------------------------- Unix */

static void
socket_file_comes_and_goes(void **state)
{
	struct addr at = unix_address();
	int fd = open_plain(&at), peer = call(&at);

	(void)state;
	assert_true(peer >= 0);
	close(peer);
	listen_close(fd, &at);
	assert_int_equal(access(at.un.sun_path, F_OK), -1);
}

static void
stale_socket_file_is_replaced(void **state)
{
	struct addr at = unix_address();
	struct stat st;
	int fd = open_plain(&at), peer;

	(void)state;
	close(fd);                      /* died without removing it */
	assert_int_equal(stat(at.un.sun_path, &st), 0);
	fd = open_plain(&at);
	peer = call(&at);
	assert_true(peer >= 0);
	close(peer);
	listen_close(fd, &at);
}

static void
trial_touches_neither_stale_files_nor_live_ones(void **state)
{
	struct addr at = unix_address();
	int fd = open_plain(&at), peer;

	(void)state;
	assert_int_equal(listen_try(&at, why, sizeof(why)), -1);
	assert_non_null(strstr(why, "in use"));
	/* Nobody has come. */
	assert_int_equal(accept(fd, NULL, NULL), -1);
	assert_int_equal(errno, EAGAIN);
	peer = call(&at);
	assert_true(peer >= 0);
	close(peer);
	close(fd);
	assert_int_equal(listen_try(&at, why, sizeof(why)), 0);
	assert_int_equal(unlink(at.un.sun_path), 0);
	assert_int_equal(listen_try(&at, why, sizeof(why)), 0);
	assert_int_equal(access(at.un.sun_path, F_OK), -1);
}

static void
live_socket_file_is_refused(void **state)
{
	struct addr at = unix_address();
	int fd = open_plain(&at), peer;

	(void)state;
	is_refused(&at, &plain, "in use");
	/* And is as alive as before. */
	peer = call(&at);
	assert_true(peer >= 0);
	close(peer);
	listen_close(fd, &at);
}

/* Somebody listens but does not accept: EAGAIN is no sign of death. */
static void
busy_socket_file_is_refused(void **state)
{
	const struct listen_options small = { .mode = -1, .backlog = 1 };
	struct addr at = unix_address();
	int fd = listen_open(&at, &small, why, sizeof(why)), peers[8], i;

	(void)state;
	assert_true(fd >= 0);
	for (i = 0; i < 8; i++) {
		peers[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		assert_true(peers[i] >= 0);
		(void)connect(peers[i], &at.sa, at.len);
	}
	is_refused(&at, &plain, "in use");
	for (i = 0; i < 8; i++)
		close(peers[i]);
	listen_close(fd, &at);
}

static void
file_that_is_no_socket_is_refused_and_kept(void **state)
{
	struct addr at = unix_address();
	char text[8] = "";
	int fd = open(at.un.sun_path, O_WRONLY | O_CREAT, 0600);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "precious", 8), 8);
	close(fd);
	is_refused(&at, &plain, "not a socket");
	assert_int_equal(listen_try(&at, why, sizeof(why)), -1);
	fd = open(at.un.sun_path, O_RDONLY);
	assert_int_equal(read(fd, text, 8), 8);
	assert_memory_equal(text, "precious", 8);
	close(fd);
	unlink(at.un.sun_path);
}

/* Also not through a link to a stale socket. */
static void
link_is_refused_and_kept(void **state)
{
	struct addr at = unix_address();
	struct stat st;

	(void)state;
	assert_int_equal(symlink("/nowhere", at.un.sun_path), 0);
	is_refused(&at, &plain, "not a socket");
	assert_int_equal(lstat(at.un.sun_path, &st), 0);
	unlink(at.un.sun_path);
}

static void
folder_that_is_not_there_is_named(void **state)
{
	struct addr at = address("unix:/nonexistent/weir.sock");

	(void)state;
	is_refused(&at, &plain, "/nonexistent/weir.sock");
	assert_non_null(strstr(why, "No such file"));
}

static void
mode_is_as_written_whatever_the_umask(void **state)
{
	static const mode_t modes[] = { 0600, 0660, 0666, 0777 };
	struct addr at = unix_address();
	mode_t before = umask(0077);
	struct stat st;
	unsigned i;
	int fd;

	(void)state;
	for (i = 0; i < NELEMS(modes); i++) {
		struct listen_options o = { .mode = (int)modes[i] };

		fd = listen_open(&at, &o, why, sizeof(why));
		assert_true(fd >= 0);
		assert_int_equal(stat(at.un.sun_path, &st), 0);
		assert_int_equal(st.st_mode & 0777, modes[i]);
		listen_close(fd, &at);
	}
	fd = open_plain(&at);
	assert_int_equal(stat(at.un.sun_path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	listen_close(fd, &at);
	assert_int_equal(umask(before), 0077);
}

static void
owner_is_as_written(void **state)
{
	const struct listen_options o = { .mode = -1, .owner = "daemon",
		.group = "daemon" };
	struct addr at = unix_address();
	struct stat st;
	int fd;

	(void)state;
	if (getuid() != 0)
		skip();
	fd = listen_open(&at, &o, why, sizeof(why));
	assert_true(fd >= 0);
	assert_int_equal(stat(at.un.sun_path, &st), 0);
	assert_int_not_equal(st.st_uid, 0);
	assert_int_not_equal(st.st_gid, 0);
	listen_close(fd, &at);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(listener_is_nonblocking_and_closed_on_exec),
		cmocka_unit_test(taken_address_is_refused_with_a_sentence),
		cmocka_unit_test(foreign_address_is_refused),
		cmocka_unit_test(
		    workers_share_an_address_that_a_trial_finds_taken),
		cmocka_unit_test(both_families_have_their_own_port),
		IN_FOLDER(socket_file_comes_and_goes),
		IN_FOLDER(stale_socket_file_is_replaced),
		IN_FOLDER(trial_touches_neither_stale_files_nor_live_ones),
		IN_FOLDER(live_socket_file_is_refused),
		IN_FOLDER(busy_socket_file_is_refused),
		IN_FOLDER(file_that_is_no_socket_is_refused_and_kept),
		IN_FOLDER(link_is_refused_and_kept),
		cmocka_unit_test(folder_that_is_not_there_is_named),
		IN_FOLDER(mode_is_as_written_whatever_the_umask),
		IN_FOLDER(owner_is_as_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
