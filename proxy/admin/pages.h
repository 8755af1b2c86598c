/*
 * What the admin port answers, a row a page.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_ADMIN_PAGES_H
#define PROXY_ADMIN_PAGES_H

#include <stdbool.h>
#include <stddef.h>

struct admin;
struct caller;

struct page {
	const char *path;               /* a pattern of target.h */
	bool order;                     /* POST; otherwise GET and HEAD */
	bool probe;                     /* served by probe_bind too */
	/* Ends in a caller_reply, caller_wait or caller_stream. */
	void (*answer)(struct caller *c);
};

/* NULL when there is none. */
const struct page *page_find(const char *path);

/* Holds no secret: whoever may ask at all may have it without the token. */
bool page_is_public(const struct page *p);

/* How many bytes of a body it reads; 0 = it reads none, and one is dropped. */
size_t page_body_most(const struct page *p);

/* The moment's frame to everyone at /stats/stream. */
void pages_beat(struct admin *a);

#endif
