/*
 * net/writer: lines reach files, pipes and syslog soon and whole; whatever
 * happens there, nobody waits, and what is lost is counted.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/writer.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/log.h"

enum { WAIT_MS = 20000, STEP_MS = 5 };

/* A folder with what a test opens, a writer, and the pipe that is standard
   error meanwhile. */
static char folder[64], path[96], other[128], name[96];
static struct writer *w;
static int saved_stderr, errors_fd;
static char text[4 * 1024 * 1024], said_so_far[64 * 1024];

static int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Wait a step; past the end of all waiting, fail. */
static void
wait_for(int64_t since_ms, const char *what)
{
	if (now_ms() - since_ms > WAIT_MS)
		fail_msg("never: %s", what);
	(void)poll(NULL, 0, STEP_MS);
}

/* What follows is done before each look but the first; nothing, with `;`. */
#define UNTIL(claim)                                                         \
	for (int64_t began_ = now_ms(); !(claim); wait_for(began_, #claim))

static int
begin(void **state)
{
	int fds[2];

	(void)state;
	log_set(LOG_LEVEL_INFO, false);
	said_so_far[0] = '\0';
	strcpy(folder, "/tmp/weir-writer-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/log", folder);
	snprintf(other, sizeof(other), "%s/log.1", folder);
	snprintf(name, sizeof(name), "syslog:%s/log", folder);
	saved_stderr = dup(STDERR_FILENO);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_true(dup2(fds[1], STDERR_FILENO) >= 0);
	close(fds[1]);
	errors_fd = fds[0];
	assert_int_equal(fcntl(errors_fd, F_SETFL, O_NONBLOCK), 0);
	w = writer_new(2);
	assert_non_null(w);
	assert_int_equal(writer_start(w), 0);
	return 0;
}

static int
end(void **state)
{
	(void)state;
	writer_end(w);
	assert_true(dup2(saved_stderr, STDERR_FILENO) >= 0);
	close(saved_stderr);
	close(errors_fd);
	(void)unlink(path);
	(void)unlink(other);
	(void)rmdir(folder);
	return 0;
}

static void
open_access(const char *target)
{
	char why[256] = "";
	struct sink *s = sink_open(target, why, sizeof(why));

	if (s == NULL)
		fail_msg("%s", why);
	writer_set_access(w, &s);
	assert_null(s);
}

static bool
say(unsigned lane, const char *fmt, ...)
{
	char *at = ring_reserve(writer_ring(w, lane), 1024);
	va_list ap;
	int n;

	if (at == NULL)
		return false;
	va_start(ap, fmt);
	n = vsnprintf(at, 1024, fmt, ap);
	va_end(ap);
	at[n] = '\n';
	ring_commit(writer_ring(w, lane), (size_t)n + 1);
	return true;
}

static const char *
read_file(const char *from)
{
	size_t len = 0;
	ssize_t n;
	int fd = open(from, O_RDONLY | O_CLOEXEC);

	while (fd >= 0 && (n = read(fd, text + len,
	    sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	if (fd >= 0)
		close(fd);
	text[len] = '\0';
	return text;
}

static bool
has(const char *from, const char *what)
{
	return strstr(read_file(from), what) != NULL;
}

/* Has this process a descriptor of it? */
static bool
is_open(const char *file)
{
	struct stat its, each;
	int fd;

	assert_int_equal(stat(file, &its), 0);
	for (fd = 0; fd < 256; fd++)
		if (fstat(fd, &each) == 0 && each.st_dev == its.st_dev &&
		    each.st_ino == its.st_ino)
			return true;
	return false;
}

/* Everything on standard error so far. */
static const char *
errors(void)
{
	size_t len = strlen(said_so_far);
	ssize_t n;

	while ((n = read(errors_fd, said_so_far + len,
	    sizeof(said_so_far) - 1 - len)) > 0)
		len += (size_t)n;
	said_so_far[len] = '\0';
	return said_so_far;
}

static bool
said(const char *what)
{
	return strstr(errors(), what) != NULL;
}

/*
 * Lines "LANE NUMBER xxx" of two lanes: each lane's are whole and in order.
 * Returns how many there are.
 */
static unsigned long
check_lines(const char *at)
{
	unsigned long next[2] = { 0, 0 }, n = 0;

	while (*at != '\0') {
		char *rest;
		unsigned long lane = strtoul(at, &rest, 10), number;

		assert_true(lane < 2 && *rest == ' ');
		number = strtoul(rest + 1, &rest, 10);
		assert_true(number >= next[lane]);
		next[lane] = number + 1;
		assert_int_equal(*rest++, ' ');
		rest += strspn(rest, "x");
		assert_int_equal(*rest, '\n');
		at = rest + 1;
		n++;
	}
	return n;
}

static void
say_numbered(unsigned lane, unsigned long number)
{
	static const char many[] = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
	    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

	(void)say(lane, "%u %lu %s", lane, number, many + number % 90);
}

/* -------------------------------------------------------------------- files */

static void
lines_reach_the_file_soon(void **state)
{
	struct stat st;
	int64_t began;

	(void)state;
	open_access(path);
	began = now_ms();
	assert_true(say(0, "one"));
	assert_true(say(1, "two"));
	UNTIL(has(path, "one\n") && has(path, "two\n"));
	assert_true(now_ms() - began < 2000);
	assert_int_equal(strlen(read_file(path)), 8);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777 & ~0640u, 0);
	assert_int_equal(writer_dropped(w), 0);
	/* It is appended to. */
	open_access(path);
	assert_true(say(0, "three"));
	UNTIL(has(path, "three\n"));
	assert_int_equal(strlen(read_file(path)), 14);
}

struct lane_thread {
	pthread_t thread;
	unsigned lane;
	unsigned long n;
};

static void *
fill(void *arg)
{
	struct lane_thread *t = arg;
	unsigned long i;

	for (i = 0; i < t->n; i++)
		say_numbered(t->lane, i);
	return NULL;
}

/* Two lanes as fast as they can. */
static void
every_line_is_written_or_counted(void **state)
{
	struct lane_thread t[2] = { { .lane = 0, .n = 25000 },
	    { .lane = 1, .n = 25000 } };
	unsigned i;
	unsigned long n;

	(void)state;
	open_access(path);
	for (i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&t[i].thread, NULL, fill,
		    &t[i]), 0);
	for (i = 0; i < 2; i++)
		pthread_join(t[i].thread, NULL);
	UNTIL(ring_is_empty(writer_ring(w, 0)) &&
	    ring_is_empty(writer_ring(w, 1)));
	n = check_lines(read_file(path));
	assert_int_equal(n + writer_dropped(w), 50000);
	assert_true(n > 1000);
}

static void
the_end_writes_what_is_left(void **state)
{
	unsigned long i;

	(void)state;
	open_access(path);
	for (i = 0; i < 1000; i++)
		say_numbered(i % 2, i);
	log_info(NULL, "the last word");
	log_info(NULL, "the last word");
	writer_end(w);
	w = NULL;
	assert_int_equal(check_lines(read_file(path)), 1000);
	assert_true(said("info the last word\n"));
	assert_true(said("(repeated 1 time)\n"));
	log_info(NULL, "after the end");
	assert_true(said("after the end\n"));
}

static void
renamed_file_is_left_within_a_second(void **state)
{
	int64_t began;

	(void)state;
	open_access(path);
	assert_true(say(0, "before"));
	UNTIL(has(path, "before\n"));
	assert_int_equal(rename(path, other), 0);
	/* Lines were written since the last look: it looks again even if no
	   other comes. */
	began = now_ms();
	UNTIL(access(path, F_OK) == 0);
	assert_true(now_ms() - began < 5000);
	assert_true(say(0, "after"));
	UNTIL(has(path, "after\n"));
	assert_false(has(path, "before"));
	assert_false(has(other, "after"));
}

static void
removed_file_is_made_again(void **state)
{
	(void)state;
	open_access(path);
	assert_true(say(0, "before"));
	UNTIL(has(path, "before\n"));
	assert_int_equal(unlink(path), 0);
	UNTIL(access(path, F_OK) == 0);
	assert_true(say(0, "after"));
	UNTIL(has(path, "after\n"));
}

/* Nothing was logged, so nobody would look at the file for a long time. */
static void
reopen_needs_no_line(void **state)
{
	(void)state;
	open_access(path);
	assert_true(say(0, "before"));
	UNTIL(has(path, "before\n"));
	assert_int_equal(rename(path, other), 0);
	UNTIL(access(path, F_OK) == 0);
	assert_int_equal(unlink(path), 0);
	writer_reopen(w);
	UNTIL(access(path, F_OK) == 0);
	assert_int_equal(strcmp(errors(), ""), 0);
}

static void
file_that_cannot_be_opened_again_stays_in_use(void **state)
{
	char moved[96];

	(void)state;
	open_access(path);
	assert_true(say(0, "before"));
	UNTIL(has(path, "before\n"));
	snprintf(moved, sizeof(moved), "%s.away", folder);
	assert_int_equal(rename(folder, moved), 0);
	snprintf(other, sizeof(other), "%s/log", moved);
	writer_reopen(w);
	UNTIL(said("cannot open"));
	assert_true(said("No such file"));
	writer_reopen(w);
	assert_true(say(0, "after"));
	UNTIL(has(other, "after\n"));
	/* Said once. */
	assert_null(strstr(strstr(errors(), "cannot open") + 1, "cannot open"));
	assert_int_equal(rename(moved, folder), 0);
	writer_reopen(w);
	UNTIL(said("open again\n"));
	snprintf(other, sizeof(other), "%s/log.1", folder);
}

static void
target_that_cannot_be_opened_changes_nothing(void **state)
{
	char why[256] = "";
	char nowhere[128];

	(void)state;
	open_access(path);
	snprintf(nowhere, sizeof(nowhere), "%s/none/log", folder);
	assert_null(sink_open(nowhere, why, sizeof(why)));
	assert_true(say(0, "as before"));
	UNTIL(has(path, "as before\n"));
}

static void
targets_change_without_losing_a_line(void **state)
{
	struct sink *off = NULL;

	(void)state;
	/* Off: what is said is not missed. */
	assert_true(say(0, "nobody hears"));
	UNTIL(ring_is_empty(writer_ring(w, 0)));
	open_access(path);
	assert_true(say(0, "one"));
	open_access(other);
	assert_true(say(0, "two"));
	UNTIL(has(other, "two\n"));
	/* Where it was meant to go, or to the next; not nowhere. */
	assert_true(has(path, "one\n") || has(other, "one\n"));
	assert_true(say(0, "three"));
	writer_set_access(w, &off);
	UNTIL(has(other, "three\n"));
	/* What comes before the writer has heard of it is not too late. */
	UNTIL(!is_open(other));
	assert_true(say(0, "four"));
	UNTIL(ring_is_empty(writer_ring(w, 0)));
	assert_false(has(other, "four") || has(path, "nobody"));
	assert_int_equal(writer_dropped(w), 0);
}

/* ------------------------------------------------------------ full and slow */

static void
full_disk_costs_lines_only(void **state)
{
	unsigned long i;

	(void)state;
	open_access("/dev/full");
	for (i = 0; i < 100; i++)
		assert_true(say(0, "line %lu", i));
	UNTIL(writer_dropped(w) == 100);
	UNTIL(said("lines lost: "));
	assert_true(said("No space left on device"));
	/* Not a word for each of them. */
	for (i = 0; i < 100; i++)
		assert_true(say(0, "line %lu", i));
	UNTIL(writer_dropped(w) == 200);
	assert_null(strstr(strstr(errors(), "lost:") + 1, "lost:"));
	open_access(path);
	assert_true(say(0, "works again"));
	UNTIL(has(path, "works again\n"));
	assert_int_equal(writer_dropped(w), 200);
}

static int
make_fifo(int flags)
{
	int fd;

	assert_int_equal(mkfifo(path, 0600), 0);
	if (flags < 0)
		return -1;
	fd = open(path, flags | O_NONBLOCK | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

/* Everything that still comes, to text + len; returns its end. */
static size_t
read_until_quiet(int fd, size_t len)
{
	int64_t quiet = now_ms();
	ssize_t n;

	while (now_ms() - quiet < 500) {
		n = read(fd, text + len, sizeof(text) - 1 - len);
		if (n > 0) {
			len += (size_t)n;
			quiet = now_ms();
		} else
			(void)poll(NULL, 0, STEP_MS);
	}
	text[len] = '\0';
	return len;
}

static void
fifo_without_reader_stops_nobody(void **state)
{
	unsigned long i, n;
	int64_t began;
	int fd;

	(void)state;
	(void)make_fifo(-1);
	began = now_ms();
	open_access(path);
	for (i = 0; i < 20000; i++)
		say_numbered(0, i);
	assert_true(now_ms() - began < WAIT_MS);
	UNTIL(writer_dropped(w) > 0);
	/* The error log has its own way, and says so. */
	log_info(NULL, "all is well");
	UNTIL(said("all is well\n"));
	UNTIL(said("lines lost: "));
	/* What waited in the pipe and in the ring is not lost. */
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(fd >= 0);
	(void)read_until_quiet(fd, 0);
	n = check_lines(text);
	assert_true(n > 1000);
	assert_int_equal(n + writer_dropped(w), 20000);
	close(fd);
}

static void
slow_pipe_gets_whole_lines(void **state)
{
	struct lane_thread t[2] = { { .lane = 0, .n = 20000 },
	    { .lane = 1, .n = 20000 } };
	size_t len = 0;
	ssize_t got;
	unsigned long n;
	unsigned i;
	int fd;

	(void)state;
	fd = make_fifo(O_RDONLY);
	open_access(path);
	for (i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&t[i].thread, NULL, fill,
		    &t[i]), 0);
	/* A little at a time, which is not a line's length. */
	for (i = 0; i < 200; i++) {
		got = read(fd, text + len, 777);
		len += got > 0 ? (size_t)got : 0;
		(void)poll(NULL, 0, 1);
	}
	for (i = 0; i < 2; i++)
		pthread_join(t[i].thread, NULL);
	(void)read_until_quiet(fd, len);
	n = check_lines(text);
	assert_int_equal(n + writer_dropped(w), 40000);
	close(fd);
}

/* The reader ends: its lines are lost, and that is all; another one comes. */
static void
pipe_whose_reader_ends_kills_nobody(void **state)
{
	int fd;

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	fd = make_fifo(O_RDONLY);
	open_access(path);
	assert_true(say(0, "one"));
	UNTIL(read(fd, text, 100) == 4);
	close(fd);
	assert_true(say(0, "two"));
	UNTIL(writer_dropped(w) == 1);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(say(0, "three"));
	UNTIL(read(fd, text, 100) == 6);
	close(fd);
}

/* Blocking standard error, its reader asleep: nothing waits, not even the
   end. */
static void
standard_error_that_nobody_reads_stops_nobody(void **state)
{
	int64_t began = now_ms();
	unsigned long i;

	(void)state;
	open_access(path);
	for (i = 0; i < 10000; i++)
		log_warn(NULL, "%lu is one of many lines in the error log", i);
	UNTIL(writer_dropped(w) > 0);
	assert_true(say(0, "access goes on"));
	UNTIL(has(path, "access goes on\n"));
	assert_true(now_ms() - began < WAIT_MS);
	began = now_ms();
	writer_end(w);
	w = NULL;
	assert_true(now_ms() - began < 5000);
}

/* Both logs on one pipe: lines of one never lie within those of the other. */
static void
one_pipe_for_both_logs(void **state)
{
	const char *at, *line_end;
	unsigned long i, access_lines = 0, error_lines = 0;

	(void)state;
	open_access("stderr");
	for (i = 0; i < 200; i++) {
		say_numbered(0, i);
		log_info("x", "%lu", i);
	}
	log_info(NULL, "done");
	UNTIL(ring_is_empty(writer_ring(w, 0)) && said("done\n"));
	for (at = errors(); *at != '\0'; at = line_end + 1) {
		line_end = strchr(at, '\n');
		assert_non_null(line_end);
		if (at[0] == '0' && at[1] == ' ')
			access_lines++;
		else if (strncmp(line_end - 4, "done", 4) != 0) {
			assert_int_equal(at[10], 'T');
			error_lines++;
		}
	}
	assert_int_equal(access_lines, 200);
	assert_int_equal(error_lines, 200);
}

/* ------------------------------------------------------------------- syslog */

static int
syslog_daemon(void)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct timeval limit = { WAIT_MS / 1000, 0 };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(strlen(path) < sizeof(un.sun_path));
	strcpy(un.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit,
	    sizeof(limit)), 0);
	return fd;
}

static const char *
syslog_line(int fd)
{
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

	assert_true(n > 0);
	text[n] = '\0';
	return text;
}

static void
syslog_that_goes_and_comes_is_found_again(void **state)
{
	uint64_t lost;
	int fd = syslog_daemon();

	(void)state;
	open_access(name);
	assert_true(say(0, "one"));
	(void)syslog_line(fd);
	close(fd);
	assert_int_equal(unlink(path), 0);
	assert_true(say(0, "two"));
	UNTIL(writer_dropped(w) == 1);
	UNTIL(said("lines lost: 1"));
	fd = syslog_daemon();
	/* Not each line tries to connect, but at most a second later. */
	do {
		lost = writer_dropped(w);
		assert_true(say(0, "three"));
		UNTIL(ring_is_empty(writer_ring(w, 0)));
		assert_true(lost < 1000);
	} while (writer_dropped(w) != lost);
	assert_non_null(strstr(syslog_line(fd), "three"));
	close(fd);
}

/* A daemon that is alive and does not read. */
static void
slow_syslog_stops_nobody(void **state)
{
	unsigned long i, n = 0;
	int fd = syslog_daemon();

	(void)state;
	open_access(name);
	for (i = 0; i < 20000; i++)
		say_numbered(0, i);
	UNTIL(writer_dropped(w) > 0);
	log_info(NULL, "all is well");
	UNTIL(said("all is well\n"));
	UNTIL(ring_is_empty(writer_ring(w, 0)) &&
	    recv(fd, text, 1, MSG_PEEK | MSG_DONTWAIT) < 0)
		while (recv(fd, text, sizeof(text), MSG_DONTWAIT) > 0)
			n++;
	assert_int_equal(n + writer_dropped(w), 20000);
	close(fd);
}

/* -------------------------------------------------------------------- quiet */

/* How often the writer's thread has gone to sleep so far. */
static long
sleeps(void)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *task;
	long n = -1;

	assert_non_null(tasks);
	while ((task = readdir(tasks)) != NULL) {
		char status[300];
		const char *count;

		snprintf(status, sizeof(status), "/proc/self/task/%s/status",
		    task->d_name);
		if (strstr(read_file(status), "Name:\tweir-log\n") == NULL)
			continue;
		count = strstr(text, "\nvoluntary_ctxt_switches:");
		assert_non_null(count);
		n = atol(strchr(count, ':') + 1);
	}
	closedir(tasks);
	assert_true(n >= 0);
	return n;
}

static void
nobody_wakes_while_nothing_is_logged(void **state)
{
	long before;

	(void)state;
	open_access(path);
	assert_true(say(0, "one"));
	UNTIL(has(path, "one\n"));
	/* The look at the file a second later is the last thing to do. */
	assert_int_equal(unlink(path), 0);
	UNTIL(access(path, F_OK) == 0);
	(void)poll(NULL, 0, 100);
	before = sleeps();
	(void)poll(NULL, 0, 1500);
	assert_int_equal(sleeps(), before);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(lines_reach_the_file_soon),
		TEST(every_line_is_written_or_counted),
		TEST(the_end_writes_what_is_left),
		TEST(renamed_file_is_left_within_a_second),
		TEST(removed_file_is_made_again),
		TEST(reopen_needs_no_line),
		TEST(file_that_cannot_be_opened_again_stays_in_use),
		TEST(target_that_cannot_be_opened_changes_nothing),
		TEST(targets_change_without_losing_a_line),
		TEST(full_disk_costs_lines_only),
		TEST(fifo_without_reader_stops_nobody),
		TEST(slow_pipe_gets_whole_lines),
		TEST(pipe_whose_reader_ends_kills_nobody),
		TEST(standard_error_that_nobody_reads_stops_nobody),
		TEST(one_pipe_for_both_logs),
		TEST(syslog_that_goes_and_comes_is_found_again),
		TEST(slow_syslog_stops_nobody),
		TEST(nobody_wakes_while_nothing_is_logged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
