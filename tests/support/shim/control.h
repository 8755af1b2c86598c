/*
 * The page that a test shares with the objects it has preloaded: what they are
 * to do to the process, changed while it runs, and how often they have done it.
 * tests/support/shim.py knows the layout. The file is named by WEIR_SHIM.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SUPPORT_SHIM_CONTROL_H
#define TESTS_SUPPORT_SHIM_CONTROL_H

#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum shim_fault {
	SHIM_SHORT,             /* a read or write does less than it could */
	SHIM_EINTR,             /* of reads, writes, accepts and epoll_wait */
	SHIM_EAGAIN,            /* of reads, writes and accepts */
	SHIM_ACCEPT,            /* fails with .error; likewise the next two */
	SHIM_CONNECT,
	SHIM_SOCKET,
	SHIM_FAULTS
};

struct shim_control {
	_Atomic uint64_t seed;
	_Atomic int64_t  wall_ns;       /* is added to the wall clock */
	_Atomic int64_t  heap_left;     /* the allocation that fails: 1 is the
					   next one, 0 none */
	_Atomic uint64_t heap_seen;     /* allocations so far */
	_Atomic uint64_t heap_failed;
	struct {
		_Atomic uint32_t rate;  /* of 65536 calls */
		_Atomic int32_t  error; /* errno */
		_Atomic uint64_t hits;
	} fault[SHIM_FAULTS];
	_Atomic int64_t  stall;         /* workers that write to a stream hang
					   while it is not 0: 1 = asleep, 2 = busy */
};

/* NULL = this process is not meant. */
static inline struct shim_control *
shim_open(void)
{
	const char *path = getenv("WEIR_SHIM");
	void *page;
	int fd;

	if (path == NULL)
		return NULL;
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return page == MAP_FAILED ? NULL : page;
}

#endif
