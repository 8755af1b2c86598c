/*
 * Intrusive doubly linked list with a sentinel head.
 *
 * A link that is on no list points to itself, so list_remove() may be called
 * twice and list_linked() answers whether it is on one. Removal and insertion
 * cost the same however long the list is.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef NET_LIST_H
#define NET_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "net/err.h"

struct list {
	struct list *next, *prev;
};

static inline void
list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool
list_linked(const struct list *l)
{
	return l->next != l;
}

static inline bool
list_empty(const struct list *head)
{
	return head->next == head;
}

static inline void
list_remove(struct list *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
	l->next = l->prev = l;
}

/* l must be on no list. */
static inline void
list_append(struct list *head, struct list *l)
{
	l->next = head;
	l->prev = head->prev;
	head->prev->next = l;
	head->prev = l;
}

/* l must be on no list. */
static inline void
list_prepend(struct list *head, struct list *l)
{
	list_append(head->next, l);
}

/* NULL when the list is empty. */
static inline struct list *
list_first(const struct list *head)
{
	return list_empty(head) ? NULL : head->next;
}

static inline struct list *
list_last(const struct list *head)
{
	return list_empty(head) ? NULL : head->prev;
}

/* Empties `from` into the end of `to`. */
static inline void
list_splice(struct list *to, struct list *from)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	from->prev->next = to;
	to->prev->next = from->next;
	to->prev = from->prev;
	list_init(from);
}

/* The loop body may remove `l` itself, nothing else. */
#define list_each(l, tmp, head)                                              \
	for ((l) = (head)->next, (tmp) = (l)->next; (l) != (head);            \
	    (l) = (tmp), (tmp) = (l)->next)

#endif
