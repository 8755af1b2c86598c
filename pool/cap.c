/*
 * Shared counts. See cap.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pool/cap.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define TABLE_BYTES (CAP_MOST * sizeof(struct cap))

static int
map(struct cap_table *t)
{
	void *v = mmap(NULL, TABLE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
	    t->fd, 0);

	if (v == MAP_FAILED)
		return -1;
	t->v = v;
	return 0;
}

void
cap_table_init(struct cap_table *t)
{
	memset(t, 0, sizeof(*t));
	/* Pages of it that nobody counts in take no memory. */
	t->fd = memfd_create("weir-caps", MFD_CLOEXEC);
	if (t->fd < 0)
		return;
	if (ftruncate(t->fd, TABLE_BYTES) < 0 || map(t) < 0)
		cap_table_fini(t);
}

int
cap_table_join(struct cap_table *t, int fd, unsigned side)
{
	struct stat st;

	memset(t, 0, sizeof(*t));
	t->fd = fd;
	t->side = side;
	/* Behind the end of a shorter one there is a SIGBUS. */
	if (side < CAP_SIDES && fstat(fd, &st) == 0 &&
	    st.st_size == (off_t)TABLE_BYTES && map(t) == 0)
		return 0;
	cap_table_fini(t);
	return -1;
}

void
cap_table_fini(struct cap_table *t)
{
	if (t->v != NULL)
		(void)munmap(t->v, TABLE_BYTES);
	if (t->fd >= 0)
		close(t->fd);
	t->v = NULL;
	t->fd = -1;
}

/* That of another upstream, which had the entry before. */
static void
forget_rate(struct cap *cap)
{
	size_t i;

	atomic_store(&cap->rate_full_ns, 0);
	for (i = 0; i < CAP_SIDES; i++)
		atomic_store(&cap->promised_ns[i], 0);
}

struct cap *
cap_take(struct cap_table *t, int number)
{
	int i = number < 0 ? 0 : number;

	if (t->v == NULL || number >= CAP_MOST)
		return NULL;
	/* One that was given back may still be counted in by the other. */
	while (number < 0 && i < CAP_MOST && (t->taken[i] ||
	    atomic_load(&t->v[i].both) > 0))
		i++;
	if (i == CAP_MOST || t->taken[i])
		return NULL;
	t->taken[i] = true;
	if (number < 0)
		forget_rate(&t->v[i]);
	return &t->v[i];
}

void
cap_give(struct cap_table *t, struct cap *cap)
{
	if (cap != NULL)
		t->taken[cap_number(t, cap)] = false;
}

static uint64_t
one_of(unsigned side)
{
	return (uint64_t)1 << 32 * side;
}

bool
cap_count(struct cap *cap, unsigned side, unsigned most)
{
	uint64_t now = atomic_load(&cap->both);

	do {
		if ((now & UINT32_MAX) + (now >> 32) >= most)
			return false;
	} while (!atomic_compare_exchange_weak(&cap->both, &now,
	    now + one_of(side)));
	return true;
}

/* One less of that side, which has one, and so much more. */
static void
change(struct cap *cap, unsigned side, uint64_t add)
{
	uint64_t now = atomic_load(&cap->both);

	do {
		if ((now >> 32 * side & UINT32_MAX) == 0)
			return;
	} while (!atomic_compare_exchange_weak(&cap->both, &now,
	    now - one_of(side) + add));
}

void
cap_discount(struct cap *cap, unsigned side)
{
	change(cap, side, 0);
}

void
cap_move(struct cap *cap, unsigned side)
{
	change(cap, side, one_of(!side));
}

void
cap_bury(struct cap_table *t)
{
	unsigned other = !t->side;
	size_t i;

	for (i = 0; t->v != NULL && i < CAP_MOST; i++) {
		struct cap *cap = &t->v[i];

		/* Read first: a page that was never touched stays so. */
		if (cap_own(cap, other) > 0)
			atomic_fetch_and(&cap->both, (uint64_t)UINT32_MAX <<
			    32 * t->side);
		if (atomic_load(&cap->waiting[other]) > 0)
			atomic_store(&cap->waiting[other], 0);
		if (atomic_load(&cap->leased[other]) > 0)
			atomic_store(&cap->leased[other], 0);
		if (atomic_load(&cap->needed[other]) > 0)
			atomic_store(&cap->needed[other], 0);
		/* Nobody comes for that. */
		if (atomic_load(&cap->promised_ns[other]) != 0)
			atomic_fetch_sub(&cap->rate_full_ns,
			    atomic_exchange(&cap->promised_ns[other], 0));
	}
}
