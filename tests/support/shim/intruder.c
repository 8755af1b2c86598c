/*
 * To be preloaded: what somebody who had weir in his hand would try. Each thread
 * that waits for events tries it all once when the test has written the number
 * 1 into the first word of its page, main first; what came of it, an errno or
 * 0, is left behind for the test. The page is that of control.h, as an array.
 *
 * SPDX-License-Identifier: MIT
 */
#include "control.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>

static _Atomic int32_t *page;
static _Thread_local bool done;

static __attribute__((constructor)) void
begin(void)
{
	page = (void *)shim_open();
	if (page != NULL)
		page[2]++;
}

static int
result(long r)
{
	return r < 0 ? errno : 0;
}

/* In a child: the errno of an exec that fails, 0 when it runs. */
static int
execute(const char *path, char *const argv[])
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		(void)syscall(SYS_execve, path, argv, NULL);
		_exit(errno);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static int
create(const char *name)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd >= 0)
		close(fd);
	return result(fd);
}

static int
attempt(int i, const char *dir)
{
	static char sh[] = "sh", c[] = "-c", ok[] = "exit 0", v[] = "-V";
	char *const shell[] = { sh, c, ok, NULL }, *const self[] = { sh, v,
	    NULL };
	char path[400];
	void *code;
	ssize_t n;

	switch (i) {
	case 0:
		return execute("/bin/sh", shell);
	case 1:
		n = readlink("/proc/self/exe", path, sizeof(path) - 1);
		path[n > 0 ? n : 0] = '\0';
		return execute(path, self);
	case 2:
		snprintf(path, sizeof(path), "%s/intruder", dir);
		return create(path);
	case 3:
		return result(unlink(getenv("WEIR_SHIM")));
	case 4:
		return result(socket(AF_PACKET, SOCK_RAW, 0));
	case 5:
		return result(ptrace(PTRACE_ATTACH, 0, NULL, NULL));
	case 6:
		return result(unshare(CLONE_NEWUSER));
	case 7:
		code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		return code == MAP_FAILED ? errno : 0;
	case 8:
		return result(ioctl(STDIN_FILENO, TIOCSTI, ""));
	case 9:
		return result(kill(getppid(), 0));
	case 10:
		snprintf(path, sizeof(path), "%s/intruders", dir);
		return result(mkdir(path, 0700));
	case 11:
		return result(syscall(SYS_memfd_create, "x", 0));
	case 12:
		n = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
		if (n >= 0)
			close((int)n);
		return result(n);
	case 13:
		snprintf(path, sizeof(path), "%s/log", getenv("WEIR_LOGS"));
		return create(path);
	default:
		return -1;
	}
}

/* With the words that it was started with, as a weir that takes over. */
static void
become_another(void)
{
	static char words[4096], *argv[64];
	int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC), n = 0;
	ssize_t len = read(fd, words, sizeof(words) - 1), at;

	for (at = 0; at < len && n < 63; at += (ssize_t)strlen(words + at) + 1)
		argv[n++] = words + at;
	argv[n] = NULL;
	(void)execv("/proc/self/exe", argv);
	_exit(errno);
}

/* Word 2: how often weir has been started; 3: how often it is to have been.
   Word 0: shall it be tried; 1: how many threads have; from 16 on what main,
   from 48 on what another thread found. */
int
epoll_wait(int fd, struct epoll_event *events, int most, int ms)
{
	int at = gettid() == getpid() ? 16 : 48, i;

	if (page != NULL && page[3] > page[2] && gettid() == getpid())
		become_another();
	if (page != NULL && page[0] == 1 && !done) {
		done = true;
		for (i = 0; i < 14; i++)
			page[at + i] = attempt(i, getenv("WEIR_OUTSIDE"));
		page[1]++;
	}
	return (int)syscall(SYS_epoll_wait, fd, events, most, ms);
}
