/*
 * The system calls that weir and its libraries need. See sandbox.h.
 *
 * Found by running all tests under strace and with `security.sandbox = "log"`,
 * with glibc 2.36; beside them what other versions of glibc use in their place,
 * and what a program needs to be started, since a weir that takes over is.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/service/sandbox.h"

#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

/* Names that an architecture has not got are passed over. */
static const char *const calls[] = {
	/* bytes */
	"read", "write", "readv", "writev", "pread64", "pwrite64", "close",
	"close_range", "dup", "dup2", "dup3", "fcntl", "lseek", "pipe",
	"pipe2", "sendfile", "splice",
	/* sockets; socket() is below */
	"socketpair", "bind", "listen", "accept", "accept4", "connect",
	"getsockname", "getpeername", "getsockopt", "setsockopt", "sendto",
	"recvfrom", "sendmsg", "recvmsg", "sendmmsg", "recvmmsg", "shutdown",
	/* waiting */
	"epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait",
	"epoll_pwait", "epoll_pwait2", "poll", "ppoll", "select", "pselect6",
	"eventfd2", "timerfd_create", "timerfd_settime", "timerfd_gettime",
	"signalfd4",
	/* files; where they may be written Landlock says */
	"open", "openat", "access", "faccessat", "faccessat2", "stat",
	"lstat", "fstat", "newfstatat", "statx", "statfs", "fstatfs",
	"readlink", "readlinkat", "getcwd", "getdents64", "unlink",
	"unlinkat", "chmod", "fchmod", "fchmodat", "chown", "fchown",
	"lchown", "fchownat", "umask", "fadvise64",
	/* memory; mmap() and mprotect() are below */
	"munmap", "mremap", "madvise", "brk", "membarrier",
	/* threads and processes; clone() is below */
	"fork", "vfork", "execve", "execveat", "wait4", "waitid", "exit",
	"exit_group", "futex", "set_robust_list", "get_robust_list", "rseq",
	"set_tid_address", "arch_prctl", "prctl", "sched_yield",
	"sched_getaffinity", "gettid", "getpid", "getppid", "getpgrp",
	"getpgid", "getsid", "setsid", "setpgid", "getuid", "geteuid",
	"getgid", "getegid", "getresuid", "getresgid", "getgroups", "capget",
	"pidfd_open", "restart_syscall",
	/* signals */
	"kill", "tkill", "tgkill", "rt_sigaction", "rt_sigprocmask",
	"rt_sigreturn", "rt_sigpending", "rt_sigtimedwait", "rt_sigsuspend",
	"rt_sigqueueinfo", "rt_tgsigqueueinfo", "sigaltstack", "pause",
	/* time, limits, chance, what the machine is */
	"clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep",
	"gettimeofday", "time", "times", "getrusage", "getrlimit",
	"setrlimit", "sysinfo", "uname", "getcpu", "getrandom",
	/* what makes the sandbox narrower */
	"seccomp", "landlock_create_ruleset", "landlock_add_rule",
	"landlock_restrict_self"
};

/* Sanitizers look for leaks as debuggers do. */
static const char *const sanitizer_calls[] = {
	"getdents", "ptrace", "process_vm_readv", "personality", "mincore",
	"msync", "mlock", "munlock", "getpriority", "setitimer", "sched_setaffinity",
	"sched_getparam", "sched_getscheduler", "ftruncate", "rename", "mkdir"
};

/* The scout's: it opens, but does not write. */
static const char *const scout_calls[] = {
	"read", "close", "fstat", "newfstatat", "getdents64", "readlink",
	"readlinkat", "sendto", "recvfrom", "recvmsg", "setsockopt",
	"clock_gettime", "brk", "munmap", "mremap", "exit", "exit_group",
	"rt_sigreturn", "restart_syscall"
};

#define NAMESPACES (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | \
	CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)

/* Calls of which only some are permitted: those whose argument, masked, is
   that. A call may have several rows. */
static const struct {
	const char *name;
	unsigned argument;
	int also;                       /* another argument that has to be
					   also_value; -1 = none has */
	uint64_t mask, value, also_value;
} narrow[] = {
	/* clone3() hides its flags behind a pointer: without it glibc does as
	   before there was one. */
	{ "clone", 0, -1, NAMESPACES, 0, 0 },
	{ "socket", 0, -1, UINT64_MAX, AF_UNIX, 0 },
	{ "socket", 0, -1, UINT64_MAX, AF_INET, 0 },
	{ "socket", 0, -1, UINT64_MAX, AF_INET6, 0 },
	/* getaddrinfo(3) asks for addresses; who a local client is. */
	{ "socket", 0, 2, UINT64_MAX, AF_NETLINK, NETLINK_ROUTE },
	{ "socket", 0, 2, UINT64_MAX, AF_NETLINK, NETLINK_SOCK_DIAG },
	/* Not TIOCSTI, which types into somebody's terminal. */
	{ "ioctl", 1, -1, UINT64_MAX, FIONREAD, 0 },
	{ "ioctl", 1, -1, UINT64_MAX, FIONBIO, 0 },
	{ "ioctl", 1, -1, UINT64_MAX, TCGETS, 0 },
	{ "ioctl", 1, -1, UINT64_MAX, TIOCGWINSZ, 0 },
	{ "ioctl", 1, -1, UINT64_MAX, 0x8933 /* SIOCGIFINDEX */, 0 },
	{ "ioctl", 1, -1, UINT64_MAX, 0x8910 /* SIOCGIFNAME */, 0 },
	/* Nothing that can be written can be executed. */
	{ "mmap", 2, -1, PROT_EXEC, 0, 0 },
	{ "mmap", 2, -1, PROT_WRITE, 0, 0 },
	{ "mprotect", 2, -1, PROT_EXEC, 0, 0 },
	{ "mprotect", 2, -1, PROT_WRITE, 0, 0 },
	/* Our own limits only. */
	{ "prlimit64", 0, -1, UINT64_MAX, 0, 0 }
};

static int
allow(scmp_filter_ctx filter, const char *name)
{
	int number = seccomp_syscall_resolve_name(name);

	return number < 0 ? 0 :
	    seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
}

static int
allow_narrow(scmp_filter_ctx filter, size_t i)
{
	int number = seccomp_syscall_resolve_name(narrow[i].name);
	const struct scmp_arg_cmp args[] = {
		{ narrow[i].argument, SCMP_CMP_MASKED_EQ, narrow[i].mask,
		    narrow[i].value },
		{ (unsigned)narrow[i].also, SCMP_CMP_EQ,
		    narrow[i].also_value, 0 }
	};

	return number < 0 ? 0 : seccomp_rule_add_array(filter, SCMP_ACT_ALLOW,
	    number, narrow[i].also >= 0 ? 2 : 1, args);
}

static int
allow_scout(scmp_filter_ctx filter)
{
	const struct scmp_arg_cmp flags = { 2, SCMP_CMP_MASKED_EQ,
	    O_WRONLY | O_RDWR | O_CREAT, 0 };
	const struct scmp_arg_cmp code = { 2, SCMP_CMP_MASKED_EQ, PROT_EXEC,
	    0 };
	const struct scmp_arg_cmp diag[] = {
		{ 0, SCMP_CMP_EQ, AF_NETLINK, 0 },
		{ 2, SCMP_CMP_EQ, NETLINK_SOCK_DIAG, 0 }
	};
	size_t i;
	int done = 0;

	for (i = 0; i < NELEMS(scout_calls) && done == 0; i++)
		done = allow(filter, scout_calls[i]);
	if (done == 0)
		done = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW,
		    SCMP_SYS(openat), 1, &flags);
	if (done == 0)
		done = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW,
		    SCMP_SYS(mmap), 1, &code);
	if (done == 0)
		done = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW,
		    SCMP_SYS(socket), 2, diag);
	return done;
}

static int
allow_weir(scmp_filter_ctx filter)
{
	size_t i;
	int done = 0;

	for (i = 0; i < NELEMS(calls) && done == 0; i++)
		done = allow(filter, calls[i]);
	if (SANITIZED)
		for (i = 0; i < NELEMS(sanitizer_calls) && done == 0; i++)
			done = allow(filter, sanitizer_calls[i]);
	for (i = 0; i < NELEMS(narrow) && done == 0; i++)
		done = allow_narrow(filter, i);
	return done;
}

int
seccomp_enter(enum seccomp_set set, char *why, size_t size)
{
	scmp_filter_ctx filter = seccomp_init(set == SECCOMP_LOG ?
	    SCMP_ACT_LOG : SCMP_ACT_ERRNO(ENOSYS));
	int done;

	if (filter == NULL) {
		snprintf(why, size, "%s", strerror(ENOMEM));
		return -1;
	}
	/* These may be unknown to the kernel: it is no worse without. The log
	   gets what is refused; a binary search and no mitigation of
	   speculation, since weir runs nobody's code, keep it cheap. */
	(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1);
	(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
	(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	(void)seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH,
	    SCMP_ACT_ERRNO(ENOSYS));
	/* A sanitizer needs more than a scout has. */
	done = set == SECCOMP_SCOUT && !SANITIZED ? allow_scout(filter) :
	    allow_weir(filter);
	if (done == 0)
		done = seccomp_load(filter);
	seccomp_release(filter);
	if (done < 0)
		snprintf(why, size, "%s", strerror(-done));
	return done < 0 ? -1 : 0;
}

/* FNV-1a */
uint64_t
sandbox_hash(uint64_t h, const void *bytes, size_t n)
{
	const unsigned char *b = bytes;

	while (n-- > 0)
		h = (h ^ *b++) * UINT64_C(1099511628211);
	return h;
}

uint64_t
seccomp_hash(void)
{
	uint64_t h = UINT64_C(14695981039346656037);
	size_t i;

	for (i = 0; i < NELEMS(calls); i++)
		h = sandbox_hash(h, calls[i], strlen(calls[i]) + 1);
	for (i = 0; i < NELEMS(narrow); i++) {
		h = sandbox_hash(h, narrow[i].name,
		    strlen(narrow[i].name) + 1);
		h = sandbox_hash(h, &narrow[i].value,
		    sizeof(narrow[i].value));
		h = sandbox_hash(h, &narrow[i].mask, sizeof(narrow[i].mask));
	}
	return h;
}
