/*
 * What the load and the origin of the P1 harness agree on.
 *
 * Every request carries a token of 128 bits. The bodies of the request and of
 * its response are streams that follow from the token, so each side knows each
 * byte that it may get. The target says how the origin is to behave:
 *
 *     /TOKEN/SESSION/HOW/FRAME/SIZE/CUT/DELAY
 *
 * TOKEN 32 hexadecimal digits; SESSION the client's connection; HOW and FRAME
 * from the lists below; SIZE of the response's body; CUT the byte of the
 * response at which HOW strikes; DELAY in ms. The response repeats the token
 * (X-Token), says which connection it came over (X-Conn) and what of the
 * request's body had come by then (X-Got: length and checksum).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SUPPORT_P1_H
#define TESTS_SUPPORT_P1_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum how {
	HOW_PLAIN,
	HOW_LATE,               /* answers after DELAY */
	HOW_EARLY,              /* answers the head, then reads the body */
	HOW_EARLY_CLOSE,        /* answers the head and closes */
	HOW_PIECES,             /* sends in pieces, a pause after each */
	HOW_RESET,              /* RST after CUT bytes of the response */
	HOW_CUT,                /* FIN after CUT bytes */
	HOW_STOP,               /* says nothing more after CUT bytes */
	HOW_HALF,               /* answers, then FIN, and goes on reading */
	HOW_CLOSE_UNSAID,       /* answers and closes */
	HOW_CLOSE_SAID,         /* likewise with Connection: close */
	HOW_STALE,              /* answers, and closes at the next request */
	HOW_TWICE,              /* one more response in the same write */
	HOW_INTERIM,            /* two 103 before the response */
	N_HOW
};

enum frame {
	FRAME_LENGTH,
	FRAME_CHUNKED,
	FRAME_CLOSE,            /* the body ends with the connection */
	N_FRAMES
};

struct token {
	uint64_t a, b;
};

/* The finisher of splitmix64: a bijection that scatters well. */
static inline uint64_t
p1_mix(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9u;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

/* The next of a sequence of random numbers. */
static inline uint64_t
p1_next(uint64_t *seed)
{
	*seed += 0x9e3779b97f4a7c15u;
	return p1_mix(*seed);
}

enum { P1_UP = 1, P1_DOWN = 2 };        /* salts: the request's body, the
					   response's */

/* Bytes [at, at + n) of the stream that belongs to a token. */
static inline void
p1_fill(struct token t, unsigned salt, uint64_t at, unsigned char *to,
    size_t n)
{
	uint64_t word;
	size_t i, skip, most;

	for (i = 0; i < n; i += most) {
		word = p1_mix(t.a + p1_mix(t.b + salt) + (at + i) / 8);
		skip = (at + i) % 8;
		most = 8 - skip < n - i ? 8 - skip : n - i;
		memcpy(to + i, (unsigned char *)&word + skip, most);
	}
}

/* Is that what p1_fill() would have written? */
static inline int
p1_same(struct token t, unsigned salt, uint64_t at, const unsigned char *p,
    size_t n)
{
	unsigned char want[4096];
	size_t i, most;

	for (i = 0; i < n; i += most) {
		most = n - i < sizeof(want) ? n - i : sizeof(want);
		p1_fill(t, salt, at + i, want, most);
		if (memcmp(p + i, want, most) != 0)
			return 0;
	}
	return 1;
}

/* FNV-1a, to be continued. */
#define P1_SUM_BEGIN 0xcbf29ce484222325u

static inline uint64_t
p1_sum(uint64_t sum, const unsigned char *p, size_t n)
{
	while (n-- > 0)
		sum = (sum ^ *p++) * 0x100000001b3u;
	return sum;
}

#endif
