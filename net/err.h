/*
 * What every folder needs to say about failure: nothing more.
 *
 * Fallible functions return 0 or -1 and are marked MUST_CHECK; parsers return
 * enum parse. Codes and errno never compete.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef NET_ERR_H
#define NET_ERR_H

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* The struct that embeds a member, from the member's address. */
#define container_of(ptr, type, member) \
	((type *)((char *)(ptr) - __builtin_offsetof(type, member)))

#define NELEMS(a) (sizeof(a) / sizeof((a)[0]))

enum parse {
	PARSE_DONE,             /* one whole thing was read */
	PARSE_MORE,             /* fine so far; call again with more bytes */
	PARSE_BAD               /* never acceptable, whatever follows */
};

#endif
