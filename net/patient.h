/*
 * Memory for what cannot be undone: the commit of a reload, a library that ends
 * the process when it gets none. Asks again for about a second, in which others
 * free something, before it gives up.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef NET_PATIENT_H
#define NET_PATIENT_H

#include <stddef.h>

#include "net/err.h"

/* As malloc(), calloc(1, ...), realloc(), strdup(); free() frees it. */
void *patient_alloc(size_t size) MUST_CHECK;
void *patient_zeroed(size_t size) MUST_CHECK;
void *patient_resize(void *old, size_t size) MUST_CHECK;
char *patient_copy(const char *text) MUST_CHECK;

#endif
