/*
 * net/sink: whole lines or none, the rest of one that was begun before all
 * else, and never a wait.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

enum { LINE = 100, MANY = 3000 };

static char folder[64], path[96], other[96], syslog_name[96];
static char lines[LINE * MANY + 1], text[LINE * MANY + 1];

/* MANY lines of LINE bytes: "NUMBER xxx...\n". */
static int
begin(void **state)
{
	int i;

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	strcpy(folder, "/tmp/weir-sink-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/log", folder);
	snprintf(other, sizeof(other), "%s/log.1", folder);
	snprintf(syslog_name, sizeof(syslog_name), "syslog:%s/log", folder);
	memset(lines, 'x', sizeof(lines) - 1);
	for (i = 0; i < MANY; i++) {
		char number[16];
		int n = snprintf(number, sizeof(number), "%d ", i);

		memcpy(lines + i * LINE, number, (size_t)n);
		lines[i * LINE + LINE - 1] = '\n';
	}
	return 0;
}

static int
end(void **state)
{
	(void)state;
	(void)unlink(path);
	(void)unlink(other);
	(void)rmdir(folder);
	return 0;
}

static struct sink *
opened(const char *target)
{
	char why[256] = "";
	struct sink *s = sink_open(target, why, sizeof(why));

	if (s == NULL)
		fail_msg("%s", why);
	assert_string_equal(sink_name(s), target);
	return s;
}

/* With that descriptor as standard output meanwhile. */
static struct sink *
opened_as_stdout(int fd)
{
	int saved = dup(STDOUT_FILENO);
	struct sink *s;

	fflush(stdout);
	assert_true(dup2(fd, STDOUT_FILENO) >= 0);
	s = opened("stdout");
	assert_true(dup2(saved, STDOUT_FILENO) >= 0);
	close(saved);
	return s;
}

/* Lines `from` up to MANY, until it takes no more; how far it came. */
static size_t
fill(struct sink *s, size_t from)
{
	size_t at = from * LINE, taken;

	while (at < LINE * MANY && sink_write(s, lines + at, LINE * MANY - at,
	    &taken) == SINK_TAKEN) {
		assert_true(taken > 0);
		assert_int_equal(taken % LINE, 0);
		at += taken;
	}
	return at / LINE;
}

static size_t
read_file(const char *from)
{
	int fd = open(from, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	assert_true(n >= 0);
	close(fd);
	text[n] = '\0';
	return (size_t)n;
}

/* ---------------------------------------------------------------------- files */

static void
file_takes_all_at_once(void **state)
{
	struct sink *s = opened(path);
	struct stat st;
	size_t taken;

	(void)state;
	assert_true(sink_is_file(s));
	assert_int_equal(sink_write(s, lines, LINE * MANY, &taken), SINK_TAKEN);
	assert_int_equal(taken, LINE * MANY);
	assert_int_equal(read_file(path), LINE * MANY);
	assert_string_equal(text, lines);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777 & ~0640u, 0);
	sink_close(s);
}

static void
what_cannot_be_opened_is_said_in_words(void **state)
{
	static const char *const words[] = { "none/log", "No such file" };
	char why[256], nowhere[128];
	int saved;

	(void)state;
	snprintf(nowhere, sizeof(nowhere), "%s/none/log", folder);
	assert_null(sink_open(nowhere, why, sizeof(why)));
	assert_non_null(strstr(why, words[0]));
	assert_non_null(strstr(why, words[1]));
	assert_null(sink_open(folder, why, sizeof(why)));
	assert_non_null(strstr(why, "directory"));
	assert_null(sink_open(syslog_name, why, sizeof(why)));
	assert_non_null(strstr(why, "No such file"));
	fflush(stdout);
	saved = dup(STDOUT_FILENO);
	close(STDOUT_FILENO);
	assert_null(sink_open("stdout", why, sizeof(why)));
	assert_true(dup2(saved, STDOUT_FILENO) >= 0);
	close(saved);
	assert_non_null(strstr(why, "Bad file descriptor"));
}

static void
renamed_file_is_not_current_until_reopened(void **state)
{
	struct sink *s = opened(path);
	size_t taken;

	(void)state;
	assert_true(sink_is_current(s));
	assert_int_equal(rename(path, other), 0);
	assert_false(sink_is_current(s));
	assert_int_equal(sink_write(s, lines, LINE, &taken), SINK_TAKEN);
	assert_int_equal(sink_reopen(s), 0);
	assert_true(sink_is_current(s));
	assert_int_equal(sink_write(s, lines, 2 * LINE, &taken), SINK_TAKEN);
	assert_int_equal(read_file(other), LINE);
	assert_int_equal(read_file(path), 2 * LINE);
	/* Another file of that name is not it either. */
	assert_int_equal(rename(other, path), 0);
	assert_false(sink_is_current(s));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(folder), 0);
	assert_int_equal(sink_reopen(s), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(sink_write(s, lines, LINE, &taken), SINK_TAKEN);
	sink_close(s);
}

/* The disk fills up within a line: its rest comes first when there is room. */
static void
line_that_was_begun_is_finished(void **state)
{
	struct rlimit before, limit;
	struct sink *s = opened(path);
	size_t taken;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = before;
	limit.rlim_cur = 10 * LINE + 33;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(sink_write(s, lines, 20 * LINE, &taken), SINK_TAKEN);
	assert_int_equal(taken, 11 * LINE);
	/* What follows is lost, however often. */
	assert_int_equal(sink_write(s, lines + 11 * LINE, 9 * LINE, &taken),
	    SINK_FAILED);
	assert_int_equal(errno, EFBIG);
	assert_int_equal(taken, 9 * LINE);
	assert_false(sink_finish(s));
	assert_int_equal(read_file(path), 10 * LINE + 33);
	/* A little room, and then enough. */
	limit.rlim_cur = 10 * LINE + 60;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_false(sink_finish(s));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(sink_write(s, lines + 20 * LINE, LINE, &taken),
	    SINK_TAKEN);
	assert_true(sink_finish(s));
	sink_close(s);
	assert_int_equal(read_file(path), 12 * LINE);
	assert_memory_equal(text, lines, 11 * LINE);
	assert_memory_equal(text + 11 * LINE, lines + 20 * LINE, LINE);
}

/* ---------------------------------------------------------------------- pipes */

/* What is left over after it was full comes first, and whole lines. */
static void
check_pipe(struct sink *s, int fd)
{
	size_t from, len = 0;
	ssize_t n;

	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	from = fill(s, 0);
	assert_true(from >= 4096 / LINE && from < MANY);
	while (from < MANY || !sink_finish(s)) {
		/* A number that is not a line's, to leave odd room. */
		n = read(fd, text + len, 1777);
		assert_true(n > 0);
		len += (size_t)n;
		from = fill(s, from);
	}
	while ((n = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	assert_int_equal(len, LINE * MANY);
	text[len] = '\0';
	assert_string_equal(text, lines);
	sink_close(s);
}

static void
fifo_never_waits(void **state)
{
	struct sink *s;
	int fd;

	(void)state;
	assert_int_equal(mkfifo(path, 0600), 0);
	/* Not even for somebody to open its other end. */
	s = opened(path);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	check_pipe(s, fd);
	close(fd);
}

/* The flag is not set for others who write to it. */
static void
standard_output_stays_as_it_was(void **state)
{
	int fds[2];
	struct sink *s;

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	s = opened_as_stdout(fds[1]);
	assert_int_equal(fcntl(fds[1], F_GETFL) & O_NONBLOCK, 0);
	check_pipe(s, fds[0]);
	assert_int_equal(fcntl(fds[1], F_GETFL) & O_NONBLOCK, 0);
	close(fds[0]);
	close(fds[1]);
}

/* A socket as systemd gives one for standard output. */
static void
stream_socket_gets_the_rest_first(void **state)
{
	int fds[2], small = 1;
	struct sink *s;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0,
	    fds), 0);
	(void)setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	s = opened_as_stdout(fds[0]);
	assert_int_equal(fcntl(fds[0], F_GETFL) & O_NONBLOCK, 0);
	check_pipe(s, fds[1]);
	close(fds[0]);
	close(fds[1]);
}

/* A write of at most PIPE_BUF is not mixed with those of others (pipe(7)). */
static void
pipe_gets_whole_lines_and_few_at_once(void **state)
{
	struct sink *s;
	size_t taken;
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	s = opened_as_stdout(fds[1]);
	assert_int_equal(sink_write(s, lines, LINE * MANY, &taken), SINK_TAKEN);
	assert_int_equal(taken, PIPE_BUF / LINE * LINE);
	assert_int_equal(read(fds[0], text, sizeof(text)), taken);
	/* A longer line goes as it is. */
	memset(lines, 'y', 2 * PIPE_BUF);
	lines[2 * PIPE_BUF] = '\n';
	assert_int_equal(sink_write(s, lines, 2 * PIPE_BUF + 1, &taken),
	    SINK_TAKEN);
	assert_int_equal(taken, 2 * PIPE_BUF + 1);
	assert_int_equal(read(fds[0], text, sizeof(text)), taken);
	sink_close(s);
	close(fds[0]);
	close(fds[1]);
}

static void
pipe_without_reader_fails_and_kills_nobody(void **state)
{
	struct sink *s;
	size_t taken;
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	s = opened_as_stdout(fds[1]);
	close(fds[0]);
	assert_int_equal(sink_write(s, lines, LINE, &taken), SINK_FAILED);
	assert_int_equal(errno, EPIPE);
	assert_int_equal(taken, LINE);
	sink_close(s);
	close(fds[1]);
}

/* A blocking FIFO that cannot be opened a second time, because nobody reads it
   just then: it is asked before each write. A wait would never end. */
static void
blocking_fifo_is_asked_first(void **state)
{
	struct sink *s;
	int in, out;

	(void)state;
	assert_int_equal(mkfifo(path, 0600), 0);
	in = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	out = open(path, O_WRONLY | O_CLOEXEC);
	close(in);
	s = opened_as_stdout(out);
	assert_int_equal(fcntl(sink_poll_fd(s), F_GETFL) & O_NONBLOCK, 0);
	in = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	check_pipe(s, in);
	close(in);
	close(out);
}

static void
full_pipe_can_be_polled(void **state)
{
	struct pollfd p = { .events = POLLOUT };
	struct sink *s;
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	s = opened_as_stdout(fds[1]);
	(void)fill(s, 0);
	p.fd = sink_poll_fd(s);
	assert_true(p.fd >= 0);
	assert_int_equal(poll(&p, 1, 0), 0);
	while (poll(&p, 1, 0) == 0)
		assert_true(read(fds[0], text, 5000) > 0);
	assert_int_equal(p.revents, POLLOUT);
	sink_close(s);
	close(fds[0]);
	close(fds[1]);
}

static void
standard_error_is_known_by_any_name(void **state)
{
	int saved = dup(STDERR_FILENO), fds[2];
	struct sink *s, *t, *f = opened(path);

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_true(dup2(fds[1], STDERR_FILENO) >= 0);
	s = opened("stderr");
	t = opened_as_stdout(fds[1]);
	assert_true(sink_is_stderr(s));
	assert_true(sink_is_stderr(t));
	assert_false(sink_is_stderr(f));
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	close(saved);
	sink_close(s);
	sink_close(t);
	sink_close(f);
	close(fds[0]);
	close(fds[1]);
}

/* --------------------------------------------------------------------- syslog */

static int
syslog_daemon(void)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(strlen(path) < sizeof(un.sun_path));
	strcpy(un.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	return fd;
}

/* RFC 3164 4.1 without a host, as syslog(3) writes it. */
static void
syslog_gets_one_message_a_line(void **state)
{
	char tail[64], month[4], clock[9];
	int fd = syslog_daemon(), day, pid, at;
	struct sink *s = opened(syslog_name);
	size_t taken;
	ssize_t n;

	(void)state;
	assert_int_equal(sink_write(s, "one\ntwo\n", 8, &taken), SINK_TAKEN);
	assert_int_equal(taken, 4);
	assert_int_equal(sink_write(s, "two\n", 4, &taken), SINK_TAKEN);
	n = recv(fd, text, sizeof(text) - 1, 0);
	assert_true(n > 0);
	text[n] = '\0';
	assert_int_equal(sscanf(text, "<30>%3s %d %8s weir[%d]: %n", month,
	    &day, clock, &pid, &at), 4);
	assert_int_equal(pid, getpid());
	assert_string_equal(text + at, "one");
	snprintf(tail, sizeof(tail), "weir[%d]: two", (int)getpid());
	n = recv(fd, text, sizeof(text) - 1, 0);
	text[n] = '\0';
	assert_non_null(strstr(text, tail));
	sink_close(s);
	close(fd);
}

static void
syslog_that_does_not_read_is_full_not_waited_for(void **state)
{
	int fd = syslog_daemon();
	struct sink *s = opened(syslog_name);
	size_t n = fill(s, 0), taken;

	(void)state;
	assert_true(n > 0 && n < MANY);
	assert_int_equal(sink_write(s, lines, LINE, &taken), SINK_FULL);
	assert_true(recv(fd, text, sizeof(text), 0) > LINE);
	assert_int_equal(sink_write(s, lines, LINE, &taken), SINK_TAKEN);
	sink_close(s);
	close(fd);
}

static void
line_too_long_for_syslog_is_cut(void **state)
{
	int fd = syslog_daemon();
	struct sink *s = opened(syslog_name);
	size_t taken;
	ssize_t n;

	(void)state;
	memset(lines, 'y', 20000);
	lines[20000] = '\n';
	assert_int_equal(sink_write(s, lines, 20001, &taken), SINK_TAKEN);
	assert_int_equal(taken, 20001);
	n = recv(fd, text, sizeof(text), 0);
	assert_true(n > 6000 && n < 8192);
	sink_close(s);
	close(fd);
}

static void
syslog_that_has_gone_is_looked_for_again(void **state)
{
	int fd = syslog_daemon(), tries = 0;
	struct sink *s = opened(syslog_name);
	size_t taken;

	(void)state;
	close(fd);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(sink_write(s, lines, 5 * LINE, &taken), SINK_FAILED);
	assert_int_equal(taken, 5 * LINE);
	fd = syslog_daemon();
	while (sink_write(s, lines, LINE, &taken) == SINK_FAILED) {
		assert_true(tries++ < 300);
		(void)poll(NULL, 0, 10);
	}
	assert_true(recv(fd, text, sizeof(text), 0) > LINE);
	sink_close(s);
	close(fd);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(file_takes_all_at_once),
		TEST(what_cannot_be_opened_is_said_in_words),
		TEST(renamed_file_is_not_current_until_reopened),
		TEST(line_that_was_begun_is_finished),
		TEST(fifo_never_waits),
		TEST(standard_output_stays_as_it_was),
		TEST(stream_socket_gets_the_rest_first),
		TEST(pipe_gets_whole_lines_and_few_at_once),
		TEST(pipe_without_reader_fails_and_kills_nobody),
		TEST(blocking_fifo_is_asked_first),
		TEST(full_pipe_can_be_polled),
		TEST(standard_error_is_known_by_any_name),
		TEST(syslog_gets_one_message_a_line),
		TEST(syslog_that_does_not_read_is_full_not_waited_for),
		TEST(line_too_long_for_syslog_is_cut),
		TEST(syslog_that_has_gone_is_looked_for_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
