/*
 * Dice of the model tests: what they throw follows from the seed alone.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SUPPORT_DICE_H
#define TESTS_SUPPORT_DICE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/* splitmix64, by S. Vigna, public domain */
static inline uint64_t
dice_roll(uint64_t *dice)
{
	uint64_t z = *dice += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* 0 to n, both included. */
static inline unsigned
dice_up_to(uint64_t *dice, unsigned n)
{
	return (unsigned)(dice_roll(dice) % (n + 1));
}

static inline bool
dice_chance(uint64_t *dice, unsigned percent)
{
	return dice_roll(dice) % 100 < percent;
}

/* What the environment says, of a seed or a number of runs. */
static inline uint64_t
dice_number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text != NULL ? strtoull(text, NULL, 0) : otherwise;
}

/* A seed that once failed, with so many workers. */
struct dice_seed {
	unsigned workers;
	uint64_t seed;
};

/* Those of so many workers again, but where one seed is asked for. */
static inline void
dice_again(const struct dice_seed *v, size_t n, unsigned workers,
    void (*run)(unsigned workers, uint64_t seed))
{
	size_t i;

	for (i = 0; i < n && getenv("MODEL_SEED") == NULL; i++)
		if (v[i].workers == workers)
			run(workers, v[i].seed);
}

#endif
